"""I am the words about breakers: those that measure and those that something latched, and what to do about each.
I may import streamlit, snapshot and formats.
I must not release one; the page Overview sends that.
My tests are in tests/ui/test_breakers.py.
"""

from collections.abc import Sequence

import streamlit as st

from engine.snapshot import BreakerView, Snapshot
from pages.parts import formats

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


def tripped(snapshot: Snapshot) -> tuple[BreakerView, ...]:
    """Breakers that wait for a person."""
    return tuple(breaker for breaker in snapshot.breakers if breaker.tripped_ns is not None)


def cause(breaker: BreakerView) -> str:
    """Say in a few words, without a full stop, why a breaker has tripped."""
    latch = _LATCHES.get(breaker.name)
    return latch[0].format(breaker.value) if latch else breaker.cause


def advice(breaker: BreakerView) -> str:
    """Say what to do before a latch is released; empty for a breaker that measures."""
    latch = _LATCHES.get(breaker.name)
    return latch[1] if latch else ""


def draw(breakers: Sequence[BreakerView]) -> None:
    """Draw how much of each limit is used, then what was latched without one."""
    st.markdown("**Breakers** (used of limit)")
    for breaker in breakers:
        name = formats.label(breaker.name)
        mark = "" if breaker.tripped_ns is None else " &nbsp; :red[:material/block: **tripped**]"
        if breaker.name in _LATCHES:
            st.markdown(f"{name}: {formats.escaped(cause(breaker))}{mark}")
            continue
        used = min(max(breaker.used_pct / 100, 0.0), 1.0)
        st.progress(used, text=f"{name}: {breaker.value} of {breaker.limit}{mark}")
