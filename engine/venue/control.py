"""I am the control: prices by hand, for tests only, on a port of its own.
I may import starlette, market, reading, refusal and text.
I must not be reachable unless the venue was started with a control port.
My tests are in tests/unit/venue: test_malformed.py and test_prices_by_hand.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.domain.instrument import Instrument
from engine.venue.market import VenueMarket
from engine.venue.reading import read_body
from engine.venue.refusal import Refusal, invalid
from engine.venue.server import unexpected, whole_body
from engine.venue.text import read_decimal


class ControlApp:
    """POST /price and POST /resume."""

    def __init__(self, market: VenueMarket) -> None:
        self._market = market
        self._guarded = ServerErrorMiddleware(self._serve, handler=unexpected)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, after all that follows from it has happened."""
        if scope["type"] != "http":
            return
        await self._guarded(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._obey(request.method, scope["path"], read_body(await whole_body(request)))
            response = Response(b"{}", media_type="application/json")
        except Refusal as refusal:
            response = Response(orjson.dumps(refusal.body), refusal.status, media_type="application/json")
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def _obey(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        if (method, path) not in (("POST", "/price"), ("POST", "/resume")):
            raise Refusal(404, "The control knows POST /price and POST /resume")
        name = body.get("instrument")
        if not isinstance(name, str) or name not in self._market.exchange.instruments:
            raise invalid("instrument")
        if path == "/resume":
            self._market.resume(name)
            return
        instrument = self._market.exchange.instruments[name]
        bid, ask, tradeable = _price(body, "bid", instrument), _price(body, "ask", instrument), body.get("tradeable")
        if tradeable is not None and not isinstance(tradeable, bool):
            raise invalid("tradeable")
        quote = self._market.exchange.quotes[name]
        if (bid or quote.bid) > (ask or quote.ask):
            raise invalid("ask", "It is below the bid")
        self._market.set_price(name, bid, ask, tradeable)


def _price(body: Mapping[str, Any], name: str, instrument: Instrument) -> Decimal | None:
    """Read a price; a binary fraction is brought onto the instrument's decimals."""
    if body.get(name) is None:
        return None
    given = read_decimal(body[name])
    value = None if given is None else instrument.round_price(given)
    if value is None or value <= 0:
        raise invalid(name)
    return value
