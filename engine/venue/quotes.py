"""I am the price desk: instruments, prices and candles.
I may import the simulated venue, desk, candles, refusal and text.
I must not change anything.
My tests are in tests/unit/venue: test_candles.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.domain.instrument import Instrument
from engine.venue.candles import (
    COUNT_DEFAULT,
    COUNT_MAX,
    DAYS_OF_WEEK,
    GRANULARITIES,
    Alignment,
    Candle,
    Wanted,
    length_ns,
)
from engine.venue.desk import Answer, Call, Desk, whole
from engine.venue.reading import NUMBER
from engine.venue.refusal import Refusal, invalid, missing
from engine.venue.text import Dates, price, read_date

HOURS = 24
_TRUE, _FALSE = "true", "false"


def names_of(desk: Desk, query: Mapping[str, str], *, required: bool) -> list[str]:
    """Read a list of instruments; an unknown one refuses the whole request."""
    text = query.get("instruments")
    if not text:
        if required:
            raise missing("instruments")
        return list(desk.exchange.instruments)
    names = list(dict.fromkeys(text.split(",")))
    if any(name not in desk.exchange.instruments for name in names):
        raise invalid("instruments")
    return names


def instruments(desk: Desk, call: Call) -> Answer:
    """GET /instruments."""
    names = names_of(desk, call.query, required=False)
    rows = [desk.figures.instrument(desk.exchange.instruments[name]) for name in names]
    return Answer(body={"instruments": rows, "lastTransactionID": desk.last_id})


def prices(desk: Desk, call: Call) -> Answer:
    """GET /pricing."""
    names = names_of(desk, call.query, required=True)
    since_ns = -1
    if "since" in call.query:
        moment = read_date(call.query["since"])
        if moment is None:
            raise invalid("since")
        since_ns = moment
    quotes = [desk.exchange.quotes[name] for name in names]
    row: dict[str, Any] = {
        "time": call.renderer.date(desk.exchange.now_ns),
        "prices": [desk.figures.price(quote, call.renderer.date) for quote in quotes if quote.ts_ns > since_ns],
    }
    if flag(call.query, "includeHomeConversions", default=False):
        row["homeConversions"] = desk.figures.home_conversions(names)
    return Answer(body=row)


def flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a boolean in any case: Python clients send True."""
    text = query.get(name, "").lower()
    if text not in ("", _TRUE, _FALSE):
        raise invalid(name)
    return default if not text else text == _TRUE


def wanted_candles(desk: Desk, call: Call) -> Wanted:
    """Read which candles are asked for."""
    name, query = call.path["instrument"], call.query
    if name not in desk.exchange.instruments:
        raise invalid("instrument")
    granularity = query.get("granularity", "S5")
    if granularity not in GRANULARITIES:
        raise invalid("granularity")
    from_ns, to_ns = (_moment(query, key, desk.exchange.now_ns) for key in ("from", "to"))
    count = _count(query)
    if count is not None and from_ns is not None and to_ns is not None:
        raise Refusal(400, "'count' cannot be specified when 'to' and 'from' parameters are set")
    if from_ns is not None and to_ns is not None:
        if from_ns > to_ns:
            raise Refusal(400, "Invalid value specified for 'to'. Time is before 'from'")
        if (to_ns - from_ns) // length_ns(granularity) > COUNT_MAX:
            raise Refusal(400, "Maximum value for 'count' exceeded")
        count = COUNT_MAX
    return Wanted(
        instrument=name,
        granularity=granularity,
        count=count or COUNT_DEFAULT,
        from_ns=from_ns,
        to_ns=to_ns,
        include_first=flag(query, "includeFirst", default=True),
        smooth=flag(query, "smooth", default=False),
        alignment=_alignment(query),
    )


def price_letters(query: Mapping[str, str]) -> str:
    """Read which of mid, bid and ask a candle shall have."""
    letters = query.get("price") or "M"
    if not set(letters) <= set("MBA"):
        raise invalid("price")
    return letters


def candles_answer(desk: Desk, wanted: Wanted, found: list[Candle], query: Mapping[str, str], dates: Dates) -> Answer:
    """Write candles with the prices that are asked for."""
    letters, instrument = price_letters(query), desk.exchange.instruments[wanted.instrument]
    rows = [_row(instrument, candle, letters, dates) for candle in found]
    return Answer(
        body={"instrument": wanted.instrument, "granularity": wanted.granularity, "candles": rows},
    )


def _row(instrument: Instrument, candle: Candle, letters: str, dates: Dates) -> dict[str, Any]:
    row: dict[str, Any] = {
        "complete": candle.complete,
        "volume": candle.volume,
        "time": dates(candle.open_ns),
    }
    bid, ask = candle.bid, candle.ask
    mid = tuple((one + other) / 2 for one, other in zip(bid, ask, strict=True))
    for letter, name, values in (("B", "bid", bid), ("M", "mid", mid), ("A", "ask", ask)):
        if letter in letters:
            row[name] = {key: price(instrument, value) for key, value in zip("ohlc", values, strict=True)}
    return row


def _count(query: Mapping[str, str]) -> int | None:
    return whole(query, "count", COUNT_DEFAULT, COUNT_MAX) if "count" in query else None


def _moment(query: Mapping[str, str], name: str, now_ns: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    moment = read_date(text)
    if moment is None:
        raise invalid(name)
    if moment > now_ns:
        raise invalid(name, "Time is in the future")
    return moment


def _alignment(query: Mapping[str, str]) -> Alignment:
    hour, zone = query.get("dailyAlignment", "17"), query.get("alignmentTimezone", "America/New_York")
    weekday = query.get("weeklyAlignment", "Friday")
    if not NUMBER.fullmatch(hour) or int(hour) >= HOURS:
        raise invalid("dailyAlignment")
    if weekday not in DAYS_OF_WEEK:
        raise invalid("weeklyAlignment")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("alignmentTimezone") from error
    return Alignment(hour=int(hour), zone=zone, weekday=DAYS_OF_WEEK.index(weekday))
