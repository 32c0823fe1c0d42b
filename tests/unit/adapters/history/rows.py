"""Made-up bar files and the instruments they are of."""

import gzip
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from engine.adapters.history.imported import ImportedBars
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity

HEADER = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"
PRICES = "1.10000,1.10020,1.09990,1.10010,1.10010,1.10030,1.10000,1.10020"
MONDAY = datetime(2014, 5, 5, tzinfo=UTC)


def made(name: str, price_decimals: int = 5) -> Instrument:
    return Instrument(
        name=name,
        price_decimals=price_decimals,
        pip_size=Decimal(10).scaleb(-price_decimals),
        units_decimals=0,
        units_min=Decimal(1),
        units_max=Decimal(100_000_000),
        margin_rate=Decimal("0.02"),
    )


KNOWN = {one.name: one for one in (made("EUR_USD"), made("GBP_USD"), made("NZD_USD"), made("USD_JPY", 3))}


def ns_of(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S


def row(minutes: float, prices: str = PRICES) -> str:
    """One line of a file of M1 bars, so many minutes after MONDAY."""
    return f"{MONDAY + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ},{prices}"


def rows(minutes: Iterable[float]) -> list[str]:
    return [row(minute) for minute in minutes]


def written(folder: Path, lines: Sequence[str], name: str = "EUR_USD.csv", header: str = HEADER) -> Path:
    """Write a file of bars, gzipped when its name says so."""
    content = "\n".join([header, *lines, ""]).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def bar(open_ns: int, instrument: str = "EUR_USD", granularity: Granularity = Granularity.M1) -> Bar:
    bid_open, bid_high, bid_low, bid_close, ask_open, ask_high, ask_low, ask_close = map(Decimal, PRICES.split(","))
    return Bar(
        instrument=instrument,
        granularity=granularity,
        open_ts_ns=open_ns,
        bid_open=bid_open,
        bid_high=bid_high,
        bid_low=bid_low,
        bid_close=bid_close,
        ask_open=ask_open,
        ask_high=ask_high,
        ask_low=ask_low,
        ask_close=ask_close,
    )


def imported(
    minutes: Iterable[int], instrument: str = "EUR_USD", granularity: Granularity = Granularity.M1
) -> ImportedBars:
    """An import without problems: bars that open so many bar lengths after MONDAY."""
    bars = tuple(bar(ns_of(MONDAY) + at * granularity.ns, instrument, granularity) for at in minutes)
    return ImportedBars(
        file_name=f"{instrument}.csv",
        instrument=instrument,
        granularity=granularity,
        bars=bars,
        problems=(),
        lines=len(bars),
        dropped=0,
    )
