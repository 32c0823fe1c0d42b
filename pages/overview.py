"""I am the overview: what the session is worth, holds, risks and last decided, on one page.
I may import streamlit, pandas, the domain, snapshot, node, the read-only queries and the parts.
I must not write anything, nor build figures that have not changed.
My tests are in tests/ui/test_overview.py.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit import column_config as column

from engine import wiring
from engine.domain.decision import Decision, Gate
from engine.domain.error import ConfigError
from engine.domain.event import SessionState, TradingState
from engine.domain.instrument import Instrument
from engine.node import TradingNode
from engine.snapshot import Snapshot
from engine.store import queries
from pages.parts import (
    account,
    alerts,
    arming,
    breakers,
    figures,
    foreign,
    formats,
    frame,
    limit_use,
    live_chart,
    positions,
    tables,
    trade_tables,
)
from pages.parts.figures import RoundTrip

CLOSED_TRADES_MAX = 200
NOTICES_MAX = 2
DECISIONS_SHOWN = 12
CANDLES_HEIGHT, EQUITY_HEIGHT = 420, 300
ARROWS = {1: "▲", -1: "▼"}
HUNDRED = Decimal(100)
_STILL_THERE = "Open trades stay at OANDA with their stops; the next session on this account takes them up."


def render() -> None:
    """Draw the page and keep it fresh."""
    _live(TradingNode.attach())


@st.fragment(run_every=1)
def _live(node: TradingNode) -> None:
    snapshot = node.snapshot
    _notice(node, snapshot)
    foreign.draw(node, snapshot)
    draw(snapshot, _closed_trades(node, snapshot))


def draw(snapshot: Snapshot, closed: Sequence[RoundTrip]) -> None:
    """Draw everything below the notices from these values alone."""
    if snapshot.session_state == SessionState.READY:
        return
    with st.container(key="keel-stale-page" if frame.is_stale(snapshot) else "keel-fresh-page"):
        _tiles(snapshot)
        if snapshot.session_state == SessionState.WARMING_UP:
            _warmup(snapshot)
            if snapshot.open_trades:
                positions.draw(snapshot)
            return
        _candles(snapshot, closed)
        left, right = st.columns([2, 1], gap="medium")
        with left:
            positions.draw(snapshot)
            breakers.draw(snapshot)
        with right:
            _equity(snapshot)
        _decisions(snapshot)
        alerts.draw(snapshot)


def _notice(node: TradingNode, snapshot: Snapshot) -> None:
    """Say what is the matter and what to do next; nothing when all is well."""
    state, reason = snapshot.session_state, formats.sentence(snapshot.reason or "No reason was given")
    if state == SessionState.READY:
        st.info(f"{_last_run(node)} Press Start for a sandbox session, or set up your own on the page Session.")
        with st.container(width=240):
            frame.start_button(node, snapshot, "page")
        st.caption(f"Start runs: {formats.escaped(_default_summary(node))}. Prices are generated, no money is at risk.")
    elif state == SessionState.FAULTED:
        st.error(
            f"**The session stopped on an error.** {reason}  \nNothing more is sent; open positions keep their stops "
            f"at the broker. {_after_fault(snapshot)}",
            icon=":material/error:",
        )
    elif state == SessionState.STOPPED:
        st.info(f"Run {snapshot.run_id} has ended: {reason} {_after_end(snapshot)}")
    elif frame.is_stale(snapshot):
        st.warning(
            f"**These numbers are {formats.age(frame.age_s(snapshot))} old.** The engine publishes nothing new. "
            "Open positions keep their stops at the broker.",
            icon=":material/sync_problem:",
        )
    elif state == SessionState.DEGRADED:
        st.warning(
            f"**Market or broker cannot be read now.** {reason}  \nNothing new is opened; it goes on by itself when "
            "they can.",
            icon=":material/warning:",
        )
    if snapshot.active:
        _trading_notice(node, snapshot)


def _after_fault(snapshot: Snapshot) -> str:
    if account.is_outside(snapshot):
        return f"Look at the account before anything else. {_STILL_THERE}"
    return "Look at the open positions, then press Start for a new session."


def _after_end(snapshot: Snapshot) -> str:
    """Say that the figures stay as they are; what is open on an account at OANDA does not."""
    if not account.is_outside(snapshot) or not snapshot.open_trades:
        return "These figures are final."
    count = len(snapshot.open_trades)
    left = "1 trade was" if count == 1 else f"{count} trades were"
    return f"These figures are of that moment; {left} still open. {_STILL_THERE}"


def _last_run(node: TradingNode) -> str:
    """Say what became of the run before this start of the console, if there was one."""
    try:
        with closing(queries.connect_readonly(node.database_path)) as conn:
            known = queries.runs(conn)
            last = next(iter(known), None)
            books = trade_tables.books(known, last.run_id) if last else ()
            still_open = sum(queries.count_trades(conn, run_id=run_id, state="OPEN") for run_id in books)
    except (ConfigError, sqlite3.Error) as error:
        return f"**The database cannot be read:** {formats.escaped(str(error))}"
    if last is None:
        return "**No session yet.**"
    how = {"STOPPED": "ended", "FAULTED": "stopped on an error"}.get(last.status, "was interrupted")
    left = f"; {still_open} of its trades were open" if still_open else ""
    there = f" {_STILL_THERE}" if still_open and last.mode in account.OUTSIDE else ""
    return f"**No session is running.** Run {last.run_id} {how}{left}: see Trades.{there}"


def _default_summary(node: TradingNode) -> str:
    """What Start would run, looked up once per browser session."""
    if "overview-default" not in st.session_state:
        st.session_state["overview-default"] = tables.summary(wiring.default_config(node.settings))
    return str(st.session_state["overview-default"])


def _trading_notice(node: TradingNode, snapshot: Snapshot) -> None:
    tripped = breakers.tripped(snapshot)
    if len(tripped) > NOTICES_MAX:
        breakers.listed(tripped, "Their release is on the page Risk, part Breakers.")
    for breaker in tripped if len(tripped) <= NOTICES_MAX else ():
        breakers.notice(node, snapshot, breaker)
    if arming.is_over(snapshot):
        _disarmed(node, snapshot)
    if snapshot.trading_state == TradingState.HALTED:
        reason = formats.sentence(snapshot.reason)
        held = "open positions keep their stops at the broker" if snapshot.positions else "no position is open"
        st.error(
            f"**Halted:** {reason}  \nNothing is sent; {held}. "
            "When you have looked, press Resume trading in the sidebar.",
            icon=":material/block:",
        )
    elif snapshot.trading_state == TradingState.PAUSED:
        st.info("Entries are paused: nothing new is opened, open positions are still managed. Resume in the sidebar.")


def _disarmed(node: TradingNode, snapshot: Snapshot) -> None:
    """Say that a live session opens nothing more, with the form that arms it again, on a phone too."""
    st.warning(
        "**The time for which this session was armed is over.** Nothing new is opened; open positions are still "
        "managed and may be closed.",
        icon=":material/lock_clock:",
    )
    with st.popover("Arm again"):
        arming.again(node, snapshot, "page")


def _closed_trades(node: TradingNode, snapshot: Snapshot) -> tuple[RoundTrip, ...]:
    """Read the newest closed trades, again only after another fill; those that this run took up stand under the last.

    None while there is no database.
    """
    version = (snapshot.run_id, snapshot.counts.fills)
    known, trips = st.session_state.get("overview-closed", (None, ()))
    if known != version:
        trips = _closed_trades_of(node, snapshot.run_id) + _closed_trades_of(node, snapshot.continues)
        st.session_state["overview-closed"] = (version, trips)
    return tuple(trips)


def _closed_trades_of(node: TradingNode, run_id: int | None) -> tuple[RoundTrip, ...]:
    if run_id is None:
        return ()
    with closing(queries.connect_readonly(node.database_path)) as connection:
        rows = queries.trades(connection, run_id=run_id, state="CLOSED", limit=CLOSED_TRADES_MAX)
    return tuple(_round_trip(row) for row in rows)


def _tiles(snapshot: Snapshot) -> None:
    """Draw the key figures; shares are of equity."""
    currency, equity = snapshot.currency, snapshot.equity_home
    with st.grid(min_column_width=165):
        open_pl = formats.signed_money(snapshot.unrealized_pl_home)
        _tile(f"Equity ({currency})", formats.money(equity), f"{open_pl} open P/L", snapshot.unrealized_pl_home)
        day = formats.signed_percent(snapshot.day_pl_pct)
        _tile(
            f"Today P/L ({currency})", formats.signed_money(snapshot.day_pl_home), day, snapshot.day_pl_home,
            _day_help(snapshot),
        )  # fmt: skip
        _drawdown_tile(snapshot)
        risk = f"{_share(snapshot.risk_home, equity)}{_if_stopped(snapshot)}"
        exposed = limit_use.whole(snapshot, "exposure_pct_max") or _share(snapshot.exposure_home, equity)
        _held_tile(snapshot, f"Open risk ({currency})", snapshot.risk_home, risk, positions.risk_help(snapshot))
        _held_tile(snapshot, f"Exposure ({currency})", snapshot.exposure_home, exposed)


def _day_help(snapshot: Snapshot) -> str:
    """Say since when today is, and that the breaker may measure from another moment."""
    begins = f" at {formats.escaped(snapshot.limits.trading_day)}" if snapshot.limits else ""
    anew = limit_use.since(snapshot, limit_use.DAILY_LOSS)
    breaker = f" The breaker daily loss measures {anew}." if anew else ""
    return f"Since the trading day began{begins}, open P/L included.{breaker}"


def _drawdown_tile(snapshot: Snapshot) -> None:
    """Draw the fall from the session's highest equity; what is left stands below it only if measured from there too."""
    worst = f"worst {formats.percent(snapshot.max_drawdown_pct)}"
    anew = limit_use.since(snapshot, limit_use.DRAWDOWN)
    note = worst if anew else limit_use.left(snapshot, limit_use.DRAWDOWN) or worst
    breaker = f" The breaker drawdown measures {anew}, see below." if anew else ""
    _tile(
        "Drawdown", formats.percent(snapshot.drawdown_pct), note,
        help_text=f"From the highest equity of this session. {worst.capitalize()} so far.{breaker}",
    )  # fmt: skip


def _if_stopped(snapshot: Snapshot) -> str:
    """Say in the note of the tile that a figure is not bounded by stops; its help names the trades."""
    missing = len(positions.bare(snapshot))
    return f", {missing} without a stop" if missing else " if all stops hit"


def _held_tile(snapshot: Snapshot, label: str, amount: Decimal, note: str, help_text: str | None = None) -> None:
    """Draw a figure of what is held, unless nobody knows the price of a part of it."""
    if names := positions.unpriced(snapshot):
        _tile(label, "not known", f"no price of {', '.join(names)} yet", help_text=help_text)
    else:
        _tile(label, formats.money(amount), note, help_text=help_text)


def _tile(label: str, value: str, note: str, gain: Decimal | None = None, help_text: str | None = None) -> None:
    """Draw one figure; the note below it is green or red only when it is a gain or a loss."""
    is_coloured = gain is not None and gain != 0
    st.metric(
        label, value, note, border=True, help=help_text,
        delta_color="normal" if is_coloured else "off", delta_arrow="auto" if is_coloured else "off",
    )  # fmt: skip


def _share(amount: Decimal, equity: Decimal) -> str:
    return formats.percent(amount / equity * HUNDRED) if equity > 0 else formats.NOTHING


def _warmup(snapshot: Snapshot) -> None:
    share = tables.warmup_share(snapshot.warmup)
    ready = sum(row.ready for row in snapshot.warmup)
    st.progress(share, text=f"Warming up: {ready} of {len(snapshot.warmup)} instruments ready. Nothing trades before.")
    st.dataframe(
        tables.warmup(snapshot.warmup), column_config=tables.WARMUP_COLUMNS, hide_index=True, key="overview-warmup"
    )


def _candles(snapshot: Snapshot, closed: Sequence[RoundTrip]) -> None:
    instruments = {instrument.name: instrument for instrument in snapshot.instruments}
    if not instruments:
        return
    picked = st.pills(
        "Instrument", list(instruments), default=next(iter(instruments)), required=True, key="overview-instrument",
        label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    instrument = instruments.get(picked or "", next(iter(instruments.values())))
    st.caption(_quote_line(snapshot, instrument))
    bars = snapshot.bars.get(instrument.name, ())
    own = [item for item in snapshot.decisions if item.instrument == instrument.name]
    last = (bars[-1].open_ts_ns if bars else 0, snapshot.counts.fills, own[-1].bar_ts_ns if own else 0)
    held = sum(trade.instrument == instrument.name for trade in snapshot.open_trades)
    live_chart.live_plotly(
        lambda: figures.candles(bars, closed, snapshot.open_trades, own, instrument, snapshot.currency),
        key="overview-candles", subject=f"{snapshot.run_id} {instrument.name}", version=last, height=CANDLES_HEIGHT,
        alt=f"Candles of {instrument.name}, newest {figures.BARS_MAX} bars, {held} open trades with stops and targets",
    )  # fmt: skip


def _quote_line(snapshot: Snapshot, instrument: Instrument) -> str:
    quote = next((item for item in snapshot.quotes if item.instrument == instrument.name), None)
    granularity = f"{snapshot.config.granularity} bars" if snapshot.config else ""
    if quote is None:
        return f"{formats.escaped(instrument.name)}, {granularity}, no quote yet"
    bid, ask = (formats.price(item, instrument.price_decimals) for item in (quote.bid, quote.ask))
    spread = f"{instrument.pips(quote.spread):.1f} pips"
    age = formats.age(quote.age_s(snapshot.ts_ns))
    closed = "" if quote.tradeable else ", **not tradeable now**"
    return (
        f"**{formats.escaped(instrument.name)}** {granularity} &nbsp; bid **{bid}** &nbsp; ask **{ask}** &nbsp; "
        f"spread {spread} &nbsp; quote {age} old (market time){closed}"
    )


def _equity(snapshot: Snapshot) -> None:
    worst = formats.percent(snapshot.max_drawdown_pct)
    st.markdown(f"**Equity and drawdown** ({snapshot.currency}, % below the highest, worst {worst})")
    points = snapshot.equity_curve
    if len(points) < 2:
        st.caption("The curve begins after the second closed bar.")
        return
    build: Callable[[], go.Figure] = lambda: figures.equity(points, snapshot.currency)  # noqa: E731
    live_chart.live_plotly(
        build, key="overview-equity", subject=f"{snapshot.run_id}", version=points[-1].ts_ns, height=EQUITY_HEIGHT,
        alt=f"Equity from {formats.money(points[0].equity_home)} to {formats.money(points[-1].equity_home)} "
        f"{snapshot.currency}, worst drawdown {formats.percent(snapshot.max_drawdown_pct)}",
    )  # fmt: skip


def _decisions(snapshot: Snapshot) -> None:
    st.markdown("**Latest decisions** (one per instrument and closed bar)")
    if not snapshot.decisions:
        st.caption("None yet: the first one follows the next closed bar.")
        return
    newest = snapshot.decisions[: -DECISIONS_SHOWN - 1 : -1]
    st.dataframe(
        pd.DataFrame([_decision_row(decision) for decision in newest]), column_config=DECISION_COLUMNS,
        hide_index=True, key="overview-decisions", alt="Latest decisions with reason and first failing gate",
    )  # fmt: skip


def _decision_row(decision: Decision) -> dict[str, Any]:
    gate = decision.blocking[0] if decision.blocking else None
    return {
        "Bar (UTC)": formats.clock_only(decision.bar_ts_ns),
        "Instrument": decision.instrument,
        "Signal": f"{ARROWS[decision.direction]} {decision.confidence:.2f}" if decision.direction else "flat",
        "Action": decision.action.value,
        "Units": formats.units(decision.units) if decision.units else formats.NOTHING,
        "Reason": decision.reason,
        "First failing gate": _gate(gate, decision.bar_ts_ns) if gate else "",
    }


def _gate(gate: Gate, now_ns: int) -> str:
    return limit_use.brief(f"{formats.label(gate.name)}: {gate.value}, limit {gate.limit}", now_ns)


DECISION_COLUMNS: dict[str, Any] = {
    "Bar (UTC)": column.TextColumn(width=95, help="Begin of the bar that had closed"),
    "Instrument": column.TextColumn(width=80),
    "Signal": column.TextColumn(width=60, help="Direction and confidence 0 to 1 of the model"),
    "Action": column.TextColumn(width=62),
    "Units": column.TextColumn(width=68, alignment="right", help="Size of the order; of a reversal, of its entry"),
    "Reason": column.TextColumn(width=240),
    "First failing gate": column.TextColumn(width=315, help="The first check that an intended entry did not pass"),
}


def _round_trip(row: queries.TradeRow) -> RoundTrip:
    return RoundTrip(
        trade_id=row.trade_id,
        instrument=row.instrument,
        units=row.units if row.side == "long" else -row.units,
        entry_price=row.entry_price,
        exit_price=row.exit_price or row.entry_price,
        opened_ns=row.entry_ns,
        closed_ns=row.exit_ns or row.entry_ns,
        pl_home=row.realized_pl_home + row.financing_home,
        reason=row.exit_reason or "",
    )
