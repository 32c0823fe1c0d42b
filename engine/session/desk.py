"""I am the desk: everything one session knows at this moment, changed by the session thread alone.
I may import the domain, ledger, execution and risk.
I must not reach outside; I only remember and add up.
My tests are in tests/unit/session/test_desk.py.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.account import EquityPoint, Trade, WorkingOrder
from engine.domain.calendar import next_rollover_ns
from engine.domain.command import SessionConfig
from engine.domain.decision import Decision
from engine.domain.event import Claim, SessionState, TradingState
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Bar, Quote
from engine.domain.schedule import DayStart
from engine.domain.transaction import Fill, FundsTransferred, Transaction
from engine.domain.window import BarWindow
from engine.execution import OrderBook
from engine.ledger import Ledger
from engine.risk.breakers import LOCK, AccountView, BreakerPanel, lock_name
from engine.risk.conduct import Conduct
from engine.risk.guards import GuardWindow
from engine.risk.hours import Hours
from engine.snapshot import Counts, Preview, Verdict

ZERO = Decimal(0)
HUNDRED = Decimal(100)
BARS_SHOWN = 300
CURVE_POINTS_MAX = 1_000
ARMED_H = 12
_DAY_NS = 86_400 * NS_PER_S


class EquityCurve:
    """Equity over the whole session in at most CURVE_POINTS_MAX points: when full, every second one is dropped."""

    def __init__(self) -> None:
        self._points: list[EquityPoint] = []
        self._stride = 1
        self._skipped = 0

    def add(self, ts_ns: int, equity_home: Decimal, balance_home: Decimal) -> None:
        """Take a point, unless it falls between two kept ones."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._points.append(EquityPoint(ts_ns=ts_ns, equity_home=equity_home, balance_home=balance_home))
        if len(self._points) >= CURVE_POINTS_MAX:
            self._points = self._points[::2]
            self._stride *= 2

    def points(self) -> tuple[EquityPoint, ...]:
        """Oldest first."""
        return tuple(self._points)


@dataclass(slots=True, kw_only=True)
class Desk:
    """State of one session; amounts in home currency, times in market nanoseconds."""

    config: SessionConfig
    run_id: int
    continues: int | None = None
    currency: str
    instruments: Mapping[str, Instrument]
    offered: Mapping[str, Instrument]
    granularity_ns: int
    limits: RiskLimits
    opening_balance_home: Decimal
    now_ns: int
    ledger: Ledger = field(default_factory=Ledger)
    orders: OrderBook = field(default_factory=OrderBook)
    panel: BreakerPanel = field(default_factory=BreakerPanel)
    conduct: Conduct = field(default_factory=Conduct)
    guards: dict[str, GuardWindow] = field(default_factory=dict)
    hours: Hours = field(init=False)
    day: DayStart = field(init=False)
    quotes: dict[str, Quote] = field(default_factory=dict)
    windows: dict[str, BarWindow] = field(default_factory=dict)
    bars: dict[str, deque[Bar]] = field(default_factory=dict)
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=100))
    verdicts: deque[Verdict] = field(default_factory=lambda: deque(maxlen=30))
    curve: EquityCurve = field(default_factory=EquityCurve)
    state: SessionState = SessionState.WARMING_UP
    reason: str = ""
    paused: bool = False
    halt_reason: str = ""
    flattening: str | None = None
    unreconciled: bool = False
    clock_note: str = ""
    arming_phrase: str = ""
    armed_until_ns: int | None = None
    former_orders: frozenset[str] = frozenset()
    foreign_orders: tuple[WorkingOrder, ...] = ()
    claims: dict[str, Claim] = field(default_factory=dict)
    decided: dict[tuple[str, str], int] = field(default_factory=dict)
    equity_home: Decimal = ZERO
    peak_home: Decimal = ZERO
    fall_anchor_home: Decimal = ZERO
    recorded_peak_home: Decimal = ZERO
    max_drawdown_pct: Decimal = ZERO
    day_start_home: Decimal = ZERO
    loss_anchor_home: Decimal = ZERO
    day_end_ns: int = 0
    bars_seen: int = 0
    decisions_made: int = 0
    fills_seen: int = 0
    entries_denied: int = 0
    shadows_open: int = 0
    shadows_ended: int = 0
    revision: int = 0
    decisive_revision: int = 0
    woken_ns: int = 0
    limits_revision: int = 0
    no_loosening_until_ns: int = 0
    preview: Preview | None = None
    _order_number: int = 0
    _rollover_ns: int = 0

    def __post_init__(self) -> None:
        self.hours = Hours(self.limits, self.config.news)
        self.day = DayStart.parse(self.limits.trading_day)
        self.guards = {name: GuardWindow(self.limits.guard_bars) for name in self.instruments}

    def change_limits(self, limits: RiskLimits) -> None:
        """Judge by other limits from now on."""
        self.limits = limits
        self.limits_revision += 1
        self.hours = self.hours.changed(limits)

    def book(self, transaction: Transaction) -> None:
        """Take one of the broker's transactions into the books; raises HaltTrading when it does not fit them."""
        if isinstance(transaction, Fill):
            self.conduct.filled(transaction, self.ledger.trades_of(transaction.instrument))
        self.ledger.apply(transaction)
        if isinstance(transaction, FundsTransferred):
            self._move_anchors(transaction.amount_home)

    def _move_anchors(self, amount_home: Decimal) -> None:
        """Money paid in or out is neither profit nor loss: whatever equity is measured from goes with it."""
        self.equity_home += amount_home
        self.peak_home = self._moved(self.peak_home, amount_home)
        self.fall_anchor_home = self._moved(self.fall_anchor_home, amount_home)
        self.recorded_peak_home = self._moved(self.recorded_peak_home, amount_home)
        self.day_start_home = self._moved(self.day_start_home, amount_home)
        self.loss_anchor_home = self._moved(self.loss_anchor_home, amount_home)

    def _moved(self, anchor_home: Decimal, amount_home: Decimal) -> Decimal:
        """Where more is taken out than there was to begin with, gains were: what is left begins anew."""
        if anchor_home <= 0:
            return anchor_home  # not set yet
        moved = anchor_home + amount_home
        return moved if moved > 0 else self.ledger.balance_home

    @property
    def rollover_ns(self) -> int:
        """The next 17:00 New York, at which financing is charged; worked out once a day."""
        if not 0 < self._rollover_ns - self.now_ns <= _DAY_NS:
            self._rollover_ns = next_rollover_ns(self.now_ns)
        return self._rollover_ns

    def forbid_loosening(self, until_ns: int) -> None:
        """A daily breaker has tripped: for the rest of that trading day limits are only made stricter."""
        self.no_loosening_until_ns = max(self.no_loosening_until_ns, until_ns)

    def open_books(self, equity_home: Decimal) -> None:
        """Start counting from this equity; a day that runs already keeps its beginning."""
        self.equity_home = self.peak_home = equity_home
        self.fall_anchor_home = max(self.fall_anchor_home, equity_home)
        if self.now_ns >= self.day_end_ns:
            self.day_start_home = self.loss_anchor_home = equity_home
            self.day_end_ns = self.day.next_ns(self.now_ns)

    def next_order_number(self) -> int:
        """Number of the next order of this run, from 1."""
        self._order_number += 1
        return self._order_number

    @property
    def trading_state(self) -> TradingState:
        """Which orders may leave now; the strictest reason wins."""
        if self.halt_reason:
            return TradingState.HALTED
        if self.panel.tripped or self.state is SessionState.DEGRADED or self.disarmed:
            return TradingState.REDUCING
        return TradingState.PAUSED if self.paused else TradingState.ACTIVE

    @property
    def calm(self) -> bool:
        """Say whether entries are allowed, nothing is latched and everything open is ours."""
        return self.trading_state is TradingState.ACTIVE and not self.panel.trips and not self.foreign_trades()

    @property
    def state_reason(self) -> str:
        """Why the trading state is not ACTIVE, in a few words; empty when it is."""
        if self.halt_reason:
            return self.halt_reason
        if self.panel.tripped:
            return ", ".join(f"breaker {trip.breaker}" for trip in self.panel.trips if not trip.instrument)
        if self.state is SessionState.DEGRADED:
            return self.reason
        if self.disarmed:
            return f"armed for {ARMED_H} hours, which are over; arm again to open positions"
        return "entries paused by the operator" if self.paused else ""

    def arm(self) -> int:
        """Allow a live session to open positions; returns until when."""
        self.armed_until_ns = (self.now_ns // NS_PER_S + ARMED_H * 3_600) * NS_PER_S
        return self.armed_until_ns

    @property
    def disarmed(self) -> bool:
        """Say whether the time for which a person armed this live session is over."""
        return self.armed_until_ns is not None and self.now_ns >= self.armed_until_ns

    def was_decided(self, bar: Bar) -> bool:
        """Say whether an earlier run has decided on this bar: each is decided on once, over restarts too."""
        return bar.open_ts_ns <= self.decided.get((bar.instrument, bar.granularity.value), -1)

    def is_ours(self, trade: Trade) -> bool:
        """Say whether we may manage a trade: we opened it, or the operator wants us to."""
        return self.orders.is_ours(trade.client_order_id) or self.claims.get(trade.trade_id) is Claim.ADOPT

    def foreign_trades(self, instrument: str | None = None) -> tuple[Trade, ...]:
        """Open trades that we must not touch, of one instrument or of all."""
        trades = self.ledger.open_trades if instrument is None else self.ledger.trades_of(instrument)
        return tuple(trade for trade in trades if not self.is_ours(trade))

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Instruments that are held and have no quote, so that nobody knows what they are worth."""
        return tuple(name for name in self.ledger.held if name not in self.quotes)

    def forget(self, instrument: str) -> None:
        """Empty an instrument's look-back buffer, to fill it again from its history."""
        self.windows[instrument] = BarWindow(instrument, self.windows[instrument].capacity)
        self.bars[instrument].clear()
        self.guards[instrument] = GuardWindow(self.limits.guard_bars)

    @property
    def finished(self) -> bool:
        """Say whether the session has ended."""
        return self.state in (SessionState.STOPPED, SessionState.FAULTED)

    def remember(self, bar: Bar) -> None:
        """Add a closed bar to the look-back buffer and to what pages show."""
        self.windows[bar.instrument].append(bar)
        self.bars[bar.instrument].append(bar)
        self.guards[bar.instrument].append(bar)

    def reanchor(self, breaker: str) -> None:
        """Let a released breaker measure anew, from the present equity or from nothing; else it would trip at once."""
        if breaker == "daily_loss":
            self.loss_anchor_home = self.equity_home
        elif breaker == "drawdown":
            self.fall_anchor_home = self.recorded_peak_home = self.equity_home
        elif breaker == "loss_streak":
            self.conduct.forgive_losses()
        elif breaker == "model_faults":
            self.conduct.forgive_faults()
        elif breaker == "broker_errors":
            self.conduct.forgive_errors()
        elif breaker.startswith(f"{LOCK} "):
            self.conduct.looked_at(breaker.removeprefix(f"{LOCK} "))

    def lock_of(self, instrument: str) -> str:
        """Say why an instrument waits for a person; empty when it does not."""
        trip = self.panel.trip_of(lock_name(instrument))
        return trip.cause if trip else ""

    def counts(self) -> Counts:
        """Totals of the run so far."""
        return Counts(
            bars=self.bars_seen,
            decisions=self.decisions_made,
            orders=self.orders.sent,
            fills=self.fills_seen,
            trades=self.ledger.trades_opened,
            denied=self.entries_denied,
            followed=self.shadows_open,
            outcomes=self.shadows_ended,
        )

    def mark(self) -> bool:
        """Value open positions at the newest quotes and move peak, drawdown and trading day along.

        Returns whether anything changed that a breaker looks at.
        """
        ledger = self.ledger
        equity = ledger.balance_home
        if not ledger.flat:
            if self.unpriced:
                return False  # the session is DEGRADED for as long as this lasts
            equity += ledger.unrealized_home(self.quotes)
        new_day = self.now_ns >= self.day_end_ns
        if new_day:
            self.day_start_home = self.loss_anchor_home = self.equity_home
            self.day_end_ns = self.day.next_ns(self.now_ns)
        if equity == self.equity_home:
            return new_day
        self.equity_home = equity
        self.fall_anchor_home = max(self.fall_anchor_home, equity)
        if equity > self.peak_home:
            self.peak_home = equity
        else:
            self.max_drawdown_pct = max(self.max_drawdown_pct, self.drawdown_pct)
        return True

    @property
    def day_pl_home(self) -> Decimal:
        """What the trading day has made so far, open P/L included."""
        return self.equity_home - self.day_start_home

    @property
    def drawdown_pct(self) -> Decimal:
        """Fall from the session's highest equity, in percent of it."""
        return (self.peak_home - self.equity_home) / self.peak_home * HUNDRED if self.peak_home > 0 else ZERO

    def account_view(self) -> AccountView:
        """What breakers look at."""
        return AccountView(
            ts_ns=self.now_ns,
            equity_home=self.equity_home,
            day_start_home=self.loss_anchor_home,
            peak_home=self.fall_anchor_home,
            limits=self.limits,
            losses_in_row=self.conduct.losses_in_row,
            model_faults=self.conduct.model_faults,
            errors=self.conduct.errors(self.now_ns),
            data_age_s=self.data_age_s,
        )

    @property
    def data_age_s(self) -> Decimal | None:
        """Age of the oldest quote of what is held, or of the newest of all while nothing is; None while none is open.

        A price that stands still under a position makes equity and loss untrue, however busy the others are. None in a
        simulated session, too: what is not there between two of its bars is not missing. Nobody could listen while the
        machine slept, so that age counts from when it woke.
        """
        if self.config.mode.is_simulated:
            return None
        held = [quote for name in self.ledger.held if (quote := self.quotes.get(name)) and quote.tradeable]
        quotes = [self.quotes[name] for name in self.instruments if name in self.quotes]
        if not held and not any(quote.tradeable for quote in quotes):
            return None
        newest_ns = min(each.ts_ns for each in held) if held else max(each.ts_ns for each in quotes)
        age_ns = self.now_ns - max(self.woken_ns, newest_ns)
        return max(Decimal(age_ns) / NS_PER_S, ZERO)
