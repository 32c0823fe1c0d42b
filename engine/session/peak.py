"""I am the memory of the highest equity: what a drawdown is measured from is on the disk before a crash can lose it.
I may import the domain, ports and the desk.
I must not write at every tick: a minute is as exact as it has to be.
My tests are in tests/unit/session/test_peak.py.
"""

from engine.domain.event import PeakReached
from engine.domain.market import NS_PER_S
from engine.ports import Journal
from engine.session.desk import Desk
from engine.session.dispatch import pace_of

EVERY_S = 60


class PeakKeeper:
    """Journals a new highest equity, at once after a quiet minute and once in EVERY_S real seconds while it rises."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal
        self._every_ns = int(EVERY_S * NS_PER_S * pace_of(desk.config))
        self._noted_ns: int | None = None

    def look(self) -> None:
        """Journal the peak if it has risen, unless one was journaled a moment ago."""
        since_ns = None if self._noted_ns is None else self._desk.now_ns - self._noted_ns
        if since_ns is None or not 0 <= since_ns < self._every_ns:  # less than none: the clock was set back
            self.note()

    def note(self) -> None:
        """Journal the peak if it has risen since it was last recorded."""
        desk = self._desk
        if desk.fall_anchor_home > desk.recorded_peak_home:
            desk.recorded_peak_home = desk.fall_anchor_home
            self._noted_ns = desk.now_ns
            self._journal.append(PeakReached(ts_ns=desk.now_ns, equity_home=desk.fall_anchor_home))
