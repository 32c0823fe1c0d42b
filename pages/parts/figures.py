"""I am the figures: values in, plain plotly figures out, for live pages, replay and history alike.
I may import plotly, numpy, the domain, gate_costs and formats.
I must not draw on a page, query, or know how a figure gets to the browser.
My tests are in tests/unit/pages/test_figures.py.

Colours are names of the theme's CSS variables; the browser puts in those of the theme in use. Direction is never told
by colour alone: up candles are hollow and down candles filled, entries are triangles that point their way, and
exits are rings for gains and crosses for losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import plotly.graph_objects as go

from engine.domain.account import EquityPoint, Trade
from engine.domain.decision import Action, Decision
from engine.domain.instrument import Instrument
from engine.domain.market import Bar
from engine.gate_costs import COST, SAVED, GateCost
from pages.parts import formats

BARS_MAX = 250
UP, DOWN = "var(--st-green-color)", "var(--st-red-color)"
ACCENT, TEXT = "var(--st-primary-color)", "var(--st-text-color)"
GRID, PAPER, QUIET = "var(--st-border-color)", "var(--st-background-color)", "var(--st-gray-color)"
NS_PER_MS = 1_000_000
TICKS = 10
_MINUTE_NS = 60 * formats.NS_PER_S
_TICK_STEPS_NS = tuple(minutes * _MINUTE_NS for minutes in (1, 5, 10, 15, 30, 60, 120, 240, 480, 1_440, 7_200))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A closed trade as a chart shows it; units are signed, prices in quote currency, pl_home in home currency."""

    trade_id: str
    instrument: str
    units: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_ns: int
    closed_ns: int
    pl_home: Decimal
    reason: str


def candles(
    bars: Sequence[Bar],
    closed: Sequence[RoundTrip],
    open_trades: Sequence[Trade],
    decisions: Sequence[Decision],
    instrument: Instrument,
    currency: str,
) -> go.Figure:
    """Draw the newest mid-price candles of one instrument with its entries, exits, stops, targets and last price."""
    shown = list(bars)[-BARS_MAX:]
    figure = go.Figure(layout=_layout(f"candles-{instrument.name}"))
    if not shown:
        return figure
    axis = _TimeAxis(shown)
    figure.add_trace(_candlesticks(shown, axis, instrument))
    own = [trip for trip in closed if trip.instrument == instrument.name and trip.closed_ns >= axis.first_ns]
    held = [trade for trade in open_trades if trade.instrument == instrument.name]
    figure.add_traces(_round_trips(own, axis))
    figure.add_traces(_entries(own, held, axis, instrument))
    figure.add_traces(_exits(own, axis, instrument, currency))
    figure.add_traces(_denied([item for item in decisions if item.instrument == instrument.name], shown, axis))
    for trade in held:
        figure.add_traces(_levels(trade, axis))
        _tag_levels(figure, trade, instrument)
    _mark_last_price(figure, shown[-1], instrument)
    figure.update_xaxes(**axis.settings)
    figure.update_yaxes(side="right", tickformat=f".{instrument.price_decimals}f", nticks=8)
    return figure


def equity(points: Sequence[EquityPoint], currency: str) -> go.Figure:
    """Draw equity above its drawdown from the highest equity so far, in percent, on one time axis."""
    figure = go.Figure(layout=_layout("equity"))
    if not points:
        return figure
    x = _milliseconds([point.ts_ns for point in points])
    values = np.array([float(point.equity_home) for point in points])
    peak = np.maximum.accumulate(values)
    fall = np.where(peak > 0, (values / np.where(peak > 0, peak, 1.0) - 1.0) * 100.0, 0.0)
    line: dict[str, Any] = {"x": x, "mode": "lines"}
    figure.add_trace(
        go.Scatter(
            **line, y=values, name="equity", line={"color": ACCENT, "width": 1.8},
            hovertemplate=f"equity %{{y:,.2f}} {currency}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            **line, y=fall, yaxis="y2", name="drawdown", fill="tozeroy", line={"color": DOWN, "width": 1.2},
            hovertemplate="drawdown %{y:.2f} %<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        hovermode="x unified",
        xaxis={"anchor": "y2"},
        yaxis={"side": "right", "domain": [0.36, 1.0], "tickformat": ",.0f", "nticks": 6},
        yaxis2=_axis(side="right", domain=[0.0, 0.28], ticksuffix=" %", nticks=4, rangemode="tozero"),
    )
    return figure


_VERDICTS = ((SAVED, UP, "triangle-left"), (COST, DOWN, "triangle-right"), ("", QUIET, "circle-open"))


def gate_costs(costs: Sequence[GateCost]) -> go.Figure:
    """Draw per gate the mean result of what it blocked with its 95 % interval, in R; left of zero it saved money."""
    figure = go.Figure(layout=_layout("gate-costs"))
    for verdict, colour, shape in _VERDICTS:
        own = [cost for cost in costs if (cost.verdict if cost.verdict in (SAVED, COST) else "") == verdict]
        low = [float(cost.mean_r - (cost.mean_r if cost.low_r is None else cost.low_r)) for cost in own]
        high = [float((cost.mean_r if cost.high_r is None else cost.high_r) - cost.mean_r) for cost in own]
        marks = [(float(cost.mean_r), formats.label(cost.gate)) for cost in own]
        texts = [
            f"{formats.label(cost.gate)}: mean {formats.r_multiple(cost.mean_r)}<br>{cost.verdict}" for cost in own
        ]
        for trace in _markers(verdict or "cannot be told", marks, texts, colour, shape, 11):
            bars = {"type": "data", "symmetric": False, "array": high, "arrayminus": low, "color": colour}
            figure.add_trace(trace.update(error_x={**bars, "thickness": 1.5, "width": 5}))
    figure.add_vline(x=0, line={"color": TEXT, "width": 1}, layer="below")
    order = [formats.label(cost.gate) for cost in costs]
    figure.update_xaxes(type="linear", ticksuffix=" R", nticks=7)
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=order, autorange="reversed")
    figure.update_layout(margin={"l": 8, "r": 16, "t": 12, "b": 28})
    return figure


class _TimeAxis:
    """Where a moment is on the x axis of these bars; hours in which no bar is are cut out."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.step_ns = bars[0].granularity.ns
        self.first_ns = bars[0].open_ts_ns
        self.end_ns = bars[-1].close_ts_ns
        pairs = zip(bars, bars[1:], strict=False)
        gaps = [(old.close_ts_ns, new.open_ts_ns) for old, new in pairs if new.open_ts_ns > old.close_ts_ns]
        self._cuts = [(start, end) for start, end in gaps if end - start > self.step_ns]
        self._bars = bars

    @property
    def settings(self) -> dict[str, Any]:
        """Cut out the gaps; plotly finds no sensible ticks around cuts, so then each tick is named here."""
        if not self._cuts:
            return {}
        half = self.step_ns // 2
        breaks = [{"bounds": [(start - half) // NS_PER_MS, (end - half) // NS_PER_MS]} for start, end in self._cuts]
        ticks = self._ticks()
        text = [f"{_moment(ts_ns):%H:%M}" for ts_ns in ticks]
        for number, ts_ns in enumerate(ticks):
            if number == 0 or _moment(ts_ns).date() != _moment(ticks[number - 1]).date():
                text[number] += f"<br>{_moment(ts_ns):%a %d %b}"
        values = [ts_ns // NS_PER_MS for ts_ns in ticks]
        return {"rangebreaks": breaks, "tickmode": "array", "tickvals": values, "ticktext": text}

    def _ticks(self) -> list[int]:
        """Starts of the bars at round times, about ten; none at the left edge, where a label would not fit."""
        wanted_ns = self.step_ns * max(len(self._bars) // TICKS, 1)
        step_ns = next((length for length in _TICK_STEPS_NS if length >= wanted_ns), _TICK_STEPS_NS[-1])
        inner = self._bars[len(self._bars) // 25 :]
        return [bar.open_ts_ns for bar in inner if bar.open_ts_ns % step_ns == 0]

    def at(self, ts_ns: int) -> float:
        """Return the bar of this moment, in milliseconds of UTC."""
        return max(ts_ns // self.step_ns * self.step_ns, self.first_ns) / NS_PER_MS


def _moment(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // formats.NS_PER_S, tz=UTC)


def _milliseconds(moments: Sequence[int]) -> Any:
    return np.array(moments, dtype=np.float64) / NS_PER_MS


def _candlesticks(bars: Sequence[Bar], axis: _TimeAxis, instrument: Instrument) -> go.Candlestick:
    digits = f".{instrument.price_decimals}f"
    return go.Candlestick(
        x=_milliseconds([bar.open_ts_ns for bar in bars]),
        open=_mid(bars, "open"),
        high=_mid(bars, "high"),
        low=_mid(bars, "low"),
        close=_mid(bars, "close"),
        name=instrument.name,
        increasing={"line": {"color": UP, "width": 1}, "fillcolor": PAPER},
        decreasing={"line": {"color": DOWN, "width": 1}, "fillcolor": DOWN},
        hovertemplate=(
            f"%{{x|%a %d %b %H:%M:%S}} UTC<br>open %{{open:{digits}}}<br>high %{{high:{digits}}}"
            f"<br>low %{{low:{digits}}}<br>close %{{close:{digits}}}<extra></extra>"
        ),
    )


def _mid(bars: Sequence[Bar], part: str) -> Any:
    bids = np.array([float(getattr(bar, f"bid_{part}")) for bar in bars])
    asks = np.array([float(getattr(bar, f"ask_{part}")) for bar in bars])
    return (bids + asks) / 2


def _round_trips(trips: Sequence[RoundTrip], axis: _TimeAxis) -> list[go.Scatter]:
    """Join each entry with its exit by a thin line; plotly starts a new line after each None."""
    x: list[float | None] = []
    y: list[float | None] = []
    for trip in trips:
        if trip.opened_ns >= axis.first_ns:
            x += [axis.at(trip.opened_ns), axis.at(trip.closed_ns), None]
            y += [float(trip.entry_price), float(trip.exit_price), None]
    line = {"color": QUIET, "width": 1, "dash": "dot"}
    return [go.Scatter(x=x, y=y, mode="lines", name="round trips", line=line, hoverinfo="skip")] if x else []


def _entries(
    trips: Sequence[RoundTrip], held: Sequence[Trade], axis: _TimeAxis, instrument: Instrument
) -> list[go.Scatter]:
    """Mark entries by side: long points up, short points down."""
    entries = [(trip.opened_ns, trip.entry_price, trip.units, trip.trade_id) for trip in trips]
    entries += [(trade.opened_ns, trade.price, trade.initial_units, trade.trade_id) for trade in held]
    shown = [entry for entry in entries if entry[0] >= axis.first_ns]
    sides = (("long", UP, "triangle-up", 1), ("short", DOWN, "triangle-down", -1))
    traces = []
    for name, colour, shape, sign in sides:
        own = [entry for entry in shown if entry[2] * sign > 0]
        texts = [
            f"{name} entry {formats.units(size)} @ {formats.price(at, instrument.price_decimals)}<br>"
            f"{formats.utc(opened_ns)}<br>trade {trade_id}"
            for opened_ns, at, size, trade_id in own
        ]
        marks = [(axis.at(entry[0]), float(entry[1])) for entry in own]
        traces += _markers(f"{name} entries", marks, texts, colour, shape, 12)
    return traces


def _exits(trips: Sequence[RoundTrip], axis: _TimeAxis, instrument: Instrument, currency: str) -> list[go.Scatter]:
    """Mark exits by outcome: a ring for a gain, a cross for a loss, the amount on hover."""
    traces = []
    for name, colour, shape, won in (("gains", UP, "circle-open", True), ("losses", DOWN, "x", False)):
        own = [trip for trip in trips if (trip.pl_home >= 0) == won]
        texts = [
            f"exit of {formats.side(trip.units)} {formats.units(trip.units)} @ "
            f"{formats.price(trip.exit_price, instrument.price_decimals)}<br>"
            f"P/L {formats.signed_money(trip.pl_home)} {currency} ({trip.reason})<br>"
            f"{formats.utc(trip.closed_ns)}<br>trade {trip.trade_id}"
            for trip in own
        ]
        marks = [(axis.at(trip.closed_ns), float(trip.exit_price)) for trip in own]
        traces += _markers(f"exits, {name}", marks, texts, colour, shape, 9)
    return traces


def _denied(decisions: Sequence[Decision], bars: Sequence[Bar], axis: _TimeAxis) -> list[go.Scatter]:
    """Mark signals that a gate stopped, at the mid price they saw, with the first failing gate on hover."""
    own = [item for item in decisions if item.action == Action.DENIED and item.bar_ts_ns >= axis.first_ns]
    marks = [(axis.at(item.bar_ts_ns), float((item.bid + item.ask) / 2)) for item in own]
    texts = [f"signal stopped<br>{_blocked_by(item)}<br>{formats.utc(item.bar_ts_ns)}" for item in own]
    return _markers("stopped signals", marks, texts, QUIET, "diamond-open", 8)


def _blocked_by(decision: Decision) -> str:
    if not decision.blocking:
        return decision.reason
    gate = decision.blocking[0]
    return f"{formats.label(gate.name)}: {formats.moments(gate.value)}, limit {gate.limit}"


def _markers(
    name: str, marks: Sequence[tuple[float, float | str]], texts: Sequence[str], colour: str, shape: str, size: int
) -> list[go.Scatter]:
    if not marks:
        return []
    edge = {"width": 1, "color": TEXT} if shape.startswith("triangle") else {"width": 2, "color": colour}
    return [
        go.Scatter(
            x=[mark[0] for mark in marks], y=[mark[1] for mark in marks], mode="markers", name=name,
            marker={"symbol": shape, "size": size, "color": colour, "line": edge},
            text=list(texts), hovertemplate="%{text}<extra></extra>",
        )
    ]  # fmt: skip


def _of_trade(trade: Trade) -> list[tuple[str, Decimal, str, str]]:
    levels = (("SL", trade.stop_loss, DOWN, "dash"), ("TP", trade.take_profit, UP, "dashdot"))
    return [(name, level, colour, dash) for name, level, colour, dash in levels if level is not None]


def _levels(trade: Trade, axis: _TimeAxis) -> list[go.Scatter]:
    """Draw stop-loss and take-profit of an open trade from its entry on; as traces, so that they are never off view."""
    start, end = axis.at(trade.opened_ns), (axis.end_ns + 2 * axis.step_ns) / NS_PER_MS
    return [
        go.Scatter(
            x=[start, end], y=[float(level)] * 2, mode="lines", name=f"{name} {trade.trade_id}",
            line={"color": colour, "width": 1.5, "dash": dash}, hoverinfo="name",
        )
        for name, level, colour, dash in _of_trade(trade)
    ]  # fmt: skip


def _tag_levels(figure: go.Figure, trade: Trade, instrument: Instrument) -> None:
    for name, level, colour, _ in _of_trade(trade):
        text = f"{name} {formats.price(level, instrument.price_decimals)}"
        _tag(figure, level, text, bgcolor=PAPER, bordercolor=colour, font={"color": colour, "size": 11})


def _mark_last_price(figure: go.Figure, bar: Bar, instrument: Instrument) -> None:
    last = (bar.bid_close + bar.ask_close) / 2
    figure.add_hline(y=float(last), line={"color": ACCENT, "width": 1, "dash": "dot"}, layer="below")
    text = formats.price(last, instrument.price_decimals)
    _tag(figure, last, text, bgcolor=ACCENT, font={"color": PAPER, "size": 12})


def _tag(figure: go.Figure, level: Decimal, text: str, **look: Any) -> None:
    """Put a label over the price axis."""
    figure.add_annotation(
        x=1, xref="paper", xanchor="left", y=float(level), text=text, showarrow=False, borderpad=2, **look
    )


def _axis(**more: Any) -> dict[str, Any]:
    return {"gridcolor": GRID, "zeroline": False, "automargin": True, **more}


def _layout(revision: str) -> dict[str, Any]:
    """Common look; uirevision makes plotly keep zoom and pan for as long as it stays the same."""
    return {
        "uirevision": revision,
        "template": "none",
        "margin": {"l": 8, "r": 88, "t": 12, "b": 28},
        "dragmode": "pan",
        "hovermode": "closest",
        "showlegend": False,
        "separators": ".,",
        "font": {"size": 12, "color": TEXT},
        "hoverlabel": {"align": "left"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": _axis(type="date", rangeslider={"visible": False}, nticks=8),
        "yaxis": _axis(),
    }
