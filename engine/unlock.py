"""I am the unlock code: made anew by each process, shown on its terminal, asked of a browser that wants to touch money.
I may import nothing of the engine.
I must not be logged or drawn, nor answer faster to a code that is nearly right.
My tests are in tests/unit/test_unlock.py.
"""

import hmac
import threading
from collections.abc import Callable, Sequence

# Letters and digits that nobody mistakes for one another.
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LENGTH = 8
TRIES_MAX = 5
WAIT_S = 30.0


class UnlockCode:
    """A code of LENGTH letters; after TRIES_MAX wrong tries, by whomever, nothing is compared for WAIT_S seconds."""

    def __init__(self, choose: Callable[[Sequence[str]], str], monotonic_s: Callable[[], float]) -> None:
        drawn = "".join(choose(ALPHABET) for _ in range(LENGTH))
        self.text = f"{drawn[: LENGTH // 2]}-{drawn[LENGTH // 2 :]}"
        self._monotonic_s = monotonic_s
        self._wrong = 0
        self._closed_until_s = float("-inf")
        self._lock = threading.Lock()

    def refusal(self, typed: str) -> str | None:
        """Compare what was typed; None when it is right, else one sentence. Case, blanks and dashes do not matter."""
        with self._lock:
            left_s = self._closed_until_s - self._monotonic_s()
            if left_s > 0:
                return f"{TRIES_MAX} wrong codes were typed; wait {left_s:.0f} s and try again."
            if hmac.compare_digest(_plain(typed), _plain(self.text)):
                self._wrong = 0
                return None
            self._wrong += 1
            if self._wrong >= TRIES_MAX:
                self._wrong, self._closed_until_s = 0, self._monotonic_s() + WAIT_S
            return "This is not the code that stands on the terminal where the console was started."


def _plain(text: str) -> bytes:
    return "".join(letter for letter in text.upper() if letter.isalnum()).encode()
