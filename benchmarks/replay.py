"""I am the replay benchmark: whole headless sessions in fresh processes, every decision kept.
I may import the engine's sandbox to make bars, and start processes.
I must not measure a warm process.
My tests are in the reading of the table.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from engine.adapters.sim.market import GeneratedMarket
from engine.domain.calendar import iso_utc
from engine.domain.market import Bar, Granularity

BARS = 20_000
LONG_FACTOR = 4
ROUNDS = 5
# ru_maxrss is inherited over fork and exec, so a child would report this process; VmHWM is the child's own.
CHILD = (
    "import re, sys; from engine.cli import main; code = main(sys.argv[1:]); "
    "text = open('/proc/self/status').read(); "
    "sys.stderr.write(re.search(r'VmHWM:\\s+(\\d+)', text).group(1)); sys.exit(code)"
)
HEADER = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"


def measure() -> list[Figure]:
    """Replay speed at --speed max, growth of the cost per bar with the length, memory, and the time to start."""
    with tempfile.TemporaryDirectory() as folder:
        bars = _bars(BARS * LONG_FACTOR)
        short, long = Path(folder) / "EUR_USD.csv", Path(folder) / "long" / "EUR_USD.csv"
        long.parent.mkdir()
        _write(short, bars[:BARS])
        _write(long, bars)
        runs = [_run(short, Path(folder)) for _ in range(ROUNDS)]
        longs = [_run(long, Path(folder)) for _ in range(3)]
    speeds = [run["bars"] / run["seconds"] for run in runs]
    cost = [run["seconds"] / run["bars"] for run in longs]
    typical = sorted(run["seconds"] / run["bars"] for run in runs)[ROUNDS // 2]
    return [
        Figure(name="headless replay, sma-cross, every decision kept", unit="bars/s", samples=speeds, aim=">= 20,000"),
        Figure(name="trades in that replay", unit="trades", samples=[run["trades"] for run in runs]),
        Figure(
            name=f"cost per bar at {LONG_FACTOR}x the bars and trades", unit="ratio",
            samples=[one / typical for one in cost], aim="<= 1.10",
        ),
        Figure(name="whole process, imports and reading included", unit="s", samples=[run["process"] for run in runs]),
        Figure(name=f"peak memory, {BARS:,} bars", unit="MB", samples=[run["peak_kb"] / 1024 for run in runs]),
        Figure(
            name=f"peak memory, {BARS * LONG_FACTOR:,} bars", unit="MB",
            samples=[run["peak_kb"] / 1024 for run in longs],
        ),
    ]  # fmt: skip


def _bars(count: int) -> list[Bar]:
    market = GeneratedMarket(11, ["EUR_USD"])
    return list(market.history("EUR_USD", Granularity.M1, count))


def _write(path: Path, bars: list[Bar]) -> None:
    with path.open("w") as file:
        file.write(HEADER + "\n")
        for bar in bars:
            prices = (
                bar.bid_open, bar.bid_high, bar.bid_low, bar.bid_close,
                bar.ask_open, bar.ask_high, bar.ask_low, bar.ask_close,
            )  # fmt: skip
            file.write(f"{iso_utc(bar.open_ts_ns)},{','.join(map(str, prices))}\n")


def _run(path: Path, folder: Path) -> dict[str, float]:
    database = folder / f"{os.urandom(4).hex()}.sqlite"
    command = [
        sys.executable, "-c", CHILD, "session", "--mode", "replay", "--bars", str(path), "--model", "sma-cross",
        "--speed", "max", "--db", str(database), "--json", "--limit", "drawdown_pct_max=100",
        "--limit", "daily_loss_pct_max=100",
    ]  # fmt: skip
    environment = {**os.environ, "KEEL_LOG_LEVEL": "ERROR"}
    begun = os.times().elapsed
    outcome = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    result: dict[str, float] = json.loads(outcome.stdout)
    result["peak_kb"] = float(outcome.stderr.split()[-1])
    result["process"] = os.times().elapsed - begun
    return result
