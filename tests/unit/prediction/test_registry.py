"""Only a model that is what the manifest says is ever unpacked, and the reason why another is not can be read."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from engine.domain.decision import Prediction
from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.prediction.manifest import MANIFEST_NAME, GoldenRow, ModelClass
from engine.prediction.predictor import SklearnPredictor
from engine.prediction.registry import ModelRegistry, incompatibility, load_estimator
from tests.unit.prediction.made import FEATURE_NAMES, Made, entry_for, logistic, made, packed, table, walk, window_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture(params=["skops", "joblib"])
def registered(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> Made:
    model = made(tmp_path, logistic(), request.param)
    ModelRegistry(models).register(model.path, model.entry)
    return model


def rewrite_manifest(models: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = models / MANIFEST_NAME
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document["models"][0])
    path.write_text(json.dumps(document), encoding="utf-8")


class Payload:
    """Pickles into a call that creates a file."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.touched),)


def test_registered_model_is_listed_after_the_rules_and_loads(registered: Made, models: Path) -> None:
    registry = ModelRegistry(models)
    assert [spec.model_id for spec in registry.specs()] == ["sma-cross", "flat", "mine"]
    assert registry.spec("mine") == registered.entry.spec()
    assert registry.problems() == []
    predictor = registry.load("mine")
    assert predictor.spec == registered.entry.spec()
    assert isinstance(predictor.predict(window_of(walk(64))), Prediction)


def test_register_copies_the_artefact_under_its_name(registered: Made, models: Path) -> None:
    assert (models / registered.entry.file).read_bytes() == registered.path.read_bytes()
    assert sorted(path.name for path in models.iterdir()) == sorted([MANIFEST_NAME, registered.entry.file])


@pytest.mark.parametrize("model_id", ["sma-cross", "sma-cross:5/20", "flat"])
def test_rules_need_no_manifest(model_id: str, models: Path) -> None:
    (models / MANIFEST_NAME).write_text("broken", encoding="utf-8")
    registry = ModelRegistry(models)
    assert registry.load(model_id).spec == registry.spec(model_id)
    assert registry.problem(model_id) is None
    assert [spec.model_id for spec in registry.specs()] == ["sma-cross", "flat"]
    assert len(registry.problems()) == 1
    assert registry.problems()[0].startswith("manifest.json cannot be read")


def test_unknown_model_is_refused_with_the_known_ids(registered: Made, models: Path) -> None:
    for ask in (ModelRegistry(models).spec, ModelRegistry(models).load):
        with pytest.raises(
            ConfigError, match="Model 'nope' is unknown; known are sma-cross, flat, mine and sma-cross:"
        ):
            ask("nope")


def test_artefact_with_a_changed_byte_is_refused(registered: Made, models: Path) -> None:
    path = models / registered.entry.file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    registry = ModelRegistry(models)
    sentence = f"Model mine: {path.name} has changed since it was registered; register it again if that was you."
    with pytest.raises(ConfigError) as refusal:
        registry.load("mine")
    assert str(refusal.value) == sentence
    assert registry.problems() == [sentence]
    assert registry.problem("mine") == sentence


def test_missing_artefact_is_a_problem(registered: Made, models: Path) -> None:
    (models / registered.entry.file).unlink()
    registry = ModelRegistry(models)
    assert registry.problems() == [f"Model mine: {registered.entry.file} is missing from the models folder."]
    with pytest.raises(ConfigError, match=f"{registered.entry.file} is missing"):
        registry.load("mine")


def test_artefact_behind_a_link_is_refused(registered: Made, models: Path, tmp_path: Path) -> None:
    path = models / registered.entry.file
    path.replace(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    registry = ModelRegistry(models)
    assert "is a link" in registry.problems()[0]
    with pytest.raises(ConfigError, match="is a link"):
        registry.load("mine")


def test_pickle_that_the_manifest_does_not_vouch_for_never_runs(models: Path, tmp_path: Path) -> None:
    model = made(tmp_path, logistic(), "joblib")
    registry = ModelRegistry(models)
    registry.register(model.path, model.entry)
    touched = tmp_path / "touched"
    evil = pickle.dumps(Payload(touched))
    (models / "mine.joblib").write_bytes(evil)
    (models / "evil.joblib").write_bytes(evil)

    for attempt in (
        lambda: registry.load("mine"),
        lambda: registry.load("evil"),
        lambda: registry.register(models / "evil.joblib", model.entry),
        lambda: registry.register_bytes(evil, model.entry),
    ):
        with pytest.raises(ConfigError):
            attempt()
    registry.problems()
    registry.specs()
    assert not touched.exists()

    load_estimator("joblib", evil)
    assert touched.exists(), "the payload of this test does nothing, so the test proves nothing"


def test_pickle_in_a_skops_file_never_runs(models: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    evil = pickle.dumps(Payload(touched))
    entry = entry_for(logistic(), evil)
    with pytest.raises(ConfigError, match="Model mine: the artefact cannot be loaded: File is not a zip file"):
        ModelRegistry(models).register_bytes(evil, entry)
    assert not touched.exists()
    assert list(models.iterdir()) == []


class Homemade(LogisticRegression):
    """A type that skops does not know."""


def test_skops_with_an_untrusted_type_is_refused(models: Path) -> None:
    estimator = Homemade().fit(table(), [int(row[0] > 0) for row in table()])
    data = packed(estimator)
    with pytest.raises(ConfigError, match=r"Model mine: .* types that are not trusted: .*Homemade"):
        ModelRegistry(models).register_bytes(data, entry_for(estimator, data))
    assert list(models.iterdir()) == []


def test_skops_that_unpacks_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(logistic())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    monkeypatch.setattr("engine.prediction.registry.UNPACKED_BYTES_MAX", size)
    load_estimator("skops", data)
    monkeypatch.setattr("engine.prediction.registry.UNPACKED_BYTES_MAX", size - 1)
    with pytest.raises(ConfigError, match=f"unpacked it would be {size} bytes; at most {size - 1} are allowed"):
        load_estimator("skops", data)


def swap_two_names(entry: dict[str, Any]) -> None:
    entry["features"][0], entry["features"][2] = entry["features"][2], entry["features"][0]


def swap_two_golden_columns(entry: dict[str, Any]) -> None:
    for row in entry["golden"]:
        row["features"][0], row["features"][2] = row["features"][2], row["features"][0]


def swap_two_classes(entry: dict[str, Any]) -> None:
    entry["classes"].reverse()


def rename_a_feature(entry: dict[str, Any]) -> None:
    entry["features"][1] = "rsi_15"


def drop_a_feature(entry: dict[str, Any]) -> None:
    del entry["features"][1], entry["reference"][1]
    for row in entry["golden"]:
        del row["features"][1]


def redefine_a_feature(entry: dict[str, Any]) -> None:
    entry["reference"][1] += 1e-6


def shorten_the_lookback(entry: dict[str, Any]) -> None:
    entry["lookback_bars"] -= 1


def age_the_library(entry: dict[str, Any]) -> None:
    entry["libraries"]["sklearn"] = "1.2.3"


@pytest.mark.parametrize(
    ("change", "sentence", "seen_before_loading"),
    [
        (swap_two_names, "features return_1, .*are not computed as they were|features spread_atr, return_1 are", True),
        (rename_a_feature, "Features rsi_15 are unknown; allowed are", True),
        (redefine_a_feature, "features rsi_14 are not computed as they were", True),
        (shorten_the_lookback, "lookback_bars is 20; its features need 21", True),
        (age_the_library, "Model mine was made with scikit-learn 1.2.3, this console runs .*; train it again", True),
        (drop_a_feature, "it was fitted on 3 features, the manifest names 2", False),
        (swap_two_golden_columns, "probabilities differ by", False),
        (swap_two_classes, "its classes are 0, 1, the manifest names 1, 0", False),
    ],
)
def test_feature_contract(
    change: Callable[[dict[str, Any]], None],
    sentence: str,
    seen_before_loading: bool,
    registered: Made,
    models: Path,
) -> None:
    rewrite_manifest(models, change)
    registry = ModelRegistry(models)
    with pytest.raises(ConfigError, match=sentence) as refusal:
        registry.load("mine")
    assert str(refusal.value).startswith("Model mine")
    assert registry.problems() == ([str(refusal.value)] if seen_before_loading else [])


def test_names_that_the_estimator_was_fitted_with_must_be_those_of_the_manifest(models: Path) -> None:
    import pandas as pd

    swapped = (FEATURE_NAMES[2], FEATURE_NAMES[1], FEATURE_NAMES[0])
    columns = pd.DataFrame(table(), columns=list(swapped))
    estimator = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression())])
    estimator.fit(columns, [int(row[0] > 0) for row in table()])
    data = packed(estimator)
    with pytest.raises(
        ConfigError, match="fitted on features spread_atr, rsi_14, return_1, the manifest names return_1"
    ):
        ModelRegistry(models).register_bytes(data, entry_for(load_estimator("skops", data), data))
    good = entry_for(load_estimator("skops", data), data, features=swapped)
    assert ModelRegistry(models).register_bytes(data, good).features == swapped


@pytest.mark.parametrize("artefact_format", ["skops", "joblib"])
def test_estimator_without_probabilities_is_refused(artefact_format: str, models: Path) -> None:
    scaler = StandardScaler().fit(table())
    data = packed(scaler, artefact_format)
    entry = entry_for(logistic(), data, format=artefact_format, file=f"mine.{artefact_format}")
    with pytest.raises(ConfigError, match="Model mine: StandardScaler has no predict_proba; only fitted classifiers"):
        ModelRegistry(models).register_bytes(data, entry)


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_tree_models_load_from_skops(kind: str, models: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    small = {
        "forest": RandomForestClassifier(n_estimators=3, max_depth=3, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=3, random_state=0),
    }
    estimator = small[kind].fit(np.array(table()), [int(row[0] > 0) for row in table()])
    data = packed(estimator)
    registry = ModelRegistry(models)
    registry.register_bytes(data, entry_for(estimator, data))
    predictor = registry.load("mine")
    assert isinstance(predictor, SklearnPredictor)
    assert not predictor.folded
    assert isinstance(predictor.predict(window_of(walk(64))), Prediction)


def test_model_made_by_another_library_version_is_refused_whatever_the_manifest_claims() -> None:
    estimator = logistic()
    state = estimator.named_steps["scale"].__getstate__() | {"_sklearn_version": "1.0"}
    data = pickle.dumps(Restored(state))
    with pytest.raises(ConfigError, match="the artefact cannot be loaded: Trying to unpickle .* from version 1.0"):
        load_estimator("joblib", data)


class Restored:
    """Pickles into a scaler with the given state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return StandardScaler, (), self.state


def test_nothing_is_written_when_a_model_is_refused(registered: Made, models: Path) -> None:
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    estimator = logistic(seed=9)
    data = packed(estimator)
    wrong = tuple(GoldenRow(features=row.features, probabilities=(0.5, 0.5)) for row in registered.entry.golden)
    other = ModelClass(value=2, direction=1), ModelClass(value=0, direction=-1)
    for entry in (
        entry_for(estimator, data, golden=wrong),
        entry_for(estimator, data, classes=other),
        entry_for(estimator, data, sha256=sha256(b"other").hexdigest()),
        entry_for(estimator, data, id="second", file=registered.entry.file, format=registered.entry.format),
    ):
        with pytest.raises(ConfigError):
            ModelRegistry(models).register_bytes(data, entry)
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


def test_file_of_another_model_is_not_overwritten(registered: Made, models: Path) -> None:
    entry = entry_for(logistic(), b"", id="second", file=registered.entry.file, format=registered.entry.format)
    with pytest.raises(ConfigError, match=f"Model second: {registered.entry.file} already belongs to model mine"):
        ModelRegistry(models).register_bytes(b"", entry)


def test_one_bad_model_does_not_hide_the_others(registered: Made, models: Path) -> None:
    estimator = logistic(seed=9)
    data = packed(estimator)
    ModelRegistry(models).register_bytes(data, entry_for(estimator, data, id="second", file="second.skops"))
    rewrite_manifest(models, rename_a_feature)
    registry = ModelRegistry(models)
    assert [spec.model_id for spec in registry.specs()] == ["sma-cross", "flat", "mine", "second"]
    assert len(registry.problems()) == 1
    assert registry.load("second").spec.model_id == "second"


def test_listing_models_does_not_import_sklearn(models: Path, tmp_path: Path) -> None:
    model = made(tmp_path, logistic())
    ModelRegistry(models).register(model.path, model.entry)
    program = (
        "import sys; from pathlib import Path; from engine.prediction import registry, training\n"
        "models = registry.ModelRegistry(Path(sys.argv[1]))\n"
        "assert len(models.specs()) == 3 and models.problems() == [] and models.spec('mine')\n"
        "models.load('sma-cross')\n"
        "heavy = {'sklearn', 'skops', 'joblib', 'numpy', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "models.load('mine')\n"
        "assert 'sklearn' in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(models)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("instruments", "granularity", "sentence"),
    [
        (("EUR_USD",), Granularity.M1, None),
        (("EUR_USD", "GBP_USD"), Granularity.M1, None),
        (
            ("EUR_USD", "XAU_USD"),
            Granularity.M1,
            "Model mine was trained on EUR_USD, GBP_USD; it has not seen XAU_USD.",
        ),
        (("EUR_USD",), Granularity.M5, "Model mine was trained on M1 bars; M5 is chosen."),
    ],
)
def test_model_says_why_it_cannot_serve(
    instruments: tuple[str, ...], granularity: Granularity, sentence: str | None
) -> None:
    assert incompatibility(entry_for(logistic(), b"").spec(), instruments, granularity) == sentence


def test_model_serves_no_more_instruments_than_its_capacity() -> None:
    spec = entry_for(logistic(), b"", capacity=1).spec()
    assert incompatibility(spec, ("EUR_USD",), Granularity.M1) is None
    sentence = "Model mine serves at most 1 instruments at a time; 2 are chosen."
    assert incompatibility(spec, ("EUR_USD", "GBP_USD"), Granularity.M1) == sentence


def test_rules_serve_up_to_a_hundred_instruments(models: Path) -> None:
    spec = ModelRegistry(models).spec("sma-cross")
    names = tuple(f"I{number}_USD" for number in range(101))
    assert incompatibility(spec, names[:100], Granularity.D) is None
    assert incompatibility(spec, names, Granularity.D) is not None
