"""The node under bad timing: commands that cross, files that come and go, adapters that fail, threads that die."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from msgspec.structs import replace

from engine import wiring
from engine.adapters.clock import PacedClock
from engine.config import Settings
from engine.domain.command import (
    FlattenAll,
    HaltTrading,
    Mode,
    PauseEntries,
    ResumeTrading,
    SessionConfig,
    StartSession,
    StopSession,
)
from engine.domain.error import ConfigError, RetryLater
from engine.domain.event import SessionState, TradingState
from engine.node import QUEUE_MAX, HaltLatch, TradingNode
from engine.ports import Wake
from engine.snapshot import Verdict
from tests.unit.session.faulty import FaultyBroker, FaultyMarketData
from tests.unit.test_node import wait_for

MODEL = "sma-cross:2/5"
HOUR = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id=MODEL, speed=None, duration_s=3_600)
ENDLESS = replace(HOUR, speed=86_400.0, duration_s=None)


class GatedClock(PacedClock):
    """Market time that passes only while a test lets it: wait_until() blocks at a closed gate."""

    def __init__(self, start_ns: int) -> None:
        super().__init__(start_ns, None)
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.failure: Exception | None = None

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        self.waiting.set()
        assert self.gate.wait(30), "the test left the gate closed"
        if self.failure:
            raise self.failure
        super().wait_until(deadline_ns, wake)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")


@pytest.fixture
def node(settings: Settings) -> Iterator[TradingNode]:
    made = TradingNode(settings)
    yield made
    assert made.stop(20), "the session thread did not end"


def gated(settings: Settings, config: SessionConfig = HOUR) -> tuple[wiring.Prepared, GatedClock]:
    prepared = wiring.prepare(config, settings)
    clock = GatedClock(prepared.clock.now_ns())
    return replace(prepared, clock=clock), clock


def verdict_on(node: TradingNode, command_id: str) -> Verdict:
    wait_for(f"the verdict on {command_id}", lambda: any(v.command_id == command_id for v in node.snapshot.verdicts))
    return next(v for v in node.snapshot.verdicts if v.command_id == command_id)


def rows(node: TradingNode, sql: str) -> list[tuple]:
    connection = sqlite3.connect(node.database_path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_halt_queued_behind_a_start_holds_from_the_first_step(node: TradingNode) -> None:
    node.submit(StartSession(command_id="s", config=HOUR))
    node.submit(HaltTrading(command_id="h"))
    assert node.wait_until_idle(60)
    assert verdict_on(node, "h").accepted
    assert node.snapshot.trading_state is TradingState.HALTED
    assert node.snapshot.counts.orders == 0 and node.snapshot.counts.decisions == 60


def test_a_halt_before_a_start_does_not_outlive_it(node: TradingNode) -> None:
    node.submit(HaltTrading(command_id="h"))
    node.submit(StartSession(command_id="s", config=HOUR))
    assert node.wait_until_idle(60)
    assert node.snapshot.trading_state is TradingState.ACTIVE and node.snapshot.counts.orders > 0


def test_a_halt_from_another_thread_behind_a_queued_resume_wins(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    node.submit(ResumeTrading(command_id="r"))
    other = threading.Thread(target=node.halt, args=("halt by another hand",))
    other.start()
    other.join()
    clock.gate.set()
    assert node.wait_until_idle(60)
    verdict = verdict_on(node, "r")
    assert not verdict.accepted and "halt by another hand" in verdict.detail
    assert node.snapshot.trading_state is TradingState.HALTED and node.snapshot.counts.orders == 0


def test_a_resume_behind_a_halt_releases_it(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    node.halt()
    node.submit(ResumeTrading(command_id="r"))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert verdict_on(node, "r").accepted
    assert node.snapshot.trading_state is TradingState.ACTIVE and node.snapshot.counts.orders > 0


class RacingLatch(HaltLatch):
    """A latch that another thread sets at the moment when it is being cleared."""

    late: threading.Thread | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_reason" and value == "" and getattr(self, "_reason", ""):
            self.late = threading.Thread(target=self.set, args=("halt by another hand",))
            self.late.start()
            self.late.join(0.2)
        super().__setattr__(name, value)


def test_a_halt_at_the_moment_of_a_release_is_not_lost(tmp_path: Path) -> None:
    latch = RacingLatch(tmp_path / "HALT")
    latch.set("halt by the operator")
    latch.ask_release()
    latch.release()
    assert latch.late is not None
    latch.late.join()
    assert latch.engaged() == "halt by another hand"


def test_a_latch_that_the_file_has_set_says_whether_the_file_is_there_still(tmp_path: Path) -> None:
    path = tmp_path / "HALT"
    latch = HaltLatch(path)
    path.touch()
    there, gone = latch.engaged(), (path.unlink(), latch.engaged())[1]
    assert there == "the file HALT was found in the data folder"
    assert gone == latch.noted == f"{there} (since removed); resume to trade"
    path.touch()
    assert latch.engaged() == there
    latch.set("halt by the operator")
    path.unlink()
    assert latch.engaged() == "halt by the operator", "a person's word is not the file's"
    latch.ask_release()
    assert latch.release() is None


def test_the_halt_file_halts_a_running_session_and_its_absence_does_not_resume_it(
    node: TradingNode, settings: Settings
) -> None:
    node.submit(StartSession(command_id="s", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    settings.halt_path.write_text("by hand")
    wait_for("the halt", lambda: node.snapshot.trading_state is TradingState.HALTED)
    assert "HALT" in node.snapshot.reason
    node.submit(ResumeTrading(command_id="too early"))
    assert not verdict_on(node, "too early").accepted
    settings.halt_path.unlink()
    seen = node.snapshot.counts.decisions
    wait_for("more bars", lambda: node.snapshot.counts.decisions > seen + 5)
    assert node.snapshot.trading_state is TradingState.HALTED
    gone = "the file HALT was found in the data folder (since removed); resume to trade"
    wait_for("words that are true", lambda: node.snapshot.reason == gone)
    node.submit(ResumeTrading(command_id="now"))
    assert verdict_on(node, "now").accepted
    wait_for("trading", lambda: node.snapshot.trading_state is TradingState.ACTIVE)


def test_outages_of_market_and_broker_degrade_and_pass(node: TradingNode, settings: Settings) -> None:
    prepared = wiring.prepare(replace(ENDLESS, speed=3_600.0), settings)
    broker, market = FaultyBroker(prepared.broker), FaultyMarketData(prepared.market_data)  # type: ignore[arg-type]
    prepared = replace(prepared, broker=broker, market_data=market)
    node.submit(StartSession(command_id="s", config=prepared.config), prepared)
    wait_for("the session", lambda: node.snapshot.counts.decisions > 3)
    for part, name in ((market, "outage"), (broker, "unreadable")):
        setattr(part, name, f"{name} of the line")
        wait_for(name, lambda: node.snapshot.session_state is SessionState.DEGRADED)
        assert (node.snapshot.trading_state, node.snapshot.reason) == (TradingState.REDUCING, f"{name} of the line")
        setattr(part, name, "")
        wait_for("the recovery", lambda: node.snapshot.session_state is SessionState.RUNNING)
        assert (node.snapshot.trading_state, node.snapshot.reason) == (TradingState.ACTIVE, "")
    node.submit(StopSession(command_id="x"))
    assert node.wait_until_idle(60)
    decided = [row[0] for row in rows(node, "SELECT bar_ts_ns FROM decisions ORDER BY seq")]
    assert decided == list(range(decided[0], decided[-1] + 1, 60 * 10**9))
    assert len(decided) == node.snapshot.counts.decisions == node.snapshot.counts.bars
    assert node.snapshot.balance_home == broker.inner.account().balance_home


def test_an_adapter_that_raises_ends_the_run_and_the_next_one_starts(node: TradingNode, settings: Settings) -> None:
    prepared = wiring.prepare(HOUR, settings)
    broker = FaultyBroker(prepared.broker)  # type: ignore[arg-type]

    def explode(intent: object) -> None:
        raise OSError("the line is on fire")

    broker.on_submit = explode
    node.submit(StartSession(command_id="s", config=HOUR), replace(prepared, broker=broker))
    assert node.wait_until_idle(60)
    assert node.snapshot.session_state is SessionState.FAULTED
    assert node.snapshot.reason == "session: OSError: the line is on fire"
    assert rows(node, "SELECT status, reason FROM runs") == [("FAULTED", node.snapshot.reason)]
    assert rows(node, "SELECT status FROM orders") == [("INITIALIZED",)]
    node.submit(StartSession(command_id="t", config=HOUR))
    assert node.wait_until_idle(60)
    assert node.snapshot.session_state is SessionState.STOPPED


def test_stop_in_the_middle_of_a_run_ends_it_on_record(settings: Settings) -> None:
    node = TradingNode(settings)
    node.submit(StartSession(command_id="s", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    assert node.stop(20)
    assert node.snapshot.session_state is SessionState.STOPPED and not node.alive
    assert rows(node, "SELECT status FROM runs") == [("STOPPED",)]
    assert rows(node, "SELECT count(*) FROM decisions") == [(node.snapshot.counts.decisions,)]


def test_speed_and_pace_do_not_change_a_two_instrument_run(node: TradingNode) -> None:
    digests = []
    for number, speed in enumerate((None, 86_400.0)):
        config = replace(HOUR, instruments=("EUR_USD", "USD_JPY"), speed=speed, duration_s=1_800)
        node.submit(StartSession(command_id=str(number), config=config))
        assert node.wait_until_idle(60)
        digests.append(node.snapshot.digest)
    assert digests[0] == digests[1]


def test_commands_with_no_effect_leave_decisions_and_fills_as_they_were(node: TradingNode, settings: Settings) -> None:
    traded = []
    for number in range(2):
        prepared, clock = gated(settings)
        node.submit(StartSession(command_id=str(number), config=HOUR), prepared)
        assert clock.waiting.wait(30)
        if number:
            node.submit(StartSession(command_id="again", config=HOUR))
        clock.gate.set()
        assert node.wait_until_idle(60)
        columns = "bar_ts_ns, action, reason, units FROM decisions WHERE run_id"
        traded.append(rows(node, f"SELECT {columns} = {number + 1} ORDER BY seq"))
    assert traded[0] == traded[1] and len(traded[0]) == 60


def test_a_second_command_of_one_id_during_a_session_has_one_verdict(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    for _ in range(2):
        node.submit(PauseEntries(command_id="p"))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert [v.command_id for v in node.snapshot.verdicts] == ["s", "p"]


def test_a_double_click_on_start_is_one_run(node: TradingNode) -> None:
    for _ in range(2):
        node.submit(StartSession(command_id="s", config=HOUR))
        assert node.wait_until_idle(60)
    assert rows(node, "SELECT count(*) FROM runs") == [(1,)]


def test_a_double_click_on_start_is_not_answered_with_a_refusal(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    node.submit(StartSession(command_id="s", config=HOUR))
    clock.gate.set()
    assert node.wait_until_idle(60)
    assert [v.accepted for v in node.snapshot.verdicts if v.command_id == "s"] == [True]


def test_a_double_click_on_stop_is_not_answered_with_a_refusal(node: TradingNode) -> None:
    node.submit(StartSession(command_id="s", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    for _ in range(2):
        node.submit(StopSession(command_id="x"))
        assert node.wait_until_idle(60)
    assert [v.accepted for v in node.snapshot.verdicts if v.command_id == "x"] == [True]


class LateQueue(Queue):  # type: ignore[type-arg]
    """A queue into which somebody puts a command right after it was found empty."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then: Callable[[], object] | None = then

    def empty(self) -> bool:
        found = super().empty()
        then, self._then = (self._then, None) if found else (None, self._then)
        if then:
            then()
        return found


def test_a_command_that_comes_as_the_node_goes_to_rest_is_waited_for(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    assert node.wait_until_idle(10)
    node._commands = LateQueue(lambda: node.submit(StartSession(command_id="s", config=HOUR), prepared))
    node._wake.set()
    try:
        assert clock.waiting.wait(30)
        assert not node.wait_until_idle(0)
    finally:
        clock.gate.set()


def test_nobody_waits_for_a_dead_engine(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    clock.failure = OSError("the clock broke")
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    clock.gate.set()
    wait_for("the end of the thread", lambda: not node.alive)
    assert "the clock broke" in node.snapshot.reason and node.snapshot.session_state is SessionState.FAULTED
    assert node.wait_until_idle(2)


def test_a_dead_engine_is_found_and_says_what_it_died_of(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    clock.failure = OSError("the clock broke")
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    clock.gate.set()
    wait_for("the end of the thread", lambda: not node.alive)
    found = TradingNode.attach(settings)
    assert found is node and not found.alive
    assert (found.snapshot.session_state, found.snapshot.reason) == (SessionState.FAULTED, "engine: the clock broke")


def test_the_folder_is_free_when_another_thread_stops_the_node(settings: Settings) -> None:
    made: list[TradingNode] = []
    maker = threading.Thread(target=lambda: made.append(TradingNode(settings)))
    maker.start()
    maker.join()
    assert made[0].stop()
    TradingNode(settings).stop()


def test_a_run_after_the_database_vanished_is_on_disk_or_refused(node: TradingNode) -> None:
    node.submit(StartSession(command_id="s", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{node.database_path}{suffix}").unlink(missing_ok=True)
    assert node.wait_until_idle(30)
    node.submit(StartSession(command_id="t", config=HOUR))
    assert node.wait_until_idle(60)
    if verdict_on(node, "t").accepted and node.snapshot.session_state is not SessionState.FAULTED:
        assert rows(node, "SELECT status FROM runs")[-1:] == [("STOPPED",)]


def test_a_flatten_right_before_the_end_is_carried_out(settings: Settings) -> None:
    node = TradingNode(settings)
    prepared, clock = gated(settings, replace(HOUR, duration_s=None))
    broker = prepared.broker
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    clock.gate.set()
    wait_for("a position", lambda: broker.account().margin_used_home > 0 or not node.alive)
    clock.gate.clear()
    clock.waiting.clear()
    assert clock.waiting.wait(30)
    held = broker.account().margin_used_home > 0
    node.submit(FlattenAll(command_id="f"))
    node._closing = True
    clock.gate.set()
    assert node.stop(20)
    assert held
    assert [v.accepted for v in node.snapshot.verdicts if v.command_id == "f"] == [True]
    assert broker.account().margin_used_home == 0


class UnreadableBroker(FaultyBroker):
    def account(self) -> object:  # type: ignore[override]
        raise RetryLater("the broker cannot be reached")


def test_a_start_that_fails_at_the_broker_leaves_no_running_run(node: TradingNode, settings: Settings) -> None:
    prepared = wiring.prepare(HOUR, settings)
    node.submit(
        StartSession(command_id="s", config=HOUR),
        replace(prepared, broker=UnreadableBroker(prepared.broker)),  # type: ignore[arg-type]
    )
    assert node.wait_until_idle(30)
    assert not verdict_on(node, "s").accepted and "cannot be reached" in verdict_on(node, "s").detail
    assert rows(node, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") == [(0,)]


def test_two_nodes_on_one_folder_are_refused_in_one_process(node: TradingNode, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="in use by process"):
        TradingNode(settings)
    assert node.alive


class StoppedInBetween(threading.Event):
    """A wake-up call under which stop() begins right after the loop has looked whether it shall end."""

    node: TradingNode | None = None

    def is_set(self) -> bool:
        found = super().is_set()
        if found and self.node is not None:
            node, self.node = self.node, None
            node._closing = True
            self.set()
        return found


def test_a_stop_is_not_slept_through(settings: Settings) -> None:
    node = TradingNode(settings)
    call = StoppedInBetween()
    node._wake = call
    try:
        node.submit(StartSession(command_id="s", config=replace(ENDLESS, speed=0.1)))
        wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
        call.node = node
        node.submit(PauseEntries(command_id="p"))
        node._thread.join(3)
        assert not node.alive
    finally:
        assert node.stop(20)


def test_a_start_right_after_the_journal_broke_is_not_told_of_an_active_session(
    node: TradingNode, settings: Settings
) -> None:
    node.submit(StartSession(command_id="s", config=replace(ENDLESS, speed=0.1)))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    node.database_path.unlink()
    node.submit(PauseEntries(command_id="p"))
    wait_for("the fault", lambda: node.snapshot.session_state is SessionState.FAULTED)
    node.submit(StartSession(command_id="t", config=HOUR))
    assert "already active" not in verdict_on(node, "t").detail


def test_the_command_queue_is_bounded(node: TradingNode, settings: Settings) -> None:
    prepared, clock = gated(settings)
    node.submit(StartSession(command_id="s", config=HOUR), prepared)
    assert clock.waiting.wait(30)
    answers = [node.submit(PauseEntries(command_id=str(number))) for number in range(QUEUE_MAX + 1)]
    clock.gate.set()
    assert answers[:-1] == [None] * QUEUE_MAX
    assert answers[-1] is not None and str(QUEUE_MAX) in answers[-1]


def test_the_second_half_of_a_double_click_on_resume_does_not_release_a_later_halt(node: TradingNode) -> None:
    node.submit(StartSession(command_id="s", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    node.submit(ResumeTrading(command_id="r"))
    wait_for("the verdict", lambda: any(v.command_id == "r" for v in node.snapshot.verdicts))
    node.halt("halt by another hand")
    node.submit(ResumeTrading(command_id="r"))
    node.submit(PauseEntries(command_id="p"))
    wait_for("the verdict", lambda: any(v.command_id == "p" for v in node.snapshot.verdicts))
    assert node.latch.release() == "halt by another hand"


@pytest.mark.parametrize("second", ["start-1", "start-2"])
def test_a_start_that_comes_too_late_lets_go_of_what_was_opened_for_it(
    node: TradingNode, settings: Settings, second: str
) -> None:
    """Two tabs start at once, or one clicks twice: what the loser had prepared must not stay open for ever."""
    winner, loser = threading.Event(), threading.Event()
    first, clock = gated(settings)
    node.submit(StartSession(command_id="start-1", config=HOUR), replace(first, close=winner.set))
    assert clock.waiting.wait(20)
    node.submit(StartSession(command_id=second, config=HOUR), replace(gated(settings)[0], close=loser.set))
    clock.gate.set()
    assert loser.wait(20)
    assert node.wait_until_idle(20)
    assert winner.wait(20)
