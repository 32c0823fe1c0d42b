"""The overview with a real engine behind it: what each state shows, and that figures agree with the snapshot."""

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.command import FlattenAll, Mode, SessionConfig, StartSession, StopSession
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.node import TradingNode
from engine.risk.breakers import Trip
from engine.snapshot import Snapshot, WarmupRow
from pages import overview
from pages.parts import formats, live_chart
from tests.ui.console import PATIENCE_S, opened, order, show, texts, wait_for

SANDBOX = SessionConfig(
    mode=Mode.SANDBOX, instruments=("EUR_USD", "USD_JPY"), model_id="sma-cross:2/5", speed=None, duration_s=6 * 3_600
)
LIVE = replace(SANDBOX, speed=7_200.0, duration_s=None)


def ended(node: TradingNode, config: SessionConfig = SANDBOX) -> Snapshot:
    """Run a whole session, so that nothing moves while it is looked at."""
    order(node, StartSession(command_id="begin", config=config))
    assert node.wait_until_idle(60)
    return node.snapshot


def tiles(app: AppTest) -> dict[str, tuple[str, str]]:
    return {item.label: (item.value, item.delta) for item in app.metric}


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The figures as the browser gets them: candles, then equity."""
    return [json.loads(json.loads(item.proto.json)["figure"]) for item in app.get("bidi_component")]


def table(app: AppTest, column: str) -> Any:
    found = [item.value for item in app.dataframe if column in item.value.columns]
    assert len(found) == 1
    return found[0]


def test_before_the_first_session_the_next_step_is_on_the_page(node: TradingNode) -> None:
    app = opened("overview")
    assert "No session yet. Press Start" in texts(app).replace("*", "")
    assert "Start runs: sandbox · EUR_USD" in texts(app)
    assert [item.label for item in app.button] == ["Start"]
    assert not app.metric
    app.button[0].click().run()
    wait_for(node, lambda snapshot: snapshot.active)


def test_warming_up_shows_how_far_each_instrument_is(node: TradingNode) -> None:
    cold = (
        WarmupRow(instrument="EUR_USD", have=60, need=60, age_s=4.0, reason=""),
        WarmupRow(instrument="USD_JPY", have=12, need=60, age_s=61.0, reason="not enough history yet"),
    )
    show(node, session_state=SessionState.WARMING_UP, config=SANDBOX, warmup=cold)
    app = opened("overview")
    rows = table(app, "Need")
    assert rows[["Instrument", "Have", "Need", "Age", "Reason"]].to_numpy().tolist() == [
        ["EUR_USD", 60, 60, "4.0 s", ""],
        ["USD_JPY", 12, 60, "61 s", "not enough history yet"],
    ]
    assert "1 of 2 instruments ready" in app.get("progress")[0].proto.text
    assert not charts(app)


def test_a_running_session_is_drawn_with_tiles_charts_and_tables(node: TradingNode) -> None:
    order(node, StartSession(command_id="begin", config=LIVE))
    wait_for(node, lambda snapshot: snapshot.counts.trades >= 2 and bool(snapshot.positions))
    app = opened("overview")
    assert list(tiles(app)) == [
        "Equity (USD)",
        "Today P/L (USD)",
        "Drawdown",
        "Open risk (USD)",
        "Exposure (USD)",
    ]
    assert tiles(app)["Drawdown"][1].startswith("of 10 %, ")
    assert tiles(app)["Drawdown"][1].endswith(" % left")
    assert tiles(app)["Exposure (USD)"][1].endswith(" % left")
    assert ", worst " in texts(app)
    candles, equity = charts(app)
    assert candles["data"][0]["type"] == "candlestick"
    assert [item["name"] for item in equity["data"]] == ["equity", "drawdown"]
    assert len(table(app, "Action")) == overview.DECISIONS_SHOWN
    order(node, StopSession(command_id="end"))


def test_the_figures_are_those_of_the_snapshot(node: TradingNode) -> None:
    shot = ended(node)
    app = opened("overview")
    shown = tiles(app)
    assert shown["Equity (USD)"][0] == formats.money(shot.equity_home)
    assert shown["Today P/L (USD)"] == (
        formats.signed_money(shot.day_pl_home),
        formats.signed_percent(shot.day_pl_pct),
    )
    assert shown["Open risk (USD)"][0] == formats.money(shot.risk_home)
    assert shown["Exposure (USD)"][0] == formats.money(shot.exposure_home)
    assert "Run 1 has ended: duration reached. These figures are final." in texts(app)
    newest = table(app, "Action").iloc[0]
    assert newest["Bar (UTC)"] == formats.clock_only(shot.decisions[-1].bar_ts_ns)
    assert newest["Instrument"] == shot.decisions[-1].instrument
    assert newest["Reason"] == shot.decisions[-1].reason


def test_closed_trades_of_the_database_are_marked_on_the_candles(node: TradingNode) -> None:
    shot = ended(node)
    trips = overview._closed_trades_of(node, shot.run_id)
    moved = [(trip.exit_price - trip.entry_price) * trip.units for trip in trips if trip.pl_home]
    assert [move > 0 for move in moved] == [trip.pl_home > 0 for trip in trips if trip.pl_home]
    assert len(trips) >= shot.counts.trades - len(shot.open_trades) > 0
    first_ns = shot.bars["EUR_USD"][-250].open_ts_ns
    visible = [trip for trip in trips if trip.instrument == "EUR_USD" and trip.closed_ns >= first_ns]
    app = opened("overview")
    candles = charts(app)[0]
    texts_of_exits = [text for item in candles["data"] if item["name"].startswith("exits") for text in item["text"]]
    assert len(texts_of_exits) == len(visible) > 0
    assert sum(trip.pl_home for trip in trips) == shot.balance_home - shot.opening_balance_home - _open_part(shot)


def _open_part(shot: Snapshot) -> Decimal:
    return sum((trade.realized_pl_home + trade.financing_home for trade in shot.open_trades), start=Decimal(0))


def test_another_instrument_is_one_click_away(node: TradingNode) -> None:
    ended(node)
    app = opened("overview")
    assert charts(app)[0]["data"][0]["name"] == "EUR_USD"
    app.button_group[0].select("USD_JPY").run()
    figure = charts(app)[0]
    assert figure["data"][0]["name"] == "USD_JPY"
    assert figure["layout"]["yaxis"]["tickformat"] == ".3f"


def test_figures_are_built_again_only_when_something_changed(
    node: TradingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_chart, "REDRAW_S_MIN", 0.0)
    shot = ended(node)
    app = opened("overview")
    first = app.session_state["overview-candles-drawn"]
    assert app.run().session_state["overview-candles-drawn"] is first
    show(node, bars={name: bars[:-1] for name, bars in shot.bars.items()})
    assert app.run().session_state["overview-candles-drawn"] is not first


def draw_only(snapshot):
    """Run as a script of its own, so that it knows no name of this module."""
    from pages import overview

    overview.draw(snapshot, ())


def test_positions_show_what_is_at_risk_with_the_decimals_of_their_instrument(node: TradingNode) -> None:
    order(node, StartSession(command_id="begin", config=LIVE))
    shot = wait_for(node, lambda snapshot: "USD_JPY" in {item.instrument for item in snapshot.positions})
    order(node, StopSession(command_id="end"))
    app = AppTest.from_function(draw_only, args=(shot,), default_timeout=PATIENCE_S).run()
    assert not app.exception
    rows = table(app, "At risk").set_index("Instrument")
    held = next(item for item in shot.positions if item.instrument == "USD_JPY")
    row = rows.loc["USD_JPY"]
    assert row["Side"] == formats.side(held.units)
    assert row["At risk"] == formats.money(held.risk_home)
    assert row["P/L"] == formats.signed_money(held.unrealized_pl_home)
    assert held.stop_loss is not None
    assert row["SL"] == f"{held.stop_loss:.3f}"
    assert row["To stop"].endswith(" pips")
    assert not row["To stop"].startswith("-")


def test_a_denied_decision_names_its_first_failing_gate(node: TradingNode) -> None:
    tight = replace(SANDBOX, limits=RiskLimits(spread_pips_max={"*": Decimal("0.1")}))
    shot = ended(node, tight)
    denied = next(item for item in reversed(shot.decisions) if item.blocking)
    app = AppTest.from_function(draw_only, args=(replace(shot, decisions=(denied,)),), default_timeout=PATIENCE_S).run()
    row = table(app, "Action").iloc[0]
    gate = denied.blocking[0]
    assert row["Action"] == "denied"
    assert row["First failing gate"] == f"{formats.label(gate.name)}: {gate.value}, limit {gate.limit}"


def test_a_halt_says_why_and_what_to_do(node: TradingNode) -> None:
    order(node, StartSession(command_id="begin", config=LIVE))
    order(node, FlattenAll(command_id="flat"))
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    app = opened("overview")
    assert "Halted: flatten by the operator." in texts(app).replace("*", "")
    assert "press Resume trading" in texts(app)
    order(node, StopSession(command_id="end"))


def test_a_tripped_breaker_is_released_with_a_reason(node: TradingNode) -> None:
    nervous = replace(LIVE, limits=RiskLimits(drawdown_pct_max=Decimal("0.1")))
    order(node, StartSession(command_id="begin", config=nervous))
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.REDUCING)
    app = opened("overview")
    assert "Breaker drawdown has tripped" in texts(app)
    release = next(item for item in app.button if item.label == "Release")
    assert release.disabled
    app.text_input[0].set_value("looked at it").run()
    next(item for item in app.button if item.label == "Release").click().run()
    shot = wait_for(node, lambda snapshot: "AcknowledgeBreaker" in {item.command for item in snapshot.verdicts})
    assert next(item for item in shot.verdicts if item.command == "AcknowledgeBreaker").accepted
    order(node, StopSession(command_id="end"))


@pytest.mark.parametrize(("count", "notices"), [(2, 2), (3, 1)])
def test_more_than_two_tripped_breakers_are_one_line(node: TradingNode, count: int, notices: int) -> None:
    order(node, StartSession(command_id="begin", config=replace(LIVE, model_id="flat")))
    session = node._session
    assert session is not None
    for name in ("late_fill", "model_faults", "drawdown")[:count]:
        session.desk.panel.latch(Trip(breaker=name, ts_ns=session.desk.now_ns, value="1", limit="none", cause="1"))
    wait_for(node, lambda snapshot: sum(item.tripped_ns is not None for item in snapshot.breakers) == count)
    app = opened("overview")
    assert len(app.error) == notices
    said = "Tripped: drawdown, model faults, late fill. Their release is on the page Risk, part Breakers."
    assert (said in texts(app).replace("*", "")) is (notices == 1)
    order(node, StopSession(command_id="end"))


def test_a_fault_says_why_and_what_to_do(node: TradingNode) -> None:
    show(node, session_state=SessionState.FAULTED, config=SANDBOX, reason="session: disk full", run_id=3)
    app = opened("overview")
    assert "The session stopped on an error. session: disk full." in texts(app).replace("*", "")
    assert "press Start for a new session" in texts(app)


@pytest.mark.parametrize("run_id", [None, 9])
def test_without_a_database_there_are_no_closed_trades(node: TradingNode, run_id: int | None) -> None:
    assert not node.database_path.exists()
    assert overview._closed_trades_of(node, run_id) == ()
    assert not node.database_path.exists()
