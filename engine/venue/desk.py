"""I am the desk: what every handler of the venue needs, and the shapes of its questions and answers.
I may import the simulated venue, market, figures, rendering and refusal.
I must not know HTTP.
My tests are in tests/unit/venue: test_lists.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from engine.adapters.sim.book import Order, Trade
from engine.adapters.sim.entries import LogEntry, OrderEnded, OrderFilled, OrderMade, OrderRefused
from engine.adapters.sim.exchange import Exchange
from engine.venue.figures import Figures
from engine.venue.market import VenueMarket
from engine.venue.reading import NUMBER, find_trade
from engine.venue.refusal import MESSAGES, Refusal, invalid, not_found
from engine.venue.rendering import Renderer

LIST_DEFAULT, LIST_MAX = 50, 500
# Cancels of other orders than the one that a request made.
_OF_OTHERS = ("LINKED_TRADE_CLOSED", "CLIENT_REQUEST_REPLACED")
Row = dict[str, Any]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request after it was let in: the named parts of its path, its query and its body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    request_id: str
    base_url: str
    renderer: Renderer


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back; location and link are paths below the account's."""

    body: Row
    status: int = 200
    location: str | None = None
    link: str | None = None


class Desk:
    """One account, when it was made, and its market."""

    def __init__(self, market: VenueMarket, account_id: str, created_ns: int) -> None:
        self.market = market
        self.exchange: Exchange = market.exchange
        self.book = market.exchange.book
        self.figures = Figures(market.exchange)
        self.account_id = account_id
        self.created_ns = created_ns
        self.alias = "Keel venue"

    @property
    def last_id(self) -> str:
        """Number of the newest transaction."""
        return str(self.book.last_id)

    def order(self, specifier: str) -> Order | None:
        """Find an order by number, or a waiting one by "@" and the client's id (PROTOCOL section 7.2)."""
        if not specifier.startswith("@"):
            return self.book.orders.get(specifier)
        return next((each for each in self.book.pending.values() if each.client_order_id == specifier[1:]), None)

    def trade(self, specifier: str) -> Trade | None:
        """Find a trade by number, or by "@" and the client's id, open ones first."""
        return find_trade(specifier, self.book.trades)

    def known_trade(self, specifier: str) -> Trade:
        """Find a trade or refuse."""
        trade = self.trade(specifier)
        if trade is None:
            raise not_found("NO_SUCH_TRADE", self.book.last_id)
        return trade

    def outcome(self, call: Call, entries: Sequence[LogEntry], prefix: str = "order") -> Row:
        """Write what came of an order that was created: PROTOCOL section 7.3."""
        row: Row = {}
        for entry in entries:
            if isinstance(entry, OrderMade) and entry.reason != "ON_FILL":
                row[f"{prefix}CreateTransaction"] = call.renderer.transaction(entry)
            elif isinstance(entry, OrderFilled):
                row[f"{prefix}FillTransaction"] = call.renderer.transaction(entry)
            elif isinstance(entry, OrderEnded) and entry.reason not in _OF_OTHERS:
                row[f"{prefix}CancelTransaction"] = call.renderer.transaction(entry)
        return row | self.related(entries)

    def related(self, entries: Sequence[LogEntry]) -> Row:
        """Name the transactions of a request."""
        return {"relatedTransactionIDs": [str(entry.id) for entry in entries], "lastTransactionID": self.last_id}

    def rejected(
        self, call: Call, entries: Sequence[LogEntry], prefix: str = "order", status: int = 400
    ) -> Refusal | None:
        """Make the refusal of a request that was rejected; None when it was not."""
        refused = next((entry for entry in entries if isinstance(entry, OrderRefused)), None)
        if refused is None:
            return None
        code = refused.reject_reason
        content = {f"{prefix}RejectTransaction": call.renderer.transaction(refused)} | self.related(entries)
        return Refusal(status, MESSAGES.get(code, f"The request was rejected: {code}"), code, content)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a list a request asks for; before_id is the highest number that is shown."""

    count: int
    before_id: int | None
    instrument: str | None
    ids: tuple[str, ...] | None

    def has(self, row_id: str, instrument: str) -> bool:
        """Say whether a row is asked for."""
        return (
            (self.instrument is None or instrument == self.instrument)
            and (self.before_id is None or int(row_id) <= self.before_id)
            and (self.ids is None or row_id in self.ids)
        )

    def link(self, call: Call, name: str, ids: Sequence[str]) -> str | None:
        """Name the page after this one; None when there is none."""
        if len(ids) <= self.count:
            return None
        return f"{name}?{urlencode({**call.query, 'beforeID': ids[self.count]})}"


def listed(desk: Desk, call: Call) -> Listed:
    """Read which rows of a list are asked for."""
    instrument, ids = call.query.get("instrument"), call.query.get("ids")
    if instrument is not None and instrument not in desk.exchange.instruments:
        raise invalid("instrument")
    return Listed(
        count=whole(call.query, "count", LIST_DEFAULT, LIST_MAX),
        before_id=number(call.query, "beforeID"),
        instrument=instrument,
        ids=tuple(ids.split(",")) if ids else None,
    )


def whole(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Read a count from 1 to `most`."""
    text = query.get(name)
    if text is None:
        return default
    if not NUMBER.fullmatch(text) or int(text) < 1:
        raise invalid(name)
    if int(text) > most:
        raise Refusal(400, f"Maximum value for '{name}' exceeded")
    return int(text)


def number(query: Mapping[str, str], name: str) -> int | None:
    """Read a transaction, order or trade number."""
    text = query.get(name)
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise invalid(name)
    return int(text)
