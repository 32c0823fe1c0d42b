"""I am the numbers behind the generated market: currencies, what drives them, and when news come.
I may import numpy and market_hours.
I must not draw lots or know instruments.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from engine.adapters.sim.market_hours import LONDON, TOKYO, Floats
from engine.domain.calendar import NEW_YORK

# Shared causes of moves, each with how much it follows Tokyo, London, New York's morning and afternoon.
_SHARED: Mapping[str, tuple[float, float, float, float]] = {
    "DOLLAR": (0.25, 0.70, 1.00, 0.40),
    "EUROPE": (0.10, 1.00, 0.70, 0.25),
    "PACIFIC": (0.55, 0.40, 0.80, 0.35),
    "HAVEN": (0.60, 0.55, 0.85, 0.35),
    "METAL": (0.30, 0.50, 1.10, 0.45),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """A currency's level in USD, its volatility per year, its share in each shared cause, and its own hours."""

    usd: float
    volatility: float
    loads: Mapping[str, float]
    hours: tuple[float, float, float, float]


_LONDON_HOURS = (0.10, 1.00, 0.60, 0.20)
_TOKYO_HOURS = (0.90, 0.50, 0.50, 0.20)
_NEW_YORK_HOURS = (0.15, 0.35, 1.10, 0.50)

CURRENCIES: Mapping[str, Currency] = {
    "EUR": Currency(usd=1.0310, volatility=0.070, loads={"DOLLAR": 0.70, "EUROPE": 0.55}, hours=_LONDON_HOURS),
    "GBP": Currency(usd=1.2430, volatility=0.078, loads={"DOLLAR": 0.64, "EUROPE": 0.50}, hours=_LONDON_HOURS),
    "JPY": Currency(usd=1 / 157.6, volatility=0.092, loads={"DOLLAR": 0.50, "HAVEN": 0.60}, hours=_TOKYO_HOURS),
    "AUD": Currency(usd=0.6220, volatility=0.095, loads={"DOLLAR": 0.60, "PACIFIC": 0.68}, hours=_TOKYO_HOURS),
    "NZD": Currency(usd=0.5615, volatility=0.097, loads={"DOLLAR": 0.58, "PACIFIC": 0.70}, hours=_TOKYO_HOURS),
    "CHF": Currency(
        usd=1 / 0.9085, volatility=0.074, loads={"DOLLAR": 0.62, "EUROPE": 0.55, "HAVEN": 0.25}, hours=_LONDON_HOURS
    ),
    "CAD": Currency(usd=1 / 1.4440, volatility=0.060, loads={"DOLLAR": 0.58, "PACIFIC": 0.35}, hours=_NEW_YORK_HOURS),
    "SGD": Currency(
        usd=1 / 1.3690, volatility=0.042, loads={"DOLLAR": 0.78, "PACIFIC": 0.25, "HAVEN": 0.10}, hours=_TOKYO_HOURS
    ),
    "SEK": Currency(
        usd=1 / 11.11, volatility=0.095, loads={"DOLLAR": 0.66, "EUROPE": 0.50, "PACIFIC": 0.20}, hours=_LONDON_HOURS
    ),
    "NOK": Currency(
        usd=1 / 11.34, volatility=0.105, loads={"DOLLAR": 0.60, "EUROPE": 0.40, "PACIFIC": 0.30}, hours=_LONDON_HOURS
    ),
    "XAU": Currency(
        usd=2640.0, volatility=0.150, loads={"DOLLAR": 0.35, "HAVEN": 0.25, "METAL": 0.65}, hours=_NEW_YORK_HOURS
    ),
    "XAG": Currency(
        usd=29.60, volatility=0.270, loads={"DOLLAR": 0.35, "PACIFIC": 0.15, "METAL": 0.72}, hours=_NEW_YORK_HOURS
    ),
}

NAMES: tuple[str, ...] = tuple(CURRENCIES)

# One row of activity weights per cause: the shared ones, then each currency's own.
CAUSES: Mapping[str, tuple[float, float, float, float]] = {
    **_SHARED,
    **{name: currency.hours for name, currency in CURRENCIES.items()},
}
CAUSE_NAMES: tuple[str, ...] = tuple(CAUSES)


def _loadings() -> Floats:
    """Return currencies x causes; each row has a sum of squares of one, the rest being the currency's own cause."""
    rows = np.zeros((len(NAMES), len(CAUSES)))
    for row, (name, currency) in enumerate(CURRENCIES.items()):
        for cause, load in currency.loads.items():
            rows[row, CAUSE_NAMES.index(cause)] = load
        own = 1.0 - sum(load**2 for load in currency.loads.values())
        rows[row, CAUSE_NAMES.index(name)] = own**0.5
    return rows


# Five-second slots in a trading year: 252 days of 23 hours and 55 minutes.
_SLOTS_PER_YEAR = 252 * 17_220
SLOT_VOLATILITY: Floats = np.array([currency.volatility for currency in CURRENCIES.values()]) / _SLOTS_PER_YEAR**0.5
LOADINGS: Floats = _loadings() * SLOT_VOLATILITY[:, None]
LOG_LEVELS: Floats = np.log(np.array([currency.usd for currency in CURRENCIES.values()]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A time of day at which figures are published, the chance that some matter, and whom they move how much."""

    zone: ZoneInfo
    minute: int
    chance: float
    moves: Mapping[str, float]


RELEASES: tuple[Release, ...] = (
    Release(zone=NEW_YORK, minute=510, chance=0.55, moves={"DOLLAR": 1.3, "HAVEN": 0.8, "METAL": 0.8, "CAD": 0.7}),
    Release(zone=NEW_YORK, minute=600, chance=0.40, moves={"DOLLAR": 0.8, "HAVEN": 0.5, "METAL": 0.5}),
    Release(zone=NEW_YORK, minute=840, chance=0.12, moves={"DOLLAR": 1.5, "HAVEN": 1.2, "METAL": 1.2}),
    Release(zone=LONDON, minute=420, chance=0.30, moves={"GBP": 1.3, "EUROPE": 0.4}),
    Release(zone=LONDON, minute=480, chance=0.30, moves={"EUROPE": 0.7, "EUR": 0.8, "CHF": 0.5}),
    Release(zone=LONDON, minute=570, chance=0.30, moves={"GBP": 0.9, "EUROPE": 0.5}),
    Release(zone=TOKYO, minute=530, chance=0.20, moves={"JPY": 1.2, "HAVEN": 0.4}),
    Release(zone=TOKYO, minute=570, chance=0.25, moves={"AUD": 1.1, "PACIFIC": 0.7}),
    Release(zone=TOKYO, minute=465, chance=0.15, moves={"NZD": 1.3, "PACIFIC": 0.4}),
)
