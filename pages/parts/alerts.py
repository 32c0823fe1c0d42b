"""I am the alerts: what a person who is away was told of, newest first, and whether it reached the address in .env.
I may import streamlit, pandas, snapshot and formats.
I must not send anything, nor hide an alert because it has passed.
My tests are in tests/ui/test_alerts.py.
"""

from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.snapshot import Snapshot
from pages.parts import formats

SHOWN = 20


def draw(snapshot: Snapshot) -> None:
    """Draw the newest alerts of the session as a table; one line while there is none."""
    st.markdown("**Alerts** (each once until it has passed)")
    if not snapshot.alerts:
        st.caption("None: nothing has tripped, halted or blocked a signal in this session.")
        return
    newest = snapshot.alerts[: -SHOWN - 1 : -1]
    rows = [{"When": formats.utc(one.ts_ns), "Kind": one.kind, "What": formats.moments(one.text)} for one in newest]
    st.dataframe(
        pd.DataFrame(rows), column_config=COLUMNS, hide_index=True, key="overview-alerts",
        alt=f"Newest {len(rows)} alerts of this session",
    )  # fmt: skip


COLUMNS: dict[str, Any] = {
    "When": column.TextColumn(width=175, help="Market time"),
    "Kind": column.TextColumn(width=90),
    "What": column.TextColumn(width="large"),
}
