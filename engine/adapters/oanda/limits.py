"""I am patience: how often OANDA may be called, and how long to wait before a stream is opened again.
I may import threading.
I must not read a clock, sleep or draw lots; they are handed to me.
My tests are in tests/unit/adapters/oanda/test_limits.py.
"""

import threading
from collections import deque
from collections.abc import Callable

CONNECTIONS_MAX = 2
# OANDA counts arrivals, and the network moves those together: a tenth more than its second keeps us inside.
CONNECTIONS_WINDOW_S = 1.1
REQUESTS_MAX = 100
REQUESTS_WINDOW_S = 1.0


class Throttle:
    """At most `count` turns in any stretch of `window_s` seconds, however many threads ask.

    A token bucket would let a full bucket and its refill pass within one second; this never does.
    """

    def __init__(
        self, count: int, window_s: float, monotonic_s: Callable[[], float], wait: Callable[[float], object]
    ) -> None:
        self._window_s = window_s
        self._monotonic_s = monotonic_s
        self._wait = wait
        self._turns: deque[float] = deque(maxlen=count)
        self._lock = threading.Lock()

    def take(self, deadline_s: float) -> bool:
        """Wait for a turn and return True; False at once, and no turn used, if it would come after the deadline."""
        with self._lock:
            now_s = self._monotonic_s()
            turn_s = now_s
            if len(self._turns) == self._turns.maxlen:
                turn_s = max(now_s, self._turns[0] + self._window_s)
            if turn_s > deadline_s:
                return False
            self._turns.append(turn_s)
        if turn_s > now_s:
            self._wait(turn_s - now_s)
        return True


class Limits:
    """What OANDA allows one token: two new connections and 100 requests a second (PROTOCOL of 2026-11, best practices).

    One of these is shared by everything that uses the token: orders, candles and streams.
    """

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        wait: Callable[[float], object],
        connections: int = CONNECTIONS_MAX,
        requests: int = REQUESTS_MAX,
    ) -> None:
        self.connections = Throttle(connections, CONNECTIONS_WINDOW_S, monotonic_s, wait)
        self.requests = Throttle(requests, REQUESTS_WINDOW_S, monotonic_s, wait)


class Backoff:
    """How long to wait before the next attempt: 1, 2, 4 ... 30 s, each shortened by up to a half by lot."""

    def __init__(self, draw: Callable[[], float], first_s: float = 1.0, longest_s: float = 30.0) -> None:
        self._draw = draw
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait now; `draw` gives a number from 0 up to 1."""
        span_s = self._next_s
        self._next_s = min(span_s * 2, self._longest_s)
        return span_s * (1.0 - self._draw() / 2)

    def reset(self) -> None:
        """Begin anew: the last attempt brought something."""
        self._next_s = self._first_s
