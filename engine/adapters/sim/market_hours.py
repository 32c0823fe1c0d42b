"""I am the week of the generated market: when it is open and how busy each hour is.
I may import the domain and numpy.
I must not draw lots: the same day has the same hours in every world.
My tests are in tests/unit/adapters/sim/test_market.py.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from engine.domain.calendar import NEW_YORK
from engine.domain.market import NS_PER_S

DAY_S = 86_400
DAY_NS = DAY_S * NS_PER_S
DAY_MINUTES = 1_440

Minutes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LONDON = ZoneInfo("Europe/London")
TOKYO = ZoneInfo("Asia/Tokyo")

FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
# The epoch began on a Thursday; Monday is 0.
_EPOCH_WEEKDAY = 3

# New York minutes of the day. Currencies: PROTOCOL of OANDA's published hours, 16:58 to 17:03. Metals reopen an hour
# later (a choice that follows the usual 18:00 opening of metals; the broker's own hours differ between divisions).
CLOSE_MINUTE = 16 * 60 + 58
REOPEN_MINUTE = 17 * 60 + 3
METAL_REOPEN_MINUTE = 18 * 60 + 3

# Busy hours: zone, hour of the day there, width in hours.
_RUSHES: tuple[tuple[ZoneInfo, float, float], ...] = (
    (TOKYO, 9.6, 1.4),
    (LONDON, 8.7, 1.5),
    (NEW_YORK, 9.2, 1.7),
    (NEW_YORK, 14.0, 1.8),
)
_QUIET = 0.5


@lru_cache(maxsize=1024)
def offset_minutes(day: int, zone: ZoneInfo) -> int:
    """Return the zone's distance from UTC in minutes that holds in all open hours of UTC day number `day`.

    It is taken at 23:00 UTC: clocks change while the market is closed, so what holds late on Sunday holds at its open.
    """
    late = datetime.fromtimestamp(day * DAY_S + 23 * 3600, UTC).astimezone(zone)
    offset = late.utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) // 60


def local_minutes(day: int, zone: ZoneInfo) -> Minutes:
    """Return the local minute of the day for each of the 1,440 minutes of a UTC day."""
    return (np.arange(DAY_MINUTES) + offset_minutes(day, zone)) % DAY_MINUTES


def _new_york_weekdays(day: int) -> Minutes:
    days = (day * DAY_MINUTES + np.arange(DAY_MINUTES) + offset_minutes(day, NEW_YORK)) // DAY_MINUTES
    return (days + _EPOCH_WEEKDAY) % 7


def open_minutes(day: int, reopen_minute: int = REOPEN_MINUTE) -> Minutes:
    """Return the minutes of a UTC day in which the market is open: Sunday evening to Friday 16:58 New York."""
    local, weekday = local_minutes(day, NEW_YORK), _new_york_weekdays(day)
    before, after = local < CLOSE_MINUTE, local >= reopen_minute
    is_open = ((weekday < FRIDAY) & (before | after)) | ((weekday == FRIDAY) & before) | ((weekday == SUNDAY) & after)
    return np.flatnonzero(is_open)


def since_reopening(day: int, reopen_minute: int = REOPEN_MINUTE) -> Minutes:
    """Return for each minute of a UTC day how many minutes ago the market last reopened."""
    return (local_minutes(day, NEW_YORK) - reopen_minute) % DAY_MINUTES


def before_closing(day: int) -> Minutes:
    """Return for each minute of a UTC day in how many minutes the market next closes."""
    return (CLOSE_MINUTE - local_minutes(day, NEW_YORK)) % DAY_MINUTES


def is_sunday(day: int) -> npt.NDArray[np.bool_]:
    """Say for each minute of a UTC day whether it is Sunday in New York."""
    sunday: npt.NDArray[np.bool_] = _new_york_weekdays(day) == SUNDAY
    return sunday


def activity(day: int, weights: Mapping[str, Sequence[float]]) -> Floats:
    """Return how volatile each minute of a day normally is, one row per name.

    `weights` says how much a name follows Tokyo, London, New York's morning and its afternoon. Each row has a mean
    square of one over the day, so that it moves volatility between hours without adding any.
    """
    rushes = np.stack([_rush(day, zone, hour, width) for zone, hour, width in _RUSHES])
    rows = np.stack([_QUIET + (np.array(weight)[:, None] * rushes).sum(axis=0) for weight in weights.values()])
    normal: Floats = rows / np.sqrt((rows**2).mean(axis=1, keepdims=True))
    return normal


def _rush(day: int, zone: ZoneInfo, hour: float, width: float) -> Floats:
    distance = local_minutes(day, zone) / 60.0 - hour
    around_midnight = (distance + 12.0) % 24.0 - 12.0
    bump: Floats = np.exp(-0.5 * (around_midnight / width) ** 2)
    return bump
