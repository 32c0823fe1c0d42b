"""Bugs that are planted on purpose are found, each within a hundred seeds; without them the same seeds are clean."""

from pathlib import Path

import pytest

from tests.simulation.run import run_seed
from tests.simulation.saboteurs import SABOTEURS

SEEDS_MAX = 100
# The first seed that shows each bug: it saves the search, and is looked for again when it no longer does.
FIRST = dict(
    line.split()[:2]
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if not line.startswith("#")
)


@pytest.mark.parametrize("name", SABOTEURS)
def test_a_planted_bug_is_caught(name: str) -> None:
    seeds = (int(FIRST.get(name, 0)), *range(SEEDS_MAX))
    assert any(run_seed(seed, saboteur=name).violation for seed in seeds)


@pytest.mark.parametrize("seed", sorted({int(seed) for seed in FIRST.values()}))
def test_a_seed_that_shows_a_bug_is_clean_without_it(seed: int) -> None:
    assert run_seed(seed).violation == ""


def test_there_are_enough_of_them_and_no_other_names() -> None:
    assert len(SABOTEURS) >= 12
    assert set(FIRST) <= set(SABOTEURS)
    with pytest.raises(KeyError):
        run_seed(0, steps=1, saboteur="nobody")
