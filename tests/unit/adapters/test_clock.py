"""Market time lands on its deadlines, whatever the pace, and stops short of one when woken."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.clock import GAP_S_MAX, PacedClock, SystemClock, VenueClock, monotonic_s, steady_ns, wall_ns
from engine.domain.market import NS_PER_S

START_NS = 1_700_000_000 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S


class RecordingWake:
    """A Wake that answers at once and notes for how long it was asked to wait."""

    def __init__(self, woken: bool = False) -> None:
        self.woken = woken
        self.asked_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout)
        return self.woken

    def is_set(self) -> bool:
        return self.woken


def test_clock_begins_at_its_start() -> None:
    assert PacedClock(START_NS, 1.0).now_ns() == START_NS


@pytest.mark.parametrize("speed", [None, 0.1, 1.0, 60.0, 86_400.0])
def test_undisturbed_wait_lands_exactly_on_the_deadline(speed: float | None) -> None:
    clock, wake = PacedClock(START_NS, speed), RecordingWake()
    for deadline_ns in (START_NS + 1, START_NS + 7 * NS_PER_S, START_NS + 3 * DAY_NS + 123_456_789):
        clock.wait_until(deadline_ns, wake)
        assert clock.now_ns() == deadline_ns


@pytest.mark.parametrize("speed", [None, 60.0])
@pytest.mark.parametrize("back_ns", [0, 1, DAY_NS])
def test_time_never_goes_back_and_does_not_wait_for_the_past(speed: float | None, back_ns: int) -> None:
    clock, wake = PacedClock(START_NS, speed), RecordingWake()
    clock.wait_until(START_NS - back_ns, wake)
    assert clock.now_ns() == START_NS
    assert wake.asked_s == []


def test_full_speed_never_waits_nor_asks_the_wake() -> None:
    wake = RecordingWake(woken=True)
    clock = PacedClock(START_NS, None)
    clock.wait_until(START_NS + DAY_NS, wake)
    assert (clock.now_ns(), wake.asked_s) == (START_NS + DAY_NS, [])


@pytest.mark.parametrize(
    ("speed", "span_s", "pause_s"), [(1.0, 1, 1.0), (60.0, 60, 1.0), (10.0, 5, 0.5), (1.0, 5, 5.0), (0.5, 60, 120.0)]
)
def test_pause_is_the_span_divided_by_the_speed(speed: float, span_s: int, pause_s: float) -> None:
    wake = RecordingWake()
    PacedClock(START_NS, speed).wait_until(START_NS + span_s * NS_PER_S, wake)
    assert wake.asked_s == [pytest.approx(pause_s)]


def test_closed_market_is_not_waited_for() -> None:
    wake = RecordingWake()
    clock = PacedClock(START_NS, 1.0)
    clock.wait_until(START_NS + 2 * DAY_NS, wake)
    assert wake.asked_s == [GAP_S_MAX]
    assert clock.now_ns() == START_NS + 2 * DAY_NS


def test_wait_of_a_slow_bar_is_not_taken_for_a_closed_market() -> None:
    wake = RecordingWake()
    PacedClock(START_NS, 1.0, 3 * 3_600 * NS_PER_S).wait_until(START_NS + 3_600 * NS_PER_S, wake)
    assert wake.asked_s == [3_600.0]


@given(span_ns=st.integers(1, 30 * DAY_NS), speed=st.floats(0.1, 86_400.0))
def test_woken_clock_stops_before_the_deadline_and_then_still_lands_on_it(span_ns: int, speed: float) -> None:
    clock = PacedClock(START_NS, speed)
    clock.wait_until(START_NS + span_ns, RecordingWake(woken=True))
    assert START_NS <= clock.now_ns() < START_NS + span_ns
    clock.wait_until(START_NS + span_ns, RecordingWake())
    assert clock.now_ns() == START_NS + span_ns


def test_real_event_that_is_set_ends_the_wait_at_once() -> None:
    wake = threading.Event()
    wake.set()
    clock = PacedClock(START_NS, 0.1, 2 * DAY_NS)
    clock.wait_until(START_NS + DAY_NS, wake)
    assert START_NS <= clock.now_ns() < START_NS + DAY_NS


def test_monotonic_clock_does_not_go_back_and_wall_clock_counts_nanoseconds() -> None:
    first = monotonic_s()
    assert monotonic_s() >= first
    assert wall_ns() > 1_600_000_000 * NS_PER_S


class Sources:
    """The clocks of a machine, set by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = START_NS, 77 * NS_PER_S


def test_the_worlds_time_is_counted_on_from_where_the_wall_clock_was() -> None:
    now = Sources()
    clock = SystemClock(lambda: now.wall, lambda: now.steady)
    assert (clock.now_ns(), clock.drift_ns(), clock.is_simulated) == (START_NS, 0, False)
    now.steady += 5
    now.wall += 5
    assert (clock.now_ns(), clock.drift_ns()) == (START_NS + 5, 0)


@pytest.mark.parametrize("jump_ns", [DAY_NS, -DAY_NS])
def test_a_wall_clock_that_is_set_is_not_followed_and_told(jump_ns: int) -> None:
    now = Sources()
    clock = SystemClock(lambda: now.wall, lambda: now.steady)
    now.wall += jump_ns
    assert (clock.now_ns(), clock.drift_ns()) == (START_NS, jump_ns)
    wake = RecordingWake()
    clock.wait_until(START_NS + NS_PER_S, wake)
    clock.wait_until(START_NS - NS_PER_S, wake)
    assert wake.asked_s == [1.0, 0.0]


def test_a_venues_time_goes_by_the_steady_clock_at_its_rate() -> None:
    now = Sources()
    clock = VenueClock(START_NS, 60.0, lambda: now.steady)
    now.steady += 2 * NS_PER_S
    now.wall += DAY_NS
    assert (clock.now_ns(), clock.drift_ns(), clock.is_simulated) == (START_NS + 120 * NS_PER_S, 0, False)
    wake = RecordingWake()
    clock.wait_until(START_NS + 180 * NS_PER_S, wake)
    assert wake.asked_s == [1.0]


def test_market_time_is_simulated_and_agrees_with_no_clock() -> None:
    clock = PacedClock(START_NS, 1.0)
    assert (clock.is_simulated, clock.drift_ns()) == (True, 0)


def test_the_machines_own_clocks_agree() -> None:
    clock = SystemClock()
    assert abs(clock.now_ns() - wall_ns()) < NS_PER_S
    first = steady_ns()
    assert steady_ns() >= first
