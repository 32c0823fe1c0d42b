"""The machine of test_exposure_machine finds bugs that are planted in the sums, with the examples that CI draws."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from engine.domain.decision import Gate
from engine.execution import OrderBook
from engine.risk import size_rules
from engine.risk.exposure import Range, plus
from engine.risk.size_rules import CurrencyLegRule, MarginRule, NetExposureRule, PositionUnitsRule, PositionValueRule
from engine.session import decide, surroundings
from engine.session.desk import Desk
from tests.unit.session.test_exposure_machine import Exposed

ZERO = Decimal(0)
BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


def bug(plant: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    BUGS[plant.__name__] = plant
    return plant


def judges(patch: pytest.MonkeyPatch, rule: Any, view_of: Callable[[Any], Any]) -> None:
    """Let a rule see its surroundings as they are not."""
    check = rule.check
    patch.setattr(rule, "check", lambda self, intent, view: check(self, intent, view_of(view)))


def looks_at(patch: pytest.MonkeyPatch, end: Callable[[Range], Decimal]) -> None:
    def check(self: NetExposureRule, intent: Any, view: Any) -> Gate:
        after = end(plus(view.others.net_home, view.value_after(intent)))
        return size_rules._share(self.name, after, view.limits.exposure_net_pct_max, view)

    patch.setattr(NetExposureRule, "check", check)


@bug
def reserved_units_are_none(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderBook, "reserved_units", lambda self, instrument: ZERO)


@bug
def unfinished_orders_of_others_are_ignored(patch: pytest.MonkeyPatch) -> None:
    stake = surroundings._stake
    patch.setattr(surroundings, "_stake", lambda desk, name: replace(stake(desk, name), buying=ZERO, selling=ZERO))


@bug
def waiting_orders_of_another_hand_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Desk, "foreign_orders", property(lambda self: (), lambda self, orders: None))


@bug
def unfinished_orders_are_ignored(patch: pytest.MonkeyPatch) -> None:
    reserved_units_are_none(patch)
    unfinished_orders_of_others_are_ignored(patch)


@bug
def second_currency_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def check(self: CurrencyLegRule, intent: Any, view: Any) -> Gate:
        base = view.instrument.base
        after = self._after(base, view.value_after(intent), view)
        return size_rules._share(self.name, after, view.limits.currency_cap_pct(base), view)

    patch.setattr(CurrencyLegRule, "check", check)


@bug
def net_looks_at_the_high_end(patch: pytest.MonkeyPatch) -> None:
    looks_at(patch, lambda span: abs(span[1]))


@bug
def net_looks_at_the_low_end(patch: pytest.MonkeyPatch) -> None:
    looks_at(patch, lambda span: abs(span[0]))


@bug
def margin_of_others_is_ignored(patch: pytest.MonkeyPatch) -> None:
    judges(patch, MarginRule, lambda view: replace(view, others=replace(view.others, margin_home=ZERO)))


@bug
def limits_are_not_replaced(patch: pytest.MonkeyPatch) -> None:
    def change_limits(self: Desk, limits: Any) -> None:
        self.limits_revision += 1

    patch.setattr(Desk, "change_limits", change_limits)


@bug
def units_cap_ignores_what_is_reserved(patch: pytest.MonkeyPatch) -> None:
    judges(patch, PositionUnitsRule, lambda view: replace(view, reserved_units=ZERO))


@bug
def value_cap_ignores_what_is_reserved(patch: pytest.MonkeyPatch) -> None:
    judges(patch, PositionValueRule, lambda view: replace(view, reserved_units=ZERO))


@bug
def positions_under_way_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    risk_view = surroundings.risk_view

    def forgetful(desk: Desk, intent: Any, *rest: Any) -> Any:
        return replace(risk_view(desk, intent, *rest), positions_others=len({*desk.ledger.held} - {intent.instrument}))

    patch.setattr(decide, "risk_view", forgetful)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    as_on_ci = settings(Exposed.TestCase.settings, derandomize=True, database=None, print_blob=False)
    with pytest.raises(AssertionError, match=r"OrderIntent|Preview"):
        run_state_machine_as_test(Exposed, settings=as_on_ci)
