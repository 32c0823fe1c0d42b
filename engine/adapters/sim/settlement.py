"""I am settlement: I turn an order that is filled now into its entries and move orders, trades and balance accordingly.
I may import the domain, book, conversion, margin, matching and their words.
I must not decide whether or at which price an order is filled.
My tests are in tests/unit/adapters/sim/: test_exchange.py, test_exchange_money.py and test_broker.py.
"""

from decimal import Decimal

from engine.adapters.sim.book import ZERO, Batch, Book, Cut, Order, OrderState, Trade
from engine.adapters.sim.conversion import HomeRates, round_home
from engine.adapters.sim.entries import OrderEnded, OrderFilled, OrderMade, TradeMade, TradePart
from engine.adapters.sim.hours import expiry_ns
from engine.adapters.sim.matching import NOTHING_LEFT_TO_REDUCE, Netting, Reached, on_fill_price
from engine.adapters.sim.ticket import OnFill, OrderKind, Ticket
from engine.domain.instrument import Instrument


def settle(
    batch: Batch, book: Book, rates: HomeRates, instrument: Instrument, reached: Reached, netting: Netting
) -> None:
    """Book a fill: the fill itself, the stops and targets of what it opens, and the orders that it ends."""
    order = reached.order
    fill = _fill(batch, book, rates, instrument, reached, netting)
    book.balance_home = fill.balance_home
    book.end(order, OrderState.FILLED, fill.id, batch.ts_ns)
    order.closed_trade_ids = tuple(part.trade_id for part in fill.closed)
    order.reduced_trade_id = fill.reduced.trade_id if fill.reduced else None
    for cut, part in zip(netting.cuts, _parts(fill), strict=True):
        _close(book, cut, part, fill)
    if fill.opened is not None:
        order.opened_trade_id = str(fill.id)
        _open(batch, book, instrument, order.ticket, fill, fill.opened)
    _end_linked(batch, book, order, netting, fill)
    lost = order.ticket.units - fill.units
    if lost and not order.kind.is_dependent:
        _end_surplus(batch, order)


def _parts(fill: OrderFilled) -> tuple[TradePart, ...]:
    return fill.closed if fill.reduced is None else (*fill.closed, fill.reduced)


def _fill(
    batch: Batch, book: Book, rates: HomeRates, instrument: Instrument, reached: Reached, netting: Netting
) -> OrderFilled:
    order, price, name = reached.order, reached.price, instrument.name
    half = (reached.ask - reached.bid) / 2 * rates.rate(name)
    closed = tuple(_part(cut, price, half, rates) for cut in netting.cuts if cut.is_whole)
    reduced = next((_part(cut, price, half, rates) for cut in netting.cuts if not cut.is_whole), None)
    parts = closed if reduced is None else (*closed, reduced)
    opened = _made(netting.opened_units, instrument, reached, half, rates)
    pl_home = sum((part.realized_pl_home for part in parts), ZERO)
    gain_factor, loss_factor = rates.factors(name)
    return batch.add(
        OrderFilled,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        instrument=name,
        units=netting.units,
        requested_units=netting.units if order.kind.is_dependent else order.ticket.units,
        price=price,
        bid=reached.bid,
        ask=reached.ask,
        reason=order.ticket.fill_reason,
        pl_home=pl_home,
        quote_pl=sum((part.quote_pl for part in parts), ZERO),
        half_spread_home=sum((each.half_spread_home for each in (opened, *parts) if each is not None), ZERO),
        gain_factor=gain_factor,
        loss_factor=loss_factor,
        balance_home=book.balance_home + pl_home,
        opened=opened,
        closed=closed,
        reduced=reduced,
    )


def _part(cut: Cut, price: Decimal, half: Decimal, rates: HomeRates) -> TradePart:
    """Realise P/L: what the closed units gained since the entry, in quote currency, converted as it is booked."""
    gain = (price - cut.trade.price) * -cut.units
    return TradePart(
        trade_id=cut.trade.trade_id,
        units=cut.units,
        realized_pl_home=rates.booked(gain, cut.trade.instrument.name),
        quote_pl=gain,
        half_spread_home=round_home(half * abs(cut.units)),
    )


def _made(
    units: Decimal, instrument: Instrument, reached: Reached, half: Decimal, rates: HomeRates
) -> TradeMade | None:
    """Open what is left over; its margin is that of the fill's own prices, which can lie inside a bar."""
    if not units:
        return None
    ticket, price = reached.order.ticket, reached.price
    trailing, mid = ticket.trailing_stop, (reached.bid + reached.ask) / 2
    return TradeMade(
        units=units,
        margin_home=round_home(abs(units) * mid * instrument.margin_rate * rates.rate(instrument.name)),
        half_spread_home=round_home(half * abs(units)),
        extensions=ticket.trade_extensions,
        stop_loss=on_fill_price(ticket.stop_loss, price, units > 0),
        take_profit=on_fill_price(ticket.take_profit, price, units > 0),
        trailing_distance=trailing.distance if trailing else None,
    )


def _close(book: Book, cut: Cut, part: TradePart, fill: OrderFilled) -> None:
    trade = cut.trade
    trade.realized_pl_home += part.realized_pl_home
    trade.closed_value -= cut.units * fill.price
    trade.closing_ids.append(fill.id)
    book.side(fill.instrument, trade.is_long).pl_home += part.realized_pl_home
    if cut.is_whole:
        trade.closed_ns = fill.ts_ns
    book.cut(cut)


def _open(batch: Batch, book: Book, instrument: Instrument, ticket: Ticket, fill: OrderFilled, made: TradeMade) -> None:
    trade = Trade(
        trade_id=str(fill.id),
        instrument=instrument,
        is_long=made.units > 0,
        units=made.units,
        initial_units=made.units,
        price=fill.price,
        opened_ns=fill.ts_ns,
        margin_home=made.margin_home,
        extensions=made.extensions,
    )
    book.open(trade)
    # a trailing stop starts its distance behind the closing side of the market
    closing, distance = (fill.bid if trade.is_long else fill.ask), made.trailing_distance or ZERO
    behind = closing - distance if trade.is_long else closing + distance
    for kind, on_fill, price in (
        (OrderKind.TAKE_PROFIT, ticket.take_profit, made.take_profit),
        (OrderKind.STOP_LOSS, ticket.stop_loss, made.stop_loss),
        (OrderKind.TRAILING_STOP, ticket.trailing_stop, behind),
    ):
        if on_fill is not None and price is not None:
            _attach(batch, book, trade, kind, on_fill, price, fill.id)


def _attach(
    batch: Batch, book: Book, trade: Trade, kind: OrderKind, on_fill: OnFill, price: Decimal, fill_id: int
) -> None:
    ticket = Ticket(
        kind=kind,
        instrument=trade.instrument.name,
        price=on_fill.price,
        distance=on_fill.distance,
        time_in_force=on_fill.time_in_force,
        gtd_ns=on_fill.gtd_ns,
        extensions=on_fill.extensions,
        trade_id=trade.trade_id,
    )
    made = batch.add(OrderMade, ticket=ticket, reason="ON_FILL", price=price, fill_id=fill_id)
    book.add(
        Order(
            order_id=str(made.id),
            ticket=ticket,
            reason=made.reason,
            created_ns=made.ts_ns,
            price=price,
            expires_ns=expiry_ns(on_fill.time_in_force, on_fill.gtd_ns, made.ts_ns),
            trade=trade,
            extensions=on_fill.extensions,
        )
    )


def _end_linked(batch: Batch, book: Book, order: Order, netting: Netting, fill: OrderFilled) -> None:
    """Cancel the other orders of each trade that is closed."""
    for trade in (cut.trade for cut in netting.cuts if not cut.trade.units):
        for linked in trade.dependents:
            end(
                batch,
                book,
                linked,
                "LINKED_TRADE_CLOSED",
                closed_trade_id=trade.trade_id,
                closing_id=fill.id,
            )


def _end_surplus(batch: Batch, order: Order) -> None:
    batch.add(
        OrderEnded,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        reason=NOTHING_LEFT_TO_REDUCE,
    )


def end(
    batch: Batch,
    book: Book,
    order: Order,
    reason: str,
    *,
    closed_trade_id: str | None = None,
    closing_id: int | None = None,
    replaced_by: str | None = None,
) -> OrderEnded:
    """Book the end of an order that is not (further) filled."""
    entry = batch.add(
        OrderEnded,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        reason=reason,
        closed_trade_id=closed_trade_id,
        closing_id=closing_id,
        replaced_by=replaced_by,
    )
    order.replaced_by = replaced_by
    book.end(order, OrderState.CANCELLED, entry.id, batch.ts_ns)
    return entry
