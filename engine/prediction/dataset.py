"""I am the training table: labelled feature rows of several instruments in time order, split without leaks.
I may import features, ports, window, market and error.
I must not compute a feature myself, nor let a label reach over the split.
My tests are in tests/unit/prediction/test_dataset.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity
from engine.domain.window import BarWindow
from engine.prediction.features import feature_vector, lookback

Progress = Callable[[float, str], None]
PROGRESS_EVERY_BARS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Features at the end of one bar, and whether the mid close was higher (1) or lower (0) some bars later.

    label_ns is when that later close became known.
    """

    ts_ns: int
    label_ns: int
    features: tuple[float, ...]
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows to learn from and later rows to judge by; no label of the first was known after `cut_ns`."""

    cut_ns: int
    learn: tuple[Row, ...]
    judge: tuple[Row, ...]


def one_granularity(bars: Mapping[str, Sequence[Bar]], bars_min: int) -> Granularity:
    """Return the granularity that all these bars share; raises ConfigError, also when there are too few bars."""
    for instrument, series in bars.items():
        if len(series) < bars_min:
            raise ConfigError(f"Training has {len(series)} bars of {instrument}; it needs at least {bars_min}.")
    found = {bar.granularity for series in bars.values() for bar in (series[0], series[-1])}
    if len(found) != 1:
        names = ", ".join(sorted(found)) or "none"
        raise ConfigError(f"Training needs bars of one granularity; there are {names}.")
    return found.pop()


def labelled_rows(
    bars: Mapping[str, Sequence[Bar]], features: Sequence[str], horizon_bars: int, progress: Progress
) -> tuple[Row, ...]:
    """Make every row whose look-back and label exist, in time order; closes that end up equal give no row.

    progress hears of fractions 0..1 of this work.
    """
    total = sum(map(len, bars.values()))
    done = 0
    rows: list[Row] = []
    for instrument, series in bars.items():
        for index, row in enumerate(_rows_of(instrument, series, tuple(features), horizon_bars)):
            if row is not None:
                rows.append(row)
            if index % PROGRESS_EVERY_BARS == 0:
                progress((done + index) / total, f"Features of {instrument}: bar {index + 1} of {len(series)}")
        done += len(series)
    return tuple(sorted(rows, key=lambda row: row.ts_ns))


def split_by_time(rows: Sequence[Row], learn_share: float) -> Split:
    """Cut rows in time order at the moment by which `learn_share` of them exist, purging labels that reach over it.

    Source: purging as in Lopez de Prado 2018, chapter 7.
    """
    if not rows:
        raise ConfigError("Training has no labelled bars; prices must move.")
    cut_ns = rows[int(len(rows) * learn_share)].ts_ns
    learn = tuple(row for row in rows if row.label_ns <= cut_ns)
    judge = tuple(row for row in rows if row.ts_ns >= cut_ns)
    return Split(cut_ns=cut_ns, learn=learn, judge=judge)


def _rows_of(instrument: str, series: Sequence[Bar], features: tuple[str, ...], horizon: int) -> Iterator[Row | None]:
    """Walk through one instrument as a session would; None where a bar gives no row."""
    window = BarWindow(instrument, lookback(features))
    for index, bar in enumerate(series):
        window.append(bar)
        later = series[index + horizon] if index + horizon < len(series) else None
        yield _row(window, features, bar, later) if window.full and later is not None else None


def _row(window: BarWindow, features: tuple[str, ...], bar: Bar, later: Bar) -> Row | None:
    # Twice the mid, exactly: as floats two equal mids can differ by rounding and would be labelled up or down.
    now, then = bar.bid_close + bar.ask_close, later.bid_close + later.ask_close
    if then == now:
        return None
    return Row(
        ts_ns=bar.close_ts_ns,
        label_ns=later.close_ts_ns,
        features=tuple(feature_vector(features, window)),
        label=int(then > now),
    )
