"""Start is recovery: whatever a process left behind, the next one begins with the broker's books, then acts."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.account import Account
from engine.domain.calendar import iso_utc
from engine.domain.command import AcknowledgeBreaker, ClosePosition
from engine.domain.error import HaltTrading, RetryLater
from engine.domain.event import SessionState, TradingState
from engine.domain.order import OrderStatus
from engine.risk.breakers import Trip
from engine.session.dispatch import GRACE_S, record_trip
from engine.store import queries
from tests.unit.session.faulty import LOST_ANSWER
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, bar

START = Decimal("1.10000")
EUR, GBP = "EUR_USD", "GBP_USD"


def house_of(folder: Path, signals: dict[int, int], count: int = 60) -> House:
    return House(
        folder, [[bar(index, START, instrument=name) for index in range(count)] for name in (EUR, GBP)], signals
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = house_of(tmp_path, {8: 1, 20: -1, 30: 1})
    yield made
    made.close()


def decided(house: House) -> list[tuple[str, int]]:
    house.session.commit()
    conn = queries.connect_readonly(house.store.path)
    found = conn.execute("SELECT instrument, bar_ts_ns FROM decisions ORDER BY seq").fetchall()
    conn.close()
    return [(row[0], row[1]) for row in found]


def status(house: House, order_id: str) -> str:
    house.session.commit()
    conn = queries.connect_readonly(house.store.path)
    (found,) = conn.execute("SELECT status FROM orders WHERE client_order_id = ?", (order_id,)).fetchall()
    conn.close()
    return str(found[0])


def test_open_trades_are_taken_up_again_after_a_crash(house: House) -> None:
    house.until_sent(2)
    before = house.session.desk.ledger.open_trades
    assert len(before) == 2
    house.restart()
    assert house.session.desk.ledger.open_trades == before
    assert house.session.desk.foreign_trades() == ()
    house.check()
    house.steps(20)
    house.check()


def test_a_trade_that_was_closed_by_its_stop_meanwhile_is_closed_in_our_books(tmp_path: Path) -> None:
    fall = [bar(index, START if index < 15 else START - Decimal("0.02")) for index in range(60)]
    house = House(tmp_path, [fall], {8: 1})
    house.until_sent()
    house.crash()
    for _ in range(20):  # nobody of ours is there while the market falls
        house.broker.inner.on_frame(house.source.pop())
    house.begin()
    assert house.session.desk.ledger.held == ()
    house.check()
    house.session.commit()
    conn = queries.connect_readonly(house.store.path)
    (trade,) = queries.trades(conn)
    conn.close()
    assert (trade.state, trade.exit_reason) == ("CLOSED", "stop loss")
    house.close()


def test_an_order_whose_answer_was_lost_with_the_process_is_settled_by_the_log(house: House) -> None:
    house.broker.outcomes[1] = LOST_ANSWER
    sent = house.until_sent()
    assert house.session.desk.orders.untraced == (sent.client_order_id,)
    house.broker.log_end = None
    house.restart()
    assert status(house, sent.client_order_id) == OrderStatus.FILLED
    house.check()
    house.steps(3)
    assert [each.client_order_id for each in house.broker.submitted].count(sent.client_order_id) == 1


def test_an_order_that_was_recorded_and_never_sent_is_given_up_and_never_sent(tmp_path: Path) -> None:
    house = house_of(tmp_path, {8: 1})

    class Killed(BaseException):
        """The process ends here."""

    def kill(_: object) -> None:
        raise Killed

    house.broker.on_submit = kill
    with pytest.raises(Killed):
        house.until_sent()
    (sent,) = house.broker.submitted
    house.broker.submitted.clear()
    house.broker.on_submit = lambda intent: None
    house.broker.inner.transactions_since(0)
    house.restart()
    desk = house.session.desk
    assert desk.orders.untraced == (sent.client_order_id,)
    assert desk.orders.reserved_units(sent.instrument) == abs(sent.units)
    assert status(house, sent.client_order_id) == OrderStatus.UNRESOLVED
    house.wait(1)
    house.wait(GRACE_S)
    assert status(house, sent.client_order_id) == OrderStatus.EXPIRED
    assert desk.orders.reserved_units(sent.instrument) == 0
    house.steps(5)
    assert sent.client_order_id not in [each.client_order_id for each in house.broker.submitted]
    house.close()


def test_a_bar_is_decided_on_once_over_a_restart(house: House) -> None:
    house.until_sent(2)
    newest = house.session.desk.bars[EUR][-1]
    house.session.commit()
    house.restart()
    house.steps(2)
    house.session.desk.forget(EUR)  # as if the history had lacked the newest bar, which then comes as a new one
    house.session._on_bar(newest, is_stale=False)
    found = decided(house)
    assert (EUR, newest.open_ts_ns) in found
    assert len(found) == len(set(found))


def test_a_tripped_breaker_stays_tripped_until_a_person_releases_it(tmp_path: Path) -> None:
    fall = [bar(index, START if index < 12 else START - Decimal("0.02")) for index in range(60)]
    house = House(tmp_path, [fall], {8: 1}, limits=replace(LIMITS, daily_loss_pct_max=Decimal("0.1")))
    house.until_sent()
    house.steps(5)
    (trip,) = house.session.desk.panel.trips
    assert trip.breaker == "daily_loss"
    house.restart()
    (kept,) = house.session.desk.panel.trips
    assert (kept.breaker, kept.value, kept.ts_ns) == (trip.breaker, trip.value, trip.ts_ns)
    assert house.session.desk.trading_state is TradingState.REDUCING
    assert house.command(AcknowledgeBreaker(command_id="a", breaker="daily_loss", reason="seen"))[0]
    house.session.commit()
    house.restart()
    assert house.session.desk.panel.trips == ()
    house.close()


def test_the_days_loss_is_measured_from_where_the_day_began(house: House) -> None:
    house.until_sent(2)
    house.steps(3)
    before = house.session.desk.day_start_home
    equity = house.session.desk.equity_home
    assert equity < before
    house.restart()
    assert house.session.desk.day_start_home == house.session.desk.loss_anchor_home == before


def anchors(house: House) -> tuple[Decimal, ...]:
    desk = house.session.desk
    return desk.day_start_home, desk.loss_anchor_home, desk.fall_anchor_home, desk.recorded_peak_home


@pytest.mark.parametrize("amount", [50_000, -50_000])
@pytest.mark.parametrize("is_there", [True, False], ids=["while it runs", "while nobody is there"])
def test_money_paid_in_or_out_is_no_result_after_a_crash_either(house: House, amount: int, is_there: bool) -> None:
    house.until_sent(2)
    house.steps(3)
    lost = house.session.desk.day_pl_home
    before = anchors(house)
    if is_there:
        house.broker.pay(amount)
        house.step()
        house.session.commit()
    house.crash()
    if not is_there:
        house.broker.pay(amount)
    house.begin()
    assert anchors(house) == tuple(each + amount for each in before)
    assert house.session.desk.day_pl_home == lost < 0
    house.restart()
    assert anchors(house) == tuple(each + amount for each in before)
    assert house.session.desk.panel.trips == ()


@pytest.mark.parametrize("amount", [50_000, -50_000])
def test_money_paid_in_or_out_while_a_session_begins_is_no_result(house: House, amount: int) -> None:
    """It comes behind the broker's word of the equity, and before the log is read."""
    house.until_sent(2)
    house.steps(3)
    lost, before = house.session.desk.day_pl_home, anchors(house)
    house.session.commit()
    house.crash()
    account = house.broker.account

    def asked() -> Account:
        told = account()
        house.broker.pay(amount)
        return told

    house.broker.account = asked  # type: ignore[method-assign]
    house.begin()
    assert anchors(house) == tuple(each + amount for each in before)
    assert house.session.desk.day_pl_home == lost < 0
    assert house.session.desk.panel.trips == ()


def test_books_that_differ_from_the_brokers_refuse_the_start(house: House) -> None:
    house.until_sent(2)
    house.session.commit()
    house.crash()
    trade = house.broker.inner.holdings().trades[0]
    house.broker.close_trade(trade.trade_id, trade.instrument)
    house.broker.log_end = house.session.desk.ledger.last_transaction_id
    with pytest.raises((HaltTrading, RetryLater)):
        house.begin()
    house.broker.log_end = None
    house.begin()
    house.check()


def test_new_books_begin_with_what_the_broker_has(house: House) -> None:
    house.until_sent(2)
    held = {trade.trade_id for trade in house.session.desk.ledger.open_trades}
    house.restart(new_books=True)
    assert {trade.trade_id for trade in house.session.desk.foreign_trades()} == held
    house.check()
    house.restart()
    assert {trade.trade_id for trade in house.session.desk.foreign_trades()} == held
    house.check()


def test_new_books_release_no_breaker_and_begin_no_day(tmp_path: Path) -> None:
    """Else a bad day could be begun anew, without a reason, by whoever has just lost."""
    falling = [bar(index, START - max(0, index - 10) * Decimal("0.0005")) for index in range(60)]
    limits = replace(LIMITS, daily_loss_pct_max=Decimal("0.2"), stop_loss_atr=Decimal(50))
    house = House(tmp_path, [falling], {8: 1}, limits=limits)
    while not house.session.desk.panel.trips:
        house.step()
    began = house.session.desk.day_start_home
    (tripped_ns,) = (trip.ts_ns for trip in house.session.desk.panel.trips)
    house.session.commit()
    for new_books in (True, False, True):
        house.restart(new_books=new_books)
        desk = house.session.desk
        assert [trip.breaker for trip in desk.panel.trips] == ["daily_loss"]
        assert desk.trading_state is TradingState.REDUCING
        assert desk.day_start_home == desk.loss_anchor_home == began > desk.equity_home
        assert [trip.ts_ns for trip in desk.panel.trips] == [tripped_ns]
    accepted, _ = house.command(AcknowledgeBreaker(command_id="a", breaker="daily_loss", reason="seen"))
    assert accepted
    released_at = house.session.desk.loss_anchor_home
    house.session.commit()
    with closing(queries.connect_readonly(house.store.path)) as conn:
        (told,) = queries.breaker_trips(conn, house.session.desk.run_id)
    assert (told.tripped_ns, told.release_reason) == (tripped_ns, "seen")
    house.restart(new_books=True)
    assert house.session.desk.panel.trips == ()
    assert house.session.desk.loss_anchor_home == released_at
    house.close()


def test_new_books_bring_no_breaker_back_that_ended_with_its_day(tmp_path: Path) -> None:
    """Books that began on a new day let it go; the books after them must not find it in the record of the old day."""
    falling = [bar(index, START - min(max(0, index - 10), 10) * Decimal("0.0005")) for index in range(60)]
    limits = replace(LIMITS, daily_loss_pct_max=Decimal("0.2"), stop_loss_atr=Decimal(50))
    house = House(tmp_path, [falling], {8: 1}, limits=limits)
    house.steps(22)
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["daily_loss"]
    assert house.command(ClosePosition(command_id="c", instrument=EUR))[0]
    house.session.stop("stopped by the operator")
    house.clock._now_ns = house.session.desk.no_loosening_until_ns
    for _ in range(3):
        house.restart(new_books=True)
        desk = house.session.desk
        assert "daily_loss" not in [trip.breaker for trip in desk.panel.trips]
        assert desk.now_ns >= desk.no_loosening_until_ns
        house.session.commit()
    house.limits = replace(limits, positions_max=9)
    house.restart()
    house.close()


@pytest.mark.parametrize("new_books", [False, True])
def test_another_trading_day_ends_no_day_that_runs(tmp_path: Path, new_books: bool) -> None:
    """Else whoever has almost lost what a day may cost could begin one anew."""
    falling = [bar(index, START - min(max(0, index - 10), 10) * Decimal("0.0005")) for index in range(60)]
    limits = replace(LIMITS, stop_loss_atr=Decimal(50))
    house = House(tmp_path, [falling], {8: 1}, limits=limits)
    house.steps(20)
    began, lost = house.session.desk.loss_anchor_home, house.session.desk.day_pl_home
    assert lost < -200
    house.session.stop("stopped by the operator")
    house.clock._now_ns += 60 * 60 * 10**9
    house.limits = replace(limits, trading_day="09:00 UTC")
    for _ in range(2):
        house.restart(new_books=new_books)
        desk = house.session.desk
        assert (desk.loss_anchor_home, desk.day_start_home, desk.day_pl_home) == (began, began, lost)
        assert iso_utc(desk.day_end_ns) == "2025-01-07T09:00:00Z"
        house.session.commit()
    house.close()


def test_money_paid_in_before_new_books_hides_no_loss(house: House) -> None:
    house.until_sent(2)
    house.steps(3)
    house.session.commit()
    house.crash()
    house.broker.pay(50_000)
    for _ in range(2):
        house.begin(new_books=True)
        desk = house.session.desk
        assert desk.loss_anchor_home == desk.equity_home > 149_000
        house.session.commit()
        house.crash()
    house.begin()
    assert house.session.desk.loss_anchor_home == house.session.desk.equity_home


def test_new_books_are_what_releases_books_that_differ(house: House) -> None:
    desk = house.session.desk
    for name in ("reconciliation", "late_fill"):
        trip = Trip(breaker=name, ts_ns=desk.now_ns, value="", limit="", cause="")
        desk.panel.latch(trip)
        record_trip(house.session._journal, trip)
    house.restart(new_books=True)
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["late_fill"]


def test_a_session_says_where_it_stands_after_a_restart(house: House) -> None:
    house.until_sent(1)
    house.restart()
    house.steps(8)
    assert house.session.desk.state is SessionState.RUNNING
