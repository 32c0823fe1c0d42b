"""A classifier's probabilities become the direction that its classes_ say, and nothing else does."""

import random
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.error import ConfigError
from engine.domain.window import BarWindow
from engine.prediction.features import feature_vector
from engine.prediction.logistic import fold
from engine.prediction.manifest import GoldenRow, ModelClass
from engine.prediction.predictor import SklearnPredictor, golden_rows, single_row
from tests.unit.prediction.made import FEATURE_NAMES, UP_DOWN, entry_for, logistic, table, walk, window_of

WINDOW = window_of(walk(64))


@dataclass
class Oracle:
    """A classifier of our own making behind scikit-learn's interface, which answers what it is told."""

    answer: Any
    classes: tuple[Any, ...] = (0, 1)
    n_features_in_: int = 3
    seen: list[Any] = field(default_factory=list)

    @property
    def classes_(self) -> np.ndarray:
        return np.array(self.classes)

    def get_params(self) -> dict[str, Any]:
        return {}

    def set_params(self) -> None:
        pass

    def predict_proba(self, rows: np.ndarray) -> Any:
        self.seen.append(rows)
        if isinstance(self.answer, Exception):
            raise self.answer
        return np.array([self.answer])


def asked(answer: Any, classes: tuple[ModelClass, ...] = UP_DOWN, threshold: str = "0.6") -> Any:
    """Give the predictor an oracle that answers the golden rows rightly and then `answer`."""
    values = tuple(known.value for known in classes)
    right = [1.0 / len(values)] * len(values)
    oracle = Oracle(right, values)
    golden = golden_rows(oracle, table(rows=16))
    entry = entry_for(oracle, b"", golden=golden, classes=classes, threshold=Decimal(threshold))
    predictor = SklearnPredictor(entry, oracle)
    oracle.answer = answer
    return predictor.predict(WINDOW)


def classes(*pairs: tuple[int | str, Any]) -> tuple[ModelClass, ...]:
    return tuple(ModelClass(value=value, direction=direction) for value, direction in pairs)


@pytest.mark.parametrize(
    ("known", "answer", "direction"),
    [
        (classes((-1, -1), (0, 0), (1, 1)), [0.7, 0.2, 0.1], -1),
        (classes((-1, -1), (0, 0), (1, 1)), [0.1, 0.2, 0.7], 1),
        (classes((-1, -1), (0, 0), (1, 1)), [0.1, 0.8, 0.1], 0),
        (classes((0, -1), (1, 1)), [0.7, 0.3], -1),
        (classes((0, -1), (1, 1)), [0.3, 0.7], 1),
        (classes((0, 1), (1, -1)), [0.7, 0.3], 1),
        (classes((0, 0), (1, 1), (2, -1)), [0.1, 0.2, 0.7], -1),
        (classes(("down", -1), ("up", 1)), [0.2, 0.8], 1),
        (classes(("buy", 1), ("sell", -1), ("wait", 0)), [0.2, 0.8, 0.0], -1),
    ],
)
def test_class_mapping_from_classes_(known: tuple[ModelClass, ...], answer: list[float], direction: int) -> None:
    assert asked(answer, known).direction == direction


@pytest.mark.parametrize("known", [classes((-1, -1), (1, 1)), classes((-1, -1), (0, 0), (1, 1))])
def test_fitted_classifier_sells_what_it_learnt_to_sell(known: tuple[ModelClass, ...]) -> None:
    estimator = logistic(classes=[entry.value for entry in known])
    predictor = SklearnPredictor(entry_for(estimator, b"", classes=known, threshold=Decimal("0.55")), estimator)
    seen = set()
    bars = walk(300, seed=9)
    for end in range(64, 300):
        window = window_of(bars[end - 64 : end])
        answer = predictor.predict(window)
        assert isinstance(answer, Prediction)
        assert answer.direction * feature_vector(("return_1",), window)[0] >= 0
        seen.add(answer.direction)
    assert seen == {-1, 0, 1}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([0.4, 0.6], Prediction(direction=1, confidence=0.6)),
        ([0.41, 0.59], Prediction(direction=0, confidence=0.59)),
        ([0.6, 0.4], Prediction(direction=-1, confidence=0.6)),
        ([0.59, 0.41], Prediction(direction=0, confidence=0.59)),
    ],
)
def test_direction_needs_the_threshold(answer: list[float], expected: Prediction) -> None:
    assert asked(answer) == expected


def test_tie_of_up_and_down_is_no_direction() -> None:
    assert asked([0.5, 0.5], threshold="0.4") == Prediction(direction=0, confidence=0.5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([1.2, -0.2], r"gave EUR_USD probabilities \[1.2, -0.2\]; they must be 0..1 and sum to 1"),
        ([0.7, 0.7], "must be 0..1 and sum to 1"),
        ([float("nan"), 1.0], "must be 0..1"),
        ([float("inf"), 0.0], "must be 0..1"),
        ([0.2, 0.3, 0.5], r"gave shape \(1, 3\) for 1 row and 2 classes"),
        (0.5, r"gave shape \(1,\)"),
        (ValueError("Input X contains NaN."), "could not judge EUR_USD: Input X contains NaN."),
    ],
)
def test_unusable_answer_is_a_fault(answer: Any, reason: str) -> None:
    fault = asked(answer)
    assert isinstance(fault, PredictionFault)
    assert fault.reason.startswith("mine ")

    assert re.search(reason, fault.reason)


def spoilt(column: str, value: float) -> BarWindow:
    window = window_of(walk(64))
    getattr(window, column)[-1] = value
    return window


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (spoilt("spread", float("nan")), "mine could not judge EUR_USD: feature spread_atr is nan."),
        (spoilt("close", 0.0), "mine could not judge EUR_USD: math domain error."),
        (spoilt("close", float("inf")), "mine could not judge EUR_USD: feature return_1 is nan."),
        (spoilt("spread", float("inf")), "mine could not judge EUR_USD: feature spread_atr is inf."),
        (window_of(walk(20)), "mine needs 21 bars of EUR_USD; there are 20."),
    ],
)
def test_bad_window_is_a_fault(window: BarWindow, reason: str) -> None:
    estimator = logistic()
    assert SklearnPredictor(entry_for(estimator, b""), estimator).predict(window) == PredictionFault(reason=reason)


def test_vector_reaches_the_estimator_unchanged_and_in_order() -> None:
    oracle = Oracle([0.5, 0.5])
    predictor = SklearnPredictor(entry_for(oracle, b""), oracle)
    predictor.predict(WINDOW)
    assert oracle.seen[-1].tolist() == [feature_vector(FEATURE_NAMES, WINDOW)]


@pytest.mark.parametrize("seed", range(3))
def test_folded_logistic_agrees_with_predict_proba_on_every_row(seed: int) -> None:
    estimator = logistic(seed=seed)
    predictor = SklearnPredictor(entry_for(estimator, b""), estimator)
    assert predictor.folded
    folded = fold(estimator)
    assert folded is not None
    rows = table(rows=300, seed=seed + 50)
    short = np.array([folded.probabilities(row) for row in rows])
    assert np.abs(short - estimator.predict_proba(np.array(rows))).max() <= 1e-12


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_folded_logistic_stays_within_0_and_1(row: list[float]) -> None:
    folded = FOLDED.probabilities(row)
    assert all(0.0 <= share <= 1.0 for share in folded)
    assert sum(folded) == pytest.approx(1.0, abs=1e-12)


def test_only_a_scaled_two_class_logistic_is_folded() -> None:
    rows, labels = table(), [int(row[0] > 0) for row in table()]
    assert fold(logistic(classes=(-1, 0, 1))) is None
    assert fold(LogisticRegression().fit(rows, labels)) is None
    for scaler in (StandardScaler(with_mean=False), StandardScaler(with_std=False)):
        assert fold(Pipeline([("scale", scaler), ("classify", LogisticRegression())]).fit(rows, labels)) is None
    assert fold(RandomForestClassifier(n_estimators=2).fit(rows, labels)) is None


class Shifted(LogisticRegression):
    """A logistic regression with another predict_proba; its weights say nothing about its answers."""

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X)[:, ::-1]


def test_subclass_with_its_own_answers_is_asked_and_not_folded() -> None:
    rows, labels = table(), [int(row[0] > 0) for row in table()]
    estimator = Pipeline([("scale", StandardScaler()), ("classify", Shifted())]).fit(rows, labels)
    assert not SklearnPredictor(entry_for(estimator, b""), estimator).folded


def test_fold_that_disagrees_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = logistic()
    answers = estimator.predict_proba(np.array(table(rows=16, seed=3)))
    entry = entry_for(estimator, b"")
    monkeypatch.setattr(LogisticRegression, "predict_proba", tilted(LogisticRegression.predict_proba))
    close_by = [
        GoldenRow(features=row.features, probabilities=(float(answer[0]), float(answer[1])))
        for row, answer in zip(entry.golden, answers, strict=True)
    ]
    predictor = SklearnPredictor(entry_for(estimator, b"", golden=tuple(close_by)), estimator)
    assert not predictor.folded


def tilted(predict_proba: Any) -> Any:
    """Move each probability by more than rounding, yet less than golden rows notice."""

    def moved(self: Any, rows: Any) -> Any:
        return predict_proba(self, rows) + np.array([1e-11, -1e-11])

    return moved


def test_other_classifiers_are_asked_row_by_row_on_one_job() -> None:
    lots = random.Random(3)
    rows = table()
    labels = [int(row[0] + lots.gauss(0, 1) > 0) for row in rows]
    forest = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0, n_jobs=-1).fit(rows, labels)
    rows = table(rows=16, seed=3)
    expected = forest.predict_proba(np.array(rows))
    predictor = SklearnPredictor(entry_for(forest, b""), forest)
    assert not predictor.folded
    assert forest.n_jobs == 1
    assert np.abs(np.array([single_row(forest)(row) for row in rows]) - expected).max() <= 1e-12


def test_model_that_answers_golden_rows_differently_is_refused() -> None:
    entry = entry_for(logistic(), b"")
    with pytest.raises(ConfigError, match="Model mine: probabilities differ by .* at most 1e-09 is allowed"):
        SklearnPredictor(entry, logistic(seed=8))


FOLDED = fold(logistic()) or pytest.fail("the logistic model of these tests can be folded")
