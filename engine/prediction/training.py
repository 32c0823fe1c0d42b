"""I am the training of the starter model: from closed bars to a registered artefact, told honestly.
I may import this room, ports and the domain; pandas, sklearn and skops inside functions.
I must not look at a held-out bar before the model is fitted, nor promise an edge.
My tests are in tests/unit/prediction/test_training.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity
from engine.ports import PredictorSpec
from engine.prediction.dataset import Progress, Row, Split, labelled_rows, one_granularity, split_by_time
from engine.prediction.features import FEATURES, lookback, reference_vector
from engine.prediction.manifest import (
    CAPACITY_MAX,
    GOLDEN_ROWS,
    HeldOut,
    Libraries,
    ManifestEntry,
    ModelClass,
    Trained,
)
from engine.prediction.predictor import golden_rows
from engine.prediction.registry import ModelRegistry, load_estimator

STARTER_ID = "starter"
STARTER_TITLE = "Starter (logistic, sandbox-trained)"
STARTER_FEATURES = tuple(FEATURES)
HORIZON_BARS = 15
LEARN_SHARE = 0.75
SIGNAL_SHARE = 0.12
BARS_MIN = 300
THRESHOLD_MIN = Decimal("0.500001")
_THRESHOLD_STEP = Decimal("0.000001")
_CLASSES = (ModelClass(value=0, direction=-1), ModelClass(value=1, direction=1))


def train_starter(
    bars: Mapping[str, Sequence[Bar]],
    models_dir: Path,
    progress: Progress,
    clock_ns: Callable[[], int] | None = None,
) -> PredictorSpec:
    """Fit, judge, write and register the starter model; closed bars per instrument, all of one granularity.

    The starter shows how a trained model runs; it is a logistic regression on generated prices without an expected
    edge, and its held-out figures stand beside those of a model that knows only how often prices rose. The label
    is whether the mid close is higher HORIZON_BARS bars later; the last quarter of the rows in time is held out.
    progress hears of fractions 0..1; clock_ns tells when the model was made (None: the end of the newest bar).
    The same bars give the same predictions. Raises ConfigError when the bars do not suffice.
    """
    if not 1 <= len(bars) <= CAPACITY_MAX:
        raise ConfigError(f"Training has {len(bars)} instruments; it needs from 1 to {CAPACITY_MAX}.")
    granularity = one_granularity(bars, BARS_MIN)
    progress(0.0, "Making features")
    rows = labelled_rows(bars, STARTER_FEATURES, HORIZON_BARS, lambda done, text: progress(0.7 * done, text))
    split = split_by_time(rows, LEARN_SHARE)
    _check_split(split)
    progress(0.75, f"Loading scikit-learn, fitting on {len(split.learn)} bars")
    data = _fit(split.learn)
    progress(0.85, f"Judging on {len(split.judge)} later bars")
    created_ns = clock_ns() if clock_ns else max(series[-1].close_ts_ns for series in bars.values())
    entry = _entry(data, split, tuple(bars), granularity, created_ns)
    progress(0.95, "Registering")
    spec = ModelRegistry(models_dir).register_bytes(data, entry)
    progress(1.0, f"{STARTER_TITLE} is ready")
    return spec


def _entry(
    data: bytes, split: Split, instruments: tuple[str, ...], granularity: Granularity, created_ns: int
) -> ManifestEntry:
    """Judge the packed model and write down everything the manifest wants to know of it."""
    estimator = load_estimator("skops", data)
    threshold = _threshold(_chances_up(estimator, split.learn))
    return ManifestEntry(
        id=STARTER_ID,
        title=STARTER_TITLE,
        kind="sklearn-classifier",
        file=f"{STARTER_ID}.skops",
        format="skops",
        sha256=sha256(data).hexdigest(),
        features=STARTER_FEATURES,
        reference=tuple(reference_vector(STARTER_FEATURES)),
        instruments=instruments,
        granularity=granularity,
        lookback_bars=lookback(STARTER_FEATURES),
        capacity=len(instruments),
        classes=_CLASSES,
        threshold=threshold,
        trained=Trained(first_ns=split.learn[0].ts_ns, last_ns=split.learn[-1].ts_ns, bars=len(split.learn)),
        libraries=Libraries(sklearn=version("scikit-learn"), numpy=version("numpy")),
        held_out=_judged(estimator, split, threshold),
        created_ns=created_ns,
        golden=golden_rows(estimator, _evenly(split.judge)),
    )


def _check_split(split: Split) -> None:
    for name, rows in (("to learn from", split.learn), ("to judge by", split.judge)):
        if len(rows) < GOLDEN_ROWS or len({row.label for row in rows}) != 2:
            raise ConfigError(f"Training has {len(rows)} bars {name}; it needs {GOLDEN_ROWS} or more, up and down.")


def _fit(rows: Sequence[Row]) -> bytes:
    """Fit on one thread, so that sums are always taken in the same order, and pack the result."""
    import pandas
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from skops.io import dumps
    from threadpoolctl import threadpool_limits

    table = pandas.DataFrame([row.features for row in rows], columns=list(STARTER_FEATURES))
    # Balanced weights keep a drift of the training span from turning every signal into the same direction.
    steps = [("scale", StandardScaler()), ("classify", LogisticRegression(class_weight="balanced", max_iter=1000))]
    with threadpool_limits(limits=1):
        fitted = Pipeline(steps).fit(table, [row.label for row in rows])
    data: bytes = dumps(fitted)
    return data


def _chances_up(estimator: Any, rows: Sequence[Row]) -> list[float]:
    """Return the probability of class 1 for each row."""
    import pandas

    table = pandas.DataFrame([row.features for row in rows], columns=list(STARTER_FEATURES))
    chances: list[float] = estimator.predict_proba(table)[:, list(estimator.classes_).index(1)].tolist()
    return chances


def _threshold(chances_up: Sequence[float]) -> Decimal:
    """Return the probability that SIGNAL_SHARE of these bars reach in one direction or the other."""
    strongest = sorted(max(chance, 1.0 - chance) for chance in chances_up)
    quantile = strongest[int(len(strongest) * (1.0 - SIGNAL_SHARE))]
    return max(THRESHOLD_MIN, Decimal(quantile).quantize(_THRESHOLD_STEP, rounding=ROUND_FLOOR))


def _judged(estimator: Any, split: Split, threshold: Decimal) -> HeldOut:
    from sklearn.metrics import log_loss

    chances = _chances_up(estimator, split.judge)
    truth = [row.label for row in split.judge]
    base = sum(row.label for row in split.learn) / len(split.learn)
    hits = sum((chance > 0.5) == bool(label) for chance, label in zip(chances, truth, strict=True))
    base_hits = sum((base > 0.5) == bool(label) for label in truth)
    signals = sum(max(chance, 1.0 - chance) >= float(threshold) for chance in chances)
    return HeldOut(
        bars=len(truth),
        accuracy=hits / len(truth),
        baseline_accuracy=base_hits / len(truth),
        log_loss=float(log_loss(truth, chances, labels=[0, 1])),
        baseline_log_loss=float(log_loss(truth, [base] * len(truth), labels=[0, 1])),
        signal_rate=signals / len(truth),
    )


def _evenly(rows: Sequence[Row]) -> list[tuple[float, ...]]:
    """Pick GOLDEN_ROWS vectors over the whole span."""
    return [rows[index * len(rows) // GOLDEN_ROWS].features for index in range(GOLDEN_ROWS)]
