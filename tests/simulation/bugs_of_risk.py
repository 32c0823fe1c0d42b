"""I am sabotage of rules, breakers and limits: bugs of one line each, to prove that the checkers bite.
I may import the engine and the tools of sabotage.
I must not outlive the run that I was planted for.
My tests are in tests/simulation/test_saboteurs.py.
"""

from contextlib import ExitStack
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine import sizing
from engine.adapters.day_lock import FileDayLocks
from engine.risk.breakers import BrokerErrors, LossStreak, ModelFaults, Reading
from engine.risk.conduct import Conduct
from engine.risk.exposure import Exposure
from engine.risk.order_rules import (
    CoolDownRule,
    NewsRule,
    OrderRateRule,
    RepeatedEntriesRule,
    RolloverRule,
    TradingWindowRule,
    WeekendRule,
)
from engine.risk.size_rules import (
    CurrencyLegRule,
    ExposureRule,
    MarginRule,
    NetExposureRule,
    PositionsRule,
    PositionUnitsRule,
    PositionValueRule,
)
from engine.session import loop, surroundings
from engine.session.beginning import Beginning
from engine.session.commands import CommandDesk
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher
from tests.simulation.sabotage import after_rebuild, change, let_pass, saboteur

ZERO = Decimal(0)
OFF = Reading(measured=ZERO, most=ZERO, unit="")


@saboteur
def loosening_without_words(stack: ExitStack) -> None:
    refuse = CommandDesk._refuse_loosening
    words = "LOOSEN LIMITS"
    change(stack, CommandDesk, "_refuse_loosening", lambda self, looser, confirmation: refuse(self, looser, words))


@saboteur
def loosening_after_a_bad_day(stack: ExitStack) -> None:
    refuse = CommandDesk._refuse_loosening

    def lenient(self: CommandDesk, looser: Any, confirmation: str) -> None:
        until_ns, self._desk.no_loosening_until_ns = self._desk.no_loosening_until_ns, 0
        try:
            refuse(self, looser, confirmation)
        finally:
            self._desk.no_loosening_until_ns = until_ns

    change(stack, CommandDesk, "_refuse_loosening", lenient)


@saboteur
def release_allows_loosening(stack: ExitStack) -> None:
    reanchor = Desk.reanchor

    def forgiving(self: Desk, breaker: str) -> None:
        self.no_loosening_until_ns = 0
        reanchor(self, breaker)

    change(stack, Desk, "reanchor", forgiving)


@saboteur
def curfew_forgotten(stack: ExitStack) -> None:
    change(stack, Beginning, "_keep", lambda self, curfew: None)


@saboteur
def day_is_locked_in_the_database_alone(stack: ExitStack) -> None:
    change(stack, FileDayLocks, "write", lambda self, lock: "")


@saboteur
def new_books_are_a_way_round(stack: ExitStack) -> None:
    keep = Beginning._keep

    def kept(self: Beginning, curfew: Any) -> None:
        if self._parts.past is not None:
            keep(self, curfew)

    change(stack, Beginning, "_keep", kept)


@saboteur
def limits_are_half_applied(stack: ExitStack) -> None:
    def half(self: Desk, limits: Any) -> None:
        self.limits = limits
        self.limits_revision += 1

    change(stack, Desk, "change_limits", half)


@saboteur
def streak_forgotten_at_restart(stack: ExitStack) -> None:
    after_rebuild(stack, lambda desk: desk.conduct.forgive_losses())


@saboteur
def streak_is_not_watched(stack: ExitStack) -> None:
    change(stack, LossStreak, "read", lambda self, view: OFF)


@saboteur
def losses_are_looked_at_when_equity_moves(stack: ExitStack) -> None:
    def moved(self: loop.TradingSession) -> None:
        self._note_trouble()
        if self._days.mark():
            self._watch()

    change(stack, loop.TradingSession, "_look_again", moved)


@saboteur
def model_faults_are_not_watched(stack: ExitStack) -> None:
    change(stack, ModelFaults, "read", lambda self, view: OFF)


@saboteur
def broker_errors_are_not_watched(stack: ExitStack) -> None:
    change(stack, BrokerErrors, "read", lambda self, view: OFF)


@saboteur
def lock_forgotten(stack: ExitStack) -> None:
    lock_of = Desk.lock_of

    def forgetful(self: Desk, instrument: str) -> str:
        cause = lock_of(self, instrument)
        return "" if cause.endswith("before the restart") else cause

    change(stack, Desk, "lock_of", forgetful)


@saboteur
def lock_is_of_orders_sent_alone(stack: ExitStack) -> None:
    change(stack, Dispatcher, "lock_repeated", lambda self: None)


@saboteur
def repeats_ignored(stack: ExitStack) -> None:
    let_pass(stack, RepeatedEntriesRule)


@saboteur
def cool_down_ignored(stack: ExitStack) -> None:
    let_pass(stack, CoolDownRule)


@saboteur
def cool_down_forgotten_at_restart(stack: ExitStack) -> None:
    after_rebuild(stack, lambda desk: desk.conduct._lost_ns.clear())


@saboteur
def rate_ignored(stack: ExitStack) -> None:
    let_pass(stack, OrderRateRule)


@saboteur
def rate_forgotten_at_restart(stack: ExitStack) -> None:
    after_rebuild(stack, lambda desk: desk.conduct._sent_ns.clear())


@saboteur
def rate_counts_entries_alone(stack: ExitStack) -> None:
    ordered = Conduct.ordered

    def choosy(self: Conduct, intent: Any, *rest: Any) -> None:
        ordered(self, intent, *rest)
        if intent.reduce_only:
            self._sent_ns.pop()

    change(stack, Conduct, "ordered", choosy)


@saboteur
def hours_ignored(stack: ExitStack) -> None:
    let_pass(stack, TradingWindowRule)


@saboteur
def weekend_ignored(stack: ExitStack) -> None:
    let_pass(stack, WeekendRule)


@saboteur
def rollover_ignored(stack: ExitStack) -> None:
    let_pass(stack, RolloverRule)


@saboteur
def news_ignored(stack: ExitStack) -> None:
    let_pass(stack, NewsRule)


@saboteur
def gross_not_counted(stack: ExitStack) -> None:
    let_pass(stack, ExposureRule)


@saboteur
def net_not_counted(stack: ExitStack) -> None:
    let_pass(stack, NetExposureRule)


@saboteur
def margin_not_counted(stack: ExitStack) -> None:
    let_pass(stack, MarginRule)


@saboteur
def legs_not_counted(stack: ExitStack) -> None:
    let_pass(stack, CurrencyLegRule)


@saboteur
def positions_not_counted(stack: ExitStack) -> None:
    let_pass(stack, PositionsRule)


@saboteur
def units_not_counted(stack: ExitStack) -> None:
    let_pass(stack, PositionUnitsRule)
    change(stack, sizing, "_units_cap", lambda instrument, limits: instrument.units_max)


@saboteur
def value_not_counted(stack: ExitStack) -> None:
    let_pass(stack, PositionValueRule)
    change(stack, sizing, "_value_cap", lambda quote, equity_home, limits: Decimal(10**9))


@saboteur
def others_not_counted(stack: ExitStack) -> None:
    change(stack, surroundings, "_exposure_of", lambda desk, names: Exposure())


@saboteur
def unfinished_orders_not_counted(stack: ExitStack) -> None:
    stake = surroundings._stake
    change(stack, surroundings, "_stake", lambda desk, name: replace(stake(desk, name), buying=ZERO, selling=ZERO))


@saboteur
def reverse_in_one_order(stack: ExitStack) -> None:
    send = loop.TradingSession._send

    def at_once(self: loop.TradingSession, wanted: Any) -> None:
        if wanted.closing is not None:
            whole = replace(wanted.intent, units=wanted.intent.units + wanted.closing.units)
            wanted = replace(wanted, intent=whole, closing=None)
        send(self, wanted)

    change(stack, loop.TradingSession, "_send", at_once)


@saboteur
def entry_before_the_close_is_known(stack: ExitStack) -> None:
    change(stack, loop, "obstacle", lambda desk, wanted: "")
