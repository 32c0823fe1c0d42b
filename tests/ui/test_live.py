"""Mode live: the form that takes no default, the phrase, the red frame, and arming again; on a venue on loopback."""

from decimal import Decimal
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.command import Mode, StopSession
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import ANY, limits_by_hand, ranged_fields
from engine.node import TradingNode
from pages.parts import formats, frame
from tests.ui.console import open_shell, opened, order, texts, wait_for
from tests.ui.oanda import (
    PHRASE,
    TYPED,
    choose,
    give_code,
    labels,
    pick,
    press_start,
    table_typed_before,
    type_limits,
    wait_until_running,
)
from tests.ui.oanda import live as live
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import set_up_live as set_up_live
from tests.ui.oanda import venue as venue

PHRASE_LABEL = "Type TRADE LIVE and the last four digits of the account"


def live_form(node: TradingNode) -> AppTest:
    app = choose(opened("session"), Mode.LIVE)
    return give_code(app, node.unlock_code.text)


def filled(node: TradingNode, phrase: str = PHRASE, **changes: float) -> AppTest:
    app = opened("session")
    table_typed_before(app)
    app = give_code(choose(app, Mode.LIVE), node.unlock_code.text)
    type_limits(app, **changes)
    pick(app.text_input, PHRASE_LABEL).set_value(phrase).run()
    return app


def started(node: TradingNode) -> AppTest:
    app = filled(node)
    press_start(app)
    wait_until_running(node)
    return app.run().run()


def still_wanted(app: AppTest) -> list[str]:
    return [line for item in app.warning for line in item.value.replace("\\", "").split("  \n")]


def html(app: AppTest) -> str:
    """The rules of style of a page, as the browser gets them."""
    return " ".join(item.proto.body for item in app.get("html"))


def test_what_bounds_a_loss_begins_empty_and_the_rest_does_not(set_up_live: TradingNode) -> None:
    app = live_form(set_up_live)
    by_label = {item.metadata["label"]: item for item in ranged_fields()}
    for item in app.number_input:
        found = [limit for label, limit in by_label.items() if item.label.startswith(label)]
        if found:
            assert (item.value is None) == (found[0].name in limits_by_hand()), item.label
    table = next(item.value for item in app.dataframe if "Position size, units" in item.value.columns)
    assert table["Position size, units"].isna().tolist() == [True]
    assert pick(app.button, "Start live session").disabled


def test_each_missing_limit_and_the_phrase_have_a_sentence(set_up_live: TradingNode) -> None:
    app = live_form(set_up_live)
    said = still_wanted(app)
    assert said[0] == "Risk per trade has to be typed, 0.01 to 5 % of equity."
    assert "Position size has to be typed, 0 to 100,000,000 units." in said
    assert len(said) == len(limits_by_hand()) + 1
    assert PHRASE_LABEL[5:] in said[-1]
    assert not app.error


def test_a_check_does_not_take_a_default_for_what_a_person_typed(set_up_live: TradingNode) -> None:
    app = live_form(set_up_live)
    type_limits(app)
    pick(app.button, "Run checks").click().run()
    said = texts(app).replace("*", "")
    assert "blocks] Limits set by hand: not set: Position size; wanted: what bounds a loss is typed" in said
    assert "all set" not in said


def test_what_is_about_to_trade_is_read_back_once_it_is_whole(set_up_live: TradingNode) -> None:
    assert not [item for item in live_form(set_up_live).table if "What" in item.value.columns]
    app = filled(set_up_live)
    table = next(item.value for item in app.table if "What" in item.value.columns)
    told = {what: value.replace("\\", "") for what, value in table.itertuples(index=False)}
    assert told["Orders go to"].startswith("the account at the venue at 127.0.0.1:")
    assert told["Risk per trade"] == "0.25 % of equity"
    assert told["Position size"] == "20,000 units"
    assert set(told) >= {item.metadata["label"] for item in ranged_fields() if item.name in limits_by_hand()}
    assert "7001" not in str(told)


@pytest.mark.parametrize("phrase", ["trade live 7001", "TRADE LIVE 7002", "7001"])
def test_a_wrong_phrase_is_said_and_cannot_start(phrase: str, set_up_live: TradingNode) -> None:
    app = filled(set_up_live, phrase)
    assert [item.value.replace("\\", "") for item in app.error] == [
        f"Mode live wants to be confirmed by typing {PHRASE_LABEL[5:]}; {phrase!r} was typed."
    ]
    assert pick(app.button, "Start live session").disabled


def test_a_bad_limit_is_one_sentence_and_cannot_start(set_up_live: TradingNode) -> None:
    app = filled(set_up_live, risk_per_trade_pct=7)
    assert [item.value for item in app.error] == ["Risk per trade is 7; it must be from 0.01 to 5 (% of equity)."]
    assert pick(app.button, "Start live session").disabled


def test_the_form_does_not_show_the_digits_that_have_to_be_typed(set_up_live: TradingNode) -> None:
    app = live_form(set_up_live)
    assert "Orders go to the account at the venue at 127.0.0.1" in texts(app)
    assert "real money" in texts(app)
    assert "7001" not in f"{texts(app)} {app._tree!r}"


def test_a_model_without_a_practice_run_is_named_and_not_refused(set_up_live: TradingNode) -> None:
    app = filled(set_up_live)
    assert "no practice run of model sma-cross; try it on a practice account first" in texts(app)
    assert not pick(app.button, "Start live session").disabled


def test_a_live_session_starts_with_what_was_typed(live: TradingNode) -> None:
    app = started(live)
    shot = live.snapshot
    assert shot.config is not None
    assert shot.config.mode is Mode.LIVE
    for name, value in TYPED.items():
        assert getattr(shot.config.limits, name) == Decimal(str(value)), name
    assert shot.config.limits.position_units_max == {ANY: Decimal(20_000)}
    assert dict(app.table[0].value.itertuples(index=False))["Account"].startswith("•••• 7001, the venue")


def test_a_live_session_has_a_red_frame_a_red_badge_and_its_arming(live: TradingNode) -> None:
    started(live)
    locked = open_shell()
    assert "border: 4px solid #d32f2f" in html(locked)
    tab = give_code(open_shell(), live.unlock_code.text).run()
    assert "border: 4px solid #d32f2f" in html(tab)
    assert ":red-badge[:material/payments: LIVE]" in tab.markdown[-1].value
    until_ns = live.snapshot.armed_until_ns
    assert until_ns is not None
    assert f"armed until {formats.hour_minute(until_ns)}" in texts(tab)
    assert "Arm again" not in labels(tab)


def test_a_live_session_is_halted_without_the_code(live: TradingNode) -> None:
    started(live)
    app = open_shell()
    assert labels(app) == ["Unlock", "Halt: send nothing more"]
    pick(app.button, "Halt").click().run()
    wait_for(live, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    assert "Halted: nothing more is opened." in texts(app.run())


def test_when_the_arming_is_over_it_is_said_and_can_be_armed_again(live: TradingNode) -> None:
    started(live)
    session = live._session
    assert session is not None
    session.desk.armed_until_ns = session.desk.now_ns - 1
    over = wait_for(live, lambda snapshot: snapshot.trading_state is TradingState.REDUCING)
    assert "armed for 12 hours, which are over" in frame.why_not_trading(over)
    app = give_code(open_shell(), live.unlock_code.text).run()
    assert "which are over" in texts(app)
    assert "armed until" not in texts(app)
    assert "Resume trading" not in [item.label for item in app.sidebar.button]

    pick(app.sidebar.text_input, PHRASE_LABEL).set_value("TRADE LIVE 0000")
    pick(app.sidebar.button, "Arm again").click().run()
    wait_for(live, lambda snapshot: _answers(snapshot)[-1:] == [False])
    assert "is not the phrase that this account is armed with" in texts(app.run())
    pick(app.sidebar.text_input, PHRASE_LABEL).set_value(PHRASE)
    pick(app.sidebar.button, "Arm again").click().run()
    wait_for(live, lambda snapshot: _answers(snapshot)[-1:] == [True])
    shot = wait_for(live, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)
    assert shot.armed_until_ns is not None and shot.armed_until_ns > shot.ts_ns
    assert "Arm again" not in labels(app.run())


def _answers(snapshot: Any) -> list[bool]:
    return [item.accepted for item in snapshot.verdicts if item.command == "ArmLive"]


def test_a_live_session_that_has_ended_wants_the_phrase_anew(live: TradingNode) -> None:
    app = started(live)
    order(live, StopSession(command_id="end"))
    wait_for(live, lambda snapshot: snapshot.session_state is SessionState.STOPPED)
    app.run()
    assert pick(app.text_input, PHRASE_LABEL).value == ""
    assert pick(app.button, "Start live session").disabled


def test_environment_practice_has_no_red_frame(set_up: TradingNode) -> None:
    assert "#d32f2f" not in html(open_shell())


def test_environment_live_is_red_and_says_why_before_anything_runs(set_up_live: TradingNode) -> None:
    app = give_code(open_shell(), set_up_live.unlock_code.text).run()
    assert "border: 4px solid #d32f2f" in html(app)
    assert "LIVE ENVIRONMENT" in app.markdown[-1].value
    assert "Start sandbox" in [item.label for item in app.sidebar.button]  # and not a Start that could be the live one
