"""The OANDA adapter before the real venue: the faulty proxy between them, time in the test's hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests

from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.oanda.exchange import Deadlines
from engine.adapters.sim.market import DEFAULT_START_NS
from engine.domain.market import NS_PER_S
from engine.redaction import Secret
from engine.venue.launch import Venue
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms
from tests.unit.adapters.oanda.line import PATIENT

ASKS_MAX = 1_000


class Stand:
    """One venue on loopback, the way to it, and what it holds when it is asked without the proxy."""

    proxy: FaultyProxy

    def __init__(self, url: str, venue: Venue, time: HandTime) -> None:
        self.url = url
        self.venue = venue
        self.time = time
        self.base_s = 0.0
        self.start_ns = DEFAULT_START_NS
        self._direct = requests.Session()
        self._direct.trust_env = False
        self._direct.headers["Authorization"] = f"Bearer {TOKEN}"

    @contextmanager
    def new_line(self) -> Iterator[None]:
        """Put a proxy before the venue that knows of no fault yet."""
        host = urlsplit(self.url)
        with FaultyProxy(str(host.hostname), int(host.port or 0)) as self.proxy:
            yield

    def begin_anew(self) -> None:
        """Take the next five minutes of market time that begin for the start."""
        self.time.seconds = self.base_s = -(-self.time.seconds // 300) * 300.0
        self.start_ns = self.now_ns()

    def now_ns(self) -> int:
        """Market time, which the venue and the adapter share."""
        return DEFAULT_START_NS + round(self.time.seconds * NS_PER_S)

    def access(self, **changes: Any) -> Access:
        """How to reach the venue through the proxy."""
        known = {
            "environment": "practice",
            "token": Secret(TOKEN),
            "account_id": ACCOUNT,
            "loopback_url": self.proxy.url,
        }
        return Access(**known | changes)

    @contextmanager
    def desk(self, deadlines: Deadlines = PATIENT, **changes: Any) -> Iterator[OandaDesk]:
        """Open the account; nothing ever waits, because time passes only by hand."""
        means = Means(monotonic_s=self.time, wait=lambda _: None, draw=lambda: 0.0, deadlines=deadlines)
        desk = OandaDesk(self.access(**changes), means)
        try:
            yield desk
        finally:
            desk.close()

    def ask(self, path: str) -> Any:
        """Read below the account, past the proxy."""
        answer = self._direct.get(f"{self.url}/v3/accounts/{ACCOUNT}{path}", timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, units: int, instrument: str = "EUR_USD") -> None:
        """Trade by another hand than ours, past the proxy."""
        self.send("POST", "/orders", {"order": {"type": "MARKET", "instrument": instrument, "units": str(units)}})

    def send(self, method: str, path: str, body: Any) -> None:
        """Change something below the account by another hand than ours, past the proxy."""
        answer = self._direct.request(method, f"{self.url}/v3/accounts/{ACCOUNT}{path}", json=body, timeout=20)
        assert answer.status_code in (200, 201), answer.text

    def balance(self) -> Decimal:
        """What the venue's books say."""
        return Decimal(self.ask("/summary")["account"]["balance"])

    def last_id(self) -> int:
        """Number of the venue's newest transaction."""
        return int(self.ask("/summary")["lastTransactionID"])

    def wait_for_transactions_after(self, transaction_id: int) -> None:
        """Ask until the venue has written something; a request may be under way to it."""
        assert any(self.last_id() > transaction_id for _ in range(ASKS_MAX)), "nothing came"

    def units(self) -> dict[str, Decimal]:
        """Net units by instrument, flat ones left out."""
        positions = self.ask("/openPositions")["positions"]
        return {
            each["instrument"]: Decimal(each["long"]["units"]) + Decimal(each["short"]["units"]) for each in positions
        }

    def close(self) -> None:
        """Give the connection back."""
        self._direct.close()


@contextmanager
def standing(time: HandTime | None = None, **changes: Any) -> Iterator[Stand]:
    """Serve a venue and put the proxy before it."""
    time = time or HandTime()
    with running(terms(**changes), time) as (url, venue):
        stand = Stand(url, venue, time)
        with stand.new_line():
            try:
                yield stand
            finally:
                stand.close()
