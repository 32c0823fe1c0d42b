"""I am the look at the clock: has the process stood still, and does the machine's clock still agree with the session?
I may import the domain, ports and the desk.
I must not set a clock, nor take a simulated market's closed week-end for somebody's sleep.
My tests are in tests/unit/session/test_interruption.py.
"""

import logging

from engine.domain.market import NS_PER_S
from engine.ports import Clock
from engine.session.desk import Desk
from engine.session.dispatch import pace_of

log = logging.getLogger("engine.session")
# Real time between the beginnings of two steps; they follow each other within a second, half a minute in an outage.
GAP_S_MAX = 60
DRIFT_S_MAX = 2


class Timekeeper:
    """Takes the time at the beginning of each step."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._second_ns = NS_PER_S * pace_of(desk.config)
        self._begun_ns = desk.now_ns

    def begin_step(self) -> int:
        """Set the desk's time; returns the real seconds for which the process stood still, 0 when it did not."""
        desk = self._desk
        desk.now_ns = self._clock.now_ns()
        gap_s = (desk.now_ns - self._begun_ns) / self._second_ns
        self._begun_ns = desk.now_ns
        self._compare()
        is_real = not (self._clock.is_simulated or desk.config.mode.is_simulated)
        return int(gap_s) if is_real and gap_s > GAP_S_MAX else 0

    def _compare(self) -> None:
        """Tell the operator when the machine's clock was set, or goes wrong: the session does not follow it."""
        drift_ns, before = self._clock.drift_ns(), self._desk.clock_note
        if abs(drift_ns) > DRIFT_S_MAX * NS_PER_S:
            way = "ahead of" if drift_ns > 0 else "behind"
            self._desk.clock_note = (
                f"the machine's clock is {abs(drift_ns) / NS_PER_S:.0f} s {way} the session's time, which does not "
                "follow it; stop and start the session when the machine's clock is right"
            )
        else:
            self._desk.clock_note = ""
        if bool(before) != bool(self._desk.clock_note):
            text = self._desk.clock_note or "the machine's clock agrees with the session's time again"
            log.warning("%s", text, extra={"subsystem": "session"})
