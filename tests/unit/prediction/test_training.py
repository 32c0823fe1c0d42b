"""The starter is trained end to end on a random walk, judged honestly, and equal for equal bars."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.metrics import accuracy_score, log_loss

from engine.domain.decision import Prediction
from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity
from engine.domain.window import BarWindow
from engine.prediction.dataset import labelled_rows, split_by_time
from engine.prediction.manifest import read_manifest
from engine.prediction.predictor import SklearnPredictor
from engine.prediction.registry import ModelRegistry, incompatibility, load_estimator
from engine.prediction.training import HORIZON_BARS, LEARN_SHARE, STARTER_FEATURES, train_starter
from tests.unit.prediction.made import collected, walk

BARS = 1500


def named(instrument: str, seed: int, count: int = BARS) -> list[Bar]:
    return [replace(bar, instrument=instrument) for bar in walk(count, seed)]


@pytest.fixture(scope="module")
def bars() -> dict[str, list[Bar]]:
    return {"EUR_USD": named("EUR_USD", 11), "GBP_USD": named("GBP_USD", 12)}


@pytest.fixture(scope="module")
def models(bars: dict[str, list[Bar]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train_starter(bars, folder, collected()[1], clock_ns=lambda: 42)
    return folder


def predictions(models: Path, series: list[Bar]) -> list[Prediction]:
    predictor = ModelRegistry(models).load("starter")
    window, found = BarWindow(series[0].instrument, predictor.spec.lookback_bars), []
    for bar in series:
        window.append(bar)
        if window.full:
            answer = predictor.predict(window)
            assert isinstance(answer, Prediction)
            found.append(answer)
    return found


def test_starter_is_registered_like_any_model(models: Path) -> None:
    registry = ModelRegistry(models)
    spec = registry.spec("starter")
    assert spec.title == "Starter (logistic, sandbox-trained)"
    assert (spec.instruments, spec.instruments_max) == (("EUR_USD", "GBP_USD"), 2)
    assert (spec.granularity, spec.lookback_bars, spec.features) == (Granularity.M1, 30, STARTER_FEATURES)
    assert registry.problems() == []
    assert incompatibility(spec, ("EUR_USD", "GBP_USD"), Granularity.M1) is None
    assert sorted(path.name for path in models.iterdir()) == ["manifest.json", "starter.skops"]
    assert read_manifest(models).models[0].created_ns == 42


def test_starter_takes_the_short_way(models: Path) -> None:
    predictor = ModelRegistry(models).load("starter")
    assert isinstance(predictor, SklearnPredictor)
    assert predictor.folded


def test_signals_are_neither_absent_nor_constant(models: Path) -> None:
    counts = Counter(answer.direction for answer in predictions(models, named("EUR_USD", 99, 3000)))
    signals = counts[1] + counts[-1]
    assert 0.02 < signals / counts.total() < 0.40
    assert min(counts[1], counts[-1]) > 0.1 * signals


def test_held_out_figures_are_those_of_bars_after_the_cut(models: Path, bars: dict[str, list[Bar]]) -> None:
    entry = read_manifest(models).models[0]
    rows = labelled_rows(bars, STARTER_FEATURES, HORIZON_BARS, lambda fraction, text: None)
    split = split_by_time(rows, LEARN_SHARE)
    estimator = load_estimator("skops", (models / "starter.skops").read_bytes())
    del estimator.named_steps["scale"].feature_names_in_
    truth = [row.label for row in split.judge]
    chances = estimator.predict_proba(np.array([row.features for row in split.judge]))
    learnt = np.mean([row.label for row in split.learn])
    base = np.tile([1 - learnt, learnt], (len(truth), 1))
    held_out = entry.held_out
    assert (held_out.bars, entry.trained.bars) == (len(truth), len(split.learn))
    assert held_out.accuracy == pytest.approx(accuracy_score(truth, chances.argmax(axis=1)))
    assert held_out.baseline_accuracy == pytest.approx(accuracy_score(truth, base.argmax(axis=1)))
    assert held_out.log_loss == pytest.approx(log_loss(truth, chances))
    assert held_out.baseline_log_loss == pytest.approx(log_loss(truth, base))
    assert held_out.signal_rate == pytest.approx(np.mean(chances.max(axis=1) >= float(entry.threshold)))
    assert entry.trained.last_ns < split.cut_ns <= min(row.ts_ns for row in split.judge)


def test_no_edge_is_found_in_a_random_walk(models: Path) -> None:
    held_out = read_manifest(models).models[0].held_out
    assert 0.35 < held_out.accuracy < 0.65


def test_same_bars_give_the_same_predictions(models: Path, bars: dict[str, list[Bar]], tmp_path: Path) -> None:
    train_starter(bars, tmp_path, collected()[1])
    again, first = read_manifest(tmp_path).models[0], read_manifest(models).models[0]
    assert (again.golden, again.threshold, again.held_out) == (first.golden, first.threshold, first.held_out)
    fresh = named("EUR_USD", 99, 200)
    assert predictions(tmp_path, fresh) == predictions(models, fresh)
    assert again.created_ns == max(series[-1].close_ts_ns for series in bars.values())


def test_later_bars_do_not_change_what_was_learnt(bars: dict[str, list[Bar]], models: Path, tmp_path: Path) -> None:
    """Turn the held-out prices upside down: the fitted model must stay the same, its figures must not."""
    cut_ns = read_manifest(models).models[0].trained.last_ns + HORIZON_BARS * 60_000_000_000
    top = Decimal("2.2")

    def mirrored(bar: Bar) -> Bar:
        if bar.close_ts_ns <= cut_ns:
            return bar
        prices = {
            f"{side}_{part}": getattr(bar, f"{side}_{part}") for side in ("bid", "ask") for part in ("open", "close")
        }
        mirror = {name: top - price for name, price in prices.items()}
        ends = {f"{side}_high": top - getattr(bar, f"{side}_low") for side in ("bid", "ask")}
        ends |= {f"{side}_low": top - getattr(bar, f"{side}_high") for side in ("bid", "ask")}
        return replace(bar, **(mirror | ends))

    train_starter({name: [mirrored(bar) for bar in series] for name, series in bars.items()}, tmp_path, collected()[1])
    changed, known = read_manifest(tmp_path).models[0], read_manifest(models).models[0]
    assert (changed.trained, changed.threshold) == (known.trained, known.threshold)
    assert changed.held_out != known.held_out
    weights = [
        load_estimator("skops", (folder / "starter.skops").read_bytes()).named_steps["classify"].coef_.tolist()
        for folder in (models, tmp_path)
    ]
    assert weights[0] == weights[1]


def test_progress_is_told_often_and_ends_at_1(bars: dict[str, list[Bar]], tmp_path: Path) -> None:
    heard, progress = collected()
    train_starter(bars, tmp_path, progress)
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert len(fractions) >= 16
    assert all(text for _, text in heard)


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        ({}, "Training has 0 instruments; it needs from 1 to 100"),
        ({"EUR_USD": walk(299)}, "Training has 299 bars of EUR_USD; it needs at least 300"),
    ],
)
def test_bars_that_do_not_suffice_are_refused_and_nothing_is_written(
    series: dict[str, list[Bar]], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train_starter(series, tmp_path, collected()[1])
    assert list(tmp_path.iterdir()) == []


def test_prices_that_only_rise_are_refused(tmp_path: Path) -> None:
    from tests.unit.prediction.made import bar

    rising = [bar(index, Decimal(110_000 + index) / 100_000) for index in range(400)]
    with pytest.raises(ConfigError, match="it needs 16 or more, up and down"):
        train_starter({"EUR_USD": rising}, tmp_path, collected()[1])
    assert list(tmp_path.iterdir()) == []
