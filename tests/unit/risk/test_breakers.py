"""Breakers trip at their limit, once, and stay tripped until a person releases them."""

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.limits import RiskLimits
from engine.risk.breakers import (
    DEFAULT_BREAKERS,
    AccountView,
    BreakerPanel,
    DailyLoss,
    Reading,
    SessionDrawdown,
    Trip,
    lock_name,
)

LIMITS = RiskLimits(daily_loss_pct_max=Decimal(3), drawdown_pct_max=Decimal(10))
CALM = AccountView(
    ts_ns=7,
    equity_home=Decimal(10_000),
    day_start_home=Decimal(10_000),
    peak_home=Decimal(10_000),
    limits=LIMITS,
)


def account(equity: str, day_start: str = "10000", peak: str = "10000", ts_ns: int = 7) -> AccountView:
    return replace(
        CALM,
        ts_ns=ts_ns,
        equity_home=Decimal(equity),
        day_start_home=Decimal(day_start),
        peak_home=Decimal(peak),
    )


@pytest.mark.parametrize(
    ("equity", "day_start", "over"),
    [
        ("9700.01", "10000", False),
        ("9700", "10000", True),
        ("9699.99", "10000", True),
        ("10000", "10000", False),
        ("10500", "10000", False),
        ("9700", "9900", False),
        ("9602.99", "9900", True),
        ("-50", "10000", True),
    ],
)
def test_daily_loss_trips_at_its_share_of_the_days_first_equity(equity: str, day_start: str, over: bool) -> None:
    assert DailyLoss().read(account(equity, day_start=day_start)).over is over


@pytest.mark.parametrize(
    ("equity", "peak", "over"),
    [
        ("10800.01", "12000", False),
        ("10800", "12000", True),
        ("10799.99", "12000", True),
        ("12000", "12000", False),
        ("9000.01", "10000", False),
        ("9000", "10000", True),
    ],
)
def test_drawdown_trips_at_its_share_of_the_highest_equity(equity: str, peak: str, over: bool) -> None:
    assert SessionDrawdown().read(account(equity, day_start=equity, peak=peak)).over is over


def test_reading_tells_value_and_limit() -> None:
    loss = DailyLoss().read(account("9850"))
    assert (loss.measured, loss.most, loss.value, loss.limit, loss.used_pct) == (Decimal("1.5"), 3, "1.50 %", "3 %", 50)
    fall = SessionDrawdown().read(account("9850", peak="19700"))
    assert (fall.measured, fall.most, fall.used_pct) == (50, 10, 500)


def test_gain_reads_as_zero_and_not_as_a_negative_loss() -> None:
    assert DailyLoss().read(account("11000")).measured == 0
    assert SessionDrawdown().read(account("11000")).measured == 0


def test_limit_of_a_hundred_percent_trips_when_nothing_is_left() -> None:
    total = RiskLimits(daily_loss_pct_max=Decimal(100), drawdown_pct_max=Decimal(100))
    panel = BreakerPanel()
    assert panel.update(replace(account("0.01"), limits=total)) == ()
    assert {trip.breaker for trip in panel.update(replace(account("0"), limits=total))} == {"daily_loss", "drawdown"}


@pytest.mark.parametrize("start", ["0", "-100"])
def test_account_without_equity_is_never_calm(start: str) -> None:
    assert BreakerPanel().update(account("-5000", day_start=start, peak=start)) != ()


def test_default_panel_watches_these_and_releases_the_daily_ones_at_a_new_day() -> None:
    assert [(breaker.name, breaker.daily) for breaker in DEFAULT_BREAKERS] == [
        ("daily_loss", True),
        ("drawdown", False),
        ("loss_streak", True),
        ("model_faults", False),
        ("data_age", False),
        ("broker_errors", False),
    ]


@pytest.mark.parametrize(
    ("measured", "unit", "said"),
    [
        ("19.491570869", "s", "19.4 s"),
        ("299.99", "s", "299.9 s"),
        ("20", "s", "20 s"),
        ("0.04", "s", "0 s"),
        ("300.0", "s", "300 s"),
        ("3.0", "trades", "3 trades"),
        ("1", "error", "1 error"),
        ("1.234", "%", "1.23 %"),
    ],
)
def test_a_value_is_told_with_no_more_digits_than_say_something(measured: str, unit: str, said: str) -> None:
    assert Reading(measured=Decimal(measured), most=Decimal(300), unit=unit).value == said


COUNTING = [
    # breaker, its limit and value, just under, at and over it, and how a person reads the last two
    ("loss_streak", "loss_streak_max", 4, "losses_in_row", 3, 4, 5, "4 trades"),
    ("model_faults", "model_faults_max", 2, "model_faults", 1, 2, 3, "2 faults"),
    ("broker_errors", "broker_errors_max", 5, "errors", 4, 5, 6, "5 errors"),
    ("loss_streak", "loss_streak_max", 1, "losses_in_row", 0, 1, 2, "1 trade"),
    ("model_faults", "model_faults_max", 1, "model_faults", 0, 1, 2, "1 fault"),
    ("broker_errors", "broker_errors_max", 1, "errors", 0, 1, 2, "1 error"),
    ("data_age", "data_age_s_max", Decimal(60), "data_age_s", "59.999", "60", "60.001", "60 s"),
]


@pytest.mark.parametrize(("breaker", "limit", "most", "field", "under", "at", "over", "text"), COUNTING)
def test_counting_breaker_trips_at_its_limit_and_stays_tripped(
    breaker: str, limit: str, most: object, field: str, under: object, at: object, over: object, text: str
) -> None:
    limits = dataclasses.replace(LIMITS, **{limit: most})

    def moment(value: object) -> AccountView:
        given = Decimal(value) if isinstance(value, str) else value
        return replace(CALM, limits=limits, **{field: given})

    for value, tripped in ((0, False), (under, False), (at, True), (over, True)):
        panel = BreakerPanel()
        trips = panel.update(moment(value))
        assert [trip.breaker for trip in trips] == [breaker] * tripped
        assert panel.tripped is tripped
        if value == at:
            assert (trips[0].value, trips[0].limit, trips[0].cause) == (text, text, f"{text} reached {text}")
            assert panel.update(moment(over)) == () == panel.update(moment(0)) == panel.update(CALM)
            assert [trip.breaker for trip in panel.trips] == [breaker]
            assert panel.release(breaker) and not panel.tripped


def test_streak_limit_of_zero_is_off() -> None:
    off = replace(CALM, losses_in_row=1_000)
    assert BreakerPanel().update(off) == ()
    (reading,) = (breaker.read(off) for breaker in DEFAULT_BREAKERS if breaker.name == "loss_streak")
    assert (reading.over, reading.limit, reading.used_pct, reading.value) == (False, "off", 0, "1000 trades")


def test_data_of_a_closed_market_has_no_age() -> None:
    assert BreakerPanel().update(replace(CALM, data_age_s=None)) == ()


figures = st.integers(-300_000, 2_000_000).map(lambda cents: Decimal(cents) / 100)


@given(
    moment=st.builds(
        AccountView,
        ts_ns=st.just(7),
        equity_home=figures,
        day_start_home=figures,
        peak_home=figures,
        limits=st.builds(
            RiskLimits,
            daily_loss_pct_max=st.sampled_from([Decimal("0.1"), Decimal(3), Decimal(100)]),
            drawdown_pct_max=st.sampled_from([Decimal("0.1"), Decimal(10), Decimal(100)]),
            loss_streak_max=st.integers(0, 4),
            model_faults_max=st.integers(1, 4),
            data_age_s_max=st.sampled_from([Decimal(5), Decimal(300)]),
            broker_errors_max=st.integers(1, 4),
        ),
        losses_in_row=st.integers(0, 5),
        model_faults=st.integers(0, 5),
        errors=st.integers(0, 5),
        data_age_s=st.none() | st.sampled_from([Decimal(0), Decimal("0.001"), Decimal(5), Decimal(300), Decimal(400)]),
    )
)
def test_calm_never_hides_a_reading_that_is_over(moment: AccountView) -> None:
    over = [breaker.name for breaker in DEFAULT_BREAKERS if breaker.read(moment).over]
    assert [breaker.name for breaker in DEFAULT_BREAKERS if breaker.calm(moment) and breaker.name in over] == []
    assert [trip.breaker for trip in BreakerPanel().update(moment)] == over


def test_lock_of_one_instrument_stops_no_other_and_is_released_by_its_name() -> None:
    panel = BreakerPanel()
    lock = Trip(
        breaker=lock_name("EUR_USD"), ts_ns=1, value="30 entries long in a row", limit="30", cause="x",
        instrument="EUR_USD",
    )  # fmt: skip
    assert lock.breaker == "repeated_entries EUR_USD"
    assert panel.latch(lock) and not panel.tripped and panel.trips == (lock,)
    assert panel.daily_trips == () and not panel.is_daily(lock.breaker)
    panel.update(account("9600"))
    assert panel.tripped and panel.release("daily_loss") and not panel.tripped
    assert panel.trip_of("repeated_entries USD_JPY") is None and panel.trip_of(lock.breaker) is lock
    assert panel.release(lock.breaker)


def test_only_daily_trips_end_with_the_day() -> None:
    panel = BreakerPanel()
    limits = dataclasses.replace(LIMITS, loss_streak_max=2)
    panel.update(replace(account("8000"), limits=limits, losses_in_row=2, errors=99, model_faults=9))
    assert [trip.breaker for trip in panel.trips] == [
        "daily_loss", "drawdown", "loss_streak", "model_faults", "broker_errors",
    ]  # fmt: skip
    assert [trip.breaker for trip in panel.daily_trips] == ["daily_loss", "loss_streak"]


@pytest.mark.parametrize(("measured", "over"), [("2.99", False), ("3", True), ("3.01", True)])
def test_reading_is_over_at_its_limit(measured: str, over: bool) -> None:
    assert Reading(measured=Decimal(measured), most=Decimal(3), unit="%").over is over


def test_trip_is_reported_once_with_its_moment_and_reading() -> None:
    panel = BreakerPanel()
    (trip,) = panel.update(account("9600", ts_ns=42))
    assert (trip.breaker, trip.ts_ns, trip.value, trip.limit) == ("daily_loss", 42, "4.00 %", "3 %")
    assert trip.cause == "4.00 % reached 3 %"
    assert panel.update(account("9600", ts_ns=43)) == ()
    assert panel.trips == (trip,)
    assert panel.trip_of("daily_loss") is trip
    assert panel.trip_of("drawdown") is None


def test_tripped_breaker_stays_tripped_when_the_loss_is_made_good() -> None:
    panel = BreakerPanel()
    panel.update(account("9600"))
    panel.update(account("12000"))
    panel.update(replace(account("12000"), limits=RiskLimits(daily_loss_pct_max=Decimal(100))))
    assert [trip.breaker for trip in panel.trips] == ["daily_loss"]


def test_both_breakers_trip_side_by_side_and_are_released_one_by_one() -> None:
    panel = BreakerPanel()
    assert {trip.breaker for trip in panel.update(account("8000"))} == {"daily_loss", "drawdown"}
    assert panel.release("daily_loss")
    assert [trip.breaker for trip in panel.trips] == ["drawdown"]


def test_releasing_what_is_not_tripped_says_so() -> None:
    panel = BreakerPanel()
    assert panel.release("daily_loss") is False
    panel.update(account("9600"))
    assert panel.release("no_such_breaker") is False
    assert panel.release("daily_loss") is True
    assert panel.release("daily_loss") is False


def test_what_was_noticed_elsewhere_latches_once_and_is_released_like_any_other() -> None:
    panel = BreakerPanel()
    first = Trip(breaker="late_fill", ts_ns=1, value="order a", limit="none", cause="a came late")
    assert panel.latch(first)
    assert not panel.latch(replace(first, ts_ns=2, value="order b"))
    assert panel.tripped and panel.trips == (first,) and panel.trip_of("late_fill") is first
    assert {trip.breaker for trip in panel.update(account("9600"))} == {"daily_loss"}
    assert panel.trip_of("late_fill") is first
    assert panel.release("late_fill") and not panel.release("late_fill")
    assert [trip.breaker for trip in panel.trips] == ["daily_loss"]
    assert panel.latch(replace(first, ts_ns=3))


def test_a_measuring_breaker_that_was_latched_from_elsewhere_is_not_tripped_twice() -> None:
    panel = BreakerPanel()
    assert panel.latch(Trip(breaker="daily_loss", ts_ns=1, value="x", limit="y", cause="z"))
    assert panel.update(account("9600")) == ()


def test_released_breaker_trips_again_while_the_loss_stands() -> None:
    panel = BreakerPanel()
    panel.update(account("9600"))
    panel.release("daily_loss")
    assert [trip.breaker for trip in panel.update(account("9600"))] == ["daily_loss"]


@given(st.lists(st.integers(0, 2_000_000), min_size=1, max_size=30))
def test_breakers_latch_exactly_from_the_first_moment_over_the_limit(path: list[int]) -> None:
    panel, seen = BreakerPanel(), {"daily_loss": False, "drawdown": False}
    peak = Decimal(10_000)
    for ts_ns, cents in enumerate(path):
        equity = Decimal(cents) / 100
        peak = max(peak, equity)
        fresh = panel.update(account(str(equity), peak=str(peak), ts_ns=ts_ns))
        over = {"daily_loss": equity <= Decimal(9_700), "drawdown": equity <= peak * 9 / 10}
        assert {trip.breaker for trip in fresh} == {name for name in seen if over[name] and not seen[name]}
        seen = {name: seen[name] or over[name] for name in seen}
        assert {trip.breaker for trip in panel.trips} == {name for name in seen if seen[name]}


def test_view_reading_and_trip_are_frozen() -> None:
    panel = BreakerPanel()
    (trip,) = panel.update(account("9600"))
    for value, name in ((CALM, "equity_home"), (trip, "breaker"), (DailyLoss().read(CALM), "measured")):
        with pytest.raises(AttributeError):
            setattr(value, name, Decimal(0))
