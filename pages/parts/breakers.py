"""I am the breakers on a page: what each watches, what to do about a tripped one, its release, and what tripped before.
I may import streamlit, pandas, the domain, node, snapshot, row types of the store, confirm, unlock and formats.
I must not decide whether a breaker is released; the engine does.
My tests are in tests/ui/test_breakers.py.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.domain.command import AcknowledgeBreaker
from engine.node import TradingNode
from engine.snapshot import BreakerView, Snapshot
from engine.store.queries import TripRow
from pages.parts import confirm, formats, limit_use, unlock

# What was latched without a measure: how its value becomes a sentence, and what a person does about it.
_LATCHES = {
    "late_fill": (
        "{} was filled after it had expired",
        "There is a position that nobody reckoned with: look at it, and close it if it is not wanted.",
    ),
    "reconciliation": (
        "our books and the broker's differ: {}",
        "Compare them with the account at OANDA. A difference that stays trips it again after the release; then stop, "
        "and start with new books.",
    ),
}
# The latch of one instrument; its name goes on with a space and the instrument.
_LOCK = "repeated_entries"
# What each breaker watches, and what to look at once it has tripped.
_WATCHES = {
    "daily_loss": ("Fall of equity since the trading day began, open P/L included.", ""),
    "drawdown": ("Fall of equity from the highest of the session.", ""),
    "loss_streak": ("Losing trades in a row, over all instruments.", ""),
    "model_faults": (
        "Answers of the model that were none, of its newest ten in one instrument.",
        "Look at the reasons in the latest decisions; a model that keeps failing should be replaced.",
    ),
    "data_age": (
        "Age of the newest quote while the market is open.",
        "Look whether prices come again before you release it.",
    ),
    "broker_errors": (
        "Outages begun, and orders that failed or were refused, within five minutes.",
        "Look at the connection and the status page of the broker.",
    ),
    "late_fill": ("An order that had been given up and was filled after all.", ""),
    "reconciliation": ("Our books against the broker's, once a minute.", ""),
    _LOCK: (
        "Entries in a row to one side of one instrument; only that instrument waits.",
        "Look at its trades: a model that enters the same side over and over may be stuck.",
    ),
}
DAILY = frozenset({"daily_loss", "loss_streak"})
WAITS = "One instrument waits for a person"
MEANING = (
    "A tripped breaker keeps entries from leaving and closes nothing; stops and targets stay in force. It stays "
    "tripped whatever the account does, until you release it with a reason, which is recorded. **Releasing** means "
    "that entries may leave again and that it measures anew from now on. Daily loss and loss streak also end by "
    "themselves with the trading day; limits can only be made stricter for the rest of the day in which one of "
    "them has tripped, released or not."
)


def tripped(snapshot: Snapshot) -> tuple[BreakerView, ...]:
    """Breakers that wait for a person."""
    return tuple(breaker for breaker in snapshot.breakers if breaker.tripped_ns is not None)


def holding(snapshot: Snapshot) -> tuple[BreakerView, ...]:
    """Those of them that keep every entry from leaving."""
    return tuple(breaker for breaker in tripped(snapshot) if not locked_instrument(breaker))


def locked_instrument(breaker: BreakerView) -> str:
    """Name the only instrument that waits; empty for a breaker that keeps every entry from leaving."""
    kind, _, instrument = breaker.name.partition(" ")
    return instrument if kind == _LOCK else ""


def label(name: str) -> str:
    """Turn the name of a breaker into words; the instrument that one of them names stays as it is."""
    kind, space, instrument = name.partition(" ")
    return f"{formats.label(kind)}{space}{instrument}"


def cause(breaker: BreakerView) -> str:
    """Say in a few words, without a full stop, why a breaker has tripped."""
    latch = _LATCHES.get(breaker.name)
    return latch[0].format(breaker.value) if latch else breaker.cause


def advice(breaker: BreakerView) -> str:
    """Say what to do before a breaker is released; empty where the cause says all."""
    latch = _LATCHES.get(breaker.name)
    return latch[1] if latch else _watch(breaker)[1]


def effect(breaker: BreakerView) -> str:
    """Say what a tripped breaker keeps from happening, and how that ends."""
    until = "you release it, or the trading day ends" if breaker.name in DAILY else "you release it"
    if instrument := locked_instrument(breaker):
        return f"{WAITS}: nothing is opened in {formats.escaped(instrument)} until {until}; the others trade on."
    return f"Only orders that lower exposure may leave until {until}."


def _watch(breaker: BreakerView) -> tuple[str, str]:
    return _WATCHES.get(breaker.name.partition(" ")[0], ("", ""))


def draw(snapshot: Snapshot) -> None:
    """Draw how much of each limit is used, then what was latched without one."""
    st.markdown("**Breakers** (used of limit; a changed limit counts now)")
    for breaker in snapshot.breakers:
        name = label(breaker.name)
        mark = "" if breaker.tripped_ns is None else " &nbsp; :red[:material/block: **tripped**]"
        if breaker.name in _LATCHES or locked_instrument(breaker):
            st.markdown(f"{formats.escaped(name)}: {formats.escaped(cause(breaker))}{mark}")
            continue
        used = min(max(breaker.used_pct / 100, 0.0), 1.0)
        limit = ", off" if breaker.limit == "off" else f" of {breaker.limit}, {breaker.left} left"
        since = _since(snapshot, breaker)
        st.progress(used, text=f"{name}: {breaker.value}{limit}{f', {since}' if since else ''}{mark}")


def _since(snapshot: Snapshot, breaker: BreakerView) -> str:
    """Say from when it measures, where that is not the moment which its description names."""
    return limit_use.since(snapshot, f"{breaker.name}_pct_max")


def notice(node: TradingNode, snapshot: Snapshot, breaker: BreakerView) -> None:
    """Show a latched breaker with the form that releases it; the same on every page."""
    words = " ".join(part for part in (advice(breaker), effect(breaker)) if part)
    st.error(
        f"**Breaker {formats.escaped(label(breaker.name))} has tripped** at "
        f"{formats.utc(breaker.tripped_ns or 0)}: {formats.sentence(cause(breaker))}  \n{words}",
        icon=":material/electrical_services:",
    )
    with st.popover("Release this breaker", key=f"popover-{breaker.name}"):
        _release(node, snapshot, breaker)


def listed(found: Sequence[BreakerView], where: str) -> None:
    """Name the tripped ones in one line, so that several do not push the page away; `where` says what to do next."""
    names = formats.escaped(", ".join(label(breaker.name) for breaker in found))
    st.error(f"**Tripped: {names}.** {where}", icon=":material/electrical_services:")


def _release(node: TradingNode, snapshot: Snapshot, breaker: BreakerView) -> None:
    name = f"release-{breaker.name}"
    if unlock.locks_session(node):
        unlock.field(node, name)
        return
    reason = st.text_input("Why may trading go on?", key=f"{name}-reason", max_chars=200)
    confirm.button(
        node, snapshot, name, "Release",
        lambda command_id: AcknowledgeBreaker(command_id=command_id, breaker=breaker.name, reason=reason),
        icon=":material/lock_open:", disabled=not reason.strip(),
    )  # fmt: skip


def table(snapshot: Snapshot) -> None:
    """Draw every breaker with how full it is, since when and why it is tripped, and below what each watches."""
    st.dataframe(
        pd.DataFrame([_row(snapshot, breaker) for breaker in snapshot.breakers], columns=list(COLUMNS)),
        column_config=COLUMNS, hide_index=True, height="content", key="risk-breakers",
        alt="Breakers with value, limit, state, since when and cause",
    )  # fmt: skip
    with st.expander("What each breaker watches"):
        st.markdown(
            "\n".join(
                f"- **{formats.escaped(label(breaker.name))}**: {formats.escaped(_watch(breaker)[0])}"
                for breaker in snapshot.breakers
            )
        )


def _row(snapshot: Snapshot, breaker: BreakerView) -> dict[str, Any]:
    is_tripped = breaker.tripped_ns is not None
    is_off = breaker.limit == "off"
    since = _since(snapshot, breaker)
    return {
        "Breaker": label(breaker.name),
        "State": "■ tripped" if is_tripped else "- off" if is_off else "○ ready",
        "Value": breaker.value,
        "Limit": breaker.limit,
        "Used": None if is_off or breaker.name in _LATCHES else min(max(breaker.used_pct, 0.0), 100.0),
        "Ends": "with the day, too" if breaker.name in DAILY else "by release",
        "Since": formats.clock(breaker.tripped_ns) if breaker.tripped_ns is not None else "",
        "Cause": cause(breaker) if is_tripped else f"measured {since}" if since else "",
    }


def history(trips: Sequence[TripRow], *, of_account: bool) -> None:
    """Draw what tripped, newest first, and why it was released; what an account's earlier runs left is among it."""
    whose = "on this account" if of_account else "in this run"
    st.markdown(f"**Trips and releases {whose}**")
    if not trips:
        st.caption(f"Nothing has tripped {whose}.")
        return
    rows = [
        {
            "Tripped": formats.utc(trip.tripped_ns),
            "Breaker": label(trip.breaker),
            "Value": trip.measured,
            "Limit": trip.allowed,
            "Released": formats.utc(trip.released_ns) if trip.released_ns is not None else "not released",
            "Reason": trip.release_reason or "",
            "Run": trip.run_id,
        }
        for trip in trips
    ]
    st.dataframe(
        pd.DataFrame(rows), column_config=TRIP_COLUMNS, hide_index=True, key="risk-trips",
        alt="Trips of breakers in this run with their releases",
    )  # fmt: skip


# Wide enough for what they hold, and together no wider than a laptop's page; a longer cell opens on a click.
COLUMNS: dict[str, Any] = {
    "Breaker": column.TextColumn(pinned=True, width=165),
    "State": column.TextColumn(width=85),
    "Value": column.TextColumn(width=85),
    "Limit": column.TextColumn(width=85),
    "Used": column.ProgressColumn(format="%.0f %%", min_value=0, max_value=100, width=110),
    "Ends": column.TextColumn(width=125, help="A daily breaker ends by release, or when the next trading day begins"),
    "Since": column.TextColumn(width=135),
    "Cause": column.TextColumn(width=245),
}
TRIP_COLUMNS: dict[str, Any] = {
    "Tripped": column.TextColumn(pinned=True, width=175),
    "Breaker": column.TextColumn(width=165),
    "Value": column.TextColumn(width=160),
    "Limit": column.TextColumn(width=85),
    "Released": column.TextColumn(width=175),
    "Reason": column.TextColumn(width=220),
    "Run": column.NumberColumn(width=55, help="The run in which it tripped, or which began new books with it"),
}
