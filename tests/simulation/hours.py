"""I am the checker of hours: windows, week-end, rollover and news, read off the wall of New York and London.
I may import the domain's limits and news, and the other parts of this folder.
I must not use the engine's own calendar, windows or hours.
My tests are in tests/simulation/test_promises.py and test_saboteurs.py.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent

_NEW_YORK = ZoneInfo("America/New_York")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(\w{3})-(\w{3}) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")


def shut(instrument: str, now_ns: int, limits: RiskLimits, news: Sequence[NewsEvent]) -> str:
    """Say which hours forbid an entry now; "" when none do."""
    windows = limits.trading_windows.get(instrument, limits.trading_windows["*"])
    if windows != "always" and not any(_inside(part, now_ns) for part in windows.split(";")):
        return f"the windows are {windows}"
    here = datetime.fromtimestamp(now_ns / NS_PER_S, _NEW_YORK)
    if limits.weekend_cutoff_min and _near_weekend(here, limits.weekend_cutoff_min):
        return f"it is {here:%a %H:%M:%S}, the week ends {limits.weekend_cutoff_min} min before Friday 17:00"
    minutes = (here.hour - 17) * 60 + here.minute + here.second / 60
    away = min(abs(minutes), abs(minutes + 24 * 60), abs(minutes - 24 * 60))
    # the blackout begins with its first moment and is over in its last one
    over = minutes > 0 and away >= limits.rollover_blackout_min
    if limits.rollover_blackout_min and away <= limits.rollover_blackout_min and not over:
        return f"it is {here:%H:%M:%S}, the rollover blackout is {limits.rollover_blackout_min} min"
    for event in news:
        if event.currency in (*instrument.split("_"), "*"):
            before_s, after_s = (event.ts_ns - now_ns) / NS_PER_S, (now_ns - event.ts_ns) / NS_PER_S
            if before_s <= limits.news_before_min * 60 and after_s <= limits.news_after_min * 60:
                return f"{event.title} ({event.currency}) is {before_s:.0f} s away"
    return ""


def _inside(part: str, now_ns: int) -> bool:
    """Say whether a moment is in hours of one day; ours never go over midnight."""
    found = _WINDOW.fullmatch(part.strip())
    assert found is not None, part
    first, last, *clock, zone = found.groups()
    here = datetime.fromtimestamp(now_ns / NS_PER_S, ZoneInfo(zone))
    begin, end = int(clock[0]) * 60 + int(clock[1]), int(clock[2]) * 60 + int(clock[3])
    minutes = here.hour * 60 + here.minute
    return _DAYS.index(first) <= here.weekday() <= _DAYS.index(last) and begin <= minutes < end


def _near_weekend(here: datetime, cutoff_min: int) -> bool:
    shifted = here.replace(tzinfo=None) + timedelta(minutes=cutoff_min)
    friday = shifted.weekday() == 4 and shifted.hour >= 17
    sunday = here.weekday() == 6 and here.hour < 17
    return friday or shifted.weekday() == 5 or here.weekday() == 5 or sunday
