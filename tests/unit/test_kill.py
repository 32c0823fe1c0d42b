"""The kill tool without a broker: the HALT file, who owns the database, the side file, and what status tells."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine import kill
from engine.cli import main
from engine.config import Settings
from engine.domain.command import Mode, ResumeTrading, SessionConfig, StartSession
from engine.domain.error import ConfigError
from engine.domain.event import TradingState
from engine.kill.actions import ActionLog
from engine.kill.halting import NotWritten, make, read
from engine.kill.owner import Owner, owner_of, owners_in
from engine.node import HaltLatch, TradingNode

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--speed", "max", "--duration", "3h", "--instruments", "EUR_USD,USD_JPY", "--model", "sma-cross:3/9"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEEL_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("KEEL_LOG_LEVEL", "WARNING")
    for name in ("OANDA_TOKEN", "OANDA_ACCOUNT_ID", "OANDA_ENVIRONMENT", "OANDA_LOOPBACK_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder, as an engine has made it."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def dead_owner(tmp_path: Path) -> Iterator[int]:
    """A node of another process that was killed with SIGKILL while it owned the data folder; its pid."""
    script = "import sys; from engine.node import TradingNode; TradingNode.attach(); print('up', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "up\n"
    child.kill()
    child.communicate()
    yield child.pid


def test_halt_makes_the_file_that_a_latch_obeys(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    path = data / "HALT"
    latch = HaltLatch(path)
    assert latch.engaged() is None
    code, out, err = run(capsys, "halt", "--reason", "prices look wrong")
    assert (code, err) == (0, "")
    assert out == f"HALT: {path} was made.\nNo engine process owns a database in {path.parent}.\n"
    assert latch.engaged() == "the file HALT was found in the data folder"
    told = json.loads(path.read_bytes())
    assert told["reason"] == "prices look wrong" and f"process {os.getpid()}" in told["who"]
    assert told["time"].endswith("Z")


def test_a_second_halt_changes_nothing(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    run(capsys, "halt", "--reason", "first")
    before = (data / "HALT").read_bytes()
    code, out, _ = run(capsys, "halt", "--reason", "second")
    assert code == 0 and "was there already" in out
    assert (data / "HALT").read_bytes() == before


def test_only_a_person_releases(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    run(capsys, "halt")
    code, out, _ = run(capsys, "halt", "--release")
    assert code == 0 and out.startswith("RELEASED: ") and not (data / "HALT").exists()
    code, out, _ = run(capsys, "halt", "--release")
    assert code == 0 and out.startswith("There is no file ")


def test_halt_names_the_engine_that_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    node = TradingNode(Settings(data_dir=tmp_path / "data"))
    try:
        out = run(capsys, "halt")[1]
    finally:
        assert node.stop()
    sentence = (
        f"Process {os.getpid()} owns console.sqlite; it sends nothing more, at the latest from its next order on."
    )
    assert out.splitlines()[1] == sentence


def test_halt_knows_a_dead_engine(dead_owner: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    database = tmp_path / "data" / "console.sqlite"
    assert owner_of(database) == Owner(database=database, pid=dead_owner, running=False)
    assert "No engine process owns a database" in run(capsys, "halt")[1]


def test_a_number_that_another_process_has_now_does_not_own_the_database(dead_owner: int, tmp_path: Path) -> None:
    database = tmp_path / "data" / "console.sqlite"
    Path(f"{database}.owner").write_text(json.dumps({"pid": os.getpid()}))
    found = owner_of(database)
    assert found is not None and (found.pid, found.running) == (os.getpid(), False)
    node = TradingNode(Settings(data_dir=database.parent))
    try:
        assert [owner.running for owner in owners_in(database.parent)] == [True]
    finally:
        assert node.stop()
    assert owners_in(database.parent) == ()


@pytest.mark.parametrize("content", ["", "7", "[]", '{"pid": null}', '{"pid": "x"}', "\x00"])
def test_an_owner_file_that_says_nothing_names_nobody(content: str, tmp_path: Path) -> None:
    (tmp_path / "console.sqlite.owner").write_text(content)
    assert owners_in(tmp_path) == ()


def test_a_halt_that_cannot_be_made_is_one_sentence_and_one(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    (data / "HALT").symlink_to(data / "nowhere")
    code, out, err = run(capsys, "halt")
    assert (code, out) == (1, "")
    assert "so nothing is halted" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [["halt"], ["halt", "--release"], ["flatten", "--yes"], ["status"]], ids=" ".join)
@pytest.mark.parametrize("misspelt", ["dta", "file"])
def test_a_data_folder_that_does_not_exist_is_refused_and_not_made(
    command: list[str], misspelt: str, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    (data.parent / "file").write_text("no folder")
    before = sorted(data.parent.rglob("*"))
    folder = data.parent / misspelt
    sentence = f"The data folder {folder} does not exist, so no engine runs on it; nothing was done.\n"
    assert run(capsys, *command, "--data", str(folder)) == (2, "", sentence)
    assert sorted(data.parent.rglob("*")) == before


def test_halt_refuses_the_folder_of_the_settings_too_when_it_does_not_exist(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, "halt")
    assert (code, out) == (2, "") and "does not exist" in err
    assert not (tmp_path / "data").exists()


def test_a_link_that_leads_nowhere_halts_nothing_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "HALT").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotWritten, match="so nothing is halted"):
        make(tmp_path / "HALT")
    assert HaltLatch(tmp_path / "HALT").engaged() is None


def test_a_halt_that_cannot_be_removed_is_one_sentence_and_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "data" / "HALT").mkdir(parents=True)
    assert "was there already" in run(capsys, "halt")[1]
    assert "HALT     yes, since " in run(capsys, "status")[1]
    code, out, err = run(capsys, "halt", "--release")
    assert (code, out) == (1, "") and "cannot be removed, so nothing is sent" in err


@pytest.mark.skipif(sys.platform != "linux", reason="needs the full device of Linux")
def test_a_full_disk_halts_all_the_same_and_that_is_said(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from engine.kill.halting import NotWritten, make\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: make(Path(sys.argv[1]))\n"
        "except NotWritten as error: raise SystemExit(str(error))\n"
    )
    path = tmp_path / "HALT"
    child = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 1 and "exists and halts, but its content could not be written" in child.stderr
    assert HaltLatch(path).engaged() is not None
    found = read(path)
    assert found is not None and found.reason == ""


@pytest.mark.parametrize("content", [b"", b"touched by hand\n", b"\xff\xfe", b'{"reason": 7}', b"[]"])
def test_a_halt_made_by_hand_is_read_whatever_stands_in_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "HALT").write_bytes(content)
    found = read(tmp_path / "HALT")
    assert found is not None and found.time == "" and found.since_ns > 0


def test_what_is_wrong_in_env_does_not_keep_a_person_from_halting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEEL_DATA_DIR")
    env = tmp_path / ".env"
    env.write_text(
        "KEEL_DATA_DIR=elsewhere\nKEEL_DATTA_DIR=x\nLIVE_TRADING=perhaps\nOANDA_ENVIRONMENT=moon\nKEEL_LOG_LEVEL=LOUD\n"
    )
    (tmp_path / "elsewhere").mkdir()
    assert run(capsys, "halt")[0] == 0
    assert (tmp_path / "elsewhere" / "HALT").is_file()


@pytest.mark.skipif(os.name != "posix", reason="file permissions are tested on POSIX systems")
def test_keys_that_are_open_to_others_do_not_keep_a_person_from_closing(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("OANDA_ENVIRONMENT=live\nOANDA_TOKEN=t\nOANDA_ACCOUNT_ID=001-1\nLIVE_TRADING=no\nOANDA_TYPO=1\n")
    env.chmod(0o644)
    (tmp_path / "d").mkdir()
    settings = kill.kill_settings(tmp_path / "d", environment={"OANDA_ACCOUNT_ID": "001-2"}, env_file=env)
    assert (settings.oanda_environment, settings.oanda_account_id, settings.data_dir) == (
        "live",
        "001-2",
        tmp_path / "d",
    )
    assert kill.kill_settings(account="001-3", environment={}, env_file=env).oanda_account_id == "001-3"


@pytest.mark.parametrize("key", ["OANDA_ENVIRONMENT", "OANDA_LOOPBACK_URL"])
def test_an_account_that_cannot_be_told_for_sure_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=key):
        kill.kill_settings(environment={key: "moon"}, env_file=tmp_path / "none")


@pytest.mark.parametrize(("key", "value"), [("OANDA_TOKEN", ""), ("OANDA_TOKEN", "t"), ("OANDA_ACCOUNT_ID", "001-1")])
def test_flatten_without_an_account_does_nothing(
    key: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key, value)
    code, out, err = run(capsys, "flatten", "--yes")
    assert (code, out) == (2, "")
    assert ".env names no account at OANDA; a simulated account is flattened by the button" in err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("timeout", ["0", "3601", "soon", "1.5"])
def test_a_bad_timeout_is_refused_before_anything_is_done(
    timeout: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OANDA_TOKEN", "t")
    monkeypatch.setenv("OANDA_ACCOUNT_ID", "001-1")
    code, out, err = run(capsys, "flatten", "--yes", "--timeout", timeout)
    assert (code, out) == (2, "") and "--timeout" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX systems")
@pytest.mark.parametrize("typed", ["flatten", "yes", ""])
def test_anything_but_the_word_flattens_nothing(typed: str, tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = os.environ | {"OANDA_TOKEN": "t", "OANDA_ACCOUNT_ID": "101-001-1234567-001"}
    child = subprocess.Popen(
        [sys.executable, "-m", "engine", "flatten"],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{typed}\n\x04\x04".encode())
    out, err = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode in (2, 130) and out.strip() == ""
    assert "Type FLATTEN to halt and to close everything in account …7001 (practice)" in err
    assert not (tmp_path / "data").exists()


def test_an_action_is_noted_before_and_after(tmp_path: Path) -> None:
    heard: list[str] = []
    log = ActionLog(tmp_path, "…7001", heard.append)
    seen: list[int] = []

    def send() -> str:
        seen.append(len((tmp_path / "kill.log").read_text().splitlines()))
        return "refused:\nline two"

    assert log.carry_out("close EUR_USD long 7", send) == "refused:\nline two"
    first, second = (json.loads(line) for line in (tmp_path / "kill.log").read_text().splitlines())
    assert seen == [1] and heard == []
    assert (first["action"], first["answer"]) == ("close EUR_USD long 7", "")
    assert (second["answer"], second["process"]) == ("refused:\nline two", os.getpid())
    assert stat.S_IMODE((tmp_path / "kill.log").stat().st_mode) & 0o077 == 0


def test_actions_go_on_without_their_log(tmp_path: Path) -> None:
    heard: list[str] = []
    log = ActionLog(tmp_path / "none", "…7001", heard.append)
    assert [log.carry_out("close", lambda: "filled") for _ in range(3)] == ["filled"] * 3
    assert len(heard) == 1 and "going on without it" in heard[0]


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a condition without guessing how long it takes; fail by name when it never comes."""
    pause = threading.Event()
    for _ in range(1_500):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail(f"{what} did not happen")


def told_by_status(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, object], str]:
    code, out, err = run(capsys, "status", "--json", *more)
    return code, json.loads(out), err


def test_status_of_nothing_is_told_and_makes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, told, err = told_by_status(capsys)
    assert (code, err) == (0, "")
    assert told == {
        "halt": {"engaged": False, "since": "", "who": "", "reason": ""},
        "engine": {"pid": None, "running": False},
        "database": {"path": str(tmp_path / "data" / "console.sqlite"), "exists": False},
        "run": None,
        "broker": None,
        "problems": [],
    }
    told_to_people = run(capsys, "status")
    assert told_to_people[0] == 0
    assert f"database {tmp_path / 'data' / 'console.sqlite'} does not exist" in told_to_people[1].splitlines()
    assert not (tmp_path / "data").exists()


def test_status_names_the_database_that_was_asked_for_and_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.sqlite"
    code, told, err = told_by_status(capsys, "--db", str(missing))
    assert (code, err) == (1, f"The database {missing} does not exist.\n")
    assert told["problems"] == [err.strip()] and told["run"] is None
    assert run(capsys, "status", "--db", str(missing))[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_status_tells_the_trading_state_of_a_session_that_waits_for_resume(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    node = TradingNode(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))

    def state() -> tuple[str, str]:
        found = told_by_status(capsys)[1]["run"]["trading_state"]  # type: ignore[index]
        return found["state"], found["reason"]

    try:
        config = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="flat", speed=86_400.0)
        node.submit(StartSession(command_id="s", config=config))
        wait_for("bars", lambda: node.snapshot.counts.bars > 3)
        assert state() == ("ACTIVE", "")
        assert run(capsys, "halt")[0] == 0
        wait_for("the halt", lambda: node.snapshot.trading_state is TradingState.HALTED)
        assert run(capsys, "halt", "--release")[0] == 0
        assert state() == ("HALTED", "the file HALT was found in the data folder")
        lines = run(capsys, "status")[1].splitlines()
        assert "HALT     no" in lines
        (line,) = (each for each in lines if each.startswith("trading  "))
        assert line.startswith("trading  HALTED since 20")
        assert line.endswith(": the file HALT was found in the data folder; it waits for Resume")
        node.submit(ResumeTrading(command_id="r"))
        wait_for("trading", lambda: node.snapshot.trading_state is TradingState.ACTIVE)
        assert state() == ("ACTIVE", "")
    finally:
        assert node.stop(20)
    over = told_by_status(capsys)[1]["run"]
    assert isinstance(over, dict) and (over["status"], over["trading_state"]) == ("STOPPED", None)


def test_status_tells_the_last_run_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(capsys, "session", *SHORT)
    run(capsys, "session", *SHORT, "--seed", "5")
    run(capsys, "halt", "--reason", "drill")
    database = tmp_path / "data" / "console.sqlite"
    with closing(sqlite3.connect(database)) as conn:
        held = conn.execute("SELECT trade_id FROM trades WHERE run_id = 2 AND state = 'OPEN'").fetchall()
        conn.execute("INSERT INTO breakers VALUES (2, 'drawdown', 1736150400000000000, '5 %', '4 %', NULL, NULL, 1)")
        conn.execute("INSERT INTO breakers VALUES (2, 'spread', 1, 'a', 'b', 2, 'looked', 2)")
        conn.commit()
    before = {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()}
    code, told, err = told_by_status(capsys)
    assert (code, err) == (0, "")
    last = told["run"]
    assert isinstance(last, dict)
    assert (last["run_id"], last["mode"], last["status"]) == (2, "sandbox", "STOPPED")
    assert last["reason"] == "duration reached" and last["started"] < last["ended"]
    assert sorted(each["trade_id"] for each in last["open_trades"]) == sorted(row[0] for row in held)
    assert last["breakers"] == [
        {"breaker": "drawdown", "tripped": "2025-01-06T08:00:00Z", "measured": "5 %", "allowed": "4 %"}
    ]
    assert {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()} == before
    code, out, _ = run(capsys, "status")
    assert code == 0
    assert "run      2, mode sandbox, STOPPED, duration reached" in out and "breaker  drawdown since" in out
    assert ": drill\n" in out


@pytest.mark.parametrize("state", ["ABORTED", "RUNNING"])
def test_status_looks_past_a_start_that_recorded_nothing(
    state: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "session", *SHORT)
    with closing(sqlite3.connect(tmp_path / "data" / "console.sqlite")) as conn:
        conn.execute("INSERT INTO runs (status, started_wall_ns) VALUES (?, 1)", [state])  # as an older Keel left it
        conn.execute("INSERT INTO breakers VALUES (1, 'drawdown', 1, '5 %', '4 %', NULL, NULL, 1)")
        conn.commit()
    last = told_by_status(capsys)[1]["run"]
    assert isinstance(last, dict)
    assert (last["run_id"], last["status"], last["breakers"][0]["breaker"]) == (1, "STOPPED", "drawdown")


def test_status_of_a_run_that_goes_on_with_books_has_what_earlier_runs_left_open(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for seed in ("1", "2", "3"):
        run(capsys, "session", *SHORT, "--seed", seed)
    with closing(sqlite3.connect(tmp_path / "data" / "console.sqlite")) as conn:
        conn.execute("UPDATE runs SET continues = 1 WHERE run_id = 3")
        conn.execute("UPDATE trades SET state = 'CLOSED'")
        left = [
            conn.execute("SELECT trade_id, run_id FROM trades WHERE run_id = ?", [number]).fetchone()
            for number in (1, 2, 3)
        ]
        for trade_id, run_id in left:
            conn.execute("UPDATE trades SET state = 'OPEN' WHERE trade_id = ? AND run_id = ?", [trade_id, run_id])
        conn.commit()
    last = told_by_status(capsys)[1]["run"]
    assert isinstance(last, dict)
    assert [each["trade_id"] for each in last["open_trades"]] == [left[2][0], left[0][0]]


def test_status_says_that_a_run_was_cut_off(
    dead_owner: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "session", *SHORT)
    database = tmp_path / "data" / "console.sqlite"
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("UPDATE runs SET status = 'RUNNING', ended_ns = NULL, reason = NULL")
        conn.commit()
    Path(f"{database}.owner").write_text(json.dumps({"pid": dead_owner}))
    code, out, _ = run(capsys, "status")
    assert code == 0
    assert f"engine   process {dead_owner} owned the database and is gone" in out
    assert "RUNNING when its process ended" in out
    began = told_by_status(capsys)[1]["run"]
    assert isinstance(began, dict)
    assert f"trading  ACTIVE since {began['started']}, as last recorded" in out.splitlines()


def garbage(database: Path) -> None:
    database.write_bytes(b"this is not a database" * 100)


def foreign(database: Path) -> None:
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("CREATE TABLE of_somebody_else (x)")


@pytest.mark.parametrize("spoil", [garbage, foreign])
def test_status_goes_on_past_a_broken_database_and_exits_with_one(
    spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    spoil(tmp_path / "data" / "console.sqlite")
    run(capsys, "halt")
    code, told, err = told_by_status(capsys)
    assert code == 1 and told["run"] is None
    assert "console.sqlite" in err and len(err.strip().splitlines()) == 1
    assert isinstance(told["halt"], dict) and told["halt"]["engaged"]


def test_status_of_a_broker_without_an_account_cannot_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, told, err = told_by_status(capsys, "--broker")
    assert code == 1 and told["broker"] is None and "OANDA_TOKEN is not set" in err
