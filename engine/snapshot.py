"""I am the snapshot: the frozen picture of the engine that pages and the gateway read.
I may import the domain.
I must not change after publication, nor hold a secret.
My tests are in tests/unit/test_snapshot.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import msgspec
import msgspec.structs

from engine.domain.account import EquityPoint, Trade, WorkingOrder
from engine.domain.check import Check
from engine.domain.command import SessionConfig
from engine.domain.decision import Decision, Gate
from engine.domain.event import AlertRaised, Claim, SessionState, TradingState
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar, Quote
from engine.domain.schedule import NewsEvent

ZERO = Decimal(0)


class WarmupRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far one instrument's look-back buffer is; age_s is of its newest bar (None: no bar), market seconds."""

    instrument: str
    have: int
    need: int
    age_s: float | None
    reason: str

    @property
    def ready(self) -> bool:
        """Say whether nothing is missing."""
        return self.have >= self.need and not self.reason


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """One position with what a trader asks of it; amounts in home currency, risk_home if every stop is hit."""

    instrument: str
    units: Decimal
    average_price: Decimal
    price_now: Decimal
    unrealized_pl_home: Decimal
    risk_home: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_ns: int
    trade_ids: tuple[str, ...]


class ForeignTrade(msgspec.Struct, frozen=True, kw_only=True):
    """An open trade that Keel did not open, and what the operator said about it (None: nothing yet)."""

    trade: Trade
    claim: Claim | None


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker: what it measures now, its limit, and since when it is tripped (None: it is not)."""

    name: str
    value: str
    limit: str
    used_pct: float
    tripped_ns: int | None
    cause: str
    left: str = ""


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one limit is used now, in words; of a limit by instrument or currency the one nearest to its cap.

    used_pct is None, and distance empty, where there is no number to compare; limit is "off" for one that is.
    """

    name: str
    value: str
    limit: str
    used_pct: float | None
    distance: str


class LegView(msgspec.Struct, frozen=True, kw_only=True):
    """Net amount of one currency over everything held and under way, in home currency: lowest and highest of it."""

    currency: str
    low_home: Decimal
    high_home: Decimal
    cap_home: Decimal


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one command; checks are those that refused a start, with the green ones among them."""

    command_id: str
    command: str
    accepted: bool
    detail: str
    ts_ns: int
    checks: tuple[Check, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an entry that somebody asked about: its size, prices and gates; nothing was sent.

    units are signed, 0 when there is no size; prices in quote currency, risk_home what the stop would cost.
    """

    command_id: str
    ts_ns: int
    instrument: str
    direction: int
    units: Decimal
    entry_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    price_bound: Decimal | None
    risk_home: Decimal
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Say whether nothing stands in its way."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of the run so far; bars counts closed bars after warm-up over all instruments.

    followed are blocked signals whose virtual trade is open, outcomes those whose has ended.
    """

    bars: int = 0
    decisions: int = 0
    orders: int = 0
    fills: int = 0
    trades: int = 0
    denied: int = 0
    followed: int = 0
    outcomes: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a page may show about the running session without touching the database.

    revision grows with each publication; ts_ns is market time, published_ns the wall clock at publication.
    limits_revision counts the sets of limits of the run; until no_loosening_until_ns limits can only be made stricter.
    digest is set when the run has ended; continues names the run whose books it goes on with.
    clock_note is not empty while the machine's clock and the session's time differ.
    foreign_orders wait at the broker, are not ours and could open something; known as of the newest comparison.
    alerts are the newest, oldest first; checks are those of the preflight that the session began after.
    Amounts are in `currency`; bars holds the newest closed bars per instrument, oldest first.
    """

    revision: int = 0
    ts_ns: int = 0
    published_ns: int = 0
    session_state: SessionState = SessionState.READY
    trading_state: TradingState = TradingState.ACTIVE
    reason: str = ""
    clock_note: str = ""
    run_id: int | None = None
    continues: int | None = None
    config: SessionConfig | None = None
    limits: RiskLimits | None = None
    limits_revision: int = 0
    no_loosening_until_ns: int = 0
    usage: tuple[LimitUse, ...] = ()
    legs: tuple[LegView, ...] = ()
    exposure_net_home: Decimal = ZERO
    news: tuple[NewsEvent, ...] = ()
    preview: Preview | None = None
    currency: str = "USD"
    opening_balance_home: Decimal = ZERO
    balance_home: Decimal = ZERO
    equity_home: Decimal = ZERO
    unrealized_pl_home: Decimal = ZERO
    day_pl_home: Decimal = ZERO
    day_pl_pct: Decimal = ZERO
    drawdown_pct: Decimal = ZERO
    max_drawdown_pct: Decimal = ZERO
    margin_used_home: Decimal = ZERO
    exposure_home: Decimal = ZERO
    risk_home: Decimal = ZERO
    next_bar_ns: int | None = None
    armed_until_ns: int | None = None
    positions: tuple[PositionView, ...] = ()
    open_trades: tuple[Trade, ...] = ()
    foreign_trades: tuple[ForeignTrade, ...] = ()
    foreign_orders: tuple[WorkingOrder, ...] = ()
    unresolved_orders: tuple[str, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    quotes: tuple[Quote, ...] = ()
    breakers: tuple[BreakerView, ...] = ()
    warmup: tuple[WarmupRow, ...] = ()
    bars: Mapping[str, tuple[Bar, ...]] = msgspec.field(default_factory=dict)
    equity_curve: tuple[EquityPoint, ...] = ()
    decisions: tuple[Decision, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    alerts: tuple[AlertRaised, ...] = ()
    checks: tuple[Check, ...] = ()
    counts: Counts = msgspec.field(default_factory=Counts)
    realized_pl_home: Decimal = ZERO
    financing_home: Decimal = ZERO
    commission_home: Decimal = ZERO
    transferred_home: Decimal = ZERO
    digest: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "bars", MappingProxyType(dict(self.bars)))

    @property
    def active(self) -> bool:
        """Say whether a session is going on."""
        return self.session_state in _ACTIVE


_ACTIVE = frozenset({SessionState.WARMING_UP, SessionState.RUNNING, SessionState.DEGRADED, SessionState.STOPPING})
