"""I am what an import brought: the bars that are sound, and a list of everything that was not.
I may import market.
I must not read files or decide what is bad.
My tests are in tests/unit/adapters/history/test_imported.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from engine.adapters.history.moments import duration_text
from engine.domain.market import Bar, Granularity


class ProblemKind(StrEnum):
    """What is wrong with a line; lines of the last three kinds are kept."""

    WRONG_COLUMNS = "wrong_columns"
    BAD_TIME = "bad_time"
    NOT_A_NUMBER = "not_a_number"
    NON_FINITE = "non_finite"
    NON_POSITIVE = "non_positive"
    TOO_LARGE = "too_large"
    CROSSED = "crossed"
    INCONSISTENT = "inconsistent"
    OFF_GRID = "off_grid"
    DUPLICATE = "duplicate"
    UNORDERED = "unordered"
    CROSSED_RANGE = "crossed_range"
    PRECISION = "precision"
    GAP = "gap"

    @property
    def drops(self) -> bool:
        """Say whether a line with this problem is left out."""
        return self not in _KEPT


_KEPT = frozenset({ProblemKind.CROSSED_RANGE, ProblemKind.PRECISION, ProblemKind.GAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong at one line (the header is line 1); missing_ns is the market time that a gap leaves out."""

    line: int
    kind: ProblemKind
    text: str
    missing_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedBars:
    """Sound bars of one instrument, oldest first and each time once, with all that was wrong in their file.

    lines counts the lines below the header that are not empty; lines == len(bars) + dropped.
    """

    file_name: str
    instrument: str
    granularity: Granularity
    bars: tuple[Bar, ...]
    problems: tuple[Problem, ...]
    lines: int
    dropped: int

    def summary(self) -> str:
        """Say in one line how much was read, kept and dropped, and why."""
        kept = f"{self.lines:,} lines, {len(self.bars):,} bars kept, {self.dropped:,} dropped"
        reasons = ", ".join(self._reasons())
        if not reasons:
            return kept
        return f"{kept}{':' if self.dropped else ','} {reasons}"

    def _reasons(self) -> Iterator[str]:
        by_kind: dict[ProblemKind, list[Problem]] = {}
        for problem in self.problems:
            by_kind.setdefault(problem.kind, []).append(problem)
        return (_reason(kind, by_kind[kind]) for kind in ProblemKind if kind in by_kind)


def _reason(kind: ProblemKind, problems: list[Problem]) -> str:
    first = f"first at line {problems[0].line:,}"
    if kind is ProblemKind.GAP:
        longest = duration_text(max(problem.missing_ns for problem in problems))
        return f"{len(problems):,} gap{'s' if len(problems) > 1 else ''} (longest {longest})"
    if kind is ProblemKind.PRECISION:
        return f"prices rounded ({first})"
    if kind is ProblemKind.CROSSED_RANGE:
        return f"{len(problems):,} kept with a crossed high or low ({first})"
    return f"{len(problems):,} {kind.replace('_', ' ')} ({first})"
