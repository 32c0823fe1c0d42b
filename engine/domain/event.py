"""I am what has happened: past tense, append-only, the truth from which every table is made.
I may import the other nouns of the domain.
I must not change meaning once released: old journals are replayed.
My tests are in tests/unit/domain/test_event.py.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from engine.domain.account import Trade, WorkingOrder
from engine.domain.check import Check
from engine.domain.command import SessionConfig
from engine.domain.decision import Decision
from engine.domain.limits import RiskLimits
from engine.domain.order import OrderIntent, OrderStatus
from engine.domain.schedule import NewsEvent
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    OtherTransaction,
)


class TradingState(StrEnum):
    """Which orders may leave: any, only those that lower exposure (for two reasons), or none."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class SessionState(StrEnum):
    """Where a session is in its life."""

    READY = "READY"
    WARMING_UP = "WARMING_UP"
    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAULTED = "FAULTED"


class Claim(StrEnum):
    """What the operator wants done with a trade that Keel did not open."""

    ADOPT = "adopt"
    IGNORE = "ignore"


class Ending(StrEnum):
    """What ended the virtual trade of a blocked signal."""

    STOP = "stop"
    TARGET = "target"
    SIGNAL = "signal"


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run began; amounts in `config.currency`.

    account tells one account at a broker from every other ("" for a simulated one, which ends with its run). continues
    names the run whose books this one goes on with; None begins new books, after transaction opening_transaction_id
    with opening_balance_home, and with the trades that TradeFound names.
    """

    ts_ns: int
    config: SessionConfig
    model_sha256: str
    opening_balance_home: Decimal
    engine_version: str
    account: str = ""
    opening_transaction_id: int = 0
    continues: int | None = None


class PreflightDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked before a session on OANDA's market began, the checks that failed included."""

    ts_ns: int
    checks: tuple[Check, ...]


class TradeFound(msgspec.Struct, frozen=True, kw_only=True):
    """A trade was open at the broker already when new books began; orders are the stops and targets that wait on it."""

    ts_ns: int
    trade: Trade
    orders: tuple[WorkingOrder, ...] = ()


class TradeClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """The operator said what to do with a trade that Keel did not open."""

    ts_ns: int
    trade_id: str
    claim: Claim


class DayBegan(msgspec.Struct, frozen=True, kw_only=True):
    """A trading day (17:00 New York) or the books began, with this equity; the daily loss is measured from it."""

    ts_ns: int
    equity_home: Decimal


class PeakReached(msgspec.Struct, frozen=True, kw_only=True):
    """The drawdown is measured from this: a session began with it, or equity has risen to it; once a minute at most."""

    ts_ns: int
    equity_home: Decimal


class ProtectionSent(msgspec.Struct, frozen=True, kw_only=True):
    """A stop-loss is about to be set for an open trade that has none; committed before the broker hears of it."""

    ts_ns: int
    trade_id: str
    stop_loss: Decimal


class TradeCloseSent(msgspec.Struct, frozen=True, kw_only=True):
    """One trade is about to be closed at the market; committed before the broker hears of it."""

    ts_ns: int
    trade_id: str
    reason: str
    command_id: str | None = None


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """Our books and the broker's agree; nothing is sent before this."""

    ts_ns: int
    balance_home: Decimal
    last_transaction_id: int


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """The process stood still for so many real seconds (the machine slept); what follows is done as after a restart."""

    ts_ns: int
    seconds: int


class WarmedUp(msgspec.Struct, frozen=True, kw_only=True):
    """Every instrument has its look-back bars."""

    ts_ns: int
    bars: dict[str, int]


class LiveArmed(msgspec.Struct, frozen=True, kw_only=True):
    """A person allowed a live session to open positions until this moment."""

    ts_ns: int
    until_ns: int


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A closed bar was judged."""

    ts_ns: int
    decision: Decision


class BlockedOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a signal that gates had blocked would have come to, had it been traded at the quote of that moment.

    gates are those that failed (for the trading state what stood behind it, "breaker daily_loss"); units are signed,
    result_home includes financing_home, and result_r is the result divided by the loss at the stop.
    """

    ts_ns: int
    instrument: str
    bar_ts_ns: int
    direction: int
    gates: tuple[str, ...]
    entry_price: Decimal
    exit_price: Decimal
    units: Decimal
    financing_home: Decimal
    result_home: Decimal
    result_r: Decimal
    ended: Ending
    bars: int


class OrderInitialized(msgspec.Struct, frozen=True, kw_only=True):
    """An order is about to be sent; committed before the broker hears of it.

    risk_home is what is lost if the stop is hit at its price; command_id is set when a person asked for it.
    """

    ts_ns: int
    intent: OrderIntent
    risk_home: Decimal
    command_id: str | None = None


class OrderUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """An order moved to another status for a reason other than a broker transaction."""

    ts_ns: int
    client_order_id: str
    status: OrderStatus
    detail: str


class OrderFilled(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows a fill (ours, a stop's, a target's, a close-out's)."""

    ts_ns: int
    fill: Fill


class FinancingCharged(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows daily financing."""

    ts_ns: int
    financing: DailyFinancing


class FundsMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows money paid in or out."""

    ts_ns: int
    transfer: FundsTransferred


class BrokerOrderCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows a new order (ours or a dependent stop or target)."""

    ts_ns: int
    order: OrderCreated


class BrokerOrderCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows a cancelled order."""

    ts_ns: int
    cancel: OrderCanceled


class BrokerOrderRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows a rejected order."""

    ts_ns: int
    reject: OrderRejected


class BrokerNoted(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's log shows a transaction that moves neither orders, trades nor money."""

    ts_ns: int
    other: OtherTransaction


class BreakerTripped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A breaker latched; it stays until acknowledged. instrument names the only one that waits for it, "" all."""

    ts_ns: int
    breaker: str
    value: str
    limit: str
    instrument: str = ""


class BreakerReleased(msgspec.Struct, frozen=True, kw_only=True):
    """The operator released a breaker; it measures from this equity on."""

    ts_ns: int
    breaker: str
    reason: str
    equity_home: Decimal | None = None


class TradingStateChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders may leave has changed."""

    ts_ns: int
    state: TradingState
    reason: str


class LimitsChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of the running session were replaced; loosened names those that are less strict than before.

    revision counts the sets of limits of a run; 0 is the one that it began with.
    """

    ts_ns: int
    limits: RiskLimits
    revision: int = 0
    loosened: tuple[str, ...] = ()


class NewsSet(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar of news of the running session was replaced."""

    ts_ns: int
    news: tuple[NewsEvent, ...]


class AlertRaised(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened that a person who is away should hear of: a word for its kind, and one sentence."""

    ts_ns: int
    kind: str
    text: str


class CommandAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """A request took effect."""

    ts_ns: int
    command_id: str
    command: str
    detail: str


class CommandRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A request was refused, with the reason."""

    ts_ns: int
    command_id: str
    command: str
    reason: str


class Faulted(msgspec.Struct, frozen=True, kw_only=True):
    """Something unexpected happened; the session stopped trading."""

    ts_ns: int
    where: str
    error: str


class SessionStopped(msgspec.Struct, frozen=True, kw_only=True):
    """A run ended; the figures of the run, amounts in home currency."""

    ts_ns: int
    reason: str
    state: SessionState
    closing_balance_home: Decimal
    equity_home: Decimal
    max_drawdown_pct: Decimal
    bars: int
    decisions: int
    orders: int
    fills: int
    trades: int


Event = (
    SessionStarted
    | PreflightDone
    | TradeFound
    | TradeClaimed
    | DayBegan
    | PeakReached
    | ProtectionSent
    | TradeCloseSent
    | Reconciled
    | Interrupted
    | WarmedUp
    | LiveArmed
    | DecisionMade
    | BlockedOutcome
    | OrderInitialized
    | OrderUpdated
    | OrderFilled
    | FinancingCharged
    | FundsMoved
    | BrokerOrderCreated
    | BrokerOrderCanceled
    | BrokerOrderRejected
    | BrokerNoted
    | BreakerTripped
    | BreakerReleased
    | TradingStateChanged
    | LimitsChanged
    | NewsSet
    | AlertRaised
    | CommandAccepted
    | CommandRefused
    | Faulted
    | SessionStopped
)

KINDS: dict[str, Any] = {kind.__name__: kind for kind in Event.__args__}
