"""I am the arming: the phrase that a person types to trade live, at the start and when its time is over.
I may import streamlit, pandas, config, the domain, interlocks, snapshot, node and the other parts.
I must not know the phrase; the engine compares it.
My tests are in tests/ui/test_live.py.
"""

import pandas as pd
import streamlit as st

from engine.config import Settings
from engine.domain.command import ArmLive, SessionConfig
from engine.domain.limits import limit_fields, limits_by_hand
from engine.interlocks import PHRASE
from engine.node import TradingNode
from engine.redaction import ACCOUNT_DIGITS
from engine.snapshot import Snapshot
from pages.parts import account, confirm, formats, limit_use

_NUMBERS = {4: "four"}
LABEL = f"Type {PHRASE} and the last {_NUMBERS.get(ACCOUNT_DIGITS, ACCOUNT_DIGITS)} digits of the account"


def phrase() -> str:
    """Ask for the phrase before a live session starts; it is forgotten as soon as the form is gone."""
    return st.text_input(
        LABEL, key="session.phrase", max_chars=40, autocomplete="off", help="Every order will be for real money."
    ).strip()


def read_back(config: SessionConfig, settings: Settings) -> None:
    """Show what the phrase is typed for: where orders go, what trades, and every limit that a person has to set."""
    rows = {
        "Orders go to": f"the account at {account.host(settings)}",
        "Instruments": ", ".join(config.instruments),
        "Model, bars": f"{config.model_id}, {config.granularity}",
    }
    for item in limit_fields():
        if item.name in limits_by_hand():
            rows[str(item.metadata["label"])] = limit_use.text(item, getattr(config.limits, item.name))
    st.markdown("**Read it once more: this trades real money**")
    shown = [{"What": what, "Value": formats.escaped(value)} for what, value in rows.items()]
    with st.container(width=640):
        st.table(pd.DataFrame(shown), border="horizontal", hide_index=True)


def is_over(snapshot: Snapshot) -> bool:
    """Say whether the time for which a person armed the running session is over."""
    until_ns = snapshot.armed_until_ns
    return snapshot.active and until_ns is not None and snapshot.ts_ns >= until_ns


def until(snapshot: Snapshot) -> str:
    """Say until when the running session is armed; empty when it needs no arming or its time is over."""
    if not snapshot.active or snapshot.armed_until_ns is None or is_over(snapshot):
        return ""
    return f"armed until {formats.hour_minute(snapshot.armed_until_ns)}"


def again(node: TradingNode, snapshot: Snapshot, place: str) -> None:
    """Draw the form that arms the running session again; `place` tells two of them apart."""
    name = f"arm-{place}"
    command_id = confirm.command_id(name, snapshot)
    waiting = confirm.is_waiting(name)
    with st.form(name, clear_on_submit=True):
        typed = st.text_input(LABEL, key=f"{name}-phrase", max_chars=40, autocomplete="off")
        sent = st.form_submit_button(
            "Arm again ..." if waiting else "Arm again",
            key=f"{name}-{command_id}", icon=":material/lock_clock:", type="primary", width="stretch", disabled=waiting,
        )  # fmt: skip
    if sent and typed.strip():
        confirm.send(node, name, ArmLive(command_id=command_id, phrase=typed.strip()))
