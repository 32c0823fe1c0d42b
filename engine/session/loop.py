"""I am the loop body: market, transactions, books, commands, breakers, decisions, orders, in that order.
I may import the domain, ports and my own room.
I must not sleep, read a clock other than the port, or catch what I do not understand.
My tests are in tests/unit/session/test_loop.py.
"""

import logging
from collections.abc import Sequence
from decimal import Decimal

from engine.domain.command import Command
from engine.domain.decision import Action
from engine.domain.error import RetryLater
from engine.domain.event import (
    DecisionMade,
    Faulted,
    Interrupted,
    SessionState,
    SessionStopped,
    TradingState,
    TradingStateChanged,
    WarmedUp,
)
from engine.domain.market import NS_PER_S, Bar, Quote
from engine.risk.price_rules import FUTURE_S_MAX
from engine.session.alarm import Alarm
from engine.session.audit import Auditor
from engine.session.beginning import Beginning, SessionParts, new_desk
from engine.session.commands import CommandDesk
from engine.session.day_lock import LockKeeper
from engine.session.days import Days
from engine.session.decide import Wanted, decide, obstacle, pass_over
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher, record_trip
from engine.session.peak import PeakKeeper
from engine.session.protection import Guardian
from engine.session.shadows import Shadows
from engine.session.surroundings import exposed
from engine.session.timekeeping import Timekeeper
from engine.session.view import take_snapshot
from engine.session.warmup import WarmUp
from engine.snapshot import Snapshot

log = logging.getLogger("engine.session")
RETRY_NS = NS_PER_S
_TRADING = (SessionState.RUNNING, SessionState.DEGRADED)


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
        self._desk = desk = new_desk(parts, account)
        self._alarm = Alarm(desk, parts.journal, parts.alerter)
        self._dispatcher = Dispatcher(desk, parts.broker, parts.journal, parts.kill)
        self._warmup = WarmUp(desk, parts.market_data, desk.now_ns + parts.config.warmup_timeout_s * NS_PER_S)
        self._auditor = Auditor(desk, parts.broker, parts.journal, self._dispatcher)
        self._guardian = Guardian(desk, parts.broker, parts.journal, parts.kill, self._dispatcher)
        self._timekeeper = Timekeeper(desk, parts.clock)
        self._peak = PeakKeeper(desk, parts.journal)
        self._shadows = Shadows(desk, parts.journal)
        self._commands = CommandDesk(desk, self._dispatcher, self._guardian, self._auditor, parts.journal, parts.kill)
        self._known_state = TradingState.ACTIVE
        self._trouble = ""
        self._judged_home = Decimal(0)
        self._watched: frozenset[str] = frozenset(parts.config.instruments)
        self._is_kept = False
        self._days = Days(desk, parts.journal)
        self._lock = LockKeeper(desk, parts.locks, self._alarm)
        self._is_outside = not parts.config.mode.is_simulated
        duration_s = parts.config.duration_s
        self._end_ns = desk.now_ns + duration_s * NS_PER_S if duration_s else None
        beginning = Beginning(parts, desk, self._dispatcher, self._auditor, self._days, self._lock)
        self._is_kept = beginning.begin(account.equity_home - account.balance_home)
        self._watch()
        self._dispatcher.lock_repeated()
        parts.journal.commit()
        log.info("session started: run %s", desk.run_id, extra={"subsystem": "session"})

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
        stood_still = self._begin_step()
        bars = self._poll()
        self._dispatcher.sync(afresh=stood_still)
        self._dispatcher.expire()
        self._watch_what_is_held()
        if self._is_kept:
            self._auditor.look()
        self._note_trouble()
        moved = self._days.mark()
        if moved or desk.equity_home != self._judged_home or desk.conduct.stirred or self._is_outside:
            self._watch()  # before a command can take a limit away that is reached already
        self._obey(commands)
        self._note_trading_state()
        if desk.flattening:
            self._commands.flatten()
        self._guardian.look()
        if desk.state is SessionState.WARMING_UP and not desk.unreconciled:
            self._warm_up()
        self._note_trouble()  # the log was read again since, or the session has just begun to run
        newest_ns = _newest_ns(bars)
        for bar in bars:
            self._on_bar(bar, is_stale=bar.close_ts_ns < max(newest_ns[bar.instrument], self._desk.woken_ns + 1))
        if bars:
            desk.curve.add(desk.now_ns, desk.equity_home, desk.ledger.balance_home)
        if self._is_kept:
            self._peak.look()
        self._lock.look()
        self._alarm.look()
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
        if self._is_kept:
            self._peak.note()
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
        self._lock.settle()
        log.info("session stopped: %s", reason, extra={"subsystem": "session"})

    def fault(self, where: str, error: str) -> None:
        """End the run because something unexpected happened; the broker's stops stay in force."""
        log.error("session faulted in %s: %s", where, error, extra={"subsystem": "session"})
        self._journal.append(Faulted(ts_ns=self._desk.now_ns, where=where, error=error))
        self._alarm.raise_("faulted", where, f"The session has stopped on an error in {where}: {error}")
        self.stop(f"{where}: {error}", SessionState.FAULTED)

    def abandon(self, reason: str) -> None:
        """End the run in memory only, when even the journal cannot be written."""
        self._desk.state, self._desk.reason = SessionState.FAULTED, reason

    def snapshot(self, revision: int, published_ns: int) -> Snapshot:
        """Freeze what pages may see."""
        self._desk.revision = revision
        digest = self._journal.digest() if self.finished else ""
        return take_snapshot(
            self._desk,
            self._warmup.rows(),
            revision=revision,
            published_ns=published_ns,
            digest=digest,
            alerts=self._alarm.newest,
            checks=self._parts.checks,
        )

    def commit(self) -> None:
        """Make everything so far durable; raises HaltTrading."""
        self._journal.commit()

    def _begin_step(self) -> bool:
        """Take the time and look at the latch; says whether the process stood still and everything begins anew."""
        lost_s = self._timekeeper.begin_step()
        self._desk.halt_reason = self._kill.noted
        if lost_s:
            self._begin_anew(lost_s)
        return lost_s > 0

    def _begin_anew(self, lost_s: int) -> None:
        """Go on as after a restart: log, books and history first, only then orders."""
        desk = self._desk
        log.warning("the process stood still for %s s", lost_s, extra={"subsystem": "session"})
        self._journal.append(Interrupted(ts_ns=desk.now_ns, seconds=lost_s))
        desk.woken_ns = desk.now_ns
        desk.state = SessionState.WARMING_UP
        desk.reason = f"the process stood still for {lost_s} s, as when the machine sleeps; looking at everything again"
        self._dispatcher.begin_anew()
        self._guardian.begin_anew()
        self._warmup.begin_anew()
        if self._is_kept:
            self._auditor.begin_anew()

    def _obey(self, commands: Sequence[Command]) -> None:
        """Carry commands out; what one did, or which limit it made stricter, breakers see before the next one."""
        for command in commands:
            self._commands.handle(command)
            self._days.mark()
            self._watch()

    def _watch_what_is_held(self) -> None:
        """Follow prices of what is held, or may be, and not traded, else nobody knows what it is worth."""
        for name in exposed(self._desk):
            if name not in self._watched and name in self._desk.offered:
                self._watched |= {name}
                self._market_data.watch(name)

    def _poll(self) -> list[Bar]:
        desk = self._desk
        bars: list[Bar] = []
        try:
            items = self._market_data.poll(desk.now_ns)
        except RetryLater as error:
            if not self._trouble:
                desk.conduct.failed(desk.now_ns)
            self._trouble = str(error)
            return bars
        self._trouble = ""
        # what was asked for is as new as the answer, not as the question: it must not seem to come from the future
        desk.now_ns = max(desk.now_ns, self._clock.now_ns())
        quotes = desk.quotes
        for item in items:
            if not isinstance(item, Quote):
                bars.append(item)
            elif _usable(item, quotes.get(item.instrument), desk.now_ns):
                quotes[item.instrument] = item
        return bars

    def _note_trouble(self) -> None:
        """While the market or the broker cannot be read the session is DEGRADED and opens nothing."""
        desk = self._desk
        unpriced = ", ".join(desk.unpriced)
        trouble = self._trouble or self._dispatcher.trouble or self._auditor.trouble
        trouble = trouble or (f"{unpriced} is held and has no price yet" if unpriced else "")
        if trouble and desk.state in _TRADING:
            desk.state, desk.reason = SessionState.DEGRADED, trouble
        elif not trouble and desk.state is SessionState.DEGRADED:
            desk.state, desk.reason = SessionState.RUNNING, ""

    def _watch(self) -> None:
        """Let the breakers look at the account; the guard's own orders may have moved it behind the last look."""
        desk = self._desk
        self._judged_home = desk.equity_home
        desk.conduct.stirred = False
        for trip in desk.panel.update(desk.account_view()):
            if desk.panel.is_daily(trip.breaker):
                self._lock.tripped(trip)
            record_trip(self._journal, trip)
            self._lock.settle()

    def _note_trading_state(self) -> None:
        """Journal a change of what may leave, and log it for whoever runs a session without a page."""
        desk = self._desk
        state = desk.trading_state
        if state is not self._known_state:
            self._known_state = state
            desk.decisive_revision = desk.revision + 1
            why = desk.state_reason
            self._journal.append(TradingStateChanged(ts_ns=desk.now_ns, state=state, reason=why))
            level = logging.WARNING if state is TradingState.HALTED else logging.INFO
            log.log(level, "trading state %s%s", state, f": {why}" if why else "", extra={"subsystem": "session"})

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
        if desk.state not in _TRADING or desk.was_decided(bar):
            return
        desk.bars_seen += 1
        self._shadows.follow(bar)
        if self._has_moved():
            self._look_again()
        if is_stale:
            decision, wanted = pass_over(desk, bar)
        else:
            prediction = self._parts.predictor.predict(window)
            if self._has_moved():  # a slow model: the quote has grown older meanwhile
                self._look_again()
            decision, wanted = decide(desk, bar, prediction)
            desk.conduct.answered(bar.instrument, is_fault=decision.action is Action.FAULT)
        desk.decisions_made += 1
        desk.decisions.append(decision)
        is_blocked = bool(decision.gates and decision.blocking)
        desk.entries_denied += is_blocked
        self._journal.append(DecisionMade(ts_ns=desk.now_ns, decision=decision))
        self._alarm.judged(decision)
        self._shadows.judged(bar, decision, is_blocked=is_blocked)
        if wanted is not None:
            self._send(wanted)

    def _send(self, wanted: Wanted) -> None:
        """Send what was decided; the entry of a reversal only when the books say that its closing order has closed.

        It is never made up for: not later, for its bar is over, and not after a restart, for its bar was decided on.
        """
        desk = self._desk
        if wanted.closing is not None:
            self._dispatcher.send(wanted.closing, Decimal(0))
            self._look_again()
            if why := obstacle(desk, wanted):
                desk.entries_denied += 1
                self._dispatcher.deny(wanted.intent, wanted.risk_home, why)
                name = wanted.intent.instrument
                self._alarm.raise_("denied", name, f"A reversal in {name} did not enter behind its close: {why}.")
                return
        self._alarm.clear("denied", wanted.intent.instrument)
        desk.conduct.decided(wanted.intent)
        self._dispatcher.send(wanted.intent, wanted.risk_home)
        self._look_again()

    def _has_moved(self) -> bool:
        """Say whether what came before a bar in its step took time, moved the account or failed.

        It may have been the guard, a flatten, a model that answers nothing, or the order of the bar before.
        """
        desk = self._desk
        return desk.conduct.stirred or desk.equity_home != self._judged_home or self._clock.now_ns() > desk.now_ns

    def _look_again(self) -> None:
        """An order may have moved the account, and the log that was read behind it may have told of anything.

        A loss that was closed at the price at which it was valued leaves equity as it was, and counts all the same.
        Quotes have grown older meanwhile.
        """
        desk = self._desk
        desk.now_ns = max(desk.now_ns, self._clock.now_ns())
        self._note_trouble()
        if self._days.mark() or desk.conduct.stirred or desk.equity_home != self._judged_home:
            self._watch()


def _newest_ns(bars: Sequence[Bar]) -> dict[str, int]:
    """When the newest bar of each instrument ended, of those that came together: several do after an outage only.

    A simulated market hands its bars out one by one, at any pace: a session steps whenever one is due.
    """
    newest_ns: dict[str, int] = {}
    for bar in bars:
        newest_ns[bar.instrument] = max(bar.close_ts_ns, newest_ns.get(bar.instrument, 0))
    return newest_ns


def _usable(quote: Quote, known: Quote | None, now_ns: int) -> bool:
    """Say whether a quote may be used for anything: a sane pair of prices, neither older than the one we have nor
    from the future, whose time would shut out every true one until then.
    """
    bid, ask = quote.bid, quote.ask
    sane = bid.is_finite() and ask.is_finite() and 0 < bid <= ask
    return sane and (known is None or quote.ts_ns >= known.ts_ns) and quote.age_s(now_ns) >= -FUTURE_S_MAX
