"""I am the journal: the one writer of the database, durable when commit() returns.
I may import the domain, ports' shape, and codec, projections, rows and schema of my own floor.
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
from engine.store.codec import encode
from engine.store.projections import Projector, abort_left_over_runs, insert_sql
from engine.store.rows import Row, references
from engine.store.schema import BUSY_TIMEOUT_MS, CHECKPOINT_PAGES, open_database, refusal

_INSERT_EVENT = insert_sql("events")
# A checkpoint syncs whatever the mode, so a run without syncs has fewer of them: the log may grow to 64 MB.
_SYNCED = ("PRAGMA synchronous=FULL", f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
_UNSYNCED = ("PRAGMA synchronous=NORMAL", f"PRAGMA wal_autocheckpoint={4 * CHECKPOINT_PAGES}")


class SqliteJournal:
    """The record of one run (ports.Journal); made by JournalStore.begin_run."""

    def __init__(self, store: "JournalStore", run_id: int, next_seq: int) -> None:
        self._store = store
        self._run_id = run_id
        self._next_seq = next_seq
        self._events: list[Row] = []
        self._projector = Projector(run_id)

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
        self._events.append((seq, self._run_id, event.ts_ns, kind, *references(event), payload.decode()))
        self._next_seq = seq + 1

    def commit(self) -> None:
        """Make everything appended durable, with its tables, in one transaction.

        Raises HaltTrading when that is impossible; the file is then as it was, and a later commit() tries again.
        """
        if self._events:
            self._store.write(self, self._events, self._projector)
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
        """Mark a run that could not begin as ABORTED; raises HaltTrading."""
        self._current = None
        try:
            with self._db.atomic():
                abort_left_over_runs(self._db.conn)
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error

    def begin_run(self, *, synced: bool = True) -> SqliteJournal:
        """Begin the record of a new run; one run at a time, an earlier one that was not stopped is ABORTED.

        synced commits survive a loss of power (synchronous=FULL); without it they survive only the end of the
        process, which is enough for a replay: it can be run again (docs/adr/0008). Raises HaltTrading when the
        database cannot be written.
        """
        try:
            for pragma in _SYNCED if synced else _UNSYNCED:
                self._db.execute(pragma)
            with self._db.atomic():
                abort_left_over_runs(self._db.conn)
                started = "INSERT INTO runs (status, started_wall_ns) VALUES ('RUNNING', ?)"
                run_id = self._db.execute(started, [self._wall_ns()]).lastrowid
                last_seq = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error
        self._files = self._identities()
        self._current = SqliteJournal(self, int(run_id or 0), last_seq + 1)
        return self._current

    def write(self, journal: SqliteJournal, events: list[Row], projector: Projector) -> None:
        """Write what one journal holds back, all or nothing; raises HaltTrading."""
        if journal is not self._current:
            raise self._halt(f"run {journal.run_id} is over")
        if self._identities() != self._files:
            raise self._halt("the file was deleted or replaced while in use")
        try:
            with self._db.atomic():
                self._db.conn.executemany(_INSERT_EVENT, events)
                projector.write(self._db.conn)
        except sqlite3.Error as error:
            raise self._halt(str(error)) from error

    def close(self) -> None:
        """Close the file; what was appended and not committed is gone."""
        self._current = None
        self._db.conn.close()

    def _identities(self) -> tuple[tuple[int, int], ...]:
        """Tell which files stand at our paths: SQLite would go on writing into a deleted database or log."""
        try:
            found = [os.stat(self.path), os.stat(f"{self.path}-wal")]
        except OSError:
            return ()
        return tuple((item.st_dev, item.st_ino) for item in found)

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
