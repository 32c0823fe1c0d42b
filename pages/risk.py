"""I am the risk page: limits and how full they are, their editor, breakers, exposure, what-if, blocked entries, news.
I may import streamlit, node, the domain, snapshot, the read-only queries and the parts.
I must not judge, size or measure anything; the engine does.
My tests are in tests/ui/test_risk.py and tests/ui/test_risk_journey.py.

What a person types stands outside of the fragments that are refreshed, so that a refresh takes nothing away.
"""

import sqlite3
from contextlib import closing

import streamlit as st

from engine.domain.error import ConfigError
from engine.domain.event import SessionState, TradingState
from engine.node import TradingNode
from engine.snapshot import Snapshot
from engine.store import queries
from pages.parts import (
    blocked,
    breakers,
    exposure,
    formats,
    frame,
    gate_costs,
    limit_use,
    limits_editor,
    news_calendar,
    positions,
    unlock,
    what_if,
)

LIMITS, EDIT, BREAKERS, EXPOSURE = "Limits", "Change limits", "Breakers", "Exposure"
WHAT_IF, BLOCKED, NEWS = "What if", "What stopped trades", "News"
PARTS = (LIMITS, EDIT, BREAKERS, EXPOSURE, WHAT_IF, BLOCKED, NEWS)
_TILES = (
    ("daily_loss_pct_max", "Daily loss"),
    ("drawdown_pct_max", "Drawdown"),
    ("exposure_pct_max", "Gross exposure"),
    ("exposure_net_pct_max", "Net exposure"),
    ("margin_pct_max", "Margin"),
)


def render() -> None:
    """Draw the page: limits and news without a session, all of it with one."""
    node = TradingNode.attach()
    snapshot = node.snapshot
    st.subheader("Risk")
    if snapshot.session_state == SessionState.READY:
        _before_the_first(node, snapshot)
        return
    part = st.pills(
        "Part of the page", PARTS, default=LIMITS, required=True, key="risk.part", label_visibility="collapsed",
        persist_state="session",
    )  # fmt: skip
    _live(node, str(part))
    _typed_part(node, snapshot, str(part))


def _before_the_first(node: TradingNode, snapshot: Snapshot) -> None:
    st.info(
        "**No session is running**, so no limit is in use. These are the defaults. Set your own on the page Session "
        "before the start, or here while a session runs. Press Start for a sandbox session with the defaults."
    )
    with st.container(width=240):
        frame.start_button(node, snapshot, "risk")
    st.markdown("##### Default limits")
    limit_use.defaults()
    st.markdown("##### News calendar")
    news_calendar.next_events(node)
    news_calendar.form(node)


@st.fragment(run_every=1)
def _live(node: TradingNode, part: str) -> None:
    """What is the matter, what a trader looks at first, and the chosen part: all of one snapshot."""
    snapshot = node.snapshot
    _notice(node, snapshot, part)
    with st.container(key="keel-stale-risk" if frame.is_stale(snapshot) else "keel-fresh-risk"):
        _tiles(snapshot)
        if words := limit_use.anew(snapshot):
            st.markdown(words)
        if snapshot.usage:
            st.markdown(f"**{limit_use.nearest(snapshot)}**")
        _part(node, snapshot, part)


def _notice(node: TradingNode, snapshot: Snapshot, part: str) -> None:
    state, reason = snapshot.session_state, formats.sentence(snapshot.reason or "No reason was given")
    if state == SessionState.FAULTED:
        st.error(f"**The session stopped on an error.** {reason} These figures are its last.", icon=":material/error:")
    elif state == SessionState.STOPPED:
        st.info(
            f"Run {snapshot.run_id} has ended: {reason} These figures are its last; start another to change limits."
        )
    elif frame.is_stale(snapshot):
        st.warning(
            f"**These numbers are {formats.age(frame.age_s(snapshot))} old.** The engine publishes nothing new.",
            icon=":material/sync_problem:",
        )
    elif state == SessionState.WARMING_UP:
        st.info("Warming up: nothing trades before. Limits count from the first entry, and can be changed already.")
    elif state == SessionState.DEGRADED:
        st.warning(
            f"**Market or broker cannot be read now.** {reason}  \nNothing new is opened; what is shown is as it was "
            "last read.",
            icon=":material/warning:",
        )
    if snapshot.active:
        _trading_notice(node, snapshot, part)


def _trading_notice(node: TradingNode, snapshot: Snapshot, part: str) -> None:
    tripped = breakers.tripped(snapshot)
    if tripped and part != BREAKERS:
        breakers.listed(tripped, "What it means and the release are in the part Breakers.")
    for breaker in tripped if part == BREAKERS else ():
        breakers.notice(node, snapshot, breaker)
    if snapshot.trading_state == TradingState.HALTED:
        st.error(
            f"**Halted:** {formats.sentence(snapshot.reason)} Nothing is sent. Limits can be changed meanwhile; "
            "Resume trading is in the sidebar.",
            icon=":material/block:",
        )
    elif snapshot.trading_state == TradingState.PAUSED:
        st.info("Entries are paused: nothing new is opened. Resume in the sidebar.")
    if snapshot.no_loosening_until_ns > snapshot.ts_ns:
        st.warning(
            "A daily breaker has tripped in this trading day: limits can only be made stricter until "
            f"{limit_use.moment(snapshot.no_loosening_until_ns)}.",
            icon=":material/lock_clock:",
        )


def _tiles(snapshot: Snapshot) -> None:
    with st.grid(min_column_width=150):
        amount, note = exposure.at_stops(snapshot)
        _tile(f"If all stops hit ({snapshot.currency})", amount, note, positions.risk_help(snapshot))
        for name, label in _TILES:
            use = limit_use.find(snapshot, name)
            value = formats.NOTHING if use is None else limit_use.short(limit_use.fixed(use.value))
            _tile(limit_use.marked(label, use), value, limit_use.left(snapshot, name) or limit_use.NOT_MEASURED)


def _tile(label: str, value: str, note: str, help_text: str | None = None) -> None:
    st.metric(label, value, note, border=True, help=help_text, delta_color="off", delta_arrow="off")


def _part(node: TradingNode, snapshot: Snapshot, part: str) -> None:
    """The chosen part, as far as nothing is typed into it."""
    if part == LIMITS:
        limit_use.draw(snapshot)
    elif part == BREAKERS:
        _breakers(node, snapshot)
    elif part == EXPOSURE:
        exposure.draw(snapshot)
    elif part == BLOCKED:
        blocked.draw(node, snapshot)
        gate_costs.draw(node, snapshot)
    elif part == NEWS:
        news_calendar.next_events(node)


def _breakers(node: TradingNode, snapshot: Snapshot) -> None:
    st.caption(breakers.MEANING)
    breakers.table(snapshot)
    if snapshot.run_id is None:
        return
    try:
        with closing(queries.connect_readonly(node.database_path)) as conn:
            trips = queries.breaker_trips(conn, snapshot.run_id)
    except (ConfigError, sqlite3.Error) as error:
        st.error(f"They cannot be read now: {formats.sentence(str(error))}", icon=":material/database_off:")
        return
    breakers.history(trips, of_account=snapshot.config is not None and snapshot.config.mode.sends_orders)


def _typed_part(node: TradingNode, snapshot: Snapshot, part: str) -> None:
    """The chosen part, as far as something is typed into it; redrawn only when somebody does."""
    if part == NEWS:
        news_calendar.form(node)
    elif part in (EDIT, WHAT_IF):
        if not snapshot.active:
            st.info("No session is running. Start one in the sidebar or on the page Session.")
        elif unlock.locks_session(node):
            st.caption("To change or try anything in this session from here, give the unlock code first.")
            unlock.field(node, "risk")
        elif part == EDIT:
            limits_editor.draw(node, snapshot)
        else:
            what_if.draw(node, snapshot)
