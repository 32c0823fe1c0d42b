"""No stretch of time ever holds more turns than allowed, and waiting grows up to its longest."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.oanda.limits import Backoff, Limits, Throttle


class Time:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def throttle(clock: Time, count: int = 2, window_s: float = 1.0) -> Throttle:
    return Throttle(count, window_s, clock.monotonic_s, clock.wait)


@given(
    count=st.integers(1, 5),
    window_s=st.sampled_from([0.5, 1.0, 1.1]),
    pauses_s=st.lists(st.floats(0, 3), min_size=1, max_size=40),
)
def test_no_window_holds_more_turns_than_allowed(count: int, window_s: float, pauses_s: list[float]) -> None:
    clock = Time()
    gate = throttle(clock, count, window_s)
    turns_s = []
    for pause_s in pauses_s:
        clock.wait(pause_s)
        assert gate.take(float("inf"))
        turns_s.append(clock.now_s)
    for earlier_s, later_s in zip(turns_s, turns_s[count:], strict=False):
        assert later_s - earlier_s >= window_s - 1e-9


def test_turns_within_the_limit_do_not_wait() -> None:
    clock = Time()
    gate = throttle(clock, 3)
    for _ in range(3):
        assert gate.take(100.0)
    assert clock.now_s == 100.0


def test_turn_after_the_deadline_is_refused_and_not_used_up() -> None:
    clock = Time()
    gate = throttle(clock, 1)
    assert gate.take(100.0)
    assert not gate.take(100.9)
    assert clock.now_s == 100.0
    assert gate.take(101.0)
    assert clock.now_s == 101.0


def test_threads_share_the_turns() -> None:
    arrived: list[float] = []
    lock = threading.Lock()

    def note(seconds: float) -> None:
        with lock:
            arrived.append(seconds)

    gate = Throttle(5, 1.0, lambda: 0.0, note)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: gate.take(10.0), range(40)))
    assert taken == [True] * 40
    assert sorted(arrived) == [float(second) for second in range(1, 8) for _ in range(5)]


@pytest.mark.parametrize(("gate", "count", "window_s"), [("connections", 2, 1.1), ("requests", 100, 1.0)])
def test_limits_are_those_of_oanda(gate: str, count: int, window_s: float) -> None:
    clock = Time()
    limit = getattr(Limits(clock.monotonic_s, clock.wait), gate)
    for _ in range(count):
        assert limit.take(100.0)
    assert not limit.take(100.0 + window_s - 0.001)
    assert limit.take(100.0 + window_s)


def test_real_clock_and_wait_fit() -> None:
    gate = Throttle(1, 0.05, time.monotonic, threading.Event().wait)
    begun_s = time.monotonic()
    for _ in range(3):
        assert gate.take(begun_s + 60)
    assert time.monotonic() - begun_s >= 0.099


def test_backoff_doubles_up_to_its_longest_and_begins_anew() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 1


@given(draw=st.floats(0, 1, exclude_max=True), tries=st.integers(1, 20))
def test_backoff_is_shortened_by_at_most_a_half(draw: float, tries: int) -> None:
    backoff, plain = Backoff(lambda: draw), Backoff(lambda: 0.0)
    for _ in range(tries):
        wait_s, whole_s = backoff.next_s(), plain.next_s()
        assert whole_s / 2 <= wait_s <= whole_s


def test_backoff_never_makes_more_than_two_attempts_a_second() -> None:
    backoff = Backoff(lambda: 0.999_999)
    assert min(backoff.next_s() for _ in range(20)) >= 0.5
