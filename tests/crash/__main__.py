"""Many real kills: `python -m tests.crash --kills 1000 --seed 0 --json`.

Exit code 0 when every promise was kept. What a seed chooses is which moments are aimed at, not how fast the machine is:
a seed that fails will mostly, and not surely, fail again.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.crash.lives import CommandLine, Cradle, Nursery
from tests.crash.moments import MOMENTS
from tests.crash.world import Outcome, lived_through, plan, world

KILLS_PER_WORLD = 25


def main(arguments: Sequence[str] | None = None) -> int:
    """Live through as many worlds as it takes."""
    asked = _parser().parse_args(arguments)
    begun_s = time.monotonic()
    outcomes: list[Outcome] = []
    with ExitStack() as held:
        cradle: Cradle = CommandLine() if asked.command_line else held.enter_context(Nursery())
        worlds = -(-asked.kills // KILLS_PER_WORLD)
        for number in range(worlds):
            kills = min(KILLS_PER_WORLD, asked.kills - number * KILLS_PER_WORLD)
            names = [asked.moment] * kills if asked.moment else plan(asked.seed + number, kills)
            outcomes.append(_one(asked.seed + number, names, cradle, settle=asked.settle and number == worlds - 1))
    report = _report(outcomes, time.monotonic() - begun_s)
    if asked.json:
        sys.stdout.write(json.dumps(report) + "\n")
    return 1 if report["violations"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kill a trading Keel, again and again.")
    parser.add_argument("--kills", type=int, default=50, help=f"how many, {KILLS_PER_WORLD} to a world")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first world; the next has the next")
    parser.add_argument("--moment", choices=list(MOMENTS), help="kill at this moment only")
    parser.add_argument("--command-line", action="store_true", help="begin each process anew instead of forking it")
    parser.add_argument("--settle", action="store_true", help="wait at the end until lost orders are given up")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _one(seed: int, names: Sequence[str], cradle: Cradle, *, settle: bool) -> Outcome:
    """Live through one world; its folder is kept when a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"keel-crash-{seed}-"))
    with world(seed, folder, cradle) as made:
        outcome = lived_through(made, names, settle=settle)
    told = f"seed {seed}: {outcome.kills} kills, {outcome.orders} orders, {outcome.seconds:.0f} s"
    sys.stderr.write(f"{told}\n")
    for text in outcome.violations:
        sys.stderr.write(f"{text}\nkept in {folder}; again: python -m tests.crash --seed {seed} --kills {len(names)}\n")
    if not outcome.violations:
        shutil.rmtree(folder)
    return outcome


def _report(outcomes: Sequence[Outcome], seconds: float) -> dict[str, object]:
    names = ("kills", "restarts", "orders", "fills", "stops", "transactions", "lost")
    hits: Counter[str] = sum((outcome.hits for outcome in outcomes), Counter())
    return {
        **{name: sum(getattr(outcome, name) for outcome in outcomes) for name in names},
        "hits": dict(hits),
        "violations": [text for outcome in outcomes for text in outcome.violations],
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
