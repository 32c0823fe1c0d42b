"""I am the predictor: a fitted scikit-learn classifier behind the Predictor port.
I may import features, manifest, logistic, ports and the domain; numpy, sklearn and threadpoolctl inside functions.
I must not read files, guess which column means up, or let a bad number become a signal.
My tests are in tests/unit/prediction/test_predictor.py.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.error import ConfigError
from engine.domain.window import BarWindow
from engine.prediction.features import feature_vector
from engine.prediction.logistic import fold
from engine.prediction.manifest import GoldenRow, ManifestEntry

GOLDEN_ERROR_MAX = 1e-9
FOLDED_ERROR_MAX = 1e-12
SUM_ERROR_MAX = 1e-6

Evaluate = Callable[[Sequence[float]], list[float]]


class SklearnPredictor:
    """A trained classifier: features of the newest bars -> class probabilities -> direction.

    Raises ConfigError when the estimator is not the one its manifest entry describes.
    """

    __slots__ = ("_down", "_evaluate", "_threshold", "_up", "folded", "spec")

    def __init__(self, entry: ManifestEntry, estimator: Any) -> None:
        _check_shape(entry, estimator)
        slow = single_row(estimator)
        _check_golden(entry, slow)
        fast = _agreeing_fold(entry, estimator, slow)
        self.spec = entry.spec()
        self.folded = fast is not None
        self._evaluate = fast or slow
        directions = [known.direction for known in entry.classes]
        self._up, self._down = directions.index(1), directions.index(-1)
        self._threshold = float(entry.threshold)

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        """Judge the newest bar: the likelier of up and down if its probability reaches the threshold, else 0.

        confidence is that probability, also when it did not suffice and the direction is 0.
        """
        spec = self.spec
        if len(window) < spec.lookback_bars:
            return self._fault(f"needs {spec.lookback_bars} bars of {window.instrument}; there are {len(window)}")
        try:
            vector = feature_vector(spec.features, window)
            if not all(map(isfinite, vector)):
                name, value = next(pair for pair in zip(spec.features, vector, strict=True) if not isfinite(pair[1]))
                return self._fault(f"could not judge {window.instrument}: feature {name} is {value}")
            probabilities = self._evaluate(vector)
        except (ValueError, ArithmeticError) as problem:
            return self._fault(f"could not judge {window.instrument}: {problem}")
        if not all(0.0 <= share <= 1.0 for share in probabilities) or abs(sum(probabilities) - 1.0) > SUM_ERROR_MAX:
            return self._fault(
                f"gave {window.instrument} probabilities {probabilities}; they must be 0..1 and sum to 1"
            )
        return self._judge(probabilities[self._up], probabilities[self._down])

    def _judge(self, up: float, down: float) -> Prediction:
        confidence = max(up, down)
        if confidence < self._threshold or up == down:
            return Prediction(direction=0, confidence=confidence)
        return Prediction(direction=1 if up > down else -1, confidence=confidence)

    def _fault(self, reason: str) -> PredictionFault:
        return PredictionFault(reason=f"{self.spec.model_id} {reason}.")


def single_row(estimator: Any) -> Evaluate:
    """Make a function that gives one row to predict_proba on one thread; it raises ValueError for a wrong shape.

    Prepares the estimator for this: no jobs of its own, and rows without names (names are checked before).
    """
    import numpy
    import sklearn
    from threadpoolctl import ThreadpoolController

    _strip_names(estimator)
    jobs = {name: 1 for name, value in estimator.get_params().items() if name.endswith("n_jobs") and value is not None}
    estimator.set_params(**jobs)
    pools = ThreadpoolController()
    width = len(estimator.classes_)

    def evaluate(vector: Sequence[float]) -> list[float]:
        row = numpy.array([vector], dtype=numpy.float64)
        with (
            pools.limit(limits=1),
            sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
        ):
            answer = numpy.asarray(estimator.predict_proba(row))
        if answer.shape != (1, width):
            raise ValueError(f"predict_proba gave shape {answer.shape} for 1 row and {width} classes")
        return [float(share) for share in answer[0]]

    return evaluate


def golden_rows(estimator: Any, vectors: Sequence[Sequence[float]]) -> tuple[GoldenRow, ...]:
    """Note what an estimator answers to these vectors, for the check at every later load."""
    evaluate = single_row(estimator)
    return tuple(GoldenRow(features=tuple(vector), probabilities=tuple(evaluate(vector))) for vector in vectors)


def _check_shape(entry: ManifestEntry, estimator: Any) -> None:
    """Compare columns and classes with the manifest; raises ConfigError."""
    missing = [name for name in ("predict_proba", "classes_", "n_features_in_") if not hasattr(estimator, name)]
    if missing:
        kind = type(estimator).__name__
        raise ConfigError(f"Model {entry.id}: {kind} has no {missing[0]}; only fitted classifiers can be used.")
    if estimator.n_features_in_ != len(entry.features):
        raise ConfigError(
            f"Model {entry.id}: it was fitted on {estimator.n_features_in_} features, the manifest names "
            f"{len(entry.features)}."
        )
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is not None and tuple(fitted) != entry.features:
        raise ConfigError(
            f"Model {entry.id}: it was fitted on features {', '.join(fitted)}, the manifest names "
            f"{', '.join(entry.features)}."
        )
    classes, named = list(estimator.classes_), [known.value for known in entry.classes]
    if classes != named:
        raise ConfigError(
            f"Model {entry.id}: its classes are {', '.join(map(str, classes))}, the manifest names "
            f"{', '.join(map(str, named))}."
        )


def _strip_names(estimator: Any) -> None:
    for part in (estimator, *(step for _, step in getattr(estimator, "steps", ()))):
        vars(part).pop("feature_names_in_", None)


def _check_golden(entry: ManifestEntry, evaluate: Evaluate) -> None:
    try:
        error = _largest_error(entry.golden, evaluate)
    except ValueError as problem:
        raise ConfigError(f"Model {entry.id}: its golden rows cannot be evaluated: {problem}.") from problem
    if not error <= GOLDEN_ERROR_MAX:
        raise ConfigError(
            f"Model {entry.id}: probabilities differ by {error:.1e} from those noted when it was registered; "
            f"at most {GOLDEN_ERROR_MAX:.0e} is allowed."
        )


def _largest_error(golden: Sequence[GoldenRow], evaluate: Evaluate) -> float:
    pairs = (pair for row in golden for pair in zip(evaluate(row.features), row.probabilities, strict=True))
    return max(abs(answer - noted) for answer, noted in pairs)


def _agreeing_fold(entry: ManifestEntry, estimator: Any, slow: Evaluate) -> Evaluate | None:
    """Return the short way through this estimator if there is one and it gives what predict_proba gives."""
    folded = fold(estimator)
    if folded is None:
        return None
    answers = [GoldenRow(features=row.features, probabilities=tuple(slow(row.features))) for row in entry.golden]
    return folded.probabilities if _largest_error(answers, folded.probabilities) <= FOLDED_ERROR_MAX else None
