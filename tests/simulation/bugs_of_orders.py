"""I am sabotage of orders, books and people's requests: bugs of one line each, to prove that the checkers bite.
I may import the engine and the tools of sabotage.
I must not outlive the run that I was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import msgspec

from engine.domain.error import HaltTrading
from engine.domain.event import BreakerTripped, TradeClaimed
from engine.domain.order import OrderStatus
from engine.execution import OrderBook
from engine.ledger import Ledger
from engine.ports import Answered, NotSent, Unresolved
from engine.risk.breakers import BreakerPanel
from engine.risk.price_rules import EdgeRule
from engine.risk.rules import OrderIntervalRule, PriceBoundRule, QuoteAgeRule, QuoteRule, StopRule
from engine.session import beginning, decide, loop, recovery
from engine.session.audit import Auditor
from engine.session.commands import CommandDesk
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher
from engine.session.protection import AGAIN_S_MAX, TRIES_MAX, Guardian
from engine.session.timekeeping import Timekeeper
from engine.session.warmup import WarmUp
from engine.store.journal import SqliteJournal
from tests.simulation.sabotage import (
    Instead,
    after_rebuild,
    change,
    forget_event,
    let_pass,
    on_the_way_out,
    saboteur,
    with_submit,
)

ZERO = Decimal(0)


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

    change(stack, loop.TradingSession, "step", begin)
    change(stack, loop.TradingSession, "_note_trouble", first)


@saboteur
def blind_retry(stack: ExitStack) -> None:
    def twice(broker: Any, intent: Any) -> Any:
        outcome = broker.submit(intent)
        return broker.submit(intent) if isinstance(outcome, Unresolved) else outcome

    on_the_way_out(stack, lambda each: with_submit(each, twice))


@saboteur
def timeout_is_rejected(stack: ExitStack) -> None:
    def refused(broker: Any, intent: Any) -> Any:
        outcome = broker.submit(intent)
        return NotSent(reason=outcome.reason) if isinstance(outcome, Unresolved) else outcome

    on_the_way_out(stack, lambda each: with_submit(each, refused))


@saboteur
def send_before_intent(stack: ExitStack) -> None:
    def never(dispatcher: Dispatcher) -> None:
        dispatcher._journal = Instead(dispatcher._journal, commit=lambda: None)

    on_the_way_out(stack, never)


@saboteur
def settle_from_the_answer(stack: ExitStack) -> None:
    def settle(dispatcher: Dispatcher) -> None:
        def answered(broker: Any, intent: Any) -> Any:
            outcome = broker.submit(intent)
            if isinstance(outcome, Answered):
                dispatcher._update(intent.client_order_id, OrderStatus.FILLED, "the answer says so")
            return outcome

        with_submit(dispatcher, answered)

    on_the_way_out(stack, settle)


@saboteur
def halt_is_not_asked_for(stack: ExitStack) -> None:
    def deaf(dispatcher: Dispatcher) -> None:
        dispatcher._kill = Instead(dispatcher._kill, engaged=lambda: None)

    on_the_way_out(stack, deaf)


@saboteur
def impatient_grace(stack: ExitStack) -> None:
    def hurry(dispatcher: Dispatcher) -> None:
        dispatcher._grace_ns = 5 * 10**9

    on_the_way_out(stack, hurry)


@saboteur
def no_fill_dedupe(stack: ExitStack) -> None:
    change(stack, Dispatcher, "_following", lambda self, found: found)


@saboteur
def skip_transaction_gap(stack: ExitStack) -> None:
    def newer(self: Dispatcher, found: Any) -> Any:
        return [each for each in found if each.transaction_id > self._desk.ledger.last_transaction_id]

    apply = Ledger.apply

    def unchecked(self: Ledger, transaction: Any) -> None:
        self.last_transaction_id = transaction.transaction_id - 1
        apply(self, transaction)

    change(stack, Dispatcher, "_following", newer)
    change(stack, Ledger, "apply", unchecked)


@saboteur
def no_reserved_exposure(stack: ExitStack) -> None:
    change(stack, OrderBook, "reserved_units", lambda self, instrument: ZERO)


@saboteur
def breaker_in_memory_only(stack: ExitStack) -> None:
    forget_event(stack, BreakerTripped)


@saboteur
def forget_claims(stack: ExitStack) -> None:
    forget_event(stack, TradeClaimed)


@saboteur
def forget_last_entry(stack: ExitStack) -> None:
    after_rebuild(stack, lambda desk: desk.conduct._entries.clear())


@saboteur
def forget_unresolved(stack: ExitStack) -> None:
    rebuild = recovery.rebuild

    def forgetful(desk: Desk, past: Any) -> tuple[str, ...]:
        rebuild(desk, past)
        desk.orders._open.clear()
        return ()

    change(stack, beginning, "rebuild", forgetful)


@saboteur
def resend_after_restart(stack: ExitStack) -> None:
    doubt = Dispatcher.doubt

    def again(self: Dispatcher, order_id: str, why: str) -> None:
        self._broker.submit(self._desk.orders._open[order_id].intent)
        doubt(self, order_id, why)

    change(stack, Dispatcher, "doubt", again)


@saboteur
def stale_quote_allowed(stack: ExitStack) -> None:
    let_pass(stack, QuoteAgeRule)


@saboteur
def closed_market_allowed(stack: ExitStack) -> None:
    let_pass(stack, QuoteRule)


@saboteur
def interval_ignored(stack: ExitStack) -> None:
    let_pass(stack, OrderIntervalRule)


@saboteur
def no_stop(stack: ExitStack) -> None:
    entry = decide._entry_intent
    let_pass(stack, StopRule)
    let_pass(stack, EdgeRule)
    change(stack, decide, "_entry_intent", lambda *each: msgspec.structs.replace(entry(*each), stop_loss=None))


@saboteur
def no_bound(stack: ExitStack) -> None:
    entry = decide._entry_intent
    let_pass(stack, PriceBoundRule)
    change(stack, decide, "_entry_intent", lambda *each: msgspec.structs.replace(entry(*each), price_bound=None))


@saboteur
def order_before_reconcile(stack: ExitStack) -> None:
    change(stack, Auditor, "note_agreement", lambda self: None)


@saboteur
def ignore_holdings(stack: ExitStack) -> None:
    change(stack, Auditor, "differences", lambda self: ())


@saboteur
def quote_goes_back(stack: ExitStack) -> None:
    change(stack, loop, "_usable", lambda quote, known, now_ns: 0 < quote.bid <= quote.ask)


@saboteur
def crossed_quote_allowed(stack: ExitStack) -> None:
    usable = loop._usable
    change(stack, loop, "_usable", lambda quote, known, now: usable(quote, known, now) or quote.bid > quote.ask > 0)


@saboteur
def id_reuse(stack: ExitStack) -> None:
    change(stack, decide, "client_order_id", lambda run, name, bar_ts_ns, number: f"1-{name}-{bar_ts_ns}-1")


@saboteur
def float_money(stack: ExitStack) -> None:
    move = Ledger._move

    def floating(self: Ledger, change: Decimal, after: Decimal, number: int) -> None:
        move(self, change, after, number)
        self.balance_home = float(after)  # type: ignore[assignment]

    change(stack, Ledger, "_move", floating)


@saboteur
def resume_clears_breakers(stack: ExitStack) -> None:
    resume = CommandDesk._resume

    def clearing(self: CommandDesk, command: Any) -> str:
        self._desk.panel._trips.clear()
        return resume(self, command)

    change(stack, CommandDesk, "_resume", clearing)


@saboteur
def commands_take_effect_twice(stack: ExitStack) -> None:
    handle = CommandDesk.handle

    def again(self: CommandDesk, command: Any) -> None:
        self._seen.clear()
        handle(self, command)

    change(stack, CommandDesk, "handle", again)


@saboteur
def decide_twice_on_a_bar(stack: ExitStack) -> None:
    change(stack, Desk, "was_decided", lambda self, bar: False)


@saboteur
def touch_foreign_trades(stack: ExitStack) -> None:
    change(stack, Desk, "is_ours", lambda self, trade: True)


@saboteur
def protect_never(stack: ExitStack) -> None:
    change(stack, Guardian, "look", lambda self: None)


@saboteur
def expire_without_reading(stack: ExitStack) -> None:
    read = Dispatcher._read
    change(stack, Dispatcher, "_read", lambda self, afresh=False: read(self))


@saboteur
def late_fill_is_nothing(stack: ExitStack) -> None:
    change(stack, Dispatcher, "_trip", lambda self, order: None)


@saboteur
def failed_commit_is_forgotten(stack: ExitStack) -> None:
    commit = SqliteJournal.commit

    def shrug(self: SqliteJournal) -> None:
        try:
            commit(self)
        except HaltTrading:
            self._events.clear()

    change(stack, SqliteJournal, "commit", shrug)


@saboteur
def sell_is_buy(stack: ExitStack) -> None:
    plan = vars(decide)["plan_entry"]
    change(stack, decide, "plan_entry", lambda **each: plan(**{**each, "direction": 1}))


@saboteur
def nothing_ever_trips(stack: ExitStack) -> None:
    change(stack, BreakerPanel, "update", lambda self, view: ())


@saboteur
def stop_on_the_wrong_side(stack: ExitStack) -> None:
    stop_of = Guardian._stop_of

    def wrong(self: Guardian, trade: Any) -> Decimal | None:
        stop = stop_of(self, trade)
        return None if stop is None else 2 * self._desk.quotes[trade.instrument].bid - stop

    change(stack, Guardian, "_stop_of", wrong)


@saboteur
def bars_without_decision(stack: ExitStack) -> None:
    on_bar = loop.TradingSession._on_bar

    def choosy(self: loop.TradingSession, bar: Any, *, is_stale: bool) -> None:
        if bar.open_ts_ns // bar.granularity.ns % 7:
            on_bar(self, bar, is_stale=is_stale)

    change(stack, loop.TradingSession, "_on_bar", choosy)


@saboteur
def trades_before_warm_up(stack: ExitStack) -> None:
    change(stack, WarmUp, "advance", lambda self: True)


@saboteur
def another_keel_is_nobody(stack: ExitStack) -> None:
    change(stack, Dispatcher, "_refuse_another_keel", lambda self, transaction: None)


@saboteur
def close_does_not_ask(stack: ExitStack) -> None:
    make, close = CommandDesk.__init__, Guardian.close

    def deaf(self: CommandDesk, *args: Any) -> None:
        make(self, *args)
        self._kill = Instead(self._kill, engaged=lambda: None)

    def at_once(self: Guardian, trade: Any, reason: str, command_id: Any = None, *, through_halt: bool = False) -> None:
        close(self, trade, reason, command_id, through_halt=True)

    change(stack, CommandDesk, "__init__", deaf)
    change(stack, Guardian, "close", at_once)


@saboteur
def limits_change_on_paper(stack: ExitStack) -> None:
    update = CommandDesk._update_limits

    def unchanged(self: CommandDesk, command: Any) -> str:
        limits = self._desk.limits
        said = update(self, command)
        self._desk.limits = limits
        return said

    change(stack, CommandDesk, "_update_limits", unchanged)


@saboteur
def pause_is_ignored(stack: ExitStack) -> None:
    change(stack, CommandDesk, "_pause", lambda self, command: "no new entries")


@saboteur
def log_trouble_between_is_overlooked(stack: ExitStack) -> None:
    _only_once_a_step(stack)


@saboteur
def far_future_quote_shuts_out_the_rest(stack: ExitStack) -> None:
    usable = loop._usable
    change(stack, loop, "_usable", lambda quote, known, now_ns: usable(quote, known, max(now_ns, quote.ts_ns)))


@saboteur
def guard_gives_up_while_halted(stack: ExitStack) -> None:
    act = Guardian._act

    def tired(self: Guardian, trade: Any, naked: Any) -> None:
        if naked.tries < TRIES_MAX or not self._kill.engaged():
            act(self, trade, naked)

    change(stack, Guardian, "_act", tired)


@saboteur
def guard_backs_off_at_once(stack: ExitStack) -> None:
    plan = Guardian._plan

    def resigned(self: Guardian, naked: Any) -> None:
        plan(self, naked)
        naked.wait_s = AGAIN_S_MAX
        naked.due_ns = naked.acted_ns + AGAIN_S_MAX * self._second_ns

    change(stack, Guardian, "_plan", resigned)


@saboteur
def sleeps_unnoticed(stack: ExitStack) -> None:
    begin = Timekeeper.begin_step
    change(stack, Timekeeper, "begin_step", lambda self: begin(self) * 0)


@saboteur
def wakes_without_comparing(stack: ExitStack) -> None:
    change(stack, Auditor, "begin_anew", lambda self: None)


@saboteur
def unresolved_without_a_price_is_not_counted(stack: ExitStack) -> None:
    unpriced = decide._unpriced
    change(stack, decide, "_unpriced", lambda desk: unpriced(desk) if desk.unpriced else None)


@saboteur
def reversal_on_top(stack: ExitStack) -> None:
    change(stack, loop, "obstacle", lambda desk, wanted: "" if desk.orders.idle else "an order is under way")


@saboteur
def trades_while_degraded(stack: ExitStack) -> None:
    change(stack, loop.TradingSession, "_note_trouble", lambda self: None)
