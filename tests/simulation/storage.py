"""I am the disk of a simulated world: the real journal on a real file, that dies or fails in mid-transaction.
I may import the store and the other parts of this folder.
I must not change what is written; I only end it early.
My tests are in tests/simulation/test_gate.py.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from engine.domain.event import Event
from engine.ports import Curfew, Past
from engine.store.journal import JournalStore, SqliteJournal, open_journal
from tests.simulation.faults import CrashPoints, Faults


class Disk:
    """Whether transactions succeed; outlives the process like a full disk does."""

    def __init__(self, faults: Faults, points: CrashPoints) -> None:
        self._faults = faults
        self.points = points
        self.steps_full = 0
        self.failed = False

    def begin_step(self) -> None:
        """One more step is over; a full disk is emptied at last."""
        self.failed = False
        if self.steps_full:
            self.steps_full -= 1
        if self._faults.hit("commit_fails"):
            self.steps_full = self._faults.how("commit_fails").randint(2, 8)

    def check(self) -> None:
        """Raise what SQLite raises when the disk is full or another program has the lock."""
        if self.steps_full or self._faults.hit("commit_fails_once"):
            self.failed = True
            raise sqlite3.OperationalError("database or disk is full" if self.steps_full else "database is locked")


class SimConnection(sqlite3.Connection):
    """A connection on a simulated disk, as soon as it is given one."""

    disk: Disk | None = None

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        disk = self.disk
        if disk is None or sql != "COMMIT":
            return super().execute(sql, *values)
        disk.points.at("store.COMMIT.before")
        disk.check()
        cursor = super().execute(sql, *values)
        disk.points.at("store.COMMIT.after")
        return cursor

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        disk = self.disk
        if disk is None:
            return super().executemany(sql, rows)
        disk.points.at("store.rows.before")
        cursor = super().executemany(sql, rows)
        disk.points.at("store.rows.after")
        return cursor


class MortalJournal:
    """The journal of a run (ports.Journal) in a process that may die around each call."""

    def __init__(self, inner: SqliteJournal, points: CrashPoints) -> None:
        self._inner = inner
        self._points = points

    @property
    def run_id(self) -> int:
        return self._inner.run_id

    def append(self, event: Event) -> None:
        self._points.at("journal.append.before")
        self._inner.append(event)
        self._points.at("journal.append.after")

    def commit(self) -> None:
        self._points.at("journal.commit.before")
        self._inner.commit()
        self._points.at("journal.commit.after")

    def digest(self) -> str:
        return self._inner.digest()


class MortalStore:
    """The real store in a process that may die around each call; close() and death are the same."""

    def __init__(self, inner: JournalStore, points: CrashPoints) -> None:
        self._inner = inner
        self._points = points

    def past(self, account: str) -> Past | None:
        self._points.at("store.past.before")
        past = self._inner.past(account)
        self._points.at("store.past.after")
        return past

    def order_ids(self, account: str) -> frozenset[str]:
        self._points.at("store.order_ids.before")
        found = self._inner.order_ids(account)
        self._points.at("store.order_ids.after")
        return found

    def curfew(self, account: str) -> Curfew | None:
        self._points.at("store.curfew.before")
        found = self._inner.curfew(account)
        self._points.at("store.curfew.after")
        return found

    def begin_run(self, *, synced: bool = True, past: Past | None = None) -> MortalJournal:
        self._points.at("store.begin_run.before")
        journal = self._inner.begin_run(synced=synced, past=past)
        self._points.at("store.begin_run.after")
        return MortalJournal(journal, self._points)

    def give_up_run(self) -> None:
        self._inner.give_up_run()

    def close(self) -> None:
        self._inner.close()


def open_store(path: Path, disk: Disk, wall_ns: Callable[[], int]) -> MortalStore:
    """Open the database as the node does; from then on the disk may fail."""
    connect = sqlite3.connect

    def connect_simulated(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        return connect(*args, **kwargs, factory=SimConnection)

    with mock.patch.object(sqlite3, "connect", connect_simulated):
        store = open_journal(path, wall_ns=wall_ns)
    connection = store._db.conn
    assert isinstance(connection, SimConnection)
    connection.disk = disk
    return MortalStore(store, disk.points)
