"""Alerts on Overview: none, some, and the newest of many."""

from msgspec.structs import replace

from engine import wiring
from engine.domain.command import HaltTrading, ResumeTrading, StartSession, StopSession
from engine.domain.event import AlertRaised
from engine.node import TradingNode
from engine.snapshot import Snapshot
from pages.parts import alerts
from tests.ui.console import opened, order, texts, wait_for


def begun(node: TradingNode) -> Snapshot:
    config = replace(wiring.default_config(node.settings), speed=60.0)
    order(node, StartSession(command_id="begin", config=config))
    return wait_for(node, lambda snapshot: len(snapshot.equity_curve) > 1)


def test_a_calm_session_says_that_there_is_none(node: TradingNode) -> None:
    begun(node)
    order(node, StopSession(command_id="end"))
    if node.snapshot.alerts:  # a signal of the generated market may have been blocked
        node._snapshot = replace(node.snapshot, alerts=())
    assert "None: nothing has tripped, halted or blocked a signal in this session." in texts(opened("overview"))


def test_a_halt_is_in_the_table_once_and_again_after_a_resume(node: TradingNode) -> None:
    begun(node)
    for turn in ("1", "2"):
        order(node, HaltTrading(command_id=f"halt-{turn}"))
        wait_for(node, lambda snapshot, wanted=int(turn): halts(snapshot) == wanted)
        order(node, ResumeTrading(command_id=f"resume-{turn}"))
    shown = rows(opened("overview"))
    assert [row["Kind"] for row in shown].count("halted") == 2
    assert all(row["When"].endswith("UTC") for row in shown)
    order(node, StopSession(command_id="end"))


def test_the_newest_of_many_come_first(node: TradingNode) -> None:
    begun(node)
    order(node, StopSession(command_id="end"))
    many = tuple(AlertRaised(ts_ns=at, kind="denied", text=f"number {at}") for at in range(50))
    node._snapshot = replace(node.snapshot, alerts=many)
    shown = [row["What"] for row in rows(opened("overview"))]
    assert shown == [f"number {at}" for at in range(49, 49 - alerts.SHOWN, -1)]


def halts(snapshot: Snapshot) -> int:
    return sum(alert.kind == "halted" for alert in snapshot.alerts)


def rows(app) -> list[dict]:
    (table,) = (item for item in app.dataframe if "Kind" in item.value.columns)
    return table.value.to_dict("records")
