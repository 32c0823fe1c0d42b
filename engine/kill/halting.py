"""I am the file data/HALT: made, read and taken away; while it exists no engine of this data folder sends an order.
I may import wiring and the domain.
I must not put the content before the existence: an empty HALT halts as well.
My tests are in tests/unit/test_kill.py.
"""

import getpass
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

import msgspec

from engine import wiring
from engine.domain.calendar import iso_utc
from engine.domain.error import KeelError
from engine.kill.owner import owners_in

BY_HAND = "no reason was given"


class NotWritten(KeelError):
    """A file of the kill tool could not be written or removed; the text says what that means."""


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A HALT file: since when it exists, and what stands in it ("" where somebody made it by hand)."""

    since_ns: int
    time: str = ""
    who: str = ""
    reason: str = ""


def halt(path: Path, reason: str = "") -> tuple[str, ...]:
    """Make the file unless it is there; returns sentences for people. Raises NotWritten."""
    first = f"HALT: {path} was made." if make(path, reason) else _there_already(path, reason)
    return (first, *_engines(path.parent))


def release(path: Path) -> tuple[str, ...]:
    """Take the file away, which only a person asks for; returns sentences for people. Raises NotWritten."""
    try:
        path.unlink()
    except FileNotFoundError:
        return (f"There is no file {path}; nothing is halted by it.",)
    except OSError as error:
        raise NotWritten(f"The file {path} cannot be removed, so nothing is sent: {error.strerror}.") from error
    with suppress(OSError):
        _sync_folder(path.parent)
    return (f"RELEASED: {path} is gone. A session that has seen it stays halted until Resume; a new one may start.",)


def make(path: Path, reason: str = "") -> bool:
    """Make the file, on the disk for good, with time, who and reason in it; False when it was there already.

    Raises NotWritten. The file halts from the moment in which it exists, whatever becomes of its content.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        if os.path.exists(path):  # the question that engines ask: a link that leads nowhere halts nothing
            return False
        raise NotWritten(f"The file {path} cannot be made, so nothing is halted: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_content(reason))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        raise NotWritten(
            f"The file {path} exists and halts, but its content could not be written, and it may be gone after a power "
            f"cut: {error.strerror}."
        ) from error
    return True


def read(path: Path) -> Halt | None:
    """Read the file; None when there is none. Raises OSError when it is there and cannot be read."""
    try:
        since_ns = path.stat().st_mtime_ns
        content = b"" if path.is_dir() else path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        told = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Halt(since_ns=since_ns, reason=content.decode("utf-8", "replace").strip()[:200])
    known = {key: told[key] for key in ("time", "who", "reason") if key in told}
    return Halt(since_ns=since_ns, **known)


def _there_already(path: Path, reason: str) -> str:
    """The file keeps what it says of the first halt; whoever gave another reason is told that it stands nowhere."""
    found = None
    with suppress(OSError):
        found = read(path)
    by = f", since {found.time or iso_utc(found.since_ns)}: {found.reason or BY_HAND}" if found else ""
    lost = f" It keeps that; the reason given now was not recorded: {reason}" if reason else ""
    return f"HALT: {path} was there already{by}.{lost}"


def _content(reason: str) -> bytes:
    told = {"time": iso_utc(wiring.wall_ns()), "who": _who(), "reason": reason or BY_HAND}
    return json.dumps(told).encode() + b"\n"


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node()}, process {os.getpid()}"


def _sync_folder(folder: Path) -> None:
    """Put the folder's entry on the disk, which on Windows happens by itself."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _engines(folder: Path) -> tuple[str, ...]:
    running = [owner for owner in owners_in(folder) if owner.running is not False]
    if not running:
        return (f"No engine process owns a database in {folder}.",)
    return tuple(
        f"{'Process' if owner.running else 'Perhaps process'} {owner.pid} owns {owner.database.name}; it sends nothing "
        "more, at the latest from its next order on."
        for owner in running
    )
