"""`--bars`: recorded files are played; what they hold is what is quoted and shown, and their end halts the market."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.error import ConfigError
from engine.venue.launch import VenueTerms, assemble
from tests.unit.venue.house import ACCOUNT, TOKEN, House, running

BEGIN = datetime(2024, 3, 5, 8, tzinfo=UTC)
HEADER = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"


def prices(index: int) -> list[str]:
    """Bar number `index`: each closes a step above the one before."""
    mid = Decimal("1.10000") + Decimal("0.00010") * index
    bid, ask = mid - Decimal("0.00005"), mid + Decimal("0.00005")
    up, down = Decimal("0.00020"), Decimal("0.00015")
    return [str(price) for side in (bid, ask) for price in (side - down, side + up, side - 2 * down, side)]


def made_bars(path: Path, minutes: int, count: int) -> Path:
    rows = [
        ",".join([(BEGIN + timedelta(minutes=minutes * index)).strftime("%Y-%m-%dT%H:%M:%SZ"), *prices(index)])
        for index in range(count)
    ]
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


@contextmanager
def played(folder: Path, minutes: int, count: int = 40) -> Iterator[House]:
    path = made_bars(folder / "bars.csv", minutes, count)
    with running(bars=(("EUR_USD", str(path)),)) as house:
        house.get("/summary")
        yield house


def bid(house: House) -> str:
    found: str = house.get("/pricing", instruments="EUR_USD")["prices"][0]["bids"][0]["price"]
    return found


def test_minutes_are_quoted_when_they_have_ended(tmp_path: Path) -> None:
    with played(tmp_path, 1) as house:
        assert [row["name"] for row in house.get("/instruments")["instruments"]] == ["EUR_USD"]
        assert bid(house) == prices(19)[3]  # half of the file is history
        house.skip(59)
        assert bid(house) == prices(19)[3]
        house.skip(2)
        assert bid(house) == prices(20)[3]
        fill = house.bought(100)
        assert fill["price"] == prices(20)[7]


@pytest.mark.parametrize(("minutes", "name"), [(1, "M1"), (5, "M5"), (60, "H1"), (240, "H4")])
def test_candles_of_the_recorded_length_are_the_recorded_bars(tmp_path: Path, minutes: int, name: str) -> None:
    with played(tmp_path, minutes) as house:
        rows = house.candles(granularity=name, count=10)
        assert [row["bid"]["c"] for row in rows][-1] == prices(19)[3]
        assert [list(row["bid"].values()) for row in rows] == [prices(index)[:4] for index in range(10, 20)]
        assert all(row["complete"] for row in rows)
        house.skip(minutes * 60 + 1)
        assert house.candles(granularity=name, count=1)[0]["bid"]["c"] == prices(20)[3]


def test_longer_candles_are_made_of_recorded_ones_and_run(tmp_path: Path) -> None:
    with played(tmp_path, 1) as house:
        house.skip(190)  # 23 minutes past eight
        last = house.candles(granularity="M5", count=2)[-1]
        assert (last["complete"], last["time"][11:16]) == (False, "08:20")
        assert last["bid"] == {"o": prices(20)[0], "h": prices(22)[1], "l": prices(20)[2], "c": prices(22)[3]}
        day = house.candles(granularity="D", count=5)
        assert [(row["complete"], row["bid"]["o"], row["bid"]["c"]) for row in day] == [
            (False, prices(0)[0], prices(22)[3])
        ]


@pytest.mark.parametrize("name", ["S5", "S30", "M2", "M1"])
def test_lengths_that_the_recording_cannot_give_are_refused(tmp_path: Path, name: str) -> None:
    with played(tmp_path, 5) as house:
        house.ask("GET", "/v3/instruments/EUR_USD/candles", granularity=name, status=400)


def test_the_market_is_halted_when_the_recording_has_ended(tmp_path: Path) -> None:
    with played(tmp_path, 1) as house:
        fill = house.bought(100)
        house.skip(25 * 60)
        price = house.get("/pricing", instruments="EUR_USD")["prices"][0]
        assert (price["tradeable"], price["bids"][0]["price"]) == (False, prices(39)[3])
        answer = house.ask("PUT", f"/trades/{fill['id']}/close", {"units": "ALL"}, status=200)
        assert answer["orderCancelTransaction"]["reason"] == "MARKET_HALTED"
        assert house.candles(granularity="M1", count=1)[0]["bid"]["c"] == prices(39)[3]
        house.set_price("1.20000", "1.20010", tradeable=True)
        house.skip(5)
        house.ask("PUT", f"/trades/{fill['id']}/close", {"units": "ALL"}, status=200)
        assert house.get("/openTrades")["trades"] == []


def test_a_price_set_by_hand_stands_in_the_running_candle_of_a_recording(tmp_path: Path) -> None:
    with played(tmp_path, 1) as house:
        house.skip(10)
        house.set_price("1.30000", "1.30010")
        for name in ("M1", "M5", "H1", "D"):
            assert house.candles(granularity=name, count=1)[0]["bid"]["c"] == "1.30000"
        house.skip(120)
        assert bid(house) == "1.30000"
        rows = house.candles(granularity="M1", count=2)
        assert [row["bid"]["c"] for row in rows] == [prices(19)[3], "1.30000"]
        assert rows[-1]["complete"] is True


def test_two_recordings_must_go_together(tmp_path: Path) -> None:
    minute, hour = made_bars(tmp_path / "m.csv", 1, 40), made_bars(tmp_path / "h.csv", 60, 40)
    terms = {"port": 1, "token": TOKEN, "account": ACCOUNT}
    with pytest.raises(ConfigError, match="M1"):
        assemble(VenueTerms(**terms, bars=(("EUR_USD", str(minute)), ("GBP_USD", str(hour)))))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="GBP"):
        assemble(VenueTerms(**terms, bars=(("EUR_GBP", str(minute)),)))  # type: ignore[arg-type]


def test_what_was_read_is_told(tmp_path: Path) -> None:
    path = made_bars(tmp_path / "bars.csv", 1, 40)
    venue = assemble(VenueTerms(port=1, token=TOKEN, account=ACCOUNT, bars=(("EUR_USD", str(path)),)))
    (note,) = venue.notes
    assert "40" in note
    assert "EUR_USD" in note
