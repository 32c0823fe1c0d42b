"""I am the backup: a whole copy of the database, made while it is in use, and never half a file.
I may import error, and places, queries and schema of my own floor.
I must not write to the database, nor overwrite a copy.
My tests are in tests/unit/store/test_backup.py.
"""

import os
import sqlite3
import tempfile
from pathlib import Path

from engine.domain.error import ConfigError
from engine.store.places import backup_path, backups, backups_folder
from engine.store.queries import connect_readonly
from engine.store.schema import refusal

KEPT = 14


def back_up(database: Path, wall_ns: int, out: Path | None = None) -> Path:
    """Copy a database to `out`, or into its backups folder, of which the newest KEPT stay; return the copy's path.

    Raises ConfigError when there is no such database, the copy exists already, or it cannot be written; then there is
    no new file.
    """
    if not database.is_file():
        raise ConfigError(f"Database {database} does not exist; name one that a session has written.")
    target = out or backup_path(database, wall_ns)
    if os.path.lexists(target):
        raise ConfigError(f"The backup {target} exists already and is not overwritten; name another file.")
    try:
        if out is None:
            target.parent.mkdir(exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(descriptor)
    except OSError as error:
        raise _unwritable(target, error.strerror) from error
    try:
        _copy(database, Path(part), target)
    finally:
        Path(part).unlink(missing_ok=True)
    try:
        if out is None:
            _prune(database)
    except OSError as error:
        raise ConfigError(f"Old backups in {target.parent} cannot be removed ({error.strerror}).") from error
    return target


def is_missing_today(database: Path, wall_ns: int) -> bool:
    """Say whether a database that holds something has no backup of this day (UTC) yet."""
    day = backup_path(database, wall_ns).name[: -len("T000000Z.sqlite")]
    if any(path.name.startswith(day) for path in backups(database)):
        return False
    conn = connect_readonly(database)
    try:
        return conn.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        raise refusal(database, error) from error
    finally:
        conn.close()


def back_up_daily(database: Path, wall_ns: int) -> Path | None:
    """Make today's backup if it is missing; returns its path, None when there is nothing to do. Raises ConfigError."""
    return back_up(database, wall_ns) if is_missing_today(database, wall_ns) else None


def _copy(database: Path, part: Path, target: Path) -> None:
    conn = connect_readonly(database)
    try:
        # takes a read lock only: the engine goes on writing meanwhile (sqlite.org/lang_vacuum.html)
        conn.execute("PRAGMA query_only = OFF")
        conn.execute("VACUUM INTO ?", (str(part),))
        _sync(part)
        if os.path.lexists(target):
            raise ConfigError(f"The backup {target} exists already and is not overwritten; name another file.")
        os.rename(part, target)
        _sync(target.parent)
    except sqlite3.Error as error:
        raise _failed(database, target, error) from error
    except OSError as error:
        raise _unwritable(target, error.strerror) from error
    finally:
        conn.close()


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(database: Path) -> None:
    """Take away all but the newest copies, and what a backup left that was broken off a day before the newest."""
    found = backups(database)
    for old in found[:-KEPT]:
        old.unlink(missing_ok=True)
    newest_s = found[-1].stat().st_mtime
    for part in backups_folder(database).glob(f".{database.stem}-*.part"):
        if part.stat().st_mtime < newest_s - 86_400:
            part.unlink(missing_ok=True)


def _failed(database: Path, target: Path, error: sqlite3.Error) -> ConfigError:
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return refusal(database, error)
    return _unwritable(target, str(error))


def _unwritable(target: Path, why: str | None) -> ConfigError:
    return ConfigError(f"The backup {target} cannot be written ({why}); name a file in a writable folder with room.")
