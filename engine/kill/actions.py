"""I am data/kill.log: what the kill tool is about to do, and what was answered, one JSON object a line.
I may import wiring and the domain.
I must not hold anything up: closing goes on when I cannot be written.
My tests are in tests/unit/test_kill.py.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from engine import wiring
from engine.domain.calendar import iso_utc

NAME = "kill.log"


class ActionLog:
    """Appends to the side file, each line on the disk before the request that it tells of leaves."""

    def __init__(self, folder: Path, account: str, tell: Callable[[str], None]) -> None:
        self._path = folder / NAME
        self._account = account
        self._tell = tell
        self._is_broken = False

    def carry_out(self, action: str, send: Callable[[], str]) -> str:
        """Note an action, carry it out, note and return the answer."""
        self.note(action, "")
        answer = send()
        self.note(action, answer)
        return answer

    def note(self, action: str, answer: str) -> None:
        """Write one line; an empty answer says that the action is about to begin."""
        line = {
            "time": iso_utc(wiring.wall_ns()),
            "process": os.getpid(),
            "account": self._account,
            "action": action,
            "answer": answer,
        }
        try:
            self._append(json.dumps(line).encode() + b"\n")
        except OSError as error:
            if not self._is_broken:
                self._tell(f"{self._path} cannot be written: {error.strerror}; going on without it.")
            self._is_broken = True

    def _append(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
