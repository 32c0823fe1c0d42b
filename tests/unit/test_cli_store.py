"""`store verify|rebuild|backup`: one line per check, exit codes for scripts, and never in an engine's way."""

import json
import sqlite3
from pathlib import Path

import pytest

from engine.cli import main
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig, StartSession
from engine.domain.event import SessionState
from engine.node import TradingNode
from tests.unit.store.tape import opened_store, record, story
from tests.unit.test_node import wait_for

CHECKS = ["file", "sequence", "chain", "events", "balances", "tables"]
ENDLESS = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=86_400.0)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the data folder, with one finished run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "console.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["store", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def change(path: Path, sql: str) -> None:
    conn = sqlite3.connect(path)
    conn.executescript(sql)
    conn.close()


def test_verify_prints_a_line_for_each_check_of_a_sound_database(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "verify")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [line[0] for line in lines] == ["ok"] * len(CHECKS)
    assert [line[1] for line in lines] == CHECKS


def test_verify_names_what_is_broken_and_where(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(database, "UPDATE trades SET realized_pl_home = '1000000' WHERE trade_id = '9'")
    code, out, _ = run(capsys, "verify", "--db", str(database))
    assert code == 1
    assert [line.split()[1] for line in out.splitlines() if line.startswith("BROKEN")] == ["tables"]
    code, out, _ = run(capsys, "verify", "--db", str(database), "--json")
    told = json.loads(out)
    seq = sqlite3.connect(database).execute("SELECT seq FROM trades WHERE trade_id = '9'").fetchone()[0]
    assert (code, told["database"], told["ok"]) == (1, str(database), False)
    assert [check["check"] for check in told["checks"]] == CHECKS
    assert [(check["check"], check["seq"]) for check in told["checks"] if not check["ok"]] == [("tables", seq)]


def test_rebuild_repairs_what_verify_found(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(database, "DELETE FROM trades; UPDATE runs SET status = 'FAULTED'")
    assert run(capsys, "verify")[0] == 1
    assert run(capsys, "rebuild")[0] == 0
    assert run(capsys, "verify")[0] == 0


def test_backup_writes_a_sound_copy_and_prints_its_path(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "backup")
    made = Path(out.strip())
    assert code == 0 and made.parent == database.parent / "backups"
    code, out, _ = run(capsys, "backup", "--out", str(tmp_path / "mine.sqlite"))
    assert (code, out.strip()) == (0, str(tmp_path / "mine.sqlite"))
    for copy in (made, tmp_path / "mine.sqlite"):
        assert run(capsys, "verify", "--db", str(copy))[0] == 0
    code, _, error = run(capsys, "backup", "--out", str(tmp_path / "mine.sqlite"))
    assert code == 2 and "not overwritten" in error


@pytest.mark.parametrize("command", ["verify", "rebuild", "backup"])
def test_a_database_that_is_not_there_is_one_sentence_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, error = run(capsys, command, "--db", str(tmp_path / "none" / "x.sqlite"))
    assert (code, out) == (2, "")
    assert "does not exist" in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_while_an_engine_trades_it_can_be_checked_and_copied_but_not_rebuilt(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = TradingNode(Settings(data_dir=database.parent, models_dir=database.parent / "models"))
    try:
        node.submit(StartSession(command_id="s", config=ENDLESS))
        wait_for("a trade", lambda: node.snapshot.counts.fills > 2)
        assert run(capsys, "verify")[0] == 0
        copy = str(database.with_name("copy.sqlite"))
        assert run(capsys, "backup", "--out", copy)[0] == 0
        assert run(capsys, "verify", "--db", copy)[0] == 0
        code, _, error = run(capsys, "rebuild")
        assert code == 2 and "is in use by process" in error
        assert node.snapshot.session_state is SessionState.RUNNING
    finally:
        assert node.stop(20)
    assert run(capsys, "rebuild")[0] == 0
    assert run(capsys, "verify")[0] == 0
