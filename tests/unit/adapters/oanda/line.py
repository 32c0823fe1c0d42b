"""A client behind the faulty proxy in front of a small real server, with short deadlines."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import msgspec

from engine.adapters.oanda.exchange import Deadlines
from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.limits import Limits
from engine.redaction import Secret

CANARY = "canary-7f3a/0042+x=="
# Never reached on a machine that works; only keeps a broken test from hanging.
PATIENCE_S = 20.0
PATIENT = Deadlines(connect_s=PATIENCE_S, read_s=PATIENCE_S, total_s=PATIENCE_S)
QUICK_TO_CONNECT = Deadlines(connect_s=0.2, read_s=PATIENCE_S, total_s=PATIENCE_S)
QUICK_TO_ANSWER = Deadlines(connect_s=PATIENCE_S, read_s=0.2, total_s=PATIENCE_S)
QUICK_IN_ALL = Deadlines(connect_s=PATIENCE_S, read_s=PATIENCE_S, total_s=0.4)


def wait(seconds: float) -> None:
    """Wait for this long."""
    threading.Event().wait(seconds)


def generous() -> Limits:
    """Return limits that no test reaches."""
    return Limits(time.monotonic, wait, connections=1000, requests=100_000)


def client_of(url: str, deadlines: Deadlines = PATIENT, **more: object) -> OandaHttp:
    """Return a client for this address with the canary as its token."""
    options: dict[str, object] = {"limits": generous(), "monotonic_s": time.monotonic, "deadlines": deadlines, **more}
    return OandaHttp(url, Secret(CANARY), **options)  # type: ignore[arg-type]


def shows_canary(text: str) -> bool:
    """Say whether the token stands in a text, plain or encoded."""
    encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
    return any(form in text for form in (CANARY, quote(CANARY, safe=""), encoded))


def name_of(value: object) -> str:
    """Name a parameter in the id of a test; the same in each process, unlike the repr of an event or a function."""
    return type(value).__name__ if isinstance(value, msgspec.Struct) else repr(value)


@contextmanager
def full_listener() -> Iterator[tuple[str, int]]:
    """Listen, but with a queue so full that the kernel lets further attempts wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as fillers:
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
