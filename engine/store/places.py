"""I am the places around a database: where its backups lie, which is the newest, and what kind of disk it is on.
I may import the domain.
I must not open the database.
My tests are in tests/unit/store/test_places.py.
"""

import calendar
import re
import time
from pathlib import Path

from engine.domain.market import NS_PER_S

# Linux lists here what is mounted where, with the kind of file system behind " - " (proc(5)).
MOUNTS = Path("/proc/self/mountinfo")
# Where SQLite's shared memory or locks do not hold between machines (sqlite.org/wal.html, "same host").
_NETWORK = frozenset("afs ceph cifs fuse.sshfs fuse.glusterfs glusterfs lustre ncpfs nfs nfs4 smb3 smbfs".split())


def backups_folder(database: Path) -> Path:
    """Where the backups of a database lie: in `backups` beside it."""
    return database.parent / "backups"


def backup_path(database: Path, wall_ns: int) -> Path:
    """Name the backup of this moment: console-20260314T120000Z.sqlite, in UTC."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_ns // NS_PER_S))
    return backups_folder(database) / f"{database.stem}-{moment}.sqlite"


def backups(database: Path) -> list[Path]:
    """List the backups of a database that have a name of ours, oldest first."""
    ours = re.compile(re.escape(database.stem) + r"-\d{8}T\d{6}Z\.sqlite")
    try:
        return sorted(path for path in backups_folder(database).iterdir() if ours.fullmatch(path.name))
    except OSError:
        return []


def backup_ns(backup: Path) -> int:
    """Return the moment that the name of a backup of ours tells."""
    moment = time.strptime(backup.stem[-16:], "%Y%m%dT%H%M%SZ")
    return calendar.timegm(moment) * NS_PER_S


def restoring(database: Path) -> str:
    """Say what to do about a database that cannot be used, naming its newest backup if there is one."""
    found = backups(database)
    return f"restore the backup {found[-1]}" if found else "restore a backup"


def network_file_system(path: Path) -> str | None:
    """Name the network file system that a file is (or would be) on; None on a local one, or where it cannot be told."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        place = path.resolve()
    except (OSError, RuntimeError):
        return None
    found, depth = None, 0
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(), tail.split(" ")[0]
        mounted = (
            Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])) if len(fields) > 4 else None
        )
        if mounted is not None and len(mounted.parts) >= depth and place.is_relative_to(mounted):
            found, depth = kind, len(mounted.parts)
    return found if found in _NETWORK else None
