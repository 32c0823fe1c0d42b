"""I am the machine of a simulated world: its clock, which may be wrong, and the latch that a person sets.
I may import the engine's clock and node, and the other parts of this folder.
I must not read a real clock.
My tests are in tests/simulation/test_gate.py.
"""

from engine.adapters.clock import SystemClock
from engine.node import HaltLatch
from engine.ports import Wake
from tests.simulation.faults import CrashPoints


class Latch(HaltLatch):
    """The real latch, in a process that may die when it is asked."""

    points: CrashPoints

    def engaged(self) -> str | None:
        self.points.at("kill.engaged.before")
        found = super().engaged()
        self.points.at("kill.engaged.after")
        return found


class Clock:
    """The machine's time: the wall clock is wrong by off_ns, and a session takes it over as it begins."""

    is_simulated = False

    def __init__(self, now_ns: int, points: CrashPoints) -> None:
        self.true_ns = now_ns
        self.off_ns = 0
        self._points = points
        self.begin()

    def begin(self) -> None:
        """Take the wall clock's time, as the wiring does for each session; from then on nobody can set it."""
        self._session = SystemClock(self.wall_ns, lambda: self.true_ns)

    def wall_ns(self) -> int:
        """Tell what the machine shows."""
        return self.true_ns + self.off_ns

    @property
    def is_wrong(self) -> bool:
        """Say whether the session has begun on a wrong clock."""
        return self.read() != self.true_ns

    def drift_ns(self) -> int:
        """Tell how far the wall clock is ahead of the session."""
        return self._session.drift_ns()

    def now_ns(self) -> int:
        self._points.at("clock.now.before")
        now_ns = self.read()
        self._points.at("clock.now.after")
        return now_ns

    def read(self) -> int:
        """Tell the session's time without any danger."""
        return self._session.now_ns()

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Time passes by the step."""
