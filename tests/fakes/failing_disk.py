"""A SQLite connection whose n-th statement fails as a bad disk makes it fail; nothing else about it is changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest


class Disk:
    """How many statements still succeed (None: all of them), and how many were tried."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.statements = 0
        self.failures = 0

    @contextmanager
    def failing_after(self, statements: int) -> Iterator[None]:
        """Let so many statements through and fail every later one, until the block ends."""
        self.left = statements
        try:
            yield
        finally:
            self.left = None

    def work(self) -> None:
        """Count a statement; raises OperationalError with SQLite's own number for it when the disk fails."""
        self.statements += 1
        if self.left is None:
            return
        if self.left == 0:
            self.failures += 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        self.left -= 1


class FailingConnection(sqlite3.Connection):
    """A real connection that asks the disk before each statement, BEGIN, COMMIT and ROLLBACK included."""

    disk: Disk

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement, or fail."""
        self.disk.work()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement for many rows, or fail before the first."""
        self.disk.work()
        return super().executemany(*arguments)


def failing_connections(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Let every connection that is opened from now on share one disk that can be made to fail."""
    disk = Disk()
    factory = type("OnThisDisk", (FailingConnection,), {"disk": disk})
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=factory))
    return disk
