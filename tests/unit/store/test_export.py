"""The CSV is the trades table: same rows, same digits, safe to open in a spreadsheet, whole or not there."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.error import ConfigError
from engine.domain.transaction import TradeOpened
from engine.store.export import iso_utc, trades_csv, write_trades_csv
from tests.unit.store.tape import Tape, closing, opened_store, record, story

HEADER = (
    "run_id,trade_id,instrument,side,state,units,units_open,entry_ns,entry_time,entry_price,exit_ns,exit_time,"
    "exit_price,stop_loss,take_profit,risk_home,realized_pl_home,financing_home,exit_reason,client_order_id,seq\r\n"
)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A database with two runs of trades."""
    folder = tmp_path / "data"
    folder.mkdir()
    store = opened_store(folder / "keel.sqlite")
    for _ in range(2):
        journal = store.begin_run()
        record(journal, story(journal.run_id).events)
    store.close()
    return folder / "keel.sqlite"


def parsed(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def stored(path: Path, where: str = "1") -> list[dict[str, str]]:
    """The rows of the trades table as the text that SQLite holds."""
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    rows = conn.execute(f"SELECT * FROM trades WHERE {where} ORDER BY seq DESC").fetchall()
    conn.close()
    return [{name: "" if row[name] is None else str(row[name]) for name in row.keys()} for row in rows]  # noqa: SIM118


def without_times(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if not name.endswith("_time")} for row in rows]


def test_csv_holds_what_sqlite_holds(recorded: Path) -> None:
    data = trades_csv(recorded)
    assert data.decode().startswith(HEADER)
    assert without_times(parsed(data)) == stored(recorded)
    assert len(parsed(data)) == 6


def test_csv_adds_up_to_the_closing_balance(recorded: Path) -> None:
    rows = parsed(trades_csv(recorded, run_id=1))
    booked = sum(Decimal(row["realized_pl_home"]) + Decimal(row["financing_home"]) for row in rows)
    assert Decimal("100000") + booked - Decimal("0.5") + Decimal(250) == story(1).balance


@pytest.mark.parametrize(
    ("chosen", "where"),
    [
        ({"run_id": 2}, "run_id = 2"),
        ({"state": "OPEN"}, "state = 'OPEN'"),
        ({"side": "short", "run_id": 1}, "side = 'short' AND run_id = 1"),
        ({"instrument": "USD_JPY"}, "instrument = 'USD_JPY'"),
    ],
)
def test_csv_follows_the_filters(recorded: Path, chosen: dict[str, object], where: str) -> None:
    assert without_times(parsed(trades_csv(recorded, **chosen))) == stored(recorded, where)  # type: ignore[arg-type]


def test_header_stands_without_rows_and_without_a_database(tmp_path: Path) -> None:
    assert trades_csv(tmp_path / "none.sqlite").decode() == HEADER


@pytest.mark.parametrize(
    ("ts_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_400_000_000_000_000_000, "2014-05-13T16:53:20Z"),
        (1_400_000_000_000_000_001, "2014-05-13T16:53:20.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_are_iso_8601_utc_to_the_nanosecond(ts_ns: int, text: str) -> None:
    assert iso_utc(ts_ns) == text


def test_times_stand_beside_their_nanoseconds(recorded: Path) -> None:
    for row in parsed(trades_csv(recorded)):
        assert row["entry_time"] == iso_utc(int(row["entry_ns"]))
        assert row["exit_time"] == (iso_utc(int(row["exit_ns"])) if row["exit_ns"] else "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_stay_numbers(tmp_path: Path, start: str) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1)
    name = f'{start}cmd|"/c calc",A1'
    tape.fill(Decimal(7), None, opened=TradeOpened(trade_id=name, units=Decimal(7), price=Decimal("1.5")))
    tape.fill(Decimal(-7), None, closed=(closing(name, "-7", "1.4", "-0.70"),), reason=f"{start}SUM(A1)")
    store = opened_store(path)
    record(store.begin_run(), tape.events)
    store.close()
    (row,) = parsed(trades_csv(path))
    assert row["trade_id"] == f"'{name}"
    assert row["exit_reason"] == f"'{start}sum(a1)"
    assert row["realized_pl_home"] == "-0.70"


def test_written_file_is_the_csv(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "trades.csv"
    out.write_text("older")
    with out.open() as already_open:
        assert write_trades_csv(recorded, out) == 6
        assert already_open.read() == "older"
    assert out.read_bytes() == trades_csv(recorded)
    assert write_trades_csv(recorded, out, run_id=1, state="CLOSED") == 2
    assert out.read_bytes() == trades_csv(recorded, run_id=1, state="CLOSED")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["trades.csv"]


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[None]:
    """Whatever the test does, no file may appear, change or go."""

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = content()
    yield
    assert content() == before


def test_an_unwritable_target_is_refused(recorded: Path, tmp_path: Path, unchanged: None) -> None:
    for out in (tmp_path / "nowhere" / "trades.csv", recorded / "trades.csv", tmp_path, recorded):
        with pytest.raises(ConfigError, match="cannot be written to") as caught:
            write_trades_csv(recorded, out)
        assert str(out) in str(caught.value)


def test_a_missing_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.sqlite does not exist"):
        write_trades_csv(tmp_path / "none.sqlite", tmp_path / "trades.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_ours_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "keel.sqlite").write_text("not a database" * 100)
    with pytest.raises(ConfigError, match="not an SQLite database"):
        write_trades_csv(tmp_path / "keel.sqlite", tmp_path / "trades.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["keel.sqlite"]


def test_a_database_damaged_in_the_middle_leaves_the_old_file(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "trades.csv"
    out.write_text("older")
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(ConfigError, match="is damaged"):
        write_trades_csv(recorded, out)
    assert out.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["trades.csv"]
