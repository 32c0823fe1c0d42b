"""I am the journal: the one writer of the database, durable when commit() returns.
I may import the domain, ports' shape, and chain, codec, past, projections, rebuild, rows and schema of my own floor.
I must not be used from two threads, nor acknowledge what is not on the disk.
My tests are in tests/unit/store/test_journal.py, test_digest.py and test_faults.py.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from engine.domain.error import HaltTrading
from engine.domain.event import Event
from engine.ports import Curfew, Past
from engine.store.chain import ORIGIN, link
from engine.store.codec import encode
from engine.store.past import followed, read_curfew, read_order_ids, read_past
from engine.store.projections import Projector
from engine.store.rebuild import NOT_BEGUN, abort_left_over_runs
from engine.store.rows import references
from engine.store.schema import BUSY_TIMEOUT_MS, CHECKPOINT_PAGES, open_database, refusal

_INSERT_EVENT = """INSERT INTO events (seq, run_id, ts_ns, kind, payload, client_order_id, command_id, chain)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_LAST = "SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1"
# A checkpoint syncs whatever the mode, so a run without syncs has fewer of them: the log may grow to 64 MB.
_SYNCED = ("PRAGMA synchronous=FULL", f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
_UNSYNCED = ("PRAGMA synchronous=NORMAL", f"PRAGMA wal_autocheckpoint={4 * CHECKPOINT_PAGES}")

EventRow = tuple[int, int, int, str, str, str | None, str | None, bytes | None]


class SqliteJournal:
    """The record of one run (ports.Journal); made by JournalStore.begin_run."""

    def __init__(self, store: "JournalStore", projector: Projector, next_seq: int, chain: bytes) -> None:
        self._store = store
        self._run_id = projector.run_id
        self._next_seq = next_seq
        self._chain = chain
        self._events: list[EventRow] = []
        self._projector = projector

    @property
    def run_id(self) -> int:
        """Number of this run; unique for ever in this database."""
        return self._run_id

    def append(self, event: Event) -> None:
        """Add an event; durable only after commit(). Raises HaltTrading when it contradicts the trades so far."""
        payload = encode(event)
        seq = self._next_seq
        self._projector.apply(seq, event, payload)
        kind = type(event).__name__
        self._events.append((seq, self._run_id, event.ts_ns, kind, payload.decode(), *references(event), None))
        self._next_seq = seq + 1

    def commit(self) -> None:
        """Make everything appended durable, with its tables, in one transaction.

        Raises HaltTrading when that is impossible; the file is then as it was, and a later commit() tries again.
        """
        if self._events:
            chain = link(self._chain, [event[:5] for event in self._events])
            chained = [*self._events[:-1], (*self._events[-1][:-1], chain)]
            self._store.write(self, chained, self._projector)
            self._chain = chain
            self._events.clear()
            self._projector.clear()

    def digest(self) -> str:
        """Hash of every event appended so far, 64 hex digits; see codec.RunDigest for what it leaves out."""
        return self._projector.digest.hexdigest()


class JournalStore:
    """A database open for writing, by the thread that opened it."""

    def __init__(self, db: Database, path: Path, wall_ns: Callable[[], int]) -> None:
        self.path = path
        self._db = db
        self._wall_ns = wall_ns
        self._files: tuple[tuple[int, int], ...] = ()
        self._current: SqliteJournal | None = None
        self._opened = _identity(path)

    @property
    def intact(self) -> bool:
        """Say whether the file at our path is still the one that was opened."""
        return self._opened is not None and _identity(self.path) == self._opened

    def give_up_run(self) -> None:
        """Mark a run that could not begin as ABORTED, or forget it if nothing was recorded; raises HaltTrading."""
        self._current = None
        try:
            self._end_transaction()
            with self._db.atomic():
                abort_left_over_runs(self._db.conn, NOT_BEGUN)
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error

    def past(self, account: str) -> Past | None:
        """Return what was recorded of an account since its books began; None when nothing was, or account is "".

        Raises HaltTrading when the database cannot be read, ConfigError naming an event that cannot be.
        """
        try:
            return read_past(self._db.conn, account)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def curfew(self, account: str) -> Curfew | None:
        """Return what the runs of an account leave behind whatever books they kept; None for a simulated account.

        Raises HaltTrading when the database cannot be read, ConfigError naming an event that cannot be.
        """
        try:
            return read_curfew(self._db.conn, account)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def order_ids(self, account: str) -> frozenset[str]:
        """Return the client ids of every order that this database ever made for an account; raises HaltTrading."""
        try:
            return read_order_ids(self._db.conn, account)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def begin_run(self, *, synced: bool = True, past: Past | None = None) -> SqliteJournal:
        """Begin the record of a new run; one run at a time, an earlier one that was not stopped is ABORTED.

        A run that goes on with a past changes the rows of what was open there, and its SessionStarted must say that it
        continues past.run_id.

        synced commits survive a loss of power (synchronous=FULL); without it they survive only the end of the
        process, which is enough for a replay: it can be run again (docs/adr/0008). Raises HaltTrading when the
        database cannot be written.
        """
        try:
            self._end_transaction()
            for pragma in _SYNCED if synced else _UNSYNCED:
                self._db.execute(pragma)
            with self._db.atomic():
                abort_left_over_runs(self._db.conn)
                started = "INSERT INTO runs (status, started_wall_ns) VALUES ('RUNNING', ?)"
                run_id = int(self._db.execute(started, [self._wall_ns()]).lastrowid or 0)
                last_seq, chain = self._db.execute(_LAST).fetchone() or (0, ORIGIN)
                projector = Projector(run_id, followed(self._db.conn, past.run_id) if past else None)
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error
        self._files = self._identities()
        self._current = SqliteJournal(self, projector, last_seq + 1, chain)
        return self._current

    def write(self, journal: SqliteJournal, events: list[EventRow], projector: Projector) -> None:
        """Write what one journal holds back, all or nothing; raises HaltTrading."""
        if journal is not self._current:
            raise self._halt(f"run {journal.run_id} is over")
        if self._identities() != self._files:
            raise self._halt("the file was deleted or replaced while in use")
        try:
            self._end_transaction()
            with self._db.atomic():
                self._db.conn.executemany(_INSERT_EVENT, events)
                projector.write(self._db.conn)
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error

    def close(self) -> None:
        """Close the file; what was appended and not committed is gone."""
        self._current = None
        self._db.conn.close()

    def _end_transaction(self) -> None:
        """Roll back what a failing disk left open: a commit within it would be acknowledged and never be one."""
        if self._db.conn.in_transaction:
            self._db.conn.rollback()

    def _identities(self) -> tuple[tuple[int, int], ...]:
        """Tell which files stand at our paths: SQLite would go on writing into a deleted database or log."""
        try:
            found = [os.stat(self.path), os.stat(f"{self.path}-wal")]
        except OSError:
            return ()
        return tuple((item.st_dev, item.st_ino) for item in found)

    def _unreadable(self, error: sqlite3.Error) -> HaltTrading:
        return HaltTrading(f"The journal {self.path.name} cannot be read ({error}); nothing was begun.")

    def _halt(self, cause: str) -> HaltTrading:
        return HaltTrading(
            f"The journal {self.path.name} cannot be written ({cause}); nothing of this step was stored."
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_journal(path: Path, *, wall_ns: Callable[[], int], busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> JournalStore:
    """Open the database of a data folder for writing: made or migrated, left-over runs marked ABORTED.

    wall_ns gives the wall clock in UTC nanoseconds. Raises ConfigError, with nothing written, when the file or its
    folder is missing, damaged, read-only, in use, newer than this Keel or another program's.
    """
    db = open_database(path, busy_timeout_ms)
    try:
        with db.atomic():
            abort_left_over_runs(db.conn)
    except sqlite3.Error as error:
        db.conn.close()
        raise refusal(path, error) from error
    return JournalStore(db, path, wall_ns)
