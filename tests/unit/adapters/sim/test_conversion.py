"""Home-currency conversion: direct, inverse and over one other currency; hand-computed."""

from decimal import Decimal

import pytest

from engine.adapters.sim.conversion import HomeRates
from engine.domain.error import Bug, ConfigError
from tests.unit.adapters.sim.venue import instrument

CHARGE = Decimal("0.01")
MIDS = {
    "EUR_USD": Decimal("1.10"),
    "GBP_USD": Decimal("1.25"),
    "USD_JPY": Decimal(160),
    "EUR_GBP": Decimal("0.88"),
    "GBP_JPY": Decimal(200),
    "AUD_EUR": Decimal("0.60"),
    "USD_EUR": Decimal("0.80"),
}


def rates(home: str, *names: str) -> HomeRates:
    made = HomeRates([instrument(name) for name in names], home, CHARGE)
    made.mids.update({name: MIDS[name] for name in names})
    return made


@pytest.mark.parametrize(
    ("home", "names", "rate"),
    [
        ("USD", ["EUR_USD"], "1"),
        ("USD", ["EUR_GBP", "GBP_USD"], "1.25"),
        ("USD", ["USD_JPY"], "0.00625"),
        ("USD", ["GBP_JPY", "GBP_USD"], "0.00625"),
        ("EUR", ["GBP_USD", "EUR_USD"], "0.9090909090909090909090909091"),
        ("EUR", ["USD_JPY", "EUR_USD"], "0.005681818181818181818181818182"),
        ("JPY", ["EUR_USD", "USD_JPY"], "160"),
        ("JPY", ["EUR_GBP", "GBP_JPY"], "200"),
        ("USD", ["AUD_EUR", "USD_EUR"], "1.25"),
        ("USD", ["AUD_EUR", "USD_EUR", "EUR_USD"], "1.10"),
    ],
)
def test_the_first_instruments_quote_currency_is_worth_this_at_home(home, names, rate) -> None:
    assert rates(home, *names).find(names[0]) == Decimal(rate)


@pytest.mark.parametrize(
    ("amount", "booked"),
    [
        ("-0.081", "-0.0005"),
        ("1600", "9.9000"),
        ("-1600", "-10.1000"),
        ("0", "0"),
    ],
)
def test_booked_gains_lose_and_losses_gain_the_charge(amount, booked) -> None:
    """One yen is 0.00625 dollars; gains are worth 1 % less and losses 1 % more; 4 decimals."""
    assert rates("USD", "USD_JPY").booked(Decimal(amount), "USD_JPY") == Decimal(booked)


def test_amounts_in_home_currency_are_only_rounded() -> None:
    assert rates("USD", "EUR_USD").booked(Decimal("-10.00005"), "EUR_USD") == Decimal("-10.0000")
    assert rates("USD", "EUR_USD").booked(Decimal("10.00015"), "EUR_USD") == Decimal("10.0002")


def test_a_rate_is_unknown_until_each_leg_has_a_price() -> None:
    made = HomeRates([instrument("EUR_GBP"), instrument("GBP_USD")], "USD", CHARGE)
    made.mids["EUR_GBP"] = Decimal("0.88")
    assert made.find("EUR_GBP") is None
    with pytest.raises(Bug, match="EUR_GBP"):
        made.rate("EUR_GBP")
    made.mids["GBP_USD"] = Decimal("1.25")
    assert made.rate("EUR_GBP") == Decimal("1.25")


@pytest.mark.parametrize(
    ("home", "names", "missing"),
    [
        ("USD", ["EUR_GBP"], "EUR"),
        ("USD", ["EUR_USD", "AUD_NZD"], "AUD"),
        ("EUR", ["USD_JPY"], "USD"),
        ("USD", ["USD_CHF", "CHF_JPY", "EUR_CHF", "EUR_JPY", "NZD_EUR"], "NZD"),
    ],
)
def test_an_instrument_that_never_converts_is_refused_in_one_sentence(home, names, missing) -> None:
    with pytest.raises(ConfigError, match=f"converts {missing} to {home}, add {missing}_{home} or {home}_{missing}"):
        HomeRates([instrument(name) for name in names], home, CHARGE)
