"""The checker of gates by hand, and its list against the engine's own."""

from decimal import Decimal

import pytest

from engine.domain.decision import Action, Decision, Gate
from engine.risk.rules import DEFAULT_RULES
from tests.simulation.gates import ALL, check_gates
from tests.simulation.judging import Violation


def decision(action: Action, *gates: Gate) -> Decision:
    return Decision(
        instrument="EUR_USD",
        bar_ts_ns=0,
        direction=1,
        confidence=0.5,
        bid=Decimal(1),
        ask=Decimal(1),
        equity_home=Decimal(1),
        position_units=Decimal(0),
        action=action,
        reason="",
        units=Decimal(0),
        client_order_id=None,
        gates=gates,
    )


def gate(name: str, value: str = "", limit: str = "", *, passed: bool = True) -> Gate:
    return Gate(name=name, value=value, limit=limit, passed=passed)


def test_every_rule_is_on_the_list() -> None:
    assert {rule.name for rule in DEFAULT_RULES} == ALL


def test_an_entry_has_passed_every_gate() -> None:
    whole = [gate(name) for name in ALL]
    check_gates(decision(Action.ENTER, *whole))
    with pytest.raises(Violation, match="not judged"):
        check_gates(decision(Action.ENTER, *whole[1:]))
    with pytest.raises(Violation, match="past"):
        check_gates(decision(Action.REVERSE, gate(whole[0].name, passed=False), *whole[1:]))


@pytest.mark.parametrize(
    ("name", "value", "limit", "holds"),
    [
        ("spread", "1.5 pips", "1.5 pips", True),
        ("spread", "1.6 pips", "1.5 pips", False),
        ("volatility", "7 of 20 bars known", "1.2 x median", True),
        ("volatility", "1.30 x median", "1.2 x median", False),
        ("price_collar", "9.13 x ATR", "5 x ATR", False),
        ("currency_leg", "USD 150.10", "150.00 (15 % of equity)", False),
        ("exposure", "150.00", "150.00 (15 % of equity)", True),
        ("edge", "0.10 pips", "at least 0.5 pips", False),
        ("order_interval", "9.9 s", "10 s", False),
        ("order_interval", "-0.5 s", "0 s", True),
        ("order_interval", "no entry yet", "10 s", True),
        ("price_bound", "none", "off", True),
    ],
)
def test_a_gate_passes_what_its_limit_allows(name: str, value: str, limit: str, holds: bool) -> None:
    told = decision(Action.HOLD, gate(name, value, limit))
    try:
        check_gates(told)
    except Violation:
        assert not holds
    else:
        assert holds
