"""I am the session page: the form while nothing runs, else the running session with its answer, warm-up and stop.
I may import node, the domain, snapshot and parts.
I must not run engine code, query the database or hold anything about money in the browser's session.
My tests are in tests/ui/test_session.py, tests/ui/test_practice.py and tests/ui/test_preflight.py.
"""

import streamlit as st

from engine.domain.command import SessionConfig, StopSession
from engine.domain.event import SessionState, TradingState
from engine.node import TradingNode
from engine.snapshot import Snapshot
from pages.parts import account, confirm, frame, limit_use, preflight, start_form, tables, unlock
from pages.parts.formats import escaped


def render() -> None:
    """Draw the page: the form while nothing runs, else the running session."""
    node = TradingNode.attach()
    snapshot = node.snapshot
    st.subheader("Session")
    if snapshot.active and snapshot.config is not None:
        _live(node)
        _running(node, snapshot.config)
        return
    if snapshot.config is not None:
        _state_line(snapshot)
    start_form.draw(node)


@st.fragment(run_every=1)
def _live(node: TradingNode) -> None:
    """State, answer, warm-up and stop, once a second; the rest is redrawn only when the session ends."""
    snapshot = node.snapshot
    if not snapshot.active and not confirm.is_dialog_open():
        st.rerun()
    start_form.answer(snapshot)
    _state_line(snapshot)
    _warmup(snapshot)
    _stop_button(node, snapshot)
    if snapshot.active and snapshot.limits is not None:
        st.markdown("##### Limits in force")
        st.caption("The page Risk changes them, and says what each of them means.")
        rows = tables.limits(snapshot.limits, snapshot.usage)
        measured = ["Used now", "Left"]
        rows[measured] = rows[measured].map(limit_use.grouped)
        st.dataframe(
            rows,
            column_config=tables.LIMIT_COLUMNS,
            hide_index=True,
            height=360,
            key="session.limits",
            alt="Every limit with what is used and left of it",
        )


def _state_line(snapshot: Snapshot) -> None:
    colour, icon = frame.STATES[snapshot.session_state]
    badges = f":{colour}-badge[:material/{icon}: {snapshot.session_state.replace('_', ' ')}]"
    if snapshot.active and snapshot.trading_state is not TradingState.ACTIVE:
        colour, icon, words = frame.TRADING[snapshot.trading_state]
        badges += f" :{colour}-badge[:material/{icon}: {words}]"
    run = "" if snapshot.run_id is None else f"Run {snapshot.run_id}{_continues(snapshot)}. "
    st.markdown(f"{badges} &nbsp; {run}{escaped(snapshot.reason)}")


def _continues(snapshot: Snapshot) -> str:
    """Name the run whose books this one took up; a simulated account has none to take up."""
    if not account.is_outside(snapshot):
        return ""
    return ", with new books" if snapshot.continues is None else f", continues run {snapshot.continues}"


def _warmup(snapshot: Snapshot) -> None:
    if not snapshot.warmup:
        return
    ready = sum(row.ready for row in snapshot.warmup)
    if ready < len(snapshot.warmup):
        share = tables.warmup_share(snapshot.warmup)
        st.progress(share, text=f"Warm-up: {ready} of {len(snapshot.warmup)} instruments ready")
    rows = tables.warmup(snapshot.warmup)
    st.dataframe(rows, column_config=tables.WARMUP_COLUMNS, hide_index=True, key="session.warmup")


def _stop_button(node: TradingNode, snapshot: Snapshot) -> None:
    if unlock.locks_session(node):
        st.caption("To stop or steer this session from here, give the unlock code first.")
        with st.container(width=360):
            unlock.field(node, "stop")
        return
    with st.container(width=220):
        confirm.button(
            node,
            snapshot,
            "session-stop",
            "Stop session",
            lambda command_id: StopSession(command_id=command_id),
            icon=":material/stop:",
            disabled=snapshot.session_state == SessionState.STOPPING,
        )
    st.caption(f"Stop ends the run; {account.stop_effect(snapshot)}")


def _running(node: TradingNode, config: SessionConfig) -> None:
    """Show what the running session was started with; a new form comes when it has ended."""
    st.markdown("##### Configuration of this run")
    with st.container(width=640):
        st.table(
            tables.configuration(config, account.held(config, node.settings)), border="horizontal", hide_index=True
        )
    if config.mode.sends_orders and (checks := node.snapshot.checks):
        st.markdown("##### Checks before the start")
        preflight.listed(checks)
