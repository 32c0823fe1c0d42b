"""I am the market of a simulated world: a seeded random walk in steps of five seconds.
I may import the domain and the simulated venue's list of instruments.
I must not know who trades on me, nor be changed by anything but time.
My tests are in tests/simulation/test_gate.py.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.market import NS_PER_S, Bar, Granularity

STEP_S = 5
STEP_NS = STEP_S * NS_PER_S
TRADED = ("EUR_USD", "USD_JPY", "GBP_USD")
OTHERS = ("AUD_USD",)
NAMES = (*TRADED, *OTHERS)
_START = {"EUR_USD": 110_000, "USD_JPY": 150_000, "GBP_USD": 127_000, "AUD_USD": 66_000}
_SPREAD = {"EUR_USD": 10, "USD_JPY": 12, "GBP_USD": 14, "AUD_USD": 12}
WARM_BARS = 40


class Market:
    """Mid prices walk in whole price steps; bars are closed bars of the session's granularity, by instrument."""

    def __init__(self, seed: int, granularity: Granularity, start_ns: int) -> None:
        self._lots = random.Random(f"{seed}/market")
        self._mids = dict(_START)
        self._reach = self._lots.choice((4, 8, 14))
        self._drift = dict.fromkeys(NAMES, 0)
        self._growing: dict[str, Bar] = {}
        self.granularity = granularity
        self.now_ns = start_ns
        self.bars: dict[str, list[Bar]] = {name: [] for name in NAMES}
        first_ns = start_ns - start_ns % granularity.ns - WARM_BARS * granularity.ns
        for number in range(WARM_BARS):
            for name in NAMES:
                self.bars[name].append(self._bar(name, granularity, first_ns + number * granularity.ns))

    def frame(self) -> Sequence[Bar]:
        """Live through one step and return its five-second bar of every instrument."""
        if self._lots.random() < 0.03:
            self._drift[self._lots.choice(NAMES)] = self._lots.randint(-3, 3)
        bars = [self._bar(name, Granularity.S5, self.now_ns) for name in NAMES]
        self.now_ns += STEP_NS
        for bar in bars:
            self._grow(bar)
        return bars

    def _grow(self, bar: Bar) -> None:
        """Make the session's bars of the five-second ones."""
        name, length_ns = bar.instrument, self.granularity.ns
        start_ns = bar.open_ts_ns - bar.open_ts_ns % length_ns
        whole = self._growing.get(name)
        if whole is None or whole.open_ts_ns != start_ns:
            whole = replace(bar, granularity=self.granularity, open_ts_ns=start_ns)
        else:
            whole = replace(
                whole,
                bid_high=max(whole.bid_high, bar.bid_high),
                bid_low=min(whole.bid_low, bar.bid_low),
                bid_close=bar.bid_close,
                ask_high=max(whole.ask_high, bar.ask_high),
                ask_low=min(whole.ask_low, bar.ask_low),
                ask_close=bar.ask_close,
            )
        self._growing[name] = whole
        if whole.close_ts_ns <= self.now_ns:
            self.bars[name].append(whole)
            del self._growing[name]

    def _bar(self, name: str, granularity: Granularity, open_ts_ns: int) -> Bar:
        lots, reach = self._lots, self._reach
        opened = self._mids[name]
        closed = max(opened + lots.randint(-reach, reach) + self._drift[name], 1_000)
        high, low = max(opened, closed) + lots.randint(0, reach), min(opened, closed) - lots.randint(0, reach)
        self._mids[name] = closed
        half, decimals = _SPREAD[name] // 2, CATALOGUE[name].price_decimals
        bid_open, bid_high, bid_low, bid_close = (_price(each - half, decimals) for each in (opened, high, low, closed))
        ask_open, ask_high, ask_low, ask_close = (_price(each + half, decimals) for each in (opened, high, low, closed))
        return Bar(
            instrument=name,
            granularity=granularity,
            open_ts_ns=open_ts_ns,
            bid_open=bid_open,
            bid_high=bid_high,
            bid_low=bid_low,
            bid_close=bid_close,
            ask_open=ask_open,
            ask_high=ask_high,
            ask_low=ask_low,
            ask_close=ask_close,
            tick_count=5,
        )


def _price(steps: int, decimals: int) -> Decimal:
    return Decimal(steps).scaleb(-decimals)
