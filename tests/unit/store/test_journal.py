"""The journal keeps what it acknowledged, in order and without gaps, in one transaction per commit."""

import sqlite3
import threading
from pathlib import Path

import pytest

from engine.domain.error import HaltTrading
from engine.ports import Journal
from engine.store.checkup import rebuild_tables
from engine.store.codec import decode
from tests.unit.store.tape import START_NS, Tape, decided, opened_store, record, story


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    conn = sqlite3.connect(path)
    rows = conn.execute(sql).fetchall()
    conn.close()
    return rows


def test_events_are_read_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    journal: Journal = store.begin_run()
    events = story(1).events
    for event in events:
        journal.append(event)
    journal.commit()
    store.close()
    rows = query(path, "SELECT kind, payload FROM events ORDER BY seq")
    assert [decode(str(kind), str(payload)) for kind, payload in rows] == events


def test_sequence_has_no_gaps_over_runs_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    count = 0
    for _ in range(3):
        store = opened_store(path)
        journal = store.begin_run()
        events = story(journal.run_id).events
        record(journal, events)
        journal.append(decided())
        store.close()
        count += len(events)
    assert query(path, "SELECT seq FROM events ORDER BY seq") == [(number,) for number in range(1, count + 1)]


def test_run_numbers_are_never_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    assert [store.begin_run().run_id for _ in range(3)] == [1, 2, 3]
    store.close()
    conn = sqlite3.connect(path)
    conn.execute("DELETE FROM runs")
    conn.commit()
    conn.close()
    store = opened_store(path)
    assert store.begin_run().run_id == 4
    store.close()


def test_nothing_is_visible_before_commit_and_all_of_it_after(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    journal = store.begin_run()
    for event in story(1).events:
        journal.append(event)
    assert query(path, "SELECT count(*) FROM events") == [(0,)]
    journal.commit()
    assert query(path, "SELECT count(*) FROM events") == [(len(story(1).events),)]
    assert query(path, "SELECT count(*) FROM trades") == [(3,)]
    store.close()


def test_events_name_the_order_and_the_command_they_are_about(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    asked = query(path, "SELECT client_order_id FROM events WHERE kind = 'OrderInitialized' AND command_id = 'c-2'")
    assert len(asked) == 1
    about = f"SELECT kind FROM events WHERE client_order_id = '{asked[0][0]}' ORDER BY seq"
    assert [row[0] for row in query(path, about)] == [
        "OrderInitialized",
        "OrderUpdated",
        "BrokerOrderCreated",
        "OrderFilled",
    ]
    assert query(path, "SELECT command_id FROM events WHERE kind = 'CommandRefused'") == [("c-3",)]


def test_a_run_left_running_is_aborted_at_the_next_start_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    tape = story(1)
    record(store.begin_run(), tape.events[:-1])
    store.close()
    assert query(path, "SELECT status FROM runs") == [("RUNNING",)]
    opened_store(path).close()
    found = "SELECT status, ended_ns, closing_balance_home, decisions, orders, fills, trades, digest FROM runs"
    last_ns = tape.events[-2].ts_ns
    assert query(path, found) == [("ABORTED", last_ns, str(tape.balance), 2, 6, 5, 3, None)]


def test_a_stopped_run_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    before = query(path, "SELECT * FROM runs")
    opened_store(path).close()
    assert query(path, "SELECT * FROM runs") == before


def test_a_run_that_was_followed_by_another_can_write_no_more(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    first = store.begin_run()
    store.begin_run()
    first.append(decided())
    with pytest.raises(HaltTrading, match="run 1 is over"):
        first.commit()
    assert query(path, "SELECT run_id, status FROM runs") == [(2, "RUNNING")]
    store.close()


def test_a_start_that_recorded_nothing_leaves_no_row_and_its_number_is_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.begin_run().append(story(2).events[0])  # not committed
    store.give_up_run()
    assert query(path, "SELECT run_id, status FROM runs") == [(1, "STOPPED")]
    assert store.begin_run().run_id == 3
    store.close()
    opened_store(path).close()  # the process ended before anything was recorded
    assert query(path, "SELECT run_id FROM runs") == [(1,)]


def test_a_start_that_recorded_something_is_aborted_and_not_said_to_have_been_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events[:3])
    store.give_up_run()
    told = [("ABORTED", "replay", "The session could not begin.")]
    assert query(path, "SELECT status, mode, reason FROM runs") == told
    store.close()
    rebuild_tables(path)
    assert query(path, "SELECT status, mode, reason FROM runs") == told


def test_digest_of_a_stopped_run_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    journal = store.begin_run()
    record(journal, story(1).events)
    assert query(path, "SELECT digest FROM runs") == [(journal.digest(),)]
    store.close()


def test_a_transaction_that_comes_twice_halts_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1)
    tape.open("4", "100")
    store = opened_store(path)
    journal = store.begin_run()
    record(journal, tape.events)
    tape.transaction_id -= 1
    tape.open("5", "100")
    for event in tape.events[5:]:
        journal.append(event)
    before = query(path, "SELECT * FROM events")
    with pytest.raises(HaltTrading, match="UNIQUE"):
        journal.commit()
    assert query(path, "SELECT * FROM events") == before
    store.close()


def test_another_thread_may_not_write(tmp_path: Path) -> None:
    store = opened_store(tmp_path / "keel.sqlite")
    journal = store.begin_run()
    journal.append(decided(START_NS))
    caught: list[str] = []

    def commit() -> None:
        try:
            journal.commit()
        except HaltTrading as error:
            caught.append(str(error))

    thread = threading.Thread(target=commit)
    thread.start()
    thread.join()
    assert "thread" in caught[0]
    journal.commit()
    assert query(tmp_path / "keel.sqlite", "SELECT count(*) FROM decisions") == [(1,)]
    store.close()
