"""Breakers that were latched without a measure: how a real session's page words them, and that they can be released."""

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.domain.command import SessionConfig, StartSession, StopSession
from engine.domain.event import TradingState
from engine.node import TradingNode
from engine.risk.breakers import Trip
from engine.snapshot import Snapshot
from tests.ui.console import open_shell, opened, order, texts, wait_for
from tests.ui.oanda import pick

SAID = {
    "late_fill": (
        "order 1-EUR_USD-0-1",
        "order 1-EUR_USD-0-1 was filled after it had expired",
        "There is a position that nobody reckoned with: look at it, and close it if it is not wanted.",
    ),
    "reconciliation": (
        "the broker's balance is 99000, ours is 100000 (and 1 more)",
        "our books and the broker's differ: the broker's balance is 99000, ours is 100000 (and 1 more)",
        "Compare them with the account at OANDA.",
    ),
}


MEASURING = ["daily loss", "drawdown", "loss streak", "model faults", "data age", "broker errors"]


def latched(node: TradingNode, name: str) -> Snapshot:
    """Let a running session latch this breaker, as its dispatcher or its audit would."""
    config: SessionConfig = replace(wiring.default_config(node.settings), speed=60.0)
    order(node, StartSession(command_id="begin", config=config))
    session = node._session
    assert session is not None
    value = SAID[name][0]
    session.desk.panel.latch(Trip(breaker=name, ts_ns=session.desk.now_ns, value=value, limit="none", cause=value))
    return wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.REDUCING)


def bars(app: AppTest) -> list[str]:
    return [item.proto.text.split(":")[0] for item in app.get("progress")]


@pytest.mark.parametrize("name", SAID)
def test_a_latch_is_a_sentence_with_what_to_do_and_no_bar(node: TradingNode, name: str) -> None:
    latched(node, name)
    _, cause, advice = SAID[name]
    app = opened("overview")
    notice = app.error[0].value.replace("\\", "")
    label = name.replace("_", " ")
    assert notice.startswith(f"**Breaker {label} has tripped** at ")
    assert f": {cause}.  \n{advice}" in notice
    assert notice.endswith(" Only orders that lower exposure may leave until you release it.")
    assert bars(app) == MEASURING
    assert f"{label}: {cause} &nbsp; :red[:material/block: **tripped**]" in texts(app)
    assert " of none" not in texts(app)
    order(node, StopSession(command_id="end"))


@pytest.mark.parametrize("name", SAID)
def test_a_latch_is_released_with_a_reason(node: TradingNode, name: str) -> None:
    latched(node, name)
    app = opened("overview")
    app.text_input[0].set_value("looked at it").run()
    pick(app.button, "Release").click().run()
    shot = wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)
    assert [breaker.name.replace("_", " ") for breaker in shot.breakers] == MEASURING
    order(node, StopSession(command_id="end"))


def test_after_its_release_a_loss_says_that_it_is_measured_anew(node: TradingNode) -> None:
    """The breaker then measures from another moment than the day's profit or loss, and the drawdown of the session."""
    config = replace(wiring.default_config(node.settings), speed=60.0)
    order(node, StartSession(command_id="begin", config=config))
    session = node._session
    assert session is not None
    desk = session.desk
    desk.day_start_home, desk.peak_home = desk.equity_home * 2, desk.equity_home * 4  # as after a loss of half
    wait_for(node, lambda snapshot: snapshot.drawdown_pct > 50)
    app = opened("overview")
    bars = [item.proto.text for item in app.get("progress")]
    assert all(text.endswith(", since its release") for text in bars[:2])
    tiles = {item.label: item for item in app.metric}
    assert "The breaker daily loss measures since its release." in tiles["Today P/L (USD)"].help
    assert "at 17:00 America/New_York" in tiles["Today P/L (USD)"].help.replace("\\", "")
    assert tiles["Drawdown"].delta.startswith("worst ")
    app = opened("risk")
    assert "Daily loss is measured since its release; the trading day stands at -" in texts(app).replace("*", "")
    app.button_group[0].select("Breakers").run()
    table = next(item.value for item in app.dataframe if "Cause" in item.value.columns)
    assert table["Cause"].tolist()[:3] == ["measured since its release", "measured since its release", ""]
    assert "since its release" in next(item.value for item in open_shell().sidebar.markdown if "Day P/L" in item.value)
    order(node, StopSession(command_id="end"))
