"""I am time: the wall clock, a venue's clock, and market time that jumps or runs at a multiple of it.
I may import time.
I must not be bypassed: no other module reads a clock or sleeps.
My tests are in tests/unit/adapters/test_clock.py.
"""

import time
from collections.abc import Callable

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


def steady_ns() -> int:
    """Return nanoseconds of a clock that nobody can set, and that goes on while the machine sleeps where it has one."""
    return time.monotonic_ns() if _STEADY is None else time.clock_gettime_ns(_STEADY)


# Linux counts sleep by CLOCK_BOOTTIME alone, macOS by CLOCK_MONOTONIC, which is not its time.monotonic().
_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class SystemClock:
    """The time of the world as the wall clock had it when this was made, counted on by a steady clock.

    Whoever sets the machine's clock later makes no order old and begins no day: this does not follow, and says by
    how much.
    """

    is_simulated = False

    def __init__(self, wall_ns: Callable[[], int] = wall_ns, steady_ns: Callable[[], int] = steady_ns) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._offset_ns = wall_ns() - steady_ns()

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""
        return self._offset_ns + self._steady_ns()

    def drift_ns(self) -> int:
        """Return how far the wall clock is ahead of this."""
        return self._wall_ns() - self.now_ns()

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Sleep until the deadline, or until woken."""
        wake.wait(max(deadline_ns - self.now_ns(), 0) / NS_PER_S)


class VenueClock:
    """The time of a simulated venue in another process, which said what time it was, and how fast its time runs."""

    is_simulated = False

    def __init__(self, venue_ns: int, rate: float, steady_ns: Callable[[], int] = steady_ns) -> None:
        self._venue_ns = venue_ns
        self._rate = rate
        self._steady_ns = steady_ns
        self._begun_ns = steady_ns()

    def now_ns(self) -> int:
        """Return the venue's present time."""
        return self._venue_ns + int((self._steady_ns() - self._begun_ns) * self._rate)

    def drift_ns(self) -> int:
        """Return 0: a venue's time has nothing to do with the wall clock."""
        return 0

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Sleep until the venue's time has reached the deadline, or until woken."""
        wake.wait(max(deadline_ns - self.now_ns(), 0) / NS_PER_S / self._rate)


class PacedClock:
    """Market time of a simulated venue: advances to each deadline, at `speed` market seconds per second.

    speed None does not sleep. A stretch of more than gap_ns without anything to come (a closed market) takes at most
    GAP_S_MAX wall seconds, so that a week-end does not have to be waited for. Market data never depends on the pace:
    time always lands exactly on the deadline, unless a command ends the wait early.
    """

    is_simulated = True

    def __init__(self, start_ns: int, speed: float | None, gap_ns: int = GAP_NS) -> None:
        self._now_ns = start_ns
        self._speed = speed
        self._gap_ns = gap_ns

    def now_ns(self) -> int:
        """Return the present market time."""
        return self._now_ns

    def drift_ns(self) -> int:
        """Return 0: market time that is made here agrees with no clock."""
        return 0

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
