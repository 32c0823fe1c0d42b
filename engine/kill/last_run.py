"""I am the last run as the database has it: how it stands, what it left open, what has tripped.
I may import the store's reading side and the domain.
I must not write, not even the side files that SQLite leaves beside a database that it reads.
My tests are in tests/unit/test_kill.py.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec

from engine.domain.calendar import iso_utc
from engine.domain.error import ConfigError
from engine.domain.event import TradingState, TradingStateChanged
from engine.store.queries import RunRow, connect_readonly, runs, trades
from engine.store.rebuild import read_event
from engine.store.schema import check_ours, refusal

_BREAKERS = "SELECT breaker, tripped_ns, measured, allowed FROM breakers WHERE run_id = ? AND released_ns IS NULL"
_STATES = """SELECT seq, kind, payload FROM events WHERE run_id = ? AND kind = 'TradingStateChanged'
    ORDER BY seq DESC LIMIT 1"""
_CONTINUES = "SELECT continues FROM runs WHERE run_id = ?"


class TradeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One open trade; units are signed."""

    trade_id: str
    instrument: str
    units: str


class BreakerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that has tripped in the last run and was not released; tripped is market time."""

    breaker: str
    tripped: str
    measured: str
    allowed: str


class TradingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders may leave, as last recorded: a TradingState, since when (market time), and why."""

    state: str
    since: str | None
    reason: str


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of the database as far as it is on the disk; started and ended are market time.

    trading_state is None for a run that has ended: the next one begins with its own.
    """

    run_id: int
    mode: str | None
    status: str
    started: str | None
    ended: str | None
    reason: str | None
    trading_state: TradingStatus | None
    open_trades: tuple[TradeStatus, ...]
    breakers: tuple[BreakerStatus, ...]


def last_run(database: Path, *, at_rest: bool) -> RunStatus | None:
    """Read the newest run; None when there is none. `at_rest` says that no engine has the database open.

    Raises ConfigError or sqlite3.Error.
    """
    with closing(_connected(database, at_rest)) as conn:
        found = next(iter(runs(conn, 1)), None)
        return _run_status(conn, found) if found else None


def _connected(database: Path, at_rest: bool) -> sqlite3.Connection:
    """A file that nobody changes can be read as it lies, on a disk too where nothing can be written."""
    if not at_rest or not database.is_file() or not database.stat().st_size or Path(f"{database}-wal").exists():
        return connect_readonly(database)
    conn = sqlite3.connect(f"file:{quote(str(database.absolute()))}?mode=ro&immutable=1", uri=True)
    try:
        check_ours(conn, database)
    except (sqlite3.Error, ConfigError) as error:
        conn.close()
        raise error if isinstance(error, ConfigError) else refusal(database, error) from error
    return conn


def _run_status(conn: sqlite3.Connection, run: RunRow) -> RunStatus:
    books = tuple(_books(conn, run))
    return RunStatus(
        run_id=run.run_id,
        mode=run.mode,
        status=run.status,
        started=iso_utc(run.started_ns) if run.started_ns is not None else None,
        ended=iso_utc(run.ended_ns) if run.ended_ns is not None else None,
        reason=run.reason,
        trading_state=_trading_state(conn, run) if run.status == "RUNNING" else None,
        open_trades=tuple(trade for run_id in books for trade in _open_trades(conn, run_id)),
        breakers=tuple(breaker for run_id in books for breaker in _breakers(conn, run_id)),
    )


def _trading_state(conn: sqlite3.Connection, run: RunRow) -> TradingStatus:
    """A session records each change, beginning with the first one away from ACTIVE."""
    row = conn.execute(_STATES, (run.run_id,)).fetchone()
    event = read_event(*row) if row else None
    if isinstance(event, TradingStateChanged):
        return TradingStatus(state=event.state, since=iso_utc(event.ts_ns), reason=event.reason)
    since = iso_utc(run.started_ns) if run.started_ns is not None else None
    return TradingStatus(state=TradingState.ACTIVE, since=since, reason="")


def _books(conn: sqlite3.Connection, run: RunRow) -> Iterator[int]:
    """Name the run and those whose books it goes on with: what is open stands in the run that opened it."""
    yield run.run_id
    before = run.continues
    while before is not None:
        yield before
        before = (conn.execute(_CONTINUES, (before,)).fetchone() or (None,))[0]


def _open_trades(conn: sqlite3.Connection, run_id: int) -> Iterator[TradeStatus]:
    for trade in trades(conn, run_id, state="OPEN", limit=-1):
        units = trade.units_open if trade.side == "long" else -trade.units_open
        yield TradeStatus(trade_id=trade.trade_id, instrument=trade.instrument, units=str(units))


def _breakers(conn: sqlite3.Connection, run_id: int) -> Iterator[BreakerStatus]:
    for name, tripped_ns, measured, allowed in conn.execute(_BREAKERS, (run_id,)):
        yield BreakerStatus(breaker=name, tripped=iso_utc(tripped_ns), measured=measured, allowed=allowed)
