"""I am the short way through a logistic regression: scaler and weights folded into one vector.
I may import math; sklearn only inside the function that reads a fitted model.
I must not be trusted by myself: whoever uses me compares me with predict_proba first.
My tests are in tests/unit/prediction/test_predictor.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum
from operator import mul
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedLogistic:
    """A two-class logistic regression on raw features, in the order of the training columns."""

    weights: tuple[float, ...]
    intercept: float

    def probabilities(self, features: Sequence[float]) -> list[float]:
        """Return the probabilities of the first and of the second class."""
        logit = fsum(map(mul, self.weights, features)) + self.intercept
        if logit >= 0.0:
            second = 1.0 / (1.0 + exp(-logit))
        else:
            small = exp(logit)
            second = small / (1.0 + small)
        return [1.0 - second, second]


def fold(estimator: Any) -> FoldedLogistic | None:
    """Fold Pipeline(StandardScaler, LogisticRegression) with two classes; None for every other estimator.

    The scaler gives (x - mean) / scale, so weights / scale and intercept - sum(mean * weights / scale) act on x.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if type(estimator) is not Pipeline:
        return None
    steps = [step for _, step in estimator.steps]
    if [type(step) for step in steps] != [StandardScaler, LogisticRegression]:
        return None
    scaler, regression = steps
    if regression.coef_.shape[0] != 1 or not (scaler.with_mean and scaler.with_std):
        return None
    weights = (regression.coef_[0] / scaler.scale_).tolist()
    intercept = float(regression.intercept_[0]) - fsum(map(mul, scaler.mean_.tolist(), weights))
    return FoldedLogistic(weights=tuple(weights), intercept=intercept)
