"""No limit is decoration: for each of them one case in which it alone changes what happens."""

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.limits import ANY, RiskLimits, StopMode, ranged_fields
from engine.domain.market import NS_PER_S
from engine.risk.breakers import AccountView, BreakerPanel
from engine.risk.rules import assess
from engine.sizing import EntryPlan, plan_entry
from tests.unit.made import EUR_USD, NOW_NS, candle, intent, quote, window
from tests.unit.risk.scene import view

PIPS = RiskLimits(
    risk_per_trade_pct=Decimal(1),
    position_units_max={ANY: Decimal(100_000)},
    stop_mode=StopMode.PIPS,
    stop_loss_pips=Decimal(20),
    take_profit_pips=Decimal(30),
)
ATR = dataclasses.replace(PIPS, stop_mode=StopMode.ATR)
# The newest bar ranges over more than the older ones, so that the ATR depends on its period.
BARS = window([candle(i, "1.1", "1.1010013" if i < 19 else "1.1040013", "1.1") for i in range(20)])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What sizing, rules and breakers say about one and the same moment."""

    plan: EntryPlan
    failed: tuple[str, ...]
    tripped: tuple[str, ...]


def outcome(limits: RiskLimits, ordered: EntryPlan | None = None) -> Outcome:
    """Judge a moment with every measured value above zero; `ordered` is sent instead of the plan made here."""
    plan = plan_entry(
        direction=1, quote=quote(), instrument=EUR_USD, limits=limits, equity_home=Decimal(10_000), window=BARS
    )
    sent = ordered or plan
    moment = view(
        limits=limits,
        now_ns=NOW_NS + 5 * NS_PER_S,
        last_entry_ns=NOW_NS - 35 * NS_PER_S,
        positions_others=2,
        exposure_others_home=Decimal(5_000),
        risk_home=sent.risk_home,
    )
    order = intent(str(sent.units or 1), stop_loss=sent.stop_loss, price_bound=sent.price_bound)
    account = AccountView(
        ts_ns=NOW_NS,
        equity_home=Decimal(9_800),
        day_start_home=Decimal(10_000),
        peak_home=Decimal(10_000),
        limits=limits,
    )
    return Outcome(
        plan=plan,
        failed=tuple(gate.name for gate in assess(order, moment) if not gate.passed),
        tripped=tuple(trip.breaker for trip in BreakerPanel().update(account)),
    )


# Limit: (mode it counts in, a stricter value, what must differ then: a gate, a breaker, or fields of the plan).
CASES: dict[str, tuple[RiskLimits, Any, str]] = {
    "risk_per_trade_pct": (PIPS, Decimal("0.5"), "gate risk_per_trade"),
    "exposure_pct_max": (PIPS, Decimal(600), "gate exposure"),
    "position_units_max": (PIPS, {ANY: Decimal(49_999)}, "gate position_units"),
    "positions_max": (PIPS, 2, "gate positions"),
    "order_interval_s_min": (PIPS, Decimal(41), "gate order_interval"),
    "spread_pips_max": (PIPS, {ANY: Decimal("0.9")}, "gate spread"),
    "quote_age_s_max": (PIPS, Decimal("4.9"), "gate quote_age"),
    "slippage_pips_max": (PIPS, Decimal("1.9"), "gate price_bound"),
    "stop_loss_pips": (PIPS, Decimal(10), "plan stop_loss"),
    "take_profit_pips": (PIPS, Decimal(0), "plan take_profit"),
    "stop_loss_atr": (ATR, Decimal(1), "plan stop_loss"),
    "take_profit_atr": (ATR, Decimal(0), "plan take_profit"),
    "atr_period": (ATR, 2, "plan stop_loss"),
    "daily_loss_pct_max": (PIPS, Decimal(2), "breaker daily_loss"),
    "drawdown_pct_max": (PIPS, Decimal(2), "breaker drawdown"),
}
BASE = {"slippage_pips_max": Decimal(2), "exposure_pct_max": Decimal(1_000), "positions_max": 3}
NAMES = [item.name for item in ranged_fields()]


def test_every_limit_has_a_case() -> None:
    assert sorted(CASES) == sorted(NAMES)


@pytest.mark.parametrize("mode", [PIPS, ATR], ids=["pips", "atr"])
def test_nothing_is_wrong_before_a_limit_is_tightened(mode: RiskLimits) -> None:
    calm = outcome(dataclasses.replace(mode, **BASE))
    assert (calm.failed, calm.tripped) == ((), ())
    assert calm.plan.units > 0


@pytest.mark.parametrize("name", NAMES)
def test_limits_wired(name: str) -> None:
    mode, value, effect = CASES[name]
    loose = dataclasses.replace(mode, **BASE)
    strict = dataclasses.replace(loose, **{name: value})
    before = outcome(loose)
    after = outcome(strict, ordered=before.plan)
    kind, what = effect.split()
    assert after.failed == ((what,) if kind == "gate" else ())
    assert after.tripped == ((what,) if kind == "breaker" else ())
    if kind == "plan":
        assert getattr(after.plan, what) != getattr(before.plan, what)


@pytest.mark.parametrize("name", ["risk_per_trade_pct", "position_units_max", "slippage_pips_max"])
def test_limit_that_sizing_keeps_makes_a_plan_that_passes(name: str) -> None:
    mode, value, _ = CASES[name]
    strict = (
        outcome(dataclasses.replace(mode, **BASE, **{name: value}))
        if name not in BASE
        else outcome(dataclasses.replace(mode, **{**BASE, name: value}))
    )
    assert strict.failed == ()
    assert strict.plan != outcome(dataclasses.replace(mode, **BASE)).plan


def test_stop_mode_changes_the_plan() -> None:
    assert (
        outcome(dataclasses.replace(PIPS, **BASE)).plan.stop_loss
        != outcome(dataclasses.replace(ATR, **BASE)).plan.stop_loss
    )
