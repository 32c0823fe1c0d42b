"""I am the trading day: it rolls at 17:00 New York, whatever the season.
I may import datetime and zoneinfo.
I must not read a clock.
My tests are in tests/unit/domain/test_calendar.py.
"""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.domain.market import NS_PER_S

NEW_YORK = ZoneInfo("America/New_York")
ROLLOVER = time(17, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_rollover_ns(ts_ns: int) -> int:
    """First 17:00 New York strictly after this moment."""
    local = datetime.fromtimestamp(ts_ns // NS_PER_S, NEW_YORK)
    day = local.date() if local.time() < ROLLOVER else local.date() + timedelta(days=1)
    return int(datetime.combine(day, ROLLOVER, NEW_YORK).timestamp()) * NS_PER_S


def iso_utc(ts_ns: int) -> str:
    """Write a time as ISO 8601 UTC with a Z; a fraction of a second only where there is one, in nanoseconds."""
    seconds, nanos = divmod(ts_ns, NS_PER_S)
    text = f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{nanos:09d}Z" if nanos else f"{text}Z"
