"""I am a stream of lines that may end at any moment, and say how it ended.
I may import requests and what lies beside me.
I must not connect again by myself, or be taken for the truth: lines are hints, the numbered transactions decide.
My tests are in tests/unit/adapters/oanda/test_streams.py.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec
from requests import RequestException, Response
from urllib3.exceptions import HTTPError

from engine.adapters.oanda.answers import Answer
from engine.adapters.oanda.exchange import Exchange
from engine.ports import NotSent, Unresolved

LINE_MAX = 1024 * 1024
_CHUNK = 65_536


class StreamEndKind(StrEnum):
    """How a stream ended."""

    NOT_CONNECTED = "not_connected"
    REFUSED = "refused"
    SILENT = "silent"
    CUT = "cut"
    CLOSED = "closed"


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How and why a stream ended; REFUSED carries the answer, CLOSED was our own wish."""

    kind: StreamEndKind
    reason: str
    answer: Answer | None = None


class LineStream:
    """The lines of one streaming request, for one reader; iterate over it, then look at `end`.

    Blank lines keep it alive and are not given out. A last line that was cut off is dropped.
    """

    def __init__(
        self,
        exchange: Exchange,
        transmit: Callable[[], Response],
        whole: Callable[[Response], Answer | Unresolved],
        masked: Callable[[bytes], bytes],
    ) -> None:
        self._exchange = exchange
        self._transmit = transmit
        self._whole = whole
        self._masked = masked
        self.end: StreamEnd | None = None

    def close(self) -> None:
        """End the stream at once, from any thread; a reader that waits for a line wakes up."""
        self._exchange.cut()

    def __iter__(self) -> Iterator[str]:
        self._exchange.restart()
        try:
            response = self._transmit()
            try:
                if response.status_code == 200:
                    yield from self._lines(response)
                else:
                    self.end = self._refused(self._whole(response))
            finally:
                response.close()
                self._exchange.let_go()
        except (RequestException, HTTPError, OSError) as error:
            self.end = self._broken(error)

    def _lines(self, response: Response) -> Iterator[str]:
        fragment = b""
        while len(fragment) <= LINE_MAX:
            data = response.raw.read1(_CHUNK, decode_content=False)
            if not data:
                self.end = StreamEnd(kind=self._ending(StreamEndKind.CUT), reason="the server ended the stream")
                return
            *lines, fragment = (fragment + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield self._masked(line).decode(errors="replace").strip()
            if lines:
                # Counted from here, not from the arrival: the time a reader takes for a line is not silence.
                self._exchange.restart()
        self.end = StreamEnd(kind=StreamEndKind.CUT, reason=f"a line is longer than {LINE_MAX} bytes")

    def _refused(self, answer: Answer | Unresolved) -> StreamEnd:
        if isinstance(answer, Unresolved):
            return StreamEnd(kind=StreamEndKind.CUT, reason=answer.reason)
        reason = f"HTTP {answer.status} instead of a stream"
        return StreamEnd(kind=StreamEndKind.REFUSED, reason=reason, answer=answer)

    def _broken(self, error: Exception) -> StreamEnd:
        outcome = self._exchange.outcome(error)
        if isinstance(outcome, NotSent):
            return StreamEnd(kind=self._ending(StreamEndKind.NOT_CONNECTED), reason=outcome.reason)
        if self._exchange.ran_out(error) and not self._exchange.is_cut:
            reason = f"no line for {self._exchange.deadlines.total_s:g} s"
            return StreamEnd(kind=StreamEndKind.SILENT, reason=reason)
        return StreamEnd(kind=self._ending(StreamEndKind.CUT), reason=outcome.reason)

    def _ending(self, kind: StreamEndKind) -> StreamEndKind:
        return StreamEndKind.CLOSED if self._exchange.is_cut else kind
