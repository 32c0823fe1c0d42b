"""A proxy on loopback that spoils chosen requests on their way to a real HTTP server, byte by byte.

It stands in front of any HTTP/1.1 server. Each request gets a connection of its own to the target and is forwarded at
most once; what reached the target is recorded, so that a test can count the orders of a client order id.
"""

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import msgspec

from tests.fakes.faults import (
    CutBody,
    CutChunk,
    CutInLine,
    Delay,
    Drip,
    Fault,
    Hold,
    LineFault,
    RepeatLine,
    Replace,
    ResetAfter,
    ResetBefore,
    Rewrite,
    RewriteLines,
    SilenceAfter,
    SwapLines,
)
from tests.fakes.http_bytes import Closed, Head, chunk, pieces, read_head

PATIENCE_S = 30.0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came from the client; the value of Authorization is not kept."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def client_order_id(self) -> str:
        """The client id of the order in the body; empty when there is none."""
        try:
            return str(json.loads(self.body)["order"]["clientExtensions"]["id"])
        except (ValueError, KeyError, TypeError):
            return ""


class _Rule:
    """A fault for the requests that match, from the (skip+1)-th on, `times` times."""

    def __init__(self, fault: Fault, method: str, path: str, skip: int, times: int | None) -> None:
        self.fault = fault
        self._method = method
        self._path = re.compile(path)
        self._skip = skip
        self._times = times

    def strikes(self, request: Request) -> bool:
        """Say whether this request is hit, and count it."""
        if self._times == 0 or self._method not in ("", request.method) or not self._path.search(request.target):
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self._times is not None:
            self._times -= 1
        return True


class _Reset(Exception):
    """The client's connection ends with a reset."""


class _Hangup(Exception):
    """The client's connection is closed."""


class FaultyProxy:
    """Forwards HTTP requests to a target on loopback and does to them what the test has asked for.

    Use it as a context manager; `url` is where clients connect. Faults that a test does not ask for do not happen.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = _listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._changed = threading.Condition()
        self._rules: list[_Rule] = []
        self._arrived: list[Request] = []
        self._reached: list[Request] = []
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._accept_in_background()

    def __enter__(self) -> "FaultyProxy":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @property
    def arrived(self) -> tuple[Request, ...]:
        """Every request that the proxy has read, oldest first."""
        with self._changed:
            return tuple(self._arrived)

    @property
    def reached(self) -> tuple[Request, ...]:
        """Every request that was handed to the target, oldest first."""
        with self._changed:
            return tuple(self._reached)

    @property
    def connections(self) -> int:
        """How many connections clients have made so far."""
        with self._changed:
            return self._connections

    def posts_of(self, client_order_id: str) -> int:
        """Return how many orders of this client id reached the target."""
        return sum(seen.method == "POST" and seen.client_order_id == client_order_id for seen in self.reached)

    def wait_until_reached(self, count: int) -> None:
        """Wait until the target has been handed this many requests; raises AssertionError when that takes too long."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._reached) >= count, PATIENCE_S), self._reached

    def inject(self, fault: Fault, *, method: str = "", path: str = "", skip: int = 0, times: int | None = 1) -> None:
        """Spoil requests of this method whose path and query the pattern is found in; times None means all of them.

        The first rule that matches wins; skip lets that many matching requests pass unharmed.
        """
        with self._changed:
            self._rules.append(_Rule(fault, method, path, skip, times))

    def drop_connections(self) -> None:
        """Close every connection of clients, used or idle, and those to the target that serve them."""
        with self._changed:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Drop all connections and refuse new ones while inside the block."""
        self._stop_listening()
        self.drop_connections()
        try:
            yield
        finally:
            self._listener = _listen(self.port)
            self._accept_in_background()

    def close(self) -> None:
        """Stop at once; requests that are held do not reach the target any more."""
        self._stopping.set()
        self._stop_listening()
        self.drop_connections()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _stop_listening(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept_in_background(self) -> None:
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            with self._changed:
                self._connections += 1
                self._open.add(client)
                self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        source = client.makefile("rb")
        try:
            while not self._stopping.is_set():
                self._answer(client, self._read(source))
        except _Reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (_Hangup, OSError):
            pass
        finally:
            with self._changed:
                self._open.discard(client)
            source.close()
            client.close()

    def _read(self, source: BinaryIO) -> tuple[Request, Head]:
        head = read_head(source)
        method, target, _ = head.first.split(" ", 2)
        body = b"".join(pieces(source, head, is_answer=False))
        headers = {key: "***" if key.lower() == "authorization" else value for key, value in head.headers}
        return Request(method=method, target=target, headers=headers, body=body), head

    def _answer(self, client: socket.socket, message: tuple[Request, Head]) -> None:
        request, head = message
        with self._changed:
            self._arrived.append(request)
            fault = next((rule.fault for rule in self._rules if rule.strikes(request)), None)
        if isinstance(fault, ResetBefore):
            raise _Reset
        if isinstance(fault, Replace) and not fault.reaches_target:
            _replace(client, fault)
            return
        if isinstance(fault, Delay):
            self._pause(fault.before_s)
        if isinstance(fault, Hold) and not fault.reaches_target_first:
            self._hold(fault.gate)
        with self._to_target() as target:
            target.sendall(head.framed(len(request.body)).encode() + request.body)
            with self._changed:
                self._reached.append(request)
                self._changed.notify_all()
            with target.makefile("rb") as source:
                self._relay(client, source, fault)

    @contextmanager
    def _to_target(self) -> Iterator[socket.socket]:
        with socket.create_connection(self._target) as target:
            with self._changed:
                self._open.add(target)
            try:
                yield target
            finally:
                with self._changed:
                    self._open.discard(target)

    def _relay(self, client: socket.socket, source: BinaryIO, fault: Fault | None) -> None:
        head = read_head(source)
        body = pieces(source, head, is_answer=True)
        if isinstance(fault, LineFault):
            self._relay_lines(client, head, _lines(body), fault)
        elif fault is None:
            _pass_on(client, head, body)
        else:
            self._spoil(client, head, b"".join(body), fault)

    def _spoil(self, client: socket.socket, head: Head, body: bytes, fault: Fault) -> None:
        plain = head.framed(len(body)).encode()
        match fault:
            case ResetAfter():
                raise _Reset if fault.reset else _Hangup
            case CutBody():
                client.sendall(plain + body[: fault.after_bytes])
                raise _Reset if fault.reset else _Hangup
            case CutChunk():
                client.sendall(head.chunked().encode() + b"%x\r\n%b" % (len(body) + 1, body))
                raise _Hangup
            case Drip():
                self._drip(client, plain, body, fault)
            case Replace():
                _replace(client, fault)
            case Rewrite():
                changed = fault.change(body)
                client.sendall(head.framed(len(changed)).encode() + changed)
            case Delay() | Hold():
                self._pause(fault.after_s) if isinstance(fault, Delay) else self._hold(fault.gate)
                client.sendall(plain + body)

    def _drip(self, client: socket.socket, head: bytes, body: bytes, fault: Drip) -> None:
        slow = head + body if fault.with_head else body
        client.sendall(b"" if fault.with_head else head)
        for at in range(len(slow)):
            self._pause(fault.step_s)
            client.sendall(slow[at : at + 1])

    def _relay_lines(self, client: socket.socket, head: Head, lines: Iterator[bytes], fault: LineFault) -> None:
        client.sendall(head.chunked().encode())
        for number, line in enumerate(lines):
            match fault:
                case SilenceAfter() if number == fault.lines:
                    self._hold(self._stopping)
                case CutInLine() if number == fault.lines:
                    client.sendall(chunk(line[: len(line) // 2]))
                    raise _Reset if fault.reset else _Hangup
                case RepeatLine() if number == fault.line:
                    client.sendall(chunk(line) + chunk(line))
                case SwapLines() if number == fault.line:
                    client.sendall(chunk(next(lines, b"")) + chunk(line))
                case RewriteLines():
                    client.sendall(chunk(fault.change(number, line.rstrip(b"\r\n")) + b"\n"))
                case _:
                    client.sendall(chunk(line))
        client.sendall(chunk(b""))

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _Hangup

    def _hold(self, gate: threading.Event) -> None:
        while not gate.wait(0.01):
            if self._stopping.is_set():
                raise _Hangup
        if self._stopping.is_set():
            raise _Hangup


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=64)


def _replace(client: socket.socket, fault: Replace) -> None:
    head = Head(
        first=f"HTTP/1.1 {fault.status} Replaced", headers=(("Content-Type", fault.content_type), *fault.headers)
    )
    client.sendall(head.framed(len(fault.body)).encode() + fault.body)


def _pass_on(client: socket.socket, head: Head, body: Iterator[bytes]) -> None:
    client.sendall(head.encode())
    for piece in body:
        client.sendall(chunk(piece) if head.is_chunked else piece)
    if head.is_chunked:
        client.sendall(chunk(b""))
    elif not head.value("Content-Length") and head.status not in (204, 304):
        raise _Hangup


def _lines(body: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines with their break; a rest without one is dropped."""
    fragment = b""
    try:
        for piece in body:
            *whole, fragment = (fragment + piece).split(b"\n")
            yield from (line + b"\n" for line in whole)
    except Closed:
        return
