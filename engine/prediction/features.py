"""I am the features: numbers that a model sees, each a pure function of one instrument's newest closed bars.
I may import the window and error of the domain.
I must not look beyond a feature's look-back, remember anything between bars, or import numpy or pandas.
My tests are in tests/unit/prediction/test_features.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import copysign, cos, fsum, isfinite, log, pi, sin, sqrt
from types import MappingProxyType

from engine.domain.error import Bug, ConfigError
from engine.domain.window import BarWindow, average_true_range

VOLATILITY_BARS = 20
ATR_BARS = 14
RATIO_MAX = 10.0
_RADIANS_PER_NS = 2 * pi / 86_400_000_000_000


class Look:
    """One look at a window; what several features need is computed once, and only if one of them asks.

    Sums are `math.fsum`: exactly rounded, hence equal on every Python version and independent of order.
    """

    __slots__ = ("_atr", "_returns", "_volatility", "close", "window")

    def __init__(self, window: BarWindow) -> None:
        self.window = window
        self.close = window.close
        self._atr: float | None = None
        self._volatility: float | None = None
        self._returns: list[float] | None = None

    def atr(self) -> float:
        """Average true range of ATR_BARS bars, in quote currency; needs ATR_BARS + 1 bars."""
        if self._atr is None:
            self._atr = average_true_range(self.window, ATR_BARS)
        return self._atr

    def returns(self) -> list[float]:
        """Log returns of the last VOLATILITY_BARS bars, oldest first; needs VOLATILITY_BARS + 1 bars."""
        if self._returns is None:
            close = self.close
            earlier, later = close[-VOLATILITY_BARS - 1 : -1], close[-VOLATILITY_BARS:]
            self._returns = [log(after / before) for before, after in zip(earlier, later, strict=True)]
        return self._returns

    def volatility(self) -> float:
        """Root mean square of returns(), per bar; zero only when the price has not moved."""
        if self._volatility is None:
            self._volatility = _root_mean_square(self.returns())
        return self._volatility


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One number for a model: its registered name, the closed bars it depends on, and how it is computed."""

    name: str
    lookback: int
    compute: Callable[[Look], float]


def _root_mean_square(values: Sequence[float]) -> float:
    return sqrt(fsum([value * value for value in values]) / len(values))


def _ratio(value: float, scale: float) -> float:
    """Divide and clip to ±RATIO_MAX; 0 when the scale is 0, which is what a market without movement gives.

    What is not finite stays so: clipping must not turn a broken price into a number that looks like a feature.
    """
    if scale == 0.0:
        return 0.0
    ratio = value / scale
    if -RATIO_MAX <= ratio <= RATIO_MAX or not (isfinite(value) and isfinite(scale)):
        return ratio
    return copysign(RATIO_MAX, ratio)


def _scaled_return(bars: int) -> Callable[[Look], float]:
    """Log return over `bars` bars in units of its expected size, volatility * sqrt(bars); 0 in a flat market."""

    def compute(look: Look) -> float:
        close = look.close
        return _ratio(log(close[-1] / close[-1 - bars]), look.volatility() * sqrt(bars))

    return compute


def _sma_distance(bars: int) -> Callable[[Look], float]:
    """Last close minus the mean of the last `bars` closes, in average true ranges; 0 in a flat market."""

    def compute(look: Look) -> float:
        close = look.close
        return _ratio(close[-1] - fsum(close[-bars:]) / bars, look.atr())

    return compute


def _volatility_ratio(look: Look) -> float:
    """Root mean square return of the last 5 bars over that of the last 20; 1 in a flat market."""
    slow = look.volatility()
    return _root_mean_square(look.returns()[-5:]) / slow if slow else 1.0


def _rsi_14(look: Look) -> float:
    """Relative strength index over 14 changes, 0..100; 50 in a flat market.

    Source: Cutler's variant of Wilder 1978 with simple averages, so that it depends on exactly 15 closes.
    """
    close = look.close
    changes = [after - before for before, after in zip(close[-15:-1], close[-14:], strict=True)]
    gains = fsum([change for change in changes if change > 0.0])
    moved = fsum([abs(change) for change in changes])
    return 100.0 * gains / moved if moved else 50.0


def _stochastic_14(look: Look) -> float:
    """Place of the last close in the range of the last 14 bars, 0 = lowest, 1 = highest; 0.5 when there is no range.

    Source: Lane's %K.
    """
    lowest, highest = min(look.window.low[-14:]), max(look.window.high[-14:])
    return (look.close[-1] - lowest) / (highest - lowest) if highest > lowest else 0.5


def _bollinger_20(look: Look) -> float:
    """Last close minus the mean of the last 20 closes, in their standard deviations (population); 0 when flat.

    Source: Bollinger's bands, 20 bars. Deviations are taken from the last close to keep the variance well conditioned.
    """
    last = look.close[-1]
    offsets = [price - last for price in look.close[-20:]]
    mean = fsum(offsets) / 20
    return _ratio(-mean, _root_mean_square([offset - mean for offset in offsets]))


def _spread_atr(look: Look) -> float:
    """Spread at the last close in average true ranges; 0 in a flat market."""
    return _ratio(look.window.spread[-1], look.atr())


def _body_atr(look: Look) -> float:
    """Close minus open of the last bar in average true ranges; 0 in a flat market."""
    return _ratio(look.close[-1] - look.window.open[-1], look.atr())


def _range_atr(look: Look) -> float:
    """High minus low of the last bar in average true ranges; 0 in a flat market."""
    return _ratio(look.window.high[-1] - look.window.low[-1], look.atr())


def _hour_angle(look: Look) -> float:
    """Time of day (UTC) at the end of the last bar, as an angle in radians."""
    return (look.window.close_ts_ns[-1] % 86_400_000_000_000) * _RADIANS_PER_NS


def _hour_sin(look: Look) -> float:
    """Sine of the time of day; together with hour_cos, 23:59 lies beside 00:00."""
    return sin(_hour_angle(look))


def _hour_cos(look: Look) -> float:
    """Cosine of the time of day."""
    return cos(_hour_angle(look))


_ALL = (
    *(
        Feature(name=f"return_{bars}", lookback=VOLATILITY_BARS + 1, compute=_scaled_return(bars))
        for bars in (1, 3, 5, 10, 20)
    ),
    Feature(name="volatility_ratio_5_20", lookback=VOLATILITY_BARS + 1, compute=_volatility_ratio),
    Feature(name="sma_distance_10", lookback=ATR_BARS + 1, compute=_sma_distance(10)),
    Feature(name="sma_distance_30", lookback=30, compute=_sma_distance(30)),
    Feature(name="rsi_14", lookback=15, compute=_rsi_14),
    Feature(name="stochastic_14", lookback=14, compute=_stochastic_14),
    Feature(name="bollinger_20", lookback=20, compute=_bollinger_20),
    Feature(name="spread_atr", lookback=ATR_BARS + 1, compute=_spread_atr),
    Feature(name="body_atr", lookback=ATR_BARS + 1, compute=_body_atr),
    Feature(name="range_atr", lookback=ATR_BARS + 1, compute=_range_atr),
    Feature(name="hour_sin", lookback=1, compute=_hour_sin),
    Feature(name="hour_cos", lookback=1, compute=_hour_cos),
)

FEATURES: Mapping[str, Feature] = MappingProxyType({feature.name: feature for feature in _ALL})


@lru_cache(maxsize=64)
def _selected(names: tuple[str, ...]) -> tuple[tuple[Callable[[Look], float], ...], int]:
    """Return what computes these features and how many bars that takes; a model's names are looked up once."""
    unknown = [name for name in names if name not in FEATURES]
    if unknown or not names:
        wrong = f"Features {', '.join(unknown)} are unknown" if unknown else "No feature is named"
        raise ConfigError(f"{wrong}; allowed are {', '.join(FEATURES)}.")
    features = [FEATURES[name] for name in names]
    return tuple(feature.compute for feature in features), max(feature.lookback for feature in features)


def lookback(names: Sequence[str]) -> int:
    """Count the closed bars that these features look at; raises ConfigError for an unknown name."""
    return _selected(tuple(names))[1]


def feature_vector(names: Sequence[str], window: BarWindow) -> list[float]:
    """Compute these features, in this order, from the newest bars of a window.

    Training and trading both call this. Raises ConfigError for an unknown name, Bug when the window is too short.
    """
    computes, need = _selected(tuple(names))
    if len(window.close) < need:
        raise Bug(f"{window.instrument}: features need {need} bars, the window holds {len(window.close)}")
    look = Look(window)
    return [compute(look) for compute in computes]


def reference_vector(names: Sequence[str]) -> list[float]:
    """Compute these features on bars that never change: what a model's manifest entry remembers of its features.

    A renamed, reordered or redefined feature gives other numbers. The bars come from integers, equal everywhere, and
    the newest are the same for every look-back.
    """
    return feature_vector(names, _reference_window(lookback(names)))


def _reference_window(bars: int) -> BarWindow:
    window = BarWindow("REFERENCE", bars)
    for index in range(-bars, 0):
        opened, closed = (1.1 + (step * step * 7919 % 1009) / 1e6 for step in (index, index + 1))
        window.open.append(opened)
        window.high.append(max(opened, closed) + (index % 7) / 1e5)
        window.low.append(min(opened, closed) - (index % 5) / 1e5)
        window.close.append(closed)
        window.spread.append((10 + index % 3) / 1e5)
        window.close_ts_ns.append((1_000_000 + index) * 60_000_000_000)
    return window
