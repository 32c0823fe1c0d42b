"""I am the what-if ticket: an entry that somebody wonders about, and every gate's answer to it; nothing is sent.
I may import streamlit, pandas, the domain, node, snapshot and the other parts.
I must not size or judge an entry myself, nor look like an order ticket.
My tests are in tests/ui/test_risk.py.
"""

from decimal import Decimal

import pandas as pd
import streamlit as st

from engine.domain.command import TryOrder
from engine.domain.decision import Gate
from engine.domain.instrument import Instrument
from engine.node import TradingNode
from engine.snapshot import Preview, Snapshot
from pages.parts import answers, confirm, formats, limit_use, tables

NAME = "risk.whatif"
BUY, SELL = "▲ buy", "▼ sell"
BY_RISK, BY_UNITS = "as a signal is sized", "units"
_KEPT = "risk.whatif-preview"


def draw(node: TradingNode, snapshot: Snapshot) -> None:
    """Draw the ticket, which stays as it is, and below it the button with the answer, which are refreshed."""
    st.markdown("Ask whether an entry would pass every gate right now. **Nothing is sent to the broker.**")
    instruments = {instrument.name: instrument for instrument in snapshot.instruments}
    traded = [name for name in (snapshot.config.instruments if snapshot.config else ()) if name in instruments]
    if not traded:
        st.info("The instruments of this session are not known yet; they are after the warm-up has begun.")
        return
    with st.grid(min_column_width=200, gap="medium"):
        name = st.selectbox("Instrument", traded, key="risk.whatif.instrument", persist_state="session")
        side = st.segmented_control(
            "Side", [BUY, SELL], default=BUY, required=True, key="risk.whatif.side", persist_state="session"
        )
        sized = st.segmented_control(
            "Size", [BY_RISK, BY_UNITS], default=BY_RISK, required=True, key="risk.whatif.sized",
            persist_state="session",
        )  # fmt: skip
        confidence = st.number_input(
            "Confidence of the signal, 0 to 1", value=1.0, step=0.05, min_value=0.0, max_value=1.0, format="%.2f",
            key="risk.whatif.confidence", persist_state="session",
            help="The gate edge weighs the expected gain with it.",
        )  # fmt: skip
        units = None
        if sized == BY_UNITS:
            units = st.number_input(
                "Units", value=1_000.0, format="%g", key="risk.whatif.units", persist_state="session"
            )
    problem = _problem(instruments[name], units) if sized == BY_UNITS else None
    asked = None if problem or units is None else tables.exact(units)
    st.fragment(_answer, run_every=1)(node, name, 1 if side == BUY else -1, asked, confidence, problem)


def _problem(instrument: Instrument, units: float | None) -> str | None:
    if units is not None and 0 < units <= instrument.units_max:
        return None
    most = tables.plain(instrument.units_max)
    return f"Units are {'empty' if units is None else f'{units:g}'}; they must be more than 0 and at most {most}."


def _answer(
    node: TradingNode, name: str, direction: int, units: Decimal | None, confidence: float, problem: str | None
) -> None:
    snapshot = node.snapshot
    if problem:
        st.error(formats.escaped(problem), icon=":material/error:")
    with st.container(width=260):
        confirm.button(
            node, snapshot, NAME, "Would this pass?",
            lambda command_id: answers.noted(
                NAME,
                TryOrder(
                    command_id=command_id, instrument=name, direction=direction, units=units, confidence=confidence
                ),
            ),
            icon=":material/help:", primary=True, disabled=problem is not None or not snapshot.active,
        )  # fmt: skip
    st.caption("It asks and shows the answer. No order is made or recorded.")
    preview = _preview(snapshot)
    known = answers.verdict(snapshot, NAME)
    if preview is not None:
        _show(snapshot, preview)
    elif known is None or not known.accepted:
        answers.draw(snapshot, NAME)


def _preview(snapshot: Snapshot) -> Preview | None:
    """The answer to this browser's last question; kept, because another browser may ask something else."""
    if snapshot.preview is not None and snapshot.preview.command_id == answers.asked(NAME):
        st.session_state[_KEPT] = (snapshot.run_id, snapshot.preview)
    run_id, kept = st.session_state.get(_KEPT, (None, None))
    is_ours = isinstance(kept, Preview) and kept.command_id == answers.asked(NAME) and run_id == snapshot.run_id
    return kept if is_ours else None


def _show(snapshot: Snapshot, preview: Preview) -> None:
    what = f"{'buy' if preview.direction > 0 else 'sell'} {formats.escaped(preview.instrument)}"
    failed = [gate for gate in preview.gates if not gate.passed]
    when = f"asked at {limit_use.moment(preview.ts_ns)}, nothing was sent"
    if failed:
        names = formats.escaped(", ".join(formats.label(gate.name) for gate in failed))
        st.error(f"**It would be blocked:** {what} by {names}; {when}.", icon=":material/block:")
    else:
        st.success(f"**It would pass every gate:** {what}; {when}.", icon=":material/check_circle:")
    instrument = next((item for item in snapshot.instruments if item.name == preview.instrument), None)
    _figures(snapshot, preview, instrument.price_decimals if instrument else 5)
    st.markdown(f"**Gates** ({len(failed)} of {len(preview.gates)} failed; amounts in {snapshot.currency})")
    st.table(gates(preview.gates, preview.ts_ns), border="horizontal", hide_index=True)


def _figures(snapshot: Snapshot, preview: Preview, decimals: int) -> None:
    def price(value: Decimal | None, none: str) -> str:
        return none if value is None else formats.price(value, decimals)

    is_sized = preview.units != 0  # the side stands in the label: beside a large size it would be cut off
    rows = {
        f"{formats.side(preview.units)}, units" if is_sized else "Size, units": (
            formats.units(preview.units) if is_sized else "none"
        ),
        "Entry": price(preview.entry_price, "no quote"),
        "Stop": price(preview.stop_loss, "none"),
        "Target": price(preview.take_profit, "none"),
        "Price bound": price(preview.price_bound, "none"),
        f"Risk ({snapshot.currency})": formats.money(preview.risk_home),
    }
    with st.grid(min_column_width=140):
        for label, value in rows.items():
            st.metric(label, value, border=True)


def gates(found: tuple[Gate, ...], now_ns: int) -> pd.DataFrame:
    """List every gate in the order in which it is asked, the failed ones first and bold; times as seen from then."""
    numbered = list(enumerate(found, 1))
    ordered = sorted(numbered, key=lambda pair: pair[1].passed)
    return pd.DataFrame([_gate(number, gate, now_ns) for number, gate in ordered])


def _gate(number: int, gate: Gate, now_ns: int) -> dict[str, str]:
    cells = {
        "No.": str(number),
        "Gate": formats.label(gate.name),
        "Answer": "✓ passed" if gate.passed else "✗ FAILED",
        "Value": limit_use.brief(limit_use.grouped(gate.value), now_ns),
        "Limit": limit_use.brief(limit_use.grouped(gate.limit), now_ns),
    }
    escaped = {name: formats.escaped(text) for name, text in cells.items()}
    return escaped if gate.passed else {name: f"**{text}**" if text else "" for name, text in escaped.items()}
