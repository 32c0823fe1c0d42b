"""Precision, pips and rounding: every rounding goes to the safe side and lands on the instrument's grid."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument
from tests.unit.made import EUR_USD, USD_JPY, XAU_USD, instrument

PRICES = st.decimals("-5000", "5000", allow_nan=False, allow_infinity=False, places=9)
INSTRUMENTS = st.sampled_from([EUR_USD, USD_JPY, XAU_USD])


def test_base_and_quote_are_the_two_halves_of_the_name() -> None:
    assert (XAU_USD.base, XAU_USD.quote) == ("XAU", "USD")


@pytest.mark.parametrize("name", ["EURUSD", "eur_usd", "EUR_", "_USD", "EUR/USD", "EUR_USD ", "EUR_USD_X", "", "E_USD"])
def test_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="BASE_QUOTE"):
        instrument(name)


def test_name_with_a_trailing_line_break_is_refused() -> None:
    with pytest.raises(ConfigError):
        instrument("EUR_USD\n")


def test_steps_follow_the_decimals() -> None:
    assert (EUR_USD.price_step, EUR_USD.units_step) == (Decimal("0.00001"), Decimal(1))
    assert (XAU_USD.price_step, XAU_USD.units_step) == (Decimal("0.001"), Decimal("0.01"))


@pytest.mark.parametrize(
    ("which", "price", "text"),
    [
        (EUR_USD, "1.1", "1.10000"),
        (EUR_USD, "1.123455", "1.12346"),
        (EUR_USD, "1.123445", "1.12344"),
        (USD_JPY, "151.2", "151.200"),
        (XAU_USD, "2400", "2400.000"),
    ],
)
def test_price_strings_by_precision(which: Instrument, price: str, text: str) -> None:
    assert str(which.round_price(Decimal(price))) == text


@pytest.mark.parametrize(("difference", "pips"), [("0.0001", "1"), ("0.00015", "1.5"), ("-0.0030", "-30"), ("0", "0")])
def test_pips_of_five_decimal_prices(difference: str, pips: str) -> None:
    assert EUR_USD.pips(Decimal(difference)) == Decimal(pips)


def test_a_pip_of_the_yen_is_a_hundredth() -> None:
    assert USD_JPY.pips(Decimal("0.25")) == 25


@pytest.mark.parametrize(
    ("which", "units", "rounded"),
    [
        (EUR_USD, "1999.99", "1999"),
        (EUR_USD, "-1999.99", "-1999"),
        (EUR_USD, "0.99", "0"),
        (EUR_USD, "2000", "2000"),
        (XAU_USD, "3.149", "3.14"),
        (XAU_USD, "-3.149", "-3.14"),
        (XAU_USD, "0.009", "0.00"),
    ],
)
def test_fractional_units_are_rounded_toward_zero(which: Instrument, units: str, rounded: str) -> None:
    assert str(which.round_units_down(Decimal(units))).lstrip("-") == rounded.lstrip("-")
    assert which.round_units_down(Decimal(units)) == Decimal(rounded)


@given(which=INSTRUMENTS, units=PRICES)
def test_rounding_a_size_never_makes_it_larger_and_loses_less_than_a_step(which: Instrument, units: Decimal) -> None:
    rounded = which.round_units_down(units)
    assert abs(rounded) <= abs(units) < abs(rounded) + which.units_step
    assert rounded == 0 or (rounded > 0) == (units > 0)
    assert rounded % which.units_step == 0


@given(which=INSTRUMENTS, price=PRICES)
def test_rounded_prices_bracket_the_price_on_the_grid(which: Instrument, price: Decimal) -> None:
    low, near, high = which.round_price_down(price), which.round_price(price), which.round_price_up(price)
    assert low <= price <= high
    assert near in (low, high)
    assert high - low in (0, which.price_step)
    assert abs(near - price) <= which.price_step / 2
    assert all(-each.as_tuple().exponent == which.price_decimals for each in (low, near, high))  # type: ignore[operator]


def test_instrument_is_frozen() -> None:
    with pytest.raises(AttributeError):
        EUR_USD.units_max = Decimal(1)  # type: ignore[misc]
