"""Pauses between entries: one that is off holds nobody, whatever the two clocks say."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.risk.order_rules import CoolDownRule, OrderIntervalRule
from tests.unit.made import NOW_NS, intent

RULES = [
    (OrderIntervalRule(), "last_entry_ns", "order_interval_s_min"),
    (CoolDownRule(), "last_loss_ns", "cooldown_s"),
]


@pytest.mark.parametrize(("rule", "since", "limit"), RULES)
@pytest.mark.parametrize(("least_s", "passed"), [(0, True), (1, False)])
def test_a_moment_that_the_broker_is_ahead_is_no_pause(
    rule: Any, since: str, limit: str, least_s: int, passed: bool
) -> None:
    limits = replace(RiskLimits(), **{limit: least_s})
    view: Any = SimpleNamespace(now_ns=NOW_NS, limits=limits, **{since: NOW_NS + NS_PER_S})
    assert rule.check(intent(1_000), view).passed is passed
