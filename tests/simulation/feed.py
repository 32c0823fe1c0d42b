"""I am the feed: what the engine hears of the market, late, twice, wrongly or not at all.
I may import the domain and the other parts of this folder.
I must not change the market; I only tell of it badly.
My tests are in tests/simulation/test_gate.py.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.domain.error import RetryLater
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote
from tests.simulation.faults import CrashPoints, Faults
from tests.simulation.market import STEP_NS, Market
from tests.simulation.venue import Venue

FUTURE_NS_MAX = 2 * NS_PER_S


class Feed:
    """Implements ports.MarketData on a market. `seen` is the newest usable quote of each instrument that was told.

    hurt says that something was told wrongly, late or not at all in this step, blind that it was whether, and at what
    price, something can be traded. in_doubt are instruments with an order of unknown outcome: their first quote is late
    most readily.
    """

    def __init__(
        self, market: Market, venue: Venue, faults: Faults, points: CrashPoints, clock_ns: Callable[[], int]
    ) -> None:
        self._market = market
        self._venue = venue
        self._faults = faults
        self._points = points
        self._clock_ns = clock_ns
        self._followed: tuple[str, ...] = ()
        self._watched: tuple[str, ...] = ()
        self._told: dict[str, int] = {}
        # A history that lags ends, for the first step, before bars that are still to be told.
        self._ends: dict[str, int] = {}
        self._silent: dict[str, int] = {}
        self._polls = 0
        self._kept_back: list[tuple[int, Bar]] = []
        self.in_doubt: set[str] = set()
        self._frozen: dict[str, tuple[int, Quote]] = {}
        self._out_until_ns = 0
        self.seen: dict[str, Quote] = {}
        self.newest_ns: dict[str, int] = {}
        self.trouble = False
        self.hurt = self.blind = False

    def begin_step(self) -> None:
        """Forget what was noted of the step before."""
        self.trouble = self.hurt = self.blind = False

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        self._points.at("market.start.before")
        self._followed = tuple(instruments)
        self._told = {name: len(self._market.bars[name]) for name in instruments}
        for name in instruments:
            if self._faults.hit("quote_not_yet"):
                steps = self._faults.how("quote_not_yet").randint(1, 6)
                self._silent[name] = self._market.now_ns + steps * STEP_NS
            if name in self.in_doubt and self._faults.hit("quote_lost"):
                steps = self._faults.how("quote_lost").randint(4, 14)
                self._silent[name] = self._market.now_ns + steps * STEP_NS
            if self._faults.hit("history_lags"):
                self._told[name] -= self._faults.how("history_lags").randint(1, 3)
                self._ends[name] = self._told[name]
        self._points.at("market.start.after")

    def watch(self, instrument: str) -> None:
        self._points.at("market.watch.before")
        self._watched = (*self._watched, instrument)
        self._points.at("market.watch.after")

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        self._points.at("market.poll.before")
        self._polls += 1
        if self._polls > 1:
            self._ends.clear()
        self._fail_at_times()
        news: list[Quote | Bar] = []
        for name in (*self._followed, *self._watched):
            news += self._quotes(name)
        for item in news:
            if isinstance(item, Quote):
                self._see(item)
        for name in self._followed:
            news += self._bars(name)
        self._points.at("market.poll.after")
        return news

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        self._points.at("market.history.before")
        if self._faults.hit("history_unreadable"):
            raise RetryLater("the history cannot be read: status 503")
        bars = self._market.bars[instrument][: self._ends.get(instrument)][-count:]
        if self._faults.hit("history_short"):
            bars = bars[len(bars) - self._faults.how("history_short").randint(0, 10) :]
        self._points.at("market.history.after")
        return bars

    def next_due_ns(self) -> int | None:
        self._points.at("market.next_due.before")
        due_ns = self._market.now_ns + STEP_NS
        self._points.at("market.next_due.after")
        return due_ns

    def heal(self) -> None:
        """From now on the market is told as it is."""
        self._frozen.clear()
        self._silent.clear()
        self._kept_back.clear()
        self._out_until_ns = 0

    def _fail_at_times(self) -> None:
        now_ns = self._market.now_ns
        if self._faults.hit("quote_outage"):
            self._out_until_ns = now_ns + self._faults.how("quote_outage").randint(1, 30) * NS_PER_S
        if now_ns < self._out_until_ns:
            self.trouble = self.hurt = True
            raise RetryLater("the market cannot be read: status 503")

    def _quotes(self, name: str) -> Sequence[Quote]:
        quote, hit = self._venue.quotes.get(name), self._faults.hit
        now_ns = self._market.now_ns
        if quote is None or now_ns < self._silent.get(name, 0):
            self.hurt = self.blind = True
            return ()
        if hit("quote_frozen"):
            seconds = self._faults.how("quote_frozen").randint(10, 40)
            self._frozen[name] = (now_ns + seconds * NS_PER_S, quote)
        until_ns, frozen = self._frozen.get(name, (0, quote))
        if now_ns < until_ns:
            self.hurt = True
            return (frozen,)
        if hit("quote_missing"):
            self.hurt = True
            return ()
        return self._with_noise(quote)

    def _with_noise(self, quote: Quote) -> Sequence[Quote]:
        for kind, spoil in _SPOILED.items():
            if self._faults.hit(kind):
                self.hurt = True
                self.blind |= kind == "quote_untradeable"
                bad = spoil(quote, self._faults.how(kind).randint(3, 20))
                return (quote, bad) if kind in _BESIDES else (bad,)
        return (quote,)

    def _see(self, quote: Quote) -> None:
        """Note what may be used, by the contract: a sane pair that is neither older than the last nor of tomorrow."""
        known = self.seen.get(quote.instrument)
        sane = quote.bid.is_finite() and quote.ask.is_finite() and 0 < quote.bid <= quote.ask
        in_time = (known is None or quote.ts_ns >= known.ts_ns) and quote.ts_ns <= self._clock_ns() + FUTURE_NS_MAX
        if sane and in_time:
            self.seen[quote.instrument] = quote

    def _bars(self, name: str) -> Sequence[Bar]:
        market, faults = self._market, self._faults
        fresh = market.bars[name][self._told[name] :]
        self._told[name] = len(market.bars[name])
        told: list[Bar] = [bar for due_ns, bar in self._kept_back if bar.instrument == name and due_ns <= market.now_ns]
        self._kept_back = [each for each in self._kept_back if each[1].instrument != name or each[0] > market.now_ns]
        for bar in fresh:
            if faults.hit("bar_missing"):
                self.hurt = True
            elif faults.hit("bar_late"):
                self.hurt = True
                self._kept_back.append((market.now_ns + faults.how("bar_late").randint(1, 4) * STEP_NS, bar))
            else:
                told.append(bar)
        if told and faults.hit("bar_repeated"):
            told.append(told[-1])
        if told and faults.hit("bar_out_of_order"):
            told.append(market.bars[name][-faults.how("bar_out_of_order").randint(2, 5)])
        self.newest_ns[name] = max([self.newest_ns.get(name, 0), *(bar.open_ts_ns for bar in told)])
        return told


def _crossed(quote: Quote, much: int) -> Quote:
    return replace(quote, bid=quote.ask, ask=quote.bid)


def _zero(quote: Quote, much: int) -> Quote:
    return replace(quote, bid=Decimal(0)) if much % 2 else replace(quote, bid=-quote.bid)


def _spike(quote: Quote, much: int) -> Quote:
    factor = Decimal("1.5") if much % 2 else Decimal("0.6")
    return replace(quote, bid=quote.bid * factor, ask=quote.ask * factor)


_SPOILED: dict[str, Callable[[Quote, int], Quote]] = {
    "quote_crossed": _crossed,
    "quote_zero": _zero,
    "quote_spike": _spike,
    "quote_untradeable": lambda quote, much: replace(quote, tradeable=False),
    "quote_older": lambda quote, much: replace(
        quote, ts_ns=quote.ts_ns - much * NS_PER_S, bid=quote.bid * 2, ask=quote.ask * 2
    ),
    "quote_future": lambda quote, much: replace(quote, ts_ns=quote.ts_ns + much * NS_PER_S),
    "quote_far_future": lambda quote, much: replace(quote, ts_ns=quote.ts_ns + much * 3_600 * NS_PER_S),
    "quote_wide": lambda quote, much: replace(
        quote, bid=quote.bid - quote.spread / 2 * much, ask=quote.ask + quote.spread / 2 * much
    ),
}
_BESIDES = ("quote_older",)
