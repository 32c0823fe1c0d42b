"""I am the trades page: every trade of a run from the database, its figures, its sum, and the CSV of what is shown.
I may import streamlit, node, snapshot, the read-only queries, the export and the parts.
I must not write to the database, speak SQL or add up money in floats.
My tests are in tests/ui/test_trades.py.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypedDict

import streamlit as st

from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S
from engine.node import TradingNode
from engine.snapshot import Snapshot
from engine.store import queries
from engine.store.export import trades_csv
from engine.store.queries import RunRow
from pages.parts import account, trade_tables
from pages.parts.formats import escaped
from pages.parts.trade_tables import Identity

PAGE_ROWS = 25
OPEN_ROWS_MAX = 200
REFRESH_S = 2
ALL = "all"


class Selection(TypedDict):
    """What the filters select; the same words for the tables, the figures and the CSV."""

    run_id: int
    instrument: str | None
    state: str | None
    side: str | None


def render() -> None:
    """Draw the page; a database that cannot be read is one sentence, not a traceback."""
    node = TradingNode.attach()
    st.subheader("Trades")
    try:
        with closing(queries.connect_readonly(node.database_path)) as conn:
            runs = queries.runs(conn)
    except (ConfigError, sqlite3.Error) as error:
        _unreadable(node.database_path, error)
        return
    if not runs:
        st.info(
            "No trades yet, because nothing has run. Press Start in the sidebar, or set one up on the page Session."
        )
        return
    run = _choose_run(runs, node.snapshot)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        selection = _filters(run, _instruments(node.database_path, run))
        _csv_button(node.database_path, run, selection)
    keeper = _keeper(runs, run)
    follows = _is_live(keeper, node.snapshot)
    st.fragment(_tables, run_every=REFRESH_S if follows else None)(node, run, keeper, selection)


def _keeper(runs: Sequence[RunRow], run: RunRow) -> RunRow:
    """The newest run that goes on with the books of this one, or itself: what is open was last seen by that one."""
    return next((each for each in runs if run.run_id in trade_tables.books(runs, each.run_id)), run)


def _instruments(path: Path, run: RunRow) -> tuple[str, ...]:
    """Instruments of the run and of what else was traded on its account by hand."""
    named = set((run.instruments or "").split(","))
    if run.account is not None:
        with closing(queries.connect_readonly(path)) as conn:
            named |= {trade.instrument for trade in queries.each_trade(conn, run.run_id)}
    return tuple(sorted(named))


def _unreadable(path: Path, error: Exception) -> None:
    text = str(error) if isinstance(error, ConfigError) else f"Database {path.name} cannot be read now: {error}."
    st.error(escaped(text), icon=":material/database_off:")


def _is_live(run: RunRow, snapshot: Snapshot) -> bool:
    return snapshot.active and snapshot.run_id == run.run_id


def _choose_run(runs: Sequence[RunRow], snapshot: Snapshot) -> RunRow:
    """Offer the newest runs; a run that began since the last look is shown by itself."""
    by_id = {run.run_id: run for run in runs}
    if st.session_state.get("trades.newest") != runs[0].run_id:
        st.session_state["trades.newest"] = st.session_state["trades.run"] = runs[0].run_id

    def label(run_id: int) -> str:
        run = by_id[run_id]
        return trade_tables.run_label(run, live=_is_live(run, snapshot))

    chosen = st.selectbox("Run", list(by_id), format_func=label, key="trades.run", persist_state="session")
    return by_id[chosen]


def _filters(run: RunRow, instruments: Sequence[str]) -> Selection:
    state = st.segmented_control(
        "State", [ALL, "OPEN", "CLOSED"], default=ALL, required=True, format_func=str.lower,
        key="trades.state", persist_state="session",
    )  # fmt: skip
    side = st.segmented_control(
        "Side", [ALL, "long", "short"], default=ALL, required=True,
        format_func=lambda name: trade_tables.SIDES.get(name, name), key="trades.side", persist_state="session",
    )  # fmt: skip
    instrument = st.selectbox(
        "Instrument", [ALL, *instruments],
        key="trades.instrument", persist_state="session", width=200,
    )  # fmt: skip
    return Selection(
        run_id=run.run_id,
        instrument=None if instrument == ALL else instrument,
        state=None if state == ALL else state,
        side=None if side == ALL else side,
    )


def _csv_button(path: Path, run: RunRow, selection: Selection) -> None:
    """Offer what the filters select as a file; it is built when clicked, from the database, without a rerun."""
    st.download_button(
        "Export CSV",
        data=csv_of(path, selection),
        file_name=csv_name(run),
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="trades.csv",
        help="The trades that the filters select, with every decimal.",
    )


def csv_of(path: Path, selection: Selection) -> Callable[[], bytes]:
    """Return what builds the file when the button is clicked; Streamlit calls it in a thread of its own."""
    return partial(trades_csv, path, **selection)


def csv_name(run: RunRow) -> str:
    """Name the file by run and by the day of market time on which the run began."""
    if run.started_ns is None:
        return f"trades-run{run.run_id}.csv"
    day = datetime.fromtimestamp(run.started_ns // NS_PER_S, tz=UTC)
    return f"trades-run{run.run_id}-{day:%Y-%m-%d}.csv"


def _tables(node: TradingNode, run: RunRow, keeper: RunRow, selection: Selection) -> None:
    """Draw everything that changes while the run goes on."""
    snapshot = node.snapshot
    try:
        with closing(queries.connect_readonly(node.database_path)) as conn:
            _draw(conn, run, keeper, selection, snapshot)
    except (ConfigError, sqlite3.Error) as error:
        _unreadable(node.database_path, error)


def _draw(conn: sqlite3.Connection, run: RunRow, keeper: RunRow, selection: Selection, snapshot: Snapshot) -> None:
    live = _is_live(run, snapshot)
    sums = trade_tables.totals(queries.each_trade(conn, **selection))
    _figures(sums, run)
    _identity(_sum(conn, run, snapshot), run)
    _elsewhere(conn, run)
    if not sums.open and not sums.closed:
        _empty(run, live, selection)
        return
    if sums.open:
        _open_trades(conn, selection, sums.open, snapshot if _is_live(keeper, snapshot) else None, run, keeper)
    if sums.closed:
        _closed_trades(conn, selection, sums.closed)


def _figures(sums: trade_tables.Totals, run: RunRow) -> None:
    with st.grid(min_column_width=150):
        for label, value, note in trade_tables.figures(sums, run.opening_balance_home):
            money = label in ("Net P/L", "Average trade", "Financing")
            st.metric(
                f"{label} ({run.currency})" if money else label, value, note,
                border=True, delta_color="off", delta_arrow="off",
            )  # fmt: skip


def _sum(conn: sqlite3.Connection, run: RunRow, snapshot: Snapshot) -> Identity | None:
    """Take the sum of a run that is over from the database, of the running one from its own books.

    On an account at OANDA the trades that stand under a run are not what it booked: then from its books while they are
    in memory, else None.
    """
    if _is_live(run, snapshot) or (run.account is not None and snapshot.run_id == run.run_id):
        return Identity(
            opening_home=snapshot.opening_balance_home,
            realized_pl_home=snapshot.realized_pl_home,
            financing_home=snapshot.financing_home,
            commission_home=snapshot.commission_home,
            transferred_home=snapshot.transferred_home if run.account is not None else trade_tables.ZERO,
            closing_home=snapshot.balance_home,
            closing_word="balance now" if snapshot.active else "closing",
        )
    if run.account is not None or run.opening_balance_home is None or run.closing_balance_home is None:
        return None
    whole_run = trade_tables.totals(queries.each_trade(conn, run.run_id))
    return Identity(
        opening_home=run.opening_balance_home,
        realized_pl_home=whole_run.realized_pl_home,
        financing_home=whole_run.financing_home,
        commission_home=sum((fill.commission_home for fill in queries.fills(conn, run.run_id)), trade_tables.ZERO),
        closing_home=run.closing_balance_home,
    )


def _identity(identity: Identity | None, run: RunRow) -> None:
    if identity is None:
        st.caption(_no_sum(run))
    elif identity.difference_home:
        missing = f"{trade_tables.exact(identity.difference_home)} {run.currency}"
        text = f"The books do not agree by {missing}: {identity.text(run.currency or '')}"
        st.error(escaped(text), icon=":material/error:")
    else:
        st.caption(f":green[:material/check_circle:] Whole run: {escaped(identity.text(run.currency or ''))}")


def _no_sum(run: RunRow) -> str:
    """Say why there is no sum below the figures."""
    if run.opening_balance_home is None or run.closing_balance_home is None:
        return "This run was interrupted before its closing balance was written."
    opening, closing_ = (trade_tables.exact(each) for each in (run.opening_balance_home, run.closing_balance_home))
    return (
        f"Balance from {opening} to {closing_} {run.currency}. What was booked in between belongs to trades of other "
        "runs too; python -m engine store verify adds it up."
    )


def _elsewhere(conn: sqlite3.Connection, run: RunRow) -> None:
    """Say where the trades are that this run took up from the runs before it."""
    if run.continues is None:
        return
    before = trade_tables.books(queries.runs(conn, limit=-1), run.run_id)[1:]
    count = sum(queries.count_trades(conn, run_id=each, state="OPEN") for each in before)
    still = f" {count} of them {'is' if count == 1 else 'are'} open." if count else ""
    st.caption(
        f"This run goes on with the books of run {run.continues}. A trade stands under the run that opened it, so what "
        f"was open then is listed there.{still}"
    )


def _empty(run: RunRow, live: bool, selection: Selection) -> None:
    if any(selection[name] for name in ("instrument", "state", "side")):
        st.info("No trade of this run matches the filters. Set them to all to see every trade.")
    elif live:
        st.info(
            "No trades yet. The first one appears here by itself; the page Overview shows why the last bar had none."
        )
    else:
        st.info(f"Run {run.run_id} made no trade. Choose another run above, or start one on the page Session.")


def _open_trades(
    conn: sqlite3.Connection,
    selection: Selection,
    count: int,
    snapshot: Snapshot | None,
    run: RunRow,
    keeper: RunRow,
) -> None:
    rows = queries.trades(conn, **_in_state(selection, "OPEN"), limit=OPEN_ROWS_MAX)
    quotes = {quote.instrument: quote for quote in snapshot.quotes} if snapshot else {}
    now_ns = snapshot.ts_ns if snapshot else keeper.ended_ns
    st.markdown(f"##### Open trades ({count:,})")
    if snapshot is None and run.mode in account.OUTSIDE:
        whose = "the run" if keeper.run_id == run.run_id else f"run {keeper.run_id}, which took them up,"
        st.caption(
            f"As they stood when {whose} ended. They stayed at OANDA with their stops; what came later is not here."
        )
    elif keeper.run_id != run.run_id:
        st.caption(f"Run {keeper.run_id} took them up and goes on with them now.")
    st.dataframe(
        trade_tables.opened(rows, now_ns, quotes),
        column_config=trade_tables.OPEN_COLUMNS,
        hide_index=True,
        key="trades.open",
    )


def _closed_trades(conn: sqlite3.Connection, selection: Selection, count: int) -> None:
    st.markdown(f"##### Closed trades ({count:,})")
    pages = -(-count // PAGE_ROWS)
    page = st.session_state.get(_page_key(selection), 1)
    page = min(page, pages)
    rows = queries.trades(conn, **_in_state(selection, "CLOSED"), limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS)
    st.dataframe(
        trade_tables.closed(sorted(rows, key=lambda row: row.exit_ns or 0, reverse=True)),
        column_config=trade_tables.CLOSED_COLUMNS,
        hide_index=True,
        height="content",
        key="trades.closed",
    )
    if pages > 1:
        st.pagination(pages, key=_page_key(selection), max_visible_pages=7)


def _in_state(selection: Selection, state: str) -> Selection:
    """Narrow what is selected to one state."""
    return Selection(
        run_id=selection["run_id"], instrument=selection["instrument"], state=state, side=selection["side"]
    )


def _page_key(selection: Selection) -> str:
    """Begin at the first page again when the filters change."""
    return f"trades.page.{'.'.join(str(value) for value in selection.values())}"
