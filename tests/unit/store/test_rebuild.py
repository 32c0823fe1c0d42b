"""The events are the truth: every table made again from them equals the stored one, row by row."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from sqlite_utils import Database

from engine.domain.error import ConfigError
from engine.store import rebuild
from engine.store.schema import COLUMNS
from tests.unit.store.tape import Tape, opened_store, record, story
from tests.unit.store.test_projections import tapes

TABLES = ("runs", *COLUMNS)


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    conn = sqlite3.connect(path)
    found = {table: conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
    conn.close()
    return found


def rebuilt(path: Path) -> int:
    db = Database(path)
    count = rebuild.rebuild(db)
    db.close()
    return count


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Runs that were stopped, aborted in the middle of trading, begun and never used, and one that still runs."""
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    record(store.begin_run(), story(2).events[:20])
    store.begin_run()
    record(store.begin_run(), story(4).events[:14])
    store.close()
    return path


def test_rebuilt_tables_equal_the_stored_ones(recorded: Path) -> None:
    before = tables(recorded)
    assert [row[1] for row in before["runs"]] == ["STOPPED", "ABORTED", "RUNNING"]
    assert all(before[table] for table in TABLES)
    assert rebuilt(recorded) == len(before["events"])
    assert tables(recorded) == before


def test_rebuilding_repairs_what_was_changed_or_lost(recorded: Path) -> None:
    before = tables(recorded)
    conn = sqlite3.connect(recorded)
    conn.executescript("""
        UPDATE trades SET realized_pl_home = '1000000'; DELETE FROM metrics;
        UPDATE runs SET equity_home = '5', digest = 'x', account = 'x', continues = 1;
        UPDATE orders SET status = 'FILLED'; DELETE FROM positions;
    """)
    conn.close()
    assert tables(recorded) != before
    rebuilt(recorded)
    assert tables(recorded) == before


def test_rebuilding_in_small_batches_gives_the_same(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(recorded)
    monkeypatch.setattr(rebuild, "REBUILD_BATCH", 2)
    rebuilt(recorded)
    assert tables(recorded) == before


def test_an_unreadable_event_is_named_and_nothing_changes(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    conn.execute("UPDATE events SET kind = 'FromTheFuture' WHERE seq = 9")
    conn.commit()
    conn.close()
    before = tables(recorded)
    with pytest.raises(ConfigError, match="Event 9 of the journal cannot be read: event kind 'FromTheFuture'"):
        rebuilt(recorded)
    assert tables(recorded) == before


@settings(max_examples=25)
@given(tape=tapes())
def test_any_books_can_be_rebuilt(tmp_path_factory: pytest.TempPathFactory, tape: Tape) -> None:
    path = tmp_path_factory.mktemp("books") / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), tape.events, batch=2)
    store.close()
    before = tables(path)
    rebuilt(path)
    assert tables(path) == before
