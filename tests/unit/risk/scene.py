"""A calm moment in which every rule passes, for tests that disturb one thing of it."""

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.domain.decision import Gate
from engine.domain.event import TradingState
from engine.domain.limits import ANY, RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from engine.risk.exposure import Exposure
from engine.risk.guards import Usual
from engine.risk.hours import Hours
from engine.risk.rule_view import RiskView
from engine.risk.rules import DEFAULT_RULES
from tests.unit.made import EUR_USD, NOW_NS, intent, quote

# Each share of 10,000 is another amount, so that no rule can pass with the limit of its neighbour.
LIMITS = RiskLimits(
    risk_per_trade_pct=Decimal(1),
    exposure_pct_max=Decimal(100),
    exposure_net_pct_max=Decimal(80),
    margin_pct_max=Decimal(10),
    position_units_max={ANY: Decimal(50_000)},
    position_pct_max={ANY: Decimal(50)},
    positions_max=3,
    currency_pct_max={ANY: Decimal(60)},
    order_interval_s_min=Decimal(30),
    spread_pips_max={ANY: Decimal(2)},
    quote_age_s_max=Decimal(10),
    slippage_pips_max=Decimal(2),
)
RULES = {rule.name: rule for rule in DEFAULT_RULES}
USUAL = Usual(spread=0.0001, true_range=0.001, last_mid=1.10005, bars=100)


def view(news: Sequence[NewsEvent] = (), **changes: Any) -> RiskView:
    """10,000 of equity, nothing held, a fresh quote of 1.10000/1.10010 and LIMITS; changes may name limits too.

    It is a Tuesday, 13 minutes after 17:00 New York; the hours are those of the limits.
    """
    limits = {name: value for name, value in changes.items() if name in RiskLimits.__dataclass_fields__}
    judged = changes.get("limits") or dataclasses.replace(LIMITS, **limits)
    now_ns = changes.get("now_ns", NOW_NS + NS_PER_S)
    instrument = changes.get("instrument", EUR_USD)
    calm = RiskView(
        now_ns=now_ns,
        limits=judged,
        instrument=instrument,
        quote=quote(),
        trading_state=TradingState.ACTIVE,
        state_reason="",
        equity_home=Decimal(10_000),
        position_units=Decimal(0),
        reserved_units=Decimal(0),
        others=Exposure(),
        positions_others=0,
        last_entry_ns=None,
        risk_home=Decimal(10),
        hours=Hours(judged, news).view(instrument.name, now_ns),
        atr=0.001,
        usual=USUAL,
    )
    return replace(calm, **{name: value for name, value in changes.items() if name not in limits})


def gate(rule: str, units: str | int = 1_000, given: dict[str, Any] | None = None, **changes: Any) -> Gate:
    """Let one rule judge an entry of so many units in a calm moment with these changes."""
    return RULES[rule].check(intent(units, **(given or {})), view(**changes))
