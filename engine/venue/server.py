"""I am the server: who may come in, which handler answers, and how answers go out.
I may import starlette, the handlers and refusal.
I must not know the account's business; nor let a request without the token see anything.
My tests are in tests/unit/venue: test_malformed.py; and in tests/contract/test_venue.py.
"""

import asyncio
import hmac
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from engine.venue import ledger, orders, quotes, trades
from engine.venue.candles import BarShelf, Wanted, candles, length_ns
from engine.venue.desk import Answer, Call, Desk
from engine.venue.reading import read_body
from engine.venue.refusal import FORBIDDEN, UNAUTHORIZED, Refusal, invalid
from engine.venue.rendering import Renderer
from engine.venue.streams import price_lines, transaction_lines
from engine.venue.text import Dates, rfc3339, unix

Handler = Callable[[Desk, Call], Answer]
BODY_MAX = 100_000
ACCOUNT_PATTERN = re.compile(r"\d+-\d+-\d+-\d+")
# What reaches further back than this is read beside the loop, from a market of its own: making old days takes time.
RECENT_NS = 24 * 3_600_000_000_000
_SPELLINGS = {
    name.lower(): name
    for name in (b"RequestID", b"Content-Type", b"Content-Length", b"Location", b"Connection", b"Link", b"Allow")
}
METHOD_NOT_ALLOWED = 405
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?")
FIRST_REQUEST_ID = 24_000_000_000_000_000

_HERE = "/v3/accounts/{account}"
HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/v3/accounts"): ledger.accounts,
    ("GET", _HERE): ledger.details,
    ("GET", f"{_HERE}/summary"): ledger.summary,
    ("GET", f"{_HERE}/changes"): ledger.changes,
    ("PATCH", f"{_HERE}/configuration"): ledger.configure,
    ("GET", f"{_HERE}/instruments"): quotes.instruments,
    ("GET", f"{_HERE}/pricing"): quotes.prices,
    ("POST", f"{_HERE}/orders"): orders.create,
    ("GET", f"{_HERE}/orders"): orders.listing,
    ("GET", f"{_HERE}/pendingOrders"): orders.pending,
    ("GET", f"{_HERE}/orders/{{order}}"): orders.show,
    ("PUT", f"{_HERE}/orders/{{order}}"): orders.replace,
    ("PUT", f"{_HERE}/orders/{{order}}/cancel"): orders.cancel,
    ("PUT", f"{_HERE}/orders/{{order}}/clientExtensions"): orders.extend,
    ("GET", f"{_HERE}/trades"): trades.listing,
    ("GET", f"{_HERE}/openTrades"): trades.open_trades,
    ("GET", f"{_HERE}/trades/{{trade}}"): trades.show,
    ("PUT", f"{_HERE}/trades/{{trade}}/close"): trades.close,
    ("PUT", f"{_HERE}/trades/{{trade}}/clientExtensions"): trades.extend,
    ("PUT", f"{_HERE}/trades/{{trade}}/orders"): trades.set_dependents,
    ("GET", f"{_HERE}/positions"): trades.positions,
    ("GET", f"{_HERE}/openPositions"): trades.open_positions,
    ("GET", f"{_HERE}/positions/{{instrument}}"): trades.position,
    ("PUT", f"{_HERE}/positions/{{instrument}}/close"): trades.close_position,
    ("GET", f"{_HERE}/transactions"): ledger.pages,
    ("GET", f"{_HERE}/transactions/sinceid"): ledger.since,
    ("GET", f"{_HERE}/transactions/idrange"): ledger.id_range,
    ("GET", f"{_HERE}/transactions/{{transaction}}"): ledger.show,
}
CANDLES = ("/v3/instruments/{instrument}/candles", f"{_HERE}/instruments/{{instrument}}/candles")
PRICE_STREAM = f"{_HERE}/pricing/stream"
TRANSACTION_STREAM = f"{_HERE}/transactions/stream"
_GET_ONLY = (*CANDLES, PRICE_STREAM, TRANSACTION_STREAM)
_TEMPLATES = tuple(dict.fromkeys((*_GET_ONLY, *(template for _, template in HANDLERS))))


class VenueApp:
    """The venue as an ASGI application; everything but old candles is answered in the event loop, one at a time."""

    def __init__(self, desk: Desk, token: str, recent: BarShelf, archive: BarShelf, heartbeat_s: float) -> None:
        self._desk = desk
        self._token = token
        self._recent = recent
        self._archive = archive
        self._archive_free = asyncio.Lock()
        self._heartbeat_s = heartbeat_s
        self._request_ids = count(FIRST_REQUEST_ID)
        # What no handler foresaw is answered there, and then raised for the server to log.
        self._guarded = ServerErrorMiddleware(self._serve, handler=unexpected)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = str(next(self._request_ids))
        scope["request_id"] = request_id
        try:
            await self._guarded(scope, receive, _as_oanda_writes(send, request_id.encode()))
        except asyncio.CancelledError:
            if not self._desk.market.is_closed:
                raise  # at the end the server gives up on streams that nobody reads; that is no error

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(Request(scope, receive), scope["request_id"])
        except Refusal as refusal:
            response = _json(refusal.status, refusal.body)
            if refusal.status == METHOD_NOT_ALLOWED:
                response.headers["Allow"] = ", ".join(_methods(_found(scope)[0]))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request, request_id: str) -> Response:
        self._check_token(request)
        template, path = _found(request.scope)
        self._check_account(path)
        if request.method not in _methods(template):
            raise Refusal(METHOD_NOT_ALLOWED, f"Method {request.method} is not allowed here")
        self._desk.market.begin()
        dates = _dates(request)
        renderer = Renderer(self._desk.account_id, self._desk.exchange.instruments, dates)
        body = await _body(request)
        call = Call(
            path=path,
            query=dict(request.query_params),
            body=body,
            request_id=request_id,
            base_url=_base_url(request),
            renderer=renderer,
        )
        self._desk.market.advance()
        return await self._answer(request.method, template, call, dates)

    async def _answer(self, method: str, template: str, call: Call, dates: Dates) -> Response:
        if method == "GET" and template in CANDLES:
            return await self._candles(call, dates)
        if method == "GET" and template == PRICE_STREAM:
            names = quotes.names_of(self._desk, call.query, required=True)
            snapshot = quotes.flag(call.query, "snapshot", default=True)
            return _stream(price_lines(self._desk, names, dates, self._heartbeat_s, snapshot=snapshot))
        if method == "GET" and template == TRANSACTION_STREAM:
            return _stream(transaction_lines(self._desk, call.renderer, self._heartbeat_s))
        answer = HANDLERS[method, template](self._desk, call)
        if method != "GET":
            self._desk.market.announce()
        response = _json(answer.status, answer.body)
        here = f"{call.base_url}/v3/accounts/{self._desk.account_id}"
        if answer.location:
            response.headers["Location"] = f"{here}/{answer.location}"
        if answer.link:
            response.headers["Link"] = f'<{here}/{answer.link}>; rel="next"'
        return response

    async def _candles(self, call: Call, dates: Dates) -> Response:
        wanted = quotes.wanted_candles(self._desk, call)
        quotes.price_letters(call.query)
        self._check_length(wanted)
        now_ns = self._desk.exchange.now_ns
        if _reach_ns(wanted, now_ns) <= RECENT_NS:
            found = candles(self._recent, wanted, now_ns)
        else:
            async with self._archive_free:
                found = await asyncio.to_thread(candles, self._archive, wanted, now_ns)
        return _json(200, quotes.candles_answer(self._desk, wanted, found, call.query, dates).body)

    def _check_length(self, wanted: Wanted) -> None:
        if length_ns(wanted.granularity) % self._recent.finest.ns:
            raise invalid("granularity", f"The bars of this venue are of {self._recent.finest}")

    def _check_token(self, request: Request) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise Refusal(401, UNAUTHORIZED)

    def _check_account(self, path: Mapping[str, str]) -> None:
        account = path.get("account", self._desk.account_id)
        if not ACCOUNT_PATTERN.fullmatch(account):
            raise invalid("accountID")
        if account != self._desk.account_id:
            raise Refusal(403, FORBIDDEN)


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer in JSON whatever went wrong; what it was stands in the log only. The server hangs up after it."""
    response = _json(500, {"errorMessage": "The venue failed to answer this request; its log says why"})
    response.headers["Connection"] = "close"
    return response


def _as_oanda_writes(send: Send, request_id: bytes) -> Send:
    """Number every answer, and write header names as OANDA does: clients that look them up may mind the case."""

    async def spelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"requestid", request_id)]
            message["headers"] = [(_SPELLINGS.get(name, name), value) for name, value in headers]
        await send(message)

    return spelled


def _reach_ns(wanted: Wanted, now_ns: int) -> int:
    """How far back a request for candles may look."""
    span_ns = (wanted.count + 2) * length_ns(wanted.granularity) * 3 // 2
    if wanted.from_ns is not None:
        return now_ns - wanted.from_ns
    return now_ns - (wanted.to_ns or now_ns) + span_ns


def _methods(template: str) -> list[str]:
    return ["GET"] if template in _GET_ONLY else [method for method, known in HANDLERS if known == template]


def _base_url(request: Request) -> str:
    """Name this venue as the client named it, or by its own address where that is no host."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        host = ":".join(str(part) for part in request.scope["server"])
    return f"http://{host}"


def _found(scope: Scope) -> tuple[str, dict[str, str]]:
    """Find the template of a path; its parts are decoded one by one, because a client's id may hold a slash."""
    parts = scope["raw_path"].decode("ascii", "replace").split("?")[0].split("/")
    for template in _TEMPLATES:
        wanted = template.split("/")
        if len(wanted) == len(parts) and all(
            want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
        ):
            named = zip(wanted, parts, strict=True)
            return template, {want[1:-1]: unquote(part) for want, part in named if want.startswith("{")}
    raise Refusal(404, "The requested resource does not exist")


def _dates(request: Request) -> Dates:
    wanted = request.headers.get("Accept-Datetime-Format", "RFC3339")
    if wanted not in ("RFC3339", "UNIX"):
        raise invalid("Accept-Datetime-Format")
    return unix if wanted == "UNIX" else rfc3339


async def _body(request: Request) -> Mapping[str, Any]:
    return {} if request.method == "GET" else read_body(await whole_body(request))


async def whole_body(request: Request) -> bytes:
    """Take a body in, but no more than a client of this protocol could need."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > BODY_MAX:
            raise Refusal(413, f"The request body is longer than {BODY_MAX} bytes")
    return bytes(data)


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _stream(lines: Any) -> Response:
    return StreamingResponse(lines, media_type="application/octet-stream")
