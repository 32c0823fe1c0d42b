"""I am the locks of trading days as files: one per account in the data folder, whatever database its sessions use.
I may import os, the domain and ports.
I must not judge whether a lock still counts, raise for a disk that fails, nor leave half a file behind.
My tests are in tests/unit/adapters/test_day_lock.py.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.ports import DayLock, UnreadableLock

BYTES_MAX = 4_096


class FileDayLocks:
    """The locks of one data folder (ports.DayLocks); those that are written name `database` as the one that knows."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        self._database = database

    def read(self, account: str) -> DayLock | UnreadableLock | None:
        """Return the lock of an account; its database is told from the working directory, as after --db."""
        path = self._path(account)
        try:
            with path.open("rb") as file:
                data = file.read(BYTES_MAX)  # a longer file is cut, and no JSON
        except (FileNotFoundError, NotADirectoryError):  # where the folder is a file, the database is the trouble
            return None
        except OSError as error:
            return UnreadableLock(file=str(path), reason=error.strerror or "it cannot be opened")
        try:
            lock = msgspec.json.decode(data, type=DayLock)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return UnreadableLock(file=str(path), reason=str(error))
        if lock.account != account:
            return UnreadableLock(file=str(path), reason="it is of another account")
        if not 0 <= lock.tripped_ns < lock.until_ns < 1 << 63:
            return UnreadableLock(file=str(path), reason="its times make no sense")
        return replace(lock, database=str(self._folder / lock.database))

    def write(self, lock: DayLock) -> str:
        """Replace the account's file, on the disk for good; returns why that failed, and then the last one stays."""
        path = self._path(lock.account)
        data = msgspec.json.encode(replace(lock, database=self._named())) + b"\n"
        draft = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self._folder, prefix=f".{path.name}.", suffix=".part")
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            _sync(self._folder)
        except OSError as error:
            if draft is not None:
                with suppress(OSError):
                    os.unlink(draft)
            return f"{path}: {error.strerror or error}"
        return ""

    def _path(self, account: str) -> Path:
        return self._folder / f"day-lock-{account}.json"

    def _named(self) -> str:
        """Name the database from the data folder where it lies in it, so that both can be moved together."""
        database, folder = (Path(os.path.abspath(each)) for each in (self._database, self._folder))
        return database.relative_to(folder).as_posix() if database.is_relative_to(folder) else str(database)


def _sync(folder: Path) -> None:
    """Put the folder's entry on the disk, which on Windows happens by itself."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
