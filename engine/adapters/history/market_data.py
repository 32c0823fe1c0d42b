"""I am a recorded market: imported bars of one or more instruments, played again in order of time.
I may import the domain, ports' words and imported.
I must not read files, aggregate bars, or show a bar before it has ended.
My tests are in tests/unit/adapters/history/test_market_data.py.
"""

from bisect import bisect_right
from collections.abc import Sequence

from engine.adapters.history.imported import ImportedBars
from engine.domain.calendar import iso_utc
from engine.domain.error import Bug, ConfigError
from engine.domain.market import Bar, Granularity


class RecordedBars:
    """A BarSource of recorded bars.

    The first warmup_bars bars of each instrument are history when the play begins: start_ns is the first moment at
    which every instrument has that many closed bars. Raises ConfigError when the recordings differ in granularity,
    repeat an instrument, are too short, or leave an instrument with nothing to play.
    """

    def __init__(self, series: Sequence[ImportedBars], warmup_bars: int) -> None:
        _check_series(series, warmup_bars)
        self._names = tuple(one.instrument for one in series)
        self._granularity = series[0].granularity
        self._length_ns = self._granularity.ns
        self._bars = [one.bars for one in series]
        self._start_ns = self._warm_ns(warmup_bars)
        self._cursors = [_ended(bars, self._start_ns - self._length_ns) for bars in self._bars]
        self._check_playable()
        self._bars_to_play = sum(len(bars) - at for bars, at in zip(self._bars, self._cursors, strict=True))
        self._next_open_ns: int | None = self._earliest_open_ns()

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments, in the order of the recordings."""
        return self._names

    @property
    def granularity(self) -> Granularity:
        """Length of the recorded bars."""
        return self._granularity

    @property
    def start_ns(self) -> int:
        """Market time at which the play begins; every bar that ends later is played."""
        return self._start_ns

    @property
    def bars_to_play(self) -> int:
        """Number of bars from the start to the end, over all instruments."""
        return self._bars_to_play

    def peek_ns(self) -> int | None:
        """Return the end time of the next frame, or None when there is none."""
        return None if self._next_open_ns is None else self._next_open_ns + self._length_ns

    def pop(self) -> Sequence[Bar]:
        """Return the next frame: every bar that ends at peek_ns(), at most one per instrument."""
        due_ns = self._next_open_ns
        if due_ns is None:
            raise Bug("the recorded bars have ended; peek_ns() says so before pop()")
        frame = []
        cursors = self._cursors
        next_ns: int | None = None
        for i, bars in enumerate(self._bars):
            at = cursors[i]
            if at == len(bars):
                continue
            bar = bars[at]
            if bar.open_ts_ns == due_ns:
                frame.append(bar)
                cursors[i] = at = at + 1
                if at == len(bars):
                    continue
                bar = bars[at]
            if next_ns is None or bar.open_ts_ns < next_ns:
                next_ns = bar.open_ts_ns
        self._next_open_ns = next_ns
        return frame

    def history(self, instrument: str, granularity: Granularity, count: int) -> Sequence[Bar]:
        """Return up to `count` newest bars that ended by the last popped frame (or the start), oldest first."""
        if granularity is not self._granularity:
            raise ConfigError(f"Recorded bars are {self._granularity}; bars of {granularity} cannot be made of them.")
        if instrument not in self._names:
            raise ConfigError(f"There are no recorded bars of {instrument}; there are {', '.join(self._names)}.")
        i = self._names.index(instrument)
        end = self._cursors[i]
        return self._bars[i][max(0, end - max(0, count)) : end]

    def _warm_ns(self, warmup_bars: int) -> int:
        if not warmup_bars:
            return min(bars[0].open_ts_ns for bars in self._bars)
        return max(bars[warmup_bars - 1].open_ts_ns for bars in self._bars) + self._length_ns

    def _check_playable(self) -> None:
        for name, bars, at in zip(self._names, self._bars, self._cursors, strict=True):
            if at == len(bars):
                raise ConfigError(f"{name} has no bar after {iso_utc(self._start_ns)}, when the warm-up has ended.")

    def _earliest_open_ns(self) -> int:
        return min(bars[at].open_ts_ns for bars, at in zip(self._bars, self._cursors, strict=True))


def _check_series(series: Sequence[ImportedBars], warmup_bars: int) -> None:
    if not series:
        raise ConfigError("There are no recorded bars to play.")
    first = series[0]
    for other in series[1:]:
        if other.granularity is not first.granularity:
            raise ConfigError(
                f"{first.file_name} has bars of {first.granularity}, {other.file_name} of {other.granularity}; "
                "they cannot be played together."
            )
    names = [one.instrument for one in series]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"There is more than one recording of {', '.join(twice)}; give one for each instrument.")
    short = [f"{one.instrument} has {len(one.bars):,} bars" for one in series if len(one.bars) < max(1, warmup_bars)]
    if short:
        raise ConfigError(f"{', '.join(short)}; {max(1, warmup_bars):,} are needed before the first decision.")


def _ended(bars: tuple[Bar, ...], last_open_ns: int) -> int:
    """Count the bars that opened at or before a moment."""
    return bisect_right(bars, last_open_ns, key=_open_ns)


def _open_ns(bar: Bar) -> int:
    return bar.open_ts_ns
