"""I am the worst case: what is held and may have been sent, filled to our disadvantage, against every limit of size.
I may import the domain, the venue's list of instruments and the other parts of this folder.
I must not use the engine's own exposure: I add up the broker's book.
My tests are in tests/simulation/test_promises.py and test_saboteurs.py.

The book is the broker's up to the newest number that is recorded. What happened at the broker behind it (a stop, a
person's own trade) nobody can count who has not read of it; our own orders are counted from the moment they leave.
Prices are the newest sane ones that were told, which are those that the engine has: there is no time between us and it
in which they could grow old, so that nothing is allowed for it but the cent to which amounts are rounded.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.limits import RiskLimits
from engine.domain.market import Quote
from engine.domain.order import OrderIntent
from tests.simulation.books import Books
from tests.simulation.judging import demand

ZERO = Decimal(0)
CENT = Decimal("0.01")


class Worst:
    """Units by instrument: held, and what orders of unknown outcome may still buy and sell."""

    def __init__(self, books: Books, unsettled: Iterable[OrderIntent]) -> None:
        self.held = {name: books.units(name) for name in books.held()}
        self.buying: dict[str, Decimal] = {}
        self.selling: dict[str, Decimal] = {}
        for intent in unsettled:
            side = self.buying if intent.units > 0 else self.selling
            side[intent.instrument] = side.get(intent.instrument, ZERO) + intent.units

    def add(self, intent: OrderIntent) -> None:
        """Count an order as if it were filled."""
        self.held[intent.instrument] = self.held.get(intent.instrument, ZERO) + intent.units

    @property
    def names(self) -> set[str]:
        """Instruments in which anything is held or under way."""
        return {*self.held, *self.buying, *self.selling}

    def units(self, name: str) -> Decimal:
        """Most units of one instrument: everything under way on top of what is held."""
        return abs(self.held.get(name, ZERO)) + self.buying.get(name, ZERO) - self.selling.get(name, ZERO)

    def ends(self, name: str) -> tuple[Decimal, Decimal]:
        """Lowest and highest signed units."""
        held = self.held.get(name, ZERO)
        return held + self.selling.get(name, ZERO), held + self.buying.get(name, ZERO)


def check_sizes(
    worst: Worst, intent: OrderIntent, equity: Decimal, limits: RiskLimits, quotes: Mapping[str, Quote]
) -> None:
    """Hold the worst case, the entry included, against the limits."""
    name, order_id = intent.instrument, intent.client_order_id
    unpriced = [each for each in worst.names if each not in quotes]
    demand(not unpriced, "I10", f"{order_id} is sent while {unpriced} have no price")
    value = {each: quotes[each].mid * quotes[each].home_rate for each in worst.names}
    many = worst.units(name)
    cap = limits.position_units_max.get(name, limits.position_units_max["*"])
    demand(many <= cap, "I10", f"{order_id}: up to {many} {name}, the limit is {cap}")
    demand(len(worst.names) <= limits.positions_max, "I10", f"{order_id}: up to {len(worst.names)} positions")

    def within(what: str, amount: Decimal, percent: Decimal) -> None:
        allowed = equity * percent / 100
        demand(amount <= allowed + CENT, "I10", f"{order_id}: {what} up to {amount:.2f} of {allowed:.2f}")

    within("value", many * value[name], limits.position_pct_max.get(name, limits.position_pct_max["*"]))
    gross = {each: worst.units(each) * value[each] for each in worst.names}
    within("exposure", sum(gross.values(), ZERO), limits.exposure_pct_max)
    margin = sum((size * CATALOGUE[each].margin_rate for each, size in gross.items()), ZERO)
    within("margin", margin, limits.margin_pct_max)
    ends = {each: [units * value[each] for units in worst.ends(each)] for each in worst.names}
    low, high = (sum((each[end] for each in ends.values()), ZERO) for end in (0, 1))
    within("net", max(abs(low), abs(high)), limits.exposure_net_pct_max)
    for currency in name.split("_"):
        legs = [_leg(each, span, currency) for each, span in ends.items() if currency in each.split("_")]
        low, high = sum((leg[0] for leg in legs), ZERO), sum((leg[1] for leg in legs), ZERO)
        percent = limits.currency_pct_max.get(currency, limits.currency_pct_max["*"])
        within(f"{currency} leg", max(abs(low), abs(high)), percent)


def _leg(name: str, span: list[Decimal], currency: str) -> tuple[Decimal, Decimal]:
    """What an instrument adds to one of its currencies: long the first one is short the second of the same value."""
    low, high = span
    return (low, high) if name.startswith(currency) else (-high, -low)
