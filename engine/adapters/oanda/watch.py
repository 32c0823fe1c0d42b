"""I am the watch on a stream: a thread that reads its lines, and connects again when they end.
I may import threading, http, limits and streams.
I must not be needed: what I bring are hints, and everything works without me by asking.
My tests are in tests/unit/adapters/oanda/test_watch.py.
"""

import logging
import threading
from collections.abc import Callable

from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.streams import LineStream, StreamEndKind

log = logging.getLogger("engine.oanda")


class StreamWatch:
    """Reads one stream until closed; `on_line` takes a line and says whether it could be read."""

    def __init__(
        self, http: OandaHttp, path: str, silence_s: float, backoff: Backoff, on_line: Callable[[bytes], bool]
    ) -> None:
        self._http = http
        self._path = path
        self._silence_s = silence_s
        self._backoff = backoff
        self._on_line = on_line
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stream: LineStream | None = None
        self._healthy = False
        self._thread = threading.Thread(target=self._run, name=f"oanda-stream-{path.rsplit('/', 2)[1]}", daemon=True)

    @property
    def healthy(self) -> bool:
        """Say whether the stream is connected, not silent, and its newest line could be read."""
        return self._healthy

    def start(self) -> None:
        """Begin to read, in a thread of its own."""
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop reading and end the thread."""
        self._stopping.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._stream = stream = self._http.open_stream(self._path, self._silence_s)
            if self._stopping.is_set():
                return
            try:
                self._follow(stream)
            finally:
                self._healthy = False
            end = stream.end
            if end is not None and end.kind is not StreamEndKind.CLOSED:
                log.warning("stream ended: %s", end.reason, extra={"subsystem": "oanda"})
            self._stopping.wait(self._backoff.next_s())

    def _follow(self, stream: LineStream) -> None:
        for line in stream:
            self._healthy = self._on_line(line.encode())
            if self._healthy:
                self._backoff.reset()
