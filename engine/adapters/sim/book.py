"""I am the books of the simulated account: open trades, balance, and the numbered transactions.
I may import the domain.
I must not know prices, rules of matching or conversion; I keep what others have worked out.
My tests are in tests/unit/adapters/sim/test_broker.py and test_broker_properties.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.transaction import DailyFinancing, Fill, FundsTransferred, Transaction

ZERO = Decimal(0)


class OrderKind(StrEnum):
    """What an order is, by OANDA's transaction types; also the reason of its fill."""

    MARKET = "MARKET_ORDER"
    STOP_LOSS = "STOP_LOSS_ORDER"
    TAKE_PROFIT = "TAKE_PROFIT_ORDER"
    TRAILING_STOP = "TRAILING_STOP_LOSS_ORDER"


@dataclass(slots=True, kw_only=True, eq=False)
class DependentOrder:
    """A stop or target that waits for the market and closes its whole trade.

    price is where it triggers, in quote currency; distance is set for a trailing stop, whose price moves.
    """

    order_id: str
    kind: OrderKind
    price: Decimal
    distance: Decimal | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class OpenTrade:
    """One lot that is still open; units are signed and what is left of it, price is in quote currency."""

    trade_id: str
    instrument: Instrument
    is_long: bool
    units: Decimal
    price: Decimal
    take_profit: DependentOrder | None = None
    stop_loss: DependentOrder | None = None
    trailing_stop: DependentOrder | None = None

    @property
    def dependents(self) -> tuple[DependentOrder, ...]:
        """The orders that wait to close this trade, in the order in which OANDA numbers them."""
        orders = (self.take_profit, self.stop_loss, self.trailing_stop)
        return tuple(order for order in orders if order is not None)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What an order takes from a trade; units carry the sign of the closing order."""

    trade: OpenTrade
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
        self.trades: list[OpenTrade] = []
        self.units = ZERO
        self.cost = ZERO


class Book:
    """Who owns what: `positions` by instrument (none without an open trade), `balance_home`, and the log."""

    __slots__ = ("_log", "balance_home", "positions")

    def __init__(self) -> None:
        self.balance_home = ZERO
        self.positions: dict[str, NetPosition] = {}
        self._log: list[Transaction] = []

    @property
    def last_id(self) -> int:
        """Number of the newest transaction; 0 before the first."""
        return len(self._log)

    def since(self, transaction_id: int) -> Sequence[Transaction]:
        """Return the transactions after this number; ids are positions in the log, so nothing is searched."""
        if transaction_id >= len(self._log):
            return ()
        return tuple(self._log[max(transaction_id, 0) :])

    def commit(self, batch: Sequence[Transaction]) -> None:
        """Add transactions that belong together; raises Bug, adding none, unless they are numbered on from the log."""
        expected = range(self.last_id + 1, self.last_id + 1 + len(batch))
        if [transaction.transaction_id for transaction in batch] != list(expected):
            raise Bug(f"transactions {batch} do not follow number {self.last_id}")
        self._log.extend(batch)
        for transaction in batch:
            if isinstance(transaction, Fill | DailyFinancing | FundsTransferred):
                self.balance_home = transaction.balance_home

    def open(self, trade: OpenTrade) -> None:
        """Add a trade to its instrument's position."""
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
