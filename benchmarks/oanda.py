"""I am the benchmark of the OANDA adapter against a venue process on loopback.
I may import the adapter and start processes.
I must not count the venue's time as ours: a bare client sends the same bytes beside it.
My tests are in the reading of the table.
"""

import http.client
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from benchmarks.figure import Figure, percentile
from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.oanda.http import OandaHttp, Outcome
from engine.adapters.oanda.rendering import market_order
from engine.domain.market import Granularity
from engine.domain.order import OrderIntent, OrderReason
from engine.ports import Answered
from engine.redaction import Secret

TOKEN, ACCOUNT = "bench", "101-001-1234567-001"
ORDERS, ROUNDS, POLLS = 300, 3, 10
INSTRUMENTS_POLLED = 20
# Keeps us below 100 requests a second, where the adapter would begin to wait.
PAUSE_S = 0.011


def measure() -> list[Figure]:
    """Order round trip through the adapter and without it, its own time per order, and a candle poll."""
    with _venue() as port:
        access = Access(
            environment="practice", token=Secret(TOKEN), account_id=ACCOUNT, loopback_url=f"http://127.0.0.1:{port}"
        )
        desk = OandaDesk(access, Means(monotonic_s=time.monotonic, wait=time.sleep, draw=random.random))
        rounds = [_orders(desk, port) for _ in range(ROUNDS)]
        polls = _polls(desk)
        desk.close()
    ours, own, bare = (
        {share: [percentile(one[kind], share) for one in rounds] for share in (0.5, 0.99)} for kind in range(3)
    )
    return [
        Figure(name="order round trip through the adapter, p50", unit="ms", samples=ours[0.5]),
        Figure(name="order round trip through the adapter, p99", unit="ms", samples=ours[0.99]),
        Figure(name="the same bytes with a bare client, p50", unit="ms", samples=bare[0.5]),
        Figure(
            name="order round trip against a bare client, p50", unit="ratio",
            samples=[mine / theirs for mine, theirs in zip(ours[0.5], bare[0.5], strict=True)],
        ),
        Figure(name="adapter's own time per order (without HTTP), p50", unit="ms", samples=own[0.5]),
        Figure(name="adapter's own time per order (without HTTP), p99", unit="ms", samples=own[0.99], aim="<= 1"),
        Figure(name=f"candle poll of {INSTRUMENTS_POLLED} instruments, M1", unit="ms", samples=polls),
    ]  # fmt: skip


def _intent(number: int, units: int) -> OrderIntent:
    return OrderIntent(
        client_order_id=f"bench-{number}-{time.monotonic_ns()}",
        instrument="EUR_USD",
        units=Decimal(units),
        created_ns=0,
        reason=OrderReason.SIGNAL,
    )


class TimedHttp:
    """The adapter's HTTP client, with a watch on it."""

    def __init__(self, inner: OandaHttp) -> None:
        self._inner = inner
        self.seconds = 0.0

    def post(self, path: str, body: object) -> Outcome:
        begun = time.perf_counter()
        try:
            return self._inner.post(path, body)
        finally:
            self.seconds = time.perf_counter() - begun


def _orders(desk: OandaDesk, port: int) -> tuple[list[float], list[float], list[float]]:
    """Buy and sell in turn, one order through the adapter and one without, so that both meet the same machine."""
    timed = TimedHttp(desk._orders)
    desk.broker._http = timed  # type: ignore[assignment]
    instrument = desk.opened.instruments["EUR_USD"]
    bare = http.client.HTTPConnection("127.0.0.1", port)
    bare.connect()
    bare.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    ours, own, theirs = [], [], []
    for number in range(ORDERS):
        time.sleep(PAUSE_S)
        units = 100 if number % 2 else -100
        begun = time.perf_counter()
        outcome = desk.broker.submit(_intent(number, units))
        ours.append((time.perf_counter() - begun) * 1e3)
        own.append(ours[-1] - timed.seconds * 1e3)
        assert isinstance(outcome, Answered), outcome
        body = json.dumps(market_order(_intent(number, -units), instrument), default=str)
        begun = time.perf_counter()
        bare.request("POST", f"/v3/accounts/{ACCOUNT}/orders", body, headers)
        answer = bare.getresponse()
        answer.read()
        theirs.append((time.perf_counter() - begun) * 1e3)
        assert answer.status == 201, answer.status
    bare.close()
    desk.broker._http = desk._orders
    return ours, own, theirs


def _polls(desk: OandaDesk) -> list[float]:
    names = tuple(sorted(desk.opened.instruments))[:INSTRUMENTS_POLLED]
    data = desk.market_data("USD", time.time_ns, 1.0)
    data.start(names, Granularity.M1)
    samples = []
    for _ in range(POLLS):
        begun = time.perf_counter()
        for future in [data._askers.submit(data._candles, name, count="31") for name in names]:
            assert len(future.result()) >= 30
        samples.append((time.perf_counter() - begun) * 1e3)
    return samples


@contextmanager
def _venue() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "engine", "venue", "--port", str(port), "--token", TOKEN, "--account", ACCOUNT,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        yield port
    finally:
        process.terminate()
        process.wait(10)
