"""I am the hand of the operator: I send each request once, ask back before a dangerous one and keep what was refused.
I may import streamlit, the domain, snapshot, node, unlock, the words for limits and formats.
I must not decide whether a command is allowed; the engine does.
My tests are in tests/ui/test_frame.py.

A command id is made when a button is drawn and is part of the button's key: the second click of a double click either
carries the same id, which the engine answers once, or belongs to a button that is gone.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import streamlit as st

from engine.domain.command import Command, FlattenAll, HaltTrading
from engine.node import TradingNode
from engine.snapshot import PositionView, Snapshot, Verdict
from pages.parts import account, formats, limit_groups, unlock

ANSWER_S_MAX = 10.0
_DIALOG, _REFUSAL, _SEEN = "keel-dialog-open", "keel-refusal", "keel-refusal-dismissed"


@dataclass(slots=True)
class _Request:
    """One drawn button: the id that its click will carry, and when it was clicked (None: not yet)."""

    command_id: str
    sent_s: float | None = None


def command_id(name: str, snapshot: Snapshot) -> str:
    """Return the id of the next command of this name; a new one once the engine has answered the last."""
    request = _request(name)
    answered = any(verdict.command_id == request.command_id for verdict in snapshot.verdicts)
    overdue = request.sent_s is not None and monotonic() - request.sent_s > ANSWER_S_MAX
    if answered or overdue:
        request = _renewed(name)
    return request.command_id


def is_waiting(name: str) -> bool:
    """Say whether the command was sent and the engine has not answered yet."""
    return _request(name).sent_s is not None


def send(node: TradingNode, name: str, command: Command, once_accepted: Callable[[], None] | None = None) -> None:
    """Queue a command; when it cannot even be queued, keep the reason for the banner.

    Each command of each page goes through here, so this is where the unlock code is asked of it. What is to be
    `once_accepted` is done by the engine's thread, so it must not touch anything of Streamlit's.
    """
    refusal = unlock.refusal(node, command) or node.submit(command, once_accepted=once_accepted)
    if refusal is None:
        _request(name).sent_s = monotonic()
    else:
        _renewed(name)
    st.session_state[_REFUSAL] = None if refusal is None else f"{formats.words(type(command).__name__)}: {refusal}"


def button(
    node: TradingNode,
    snapshot: Snapshot,
    name: str,
    label: str,
    make: Callable[[str], Command],
    *,
    icon: str,
    primary: bool = False,
    disabled: bool = False,
    shortcut: str | None = None,
) -> None:
    """Draw a button that sends the command which `make` builds from the drawn id, without asking back."""
    drawn_id = command_id(name, snapshot)
    waiting = is_waiting(name)
    st.button(
        f"{label} ..." if waiting else label,
        key=f"{name}-{drawn_id}",
        icon=icon,
        type="primary" if primary else "secondary",
        disabled=disabled or waiting,
        width="stretch",
        shortcut=shortcut,
        on_click=lambda: send(node, name, make(drawn_id)),
    )


def halt_button(node: TradingNode, snapshot: Snapshot, place: str, shortcut: str | None = None) -> None:
    """Draw the red button of a browser that has not given the unlock code: it lets nothing more be sent."""
    with st.container(key=f"keel-danger-halt-{place}", width="stretch" if shortcut is None else "content"):
        button(
            node, snapshot, f"halt-{place}", "Halt: send nothing more",
            lambda drawn_id: HaltTrading(command_id=drawn_id), icon=":material/front_hand:", shortcut=shortcut,
        )  # fmt: skip


def flatten_button(node: TradingNode, snapshot: Snapshot, place: str, label: str, shortcut: str | None = None) -> None:
    """Draw the red button that asks once and then closes everything; `place` tells two of them apart."""
    disabled = not snapshot.active
    help_text = account.flatten_hint(node.settings) if disabled else None
    with st.container(key=f"keel-danger-{place}", width="stretch" if shortcut is None else "content"):
        clicked = st.button(
            label,
            key=f"flatten-{place}",
            icon=":material/emergency_home:",
            disabled=disabled,
            help=help_text,
            width="stretch",
            shortcut=shortcut,
        )
    if clicked:
        ask("Flatten & halt", ":material/emergency_home:", flatten_body, node)


def ask(title: str, icon: str, body: Callable[..., None], *values: object) -> None:
    """Put a question on the screen, drawn by `body` with these values."""
    st.session_state[_DIALOG] = True
    st.dialog(title, icon=icon, on_dismiss=forget_dialog)(body)(*values)


def answers(
    node: TradingNode, name: str, label: str, make: Callable[[str], Command], *, disabled: bool = False, turn: int = 0
) -> None:
    """Draw the two buttons below a question: away with it, or send the command which `make` builds.

    A question that is asked anew has another `turn`: a click on the button below the old one then does nothing.
    """
    drawn_id = command_id(name, node.snapshot)
    cancel, go = st.columns(2)
    if cancel.button("Cancel", key=f"{name}-cancel", width="stretch"):
        st.rerun()
    with go, st.container(key="keel-danger-confirm"):
        if st.button(label, key=f"{name}-{drawn_id}-{turn}", width="stretch", disabled=disabled):
            send(node, name, make(drawn_id))
            st.rerun()


def is_dialog_open() -> bool:
    """Say whether a question is on the screen, which a full rerun would take away."""
    return bool(st.session_state.get(_DIALOG))


def forget_dialog() -> None:
    """Note that a full rerun, which takes every question off the screen, has begun."""
    st.session_state[_DIALOG] = False


def flatten_effect(snapshot: Snapshot) -> str:
    """Say in words what Flatten & halt will do now."""
    if not snapshot.positions:
        return "There is no open position now. Trading will be halted and stays halted until you resume it."
    count = len(snapshot.positions)
    size = formats.units(sum((abs(item.units) for item in snapshot.positions), start=formats.ZERO))
    plural = "position" if count == 1 else "positions"
    notional = f"{formats.money(snapshot.exposure_home)} {snapshot.currency}"
    return (
        f"As of {formats.clock(snapshot.ts_ns)}: close {count} {plural}, {size} units, worth {notional}, "
        f"at the market{account.where(snapshot)}. Whatever is open when you click is closed. "
        "Trading will be halted and stays halted until you resume it."
    )


def flatten_body(node: TradingNode) -> None:
    """Draw what the dialog says and its two buttons."""
    snapshot = node.snapshot
    st.markdown(f"**{flatten_effect(snapshot)}**")
    for position in snapshot.positions:
        st.markdown(f"- {_position_line(position, snapshot.currency)}")
    answers(node, "flatten", "Flatten & halt now", lambda drawn_id: FlattenAll(command_id=drawn_id))


def not_sent() -> str | None:
    """Return which command of this browser could not even be sent, and why."""
    kept: str | None = st.session_state.get(_REFUSAL)
    return kept


def refusal(snapshot: Snapshot) -> str | None:
    """Return what was refused last and why, until a later command is accepted or the operator puts it away."""
    if kept := not_sent():
        return kept
    last = _last_verdict(snapshot)
    if last is None or last.accepted or st.session_state.get(_SEEN) == last.command_id:
        return None
    return _told(last)


def last_answer(snapshot: Snapshot) -> str | None:
    """Return what the engine did about the newest command that it took."""
    last = _last_verdict(snapshot)
    return _told(last) if last is not None and last.accepted else None


def _told(verdict: Verdict) -> str:
    return f"{formats.words(verdict.command)}: {limit_groups.worded(verdict.detail)}"


def dismiss(snapshot: Snapshot) -> None:
    """Put the banner away."""
    st.session_state[_REFUSAL] = None
    last = _last_verdict(snapshot)
    if last is not None:
        st.session_state[_SEEN] = last.command_id


def _last_verdict(snapshot: Snapshot) -> Verdict | None:
    return snapshot.verdicts[-1] if snapshot.verdicts else None


def _position_line(position: PositionView, currency: str) -> str:
    open_pl = f"{formats.signed_money(position.unrealized_pl_home)} {currency}"
    name = formats.escaped(position.instrument)
    return f"{name} {formats.side(position.units)} {formats.units(position.units)} units, open P/L {open_pl}"


def _request(name: str) -> _Request:
    known = st.session_state.get(f"request-{name}")
    return known if isinstance(known, _Request) else _renewed(name)


def _renewed(name: str) -> _Request:
    request = _Request(secrets.token_hex(8))
    st.session_state[f"request-{name}"] = request
    return request
