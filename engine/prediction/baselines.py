"""I am the baselines: rules that need no training, and the yardstick for models that do.
I may import ports and the domain.
I must not keep a memory between bars: a signal is a function of the window alone.
My tests are in tests/unit/prediction/test_baselines.py.
"""

import re
from math import fsum

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.error import ConfigError
from engine.domain.window import BarWindow
from engine.ports import Predictor, PredictorSpec

FAST_DEFAULT, SLOW_DEFAULT = 10, 30
PERIOD_MIN, PERIOD_MAX = 2, 500
INSTRUMENTS_MAX = 100
SMA_CROSS, FLAT = "sma-cross", "flat"

# Mid prices are binary floats: averages that differ by less than this share of the price are equal in decimals.
_EQUAL_SHARE = 1e-13
_PERIODS = re.compile(r"sma-cross:(\d{1,6})/(\d{1,6})")

# A rule has no probability: it fires (1) or it does not (0).
_UP = Prediction(direction=1, confidence=1.0)
_DOWN = Prediction(direction=-1, confidence=1.0)
_NONE = Prediction(direction=0, confidence=0.0)


class SmaCross:
    """Two simple moving averages of mid closes: a signal on the bar where the fast one crosses the slow one.

    Up when fast > slow now and fast <= slow one bar earlier, down mirrored; no signal while both are equal, so a
    touch is judged by the bar that ends it.
    Source: the cross-over rule of Brock, Lakonishok and LeBaron 1992, without a band.
    """

    __slots__ = ("_fast", "_need", "_slow", "spec")

    def __init__(self, fast: int = FAST_DEFAULT, slow: int = SLOW_DEFAULT) -> None:
        if not PERIOD_MIN <= fast < slow <= PERIOD_MAX:
            raise ConfigError(
                f"Model sma-cross:{fast}/{slow} is out of range; the periods must be whole numbers "
                f"with {PERIOD_MIN} <= FAST < SLOW <= {PERIOD_MAX}."
            )
        self._fast, self._slow, self._need = fast, slow, slow + 1
        is_default = (fast, slow) == (FAST_DEFAULT, SLOW_DEFAULT)
        model_id = SMA_CROSS if is_default else f"{SMA_CROSS}:{fast}/{slow}"
        self.spec = _rule_spec(model_id, f"SMA cross {fast}/{slow}", self._need)

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        """Judge the newest bar; needs slow + 1 bars."""
        close = window.close
        if len(close) < self._need:
            return _too_short(self.spec, window)
        fast, slow = self._fast, self._slow
        equal = close[-1] * _EQUAL_SHARE
        gap = fsum(close[-fast:]) / fast - fsum(close[-slow:]) / slow
        if -equal <= gap <= equal:
            return _NONE
        before = fsum(close[-fast - 1 : -1]) / fast - fsum(close[-slow - 1 : -1]) / slow
        if gap > 0.0:
            return _UP if before <= equal else _NONE
        return _DOWN if before >= -equal else _NONE


class Flat:
    """Never a signal: what a session costs and records when nothing is traded."""

    __slots__ = ("spec",)

    def __init__(self) -> None:
        self.spec = _rule_spec(FLAT, "Flat (never trades)", 1)

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        """Return no direction."""
        return _NONE


def baselines() -> tuple[Predictor, ...]:
    """Make one of each rule with its default parameters."""
    return (SmaCross(), Flat())


def baseline(model_id: str) -> Predictor | None:
    """Make the rule of this id (sma-cross, sma-cross:FAST/SLOW or flat), or None when the id names no rule.

    Raises ConfigError for sma-cross with periods that are not allowed.
    """
    if model_id == FLAT:
        return Flat()
    if model_id == SMA_CROSS:
        return SmaCross()
    if not model_id.startswith(SMA_CROSS + ":"):
        return None
    periods = _PERIODS.fullmatch(model_id)
    if periods is None:
        raise ConfigError(
            f"Model {model_id!r} is not of the form sma-cross:FAST/SLOW with "
            f"{PERIOD_MIN} <= FAST < SLOW <= {PERIOD_MAX}, for example sma-cross:5/20."
        )
    return SmaCross(int(periods[1]), int(periods[2]))


def _rule_spec(model_id: str, title: str, lookback_bars: int) -> PredictorSpec:
    """Describe a rule: any instrument, any granularity, no features, no artefact and so no hash."""
    return PredictorSpec(
        model_id=model_id,
        kind="rule",
        title=title,
        features=(),
        lookback_bars=lookback_bars,
        instruments=(),
        instruments_max=INSTRUMENTS_MAX,
        granularity=None,
        sha256="",
    )


def _too_short(spec: PredictorSpec, window: BarWindow) -> PredictionFault:
    return PredictionFault(
        reason=f"{spec.model_id} needs {spec.lookback_bars} bars of {window.instrument}; there are {len(window)}."
    )
