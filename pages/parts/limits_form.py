"""I am the limits form: every risk limit as an input, drawn from the limit's own description.
I may import the domain, tables, formats and the groups of limits.
I must not know a limit by name, or judge a value myself; RiskLimits does.
My tests are in tests/ui/test_session.py and tests/ui/test_profiles.py.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import Field, dataclass, field
from decimal import Decimal
from typing import Any

import streamlit as st

from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits, StopMode, limits_by_hand, ranged_fields
from pages.parts import tables
from pages.parts.formats import escaped
from pages.parts.limit_groups import STOPS, groups

STOP_MODES = {StopMode.ATR: "average true range (ATR)", StopMode.PIPS: "pips"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the form holds: values, which are the defaults while a sentence says what is bad or not yet typed.

    missing names the limits of `untyped`, so that nobody takes their defaults for what a person set.
    """

    values: RiskLimits
    problems: tuple[str, ...] = ()
    untyped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def draw(defaults: RiskLimits, instruments: Iterable[str], by_hand: Collection[str] = (), filling: int = 0) -> Limits:
    """Draw the form: what bounds a loss and the stops first, the rest folded up by group.

    Limits named in `by_hand` have no default and begin empty; another `filling` begins with the defaults anew.
    """
    form = _Form(defaults=defaults, instruments=tuple(instruments), by_hand=frozenset(by_hand), filling=filling)
    first = limits_by_hand()
    st.markdown("**What bounds a loss**")
    form.inputs([item for item in ranged_fields() if item.name in first])
    folded = {title: [item for item in items if item.name not in first] for title, items in groups().items()}
    st.markdown(f"**{STOPS}**")
    form.inputs(folded.pop(STOPS))
    for title, items in folded.items():
        with st.expander(f"{title} · {len(items)} more" if items != groups()[title] else title):
            form.inputs(items)
    if form.problems or form.untyped:
        return Limits(
            values=defaults,
            problems=tuple(form.problems),
            untyped=tuple(form.untyped),
            missing=tuple(name for name, value in form.given.items() if value is None),
        )
    return Limits(values=RiskLimits(**form.given))


@dataclass(slots=True, kw_only=True)
class _Form:
    """The form while it is drawn: what it begins with, and what was found in it so far."""

    defaults: RiskLimits
    instruments: tuple[str, ...]
    by_hand: frozenset[str]
    filling: int
    given: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)

    def inputs(self, items: "Iterable[Field[Any]]") -> None:
        """Draw some limits, single values before tables by key."""
        by_key = [item for item in items if item.metadata["keys"]]
        single = [item for item in items if not item.metadata["keys"]]
        for width, part in ((210, single), (330, by_key)):
            if not part:
                continue
            with st.grid(min_column_width=width, gap="medium"):
                for item in part:
                    with st.container(gap="xxsmall"):
                        self._one(item)

    def _one(self, item: "Field[Any]") -> None:
        """Draw one limit; no value means that a person has to type one and has not."""
        default, is_empty = getattr(self.defaults, item.name), item.name in self.by_hand
        key = f"session.live.{item.name}" if is_empty else f"{self._prefix}.{item.name}"
        problem = None
        if isinstance(default, Mapping):
            value, problem = _by_key(item, default, self.instruments, key, is_empty=is_empty)
        else:
            value = _single(item, default, key, is_empty=is_empty)
        if value is not None and problem is None:
            problem = _problem(item, value)
        _note(item, problem, missing=value is None)
        self.given[item.name] = value
        if value is None:
            self.untyped.append(_wanted(item))
        elif problem:
            self.problems.append(problem)

    @property
    def _prefix(self) -> str:
        """Keep what was typed by hand apart from what began with a default, and each filling from the ones before."""
        return f"session.limit.{self.filling}" if self.filling else "session.limit"


def _single(item: "Field[Any]", default: Any, key: str, *, is_empty: bool) -> Any:
    heading = _heading(item)
    if isinstance(default, StopMode):
        return st.segmented_control(
            heading, list(StopMode), default=default, required=True, format_func=STOP_MODES.__getitem__, key=key,
            persist_state="session",
        )  # fmt: skip
    if isinstance(default, str):
        return " ".join(st.text_input(heading, value=default, max_chars=100, key=key, persist_state="session").split())
    if isinstance(default, int):
        return st.number_input(heading, value=None if is_empty else default, step=1, key=key, persist_state="session")
    step = float(Decimal(1).scaleb(default.adjusted() - 1))
    value = None if is_empty else float(default)
    typed = st.number_input(heading, value=value, step=step, format="%g", key=key, persist_state="session")
    return None if typed is None else tables.exact(typed)


def _by_key(
    item: "Field[Any]", default: Mapping[str, Any], instruments: Iterable[str], key: str, *, is_empty: bool
) -> tuple[Mapping[str, Any] | None, str | None]:
    """Edit a limit by instrument or currency; a page switch drops the editor's state, so what was typed is kept."""
    kind, heading = item.metadata["keys"], _heading(item)
    base, draft = f"{key}.base", f"{key}.draft"
    if key not in st.session_state:
        first = tables.nothing_by_key(heading, kind) if is_empty else tables.by_key(default, heading, kind)
        st.session_state[base] = st.session_state.get(draft, first)
    names = set(instruments) if kind == "instrument" else {part for name in instruments for part in name.split("_")}
    is_text = isinstance(default[ANY], str)
    edited = st.data_editor(
        st.session_state[base],
        key=key,
        num_rows="dynamic",
        hide_index=True,
        placeholder="type a value" if is_empty else "",
        column_config={
            kind.capitalize(): st.column_config.SelectboxColumn(
                options=[tables.EVERY_OTHER, *sorted({*names, *default} - {ANY})]
            ),
            heading: st.column_config.TextColumn() if is_text else st.column_config.NumberColumn(format="%,g"),
        },
    )
    st.session_state[draft] = edited.reset_index(drop=True)
    if is_empty and edited[heading].isna().all():
        return None, None
    values, problem = tables.from_by_key(edited, kind)
    return values, f"{item.metadata['label']}: {problem}" if problem else None


def _heading(item: "Field[Any]") -> str:
    label, unit = str(item.metadata["label"]), str(item.metadata["unit"])
    if "low" not in item.metadata:
        return label
    return label if unit.removeprefix("x ").lower() in label.lower() else f"{label}, {unit}"


def _problem(item: "Field[Any]", value: Any) -> str | None:
    """Let the domain judge one value, in the words of the page."""
    try:
        RiskLimits(**{item.name: value})
    except ConfigError as error:
        return _in_words(str(error), item)
    return None


def _in_words(problem: str, item: "Field[Any]") -> str:
    """Put the label in the place of the field's name: "Spread for every other instrument is 0; it must be ..."."""
    every_other = f" for {tables.EVERY_OTHER} {item.metadata['keys']}"
    named = problem.replace(f"[{ANY}]", every_other).replace(item.name, item.metadata["label"])
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
        span = f"{_range(item)}. " if "low" in item.metadata else ""
        st.caption(f"{ask}{span}{item.metadata['note']}")
