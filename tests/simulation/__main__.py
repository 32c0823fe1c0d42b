"""I am the command line of the simulator: python -m tests.simulation --seeds N [--start S] [--jobs J] --json.
I may import the other parts of this folder.
I must not judge; a seed that broke a promise is printed with how to see it again, and ends me with 1.
My tests are in tests/simulation/test_cli.py.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from tests.simulation.report import Report
from tests.simulation.run import STEPS, run_seed, run_seeds
from tests.simulation.saboteurs import SABOTEURS
from tests.simulation.shrink import shrink

SABOTEUR_SEEDS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when every promise was kept."""
    asked = _parser().parse_args(arguments)
    if asked.saboteurs:
        return _hunt(tuple(SABOTEURS), asked.jobs)
    if asked.saboteur and not asked.trace and not asked.json:
        return _hunt((asked.saboteur,), asked.jobs)
    if asked.trace:
        return _trace(asked.start, asked.steps, asked.saboteur)
    if asked.shrink:
        _say(shrink(asked.start, steps=asked.steps, saboteur=asked.saboteur, say=_say))
        return 1
    return _run(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Deterministic simulation of Keel.")
    parser.add_argument("--seeds", type=int, default=150, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of five seconds with faults, per seed")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with further seeds for so long")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--coverage", action="store_true", help="fail when a fault or crash point was hit too seldom")
    parser.add_argument("--trace", action="store_true", help="show what happened in the first seed, step by step")
    parser.add_argument("--shrink", action="store_true", help="find the faults that the first seed needs to fail")
    parser.add_argument(
        "--saboteur", choices=sorted(SABOTEURS), help="plant this bug, and look for a seed that shows it"
    )
    parser.add_argument("--saboteurs", action="store_true", help="plant every bug, one after the other")
    return parser


def _run(asked: argparse.Namespace) -> int:
    begun = time.monotonic()
    report = Report()
    start = asked.start
    while True:
        seeds = range(start, start + asked.seeds)
        for outcome in run_seeds(seeds, jobs=asked.jobs, steps=asked.steps, saboteur=asked.saboteur):
            report.add(outcome)
            if outcome.violation:
                _say(f"seed {outcome.seed}: {outcome.violation}")
                _say(f"reproduce: python -m tests.simulation --start {outcome.seed} --seeds 1")
        start += asked.seeds
        if time.monotonic() - begun >= asked.minutes * 60:
            break
    report.seconds = time.monotonic() - begun
    missed = report.missed() if asked.coverage else ()
    for text in missed:
        _say(text)
    if asked.json:
        sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    else:
        _say(report.summary())
    return 1 if report.failing or missed else 0


def _trace(seed: int, steps: int, saboteur: str | None) -> int:
    outcome = run_seed(seed, steps=steps, saboteur=saboteur)
    for line in outcome.trace:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{outcome.violation or 'every promise was kept'}\ndigest {outcome.digest}\n")
    return 1 if outcome.violation else 0


def _hunt(names: Sequence[str], jobs: int) -> int:
    """Look for the first seed that shows each bug."""
    missed = 0
    for name in names:
        for outcome in run_seeds(range(SABOTEUR_SEEDS), jobs=jobs, saboteur=name):
            if outcome.violation:
                sys.stdout.write(f"{name}: seed {outcome.seed}, {outcome.violation.splitlines()[0]}\n")
                break
        else:
            missed += 1
            sys.stdout.write(f"{name}: NOT CAUGHT in {SABOTEUR_SEEDS} seeds\n")
        sys.stdout.flush()
    return 1 if missed else 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
