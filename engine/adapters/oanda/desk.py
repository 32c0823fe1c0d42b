"""I am the OANDA desk: one opened account with its broker, market data, and the streams that bring hints.
I may import the domain, ports, redaction and what lies beside me.
I must not fall back to another host, nor leave a thread behind once closed.
My tests are in tests/unit/adapters/oanda/test_desk.py and test_opening.py, and in tests/contract.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.broker import OandaBroker
from engine.adapters.oanda.exchange import Deadlines
from engine.adapters.oanda.http import DEADLINES, PRICING_SILENCE_S, TRANSACTIONS_SILENCE_S, OandaHttp, path_of
from engine.adapters.oanda.inspection import inspected
from engine.adapters.oanda.limits import Backoff, Limits
from engine.adapters.oanda.market_data import OandaMarketData
from engine.adapters.oanda.opening import OpenedAccount, open_account, venue_time_ns
from engine.adapters.oanda.watch import StreamWatch
from engine.domain.error import Bug, ConfigError
from engine.domain.market import NS_PER_S
from engine.ports import Inspection
from engine.redaction import Secret

REST_HOSTS: Mapping[str, str] = MappingProxyType(
    {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
)
STREAM_HOSTS: Mapping[str, str] = MappingProxyType(
    {"practice": "https://stream-fxpractice.oanda.com", "live": "https://stream-fxtrade.oanda.com"}
)
# A venue's pace is a whole number as a rule; the network blurs what is measured by less than this share.
RATE_SAMPLE_S, SIGHTINGS, RATE_ERROR_MAX = 0.5, 4, 0.04


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk needs from outside: a clock that only goes forward, a wait, a draw from 0 up to 1, and patience."""

    monotonic_s: Callable[[], float]
    wait: Callable[[float], object]
    draw: Callable[[], float]
    deadlines: Deadlines = DEADLINES


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Which account, and where: loopback_url replaces the environment's hosts by a venue on this machine."""

    environment: str
    token: Secret
    account_id: str
    loopback_url: str = ""

    @property
    def rest_url(self) -> str:
        """Where requests go."""
        return self.loopback_url or REST_HOSTS[self.environment]

    @property
    def stream_url(self) -> str:
        """Where streams come from."""
        return self.loopback_url or STREAM_HOSTS[self.environment]


def look(access: Access, means: Means, instruments: tuple[str, ...], wall_ns: Callable[[], int]) -> Inspection:
    """Inspect an account without opening it; whatever is wrong is part of what is told."""
    try:
        http = OandaHttp(
            access.rest_url,
            access.token,
            limits=Limits(means.monotonic_s, means.wait),
            monotonic_s=means.monotonic_s,
            deadlines=means.deadlines,
        )
    except ConfigError as error:
        return Inspection(refused=str(error))
    try:
        return inspected(http, access.account_id, access.environment, instruments, wall_ns)
    finally:
        http.close()


class OandaDesk:
    """An account that was checked and can be traded; close() ends its threads and connections."""

    def __init__(self, access: Access, means: Means, *, sends_orders: bool = True) -> None:
        self._access = access
        self._means = means
        self._limits = Limits(means.monotonic_s, means.wait)
        # orders have connections of their own, so that candles never hold one up
        self._orders = self._http(access.rest_url)
        self._sends_orders = sends_orders
        try:
            self.opened: OpenedAccount = open_account(
                self._orders, access.account_id, access.environment, sends_orders=sends_orders
            )
        except ConfigError:
            self._orders.close()
            raise
        self._market = self._http(access.rest_url)
        self._streams = self._http(access.stream_url)
        self._watches: list[StreamWatch] = []
        self._data: OandaMarketData | None = None
        self.broker = OandaBroker(self._orders, self.opened, means.monotonic_s, self._backoff())

    def inspect(self, instruments: tuple[str, ...], wall_ns: Callable[[], int]) -> Inspection:
        """Inspect the account that is open, over the connections that are open."""
        return inspected(self._orders, self._access.account_id, self._access.environment, instruments, wall_ns)

    def venue_time(self, instrument: str) -> tuple[int, float]:
        """Return the time of a venue on loopback and how fast it runs, in its seconds per second."""
        begun_s, first_ns = self._sighted(instrument)
        self._means.wait(RATE_SAMPLE_S)
        ended_s, last_ns = self._sighted(instrument)
        rate = (last_ns - first_ns) / NS_PER_S / (ended_s - begun_s)
        whole = max(1, round(rate))
        rate = float(whole) if abs(rate - whole) <= RATE_ERROR_MAX * whole else rate
        return last_ns + int((self._means.monotonic_s() - ended_s) * rate * NS_PER_S), rate

    def _sighted(self, instrument: str) -> tuple[float, int]:
        """Ask for the venue's time a few times; returns the middle of the quickest request, and what it brought."""
        found: list[tuple[float, float, int]] = []
        for _ in range(SIGHTINGS):
            begun_s = self._means.monotonic_s()
            venue_ns = venue_time_ns(self._orders, self._access.account_id, instrument)
            took_s = self._means.monotonic_s() - begun_s
            found.append((took_s, begun_s + took_s / 2, venue_ns))
        _, middle_s, venue_ns = min(found)
        return middle_s, venue_ns

    def market_data(self, currency: str, now_ns: Callable[[], int], rate: float) -> OandaMarketData:
        """Make the market data of this account."""
        asker = Asker(self._market, self._means.monotonic_s, self._backoff())
        self._data = OandaMarketData(
            asker, self._access.account_id, self.opened.instruments, currency, now_ns=now_ns, rate=rate
        )
        return self._data

    def listen(self, instruments: tuple[str, ...]) -> None:
        """Open the streams: prices for the market data, transactions for the broker; both are only hints."""
        account, data = self._access.account_id, self._data
        if data is None:
            raise Bug("there is no market data to listen for")
        prices = path_of("accounts", account, "pricing", "stream", instruments=",".join(instruments))
        of_prices = self._watch(prices, PRICING_SILENCE_S, data.on_stream_line)
        data.is_streaming = lambda: of_prices.healthy
        if not self._sends_orders:
            return
        of_log = self._watch(
            path_of("accounts", account, "transactions", "stream"), TRANSACTIONS_SILENCE_S, self.broker.on_stream_line
        )
        self.broker.is_streaming = lambda: of_log.healthy

    def close(self) -> None:
        """End streams, threads and connections."""
        for watch in self._watches:
            watch.close()
        if self._data is not None:
            self._data.close()
        for http in (self._orders, self._market, self._streams):
            http.close()

    def _http(self, url: str) -> OandaHttp:
        means = self._means
        return OandaHttp(
            url, self._access.token, limits=self._limits, monotonic_s=means.monotonic_s, deadlines=means.deadlines
        )

    def _backoff(self) -> Backoff:
        return Backoff(self._means.draw)

    def _watch(self, path: str, silence_s: float, on_line: Callable[[bytes], bool]) -> StreamWatch:
        watch = StreamWatch(self._streams, path, silence_s, self._backoff(), on_line)
        self._watches.append(watch)
        watch.start()
        return watch
