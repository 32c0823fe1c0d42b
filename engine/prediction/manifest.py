"""I am the manifest: what models/manifest.json says about each trained model, read strictly and written atomically.
I may import features, baselines, ports, market and error; msgspec, pathlib and os.
I must not load a model, follow a link, or accept a key or a file name that I do not know.
My tests are in tests/unit/prediction/test_manifest.py.
"""

import os
import re
import tempfile
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec

from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.ports import PredictorSpec
from engine.prediction.baselines import baseline
from engine.prediction.features import lookback, reference_vector

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
MANIFEST_BYTES_MAX = 10_000_000
ARTEFACT_BYTES_MAX = 256_000_000
GOLDEN_ROWS = 16
REFERENCE_ERROR_MAX = 1e-9
CAPACITY_MAX = 100
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.(skops|joblib)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


# Structs and not dataclasses: only these refuse unknown keys by themselves.
class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object with exactly the named keys."""


class ModelClass(_Record, frozen=True, kw_only=True):
    """One value of the classifier's classes_ and the direction (-1, 0, +1) that it stands for."""

    value: int | str
    direction: Literal[-1, 0, 1]


class Trained(_Record, frozen=True, kw_only=True):
    """What a model was fitted on: end of the first and of the last bar, and labelled bars over all instruments."""

    first_ns: int
    last_ns: int
    bars: int


class HeldOut(_Record, frozen=True, kw_only=True):
    """How a model did on later bars it has not seen; the baseline always says how often each class was in training.

    log_loss is in nats; signal_rate is the share of bars on which a probability reached the threshold.
    """

    bars: int
    accuracy: float
    baseline_accuracy: float
    log_loss: float
    baseline_log_loss: float
    signal_rate: float


class Libraries(_Record, frozen=True, kw_only=True):
    """Versions of what made the artefact."""

    sklearn: str
    numpy: str


class GoldenRow(_Record, frozen=True, kw_only=True):
    """One input vector and the probabilities, in the order of `classes`, that the model gave when registered."""

    features: tuple[float, ...]
    probabilities: tuple[float, ...]


class ManifestEntry(_Record, frozen=True, kw_only=True):
    """Everything that has to be known about a model before its artefact is touched.

    file is a bare name in the models folder; reference is what the features gave on the reference bars when the
    model was registered; classes are in the order of the classifier's classes_; capacity is the greatest number of
    instruments in one session. Raises ConfigError for the first value that is not allowed.
    """

    id: str
    title: str
    kind: Literal["sklearn-classifier"]
    file: str
    format: Literal["skops", "joblib"]
    sha256: str
    features: tuple[str, ...]
    reference: tuple[float, ...]
    instruments: tuple[str, ...]
    granularity: Granularity
    lookback_bars: int
    capacity: int
    classes: tuple[ModelClass, ...]
    threshold: Decimal
    trained: Trained
    libraries: Libraries
    held_out: HeldOut
    created_ns: int
    golden: tuple[GoldenRow, ...]

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or baseline(self.id) is not None:
            raise ConfigError(
                f"Model id {self.id!r} is not allowed; it must be 1 to 64 of a-z, 0-9, '.', '_', '-', "
                "begin with a letter or digit, and not be the name of a rule."
            )
        if not _FILE.fullmatch(self.file) or not self.file.endswith(f".{self.format}"):
            raise ConfigError(
                f"Model {self.id}: file {self.file!r} is not allowed; it must be a bare file name that ends in "
                f".{self.format}."
            )
        if not _SHA256.fullmatch(self.sha256):
            raise ConfigError(f"Model {self.id}: sha256 {self.sha256!r} is not 64 lower-case hexadecimal digits.")
        self._check_scope()
        self._check_classes()
        self._check_golden()

    def _check_scope(self) -> None:
        if len(set(self.features)) != len(self.features):
            raise ConfigError(f"Model {self.id}: features {', '.join(self.features)} name one feature twice.")
        if len(self.reference) != len(self.features):
            raise ConfigError(
                f"Model {self.id}: reference has {len(self.reference)} numbers for {len(self.features)} features."
            )
        if not self.instruments or len(set(self.instruments)) != len(self.instruments):
            raise ConfigError(f"Model {self.id}: instruments must name at least one, each once.")
        if not 1 <= self.capacity <= CAPACITY_MAX:
            raise ConfigError(f"Model {self.id}: capacity is {self.capacity}; it must be from 1 to {CAPACITY_MAX}.")

    def _check_classes(self) -> None:
        values = {entry.value for entry in self.classes}
        directions = {entry.direction for entry in self.classes}
        if not {-1, 1} <= directions or not len(values) == len(directions) == len(self.classes):
            said = ", ".join(f"{entry.value}: {entry.direction}" for entry in self.classes)
            raise ConfigError(
                f"Model {self.id}: classes are {said or 'missing'}; each value needs a direction of its own, "
                "with -1 and 1 among them."
            )
        if not self.threshold.is_finite() or not 0 < self.threshold <= 1:
            raise ConfigError(f"Model {self.id}: threshold is {self.threshold}; it must be more than 0 and at most 1.")

    def _check_golden(self) -> None:
        width, classes = len(self.features), len(self.classes)
        shapes_fit = all(len(row.features) == width and len(row.probabilities) == classes for row in self.golden)
        if len(self.golden) != GOLDEN_ROWS or not shapes_fit:
            raise ConfigError(
                f"Model {self.id}: golden must be {GOLDEN_ROWS} rows of {width} features and {classes} probabilities."
            )
        if not all(isfinite(number) for row in self.golden for number in row.features + row.probabilities):
            raise ConfigError(f"Model {self.id}: golden holds a number that is not finite.")

    def check_features(self) -> None:
        """Compare the features of this console with those the model was made with; raises ConfigError."""
        try:
            need, now = lookback(self.features), reference_vector(self.features)
        except ConfigError as problem:
            raise ConfigError(f"Model {self.id}: {problem}") from problem
        if self.lookback_bars != need:
            raise ConfigError(f"Model {self.id}: lookback_bars is {self.lookback_bars}; its features need {need}.")
        changed = [
            name
            for name, then, value in zip(self.features, self.reference, now, strict=True)
            if not abs(then - value) <= REFERENCE_ERROR_MAX
        ]
        if changed:
            raise ConfigError(
                f"Model {self.id}: features {', '.join(changed)} are not computed as they were when it was "
                "registered (other order or other formula); train it again."
            )

    def spec(self) -> PredictorSpec:
        """Describe this model to a session."""
        return PredictorSpec(
            model_id=self.id,
            kind=self.kind,
            title=self.title,
            features=self.features,
            lookback_bars=self.lookback_bars,
            instruments=self.instruments,
            instruments_max=self.capacity,
            granularity=self.granularity,
            sha256=self.sha256,
            threshold=self.threshold,
        )


class Manifest(_Record, frozen=True, kw_only=True):
    """The trained models that this console trusts, by unique id."""

    schema_version: int
    models: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ConfigError(f"schema_version is {self.schema_version}; this console reads {SCHEMA_VERSION}.")
        ids = [entry.id for entry in self.models]
        twice = sorted({model_id for model_id in ids if ids.count(model_id) > 1})
        if twice:
            raise ConfigError(f"model id {twice[0]} is there twice.")

    def find(self, model_id: str) -> ManifestEntry | None:
        """Return the entry of this id."""
        return next((entry for entry in self.models if entry.id == model_id), None)

    def with_entry(self, entry: ManifestEntry) -> "Manifest":
        """Return a manifest in which this entry replaces the one of its id, or comes last."""
        others = tuple(known for known in self.models if known.id != entry.id)
        return Manifest(schema_version=SCHEMA_VERSION, models=(*others, entry))


def parse_manifest(data: bytes) -> Manifest:
    """Turn JSON into a manifest; raises ConfigError that names what is wrong and where."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{MANIFEST_NAME} cannot be read: {problem}.") from problem
    except ConfigError as problem:
        raise ConfigError(f"{MANIFEST_NAME} cannot be used: {problem}") from problem


def read_manifest(models_dir: Path) -> Manifest:
    """Read the manifest of a models folder, an empty one when there is none; raises ConfigError."""
    path = models_dir / MANIFEST_NAME
    if not path.exists() and not path.is_symlink():
        return Manifest(schema_version=SCHEMA_VERSION, models=())
    return parse_manifest(read_bounded(path, MANIFEST_BYTES_MAX))


def write_manifest(models_dir: Path, manifest: Manifest) -> None:
    """Replace the manifest of a models folder in one step; raises ConfigError when the folder cannot be written."""
    write_atomically(models_dir / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def artefact_path(models_dir: Path, entry: ManifestEntry) -> Path:
    """Return where an entry's artefact lies; raises ConfigError when it is a link or outside the models folder."""
    path = models_dir / entry.file
    if path.is_symlink() or path.resolve().parent != models_dir.resolve():
        raise ConfigError(f"Model {entry.id}: {entry.file} is a link; models must be plain files in the models folder.")
    return path


def artefact_sha256(path: Path) -> str:
    """Return the hash of an existing file for display; it is read again only after size or time of change differ."""
    state = path.stat()
    return _hash_of(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=256)
def _hash_of(path: Path, _changed_ns: int, _size: int, _inode: int) -> str:
    return sha256(read_bounded(path, ARTEFACT_BYTES_MAX)).hexdigest()


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """Read a plain file of at most `bytes_max` bytes; raises ConfigError otherwise."""
    if path.is_symlink() or not path.is_file():
        raise ConfigError(f"{path.name} is missing or is not a plain file.")
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as problem:
        raise ConfigError(f"{path.name} cannot be read: {problem.strerror}.") from problem
    if len(data) > bytes_max:
        raise ConfigError(f"{path.name} is larger than {bytes_max} bytes.")
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or what was there before; raises ConfigError."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path.name} cannot be written: {problem.strerror}.") from problem
