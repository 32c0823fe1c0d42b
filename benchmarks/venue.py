"""I am the venue benchmark: requests a second, order round trips and candle polls over loopback.
I may import the standard library, requests and the other benchmarks.
I must not count the start of the venue, nor a connection that is not kept alive.
My tests are in the reading of the table.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests

from benchmarks.figure import Figure, percentile

TOKEN, ACCOUNT = "token", "101-001-1234567-001"  # noqa: S105 - of a venue that lives for a minute
ROUNDS, REQUESTS, ORDERS, POLLS = 5, 400, 300, 10
INSTRUMENTS = 20


def measure() -> list[Figure]:
    """Summaries a second, order round trips, and a poll of the newest minutes of 20 instruments; requests included."""
    with _venue() as base, requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        here = f"{base}/v3/accounts/{ACCOUNT}"
        names = [row["name"] for row in session.get(f"{here}/instruments").json()["instruments"]][:INSTRUMENTS]
        order = json.dumps({"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}})
        back = json.dumps({"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "-1"}})

        def round_trip(number: int) -> None:
            made = session.post(f"{here}/orders", data=back if number % 2 else order)
            assert "orderFillTransaction" in made.json()

        def poll(_: int) -> None:
            for name in names:
                query = {"granularity": "M1", "count": "3", "price": "BA"}
                assert session.get(f"{base}/v3/instruments/{name}/candles", params=query).json()["candles"]

        def summary(_: int) -> None:
            assert session.get(f"{here}/summary").ok

        poll(0)
        asked = [REQUESTS / sum(_seconds(summary, REQUESTS)) for _ in range(ROUNDS)]
        sent = [_seconds(round_trip, ORDERS) for _ in range(ROUNDS)]
        polled = [1_000 * seconds for seconds in _seconds(poll, POLLS)]
    p50, p99 = ([1_000 * percentile(part, share) for part in sent] for share in (0.5, 0.99))
    return [
        Figure(name="venue, summary, one client", unit="1/s", samples=asked),
        Figure(name="venue, market order to its fill, p50", unit="ms", samples=p50),
        Figure(name="venue, market order to its fill, p99", unit="ms", samples=p99),
        Figure(name=f"venue, newest minutes of {INSTRUMENTS} instruments", unit="ms", samples=polled),
    ]


def _seconds(work: Callable[[int], None], times: int) -> list[float]:
    taken = []
    for number in range(times):
        begun = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - begun)
    return taken


@contextmanager
def _venue() -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = ["venue", "--port", str(port), "--token", TOKEN, "--account", ACCOUNT]
    process = subprocess.Popen([sys.executable, "-m", "engine", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()
