"""What a change of limits loosens is said in the safe direction, and every text of it reads back."""

from collections.abc import Mapping
from dataclasses import Field, fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from engine.domain.error import ConfigError
from engine.domain.limit_changes import (
    changes,
    limits_from_text,
    limits_from_values,
    limits_named,
    loosened,
    values_of,
)
from engine.domain.limits import ANY, RiskLimits, StopMode, Tighter, limit_fields, of_key, ranged_fields
from tests.unit.domain.limit_sets import limit_sets

LONDON = "Mon-Fri 07:00-20:00 Europe/London"
DIRECTED = [item for item in ranged_fields() if item.metadata["tighter"] is not Tighter.NEITHER]


def two(item: "Field[Any]") -> tuple[RiskLimits, RiskLimits]:
    """The limits with a smaller and with a larger value of one limit, neither of them an off."""
    low, high = item.metadata["low"], item.metadata["high"]
    kind = int if item.type is int else Decimal
    is_keyed = bool(item.metadata["keys"])
    values = [kind(low + (high - low) / 4), kind(high)]
    small, large = ({item.name: {ANY: value} if is_keyed else value} for value in values)
    return replace(RiskLimits(), **small), replace(RiskLimits(), **large)


@pytest.mark.parametrize("item", DIRECTED, ids=lambda item: item.name)
def test_a_change_loosens_in_one_direction_only(item: "Field[Any]") -> None:
    small, large = two(item)
    strict, loose = (small, large) if item.metadata["tighter"] is Tighter.LOWER else (large, small)
    assert loosened(strict, loose) == (item.name,)
    assert loosened(loose, strict) == ()
    assert [change.name for change in changes(loose, strict)] == [item.name]


@pytest.mark.parametrize(
    "item",
    [item for item in ranged_fields() if item.metadata["tighter"] is Tighter.NEITHER],
    ids=lambda item: item.name,
)
def test_a_change_without_direction_loosens_both_ways(item: "Field[Any]") -> None:
    small, large = two(item)
    assert loosened(small, large) == loosened(large, small) == (item.name,)


@pytest.mark.parametrize(
    "item", [item for item in DIRECTED if item.metadata["zero_is_off"]], ids=lambda item: item.name
)
def test_switching_off_loosens_and_switching_on_does_not(item: "Field[Any]") -> None:
    zero: Any = 0 if item.type is int else Decimal(0)
    off, on = replace(RiskLimits(), **{item.name: zero}), two(item)[1]
    assert loosened(on, off) == (item.name,)
    assert loosened(off, on) == ()


def test_zero_that_is_not_off_is_the_strictest_or_the_loosest() -> None:
    none = RiskLimits(position_units_max={ANY: Decimal(0)})
    some = RiskLimits(position_units_max={ANY: Decimal(1)})
    assert loosened(none, some) == ("position_units_max",)
    assert loosened(some, none) == ()
    quiet, loud = RiskLimits(news_before_min=10), RiskLimits(news_before_min=0)
    assert loosened(quiet, loud) == ("news_before_min",)
    assert loosened(RiskLimits(edge_pips_min=Decimal(0)), RiskLimits(edge_pips_min=Decimal(-1))) == ("edge_pips_min",)


def test_stop_mode_and_trading_day_are_loosened_by_any_change() -> None:
    assert loosened(RiskLimits(), RiskLimits(stop_mode=StopMode.PIPS)) == ("stop_mode",)
    assert loosened(RiskLimits(), RiskLimits(trading_day="00:00 UTC")) == ("trading_day",)


def test_hours_where_there_were_none_are_stricter_and_everything_else_is_not() -> None:
    always, london = RiskLimits(), RiskLimits(trading_windows={ANY: LONDON})
    other = RiskLimits(trading_windows={ANY: "Mon-Fri 08:00-19:00 Europe/London"})
    assert loosened(always, london) == ()
    assert loosened(london, always) == loosened(london, other) == ("trading_windows",)
    own = RiskLimits(trading_windows={ANY: "always", "EUR_USD": LONDON})
    assert loosened(always, own) == ()
    assert loosened(own, always) == ("trading_windows[EUR_USD]",)
    assert loosened(london, RiskLimits(trading_windows={ANY: LONDON, "EUR_USD": "always"})) == (
        "trading_windows[EUR_USD]",
    )


def test_a_key_that_comes_is_compared_with_what_covered_it() -> None:
    before = RiskLimits(spread_pips_max={ANY: Decimal(3)})
    after = RiskLimits(spread_pips_max={ANY: Decimal(3), "EUR_USD": Decimal(4), "USD_JPY": Decimal(2)})
    told = [(change.name, change.before, change.after, change.loosens) for change in changes(before, after)]
    assert told == [("spread_pips_max[EUR_USD]", "3", "4", True), ("spread_pips_max[USD_JPY]", "3", "2", False)]


def test_a_key_that_goes_is_compared_with_what_covers_it_now() -> None:
    before = RiskLimits(currency_pct_max={ANY: Decimal(500), "JPY": Decimal(50)})
    after = RiskLimits(currency_pct_max={ANY: Decimal(400)})
    told = [(change.name, change.before, change.after, change.loosens) for change in changes(before, after)]
    assert told == [("currency_pct_max", "500", "400", False), ("currency_pct_max[JPY]", "50", "400", True)]


def test_a_key_with_the_value_of_the_others_changes_nothing() -> None:
    assert changes(RiskLimits(), RiskLimits(currency_pct_max={ANY: Decimal(500), "JPY": Decimal("500.0")})) == ()


def in_effect(limits: RiskLimits) -> dict[str, object]:
    """Each limit without the keys that say what "*" says anyway."""
    found: dict[str, object] = {}
    for item in limit_fields():
        value = getattr(limits, item.name)
        if isinstance(value, Mapping):
            value = {key: part for key, part in value.items() if key == ANY or part != value[ANY]}
        found[item.name] = value
    return found


@given(limit_sets(), limit_sets())
def test_neither_way_loosens_only_what_does_not_change(one: RiskLimits, other: RiskLimits) -> None:
    if loosened(one, other) == () and loosened(other, one) == ():
        assert changes(one, other) == () and in_effect(one) == in_effect(other)
    assert changes(one, one) == ()


@given(limit_sets(), limit_sets())
def test_every_difference_is_a_change_with_texts_that_read_back(one: RiskLimits, other: RiskLimits) -> None:
    told = changes(one, other)
    assert (told == ()) is (in_effect(one) == in_effect(other))
    # a key that keeps its value although "*" changes is no change, so it has to be named beside them
    texts = {
        item.name if key == ANY else f"{item.name}[{key}]": of_key(getattr(other, item.name), key)
        for item in limit_fields()
        if item.metadata["keys"]
        for key in {**getattr(one, item.name), **getattr(other, item.name)}
    }
    texts |= {change.name: change.after for change in told}
    assert in_effect(limits_from_text([f"{name}={value}" for name, value in texts.items()], one)) == in_effect(other)
    back = changes(other, one)
    assert [(change.name, change.after, change.before) for change in back] == [
        (change.name, change.before, change.after) for change in told
    ]


@given(limit_sets(), limit_sets(), limit_sets())
@settings(max_examples=50)
def test_steps_that_loosen_nothing_loosen_nothing_together(
    one: RiskLimits, two_: RiskLimits, three: RiskLimits
) -> None:
    if loosened(one, two_) == () and loosened(two_, three) == ():
        assert loosened(one, three) == ()


@given(limit_sets())
def test_values_read_back_as_the_same_limits(limits: RiskLimits) -> None:
    assert limits_from_values(values_of(limits, [item.name for item in limit_fields()])) == limits


def test_values_are_texts_in_the_order_of_the_limits() -> None:
    limits = RiskLimits(risk_per_trade_pct=Decimal("1E-1"), positions_max=2)
    told = values_of(limits, ["positions_max", "risk_per_trade_pct", "stop_mode", "currency_pct_max"])
    assert list(told.items()) == [
        ("risk_per_trade_pct", "0.1"),
        ("positions_max", "2"),
        ("currency_pct_max", {"*": "500"}),
        ("stop_mode", "atr"),
    ]


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        ({"risk": "1"}, ["Limit 'risk' is unknown; `python -m engine limits show` lists them all."]),
        ({"positions_max": 3}, ["positions_max must be one text, like '5'."]),
        ({"positions_max": {"*": "3"}}, ["positions_max must be one text, like '5'."]),
        ({"spread_pips_max": "3"}, ["spread_pips_max must be given by instrument, each value as a text."]),
        ({"spread_pips_max": {"*": 3}}, ["spread_pips_max must be given by instrument, each value as a text."]),
        ({"spread_pips_max": {"EUR_USD": "3"}}, ["spread_pips_max needs an entry '*' for every other instrument."]),
        ({"spread_pips_max": {"*": "0"}}, ["spread_pips_max[*] is 0; it must be from 0.1 to 1000 (pips)."]),
        ({"currency_pct_max": {"*": "9", "EUR_USD": "9"}}, ["currency_pct_max[EUR_USD] names no currency"]),
        (
            {"risk": "1", "positions_max": "0", "stop_mode": "x", "trading_day": "noon"},
            ["'risk' is unknown", "positions_max is 0; it must be from 1 to 100", "stop_mode is 'x'", "trading_day is"],
        ),
    ],
)
def test_bad_values_are_all_named(values: Mapping[str, object], sentences: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        limits_from_values(values)
    assert all(sentence in str(refused.value) for sentence in sentences)


def test_a_limit_by_key_is_given_as_a_whole() -> None:
    limits = limits_from_values({"position_units_max": {"*": "10"}})
    assert dict(limits.position_units_max) == {"*": Decimal(10)}, "nothing of the defaults is left"


def test_text_sets_a_limit_and_keeps_the_other_defaults() -> None:
    limits = limits_from_text(["risk_per_trade_pct=0.25", "positions_max=2", "stop_mode=pips", "loss_streak_max=3"])
    expected: dict[str, object] = {
        "risk_per_trade_pct": Decimal("0.25"),
        "positions_max": 2,
        "stop_mode": StopMode.PIPS,
        "loss_streak_max": 3,
    }
    for item in fields(RiskLimits):
        assert getattr(limits, item.name) == expected.get(item.name, getattr(RiskLimits(), item.name))
    assert limits.stop_mode is StopMode.PIPS
    assert isinstance(limits.positions_max, int)


def test_text_by_key_adds_to_the_defaults() -> None:
    limits = limits_from_text(
        ["position_units_max[EUR_USD]=5000", "position_units_max=7000", "spread_pips_max[EUR_USD]=1.5"]
        + ["currency_pct_max[JPY]=50", f"trading_windows[EUR_USD]= {LONDON}  "]
    )
    assert (limits.units_cap("EUR_USD"), limits.units_cap("GBP_USD")) == (5_000, 7_000)
    assert limits.units_cap("XAU_USD") == RiskLimits().units_cap("XAU_USD")
    assert (limits.spread_cap("EUR_USD"), limits.spread_cap("GBP_USD")) == (Decimal("1.5"), 3)
    assert (limits.currency_cap_pct("JPY"), limits.currency_cap_pct("USD")) == (50, 500)
    assert limits.trading_windows == {ANY: "always", "EUR_USD": LONDON}
    assert "EUR_USD" not in RiskLimits().position_units_max


def test_text_is_put_on_top_of_other_limits() -> None:
    base = RiskLimits(positions_max=1, drawdown_pct_max=Decimal(4))
    assert limits_from_text(["positions_max=2"], base) == replace(base, positions_max=2)


def test_no_text_means_the_defaults() -> None:
    assert limits_from_text([]) == RiskLimits()


def test_limits_named_are_told_once_each() -> None:
    told = limits_named(["positions_max=2", "spread_pips_max[EUR_USD]=1", "spread_pips_max=2"])
    assert told == ("positions_max", "spread_pips_max")


def test_unknown_risk_key_rejected() -> None:
    with pytest.raises(ConfigError) as refused:
        limits_from_text(["risk_per_trade=1"])
    assert str(refused.value) == (
        "Limit 'risk_per_trade' is unknown; the nearest is risk_per_trade_pct. `python -m engine limits show` lists "
        "them all."
    )
    with pytest.raises(ConfigError, match="the nearest are news_(before|after)_min and news_(before|after)_min. `"):
        limits_from_text(["news_min=1"])


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["positions_max=2", "positions_max=3"], "positions_max"),
        (["positions_max=2", "drawdown_pct_max=3", "positions_max=2"], "positions_max"),
        (["spread_pips_max=2", "spread_pips_max[*]=2"], "spread_pips_max"),
        (["spread_pips_max[EUR_USD]=2", "spread_pips_max[EUR_USD]=3"], "spread_pips_max[EUR_USD]"),
    ],
)
def test_a_limit_that_is_given_twice_is_refused(texts: list[str], name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        limits_from_text(texts)
    assert str(refused.value) == f"Limit {name} is given twice; give it once."


def test_a_limit_is_not_given_twice_with_two_keys() -> None:
    made = limits_from_text(["spread_pips_max[EUR_USD]=2", "spread_pips_max[GBP_USD]=2", "spread_pips_max=4"])
    assert (made.spread_cap("EUR_USD"), made.spread_cap("GBP_USD"), made.spread_cap("USD_JPY")) == (2, 2, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("positions_max", "not of the form NAME=VALUE"),
        ("=3", "not of the form NAME=VALUE"),
        ("positions_max[]=3", "not of the form NAME=VALUE"),
        ("positions_max=three", "positions_max is 'three'; it must be a whole number from 1 to 100 \\(positions\\)."),
        ("positions_max=", "positions_max is ''; it must be a whole number from 1 to 100 \\(positions\\)."),
        ("positions_max=2.5", "positions_max is 2.5; it must be a whole number from 1 to 100 \\(positions\\)."),
        ("positions_max=NaN", "positions_max is NaN; it must be a whole number from 1 to 100 \\(positions\\)."),
        (
            "positions_max=Infinity",
            "positions_max is Infinity; it must be a whole number from 1 to 100 \\(positions\\).",
        ),
        ("atr_period=-inf", "atr_period is -inf; it must be a whole number from 2 to 200 \\(bars\\)."),
        ("positions_max=sNaN", "positions_max is sNaN; it must be a whole number from 1 to 100 \\(positions\\)."),
        (
            "positions_max=1e999999",
            "positions_max is 1e999999; it must be a whole number from 1 to 100 \\(positions\\).",
        ),
        ("positions_max=101", "positions_max is 101; it must be from 1 to 100 \\(positions\\)."),
        ("positions_max[EUR_USD]=3", "positions_max\\[EUR_USD\\] is not possible"),
        ("risk_per_trade_pct=5.01", "risk_per_trade_pct is 5.01; it must be from 0.01 to 5 \\(% of equity\\)."),
        ("risk_per_trade_pct=-1", "risk_per_trade_pct is -1; it must be from 0.01 to 5"),
        ("risk_per_trade_pct=NaN", "risk_per_trade_pct is .*; it must be a number from 0.01 to 5"),
        ("spread_pips_max[EUR_USD]=0", "spread_pips_max\\[EUR_USD\\] is 0; it must be from 0.1 to 1000"),
        ("position_units_max[EURUSD]=5", "position_units_max\\[EURUSD\\] names no instrument"),
        ("currency_pct_max[EUR_USD]=5", "currency_pct_max\\[EUR_USD\\] names no currency"),
        ("stop_mode=percent", "stop_mode is 'percent'; it must be one of atr, pips."),
        ("trading_day=noon", "trading_day is 'noon'; it must be a full hour"),
        ("trading_windows[EUR_USD]=noon", "trading_windows\\[EUR_USD\\] is 'noon'; it must be always"),
    ],
)
def test_bad_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        limits_from_text([text])
