"""I am the translation of the exchange's log into the domain's transactions.
I may import the domain and entries.
I must not decide or add anything; what the log does not say did not happen.
My tests are in tests/unit/adapters/sim/test_broker.py and tests/contract/test_broker.py.
"""

from decimal import Decimal

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
