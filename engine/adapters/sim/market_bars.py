"""I am the bid and ask bars of one instrument, made from the paths of its two currencies.
I may import numpy, the domain and the other market modules.
I must not depend on any other instrument.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

import numpy as np
import numpy.typing as npt

from engine.adapters.sim.instruments import CATALOGUE, LIQUIDITY, is_metal
from engine.adapters.sim.market_currencies import LOADINGS, NAMES
from engine.adapters.sim.market_hours import (
    METAL_REOPEN_MINUTE,
    REOPEN_MINUTE,
    Floats,
    before_closing,
    is_sunday,
    open_minutes,
    since_reopening,
)
from engine.adapters.sim.market_volatility import Purpose, lots
from engine.adapters.sim.market_world import MINUTE_SLOTS, Block, Singles
from engine.domain.market import NS_PER_S, Bar, Granularity

Ints = npt.NDArray[np.int64]

# Spreads: wide after the reopening (twice as wide on Sundays), wider before the close, tighter in busy hours.
_REOPEN_WIDENING: tuple[tuple[float, float], ...] = ((3.5, 20.0), (0.5, 120.0))
_CLOSE_WIDENING, _CLOSE_MINUTES = 1.2, 12.0
_QUIET_WIDENING = 0.30
_MINUTE_SPREAD_SD, _SLOT_SPREAD_SHARE = 0.10, 0.12
# Ticks come as volatility does, but less than in proportion; a quiet slot of five seconds may have none.
_TICKS_POWER = 0.8
_TICKS_LEAST, _TICKS_MOST = 2.2, 60.0
_PRICES_KEPT = 200_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Bars as columns, oldest first.

    seconds: UTC start of each bar; prices: (bid open, high, low, close, ask open, high, low, close) x bars, in price
    steps of the instrument; ticks: how many ticks each bar is made of.
    """

    seconds: Ints
    prices: Ints
    ticks: Ints

    def cut(self, first: int, end: int) -> "Columns":
        """Return bars number `first` to `end` (exclusive)."""
        return Columns(seconds=self.seconds[first:end], prices=self.prices[:, first:end], ticks=self.ticks[first:end])


class InstrumentBars:
    """Turn blocks of currency paths into five-second bars of one instrument; a pure function of seed, day and block."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._key = crc32(name.encode())
        self._instrument = CATALOGUE[name]
        self._liquidity = LIQUIDITY[name]
        self._weights = _usd_weights(self._instrument.base) - _usd_weights(self._instrument.quote)
        loads = (self._weights[:, None] * LOADINGS).sum(axis=0)
        self._shares = loads**2
        self._normal = float(self._shares.sum())
        self._reopen = METAL_REOPEN_MINUTE if is_metal(self._instrument) else REOPEN_MINUTE

    def columns(self, day: int, block: Block) -> Columns:
        """Return the bars of a UTC day; slots without a tick have none."""
        generator = lots(self._seed, Purpose.INSTRUMENT, day, self._key)
        variance = _weighted(self._shares, block.variances)
        ticks = generator.poisson(self._tick_rate(variance, block.jitter))
        mids = self._mids(generator, block, variance, ticks)
        half_spread = self._spreads(generator, day, block, variance) / 2
        steps = 10.0**self._instrument.price_decimals
        bids = np.rint((mids - half_spread) * steps).astype(np.int64)
        asks = np.maximum(np.rint((mids + half_spread) * steps).astype(np.int64), bids + 1)
        open_now = np.isin(block.minutes, open_minutes(day, self._reopen))
        kept = np.flatnonzero((ticks > 0) & np.repeat(open_now, MINUTE_SLOTS))
        return Columns(
            seconds=(block.seconds + day * 86_400)[kept],
            prices=np.concatenate([bids, asks])[:, kept],
            ticks=ticks[kept],
        )

    def _tick_rate(self, variance: Floats, jitter: Singles) -> Floats:
        busy = np.repeat((variance / self._normal) ** (_TICKS_POWER / 2), MINUTE_SLOTS) * jitter
        rate: Floats = np.clip(self._liquidity.ticks_per_5s * busy * 0.8, _TICKS_LEAST, _TICKS_MOST)
        return rate

    def _mids(self, generator: np.random.Generator, block: Block, variance: Floats, ticks: Ints) -> Floats:
        """Return open, high, low, close x slots.

        High and low are drawn as the extremes of a Brownian bridge between open and close; the formula is the inverse
        of P(max > m) = exp(-2 (m - open)(m - close) / variance), for example Glasserman 2003, section 6.4.
        """
        path = _weighted(self._weights, block.path) + float((self._weights * block.opening).sum())
        before, close = path[:-1].copy(), np.exp(path[1:])
        for slot, gap in block.gaps.items():
            before[slot] += float((self._weights * gap).sum())
        count = np.maximum(ticks, 1)
        first = np.exp(before) + (close - np.exp(before)) / count
        span = np.repeat(variance, MINUTE_SLOTS) * block.jitter**2 * close**2 * (1 - 1 / count)
        spread_out = 2 * span * generator.standard_exponential((2, close.size))
        reach = np.sqrt((close - first) ** 2 + spread_out)
        return np.stack([first, (first + close + reach[0]) / 2, (first + close - reach[1]) / 2, close])

    def _spreads(self, generator: np.random.Generator, day: int, block: Block, variance: Floats) -> Floats:
        """Return each slot's spread in quote currency."""
        minutes = block.minutes
        since = since_reopening(day, self._reopen)[minutes]
        reopening = sum((height * np.exp(-since / length) for height, length in _REOPEN_WIDENING), np.zeros(since.size))
        reopening *= np.where(is_sunday(day)[minutes], 2.0, 1.0)
        closing = _CLOSE_WIDENING * np.exp(-before_closing(day)[minutes] / _CLOSE_MINUTES)
        quiet = _QUIET_WIDENING * np.exp(-variance / self._normal)
        stirred = _weighted(self._shares / self._normal, block.widening)
        noise = np.exp(generator.normal(0.0, _MINUTE_SPREAD_SD, minutes.size))
        by_minute = (1 + reopening + closing + quiet + stirred) * noise
        by_slot = 1 + _SLOT_SPREAD_SHARE * (generator.random(block.seconds.size) - 0.5)
        typical = self._liquidity.spread_pips * float(self._instrument.pip_size)
        spreads: Floats = np.repeat(by_minute, MINUTE_SLOTS) * by_slot * typical
        return spreads


def _usd_weights(currency: str) -> Floats:
    """Return which currency path is meant; the dollar is none of them, being what they are measured in."""
    return np.array([1.0 if name == currency else 0.0 for name in NAMES])


def _weighted(weights: Floats, rows: Singles) -> Floats:
    """Add up rows times weights, in row order (see market_world._mixed)."""
    total = np.zeros(rows.shape[1])
    for index in np.flatnonzero(weights):
        total += weights[index] * rows[index]
    return total


class BarMaker:
    """Turn columns into bars; remembers the Decimal of each price, since prices come again and again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._prices = _Prices(CATALOGUE[name].price_decimals)

    def bars(self, columns: Columns, granularity: Granularity, first: int, end: int) -> list[Bar]:
        """Return bars number `first` to `end` (exclusive)."""
        if len(self._prices) > _PRICES_KEPT:
            self._prices.clear()
        known = self._prices.__getitem__
        rows = [map(known, row) for row in columns.prices[:, first:end].tolist()]
        name = self._name
        return [
            Bar(
                instrument=name,
                granularity=granularity,
                open_ts_ns=second * NS_PER_S,
                bid_open=bid_open,
                bid_high=bid_high,
                bid_low=bid_low,
                bid_close=bid_close,
                ask_open=ask_open,
                ask_high=ask_high,
                ask_low=ask_low,
                ask_close=ask_close,
                tick_count=ticks,
            )
            for second, ticks, bid_open, bid_high, bid_low, bid_close, ask_open, ask_high, ask_low, ask_close in zip(
                columns.seconds[first:end].tolist(), columns.ticks[first:end].tolist(), *rows, strict=True
            )
        ]


class _Prices(dict[int, Decimal]):
    """Price steps -> price."""

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self._decimals = decimals

    def __missing__(self, steps: int) -> Decimal:
        price = Decimal(steps).scaleb(-self._decimals)
        self[steps] = price
        return price


def joined(columns: Columns, starts: Ints) -> Columns:
    """Join neighbouring bars that have the same bucket start (UTC seconds) into one bar each."""
    if starts.size == 0:
        return columns
    firsts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    lasts = np.append(firsts[1:], starts.size) - 1
    prices = columns.prices
    highs, lows = np.maximum.reduceat(prices, firsts, axis=1), np.minimum.reduceat(prices, firsts, axis=1)
    rows = [
        prices[0, firsts],
        highs[1],
        lows[2],
        prices[3, lasts],
        prices[4, firsts],
        highs[5],
        lows[6],
        prices[7, lasts],
    ]
    return Columns(seconds=starts[firsts], prices=np.stack(rows), ticks=np.add.reduceat(columns.ticks, firsts))


def in_sequence(parts: Sequence[Columns]) -> Columns:
    """Put columns one after another."""
    return Columns(
        seconds=np.concatenate([part.seconds for part in parts]),
        prices=np.concatenate([part.prices for part in parts], axis=1),
        ticks=np.concatenate([part.ticks for part in parts]),
    )
