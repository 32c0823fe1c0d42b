"""I am the look-back buffer of one instrument: its newest closed bars as columns of floats.
I may import market.
I must not fill gaps, invent bars or accept one out of order.
My tests are in tests/unit/domain/test_window.py.
"""

from engine.domain.error import Bug
from engine.domain.market import Bar


class BarWindow:
    """The newest `capacity` closed bars of one instrument, oldest first.

    Columns are lists of floats in quote currency; prices are mid prices, `spread` is ask close minus bid close.
    Only the owner appends; predictors read the columns and must not change them.
    """

    __slots__ = ("capacity", "close", "close_ts_ns", "granularity_ns", "high", "instrument", "low", "open", "spread")

    def __init__(self, instrument: str, capacity: int) -> None:
        self.instrument = instrument
        self.capacity = capacity
        self.open: list[float] = []
        self.high: list[float] = []
        self.low: list[float] = []
        self.close: list[float] = []
        self.spread: list[float] = []
        self.close_ts_ns: list[int] = []
        self.granularity_ns = 0

    def __len__(self) -> int:
        return len(self.close)

    @property
    def full(self) -> bool:
        """Say whether `capacity` bars are present."""
        return len(self.close) >= self.capacity

    def append(self, bar: Bar) -> None:
        """Add the next closed bar and drop the oldest beyond capacity; raises Bug when it is not newer."""
        end_ns, ends = bar.close_ts_ns, self.close_ts_ns
        if ends and end_ns <= ends[-1]:
            raise Bug(f"{bar.instrument}: bar ending {end_ns} is not newer than {ends[-1]}")
        bid, ask = float(bar.bid_close), float(bar.ask_close)
        self.open.append((float(bar.bid_open) + float(bar.ask_open)) / 2)
        self.high.append((float(bar.bid_high) + float(bar.ask_high)) / 2)
        self.low.append((float(bar.bid_low) + float(bar.ask_low)) / 2)
        self.close.append((bid + ask) / 2)
        self.spread.append(ask - bid)
        ends.append(end_ns)
        self.granularity_ns = bar.granularity.ns
        if len(ends) > self.capacity:
            del self.open[0], self.high[0], self.low[0], self.close[0], self.spread[0], ends[0]


def average_true_range(window: BarWindow, period: int) -> float:
    """Average of the last `period` true ranges of mid prices, in quote currency; needs period + 1 bars.

    Source: Wilder 1978, true range = max(high - low, |high - previous close|, |low - previous close|);
    averaged with equal weights so that the value depends on exactly period + 1 bars and not on older history.
    """
    high, low, close = window.high, window.low, window.close
    total = 0.0
    for i in range(-period, 0):
        previous = close[i - 1]
        total += max(high[i], previous) - min(low[i], previous)
    return total / period
