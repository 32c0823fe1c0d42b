"""Answers of the node: a page of an earlier run must not act on this one, and a refused start tells its reason once."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import wiring
from engine.config import Settings
from engine.domain.command import (
    ClosePosition,
    HaltTrading,
    Mode,
    PauseEntries,
    ResumeTrading,
    SessionConfig,
    StartSession,
)
from engine.domain.error import ConfigError
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Granularity
from engine.node import QUEUE_MAX, TradingNode
from tests.unit.session.faulty import FaultyBroker, FaultyMarketData
from tests.unit.test_node import wait_for
from tests.unit.test_node_races import gated, verdict_on

HOUR = SessionConfig(
    mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=None, duration_s=3_600
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TradingNode]:
    made = TradingNode(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    yield made
    assert made.stop(20), "the session thread did not end"


class HaltedAtTheStart(FaultyMarketData):
    """Market data under which somebody halts trading just as the session begins."""

    node: TradingNode

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        self.node.halt("halt by another hand")
        super().start(instruments, granularity)


def test_a_page_of_an_earlier_run_cannot_resume_this_one(node: TradingNode) -> None:
    node.submit(StartSession(command_id="earlier", config=HOUR))
    assert node.wait_until_idle(60)
    seen = node.snapshot.revision
    prepared, clock = gated(node.settings)
    market = HaltedAtTheStart(prepared.market_data)
    market.node = node
    node.submit(StartSession(command_id="s", config=HOUR), replace(prepared, market_data=market))
    assert clock.waiting.wait(30)
    node.submit(ResumeTrading(command_id="r", expected_revision=seen))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert not verdict_on(node, "r").accepted
    assert node.snapshot.trading_state is TradingState.HALTED


def test_a_halt_at_the_birth_of_a_session_holds(node: TradingNode) -> None:
    prepared = wiring.prepare(HOUR, node.settings)
    market = HaltedAtTheStart(prepared.market_data)
    market.node = node
    node.submit(StartSession(command_id="s", config=HOUR), replace(prepared, market_data=market))
    assert node.wait_until_idle(60)
    assert (node.snapshot.trading_state, node.snapshot.counts.orders) == (TradingState.HALTED, 0)
    assert node.snapshot.counts.decisions == 60


def test_the_verdict_on_a_start_comes_with_the_first_picture_of_its_run(node: TradingNode) -> None:
    prepared, clock = gated(node.settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    snapshot = node.snapshot
    assert [(v.command_id, v.accepted, v.detail) for v in snapshot.verdicts] == [("s", True, "run 1 started")]
    assert (snapshot.run_id, snapshot.session_state) == (1, SessionState.RUNNING)
    clock.gate.set()
    assert node.wait_until_idle(60)


def test_a_halt_is_in_force_even_when_the_queue_is_full(node: TradingNode) -> None:
    prepared, clock = gated(node.settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    for number in range(QUEUE_MAX):
        assert node.submit(ResumeTrading(command_id=f"r{number}")) is None
    assert node.submit(HaltTrading(command_id="h")) is not None
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert (node.snapshot.trading_state, node.snapshot.counts.orders) == (TradingState.HALTED, 0)


def test_queued_commands_are_answered_in_order(node: TradingNode) -> None:
    prepared, clock = gated(node.settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    for number in range(20):
        node.submit(ResumeTrading(command_id=f"r{number}"))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert [v.command_id for v in node.snapshot.verdicts] == ["s", *(f"r{number}" for number in range(20))]


def test_stopping_twice_leaves_the_next_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = TradingNode(settings)
    assert first.stop()
    second = TradingNode(settings)
    try:
        assert first.stop()
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"):
            TradingNode(settings)
    finally:
        assert second.stop()


def test_a_fault_with_a_broken_journal_tells_both_causes(node: TradingNode) -> None:
    prepared = wiring.prepare(HOUR, node.settings)
    broker = FaultyBroker(prepared.broker)  # type: ignore[arg-type]

    def explode(intent: object) -> None:
        node.database_path.unlink()
        raise OSError("the line is on fire")

    broker.on_submit = explode
    node.submit(StartSession(command_id="s", config=HOUR), replace(prepared, broker=broker))
    assert node.wait_until_idle(60)
    assert node.snapshot.session_state is SessionState.FAULTED
    assert "console.sqlite" in node.snapshot.reason and "the line is on fire" in node.snapshot.reason


def test_the_halt_file_is_seen_by_a_session_that_sends_nothing(node: TradingNode) -> None:
    node.submit(StartSession(command_id="s", config=replace(HOUR, model_id="flat", speed=3_600.0, duration_s=None)))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    node.settings.halt_path.write_text("by hand")
    wait_for("the halt", lambda: node.snapshot.trading_state is TradingState.HALTED)
    assert "HALT" in node.snapshot.reason


def test_what_waits_for_a_yes_is_done_before_the_yes_is_seen_and_never_after_a_no(node: TradingNode) -> None:
    prepared, clock = gated(node.settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    done: list[str] = []
    seen: list[bool] = []

    def note() -> None:
        done.append("yes")
        seen.append(any(verdict.command_id == "p" for verdict in node.snapshot.verdicts))

    node.submit(PauseEntries(command_id="p"), once_accepted=note)
    node.submit(ClosePosition(command_id="c", instrument="EUR_USD"), once_accepted=lambda: done.append("no"))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert verdict_on(node, "p").accepted and not verdict_on(node, "c").accepted
    node.submit(PauseEntries(command_id="late"), once_accepted=lambda: done.append("late"))
    assert not verdict_on(node, "late").accepted
    assert (done, seen) == (["yes"], [False])
