"""I am the generated market: seeded five-second bars of currencies and metals that never end.
I may import numpy, the domain and the other sim modules.
I must not read the wall clock: the market's first moment is a fixed Monday morning.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market_bars import BarMaker, Columns, InstrumentBars, Ints, in_sequence, joined
from engine.adapters.sim.market_hours import DAY_MINUTES, DAY_NS, DAY_S
from engine.adapters.sim.market_world import CurrencyWorld
from engine.domain.calendar import bucket_start_ns
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S, Bar, Granularity

# Monday, 2025-01-06T08:00:00Z: London is open.
DEFAULT_START_NS = 1_736_150_400 * NS_PER_S
HISTORY_DAYS = 400

_EARLIEST_START_NS = 946_684_800 * NS_PER_S
_SEED_MAX = 2**64 - 1
# Days of hourly bars: of all instruments for all the days of history, about 60 MB.
_HOURS_KEPT = 20_000


class GeneratedMarket:
    """A market that looks like the real one and can be had again from its seed; implements ports.BarSource.

    Instruments are ratios of currencies, so crosses agree with their legs. There is history before `start_ns`.
    Mid prices are random walks: no model can earn its spread here except by chance.
    """

    def __init__(self, seed: int, instruments: Sequence[str], start_ns: int = DEFAULT_START_NS) -> None:
        _check(seed, instruments, start_ns)
        self._instruments = tuple(instruments)
        self._start_ns = start_ns
        self._known_ns = start_ns
        self._world = CurrencyWorld(seed, start_ns)
        self._sources = {name: InstrumentBars(seed, name) for name in self._instruments}
        self._makers = {name: BarMaker(name) for name in self._instruments}
        self._frames: deque[tuple[int, list[Bar]]] = deque()
        self._today: dict[str, tuple[Columns, list[int]]] = {}
        self._next_minute = start_ns // (60 * NS_PER_S)
        self._loaded_day = -1
        self._hours: dict[tuple[str, int], Columns] = {}

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments of this market, in the order in which a frame lists them."""
        return self._instruments

    @property
    def granularity(self) -> Granularity:
        """Five seconds."""
        return Granularity.S5

    def peek_ns(self) -> int | None:
        """Return the end time of the next frame; closed hours and five seconds without any tick have no frame."""
        while not self._frames:
            self._fill_minute()
        return self._frames[0][0]

    def pop(self) -> Sequence[Bar]:
        """Return the next frame: the bars of all instruments that had a tick in these five seconds."""
        while not self._frames:
            self._fill_minute()
        self._known_ns, bars = self._frames.popleft()
        return bars

    def history(self, instrument: str, granularity: Granularity, count: int) -> Sequence[Bar]:
        """Return up to `count` newest bars that have ended by now, oldest first; they reach back up to 400 days.

        Raises ConfigError for an instrument that this market was not made with.
        """
        if instrument not in self._sources:
            raise ConfigError(f"Instrument {instrument!r} is not in this market of {', '.join(self._instruments)}.")
        if count < 1:
            return ()
        found = self._ended_by_now(instrument, granularity, count)
        return self._makers[instrument].bars(found, granularity, max(found.seconds.size - count, 0), found.seconds.size)

    @property
    def first_ns(self) -> int:
        """Where history begins."""
        return (self._start_ns // DAY_NS - HISTORY_DAYS) * DAY_NS

    def between(self, instrument: str, granularity: Granularity, from_ns: int, to_ns: int) -> Sequence[Bar]:
        """Return the bars that start at from_ns or later and end by to_ns, oldest first; of an hour at most.

        Bars of the future can be had as well: whoever shows them asks for no more than it has lived through.
        """
        days = range(max(from_ns, self.first_ns) // DAY_NS, -(-to_ns // DAY_NS))
        # Newest first: going back from the start, the currencies' paths of each day are drawn once.
        make = self._hours_of_day if granularity is Granularity.H1 else self._columns
        whole = -(-from_ns // granularity.ns) * granularity.seconds, to_ns // granularity.ns * granularity.seconds
        found: list[list[Bar]] = []
        for day in reversed(days):
            part = make(instrument, day)
            part = part.cut(*(int(number) for number in np.searchsorted(part.seconds, whole)))
            part = joined(part, _bucket_starts(part.seconds, day, granularity))
            found.append(self._makers[instrument].bars(part, granularity, 0, part.seconds.size))
        return [bar for bars in reversed(found) for bar in bars]

    def _hours_of_day(self, instrument: str, day: int) -> Columns:
        """Make the hours of a day; they are kept, because long candles ask for those of years again and again."""
        kept = self._hours.get((instrument, day))
        if kept is None:
            part = self._columns(instrument, day)
            kept = joined(part, _bucket_starts(part.seconds, day, Granularity.H1))
            if len(self._hours) < _HOURS_KEPT:
                self._hours[instrument, day] = kept
        return kept

    def _ended_by_now(self, instrument: str, granularity: Granularity, count: int) -> Columns:
        """Return at least `count` newest bars that have ended, as far as history reaches."""
        now_s, first_day = self._known_ns // NS_PER_S, self._start_ns // DAY_NS - HISTORY_DAYS
        day, started, parts = now_s // DAY_S, 0, []
        while started < count and day >= first_day:
            part = self._columns(instrument, day)
            part = joined(part, _bucket_starts(part.seconds, day, granularity))
            ended = part.cut(0, int(np.searchsorted(part.seconds, now_s - granularity.seconds, side="right")))
            parts.append(ended)
            # A bar that began on the day before is not whole until that day is here as well.
            started += int((ended.seconds >= day * DAY_S).sum())
            day -= 1
        every = in_sequence(parts[::-1])
        every = joined(every, every.seconds)
        return every.cut(int(np.searchsorted(every.seconds, (day + 1) * DAY_S)), every.seconds.size)

    def _columns(self, instrument: str, day: int) -> Columns:
        if day == self._loaded_day:
            return self._today[instrument][0]
        return self._sources[instrument].columns(day, self._world.block(day))

    def _fill_minute(self) -> None:
        """Make the frames of the next minute; a closed one has none."""
        day, minute = divmod(self._next_minute, DAY_MINUTES)
        if day != self._loaded_day:
            self._load(day)
        self._next_minute += 1
        frames: dict[int, list[Bar]] = {}
        for name, (columns, firsts) in self._today.items():
            for bar in self._makers[name].bars(columns, Granularity.S5, firsts[minute], firsts[minute + 1]):
                frames.setdefault(bar.open_ts_ns, []).append(bar)
        self._frames.extend((open_ns + Granularity.S5.ns, frames[open_ns]) for open_ns in sorted(frames))

    def _load(self, day: int) -> None:
        """Make the columns of a day, with the number of the first bar of each minute."""
        block = self._world.block(day)
        minutes = day * DAY_S + np.arange(DAY_MINUTES + 1) * 60
        for name, source in self._sources.items():
            columns = source.columns(day, block)
            self._today[name] = columns, np.searchsorted(columns.seconds, minutes).tolist()
        self._loaded_day = day


def _check(seed: int, instruments: Sequence[str], start_ns: int) -> None:
    """Refuse what no market can be made from, with one sentence."""
    if not 0 <= seed <= _SEED_MAX:
        raise ConfigError(f"Seed {seed} is out of range; allowed are whole numbers from 0 to {_SEED_MAX}.")
    if not instruments:
        raise ConfigError("The sandbox needs at least one instrument.")
    for name in instruments:
        if name not in CATALOGUE:
            raise ConfigError(f"Instrument {name!r} is not in the sandbox; allowed are {', '.join(CATALOGUE)}.")
        if list(instruments).count(name) > 1:
            raise ConfigError(f"Instrument {name!r} is listed more than once; name each instrument once.")
    if start_ns < _EARLIEST_START_NS or start_ns % (60 * NS_PER_S):
        raise ConfigError(f"Market start {start_ns} ns must be a whole minute in the year 2000 or later.")


def _bucket_starts(seconds: Ints, day: int, granularity: Granularity) -> Ints:
    """Return the start of each bar's bucket, in seconds; `seconds` are of open hours of this UTC day.

    Clocks change while the market is closed: the day's last bucket tells where those of all its open hours begin.
    """
    last = bucket_start_ns((day + 1) * DAY_NS - 1, granularity.ns) // NS_PER_S
    return seconds - (seconds - last) % granularity.seconds
