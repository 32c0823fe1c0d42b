"""The unlock code: what a browser may do and see before it gave the code, and that a halt never waits for it."""

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.domain.command import (
    AcknowledgeBreaker,
    ArmLive,
    ClaimTrade,
    ClosePosition,
    Command,
    FlattenAll,
    HaltTrading,
    Mode,
    PauseEntries,
    ResumeTrading,
    SessionConfig,
    SetNews,
    StartSession,
    StopSession,
    TryOrder,
    UpdateRiskLimits,
)
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.node import TradingNode
from engine.snapshot import BreakerView
from engine.unlock import TRIES_MAX
from pages import risk
from pages.parts import formats, unlock
from tests.ui.console import PATIENCE_S, open_shell, opened, order, show, texts, wait_for
from tests.ui.oanda import choose, give_code, labels, pick, wait_until_running
from tests.ui.oanda import live as live
from tests.ui.oanda import practice as practice
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import set_up_live as set_up_live
from tests.ui.oanda import venue as venue

WRONG = "This is not the code that stands on the terminal where the console was started."
PRACTICE = SessionConfig(mode=Mode.PRACTICE, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=1.0)
LIVE = replace(PRACTICE, mode=Mode.LIVE)
OF_LIMITS = ("Name of the new profile", "Trading day begins")


def asked(app: AppTest) -> list[str]:
    return [item.label for item in app.text_input if item.label not in OF_LIMITS]


def in_practice(node: TradingNode) -> TradingNode:
    """Let a real practice session run."""
    order(node, StartSession(command_id="begin", config=PRACTICE))
    wait_until_running(node)
    return node


def test_start_of_a_practice_session_asks_for_the_code_once(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PRACTICE)
    assert asked(app) == ["Unlock code"]
    assert "Start session" not in labels(app)
    give_code(app, "AAAA-AAAA")
    assert [item.value for item in app.error] == [WRONG]
    assert "Start session" not in labels(app)
    give_code(app, set_up.unlock_code.text.lower())
    assert asked(app) == []
    assert not app.error
    assert not pick(app.button, "Start session").disabled
    assert asked(choose(choose(app, Mode.SANDBOX), Mode.PRACTICE)) == []


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.PAPER])
def test_what_sends_no_order_to_oanda_needs_no_code(mode: Mode, set_up: TradingNode) -> None:
    app = choose(opened("session"), mode)
    assert asked(app) == []
    assert not pick(app.button, "Start session").disabled


def test_after_five_wrong_codes_even_the_right_one_has_to_wait(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PRACTICE)
    for _ in range(TRIES_MAX):
        give_code(app, "wrong")
    give_code(app, set_up.unlock_code.text)
    assert f"{TRIES_MAX} wrong codes were typed; wait " in app.error[0].value
    assert "Start session" not in labels(app)


def test_an_empty_field_is_not_a_try(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PRACTICE)
    for _ in range(TRIES_MAX + 1):
        give_code(app, "")
    assert not app.error
    give_code(app, set_up.unlock_code.text)
    assert "Start session" in labels(app)


def test_the_code_is_of_one_browser_session_only(set_up: TradingNode) -> None:
    give_code(choose(opened("session"), Mode.PRACTICE), set_up.unlock_code.text)
    assert asked(choose(opened("session"), Mode.PRACTICE)) == ["Unlock code"]


@pytest.mark.parametrize("part", [risk.EDIT, risk.WHAT_IF])
def test_the_risk_page_asks_for_the_code_before_anything_can_be_typed(set_up: TradingNode, part: str) -> None:
    show(set_up, session_state=SessionState.RUNNING, config=PRACTICE, limits=RiskLimits(), run_id=1)
    app = opened("risk")
    app.button_group[0].select(part).run()
    assert not app.exception
    assert [item.label for item in app.text_input] == ["Unlock code"]
    assert not app.number_input


def send_what_is_given() -> None:
    import streamlit as st

    from engine.node import TradingNode
    from pages.parts import confirm

    confirm.send(TradingNode.attach(), "test", st.session_state["command"])


def sent(command: Command, *, unlocked: bool) -> str | None:
    """Send a command as a page does; returns what the banner says."""
    app = AppTest.from_function(send_what_is_given, default_timeout=PATIENCE_S)
    app.session_state["command"] = command
    if unlocked:
        app.session_state["keel-unlocked"] = True
    app.run()
    assert not app.exception
    said: str | None = app.session_state["keel-refusal"]
    return said


RISKY: list[Command] = [
    StartSession(command_id="c", config=PRACTICE),
    StopSession(command_id="c"),
    PauseEntries(command_id="c"),
    ResumeTrading(command_id="c"),
    FlattenAll(command_id="c"),
    ClosePosition(command_id="c", instrument="EUR_USD"),
    UpdateRiskLimits(command_id="c", limits=RiskLimits(), expected_revision=1),
    AcknowledgeBreaker(command_id="c", breaker="drawdown", reason="seen"),
    ArmLive(command_id="c", phrase="TRADE LIVE 7001"),
    ClaimTrade(command_id="c", trade_id="1", choice="close"),
    SetNews(command_id="c", news=()),
    TryOrder(command_id="c", instrument="EUR_USD", direction=1),
]


def test_every_command_is_among_those_that_are_tried() -> None:
    assert {type(item) for item in RISKY} | {HaltTrading} == set(Command.__args__)


@pytest.mark.parametrize("command", RISKY, ids=lambda item: type(item).__name__)
def test_a_command_to_an_account_at_oanda_is_not_sent_without_the_code(command: Command, set_up: TradingNode) -> None:
    show(set_up, session_state=SessionState.RUNNING, config=PRACTICE)
    said = sent(command, unlocked=False)
    assert said is not None and said.endswith(f"this browser has not given the unlock code yet. {unlock.WHERE}")
    assert set_up.wait_until_idle(0)
    assert set_up.latch.noted == ""
    assert sent(command, unlocked=True) is None
    wait_for(set_up, lambda snapshot: any(item.command_id == "c" for item in snapshot.verdicts))


def test_a_halt_is_sent_without_the_code(set_up: TradingNode) -> None:
    show(set_up, session_state=SessionState.RUNNING, config=PRACTICE)
    assert sent(HaltTrading(command_id="c"), unlocked=False) is None
    assert set_up.latch.noted == "halt by the operator"


def test_a_start_that_is_under_way_cannot_be_touched_either(practice: TradingNode) -> None:
    assert sent(PauseEntries(command_id="idle"), unlocked=False) is None
    wait_for(practice, lambda snapshot: bool(snapshot.verdicts))
    practice.submit(StartSession(command_id="begin", config=PRACTICE))
    said = sent(PauseEntries(command_id="c"), unlocked=False)
    assert said is not None and "unlock code" in said


def test_a_sandbox_session_is_steered_without_the_code(set_up: TradingNode) -> None:
    order(set_up, StartSession(command_id="begin", config=wiring.default_config(set_up.settings)))
    app = open_shell()
    assert [item.label for item in app.sidebar.button] == ["Pause entries", "Stop", "Halt", "Flatten & halt"]
    assert asked(app) == []


def test_a_locked_tab_beside_a_practice_session_has_a_field_and_a_halt(practice: TradingNode) -> None:
    in_practice(practice)
    app = open_shell()
    assert [item.label for item in app.sidebar.button] == ["Unlock", "Halt: send nothing more"]
    assert not {"Pause entries", "Stop", "Flatten & halt"} & set(labels(app))
    page = opened("session")
    assert asked(page) == ["Unlock code"]
    assert "Stop session" not in labels(page)
    pick(app.sidebar.button, "Halt").click().run()
    shot = wait_for(practice, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    assert shot.active
    give_code(app, practice.unlock_code.text).run()
    assert [item.label for item in app.sidebar.button] == ["Resume trading", "Stop", "Halt", "Flatten & halt"]
    assert "Halt: send nothing more" not in labels(app)


def test_a_breaker_is_released_only_with_the_code(set_up: TradingNode) -> None:
    tripped = BreakerView(
        name="drawdown", value="11 %", limit="10 %", used_pct=110.0, tripped_ns=1, cause="11 % reached 10 %"
    )
    show(set_up, session_state=SessionState.RUNNING, config=PRACTICE, breakers=(tripped,))
    app = opened("overview")
    assert asked(app) == ["Unlock code"]
    assert "Release" not in labels(app)
    give_code(app, set_up.unlock_code.text)
    assert asked(app) == ["Why may trading go on?"]


def test_environment_live_shows_nothing_but_the_field(set_up_live: TradingNode) -> None:
    show(set_up_live, session_state=SessionState.STOPPED, config=LIVE, run_id=4, reason="the end")
    app = open_shell()
    assert asked(app) == ["Unlock code"]
    assert labels(app) == ["Unlock"]
    assert not app.sidebar.markdown
    said = texts(app)
    assert not any(word in said for word in ("USD", "Equity", "Run 4", "STOPPED", "No session"))
    give_code(app, "wrong")
    assert [item.value for item in app.error] == [WRONG]
    give_code(app, set_up_live.unlock_code.text)
    assert asked(app) == []
    assert "Equity" in texts(app)


def test_environment_live_without_the_code_can_halt_whatever_runs(set_up_live: TradingNode) -> None:
    config = wiring.default_config(set_up_live.settings)
    order(set_up_live, StartSession(command_id="begin", config=config))
    app = open_shell()
    assert labels(app) == ["Unlock", "Halt: send nothing more"]
    assert not any(word in texts(app) for word in ("USD", "RUNNING", "SANDBOX"))
    pick(app.button, "Halt").click().run()
    shot = wait_for(set_up_live, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    assert shot.active
    assert "Halted: nothing more is opened." in texts(app.run())
    assert formats.money(shot.equity_home) not in texts(app)
