"""I am the checker of conduct: how often, how often in a row, and after how many losses, faults and errors we enter.
I may import the domain and the other parts of this folder.
I must not count what the engine counts from its own state: I count what went over the line and what the log tells.
My tests are in tests/simulation/test_promises.py and test_saboteurs.py.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from engine.domain.decision import Action
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    BrokerOrderRejected,
    DecisionMade,
    SessionStarted,
)
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent, OrderReason
from tests.simulation.books import Books
from tests.simulation.judging import demand

LOCK = "repeated_entries "
MINUTE_NS = 60 * NS_PER_S
ANSWERS = 10
_PASSED_OVER = "a newer bar has closed"


class ConductWatch:
    """Follows what was sent, and what makes a session rest; times are the session's, as far as it can be held to."""

    def __init__(self) -> None:
        self.locked: set[str] = set()
        self._sent_ns: list[int] = []
        self._errors_ns: list[int] = []
        self._rows: dict[str, tuple[int, int]] = {}
        self._faults: dict[str, deque[bool]] = {}
        self._runs = 0

    def take(self, event: object, books: Books) -> None:
        """Note an event that was recorded."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, books)

    def sent(self, intent: OrderIntent, now_ns: int) -> None:
        """Note an order that leaves."""
        self._sent_ns.append(now_ns)
        self.may_be_sent(intent)

    def may_be_sent(self, intent: OrderIntent) -> None:
        """Note an order that leaves, or of which nobody knows whether it has: the process died around its sending."""
        if intent.reason is OrderReason.SIGNAL:
            side = 1 if intent.units > 0 else -1
            last, in_a_row = self._rows.get(intent.instrument, (side, 0))
            self._rows[intent.instrument] = (side, in_a_row + 1 if last == side else 1)

    def failed(self, now_ns: int) -> None:
        """Note that the line has given no answer to an order, or said that it was not sent."""
        self._errors_ns.append(now_ns)

    def check_entry(self, intent: OrderIntent, now_ns: int, limits: RiskLimits, books: Books) -> None:
        """An entry is about to leave; called before sent()."""
        order_id, name = intent.client_order_id, intent.instrument
        lost_ns = books.lost_ns.get(name)
        if lost_ns is not None:
            rested_ns = now_ns - lost_ns
            rested = not limits.cooldown_s or rested_ns >= limits.cooldown_s * NS_PER_S
            demand(rested, "cool-down", f"{order_id}: {rested_ns / NS_PER_S} s")
        many = 1 + sum(now_ns - MINUTE_NS < each for each in self._sent_ns)
        demand(many <= limits.orders_per_minute_max, "I9", f"{order_id} is order {many} within a minute")
        _, in_a_row = self._rows.get(name, (0, 0))
        demand(name not in self.locked, "lock", f"{order_id} is sent while {name} waits for a person")
        demand(in_a_row < limits.repeated_entries_max, "lock", f"{order_id} follows {in_a_row} to one side")
        streak, most = books.streak, limits.loss_streak_max
        demand(not most or streak < most, "loss streak", f"{order_id} is sent after {streak} losses, {most} trip")
        faults = max((sum(each) for each in self._faults.values()), default=0)
        demand(faults < limits.model_faults_max, "model faults", f"{order_id} is sent after {faults} faults")
        errors = sum(now_ns - 5 * MINUTE_NS < each <= now_ns for each in self._errors_ns)
        demand(errors < limits.broker_errors_max, "broker errors", f"{order_id} is sent after {errors} errors")

    def check_trip(self, event: BreakerTripped, limits: RiskLimits, books: Books) -> None:
        """A breaker trips for what has happened so often; errors of the broker are more than I see."""
        name = event.breaker.removeprefix(LOCK)
        if event.breaker == "loss_streak":
            many, most = books.streak, limits.loss_streak_max
        elif event.breaker == "model_faults":
            many, most = max((sum(each) for each in self._faults.values()), default=0), limits.model_faults_max
        elif event.breaker != name:
            # an order that was sent before a release, and named by the log behind it, counts again after a restart
            many, most = self._rows.get(name, (0, 0))[1] + (self._runs > 1), limits.repeated_entries_max
        else:
            return
        demand(many >= most, "breakers", f"{event.breaker} trips at {event.value}, it is {many} of {most}")

    def _started(self, event: SessionStarted, books: Books) -> None:
        """Faults of the model and errors of the broker are those of one run."""
        self._faults.clear()
        self._errors_ns.clear()
        self._runs += 1

    def _tripped(self, event: BreakerTripped, books: Books) -> None:
        if event.breaker.startswith(LOCK):
            self.locked.add(event.breaker.removeprefix(LOCK))

    def _released(self, event: BreakerReleased, books: Books) -> None:
        name = event.breaker.removeprefix(LOCK)
        if event.breaker == "loss_streak":
            books.streak = 0
        elif event.breaker == "model_faults":
            self._faults.clear()
        elif event.breaker == "broker_errors":
            self._errors_ns.clear()
        elif event.breaker.startswith(LOCK):
            self.locked.discard(name)
            side, _ = self._rows.get(name, (0, 0))
            self._rows[name] = (side, 0)

    def _decided(self, event: DecisionMade, books: Books) -> None:
        decision = event.decision
        if decision.reason != _PASSED_OVER:
            answers = self._faults.setdefault(decision.instrument, deque(maxlen=ANSWERS))
            answers.append(decision.action is Action.FAULT)

    def _rejected(self, event: BrokerOrderRejected, books: Books) -> None:
        if event.reject.client_order_id:
            self._errors_ns.append(event.ts_ns)


_HANDLERS: dict[type, Callable[[ConductWatch, Any, Books], None]] = {
    SessionStarted: ConductWatch._started,
    BreakerTripped: ConductWatch._tripped,
    BreakerReleased: ConductWatch._released,
    DecisionMade: ConductWatch._decided,
    BrokerOrderRejected: ConductWatch._rejected,
}
