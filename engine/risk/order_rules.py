"""I am the rules about when and how often: trading state, hours, intervals, rates, repeats and unfinished orders.
I may import the domain, and the view of my own room.
I must not read a clock or remember anything; all I need is in the view.
My tests are in tests/unit/risk/test_order_rules.py: a table per rule, just under, at and over the limit.
"""

from decimal import Decimal

from engine.domain.decision import Gate
from engine.domain.event import TradingState
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent
from engine.risk.hours import Answer
from engine.risk.rule_view import RiskView


class TradingStateRule:
    """Entries need state ACTIVE."""

    name = "trading_state"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        state = view.trading_state
        value = f"{state} ({view.state_reason})" if view.state_reason else str(state)
        return Gate(name=self.name, value=value, limit="ACTIVE", passed=state is TradingState.ACTIVE)


class TradingWindowRule:
    """Entries within the operator's trading windows only."""

    name = "trading_window"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _hours(self.name, view.hours.window)


class WeekendRule:
    """No entry shortly before the market closes for the weekend."""

    name = "weekend"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _hours(self.name, view.hours.weekend)


class RolloverRule:
    """No entry around 17:00 New York, when spreads widen and financing is charged."""

    name = "rollover"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _hours(self.name, view.hours.rollover)


class NewsRule:
    """No entry around events of the operator's calendar that move one of the instrument's currencies."""

    name = "news"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _hours(self.name, view.hours.news)


class OrderIntervalRule:
    """Entries in one instrument keep their distance in time."""

    name = "order_interval"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _pause(self.name, view.last_entry_ns, view.limits.order_interval_s_min, "no entry yet", view)


class CoolDownRule:
    """After a losing trade an instrument rests."""

    name = "cool_down"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        return _pause(self.name, view.last_loss_ns, view.limits.cooldown_s, "no loss yet", view)


class OrderRateRule:
    """All orders together stay within their number per minute (RTS 6 article 15: message throttle)."""

    name = "order_rate"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        after, most = view.orders_last_minute + 1, view.limits.orders_per_minute_max
        return Gate(name=self.name, value=f"{after} per minute", limit=f"{most} per minute", passed=after <= most)


class RepeatedEntriesRule:
    """An instrument that was entered to one side too often waits for a person (RTS 6 article 15).

    The count is a latch of its own: it does not end by itself.
    """

    name = "repeated_entries"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        value = view.locked or "not locked"
        limit = f"{view.limits.repeated_entries_max} to one side in a row"
        return Gate(name=self.name, value=value, limit=limit, passed=not view.locked)


class DuplicateRule:
    """One bar leads to at most one entry to one side (15c3-5: duplicate orders)."""

    name = "duplicate"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        value = "this bar was traded on" if view.is_repeated else "first of this bar"
        return Gate(name=self.name, value=value, limit="one entry per bar and side", passed=not view.is_repeated)


class UnresolvedRule:
    """No second order in an instrument while the outcome of one is not known."""

    name = "unresolved"

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        held = view.reserved_units
        return Gate(name=self.name, value=f"{held!s} units", limit="0 units", passed=held == 0)


def _hours(name: str, answer: Answer) -> Gate:
    return Gate(name=name, value=answer.value, limit=answer.limit, passed=answer.passed)


def _pause(name: str, since_ns: int | None, least_s: Decimal | int, nothing: str, view: RiskView) -> Gate:
    limit = f"{least_s!s} s"
    if since_ns is None:
        return Gate(name=name, value=nothing, limit=limit, passed=True)
    past_ns = view.now_ns - since_ns
    # a pause that is off holds nobody, though the broker's clock may be a little ahead of ours
    passed = not least_s or past_ns >= least_s * NS_PER_S
    return Gate(name=name, value=f"{past_ns / NS_PER_S:.1f} s", limit=limit, passed=passed)
