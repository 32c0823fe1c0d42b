"""I am asking: a read of OANDA as a parsed value, or as the kind of trouble that the session knows.
I may import threading, the domain, http, answers, limits and reading.
I must not repeat a request: the session asks again when it is time, and is told "later" until it is.
My tests are in tests/unit/adapters/oanda/test_broker.py and test_market_data.py.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from engine.adapters.oanda.answers import Verdict, judge
from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.reading import ParseFault
from engine.domain.error import HaltTrading, RetryLater
from engine.ports import NotSent, Unresolved

_T = TypeVar("_T")


class Asker:
    """Reads and parses; any number of threads may ask at once.

    After a failed read nothing is asked for 1, 2, 4 ... 30 s (RELIABILITY section 3): whoever asks meanwhile hears
    the same reason again.
    """

    def __init__(self, http: OandaHttp, monotonic_s: Callable[[], float], backoff: Backoff) -> None:
        self._http = http
        self._monotonic_s = monotonic_s
        self._backoff = backoff
        self._lock = threading.Lock()
        self._due_s = float("-inf")
        self._reason = ""

    def ask(self, path: str, parse: Callable[[bytes], _T | ParseFault]) -> _T:
        """Read and parse.

        Raises RetryLater while OANDA cannot be reached or answers what cannot be read, HaltTrading when asking again
        cannot help: key or account refused, a range that is gone, a request that OANDA does not understand.
        """
        if self._monotonic_s() < self._due_s:
            raise RetryLater(self._reason)
        try:
            found = ask(self._http, path, parse)
        except RetryLater as error:
            self._wait_longer(str(error))
            raise
        self._backoff.reset()
        return found

    def at_once(self) -> None:
        """Wait no longer before the next question: something was sent, and its outcome matters more than patience."""
        self._due_s = float("-inf")

    def _wait_longer(self, reason: str) -> None:
        """Those who failed together have failed once."""
        with self._lock:
            self._reason = reason
            if (now_s := self._monotonic_s()) >= self._due_s:
                self._due_s = now_s + self._backoff.next_s()


def ask(http: OandaHttp, path: str, parse: Callable[[bytes], _T | ParseFault]) -> _T:
    """Read and parse, at once; raises as Asker.ask does."""
    found, reason = _read(http, path, parse)
    if found is None:
        raise HaltTrading(f"OANDA refuses to be read: {reason}")
    return found


def ask_if_there(http: OandaHttp, path: str, parse: Callable[[bytes], _T | ParseFault]) -> _T | None:
    """Read and parse what may not be there (None); raises as Asker.ask does."""
    return _read(http, path, parse)[0]


def _read(http: OandaHttp, path: str, parse: Callable[[bytes], _T | ParseFault]) -> tuple[_T | None, str]:
    """Read and parse; nothing, and OANDA's words, where it knows no such thing."""
    outcome = http.get(path)
    if isinstance(outcome, NotSent | Unresolved):
        raise RetryLater(f"OANDA cannot be read: {outcome.reason}.")
    judgement = judge(outcome)
    if judgement.verdict is Verdict.NOT_FOUND:
        return None, judgement.reason
    if judgement.verdict is Verdict.RETRY_LATER:
        raise RetryLater(f"OANDA cannot be read: {judgement.reason}")
    if judgement.verdict is not Verdict.OK:
        raise HaltTrading(f"OANDA refuses to be read: {judgement.reason}")
    parsed = parse(outcome.body)
    if isinstance(parsed, ParseFault):
        raise RetryLater(f"OANDA cannot be read: {parsed.reason}.")
    return parsed, ""
