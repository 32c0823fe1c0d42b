"""The worst that can come of an entry, added up from the broker's own log and from what was sent.

None of the engine's sums is used. What is held is what the broker's log says as far as it can be read; an order that is
not settled there may or may not have been filled, all of it or a part. What the broker did on its own behind the end of
a log that cannot be read (a stop that was hit) nobody can count who has not read of it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from engine.domain.account import Holdings
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits, of_key
from engine.domain.market import Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import Fill, OrderCanceled, OrderRejected, Transaction

ZERO, CENT = Decimal(0), Decimal("0.01")
# A gate's name and the limit behind it.
FIELDS = {
    "position_units": "position_units_max",
    "position_value": "position_pct_max",
    "exposure": "exposure_pct_max",
    "exposure_net": "exposure_net_pct_max",
    "margin": "margin_pct_max",
    "currency_leg": "currency_pct_max",
    "positions": "positions_max",
}


def unfinished(sent: Iterable[OrderIntent], log: Sequence[Transaction]) -> list[tuple[str, Decimal]]:
    """Instruments and units that these orders may still get, by what can be read of the broker's log."""
    filled: dict[str, Decimal] = defaultdict(Decimal)
    over = set()
    for one in log:
        if isinstance(one, Fill):
            filled[one.client_order_id or ""] += one.units
        elif isinstance(one, OrderCanceled | OrderRejected):
            over.add(one.client_order_id)
    rest = [(one.instrument, one.units - filled[one.client_order_id], one.client_order_id) for one in sent]
    return [(name, units) for name, units, order_id in rest if units and order_id not in over]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the account holds and may still get at one moment, and at which prices."""

    holdings: Holdings
    rest: Sequence[tuple[str, Decimal]]
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]

    @property
    def equity(self) -> Decimal:
        """Balance and open result, of longs at the bid and of shorts at the ask."""
        total = self.holdings.balance_home
        for trade in self.holdings.trades:
            quote = self.quotes[trade.instrument]
            price = quote.bid if trade.units > 0 else quote.ask
            total += trade.units * (price - trade.price) * quote.home_rate
        return total

    def held(self, name: str) -> Decimal:
        return sum((trade.units for trade in self.holdings.trades if trade.instrument == name), ZERO)

    def after(self, name: str, units: Decimal) -> "Worst":
        """As if this entry were filled.

        Where it is not, all is as it was before it left, which a limit that was made stricter meanwhile may find too
        much already. An entry to the other side of that is one that the limits allow.
        """
        held = {each: self.held(each) for each in {trade.instrument for trade in self.holdings.trades} | {name}}
        # an entry leaves when nothing is held on the other side: one that is asked about is judged as if it were so
        held[name] = units if held[name] * units < 0 else held[name] + units
        names = {each for each in held if held[each]} | {each for each, _ in self.rest}
        ends = {
            each: tuple(
                held.get(each, ZERO) + sum((some for of, some in self.rest if of == each and some * side > 0), ZERO)
                for side in (-1, 1)
            )
            for each in names
        }
        return Worst(name=name, ends=ends, standing=self)


class Worst:
    """The most that each gate of size can come to, in its own unit; amounts in home currency."""

    def __init__(self, *, name: str, ends: Mapping[str, tuple[Decimal, ...]], standing: Standing) -> None:
        self.name, self.equity = name, standing.equity
        prices = {each: standing.quotes[each].mid * standing.quotes[each].home_rate for each in ends}
        units = max(map(abs, ends[name]))
        self.amounts = {"position_units": units, "position_value": units * prices[name]}
        self.amounts["positions"] = Decimal(len(ends))
        # Every corner is tried: a sum of worst sides is not taken for granted to be the worst sum. No subset of the
        # orders is worse than a corner, because each amount grows towards one of the ends of every instrument.
        corners = [
            {each: at * prices[each] for each, at in zip(ends, corner, strict=True)}
            for corner in product(*ends.values())
        ]

        def most(amount: Callable[[dict[str, Decimal]], Decimal]) -> Decimal:
            return max(abs(amount(corner)) for corner in corners)

        rates = {each: standing.instruments[each].margin_rate for each in ends}
        self.amounts["exposure"] = most(lambda values: sum(map(abs, values.values()), ZERO))
        self.amounts["exposure_net"] = most(lambda values: sum(values.values(), ZERO))
        self.amounts["margin"] = most(lambda values: sum((abs(values[each]) * rates[each] for each in values), ZERO))
        self.legs = {
            currency: most(lambda values, currency=currency: _leg(values, currency)) for currency in name.split("_")
        }

    def too_much(self, limits: RiskLimits) -> list[str]:
        """Name the gates whose limit is exceeded.

        To the cent, not to the last digit: a share of equity is one of open results that the books keep in steps of
        0.0001, which a limit of some hundred percent makes more of.
        """
        shares = {
            "position_value": of_key(limits.position_pct_max, self.name),
            "exposure": limits.exposure_pct_max,
            "exposure_net": limits.exposure_net_pct_max,
            "margin": limits.margin_pct_max,
        }
        found = [gate for gate, share in shares.items() if self._exceeds(self.amounts[gate], share)]
        if any(self._exceeds(leg, of_key(limits.currency_pct_max, each)) for each, leg in self.legs.items()):
            found.append("currency_leg")
        if self.amounts["position_units"] > of_key(limits.position_units_max, self.name):
            found.append("position_units")
        return [*found, "positions"] if self.amounts["positions"] > limits.positions_max else found

    def share(self, amount: Decimal) -> Decimal:
        return amount / self.equity * 100

    def _exceeds(self, amount: Decimal, share: Decimal) -> bool:
        return amount > self.equity * share / 100 + CENT


def _leg(values: Mapping[str, Decimal], currency: str) -> Decimal:
    """Long the first currency of an instrument is short the second one of the same value."""
    base = sum((value for name, value in values.items() if name.startswith(currency)), ZERO)
    return base - sum((value for name, value in values.items() if name.endswith(currency)), ZERO)
