"""What no good client sends: never a 500, never a hang, nothing half-done; and the server goes on."""

import json
import random
import socket
import threading
from typing import Any

import pytest
import requests

from engine.venue.server import BODY_MAX, HANDLERS
from tests.unit.venue.house import ACCOUNT, TOKEN, House, Row

HERE = f"/v3/accounts/{ACCOUNT}"
LETTER_IN = f"Authorization: Bearer {TOKEN}\r\n"


def exchange(house: House, request: bytes, timeout_s: float = 2.0) -> bytes:
    """Send bytes and read until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=timeout_s) as line:
        line.sendall(request)
        found = b""
        try:
            while part := line.recv(65_536):
                found += part
                if b"\r\n\r\n" in found and found.endswith(b"}"):
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return found


def still_serves(house: House) -> None:
    assert house.summary()["id"] == ACCOUNT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"\xff\xfe\x00",
        b"[" * 90_000,
        b'{"order":null}',
        b'{"order":[]}',
        b'{"order":{}}',
        b'{"order":{"type":["MARKET"]}}',
        b'{"order":{"type":"MARKET","instrument":{}}}',
        b'{"order":{"type":"MARKET","instrument":"EUR_USD"}}',
        b'{"order":{"type":"MARKET","instrument":"EUR_UDS","units":1}}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_orders_that_cannot_be_read_leave_nothing_behind(house: House, body: bytes) -> None:
    before = house.last_id()
    house.ask("POST", "/orders", body, status=400)
    assert house.last_id() == before


@pytest.mark.parametrize(
    "units",
    [
        "true",
        "[]",
        "{}",
        "NaN",
        "Infinity",
        "1e999999999",
        "1e-999999999",
        "9" * 5_000,
        '"1e3"',
        '" 1"',
        '"\\u0661"',
        '""',
        "null",
    ],
    ids=lambda text: text[:20],
)
def test_units_that_are_no_number_are_refused(house: House, units: str) -> None:
    before = house.last_id()
    body = f'{{"order":{{"type":"MARKET","instrument":"EUR_USD","units":{units}}}}}'
    house.ask("POST", "/orders", body.encode(), status=400)
    assert house.last_id() == before


@pytest.mark.parametrize("part", ["id", "tag", "comment"])
def test_half_a_surrogate_never_gets_into_the_books(house: House, part: str) -> None:
    before = house.last_id()
    body = f'{{"order":{{"instrument":"EUR_USD","units":1,"clientExtensions":{{"{part}":"\\ud800"}}}}}}'
    house.ask("POST", "/orders", body.encode(), status=400)
    house.ask("PATCH", "/configuration", b'{"alias":"\\udfff"}', status=400)
    assert house.last_id() == before


@pytest.mark.parametrize("price", ["1.1000000000000001", "1.123456"])
def test_a_binary_fraction_breaks_the_precision_rule(house: House, price: str) -> None:
    body = f'{{"order":{{"type":"LIMIT","instrument":"EUR_USD","units":1,"price":{price}}}}}'
    answer = house.ask("POST", "/orders", body.encode(), status=400)
    assert answer["orderRejectTransaction"]["rejectReason"] == "PRICE_PRECISION_EXCEEDED"


VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "ALL",
    "NONE",
    "1",
    "-1",
    "1e9",
    "0.000000000000000000001",
    "9" * 40,
    [],
    {},
    [{}],
    {"id": 5},
    {"price": {}},
    {"distance": "0"},
    {"price": "1", "distance": "1"},
    "2030-01-01T00:00:00",
    "9999-12-31T23:59:59-14:00",
    "\u0000",
    "EUR_USD",
    "GTD",
    "IOC",
    "MID",
    "OPEN_ONLY",
    10**400,
    {"units": []},
    "é" * 200,
]
KEYS = (
    "type",
    "instrument",
    "units",
    "price",
    "priceBound",
    "timeInForce",
    "gtdTime",
    "positionFill",
    "triggerCondition",
    "tradeID",
    "clientTradeID",
    "distance",
    "takeProfitOnFill",
    "stopLossOnFill",
    "trailingStopLossOnFill",
    "clientExtensions",
    "tradeClientExtensions",
    "takeProfit",
    "stopLoss",
    "trailingStopLoss",
    "longUnits",
    "shortUnits",
    "alias",
    "id",
)
KINDS = ("MARKET", "LIMIT", "STOP", "MARKET_IF_TOUCHED", "TAKE_PROFIT", "STOP_LOSS", "TRAILING_STOP_LOSS")


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_is_written_anywhere_brings_a_500(house: House, seed: int) -> None:
    """Good orders with odd values in them, sent to every path that writes; what it leaves behind is sound."""
    chance = random.Random(seed)
    house.set_price("1.10000", "1.10010")
    trade = house.bought(50)["id"]
    order = house.order(type="LIMIT", units="1", price="0.50000")["orderCreateTransaction"]["id"]
    writes = [(method, template) for method, template in HANDLERS if method != "GET"]
    for _ in range(1_500):
        method, template = chance.choice(writes)
        path = template.format(account=ACCOUNT, order=order, trade=trade, instrument="EUR_USD")
        good: Row = {
            "type": chance.choice(KINDS),
            "instrument": "EUR_USD",
            "units": "1",
            "price": "1.10000",
            "tradeID": trade,
        }
        odd = good | {chance.choice(KEYS): chance.choice(VALUES) for _ in range(chance.randint(1, 3))}
        body = {"order": odd} if template.endswith(("/orders", "{order}")) and "trades" not in template else odd
        answer = house.session.request(method, house.url + path, data=json.dumps(body), timeout=10)
        assert answer.status_code < 500, (method, path, body, answer.text)
        assert answer.ok or answer.json()["errorMessage"]
    house.get("", dates="UNIX")
    seen = 0
    while seen < house.last_id():
        seen = int(house.since(seen)[-1]["id"])
    assert house.get("/orders", state="ALL", count=500)["orders"]
    assert house.get("/trades", state="ALL", count=500)["trades"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"])
def test_every_method_gets_an_answer_on_every_path(house: House, method: str) -> None:
    for template in {template for _, template in HANDLERS} | {"/v3/nothing", "/", f"{HERE}/orders/1/2/3"}:
        path = template.format(account=ACCOUNT, order="1", trade="1", instrument="EUR_USD", transaction="1")
        if (method, template) in HANDLERS:
            continue
        answer = house.session.request(method, house.url + path, timeout=5)
        expected = 405 if template in {known for _, known in HANDLERS} else 404
        assert answer.status_code == expected, (method, path)
        assert answer.headers["RequestID"]
        if expected == 405:
            assert set(answer.headers["Allow"].split(", ")) == {one for one, known in HANDLERS if known == template}
        assert answer.content == b"" if method == "HEAD" else answer.json()["errorMessage"]


@pytest.mark.parametrize(
    "head",
    [
        "GET {here}/orders/\xe9 HTTP/1.1\r\nHost: x\r\n",
        "GET {here}/summary HTTP/x\r\nHost: x\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "POST {here}/orders HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n",
        "POST {here}/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n",
        "GET /%zz/%00 HTTP/1.1\r\nHost: x\r\n",
        "POST {here}/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
        "POST {here}/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http://elsewhere{here}/nothing HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=lambda head: repr(head[:45]),
)
def test_broken_http_is_answered_with_4xx_and_forgotten(house: House, head: str) -> None:
    found = exchange(house, (head.format(here=HERE) + LETTER_IN + "\r\n").encode("latin-1"))
    assert found[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404"), found[:80]
    still_serves(house)


@pytest.mark.parametrize("host", ["[::", "a b", "x/../y", "é", ""])
def test_an_odd_host_is_not_repeated_in_addresses(house: House, host: str) -> None:
    body = '{"order":{"instrument":"EUR_USD","units":"1"}}'
    head = f"POST {HERE}/orders HTTP/1.1\r\nHost: {host}\r\n{LETTER_IN}Content-Length: {len(body)}\r\n\r\n{body}"
    found = exchange(house, head.encode("latin-1"))
    assert f"Location: {house.url}{HERE}/orders/".encode() in found or found.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_body_is_refused_without_reading_it_all(house: House, chunked: bool) -> None:
    before = house.last_id()
    part = b"x" * 10_000
    heading = "Transfer-Encoding: chunked" if chunked else "Content-Length: 99999999999"
    request = f"POST {HERE}/orders HTTP/1.1\r\nHost: x\r\n{LETTER_IN}{heading}\r\n\r\n".encode()
    piece = b"%x\r\n%s\r\n" % (len(part), part) if chunked else part
    found = exchange(house, request + piece * (BODY_MAX // len(part) + 1))
    assert found.startswith(b"HTTP/1.1 413")
    assert house.last_id() == before
    still_serves(house)


def test_a_request_that_was_turned_away_does_not_spoil_the_connection(house: House) -> None:
    """The body of a refused request lies between the two; keep-alive must find the second request all the same."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=5) as line:
        line.sendall(f"POST {HERE}/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode())
        line.sendall(f"GET {HERE}/summary HTTP/1.1\r\nHost: x\r\n{LETTER_IN}Connection: close\r\n\r\n".encode())
        found = b""
        while part := line.recv(65_536):
            found += part
    assert found.startswith(b"HTTP/1.1 401")
    assert b"HTTP/1.1 200" in found


def test_half_a_request_hurts_nobody(house: House) -> None:
    before = house.last_id()
    body = b'{"order":{"instrument":"EUR_USD","units":"1"}}'
    lines = []
    for _ in range(20):
        line = socket.create_connection(("127.0.0.1", house.port), timeout=5)
        line.sendall(
            f"POST {HERE}/orders HTTP/1.1\r\nHost: x\r\n{LETTER_IN}Content-Length: {len(body)}\r\n\r\n".encode()
        )
        line.sendall(body[:-3])
        lines.append(line)
    still_serves(house)
    for line in lines:
        line.close()
    still_serves(house)
    assert house.last_id() == before


def test_many_requests_share_connections(house: House) -> None:
    failed = list[int]()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            for _ in range(40):
                failed.extend([1] * (not session.get(f"{house.url}{HERE}/summary", timeout=10).ok))
            assert len(session.get_adapter(house.url).poolmanager.pools) == 1  # type: ignore[attr-defined]

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []


@pytest.mark.parametrize(
    "letter", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic " + TOKEN, TOKEN, "bearer é", "Bearer the-token x"]
)
def test_without_the_token_nothing_is_seen_or_done(house: House, letter: str) -> None:
    before = house.last_id()
    headers = {"Authorization": letter.encode("latin-1")}
    for path in ("/v3/accounts", f"{HERE}/orders", "/v3/nothing"):
        answer = requests.post(house.url + path, headers=headers, data="{}", timeout=5)
        assert answer.status_code == 401
        assert answer.json() == {"errorMessage": "Insufficient authorization to perform request."}
    assert house.last_id() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"instrument":[]}', 400),
        (b'{"instrument":"EUR_UDS"}', 400),
        (b"{", 400),
        (b'{"instrument":"EUR_USD","bid":"0"}', 400),
        (b'{"instrument":"EUR_USD","bid":"2","ask":"1"}', 400),
        (b'{"instrument":"EUR_USD","tradeable":"no"}', 400),
        (b'{"instrument":"EUR_USD","bid":{}}', 400),
        (b'{"instrument":"EUR_USD","bid":1.1000000000000003,"ask":1.1001}', 200),
    ],
)
def test_the_control_refuses_what_it_cannot_set(house: House, body: bytes, status: int) -> None:
    before = house.get("/pricing", instruments="EUR_USD")["prices"][0]["bids"]
    answer = requests.post(f"{house.control_url}/price", data=body, timeout=5)
    assert answer.status_code == status
    after = house.get("/pricing", instruments="EUR_USD")["prices"][0]["bids"]
    assert after == before if status != 200 else after[0]["price"] == "1.10000"
    assert requests.get(f"{house.control_url}/price", timeout=5).status_code == 404


def test_an_error_that_nobody_foresaw_is_an_answer_and_no_end(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The books themselves are damaged for one request: that is as unexpected as it gets."""
    book, totals = house.venue.market.exchange.book, house.venue.market.exchange.book.totals
    book.totals = None  # type: ignore[assignment]
    try:
        answer = house.session.get(f"{house.url}{HERE}/summary", timeout=5)
    finally:
        book.totals = totals
    assert (answer.status_code, list(answer.json())) == (500, ["errorMessage"])
    assert answer.headers["RequestID"].isdigit()
    assert answer.headers["Connection"] == "close"
    still_serves(house)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [AttributeError]
    assert TOKEN not in answer.text + caplog.text
