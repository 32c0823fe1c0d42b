"""Time: a machine whose clock is set ages nothing, and one that has slept begins as after a restart."""

import dataclasses
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from engine.adapters.clock import SystemClock
from engine.domain.account import Holdings
from engine.domain.command import ClaimTrade, ClosePosition, FlattenAll
from engine.domain.error import RetryLater
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Bar
from engine.domain.order import OrderStatus
from engine.ports import Wake
from engine.session.audit import RECONCILIATION
from engine.session.dispatch import GRACE_S
from engine.session.protection import PATIENCE_S
from engine.session.timekeeping import GAP_S_MAX, Timekeeper
from tests.unit.session.faulty import LOST_ORDER, FaultyMarketData
from tests.unit.session.kept import House, KeptBroker
from tests.unit.session.rig import LOOKBACK, MINUTE_NS, MONDAY_NS, bar

START = Decimal("1.10000")
EUR, GBP = "EUR_USD", "GBP_USD"
NS = 10**9
DAY_NS = 86_400 * NS


class Machine(SystemClock):
    """The real clock on a machine of the test's: what passes by itself, and what the machine's owner sets."""

    def __init__(self, start_ns: int) -> None:
        self.passed_ns = 0
        self.set_ns = start_ns
        super().__init__(lambda: self.set_ns + self.passed_ns, lambda: self.passed_ns)

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        self.passed_ns += max(deadline_ns - self.now_ns(), 0)


def house_of(folder: Path, signals: dict[int, int]) -> House:
    bars = [[bar(index, START, instrument=name) for index in range(120)] for name in (EUR, GBP)]
    return House(folder, bars, signals, also=(GBP,), clock=Machine)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = house_of(tmp_path, {8: 1, 20: -1, 21: -1, 22: -1, 40: -1})
    yield made
    made.close()


def machine(house: House) -> Machine:
    assert isinstance(house.clock, Machine)
    return house.clock


def sleep(house: House, seconds: int) -> None:
    """Let the machine sleep, and the process take its next step when it wakes."""
    machine(house).wait_until(house.clock.now_ns() + seconds * NS, Event())
    house.session.step()


def events(house: House, kind: str) -> int:
    return int(house.rows("SELECT count(*) FROM events WHERE kind = ?", kind)[0][0])


def awake(house: House) -> None:
    """Play until a trade is open, a moment after a frame."""
    house.until_sent()
    house.wait(0.5)
    assert house.session.desk.state is SessionState.RUNNING


def strip(house: House) -> None:
    (stop,) = [order for order in house.broker.inner.holdings().orders if order.kind == "STOP_LOSS"]
    house.broker.cancel_by_hand(stop.order_id)


def unreadable(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def holdings(self: KeptBroker) -> Holdings:
        if text:
            raise RetryLater(text)
        return self.inner.holdings()

    monkeypatch.setattr(KeptBroker, "holdings", holdings)


def test_a_machine_that_slept_begins_as_after_a_restart(house: House) -> None:
    awake(house)
    before = len(house.broker.submitted)
    compared = events(house, "Reconciled")
    while house.clock.now_ns() < house.source.start_ns + 12 * 60 * NS:
        house.step()
    sleep(house, 600)  # the model wanted to turn meanwhile, three times
    desk = house.session.desk
    assert house.rows("SELECT json_extract(payload, '$.seconds') FROM events WHERE kind = 'Interrupted'") == [(600,)]
    assert (events(house, "Reconciled"), events(house, "WarmedUp")) == (compared + 1, 2)
    assert desk.state is SessionState.RUNNING and desk.reason == ""
    assert len(desk.windows[EUR]) == LOOKBACK
    house.step()
    history = house.market.history(EUR, LOOKBACK)
    assert desk.windows[EUR].close_ts_ns == [each.close_ts_ns for each in history]
    assert len(house.broker.submitted) == before
    house.until_sent(before + 1)  # and it goes on: at bar 40 the model turns again
    house.check()


def test_bars_that_came_meanwhile_are_not_traded_on_even_when_they_arrive_late(house: House) -> None:
    awake(house)
    before = len(house.broker.submitted)
    house.market.outage = "no network yet"
    house.market.no_history = {EUR: "no network yet"}
    while house.clock.now_ns() < house.source.start_ns + 13 * 60 * NS:
        house.wait(30)
    sleep(house, 600)
    house.wait(20)
    assert house.session.desk.state is SessionState.WARMING_UP
    house.market.outage, house.market.no_history = "", {}
    house.wait(5)
    assert house.session.desk.state is SessionState.RUNNING
    house.steps(3)
    assert len(house.broker.submitted) == before
    house.check()


@pytest.mark.parametrize("compared_late", [False, True])
def test_a_bar_that_the_history_lacks_is_kept_and_not_traded_on(
    house: House, monkeypatch: pytest.MonkeyPatch, *, compared_late: bool
) -> None:
    awake(house)
    before = len(house.broker.submitted)
    honest, asked = FaultyMarketData.history, []

    def lagging(self: FaultyMarketData, name: str, count: int) -> Sequence[Bar]:
        asked.append(name)
        return honest(self, name, count + 1)[:-1]

    monkeypatch.setattr(FaultyMarketData, "history", lagging)
    house.model.signals = {19: -1}
    if compared_late:
        unreadable(monkeypatch, "HTTP 503")
    sleep(house, house.source.start_ns // NS + 15 * 60 - house.clock.now_ns() // NS)  # bar 19 has just closed
    if compared_late:
        unreadable(monkeypatch, "")
        house.wait(1)
    desk = house.session.desk
    assert desk.state is SessionState.RUNNING
    assert asked == [EUR]  # although the bars that came meanwhile would have been enough
    newest = desk.bars[EUR][-1]
    assert newest.open_ts_ns == MONDAY_NS + 19 * MINUTE_NS
    assert desk.windows[EUR].close_ts_ns[-1] == newest.close_ts_ns
    assert len(house.broker.submitted) == before


def test_the_log_is_read_without_short_cuts(house: House) -> None:
    awake(house)
    read: list[bool] = []
    house.broker.on_read = read.append
    sleep(house, 120)
    assert read[0]


def test_nothing_is_sent_before_the_books_were_compared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    awake(house)
    trade_id = house.broker.by_hand(GBP, 1_000, house.clock.now_ns())
    house.wait(1)
    strip(house)
    asked = (len(house.broker.submitted), len(house.broker.served))
    unreadable(monkeypatch, "HTTP 503")
    sleep(house, 120)
    for _ in range(40):
        house.wait(30)  # a stop is missing, and the model turns at bar 40
    desk = house.session.desk
    assert desk.state is SessionState.WARMING_UP
    assert "stood still for 120 s" in house.session.snapshot(1, 0).reason
    said = "the books were not compared yet since the interruption; try again in a moment"
    assert house.command(ClosePosition(command_id="c", instrument=EUR)) == (False, said)
    assert house.command(ClaimTrade(command_id="t", trade_id=trade_id, choice="close")) == (False, said)
    assert (len(house.broker.submitted), len(house.broker.served)) == asked
    unreadable(monkeypatch, "")
    house.wait(1)
    assert house.session.desk.state is SessionState.RUNNING
    house.wait(PATIENCE_S + 1)
    assert len(house.broker.served) == asked[1] + 1  # the stop
    house.check()


def test_a_log_that_cannot_be_read_keeps_everything_waiting(house: House) -> None:
    awake(house)
    house.broker.unreadable = "HTTP 503"
    sleep(house, 120)
    house.steps(40)
    assert house.session.desk.state is SessionState.WARMING_UP
    assert len(house.broker.submitted) == 1
    house.broker.unreadable = ""
    house.wait(1)
    assert house.session.desk.state is SessionState.RUNNING
    house.check()


def test_a_person_can_flatten_even_before_the_books_were_compared(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake(house)
    unreadable(monkeypatch, "HTTP 503")
    sleep(house, 120)
    accepted, _ = house.command(FlattenAll(command_id="f"))
    assert accepted
    unreadable(monkeypatch, "")
    assert house.broker.inner.holdings().trades == ()
    assert house.session.desk.ledger.held == ()


def test_what_differs_after_a_sleep_stops_entries(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    awake(house)
    monkeypatch.setattr(KeptBroker, "holdings", lambda self: replace(self.inner.holdings(), balance_home=Decimal(5)))
    compared = events(house, "Reconciled")
    sleep(house, 120)
    desk = house.session.desk
    assert [trip.breaker for trip in desk.panel.trips] == [RECONCILIATION]
    assert (desk.state, desk.trading_state) == (SessionState.RUNNING, TradingState.REDUCING)
    assert events(house, "Reconciled") == compared


def test_an_order_of_unknown_outcome_has_its_whole_grace_again(house: House) -> None:
    house.broker.outcomes[1] = LOST_ORDER
    sent = house.until_sent()
    house.wait(1)
    sleep(house, GRACE_S + 60)
    orders = house.session.desk.orders
    assert orders.status_of(sent.client_order_id) is OrderStatus.UNRESOLVED
    house.wait(GRACE_S - 1)
    assert orders.status_of(sent.client_order_id) is OrderStatus.UNRESOLVED
    house.wait(2)
    assert orders.gave_up(sent.client_order_id)


def test_a_trade_without_a_stop_has_its_whole_patience_again(house: House) -> None:
    awake(house)
    strip(house)
    house.wait(0.5)
    sleep(house, 120)
    assert house.broker.served == []
    house.wait(PATIENCE_S + 0.1)
    assert [what for what, _ in house.broker.served] == ["protect"]


@pytest.mark.parametrize(("seconds", "count"), [(GAP_S_MAX, 0), (GAP_S_MAX + 1, 1)])
def test_a_minute_is_no_sleep_and_more_is(house: House, seconds: int, count: int) -> None:
    awake(house)
    sleep(house, seconds)
    assert events(house, "Interrupted") == count


def test_a_simulated_clock_never_sleeps(tmp_path: Path) -> None:
    house = House(tmp_path, [[bar(index, START) for index in range(90)]], {})
    house.steps(2)
    house.wait(600)
    assert events(house, "Interrupted") == 0
    house.close()


def test_a_venue_whose_time_runs_fast_is_measured_in_real_seconds(house: House) -> None:
    awake(house)
    desk = house.session.desk
    fast = dataclasses.replace(desk, config=replace(desk.config, speed=60.0))
    keeper = Timekeeper(fast, house.clock)
    machine(house).passed_ns += 60 * GAP_S_MAX * NS
    assert keeper.begin_step() == 0
    machine(house).passed_ns += 60 * (GAP_S_MAX + 1) * NS
    assert keeper.begin_step() == GAP_S_MAX + 1


@pytest.mark.parametrize("jump_ns", [3_600 * NS, -3_600 * NS, 3 * DAY_NS, -3 * DAY_NS])
def test_a_clock_that_is_set_ages_nothing_and_begins_no_day(house: House, jump_ns: int) -> None:
    house.broker.outcomes[1] = LOST_ORDER
    sent = house.until_sent()
    house.wait(1)
    desk = house.session.desk
    before = (desk.now_ns, desk.day_end_ns, desk.day_start_home, desk.loss_anchor_home, events(house, "DayBegan"))
    machine(house).set_ns += jump_ns
    house.wait(1)
    assert desk.orders.status_of(sent.client_order_id) is OrderStatus.UNRESOLVED
    after = (desk.now_ns - NS, desk.day_end_ns, desk.day_start_home, desk.loss_anchor_home, events(house, "DayBegan"))
    assert after == before
    assert events(house, "Interrupted") == 0
    house.wait(GRACE_S)
    assert desk.orders.gave_up(sent.client_order_id)


def test_a_clock_that_was_set_is_told_once_and_until_it_is_right(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.steps(2)
    assert house.session.snapshot(1, 0).clock_note == ""
    machine(house).set_ns += 2 * NS
    house.wait(1)
    assert house.session.snapshot(1, 0).clock_note == ""
    machine(house).set_ns += 5 * NS
    house.wait(1)
    house.wait(1)
    note = house.session.snapshot(1, 0).clock_note
    assert note.startswith("the machine's clock is 7 s ahead of the session's time, which does not follow it")
    machine(house).set_ns -= 20 * NS
    house.wait(1)
    assert house.session.snapshot(1, 0).clock_note.startswith("the machine's clock is 13 s behind the session's time")
    machine(house).set_ns += 13 * NS
    house.wait(1)
    assert house.session.snapshot(1, 0).clock_note == ""
