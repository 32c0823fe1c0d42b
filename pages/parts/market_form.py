"""I am the market form: a generated market, recorded bars and the upload of new ones, or OANDA's.
I may import wiring, interlocks, config, the domain, tables, account and formats.
I must not read or check a bar file or a setting myself; the engine does.
My tests are in tests/ui/test_session.py and tests/ui/test_oanda_form.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from engine import wiring
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.interlocks import check_environment
from pages.parts import account, tables
from pages.parts.formats import escaped

MEANINGS = {
    Mode.SANDBOX: "Generated prices and a simulated account: no money is at risk.",
    Mode.REPLAY: "Recorded bars and a simulated account: no money is at risk.",
    Mode.PAPER: "OANDA's prices and a simulated account: no order is sent.",
    Mode.PRACTICE: "OANDA's prices and orders to an OANDA practice account: play money.",
    Mode.LIVE: "OANDA's prices and orders to an OANDA live account: **real money**.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the first step offers to the next: names that have bars, their granularity, and what is missing."""

    mode: Mode
    instruments: tuple[str, ...]
    granularity: Granularity
    currency: str | None = None
    bars: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


def draw(settings: Settings, defaults: SessionConfig) -> Market:
    """Ask for the mode and, by it, for the granularity or the recordings."""
    mode = st.segmented_control(
        "Mode",
        _modes(settings),
        default=defaults.mode,
        required=True,
        format_func=lambda item: item.value.capitalize(),
        key="session.mode",
        persist_state="session",
    )
    st.caption(MEANINGS[mode])
    if mode == Mode.REPLAY:
        return _replay_market(settings)
    problem = None if mode == Mode.SANDBOX else _environment_problem(mode, settings)
    if problem:
        st.warning(escaped(problem), icon=":material/key_off:")
    elif mode != Mode.SANDBOX:
        st.caption(f":material/account_balance: {escaped(account.line(mode, settings))}")
    with st.grid(min_column_width=220):
        granularity = st.selectbox(
            "Granularity",
            list(Granularity),
            index=list(Granularity).index(defaults.granularity),
            help="Length of the bars that the model judges; one decision per instrument and bar.",
            key="session.granularity",
            persist_state="session",
        )
        currency = None if mode == Mode.SANDBOX else _home_currency(defaults)
    return Market(
        mode=mode,
        instruments=tuple(wiring.catalogue()),
        granularity=Granularity(str(granularity)),
        currency=currency,
        problem=problem,
    )


def _modes(settings: Settings) -> list[Mode]:
    """Offer orders to the one environment that the settings name."""
    ours = Mode(settings.oanda_environment)
    return [mode for mode in Mode if not mode.sends_orders or mode == ours]


def _environment_problem(mode: Mode, settings: Settings) -> str | None:
    """Let the engine say which setting is missing, before the rest of the form is filled in."""
    try:
        check_environment(SessionConfig(mode=mode), settings)
    except ConfigError as error:
        return str(error)
    return None


def _home_currency(defaults: SessionConfig) -> str:
    currencies = wiring.home_currencies()
    chosen = st.selectbox(
        "Home currency of the account",
        currencies,
        index=currencies.index(defaults.currency),
        help="OANDA converts every result into it; a start is refused when the account has another one.",
        key="session.currency",
        persist_state="session",
    )
    return str(chosen)


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
