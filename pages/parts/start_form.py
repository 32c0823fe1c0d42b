"""I am the start form: market, model, account and limits on one page, why they do not fit, and the engine's answer.
I may import wiring, interlocks, node, profiles, the domain, snapshot and the other forms.
I must not decide what may start, nor hold anything about money in the browser's session.
My tests are in tests/ui/test_session.py, tests/ui/test_oanda_form.py and tests/ui/test_live.py.
"""

import dataclasses
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from msgspec.structs import replace

from engine import profiles, wiring
from engine.config import Settings
from engine.domain.command import Arming, Mode, SessionConfig, StartSession
from engine.domain.error import ConfigError
from engine.domain.limits import limits_by_hand
from engine.interlocks import check_arming
from engine.node import TradingNode
from engine.snapshot import Snapshot, Verdict
from pages.parts import (
    arming,
    confirm,
    limits_form,
    market_form,
    model_form,
    preflight,
    profile_picker,
    tables,
    unlock,
)
from pages.parts.formats import escaped
from pages.parts.limits_form import Limits
from pages.parts.market_form import Market

SPEEDS: dict[str, float | None] = {
    "1x, real time": 1.0,
    "10x": 10.0,
    "60x, a minute of market each second": 60.0,
    "300x": 300.0,
    "1,800x": 1_800.0,
    "3,600x, an hour of market each second": 3_600.0,
    "max, as fast as it goes": None,
}
_START, _ASKED, _ANSWER, _WAITING = "session-start", "session.asked", "session.answer", "session.waiting"
_AT_ONCE = "Start was sent; waiting for the engine's answer."
_AT_OANDA = "Start was sent. Account, instruments and history are being read from OANDA: this takes some seconds."


@dataclass(slots=True, kw_only=True)
class Draft:
    """What the form would start, and one sentence for each thing that is bad or not yet typed.

    It is not reachable while a setting or a recording is missing; then typing the unlock code would be of no use.
    """

    mode: Mode
    reachable: bool = True
    config: SessionConfig | None = None
    arming: Arming | None = None
    new_books: bool = False
    problems: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Say whether Start may be pressed."""
        return self.config is not None and not self.problems and not self.untyped


def draw(node: TradingNode) -> None:
    """Draw the five steps."""
    settings = node.settings
    defaults = wiring.default_config(settings)
    st.markdown("##### 1 · Market")
    market = market_form.draw(settings, defaults)
    st.markdown("##### 2 · Model and instruments")
    choice = model_form.draw(wiring.registry(settings), market, defaults)
    st.markdown("##### 3 · Account and pace" if market.mode.is_simulated else "##### 3 · Account")
    opening = _account(market, defaults)
    st.markdown("##### 4 · Limits")
    by_hand = limits_by_hand() if market.mode == Mode.LIVE else ()
    if by_hand:
        st.caption(
            "What bounds a loss has no default here: type it, or pick a profile that you saved and that states it. The "
            "built-in ones, default and careful, do not count as set by hand."
        )
    limits = _limits(settings, by_hand)
    st.markdown("##### 5 · Start")
    chosen = {"instruments": choice.instruments, "model_id": choice.model_id, **opening}
    draft = _draft(settings, defaults, market, choice.problem, limits, chosen)
    typed = tuple(name for name in by_hand if name not in limits.missing)
    if market.mode.sends_orders:
        draft.new_books = _new_books()
    checked = Arming(phrase="", limits_set=typed) if by_hand else None  # the phrase comes after what is checked
    preflight.form(node, market.mode, draft.config if not draft.problems else None, checked)
    if by_hand and market.problem is None:
        _arm(draft, settings, typed)
    _start(node, draft)


def _limits(settings: Settings, by_hand: tuple[str, ...]) -> Limits:
    """Draw the profiles and the form that they fill; a built-in one sets nothing by hand."""
    folder = settings.profiles_dir
    with st.container(width=420):
        picked = profile_picker.draw(folder)
    profile = picked.profile
    empty = [name for name in by_hand if name not in profile.by_hand]
    saving = st.container()
    limits = limits_form.draw(profile.limits, wiring.catalogue(), empty, picked.filling)
    with saving:
        profile_picker.save(folder, picked, limits, by_hand)
    if by_hand and limits.untyped and profile.built_in and profile.name != profiles.DEFAULT:
        why = (
            f"Profile {profile.name} is built in and does not count as set by hand: type what bounds a loss, or pick a "
            "profile that you saved."
        )
        return dataclasses.replace(limits, untyped=(why, *limits.untyped))
    return limits


def answer(snapshot: Snapshot) -> None:
    """Keep the engine's answer to Start on screen: a refusal until the next try, a yes as long as the session runs.

    When it comes, the whole page is redrawn once, because the Start button waits for it too.
    """
    asked = st.session_state.get(_ASKED)
    verdict = next((item for item in snapshot.verdicts if item.command_id == asked), None)
    if asked is not None and verdict is not None:
        st.session_state[_ASKED], st.session_state[_ANSWER] = None, verdict
        st.rerun()
    known: Verdict | None = st.session_state.get(_ANSWER)
    if st.session_state.get(_ASKED):
        st.info(st.session_state.get(_WAITING, _AT_ONCE), icon=":material/hourglass_top:")
    elif known is not None and not known.accepted:
        st.error(escaped(f"The session was not started: {known.detail}"), icon=":material/block:")
    elif known is not None and snapshot.active:
        st.success(escaped(f"Start accepted: {known.detail}."), icon=":material/check_circle:")


def _draft(
    settings: Settings,
    defaults: SessionConfig,
    market: Market,
    model_problem: str | None,
    limits: Limits,
    chosen: dict[str, Any],
) -> Draft:
    """Put together what was chosen, and let the engine judge it once nothing is missing."""
    draft = Draft(mode=market.mode, reachable=market.problem is None, untyped=list(limits.untyped))
    draft.problems = [problem for problem in (market.problem or model_problem, *limits.problems) if problem]
    if draft.problems:
        return draft
    try:
        draft.config = replace(
            defaults,
            mode=market.mode,
            granularity=market.granularity,
            bars=market.bars,
            currency=market.currency or defaults.currency,
            limits=limits.values,
            **chosen,
        )
    except ConfigError as error:
        draft.problems = [str(error)]
        return draft
    problem = wiring.check(draft.config, settings)
    draft.problems = [problem] if problem else []
    return draft


def _account(market: Market, defaults: SessionConfig) -> dict[str, Any]:
    """Ask for what a simulated account begins with; an account at OANDA has a balance, and its time is the world's."""
    if market.mode.sends_orders:
        st.caption("It begins with the balance that the account has when the session starts.")
        return {"speed": 1.0}
    with st.grid(min_column_width=200):
        chosen: dict[str, Any] = {"capital_home": _capital(market.currency or defaults.currency, defaults)}
        return chosen | (_pace(defaults) if market.mode.is_simulated else {"speed": 1.0})


def _capital(currency: str, defaults: SessionConfig) -> Any:
    capital = st.number_input(
        f"Capital, {currency}",
        value=float(defaults.capital_home),
        step=1_000.0,
        format="%.2f",
        help=f"Opening balance of the simulated account. Its currency is {currency}.",
        key="session.capital",
        persist_state="session",
    )
    return tables.exact(capital)


def _pace(defaults: SessionConfig) -> dict[str, Any]:
    speed = st.selectbox(
        "Speed",
        list(SPEEDS),
        index=list(SPEEDS.values()).index(defaults.speed) if defaults.speed in SPEEDS.values() else 0,
        help="How much faster than the wall clock market time passes.",
        key="session.speed",
        persist_state="session",
    )
    seed = st.number_input(
        "Seed",
        value=defaults.seed,
        step=1,
        help="The same seed and configuration give the same run.",
        key="session.seed",
        persist_state="session",
    )
    return {"speed": SPEEDS[speed], "seed": seed}


def _arm(draft: Draft, settings: Settings, typed: tuple[str, ...]) -> None:
    """Read back what is about to trade once it is whole, ask for the phrase, and let the engine judge it."""
    if draft.ready and draft.config is not None:
        arming.read_back(draft.config, settings)
    with st.container(width=420):
        draft.arming = Arming(phrase=arming.phrase(), limits_set=typed)
    try:  # each limit that is missing has a sentence of its own
        check_arming(SessionConfig(mode=Mode.LIVE), settings, replace(draft.arming, limits_set=limits_by_hand()))
    except ConfigError as error:
        (draft.problems if draft.arming.phrase else draft.untyped).append(str(error))


def _new_books() -> bool:
    """Ask whether to forget what was recorded; off again with each new form, for it is right once at most."""
    wanted = st.checkbox("Begin new books", key="session.new_books")
    st.caption(
        "Forgets what earlier runs recorded of this account, and begins with the balance and the open trades that "
        "OANDA has now; these are then trades that Keel did not open. Needed only when a start was refused because our "
        "books and the broker's differ, or after the practice account was reset."
    )
    return wanted


def _start(node: TradingNode, draft: Draft) -> None:
    """Draw the last check and the button; a click sends what is on screen in this very run, not in the one before."""
    for problem in draft.problems:
        st.error(escaped(problem), icon=":material/block:")
    if draft.untyped:
        lines = "  \n".join(escaped(sentence) for sentence in draft.untyped)
        st.warning(lines, icon=":material/edit:")
    if draft.ready and draft.config is not None and not st.session_state.get(_ASKED):
        books = " · new books" if draft.new_books else ""
        st.success(escaped(f"Ready: {tables.summary(draft.config)}{books}."), icon=":material/check_circle:")
        if advice := _advice(node, draft.config):
            st.info(escaped(advice), icon=":material/lightbulb:")
    _follow_answer(node)
    if draft.reachable and unlock.locks_start(node, draft.mode):
        with st.container(width=360):
            unlock.field(node, "start")
        return
    _start_button(node, draft)


def _advice(node: TradingNode, config: SessionConfig) -> str | None:
    """What a careful person would do first; a database that cannot be read will refuse the start by itself."""
    try:
        return wiring.advice(config, node.settings, node.database_path)
    except (ConfigError, sqlite3.Error) as error:
        return str(error)


@st.fragment(run_every=1)
def _follow_answer(node: TradingNode) -> None:
    """Say once a second what becomes of a start, above its button; the page is redrawn when a session begins."""
    if node.snapshot.active and not confirm.is_dialog_open():
        st.rerun()
    answer(node.snapshot)


def _start_button(node: TradingNode, draft: Draft) -> None:
    command_id = confirm.command_id(_START, node.snapshot)
    waiting = confirm.is_waiting(_START) or (node.alive and st.session_state.get(_ASKED) is not None)
    clicked = st.button(
        "Start live session" if draft.mode == Mode.LIVE else "Start session",
        key=f"{_START}-{command_id}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=not draft.ready or waiting,
    )
    if clicked and draft.ready and draft.config is not None:
        command = StartSession(
            command_id=command_id, config=draft.config, arming=draft.arming, new_books=draft.new_books
        )
        confirm.send(node, _START, command)
        st.session_state[_ASKED] = command_id if confirm.is_waiting(_START) else None
        st.session_state[_ANSWER] = None
        st.session_state[_WAITING] = _AT_ONCE if draft.mode.is_simulated else _AT_OANDA
        st.rerun()
