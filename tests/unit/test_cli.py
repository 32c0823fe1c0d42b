"""The command line: sessions without a console, one sentence for bad input, nothing half-written."""

import csv
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from engine.cli import main

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "market"
SHORT = ["--speed", "max", "--duration", "3h", "--instruments", "EUR_USD,USD_JPY", "--model", "sma-cross:3/9"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEEL_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("KEEL_LOG_LEVEL", "WARNING")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def made_bars(path: Path, count: int = 200) -> Path:
    """A zig-zag of hourly-looking minutes that an SMA cross trades on."""
    lines = ["time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"]
    for index in range(count):
        mid = Decimal("1.20000") + Decimal("0.00010") * abs(index % 40 - 20)
        bid, ask = mid - Decimal("0.00005"), mid + Decimal("0.00005")
        reach = Decimal("0.00012")
        prices = [bid, bid + reach, bid - reach, bid, ask, ask + reach, ask - reach, ask]
        time = f"2024-03-05T{8 + index // 60:02}:{index % 60:02}:00Z"
        lines.append(",".join([time, *map(str, prices)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def identity_holds(result: dict[str, str], database: Path, exported: Path) -> None:
    """Opening + realised + financing - commission = closing, in the JSON, in SQLite and in the CSV alike."""
    opening, closing = Decimal(result["opening_balance"]), Decimal(result["closing_balance"])
    booked = Decimal(result["realized_pl"]) + Decimal(result["financing"]) - Decimal(result["commission"])
    assert opening + booked == closing
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT realized_pl_home, financing_home FROM trades WHERE run_id = ?", [result["run_id"]]
    ).fetchall()
    run_row = connection.execute("SELECT opening_balance_home, closing_balance_home FROM runs").fetchall()[-1]
    connection.close()
    assert opening + sum(Decimal(one) + Decimal(two) for one, two in rows) == closing
    assert tuple(map(Decimal, run_row)) == (opening, closing)
    with exported.open(newline="") as file:
        table = [row for row in csv.DictReader(file) if row["run_id"] == str(result["run_id"])]
    assert len(table) == len(rows) == int(result["trades"])
    total = sum(Decimal(row["realized_pl_home"]) + Decimal(row["financing_home"]) for row in table)
    assert opening + total == closing


def test_session_tells_people_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--speed", "max", "--duration", "6h", "--instruments", "EUR_USD,USD_JPY", "--model", "sma-cross:3/9"]
    code, out, _ = run(capsys, "session", *quick, "--limit", "daily_loss_pct_max=0.1")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, told["instruments"]) == (0, "EUR_USD, USD_JPY")
    assert told["breakers"].startswith("daily_loss since 20") and "{" not in out and "[" not in out
    calm = run(capsys, "session", *quick[:6], "--model", "flat")[1]
    assert "breakers           none" in calm.splitlines()


def test_sandbox_session_json_sqlite_and_csv_agree(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    database, exported = tmp_path / "own.sqlite", tmp_path / "trades.csv"
    code, out, _ = run(capsys, "session", *SHORT, "--seed", "5", "--db", str(database), "--json")
    result = json.loads(out)
    assert code == 0 and result["trades"] > 0
    assert result["decisions"] == result["bars"] == 2 * 180
    assert run(capsys, "export", "trades", "--out", str(exported), "--db", str(database))[0] == 0
    identity_holds(result, database, exported)


def test_replay_of_a_plain_and_a_gzip_file_is_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plain = made_bars(tmp_path / "EUR_USD.csv")
    packed = tmp_path / "EUR_USD.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    results = []
    for path in (str(plain), f"EUR_USD={packed}"):
        code, out, _ = run(capsys, "session", "--mode", "replay", "--bars", path, "--model", "sma-cross:3/9", "--json")
        assert code == 0
        results.append(json.loads(out))
    assert results[0]["digest"] == results[1]["digest"]
    assert results[0]["run_id"] != results[1]["run_id"]
    assert results[0]["orders"] > 3
    assert results[0]["bars"] == results[0]["decisions"] == 200 - 15


@pytest.mark.parametrize("name", ["oanda_EUR_USD_M1_2014-05.csv.gz", "fxcm_GBP_USD_M1_2012-02.csv.gz"])
def test_the_main_job_on_real_bars(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the recorded market data is not beside this checkout")
    database, exported = tmp_path / "real.sqlite", tmp_path / "real.csv"
    arguments = ["--mode", "replay", "--bars", str(SHARED / name), "--model", "sma-cross", "--speed", "max"]
    code, out, _ = run(capsys, "session", *arguments, "--db", str(database), "--json")
    result = json.loads(out)
    assert code == 0 and result["trades"] >= 100
    assert result["decisions"] == result["bars"]
    assert run(capsys, "export", "trades", "--out", str(exported), "--db", str(database))[0] == 0
    identity_holds(result, database, exported)


def test_equal_seed_gives_an_equal_digest_in_another_process(tmp_path: Path) -> None:
    digests = []
    for hash_seed in ("1", "2"):
        outcome = subprocess.run(
            [sys.executable, "-m", "engine", "session", *SHORT, "--db", str(tmp_path / hash_seed), "--json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        digests.append(json.loads(outcome.stdout)["digest"])
    assert digests[0] == digests[1]


def test_the_pace_does_not_change_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    digests = []
    for speed in ("max", "86400"):
        arguments = ["--duration", "2h", "--instruments", "EUR_USD", "--model", "sma-cross:3/9", "--speed", speed]
        code, out, _ = run(capsys, "session", *arguments, "--json")
        assert code == 0
        digests.append(json.loads(out)["digest"])
    assert digests[0] == digests[1]


BAD_INPUT = {
    "mode": (["session", "--mode", "demo"], "'demo'"),
    "live by accident": (["session", "--mode", "live"], "OANDA_ENVIRONMENT=live"),
    "model": (["session", *SHORT[:4], "--model", "nobody"], "nobody"),
    "model parameters": (["session", *SHORT[:4], "--model", "sma-cross:30/10"], "30"),
    "instrument": (["session", *SHORT[:4], "--instruments", "EUR_XXX"], "EUR_XXX"),
    "instrument twice": (["session", *SHORT[:4], "--instruments", "EUR_USD,EUR_USD"], "twice"),
    "capital": (["session", *SHORT, "--capital", "5"], "from 100"),
    "capital text": (["session", *SHORT, "--capital", "lots"], "'lots'"),
    "speed": (["session", "--speed", "0"], "0.1"),
    "speed text": (["session", "--speed", "fast"], "'fast'"),
    "duration": (["session", "--duration", "soon"], "'soon'"),
    "granularity": (["session", "--granularity", "M7"], "'M7'"),
    "currency": (["session", *SHORT, "--currency", "XYZ"], "'XYZ'"),
    "limit name": (["session", *SHORT, "--limit", "risk=1"], "'risk'"),
    "limit range": (["session", *SHORT, "--limit", "risk_per_trade_pct=50"], "from 0.01 to 5"),
    "limit text": (["session", *SHORT, "--limit", "positions_max=many"], "'many'"),
    "limit nan": (["session", *SHORT, "--limit", "drawdown_pct_max=NaN"], "drawdown_pct_max"),
    "seed": (["session", *SHORT, "--seed", "-1"], "-1"),
    "seed text": (["session", *SHORT, "--seed", "x"], "'x'"),
    "no bars": (["session", "--mode", "replay"], "--bars"),
    "missing file": (["session", "--mode", "replay", "--bars", "EUR_USD=none.csv"], "none.csv"),
    "bars in sandbox": (["session", *SHORT, "--bars", "EUR_USD=none.csv"], "replay"),
    "unknown option": (["session", "--nonsense"], "--nonsense"),
    "unknown command": (["trade"], "trade"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_writes_nothing(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments, named = BAD_INPUT[case]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert named in err and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_that_cannot_serve_the_instruments_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made_bars(tmp_path / "EUR_USD.csv", 12)
    code, _, err = run(capsys, "session", "--mode", "replay", "--bars", "EUR_USD.csv", "--json")
    assert code == 2 and "12" in err and "31" in err
    assert not (tmp_path / "data").exists()


def test_a_corrupt_database_is_refused_and_untouched(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is not a database" * 100)
    code, out, err = run(capsys, "session", *SHORT, "--db", str(broken), "--json")
    assert code == 2 and out == "" and "broken.sqlite" in err and len(err.strip().splitlines()) == 1
    assert broken.read_bytes() == b"this is not a database" * 100


def test_a_data_folder_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    code, out, err = run(capsys, "session", *SHORT, "--json")
    assert code == 2 and out == "" and "data" in err and len(err.strip().splitlines()) == 1


def test_gate_costs_of_a_run_whose_every_entry_was_blocked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    database, out = tmp_path / "own.sqlite", tmp_path / "gates.csv"
    bars = made_bars(tmp_path / "EUR_USD.csv")
    blocked = ["--limit", "spread_pips_max=0.5", "--model", "sma-cross:3/9", "--bars", str(bars)]
    assert run(capsys, "session", "--mode", "replay", *blocked, "--db", str(database))[0] == 0
    code, _, err = run(capsys, "export", "gate-costs", "--out", str(out), "--db", str(database), "--run", "1")
    assert (code, err) == (0, f"1 gates written to {out}.\n")
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    connection = sqlite3.connect(database)
    results = connection.execute("SELECT result_home FROM blocked_outcomes").fetchall()
    connection.close()
    assert row["gate"] == "spread" and row["outcomes"] == row["alone"] == str(len(results))
    assert len(results) > 1 and Decimal(row["sum_home"]) == sum(Decimal(text) for (text,) in results)


def test_export_from_a_missing_database_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, missing = str(tmp_path / "x.csv"), str(tmp_path / "no.sqlite")
    code, _, err = run(capsys, "export", "trades", "--out", out, "--db", missing)
    assert code == 2 and "no.sqlite" in err
    assert not (tmp_path / "x.csv").exists() and not (tmp_path / "no.sqlite").exists()


def test_bars_check_names_each_bad_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = made_bars(tmp_path / "EUR_USD.csv")
    lines = path.read_text().splitlines()
    lines[50] = lines[50].replace("1.2", "nan", 1)
    path.write_text("\n".join(lines))
    code, out, _ = run(capsys, "bars", "check", str(path))
    assert code == 0 and "line 51" in out and "199 bars kept, 1 dropped" in out


def test_setup_trains_a_starter_model_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "setup")
    assert code == 0 and "Registered" in err
    artefacts = {path: path.read_bytes() for path in (tmp_path / "models").iterdir()}
    code, _, err = run(capsys, "setup")
    assert code == 0 and "Registered" not in err
    assert {path: path.read_bytes() for path in (tmp_path / "models").iterdir()} == artefacts
    code, out, _ = run(capsys, "models", "list")
    assert code == 0 and "starter" in out and "sma-cross" in out
    code, out, _ = run(capsys, "session", "--model", "starter", "--speed", "max", "--duration", "2h", "--json")
    assert code == 0 and json.loads(out)["decisions"] == 4 * 120
    code, _, err = run(capsys, "session", "--model", "starter", "--instruments", "XAU_USD", "--speed", "max")
    assert code == 2 and "XAU_USD" in err


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_session_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    database = tmp_path / "stopped.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "session", "--speed", "600", "--db", str(database), "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # whoever runs the tests as a background job has them ignore Ctrl-C, and their children with them; a job that
        # ignores it must still end on SIGTERM
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN),
    )
    pause = threading.Event()
    for _ in range(600):
        if _decisions(database) > 3 or process.poll() is not None:
            break
        pause.wait(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    assert json.loads(out)["reason"] == "stopped by the operator"
    assert process.returncode == 0
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT status FROM runs").fetchall() == [("STOPPED",)]
    connection.close()


def _decisions(database: Path) -> int:
    if not database.is_file():
        return 0
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM decisions").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()
