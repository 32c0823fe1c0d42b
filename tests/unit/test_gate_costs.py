"""Outcomes in, exact sums and honest intervals out, and no verdict that they do not bear."""

from decimal import Decimal

import pytest

from engine.domain.event import BlockedOutcome, Ending
from engine.gate_costs import COST, OUTCOMES_MIN, SAVED, GateCost, gate_costs, t95


def outcome(result: str, *gates: str, r: str | None = None) -> BlockedOutcome:
    """An outcome with a risk of 10 at home, unless its R is given."""
    return BlockedOutcome(
        ts_ns=1, instrument="EUR_USD", bar_ts_ns=0, direction=1, gates=gates, entry_price=Decimal(1),
        exit_price=Decimal(1), units=Decimal(1), financing_home=Decimal(0), result_home=Decimal(result),
        result_r=Decimal(r) if r else Decimal(result) / 10, ended=Ending.STOP, bars=1,
    )  # fmt: skip


def test_known_outcomes_give_the_numbers_of_a_hand_calculation() -> None:
    found = gate_costs(
        [
            outcome("-10.0001", "spread", "positions", r="-1"),
            outcome("20.0002", "spread", r="2"),
            outcome("-10.0001", "positions", r="-1"),
            outcome("0", "spread", r="0"),
        ]
    )
    # spread: R -1, 2, 0: mean 1/3, variance 7/3, 4.3027 x sqrt(7/9) = 3.794625
    assert found == (
        GateCost(
            gate="spread", outcomes=3, alone=2, wins=1, sum_home=Decimal("10.0001"), sum_r=Decimal(1),
            mean_r=Decimal("0.333333"), low_r=Decimal("-3.461291"), high_r=Decimal("4.127958"),
        ),
        GateCost(
            gate="positions", outcomes=2, alone=1, wins=0, sum_home=Decimal("-20.0002"), sum_r=Decimal(-2),
            mean_r=Decimal(-1), low_r=None, high_r=None,
        ),
    )  # fmt: skip
    assert [one.verdict for one in found] == ["cannot be told from 3 outcomes", "cannot be told from 2 outcomes"]


def test_nothing_blocked_costs_nothing() -> None:
    assert gate_costs([]) == ()


@pytest.mark.parametrize(("count", "end"), [(OUTCOMES_MIN - 1, None), (OUTCOMES_MIN, Decimal(-1))])
def test_equal_outcomes_have_an_interval_only_when_there_are_enough(count: int, end: Decimal | None) -> None:
    (found,) = gate_costs([outcome("-10", "spread")] * count)
    assert (found.low_r, found.high_r) == (end, end)


def test_one_outcome_has_no_interval() -> None:
    (found,) = gate_costs([outcome("-10", "spread")])
    assert (found.low_r, found.high_r, found.verdict) == (None, None, "cannot be told from 1 outcome")


def alternating(first: str, second: str, count: int) -> list[BlockedOutcome]:
    return [outcome(first if index % 2 else second, "spread") for index in range(count)]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (alternating("-10", "-10", OUTCOMES_MIN), SAVED),
        (alternating("-10", "-10", OUTCOMES_MIN - 1), f"cannot be told from {OUTCOMES_MIN - 1} outcomes"),
        (alternating("-10", "2", 20), SAVED),
        (alternating("10", "-2", 20), COST),
        (alternating("10", "-10", 20), "cannot be told from 20 outcomes"),
        # mean 0.2 R, half width 2.0930 x 0.820783 / sqrt(20) = 0.384135 R
        (alternating("10", "-6", 20), "cannot be told from 20 outcomes"),
        (alternating("-10", "6", 20), "cannot be told from 20 outcomes"),
        (alternating("0", "0", 20), "cannot be told from 20 outcomes"),
    ],
)
def test_a_verdict_needs_enough_outcomes_and_an_interval_on_one_side(
    outcomes: list[BlockedOutcome], verdict: str
) -> None:
    (found,) = gate_costs(outcomes)
    assert found.verdict == verdict


def test_the_sum_is_exact_however_many_there_are() -> None:
    (found,) = gate_costs([outcome("0.0001", "spread")] * 10_001)
    assert found.sum_home == Decimal("1.0001") and found.wins == 10_001


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, "12.7062"), (2, "4.3027"), (9, "2.2622"), (30, "2.0423"), (31, "2.0395"), (40, "2.0211"), (60, "2.0003"),
     (120, "1.9799"), (1_000, "1.9623"), (10**9, "1.9600")],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: str) -> None:
    assert abs(t95(freedom) - Decimal(quantile)) <= Decimal("0.0001")


def test_quantiles_fall_towards_those_of_the_normal_distribution() -> None:
    values = [t95(freedom) for freedom in range(1, 200)]
    assert values == sorted(values, reverse=True)
