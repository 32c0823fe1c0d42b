"""I am the reading of arguments: from the words of a command line to values, or one sentence that says what is wrong.
I may import the domain.
I must not guess what was meant, nor do anything.
My tests are in tests/unit/test_cli.py.
"""

import re
from decimal import Decimal, InvalidOperation

from engine.domain.command import Mode
from engine.domain.error import ConfigError

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BARS_ARGUMENT = re.compile(r"^([A-Z0-9]{2,12}_[A-Z0-9]{2,6})=(.+)$")


def names(text: str) -> tuple[str, ...]:
    """Read instruments, separated by commas; raises ConfigError."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if text and not found:
        raise ConfigError(f"--instruments is {text!r}; it must be like EUR_USD,USD_JPY.")
    return found


def mode_named(text: str) -> Mode:
    """Read a mode; raises ConfigError."""
    if text not in tuple(Mode):
        raise ConfigError(f"Mode {text!r} is unknown; allowed are {', '.join(Mode)}.")
    return Mode(text)


def decimal(name: str, text: str) -> Decimal:
    """Read the number of option `name`; raises ConfigError."""
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"{name} is {text!r}; it must be a number.") from error
    if not value.is_finite():
        raise ConfigError(f"{name} is {text!r}; it must be a number.")
    return value


def whole(name: str, text: str) -> int:
    """Read the whole number of option `name`; raises ConfigError."""
    value = decimal(name, text)
    if value != value.to_integral_value():
        raise ConfigError(f"{name} is {text!r}; it must be a whole number.")
    return int(value)


def pace(text: str, mode: Mode) -> float | None:
    """Read market seconds per second, None for "max"; raises ConfigError."""
    if text == "max" or (not text and mode is Mode.REPLAY):
        return None
    return float(decimal("--speed", text or "60"))


def duration_s(text: str) -> int | None:
    """Read seconds from a text like 8h, None from an empty one; raises ConfigError."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if not match:
        raise ConfigError(f"--duration is {text!r}; it must be like 90s, 10m, 8h or 5d.")
    return int(match[1]) * _UNITS_S[match[2]]


def bar_file(text: str) -> tuple[str, str]:
    """Read (instrument or "", file) from EUR_USD=FILE or FILE; raises ConfigError."""
    match = _BARS_ARGUMENT.match(text)
    if not text or text.endswith("="):
        raise ConfigError(f"--bars is {text!r}; it must be a file, or an instrument and a file like EUR_USD=FILE.")
    return (match[1], match[2]) if match else ("", text)
