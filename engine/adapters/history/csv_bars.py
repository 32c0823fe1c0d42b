"""I am the importer: I turn a CSV file of bid and ask bars into sound bars and a list of what was not sound.
I may import the domain and the other modules of this folder.
I must not judge single lines; bar_reader does.
My tests are in tests/unit/adapters/history/test_csv_bars.py.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from engine.adapters.history.bar_reader import BarReader
from engine.adapters.history.fields import Header, shown
from engine.adapters.history.imported import ImportedBars, Problem, ProblemKind
from engine.adapters.history.spacing import measured_granularity
from engine.adapters.history.text_lines import text_lines
from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument

__all__ = ["ImportedBars", "Problem", "ProblemKind", "read_bars"]

_KNOWN_SHOWN = 8


def read_bars(path: Path, instrument: str | None = None, *, known: Mapping[str, Instrument]) -> ImportedBars:
    """Read a CSV file (plain or gzipped) of bid and ask bars in quote currency, times in UTC.

    The instrument comes from the argument or else from the file's name, the granularity from the spacing of the bars.
    The file is read twice, once for its spacing, so that only the bars are ever held in memory. Raises ConfigError
    with one sentence when the file is unusable, which it also is when more than half of its lines are bad.
    """
    traded = _instrument(path, instrument or _name_in(path, known), known)
    granularity = measured_granularity(path, *_table(path))
    header, rows = _table(path)
    reader = BarReader(traded, granularity, header)
    bars = tuple(reader.bars(rows))
    dropped = reader.lines - len(bars)
    if dropped * 2 > reader.lines:
        worst = next(problem for problem in reader.problems if problem.kind.drops)
        raise ConfigError(
            f"{path} is unusable: {dropped:,} of its {reader.lines:,} lines are bad, "
            f"the first at line {worst.line:,} ({worst.kind}: {worst.text})."
        )
    return ImportedBars(
        file_name=path.name,
        instrument=traded.name,
        granularity=granularity,
        bars=bars,
        problems=tuple(reader.problems),
        lines=reader.lines,
        dropped=dropped,
    )


def _instrument(path: Path, name: str, known: Mapping[str, Instrument]) -> Instrument:
    if name not in known:
        some = ", ".join(list(known)[:_KNOWN_SHOWN])
        raise ConfigError(f"Instrument {shown(name)} of {path} is unknown; known are {some} and others.")
    return known[name]


def _name_in(path: Path, known: Mapping[str, Instrument]) -> str:
    words = re.split(r"[^A-Z0-9]+", path.name.upper())
    names = {f"{base}_{quote}" for base, quote in pairwise(words)} & known.keys()
    if len(names) != 1:
        found = " and ".join(sorted(names)) or "no known instrument"
        raise ConfigError(f"{path} names {found} in its file name; say which it is with --bars EUR_USD={path}.")
    return names.pop()


def _table(path: Path) -> tuple[Header, Iterator[tuple[int, str]]]:
    """Open a file: its header, and the number and text of each line below it that is not empty."""
    lines = text_lines(path)
    first = next(lines, None)
    if first is None:
        raise ConfigError(f"{path} is empty.")
    header = Header(path, first)
    return header, ((number, line) for number, line in enumerate(lines, start=2) if line and not line.isspace())
