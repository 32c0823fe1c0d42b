"""A small real HTTP/1.1 server on loopback for tests of clients and of the faulty proxy; it knows nothing of OANDA."""

import json
import queue
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request with all its headers, the value of Authorization too."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "SmallServer"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append(
            Seen(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body)
        )
        known: dict[str, Callable[[], None]] = {
            "/stream": self._stream,
            "/unchunked-stream": self._unchunked_stream,
            "/chunked": self._chunked,
            "/closing": self._closing,
            "/redirect": self._redirect,
            "/headers": lambda: self._send(200, json.dumps(dict(self.headers.items())).encode()),
        }
        answer = known.get(self.path.removeprefix("/v3").split("?")[0])
        if answer is not None:
            answer()
        elif self.command == "GET":
            self._send(200, b'{"answer": 42}')
        else:
            self._send(201, json.dumps({"got": body.decode()}).encode())

    do_GET = do_POST = do_PUT = do_PATCH = _serve

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("RequestID", f"7{len(self.server.seen)}")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self) -> None:
        self._send(302, b"{}", Location="/v3/answer")

    def _closing(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b'{"answer": 42}')
        self.close_connection = True

    def _chunked(self) -> None:
        self._begin_chunks()
        for piece in (b'{"ans', b'wer": ', b"42}"):
            self._chunk(piece)
        self._chunk(b"")

    def _stream(self) -> None:
        self._begin_chunks()
        while (piece := self.server.next_piece()) is not None:
            self._chunk(piece)
        self._chunk(b"")

    def _unchunked_stream(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while (piece := self.server.next_piece()) is not None:
            self.wfile.write(piece)
        self.close_connection = True

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def log_message(self, format: str, *args: object) -> None:
        pass


class SmallServer(ThreadingHTTPServer):
    """Answers GET with {"answer": 42}, anything else with what it got; /v3/stream sends what is put into `pieces`.

    Use it as a context manager. Pieces of a stream need not be lines; None ends the stream properly.
    """

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        scheme = "http"
        if tls is not None:
            scheme = "https"
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{scheme}://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def next_piece(self) -> bytes | None:
        """Wait for the next piece of a stream; None at the end."""
        while not self._stopping.is_set():
            try:
                return self.pieces.get(timeout=0.01)
            except queue.Empty:
                continue
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Be silent: clients that go away are what these tests are about."""

    def __exit__(self, *failure: object) -> None:
        self._stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
