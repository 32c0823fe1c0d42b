"""The desk: what counts as the day, the drawdown and the strictest state, and a curve that stays short."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.command import AcknowledgeBreaker, Mode, SessionConfig
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.risk.breakers import Trip
from engine.session.desk import CURVE_POINTS_MAX, Desk, EquityCurve
from tests.unit.made import closes, fill, opens, paid_in, quote
from tests.unit.session.rig import LIMITS, bar, make_rig

NEW_YORK = ZoneInfo("America/New_York")
CAPITAL = Decimal(10_000)


def at(text: str) -> int:
    """Nanoseconds of a moment given in New York's wall time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * NS_PER_S


def desk_at(text: str, units: str = "1000", mode: Mode = Mode.PRACTICE) -> Desk:
    """A desk with an open position of EUR_USD bought (or sold) at 1.10000."""
    desk = Desk(
        config=SessionConfig(mode=mode, instruments=("EUR_USD",)), run_id=3, currency="USD",
        instruments=dict(CATALOGUE), offered=dict(CATALOGUE),
        granularity_ns=60 * NS_PER_S, limits=RiskLimits(), opening_balance_home=CAPITAL, now_ns=at(text),
    )  # fmt: skip
    desk.ledger.apply(paid_in(1, CAPITAL))
    desk.open_books(CAPITAL)
    desk.ledger.apply(fill(2, units, CAPITAL, opened=opens("2", units)))
    return desk


def marked(desk: Desk, text: str, bid: str, ask: str | None = None) -> bool:
    desk.now_ns = at(text)
    desk.quotes["EUR_USD"] = quote(bid, ask or bid, ts_ns=desk.now_ns)
    return desk.mark()


def day_pl(desk: Desk) -> Decimal:
    return desk.equity_home - desk.day_start_home


def test_open_losses_count_before_they_are_booked() -> None:
    desk = desk_at("2025-01-06T10:00")
    assert marked(desk, "2025-01-06T10:01", "1.08000", "1.20000")
    assert desk.equity_home == CAPITAL - 20
    assert desk.ledger.balance_home == CAPITAL
    (daily, drawdown) = (breaker.read(desk.account_view()) for breaker in desk.panel.breakers[:2])
    assert daily.measured == drawdown.measured == Decimal("0.2")


def test_a_short_is_valued_at_the_ask() -> None:
    desk = desk_at("2025-01-06T10:00", "-1000")
    marked(desk, "2025-01-06T10:01", "1.00000", "1.09000")
    assert desk.equity_home == CAPITAL + 10


@pytest.mark.parametrize(
    ("day", "utc_hour"),
    [("2025-01-06", 22), ("2025-03-07", 22), ("2025-03-10", 21), ("2025-07-01", 21), ("2025-10-31", 21),
     ("2025-11-03", 22)],
)  # fmt: skip
def test_the_day_rolls_at_five_in_new_york_whatever_the_season(day: str, utc_hour: int) -> None:
    desk = desk_at(f"{day}T16:00")
    assert desk.day_end_ns == at(f"{day}T17:00")
    assert desk.day_end_ns // NS_PER_S // 3_600 % 24 == utc_hour
    marked(desk, f"{day}T16:30", "1.09000")
    marked(desk, f"{day}T16:59:55", "1.09000")
    assert (day_pl(desk), desk.day_start_home) == (-10, CAPITAL)
    assert marked(desk, f"{day}T17:00", "1.09000")
    assert (day_pl(desk), desk.day_start_home, desk.loss_anchor_home) == (0, CAPITAL - 10, CAPITAL - 10)
    marked(desk, f"{day}T18:00", "1.08000")
    assert day_pl(desk) == -10
    assert desk.drawdown_pct == Decimal("0.2")


def test_a_week_end_with_a_change_of_clocks_has_whole_new_york_days() -> None:
    desk = desk_at("2025-03-07T16:00")
    rolls = []
    for _ in range(4):
        marked(desk, datetime.fromtimestamp(desk.day_end_ns // NS_PER_S, NEW_YORK).strftime("%Y-%m-%dT%H:%M"), "1.1")
        rolls.append(desk.day_end_ns // NS_PER_S)
    assert [(later - earlier) // 3_600 for earlier, later in zip(rolls, rolls[1:], strict=False)] == [23, 24, 24]


def test_a_gap_over_several_days_rolls_once_to_the_day_that_is() -> None:
    desk = desk_at("2025-01-10T16:00")
    marked(desk, "2025-01-10T16:59", "1.10000")
    marked(desk, "2025-01-13T09:00", "1.05000")
    assert desk.day_end_ns == at("2025-01-13T17:00")
    assert day_pl(desk) == -50


def test_mark_says_whether_a_breaker_has_something_to_look_at() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "1.09000")
    assert not marked(desk, "2025-01-06T10:02", "1.09000")
    assert marked(desk, "2025-01-06T10:03", "1.09001")
    assert marked(desk, "2025-01-06T17:00", "1.09001")


def test_drawdown_is_measured_from_the_highest_equity_and_its_worst_is_kept() -> None:
    desk = desk_at("2025-01-06T10:00")
    for minute, bid in enumerate(["1.20000", "1.10000", "1.15000"]):
        marked(desk, f"2025-01-06T10:0{minute + 1}", bid)
    assert desk.peak_home == CAPITAL + 100
    assert desk.max_drawdown_pct == Decimal(100) / (CAPITAL + 100) * 100
    assert desk.drawdown_pct == Decimal(50) / (CAPITAL + 100) * 100


def test_the_strictest_reason_decides_the_trading_state() -> None:
    desk = desk_at("2025-01-06T10:00")
    desk.state = SessionState.RUNNING
    assert (desk.trading_state, desk.state_reason) == (TradingState.ACTIVE, "")
    desk.paused = True
    assert (desk.trading_state, desk.state_reason) == (TradingState.PAUSED, "entries paused by the operator")
    desk.state, desk.reason = SessionState.DEGRADED, "no prices"
    assert (desk.trading_state, desk.state_reason) == (TradingState.REDUCING, "no prices")
    marked(desk, "2025-01-06T10:01", "0.00001")
    desk.panel.update(desk.account_view())
    assert (desk.trading_state, desk.state_reason) == (TradingState.REDUCING, "breaker daily_loss, breaker drawdown")
    desk.halt_reason = "halt by the operator"
    assert (desk.trading_state, desk.state_reason) == (TradingState.HALTED, "halt by the operator")


def test_each_breaker_is_anchored_anew_by_itself() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "1.00000")
    desk.reanchor("daily_loss")
    assert [breaker.read(desk.account_view()).measured for breaker in desk.panel.breakers[:2]] == [0, 1]
    assert day_pl(desk) == -100
    desk.reanchor("drawdown")
    assert [breaker.read(desk.account_view()).measured for breaker in desk.panel.breakers[:2]] == [0, 0]


def test_released_counting_breakers_count_anew_and_the_age_of_data_stays_what_it_is() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "1.10000")
    desk.now_ns += 400 * NS_PER_S
    for _ in range(4):
        desk.conduct.failed(desk.now_ns)
        desk.conduct.answered("EUR_USD", is_fault=True)
    desk.conduct.losses_in_row = 4
    desk.limits = RiskLimits(loss_streak_max=4, model_faults_max=4, broker_errors_max=4)
    assert [trip.breaker for trip in desk.panel.update(desk.account_view())] == [
        "loss_streak", "model_faults", "data_age", "broker_errors",
    ]  # fmt: skip
    for trip in desk.panel.trips:
        desk.panel.release(trip.breaker)
        desk.reanchor(trip.breaker)
    # what is still so trips again: nobody can release a market that is silent
    assert [trip.breaker for trip in desk.panel.update(desk.account_view())] == ["data_age"]
    assert (desk.conduct.losses_in_row, desk.conduct.model_faults, desk.conduct.errors(desk.now_ns)) == (0, 0, 0)


def test_data_have_an_age_only_while_something_can_be_traded() -> None:
    desk = desk_at("2025-01-06T10:00")
    assert desk.data_age_s is None
    marked(desk, "2025-01-06T10:01", "1.10000")
    desk.now_ns += 90 * NS_PER_S
    assert desk.data_age_s == 90
    desk.quotes["EUR_USD"] = quote("1.1", "1.1", ts_ns=desk.now_ns, tradeable=False)
    assert desk.data_age_s is None


def test_a_price_that_stands_still_under_a_position_is_old_however_busy_the_others_are() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "1.10000")
    desk.now_ns += 90 * NS_PER_S
    desk.quotes["GBP_USD"] = quote("1.2", "1.2", "GBP_USD", ts_ns=desk.now_ns)
    assert desk.data_age_s == 90
    desk.ledger.apply(fill(3, "-1000", CAPITAL, closed=(closes("2", "-1000", "1.1", "0"),)))
    assert desk.ledger.flat and desk.data_age_s == 0


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.REPLAY])
def test_a_market_that_is_made_here_is_never_silent(mode: Mode) -> None:
    """Between two bars of four hours, or over a gap of a recording, nothing is missing."""
    desk = desk_at("2025-01-06T10:00", mode=mode)
    marked(desk, "2025-01-06T10:01", "1.10000")
    desk.now_ns += 4 * 3_600 * NS_PER_S
    assert desk.data_age_s is None
    assert desk.panel.update(desk.account_view()) == ()


def test_data_do_not_age_while_the_machine_sleeps() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "1.10000")
    desk.now_ns = desk.woken_ns = at("2025-01-06T15:00")
    assert desk.data_age_s == 0
    desk.now_ns += 90 * NS_PER_S
    assert desk.data_age_s == 90


def test_a_released_breaker_does_not_hide_the_runs_deepest_fall(tmp_path: Path) -> None:
    falling = [bar(i, Decimal("1.10000") - max(0, i - 10) * Decimal("0.0005")) for i in range(40)]
    limits = RiskLimits(
        atr_period=2, stop_loss_atr=Decimal(50), take_profit_atr=Decimal(0), drawdown_pct_max=Decimal("0.3")
    )
    rig = make_rig(tmp_path, [falling], {8: 1}, limits=limits)
    while not rig.session.desk.panel.trips:
        rig.step()
    rig.command(AcknowledgeBreaker(command_id="a", breaker="drawdown", reason="looked"))
    rig.play()
    desk = rig.session.desk
    highest = max(point.equity_home for point in desk.curve.points())
    lowest = min(point.equity_home for point in desk.curve.points())
    assert desk.max_drawdown_pct >= (highest - lowest) / highest * 100


def test_day_profit_resets_and_the_breaker_with_it_while_the_session_trades_over_the_roll(tmp_path: Path) -> None:
    """17:00 New York is 22:00 UTC in January: minute 840 of the rig's Monday."""
    mids = {index: Decimal("1.10000") - Decimal("0.0002") * max(0, index - 832) for index in range(820, 860)}
    rig = make_rig(tmp_path, [[bar(index, mid) for index, mid in mids.items()]], {828: 1}, limits=LIMITS)
    seen = {}
    while rig.session.next_due_ns() is not None:
        rig.step()
        seen[(rig.clock.now_ns() - bar(0, mids[820]).open_ts_ns) // (60 * NS_PER_S)] = rig.session.snapshot(1, 0)
    before, first, later = seen[839], seen[840], seen[845]
    opening = before.opening_balance_home
    assert before.day_pl_home == before.equity_home - opening < 0
    assert first.day_pl_home == first.equity_home - before.equity_home
    assert later.day_pl_home == later.equity_home - before.equity_home
    assert later.day_pl_pct == later.day_pl_home / before.equity_home * 100


def test_order_numbers_count_from_one() -> None:
    desk = desk_at("2025-01-06T10:00")
    assert [desk.next_order_number() for _ in range(3)] == [1, 2, 3]


def test_a_short_curve_keeps_every_point_in_order() -> None:
    curve = EquityCurve()
    for index in range(CURVE_POINTS_MAX - 1):
        curve.add(index, CAPITAL + index, CAPITAL - index)
    points = curve.points()
    assert [point.ts_ns for point in points] == list(range(CURVE_POINTS_MAX - 1))
    assert (points[7].equity_home, points[7].balance_home) == (CAPITAL + 7, CAPITAL - 7)


@pytest.mark.parametrize("count", [CURVE_POINTS_MAX, CURVE_POINTS_MAX + 1, 3 * CURVE_POINTS_MAX, 20_000])
def test_a_long_curve_stays_short_even_and_whole(count: int) -> None:
    curve = EquityCurve()
    for index in range(count):
        curve.add(index, CAPITAL, CAPITAL)
    times = [point.ts_ns for point in curve.points()]
    assert CURVE_POINTS_MAX // 2 <= len(times) <= CURVE_POINTS_MAX
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert times[0] == 0 and min(gaps) > 0
    assert max(gaps) <= 2 * min(gaps)
    assert count - times[-1] <= 2 * max(gaps)


def test_a_published_curve_does_not_change_afterwards() -> None:
    curve = EquityCurve()
    curve.add(1, CAPITAL, CAPITAL)
    points = curve.points()
    curve.add(2, CAPITAL, CAPITAL)
    assert len(points) == 1


@pytest.mark.parametrize("amount", [5_000, -5_000])
def test_money_paid_in_or_out_is_neither_profit_nor_loss(amount: int) -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "0.90000")
    desk.book(paid_in(3, amount, CAPITAL + amount))
    marked(desk, "2025-01-06T10:02", "0.90000")
    assert (desk.equity_home, day_pl(desk)) == (CAPITAL + amount - 200, -200)
    lost_pct = Decimal(200) / (CAPITAL + amount) * 100
    (daily, drawdown) = (breaker.read(desk.account_view()) for breaker in desk.panel.breakers[:2])
    assert daily.measured == drawdown.measured == desk.drawdown_pct == lost_pct


def test_a_day_from_which_more_was_taken_out_than_it_began_with_is_measured_from_what_is_left() -> None:
    desk = desk_at("2025-01-06T10:00")
    marked(desk, "2025-01-06T10:01", "16.10000")
    desk.book(fill(3, -1_000, CAPITAL + 15_000, closed=(closes("2", -1_000, "16.1", 15_000),), pl=15_000))
    desk.mark()
    desk.book(paid_in(4, -CAPITAL, 15_000))
    desk.mark()
    assert (desk.day_start_home, desk.loss_anchor_home, desk.fall_anchor_home) == (15_000, 15_000, 15_000)
    assert desk.panel.update(desk.account_view()) == ()


def test_a_day_that_was_noticed_in_passing_begins_all_the_same(tmp_path: Path) -> None:
    """A command may value what is open after the step has: what the day brings must not be left out."""
    rig = make_rig(tmp_path, [[bar(i, Decimal("1.1")) for i in range(20)]], {})
    desk = rig.session.desk
    desk.panel.latch(Trip(breaker="daily_loss", ts_ns=desk.now_ns, value="", limit="", cause=""))
    desk.now_ns = desk.day_end_ns
    desk.mark()
    assert rig.session._days.mark()
    assert desk.panel.trips == ()
    rig.close()
