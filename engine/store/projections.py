"""I am the tables made from events: orders, fills, trades, positions and the figures of a run.
I may import the domain, and codec, rows and schema of my own floor.
I must not read anything but the events themselves, so that every table can be made again from them.
My tests are in tests/unit/store/test_projections.py and test_past.py.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.domain.error import Bug, HaltTrading
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    BrokerNoted,
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    CommandAccepted,
    CommandRefused,
    Event,
    FinancingCharged,
    FundsMoved,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    SessionStarted,
    SessionState,
    SessionStopped,
    TradeFound,
)
from engine.domain.order import OrderStatus
from engine.domain.transaction import Fill
from engine.store.codec import RunDigest
from engine.store.rows import (
    ZERO,
    OrderState,
    Row,
    Tally,
    TradeState,
    closings,
    exit_reason,
    fill_row,
    transaction_row,
)
from engine.store.schema import COLUMNS

# What makes a row of these tables the same row when it is written again.
_KEYS = {
    "orders": ("seq",),
    "trades": ("seq",),
    "breakers": ("seq",),
    "positions": ("run_id", "instrument"),
    "metrics": ("run_id", "name"),
}


def insert_sql(table: str) -> str:
    """Write the statement that adds one row to a table, or replaces it where rows may be written again."""
    columns, keys = COLUMNS[table], _KEYS.get(table)
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own schema
    if keys is None:
        return insert
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in keys)
    return f"{insert} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


# Not EXPIRED, REJECTED or DENIED: what we gave up by ourselves may still turn out to have been filled.
_OVER = frozenset((OrderStatus.FILLED, OrderStatus.CANCELED))

_SQL = {table: insert_sql(table) for table in COLUMNS}

_START_RUN = """UPDATE runs SET mode = :mode, started_ns = :started_ns, instruments = :instruments,
    granularity = :granularity, model_id = :model_id, model_sha256 = :model_sha256, seed = :seed, currency = :currency,
    opening_balance_home = :opening_balance_home, config = :config, account = :account, continues = :continues
    WHERE run_id = :run_id"""

_STOP_RUN = """UPDATE runs SET status = :status, ended_ns = :ended_ns, closing_balance_home = :closing_balance_home,
    equity_home = :equity_home, max_drawdown_pct = :max_drawdown_pct, bars = :bars, decisions = :decisions,
    orders = :orders, fills = :fills, trades = :trades, reason = :reason, digest = :digest WHERE run_id = :run_id"""


class _Started(msgspec.Struct):
    """A SessionStarted of which the configuration is taken as it was written: fields may have been added since."""

    config: msgspec.Raw


class Projector:
    """Turns the events of one run into rows, in order; remembers only what is still open.

    A run that goes on with the books of an earlier one is given that one's projector, and changes the rows of what was
    still open there.
    """

    def __init__(self, run_id: int, past: "Projector | None" = None) -> None:
        self.run_id = run_id
        self.digest = RunDigest(run_id)
        self._continues = past.run_id if past else None
        self._orders: dict[str, OrderState] = dict(past._orders) if past else {}
        self._trades: dict[str, TradeState] = dict(past._trades) if past else {}
        self._trips: dict[str, Row] = dict(past._trips) if past else {}
        self._tally = Tally()
        self._added: dict[str, list[Row]] = {"fills": [], "transactions": [], "commands": []}
        self._changed: dict[str, dict[object, Row]] = {table: {} for table in ("breakers", "positions", "metrics")}
        self._changed_orders: dict[int, OrderState] = {}
        self._changed_trades: dict[int, TradeState] = {}
        self._run_changes: list[tuple[str, dict[str, object]]] = []

    def apply(self, seq: int, event: Event, payload: bytes) -> None:
        """Take in one event, given with its encoding; raises HaltTrading when it closes what was never opened."""
        self.digest.add(event, payload)
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, seq, event)
        elif isinstance(event, SessionStarted):
            self._start(event, payload)

    def follow(self, seq: int, event: Event) -> None:
        """Take in one event for what it leaves open, not for the digest."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, seq, event)

    def write(self, conn: sqlite3.Connection) -> None:
        """Write the rows that are new or changed since clear(), inside the caller's transaction."""
        self.digest.settle()
        for table, added in self._added.items():
            if added:
                conn.executemany(_SQL[table], added)
        for table, changed in self._changed.items():
            if changed:
                conn.executemany(_SQL[table], changed.values())
        if self._changed_orders:
            conn.executemany(_SQL["orders"], [order.row() for order in self._changed_orders.values()])
        if self._changed_trades:
            conn.executemany(_SQL["trades"], [trade.row() for trade in self._changed_trades.values()])
        for statement, values in self._run_changes:
            conn.execute(statement, {"run_id": self.run_id, **values})

    def clear(self) -> None:
        """Forget the rows that have been committed."""
        for added in self._added.values():
            added.clear()
        for changed in self._changed.values():
            changed.clear()
        self._changed_orders.clear()
        self._changed_trades.clear()
        self._run_changes.clear()

    def _start(self, event: SessionStarted, payload: bytes) -> None:
        if event.continues != self._continues:
            raise Bug(f"Run {self.run_id} continues run {event.continues}, and was begun on run {self._continues}.")
        config = event.config
        values: dict[str, object] = {
            "mode": str(config.mode),
            "started_ns": event.ts_ns,
            "instruments": ",".join(config.instruments),
            "granularity": str(config.granularity),
            "model_id": config.model_id,
            "model_sha256": event.model_sha256,
            "seed": config.seed,
            "currency": config.currency,
            "opening_balance_home": str(event.opening_balance_home),
            "config": bytes(msgspec.json.decode(payload, type=_Started).config).decode(),
            "account": event.account or None,
            "continues": event.continues,
        }
        self._run_changes.append((_START_RUN, values))
        for instrument in {trade.instrument for trade in self._trades.values()}:
            self._net(instrument, event.ts_ns)

    def _stop(self, _seq: int, event: SessionStopped) -> None:
        values: dict[str, object] = {
            "status": "FAULTED" if event.state is SessionState.FAULTED else "STOPPED",
            "ended_ns": event.ts_ns,
            "closing_balance_home": str(event.closing_balance_home),
            "equity_home": str(event.equity_home),
            "max_drawdown_pct": str(event.max_drawdown_pct),
            "bars": event.bars,
            "decisions": event.decisions,
            "orders": event.orders,
            "fills": event.fills,
            "trades": event.trades,
            "reason": event.reason,
            "digest": self.digest.hexdigest(),
        }
        self._run_changes.append((_STOP_RUN, values))
        for name, value in self._tally.metrics(event.max_drawdown_pct).items():
            self._changed["metrics"][name] = (self.run_id, name, value)

    def _initialize(self, seq: int, event: OrderInitialized) -> None:
        self._keep(
            OrderState(
                run_id=self.run_id,
                seq=seq,
                intent=event.intent,
                risk_home=event.risk_home,
                command_id=event.command_id,
                status=OrderStatus.INITIALIZED,
                status_ns=event.ts_ns,
            )
        )

    def _update(self, _seq: int, event: OrderUpdated) -> None:
        order = self._orders.get(event.client_order_id)
        if order:
            self._keep(replace(order, status=event.status, status_ns=event.ts_ns, detail=event.detail))

    def _create(self, seq: int, event: BrokerOrderCreated) -> None:
        self._added["transactions"].append(transaction_row(seq, self.run_id, event.order))
        order = self._orders.get(event.order.client_order_id or "")
        if order:
            self._keep(replace(order, broker_order_id=event.order.order_id))

    def _cancel(self, seq: int, event: BrokerOrderCanceled) -> None:
        self._added["transactions"].append(transaction_row(seq, self.run_id, event.cancel))
        self._end_order(event.cancel.client_order_id, OrderStatus.CANCELED, event.ts_ns, event.cancel.reason)

    def _reject(self, seq: int, event: BrokerOrderRejected) -> None:
        self._added["transactions"].append(transaction_row(seq, self.run_id, event.reject))
        self._end_order(event.reject.client_order_id, OrderStatus.REJECTED, event.ts_ns, event.reject.reason)

    def _end_order(self, client_order_id: str | None, status: OrderStatus, ts_ns: int, detail: str) -> None:
        order = self._orders.get(client_order_id or "")
        if order:
            self._keep(replace(order, status=status, status_ns=ts_ns, detail=detail))

    def _keep(self, order: OrderState) -> None:
        """Note an order's new state; one that can change no more is let go, so that memory does not grow."""
        client_order_id = order.intent.client_order_id
        self._changed_orders[order.seq] = order
        if order.status in _OVER:
            self._orders.pop(client_order_id, None)
        else:
            self._orders[client_order_id] = order

    def _fill(self, seq: int, event: OrderFilled) -> None:
        fill = event.fill
        order = self._orders.get(fill.client_order_id or "")
        reason = exit_reason(fill, order.intent.reason if order else None)
        trades: dict[str, TradeState] = {}
        for part in closings(fill):
            trade = trades.get(part.trade_id) or self._trade(part.trade_id, fill.transaction_id)
            trades[part.trade_id] = trade.closed(part, fill.ts_ns, reason)
        for trade in trades.values():
            self._hold(trade)
        if fill.opened:
            risk_home = order.risk_home if order else None
            self._hold(TradeState.opened(self.run_id, seq, fill, fill.opened, risk_home))
        if order:
            self._keep(order.filled(fill))
        self._added["fills"].append(fill_row(seq, self.run_id, fill))
        self._added["transactions"].append(transaction_row(seq, self.run_id, fill))
        self._count(fill)
        self._net(fill.instrument, fill.ts_ns)

    def _find(self, seq: int, event: TradeFound) -> None:
        self._hold(TradeState.found(self.run_id, seq, event.trade))
        self._net(event.trade.instrument, event.ts_ns)

    def _count(self, fill: Fill) -> None:
        tally = self._tally
        self._tally = replace(
            tally,
            realized_pl_home=tally.realized_pl_home + sum((part.realized_pl_home for part in closings(fill)), ZERO),
            financing_home=tally.financing_home + sum((part.financing_home for part in closings(fill)), ZERO),
            commission_home=tally.commission_home + fill.commission_home,
        )

    def _trade(self, trade_id: str, transaction_id: int) -> TradeState:
        trade = self._trades.get(trade_id)
        if trade is None:
            raise HaltTrading(f"Broker transaction {transaction_id} names trade {trade_id}, which is not open here.")
        return trade

    def _hold(self, trade: TradeState) -> None:
        """Note a trade's new state; a closed one is counted and let go."""
        self._changed_trades[trade.seq] = trade
        if trade.exit_ns is None:
            self._trades[trade.trade_id] = trade
        else:
            del self._trades[trade.trade_id]
            self._tally = self._tally.ended(trade, trade.exit_ns)

    def _net(self, instrument: str, ts_ns: int) -> None:
        held = [trade for trade in self._trades.values() if trade.instrument == instrument]
        units = sum((trade.units_open for trade in held), ZERO)
        cost = sum((trade.units_open * trade.entry_price for trade in held), ZERO)
        average_price = str(cost / units) if units else None
        self._changed["positions"][instrument] = (self.run_id, instrument, str(units), average_price, ts_ns)

    def _finance(self, seq: int, event: FinancingCharged) -> None:
        financing = event.financing
        trades: dict[str, TradeState] = {}
        for part in financing.trades:
            trade = trades.get(part.trade_id) or self._trade(part.trade_id, financing.transaction_id)
            trades[part.trade_id] = replace(trade, financing_home=trade.financing_home + part.financing_home)
        for trade in trades.values():
            self._hold(trade)
        paid = self._tally.financing_home + financing.financing_home
        self._tally = replace(self._tally, financing_home=paid)
        self._added["transactions"].append(transaction_row(seq, self.run_id, financing))

    def _note(self, seq: int, event: BrokerNoted) -> None:
        self._added["transactions"].append(transaction_row(seq, self.run_id, event.other))

    def _transfer(self, seq: int, event: FundsMoved) -> None:
        self._added["transactions"].append(transaction_row(seq, self.run_id, event.transfer))

    def _trip(self, seq: int, event: BreakerTripped) -> None:
        trip = (self.run_id, event.breaker, event.ts_ns, event.value, event.limit, None, None, seq)
        self._trips[event.breaker] = self._changed["breakers"][seq] = trip

    def _release(self, _seq: int, event: BreakerReleased) -> None:
        trip = self._trips.pop(event.breaker, None)
        if trip:
            self._changed["breakers"][trip[-1]] = (*trip[:5], event.ts_ns, event.reason, trip[-1])

    def _accept(self, seq: int, event: CommandAccepted) -> None:
        row = (self.run_id, event.command_id, event.command, 1, event.detail, event.ts_ns, seq)
        self._added["commands"].append(row)

    def _refuse(self, seq: int, event: CommandRefused) -> None:
        row = (self.run_id, event.command_id, event.command, 0, event.reason, event.ts_ns, seq)
        self._added["commands"].append(row)


_HANDLERS: dict[type, Callable[[Projector, int, Any], None]] = {
    SessionStopped: Projector._stop,
    OrderInitialized: Projector._initialize,
    OrderUpdated: Projector._update,
    TradeFound: Projector._find,
    OrderFilled: Projector._fill,
    FinancingCharged: Projector._finance,
    FundsMoved: Projector._transfer,
    BrokerNoted: Projector._note,
    BrokerOrderCreated: Projector._create,
    BrokerOrderCanceled: Projector._cancel,
    BrokerOrderRejected: Projector._reject,
    BreakerTripped: Projector._trip,
    BreakerReleased: Projector._release,
    CommandAccepted: Projector._accept,
    CommandRefused: Projector._refuse,
}
