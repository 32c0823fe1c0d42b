"""The sandbox's long bars are the venue's candles on the same seed, and a recording keeps its own times."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.adapters.history.csv_bars import read_bars
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.calendar import iso_utc
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.ports import BarSource
from engine.venue.candles import Candle, Wanted, candles
from engine.venue.market import HandPrices
from engine.venue.shelves import GeneratedShelf

SEED, NAME = 11, "EUR_USD"
LONG = [Granularity(name) for name in ("H2", "H3", "H4", "H6", "H8", "H12", "D")]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def shown(market: GeneratedMarket, granularity: Granularity, now_ns: int, count: int) -> list[Candle]:
    """The venue's complete candles, newest last."""
    wanted = Wanted(instrument=NAME, granularity=granularity.value, count=count + 1)
    found = candles(GeneratedShelf(market, HandPrices()), wanted, now_ns)
    return [each for each in found if each.complete][-count:]


def as_candles(bars: Sequence[Bar]) -> list[Candle]:
    return [
        Candle(
            open_ns=bar.open_ts_ns,
            bid=(bar.bid_open, bar.bid_high, bar.bid_low, bar.bid_close),
            ask=(bar.ask_open, bar.ask_high, bar.ask_low, bar.ask_close),
            volume=bar.tick_count,
            complete=True,
        )
        for bar in bars
    ]


def lived(market: BarSource, start_ns: int, granularity: Granularity, end_ns: int) -> list[Bar]:
    """The bars that a session in the sandbox is told of."""
    traded = {NAME: CATALOGUE[NAME]}
    broker = SimBroker(instruments=traded, currency="USD", balance=Decimal(100_000), start_ns=start_ns)
    data = SimMarketData(source=market, broker=broker)
    data.start([NAME], granularity)
    bars: list[Bar] = []
    while (due_ns := data.next_due_ns()) is not None and due_ns <= end_ns:
        bars += [each for each in data.poll(due_ns) if isinstance(each, Bar)]
    return bars


@pytest.fixture(scope="module", params=["2025-03-20T15:17", "2024-11-14T02:00", "2025-07-03T20:59"])
def market(request: pytest.FixtureRequest) -> GeneratedMarket:
    """Two weeks after the clocks went forward, after they went back, and in the middle of summer."""
    return GeneratedMarket(SEED, [NAME], at(request.param))


@pytest.mark.parametrize("granularity", LONG)
def test_history_is_the_venues_candles_over_changes_of_the_clock(
    market: GeneratedMarket, granularity: Granularity
) -> None:
    count = 16 * Granularity.D.seconds // granularity.seconds
    bars = market.history(NAME, granularity, count)
    assert bars[-1].open_ts_ns - bars[0].open_ts_ns > 3 * 7 * Granularity.D.ns - 2 * Granularity.D.ns
    assert as_candles(bars) == shown(market, granularity, market._start_ns, count)


@pytest.mark.parametrize(
    ("granularity", "start", "end"),
    [
        ("H4", "2025-03-07T13:00", "2025-03-10T13:30"),
        ("H12", "2025-03-07T16:45", "2025-03-10T21:30"),
        ("H8", "2024-11-01T11:31", "2024-11-04T06:01"),
        ("H3", "2024-11-01T17:59", "2024-11-04T01:00"),
    ],
)
def test_a_session_over_a_change_of_the_clock_hears_of_the_venues_candles(
    granularity: str, start: str, end: str
) -> None:
    bars = lived(GeneratedMarket(SEED, [NAME], at(start)), at(start), Granularity(granularity), at(end))
    assert len(bars) >= 3
    venue = GeneratedMarket(SEED, [NAME], at(start))
    assert as_candles(bars) == shown(venue, Granularity(granularity), at(end), len(bars))
    assert bars[0].open_ts_ns < at(start) < bars[0].close_ts_ns


@pytest.mark.parametrize("granularity", ["H2", "H4", "H6"])
def test_a_sandbox_session_begins_with_a_whole_bar_right_after_its_history(granularity: str) -> None:
    length, end_ns = Granularity(granularity), DEFAULT_START_NS + 9 * Granularity.H1.ns
    market = GeneratedMarket(SEED, [NAME])
    before = market.history(NAME, length, 3)
    bars = lived(market, DEFAULT_START_NS, length, end_ns)
    venue = shown(GeneratedMarket(SEED, [NAME]), length, end_ns, 3 + len(bars))
    assert as_candles([*before, *bars]) == venue


@pytest.mark.parametrize(
    ("last_friday", "first_after"),
    [("2025-03-07T16:00", "2025-03-09T20:00"), ("2025-03-07T18:00", "2025-03-09T21:00")],
    ids=["counted from midnight UTC", "counted from 17:00 New York"],
)
def test_a_recording_of_long_bars_is_played_with_its_own_times(
    tmp_path: Path, last_friday: str, first_after: str
) -> None:
    length_ns = Granularity.H4.ns
    opened = [at(last_friday) - index * length_ns for index in reversed(range(12))]
    opened += [at(first_after) + index * length_ns for index in range(12)]
    path = tmp_path / f"{NAME}_H4.csv"
    header = ",".join(f"{side}_{price}" for side in ("bid", "ask") for price in ("open", "high", "low", "close"))
    lines = [f"{iso_utc(each)}{',1.10000' * 4}{',1.10010' * 4}" for each in opened]
    path.write_text("\n".join([f"time,{header}", *lines, ""]), encoding="utf-8")
    imported = read_bars(path, known=CATALOGUE)
    assert (imported.granularity, imported.problems) == (Granularity.H4, ())
    bars = lived(RecordedBars([imported], 0), opened[0], Granularity.H4, opened[-1] + length_ns)
    assert [bar.open_ts_ns for bar in bars] == opened
