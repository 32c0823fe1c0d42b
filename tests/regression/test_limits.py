"""Limits that existed only on the screen of an earlier bot: each of ours changes what a running session does."""

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec.structs import replace

from engine.cli import main
from engine.domain.command import LOOSEN, UpdateRiskLimits
from engine.domain.error import ConfigError
from engine.domain.limit_changes import limits_from_text
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent
from tests.unit.session.breach_cases import BREAKERS, RULES
from tests.unit.session.faulty import FaultyRig, make_faulty
from tests.unit.session.rig import PIP, bar

NAMES = ("EUR_USD", "GBP_USD")
QUOTE_AGE_S = 20
ENTRY, REVERSAL = 10, 13
LOOSE = RiskLimits(
    risk_per_trade_pct=Decimal(1),
    exposure_pct_max=Decimal(3_000),
    exposure_net_pct_max=Decimal(3_000),
    margin_pct_max=Decimal(100),
    position_units_max={ANY: Decimal(100_000_000)},
    position_pct_max={ANY: Decimal(3_000)},
    positions_max=2,
    currency_pct_max={ANY: Decimal(3_000)},
    order_interval_s_min=Decimal(0),
    spread_pips_max={ANY: Decimal(10)},
    quote_age_s_max=Decimal(60),
    slippage_pips_max=Decimal(5),
    stop_mode=StopMode.PIPS,
    stop_loss_pips=Decimal(50),
    take_profit_pips=Decimal(90),
    stop_loss_atr=Decimal(12),
    take_profit_atr=Decimal(20),
    atr_period=4,
    daily_loss_pct_max=Decimal(100),
    drawdown_pct_max=Decimal(100),
)
# Limit: its stricter value, the gate or breaker that must stop something then, or the field of the order that changes.
CASES: dict[str, tuple[Any, str]] = {
    "risk_per_trade_pct": (Decimal("0.1"), "order units"),
    "exposure_pct_max": (Decimal(100), "gate exposure"),
    "exposure_net_pct_max": (Decimal(100), "gate exposure_net"),
    "margin_pct_max": (Decimal(3), "gate margin"),
    "position_units_max": ({ANY: Decimal(100)}, "order units"),
    "position_pct_max": ({ANY: Decimal(50)}, "order units"),
    "currency_pct_max": ({ANY: Decimal(100)}, "gate currency_leg"),
    "positions_max": (1, "gate positions"),
    "order_interval_s_min": (Decimal(600), "gate order_interval"),
    "orders_per_minute_max": (1, "gate order_rate"),
    "repeated_entries_max": (1, "breaker repeated_entries EUR_USD"),
    "spread_pips_max": ({ANY: Decimal("0.5")}, "gate spread"),
    "edge_pips_min": (Decimal(1_000), "gate edge"),
    "trading_windows": ({ANY: "Sat 00:00-01:00 UTC"}, "gate trading_window"),
    "quote_age_s_max": (Decimal(19), "gate quote_age"),
    "slippage_pips_max": (Decimal(1), "order price_bound"),
    "stop_mode": (StopMode.ATR, "order stop_loss"),
    "stop_loss_pips": (Decimal(40), "order stop_loss"),
    "take_profit_pips": (Decimal(80), "order take_profit"),
    "stop_loss_atr": (Decimal(8), "order stop_loss"),
    "take_profit_atr": (Decimal(15), "order take_profit"),
    "atr_period": (2, "order stop_loss"),
    "daily_loss_pct_max": (Decimal("0.1"), "breaker daily_loss"),
    "drawdown_pct_max": (Decimal("0.1"), "breaker drawdown"),
}
# Limits that need another market, hour or fault: the rule or breaker whose whole-session test breaks each.
ELSEWHERE: dict[str, str] = {
    "spread_ratio_max": "spread_ratio",
    "volatility_ratio_max": "volatility",
    "guard_bars": "spread_ratio",
    "price_collar_atr_max": "price_collar",
    "weekend_cutoff_min": "weekend",
    "rollover_blackout_min": "rollover",
    "news_before_min": "news",
    "news_after_min": "news",
    "trading_day": "daily_loss",
    "cooldown_s": "cool_down",
    "loss_streak_max": "loss_streak",
    "model_faults_max": "model_faults",
    "data_age_s_max": "data_age",
    "broker_errors_max": "broker_errors",
}


@dataclass(frozen=True)
class Lived:
    """What became of a session: its orders, the gates that stopped a decision, the breakers that tripped."""

    orders: tuple[OrderIntent, ...]
    gates: frozenset[str]
    breakers: frozenset[str]


def market(name: str) -> list[Bar]:
    """Minutes that reach further the newer they are, and a fall of 20 pips behind the entry."""
    start = Decimal("1.10000")
    return [
        bar(index, start if index <= ENTRY else start - 20 * PIP, instrument=name, reach=PIP * (1 + min(index, ENTRY)))
        for index in range(20)
    ]


def lived(at_start: RiskLimits, then: RiskLimits) -> Lived:
    """Live through one buy and one sell signal in two instruments; limits are changed while the session runs."""
    with TemporaryDirectory() as folder:
        rig = make_faulty(Path(folder), [market(name) for name in NAMES], {ENTRY: 1, REVERSAL: -1}, limits=at_start)
        age(rig)
        while rig.session.desk.decisions_made < 2:
            rig.step()
        if then != at_start:
            rig.command(UpdateRiskLimits(command_id="u", limits=then, confirmation=LOOSEN))
            assert rig.session.desk.verdicts[-1].accepted, rig.session.desk.verdicts[-1].detail
        rig.play()
        rig.close()
        desk = rig.session.desk
        return Lived(
            orders=tuple(rig.broker.submitted),
            gates=frozenset(gate.name for one in desk.decisions for gate in one.blocking),
            breakers=frozenset(trip.breaker for trip in desk.panel.trips),
        )


def age(rig: FaultyRig) -> None:
    """Let every quote be a little old when it comes."""
    inner = rig.market.inner.poll

    def aged(now_ns: int) -> list[Quote | Bar]:
        return [
            replace(one, ts_ns=one.ts_ns - QUOTE_AGE_S * 10**9) if isinstance(one, Quote) else one
            for one in inner(now_ns)
        ]

    rig.market.inner.poll = aged  # type: ignore[method-assign]


def entries(one: Lived) -> int:
    return sum(not order.reduce_only for order in one.orders)


@lru_cache
def calm(mode: StopMode) -> Lived:
    """What happens while every limit is loose: two entries and two reversals."""
    loose = dataclasses.replace(LOOSE, stop_mode=mode)
    return lived(loose, loose)


def test_every_limit_has_a_case() -> None:
    names = [item.name for item in dataclasses.fields(RiskLimits)]
    assert sorted([*CASES, *ELSEWHERE]) == sorted(names)
    assert set(ELSEWHERE.values()) <= {*RULES, *BREAKERS}


@pytest.mark.parametrize("name", CASES)
def test_limits_wired(name: str) -> None:
    """Daily loss, drawdown, positions, spread and more stood in the form and in no line of code."""
    value, effect = CASES[name]
    mode = StopMode.ATR if name.endswith("_atr") or name == "atr_period" else StopMode.PIPS
    loose = dataclasses.replace(LOOSE, stop_mode=mode)
    strict = dataclasses.replace(loose, **{name: value})
    before = calm(mode)
    assert (len(before.orders), before.gates, before.breakers) == (6, frozenset(), frozenset())
    # The ATR period sets the look-back: a running session refuses to change it.
    after = lived(strict if name == "atr_period" else loose, strict)
    kind, what = effect.split(maxsplit=1)
    if kind == "order":
        assert [getattr(one, what) for one in after.orders] != [getattr(one, what) for one in before.orders]
    else:
        assert what in (after.gates if kind == "gate" else after.breakers)
        assert entries(after) < entries(before) == 4


TYPOS = ["max_daily_loss=1", "daily_loss_max=1", "risk_per_trade_pct=high", "risk_per_trade_pct=-1", "positions_max=0"]


@pytest.mark.parametrize("typo", TYPOS)
def test_unknown_risk_key_rejected(
    typo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any key and any value was merged into the limits and reported as active."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=typo.split("=")[0]):
        limits_from_text([typo])
    assert main(["session", "--speed", "max", "--duration", "5m", "--model", "flat", "--limit", typo]) == 2
    told = capsys.readouterr()
    assert told.out == "" and typo.split("=")[0] in told.err and len(told.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "nothing was written"
