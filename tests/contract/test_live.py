"""Mode live as its user meets it: the real command, on a venue of this machine instead of OANDA's live host."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from time import monotonic

import pytest

from engine.cli import main
from engine.domain.command import ArmLive, Mode, SessionConfig
from engine.domain.event import TradingState
from engine.domain.limits import RiskLimits, limits_by_hand
from engine.domain.market import NS_PER_S
from engine.prediction.registry import ModelRegistry
from engine.session import TradingSession
from engine.session.desk import ARMED_H
from engine.session.loop import SessionParts
from engine.store.journal import open_journal
from tests.contract.test_practice import HandClock, Latch
from tests.fakes.receiver import Receiver
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms
from tests.unit.adapters.oanda.stand import standing

PHRASE = "TRADE LIVE 7001"
ARMED_S = ARMED_H * 3_600
SPEED = 60.0
LIMITS = {
    "risk_per_trade_pct": "0.5",
    "exposure_pct_max": "300",
    "position_units_max": "50000",
    "positions_max": "2",
    "daily_loss_pct_max": "2",
    "drawdown_pct_max": "5",
}
BY_HAND = [part for name, value in LIMITS.items() for part in ("--limit", f"{name}={value}")]
MARKET = ["--instruments", "EUR_USD", "--model", "sma-cross:2/3", "--granularity", "S30", "--duration", "10m", "--json"]
# Time is moved by hand here, and the prices stay behind.
PATIENT = RiskLimits(data_age_s_max=Decimal(86_400))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a .env that allows live trading at a venue which is running, and someone to tell."""
    monkeypatch.chdir(tmp_path)
    with running(terms(seed=7, speed=SPEED), monotonic) as (url, _), Receiver() as receiver:
        settings = {
            "KEEL_LOG_LEVEL": "WARNING",
            "OANDA_ENVIRONMENT": "live",
            "LIVE_TRADING": "yes",
            "OANDA_TOKEN": TOKEN,
            "OANDA_ACCOUNT_ID": ACCOUNT,
            "OANDA_LOOPBACK_URL": url,
            "KEEL_ALERT_URL": receiver.url,
        }
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        yield tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["session", "--mode", "live", *MARKET, *arguments])
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], house: Path, *arguments: str) -> str:
    """Be refused with exit code 2, one sentence, and nothing written."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert not (house / "data").exists()
    return err.strip()


def test_a_live_session_that_everything_allows_trades(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *BY_HAND, "--confirm", PHRASE)
    assert code == 0, err
    result = json.loads(out)
    assert (result["mode"], result["state"]) == ("live", "STOPPED")
    assert result["orders"] >= 1
    opening, closing_, moved = (Decimal(result[name]) for name in ("opening_balance", "closing_balance", "realized_pl"))
    assert closing_ == opening + moved + Decimal(result["financing"])
    with closing(sqlite3.connect(house / "data" / "console.sqlite")) as conn:
        (armed,) = conn.execute("SELECT count(*) FROM events WHERE kind = 'LiveArmed'").fetchone()
    assert armed == 1
    assert err.strip() == (
        "This database has no practice run of model sma-cross:2/3; try it on a practice account first."
    )


def test_a_practice_run_of_the_model_silences_the_advice(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = ["--model", "flat", "--duration", "2m"]
    assert run(capsys, *BY_HAND, "--confirm", PHRASE, *idle)[2].startswith("This database has no practice run of model")
    monkeypatch.setenv("OANDA_ENVIRONMENT", "practice")
    assert main(["session", "--mode", "practice", *MARKET, *idle]) == 0
    capsys.readouterr()
    monkeypatch.setenv("OANDA_ENVIRONMENT", "live")
    code, _, err = run(capsys, *BY_HAND, "--confirm", PHRASE, *idle)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("left_out", limits_by_hand())
def test_a_limit_that_was_not_set_refuses(left_out: str, house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [part for name, value in LIMITS.items() if name != left_out for part in ("--limit", f"{name}={value}")]
    text = refused(capsys, house, *given, "--confirm", PHRASE)
    assert text == (
        f"Mode live takes no default for what bounds a loss; set {left_out} by hand: type it, or take a profile that "
        "you saved and that states it; a built-in one does not count."
    )


@pytest.mark.parametrize("typed", ["", "TRADE LIVE", "TRADE LIVE 7002", "trade live 7001"])
def test_the_wrong_phrase_refuses(typed: str, house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refused(capsys, house, *BY_HAND, "--confirm", typed)
    assert text.startswith("Mode live wants to be confirmed by typing TRADE LIVE and the last four digits")


def test_no_consent_in_env_refuses(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_TRADING", "no")
    text = refused(capsys, house, *BY_HAND, "--confirm", PHRASE)
    assert text == "LIVE_TRADING is no; mode live needs LIVE_TRADING=yes in .env."


def test_the_environment_of_env_is_never_left(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OANDA_ENVIRONMENT", "practice")
    assert refused(capsys, house, *BY_HAND, "--confirm", PHRASE).startswith("OANDA_ENVIRONMENT is practice; mode live")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[TradingSession, HandTime]]:
    """A live session before the venue, with time in the test's hand."""
    store = open_journal(tmp_path / "keel.sqlite", wall_ns=lambda: 1)
    with standing() as stand, stand.new_line(), stand.desk() as desk:
        parts = SessionParts(
            config=SessionConfig(mode=Mode.LIVE, instruments=("EUR_USD",), model_id="flat", limits=PATIENT),
            clock=HandClock(stand.time),
            market_data=desk.market_data("USD", stand.now_ns, 1.0),
            broker=desk.broker,
            predictor=ModelRegistry(tmp_path / "models").load("flat"),
            journal=store.begin_run(),
            kill=Latch(),
            instruments=desk.opened.instruments,
            engine_version="test",
            arming_phrase=PHRASE,
        )
        yield TradingSession(parts), stand.time
    store.close()


def test_an_arming_ends_after_its_hours_and_can_be_renewed_by_hand(session: tuple[TradingSession, HandTime]) -> None:
    live, time = session
    live.step()
    live.step()
    until_ns = live.desk.armed_until_ns
    assert until_ns == live.desk.now_ns // NS_PER_S * NS_PER_S + ARMED_S * NS_PER_S
    time.pass_by(ARMED_S - 1)
    live.step()
    assert live.desk.trading_state is TradingState.ACTIVE
    time.pass_by(1)
    live.step()
    assert live.desk.trading_state is TradingState.REDUCING
    assert live.desk.state_reason == "armed for 12 hours, which are over; arm again to open positions"
    live.step([ArmLive(command_id="a", phrase="TRADE LIVE 7002")])
    assert live.desk.trading_state is TradingState.REDUCING
    live.step([ArmLive(command_id="b", phrase=PHRASE)])
    assert live.desk.trading_state is TradingState.ACTIVE
    assert [verdict.accepted for verdict in live.desk.verdicts] == [False, True]
    assert live.desk.armed_until_ns == until_ns + ARMED_S * NS_PER_S
