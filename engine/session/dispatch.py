"""I am the way out: persist, ask the latch, send once, then read what happened from the broker's log.
I may import the domain, ports, risk and the desk.
I must not resend, ever, nor take a fill from anywhere but the transaction log.
My tests are in tests/unit/session/test_dispatch.py and test_grace.py.
"""

import logging
from collections.abc import Sequence
from decimal import Decimal

from engine.domain.command import SessionConfig
from engine.domain.error import RetryLater
from engine.domain.event import (
    BreakerTripped,
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
from engine.domain.market import NS_PER_S
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
from engine.risk.breakers import Trip
from engine.session.desk import Desk

log = logging.getLogger("engine.session")
# Real time that the broker's log is given to name an order (RELIABILITY section 0, decision 4).
GRACE_S = 60
LATE_FILL = "late_fill"


class Dispatcher:
    """Sends orders and books what the broker's log says."""

    def __init__(self, desk: Desk, broker: Broker, journal: Journal, kill: KillSwitch) -> None:
        self._desk = desk
        self._broker = broker
        self._journal = journal
        self._kill = kill
        self._grace_ns = _grace_ns(desk.config)
        self._untraced_since: dict[str, int] = {}
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
        for transaction in self._read():
            self._book(transaction)

    def expire(self) -> None:
        """Give up orders that the log does not name after the grace time; it is read to its end to decide that."""
        if self._desk.orders.idle:
            return
        now_ns, before = self._desk.now_ns, self._untraced_since
        self._untraced_since = {order_id: before.get(order_id, now_ns) for order_id in self._desk.orders.untraced}
        late = [each for each, since_ns in self._untraced_since.items() if now_ns - since_ns >= self._grace_ns]
        if not late:
            return
        news = self._read(afresh=True)
        for transaction in news:
            self._book(transaction)
        if news or self.trouble:
            return  # the log may go on behind what was new: the next step looks again
        for order_id in late:
            self._update(order_id, OrderStatus.EXPIRED, f"not in the broker's log {GRACE_S} s after it was sent")

    def _read(self, *, afresh: bool = False) -> Sequence[Transaction]:
        self.trouble = ""
        try:
            return self._broker.transactions_since(self._desk.ledger.last_transaction_id, afresh=afresh)
        except RetryLater as error:
            self.trouble = str(error)
            return ()

    def _book(self, transaction: Transaction) -> None:
        desk = self._desk
        is_late = isinstance(transaction, Fill) and desk.orders.gave_up(transaction.client_order_id)
        # recorded before it is judged: what the broker did is a fact, even when our books refuse it
        self._journal.append(_event(desk.now_ns, transaction))
        desk.ledger.apply(transaction)
        desk.orders.apply(transaction)
        if isinstance(transaction, Fill):
            desk.fills_seen += 1
            if is_late:
                self._trip(f"order {transaction.client_order_id}")

    def _trip(self, order: str) -> None:
        """Let nothing more be opened: there is a position that was not reckoned with."""
        cause = f"{order} was filled after it had expired"
        trip = Trip(breaker=LATE_FILL, ts_ns=self._desk.now_ns, value=order, limit="none", cause=cause)
        if self._desk.panel.latch(trip):
            record_trip(self._journal, trip)

    def _update(self, order_id: str, status: OrderStatus, detail: str) -> None:
        self._desk.orders.move(order_id, status, self._desk.now_ns, detail)
        self._journal.append(
            OrderUpdated(ts_ns=self._desk.now_ns, client_order_id=order_id, status=status, detail=detail)
        )


def record_trip(journal: Journal, trip: Trip) -> None:
    """Journal a breaker that has just latched, and say so in the log."""
    journal.append(BreakerTripped(ts_ns=trip.ts_ns, breaker=trip.breaker, value=trip.value, limit=trip.limit))
    log.warning("breaker %s tripped: %s", trip.breaker, trip.cause, extra={"subsystem": "risk"})


def _grace_ns(config: SessionConfig) -> int:
    """The grace in market time, which a venue on loopback may let run faster."""
    pace = 1.0 if config.mode.is_simulated else config.speed or 1.0
    return int(GRACE_S * NS_PER_S * pace)


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
