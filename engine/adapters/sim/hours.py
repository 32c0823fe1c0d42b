"""I am the calendar of the simulated venue: when its week opens and closes, and when a day rolls over.
I may import the domain and ticket.
I must not read a clock; whoever asks brings the time.
My tests are in tests/unit/adapters/sim/test_hours.py.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from engine.adapters.sim.ticket import TimeInForce
from engine.domain.calendar import NEW_YORK, ROLLOVER, next_rollover_ns
from engine.domain.market import NS_PER_S

FRIDAY, SUNDAY = 5, 7
DAYS_CHARGED = {1: 1, 2: 1, 3: 3, 4: 1, 5: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """A moment at which open trades are charged, and for how many days."""

    ts_ns: int
    days: int


def next_rollover(after_ns: int) -> Rollover:
    """Find the first rollover later than `after_ns`: 17:00 New York, Monday to Friday.

    Wednesday counts three days, because spot settles two business days later and so crosses the weekend; Saturday
    and Sunday count none (OANDA's financingDaysOfWeek; PROTOCOL section 10).
    """
    day = _new_york(after_ns).date()
    while (ts_ns := _break_ns(day)) <= after_ns or day.isoweekday() not in DAYS_CHARGED:
        day += timedelta(days=1)
    return Rollover(ts_ns=ts_ns, days=DAYS_CHARGED[day.isoweekday()])


def expiry_ns(time_in_force: TimeInForce, gtd_ns: int | None, now_ns: int) -> int | None:
    """Tell when an order that is made now ends by itself: at its date, at the next 17:00 New York, or never (None)."""
    if time_in_force is TimeInForce.GFD:
        return next_rollover_ns(now_ns)
    return gtd_ns if time_in_force is TimeInForce.GTD else None


class TradingWeek:
    """Says whether the market is open: Sunday 17:00 to Friday 17:00 New York.

    Remembers the week that it was last asked about, so that asking for every bar costs two comparisons.
    """

    __slots__ = ("_close_ns", "_open_ns")

    def __init__(self) -> None:
        self._open_ns = self._close_ns = 0

    def is_open(self, ts_ns: int) -> bool:
        """Say whether orders are filled at `ts_ns`; the opening moment is open, the closing moment is closed."""
        if not self._open_ns <= ts_ns < self._close_ns:
            self._find_week(ts_ns)
        return ts_ns < self._close_ns

    def _find_week(self, ts_ns: int) -> None:
        day = _new_york(ts_ns).date()
        sunday = day - timedelta(days=day.isoweekday() % SUNDAY)
        if _break_ns(sunday) > ts_ns:
            sunday -= timedelta(days=7)
        self._open_ns, self._close_ns = _break_ns(sunday), _break_ns(sunday + timedelta(days=FRIDAY))


def _new_york(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // NS_PER_S, NEW_YORK)


def _break_ns(day: date) -> int:
    return int(datetime.combine(day, ROLLOVER, NEW_YORK).timestamp()) * NS_PER_S
