"""What was changed, lost or damaged is found and named, and nothing is found where nothing is wrong."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.error import ConfigError
from engine.store.checkup import Check, rebuild_tables, verify
from tests.unit.store.tape import Tape, closing, of_second_version, opened_store, record, story

NAMES = ["file", "sequence", "chain", "events", "balances", "tables"]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three runs: stopped, cut off with a trade open, and one that goes on with its books; commits of four events."""
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events, batch=4)
    first = Tape(2, account="practice-1")
    first.open("3", "1000", commission="0.5")
    record(store.begin_run(), first.events, batch=4)
    second = Tape(3, account="practice-1", after=first)
    second.fill(Decimal(-1000), None, closed=(closing("3", "-1000", "1.4", "12.75", "-0.5"),), reason="STOP_LOSS_ORDER")
    second.stop()
    record(store.begin_run(past=store.past("practice-1")), second.events, batch=4)
    store.close()
    return path


def change(path: Path, sql: str) -> None:
    conn = sqlite3.connect(path)
    conn.executescript(sql)
    conn.close()


def broken(path: Path) -> dict[str, Check]:
    return {check.check: check for check in verify(path) if not check.ok}


def test_a_sound_database_passes_every_check_and_is_left_as_it_is(recorded: Path) -> None:
    before = recorded.read_bytes()
    checks = verify(recorded)
    assert [check.check for check in checks] == NAMES
    assert all(check.ok for check in checks)
    assert recorded.read_bytes() == before
    assert not any(path.suffix == ".part" or path.is_dir() for path in recorded.parent.iterdir())


def test_a_database_without_events_passes(tmp_path: Path) -> None:
    opened_store(tmp_path / "keel.sqlite").close()
    assert broken(tmp_path / "keel.sqlite") == {}


def test_a_database_in_use_is_checked_as_of_one_moment_and_can_be_written_to_meanwhile(recorded: Path) -> None:
    store = opened_store(recorded)
    journal = store.begin_run()
    record(journal, story(4).events[:20], batch=4)
    assert broken(recorded) == {}
    record(journal, story(4).events[20:], batch=4)
    assert broken(recorded) == {}
    store.close()


PRICE = "UPDATE events SET payload = replace(payload, '1.38725', '1.38726') WHERE seq = 5"
AMOUNT = "UPDATE transactions SET amount_home = '1' WHERE transaction_id = 3 AND run_id = 1"
TWICE = """UPDATE events SET payload = replace(payload, '"transaction_id":4', '"transaction_id":2') WHERE seq = 13"""
HOLE = "DELETE FROM transactions WHERE transaction_id = 4 AND run_id = 1"
CHANGES = {
    "another price": (PRICE, {"chain": 5, "tables": None}),
    "another run": ("UPDATE events SET run_id = 2 WHERE seq = 2", {"chain": 1, "tables": None}),
    "another time": ("UPDATE events SET ts_ns = ts_ns + 1 WHERE seq = 3", {"chain": 1, "events": 3}),
    "another command": ("UPDATE events SET command_id = 'x' WHERE seq = 2", {"events": 2}),
    "another kind": ("UPDATE events SET kind = 'Unheard' WHERE seq = 7", {"chain": 5, "events": 7, "tables": None}),
    "another chain": ("UPDATE events SET chain = x'00' WHERE seq = 8", {"chain": 5}),
    "a link taken out": ("UPDATE events SET chain = NULL WHERE seq = 8", {"chain": 5}),
    "no chain": ("UPDATE events SET chain = NULL", {"chain": 1}),
    "one taken out": ("DELETE FROM events WHERE seq = 3", {"sequence": 4, "chain": 1, "tables": None}),
    "the first taken out": ("DELETE FROM events WHERE seq < 5", {"sequence": 5, "chain": 5, "tables": None}),
    "another profit": ("UPDATE trades SET realized_pl_home = '9' WHERE seq = 9", {"tables": 9}),
    "another digest": ("UPDATE runs SET digest = 'x' WHERE run_id = 1", {"tables": None}),
    "figures lost": ("DELETE FROM metrics", {"tables": None}),
    "another amount": (AMOUNT, {"balances": 10, "tables": 10}),
    "no amount at all": (AMOUNT.replace("'1'", "'lots'"), {"balances": None, "tables": 10}),
    "no closing balance": ("UPDATE runs SET closing_balance_home = NULL", {"balances": None, "tables": None}),
    "a transaction told twice": (TWICE, {"chain": 13, "tables": None}),
    "a hole in the broker's log": (HOLE, {"balances": 14, "tables": 13}),
}


@pytest.mark.parametrize(("sql", "found"), CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_found_and_named(recorded: Path, sql: str, found: dict[str, int | None]) -> None:
    change(recorded, f"PRAGMA foreign_keys = OFF; {sql}")
    assert {name: check.seq for name, check in broken(recorded).items()} == found


def test_a_cut_off_end_is_found_in_the_tables(recorded: Path) -> None:
    change(recorded, "DELETE FROM events WHERE seq > (SELECT max(seq) - 3 FROM events)")
    found = broken(recorded)
    assert "runs" in found["tables"].detail and "trades" in found["tables"].detail


def test_books_that_go_on_must_begin_where_the_ones_before_ended(recorded: Path) -> None:
    change(recorded, "UPDATE runs SET opening_balance_home = '1' WHERE run_id = 3")
    assert "run 3 begins with 1, run 2 ended with 99999.5000" in broken(recorded)["balances"].detail
    change(recorded, "UPDATE runs SET opening_balance_home = '99999.5000', closing_balance_home = '2' WHERE run_id = 3")
    assert "run 3 ends with 2" in broken(recorded)["balances"].detail


def test_an_opening_balance_that_is_the_first_transaction_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1)
    tape.balance = Decimal(0)
    tape.transfer(Decimal(100_000))
    tape.open("4", "100", commission="1")
    tape.stop()
    store = opened_store(path)
    record(store.begin_run(), tape.events)
    store.close()
    assert broken(path) == {}


def test_rebuilding_makes_the_tables_sound_again(recorded: Path) -> None:
    change(recorded, "UPDATE trades SET units = '1'; DELETE FROM positions; UPDATE runs SET account = NULL")
    assert "store rebuild" in broken(recorded)["tables"].detail
    assert rebuild_tables(recorded) == sqlite3.connect(recorded).execute("SELECT count(*) FROM events").fetchone()[0]
    assert broken(recorded) == {}


def test_a_file_of_an_older_version_is_checked_without_being_changed(tmp_path: Path, recorded: Path) -> None:
    of_second_version(tmp_path / "old.sqlite", recorded, where="run_id = 1")
    before = (tmp_path / "old.sqlite").read_bytes()
    assert broken(tmp_path / "old.sqlite") == {}
    assert (tmp_path / "old.sqlite").read_bytes() == before


def test_a_damaged_page_or_header_is_the_only_thing_that_is_said(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    whole = recorded.read_bytes()
    backup = recorded.parent / "backups" / "keel-20260101T000000Z.sqlite"
    backup.parent.mkdir()
    backup.touch()
    for damaged in (whole[: (page - 1) * size] + b"\xff" * size + whole[page * size :], b"\xff" * 100 + whole[100:]):
        recorded.write_bytes(damaged)
        (check,) = verify(recorded)
        assert (check.check, check.ok) == ("file", False)
        assert check.detail.startswith("damaged (") and check.detail.endswith(f"restore the backup {backup}")


def test_a_value_that_its_table_does_not_allow_is_damage(recorded: Path) -> None:
    change(recorded, "PRAGMA ignore_check_constraints = ON; UPDATE trades SET side = 'sideways'")
    (check,) = verify(recorded)
    assert check.detail.startswith("damaged (CHECK constraint failed in trades")


def test_what_is_no_database_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        verify(tmp_path / "none.sqlite")
    with pytest.raises(ConfigError, match="does not exist"):
        rebuild_tables(tmp_path / "none.sqlite")
    change(tmp_path / "places.sqlite", "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(ConfigError, match="made by another program"):
        verify(tmp_path / "places.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["places.sqlite"]


def test_a_refused_rebuild_leaves_the_tables(recorded: Path) -> None:
    change(recorded, "UPDATE events SET kind = 'Unheard' WHERE seq = 7; UPDATE trades SET units = '1'")
    before = sqlite3.connect(recorded).execute("SELECT * FROM trades").fetchall()
    with pytest.raises(ConfigError, match="Event 7 of the journal cannot be read"):
        rebuild_tables(recorded)
    assert sqlite3.connect(recorded).execute("SELECT * FROM trades").fetchall() == before
    assert before
