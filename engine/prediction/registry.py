"""I am the registry: which models exist, which of them can be used, and the only door through which one is loaded.
I may import baselines, manifest, predictor, ports and the domain; skops, joblib and sklearn inside functions.
I must not unpickle bytes before their hash is the one in the manifest, nor import sklearn to list models.
My tests are in tests/unit/prediction/test_registry.py.
"""

import io
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.ports import Predictor, PredictorSpec
from engine.prediction.baselines import baseline, baselines
from engine.prediction.manifest import (
    ARTEFACT_BYTES_MAX,
    Manifest,
    ManifestEntry,
    artefact_path,
    artefact_sha256,
    read_bounded,
    read_manifest,
    write_atomically,
    write_manifest,
)
from engine.prediction.predictor import SklearnPredictor

UNPACKED_BYTES_MAX = 512_000_000
# Beyond what skops trusts by itself (numpy, scikit-learn's public estimators): the insides of its tree models.
TRUSTED_TYPES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
# What unpacking hostile or damaged bytes is known to raise; InconsistentVersionWarning arrives as an error too.
_LOAD_ERRORS = (
    ArithmeticError, AttributeError, EOFError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    Warning, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


class ModelRegistry:
    """The rule baselines and the trained models of one models folder."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir

    def specs(self) -> tuple[PredictorSpec, ...]:
        """List what can be chosen, rules first; a manifest that cannot be read leaves the rules (see problems)."""
        rules = tuple(rule.spec for rule in baselines())
        try:
            return rules + tuple(entry.spec() for entry in self._manifest().models)
        except ConfigError:
            return rules

    def spec(self, model_id: str) -> PredictorSpec:
        """Describe one model; raises ConfigError that lists the known ids."""
        rule = baseline(model_id)
        return rule.spec if rule is not None else self._entry(model_id).spec()

    def load(self, model_id: str) -> Predictor:
        """Make a model ready to predict; raises ConfigError when it is unknown or not what the manifest says."""
        rule = baseline(model_id)
        if rule is not None:
            return rule
        entry = self._entry(model_id)
        return _load(entry, read_bounded(self._artefact(entry), ARTEFACT_BYTES_MAX))

    def register(self, artefact: Path, entry: ManifestEntry) -> PredictorSpec:
        """Trust an artefact whose hash is the one in `entry`: load it, copy it to the models folder, note it.

        A .joblib artefact runs its code here. Nothing is written when anything is wrong; raises ConfigError.
        """
        return self.register_bytes(read_bounded(artefact, ARTEFACT_BYTES_MAX), entry)

    def register_bytes(self, data: bytes, entry: ManifestEntry) -> PredictorSpec:
        """Do the same as register with an artefact in memory."""
        manifest = self._manifest()
        owner = next((known.id for known in manifest.models if known.file == entry.file and known.id != entry.id), None)
        if owner is not None:
            raise ConfigError(f"Model {entry.id}: {entry.file} already belongs to model {owner}.")
        path = artefact_path(self._models_dir, entry)
        predictor = _load(entry, data)
        write_atomically(path, data)
        write_manifest(self._models_dir, manifest.with_entry(entry))
        return predictor.spec

    def problem(self, model_id: str) -> str | None:
        """Say in one sentence why a model cannot be used, without loading it; None when nothing is known."""
        try:
            if baseline(model_id) is None:
                entry = self._entry(model_id)
                _check_before_loading(entry, artefact_sha256(self._artefact(entry)))
        except ConfigError as problem:
            return str(problem)
        return None

    def problems(self) -> list[str]:
        """Say what is wrong in the models folder, one sentence per model that cannot be used."""
        try:
            entries = self._manifest().models
        except ConfigError as problem:
            return [str(problem)]
        return [sentence for entry in entries if (sentence := self.problem(entry.id)) is not None]

    def _artefact(self, entry: ManifestEntry) -> Path:
        path = artefact_path(self._models_dir, entry)
        if not path.is_file():
            raise ConfigError(f"Model {entry.id}: {entry.file} is missing from the models folder.")
        return path

    def _manifest(self) -> Manifest:
        return read_manifest(self._models_dir)

    def _entry(self, model_id: str) -> ManifestEntry:
        manifest = self._manifest()
        entry = manifest.find(model_id)
        if entry is None:
            known = [rule.spec.model_id for rule in baselines()] + [entry.id for entry in manifest.models]
            raise ConfigError(f"Model {model_id!r} is unknown; known are {', '.join(known)} and sma-cross:FAST/SLOW.")
        return entry


def incompatibility(spec: PredictorSpec, instruments: Sequence[str], granularity: Granularity) -> str | None:
    """Say in one sentence why a model cannot serve these instruments at this granularity; None when it can."""
    strange = [name for name in instruments if spec.instruments and name not in spec.instruments]
    if strange:
        return (
            f"Model {spec.model_id} was trained on {', '.join(spec.instruments)}; it has not seen {', '.join(strange)}."
        )
    if len(instruments) > spec.instruments_max:
        return (
            f"Model {spec.model_id} serves at most {spec.instruments_max} instruments at a time; "
            f"{len(instruments)} are chosen."
        )
    if spec.granularity is not None and granularity is not spec.granularity:
        return f"Model {spec.model_id} was trained on {spec.granularity} bars; {granularity} is chosen."
    return None


def load_estimator(artefact_format: Literal["skops", "joblib"], data: bytes) -> Any:
    """Unpack a fitted estimator from bytes that are vouched for; raises ConfigError that says why it cannot be."""
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return _from_skops(data) if artefact_format == "skops" else _from_joblib(data)
    except _LOAD_ERRORS as problem:
        reason = " ".join(str(problem).split()).rstrip(".")
        raise ConfigError(f"the artefact cannot be loaded: {reason}.") from problem


def _load(entry: ManifestEntry, data: bytes) -> SklearnPredictor:
    """Load from these very bytes, after their hash was compared."""
    _check_before_loading(entry, sha256(data).hexdigest())
    try:
        estimator = load_estimator(entry.format, data)
    except ConfigError as problem:
        raise ConfigError(f"Model {entry.id}: {problem}") from problem
    return SklearnPredictor(entry, estimator)


def _check_before_loading(entry: ManifestEntry, digest: str) -> None:
    if digest != entry.sha256:
        raise ConfigError(
            f"Model {entry.id}: {entry.file} has changed since it was registered; register it again if that was you."
        )
    installed = version("scikit-learn")
    if entry.libraries.sklearn != installed:
        raise ConfigError(
            f"Model {entry.id} was made with scikit-learn {entry.libraries.sklearn}, this console runs {installed}; "
            "train it again."
        )
    entry.check_features()


def _from_skops(data: bytes) -> Any:
    from skops.io import get_untrusted_types, loads

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > UNPACKED_BYTES_MAX:
        raise ValueError(f"unpacked it would be {unpacked} bytes; at most {UNPACKED_BYTES_MAX} are allowed")
    strange = sorted(set(get_untrusted_types(data=data)) - set(TRUSTED_TYPES))
    if strange:
        raise ValueError(f"it holds types that are not trusted: {', '.join(strange)}")
    return loads(data, trusted=list(TRUSTED_TYPES))


def _from_joblib(data: bytes) -> Any:
    import joblib

    return joblib.load(io.BytesIO(data))
