"""I am the seeded paths of all currencies against the dollar, one UTC day at a time.
I may import numpy, market_hours, market_currencies and market_volatility.
I must not read a clock, nor depend on which instruments are followed or in which order days are asked for.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine.adapters.sim.market_currencies import CAUSES, LOADINGS, LOG_LEVELS, NAMES, SLOT_VOLATILITY
from engine.adapters.sim.market_hours import DAY_S, Floats, Minutes, is_sunday, open_minutes, since_reopening
from engine.adapters.sim.market_volatility import Purpose, Volatility, lots, news
from engine.domain.market import NS_PER_S

SLOT_S = 5
MINUTE_SLOTS = 12
_SLOTS_PER_DAY = 17_220

# Each slot has its own share in the volatility of its minute, the same for all: this gives returns their fat tails.
_JITTER_SD = 0.45
# What is skipped while the market is closed, in days of normal volatility: a weekend, the daily break.
_WEEKEND_DAYS, _BREAK_DAYS = 0.15, 0.004
# Prices shake around the efficient price by this share of a normal slot's move, as quotes of real markets do: returns
# of neighbouring five-second bars have an autocorrelation of -0.02 to -0.07 from it (calm days the most),
# of minutes about -0.01.
_SHAKE = 0.18
_LEVEL_SD = 0.02
# About 1.2 MB each; enough for 500 hours of every instrument without drawing a day twice.
_BLOCKS_KEPT = 34

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """One UTC day of open five-second slots.

    seconds: where in the day each slot starts; opening: log value in USD of each currency when the day begins; path:
    currencies x (slots + 1), log moves since then, before the first slot and after each; gaps: slot -> log move of
    each currency that no one saw before it; jitter: each slot's factor on volatility. By causes x open minutes:
    variances of a slot (1 = normal) and widening of spreads by news (0 = none).
    """

    minutes: Minutes
    seconds: Minutes
    opening: Floats
    path: Singles
    gaps: dict[int, Floats]
    variances: Singles
    widening: Singles
    jitter: Singles


class CurrencyWorld:
    """All currencies of one seed; at `start_ns` each is within a few percent of its level of January 2025."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self._seed = seed
        self._volatility = Volatility(seed)
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._moves: dict[int, Floats] = {}
        start_s = start_ns // NS_PER_S
        self._start_day = start_s // DAY_S
        levels = LOG_LEVELS + lots(seed, Purpose.LEVEL).normal(0.0, _LEVEL_SD, len(NAMES))
        first = self._draw(self._start_day)
        passed = int(np.searchsorted(first.seconds, start_s % DAY_S))
        self._openings: dict[int, Floats] = {self._start_day: levels - first.path[:, passed]}

    def block(self, day: int) -> Block:
        """Return the paths of UTC day number `day`; days may be asked for in any order."""
        if day not in self._blocks:
            drawn = self._draw(day)
            self._blocks[day] = replace(drawn, opening=self._opening(day))
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(day)
        return self._blocks[day]

    def _opening(self, day: int) -> Floats:
        """Return the log levels at the start of a day: the moves of all days between it and the start day added up."""
        known = day
        toward_start = -1 if day > self._start_day else 1
        while known not in self._openings:
            known += toward_start
        while known < day:
            self._openings[known + 1] = self._openings[known] + self._move(known)
            known += 1
        while known > day:
            self._openings[known - 1] = self._openings[known] - self._move(known - 1)
            known -= 1
        return self._openings[day]

    def _move(self, day: int) -> Floats:
        if day not in self._moves:
            self._draw(day)
        return self._moves[day]

    def _draw(self, day: int) -> Block:
        """Return a day that opens at zero, and note by how much it moves each currency."""
        minutes = open_minutes(day)
        seconds = (minutes[:, None] * 60 + np.arange(MINUTE_SLOTS) * SLOT_S).ravel()
        wake, widening, jumps = news(self._seed, day)
        volatility = (self._volatility.of(day) * wake)[:, minutes]
        generator = lots(self._seed, Purpose.SHOCK, day)
        jitter = np.exp(generator.normal(-(_JITTER_SD**2), _JITTER_SD, seconds.size)).astype(np.float32)
        shocks = generator.standard_normal((len(CAUSES), minutes.size, MINUTE_SLOTS), dtype=np.float32)
        shocks *= volatility.astype(np.float32)[:, :, None] * jitter.reshape(minutes.size, MINUTE_SLOTS)
        shocks[:, :, 0] += jumps[:, minutes]
        moves = _mixed(shocks.reshape(len(CAUSES), -1))
        gaps = self._gaps(day, minutes)
        for slot, gap in gaps.items():
            moves[:, slot] += gap
        path = np.zeros((len(NAMES), seconds.size + 1))
        np.cumsum(moves, axis=1, out=path[:, 1:])
        self._moves[day] = path[:, -1].copy()
        # The last slot does not shake, so that a day ends exactly where the next one begins.
        shaken = path[:, 1:-1]
        shaken += generator.standard_normal(shaken.shape, dtype=np.float32) * (SLOT_VOLATILITY * _SHAKE)[:, None]
        return Block(
            minutes=minutes,
            seconds=seconds,
            opening=np.zeros(len(NAMES)),
            path=path.astype(np.float32),
            gaps=gaps,
            variances=(volatility**2).astype(np.float32),
            widening=widening[:, minutes].astype(np.float32),
            jitter=jitter,
        )

    def _gaps(self, day: int, minutes: Minutes) -> dict[int, Floats]:
        """Return by slot what happened while the market was closed before it."""
        reopened = np.flatnonzero(since_reopening(day)[minutes] == 0)
        generator = lots(self._seed, Purpose.GAP, day)
        gaps = {}
        for index in reopened.tolist():
            days = _WEEKEND_DAYS if is_sunday(day)[minutes[index]] else _BREAK_DAYS
            causes = generator.standard_normal((len(CAUSES), 1)) * (days * _SLOTS_PER_DAY) ** 0.5
            gaps[index * MINUTE_SLOTS] = _mixed(causes)[:, 0]
        return gaps


def _mixed(causes: Singles | Floats) -> Floats:
    """Turn moves of causes into log moves of currencies: LOADINGS @ causes.

    Written as plain sums because a linear algebra library may add up in another order on another machine.
    """
    moves = np.zeros((len(NAMES), causes.shape[1]))
    for row, column in zip(*np.nonzero(LOADINGS), strict=True):
        moves[row] += LOADINGS[row, column] * causes[column]
    return moves
