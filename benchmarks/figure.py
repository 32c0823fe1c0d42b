"""I am one measured figure: several samples, their median, least and greatest, and the aim.
I may import statistics.
I must not round a miss into a hit.
My tests are in the reading of the table.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Samples of one measure in `unit`; aim is text such as ">= 20000"."""

    name: str
    unit: str
    samples: Sequence[float]
    aim: str = ""

    def row(self) -> str:
        """One line of the table."""
        values = (statistics.median(self.samples), min(self.samples), max(self.samples))
        cells = " ".join(f"{_short(value):>12}" for value in values)
        return f"{f'{self.name} ({self.unit})':<58} {cells} {self.aim:>10}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0..1) of all values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
