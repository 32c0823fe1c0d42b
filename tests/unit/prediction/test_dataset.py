"""Training rows are what a session would have seen, and no label of the past reaches into the held-out part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.domain.window import BarWindow
from engine.prediction.dataset import Row, labelled_rows, one_granularity, split_by_time
from engine.prediction.features import feature_vector, lookback
from tests.unit.prediction.made import FEATURE_NAMES, MINUTE_NS, collected, walk, window_of

HORIZON = 5


def silent(fraction: float, text: str) -> None:
    """Hear of progress and do nothing."""


def test_rows_hold_what_a_session_sees_bit_for_bit() -> None:
    bars = walk(120)
    rows = labelled_rows({"EUR_USD": bars}, FEATURE_NAMES, HORIZON, silent)
    window, seen = BarWindow("EUR_USD", 64), {}
    for bar in bars:
        window.append(bar)
        if len(window) >= lookback(FEATURE_NAMES):
            seen[bar.close_ts_ns] = tuple(feature_vector(FEATURE_NAMES, window))
    assert len(rows) > 80
    for row in rows:
        assert row.features == seen[row.ts_ns]


def test_label_is_the_direction_of_the_mid_close_after_the_horizon() -> None:
    bars = walk(120)
    mid = {bar.close_ts_ns: bar.bid_close + bar.ask_close for bar in bars}
    rows = labelled_rows({"EUR_USD": bars}, FEATURE_NAMES, HORIZON, silent)
    assert {row.label for row in rows} == {0, 1}
    for row in rows:
        assert row.label_ns == row.ts_ns + HORIZON * MINUTE_NS
        assert mid[row.label_ns] != mid[row.ts_ns]
        assert row.label == int(mid[row.label_ns] > mid[row.ts_ns])


def test_only_bars_with_a_full_window_and_a_known_label_give_rows() -> None:
    bars = walk(60)
    need = lookback(FEATURE_NAMES)
    rows = labelled_rows({"EUR_USD": bars}, FEATURE_NAMES, HORIZON, silent)
    ties = sum(
        window_of([bars[index]]).close == window_of([bars[index + HORIZON]]).close
        for index in range(need - 1, 60 - HORIZON)
    )
    assert len(rows) == 60 - need + 1 - HORIZON - ties
    assert rows[0].ts_ns >= bars[need - 1].close_ts_ns
    assert rows[-1].label_ns <= bars[-1].close_ts_ns


def test_rows_of_several_instruments_are_in_time_order() -> None:
    rows = labelled_rows({"EUR_USD": walk(80, 1), "GBP_USD": walk(90, 2)}, FEATURE_NAMES, HORIZON, silent)
    assert [row.ts_ns for row in rows] == sorted(row.ts_ns for row in rows)
    assert len({row.ts_ns for row in rows}) < len(rows)


def test_progress_rises_from_0_towards_1() -> None:
    heard, progress = collected()
    labelled_rows({"EUR_USD": walk(1000, 1), "GBP_USD": walk(1000, 2)}, FEATURE_NAMES, HORIZON, progress)
    fractions = [fraction for fraction, _ in heard]
    assert len(fractions) == 8
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] < 1.0
    assert heard[-1][1] == "Features of GBP_USD: bar 751 of 1000"


@given(
    times=st.lists(st.integers(0, 50), min_size=4, max_size=60),
    horizon=st.integers(1, 9),
    share=st.sampled_from([0.5, 0.75, 0.9]),
)
def test_no_label_of_the_past_is_known_only_after_the_cut(times: list[int], horizon: int, share: float) -> None:
    rows = [Row(ts_ns=time, label_ns=time + horizon, features=(), label=0) for time in sorted(times)]
    split = split_by_time(rows, share)
    assert split.judge
    assert all(row.label_ns <= split.cut_ns for row in split.learn)
    assert all(row.ts_ns >= split.cut_ns for row in split.judge)
    purged = [row for row in rows if row not in split.learn and row not in split.judge]
    assert all(row.ts_ns < split.cut_ns < row.label_ns for row in purged)


def test_bars_that_never_move_give_nothing_to_learn() -> None:
    with pytest.raises(ConfigError, match="no labelled bars"):
        split_by_time((), 0.75)


def test_too_few_bars_are_named() -> None:
    assert one_granularity({"EUR_USD": walk(50)}, 50) is Granularity.M1
    with pytest.raises(ConfigError, match="Training has 49 bars of GBP_USD; it needs at least 50"):
        one_granularity({"EUR_USD": walk(50), "GBP_USD": walk(49)}, 50)


def test_bars_of_two_granularities_are_refused() -> None:
    from msgspec.structs import replace

    five = [replace(bar, granularity=Granularity.M5) for bar in walk(50)]
    with pytest.raises(ConfigError, match="bars of one granularity; there are M1, M5"):
        one_granularity({"EUR_USD": walk(50), "GBP_USD": five}, 50)
