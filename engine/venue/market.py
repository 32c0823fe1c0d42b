"""I am the venue's market: I move the exchange along a source of bars, and let a test set prices by hand.
I may import the domain, ports and the simulated venue.
I must not match; nor show anything of a bar before it has ended.
My tests are in tests/unit/venue: test_market.py, test_prices_by_hand.py and test_recorded.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.adapters.sim.exchange import Exchange
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.ports import BarSource

TICK_NS = Granularity.S5.ns
# At most this much market time is lived through at once; it takes a few hundredths of a second.
STEP_MAX_NS = Granularity.H1.ns
_NO_END_NS = 2**63


class MarketTime:
    """Market time: stands still until the first request, then runs at `speed` market seconds per second."""

    def __init__(self, start_ns: int, speed: float, monotonic_s: Callable[[], float]) -> None:
        self._start_ns = start_ns
        self._speed = speed
        self._monotonic_s = monotonic_s
        self._begun_s: float | None = None

    def begin(self) -> None:
        """Let time run; later calls change nothing."""
        if self._begun_s is None:
            self._begun_s = self._monotonic_s()

    def go_on_from(self, now_ns: int) -> None:
        """Take this for the present market time."""
        self._start_ns, self._begun_s = now_ns, self._monotonic_s()

    def now_ns(self) -> int:
        """Return the present market time."""
        if self._begun_s is None:
            return self._start_ns
        return self._start_ns + int((self._monotonic_s() - self._begun_s) * self._speed * NS_PER_S)


class HandPrices:
    """What was set by hand: since when each instrument is ours, and the ticks that were made."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._ticks: dict[str, list[Bar]] = {}

    def holds(self, instrument: str) -> bool:
        """Say whether the instrument's price is set by hand now."""
        return instrument in self._since

    def span(self, instrument: str) -> tuple[int, int] | None:
        """From when to when anything was set by hand, with pauses between; None if nothing ever was."""
        spans = self._all_spans(instrument)
        return (spans[0][0], spans[-1][1]) if spans else None

    def take(self, instrument: str, now_ns: int) -> None:
        """Stop the automatic prices of an instrument."""
        self._since.setdefault(instrument, now_ns)

    def give_back(self, instrument: str, now_ns: int) -> None:
        """Let the automatic prices go on."""
        begun = self._since.pop(instrument, None)
        if begun is not None:
            self._spans.setdefault(instrument, []).append((begun, now_ns))

    def tick(self, instrument: str, now_ns: int, bid: Decimal, ask: Decimal) -> None:
        """Note a price that was made; prices of one five-second bar become one bar."""
        ticks = self._ticks.setdefault(instrument, [])
        start_ns = now_ns - now_ns % TICK_NS
        if ticks and ticks[-1].open_ts_ns == start_ns:
            ticks[-1] = _joined(ticks[-1], bid, ask)
        else:
            ticks.append(_single(instrument, start_ns, bid, ask))

    def merged(self, instrument: str, bars: Sequence[Bar]) -> list[Bar]:
        """Take out of automatic bars what was not shown, and put in what was set, by order of start."""
        spans = self._all_spans(instrument)
        shown = [bar for bar in bars if not any(begun < bar.close_ts_ns <= end for begun, end in spans)]
        return sorted([*self._ticks.get(instrument, ()), *shown], key=lambda bar: bar.open_ts_ns)

    def _all_spans(self, instrument: str) -> list[tuple[int, int]]:
        begun = self._since.get(instrument)
        return [*self._spans.get(instrument, ()), *([] if begun is None else [(begun, _NO_END_NS)])]


class VenueMarket:
    """One exchange, the bars that move it, and the market's time; `changed` is set anew with every price."""

    def __init__(self, exchange: Exchange, source: BarSource, time: MarketTime) -> None:
        self.exchange = exchange
        self.hand = HandPrices()
        self.is_closed = False
        self._source = source
        self._time = time
        self._changed = asyncio.Event()

    @property
    def now_ns(self) -> int:
        """Market time as last advanced to."""
        return self.exchange.now_ns

    def begin(self) -> None:
        """Let market time run."""
        self._time.begin()

    def advance(self) -> int:
        """Live through every frame that has ended by now, one at a time; returns the present market time.

        It never takes long: when the market falls behind, its time goes slower.
        """
        now_ns = self._time.now_ns()
        if now_ns > self.exchange.now_ns + STEP_MAX_NS:
            now_ns = self.exchange.now_ns + STEP_MAX_NS
            self._time.go_on_from(now_ns)
        moved = False
        while (due_ns := self._source.peek_ns()) is not None and due_ns <= now_ns:
            bars = [bar for bar in self._source.pop() if not self.hand.holds(bar.instrument)]
            if bars:
                self.exchange.on_frame(bars)
                moved = True
        self.exchange.advance(now_ns)
        if self._source.peek_ns() is None:
            moved = self._end_trading() or moved
        if moved:
            self.announce()
        return now_ns

    def set_price(self, instrument: str, bid: Decimal | None, ask: Decimal | None, tradeable: bool | None) -> None:
        """Set price or halt by hand; what is not given stays."""
        self.advance()
        exchange, quote = self.exchange, self.exchange.quotes[instrument]
        now_ns = exchange.now_ns
        self.hand.take(instrument, now_ns)
        new_bid, new_ask = quote.bid if bid is None else bid, quote.ask if ask is None else ask
        if bid is not None or ask is not None:
            self.hand.tick(instrument, now_ns, new_bid, new_ask)
        is_open = quote.tradeable if tradeable is None else tradeable
        exchange.on_quote(instrument, new_bid, new_ask, tradeable=is_open)
        self.announce()

    def resume(self, instrument: str) -> None:
        """Let the automatic prices of an instrument go on; it is tradeable again at once."""
        self.advance()
        quote = self.exchange.quotes[instrument]
        self.hand.give_back(instrument, self.exchange.now_ns)
        self.exchange.on_quote(instrument, quote.bid, quote.ask, tradeable=True)
        self.announce()

    def announce(self) -> None:
        """Wake everybody who waits for news."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End the streams."""
        self.is_closed = True
        self.announce()

    async def news(self, timeout_s: float) -> None:
        """Wait for news, at most this long."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    def _end_trading(self) -> bool:
        """Halt the market when the recorded bars have ended, but for what is set by hand."""
        quotes = self.exchange.quotes.values()
        tradeable = [quote for quote in quotes if quote.tradeable and not self.hand.holds(quote.instrument)]
        for quote in tradeable:
            self.exchange.on_quote(quote.instrument, quote.bid, quote.ask, tradeable=False)
        return bool(tradeable)


def _single(instrument: str, start_ns: int, bid: Decimal, ask: Decimal) -> Bar:
    return Bar(
        instrument=instrument,
        granularity=Granularity.S5,
        open_ts_ns=start_ns,
        bid_open=bid,
        bid_high=bid,
        bid_low=bid,
        bid_close=bid,
        ask_open=ask,
        ask_high=ask,
        ask_low=ask,
        ask_close=ask,
        tick_count=1,
    )


def _joined(bar: Bar, bid: Decimal, ask: Decimal) -> Bar:
    return Bar(
        instrument=bar.instrument,
        granularity=bar.granularity,
        open_ts_ns=bar.open_ts_ns,
        bid_open=bar.bid_open,
        bid_high=max(bar.bid_high, bid),
        bid_low=min(bar.bid_low, bid),
        bid_close=bid,
        ask_open=bar.ask_open,
        ask_high=max(bar.ask_high, ask),
        ask_low=min(bar.ask_low, ask),
        ask_close=ask,
        tick_count=bar.tick_count + 1,
    )
