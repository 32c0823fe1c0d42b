"""I am the limits form: every risk limit as an input, drawn from the limit's own description.
I may import the domain, the catalogue of wiring, and tables.
I must not know a limit by name, or judge a value myself; RiskLimits does.
My tests are in tests/ui/test_session.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import Field
from decimal import Decimal
from typing import Any

import streamlit as st

from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits, StopMode, ranged_fields
from pages.parts import tables
from pages.parts.formats import escaped

STOP_MODES = {StopMode.ATR: "average true range (ATR)", StopMode.PIPS: "pips"}


def draw(defaults: RiskLimits, instruments: Iterable[str]) -> tuple[RiskLimits, list[str]]:
    """Draw the form; the second item holds one sentence per bad value, and then the first is `defaults`."""
    given: dict[str, Any] = {"stop_mode": _stop_mode(defaults)}
    problems: dict[str, str | None] = {}
    mappings = [item for item in ranged_fields() if isinstance(getattr(defaults, item.name), Mapping)]
    numbers = [item for item in ranged_fields() if item not in mappings]
    with st.grid(min_column_width=210, gap="medium"):
        for item in numbers:
            with st.container(gap="xxsmall"):
                given[item.name], problems[item.name] = _number(item, getattr(defaults, item.name))
                _note(item, problems[item.name])
    names = list(instruments)
    with st.grid(min_column_width=330, gap="medium"):
        for item in mappings:
            with st.container(gap="xxsmall"):
                given[item.name], problems[item.name] = _per_instrument(item, getattr(defaults, item.name), names)
                _note(item, problems[item.name])
    found = [problem for problem in problems.values() if problem]
    return (defaults, found) if found else (RiskLimits(**given), [])


def _stop_mode(defaults: RiskLimits) -> StopMode:
    return st.segmented_control(
        "Measure stops by",
        list(StopMode),
        default=defaults.stop_mode,
        required=True,
        format_func=STOP_MODES.__getitem__,
        key="session.limit.stop_mode",
        persist_state="session",
    )


def _number(item: "Field[Any]", default: Decimal | int) -> tuple[Decimal | int, str | None]:
    heading, key = _heading(item), f"session.limit.{item.name}"
    value: Decimal | int
    if isinstance(default, int):
        value = st.number_input(heading, value=default, step=1, key=key, persist_state="session")
    else:
        step = float(Decimal(1).scaleb(default.adjusted() - 1))
        typed = st.number_input(heading, value=float(default), step=step, format="%g", key=key, persist_state="session")
        value = tables.exact(typed)
    return value, _problem(item, value)


def _per_instrument(
    item: "Field[Any]", default: Mapping[str, Decimal], names: list[str]
) -> tuple[Mapping[str, Decimal], str | None]:
    """Edit a limit by instrument; a page switch drops the editor's state, so what was typed is kept beside it."""
    label, heading = item.metadata["label"], _heading(item)
    widget, base, draft = (f"session.limit.{item.name}{part}" for part in ("", ".base", ".draft"))
    if widget not in st.session_state:
        st.session_state[base] = st.session_state.get(draft, tables.by_instrument(default, heading))
    edited = st.data_editor(
        st.session_state[base],
        key=widget,
        num_rows="dynamic",
        hide_index=True,
        column_config={
            "Instrument": st.column_config.SelectboxColumn(
                options=[tables.EVERY_OTHER, *sorted({*names, *default} - {ANY})]
            ),
            heading: st.column_config.NumberColumn(format="%,g"),
        },
    )
    st.session_state[draft] = edited.reset_index(drop=True)
    values, problem = tables.from_by_instrument(edited)
    return values, f"{label}: {problem}" if problem else _problem(item, values)


def _heading(item: "Field[Any]") -> str:
    label, unit = str(item.metadata["label"]), str(item.metadata["unit"])
    return label if unit.removeprefix("x ").lower() in label.lower() else f"{label}, {unit}"


def _problem(item: "Field[Any]", value: Any) -> str | None:
    """Let the domain judge one value, in the words of the page."""
    try:
        RiskLimits(**{item.name: value})
    except ConfigError as error:
        return _in_words(str(error), item.name, item.metadata["label"])
    return None


def _in_words(problem: str, name: str, label: str) -> str:
    """Put the label in the place of the field's name: "Spread for every other instrument is 0; it must be ..."."""
    named = problem.replace(f"[{ANY}]", f" for {tables.EVERY_OTHER} instrument").replace(name, label)
    return re.sub(r"\[(\w+)\]", r" for \1", named)


def _note(item: "Field[Any]", problem: str | None) -> None:
    if problem:
        st.markdown(f":red[:material/error: {escaped(problem)}]")
    else:
        low, high = tables.plain(item.metadata["low"]), tables.plain(item.metadata["high"])
        st.caption(f"{low} to {high}. {item.metadata['note']}")
