"""I am the calendar of recorded bars: how a moment and a duration read, and when the market is shut.
I may import market and datetime.
I must not read a clock.
My tests are in tests/unit/adapters/history/test_moments.py.
"""

from engine.domain.market import NS_PER_S

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
WEEK_NS = 7 * DAY_NS

# Markets shut on Friday and open on Sunday at 17:00 New York, which is 21:00 or 22:00 UTC. The window is the widest
# of both, with a quarter of an hour on either side because the first and the last minutes often have no tick.
# 1970-01-01 was a Thursday.
_FIRST_SATURDAY_NOON_NS = 2 * DAY_NS + 12 * HOUR_NS
_FIRST_CLOSE_NS = DAY_NS + 20 * HOUR_NS + 45 * MINUTE_NS
_SHUT_NS = 2 * DAY_NS + HOUR_NS + 30 * MINUTE_NS


def duration_text(duration_ns: int) -> str:
    """Write a duration in the largest of h, min and s that it is a whole number of; from a day on in rounded hours."""
    if duration_ns >= DAY_NS:
        return f"{round(duration_ns / HOUR_NS):,} h"
    for name, length_ns in (("h", HOUR_NS), ("min", MINUTE_NS)):
        if duration_ns % length_ns == 0:
            return f"{duration_ns // length_ns:,} {name}"
    return f"{duration_ns / NS_PER_S:,.10g} s"


def market_time_ns(begin_ns: int, end_ns: int) -> int:
    """Measure the part of begin..end in which markets are open: all of it, but for the weekends that it spans."""
    if _saturdays(begin_ns) == _saturdays(end_ns):
        return end_ns - begin_ns
    return end_ns - begin_ns - (_shut_until(end_ns) - _shut_until(begin_ns))


def _saturdays(ts_ns: int) -> int:
    return (ts_ns - _FIRST_SATURDAY_NOON_NS) // WEEK_NS


def _shut_until(ts_ns: int) -> int:
    """Sum the weekends from the first close of 1970 up to a moment."""
    weeks, into_week_ns = divmod(ts_ns - _FIRST_CLOSE_NS, WEEK_NS)
    return weeks * _SHUT_NS + min(into_week_ns, _SHUT_NS)
