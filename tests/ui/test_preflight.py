"""The checks on the Session page: none yet, all well, something in the way, and those that a run began after."""

import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.check import Check
from engine.domain.command import Mode, StopSession
from engine.domain.event import SessionState
from engine.node import TradingNode
from pages.parts import preflight
from tests.ui.console import opened, order, show, texts, wait_for
from tests.ui.oanda import choose, give_code, labels, pick, press_start, wait_until_running
from tests.ui.oanda import live as live
from tests.ui.oanda import practice as practice
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import venue as venue
from tests.ui.test_live import started

RUN = "Run checks"
NOT_YET = "Not run yet. A live session runs them by itself as it starts, and is refused by what blocks."


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
    assert "2 checks stand in the way of a practice session." in said
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


def test_a_live_session_with_changed_options_is_refused_by_name(live: TradingNode) -> None:
    live.changed_options = ("server.enableCORS",)
    with pytest.raises(AssertionError, match="Preflight check server_options failed: changed: server.enableCORS"):
        started(live)
    assert not live.snapshot.active


def test_every_check_has_a_label(live: TradingNode) -> None:
    started(live)
    names = {check.name for check in live.snapshot.checks} | {"server_options"}
    assert names == set(preflight.LABELS)
    order(live, StopSession(command_id="enough"))
