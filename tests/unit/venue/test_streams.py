"""Streams: many at once, slow readers, clients that vanish; what one of them does must not touch the others."""

import json
import socket
import time
from collections.abc import Callable

import pytest
import requests

from tests.unit.venue.house import ACCOUNT, TOKEN, House, Row, running

HERE = f"/v3/accounts/{ACCOUNT}"
PRICES = f"{HERE}/pricing/stream?instruments=EUR_USD"
TRANSACTIONS = f"{HERE}/transactions/stream"


class Line:
    """A raw connection to a stream, so that a test may read slowly or not at all."""

    def __init__(self, house: House, path: str, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", house.port))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        self.socket.sendall(head.encode())
        self._data = b""

    def until(self, enough: Callable[[list[Row]], bool]) -> list[Row]:
        """Read until the messages suffice."""
        while not enough(self.messages()):
            part = self.socket.recv(65_536)
            assert part, self._data[-300:]
            self._data += part
        return self.messages()

    def messages(self) -> list[Row]:
        """What has come, without the last line if it is not whole."""
        lines = self._data.split(b"\r\n")
        return [json.loads(line) for line in lines if line.startswith(b'{"') and line.endswith(b"}\n")]


def open_generators(house: House) -> int:
    """How many streams the venue is feeding: each waits for the same news."""
    return len(house.venue.market._changed._waiters)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: TID251 - a bounded poll
    return holds()


def test_thirty_streams_all_get_the_same_rows(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    lines = [Line(house, TRANSACTIONS) for _ in range(15)] + [Line(house, PRICES) for _ in range(15)]
    for line in lines:
        line.until(lambda found: len(found) >= 1)
    before = house.last_id()
    house.bought(100)
    house.set_price("1.20000", "1.20010")
    rows = house.since(before)
    for line in lines[:15]:
        found = line.until(lambda found: any(row.get("id") == rows[-1]["id"] for row in found))
        assert [row for row in found if row["type"] != "HEARTBEAT"] == rows
    for line in lines[15:]:
        found = line.until(lambda found: any(bid_of(row) == "1.20000" for row in found))
        last = next(row for row in found if bid_of(row) == "1.20000")
        assert last["asks"][0]["price"] == "1.20010"
    for line in lines:
        line.socket.close()
    assert eventually(lambda: open_generators(house) == 0)


def test_a_stream_begins_with_what_is_now_and_replays_nothing(house: House) -> None:
    house.set_price("1.30000", "1.30010")
    house.bought(10)
    prices, rows = Line(house, PRICES), Line(house, TRANSACTIONS)
    assert prices.until(lambda found: len(found) >= 1)[0]["bids"][0]["price"] == "1.30000"
    beat = rows.until(lambda found: len(found) >= 1)[0]
    assert (beat["type"], int(beat["lastTransactionID"])) == ("HEARTBEAT", house.last_id())
    quiet = Line(house, f"{PRICES}&snapshot=False")
    assert eventually(lambda: open_generators(house) == 3)
    house.set_price("1.31000", "1.31010")
    assert quiet.until(lambda found: len(found) >= 1)[0]["bids"][0]["price"] == "1.31000"


def bid_of(row: Row) -> str | None:
    """The bid that a line tells; a heartbeat tells none."""
    return row["bids"][0]["price"] if row["type"] == "PRICE" else None


def test_prices_between_are_dropped_and_the_last_one_comes(house: House) -> None:
    house.set_price("1.10000", "1.10010")
    line = Line(house, PRICES)
    line.until(lambda found: len(found) >= 1)
    for step in range(40):
        house.set_price(f"1.1{step:02}00", f"1.1{step:02}10")
    found = line.until(lambda found: any(bid_of(row) == "1.13900" for row in found))
    assert len(found) < 10


def test_a_reader_that_does_not_read_stops_nobody_and_misses_no_transaction(house: House) -> None:
    slow = Line(house, TRANSACTIONS, buffer=2_048)
    assert eventually(lambda: open_generators(house) >= 1)
    before = house.last_id()
    for _ in range(400):
        made = house.order(type="LIMIT", units="1", price="0.50000", clientExtensions={"comment": "x" * 128})
        house.ask("PUT", f"/orders/{made['orderCreateTransaction']['id']}/cancel")
    rows = house.since(before)
    found = slow.until(lambda found: any(row.get("id") == rows[-1]["id"] for row in found))
    assert [row for row in found if row["type"] != "HEARTBEAT"] == rows


def test_clients_that_vanish_leave_nothing_behind(house: House) -> None:
    assert eventually(lambda: open_generators(house) == 0)
    for _ in range(40):
        line = Line(house, PRICES)
        line.until(lambda found: len(found) >= 1)
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        line.socket.close()  # with a reset, as when a process dies
    assert eventually(lambda: open_generators(house) == 0)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{HERE}/pricing/stream", 400),
        (f"{HERE}/pricing/stream?instruments=EUR_UDS", 400),
        (f"{PRICES}&snapshot=x", 400),
        (f"{PRICES},EUR_UDS", 400),
        ("/v3/accounts/101-001-7654321-001/transactions/stream", 403),
    ],
)
def test_a_stream_that_cannot_start_is_an_ordinary_error(house: House, path: str, status: int) -> None:
    answer = house.session.get(house.url + path, timeout=5, stream=True)
    assert (answer.status_code, list(answer.json())[0]) == (status, "errorMessage")


def test_a_stream_in_unix_form(house: House) -> None:
    headers = {"Accept-Datetime-Format": "UNIX"}
    with house.session.get(house.url + PRICES, headers=headers, timeout=5, stream=True) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        row = json.loads(next(answer.iter_lines()))
    assert row["time"].replace(".", "").isdigit()


def test_streams_end_when_the_venue_ends() -> None:
    with running() as other:
        line = Line(other, TRANSACTIONS)
        line.until(lambda found: len(found) >= 1)
    rest = b""
    while part := line.socket.recv(65_536):
        rest += part
    assert rest.endswith(b"0\r\n\r\n")
    with pytest.raises(requests.ConnectionError):
        other.summary()
