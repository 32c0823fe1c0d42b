"""I am the preflight on the page: what was checked before a session, as a list of icons and words, and a button for it.
I may import streamlit, wiring, the domain, node, snapshot, unlock, the words for limits and formats.
I must not run a check while a session trades, nor decide what may start.
My tests are in tests/ui/test_preflight.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import streamlit as st

from engine import wiring
from engine.domain.check import Check
from engine.domain.command import Arming, Mode, SessionConfig
from engine.node import TradingNode
from engine.snapshot import Snapshot, Verdict
from pages.parts import limit_groups, unlock
from pages.parts.formats import escaped, moments

_FOUND = "session.preflight"
LABELS = {
    "halt": "HALT file",
    "database": "Database and backup",
    "disk": "Free disk",
    "model": "Model",
    "news": "News calendar",
    "limits_by_hand": "Limits set by hand",
    "practice_run": "Practice run of the model",
    "server_options": "Console options",
    "settings": "Settings",
    "clock_skew": "Clock",
    "token": "Token",
    "account": "Account",
    "account_type": "Account type",
    "instruments": "Instruments",
    "limits_locked": "Limits after a bad day",
    "breakers": "Tripped breakers",
    "alert": "Test alert",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What was found when the button was pressed, for which choice, and when."""

    name: str
    checks: tuple[Check, ...]
    ts_ns: int


def form(node: TradingNode, mode: Mode, config: SessionConfig | None, arming: Arming | None) -> None:
    """Draw the button that runs the checks for what is on the form, and what they found last.

    Those that refused a start are shown until they are run again: whoever is refused should not have to ask why.
    """
    if not mode.sends_orders:
        return
    st.markdown("##### Checks before the start")
    if not unlock.locks_start(node, mode) and _button(node, config):
        _run(node, config, arming)
    known: _Found | None = st.session_state.get(_FOUND)
    refused = _refused(node.snapshot)
    if refused is not None and refused.checks and (known is None or known.ts_ns < refused.ts_ns):
        st.caption("The last start was refused by these.")
        listed(refused.checks)
    elif known is not None:
        if known.name != _name(config, arming):
            st.caption("These were made for another choice than the one above.")
        listed(known.checks)
    elif refused is not None:
        st.caption("Not run: the last start was refused before it came to them. **Run checks** makes them now.")
    elif node.snapshot.checks:
        st.caption(f"Made before run {node.snapshot.run_id}.")
        listed(node.snapshot.checks)
    else:
        st.caption("Not run yet. A session runs them by itself as it starts, and is refused by what blocks.")


def _refused(snapshot: Snapshot) -> Verdict | None:
    """The answer to the newest start, if it was a no."""
    starts = [verdict for verdict in snapshot.verdicts if verdict.command == "StartSession"]
    return starts[-1] if starts and not starts[-1].accepted else None


def listed(checks: Sequence[Check]) -> None:
    """List checks with what was found, and say how many stand in the way."""
    blocking = sum(check.blocks and not check.ok for check in checks)
    if blocking:
        st.error(f"{_count(blocking)} in the way.", icon=":material/block:")
    else:
        st.success("No check stands in the way.", icon=":material/check_circle:")
    st.markdown("  \n".join(_line(check) for check in checks))


def _button(node: TradingNode, config: SessionConfig | None) -> bool:
    is_busy = node.snapshot.active or not node.wait_until_idle(0)
    return st.button(
        "Run checks",
        key="session.preflight.run",
        icon=":material/checklist:",
        disabled=config is None or is_busy,
        help="Asks OANDA, reads model and database, makes a backup that is due, and sends a test alert: some seconds.",
    )


def _run(node: TradingNode, config: SessionConfig | None, arming: Arming | None) -> None:
    if config is None:
        return
    with st.spinner("Checking ..."):
        found = wiring.preflight(config, node.settings, node.database_path, arming, node.changed_options)
    st.session_state[_FOUND] = _Found(name=_name(config, arming), checks=found, ts_ns=wiring.wall_ns())


def _name(config: SessionConfig | None, arming: Arming | None) -> str:
    """Tell one choice from another without keeping it."""
    limits = arming.limits_set if arming else ()
    return sha256(msgspec.json.encode((config, limits))).hexdigest()


def _count(number: int) -> str:
    return "1 check stands" if number == 1 else f"{number} checks stand"


def _line(check: Check) -> str:
    label = LABELS.get(check.name, check.name)
    found = escaped(limit_groups.worded(moments(check.found.rstrip("."))))
    if check.ok:
        return f":green[:material/check_circle: ok] **{label}**: {found}"
    colour, icon, word = ("red", "block", "blocks") if check.blocks else ("orange", "warning", "warning")
    return f":{colour}[:material/{icon}: {word}] **{label}**: {found}; wanted: {escaped(check.wanted)}"
