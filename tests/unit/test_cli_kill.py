"""What is typed in an emergency: halt takes any words, flatten halts first, a refusal says that nothing was halted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import main

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = {"OANDA_TOKEN": "t", "OANDA_ACCOUNT_ID": "101-001-1234567-001"}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, as an engine has made it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEEL_LOG_LEVEL", "WARNING")
    for name in ("OANDA_TOKEN", "OANDA_ACCOUNT_ID", "OANDA_ENVIRONMENT", "OANDA_LOOPBACK_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def reason_of(data: Path) -> str:
    return str(json.loads((data / "HALT").read_bytes())["reason"])


@pytest.mark.parametrize(
    "words",
    [
        ["prices", "look", "wrong"],
        ["prices look wrong"],
        ["--reason", "prices", "look", "wrong"],
        ["--reason=prices", "look", "wrong"],
    ],
    ids=" ".join,
)
def test_halt_takes_its_reason_with_or_without_quotes(
    words: list[str], capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    assert run(capsys, "halt", *words)[0] == 0
    assert reason_of(data) == "prices look wrong"


@pytest.mark.parametrize("reason", [["looked", "at", "it"], ["--reason", "done"]], ids=" ".join)
def test_a_release_with_a_reason_does_neither(
    reason: list[str], capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    run(capsys, "halt", "first")
    code, out, err = run(capsys, "halt", "--release", *reason)
    assert (code, out) == (2, "") and err.endswith(" Nothing was halted or released.\n")
    assert reason_of(data) == "first"


@pytest.mark.parametrize(
    "words",
    [
        ["halt", "--reson", "x"],
        ["halt", "prices", "look", "--wrong"],
        ["halt", "--reason"],
        ["halt", "--data", "misspelt"],
        ["flatten", "--yes", "--now"],
        ["flatten", "now"],
        ["flatten", "--yes", "--data", "misspelt"],
        ["--yes", "flatten"],
        ["hault"],
        ["Halt"],
        ["flaten", "--yes"],
    ],
    ids=" ".join,
)
def test_whoever_is_refused_reads_that_nothing_was_halted(
    words: list[str], capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert err.endswith((". Nothing was halted.\n", "? Nothing was halted.\n"))
    assert list(data.iterdir()) == []


def test_other_refusals_speak_of_no_halt(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["trade"], ["session", "--nonsense"], ["status", "--nonsense"]):
        code, _, err = run(capsys, *words)
        assert code == 2 and "halted" not in err


MISSING = {
    "token": ({"OANDA_TOKEN": ""}, "OANDA_TOKEN is not set, so .env names no account at OANDA"),
    "account": ({"OANDA_ACCOUNT_ID": ""}, "OANDA_ACCOUNT_ID is not set, so .env names no account at OANDA"),
    "environment": ({"OANDA_ENVIRONMENT": "moon"}, "OANDA_ENVIRONMENT"),
    "address": ({"OANDA_LOOPBACK_URL": "moon"}, "OANDA_LOOPBACK_URL"),
}


@pytest.mark.parametrize("yes", [["--yes"], []], ids=["yes", "unasked"])
@pytest.mark.parametrize("case", MISSING)
def test_flatten_halts_whatever_is_missing_and_never_says_flat(
    case: str, yes: list[str], capsys: pytest.CaptureFixture[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, sentence = MISSING[case]
    for key, value in (ACCOUNT | settings).items():
        monkeypatch.setenv(key, value)
    code, out, err = run(capsys, "flatten", *yes)
    assert code == 1 and reason_of(data) == "flatten"
    assert err.splitlines()[0] == f"HALT: {data / 'HALT'} was made."
    assert out.startswith(f"NOT FLAT: {sentence}")
    assert f" Nothing was closed. Trading is halted by the file {data / 'HALT'}; " in out
    assert len(out.splitlines()) == 1


def test_flatten_that_could_neither_halt_nor_close_says_both(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    (data / "HALT").symlink_to(data / "nowhere")
    code, out, _ = run(capsys, "flatten", "--yes")
    assert code == 1 and out.startswith("NOT FLAT: OANDA_TOKEN is not set")
    assert "so nothing is halted" in out and "Trading is halted" not in out


@pytest.mark.parametrize("timeout", ["0", "3601", "soon", "1.5"])
def test_a_bad_timeout_keeps_nobody_from_halting(
    timeout: str, capsys: pytest.CaptureFixture[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in ACCOUNT.items():
        monkeypatch.setenv(key, value)
    code, out, _ = run(capsys, "flatten", "--yes", "--timeout", timeout)
    assert code == 1 and out.startswith("NOT FLAT: --timeout ") and len(out.splitlines()) == 1
    assert reason_of(data) == "flatten" and [path.name for path in data.iterdir()] == ["HALT"]


def test_flatten_in_a_folder_where_no_engine_runs_does_not_call_that_halted(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    data.rmdir()
    code, out, err = run(capsys, "flatten", "--yes")
    assert code == 1 and out.startswith("NOT FLAT: ") and reason_of(data) == "flatten"
    assert f"No engine process owns a database in {data}." in err.splitlines()
    assert "halts no running engine" in out and "Trading is halted" not in out


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX systems")
@pytest.mark.parametrize("typed", ["flatten", "yes", ""])
def test_anything_but_the_word_closes_nothing_and_trading_is_halted(typed: str, data: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "engine", "flatten"],
        cwd=ROOT,
        env=os.environ | ACCOUNT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{typed}\n\x04\x04".encode())
    out, err = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode in (1, 130)
    assert out.strip().startswith("NOT FLAT: ") and "Trading is halted by the file" in out
    assert "Type FLATTEN to close everything in account …7001 (practice)" in err
    assert [path.name for path in data.iterdir()] == ["HALT"]
