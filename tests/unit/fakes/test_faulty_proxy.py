"""The proxy does to a request exactly what was asked, and remembers what reached the target."""

import http.client
import json
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.faults import (
    CutBody,
    CutChunk,
    CutInLine,
    Delay,
    Drip,
    Fault,
    Hold,
    RepeatLine,
    Replace,
    ResetAfter,
    ResetBefore,
    Rewrite,
    RewriteLines,
    SilenceAfter,
    SwapLines,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.small_server import SmallServer

ORDER = json.dumps({"order": {"clientExtensions": {"id": "1-EUR_USD-60-1"}}})


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer() as server:
        yield server


@pytest.fixture
def proxy(server: SmallServer) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", server.server_port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    yield client
    client.close()


def ask(
    client: http.client.HTTPConnection, path: str = "/v3/answer", method: str = "GET", body: str | None = None
) -> tuple[int, bytes]:
    client.request(method, path, body, {"Authorization": "Bearer canary-1"})
    answer = client.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("path", ["/v3/answer", "/v3/chunked", "/v3/closing"])
def test_answer_passes_unharmed_whatever_its_framing(client: http.client.HTTPConnection, path: str) -> None:
    assert ask(client, path) == (200, b'{"answer": 42}')
    assert ask(client, path) == (200, b'{"answer": 42}')


def test_body_reaches_the_target_unchanged(client: http.client.HTTPConnection, server: SmallServer) -> None:
    assert ask(client, "/v3/orders", "POST", ORDER)[0] == 201
    assert [(seen.method, seen.body) for seen in server.seen] == [("POST", ORDER.encode())]


def test_requests_are_recorded_without_the_key(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    ask(client, "/v3/orders", "POST", ORDER)
    (reached,) = proxy.reached
    assert (reached.method, reached.target, reached.body) == ("POST", "/v3/orders", ORDER.encode())
    assert reached.headers["Authorization"] == "***"
    assert "canary-1" not in repr(proxy.reached)


def test_orders_are_counted_by_client_id(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    ask(client, "/v3/orders", "POST", ORDER)
    ask(client, "/v3/orders", "POST", "{}")
    ask(client, "/v3/orders")
    assert (proxy.posts_of("1-EUR_USD-60-1"), proxy.posts_of("other")) == (1, 0)


def test_connection_of_the_client_is_kept(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    for _ in range(3):
        ask(client)
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("fault", "error", "reached"),
    [
        (ResetBefore(), ConnectionResetError, 0),
        (ResetAfter(), ConnectionResetError, 1),
        (ResetAfter(reset=False), http.client.RemoteDisconnected, 1),
        (CutBody(after_bytes=3), (ConnectionResetError, http.client.IncompleteRead), 1),
        (CutBody(after_bytes=3, reset=False), http.client.IncompleteRead, 1),
        (CutChunk(), http.client.IncompleteRead, 1),
    ],
)
def test_broken_connection_is_broken_where_it_was_asked(
    client: http.client.HTTPConnection,
    proxy: FaultyProxy,
    server: SmallServer,
    fault: Fault,
    error: type[Exception] | tuple[type[Exception], ...],
    reached: int,
) -> None:
    proxy.inject(fault)
    with pytest.raises(error):
        ask(client)
    assert (len(proxy.arrived), len(proxy.reached), len(server.seen)) == (1, reached, reached)


def test_fault_strikes_only_what_it_was_asked_for(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    proxy.inject(Replace(status=503), method="POST", path=r"/orders\?a=1$", skip=1, times=2)
    paths = ["/v3/orders?a=1", "/v3/trades", "/v3/orders?a=1", "/v3/orders?a=1", "/v3/orders?a=1"]
    assert [ask(client, path, "POST", "{}")[0] for path in paths] == [201, 201, 503, 503, 201]
    assert ask(client, "/v3/orders?a=1")[0] == 200


def test_fault_without_count_strikes_always(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    proxy.inject(Replace(status=429), times=None)
    assert [ask(client)[0] for _ in range(3)] == [429, 429, 429]
    assert proxy.reached == ()


@pytest.mark.parametrize("reaches_target", [True, False])
def test_replaced_answer_says_whether_the_target_was_reached(
    client: http.client.HTTPConnection, proxy: FaultyProxy, reaches_target: bool
) -> None:
    proxy.inject(Replace(status=502, body=b"<html>", content_type="text/html", reaches_target=reaches_target))
    assert ask(client) == (502, b"<html>")
    assert len(proxy.reached) == reaches_target


@pytest.mark.parametrize(
    "fault", [Delay(before_s=0.01), Delay(after_s=0.01), Drip(step_s=0.001), Drip(step_s=0.001, with_head=True)]
)
def test_slow_answer_is_whole_in_the_end(client: http.client.HTTPConnection, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.inject(fault)
    assert ask(client) == (200, b'{"answer": 42}')


@pytest.mark.parametrize("first", [True, False])
def test_held_request_waits_for_the_gate(client: http.client.HTTPConnection, proxy: FaultyProxy, first: bool) -> None:
    gate = threading.Event()
    proxy.inject(Hold(gate=gate, reaches_target_first=first))
    client.request("GET", "/v3/answer")
    if first:
        proxy.wait_until_reached(1)
    else:
        assert proxy.reached == ()
    gate.set()
    assert client.getresponse().read() == b'{"answer": 42}'


def test_held_request_arrives_after_the_client_has_gone(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    gate = threading.Event()
    proxy.inject(Hold(gate=gate))
    client.request("POST", "/v3/orders", ORDER)
    client.close()
    gate.set()
    proxy.wait_until_reached(1)
    assert proxy.posts_of("1-EUR_USD-60-1") == 1


def test_body_is_rewritten_with_its_length(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    proxy.inject(Rewrite(change=lambda body: body.replace(b"42", b"4242")))
    assert ask(client) == (200, b'{"answer": 4242}')
    assert ask(client) == (200, b'{"answer": 42}')


def test_proxy_refuses_and_comes_back_on_the_same_port(client: http.client.HTTPConnection, proxy: FaultyProxy) -> None:
    ask(client)
    with proxy.refusing():
        client.close()
        with pytest.raises(ConnectionRefusedError):
            ask(client)
    client.close()
    assert ask(client)[0] == 200


def stream_lines(client: http.client.HTTPConnection, server: SmallServer, lines: list[bytes]) -> list[bytes]:
    for line in lines:
        server.pieces.put(line)
    server.pieces.put(None)
    client.request("GET", "/v3/stream")
    return client.getresponse().read().split()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (RepeatLine(line=1), [b"a", b"b", b"b", b"c"]),
        (SwapLines(line=1), [b"a", b"c", b"b"]),
        (RewriteLines(change=lambda number, line: b"%d%b" % (number, line)), [b"0a", b"1b", b"2c"]),
    ],
)
def test_lines_of_a_stream_are_spoilt_as_asked(
    client: http.client.HTTPConnection, proxy: FaultyProxy, server: SmallServer, fault: Fault, expected: list[bytes]
) -> None:
    proxy.inject(fault)
    assert stream_lines(client, server, [b"a\n", b"b\n", b"c\n"]) == expected


@pytest.mark.parametrize("reset", [True, False])
def test_stream_is_cut_inside_a_line(
    client: http.client.HTTPConnection, proxy: FaultyProxy, server: SmallServer, reset: bool
) -> None:
    proxy.inject(CutInLine(lines=1, reset=reset))
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        stream_lines(client, server, [b"first\n", b"second\n"])


def test_silent_stream_stays_open_and_says_nothing_more(
    client: http.client.HTTPConnection, proxy: FaultyProxy, server: SmallServer
) -> None:
    proxy.inject(SilenceAfter(lines=1))
    server.pieces.put(b"first\n")
    server.pieces.put(b"second\n")
    client.request("GET", "/v3/stream")
    answer = client.getresponse()
    assert answer.readline() == b"first\n"
    assert client.sock is not None
    client.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        answer.readline()


def test_close_ends_everything_that_is_held(server: SmallServer) -> None:
    with FaultyProxy("127.0.0.1", server.server_port) as proxy:
        proxy.inject(Hold(gate=threading.Event()))
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        client.request("POST", "/v3/orders", ORDER)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.getresponse()
    client.close()
    assert (server.seen, proxy.reached) == ([], ())
