"""I am the market form: a generated market, or recorded bars and the upload of new ones.
I may import wiring, the domain and tables.
I must not read or check a bar file myself; wiring does.
My tests are in tests/ui/test_session.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from engine import wiring
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from pages.parts import tables
from pages.parts.formats import escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the first step offers to the next: names that have bars, their granularity, and what is missing."""

    mode: Mode
    instruments: tuple[str, ...]
    granularity: Granularity
    bars: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


def draw(settings: Settings, defaults: SessionConfig) -> Market:
    """Ask for the mode and, by it, for the granularity or the recordings."""
    mode = st.segmented_control(
        "Mode",
        [mode for mode in Mode if mode.is_simulated],
        default=defaults.mode,
        required=True,
        format_func=lambda item: "Sandbox: generated market" if item == Mode.SANDBOX else "Replay: recorded bars",
        key="session.mode",
        persist_state="session",
    )
    if mode == Mode.REPLAY:
        return _replay_market(settings)
    granularity = st.selectbox(
        "Granularity",
        list(Granularity),
        index=list(Granularity).index(defaults.granularity),
        help="Length of the bars that the model judges; one decision per instrument and bar.",
        key="session.granularity",
        persist_state="session",
        width=220,
    )
    return Market(mode=Mode.SANDBOX, instruments=tuple(wiring.catalogue()), granularity=Granularity(str(granularity)))


def _replay_market(settings: Settings) -> Market:
    st.file_uploader(
        "Add a recording: bid/ask bars as .csv or .csv.gz",
        type=["csv", "gz"],
        key="session.upload",
        on_change=_import,
        args=(settings,),
    )
    if imported := st.session_state.get("session.imported"):
        good, text = imported
        (st.success if good else st.error)(escaped(text))
    found = wiring.recordings(settings)
    if not found:
        return _no_market("There is no recording yet: add a file above, or put one into the folder data/history.")
    st.dataframe(
        tables.recordings(found), column_config=tables.RECORDING_COLUMNS, hide_index=True, key="session.recordings"
    )
    usable = {item.name: item for item in found if not item.problem}
    if not usable:
        return _no_market("None of the recordings is usable; the table says why.")
    kept = [name for name in st.session_state.get("session.replayed", ()) if name in usable]
    st.session_state["session.replayed"] = kept or list(usable)[:1]
    chosen = st.multiselect(
        "Recordings to replay",
        list(usable),
        key="session.replayed",
        persist_state="session",
    )
    return _recorded([usable[name] for name in chosen])


def _recorded(chosen: Sequence[wiring.Recording]) -> Market:
    if not chosen:
        return _no_market("Choose at least one recording.")
    names = [item.instrument for item in chosen]
    lengths = sorted({item.granularity for item in chosen if item.granularity}, key=lambda length: length.seconds)
    problem = None
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        problem = f"Two of the chosen recordings are of {twice}; choose one."
    elif len(lengths) > 1:
        problem = f"The chosen recordings have bars of {', '.join(lengths)}; choose ones of equal length."
    return Market(
        mode=Mode.REPLAY,
        instruments=tuple(dict.fromkeys(names)),
        granularity=lengths[0],
        bars=tuple((item.instrument, str(item.path)) for item in chosen),
        problem=problem,
    )


def _no_market(problem: str) -> Market:
    return Market(mode=Mode.REPLAY, instruments=(), granularity=Granularity.M1, problem=problem)


def _import(settings: Settings) -> None:
    """Store the uploaded file once, when it arrives, and select it."""
    upload = st.session_state["session.upload"]
    if upload is None:
        st.session_state["session.imported"] = None
        return
    try:
        recording = wiring.import_recording(settings, upload.name, upload.getvalue())
    except ConfigError as error:
        st.session_state["session.imported"] = (False, str(error))
        return
    st.session_state["session.imported"] = (True, f"{recording.name} is stored: {recording.bars:,} bars.")
    st.session_state["session.replayed"] = [recording.name]
