"""I am the risk limits: data that the operator sets, with their allowed ranges and units.
I may import decimal, error, instrument and schedule.
I must not enforce anything; risk rules and breakers do.
My tests are in tests/unit/domain/test_limits.py.
"""

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from engine.domain.error import ConfigError
from engine.domain.instrument import NAME_PATTERN
from engine.domain.schedule import ALWAYS, DayStart, Windows

ANY = "*"
_WHOLE = frozenset(
    ("positions_max", "orders_per_minute_max", "repeated_entries_max", "atr_period", "guard_bars", "loss_streak_max",
     "model_faults_max", "broker_errors_max", "cooldown_s", "weekend_cutoff_min", "rollover_blackout_min",
     "news_before_min", "news_after_min")
)  # fmt: skip
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")
_V = TypeVar("_V")


class StopMode(StrEnum):
    """How the distances of stop-loss and take-profit are measured."""

    ATR = "atr"
    PIPS = "pips"


class Tighter(StrEnum):
    """In which direction a limit gets stricter; a change of one that gets so in neither is treated as loosening."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Effect(StrEnum):
    """From when on a changed limit counts."""

    NOW = "now"
    ENTRY = "next entry"
    SESSION = "next session"


class Keyed(dict[str, _V]):
    """A limit by instrument or currency that cannot be changed after it was checked; "*" stands for every other one."""

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("limits cannot be changed; make new ones")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> "Keyed[_V]":
        return self

    def __deepcopy__(self, _: object) -> "Keyed[_V]":
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, _V]]]:
        return Keyed, (dict(self),)


def _limit(
    default: Any,
    span: tuple[str, str],
    unit: str,
    label: str,
    note: str,
    *,
    tighter: Tighter = Tighter.LOWER,
    effect: Effect = Effect.NOW,
    zero_is_off: bool = False,
    by_hand: bool = False,
    keys: str = "",
) -> Any:
    low, high = map(Decimal, span)
    meta = {
        "low": low, "high": high, "unit": unit, "label": label, "note": note, "tighter": tighter, "effect": effect,
        "zero_is_off": zero_is_off, "by_hand": by_hand, "keys": keys,
    }  # fmt: skip
    return _field(default, meta)


def _words(default: Any, label: str, note: str, *, unit: str = "", effect: Effect = Effect.NOW, keys: str = "") -> Any:
    """A limit that is no number: a change of it is treated as loosening."""
    meta = {"label": label, "note": note, "unit": unit, "tighter": Tighter.NEITHER, "effect": effect, "keys": keys}
    return _field(default, meta)


def _field(default: Any, meta: dict[str, Any]) -> Any:
    if isinstance(default, Mapping):
        return field(default_factory=lambda: Keyed(default), metadata=meta)
    return field(default=default, metadata=meta)


_INSTRUMENT, _MONEY = "instrument", "currency"
_EQUITY = "% of equity"
_UNITS = {ANY: Decimal(100_000), "XAU_USD": Decimal(40), "XAG_USD": Decimal(3_000)}
_SPREADS = {ANY: Decimal(3), "XAU_USD": Decimal(80), "XAG_USD": Decimal(400)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """What a session may do at most; every field is enforced by a rule or breaker of engine.risk or by sizing.

    Percentages are of equity at the time of the check (daily loss: equity at the start of the trading day;
    drawdown: the highest equity of the session). Mappings are by instrument or currency, "*" standing for every other
    one. Each field's metadata has its range, unit, label, the direction in which it gets stricter, and from when on a
    change counts. Raises ConfigError naming each value that is out of range.
    """

    risk_per_trade_pct: Decimal = _limit(
        Decimal("0.5"), ("0.01", "5"), _EQUITY, "Risk per trade", "Lost if the stop is hit at its price.",
        effect=Effect.ENTRY, by_hand=True,
    )  # fmt: skip
    exposure_pct_max: Decimal = _limit(
        Decimal(500), ("1", "3000"), _EQUITY, "Portfolio exposure", "Sum of all positions' size, longs and shorts.",
        by_hand=True,
    )  # fmt: skip
    exposure_net_pct_max: Decimal = _limit(
        Decimal(500), ("1", "3000"), _EQUITY, "Net exposure", "Longs minus shorts, whichever side is larger."
    )
    margin_pct_max: Decimal = _limit(
        Decimal(50), ("1", "100"), _EQUITY, "Margin use", "Margin of all positions by the broker's rates."
    )
    position_units_max: Mapping[str, Decimal] = _limit(
        _UNITS, ("0", "100000000"), "units", "Position size", "Most units per instrument, either side.",
        by_hand=True, keys=_INSTRUMENT,
    )  # fmt: skip
    position_pct_max: Mapping[str, Decimal] = _limit(
        {ANY: Decimal(500)}, ("1", "3000"), _EQUITY, "Position value", "Most value per instrument, either side.",
        keys=_INSTRUMENT,
    )  # fmt: skip
    positions_max: int = _limit(
        5, ("1", "100"), "positions", "Concurrent positions", "Instruments held at once.", by_hand=True
    )
    currency_pct_max: Mapping[str, Decimal] = _limit(
        {ANY: Decimal(500)}, ("1", "3000"), _EQUITY, "Currency leg",
        "Net amount of one currency over all positions, long or short.", keys=_MONEY,
    )  # fmt: skip
    order_interval_s_min: Decimal = _limit(
        Decimal(30), ("0", "86400"), "s", "Order interval", "Least time between two entries in one instrument.",
        tighter=Tighter.HIGHER, zero_is_off=True,
    )  # fmt: skip
    orders_per_minute_max: int = _limit(
        30, ("1", "1000"), "orders per minute", "Order rate", "All orders of the session, exits counted."
    )
    repeated_entries_max: int = _limit(
        30, ("1", "1000"), "entries", "Repeated entries",
        "Entries in a row to one side of an instrument; then it waits for a person.",
    )  # fmt: skip
    spread_pips_max: Mapping[str, Decimal] = _limit(
        _SPREADS, ("0.1", "1000"), "pips", "Spread", "No entry while the spread is wider.", keys=_INSTRUMENT
    )
    spread_ratio_max: Decimal = _limit(
        Decimal(4), ("1", "100"), "x median", "Spread against its median", "Median of the guard's bars at their close."
    )
    volatility_ratio_max: Decimal = _limit(
        Decimal(5), ("1", "100"), "x median", "Volatility",
        "Average true range against the median true range of the guard's bars.",
    )  # fmt: skip
    guard_bars: int = _limit(
        100, ("20", "250"), "bars", "Bars of the guards", "Newest closed bars that both medians are made of.",
        tighter=Tighter.NEITHER, effect=Effect.SESSION,
    )  # fmt: skip
    price_collar_atr_max: Decimal = _limit(
        Decimal(5), ("0.1", "100"), "x ATR", "Price collar", "Distance of the quote from the last closed bar."
    )
    quote_age_s_max: Decimal = _limit(Decimal(10), ("0.5", "3600"), "s", "Quote age", "No order on an older quote.")
    slippage_pips_max: Decimal = _limit(
        Decimal(2), ("0", "100"), "pips", "Slippage", "Price bound of entries; 0 switches the bound off.",
        effect=Effect.ENTRY, zero_is_off=True,
    )  # fmt: skip
    edge_pips_min: Decimal = _limit(
        Decimal(0), ("-1000", "1000"), "pips", "Edge after costs",
        "Expected gain of an entry after spread, slippage and financing.", tighter=Tighter.HIGHER,
    )  # fmt: skip
    stop_mode: StopMode = _words(
        StopMode.ATR, "Stops measured by", "ATR of the session's granularity, or pips.", unit="atr or pips",
        effect=Effect.ENTRY,
    )  # fmt: skip
    stop_loss_pips: Decimal = _limit(
        Decimal(15), ("1", "5000"), "pips", "Stop-loss (pips)", "Used in mode pips.",
        tighter=Tighter.NEITHER, effect=Effect.ENTRY,
    )  # fmt: skip
    take_profit_pips: Decimal = _limit(
        Decimal(30), ("0", "10000"), "pips", "Take-profit (pips)", "Used in mode pips; 0 = none.",
        tighter=Tighter.NEITHER, effect=Effect.ENTRY,
    )  # fmt: skip
    stop_loss_atr: Decimal = _limit(
        Decimal(3), ("0.2", "50"), "x ATR", "Stop-loss (ATR)", "Used in mode atr, ATR of the session's granularity.",
        tighter=Tighter.NEITHER, effect=Effect.ENTRY,
    )  # fmt: skip
    take_profit_atr: Decimal = _limit(
        Decimal(5), ("0", "100"), "x ATR", "Take-profit (ATR)", "Used in mode atr; 0 = none.",
        tighter=Tighter.NEITHER, effect=Effect.ENTRY,
    )  # fmt: skip
    atr_period: int = _limit(
        14, ("2", "200"), "bars", "ATR period", "Bars that the average true range looks at.",
        tighter=Tighter.NEITHER, effect=Effect.SESSION,
    )  # fmt: skip
    trading_windows: Mapping[str, str] = _words(
        {ANY: ALWAYS}, "Trading windows", "Entries only then, for example Mon-Fri 07:00-20:00 Europe/London.",
        unit="days, hours, zone", keys=_INSTRUMENT,
    )  # fmt: skip
    weekend_cutoff_min: int = _limit(
        30, ("0", "2880"), "min", "Weekend cut-off", "No entry this long before Friday 17:00 New York.",
        tighter=Tighter.HIGHER, zero_is_off=True,
    )  # fmt: skip
    rollover_blackout_min: int = _limit(
        5, ("0", "180"), "min", "Rollover blackout", "No entry this long before and after 17:00 New York.",
        tighter=Tighter.HIGHER, zero_is_off=True,
    )  # fmt: skip
    news_before_min: int = _limit(
        15, ("0", "1440"), "min", "News blackout before", "No entry this long before an event of the news calendar.",
        tighter=Tighter.HIGHER,
    )  # fmt: skip
    news_after_min: int = _limit(
        15, ("0", "1440"), "min", "News blackout after", "No entry this long after an event of the news calendar.",
        tighter=Tighter.HIGHER,
    )  # fmt: skip
    cooldown_s: int = _limit(
        0, ("0", "86400"), "s", "Cool-down", "No entry in an instrument this long after a losing trade in it.",
        tighter=Tighter.HIGHER, zero_is_off=True,
    )  # fmt: skip
    trading_day: str = _words(
        "17:00 America/New_York", "Trading day begins", "The daily loss is measured from here.",
        unit="full hour and zone", effect=Effect.SESSION,
    )  # fmt: skip
    daily_loss_pct_max: Decimal = _limit(
        Decimal(3), ("0.1", "100"), _EQUITY, "Daily loss", "Fall of equity in the trading day, open P/L included.",
        by_hand=True,
    )  # fmt: skip
    drawdown_pct_max: Decimal = _limit(
        Decimal(10), ("0.1", "100"), _EQUITY, "Session drawdown", "Fall from the session's highest equity.",
        by_hand=True,
    )  # fmt: skip
    loss_streak_max: int = _limit(
        0, ("0", "1000"), "trades", "Loss streak", "Losing trades in a row over all instruments; 0 switches it off.",
        zero_is_off=True,
    )  # fmt: skip
    model_faults_max: int = _limit(
        3, ("1", "10"), "faults", "Model faults", "Of the newest 10 answers of the model in an instrument."
    )
    data_age_s_max: Decimal = _limit(
        Decimal(300), ("5", "86400"), "s", "Data age", "Age of the newest quote while the market is open."
    )
    broker_errors_max: int = _limit(
        10, ("1", "1000"), "errors", "Broker errors", "Outages begun, orders failed or refused, within five minutes."
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata["keys"] and isinstance(value, Mapping):
                object.__setattr__(self, item.name, Keyed(value))
        problems = [problem for item in fields(self) for problem in _problems(item, getattr(self, item.name))]
        if problems:
            raise ConfigError(" ".join(problems))

    def units_cap(self, instrument: str) -> Decimal:
        """Most units of this instrument, either side."""
        return of_key(self.position_units_max, instrument)

    def value_cap_pct(self, instrument: str) -> Decimal:
        """Most value of this instrument, either side, in percent of equity."""
        return of_key(self.position_pct_max, instrument)

    def currency_cap_pct(self, currency: str) -> Decimal:
        """Most of this currency over all positions, long or short, in percent of equity."""
        return of_key(self.currency_pct_max, currency)

    def spread_cap(self, instrument: str) -> Decimal:
        """Widest spread for an entry in this instrument, in pips."""
        return of_key(self.spread_pips_max, instrument)


_ONE = {
    "entries": "entry", "trades": "trade", "faults": "fault", "errors": "error", "positions": "position",
    "units": "unit", "bars": "bar", "orders per minute": "order per minute",
}  # fmt: skip


def counted(number: str, unit: str) -> str:
    """Write a number with its unit, which is in the plural but for one."""
    return f"{number} {_ONE.get(unit, unit) if number == '1' else unit}"


def limit_fields() -> "tuple[Field[Any], ...]":
    """Every field with its metadata, in declaration order."""
    return fields(RiskLimits)


def ranged_fields() -> "tuple[Field[Any], ...]":
    """The fields that are numbers and carry an allowed range, in declaration order."""
    return tuple(item for item in fields(RiskLimits) if "low" in item.metadata)


def is_whole(item: "Field[Any]") -> bool:
    """Say whether this limit counts something, so that only a whole number makes sense."""
    return item.name in _WHOLE


def limits_by_hand() -> tuple[str, ...]:
    """Name the limits that bound a loss; live trading wants each of them set by a person."""
    return tuple(item.name for item in ranged_fields() if item.metadata["by_hand"])


def of_key(values: Mapping[str, _V], key: str) -> _V:
    """Look a limit by instrument or currency up, falling back to the entry for every other one."""
    value = values.get(key)
    return value if value is not None else values[ANY]


def _problems(item: "Field[Any]", value: object) -> list[str]:
    judge = _range if "low" in item.metadata else _wording
    if not item.metadata["keys"]:
        return judge(item, item.name, value)
    if not isinstance(value, Mapping):
        kind = item.metadata["keys"]
        return [f"{item.name} is {value}; it must be given by {kind}, with an entry {ANY!r} for every other one."]
    missing = [] if ANY in value else [f"{item.name} needs an entry {ANY!r} for every other {item.metadata['keys']}."]
    missing += [problem for key in value if (problem := _bad_key(item, str(key)))]
    return missing + [text for key, part in value.items() for text in judge(item, f"{item.name}[{key}]", part)]


def _bad_key(item: "Field[Any]", key: str) -> str:
    kind = item.metadata["keys"]
    pattern, example = (NAME_PATTERN, "EUR_USD") if kind == _INSTRUMENT else (_CURRENCY, "EUR")
    if key == ANY or pattern.fullmatch(key):
        return ""
    return f"{item.name}[{key}] names no {kind}; it must be like {example}, or {ANY!r}."


def _range(item: "Field[Any]", name: str, value: object) -> list[str]:
    low, high, unit = (item.metadata[key] for key in ("low", "high", "unit"))
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        return [f"{name} is {value}; it must be a number from {low} to {high} ({unit})."]
    if not low <= value <= high:
        return [f"{name} is {value}; it must be from {low} to {high} ({unit})."]
    if is_whole(item) and not isinstance(value, int):
        return [f"{name} is {value}; it must be a whole number from {low} to {high} ({unit})."]
    return []


def _wording(item: "Field[Any]", name: str, value: object) -> list[str]:
    """Check a limit that is no number."""
    if item.name == "stop_mode":
        known = isinstance(value, StopMode)
        return [] if known else [f"{name} is {value!r}; it must be one of {', '.join(StopMode)}."]
    parse = Windows.parse if item.name == "trading_windows" else DayStart.parse
    try:
        parse(str(value))
    except ConfigError as error:
        return [f"{name} is {str(value)!r}; {error}"]
    return []
