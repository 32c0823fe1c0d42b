"""The sandbox's list of instruments."""

from decimal import Decimal

import pytest

from engine.adapters.sim.instruments import CATALOGUE, LIQUIDITY, is_metal
from engine.adapters.sim.market_currencies import NAMES

NAMED_IN_THE_ISSUE = ("EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD", "NZD_USD", "USD_CHF", "EUR_GBP", "XAU_USD")


def test_the_promised_instruments_are_there() -> None:
    assert set(NAMED_IN_THE_ISSUE) <= set(CATALOGUE)
    assert len(CATALOGUE) >= 30


def test_each_instrument_is_filed_under_its_own_name_and_can_be_priced() -> None:
    for name, instrument in CATALOGUE.items():
        assert instrument.name == name
        assert {instrument.base, instrument.quote} <= {*NAMES, "USD"}
        assert instrument.base != instrument.quote


@pytest.mark.parametrize(
    ("name", "decimals", "pip"),
    [
        ("EUR_USD", 5, "0.0001"),
        ("USD_JPY", 3, "0.01"),
        ("GBP_JPY", 3, "0.01"),
        ("XAU_USD", 3, "0.01"),
        ("XAG_USD", 5, "0.0001"),
    ],
)
def test_precision_and_pip_are_those_of_the_field(name: str, decimals: int, pip: str) -> None:
    assert CATALOGUE[name].price_decimals == decimals
    assert CATALOGUE[name].pip_size == Decimal(pip)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("EUR_USD", "0.02"), ("EUR_GBP", "0.02"), ("USD_SGD", "0.05"), ("XAU_USD", "0.05"), ("XAG_USD", "0.10")],
)
def test_margin_is_that_of_the_riskier_side(name: str, rate: str) -> None:
    assert CATALOGUE[name].margin_rate == Decimal(rate)


def test_sizes_are_whole_units_within_limits() -> None:
    for instrument in CATALOGUE.values():
        assert instrument.units_step == instrument.units_min == Decimal(1)
        assert instrument.units_max > 1_000
    assert CATALOGUE["XAU_USD"].units_max < CATALOGUE["EUR_USD"].units_max


def test_every_instrument_has_a_spread_of_at_least_half_a_pip_and_ticks() -> None:
    assert LIQUIDITY.keys() == CATALOGUE.keys()
    assert all(row.spread_pips >= 0.5 and row.ticks_per_5s > 1 for row in LIQUIDITY.values())


def test_only_gold_and_silver_are_metals() -> None:
    assert {name for name, instrument in CATALOGUE.items() if is_metal(instrument)} == {"XAU_USD", "XAG_USD"}


def test_the_catalogue_cannot_be_changed_by_a_reader() -> None:
    with pytest.raises(TypeError):
        CATALOGUE["EUR_USD"] = CATALOGUE["GBP_USD"]  # type: ignore[index]
