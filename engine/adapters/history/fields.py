"""I am the reader of fields: a header, a moment and a price from their text.
I may import instrument, error and csv.
I must not compare lines with one another; whoever asks does.
My tests are in tests/unit/adapters/history/test_fields.py.
"""

import csv
import re
from collections import Counter
from datetime import date
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

from engine.adapters.history.imported import ProblemKind
from engine.adapters.history.moments import DAY_NS, HOUR_NS, MINUTE_NS
from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S

PRICE_COLUMNS = (
    "bid_open", "bid_high", "bid_low", "bid_close", "ask_open", "ask_high", "ask_low", "ask_close",
)  # fmt: skip
COLUMNS = ("time", *PRICE_COLUMNS)
PRICE_MAX = Decimal(1_000_000_000)
YEAR_MIN, YEAR_MAX = 1970, 2261  # what signed 64-bit nanoseconds can hold, and nothing before them

_SHOWN_MAX = 40
_NUMBER_MAX = 64  # characters; the shortest exact text of a float needs at most 24
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CLOCK = re.compile(
    r"[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?([Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))?", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_NON_FINITE = re.compile(r"[+-]?(?:s?nan|inf(?:inity)?)", re.IGNORECASE)


class LineFault(Exception):
    """A line cannot become a bar; caught by the reader of the file, who knows the line's number."""

    def __init__(self, kind: ProblemKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def shown(text: str) -> str:
    """Quote text from a file, shortened, so that nothing in it can disturb a message."""
    return repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "...")


class Header:
    """Where the columns of one file are; raises ConfigError naming what its first line lacks or has twice."""

    __slots__ = ("_prices", "_time", "_width")

    def __init__(self, path: Path, line: str) -> None:
        names = _names(path, line.removeprefix("\ufeff"))
        missing = [name for name in COLUMNS if name not in names]
        if len(missing) == len(COLUMNS):
            raise ConfigError(f"{path} has no header: its first line must name {', '.join(COLUMNS)}.")
        if missing:
            raise ConfigError(f"{path} lacks {', '.join(missing)}: its first line must name {', '.join(COLUMNS)}.")
        twice = [name for name, count in Counter(names).items() if count > 1 and name in COLUMNS]
        if twice:
            raise ConfigError(f"{path} has more than one column {', '.join(twice)}.")
        self._width = len(names)
        self._time = names.index("time")
        self._prices = itemgetter(*(names.index(name) for name in PRICE_COLUMNS))

    def split(self, line: str) -> tuple[str, tuple[str, ...]]:
        """Cut a line into its time and its prices in the order of PRICE_COLUMNS; raises LineFault."""
        fields = _split(line)
        if len(fields) != self._width:
            raise LineFault(ProblemKind.WRONG_COLUMNS, f"{len(fields)} columns instead of {self._width}")
        return fields[self._time].strip(), self._prices(fields)


class Times:
    """Moments from RFC 3339 text; remembers dates and times of day, which repeat from line to line."""

    __slots__ = ("_clocks", "_days")

    def __init__(self) -> None:
        self._days: dict[str, int] = _Days()
        self._clocks: dict[str, int] = _Clocks()

    def ns(self, text: str) -> int:
        """Turn RFC 3339 text with an offset into ts_ns; raises LineFault."""
        return self._days[text[:10]] + self._clocks[text[10:]]


class Prices(dict[str, Decimal]):
    """Prices of one instrument by their text, rounded half-even to its decimals; raises LineFault for unsound text.

    The same text gives the same object: recorded prices repeat, and a Decimal is 104 bytes.
    rounded is the first text that had more decimals than the instrument.
    """

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._instrument = instrument
        self.rounded: str | None = None

    def __missing__(self, text: str) -> Decimal:
        exact = _number(text.strip())
        if exact > PRICE_MAX:
            raise LineFault(ProblemKind.TOO_LARGE, f"price {shown(text)} is above {PRICE_MAX:,}")
        price = self._instrument.round_price(exact) if exact > 0 else exact
        if price <= 0:
            smallest = self._instrument.price_step
            raise LineFault(ProblemKind.NON_POSITIVE, f"price {shown(text)} is below {smallest}, the smallest above 0")
        if price != exact and self.rounded is None:
            self.rounded = text
        self[text] = price
        return price


class _Days(dict[str, int]):
    def __missing__(self, text: str) -> int:
        try:
            if not _DATE.fullmatch(text):
                raise ValueError(text)
            day = date.fromisoformat(text)
        except ValueError:
            raise LineFault(ProblemKind.BAD_TIME, f"time begins with {shown(text)}, which is not a date") from None
        if not YEAR_MIN <= day.year <= YEAR_MAX:
            raise LineFault(ProblemKind.BAD_TIME, f"year {day.year} is not from {YEAR_MIN} to {YEAR_MAX}")
        self[text] = (day - date(1970, 1, 1)).days * DAY_NS
        return self[text]


class _Clocks(dict[str, int]):
    def __missing__(self, text: str) -> int:
        found = _CLOCK.fullmatch(text)
        if not found:
            raise LineFault(ProblemKind.BAD_TIME, f"time ends with {shown(text)}, expected THH:MM:SSZ")
        hours, minutes, seconds, fraction, offset, sign, offset_hours, offset_minutes = found.groups()
        if offset is None:
            raise LineFault(ProblemKind.BAD_TIME, f"time ends with {shown(text)} and lacks its offset (Z or +00:00)")
        ns = int(hours) * HOUR_NS + int(minutes) * MINUTE_NS + int(seconds) * NS_PER_S
        ns += int((fraction or "").ljust(9, "0"))
        if sign:
            offset_ns = int(offset_hours) * HOUR_NS + int(offset_minutes) * MINUTE_NS
            ns += offset_ns if sign == "-" else -offset_ns
        self[text] = ns
        return ns


def _names(path: Path, line: str) -> list[str]:
    try:
        return [name.strip().lower() for name in _split(line)]
    except LineFault as fault:
        raise ConfigError(f"{path} has no header: its first line cannot be read, {fault.text}.") from fault


def _number(text: str) -> Decimal:
    if _NON_FINITE.fullmatch(text):
        raise LineFault(ProblemKind.NON_FINITE, f"price {shown(text)} is not finite")
    if len(text) > _NUMBER_MAX or not _NUMBER.fullmatch(text):
        raise LineFault(ProblemKind.NOT_A_NUMBER, f"price {shown(text)} is not a number")
    return Decimal(text)


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]), [])
    except csv.Error as error:
        raise LineFault(ProblemKind.WRONG_COLUMNS, f"quotes cannot be read ({error})") from error
