"""I am candles: bars of every length and alignment that OANDA offers, made of the venue's own bars.
I may import the domain, the simulated venue's bars, market and the venue's words.
I must not invent a candle for a span without a price, nor call a running one complete.
My tests are in tests/unit/venue/test_candles.py.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from engine.domain import calendar
from engine.domain.market import NS_PER_S, Bar, Granularity

WEEK, MONTH = "W", "M"
COUNT_MAX, COUNT_DEFAULT = 5_000, 500
DAYS_OF_WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
GRANULARITIES = (*(granularity.value for granularity in Granularity), WEEK, MONTH)
_DAY_S = 86_400
_LENGTH_S = {granularity.value: granularity.seconds for granularity in Granularity} | {
    WEEK: 7 * _DAY_S,
    MONTH: 31 * _DAY_S,
}
NOON = 12


class BarShelf(Protocol):
    """Where closed bars come from, whatever made them."""

    @property
    def finest(self) -> Granularity:
        """Length of the shortest bars there are."""
        ...

    @property
    def first_ns(self) -> int:
        """Where history begins."""
        ...

    def between(self, instrument: str, granularity: Granularity, from_ns: int, to_ns: int) -> Sequence[Bar]:
        """Return bars that start at from_ns or later and end by to_ns, oldest first.

        They are of this length, an hour at most, or shorter; several may share a start, the earlier made first.
        """
        ...

    def unfinished(self, instrument: str, now_ns: int) -> Sequence[Bar]:
        """Return the prices that were made since the last closed bar of the finest length."""
        ...


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """Where long candles begin: the hour of the day in a time zone, and the day of the week."""

    hour: int = 17
    zone: str = "America/New_York"
    weekday: int = DAYS_OF_WEEK.index("Friday")


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One candle; bid and ask are (open, high, low, close), complete says that its time is over."""

    open_ns: int
    bid: tuple[Decimal, Decimal, Decimal, Decimal]
    ask: tuple[Decimal, Decimal, Decimal, Decimal]
    volume: int
    complete: bool


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which candles a client asks for; times are of the candles' starts, the end exclusive."""

    instrument: str
    granularity: str
    count: int
    from_ns: int | None = None
    to_ns: int | None = None
    include_first: bool = True
    smooth: bool = False
    alignment: Alignment = Alignment()


def length_ns(granularity: str) -> int:
    """Length of a candle; that of the longest month for months."""
    return _LENGTH_S[granularity] * NS_PER_S


def candles(shelf: BarShelf, wanted: Wanted, now_ns: int) -> list[Candle]:
    """Make the candles that are asked for, oldest first; the last one may still be running."""
    found = _found(shelf, wanted, now_ns)
    return _smoothed(shelf, wanted, found, now_ns) if wanted.smooth and found else found


def _smoothed(shelf: BarShelf, wanted: Wanted, found: Sequence[Candle], now_ns: int) -> list[Candle]:
    """Let each candle open where the one before closed, the first of an answer as well; high and low stay."""
    earlier = replace(wanted, count=1, from_ns=None, to_ns=found[0].open_ns)
    before = [*_found(shelf, earlier, now_ns), *found][-len(found) - 1 :]
    opened = [
        replace(one, bid=(last.bid[3], *one.bid[1:]), ask=(last.ask[3], *one.ask[1:]))
        for last, one in zip(before, before[1:], strict=False)
    ]
    return [*found[: len(found) - len(opened)], *opened]


def _found(shelf: BarShelf, wanted: Wanted, now_ns: int) -> list[Candle]:
    if wanted.from_ns is not None:
        return _forward(shelf, wanted, wanted.from_ns, now_ns)
    end_ns = now_ns + 1 if wanted.to_ns is None else wanted.to_ns
    span_ns = _first_span_ns(wanted)
    while True:
        start_ns = max(shelf.first_ns, end_ns - span_ns)
        start_ns = bucket_start_ns(start_ns, wanted.granularity, wanted.alignment)
        found = _made(shelf, wanted, start_ns, end_ns, now_ns)
        if len(found) >= wanted.count or start_ns <= shelf.first_ns:
            return found[-wanted.count :]
        span_ns *= 2


def _first_span_ns(wanted: Wanted) -> int:
    """How much time to look at first: a little more than the candles take; over closed hours it is doubled."""
    return max((wanted.count + 2) * length_ns(wanted.granularity) * 3 // 2, Granularity.H1.ns // 4)


def _forward(shelf: BarShelf, wanted: Wanted, from_ns: int, now_ns: int) -> list[Candle]:
    last_ns = now_ns + 1 if wanted.to_ns is None else wanted.to_ns
    if last_ns <= from_ns:
        return []
    first_ns = bucket_start_ns(max(from_ns, shelf.first_ns), wanted.granularity, wanted.alignment)
    if not wanted.include_first and from_ns >= first_ns:
        first_ns = bucket_end_ns(first_ns, wanted.granularity, wanted.alignment)
    span_ns = _first_span_ns(wanted)
    while True:
        end_ns = min(last_ns, first_ns + span_ns)
        found = _made(shelf, wanted, first_ns, end_ns, now_ns)
        if len(found) >= wanted.count or end_ns >= last_ns:
            return found[: wanted.count]
        span_ns *= 2


def _made(shelf: BarShelf, wanted: Wanted, from_ns: int, to_ns: int, now_ns: int) -> list[Candle]:
    """Make the candles that start in [from_ns, to_ns); from_ns is the start of one."""
    granularity, alignment = wanted.granularity, wanted.alignment
    if to_ns <= from_ns:
        return []
    last_ns = min(now_ns, bucket_end_ns(bucket_start_ns(to_ns - 1, granularity, alignment), granularity, alignment))
    whole = _whole(shelf, wanted, from_ns, last_ns)
    if last_ns == now_ns:
        whole += shelf.unfinished(wanted.instrument, now_ns)
    made: list[Candle] = []
    group: list[Bar] = []
    start_ns = end_ns = 0
    for bar in whole:
        if group and bar.open_ts_ns >= end_ns:
            made.append(_candle(group, start_ns, end_ns <= now_ns))
            group = []
        if not group:
            start_ns = bucket_start_ns(bar.open_ts_ns, granularity, alignment)
            end_ns = bucket_end_ns(start_ns, granularity, alignment)
        group.append(bar)
    if group:
        made.append(_candle(group, start_ns, end_ns <= now_ns))
    return made


def _whole(shelf: BarShelf, wanted: Wanted, from_ns: int, to_ns: int) -> list[Bar]:
    """Collect bars as long as possible, ever shorter ones where a longer one is still running."""
    if shelf.finest.seconds > Granularity.H1.seconds:
        return list(shelf.between(wanted.instrument, shelf.finest, from_ns, to_ns))
    bars: list[Bar] = []
    at_ns = from_ns
    for base in _bases(wanted.granularity, shelf.finest):
        upto_ns = to_ns - to_ns % base.ns
        if upto_ns > at_ns and at_ns % base.ns == 0:
            bars += shelf.between(wanted.instrument, base, at_ns, upto_ns)
            at_ns = upto_ns
    return bars


def _bases(granularity: str, finest: Granularity) -> tuple[Granularity, ...]:
    """Name the lengths that a candle is made of, longest first."""
    longest = Granularity(granularity) if _LENGTH_S[granularity] <= Granularity.H1.seconds else Granularity.H1
    lengths = (longest, Granularity.M30, Granularity.M15, Granularity.M1, finest)
    fitting = [each for each in lengths if finest.seconds <= each.seconds <= longest.seconds]
    return tuple(dict.fromkeys(fitting))


def _candle(bars: Sequence[Bar], start_ns: int, complete: bool) -> Candle:
    first, last = bars[0], bars[-1]
    return Candle(
        open_ns=start_ns,
        bid=(first.bid_open, max(bar.bid_high for bar in bars), min(bar.bid_low for bar in bars), last.bid_close),
        ask=(first.ask_open, max(bar.ask_high for bar in bars), min(bar.ask_low for bar in bars), last.ask_close),
        volume=sum(max(bar.tick_count, 1) for bar in bars),
        complete=complete,
    )


def bucket_start_ns(ts_ns: int, granularity: str, alignment: Alignment) -> int:
    """Return the start of the candle that `ts_ns` falls into.

    Up to an hour candles start at UTC multiples of their length; H2 to D hang on the hour of the day, W on the day of
    the week as well, M on the trading day of the first (PROTOCOL section 5).
    """
    hour, zone = alignment.hour, ZoneInfo(alignment.zone)
    if granularity not in (WEEK, MONTH):
        return calendar.bucket_start_ns(ts_ns, length_ns(granularity), hour, zone)
    day = calendar.day_of(ts_ns, hour, zone)
    if granularity == WEEK:
        day -= timedelta(days=(day.weekday() - alignment.weekday) % 7)
    else:
        day = _month_of(day, alignment)
    return calendar.day_start_ns(day, hour, zone)


def bucket_end_ns(start_ns: int, granularity: str, alignment: Alignment) -> int:
    """Return the end (exclusive) of the candle that starts at `start_ns`; a day of 23 or 25 hours ends with the day."""
    hour, zone = alignment.hour, ZoneInfo(alignment.zone)
    if granularity not in (WEEK, MONTH):
        return calendar.bucket_end_ns(start_ns, length_ns(granularity), hour, zone)
    day = calendar.day_of(start_ns, hour, zone)
    day = day + timedelta(days=7) if granularity == WEEK else _month_of(day + timedelta(days=32), alignment)
    return calendar.day_start_ns(day, hour, zone)


def _month_of(day: date, alignment: Alignment) -> date:
    """The date on which the first trading day of the month began: with late hours, the last of the month before."""
    is_late = alignment.hour >= NOON
    trading_day = day + timedelta(days=is_late)
    return trading_day.replace(day=1) - timedelta(days=is_late)
