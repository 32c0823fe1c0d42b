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
    gross = margin = ZERO
    net = NOTHING
    legs: dict[str, Range] = {}
    for stake in stakes:
        value = stake.unit_home
        size = (abs(stake.units) + stake.buying - stake.selling) * value
        gross += size
        margin += size * stake.instrument.margin_rate
        span = ((stake.units + stake.selling) * value, (stake.units + stake.buying) * value)
        net = plus(net, span)
        base, priced_in = stake.instrument.currencies
        legs[base] = plus(legs.get(base, NOTHING), span)
        legs[priced_in] = plus(legs.get(priced_in, NOTHING), (-span[1], -span[0]))
    return Exposure(gross_home=gross, net_home=net, margin_home=margin, legs_home=legs)


def plus(one: Range, other: Range) -> Range:
    """Add lowest to lowest and highest to highest."""
    return one[0] + other[0], one[1] + other[1]


def worst(span: Range) -> Decimal:
    """The end that is farther from zero, without its sign."""
    return max(abs(span[0]), abs(span[1]))
