"""I am the medians that guards compare with: how wide the spread and how long the bars of an instrument usually are.
I may import the domain.
I must not judge; rules compare.
My tests are in tests/unit/risk/test_guards.py.
"""

from bisect import bisect_left, insort
from collections import deque

import msgspec

from engine.domain.market import Bar

BARS_NEEDED = 20


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual in an instrument, in quote currency; None while fewer than BARS_NEEDED bars are known.

    last_mid is the middle of the newest close, None while there is none.
    """

    spread: float | None
    true_range: float | None
    last_mid: float | None
    bars: int


NOTHING_KNOWN = Usual(spread=None, true_range=None, last_mid=None, bars=0)


class GuardWindow:
    """Spreads at the close and true ranges of the newest bars of one instrument, middle prices.

    Each is kept in the order of time and in that of size, so that a median costs no sorting.
    """

    __slots__ = ("_close", "_ranges", "_sorted_ranges", "_sorted_spreads", "_spreads", "_usual")

    def __init__(self, length: int) -> None:
        self._spreads: deque[float] = deque(maxlen=length)
        self._ranges: deque[float] = deque(maxlen=length)
        self._sorted_spreads: list[float] = []
        self._sorted_ranges: list[float] = []
        self._close: float | None = None
        self._usual: Usual | None = NOTHING_KNOWN

    def append(self, bar: Bar) -> None:
        """Take in the next closed bar."""
        bid, ask = float(bar.bid_close), float(bar.ask_close)
        high = (float(bar.bid_high) + float(bar.ask_high)) / 2
        low = (float(bar.bid_low) + float(bar.ask_low)) / 2
        before = self._close
        _take(self._spreads, self._sorted_spreads, ask - bid)
        _take(self._ranges, self._sorted_ranges, high - low if before is None else max(high, before) - min(low, before))
        self._close = (bid + ask) / 2
        self._usual = None

    def usual(self) -> Usual:
        """Say what is usual as of the newest bar; worked out once per bar, when it is asked for."""
        if self._usual is None:
            is_known = len(self._spreads) >= BARS_NEEDED
            self._usual = Usual(
                spread=_middle(self._sorted_spreads) if is_known else None,
                true_range=_middle(self._sorted_ranges) if is_known else None,
                last_mid=self._close,
                bars=len(self._spreads),
            )
        return self._usual


def _take(newest: deque[float], ordered: list[float], value: float) -> None:
    """Add a value, and let the oldest go when there are enough."""
    if len(newest) == newest.maxlen:
        del ordered[bisect_left(ordered, newest[0])]
    newest.append(value)
    insort(ordered, value)


def _middle(ordered: list[float]) -> float:
    """The median of values in order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
