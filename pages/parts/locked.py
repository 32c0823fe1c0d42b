"""I am the locked view: all that a browser sees of a live account's console before it has given the unlock code.
I may import streamlit, the domain, node, confirm, unlock and formats.
I must not show anything of the account, nor keep a halt from anybody.
My tests are in tests/ui/test_unlock.py.
"""

import streamlit as st

from engine.domain.event import TradingState
from engine.node import TradingNode
from pages.parts import confirm, formats, unlock


def draw(node: TradingNode) -> None:
    """Draw all that is there in environment live before the code was given: a field for it and, for a session, a halt.

    Nothing of the account is on it.
    """
    with st.container(width=420):
        st.subheader("Keel is locked")
        st.markdown("This console is set to a **live account**. To see or do anything here, give its unlock code.")
        unlock.field(node, "door")
        _halt(node)


@st.fragment(run_every=1)
def _halt(node: TradingNode) -> None:
    snapshot = node.snapshot
    if snapshot.active and snapshot.trading_state == TradingState.HALTED:
        st.success("Halted: nothing more is opened. Open positions keep their stops.", icon=":material/front_hand:")
    elif snapshot.active:
        confirm.halt_button(node, snapshot, "door")
        st.caption("A session is running. Halt needs no code: nothing more is sent, open positions keep their stops.")
    if failed := confirm.not_sent():
        st.error(formats.sentence(failed), icon=":material/block:")
