"""I am the risk limits: data that the operator sets, with their allowed ranges and units.
I may import decimal, error and instrument.
I must not enforce anything; risk rules and breakers do.
My tests are in tests/unit/domain/test_limits.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from engine.domain.error import ConfigError
from engine.domain.instrument import NAME_PATTERN

ANY = "*"
_WHOLE = ("positions_max", "atr_period")
_PAIR = re.compile(r"(?P<name>[a-z_]+)(\[(?P<key>[^\]]+)\])?=(?P<value>.*)")


class StopMode(StrEnum):
    """How the distances of stop-loss and take-profit are measured."""

    ATR = "atr"
    PIPS = "pips"


class PerInstrument(dict[str, Decimal]):
    """A limit by instrument that cannot be changed after it was checked; "*" stands for every other instrument."""

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("limits cannot be changed; make new ones")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> "PerInstrument":
        return self

    def __deepcopy__(self, _: object) -> "PerInstrument":
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, Decimal]]]:
        return PerInstrument, (dict(self),)


def _limit(default: Any, low: str, high: str, unit: str, label: str, note: str, *, by_hand: bool = False) -> Any:
    meta = {"low": Decimal(low), "high": Decimal(high), "unit": unit, "label": label, "note": note, "by_hand": by_hand}
    if callable(default):
        return field(default_factory=default, metadata=meta)
    return field(default=default, metadata=meta)


def _default_spreads() -> dict[str, Decimal]:
    return {ANY: Decimal(3), "XAU_USD": Decimal(80), "XAG_USD": Decimal(400)}


def _default_position_units() -> dict[str, Decimal]:
    return {ANY: Decimal(100_000), "XAU_USD": Decimal(40), "XAG_USD": Decimal(3_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """What a session may do at most; every field is enforced by a rule or breaker of engine.risk or by sizing.

    Percentages are of equity at the time of the check (daily loss: equity at the start of the trading day;
    drawdown: the highest equity of the session). Mappings are by instrument, "*" standing for every other one.
    Raises ConfigError naming each value that is out of range.
    """

    risk_per_trade_pct: Decimal = _limit(
        Decimal("0.5"),
        "0.01",
        "5",
        "% of equity",
        "Risk per trade",
        "Lost if the stop is hit at its price.",
        by_hand=True,
    )
    exposure_pct_max: Decimal = _limit(
        Decimal(500),
        "1",
        "3000",
        "% of equity",
        "Portfolio exposure",
        "Sum of all positions' size, longs and shorts.",
        by_hand=True,
    )
    position_units_max: Mapping[str, Decimal] = _limit(
        _default_position_units,
        "0",
        "100000000",
        "units",
        "Position size",
        "Most units per instrument, either side.",
        by_hand=True,
    )
    positions_max: int = _limit(
        5, "1", "100", "positions", "Concurrent positions", "Instruments held at once.", by_hand=True
    )
    order_interval_s_min: Decimal = _limit(
        Decimal(30), "0", "86400", "s", "Order interval", "Least time between two entries in one instrument."
    )
    spread_pips_max: Mapping[str, Decimal] = _limit(
        _default_spreads, "0.1", "1000", "pips", "Spread", "No entry while the spread is wider."
    )
    quote_age_s_max: Decimal = _limit(Decimal(10), "0.5", "3600", "s", "Quote age", "No order on an older quote.")
    slippage_pips_max: Decimal = _limit(
        Decimal(2), "0", "100", "pips", "Slippage", "Price bound of entries; 0 switches the bound off."
    )
    stop_mode: StopMode = StopMode.ATR
    stop_loss_pips: Decimal = _limit(Decimal(15), "1", "5000", "pips", "Stop-loss (pips)", "Used in mode pips.")
    take_profit_pips: Decimal = _limit(
        Decimal(30), "0", "10000", "pips", "Take-profit (pips)", "Used in mode pips; 0 = none."
    )
    stop_loss_atr: Decimal = _limit(
        Decimal(3), "0.2", "50", "x ATR", "Stop-loss (ATR)", "Used in mode atr, ATR of the session's granularity."
    )
    take_profit_atr: Decimal = _limit(
        Decimal(5), "0", "100", "x ATR", "Take-profit (ATR)", "Used in mode atr; 0 = none."
    )
    atr_period: int = _limit(14, "2", "200", "bars", "ATR period", "Bars that the average true range looks at.")
    daily_loss_pct_max: Decimal = _limit(
        Decimal(3),
        "0.1",
        "100",
        "% of equity",
        "Daily loss",
        "Open P/L included; the day starts at 17:00 New York.",
        by_hand=True,
    )
    drawdown_pct_max: Decimal = _limit(
        Decimal(10),
        "0.1",
        "100",
        "% of equity",
        "Session drawdown",
        "Fall from the session's highest equity.",
        by_hand=True,
    )

    def __post_init__(self) -> None:
        for name in ("position_units_max", "spread_pips_max"):
            if isinstance(getattr(self, name), Mapping):
                object.__setattr__(self, name, PerInstrument(getattr(self, name)))
        if not isinstance(self.stop_mode, StopMode):
            raise ConfigError(f"stop_mode is {self.stop_mode!r}; it must be one of {', '.join(StopMode)}.")
        problems = [problem for item in ranged_fields() for problem in _problems(item, getattr(self, item.name))]
        if problems:
            raise ConfigError(" ".join(problems))

    def units_cap(self, instrument: str) -> Decimal:
        """Most units of this instrument, either side."""
        return per_instrument(self.position_units_max, instrument)

    def spread_cap(self, instrument: str) -> Decimal:
        """Widest spread for an entry in this instrument, in pips."""
        return per_instrument(self.spread_pips_max, instrument)


def ranged_fields() -> "tuple[Field[Any], ...]":
    """The fields that carry an allowed range, unit and label as metadata, in declaration order."""
    return tuple(item for item in fields(RiskLimits) if item.metadata)


def limits_by_hand() -> tuple[str, ...]:
    """Name the limits that bound a loss; live trading wants each of them set by a person."""
    return tuple(item.name for item in ranged_fields() if item.metadata["by_hand"])


def per_instrument(values: Mapping[str, Decimal], instrument: str) -> Decimal:
    """Look a per-instrument limit up, falling back to the entry for every other instrument."""
    value = values.get(instrument)
    return value if value is not None else values[ANY]


def _problems(item: "Field[Any]", value: object) -> list[str]:
    meta = item.metadata
    if isinstance(value, Mapping):
        missing = [] if ANY in value else [f"{item.name} needs an entry {ANY!r} for every other instrument."]
        missing += [
            f"{item.name}[{key}] names no instrument; it must be like EUR_USD, or {ANY!r}."
            for key in value
            if key != ANY and not NAME_PATTERN.fullmatch(str(key))
        ]
        return missing + [text for key, part in value.items() for text in _range(f"{item.name}[{key}]", part, meta)]
    return _range(item.name, value, meta)


def _range(name: str, value: object, meta: Mapping[str, Any]) -> list[str]:
    low, high, unit = meta["low"], meta["high"], meta["unit"]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        return [f"{name} is {value}; it must be a number from {low} to {high} ({unit})."]
    if not low <= value <= high:
        return [f"{name} is {value}; it must be from {low} to {high} ({unit})."]
    if name in _WHOLE and not isinstance(value, int):
        return [f"{name} is {value}; it must be a whole number from {low} to {high} ({unit})."]
    return []


def limits_from_text(pairs: Iterable[str]) -> RiskLimits:
    """Make limits from NAME=VALUE or NAME[INSTRUMENT]=VALUE texts on top of the defaults.

    Raises ConfigError naming an unknown limit, a value that is no number, or one out of range.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        match = _matched(pair)
        name, key, text = match["name"], match["key"], match["value"]
        known = {item.name: item for item in fields(RiskLimits)}
        if name not in known:
            raise ConfigError(f"Limit {name!r} is unknown; known are {', '.join(known)}.")
        values[name] = _parsed(name, key, text, values.get(name, getattr(_DEFAULTS, name)))
    return replace(_DEFAULTS, **values)


def limits_named(pairs: Iterable[str]) -> tuple[str, ...]:
    """Name the limits that such texts set, each once; raises ConfigError for another form."""
    return tuple(dict.fromkeys(_matched(pair)["name"] for pair in pairs))


def _matched(pair: str) -> re.Match[str]:
    match = _PAIR.fullmatch(pair)
    if not match:
        raise ConfigError(f"Limit {pair!r} is not of the form NAME=VALUE or NAME[INSTRUMENT]=VALUE.")
    return match


def _parsed(name: str, key: str | None, text: str, present: object) -> object:
    if isinstance(present, StopMode):
        if text not in tuple(StopMode):
            raise ConfigError(f"{name} is {text!r}; it must be one of {', '.join(StopMode)}.")
        return StopMode(text)
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"{name} is {text!r}; it must be a number.") from error
    if isinstance(present, Mapping):
        return {**present, key or ANY: number}
    if key:
        raise ConfigError(f"Limit {name} is the same for every instrument; {name}[{key}] is not possible.")
    if isinstance(present, int) and number.is_finite() and number == number.to_integral_value() and abs(number) < 10**9:
        return int(number)
    if isinstance(present, int):
        raise ConfigError(f"{name} is {text}; it must be a whole number.")
    return number


_DEFAULTS = RiskLimits()
