"""I am the pre-trade rules: one small class per check, each measuring one thing against one limit.
I may import the domain.
I must not read a clock or remember anything; all I need is in the view.
My tests are in tests/unit/risk/test_rules.py: a table per rule, just under, at and over the limit.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.domain.decision import Gate
from engine.domain.event import TradingState
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Quote
from engine.domain.order import OrderIntent

FUTURE_S_MAX = 2.0


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may look at: frozen, made for one intent.

    position_units are signed, and those that will be held when the intent leaves; reserved_units count orders whose
    outcome is not known; exposure_others_home is the size of every other position and reservation; risk_home what the
    intent loses at its stop.
    """

    now_ns: int
    limits: RiskLimits
    instrument: Instrument
    quote: Quote
    trading_state: TradingState
    state_reason: str
    equity_home: Decimal
    position_units: Decimal
    reserved_units: Decimal
    exposure_others_home: Decimal
    positions_others: int
    last_entry_ns: int | None
    risk_home: Decimal


class Rule(Protocol):
    """One check of an intended entry."""

    name: str

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        """Measure and judge; the gate's texts carry their units."""
        ...


class TradingStateRule:
    """Entries need state ACTIVE."""

    name = "trading_state"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        state = view.trading_state
        value = f"{state} ({view.state_reason})" if view.state_reason else str(state)
        return Gate(name=self.name, value=value, limit="ACTIVE", passed=state is TradingState.ACTIVE)


class QuoteRule:
    """The quote is tradeable, positive and not crossed."""

    name = "quote"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        quote = view.quote
        sane = quote.bid.is_finite() and quote.ask.is_finite() and 0 < quote.bid <= quote.ask
        value = f"{quote.bid}/{quote.ask}" + ("" if quote.tradeable else " not tradeable")
        return Gate(name=self.name, value=value, limit="0 < bid <= ask, tradeable", passed=sane and quote.tradeable)


class QuoteAgeRule:
    """No order on a stale quote, nor on one from the future."""

    name = "quote_age"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        age_s = view.quote.age_s(view.now_ns)
        passed = -FUTURE_S_MAX <= age_s <= view.limits.quote_age_s_max
        return Gate(name=self.name, value=f"{age_s:.3f} s", limit=f"{view.limits.quote_age_s_max} s", passed=passed)


class SpreadRule:
    """No entry while the spread is wide."""

    name = "spread"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        pips = view.instrument.pips(view.quote.spread)
        cap = view.limits.spread_cap(view.instrument.name)
        return Gate(name=self.name, value=f"{pips.normalize():f} pips", limit=f"{cap} pips", passed=pips <= cap)


class StopRule:
    """Every entry carries a stop on the losing side, farther away than the spread."""

    name = "stop_loss"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        quote, stop = view.quote, intent.stop_loss
        limit = f"beyond the spread of {view.instrument.pips(quote.spread).normalize():f} pips"
        if stop is None:
            return Gate(name=self.name, value="none", limit=limit, passed=False)
        gap = quote.bid - stop if intent.units > 0 else stop - quote.ask
        distance = view.instrument.pips(gap + quote.spread)
        return Gate(name=self.name, value=f"{distance.normalize():f} pips", limit=limit, passed=gap > 0)


class PriceBoundRule:
    """With a slippage limit set, the order carries a bound no worse than it."""

    name = "price_bound"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        most = view.limits.slippage_pips_max
        if most == 0:
            return Gate(name=self.name, value="none", limit="off", passed=True)
        if intent.price_bound is None:
            return Gate(name=self.name, value="none", limit=f"{most} pips", passed=False)
        worse = intent.price_bound - view.quote.ask if intent.units > 0 else view.quote.bid - intent.price_bound
        pips = view.instrument.pips(worse)
        return Gate(name=self.name, value=f"{pips.normalize():f} pips", limit=f"{most} pips", passed=pips <= most)


class RiskPerTradeRule:
    """The stop costs at most the risk per trade."""

    name = "risk_per_trade"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        cap = view.equity_home * view.limits.risk_per_trade_pct / 100
        passed = 0 < view.risk_home <= cap
        limit = f"{cap:.2f} ({view.limits.risk_per_trade_pct} % of equity)"
        return Gate(name=self.name, value=f"{view.risk_home:.2f}", limit=limit, passed=passed)


class PositionUnitsRule:
    """Worst-case units of the instrument stay within its cap."""

    name = "position_units"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = abs(view.position_units + intent.units) + view.reserved_units
        cap = view.limits.units_cap(view.instrument.name)
        return Gate(name=self.name, value=f"{after} units", limit=f"{cap} units", passed=after <= cap)


class ExposureRule:
    """Worst-case size of all positions stays within its share of equity."""

    name = "exposure"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = abs(view.position_units + intent.units) + view.reserved_units
        total = view.exposure_others_home + after * view.quote.mid * view.quote.home_rate
        cap = view.equity_home * view.limits.exposure_pct_max / 100
        return Gate(
            name=self.name,
            value=f"{total:.2f}",
            limit=f"{cap:.2f} ({view.limits.exposure_pct_max} % of equity)",
            passed=total <= cap,
        )


class PositionsRule:
    """Instruments held at once stay within their number."""

    name = "positions"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = view.positions_others + 1
        cap = view.limits.positions_max
        return Gate(name=self.name, value=str(after), limit=str(cap), passed=after <= cap)


class OrderIntervalRule:
    """Entries in one instrument keep their distance in time."""

    name = "order_interval"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        least = view.limits.order_interval_s_min
        if view.last_entry_ns is None:
            return Gate(name=self.name, value="no entry yet", limit=f"{least} s", passed=True)
        since = Decimal(view.now_ns - view.last_entry_ns) / NS_PER_S
        return Gate(name=self.name, value=f"{since:.1f} s", limit=f"{least} s", passed=since >= least)


class UnresolvedRule:
    """No second order in an instrument while the outcome of one is not known."""

    name = "unresolved"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        held = view.reserved_units
        return Gate(name=self.name, value=f"{held} units", limit="0 units", passed=held == 0)


DEFAULT_RULES: tuple[Rule, ...] = (
    TradingStateRule(),
    QuoteRule(),
    QuoteAgeRule(),
    SpreadRule(),
    StopRule(),
    PriceBoundRule(),
    RiskPerTradeRule(),
    PositionUnitsRule(),
    ExposureRule(),
    PositionsRule(),
    OrderIntervalRule(),
    UnresolvedRule(),
)


def assess(intent: OrderIntent, view: RiskView, rules: Sequence[Rule] = DEFAULT_RULES) -> tuple[Gate, ...]:
    """Run every rule, also after one has failed, so that a denial names each failing gate.

    A quote that is no number fails alone: nothing can be measured against it.
    """
    if not (view.quote.bid.is_finite() and view.quote.ask.is_finite()):
        return (QuoteRule().check(intent, view),)
    return tuple(rule.check(intent, view) for rule in rules)
