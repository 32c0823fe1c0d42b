"""I am the rules benchmark: what judging one intended entry by every rule costs, without and with collecting its view.
I may import the engine.
I must not count sizing, the model or the journal.
My tests are in the reading of the table.
"""

import gc
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from benchmarks import steps
from benchmarks.figure import Figure, percentile
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import GeneratedMarket
from engine.domain.market import Granularity
from engine.domain.order import OrderIntent, OrderReason, client_order_id
from engine.risk.rules import DEFAULT_RULES, assess
from engine.session import TradingSession
from engine.session.surroundings import risk_view
from engine.store.journal import open_journal

SIZES = (1, 5, 20)
FRAMES = 1_000


def measure() -> list[Figure]:
    """Microseconds of processor time per judged order, with 1, 5 and 20 instruments that are held now and then."""
    bars = GeneratedMarket(7, ["EUR_USD"]).history("EUR_USD", Granularity.M1, FRAMES)
    figures = []
    for size in SIZES:
        instruments = {name: replace(CATALOGUE["EUR_USD"], name=name) for name in steps.names(size)}
        source = RecordedBars([steps.series(bars, name, 7 * at) for at, name in enumerate(instruments)], 31)
        pairs = _judged(source, instruments)
        for what, taken, aim in (
            (f"{len(DEFAULT_RULES)} rules", [rules for _, rules in pairs], "<= 100"),
            ("view and rules", [view + rules for view, rules in pairs], ""),
        ):
            label = f"{what} on one order, {size} instruments"
            figures.append(Figure(name=f"{label}, p50", unit="us", samples=[percentile(taken, 0.5)]))
            figures.append(Figure(name=f"{label}, p99", unit="us", samples=[percentile(taken, 0.99)], aim=aim))
    return figures


def _judged(source: RecordedBars, instruments: dict) -> list[tuple[float, float]]:
    taken: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = open_journal(Path(folder) / "rules.sqlite", wall_ns=time.monotonic_ns)
        session, clock = steps.made_session(source, instruments, store, Path(folder))
        while (due_ns := session.next_due_ns()) is not None:
            clock.wait_until(due_ns, threading.Event())
            session.step()
            gc.disable()  # a collection belongs to whoever made the garbage
            taken += [_judge(session, name) for name in instruments if name in session.desk.quotes]
            gc.enable()
        store.close()
    return taken


def _judge(session: TradingSession, name: str) -> tuple[float, float]:
    """Microseconds of collecting what the rules look at, and of the rules."""
    desk = session.desk
    quote = desk.quotes[name]
    intent = OrderIntent(
        client_order_id=client_order_id(1, name, desk.now_ns, 1),
        instrument=name,
        units=Decimal(1_000),
        created_ns=desk.now_ns,
        reason=OrderReason.SIGNAL,
        price_bound=quote.ask,
        stop_loss=quote.bid - Decimal("0.0020"),
        take_profit=quote.ask + Decimal("0.0030"),
    )
    begun = time.thread_time_ns()
    view = risk_view(desk, intent, Decimal(10))
    collected = time.thread_time_ns()
    assess(intent, view)
    return (collected - begun) / 1_000, (time.thread_time_ns() - collected) / 1_000
