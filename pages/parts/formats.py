"""I am the formats: numbers, ages and times as a trader reads them.
I may import decimal and datetime.
I must not round anything that is used again; what leaves me is text.
My tests are in tests/unit/pages/test_formats.py.
"""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

NOTHING = "-"
ZERO = Decimal(0)
NS_PER_S = 1_000_000_000
# A moment as the engine writes it into a text: 2025-01-06T22:00:00Z.
MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z")


def money(amount: Decimal) -> str:
    """Write an amount with two decimals, thousands separators and an ASCII minus: -1,234.56."""
    return f"{_rounded(amount, 2):,.2f}"


def signed_money(amount: Decimal) -> str:
    """Write a gain or loss with its sign: +1,234.56, -0.10, and 0.00 without one."""
    return _signed(amount, 2)


def percent(value: Decimal) -> str:
    """Write a percentage with two decimals: 0.42 %."""
    return f"{_rounded(value, 2):,.2f} %"


def signed_percent(value: Decimal) -> str:
    """Write a gain or loss in percent with its sign: +0.75 %."""
    return f"{_signed(value, 2)} %"


def price(value: Decimal | None, decimals: int) -> str:
    """Write a price with the instrument's number of decimals, "-" when there is none."""
    return NOTHING if value is None else f"{_rounded(value, decimals):.{decimals}f}"


def r_multiple(value: Decimal) -> str:
    """Write a result as a multiple of what the stop would have cost, with its sign: -1.00 R."""
    return f"{_signed(value, 2)} R"


def units(value: Decimal) -> str:
    """Write a size without its sign and without empty decimals: 15,000 or 0.5."""
    text = f"{abs(value):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def side(value: Decimal) -> str:
    """Name the side of a signed size, with a triangle so that it is not read from colour alone."""
    if value == 0:
        return "flat"
    return "▲ long" if value > 0 else "▼ short"


def age(seconds: float) -> str:
    """Write how old something is with one unit: 0.4 s, 12 s, 3 min, 2 h, 5 d."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, length, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86_400)} d"


def countdown(seconds: float) -> str:
    """Write the time that is left: 0:41, 1:02:03, and "now" for less than a second."""
    whole = int(seconds)
    if whole < 1:
        return "now"
    hours, rest = divmod(whole, 3_600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def utc(ts_ns: int) -> str:
    """Write a moment with its zone: 2026-01-05 14:32:05 UTC."""
    return f"{_moment(ts_ns):%Y-%m-%d %H:%M:%S} UTC"


def clock(ts_ns: int) -> str:
    """Write a moment of this week, as on a market clock: Mon 14:32:05 UTC."""
    return f"{clock_only(ts_ns)} UTC"


def clock_only(ts_ns: int) -> str:
    """Write a moment of this week for a column whose header names the zone: Mon 14:32:05."""
    return f"{_moment(ts_ns):%a %H:%M:%S}"


def hour_minute(ts_ns: int) -> str:
    """Write a time of day: 14:32 UTC."""
    return f"{_moment(ts_ns):%H:%M} UTC"


def speed(factor: float | None) -> str:
    """Write how fast market time runs: 60x, or max."""
    return "max" if factor is None else f"{factor:g}x"


def moments(text: str) -> str:
    """Write the moments in a text that the engine wrote as those of the page: 2025-01-06 22:00:00 UTC."""
    return MOMENT.sub(r"\1 \2 UTC", text)


def sentence(text: str) -> str:
    """End a text that others wrote with exactly one full stop, moments as on the page, escaped for Markdown."""
    return f"{escaped(moments(text).rstrip('. '))}."


def words(name: str) -> str:
    """Turn the name of a command into words: ResumeTrading becomes Resume trading."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced.strip().capitalize()


def label(name: str) -> str:
    """Turn the name of a gate or breaker into words: daily_loss becomes daily loss."""
    return name.replace("_", " ")


def escaped(text: str) -> str:
    """Keep Streamlit from reading Markdown, colours or formulas into a text that others wrote."""
    return "".join(f"\\{letter}" if letter in _MARKDOWN else letter for letter in text)


_MARKDOWN = frozenset("\\`*_{}[]<>#|$~:")


def _moment(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // NS_PER_S, tz=UTC)


def _rounded(value: Decimal, decimals: int) -> Decimal:
    """Round half to even, as the ledger does; a negative zero becomes zero."""
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN) + 0


def _signed(value: Decimal, decimals: int) -> str:
    rounded = _rounded(value, decimals)
    return f"{rounded:+,.{decimals}f}" if rounded else f"{rounded:,.{decimals}f}"
