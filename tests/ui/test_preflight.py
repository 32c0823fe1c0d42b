"""The checks on the Session page: none yet, all well, something in the way, and those that a run began after."""

from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.domain.check import Check
from engine.domain.command import Mode, SessionConfig, StopSession
from engine.domain.event import BreakerTripped, DayBegan, SessionStarted, SessionState
from engine.node import TradingNode
from pages.parts import preflight
from tests.ui.console import opened, order, show, texts, wait_for
from tests.ui.oanda import choose, give_code, labels, pick, press_start, wait_until_running
from tests.ui.oanda import live as live
from tests.ui.oanda import practice as practice
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import set_up_live as set_up_live
from tests.ui.oanda import venue as venue
from tests.ui.test_live import filled, started
from tests.unit.store.tape import opened_store, record

RUN = "Run checks"
NOT_YET = "Not run yet. A session runs them by itself as it starts, and is refused by what blocks."


def unlocked(node: TradingNode, mode: Mode = Mode.PRACTICE) -> AppTest:
    return give_code(choose(opened("session"), mode), node.unlock_code.text)


def checked(app: AppTest) -> AppTest:
    button = pick(app.button, RUN)
    assert not button.disabled
    app = button.click().run()
    assert not app.exception
    return app


def test_nothing_was_checked_yet(set_up: TradingNode) -> None:
    app = unlocked(set_up)
    assert NOT_YET in texts(app)
    assert not pick(app.button, RUN).disabled


def test_a_browser_without_the_code_asks_oanda_nothing(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PRACTICE)
    assert RUN not in labels(app)


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.REPLAY, Mode.PAPER])
def test_other_modes_have_no_list(mode: Mode, set_up: TradingNode) -> None:
    app = unlocked(set_up)
    app = choose(app, mode)
    assert RUN not in labels(app) and NOT_YET not in texts(app)


def test_what_was_found_is_a_list_of_words_and_icons(practice: TradingNode) -> None:
    app = checked(unlocked(practice))
    said = texts(app)
    assert "No check stands in the way." in said
    assert ":green[:material/check_circle: ok] **Token**: accepted" in said
    assert ":green[:material/check_circle: ok] **Account type**: netting" in said
    assert ":orange[:material/warning: warning] **Test alert**: KEEL_ALERT_URL is not set" in said.replace("\\", "")
    assert NOT_YET not in said and "another choice" not in said
    pick(app.selectbox, "Granularity").set_value("M5").run()
    assert "These were made for another choice than the one above." in texts(app)


def test_what_stands_in_the_way_is_said(set_up: TradingNode) -> None:
    """Nobody answers at the address of this account."""
    set_up.settings.halt_path.touch()
    app = checked(unlocked(set_up))
    said = texts(app)
    assert "2 checks stand in the way." in said
    assert ":red[:material/block: blocks] **HALT file**" in said
    assert ":red[:material/block: blocks] **Token**: OANDA (practice) cannot be reached" in said
    assert "**Account**" not in said


def test_what_the_last_run_began_after_is_shown(set_up: TradingNode) -> None:
    checks = (Check(name="disk", ok=False, found="400 MB free", wanted="at least 500 MB"),)
    show(set_up, checks=checks, run_id=7)
    app = unlocked(set_up)
    assert "Made before run 7." in texts(app)
    assert ":red[:material/block: blocks] **Free disk**: 400 MB free; wanted: at least 500 MB" in texts(app)


def test_a_running_session_shows_what_it_began_after_and_checks_nothing(practice: TradingNode) -> None:
    app = unlocked(practice)
    press_start(app)
    wait_until_running(practice)
    assert {check.name for check in practice.snapshot.checks} >= {"token", "clock_skew", "database", "alert"}
    app = opened("session")
    assert ":green[:material/check_circle: ok] **Token**: accepted" in texts(app)
    assert RUN not in labels(app)
    order(practice, StopSession(command_id="enough"))
    wait_for(practice, lambda shot: shot.session_state is SessionState.STOPPED)


def test_the_checks_that_refused_a_live_start_are_shown_until_they_are_run_again(live: TradingNode) -> None:
    live.changed_options = ("server.enableCORS",)
    app = filled(live)
    press_start(app)
    wait_for(live, lambda shot: bool(shot.verdicts))
    said = texts(app.run())
    assert "was not started: Preflight check server_options failed: changed: server.enableCORS" in said
    assert "The last start was refused by these." in said and "1 check stands in the way." in said
    assert ":red[:material/block: blocks] **Console options**: changed: server.enableCORS" in said
    assert ":green[:material/check_circle: ok] **Token**: accepted" in said
    assert NOT_YET not in said
    live.changed_options = ()
    said = texts(checked(app))
    assert "No check stands in the way." in said and "The last start" not in said
    assert not live.snapshot.active


def test_a_start_that_was_refused_before_its_checks_says_so(set_up_live: TradingNode) -> None:
    """Nobody answers at the address of this account."""
    app = filled(set_up_live)
    press_start(app)
    wait_for(set_up_live, lambda shot: bool(shot.verdicts))
    said = texts(app.run())
    assert "cannot be reached" in said
    assert "Not run: the last start was refused before it came to them." in said and NOT_YET not in said


def test_a_lost_day_stands_in_the_way_as_the_start_says(practice: TradingNode) -> None:
    """The field's own run: checks, a start, and the same words from both."""
    lost_day(practice)
    app = unlocked(practice)
    pick(app.number_input, "Concurrent positions").set_value(9)
    said = texts(checked(app.run()))
    assert "1 check stands in the way." in said
    why = " would be less strict; a daily breaker has tripped, so limits can only be made stricter until 2025-01-06"
    assert f":red[:material/block: blocks] **Limits after a bad day**: Concurrent positions{why} 22:00:00 UTC" in said
    assert ":orange[:material/warning: warning] **Tripped breakers**: still tripped: daily_loss since" in said
    press_start(app)
    wait_for(practice, lambda shot: bool(shot.verdicts))
    assert f"The session was not started: Preflight check limits_locked failed: positions_max{why}" in texts(app.run())


def lost_day(node: TradingNode) -> None:
    """Let an earlier run of this account have tripped a daily breaker today."""
    config = SessionConfig(mode=Mode.PRACTICE, instruments=("EUR_USD",))
    prepared = wiring.prepare(config, node.settings)
    now_ns, account = prepared.clock.now_ns(), prepared.broker.opening().account
    prepared.close()
    store = opened_store(node.database_path)
    started = SessionStarted(
        ts_ns=now_ns, config=config, model_sha256="", opening_balance_home=Decimal(100_000), engine_version="test",
        account=account, opening_transaction_id=1, continues=None,
    )  # fmt: skip
    day = DayBegan(ts_ns=now_ns, equity_home=Decimal(100_000))
    tripped = BreakerTripped(ts_ns=now_ns, breaker="daily_loss", value="3.10 %", limit="3 %")
    record(store.begin_run(), [started, day, tripped])
    store.close()


def test_every_check_has_a_label(live: TradingNode) -> None:
    started(live)
    names = {check.name for check in live.snapshot.checks} | {"server_options"}
    assert names == set(preflight.LABELS)
    order(live, StopSession(command_id="enough"))
