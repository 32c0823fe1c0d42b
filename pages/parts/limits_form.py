"""I am the limits form: every risk limit as an input, drawn from the limit's own description.
I may import the domain, the catalogue of wiring, and tables.
I must not know a limit by name, or judge a value myself; RiskLimits does.
My tests are in tests/ui/test_session.py.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, dataclass
from decimal import Decimal
from typing import Any

import streamlit as st

from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits, StopMode, ranged_fields
from pages.parts import tables
from pages.parts.formats import escaped

STOP_MODES = {StopMode.ATR: "average true range (ATR)", StopMode.PIPS: "pips"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the form holds: values, which are the defaults while a sentence says what is bad or not yet typed."""

    values: RiskLimits
    problems: tuple[str, ...] = ()
    untyped: tuple[str, ...] = ()


def draw(defaults: RiskLimits, instruments: Iterable[str], by_hand: Collection[str] = ()) -> Limits:
    """Draw the form; limits named in `by_hand` have no default and begin empty."""
    given: dict[str, Any] = {"stop_mode": _stop_mode(defaults)}
    mappings = [item for item in ranged_fields() if isinstance(getattr(defaults, item.name), Mapping)]
    numbers = [item for item in ranged_fields() if item not in mappings]
    names, problems, untyped = list(instruments), list[str](), list[str]()
    for width, items in ((210, numbers), (330, mappings)):
        with st.grid(min_column_width=width, gap="medium"):
            for item in items:
                with st.container(gap="xxsmall"):
                    value, problem = _input(item, getattr(defaults, item.name), names, empty=item.name in by_hand)
                    _note(item, problem, missing=value is None)
                given[item.name] = value
                if value is None:
                    untyped.append(_wanted(item))
                elif problem:
                    problems.append(problem)
    if problems or untyped:
        return Limits(values=defaults, problems=tuple(problems), untyped=tuple(untyped))
    return Limits(values=RiskLimits(**given))


def _input(
    item: "Field[Any]", default: Any, names: list[str], *, empty: bool
) -> tuple[Decimal | int | Mapping[str, Decimal] | None, str | None]:
    """Draw one limit; no value means that a person has to type one and has not."""
    if isinstance(default, Mapping):
        return _per_instrument(item, default, names, empty=empty)
    value = _number(item, default, empty=empty)
    return value, None if value is None else _problem(item, value)


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


def _number(item: "Field[Any]", default: Decimal | int, *, empty: bool) -> Decimal | int | None:
    heading, key = _heading(item), _key(item, empty=empty)
    if isinstance(default, int):
        return st.number_input(heading, value=None if empty else default, step=1, key=key, persist_state="session")
    step = float(Decimal(1).scaleb(default.adjusted() - 1))
    value = None if empty else float(default)
    typed = st.number_input(heading, value=value, step=step, format="%g", key=key, persist_state="session")
    return None if typed is None else tables.exact(typed)


def _per_instrument(
    item: "Field[Any]", default: Mapping[str, Decimal], names: list[str], *, empty: bool
) -> tuple[Mapping[str, Decimal] | None, str | None]:
    """Edit a limit by instrument; a page switch drops the editor's state, so what was typed is kept beside it."""
    label, heading = item.metadata["label"], _heading(item)
    widget, base, draft = (f"{_key(item, empty=empty)}{part}" for part in ("", ".base", ".draft"))
    if widget not in st.session_state:
        first = tables.nothing_by_instrument(heading) if empty else tables.by_instrument(default, heading)
        st.session_state[base] = st.session_state.get(draft, first)
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
    if empty and edited[heading].isna().all():
        return None, None
    values, problem = tables.from_by_instrument(edited)
    return values, f"{label}: {problem}" if problem else _problem(item, values)


def _key(item: "Field[Any]", *, empty: bool) -> str:
    """Keep what was typed by hand apart from what began with a default."""
    return f"session.{'live' if empty else 'limit'}.{item.name}"


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


def _wanted(item: "Field[Any]") -> str:
    """Ask for a limit that has no default."""
    return f"{item.metadata['label']} has to be typed, {_range(item)} {item.metadata['unit']}."


def _range(item: "Field[Any]") -> str:
    return f"{tables.plain(item.metadata['low'])} to {tables.plain(item.metadata['high'])}"


def _note(item: "Field[Any]", problem: str | None, *, missing: bool) -> None:
    if problem:
        st.markdown(f":red[:material/error: {escaped(problem)}]")
    else:
        ask = ":orange[:material/edit: **Type a value.**] " if missing else ""
        st.caption(f"{ask}{_range(item)}. {item.metadata['note']}")
