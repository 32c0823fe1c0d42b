"""I am the books of the simulated account: orders, trades, positions, balance, and the numbered log.
I may import the domain, ticket and entries.
I must not know prices, rules of matching or conversion; I keep what others have worked out.
My tests are in tests/unit/adapters/sim/: test_exchange.py, test_exchange_properties.py and test_broker.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from engine.adapters.sim.entries import Entry, LogEntry
from engine.adapters.sim.ticket import Extensions, OrderKind, Ticket
from engine.domain.instrument import Instrument

ZERO = Decimal(0)
NEVER_NS = 2**63
_E = TypeVar("_E", bound=Entry)


class OrderState(StrEnum):
    """Where an order stands, by OANDA's words."""

    PENDING = "PENDING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """An order and what became of it.

    price is where it triggers, in quote currency; that of a trailing stop moves. rises says of a MARKET_IF_TOUCHED
    order that the market has to rise to it.
    """

    order_id: str
    ticket: Ticket
    created_ns: int = 0
    reason: str = "CLIENT_ORDER"
    price: Decimal | None = None
    expires_ns: int | None = None
    rises: bool = False
    trade: "Trade | None" = None
    state: OrderState = OrderState.PENDING
    extensions: Extensions | None = None
    ended_id: int = 0
    ended_ns: int = 0
    opened_trade_id: str | None = None
    reduced_trade_id: str | None = None
    closed_trade_ids: tuple[str, ...] = ()
    replaces: str | None = None
    replaced_by: str | None = None

    @property
    def kind(self) -> OrderKind:
        """What the order is."""
        return self.ticket.kind

    @property
    def client_order_id(self) -> str | None:
        """The client's own id."""
        return self.extensions.id if self.extensions else None

    @property
    def sells(self) -> bool:
        """Say which side of the market fills it."""
        return self.trade.is_long if self.trade else self.ticket.units < 0


@dataclass(slots=True, kw_only=True, eq=False)
class Trade:
    """One lot; units are signed and what is left of it, price is in quote currency, amounts in home currency.

    closed_value is the sum of units x price of its closes, each with the sign of the trade.
    """

    trade_id: str
    instrument: Instrument
    is_long: bool
    units: Decimal
    price: Decimal
    initial_units: Decimal = ZERO
    opened_ns: int = 0
    margin_home: Decimal = ZERO
    extensions: Extensions | None = None
    realized_pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO
    closed_value: Decimal = ZERO
    closing_ids: list[int] = field(default_factory=list)
    closed_ns: int = 0
    take_profit: Order | None = None
    stop_loss: Order | None = None
    trailing_stop: Order | None = None

    @property
    def dependents(self) -> tuple[Order, ...]:
        """The orders that wait to close this trade, in the order in which OANDA numbers them."""
        orders = (self.take_profit, self.stop_loss, self.trailing_stop)
        return tuple(order for order in orders if order is not None)

    @property
    def client_trade_id(self) -> str | None:
        """The client's own id."""
        return self.extensions.id if self.extensions else None

    def attach(self, order: Order) -> None:
        """Let an order wait to close this trade."""
        order.trade = self
        setattr(self, _PLACES[order.kind], order)

    def detach(self, order: Order) -> None:
        """Let go of an order that has ended."""
        if getattr(self, _PLACES[order.kind]) is order:
            setattr(self, _PLACES[order.kind], None)

    def attached(self, kind: OrderKind) -> Order | None:
        """The order of this kind that waits to close this trade."""
        order: Order | None = getattr(self, _PLACES[kind])
        return order


_PLACES = {
    OrderKind.TAKE_PROFIT: "take_profit",
    OrderKind.STOP_LOSS: "stop_loss",
    OrderKind.TRAILING_STOP: "trailing_stop",
}


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What an order takes from a trade; units carry the sign of the closing order."""

    trade: Trade
    units: Decimal

    @property
    def is_whole(self) -> bool:
        """Say whether nothing is left of the trade."""
        return self.units == -self.trade.units


class NetPosition:
    """The open trades of one instrument, oldest first, all on one side; cost is the sum of units x price."""

    __slots__ = ("cost", "instrument", "trades", "units")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.trades: list[Trade] = []
        self.units = ZERO
        self.cost = ZERO


@dataclass(slots=True)
class SideTotals:
    """What one side of one instrument has made over the life of the account, in home currency."""

    pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO


class Book:
    """Who owns what: `positions` by instrument (none without an open trade), `balance_home`, and the log.

    orders and trades hold all there ever were; pending are the orders that wait, oldest first, none of which ends by
    itself before expires_ns.
    """

    __slots__ = ("balance_home", "expires_ns", "log", "orders", "pending", "positions", "totals", "trades")

    def __init__(self) -> None:
        self.balance_home = ZERO
        self.positions: dict[str, NetPosition] = {}
        self.orders: dict[str, Order] = {}
        self.trades: dict[str, Trade] = {}
        self.pending: dict[str, Order] = {}
        self.expires_ns = NEVER_NS
        self.totals: dict[tuple[str, bool], SideTotals] = {}
        self.log: list[LogEntry] = []

    @property
    def last_id(self) -> int:
        """Number of the newest entry; 0 before the first."""
        return len(self.log)

    def since(self, entry_id: int) -> Sequence[LogEntry]:
        """Return the entries after this number; ids are positions in the log, so nothing is searched."""
        if entry_id >= len(self.log):
            return ()
        return self.log[max(entry_id, 0) :]

    def add(self, order: Order) -> None:
        """Let an order wait."""
        self.orders[order.order_id] = order
        self.pending[order.order_id] = order
        if order.expires_ns is not None and order.expires_ns < self.expires_ns:
            self.expires_ns = order.expires_ns
        if order.trade is not None:
            order.trade.attach(order)

    def end(self, order: Order, state: OrderState, entry_id: int, ts_ns: int) -> None:
        """Take an order out of those that wait."""
        order.state, order.ended_id, order.ended_ns = state, entry_id, ts_ns
        self.pending.pop(order.order_id, None)
        if order.trade is not None:
            order.trade.detach(order)

    def expired(self, now_ns: int) -> list[Order]:
        """Return the waiting orders whose time is over, the first to end first, and see when the next one's is."""
        ends = [(order.expires_ns, order) for order in self.pending.values() if order.expires_ns is not None]
        self.expires_ns = min((ns for ns, _ in ends if ns > now_ns), default=NEVER_NS)
        return [order for ns, order in sorted(ends, key=lambda end: end[0]) if ns <= now_ns]

    def open(self, trade: Trade) -> None:
        """Add a trade to its instrument's position."""
        self.trades[trade.trade_id] = trade
        position = self.positions.setdefault(trade.instrument.name, NetPosition(trade.instrument))
        position.trades.append(trade)
        position.units += trade.units
        position.cost += trade.units * trade.price

    def cut(self, cut: Cut) -> None:
        """Take a part or the whole of a trade away."""
        trade, name = cut.trade, cut.trade.instrument.name
        position = self.positions[name]
        position.units += cut.units
        position.cost += cut.units * trade.price
        if cut.is_whole:
            position.trades.remove(trade)
        trade.units += cut.units
        if not position.trades:
            del self.positions[name]

    def side(self, instrument: str, is_long: bool) -> SideTotals:
        """The totals of one side of an instrument."""
        return self.totals.setdefault((instrument, is_long), SideTotals())


class Batch:
    """Entries that belong together: one time, one request, numbered on from the log; each is in the log at once."""

    __slots__ = ("_book", "entries", "request_id", "ts_ns")

    def __init__(self, book: Book, ts_ns: int, request_id: str) -> None:
        self._book = book
        self.ts_ns = ts_ns
        self.request_id = request_id
        self.entries: list[LogEntry] = []

    @property
    def next_id(self) -> int:
        """Number of the entry that comes next."""
        return self._book.last_id + 1

    def add(self, kind: type[_E], **content: Any) -> _E:
        """Write an entry."""
        number = self._book.last_id + 1
        first = self.entries[0].id if self.entries else number
        entry = kind(id=number, ts_ns=self.ts_ns, batch_id=first, request_id=self.request_id, **content)
        self.entries.append(entry)  # type: ignore[arg-type]
        self._book.log.append(entry)  # type: ignore[arg-type]
        return entry
