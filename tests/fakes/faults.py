"""What may go wrong with one request on its way: values that tests hand to the faulty proxy."""

import threading
from collections.abc import Callable

import msgspec


class ResetBefore(msgspec.Struct, frozen=True, kw_only=True):
    """The connection is reset when the request has been read; the target never hears of it."""


class ResetAfter(msgspec.Struct, frozen=True, kw_only=True):
    """The target has answered, but the client sees the connection reset, or closed without a byte."""

    reset: bool = True


class CutBody(msgspec.Struct, frozen=True, kw_only=True):
    """The head and the first bytes of the body arrive; then the connection is reset or closed."""

    after_bytes: int = 1
    reset: bool = True


class CutChunk(msgspec.Struct, frozen=True, kw_only=True):
    """The body comes chunked; its chunk announces one byte more than arrives before the connection is closed."""


class Drip(msgspec.Struct, frozen=True, kw_only=True):
    """The answer comes byte by byte, from its head or only from its body on."""

    step_s: float
    with_head: bool = False


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """The client gets this answer; reaches_target says whether the target heard the request all the same."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    reaches_target: bool = False


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """The target hears the request later, even if the client waits no more; or the client hears the answer later."""

    before_s: float = 0.0
    after_s: float = 0.0


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Like Delay, but until the test opens the gate: before the target hears the request, or after it has answered."""

    gate: threading.Event
    reaches_target_first: bool = False


class Rewrite(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer is changed by a function; the length in the head follows."""

    change: Callable[[bytes], bytes]


class SilenceAfter(msgspec.Struct, frozen=True, kw_only=True):
    """A stream goes on for this many lines, then says nothing more and stays open."""

    lines: int


class CutInLine(msgspec.Struct, frozen=True, kw_only=True):
    """A stream goes on for this many lines; half of the next one arrives before the connection is reset or closed."""

    lines: int
    reset: bool = False


class RepeatLine(msgspec.Struct, frozen=True, kw_only=True):
    """The line of this number (from 0) of a stream arrives twice."""

    line: int


class SwapLines(msgspec.Struct, frozen=True, kw_only=True):
    """The line of this number (from 0) of a stream and the one after it arrive in the wrong order."""

    line: int


class RewriteLines(msgspec.Struct, frozen=True, kw_only=True):
    """Each line of a stream is changed by a function of its number (from 0) and text, without the line break."""

    change: Callable[[int, bytes], bytes]


LineFault = SilenceAfter | CutInLine | RepeatLine | SwapLines | RewriteLines
Fault = ResetBefore | ResetAfter | CutBody | CutChunk | Drip | Replace | Delay | Hold | Rewrite | LineFault
