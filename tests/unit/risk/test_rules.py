"""All rules together: each runs, and a denial names every gate that failed."""

from decimal import Decimal

import pytest

from engine.domain.event import TradingState
from engine.domain.market import NS_PER_S
from engine.risk.rules import DEFAULT_RULES, assess
from tests.unit.made import NOW_NS, intent, quote
from tests.unit.risk.scene import RULES, gate, view


def test_every_rule_passes_in_a_calm_moment() -> None:
    for units in (1_000, -1_000):
        assert [(each.name, each.passed) for each in assess(intent(units), view())] == [(name, True) for name in RULES]


def test_rules_have_different_names() -> None:
    assert len(RULES) == len(DEFAULT_RULES)


def test_denial_names_every_failing_gate_with_value_and_limit() -> None:
    bad = view(
        trading_state=TradingState.PAUSED,
        quote=quote("1.10000", "1.10050"),
        now_ns=NOW_NS + 60 * NS_PER_S,
        positions_others=9,
        risk_home=Decimal(500),
    )
    gates = assess(intent(60_000, stop_loss=None, price_bound=None), bad)
    failed = {each.name for each in gates if not each.passed}
    assert failed == {
        "trading_state",
        "quote_age",
        "spread",
        "spread_ratio",
        "stop_loss",
        "price_bound",
        "risk_per_trade",
        "position_units",
        "position_value",
        "exposure",
        "exposure_net",
        "margin",
        "currency_leg",
        "edge",
        "positions",
    }
    assert len(gates) == len(DEFAULT_RULES)
    assert all(each.value and each.limit for each in gates)


def test_gates_carry_the_measured_value_and_the_unit() -> None:
    texts = {each.name: (each.value, each.limit) for each in assess(intent(1_000), view(last_entry_ns=NOW_NS))}
    assert texts["quote_age"] == ("1.000 s", "10 s")
    assert texts["spread"] == ("1 pips", "2 pips")
    assert texts["price_bound"] == ("2 pips", "2 pips")
    assert texts["position_units"] == ("1000 units", "50000 units")
    assert texts["exposure"] == ("1100.05", "10000.00 (100 % of equity)")
    assert texts["order_interval"] == ("1.0 s", "30 s")


def test_quote_that_is_no_number_is_denied_and_does_not_raise() -> None:
    gates = assess(intent(1_000), view(quote=quote("NaN", "NaN")))
    assert "quote" in {each.name for each in gates if not each.passed}


def test_view_and_gate_are_frozen() -> None:
    with pytest.raises(AttributeError):
        view().equity_home = Decimal(1)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        gate("spread").passed = True  # type: ignore[misc]
