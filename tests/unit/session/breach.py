"""A session that can be brought to a breach: real broker, real journal, and a market that is made frame by frame.

What the next frame looks like is in the test's hand, so that it can be told apart what the market did, what a person
did and what the session made of it.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from engine.adapters.clock import PacedClock
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.command import (
    LOOSEN,
    AcknowledgeBreaker,
    ClosePosition,
    Command,
    Mode,
    ResumeTrading,
    SessionConfig,
    UpdateRiskLimits,
)
from engine.domain.decision import Prediction, PredictionFault
from engine.domain.event import AlertRaised
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote
from engine.domain.order import OrderIntent
from engine.domain.window import BarWindow
from engine.node import HaltLatch
from engine.ports import PredictorSpec
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import open_journal
from tests.unit.session.faulty import FaultyBroker, FaultyMarketData
from tests.unit.session.rig import LIMITS, LOOKBACK, MONDAY_NS, PIP, Script

FRAME_NS = 5 * NS_PER_S
PRICES = {"EUR_USD": Decimal("1.10000"), "GBP_USD": Decimal("1.25000")}


def at(text: str) -> int:
    """A moment from its UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


class HandMarket:
    """A source of five-second bars: each stands where `mids` says, is `spread` wide and reaches `reach` up and down."""

    granularity = Granularity.S5

    def __init__(self, names: Sequence[str]) -> None:
        self.instruments = tuple(names)
        self.mids = {name: PRICES[name] for name in names}
        self.spread = self.reach = PIP
        self._past: dict[str, list[Bar]] = {name: [] for name in names}
        self._open_ns = MONDAY_NS
        for _ in range(LOOKBACK):
            self.pop()
        self.start_ns = self._open_ns

    def peek_ns(self) -> int:
        return self._open_ns + FRAME_NS

    def pop(self) -> Sequence[Bar]:
        frame = [self._bar(name) for name in self.instruments]
        for one in frame:
            self._past[one.instrument].append(one)
        self._open_ns += FRAME_NS
        return frame

    def history(self, instrument: str, granularity: Granularity, count: int) -> Sequence[Bar]:
        return self._past[instrument][-count:]

    def jump(self, close_ns: int) -> None:
        """Let the next bar close at this moment; there are none until then."""
        self._open_ns = close_ns - FRAME_NS

    def _bar(self, name: str) -> Bar:
        bid, ask, reach = self.mids[name] - self.spread / 2, self.mids[name] + self.spread / 2, self.reach
        return Bar(
            instrument=name, granularity=self.granularity, open_ts_ns=self._open_ns,
            bid_open=bid, bid_high=bid + reach, bid_low=bid - reach, bid_close=bid,
            ask_open=ask, ask_high=ask + reach, ask_low=ask - reach, ask_close=ask,
        )  # fmt: skip


class HandModel:
    """A model that wants, on every bar, what the test wants now; a faulty one answers nothing."""

    def __init__(self) -> None:
        self.wants: dict[str, int] = {}
        self.confidence = 1.0
        self.is_faulty = False

    @property
    def spec(self) -> PredictorSpec:
        return Script({}).spec

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        if self.is_faulty:
            return PredictionFault(reason="it is broken")
        return Prediction(direction=self.wants.get(window.instrument, 0), confidence=self.confidence)


class OddMarketData(FaultyMarketData):
    """Market data whose quotes are old by age_s, stand `shift` beside the bar, and whose last bars may come again."""

    age_s = 0
    shift = Decimal(0)
    comes_again = False
    _last: Sequence[Quote | Bar] = ()

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        items = [self._odd(one) for one in super().poll(now_ns)]
        if self.comes_again:
            return self._last
        self._last = [one for one in items if isinstance(one, Bar)] or self._last
        return items

    def _odd(self, one: Quote | Bar) -> Quote | Bar:
        if isinstance(one, Bar):
            return one
        ts_ns = one.ts_ns - self.age_s * NS_PER_S
        return msgspec.structs.replace(one, ts_ns=ts_ns, bid=one.bid + self.shift, ask=one.ask + self.shift)


class Listener:
    """Somebody who hears every alert."""

    def __init__(self) -> None:
        self.heard: list[AlertRaised] = []

    def notify(self, alert: AlertRaised) -> None:
        self.heard.append(alert)


class World:
    """The session and everything around it. is_outside lets it take itself for one on an account at a broker."""

    def __init__(
        self,
        folder: Path,
        patch: pytest.MonkeyPatch,
        *,
        names: Sequence[str] = ("EUR_USD",),
        limits: dict[str, Any] | None = None,
        is_outside: bool = False,
    ) -> None:
        self.folder, self.patch = folder, patch
        self.source, self.model, self.listener = HandMarket(names), HandModel(), Listener()
        instruments = {name: CATALOGUE[name] for name in names}
        inner = SimBroker(
            instruments=instruments, currency="USD", balance=Decimal(100_000), start_ns=self.source.start_ns
        )
        self.broker = FaultyBroker(inner)
        self.market = OddMarketData(SimMarketData(source=self.source, broker=inner))
        self.clock = PacedClock(self.source.start_ns, None)
        self.latch = HaltLatch(folder / "HALT")
        self.store = open_journal(folder / "made.sqlite", wall_ns=lambda: 1)
        config = SessionConfig(
            mode=Mode.PRACTICE if is_outside else Mode.REPLAY, instruments=tuple(names), granularity=Granularity.S5,
            model_id="script", speed=1.0 if is_outside else None, limits=replace(LIMITS, **limits or {}),
        )  # fmt: skip
        self.session = TradingSession(
            SessionParts(
                config=config, clock=self.clock, market_data=self.market, broker=self.broker, predictor=self.model,
                journal=self.store.begin_run(), kill=self.latch, instruments=instruments, engine_version="test",
                alerter=self.listener,
            )
        )  # fmt: skip
        self.desk = self.session.desk
        self.session.step()
        self._commands = 0

    @property
    def limits(self) -> RiskLimits:
        return self.desk.limits

    @property
    def sent(self) -> list[OrderIntent]:
        """Every order that came to the broker's door."""
        return self.broker.submitted

    def frame(self) -> None:
        """Play one frame: a bar of each instrument closes."""
        due_ns = self.source.peek_ns()
        self.clock.wait_until(due_ns, Event())
        self.session.step()

    def frames(self, count: int) -> None:
        for _ in range(count):
            self.frame()

    def look(self) -> None:
        """Step without any news."""
        self.session.step()

    def wait(self, seconds: int) -> None:
        """Let time pass in which no price comes, and step."""
        until_ns = self.clock.now_ns() + seconds * NS_PER_S
        self.source.jump(until_ns + FRAME_NS)
        self.clock.wait_until(until_ns, Event())
        self.session.step()

    def pass_by(self, seconds: int) -> None:
        """Let the next bar close so many seconds from now."""
        self.source.jump(self.clock.now_ns() + seconds * NS_PER_S)

    def again(self) -> None:
        """Let the newest bars come once more, to a session that has lost sight of them."""
        for name in self.source.instruments:
            bars = self.source.history(name, self.source.granularity, LOOKBACK + 1)
            self.desk.forget(name)
            for one in bars[:-1]:
                self.desk.remember(one)
        self.market.comes_again = True
        self.session.step()
        self.market.comes_again = False

    def command(self, kind: type[Command], **fields: Any) -> tuple[bool, str]:
        """Carry a command out between two frames; returns the verdict."""
        self._commands += 1
        self.session.step([kind(command_id=f"c{self._commands}", **fields)])
        verdict = self.desk.verdicts[-1]
        return verdict.accepted, verdict.detail

    def change(self, **limits: Any) -> None:
        """Change limits as a person does who knows the words for it."""
        assert self.command(UpdateRiskLimits, limits=replace(self.limits, **limits), confirmation=LOOSEN)[0]

    def resume(self) -> tuple[bool, str]:
        """Resume as a person does: when it was pressed is noted at once, before the command is carried out."""
        self.latch.ask_release()
        return self.command(ResumeTrading)

    def release(self, breaker: str) -> None:
        assert self.command(AcknowledgeBreaker, breaker=breaker, reason="looked into it")[0]

    def enter(self, name: str = "EUR_USD") -> None:
        """Let the model buy on one bar."""
        self.model.wants = {name: 1}
        self.frame()
        self.model.wants = {}
        assert self.desk.ledger.units(name) > 0, self.desk.decisions[-1]

    def close(self, name: str = "EUR_USD") -> None:
        """Let a person close a position; it was bought at the ask and is sold at the bid, so that it loses."""
        assert self.command(ClosePosition, instrument=name) == (True, f"{name} closed")

    def fall(self, pips: int, name: str = "EUR_USD") -> None:
        """Let the next bar open so much lower: a stop above it is filled at its first price."""
        self.source.mids[name] -= pips * PIP
        self.frame()

    def newest_seq(self) -> int:
        return int(self._ask("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def events(self, kind: str, after: int = 0) -> list[dict[str, Any]]:
        """What the journal has of one kind, oldest first."""
        rows = self._ask("SELECT payload FROM events WHERE kind = ? AND seq > ? ORDER BY seq", kind, after)
        return [json.loads(payload) for (payload,) in rows]

    def end(self) -> None:
        self.store.close()

    def _ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        self.session.commit()
        connection = sqlite3.connect(self.store.path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


Make = Callable[..., World]
