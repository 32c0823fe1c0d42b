"""Fault injection at the ports: adapters that wrap the real simulated venue and fail when a test says so."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from engine.adapters.clock import PacedClock
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.account import Account, Holdings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import RetryLater
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar, Granularity, Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import Transaction
from engine.node import HaltLatch
from engine.ports import MarketData, NotSent, Opening, SubmitOutcome, Unresolved
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import open_journal
from tests.unit.session.rig import LIMITS, LOOKBACK, Rig, Script, series

NOT_SENT = NotSent(reason="connection refused")
LOST_ORDER = Unresolved(reason="the connection broke while sending")
LOST_ANSWER = Unresolved(reason="no answer within 5 s")


class FaultyBroker:
    """The simulated broker behind a bad line.

    outcomes holds what the n-th submit (from 1) answers instead: NOT_SENT and LOST_ORDER never reach the broker,
    LOST_ANSWER does. The log is read up to log_end only (None: all of it), and not at all while unreadable has a text;
    a lazy broker reads it only when it has to be read afresh. services and served are the same as outcomes and
    submitted for protect and close_trade together, which are told as ("protect", trade id) and ("close", trade id).
    """

    def __init__(self, inner: SimBroker) -> None:
        self.inner = inner
        self.submitted: list[OrderIntent] = []
        self.outcomes: dict[int, SubmitOutcome] = {}
        self.served: list[tuple[str, str]] = []
        self.services: dict[int, SubmitOutcome] = {}
        self.on_submit: Callable[[OrderIntent], None] = lambda intent: None
        self.change: Callable[[OrderIntent], OrderIntent] = lambda intent: intent
        self.log_end: int | None = None
        self.unreadable = ""
        self.lazy = False
        self.on_read: Callable[[bool], None] = lambda afresh: None

    def opening(self) -> Opening:
        return self.inner.opening()

    def account(self) -> Account:
        return self.inner.account()

    def instruments(self) -> Mapping[str, Instrument]:
        return self.inner.instruments()

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        self.submitted.append(intent)
        self.on_submit(intent)
        outcome = self.outcomes.get(len(self.submitted))
        if outcome in (NOT_SENT, LOST_ORDER):
            return outcome
        if outcome is not None:
            self.log_end = self.inner.account().last_transaction_id
        answer = self.inner.submit(self.change(intent))
        return outcome or answer

    def holdings(self) -> Holdings:
        if self.unreadable:
            raise RetryLater(self.unreadable)
        return self.inner.holdings()

    def protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> SubmitOutcome:
        return self._served("protect", trade_id, lambda: self.inner.protect(trade_id, instrument, stop_loss))

    def close_trade(self, trade_id: str, instrument: str) -> SubmitOutcome:
        return self._served("close", trade_id, lambda: self.inner.close_trade(trade_id, instrument))

    def transactions_since(self, transaction_id: int, *, afresh: bool = False) -> Sequence[Transaction]:
        self.on_read(afresh)
        if self.unreadable:
            raise RetryLater(self.unreadable)
        if self.lazy and not afresh:
            return []
        fresh = self.inner.transactions_since(transaction_id)
        return [one for one in fresh if self.log_end is None or one.transaction_id <= self.log_end]

    def _served(self, what: str, trade_id: str, serve: Callable[[], SubmitOutcome]) -> SubmitOutcome:
        self.served.append((what, trade_id))
        outcome = self.services.get(len(self.served))
        if outcome in (NOT_SENT, LOST_ORDER):
            return outcome
        if outcome is not None:
            self.log_end = self.inner.account().last_transaction_id
        answer = serve()
        return outcome or answer


class FaultyMarketData:
    """The simulated market data with outages: polls that fail, a market that is closed, and history that is short."""

    def __init__(self, inner: MarketData) -> None:
        self.inner = inner
        self.polls = 0
        self.outage = ""
        self.closed = False
        self.no_history: dict[str, str] = {}
        self.history_max: dict[str, int] = {}

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        self.inner.start(instruments, granularity)

    def watch(self, instrument: str) -> None:
        self.inner.watch(instrument)

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        self.polls += 1
        if self.outage:
            raise RetryLater(self.outage)
        items = self.inner.poll(now_ns)
        return (
            [replace(each, tradeable=False) if isinstance(each, Quote) else each for each in items]
            if self.closed
            else items
        )

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        if instrument in self.no_history:
            raise RetryLater(self.no_history[instrument])
        bars = self.inner.history(instrument, count)
        return bars[len(bars) - self.history_max.get(instrument, len(bars)) :]

    def next_due_ns(self) -> int | None:
        return self.inner.next_due_ns()


class FaultyRig(Rig):
    """A rig whose market data and broker can fail."""

    broker: FaultyBroker  # type: ignore[assignment]
    market: FaultyMarketData


def make_faulty(
    folder: Path,
    bars: Sequence[Sequence[Bar]],
    signals: dict[int, int],
    *,
    limits: RiskLimits = LIMITS,
    latch: HaltLatch | None = None,
    warmup_timeout_s: int = 60,
    duration_s: int | None = None,
    venue_speed: float | None = None,
    prepare: Callable[[FaultyMarketData], None] = lambda market: None,
) -> FaultyRig:
    """Build a session over one list of bars per instrument, not stepped yet; `prepare` breaks the market first.

    With a venue_speed it takes itself for one at a venue whose time runs so fast; it is stepped by hand all the same.
    """
    names = tuple(one[0].instrument for one in bars)
    source = RecordedBars([series(one) for one in bars], LOOKBACK)
    instruments = {name: CATALOGUE[name] for name in names}
    config = SessionConfig(
        mode=Mode.PRACTICE if venue_speed else Mode.REPLAY, instruments=names, model_id="script", speed=venue_speed,
        limits=limits, warmup_timeout_s=warmup_timeout_s, duration_s=duration_s,
    )  # fmt: skip
    inner = SimBroker(instruments=instruments, currency="USD", balance=config.capital_home, start_ns=source.start_ns)
    broker, market = FaultyBroker(inner), FaultyMarketData(SimMarketData(source=source, broker=inner))
    prepare(market)
    clock, latch = PacedClock(source.start_ns, None), latch or HaltLatch(folder / "HALT")
    store = open_journal(folder / "made.sqlite", wall_ns=lambda: 1)
    session = TradingSession(
        SessionParts(
            config=config, clock=clock, market_data=market, broker=broker, predictor=Script(signals),
            journal=store.begin_run(), kill=latch, instruments=instruments, engine_version="test",
        )
    )  # fmt: skip
    rig = FaultyRig(session, inner, latch, clock, folder / "made.sqlite", store.close)
    rig.broker, rig.market = broker, market
    return rig
