"""I am exposure: what positions and unfinished orders add up to at worst, gross, net, in margin and by currency.
I may import the domain.
I must not know limits; rules compare.
My tests are in tests/unit/risk/test_exposure.py.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from engine.domain.instrument import Instrument
from engine.domain.market import Quote

ZERO = Decimal(0)
Range = tuple[Decimal, Decimal]
NOTHING: Range = (ZERO, ZERO)


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """What one instrument holds and may still get: units signed, buying >= 0 and selling <= 0 are unfinished orders."""

    instrument: Instrument
    quote: Quote
    units: Decimal
    buying: Decimal = ZERO
    selling: Decimal = ZERO

    @property
    def unit_home(self) -> Decimal:
        """Value of one unit at the middle price, in home currency."""
        return self.quote.mid * self.quote.home_rate


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over instruments, in home currency.

    An unfinished order may or may not be filled: gross_home and margin_home count it on top of what is held, the
    pairs are the lowest and the highest of what can come of it. legs_home is the net amount by currency: a long EUR_USD
    is long EUR and short USD of the same value.
    """

    gross_home: Decimal = ZERO
    net_home: Range = NOTHING
    margin_home: Decimal = ZERO
    legs_home: Mapping[str, Range] = msgspec.field(default_factory=dict)


def exposure_of(stakes: Iterable[Stake]) -> Exposure:
    """Add up what these instruments hold and may still get."""
    gross = margin = net = ZERO
    held: dict[str, Decimal] = {}
    unfinished: list[tuple[Stake, Decimal]] = []
    for stake in stakes:
        unit_home, units = stake.unit_home, stake.units
        size = abs(units)
        if stake.buying or stake.selling:
            unfinished.append((stake, unit_home))
            size += stake.buying - stake.selling
        size *= unit_home
        gross += size
        margin += size * stake.instrument.margin_rate
        value = units * unit_home
        net += value
        base, priced_in = stake.instrument.currencies
        held[base] = held.get(base, ZERO) + value
        held[priced_in] = held.get(priced_in, ZERO) - value
    spans = {currency: (value, value) for currency, value in held.items()}
    around = (net, net)
    for stake, unit_home in unfinished:
        span = (stake.selling * unit_home, stake.buying * unit_home)
        around = plus(around, span)
        base, priced_in = stake.instrument.currencies
        spans[base] = plus(spans[base], span)
        spans[priced_in] = plus(spans[priced_in], (-span[1], -span[0]))
    return Exposure(gross_home=gross, net_home=around, margin_home=margin, legs_home=spans)


def plus(one: Range, other: Range) -> Range:
    """Add lowest to lowest and highest to highest."""
    return one[0] + other[0], one[1] + other[1]


def worst(span: Range) -> Decimal:
    """The end that is farther from zero, without its sign."""
    return max(abs(span[0]), abs(span[1]))
