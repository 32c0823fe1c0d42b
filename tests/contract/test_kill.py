"""The kill tool on the real venue: flat is what the venue says, whatever happens on the way, and never a guess."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from engine.cli import main
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig, StartSession
from engine.domain.event import TradingState
from engine.domain.limits import RiskLimits
from engine.kill import Patience, flatten, status
from engine.kill.flattening import Outcome
from engine.node import TradingNode
from engine.redaction import Secret
from tests.fakes.faults import Fault, Hold, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.faulty_proxy import Request
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime
from tests.unit.adapters.oanda.line import name_of
from tests.unit.adapters.oanda.stand import Stand, standing

ROOT = Path(__file__).resolve().parents[2]
SHORT = Patience(timeout_s=0.2, pause_s=0.01, settle_s=0.0)
LONG = Patience(timeout_s=60.0, pause_s=0.01, settle_s=0.0)
WAIT_S = 60.0


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing(seed=7) as made:
        yield made


@pytest.fixture
def settings(stand: Stand, tmp_path: Path) -> Settings:
    return settings_of(stand, tmp_path)


def settings_of(stand: Stand, folder: Path, data: str = "data") -> Settings:
    return Settings(
        data_dir=folder / data,
        models_dir=folder / "models",
        oanda_token=Secret(TOKEN),
        oanda_account_id=ACCOUNT,
        oanda_loopback_url=stand.proxy.url,
    )


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "KEEL_DATA_DIR": str(settings.data_dir),
        "KEEL_MODELS_DIR": str(settings.models_dir),
        "KEEL_LOG_LEVEL": "WARNING",
        "OANDA_TOKEN": TOKEN,
        "OANDA_ACCOUNT_ID": ACCOUNT,
        "OANDA_LOOPBACK_URL": settings.oanda_loopback_url,
    }


class Ear:
    """Hears what the tool says, and does something when it says a certain thing."""

    def __init__(self, at: str = "", do: Callable[[], None] = lambda: None) -> None:
        self.heard: list[str] = []
        self._at, self._do = at, do

    def __call__(self, text: str) -> None:
        self.heard.append(text)
        if self._at and self._at in text:
            self._at = ""
            self._do()


def run(settings: Settings, patience: Patience = LONG, ear: Ear | None = None) -> Outcome:
    return flatten(settings, ear or Ear(), patience)


def open_some(stand: Stand) -> None:
    """Two trades on one side with a stop on one of them, a short in another instrument, and two entries that wait."""
    stop = {"stopLossOnFill": {"price": "0.50000"}}
    entry = {"type": "MARKET", "instrument": "EUR_USD", "units": "1000", **stop}
    stand.send("POST", "/orders", {"order": entry})
    stand.order(500)
    stand.order(-700, "USD_JPY")
    for price in ("0.50000", "0.40000"):
        waiting = {"type": "LIMIT", "instrument": "EUR_USD", "units": "100", "price": price, "timeInForce": "GTC"}
        stand.send("POST", "/orders", {"order": waiting})


def is_flat(stand: Stand) -> bool:
    held = stand.ask("")["account"]
    return not held["trades"] and not held["orders"] and stand.units() == {}


def sent(stand: Stand) -> list[Request]:
    """What the tool has sent beyond questions."""
    return [request for request in stand.proxy.arrived if request.method != "GET"]


def log_of(settings: Settings) -> list[dict[str, Any]]:
    text = (settings.data_dir / "kill.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def halt_market(stand: Stand, instrument: str) -> None:
    stand.venue.market.set_price(instrument, None, None, False)


def test_everything_is_cancelled_and_closed_once_and_then_proved(stand: Stand, settings: Settings) -> None:
    open_some(stand)
    outcome = run(settings)
    assert outcome.flat and is_flat(stand)
    summary = stand.ask("/summary")
    assert outcome.text == (
        f"FLAT: account …7001 (practice at {stand.proxy.url}) has no open trade and no waiting order; "
        f"balance {summary['account']['balance']} USD, as of transaction {summary['lastTransactionID']}."
    )
    paths = [request.target.removeprefix(f"/v3/accounts/{ACCOUNT}") for request in sent(stand)]
    assert len(paths) == len(set(paths)) == 4
    assert [path.split("/")[1] for path in paths] == ["orders", "orders", "positions", "positions"]
    assert all(request.method == "PUT" for request in sent(stand))


def test_each_action_is_on_the_disk_before_it_is_sent_and_nothing_shows_the_token(
    stand: Stand, settings: Settings
) -> None:
    open_some(stand)
    written: list[tuple[bool, str]] = []

    def look(body: bytes) -> bytes:
        last = log_of(settings)[-1]
        written.append((settings.halt_path.exists() and last["answer"] == "", last["action"].split()[0]))
        return body

    stand.proxy.inject(Rewrite(change=look), method="PUT", times=None)
    assert run(settings).flat
    assert written == [(True, "cancel"), (True, "cancel"), (True, "close"), (True, "close")]
    lines = log_of(settings)
    answers = [line["answer"] for line in lines if line["answer"] and not line["action"].startswith("flatten")]
    assert answers == ["cancelled: CLIENT_REQUEST"] * 2 + ["filled"] * 2
    assert lines[-1]["answer"].startswith("FLAT: ")
    assert {line["account"] for line in lines} == {"…7001"}
    assert [path for path in settings.data_dir.iterdir() if TOKEN.encode() in path.read_bytes()] == []


def test_a_flat_account_is_left_alone_however_often(stand: Stand, settings: Settings) -> None:
    assert [run(settings).flat, run(settings).flat] == [True, True]
    assert sent(stand) == []


def test_a_broker_that_is_down_is_not_flat(stand: Stand, settings: Settings) -> None:
    stand.order(1000)
    with stand.proxy.refusing():
        outcome = run(settings, SHORT)
    assert not outcome.flat
    assert outcome.text.startswith("NOT FLAT: account …7001") and "could not be asked" in outcome.text
    assert settings.halt_path.exists()
    assert run(settings).flat and is_flat(stand)


UNANSWERED: list[Fault] = [
    Replace(status=503, body=b"<html>503</html>", content_type="text/html"),
    Replace(status=200, body=b"<html>welcome</html>", content_type="text/html"),
    Replace(status=200, body=b"{}"),
    Replace(status=200, body=b'{"account":{"trades":[],"positions":[],"orders":[]},"lastTransactionID":"1"}'),
    Replace(status=429),
    ResetAfter(),
    ResetBefore(),
    Rewrite(change=lambda body: body.replace(b'"orders":', b'"other":')),
    Rewrite(change=lambda body: body.replace(b'"trades":', b'"other":')),
    Rewrite(change=lambda body: body.replace(ACCOUNT.encode(), b"101-001-1234567-002")),
    Rewrite(change=lambda body: body.replace(b'"units":"', b'"units":"NaN')),
]


@pytest.mark.parametrize("fault", UNANSWERED, ids=name_of)
@pytest.mark.parametrize("held", [True, False])
def test_what_cannot_be_read_is_never_flat(stand: Stand, settings: Settings, fault: Fault, held: bool) -> None:
    stand.order(1000)
    if not held:
        stand.order(-1000)
    stand.proxy.inject(fault, times=None)
    outcome = run(settings, SHORT)
    assert not outcome.flat and outcome.text.startswith("NOT FLAT: ")
    assert "could not be asked" in outcome.text and "it was never seen" in outcome.text


def test_answers_that_come_back_bring_the_closing_back(stand: Stand, settings: Settings) -> None:
    open_some(stand)
    stand.proxy.inject(Replace(status=503), times=3)
    assert run(settings).flat and is_flat(stand)


def test_a_close_that_only_errors_answer_is_not_flat(stand: Stand, settings: Settings) -> None:
    open_some(stand)
    stand.proxy.inject(Replace(status=503), method="PUT", path="/close$", times=None)
    outcome = run(settings, SHORT)
    assert not outcome.flat
    assert "2 open positions (EUR_USD long 1500, USD_JPY short 700)" in outcome.text
    assert "HTTP 503" in outcome.text
    assert stand.units() == {"EUR_USD": 1500, "USD_JPY": -700}


LOST: list[Fault] = [ResetAfter(), ResetAfter(reset=False), Replace(status=502, reaches_target=True)]


@pytest.mark.parametrize("fault", LOST, ids=name_of)
def test_a_close_whose_answer_is_lost_is_found_closed(stand: Stand, settings: Settings, fault: Fault) -> None:
    stand.order(1000)
    stand.proxy.inject(fault, method="PUT", path="/close$")
    assert run(settings).flat and is_flat(stand)
    assert len(sent(stand)) == 1


def test_a_close_that_never_arrived_is_sent_in_the_next_round(stand: Stand, settings: Settings) -> None:
    stand.order(1000)
    stand.proxy.inject(ResetBefore(), method="PUT", path="/close$")
    assert run(settings).flat and is_flat(stand)
    assert [request.target for request in sent(stand)] == [f"/v3/accounts/{ACCOUNT}/positions/EUR_USD/close"] * 2


def test_a_halted_instrument_stays_and_is_named_while_the_others_go(stand: Stand, settings: Settings) -> None:
    open_some(stand)
    halt_market(stand, "EUR_USD")
    outcome = run(settings, SHORT)
    assert not outcome.flat
    assert "1 open position (EUR_USD long 1500)" in outcome.text and "cancelled: MARKET_HALTED" in outcome.text
    assert stand.units() == {"EUR_USD": 1500}
    stand.venue.market.resume("EUR_USD")
    assert run(settings).flat and is_flat(stand)


def test_a_market_that_opens_meanwhile_is_closed_in_a_later_round(stand: Stand, settings: Settings) -> None:
    stand.order(1000)
    halt_market(stand, "EUR_USD")
    ear = Ear("Round 3", lambda: stand.venue.market.resume("EUR_USD"))
    assert run(settings, ear=ear).flat and is_flat(stand)


@pytest.mark.parametrize("status_code", [401, 403, 404])
@pytest.mark.parametrize("seen_before", [0, 1])
def test_a_refused_key_is_not_flat_at_once(
    stand: Stand, settings: Settings, status_code: int, seen_before: int
) -> None:
    stand.order(1000)
    body = json.dumps({"errorMessage": f"Insufficient authorization: {TOKEN}"}).encode()
    stand.proxy.inject(Replace(status=status_code, body=body), method="PUT", times=None)
    stand.proxy.inject(Replace(status=status_code, body=body), method="GET", skip=seen_before, times=None)
    outcome = run(settings)
    assert not outcome.flat and f"HTTP {status_code}" in outcome.text and TOKEN not in outcome.text
    assert ("when last seen it had 1 open position" in outcome.text) == bool(seen_before)
    assert len([request for request in stand.proxy.arrived if request.method == "GET"]) == seen_before + 1


def test_both_sides_of_a_hedged_position_are_closed_each_by_its_own_request(stand: Stand, settings: Settings) -> None:
    stand.order(1000)

    def hedged(body: bytes) -> bytes:
        told = json.loads(body)
        told["account"]["positions"][0]["short"]["units"] = "-300"
        return json.dumps(told).encode()

    stand.proxy.inject(Rewrite(change=hedged), method="GET")
    assert run(settings).flat
    assert sorted(request.body for request in sent(stand)) == [
        b'{"longUnits":"ALL","shortUnits":"NONE"}',
        b'{"longUnits":"NONE","shortUnits":"ALL"}',
    ]


@pytest.mark.parametrize("unlisted", ["trades", "positions"])
def test_neither_list_of_what_is_held_is_believed_alone(stand: Stand, settings: Settings, unlisted: str) -> None:
    stand.order(1000)

    def shorter(body: bytes) -> bytes:
        told = json.loads(body)
        told["account"][unlisted] = []
        return json.dumps(told).encode()

    stand.proxy.inject(Rewrite(change=shorter), method="GET", times=None)
    assert run(settings, SHORT).flat and is_flat(stand)


def test_an_order_whose_trade_is_gone_is_cancelled_too(stand: Stand, settings: Settings) -> None:
    def left_over(body: bytes) -> bytes:
        told = json.loads(body)
        told["account"]["orders"].append({"id": "99", "type": "STOP_LOSS", "tradeID": "98", "price": "1.0"})
        return json.dumps(told).encode()

    stand.proxy.inject(Rewrite(change=left_over), method="GET")
    assert run(settings).flat
    assert [request.target for request in sent(stand)] == [f"/v3/accounts/{ACCOUNT}/orders/99/cancel"]
    assert log_of(settings)[-2]["action"] == "cancel order 99, STOP_LOSS of trade 98"
    assert log_of(settings)[-2]["answer"].startswith("rejected: ")


def test_a_request_that_was_on_its_way_is_caught_before_flat_is_said(stand: Stand, settings: Settings) -> None:
    stand.order(1000)
    ear = Ear("Nothing is open", lambda: stand.order(300, "USD_JPY"))
    outcome = run(settings, Patience(timeout_s=60.0, pause_s=0.01, settle_s=0.5), ear)
    assert outcome.flat and is_flat(stand)
    assert [request.target.split("/")[-2] for request in sent(stand)] == ["EUR_USD", "USD_JPY"]


def test_without_a_halt_file_positions_are_closed_but_flat_is_not_said(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    stand.order(1000)
    ear = Ear()
    outcome = run(settings_of(stand, tmp_path, "file/data"), ear=ear)
    assert is_flat(stand)
    assert not outcome.flat and outcome.text.startswith("NOT FLAT: nothing is open")
    assert "cannot be made" in outcome.text
    assert len([text for text in ear.heard if "kill.log" in text]) == 1


@pytest.fixture
def house(stand: Stand, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same account, as the command line finds it; HALT is old enough to be believed at once."""
    monkeypatch.chdir(tmp_path)
    for key, value in environment_of(settings).items():
        monkeypatch.setenv(key, value)
    settings.data_dir.mkdir()
    settings.halt_path.write_text("by hand")
    os.utime(settings.halt_path, (1e9, 1e9))
    return settings


def test_the_command_says_flat_and_ends_with_zero(
    stand: Stand, house: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    open_some(stand)
    assert main(["flatten", "--yes"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("FLAT: account …7001 (practice at ") and is_flat(stand)
    assert told.err.splitlines()[2].startswith("Flattening account …7001 (practice at ")
    assert TOKEN not in told.out + told.err


def test_flatten_with_the_broker_answering_errors_says_not_flat_and_exits_non_zero(
    stand: Stand, house: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.order(1000)
    stand.proxy.inject(Replace(status=503), times=None)
    assert main(["flatten", "--yes", "--timeout", "1"]) == 1
    assert capsys.readouterr().out.startswith("NOT FLAT: ")


def test_nobody_to_ask_means_halted_and_nothing_closed(
    stand: Stand, settings: Settings, house: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.order(1000)
    settings.halt_path.unlink()
    asked = len(stand.proxy.arrived)
    child = subprocess.run(
        [sys.executable, "-m", "engine", "flatten"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert child.returncode == 1 and child.stdout.startswith("NOT FLAT: ") and len(child.stdout.splitlines()) == 1
    assert "add --yes. Nothing was closed. Trading is halted by the file" in child.stdout
    assert settings.halt_path.exists() and len(stand.proxy.arrived) == asked


def test_another_account_of_the_token_is_named_and_not_confused(
    stand: Stand, house: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.order(1000)
    assert main(["flatten", "--yes", "--account", "101-001-1234567-002", "--timeout", "1"]) == 1
    assert "account …7002" in capsys.readouterr().out
    assert stand.units() == {"EUR_USD": 1000}


def test_status_tells_what_the_broker_holds(stand: Stand, house: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    open_some(stand)
    before = sorted(house.data_dir.iterdir())
    assert main(["status", "--broker", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["halt"]["engaged"] and told["halt"]["reason"] == "by hand"
    assert told["engine"] == {"pid": None, "running": False} and told["run"] is None
    broker = told["broker"]
    assert [(each["instrument"], each["units"]) for each in broker["open_trades"]] == [
        ("USD_JPY", "-700"),
        ("EUR_USD", "500"),
        ("EUR_USD", "1000"),
    ]
    assert sorted(each["kind"] for each in broker["waiting_orders"]) == ["LIMIT", "LIMIT", "STOP_LOSS"]
    assert Decimal(broker["balance"]) == stand.balance()
    assert sorted(house.data_dir.iterdir()) == before and sent(stand) == []
    stand.proxy.inject(Replace(status=503), times=None)
    assert main(["status", "--broker"]) == 1
    assert "HTTP 503" in capsys.readouterr().err


def heed_interrupts() -> None:
    """A job in the background of a shell ignores Ctrl-C, and its children do too unless told otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_during(stand: Stand, settings: Settings, hold: Hold, closes: int, number: int) -> tuple[int, str]:
    """Run the tool and send it a signal while its n-th close is being held; returns how it ended and what it said."""
    stand.proxy.inject(hold, method="PUT", path="/close$", skip=closes - 1)
    child = subprocess.Popen(
        [sys.executable, "-m", "engine", "flatten", "--yes"],
        cwd=ROOT,
        env={**os.environ, **environment_of(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        wait_for("the close", lambda: len([each for each in sent(stand) if "positions" in each.target]) == closes)
        child.send_signal(number)
        said = "".join(child.communicate(timeout=WAIT_S))
    finally:
        child.kill()
        child.wait(WAIT_S)
    return child.returncode, said


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("closes", [1, 2])
def test_a_tool_that_was_killed_in_the_middle_ends_flat_when_it_is_run_again(
    stand: Stand, settings: Settings, reached: bool, closes: int
) -> None:
    open_some(stand)
    gate = threading.Event()
    hold = Hold(gate=gate, reaches_target_first=reached)
    code, said = end_during(stand, settings, hold, closes, signal.SIGKILL)
    assert code == -signal.SIGKILL and TOKEN not in said
    assert settings.halt_path.exists() and log_of(settings)[-1]["answer"] == ""
    assert run(settings).flat and is_flat(stand)
    gate.set()
    assert run(settings).flat and is_flat(stand)


def test_a_tool_that_is_broken_off_by_hand_says_not_flat(stand: Stand, settings: Settings) -> None:
    stand.order(1000)
    code, said = end_during(stand, settings, Hold(gate=threading.Event()), 1, signal.SIGINT)
    assert code == 130
    assert said.splitlines()[-1].startswith("NOT FLAT: broken off, account …7001") and "Traceback" not in said


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX systems")
def test_a_person_who_types_the_word_flattens(stand: Stand, house: Settings) -> None:
    import pty

    stand.order(1000)
    ours, theirs = pty.openpty()
    os.write(ours, b"FLATTEN\n")
    child = subprocess.run(
        [sys.executable, "-m", "engine", "flatten"],
        cwd=ROOT,
        env={**os.environ, **environment_of(house)},
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    os.close(ours)
    os.close(theirs)
    assert child.returncode == 0 and "FLAT: account …7001" in child.stdout and is_flat(stand)


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a condition without guessing how long it takes; fail by name when it never comes."""
    pause = threading.Event()
    until_s = monotonic() + WAIT_S
    while not condition():
        assert monotonic() < until_s, f"{what} did not happen"
        pause.wait(0.02)


@contextmanager
def market_street() -> Iterator[Stand]:
    """A venue in a process of its own, whose market lives sixty times as fast as the world, behind the proxy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--port", str(port), "--token", TOKEN, "--account", ACCOUNT, "--seed", "7", "--speed", "60"]
    process = subprocess.Popen([sys.executable, "-m", "engine", "venue", *words], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and str(port).encode() in process.stdout.readline()
        stand = Stand(f"http://127.0.0.1:{port}", None, HandTime())  # type: ignore[arg-type]
        with closing(stand), stand.new_line():
            yield stand
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)


@pytest.fixture
def lively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stand, Settings]]:
    monkeypatch.chdir(tmp_path)
    with market_street() as stand:
        settings = settings_of(stand, tmp_path)
        for key, value in environment_of(settings).items():
            monkeypatch.setenv(key, value)
        yield stand, settings


EAGER = RiskLimits(order_interval_s_min=Decimal(0), stop_loss_atr=Decimal(3), take_profit_atr=Decimal(4))


def posts(stand: Stand) -> int:
    return sum(request.method == "POST" for request in stand.proxy.arrived)


def candles(stand: Stand) -> int:
    """How often bars were asked for, once and instrument in a minute of the market."""
    return sum("/candles" in request.target for request in stand.proxy.arrived)


@pytest.mark.timeout(300)
def test_a_halt_file_stops_a_running_session(
    lively: tuple[Stand, Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    stand, settings = lively
    node = TradingNode(settings)
    try:
        config = SessionConfig(
            mode=Mode.PRACTICE, instruments=("EUR_USD", "USD_JPY"), model_id="sma-cross:2/3", limits=EAGER
        )
        node.submit(StartSession(command_id="a", config=config))
        wait_for("an order", lambda: posts(stand) > 1)
        assert main(["halt", "--reason", "drill"]) == 0
        assert f"Process {os.getpid()} owns console.sqlite; it sends nothing more" in capsys.readouterr().out
        wait_for("the halt", lambda: node.snapshot.trading_state is TradingState.HALTED)
        assert "HALT" in node.snapshot.reason
        before, judged = posts(stand), node.snapshot.counts.decisions
        wait_for("six more decisions", lambda: node.snapshot.counts.decisions >= judged + 6)
        assert posts(stand) == before
        told = status(settings)
        assert (told.engine.pid, told.engine.running) == (os.getpid(), True)
        assert told.run is not None and told.run.status == "RUNNING"
        assert told.halt is not None and told.halt.reason == "drill"
    finally:
        assert node.stop(20)
    assert status(settings).engine.running is False


def start_engine(settings: Settings) -> subprocess.Popen[str]:
    words = ["session", "--mode", "practice", "--instruments", "EUR_USD,USD_JPY", "--model", "sma-cross:2/3"]
    limits = ["--limit", "order_interval_s_min=0", "--limit", "stop_loss_atr=3", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *words, *limits],
        cwd=ROOT,
        env={**os.environ, **environment_of(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(300)
def test_the_drill_an_account_that_an_engine_trades_ends_flat_and_stays_flat(
    lively: tuple[Stand, Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    stand, settings = lively
    engine = start_engine(settings)
    try:
        wait_for("a position", lambda: bool(stand.units()) or engine.poll() is not None)
        assert engine.poll() is None, engine.communicate()
        assert main(["flatten", "--yes"]) == 0
        assert capsys.readouterr().out.startswith("FLAT: ") and is_flat(stand)
        before, asked = posts(stand), candles(stand)
        wait_for("six more bars", lambda: candles(stand) >= asked + 12)
        assert is_flat(stand) and posts(stand) == before
        assert engine.poll() is None
        engine.send_signal(signal.SIGTERM)
        out, err = engine.communicate(timeout=WAIT_S)
    finally:
        engine.kill()
        engine.wait(WAIT_S)
    assert engine.returncode == 0, err
    result = json.loads(out)
    assert (result["state"], result["open_trades"]) == ("STOPPED", 0)
    assert Decimal(result["closing_balance"]) == stand.balance()
    assert fills_of(settings) == fills_at(stand)


def fills_of(settings: Settings) -> list[tuple[int, str, Decimal]]:
    with closing(sqlite3.connect(settings.database_path)) as conn:
        rows = conn.execute("SELECT transaction_id, instrument, units FROM fills ORDER BY transaction_id").fetchall()
    return [(number, name, Decimal(units)) for number, name, units in rows]


def fills_at(stand: Stand) -> list[tuple[int, str, Decimal]]:
    told = stand.ask("/transactions/sinceid?id=1")["transactions"]
    return [
        (int(each["id"]), each["instrument"], Decimal(each["units"])) for each in told if each["type"] == "ORDER_FILL"
    ]
