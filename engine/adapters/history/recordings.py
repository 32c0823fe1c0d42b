"""I am the folder of recordings: which bar files it holds, what is in them, and how a new one gets there.
I may import the domain and what lies beside me.
I must not keep a file that cannot be played, nor read an unchanged one twice.
My tests are in tests/unit/test_wiring.py.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.adapters.history.csv_bars import read_bars
from engine.domain.error import ConfigError
from engine.domain.instrument import Instrument
from engine.domain.market import Granularity


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One bar file in the recordings folder, as the Session page lists it; problem is empty when it can be used."""

    name: str
    path: Path
    instrument: str
    granularity: Granularity | None
    bars: int
    first_ns: int
    last_ns: int
    dropped: int
    summary: str
    problem: str


class Recordings:
    """Bar files of instruments that are known; what was found in one is remembered until it changes."""

    def __init__(self, known: Mapping[str, Instrument]) -> None:
        self._known = known
        self._remembered = lru_cache(maxsize=256)(self._described)

    def listed(self, folder: Path) -> tuple[Recording, ...]:
        """List the bar files in a folder, unusable ones with the reason."""
        paths = sorted(path for path in folder.glob("*.csv*") if path.is_file()) if folder.is_dir() else []
        return tuple(self.describe(path) for path in paths)

    def kept(self, folder: Path, name: str, data: bytes) -> Recording:
        """Check an uploaded bar file and keep it in a folder; raises ConfigError and keeps nothing."""
        safe = Path(name).name
        if safe != name or not safe.endswith((".csv", ".csv.gz")) or safe.startswith("."):
            raise ConfigError(f"File name {name!r} is not a plain name that ends in .csv or .csv.gz.")
        folder.mkdir(parents=True, exist_ok=True)
        target, draft = folder / safe, folder / f".incoming-{safe}"
        try:
            draft.write_bytes(data)
            recording = self.describe(draft, safe)
            if recording.problem:
                raise ConfigError(recording.problem)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return replace(recording, path=target)

    def describe(self, path: Path, name: str | None = None, instrument: str = "") -> Recording:
        """Describe a bar file."""
        try:
            stat = path.stat()
        except OSError as error:
            return _unusable(name or path.name, path, f"File {path} cannot be read: {error.strerror}.")
        return self._remembered(name or path.name, path, instrument, stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _described(self, name: str, path: Path, instrument: str, *_version: int) -> Recording:
        try:
            bars = read_bars(path, instrument or None, known=self._known)
        except ConfigError as error:
            return _unusable(name, path, str(error).replace(str(path), name))
        return Recording(
            name=name,
            path=path,
            instrument=bars.instrument,
            granularity=bars.granularity,
            bars=len(bars.bars),
            first_ns=bars.bars[0].open_ts_ns,
            last_ns=bars.bars[-1].close_ts_ns,
            dropped=bars.dropped,
            summary=bars.summary(),
            problem="",
        )


def _unusable(name: str, path: Path, problem: str) -> Recording:
    return Recording(
        name=name,
        path=path,
        instrument="",
        granularity=None,
        bars=0,
        first_ns=0,
        last_ns=0,
        dropped=0,
        summary="",
        problem=problem,
    )
