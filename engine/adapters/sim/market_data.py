"""I am the simulated venue's market data: I move the broker along a source of bars and report quotes and bars.
I may import the domain, ports and the other parts of this folder.
I must not look ahead: the broker lives through each frame before anybody hears of it.
My tests are in tests/unit/adapters/sim/test_market_data.py.
"""

from collections.abc import Sequence

from engine.adapters.sim.aggregation import Aggregator
from engine.adapters.sim.broker import SimBroker
from engine.domain.calendar import bucket_end_ns, bucket_start_ns
from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity, Quote
from engine.ports import BarSource


class SimMarketData:
    """Feeds `broker` with every frame of `source` and a session with the instruments it follows.

    Implements ports.MarketData. The source may have more instruments than a session follows: the broker needs their
    prices to convert currencies. Raises ConfigError when the broker does not know one of the source's instruments.
    """

    def __init__(self, *, source: BarSource, broker: SimBroker) -> None:
        unknown = sorted(set(source.instruments) - set(broker.instruments()))
        if unknown:
            raise ConfigError(f"The simulated broker does not trade {', '.join(unknown)}, which there are bars of.")
        self._source = source
        self._broker = broker
        self._granularity = source.granularity
        self._followed: frozenset[str] = frozenset()
        self._watched: frozenset[str] = frozenset()
        self._aggregators: dict[str, Aggregator] = {}
        self._bucket_end_ns: int | None = None
        self._recalls = False

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        """Begin to follow these instruments; raises ConfigError when the source cannot give bars of them."""
        missing = [name for name in instruments if name not in self._source.instruments]
        if missing:
            raise ConfigError(
                f"There are no bars of {', '.join(missing)}; there are {', '.join(self._source.instruments)}."
            )
        if granularity.ns % self._source.granularity.ns:
            raise ConfigError(
                f"Granularity {granularity} cannot be made of {self._source.granularity} bars; "
                f"choose {self._source.granularity} or a multiple of it."
            )
        self._granularity = granularity
        self._followed = frozenset(instruments)
        self._bucket_end_ns = None
        self._aggregators = {}
        if granularity is not self._source.granularity:
            self._aggregators = {name: Aggregator(name, granularity) for name in instruments}
        self._recalls = granularity.ns > Granularity.H1.ns

    def watch(self, instrument: str) -> None:
        """Bring quotes of one more instrument, if this market has it."""
        self._watched |= {instrument} & {*self._source.instruments}

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        """Let the broker live through every frame that ends by now, one at a time, and return what came of it.

        Oldest first; the quotes of a frame come before the bars that close with it.
        """
        news: list[Quote | Bar] = []
        source, broker = self._source, self._broker
        while (frame_ns := source.peek_ns()) is not None and frame_ns <= now_ns:
            if self._bucket_end_ns is not None and self._bucket_end_ns < frame_ns:
                self._close_bucket(self._bucket_end_ns, news)
            frame = source.pop()
            broker.on_frame(frame)
            self._report(frame, news)
        if self._bucket_end_ns is not None and self._bucket_end_ns <= now_ns:
            self._close_bucket(self._bucket_end_ns, news)
        return news

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        """Return up to `count` newest closed bars known now, oldest first."""
        return self._source.history(instrument, self._granularity, count)

    def next_due_ns(self) -> int | None:
        """Return the end of the next frame, or of an unfinished bar that no further frame completes before it."""
        frame_ns, bucket_ns = self._source.peek_ns(), self._bucket_end_ns
        if frame_ns is None or bucket_ns is None:
            return bucket_ns if frame_ns is None else frame_ns
        return min(frame_ns, bucket_ns)

    def _report(self, frame: Sequence[Bar], news: list[Quote | Bar]) -> None:
        followed, quotes = self._followed, self._broker.quotes
        bars = [bar for bar in frame if bar.instrument in followed]
        news += [quotes[bar.instrument] for bar in bars if bar.instrument in quotes]
        if self._watched:
            extra = self._watched - followed
            news += [quotes[bar.instrument] for bar in frame if bar.instrument in extra and bar.instrument in quotes]
        if not self._aggregators:
            news += bars
            return
        if bars and self._bucket_end_ns is None:
            start_ns = bucket_start_ns(bars[0].open_ts_ns, self._granularity.ns)
            self._bucket_end_ns = bucket_end_ns(start_ns, self._granularity.ns)
            if self._recalls:
                self._recall(start_ns, bars[0].open_ts_ns)
        closed = (self._aggregators[bar.instrument].add(bar) for bar in bars)
        news.extend(bar for bar in closed if bar is not None)

    def _recall(self, from_ns: int, to_ns: int) -> None:
        """Make the first bar whole: hours that hang on 17:00 New York began before the session did."""
        source = self._source
        self._recalls = False
        for name, aggregator in self._aggregators.items():
            # The frame that has just been popped is history by now, and is yet to be reported.
            for bar in source.history(name, source.granularity, (to_ns - from_ns) // source.granularity.ns + 1):
                if from_ns <= bar.open_ts_ns < to_ns:
                    aggregator.add(bar)

    def _close_bucket(self, end_ns: int, news: list[Quote | Bar]) -> None:
        """End the bucket that all instruments share: close the bars of those that had no tick at its end."""
        closed = (aggregator.flush(end_ns) for aggregator in self._aggregators.values())
        news.extend(bar for bar in closed if bar is not None)
        self._bucket_end_ns = None
