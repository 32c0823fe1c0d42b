"""Tables and sums of trades: exact where it is money, readable where it is looked at."""

import dataclasses
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.market import NS_PER_S, Quote
from engine.store.queries import RunRow, TradeRow
from pages.parts import trade_tables
from pages.parts.trade_tables import Identity, Totals

START_NS = 1_398_902_400 * NS_PER_S

CLOSED = TradeRow(
    run_id=1,
    trade_id="7",
    instrument="USD_JPY",
    side="long",
    state="CLOSED",
    units=Decimal(12_000),
    units_open=Decimal(0),
    entry_ns=START_NS,
    entry_price=Decimal("151.100"),
    exit_ns=START_NS + 7_859 * NS_PER_S,
    exit_price=Decimal("151.25"),
    stop_loss=Decimal("151.000"),
    take_profit=Decimal("151.300"),
    risk_home=Decimal("8"),
    realized_pl_home=Decimal("12.5"),
    financing_home=Decimal("-0.5"),
    exit_reason="take profit",
    client_order_id="1-USD_JPY-1-1",
    seq=1,
)
OPEN = replace(CLOSED, state="OPEN", units_open=Decimal(4_000), exit_ns=None, exit_price=None, exit_reason=None)
RUN = RunRow(
    run_id=3,
    status="STOPPED",
    mode="replay",
    started_ns=START_NS,
    ended_ns=START_NS + NS_PER_S,
    started_wall_ns=1,
    instruments="USD_JPY",
    granularity="M1",
    model_id="sma-cross",
    model_sha256="",
    seed=1,
    currency="USD",
    opening_balance_home=Decimal(1_000),
    closing_balance_home=Decimal("1012.25"),
    equity_home=Decimal("1012.25"),
    max_drawdown_pct=Decimal(0),
    bars=1,
    decisions=1,
    orders=1,
    fills=1,
    trades=1,
    reason="end of data",
    config=None,
    digest=None,
)


def quote(bid: str, ask: str) -> Quote:
    return Quote(
        instrument="USD_JPY", bid=Decimal(bid), ask=Decimal(ask), ts_ns=1, received_ns=1, home_rate=Decimal("0.0066")
    )


def test_closed_trade_is_written_as_a_trader_reads_it() -> None:
    row = trade_tables.closed([CLOSED]).iloc[0]
    assert row["Closed"] == pd.Timestamp("2014-05-01 02:10:59", tz="UTC")
    assert row["Opened"] == pd.Timestamp("2014-05-01 00:00:00", tz="UTC")
    assert (row["Side"], row["Units"], row["Entry"], row["Exit"]) == ("▲ long", "12,000", "151.100", "151.250")
    assert (row["Net"], row["R"], row["Realised"], row["Financing"], row["Risk"]) == (12.0, 1.5, 12.5, -0.5, 8.0)
    assert (row["Held"], row["Reason"], row["Trade"]) == ("2 h 10 min", "take profit", "7")


def test_closed_trade_without_a_stop_has_no_risk_and_no_multiple() -> None:
    row = trade_tables.closed([replace(CLOSED, risk_home=None, stop_loss=None)]).iloc[0]
    assert row["R"] is None
    assert row["Risk"] is None


def test_open_trade_shows_what_is_left_and_where_the_price_stands() -> None:
    row = trade_tables.opened([OPEN], START_NS + 90 * NS_PER_S, {"USD_JPY": quote("151.225", "151.240")}).iloc[0]
    assert (row["Units"], row["Now"], row["Way"], row["Held"]) == ("4,000", "151.225", 75, "1 min 30 s")
    assert (row["Stop"], row["Target"]) == ("151.000", "151.300")


def test_open_trade_of_a_run_that_is_over_has_no_price() -> None:
    row = trade_tables.opened([OPEN], None, {}).iloc[0]
    assert (row["Now"], row["Way"], row["Held"]) == ("-", None, "-")


@pytest.mark.parametrize(
    ("side", "stop", "target", "now", "share"),
    [
        ("long", "1.0", "2.0", "1.0", 0),
        ("long", "1.0", "2.0", "1.25", 25),
        ("long", "1.0", "2.0", "2.5", 100),
        ("long", "1.0", "2.0", "0.5", 0),
        ("short", "2.0", "1.0", "1.25", 75),
        ("short", "2.0", "1.0", "2.5", 0),
        ("short", "2.0", None, "1.5", None),
        ("long", None, "2.0", "1.5", None),
    ],
)
def test_way_runs_from_stop_to_target_on_both_sides(
    side: str, stop: str | None, target: str | None, now: str, share: int | None
) -> None:
    row = replace(
        OPEN,
        side=side,
        stop_loss=None if stop is None else Decimal(stop),
        take_profit=None if target is None else Decimal(target),
    )
    assert trade_tables.way(row, Decimal(now)) == share


def test_empty_tables_keep_their_columns() -> None:
    assert list(trade_tables.closed([]).columns) == list(trade_tables.CLOSED_COLUMNS)
    assert list(trade_tables.opened([], None, {}).columns) == list(trade_tables.OPEN_COLUMNS)


amounts = st.decimals(min_value=-(10**6), max_value=10**6, places=4)
rows = st.lists(
    st.builds(
        lambda realized, financing, state: replace(
            CLOSED, realized_pl_home=realized, financing_home=financing, state=state
        ),
        amounts,
        amounts,
        st.sampled_from(["OPEN", "CLOSED"]),
    )
)


@given(rows)
def test_totals_add_up_to_the_last_decimal(trades: list[TradeRow]) -> None:
    sums = trade_tables.totals(trades)
    ended = [row.realized_pl_home + row.financing_home for row in trades if row.state == "CLOSED"]
    assert sums.net_pl_home == sum(row.realized_pl_home + row.financing_home for row in trades)
    assert (sums.closed, sums.open) == (len(ended), len(trades) - len(ended))
    assert sums.profit_home - sums.loss_home == sum(ended)
    assert sums.profit_home >= 0
    assert sums.loss_home >= 0
    assert sums.wins == sum(result > 0 for result in ended)


def test_figures_of_no_trade_are_dashes() -> None:
    shown = {label: value for label, value, _ in trade_tables.figures(Totals(), Decimal(1_000))}
    assert shown == {
        "Net P/L": "0.00",
        "Closed trades": "0",
        "Win rate": "-",
        "Profit factor": "-",
        "Average trade": "-",
        "Financing": "0.00",
    }


def test_figures_say_their_number_of_trades() -> None:
    loser = replace(CLOSED, realized_pl_home=Decimal(-3), financing_home=Decimal(0))
    figures = trade_tables.figures(trade_tables.totals([CLOSED, loser, loser, OPEN]), Decimal(1_000))
    shown = {label: (value, note) for label, value, note in figures}
    assert shown["Net P/L"] == ("+18.00", "+1.80 % of opening")
    assert shown["Closed trades"] == ("3", "1 open")
    assert shown["Win rate"] == ("33.3 %", "1 of 3")
    assert shown["Profit factor"] == ("2.00", "+12.00 by -6.00")
    assert shown["Average trade"][0] == "+2.00"
    assert shown["Financing"][0] == "-1.00"


@given(amounts, amounts, amounts, amounts)
def test_books_agree_only_when_nothing_is_missing(
    opening: Decimal, realized: Decimal, financing: Decimal, missing: Decimal
) -> None:
    identity = Identity(
        opening_home=opening,
        realized_pl_home=realized,
        financing_home=financing,
        commission_home=Decimal(0),
        closing_home=opening + realized + financing + missing,
    )
    assert identity.difference_home == missing


def test_sum_is_written_with_every_decimal() -> None:
    identity = Identity(
        opening_home=Decimal("100000.0000"),
        realized_pl_home=Decimal("-12.3456"),
        financing_home=Decimal("0.1"),
        commission_home=Decimal("1.5"),
        closing_home=Decimal("99986.2544"),
    )
    assert identity.difference_home == 0
    assert identity.text("USD") == (
        "opening 100,000.00 + realised -12.3456 + financing 0.10 - commission 1.50 = closing 99,986.2544 USD"
    )


def test_run_is_named_by_what_tells_it_apart() -> None:
    assert (
        trade_tables.run_label(RUN, live=False)
        == "Run 3 · replay · sma-cross · 2014-05-01 00:00:00 UTC · +12.25 USD · stopped"
    )
    running = replace(RUN, status="RUNNING", closing_balance_home=None)
    assert trade_tables.run_label(running, live=True).endswith("UTC · running")
    assert trade_tables.run_label(running, live=False).endswith("UTC · interrupted")
    assert trade_tables.run_label(replace(RUN, started_ns=None), live=False) == "Run 3, never started"


def test_money_that_was_moved_in_or_out_belongs_to_the_sum() -> None:
    made = Identity(
        opening_home=Decimal(1_000),
        realized_pl_home=Decimal("12.5"),
        financing_home=Decimal("-0.25"),
        commission_home=Decimal(0),
        transferred_home=Decimal(-300),
        closing_home=Decimal("712.25"),
    )
    assert made.difference_home == 0
    assert "+ financing -0.25 + moved in or out -300.00 = closing 712.25 USD" in made.text("USD")
    assert "moved" not in replace_moved(made, Decimal(0)).text("USD")
    assert replace_moved(made, Decimal(0)).difference_home == -300


def replace_moved(identity: Identity, amount: Decimal) -> Identity:
    return dataclasses.replace(identity, transferred_home=amount)


def run_of(run_id: int, continues: int | None) -> RunRow:
    return replace(RUN, run_id=run_id, continues=continues)


def test_books_are_the_runs_that_go_on_with_one_another() -> None:
    runs = [run_of(5, 3), run_of(4, None), run_of(3, 2), run_of(2, None), run_of(1, None)]
    assert trade_tables.books(runs, 5) == (5, 3, 2)
    assert trade_tables.books(runs, 4) == (4,)
    assert trade_tables.books(runs[:3], 5) == (5, 3, 2)
    assert trade_tables.books([run_of(7, 7)], 7) == (7,)
