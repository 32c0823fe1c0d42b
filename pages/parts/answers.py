"""I am the answers: what the engine said to the last command of one form, kept on the page until the next one.
I may import streamlit, the domain, snapshot, confirm and formats.
I must not send anything, nor let a refusal fade away.
My tests are in tests/ui/test_risk.py.
"""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from engine.domain.command import Command
from engine.snapshot import Snapshot, Verdict
from pages.parts import confirm, formats

_C = TypeVar("_C", bound=Command)


def noted(name: str, command: _C) -> _C:
    """Remember which command of this form is being sent, and hand it on."""
    st.session_state[f"{name}.asked"] = command.command_id
    return command


def asked(name: str) -> str | None:
    """The id of the last command of this form."""
    kept: str | None = st.session_state.get(f"{name}.asked")
    return kept


def verdict(snapshot: Snapshot, name: str) -> Verdict | None:
    """What the engine said to the last command of this form; kept, because snapshots forget."""
    found = next((item for item in snapshot.verdicts if item.command_id == asked(name)), None)
    if found is not None:
        st.session_state[f"{name}.answer"] = found
    known: Verdict | None = st.session_state.get(f"{name}.answer")
    return known if known is not None and known.command_id == asked(name) else None


def forget(name: str) -> None:
    """Begin anew: what was asked belonged to another run."""
    st.session_state.pop(f"{name}.asked", None)


def draw(snapshot: Snapshot, name: str, worded: Callable[[str], str] = str) -> Verdict | None:
    """Show that answer, in the words of the page, or that it has not come yet."""
    known = verdict(snapshot, name)
    if known is not None:
        line = f"at {formats.utc(known.ts_ns)}: {worded(known.detail)}"
        if known.accepted:
            st.success(f"**Accepted** {formats.sentence(line)}", icon=":material/check_circle:")
        else:
            st.error(f"**Refused** {formats.sentence(line)}", icon=":material/block:")
    elif asked(name) is not None and (unsent := confirm.not_sent()):
        st.error(f"**Not sent.** {formats.sentence(unsent)}", icon=":material/block:")
    elif asked(name) is not None and confirm.is_waiting(name):
        st.info("Sent; waiting for the engine's answer.", icon=":material/hourglass_top:")
    return known
