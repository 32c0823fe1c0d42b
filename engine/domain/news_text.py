"""I am the news calendar as text: CSV lines in, events out, or one sentence for each line that is not sound.
I may import csv, datetime, command, error, limits, market and schedule.
I must not touch a file or a clock; whoever asks brings the bytes.
My tests are in tests/unit/domain/test_news_text.py.
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from engine.domain.command import NEWS_MAX
from engine.domain.error import ConfigError
from engine.domain.limits import ANY
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent

NEWS_COLUMNS = ("time", "currency", "title")
NEWS_BYTES_MAX = 1_000_000
TITLE_MAX = 200
# More sentences than that help nobody; the count of the others is told.
TOLD_MAX = 10
_CURRENCY = re.compile(r"[A-Z]{3}")
_HEADER = f"the first line must name the columns {','.join(NEWS_COLUMNS)}."
_TIME_FORM = "it must be a date and time with its offset, like 2026-01-09T13:30:00Z."
_FIRST_YEAR, _LAST_YEAR = 1970, 2261


class NewsRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a calendar says: its events, earliest first, and a sentence for each line that is not sound."""

    events: tuple[NewsEvent, ...] = ()
    problems: tuple[str, ...] = ()


def read_news(data: bytes) -> NewsRead:
    """Read a calendar: CSV in UTF-8 with the columns time, currency and title in any order; others are ignored."""
    if len(data) > NEWS_BYTES_MAX:
        return _refused(f"The calendar has more than the {NEWS_BYTES_MAX:,} bytes that are allowed.")
    try:
        lines = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        names = lines.fieldnames or ()
        if missing := [name for name in NEWS_COLUMNS if name not in names]:
            return _refused(f"The calendar has no column {' or '.join(missing)}; {_HEADER}")
        found = [(lines.line_num, row) for row in lines]
    except UnicodeDecodeError as error:
        return _refused(f"The calendar is not UTF-8 text: byte {error.start} cannot be read.")
    except csv.Error as error:
        return _refused(f"The calendar is no CSV file: {error}; {_HEADER}")
    return _counted(found)


def news_of(data: bytes) -> tuple[NewsEvent, ...]:
    """Read a calendar of which every line must be sound; raises ConfigError that names those that are not."""
    read = read_news(data)
    if read.problems:
        raise ConfigError(" ".join(told(read.problems)))
    return read.events


def told(problems: tuple[str, ...]) -> tuple[str, ...]:
    """Shorten a long list of problems to what a person reads."""
    rest = len(problems) - TOLD_MAX
    return (*problems[:TOLD_MAX], f"{rest} more lines are not sound either.") if rest > 0 else problems


def _refused(problem: str) -> NewsRead:
    return NewsRead(problems=(problem,))


def _counted(found: list[tuple[int, dict[str | None, str | None]]]) -> NewsRead:
    if len(found) > NEWS_MAX:
        return _refused(f"The calendar has {len(found):,} events; at most {NEWS_MAX:,} are allowed.")
    events, problems = list[NewsEvent](), list[str]()
    for number, row in found:
        event, faults = _event(row)
        problems += (f"Line {number}: {fault}" for fault in faults)
        if event is not None:
            events.append(event)
    return NewsRead(events=_ordered(events), problems=tuple(problems))


def _ordered(events: Iterable[NewsEvent]) -> tuple[NewsEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.ts_ns, event.currency, event.title)))


def _event(row: dict[str | None, str | None]) -> tuple[NewsEvent | None, list[str]]:
    """Read one line; everything that is wrong with it is told."""
    if None in row or None in row.values():
        return None, [f"it has another number of fields than the first line; {_HEADER}"]
    time, currency, title = ((row[name] or "").strip() for name in NEWS_COLUMNS)
    ts_ns = _time_ns(time)
    faults = [] if ts_ns is not None else [f"time is {time!r}; {_TIME_FORM}"]
    if currency != ANY and not _CURRENCY.fullmatch(currency):
        faults.append(f"currency is {currency!r}; it must be three capitals like USD, or {ANY} for all of them.")
    if not 0 < len(title) <= TITLE_MAX:
        faults.append(f"title has {len(title)} characters; it must have 1 to {TITLE_MAX}.")
    if faults or ts_ns is None:
        return None, faults
    return NewsEvent(ts_ns=ts_ns, currency=currency, title=title), []


def _time_ns(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return None
        return int(moment.astimezone(UTC).timestamp()) * NS_PER_S
    except (ValueError, OverflowError):
        return None
