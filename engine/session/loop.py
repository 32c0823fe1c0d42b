"""I am the loop body: market, transactions, books, commands, breakers, decisions, orders, in that order.
I may import the domain, ports and my own room.
I must not sleep, read a clock other than the port, or catch what I do not understand.
My tests are in tests/unit/session/test_loop.py.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.account import Account
from engine.domain.command import Command, SessionConfig
from engine.domain.error import Bug, ConfigError, HaltTrading, RetryLater
from engine.domain.event import (
    DecisionMade,
    Faulted,
    LiveArmed,
    Reconciled,
    SessionStarted,
    SessionState,
    SessionStopped,
    TradingState,
    TradingStateChanged,
    WarmedUp,
)
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Quote
from engine.domain.window import BarWindow
from engine.ports import Broker, Clock, Journal, KillSwitch, MarketData, Predictor
from engine.session.commands import CommandDesk
from engine.session.decide import decide, pass_over
from engine.session.desk import BARS_SHOWN, Desk
from engine.session.dispatch import Dispatcher, record_trip
from engine.session.view import take_snapshot
from engine.session.warmup import WarmUp
from engine.snapshot import Snapshot

log = logging.getLogger("engine.session")
RETRY_NS = NS_PER_S
_TRADING = (SessionState.RUNNING, SessionState.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What the wiring hands to a session; an arming_phrase makes it a live one, which was armed as it starts."""

    config: SessionConfig
    clock: Clock
    market_data: MarketData
    broker: Broker
    predictor: Predictor
    journal: Journal
    kill: KillSwitch
    instruments: Mapping[str, Instrument]
    engine_version: str
    arming_phrase: str = ""


class TradingSession:
    """One run, from warm-up to stop; step() is called by one thread only."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._broker = parts.broker
        self._clock = parts.clock
        self._kill = parts.kill
        self._journal = parts.journal
        self._market_data = parts.market_data
        account = parts.broker.account()
        self._desk = desk = _new_desk(parts, account)
        self._dispatcher = Dispatcher(desk, parts.broker, parts.journal, parts.kill)
        self._warmup = WarmUp(desk, parts.market_data, desk.now_ns + parts.config.warmup_timeout_s * NS_PER_S)
        self._commands = CommandDesk(desk, self._dispatcher, parts.journal, parts.kill)
        self._known_state = TradingState.ACTIVE
        self._trouble = ""
        duration_s = parts.config.duration_s
        self._end_ns = desk.now_ns + duration_s * NS_PER_S if duration_s else None
        self._begin(account)

    @property
    def finished(self) -> bool:
        """Say whether the session has ended."""
        return self._desk.finished

    @property
    def desk(self) -> Desk:
        """The books, for reports; read them from the session's own thread only."""
        return self._desk

    def step(self, commands: Sequence[Command] = ()) -> None:
        """Do everything that is due now; expected trouble changes the state, unexpected trouble raises."""
        desk = self._desk
        desk.now_ns = self._clock.now_ns()
        desk.halt_reason = self._kill.noted
        bars = self._poll()
        self._dispatcher.sync()
        self._dispatcher.expire()
        self._note_trouble()
        moved = desk.mark()
        for command in commands:
            self._commands.handle(command)
        if moved or commands:
            self._watch()
        self._note_trading_state()
        if desk.flattening:
            self._commands.flatten()
        if desk.state is SessionState.WARMING_UP:
            self._warm_up()
        newest_ns = _newest_ns(bars)
        for bar in bars:
            self._on_bar(bar, is_stale=bar.close_ts_ns < newest_ns[bar.instrument])
        if bars:
            desk.curve.add(desk.now_ns, desk.equity_home, desk.ledger.balance_home)
        if self._commands.stop_reason:
            self.stop(self._commands.stop_reason)

    def next_due_ns(self) -> int | None:
        """When to step again at the latest; None when the data or the duration has ended."""
        if self._desk.state is SessionState.WARMING_UP:
            return self._desk.now_ns + RETRY_NS
        due_ns = self._market_data.next_due_ns()
        if due_ns is None or (self._end_ns is not None and due_ns > self._end_ns):
            return None
        if self._trouble or self._dispatcher.trouble:
            return max(due_ns, self._desk.now_ns + RETRY_NS)
        return due_ns

    @property
    def end_reason(self) -> str:
        """Why next_due_ns() is None."""
        return "end of data" if self._market_data.next_due_ns() is None else "duration reached"

    @property
    def fault_reason(self) -> str:
        """Why the session faulted; empty when it did not."""
        return self._desk.reason if self._desk.state is SessionState.FAULTED else ""

    def continue_from(self, revision: int) -> None:
        """Number on from what was published before this session: no page drawn until now has seen it."""
        self._desk.revision, self._desk.decisive_revision = revision, revision + 1

    def stop(self, reason: str, state: SessionState = SessionState.STOPPED) -> None:
        """End the run; what is open stays as it is at the venue. Calling it again does nothing."""
        desk = self._desk
        if self.finished:
            return
        desk.state, desk.reason = state, reason
        counts = desk.counts()
        self._journal.append(
            SessionStopped(
                ts_ns=desk.now_ns,
                reason=reason,
                state=state,
                closing_balance_home=desk.ledger.balance_home,
                equity_home=desk.equity_home,
                max_drawdown_pct=desk.max_drawdown_pct,
                bars=counts.bars,
                decisions=counts.decisions,
                orders=counts.orders,
                fills=counts.fills,
                trades=counts.trades,
            )
        )
        self._journal.commit()
        log.info("session stopped: %s", reason, extra={"subsystem": "session"})

    def fault(self, where: str, error: str) -> None:
        """End the run because something unexpected happened; the broker's stops stay in force."""
        log.error("session faulted in %s: %s", where, error, extra={"subsystem": "session"})
        self._journal.append(Faulted(ts_ns=self._desk.now_ns, where=where, error=error))
        self.stop(f"{where}: {error}", SessionState.FAULTED)

    def abandon(self, reason: str) -> None:
        """End the run in memory only, when even the journal cannot be written."""
        self._desk.state, self._desk.reason = SessionState.FAULTED, reason

    def snapshot(self, revision: int, published_ns: int) -> Snapshot:
        """Freeze what pages may see."""
        self._desk.revision = revision
        digest = self._journal.digest() if self.finished else ""
        return take_snapshot(
            self._desk, self._warmup.rows(), revision=revision, published_ns=published_ns, digest=digest
        )

    def commit(self) -> None:
        """Make everything so far durable; raises HaltTrading."""
        self._journal.commit()

    def _begin(self, account: Account) -> None:
        parts, desk = self._parts, self._desk
        parts.market_data.start(parts.config.instruments, parts.config.granularity)
        started = SessionStarted(
            ts_ns=desk.now_ns,
            config=parts.config,
            model_sha256=parts.predictor.spec.sha256,
            opening_balance_home=account.balance_home,
            engine_version=parts.engine_version,
        )
        self._journal.append(started)
        if parts.arming_phrase:
            self._journal.append(LiveArmed(ts_ns=desk.now_ns, until_ns=desk.arm()))
        opening = parts.broker.opening()
        desk.ledger.begin(opening.balance_home, opening.last_transaction_id)
        self._dispatcher.sync()
        desk.open_books()
        self._reconcile(account)
        self._journal.commit()
        log.info("session started: run %s", desk.run_id, extra={"subsystem": "session"})

    def _reconcile(self, account: Account) -> None:
        """Nothing is sent before our books and the broker's agree."""
        ledger = self._desk.ledger
        if ledger.balance_home != account.balance_home or ledger.last_transaction_id != account.last_transaction_id:
            raise HaltTrading(
                f"The broker has {account.balance_home} after transaction {account.last_transaction_id}, "
                f"our books have {ledger.balance_home} after {ledger.last_transaction_id}."
            )
        self._journal.append(
            Reconciled(
                ts_ns=self._desk.now_ns,
                balance_home=ledger.balance_home,
                last_transaction_id=ledger.last_transaction_id,
            )
        )

    def _poll(self) -> list[Bar]:
        desk = self._desk
        bars: list[Bar] = []
        try:
            items = self._market_data.poll(desk.now_ns)
        except RetryLater as error:
            self._trouble = str(error)
            return bars
        self._trouble = ""
        quotes = desk.quotes
        for item in items:
            if not isinstance(item, Quote):
                bars.append(item)
            elif _usable(item, quotes.get(item.instrument)):
                quotes[item.instrument] = item
        return bars

    def _note_trouble(self) -> None:
        """While the market or the broker cannot be read the session is DEGRADED and opens nothing."""
        desk = self._desk
        trouble = self._trouble or self._dispatcher.trouble
        if trouble and desk.state in _TRADING:
            desk.state, desk.reason = SessionState.DEGRADED, trouble
        elif not trouble and desk.state is SessionState.DEGRADED:
            desk.state, desk.reason = SessionState.RUNNING, ""

    def _watch(self) -> None:
        """Let the breakers look at the account."""
        desk = self._desk
        for trip in desk.panel.update(desk.account_view()):
            record_trip(self._journal, trip)

    def _note_trading_state(self) -> None:
        """Journal a change of what may leave."""
        desk = self._desk
        state = desk.trading_state
        if state is not self._known_state:
            self._known_state = state
            desk.decisive_revision = desk.revision + 1
            self._journal.append(TradingStateChanged(ts_ns=desk.now_ns, state=state, reason=desk.state_reason))

    def _warm_up(self) -> None:
        desk = self._desk
        if self._warmup.advance():
            desk.state, desk.reason = SessionState.RUNNING, ""
            bars = {name: len(window) for name, window in desk.windows.items()}
            self._journal.append(WarmedUp(ts_ns=desk.now_ns, bars=bars))
        elif self._warmup.expired:
            self.stop(f"Warm-up timed out: {self._warmup.missing()}.", SessionState.FAULTED)

    def _on_bar(self, bar: Bar, *, is_stale: bool) -> None:
        """Judge one closed bar; a stale one is recorded and not traded on."""
        desk = self._desk
        window = desk.windows[bar.instrument]
        if window.close_ts_ns and bar.close_ts_ns <= window.close_ts_ns[-1]:
            return
        desk.remember(bar)
        if desk.state not in _TRADING:
            return
        desk.bars_seen += 1
        decision, wanted = (
            pass_over(desk, bar) if is_stale else decide(desk, bar, self._parts.predictor.predict(window))
        )
        desk.decisions_made += 1
        desk.decisions.append(decision)
        desk.entries_denied += bool(decision.gates and decision.blocking)
        self._journal.append(DecisionMade(ts_ns=desk.now_ns, decision=decision))
        if wanted is not None:
            self._dispatcher.send(wanted.intent, wanted.risk_home)
            self._note_trouble()
            if desk.mark():
                self._watch()


def _newest_ns(bars: Sequence[Bar]) -> dict[str, int]:
    """When the newest bar of each instrument ended, of those that came together: several do after an outage only.

    A simulated market hands its bars out one by one, at any pace: a session steps whenever one is due.
    """
    newest_ns: dict[str, int] = {}
    for bar in bars:
        newest_ns[bar.instrument] = max(bar.close_ts_ns, newest_ns.get(bar.instrument, 0))
    return newest_ns


def _usable(quote: Quote, known: Quote | None) -> bool:
    """Say whether a quote may be used for anything: a sane pair of prices, not older than the one we have."""
    bid, ask = quote.bid, quote.ask
    return bid.is_finite() and ask.is_finite() and 0 < bid <= ask and (known is None or quote.ts_ns >= known.ts_ns)


def _new_desk(parts: SessionParts, account: Account) -> Desk:
    config = parts.config
    missing = [name for name in config.instruments if name not in parts.instruments]
    if missing or not config.instruments:
        raise ConfigError(f"Instruments {', '.join(missing) or 'none'} are not offered by this venue.")
    if account.currency != config.currency:
        raise ConfigError(f"The account's currency is {account.currency}, the session's is {config.currency}.")
    lookback = max(parts.predictor.spec.lookback_bars, config.limits.atr_period + 1)
    if lookback <= 0:
        raise Bug("a session needs at least one bar of look-back")
    return Desk(
        config=config,
        run_id=parts.journal.run_id,
        currency=account.currency,
        instruments={name: parts.instruments[name] for name in config.instruments},
        granularity_ns=config.granularity.ns,
        limits=config.limits,
        arming_phrase=parts.arming_phrase,
        opening_balance_home=account.balance_home,
        now_ns=parts.clock.now_ns(),
        windows={name: BarWindow(name, lookback) for name in config.instruments},
        bars={name: deque(maxlen=max(BARS_SHOWN, lookback)) for name in config.instruments},
    )
