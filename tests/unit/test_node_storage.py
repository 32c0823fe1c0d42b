"""When the disk fails: nothing leaves that is not recorded, the reason is told, and there is a backup for each day."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import wiring
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig, StartSession
from engine.domain.event import SessionState
from engine.domain.order import OrderIntent
from engine.domain.transaction import OrderCreated
from engine.node import TradingNode
from engine.ports import SubmitOutcome
from engine.store.checkup import verify
from engine.store.places import backups
from tests.unit.session.faulty import FaultyBroker
from tests.unit.test_node import wait_for

HOUR = SessionConfig(
    mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=None, duration_s=3_600
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TradingNode]:
    made = TradingNode(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    yield made
    assert made.stop(20), "the session thread did not end"


@pytest.fixture
def file_sizes() -> Iterator[None]:
    """Give the process its right to write back, whatever the test took away."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class FillingDisk(FaultyBroker):
    """The simulated broker; after its second order the disk under the database is full."""

    node: TradingNode

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        outcome = super().submit(intent)
        if len(self.submitted) == 2:
            log = Path(f"{self.node.database_path}-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (log, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return outcome


def session_on_a_disk_that_fills(node: TradingNode) -> FillingDisk:
    prepared = wiring.prepare(HOUR, node.settings)
    broker = FillingDisk(prepared.broker)  # type: ignore[arg-type]
    broker.node = node
    node.submit(StartSession(command_id="s", config=HOUR), replace(prepared, broker=broker))
    assert node.wait_until_idle(60)
    return broker


def test_an_intent_that_cannot_be_recorded_is_not_sent_and_the_session_faults(
    node: TradingNode, file_sizes: None
) -> None:
    broker = session_on_a_disk_that_fills(node)
    assert node.snapshot.session_state is SessionState.FAULTED
    assert "The journal console.sqlite cannot be written (" in node.snapshot.reason
    assert len(broker.submitted) == 2
    conn = sqlite3.connect(node.database_path)
    recorded = {row[0] for row in conn.execute("SELECT client_order_id FROM orders")}
    conn.close()
    at_broker = {
        one.client_order_id
        for one in broker.inner.transactions_since(0)
        if isinstance(one, OrderCreated) and one.client_order_id
    }
    assert len(at_broker) == 2 and at_broker <= recorded
    assert [check for check in verify(node.database_path) if not check.ok] == []


def test_the_next_session_starts_when_there_is_room_again(node: TradingNode, file_sizes: None) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    session_on_a_disk_that_fills(node)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    node.submit(StartSession(command_id="t", config=HOUR))
    assert node.wait_until_idle(60)
    assert node.snapshot.session_state is SessionState.STOPPED
    conn = sqlite3.connect(node.database_path)
    assert conn.execute("SELECT status FROM runs ORDER BY run_id").fetchall() == [("ABORTED",), ("STOPPED",)]
    conn.close()


def test_each_day_has_one_backup_made_when_a_session_begins_or_ends(
    node: TradingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        node.submit(StartSession(command_id=str(number), config=HOUR))
        assert node.wait_until_idle(60)
    (made,) = backups(node.database_path)
    conn = sqlite3.connect(made)
    assert conn.execute("SELECT status FROM runs").fetchall() == [("STOPPED",)]
    conn.close()
    tomorrow_ns = wiring.wall_ns() + 86_400 * 10**9
    monkeypatch.setattr(wiring, "wall_ns", lambda: tomorrow_ns)
    seen = []
    prepared = wiring.prepare(HOUR, node.settings)
    broker = FaultyBroker(prepared.broker)  # type: ignore[arg-type]
    broker.on_submit = lambda intent: seen.append(len(backups(node.database_path)))
    node.submit(StartSession(command_id="tomorrow", config=HOUR), replace(prepared, broker=broker))
    assert node.wait_until_idle(60)
    assert seen and set(seen) == {2}, "the backup of the day is made before the first order"


def test_a_backup_that_cannot_be_made_does_not_stop_trading(node: TradingNode) -> None:
    (node.database_path.parent / "backups").write_text("in the way")
    for number in range(2):
        node.submit(StartSession(command_id=str(number), config=HOUR))
        assert node.wait_until_idle(60)
        assert node.snapshot.session_state is SessionState.STOPPED
    assert node.alive


def test_a_replay_does_not_wait_for_a_backup(tmp_path: Path, node: TradingNode) -> None:
    lines = ["time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"]
    lines += [f"2024-03-05T08:{minute:02}:00Z," + ",".join(["1.2"] * 4 + ["1.2001"] * 4) for minute in range(60)]
    (tmp_path / "EUR_USD.csv").write_text("\n".join(lines) + "\n")
    replay = replace(HOUR, mode=Mode.REPLAY, duration_s=None, bars=(("EUR_USD", str(tmp_path / "EUR_USD.csv")),))
    node.submit(StartSession(command_id="r", config=replay))
    assert node.wait_until_idle(60)
    assert node.snapshot.session_state is SessionState.STOPPED
    assert backups(node.database_path) == []


def test_a_damaged_database_is_not_started_on_and_the_newest_backup_is_named(node: TradingNode) -> None:
    node.submit(StartSession(command_id="a", config=HOUR))
    assert node.wait_until_idle(60)
    (made,) = backups(node.database_path)
    settings = node.settings
    assert node.stop(20)
    whole = node.database_path.read_bytes()
    node.database_path.write_bytes(whole[: len(whole) // 2])
    again = TradingNode(settings)
    try:
        again.submit(StartSession(command_id="b", config=HOUR))
        wait_for("the verdict", lambda: bool(again.snapshot.verdicts))
        verdict = again.snapshot.verdicts[-1]
        assert not verdict.accepted
        assert "is damaged" in verdict.detail and str(made) in verdict.detail
    finally:
        assert again.stop(20)


def test_a_session_that_runs_over_midnight_is_backed_up_again(node: TradingNode) -> None:
    weeks = replace(HOUR, speed=86_400.0, duration_s=None)
    node.submit(StartSession(command_id="s", config=weeks))
    wait_for("a bar", lambda: node.snapshot.counts.bars > 0)
    for path in backups(node.database_path):
        path.unlink()  # it is yesterday's, as far as this session knows
    node._day -= 1
    seen = node.snapshot.revision
    wait_for("another picture", lambda: node.snapshot.revision > seen + 2)
    assert len(backups(node.database_path)) == 1
    assert node.snapshot.session_state is SessionState.RUNNING
