"""I am the texts of the protocol: dates, decimals and ids as OANDA writes and reads them.
I may import the domain.
I must not round money: whoever books it has rounded.
My tests are in tests/unit/venue/test_text.py.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from engine.domain.calendar import NEW_YORK
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S

Dates = Callable[[int], str]
MONEY = Decimal("0.0001")
FACTOR = Decimal("0.000000000001")
# Wide enough for what a client's binary fraction prints, narrow enough for 28 digits of reckoning with it.
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?")
_EXPONENT_MAX = 30
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)?", re.ASCII)
_UNIX = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
# The first second of the year 10000, which no RFC 3339 date can name.
_END_S = 253_402_300_800


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(ts_ns: int) -> str:
    """Write UTC nanoseconds with nine decimals (PROTOCOL section 2)."""
    second, fraction = divmod(ts_ns, NS_PER_S)
    return f"{_second(second)}.{fraction:09d}Z"


def unix(ts_ns: int) -> str:
    """Write UTC nanoseconds as seconds since 1970 with nine decimals."""
    second, fraction = divmod(ts_ns, NS_PER_S)
    return f"{second}.{fraction:09d}"


def read_date(text: str) -> int | None:
    """Read either form, or None; a date without a zone is New York's, as OANDA was seen to read it.

    Dates before 1970 are taken for its first moment: nothing here is as old.
    """
    found = _UNIX.fullmatch(text)
    if found is not None:
        return int(found[1]) * NS_PER_S + _fraction(found[2])
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1].replace(" ", "T") + (found[3] or "").upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=NEW_YORK)
    second = int(moment.timestamp())
    if second < 0:
        return 0
    return second * NS_PER_S + _fraction(found[2]) if second < _END_S else None


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def plain(value: Decimal) -> str:
    """Write a number without exponent and without zeros that say nothing."""
    return f"{value.normalize():f}" if value else "0"


def money(amount: Decimal) -> str:
    """Write an amount in account currency with its four decimals."""
    return f"{amount.quantize(MONEY, rounding=ROUND_HALF_EVEN):f}"


def factor(rate: Decimal) -> str:
    """Write a conversion factor; twelve decimals keep a fill's amounts reproducible."""
    return plain(rate.quantize(FACTOR, rounding=ROUND_HALF_EVEN))


def share(value: Decimal) -> str:
    """Write a fraction with the five decimals of OANDA's margin percentages."""
    return f"{value.quantize(Decimal('0.00001'), rounding=ROUND_HALF_EVEN):f}"


def price(instrument: Instrument, value: Decimal) -> str:
    """Write a price with the decimals that the instrument shows."""
    return f"{instrument.round_price(value):f}"


def read_decimal(value: object) -> Decimal | None:
    """Read a decimal from text or from a JSON number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(int(value.as_tuple().exponent)) > _EXPONENT_MAX:
            return None  # written out it might fill the memory
        text = f"{value:f}"
    else:
        text = str(value)
    return Decimal(text) if _DECIMAL.fullmatch(text) else None
