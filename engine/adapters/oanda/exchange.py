"""I am one request and its answer: how long it may take, whether it may have left, and why it broke off.
I may import sockets, ports, and the errors of urllib3.
I must not read a clock, or put words of another library into a reason: they may hold addresses and headers.
My tests are in tests/unit/adapters/oanda/test_http.py.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec
from urllib3.exceptions import ClosedPoolError, EmptyPoolError

from engine.ports import NotSent, Unresolved

SHORTEST_S = 0.001


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until connected, of silence inside an answer, and for the whole exchange with all its waiting."""

    connect_s: float = 3.0
    read_s: float = 5.0
    total_s: float = 10.0


class TooLate(TimeoutError):
    """The whole exchange has used up its time."""


class TooMany(OSError):
    """A request or a new connection would exceed the limits before the deadline."""


class Unresolvable(OSError):
    """The name service did not answer in time."""


class CutOff(OSError):
    """Our own side ended the exchange."""


class Exchange:
    """One request and its answer on one connection: its deadline, and whether a byte of it may have left."""

    def __init__(self, deadlines: Deadlines, monotonic_s: Callable[[], float]) -> None:
        self.begun = False
        self.deadlines = deadlines
        self._monotonic_s = monotonic_s
        self._deadline_s = monotonic_s() + deadlines.total_s
        self._lock = threading.Lock()
        self._is_cut = False
        self._socket: socket.socket | None = None

    @property
    def deadline_s(self) -> float:
        """Monotonic time at which the exchange ends, whatever its state."""
        return self._deadline_s

    @property
    def is_cut(self) -> bool:
        """Whether our own side has ended the exchange."""
        return self._is_cut

    def remaining_s(self) -> float:
        """Return the seconds left; raises TooLate when there are none."""
        left_s = self._deadline_s - self._monotonic_s()
        if left_s <= 0:
            raise TooLate
        return max(left_s, SHORTEST_S)

    def patience_s(self) -> float:
        """Return how long to wait for the next byte."""
        return min(self.remaining_s(), self.deadlines.read_s)

    def connecting_s(self) -> float:
        """Return how long making a connection may take from now."""
        return min(self.remaining_s(), self.deadlines.connect_s)

    def restart(self) -> None:
        """Begin to count the time anew: a stream is alive as long as lines come."""
        self._deadline_s = self._monotonic_s() + self.deadlines.total_s

    def use(self, sock: socket.socket) -> None:
        """Name the socket that cut() must end; raises CutOff when that has happened already."""
        with self._lock:
            self._socket = sock
            if self._is_cut:
                raise CutOff

    def let_go(self) -> None:
        """Leave the socket to others: cut() does not touch it any more."""
        with self._lock:
            self._socket = None

    def cut(self) -> None:
        """End the exchange now, from any thread; a reader that is blocked wakes up."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                # SSLSocket.shutdown() would take the TLS state away under the reader; closing would not wake it.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def outcome(self, error: Exception) -> NotSent | Unresolved:
        """Say what an exchange that broke off means for its request."""
        reason = self.reason(error)
        return Unresolved(reason=reason) if self.begun else NotSent(reason=reason)

    def reason(self, error: Exception) -> str:
        """Say why an exchange broke off, in words that are all ours."""
        cause = _cause(error)
        if self._is_cut:
            return "our side closed the connection"
        if isinstance(cause, TimeoutError):
            return self._lateness()
        words = (words for kind, words in _WORDS if isinstance(cause, kind))
        return next(words, f"the connection failed ({type(cause).__name__})")

    def ran_out(self, error: Exception) -> bool:
        """Say whether an exchange broke off because nothing came in time."""
        return isinstance(_cause(error), TimeoutError)

    def _lateness(self) -> str:
        if self._monotonic_s() >= self._deadline_s:
            return f"no whole answer within {self.deadlines.total_s:g} s"
        if self.begun:
            return f"the server was silent for {self.deadlines.read_s:g} s"
        return f"no connection within {self.deadlines.connect_s:g} s"


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (TooMany, "the limits allow no more before the deadline"),
    (ClosedPoolError, "the client is closed"),
    (Unresolvable, "the name service did not answer"),
    (EmptyPoolError, "no connection became free before the deadline"),
    (socket.gaierror, "the name of the server could not be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    (ssl.SSLCertVerificationError, "the certificate of the server is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (ConnectionError, "the connection was reset"),
    (http.client.IncompleteRead, "the answer was cut short"),
    (http.client.HTTPException, "the answer is not HTTP"),
)


def _cause(error: BaseException) -> BaseException:
    """Return what an exception of requests was made of: the outermost cause that has words, or the exception itself."""
    known: tuple[type[BaseException], ...] = (TimeoutError, *(kind for kind, _ in _WORDS))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, known) and not type(cause).__module__.startswith("requests."):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
