"""I am how restless the generated market is: hours of the day, days of storm and calm, news.
I may import numpy, market_hours and market_currencies.
I must not move a price; I only say how far prices may move.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections import OrderedDict
from enum import IntEnum

import numpy as np

from engine.adapters.sim.market_currencies import CAUSE_NAMES, CAUSES, RELEASES, Release
from engine.adapters.sim.market_hours import DAY_MINUTES, Floats, activity, local_minutes

# Log-volatility is a slow part (memory of days) plus fast parts (memory in minutes, standard deviation). Sizes were
# set against the autocorrelation of |returns| and the tails of real one-minute and one-hour bars.
_SLOW_DAYS, _SLOW_MEMORY, _SLOW_SD = 40, 0.92, 0.22
_FAST: tuple[tuple[float, float], ...] = ((240.0, 0.30), (12.0, 0.28))
_WARM_UP_MINUTES = 1_080
# Today, yesterday and the day that is being added, in whichever direction time is walked.
_FAST_DAYS_KEPT = 3
_MEAN_SQUARE = _SLOW_SD**2 + sum(sd**2 for _, sd in _FAST)

# News: volatility afterwards and for how long, how long spreads are wide, and the jump in moves of a normal slot
# (a normal day is about 131 of them).
_WAKE_HEIGHT, _WAKE_MINUTES = 1.2, 14.0
_WIDENING_HEIGHT, _WIDENING_MINUTES = 2.5, 1.2
_JUMP_SLOTS = 12.0
_SURPRISES_PER_DAY = 0.4
_SIZE_SD = 0.8


class Purpose(IntEnum):
    """What a stream of lots is for; never renumber, or every seed gives another market."""

    LEVEL = 0
    SLOW = 1
    FAST = 2
    NEWS = 3
    SHOCK = 4
    GAP = 5
    INSTRUMENT = 6


def lots(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return a generator whose lots depend on nothing but these numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, int(purpose), *key))))


class Volatility:
    """The storms and calms of one seed: days in any order, each the same whenever it is asked for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._slow: dict[int, Floats] = {}
        self._fast: OrderedDict[int, Floats] = OrderedDict()

    def of(self, day: int) -> Floats:
        """Return causes x 1,440 minutes, without news; the long-run mean square is one."""
        log_volatility = self._slow_part(day)[:, None] + self._fast_part(day) - _MEAN_SQUARE
        volatility: Floats = activity(day, CAUSES) * np.exp(log_volatility)
        return volatility

    def _slow_part(self, day: int) -> Floats:
        total = np.zeros(len(CAUSES))
        for age in range(_SLOW_DAYS):
            total += _SLOW_MEMORY**age * self._slow_lots(day - age)
        scale: float = _SLOW_SD * ((1 - _SLOW_MEMORY**2) / (1 - _SLOW_MEMORY ** (2 * _SLOW_DAYS))) ** 0.5
        return total * scale

    def _fast_part(self, day: int) -> Floats:
        total = np.zeros((len(CAUSES), DAY_MINUTES))
        yesterday, today = self._fast_lots(day - 1), self._fast_lots(day)
        for part, (memory, sd) in enumerate(_FAST):
            drawn = np.concatenate([yesterday[part][:, -_WARM_UP_MINUTES:], today[part]], axis=1)
            total += sd * _with_memory(drawn, memory)[:, -DAY_MINUTES:]
        return total

    def _slow_lots(self, day: int) -> Floats:
        if day not in self._slow:
            drawn = lots(self._seed, Purpose.SLOW, day).standard_normal(len(CAUSES) + 1)
            self._slow[day] = _half_shared(drawn)
        return self._slow[day]

    def _fast_lots(self, day: int) -> Floats:
        """Return parts x causes x minutes."""
        if day not in self._fast:
            drawn = lots(self._seed, Purpose.FAST, day).standard_normal((len(_FAST), len(CAUSES) + 1, DAY_MINUTES))
            self._fast[day] = np.stack([_half_shared(part) for part in drawn])
            if len(self._fast) > _FAST_DAYS_KEPT:
                self._fast.popitem(last=False)
        return self._fast[day]


def _half_shared(drawn: Floats) -> Floats:
    """Turn n + 1 independent rows into n rows that share half of their variance with one another."""
    shared: Floats = (drawn[:-1] + drawn[-1]) * 0.5**0.5
    return shared


def _with_memory(drawn: Floats, minutes: float) -> Floats:
    """Return the AR(1) process of unit variance with this memory, along the last axis, from its innovations.

    y[t] = sum of phi^(t-s) e[s] is written as phi^t times a running sum, which stays within floats for two days.
    """
    decay = np.exp(-np.arange(drawn.shape[-1]) / minutes)
    process: Floats = np.cumsum(drawn / decay, axis=-1) * decay * (1 - np.exp(-2 / minutes)) ** 0.5
    return process


def news(seed: int, day: int) -> tuple[Floats, Floats, Floats]:
    """Return what news do on a day, each causes x 1,440 minutes.

    They are: a factor on volatility, how much wider spreads are (0 = not), and jumps in moves of a normal slot.
    """
    generator = lots(seed, Purpose.NEWS, day)
    calm = (len(CAUSES), DAY_MINUTES)
    wake, widening, jumps = np.ones(calm), np.zeros(calm), np.zeros(calm)
    for minute, weights in _releases(generator, day) + _surprises(generator):
        size = float(np.exp(generator.normal(0.0, _SIZE_SD)))
        after = np.arange(DAY_MINUTES - minute)
        wake[:, minute:] += np.outer(weights, _WAKE_HEIGHT * size * np.exp(-after / _WAKE_MINUTES))
        widening[:, minute:] += np.outer(weights, _WIDENING_HEIGHT * size * np.exp(-after / _WIDENING_MINUTES))
        jumps[:, minute] += weights * generator.standard_normal(len(CAUSES)) * _JUMP_SLOTS * size
    return wake, widening, jumps


def _releases(generator: np.random.Generator, day: int) -> list[tuple[int, Floats]]:
    chosen = generator.random(len(RELEASES))
    return [
        (_minute_of(release, day), np.array([release.moves.get(cause, 0.0) for cause in CAUSE_NAMES]))
        for release, chance in zip(RELEASES, chosen, strict=True)
        if chance < release.chance
    ]


def _surprises(generator: np.random.Generator) -> list[tuple[int, Floats]]:
    """Return unscheduled news; each concerns one shared cause or one currency."""
    found = []
    for _ in range(int(generator.poisson(_SURPRISES_PER_DAY))):
        weights = np.zeros(len(CAUSES))
        weights[generator.integers(len(CAUSES))] = 1.0
        found.append((int(generator.integers(DAY_MINUTES)), weights))
    return found


def _minute_of(release: Release, day: int) -> int:
    return int(np.argmax(local_minutes(day, release.zone) == release.minute))
