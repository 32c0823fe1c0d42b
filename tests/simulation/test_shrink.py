"""A failing seed is cut down to the faults that it needs."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.run import run_seed
from tests.simulation.shrink import minimal, promise, shrink

NAMES = [f"fault#{number}" for number in range(40)]


@given(st.sets(st.sampled_from(NAMES), max_size=4))
def test_only_what_is_needed_is_left(needed: set[str]) -> None:
    def fails(kept: Sequence[str]) -> bool:
        return needed <= set(kept)

    assert set(minimal(list(NAMES), fails)) == needed


def test_of_two_ways_to_fail_one_is_left() -> None:
    def fails(kept: Sequence[str]) -> bool:
        return "fault#3" in kept or "fault#30" in kept

    assert len(minimal(list(NAMES), fails)) == 1


def test_a_sabotaged_seed_needs_one_lost_order_alone() -> None:
    told = shrink(3, steps=80, saboteur="blind_retry").splitlines()
    faults = told[2 : told.index("trace:")]
    assert len(faults) == 1
    assert faults[0].split("#")[0] in ("submit_lost_order", "submit_lost_answer", "submit_late", "submit_5xx")


def test_a_clean_seed_cannot_be_shrunk() -> None:
    assert shrink(0, steps=20) == ""


def test_a_promise_is_named_without_its_circumstances() -> None:
    assert promise("step 12: I2: 1-EUR_USD-5-1 is sent a second time") == "I2"
    assert promise("") == ""


def test_a_subset_of_the_faults_leaves_the_others_out() -> None:
    whole = run_seed(5, steps=40)
    half = whole.injected[::2]
    part = run_seed(5, steps=40, kept=half)
    assert set(part.injected) <= set(half)
    assert run_seed(5, steps=40, kept=()).injected == ()
