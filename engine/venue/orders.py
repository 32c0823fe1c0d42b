"""I am the order desk: create, replace, cancel and list orders.
I may import the simulated venue, desk, reading and refusal.
I must not change the books but through the exchange.
My tests are in tests/unit/venue: test_lists.py and test_prices_by_hand.py; and in tests/contract/test_venue.py.
"""

from msgspec.structs import replace as changed

from engine.adapters.sim.book import Order, OrderState
from engine.adapters.sim.entries import CancelRefused, OrderEnded, OrderExtended
from engine.adapters.sim.ticket import Extensions, OrderKind
from engine.venue.desk import Answer, Call, Desk, listed
from engine.venue.reading import NUMBER, check_words, read_extensions, read_ticket
from engine.venue.refusal import MESSAGES, Refusal, invalid, missing, not_found

_STATES = {
    "PENDING": (OrderState.PENDING,),
    "FILLED": (OrderState.FILLED,),
    "TRIGGERED": (),
    "CANCELLED": (OrderState.CANCELLED,),
    "ALL": tuple(OrderState),
}


def create(desk: Desk, call: Call) -> Answer:
    """POST /orders."""
    ticket = read_ticket(call.body, desk.exchange.instruments, desk.book.trades)
    entries = desk.exchange.create(ticket, call.request_id)
    unknown = ticket.kind.is_dependent and desk.book.trades.get(ticket.trade_id or "") is None
    refusal = desk.rejected(call, entries, status=404 if unknown else 400)
    if refusal:
        raise refusal
    return Answer(body=desk.outcome(call, entries), status=201, location=f"orders/{entries[0].id}")


def replace(desk: Desk, call: Call) -> Answer:
    """PUT /orders/{specifier}: cancel and create in one."""
    order = _waiting(desk, call)
    ticket = read_ticket(call.body, desk.exchange.instruments, desk.book.trades)
    if ticket.kind is OrderKind.MARKET:
        raise invalid("order.type", "A market order waits for nothing and so replaces nothing")
    if ticket.extensions is None:
        ticket = changed(ticket, extensions=order.extensions)
    entries = desk.exchange.replace(order, ticket, call.request_id)
    refusal = desk.rejected(call, entries)
    if refusal:
        raise refusal
    body = desk.outcome(call, entries)
    ended = body.pop("orderCancelTransaction", None)
    if ended is not None:
        body["replacingOrderCancelTransaction"] = ended
    body["orderCancelTransaction"] = call.renderer.transaction(entries[0])
    return Answer(body=body, status=201, location=f"orders/{entries[1].id}")


def cancel(desk: Desk, call: Call) -> Answer:
    """PUT /orders/{specifier}/cancel."""
    order = _waiting(desk, call)
    entries = desk.exchange.cancel(order, call.request_id)
    ended = next(entry for entry in entries if isinstance(entry, OrderEnded))
    return Answer(body={"orderCancelTransaction": call.renderer.transaction(ended)} | desk.related(entries))


def extend(desk: Desk, call: Call) -> Answer:
    """PUT /orders/{specifier}/clientExtensions."""
    order = desk.order(call.path["order"])
    if order is None or order.state is not OrderState.PENDING:
        raise not_found("NO_SUCH_ORDER", desk.book.last_id)
    own = read_extensions(call.body, "clientExtensions")
    of_trade = read_extensions(call.body, "tradeClientExtensions")
    if own is None and of_trade is None:
        raise missing("clientExtensions")
    check_words(own, "CLIENT_ORDER", desk.order(f"@{own.id}") not in (None, order) if own else False)
    check_words(of_trade, "CLIENT_TRADE", False)
    batch = desk.exchange.record(call.request_id)
    made = batch.add(
        OrderExtended,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        extensions=own,
        trade_extensions=of_trade,
    )
    _take_over(order, own, of_trade)
    row = call.renderer.transaction(made)
    return Answer(body={"orderClientExtensionsModifyTransaction": row} | desk.related(batch.entries))


def show(desk: Desk, call: Call) -> Answer:
    """GET /orders/{specifier}."""
    order = desk.order(call.path["order"])
    if order is None:
        raise not_found("NO_SUCH_ORDER", desk.book.last_id)
    return Answer(body={"order": call.renderer.order(order), "lastTransactionID": desk.last_id})


def listing(desk: Desk, call: Call) -> Answer:
    """GET /orders, newest first."""
    states = _STATES.get(call.query.get("state", "PENDING"))
    if states is None:
        raise invalid("state")
    asked = listed(desk, call)
    found = [
        order
        for order in reversed(desk.book.orders.values())
        if order.state in states and asked.has(order.order_id, order.ticket.instrument)
    ]
    rows = [call.renderer.order(order) for order in found[: asked.count]]
    link = asked.link(call, "orders", [order.order_id for order in found])
    return Answer(body={"orders": rows, "lastTransactionID": desk.last_id}, link=link)


def pending(desk: Desk, call: Call) -> Answer:
    """GET /pendingOrders, newest first."""
    rows = [call.renderer.order(order) for order in desk.figures.pending]
    return Answer(body={"orders": rows, "lastTransactionID": desk.last_id})


def _waiting(desk: Desk, call: Call) -> Order:
    """Find a waiting order; one that is not there is refused with a transaction of its own."""
    specifier = call.path["order"]
    order = desk.order(specifier)
    if order is not None and order.state is OrderState.PENDING:
        return order
    by_client = specifier.startswith("@")
    batch = desk.exchange.record(call.request_id)
    made = batch.add(
        CancelRefused,
        order_id=specifier if NUMBER.fullmatch(specifier) else None,
        client_order_id=specifier[1:] if by_client else None,
        reject_reason="ORDER_DOESNT_EXIST",
    )
    row = {"orderCancelRejectTransaction": call.renderer.transaction(made)} | desk.related(batch.entries)
    raise Refusal(404, MESSAGES["ORDER_DOESNT_EXIST"], "ORDER_DOESNT_EXIST", row)


def _take_over(order: Order, own: Extensions | None, of_trade: Extensions | None) -> None:
    if own is not None:
        order.extensions = (order.extensions or Extensions()).changed(own)
    if of_trade is not None:
        words = (order.ticket.trade_extensions or Extensions()).changed(of_trade)
        order.ticket = changed(order.ticket, trade_extensions=words)
