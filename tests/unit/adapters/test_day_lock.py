"""The lock of a trading day as a file: whole or not at all, and never an exception."""

import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from engine.adapters.day_lock import FileDayLocks
from engine.ports import DayLock, UnreadableLock

KEY = "0123456789abcdef"
LOCK = DayLock(account=KEY, breaker="daily_loss", tripped_ns=1, until_ns=2)
NAME = f"day-lock-{KEY}.json"


def test_what_was_written_last_is_read_and_names_the_database_from_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    locks = FileDayLocks(data, data / "old" / "a.sqlite")
    assert locks.read(KEY) is None
    assert locks.write(LOCK) == ""
    newer = replace(LOCK, breaker="loss_streak", tripped_ns=3, until_ns=4)
    assert locks.write(newer) == ""
    assert locks.read(KEY) == replace(newer, database=str(data / "old" / "a.sqlite"))
    assert msgspec.json.decode((data / NAME).read_bytes())["database"] == "old/a.sqlite"
    assert [path.name for path in data.iterdir()] == [NAME]
    assert locks.read("another") is None


def test_a_data_folder_that_is_moved_takes_the_lock_along(tmp_path: Path) -> None:
    FileDayLocks(tmp_path / "data", tmp_path / "data" / "a.sqlite").write(LOCK)
    (tmp_path / "data").rename(tmp_path / "moved")
    found = FileDayLocks(tmp_path / "moved", tmp_path / "b.sqlite").read(KEY)
    assert found == replace(LOCK, database=str(tmp_path / "moved" / "a.sqlite"))


def test_a_database_elsewhere_is_named_in_full_and_one_beside_by_the_way_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for typed, named in (("other.sqlite", str(tmp_path / "other.sqlite")), ("data/a.sqlite", "data/a.sqlite")):
        locks = FileDayLocks(Path("data"), Path(typed))
        assert locks.write(LOCK) == ""
        assert locks.read(KEY) == replace(LOCK, database=named)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 40,
        b"{",
        b"[" * 5_000,
        b'{"account":"\xff"}',
        b"{}",
        msgspec.json.encode(replace(LOCK, account="another")),
        msgspec.json.encode(replace(LOCK, until_ns=1)),
        msgspec.json.encode(LOCK).replace(b":2,", b":20000000000000000000,"),
        msgspec.json.encode(LOCK)[:-1] + b" " * 5_000 + b"}",
    ],
)
def test_a_file_that_is_not_sound_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    found = FileDayLocks(tmp_path, tmp_path / "a.sqlite").read(KEY)
    assert isinstance(found, UnreadableLock) and found.file == str(tmp_path / NAME) and found.reason


def test_what_cannot_be_opened_is_named_and_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    locks = FileDayLocks(tmp_path, tmp_path / "a.sqlite")
    assert isinstance(locks.read(KEY), UnreadableLock)
    assert NAME in locks.write(LOCK)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    (tmp_path / "plain").write_text("")
    assert NAME in FileDayLocks(tmp_path / "plain", tmp_path / "a.sqlite").write(LOCK)
    assert FileDayLocks(tmp_path / "plain", tmp_path / "a.sqlite").read(KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="folders are protected otherwise there")
def test_a_file_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda source, target: (done.append("name"), rename(source, target))[1])
    assert FileDayLocks(tmp_path, tmp_path / "a.sqlite").write(LOCK) == ""
    assert done == ["sync", "name", "sync"]
