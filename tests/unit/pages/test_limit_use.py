"""From when a loss is measured: said where it is not the beginning that its name promises, and only there."""

from decimal import Decimal

import pytest

from engine.domain.limits import RiskLimits, limit_fields
from engine.snapshot import LimitUse, Snapshot
from pages.parts import limit_use

LIMITS = RiskLimits(daily_loss_pct_max=Decimal(3), drawdown_pct_max=Decimal(10))


def shot(name: str, used_pct: float, day: str = "0", drawdown: str = "0") -> Snapshot:
    use = LimitUse(name=name, value="", limit="", used_pct=used_pct, distance="")
    return Snapshot(limits=LIMITS, usage=(use,), day_pl_pct=Decimal(day), drawdown_pct=Decimal(drawdown))


@pytest.mark.parametrize(
    ("snapshot", "name", "said"),
    [
        (shot(limit_use.DAILY_LOSS, 50.0, day="-1.5"), limit_use.DAILY_LOSS, ""),
        (shot(limit_use.DAILY_LOSS, 0.0, day="2"), limit_use.DAILY_LOSS, ""),
        (shot(limit_use.DAILY_LOSS, 50.1, day="-1.5"), limit_use.DAILY_LOSS, ""),  # both read 1.50 %
        (shot(limit_use.DAILY_LOSS, 5.0, day="-3.15"), limit_use.DAILY_LOSS, "since its release"),
        (shot(limit_use.DAILY_LOSS, 50.0, day="2"), limit_use.DAILY_LOSS, "since its release"),
        (shot(limit_use.DRAWDOWN, 32.3, drawdown="3.23"), limit_use.DRAWDOWN, ""),
        (shot(limit_use.DRAWDOWN, 1.0, drawdown="10.1"), limit_use.DRAWDOWN, "since its release"),
        (shot(limit_use.DRAWDOWN, 50.0, drawdown="1"), limit_use.DRAWDOWN, "from the highest before this run"),
        (shot("margin_pct_max", 50.0), "margin_pct_max", ""),
        (Snapshot(), limit_use.DAILY_LOSS, ""),
    ],
)
def test_since_when_a_loss_is_measured(snapshot: Snapshot, name: str, said: str) -> None:
    assert limit_use.since(snapshot, name) == said


def test_both_figures_are_told_where_they_differ() -> None:
    assert limit_use.anew(shot(limit_use.DAILY_LOSS, 50.0, day="-1.5")) == ""
    told = limit_use.anew(shot(limit_use.DAILY_LOSS, 5.0, day="-3.15")).replace("*", "")
    assert told == "Daily loss is measured since its release; the trading day stands at -3.15 % since it began."
    told = limit_use.anew(shot(limit_use.DRAWDOWN, 1.0, drawdown="10.1")).replace("*", "")
    assert told.endswith("from the highest equity of this session it is 10.10 %.")


def test_a_limit_that_is_off_is_called_so() -> None:
    fields = {item.name: item for item in limit_fields()}
    assert limit_use.text(fields["loss_streak_max"], 0) == "off"
    assert limit_use.text(fields["loss_streak_max"], 4) == "4 trades"
    assert limit_use.text(fields["edge_pips_min"], Decimal(0)) == "0 pips"
