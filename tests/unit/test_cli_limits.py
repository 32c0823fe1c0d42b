"""`limits …` and `session --profile`: one sentence for bad input, nothing half-written."""

import json
import sqlite3
from pathlib import Path

import pytest

from engine.cli import main
from engine.domain.limits import limit_fields, limits_by_hand

SHORT = ["--speed", "max", "--duration", "10m", "--instruments", "EUR_USD", "--model", "flat"]
ACCOUNT = "001-001-1234567-001"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEEL_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("KEEL_LOG_LEVEL", "WARNING")
    return tmp_path / "data"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def limits(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return run(capsys, "limits", *arguments)


def test_show_has_a_line_for_every_limit_and_marks_what_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = limits(capsys, "show")
    assert code == 0
    assert [line[2:].split()[0] for line in out.splitlines()] == [item.name for item in limit_fields()]
    assert not any(line.startswith("*") for line in out.splitlines())
    _, out, _ = limits(capsys, "show", "careful")
    assert "* position_units_max     20000, XAU_USD 10, XAG_USD 500 units" in out.splitlines()
    assert "  stop_mode              atr (allowed: atr or pips)" in out.splitlines()


def test_show_as_json_is_one_object_with_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(limits(capsys, "show", "careful", "--json")[1])
    assert (told["name"], told["built_in"]) == ("careful", True)
    assert list(told["limits"]) == [item.name for item in limit_fields()]
    assert told["limits"]["risk_per_trade_pct"] == "0.25"
    assert "stop_mode" not in told["stated"]


def test_saved_profile_is_listed_shown_compared_exported_imported_and_deleted(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    pairs = ["--limit", "positions_max=3", "--limit", "spread_pips_max[EUR_USD]=1.5"]
    assert limits(capsys, "save", "london", *pairs, "--from", "careful")[0] == 0
    assert limits(capsys, "list")[1].splitlines() == [
        "default: 0 limits stated, built in",
        "careful: 29 limits stated, built in",
        "london: 29 limits stated",
    ]
    assert limits(capsys, "diff", "careful", "london")[1].splitlines() == [
        "LOOSENS positions_max: 2 -> 3",
        "        spread_pips_max[EUR_USD]: 2 -> 1.5",
    ]
    told = json.loads(limits(capsys, "diff", "london", "careful", "--json")[1])
    assert told["changes"][0] == {"name": "positions_max", "before": "3", "after": "2", "loosens": False}
    assert limits(capsys, "diff", "london", "london") == (0, "No difference.\n", "")
    assert json.loads(limits(capsys, "diff", "london", "london", "--json")[1])["changes"] == []
    out = tmp_path / "carried.json"
    assert limits(capsys, "export", "london", "--out", str(out))[0] == 0
    assert limits(capsys, "delete", "london")[0] == 0
    assert limits(capsys, "show", "london")[0] == 2
    assert limits(capsys, "import", str(out), "--name", "paris")[0] == 0
    assert limits(capsys, "diff", "paris", "careful")[1].startswith("        positions_max: 3 -> 2")
    assert [path.name for path in (data / "profiles").iterdir()] == ["paris.json"]


def test_values_are_shown_apart_from_what_is_allowed(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    few = ("positions_max=1", "guard_bars=50", "orders_per_minute_max=1")
    assert limits(capsys, "save", "few", *(word for one in few for word in ("--limit", one)))[0] == 0
    shown = limits(capsys, "show", "few")[1].splitlines()
    assert "* positions_max          1 position" in shown
    assert "* orders_per_minute_max  1 order per minute" in shown
    assert "* guard_bars             50 bars" in shown
    assert "  stop_mode              atr (allowed: atr or pips)" in shown
    assert "  trading_windows        always (allowed: days, hours, zone)" in shown
    assert "  trading_day            17:00 America/New_York (allowed: full hour and zone)" in shown
    assert "  position_units_max     100000, XAU_USD 40, XAG_USD 3000 units" in shown
    assert "  risk_per_trade_pct     0.5 % of equity" in shown


def test_saving_over_another_needs_replace(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    assert limits(capsys, "save", "mine", "--limit", "positions_max=3")[0] == 0
    before = (data / "profiles" / "mine.json").read_bytes()
    code, _, err = limits(capsys, "save", "mine", "--limit", "positions_max=4")
    assert (
        code == 2
        and "replace it on the command line with --replace" in err
        and (data / "profiles" / "mine.json").read_bytes() == before
    )
    assert limits(capsys, "save", "mine", "--from", "mine", "--limit", "drawdown_pct_max=4", "--replace")[0] == 0
    told = json.loads((data / "profiles" / "mine.json").read_text())
    assert told["limits"] == {"positions_max": "3", "drawdown_pct_max": "4"}


def test_a_keyed_value_is_saved_and_the_other_instruments_stay_the_defaults(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    path = data / "profiles" / "k1.json"
    assert limits(capsys, "save", "k1", "--limit", "position_units_max[EUR_USD]=1000")[0] == 0
    assert json.loads(path.read_text())["limits"] == {
        "position_units_max": {"XAU_USD": "40", "XAG_USD": "3000", "EUR_USD": "1000"}
    }
    assert (
        "* position_units_max     100000, XAU_USD 40, XAG_USD 3000, EUR_USD 1000 units"
        in limits(capsys, "show", "k1")[1]
    )
    more = ["--from", "k1", "--replace", "--limit", "position_units_max[GBP_USD]=500"]
    assert limits(capsys, "save", "k1", *more)[0] == 0
    held = json.loads(path.read_text())["limits"]["position_units_max"]
    assert (held["EUR_USD"], held["GBP_USD"]) == ("1000", "500") and "*" not in held
    assert limits(capsys, "save", "k1", *more[:3], "--limit", "position_units_max=2000")[0] == 0
    assert json.loads(path.read_text())["limits"]["position_units_max"]["*"] == "2000"
    assert limits(capsys, "save", "k1", *more)[0] == 0
    assert json.loads(path.read_text())["limits"]["position_units_max"]["*"] == "2000", "a person typed it before"


def test_a_keyed_value_on_a_limit_that_the_base_states_states_it_as_a_whole(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    limits(capsys, "save", "k2", "--from", "careful", "--limit", "position_units_max[EUR_USD]=1000")
    held = json.loads((data / "profiles" / "k2.json").read_text())["limits"]["position_units_max"]
    assert held == {"*": "20000", "XAU_USD": "10", "XAG_USD": "500", "EUR_USD": "1000"}


def test_list_goes_on_behind_a_bad_file_names_it_and_exits_with_one(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    (data / "profiles").mkdir(parents=True)
    (data / "profiles" / "bad.json").write_text("{")
    limits(capsys, "save", "good", "--limit", "positions_max=3")
    code, out, err = limits(capsys, "list")
    assert code == 1 and "good: 1 limit stated" in out.splitlines() and "bad" not in out and "bad.json" in err


BAD = {
    "show": (["show", "nobody"], "'nobody' is unknown; known are default, careful"),
    "show a path": (["show", "../mine"], "letters a-z or A-Z, digits"),
    "save a built-in one": (["save", "careful"], "built in"),
    "save under no name": (["save", "my limits"], "letters a-z or A-Z, digits"),
    "save from nobody": (["save", "mine", "--from", "nobody"], "'nobody' is unknown"),
    "save an unknown limit": (["save", "mine", "--limit", "risk=1"], "'risk'"),
    "save out of range": (["save", "mine", "--limit", "positions_max=0"], "from 1 to 100"),
    "save no hours": (["save", "mine", "--limit", "trading_windows=late"], "trading_windows[*] is 'late'"),
    "diff": (["diff", "careful", "nobody"], "'nobody' is unknown"),
    "export": (["export", "nobody", "--out", "out.json"], "'nobody' is unknown"),
    "export into no folder": (["export", "careful", "--out", "none/out.json"], "cannot be written"),
    "export onto a folder": (["export", "careful", "--out", "."], "no plain file"),
    "import nothing": (["import", "none.json"], "cannot be read"),
    "import half": (["import", "half.json"], "'max_loss' is unknown"),
    "import over a built-in one": (["import", "whole.json", "--name", "default"], "built in"),
    "import under no name": (["import", "whole.json", "--name", "a b"], "letters a-z or A-Z, digits"),
    "delete": (["delete", "nobody"], "'nobody' is unknown"),
    "delete a built-in one": (["delete", "default"], "built in"),
    "no argument": (["save"], "'name'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = {"keel_limits": 1, "name": "whole", "limits": {"positions_max": "3"}}
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    (tmp_path / "half.json").write_text(json.dumps({**whole, "limits": {"positions_max": "3", "max_loss": "1"}}))
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    arguments, sentence = BAD[case]
    code, out, err = limits(capsys, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["currency_pct_max[XYZ]=1"], "Limit currency_pct_max[XYZ] names currency XYZ, which is unknown."),
        (["spread_pips_max[EUR_UDS]=1"], "Limit spread_pips_max[EUR_UDS] names instrument EUR_UDS, which is unknown."),
        (["positions_max=2", "positions_max=3"], "Limit positions_max is given twice; give it once."),
    ],
)
def test_session_names_the_limit_and_the_key_that_it_refuses(
    texts: list[str], sentence: str, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    options = [part for text in texts for part in ("--limit", text)]
    assert run(capsys, "session", *SHORT, *options) == (2, "", f"{sentence}\n")
    assert not (data / "console.sqlite").exists()


def started_with(database: Path) -> str:
    connection = sqlite3.connect(database)
    text = str(connection.execute("SELECT config FROM runs").fetchone()[0])
    connection.close()
    return text


def test_session_takes_the_limits_of_a_profile_and_puts_limit_on_top(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    database = tmp_path / "own.sqlite"
    arguments = ["--profile", "careful", "--limit", "positions_max=1", "--db", str(database), "--json"]
    assert run(capsys, "session", *SHORT, *arguments)[0] == 0
    held = json.loads(started_with(database))["limits"]
    assert (held["positions_max"], held["drawdown_pct_max"], held["cooldown_s"]) == (1, "4", 900)


@pytest.mark.parametrize("profile", ["nobody", "../x", "bad"])
def test_session_with_a_bad_profile_is_refused_and_nothing_is_written(
    profile: str, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    (data / "profiles").mkdir(parents=True)
    text = json.dumps({"keel_limits": 1, "name": "bad", "limits": {"positions_max": "0"}})
    (data / "profiles" / "bad.json").write_text(text)
    code, out, err = run(capsys, "session", *SHORT, "--profile", profile)
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert [path.name for path in data.rglob("*")] == ["profiles", "bad.json"]


BY_HAND = {
    "risk_per_trade_pct": "0.25",
    "exposure_pct_max": "100",
    "position_units_max": {"*": "1000"},
    "positions_max": "1",
    "daily_loss_pct_max": "1",
    "drawdown_pct_max": "4",
}


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"OANDA_ENVIRONMENT": "live", "LIVE_TRADING": "yes", "OANDA_ACCOUNT_ID": ACCOUNT}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("OANDA_TOKEN", "x" * 40)
    monkeypatch.setenv("OANDA_LOOPBACK_URL", "http://127.0.0.1:9")


def refused_live(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = run(capsys, "session", "--mode", "live", "--instruments", "EUR_USD", "--model", "flat", *arguments)
    assert code in (1, 2) and out == ""
    return err


def test_live_counts_only_what_the_file_states_as_set_by_hand(
    live: None, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    (data / "profiles").mkdir(parents=True)
    path = data / "profiles" / "mine.json"

    def state(**values: object) -> None:
        path.write_text(json.dumps({"keel_limits": 1, "name": "mine", "limits": values}))

    for built_in in ("default", "careful"):
        told = refused_live(capsys, "--profile", built_in)
        assert all(name in told for name in limits_by_hand()), told
    for left_out in limits_by_hand():
        state(**{name: value for name, value in BY_HAND.items() if name != left_out})
        told = refused_live(capsys, "--profile", "mine")
        assert f"set {left_out} by hand" in told, told
    state(**{name: value for name, value in BY_HAND.items() if name != "positions_max"})
    assert "wants to be confirmed" in refused_live(capsys, "--profile", "mine", "--limit", "positions_max=1")
    state(**BY_HAND)
    assert "wants to be confirmed" in refused_live(capsys, "--profile", "mine")
    state(**{**BY_HAND, "position_units_max": {"EUR_USD": "1000"}})
    assert "set position_units_max by hand" in refused_live(capsys, "--profile", "mine"), "its * was typed by nobody"
    key, whole = ("--limit", "position_units_max[GBP_USD]=500"), ("--limit", "position_units_max=1000")
    assert "set position_units_max by hand" in refused_live(capsys, "--profile", "mine", *key)
    assert "wants to be confirmed" in refused_live(capsys, "--profile", "mine", *whole)
