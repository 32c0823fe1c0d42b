"""I am the trading days of a session: I value what is open, note when a day begins and what that releases.
I may import the domain, ports and the desk.
I must not let a day begin twice.
My tests are in tests/unit/session/test_desk.py and test_truth.py.
"""

from decimal import Decimal

from engine.domain.event import BreakerReleased, DayBegan
from engine.ports import Journal
from engine.session.desk import Desk

NEW_DAY = "a new trading day has begun"


class Days:
    """Moves the desk's day along; is_kept says that the books outlive the run, so that the record must tell the day."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal
        self.is_kept = False
        self._end_ns = 0

    def open_books(self, equity_home: Decimal) -> None:
        """Start counting from this equity; a day that runs already keeps its beginning."""
        desk = self._desk
        day_end_ns = desk.day_end_ns
        desk.recorded_peak_home = desk.fall_anchor_home  # as a reader of the record would know it: none is recorded yet
        desk.open_books(equity_home)
        if desk.day_end_ns != day_end_ns:
            self._begin()
        self._end_ns = desk.day_end_ns

    def mark(self) -> bool:
        """Value what is open; note when a trading day began. Says whether anything changed that a breaker looks at."""
        desk = self._desk
        moved = desk.mark()
        if desk.day_end_ns == self._end_ns:
            return moved
        # a command or the guard may have been the first to notice, as it valued what it had closed
        self._end_ns = desk.day_end_ns
        self._begin()
        return True

    def _begin(self) -> None:
        """A trading day begins: what was tripped for the last one is released."""
        desk = self._desk
        if self.is_kept:
            self._journal.append(DayBegan(ts_ns=desk.now_ns, equity_home=desk.day_start_home))
        for trip in desk.panel.daily_trips:
            desk.panel.release(trip.breaker)
            if trip.breaker != "daily_loss":  # that measures from the day's beginning, before its first financing
                desk.reanchor(trip.breaker)
            self._journal.append(
                BreakerReleased(
                    ts_ns=desk.now_ns, breaker=trip.breaker, reason=NEW_DAY, equity_home=desk.day_start_home
                )
            )
