"""I am the kill tool: halt, flatten and status from any shell, with console and engine alive, dead or broken.
I may import wiring, config, the store's queries and the domain.
I must not need a database, a session or a page, nor say that an account is flat when it could not be asked.
My tests are in tests/unit/test_kill.py and tests/contract/test_kill.py.
"""

from engine.kill.access import halt_path, kill_settings
from engine.kill.flattening import Patience, checked_account, flatten
from engine.kill.halting import NotWritten, halt, release
from engine.kill.status import lines, status

__all__ = [
    "NotWritten",
    "Patience",
    "checked_account",
    "flatten",
    "halt",
    "halt_path",
    "kill_settings",
    "lines",
    "release",
    "status",
]
