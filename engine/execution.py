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
    """Orders that are not finished yet; finished ones leave, the journal keeps them."""

    def __init__(self) -> None:
        self._open: dict[str, Order] = {}
        self.sent = 0
        self.last: Order | None = None

    def initialize(self, intent: OrderIntent) -> None:
        """Take a new intent in; raises Bug when one of this id is open already."""
        if intent.client_order_id in self._open:
            raise Bug(f"{intent.client_order_id}: an order of this id is open already")
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
        order = self._open.get(transaction.client_order_id or "")
        if order is None or isinstance(transaction, OrderCreated):
            return
        if isinstance(transaction, Fill):
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
        if order.is_open:
            self._open[order.intent.client_order_id] = order
        else:
            self._open.pop(order.intent.client_order_id, None)


def _filled(order: Order, fill: Fill) -> Order:
    filled = order.filled_units + fill.units
    if abs(filled) > abs(order.intent.units) or filled * order.intent.units < 0:
        raise HaltTrading(f"{order.intent.client_order_id}: {filled} units filled of {order.intent.units} ordered.")
    status = OrderStatus.FILLED if filled == order.intent.units else OrderStatus.PARTIALLY_FILLED
    return replace(order.to(status, fill.ts_ns, broker_order_id=fill.order_id), filled_units=filled)
