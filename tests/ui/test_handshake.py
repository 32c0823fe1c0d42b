"""Who may open the console's socket: raw handshakes, as a browser or a program sends them."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.ui.server import Console, start_console

ACCEPTED, REFUSED = 101, 403


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    console = start_console(tmp_path_factory.mktemp("handshake"))
    yield console
    console.stop()


def answer(server: Console, host: str, origin: str | None) -> int:
    """Send one handshake; returns the status of the answer."""
    port = urlsplit(server.url).port
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host.format(port=port)}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version: 13",
    ]
    lines += [f"Origin: {origin.format(port=port)}"] if origin is not None else []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(4_096).split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", ACCEPTED),
        ("localhost:{port}", "http://localhost:{port}", ACCEPTED),
        ("127.0.0.1:{port}", None, ACCEPTED),
        ("evil.example:{port}", "http://evil.example:{port}", REFUSED),
        ("127.0.0.1:{port}", "http://evil.example", REFUSED),
        ("127.0.0.1:{port}", "http://127.0.0.1:9999", REFUSED),
        ("localhost:{port}", "http://localhost:9999", REFUSED),
        ("localhost:{port}", "http://127.0.0.1:{port}", REFUSED),
        ("127.0.0.1:{port}", "null", REFUSED),
        ("127.0.0.1:{port}", "", REFUSED),
    ],
    ids=["own", "own by name", "a program", "rebinding", "another site", "another port", "another port by name",
         "another name", "a file or sandbox", "an empty origin"],
)  # fmt: skip
def test_only_a_page_of_the_console_itself_gets_a_socket(
    server: Console, host: str, origin: str | None, status: int
) -> None:
    assert answer(server, host, origin) == status
