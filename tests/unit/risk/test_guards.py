"""Medians of spread and true range over the newest bars, by hand."""

from decimal import Decimal

import pytest

from engine.risk.guards import BARS_NEEDED, GuardWindow, Usual
from tests.unit.made import candle


def filled(length: int, bars: list[tuple[str, str, str, str]]) -> GuardWindow:
    guard = GuardWindow(length)
    for index, (low, high, close, spread) in enumerate(bars):
        guard.append(candle(index, low, high, close, spread=spread))
    return guard


CALM = ("1.5", "1.625", "1.5", "0.125")


def test_nothing_is_usual_before_the_first_bar() -> None:
    assert GuardWindow(100).usual() == Usual(spread=None, true_range=None, last_mid=None, bars=0)


@pytest.mark.parametrize("count", [1, 19, 20, 21])
def test_medians_want_twenty_bars(count: int) -> None:
    found = filled(100, [CALM] * count).usual()
    assert (found.bars, found.last_mid) == (count, 1.5625)
    known = count >= BARS_NEEDED == 20
    assert (found.spread, found.true_range) == ((0.125, 0.125) if known else (None, None))


def test_median_is_not_moved_by_a_wild_minority() -> None:
    wild = ("1.0", "3.0", "1.5", "1")
    assert filled(100, [CALM] * 12 + [wild] * 9).usual().spread == 0.125
    assert filled(100, [CALM] * 9 + [wild] * 12).usual().spread == 1.0


def test_median_of_an_even_number_lies_between_the_middle_two() -> None:
    wide = ("1.5", "1.625", "1.5", "0.25")
    assert filled(100, [CALM] * 10 + [wide] * 10).usual().spread == 0.1875


def test_only_the_newest_bars_count() -> None:
    wide = ("1.5", "1.625", "1.5", "0.25")
    guard = filled(20, [CALM] * 30 + [wide] * 11)
    assert guard.usual().bars == 20
    assert guard.usual().spread == 0.25


def test_true_range_reaches_to_the_close_before() -> None:
    """A gap of 1 up: the middle closed at 1.5625 and now ranges from 2.5625 to 2.6875, which is 1.125."""
    up = ("2.5", "2.625", "2.5", "0.125")
    guard = GuardWindow(20)
    for index in range(20):
        low, high, close, spread = up if index % 2 else CALM
        guard.append(candle(index, low, high, close, spread=spread))
    # up: 2.6875 - 1.5625 = 1.125, nineteen of them up or down, and the first bar alone 0.125
    assert guard.usual().true_range == pytest.approx(1.0625, abs=0.0625)
    down = sorted([0.125] + [2.6875 - 1.5625] * 10 + [2.5625 - 1.5625] * 9)
    assert guard.usual().true_range == (down[9] + down[10]) / 2


def test_last_close_is_the_middle_of_bid_and_ask() -> None:
    guard = filled(20, [("1.5", "1.75", "1.625", "0.25")])
    assert guard.usual().last_mid == float(Decimal("1.75"))
