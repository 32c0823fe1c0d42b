"""The lots of faults and crash points: seeded, countable, and independent of each other."""

import pytest

from tests.simulation.faults import (
    KINDS,
    POINTS,
    POINTS_RUNNING,
    POINTS_SELDOM,
    POINTS_STARTING,
    RATES,
    Crash,
    CrashPoints,
    Faults,
)

ASKED = 400


def drawn(faults: Faults, kinds: tuple[str, ...] = KINDS) -> list[str]:
    for _ in range(ASKED):
        for kind in kinds:
            faults.hit(kind)
    return faults.injected


def test_a_seed_always_draws_the_same() -> None:
    assert drawn(Faults(3)) == drawn(Faults(3))
    assert drawn(Faults(3)) != drawn(Faults(4))


def test_one_kind_does_not_change_another() -> None:
    alone = drawn(Faults(3), ("log_lags",))
    assert [each for each in drawn(Faults(3)) if each.startswith("log_lags#")] == alone


def test_each_seed_has_some_kinds_and_not_others() -> None:
    kinds = [set(each.split("#")[0] for each in drawn(Faults(seed))) for seed in range(30)]
    assert all(0 < len(each) < len(KINDS) for each in kinds)
    assert set.union(*kinds) == set(KINDS)


def test_a_mask_leaves_every_other_fault_out() -> None:
    whole = drawn(Faults(3))
    kept = whole[:5]
    assert drawn(Faults(3, kept)) == kept


def test_nothing_happens_when_faults_are_off() -> None:
    faults = Faults(3)
    faults.off = True
    assert drawn(faults) == []


def test_hits_are_counted_by_kind() -> None:
    faults = Faults(3)
    drawn(faults)
    assert sum(faults.hits.values()) == len(faults.injected)
    assert all(rate <= 1 for rate in RATES.values())


def test_a_crash_point_kills_when_it_is_passed_for_the_nth_time() -> None:
    points = CrashPoints()
    points.arm("broker.submit.before", 3)
    points.at("broker.submit.before")
    points.at("broker.submit.after")
    points.at("broker.submit.before")
    with pytest.raises(Crash):
        points.at("broker.submit.before")
    points.at("broker.submit.before")
    assert points.fired == {"broker.submit.before": 1}


def test_a_disarmed_point_kills_nobody() -> None:
    points = CrashPoints()
    points.arm("journal.commit.after")
    points.disarm()
    points.at("journal.commit.after")
    assert not points.fired


def test_every_crash_point_can_be_armed_somewhere() -> None:
    assert {*POINTS_RUNNING, *POINTS_SELDOM, *POINTS_STARTING} == set(POINTS)
    assert not issubclass(Crash, Exception)
