"""Candles: edges of ranges, alignment through changes of the clock, the running candle, smoothing, bad questions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.domain.market import NS_PER_S
from engine.venue.candles import GRANULARITIES, Alignment, bucket_end_ns, bucket_start_ns, length_ns
from tests.unit.venue.house import House, Row

NEW_YORK = ZoneInfo("America/New_York")


def ns(year: int, month: int, day: int, hour: int = 0, zone: Any = UTC) -> int:
    return int(datetime(year, month, day, hour, tzinfo=zone).timestamp()) * NS_PER_S


def start_of(row: Row) -> datetime:
    return datetime.fromisoformat(row["time"][:19]).replace(tzinfo=UTC)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def assert_sound(rows: list[Row]) -> None:
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    assert all(row["complete"] for row in rows[:-1])
    for row in rows:
        assert row["volume"] >= 1
        for side in ("bid", "mid", "ask"):
            low, high = Decimal(row[side]["l"]), Decimal(row[side]["h"])
            assert all(low <= Decimal(row[side][key]) <= high for key in "oc")
            assert all(len(value.split(".")[1]) == 5 for value in row[side].values())
        assert all(Decimal(row["bid"][key]) <= Decimal(row["mid"][key]) <= Decimal(row["ask"][key]) for key in "ohlc")


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_the_running_candle_of_every_length_shows_a_price_set_by_hand_at_once(house: House, granularity: str) -> None:
    house.skip(3)
    before = house.candles(granularity=granularity, count=3)
    house.set_price("1.30000", "1.30021")
    house.set_price("1.20000", "1.20021")
    rows = house.candles(granularity=granularity, count=3)
    assert_sound(rows)
    last = rows[-1]
    assert last["complete"] is False
    assert (last["bid"]["c"], last["ask"]["c"], last["bid"]["h"]) == ("1.20000", "1.20021", "1.30000")
    assert last["mid"]["c"] == "1.20010"
    if before[-1]["time"] == last["time"]:
        assert last["bid"]["o"] == before[-1]["bid"]["o"]
        assert last["volume"] == before[-1]["volume"] + 2
    price = house.get("/pricing", instruments="EUR_USD")["prices"][0]
    assert price["bids"][0]["price"] == last["bid"]["c"]


def test_a_candle_turns_complete_when_its_time_is_over_and_keeps_its_prices(house: House) -> None:
    house.set_price("1.25000", "1.25010")
    running = house.candles(granularity="M1", count=1)[0]
    house.skip(61)
    (row,) = [row for row in house.candles(granularity="M1", count=5) if row["time"] == running["time"]]
    assert row == running | {"complete": True}


@pytest.mark.parametrize("offset_s", [0, 2])
def test_automatic_prices_go_on_in_the_candle_in_which_the_hand_let_go(house: House, offset_s: int) -> None:
    now_s = Decimal(house.get("/pricing", instruments="EUR_USD", dates="UNIX")["time"])
    house.skip(float(5 - now_s % 5 + offset_s))
    house.set_price("1.25000", "1.25010")
    house.resume()
    house.skip(10)
    rows = house.candles(granularity="S5", count=10)
    assert_sound(rows)
    held = [row for row in rows if row["bid"]["h"] == "1.25000"]
    assert held
    quoted = house.get("/pricing", instruments="EUR_USD")["prices"][0]["bids"][0]["price"]
    assert rows[-1]["bid"]["c"] == quoted


def test_a_range_takes_its_start_and_leaves_its_end(house: House) -> None:
    known = house.candles(granularity="M1", count=100)
    first, last = known[20]["time"], known[60]["time"]
    assert house.candles(granularity="M1", from_=first, to=last) == known[20:60]
    assert house.candles(granularity="M1", from_=first, to=first) == []
    assert house.candles(granularity="M1", from_=first, to=last, includeFirst="False") == known[21:60]
    assert house.candles(granularity="M1", to=last, count=5) == known[55:60]
    assert house.candles(granularity="M1", from_=first, count=5) == known[20:25]
    assert house.candles(granularity="M1", from_=first, count=5, includeFirst=False) == known[21:26]


def test_a_start_inside_a_candle_covers_that_candle(house: House) -> None:
    known = house.candles(granularity="M5", count=10)
    inside = text(start_of(known[4]) + timedelta(seconds=90))
    assert house.candles(granularity="M5", from_=inside, count=3)[0] == known[4]
    assert house.candles(granularity="M5", from_=inside, to=inside) == []
    assert house.candles(granularity="M5", from_=inside, count=3, includeFirst=False)[0] == known[5]


def test_chained_ranges_have_neither_hole_nor_repeat(house: House) -> None:
    whole = house.candles(granularity="M1", from_="2025-01-03T20:00:00Z", to="2025-01-06T02:00:00Z")
    parts, at = list[Row](), datetime(2025, 1, 3, 20, tzinfo=UTC)
    while at < datetime(2025, 1, 6, 2, tzinfo=UTC):
        parts += house.candles(granularity="M1", from_=text(at), to=text(at + timedelta(minutes=97)))
        at += timedelta(minutes=97)
    assert [row for row in parts if row in whole] == whole
    assert len({row["time"] for row in parts}) == len(parts)
    assert_sound(whole)


def test_a_closed_weekend_has_no_candles_and_a_count_reaches_over_it(house: House) -> None:
    assert house.candles(granularity="H1", from_="2025-01-04T00:00:00Z", to="2025-01-05T12:00:00Z") == []
    rows = house.candles(granularity="H1", to="2025-01-06T00:00:00Z", count=5)
    assert len(rows) == 5
    assert start_of(rows[0]) < datetime(2025, 1, 4, tzinfo=UTC) < start_of(rows[-1])


@pytest.mark.parametrize(("to", "hours"), [("2024-03-12T00:00:00Z", {21, 22}), ("2024-11-06T00:00:00Z", {21, 22})])
def test_daily_candles_keep_to_five_in_new_york_over_a_change_of_the_clock(
    house: House, to: str, hours: set[int]
) -> None:
    rows = house.candles(granularity="D", to=to, count=6)
    assert_sound(rows)
    assert {start_of(row).astimezone(NEW_YORK).hour for row in rows} == {17}
    assert {start_of(row).hour for row in rows} == hours


def test_four_hours_hang_on_the_trading_day(house: House) -> None:
    winter = house.candles(granularity="H4", to="2024-12-11T00:00:00Z", count=6)
    summer = house.candles(granularity="H4", to="2024-07-11T00:00:00Z", count=6)
    assert {start_of(row).hour % 4 for row in winter} == {2}
    assert {start_of(row).hour % 4 for row in summer} == {1}


@pytest.mark.parametrize("granularity", ["H2", "H6", "H12", "D"])
def test_long_candles_are_made_of_the_hours_in_them(house: House, granularity: str) -> None:
    rows = house.candles(granularity=granularity, to="2024-10-10T00:00:00Z", count=3)
    for row, after in zip(rows, rows[1:], strict=False):
        hours = house.candles(granularity="H1", from_=row["time"], to=after["time"])
        assert row["volume"] == sum(hour["volume"] for hour in hours)
        assert row["bid"]["o"] == hours[0]["bid"]["o"]
        assert row["ask"]["c"] == hours[-1]["ask"]["c"]
        assert row["mid"]["h"] >= max(hour["mid"]["c"] for hour in hours)
        assert row["bid"]["l"] == min(hour["bid"]["l"] for hour in hours)


def test_weeks_start_on_the_day_that_is_asked_for(house: House) -> None:
    friday = house.candles(granularity="W", count=3)
    assert {start_of(row).astimezone(NEW_YORK).weekday() for row in friday} == {4}
    monday = house.candles(
        granularity="W", count=3, weeklyAlignment="Monday", dailyAlignment=0, alignmentTimezone="UTC"
    )
    assert {(start_of(row).weekday(), start_of(row).hour) for row in monday} == {(0, 0)}


def test_months_start_on_the_first(house: House) -> None:
    rows = house.candles(granularity="M", count=4, dailyAlignment=0, alignmentTimezone="UTC")
    assert [(start_of(row).month, start_of(row).day, start_of(row).hour) for row in rows] == [
        (10, 1, 0), (11, 1, 0), (12, 1, 0), (1, 1, 0),
    ]  # fmt: skip
    assert [row["complete"] for row in rows] == [True, True, True, False]


def test_a_zone_off_the_hour_still_gives_whole_days(house: House) -> None:
    rows = house.candles(granularity="D", count=3, dailyAlignment=0, alignmentTimezone="Asia/Kathmandu")
    assert_sound(rows)
    assert {(start_of(row).hour, start_of(row).minute) for row in rows} == {(18, 15)}


def test_smooth_candles_open_where_the_one_before_closed(house: House) -> None:
    plain = house.candles(granularity="M1", to="2025-01-06T07:00:00Z", count=6)
    smooth = house.candles(granularity="M1", to="2025-01-06T07:00:00Z", count=5, smooth=True)
    for before, row, same in zip(plain, smooth, plain[1:], strict=False):
        assert [row[side]["o"] for side in ("bid", "ask")] == [before[side]["c"] for side in ("bid", "ask")]
        assert [row[side]["c"] for side in ("bid", "ask")] == [same[side]["c"] for side in ("bid", "ask")]
    assert len(smooth) == 5


def test_long_ago_gives_what_there_is(house: House) -> None:
    assert house.candles(granularity="D", to="1999-01-01T00:00:00Z", count=5) == []
    assert house.candles(granularity="D", from_="1812-01-01T00:00:00Z", to="1813-01-01T00:00:00Z") == []
    assert len(house.candles(granularity="D", from_="1812-01-01T00:00:00Z", count=2)) == 2


@pytest.mark.parametrize("count", [1, 499, 500])
def test_counts_are_met_and_five_hundred_is_the_default(house: House, count: int) -> None:
    rows = house.candles(granularity="M1", **({} if count == 500 else {"count": count}))
    assert len(rows) == count
    assert_sound(rows)


@pytest.mark.parametrize(
    "query",
    [
        {"count": 5001}, {"count": 0}, {"count": -1}, {"count": "9" * 5_000}, {"granularity": "M3"}, {"price": "MX"},
        {"from_": "soon"}, {"from_": "2999-01-01T00:00:00Z"}, {"to": "9999-12-31T23:59:59-14:00"}, {"smooth": "maybe"},
        {"count": 5, "from_": "2025-01-05T00:00:00Z", "to": "2025-01-06T00:00:00Z"}, {"dailyAlignment": 24},
        {"from_": "2025-01-06T00:00:00Z", "to": "2025-01-05T00:00:00Z"}, {"weeklyAlignment": "friday"},
        {"from_": "2024-01-06T00:00:00Z", "to": "2025-01-05T00:00:00Z"}, {"alignmentTimezone": "Mars/Base"},
        {"alignmentTimezone": "../../etc/passwd"}, {"alignmentTimezone": "Europe"}, {"alignmentTimezone": "\0"},
    ],
    ids=lambda query: str(query)[:40],
)  # fmt: skip
def test_bad_questions_are_refused(house: House, query: Row) -> None:
    house.ask("GET", "/v3/instruments/EUR_USD/candles", status=400, **query)


def test_dates_may_be_asked_for_in_unix_form(house: House) -> None:
    row = house.candles(granularity="M1", count=1, dates="UNIX")[0]
    assert Decimal(row["time"]) % 60 == 0
    again = house.candles(granularity="M1", count=1, dates="UNIX", from_=row["time"])
    assert again[0]["time"] == row["time"]


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_candles_of_every_length_tile_the_time_through_both_changes_of_the_clock(granularity: str, zone: str) -> None:
    alignment = Alignment(zone=zone)
    for at_ns in (ns(2024, 3, 9, 12), ns(2024, 11, 2, 12), ns(2024, 4, 6, 3), ns(2024, 10, 5, 3)):
        start_ns = bucket_start_ns(at_ns, granularity, alignment)
        for _ in range(min(60, 4 * 86_400 * NS_PER_S // length_ns(granularity) + 2)):
            end_ns = bucket_end_ns(start_ns, granularity, alignment)
            assert start_ns < end_ns <= start_ns + length_ns(granularity) + 3_600 * NS_PER_S
            assert bucket_start_ns(start_ns, granularity, alignment) == start_ns
            assert bucket_start_ns(end_ns - 1, granularity, alignment) == start_ns
            start_ns = end_ns


def test_the_days_of_the_changes_have_23_and_25_hours() -> None:
    def hours(start_ns: int) -> int:
        return (bucket_end_ns(start_ns, "D", Alignment()) - start_ns) // (3_600 * NS_PER_S)

    assert hours(ns(2024, 3, 9, 17, NEW_YORK)) == 23
    assert hours(ns(2024, 11, 2, 17, NEW_YORK)) == 25
    assert hours(ns(2024, 6, 1, 17, NEW_YORK)) == 24
