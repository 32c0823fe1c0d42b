"""I am the model of a simulated world: what I say of a bar hangs on the seed and the bar alone.
I may import the domain and ports.
I must not remember anything: after a restart I say the same.
My tests are in tests/simulation/test_gate.py.
"""

import zlib

from engine.domain.decision import Prediction, PredictionFault
from engine.domain.window import BarWindow
from engine.ports import PredictorSpec
from tests.simulation.faults import CrashPoints, Faults

LOOKBACK = 8


class StubPredictor:
    """Implements ports.Predictor."""

    def __init__(self, seed: int, faults: Faults, points: CrashPoints) -> None:
        self._seed = seed
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
        answer = self._answer(window)
        self._points.at("model.predict.after")
        return answer

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
