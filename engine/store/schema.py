"""I am the shape of the database file: its tables and views, its version, and the check that a file is ours.
I may import error, sqlite3 and sqlite_utils, and chain and places of my own floor.
I must not change a migration once released; a new shape is a new migration.
My tests are in tests/unit/store/test_schema.py.
"""

import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from engine.domain.error import ConfigError
from engine.store.chain import ORIGIN, link
from engine.store.places import network_file_system, restoring

# "KEEL" in ASCII, at a fixed place of the file's header: tells our files from other programs' SQLite files.
APPLICATION_ID = 0x4B45454C
SCHEMA_VERSION = 4
BUSY_TIMEOUT_MS = 5_000
CHECKPOINT_PAGES = 4_000

MIGRATIONS = Migrations("keel")

# Columns in the order in which rows are written.
COLUMNS: dict[str, tuple[str, ...]] = {
    "events": ("seq", "run_id", "ts_ns", "kind", "client_order_id", "command_id", "payload", "chain"),
    "orders": (
        "run_id", "client_order_id", "instrument", "units", "reason", "created_ns", "price_bound", "stop_loss",
        "take_profit", "trailing_distance", "reduce_only", "risk_home", "command_id", "status", "status_ns", "detail",
        "broker_order_id", "filled_units", "seq",
    ),
    "fills": (
        "run_id", "transaction_id", "ts_ns", "instrument", "units", "price", "reason", "pl_home", "financing_home",
        "commission_home", "half_spread_home", "balance_home", "order_id", "client_order_id", "opened_trade_id",
        "closed_trade_ids", "seq",
    ),
    "trades": (
        "run_id", "trade_id", "instrument", "side", "state", "units", "units_open", "entry_ns", "entry_price",
        "exit_ns", "exit_price", "stop_loss", "take_profit", "risk_home", "realized_pl_home", "financing_home",
        "exit_reason", "client_order_id", "seq",
    ),
    "positions": ("run_id", "instrument", "units", "average_price", "ts_ns"),
    "transactions": ("run_id", "transaction_id", "kind", "ts_ns", "amount_home", "balance_home", "seq"),
    "metrics": ("run_id", "name", "value"),
    "breakers": ("run_id", "breaker", "tripped_ns", "measured", "allowed", "released_ns", "release_reason", "seq"),
    "commands": ("run_id", "command_id", "command", "accepted", "detail", "ts_ns", "seq"),
}  # fmt: skip

# Columns that hold exact decimals, in whatever table they stand.
DECIMALS = frozenset(
    "amount_home ask average_price balance_home bid closing_balance_home commission_home entry_price equity_home "
    "exit_price filled_units financing_home half_spread_home max_drawdown_pct opening_balance_home pl_home "
    "position_units price price_bound realized_pl_home risk_home stop_loss take_profit trailing_distance units "
    "units_open".split()
)

_FIRST_TABLES = (
    """CREATE TABLE runs (
        run_id INTEGER PRIMARY KEY AUTOINCREMENT,
        status TEXT NOT NULL CHECK (status IN ('RUNNING', 'STOPPED', 'FAULTED', 'ABORTED')),
        mode TEXT, started_ns INTEGER, ended_ns INTEGER, started_wall_ns INTEGER NOT NULL,
        instruments TEXT, granularity TEXT, model_id TEXT, model_sha256 TEXT, seed INTEGER, currency TEXT,
        opening_balance_home TEXT, closing_balance_home TEXT, equity_home TEXT, max_drawdown_pct TEXT,
        bars INTEGER, decisions INTEGER, orders INTEGER, fills INTEGER, trades INTEGER,
        reason TEXT, config TEXT, digest TEXT) STRICT""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs(run_id), ts_ns INTEGER NOT NULL,
        kind TEXT NOT NULL, client_order_id TEXT, command_id TEXT, payload TEXT NOT NULL) STRICT""",
    """CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, ts_ns INTEGER NOT NULL, bar_ts_ns INTEGER NOT NULL,
        instrument TEXT NOT NULL, direction INTEGER NOT NULL CHECK (direction BETWEEN -1 AND 1),
        confidence REAL NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL, bid TEXT NOT NULL, ask TEXT NOT NULL,
        equity_home TEXT NOT NULL, position_units TEXT NOT NULL, units TEXT NOT NULL, client_order_id TEXT,
        first_block TEXT) STRICT""",
    """CREATE TABLE orders (
        run_id INTEGER NOT NULL, client_order_id TEXT NOT NULL, instrument TEXT NOT NULL, units TEXT NOT NULL,
        reason TEXT NOT NULL, created_ns INTEGER NOT NULL, price_bound TEXT, stop_loss TEXT, take_profit TEXT,
        trailing_distance TEXT, reduce_only INTEGER NOT NULL, risk_home TEXT NOT NULL, command_id TEXT,
        status TEXT NOT NULL, status_ns INTEGER NOT NULL, detail TEXT NOT NULL, broker_order_id TEXT,
        filled_units TEXT NOT NULL, seq INTEGER PRIMARY KEY REFERENCES events(seq),
        UNIQUE (run_id, client_order_id)) STRICT""",
    """CREATE TABLE fills (
        run_id INTEGER NOT NULL, transaction_id INTEGER NOT NULL, ts_ns INTEGER NOT NULL, instrument TEXT NOT NULL,
        units TEXT NOT NULL, price TEXT NOT NULL, reason TEXT NOT NULL, pl_home TEXT NOT NULL,
        financing_home TEXT NOT NULL, commission_home TEXT NOT NULL, half_spread_home TEXT NOT NULL,
        balance_home TEXT NOT NULL, order_id TEXT NOT NULL, client_order_id TEXT, opened_trade_id TEXT,
        closed_trade_ids TEXT NOT NULL, seq INTEGER PRIMARY KEY REFERENCES events(seq),
        UNIQUE (run_id, transaction_id)) STRICT""",
    """CREATE TABLE trades (
        run_id INTEGER NOT NULL, trade_id TEXT NOT NULL, instrument TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('long', 'short')), state TEXT NOT NULL CHECK (state IN ('OPEN', 'CLOSED')),
        units TEXT NOT NULL, units_open TEXT NOT NULL, entry_ns INTEGER NOT NULL, entry_price TEXT NOT NULL,
        exit_ns INTEGER, exit_price TEXT, stop_loss TEXT, take_profit TEXT, risk_home TEXT,
        realized_pl_home TEXT NOT NULL, financing_home TEXT NOT NULL, exit_reason TEXT, client_order_id TEXT,
        seq INTEGER PRIMARY KEY REFERENCES events(seq), UNIQUE (run_id, trade_id)) STRICT""",
    """CREATE TABLE positions (
        run_id INTEGER NOT NULL, instrument TEXT NOT NULL, units TEXT NOT NULL, average_price TEXT,
        ts_ns INTEGER NOT NULL, PRIMARY KEY (run_id, instrument)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE transactions (
        run_id INTEGER NOT NULL, transaction_id INTEGER NOT NULL, kind TEXT NOT NULL, ts_ns INTEGER NOT NULL,
        amount_home TEXT, balance_home TEXT, seq INTEGER PRIMARY KEY REFERENCES events(seq),
        UNIQUE (run_id, transaction_id)) STRICT""",
    """CREATE TABLE metrics (
        run_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT, PRIMARY KEY (run_id, name)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE breakers (
        run_id INTEGER NOT NULL, breaker TEXT NOT NULL, tripped_ns INTEGER NOT NULL, measured TEXT NOT NULL,
        allowed TEXT NOT NULL, released_ns INTEGER, release_reason TEXT,
        seq INTEGER PRIMARY KEY REFERENCES events(seq)) STRICT""",
    """CREATE TABLE commands (
        run_id INTEGER NOT NULL, command_id TEXT NOT NULL, command TEXT NOT NULL, accepted INTEGER NOT NULL,
        detail TEXT NOT NULL, ts_ns INTEGER NOT NULL, seq INTEGER PRIMARY KEY REFERENCES events(seq)) STRICT""",
)

# Rows of a run newest first, without a sort: an index on run_id carries the rowid (seq) behind it.
_FIRST_INDEXES = (
    "CREATE INDEX decisions_by_run ON decisions(run_id)",
    "CREATE INDEX trades_by_run ON trades(run_id)",
    "CREATE INDEX orders_by_run ON orders(run_id)",
)

_DECISIONS_VIEW = """CREATE VIEW decisions_view AS SELECT seq, run_id,
        datetime(ts_ns / 1000000000, 'unixepoch') AS decided,
        datetime(bar_ts_ns / 1000000000, 'unixepoch') AS bar, instrument, direction, confidence, action, reason,
        first_block, CAST(bid AS REAL) AS bid, CAST(ask AS REAL) AS ask, CAST(equity_home AS REAL) AS equity_home,
        CAST(position_units AS REAL) AS position_units, CAST(units AS REAL) AS units, client_order_id
        FROM decisions"""

_FIRST_VIEWS = (
    """CREATE VIEW runs_view AS SELECT run_id, status, mode, instruments, granularity, model_id,
        datetime(started_ns / 1000000000, 'unixepoch') AS started,
        datetime(ended_ns / 1000000000, 'unixepoch') AS ended, currency,
        CAST(opening_balance_home AS REAL) AS opening_balance_home,
        CAST(closing_balance_home AS REAL) AS closing_balance_home, CAST(equity_home AS REAL) AS equity_home,
        CAST(max_drawdown_pct AS REAL) AS max_drawdown_pct, bars, decisions, orders, fills, trades, reason, digest
        FROM runs""",
    _DECISIONS_VIEW,
    """CREATE VIEW trades_view AS SELECT run_id, trade_id, instrument, side, state, CAST(units AS REAL) AS units,
        CAST(units_open AS REAL) AS units_open, datetime(entry_ns / 1000000000, 'unixepoch') AS entered,
        CAST(entry_price AS REAL) AS entry_price, datetime(exit_ns / 1000000000, 'unixepoch') AS exited,
        CAST(exit_price AS REAL) AS exit_price, CAST(stop_loss AS REAL) AS stop_loss,
        CAST(take_profit AS REAL) AS take_profit, CAST(risk_home AS REAL) AS risk_home,
        CAST(realized_pl_home AS REAL) AS realized_pl_home, CAST(financing_home AS REAL) AS financing_home,
        exit_reason, client_order_id
        FROM trades""",
    """CREATE VIEW fills_view AS SELECT run_id, transaction_id, datetime(ts_ns / 1000000000, 'unixepoch') AS filled,
        instrument, CAST(units AS REAL) AS units, CAST(price AS REAL) AS price, reason,
        CAST(pl_home AS REAL) AS pl_home, CAST(financing_home AS REAL) AS financing_home,
        CAST(commission_home AS REAL) AS commission_home, CAST(half_spread_home AS REAL) AS half_spread_home,
        CAST(balance_home AS REAL) AS balance_home, client_order_id
        FROM fills""",
    """CREATE VIEW transactions_view AS SELECT t.run_id, t.transaction_id, t.kind,
        datetime(t.ts_ns / 1000000000, 'unixepoch') AS happened, CAST(t.amount_home AS REAL) AS amount_home,
        CAST(t.balance_home AS REAL) AS balance_home, e.payload
        FROM transactions AS t JOIN events AS e USING (seq)""",
)


@MIGRATIONS(name="0001_first_light")
def _first_light(db: Database) -> None:
    for statement in _FIRST_TABLES + _FIRST_INDEXES + _FIRST_VIEWS:
        db.execute(statement)


# A decision stands once, in its event; whoever asks for decisions reads them there.
_DECISIONS_FROM_EVENTS = (
    "DROP VIEW decisions_view",
    "DROP TABLE decisions",
    "CREATE INDEX decisions_by_run ON events(run_id) WHERE kind = 'DecisionMade'",
    """CREATE VIEW decisions AS SELECT seq, run_id, ts_ns,
        json_extract(payload, '$.decision.bar_ts_ns') AS bar_ts_ns,
        json_extract(payload, '$.decision.instrument') AS instrument,
        json_extract(payload, '$.decision.direction') AS direction,
        json_extract(payload, '$.decision.confidence') AS confidence,
        json_extract(payload, '$.decision.action') AS action,
        json_extract(payload, '$.decision.reason') AS reason,
        json_extract(payload, '$.decision.bid') AS bid,
        json_extract(payload, '$.decision.ask') AS ask,
        json_extract(payload, '$.decision.equity_home') AS equity_home,
        json_extract(payload, '$.decision.position_units') AS position_units,
        json_extract(payload, '$.decision.units') AS units, client_order_id,
        (SELECT json_extract(payload, '$.decision.gates[' || min(gate.key) || '].name')
            FROM json_each(payload, '$.decision.gates') AS gate
            WHERE NOT json_extract(gate.value, '$.passed')) AS first_block
        FROM events WHERE kind = 'DecisionMade'""",
    _DECISIONS_VIEW,
)


@MIGRATIONS(name="0002_decisions_once")
def _decisions_once(db: Database) -> None:
    for statement in _DECISIONS_FROM_EVENTS:
        db.execute(statement)


# Whose books a run goes on with, and what was written together, hashed.
_BOOKS_GO_ON = (
    "ALTER TABLE runs ADD COLUMN account TEXT",
    "ALTER TABLE runs ADD COLUMN continues INTEGER",
    "ALTER TABLE events ADD COLUMN chain BLOB",
)
_CHAINED_AT_ONCE = 100


@MIGRATIONS(name="0003_books_go_on")
def _books_go_on(db: Database) -> None:
    for statement in _BOOKS_GO_ON:
        db.execute(statement)
    chain, last_seq = ORIGIN, 0
    while rows := db.execute(
        "SELECT seq, run_id, ts_ns, kind, payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
        [last_seq, _CHAINED_AT_ONCE],
    ).fetchall():
        chain, last_seq = link(chain, rows), rows[-1][0]
        db.execute("UPDATE events SET chain = ? WHERE seq = ?", [chain, last_seq])


# Outcomes stand in their events, as decisions do; the index finds those of a run among a million of them.
_BLOCKED_OUTCOMES = (
    "CREATE INDEX blocked_outcomes_by_run ON events(run_id) WHERE kind = 'BlockedOutcome'",
    """CREATE VIEW blocked_outcomes AS SELECT seq, run_id, ts_ns,
        json_extract(payload, '$.bar_ts_ns') AS bar_ts_ns,
        json_extract(payload, '$.instrument') AS instrument,
        json_extract(payload, '$.direction') AS direction,
        json_extract(payload, '$.gates') AS gates,
        json_extract(payload, '$.entry_price') AS entry_price,
        json_extract(payload, '$.exit_price') AS exit_price,
        json_extract(payload, '$.units') AS units,
        json_extract(payload, '$.financing_home') AS financing_home,
        json_extract(payload, '$.result_home') AS result_home,
        json_extract(payload, '$.result_r') AS result_r,
        json_extract(payload, '$.ended') AS ended,
        json_extract(payload, '$.bars') AS bars
        FROM events WHERE kind = 'BlockedOutcome'""",
)


@MIGRATIONS(name="0004_blocked_outcomes")
def _blocked_outcomes(db: Database) -> None:
    for statement in _BLOCKED_OUTCOMES:
        db.execute(statement)


def migrate(db: Database) -> None:
    """Bring a database to SCHEMA_VERSION in one transaction; the caller has checked that it is ours."""
    if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    with db.atomic():
        MIGRATIONS.apply(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_ours(conn: sqlite3.Connection, path: Path) -> int:
    """Return a database's schema version (0: empty); reads only.

    Raises ConfigError when it belongs to another program or to a newer Keel.
    """
    application_id = conn.execute("PRAGMA application_id").fetchone()[0]
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    tables = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id != APPLICATION_ID and (application_id or version or tables):
        raise ConfigError(f"Database {path} was made by another program; name a new file or one of Keel's own.")
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"Database {path} has schema version {version}, newer than {SCHEMA_VERSION}; it needs a newer Keel."
        )
    return int(version)


def open_database(path: Path, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Database:
    """Open a database for writing, made or migrated as needed; raises ConfigError and then has written nothing."""
    file_system = network_file_system(path)
    if file_system is not None:
        raise ConfigError(f"Database {path} is on a network file system ({file_system}); put it on a local disk.")
    is_new = not path.exists()
    conn: sqlite3.Connection | None = None
    try:
        conn = sqlite3.connect(path, timeout=busy_timeout_ms / 1000)
        return _opened(conn, path)
    except (sqlite3.Error, ConfigError) as error:
        if conn is not None:
            conn.close()
        if is_new:
            path.unlink(missing_ok=True)
        raise error if isinstance(error, ConfigError) else refusal(path, error) from error


def _opened(conn: sqlite3.Connection, path: Path) -> Database:
    check_ours(conn, path)
    if conn.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise ConfigError(f"Database {path} is damaged; {restoring(path)} or name a new file.")
    conn.execute("BEGIN IMMEDIATE")
    conn.rollback()
    if conn.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise ConfigError(f"Database {path} is on a file system without write-ahead logging; put it on a local disk.")
    db = Database(conn, execute_plugins=False)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        "temp_store = MEMORY",
    ):
        db.execute(f"PRAGMA {pragma}")
    migrate(db)
    return db


_REFUSALS = {
    sqlite3.SQLITE_NOTADB: "is not an SQLite database; {restoring} or name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; {restoring} or name a new file",
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; it must be a file in an existing, writable folder",
    sqlite3.SQLITE_BUSY: "is in use by another program; close that program first",
    sqlite3.SQLITE_FULL: "cannot be written because the disk is full; free some space",
}


def refusal(path: Path, error: sqlite3.Error) -> ConfigError:
    """Say in one sentence why a database cannot be used."""
    found = _REFUSALS.get(primary_code(error))
    why = found.format(restoring=restoring(path)) if found else f"cannot be used ({error})"
    return ConfigError(f"Database {path} {why}.")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's own number for an error, without its details; 0 when it is not from SQLite."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
