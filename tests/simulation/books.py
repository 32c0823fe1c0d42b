"""I am an auditor's books: the broker's log added up again by other code than the engine's, up to any number.
I may import the domain.
I must not look at the engine, nor go back: I only read on.
My tests are in tests/simulation/test_gate.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.market import Quote
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    Transaction,
)

ZERO = Decimal(0)
# A fill names the stop of the trade that it opens; the stop's own number comes behind it in the log.
PROMISED = "promised"


@dataclass(slots=True)
class OpenTrade:
    """One open trade; opened_by is the client id of the order that opened it, stops the orders that protect it."""

    trade_id: str
    instrument: str
    units: Decimal
    price: Decimal
    opened_by: str | None
    stops: set[str] = field(default_factory=set)
    result_home: Decimal = ZERO


class Books:
    """Balance, open trades and ended orders as of transaction `up_to`.

    made and ended are the numbers of the transactions that made each order with a client id, and that ended it before
    all of it was filled; filled are the units that were. lost_ns is when the newest losing trade of each instrument was
    closed, streak how many losing ones were closed in a row.
    """

    def __init__(self) -> None:
        self.up_to = 0
        self.balance_home = ZERO
        self.moved_home = ZERO
        self.trades: dict[str, OpenTrade] = {}
        self.made: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.filled: dict[str, Decimal] = {}
        self.opened_by: dict[str, str | None] = {}
        self.lost_ns: dict[str, int] = {}
        self.streak = 0
        self._protects: dict[str, str] = {}
        self._again: set[str] = set()

    def read(self, log: Sequence[Transaction], up_to: int) -> None:
        """Add up what the log says up to this number."""
        for transaction in log[self.up_to : up_to]:
            self._add(transaction)
        self.up_to = max(self.up_to, up_to)

    def forget_results(self) -> None:
        """Begin to count results anew: what was closed before there was an engine is none of its losses."""
        self.lost_ns.clear()
        self.streak = 0

    def units(self, instrument: str) -> Decimal:
        """Net units held."""
        return sum((each.units for each in self.trades.values() if each.instrument == instrument), ZERO)

    def held(self) -> set[str]:
        """Instruments with an open trade."""
        return {each.instrument for each in self.trades.values()}

    def equity_home(self, quotes: Mapping[str, Quote]) -> Decimal | None:
        """Balance and open P/L at these quotes; None while something that is held has none."""
        equity = self.balance_home
        for trade in self.trades.values():
            quote = quotes.get(trade.instrument)
            if quote is None:
                return None
            price = quote.bid if trade.units > 0 else quote.ask
            equity += trade.units * (price - trade.price) * quote.home_rate
        return equity

    def _add(self, transaction: Transaction) -> None:
        client_id = getattr(transaction, "client_order_id", None)
        if isinstance(transaction, Fill):
            self._fill(transaction)
        elif isinstance(transaction, DailyFinancing):
            self._move(transaction.financing_home, transaction.balance_home)
            for part in transaction.trades:  # a night is a part of what a trade comes to
                self.trades[part.trade_id].result_home += part.financing_home
        elif isinstance(transaction, FundsTransferred):
            self._move(transaction.amount_home, transaction.balance_home)
        elif isinstance(transaction, OrderCreated):
            self._created(transaction)
        elif isinstance(transaction, OrderCanceled):
            self._unprotect(transaction.order_id)
        if isinstance(transaction, OrderCreated) and client_id in self.made:
            self._again.add(transaction.order_id)  # another engine derives the same ids
        elif isinstance(transaction, OrderCreated) and client_id:
            self.made[client_id] = transaction.transaction_id
        elif isinstance(transaction, OrderCanceled | OrderRejected) and client_id:
            self.ended[client_id] = transaction.transaction_id

    def _fill(self, fill: Fill) -> None:
        self._move(fill.pl_home + fill.financing_home - fill.commission_home, fill.balance_home)
        self._unprotect(fill.order_id)
        if fill.client_order_id and fill.order_id not in self._again:
            self.filled[fill.client_order_id] = self.filled.get(fill.client_order_id, ZERO) + fill.units
        for part in (*fill.closed, *([fill.reduced] if fill.reduced else [])):
            trade = self.trades[part.trade_id]
            trade.units += part.units
            trade.result_home += part.realized_pl_home + part.financing_home
            if not trade.units:
                del self.trades[part.trade_id]
                self._closed(trade, fill.ts_ns)
        if fill.opened:
            made = fill.opened
            self.opened_by[made.trade_id] = fill.client_order_id
            self.trades[made.trade_id] = OpenTrade(
                made.trade_id, fill.instrument, made.units, made.price, fill.client_order_id
            )
            if made.stop_loss is not None:
                self.trades[made.trade_id].stops.add(PROMISED)

    def _closed(self, trade: OpenTrade, ts_ns: int) -> None:
        """A trade is closed to its last unit: what all of its parts have brought counts."""
        if trade.result_home < 0:
            self.streak += 1
            self.lost_ns[trade.instrument] = ts_ns
        elif trade.result_home > 0:
            self.streak = 0

    def _created(self, order: OrderCreated) -> None:
        if order.kind == "STOP_LOSS_ORDER" and order.trade_id in self.trades:
            stops = self.trades[order.trade_id].stops
            stops.discard(PROMISED)
            stops.add(order.order_id)
            self._protects[order.order_id] = order.trade_id

    def _unprotect(self, order_id: str) -> None:
        trade = self.trades.get(self._protects.pop(order_id, ""))
        if trade is not None:
            trade.stops.discard(order_id)

    def _move(self, change: Decimal, balance_home: Decimal) -> None:
        self.moved_home += change
        self.balance_home = balance_home
