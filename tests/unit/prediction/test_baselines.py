"""A cross is signalled once, on its bar, on the right side, whatever happened before the look-back."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.error import ConfigError
from engine.domain.window import BarWindow
from engine.prediction.baselines import Flat, SmaCross, baseline, baselines
from tests.unit.prediction.made import bar, closes, window_of


def directions(rule: SmaCross, *prices: float) -> list[int]:
    """Walk through a series as a session does and note the direction of each bar from the first full window on."""
    window, found = BarWindow("EUR_USD", rule.spec.lookback_bars), []
    for index, price in enumerate(prices):
        window.append(bar(index, Decimal(str(price)), spread="0"))
        if window.full:
            answer = rule.predict(window)
            assert isinstance(answer, Prediction)
            found.append(answer.direction)
    return found


def test_cross_up_and_down_are_signalled_on_their_bars_only() -> None:
    # Averages of 2 / 3 from the fourth bar on: 8.5/9, 9.5/9.33 (up), 11/10, 11.5/11.33, 10/10.33 (down), 8.5/9.67
    assert directions(SmaCross(2, 3), 10, 10, 9, 8, 11, 11, 12, 8, 9) == [0, 1, 0, 0, -1, 0]


def test_price_at_rest_then_rising_signals_once() -> None:
    assert directions(SmaCross(2, 4), 5, 5, 5, 5, 5, 6, 7, 8) == [0, 1, 0, 0]


def test_price_at_rest_then_falling_signals_once() -> None:
    assert directions(SmaCross(2, 4), 5, 5, 5, 5, 5, 4, 3, 2) == [0, -1, 0, 0]


def test_touch_is_judged_by_the_bar_that_ends_it() -> None:
    # Sums of the newest two / the two before: 7/3, 9/5 (above), 7/7 (equal), then 3/9 (down) or 11/9 (up).
    assert directions(SmaCross(2, 4), 1, 2, 3, 4, 5, 2, 1, 0.5) == [0, 0, -1, 0]
    assert directions(SmaCross(2, 4), 1, 2, 3, 4, 5, 2, 9, 9.5) == [0, 0, 1, 0]


@pytest.mark.parametrize("price", [1.10003, 151.237, 0.1 + 0.2, 2411.335])
def test_market_without_movement_never_crosses(price: float) -> None:
    assert set(directions(SmaCross(), *[price] * 60)) == {0}
    assert set(directions(SmaCross(7, 499), *[price] * 502)) == {0}


def exact_side(prices: list[int], fast: int, slow: int) -> int:
    gap = Fraction(sum(prices[-fast:]), fast) - Fraction(sum(prices[-slow:]), slow)
    return (gap > 0) - (gap < 0)


@given(
    steps=st.lists(st.integers(-3, 3), min_size=30, max_size=60),
    periods=st.sampled_from([(2, 3), (2, 5), (3, 4), (5, 20), (10, 30)]),
)
def test_signals_equal_those_of_exact_arithmetic(steps: list[int], periods: tuple[int, int]) -> None:
    fast, slow = periods
    points = [110_000 + sum(steps[: index + 1]) for index in range(len(steps))]
    expected = []
    for end in range(slow + 1, len(points) + 1):
        now, before = exact_side(points[:end], fast, slow), exact_side(points[: end - 1], fast, slow)
        expected.append(now if now != before and now != 0 else 0)
    assert directions(SmaCross(fast, slow), *[point / 100_000 for point in points]) == expected


@given(steps=st.lists(st.integers(-3, 3), min_size=50, max_size=80))
def test_older_bars_never_change_a_signal(steps: list[int]) -> None:
    rule = SmaCross()
    bars = [bar(index, Decimal(110_000 + sum(steps[: index + 1])) / 100_000) for index in range(len(steps))]
    assert rule.predict(window_of(bars)) == rule.predict(window_of(bars[-rule.spec.lookback_bars :]))


def test_rule_is_certain_when_it_fires_and_claims_nothing_else() -> None:
    rule = SmaCross(2, 4)
    assert rule.predict(closes(5, 5, 5, 5, 6)) == Prediction(direction=1, confidence=1.0)
    assert rule.predict(closes(5, 5, 5, 6, 7)) == Prediction(direction=0, confidence=0.0)


def test_window_that_is_too_short_is_a_fault() -> None:
    answer = SmaCross(2, 4).predict(closes(1, 2, 3, 4))
    assert answer == PredictionFault(reason="sma-cross:2/4 needs 5 bars of EUR_USD; there are 4.")


@pytest.mark.parametrize(("model_id", "bars"), [("sma-cross", 31), ("sma-cross:5/20", 21), ("sma-cross:2/500", 501)])
def test_id_names_the_periods(model_id: str, bars: int) -> None:
    rule = baseline(model_id)
    assert rule is not None
    assert (rule.spec.model_id, rule.spec.lookback_bars) == (model_id, bars)


def test_default_periods_written_out_are_the_default_rule() -> None:
    rule = baseline("sma-cross:10/30")
    assert rule is not None
    assert rule.spec == SmaCross().spec


@pytest.mark.parametrize("model_id", ["sma-cross:1/20", "sma-cross:20/20", "sma-cross:30/10", "sma-cross:10/501"])
def test_periods_out_of_range_are_refused_with_the_range(model_id: str) -> None:
    with pytest.raises(ConfigError, match=f"{model_id} is out of range; .*2 <= FAST < SLOW <= 500"):
        baseline(model_id)


@pytest.mark.parametrize(
    "model_id", ["sma-cross:", "sma-cross:5", "sma-cross:a/b", "sma-cross:5/20/30", "sma-cross:-5/20"]
)
def test_periods_that_cannot_be_read_are_refused_with_an_example(model_id: str) -> None:
    with pytest.raises(ConfigError, match="for example sma-cross:5/20"):
        baseline(model_id)


def test_flat_never_signals() -> None:
    assert Flat().predict(closes(1, 2, 3)) == Prediction(direction=0, confidence=0.0)


def test_rules_serve_any_instrument_at_any_granularity() -> None:
    assert [rule.spec.model_id for rule in baselines()] == ["sma-cross", "flat"]
    for rule in baselines():
        assert (rule.spec.instruments, rule.spec.granularity, rule.spec.instruments_max) == ((), None, 100)


def test_other_ids_name_no_rule() -> None:
    assert baseline("starter") is None
    assert baseline("sma-crossing") is None
