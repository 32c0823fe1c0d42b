"""The node: one thread, one owner of the data folder, commands answered, trouble told."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.config import Settings
from engine.domain.command import FlattenAll, Mode, PauseEntries, SessionConfig, StartSession, StopSession
from engine.domain.error import ConfigError
from engine.domain.event import SessionState, TradingState
from engine.node import THREAD_NAME, TradingNode

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=86_400.0)
ONE_HOUR = SessionConfig(
    mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=None, duration_s=3_600
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TradingNode]:
    made = TradingNode(Settings(data_dir=tmp_path, models_dir=tmp_path / "models"))
    yield made
    assert made.stop(20), "the session thread did not end"


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for a condition without guessing how long it takes; fail by name when it never comes."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail(f"{what} did not happen within {timeout_s} s")


def session_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_a_session_runs_to_its_end_and_is_on_disk(node: TradingNode) -> None:
    assert node.submit(StartSession(command_id="a", config=ONE_HOUR)) is None
    assert node.wait_until_idle(60)
    final = node.snapshot
    assert (final.session_state, final.reason) == (SessionState.STOPPED, "duration reached")
    assert final.counts.decisions == final.counts.bars == 60
    assert len(final.digest) == 64
    assert node.database_path.is_file()


def test_equal_sessions_have_equal_digests_and_other_seeds_other_ones(node: TradingNode) -> None:
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        node.submit(StartSession(command_id=str(number), config=replace(ONE_HOUR, seed=seed)))
        assert node.wait_until_idle(60)
        digests.append(node.snapshot.digest)
    assert digests[0] == digests[1] != digests[2]


def test_attach_finds_the_one_node_from_every_thread_and_after_a_reload(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(TradingNode.attach(settings))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    evicted = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("engine")}
    try:
        found.append(importlib.import_module("engine.node").TradingNode.attach(settings))
    finally:
        sys.modules.update(evicted)
    try:
        assert len(found) == 9 and len(set(map(id, found))) == 1
        assert len(session_threads()) == 1
    finally:
        assert found[0].stop()  # type: ignore[attr-defined]


def test_a_second_process_is_refused_and_told_the_owners_pid(node: TradingNode, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from engine.config import Settings\n"
        "from engine.node import TradingNode\n"
        "from engine.domain.error import ConfigError\n"
        "try: TradingNode(Settings(data_dir=Path(sys.argv[1])))\n"
        "except ConfigError as error: print(error); raise SystemExit(3)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert outcome.returncode == 3, outcome.stderr
    assert f"process {os.getpid()}" in outcome.stdout


def test_the_data_folder_is_free_again_after_stop(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    for _ in range(2):
        assert TradingNode(settings).stop()
    assert session_threads() == []


@pytest.mark.skipif(os.name != "posix", reason="folder permissions are tested on POSIX systems")
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        TradingNode(Settings(data_dir=tmp_path / "file" / "data"))
    assert session_threads() == []


def test_start_while_active_is_refused_with_the_reason(node: TradingNode) -> None:
    node.submit(StartSession(command_id="a", config=ENDLESS))
    wait_for("the first session", lambda: node.snapshot.active)
    node.submit(StartSession(command_id="b", config=ENDLESS))
    wait_for("the verdict", lambda: any(v.command_id == "b" for v in node.snapshot.verdicts))
    verdict = next(v for v in node.snapshot.verdicts if v.command_id == "b")
    assert not verdict.accepted and "already active" in verdict.detail
    assert len(session_threads()) == 1


def test_a_config_that_cannot_start_is_refused_and_writes_no_database(node: TradingNode) -> None:
    bad = SessionConfig(instruments=("EUR_USD",), model_id="no-such-model")
    node.submit(StartSession(command_id="a", config=bad))
    assert node.wait_until_idle(10)
    verdict = node.snapshot.verdicts[-1]
    assert not verdict.accepted and "no-such-model" in verdict.detail
    assert not node.database_path.exists()


def test_commands_without_a_session_are_answered(node: TradingNode) -> None:
    node.submit(PauseEntries(command_id="p"))
    wait_for("the verdict", lambda: bool(node.snapshot.verdicts))
    assert node.snapshot.verdicts[-1].detail == "no session is active"


def test_flatten_latches_before_the_queue_is_read_and_a_new_start_rearms(node: TradingNode) -> None:
    node.submit(StartSession(command_id="a", config=ENDLESS))
    wait_for("a position", lambda: bool(node.snapshot.positions))
    node.submit(FlattenAll(command_id="f"))
    assert node.latch.engaged()
    wait_for("flat", lambda: any(v.command_id == "f" for v in node.snapshot.verdicts) and not node.snapshot.positions)
    assert node.snapshot.trading_state is TradingState.HALTED
    node.submit(StopSession(command_id="s"))
    assert node.wait_until_idle(20)
    node.submit(StartSession(command_id="b", config=ENDLESS))
    wait_for("the next session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    assert node.snapshot.trading_state is TradingState.ACTIVE


def test_the_halt_file_keeps_a_session_from_starting(node: TradingNode, tmp_path: Path) -> None:
    (tmp_path / "HALT").write_text("by hand")
    node.submit(StartSession(command_id="a", config=ONE_HOUR))
    assert node.wait_until_idle(10)
    assert not node.snapshot.verdicts[-1].accepted and "HALT" in node.snapshot.verdicts[-1].detail


def test_a_database_that_vanishes_stops_trading_and_says_so(node: TradingNode) -> None:
    node.submit(StartSession(command_id="a", config=ENDLESS))
    wait_for("the session", lambda: node.snapshot.session_state is SessionState.RUNNING)
    node.database_path.unlink()
    assert node.wait_until_idle(30)
    assert node.snapshot.session_state is SessionState.FAULTED
    assert "console.sqlite" in node.snapshot.reason
    assert node.alive


def test_a_stopped_engine_takes_no_command(tmp_path: Path) -> None:
    node = TradingNode(Settings(data_dir=tmp_path))
    assert node.stop()
    refused = node.submit(PauseEntries(command_id="p"))
    assert refused is not None and "not running" in refused


def test_snapshot_revisions_only_grow(node: TradingNode) -> None:
    node.submit(StartSession(command_id="a", config=ONE_HOUR))
    seen = [node.snapshot.revision]
    while not node.wait_until_idle(0.001):
        seen.append(node.snapshot.revision)
    seen.append(node.snapshot.revision)
    assert seen == sorted(seen) and seen[-1] > seen[0]
