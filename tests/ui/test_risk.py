"""The risk page with a real engine behind it: every limit has a row, changes are asked for, and each state is told."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.command import (
    LOOSEN,
    HaltTrading,
    Mode,
    PauseEntries,
    ResumeTrading,
    SessionConfig,
    StartSession,
    StopSession,
    UpdateRiskLimits,
)
from engine.domain.decision import Gate
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import Effect, RiskLimits, limit_fields
from engine.domain.schedule import NewsEvent
from engine.node import TradingNode
from engine.risk.breakers import DEFAULT_BREAKERS, Trip
from engine.snapshot import LegView, LimitUse, Snapshot
from pages import risk
from pages.parts import blocked, breakers, limit_use, limits_editor, risk_figures, what_if
from tests.ui.console import PATIENCE_S, opened, order, show, texts, wait_for
from tests.ui.oanda import pick

LIVE = SessionConfig(
    mode=Mode.SANDBOX, instruments=("EUR_USD", "USD_JPY"), model_id="sma-cross:2/5", speed=600.0, duration_s=None
)
LABELS = [item.metadata["label"] for item in limit_fields()]
FREE = "Margin use, % of equity"


def started(node: TradingNode, config: SessionConfig = LIVE) -> Snapshot:
    order(node, StartSession(command_id="begin", config=config))
    return wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)


def part(app: AppTest, name: str) -> AppTest:
    """Choose a part of the page."""
    app.button_group[0].select(name).run()
    assert not app.exception
    return app


def rows(app: AppTest, column: str) -> Any:
    """All rows of the tables that have this column, one after another."""
    return [row for item in app.dataframe if column in item.value.columns for row in item.value.to_dict("records")]


def field(app: AppTest, label: str) -> Any:
    return pick(app.number_input, label)


def answered(node: TradingNode, app: AppTest, count: int) -> str:
    """Wait for the answer to another command, and return what the page shows of it."""
    wait_for(node, lambda snapshot: len(snapshot.verdicts) > count)
    app.run()
    assert not app.exception
    return texts(app).replace("*", "")


def test_what_each_limit_means_is_below_the_tables(node: TradingNode) -> None:
    started(node)
    meaning = next(item for item in opened("risk").expander if item.label == "What each limit means").markdown[0].value
    assert [line.split(":")[0] for line in meaning.replace("*", "").splitlines()] == [f"- {label}" for label in LABELS]


def test_before_the_first_session_the_defaults_and_the_next_step_are_shown(node: TradingNode) -> None:
    app = opened("risk")
    assert "No session is running" in texts(app)
    assert "Press Start for a sandbox session" in texts(app)
    assert [row["Limit"] for row in rows(app, "Default")] == LABELS
    pick(app.button, "Start").click().run()
    wait_for(node, lambda snapshot: snapshot.active)


def test_every_limit_has_one_row_with_what_is_used_and_when_a_change_counts(node: TradingNode) -> None:
    shot = started(node)
    app = opened("risk")
    found = rows(app, "Used now")
    assert [row["Limit"] for row in found] == LABELS
    assert [row["A change counts"] for row in found] == [item.metadata["effect"].value for item in limit_fields()]
    assert {use.name for use in shot.usage} == {item.name for item in limit_fields()}
    assert all(row["Used now"] != limit_use.NOT_MEASURED and row["Allowed"] for row in found)


def test_near_and_reached_are_told_by_shape_and_word(node: TradingNode) -> None:
    cases = [("margin_pct_max", 74.9), ("positions_max", 75.0), ("exposure_pct_max", 100.0), ("spread_pips_max", 250.0)]
    usage = tuple(
        LimitUse(name=name, value="1234.5 % of equity", limit="9 % of equity", used_pct=pct, distance="0 % of equity")
        for name, pct in cases
    )
    show(node, session_state=SessionState.STOPPED, config=LIVE, limits=RiskLimits(), usage=usage, run_id=1)
    app = opened("risk")
    found = {row["Limit"]: row for row in rows(app, "Used now")}
    assert found["Margin use"]["State"] == "○ within"
    assert found["Concurrent positions"]["State"] == "▲ near"
    assert found["Portfolio exposure"]["State"] == "■ reached"
    assert found["Spread"]["State"] == "■ reached, 250 %"
    assert found["Spread"]["Used"] == 100.0
    assert found["Quote age"]["Used now"] == limit_use.NOT_MEASURED
    assert found["Quote age"]["Allowed"] == "10 s"
    tiles = {item.label: item.delta for item in app.metric}
    assert tiles["Gross exposure, ■ reached"] == "■ of 9 %, 0.00 % left"
    assert tiles["Margin"] == "of 9 %, 0.00 % left"
    assert "■ Spread 250 %, ■ Portfolio exposure 100 %, ▲ Concurrent positions 75 %." in texts(app)


def test_numbers_are_grouped_and_shares_keep_two_decimals() -> None:
    assert limit_use.fixed("4.6 % of equity (GBP_USD)") == "4.60 % of equity (GBP_USD)"
    assert limit_use.grouped("500530.00 (500 % of equity)") == "500,530.00 (500 % of equity)"
    assert limit_use.grouped("1.03587/1.03597") == "1.03587/1.03597"
    assert limit_use.grouped("rolls over 2025-01-06T22:00:00Z") == "rolls over 2025-01-06T22:00:00Z"
    assert limit_use.fixed("100000 units") == "100,000 units"


def test_times_are_short_and_a_default_alone_is_not_called_every_other(node: TradingNode) -> None:
    shot = started(node)
    found = {row["Limit"]: row for row in rows(opened("risk"), "Used now")}
    assert found["Trading day begins"]["Used now"] == "the next one begins Mon 22:00 UTC"
    assert found["Trading windows"]["Used now"] == "open for all 2 instruments"
    assert found["Rollover blackout"]["Used now"].endswith("open for all 2 instruments, rolls over Mon 22:00 UTC")
    assert limit_use.brief("until 2025-01-06T22:00:00Z", shot.ts_ns) == "until Mon 22:00 UTC"
    assert limit_use.brief("until 2025-03-06T22:00:00.5Z", shot.ts_ns) == "until 2025-03-06 22:00 UTC"
    defaults = {item.name: limit_use.text(item, getattr(RiskLimits(), item.name)) for item in limit_fields()}
    assert defaults["trading_windows"] == "always"
    assert defaults["currency_pct_max"] == "500 % of equity"
    assert defaults["spread_pips_max"].endswith("every other 3 pips")


@pytest.mark.parametrize(
    "columns", [limit_use.COLUMNS, limit_use.WORD_COLUMNS, breakers.COLUMNS, breakers.TRIP_COLUMNS]
)
def test_no_column_lies_beyond_a_laptop_s_screen(columns: dict[str, Any]) -> None:
    """At 1440 pixels the sidebar and the margins leave 1036 of them."""
    assert sum(item["width"] for item in columns.values()) <= 1_036


def test_tightening_needs_one_click_and_is_in_force(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.EDIT)
    assert pick(app.button, "Apply").disabled
    field(app, FREE).set_value(30.0).run()
    assert limits_editor.TIGHTER in str(app.table[0].value)
    pick(app.button, "Apply").click().run()
    said = answered(node, app, 1)
    assert "Accepted at" in said and "Margin use from 50 to 30" in said
    assert node.snapshot.limits is not None and node.snapshot.limits.margin_pct_max == 30
    app.run()
    assert field(app, FREE).value == 30.0
    assert pick(app.button, "Apply").disabled
    assert "Accepted at" in texts(app).replace("*", "")


def test_loosening_needs_the_words(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.EDIT)
    field(app, FREE).set_value(60.0).run()
    assert "Apply" not in [item.label for item in app.button]
    pick(app.button, "Loosen ...").click().run()
    assert "Less strict from then on" in texts(app)
    assert limits_editor.LOOSER in str(app.table[-1].value)
    for count, words in ((1, "loosen limits"), (2, LOOSEN)):
        # the tester reruns the whole script, which closes a question; so its body is run by itself
        body = AppTest.from_function(question, default_timeout=PATIENCE_S).run()
        pick(body.text_input, f"Type {LOOSEN} to confirm").set_value(words).run()
        pick(body.button, "Loosen limits").click().run()
        shot = wait_for(node, lambda snapshot, count=count: len(snapshot.verdicts) > count)  # type: ignore[misc]
        assert shot.verdicts[-1].accepted is (words == LOOSEN)
    assert node.snapshot.limits is not None and node.snapshot.limits.margin_pct_max == 60


def question():
    """Run as a script of its own, so that it knows no name of this module."""
    from decimal import Decimal

    from engine.node import TradingNode
    from pages.parts import limits_editor

    node = TradingNode.attach()
    limits_editor._loosen_body(node, limits_editor.Edit({"margin_pct_max": Decimal(60)}), node.snapshot)


def margin(node: TradingNode, pct: int) -> None:
    """Set the limit in another browser."""
    limits = RiskLimits(margin_pct_max=Decimal(pct))
    order(node, UpdateRiskLimits(command_id=f"margin-{pct}", limits=limits, confirmation=LOOSEN))


@pytest.mark.parametrize("halted", [False, True], ids=["tightened elsewhere", "halted elsewhere"])
def test_a_question_that_became_untrue_is_asked_anew_and_its_click_does_nothing(
    node: TradingNode, halted: bool
) -> None:
    started(node, replace(LIVE, model_id="flat"))
    body = AppTest.from_function(question, default_timeout=PATIENCE_S).run()
    pick(body.text_input, f"Type {LOOSEN} to confirm").set_value(LOOSEN).run()
    assert list(body.table[0].value["Now"]) == ["50"]
    if halted:
        order(node, HaltTrading(command_id="halt"))
    else:
        margin(node, 20)
    asked = len(node.snapshot.verdicts)
    pick(body.button, "Loosen limits").click().run()
    assert not body.exception
    assert "The page was out of date" in texts(body)
    assert list(body.table[0].value["Now"]) == ["50" if halted else "20"]
    assert pick(body.text_input, f"Type {LOOSEN} to confirm").value == ""
    assert len(node.snapshot.verdicts) == asked
    pick(body.text_input, f"Type {LOOSEN} to confirm").set_value(LOOSEN).run()
    pick(body.button, "Loosen limits").click().run()
    assert wait_for(node, lambda snapshot: len(snapshot.verdicts) > asked).verdicts[-1].accepted
    assert node.snapshot.limits is not None and node.snapshot.limits.margin_pct_max == 60


def test_the_engine_refuses_a_question_drawn_before_a_change_that_the_page_cannot_see(node: TradingNode) -> None:
    started(node, replace(LIVE, model_id="flat"))
    body = AppTest.from_function(question, default_timeout=PATIENCE_S).run()
    pick(body.text_input, f"Type {LOOSEN} to confirm").set_value(LOOSEN).run()
    order(node, PauseEntries(command_id="pause"))
    order(node, ResumeTrading(command_id="resume"))
    shot = wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.ACTIVE)
    pick(body.button, "Loosen limits").click().run()
    last = wait_for(node, lambda snapshot: len(snapshot.verdicts) > len(shot.verdicts)).verdicts[-1]
    assert not last.accepted and "the page was out of date" in last.detail


def test_apply_is_refused_once_what_it_was_drawn_from_has_changed(node: TradingNode) -> None:
    started(node, replace(LIVE, model_id="flat"))
    app = part(opened("risk"), risk.EDIT)
    field(app, FREE).set_value(30.0).run()
    order(node, HaltTrading(command_id="halt"))
    pick(app.button, "Apply").click().run()
    assert "the page was out of date" in answered(node, app, 2)
    assert field(app, FREE).value == 30.0
    pick(app.button, "Apply").click().run()
    assert "Accepted at" in answered(node, app, 3)


def test_after_a_daily_breaker_loosening_is_closed_with_the_time(node: TradingNode) -> None:
    started(node, replace(LIVE, limits=RiskLimits(daily_loss_pct_max=Decimal("0.1")), speed=7_200.0))
    shot = wait_for(node, lambda snapshot: bool(snapshot.no_loosening_until_ns))
    app = part(opened("risk"), risk.EDIT)
    field(app, FREE).set_value(60.0).run()
    if node.snapshot.no_loosening_until_ns == shot.no_loosening_until_ns > node.snapshot.ts_ns:
        assert pick(app.button, "Loosen ...").disabled
        assert "limits can only be made stricter until 2025-" in texts(app)
    assert "Tripped: daily loss." in texts(app).replace("*", "")
    part(app, risk.BREAKERS)
    assert "Breaker daily loss has tripped" in texts(app)
    assert "or the trading day ends" in texts(app)


def test_a_bad_value_is_one_sentence_and_nothing_is_applied(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.EDIT)
    field(app, FREE).set_value(30.0).run()
    field(app, "Risk per trade, % of equity").set_value(9.0).run()
    assert "Risk per trade is 9; it must be from 0.01 to 5 (% of equity)." in texts(app)
    assert pick(app.button, "Apply").disabled
    assert "Nothing is applied while a value is not allowed." in texts(app)
    pick(app.button, "Take everything back").click().run()
    assert field(app, FREE).value == 50.0
    assert not app.error
    assert node.snapshot.limits == LIVE.limits


def test_what_was_typed_survives_a_change_made_elsewhere(node: TradingNode) -> None:
    started(node)
    first, second = part(opened("risk"), risk.EDIT), part(opened("risk"), risk.EDIT)
    field(first, FREE).set_value(40.0).run()
    field(second, "Net exposure, % of equity").set_value(300.0).run()
    pick(second.button, "Apply").click().run()
    answered(node, second, 1)
    first.run()
    assert field(first, FREE).value == 40.0
    assert "The limits were changed elsewhere meanwhile." in texts(first)
    pick(first.button, "Apply").click().run()
    answered(node, first, 2)
    limits = node.snapshot.limits
    assert limits is not None and (limits.margin_pct_max, limits.exposure_net_pct_max) == (40, 300)


def test_limits_of_the_next_session_are_shown_and_cannot_be_edited(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.EDIT)
    fixed = [item for item in limit_fields() if item.metadata["effect"] is Effect.SESSION]
    assert [item.disabled for item in app.text_input] == [True] * len(fixed)
    for item in fixed:
        assert f"{item.metadata['label']} cannot change while a session runs" in texts(app)


def test_breakers_are_listed_released_with_a_reason_and_kept_as_history(node: TradingNode) -> None:
    started(node)
    session = node._session
    assert session is not None
    cause = "30 entries long in a row in EUR_USD, and nobody has looked"
    lock = Trip(
        breaker="repeated_entries EUR_USD", ts_ns=session.desk.now_ns, value="30 entries", limit="30", cause=cause,
        instrument="EUR_USD",
    )  # fmt: skip
    session.desk.panel.latch(lock)
    wait_for(node, lambda snapshot: len(snapshot.breakers) == 7)
    app = part(opened("risk"), risk.BREAKERS)
    found = {row["Breaker"]: row for row in rows(app, "Cause")}
    assert list(found)[:6] == [breaker.name.replace("_", " ") for breaker in DEFAULT_BREAKERS]
    watched = next(item for item in app.expander if item.label == "What each breaker watches").markdown[0].value
    assert [line.split(":")[0] for line in watched.replace("*", "").replace("\\", "").splitlines()] == [
        f"- {name}" for name in found
    ]
    row = found["repeated entries EUR_USD"]
    assert (row["State"], row["Cause"]) == ("■ tripped", cause)
    assert row["Since"].endswith(" UTC")
    assert found["loss streak"]["State"] == "- off"
    said = texts(app)
    assert "One instrument waits for a person: nothing is opened in EUR_USD until you release it" in said
    assert "also end by themselves with the trading day" in said
    assert pick(app.button, "Release").disabled
    pick(app.text_input, "Why may trading go on?").set_value("looked at it").run()
    pick(app.button, "Release").click().run()
    wait_for(node, lambda snapshot: len(snapshot.breakers) == 6)


def test_history_has_trips_and_releases(node: TradingNode) -> None:
    started(node, replace(LIVE, limits=RiskLimits(drawdown_pct_max=Decimal("0.1")), speed=7_200.0))
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.REDUCING)
    app = part(opened("risk"), risk.BREAKERS)
    order(node, StopSession(command_id="end"))
    app.run()
    trip = rows(app, "Tripped")[0]
    assert (trip["Breaker"], trip["Released"]) == ("drawdown", "not released")
    assert "**Trips and releases in this run**" in texts(app)


def test_daily_breakers_are_those_of_the_engine() -> None:
    assert {breaker.name for breaker in DEFAULT_BREAKERS if breaker.daily} == breakers.DAILY


def test_exposure_shows_what_is_held_by_instrument_and_currency(node: TradingNode) -> None:
    started(node)
    wait_for(node, lambda snapshot: bool(snapshot.positions))
    order(node, PauseEntries(command_id="pause"))
    app = part(opened("risk"), risk.EXPOSURE)
    shot = node.snapshot
    assert [row["Total"] for row in rows(app, "Total")] == ["Gross", "Net", "Margin"]
    assert "If every stop is hit at its price" in texts(app)
    if shot.positions and app.dataframe:
        assert {row["Currency"] for row in rows(app, "Cap")} <= {"EUR", "USD", "JPY"}
        assert all(row["Lost at the stop"].startswith("-") for row in rows(app, "Lost at the stop"))


def test_a_leg_with_unfinished_orders_is_a_range() -> None:
    leg = LegView(currency="EUR", low_home=Decimal(-50), high_home=Decimal(150), cap_home=Decimal(500))
    assert risk_figures.amount(leg) == "-50.00 .. +150.00"
    held, possible, cap = risk_figures.legs([leg], "USD").data
    assert list(held.x) == [0.0]
    assert (list(possible.base), list(possible.x), possible.visible) == ([-50.0], [200.0], True)
    assert sorted(cap.x) == [-500.0, 500.0]
    sure = LegView(currency="EUR", low_home=Decimal(-80), high_home=Decimal(-80), cap_home=Decimal(500))
    assert list(risk_figures.legs([sure], "USD").data[0].x) == [-80.0]


@pytest.mark.parametrize("paused", [False, True])
def test_what_if_answers_gate_by_gate_and_sends_nothing(node: TradingNode, paused: bool) -> None:
    started(node)
    order(node, PauseEntries(command_id="pause")) if paused else None
    orders = node.snapshot.counts.orders
    app = part(opened("risk"), risk.WHAT_IF)
    assert "Nothing is sent to the broker." in texts(app)
    before = len(node.snapshot.verdicts)
    pick(app.button, "Would this pass?").click().run()
    said = answered(node, app, before)
    assert ("It would be blocked" in said) or not paused
    assert "nothing was sent" in said
    listed = app.table[0].value
    assert len(listed) == len(node.snapshot.preview.gates) if node.snapshot.preview else False
    if paused:
        assert listed.iloc[0]["Gate"] == "**trading state**"
        assert listed.iloc[0]["Answer"] == "**✗ FAILED**"
        assert node.snapshot.counts.orders <= orders + 2  # exits by signal may leave while entries are paused


def test_what_if_refuses_a_size_in_one_sentence(node: TradingNode) -> None:
    started(node)
    app = part(opened("risk"), risk.WHAT_IF)
    next(item for item in app.button_group if what_if.BY_UNITS in item.options).select(what_if.BY_UNITS).run()
    field(app, "Units").set_value(-5.0).run()
    assert "Units are -5; they must be more than 0 and at most " in texts(app)
    assert pick(app.button, "Would this pass?").disabled


def test_gates_are_listed_failed_first_in_the_order_in_which_they_are_asked() -> None:
    asked = [("spread", True), ("news", False), ("margin", True), ("exposure", False)]
    table = what_if.gates(tuple(Gate(name=name, value="1", limit="2", passed=ok) for name, ok in asked), 0)
    assert list(table["No."]) == ["**2**", "**4**", "1", "3"]
    assert list(table["Gate"]) == ["**news**", "**exposure**", "spread", "margin"]


def test_times_of_gates_are_short() -> None:
    day_ns = 1_736_150_400_000_000_000  # Monday 2025-01-06 08:00 UTC
    closed = Gate(name="weekend", value="the week ends 2025-01-10T22:00:00Z", limit="30 min", passed=True)
    assert what_if.gates((closed,), day_ns).iloc[0]["Value"] == "the week ends Fri 22\\:00 UTC"


def test_what_stopped_trades_is_counted_and_read_once(node: TradingNode, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = replace(LIVE, limits=RiskLimits(spread_pips_max={"*": Decimal("0.1")}), speed=None, duration_s=7_200)
    order(node, StartSession(command_id="begin", config=tight))
    assert node.wait_until_idle(60)
    app = part(opened("risk"), risk.BLOCKED)
    assert f"of {node.snapshot.counts.decisions:,} decisions** wanted an entry" in texts(app)
    counted = app.session_state[blocked._KNOWN][1]
    assert counted.first["spread"] == counted.entries == node.snapshot.counts.denied
    with closing(sqlite3.connect(node.database_path)) as conn:
        denied = conn.execute("SELECT count(*) FROM decisions WHERE first_block = 'spread'").fetchone()[0]
    assert counted.entries == denied
    monkeypatch.setattr("engine.store.queries.blocked_entries", None)
    assert app.run().session_state[blocked._KNOWN][1] is counted
    assert not app.exception


def test_nothing_stopped_is_said(node: TradingNode) -> None:
    started(node, replace(LIVE, model_id="flat"))
    wait_for(node, lambda snapshot: snapshot.counts.decisions > 2)
    order(node, StopSession(command_id="end"))
    assert "No entry was stopped in " in texts(part(opened("risk"), risk.BLOCKED))


STATES = [
    ({"session_state": SessionState.WARMING_UP}, "Warming up: nothing trades before."),
    (
        {"session_state": SessionState.DEGRADED, "trading_state": TradingState.REDUCING, "reason": "no answer"},
        "Market or broker cannot be read now. no answer.",
    ),
    ({"session_state": SessionState.STOPPED, "reason": "end of data"}, "Run 4 has ended: end of data."),
    ({"session_state": SessionState.FAULTED, "reason": "disk full"}, "The session stopped on an error. disk full."),
    ({"session_state": SessionState.RUNNING, "trading_state": TradingState.PAUSED}, "Entries are paused"),
]


@pytest.mark.parametrize("name", risk.PARTS)
@pytest.mark.parametrize(("changes", "said"), STATES, ids=[str(changes["session_state"]) for changes, _ in STATES])
def test_each_state_is_told_on_every_part(node: TradingNode, changes: dict[str, Any], said: str, name: str) -> None:
    event = NewsEvent(ts_ns=5, currency="USD", title="Jobs")
    now_ns = 2**62  # published in the future: nothing is stale
    show(node, config=LIVE, limits=RiskLimits(), run_id=4, news=(event,), published_ns=now_ns, **changes)
    app = part(opened("risk"), name)
    assert said in texts(app).replace("*", "")
    if not node.snapshot.active and name in (risk.EDIT, risk.WHAT_IF):
        assert "No session is running. Start one in the sidebar" in texts(app)


def test_a_halt_is_told_and_limits_can_still_be_changed(node: TradingNode) -> None:
    started(node)
    order(node, HaltTrading(command_id="halt"))
    app = part(opened("risk"), risk.EDIT)
    assert "Halted: halt by the operator. Nothing is sent." in texts(app).replace("*", "")
    field(app, FREE).set_value(30.0).run()
    pick(app.button, "Apply").click().run()
    assert "Accepted at" in answered(node, app, 2)
