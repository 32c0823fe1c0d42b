"""I am the trade desk: close trades and positions, and set what waits to close them.
I may import the simulated venue, desk, reading and refusal.
I must not change the books but through the exchange.
My tests are in tests/unit/venue: test_lists.py and test_prices_by_hand.py; and in tests/contract/test_venue.py.
"""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.adapters.sim.book import Order, Trade
from engine.adapters.sim.closing import ALL, close_trade, closing_ticket
from engine.adapters.sim.entries import OrderEnded, OrderFilled, OrderMade, OrderRefused, TradeExtended
from engine.adapters.sim.ticket import CloseOut, Extensions, OrderKind, Ticket
from engine.venue.desk import Answer, Call, Desk, listed
from engine.venue.reading import check_words, dependent_ticket, read_extensions, read_units
from engine.venue.refusal import Refusal, invalid, missing, not_found

_NO_POSITION = "CLOSEOUT_POSITION_DOESNT_EXIST"
_DEPENDENT = (
    ("takeProfit", OrderKind.TAKE_PROFIT),
    ("stopLoss", OrderKind.STOP_LOSS),
    ("trailingStopLoss", OrderKind.TRAILING_STOP),
)


def close(desk: Desk, call: Call) -> Answer:
    """PUT /trades/{specifier}/close."""
    units = read_units(call.body, "units") or ALL
    trade = desk.trade(call.path["trade"])
    is_open = trade is not None and bool(trade.units)
    entries = close_trade(desk.exchange, trade, call.path["trade"], units, call.request_id)
    refusal = desk.rejected(call, entries, status=400 if is_open else 404)
    if refusal:
        raise refusal
    return Answer(body=desk.outcome(call, entries))


def set_dependents(desk: Desk, call: Call) -> Answer:
    """PUT /trades/{specifier}/orders: an object creates or replaces, null cancels, what is absent stays."""
    trade = desk.known_trade(call.path["trade"])
    if not trade.units:
        raise not_found("NO_SUCH_TRADE", desk.book.last_id)
    named: list[tuple[str, Order | None, Ticket | None]] = []
    for name, kind in _DEPENDENT:
        if name not in call.body:
            continue
        terms, old = call.body[name], trade.attached(kind)
        if terms is not None and not isinstance(terms, dict):
            raise invalid(name)
        if terms is not None:
            ticket = dependent_ticket(terms, kind, trade.trade_id, trade.instrument.name)
            named.append((name, old, _with_words_of(old, ticket)))
        elif old is not None:
            named.append((name, old, None))
    entries = desk.exchange.set_dependents([(old, ticket) for _, old, ticket in named], call.request_id)
    refused = next((entry for entry in entries if isinstance(entry, OrderRefused)), None)
    if refused is not None:
        prefix = next(name for name, kind in _DEPENDENT if kind is refused.ticket.kind)
        raise desk.rejected(call, entries, prefix + "Order") or invalid(prefix)
    return Answer(body=_dependents_answer(desk, call, named, list(entries)))


def _with_words_of(old: Order | None, ticket: Ticket) -> Ticket:
    if old is None or ticket.extensions is not None:
        return ticket
    return replace(ticket, extensions=old.extensions)


def _dependents_answer(
    desk: Desk, call: Call, named: list[tuple[str, Order | None, Ticket | None]], entries: list[Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    prefixes = {ticket.kind: f"{name}Order" for name, _, ticket in named if ticket}
    by_order = {old.order_id: f"{name}Order" for name, old, _ in named if old}
    for entry in entries:
        if isinstance(entry, OrderMade):
            prefix = prefixes[entry.ticket.kind]
            by_order[str(entry.id)] = f"{prefix}Created"
            row[f"{prefix}Transaction"] = call.renderer.transaction(entry)
        elif isinstance(entry, OrderEnded) and entry.order_id in by_order:
            row[f"{by_order[entry.order_id]}CancelTransaction"] = call.renderer.transaction(entry)
        elif isinstance(entry, OrderFilled) and entry.order_id in by_order:
            prefix = by_order[entry.order_id].removesuffix("Created")
            row[f"{prefix}FillTransaction"] = call.renderer.transaction(entry)
    return row | desk.related(entries)


def extend(desk: Desk, call: Call) -> Answer:
    """PUT /trades/{specifier}/clientExtensions."""
    trade = desk.known_trade(call.path["trade"])
    if not trade.units:
        raise not_found("NO_SUCH_TRADE", desk.book.last_id)
    words = read_extensions(call.body, "clientExtensions")
    if words is None:
        raise missing("clientExtensions")
    other = desk.trade(f"@{words.id}") if words.id is not None else None
    check_words(words, "CLIENT_TRADE", other is not None and other is not trade and bool(other.units))
    batch = desk.exchange.record(call.request_id)
    made = batch.add(TradeExtended, trade_id=trade.trade_id, client_trade_id=trade.client_trade_id, extensions=words)
    trade.extensions = (trade.extensions or Extensions()).changed(words)
    row = call.renderer.transaction(made)
    return Answer(body={"tradeClientExtensionsModifyTransaction": row} | desk.related(batch.entries))


def show(desk: Desk, call: Call) -> Answer:
    """GET /trades/{specifier}."""
    trade = desk.known_trade(call.path["trade"])
    return Answer(body={"trade": desk.figures.trade(call.renderer, trade), "lastTransactionID": desk.last_id})


def listing(desk: Desk, call: Call) -> Answer:
    """GET /trades, newest first."""
    state = call.query.get("state", "OPEN")
    if state not in ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE", "ALL"):
        raise invalid("state")
    asked = listed(desk, call)
    found = [
        trade
        for trade in reversed(desk.book.trades.values())
        if (state == "ALL" or state == ("OPEN" if trade.units else "CLOSED"))
        and asked.has(trade.trade_id, trade.instrument.name)
    ]
    link = asked.link(call, "trades", [trade.trade_id for trade in found])
    return replace(_trades(desk, call, found[: asked.count]), link=link)


def open_trades(desk: Desk, call: Call) -> Answer:
    """GET /openTrades, newest first."""
    return _trades(desk, call, desk.figures.open_trades)


def _trades(desk: Desk, call: Call, found: list[Trade]) -> Answer:
    rows = [desk.figures.trade(call.renderer, trade) for trade in found]
    return Answer(body={"trades": rows, "lastTransactionID": desk.last_id})


def positions(desk: Desk, call: Call) -> Answer:
    """GET /positions: every instrument that was ever traded."""
    rows = [desk.figures.position(name) for name in desk.figures.traded]
    return Answer(body={"positions": rows, "lastTransactionID": desk.last_id})


def open_positions(desk: Desk, call: Call) -> Answer:
    """GET /openPositions."""
    rows = [desk.figures.position(name) for name in desk.book.positions]
    return Answer(body={"positions": rows, "lastTransactionID": desk.last_id})


def position(desk: Desk, call: Call) -> Answer:
    """GET /positions/{instrument}."""
    name = _instrument(desk, call)
    if name not in desk.figures.traded:
        raise not_found("NO_SUCH_POSITION", desk.book.last_id)
    return Answer(body={"position": desk.figures.position(name), "lastTransactionID": desk.last_id})


def close_position(desk: Desk, call: Call) -> Answer:
    """PUT /positions/{instrument}/close."""
    name = _instrument(desk, call)
    words = ("ALL", "NONE")
    long, short = (read_units(call.body, key, words=words) for key in ("longUnits", "shortUnits"))
    sides = [(side, units) for side, units in (("long", long), ("short", short)) if units not in (None, "NONE")]
    if not sides:
        raise Refusal(
            400, "The position closeout names no units", "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION",
            {"lastTransactionID": desk.last_id},
        )  # fmt: skip
    # a netting account holds one side at most: of two that are named one is refused, and then nothing is closed
    tickets = {side: _side_ticket(desk, name, side, units) for side, units in sides}
    for side, (ticket, reason) in tickets.items():
        if reason is not None:
            refused = desk.exchange.refuse(ticket, CloseOut.POSITION.value, reason, call.request_id)
            status = 404 if reason == _NO_POSITION else 400
            raise desk.rejected(call, refused, f"{side}Order", status) or invalid(f"{side}Units")
    ((side, (ticket, _)),) = tickets.items()
    entries = desk.exchange.create(ticket, call.request_id, CloseOut.POSITION.value)
    refusal = desk.rejected(call, entries, f"{side}Order")
    if refusal:
        raise refusal
    return Answer(body=desk.outcome(call, entries, f"{side}Order"))


def _side_ticket(desk: Desk, name: str, side: str, units: str | Decimal | None) -> tuple[Ticket, str | None]:
    """Make the order that closes one side, and say why it cannot be placed, if so."""
    held = desk.book.positions.get(name)
    is_long = side == "long"
    here = held.units if held is not None and (held.units > 0) == is_long else Decimal(0)
    size = abs(here) if units == "ALL" else Decimal(units or 0)
    ticket = closing_ticket(name, -size if is_long else size, CloseOut.POSITION, str(units))
    if not here:
        return ticket, _NO_POSITION
    return ticket, "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE" if size > abs(here) else None


def _instrument(desk: Desk, call: Call) -> str:
    name = call.path["instrument"]
    if name not in desk.exchange.instruments:
        raise invalid("instrument")
    return name
