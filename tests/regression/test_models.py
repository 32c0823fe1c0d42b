"""Models of an earlier bot saw other numbers than in training, and their sells could never be sent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.domain.decision import PredictionFault
from engine.domain.error import ConfigError
from engine.prediction.dataset import labelled_rows
from engine.prediction.features import feature_vector
from engine.prediction.manifest import MANIFEST_NAME, ModelClass
from engine.prediction.predictor import SklearnPredictor
from engine.prediction.registry import ModelRegistry
from tests.regression.practice import practising
from tests.unit.adapters.oanda.stand import Stand
from tests.unit.prediction.made import FEATURE_NAMES, entry_for, logistic, made, walk, window_of

NAMES = ("EUR_USD", "USD_JPY")


@dataclass
class Watched:
    """A fitted classifier that remembers what it was asked."""

    inner: Any
    asked: list[tuple[float, ...]] = field(default_factory=list)
    n_features_in_: int = len(FEATURE_NAMES)

    @property
    def classes_(self) -> np.ndarray:
        return self.inner.classes_  # type: ignore[no-any-return]

    def get_params(self) -> dict[str, Any]:
        return {}

    def set_params(self) -> None:
        pass

    def predict_proba(self, rows: np.ndarray) -> Any:
        self.asked += [tuple(row) for row in rows]
        return self.inner.predict_proba(rows)


def test_feature_contract(stand: Stand, tmp_path: Path) -> None:
    """The model was trained on features and asked on raw prices, of one instrument in the place of every other."""
    watched = Watched(logistic())
    model = SklearnPredictor(entry_for(watched, b"", instruments=NAMES), watched)
    watched.asked.clear()
    with practising(stand, tmp_path, model, instruments=NAMES) as practice:
        practice.step_s = 60.0
        practice.until_bars(15)
        decided = [(one.instrument, one.bar_ts_ns) for one in practice.desk.decisions]
        history = {name: practice.data.history(name, 100) for name in NAMES}
    live = dict(zip(decided, watched.asked, strict=True))
    for name, bars in history.items():
        length_ns = bars[0].close_ts_ns - bars[0].open_ts_ns
        trained = {row.ts_ns: row.features for row in labelled_rows({name: bars}, FEATURE_NAMES, 1, lambda *_: None)}
        both = [ts for instrument, ts in live if instrument == name and ts + length_ns in trained]
        assert len(both) >= 5
        assert [live[name, ts] for ts in both] == [trained[ts + length_ns] for ts in both]


def test_feature_contract_is_checked_when_a_model_is_loaded(tmp_path: Path) -> None:
    """Missing features and missing bars were padded with zeros; what a model needs was guessed from its file's name."""
    folder = tmp_path / "models"
    folder.mkdir()
    model = made(tmp_path, logistic())
    ModelRegistry(folder).register(model.path, model.entry)
    predictor = ModelRegistry(folder).load("mine")
    short = window_of(walk(predictor.spec.lookback_bars - 1))
    assert isinstance(predictor.predict(short), PredictionFault)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    for key in ("reference", "features"):
        spoiled = json.loads(json.dumps(manifest))
        first, *others = spoiled["models"][0][key]
        spoiled["models"][0][key] = [*others, first]
        (folder / MANIFEST_NAME).write_text(json.dumps(spoiled))
        with pytest.raises(ConfigError, match="feature"):
            ModelRegistry(folder).load("mine")


@pytest.mark.parametrize("values", [(-1, 0, 1), (0, 1, 2), ("down", "flat", "up")], ids=["signs", "numbers", "words"])
def test_class_mapping_from_classes_(stand: Stand, tmp_path: Path, values: Sequence[Any]) -> None:
    """The column of a class was taken for the class: a SELL could never come out, and the last class was dropped."""
    estimator = logistic(classes=values)
    known = tuple(ModelClass(value=value, direction=sign) for value, sign in zip(values, (-1, 0, 1), strict=True))
    model = SklearnPredictor(entry_for(estimator, b"", classes=known, threshold=Decimal("0.6")), estimator)
    with practising(stand, tmp_path, model) as practice:
        practice.step_s = 60.0
        practice.until_bars(24)
        history = practice.data.history("EUR_USD", 200)
        for one in practice.desk.decisions:
            seen = window_of([bar for bar in history if bar.open_ts_ns <= one.bar_ts_ns])
            (rise,) = feature_vector(FEATURE_NAMES[:1], seen)
            assert one.direction * rise >= 0, "it learnt to sell after a fall and to buy after a rise"
        sides = {trade[0] for trade in practice.rows("SELECT side FROM trades")}
        assert {one.direction for one in practice.desk.decisions} == {-1, 0, 1} and sides == {"long", "short"}
