"""I am OANDA as market data: quotes of a session's instruments, and their closed bars, each exactly once.
I may import the domain, ports and what lies beside me.
I must not fill gaps, call a running candle closed, or reckon when a bar ends: OANDA's own flag says so.
My tests are in tests/unit/adapters/oanda/test_market_data.py.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.adapters.oanda.asking import ask
from engine.adapters.oanda.http import OandaHttp, path_of
from engine.adapters.oanda.moments import rfc3339_text
from engine.adapters.oanda.parsing import HOME_ITSELF, HomeRate, Price, Pricing, parse_bars, parse_pricing_line
from engine.adapters.oanda.parsing import parse_pricing as parse_prices
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.transaction_log import Heartbeat
from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote

ASKERS = 4
COUNT_MAX = 5_000
QUOTES_S, RATES_S = 1.0, 30.0
# A bar is asked for when its time is over, and again while OANDA has not closed it; a quiet minute has none.
RETRIES_S = (0.05, 0.1, 0.2, 0.4, 1.0, 1.0, 2.0, 5.0)


class OandaMarketData:
    """Implements ports.MarketData on candles and prices that are asked for; a price stream may bring prices sooner.

    `now_ns` is the venue's time, which runs at `rate` of its seconds per second (1 but for a venue on loopback).
    """

    def __init__(
        self,
        http: OandaHttp,
        account_id: str,
        instruments: Mapping[str, Instrument],
        currency: str,
        *,
        now_ns: Callable[[], int],
        rate: float = 1.0,
    ) -> None:
        self._http = http
        self._id = account_id
        self._offered = instruments
        self._currency = currency
        self._now_ns = now_ns
        self._second_ns = int(NS_PER_S * rate)
        self._askers = ThreadPoolExecutor(ASKERS, thread_name_prefix="oanda-candles")
        self._names: tuple[str, ...] = ()
        self._granularity = Granularity.M1
        self._newest_ns: dict[str, int] = {}
        self._home: dict[str, HomeRate] = {}
        self._streamed: dict[str, Price] = {}
        self._given: dict[str, int] = {}
        self.is_streaming: Callable[[], bool] = lambda: False
        self._quotes_due_ns = 0
        self._rates_due_ns = 0
        self._bars_due_ns = 0
        self._attempt = 0

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        """Begin to follow these instruments; raises ConfigError for one that the account does not offer."""
        missing = [name for name in instruments if name not in self._offered]
        if missing:
            raise ConfigError(f"OANDA does not offer {', '.join(missing)} to this account.")
        self._names, self._granularity = tuple(instruments), granularity
        now_ns = self._now_ns()
        self._newest_ns = dict.fromkeys(self._names, now_ns - now_ns % granularity.ns - 2 * granularity.ns)
        self._quotes_due_ns = self._rates_due_ns = now_ns
        self._await_next_bar(now_ns)

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        """Return quotes that are new, and the bars that OANDA has closed since the last time; raises RetryLater."""
        bars = self._closed_bars(now_ns) if now_ns >= self._bars_due_ns else []
        quotes = self._quotes(now_ns, afresh=bool(bars))
        for bar in bars:
            self._newest_ns[bar.instrument] = max(self._newest_ns[bar.instrument], bar.open_ts_ns)
        return [*quotes, *bars]

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        """Return up to `count` newest closed bars, oldest first; raises RetryLater."""
        bars = self._candles(instrument, count=str(min(count + 1, COUNT_MAX)))
        return bars[-count:] if count > 0 else ()

    def next_due_ns(self) -> int | None:
        """Return when to look next: for quotes, or for a bar whose time is over."""
        return min(self._quotes_due_ns, self._bars_due_ns)

    def on_stream_line(self, line: bytes) -> None:
        """Take a price from the stream; any thread may bring one."""
        message = parse_pricing_line(line)
        if not isinstance(message, ParseFault | Heartbeat):
            self._streamed[message.instrument] = message

    def close(self) -> None:
        """End the threads that ask."""
        self._askers.shutdown(wait=False, cancel_futures=True)

    def _quotes(self, now_ns: int, *, afresh: bool) -> list[Quote]:
        """Read prices from the stream while it lives; ask while it does not, and before every decision."""
        asks = afresh or not self.is_streaming()
        if now_ns >= self._rates_due_ns or (asks and (afresh or now_ns >= self._quotes_due_ns)):
            prices = self._ask_prices(now_ns)
        else:
            prices = tuple(self._streamed[name] for name in self._names if name in self._streamed)
        if now_ns >= self._quotes_due_ns:
            self._quotes_due_ns = now_ns + int(QUOTES_S * self._second_ns)
        fresh = [
            price for price in prices if self._given.get(price.instrument, -1) < price.ts_ns or not price.tradeable
        ]
        self._given |= {price.instrument: price.ts_ns for price in fresh}
        return [quote for price in fresh if (quote := self._quote(price, now_ns)) is not None]

    def _ask_prices(self, now_ns: int) -> tuple[Price, ...]:
        path = path_of(
            "accounts", self._id, "pricing", instruments=",".join(self._names), includeHomeConversions="true"
        )
        pricing: Pricing = ask(self._http, path, parse_prices)
        self._home |= pricing.home
        for price in pricing.prices:
            if price.home is not None and price.quote_currency not in pricing.home:
                self._home[price.quote_currency] = price.home
        self._rates_due_ns = now_ns + int(RATES_S * self._second_ns)
        return pricing.prices

    def _quote(self, price: Price, now_ns: int) -> Quote | None:
        """Convert with the newest known rate; without one there is no quote, because sizes could not be reckoned."""
        known = HOME_ITSELF if price.quote_currency == self._currency else self._home.get(price.quote_currency)
        return None if known is None or price.instrument not in self._names else price.quote(known, now_ns)

    def _closed_bars(self, now_ns: int) -> list[Bar]:
        """Ask for what was closed after the newest bar of each instrument, all at once; raises RetryLater."""
        wanted = {name: self._askers.submit(self._newer, name) for name in self._names}
        found = [bar for future in wanted.values() for bar in future.result()]
        late = [name for name in self._names if not any(bar.instrument == name for bar in found)]
        if late and self._attempt < len(RETRIES_S):
            self._bars_due_ns = now_ns + int(RETRIES_S[self._attempt] * self._second_ns)
            self._attempt += 1
        else:
            self._await_next_bar(now_ns)
        return sorted(found, key=lambda bar: (bar.close_ts_ns, self._names.index(bar.instrument)))

    def _newer(self, name: str) -> Sequence[Bar]:
        """Ask for the bars after the newest one; one bar more than needed would do no harm, one less would."""
        newest_ns = self._newest_ns[name]
        bars = self._candles(name, **{"from": rfc3339_text(newest_ns), "count": str(COUNT_MAX)})
        return [bar for bar in bars if bar.open_ts_ns > newest_ns]

    def _candles(self, name: str, **query: str) -> Sequence[Bar]:
        path = path_of(
            "instruments", name, "candles",
            price="BA", granularity=self._granularity.value, includeFirst="true", **query,
        )  # fmt: skip
        return ask(self._http, path, lambda body: parse_bars(body, name, self._granularity))

    def _await_next_bar(self, now_ns: int) -> None:
        """Look again when the running bar's time is over: at multiples of an hour at most, longer bars hourly."""
        step_ns = min(self._granularity.ns, Granularity.H1.ns)
        self._bars_due_ns = now_ns - now_ns % step_ns + step_ns
        self._attempt = 0
