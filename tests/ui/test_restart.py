"""A session on an account goes on with the books of the one before: what the pages say of it, and how to begin anew."""

import sqlite3
from contextlib import closing

import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.command import ClaimTrade, FlattenAll, Mode, SessionConfig, StartSession, StopSession
from engine.domain.event import SessionState
from engine.domain.market import Granularity
from engine.node import TradingNode
from engine.snapshot import Snapshot
from engine.store import queries
from engine.store.queries import TradeRow
from pages import overview
from tests.ui.console import open_shell, opened, order, show, texts, wait_for
from tests.ui.oanda import calm as calm
from tests.ui.oanda import choose, give_code, pick, press_start, trade_by_hand, wait_until_running
from tests.ui.oanda import practice as practice
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import set_up_live as set_up_live
from tests.ui.oanda import venue as venue

CONFIG = SessionConfig(
    mode=Mode.PRACTICE, instruments=("EUR_USD",), granularity=Granularity.S5, model_id="sma-cross:2/5", speed=1.0
)
CHECKBOX = "Begin new books"


def begun(node: TradingNode, name: str) -> Snapshot:
    order(node, StartSession(command_id=name, config=CONFIG))
    wait_until_running(node)
    return node.snapshot


def stopped(node: TradingNode, name: str) -> Snapshot:
    order(node, StopSession(command_id=name))
    return wait_for(node, lambda snapshot: not snapshot.active)


def twice(node: TradingNode) -> Snapshot:
    """Let a run end with a trade open, and a second one go on with it; returns the end of the first."""
    begun(node, "one")
    wait_for(node, lambda snapshot: bool(snapshot.open_trades) and snapshot.counts.fills >= 2)
    first = stopped(node, "one-end")
    assert first.open_trades
    begun(node, "two")
    return first


def stored(node: TradingNode, run_id: int) -> tuple[TradeRow, ...]:
    with closing(queries.connect_readonly(node.database_path)) as conn:
        return queries.trades(conn, run_id, limit=-1)


def form(node: TradingNode, mode: Mode = Mode.PRACTICE) -> AppTest:
    return give_code(choose(opened("session"), mode), node.unlock_code.text)


def of_run(run_id: int) -> AppTest:
    app = opened("trades")
    return app.selectbox(key="trades.run").set_value(run_id).run()


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.PAPER])
def test_what_has_no_books_to_forget_has_no_box(mode: Mode, set_up: TradingNode) -> None:
    assert CHECKBOX not in [item.label for item in choose(opened("session"), mode).checkbox]


def test_new_books_are_off_and_say_when_they_are_needed(set_up: TradingNode) -> None:
    app = form(set_up)
    assert pick(app.checkbox, CHECKBOX).value is False
    assert "our books and the broker's differ, or after the practice account was reset" in texts(app)
    assert "new books." not in texts(app)
    pick(app.checkbox, CHECKBOX).set_value(True).run()
    assert "the account's balance in USD · new books." in texts(app)


def test_the_live_form_has_the_box_too(set_up_live: TradingNode) -> None:
    assert pick(form(set_up_live, Mode.LIVE).checkbox, CHECKBOX).value is False


def test_a_second_run_says_which_one_it_continues(practice: TradingNode) -> None:
    begun(practice, "one")
    assert "Run 1, with new books." in texts(opened("session"))
    stopped(practice, "one-end")
    shot = begun(practice, "two")
    assert shot.continues == 1
    assert "Run 2, continues run 1." in texts(opened("session"))


def test_new_books_are_begun_from_the_page_and_only_once(calm: TradingNode) -> None:
    held = trade_by_hand(calm, "EUR_USD", 1_000)
    begun(calm, "one")
    order(calm, ClaimTrade(command_id="claim", trade_id=held, choice="adopt"))
    assert stopped(calm, "one-end").foreign_trades == ()
    app = form(calm)
    pick(app.checkbox, CHECKBOX).set_value(True).run()
    press_start(app)
    wait_for(calm, lambda snapshot: snapshot.run_id == 2 and snapshot.session_state is SessionState.RUNNING)
    shot = calm.snapshot
    assert shot.continues is None
    assert [(each.trade.trade_id, each.claim) for each in shot.foreign_trades] == [(held, None)]
    assert "Run 2, with new books." in texts(app.run())
    stopped(calm, "two-end")
    assert pick(app.run().run().checkbox, CHECKBOX).value is False
    press_start(app)
    wait_for(calm, lambda snapshot: snapshot.run_id == 3 and snapshot.session_state is SessionState.RUNNING)
    assert calm.snapshot.continues == 2


def test_a_trade_stands_under_the_run_that_opened_it(practice: TradingNode) -> None:
    first = twice(practice)
    taken = {trade.trade_id for trade in first.open_trades}
    assert not taken & {row.trade_id for row in stored(practice, 2)}
    now = of_run(2)
    assert "This run goes on with the books of run 1. A trade stands under the run that opened it" in texts(now)
    assert not now.error
    order(practice, FlattenAll(command_id="flat"))
    wait_for(practice, lambda snapshot: not taken & {trade.trade_id for trade in snapshot.open_trades})
    before = of_run(1)
    closed_rows = {row.trade_id: row.state for row in stored(practice, 1)}
    assert {closed_rows[trade_id] for trade_id in taken} == {"CLOSED"}
    assert not before.error, [item.value for item in before.error]
    assert "Balance from 100,000.00 to" in texts(before)
    assert not of_run(2).error


def test_open_trades_of_the_run_before_are_followed_by_the_one_that_took_them_up(calm: TradingNode) -> None:
    held = trade_by_hand(calm, "GBP_USD", 1_000)
    begun(calm, "one")
    stopped(calm, "one-end")
    assert "As they stood when the run ended." in texts(of_run(1))
    begun(calm, "two")
    wait_for(calm, lambda snapshot: bool(snapshot.positions))
    app = of_run(1)
    assert "Run 2 took them up and goes on with them now." in texts(app)
    (table,) = app.dataframe
    assert (table.value["Trade"].tolist(), table.value["Now"].tolist() != ["-"]) == ([held], True)
    assert "1 of them is open." in texts(of_run(2))
    stopped(calm, "two-end")
    assert "As they stood when run 2, which took them up, ended." in texts(of_run(1))
    show(calm, session_state=SessionState.READY)
    assert "Run 2 ended; 1 of its trades were open" in texts(opened("overview"))
    assert "the next session on this account takes them up" in texts(opened("overview"))


def test_an_instrument_that_was_traded_by_hand_can_be_filtered(calm: TradingNode) -> None:
    trade_by_hand(calm, "GBP_USD", 1_000)
    begun(calm, "one")
    stopped(calm, "one-end")
    app = opened("trades")
    assert app.selectbox(key="trades.instrument").options == ["all", "EUR_USD", "GBP_USD"]
    app.selectbox(key="trades.instrument").set_value("GBP_USD").run()
    assert app.dataframe[0].value["Instrument"].tolist() == ["GBP_USD"]


def test_a_run_that_was_cut_off_is_called_so_and_its_trades_go_on(calm: TradingNode) -> None:
    trade_by_hand(calm, "EUR_USD", 1_000)
    begun(calm, "one")
    stopped(calm, "one-end")
    with closing(sqlite3.connect(calm.database_path)) as conn, conn:
        conn.execute("UPDATE runs SET status = 'RUNNING', ended_ns = NULL, closing_balance_home = NULL")
    begun(calm, "two")
    app = of_run(1)
    assert "interrupted" in app.selectbox(key="trades.run").options[1]
    assert "Run 2 took them up and goes on with them now." in texts(app)
    assert not app.error


def test_trades_that_were_taken_up_and_closed_are_on_the_candles(practice: TradingNode) -> None:
    first = twice(practice)
    taken = {trade.trade_id for trade in first.open_trades}
    order(practice, FlattenAll(command_id="flat"))
    wait_for(practice, lambda snapshot: not taken & {trade.trade_id for trade in snapshot.open_trades})
    shot = stopped(practice, "end")
    open_shell()
    trips = (*overview._closed_trades_of(practice, shot.run_id), *overview._closed_trades_of(practice, shot.continues))
    assert taken <= {trip.trade_id for trip in trips}
    app = opened("overview")
    _, drawn = app.session_state["overview-closed"]
    assert taken <= {trip.trade_id for trip in drawn}
