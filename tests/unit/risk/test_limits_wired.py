"""No limit is decoration: for each of them one case in which it alone changes what happens."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.domain.command import ClosePosition
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from engine.risk.breakers import AccountView, BreakerPanel
from engine.risk.exposure import Exposure
from engine.risk.guards import Usual
from engine.risk.rules import assess
from engine.sizing import EntryPlan, plan_entry
from pages.parts import tables
from tests.unit.made import EUR_USD, NOW_NS, candle, intent, quote, window
from tests.unit.risk.scene import view
from tests.unit.session.rig import LIMITS, PIP, Rig, bar, make_rig

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
# A Thursday, 13:20 min after 17:00 New York and 23 h 47 min before the end of the week.
THURSDAY_NS = NOW_NS + 2 * 86_400 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What sizing, rules and breakers say about one and the same moment."""

    plan: EntryPlan
    failed: tuple[str, ...]
    tripped: tuple[str, ...]


def outcome(limits: RiskLimits, ordered: EntryPlan | None = None) -> Outcome:
    """Judge a moment with every measured value above zero; `ordered` is sent instead of the plan made here."""
    now_ns, asked = THURSDAY_NS + 5 * NS_PER_S, quote(ts_ns=THURSDAY_NS)
    plan = plan_entry(
        direction=1, quote=asked, instrument=EUR_USD, limits=limits, equity_home=Decimal(10_000), window=BARS
    )
    sent = ordered or plan
    moment = view(
        limits=limits,
        now_ns=now_ns,
        quote=asked,
        last_entry_ns=now_ns - 40 * NS_PER_S,
        last_loss_ns=now_ns - 50 * NS_PER_S,
        positions_others=2,
        others=Exposure(gross_home=Decimal(5_000), net_home=(Decimal(-100), Decimal(5_000)), margin_home=Decimal(100)),
        risk_home=sent.risk_home,
        orders_last_minute=4,
        atr=0.001,
        usual=Usual(spread=0.00005, true_range=0.0005, last_mid=1.09905, bars=100),
        news=[NewsEvent(ts_ns=now_ns + minutes * MINUTE_NS, currency="USD", title="Rates") for minutes in (-20, 20)],
    )
    order = intent(
        str(sent.units or 1), stop_loss=sent.stop_loss, price_bound=sent.price_bound, take_profit=sent.take_profit
    )
    account = AccountView(
        ts_ns=now_ns,
        equity_home=Decimal(9_800),
        day_start_home=Decimal(10_000),
        peak_home=Decimal(10_000),
        limits=limits,
        losses_in_row=3,
        model_faults=2,
        errors=9,
        data_age_s=Decimal(200),
    )
    return Outcome(
        plan=plan,
        failed=tuple(gate.name for gate in assess(order, moment) if not gate.passed),
        tripped=tuple(trip.breaker for trip in BreakerPanel().update(account)),
    )


# Limit: (mode it counts in, a stricter value, what must differ then: a gate, a breaker, or fields of the plan).
# The plan buys 50,000 units, which are worth 55,002.50 beside 5,000 of others; 1 % of equity are 100.
CASES: dict[str, tuple[RiskLimits, Any, str]] = {
    "risk_per_trade_pct": (PIPS, Decimal("0.5"), "gate risk_per_trade"),
    "exposure_pct_max": (PIPS, Decimal(600), "gate exposure"),
    "exposure_net_pct_max": (PIPS, Decimal(600), "gate exposure_net"),
    "margin_pct_max": (PIPS, Decimal(12), "gate margin"),
    "position_units_max": (PIPS, {ANY: Decimal(49_999)}, "gate position_units"),
    "position_pct_max": (PIPS, {ANY: Decimal(550)}, "gate position_value"),
    "positions_max": (PIPS, 2, "gate positions"),
    "currency_pct_max": (PIPS, {ANY: Decimal(3_000), "USD": Decimal(550)}, "gate currency_leg"),
    "order_interval_s_min": (PIPS, Decimal(41), "gate order_interval"),
    "orders_per_minute_max": (PIPS, 4, "gate order_rate"),
    "spread_pips_max": (PIPS, {ANY: Decimal("0.9")}, "gate spread"),
    "spread_ratio_max": (PIPS, Decimal("1.9"), "gate spread_ratio"),
    "volatility_ratio_max": (PIPS, Decimal("1.9"), "gate volatility"),
    "price_collar_atr_max": (PIPS, Decimal("0.9"), "gate price_collar"),
    "quote_age_s_max": (PIPS, Decimal("4.9"), "gate quote_age"),
    "slippage_pips_max": (PIPS, Decimal("1.9"), "gate price_bound"),
    "edge_pips_min": (PIPS, Decimal("29.1"), "gate edge"),
    "stop_mode": (PIPS, StopMode.ATR, "plan stop_loss"),
    "stop_loss_pips": (PIPS, Decimal(10), "plan stop_loss"),
    "take_profit_pips": (PIPS, Decimal(0), "plan take_profit"),
    "stop_loss_atr": (ATR, Decimal(1), "plan stop_loss"),
    "take_profit_atr": (ATR, Decimal(0), "plan take_profit"),
    "atr_period": (ATR, 2, "plan stop_loss"),
    "trading_windows": (PIPS, {ANY: "Mon-Wed 00:00-24:00 UTC"}, "gate trading_window"),
    "weekend_cutoff_min": (PIPS, 1_440, "gate weekend"),
    "rollover_blackout_min": (PIPS, 14, "gate rollover"),
    "news_before_min": (PIPS, 20, "gate news"),
    "news_after_min": (PIPS, 20, "gate news"),
    "cooldown_s": (PIPS, 51, "gate cool_down"),
    "daily_loss_pct_max": (PIPS, Decimal(2), "breaker daily_loss"),
    "drawdown_pct_max": (PIPS, Decimal(2), "breaker drawdown"),
    "loss_streak_max": (PIPS, 3, "breaker loss_streak"),
    "model_faults_max": (PIPS, 2, "breaker model_faults"),
    "data_age_s_max": (PIPS, Decimal(200), "breaker data_age"),
    "broker_errors_max": (PIPS, 9, "breaker broker_errors"),
}
BASE = {
    "slippage_pips_max": Decimal(2),
    "exposure_pct_max": Decimal(1_000),
    "exposure_net_pct_max": Decimal(1_000),
    "position_pct_max": {ANY: Decimal(1_000)},
    "currency_pct_max": {ANY: Decimal(1_000)},
    "positions_max": 3,
}
START = Decimal("1.10000")


def median_of_spreads(rig: Rig) -> object:
    """Of 21 newest bars with narrow and 40 older ones with wide spreads, the gates at a rather wide one."""
    rig.play()
    return [gate.name for decision in rig.session.desk.decisions for gate in decision.blocking]


def end_of_the_day(rig: Rig) -> object:
    return rig.session.desk.day_end_ns


def locked_after(rig: Rig) -> object:
    """What is locked after three entries to one side, each closed by hand."""
    for number in range(20):
        rig.step()
        if rig.session.desk.ledger.held:
            rig.command(ClosePosition(command_id=f"c{number}", instrument="EUR_USD"))
    return [trip.breaker for trip in rig.session.desk.panel.trips]


# Limits that a rule alone cannot tell of: what a session does with them, loose and strict.
SESSIONS: dict[str, tuple[Any, Callable[[Rig], object], object, object]] = {
    "guard_bars": (20, median_of_spreads, [], ["spread_ratio"]),
    "trading_day": ("12:00 UTC", end_of_the_day, 1_736_200_800 * NS_PER_S, 1_736_164_800 * NS_PER_S),
    "repeated_entries_max": (3, locked_after, [], ["repeated_entries EUR_USD"]),
}
FIELDS = dataclasses.fields(RiskLimits)
NAMES = list(CASES)


def test_every_limit_has_a_case() -> None:
    assert sorted({*CASES, *SESSIONS}) == sorted(item.name for item in FIELDS)


def test_every_limit_has_a_row_on_the_page() -> None:
    shown = set(tables.limits(RiskLimits())["Limit"])
    assert [item.name for item in FIELDS if item.metadata["label"] not in shown] == []


@pytest.mark.parametrize("name", list(SESSIONS))
def test_limits_wired_in_a_session(name: str, tmp_path: Path) -> None:
    value, look, loose, strict = SESSIONS[name]
    bars = [bar(index, START, spread=PIP * (4 if index < 40 else 1)) for index in range(60)]
    bars.append(bar(60, START, spread=PIP * 5))
    signals = dict.fromkeys((60,) if name == "guard_bars" else (7, 9, 11), 1)
    for limits, found in ((LIMITS, loose), (dataclasses.replace(LIMITS, **{name: value}), strict)):
        folder = tmp_path / f"{limits is LIMITS}"
        folder.mkdir()
        limits = dataclasses.replace(limits, spread_pips_max={ANY: Decimal(10)}, edge_pips_min=Decimal(-1_000))
        rig = make_rig(folder, [bars], signals, limits=limits)
        assert look(rig) == found
        rig.close()


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
