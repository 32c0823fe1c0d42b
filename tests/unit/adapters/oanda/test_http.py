"""Each request goes out once, ends in time, and comes back as a value that says whether it may have left."""

import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from email.utils import parsedate_to_datetime

import pytest

from engine.adapters.oanda.answers import Answer
from engine.adapters.oanda.exchange import Deadlines
from engine.adapters.oanda.http import OandaHttp, Outcome, path_of, secret_forms
from engine.adapters.oanda.limits import Limits
from engine.domain.error import ConfigError
from engine.ports import NotSent, Unresolved
from engine.redaction import RedactionFilter, Secret
from tests.fakes.faults import CutBody, CutChunk, Delay, Drip, Fault, Hold, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.small_server import SmallServer
from tests.unit.adapters.oanda.line import (
    CANARY,
    PATIENCE_S,
    QUICK_IN_ALL,
    QUICK_TO_ANSWER,
    QUICK_TO_CONNECT,
    client_of,
    full_listener,
    name_of,
    shows_canary,
    wait,
)

ORDER = {"order": {"units": Decimal("-100"), "clientExtensions": {"id": "1-EUR_USD-60-1"}}}
HTML = b"<html><body>Sign in to the hotel network</body></html>"


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


def get(client: OandaHttp) -> Outcome:
    return client.get("/v3/answer")


def post(client: OandaHttp) -> Outcome:
    return client.post("/v3/orders", ORDER)


def put(client: OandaHttp) -> Outcome:
    return client.put("/v3/orders/5/cancel")


CALLS = pytest.mark.parametrize("call", [get, post, put])
Call = Callable[[OandaHttp], Outcome]


def test_request_carries_what_oanda_asks_for(client: OandaHttp, server: SmallServer) -> None:
    client.get("/v3/answer?count=5")
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("GET", "/v3/answer?count=5", b"")
    assert seen.headers["Authorization"] == f"Bearer {CANARY}"
    assert seen.headers["Accept-Datetime-Format"] == "RFC3339"
    assert seen.headers["Accept-Encoding"] == "identity"
    assert "Content-Type" not in seen.headers


def test_body_is_json_with_decimals_as_strings(client: OandaHttp, server: SmallServer) -> None:
    post(client)
    client.put("/v3/trades/5/close", {"units": "ALL"})
    client.put("/v3/orders/5/cancel")
    sent, changed, empty = server.seen
    assert sent.body == b'{"order":{"units":"-100","clientExtensions":{"id":"1-EUR_USD-60-1"}}}'
    assert sent.headers["Content-Type"] == "application/json"
    assert (changed.method, changed.body) == ("PUT", b'{"units":"ALL"}')
    assert (empty.method, empty.body, empty.headers["Content-Length"]) == ("PUT", b"", "0")


@pytest.mark.parametrize("path", ["/v3/answer", "/v3/chunked", "/v3/closing"])
def test_answer_comes_whole_whatever_its_framing(client: OandaHttp, path: str) -> None:
    for _ in range(3):
        outcome = client.get(path)
        assert isinstance(outcome, Answer)
        assert (outcome.status, outcome.body) == (200, b'{"answer": 42}')


def test_answer_carries_the_request_id_and_the_servers_time(client: OandaHttp) -> None:
    answer = get(client)
    assert isinstance(answer, Answer) and parsedate_to_datetime(answer.date).tzinfo is not None
    assert answer == Answer(status=200, body=b'{"answer": 42}', request_id="71", date=answer.date)


def test_one_connection_serves_many_requests(client: OandaHttp, proxy: FaultyProxy) -> None:
    for call in (get, post, put) * 5:
        assert isinstance(call(client), Answer)
    assert (proxy.connections, len(proxy.reached)) == (1, 15)


@pytest.mark.parametrize(
    ("segments", "query", "path"),
    [
        (("accounts", "101-004-1-001", "orders"), {}, "/v3/accounts/101-004-1-001/orders"),
        (("orders", "@1-EUR_USD-60-1"), {}, "/v3/orders/@1-EUR_USD-60-1"),
        (("orders", "@a/b?c d#é"), {}, "/v3/orders/@a%2Fb%3Fc%20d%23%C3%A9"),
        (
            ("candles",),
            {"price": "BA", "from": "2026-01-01T00:00:00Z"},
            "/v3/candles?price=BA&from=2026-01-01T00%3A00%3A00Z",
        ),
    ],
)
def test_path_is_percent_encoded(segments: tuple[str, ...], query: dict[str, str], path: str) -> None:
    assert path_of(*segments, **query) == path


@CALLS
def test_refused_connection_was_surely_not_sent(call: Call, client: OandaHttp, proxy: FaultyProxy) -> None:
    with proxy.refusing():
        assert call(client) == NotSent(reason="the connection was refused")
    assert proxy.arrived == ()
    assert isinstance(call(client), Answer)


def no_such_name(*question: object) -> list[tuple[object, object, int, str, object]]:
    raise socket.gaierror(-2, "Name or service not known")


@CALLS
def test_name_that_does_not_resolve_was_surely_not_sent(call: Call) -> None:
    client = client_of("https://api-fxpractice.example", resolve=no_such_name)
    assert call(client) == NotSent(reason="the name of the server could not be resolved")


def test_name_service_that_does_not_answer_is_given_up() -> None:
    gate = threading.Event()

    def silent(*question: object) -> list[tuple[object, object, int, str, object]]:
        gate.wait(PATIENCE_S)
        return []

    client = client_of("https://api-fxpractice.example", QUICK_TO_CONNECT, resolve=silent)
    assert post(client) == NotSent(reason="the name service did not answer")
    gate.set()


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "swallows"])
def test_second_address_is_tried_when_the_first_is_dead(proxy: FaultyProxy, refuses: bool) -> None:
    def two(*question: object) -> list[tuple[object, object, int, str, object]]:
        places = (dead, ("127.0.0.1", proxy.port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    with full_listener() as dead:
        if refuses:
            dead = ("127.0.0.1", 1)
        outcome = get(client_of(proxy.url, Deadlines(connect_s=2, total_s=2), resolve=two))
    assert isinstance(outcome, Answer)
    assert proxy.connections == 1


def test_server_that_does_not_accept_was_surely_not_sent_to() -> None:
    with full_listener() as (host, port):
        assert post(client_of(f"http://{host}:{port}", QUICK_TO_CONNECT)) == NotSent(
            reason="no connection within 0.2 s"
        )


@CALLS
@pytest.mark.parametrize(
    ("fault", "reached"),
    [
        (ResetBefore(), 0),
        (ResetAfter(), 1),
        (ResetAfter(reset=False), 1),
        (CutBody(after_bytes=0), 1),
        (CutBody(after_bytes=5), 1),
        (CutBody(after_bytes=5, reset=False), 1),
        (CutChunk(), 1),
    ],
    ids=name_of,
)
def test_broken_connection_leaves_the_request_unresolved_and_is_not_tried_again(
    call: Call, fault: Fault, reached: int, client: OandaHttp, proxy: FaultyProxy
) -> None:
    proxy.inject(fault)
    outcome = call(client)
    assert isinstance(outcome, Unresolved)
    assert outcome.reason in {
        "the connection was reset",
        "the connection was closed without an answer",
        "the answer was cut short",
    }
    assert (len(proxy.arrived), len(proxy.reached)) == (1, reached)
    assert isinstance(call(client), Answer)


@CALLS
def test_kept_connection_that_breaks_under_a_request_leaves_it_unresolved(
    call: Call, client: OandaHttp, proxy: FaultyProxy
) -> None:
    proxy.inject(ResetAfter(reset=False), skip=1)
    assert isinstance(call(client), Answer)
    assert call(client) == Unresolved(reason="the connection was closed without an answer")
    assert (proxy.connections, len(proxy.arrived), len(proxy.reached)) == (1, 2, 2)


def test_kept_connection_that_was_closed_while_idle_is_made_anew(client: OandaHttp, proxy: FaultyProxy) -> None:
    get(client)
    proxy.drop_connections()
    assert isinstance(post(client), Answer)
    assert (proxy.connections, proxy.posts_of("1-EUR_USD-60-1")) == (2, 1)


@CALLS
@pytest.mark.parametrize("first", [True, False], ids=["answer is late", "request is late"])
def test_silence_leaves_the_request_unresolved_and_it_may_arrive_late(
    call: Call, first: bool, proxy: FaultyProxy
) -> None:
    gate = threading.Event()
    proxy.inject(Hold(gate=gate, reaches_target_first=first))
    assert call(client_of(proxy.url, QUICK_TO_ANSWER)) == Unresolved(reason="the server was silent for 0.2 s")
    gate.set()
    proxy.wait_until_reached(1)
    assert (len(proxy.arrived), len(proxy.reached)) == (1, 1)


@CALLS
@pytest.mark.parametrize("with_head", [True, False])
def test_answer_that_drips_ends_at_the_total_deadline(call: Call, with_head: bool, proxy: FaultyProxy) -> None:
    proxy.inject(Drip(step_s=0.1, with_head=with_head))
    begun_s = time.monotonic()
    assert call(client_of(proxy.url, QUICK_IN_ALL)) == Unresolved(reason="no whole answer within 0.4 s")
    assert time.monotonic() - begun_s < PATIENCE_S / 4
    assert (len(proxy.arrived), len(proxy.reached)) == (1, 1)


def test_request_that_the_server_does_not_take_in_ends_at_the_total_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = client_of(f"http://127.0.0.1:{listener.getsockname()[1]}", QUICK_IN_ALL)
        assert client.post("/v3/orders", "x" * 50_000_000) == Unresolved(reason="no whole answer within 0.4 s")


def test_slow_answer_within_the_deadlines_is_an_answer(client: OandaHttp, proxy: FaultyProxy) -> None:
    proxy.inject(Delay(before_s=0.05, after_s=0.05))
    proxy.inject(Drip(step_s=0.001, with_head=True))
    assert isinstance(get(client), Answer)
    assert isinstance(get(client), Answer)


@CALLS
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("reaches_target", [True, False])
def test_refusal_is_an_answer_and_is_not_tried_again(
    call: Call, status: int, reaches_target: bool, client: OandaHttp, proxy: FaultyProxy
) -> None:
    headers = (("Retry-After", "0"), ("RequestID", "9"))
    proxy.inject(Replace(status=status, body=b"{}", headers=headers, reaches_target=reaches_target))
    assert call(client) == Answer(status=status, body=b"{}", request_id="9")
    assert (len(proxy.arrived), len(proxy.reached)) == (1, reaches_target)


def test_page_in_place_of_an_answer_is_handed_on(client: OandaHttp, proxy: FaultyProxy) -> None:
    proxy.inject(Replace(status=200, body=HTML, content_type="text/html"))
    assert get(client) == Answer(status=200, body=HTML)


def test_redirect_is_not_followed(client: OandaHttp, server: SmallServer) -> None:
    outcome = client.get("/v3/redirect")
    assert isinstance(outcome, Answer)
    assert outcome.status == 302
    assert [seen.path for seen in server.seen] == ["/v3/redirect"]


def test_compressed_answer_is_not_unpacked(client: OandaHttp, proxy: FaultyProxy) -> None:
    proxy.inject(Replace(status=200, body=b"\x1f\x8b\x08", headers=(("Content-Encoding", "gzip"),)))
    assert get(client) == Answer(status=200, body=b"\x1f\x8b\x08")


@pytest.mark.parametrize(("size", "kind"), [(1000, Answer), (1001, Unresolved), (100_000, Unresolved)])
def test_body_is_read_up_to_its_limit_only(proxy: FaultyProxy, size: int, kind: type) -> None:
    client = client_of(proxy.url, body_max=1000, connections=1)
    proxy.inject(Rewrite(change=lambda body: b"x" * size))
    assert isinstance(get(client), kind)
    assert isinstance(get(client), Answer)


@pytest.mark.parametrize("garbage", [b"not http at all\r\n\r\n", b"\x00\xff" * 200, b"HTTP/1.1 abc\r\n\r\n", b""])
def test_garbage_leaves_the_request_unresolved(garbage: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        answered = threads.submit(answer_with, listener, garbage)
        outcome = post(client_of(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        answered.result(PATIENCE_S)
    assert isinstance(outcome, Unresolved)


def answer_with(listener: socket.socket, data: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(data)


def test_proxies_and_passwords_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, client: OandaHttp, server: SmallServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert isinstance(get(client), Answer)
    assert server.seen[0].headers["Authorization"] == f"Bearer {CANARY}"


def test_threads_share_a_few_connections(proxy: FaultyProxy) -> None:
    client = client_of(proxy.url, connections=3)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: get(client), range(80)))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert len(proxy.reached) == 80
    assert proxy.connections <= 3


def test_request_that_finds_no_free_connection_was_surely_not_sent(proxy: FaultyProxy) -> None:
    client = client_of(proxy.url, QUICK_IN_ALL, connections=1)
    stream = client.open_stream("/v3/stream", silence_s=PATIENCE_S)
    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(list, stream)
        proxy.wait_until_reached(1)
        outcome = post(client)
        stream.close()
        reader.result(PATIENCE_S)
    assert outcome == NotSent(reason="no connection became free before the deadline")
    assert [seen.method for seen in proxy.arrived] == ["GET"]


@pytest.mark.parametrize("scarce", [{"connections": 1}, {"requests": 1}])
def test_request_that_the_limits_would_hold_too_long_was_surely_not_sent(
    proxy: FaultyProxy, scarce: dict[str, int]
) -> None:
    limits = Limits(standing_s, wait, **scarce)
    first, second = (client_of(proxy.url, QUICK_IN_ALL, limits=limits, monotonic_s=standing_s) for _ in range(2))
    assert isinstance(get(first), Answer)
    assert post(second) == NotSent(reason="the limits allow no more before the deadline")
    assert len(proxy.arrived) == 1


def standing_s() -> float:
    return 0.0


def test_closed_client_sends_nothing(client: OandaHttp, proxy: FaultyProxy) -> None:
    client.close()
    assert post(client) == NotSent(reason="the client is closed")
    assert proxy.arrived == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://api-fxpractice.oanda.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "api-fxpractice.oanda.com",
        "https://",
        "https://user:canary@api-fxpractice.oanda.com",
        "https://api-fxpractice.oanda.com/v3",
        "https://api-fxpractice.oanda.com?a=1",
        "https://api-fxpractice.oanda.com:99999",
        "https://[::1",
        "",
    ],
)
def test_address_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="must be https://HOST") as refusal:
        client_of(url)
    assert "canary" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    "url",
    ["https://api-fxpractice.oanda.com", "https://api-fxtrade.oanda.com/", "http://localhost:1", "http://[::1]:1"],
)
def test_address_of_oanda_or_of_this_machine_is_taken(url: str) -> None:
    client_of(url)


@pytest.mark.parametrize("token", ["", "canary 1", "canary\n1", "canary\r\nX-Other: 1", "canaryé", " canary"])
def test_token_that_cannot_stand_in_a_header_is_refused_unseen(token: str, proxy: FaultyProxy) -> None:
    with pytest.raises(ConfigError, match="token") as refusal:
        OandaHttp(proxy.url, Secret(token), limits=Limits(time.monotonic, wait), monotonic_s=time.monotonic)
    assert "canary" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    "fault",
    [
        None,
        ResetBefore(),
        ResetAfter(),
        CutBody(),
        CutChunk(),
        Drip(step_s=0.1, with_head=True),
        Hold(gate=threading.Event()),
        Replace(status=401, body=b'{"errorMessage": "Insufficient authorization to perform request."}'),
        Replace(status=302, headers=(("Location", "http://127.0.0.1:1/"),)),
    ],
    ids=name_of,
)
def test_no_outcome_and_no_log_line_shows_the_token(
    fault: Fault | None, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(proxy.url, QUICK_IN_ALL)
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        proxy.inject(fault)
    outcome = client.get("/v3/headers")
    shown = [repr(outcome), str(outcome), repr(client), caplog.text, *(repr(vars(line)) for line in caplog.records)]
    shown.append(outcome.body.decode() if isinstance(outcome, Answer) else outcome.reason)
    assert not any(shows_canary(text) for text in shown)


def test_token_that_the_server_echoes_is_masked(client: OandaHttp, server: SmallServer) -> None:
    outcome = client.get("/v3/headers")
    assert isinstance(outcome, Answer)
    assert b'"Authorization": "Bearer ***"' in outcome.body
    assert shows_canary(repr(server.seen))


FORMS = pytest.mark.parametrize(
    "form", ["canary-7f3a/0042+x==", "canary-7f3a%2F0042%2Bx%3D%3D", "Y2FuYXJ5LTdmM2EvMDA0Mit4PT0="]
)


@FORMS
def test_token_is_masked_in_each_of_its_forms(form: str, client: OandaHttp, proxy: FaultyProxy) -> None:
    headers = (("RequestID", f"a {form}"),)
    proxy.inject(Replace(status=500, body=f"<p>{form}</p>".encode(), headers=headers, reaches_target=True))
    assert get(client) == Answer(status=500, body=b"<p>***</p>", request_id="a ***")


@FORMS
def test_log_filter_that_knows_the_forms_of_the_token_masks_them(form: str) -> None:
    assert RedactionFilter(secret_forms(Secret(CANARY))).redact(f"key {form}!") == "key ***!"


def test_a_word_that_is_too_short_to_be_a_secret_is_taken_out_of_nothing() -> None:
    """A venue of one's own may be given the token 1, which stands in every answer."""
    assert secret_forms(Secret("1")) == secret_forms(Secret("sevench")) == ()
    assert secret_forms(Secret("eightchr"))[0] == Secret("eightchr")
