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
    while True:
        due = time.perf_counter() + PERIOD_S
        time.sleep(PERIOD_S)
        lateness.append(time.perf_counter() - due)


def _report(path: Path, lateness: list[float]) -> None:
    ordered = sorted(lateness)
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    figures = {name: ordered[int(len(ordered) * share)] * 1_000 for name, share in shares.items()} if ordered else {}
    path.write_text(json.dumps({**figures, "ticks": len(ordered)}))


if __name__ == "__main__":
    late: list[float] = []
    atexit.register(_report, Path(sys.argv[1]), late)
    threading.Thread(target=_tick, args=(late, sys.argv[2] == "unfreeze"), daemon=True).start()
    sys.argv = ["streamlit", *sys.argv[3:]]
    main()
