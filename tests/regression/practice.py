"""A practice session at the real venue over HTTP: the faulty proxy between them, time and the model in the hand."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.adapters.oanda.desk import OandaDesk
from engine.adapters.oanda.market_data import OandaMarketData
from engine.domain.command import Command, Mode, SessionConfig
from engine.domain.decision import Prediction
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.window import BarWindow
from engine.node import HaltLatch
from engine.ports import Alerter, Predictor, PredictorSpec
from engine.session import TradingSession
from engine.session.alarm import SILENT
from engine.session.loop import SessionParts
from engine.store.journal import JournalStore, open_journal
from tests.unit.adapters.oanda.stand import Stand

STEP_S = 5.0
STEPS_MAX = 500
LIMITS = RiskLimits(
    stop_mode=StopMode.PIPS,
    stop_loss_pips=Decimal(40),
    take_profit_pips=Decimal(0),
    order_interval_s_min=Decimal(0),
    spread_pips_max={ANY: Decimal(100)},
    atr_period=2,
)


class Model:
    """A model that says on each bar whatever the test wants it to say now."""

    def __init__(self, direction: int = 0, lookback: int = 5) -> None:
        self.direction = direction
        self.spec = PredictorSpec(
            model_id="hand", kind="rule", title="Hand", features=(), lookback_bars=lookback, instruments=(),
            instruments_max=10, granularity=None, sha256="",
        )  # fmt: skip

    def predict(self, window: BarWindow) -> Prediction:
        return Prediction(direction=self.direction, confidence=1.0)


class StandClock:
    """Market time that passes when the test says so."""

    is_simulated = True

    def __init__(self, stand: Stand) -> None:
        self.now_ns = stand.now_ns

    def drift_ns(self) -> int:
        return 0

    def wait_until(self, deadline_ns: int, wake: object) -> None:
        raise AssertionError("the test steps by itself")


class Practice:
    """The session and what lies around it."""

    def __init__(
        self, stand: Stand, desk: OandaDesk, data: OandaMarketData, session: TradingSession, store: JournalStore
    ) -> None:
        self.stand = stand
        self.oanda = desk
        self.data = data
        self.session = session
        self.desk = session.desk
        self.by_hand: tuple[str, str] | None = None
        self.step_s = STEP_S
        self._store = store

    def step(self) -> None:
        """Let time pass, with a price set by hand as its last if there is one, then step once."""
        self.stand.time.pass_by(self.step_s)
        if self.by_hand:
            bid, ask = map(Decimal, self.by_hand)
            self.stand.venue.market.set_price("EUR_USD", bid, ask, None)
        self.session.step()

    def command(self, command: Command) -> tuple[bool, str]:
        """Carry a command out between two steps; returns the verdict."""
        self.session.step([command])
        return self.desk.verdicts[-1].accepted, self.desk.verdicts[-1].detail

    def until(self, truth: Callable[[], object]) -> None:
        """Step until something is so."""
        for _ in range(STEPS_MAX):
            if truth():
                return
            self.step()
        raise AssertionError("it never came true")

    def until_bars(self, count: int) -> None:
        """Step until so many more bars were decided on."""
        wanted = self.desk.decisions_made + count
        self.until(lambda: self.desk.decisions_made >= wanted)

    def units(self, instrument: str = "EUR_USD") -> Decimal:
        """What our books say is held."""
        return self.desk.ledger.units(instrument)

    def posts(self) -> list[dict[str, Any]]:
        """The orders that arrived on the wire, as they were written."""
        seen = self.stand.proxy.arrived
        return [json.loads(each.body)["order"] for each in seen if each.method == "POST"]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database, which is made durable first."""
        self.session.commit()
        conn = sqlite3.connect(self._store.path)
        try:
            return conn.execute(sql).fetchall()
        finally:
            conn.close()

    def check(self) -> None:
        """Our books are those of the venue."""
        assert self.desk.ledger.balance_home == self.stand.balance()
        assert {name: self.units(name) for name in self.desk.ledger.held} == self.stand.units()
        assert self.desk.ledger.last_transaction_id == self.stand.last_id()


@contextmanager
def practising(
    stand: Stand,
    folder: Path,
    model: Predictor,
    *,
    streams: bool = False,
    alerter: Alerter = SILENT,
    **config: Any,
) -> Iterator[Practice]:
    """Begin a session at the venue; it has not stepped yet. The same folder has the same books."""
    wanted = SessionConfig(
        **{"mode": Mode.PRACTICE, "instruments": ("EUR_USD",), "limits": LIMITS, "speed": 1.0} | config
    )
    store = open_journal(folder / "practice.sqlite", wall_ns=lambda: 1)
    try:
        with stand.desk() as desk:
            data = desk.market_data("USD", stand.now_ns, 1.0)
            past = store.past(desk.broker.opening().account)
            session = TradingSession(
                SessionParts(
                    config=wanted,
                    clock=StandClock(stand),
                    market_data=data,
                    broker=desk.broker,
                    predictor=model,
                    journal=store.begin_run(past=past),
                    kill=HaltLatch(folder / "HALT"),
                    instruments=desk.broker.instruments(),
                    engine_version="test",
                    past=past,
                    alerter=alerter,
                )
            )
            if streams:
                desk.listen(wanted.instruments)
            yield Practice(stand, desk, data, session, store)
    finally:
        store.close()
