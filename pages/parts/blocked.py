"""I am what stopped trades: how often each gate kept an entry of this run from leaving.
I may import streamlit, node, snapshot, the read-only queries and the other parts.
I must not read a decision twice, nor write.
My tests are in tests/ui/test_risk.py.
"""

import sqlite3
from contextlib import closing

import streamlit as st

from engine.domain.error import ConfigError
from engine.node import TradingNode
from engine.snapshot import Snapshot
from engine.store import queries
from engine.store.queries import Blocked
from pages.parts import formats, live_chart, risk_figures

_KNOWN = "risk.blocked"


def draw(node: TradingNode, snapshot: Snapshot) -> None:
    """Draw the chart, or say why there is none."""
    try:
        found = count(node, snapshot)
    except (ConfigError, sqlite3.Error) as error:
        st.error(f"The decisions cannot be read now: {formats.sentence(str(error))}", icon=":material/database_off:")
        return
    if not found.decisions:
        st.info("No decision yet: the first one follows the next closed bar after the warm-up.")
        return
    if not found.entries:
        st.info(f"No entry was stopped in {found.decisions:,} decisions of this run.")
        return
    st.markdown(
        f"**{found.entries:,} of {found.decisions:,} decisions** wanted an entry that a gate stopped. All gates are "
        "asked each time, so that several may fail at once; the filled part counts those in which it was the first."
    )
    shown = min(len(found.failed), risk_figures.GATES_MAX)
    live_chart.live_plotly(
        lambda: risk_figures.blocked(found), key="risk-blocked", subject=f"{snapshot.run_id} {shown}",
        version=found.last_seq, height=risk_figures.height(shown),
        alt="; ".join(f"{formats.label(name)} failed {times} times" for name, times in found.failed.items()),
    )  # fmt: skip


def count(node: TradingNode, snapshot: Snapshot) -> Blocked:
    """Count again only when the run has made another decision, and then read only the new ones."""
    if snapshot.run_id is None:
        return Blocked()
    run_id, kept = st.session_state.get(_KNOWN, (None, None))
    known: Blocked = kept if kept is not None and run_id == snapshot.run_id else Blocked()
    if known.decisions != snapshot.counts.decisions:
        with closing(queries.connect_readonly(node.database_path)) as conn:
            known = queries.blocked_entries(conn, snapshot.run_id, known)
    st.session_state[_KNOWN] = (snapshot.run_id, known)
    return known
