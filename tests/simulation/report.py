"""I am the report: many outcomes added up, and what the run has not tried often enough.
I may import the other parts of this folder.
I must not depend on the order in which processes finish.
My tests are in tests/simulation/test_gate.py.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.simulation.faults import KINDS, POINTS
from tests.simulation.run import Outcome, seconds_of

KIND_HITS_MIN = 20
POINT_HITS_MIN = 3


class Report:
    """Totals over seeds, which are added in their order."""

    def __init__(self) -> None:
        self.seeds = self.steps = self.crashes = self.fills = self.decisions = 0
        self.hits: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.failing: list[int] = []
        self.seconds = 0.0
        self._digest = hashlib.sha256()

    def add(self, outcome: Outcome) -> None:
        """Add one seed."""
        self.seeds += 1
        self.steps += outcome.steps
        self.crashes += outcome.crashes
        self.fills += outcome.fills
        self.decisions += outcome.decisions
        self.hits.update(outcome.hits)
        self.fired.update(outcome.fired)
        self._digest.update(f"{outcome.seed} {outcome.digest}\n".encode())
        if outcome.violation:
            self.failing.append(outcome.seed)

    @property
    def digest(self) -> str:
        """A hash of every seed's digest."""
        return self._digest.hexdigest()

    def missed(self) -> Sequence[str]:
        """Name every kind of fault and every crash point that was hit too seldom to say anything."""
        kinds = [f"fault {kind}: {self.hits[kind]} of {KIND_HITS_MIN} hits" for kind in KINDS if self._is_rare(kind)]
        points = [point for point in POINTS if self.fired[point] < POINT_HITS_MIN]
        return (*kinds, *(f"crash point {each}: {self.fired[each]} of {POINT_HITS_MIN} hits" for each in points))

    def _is_rare(self, kind: str) -> bool:
        return self.hits[kind] < KIND_HITS_MIN

    def as_dict(self) -> dict[str, Any]:
        """The report as the command line prints it."""
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "faults": sum(self.hits.values()),
            "crash_restarts": self.crashes,
            "simulated_hours": round(seconds_of(self.steps) / 3_600, 2),
            "violations": len(self.failing),
            "digest": self.digest,
            "seconds": round(self.seconds, 2),
            "seeds_per_minute": round(self.seeds / self.seconds * 60, 1) if self.seconds else 0.0,
            "fills": self.fills,
            "decisions": self.decisions,
            "failing_seeds": self.failing,
            "faults_by_kind": {kind: self.hits[kind] for kind in KINDS},
            "crashes_by_point": {point: self.fired[point] for point in POINTS},
        }

    def summary(self) -> str:
        """The report in one line."""
        return (
            f"{self.seeds} seeds, {self.steps} steps, {sum(self.hits.values())} faults, {self.crashes} crash-restarts, "
            f"{self.fills} fills, {len(self.failing)} violations, {self.seconds:.1f} s, digest {self.digest[:16]}"
        )
