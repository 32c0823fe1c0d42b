"""I am entries: the numbered lines of the simulated account's log, with all that OANDA's transactions tell.
I may import the domain and ticket.
I must not change once written; the log only grows.
My tests are in tests/unit/adapters/sim/test_exchange.py and tests/unit/adapters/sim/test_broker.py.
"""

from decimal import Decimal

import msgspec

from engine.adapters.sim.ticket import Extensions, Ticket


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What every entry has: its number, the market time, the first number of its batch, and who asked for it."""

    id: int
    ts_ns: int
    batch_id: int
    request_id: str


class OrderMade(Entry, frozen=True, kw_only=True):
    """An order was created; its id is the entry's number.

    reason is OANDA's (CLIENT_ORDER, REPLACEMENT, ON_FILL, TRADE_CLOSE...); price is where it triggers, also when the
    ticket gave a distance; fill_id is the fill that brought an on-fill order.
    """

    ticket: Ticket
    reason: str
    price: Decimal | None = None
    replaces: str | None = None
    cancelling_id: int | None = None
    fill_id: int | None = None


class TradePart(msgspec.Struct, frozen=True, kw_only=True):
    """What a fill took from a trade; units carry the sign of the closing order, amounts are in home currency."""

    trade_id: str
    units: Decimal
    realized_pl_home: Decimal
    quote_pl: Decimal
    half_spread_home: Decimal


class TradeMade(msgspec.Struct, frozen=True, kw_only=True):
    """The trade that a fill opened; its id is the fill's number."""

    units: Decimal
    margin_home: Decimal
    half_spread_home: Decimal
    extensions: Extensions | None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_distance: Decimal | None = None


class OrderFilled(Entry, frozen=True, kw_only=True):
    """An order was filled at `price`, while the market stood at bid and ask.

    gain_factor and loss_factor turn a gain or loss in quote currency into home currency.
    """

    order_id: str
    client_order_id: str | None
    instrument: str
    units: Decimal
    requested_units: Decimal
    price: Decimal
    bid: Decimal
    ask: Decimal
    reason: str
    pl_home: Decimal
    quote_pl: Decimal
    half_spread_home: Decimal
    gain_factor: Decimal
    loss_factor: Decimal
    balance_home: Decimal
    opened: TradeMade | None = None
    closed: tuple[TradePart, ...] = ()
    reduced: TradePart | None = None


class OrderEnded(Entry, frozen=True, kw_only=True):
    """An order ended without (further) fill."""

    order_id: str
    client_order_id: str | None
    reason: str
    closed_trade_id: str | None = None
    closing_id: int | None = None
    replaced_by: str | None = None


class OrderRefused(Entry, frozen=True, kw_only=True):
    """No order was made; reject_reason is OANDA's TransactionRejectReason."""

    ticket: Ticket
    reason: str
    reject_reason: str
    intended_replaces: str | None = None


class CancelRefused(Entry, frozen=True, kw_only=True):
    """There was no such order to cancel."""

    order_id: str | None
    client_order_id: str | None
    reject_reason: str


class OrderExtended(Entry, frozen=True, kw_only=True):
    """A client changed its words about an order."""

    order_id: str
    client_order_id: str | None
    extensions: Extensions | None
    trade_extensions: Extensions | None


class TradeExtended(Entry, frozen=True, kw_only=True):
    """A client changed its words about a trade."""

    trade_id: str
    client_trade_id: str | None
    extensions: Extensions


class FinancingPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one open trade paid (negative) or earned, in home currency."""

    trade_id: str
    instrument: str
    amount_home: Decimal


class FinancingBooked(Entry, frozen=True, kw_only=True):
    """Daily financing; the amount is the sum over the parts."""

    amount_home: Decimal
    balance_home: Decimal
    parts: tuple[FinancingPart, ...]


class FundsMoved(Entry, frozen=True, kw_only=True):
    """Money was paid in or out."""

    amount_home: Decimal
    balance_home: Decimal


class Configured(Entry, frozen=True, kw_only=True):
    """A client named its account."""

    alias: str


LogEntry = (
    OrderMade
    | OrderFilled
    | OrderEnded
    | OrderRefused
    | CancelRefused
    | OrderExtended
    | TradeExtended
    | FinancingBooked
    | FundsMoved
    | Configured
)
