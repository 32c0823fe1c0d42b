"""A calm moment in which every rule passes, for tests that disturb one thing of it."""

import dataclasses
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.domain.event import TradingState
from engine.domain.limits import ANY, RiskLimits
from engine.domain.market import NS_PER_S
from engine.risk.rules import RiskView
from tests.unit.made import EUR_USD, NOW_NS, quote

LIMITS = RiskLimits(
    risk_per_trade_pct=Decimal(1),
    exposure_pct_max=Decimal(100),
    position_units_max={ANY: Decimal(50_000)},
    positions_max=3,
    order_interval_s_min=Decimal(30),
    spread_pips_max={ANY: Decimal(2)},
    quote_age_s_max=Decimal(10),
    slippage_pips_max=Decimal(2),
)


def view(**changes: Any) -> RiskView:
    """10,000 of equity, nothing held, a fresh quote of 1.10000/1.10010 and LIMITS; changes may name limits too."""
    limits = {name: value for name, value in changes.items() if name in RiskLimits.__dataclass_fields__}
    calm = RiskView(
        now_ns=NOW_NS + NS_PER_S,
        limits=dataclasses.replace(LIMITS, **limits),
        instrument=EUR_USD,
        quote=quote(),
        trading_state=TradingState.ACTIVE,
        state_reason="",
        equity_home=Decimal(10_000),
        position_units=Decimal(0),
        reserved_units=Decimal(0),
        exposure_others_home=Decimal(0),
        positions_others=0,
        last_entry_ns=None,
        risk_home=Decimal(10),
    )
    return replace(calm, **{name: value for name, value in changes.items() if name not in limits})
