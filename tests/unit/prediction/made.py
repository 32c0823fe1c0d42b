"""Bars, windows and models that the tests of this room make for themselves."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.domain.market import Bar, Granularity
from engine.domain.window import BarWindow
from engine.prediction.features import lookback, reference_vector
from engine.prediction.manifest import HeldOut, Libraries, ManifestEntry, ModelClass, Trained
from engine.prediction.predictor import golden_rows

MINUTE_NS = 60_000_000_000
FEATURE_NAMES = ("return_1", "rsi_14", "spread_atr")
UP_DOWN = (ModelClass(value=0, direction=-1), ModelClass(value=1, direction=1))


def bar(index: int, closed: Decimal, opened: Decimal | None = None, spread: str = "0.00010") -> Bar:
    """Make the M1 bar that ends after `index` + 1 minutes, with wicks of one pip."""
    opened = closed if opened is None else opened
    highest, lowest, wide = (
        max(opened, closed) + Decimal("0.0001"),
        min(opened, closed) - Decimal("0.0001"),
        Decimal(spread),
    )
    return Bar(
        instrument="EUR_USD",
        granularity=Granularity.M1,
        open_ts_ns=index * MINUTE_NS,
        bid_open=opened,
        bid_high=highest,
        bid_low=lowest,
        bid_close=closed,
        ask_open=opened + wide,
        ask_high=highest + wide,
        ask_low=lowest + wide,
        ask_close=closed + wide,
        tick_count=1,
    )


def walk(count: int, seed: int = 1) -> list[Bar]:
    """Make a seeded random walk of M1 bars around 1.1 with changing spreads."""
    lots = random.Random(seed)
    price, bars = Decimal("1.10000"), []
    for index in range(count):
        opened = price
        price += Decimal(lots.randint(-40, 40)) / 100_000
        bars.append(bar(index, price, opened, spread=f"0.000{lots.randint(8, 20):02d}"))
    return bars


def window_of(bars: Sequence[Bar], capacity: int | None = None) -> BarWindow:
    """Fill a window with these bars, oldest first."""
    window = BarWindow("EUR_USD", capacity or len(bars))
    for one in bars:
        window.append(one)
    return window


def closes(*prices: float) -> BarWindow:
    """Make a window of bars that open, stay and close at the given bid prices without spread."""
    return window_of([bar(index, Decimal(str(price)), spread="0") for index, price in enumerate(prices)])


def table(rows: int = 400, seed: int = 7, names: Sequence[str] = FEATURE_NAMES) -> list[list[float]]:
    """Make seeded feature-like vectors on the scales of the real features."""
    lots = random.Random(seed)
    return [[lots.gauss(50, 15) if name == "rsi_14" else lots.gauss(0, 1) for name in names] for _ in range(rows)]


def logistic(classes: Sequence[Any] = (0, 1), seed: int = 7) -> Any:
    """Fit Pipeline(StandardScaler, LogisticRegression): a high first feature means the last class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rows = table(seed=seed)
    lots = random.Random(seed)
    scores = [row[0] + lots.gauss(0, 0.5) for row in rows]
    if len(classes) == 2:
        labels = [classes[int(score > 0)] for score in scores]
    else:
        labels = [classes[0] if score < -0.5 else classes[2] if score > 0.5 else classes[1] for score in scores]
    return Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression())]).fit(rows, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An artefact on disk outside any models folder, with the entry that fits it."""

    path: Path
    entry: ManifestEntry


def entry_for(estimator: Any, data: bytes, **changes: Any) -> ManifestEntry:
    """Describe an estimator truthfully, except for `changes`."""
    names = changes.get("features", FEATURE_NAMES)
    fields: dict[str, Any] = {
        "id": "mine",
        "title": "Mine",
        "kind": "sklearn-classifier",
        "file": "mine.skops",
        "format": "skops",
        "sha256": sha256(data).hexdigest(),
        "features": names,
        "reference": tuple(reference_vector(names)),
        "instruments": ("EUR_USD", "GBP_USD"),
        "granularity": Granularity.M1,
        "lookback_bars": lookback(names),
        "capacity": 2,
        "classes": UP_DOWN,
        "threshold": Decimal("0.6"),
        "trained": Trained(first_ns=0, last_ns=400 * MINUTE_NS, bars=400),
        "libraries": Libraries(sklearn=version("scikit-learn"), numpy=version("numpy")),
        "held_out": HeldOut(
            bars=100,
            accuracy=0.5,
            baseline_accuracy=0.5,
            log_loss=0.69,
            baseline_log_loss=0.69,
            signal_rate=0.1,
        ),
        "created_ns": 1,
    }
    if "golden" not in changes:
        fields["golden"] = golden_rows(estimator, table(rows=16, seed=3))
    return ManifestEntry(**(fields | changes))


def packed(estimator: Any, artefact_format: str = "skops") -> bytes:
    """Return the artefact bytes of an estimator."""
    import io

    import joblib
    from skops.io import dumps

    if artefact_format == "skops":
        data: bytes = dumps(estimator)
        return data
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


def made(folder: Path, estimator: Any, artefact_format: str = "skops", **changes: Any) -> Made:
    """Write an artefact beside the models folder and describe it."""
    data = packed(estimator, artefact_format)
    path = folder / f"outside.{artefact_format}"
    path.write_bytes(data)
    described = {"format": artefact_format, "file": f"mine.{artefact_format}"} | changes
    return Made(path=path, entry=entry_for(estimator, data, **described))


def collected() -> tuple[list[tuple[float, str]], Callable[[float, str], None]]:
    """Return a list and a progress function that fills it."""
    heard: list[tuple[float, str]] = []
    return heard, lambda fraction, text: heard.append((fraction, text))
