"""Limits have ranges; a typing error is refused, never quietly ignored."""

from collections.abc import Mapping
from dataclasses import Field, fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits, StopMode, limits_from_text, ranged_fields

ONE_STEP = Decimal("0.0001")
NAMES = [item.name for item in ranged_fields()]


def with_value(item: "Field[Any]", value: Any) -> RiskLimits:
    per_instrument = isinstance(getattr(RiskLimits(), item.name), Mapping)
    return RiskLimits(**{item.name: {ANY: value} if per_instrument else value})


@pytest.mark.parametrize("item", ranged_fields(), ids=NAMES)
def test_both_ends_of_each_range_are_allowed(item: "Field[Any]") -> None:
    for end in (item.metadata["low"], item.metadata["high"]):
        with_value(item, int(end) if item.type is int else end)


@pytest.mark.parametrize("item", ranged_fields(), ids=NAMES)
def test_just_outside_each_range_is_refused_with_the_range_and_unit(item: "Field[Any]") -> None:
    low, high, unit = (item.metadata[key] for key in ("low", "high", "unit"))
    for value in (low - ONE_STEP, high + ONE_STEP):
        with pytest.raises(ConfigError) as refused:
            with_value(item, value)
        assert str(refused.value).startswith(item.name)
        assert f"is {value}; it must be from {low} to {high} ({unit})." in str(refused.value)


@pytest.mark.parametrize("item", ranged_fields(), ids=NAMES)
@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN"), True, 1.0, "1", None], ids=str)
def test_what_is_no_exact_number_is_refused(item: "Field[Any]", value: object) -> None:
    with pytest.raises(ConfigError, match="must be a number from"):
        with_value(item, value)


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        RiskLimits(
            risk_per_trade_pct=Decimal(50), positions_max=0, spread_pips_max={ANY: Decimal(3), "EUR_USD": Decimal(0)}
        )
    text = str(refused.value)
    assert all(
        part in text for part in ("risk_per_trade_pct is 50", "positions_max is 0", "spread_pips_max[EUR_USD] is 0")
    )


@pytest.mark.parametrize("name", ["position_units_max", "spread_pips_max"])
def test_per_instrument_limit_needs_an_entry_for_the_others(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} needs an entry '\\*'"):
        RiskLimits(**{name: {"EUR_USD": Decimal(1)}})  # type: ignore[arg-type]


def test_per_instrument_limit_falls_back_to_the_others_entry() -> None:
    limits = RiskLimits(
        position_units_max={ANY: Decimal(1_000), "XAU_USD": Decimal(0)},
        spread_pips_max={ANY: Decimal(3), "XAU_USD": Decimal(50)},
    )
    assert (limits.units_cap("EUR_USD"), limits.units_cap("XAU_USD")) == (1_000, 0)
    assert (limits.spread_cap("EUR_USD"), limits.spread_cap("XAU_USD")) == (3, 50)


def test_text_sets_a_limit_and_keeps_the_other_defaults() -> None:
    limits = limits_from_text(["risk_per_trade_pct=0.25", "positions_max=2", "stop_mode=pips"])
    expected = {"risk_per_trade_pct": Decimal("0.25"), "positions_max": 2, "stop_mode": StopMode.PIPS}
    for item in fields(RiskLimits):
        assert getattr(limits, item.name) == expected.get(item.name, getattr(RiskLimits(), item.name))
    assert limits.stop_mode is StopMode.PIPS
    assert isinstance(limits.positions_max, int)


def test_text_per_instrument_adds_to_the_defaults() -> None:
    limits = limits_from_text(
        ["position_units_max[EUR_USD]=5000", "position_units_max=7000", "spread_pips_max[EUR_USD]=1.5"]
    )
    assert (limits.units_cap("EUR_USD"), limits.units_cap("GBP_USD")) == (5_000, 7_000)
    assert limits.units_cap("XAU_USD") == RiskLimits().units_cap("XAU_USD")
    assert (limits.spread_cap("EUR_USD"), limits.spread_cap("GBP_USD")) == (Decimal("1.5"), 3)
    assert "EUR_USD" not in RiskLimits().position_units_max


def test_no_text_means_the_defaults() -> None:
    assert limits_from_text([]) == RiskLimits()


def test_unknown_risk_key_rejected() -> None:
    with pytest.raises(ConfigError) as refused:
        limits_from_text(["risk_per_trade=1"])
    assert str(refused.value).startswith("Limit 'risk_per_trade' is unknown; known are risk_per_trade_pct,")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("positions_max", "not of the form NAME=VALUE"),
        ("=3", "not of the form NAME=VALUE"),
        ("positions_max[]=3", "not of the form NAME=VALUE"),
        ("positions_max=three", "positions_max is 'three'; it must be a number."),
        ("positions_max=", "positions_max is ''; it must be a number."),
        ("positions_max=2.5", "positions_max is 2.5; it must be a whole number."),
        ("positions_max=NaN", "positions_max is NaN; it must be a whole number."),
        ("positions_max=101", "positions_max is 101; it must be from 1 to 100 \\(positions\\)."),
        ("positions_max[EUR_USD]=3", "positions_max\\[EUR_USD\\] is not possible"),
        ("risk_per_trade_pct=5.01", "risk_per_trade_pct is 5.01; it must be from 0.01 to 5 \\(% of equity\\)."),
        ("risk_per_trade_pct=-1", "risk_per_trade_pct is -1; it must be from 0.01 to 5"),
        ("risk_per_trade_pct=NaN", "risk_per_trade_pct is .*; it must be a number from 0.01 to 5"),
        ("spread_pips_max[EUR_USD]=0", "spread_pips_max\\[EUR_USD\\] is 0; it must be from 0.1 to 1000"),
        ("stop_mode=percent", "stop_mode is 'percent'; it must be one of atr, pips."),
    ],
)
def test_bad_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        limits_from_text([text])


@pytest.mark.parametrize("text", ["positions_max=Infinity", "atr_period=-inf", "positions_max=sNaN"])
def test_whole_number_limit_that_is_not_finite_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError):
        limits_from_text([text])


@pytest.mark.parametrize("key", ["EURUSD", "eur_usd", "EUR/USD"])
def test_per_instrument_limit_for_what_is_no_instrument_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        limits_from_text([f"position_units_max[{key}]=1000"])


def test_stop_mode_that_is_plain_text_is_refused_or_understood() -> None:
    try:
        limits = RiskLimits(stop_mode="pips")  # type: ignore[arg-type]
    except ConfigError:
        return
    assert limits.stop_mode is StopMode.PIPS


@pytest.mark.parametrize("name", ["positions_max", "atr_period"])
def test_whole_number_limit_takes_no_fraction(name: str) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        RiskLimits(**{name: Decimal("2.5")})  # type: ignore[arg-type]


def test_per_instrument_limits_are_frozen_too() -> None:
    limits = RiskLimits()
    with pytest.raises(TypeError):
        limits.position_units_max["EUR_USD"] = Decimal(10) ** 12  # type: ignore[index]


@given(value=st.decimals(allow_nan=True, allow_infinity=True))
def test_risk_is_in_its_range_or_refused(value: Decimal) -> None:
    try:
        limits = limits_from_text([f"risk_per_trade_pct={value}"])
    except ConfigError as refused:
        assert "risk_per_trade_pct" in str(refused)
    else:
        assert Decimal("0.01") <= limits.risk_per_trade_pct <= 5


def test_limits_are_frozen() -> None:
    with pytest.raises(AttributeError):
        RiskLimits().positions_max = 99  # type: ignore[misc]
