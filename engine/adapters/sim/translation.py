"""I am the translation of the exchange's log and books into the domain's transactions, trades and waiting orders.
I may import the domain, book, entries and ticket.
I must not decide or add anything; what the log does not say did not happen.
My tests are in tests/unit/adapters/sim/test_broker.py and tests/contract/test_broker.py.
"""

from decimal import Decimal

from engine.adapters.sim.book import Book, Order
from engine.adapters.sim.book import Trade as Lot
from engine.adapters.sim.entries import (
    FinancingBooked,
    FundsMoved,
    LogEntry,
    OrderEnded,
    OrderFilled,
    OrderMade,
    OrderRefused,
    TradeMade,
    TradePart,
)
from engine.adapters.sim.ticket import OrderKind
from engine.domain.account import Holdings, Trade, WorkingOrder
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    OtherTransaction,
    TradeClosed,
    TradeFinancing,
    TradeOpened,
    Transaction,
)

ZERO = Decimal(0)


def transaction(entry: LogEntry) -> Transaction:
    """Tell an entry in the domain's words; what moves neither orders nor money is an OtherTransaction."""
    if isinstance(entry, OrderMade):
        return _created(entry)
    if isinstance(entry, OrderFilled):
        return _fill(entry)
    if isinstance(entry, OrderEnded):
        return OrderCanceled(
            transaction_id=entry.id,
            ts_ns=entry.ts_ns,
            order_id=entry.order_id,
            client_order_id=entry.client_order_id,
            reason=entry.reason,
        )
    if isinstance(entry, OrderRefused):
        return OrderRejected(
            transaction_id=entry.id,
            ts_ns=entry.ts_ns,
            client_order_id=entry.ticket.client_order_id,
            reason=entry.reject_reason,
        )
    if isinstance(entry, FinancingBooked):
        return _financing(entry)
    if isinstance(entry, FundsMoved):
        return FundsTransferred(
            transaction_id=entry.id,
            ts_ns=entry.ts_ns,
            amount_home=entry.amount_home,
            balance_home=entry.balance_home,
        )
    return OtherTransaction(transaction_id=entry.id, ts_ns=entry.ts_ns, kind=type(entry).__name__)


def holdings(book: Book) -> Holdings:
    """Tell what is open and what waits, both by their numbers."""
    lots = sorted((lot for position in book.positions.values() for lot in position.trades), key=_number)
    return Holdings(
        balance_home=book.balance_home,
        last_transaction_id=book.last_id,
        trades=tuple(_trade(lot, book) for lot in lots),
        orders=tuple(_waiting(order) for order in book.pending.values()),
    )


def _number(lot: Lot) -> int:
    return int(lot.trade_id)


def _trade(lot: Lot, book: Book) -> Trade:
    """Tell a trade; whose it is stands in the fill that opened it, whose number it has."""
    fill = book.log[_number(lot) - 1]
    return Trade(
        trade_id=lot.trade_id,
        instrument=lot.instrument.name,
        units=lot.units,
        initial_units=lot.initial_units,
        price=lot.price,
        opened_ns=lot.opened_ns,
        client_order_id=fill.client_order_id if isinstance(fill, OrderFilled) else None,
        stop_loss=lot.stop_loss.price if lot.stop_loss else None,
        take_profit=lot.take_profit.price if lot.take_profit else None,
        realized_pl_home=lot.realized_pl_home,
        financing_home=lot.financing_home,
    )


def _waiting(order: Order) -> WorkingOrder:
    """Tell a waiting order as OANDA does: one that hangs on a trade has neither instrument nor units."""
    ticket, hangs = order.ticket, order.kind.is_dependent
    return WorkingOrder(
        order_id=order.order_id,
        kind=order.kind.order_type,
        instrument=None if hangs else ticket.instrument,
        units=None if hangs else ticket.units,
        trade_id=ticket.trade_id if hangs else None,
        price=None if order.kind is OrderKind.TRAILING_STOP else order.price,
        client_order_id=order.client_order_id,
    )


def _created(entry: OrderMade) -> OrderCreated:
    ticket = entry.ticket
    return OrderCreated(
        transaction_id=entry.id,
        ts_ns=entry.ts_ns,
        order_id=str(entry.id),
        client_order_id=ticket.client_order_id,
        kind=ticket.kind.value,
        instrument=ticket.instrument,
        units=ticket.units,
        trade_id=ticket.trade_id if ticket.kind.is_dependent else None,
        price=entry.price if ticket.kind.is_dependent else ticket.price,
    )


def _fill(entry: OrderFilled) -> Fill:
    return Fill(
        transaction_id=entry.id,
        ts_ns=entry.ts_ns,
        order_id=entry.order_id,
        client_order_id=entry.client_order_id,
        instrument=entry.instrument,
        units=entry.units,
        price=entry.price,
        reason=entry.reason,
        pl_home=entry.pl_home,
        financing_home=ZERO,
        commission_home=ZERO,
        half_spread_home=entry.half_spread_home,
        balance_home=entry.balance_home,
        opened=None if entry.opened is None else _opened(entry, entry.opened),
        closed=tuple(_closed(part, entry.price) for part in entry.closed),
        reduced=None if entry.reduced is None else _closed(entry.reduced, entry.price),
    )


def _opened(entry: OrderFilled, made: TradeMade) -> TradeOpened:
    return TradeOpened(
        trade_id=str(entry.id),
        units=made.units,
        price=entry.price,
        stop_loss=made.stop_loss,
        take_profit=made.take_profit,
        trailing_distance=made.trailing_distance,
    )


def _closed(part: TradePart, price: Decimal) -> TradeClosed:
    return TradeClosed(
        trade_id=part.trade_id,
        units=part.units,
        price=price,
        realized_pl_home=part.realized_pl_home,
    )


def _financing(entry: FinancingBooked) -> DailyFinancing:
    return DailyFinancing(
        transaction_id=entry.id,
        ts_ns=entry.ts_ns,
        financing_home=entry.amount_home,
        balance_home=entry.balance_home,
        trades=tuple(
            TradeFinancing(trade_id=part.trade_id, instrument=part.instrument, financing_home=part.amount_home)
            for part in entry.parts
        ),
    )
