"""I am time: the wall clock, a venue's clock, and market time that jumps or runs at a multiple of it.
I may import time.
I must not be bypassed: no other module reads a clock or sleeps.
My tests are in tests/unit/adapters/test_clock.py.
"""

import time

from engine.domain.market import NS_PER_S
from engine.ports import Wake

GAP_NS = 15 * 60 * NS_PER_S
GAP_S_MAX = 2.0


def wall_ns() -> int:
    """Return UTC nanoseconds of the wall clock."""
    return time.time_ns()


def pause(seconds: float) -> None:
    """Let this much time pass."""
    time.sleep(seconds)


def monotonic_s() -> float:
    """Return seconds of a clock that never goes back."""
    return time.monotonic()


class SystemClock:
    """The time of the world."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""
        return time.time_ns()

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Sleep until the deadline, or until woken."""
        wake.wait(max(deadline_ns - time.time_ns(), 0) / NS_PER_S)


class VenueClock:
    """The time of a simulated venue in another process, which said what time it was, and how fast its time runs."""

    def __init__(self, venue_ns: int, rate: float) -> None:
        self._venue_ns = venue_ns
        self._rate = rate
        self._begun_s = time.monotonic()

    def now_ns(self) -> int:
        """Return the venue's present time."""
        return self._venue_ns + int((time.monotonic() - self._begun_s) * self._rate * NS_PER_S)

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Sleep until the venue's time has reached the deadline, or until woken."""
        wake.wait(max(deadline_ns - self.now_ns(), 0) / NS_PER_S / self._rate)


class PacedClock:
    """Market time of a simulated venue: advances to each deadline, at `speed` market seconds per second.

    speed None does not sleep. A stretch of more than gap_ns without anything to come (a closed market) takes at most
    GAP_S_MAX wall seconds, so that a week-end does not have to be waited for. Market data never depends on the pace:
    time always lands exactly on the deadline, unless a command ends the wait early.
    """

    def __init__(self, start_ns: int, speed: float | None, gap_ns: int = GAP_NS) -> None:
        self._now_ns = start_ns
        self._speed = speed
        self._gap_ns = gap_ns

    def now_ns(self) -> int:
        """Return the present market time."""
        return self._now_ns

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Advance to the deadline, or part of the way when woken."""
        if deadline_ns <= self._now_ns:
            return
        if self._speed is None:
            self._now_ns = deadline_ns
            return
        span_ns = deadline_ns - self._now_ns
        pause_s = span_ns / NS_PER_S / self._speed
        if span_ns > self._gap_ns:
            pause_s = min(pause_s, GAP_S_MAX)
        begun = time.monotonic()
        if not wake.wait(pause_s):
            self._now_ns = deadline_ns
            return
        share = min((time.monotonic() - begun) / pause_s, 1.0) if pause_s else 1.0
        self._now_ns += int((deadline_ns - self._now_ns - 1) * share)
