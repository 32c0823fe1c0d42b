"""I am the transaction log as OANDA serves it: pages, lines of its stream, and the ranges that hold it.
I may import the domain, the messages, moments, reading and transactions.
I must not skip or reorder: whoever keeps the books counts the ids.
My tests are in tests/unit/adapters/oanda/test_transactions.py and test_fixtures.py.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec.structs import replace

from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.reading import ParseFault, read
from engine.adapters.oanda.transaction_messages import (
    HeartbeatMessage,
    KindMessage,
    OnFillMessage,
    PagesBody,
    TransactionsBody,
)
from engine.adapters.oanda.transactions import NO_TRADES, Parsed, read_transaction
from engine.domain.transaction import Fill, OrderCreated, TradeOpened


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life of a stream; the transaction stream also tells its newest id."""

    ts_ns: int
    last_transaction_id: int | None


class TransactionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some transactions in the order of their ids, and the newest id that the account has."""

    transactions: tuple[Parsed, ...]
    last_transaction_id: int


class TransactionRanges(msgspec.Struct, frozen=True, kw_only=True):
    """How many transactions match, and the id ranges (first and last, both included) that hold them."""

    count: int
    ranges: tuple[tuple[int, int], ...]
    last_transaction_id: int


def parse_transactions(body: bytes, trade_instruments: Mapping[str, str] = NO_TRADES) -> TransactionPage | ParseFault:
    """Read a page of the log; a fault when its ids do not ascend.

    A stop or target names its trade and not its instrument: that is looked up among the trades opened on this page,
    then in `trade_instruments` (trade id to instrument), and is "" for a trade that neither knows. What a fill brought
    its new trade on the same page is also told in the fill's `opened`, as a simulated broker does.
    """
    return read(body, TransactionsBody, lambda message: _page(message, trade_instruments), "list of transactions")


def parse_transaction_line(
    line: bytes, trade_instruments: Mapping[str, str] = NO_TRADES
) -> Parsed | Heartbeat | ParseFault:
    """Read one line of the transaction stream."""
    return read(line, msgspec.Raw, lambda raw: _line(raw, trade_instruments), "line of the transaction stream")


def parse_transaction_ranges(body: bytes) -> TransactionRanges | ParseFault:
    """Read what /transactions answers; only the ids of its URLs, because their host may not be the one we may ask."""
    return read(body, PagesBody, _ranges, "list of transaction pages")


def read_transactions(raws: Iterable[msgspec.Raw], trade_instruments: Mapping[str, str]) -> tuple[Parsed, ...]:
    """Convert transactions in id order; raises ValueError."""
    known, found = dict(trade_instruments), list[Parsed]()
    fills: dict[str, int] = {}
    for raw in raws:
        transaction = read_transaction(raw, known)
        if isinstance(transaction, Fill) and transaction.opened:
            known[transaction.opened.trade_id] = transaction.instrument
            fills[transaction.opened.trade_id] = len(found)
        elif isinstance(transaction, OrderCreated) and transaction.trade_id in fills:
            at = fills[transaction.trade_id]
            found[at] = _protected(found[at], raw)
        found.append(transaction)
    for earlier, later in pairwise(found):
        if later.transaction_id <= earlier.transaction_id:
            raise ValueError(f"transaction {later.transaction_id} follows {earlier.transaction_id}")
    return tuple(found)


def heartbeat(raw: msgspec.Raw) -> Heartbeat:
    """Convert the heartbeat of either stream; raises ValueError."""
    message = msgspec.json.decode(raw, type=HeartbeatMessage)
    last = int(message.last_transaction_id) if message.last_transaction_id else None
    return Heartbeat(ts_ns=parse_moment(message.time), last_transaction_id=last)


def _page(message: TransactionsBody, trade_instruments: Mapping[str, str]) -> TransactionPage:
    return TransactionPage(
        transactions=read_transactions(message.transactions, trade_instruments),
        last_transaction_id=int(message.last_transaction_id),
    )


def _protected(fill: Parsed, raw: msgspec.Raw) -> Parsed:
    """Add a stop or target to the trade that a fill opened, if it came with that fill."""
    order = msgspec.json.decode(raw, type=OnFillMessage)
    if order.reason != "ON_FILL" or not isinstance(fill, Fill) or fill.opened is None:
        return fill
    return replace(fill, opened=_with_order(fill.opened, order))


def _with_order(opened: TradeOpened, order: OnFillMessage) -> TradeOpened:
    price = Decimal(order.price) if order.price else None
    if order.kind == "TAKE_PROFIT_ORDER":
        return replace(opened, take_profit=price)
    if order.kind == "TRAILING_STOP_LOSS_ORDER":
        return replace(opened, trailing_distance=Decimal(order.distance) if order.distance else None)
    return replace(opened, stop_loss=price)


def _line(raw: msgspec.Raw, trade_instruments: Mapping[str, str]) -> Parsed | Heartbeat:
    if msgspec.json.decode(raw, type=KindMessage).kind == "HEARTBEAT":
        return heartbeat(raw)
    return read_transaction(raw, trade_instruments)


def _ranges(message: PagesBody) -> TransactionRanges:
    return TransactionRanges(
        count=message.count,
        ranges=tuple(_range(url) for url in message.pages),
        last_transaction_id=int(message.last_transaction_id),
    )


def _range(url: str) -> tuple[int, int]:
    query = parse_qs(urlsplit(url).query)
    ids = [*query.get("from", ()), *query.get("to", ())]
    if len(ids) != 2 or not all(each.isascii() and each.isdigit() and len(each) <= 18 for each in ids):
        raise ValueError(f"page {url[:200]!r} does not name one id range")
    return int(ids[0]), int(ids[1])
