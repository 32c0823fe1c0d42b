"""Each commit is chained to the one before it, over runs, restarts and commits that failed."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from engine.domain.error import HaltTrading
from tests.unit.store.tape import decided, opened_store, record, story


def chains(path: Path) -> list[tuple[int, bytes]]:
    """Where a chain stands, and what it is."""
    conn = sqlite3.connect(path)
    found = conn.execute("SELECT seq, chain FROM events WHERE chain IS NOT NULL ORDER BY seq").fetchall()
    conn.close()
    return found


def by_hand(path: Path, ends: list[int]) -> list[tuple[int, bytes]]:
    """The same from the formula in the documents: the chain before, then a line for each event of the commit."""
    conn = sqlite3.connect(path)
    rows = conn.execute("SELECT seq, run_id, ts_ns, kind, payload FROM events ORDER BY seq").fetchall()
    conn.close()
    chain, begin, found = b"\0" * 32, 0, []
    for end in ends:
        lines = "".join(" ".join(map(str, row)) + "\n" for row in rows if begin < row[0] <= end)
        chain, begin = hashlib.sha256(chain + lines.encode()).digest(), end
        found.append((end, chain))
    return found


def test_the_last_event_of_each_commit_carries_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events[:8], batch=3)
    record(store.begin_run(), story(2).events[:4], batch=2)
    store.close()
    store = opened_store(path)
    record(store.begin_run(), story(3).events[:2], batch=9)
    store.close()
    assert chains(path) == by_hand(path, [3, 6, 8, 10, 12, 14])


def test_a_commit_that_failed_leaves_no_trace_in_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path, busy_timeout_ms=50)
    journal = store.begin_run()
    record(journal, story(1).events[:5], batch=5)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    journal.append(decided())
    with pytest.raises(HaltTrading):
        journal.commit()
    other.rollback()
    other.close()
    journal.append(decided())
    journal.commit()
    store.close()
    assert chains(path) == by_hand(path, [5, 7])
