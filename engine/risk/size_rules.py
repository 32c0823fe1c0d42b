"""I am the rules about size: what an entry risks, and what all positions and unfinished orders add up to after it.
I may import the domain, and the view and exposure of my own room.
I must not forget an unfinished order: each counts as if it were filled to our disadvantage.
My tests are in tests/unit/risk/test_size_rules.py: a table per rule, just under, at and over the limit.
"""

from decimal import Decimal

from engine.domain.decision import Gate
from engine.domain.order import OrderIntent
from engine.risk.exposure import NOTHING, Range, plus, worst
from engine.risk.rule_view import RiskView, two_decimals


class RiskPerTradeRule:
    """The stop costs at most the risk per trade."""

    name = "risk_per_trade"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        cap = view.percent_home * view.limits.risk_per_trade_pct
        passed = 0 < view.risk_home <= cap
        limit = f"{two_decimals(cap)} ({view.limits.risk_per_trade_pct!s} % of equity)"
        return Gate(name=self.name, value=two_decimals(view.risk_home), limit=limit, passed=passed)


class PositionUnitsRule:
    """Worst-case units of the instrument stay within its cap."""

    name = "position_units"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = view.size_after(intent)
        cap = view.limits.units_cap(view.instrument.name)
        return Gate(name=self.name, value=f"{after!s} units", limit=f"{cap!s} units", passed=after <= cap)


class PositionValueRule:
    """Worst-case value of the instrument stays within its share of equity."""

    name = "position_value"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = view.size_after(intent) * view.unit_home
        return _share(self.name, after, view.limits.value_cap_pct(view.instrument.name), view)


class ExposureRule:
    """Worst-case size of all positions stays within its share of equity."""

    name = "exposure"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = view.others.gross_home + view.size_after(intent) * view.unit_home
        return _share(self.name, after, view.limits.exposure_pct_max, view)


class NetExposureRule:
    """Worst-case difference of longs and shorts stays within its share of equity."""

    name = "exposure_net"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = worst(plus(view.others.net_home, view.value_after(intent)))
        return _share(self.name, after, view.limits.exposure_net_pct_max, view)


class MarginRule:
    """Worst-case margin of all positions stays within its share of equity."""

    name = "margin"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        own = view.size_after(intent) * view.unit_home * view.instrument.margin_rate
        return _share(self.name, view.others.margin_home + own, view.limits.margin_pct_max, view)


class CurrencyLegRule:
    """Worst-case net amount of either currency of the instrument stays within its share of equity.

    The gate tells of the one that is nearer to its cap.
    """

    name = "currency_leg"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        low, high = view.value_after(intent)
        base, priced_in = view.instrument.currencies
        cap, other_cap = view.limits.currency_cap_pct(base), view.limits.currency_cap_pct(priced_in)
        after, other_after = self._after(base, (low, high), view), self._after(priced_in, (-high, -low), view)
        currency, cap_pct = base, cap
        if other_after * cap > after * other_cap:
            currency, cap_pct, after = priced_in, other_cap, other_after
        return _share(self.name, after, cap_pct, view, of=f"{currency} ")

    def _after(self, currency: str, own: Range, view: RiskView) -> Decimal:
        low, high = view.others.legs_home.get(currency, NOTHING)
        return max(abs(low + own[0]), abs(high + own[1]))


class PositionsRule:
    """Instruments held at once stay within their number."""

    name = "positions"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after = view.positions_others + 1
        cap = view.limits.positions_max
        return Gate(name=self.name, value=str(after), limit=str(cap), passed=after <= cap)


def _share(name: str, amount_home: Decimal, share_pct: Decimal, view: RiskView, of: str = "") -> Gate:
    cap = view.percent_home * share_pct
    limit = f"{two_decimals(cap)} ({share_pct!s} % of equity)"
    return Gate(name=name, value=f"{of}{two_decimals(amount_home)}", limit=limit, passed=amount_home <= cap)
