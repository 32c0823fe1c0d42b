"""I am what the account holds, as OANDA lists it: trades, positions, waiting orders; and its order book.
I may import the domain, messages, moments, parsing, reading and transactions.
I must not be a source of the books once they are open: those come from transactions alone, lists only confirm them.
My tests are in tests/unit/adapters/oanda/test_holdings.py and test_fixtures.py.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.adapters.oanda.messages import (
    AccountBody,
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
from engine.adapters.oanda.parsing import AccountSummary, account_summary
from engine.adapters.oanda.reading import ParseFault, read
from engine.adapters.oanda.transactions import client_id
from engine.domain.account import Holdings, Trade, WorkingOrder

TRADE_STATES = ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE")
ORDER_STATES = ("PENDING", "FILLED", "TRIGGERED", "CANCELLED")
# Which orders protect a trade, and which price of the trade they are.
STOPS, TARGET = ("STOP_LOSS", "GUARANTEED_STOP_LOSS"), "TAKE_PROFIT"


class AccountDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The account's figures and all that it holds, told in one answer and so as of one moment."""

    summary: AccountSummary
    holdings: Holdings


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


def parse_account(body: bytes) -> AccountDetails | ParseFault:
    """Read the whole account, trades and orders by their numbers.

    The trades of this answer name their stop and target by number (PROTOCOL section 8): the prices are those of the
    orders that wait to close them. A fault when its two last transactions differ, a trade or order comes twice, or a
    trade is of 0 units.
    """
    return read(body, AccountBody, _details, "account")


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
    """Read a list of waiting orders, in the order that it has (newest first)."""
    return read(
        body,
        OrdersBody,
        lambda message: tuple(_order(each) for each in message.orders if _waits(each)),
        "list of orders",
    )


def parse_order(body: bytes) -> WorkingOrder | ParseFault:
    """Read one order."""
    return read(body, OrderBody, lambda message: _order(message.order), "order")


def parse_order_book(body: bytes) -> OrderBook | ParseFault:
    """Read an order book."""
    return read(body, BookBody, _book, "order book")


def _details(message: AccountBody) -> AccountDetails:
    account = message.account
    if account.last_transaction_id != message.last_transaction_id:
        raise ValueError(f"its last transaction is {account.last_transaction_id} and {message.last_transaction_id}")
    orders = tuple(
        sorted((_order(each) for each in account.orders if _waits(each)), key=lambda each: int(each.order_id))
    )
    trades = tuple(sorted((_trade(each) for each in account.trades), key=lambda each: int(each.trade_id)))
    _check_once([each.order_id for each in orders], "order")
    _check_once([each.trade_id for each in trades], "trade")
    if flat := next((each.trade_id for each in trades if not each.units), ""):
        raise ValueError(f"the open trade {flat} is of 0 units")
    holdings = Holdings(
        balance_home=Decimal(account.balance),
        last_transaction_id=int(account.last_transaction_id),
        trades=tuple(_with_prices(each, orders) for each in trades),
        orders=orders,
    )
    return AccountDetails(summary=account_summary(account), holdings=holdings)


def _check_once(ids: Sequence[str], what: str) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError(f"{what} {next(each for each in ids if ids.count(each) > 1)} comes twice")


def _with_prices(trade: Trade, orders: Sequence[WorkingOrder]) -> Trade:
    """Add the prices of the orders that wait to close a trade."""
    prices = {order.kind: order.price for order in orders if order.trade_id == trade.trade_id}
    stop = next((prices[kind] for kind in STOPS if kind in prices), trade.stop_loss)
    return replace(trade, stop_loss=stop, take_profit=prices.get(TARGET, trade.take_profit))


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


def _waits(message: OrderMessage) -> bool:
    return _one_of(message.state, ORDER_STATES, "state") == "PENDING"


def _order(message: OrderMessage) -> WorkingOrder:
    return WorkingOrder(
        order_id=message.id,
        kind=message.kind,
        instrument=None if message.instrument is UNSET else message.instrument,
        units=_decimal(message.units),
        trade_id=None if message.trade_id is UNSET else message.trade_id,
        price=_decimal(message.price),
        client_order_id=client_id(message.client_extensions),
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
