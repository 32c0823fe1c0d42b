"""What storage can do to us: kills, full disks, locks, vanished files. Nothing acknowledged is lost, no batch torn."""

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.domain.error import ConfigError, HaltTrading
from engine.store import schema
from engine.store.checkup import Check, verify
from engine.store.journal import SqliteJournal
from tests.fakes.failing_disk import failing_connections
from tests.unit.store.tape import Tape, decided, of_second_version, opened_store, record, story

ROOT = Path(__file__).resolve().parents[3]
BATCH = 7


def writer(path: Path, batch: int, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.unit.store.writer", str(path), str(batch), *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def counts(path: Path) -> tuple[int, int, int]:
    """Events, highest sequence number, decisions; the file must be whole."""
    conn = sqlite3.connect(path)
    assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    events, last = conn.execute("SELECT count(*), coalesce(max(seq), 0) FROM events").fetchone()
    decisions = conn.execute("SELECT count(*) FROM decisions").fetchone()[0]
    conn.close()
    return events, last, decisions


def killed_after(path: Path, acknowledgements: int) -> int:
    """Kill a writer once it has acknowledged so many commits; return how many events it said were durable."""
    with writer(path, BATCH) as process:
        assert process.stdout is not None
        for _ in range(acknowledgements):
            acknowledged = int(process.stdout.readline())
        process.kill()
        lines = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return int(lines[-1]) if lines else acknowledged


def test_a_killed_writer_loses_nothing_acknowledged_and_tears_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    durable = 0
    for acknowledgements in (1, 5, 40):
        acknowledged = killed_after(path, acknowledgements)
        opened_store(path).close()
        events, last, decisions = counts(path)
        assert events == last == decisions
        assert events >= durable + acknowledged
        assert (events - durable) % BATCH == 0
        durable = events
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT DISTINCT status FROM runs").fetchall() == [("ABORTED",)]
    conn.close()


def test_a_full_disk_halts_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    with writer(path, BATCH, "400000") as process:
        output, _ = process.communicate()
    *acknowledged, halted = output.splitlines()
    assert process.returncode == 0
    assert halted.startswith("halted: The journal keel.sqlite cannot be written (")
    assert len(acknowledged) > 3
    store = opened_store(path)
    assert counts(path)[0] == int(acknowledged[-1])
    record(store.begin_run(), story(2).events)
    store.close()


def test_a_database_locked_by_another_writer_halts_and_a_later_commit_catches_up(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path, busy_timeout_ms=50)
    journal = store.begin_run()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    events = story(1).events
    for event in events[:20]:
        journal.append(event)
    with pytest.raises(HaltTrading, match="locked"):
        journal.commit()
    other.rollback()
    other.close()
    assert counts(path)[0] == 0
    for event in events[20:]:
        journal.append(event)
    journal.commit()
    conn = sqlite3.connect(path)
    assert [row[0] for row in conn.execute("SELECT seq FROM events")] == list(range(1, len(events) + 1))
    assert conn.execute("SELECT count(*) FROM trades").fetchone() == (3,)
    conn.close()
    store.close()


def test_beginning_a_run_in_a_locked_database_halts(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path, busy_timeout_ms=50)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HaltTrading, match="locked"):
        store.begin_run()
    other.rollback()
    other.close()
    assert store.begin_run().run_id == 1
    store.close()


def committed(path: Path) -> SqliteJournal:
    """A journal with one event on the disk and one more waiting."""
    journal = opened_store(path).begin_run()
    record(journal, [decided()])
    journal.append(decided())
    return journal


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_deleted_file_halts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "keel.sqlite"
    journal = committed(path)
    path.with_name(path.name + suffix).unlink()
    with pytest.raises(HaltTrading, match="deleted or replaced"):
        journal.commit()


def test_a_replaced_file_halts_and_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    opened_store(path).close()
    shutil.copy(path, tmp_path / "copy.sqlite")
    journal = committed(path)
    (tmp_path / "copy.sqlite").replace(path)
    before = path.read_bytes()
    with pytest.raises(HaltTrading, match="deleted or replaced"):
        journal.commit()
    assert path.read_bytes() == before


@contextmanager
def file_size_max(bytes_max: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the write that would is an I/O error (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken(path: Path) -> list[Check]:
    return [check for check in verify(path) if not check.ok]


def test_a_write_that_fails_at_any_place_of_a_commit_halts_and_the_next_commit_catches_up(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    halted = 0
    for number in range(1, 200):
        journal = store.begin_run()
        record(journal, story(number).events[:5])
        before = counts(path)[0]
        log = path.with_name("keel.sqlite-wal").stat().st_size
        for event in story(number).events[5:]:
            journal.append(event)
        with file_size_max(log + 3_100 * (number - 1)):
            try:
                journal.commit()
            except HaltTrading as error:
                halted += 1
                assert str(error).startswith("The journal keel.sqlite cannot be written (")
                assert counts(path)[0] == before
                failed = True
            else:
                failed = False
        journal.commit()
        assert counts(path)[0] == before + len(story(number).events) - 5
        if not failed:
            break
    store.close()
    assert halted > 10, "the limit never fell within a commit"
    assert broken(path) == []


def test_a_full_database_halts_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    journal = store.begin_run()
    for event in story(1).events:
        journal.append(event)
    with pytest.raises(HaltTrading, match=r"cannot be written \(database or disk is full\)"):
        journal.commit()
    assert counts(path)[0] == 0
    store._db.execute("PRAGMA max_page_count = 100000")
    journal.commit()
    store.close()
    assert counts(path)[0] == len(story(1).events)
    assert broken(path) == []


def test_a_disk_that_fails_at_the_nth_statement_halts_and_writes_nothing_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keel.sqlite"
    read = sqlite3.connect(path)
    disk = failing_connections(monkeypatch)
    store = opened_store(path)
    for number in range(100):
        journal = store.begin_run()
        events = story(journal.run_id).events
        for event in events:
            journal.append(event)
        before, failures = read.execute("SELECT count(*) FROM events").fetchone()[0], disk.failures
        with disk.failing_after(number):
            try:
                journal.commit()
            except HaltTrading as error:
                assert "disk I/O error" in str(error)
        if disk.failures == failures:
            break
        assert read.execute("SELECT count(*) FROM events").fetchone()[0] == before
        journal.commit()
        assert read.execute("SELECT count(*) FROM events").fetchone()[0] == before + len(events)
    assert number > 8, "not every statement of a commit was made to fail"
    store.close()
    read.close()
    assert broken(path) == []


def test_a_disk_that_fails_at_the_nth_statement_of_a_beginning_begins_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keel.sqlite"
    disk = failing_connections(monkeypatch)
    store = opened_store(path)
    first = Tape(1, account="practice-1")
    first.open("3", "100")
    record(store.begin_run(), first.events)
    for number in range(100):
        failures = disk.failures
        with disk.failing_after(number):
            try:
                begun = store.begin_run(past=store.past("practice-1"))
            except HaltTrading as error:
                assert "disk I/O error" in str(error)
        if disk.failures == failures:
            break
    assert number > 8, "not every statement of a beginning was made to fail"
    assert begun.run_id == 2
    record(begun, Tape(2, account="practice-1", after=first).events)
    store.close()
    assert broken(path) == []


def test_a_disk_that_fails_at_the_nth_statement_of_opening_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keel.sqlite"
    disk = failing_connections(monkeypatch)
    for number in range(200):
        failures = disk.failures
        with disk.failing_after(number):
            try:
                opened_store(path).close()
            except ConfigError as error:
                assert str(error) == f"Database {path} cannot be used (disk I/O error)."
        if disk.failures == failures:
            break
        assert not path.exists() or broken(path) == []
        path.unlink(missing_ok=True)
    assert number > 30, "not every statement of a first opening was made to fail"
    record(opened_store(path).begin_run(), story(1).events)
    assert broken(path) == []


def test_a_migration_that_breaks_off_anywhere_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, recorded = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    store = opened_store(recorded)
    record(store.begin_run(), story(1).events)
    store.close()
    before = of_second_version(path, recorded).read_bytes()
    disk = failing_connections(monkeypatch)
    for number in range(200):
        failures = disk.failures
        with disk.failing_after(number):
            try:
                opened_store(path).close()
            except ConfigError as error:
                assert str(error) == f"Database {path} cannot be used (disk I/O error)."
        if disk.failures == failures:
            break
        conn = sqlite3.connect(path)
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        columns = {row[1] for row in conn.execute("PRAGMA table_info(runs)")}
        conn.close()
        assert (version == schema.SCHEMA_VERSION) == ("account" in columns)
        path.write_bytes(before)
    assert number > 20, "not every statement of the migration was made to fail"
    assert broken(path) == []


def test_a_past_that_cannot_be_read_halts(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), Tape(1, account="practice-1").events)
    store.close()
    store = opened_store(path)
    conn = sqlite3.connect(path)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: (page - 1) * size] + b"\xff" * size + whole[page * size :])
    store._db.execute("PRAGMA shrink_memory")
    with pytest.raises(HaltTrading, match=r"The journal keel\.sqlite cannot be read \("):
        store.past("practice-1")
    store.close()


def test_a_page_that_goes_bad_while_running_halts(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    store = opened_store(path)
    journal = store.begin_run()
    conn = sqlite3.connect(path)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trades'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    store._db.execute("PRAGMA shrink_memory")
    for event in story(2).events:
        journal.append(event)
    with pytest.raises(HaltTrading, match="cannot be written"):
        journal.commit()
    store.close()
    with pytest.raises(ConfigError, match="is damaged; restore a backup"):
        opened_store(path)
