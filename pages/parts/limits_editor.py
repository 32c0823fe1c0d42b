"""I am the editor of limits: inputs for those of the running session, what would change, and the button that asks.
I may import streamlit, pandas, the domain, node, snapshot, limit_changes and the other parts.
I must not know a limit by name, judge a value (RiskLimits does) or lose what was typed.
My tests are in tests/ui/test_risk.py.

What was typed is laid over the limits in force, so that a change made elsewhere meanwhile is neither lost nor undone.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, replace
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine.domain.command import LOOSEN, UpdateRiskLimits
from engine.domain.error import ConfigError
from engine.domain.limit_changes import Change, changes
from engine.domain.limits import ANY, Effect, RiskLimits, StopMode
from engine.node import TradingNode
from engine.snapshot import Snapshot
from pages.parts import answers, confirm, formats, limit_groups, limit_use, tables

NAME = "risk.limits"
TIGHTER, LOOSER = "▼ tightens", "▲ loosens"
_PREFIX, _BASE, _TURN, _DONE = "risk.edit.", "risk.edit-base", "risk.edit-turn", "risk.edit-done"
_MODES = {StopMode.ATR: "average true range (ATR)", StopMode.PIPS: "pips"}
_ASKED = "risk.loosen.asked"
_OUTDATED = (
    "**The page was out of date:** the limits, or what may trade, changed after this question was drawn, and nothing "
    "was sent. Trading is {} now, and this is what would change. Look again and type the words again."
)
_RUNNING = "cannot change while a session runs; choose it on the page Session before the next one"


@dataclass(frozen=True, slots=True)
class Edit:
    """What differs from the limits that the inputs began with, by name, and a sentence for each bad value."""

    typed: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Base:
    """The limits that the inputs began with; turn makes the keys of the inputs new."""

    run_id: int | None
    turn: int
    limits: RiskLimits


@dataclass(frozen=True, slots=True)
class _Question:
    """What the question on the screen was drawn from; turn counts how often it had to be asked anew."""

    state: tuple[object, ...]
    revision: int
    turn: int = 0


def draw(node: TradingNode, snapshot: Snapshot) -> None:
    """Draw the inputs, which stay as they are while the part beside them is refreshed."""
    if snapshot.limits is None:
        return
    base = _base(snapshot, snapshot.limits)
    inputs, effect = st.columns([3, 2], gap="large")
    with inputs:
        edit = _inputs(base, snapshot)
    if base.limits != snapshot.limits and not edit.typed and not edit.problems:
        start_over()  # changed elsewhere, and nothing is typed that could be lost
        st.rerun()
    with effect, st.container(key="keel-beside"):  # stays on the screen beside a long list of inputs
        st.fragment(_effect, run_every=1)(node, base, edit)


def start_over() -> None:
    """Forget what was typed: the inputs begin anew with the limits in force."""
    for key in [str(key) for key in st.session_state if str(key).startswith(_PREFIX)]:
        del st.session_state[key]
    st.session_state.pop(_BASE, None)


def _base(snapshot: Snapshot, limits: RiskLimits) -> _Base:
    base = st.session_state.get(_BASE)
    if isinstance(base, _Base) and base.run_id == snapshot.run_id:
        return base
    if isinstance(base, _Base):
        answers.forget(NAME)
    st.session_state[_TURN] = turn = st.session_state.get(_TURN, 0) + 1
    st.session_state[_BASE] = made = _Base(snapshot.run_id, turn, limits)
    return made


def _inputs(base: _Base, snapshot: Snapshot) -> Edit:
    edit = Edit()
    problems: list[str] = []
    for title, items in limit_groups.groups().items():
        with st.expander(title, expanded=title == next(iter(limit_groups.groups()))):
            plain = [item for item in items if not item.metadata["keys"]]
            for width, part in ((215, plain), (320, [item for item in items if item not in plain])):
                with st.grid(min_column_width=width, gap="medium"):
                    for item in part:
                        with st.container(gap="xxsmall"):
                            _one(item, base, snapshot, edit, problems)
    return Edit(edit.typed, tuple(problems))


def _one(item: "Field[Any]", base: _Base, snapshot: Snapshot, edit: Edit, problems: list[str]) -> None:
    """Draw one limit, and note whether it differs or is bad."""
    before = getattr(base.limits, item.name)
    heading, key = _heading(item), f"{_PREFIX}{base.turn}.{item.name}"
    if item.metadata["effect"] is Effect.SESSION:
        st.text_input(heading, value=limit_use.text(item, before), disabled=True, key=f"{key}.fixed")
        st.caption(f":material/lock: {item.metadata['label']} {_RUNNING}.")
        return
    value, problem = _value(item, before, heading, key, snapshot)
    problem = problem or _problem(item, value)
    if problem:
        problems.append(problem)
        st.markdown(f":red[:material/error: {formats.escaped(problem)}]")
    else:
        allowed = limit_use.span(item)
        st.caption(f"{allowed + '. ' if allowed else ''}{formats.escaped(str(item.metadata['note']))}")
        if value != before:
            edit.typed[item.name] = value


def _value(
    item: "Field[Any]", before: Any, heading: str, key: str, snapshot: Snapshot
) -> tuple[Any, str | None]:  # fmt: skip
    if isinstance(before, Mapping):
        return _by_key(item, before, heading, key, snapshot)
    if isinstance(before, StopMode):
        chosen = st.segmented_control(
            heading, list(StopMode), default=before, required=True, format_func=_MODES.__getitem__, key=key,
            persist_state="session",
        )  # fmt: skip
        return chosen, None
    if isinstance(before, str):
        return st.text_input(heading, value=before, key=key, persist_state="session"), None
    typed: float | int | None
    if isinstance(before, int):
        typed = st.number_input(heading, value=before, step=1, key=key, persist_state="session")
        return typed, _missing(item) if typed is None else None
    step = float(Decimal(1).scaleb(min(before.adjusted() - 1, 0))) if before else 0.1
    typed = st.number_input(heading, value=float(before), step=step, format="%g", key=key, persist_state="session")
    return (None, _missing(item)) if typed is None else (tables.exact(typed), None)


def _by_key(
    item: "Field[Any]", before: Mapping[str, Any], heading: str, key: str, snapshot: Snapshot
) -> tuple[Any, str | None]:
    """Edit a limit by instrument or currency; what was typed is kept beside the widget, which a page switch drops."""
    kind = str(item.metadata["keys"]).capitalize()
    is_number = "low" in item.metadata
    draft, origin = f"{key}.draft", f"{key}.origin"
    if key not in st.session_state:
        st.session_state[origin] = st.session_state.get(draft, _table(before, kind, heading, is_number=is_number))
    known = sorted({*_keys(item, snapshot), *before} - {ANY})
    edited = st.data_editor(
        st.session_state[origin], key=key, num_rows="dynamic", hide_index=True, placeholder="",
        column_config={
            kind: column.SelectboxColumn(options=[tables.EVERY_OTHER, *known]),
            heading: column.NumberColumn(format="%,g") if is_number else column.TextColumn(),
        },
    )  # fmt: skip
    st.session_state[draft] = edited.reset_index(drop=True)
    values: dict[str, Any] = {}
    for name, cell in edited.itertuples(index=False):
        if pd.isna(name) or pd.isna(cell):
            return None, f"{item.metadata['label']}: a row needs both {_article(kind)} and a value."
        if name in values:
            return None, f"{item.metadata['label']}: {name} is there twice."
        values[name] = tables.exact(float(cell)) if is_number else " ".join(str(cell).split())
    if tables.EVERY_OTHER not in values:
        return None, f"{item.metadata['label']}: a row for {tables.EVERY_OTHER} {kind.lower()} is needed."
    return {ANY: values.pop(tables.EVERY_OTHER), **values}, None


def _article(kind: str) -> str:
    return f"an {kind.lower()}" if kind[0] in "AEIOU" else f"a {kind.lower()}"


def _keys(item: "Field[Any]", snapshot: Snapshot) -> set[str]:
    names = {instrument.name for instrument in snapshot.instruments}
    if item.metadata["keys"] == "instrument":
        return names
    return {part for name in names for part in name.split("_")}


def _table(values: Mapping[str, Any], kind: str, heading: str, *, is_number: bool) -> pd.DataFrame:
    names = [ANY, *(name for name in values if name != ANY)]
    cells = [float(values[name]) if is_number else str(values[name]) for name in names]
    return pd.DataFrame({kind: [tables.EVERY_OTHER if name == ANY else name for name in names], heading: cells})


def _heading(item: "Field[Any]") -> str:
    label, unit = str(item.metadata["label"]), str(item.metadata["unit"])
    return label if not unit or unit.removeprefix("x ").lower() in label.lower() else f"{label}, {unit}"


def _missing(item: "Field[Any]") -> str:
    return f"{item.metadata['label']} is empty; it must be from {limit_use.span(item)} ({item.metadata['unit']})."


def _problem(item: "Field[Any]", value: Any) -> str | None:
    """Let the domain judge one value, and put the label in the place of the field's name."""
    try:
        RiskLimits(**{item.name: value})
    except ConfigError as error:
        return limit_groups.worded(str(error))
    return None


def _effect(node: TradingNode, base: _Base, edit: Edit) -> None:
    """Show what the typed values would change now, and the button for it; refreshed without touching the inputs."""
    snapshot = node.snapshot
    st.markdown("**What would change**")
    known = answers.draw(snapshot, NAME, limit_groups.worded)
    if known is not None and known.accepted and st.session_state.get(_DONE) != known.command_id:
        st.session_state[_DONE] = known.command_id
        start_over()
        st.rerun()
    if snapshot.limits is None or not snapshot.active:
        st.info("The session has ended; there is nothing to change.")
        return
    for problem in edit.problems:
        st.error(formats.escaped(problem), icon=":material/error:")
    after, found = _after(snapshot.limits, edit)
    if found or not edit.problems:
        _preview(found)
    if base.limits != snapshot.limits:
        st.caption("The limits were changed elsewhere meanwhile. Only what you typed is applied to those in force.")
    _buttons(node, snapshot, edit, after, found)


def _after(limits: RiskLimits, edit: Edit) -> tuple[RiskLimits, tuple[Change, ...]]:
    """Lay what was typed over the limits in force; each value was judged, and no limit depends on another."""
    after = replace(limits, **edit.typed)
    return after, changes(limits, after)


def _preview(found: tuple[Change, ...]) -> None:
    if not found:
        st.caption(
            "Nothing yet. Type another value; it is compared with the limits in force and applied by the button."
        )
        return
    st.table(_diff(found), border="horizontal", hide_index=True)


def _diff(found: tuple[Change, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Limit": formats.escaped(limit_groups.named(each.name)),
                "Now": formats.escaped(limit_use.grouped(each.before)),
                "Then": f"**{formats.escaped(limit_use.grouped(each.after))}**",
                "Effect": LOOSER if each.loosens else TIGHTER,
            }
            for each in found
        ]
    )


def _buttons(
    node: TradingNode, snapshot: Snapshot, edit: Edit, after: RiskLimits, found: tuple[Change, ...]
) -> None:  # fmt: skip
    looser = any(each.loosens for each in found)
    closed = looser and snapshot.no_loosening_until_ns > snapshot.ts_ns
    disabled = bool(edit.problems) or not found or closed
    if edit.problems:
        st.caption("Nothing is applied while a value is not allowed.")
    if closed:
        st.warning(
            "**A daily breaker has tripped, so limits can only be made stricter until "
            f"{limit_use.moment(snapshot.no_loosening_until_ns)}.** Take back what loosens to apply the rest.",
            icon=":material/lock_clock:",
        )
    if looser:
        if st.button("Loosen ...", key="risk.loosen", icon=":material/lock_open:", disabled=disabled, width="stretch"):
            st.session_state.pop(_ASKED, None)
            confirm.ask("Loosen limits", ":material/lock_open:", _loosen_body, node, edit, snapshot)
        st.caption("Making a limit less strict asks for words that you type.")
    else:
        confirm.button(
            node, snapshot, NAME, "Apply",
            lambda command_id: answers.noted(NAME, _command(command_id, snapshot.revision, after)),
            icon=":material/check:", primary=True, disabled=disabled,
        )  # fmt: skip
    if not (edit.typed or edit.problems):
        return
    if st.button("Take everything back", key="risk.revert", icon=":material/undo:", width="stretch"):
        start_over()
        st.rerun()  # of the whole page: the inputs stand outside of this fragment, and would be drawn anew too late


def _command(command_id: str, revision: int, after: RiskLimits, words: str = "") -> UpdateRiskLimits:
    return UpdateRiskLimits(command_id=command_id, limits=after, expected_revision=revision, confirmation=words)


def _asked(first: Snapshot, now: Snapshot) -> _Question:
    """Which state the question was drawn from: the first, until a later one would make what it says untrue."""
    known = st.session_state.get(_ASKED)
    if not isinstance(known, _Question):
        known = _Question(_state(first), first.revision)
    if known.state != _state(now):
        known = _Question(_state(now), now.revision, known.turn + 1)
    st.session_state[_ASKED] = known
    return known


def _state(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.run_id, snapshot.limits_revision, snapshot.trading_state


def _loosen_body(node: TradingNode, edit: Edit, first: Snapshot) -> None:
    """Draw the question, again each second, so that it does not go on showing limits that another browser changed."""
    st.fragment(_question, run_every=1)(node, edit, first)


def _question(node: TradingNode, edit: Edit, first: Snapshot) -> None:
    """Draw what gets looser, and the words to type; the click answers for the state that was on the screen."""
    snapshot = node.snapshot
    if snapshot.limits is None or not snapshot.active:
        st.info("The session has ended; there is nothing to change.")
        return
    asked = _asked(first, snapshot)
    if asked.turn:  # the keys below are new: words and a click that were meant for the old values count for nothing
        st.warning(_OUTDATED.format(snapshot.trading_state), icon=":material/sync_problem:")
    after, found = _after(snapshot.limits, edit)
    if not any(each.loosens for each in found):
        st.info("Nothing would be less strict any more. Close this question and look at what would change.")
        return
    st.markdown("**Less strict from then on:**")
    st.table(_diff(tuple(each for each in found if each.loosens)), border="horizontal", hide_index=True)
    if tighter := tuple(each for each in found if not each.loosens):
        st.markdown("Together with what gets stricter:")
        st.table(_diff(tighter), border="horizontal", hide_index=True)
    st.markdown("The session may lose more, or trade in worse conditions, before something stops it.")
    words = st.text_input(
        f"Type {LOOSEN} to confirm", key=f"risk.loosen.words.{asked.turn}", max_chars=40, autocomplete="off"
    )
    confirm.answers(
        node, NAME, "Loosen limits",
        lambda command_id: answers.noted(NAME, _command(command_id, asked.revision, after, words.strip())),
        turn=asked.turn,
    )  # fmt: skip
