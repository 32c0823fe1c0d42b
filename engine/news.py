"""I am the news calendar as a file: read when a session starts, replaced whole when a person brings another.
I may import os and the domain.
I must not judge an entry by it (the rule of hours does), nor leave half a file behind.
My tests are in tests/unit/test_news.py.
"""

import os
from contextlib import suppress
from pathlib import Path

from engine.domain.error import ConfigError
from engine.domain.news_text import NEWS_BYTES_MAX, news_of
from engine.domain.schedule import NewsEvent


def read(path: Path) -> tuple[NewsEvent, ...]:
    """Read a calendar; raises ConfigError that names the file and what is not sound in it."""
    try:
        with path.open("rb") as file:
            data = file.read(NEWS_BYTES_MAX + 1)  # one more tells that it is too long; the rest is not wanted
    except OSError as error:
        raise ConfigError(f"The news calendar {path} cannot be read: {error.strerror}.") from error
    try:
        return news_of(data)
    except ConfigError as error:
        raise ConfigError(f"The news calendar {path} is not sound. {error}") from error


def read_if_any(path: Path) -> tuple[NewsEvent, ...]:
    """Read a calendar that need not be there; without one there is no news."""
    return read(path) if path.exists() else ()


def chosen(given: tuple[NewsEvent, ...], named: Path | None, usual: Path) -> tuple[NewsEvent, ...]:
    """Take the events that were given, or else read the file that was named, or else the usual one if it is there."""
    return given or (read(named) if named else read_if_any(usual))


def chosen_or_why(given: tuple[NewsEvent, ...], usual: Path) -> tuple[tuple[NewsEvent, ...], str]:
    """Take the events as a start without a named file does, and say why they cannot be read; "" when they can."""
    try:
        return chosen(given, None, usual), ""
    except ConfigError as error:
        return (), str(error)


def replace(path: Path, data: bytes) -> tuple[NewsEvent, ...]:
    """Put a calendar in the place of the last one, whole or not at all; raises ConfigError and keeps the last one."""
    events = news_of(data)
    draft = path.with_name(f".incoming-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):  # what could not be written need not be there
            draft.unlink()
        raise ConfigError(f"The news calendar {path} cannot be written: {error.strerror}.") from error
    return events
