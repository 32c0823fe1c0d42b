"""A backup is the whole database as of one moment, or there is none; the newest fourteen stay."""

import os
import resource
import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.domain.error import ConfigError
from engine.store.backup import KEPT, back_up, back_up_daily, is_missing_today
from engine.store.checkup import verify
from engine.store.places import backups
from tests.unit.store.tape import opened_store, record, story
from tests.unit.store.test_rebuild import tables

NOON_NS = 1_773_489_600_000_000_000  # 2026-03-14T12:00:00Z
HOUR_NS = 3_600_000_000_000


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "console.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    return path


def test_a_backup_holds_everything_and_trading_can_go_on_from_it(recorded: Path) -> None:
    store = opened_store(recorded)
    journal = store.begin_run()
    record(journal, story(2).events[:20])
    made = back_up(recorded, NOON_NS)
    assert made == recorded.parent / "backups" / "console-20260314T120000Z.sqlite"
    assert tables(made) == tables(recorded)
    record(journal, story(2).events[20:])
    store.close()
    assert len(tables(made)["events"]) < len(tables(recorded)["events"])
    shutil.copy(made, recorded.with_name("restored.sqlite"))
    restored = opened_store(recorded.with_name("restored.sqlite"))
    record(restored.begin_run(), story(3).events)
    restored.close()
    assert all(check.ok for check in verify(recorded.with_name("restored.sqlite")))


def test_a_backup_is_not_open_to_others(recorded: Path) -> None:
    assert back_up(recorded, NOON_NS).stat().st_mode & 0o077 == 0


def test_a_backup_can_be_put_anywhere_and_then_no_other_one_is_taken_away(recorded: Path) -> None:
    for hour in range(KEPT):
        back_up(recorded, NOON_NS + hour * HOUR_NS)
    made = back_up(recorded, NOON_NS, recorded.with_name("mine.sqlite"))
    assert made == recorded.with_name("mine.sqlite") and tables(made) == tables(recorded)
    assert len(backups(recorded)) == KEPT


@pytest.mark.parametrize("out", [None, "mine.sqlite"])
def test_a_backup_is_never_overwritten(recorded: Path, out: str | None) -> None:
    chosen = recorded.with_name(out) if out else None
    made = back_up(recorded, NOON_NS, chosen)
    before = made.read_bytes()
    store = opened_store(recorded)
    record(store.begin_run(), story(2).events)
    store.close()
    with pytest.raises(ConfigError, match="exists already and is not overwritten"):
        back_up(recorded, NOON_NS, chosen)
    assert made.read_bytes() == before


def test_a_backup_does_not_replace_the_database_nor_what_a_link_leads_to(recorded: Path) -> None:
    link = recorded.with_name("link.sqlite")
    link.symlink_to(recorded.with_name("nowhere"))
    for out in (recorded, link):
        with pytest.raises(ConfigError, match="not overwritten"):
            back_up(recorded, NOON_NS, out)
    assert link.is_symlink()


def test_the_newest_fourteen_stay_and_nobody_elses_files_go(recorded: Path) -> None:
    folder = recorded.parent / "backups"
    folder.mkdir()
    (folder / "console-old.sqlite").touch()
    (folder / "other-20200101T000000Z.sqlite").touch()
    for hour in range(KEPT + 3):
        back_up(recorded, NOON_NS + hour * HOUR_NS)
    kept = backups(recorded)
    assert len(kept) == KEPT
    assert (kept[0].name, kept[-1].name) == ("console-20260314T150000Z.sqlite", "console-20260315T040000Z.sqlite")
    assert (folder / "console-old.sqlite").exists() and (folder / "other-20200101T000000Z.sqlite").exists()


def test_what_a_broken_off_backup_left_goes_after_a_day(recorded: Path) -> None:
    folder = recorded.parent / "backups"
    folder.mkdir()
    left, fresh = folder / ".console-a.part", folder / ".console-b.part"
    for path in (left, fresh):
        path.touch()
    os.utime(left, (1, 1))
    back_up(recorded, NOON_NS)
    assert not left.exists() and fresh.exists()


def test_a_full_disk_leaves_no_half_a_backup_and_the_older_ones(recorded: Path) -> None:
    older = back_up(recorded, NOON_NS)
    engine = opened_store(recorded)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for bytes_max in (0, 512, 4_096, 20_000, older.stat().st_size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
        try:
            with pytest.raises(ConfigError, match=r"The backup .* cannot be written \("):
                back_up(recorded, NOON_NS + HOUR_NS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [path.name for path in older.parent.iterdir()] == [older.name]
    record(engine.begin_run(), story(2).events)
    engine.close()


def test_a_damaged_database_is_not_backed_up(recorded: Path) -> None:
    older = back_up(recorded, NOON_NS)
    conn = sqlite3.connect(recorded)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.close()
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: (page - 1) * size] + b"\xff" * size + whole[page * size :])
    with pytest.raises(ConfigError, match="is damaged; restore the backup .*20260314T120000Z"):
        back_up(recorded, NOON_NS + HOUR_NS)
    assert backups(recorded) == [older]


def test_a_backup_where_none_can_be_is_refused_in_one_sentence(recorded: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; name one"):
        back_up(recorded.with_name("none.sqlite"), NOON_NS)
    with pytest.raises(ConfigError, match="cannot be written"):
        back_up(recorded, NOON_NS, recorded.parent / "nowhere" / "copy.sqlite")
    (recorded.parent / "backups").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        back_up(recorded, NOON_NS)
    assert sorted(path.name for path in recorded.parent.iterdir() if path.suffix != ".sqlite-wal")[0] == "backups"


def test_one_backup_a_day_in_utc(recorded: Path) -> None:
    midnight = NOON_NS + 12 * HOUR_NS
    assert is_missing_today(recorded, NOON_NS)
    assert back_up_daily(recorded, NOON_NS) is not None
    assert back_up_daily(recorded, midnight - 1) is None
    assert not is_missing_today(recorded, midnight - 1)
    assert back_up_daily(recorded, midnight) is not None
    assert len(backups(recorded)) == 2


def test_nothing_is_made_of_a_database_that_holds_nothing_or_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "console.sqlite"
    assert back_up_daily(path, NOON_NS) is None
    opened_store(path).close()
    assert back_up_daily(path, NOON_NS) is None
    assert not (tmp_path / "backups").exists()
