"""I am time as v20 writes it: RFC3339 with nine decimals or UNIX seconds, to whole nanoseconds and back.
I may import market and datetime.date.
I must not pass through a type that holds fewer than nine decimals, nor read a clock.
My tests are in tests/unit/adapters/oanda/test_parsing.py.
"""

import re
from datetime import date

from engine.domain.market import NS_PER_S

DAY_S = 86_400
TS_NS_MAX = 2**63 - 1
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_RFC3339 = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z")
_UNIX = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?")


def parse_moment(text: str) -> int:
    """Turn either form into UTC nanoseconds; raises ValueError outside 1970 to 2262.

    "0" is a moment of the UNIX form: OANDA sends it for a resettablePLTime that never was (PROTOCOL section 2).
    """
    if found := _RFC3339.fullmatch(text):
        *calendar, fraction = found.groups()
        seconds = _seconds(text, *map(int, calendar))
    elif found := _UNIX.fullmatch(text):
        seconds, fraction = int(found[1]), found[2]
    else:
        raise ValueError(f"time {text[:60]!r} is neither RFC3339 in UTC nor UNIX seconds, with at most nine decimals")
    ts_ns = seconds * NS_PER_S + int((fraction or "").ljust(9, "0"))
    if not 0 <= ts_ns <= TS_NS_MAX:
        raise ValueError(f"time {text!r} is not between 1970 and 2262")
    return ts_ns


def _seconds(text: str, year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"time {text!r} is no time of day")
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise ValueError(f"time {text!r} is no day of the calendar: {error}") from error
    return days * DAY_S + hour * 3600 + minute * 60 + second


def rfc3339_text(ts_ns: int) -> str:
    """Write UTC nanoseconds as RFC3339 with nine decimals and Z, for example 2017-03-09T13:22:13.832587780Z."""
    seconds, fraction = divmod(ts_ns, NS_PER_S)
    days, second = divmod(seconds, DAY_S)
    day = date.fromordinal(_EPOCH_DAY + days).isoformat()
    return f"{day}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{fraction:09}Z"


def unix_text(ts_ns: int) -> str:
    """Write UTC nanoseconds as UNIX seconds with nine decimals, for example 1489065733.832587780."""
    return f"{ts_ns // NS_PER_S}.{ts_ns % NS_PER_S:09}"
