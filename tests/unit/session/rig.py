"""A session on hand-made bars: the real simulated broker, the real journal on a real file, a scripted model."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Event

from engine.adapters.clock import PacedClock
from engine.adapters.history.imported import ImportedBars
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.command import Command, Mode, SessionConfig
from engine.domain.decision import Prediction, PredictionFault
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar, Granularity
from engine.domain.window import BarWindow
from engine.node import HaltLatch
from engine.ports import PredictorSpec
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import open_journal

MONDAY_NS = 1_736_150_400 * 10**9  # 2025-01-06T08:00:00Z
MINUTE_NS = 60 * 10**9
LOOKBACK = 5
PIP = Decimal("0.0001")


def bar(index: int, mid: Decimal, *, instrument: str = "EUR_USD", spread: Decimal = PIP, reach: Decimal = PIP) -> Bar:
    """A quiet minute around `mid` that reaches `reach` up and down."""
    half = spread / 2
    return Bar(
        instrument=instrument,
        granularity=Granularity.M1,
        open_ts_ns=MONDAY_NS + index * MINUTE_NS,
        bid_open=mid - half,
        bid_high=mid - half + reach,
        bid_low=mid - half - reach,
        bid_close=mid - half,
        ask_open=mid + half,
        ask_high=mid + half + reach,
        ask_low=mid + half - reach,
        ask_close=mid + half,
    )


def series(bars: Sequence[Bar]) -> ImportedBars:
    """Bars as an import would have brought them."""
    return ImportedBars(
        file_name="made.csv",
        instrument=bars[0].instrument,
        granularity=Granularity.M1,
        bars=tuple(bars),
        problems=(),
        lines=len(bars),
        dropped=0,
    )


class Script:
    """A model that says what the test wrote down, by the index of the bar."""

    def __init__(self, signals: dict[int, int], fault_at: frozenset[int] = frozenset()) -> None:
        self.signals = signals
        self.fault_at = fault_at

    @property
    def spec(self) -> PredictorSpec:
        return PredictorSpec(
            model_id="script", kind="rule", title="Script", features=(), lookback_bars=LOOKBACK, instruments=(),
            instruments_max=10, granularity=None, sha256="",
        )  # fmt: skip

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        index = (window.close_ts_ns[-1] - MONDAY_NS) // MINUTE_NS - 1
        if index in self.fault_at:
            return PredictionFault(reason="scripted fault")
        return Prediction(direction=self.signals.get(index, 0), confidence=1.0)


@dataclass
class Rig:
    """A session and everything around it; step() plays one frame."""

    session: TradingSession
    broker: SimBroker
    latch: HaltLatch
    clock: PacedClock
    database: Path
    close: Callable[[], None]

    def step(self, *commands: Command) -> None:
        due_ns = self.session.next_due_ns()
        assert due_ns is not None, "the made-up bars have ended"
        self.clock.wait_until(due_ns, Event())
        self.session.step(commands)

    def command(self, *commands: Command) -> None:
        """Carry commands out between two frames."""
        self.session.step(commands)

    def play(self) -> None:
        while self.session.next_due_ns() is not None and not self.session.finished:
            self.step()
        self.session.stop("end of data")

    def rows(self, sql: str, *values: object) -> list[tuple]:
        self.session.commit()
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


LIMITS = RiskLimits(atr_period=2, stop_loss_atr=Decimal(5), take_profit_atr=Decimal(0), order_interval_s_min=Decimal(0))


def make_rig(
    folder: Path,
    bars: Sequence[Sequence[Bar]],
    signals: dict[int, int],
    *,
    limits: RiskLimits = LIMITS,
    fault_at: frozenset[int] = frozenset(),
    capital: Decimal = Decimal(100_000),
    **parts: object,
) -> Rig:
    """Build a session over one list of bars per instrument; the first LOOKBACK bars are warm-up."""
    names = tuple(one[0].instrument for one in bars)
    source = RecordedBars([series(one) for one in bars], LOOKBACK)
    instruments = {name: CATALOGUE[name] for name in names}
    broker = SimBroker(instruments=instruments, currency="USD", balance=capital, start_ns=source.start_ns)
    clock = PacedClock(source.start_ns, None)
    store = open_journal(folder / "made.sqlite", wall_ns=lambda: 1)
    latch = HaltLatch(folder / "HALT")
    config = SessionConfig(
        mode=Mode.REPLAY, instruments=names, model_id="script", speed=None, limits=limits, capital_home=capital
    )
    session = TradingSession(
        SessionParts(
            config=config,
            clock=clock,
            market_data=SimMarketData(source=source, broker=broker),
            broker=broker,
            predictor=Script(signals, fault_at),
            journal=store.begin_run(),
            kill=latch,
            instruments=instruments,
            engine_version="test",
            **parts,  # type: ignore[arg-type]
        )
    )
    session.step()
    return Rig(session, broker, latch, clock, folder / "made.sqlite", store.close)
