"""What stops entries stops the very next one: in the same step, behind a close, after a crash, by a new limit."""

import dataclasses
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest

from engine.domain.command import UpdateRiskLimits
from engine.domain.market import Bar
from engine.domain.order import OrderIntent
from engine.risk.breakers import lock_name
from tests.unit.session.faulty import NOT_SENT, make_faulty
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, bar

START = Decimal("1.10000")
EUR, GBP = "EUR_USD", "GBP_USD"
ROWS = "SELECT reason, status, detail FROM orders ORDER BY seq"


class Died(BaseException):
    """The process ends here."""


def quiet(instrument: str = EUR) -> list[Bar]:
    return [bar(index, START, instrument=instrument) for index in range(40)]


def test_a_loss_that_leaves_equity_as_it_was_trips_before_the_entry_behind_it(tmp_path: Path) -> None:
    """The close of a reversal is filled where the position was valued: nothing moves but the count of losses."""
    limits = dataclasses.replace(LIMITS, loss_streak_max=1)
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: -1}, limits=limits)
    rig.play()
    assert [order.reduce_only for order in rig.broker.submitted] == [False, True]
    (_, _, denied) = rig.rows(ROWS)
    assert denied[:2] == ("signal", "DENIED") and "breaker loss_streak" in denied[2]


def test_an_order_that_failed_counts_before_the_next_instrument_of_the_same_step(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, broker_errors_max=1)
    rig = make_faulty(tmp_path, [quiet(), quiet(GBP)], {8: 1}, limits=limits)
    rig.broker.outcomes[1] = NOT_SENT
    rig.play()
    assert [order.instrument for order in rig.broker.submitted] == [EUR]
    (denied,) = [one for one in rig.session.desk.decisions if one.instrument == GBP and one.direction]
    assert [gate.name for gate in denied.blocking] == ["trading_state"]


def test_an_answer_that_was_none_counts_before_the_next_instrument_of_the_same_step(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, model_faults_max=1)
    rig = make_faulty(tmp_path, [quiet(), quiet(GBP)], {8: 1}, limits=limits)
    rig.session._parts.predictor.fault_at = frozenset({8})  # type: ignore[attr-defined]
    found = rig.session._parts.predictor.predict

    def fails_for_one(window):  # type: ignore[no-untyped-def]
        rig.session._parts.predictor.fault_at = frozenset({8} if window.instrument == EUR else ())  # type: ignore[attr-defined]
        return found(window)

    rig.session._parts.predictor.predict = fails_for_one  # type: ignore[method-assign]
    rig.play()
    assert rig.broker.submitted == []


def test_an_instrument_is_locked_although_the_process_died_while_its_last_entry_was_sent(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1, 14: 1}, limits=dataclasses.replace(LIMITS, repeated_entries_max=1))

    def die(intent: OrderIntent) -> None:
        raise Died

    house.broker.on_submit = die
    with pytest.raises(Died):
        house.until_sent()
    house.broker.on_submit = lambda intent: None
    house.restart()
    assert house.session.desk.lock_of(EUR)
    trip = house.session.desk.panel.trip_of(lock_name(EUR))
    house.restart()
    assert trip and house.session.desk.panel.trip_of(lock_name(EUR)), "and it stays so"
    house.close()


def test_a_stricter_limit_locks_what_was_entered_too_often_already(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    while not rig.broker.submitted:
        rig.step()
    assert not rig.session.desk.lock_of(EUR)
    limits = dataclasses.replace(LIMITS, repeated_entries_max=1)
    rig.command(UpdateRiskLimits(command_id="a", limits=limits))
    assert rig.session.desk.lock_of(EUR)


def test_a_quote_that_grew_old_while_the_order_before_was_under_way_is_not_entered_on(tmp_path: Path) -> None:
    """Two bars come in one step; the first of them leads to an order that takes its time."""
    rig = make_faulty(tmp_path, [quiet(), quiet(GBP)], {8: 1})
    slow_ns = (int(LIMITS.quote_age_s_max) + 1) * 10**9
    rig.broker.on_submit = lambda intent: rig.clock.wait_until(rig.clock.now_ns() + slow_ns, Event())
    rig.play()
    assert [order.instrument for order in rig.broker.submitted] == [EUR]
    (denied,) = [one for one in rig.session.desk.decisions if one.instrument == GBP and one.direction]
    assert [gate.name for gate in denied.blocking] == ["quote_age"]


def test_a_quote_that_grew_old_while_the_model_thought_is_not_entered_on(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    slow_ns = (int(LIMITS.quote_age_s_max) + 1) * 10**9
    model = rig.session._parts.predictor
    predict = model.predict

    def slowly(window):  # type: ignore[no-untyped-def]
        rig.clock.wait_until(rig.clock.now_ns() + slow_ns, Event())
        return predict(window)

    model.predict = slowly  # type: ignore[method-assign]
    rig.play()
    assert rig.broker.submitted == []
    (denied,) = [one for one in rig.session.desk.decisions if one.direction]
    assert [(gate.name, gate.value) for gate in denied.blocking] == [("quote_age", "11.000 s")]


def test_what_the_guard_reads_in_the_log_counts_before_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard's own requests read the log on after the breakers have looked."""
    limits = dataclasses.replace(LIMITS, daily_loss_pct_max=Decimal("0.1"))
    house = House(tmp_path, [quiet(), quiet(GBP)], {8: 1}, limits=limits)
    guardian = house.session._guardian

    def look() -> None:
        if len(house.session.desk.decisions) == 6 and house.session.desk.ledger.flat:
            house.broker.by_hand(GBP, 1_500_000, house.session.desk.now_ns)
            guardian._look_at_the_log()

    monkeypatch.setattr(guardian, "look", look)
    house.steps(12)
    (denied,) = [one for one in house.session.desk.decisions if one.instrument == EUR and one.direction]
    assert denied.equity_home <= Decimal("99900")
    (state,) = [gate for gate in denied.blocking if gate.name == "trading_state"]
    assert "daily_loss" in state.value
    house.close()
