"""The frame with a real engine behind it: badges, the three stops, one effect per click, and why nothing trades."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.command import ClosePosition, Mode, SessionConfig, StartSession, StopSession, UpdateRiskLimits
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.node import TradingNode
from engine.risk.breakers import Trip
from engine.snapshot import BreakerView, PositionView, Snapshot, WarmupRow
from pages.parts import confirm, formats, frame
from tests.ui.console import order, show, texts, wait_for

ROOT = Path(__file__).resolve().parents[2]
OpenTab = Callable[[], AppTest]
BUSY = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=7_200.0)


def button(app: AppTest, label: str):
    found = [item for item in app.sidebar.button if item.label == label]
    assert len(found) == 1, f"{label!r} is there {len(found)} times among {[item.label for item in app.sidebar.button]}"
    return found[0]


def labels(app: AppTest) -> list[str]:
    return [item.label for item in app.sidebar.button]


def bar(app: AppTest) -> str:
    """The line at the bottom of the page."""
    return app.markdown[-1].value.replace("\\", "")


def running(node: TradingNode) -> Snapshot:
    order(node, StartSession(command_id="begin", config=BUSY))
    return wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)


def holding(node: TradingNode) -> Snapshot:
    running(node)
    return wait_for(node, lambda snapshot: bool(snapshot.positions))


def test_a_fresh_console_offers_only_start(shell: OpenTab) -> None:
    app = shell()
    assert labels(app) == ["Start"]
    assert "READY" in bar(app)
    assert "No session is running." in texts(app)
    flatten = [item for item in app.button if item.label == "Flatten & halt"]
    assert [item.disabled for item in flatten] == [True]


def test_one_click_on_start_runs_a_sandbox_session(node: TradingNode, shell: OpenTab) -> None:
    app = shell()
    button(app, "Start").click().run()
    shot = wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)
    assert shot.config is not None
    assert shot.config.mode is Mode.SANDBOX
    app.run()
    assert labels(app) == ["Pause entries", "Stop", "Halt", "Flatten & halt"]
    assert all(word in bar(app) for word in ("SANDBOX", "RUNNING", "ENTRIES ON", "UTC at 60x", "data ", "USD"))
    assert [verdict.accepted for verdict in shot.verdicts] == [True]


def test_a_button_keeps_its_id_until_the_engine_has_answered(node: TradingNode, shell: OpenTab) -> None:
    app = shell()
    drawn = button(app, "Start").key
    app.run()
    assert button(app, "Start").key == drawn
    button(app, "Start").click().run()
    wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)
    order(node, StopSession(command_id="end"))
    wait_for(node, lambda snapshot: not snapshot.active)
    app.run()
    assert button(app, "Start").key != drawn


def test_clicking_the_same_drawn_button_twice_is_one_session(node: TradingNode, shell: OpenTab) -> None:
    app = shell()
    sent = button(app, "Start").key.removeprefix("start-sidebar-")
    button(app, "Start").click().run()
    wait_for(node, lambda snapshot: snapshot.active)
    node.submit(StartSession(command_id=sent, config=BUSY))
    order(node, StopSession(command_id="end"))
    shot = wait_for(node, lambda snapshot: not snapshot.active)
    starts = [(item.command_id, item.accepted) for item in shot.verdicts if item.command == "StartSession"]
    assert starts[0] == (sent, True)
    assert shot.run_id == 1


def test_pause_and_resume(node: TradingNode, shell: OpenTab) -> None:
    running(node)
    app = shell()
    button(app, "Pause entries").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.PAUSED)
    app.run()
    assert "ENTRIES PAUSED" in bar(app)
    button(app, "Resume trading").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)
    app.run()
    assert "ENTRIES ON" in bar(app)


def test_halt_is_one_click_beside_the_other_stops_and_closes_nothing(node: TradingNode, shell: OpenTab) -> None:
    holding(node)
    app = shell()
    assert "Halt sends nothing more; open positions keep their stops." in texts(app).replace("*", "")
    button(app, "Halt").click().run()
    shot = wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    assert shot.positions
    assert node.latch.noted == "halt by the operator"
    app.run()
    assert labels(app) == ["Resume trading", "Stop", "Halt", "Flatten & halt"]
    assert button(app, "Halt").disabled
    button(app, "Resume trading").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)
    assert not button(app.run(), "Halt").disabled


def test_resuming_is_not_offered_while_a_breaker_keeps_entries_from_leaving(node: TradingNode, shell: OpenTab) -> None:
    running(node)
    session = node._session
    assert session is not None
    trip = Trip(breaker="late_fill", ts_ns=session.desk.now_ns, value="order 1", limit="none", cause="order 1")
    session.desk.panel.latch(trip)
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.REDUCING)
    app = shell()
    assert labels(app) == ["Stop", "Halt", "Flatten & halt"]
    said = "Entries wait for the release of late fill: on Overview, or on Risk in the part Breakers."
    assert said in texts(app).replace("*", "")
    button(app, "Halt").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    assert "Resume trading" in labels(app.run())


def test_limits_are_called_by_their_labels_in_the_sidebar_and_in_the_bar(node: TradingNode, shell: OpenTab) -> None:
    running(node)
    order(node, UpdateRiskLimits(command_id="tighter", limits=RiskLimits(margin_pct_max=Decimal(40))))
    assert "Margin use from 50 to 40" in texts(shell()).replace("*", "")
    node.submit(UpdateRiskLimits(command_id="looser", limits=RiskLimits(margin_pct_max=Decimal(60))))
    wait_for(node, lambda snapshot: not snapshot.verdicts[-1].accepted)
    assert "Refused. Update risk limits: Margin use would be less strict" in texts(shell()).replace("*", "")
    assert "margin_pct_max" not in texts(shell())


def test_what_is_lost_if_all_stops_are_hit_is_on_every_page(node: TradingNode, shell: OpenTab) -> None:
    shot = holding(node)
    order(node, StopSession(command_id="end"))
    shot = wait_for(node, lambda snapshot: not snapshot.active)
    assert shot.risk_home > 0
    assert f"If all stops hit **-{formats.money(shot.risk_home)} USD**" in texts(shell())
    show(node, positions=(), open_trades=())
    show(node, risk_home=Decimal(0))
    assert "If all stops hit **0.00**" in texts(shell())


def test_stop_ends_the_session_and_the_figures_are_final(node: TradingNode, shell: OpenTab) -> None:
    running(node)
    app = shell()
    button(app, "Stop").click().run()
    shot = wait_for(node, lambda snapshot: not snapshot.active)
    app.run()
    assert labels(app) == ["Start"]
    assert f"{formats.money(shot.equity_home)} USD" in texts(app)
    assert f"final, {formats.utc(shot.ts_ns)}" in bar(app)


def flatten_question() -> None:
    from engine.node import TradingNode
    from pages.parts import confirm

    confirm.flatten_body(TradingNode.attach())


def test_flatten_closes_everything_and_halts_until_resumed(node: TradingNode, shell: OpenTab) -> None:
    holding(node)
    question = AppTest.from_function(flatten_question).run()
    next(item for item in question.button if item.label == "Flatten & halt now").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.HALTED and not snapshot.positions)
    app = shell()
    assert "HALTED" in bar(app)
    assert "Nothing is sent" in texts(app)
    assert "Flatten all: halted; flat, 1 position(s) closed." in texts(app)
    button(app, "Resume trading").click().run()
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)


def test_cancelling_the_question_sends_nothing(node: TradingNode) -> None:
    running(node)
    question = AppTest.from_function(flatten_question).run()
    next(item for item in question.button if item.label == "Cancel").click().run()
    assert [item.command for item in order(node, StopSession(command_id="end")).verdicts].count("FlattenAll") == 0


def position(name: str, units: str) -> PositionView:
    return PositionView(
        instrument=name,
        units=Decimal(units),
        average_price=Decimal("1.1"),
        price_now=Decimal("1.1"),
        unrealized_pl_home=Decimal(0),
        risk_home=Decimal(0),
        stop_loss=None,
        take_profit=None,
        opened_ns=0,
        trade_ids=("1",),
    )


def test_the_question_names_the_effect() -> None:
    one = Snapshot(positions=(position("EUR_USD", "-5000"),), exposure_home=Decimal("5500"))
    two = replace(one, positions=(*one.positions, position("USD_JPY", "10000")), exposure_home=Decimal("15500.5"))
    assert "close 1 position, 5,000 units, worth 5,500.00 USD" in confirm.flatten_effect(one)
    assert "close 2 positions, 15,000 units, worth 15,500.50 USD" in confirm.flatten_effect(two)
    assert "no open position" in confirm.flatten_effect(Snapshot())


def test_a_refusal_stays_until_it_is_put_away(node: TradingNode, shell: OpenTab) -> None:
    running(node)
    node.submit(ClosePosition(command_id="close", instrument="XAU_USD"))
    wait_for(node, lambda snapshot: any(item.command_id == "close" for item in snapshot.verdicts))
    app = shell()
    assert "Close position: there is no open position in XAU_USD." in texts(app)
    app.run()
    assert "there is no open position in XAU_USD" in texts(app)
    next(item for item in app.button if item.label == "Dismiss").click().run()
    assert "there is no open position in XAU_USD" not in texts(app)


def test_a_fault_is_told_on_every_page(node: TradingNode, shell: OpenTab) -> None:
    show(node, session_state=SessionState.FAULTED, config=BUSY, reason="session: bar 12 is not newer than 12")
    app = shell()
    assert "Faulted. session: bar 12 is not newer than 12." in texts(app).replace("*", "")
    assert "FAULTED" in bar(app)
    assert labels(app) == ["Start"]


def fresh(age_s: float = 0.0, **changes: object) -> Snapshot:
    """What a running session published `age_s` ago."""
    published_ns = time.time_ns() - int(age_s * formats.NS_PER_S)
    base = Snapshot(session_state=SessionState.RUNNING, config=BUSY, published_ns=published_ns, run_id=1)
    return replace(base, **changes)


TRIPPED = BreakerView(name="daily_loss", value="3.1 %", limit="3 %", used_pct=103.0, tripped_ns=1, cause="3.1 % of 3 %")


def latched(name: str, value: str) -> BreakerView:
    """A latch without a measure, as it is told after a restart."""
    cause = f"{value}, limit none, before the restart"
    return BreakerView(name=name, value=value, limit="none", used_pct=100.0, tripped_ns=1, cause=cause)


COLD = tuple(
    WarmupRow(instrument=name, have=have, need=60, age_s=None, reason="")
    for name, have in (("EUR_USD", 60), ("GBP_USD", 12), ("USD_JPY", 0))
)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"session_state": SessionState.READY}, "No session is running."),
        ({"session_state": SessionState.FAULTED, "reason": "disk full"}, "stopped on an error: disk full"),
        ({"session_state": SessionState.WARMING_UP, "warmup": COLD}, "GBP_USD has 12 of 60 bars (and 1 more)."),
        (
            {"session_state": SessionState.WARMING_UP, "warmup": COLD, "reason": "the process stood still for 90 s"},
            "Warming up again: the process stood still for 90 s.",
        ),
        ({"session_state": SessionState.STOPPING}, "The session is stopping."),
        ({"breakers": (TRIPPED,)}, "Breaker daily loss has tripped: 3.1 % of 3 %; release it on Overview or Risk."),
        (
            {"breakers": (latched("late_fill", "order 1-EUR_USD-0-1"),)},
            "Breaker late fill has tripped: order 1-EUR_USD-0-1 was filled after it had expired; release it on",
        ),
        (
            {"breakers": (latched("reconciliation", "the broker's balance is 9, ours is 8"),)},
            "Breaker reconciliation has tripped: our books and the broker's differ: the broker's balance is 9, ours is",
        ),
        ({"trading_state": TradingState.HALTED, "reason": "halt by the operator"}, "Halted: halt by the operator"),
        ({"session_state": SessionState.DEGRADED, "reason": "no bars"}, "Degraded: no bars"),
        ({}, "Waiting for the first bar to close."),
        ({"age_s": 60}, "The engine has published nothing for 6"),
    ],
)
def test_why_not_trading_names_what_stops_most(changes: dict[str, Any], answer: str) -> None:
    assert answer in frame.why_not_trading(fresh(**changes))


def test_data_are_stale_only_when_more_than_two_expected_ones_are_missing() -> None:
    slow = replace(BUSY, speed=1.0)
    assert not frame.is_stale(fresh())
    assert frame.is_stale(fresh(age_s=6))
    assert not frame.is_stale(fresh(age_s=6, config=slow))
    assert frame.is_stale(fresh(age_s=12, config=slow))
    assert not frame.is_stale(fresh(age_s=60, session_state=SessionState.STOPPED))


def test_stale_numbers_say_so_on_every_page(node: TradingNode, shell: OpenTab) -> None:
    published_ns = time.time_ns() - 47 * formats.NS_PER_S
    show(node, session_state=SessionState.RUNNING, config=BUSY, published_ns=published_ns)
    app = shell()
    assert re.search(r"stale, data \d+ s old", bar(app))
    assert re.search(r"These numbers are \d+ s old.", texts(app))


def test_a_clock_that_was_set_is_told_beside_the_state(node: TradingNode, shell: OpenTab) -> None:
    note = "the machine's clock is 7 s ahead of the session's time"
    show(node, session_state=SessionState.RUNNING, config=BUSY, published_ns=time.time_ns(), clock_note=note)
    assert [item.value for item in shell().sidebar.warning] == [f"T{note[1:]}."]


def test_no_page_loads_scikit_learn() -> None:
    heavy = "{'sklearn', 'joblib', 'scipy', 'skops'}"
    code = f"import pages.overview, pages.session, pages.trades, sys; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
