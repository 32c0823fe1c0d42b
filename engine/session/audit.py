"""I am the audit: while the session runs, the broker's own account of what is held is compared with our books.
I may import the domain, ports, reconciliation, risk and the desk.
I must not repair anything: a difference stops entries and waits for a person.
My tests are in tests/unit/session/test_audit.py.
"""

from engine.domain.account import Holdings, WorkingOrder
from engine.domain.error import RetryLater
from engine.domain.event import Reconciled
from engine.domain.market import NS_PER_S
from engine.ports import Broker, Journal
from engine.reconciliation import breaks
from engine.risk.breakers import Trip
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher, pace_of, record_trip

RECONCILIATION = "reconciliation"
EVERY_S = 60
TRIES_MAX = 5


class Auditor:
    """Compares the books with the broker's holdings, EVERY_S real seconds and whenever it is asked to."""

    def __init__(self, desk: Desk, broker: Broker, journal: Journal, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._broker = broker
        self._journal = journal
        self._dispatcher = dispatcher
        self._every_ns = int(EVERY_S * NS_PER_S * pace_of(desk.config))
        self._due_ns = 0
        self._seen_id = 0
        self.trouble = ""

    def begin_anew(self) -> None:
        """Compare as soon as the log can be read; nothing is sent before it."""
        self._desk.unreconciled = True
        self._due_ns = 0

    def look(self) -> None:
        """Compare if it is time; entries stop at a difference. What cannot be read is `trouble` until it can."""
        is_early = 0 < self._due_ns - self._desk.now_ns <= self._every_ns  # else the clock was set back
        if (is_early and not self._orders_may_be_gone) or self._dispatcher.trouble:
            return
        try:
            found = self.differences()
        except RetryLater as error:
            self.trouble = str(error)
            return
        self.trouble = ""
        self._due_ns = self._desk.now_ns + self._every_ns
        if found:
            self._trip(found)
        elif self._desk.unreconciled:
            self.note_agreement()
        self._desk.unreconciled = False

    def differences(self) -> tuple[str, ...]:
        """Compare as of one transaction; reads the log on until both sides are at the same one.

        Raises RetryLater when the account cannot be read or changes faster than it can be read.
        """
        ledger = self._desk.ledger
        for _ in range(TRIES_MAX):
            holdings = self._broker.holdings()
            if ledger.last_transaction_id < holdings.last_transaction_id:
                self._dispatcher.sync(afresh=True)
            if self._dispatcher.trouble:
                raise RetryLater(self._dispatcher.trouble)
            if ledger.last_transaction_id == holdings.last_transaction_id:
                self._seen_id = holdings.last_transaction_id
                self._desk.foreign_orders = tuple(order for order in _opening(holdings) if not self._is_ours(order))
                return breaks(ledger.balance_home, ledger.open_trades, holdings)
        raise RetryLater(
            f"The broker tells of its account after transaction {holdings.last_transaction_id}, "
            f"its log has come to {ledger.last_transaction_id}."
        )

    def objection(self) -> str:
        """Compare for the operator who says that all is well: why it is not, or "". The next turn stays when it was."""
        try:
            found = self.differences()
        except RetryLater as error:
            return f"the broker cannot be compared with now: {error}"
        return f"our books and the broker's still differ: {'; '.join(found)}" if found else ""

    def waiting(self) -> tuple[WorkingOrder, ...] | None:
        """Return the orders at the broker that could open something; None when it cannot be asked now."""
        try:
            holdings = self._broker.holdings()
        except RetryLater:
            return None
        return _opening(holdings)

    def note_agreement(self) -> None:
        """Journal that both sides agree; nothing is sent before this."""
        self._due_ns = self._desk.now_ns + self._every_ns
        self.record_agreement()

    def record_agreement(self) -> None:
        """Journal that both sides agree, and leave the next comparison when it is due."""
        desk = self._desk
        self._journal.append(
            Reconciled(
                ts_ns=desk.now_ns,
                balance_home=desk.ledger.balance_home,
                last_transaction_id=desk.ledger.last_transaction_id,
            )
        )

    @property
    def _orders_may_be_gone(self) -> bool:
        """Say whether the log went on since orders of others were seen: what was filled is not shown as waiting."""
        return bool(self._desk.foreign_orders) and self._desk.ledger.last_transaction_id != self._seen_id

    def _is_ours(self, order: WorkingOrder) -> bool:
        return self._desk.orders.is_ours(order.client_order_id)

    def _trip(self, found: tuple[str, ...]) -> None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        trip = Trip(
            breaker=RECONCILIATION,
            ts_ns=self._desk.now_ns,
            value=f"{found[0]}{more}",
            limit="no difference",
            cause=f"{found[0]}{more}",
        )
        if self._desk.panel.latch(trip):
            record_trip(self._journal, trip)


def _opening(holdings: Holdings) -> tuple[WorkingOrder, ...]:
    """Orders that wait for more than the end of a trade: when they are filled something may be open that was not."""
    return tuple(order for order in holdings.orders if order.trade_id is None)
