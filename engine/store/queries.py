"""I am the reading side: typed rows for pages, exports and scripts, from a connection that cannot write.
I may import the domain, and codec and schema of my own floor.
I must not write, nor be handed SQL or names from outside.
My tests are in tests/unit/store/test_queries.py.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from sqlite_utils import Database

from engine.domain.account import EquityPoint
from engine.domain.decision import Gate
from engine.domain.error import ConfigError
from engine.domain.event import BlockedOutcome, DecisionMade
from engine.store.codec import decode
from engine.store.schema import BUSY_TIMEOUT_MS, DECIMALS, check_ours, migrate, refusal

_RUN_ID_MAX = 2**63 - 1


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run; figures are None until it ends, amounts in `currency`.

    account and continues are None for a simulated account, in a file of an older Keel too.
    """

    run_id: int
    status: str
    mode: str | None
    started_ns: int | None
    ended_ns: int | None
    started_wall_ns: int
    instruments: str | None
    granularity: str | None
    model_id: str | None
    model_sha256: str | None
    seed: int | None
    currency: str | None
    opening_balance_home: Decimal | None
    closing_balance_home: Decimal | None
    equity_home: Decimal | None
    max_drawdown_pct: Decimal | None
    bars: int | None
    decisions: int | None
    orders: int | None
    fills: int | None
    trades: int | None
    reason: str | None
    config: str | None
    digest: str | None
    account: str | None = None
    continues: int | None = None


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip; units are absolute, side is long or short, state OPEN or CLOSED, amounts in home currency."""

    run_id: int
    trade_id: str
    instrument: str
    side: str
    state: str
    units: Decimal
    units_open: Decimal
    entry_ns: int
    entry_price: Decimal
    exit_ns: int | None
    exit_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    risk_home: Decimal | None
    realized_pl_home: Decimal
    financing_home: Decimal
    exit_reason: str | None
    client_order_id: str | None
    seq: int


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of our orders; units and filled_units are signed, status is an OrderStatus."""

    run_id: int
    client_order_id: str
    instrument: str
    units: Decimal
    reason: str
    created_ns: int
    price_bound: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_distance: Decimal | None
    reduce_only: int
    risk_home: Decimal
    command_id: str | None
    status: str
    status_ns: int
    detail: str
    broker_order_id: str | None
    filled_units: Decimal
    seq: int


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fill; units are signed, amounts in home currency, closed_trade_ids a JSON list."""

    run_id: int
    transaction_id: int
    ts_ns: int
    instrument: str
    units: Decimal
    price: Decimal
    reason: str
    pl_home: Decimal
    financing_home: Decimal
    commission_home: Decimal
    half_spread_home: Decimal
    balance_home: Decimal
    order_id: str
    client_order_id: str | None
    opened_trade_id: str | None
    closed_trade_ids: str
    seq: int


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with every gate of its intended order; first_block names the first gate that failed."""

    seq: int
    run_id: int
    ts_ns: int
    bar_ts_ns: int
    instrument: str
    direction: int
    confidence: float
    action: str
    reason: str
    bid: Decimal
    ask: Decimal
    equity_home: Decimal
    position_units: Decimal
    units: Decimal
    client_order_id: str | None
    first_block: str | None
    gates: tuple[Gate, ...] = ()


class TripRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trip of a breaker, as it was measured, and its release (None: it is tripped still, or ended with the run)."""

    run_id: int
    breaker: str
    tripped_ns: int
    measured: str
    allowed: str
    released_ns: int | None
    release_reason: str | None
    seq: int


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """How often gates stopped entries of a run, up to the event last_seq.

    decisions are all that were looked at, entries those of them that a gate stopped; first counts by gate how often it
    was the first to fail, failed how often it failed at all.
    """

    last_seq: int = 0
    decisions: int = 0
    entries: int = 0
    first: Mapping[str, int] = msgspec.field(default_factory=dict)
    failed: Mapping[str, int] = msgspec.field(default_factory=dict)


class _Gate(msgspec.Struct):
    """As much of a gate as counting it needs."""

    name: str
    passed: bool


class _Gates(msgspec.Struct):
    gates: tuple[_Gate, ...] = ()


class _Payload(msgspec.Struct):
    decision: _Gates


_GATES = msgspec.json.Decoder(_Payload)
_R = TypeVar("_R", RunRow, TradeRow, OrderRow, FillRow, TripRow)

# A row without a mode is a start that recorded nothing, yet or for ever: an older Keel kept those of refused starts.
_RUNS = "SELECT * FROM runs WHERE mode IS NOT NULL ORDER BY run_id DESC LIMIT ?"

# Bounds on run_id instead of an optional condition: the index by run then serves both one run and all of them.
_TRADES = """SELECT * FROM trades WHERE run_id BETWEEN :run_from AND :run_to
    AND (:instrument IS NULL OR instrument = :instrument) AND (:state IS NULL OR state = :state)
    AND (:side IS NULL OR side = :side) ORDER BY run_id DESC, seq DESC LIMIT :limit OFFSET :offset"""

_COUNT_TRADES = """SELECT count(*) FROM trades WHERE run_id BETWEEN :run_from AND :run_to
    AND (:instrument IS NULL OR instrument = :instrument) AND (:state IS NULL OR state = :state)
    AND (:side IS NULL OR side = :side)"""

_ORDERS = "SELECT * FROM orders WHERE run_id = ? ORDER BY seq"

_FILLS = "SELECT * FROM fills WHERE run_id = ? ORDER BY transaction_id"

_DECISIONS = """SELECT d.*, e.payload FROM decisions AS d JOIN events AS e USING (seq) WHERE d.run_id = :run_id
    AND (:instrument IS NULL OR instrument = :instrument) AND (:action IS NULL OR action = :action)
    ORDER BY d.seq DESC LIMIT :limit"""

# From the events and not from the view, so that a file of an older Keel, which has no view, has no outcomes either.
_OUTCOMES = "SELECT payload FROM events WHERE run_id = ? AND kind = 'BlockedOutcome' ORDER BY seq"

# Evenly spaced places between a run's first and last decision, and the decision at or after each: the cost
# depends on the number of points and not on the length of the run.
_EQUITY = """WITH RECURSIVE
    places(n, seq) AS (
        SELECT 0, :first
        UNION ALL
        SELECT n + 1, :first + (n + 1) * (:last - :first) / (:points - 1) FROM places WHERE n + 1 < :points),
    picked(seq) AS (
        SELECT DISTINCT (
            SELECT d.seq FROM decisions AS d
            WHERE d.run_id = :run_id AND d.seq >= places.seq ORDER BY d.seq LIMIT 1
        ) FROM places)
    SELECT d.ts_ns, d.equity_home, (
        SELECT t.balance_home FROM transactions AS t
        WHERE t.seq < d.seq AND +t.run_id = :run_id AND t.balance_home IS NOT NULL ORDER BY t.seq DESC LIMIT 1
    ) AS balance_home FROM picked CROSS JOIN decisions AS d USING (seq) ORDER BY d.seq"""

# Of a kept account those of all its runs: what one run left tripped another one releases. A trip that new books have
# told again is the same one, and the newest record of it has its release.
_TRIPS = """WITH own AS (
        SELECT b.* FROM breakers AS b JOIN runs AS r USING (run_id) WHERE run_id = :run_id
        OR r.account = (SELECT nullif(account, '') FROM runs WHERE run_id = :run_id))
    SELECT * FROM own WHERE NOT EXISTS (
        SELECT 1 FROM own AS again
        WHERE again.breaker = own.breaker AND again.tripped_ns = own.tripped_ns AND again.seq > own.seq)
    ORDER BY seq DESC LIMIT :limit"""

_NEW_DECISIONS = """SELECT count(*), max(seq) FROM events
    WHERE kind = 'DecisionMade' AND run_id = :run_id AND seq > :seq"""

# Only these are decoded: most decisions have no gate that failed, and a search for text tells so at once.
_FAILED_GATES = """SELECT payload FROM events WHERE kind = 'DecisionMade' AND run_id = :run_id
    AND seq > :seq AND seq <= :last AND instr(payload, '"passed":false')"""

_ENDS = """SELECT opening_balance_home,
    (SELECT min(seq) FROM decisions WHERE run_id = :run_id), (SELECT max(seq) FROM decisions WHERE run_id = :run_id)
    FROM runs WHERE run_id = :run_id"""


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a database for reading only; where there is none yet, an empty one in memory, so that pages show nothing.

    Raises ConfigError when the file is not one of ours, or cannot be read.
    """
    if not path.exists():
        return _empty()
    conn: sqlite3.Connection | None = None
    try:
        conn = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_MS / 1000)
        conn.execute("PRAGMA query_only = ON")
        is_empty = check_ours(conn, path) == 0
    except (sqlite3.Error, ConfigError) as error:
        if conn is not None:
            conn.close()
        raise error if isinstance(error, ConfigError) else refusal(path, error) from error
    if is_empty:
        conn.close()
        return _empty()
    return conn


def _empty() -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:")
    migrate(Database(conn, execute_plugins=False))
    return conn


def runs(conn: sqlite3.Connection, limit: int = 50) -> tuple[RunRow, ...]:
    """Return the newest runs that began, newest first."""
    return tuple(_rows(RunRow, conn.execute(_RUNS, (limit,))))


def has_run(conn: sqlite3.Connection, mode: str, model_id: str, model_sha256: str) -> bool:
    """Say whether a run of this mode with these bytes of a model has ended as it should."""
    found = conn.execute(
        "SELECT 1 FROM runs WHERE mode = ? AND model_id = ? AND model_sha256 = ? AND status = 'STOPPED' LIMIT 1",
        (mode, model_id, model_sha256),
    )
    return found.fetchone() is not None


def trades(
    conn: sqlite3.Connection,
    run_id: int | None = None,
    instrument: str | None = None,
    state: str | None = None,
    side: str | None = None,
    limit: int = 200,
    offset: int = 0,
) -> tuple[TradeRow, ...]:
    """Return trades that match every given filter, newest first; a negative limit means all of them."""
    values = _trade_filter(run_id, instrument, state, side) | {"limit": limit, "offset": offset}
    return tuple(_rows(TradeRow, conn.execute(_TRADES, values)))


def each_trade(
    conn: sqlite3.Connection,
    run_id: int | None = None,
    instrument: str | None = None,
    state: str | None = None,
    side: str | None = None,
) -> Iterator[TradeRow]:
    """Yield all trades that match every given filter, newest first, without holding them in memory."""
    values = _trade_filter(run_id, instrument, state, side) | {"limit": -1, "offset": 0}
    yield from _rows(TradeRow, conn.execute(_TRADES, values))


def count_trades(
    conn: sqlite3.Connection,
    run_id: int | None = None,
    instrument: str | None = None,
    state: str | None = None,
    side: str | None = None,
) -> int:
    """Count the trades that match every given filter."""
    return int(conn.execute(_COUNT_TRADES, _trade_filter(run_id, instrument, state, side)).fetchone()[0])


def fills(conn: sqlite3.Connection, run_id: int) -> tuple[FillRow, ...]:
    """Return the fills of a run, oldest first."""
    return tuple(_rows(FillRow, conn.execute(_FILLS, (run_id,))))


def orders(conn: sqlite3.Connection, run_id: int) -> tuple[OrderRow, ...]:
    """Return the orders of a run, oldest first."""
    return tuple(_rows(OrderRow, conn.execute(_ORDERS, (run_id,))))


def decisions(
    conn: sqlite3.Connection,
    run_id: int,
    instrument: str | None = None,
    action: str | None = None,
    limit: int = 100,
) -> tuple[DecisionRow, ...]:
    """Return the newest decisions of a run that match every given filter, newest first, with their gates."""
    values = {"run_id": run_id, "instrument": instrument, "action": action, "limit": limit}
    return tuple(_decision(row) for row in _named(conn.execute(_DECISIONS, values)))


def blocked_outcomes(conn: sqlite3.Connection, run_id: int) -> tuple[BlockedOutcome, ...]:
    """Return what the blocked signals of a run would have come to, as far as it is known, oldest first."""
    events = (decode("BlockedOutcome", payload) for (payload,) in conn.execute(_OUTCOMES, (run_id,)))
    return tuple(event for event in events if isinstance(event, BlockedOutcome))


def equity_curve(conn: sqlite3.Connection, run_id: int, points_max: int = 1000) -> tuple[EquityPoint, ...]:
    """Return at most points_max (at least 2) points of a run, oldest first, the first and last decision included."""
    opening, first, last = conn.execute(_ENDS, {"run_id": run_id}).fetchone() or (None, None, None)
    if first is None:
        return ()
    rows = conn.execute(_EQUITY, {"run_id": run_id, "first": first, "last": last, "points": max(points_max, 2)})
    return tuple(
        EquityPoint(ts_ns=ts_ns, equity_home=Decimal(equity), balance_home=Decimal(balance or opening or equity))
        for ts_ns, equity, balance in rows
    )


def breaker_trips(conn: sqlite3.Connection, run_id: int, limit: int = 50) -> tuple[TripRow, ...]:
    """Return the newest trips of breakers with their releases, newest first: of a run, or of its account's runs."""
    return tuple(_rows(TripRow, conn.execute(_TRIPS, {"run_id": run_id, "limit": limit})))


def blocked_entries(conn: sqlite3.Connection, run_id: int, known: Blocked | None = None) -> Blocked:
    """Count what gates stopped in a run; goes on from what is known already, so that only new decisions are read."""
    known = known or Blocked()
    decisions, last = conn.execute(_NEW_DECISIONS, {"run_id": run_id, "seq": known.last_seq}).fetchone()
    if not decisions:
        return known
    first, failed = Counter(known.first), Counter(known.failed)
    for (payload,) in conn.execute(_FAILED_GATES, {"run_id": run_id, "seq": known.last_seq, "last": last}):
        names = [gate.name for gate in _GATES.decode(payload).decision.gates if not gate.passed]
        first.update(names[:1])
        failed.update(names)
    return Blocked(
        last_seq=last, decisions=known.decisions + decisions, entries=first.total(), first=first, failed=failed
    )


def _trade_filter(
    run_id: int | None, instrument: str | None, state: str | None, side: str | None
) -> dict[str, int | str | None]:
    run_from, run_to = (0, _RUN_ID_MAX) if run_id is None else (run_id, run_id)
    return {"run_from": run_from, "run_to": run_to, "instrument": instrument, "state": state, "side": side}


def _named(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Yield rows by column name, decimals as Decimal."""
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield {
            name: Decimal(value) if name in DECIMALS and value is not None else value
            for name, value in zip(names, row, strict=True)
        }


def _rows(kind: type[_R], cursor: sqlite3.Cursor) -> Iterator[_R]:
    return (kind(**row) for row in _named(cursor))


def _decision(row: dict[str, Any]) -> DecisionRow:
    event = decode("DecisionMade", row.pop("payload"))
    gates = event.decision.gates if isinstance(event, DecisionMade) else ()
    return DecisionRow(**row, gates=gates)
