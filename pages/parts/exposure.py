"""I am the exposure: what is held by instrument and by currency, gross, net and in margin, and what all stops cost.
I may import streamlit, pandas, the domain, snapshot and the other parts.
I must not call a loss known that is not, nor hide what unfinished orders may still add.
My tests are in tests/ui/test_risk.py.
"""

from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.snapshot import LegView, LimitUse, PositionView, Snapshot
from pages.parts import formats, limit_use, live_chart, positions, risk_figures

HUNDRED = Decimal(100)
_TOTALS = (
    ("exposure_pct_max", "Gross"),
    ("exposure_net_pct_max", "Net"),
    ("margin_pct_max", "Margin"),
)


def draw(snapshot: Snapshot) -> None:
    """Draw totals, instruments and currency legs."""
    if names := positions.unpriced(snapshot):
        held = formats.escaped(", ".join(names))
        st.warning(f"{held} is held and has no price yet, so these sums are not complete.", icon=":material/warning:")
    if orders := len(snapshot.unresolved_orders):
        st.info(
            f"{orders} order(s) are unfinished. Gross, margin and legs count them against us: a leg is then a range, "
            "from the lowest to the highest that can come of them.",
            icon=":material/hourglass_top:",
        )
    if waiting := len(snapshot.foreign_orders):
        st.info(
            f"{waiting} waiting order(s) at the broker are not Keel's. They are counted as if they were filled, and "
            "named on Overview.",
            icon=":material/hourglass_top:",
        )
    _totals(snapshot)
    _instruments(snapshot)
    _legs(snapshot)


def at_stops(snapshot: Snapshot) -> tuple[str, str]:
    """What is lost if every stop is hit, in money and as a note with its share of equity."""
    if positions.unpriced(snapshot):
        return "not known", "a held instrument has no price yet"
    missing = len(positions.bare(snapshot))
    note = f"{share(snapshot.risk_home, snapshot.equity_home)} of equity"
    amount = f"-{formats.money(snapshot.risk_home)}" if snapshot.risk_home else "0.00"
    return amount, f"{note}, {missing} without a stop" if missing else note


def share(amount: Decimal, equity: Decimal) -> str:
    """Write an amount in percent of equity."""
    return formats.percent(amount / equity * HUNDRED) if equity > 0 else formats.NOTHING


def _totals(snapshot: Snapshot) -> None:
    st.markdown("**Totals** (% of equity; unfinished orders counted against us)")
    rows = []
    for name, label in _TOTALS:
        use = limit_use.find(snapshot, name)
        if use is not None:
            rows.append(_total(label, use))
    amount, note = at_stops(snapshot)
    st.markdown(f"If every stop is hit at its price: **{amount} {snapshot.currency}**, {note}. A gap can cost more.")
    if rows:
        st.dataframe(
            pd.DataFrame(rows), column_config=TOTAL_COLUMNS, hide_index=True, height="content", key="risk-totals",
            alt="Gross, net and margin against their limits",
        )  # fmt: skip


def _total(label: str, use: LimitUse) -> dict[str, Any]:
    return {
        "Total": label,
        "Used now": limit_use.fixed(use.value),
        "Limit": use.limit,
        "Used": min(use.used_pct or 0.0, 100.0),
        "State": limit_use.state(use.used_pct),
        "Left": limit_use.fixed(use.distance),
    }


def _instruments(snapshot: Snapshot) -> None:
    st.markdown(f"**By instrument** (amounts in {snapshot.currency})")
    if not snapshot.positions:
        st.caption("No open position.")
        return
    st.dataframe(
        pd.DataFrame([_row(snapshot, position) for position in snapshot.positions]), column_config=POSITION_COLUMNS,
        hide_index=True, height="content", key="risk-instruments",
        alt="Positions with value, share of equity and worst loss at the stop",
    )  # fmt: skip


def _row(snapshot: Snapshot, position: PositionView) -> dict[str, Any]:
    quote = next((item for item in snapshot.quotes if item.instrument == position.instrument), None)
    value = abs(position.units) * quote.mid * quote.home_rate if quote else None
    return {
        "Instrument": position.instrument,
        "Side": formats.side(position.units),
        "Units": formats.units(position.units),
        "Value": formats.NOTHING if value is None else formats.money(value),
        "Of equity": formats.NOTHING if value is None else share(value, snapshot.equity_home),
        "Lost at the stop": f"-{formats.money(position.risk_home)}",
        "Of equity, lost": share(position.risk_home, snapshot.equity_home),
        "Open P/L": formats.signed_money(position.unrealized_pl_home),
    }


def _legs(snapshot: Snapshot) -> None:
    st.markdown(f"**By currency** (net amount in {snapshot.currency}; a long EUR_USD is long EUR and short USD)")
    held = tuple(leg for leg in snapshot.legs if leg.low_home or leg.high_home)
    if not held:
        st.caption("No currency is held net.")
        return
    live_chart.live_plotly(
        lambda: risk_figures.legs(held, snapshot.currency), key="risk-legs", subject=f"{snapshot.run_id} {len(held)}",
        version=tuple((leg.currency, leg.low_home, leg.high_home, leg.cap_home) for leg in held),
        height=risk_figures.height(len(held)),
        alt="; ".join(risk_figures.leg_text(leg, snapshot.currency) for leg in held),
    )  # fmt: skip
    st.dataframe(
        pd.DataFrame([_leg(leg, snapshot) for leg in held]), column_config=LEG_COLUMNS, hide_index=True,
        height="content", key="risk-leg-table", alt="Net amount of each currency against its cap",
    )  # fmt: skip


def _leg(leg: LegView, snapshot: Snapshot) -> dict[str, Any]:
    most = max(abs(leg.low_home), abs(leg.high_home))
    used = float(most / leg.cap_home * HUNDRED) if leg.cap_home > 0 else 100.0
    return {
        "Currency": leg.currency,
        "Net": risk_figures.amount(leg),
        "Of equity": share(most, snapshot.equity_home),
        "Cap": formats.money(leg.cap_home),
        "Used": min(used, 100.0),
        "State": limit_use.state(used),
        "Left": formats.money(max(leg.cap_home - most, formats.ZERO)),
    }


_USED = column.ProgressColumn(format="%.0f %%", min_value=0, max_value=100, width=120)
TOTAL_COLUMNS: dict[str, Any] = {"Total": column.TextColumn(pinned=True, width=90), "Used": _USED}
POSITION_COLUMNS: dict[str, Any] = {
    "Instrument": column.TextColumn(pinned=True),
    **{
        name: column.TextColumn(alignment="right")
        for name in ("Units", "Value", "Of equity", "Lost at the stop", "Of equity, lost", "Open P/L")
    },
}
LEG_COLUMNS: dict[str, Any] = {
    "Currency": column.TextColumn(pinned=True, width=90),
    "Net": column.TextColumn(alignment="right", help="A range while orders are unfinished"),
    "Of equity": column.TextColumn(alignment="right", help="Of the end that is farther from zero"),
    "Cap": column.TextColumn(alignment="right"),
    "Used": _USED,
    "Left": column.TextColumn(alignment="right"),
}
