"""I am the connections to one host: dialled within the limits, shared by threads, read against a deadline.
I may import requests, urllib3, sockets and what lies beside me.
I must not send anything again.
My tests are in tests/unit/adapters/oanda/test_http.py.
"""

import http.client
import io
import queue
import socket
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import SplitResult

import msgspec
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from engine.adapters.oanda.exchange import SHORTEST_S, CutOff, Exchange, TooMany, Unresolvable
from engine.adapters.oanda.limits import Limits

Address = tuple[Any, Any, int, str, Any]
Resolve = Callable[..., list[Address]]


class Dialler:
    """Makes connections within the limits, and none that its exchange would not wait for."""

    def __init__(self, limits: Limits, monotonic_s: Callable[[], float], resolve: Resolve) -> None:
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._resolve = resolve

    def dial(self, exchange: Exchange, host: str, port: int) -> socket.socket:
        """Return a connected socket whose timeout is what is left of the connect time; raises OSError."""
        if not self._limits.connections.take(exchange.deadline_s):
            raise TooMany
        until_s = self._monotonic_s() + exchange.connecting_s()
        addresses = self._addresses(host, port, until_s - self._monotonic_s())
        failure: OSError = TimeoutError()
        for tried, address in enumerate(addresses):
            try:
                return self._connect(exchange, address, until_s, len(addresses) - tried)
            except CutOff:
                raise
            except OSError as error:
                failure = error
        raise failure

    def _connect(self, exchange: Exchange, address: Address, until_s: float, shares: int) -> socket.socket:
        family, kind, protocol, _, place = address
        sock = socket.socket(family, kind, protocol)
        try:
            exchange.use(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A first address that swallows packets must leave time for the second.
            sock.settimeout(self._left_s(until_s) / shares)
            sock.connect(place)
            sock.settimeout(self._left_s(until_s))
        except OSError:
            sock.close()
            raise
        return sock

    def _left_s(self, until_s: float) -> float:
        return max(until_s - self._monotonic_s(), SHORTEST_S)

    def _addresses(self, host: str, port: int, patience_s: float) -> list[Address]:
        """Ask the name service in a thread of its own: it knows no timeout and may take half a minute."""
        answers: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port, 0, socket.SOCK_STREAM))
            except OSError as error:
                answers.put(error)

        threading.Thread(target=ask, name="oanda-names", daemon=True).start()
        try:
            answer = answers.get(timeout=patience_s)
        except queue.Empty:
            raise Unresolvable from None
        if isinstance(answer, OSError):
            raise answer
        return answer


class _Call(msgspec.Struct, frozen=True):
    exchange: Exchange
    dialler: Dialler


# The connection classes of urllib3 are made by its pool, so what they obey reaches them through the thread.
_CALL: ContextVar[_Call] = ContextVar("call")


class _TimedSocket(io.RawIOBase):
    """The reading side of a socket: each read waits no longer than its exchange allows."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, exchange: Exchange) -> None:
        self._socket = sock
        self._raw = raw
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._exchange.patience_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer that is read against the deadline of its exchange, its head too."""

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_TimedSocket(sock, raw, _CALL.get().exchange))


class _Plain(HTTPConnection):
    """A connection that is dialled within the limits and knows when a request has begun to leave."""

    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        call = _CALL.get()
        try:
            return call.dialler.dial(call.exchange, self._dns_host, self.port)
        except OSError as error:
            # urllib3 takes a bare reset for one while sending, ignores it, and reads from a socket that is not there.
            raise NewConnectionError(self, "") from error

    def send(self, data: Any) -> None:
        exchange = _CALL.get().exchange
        if self.sock is None:
            self.connect()
        exchange.use(self.sock)
        self.sock.settimeout(exchange.remaining_s())
        exchange.begun = True
        super().send(data)


class _Tls(_Plain, HTTPSConnection):
    """The same under TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(_CALL.get().exchange.remaining_s())


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(_CALL.get().exchange.remaining_s())


class Wire(HTTPAdapter):
    """The transport of requests to one host, without a Session around it.

    A Session adds redirects, cookies, netrc and proxies of the environment, and is not promised to be safe for threads;
    this and its pool are. At most `connections` are open; a further request waits for one to become free.
    """

    def __init__(self, base: SplitResult, connections: int, dialler: Dialler) -> None:
        super().__init__(max_retries=0)
        self._dialler = dialler
        kind = _TlsPool if base.scheme == "https" else _PlainPool
        self._pool = kind(base.hostname or "", base.port, maxsize=connections, block=True)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return the one pool, whatever is asked for."""
        return self._pool

    def transmit(self, request: PreparedRequest, exchange: Exchange) -> Response:
        """Send a request once and return the head of its answer; the body is read from `raw`, against the deadline."""
        token = _CALL.set(_Call(exchange, self._dialler))
        try:
            return self.send(request, stream=True, timeout=None, verify=True)
        finally:
            _CALL.reset(token)

    def close(self) -> None:
        """Close the connections that are not in use; the others follow when they are given back."""
        self._pool.close()
        super().close()
