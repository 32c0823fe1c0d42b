"""I am the way out: persist, ask the latch, send once, then read what happened from the broker's log.
I may import the domain, ports, risk and the desk.
I must not resend, ever, nor take a fill from anywhere but the transaction log.
My tests are in tests/unit/session/test_dispatch.py and test_grace.py.
"""

import logging
from collections.abc import Sequence
from decimal import Decimal

from engine.domain.command import SessionConfig
from engine.domain.error import HaltTrading, RetryLater
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
from engine.domain.limits import counted
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent, OrderReason, OrderStatus, is_client_order_id
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    Transaction,
    hole_text,
)
from engine.ports import Broker, Journal, KillSwitch, NotSent, Unresolved
from engine.risk.breakers import Trip, lock_name
from engine.session.desk import Desk

log = logging.getLogger("engine.session")
# Real time that the broker's log is given to name an order (RELIABILITY section 0, decision 4).
GRACE_S = 60
LATE_FILL = "late_fill"
# Why an order at the market ends unfilled though the broker did its work: the price went past what the order allows.
_PRICE_WENT = frozenset({"BOUNDS_VIOLATION", "STOP_LOSS_ON_FILL_LOSS", "TAKE_PROFIT_ON_FILL_LOSS"})


class Dispatcher:
    """Sends orders and books what the broker's log says."""

    def __init__(self, desk: Desk, broker: Broker, journal: Journal, kill: KillSwitch) -> None:
        self._desk = desk
        self._broker = broker
        self._journal = journal
        self._kill = kill
        self._grace_ns = int(GRACE_S * NS_PER_S * pace_of(desk.config))
        self._level = logging.DEBUG if desk.config.mode.is_simulated else logging.INFO
        self._untraced_since: dict[str, int] = {}
        self.trouble = ""

    def send(self, intent: OrderIntent, risk_home: Decimal, command_id: str | None = None) -> None:
        """Commit the intent, then send it unless the latch is set; flattening goes through a set latch."""
        desk = self._desk
        self._initialize(intent, risk_home, command_id)
        self._journal.commit()
        halted = self._kill.engaged()
        if halted and intent.reason is not OrderReason.FLATTEN:
            self._update(intent.client_order_id, OrderStatus.DENIED, halted)
            return
        desk.orders.move(intent.client_order_id, OrderStatus.SUBMITTED, desk.now_ns)
        desk.conduct.ordered(intent, desk.now_ns, _expected(desk, intent))
        self._tell("sending order %s: %s %s", intent.client_order_id, intent.units, intent.instrument)
        outcome = self._broker.submit(intent)
        if isinstance(outcome, NotSent | Unresolved):
            is_sure = isinstance(outcome, NotSent)
            desk.conduct.failed(desk.now_ns)
            status = OrderStatus.REJECTED if is_sure else OrderStatus.UNRESOLVED
            self._update(intent.client_order_id, status, outcome.reason)
        else:
            self.sync()
        if intent.reason is OrderReason.SIGNAL:
            self._lock_if_repeated(intent.instrument)

    def deny(self, intent: OrderIntent, risk_home: Decimal, why: str) -> None:
        """Record an order that was decided on and is not sent, where the operator looks for it."""
        self._initialize(intent, risk_home)
        self._update(intent.client_order_id, OrderStatus.DENIED, why)

    def lock_repeated(self) -> None:
        """Lock what has been entered too often to one side: by an order before a crash, or by a limit that is new."""
        for name in self._desk.instruments:
            self._lock_if_repeated(name)

    def doubt(self, order_id: str, why: str) -> None:
        """Take an order that an earlier run left unfinished for one that may or may not have reached the broker."""
        if self._desk.orders.status_of(order_id) is OrderStatus.SUBMITTED:
            self._update(order_id, OrderStatus.UNRESOLVED, why)

    def begin_anew(self) -> None:
        """Give every order of unknown outcome its whole grace time again: nobody looked at the log meanwhile."""
        self._untraced_since = {}

    def sync(self, *, afresh: bool = False) -> None:
        """Book every new broker transaction; when they cannot be read now, `trouble` says why until they can."""
        for transaction in self._read(afresh=afresh):
            self._book(transaction)

    def expire(self) -> None:
        """Give up orders that the log does not name after the grace time; it is read to its end to decide that."""
        if self._desk.orders.idle:
            return
        now_ns, before = self._desk.now_ns, self._untraced_since
        # not later than now: the clock may have been set back
        self._untraced_since = {each: min(before.get(each, now_ns), now_ns) for each in self._desk.orders.untraced}
        late = [each for each, since_ns in self._untraced_since.items() if now_ns - since_ns >= self._grace_ns]
        if not late:
            return
        news = self._read(afresh=True)
        for transaction in news:
            self._book(transaction)
        if news or self.trouble:
            return  # the log may go on behind what was new: the next step looks again
        for order_id in late:
            is_part = self._desk.orders.status_of(order_id) is OrderStatus.PARTIALLY_FILLED
            text = f"{'the rest is ' * is_part}not in the broker's log {GRACE_S} s after it was sent"
            self._update(order_id, OrderStatus.EXPIRED, text)

    def _initialize(self, intent: OrderIntent, risk_home: Decimal, command_id: str | None = None) -> None:
        self._desk.orders.initialize(intent)
        self._journal.append(
            OrderInitialized(ts_ns=self._desk.now_ns, intent=intent, risk_home=risk_home, command_id=command_id)
        )

    def _lock_if_repeated(self, name: str) -> None:
        """Let an instrument wait for a person that was entered to one side as often in a row as is allowed."""
        desk = self._desk
        most, last = desk.limits.repeated_entries_max, desk.conduct.last_entry(name)
        if last is None or last.in_a_row < most:
            return
        value = f"{counted(str(last.in_a_row), 'entries')} {'long' if last.side > 0 else 'short'} in a row"
        cause = f"{value} in {name}, and nobody has looked"
        trip = Trip(
            breaker=lock_name(name), ts_ns=desk.now_ns, value=value, limit=str(most), cause=cause, instrument=name
        )
        if desk.panel.latch(trip):
            record_trip(self._journal, trip)

    def _read(self, *, afresh: bool = False) -> Sequence[Transaction]:
        before, self.trouble = self.trouble, ""
        try:
            found = self._broker.transactions_since(self._desk.ledger.last_transaction_id, afresh=afresh)
        except RetryLater as error:
            self.trouble = str(error)
            if not before:  # an outage counts once, however often it is met
                self._desk.conduct.failed(self._desk.now_ns)
            return ()
        return self._following(found) if found else ()

    def _following(self, found: Sequence[Transaction]) -> Sequence[Transaction]:
        """Keep what follows our books: what is in them already is passed over, what lies behind a hole is asked again.

        The broker's numbers have no holes, so that a page with one was spoiled on its way.
        """
        last_id = self._desk.ledger.last_transaction_id
        news: list[Transaction] = []
        for transaction in found:
            number, expected = transaction.transaction_id, last_id + len(news) + 1
            if number == expected:
                news.append(transaction)
            elif number > expected:
                self.trouble = f"{hole_text(expected - 1, number)} It is asked for again."
                break
        return news

    def _book(self, transaction: Transaction) -> None:
        desk = self._desk
        is_late = isinstance(transaction, Fill) and desk.orders.gave_up(transaction.client_order_id)
        # recorded before it is judged: what the broker did is a fact, even when our books refuse it
        self._journal.append(_event(desk.now_ns, transaction))
        desk.book(transaction)
        self._refuse_another_keel(transaction)
        if _is_refused(transaction, desk):
            desk.conduct.failed(desk.now_ns)
        desk.orders.apply(transaction)
        if isinstance(transaction, OrderCanceled | OrderRejected) and transaction.client_order_id:
            kind = type(transaction).__name__
            self._tell("%s %s: %s", kind, transaction.client_order_id, transaction.reason)
        if isinstance(transaction, Fill):
            desk.fills_seen += 1
            self._tell_fill(transaction)
            if is_late:
                self._trip(f"order {transaction.client_order_id}")

    def _tell(self, text: str, *values: object) -> None:
        """Write a line to the log; for a simulated account, which may live a year in a minute, only if asked."""
        log.log(self._level, text, *values, extra={"subsystem": "orders"})

    def _tell_fill(self, fill: Fill) -> None:
        self._tell(
            "fill %s of order %s: %s %s at %s, result %s, balance %s",
            fill.transaction_id, fill.client_order_id or fill.reason, fill.units, fill.instrument, fill.price,
            fill.pl_home, fill.balance_home,
        )  # fmt: skip

    def _refuse_another_keel(self, transaction: Transaction) -> None:
        """Two engines on one account would each take the other's trades for the operator's."""
        if isinstance(transaction, OrderCreated | OrderRejected):
            order_id = transaction.client_order_id
            if not order_id or not is_client_order_id(order_id):
                return
            orders, former = self._desk.orders, self._desk.former_orders
            if orders.is_of_another(order_id) and (orders.is_ours(order_id) or order_id not in former):
                raise HaltTrading(f"Another Keel sends orders to this account: {order_id} was not sent from here.")

    def _trip(self, order: str) -> None:
        """Let nothing more be opened: there is a position that was not reckoned with."""
        cause = f"{order} was filled after it had expired"
        trip = Trip(breaker=LATE_FILL, ts_ns=self._desk.now_ns, value=order, limit="none", cause=cause)
        if self._desk.panel.latch(trip):
            record_trip(self._journal, trip)

    def _update(self, order_id: str, status: OrderStatus, detail: str) -> None:
        self._desk.orders.move(order_id, status, self._desk.now_ns, detail)
        self._tell("order %s is %s: %s", order_id, status, detail)
        self._journal.append(
            OrderUpdated(ts_ns=self._desk.now_ns, client_order_id=order_id, status=status, detail=detail)
        )


def record_trip(journal: Journal, trip: Trip) -> None:
    """Journal a breaker that has just latched, durable at once, and say so in the log."""
    journal.append(
        BreakerTripped(
            ts_ns=trip.ts_ns, breaker=trip.breaker, value=trip.value, limit=trip.limit, instrument=trip.instrument
        )
    )
    journal.commit()
    log.warning("breaker %s tripped: %s", trip.breaker, trip.cause, extra={"subsystem": "risk"})


def _is_refused(transaction: Transaction, desk: Desk) -> bool:
    """Say whether the broker refused one of our orders, or ended it for another reason than its price."""
    if isinstance(transaction, OrderRejected):
        return transaction.client_order_id is not None
    return (
        isinstance(transaction, OrderCanceled)
        and transaction.reason not in _PRICE_WENT
        and desk.orders.status_of(transaction.client_order_id) is not None
    )


def _expected(desk: Desk, intent: OrderIntent) -> Decimal | None:
    """The price that the quote promises an order."""
    quote = desk.quotes.get(intent.instrument)
    return None if quote is None else quote.ask if intent.units > 0 else quote.bid


def pace_of(config: SessionConfig) -> float:
    """How many seconds of market time pass in a real one: a venue on loopback may let its time run faster."""
    return 1.0 if config.mode.is_simulated else config.speed or 1.0


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
