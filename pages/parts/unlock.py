"""I am the door: I ask a browser session once for the unlock code before it may touch money at OANDA.
I may import streamlit, the domain, node and formats.
I must not know the code, nor keep a halt from anybody; the node's UnlockCode judges what was typed.
My tests are in tests/ui/test_unlock.py.
"""

import streamlit as st

from engine.domain.command import Command, Mode
from engine.node import TradingNode
from pages.parts.formats import escaped

WHERE = "It stands on the terminal where the console was started."
_OPEN, _WRONG = "keel-unlocked", "keel-unlock-wrong"


def is_open() -> bool:
    """Say whether the code was given in this browser session; Streamlit keeps that on the server."""
    return st.session_state.get(_OPEN) is True


def hides_view(node: TradingNode) -> bool:
    """Say whether nothing of the account may be drawn: in environment live even looking needs the code."""
    return _is_live(node) and not is_open()


def locks_start(node: TradingNode, mode: Mode) -> bool:
    """Say whether a session of this mode cannot be started from here before the code is given."""
    return not is_open() and (mode.sends_orders or _is_live(node))


def locks_session(node: TradingNode) -> bool:
    """Say whether the session that runs, or is being started, cannot be touched from here before the code is given."""
    if is_open():
        return False
    snapshot = node.snapshot
    if _is_live(node):
        return True
    if snapshot.active:
        return snapshot.config is not None and snapshot.config.mode.sends_orders
    return bool(node.settings.oanda_token) and not node.wait_until_idle(0)


def refusal(node: TradingNode, command: Command) -> str | None:
    """Say in one sentence why this command may not be sent from here, or None; a halt sends nothing and always may."""
    name = type(command).__name__  # by name: an edited source file leaves two classes of one command
    if name == "HaltTrading":
        return None
    config = getattr(command, "config", None)
    locked = locks_session(node) if config is None else locks_start(node, config.mode)
    return f"this browser has not given the unlock code yet. {WHERE}" if locked else None


def field(node: TradingNode, place: str) -> None:
    """Draw the form that asks for the code, with what was wrong with the last try; `place` tells two apart."""
    with st.form(f"unlock-{place}", clear_on_submit=True):
        typed = st.text_input(
            "Unlock code", type="password", key=f"unlock-{place}-code", max_chars=40, autocomplete="one-time-code",
            help="Asked once per browser tab, before it may touch money at OANDA.",
        )  # fmt: skip
        st.caption(WHERE)
        sent = st.form_submit_button(
            "Unlock", key=f"unlock-{place}-go", icon=":material/lock_open:", type="primary", width="stretch"
        )
        if sent and typed:
            _judge(node, place, typed)
        where, wrong = st.session_state.get(_WRONG, ("", ""))
        if where == place:
            st.error(escaped(wrong), icon=":material/block:")


def _judge(node: TradingNode, place: str, typed: str) -> None:
    wrong = node.unlock_code.refusal(typed)
    if wrong is not None:
        st.session_state[_WRONG] = (place, wrong)
        return
    st.session_state.pop(_WRONG, None)
    st.session_state[_OPEN] = True
    st.rerun()


def _is_live(node: TradingNode) -> bool:
    return node.settings.oanda_environment == "live"
