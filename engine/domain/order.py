"""I am orders and fills: the intent, the order with its status machine, and how client order ids are made.
I may import decimal, error and instrument.
I must not talk to a venue.
My tests are in tests/unit/domain/test_order.py.
"""

import re
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from engine.domain.error import Bug


class OrderReason(StrEnum):
    """Why we send an order."""

    SIGNAL = "signal"
    EXIT = "exit"
    CLOSE_COMMAND = "close_command"
    FLATTEN = "flatten"


class OrderStatus(StrEnum):
    """Where an order is in its life (NautilusTrader's words)."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNRESOLVED = "UNRESOLVED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


_NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.INITIALIZED: frozenset(
        {OrderStatus.DENIED, OrderStatus.SUBMITTED, OrderStatus.UNRESOLVED, OrderStatus.EXPIRED}
    ),
    OrderStatus.SUBMITTED: frozenset(
        {
            OrderStatus.ACCEPTED,
            OrderStatus.REJECTED,
            OrderStatus.UNRESOLVED,
            OrderStatus.FILLED,
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.CANCELED,
        }
    ),
    OrderStatus.ACCEPTED: frozenset(
        {OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}
    ),
    OrderStatus.PARTIALLY_FILLED: frozenset(
        {OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}
    ),
    OrderStatus.UNRESOLVED: frozenset(
        {
            OrderStatus.ACCEPTED,
            OrderStatus.REJECTED,
            OrderStatus.FILLED,
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.CANCELED,
            OrderStatus.EXPIRED,
        }
    ),
    # given up by us, not by the broker: its log has the last word, however late
    OrderStatus.EXPIRED: frozenset(
        {OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED}
    ),
}

_CLIENT_ORDER_ID = re.compile(r"\d+-[A-Z0-9]{2,12}_[A-Z0-9]{2,6}-\d+-\d+")
TERMINAL = frozenset(status for status in OrderStatus if status not in _NEXT) | {OrderStatus.EXPIRED}


def client_order_id(run_id: int, instrument: str, bar_ts_ns: int, number: int) -> str:
    """Derive the id of an order; unique for ever, because run ids are, and equal when a run is replayed."""
    return f"{run_id}-{instrument}-{bar_ts_ns}-{number}"


def is_client_order_id(text: str) -> bool:
    """Say whether a text has the form of an id that a Keel derived."""
    return _CLIENT_ORDER_ID.fullmatch(text) is not None


class OrderIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A market order as decided, before it is sent.

    units are signed (negative sells); stop_loss, take_profit and price_bound are prices in quote currency,
    trailing_distance a price difference. They apply to the part of the fill that opens a trade.
    """

    client_order_id: str
    instrument: str
    units: Decimal
    created_ns: int
    reason: OrderReason
    price_bound: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_distance: Decimal | None = None
    reduce_only: bool = False

    def __post_init__(self) -> None:
        if self.units == 0:
            raise Bug(f"{self.client_order_id}: an order of 0 units is no order")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An intent and where it stands; filled_units carry the sign of the intent."""

    intent: OrderIntent
    status: OrderStatus
    status_ts_ns: int
    broker_order_id: str | None = None
    filled_units: Decimal = Decimal(0)
    detail: str = ""

    @property
    def is_open(self) -> bool:
        """Say whether its end is not known; an expired one has been given up and reserves nothing."""
        return self.status not in TERMINAL

    def to(self, status: OrderStatus, ts_ns: int, detail: str = "", broker_order_id: str | None = None) -> "Order":
        """Move to another status; raises Bug on an illegal transition."""
        if status not in _NEXT.get(self.status, frozenset()):
            raise Bug(f"{self.intent.client_order_id}: {self.status} -> {status} is not a legal transition")
        return replace(
            self,
            status=status,
            status_ts_ns=ts_ns,
            detail=detail or self.detail,
            broker_order_id=broker_order_id or self.broker_order_id,
        )
