"""I am the control: prices by hand, for tests only, on a port of its own.
I may import starlette, market, reading, refusal and text.
I must not be reachable unless the venue was started with a control port.
My tests are in tests/contract/test_venue.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.venue.market import VenueMarket
from engine.venue.reading import read_body
from engine.venue.refusal import Refusal, invalid
from engine.venue.text import read_decimal


class ControlApp:
    """POST /price and POST /resume."""

    def __init__(self, market: VenueMarket) -> None:
        self._market = market

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, after all that follows from it has happened."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            self._obey(request.method, request.url.path, read_body(await request.body()))
            response = Response(b"{}", media_type="application/json")
        except Refusal as refusal:
            response = Response(orjson.dumps(refusal.body), refusal.status, media_type="application/json")
        await response(scope, receive, send)

    def _obey(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        if (method, path) not in (("POST", "/price"), ("POST", "/resume")):
            raise Refusal(404, "The control knows POST /price and POST /resume")
        name = body.get("instrument")
        if name not in self._market.exchange.instruments:
            raise invalid("instrument")
        if path == "/resume":
            self._market.resume(name)
            return
        bid, ask, tradeable = _price(body, "bid"), _price(body, "ask"), body.get("tradeable")
        if tradeable is not None and not isinstance(tradeable, bool):
            raise invalid("tradeable")
        quote = self._market.exchange.quotes[name]
        if (bid or quote.bid) > (ask or quote.ask):
            raise invalid("ask", "It is below the bid")
        self._market.set_price(name, bid, ask, tradeable)


def _price(body: Mapping[str, Any], name: str) -> Decimal | None:
    if body.get(name) is None:
        return None
    value = read_decimal(body[name])
    if value is None or value <= 0:
        raise invalid(name)
    return value
