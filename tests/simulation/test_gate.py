"""The gate: so many seeds, faults and crashes, and not one promise broken; and nothing hangs on the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.report import Report
from tests.simulation.run import run_seed

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 160
CHUNK = 16
CHUNKS = tuple(range(0, SEEDS, CHUNK))
pytestmark = pytest.mark.xdist_group("simulation")


class Gate:
    """What the tests of this file have run so far: the totals are of all of them."""

    def __init__(self) -> None:
        self.report = Report()
        self._done: set[int] = set()

    def run(self, start: int) -> list[str]:
        """Run one chunk of seeds, once; returns what was broken, with how to see it again."""
        broken: list[str] = []
        if start in self._done:
            return broken
        self._done.add(start)
        for seed in range(start, start + CHUNK):
            outcome = run_seed(seed)
            self.report.add(outcome)
            if outcome.violation:
                broken.append(f"{outcome.violation} (python -m tests.simulation --start {seed} --seeds 1 --trace)")
        return broken


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.mark.parametrize("start", CHUNKS)
def test_no_promise_is_broken(gate: Gate, start: int) -> None:
    assert gate.run(start) == []


def test_the_gate_has_tried_enough(gate: Gate) -> None:
    for start in CHUNKS:
        gate.run(start)
    total = gate.report.as_dict()
    assert total["seeds"] >= 150
    assert total["faults"] >= 15_000
    assert total["crash_restarts"] >= 300
    assert total["simulated_hours"] >= 60
    assert total["fills"] >= 2_000
    assert gate.report.missed() == ()


def test_every_seed_comes_out_the_same_in_another_process() -> None:
    first, second = (_digest_of_ten(hash_seed) for hash_seed in ("1", "77"))
    assert first == second
    assert first["violations"] == 0


def test_different_seeds_come_out_differently() -> None:
    assert run_seed(1, steps=40).digest != run_seed(2, steps=40).digest


def _digest_of_ten(hash_seed: str) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "10", "--start", "200", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told: dict[str, object] = json.loads(done.stdout)
    return {name: told[name] for name in ("seeds", "steps", "faults", "violations", "digest")}
