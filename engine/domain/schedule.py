"""I am opening hours as an operator writes them: windows of the week, the hour at which a trading day begins, news.
I may import datetime, zoneinfo, calendar, error and market.
I must not read a clock or a file; whoever asks brings the time and the text.
My tests are in tests/unit/domain/test_schedule.py.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from engine.domain.calendar import day_of, day_start_ns
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S

ALWAYS = "always"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTES_PER_DAY = 24 * 60
_PART = re.compile(r"(?P<days>[A-Za-z,-]+)\s+(?P<begin>\d{2}:\d{2})-(?P<end>\d{2}:\d{2})\s+(?P<zone>\S+)")
_DAY_START = re.compile(r"(?P<hour>\d{2}):00\s+(?P<zone>\S+)")
_FORM = "it must be always, or like Mon-Fri 07:00-20:00 Europe/London (more of them after a semicolon)."
_DAY_FORM = "it must be a full hour and a time zone, like 17:00 America/New_York."


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of some week days in one zone; minutes count from midnight of the day on which they begin."""

    days: frozenset[int]
    begin_min: int
    end_min: int
    zone: str


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """When entries are allowed; no parts mean always."""

    text: str
    parts: tuple[_Part, ...] = ()

    @staticmethod
    def parse(text: str) -> "Windows":
        """Read windows, for example "Mon-Fri 07:00-12:00 Europe/London; Mon-Thu 22:00-02:00 UTC".

        Hours that end at or before they begin end on the next day. Raises ConfigError that says what is allowed.
        """
        return _windows(text)

    def judge(self, ts_ns: int) -> tuple[bool, int]:
        """Say whether entries are allowed at a moment, and until when that answer surely holds (exclusive)."""
        if not self.parts:
            return True, ts_ns + 7 * _MINUTES_PER_DAY * 60 * NS_PER_S
        spans = [span for part in self.parts for span in _spans(part, ts_ns)]
        inside = [end_ns for begin_ns, end_ns in spans if begin_ns <= ts_ns < end_ns]
        if inside:
            return True, max(inside)
        # hours that a clock change swallows end before they begin, and open nothing
        later = [begin_ns for begin_ns, end_ns in spans if ts_ns < begin_ns < end_ns]
        return False, min(later, default=ts_ns + _MINUTES_PER_DAY * 60 * NS_PER_S)


class DayStart(msgspec.Struct, frozen=True, kw_only=True):
    """The hour of the clock in a zone at which a trading day begins."""

    hour: int
    zone: str

    @staticmethod
    def parse(text: str) -> "DayStart":
        """Read a beginning like "17:00 America/New_York"; raises ConfigError that says what is allowed."""
        match = _DAY_START.fullmatch(text.strip())
        if not match or int(match["hour"]) > 23:
            raise ConfigError(_DAY_FORM)
        _zone(match["zone"])
        return DayStart(hour=int(match["hour"]), zone=match["zone"])

    def next_ns(self, ts_ns: int) -> int:
        """First beginning of a trading day strictly after this moment; clock changes make days of 23 or 25 hours."""
        zone = _zone(self.zone)
        return day_start_ns(day_of(ts_ns, self.hour, zone) + timedelta(days=1), self.hour, zone)


class NewsEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the operator's calendar that moves a currency; currency "*" moves all of them."""

    ts_ns: int
    currency: str
    title: str


@lru_cache(maxsize=256)
def _windows(text: str) -> Windows:
    words = " ".join(text.split())
    if words == ALWAYS:
        return Windows(text=ALWAYS)
    return Windows(text=words, parts=tuple(_part(piece.strip()) for piece in words.split(";")))


def _part(text: str) -> _Part:
    match = _PART.fullmatch(text)
    if not match:
        raise ConfigError(_FORM)
    begin, end = _minutes(match["begin"]), _minutes(match["end"])
    _zone(match["zone"])
    return _Part(
        days=_week_days(match["days"]),
        begin_min=begin,
        end_min=end if end > begin else end + _MINUTES_PER_DAY,
        zone=match["zone"],
    )


def _minutes(text: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    if minutes > 59 or hours * 60 + minutes > _MINUTES_PER_DAY:
        raise ConfigError(f"{text} is no time of day from 00:00 to 24:00.")
    return hours * 60 + minutes


def _week_days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for piece in text.split(","):
        ends = piece.split("-")
        if len(ends) > 2 or any(end not in _DAYS for end in ends):
            raise ConfigError(
                f"{piece!r} names no days of the week; they are {', '.join(_DAYS)}, or a span like Mon-Fri."
            )
        first, last = _DAYS.index(ends[0]), _DAYS.index(ends[-1])
        found.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return frozenset(found)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"{name!r} is no time zone; it must be a name like Europe/London or UTC.") from error


def _spans(part: _Part, ts_ns: int) -> list[tuple[int, int]]:
    """Spans of this part that begin from the day before a moment to eight days after it."""
    zone = _zone(part.zone)
    today = datetime.fromtimestamp(ts_ns // NS_PER_S, zone).date()
    days = (today + timedelta(days=step) for step in range(-1, 9))
    return [
        (_at(day, part.begin_min, zone), _at(day, part.end_min, zone)) for day in days if day.weekday() in part.days
    ]


def _at(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The moment at which the clock of this zone shows this time of the day; 24:00 and more is of the next day."""
    days, rest = divmod(minutes, _MINUTES_PER_DAY)
    shown = datetime.combine(day + timedelta(days=days), datetime.min.time()) + timedelta(minutes=rest)
    return int(shown.replace(tzinfo=zone).timestamp()) * NS_PER_S
