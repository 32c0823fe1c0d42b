"""I am the session page: market, model, capital and limits on one page, with the reason why something does not fit.
I may import node, wiring, the model registry, the domain, snapshot and parts.
I must not run engine code, query the database or hold anything about money in the browser's session.
My tests are in tests/ui/test_session.py.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from msgspec.structs import replace

from engine import wiring
from engine.domain.command import SessionConfig, StartSession, StopSession
from engine.domain.error import ConfigError
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.node import TradingNode
from engine.snapshot import Snapshot, Verdict
from pages.parts import confirm, frame, limits_form, market_form, model_form, tables
from pages.parts.formats import escaped

SPEEDS: dict[str, float | None] = {
    "1x, real time": 1.0,
    "10x": 10.0,
    "60x, a minute of market each second": 60.0,
    "300x": 300.0,
    "1,800x": 1_800.0,
    "3,600x, an hour of market each second": 3_600.0,
    "max, as fast as it goes": None,
}
_START, _ASKED, _ANSWER = "session-start", "session.asked", "session.answer"


def render() -> None:
    """Draw the page: the form while nothing runs, else the running session."""
    node = TradingNode.attach()
    snapshot = node.snapshot
    st.subheader("Session")
    _live(node, snapshot.active)
    if snapshot.active and snapshot.config is not None:
        _running(snapshot.config, snapshot.limits or snapshot.config.limits)
    else:
        _form(node)


@st.fragment(run_every=1)
def _live(node: TradingNode, drawn_active: bool) -> None:
    """State, answer and warm-up, once a second; the rest is redrawn only when a session begins or ends."""
    snapshot = node.snapshot
    if snapshot.active != drawn_active and not confirm.is_dialog_open():
        st.rerun()
    _answer(snapshot)
    if snapshot.config is not None:
        _state_line(snapshot)
    if snapshot.active:
        _warmup(snapshot)
        _stop_button(node, snapshot)


def _answer(snapshot: Snapshot) -> None:
    """Keep the engine's answer to Start on screen: a refusal until the next try, a yes as long as the session runs.

    When it comes, the whole page is redrawn once, because the Start button below waits for it too.
    """
    asked = st.session_state.get(_ASKED)
    verdict = next((item for item in snapshot.verdicts if item.command_id == asked), None)
    if asked is not None and verdict is not None:
        st.session_state[_ASKED], st.session_state[_ANSWER] = None, verdict
        st.rerun()
    answer: Verdict | None = st.session_state.get(_ANSWER)
    if st.session_state.get(_ASKED):
        st.info("Start was sent; waiting for the engine's answer.", icon=":material/hourglass_top:")
    elif answer is not None and not answer.accepted:
        st.error(escaped(f"The session was not started: {answer.detail}"), icon=":material/block:")
    elif answer is not None and snapshot.active:
        st.success(escaped(f"Start accepted: {answer.detail}."), icon=":material/check_circle:")


def _state_line(snapshot: Snapshot) -> None:
    colour, icon = frame.STATES[snapshot.session_state]
    badges = f":{colour}-badge[:material/{icon}: {snapshot.session_state.replace('_', ' ')}]"
    if snapshot.active and snapshot.trading_state is not TradingState.ACTIVE:
        colour, icon, words = frame.TRADING[snapshot.trading_state]
        badges += f" :{colour}-badge[:material/{icon}: {words}]"
    run = "" if snapshot.run_id is None else f"Run {snapshot.run_id}. "
    st.markdown(f"{badges} &nbsp; {run}{escaped(snapshot.reason)}")


def _warmup(snapshot: Snapshot) -> None:
    if not snapshot.warmup:
        return
    ready = sum(row.ready for row in snapshot.warmup)
    if ready < len(snapshot.warmup):
        share = tables.warmup_share(snapshot.warmup)
        st.progress(share, text=f"Warm-up: {ready} of {len(snapshot.warmup)} instruments ready")
    rows = tables.warmup(snapshot.warmup)
    st.dataframe(rows, column_config=tables.WARMUP_COLUMNS, hide_index=True, key="session.warmup")


def _stop_button(node: TradingNode, snapshot: Snapshot) -> None:
    with st.container(width=220):
        confirm.button(
            node,
            snapshot,
            "session-stop",
            "Stop session",
            lambda command_id: StopSession(command_id=command_id),
            icon=":material/stop:",
            disabled=snapshot.session_state == SessionState.STOPPING,
        )
    st.caption("Stop ends the run. A simulated account ends with it: what is open stays open in its books, unsettled.")


def _running(config: SessionConfig, limits: RiskLimits) -> None:
    """Show what the running session was started with and the limits in force; a new form comes when it has ended."""
    st.markdown("##### Configuration of this run")
    left, right = st.columns([2, 3])
    left.table(tables.configuration(config), border="horizontal", hide_index=True)
    right.table(tables.limits(limits), border="horizontal", hide_index=True)


def _form(node: TradingNode) -> None:
    settings = node.settings
    defaults = wiring.default_config(settings)
    st.markdown("##### 1 · Market")
    market = market_form.draw(settings, defaults)
    st.markdown("##### 2 · Model and instruments")
    choice = model_form.draw(wiring.registry(settings), market, defaults)
    st.markdown("##### 3 · Account and pace")
    account = _account(defaults)
    st.markdown("##### 4 · Limits")
    limits, limit_problems = limits_form.draw(defaults.limits, wiring.catalogue())
    st.markdown("##### 5 · Start")
    problems = [problem for problem in (market.problem or choice.problem, *limit_problems) if problem]
    config = None
    if not problems:
        config, problem = _config(
            defaults,
            mode=market.mode,
            instruments=choice.instruments,
            granularity=market.granularity,
            bars=market.bars,
            model_id=choice.model_id,
            limits=limits,
            **account,
        )
        problem = problem or (wiring.check(config, settings) if config else None)
        problems = [problem] if problem else []
    _start(node, config, problems)


def _config(defaults: SessionConfig, **chosen: Any) -> tuple[SessionConfig | None, str | None]:
    try:
        return replace(defaults, **chosen), None
    except ConfigError as error:
        return None, str(error)


def _account(defaults: SessionConfig) -> dict[str, Any]:
    with st.grid(min_column_width=200):
        capital = st.number_input(
            f"Capital, {defaults.currency}",
            value=float(defaults.capital_home),
            step=1_000.0,
            format="%.2f",
            help=f"Opening balance of the simulated account. Its currency is {defaults.currency}.",
            key="session.capital",
            persist_state="session",
        )
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
    return {"capital_home": tables.exact(capital), "speed": SPEEDS[speed], "seed": seed}


def _start(node: TradingNode, config: SessionConfig | None, problems: Sequence[str]) -> None:
    """Draw the last check and the button; a click sends what is on screen in this very run, not in the one before."""
    for problem in problems:
        st.error(escaped(problem), icon=":material/block:")
    if config is not None and not problems:
        st.success(escaped(f"Ready: {tables.summary(config)}."), icon=":material/check_circle:")
    command_id = confirm.command_id(_START, node.snapshot)
    waiting = confirm.is_waiting(_START) or (node.alive and st.session_state.get(_ASKED) is not None)
    clicked = st.button(
        "Start session",
        key=f"{_START}-{command_id}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=config is None or bool(problems) or waiting,
    )
    if clicked and config is not None and not problems:
        confirm.send(node, _START, StartSession(command_id=command_id, config=config))
        st.session_state[_ASKED] = command_id if confirm.is_waiting(_START) else None
        st.session_state[_ANSWER] = None
        st.rerun()
