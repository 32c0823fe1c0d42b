"""A practice session against the venue ends with the ledger of a sandbox session on the same seed."""

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine import wiring
from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.command import Mode, SessionConfig
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.ports import Broker, MarketData
from engine.prediction.registry import ModelRegistry
from engine.redaction import Secret
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store import queries
from engine.store.journal import JournalStore, open_journal
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms

SEED = 7
STEP_S = 5
MINUTES = 90
INSTRUMENTS = ("EUR_USD", "USD_JPY")
LIMITS = RiskLimits(order_interval_s_min=Decimal(60), stop_loss_atr=Decimal(3), take_profit_atr=Decimal(4))


class Latch:
    """A kill switch that nobody pulls."""

    noted = ""

    def set(self, reason: str) -> None:
        raise AssertionError(reason)

    def engaged(self) -> None:
        return None

    def release(self) -> None:
        return None


class HandClock:
    """Market time that follows the hand."""

    is_simulated = True

    def __init__(self, time: HandTime) -> None:
        self._time = time

    def now_ns(self) -> int:
        return DEFAULT_START_NS + int(self._time.seconds * NS_PER_S)

    def drift_ns(self) -> int:
        return 0

    def wait_until(self, deadline_ns: int, wake: object) -> None:
        raise AssertionError("the test steps by itself")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JournalStore]:
    made = open_journal(tmp_path / "keel.sqlite", wall_ns=lambda: 1)
    yield made
    made.close()


def session_of(
    store: JournalStore, models: Path, mode: Mode, time: HandTime, data: MarketData, broker: Broker
) -> TradingSession:
    config = SessionConfig(mode=mode, instruments=INSTRUMENTS, limits=LIMITS, model_id="sma-cross:3/8")
    return TradingSession(
        SessionParts(
            config=config,
            clock=HandClock(time),
            market_data=data,
            broker=broker,
            predictor=ModelRegistry(models).load(config.model_id),
            journal=store.begin_run(),
            kill=Latch(),
            instruments=broker.instruments(),
            engine_version="test",
        )
    )


def lived(session: TradingSession, time: HandTime) -> None:
    """Step every five market seconds, as long as bars of the venue are."""
    session.step()
    for _ in range(MINUTES * 60 // STEP_S):
        time.pass_by(STEP_S)
        session.step()
    session.stop("the test is over")


def sandbox_run(store: JournalStore, models: Path) -> None:
    time = HandTime()
    names = wiring._sandbox_instruments(SessionConfig(instruments=INSTRUMENTS))
    traded = {name: CATALOGUE[name] for name in names}
    broker = SimBroker(instruments=traded, currency="USD", balance=Decimal(100_000), start_ns=DEFAULT_START_NS)
    data = SimMarketData(source=GeneratedMarket(SEED, names), broker=broker)
    lived(session_of(store, models, Mode.SANDBOX, time, data, broker), time)


def practice_run(store: JournalStore, models: Path) -> None:
    time = HandTime()
    with running(terms(seed=SEED), time) as (url, _):
        access = Access(environment="practice", token=Secret(TOKEN), account_id=ACCOUNT, loopback_url=url)
        desk = OandaDesk(access, Means(monotonic_s=time, wait=time.pass_by, draw=random.Random(1).random))
        time.seconds = 0.0
        try:
            data = desk.market_data("USD", HandClock(time).now_ns, 1.0)
            lived(session_of(store, models, Mode.PRACTICE, time, data, desk.broker), time)
        finally:
            desk.close()


def test_the_same_bars_make_the_same_ledger(store: JournalStore, tmp_path: Path) -> None:
    sandbox_run(store, tmp_path / "models")
    practice_run(store, tmp_path / "models")
    conn = queries.connect_readonly(store.path)
    practice, sandbox = queries.runs(conn)
    told = "instrument", "side", "units", "entry_ns", "entry_price", "exit_ns", "exit_price", "realized_pl_home"
    trades = [
        [tuple(getattr(trade, name) for name in (*told, "stop_loss", "take_profit", "exit_reason")) for trade in found]
        for found in (queries.trades(conn, run.run_id, limit=-1) for run in (sandbox, practice))
    ]
    assert len(trades[0]) >= 10
    assert {trade[0] for trade in trades[0]} == set(INSTRUMENTS)
    assert {trade[-1] for trade in trades[0]} >= {"exit", "stop loss"}
    assert trades[0] == trades[1]
    for name in ("status", "bars", "decisions", "orders", "fills", "trades", "opening_balance_home"):
        assert getattr(practice, name) == getattr(sandbox, name)
    assert practice.closing_balance_home == sandbox.closing_balance_home != sandbox.opening_balance_home
    assert practice.equity_home == sandbox.equity_home
    conn.close()
