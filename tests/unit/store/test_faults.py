"""What storage can do to us: kills, full disks, locks, vanished files. Nothing acknowledged is lost, no batch torn."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.domain.error import HaltTrading
from engine.store.journal import SqliteJournal
from tests.unit.store.tape import decided, opened_store, record, story

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
