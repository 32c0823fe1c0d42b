"""I am the rules about prices: the quote, its spread and age, how wild the market is, the stop and what it may earn.
I may import the domain, and the view of my own room.
I must not read a clock or remember anything; all I need is in the view.
My tests are in tests/unit/risk/test_price_rules.py: a table per rule, just under, at and over the limit.
"""

from decimal import Decimal

from engine.domain.decision import Gate
from engine.domain.order import OrderIntent
from engine.risk.guards import BARS_NEEDED
from engine.risk.rule_view import RiskView, two_decimals

FUTURE_S_MAX = 2.0


class QuoteRule:
    """The quote is tradeable, positive and not crossed."""

    name = "quote"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        quote = view.quote
        sane = quote.bid.is_finite() and quote.ask.is_finite() and 0 < quote.bid <= quote.ask
        value = f"{quote.bid!s}/{quote.ask!s}" + ("" if quote.tradeable else " not tradeable")
        return Gate(name=self.name, value=value, limit="0 < bid <= ask, tradeable", passed=sane and quote.tradeable)


class QuoteAgeRule:
    """No order on a stale quote, nor on one from the future."""

    name = "quote_age"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        age_s, most_s = view.quote.age_s(view.now_ns), view.limits.quote_age_s_max
        passed = -FUTURE_S_MAX <= age_s <= float(most_s)
        return Gate(name=self.name, value=f"{age_s:.3f} s", limit=f"{most_s!s} s", passed=passed)


class SpreadRule:
    """No entry while the spread is wide."""

    name = "spread"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        pips = view.instrument.pips(view.spread)
        cap = view.limits.spread_cap(view.instrument.name)
        return Gate(name=self.name, value=_pips(pips), limit=f"{cap!s} pips", passed=pips <= cap)


class SpreadRatioRule:
    """No entry while the spread is wide for this instrument."""

    name = "spread_ratio"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _against_median(self.name, float(view.spread), view.usual.spread, view.limits.spread_ratio_max, view)


class VolatilityRule:
    """No entry while bars are much longer than they were."""

    name = "volatility"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _against_median(self.name, view.atr, view.usual.true_range, view.limits.volatility_ratio_max, view)


class PriceCollarRule:
    """No entry at a price far from where the last bar closed (RTS 6 article 15: price collars)."""

    name = "price_collar"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        most = view.limits.price_collar_atr_max
        limit = f"{most!s} x ATR"
        last = view.usual.last_mid
        if last is None:
            return Gate(name=self.name, value="no bar has closed", limit=limit, passed=False)
        away = abs(float(view.mid) - last)
        if view.atr <= 0:
            return Gate(name=self.name, value=f"{away:g} away, ATR 0", limit=limit, passed=away == 0)
        ratio = away / view.atr
        return Gate(name=self.name, value=f"{ratio:.2f} x ATR", limit=limit, passed=ratio <= float(most))


class StopRule:
    """Every entry carries a stop on the losing side, farther away than the spread."""

    name = "stop_loss"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        quote, stop, spread = view.quote, intent.stop_loss, view.spread
        limit = f"beyond the spread of {_pips(view.instrument.pips(spread))}"
        if stop is None:
            return Gate(name=self.name, value="none", limit=limit, passed=False)
        gap = quote.bid - stop if intent.units > 0 else stop - quote.ask
        return Gate(name=self.name, value=_pips(view.instrument.pips(gap + spread)), limit=limit, passed=gap > 0)


class PriceBoundRule:
    """With a slippage limit set, the order carries a bound no worse than it."""

    name = "price_bound"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        most = view.limits.slippage_pips_max
        if most == 0:
            return Gate(name=self.name, value="none", limit="off", passed=True)
        if intent.price_bound is None:
            return Gate(name=self.name, value="none", limit=f"{most!s} pips", passed=False)
        worse = intent.price_bound - view.quote.ask if intent.units > 0 else view.quote.bid - intent.price_bound
        pips = view.instrument.pips(worse)
        return Gate(name=self.name, value=_pips(pips), limit=f"{most!s} pips", passed=pips <= most)


class EdgeRule:
    """What the entry may be expected to earn, after costs, is worth it.

    Expected pips = p x target - (1 - p) x stop - spread - median slippage - financing, with p the model's confidence;
    an entry without a target is reckoned with one as far away as its stop.
    """

    name = "edge"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        least = view.limits.edge_pips_min
        limit = f"at least {least!s} pips"
        if intent.stop_loss is None:
            return Gate(name=self.name, value="no stop to reckon with", limit=limit, passed=False)
        quote = view.quote
        entry = quote.ask if intent.units > 0 else quote.bid
        loss = abs(entry - intent.stop_loss)
        gain = loss if intent.take_profit is None else abs(intent.take_profit - entry)
        p = Decimal(repr(view.confidence))
        expected = p * gain - (1 - p) * loss - view.spread - view.slippage - view.financing
        pips = view.instrument.pips(expected)
        return Gate(name=self.name, value=f"{two_decimals(pips)} pips", limit=limit, passed=pips >= least)


def _against_median(name: str, now: float, median: float | None, most: Decimal, view: RiskView) -> Gate:
    """Compare with what is usual; with too few bars to tell there is nothing to compare with, and other rules judge."""
    limit = f"{most!s} x median"
    if median is None:
        return Gate(name=name, value=f"{view.usual.bars} of {BARS_NEEDED} bars known", limit=limit, passed=True)
    if median <= 0:
        return Gate(name=name, value=f"{now:g}, median 0", limit=limit, passed=now <= 0)
    ratio = now / median
    return Gate(name=name, value=f"{ratio:.2f} x median", limit=limit, passed=ratio <= float(most))


def _pips(pips: Decimal) -> str:
    text = str(pips)  # three times as fast as a format, which only very round or very small numbers need
    if "E" in text:
        return f"{pips.normalize():f} pips"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} pips"
