"""I am the reader of tickets: what can be refused, or must not open a trade, without a price, and for which reason.
I may import the domain, ticket and book.
I must not change anything, nor judge what depends on the market.
My tests are in tests/unit/adapters/sim/test_validation.py.
"""

from collections.abc import Iterator
from decimal import Decimal

from engine.adapters.sim.book import Book, Order
from engine.adapters.sim.ticket import Extensions, OnFill, OrderKind, Ticket, TimeInForce
from engine.domain.instrument import Instrument

CLIENT_ID_LENGTH_MAX = 128
# PROTOCOL section 4 shows these of EUR_USD, in price units; 5 and 10,000 of its pips
TRAILING_PIPS_MIN, TRAILING_PIPS_MAX = Decimal(5), Decimal(10_000)
_MARKET_TIMES = (TimeInForce.FOK, TimeInForce.IOC)
_WAITING_TIMES = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.GFD)
_TIMES = {
    OrderKind.MARKET: _MARKET_TIMES,
    OrderKind.LIMIT: tuple(TimeInForce),
    OrderKind.STOP: tuple(TimeInForce),
    OrderKind.MARKET_IF_TOUCHED: _WAITING_TIMES,
    OrderKind.TAKE_PROFIT: _WAITING_TIMES,
    OrderKind.STOP_LOSS: _WAITING_TIMES,
    OrderKind.TRAILING_STOP: _WAITING_TIMES,
}
_PRICED = (OrderKind.LIMIT, OrderKind.STOP, OrderKind.MARKET_IF_TOUCHED, OrderKind.TAKE_PROFIT)


def reject_reason(
    ticket: Ticket, instrument: Instrument, book: Book, now_ns: int, replacing: Order | None = None
) -> str | None:
    """Judge a ticket without a price; None when the order may be created (PROTOCOL section 7.4).

    An order that is being replaced gives its client id, and its place at the trade, free.
    """
    return next(_reasons(ticket, instrument, book, now_ns, replacing), None)


def opening_refusal(order: Order, book: Book, now_ns: int) -> str | None:
    """Judge at the fill what forbids a new trade whatever its price; None when it may be opened.

    Source: OANDA's texts of OrderCancelReason. A client's id of an open trade is the only guard against doubles.
    """
    ticket = order.ticket
    wanted = ticket.trade_extensions.id if ticket.trade_extensions else None
    if wanted is not None and any(
        trade.client_trade_id == wanted for each in book.positions.values() for trade in each.trades
    ):
        return "CLIENT_TRADE_ID_ALREADY_EXISTS"
    for name, on_fill in _on_fills(ticket):
        if on_fill.time_in_force is TimeInForce.GTD and on_fill.gtd_ns is not None and on_fill.gtd_ns <= now_ns:
            return f"{name}_GTD_TIMESTAMP_IN_PAST"
        if _is_taken(on_fill.extensions.id if on_fill.extensions else None, book, order):
            return f"{name}_CLIENT_ORDER_ID_ALREADY_EXISTS"
    return None


def _on_fills(ticket: Ticket) -> Iterator[tuple[str, OnFill]]:
    for name, on_fill in (
        ("TAKE_PROFIT_ON_FILL", ticket.take_profit),
        ("STOP_LOSS_ON_FILL", ticket.stop_loss),
        ("TRAILING_STOP_LOSS_ON_FILL", ticket.trailing_stop),
    ):
        if on_fill is not None:
            yield name, on_fill


def _reasons(ticket: Ticket, instrument: Instrument, book: Book, now_ns: int, replacing: Order | None) -> Iterator[str]:
    if replacing is not None:
        yield from _of_replacement(ticket, replacing)
    if ticket.kind.is_dependent:
        yield from _of_trade(ticket, book, replacing)
    else:
        yield from _of_units(ticket.units, instrument)
    if ticket.time_in_force not in _TIMES[ticket.kind]:
        yield "TIME_IN_FORCE_INVALID"
    yield from _of_date("TIME_IN_FORCE", ticket.time_in_force, ticket.gtd_ns, now_ns)
    yield from _of_prices(ticket, instrument)
    yield from _of_extensions(ticket.extensions, "CLIENT_ORDER")
    yield from _of_extensions(ticket.trade_extensions, "CLIENT_TRADE")
    if _is_taken(ticket.client_order_id, book, replacing):
        yield "CLIENT_ORDER_ID_ALREADY_EXISTS"
    yield from _of_on_fill("TAKE_PROFIT_ON_FILL", ticket.take_profit, instrument, now_ns)
    yield from _of_on_fill("STOP_LOSS_ON_FILL", ticket.stop_loss, instrument, now_ns)
    yield from _of_trailing_on_fill(ticket.trailing_stop, instrument, now_ns)
    ids = [each.extensions.id for _, each in _on_fills(ticket) if each.extensions and each.extensions.id is not None]
    if len(set(ids)) < len(ids):
        yield "ORDERS_ON_FILL_DUPLICATE_CLIENT_ORDER_IDS"


def _of_replacement(ticket: Ticket, replacing: Order) -> Iterator[str]:
    if ticket.kind is not replacing.kind:
        yield "REPLACING_ORDER_INVALID"
    elif ticket.kind.is_dependent and ticket.trade_id != replacing.ticket.trade_id:
        yield "REPLACING_TRADE_ID_INVALID"


def _of_units(units: Decimal, instrument: Instrument) -> Iterator[str]:
    size = abs(units)
    if size == 0:
        yield "UNITS_INVALID"
    if size > instrument.units_max:
        yield "UNITS_LIMIT_EXCEEDED"
    if instrument.round_units_down(size) != size:
        yield "UNITS_PRECISION_EXCEEDED"
    if size < instrument.units_min:
        yield "UNITS_MINIMUM_NOT_MET"


def _of_trade(ticket: Ticket, book: Book, replacing: Order | None) -> Iterator[str]:
    trade = book.trades.get(ticket.trade_id or "")
    if trade is None or not trade.units:
        yield "TRADE_DOESNT_EXIST"
    elif trade.attached(ticket.kind) not in (None, replacing):
        yield f"{ticket.kind}_ALREADY_EXISTS"


def _of_prices(ticket: Ticket, instrument: Instrument) -> Iterator[str]:
    if ticket.kind in _PRICED and ticket.price is None:
        yield "PRICE_MISSING"
    if ticket.kind is OrderKind.STOP_LOSS:
        yield from _either_or("STOP_LOSS_ORDER", ticket.price, ticket.distance)
    if ticket.kind is OrderKind.TRAILING_STOP and ticket.distance is None:
        yield "PRICE_DISTANCE_MISSING"
    yield from _of_price("PRICE", ticket.price, instrument)
    if ticket.kind is not OrderKind.TAKE_PROFIT:
        yield from _of_price("PRICE_DISTANCE", ticket.distance, instrument)
    yield from _of_price("PRICE_BOUND", ticket.price_bound, instrument)
    if ticket.kind is OrderKind.TRAILING_STOP:
        yield from _of_trailing("PRICE_DISTANCE", ticket.distance, instrument)


def _of_price(name: str, price: Decimal | None, instrument: Instrument) -> Iterator[str]:
    if price is not None and price <= 0:
        yield f"{name}_INVALID"
    if price is not None and instrument.round_price(price) != price:
        yield f"{name}_PRECISION_EXCEEDED"


def _of_trailing(name: str, distance: Decimal | None, instrument: Instrument) -> Iterator[str]:
    if distance is not None and instrument.pips(distance) < TRAILING_PIPS_MIN:
        yield f"{name}_MINIMUM_NOT_MET"
    if distance is not None and instrument.pips(distance) > TRAILING_PIPS_MAX:
        yield f"{name}_MAXIMUM_EXCEEDED"


def _either_or(name: str, price: Decimal | None, distance: Decimal | None) -> Iterator[str]:
    if price is not None and distance is not None:
        yield f"{name}_PRICE_AND_DISTANCE_BOTH_SPECIFIED"
    if price is None and distance is None:
        yield f"{name}_PRICE_AND_DISTANCE_BOTH_MISSING"


def _of_date(name: str, time_in_force: TimeInForce, gtd_ns: int | None, now_ns: int) -> Iterator[str]:
    if time_in_force is not TimeInForce.GTD:
        return
    if gtd_ns is None:
        yield f"{name}_GTD_TIMESTAMP_MISSING"
    elif gtd_ns <= now_ns:
        yield f"{name}_GTD_TIMESTAMP_IN_PAST"


def _of_extensions(extensions: Extensions | None, name: str) -> Iterator[str]:
    if extensions is None:
        return
    if extensions.id is not None and not 0 < len(extensions.id) <= CLIENT_ID_LENGTH_MAX:
        yield f"{name}_ID_INVALID"
    if extensions.tag is not None and len(extensions.tag) > CLIENT_ID_LENGTH_MAX:
        yield f"{name}_TAG_INVALID"
    if extensions.comment is not None and len(extensions.comment) > CLIENT_ID_LENGTH_MAX:
        yield f"{name}_COMMENT_INVALID"


def _is_taken(client_order_id: str | None, book: Book, replacing: Order | None) -> bool:
    """Say whether another waiting order has this id: ended orders give theirs free (PROTOCOL section 7.2)."""
    if client_order_id is None:
        return False
    return any(order.client_order_id == client_order_id and order is not replacing for order in book.pending.values())


def _of_on_fill(name: str, on_fill: OnFill | None, instrument: Instrument, now_ns: int) -> Iterator[str]:
    if on_fill is None:
        return
    if name == "TAKE_PROFIT_ON_FILL" and on_fill.price is None:
        yield f"{name}_PRICE_MISSING"
    if name == "STOP_LOSS_ON_FILL":
        yield from _either_or(name, on_fill.price, on_fill.distance)
        yield from _of_price(f"{name}_DISTANCE", on_fill.distance, instrument)
    yield from _of_price(f"{name}_PRICE", on_fill.price, instrument)
    yield from _of_lifetime(name, on_fill, now_ns)


def _of_trailing_on_fill(on_fill: OnFill | None, instrument: Instrument, now_ns: int) -> Iterator[str]:
    if on_fill is None:
        return
    name = "TRAILING_STOP_LOSS_ON_FILL"
    if on_fill.distance is None:
        yield f"{name}_PRICE_DISTANCE_MISSING"
    yield from _of_price(f"{name}_PRICE_DISTANCE", on_fill.distance, instrument)
    yield from _of_trailing(f"{name}_PRICE_DISTANCE", on_fill.distance, instrument)
    yield from _of_lifetime(name, on_fill, now_ns)


def _of_lifetime(name: str, on_fill: OnFill, now_ns: int) -> Iterator[str]:
    if on_fill.time_in_force not in _WAITING_TIMES:
        yield f"{name}_TIME_IN_FORCE_INVALID"
    yield from _of_date(name, on_fill.time_in_force, on_fill.gtd_ns, now_ns)
    yield from _of_extensions(on_fill.extensions, f"{name}_CLIENT_ORDER")
