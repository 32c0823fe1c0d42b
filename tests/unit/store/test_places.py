"""Where backups lie, which is the newest, and that a network disk is told from a local one."""

from pathlib import Path

import pytest

from engine.domain.error import ConfigError
from engine.store import places
from tests.unit.store.tape import opened_store

MOUNTS = """32 31 0:41 / {folder}/net/disk rw - ext4 /dev/vdb rw
31 27 0:40 / {folder}/net rw - nfs4 server:/share rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
33 27 0:42 / {folder}/two\\040words rw shared:7 - cifs //server/share rw
34 27 0:43 /
"""


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which, by a table of mounts of ours, some places are on other machines."""
    (tmp_path / "mounts").write_text(MOUNTS.format(folder=tmp_path.resolve()))
    monkeypatch.setattr(places, "MOUNTS", tmp_path / "mounts")
    for name in ("net/disk", "network", "two words"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("net/a.sqlite", "nfs4"),
        ("net/deeper/a.sqlite", "nfs4"),
        ("two words/a.sqlite", "cifs"),
        ("net/disk/a.sqlite", None),
        ("network/a.sqlite", None),
        ("a.sqlite", None),
    ],
)
def test_a_network_file_system_is_told_by_its_mount(mounted: Path, place: str, kind: str | None) -> None:
    assert places.network_file_system(mounted / place) == kind


def test_a_link_to_a_network_disk_is_one(mounted: Path) -> None:
    (mounted / "here").symlink_to(mounted / "net")
    assert places.network_file_system(mounted / "here" / "a.sqlite") == "nfs4"


def test_where_it_cannot_be_told_it_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOUNTS", tmp_path / "none")
    assert places.network_file_system(tmp_path / "a.sqlite") is None


def test_a_database_on_a_network_disk_is_refused_and_not_made(mounted: Path) -> None:
    with pytest.raises(ConfigError, match=r"is on a network file system \(nfs4\); put it on a local disk\.$"):
        opened_store(mounted / "net" / "keel.sqlite")
    assert list((mounted / "net").iterdir()) == [mounted / "net" / "disk"]
    opened_store(mounted / "net" / "disk" / "keel.sqlite").close()


def test_backups_are_listed_oldest_first_by_their_names_alone(tmp_path: Path) -> None:
    database = tmp_path / "console.sqlite"
    assert places.backups(database) == []
    assert places.restoring(database) == "restore a backup"
    folder = places.backups_folder(database)
    folder.mkdir()
    for name in ("console-20260102T000000Z.sqlite", "console-20251231T235959Z.sqlite", "console-x.sqlite", "notes.txt"):
        (folder / name).touch()
    assert [path.name[8:16] for path in places.backups(database)] == ["20251231", "20260102"]
    assert places.restoring(database) == f"restore the backup {folder / 'console-20260102T000000Z.sqlite'}"


def test_a_backup_is_named_after_its_moment_in_utc(tmp_path: Path) -> None:
    made = places.backup_path(tmp_path / "own.sqlite", 1_773_489_599_999_999_999)
    assert made == tmp_path / "backups" / "own-20260314T115959Z.sqlite"
