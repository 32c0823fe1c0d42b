"""Candles with their markers and levels, and equity with its drawdown: what is drawn, where, and for which side."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go
import pytest
from msgspec.structs import replace

from engine.domain.account import EquityPoint, Trade
from engine.domain.decision import Action, Decision, Gate
from engine.domain.market import Bar, Granularity
from pages.parts import figures
from pages.parts.figures import RoundTrip
from tests.unit.made import EUR_USD, candle

MINUTE_NS = Granularity.M1.ns
BARS = [candle(index, "1.09900", "1.10100", f"1.10{index % 10}00", spread="0.0002") for index in range(100)]


def trip(opened: int, closed: int, units: str = "1000", pl: str = "5", name: str = "EUR_USD") -> RoundTrip:
    """A round trip between the bars of these numbers, seven seconds into them."""
    return RoundTrip(
        trade_id=f"{opened}-{closed}",
        instrument=name,
        units=Decimal(units),
        entry_price=Decimal("1.10010"),
        exit_price=Decimal("1.10060"),
        opened_ns=opened * MINUTE_NS + 7_000_000_000,
        closed_ns=closed * MINUTE_NS + 7_000_000_000,
        pl_home=Decimal(pl),
        reason="take profit",
    )


def held(units: str = "1000", stop: str | None = "1.09500", target: str | None = "1.11000") -> Trade:
    return Trade(
        trade_id="77",
        instrument="EUR_USD",
        units=Decimal(units),
        initial_units=Decimal(units),
        price=Decimal("1.10010"),
        opened_ns=90 * MINUTE_NS,
        client_order_id=None,
        stop_loss=Decimal(stop) if stop else None,
        take_profit=Decimal(target) if target else None,
    )


def denied(bar: int, action: Action = Action.DENIED) -> Decision:
    return Decision(
        instrument="EUR_USD",
        bar_ts_ns=bar * MINUTE_NS,
        direction=1,
        confidence=0.7,
        bid=Decimal("1.10000"),
        ask=Decimal("1.10040"),
        equity_home=Decimal(1000),
        position_units=Decimal(0),
        action=action,
        reason="blocked by spread",
        gates=(Gate(name="quote_age", value="1 s", limit="10 s", passed=True),
               Gate(name="spread", value="4 pips", limit="3 pips", passed=False)),
    )  # fmt: skip


def drawn(
    bars: list[Bar] = BARS,
    closed: tuple[RoundTrip, ...] = (),
    trades: tuple[Trade, ...] = (),
    decisions: tuple[Decision, ...] = (),
) -> go.Figure:
    return figures.candles(bars, closed, trades, decisions, EUR_USD, "USD")


def trace(figure: go.Figure, name: str) -> Any:
    found = [item for item in figure.data if item.name == name]
    assert len(found) == 1, f"{name} is drawn {len(found)} times among {[item.name for item in figure.data]}"
    return found[0]


def names(figure: go.Figure) -> set[str]:
    return {item.name for item in figure.data}


def minute_of(x: float) -> int:
    return int(x * 1_000_000 // MINUTE_NS)


def test_candles_are_mid_prices_at_the_opening_times() -> None:
    bar = trace(drawn(), "EUR_USD")
    assert len(bar.x) == 100
    assert [minute_of(x) for x in bar.x[:3]] == [0, 1, 2]
    assert bar.close[1] == pytest.approx(1.1011)
    assert bar.high[0] == pytest.approx(1.1011)
    assert bar.low[0] == pytest.approx(1.0991)


def test_only_the_newest_bars_are_drawn() -> None:
    many = [candle(index, "1.09900", "1.10100", "1.10000") for index in range(figures.BARS_MAX + 50)]
    bar = trace(drawn(many), "EUR_USD")
    assert len(bar.x) == figures.BARS_MAX
    assert minute_of(bar.x[0]) == 50


def test_up_and_down_candles_differ_in_filling_and_not_only_in_colour() -> None:
    bar = trace(drawn(), "EUR_USD")
    assert bar.increasing.fillcolor == figures.PAPER
    assert bar.decreasing.fillcolor == bar.decreasing.line.color == figures.DOWN


def test_entries_point_their_way_and_sit_on_their_bar() -> None:
    figure = drawn(closed=(trip(10, 20), trip(30, 40, units="-500"), trip(50, 60, units="-700")))
    longs, shorts = trace(figure, "long entries"), trace(figure, "short entries")
    assert (longs.marker.symbol, shorts.marker.symbol) == ("triangle-up", "triangle-down")
    assert [minute_of(x) for x in longs.x] == [10]
    assert [minute_of(x) for x in shorts.x] == [30, 50]
    assert list(longs.y) == [1.1001]


def test_exits_tell_gain_from_loss_by_shape_and_the_amount_on_hover() -> None:
    figure = drawn(closed=(trip(10, 20, pl="12.5"), trip(30, 40, pl="-3")))
    gains, losses = trace(figure, "exits, gains"), trace(figure, "exits, losses")
    assert (gains.marker.symbol, losses.marker.symbol) == ("circle-open", "x")
    assert [minute_of(x) for x in (*gains.x, *losses.x)] == [20, 40]
    assert list(gains.y) == [1.1006]
    assert "P/L +12.50 USD (take profit)" in gains.text[0]
    assert "P/L -3.00 USD" in losses.text[0]


def test_an_open_trade_has_an_entry_a_stop_and_a_target_with_their_prices() -> None:
    figure = drawn(trades=(held(),))
    assert [minute_of(x) for x in trace(figure, "long entries").x] == [90]
    assert set(trace(figure, "SL 77").y) == {1.095}
    assert set(trace(figure, "TP 77").y) == {1.11}
    assert minute_of(trace(figure, "SL 77").x[0]) == 90
    labels = {note.text: note.y for note in figure.layout.annotations}
    assert labels["SL 1.09500"] == 1.095
    assert labels["TP 1.11000"] == 1.11


def test_a_trade_without_target_has_no_target_line() -> None:
    shown = names(drawn(trades=(held(target=None),)))
    assert "SL 77" in shown
    assert "TP 77" not in shown


def test_a_short_that_is_held_points_down() -> None:
    shown = names(drawn(trades=(held(units="-1000"),)))
    assert "short entries" in shown
    assert "long entries" not in shown


def test_trades_of_other_instruments_and_of_earlier_times_are_not_drawn() -> None:
    late = BARS[50:]
    other = replace(held(), instrument="USD_JPY")
    figure = drawn(late, closed=(trip(10, 20), trip(60, 70, name="USD_JPY")), trades=(other,))
    assert names(figure) == {"EUR_USD"}


def test_an_exit_is_drawn_although_its_entry_is_out_of_view() -> None:
    shown = names(drawn(BARS[50:], closed=(trip(10, 60),)))
    assert "exits, gains" in shown
    assert "long entries" not in shown


def test_only_stopped_signals_are_marked_with_the_gate_that_failed() -> None:
    marks = trace(drawn(decisions=(denied(5), denied(6, Action.HOLD), denied(7))), "stopped signals")
    assert [minute_of(x) for x in marks.x] == [5, 7]
    assert list(marks.y) == [pytest.approx(1.1002)] * 2
    assert "spread: 4 pips, limit 3 pips" in marks.text[0]


def test_the_last_price_is_labelled_with_the_decimals_of_the_instrument() -> None:
    figure = drawn()
    assert [note.text for note in figure.layout.annotations] == ["1.10910"]
    assert figure.layout.yaxis.side == "right"
    assert figure.layout.yaxis.tickformat == ".5f"


def test_the_weekend_is_cut_out_and_nothing_else() -> None:
    friday = datetime(2026, 1, 2, 21, 0, tzinfo=UTC)
    start = int(friday.timestamp()) // 60
    numbers = [*range(start, start + 60), *range(start + 60 + 49 * 60, start + 49 * 60 + 120)]
    figure = drawn([candle(number, "1.09900", "1.10100", "1.10000") for number in numbers])
    (cut,) = figure.layout.xaxis.rangebreaks
    begin, end = (datetime.fromtimestamp(bound / 1000, UTC) for bound in cut.bounds)
    assert (begin.isoformat(), end.isoformat()) == ("2026-01-02T21:59:30+00:00", "2026-01-04T22:59:30+00:00")
    shown = {minute_of(value) for value in figure.layout.xaxis.tickvals}
    assert shown <= set(numbers)
    assert len(shown) == len(figure.layout.xaxis.ticktext) >= 5
    assert "Fri 02 Jan" in figure.layout.xaxis.ticktext[0]
    assert any("Sun 04 Jan" in text for text in figure.layout.xaxis.ticktext[1:])


def test_bars_without_a_gap_are_not_cut() -> None:
    assert drawn().layout.xaxis.rangebreaks == ()


def test_no_bars_make_an_empty_figure() -> None:
    assert drawn([]).data == ()


def test_zoom_is_kept_per_instrument() -> None:
    assert drawn().layout.uirevision == "candles-EUR_USD"


def test_drawdown_is_measured_from_the_highest_equity_so_far() -> None:
    values = (1000, 1100, 990, 1045, 1210)
    points = [
        EquityPoint(ts_ns=index * MINUTE_NS, equity_home=Decimal(value), balance_home=Decimal(value))
        for index, value in enumerate(values)
    ]
    figure = figures.equity(points, "USD")
    assert list(trace(figure, "equity").y) == list(values)
    assert list(trace(figure, "drawdown").y) == pytest.approx([0, 0, -10, -5, 0])
    assert trace(figure, "drawdown").yaxis == "y2"
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]


def test_equity_of_nothing_is_an_empty_figure() -> None:
    assert figures.equity([], "USD").data == ()
