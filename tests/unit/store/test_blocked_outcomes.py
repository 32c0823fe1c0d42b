"""Outcomes of blocked signals are read back as they were recorded, from files of any version, and exported by gate."""

import csv
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.error import ConfigError
from engine.domain.event import BlockedOutcome, Ending
from engine.store import queries, schema
from engine.store.checkup import rebuild_tables, verify
from engine.store.export import write_gate_costs_csv
from tests.unit.store.tape import MINUTE_NS, START_NS, decided, of_second_version, opened_store, record, story

OUTCOME = BlockedOutcome(
    ts_ns=START_NS + 9 * MINUTE_NS,
    instrument="EUR_USD",
    bar_ts_ns=START_NS,
    direction=-1,
    gates=("spread", "breaker daily_loss"),
    entry_price=Decimal("1.38712"),
    exit_price=Decimal("1.38812"),
    units=Decimal(-5_000),
    financing_home=Decimal("-0.1234"),
    result_home=Decimal("-5.1234"),
    result_r=Decimal("-1.024680"),
    ended=Ending.STOP,
    bars=9,
)
WON = replace(OUTCOME, gates=("spread",), result_home=Decimal("10.0000"), result_r=Decimal("2.000000"))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two runs, of which the first has blocked signals twice."""
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    for outcomes in ((OUTCOME, WON), ()):
        journal = store.begin_run()
        events = story(journal.run_id).events
        record(journal, [*events[:-1], *outcomes, events[-1]])
    store.close()
    return path


@pytest.fixture
def conn(recorded: Path) -> Iterator[sqlite3.Connection]:
    opened = queries.connect_readonly(recorded)
    yield opened
    opened.close()


def test_what_was_recorded_is_read_back_by_run(conn: sqlite3.Connection) -> None:
    assert queries.blocked_outcomes(conn, 1) == (OUTCOME, WON)
    assert queries.blocked_outcomes(conn, 2) == queries.blocked_outcomes(conn, 3) == ()


def test_they_are_found_by_their_index(conn: sqlite3.Connection) -> None:
    plan = conn.execute(f"EXPLAIN QUERY PLAN {queries._OUTCOMES}", (1,)).fetchall()
    assert "USING INDEX blocked_outcomes_by_run" in plan[0][3] and len(plan) == 1


def test_the_view_shows_every_field(conn: sqlite3.Connection) -> None:
    cursor = conn.execute("SELECT * FROM blocked_outcomes ORDER BY seq LIMIT 1")
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    assert row.pop("seq") > 0 and row.pop("run_id") == 1
    assert row.pop("gates") == '["spread","breaker daily_loss"]'
    assert set(row) == set(BlockedOutcome.__struct_fields__) - {"gates"}
    assert {name: str(value) for name, value in row.items()} == {name: str(getattr(OUTCOME, name)) for name in row}


def test_rebuilding_keeps_them_and_the_checks_pass(recorded: Path) -> None:
    assert all(check.ok for check in verify(recorded))
    rebuild_tables(recorded)
    conn = queries.connect_readonly(recorded)
    assert queries.blocked_outcomes(conn, 1) == (OUTCOME, WON)
    conn.close()
    assert all(check.ok for check in verify(recorded))


def test_a_file_of_an_older_keel_has_none_until_it_is_migrated(tmp_path: Path) -> None:
    new = tmp_path / "new.sqlite"
    store = opened_store(new)
    record(store.begin_run(), [decided()])
    store.close()
    old = of_second_version(tmp_path / "old.sqlite", new)
    conn = queries.connect_readonly(old)
    assert queries.blocked_outcomes(conn, 1) == ()
    conn.close()
    schema.open_database(old).conn.close()
    conn = queries.connect_readonly(old)
    assert conn.execute("SELECT count(*) FROM blocked_outcomes").fetchone() == (0,)
    assert conn.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
    conn.close()


def exported(recorded: Path, run_id: int | None = None) -> list[list[str]]:
    out = recorded.parent / "gates.csv"
    count = write_gate_costs_csv(recorded, out, run_id)
    lines = list(csv.reader(out.read_text().splitlines()))
    assert count == len(lines) - 1
    return lines


HEADER = "run_id,currency,gate,outcomes,alone,wins,sum_home,sum_r,mean_r,low_r,high_r,verdict".split(",")


def test_the_csv_has_a_line_for_each_run_and_gate(recorded: Path) -> None:
    # R -1.02468 and 2: mean 0.48766, half width 12.7062 x 1.51234
    assert exported(recorded) == [
        HEADER,
        ["1", "USD", "spread", "2", "1", "1", "4.8766", "0.975320", "0.487660", "-18.728435", "19.703755",
         "cannot be told from 2 outcomes"],
        ["1", "USD", "breaker daily_loss", "1", "0", "0", "-5.1234", "-1.024680", "-1.024680", "", "",
         "cannot be told from 1 outcome"],
    ]  # fmt: skip
    assert exported(recorded, 2) == [HEADER]


def test_a_gate_that_is_a_formula_is_text_in_a_spreadsheet(tmp_path: Path) -> None:
    store = opened_store(tmp_path / "keel.sqlite")
    journal = store.begin_run()
    events = story(journal.run_id).events
    record(journal, [events[0], replace(OUTCOME, gates=("=1+1",)), *events[1:]])
    store.close()
    assert exported(tmp_path / "keel.sqlite")[1][2] == "'=1+1"


def test_a_bad_target_is_one_sentence_and_no_file(recorded: Path) -> None:
    with pytest.raises(ConfigError, match="Run 9 does not exist; there are 1 to 2."):
        write_gate_costs_csv(recorded, recorded.parent / "gates.csv", 9)
    with pytest.raises(ConfigError, match="name a CSV file"):
        write_gate_costs_csv(recorded, recorded)
    assert [path.name for path in recorded.parent.glob("*.csv*")] == []
