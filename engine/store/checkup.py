"""I am the checkup: whether a database is whole, unchanged, without gaps, and says what its events say.
I may import error, and chain, codec, places, rebuild, rows and schema of my own floor.
I must not change the database: I look at a copy of it, as of one moment, while an engine may go on writing.
My tests are in tests/unit/store/test_checkup.py.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
from sqlite_utils import Database

from engine.domain.error import ConfigError, KeelError
from engine.store.chain import ORIGIN, Link, link
from engine.store.codec import decode
from engine.store.places import restoring
from engine.store.rebuild import rebuild
from engine.store.rows import references
from engine.store.schema import COLUMNS, check_ours, migrate, open_database, refusal

_EVENTS = "SELECT seq, run_id, ts_ns, kind, payload, chain, client_order_id, command_id FROM events ORDER BY seq"

_AFTER_GAP = """SELECT seq FROM events AS e WHERE seq > 1
    AND NOT EXISTS (SELECT 1 FROM events WHERE seq = e.seq - 1) ORDER BY seq LIMIT 1"""

_BOOKS = """SELECT run_id, continues, opening_balance_home, closing_balance_home, status FROM runs
    WHERE opening_balance_home IS NOT NULL ORDER BY run_id"""

_TRANSACTIONS = """SELECT seq, transaction_id, kind, amount_home, balance_home FROM transactions
    WHERE run_id = ? ORDER BY seq"""

_TABLES = ("runs", *(table for table in COLUMNS if table != "events"))


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found; seq is the first event that is concerned, None where there is none."""

    check: str
    ok: bool
    detail: str
    seq: int | None = None


def verify(database: Path) -> tuple[Check, ...]:
    """Check a database in every way; a file that cannot be read through is not looked at any further.

    Raises ConfigError when there is none, it is not one of ours, or there is no room for the copy.
    """
    if not database.is_file():
        raise ConfigError(f"Database {database} does not exist; name one that a session has written.")
    with tempfile.TemporaryDirectory(prefix="keel-verify-") as folder:
        copy = Path(folder) / "copy.sqlite"
        whole = _copied(database, copy)
        if not whole.ok:
            return (whole,)
        try:
            return (whole, *_checks(copy))
        except sqlite3.Error as error:
            raise refusal(database, error) from error


def verify_file(database: Path) -> Check:
    """Check only whether SQLite can read the whole file, which takes a moment; raises ConfigError as verify does."""
    with tempfile.TemporaryDirectory(prefix="keel-verify-") as folder:
        return _copied(database, Path(folder) / "copy.sqlite")


def rebuild_tables(database: Path) -> int:
    """Make every table again from the events; the caller owns the database. Returns the number of events.

    Raises ConfigError, and then has changed nothing.
    """
    if not database.is_file():
        raise ConfigError(f"Database {database} does not exist; name one that a session has written.")
    db = open_database(database)
    try:
        return rebuild(db)
    except sqlite3.Error as error:
        raise refusal(database, error) from error
    finally:
        db.conn.close()


def _copied(database: Path, copy: Path) -> Check:
    """Copy the file as of one moment, page by page, and check the copy: read-only, SQLite checks less."""
    conn = sqlite3.connect(database.absolute().as_uri() + "?mode=ro", uri=True)
    into = sqlite3.connect(copy)
    try:
        check_ours(conn, database)
        conn.backup(into)
        found = [str(row[0]) for row in into.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            return _damaged(database, "; ".join(" ".join(line.split()) for line in found))
    except sqlite3.DatabaseError as error:
        if int(getattr(error, "sqlite_errorcode", 0)) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return _damaged(database, str(error))
        raise refusal(database, error) from error
    finally:
        into.close()
        conn.close()
    return Check(check="file", ok=True, detail=f"whole, {copy.stat().st_size} bytes")


def _damaged(database: Path, why: str) -> Check:
    return Check(check="file", ok=False, detail=f"damaged ({why}); {restoring(database)}")


def _checks(copy: Path) -> Iterator[Check]:
    conn = sqlite3.connect(copy)
    try:
        conn.execute("PRAGMA journal_mode = MEMORY")
        conn.execute("PRAGMA synchronous = OFF")
        db = Database(conn, execute_plugins=False)
        migrate(db)
        yield _sequence(conn)
        yield from _record(conn)
        yield _balances_or_why_not(conn)
        yield _tables(db)
    finally:
        conn.close()


def _sequence(conn: sqlite3.Connection) -> Check:
    count, first, last = conn.execute("SELECT count(*), min(seq), max(seq) FROM events").fetchone()
    if count == 0 or (first == 1 and last == count):
        return Check(check="sequence", ok=True, detail=f"{count} events without a gap")
    after = first if first != 1 else conn.execute(_AFTER_GAP).fetchone()[0]
    return Check(check="sequence", ok=False, detail=f"events are missing right before event {after}", seq=after)


def _record(conn: sqlite3.Connection) -> Iterator[Check]:
    """Walk once through the events: are they as they were written, and can each be read?"""
    previous, batch = ORIGIN, list[Link]()
    changed: Check | None = None
    unreadable: Check | None = None
    for *event, chain, client_order_id, command_id in conn.execute(_EVENTS):
        seq, run_id, ts_ns, kind, payload = event
        unreadable = unreadable or _unreadable(seq, ts_ns, kind, payload, (client_order_id, command_id))
        batch.append((seq, run_id, ts_ns, kind, payload))
        if chain is not None:
            changed = changed or _changed(previous, batch, chain)
            previous, batch = chain, []
    if batch and not changed:
        changed = Check(
            check="chain", ok=False, detail=f"event {batch[0][0]} and later are not chained", seq=batch[0][0]
        )
    yield changed or Check(check="chain", ok=True, detail="every event is as it was written")
    yield unreadable or Check(check="events", ok=True, detail="every event can be read")


def _changed(previous: bytes, batch: list[Link], chain: bytes) -> Check | None:
    if link(previous, batch) == chain:
        return None
    first, last = batch[0][0], batch[-1][0]
    return Check(check="chain", ok=False, detail=f"events {first} to {last} are not as they were written", seq=first)


def _unreadable(seq: int, ts_ns: int, kind: str, payload: str, named: tuple[str | None, str | None]) -> Check | None:
    try:
        event = decode(kind, payload)
    except ValueError as error:
        return Check(check="events", ok=False, detail=f"event {seq} cannot be read: {error}", seq=seq)
    if event.ts_ns == ts_ns and references(event) == named:
        return None
    return Check(check="events", ok=False, detail=f"the columns of event {seq} differ from its payload", seq=seq)


def _tables(db: Database) -> Check:
    """Make the tables again and compare them with those that were there."""
    for table in _TABLES:
        db.execute(f"CREATE TEMP TABLE stored_{table} AS SELECT * FROM {table}")  # noqa: S608 - names of our own schema
    try:
        rebuild(db)
    except (KeelError, sqlite3.IntegrityError) as error:
        return Check(check="tables", ok=False, detail=f"the tables cannot be made from the events: {error}")
    found = [(table, first) for table in _TABLES if (first := _first_difference(db.conn, table)) is not None]
    if not found:
        return Check(check="tables", ok=True, detail=f"{len(_TABLES)} tables say what the events say")
    names = ", ".join(table for table, _ in found)
    table, first = found[0]
    seq = first if "seq" in COLUMNS.get(table, ()) else None
    where = f"event {first}" if seq else f"run {first}"
    detail = f"{names} differ from the events, the first at {where}; python -m engine store rebuild makes them again"
    return Check(check="tables", ok=False, detail=detail, seq=seq)


def _first_difference(conn: sqlite3.Connection, table: str) -> int | None:
    key = "seq" if "seq" in COLUMNS.get(table, ()) else "run_id"
    made, stored = f"SELECT * FROM main.{table}", f"SELECT * FROM temp.stored_{table}"  # noqa: S608 - our own names
    either = f"SELECT * FROM ({made} EXCEPT {stored}) UNION ALL SELECT * FROM ({stored} EXCEPT {made})"  # noqa: S608
    found = conn.execute(f"SELECT min({key}) FROM ({either})").fetchone()[0]  # noqa: S608
    return None if found is None else int(found)


def _balances_or_why_not(conn: sqlite3.Connection) -> Check:
    try:
        return _balances(conn)
    except InvalidOperation:
        return _broken("an amount or a balance is not a number")


def _balances(conn: sqlite3.Connection) -> Check:
    """Add up each account's books over all their runs: what began them + every transaction = every balance."""
    ends: dict[int, _Books] = {}
    count = 0
    for run_id, continues, opening, closing, status in conn.execute(_BOOKS).fetchall():
        books = ends.get(continues, _Books(balance_home=Decimal(opening)))
        if books.balance_home != Decimal(opening):
            return _broken(f"run {run_id} begins with {opening}, run {continues} ended with {books.balance_home}")
        for row in conn.execute(_TRANSACTIONS, (run_id,)):
            count += 1
            after = books.after(*row)
            if isinstance(after, Check):
                return after
            books = after
        if status in ("STOPPED", "FAULTED") and (closing is None or books.balance_home != Decimal(closing)):
            return _broken(f"run {run_id} ends with {closing}, its transactions with {books.balance_home}")
        ends[run_id] = books
    return Check(check="balances", ok=True, detail=f"{count} transactions lead to every balance")


def _broken(detail: str, seq: int | None = None) -> Check:
    return Check(check="balances", ok=False, detail=detail, seq=seq)


class _Books(msgspec.Struct, frozen=True, kw_only=True):
    """How far books have been added up: balance, the broker's number of the newest transaction, was money moved."""

    balance_home: Decimal
    transaction_id: int | None = None
    moved: bool = False

    def after(
        self, seq: int, transaction_id: int, kind: str, amount: str | None, balance: str | None
    ) -> "_Books | Check":
        """Add a transaction, or say what is wrong with it."""
        if self.transaction_id is not None and transaction_id != self.transaction_id + 1:
            return _broken(f"transaction {transaction_id} follows {self.transaction_id}: one is missing", seq)
        if amount is None or balance is None:
            return _Books(balance_home=self.balance_home, transaction_id=transaction_id, moved=self.moved)
        # the opening balance of a simulated account is its first transaction
        added, left = Decimal(amount), Decimal(balance)
        is_opening = not self.moved and kind == "FundsTransferred" and added == left == self.balance_home
        if not is_opening and self.balance_home + added != left:
            return _broken(f"transaction {transaction_id} adds {amount} to {self.balance_home}, leaving {balance}", seq)
        return _Books(balance_home=left, transaction_id=transaction_id, moved=True)
