"""I am how short bars become longer ones.
I may import the domain.
I must not invent a bar for a time without ticks, or emit one before its time is over.
My tests are in tests/unit/adapters/sim/test_aggregation.py.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.domain.calendar import bucket_end_ns, bucket_start_ns
from engine.domain.error import Bug, ConfigError
from engine.domain.market import Bar, Granularity


def aggregate(bars: Sequence[Bar], granularity: Granularity) -> Bar:
    """Join bars of one instrument that fall into one bucket, oldest first; raises Bug when they do not."""
    if not bars:
        raise Bug("cannot aggregate no bars")
    bucket = _Bucket(bars[0], granularity)
    for bar in bars[1:]:
        if bar.instrument != bucket.instrument or bar.open_ts_ns < bucket.last_ns or bar.close_ts_ns > bucket.end_ns:
            raise Bug(
                f"{bar.instrument} bar at {bar.open_ts_ns} is not next in the {granularity} bar of its forerunner"
            )
        bucket.merge(bar)
    return bucket.bar()


class _Bucket:
    """An unfinished bar."""

    __slots__ = (
        "ask_close", "ask_high", "ask_low", "ask_open", "bid_close", "bid_high", "bid_low", "bid_open",
        "end_ns", "granularity", "instrument", "last_ns", "start_ns", "tick_count",
    )  # fmt: skip

    def __init__(self, first: Bar, granularity: Granularity) -> None:
        self.instrument = first.instrument
        self.granularity = granularity
        self.start_ns = bucket_start_ns(first.open_ts_ns, granularity.ns)
        self.end_ns = bucket_end_ns(self.start_ns, granularity.ns)
        self.last_ns = first.close_ts_ns
        if self.last_ns > self.end_ns:
            raise ConfigError(
                f"{first.granularity} bars do not fit into {granularity} bars; choose a longer granularity."
            )
        self.bid_open, self.ask_open = first.bid_open, first.ask_open
        self.bid_high, self.ask_high = first.bid_high, first.ask_high
        self.bid_low, self.ask_low = first.bid_low, first.ask_low
        self.bid_close, self.ask_close = first.bid_close, first.ask_close
        self.tick_count = first.tick_count

    def merge(self, bar: Bar) -> None:
        """Add the next bar of the same bucket."""
        self.bid_high = _higher(self.bid_high, bar.bid_high)
        self.ask_high = _higher(self.ask_high, bar.ask_high)
        self.bid_low = _lower(self.bid_low, bar.bid_low)
        self.ask_low = _lower(self.ask_low, bar.ask_low)
        self.bid_close, self.ask_close = bar.bid_close, bar.ask_close
        self.tick_count += bar.tick_count
        self.last_ns = bar.close_ts_ns

    def bar(self) -> Bar:
        """Return what has been merged so far as a closed bar."""
        return Bar(
            instrument=self.instrument,
            granularity=self.granularity,
            open_ts_ns=self.start_ns,
            bid_open=self.bid_open,
            bid_high=self.bid_high,
            bid_low=self.bid_low,
            bid_close=self.bid_close,
            ask_open=self.ask_open,
            ask_high=self.ask_high,
            ask_low=self.ask_low,
            ask_close=self.ask_close,
            tick_count=self.tick_count,
        )


def _higher(one: Decimal, other: Decimal) -> Decimal:
    return other if other > one else one


def _lower(one: Decimal, other: Decimal) -> Decimal:
    return other if other < one else one


class Aggregator:
    """Build the bars of one instrument and granularity from shorter bars as they close.

    A bucket whose last short bar is missing ends through flush() or through the first bar of a later bucket.
    Call flush(bar.open_ts_ns) before add(bar): then neither call ever has two bars to return.
    """

    __slots__ = ("_bucket", "_granularity", "_instrument")

    def __init__(self, instrument: str, granularity: Granularity) -> None:
        self._instrument = instrument
        self._granularity = granularity
        self._bucket: _Bucket | None = None

    def add(self, bar: Bar) -> Bar | None:
        """Take the next short bar and return the bar that it completes, if any.

        An older unfinished bucket is returned first; when `bar` completes its own bucket as well, that one waits
        for the next flush() or add(). Raises Bug on a bar out of order or of another instrument, ConfigError on one
        that is too long.
        """
        bucket = self._bucket
        if bar.instrument != self._instrument:
            raise Bug(f"{bar.instrument} bar given to the aggregator of {self._instrument}")
        if bucket is None:
            return self._begin(bar)
        if bar.open_ts_ns < bucket.last_ns:
            raise Bug(
                f"{bar.instrument}: bar at {bar.open_ts_ns} is older than {bucket.last_ns}, which is known already"
            )
        if bar.open_ts_ns >= bucket.end_ns:
            self._bucket = _Bucket(bar, self._granularity)
            return bucket.bar()
        bucket.merge(bar)
        return self.flush(bar.close_ts_ns)

    def flush(self, now_ns: int) -> Bar | None:
        """Return the unfinished bar when its time is over at `now_ns`, else None."""
        bucket = self._bucket
        if bucket is None or now_ns < bucket.end_ns:
            return None
        self._bucket = None
        return bucket.bar()

    def _begin(self, bar: Bar) -> Bar | None:
        if bar.granularity is self._granularity:
            return bar
        self._bucket = _Bucket(bar, self._granularity)
        return self.flush(bar.close_ts_ns)
