"""I am the profile picker: a named set of limits put into the form, and the form saved under a name.
I may import the domain, profiles, the form's result and formats.
I must not overwrite a profile: whoever may look at the page may not change what a script starts with.
My tests are in tests/ui/test_profiles.py.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from engine import profiles
from engine.domain.error import ConfigError
from engine.domain.limit_changes import changes
from engine.domain.limits import RiskLimits, limit_fields
from engine.profiles import Profile
from pages.parts.formats import escaped
from pages.parts.limits_form import Limits

_TURN = "session.profile.turn"
_PICKER, _FORM, _NAME, _TOLD = "session.profile", "session.profile.form", "session.profile.name", "session.profile.told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The profile that the form was filled from; `filling` counts, so that picking again fills it anew."""

    profile: Profile
    filling: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What came of the last pick or save; of_name is what the person can put right in the small form."""

    text: str
    is_bad: bool
    of_name: bool = False


def draw(folder: Path) -> Picked:
    """Draw the picker; a profile that cannot be used is named, and the form stays as it is."""
    picked = _picked()
    try:
        known = profiles.names(folder)
    except ConfigError as error:
        known = tuple(profiles.BUILT_IN)
        st.error(escaped(str(error)), icon=":material/block:")
    st.session_state.setdefault(_PICKER, picked.profile.name)  # a save chooses it too: an index would contradict it
    st.selectbox(
        "Profile of limits",
        list(dict.fromkeys((*known, picked.profile.name))),
        help="Fills the form below. Built-in are default and careful; more of them are in the folder data/profiles.",
        key=_PICKER,
        on_change=_pick,
        args=(folder,),
        persist_state="session",
    )
    return picked


def save(folder: Path, picked: Picked, limits: Limits, by_hand: Collection[str]) -> None:
    """Draw what differs from the profile, and the small form that saves what is on the screen under a new name."""
    is_whole = not limits.problems and not limits.untyped
    told: _Told | None = st.session_state.get(_TOLD)
    turn = st.session_state.get(_TURN, 0)
    if told is not None and not told.of_name:
        _show(told)  # above the button: below it, the bar at the bottom of the screen would hide it
    with st.popover(
        "Save as profile", icon=":material/bookmark_add:", disabled=not is_whole, key=f"session.profile.form-{turn}"
    ):
        st.text_input("Name of the new profile", key=_NAME, max_chars=40, placeholder="letters, digits, - and _")
        stated = profiles.stated_by(limits.values, (*picked.profile.stated, *by_hand))
        typed = (*picked.profile.whole, *by_hand)
        partly = tuple(name for name in stated if name not in typed)  # a "*" that the form had from the defaults
        st.button("Save", key="session.profile.save", on_click=_save, args=(folder, limits.values, stated, partly))
        if told is not None and told.of_name:
            _show(told)
    if is_whole and (difference := _difference(picked, limits.values)):
        st.caption(escaped(difference))


def _show(told: _Told) -> None:
    show, icon = (st.error, "block") if told.is_bad else (st.success, "check_circle")
    show(escaped(told.text), icon=f":material/{icon}:")


def _picked() -> Picked:
    known = st.session_state.get(_FORM)
    return known if isinstance(known, Picked) else Picked(profile=profiles.BUILT_IN[profiles.DEFAULT])


def _pick(folder: Path) -> None:
    picked, name = _picked(), st.session_state[_PICKER]
    try:
        profile = profiles.load(folder, name)
    except ConfigError as error:
        st.session_state[_PICKER] = picked.profile.name
        st.session_state[_TOLD] = _Told(text=str(error), is_bad=True)
        return
    st.session_state[_FORM] = Picked(profile=profile, filling=picked.filling + 1)
    st.session_state[_TOLD] = None


def _save(folder: Path, limits: RiskLimits, stated: tuple[str, ...], partly: tuple[str, ...]) -> None:
    name = str(st.session_state[_NAME]).strip()
    profile = Profile(name=name, limits=limits, stated=stated, partly=partly)
    try:
        profiles.save(folder, profile)
    except ConfigError as error:
        st.session_state[_TOLD] = _Told(text=str(error), is_bad=True, of_name=True)
        return
    st.session_state[_FORM] = replace(_picked(), profile=profile)
    st.session_state[_PICKER] = name
    st.session_state[_NAME] = ""
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1  # another key: the small form is closed
    st.session_state[_TOLD] = _Told(text=f"Profile {name} is saved.", is_bad=False)


def _difference(picked: Picked, values: RiskLimits) -> str:
    told = changes(picked.profile.limits, values)
    if not told:
        return ""
    labels = {item.name: str(item.metadata["label"]) for item in limit_fields()}
    looser = dict.fromkeys(labels[change.name.split("[")[0]] for change in told if change.loosens)
    tail = f"; perhaps looser: {', '.join(looser)}" if looser else "; none of it looser"
    values_differ = "1 value differs" if len(told) == 1 else f"{len(told)} values differ"
    return f"{values_differ} from the profile {picked.profile.name}{tail}."
