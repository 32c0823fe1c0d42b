"""What pages say of an account at OANDA, and of a session on it: words alone, nothing is asked."""

import re
import time
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.config import Settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.event import SessionState
from engine.domain.market import NS_PER_S
from engine.redaction import Secret
from engine.snapshot import Snapshot
from pages.parts import account, confirm, formats, frame, tables
from tests.fakes.venue import ACCOUNT
from tests.ui.test_frame import position

PRACTICE = SessionConfig(mode=Mode.PRACTICE, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=1.0)
OUTSIDE = [Mode.PRACTICE, Mode.LIVE]
AT_OANDA = [Mode.PAPER, *OUTSIDE]


def settings(**changes: object) -> Settings:
    known = {"oanda_token": Secret("canary"), "oanda_account_id": ACCOUNT}
    return Settings(**(known | changes))  # type: ignore[arg-type]


def published(age_s: float, **changes: object) -> Snapshot:
    now_ns = time.time_ns()
    shot = Snapshot(session_state=SessionState.RUNNING, config=PRACTICE, ts_ns=now_ns, run_id=1)
    return replace(shot, published_ns=now_ns - int(age_s * NS_PER_S), **changes)


@pytest.mark.parametrize(
    ("account_id", "shown"), [(ACCOUNT, "•••• 7001"), ("001-004-12", "•••• 0412"), ("1234", "••••"), ("", "••••")]
)
def test_at_most_four_digits_of_an_account_are_shown(account_id: str, shown: str) -> None:
    assert account.tail(account_id) == shown


def test_the_host_is_that_of_the_settings() -> None:
    assert account.host(settings()) == "OANDA practice"
    assert account.host(settings(oanda_environment="live")) == "OANDA live"
    assert account.host(settings(oanda_loopback_url="http://127.0.0.1:8101")) == "the venue at 127.0.0.1:8101"


def test_only_a_session_outside_has_an_account_of_that_name() -> None:
    assert account.held(PRACTICE, settings()) == "•••• 7001, OANDA practice"
    assert account.held(replace(PRACTICE, mode=Mode.SANDBOX), settings()) == ""


@pytest.mark.parametrize("mode", list(Mode))
def test_stop_says_what_becomes_of_open_trades(mode: Mode) -> None:
    said = account.stop_effect(Snapshot(config=replace(PRACTICE, mode=mode)))
    assert ("stay at OANDA" in said) == (mode in OUTSIDE)
    assert ("simulated account ends" in said) == (mode not in OUTSIDE)


@pytest.mark.parametrize("mode", list(Mode))
def test_tables_leave_out_what_has_no_meaning_there(mode: Mode) -> None:
    config = replace(PRACTICE, mode=mode, capital_home=Decimal(5_000), speed=60.0)
    shown = dict(tables.configuration(config, account.held(config, settings())).itertuples(index=False))
    line = tables.summary(config)
    assert ("Speed" in shown, "Seed" in shown, "speed 60x" in line) == (mode not in AT_OANDA,) * 3
    assert ("Capital" in shown, "5,000.00 USD" in line) == (mode not in OUTSIDE,) * 2
    assert ("the account's balance in USD" in line) == (mode in OUTSIDE)
    assert ("Account" in shown, "Prices from" in shown) == (mode in OUTSIDE, mode is Mode.PAPER)
    assert shown["Balance at the start" if mode in OUTSIDE else "Capital"] == "5,000.00 USD"


@pytest.mark.parametrize("mode", AT_OANDA)
@pytest.mark.parametrize("speed", [1.0, 30.0])
def test_a_session_at_oanda_is_stale_after_seconds_whatever_its_bars(mode: Mode, speed: float) -> None:
    config = replace(PRACTICE, mode=mode, speed=speed)
    assert not frame.is_stale(published(1.5, config=config))
    assert frame.is_stale(published(4, config=config))


def test_while_oanda_cannot_be_read_one_long_try_is_not_staleness() -> None:
    assert not frame.is_stale(published(11, session_state=SessionState.DEGRADED))
    assert frame.is_stale(published(20, session_state=SessionState.DEGRADED))


@pytest.mark.parametrize(("speed", "said"), [(1.0, False), (30.0, True)])
def test_the_clock_names_a_speed_only_when_it_is_not_the_worlds(speed: float, said: bool) -> None:
    shot = published(0, config=replace(PRACTICE, speed=speed))
    text = frame._market_time(shot).replace("\\", "")
    assert (" at 30x" in text) == said
    assert " at 1x" not in text
    assert re.match(r"\w{3} \d\d:\d\d:\d\d UTC", text)


def test_the_question_before_a_flatten_names_real_money() -> None:
    held = Snapshot(positions=(position("EUR_USD", "-5000"),), config=replace(PRACTICE, mode=Mode.LIVE))
    assert "at the market with real money." in confirm.flatten_effect(held)
    assert "at the market on the practice account." in confirm.flatten_effect(replace(held, config=PRACTICE))
    simulated = replace(PRACTICE, mode=Mode.PAPER)
    assert "at the market. " in confirm.flatten_effect(replace(held, config=simulated))


def test_a_time_of_day_has_its_zone() -> None:
    assert formats.hour_minute(1_700_000_000 * NS_PER_S) == "22:13 UTC"


def test_without_a_session_the_hint_names_the_tool_that_closes_an_account() -> None:
    assert account.flatten_hint(Settings()) == "No session is running, so there is nothing to close."
    assert account.flatten_hint(Settings(oanda_token=Secret("canary"))).endswith("python -m engine flatten")
