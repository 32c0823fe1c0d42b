"""I am the figures of risk: currency legs against their caps, and what stopped entries.
I may import plotly, snapshot, row types of the store, figures and formats.
I must not draw on a page, query, or know how a figure gets to the browser.
My tests are in tests/unit/pages/test_risk_figures.py.

What is certain is a filled bar, what may come of unfinished orders a hatched one; caps are upright marks.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go

from engine.snapshot import LegView
from engine.store.queries import Blocked
from pages.parts import formats
from pages.parts.figures import ACCENT, DOWN, GRID, QUIET, TEXT

ROW_PX, FRAME_PX = 34, 84
GATES_MAX = 15
WHOLE_BELOW = 6


def height(rows: int) -> int:
    """Pixels that a figure with so many bars needs."""
    return FRAME_PX + ROW_PX * max(rows, 1)


def legs(found: Sequence[LegView], currency: str) -> go.Figure:
    """Draw the net amount of each currency, in home currency, between the caps of both sides."""
    figure = go.Figure(layout=_layout("legs", currency))
    shown = list(reversed(found))
    names = [leg.currency for leg in shown]
    figure.add_trace(
        go.Bar(
            y=names,
            x=[float(_certain(leg)) for leg in shown],
            orientation="h",
            name="held",
            marker={"color": ACCENT},
            hovertext=[leg_text(leg, currency) for leg in shown],
            hoverinfo="text",
        )  # fmt: skip
    )
    spans = [(leg.low_home, leg.high_home - leg.low_home) for leg in shown]
    figure.add_trace(
        go.Bar(
            y=names,
            base=[float(base) for base, _ in spans],
            x=[float(size) for _, size in spans],
            orientation="h",
            name="may come of unfinished orders",
            hoverinfo="skip",
            marker=_hatched(ACCENT),
            visible=True if any(size for _, size in spans) else "legendonly",
        )  # fmt: skip
    )
    figure.add_trace(
        go.Scatter(
            y=[*names, *names],
            x=[float(leg.cap_home) for leg in shown] + [-float(leg.cap_home) for leg in shown],
            mode="markers",
            name="cap",
            hoverinfo="skip",
            marker={"symbol": "line-ns", "size": 20, "line": {"color": DOWN, "width": 3}},
        )  # fmt: skip
    )
    figure.add_vline(x=0, line={"color": TEXT, "width": 1})
    return figure


def leg_text(leg: LegView, currency: str) -> str:
    """Say in words what a leg is: one amount, or the range that unfinished orders leave open."""
    side = formats.side(leg.low_home if leg.low_home == leg.high_home else leg.low_home + leg.high_home)
    return f"{leg.currency} {side} {amount(leg)} {currency}, cap {formats.money(leg.cap_home)}"


def amount(leg: LegView) -> str:
    """Write a leg with its sign; a range with both ends."""
    low, high = formats.signed_money(leg.low_home), formats.signed_money(leg.high_home)
    return low if leg.low_home == leg.high_home else f"{low} .. {high}"


def _certain(leg: LegView) -> Decimal:
    """The part of a leg that is there whatever becomes of unfinished orders."""
    if leg.low_home > 0:
        return leg.low_home
    return min(leg.high_home, Decimal(0))


def blocked(found: Blocked) -> go.Figure:
    """Draw how often each gate failed, the part in which it was the first one filled."""
    figure = go.Figure(layout={**_layout("blocked", "entries"), "barmode": "stack"})
    figure.update_layout(legend_traceorder="normal")
    if max(found.failed.values(), default=0) < WHOLE_BELOW:
        figure.update_xaxes(dtick=1, tickformat="d")  # halves of an entry say nothing
    names = sorted(found.failed, key=lambda name: (found.failed[name], name))[-GATES_MAX:]
    labels = [formats.label(name) for name in names]
    first = [found.first.get(name, 0) for name in names]
    rest = [found.failed[name] - times for name, times in zip(names, first, strict=True)]
    figure.add_trace(
        go.Bar(
            y=labels,
            x=first,
            orientation="h",
            name="first to fail",
            marker={"color": ACCENT},
            hovertemplate="%{y}: first in %{x:,}<extra></extra>",
        )  # fmt: skip
    )
    figure.add_trace(
        go.Bar(
            y=labels,
            x=rest,
            orientation="h",
            name="failed after another gate",
            marker=_hatched(QUIET),
            text=[f"{found.failed[name]:,}" for name in names],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: after another in %{x:,}<extra></extra>",
        )  # fmt: skip
    )
    return figure


def _hatched(colour: str) -> dict[str, Any]:
    pattern = {"shape": "/", "fgcolor": colour}
    return {"color": "rgba(0,0,0,0)", "pattern": pattern, "line": {"color": colour, "width": 1}}


def _layout(revision: str, title: str) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True}
    return {
        "uirevision": revision,
        "template": "none",
        "margin": {"l": 8, "r": 48, "t": 32, "b": 36},
        "dragmode": False,
        "hovermode": "closest",
        "separators": ".,",
        "barmode": "overlay",
        "bargap": 0.4,
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "font": {"size": 12, "color": TEXT},
        "hoverlabel": {"align": "left"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {**axis, "title": {"text": title}, "tickformat": ",~r", "nticks": 6},
        "yaxis": {**axis, "type": "category"},
    }
