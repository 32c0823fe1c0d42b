"""The look-back buffer keeps the newest bars in order, and the ATR is the average of true ranges."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import Bug
from engine.domain.window import BarWindow, average_true_range
from tests.unit.made import candle, ranging, window


def columns(of: BarWindow) -> list[list[float]]:
    return [of.open, of.high, of.low, of.close, of.spread]


def test_columns_are_mid_prices_and_the_closing_spread() -> None:
    filled = window([candle(0, "1.0", "1.4", "1.2", spread="0.2")])
    assert [[round(value, 9) for value in column] for column in columns(filled)] == [[1.3], [1.5], [1.1], [1.3], [0.2]]
    assert filled.close_ts_ns == [60_000_000_000]
    assert filled.granularity_ns == 60_000_000_000


@given(capacity=st.integers(1, 8), count=st.integers(0, 20))
def test_window_holds_the_newest_bars_up_to_its_capacity(capacity: int, count: int) -> None:
    filled = window([candle(i, "1", "2", str(1 + i / 100)) for i in range(count)], capacity)
    kept = range(max(0, count - capacity), count)
    assert len(filled) == len(kept)
    assert filled.full == (count >= capacity)
    assert filled.close_ts_ns == [(i + 1) * 60_000_000_000 for i in kept]
    assert all(len(column) == len(kept) for column in columns(filled))


@pytest.mark.parametrize("index", [5, 4, 0])
def test_bar_that_is_not_newer_is_a_bug_and_changes_nothing(index: int) -> None:
    filled = window([candle(5, "1", "2", "1")])
    with pytest.raises(Bug, match="not newer"):
        filled.append(candle(index, "1", "2", "1"))
    assert len(filled) == 1


def test_atr_of_equal_ranges_is_that_range() -> None:
    assert average_true_range(ranging(15), 14) == pytest.approx(0.0010)


def test_atr_counts_a_gap_from_the_previous_close() -> None:
    filled = window([candle(0, "1.0", "1.0", "1.0"), candle(1, "1.5", "1.6", "1.5"), candle(2, "1.0", "1.1", "1.0")])
    assert average_true_range(filled, 1) == pytest.approx(0.5)
    assert average_true_range(filled, 2) == pytest.approx((0.6 + 0.5) / 2)


def test_atr_looks_at_exactly_period_and_one_bars() -> None:
    tail = [candle(i, "1.0", "1.1", "1.05") for i in range(10, 14)]
    quiet = window([candle(0, "1.05", "1.05", "1.05"), *tail])
    wild = window([candle(0, "0.1", "9.0", "7.0"), *tail])
    assert average_true_range(quiet, 3) == average_true_range(wild, 3)
    assert average_true_range(quiet, 4) != average_true_range(wild, 4)


def test_atr_of_too_few_bars_raises() -> None:
    with pytest.raises(IndexError):
        average_true_range(ranging(14), 14)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=4, max_size=12))
def test_atr_is_between_the_narrowest_and_the_widest_true_range(shapes: list[tuple[int, int]]) -> None:
    bars = []
    for i, (down, up) in enumerate(shapes):
        middle = Decimal(1) + Decimal(i * 37 % 100) / 10_000
        low, high = middle - Decimal(down) / 10_000, middle + Decimal(up) / 10_000
        bars.append(candle(i, str(low), str(high), str(middle)))
    ranges = [
        max(now.bid_high, before.bid_close) - min(now.bid_low, before.bid_close)
        for before, now in zip(bars, bars[1:], strict=False)
    ]
    atr = average_true_range(window(bars), len(ranges))
    assert float(min(ranges)) - 1e-9 <= atr <= float(max(ranges)) + 1e-9
    assert atr == pytest.approx(float(sum(ranges)) / len(ranges))
