"""I am sabotage by strangers: bugs that a tired engineer makes, of days, peaks, prices, pages and work left undone.
I may import the engine and the tools of sabotage.
I must not outlive the run that I was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from unittest import mock

from msgspec.structs import replace

from engine import execution, sizing
from engine.domain.event import BreakerReleased, CommandRefused, FinancingCharged, PeakReached, TradeFound
from engine.domain.order import OrderStatus
from engine.domain.schedule import DayStart
from engine.risk.breakers import DataAge
from engine.risk.conduct import Conduct
from engine.risk.price_rules import PriceCollarRule, SpreadRatioRule, SpreadRule, VolatilityRule
from engine.risk.rules import DEFAULT_RULES
from engine.session import audit, commands, decide, loop, strictness
from engine.session.commands import CommandDesk
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher
from engine.session.protection import Guardian
from engine.session.warmup import WarmUp
from engine.store import projections
from engine.store.journal import SqliteJournal
from tests.simulation.sabotage import Instead, change, forget_event, let_pass, saboteur

ZERO = Decimal(0)


@saboteur
def day_begins_with_every_run(stack: ExitStack) -> None:
    open_books = Desk.open_books

    def anew(self: Desk, equity_home: Decimal) -> None:
        self.day_end_ns = 0
        open_books(self, equity_home)

    change(stack, Desk, "open_books", anew)


@saboteur
def day_rolls_at_utc(stack: ExitStack) -> None:
    next_ns = DayStart.next_ns
    change(stack, DayStart, "next_ns", lambda self, ts_ns: next_ns(replace(self, zone="UTC"), ts_ns))


@saboteur
def day_never_ends(stack: ExitStack) -> None:
    next_ns = DayStart.next_ns
    change(stack, DayStart, "next_ns", lambda self, ts_ns: next_ns(self, ts_ns) + 86_400 * 10**9)


@saboteur
def peak_forgotten_at_restart(stack: ExitStack) -> None:
    forget_event(stack, PeakReached)


@saboteur
def paid_out_is_lost(stack: ExitStack) -> None:
    change(stack, Desk, "_moved", lambda self, anchor_home, amount_home: anchor_home)


@saboteur
def data_age_is_not_watched(stack: ExitStack) -> None:
    change(stack, DataAge, "calm", lambda self, view: True)


@saboteur
def stop_is_ten_times_too_far(stack: ExitStack) -> None:
    distance = vars(sizing)["stop_distance"]
    change(stack, sizing, "stop_distance", lambda *each: 10 * distance(*each))


@saboteur
def bound_is_ten_times_too_far(stack: ExitStack) -> None:
    plan = vars(decide)["plan_entry"]

    def generous(**each: Any) -> Any:
        found, quote = plan(**each), each["quote"]
        if found.price_bound is None:
            return found
        entry = quote.ask if each["direction"] > 0 else quote.bid
        return replace(found, price_bound=entry + 10 * (found.price_bound - entry))

    change(stack, decide, "plan_entry", generous)
    for_all = tuple(each for each in DEFAULT_RULES if each.name == "price_bound")
    let_pass(stack, type(for_all[0]))


@saboteur
def size_is_rounded_up(stack: ExitStack) -> None:
    size = vars(sizing)["_size"]
    change(stack, sizing, "_size", lambda budget, loss, spec, most: size(budget, loss, spec, most) + spec.units_step)


@saboteur
def size_forgets_the_rate(stack: ExitStack) -> None:
    change(stack, sizing, "_rate_at", lambda stop, quote, instrument, currency: Decimal(1))


@saboteur
def guard_sets_its_stop_far_away(stack: ExitStack) -> None:
    distance = Guardian._distance
    change(stack, Guardian, "_distance", lambda self, *each: 20 * distance(self, *each))


@saboteur
def guard_never_closes(stack: ExitStack) -> None:
    act = Guardian._act

    def hopeful(self: Guardian, trade: Any, naked: Any) -> None:
        naked.tries = 0
        act(self, trade, naked)

    change(stack, Guardian, "_act", hopeful)


@saboteur
def sizes_are_not_compared(stack: ExitStack) -> None:
    breaks = vars(audit)["breaks"]

    def blind(balance: Any, ours: Any, holdings: Any) -> Any:
        units = {trade.trade_id: trade.units for trade in ours}
        seen = tuple(replace(each, units=units.get(each.trade_id, each.units)) for each in holdings.trades)
        return breaks(balance, ours, replace(holdings, trades=seen))

    change(stack, audit, "breaks", blind)


@saboteur
def trades_of_the_broker_alone_are_nothing(stack: ExitStack) -> None:
    breaks = vars(audit)["breaks"]

    def blind(balance: Any, ours: Any, holdings: Any) -> Any:
        known = {trade.trade_id for trade in ours}
        return breaks(balance, ours, replace(holdings, trades=tuple(t for t in holdings.trades if t.trade_id in known)))

    change(stack, audit, "breaks", blind)


@saboteur
def unread_holdings_are_no_trouble(stack: ExitStack) -> None:
    note = loop.TradingSession._note_trouble

    def careless(self: loop.TradingSession) -> None:
        self._auditor.trouble = ""
        note(self)

    change(stack, loop.TradingSession, "_note_trouble", careless)


@saboteur
def grace_goes_on_in_sleep(stack: ExitStack) -> None:
    change(stack, Dispatcher, "begin_anew", lambda self: None)


@saboteur
def not_sent_is_unresolved(stack: ExitStack) -> None:
    update = Dispatcher._update

    def unsure(self: Dispatcher, order_id: str, status: OrderStatus, detail: str) -> None:
        update(self, order_id, OrderStatus.UNRESOLVED if status is OrderStatus.REJECTED else status, detail)

    change(stack, Dispatcher, "_update", unsure)


@saboteur
def same_id_is_never_of_another(stack: ExitStack) -> None:
    change(stack, execution.OrderBook, "is_of_another", lambda self, order_id: order_id not in self._known)


@saboteur
def partial_fill_is_taken_for_full(stack: ExitStack) -> None:
    filled = vars(execution)["_filled"]

    def whole(order: Any, fill: Any) -> Any:
        return replace(filled(order, fill), status=OrderStatus.FILLED)

    change(stack, execution, "_filled", whole)


@saboteur
def found_trades_are_not_taken_up_again(stack: ExitStack) -> None:
    forget_event(stack, TradeFound)


@saboteur
def flatten_is_tried_once(stack: ExitStack) -> None:
    flatten = CommandDesk.flatten

    def once(self: CommandDesk) -> None:
        flatten(self)
        self._desk.flattening = None

    change(stack, CommandDesk, "flatten", once)


@saboteur
def stale_bar_is_traded_on(stack: ExitStack) -> None:
    on_bar = loop.TradingSession._on_bar
    change(stack, loop.TradingSession, "_on_bar", lambda self, bar, *, is_stale: on_bar(self, bar, is_stale=False))


@saboteur
def half_a_window_is_enough(stack: ExitStack) -> None:
    def hasty(self: WarmUp) -> bool:
        for name, window in tuple(self._desk.windows.items()):
            if not window.full or name in self._afresh:
                self._fill(name)
        return not self._afresh and any(window.full for window in self._desk.windows.values())

    change(stack, WarmUp, "advance", hasty)


@saboteur
def rule_falls_off_the_list(stack: ExitStack) -> None:
    assess = vars(decide)["assess"]
    rest = tuple(each for each in DEFAULT_RULES if not isinstance(each, VolatilityRule))
    change(stack, decide, "assess", lambda intent, view: assess(intent, view, rest))


@saboteur
def volatility_ignored(stack: ExitStack) -> None:
    let_pass(stack, VolatilityRule)


@saboteur
def wide_spread_allowed(stack: ExitStack) -> None:
    let_pass(stack, SpreadRule)


@saboteur
def unusual_spread_allowed(stack: ExitStack) -> None:
    let_pass(stack, SpreadRatioRule)


@saboteur
def price_far_from_every_bar_allowed(stack: ExitStack) -> None:
    let_pass(stack, PriceCollarRule)


@saboteur
def part_of_a_trade_counts_as_a_trade(stack: ExitStack) -> None:
    filled = Conduct.filled

    def eager(self: Conduct, fill: Any, trades: Any) -> None:
        filled(self, fill, trades)
        if fill.reduced is not None:
            self._closed(fill, fill.reduced, None)

    change(stack, Conduct, "filled", eager)


@saboteur
def old_page_may_act(stack: ExitStack) -> None:
    change(stack, CommandDesk, "_refuse_stale", lambda self, expected_revision: None)


@saboteur
def fixed_limits_change(stack: ExitStack) -> None:
    change(stack, commands, "_refuse_fixed", lambda changed: None)


@saboteur
def release_needs_no_reason(stack: ExitStack) -> None:
    acknowledge = CommandDesk._acknowledge

    def silent(self: CommandDesk, command: Any) -> str:
        return acknowledge(self, replace(command, reason=command.reason.strip() or "none"))

    change(stack, CommandDesk, "_acknowledge", silent)


@saboteur
def resume_does_not_mind_the_file(stack: ExitStack) -> None:
    resume = CommandDesk._resume

    def blind(self: CommandDesk, command: Any) -> str:
        kill = self._kill
        self._kill = Instead(kill, release=lambda: kill.release() and None)
        try:
            return resume(self, command)
        finally:
            self._kill = kill

    change(stack, CommandDesk, "_resume", blind)


@saboteur
def news_go_in_a_bad_day(stack: ExitStack) -> None:
    change(stack, commands, "taken_out", lambda *each: ())


@saboteur
def news_go_with_a_restart(stack: ExitStack) -> None:
    change(stack, strictness, "taken_out", lambda *each: ())


@saboteur
def chain_stands_still(stack: ExitStack) -> None:
    commit = SqliteJournal.commit

    def unlinked(self: SqliteJournal) -> None:
        before = self._chain
        commit(self)
        self._chain = before

    change(stack, SqliteJournal, "commit", unlinked)


def _without(stack: ExitStack, *kinds: type) -> None:
    rest = {each: handler for each, handler in projections._HANDLERS.items() if each not in kinds}
    stack.enter_context(mock.patch.dict(projections._HANDLERS, rest, clear=True))


@saboteur
def releases_are_not_in_the_table(stack: ExitStack) -> None:
    _without(stack, BreakerReleased)


@saboteur
def refusals_are_not_in_the_table(stack: ExitStack) -> None:
    _without(stack, CommandRefused)


@saboteur
def positions_in_the_table_stand_still(stack: ExitStack) -> None:
    change(stack, projections.Projector, "_net", lambda self, instrument, ts_ns: None)


@saboteur
def nights_are_not_in_the_table(stack: ExitStack) -> None:
    _without(stack, FinancingCharged)


@saboteur
def ids_do_not_name_their_run(stack: ExitStack) -> None:
    make = vars(decide)["client_order_id"]
    change(stack, decide, "client_order_id", lambda run_id, *rest: make(1, *rest))
