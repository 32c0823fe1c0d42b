"""The rules about when and how often, each just under, at and over its limit."""

from decimal import Decimal
from typing import Any

import pytest

from engine.domain.event import TradingState
from engine.domain.limits import ANY
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from tests.unit.made import NOW_NS
from tests.unit.risk.scene import gate


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


@pytest.mark.parametrize(
    ("ago_ns", "passed"), [(60 * NS_PER_S - 1, False), (60 * NS_PER_S, True), (60 * NS_PER_S + 1, True), (0, False)]
)
def test_instrument_rests_after_a_loss(ago_ns: int, passed: bool) -> None:
    found = gate("cool_down", now_ns=NOW_NS, last_loss_ns=NOW_NS - ago_ns, cooldown_s=60)
    assert (found.passed, found.limit) == (passed, "60 s")
    assert gate("cool_down", now_ns=NOW_NS, last_loss_ns=None, cooldown_s=60).passed
    assert gate("cool_down", now_ns=NOW_NS, last_loss_ns=NOW_NS - ago_ns, cooldown_s=0).passed


@pytest.mark.parametrize(("before", "passed"), [(0, True), (3, True), (4, True), (5, False)])
def test_orders_of_a_minute_stay_within_their_number(before: int, passed: bool) -> None:
    found = gate("order_rate", orders_last_minute=before, orders_per_minute_max=5)
    assert (found.passed, found.value, found.limit) == (passed, f"{before + 1} per minute", "5 per minute")


def test_locked_instrument_waits_for_a_person() -> None:
    assert gate("repeated_entries", locked="").passed
    found = gate("repeated_entries", locked="30 entries long in a row in EUR_USD, and nobody has looked")
    assert (found.passed, found.value[:10], found.limit) == (False, "30 entries", "30 to one side in a row")


@pytest.mark.parametrize(("is_repeated", "passed"), [(False, True), (True, False)])
def test_one_bar_leads_to_one_entry_to_a_side(is_repeated: bool, passed: bool) -> None:
    assert gate("duplicate", is_repeated=is_repeated).passed is passed


# NOW_NS is Tuesday 2023-11-14, 22:13:20 UTC, 17:13:20 in New York.
AT_22H20 = NOW_NS + 400 * NS_PER_S
ROLLOVER = NOW_NS - 800 * NS_PER_S
FRIDAY = ROLLOVER + 3 * 86_400 * NS_PER_S


@pytest.mark.parametrize(
    ("rule", "now_ns", "passed", "limits"),
    [
        ("trading_window", AT_22H20 - 1, False, {"trading_windows": {ANY: "Tue 22:20-23:00 UTC"}}),
        ("trading_window", AT_22H20, True, {"trading_windows": {ANY: "Tue 22:20-23:00 UTC"}}),
        ("trading_window", AT_22H20 - 1, True, {"trading_windows": {ANY: "Tue 20:00-22:20 UTC"}}),
        ("trading_window", AT_22H20, False, {"trading_windows": {ANY: "Tue 20:00-22:20 UTC"}}),
        ("trading_window", AT_22H20, False, {"trading_windows": {ANY: "always", "EUR_USD": "Mon 20:00-22:20 UTC"}}),
        ("trading_window", AT_22H20, True, {"trading_windows": {ANY: "Mon 20:00-22:20 UTC", "EUR_USD": "always"}}),
        ("weekend", FRIDAY - 1_800 * NS_PER_S - 1, True, {"weekend_cutoff_min": 30}),
        ("weekend", FRIDAY - 1_800 * NS_PER_S, False, {"weekend_cutoff_min": 30}),
        ("weekend", FRIDAY - 1, False, {"weekend_cutoff_min": 30}),
        ("weekend", FRIDAY - 1, True, {"weekend_cutoff_min": 0}),
        ("rollover", ROLLOVER - 300 * NS_PER_S - 1, True, {"rollover_blackout_min": 5}),
        ("rollover", ROLLOVER - 300 * NS_PER_S, False, {"rollover_blackout_min": 5}),
        ("rollover", ROLLOVER + 300 * NS_PER_S - 1, False, {"rollover_blackout_min": 5}),
        ("rollover", ROLLOVER + 300 * NS_PER_S, True, {"rollover_blackout_min": 5}),
        ("rollover", ROLLOVER, True, {"rollover_blackout_min": 0}),
    ],
)
def test_hours_allow_or_refuse_to_the_nanosecond(rule: str, now_ns: int, passed: bool, limits: dict[str, Any]) -> None:
    assert gate(rule, now_ns=now_ns, **limits).passed is passed


@pytest.mark.parametrize(
    ("away_ns", "currency", "passed"),
    [
        (600 * NS_PER_S + 1, "USD", True),
        (600 * NS_PER_S, "USD", False),
        (0, "EUR", False),
        (-300 * NS_PER_S, "*", False),
        (-300 * NS_PER_S - 1, "USD", True),
        (0, "JPY", True),
    ],
)
def test_no_entry_around_news_of_one_of_its_currencies(away_ns: int, currency: str, passed: bool) -> None:
    news = (NewsEvent(ts_ns=NOW_NS + away_ns, currency=currency, title="Payrolls"),)
    found = gate("news", now_ns=NOW_NS, news=news, news_before_min=10, news_after_min=5)
    assert (found.passed, found.limit) == (passed, "10 min before to 5 min after")
    assert passed or found.value.startswith("Payrolls")
