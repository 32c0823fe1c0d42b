"""I am the trading day: it rolls at 17:00 New York, whatever the season, and long bars hang on it.
I may import datetime and zoneinfo.
I must not read a clock.
My tests are in tests/unit/domain/test_calendar.py.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.domain.market import NS_PER_S, Granularity

NEW_YORK = ZoneInfo("America/New_York")
ROLLOVER = time(17, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_NS, _DAY_NS = Granularity.H1.ns, Granularity.D.ns


def next_rollover_ns(ts_ns: int) -> int:
    """First 17:00 New York strictly after this moment."""
    return day_start_ns(day_of(ts_ns) + timedelta(days=1))


def bucket_start_ns(ts_ns: int, length_ns: int, hour: int = ROLLOVER.hour, zone: ZoneInfo = NEW_YORK) -> int:
    """Return the start of the bar of this length, a day at most, that a moment falls into.

    Bars of up to an hour start at UTC multiples of their length; longer ones are counted from this hour of the day in
    this zone. Source: OANDA's dailyAlignment and alignmentTimezone; the defaults are its own.
    """
    if length_ns <= _HOUR_NS:
        return ts_ns - ts_ns % length_ns
    day_ns = day_start_ns(day_of(ts_ns, hour, zone), hour, zone)
    return day_ns if length_ns == _DAY_NS else ts_ns - (ts_ns - day_ns) % length_ns


def bucket_end_ns(start_ns: int, length_ns: int, hour: int = ROLLOVER.hour, zone: ZoneInfo = NEW_YORK) -> int:
    """Return the end (exclusive) of the bar that starts at start_ns; the last one of a day ends with the day.

    A day has 23 or 25 hours where clocks change. In New York they do so while markets are closed, so that a bar with
    prices in it always has its full length there.
    """
    if length_ns <= _HOUR_NS:
        return start_ns + length_ns
    day_end_ns = day_start_ns(day_of(start_ns, hour, zone) + timedelta(days=1), hour, zone)
    return day_end_ns if length_ns == _DAY_NS else min(start_ns + length_ns, day_end_ns)


def day_of(ts_ns: int, hour: int = ROLLOVER.hour, zone: ZoneInfo = NEW_YORK) -> date:
    """Return the date in this zone on which the day began that a moment belongs to; days begin at this hour."""
    local = datetime.fromtimestamp(ts_ns // NS_PER_S, zone)
    return local.date() if local.hour >= hour else local.date() - timedelta(days=1)


def day_start_ns(day: date, hour: int = ROLLOVER.hour, zone: ZoneInfo = NEW_YORK) -> int:
    """Return when the day begins that begins on this date."""
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()) * NS_PER_S


def iso_utc(ts_ns: int) -> str:
    """Write a time as ISO 8601 UTC with a Z; a fraction of a second only where there is one, in nanoseconds."""
    seconds, nanos = divmod(ts_ns, NS_PER_S)
    text = f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{nanos:09d}Z" if nanos else f"{text}Z"
