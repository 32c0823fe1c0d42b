"""I am the way out: persist, ask the latch, send once, then read what happened from the broker's log.
I may import the domain, ports and the desk.
I must not resend, ever, nor take a fill from anywhere but the transaction log.
My tests are in tests/unit/session/test_dispatch.py.
"""

from decimal import Decimal

from engine.domain.error import RetryLater
from engine.domain.event import (
    BrokerNoted,
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    Event,
    FinancingCharged,
    FundsMoved,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
)
from engine.domain.order import OrderIntent, OrderReason, OrderStatus
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    Transaction,
)
from engine.ports import Broker, Journal, KillSwitch, NotSent, Unresolved
from engine.session.desk import Desk


class Dispatcher:
    """Sends orders and books what the broker's log says."""

    def __init__(self, desk: Desk, broker: Broker, journal: Journal, kill: KillSwitch) -> None:
        self._desk = desk
        self._broker = broker
        self._journal = journal
        self._kill = kill
        self.trouble = ""

    def send(self, intent: OrderIntent, risk_home: Decimal, command_id: str | None = None) -> None:
        """Commit the intent, then send it unless the latch is set; flattening goes through a set latch."""
        desk = self._desk
        desk.orders.initialize(intent)
        self._journal.append(
            OrderInitialized(ts_ns=desk.now_ns, intent=intent, risk_home=risk_home, command_id=command_id)
        )
        self._journal.commit()
        halted = self._kill.engaged()
        if halted and intent.reason is not OrderReason.FLATTEN:
            self._update(intent.client_order_id, OrderStatus.DENIED, halted)
            return
        desk.orders.move(intent.client_order_id, OrderStatus.SUBMITTED, desk.now_ns)
        if intent.reason is OrderReason.SIGNAL:
            desk.last_entry_ns[intent.instrument] = desk.now_ns
        outcome = self._broker.submit(intent)
        if isinstance(outcome, NotSent):
            self._update(intent.client_order_id, OrderStatus.REJECTED, outcome.reason)
        elif isinstance(outcome, Unresolved):
            self._update(intent.client_order_id, OrderStatus.UNRESOLVED, outcome.reason)
        else:
            self.sync()

    def sync(self) -> None:
        """Book every new broker transaction; when they cannot be read now, `trouble` says why until they can."""
        try:
            fresh = self._broker.transactions_since(self._desk.ledger.last_transaction_id)
        except RetryLater as error:
            self.trouble = str(error)
            return
        self.trouble = ""
        for transaction in fresh:
            # recorded before it is judged: what the broker did is a fact, even when our books refuse it
            self._journal.append(_event(self._desk.now_ns, transaction))
            self._desk.ledger.apply(transaction)
            self._desk.orders.apply(transaction)
            self._desk.fills_seen += isinstance(transaction, Fill)

    def _update(self, order_id: str, status: OrderStatus, detail: str) -> None:
        self._desk.orders.move(order_id, status, self._desk.now_ns, detail)
        self._journal.append(
            OrderUpdated(ts_ns=self._desk.now_ns, client_order_id=order_id, status=status, detail=detail)
        )


def _event(now_ns: int, transaction: Transaction) -> Event:
    if isinstance(transaction, Fill):
        return OrderFilled(ts_ns=now_ns, fill=transaction)
    if isinstance(transaction, OrderCreated):
        return BrokerOrderCreated(ts_ns=now_ns, order=transaction)
    if isinstance(transaction, OrderCanceled):
        return BrokerOrderCanceled(ts_ns=now_ns, cancel=transaction)
    if isinstance(transaction, DailyFinancing):
        return FinancingCharged(ts_ns=now_ns, financing=transaction)
    if isinstance(transaction, FundsTransferred):
        return FundsMoved(ts_ns=now_ns, transfer=transaction)
    if isinstance(transaction, OrderRejected):
        return BrokerOrderRejected(ts_ns=now_ns, reject=transaction)
    return BrokerNoted(ts_ns=now_ns, other=transaction)
