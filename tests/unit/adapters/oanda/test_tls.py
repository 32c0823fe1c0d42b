"""Under TLS everything holds as without it, and only a server that can prove its name is talked to."""

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.adapters.oanda.answers import Answer
from engine.adapters.oanda.exchange import Deadlines
from engine.adapters.oanda.streams import StreamEndKind
from engine.ports import NotSent, Unresolved
from tests.fakes.small_server import SmallServer
from tests.unit.adapters.oanda.line import PATIENCE_S, QUICK_IN_ALL, QUICK_TO_ANSWER, QUICK_TO_CONNECT, client_of

# Made for these tests, for 127.0.0.1 and a hundred years; nothing else has ever trusted it.
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUO+Qht7Et7e/qHkD
56uDT/plvjSfX91egOG8KrFAonKhRANCAARzALm9CGSeWTbpDUWP6rR/Ze/mCYZZ
XYMkaWKWyJXjua7vyCnPX0uLmmkCH+mHC9WKniee5FfQcTYXHo74S4Hc
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUB1MF6gRz5TDi6QgaWLedQXReBE8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMzAzMjAzOVoYDzIxMjYxMDMw
MDMyMDM5WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARzALm9CGSeWTbpDUWP6rR/Ze/mCYZZXYMkaWKWyJXjua7vyCnPX0uL
mmkCH+mHC9WKniee5FfQcTYXHo74S4Hco2QwYjAdBgNVHQ4EFgQUxRdhuVBw4oP4
5B6zoCgZerzXjFQwHwYDVR0jBBgwFoAUxRdhuVBw4oP45B6zoCgZerzXjFQwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IBe9B2JtbKHJA2NsfOa08eeun6T+izrEuR9ShBCHFFd4AiApOsaLRjRAXQY+nZZL
Vc16LRsYoa2RzQGW4Fm9Mm/6FQ==
-----END CERTIFICATE-----
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    key = certificate.with_name("key.pem")
    key.write_text(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def server(tls: ssl.SSLContext) -> Iterator[SmallServer]:
    with SmallServer(tls) as server:
        yield server


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the certificate in the place of those that requests comes with."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))


def test_certificate_that_nobody_signed_is_refused(server: SmallServer) -> None:
    outcome = client_of(server.url).post("/v3/orders", {})
    assert outcome == NotSent(reason="the certificate of the server is not trusted")
    assert server.seen == []


def test_certificate_bundle_of_the_environment_is_not_used(
    server: SmallServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(certificate))
    assert isinstance(client_of(server.url).get("/v3/answer"), NotSent)


@pytest.mark.usefixtures("trusted")
def test_certificate_of_another_name_is_refused(server: SmallServer) -> None:
    outcome = client_of(server.url.replace("127.0.0.1", "localhost")).post("/v3/orders", {})
    assert outcome == NotSent(reason="the certificate of the server is not trusted")
    assert server.seen == []


@pytest.mark.usefixtures("trusted")
def test_trusted_server_is_talked_to(server: SmallServer) -> None:
    client = client_of(server.url)
    for path in ("/v3/answer", "/v3/chunked", "/v3/closing", "/v3/answer"):
        outcome = client.get(path)
        assert isinstance(outcome, Answer)
        assert outcome.body == b'{"answer": 42}'
    assert isinstance(client.post("/v3/orders", {"a": "b"}), Answer)


def test_server_without_tls_was_surely_not_sent_to() -> None:
    with SmallServer() as plain:
        outcome = client_of(plain.url.replace("http:", "https:")).post("/v3/orders", {})
        assert outcome == NotSent(reason="TLS failed")
        assert plain.seen == []


def test_handshake_that_does_not_end_was_surely_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = client_of(f"https://127.0.0.1:{listener.getsockname()[1]}", QUICK_TO_CONNECT)
        assert client.post("/v3/orders", {}) == NotSent(reason="no connection within 0.2 s")


@pytest.mark.usefixtures("trusted")
def test_silence_under_tls_leaves_the_request_unresolved(server: SmallServer) -> None:
    outcome = client_of(server.url, QUICK_TO_ANSWER).get("/v3/stream")
    assert outcome == Unresolved(reason="the server was silent for 0.2 s")


@pytest.mark.usefixtures("trusted")
def test_drip_under_tls_ends_at_the_total_deadline(server: SmallServer) -> None:
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.1):
            server.pieces.put(b"x")

    with ThreadPoolExecutor(1) as threads:
        threads.submit(drip)
        outcome = client_of(server.url, QUICK_IN_ALL).get("/v3/stream")
        stop.set()
    assert outcome == Unresolved(reason="no whole answer within 0.4 s")


@pytest.mark.usefixtures("trusted")
def test_stream_under_tls_wakes_when_it_is_closed(server: SmallServer) -> None:
    stream = client_of(server.url, Deadlines(connect_s=5)).open_stream("/v3/stream", PATIENCE_S)
    lines = iter(stream)
    server.pieces.put(b"first\n")
    assert next(lines) == "first"
    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(list, lines)
        stream.close()
        assert reader.result(PATIENCE_S / 4) == []
    assert stream.end is not None
    assert stream.end.kind is StreamEndKind.CLOSED
