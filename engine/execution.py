"""I am the order book of our own orders: where each stands, and what unresolved ones may still cost.
I may import the domain.
I must not send anything, nor learn of fills from anywhere but the broker's transactions.
My tests are in tests/unit/test_execution.py.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.domain.error import Bug, HaltTrading
from engine.domain.order import Order, OrderIntent, OrderStatus
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, Transaction

ZERO = Decimal(0)


class OrderBook:
    """Orders that are not finished yet; finished ones leave but for their ids, the journal keeps them.

    Expired ones are remembered beside them: one that the broker's log names later is adopted.
    """

    def __init__(self) -> None:
        self._open: dict[str, Order] = {}
        self._expired: dict[str, Order] = {}
        self._known: set[str] = set()
        self._traced: set[str] = set()
        self.sent = 0
        self.last: Order | None = None

    def begin_run(self) -> None:
        """Begin to count anew what a run sends; what is unfinished stays."""
        self.sent = 0

    def initialize(self, intent: OrderIntent) -> None:
        """Take a new intent in; raises Bug when one of this id is open or was given up."""
        if intent.client_order_id in self._known:
            raise Bug(f"{intent.client_order_id}: an order of this id was made already")
        self._known.add(intent.client_order_id)
        self._open[intent.client_order_id] = Order(
            intent=intent, status=OrderStatus.INITIALIZED, status_ts_ns=intent.created_ns
        )

    def move(self, client_order_id: str, status: OrderStatus, ts_ns: int, detail: str = "") -> Order:
        """Change an open order's status; raises Bug on an illegal transition."""
        order = self._open[client_order_id].to(status, ts_ns, detail)
        self._store(order)
        if status is OrderStatus.SUBMITTED:
            self.sent += 1
        return order

    def apply(self, transaction: Transaction) -> None:
        """Follow a broker transaction that carries one of our client order ids; others are not ours."""
        if not isinstance(transaction, Fill | OrderCanceled | OrderRejected | OrderCreated):
            return
        order_id = transaction.client_order_id or ""
        if isinstance(transaction, OrderCreated) and order_id in self._known:
            self._traced.add(order_id)
        order = self._open.get(order_id) or self._expired.get(order_id)
        if order is None:
            return
        if isinstance(transaction, OrderCreated):
            self._store(replace(order, broker_order_id=transaction.order_id))
        elif isinstance(transaction, Fill):
            self._store(_filled(order, transaction))
        elif isinstance(transaction, OrderCanceled):
            self._store(order.to(OrderStatus.CANCELED, transaction.ts_ns, transaction.reason))
        else:
            self._store(order.to(OrderStatus.REJECTED, transaction.ts_ns, transaction.reason))

    def reserved_units(self, instrument: str) -> Decimal:
        """Units, unsigned, that orders of unknown or unfinished outcome may still add in this instrument."""
        return sum(
            (abs(o.intent.units - o.filled_units) for o in self._open.values() if o.intent.instrument == instrument),
            ZERO,
        )

    def is_ours(self, client_order_id: str | None) -> bool:
        """Say whether an order of this id was ever made in these books."""
        return client_order_id in self._known

    def is_of_another(self, client_order_id: str) -> bool:
        """Say whether an order that the broker has just told of was sent elsewhere.

        Its id was never ours, or the order of this id was told of before: two Keels may derive the same id.
        """
        return client_order_id not in self._known or client_order_id in self._traced

    def status_of(self, client_order_id: str | None) -> OrderStatus | None:
        """Where an unfinished order stands; None for any other."""
        order = self._open.get(client_order_id or "")
        return order.status if order else None

    def gave_up(self, client_order_id: str | None) -> bool:
        """Say whether this order has expired without a word from the broker."""
        return client_order_id in self._expired

    @property
    def untraced(self) -> tuple[str, ...]:
        """Ids of the orders that the log has not named yet, and of those whose rest it has not ended."""
        return tuple(
            order_id
            for order_id, order in self._open.items()
            if order.status is OrderStatus.PARTIALLY_FILLED
            or (order.status is OrderStatus.UNRESOLVED and order.broker_order_id is None)
        )

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """Orders whose end is not known."""
        return tuple(self._open.values())

    @property
    def idle(self) -> bool:
        """Say whether no order is open."""
        return not self._open

    def _store(self, order: Order) -> None:
        self.last = order
        order_id = order.intent.client_order_id
        for kept, belongs in ((self._open, order.is_open), (self._expired, order.status is OrderStatus.EXPIRED)):
            if belongs:
                kept[order_id] = order
            else:
                kept.pop(order_id, None)


def _filled(order: Order, fill: Fill) -> Order:
    filled = order.filled_units + fill.units
    if abs(filled) > abs(order.intent.units) or filled * order.intent.units < 0:
        raise HaltTrading(f"{order.intent.client_order_id}: {filled} units filled of {order.intent.units} ordered.")
    status = OrderStatus.FILLED if filled == order.intent.units else OrderStatus.PARTIALLY_FILLED
    return replace(order.to(status, fill.ts_ns, broker_order_id=fill.order_id), filled_units=filled)
