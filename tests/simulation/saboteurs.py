"""I am sabotage: bugs of one line each, planted on purpose, to prove that the checkers bite.
I may import the engine.
I must not outlive the run that I was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec

from engine.domain.decision import Gate
from engine.domain.error import HaltTrading
from engine.domain.event import BreakerTripped, OrderInitialized, TradeClaimed
from engine.domain.order import OrderStatus
from engine.execution import OrderBook
from engine.ledger import Ledger
from engine.ports import Answered, NotSent, Unresolved
from engine.risk.breakers import BreakerPanel
from engine.risk.rules import OrderIntervalRule, PriceBoundRule, QuoteAgeRule, QuoteRule, StopRule
from engine.session import beginning, decide, loop, protection, recovery
from engine.session.audit import Auditor
from engine.session.commands import CommandDesk
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher
from engine.session.protection import AGAIN_S, PATIENCE_S, TRIES_MAX, Guardian
from engine.session.timekeeping import Timekeeper
from engine.session.warmup import WarmUp
from engine.store.journal import SqliteJournal

ZERO = Decimal(0)
Plant = Callable[[ExitStack], None]
SABOTEURS: dict[str, Plant] = {}
# Bugs that were found in the engine once, and need more than a hundred seeds to show.
RARE: dict[str, Plant] = {}


def _saboteur(plant: Plant) -> Plant:
    SABOTEURS[plant.__name__] = plant
    return plant


def _rare(plant: Plant) -> Plant:
    RARE[plant.__name__] = plant
    return plant


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with this bug in the engine; None plants nothing. Raises KeyError for an unknown name."""
    with ExitStack() as stack:
        if name is not None:
            (SABOTEURS | RARE)[name](stack)
        yield


class _Instead:
    """Something that is the same as another but for what is named."""

    def __init__(self, inner: Any, **changed: Any) -> None:
        self._inner = inner
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, value))


def _forget_event(stack: ExitStack, kind: type) -> None:
    rest = {each: handler for each, handler in recovery._HANDLERS.items() if each is not kind}
    stack.enter_context(mock.patch.dict(recovery._HANDLERS, rest, clear=True))


def _let_pass(stack: ExitStack, rule: type) -> None:
    passed = Gate(name=rule.name, value="whatever", limit="none", passed=True)  # type: ignore[attr-defined]
    _set(stack, rule, "check", lambda self, intent, view: passed)


def _on_the_way_out(stack: ExitStack, change: Callable[[Dispatcher], None]) -> None:
    """Change every dispatcher just after it was made."""
    make = Dispatcher.__init__

    def made(self: Dispatcher, *args: Any) -> None:
        make(self, *args)
        change(self)

    _set(stack, Dispatcher, "__init__", made)


def _with_submit(dispatcher: Dispatcher, submit: Callable[[Any, Any], Any]) -> None:
    broker = dispatcher._broker
    dispatcher._broker = _Instead(broker, submit=lambda intent: submit(broker, intent))


class _Endless(int):
    """A time to wait that nothing is longer than."""

    def __mul__(self, other: int) -> Any:
        return _Endless(int(self) * int(other))

    def __ge__(self, other: int) -> bool:
        return True

    def __lt__(self, other: int) -> bool:
        return False


def _only_once_a_step(stack: ExitStack) -> None:
    """Notice trouble at the beginning of a step alone."""
    step, note = loop.TradingSession.step, loop.TradingSession._note_trouble
    noted: list[bool] = []

    def begin(self: loop.TradingSession, commands: Any = ()) -> None:
        noted.clear()
        step(self, commands)

    def first(self: loop.TradingSession) -> None:
        if not noted:
            noted.append(True)
            note(self)

    _set(stack, loop.TradingSession, "step", begin)
    _set(stack, loop.TradingSession, "_note_trouble", first)


@_saboteur
def blind_retry(stack: ExitStack) -> None:
    def twice(broker: Any, intent: Any) -> Any:
        outcome = broker.submit(intent)
        return broker.submit(intent) if isinstance(outcome, Unresolved) else outcome

    _on_the_way_out(stack, lambda each: _with_submit(each, twice))


@_saboteur
def timeout_is_rejected(stack: ExitStack) -> None:
    def refused(broker: Any, intent: Any) -> Any:
        outcome = broker.submit(intent)
        return NotSent(reason=outcome.reason) if isinstance(outcome, Unresolved) else outcome

    _on_the_way_out(stack, lambda each: _with_submit(each, refused))


@_saboteur
def send_before_intent(stack: ExitStack) -> None:
    def never(dispatcher: Dispatcher) -> None:
        dispatcher._journal = _Instead(dispatcher._journal, commit=lambda: None)

    _on_the_way_out(stack, never)


@_saboteur
def settle_from_the_answer(stack: ExitStack) -> None:
    def settle(dispatcher: Dispatcher) -> None:
        def answered(broker: Any, intent: Any) -> Any:
            outcome = broker.submit(intent)
            if isinstance(outcome, Answered):
                dispatcher._update(intent.client_order_id, OrderStatus.FILLED, "the answer says so")
            return outcome

        _with_submit(dispatcher, answered)

    _on_the_way_out(stack, settle)


@_saboteur
def halt_is_not_asked_for(stack: ExitStack) -> None:
    def deaf(dispatcher: Dispatcher) -> None:
        dispatcher._kill = _Instead(dispatcher._kill, engaged=lambda: None)

    _on_the_way_out(stack, deaf)


@_saboteur
def impatient_grace(stack: ExitStack) -> None:
    def hurry(dispatcher: Dispatcher) -> None:
        dispatcher._grace_ns = 5 * 10**9

    _on_the_way_out(stack, hurry)


@_saboteur
def no_fill_dedupe(stack: ExitStack) -> None:
    _set(stack, Dispatcher, "_following", lambda self, found: found)


@_saboteur
def skip_transaction_gap(stack: ExitStack) -> None:
    def newer(self: Dispatcher, found: Any) -> Any:
        return [each for each in found if each.transaction_id > self._desk.ledger.last_transaction_id]

    apply = Ledger.apply

    def unchecked(self: Ledger, transaction: Any) -> None:
        self.last_transaction_id = transaction.transaction_id - 1
        apply(self, transaction)

    _set(stack, Dispatcher, "_following", newer)
    _set(stack, Ledger, "apply", unchecked)


@_saboteur
def no_reserved_exposure(stack: ExitStack) -> None:
    _set(stack, OrderBook, "reserved_units", lambda self, instrument: ZERO)
    _set(stack, decide, "_reserved", lambda desk, besides: ZERO)


@_saboteur
def breaker_in_memory_only(stack: ExitStack) -> None:
    _forget_event(stack, BreakerTripped)


@_saboteur
def forget_claims(stack: ExitStack) -> None:
    _forget_event(stack, TradeClaimed)


@_saboteur
def forget_last_entry(stack: ExitStack) -> None:
    def initialized(desk: Desk, event: OrderInitialized) -> None:
        desk.orders.initialize(event.intent)

    stack.enter_context(mock.patch.dict(recovery._HANDLERS, {OrderInitialized: initialized}))


@_saboteur
def forget_unresolved(stack: ExitStack) -> None:
    rebuild = recovery.rebuild

    def forgetful(desk: Desk, past: Any) -> tuple[str, ...]:
        rebuild(desk, past)
        desk.orders._open.clear()
        return ()

    _set(stack, beginning, "rebuild", forgetful)


@_saboteur
def resend_after_restart(stack: ExitStack) -> None:
    doubt = Dispatcher.doubt

    def again(self: Dispatcher, order_id: str, why: str) -> None:
        self._broker.submit(self._desk.orders._open[order_id].intent)
        doubt(self, order_id, why)

    _set(stack, Dispatcher, "doubt", again)


@_saboteur
def stale_quote_allowed(stack: ExitStack) -> None:
    _let_pass(stack, QuoteAgeRule)


@_saboteur
def closed_market_allowed(stack: ExitStack) -> None:
    _let_pass(stack, QuoteRule)


@_saboteur
def interval_ignored(stack: ExitStack) -> None:
    _let_pass(stack, OrderIntervalRule)


@_saboteur
def no_stop(stack: ExitStack) -> None:
    entry = decide._entry_intent
    _let_pass(stack, StopRule)
    _set(stack, decide, "_entry_intent", lambda *each: msgspec.structs.replace(entry(*each), stop_loss=None))


@_saboteur
def no_bound(stack: ExitStack) -> None:
    entry = decide._entry_intent
    _let_pass(stack, PriceBoundRule)
    _set(stack, decide, "_entry_intent", lambda *each: msgspec.structs.replace(entry(*each), price_bound=None))


@_saboteur
def order_before_reconcile(stack: ExitStack) -> None:
    _set(stack, Auditor, "note_agreement", lambda self: None)


@_saboteur
def ignore_holdings(stack: ExitStack) -> None:
    _set(stack, Auditor, "differences", lambda self: ())


@_saboteur
def quote_goes_back(stack: ExitStack) -> None:
    _set(stack, loop, "_usable", lambda quote, known, now_ns: 0 < quote.bid <= quote.ask)


@_saboteur
def crossed_quote_allowed(stack: ExitStack) -> None:
    usable = loop._usable
    _set(stack, loop, "_usable", lambda quote, known, now: usable(quote, known, now) or quote.bid > quote.ask > 0)


@_saboteur
def id_reuse(stack: ExitStack) -> None:
    _set(stack, decide, "client_order_id", lambda run, name, bar_ts_ns, number: f"1-{name}-{bar_ts_ns}-1")


@_saboteur
def float_money(stack: ExitStack) -> None:
    move = Ledger._move

    def floating(self: Ledger, change: Decimal, after: Decimal, number: int) -> None:
        move(self, change, after, number)
        self.balance_home = float(after)  # type: ignore[assignment]

    _set(stack, Ledger, "_move", floating)


@_saboteur
def resume_clears_breakers(stack: ExitStack) -> None:
    resume = CommandDesk._resume

    def clearing(self: CommandDesk, command: Any) -> str:
        self._desk.panel._trips.clear()
        return resume(self, command)

    _set(stack, CommandDesk, "_resume", clearing)


@_saboteur
def commands_take_effect_twice(stack: ExitStack) -> None:
    handle = CommandDesk.handle

    def again(self: CommandDesk, command: Any) -> None:
        self._seen.clear()
        handle(self, command)

    _set(stack, CommandDesk, "handle", again)


@_saboteur
def decide_twice_on_a_bar(stack: ExitStack) -> None:
    _set(stack, Desk, "was_decided", lambda self, bar: False)


@_saboteur
def touch_foreign_trades(stack: ExitStack) -> None:
    _set(stack, Desk, "is_ours", lambda self, trade: True)


@_saboteur
def protect_never(stack: ExitStack) -> None:
    _set(stack, Guardian, "look", lambda self: None)


@_saboteur
def expire_without_reading(stack: ExitStack) -> None:
    read = Dispatcher._read
    _set(stack, Dispatcher, "_read", lambda self, afresh=False: read(self))


@_saboteur
def late_fill_is_nothing(stack: ExitStack) -> None:
    _set(stack, Dispatcher, "_trip", lambda self, order: None)


@_saboteur
def failed_commit_is_forgotten(stack: ExitStack) -> None:
    commit = SqliteJournal.commit

    def shrug(self: SqliteJournal) -> None:
        try:
            commit(self)
        except HaltTrading:
            self._events.clear()

    _set(stack, SqliteJournal, "commit", shrug)


@_saboteur
def sell_is_buy(stack: ExitStack) -> None:
    plan = vars(decide)["plan_entry"]
    _set(stack, decide, "plan_entry", lambda **each: plan(**{**each, "direction": 1}))


@_saboteur
def nothing_ever_trips(stack: ExitStack) -> None:
    _set(stack, BreakerPanel, "update", lambda self, view: ())


@_saboteur
def stop_on_the_wrong_side(stack: ExitStack) -> None:
    stop_of = Guardian._stop_of

    def wrong(self: Guardian, trade: Any) -> Decimal | None:
        stop = stop_of(self, trade)
        return None if stop is None else 2 * self._desk.quotes[trade.instrument].bid - stop

    _set(stack, Guardian, "_stop_of", wrong)


@_saboteur
def bars_without_decision(stack: ExitStack) -> None:
    on_bar = loop.TradingSession._on_bar

    def choosy(self: loop.TradingSession, bar: Any, *, is_stale: bool) -> None:
        if bar.open_ts_ns // bar.granularity.ns % 7:
            on_bar(self, bar, is_stale=is_stale)

    _set(stack, loop.TradingSession, "_on_bar", choosy)


@_saboteur
def trades_before_warm_up(stack: ExitStack) -> None:
    _set(stack, WarmUp, "advance", lambda self: True)


@_saboteur
def another_keel_is_nobody(stack: ExitStack) -> None:
    _set(stack, Dispatcher, "_refuse_another_keel", lambda self, transaction: None)


@_rare
def close_does_not_ask(stack: ExitStack) -> None:
    make = CommandDesk.__init__

    def deaf(self: CommandDesk, *args: Any) -> None:
        make(self, *args)
        self._kill = _Instead(self._kill, engaged=lambda: None)

    _set(stack, CommandDesk, "__init__", deaf)


@_saboteur
def limits_change_on_paper(stack: ExitStack) -> None:
    update = CommandDesk._update_limits

    def unchanged(self: CommandDesk, command: Any) -> str:
        limits = self._desk.limits
        said = update(self, command)
        self._desk.limits = limits
        return said

    _set(stack, CommandDesk, "_update_limits", unchanged)


@_saboteur
def pause_is_ignored(stack: ExitStack) -> None:
    _set(stack, CommandDesk, "_pause", lambda self, command: "no new entries")


@_saboteur
def log_trouble_between_is_overlooked(stack: ExitStack) -> None:
    _only_once_a_step(stack)


@_saboteur
def far_future_quote_shuts_out_the_rest(stack: ExitStack) -> None:
    usable = loop._usable
    _set(stack, loop, "_usable", lambda quote, known, now_ns: usable(quote, known, max(now_ns, quote.ts_ns)))


@_saboteur
def guard_gives_up_while_halted(stack: ExitStack) -> None:
    act = Guardian._act

    def tired(self: Guardian, trade: Any, naked: Any) -> None:
        if naked.tries < TRIES_MAX or not self._kill.engaged():
            act(self, trade, naked)

    _set(stack, Guardian, "_act", tired)


@_rare
def guard_waits_for_a_wrong_clock(stack: ExitStack) -> None:
    _set(stack, protection, "PATIENCE_S", _Endless(PATIENCE_S))
    _set(stack, protection, "AGAIN_S", _Endless(AGAIN_S))


@_saboteur
def sleeps_unnoticed(stack: ExitStack) -> None:
    begin = Timekeeper.begin_step
    _set(stack, Timekeeper, "begin_step", lambda self: begin(self) * 0)


@_saboteur
def wakes_without_comparing(stack: ExitStack) -> None:
    _set(stack, Auditor, "begin_anew", lambda self: None)


@_rare
def unresolved_without_a_price_is_not_counted(stack: ExitStack) -> None:
    unpriced = decide._unpriced
    _set(stack, decide, "_unpriced", lambda desk: unpriced(desk) if desk.unpriced else None)


@_saboteur
def reversal_on_top(stack: ExitStack) -> None:
    _set(stack, loop, "obstacle", lambda desk, wanted: "" if desk.orders.idle else "an order is under way")


@_saboteur
def trades_while_degraded(stack: ExitStack) -> None:
    _set(stack, loop.TradingSession, "_note_trouble", lambda self: None)
