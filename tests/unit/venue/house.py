"""A venue in this process: the real application behind real sockets, its monotonic clock in the test's hand."""

import asyncio
import importlib.util
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import requests
import uvicorn

from engine.venue.launch import Venue, VenueTerms, _listen, _settings, assemble

TOKEN, ACCOUNT = "the-token", "101-001-1234567-001"
CHECKER = Path(__file__).resolve().parents[3] / "../shared/oanda/conformance/v20spec.py"
Row = dict[str, Any]


@lru_cache
def spec(dates: str) -> Any:
    """The checker against OANDA's specification; None where ../shared is not beside the project."""
    if not CHECKER.is_file():
        return None
    module_spec = importlib.util.spec_from_file_location("v20spec", CHECKER)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.Spec(datetime_format=dates)


class House:
    """One venue with its control; `ask` checks each answer, `skip` lets market time pass."""

    def __init__(self, venue: Venue, port: int, control_port: int, clock: list[float]) -> None:
        self.venue = venue
        self.url = f"http://127.0.0.1:{port}"
        self.control_url = f"http://127.0.0.1:{control_port}"
        self.port = port
        self._clock = clock
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"

    def skip(self, seconds: float) -> None:
        """Let this much market time pass, at a venue of speed 1."""
        while seconds > 0:
            step = min(seconds, 3_000.0)
            self._clock[0] += step
            seconds -= step
            self.get("/summary")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int | None = None,
        dates: str = "RFC3339",
        **query: Any,
    ) -> Row:
        """Ask below the account ("/v3/..." from the root), and expect success or this status."""
        url = self.url + (path if path.startswith("/v3") else f"/v3/accounts/{ACCOUNT}{path}")
        params = {name.rstrip("_"): value for name, value in query.items()}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Accept-Datetime-Format": dates, "Content-Type": "application/json"}
        answer = self.session.request(method, url, params=params, data=data, headers=headers, timeout=30)
        assert answer.headers.get("RequestID", "").isdigit()
        row: Row = answer.json()
        assert answer.status_code == (status or answer.status_code), (answer.status_code, row)
        assert status or answer.ok, (answer.status_code, row)
        if answer.status_code >= 400:
            assert row["errorMessage"]
        checker = spec(dates)
        # The checker decodes a path before it takes it apart, and knows no 405 or 413 of some paths.
        if checker is not None and "%2F" not in path and answer.status_code not in (405, 413):
            problems = checker.check_response(method, answer.request.url, answer.status_code, row)
            assert problems == [], problems
        return row

    def get(self, path: str, **query: Any) -> Row:
        """Ask for something that is there."""
        return self.ask("GET", path, status=200, **query)

    def order(self, *, status: int = 201, **order: Any) -> Row:
        """Create an order of EUR_USD, or of what it names."""
        named = {"type": "MARKET", "instrument": "EUR_USD"} | order
        return self.ask("POST", "/orders", {"order": named}, status=status)

    def bought(self, units: int = 100, **order: Any) -> Row:
        """Fill a market order; returns the fill."""
        fill: Row = self.order(units=str(units), **order)["orderFillTransaction"]
        return fill

    def set_price(self, bid: str | None, ask: str | None = None, name: str = "EUR_USD", **more: Any) -> None:
        """Set a price by hand."""
        named = {key: value for key, value in (("bid", bid), ("ask", ask)) if value is not None}
        answer = self.session.post(f"{self.control_url}/price", json={"instrument": name} | named | more, timeout=10)
        assert answer.status_code == 200, answer.text

    def resume(self, name: str = "EUR_USD") -> None:
        """Let prices go on by themselves."""
        answer = self.session.post(f"{self.control_url}/resume", json={"instrument": name}, timeout=10)
        assert answer.status_code == 200, answer.text

    def candles(self, name: str = "EUR_USD", **query: Any) -> list[Row]:
        """Candles with all prices."""
        query = {"price": "MBA"} | query
        found: list[Row] = self.get(f"/v3/instruments/{name}/candles", **query)["candles"]
        return found

    def summary(self) -> Row:
        """The account."""
        account: Row = self.get("/summary")["account"]
        return account

    def last_id(self) -> int:
        """Number of the newest transaction."""
        return int(self.get("/summary")["lastTransactionID"])

    def since(self, number: int) -> list[Row]:
        """Transactions after one."""
        rows: list[Row] = self.get("/transactions/sinceid", id=number)["transactions"]
        return rows

    def flatten(self) -> None:
        """Leave no order and no trade, and let prices go on."""
        for name in ("EUR_USD", "USD_JPY", "EUR_GBP"):
            self.resume(name)
        for order in self.get("/pendingOrders")["orders"]:
            self.ask("PUT", f"/orders/{order['id']}/cancel")
        for trade in self.get("/openTrades")["trades"]:
            self.ask("PUT", f"/trades/{trade['id']}/close", {})


@contextmanager
def running(**terms: Any) -> Iterator[House]:
    """Run a venue in a thread of its own until the block ends."""
    known: Row = {"port": 1, "control_port": 2, "token": TOKEN, "account": ACCOUNT}
    clock = [0.0]
    venue = assemble(VenueTerms(**known | terms), lambda: clock[0])
    listeners = [_listen(0), _listen(0)]
    ports = [one.getsockname()[1] for one in listeners]
    servers = [uvicorn.Server(_settings(app)) for app in (venue.app, venue.control) if app is not None]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=[_serve(servers, listeners)])
    thread.start()
    try:
        yield House(venue, ports[0], ports[1], clock)
    finally:
        loop.call_soon_threadsafe(venue.market.close)
        for server in servers:
            server.should_exit = True
        thread.join(10)
        loop.close()


async def _serve(servers: Sequence[uvicorn.Server], listeners: Sequence[socket.socket]) -> None:
    await asyncio.gather(*(server.serve([one]) for server, one in zip(servers, listeners, strict=True)))


def money(text: str) -> Decimal:
    """An amount of an answer."""
    return Decimal(text)
