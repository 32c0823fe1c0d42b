"""Limits have ranges; a typing error is refused, never quietly ignored."""

import copy
import pickle
from collections.abc import Mapping
from dataclasses import Field, fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.limit_changes import limits_from_text
from engine.domain.limits import (
    ANY,
    Effect,
    RiskLimits,
    StopMode,
    Tighter,
    limit_fields,
    limits_by_hand,
    of_key,
    ranged_fields,
)

ONE_STEP = Decimal("0.0001")
NAMES = [item.name for item in ranged_fields()]
KEYED = [item for item in limit_fields() if item.metadata["keys"]]
KEYED_NAMES = [item.name for item in KEYED]
TEXTS = [item.name for item in limit_fields() if "low" not in item.metadata]
KEY_OF = {"instrument": "EUR_USD", "currency": "EUR"}


def with_value(item: "Field[Any]", value: Any, key: str = ANY) -> RiskLimits:
    default = getattr(RiskLimits(), item.name)
    return RiskLimits(**{item.name: {ANY: default[ANY], key: value} if isinstance(default, Mapping) else value})


def whole(item: "Field[Any]", end: Decimal) -> Decimal | int:
    return int(end) if item.type is int else end


@pytest.mark.parametrize("item", ranged_fields(), ids=NAMES)
def test_both_ends_of_each_range_are_allowed(item: "Field[Any]") -> None:
    for end in (item.metadata["low"], item.metadata["high"]):
        with_value(item, whole(item, end))


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


@pytest.mark.parametrize("item", [item for item in ranged_fields() if item.type is int], ids=lambda item: item.name)
def test_whole_number_limit_takes_no_fraction(item: "Field[Any]") -> None:
    with pytest.raises(ConfigError, match=f"{item.name} is .*; it must be a whole number"):
        with_value(item, item.metadata["low"] + Decimal("0.5"))


@pytest.mark.parametrize("item", [item for item in KEYED if "low" in item.metadata], ids=lambda item: item.name)
def test_a_bad_value_of_one_key_is_named_with_its_key(item: "Field[Any]") -> None:
    key = KEY_OF[item.metadata["keys"]]
    with pytest.raises(ConfigError) as refused:
        with_value(item, item.metadata["high"] + 1, key)
    assert str(refused.value).startswith(f"{item.name}[{key}] is ")
    assert len(str(refused.value).split(".")) == 2 + str(item.metadata["low"]).count(".")


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        RiskLimits(
            risk_per_trade_pct=Decimal(50),
            positions_max=0,
            spread_pips_max={ANY: Decimal(3), "EUR_USD": Decimal(0)},
            currency_pct_max={ANY: Decimal(100), "JPY": Decimal(0)},
            trading_day="noon",
        )
    parts = ("risk_per_trade_pct is 50", "positions_max is 0", "spread_pips_max[EUR_USD] is 0")
    parts = (*parts, "currency_pct_max[JPY] is 0", "trading_day is 'noon'")
    assert all(part in str(refused.value) for part in parts)


@pytest.mark.parametrize("item", KEYED, ids=KEYED_NAMES)
def test_limit_by_key_needs_an_entry_for_the_others(item: "Field[Any]") -> None:
    key, value = KEY_OF[item.metadata["keys"]], getattr(RiskLimits(), item.name)[ANY]
    with pytest.raises(ConfigError) as refused:
        RiskLimits(**{item.name: {key: value}})
    assert str(refused.value) == f"{item.name} needs an entry '*' for every other {item.metadata['keys']}."


@pytest.mark.parametrize("item", KEYED, ids=KEYED_NAMES)
def test_limit_by_key_that_is_one_value_is_refused_with_that_value(item: "Field[Any]") -> None:
    with pytest.raises(ConfigError) as refused:
        RiskLimits(**{item.name: Decimal(3)})  # type: ignore[arg-type]
    assert str(refused.value).startswith(f"{item.name} is 3; it must be given by {item.metadata['keys']}")


@pytest.mark.parametrize("item", KEYED, ids=KEYED_NAMES)
@pytest.mark.parametrize("key", ["", "eur_usd", "EUR/USD", "E", "**", "EUR_USD "])
def test_limit_for_what_is_no_such_key_is_refused(item: "Field[Any]", key: str) -> None:
    value = getattr(RiskLimits(), item.name)[ANY]
    with pytest.raises(ConfigError) as refused:
        with_value(item, value, key)
    assert f"{item.name}[{key}] names no {item.metadata['keys']}; it must be like " in str(refused.value)


def test_a_currency_is_no_instrument_and_the_other_way_round() -> None:
    with pytest.raises(ConfigError, match="names no currency; it must be like EUR, or"):
        RiskLimits(currency_pct_max={ANY: Decimal(100), "EUR_USD": Decimal(50)})
    with pytest.raises(ConfigError, match="names no instrument; it must be like EUR_USD, or"):
        RiskLimits(spread_pips_max={ANY: Decimal(3), "EUR": Decimal(2)})


def test_limit_by_key_falls_back_to_the_others_entry() -> None:
    limits = RiskLimits(
        position_units_max={ANY: Decimal(1_000), "XAU_USD": Decimal(0)},
        position_pct_max={ANY: Decimal(100), "XAU_USD": Decimal(20)},
        spread_pips_max={ANY: Decimal(3), "XAU_USD": Decimal(50)},
        currency_pct_max={ANY: Decimal(200), "JPY": Decimal(40)},
        trading_windows={ANY: "always", "XAU_USD": "Mon-Fri 08:00-16:00 UTC"},
    )
    assert (limits.units_cap("EUR_USD"), limits.units_cap("XAU_USD")) == (1_000, 0)
    assert (limits.value_cap_pct("EUR_USD"), limits.value_cap_pct("XAU_USD")) == (100, 20)
    assert (limits.spread_cap("EUR_USD"), limits.spread_cap("XAU_USD")) == (3, 50)
    assert (limits.currency_cap_pct("EUR"), limits.currency_cap_pct("JPY")) == (200, 40)
    assert of_key(limits.trading_windows, "EUR_USD") == "always"
    assert of_key(limits.trading_windows, "XAU_USD").startswith("Mon-Fri")


BAD_TEXTS = [
    ({"stop_mode": "percent"}, "stop_mode is 'percent'; it must be one of atr, pips."),
    ({"trading_day": "17:30 America/New_York"}, "trading_day is '17:30 America/New_York'; it must be a full hour and"),
    ({"trading_day": "17:00"}, "trading_day is '17:00'; it must be a full hour and a time zone"),
    ({"trading_day": "24:00 UTC"}, "trading_day is '24:00 UTC'; it must be a full hour and a time zone"),
    ({"trading_day": "17:00 Mars/Base"}, "trading_day is '17:00 Mars/Base'; 'Mars/Base' is no time zone"),
    ({"trading_day": None}, "trading_day is 'None'; it must be a full hour"),
    ({"trading_windows": {ANY: "sometimes"}}, "trading_windows[*] is 'sometimes'; it must be always, or like"),
    ({"trading_windows": {ANY: ""}}, "trading_windows[*] is ''; it must be always, or like"),
    (
        {"trading_windows": {ANY: "always", "EUR_USD": "Mon-Fry 07:00-20:00 UTC"}},
        "trading_windows[EUR_USD] is 'Mon-Fry 07:00-20:00 UTC'; 'Mon-Fry' names no days of the week",
    ),
]


@pytest.mark.parametrize(("given_", "sentence"), BAD_TEXTS, ids=lambda value: str(value)[:40])
def test_bad_text_limit_is_refused_with_one_clear_sentence(given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RiskLimits(**given_)
    text = str(refused.value)
    assert text.startswith(sentence)
    assert text.endswith(".") and ". " not in text and "\n" not in text


def test_every_text_limit_is_among_the_bad_ones() -> None:
    assert set(TEXTS) == {name for given_, _ in BAD_TEXTS for name in given_}


@pytest.mark.parametrize("item", limit_fields(), ids=lambda item: item.name)
def test_each_limit_says_how_it_gets_stricter_when_it_counts_and_what_it_is(item: "Field[Any]") -> None:
    meta = item.metadata
    assert isinstance(meta["tighter"], Tighter) and isinstance(meta["effect"], Effect)
    assert meta["keys"] in ("", "instrument", "currency")
    assert bool(meta["keys"]) is isinstance(getattr(RiskLimits(), item.name), Mapping)
    assert meta["label"] and meta["note"].endswith(".")
    if meta.get("zero_is_off"):
        assert meta["low"] == 0 and meta["tighter"] is not Tighter.NEITHER


def test_live_trading_wants_what_bounds_a_loss() -> None:
    assert limits_by_hand() == (
        "risk_per_trade_pct",
        "exposure_pct_max",
        "position_units_max",
        "positions_max",
        "daily_loss_pct_max",
        "drawdown_pct_max",
    )


def test_stop_mode_that_is_plain_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="stop_mode is 'pips'"):
        RiskLimits(stop_mode="pips")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KEYED_NAMES)
def test_limits_by_key_are_frozen_too(name: str) -> None:
    mapping = getattr(RiskLimits(), name)
    for change in (
        lambda: mapping.__setitem__("EUR_USD", Decimal(10) ** 12),
        lambda: mapping.__delitem__(ANY),
        lambda: mapping.update(EUR_USD=1),
        lambda: mapping.clear(),
        lambda: mapping.pop(ANY),
        lambda: mapping.popitem(),
        lambda: mapping.setdefault("EUR_USD", 1),
        lambda: mapping.__ior__({"EUR_USD": 1}),
    ):
        with pytest.raises(TypeError, match="limits cannot be changed"):
            change()
    assert mapping == getattr(RiskLimits(), name)


def test_what_was_handed_in_does_not_reach_the_limits_afterwards() -> None:
    units = {ANY: Decimal(10)}
    limits = RiskLimits(position_units_max=units)
    units[ANY] = Decimal(1_000)
    assert limits.units_cap("EUR_USD") == 10


def test_copies_are_equal_and_frozen() -> None:
    limits = RiskLimits(positions_max=2, stop_mode=StopMode.PIPS)
    for other in (copy.copy(limits), copy.deepcopy(limits), pickle.loads(pickle.dumps(limits))):  # noqa: S301, TID251
        assert other == limits
        with pytest.raises(TypeError):
            other.spread_pips_max["EUR_USD"] = Decimal(9)


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


def test_fields_are_told_in_declaration_order() -> None:
    assert [item.name for item in limit_fields()] == [item.name for item in fields(RiskLimits)]
    assert [name for name in NAMES if name in TEXTS] == []
    assert {*NAMES, *TEXTS} == {item.name for item in limit_fields()}
