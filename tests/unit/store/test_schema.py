"""The file is ours, whole, of a version we know and writable, or it is refused in one sentence and left alone."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlite_utils import Database

from engine.domain.error import ConfigError
from engine.store import schema
from engine.store.checkup import verify
from tests.unit.store.tape import decided, of_second_version, opened_store, record, story

NOBODY = 65_534


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A database that holds one finished run, closed."""
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    return path


@contextmanager
def unprivileged() -> Iterator[None]:
    """Lose the superuser's right to write anywhere, where the tests run as one."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that an unprivileged user can reach and read, with everything above it."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and "pytest-of-" in str(folder):
            folder.chmod(0o755)
    return tmp_path


def refused(path: Path) -> str:
    """Why the file is refused: one sentence that names it; the file and its folder must be as before."""
    before = content(path.parent)
    with pytest.raises(ConfigError) as caught:
        opened_store(path, busy_timeout_ms=50)
    assert content(path.parent) == before
    text = str(caught.value)
    assert str(path) in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


def content(folder: Path) -> dict[str, bytes | None]:
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def test_columns_are_those_of_the_database_in_order(recorded: Path) -> None:
    db = Database(recorded)
    for table, columns in schema.COLUMNS.items():
        assert tuple(column.name for column in db[table].columns) == columns
    db.close()


def test_every_table_is_strict_and_the_connection_is_durable(tmp_path: Path) -> None:
    db = schema.open_database(tmp_path / "keel.sqlite")
    ours = [table for table in db.tables if not table.name.startswith(("_", "sqlite_"))]
    assert {table.name for table in ours} == {"runs", *schema.COLUMNS}
    assert all(table.strict for table in ours)
    values = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert values == {"journal_mode": "wal", "synchronous": 2}
    assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert db.execute("PRAGMA busy_timeout").fetchone()[0] == 5_000
    db.close()


@pytest.mark.parametrize(("table", "column"), [("trades", "entry_ns"), ("events", "ts_ns"), ("fills", "seq")])
def test_a_value_of_the_wrong_type_is_refused_by_the_table(recorded: Path, table: str, column: str) -> None:
    conn = sqlite3.connect(recorded)
    with pytest.raises(sqlite3.Error, match="cannot store TEXT value in INTEGER|datatype mismatch"):
        conn.execute(f"UPDATE {table} SET {column} = 'noon'")
    conn.close()


def test_bytes_are_refused_where_text_is_wanted(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store BLOB value in TEXT column trades.units"):
        conn.execute("UPDATE trades SET units = x'00'")
    conn.close()


def test_every_decimal_is_stored_as_text(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    seen = set()
    for table in ("runs", "decisions", *schema.COLUMNS):
        names = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
        for column in schema.DECIMALS.intersection(names):
            types = {row[0] for row in conn.execute(f"SELECT typeof({column}) FROM {table}")}
            assert types <= {"text", "null"}, (table, column)
            seen.add(column)
    conn.close()
    assert seen == schema.DECIMALS


def test_views_give_numbers_and_dates(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    row = conn.execute("SELECT typeof(realized_pl_home), entered, side FROM trades_view ORDER BY trade_id").fetchone()
    assert row[0] == "real"
    assert row[1].startswith("2014-05-13 ")
    for view in ("runs_view", "decisions_view", "fills_view", "transactions_view"):
        assert conn.execute(f"SELECT count(*) FROM {view}").fetchone()[0] > 0
    conn.close()


def test_a_file_of_the_first_version_keeps_its_decisions(tmp_path: Path, recorded: Path) -> None:
    old = Database(tmp_path / "old.sqlite")
    schema.MIGRATIONS.apply(old, stop_before="0002_decisions_once")
    old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.attach("new", recorded)
    columns = ", ".join(column.name for column in old["decisions"].columns)
    with old.atomic():
        for table in ("runs", "events"):
            known = ", ".join(column.name for column in old[table].columns)
            old.execute(f"INSERT INTO {table} ({known}) SELECT {known} FROM new.{table}")
        old.execute(f"INSERT INTO decisions ({columns}) SELECT {columns} FROM new.decisions")
    before = old.execute(f"SELECT {columns} FROM decisions ORDER BY seq").fetchall()
    old.close()
    opened_store(tmp_path / "old.sqlite").close()
    conn = sqlite3.connect(tmp_path / "old.sqlite")
    assert conn.execute("SELECT type FROM sqlite_master WHERE name = 'decisions'").fetchone() == ("view",)
    assert conn.execute(f"SELECT {columns} FROM decisions ORDER BY seq").fetchall() == before
    assert {row[-1] for row in before} == {None, "risk"}
    conn.close()
    found = {check.check for check in verify(tmp_path / "old.sqlite") if not check.ok}
    assert found == {"balances", "tables"}, "only the events and runs of this file were made"


def test_a_file_of_the_second_version_is_chained_and_can_be_rebuilt(tmp_path: Path, recorded: Path) -> None:
    store = opened_store(recorded)
    record(store.begin_run(), [decided() for _ in range(250)], batch=90)
    store.close()
    of_second_version(tmp_path / "old.sqlite", recorded)
    opened_store(tmp_path / "old.sqlite").close()
    conn = sqlite3.connect(tmp_path / "old.sqlite")
    last = conn.execute("SELECT max(seq) FROM events").fetchone()[0]
    chained = [row[0] for row in conn.execute("SELECT seq FROM events WHERE chain IS NOT NULL ORDER BY seq")]
    assert chained == [100, 200, last]
    assert conn.execute("SELECT DISTINCT account, continues FROM runs").fetchall() == [(None, None)]
    conn.close()
    store = opened_store(tmp_path / "old.sqlite")
    record(store.begin_run(), story(3).events)
    store.close()
    assert [check.detail for check in verify(tmp_path / "old.sqlite") if not check.ok] == []


def test_migrating_again_changes_nothing(recorded: Path) -> None:
    db = Database(recorded)
    before = list(db.query("SELECT name, sql FROM sqlite_master ORDER BY name"))
    schema.migrate(db)
    assert list(db.query("SELECT name, sql FROM sqlite_master ORDER BY name")) == before
    db.close()


def test_a_newer_schema_is_refused(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    conn.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    conn.close()
    assert f"schema version {schema.SCHEMA_VERSION + 1}" in refused(recorded)


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    path.write_text("run_id,trade_id\n" * 100)
    assert "not an SQLite database" in refused(path)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE bookmarks (url TEXT)")
    conn.commit()
    conn.close()
    assert "made by another program" in refused(path)


def test_an_empty_file_is_taken_as_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    path.touch()
    store = opened_store(path)
    assert store.begin_run().run_id == 1
    store.close()


def test_a_cut_database_is_refused(recorded: Path) -> None:
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refused(recorded)


def test_a_database_damaged_where_nobody_looks_at_the_start_is_refused(recorded: Path) -> None:
    conn = sqlite3.connect(recorded)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'metrics'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: (page - 1) * size] + b"\xff" * size + whole[page * size :])
    assert "is damaged" in refused(recorded)


def test_a_damaged_database_names_its_newest_backup(recorded: Path) -> None:
    (recorded.parent / "backups").mkdir()
    for day in ("20260101", "20260103", "20260102"):
        (recorded.parent / "backups" / f"keel-{day}T000000Z.sqlite").touch()
    newest = f"restore the backup {recorded.parent / 'backups' / 'keel-20260103T000000Z.sqlite'} or name "
    whole = recorded.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"\x00" * 16 + whole[16:], whole[:16] + b"\xff" * 84 + whole[100:]):
        recorded.write_bytes(damaged)
        assert newest in refused(recorded)


def test_a_missing_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    assert "existing, writable folder" in refused(tmp_path / "nowhere" / "keel.sqlite")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keel.sqlite").mkdir()
    assert "cannot be opened" in refused(tmp_path / "keel.sqlite")


def test_a_read_only_file_is_refused(open_folder: Path, recorded: Path) -> None:
    recorded.chmod(0o444)
    with unprivileged():
        text = refused(recorded)
    assert "read-only" in text or "writable folder" in text


def test_a_read_only_folder_is_refused(open_folder: Path, recorded: Path) -> None:
    folder = open_folder / "locked"
    folder.mkdir()
    shutil.copy(recorded, folder / "old.sqlite")
    (folder / "old.sqlite").chmod(0o666)
    folder.chmod(0o555)
    with unprivileged():
        assert "writable folder" in refused(folder / "new.sqlite")
        assert "its folder writable" in refused(folder / "old.sqlite")
    folder.chmod(0o755)


def test_a_full_disk_leaves_no_beginnings_of_a_database(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        refused(tmp_path / "keel.sqlite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_database_that_another_program_writes_to_is_refused(recorded: Path) -> None:
    other = sqlite3.connect(recorded)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="in use by another program"):
        opened_store(recorded, busy_timeout_ms=50)
    other.close()
