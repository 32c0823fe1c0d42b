"""I am the table: `python -m benchmarks [replay|steps|rules|console|venue|oanda]…` measures and prints what came out.
I may import the other benchmarks.
I must not hide a missed aim.
My tests are in the reading of the table.
"""

import platform
import sys
from collections.abc import Callable

from benchmarks import console, oanda, replay, rules, steps, venue
from benchmarks.figure import Figure

SUITES: dict[str, Callable[[], list[Figure]]] = {
    "replay": replay.measure,
    "steps": steps.measure,
    "rules": rules.measure,
    "console": console.measure,
    "venue": venue.measure,
    "oanda": oanda.measure,
}


def main(names: list[str]) -> int:
    """Run the named suites (all without names) and print one row per figure."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        sys.stderr.write(f"Benchmark {unknown[0]!r} is unknown; known are {', '.join(SUITES)}.\n")
        return 2
    sys.stdout.write(f"Python {platform.python_version()} on {platform.machine()}, one run; see the spread.\n")
    sys.stdout.write(f"{'measure':<58} {'median':>12} {'min':>12} {'max':>12} {'aim':>10}\n")
    for name in names or SUITES:
        for figure in SUITES[name]():
            sys.stdout.write(figure.row() + "\n")
            sys.stdout.flush()
    return 0


sys.exit(main(sys.argv[1:]))
