"""I am the shelves: where the venue's candles take their bars from, generated or recorded, with what was set by hand.
I may import the domain, the simulated venue and the recorded bars.
I must not show a bar that has not ended.
My tests are in tests/unit/venue/test_candles.py.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from engine.adapters.sim.aggregation import aggregate
from engine.adapters.sim.market import GeneratedMarket
from engine.domain.market import Bar, Granularity
from engine.venue.market import HandPrices


class GeneratedShelf:
    """Bars of a generated market; an instrument that was touched by hand is put together from five-second bars."""

    def __init__(self, market: GeneratedMarket, hand: HandPrices) -> None:
        self._market = market
        self._hand = hand

    @property
    def finest(self) -> Granularity:
        """Five seconds."""
        return Granularity.S5

    @property
    def first_ns(self) -> int:
        """Where history begins."""
        return self._market.first_ns

    def between(self, instrument: str, granularity: Granularity, from_ns: int, to_ns: int) -> Sequence[Bar]:
        """Return the bars that start at from_ns or later and end by to_ns, oldest first."""
        if not self._hand.touched(instrument, from_ns):
            return self._market.between(instrument, granularity, from_ns, to_ns)
        shown = self._hand.merged(instrument, self._market.between(instrument, Granularity.S5, from_ns, to_ns))
        inside = [bar for bar in shown if bar.open_ts_ns >= from_ns and bar.close_ts_ns <= to_ns]
        return folded(inside, granularity)

    def unfinished(self, instrument: str, now_ns: int) -> Sequence[Bar]:
        """Return what was set by hand in the running five seconds."""
        running_ns = now_ns - now_ns % Granularity.S5.ns
        return [bar for bar in self._hand.merged(instrument, ()) if bar.open_ts_ns >= running_ns]


class RecordedShelf:
    """Bars of recorded files, all of one length."""

    def __init__(self, bars: Mapping[str, Sequence[Bar]], finest: Granularity) -> None:
        self._bars = bars
        self._finest = finest

    @property
    def finest(self) -> Granularity:
        """Length of the recorded bars."""
        return self._finest

    @property
    def first_ns(self) -> int:
        """Where the earliest recording begins."""
        return min(bars[0].open_ts_ns for bars in self._bars.values())

    def between(self, instrument: str, granularity: Granularity, from_ns: int, to_ns: int) -> Sequence[Bar]:
        """Return the bars that start at from_ns or later and end by to_ns, oldest first."""
        bars = self._bars[instrument]
        first = bisect_left(bars, from_ns, key=lambda bar: bar.open_ts_ns)
        end = bisect_left(bars, to_ns - self._finest.ns + 1, key=lambda bar: bar.open_ts_ns)
        return folded(bars[first:end], granularity)

    def unfinished(self, instrument: str, now_ns: int) -> Sequence[Bar]:
        """Nothing: a recorded bar is known when it has ended."""
        return ()


def folded(bars: Sequence[Bar], granularity: Granularity) -> list[Bar]:
    """Join bars that fall into one bucket of a length of an hour at most."""
    if not bars or bars[0].granularity is granularity:
        return list(bars)
    made: list[Bar] = []
    group: list[Bar] = []
    for bar in bars:
        if group and bar.open_ts_ns // granularity.ns != group[0].open_ts_ns // granularity.ns:
            made.append(aggregate(group, granularity))
            group = []
        group.append(bar)
    return [*made, aggregate(group, granularity)]
