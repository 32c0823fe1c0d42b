"""A stream gives whole lines as they come, and ends with a reason when it is silent, cut, refused or closed."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.adapters.oanda import streams
from engine.adapters.oanda.answers import Answer, Verdict, judge
from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.streams import LineStream, StreamEnd, StreamEndKind
from tests.fakes.faults import (
    CutInLine,
    Drip,
    Fault,
    Hold,
    RepeatLine,
    Replace,
    ResetAfter,
    ResetBefore,
    RewriteLines,
    SilenceAfter,
    SwapLines,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.small_server import SmallServer
from tests.unit.adapters.oanda.line import CANARY, PATIENCE_S, client_of, full_listener, name_of, shows_canary, wait

PATH = "/v3/stream"
SILENCE_S = 0.4


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer() as server:
        yield server


@pytest.fixture
def proxy(server: SmallServer) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", server.server_port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[OandaHttp]:
    client = client_of(proxy.url)
    yield client
    client.close()


def send(server: SmallServer, *pieces: bytes, ends: bool = False) -> None:
    for piece in pieces:
        server.pieces.put(piece)
    if ends:
        server.pieces.put(None)


def ending(stream: LineStream) -> StreamEnd:
    assert stream.end is not None
    return stream.end


@pytest.mark.parametrize("path", ["/v3/stream", "/v3/unchunked-stream"])
def test_each_line_comes_at_once(client: OandaHttp, server: SmallServer, path: str) -> None:
    stream = client.open_stream(path, PATIENCE_S)
    lines = iter(stream)
    for text in ("one", "two", "three"):
        send(server, text.encode() + b"\n")
        assert next(lines) == text
    assert stream.end is None


def test_pieces_are_not_lines(client: OandaHttp, server: SmallServer) -> None:
    send(server, b"on", b"e\ntwo\nth", b"re", b"e\r\n", "é".encode()[:1], "é".encode()[1:] + b"\n", ends=True)
    assert list(client.open_stream(PATH, PATIENCE_S)) == ["one", "two", "three", "é"]


def test_blank_lines_are_not_given_out(client: OandaHttp, server: SmallServer) -> None:
    send(server, b"\n", b"one\n\n\r\n", b" \n", b"two\n", ends=True)
    assert list(client.open_stream(PATH, PATIENCE_S)) == ["one", "two"]


def test_stream_that_the_server_ends_says_so(client: OandaHttp, server: SmallServer) -> None:
    send(server, b"one\n", ends=True)
    stream = client.open_stream(PATH, PATIENCE_S)
    assert list(stream) == ["one"]
    assert ending(stream) == StreamEnd(kind=StreamEndKind.CUT, reason="the server ended the stream")


def test_last_line_that_was_not_ended_is_dropped(client: OandaHttp, server: SmallServer) -> None:
    send(server, b"one\ntw", ends=True)
    stream = client.open_stream(PATH, PATIENCE_S)
    assert list(stream) == ["one"]
    assert ending(stream).kind is StreamEndKind.CUT


def test_line_that_is_cut_in_the_middle_is_dropped(client: OandaHttp, server: SmallServer, proxy: FaultyProxy) -> None:
    proxy.inject(CutInLine(lines=2))
    send(server, b"one\n", b"two\n", b"three\n")
    stream = client.open_stream(PATH, PATIENCE_S)
    assert list(stream) == ["one", "two"]
    assert ending(stream) == StreamEnd(kind=StreamEndKind.CUT, reason="the answer was cut short")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (RepeatLine(line=1), ["a", "b", "b", "c"]),
        (SwapLines(line=0), ["b", "a", "c"]),
        (RewriteLines(change=lambda number, line: b"\xff" + line), ["\ufffda", "\ufffdb", "\ufffdc"]),
    ],
    ids=name_of,
)
def test_spoilt_lines_are_handed_on_for_others_to_judge(
    client: OandaHttp, server: SmallServer, proxy: FaultyProxy, fault: Fault, expected: list[str]
) -> None:
    proxy.inject(fault)
    send(server, b"a\n", b"b\n", b"c\n", ends=True)
    assert list(client.open_stream(PATH, PATIENCE_S)) == expected


def test_silent_stream_ends(client: OandaHttp, server: SmallServer, proxy: FaultyProxy) -> None:
    proxy.inject(SilenceAfter(lines=2))
    send(server, b"one\n", b"two\n", b"three\n")
    stream = client.open_stream(PATH, SILENCE_S)
    assert list(stream) == ["one", "two"]
    assert ending(stream) == StreamEnd(kind=StreamEndKind.SILENT, reason="no line for 0.4 s")


def test_stream_whose_head_does_not_come_is_silent(client: OandaHttp, proxy: FaultyProxy) -> None:
    gate = threading.Event()
    proxy.inject(Hold(gate=gate))
    stream = client.open_stream(PATH, SILENCE_S)
    assert list(stream) == []
    assert ending(stream).kind is StreamEndKind.SILENT
    gate.set()


def test_stream_that_drips_without_ending_a_line_is_silent(client: OandaHttp, server: SmallServer) -> None:
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(SILENCE_S / 4):
            send(server, b"x")

    with ThreadPoolExecutor(1) as threads:
        threads.submit(drip)
        stream = client.open_stream(PATH, SILENCE_S)
        assert list(stream) == []
        stop.set()
    assert ending(stream).kind is StreamEndKind.SILENT


@pytest.mark.parametrize("line", [b"beat\n", b"\n"])
def test_stream_lives_as_long_as_lines_come(client: OandaHttp, server: SmallServer, line: bytes) -> None:
    def beat() -> None:
        for _ in range(8):
            wait(SILENCE_S / 4)
            send(server, line)
        send(server, b"last\n", ends=True)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(beat)
        stream = client.open_stream(PATH, SILENCE_S)
        assert list(stream)[-1] == "last"
    assert ending(stream).reason == "the server ended the stream"


def test_time_that_the_reader_takes_is_not_silence(client: OandaHttp, server: SmallServer) -> None:
    stream = client.open_stream(PATH, SILENCE_S)
    wait(SILENCE_S * 1.5)
    lines = iter(stream)
    send(server, b"one\n", b"two\n", ends=True)
    assert next(lines) == "one"
    wait(SILENCE_S * 1.5)
    assert list(lines) == ["two"]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (401, b'{"errorMessage": "Insufficient authorization to perform request."}', Verdict.KEY_REFUSED),
        (400, b'{"errorMessage": "Invalid value specified for \'instruments\'"}', Verdict.BAD_REQUEST),
        (503, b"<html>", Verdict.RETRY_LATER),
        (302, b"", Verdict.RETRY_LATER),
    ],
)
def test_refused_stream_hands_on_the_answer(
    client: OandaHttp, proxy: FaultyProxy, status: int, body: bytes, verdict: Verdict
) -> None:
    proxy.inject(Replace(status=status, body=body))
    stream = client.open_stream(PATH, PATIENCE_S)
    assert list(stream) == []
    assert ending(stream) == StreamEnd(
        kind=StreamEndKind.REFUSED,
        reason=f"HTTP {status} instead of a stream",
        answer=Answer(status=status, body=body),
    )
    assert judge(Answer(status=status, body=body)).verdict is verdict
    assert len(proxy.arrived) == 1


@pytest.mark.parametrize("refused", [True, False])
def test_closing_a_stream_that_has_ended_leaves_its_connection_to_others(
    client: OandaHttp, server: SmallServer, proxy: FaultyProxy, refused: bool
) -> None:
    if refused:
        proxy.inject(Replace(status=503, body=b"{}"))
    send(server, b"one\n", ends=True)
    stream = client.open_stream(PATH, PATIENCE_S)
    list(stream)
    stream.close()
    assert isinstance(client.get("/v3/answer"), Answer)
    assert proxy.connections == 1


def test_refusal_that_does_not_end_is_silent(client: OandaHttp, proxy: FaultyProxy) -> None:
    proxy.inject(Drip(step_s=0.1, with_head=True))
    stream = client.open_stream("/v3/redirect", SILENCE_S)
    assert list(stream) == []
    assert ending(stream).kind is StreamEndKind.SILENT


def test_stream_that_finds_nobody_is_not_connected(client: OandaHttp, proxy: FaultyProxy) -> None:
    stream = client.open_stream(PATH, PATIENCE_S)
    with proxy.refusing():
        assert list(stream) == []
    assert ending(stream) == StreamEnd(kind=StreamEndKind.NOT_CONNECTED, reason="the connection was refused")


@pytest.mark.parametrize("fault", [ResetBefore(), ResetAfter()], ids=name_of)
def test_reset_before_the_head_is_a_cut(client: OandaHttp, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.inject(fault)
    stream = client.open_stream("/v3/answer", PATIENCE_S)
    assert list(stream) == []
    assert ending(stream) == StreamEnd(kind=StreamEndKind.CUT, reason="the connection was reset")


def test_line_without_end_is_given_up(client: OandaHttp, server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINE_MAX", 1000)
    send(server, b"one\n", b"x" * 600, b"x" * 600)
    stream = client.open_stream(PATH, PATIENCE_S)
    assert list(stream) == ["one"]
    assert ending(stream) == StreamEnd(kind=StreamEndKind.CUT, reason="a line is longer than 1000 bytes")


def test_closing_wakes_a_reader_that_waits_for_a_line(client: OandaHttp, server: SmallServer) -> None:
    stream = client.open_stream(PATH, PATIENCE_S)
    lines = iter(stream)
    send(server, b"one\n")
    assert next(lines) == "one"
    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(list, lines)
        stream.close()
        assert reader.result(PATIENCE_S / 4) == []
    assert ending(stream) == StreamEnd(kind=StreamEndKind.CLOSED, reason="our side closed the connection")


def test_closing_wakes_a_reader_that_waits_for_the_head(client: OandaHttp, proxy: FaultyProxy) -> None:
    proxy.inject(Hold(gate=threading.Event(), reaches_target_first=False))
    stream = client.open_stream(PATH, PATIENCE_S)
    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(list, stream)
        while not proxy.arrived:
            wait(0.005)
        stream.close()
        assert reader.result(PATIENCE_S / 4) == []
    assert ending(stream).kind is StreamEndKind.CLOSED


def test_closing_wakes_a_reader_that_waits_for_the_connection() -> None:
    with full_listener() as (host, port), ThreadPoolExecutor(1) as threads:
        stream = client_of(f"http://{host}:{port}").open_stream(PATH, PATIENCE_S)
        reader = threads.submit(list, stream)
        wait(0.1)
        stream.close()
        assert reader.result(PATIENCE_S / 4) == []
    assert ending(stream).kind is StreamEndKind.CLOSED


def test_stream_that_is_closed_before_it_is_read_asks_for_nothing(client: OandaHttp, proxy: FaultyProxy) -> None:
    stream = client.open_stream(PATH, PATIENCE_S)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert ending(stream).kind is StreamEndKind.CLOSED
    assert proxy.arrived == ()


def test_reader_that_stops_in_the_middle_gives_its_place_back(proxy: FaultyProxy, server: SmallServer) -> None:
    client = client_of(proxy.url, connections=1)
    send(server, b"one\n", b"two\n")
    for line in client.open_stream(PATH, PATIENCE_S):
        assert line == "one"
        break
    assert isinstance(client.get("/v3/answer"), Answer)


def test_stream_carries_the_key_and_shows_it_nowhere(client: OandaHttp, server: SmallServer) -> None:
    send(server, f"echo {CANARY}\n".encode(), ends=True)
    stream = client.open_stream(f"{PATH}?instruments=EUR_USD", PATIENCE_S)
    lines = list(stream)
    (seen,) = server.seen
    assert (seen.path, seen.headers["Authorization"]) == (f"{PATH}?instruments=EUR_USD", f"Bearer {CANARY}")
    assert lines == ["echo ***"]
    assert not shows_canary(repr(stream) + repr(stream.end))
