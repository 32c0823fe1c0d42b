"""I am what the account holds, as OANDA lists it: trades, positions, pending orders; and its order book.
I may import the domain, messages, moments, reading and transactions.
I must not be a source of the books: those come from transactions alone, lists only confirm them.
My tests are in tests/unit/adapters/oanda/test_holdings.py and test_fixtures.py.
"""

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from engine.adapters.oanda.messages import (
    BookBody,
    DependentMessage,
    OrderBody,
    OrderMessage,
    OrdersBody,
    PositionMessage,
    PositionsBody,
    SideMessage,
    TradeBody,
    TradeMessage,
    TradesBody,
)
from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.reading import ParseFault, read
from engine.adapters.oanda.transactions import client_id
from engine.domain.account import Trade

TRADE_STATES = ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE")
TRIGGERS = ("DEFAULT", "INVERSE", "BID", "ASK", "MID")
POSITION_FILLS = ("DEFAULT", "OPEN_ONLY", "REDUCE_FIRST", "REDUCE_ONLY")
_OLD_NAMES = {"TRIGGER_DEFAULT": "DEFAULT", "POSITION_DEFAULT": "DEFAULT"}


class PositionSide(msgspec.Struct, frozen=True, kw_only=True):
    """Long or short half of a position; units are signed, average_price in quote currency is None when flat."""

    units: Decimal
    average_price: Decimal | None
    trade_ids: tuple[str, ...]
    unrealized_pl_home: Decimal


class TwoSidedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Both halves of a position; on a netting account at most one of them has units."""

    instrument: str
    long: PositionSide
    short: PositionSide

    @property
    def units(self) -> Decimal:
        """Net units, signed."""
        return self.long.units + self.short.units


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits at the broker; a stop or target has a trade_id and neither instrument nor units."""

    order_id: str
    kind: str
    state: str
    created_ns: int
    instrument: str | None
    units: Decimal | None
    price: Decimal | None
    distance: Decimal | None
    trade_id: str | None
    client_order_id: str | None
    expires_ns: int | None
    trigger: str
    position_fill: str


class BookLevel(msgspec.Struct, frozen=True, kw_only=True):
    """Share of all orders near one price, in percent."""

    price: Decimal
    long_pct: Decimal
    short_pct: Decimal


class OrderBook(msgspec.Struct, frozen=True, kw_only=True):
    """Where the orders of OANDA's clients lie, in steps of bucket_width, in quote currency."""

    instrument: str
    ts_ns: int
    price: Decimal
    bucket_width: Decimal
    levels: tuple[BookLevel, ...]


def parse_trades(body: bytes) -> tuple[Trade, ...] | ParseFault:
    """Read a list of trades, in the order that it has (newest first)."""
    return read(body, TradesBody, lambda message: tuple(_trade(each) for each in message.trades), "list of trades")


def parse_trade(body: bytes) -> Trade | ParseFault:
    """Read one trade; units are 0 when it is closed."""
    return read(body, TradeBody, lambda message: _trade(message.trade), "trade")


def parse_positions(body: bytes) -> tuple[TwoSidedPosition, ...] | ParseFault:
    """Read a list of positions, flat ones included."""
    return read(
        body, PositionsBody, lambda message: tuple(_position(each) for each in message.positions), "list of positions"
    )


def parse_orders(body: bytes) -> tuple[WorkingOrder, ...] | ParseFault:
    """Read a list of orders, in the order that it has (newest first)."""
    return read(body, OrdersBody, lambda message: tuple(_order(each) for each in message.orders), "list of orders")


def parse_order(body: bytes) -> WorkingOrder | ParseFault:
    """Read one order."""
    return read(body, OrderBody, lambda message: _order(message.order), "order")


def parse_order_book(body: bytes) -> OrderBook | ParseFault:
    """Read an order book."""
    return read(body, BookBody, _book, "order book")


def _trade(message: TradeMessage) -> Trade:
    _one_of(message.state, TRADE_STATES, "state")
    return Trade(
        trade_id=message.id,
        instrument=message.instrument,
        units=Decimal(message.current_units),
        initial_units=Decimal(message.initial_units),
        price=Decimal(message.price),
        opened_ns=parse_moment(message.open_time),
        client_order_id=client_id(message.client_extensions),
        stop_loss=_price_of(message.stop_loss_order),
        take_profit=_price_of(message.take_profit_order),
        realized_pl_home=Decimal(message.realized_pl),
        financing_home=Decimal(message.financing),
    )


def _price_of(dependent: DependentMessage | UnsetType) -> Decimal | None:
    return None if dependent is UNSET else _decimal(dependent.price)


def _position(message: PositionMessage) -> TwoSidedPosition:
    position = TwoSidedPosition(instrument=message.instrument, long=_side(message.long), short=_side(message.short))
    if position.long.units < 0 or position.short.units > 0:
        raise ValueError(f"{message.instrument} is long {position.long.units} and short {position.short.units}")
    return position


def _side(message: SideMessage) -> PositionSide:
    return PositionSide(
        units=Decimal(message.units),
        average_price=_decimal(message.average_price),
        trade_ids=tuple(message.trade_ids),
        unrealized_pl_home=Decimal(message.unrealized_pl),
    )


def _order(message: OrderMessage) -> WorkingOrder:
    trigger = _OLD_NAMES.get(message.trigger_condition, message.trigger_condition)
    position_fill = _OLD_NAMES.get(message.position_fill, message.position_fill)
    return WorkingOrder(
        order_id=message.id,
        kind=message.kind,
        state=message.state,
        created_ns=parse_moment(message.create_time),
        instrument=None if message.instrument is UNSET else message.instrument,
        units=_decimal(message.units),
        price=_decimal(message.price),
        distance=_decimal(message.distance),
        trade_id=None if message.trade_id is UNSET else message.trade_id,
        client_order_id=client_id(message.client_extensions),
        expires_ns=parse_moment(message.gtd_time) if message.gtd_time else None,
        trigger=_one_of(trigger, TRIGGERS, "triggerCondition"),
        position_fill=_one_of(position_fill, POSITION_FILLS, "positionFill"),
    )


def _book(message: BookBody) -> OrderBook:
    book = message.order_book
    return OrderBook(
        instrument=book.instrument,
        ts_ns=parse_moment(book.time),
        price=Decimal(book.price),
        bucket_width=Decimal(book.bucket_width),
        levels=tuple(
            BookLevel(
                price=Decimal(each.price),
                long_pct=Decimal(each.long_count_percent),
                short_pct=Decimal(each.short_count_percent),
            )
            for each in book.buckets
        ),
    )


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def _one_of(word: str, allowed: tuple[str, ...], what: str) -> str:
    if word not in allowed:
        raise ValueError(f"{what} {word!r} is none of {', '.join(allowed)}")
    return word
