"""I am the answer to "why did it (not) trade?": one decision per instrument and closed bar.
I may import decimal.
I must not hold anything that the decision did not look at.
My tests are in tests/unit/domain/test_decision.py.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec


class Action(StrEnum):
    """What was done about a bar."""

    HOLD = "hold"
    ENTER = "enter"
    REVERSE = "reverse"
    EXIT = "exit"
    DENIED = "denied"
    FAULT = "fault"


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says about the next bars: direction -1, 0 or +1 and its confidence 0..1."""

    direction: int
    confidence: float


class PredictionFault(msgspec.Struct, frozen=True, kw_only=True):
    """A model could not answer; reason is one sentence."""

    reason: str


class Gate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One check of one intended order: what was measured, against which limit, with units in the text."""

    name: str
    value: str
    limit: str
    passed: bool


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything that was looked at when a bar closed, and what came of it.

    bid and ask are the quote used (the bar's close while there is none), in quote currency; equity_home was used for
    sizing; units are those of the order (0 when none), of a reversal those of its entry; gates hold every check of the
    intended entry, passed or not, in the order they ran.
    """

    instrument: str
    bar_ts_ns: int
    direction: int
    confidence: float
    bid: Decimal
    ask: Decimal
    equity_home: Decimal
    position_units: Decimal
    action: Action
    reason: str
    units: Decimal = Decimal(0)
    client_order_id: str | None = None
    gates: tuple[Gate, ...] = ()

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if not gate.passed)
