"""I am strictness after a bad day: until when nothing may get looser on an account, what would, what is still tripped.
I may import the domain, ports and risk.
I must not look at a desk, a clock or a file: a start, and the checks before it, judge by me with what they know.
My tests are in tests/unit/session/test_strictness.py and test_limits_change.py.
"""

from collections.abc import Sequence

from engine.domain.calendar import iso_utc
from engine.domain.event import BreakerTripped
from engine.domain.limit_changes import loosened
from engine.domain.limits import RiskLimits
from engine.domain.schedule import DayStart, NewsEvent
from engine.ports import Curfew
from engine.risk.breakers import BreakerPanel
from engine.risk.hours import taken_out

_is_daily = BreakerPanel().is_daily


def locked_until_ns(curfew: Curfew) -> int:
    """Say when the day ends in which a daily breaker tripped last; 0 when none ever did."""
    day = DayStart.parse(curfew.limits.trading_day)
    return max((day.next_ns(trip_ns) for name, trip_ns in curfew.trips.items() if _is_daily(name)), default=0)


def loosening(curfew: Curfew, limits: RiskLimits, news: Sequence[NewsEvent], now_ns: int) -> str:
    """Say why a session cannot begin with these limits and news, because a day was bad; empty when it can."""
    until_ns = locked_until_ns(curfew)
    if now_ns >= until_ns:
        return ""
    lacking = taken_out(curfew.news, news, limits, now_ns, until_ns)
    looser = (*loosened(curfew.limits, limits), *(f"the news {each}" for each in lacking[:1]))
    return no_loosening(", ".join(looser), until_ns) if looser else ""


def no_loosening(names: str, until_ns: int) -> str:
    """Say why limits cannot be made less strict now; the same sentence at every door."""
    return (
        f"{names} would be less strict; a daily breaker has tripped, so limits can only be made stricter until "
        f"{iso_utc(until_ns)}"
    )


def still_tripped(curfew: Curfew, now_ns: int) -> tuple[BreakerTripped, ...]:
    """What a session begins with: whatever nobody has released, but a daily one only as long as its day lasts."""
    counted = DayStart.parse(curfew.limits.trading_day)
    return tuple(
        tripped
        for tripped in curfew.latched
        if not _is_daily(tripped.breaker) or now_ns < counted.next_ns(tripped.ts_ns)
    )
