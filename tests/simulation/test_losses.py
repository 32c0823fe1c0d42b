"""The checker of losses by hand: days, peaks over a restart, and breakers that trip for what there is."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.domain.event import BreakerTripped, DayBegan
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from tests.simulation.judging import Violation
from tests.simulation.losses import PEAK_NS, LossWatch

LIMITS = replace(RiskLimits(), daily_loss_pct_max=Decimal(2), drawdown_pct_max=Decimal(5))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def began(text: str, equity: int) -> DayBegan:
    return DayBegan(ts_ns=at(text), equity_home=Decimal(equity))


def tripped(breaker: str) -> BreakerTripped:
    return BreakerTripped(ts_ns=0, breaker=breaker, value="", limit="")


def test_a_day_begins_with_what_the_run_began_with_while_not_all_is_priced() -> None:
    watch = LossWatch()
    watch.started(Decimal(90))
    watch.compared(Decimal(100))
    watch.compared(Decimal(120))
    watch.paid(Decimal(5), Decimal(95))
    with pytest.raises(Violation, match="owned were 105"):
        watch.day_began(began("2025-01-07T22:00:00", 120), Decimal(120))
    watch.day_began(began("2025-01-07T22:00:00", 105), Decimal(120))


def test_a_day_begins_at_17_00_new_york_with_what_was_owned() -> None:
    watch = LossWatch()
    watch.day_began(began("2025-01-07T12:00:00", 100), Decimal(100))
    assert watch.day_end_ns == at("2025-01-07T22:00:00")
    watch.look(0, Decimal(110))
    watch.paid(Decimal(5), Decimal(105))
    with pytest.raises(Violation, match="before"):
        watch.day_began(began("2025-01-07T21:59:59", 115), Decimal(100))
    with pytest.raises(Violation, match="owned were 115"):
        watch.day_began(began("2025-01-07T22:00:00", 110), Decimal(100))
    watch.day_began(began("2025-01-07T22:00:00", 115), Decimal(100))
    assert watch.anchors["daily_loss"] == 115


@pytest.mark.parametrize(("late_ns", "kept"), [(PEAK_NS, 120), (PEAK_NS - 1, 100)])
def test_a_crash_loses_a_peak_of_the_last_minute_alone(late_ns: int, kept: int) -> None:
    watch = LossWatch()
    watch.look(0, Decimal(100))
    watch.look(10 * PEAK_NS, Decimal(120))
    watch.look(10 * PEAK_NS + late_ns, Decimal(90))
    watch.started(Decimal(90))
    assert watch.anchors["drawdown"] == kept


@pytest.mark.parametrize(("is_fault", "kept"), [(True, 120), (False, 0)])
def test_a_person_ends_a_peak_and_a_fault_does_not(is_fault: bool, kept: int) -> None:
    watch = LossWatch()
    watch.look(0, Decimal(120))
    watch.stopped(is_fault=is_fault)
    watch.started(Decimal(90))
    assert watch.anchors["drawdown"] == kept


def test_what_is_paid_out_is_not_lost_and_a_release_measures_anew() -> None:
    watch = LossWatch()
    watch.look(0, Decimal(100))
    watch.paid(Decimal(-10), Decimal(90))
    assert watch.over(Decimal(86), LIMITS) == set()
    assert watch.over(Decimal(85), LIMITS) == {("drawdown", Decimal(5))}
    watch.released("drawdown", Decimal(85))
    assert watch.over(Decimal(81), LIMITS) == set()


def test_a_breaker_trips_for_a_loss_that_there_is() -> None:
    watch = LossWatch()
    watch.day_began(began("2025-01-07T12:00:00", 1_000), Decimal(1_000))
    watch.glimpse(Decimal(1_040))
    watch.tripped(tripped("daily_loss"), Decimal(980), LIMITS)
    watch.tripped(tripped("drawdown"), Decimal(988), LIMITS)
    for breaker, equity in (("daily_loss", 982), ("drawdown", 990)):
        with pytest.raises(Violation, match="trips"):
            watch.tripped(tripped(breaker), Decimal(equity), LIMITS)


def test_limits_are_not_moved_away_from_a_loss() -> None:
    watch = LossWatch()
    watch.look(0, Decimal(100))
    watch.limits_moved(Decimal(96), LIMITS, ())
    watch.limits_moved(Decimal(94), LIMITS, ("drawdown",))
    with pytest.raises(Violation, match="drawdown"):
        watch.limits_moved(Decimal(94), LIMITS, ())
