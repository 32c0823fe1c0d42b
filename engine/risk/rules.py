"""I am the pre-trade rules: the list of them in the order in which they run, and the judgement of one intent.
I may import the domain, and the rules of my own room.
I must not read a clock or remember anything; all I need is in the view.
My tests are in tests/unit/risk/test_rules.py.
"""

from collections.abc import Sequence

from engine.domain.decision import Gate
from engine.domain.order import OrderIntent
from engine.risk.order_rules import (
    CoolDownRule,
    DuplicateRule,
    NewsRule,
    OrderIntervalRule,
    OrderRateRule,
    RepeatedEntriesRule,
    RolloverRule,
    TradingStateRule,
    TradingWindowRule,
    UnresolvedRule,
    WeekendRule,
)
from engine.risk.price_rules import (
    EdgeRule,
    PriceBoundRule,
    PriceCollarRule,
    QuoteAgeRule,
    QuoteRule,
    SpreadRatioRule,
    SpreadRule,
    StopRule,
    VolatilityRule,
)
from engine.risk.rule_view import RiskView, Rule
from engine.risk.size_rules import (
    CurrencyLegRule,
    ExposureRule,
    MarginRule,
    NetExposureRule,
    PositionsRule,
    PositionUnitsRule,
    PositionValueRule,
    RiskPerTradeRule,
)

DEFAULT_RULES: tuple[Rule, ...] = (
    TradingStateRule(),
    QuoteRule(),
    QuoteAgeRule(),
    TradingWindowRule(),
    WeekendRule(),
    RolloverRule(),
    NewsRule(),
    SpreadRule(),
    SpreadRatioRule(),
    VolatilityRule(),
    PriceCollarRule(),
    StopRule(),
    PriceBoundRule(),
    EdgeRule(),
    RiskPerTradeRule(),
    PositionUnitsRule(),
    PositionValueRule(),
    ExposureRule(),
    NetExposureRule(),
    MarginRule(),
    CurrencyLegRule(),
    PositionsRule(),
    OrderIntervalRule(),
    CoolDownRule(),
    OrderRateRule(),
    RepeatedEntriesRule(),
    DuplicateRule(),
    UnresolvedRule(),
)


def assess(intent: OrderIntent, view: RiskView, rules: Sequence[Rule] = DEFAULT_RULES) -> tuple[Gate, ...]:
    """Run every rule, also after one has failed, so that a denial names each failing gate.

    A quote that is no number fails alone: nothing can be measured against it.
    """
    if not (view.quote.bid.is_finite() and view.quote.ask.is_finite()):
        return (QuoteRule().check(intent, view),)
    return tuple(rule.check(intent, view) for rule in rules)
