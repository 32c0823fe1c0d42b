"""I am the ruler: I tell the length of a file's bars from how far apart their times are.
I may import fields, market and error.
I must not look at prices.
My tests are in tests/unit/adapters/history/test_spacing.py.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from engine.adapters.history.fields import Header, LineFault, Times
from engine.adapters.history.moments import duration_text
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S, Granularity

BARS_MIN = 3
AGREEING_MIN = 0.9


def measured_granularity(path: Path, header: Header, rows: Iterable[tuple[int, str]]) -> Granularity:
    """Find the granularity whose length is the most common spacing and divides nearly all of the others.

    rows are line numbers with their text. Raises ConfigError when fewer than BARS_MIN times can be read, or when the
    spacings do not agree on a known granularity.
    """
    times = _ReadableTimes(header, rows)
    spacings = Counter(later - earlier for earlier, later in pairwise(times) if later > earlier)
    if times.count < BARS_MIN or not spacings:
        raise ConfigError(
            f"{path} has {times.count} bars with a readable time; at least {BARS_MIN} in order of time are needed to "
            f"tell how long a bar is{times.first_fault}."
        )
    return _agreed(path, spacings)


class _ReadableTimes:
    """Walks through the times of rows once; remembers how many there were, and the fault of the first bad one."""

    def __init__(self, header: Header, rows: Iterable[tuple[int, str]]) -> None:
        self._header = header
        self._rows = rows
        self.count = 0
        self.first_fault = ""

    def __iter__(self) -> Iterator[int]:
        split, ns = self._header.split, Times().ns
        for number, line in self._rows:
            try:
                ts_ns = ns(split(line)[0])
            except LineFault as fault:
                self.first_fault = self.first_fault or f" (line {number}: {fault.text})"
                continue
            self.count += 1
            yield ts_ns


def _agreed(path: Path, spacings: Counter[int]) -> Granularity:
    common_ns = min(spacings, key=lambda spacing: (-spacings[spacing], spacing))
    granularity = None if common_ns % NS_PER_S else Granularity.from_seconds(common_ns // NS_PER_S)
    if granularity is None:
        known = ", ".join(Granularity)
        raise ConfigError(f"{path} has bars {duration_text(common_ns)} apart; known granularities are {known}.")
    agreeing = sum(count for spacing, count in spacings.items() if spacing % common_ns == 0) / spacings.total()
    if agreeing < AGREEING_MIN:
        raise ConfigError(
            f"{path} mixes bars of different lengths: {duration_text(common_ns)} is the most common spacing, but only "
            f"{agreeing:.0%} of the spacings are a multiple of it; at least {AGREEING_MIN:.0%} must be."
        )
    return granularity
