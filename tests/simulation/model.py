"""I am the model of a simulated world: what I say of a bar hangs on the seed and the bar alone.
I may import the domain and ports.
I must not remember anything: after a restart I say the same.
My tests are in tests/simulation/test_gate.py.
"""

import zlib
from collections.abc import Callable, Sequence

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.market import Bar
from engine.domain.window import BarWindow
from engine.ports import PredictorSpec
from tests.simulation.faults import CrashPoints, Faults
from tests.simulation.judging import demand

LOOKBACK = 8
# Whatever was missing, the newest bars that I am shown are among so many.
BARS = 60


class StubPredictor:
    """Implements ports.Predictor."""

    def __init__(self, seed: int, faults: Faults, points: CrashPoints, bars: Callable[[str], Sequence[Bar]]) -> None:
        self._seed = seed
        self._bars = bars
        self._faults = faults
        self._points = points

    @property
    def spec(self) -> PredictorSpec:
        return PredictorSpec(
            model_id="stub", kind="rule", title="Stub", features=(), lookback_bars=LOOKBACK, instruments=(),
            instruments_max=10, granularity=None, sha256="",
        )  # fmt: skip

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        self._points.at("model.predict.before")
        self._check(window)
        answer = self._answer(window)
        self._points.at("model.predict.after")
        return answer

    def _check(self, window: BarWindow) -> None:
        """What I am shown are as many bars as I asked for, in their order, and each as the market made it."""
        name = window.instrument
        demand(len(window.close) >= LOOKBACK, "the window", f"{name}: {len(window.close)} bars are shown to the model")
        true = {bar.close_ts_ns: bar for bar in self._bars(name)[-BARS:]}
        ends = window.close_ts_ns
        demand(sorted(set(ends)) == ends, "the window", f"{name}: bars end at {ends}")
        for end_ns, close in zip(ends, window.close, strict=True):
            bar = true.get(end_ns)
            middle = None if bar is None else (float(bar.bid_close) + float(bar.ask_close)) / 2
            demand(
                middle == close, "the window", f"{name}: the bar that ends at {end_ns} closes at {close}, not {middle}"
            )

    def _answer(self, window: BarWindow) -> Prediction | PredictionFault:
        if self._faults.hit("model_fault"):
            return PredictionFault(reason="the model could not answer")
        if self._faults.hit("model_nonsense"):
            wrong = self._faults.how("model_nonsense").randrange(3)
            return Prediction(direction=(2, 1, -1)[wrong], confidence=(0.5, float("nan"), 1.5)[wrong])
        return Prediction(direction=self.signal(window.instrument, window.close_ts_ns[-1]), confidence=0.75)

    def signal(self, instrument: str, close_ts_ns: int) -> int:
        """Direction on the bar that ends then: every second one has some, and part of them turn slowly."""
        drawn = zlib.crc32(f"{self._seed}/{instrument}/{close_ts_ns}".encode()) % 6
        return {0: 1, 1: -1, 2: 1 if close_ts_ns // 600_000_000_000 % 2 else -1}.get(drawn, 0)
