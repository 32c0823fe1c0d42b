"""Each pre-trade rule just under, at and over its limit; a denial names every gate that failed."""

from decimal import Decimal
from typing import Any

import pytest

from engine.domain.decision import Gate
from engine.domain.event import TradingState
from engine.domain.limits import ANY
from engine.domain.market import NS_PER_S
from engine.risk.rules import DEFAULT_RULES, assess
from tests.unit.made import NOW_NS, USD_JPY, intent, quote
from tests.unit.risk.scene import view

RULES = {rule.name: rule for rule in DEFAULT_RULES}
MS = NS_PER_S // 1_000


def gate(rule: str, units: str | int = 1_000, given: dict[str, Any] | None = None, **changes: Any) -> Gate:
    return RULES[rule].check(intent(units, **(given or {})), view(**changes))


def test_every_rule_passes_in_a_calm_moment() -> None:
    for units in (1_000, -1_000):
        assert [(each.name, each.passed) for each in assess(intent(units), view())] == [(name, True) for name in RULES]


def test_rules_have_different_names() -> None:
    assert len(RULES) == len(DEFAULT_RULES)


@pytest.mark.parametrize(
    ("state", "passed"),
    [
        (TradingState.ACTIVE, True),
        (TradingState.PAUSED, False),
        (TradingState.REDUCING, False),
        (TradingState.HALTED, False),
    ],
)
def test_entries_need_trading_state_active(state: TradingState, passed: bool) -> None:
    assert gate("trading_state", trading_state=state).passed is passed


def test_trading_state_gate_says_why() -> None:
    found = gate("trading_state", trading_state=TradingState.HALTED, state_reason="halt by the operator")
    assert (found.value, found.limit) == ("HALTED (halt by the operator)", "ACTIVE")


@pytest.mark.parametrize(
    ("bid", "ask", "tradeable", "passed"),
    [
        ("1.10000", "1.10010", True, True),
        ("1.10000", "1.10000", True, True),
        ("1.10001", "1.10000", True, False),
        ("0.00001", "0.00002", True, True),
        ("0", "1.1", True, False),
        ("-1.1", "1.1", True, False),
        ("0", "0", True, False),
        ("NaN", "1.1", True, False),
        ("1.1", "NaN", True, False),
        ("1.1", "Infinity", True, False),
        ("1.10000", "1.10010", False, False),
    ],
)
def test_quote_must_be_positive_uncrossed_and_tradeable(bid: str, ask: str, tradeable: bool, passed: bool) -> None:
    assert gate("quote", quote=quote(bid, ask, tradeable=tradeable)).passed is passed


@pytest.mark.parametrize(
    ("age_ns", "passed"),
    [
        (0, True),
        (10 * NS_PER_S - MS, True),
        (10 * NS_PER_S, True),
        (10 * NS_PER_S + MS, False),
        (86_400 * NS_PER_S, False),
        (-2 * NS_PER_S, True),
        (-2 * NS_PER_S - MS, False),
    ],
)
def test_quote_must_be_neither_stale_nor_from_the_future(age_ns: int, passed: bool) -> None:
    assert gate("quote_age", now_ns=NOW_NS + age_ns).passed is passed


@pytest.mark.parametrize(("ask", "passed"), [("1.10019", True), ("1.10020", True), ("1.10021", False)])
def test_spread_up_to_its_cap(ask: str, passed: bool) -> None:
    found = gate("spread", quote=quote("1.10000", ask))
    assert found.passed is passed
    assert found.limit == "2 pips"


def test_spread_cap_is_the_instruments_own() -> None:
    caps = {ANY: Decimal(2), "USD_JPY": Decimal(5)}
    wide = quote("150.000", "150.040", "USD_JPY")
    assert gate("spread", instrument=USD_JPY, quote=wide, spread_pips_max=caps).passed
    assert not gate("spread", instrument=USD_JPY, quote=wide).passed
    assert not gate("spread", quote=quote("1.10000", "1.10040"), spread_pips_max=caps).passed


@pytest.mark.parametrize(
    ("units", "stop", "passed"),
    [
        (1_000, "1.09999", True),
        (1_000, "1.10000", False),
        (1_000, "1.10001", False),
        (1_000, "1.10500", False),
        (1_000, None, False),
        (-1_000, "1.10011", True),
        (-1_000, "1.10010", False),
        (-1_000, "1.10009", False),
        (-1_000, "1.09500", False),
        (-1_000, None, False),
    ],
)
def test_stop_stands_on_the_losing_side_beyond_the_spread(units: int, stop: str | None, passed: bool) -> None:
    found = gate("stop_loss", units, {"stop_loss": None if stop is None else Decimal(stop)})
    assert found.passed is passed


def test_stop_gate_measures_from_the_entry() -> None:
    assert gate("stop_loss", 1_000, {"stop_loss": Decimal("1.09810")}).value == "20 pips"
    assert gate("stop_loss", -1_000, {"stop_loss": Decimal("1.10200")}).value == "20 pips"


@pytest.mark.parametrize(
    ("units", "bound", "passed"),
    [
        (1_000, "1.10029", True),
        (1_000, "1.10030", True),
        (1_000, "1.10031", False),
        (1_000, None, False),
        (-1_000, "1.09981", True),
        (-1_000, "1.09980", True),
        (-1_000, "1.09979", False),
        (-1_000, None, False),
    ],
)
def test_bound_is_no_worse_than_the_slippage(units: int, bound: str | None, passed: bool) -> None:
    given = {"price_bound": None if bound is None else Decimal(bound)}
    assert gate("price_bound", units, given).passed is passed
    assert gate("price_bound", units, given, slippage_pips_max=Decimal(0)).passed


@pytest.mark.parametrize(
    ("risk", "passed"),
    [("99.99", True), ("100", True), ("100.01", False), ("0.01", True), ("0", False), ("-1", False)],
)
def test_risk_up_to_its_share_of_equity(risk: str, passed: bool) -> None:
    found = gate("risk_per_trade", risk_home=Decimal(risk))
    assert found.passed is passed
    assert found.limit == "100.00 (1 % of equity)"


@pytest.mark.parametrize("equity", ["0", "-10000"])
def test_nothing_may_be_risked_without_equity(equity: str) -> None:
    assert not gate("risk_per_trade", equity_home=Decimal(equity), risk_home=Decimal("0.01")).passed
    assert not gate("exposure", equity_home=Decimal(equity)).passed


@pytest.mark.parametrize(
    ("held", "units", "reserved", "passed"),
    [
        (0, 49_999, 0, True),
        (0, 50_000, 0, True),
        (0, 50_001, 0, False),
        (0, -50_000, 0, True),
        (0, -50_001, 0, False),
        (20_000, 30_000, 0, True),
        (20_000, 30_001, 0, False),
        (-20_000, 70_000, 0, True),
        (-20_000, 70_001, 0, False),
        (0, 40_000, 10_000, True),
        (0, 40_000, 10_001, False),
        (0, -40_000, 10_001, False),
        (-20_000, 20_000, 50_001, False),
    ],
)
def test_units_after_the_order_stay_within_the_cap(held: int, units: int, reserved: int, passed: bool) -> None:
    found = gate("position_units", units, position_units=Decimal(held), reserved_units=Decimal(reserved))
    assert found.passed is passed


def test_units_cap_is_the_instruments_own() -> None:
    caps = {ANY: Decimal(50_000), "EUR_USD": Decimal(999)}
    assert not gate("position_units", 1_000, position_units_max=caps).passed
    assert not gate("position_units", 1_000, position_units_max={ANY: Decimal(0)}).passed


@pytest.mark.parametrize(
    ("units", "held", "reserved", "others", "passed"),
    [
        (1_000, 0, 0, "8899.95", True),
        (1_000, 0, 0, "8899.94", True),
        (1_000, 0, 0, "8899.96", False),
        (-1_000, 0, 0, "8899.95", True),
        (-1_000, 0, 0, "8899.96", False),
        (-2_000, 1_000, 0, "8899.95", True),
        (-2_000, 1_000, 0, "8899.96", False),
        (1_000, 0, 1_000, "7799.90", True),
        (1_000, 0, 1_000, "7799.91", False),
    ],
)
def test_exposure_after_the_order_stays_within_its_share_of_equity(
    units: int, held: int, reserved: int, others: str, passed: bool
) -> None:
    found = gate(
        "exposure",
        units,
        position_units=Decimal(held),
        reserved_units=Decimal(reserved),
        exposure_others_home=Decimal(others),
    )
    assert found.passed is passed


def test_exposure_is_in_home_currency() -> None:
    yen = quote("149.995", "150.005", "USD_JPY", home_rate="0.01")
    assert gate("exposure", 6_666, instrument=USD_JPY, quote=yen).passed
    assert not gate("exposure", 6_667, instrument=USD_JPY, quote=yen).passed


@pytest.mark.parametrize(("others", "passed"), [(0, True), (1, True), (2, True), (3, False)])
def test_positions_after_the_order_stay_within_their_number(others: int, passed: bool) -> None:
    found = gate("positions", positions_others=others)
    assert (found.passed, found.value, found.limit) == (passed, str(others + 1), "3")


@pytest.mark.parametrize(
    ("ago_ns", "passed"),
    [(30 * NS_PER_S - 1, False), (30 * NS_PER_S, True), (30 * NS_PER_S + 1, True), (0, False), (-NS_PER_S, False)],
)
def test_entries_keep_their_distance_in_time(ago_ns: int, passed: bool) -> None:
    assert gate("order_interval", now_ns=NOW_NS, last_entry_ns=NOW_NS - ago_ns).passed is passed


def test_first_entry_needs_no_distance() -> None:
    assert gate("order_interval", order_interval_s_min=Decimal(86_400), last_entry_ns=None).passed


def test_interval_of_zero_allows_the_next_entry_at_once() -> None:
    assert gate("order_interval", now_ns=NOW_NS, last_entry_ns=NOW_NS, order_interval_s_min=Decimal(0)).passed


@pytest.mark.parametrize(("reserved", "passed"), [("0", True), ("0.01", False), ("1000", False)])
def test_no_second_order_on_top_of_one_of_unknown_outcome(reserved: str, passed: bool) -> None:
    assert gate("unresolved", reserved_units=Decimal(reserved)).passed is passed


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
        "stop_loss",
        "price_bound",
        "risk_per_trade",
        "position_units",
        "exposure",
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
