"""I am tickets: what a client asks of the simulated venue, in OANDA's words.
I may import the domain.
I must not know what became of it; orders and entries do.
My tests are in tests/unit/adapters/sim/test_validation.py and test_exchange.py.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

ZERO = Decimal(0)


class OrderKind(StrEnum):
    """What an order is, by OANDA's transaction types; also the reason of its fill."""

    MARKET = "MARKET_ORDER"
    LIMIT = "LIMIT_ORDER"
    STOP = "STOP_ORDER"
    MARKET_IF_TOUCHED = "MARKET_IF_TOUCHED_ORDER"
    TAKE_PROFIT = "TAKE_PROFIT_ORDER"
    STOP_LOSS = "STOP_LOSS_ORDER"
    TRAILING_STOP = "TRAILING_STOP_LOSS_ORDER"

    @property
    def order_type(self) -> str:
        """Name the type as orders and requests have it, without the transaction's suffix."""
        return self.value.removesuffix("_ORDER")

    @property
    def is_dependent(self) -> bool:
        """Say whether such an order closes one trade and has no units of its own."""
        return self in DEPENDENT


DEPENDENT = frozenset((OrderKind.TAKE_PROFIT, OrderKind.STOP_LOSS, OrderKind.TRAILING_STOP))


class TimeInForce(StrEnum):
    """How long an order waits: until cancelled, a date, 17:00 New York, or not at all (all or nothing, what can be)."""

    GTC = "GTC"
    GTD = "GTD"
    GFD = "GFD"
    FOK = "FOK"
    IOC = "IOC"


class PositionFill(StrEnum):
    """What an order may do with the position; DEFAULT is REDUCE_FIRST on this netting account."""

    DEFAULT = "DEFAULT"
    REDUCE_FIRST = "REDUCE_FIRST"
    REDUCE_ONLY = "REDUCE_ONLY"
    OPEN_ONLY = "OPEN_ONLY"


class Trigger(StrEnum):
    """Which price an order watches; DEFAULT is the side that it is filled on, INVERSE the other."""

    DEFAULT = "DEFAULT"
    INVERSE = "INVERSE"
    BID = "BID"
    ASK = "ASK"
    MID = "MID"


class Extensions(msgspec.Struct, frozen=True, kw_only=True):
    """A client's own words about an order or a trade."""

    id: str | None = None
    tag: str | None = None
    comment: str | None = None

    def changed(self, by: "Extensions") -> "Extensions":
        """Take over what is given and keep the rest."""
        return Extensions(id=by.id or self.id, tag=by.tag or self.tag, comment=by.comment or self.comment)


class OnFill(msgspec.Struct, frozen=True, kw_only=True):
    """A stop or target to be made for the trade that a fill opens: at a price, or at a distance from the fill's."""

    price: Decimal | None = None
    distance: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    gtd_ns: int | None = None
    extensions: Extensions | None = None


class CloseOut(StrEnum):
    """Why a market order was made that the client did not ask for as an order: by OANDA's reasons."""

    TRADE = "TRADE_CLOSE"
    POSITION = "POSITION_CLOSEOUT"
    MARGIN = "MARGIN_CLOSEOUT"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was asked for; units are signed, prices and distances in quote currency.

    trade_id names the trade of a dependent order, or of a trade to be closed; close_units is what the client wrote
    ("ALL" or a number) when the order closes a trade or a position.
    """

    kind: OrderKind
    instrument: str
    units: Decimal = ZERO
    price: Decimal | None = None
    distance: Decimal | None = None
    price_bound: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    gtd_ns: int | None = None
    position_fill: PositionFill = PositionFill.DEFAULT
    trigger: Trigger = Trigger.DEFAULT
    take_profit: OnFill | None = None
    stop_loss: OnFill | None = None
    trailing_stop: OnFill | None = None
    extensions: Extensions | None = None
    trade_extensions: Extensions | None = None
    trade_id: str | None = None
    close_out: CloseOut | None = None
    close_units: str | None = None

    @property
    def client_order_id(self) -> str | None:
        """The client's own id of this order, if it gave one."""
        return self.extensions.id if self.extensions else None

    @property
    def fill_reason(self) -> str:
        """Name the reason of a fill of this order, by OANDA's OrderFillReason."""
        return f"MARKET_ORDER_{self.close_out}" if self.close_out else self.kind.value
