"""I am the frame of every page: controls in the sidebar, the bar at the bottom, the page banner and the look.
I may import streamlit, the domain, snapshot, node, wiring and the other parts.
I must not draw a page body, touch the database or hold anything about money.
My tests are in tests/ui/test_frame.py.

States are compared with == and not with `is`: when a source file is edited while a session runs, Streamlit imports our
modules again, and then the engine's SessionState and ours are equal members of two classes.
"""

from decimal import Decimal
from time import time_ns  # noqa: TID251 - the age of what is on the screen is wall time; nothing is decided by it

import streamlit as st

from engine import wiring
from engine.domain.command import HaltTrading, Mode, PauseEntries, ResumeTrading, StartSession, StopSession
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Granularity
from engine.node import TradingNode
from engine.snapshot import Snapshot
from pages.parts import account, arming, breakers, confirm, formats, limit_use, positions, unlock

NS_PER_S = formats.NS_PER_S
STALE_S_MIN = 3.0
COUNTDOWN_S_MIN = 5.0
# An account at OANDA is looked at each second; while it cannot be read, one try may take ten seconds and a pause.
OANDA_S, OANDA_DEGRADED_S = 1.0, 6.0
SHORTCUT = "Ctrl+Shift+X"
_STATE_SEEN = "keel-session-state"

MODES = {
    Mode.SANDBOX: ("blue", "science"),
    Mode.REPLAY: ("gray", "history"),
    Mode.PAPER: ("blue", "edit_note"),
    Mode.PRACTICE: ("green", "school"),
    Mode.LIVE: ("red", "payments"),
}
STATES = {
    SessionState.READY: ("gray", "radio_button_unchecked"),
    SessionState.WARMING_UP: ("orange", "hourglass_top"),
    SessionState.RUNNING: ("green", "play_circle"),
    SessionState.DEGRADED: ("orange", "warning"),
    SessionState.STOPPING: ("orange", "stop_circle"),
    SessionState.STOPPED: ("gray", "stop"),
    SessionState.FAULTED: ("red", "error"),
}
TRADING = {
    TradingState.ACTIVE: ("green", "check_circle", "ENTRIES ON"),
    TradingState.PAUSED: ("orange", "pause_circle", "ENTRIES PAUSED"),
    TradingState.REDUCING: ("orange", "trending_down", "REDUCE ONLY"),
    TradingState.HALTED: ("red", "block", "HALTED"),
}

_CSS = """
.stMainBlockContainer { padding-top: 4rem; padding-bottom: 1.5rem; }
[data-testid="stBottomBlockContainer"] { padding-top: .6rem; padding-bottom: .8rem; }
[class*="st-key-keel-danger"] button { background: #c62828; border-color: #c62828; color: #fff; min-height: 44px; }
[class*="st-key-keel-danger"] button:hover { background: #a31f1f; border-color: #a31f1f; color: #fff; }
[class*="st-key-keel-danger"] button:disabled { background: transparent; border-color: currentColor; color: inherit;
  opacity: .5; }
[data-testid="stCaptionContainer"] { opacity: .78; }
[data-testid^="stBaseButton-primary"]:enabled { background: #1f6feb; border-color: #1f6feb; color: #fff; }
[data-testid^="stBaseButton-primary"]:enabled:hover { background: #1857c4; border-color: #1857c4; }
[class*="st-key-keel-stale"] { opacity: .45; filter: grayscale(1); }
.st-key-keel-status p { font-variant-numeric: tabular-nums; }
[data-testid="stMetricValue"], [data-testid="stTable"] { font-variant-numeric: tabular-nums; }
@media (min-width: 641px) {
  [data-testid="stColumn"]:has(.st-key-keel-beside) { position: sticky; top: 4rem; align-self: flex-start;
    max-height: calc(100vh - 10rem); overflow-y: auto; }
}
@media (max-width: 640px) {
  .stMainBlockContainer, [data-testid="stBottomBlockContainer"] { padding-left: .8rem; padding-right: .8rem; }
  .st-key-keel-bar { flex-wrap: wrap; row-gap: .4rem; }
  .st-key-keel-bar > :first-child { flex: 1 1 100%; }
}
"""
# It lies over the page and takes neither room nor clicks.
_RED_FRAME = """
.stApp::after { content: ""; position: fixed; inset: 0; border: 4px solid #d32f2f; pointer-events: none;
  z-index: 10000000; }
"""


def look(node: TradingNode) -> None:
    """Add the few rules of style that the theme cannot express, and the red frame where real money is at stake."""
    st.html(f"<style>{_CSS}{_RED_FRAME if is_live(node) else ''}</style>")


def is_live(node: TradingNode) -> bool:
    """Say whether a live session runs here, or could."""
    config = node.snapshot.config if node.snapshot.active else None
    return node.settings.oanda_environment == Mode.LIVE or (config is not None and config.mode == Mode.LIVE)


def sidebar(node: TradingNode) -> None:
    """Draw the controls that every page has; called once per full run."""
    confirm.forget_dialog()
    with st.sidebar:
        _controls(node)


def bottom_bar(node: TradingNode) -> None:
    """Draw the bar that stays on screen on every page, on a phone too.

    The panic button stands outside the fragment: a click on a fragment's button is lost while a page is changing.
    """
    with st.bottom, st.container(key="keel-bar", horizontal=True, vertical_alignment="center"):
        _bar(node)
        if node.snapshot.active and unlock.locks_session(node):
            confirm.halt_button(node, node.snapshot, "bar", SHORTCUT)
        else:
            confirm.flatten_button(node, node.snapshot, "bar", "Flatten & halt", SHORTCUT)


def start_button(node: TradingNode, snapshot: Snapshot, place: str) -> None:
    """Draw the button that starts a sandbox session with nothing configured; `place` tells two of them apart.

    In environment live it says so, and is not the button that draws the eye: who has filled in the form for real money
    must not take it for the one that begins that.
    """
    confirm.button(
        node, snapshot, f"start-{place}", start_label(node),
        lambda command_id: StartSession(command_id=command_id, config=wiring.default_config(node.settings)),
        icon=":material/play_arrow:", primary=not is_live(node), disabled=_is_starting(node),
    )  # fmt: skip


def start_label(node: TradingNode) -> str:
    """Name the button that starts a sandbox session."""
    return "Start sandbox" if is_live(node) else "Start"


def _is_starting(node: TradingNode) -> bool:
    """Say whether the engine is busy with a start, which takes seconds at OANDA."""
    return not node.snapshot.active and not node.wait_until_idle(0)


def age_s(snapshot: Snapshot) -> float:
    """Wall seconds since the engine published this snapshot."""
    return (time_ns() - snapshot.published_ns) / NS_PER_S


def is_stale(snapshot: Snapshot) -> bool:
    """Say whether a running session is silent for more than twice as long as its data should take."""
    return snapshot.active and age_s(snapshot) > max(2 * _expected_s(snapshot), STALE_S_MIN)


def _expected_s(snapshot: Snapshot) -> float:
    """Wall seconds between two publications: the sandbox quotes every five seconds, a replay once per bar."""
    config = snapshot.config
    if config is not None and not config.mode.is_simulated:
        return OANDA_DEGRADED_S if snapshot.session_state == SessionState.DEGRADED else OANDA_S
    if config is None or config.speed is None:
        return 0.0
    step = Granularity.S5 if config.mode == Mode.SANDBOX else config.granularity
    return step.seconds / config.speed


def why_not_trading(snapshot: Snapshot) -> str:
    """Answer "why is it not trading?" in one line; what stops most comes first."""
    state = snapshot.session_state
    if state == SessionState.FAULTED:
        return f"The session stopped on an error: {snapshot.reason}"
    if not snapshot.active:
        return "No session is running."
    if is_stale(snapshot):
        return f"The engine has published nothing for {formats.age(age_s(snapshot))}."
    if state == SessionState.WARMING_UP:
        return _why_warming(snapshot)
    if state == SessionState.STOPPING:
        return "The session is stopping."
    tripped = breakers.holding(snapshot)
    if tripped:
        why = breakers.cause(tripped[0])
        return f"Breaker {breakers.label(tripped[0].name)} has tripped: {why}; release it on Overview or Risk."
    if snapshot.trading_state != TradingState.ACTIVE or state == SessionState.DEGRADED:
        words = TRADING[snapshot.trading_state][2] if snapshot.trading_state != TradingState.ACTIVE else state
        return f"{words.capitalize()}: {snapshot.reason or 'no reason was given'}"
    return _why_foreign(snapshot) or _why_last_bar(snapshot)


def _why_foreign(snapshot: Snapshot) -> str:
    """Name what another's trade keeps from being traded, when that is all that the session would trade."""
    foreign = {each.trade.instrument: each.trade for each in snapshot.foreign_trades}
    traded = snapshot.config.instruments if snapshot.config else ()
    if not traded or not set(traded) <= set(foreign):
        return ""
    trade = foreign[traded[0]]
    more = f" (and {len(traded) - 1} more)" if len(traded) > 1 else ""
    return f"{trade.instrument}{more} holds trade {trade.trade_id}, which Keel did not open; see Overview."


def _why_warming(snapshot: Snapshot) -> str:
    waiting = [row for row in snapshot.warmup if not row.ready]
    if snapshot.reason and snapshot.trading_state == TradingState.ACTIVE:  # it was running already, and stood still
        return f"Warming up again: {snapshot.reason}."
    if not waiting:
        return "Warming up."
    row = waiting[0]
    more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    return f"Warming up: {row.instrument} has {row.have} of {row.need} bars{more}."


def _why_last_bar(snapshot: Snapshot) -> str:
    if not snapshot.decisions:
        return "Waiting for the first bar to close."
    last = max(snapshot.decisions, key=lambda decision: decision.bar_ts_ns)
    locked = ", ".join(filter(None, map(breakers.locked_instrument, breakers.tripped(snapshot))))
    waiting = f" {locked} waits for a person, see Risk." if locked else ""
    return f"It may trade.{waiting} Last bar, {last.instrument}: {last.action}, {last.reason}"


@st.fragment(run_every=1)
def _controls(node: TradingNode) -> None:
    snapshot = node.snapshot
    _follow_state(snapshot)
    st.markdown(_badges(node, snapshot))
    if until := arming.until(snapshot):
        st.caption(f":material/lock_clock: {formats.escaped(until)}")
    _buttons(node, snapshot)
    if snapshot.session_state != SessionState.READY:
        _money(snapshot)
    if snapshot.session_state == SessionState.FAULTED:
        st.error(formats.escaped(snapshot.reason or "No reason was given."), icon=":material/error:")
    else:
        why = "A session is being started." if _is_starting(node) else why_not_trading(snapshot)
        st.caption(f"**Why not trading?** {formats.escaped(why)}")
    if snapshot.active and snapshot.clock_note:
        note = snapshot.clock_note
        st.warning(formats.sentence(note[:1].upper() + note[1:]), icon=":material/schedule:")
    answer = confirm.last_answer(snapshot)
    if answer is not None:
        st.caption(f"**Last command** {formats.sentence(answer)}")


def _follow_state(snapshot: Snapshot) -> None:
    """Rerun the whole page when the session's state changed, unless that would close a question on the screen."""
    seen = st.session_state.setdefault(_STATE_SEEN, snapshot.session_state)
    if seen != snapshot.session_state and not confirm.is_dialog_open():
        st.session_state[_STATE_SEEN] = snapshot.session_state
        st.rerun()


def _badges(node: TradingNode, snapshot: Snapshot) -> str:
    parts = (_live_badge(node, snapshot), _mode_badge(snapshot), _state_badge(snapshot), _trading_badge(snapshot))
    return " ".join(part for part in parts if part)


def _live_badge(node: TradingNode, snapshot: Snapshot) -> str:
    """Say why the frame is red when the session that is shown is not a live one."""
    if not is_live(node) or (snapshot.config is not None and snapshot.config.mode == Mode.LIVE):
        return ""
    return ":red-badge[:material/payments: LIVE ENVIRONMENT]"


def _mode_badge(snapshot: Snapshot) -> str:
    if snapshot.config is None:
        return ""
    colour, icon = MODES[snapshot.config.mode]
    return f":{colour}-badge[:material/{icon}: {snapshot.config.mode.upper()}]"


def _state_badge(snapshot: Snapshot) -> str:
    colour, icon = STATES[snapshot.session_state]
    return f":{colour}-badge[:material/{icon}: {snapshot.session_state.replace('_', ' ')}]"


def _trading_badge(snapshot: Snapshot) -> str:
    is_trading = snapshot.session_state in (SessionState.RUNNING, SessionState.DEGRADED)
    if not snapshot.active or (snapshot.trading_state == TradingState.ACTIVE and not is_trading):
        return ""
    colour, icon, words = TRADING[snapshot.trading_state]
    return f":{colour}-badge[:material/{icon}: {words}]"


def _buttons(node: TradingNode, snapshot: Snapshot) -> None:
    if not snapshot.active:
        start_button(node, snapshot, "sidebar")
        label = start_label(node)
        st.caption(f"{label}: a sandbox session with generated prices. Other markets and models: page Session.")
        return
    if unlock.locks_session(node):
        st.caption("To steer this session from here, give the unlock code first. Halt needs none.")
        unlock.field(node, "sidebar")
        confirm.halt_button(node, snapshot, "sidebar")
        return
    if arming.is_over(snapshot):
        arming.again(node, snapshot, "sidebar")
    _entries_button(node, snapshot)
    stopping = snapshot.session_state == SessionState.STOPPING
    confirm.button(
        node, snapshot, "stop", "Stop", lambda command_id: StopSession(command_id=command_id),
        icon=":material/stop:", disabled=stopping,
    )  # fmt: skip
    confirm.button(
        node, snapshot, "halt", "Halt", lambda command_id: HaltTrading(command_id=command_id),
        icon=":material/front_hand:", disabled=snapshot.trading_state == TradingState.HALTED,
    )  # fmt: skip
    confirm.flatten_button(node, snapshot, "sidebar", "Flatten & halt")
    st.caption(
        "**Pause** opens nothing new; open positions are still managed.  \n"
        "**Halt** sends nothing more; open positions keep their stops.  \n"
        f"**Stop** ends the run; {account.stop_effect(snapshot)}  \n"
        "**Flatten** closes every position at the market and halts."
    )


def _entries_button(node: TradingNode, snapshot: Snapshot) -> None:
    disabled = snapshot.session_state == SessionState.STOPPING
    if snapshot.trading_state == TradingState.REDUCING and arming.is_over(snapshot):
        return  # arming again is what resumes it
    if snapshot.trading_state == TradingState.REDUCING and (holding := breakers.holding(snapshot)):
        names = formats.escaped(", ".join(breakers.label(each.name) for each in holding))
        st.caption(  # resuming would change nothing
            f":material/electrical_services: **Entries wait for the release of {names}:** on Overview, or on Risk in "
            "the part Breakers."
        )
        return
    if snapshot.trading_state == TradingState.ACTIVE:
        confirm.button(
            node, snapshot, "pause", "Pause entries", lambda command_id: PauseEntries(command_id=command_id),
            icon=":material/pause:", disabled=disabled,
        )  # fmt: skip
        return
    confirm.button(
        node, snapshot, "resume", "Resume trading",
        lambda command_id: ResumeTrading(command_id=command_id, expected_revision=snapshot.revision),
        icon=":material/play_arrow:", primary=True, disabled=disabled,
    )  # fmt: skip


def _money(snapshot: Snapshot) -> None:
    key = "keel-stale-money" if is_stale(snapshot) else "keel-money"
    with st.container(key=key):
        st.markdown(
            f"Equity **{formats.money(snapshot.equity_home)} {snapshot.currency}**  \n"
            f"Day P/L **{_day_pl(snapshot)}** ({formats.signed_percent(snapshot.day_pl_pct)})  \n"
            f"Daily loss {_daily_loss(snapshot)}  \n"
            f"If all stops hit **{_risk(snapshot)}**  \n"
            f"{_freshness(snapshot)}"
        )


def _day_pl(snapshot: Snapshot) -> str:
    return f"{formats.signed_money(snapshot.day_pl_home)} {snapshot.currency}"


def _daily_loss(snapshot: Snapshot) -> str:
    """How much of the limit is used, and how far away it is."""
    use = limit_use.find(snapshot, "daily_loss_pct_max")
    if use is None:
        return formats.NOTHING
    since = limit_use.since(snapshot, use.name)
    return (
        f"**{limit_use.short(limit_use.fixed(use.value))}** {limit_use.left(snapshot, use.name)}"
        f"{f', :gray[{since}]' if since else ''}"
    )


def _risk(snapshot: Snapshot) -> str:
    """What is lost if every stop is hit, and whether a trade has none."""
    if positions.unpriced(snapshot):
        return "not known"
    amount = f"-{formats.money(snapshot.risk_home)} {snapshot.currency}" if snapshot.risk_home else "0.00"
    missing = len(positions.bare(snapshot))
    return f"{amount}, :red[{missing} without a stop]" if missing else amount


def _freshness(snapshot: Snapshot) -> str:
    """Say how old the numbers are, in words and with a sign that is not only a colour."""
    if not snapshot.active:
        word = "ended" if account.is_outside(snapshot) and snapshot.open_trades else "final"
        return f":gray[:material/flag: {word}, {formats.utc(snapshot.ts_ns)}]"
    age = formats.age(age_s(snapshot))
    if is_stale(snapshot):
        return f":red[:material/sync_problem: **stale, data {age} old**]"
    return f":gray[:material/sync: data {age} old]"


@st.fragment(run_every=1)
def _bar(node: TradingNode) -> None:
    snapshot = node.snapshot
    with st.container(key="keel-status", gap="xsmall"):
        _banner(snapshot)
        st.markdown(_bar_text(node, snapshot))


def _banner(snapshot: Snapshot) -> None:
    """Show what was refused, until it is put away; a fault for as long as it lasts."""
    if snapshot.session_state == SessionState.FAULTED:
        st.markdown(f":red[:material/error: **Faulted.** {formats.sentence(snapshot.reason)}]")
    refused = confirm.refusal(snapshot)
    if refused is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":red[:material/block: **Refused.** {formats.sentence(refused)}]", width="content")
        st.button("Dismiss", key="keel-refusal-ok", type="tertiary", on_click=confirm.dismiss, args=(snapshot,))


def _bar_text(node: TradingNode, snapshot: Snapshot) -> str:
    parts = [_badges(node, snapshot)]
    if snapshot.session_state != SessionState.READY:
        parts.append(f"**{formats.money(snapshot.equity_home)}** {snapshot.currency}")
        parts.append(f"day {_coloured(snapshot.day_pl_home, formats.signed_money(snapshot.day_pl_home))}")
        parts.append(f":gray[{_market_time(snapshot)}]")
        parts.append(_freshness(snapshot))
    return " &nbsp; ".join(parts)


def _coloured(amount: Decimal, text: str) -> str:
    if amount == 0:
        return text
    return f":{'green' if amount > 0 else 'red'}[{text}]"


def _market_time(snapshot: Snapshot) -> str:
    """Market time with its zone and, while a session runs, its speed and, if worth waiting, the wall time to a bar.

    The speed of OANDA's market is not worth a word, but a venue on loopback may be faster.
    """
    text = formats.clock(snapshot.ts_ns).replace(":", "\\:")
    if not snapshot.active or snapshot.config is None:
        return text
    speed = snapshot.config.speed
    if snapshot.config.mode.is_simulated or speed != 1:
        text = f"{text} at {formats.speed(speed)}"
    bar_s = snapshot.config.granularity.seconds
    if snapshot.next_bar_ns is None or speed is None or bar_s / speed < COUNTDOWN_S_MIN:
        return text
    left_s = (snapshot.next_bar_ns - snapshot.ts_ns) / NS_PER_S / speed - age_s(snapshot)
    return f"{text}, next bar {formats.countdown(left_s)}"
