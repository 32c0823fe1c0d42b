"""I am the open positions: what is held, what it may lose, and which trades have no stop.
I may import streamlit, pandas, wiring's catalogue, the domain, snapshot and formats.
I must not send a command, nor call a loss known that is not.
My tests are in tests/ui/test_positions.py.
"""

from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from engine import wiring
from engine.domain.account import Trade
from engine.domain.instrument import Instrument
from engine.snapshot import PositionView, Snapshot
from pages.parts import formats, trade_tables

NO_STOP = "no stop"
# Read well on both grounds; the word itself says what the colour does.
_RED = "color: #dc3545"
_RISK = "What equity falls from now on if every stop is hit at its price."


def draw(snapshot: Snapshot) -> None:
    """Draw the table of positions, and name below it what has no stop or no price."""
    st.markdown(f"**Open positions** (amounts in {snapshot.currency})")
    if not snapshot.open_trades:
        st.caption("No open position.")
        return
    if snapshot.positions:
        _table(snapshot)
    if names := unpriced(snapshot):
        held = formats.escaped(", ".join(names))
        st.caption(f":orange[:material/hourglass_top: {held} is held and has no price yet; nobody knows its worth.]")
    if words := without_stop(snapshot):
        st.caption(f":red[:material/gpp_maybe: {words}]")


def _table(snapshot: Snapshot) -> None:
    rows = pd.DataFrame([_row(snapshot, position) for position in snapshot.positions])
    is_bare = any(level.startswith(NO_STOP) for level in rows["SL"])
    st.dataframe(
        rows.style.map(_colour, subset=["SL"]) if is_bare else rows,
        column_config=COLUMNS, hide_index=True, key="overview-positions",
        alt="Open positions with money at risk, stops and open profit or loss",
    )  # fmt: skip


def bare(snapshot: Snapshot) -> tuple[Trade, ...]:
    """Open trades without a stop."""
    return tuple(trade for trade in snapshot.open_trades if trade.stop_loss is None)


def unpriced(snapshot: Snapshot) -> tuple[str, ...]:
    """Instruments that are held and that nobody can value yet."""
    priced = {position.instrument for position in snapshot.positions}
    return tuple(sorted({trade.instrument for trade in snapshot.open_trades} - priced))


def without_stop(snapshot: Snapshot) -> str:
    """Name the trades without a stop, and what becomes of them; empty when each has one."""
    foreign = {each.trade.trade_id for each in snapshot.foreign_trades}
    ours = [trade for trade in bare(snapshot) if trade.trade_id not in foreign]
    others = [trade for trade in bare(snapshot) if trade.trade_id in foreign]
    parts = []
    if ours:
        parts.append(f"{_named(ours)}{'; Keel sets one within seconds' if snapshot.active else ''}")
    if others:
        parts.append(f"{_named(others)}, not opened by Keel")
    return f"**{NO_STOP.capitalize()}:** {'; '.join(parts)}." if parts else ""


def risk_help(snapshot: Snapshot) -> str:
    """Say what the figure for open risk is, and which trades count with their whole value."""
    words = without_stop(snapshot)
    return f"{_RISK} :red[{words}] A trade without a stop counts with its whole value." if words else _RISK


def price_decimals(snapshot: Snapshot, name: str) -> int:
    """Number of decimals of the prices of an instrument that is held, which need not be one that is traded."""
    found = _instrument(snapshot, name)
    return found.price_decimals if found else trade_tables.DECIMALS_UNKNOWN


def _instrument(snapshot: Snapshot, name: str) -> Instrument | None:
    return next((item for item in snapshot.instruments if item.name == name), wiring.catalogue().get(name))


def _named(trades: list[Trade]) -> str:
    return formats.escaped(", ".join(f"trade {trade.trade_id} in {trade.instrument}" for trade in trades))


def _row(snapshot: Snapshot, position: PositionView) -> dict[str, Any]:
    decimals = price_decimals(snapshot, position.instrument)
    foreign = {"Not Keel's": _foreign(snapshot, position.instrument)} if snapshot.foreign_trades else {}
    return {
        "Instrument": position.instrument,
        "Side": formats.side(position.units),
        "Units": formats.units(position.units),
        **foreign,
        "Entry": formats.price(position.average_price, decimals),
        "Price": formats.price(position.price_now, decimals),
        "P/L": formats.signed_money(position.unrealized_pl_home),
        "At risk": formats.money(position.risk_home),
        "SL": _stop(snapshot, position.instrument, decimals),
        "TP": _level([trade.take_profit for trade in _trades(snapshot, position.instrument)], decimals),
        "To stop": _to_stop(snapshot, position),
        "Opened (UTC)": formats.clock_only(position.opened_ns),
    }


def _foreign(snapshot: Snapshot, name: str) -> str:
    """How much of a position Keel did not open; empty when it opened all of it."""
    units = sum(
        (each.trade.units for each in snapshot.foreign_trades if each.trade.instrument == name), start=formats.ZERO
    )
    return f"{formats.side(units)} {formats.units(units)}" if units else ""


def _trades(snapshot: Snapshot, name: str) -> list[Trade]:
    return [trade for trade in snapshot.open_trades if trade.instrument == name]


def _stop(snapshot: Snapshot, name: str, decimals: int) -> str:
    """The price that all stops of the instrument share, "several", or that one or all of its trades have none."""
    stops = [trade.stop_loss for trade in _trades(snapshot, name)]
    missing = stops.count(None)
    if missing:
        return NO_STOP if missing == len(stops) else f"{NO_STOP} on {missing} of {len(stops)}"
    return _level(stops, decimals)


def _level(levels: list[Decimal | None], decimals: int) -> str:
    """The price that all of them share, "none" or "several"."""
    if len(set(levels)) > 1:
        return "several"
    level = next(iter(levels), None)
    return "none" if level is None else formats.price(level, decimals)


def _to_stop(snapshot: Snapshot, position: PositionView) -> str:
    instrument = _instrument(snapshot, position.instrument)
    if position.stop_loss is None or instrument is None:
        return formats.NOTHING
    side = 1 if position.units > 0 else -1
    return f"{instrument.pips((position.price_now - position.stop_loss) * side):.1f} pips"


def _colour(level: object) -> str:
    return _RED if str(level).startswith(NO_STOP) else ""


COLUMNS: dict[str, Any] = {
    "Instrument": column.TextColumn(pinned=True),
    **{
        name: column.TextColumn(alignment="right", help=help_text)
        for name, help_text in (
            ("Units", "Size in base currency or ounces"),
            ("Not Keel's", "How much of it was opened elsewhere"),
            ("Entry", "Average price of the open trades"),
            ("Price", "Where it would close now: bid for a long, ask for a short"),
            ("P/L", "Open profit or loss at that price"),
            ("At risk", "Lost from here if every stop is hit at its price; without a stop, the whole value"),
            ("SL", "Stop-loss"),
            ("TP", "Take-profit"),
            ("To stop", "Distance of the price from the stop"),
        )
    },
}
