"""I am the ledger: broker transactions in, trades, positions, balance and equity out, in exact Decimal.
I may import the domain.
I must not guess: what the broker's log does not say did not happen. I am the only place that adds money.
My tests are in tests/unit/test_ledger.py and tests/unit/test_ledger_properties.py.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec.structs import replace

from engine.domain.account import Position, Trade, WorkingOrder
from engine.domain.error import HaltTrading
from engine.domain.instrument import Instrument
from engine.domain.market import Quote
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    TradeClosed,
    TradeOpened,
    Transaction,
)

ZERO = Decimal(0)
# Which price of a trade an order at the broker stands for; a guaranteed stop protects as well as another.
_DEPENDENTS = {
    "STOP_LOSS_ORDER": "stop_loss",
    "GUARANTEED_STOP_LOSS_ORDER": "stop_loss",
    "TAKE_PROFIT_ORDER": "take_profit",
}
HOME_STEP = Decimal("0.0001")


class _Holding:
    """Open trades of one instrument with running sums, so that marking to market costs no scan."""

    __slots__ = ("cost", "trades", "units")

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}
        self.units = ZERO
        self.cost = ZERO

    def put(self, trade: Trade) -> None:
        old = self.trades.get(trade.trade_id)
        old_units = old.units if old else ZERO
        self.units += trade.units - old_units
        self.cost += (trade.units - old_units) * trade.price
        if trade.units:
            self.trades[trade.trade_id] = trade
        else:
            self.trades.pop(trade.trade_id, None)


class Ledger:
    """The books of one account, in home currency."""

    def __init__(self) -> None:
        self.balance_home = ZERO
        self.last_transaction_id = 0
        self.realized_pl_home = ZERO
        self.financing_home = ZERO
        self.commission_home = ZERO
        self.transferred_home = ZERO
        self.trades_opened = 0
        self._holdings: dict[str, _Holding] = {}
        self._stops: dict[str, tuple[str, str]] = {}

    def begin(self, balance_home: Decimal, last_transaction_id: int) -> None:
        """Begin the books at a balance, with nothing open, after this transaction."""
        self.balance_home, self.last_transaction_id = balance_home, last_transaction_id

    def find(self, trade: Trade, orders: Iterable[WorkingOrder] = ()) -> None:
        """Take in a trade that was open before the books began, with the stops and targets that wait on it."""
        self._holdings.setdefault(trade.instrument, _Holding()).put(trade)
        for order in orders:
            name = _DEPENDENTS.get(f"{order.kind}_ORDER")
            if name and order.trade_id == trade.trade_id:
                self._stops[order.order_id] = (trade.trade_id, name)

    def begin_run(self) -> None:
        """Begin to add up anew what a run makes; what is held and owned stays."""
        self.realized_pl_home = self.financing_home = self.commission_home = self.transferred_home = ZERO
        self.trades_opened = 0

    def apply(self, transaction: Transaction) -> None:
        """Book one transaction; raises HaltTrading on a missing number or a balance that does not add up."""
        if transaction.transaction_id != self.last_transaction_id + 1:
            raise HaltTrading(
                f"Broker transaction {transaction.transaction_id} follows {self.last_transaction_id}: one is missing."
            )
        if isinstance(transaction, Fill):
            self._book_fill(transaction)
        elif isinstance(transaction, DailyFinancing):
            self._book_financing(transaction)
        elif isinstance(transaction, FundsTransferred):
            self._move(transaction.amount_home, transaction.balance_home, transaction.transaction_id)
            self.transferred_home += transaction.amount_home
        elif isinstance(transaction, OrderCreated):
            self._note_dependent(transaction)
        elif isinstance(transaction, OrderCanceled):
            self._forget_dependent(transaction.order_id)
        self.last_transaction_id = transaction.transaction_id

    def units(self, instrument: str) -> Decimal:
        """Net units held of this instrument, signed."""
        holding = self._holdings.get(instrument)
        return holding.units if holding else ZERO

    @property
    def flat(self) -> bool:
        """Say whether no position is open."""
        return not self._holdings

    @property
    def held(self) -> tuple[str, ...]:
        """Instruments with an open position."""
        return tuple(self._holdings)

    @property
    def open_trades(self) -> tuple[Trade, ...]:
        """Every open trade, oldest first within an instrument."""
        return tuple(trade for holding in self._holdings.values() for trade in holding.trades.values())

    def trades_of(self, instrument: str) -> tuple[Trade, ...]:
        """Open trades of one instrument, oldest first."""
        holding = self._holdings.get(instrument)
        return tuple(holding.trades.values()) if holding else ()

    def unrealized_home(self, quotes: Mapping[str, Quote]) -> Decimal:
        """Open P/L: longs at bid, shorts at ask, converted at the mid rate, in steps of 0.0001 per instrument.

        Source: OANDA's NAV = balance + unrealised P/L on the closing side.
        """
        return sum((self._open_pl(name, quotes[name]) for name in self._holdings), ZERO)

    def exposure_home(self, quotes: Mapping[str, Quote], besides: str | None = None) -> Decimal:
        """Sum of the positions' sizes at mid, longs and shorts added, without the instrument `besides`."""
        return sum(
            (abs(h.units) * quotes[n].mid * quotes[n].home_rate for n, h in self._holdings.items() if n != besides),
            ZERO,
        )

    def margin_used_home(self, quotes: Mapping[str, Quote], instruments: Mapping[str, Instrument]) -> Decimal:
        """Sum over positions of size at mid times margin rate; of those that the broker still offers."""
        return sum(
            (
                abs(h.units) * quotes[n].mid * quotes[n].home_rate * instruments[n].margin_rate
                for n, h in self._holdings.items()
                if n in instruments
            ),
            ZERO,
        )

    def risk_home(self, instrument: str, quote: Quote) -> Decimal:
        """What equity falls from now on if every stop of this instrument is hit at its price.

        A trade without a stop counts with its whole value.
        """
        return sum((_trade_risk(trade, quote) for trade in self.trades_of(instrument)), ZERO)

    def position(self, instrument: str, quote: Quote) -> Position:
        """Summarise one held instrument."""
        holding = self._holdings[instrument]
        return Position(
            instrument=instrument,
            units=holding.units,
            average_price=holding.cost / holding.units,
            unrealized_pl_home=self._open_pl(instrument, quote),
        )

    def _open_pl(self, instrument: str, quote: Quote) -> Decimal:
        holding = self._holdings[instrument]
        price = quote.bid if holding.units > 0 else quote.ask
        return ((holding.units * price - holding.cost) * quote.home_rate).quantize(HOME_STEP)

    def _book_fill(self, fill: Fill) -> None:
        self._check_parts(fill)
        change = fill.pl_home + fill.financing_home - fill.commission_home
        self._move(change, fill.balance_home, fill.transaction_id)
        self._stops.pop(fill.order_id, None)
        self.realized_pl_home += fill.pl_home
        self.financing_home += fill.financing_home
        self.commission_home += fill.commission_home
        for part in _closings(fill):
            self._reduce(fill.instrument, part)
        if fill.opened:
            self._open(fill, fill.opened)
        if fill.instrument in self._holdings and not self._holdings[fill.instrument].trades:
            del self._holdings[fill.instrument]

    def _check_parts(self, fill: Fill) -> None:
        """Refuse a fill that does not fit our books before anything is booked."""
        parts = tuple(_closings(fill))
        for part in parts:
            self._check_closing(fill.instrument, part)
        if len({part.trade_id for part in parts}) != len(parts):
            raise HaltTrading(f"Fill {fill.transaction_id} closes one trade twice.")
        units = sum((part.units for part in parts), fill.opened.units if fill.opened else ZERO)
        if units != fill.units:
            raise HaltTrading(f"Fill {fill.transaction_id} is of {fill.units} units, its parts are of {units}.")
        result = sum((part.realized_pl_home for part in parts), ZERO)
        if result != fill.pl_home:
            raise HaltTrading(f"Fill {fill.transaction_id} made {fill.pl_home}, its parts made {result}.")
        financing = sum((part.financing_home for part in parts), ZERO)
        if financing != fill.financing_home:
            raise HaltTrading(f"Fill {fill.transaction_id} finances {fill.financing_home}, its parts {financing}.")

    def _check_closing(self, instrument: str, part: TradeClosed) -> None:
        holding = self._holdings.get(instrument)
        trade = holding.trades.get(part.trade_id) if holding else None
        if trade is None:
            raise HaltTrading(f"The broker closed trade {part.trade_id} in {instrument}, which we do not know.")
        if not 0 < -part.units / trade.units <= 1:
            raise HaltTrading(f"The broker closed {-part.units} of trade {part.trade_id}, which is of {trade.units}.")

    def _open(self, fill: Fill, opened: TradeOpened) -> None:
        trade = Trade(
            trade_id=opened.trade_id,
            instrument=fill.instrument,
            units=opened.units,
            initial_units=opened.units,
            price=opened.price,
            opened_ns=fill.ts_ns,
            client_order_id=fill.client_order_id,
            stop_loss=opened.stop_loss,
            take_profit=opened.take_profit,
        )
        self.trades_opened += 1
        self._holdings.setdefault(fill.instrument, _Holding()).put(trade)

    def _reduce(self, instrument: str, part: TradeClosed) -> None:
        holding = self._holdings[instrument]
        trade = holding.trades[part.trade_id]
        holding.put(
            replace(
                trade,
                units=trade.units + part.units,
                realized_pl_home=trade.realized_pl_home + part.realized_pl_home,
                financing_home=trade.financing_home + part.financing_home,
            )
        )

    def _book_financing(self, financing: DailyFinancing) -> None:
        self._check_financing(financing)
        self._move(financing.financing_home, financing.balance_home, financing.transaction_id)
        self.financing_home += financing.financing_home
        for part in financing.trades:
            holding = self._holdings[part.instrument]
            trade = holding.trades[part.trade_id]
            holding.put(replace(trade, financing_home=trade.financing_home + part.financing_home))

    def _check_financing(self, financing: DailyFinancing) -> None:
        total = sum((part.financing_home for part in financing.trades), ZERO)
        if total != financing.financing_home:
            raise HaltTrading(
                f"Financing {financing.transaction_id} is of {financing.financing_home}, its parts are of {total}."
            )
        for part in financing.trades:
            if all(trade.trade_id != part.trade_id for trade in self.trades_of(part.instrument)):
                raise HaltTrading(f"The broker financed trade {part.trade_id}, which we do not know.")

    def _note_dependent(self, order: OrderCreated) -> None:
        name = _DEPENDENTS.get(order.kind)
        if name and order.trade_id and order.price is not None:
            self._stops[order.order_id] = (order.trade_id, name)
            for instrument in self._holdings:  # the order's transaction names its trade, not always the instrument
                self._set_dependent(instrument, order.trade_id, name, order.price)

    def _forget_dependent(self, order_id: str) -> None:
        trade_id, name = self._stops.pop(order_id, (None, ""))
        if trade_id is not None:
            for instrument in self._holdings:
                self._set_dependent(instrument, trade_id, name, None)

    def _set_dependent(self, instrument: str, trade_id: str, name: str, price: Decimal | None) -> None:
        holding = self._holdings.get(instrument)
        trade = holding.trades.get(trade_id) if holding else None
        if holding is None or trade is None:
            return
        changed = replace(trade, stop_loss=price) if name == "stop_loss" else replace(trade, take_profit=price)
        holding.trades[trade_id] = changed

    def _move(self, change: Decimal, balance_after: Decimal, transaction_id: int) -> None:
        expected = self.balance_home + change
        if expected != balance_after:
            raise HaltTrading(
                f"Broker transaction {transaction_id} leaves a balance of {balance_after}, our books say {expected}."
            )
        self.balance_home = balance_after


def _closings(fill: Fill) -> Iterable[TradeClosed]:
    yield from fill.closed
    if fill.reduced:
        yield fill.reduced


def _trade_risk(trade: Trade, quote: Quote) -> Decimal:
    price = quote.bid if trade.units > 0 else quote.ask
    if trade.stop_loss is None:
        return abs(trade.units) * price * quote.loss_rate
    return max((price - trade.stop_loss) * trade.units * quote.loss_rate, ZERO)
