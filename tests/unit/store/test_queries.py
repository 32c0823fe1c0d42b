"""Readers get typed rows, newest first, and cannot write."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.decision import Gate
from engine.domain.error import ConfigError
from engine.domain.event import BreakerReleased, BreakerTripped
from engine.store import queries, schema
from tests.unit.store.tape import (
    MINUTE_NS,
    OPENING,
    START_NS,
    WALL_NS,
    Tape,
    closing,
    decided,
    of_second_version,
    opened_store,
    record,
    story,
)


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Two runs: a stopped one and one that still runs while we read."""
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    tape = Tape(2)
    tape.open("4", "-800")
    record(store.begin_run(), tape.events)
    reader = queries.connect_readonly(path)
    yield reader
    reader.close()
    store.close()


def test_runs_newest_first_with_their_figures(conn: sqlite3.Connection) -> None:
    running, stopped = queries.runs(conn)
    assert (running.run_id, running.status, running.closing_balance_home) == (2, "RUNNING", None)
    assert (stopped.run_id, stopped.status, stopped.mode) == (1, "STOPPED", "replay")
    assert (stopped.instruments, stopped.granularity, stopped.currency) == ("EUR_USD", "M1", "USD")
    assert stopped.opening_balance_home == OPENING
    assert stopped.closing_balance_home == story(1).balance
    assert isinstance(stopped.max_drawdown_pct, Decimal)
    assert stopped.started_wall_ns == WALL_NS
    assert len(stopped.digest or "") == 64
    assert [row.run_id for row in queries.runs(conn, limit=1)] == [2]


def test_trades_by_every_filter(conn: sqlite3.Connection) -> None:
    def ids(**chosen: object) -> list[tuple[int, str]]:
        rows = queries.trades(conn, **chosen)  # type: ignore[arg-type]
        assert queries.count_trades(conn, **{k: v for k, v in chosen.items() if k not in ("limit", "offset")}) == (  # type: ignore[arg-type]
            len(rows) if "limit" not in chosen else 4
        )
        return [(row.run_id, row.trade_id) for row in rows]

    assert ids() == [(2, "4"), (1, "30"), (1, "9"), (1, "4")]
    assert ids(run_id=1) == [(1, "30"), (1, "9"), (1, "4")]
    assert ids(state="OPEN") == [(2, "4"), (1, "30")]
    assert ids(side="short", run_id=1) == [(1, "9")]
    assert ids(instrument="USD_JPY") == []
    assert ids(instrument="EUR_USD", state="CLOSED") == [(1, "9"), (1, "4")]
    assert ids(limit=2, offset=1) == [(1, "30"), (1, "9")]


def test_a_filter_is_a_value_and_never_sql(conn: sqlite3.Connection) -> None:
    assert queries.trades(conn, instrument="' OR 1=1 --") == ()
    assert queries.decisions(conn, 1, action="hold' OR '1'='1") == ()


def test_fills_and_orders_oldest_first(conn: sqlite3.Connection) -> None:
    fills = queries.fills(conn, 1)
    assert [fill.units for fill in fills] == [Decimal(n) for n in (10000, -4000, -11000, 5000, 700)]
    assert fills[2].closed_trade_ids == '["4"]'
    assert fills[2].opened_trade_id == "9"
    created = [order.created_ns for order in queries.orders(conn, 1)]
    assert created == sorted(created)
    assert len(created) == 6


def test_decisions_newest_first_with_their_gates(conn: sqlite3.Connection) -> None:
    denied, held = queries.decisions(conn, 1)
    assert (denied.action, denied.first_block, denied.confidence) == ("denied", "risk", 0.625)
    assert denied.gates[1] == Gate(name="risk", value="9 %", limit="5 %", passed=False)
    assert len(denied.gates) == 3
    assert (held.action, held.first_block, held.gates) == ("hold", None, ())
    assert queries.decisions(conn, 1, action="denied") == (denied,)
    assert queries.decisions(conn, 1, limit=1) == (denied,)
    assert queries.decisions(conn, 1, instrument="USD_JPY") == ()


def test_decimals_keep_every_digit(tmp_path: Path) -> None:
    fine = Decimal("100000.0001000000000000000010")
    tape = Tape(1)
    tape.add(decided(equity_home=fine, bid=fine, ask=fine, units=fine, position_units=fine))
    tape.open("4", str(fine), str(fine), str(fine))
    tape.fill(-fine, None, closed=(closing("4", str(-fine), str(fine), str(fine), str(fine)),))
    store = opened_store(tmp_path / "keel.sqlite")
    record(store.begin_run(), tape.events)
    conn = queries.connect_readonly(tmp_path / "keel.sqlite")
    (decision,), (trade,), fills = queries.decisions(conn, 1), queries.trades(conn), queries.fills(conn, 1)
    kept = [decision.equity_home, decision.bid, decision.ask, decision.units, decision.position_units]
    kept += [trade.units, trade.entry_price, trade.realized_pl_home, trade.financing_home]
    kept += [fills[0].commission_home, fills[1].pl_home, fills[1].financing_home, -fills[1].units]
    kept += [order.units for order in queries.orders(conn, 1)]
    assert {str(value) for value in kept} == {str(fine)}
    store.close()


def test_a_reader_cannot_write(conn: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("DELETE FROM trades")
    conn.execute("PRAGMA query_only = OFF")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("DELETE FROM trades")


def test_where_there_is_no_file_there_is_nothing_to_show_and_none_is_made(tmp_path: Path) -> None:
    conn = queries.connect_readonly(tmp_path / "keel.sqlite")
    assert queries.runs(conn) == queries.trades(conn) == queries.equity_curve(conn, 1) == ()
    assert queries.count_trades(conn) == 0
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "keel.sqlite").touch()
    assert queries.runs(queries.connect_readonly(tmp_path / "keel.sqlite")) == ()


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    path.write_text("not a database" * 100)
    with pytest.raises(ConfigError, match="not an SQLite database"):
        queries.connect_readonly(path)


def test_a_path_with_url_signs_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=rw#%41.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    assert len(queries.runs(queries.connect_readonly(path))) == 1
    store.close()


def equity_story(path: Path, decisions: int) -> sqlite3.Connection:
    """A run whose equity rises by 1 with each decision, with a deposit of 500 in the middle, between two others."""
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    tape = Tape(2)
    for number in range(decisions):
        if number == decisions // 2:
            tape.transfer(Decimal(500))
        tape.add(decided(START_NS + number * MINUTE_NS, equity_home=OPENING + number))
    record(store.begin_run(), tape.events, batch=1_000)
    record(store.begin_run(), story(3).events)
    store.close()
    return queries.connect_readonly(path)


def test_a_short_equity_curve_has_every_decision(tmp_path: Path) -> None:
    points = queries.equity_curve(equity_story(tmp_path / "keel.sqlite", 10), 2)
    assert [point.equity_home for point in points] == [OPENING + number for number in range(10)]
    assert [point.ts_ns for point in points] == [START_NS + number * MINUTE_NS for number in range(10)]
    assert [point.balance_home for point in points] == [OPENING] * 5 + [OPENING + 500] * 5


def test_a_long_equity_curve_is_thinned_out_evenly_and_keeps_both_ends(tmp_path: Path) -> None:
    conn = equity_story(tmp_path / "keel.sqlite", 2_000)
    points = queries.equity_curve(conn, 2, points_max=100)
    assert len(points) == 100
    assert (points[0].equity_home, points[-1].equity_home) == (OPENING, OPENING + 1_999)
    steps = [int((after.ts_ns - before.ts_ns) / MINUTE_NS) for before, after in zip(points, points[1:], strict=False)]
    assert set(steps) <= {19, 20, 21}


def test_a_run_of_one_decision_is_one_point(tmp_path: Path) -> None:
    assert len(queries.equity_curve(equity_story(tmp_path / "keel.sqlite", 1), 2)) == 1


def test_reading_does_not_sort_and_does_not_scan_other_runs(conn: sqlite3.Connection) -> None:
    filters = {"run_from": 1, "run_to": 1, "instrument": None, "state": None, "side": None, "limit": 5, "offset": 0}
    plans = [
        conn.execute(f"EXPLAIN QUERY PLAN {queries._TRADES}", filters),
        conn.execute(
            f"EXPLAIN QUERY PLAN {queries._DECISIONS}", {"run_id": 1, "instrument": None, "action": None, "limit": 5}
        ),
    ]
    for plan in plans:
        steps = " ".join(row[3] for row in plan)
        assert "USING INDEX" in steps
        assert "TEMP B-TREE" not in steps


def test_the_cost_of_an_equity_curve_does_not_grow_with_the_run(conn: sqlite3.Connection) -> None:
    values = {"run_id": 1, "first": 1, "last": 9, "points": 5}
    plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {queries._EQUITY}", values)]
    assert [step for step in plan if step.startswith(("SCAN events", "SCAN t"))] == []
    assert sum(step.startswith(("SEARCH events", "SEARCH t")) for step in plan) == 3
    assert sum("TEMP B-TREE FOR ORDER BY" in step for step in plan) == 1


def test_a_file_that_no_engine_has_opened_since_the_last_version_is_read(tmp_path: Path) -> None:
    store = opened_store(tmp_path / "new.sqlite")
    record(store.begin_run(), story(1).events)
    store.close()
    conn = queries.connect_readonly(of_second_version(tmp_path / "old.sqlite", tmp_path / "new.sqlite"))
    (run,) = queries.runs(conn)
    assert (run.status, run.account, run.continues) == ("STOPPED", None, None)
    assert len(queries.trades(conn)) == 3
    conn.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    opened_store(path).close()
    writer = sqlite3.connect(path)
    writer.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    writer.close()
    with pytest.raises(ConfigError, match="newer than"):
        queries.connect_readonly(path)


def gates(*failed: str) -> tuple[Gate, ...]:
    names = ("spread", "exposure", "positions")
    return tuple(Gate(name=name, value="1", limit="2", passed=name not in failed) for name in names)


def test_blocked_entries_are_counted_by_gate_and_go_on_from_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    journal = store.begin_run()
    chosen: list[tuple[Gate, ...]] = [(), gates(), gates("spread", "positions"), gates("positions"), gates("spread")]
    made = [decided(START_NS + n * MINUTE_NS, gates=each) for n, each in enumerate(chosen)]
    record(journal, [*Tape(1).events, *made])
    with queries.connect_readonly(path) as reader:
        found = queries.blocked_entries(reader, 1)
        assert (found.decisions, found.entries) == (5, 3)
        assert found.first == {"spread": 2, "positions": 1}
        assert found.failed == {"spread": 2, "positions": 2}
        assert queries.blocked_entries(reader, 1, found) is found
        record(journal, [decided(START_NS + 9 * MINUTE_NS, gates=gates("exposure"), reason='"passed":false')])
        later = queries.blocked_entries(reader, 1, found)
        assert (later.decisions, later.entries) == (6, 4)
        assert later == queries.blocked_entries(reader, 1)
        assert queries.blocked_entries(reader, 2) == queries.Blocked()
    reader.close()
    store.close()


def test_trips_of_breakers_newest_first_with_their_releases(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    events = [
        BreakerTripped(ts_ns=START_NS, breaker="daily_loss", value="3.1 %", limit="3 %"),
        BreakerReleased(ts_ns=START_NS + 1, breaker="daily_loss", reason="looked", equity_home=OPENING),
        BreakerTripped(ts_ns=START_NS + 2, breaker="drawdown", value="10 %", limit="10 %"),
    ]
    record(store.begin_run(), [*Tape(1).events, *events])
    with queries.connect_readonly(path) as reader:
        newest, oldest = queries.breaker_trips(reader, 1)
        assert (newest.breaker, newest.tripped_ns, newest.released_ns) == ("drawdown", START_NS + 2, None)
        assert (oldest.measured, oldest.allowed, oldest.release_reason) == ("3.1 %", "3 %", "looked")
        assert oldest.released_ns == START_NS + 1
        assert queries.breaker_trips(reader, 1, limit=1) == (newest,)
        assert queries.breaker_trips(reader, 2) == ()
    reader.close()
    store.close()
