"""I am OANDA as market data: quotes of a session's instruments, and their closed bars, each exactly once.
I may import the domain, ports and what lies beside me.
I must not fill gaps, call a running candle closed, or reckon when a bar ends: OANDA's own flag says so.
My tests are in tests/unit/adapters/oanda/test_market_data.py.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.http import path_of
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
        asker: Asker,
        account_id: str,
        instruments: Mapping[str, Instrument],
        currency: str,
        *,
        now_ns: Callable[[], int],
        rate: float = 1.0,
    ) -> None:
        self._asker = asker
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
        self._given: dict[str, Price] = {}
        self.is_streaming: Callable[[], bool] = lambda: False
        self._quotes_due_ns = 0
        self._rates_due_ns = 0
        self._watched: tuple[str, ...] = ()
        self._bars_due_ns = 0
        self._end_ns = 0
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
        self._end_ns = now_ns - now_ns % self._step_ns
        self._bars_due_ns = self._end_ns + self._step_ns

    def watch(self, instrument: str) -> None:
        """Ask for quotes of one more instrument; the stream does not have it, so its price is as old as the rates."""
        if instrument not in (*self._names, *self._watched):
            self._watched = (*self._watched, instrument)
            self._rates_due_ns = 0

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        """Return quotes that are new, and the bars that OANDA has closed since the last time; raises RetryLater."""
        asks = now_ns >= self._bars_due_ns
        bars = self._closed_bars(now_ns) if asks else []
        quotes = self._quotes(now_ns, afresh=bool(bars))
        # Only now, when nothing can fail any more, are the bars given out: until then they are asked for again.
        for bar in bars:
            self._newest_ns[bar.instrument] = max(self._newest_ns[bar.instrument], bar.open_ts_ns)
        if asks:
            self._plan(now_ns)
        return [*quotes, *bars]

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        """Return up to `count` newest closed bars, oldest first; raises RetryLater."""
        bars = self._candles(instrument, count=str(min(count + 1, COUNT_MAX)))
        return bars[-count:] if count > 0 else ()

    def next_due_ns(self) -> int | None:
        """Return when to look next: for quotes, or for a bar whose time is over."""
        return min(self._quotes_due_ns, self._bars_due_ns)

    def on_stream_line(self, line: bytes) -> bool:
        """Take a price from the stream, unless a newer one came before; False when the line cannot be read."""
        message = parse_pricing_line(line)
        if isinstance(message, ParseFault):
            return False
        if not isinstance(message, Heartbeat):
            known = self._streamed.get(message.instrument)
            if known is None or message.ts_ns >= known.ts_ns:
                self._streamed[message.instrument] = message
        return True

    def close(self) -> None:
        """End the threads that ask; none of them is asking, because a poll waits for all that it has begun."""
        self._askers.shutdown()

    def _quotes(self, now_ns: int, *, afresh: bool) -> list[Quote]:
        """Read prices from the stream while it lives; ask while it does not, and before every decision."""
        asks = afresh or not self.is_streaming()
        if now_ns >= self._rates_due_ns or (asks and (afresh or now_ns >= self._quotes_due_ns)):
            prices = self._ask_prices(now_ns)
        else:
            prices = tuple(self._streamed[name] for name in self._names if name in self._streamed)
        if now_ns >= self._quotes_due_ns:
            self._quotes_due_ns = now_ns + int(QUOTES_S * self._second_ns)
        quotes: list[Quote] = []
        for price in prices:
            quote = self._quote(price, now_ns) if _is_news(price, self._given.get(price.instrument)) else None
            if quote is not None:
                self._given[price.instrument] = price
                quotes.append(quote)
        return quotes

    def _ask_prices(self, now_ns: int) -> tuple[Price, ...]:
        names = ",".join((*self._names, *self._watched))
        path = path_of("accounts", self._id, "pricing", instruments=names, includeHomeConversions="true")
        pricing: Pricing = self._asker.ask(path, parse_prices)
        self._home |= pricing.home
        for price in pricing.prices:
            if price.home is not None and price.quote_currency not in pricing.home:
                self._home[price.quote_currency] = price.home
        self._rates_due_ns = now_ns + int(RATES_S * self._second_ns)
        return pricing.prices

    def _quote(self, price: Price, now_ns: int) -> Quote | None:
        """Convert with the newest known rate; without one there is no quote, because sizes could not be reckoned."""
        known = HOME_ITSELF if price.quote_currency == self._currency else self._home.get(price.quote_currency)
        is_wanted = price.instrument in self._names or price.instrument in self._watched
        return price.quote(known, now_ns) if is_wanted and known is not None else None

    @property
    def _step_ns(self) -> int:
        """How often a bar may end: at multiples of an hour at most, whatever the alignment of longer bars."""
        return min(self._granularity.ns, Granularity.H1.ns)

    @property
    def _late(self) -> list[str]:
        """Name the instruments whose bar that ended last has not been given yet, if there was one."""
        return [
            name for name in self._names if self._newest_ns[name] + self._granularity.ns <= self._end_ns - self._step_ns
        ]

    def _closed_bars(self, now_ns: int) -> list[Bar]:
        """Ask for what was closed after the newest bar of each late instrument, all at once; raises RetryLater."""
        end_ns = now_ns - now_ns % self._step_ns
        if end_ns != self._end_ns:
            self._end_ns, self._attempt = end_ns, 0
        wanted = [self._askers.submit(self._newer, name) for name in self._late]
        try:
            found = [bar for future in wanted for bar in future.result()]
        finally:
            wait(wanted)  # those that wait for their turn fail at once, because the asker holds them back
        return sorted(found, key=lambda bar: (bar.close_ts_ns, self._names.index(bar.instrument)))

    def _plan(self, now_ns: int) -> None:
        """Look again soon while a bar is late, but never later than when the next one ends."""
        self._bars_due_ns = self._end_ns + self._step_ns
        if self._late and self._attempt < len(RETRIES_S):
            soon_ns = now_ns + int(RETRIES_S[self._attempt] * self._second_ns)
            self._bars_due_ns = min(soon_ns, self._bars_due_ns)
            self._attempt += 1

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
        return self._asker.ask(path, lambda body: parse_bars(body, name, self._granularity))


def _is_news(price: Price, given: Price | None) -> bool:
    """Say whether a price is newer than the one that was given, or says of the same moment that trading has ended."""
    if given is None or price.ts_ns > given.ts_ns:
        return True
    return price.ts_ns == given.ts_ns and given.tradeable and not price.tradeable
