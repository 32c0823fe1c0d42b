"""A watched stream tells its lines, says when it is not to be trusted, and connects again by itself."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.adapters.oanda.http import OandaHttp, path_of
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.watch import StreamWatch
from engine.redaction import Secret
from tests.fakes.faults import (
    CutInLine,
    Fault,
    RepeatLine,
    Replace,
    ResetBefore,
    SilenceAfter,
    SwapLines,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.small_server import SmallServer
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.unit.adapters.oanda.line import PATIENCE_S, PATIENT, client_of, generous, name_of
from tests.unit.adapters.oanda.stand import Stand, standing

SHORT_S = 0.02
LOG_STREAM = path_of("accounts", ACCOUNT, "transactions", "stream")
PRICE_STREAM = path_of("accounts", ACCOUNT, "pricing", "stream", instruments="EUR_USD,USD_JPY")


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer() as server:
        yield server


@pytest.fixture(scope="module")
def house() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    """The venue, which says something as soon as one listens, behind a line of its own."""
    with house.new_line():
        yield house


@pytest.fixture
def proxy(server: SmallServer) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", server.server_port) as proxy:
        yield proxy


class Heard:
    """What a watch has told; wait_for ends as soon as something has come true."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.lines: list[str] = []
        self._before = before
        self._changed = threading.Condition()

    def __call__(self, line: bytes) -> bool:
        self._before()
        with self._changed:
            self.lines.append(line.decode())
            self._changed.notify_all()
        return not line.startswith(b"bad")

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.lines) >= count, PATIENCE_S), self.lines


@contextmanager
def watching(
    proxy: FaultyProxy,
    on_line: Callable[[bytes], bool],
    path: str = "/v3/stream",
    silence_s: float = PATIENCE_S,
    first_s: float = SHORT_S,
) -> Iterator[StreamWatch]:
    client = OandaHttp(proxy.url, Secret(TOKEN), limits=generous(), monotonic_s=time.monotonic, deadlines=PATIENT)
    watch = StreamWatch(client, path, silence_s, Backoff(lambda: 0.0, first_s, first_s), on_line)
    watch.start()
    try:
        yield watch
    finally:
        watch.close(PATIENCE_S)
        client.close()


def until(truth: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    waiting = threading.Event()
    for _ in range(2_000):
        if truth():
            return
        waiting.wait(0.005)
    raise AssertionError("it never came true")


def test_lines_are_told_and_the_stream_is_trusted(server: SmallServer, proxy: FaultyProxy) -> None:
    heard = Heard()
    with watching(proxy, heard) as watch:
        assert not watch.healthy
        for text in (b"one\n", b"two\n"):
            server.pieces.put(text)
        heard.wait_for(2)
        until(lambda: watch.healthy)
    assert heard.lines == ["one", "two"] and not watch.healthy


@pytest.mark.parametrize(
    "fault",
    [
        ResetBefore(),
        Replace(status=200, body=b""),
        Replace(status=401),
        Replace(status=503),
        CutInLine(lines=0),
    ],
    ids=name_of,
)
def test_it_connects_again_whatever_happened(stand: Stand, fault: Fault) -> None:
    heard = Heard()
    stand.proxy.inject(fault, times=2)
    with watching(stand.proxy, heard, LOG_STREAM) as watch:
        heard.wait_for(1)
        until(lambda: watch.healthy)
        assert len(stand.proxy.arrived) == 3
    assert "HEARTBEAT" in heard.lines[0]


def test_a_stream_that_is_cut_is_opened_anew(stand: Stand) -> None:
    heard = Heard()
    with watching(stand.proxy, heard, LOG_STREAM) as watch:
        heard.wait_for(1)
        stand.proxy.drop_connections()
        heard.wait_for(2)
        until(lambda: watch.healthy)


def test_a_silent_stream_is_not_trusted_and_opened_anew(stand: Stand) -> None:
    told: list[bool] = []
    heard = Heard(lambda: told.append(watch.healthy))
    stand.proxy.inject(SilenceAfter(lines=1))
    with watching(stand.proxy, heard, LOG_STREAM, silence_s=0.3) as watch:
        heard.wait_for(2)
        assert len(stand.proxy.arrived) == 2
    assert told == [False, False]


def test_lines_twice_and_out_of_order_are_told_as_they_come(stand: Stand) -> None:
    def names() -> list[str]:
        return [json.loads(line)["instrument"] for line in heard.lines if "PRICE" in line]

    stand.proxy.inject(RepeatLine(line=0))
    stand.proxy.inject(SwapLines(line=0))
    for wanted in (["EUR_USD", "EUR_USD", "USD_JPY"], ["USD_JPY", "EUR_USD"]):
        heard = Heard()
        with watching(stand.proxy, heard, PRICE_STREAM):
            heard.wait_for(len(wanted))
            assert names()[: len(wanted)] == wanted


def test_a_line_that_cannot_be_read_ends_the_trust_until_the_next(server: SmallServer, proxy: FaultyProxy) -> None:
    heard = Heard()
    with watching(proxy, heard) as watch:
        server.pieces.put(b"good\n")
        until(lambda: watch.healthy)
        server.pieces.put(b"bad\n")
        until(lambda: not watch.healthy)
        server.pieces.put(b"good\n")
        until(lambda: watch.healthy)
    assert len(proxy.arrived) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_died_is_not_trusted(server: SmallServer, proxy: FaultyProxy) -> None:
    def broken(line: bytes) -> bool:
        if line == b"two":
            raise ArithmeticError
        return True

    with watching(proxy, broken) as watch:
        server.pieces.put(b"one\n")
        until(lambda: watch.healthy)
        server.pieces.put(b"two\n")
        until(lambda: not watch.healthy)


def test_the_waits_grow_until_a_line_comes(server: SmallServer, proxy: FaultyProxy) -> None:
    heard, drawn = Heard(), list[int]()

    def draw() -> float:
        drawn.append(len(proxy.arrived))
        return 0.0

    backoff = Backoff(draw, 0.01, 0.08)
    client = client_of(proxy.url)
    proxy.inject(ResetBefore(), times=4)
    watch = StreamWatch(client, "/v3/stream", PATIENCE_S, backoff, heard)
    watch.start()
    until(lambda: len(proxy.arrived) >= 5)
    server.pieces.put(b"one\n")
    heard.wait_for(1)
    until(lambda: watch.healthy)
    assert (list(drawn), backoff.next_s()) == ([1, 2, 3, 4], 0.01)
    watch.close(PATIENCE_S)
    client.close()


@pytest.mark.parametrize("state", ["reading", "waiting to connect again"])
def test_closing_ends_the_thread_at_once(
    server: SmallServer, proxy: FaultyProxy, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    if state != "reading":
        proxy.inject(Replace(status=503), times=None)
    with watching(proxy, heard, first_s=PATIENCE_S) as watch:
        until(lambda: len(proxy.arrived) >= 1)
        watch.close(PATIENCE_S)
        assert not watch._thread.is_alive()
    assert TOKEN not in caplog.text
