"""I am the stop-watch beside the console: a thread that wants to wake every millisecond and notes how late it was.
I may import the standard library and start Streamlit in this process.
I must not be imported by the console.
My tests are in the reading of the table.

Use: python -m benchmarks.ticker REPORT.json freeze|unfreeze streamlit-arguments…
"""

import atexit
import gc
import json
import sys
import threading
import time
from pathlib import Path

from streamlit.web.cli import main

SETTLE_S = 12.0
PERIOD_S = 0.001


def _tick(lateness: list[float], unfreeze: bool) -> None:
    time.sleep(SETTLE_S)
    if unfreeze:
        gc.unfreeze()
    due = time.perf_counter()
    while True:  # a fixed grid: each tick that falls into a stall is late, not only the one that was waiting
        due += PERIOD_S
        time.sleep(max(due - time.perf_counter(), 0.0))
        lateness.append(time.perf_counter() - due)


def _watch_collections(phase: str, info: dict[str, int]) -> None:
    """Note how long each full collection held everybody up."""
    if info["generation"] == 2 and phase == "start":
        began.append(time.perf_counter())
    elif info["generation"] == 2 and began:
        collections.append(time.perf_counter() - began.pop())


began: list[float] = []
collections: list[float] = []


def _report(path: Path, lateness: list[float]) -> None:
    ordered = sorted(lateness)
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    figures = {name: ordered[int(len(ordered) * share)] * 1_000 for name, share in shares.items()} if ordered else {}
    full = {"full_collections": len(collections), "longest_collection": max(collections, default=0.0) * 1_000}
    path.write_text(json.dumps({**figures, **full, "ticks": len(ordered)}))


if __name__ == "__main__":
    late: list[float] = []
    gc.callbacks.append(_watch_collections)
    atexit.register(_report, Path(sys.argv[1]), late)
    threading.Thread(target=_tick, args=(late, sys.argv[2] == "unfreeze"), daemon=True).start()
    sys.argv = ["streamlit", *sys.argv[3:]]
    main()
