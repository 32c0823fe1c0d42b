"""I am the question who owns a database: the lock and the .owner file that a node keeps beside it.
I may import the operating system's own locks.
I must not take a lock that an engine may want, nor write anything.
My tests are in tests/unit/test_kill.py.
"""

import json
import os
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who is named beside a database; running is None where this machine cannot tell."""

    database: Path
    pid: int
    running: bool | None


def owners_in(folder: Path) -> tuple[Owner, ...]:
    """Every owner that is named in a folder, by the name of its database."""
    found = (owner_of(path.with_suffix("")) for path in sorted(folder.glob("*.owner")))
    return tuple(owner for owner in found if owner is not None)


def owner_of(database: Path) -> Owner | None:
    """Who owns this database, or owned it when it died; None when nobody is named."""
    try:
        pid = int(json.loads(Path(f"{database}.owner").read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Owner(database=database, pid=pid, running=_is_running(Path(f"{database}.lock"), pid))


def _is_running(lock: Path, pid: int) -> bool | None:
    """The lock decides, for the number of a dead process is given to another one after a while.

    It is tried only when a process of this number lives, shared and for a moment: an engine that starts just then,
    while its dead predecessor's number belongs to somebody else, would be refused once.
    """
    if os.name != "posix":
        return None
    return _is_locked(lock) if _is_alive(pid) else False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_locked(lock: Path) -> bool | None:
    import fcntl  # not there on Windows

    try:
        handle = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
