"""A decision names the gates that failed, and nothing of it can change later."""

from decimal import Decimal

import pytest

from engine.domain.decision import Action, Decision, Gate, Prediction, PredictionFault


def gate(name: str, passed: bool) -> Gate:
    return Gate(name=name, value="3 pips", limit="2 pips", passed=passed)


def decision(*gates: Gate) -> Decision:
    return Decision(
        instrument="EUR_USD",
        bar_ts_ns=60,
        direction=1,
        confidence=0.7,
        bid=Decimal("1.10000"),
        ask=Decimal("1.10010"),
        equity_home=Decimal(1_000),
        position_units=Decimal(0),
        action=Action.DENIED,
        reason="blocked",
        gates=gates,
    )


def test_blocking_gates_are_the_failed_ones_in_order() -> None:
    first, second = gate("spread", False), gate("exposure", False)
    assert decision(gate("quote", True), first, gate("positions", True), second).blocking == (first, second)


def test_nothing_blocks_when_every_gate_passed() -> None:
    assert decision(gate("quote", True)).blocking == ()
    assert decision().blocking == ()


def test_decision_without_an_order_has_no_units_and_no_id() -> None:
    assert (decision().units, decision().client_order_id) == (0, None)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (decision(), "action"),
        (gate("spread", False), "passed"),
        (Prediction(direction=1, confidence=0.5), "direction"),
        (PredictionFault(reason="no"), "reason"),
    ],
    ids=["decision", "gate", "prediction", "fault"],
)
def test_what_was_decided_is_frozen(value: object, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, name, True)
