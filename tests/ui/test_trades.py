"""The trades page against a real database that a real session wrote."""

import csv
import io
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.domain.command import Mode, SessionConfig, StartSession, StopSession
from engine.domain.event import SessionState, TradingState
from engine.node import TradingNode
from engine.store import queries
from engine.store.queries import RunRow, TradeRow
from pages import trades
from tests.ui.console import opened, order, show, texts, wait_for, write_bars


def replayed(node: TradingNode, command_id: str = "replay", count: int = 800) -> int:
    """Run a short recording to its end and return the number of the run."""
    path = write_bars(node.settings.recordings_dir / "EUR_USD.csv", count)
    config = SessionConfig(
        mode=Mode.REPLAY, instruments=("EUR_USD",), model_id="sma-cross:3/8", speed=None, bars=(("EUR_USD", str(path)),)
    )
    before = node.snapshot.run_id or 0
    order(node, StartSession(command_id=command_id, config=config))
    ended = wait_for(node, lambda snapshot: (snapshot.run_id or 0) > before and not snapshot.active)
    assert ended.session_state is SessionState.STOPPED, ended.reason
    assert ended.run_id is not None
    return ended.run_id


def stopped_with_an_open_trade(node: TradingNode) -> None:
    """Run a sandbox session until it holds something, and stop it there: the trade stays open at the broker."""
    config = replace(wiring.default_config(node.settings), speed=600.0, model_id="sma-cross:3/8")
    order(node, StartSession(command_id="start", config=config))
    wait_for(node, lambda snapshot: bool(snapshot.open_trades))
    order(node, StopSession(command_id="stop"))
    wait_for(node, lambda snapshot: not snapshot.active)


def stored(node: TradingNode, **wanted: object) -> tuple[TradeRow, ...]:
    with closing(queries.connect_readonly(node.database_path)) as conn:
        return queries.trades(conn, limit=-1, **wanted)


def stored_run(node: TradingNode) -> RunRow:
    with closing(queries.connect_readonly(node.database_path)) as conn:
        return queries.runs(conn)[0]


def headings(app: AppTest) -> list[str]:
    return [line.value for line in app.markdown if line.value.startswith("##### ")]


def test_before_the_first_run_the_page_says_what_to_do(node: TradingNode) -> None:
    app = opened("trades")
    assert "No trades yet" in app.info[0].value
    assert "Start" in app.info[0].value
    assert not app.dataframe


def test_database_of_another_program_is_one_sentence(node: TradingNode) -> None:
    node.database_path.write_text("These are not the bytes of a database. " * 40)
    app = opened("trades")
    assert len(app.error) == 1
    assert "is not an SQLite database" in texts(app)
    assert not app.dataframe


def test_every_closed_trade_of_the_run_is_on_some_page(node: TradingNode) -> None:
    run_id = replayed(node)
    rows = stored(node, run_id=run_id)
    assert len(rows) > trades.PAGE_ROWS
    app = opened("trades")
    assert headings(app) == [f"##### Closed trades ({len(rows)})"]
    first = app.dataframe[0].value
    assert first["Trade"].tolist() == [row.trade_id for row in rows[: trades.PAGE_ROWS]]
    assert first["Entry"].tolist() == [f"{row.entry_price:.5f}" for row in rows[: trades.PAGE_ROWS]]
    app.get("pagination")[0].set_value(2).run()
    second = app.dataframe[0].value
    assert second["Trade"].tolist() == [row.trade_id for row in rows[trades.PAGE_ROWS : 2 * trades.PAGE_ROWS]]


def test_figures_and_sum_are_those_of_the_database(node: TradingNode) -> None:
    rows = stored(node, run_id=replayed(node))
    run = stored_run(node)
    assert run.opening_balance_home is not None
    assert run.closing_balance_home is not None
    app = opened("trades")
    shown = {metric.label: metric.value for metric in app.metric}
    net = sum(row.realized_pl_home + row.financing_home for row in rows)
    assert net != 0
    assert Decimal(shown["Net P/L (USD)"].replace(",", "")) == net.quantize(Decimal("0.01"))
    assert shown["Closed trades"] == str(len(rows))
    assert run.closing_balance_home == run.opening_balance_home + net
    assert ":green[:material/check_circle:] Whole run: opening 100,000.00 + realised" in texts(app)
    assert not app.error


def test_books_that_do_not_agree_are_shown_in_red(node: TradingNode) -> None:
    run = replace(stored_run_of(replayed, node), closing_balance_home=Decimal("1.25"))
    with closing(queries.connect_readonly(node.database_path)) as conn:
        identity = trades._sum(conn, run, node.snapshot)
    assert identity is not None
    app = AppTest.from_function(draw_sum, kwargs={"identity": identity, "run": run}).run()
    assert "The books do not agree by -" in app.error[0].value
    assert not app.caption


def stored_run_of(make: Callable[[TradingNode], int], node: TradingNode) -> RunRow:
    make(node)
    return stored_run(node)


def draw_sum(identity: object, run: object) -> None:
    from pages import trades

    trades._identity(identity, run)


@pytest.mark.parametrize(
    ("key", "value", "column", "wanted"),
    [("trades.side", "long", "Side", "▲ long"), ("trades.side", "short", "Side", "▼ short")],
)
def test_filter_by_side_changes_rows_and_figures(
    node: TradingNode, key: str, value: str, column: str, wanted: str
) -> None:
    run_id = replayed(node)
    app = opened("trades")
    app.segmented_control(key=key).set_value(value).run()
    expected = stored(node, run_id=run_id, side=value)
    assert 0 < len(expected) < len(stored(node, run_id=run_id))
    assert set(app.dataframe[0].value[column]) == {wanted}
    assert {metric.label: metric.value for metric in app.metric}["Closed trades"] == str(len(expected))


def test_filter_without_a_match_says_so(node: TradingNode) -> None:
    replayed(node)
    app = opened("trades")
    app.segmented_control(key="trades.state").set_value("OPEN").run()
    assert "No trade of this run matches the filters." in texts(app)
    assert not app.dataframe


def test_older_run_can_be_chosen_and_a_new_one_comes_by_itself(node: TradingNode) -> None:
    first = replayed(node, "one")
    app = opened("trades")
    second = replayed(node, "two", count=400)
    app.run()
    select = app.selectbox(key="trades.run")
    assert select.value == second
    assert select.options[0].startswith(f"Run {second} · replay · sma-cross:3/8 · 2014-05-01")
    select.set_value(first).run()
    assert f"##### Closed trades ({len(stored(node, run_id=first))})" in headings(app)


def test_csv_is_exactly_what_the_filters_select(node: TradingNode) -> None:
    run_id = replayed(node)
    app = opened("trades")
    app.segmented_control(key="trades.side").set_value("short").run()
    assert app.get("download_button")[0].label == "Export CSV"
    selection = trades.Selection(run_id=run_id, instrument="EUR_USD", state=None, side="short")
    data = trades.csv_of(node.database_path, selection)()
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    expected = stored(node, run_id=run_id, side="short")
    assert [row["trade_id"] for row in rows] == [row.trade_id for row in expected]
    assert [Decimal(row["realized_pl_home"]) for row in rows] == [row.realized_pl_home for row in expected]
    assert [row["entry_price"] for row in rows] == [str(row.entry_price) for row in expected]


def test_csv_is_named_by_run_and_market_day(node: TradingNode) -> None:
    run_id = replayed(node)
    assert trades.csv_name(stored_run(node)) == f"trades-run{run_id}-2014-05-01.csv"


def test_open_trades_come_from_the_database(node: TradingNode) -> None:
    stopped_with_an_open_trade(node)
    rows = stored(node, state="OPEN")
    assert rows
    app = opened("trades")
    table = app.dataframe[0].value
    assert headings(app)[0] == f"##### Open trades ({len(rows)})"
    assert table["Trade"].tolist() == [row.trade_id for row in rows]
    assert table["Risk"].tolist() == [float(row.risk_home or 0) for row in rows]
    assert set(table["Now"]) == {"-"}


def test_open_trades_of_a_running_session_show_the_price_between_stop_and_target(node: TradingNode) -> None:
    stopped_with_an_open_trade(node)
    show(node, session_state=SessionState.RUNNING)
    table = opened("trades").dataframe[0].value
    bids_and_asks = {text for quote in node.snapshot.quotes for text in (str(quote.bid), str(quote.ask))}
    assert set(table["Now"]) <= bids_and_asks
    assert all(0 <= share <= 100 for share in table["Way"])


def test_running_session_is_followed_and_says_so(node: TradingNode) -> None:
    config = replace(wiring.default_config(node.settings), speed=1.0)
    order(node, StartSession(command_id="start", config=config))
    wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)
    app = opened("trades")
    assert app.selectbox(key="trades.run").options[0].endswith("running")
    assert "No trades yet. The first one appears here by itself" in texts(app)
    assert "= balance now 100,000.00 USD" in texts(app)


def test_halted_session_still_shows_its_trades(node: TradingNode) -> None:
    stopped_with_an_open_trade(node)
    show(node, session_state=SessionState.RUNNING, trading_state=TradingState.HALTED)
    app = opened("trades")
    shown = [trade for table in app.dataframe for trade in table.value["Trade"]]
    assert shown == [row.trade_id for state in ("OPEN", "CLOSED") for row in stored(node, state=state)]
    assert app.selectbox(key="trades.run").options[0].endswith("running")


def test_warming_session_has_no_trades_yet(node: TradingNode) -> None:
    config = wiring.default_config(node.settings)
    run_id = replayed(node)
    show(node, session_state=SessionState.WARMING_UP, config=config, run_id=run_id + 1)
    app = opened("trades")
    assert app.selectbox(key="trades.run").value == run_id
    assert not app.error
