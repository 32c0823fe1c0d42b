"""The real venue on a real port, in a thread of the test, with a clock that the test moves by hand."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from engine.venue import launch
from engine.venue.launch import Venue, VenueTerms

TOKEN = "canary-3f9d1c77a2"
ACCOUNT = "101-001-1234567-001"


class HandTime:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@contextmanager
def running(terms: VenueTerms, monotonic_s: Callable[[], float]) -> Iterator[tuple[str, Venue]]:
    """Serve a venue until the block ends; gives its address and itself."""
    venue = launch.assemble(terms, monotonic_s)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(
        uvicorn.Config(venue.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="venue", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", venue
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def terms(**changes: object) -> VenueTerms:
    return VenueTerms(**({"port": 1, "token": TOKEN, "account": ACCOUNT} | changes))  # type: ignore[arg-type]
