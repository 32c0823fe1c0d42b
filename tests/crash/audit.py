"""The audit: what the engine's file says against what the venue's books and the line say, as sentences.

The numbers are those of RELIABILITY.md, section 2. I read the file and the venue, never the engine's own code for
the same question; only the check of the hash chain and of the tables is the engine's.
"""

import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

from engine.store.checkup import verify
from tests.crash.books import ZERO, VenueBooks

# A late fill within the grace time is no surprise, and nobody but us trades: no breaker may have tripped.
_TRIPS = "SELECT breaker, measured FROM breakers"
_EARLY = """SELECT client_order_id FROM events AS e WHERE kind = 'OrderInitialized' AND NOT EXISTS
    (SELECT 1 FROM events WHERE run_id = e.run_id AND kind = 'Reconciled' AND seq < e.seq)"""
_TWICE_DECIDED = "SELECT instrument, bar_ts_ns, count(*) FROM decisions GROUP BY 1, 2 HAVING count(*) > 1"
_FILLS = "SELECT transaction_id, instrument, units, price, pl_home, balance_home FROM fills"


@contextmanager
def file_as_left(database: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a copy of the database and its log as a dead process left them, which are then still there to recover."""
    with tempfile.TemporaryDirectory(prefix="keel-crash-") as folder:
        for suffix in ("", "-wal"):
            source = Path(f"{database}{suffix}")
            if source.exists():
                shutil.copyfile(source, Path(folder) / f"copy.sqlite{suffix}")
        copy = Path(folder) / "copy.sqlite"
        if not copy.exists():
            yield None
            return
        with closing(sqlite3.connect(copy)) as conn:
            yield conn


def intents(conn: sqlite3.Connection | None) -> set[str]:
    """Client ids whose OrderInitialized is committed; none before the tables are there."""
    if conn is None or not conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        return set()
    return {key for (key,) in conn.execute("SELECT client_order_id FROM events WHERE kind = 'OrderInitialized'")}


def sent_without_intent(conn: sqlite3.Connection | None, sent: Mapping[str, int]) -> list[str]:
    """I1: what has left the process was committed before; asked while no process lives."""
    return [f"I1: order {key} was sent and is not in the journal" for key in sorted(set(sent) - intents(conn))]


def audit(database: Path, books: VenueBooks, sent: Mapping[str, int]) -> list[str]:
    """Compare everything, after the last process has ended cleanly.

    sent counts the POSTs of each client id.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as conn:
        return [
            *_orders(conn, books, sent),
            *_statuses(conn, books),
            *_transactions(conn, books),
            *_fills(conn, books),
            *_holdings(conn, books),
            *_trades(conn, books),
            *_runs(conn),
            *_small_promises(conn),
            *(f"I18: store verify, {check.check}: {check.detail}" for check in verify(database) if not check.ok),
        ]


def _orders(conn: sqlite3.Connection, books: VenueBooks, sent: Mapping[str, int]) -> Iterator[str]:
    known = Counter(
        key for (key,) in conn.execute("SELECT client_order_id FROM events WHERE kind = 'OrderInitialized'")
    )
    yield from (f"I2: order {key} was sent {count} times" for key, count in sent.items() if count > 1)
    yield from (f"I3: order {key} is initialized {count} times" for key, count in known.items() if count > 1)
    yield from sent_without_intent(conn, sent)
    for key, rows in books.orders().items():
        if key not in known:
            yield f"I1: the venue has order {key or rows[0]['id']}, which the journal does not know"
        if len(rows) > 1:
            yield f"I2: the venue has order {key} {len(rows)} times"


def _statuses(conn: sqlite3.Connection, books: VenueBooks) -> Iterator[str]:
    ends = books.ends()
    for key, status in conn.execute("SELECT client_order_id, status FROM orders"):
        if key in ends and status != ends[key]:
            yield f"I13: order {key} is {status}, at the venue it is {ends[key]}"
        if key not in ends and status not in ("UNRESOLVED", "EXPIRED", "DENIED", "REJECTED"):
            yield f"I13: order {key} is {status}, the venue has never seen it"


def _transactions(conn: sqlite3.Connection, books: VenueBooks) -> Iterator[str]:
    recorded = [number for (number,) in conn.execute("SELECT transaction_id FROM transactions ORDER BY seq")]
    begun = conn.execute("SELECT min(seq), payload FROM events WHERE kind = 'SessionStarted'").fetchone()[1]
    expected = list(range(json.loads(begun)["opening_transaction_id"] + 1, books.last_id + 1))
    if recorded == expected:
        return
    counts = Counter(recorded)
    missing = [number for number in expected if not counts[number]]
    doubled = [number for number, count in counts.items() if count > 1]
    yield f"I12: transactions missing {missing}, twice {doubled}, recorded {len(recorded)} of {len(expected)}"


def _fills(conn: sqlite3.Connection, books: VenueBooks) -> Iterator[str]:
    recorded = sorted((number, instrument, *map(Decimal, money)) for number, instrument, *money in conn.execute(_FILLS))
    names = ("units", "price", "pl", "accountBalance")
    true = sorted((int(row["id"]), row["instrument"], *(Decimal(row[name]) for name in names)) for row in books.fills)
    for fill in true:
        if recorded.count(fill) != 1:
            yield f"I12: the venue's fill {fill} is recorded {recorded.count(fill)} times"
    yield from (f"I12: the venue knows no fill {fill}" for fill in recorded if fill not in true)


def _holdings(conn: sqlite3.Connection, books: VenueBooks) -> Iterator[str]:
    run_id, status, closing_home = conn.execute(
        "SELECT run_id, status, closing_balance_home FROM runs ORDER BY run_id DESC LIMIT 1"
    ).fetchone()
    if status != "STOPPED":
        yield f"the last run, {run_id}, is {status}"
    elif Decimal(closing_home) != books.balance:
        yield f"I13: the ledger's balance is {closing_home}, the venue's {books.balance}"
    if books.moved() != books.balance:
        yield f"I14: the venue's transactions add up to {books.moved()}, its balance is {books.balance}"
    query = "SELECT instrument, units FROM positions WHERE run_id = ?"
    ours = {name: Decimal(units) for name, units in conn.execute(query, (run_id,)) if Decimal(units)}
    theirs: dict[str, Decimal] = {}
    for row in books.open_trades:
        theirs[row["instrument"]] = theirs.get(row["instrument"], ZERO) + Decimal(row["currentUnits"])
    if ours != theirs:
        yield f"I13: the ledger holds {ours}, the venue {theirs}"
    yield from (
        f"trade {row['id']} has no stop at the venue" for row in books.open_trades if "stopLossOrder" not in row
    )


def _trades(conn: sqlite3.Connection, books: VenueBooks) -> Iterator[str]:
    columns = "trade_id, instrument, side, units, units_open, entry_price, realized_pl_home, financing_home, state"
    rows = conn.execute(f"SELECT {columns} FROM trades").fetchall()
    told = Counter(row[0] for row in rows)
    true = books.trades()
    yield from (f"I12: trade {key} has {told[key]} rows" for key in {*told, *true} if told[key] != 1)
    open_now = {row["id"] for row in books.open_trades}
    for key, instrument, side, units, units_open, price, pl, financing, state in rows:
        if key not in true:
            continue
        trade = true[key]
        ours = (instrument, side, *map(Decimal, (units, units_open, price, pl, financing)), state)
        theirs = (
            trade.instrument,
            "long" if trade.opened_units > 0 else "short",
            abs(trade.opened_units),
            abs(trade.units),
            trade.price,
            trade.pl,
            trade.financing,
            "OPEN" if key in open_now else "CLOSED",
        )
        if ours != theirs:
            yield f"I13: trade {key} is recorded as {ours}, at the venue it is {theirs}"


def _runs(conn: sqlite3.Connection) -> Iterator[str]:
    """Every run but the last was killed; each goes on with the books of the one before it."""
    *killed, _ = conn.execute("SELECT run_id, status FROM runs ORDER BY run_id").fetchall()
    yield from (f"run {run_id} was killed and is {status}" for run_id, status in killed if status != "ABORTED")
    before: int | None = None
    begun = "SELECT run_id, continues FROM runs WHERE opening_balance_home IS NOT NULL ORDER BY run_id"
    for run_id, continues in conn.execute(begun):
        if continues != before:
            yield f"I13: run {run_id} continues run {continues}, and not {before}"
        before = run_id


def _small_promises(conn: sqlite3.Connection) -> Iterator[str]:
    for instrument, bar_ns, count in conn.execute(_TWICE_DECIDED):
        yield f"bar {bar_ns} of {instrument} was decided on {count} times"
    yield from (f"I8: order {key} was sent before the books were compared" for (key,) in conn.execute(_EARLY))
    yield from (f"breaker {breaker} tripped: {value}" for breaker, value in conn.execute(_TRIPS))
    for (run_id,) in conn.execute("SELECT run_id FROM events WHERE kind = 'TradeFound'"):
        yield f"I17: run {run_id} took a trade for one that Keel did not open"
