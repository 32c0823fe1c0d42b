"""I am the shelves: where the venue's candles take their bars from, generated or recorded, with what was set by hand.
I may import the domain, the simulated venue and the recorded bars.
I must not show a bar that has not ended.
My tests are in tests/unit/venue: test_candles.py and test_recorded.py; and in tests/contract/test_venue.py.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from engine.adapters.sim.market import GeneratedMarket
from engine.domain.market import Bar, Granularity
from engine.venue.market import TICK_NS, HandPrices


class GeneratedShelf:
    """Bars of a generated market; while an instrument is set by hand its bars are of five seconds."""

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
        length, touched = granularity.ns, self._hand.span(instrument)
        if touched is None:
            return self._market.between(instrument, granularity, from_ns, to_ns)
        begun_ns = min(max(touched[0] - touched[0] % length, from_ns), to_ns)
        ended_ns = min(max((touched[1] // length + 1) * length, begun_ns), to_ns)
        plain = self._market.between(instrument, Granularity.S5, begun_ns, ended_ns)
        return [
            *self._market.between(instrument, granularity, from_ns, begun_ns),
            *_inside(self._hand.merged(instrument, plain), begun_ns, ended_ns),
            *self._market.between(instrument, granularity, ended_ns, to_ns),
        ]

    def unfinished(self, instrument: str, now_ns: int) -> Sequence[Bar]:
        """Return what was set by hand in the running five seconds."""
        return [bar for bar in self._hand.merged(instrument, ()) if bar.open_ts_ns >= now_ns - now_ns % TICK_NS]


class RecordedShelf:
    """Bars of recorded files, all of one length, with what was set by hand."""

    def __init__(self, bars: Mapping[str, Sequence[Bar]], finest: Granularity, hand: HandPrices) -> None:
        self._bars = bars
        self._finest = finest
        self._hand = hand

    @property
    def finest(self) -> Granularity:
        """Length of the recorded bars."""
        return self._finest

    @property
    def first_ns(self) -> int:
        """Where the earliest recording begins."""
        return min(bars[0].open_ts_ns for bars in self._bars.values())

    def between(self, instrument: str, granularity: Granularity, from_ns: int, to_ns: int) -> Sequence[Bar]:
        """Return the bars, as they were recorded, that start at from_ns or later and end by to_ns, oldest first."""
        bars = self._bars[instrument]
        first = bisect_left(bars, from_ns, key=lambda bar: bar.open_ts_ns)
        end = bisect_left(bars, to_ns - self._finest.ns + 1, key=lambda bar: bar.open_ts_ns)
        return _inside(self._hand.merged(instrument, bars[first:end]), from_ns, to_ns)

    def unfinished(self, instrument: str, now_ns: int) -> Sequence[Bar]:
        """Return what was set by hand since the last recorded bar could end."""
        length_ns = self._finest.ns if self._finest.seconds <= Granularity.H1.seconds else TICK_NS
        return [bar for bar in self._hand.merged(instrument, ()) if bar.open_ts_ns >= now_ns - now_ns % length_ns]


def _inside(bars: Sequence[Bar], from_ns: int, to_ns: int) -> list[Bar]:
    return [bar for bar in bars if bar.open_ts_ns >= from_ns and bar.close_ts_ns <= to_ns]
