"""I am the ledger desk: the account, its transactions and what changed since one of them.
I may import the simulated venue, desk, refusal and text.
I must not change the books but through the exchange.
My tests are in tests/unit/venue: test_lists.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from engine.adapters.sim.book import Order, OrderState, Trade
from engine.adapters.sim.entries import (
    Configured,
    FinancingBooked,
    LogEntry,
    OrderEnded,
    OrderFilled,
    OrderMade,
)
from engine.venue.desk import Answer, Call, Desk, number, whole
from engine.venue.reading import NUMBER
from engine.venue.refusal import Refusal, invalid, missing, not_found
from engine.venue.text import read_date

_ORDERS = ("MARKET", "LIMIT", "STOP", "MARKET_IF_TOUCHED", "TAKE_PROFIT", "STOP_LOSS", "TRAILING_STOP_LOSS")
_REFUSABLE = (
    *(f"{kind}_ORDER" for kind in _ORDERS),
    "CLIENT_CONFIGURE", "TRANSFER_FUNDS", "ONE_CANCELS_ALL_ORDER", "ORDER_CANCEL", "ORDER_CLIENT_EXTENSIONS_MODIFY",
    "TRADE_CLIENT_EXTENSIONS_MODIFY",
)  # fmt: skip
# TransactionFilter of OANDA's specification, with the types that came later
FILTERS = frozenset((
    "ORDER", "FUNDING", "ADMIN", "CREATE", "CLOSE", "REOPEN", "ORDER_FILL", "ONE_CANCELS_ALL_ORDER_TRIGGERED",
    "MARGIN_CALL_ENTER", "MARGIN_CALL_EXTEND", "MARGIN_CALL_EXIT", "DELAYED_TRADE_CLOSURE", "DAILY_FINANCING",
    "RESET_RESETTABLE_PL", "GUARANTEED_STOP_LOSS_ORDER", "GUARANTEED_STOP_LOSS_ORDER_REJECT", "DIVIDEND_ADJUSTMENT",
    *_REFUSABLE, *(f"{name}_REJECT" for name in _REFUSABLE),
))  # fmt: skip
PAGE_DEFAULT, PAGE_MAX = 100, 1_000
SINCE_MAX = 1_000
# Where the service was seen to give up on /changes (PROTOCOL section 10).
CHANGES_MAX = 1_000


def accounts(desk: Desk, call: Call) -> Answer:
    """GET /accounts."""
    return Answer(body={"accounts": [{"id": desk.account_id, "tags": []}]})


def summary(desk: Desk, call: Call) -> Answer:
    """GET /accounts/{account}/summary."""
    return Answer(body={"account": _summary(desk, call), "lastTransactionID": desk.last_id})


def details(desk: Desk, call: Call) -> Answer:
    """GET /accounts/{account}: the summary with trades, positions and waiting orders."""
    row = _summary(desk, call) | {
        "trades": [desk.figures.trade(call.renderer, trade, summary=True) for trade in desk.figures.open_trades],
        "positions": [desk.figures.position(name) for name in desk.figures.traded],
        "orders": [call.renderer.order(order) for order in desk.figures.pending],
    }
    return Answer(body={"account": row, "lastTransactionID": desk.last_id})


def _summary(desk: Desk, call: Call) -> dict[str, Any]:
    return desk.figures.account(desk.account_id, desk.alias, desk.created_ns, call.renderer.date)


def configure(desk: Desk, call: Call) -> Answer:
    """PATCH /configuration: the alias; a margin rate of the account is not offered."""
    alias = call.body.get("alias")
    if not isinstance(alias, str):
        raise missing("alias")
    batch = desk.exchange.record(call.request_id)
    made = batch.add(Configured, alias=alias)
    desk.alias = alias
    row = call.renderer.transaction(made)
    return Answer(body={"clientConfigureTransaction": row, "lastTransactionID": desk.last_id})


def since(desk: Desk, call: Call) -> Answer:
    """GET /transactions/sinceid: strictly after an id, oldest first, at most 1000."""
    first = number(call.query, "id")
    if first is None:
        raise missing("id")
    if first > desk.book.last_id:
        raise _out_of_range()
    keep = _types(call)
    rows = [row for row in _rows(call, desk.book.since(first)[:SINCE_MAX]) if keep(row)]
    return Answer(body={"transactions": rows, "lastTransactionID": desk.last_id})


def id_range(desk: Desk, call: Call) -> Answer:
    """GET /transactions/idrange: both ends included."""
    first, last = number(call.query, "from"), number(call.query, "to")
    if first is None or last is None:
        raise missing("from" if first is None else "to")
    if first > last or first < 1 or last > desk.book.last_id:
        raise _out_of_range()
    keep = _types(call)
    rows = [row for row in _rows(call, desk.book.log[first - 1 : last]) if keep(row)]
    return Answer(body={"transactions": rows, "lastTransactionID": desk.last_id})


def show(desk: Desk, call: Call) -> Answer:
    """GET /transactions/{id}."""
    text = call.path["transaction"]
    if not NUMBER.fullmatch(text):
        raise invalid("transactionID")
    if not 1 <= int(text) <= desk.book.last_id:
        raise not_found("NO_SUCH_TRANSACTION", desk.book.last_id)
    row = call.renderer.transaction(desk.book.log[int(text) - 1])
    return Answer(body={"transaction": row, "lastTransactionID": desk.last_id})


def pages(desk: Desk, call: Call) -> Answer:
    """GET /transactions: no transactions, but where each page of them is."""
    size = whole(call.query, "pageSize", PAGE_DEFAULT, PAGE_MAX)
    from_ns, to_ns = _moment(call, "from", desk.created_ns), _moment(call, "to", desk.exchange.now_ns)
    keep = _types(call)
    ids = [
        entry.id
        for entry in desk.book.log
        if from_ns <= entry.ts_ns <= to_ns and keep(call.renderer.transaction(entry))
    ]
    row: dict[str, Any] = {
        "from": call.renderer.date(from_ns),
        "to": call.renderer.date(to_ns),
        "pageSize": size,
        "count": len(ids),
        "pages": [_page(desk, call, ids[at], ids[min(at + size, len(ids)) - 1]) for at in range(0, len(ids), size)],
        "lastTransactionID": desk.last_id,
    }
    if "type" in call.query:
        row["type"] = call.query["type"].split(",")
    return Answer(body=row)


def _page(desk: Desk, call: Call, first: int, last: int) -> str:
    query = {"from": first, "to": last} | ({"type": call.query["type"]} if "type" in call.query else {})
    return f"{call.base_url}/v3/accounts/{desk.account_id}/transactions/idrange?{urlencode(query)}"


def _moment(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    moment = read_date(text)
    if moment is None:
        raise invalid(name)
    return moment


def _out_of_range() -> Refusal:
    return Refusal(416, "The specified Transaction ID range is not satisfiable")


def _rows(call: Call, entries: Sequence[LogEntry]) -> list[dict[str, Any]]:
    return [call.renderer.transaction(entry) for entry in entries]


def _types(call: Call) -> Callable[[dict[str, Any]], bool]:
    """Keep the transactions whose type a request names; ORDER, FUNDING and ADMIN each stand for several."""
    wanted = call.query.get("type")
    if not wanted:
        return lambda row: True
    names = set(wanted.split(","))
    if not names <= FILTERS:
        raise invalid("type")
    if "FUNDING" in names:
        names |= {"TRANSFER_FUNDS", "TRANSFER_FUNDS_REJECT"}
    if "ADMIN" in names:
        names |= {"CLIENT_CONFIGURE", "CLIENT_CONFIGURE_REJECT"}
    is_any_order = "ORDER" in names
    return lambda row: row["type"] in names or (is_any_order and "ORDER" in row["type"])


def changes(desk: Desk, call: Call) -> Answer:
    """GET /changes: what became of orders, trades and positions after a transaction, and all prices' effects now."""
    first = number(call.query, "sinceTransactionID")
    if first is None:
        raise missing("sinceTransactionID")
    if first > desk.book.last_id or desk.book.last_id - first > CHANGES_MAX:
        raise _out_of_range()
    entries = desk.book.since(first)
    row = _changed_orders(desk, call, entries) | _changed_trades(desk, call, entries)
    row["transactions"] = _rows(call, entries)
    return Answer(body={"changes": row, "state": desk.figures.changing(), "lastTransactionID": desk.last_id})


def _changed_orders(desk: Desk, call: Call, entries: Sequence[LogEntry]) -> dict[str, Any]:
    """Each order that was touched stands once, under what became of it last."""
    touched: dict[str, Order] = {}
    for entry in entries:
        if isinstance(entry, OrderMade):
            touched[str(entry.id)] = desk.book.orders[str(entry.id)]
        elif isinstance(entry, OrderEnded | OrderFilled):
            touched[entry.order_id] = desk.book.orders[entry.order_id]
    rows: dict[str, list[Any]] = {"ordersCreated": [], "ordersCancelled": [], "ordersFilled": [], "ordersTriggered": []}
    names = {
        OrderState.PENDING: "ordersCreated",
        OrderState.CANCELLED: "ordersCancelled",
        OrderState.FILLED: "ordersFilled",
    }
    for order in touched.values():
        row = call.renderer.order(order)
        row.pop("trailingStopValue", None)  # moves with the price, and so belongs to the state
        rows[names[order.state]].append(row)
    return rows


def _changed_trades(desk: Desk, call: Call, entries: Sequence[LogEntry]) -> dict[str, Any]:
    opened: dict[str, Trade] = {}
    reduced: dict[str, Trade] = {}
    names: dict[str, None] = {}
    for entry in entries:
        if isinstance(entry, OrderFilled):
            names[entry.instrument] = None
            if entry.opened is not None:
                opened[str(entry.id)] = desk.book.trades[str(entry.id)]
            parts = entry.closed if entry.reduced is None else (*entry.closed, entry.reduced)
            reduced |= {part.trade_id: desk.book.trades[part.trade_id] for part in parts}
        elif isinstance(entry, FinancingBooked):
            names |= dict.fromkeys(part.instrument for part in entry.parts)
    closed = {name: trade for name, trade in reduced.items() if not trade.units}
    return {
        "tradesOpened": _still(desk, call, [trade for trade in opened.values() if trade.units]),
        "tradesReduced": _still(desk, call, [t for name, t in reduced.items() if t.units and name not in opened]),
        "tradesClosed": _still(desk, call, list(closed.values())),
        "positions": [_without(desk.figures.position(name)) for name in names],
    }


def _still(desk: Desk, call: Call, found: Sequence[Trade]) -> list[dict[str, Any]]:
    return [_without(desk.figures.trade(call.renderer, trade, summary=True)) for trade in found]


def _without(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what moves with prices: /changes carries it in the state only."""
    sides = {name: _without(row[name]) for name in ("long", "short") if name in row}
    return {name: value for name, value in row.items() if name not in ("unrealizedPL", "marginUsed")} | sides
