"""I am the making of every table again from the events, and the end of runs that nobody ended.
I may import the domain, and codec, projections and schema of my own floor.
I must not change an event, nor leave a table half made.
My tests are in tests/unit/store/test_rebuild.py.
"""

import sqlite3
from collections.abc import Iterable

from sqlite_utils import Database

from engine.domain.error import ConfigError
from engine.domain.event import Event, SessionStarted
from engine.store.codec import decode
from engine.store.projections import Projector
from engine.store.schema import COLUMNS

REBUILD_BATCH = 5_000

CUT_OFF = "The process ended before the session was stopped."
NOT_BEGUN = "The session could not begin."
# The newest event tells: only one run is recorded at a time, and to look for others would read them all.
_FORGET_EMPTY = """DELETE FROM runs WHERE status = 'RUNNING' AND mode IS NULL
    AND run_id IS NOT (SELECT run_id FROM events ORDER BY seq DESC LIMIT 1)"""
_ABORT_RUN = """UPDATE runs SET status = 'ABORTED', reason = ?,
    ended_ns = (SELECT ts_ns FROM events WHERE run_id = runs.run_id ORDER BY seq DESC LIMIT 1),
    closing_balance_home = coalesce((SELECT balance_home FROM transactions WHERE run_id = runs.run_id
        AND balance_home IS NOT NULL ORDER BY transaction_id DESC LIMIT 1), opening_balance_home),
    equity_home = (SELECT equity_home FROM decisions WHERE run_id = runs.run_id ORDER BY seq DESC LIMIT 1),
    decisions = (SELECT count(*) FROM decisions WHERE run_id = runs.run_id),
    orders = (SELECT count(*) FROM orders WHERE run_id = runs.run_id),
    fills = (SELECT count(*) FROM fills WHERE run_id = runs.run_id),
    trades = (SELECT count(*) FROM trades WHERE run_id = runs.run_id) WHERE run_id = ?"""

_FORGET_RUNS = """UPDATE runs SET status = 'RUNNING', mode = NULL, started_ns = NULL, ended_ns = NULL,
    instruments = NULL, granularity = NULL, model_id = NULL, model_sha256 = NULL, seed = NULL, currency = NULL,
    opening_balance_home = NULL, closing_balance_home = NULL, equity_home = NULL, max_drawdown_pct = NULL, bars = NULL,
    decisions = NULL, orders = NULL, fills = NULL, trades = NULL, reason = NULL, config = NULL, digest = NULL,
    account = NULL, continues = NULL"""


def abort_left_over_runs(conn: sqlite3.Connection, reason: str = CUT_OFF) -> None:
    """Mark runs that were never stopped as ABORTED, with what is known of them, inside the caller's transaction.

    One of which nothing was recorded is gone: it would hide the last real one. Its number is not given again.
    """
    conn.execute(_FORGET_EMPTY)
    for (run_id,) in conn.execute("SELECT run_id FROM runs WHERE status = 'RUNNING'").fetchall():
        conn.execute(_ABORT_RUN, (reason, run_id))


def rebuild(db: Database) -> int:
    """Make every table again from the events, in one transaction; returns the number of events.

    Raises ConfigError naming the first event that cannot be read, and then has changed nothing.
    """
    with db.atomic():
        aborted = db.execute("SELECT run_id, reason FROM runs WHERE status = 'ABORTED'").fetchall()
        for table in COLUMNS.keys() - {"events"}:
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own schema
        db.execute(_FORGET_RUNS)
        count = _replay(db.conn)
        for run_id, reason in aborted:  # no event tells why
            db.execute(_ABORT_RUN, (NOT_BEGUN if reason == NOT_BEGUN else CUT_OFF, run_id))
    return count


def _replay(conn: sqlite3.Connection) -> int:
    projectors: dict[int, Projector] = {}
    count = 0
    for seq, run_id, kind, payload in conn.execute("SELECT seq, run_id, kind, payload FROM events ORDER BY seq"):
        event = read_event(seq, kind, payload)
        if run_id not in projectors:
            projectors[run_id] = Projector(run_id, _past(projectors, seq, event))
        projectors[run_id].apply(seq, event, payload.encode())
        count += 1
        if count % REBUILD_BATCH == 0:
            _flush(projectors.values(), conn)
    _flush(projectors.values(), conn)
    return count


def _flush(projectors: Iterable[Projector], conn: sqlite3.Connection) -> None:
    for projector in projectors:
        projector.write(conn)
        projector.clear()


def _past(projectors: dict[int, Projector], seq: int, event: Event) -> Projector | None:
    if not isinstance(event, SessionStarted) or event.continues is None:
        return None
    if event.continues not in projectors:
        raise ConfigError(f"Event {seq} of the journal continues run {event.continues}, which is not recorded.")
    return projectors[event.continues]


def read_event(seq: int, kind: str, payload: str) -> Event:
    """Read one event back; raises ConfigError naming it when it cannot be read."""
    try:
        return decode(kind, payload)
    except ValueError as error:
        raise ConfigError(f"Event {seq} of the journal cannot be read: {error}.") from error
