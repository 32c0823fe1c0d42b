"""Orders whose outcome is not known: given up after the grace time, and adopted when they turn up later."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import AcknowledgeBreaker, FlattenAll
from engine.domain.error import RetryLater
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Bar
from engine.domain.order import OrderStatus
from engine.ports import SubmitOutcome
from engine.session.dispatch import GRACE_S
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, FaultyRig, make_faulty
from tests.unit.session.rig import bar

START = Decimal("1.10000")
STEPS_OF_GRACE = 2  # the step that first finds the order without a trace, and the one a minute later
GONE = f"not in the broker's log {GRACE_S} s after it was sent"


def quiet(count: int = 40, instrument: str = "EUR_USD") -> list[Bar]:
    return [bar(index, START, instrument=instrument) for index in range(count)]


def lost(folder: Path, signals: dict[int, int], outcome: SubmitOutcome, speed: float | None = None) -> FaultyRig:
    """A session that has just sent its first order, of which it does not know the outcome."""
    rig = make_faulty(folder, [quiet()], signals, venue_speed=speed)
    rig.broker.outcomes[1] = outcome
    while not rig.broker.submitted:
        rig.step()
    return rig


def steps(rig: FaultyRig, count: int) -> None:
    for _ in range(count):
        rig.step()


def statuses(rig: FaultyRig) -> list[tuple[str, str]]:
    return rig.rows("SELECT status, detail FROM orders ORDER BY seq")


def test_an_order_that_never_arrived_expires_after_the_grace_and_the_next_signal_trades(tmp_path: Path) -> None:
    rig = lost(tmp_path, {8: 1, 12: 1}, LOST_ORDER)
    desk, first = rig.session.desk, rig.broker.submitted[0]
    steps(rig, STEPS_OF_GRACE - 1)
    assert [order.status for order in desk.orders.open_orders] == [OrderStatus.UNRESOLVED]
    assert desk.orders.reserved_units("EUR_USD") == abs(first.units)
    rig.step()
    assert desk.orders.idle and desk.orders.reserved_units("EUR_USD") == 0
    assert statuses(rig) == [("EXPIRED", GONE)]
    told = rig.rows("SELECT json_extract(payload, '$.status') FROM events WHERE kind = 'OrderUpdated' ORDER BY seq")
    assert told == [("UNRESOLVED",), ("EXPIRED",)]
    rig.play()
    assert [order.client_order_id for order in rig.broker.submitted].count(first.client_order_id) == 1
    assert [status for status, _ in statuses(rig)] == ["EXPIRED", "FILLED"]
    assert desk.trading_state is TradingState.ACTIVE and desk.panel.trips == ()
    assert desk.ledger.balance_home == rig.broker.inner.account().balance_home


@pytest.mark.parametrize(("speed", "minutes"), [(1.0, 1), (1.01, 2), (3.0, 3), (0.5, 1), (5.5, 6)])
def test_the_grace_is_of_real_time_whatever_the_pace_of_the_venue(tmp_path: Path, speed: float, minutes: int) -> None:
    rig = lost(tmp_path, {8: 1}, LOST_ORDER, speed)
    steps(rig, minutes)
    assert [order.status for order in rig.session.desk.orders.open_orders] == [OrderStatus.UNRESOLVED]
    rig.step()
    assert statuses(rig) == [("EXPIRED", GONE)]


def test_an_order_stays_unresolved_while_the_log_cannot_be_read(tmp_path: Path) -> None:
    rig = lost(tmp_path, {8: 1}, LOST_ORDER)
    rig.broker.unreadable = "the broker cannot be reached"
    steps(rig, 6)
    desk = rig.session.desk
    assert [order.status for order in desk.orders.open_orders] == [OrderStatus.UNRESOLVED]
    assert desk.orders.reserved_units("EUR_USD") == abs(rig.broker.submitted[0].units)
    assert statuses(rig) == [("UNRESOLVED", LOST_ORDER.reason)]
    assert desk.state is SessionState.DEGRADED
    rig.broker.unreadable = ""
    rig.step()
    assert statuses(rig) == [("EXPIRED", GONE)] and desk.state is SessionState.RUNNING


def test_a_log_that_breaks_off_at_the_last_look_decides_nothing(tmp_path: Path) -> None:
    rig = lost(tmp_path, {8: 1}, LOST_ORDER)

    def break_off(afresh: bool) -> None:
        if afresh:
            raise RetryLater("the broker cannot be reached")

    rig.broker.on_read = break_off
    steps(rig, 5)
    assert statuses(rig) == [("UNRESOLVED", LOST_ORDER.reason)]
    assert rig.session.desk.state is SessionState.DEGRADED
    rig.broker.on_read = lambda afresh: None
    rig.step()
    assert statuses(rig) == [("EXPIRED", GONE)]


def test_an_order_is_looked_for_in_a_log_that_was_really_read(tmp_path: Path) -> None:
    """A broker that was not asked knows of nothing: the last look finds the fill that was there all the time."""
    rig = lost(tmp_path, {8: 1}, LOST_ANSWER)
    rig.broker.lazy, rig.broker.log_end = True, None
    asked: list[bool] = []
    rig.broker.on_read = asked.append
    steps(rig, STEPS_OF_GRACE - 1)
    assert statuses(rig)[0][0] == "UNRESOLVED" and True not in asked
    rig.step()
    assert [status for status, _ in statuses(rig)] == ["FILLED"]
    assert asked.count(True) == 1
    desk = rig.session.desk
    assert desk.panel.trips == () and desk.trading_state is TradingState.ACTIVE
    assert desk.ledger.units("EUR_USD") == rig.broker.submitted[0].units
    steps(rig, 3)
    assert asked.count(True) == 1


def test_news_at_the_last_look_puts_the_decision_off(tmp_path: Path) -> None:
    """What came may be the first page of more; the end of the log was not seen."""
    rig = lost(tmp_path, {8: 1}, LOST_ANSWER)
    known = rig.session.desk.ledger.last_transaction_id
    rig.broker.lazy, rig.broker.log_end = True, known + 1
    steps(rig, STEPS_OF_GRACE)
    desk = rig.session.desk
    (order,) = desk.orders.open_orders
    assert desk.ledger.last_transaction_id == known + 1
    assert order.status is OrderStatus.UNRESOLVED and order.broker_order_id is not None
    steps(rig, 5)
    assert desk.orders.open_orders == (order,), "the log names the order: it has arrived"
    rig.broker.lazy, rig.broker.log_end = False, None
    rig.step()
    assert [status for status, _ in statuses(rig)] == ["FILLED"] and desk.panel.trips == ()


def expired(folder: Path, signals: dict[int, int]) -> FaultyRig:
    """A session that has given up an order which the broker has filled."""
    rig = lost(folder, signals, LOST_ANSWER)
    steps(rig, STEPS_OF_GRACE)
    assert statuses(rig) == [("EXPIRED", GONE)]
    return rig


def test_a_fill_after_the_grace_is_adopted_and_stops_entries(tmp_path: Path) -> None:
    rig = expired(tmp_path, {8: 1, 14: -1, 18: 1, 24: 1})
    desk, first = rig.session.desk, rig.broker.submitted[0]
    assert desk.ledger.flat and desk.trading_state is TradingState.ACTIVE
    rig.broker.log_end = None
    rig.step()
    assert desk.ledger.units("EUR_USD") == first.units and desk.orders.idle
    assert desk.ledger.balance_home == rig.broker.inner.account().balance_home
    assert [status for status, _ in statuses(rig)] == ["FILLED"]
    assert (desk.trading_state, desk.state_reason) == (TradingState.REDUCING, "breaker late_fill")
    order = f"order {first.client_order_id}"
    assert rig.rows("SELECT breaker, measured, released_ns FROM breakers") == [("late_fill", order, None)]
    rig.play()
    decided = [(one.action.value, {gate.name for gate in one.blocking}) for one in desk.decisions if one.direction]
    assert [action for action, _ in decided] == ["enter", "exit", "denied", "denied"]
    assert all("trading_state" in blocking for _, blocking in decided[1:])
    assert desk.ledger.balance_home == rig.broker.inner.account().balance_home


def test_a_late_fill_stops_the_entries_of_the_very_step_in_which_it_turns_up(tmp_path: Path) -> None:
    """The log that is read after one order may name another, late: the next bar of the same step must not enter."""
    names = ("EUR_USD", "GBP_USD", "AUD_USD")
    rig = make_faulty(tmp_path, [quiet(instrument=name) for name in names], {8: 1, 14: -1})
    rig.broker.outcomes = {1: LOST_ANSWER, 2: LOST_ORDER, 3: LOST_ORDER}
    while len(rig.broker.submitted) < 3:
        rig.step()
    steps(rig, STEPS_OF_GRACE)
    assert [status for status, _ in statuses(rig)] == ["EXPIRED"] * 3
    rig.broker.on_submit = lambda intent: setattr(rig.broker, "log_end", None)
    rig.play()
    assert [order.instrument for order in rig.broker.submitted[3:]] == ["EUR_USD"]
    denied = [one for one in rig.session.desk.decisions if one.direction < 0][1:]
    assert [{gate.name for gate in one.blocking} >= {"trading_state"} for one in denied] == [True, True]


def test_a_late_fill_waits_for_a_person_with_a_reason(tmp_path: Path) -> None:
    rig = expired(tmp_path, {8: 1})
    rig.broker.log_end = None
    rig.step()
    desk = rig.session.desk
    rig.command(AcknowledgeBreaker(command_id="a", breaker="late_fill", reason=" "))
    assert not desk.verdicts[-1].accepted and desk.trading_state is TradingState.REDUCING
    rig.command(AcknowledgeBreaker(command_id="b", breaker="late_fill", reason="looked at the position"))
    assert desk.verdicts[-1].accepted and desk.trading_state is TradingState.ACTIVE
    assert desk.verdicts[-1].detail == "breaker late_fill released"
    assert rig.rows("SELECT breaker, release_reason FROM breakers") == [("late_fill", "looked at the position")]


def test_a_late_cancel_is_recorded_and_stops_nothing(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    rig.broker.outcomes[1] = LOST_ANSWER
    rig.broker.change = lambda intent: replace(intent, price_bound=Decimal("1.00000"))
    while not rig.broker.submitted:
        rig.step()
    steps(rig, STEPS_OF_GRACE)
    rig.broker.log_end = None
    rig.step()
    assert statuses(rig) == [("CANCELED", "BOUNDS_VIOLATION")]
    assert rig.session.desk.panel.trips == () and rig.session.desk.trading_state is TradingState.ACTIVE


def test_a_flatten_ends_when_the_order_it_waited_for_is_given_up(tmp_path: Path) -> None:
    rig = lost(tmp_path, {8: 1}, LOST_ORDER)
    rig.step(FlattenAll(command_id="f"))
    assert rig.session.desk.flattening
    steps(rig, STEPS_OF_GRACE)
    assert rig.session.desk.flattening is None
    assert len(rig.broker.submitted) == 1


def test_a_grace_is_counted_for_each_order_by_itself(tmp_path: Path) -> None:
    pound = [one for index, one in enumerate(quiet(instrument="GBP_USD")) if index != 8]
    rig = make_faulty(tmp_path, [quiet(), pound], {8: 1, 9: 1}, venue_speed=2.0)
    rig.broker.outcomes = {1: LOST_ORDER, 2: LOST_ORDER}
    while len(rig.broker.submitted) < 2:
        rig.step()
    steps(rig, 2)
    assert [order.intent.instrument for order in rig.session.desk.orders.open_orders] == ["GBP_USD"]
    rig.step()
    assert rig.session.desk.orders.idle
