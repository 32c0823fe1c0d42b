"""I am the cost of gates: from the outcomes of blocked signals to what each gate saved or cost, and how sure that is.
I may import the domain.
I must not read anything, nor claim more than the outcomes can tell.
My tests are in tests/unit/test_gate_costs.py.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from engine.domain.event import BlockedOutcome

ZERO, R_STEP = Decimal(0), Decimal("0.000001")
# Below this many a row of stops, which all lose the same, would look certain.
OUTCOMES_MIN = 10
SAVED, COST = "saved money", "cost money"

# Student's t for 95 % in the middle, by degrees of freedom from 1.
_T95 = tuple(
    Decimal(text)
    for text in (
        "12.7062 4.3027 3.1824 2.7764 2.5706 2.4469 2.3646 2.3060 2.2622 2.2281 2.2010 2.1788 2.1604 2.1448 2.1314 "
        "2.1199 2.1098 2.1009 2.0930 2.0860 2.0796 2.0739 2.0687 2.0639 2.0595 2.0555 2.0518 2.0484 2.0452 2.0423"
    ).split()
)
_Z95 = Decimal("1.959964")


class GateCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate blocked: how often it failed, how often it alone, and what the signals would have come to.

    mean_r, sum_r and the 95 % interval from low_r to high_r are in multiples of the loss at the stop; there is no
    interval of one outcome, nor of a few that are all the same. What would have been lost was saved, so a negative sum
    speaks for the gate.
    """

    gate: str
    outcomes: int
    alone: int
    wins: int
    sum_home: Decimal
    sum_r: Decimal
    mean_r: Decimal
    low_r: Decimal | None
    high_r: Decimal | None

    @property
    def verdict(self) -> str:
        """Say what can be told: only when the whole interval is on one side of zero, and of enough outcomes."""
        if self.outcomes >= OUTCOMES_MIN and self.low_r is not None and self.high_r is not None:
            if self.high_r < 0:
                return SAVED
            if self.low_r > 0:
                return COST
        return f"cannot be told from {self.outcomes} outcome{'' if self.outcomes == 1 else 's'}"


def gate_costs(outcomes: Iterable[BlockedOutcome]) -> tuple[GateCost, ...]:
    """Add up by gate, the one that blocked most first; an outcome counts for each gate that failed."""
    by_gate: dict[str, list[BlockedOutcome]] = {}
    for outcome in outcomes:
        for gate in outcome.gates:
            by_gate.setdefault(gate, []).append(outcome)
    costs = [_cost(gate, found) for gate, found in by_gate.items()]
    return tuple(sorted(costs, key=lambda cost: (-cost.outcomes, cost.gate)))


def _cost(gate: str, found: Sequence[BlockedOutcome]) -> GateCost:
    count = len(found)
    sum_r = sum((one.result_r for one in found), ZERO)
    mean_r = sum_r / count
    half = _half_width([one.result_r for one in found], mean_r)
    return GateCost(
        gate=gate,
        outcomes=count,
        alone=sum(len(one.gates) == 1 for one in found),
        wins=sum(one.result_home > 0 for one in found),
        sum_home=sum((one.result_home for one in found), ZERO),
        sum_r=sum_r,
        mean_r=mean_r.quantize(R_STEP),
        low_r=None if half is None else (mean_r - half).quantize(R_STEP),
        high_r=None if half is None else (mean_r + half).quantize(R_STEP),
    )


def _half_width(values: Sequence[Decimal], mean: Decimal) -> Decimal | None:
    """Half the 95 % confidence interval of a mean, by Student's t; None for a single value.

    Also for a few equal ones, as of trades that all ended at their stops: they do not show how far results lie apart.
    """
    count = len(values)
    if count < 2 or (count < OUTCOMES_MIN and len(set(values)) == 1):
        return None
    variance = sum(((value - mean) ** 2 for value in values), ZERO) / (count - 1)
    return t95(count - 1) * (variance / count).sqrt()


def t95(freedom: int) -> Decimal:
    """Return the 97.5 % quantile of Student's t; beyond the table by its expansion around the normal distribution.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5; less than 0.0001 off from 31 on.
    """
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2
