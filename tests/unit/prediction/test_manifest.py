"""The manifest is read strictly, refused in one sentence, and written whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.domain.error import ConfigError
from engine.domain.market import Granularity
from engine.prediction.manifest import (
    MANIFEST_NAME,
    Manifest,
    ManifestEntry,
    artefact_path,
    parse_manifest,
    read_bounded,
    read_manifest,
    write_atomically,
    write_manifest,
)
from tests.unit.prediction.made import entry_for, logistic, packed


@pytest.fixture(scope="module")
def entry() -> ManifestEntry:
    estimator = logistic()
    return entry_for(estimator, packed(estimator))


@pytest.fixture
def document(entry: ManifestEntry, tmp_path: Path) -> dict[str, Any]:
    write_manifest(tmp_path, Manifest(schema_version=1, models=(entry,)))
    parsed: dict[str, Any] = json.loads((tmp_path / MANIFEST_NAME).read_text(encoding="utf-8"))
    return parsed


def test_what_is_written_is_read_back_equal(entry: ManifestEntry, tmp_path: Path) -> None:
    manifest = Manifest(schema_version=1, models=(entry,))
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_folder_without_manifest_has_no_models(tmp_path: Path) -> None:
    assert read_manifest(tmp_path).models == ()


def test_entry_of_the_same_id_is_replaced(entry: ManifestEntry) -> None:
    other = ManifestEntry(**{name: getattr(entry, name) for name in entry.__struct_fields__} | {"title": "Newer"})
    manifest = Manifest(schema_version=1, models=(entry,)).with_entry(other)
    assert [known.title for known in manifest.models] == ["Newer"]


def test_spec_carries_what_a_session_asks(entry: ManifestEntry) -> None:
    spec = entry.spec()
    assert (spec.model_id, spec.kind, spec.granularity) == ("mine", "sklearn-classifier", Granularity.M1)
    assert (spec.instruments, spec.instruments_max, spec.lookback_bars) == (("EUR_USD", "GBP_USD"), 2, 21)
    assert (spec.features, spec.threshold, spec.sha256) == (entry.features, entry.threshold, entry.sha256)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"id": "Mine"}, "Model id 'Mine' is not allowed"),
    ({"id": "flat"}, "Model id 'flat' is not allowed"),
    ({"id": "../x"}, "is not allowed; it must be"),
    ({"id": 5}, r"Expected `str`, got `int` - at `\$.models\[0\].id`"),
    ({"kind": "keras"}, r"Invalid enum value 'keras' - at `\$.models\[0\].kind`"),
    ({"file": "../mine.skops"}, "file '../mine.skops' is not allowed; it must be a bare file name"),
    ({"file": "sub/mine.skops"}, "must be a bare file name"),
    ({"file": "sub\\mine.skops"}, "must be a bare file name"),
    ({"file": "/etc/mine.skops"}, "must be a bare file name"),
    ({"file": ".mine.skops"}, "must be a bare file name"),
    ({"file": "mine.skops\n"}, "must be a bare file name"),
    ({"file": "mine.pkl"}, "must be a bare file name that ends in .skops"),
    ({"file": "mine.joblib"}, "must be a bare file name that ends in .skops"),
    ({"sha256": "ABC"}, "sha256 'ABC' is not 64"),
    ({"features": ["rsi_14", "rsi_14", "return_1"]}, "name one feature twice"),
    ({"reference": [1.0]}, "reference has 1 numbers for 3 features"),
    ({"instruments": []}, "instruments must name at least one"),
    ({"instruments": ["EUR_USD", "EUR_USD"]}, "instruments must name at least one, each once"),
    ({"granularity": "M3"}, "Invalid enum value 'M3'"),
    ({"capacity": 0}, "capacity is 0; it must be from 1 to 100"),
    ({"capacity": 101}, "capacity is 101; it must be from 1 to 100"),
    ({"threshold": "0"}, "threshold is 0; it must be more than 0 and at most 1"),
    ({"threshold": "1.01"}, "threshold is 1.01; it must be more than 0 and at most 1"),
    ({"threshold": "NaN"}, "threshold is NaN"),
    ({"classes": []}, "classes are missing"),
    ({"classes": [{"value": 0, "direction": 0}, {"value": 1, "direction": 1}]}, "classes are 0: 0, 1: 1; each value"),
    ({"classes": [{"value": 0, "direction": -1}, {"value": 0, "direction": 1}]}, "each value needs a direction of its"),
    (
        {"classes": [{"value": value, "direction": -1 if value == 0 else 1} for value in range(3)]},
        "each value needs a direction of its own",
    ),
    ({"classes": [{"value": 0, "direction": 2}]}, "Invalid enum value 2"),
    ({"golden": []}, "golden must be 16 rows of 3 features and 2 probabilities"),
    ({"colour": "blue"}, r"Object contains unknown field `colour` - at `\$.models\[0\]`"),
]


@pytest.mark.parametrize(("change", "sentence"), BROKEN)
def test_broken_entry_is_refused_by_name(document: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    document["models"][0] |= change
    with pytest.raises(ConfigError, match=sentence) as refusal:
        parse_manifest(json.dumps(document).encode())
    assert str(refusal.value).startswith("manifest.json can")
    assert str(refusal.value).endswith(".")


def test_golden_row_of_another_width_is_refused(document: dict[str, Any]) -> None:
    document["models"][0]["golden"][7]["features"].append(1.0)
    with pytest.raises(ConfigError, match="golden must be 16 rows of 3 features"):
        parse_manifest(json.dumps(document).encode())


@pytest.mark.parametrize("field", ["sha256", "golden", "classes", "libraries", "held_out"])
def test_missing_field_is_refused_by_name(document: dict[str, Any], field: str) -> None:
    del document["models"][0][field]
    with pytest.raises(ConfigError, match=f"missing required field `{field}`"):
        parse_manifest(json.dumps(document).encode())


def test_id_that_is_there_twice_is_refused(document: dict[str, Any]) -> None:
    document["models"].append(document["models"][0])
    with pytest.raises(ConfigError, match="model id mine is there twice"):
        parse_manifest(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cannot be read"),
        (b"[", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"schema_version": 2, "models": []}', "schema_version is 2; this console reads 1"),
        (b'{"schema_version": 1, "models": [], "more": 1}', "unknown field `more`"),
    ],
)
def test_text_that_is_no_manifest_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_manifest(data)


def test_manifest_that_is_a_link_is_refused(entry: ManifestEntry, tmp_path: Path) -> None:
    real, folder = tmp_path / "real", tmp_path / "models"
    real.mkdir()
    folder.mkdir()
    write_manifest(real, Manifest(schema_version=1, models=(entry,)))
    (folder / MANIFEST_NAME).symlink_to(real / MANIFEST_NAME)
    with pytest.raises(ConfigError, match="not a plain file"):
        read_manifest(folder)


def test_artefact_that_is_a_link_is_refused(entry: ManifestEntry, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.skops").write_bytes(b"x")
    assert artefact_path(tmp_path, entry) == tmp_path / "mine.skops"
    (tmp_path / "mine.skops").symlink_to(tmp_path / "elsewhere.skops")
    with pytest.raises(ConfigError, match="mine.skops is a link"):
        artefact_path(tmp_path, entry)


def test_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(ConfigError, match="big is larger than 4 bytes"):
        read_bounded(path, 4)


def missing_folder(tmp_path: Path) -> Path:
    return tmp_path / "none" / "file"


def taken_by_a_folder(tmp_path: Path) -> Path:
    (tmp_path / "file" / "inside").mkdir(parents=True)
    return tmp_path / "file"


@pytest.mark.parametrize("place", [missing_folder, taken_by_a_folder])
def test_failed_write_leaves_nothing_behind(place: Callable[[Path], Path], tmp_path: Path) -> None:
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="file cannot be written"):
        write_atomically(path, b"data")
    assert sorted(tmp_path.rglob("*")) == before
