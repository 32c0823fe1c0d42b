"""I am the step benchmark: how long the session thread takes from a frame of closed bars to its decisions.
I may import the engine.
I must not count the reading or generating of bars.
My tests are in the reading of the table.
"""

import tempfile
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from benchmarks.figure import Figure, percentile
from engine.adapters.clock import PacedClock
from engine.adapters.history.imported import ImportedBars
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import GeneratedMarket
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.command import Mode, SessionConfig
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar, Granularity
from engine.node import HaltLatch
from engine.prediction.baselines import SmaCross
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import JournalStore, open_journal

FRAMES = 2_000
SIZES = (1, 10, 50)
LIMITS = RiskLimits(
    exposure_pct_max=Decimal(3_000), positions_max=100, drawdown_pct_max=Decimal(100), daily_loss_pct_max=Decimal(100)
)


def measure() -> list[Figure]:
    """Latency per instrument of a step in which every instrument closes a bar, for 1, 10 and 50 instruments."""
    market = GeneratedMarket(7, ["EUR_USD"])
    bars = market.history("EUR_USD", Granularity.M1, FRAMES)
    figures = []
    for size in SIZES:
        taken, trades = _steps(bars, size)
        label = f"step per instrument, {size} instruments, {trades} trades"
        figures.append(Figure(name=f"{label}, p50", unit="ms", samples=[percentile(taken, 0.5)]))
        figures.append(Figure(name=f"{label}, p99", unit="ms", samples=[percentile(taken, 0.99)], aim="<= 2"))
    return figures


def _steps(bars: Sequence[Bar], size: int) -> tuple[list[float], int]:
    """Milliseconds per instrument of each step, and how many trades were made."""
    instruments = {name: replace(CATALOGUE["EUR_USD"], name=name) for name in names(size)}
    source = RecordedBars([series(bars, name, 7 * number) for number, name in enumerate(instruments)], 31)
    with tempfile.TemporaryDirectory() as folder:
        store = open_journal(Path(folder) / "steps.sqlite", wall_ns=time.monotonic_ns)
        session, clock = made_session(source, instruments, store, Path(folder))
        taken = []
        while (due_ns := session.next_due_ns()) is not None:
            clock.wait_until(due_ns, threading.Event())
            begun = time.perf_counter()
            session.step()
            taken.append((time.perf_counter() - begun) * 1_000 / size)
        session.stop("end of data")
        trades = session.desk.counts().trades
        store.close()
    return taken, trades


def made_session(
    source: RecordedBars, instruments: dict[str, Instrument], store: JournalStore, folder: Path
) -> tuple[TradingSession, PacedClock]:
    broker = SimBroker(instruments=instruments, currency="USD", balance=Decimal(10_000_000), start_ns=source.start_ns)
    clock = PacedClock(source.start_ns, None)
    parts = SessionParts(
        config=SessionConfig(mode=Mode.REPLAY, instruments=tuple(instruments), speed=None, limits=LIMITS),
        clock=clock,
        market_data=SimMarketData(source=source, broker=broker),
        broker=broker,
        predictor=SmaCross(10, 30),
        journal=store.begin_run(),
        kill=HaltLatch(folder / "HALT"),
        instruments=instruments,
        engine_version="benchmark",
    )
    session = TradingSession(parts)
    session.step()
    return session, clock


def names(size: int) -> list[str]:
    return [f"{chr(65 + number // 26)}{chr(65 + number % 26)}X_USD" for number in range(size)]


def series(bars: Sequence[Bar], name: str, shift: int) -> ImportedBars:
    """The same bars under another name, with the prices of `shift` bars later, so that signals do not coincide."""
    moved = [*bars[shift:], *bars[:shift]]
    named = tuple(
        replace(price, instrument=name, open_ts_ns=time_.open_ts_ns) for price, time_ in zip(moved, bars, strict=True)
    )
    return ImportedBars(
        file_name="made.csv", instrument=name, granularity=Granularity.M1, bars=named, problems=(),
        lines=len(named), dropped=0,
    )  # fmt: skip
