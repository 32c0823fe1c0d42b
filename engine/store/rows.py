"""I am the rows: what one event, order, trade or run looks like as a tuple in the order of schema.COLUMNS.
I may import the domain.
I must not know SQLite, nor keep anything between two calls.
My tests are in tests/unit/store/test_projections.py.
"""

import json
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from engine.domain.account import Trade
from engine.domain.error import HaltTrading
from engine.domain.event import (
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    CommandAccepted,
    CommandRefused,
    DecisionMade,
    Event,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    TradeCloseSent,
)
from engine.domain.order import OrderIntent, OrderReason, OrderStatus
from engine.domain.transaction import DailyFinancing, Fill, FundsTransferred, TradeClosed, TradeOpened, Transaction

Row = tuple[str | int | float | None, ...]

ZERO = Decimal(0)
NS_PER_S = 1_000_000_000


def exact(value: Decimal | None) -> str | None:
    """Write a decimal as the text that reads back as the same decimal."""
    return None if value is None else str(value)


def references(event: Event) -> tuple[str | None, str | None]:
    """Name the order and the command that an event is about: (client_order_id, command_id)."""
    match event:
        case DecisionMade(decision=about) | BrokerOrderCreated(order=about):
            return about.client_order_id, None
        case OrderInitialized(intent=intent, command_id=command_id):
            return intent.client_order_id, command_id
        case OrderUpdated(client_order_id=client_order_id):
            return client_order_id, None
        case OrderFilled(fill=done) | BrokerOrderCanceled(cancel=done) | BrokerOrderRejected(reject=done):
            return done.client_order_id, None
        case CommandAccepted(command_id=asked) | CommandRefused(command_id=asked) | TradeCloseSent(command_id=asked):
            return None, asked
        case _:
            return None, None


def fill_row(seq: int, run_id: int, fill: Fill) -> Row:
    """Make the row of a fill; the trades it closed are a JSON list of ids."""
    return (
        run_id,
        fill.transaction_id,
        fill.ts_ns,
        fill.instrument,
        str(fill.units),
        str(fill.price),
        fill.reason,
        str(fill.pl_home),
        str(fill.financing_home),
        str(fill.commission_home),
        str(fill.half_spread_home),
        str(fill.balance_home),
        fill.order_id,
        fill.client_order_id,
        fill.opened.trade_id if fill.opened else None,
        json.dumps([part.trade_id for part in closings(fill)]),
        seq,
    )


def closings(fill: Fill) -> tuple[TradeClosed, ...]:
    """Every part of a fill that took units off a trade."""
    return fill.closed if fill.reduced is None else (*fill.closed, fill.reduced)


def transaction_row(seq: int, run_id: int, transaction: Transaction) -> Row:
    """Make the row of a broker transaction: what it added to the balance, and the balance after it."""
    amount: Decimal | None = None
    balance: Decimal | None = None
    if isinstance(transaction, Fill):
        amount = transaction.pl_home + transaction.financing_home - transaction.commission_home
        balance = transaction.balance_home
    elif isinstance(transaction, DailyFinancing):
        amount, balance = transaction.financing_home, transaction.balance_home
    elif isinstance(transaction, FundsTransferred):
        amount, balance = transaction.amount_home, transaction.balance_home
    kind = type(transaction).__name__
    return run_id, transaction.transaction_id, kind, transaction.ts_ns, exact(amount), exact(balance), seq


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """One of our orders as the events so far tell it, under the run that made it; filled_units are signed."""

    run_id: int
    seq: int
    intent: OrderIntent
    risk_home: Decimal
    command_id: str | None
    status: OrderStatus
    status_ns: int
    detail: str = ""
    broker_order_id: str | None = None
    filled_units: Decimal = ZERO

    def filled(self, fill: Fill) -> "OrderState":
        """Add a fill: FILLED once all units are."""
        units = self.filled_units + fill.units
        status = OrderStatus.FILLED if abs(units) >= abs(self.intent.units) else OrderStatus.PARTIALLY_FILLED
        return replace(
            self, filled_units=units, status=status, status_ns=fill.ts_ns, broker_order_id=fill.order_id, detail=""
        )

    def row(self) -> Row:
        """Make the row of this order."""
        intent = self.intent
        return (
            self.run_id,
            intent.client_order_id,
            intent.instrument,
            str(intent.units),
            str(intent.reason),
            intent.created_ns,
            exact(intent.price_bound),
            exact(intent.stop_loss),
            exact(intent.take_profit),
            exact(intent.trailing_distance),
            int(intent.reduce_only),
            str(self.risk_home),
            self.command_id,
            str(self.status),
            self.status_ns,
            self.detail,
            self.broker_order_id,
            str(self.filled_units),
            self.seq,
        )


class TradeState(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip as the events so far tell it, under the run that opened or found it.

    units and units_open are signed, closed_units and closed_value are the sums of units and of units x price of the
    closes that we saw, amounts are in home currency.
    """

    run_id: int
    seq: int
    trade_id: str
    instrument: str
    units: Decimal
    units_open: Decimal
    entry_ns: int
    entry_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    risk_home: Decimal | None
    client_order_id: str | None
    realized_pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO
    closed_units: Decimal = ZERO
    closed_value: Decimal = ZERO
    exit_ns: int | None = None
    exit_reason: str | None = None

    @classmethod
    def opened(cls, run_id: int, seq: int, fill: Fill, opened: TradeOpened, risk_home: Decimal | None) -> "TradeState":
        """Begin a trade with the part of a fill that opened it."""
        return cls(
            run_id=run_id,
            seq=seq,
            trade_id=opened.trade_id,
            instrument=fill.instrument,
            units=opened.units,
            units_open=opened.units,
            entry_ns=fill.ts_ns,
            entry_price=opened.price,
            stop_loss=opened.stop_loss,
            take_profit=opened.take_profit,
            risk_home=risk_home,
            client_order_id=fill.client_order_id,
        )

    @classmethod
    def found(cls, run_id: int, seq: int, trade: Trade) -> "TradeState":
        """Begin with a trade that was open at the broker before the books were, as the broker tells it."""
        return cls(
            run_id=run_id,
            seq=seq,
            trade_id=trade.trade_id,
            instrument=trade.instrument,
            units=trade.initial_units,
            units_open=trade.units,
            entry_ns=trade.opened_ns,
            entry_price=trade.price,
            stop_loss=trade.stop_loss,
            take_profit=trade.take_profit,
            risk_home=None,
            client_order_id=None,
            realized_pl_home=trade.realized_pl_home,
            financing_home=trade.financing_home,
        )

    def closed(self, part: TradeClosed, ts_ns: int, reason: str) -> "TradeState":
        """Take units off; the trade ends when none are left. Raises HaltTrading when more are taken than it has."""
        left = self.units_open + part.units
        if left * self.units < 0 or part.units * self.units >= 0:
            raise HaltTrading(
                f"The broker closed {part.units} units of trade {part.trade_id}, which has {self.units_open}."
            )
        return replace(
            self,
            units_open=left,
            realized_pl_home=self.realized_pl_home + part.realized_pl_home,
            financing_home=self.financing_home + part.financing_home,
            closed_units=self.closed_units + part.units,
            closed_value=self.closed_value + part.units * part.price,
            exit_ns=None if left else ts_ns,
            exit_reason=None if left else reason,
        )

    def row(self) -> Row:
        """Make the row of this trade; an exit is shown once the whole trade is closed."""
        return (
            self.run_id,
            self.trade_id,
            self.instrument,
            "long" if self.units > 0 else "short",
            "OPEN" if self.units_open else "CLOSED",
            str(abs(self.units)),
            str(abs(self.units_open)),
            self.entry_ns,
            str(self.entry_price),
            self.exit_ns,
            None if self.units_open else str(self.closed_value / self.closed_units),
            exact(self.stop_loss),
            exact(self.take_profit),
            exact(self.risk_home),
            str(self.realized_pl_home),
            str(self.financing_home),
            self.exit_reason,
            self.client_order_id,
            self.seq,
        )


_EXIT_REASONS = {
    "STOP_LOSS_ORDER": "stop loss",
    "TAKE_PROFIT_ORDER": "take profit",
    "TRAILING_STOP_LOSS_ORDER": "trailing stop",
    "MARKET_ORDER_MARGIN_CLOSEOUT": "margin closeout",
}


def exit_reason(fill: Fill, ours: OrderReason | None) -> str:
    """Say in a trader's words why a fill closed something: the broker's reason, or that of our own order."""
    if fill.reason in _EXIT_REASONS:
        return _EXIT_REASONS[fill.reason]
    return (str(ours) if ours else fill.reason.removesuffix("_ORDER")).replace("_", " ").lower()


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Running sums over a run's trades, in home currency; wins and losses count closed trades after financing."""

    realized_pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO
    commission_home: Decimal = ZERO
    wins: int = 0
    losses: int = 0
    trades: int = 0
    profit_home: Decimal = ZERO
    loss_home: Decimal = ZERO
    holding_ns: int = 0

    def ended(self, trade: TradeState, ts_ns: int) -> "Tally":
        """Count a trade that has just been closed at ts_ns."""
        result = trade.realized_pl_home + trade.financing_home
        return replace(
            self,
            trades=self.trades + 1,
            wins=self.wins + (result > 0),
            losses=self.losses + (result < 0),
            profit_home=self.profit_home + max(result, ZERO),
            loss_home=self.loss_home - min(result, ZERO),
            holding_ns=self.holding_ns + ts_ns - trade.entry_ns,
        )

    def metrics(self, max_drawdown_pct: Decimal) -> dict[str, str | None]:
        """Name the figures of a run; None where there is nothing to divide by.

        profit_factor is gross profit / gross loss and expectancy_home the mean result of a closed trade, as
        MetaTrader's and LEAN's reports define them.
        """
        return {
            "net_pl_home": str(self.realized_pl_home + self.financing_home - self.commission_home),
            "realized_pl_home": str(self.realized_pl_home),
            "financing_home": str(self.financing_home),
            "commission_home": str(self.commission_home),
            "trades": str(self.trades),
            "wins": str(self.wins),
            "losses": str(self.losses),
            "win_rate_pct": _quotient(Decimal(100 * self.wins), Decimal(self.trades)),
            "profit_factor": _quotient(self.profit_home, self.loss_home),
            "expectancy_home": _quotient(self.profit_home - self.loss_home, Decimal(self.trades)),
            "holding_s_average": _quotient(Decimal(self.holding_ns) / NS_PER_S, Decimal(self.trades)),
            "max_drawdown_pct": str(max_drawdown_pct),
        }


def _quotient(dividend: Decimal, divisor: Decimal) -> str | None:
    return str((dividend / divisor).quantize(Decimal("0.000001"))) if divisor else None
