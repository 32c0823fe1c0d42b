"""I am settlement: I turn an executed order into its transactions and move trades and balance accordingly.
I may import the domain, book, conversion and matching.
I must not decide whether or at which price an order is filled.
My tests are in tests/unit/adapters/sim/test_broker.py and test_broker_properties.py.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count

import msgspec

from engine.adapters.sim.book import ZERO, Book, Cut, DependentOrder, OpenTrade, OrderKind
from engine.adapters.sim.conversion import HomeRates, round_home
from engine.adapters.sim.matching import NOTHING_LEFT_TO_REDUCE
from engine.domain.instrument import Instrument
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, TradeClosed, TradeOpened, Transaction


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """The trade that an execution opens; prices in quote currency, a trailing stop starts at trailing_stop."""

    units: Decimal
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_stop: Decimal | None = None
    trailing_distance: Decimal | None = None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is filled now: at which price, and which trades it closes or opens.

    spread is the market's at that moment, in quote currency; units_lost are what a reduce-only order had too many.
    """

    order_id: str
    client_order_id: str | None = None
    reason: str
    ts_ns: int
    instrument: Instrument
    price: Decimal
    spread: Decimal
    cuts: tuple[Cut, ...] = ()
    opening: Opening | None = None
    units_lost: Decimal = ZERO


def settle(execution: Execution, book: Book, rates: HomeRates, before: Sequence[Transaction] = ()) -> None:
    """Book an execution as one batch: what came before it, the fill, its stops and targets, and what it cancels."""
    fill = _fill(execution, book.last_id + len(before) + 1, book, rates)
    trade = _opened_trade(execution, fill.transaction_id)
    batch = [*before, fill]
    if trade is not None:
        batch.extend(_created(trade, execution.ts_ns))
    batch.extend(_canceled(execution, book.last_id + len(batch) + 1))
    book.commit(batch)
    for cut in execution.cuts:
        book.cut(cut)
    if trade is not None:
        book.open(trade)


def _fill(execution: Execution, fill_id: int, book: Book, rates: HomeRates) -> Fill:
    opening, name = execution.opening, execution.instrument.name
    opened_units = ZERO if opening is None else opening.units
    units = sum((cut.units for cut in execution.cuts), opened_units)
    closed = tuple(_closed(cut, execution.price, rates) for cut in execution.cuts if cut.is_whole)
    reduced = next((_closed(cut, execution.price, rates) for cut in execution.cuts if not cut.is_whole), None)
    parts = closed if reduced is None else (*closed, reduced)
    pl_home = sum((part.realized_pl_home for part in parts), ZERO)
    return Fill(
        transaction_id=fill_id,
        ts_ns=execution.ts_ns,
        order_id=execution.order_id,
        client_order_id=execution.client_order_id,
        instrument=name,
        units=units,
        price=execution.price,
        reason=execution.reason,
        pl_home=pl_home,
        financing_home=ZERO,
        commission_home=ZERO,
        half_spread_home=round_home(execution.spread / 2 * abs(units) * rates.rate(name)),
        balance_home=book.balance_home + pl_home,
        opened=None if opening is None else _opened(opening, fill_id, execution.price),
        closed=closed,
        reduced=reduced,
    )


def _closed(cut: Cut, price: Decimal, rates: HomeRates) -> TradeClosed:
    """Realise P/L: what the closed units gained since the entry, in quote currency, converted as it is booked."""
    gain = (price - cut.trade.price) * -cut.units
    return TradeClosed(
        trade_id=cut.trade.trade_id,
        units=cut.units,
        price=price,
        realized_pl_home=rates.booked(gain, cut.trade.instrument.name),
    )


def _opened(opening: Opening, fill_id: int, price: Decimal) -> TradeOpened:
    return TradeOpened(
        trade_id=str(fill_id),
        units=opening.units,
        price=price,
        stop_loss=opening.stop_loss,
        take_profit=opening.take_profit,
        trailing_distance=opening.trailing_distance,
    )


def _opened_trade(execution: Execution, fill_id: int) -> OpenTrade | None:
    opening = execution.opening
    if opening is None:
        return None
    ids = count(fill_id + 1)
    return OpenTrade(
        trade_id=str(fill_id),
        instrument=execution.instrument,
        is_long=opening.units > 0,
        units=opening.units,
        price=execution.price,
        take_profit=_dependent(ids, OrderKind.TAKE_PROFIT, opening.take_profit),
        stop_loss=_dependent(ids, OrderKind.STOP_LOSS, opening.stop_loss),
        trailing_stop=_dependent(ids, OrderKind.TRAILING_STOP, opening.trailing_stop, opening.trailing_distance),
    )


def _dependent(
    ids: Iterator[int], kind: OrderKind, price: Decimal | None, distance: Decimal | None = None
) -> DependentOrder | None:
    if price is None:
        return None
    return DependentOrder(order_id=str(next(ids)), kind=kind, price=price, distance=distance)


def _created(trade: OpenTrade, ts_ns: int) -> Iterator[OrderCreated]:
    for order in trade.dependents:
        yield OrderCreated(
            transaction_id=int(order.order_id),
            ts_ns=ts_ns,
            order_id=order.order_id,
            client_order_id=None,
            kind=order.kind.value,
            instrument=trade.instrument.name,
            trade_id=trade.trade_id,
            price=order.price,
        )


def _canceled(execution: Execution, next_id: int) -> Iterator[OrderCanceled]:
    """Cancel the other orders of each trade that is closed, and what a reduce-only order could not use."""
    closed = (cut.trade for cut in execution.cuts if cut.is_whole)
    linked = (order.order_id for trade in closed for order in trade.dependents)
    endings: list[tuple[str, str | None, str]] = [
        (order_id, None, "LINKED_TRADE_CLOSED") for order_id in linked if order_id != execution.order_id
    ]
    if execution.units_lost:
        endings.append((execution.order_id, execution.client_order_id, NOTHING_LEFT_TO_REDUCE))
    for transaction_id, (order_id, client_order_id, reason) in enumerate(endings, next_id):
        yield OrderCanceled(
            transaction_id=transaction_id,
            ts_ns=execution.ts_ns,
            order_id=order_id,
            client_order_id=client_order_id,
            reason=reason,
        )
