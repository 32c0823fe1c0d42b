"""I am the cost of gates: what blocked signals would have come to, gate by gate, and how sure that is.
I may import streamlit, pandas, the domain, node, snapshot, gate_costs, the read-only queries and the parts.
I must not query for what has not changed, nor say more than the outcomes do.
My tests are in tests/ui/test_gate_costs.py.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.domain.error import ConfigError
from engine.domain.event import BlockedOutcome
from engine.gate_costs import OUTCOMES_MIN, GateCost, gate_costs
from engine.node import TradingNode
from engine.snapshot import Counts, Snapshot
from engine.store import queries
from pages.parts import figures, formats, live_chart

_CACHE = "gate-costs.read"
_ROW_PX, _AXIS_PX = 44, 60
_LIMITS = (
    "Each blocked signal is followed as one virtual trade at the quotes of the moment, with the stop and target that "
    "it would have had: without slippage, one at a time per instrument and side, and without what it would have done "
    "to exposure, margin and later sizes. What is blocked at the same time often moves together, so the true "
    "uncertainty is rather larger than the interval."
)


def draw(node: TradingNode, snapshot: Snapshot) -> None:
    """Draw chart and table of the run in the snapshot, or what there is to say instead."""
    st.markdown(f"**What the gates cost** (amounts in {snapshot.currency})")
    counts = snapshot.counts
    try:
        costs = () if snapshot.run_id is None else _costs(node.database_path, snapshot.run_id, counts.outcomes)
    except (ConfigError, sqlite3.Error) as error:
        st.error(formats.escaped(f"What was blocked cannot be read now: {error}"), icon=":material/database_off:")
        return
    waiting = _waiting(counts, active=snapshot.active)
    if not costs:
        st.caption(waiting or "Nothing was blocked yet that had a size and a price.")
        return
    _chart(costs, snapshot)
    st.dataframe(
        table(costs), column_config=COLUMNS, hide_index=True, key="gate-costs-table",
        alt="Per gate: blocked signals, what they would have come to, and whether the gate saved or cost money",
    )  # fmt: skip
    st.caption(f"{waiting} {_LIMITS}".strip())


def _costs(path: Path, run_id: int, outcomes: int) -> tuple[GateCost, ...]:
    """Read again only when another outcome was counted; an older file that has fewer is asked until it has them."""
    if not outcomes:
        return ()
    key = (str(path), run_id, outcomes)
    cached = st.session_state.get(_CACHE)
    if isinstance(cached, tuple) and cached[0] == key:
        found: tuple[GateCost, ...] = cached[1]
        return found
    read = _read(path, run_id)
    costs = gate_costs(read)
    if len(read) >= outcomes:
        st.session_state[_CACHE] = (key, costs)
    return costs


def _read(path: Path, run_id: int) -> tuple[BlockedOutcome, ...]:
    with closing(queries.connect_readonly(path)) as conn:
        return queries.blocked_outcomes(conn, run_id)


def _waiting(counts: Counts, *, active: bool) -> str:
    number = counts.followed
    if not number:
        return ""
    signals, are = ("signal", "is") if number == 1 else ("signals", "are")
    if active:
        return f"{number:,} blocked {signals} {are} still being followed."
    return f"{number:,} blocked {signals} had no end when the run ended, and {are} left out."


def _chart(costs: Sequence[GateCost], snapshot: Snapshot) -> None:
    """Draw what has enough outcomes; the interval of two would make every other one a dot."""
    shown = [cost for cost in costs if cost.outcomes >= OUTCOMES_MIN]
    if not shown:
        st.caption(f"A chart comes once a gate has {OUTCOMES_MIN} outcomes.")
        return
    told = "; ".join(f"{formats.label(cost.gate)} {formats.r_multiple(cost.mean_r)}, {cost.verdict}" for cost in shown)
    live_chart.live_plotly(
        lambda: figures.gate_costs(shown),
        key="gate-costs-chart",
        subject=f"{snapshot.run_id}",
        version=snapshot.counts.outcomes,
        alt=f"Mean result of blocked signals with its 95 % interval, by gate: {told}",
        height=_AXIS_PX + _ROW_PX * len(shown),
    )
    st.caption("Left of zero the blocked signals would have lost, so that the gate saved money; right of it, it cost.")


def table(costs: Sequence[GateCost]) -> pd.DataFrame:
    """Show each gate with what it blocked and what can be told of it."""
    rows = [
        {
            "Gate": formats.label(cost.gate),
            "Verdict": cost.verdict,
            "Blocked": cost.outcomes,
            "Alone": cost.alone,
            "Won": cost.wins,
            "Would have made": formats.signed_money(cost.sum_home),
            "Mean": formats.r_multiple(cost.mean_r),
            "95 % interval": _interval(cost.low_r, cost.high_r),
            "Sum": formats.r_multiple(cost.sum_r),
        }
        for cost in costs
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _interval(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return formats.NOTHING
    return f"{formats.r_multiple(low)} to {formats.r_multiple(high)}"


COLUMNS: dict[str, Any] = {
    "Gate": column.TextColumn(pinned=True),
    "Verdict": column.TextColumn(
        width=220, help=f"Told from {OUTCOMES_MIN} outcomes on, when the whole interval is on one side of zero"
    ),
    "Blocked": column.NumberColumn(help="Signals that it blocked and that have come to an end", format="%,d"),
    "Alone": column.NumberColumn(help="Those that no other gate blocked as well", format="%,d"),
    "Won": column.NumberColumn(help="Those that would have gained, after costs", format="%,d"),
    "Would have made": column.TextColumn(
        help="Sum of their results after spread, conversion and financing; negative was saved", alignment="right"
    ),
    "Mean": column.TextColumn(help="Mean result, in multiples of the loss at the stop (R)", alignment="right"),
    "95 % interval": column.TextColumn(help="Confidence interval of the mean, by Student's t", alignment="right"),
    "Sum": column.TextColumn(alignment="right"),
}
