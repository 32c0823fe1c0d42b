"""I am the alarm: what a person who is away should hear of, journalled and handed on once until it has passed.
I may import the domain, ports, risk and the desk.
I must not wait for anybody to listen, nor decide what is worth an alert: whoever raises one does.
My tests are in tests/unit/session/test_alarm.py.
"""

from collections import deque
from collections.abc import Container

from engine.domain.decision import Decision
from engine.domain.event import AlertRaised, SessionState, TradingState
from engine.domain.market import NS_PER_S
from engine.ports import Alerter, Journal
from engine.risk.breakers import LOCK, Trip
from engine.session.desk import Desk

ALERTS_KEPT = 50
# An outage that passes by itself sooner is on the page and in the journal, and wakes nobody.
OUTAGE_S = 60
# Whatever keeps one of these gates shut is told of by itself: a person, a breaker, a latch, a trade of another hand.
_TOLD_ELSEWHERE = frozenset(("trading_state", LOCK, "foreign_trade"))


class Silent:
    """An alerter that tells nobody."""

    def notify(self, alert: AlertRaised) -> None:
        """Let it pass."""


SILENT = Silent()


class Alarm:
    """Raises each alert once: a rule that blocks an instrument bar after bar is told of again only after it passed."""

    def __init__(self, desk: Desk, journal: Journal, alerter: Alerter) -> None:
        self._desk = desk
        self._journal = journal
        self._alerter = alerter
        self._raised: set[tuple[str, str]] = set()
        self._newest: deque[AlertRaised] = deque(maxlen=ALERTS_KEPT)
        self._told: dict[str, Trip] = {}
        self._degraded_ns: int | None = None

    @property
    def newest(self) -> tuple[AlertRaised, ...]:
        """The newest ALERTS_KEPT alerts of the session, oldest first."""
        return tuple(self._newest)

    def raise_(self, kind: str, key: str, text: str) -> None:
        """Journal an alert and hand it on, unless this kind and key were raised and not cleared since."""
        if (kind, key) in self._raised:
            return
        self._raised.add((kind, key))
        alert = AlertRaised(ts_ns=self._desk.now_ns, kind=kind, text=text)
        self._journal.append(alert)
        self._newest.append(alert)
        self._alerter.notify(alert)

    def clear(self, kind: str, key: str) -> None:
        """Note that it has passed; when it comes again it is told of again."""
        self._raised.discard((kind, key))

    def look(self) -> None:
        """Raise what has come up since the last look, and note what has passed."""
        desk = self._desk
        if not self._raised and desk.calm:
            self._degraded_ns = None
            return
        trips = {trip.breaker: trip for trip in desk.panel.trips}
        for name, trip in trips.items():
            if self._told.get(name) is not trip:  # it may have been released and tripped again since the last look
                self.clear("breaker", name)
            what = f"entries in {trip.instrument} wait" if trip.instrument else "nothing new is opened"
            self.raise_("breaker", name, f"Breaker {name} has tripped: {trip.cause}; {what} until you release it.")
        self._clear_others("breaker", trips)
        self._told = trips
        is_halted = desk.trading_state is TradingState.HALTED
        self._note("halted", is_halted, f"Trading is halted: {desk.halt_reason}.")
        self._note("disarmed", desk.disarmed, "The time for which this live session was armed is over.")
        foreign = {trade.trade_id: trade for trade in desk.foreign_trades()}
        for key, trade in foreign.items():
            self.raise_("foreign", key, f"Trade {key} ({trade.units} {trade.instrument}) was not opened by Keel.")
        self._clear_others("foreign", foreign)
        self._look_at_outage()

    def judged(self, decision: Decision) -> None:
        """Tell of each rule that keeps a signal from becoming an order, once until it lets one pass.

        Some gates stand alone and are not among those of an entry that passes, which has passed them too.
        """
        if decision.gates and not decision.blocking:
            mine = f"{decision.instrument} "
            self._raised = {(kind, key) for kind, key in self._raised if kind != "denied" or not key.startswith(mine)}
            return
        for gate in decision.gates:
            key = f"{decision.instrument} {gate.name}"
            if gate.passed:
                self.clear("denied", key)
            elif gate.name not in _TOLD_ELSEWHERE:
                text = f"An entry in {decision.instrument} was denied by {gate.name}: {gate.value}, limit {gate.limit}."
                self.raise_("denied", key, text)

    def _look_at_outage(self) -> None:
        desk = self._desk
        if desk.state is not SessionState.DEGRADED:
            self._degraded_ns = None
            self.clear("outage", "")
            return
        if self._degraded_ns is None or self._degraded_ns > desk.now_ns:
            self._degraded_ns = desk.now_ns
        if desk.now_ns - self._degraded_ns >= OUTAGE_S * NS_PER_S:
            self.raise_("outage", "", f"For {OUTAGE_S} s market or broker cannot be read: {desk.reason}")

    def _note(self, kind: str, is_so: bool, text: str) -> None:
        if is_so:
            self.raise_(kind, "", text)
        else:
            self.clear(kind, "")

    def _clear_others(self, kind: str, keys: Container[str]) -> None:
        self._raised = {(each, key) for each, key in self._raised if each != kind or key in keys}
