"""I am the HTTP client of one OANDA host and one token: each request goes out once, and comes back as a value.
I may import requests, ports, redaction and what lies beside me.
I must not repeat a request, follow a redirect, trust an unknown certificate, or show the token.
My tests are in tests/unit/adapters/oanda/test_http.py.
"""

import base64
import socket
from collections.abc import Callable
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec
from requests import PreparedRequest, RequestException, Response
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from engine.adapters.oanda.answers import Answer
from engine.adapters.oanda.exchange import Deadlines, Exchange, TooMany
from engine.adapters.oanda.limits import Limits
from engine.adapters.oanda.streams import LineStream
from engine.adapters.oanda.wire import Dialler, Resolve, Wire
from engine.domain.error import ConfigError
from engine.ports import NotSent, Unresolved
from engine.redaction import MASK, Secret

Outcome = Answer | NotSent | Unresolved

DEADLINES = Deadlines()
BODY_MAX = 32 * 1024 * 1024
CONNECTIONS = 4
_CHUNK = 262_144
PRICING_SILENCE_S = 10.0
TRANSACTIONS_SILENCE_S = 20.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# OANDA's tokens have 65 characters; a venue of one's own may be given any word.
SECRET_CHARS_MIN = 8
_BROKE = (RequestException, HTTPError, OSError)


def secret_forms(token: Secret) -> tuple[Secret, ...]:
    """Return the token and the encoded forms in which it could turn up in a text.

    None for a token that is too short to be one: taking "1" out of every answer would change what it says.
    """
    text = token.reveal()
    if len(text) < SECRET_CHARS_MIN:
        return ()
    encoded = base64.b64encode(text.encode()).decode()
    return tuple(Secret(form) for form in dict.fromkeys((text, quote(text, safe=""), encoded, encoded.rstrip("="))))


def path_of(*segments: str, **query: str) -> str:
    """Return the path "/v3/..." of these segments, percent-encoded, with this query."""
    path = "/v3/" + "/".join(quote(segment, safe="@") for segment in segments)
    return f"{path}?{urlencode(query)}" if query else path


class OandaHttp:
    """Calls one host with one token; any number of threads may use it at once.

    At most `connections` are open at a time. The total deadline covers everything: waiting for the limits and for a
    free connection, connecting, sending, and the last byte of the answer.
    """

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        limits: Limits,
        monotonic_s: Callable[[], float],
        deadlines: Deadlines = DEADLINES,
        connections: int = CONNECTIONS,
        body_max: int = BODY_MAX,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._base = _base_of(url)
        self._token = _usable(token)
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._deadlines = deadlines
        self._body_max = body_max
        self._forms = tuple(form.reveal().encode() for form in secret_forms(token))
        self._wire = Wire(self._base, connections, Dialler(limits, monotonic_s, resolve))

    def __repr__(self) -> str:
        return f"OandaHttp({self._base.geturl()!r})"

    def get(self, path: str) -> Outcome:
        """Read; whether to ask again after NotSent or Unresolved is up to the caller."""
        return self._exchange("GET", path, None)

    def post(self, path: str, body: object) -> Outcome:
        """Send a value as JSON, with decimals as strings; after Unresolved it may have had its effect."""
        return self._exchange("POST", path, msgspec.json.encode(body))

    def put(self, path: str, body: object = None) -> Outcome:
        """Send a value as JSON, or nothing; after Unresolved it may have had its effect."""
        return self._exchange("PUT", path, b"" if body is None else msgspec.json.encode(body))

    def open_stream(self, path: str, silence_s: float) -> LineStream:
        """Return a stream that connects when it is first read and ends when no line came for this long."""
        deadlines = msgspec.structs.replace(self._deadlines, read_s=silence_s, total_s=silence_s)
        exchange = Exchange(deadlines, self._monotonic_s)
        return LineStream(exchange, lambda: self._transmit("GET", path, None, exchange), self._answer, self._masked)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._wire.close()

    def _exchange(self, method: str, path: str, body: bytes | None) -> Outcome:
        exchange = Exchange(self._deadlines, self._monotonic_s)
        try:
            response = self._transmit(method, path, body, exchange)
            try:
                return self._answer(response)
            finally:
                response.close()
        except _BROKE as error:
            return exchange.outcome(error)

    def _transmit(self, method: str, path: str, body: bytes | None, exchange: Exchange) -> Response:
        if not self._limits.requests.take(exchange.deadline_s):
            raise TooMany
        return self._wire.transmit(self._request(method, path, body), exchange)

    def _request(self, method: str, path: str, body: bytes | None) -> PreparedRequest:
        request = PreparedRequest()
        request.method, request.url, request.body = method, self._base.geturl() + path, body
        headers = {
            "Authorization": f"Bearer {self._token.reveal()}",
            "Accept": "application/json",
            "Accept-Datetime-Format": "RFC3339",
            "User-Agent": "keel",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        request.headers = CaseInsensitiveDict(headers)
        return request

    def _answer(self, response: Response) -> Answer | Unresolved:
        body = bytearray()
        # Up to the empty read: only there does urllib3 notice that bytes are missing.
        while len(body) <= self._body_max and (data := response.raw.read(_CHUNK, decode_content=False)):
            body += data
        if len(body) > self._body_max:
            return Unresolved(reason=f"the answer is larger than {self._body_max} bytes")
        request_id = self._masked(response.headers.get("RequestID", "").encode("latin-1")).decode("latin-1")
        date = self._masked(response.headers.get("Date", "").encode("latin-1")).decode("latin-1")
        return Answer(status=response.status_code, body=self._masked(bytes(body)), request_id=request_id, date=date)

    def _masked(self, data: bytes) -> bytes:
        """Take the token out of what came in: a page in an error may echo the request."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, MASK.encode())
        return data


def _base_of(url: str) -> SplitResult:
    """Check a base address; raises ConfigError."""
    try:
        base = urlsplit(url)
        plain = not (base.path.strip("/") or base.query or base.fragment or base.username or base.password)
        _ = base.port
    except ValueError:
        base, plain = urlsplit(""), False
    safe = base.scheme == "https" or (base.scheme == "http" and base.hostname in _LOOPBACK)
    if not (safe and plain and base.hostname):
        raise ConfigError("The OANDA address must be https://HOST, or http://127.0.0.1:PORT on this machine.")
    return base._replace(path="")


def _usable(token: Secret) -> Secret:
    """Check that a token can stand in a header; raises ConfigError that does not show it."""
    text = token.reveal()
    if not text or not all("!" <= character <= "~" for character in text):
        raise ConfigError("The OANDA token is empty or holds a space, a line break or a character that is not ASCII.")
    return token
