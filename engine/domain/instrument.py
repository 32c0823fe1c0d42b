"""I am an instrument: its precision, pip, unit and margin rules, and the rounding that follows from them.
I may import decimal and error.
I must not know prices, accounts or venues.
My tests are in tests/unit/domain/test_instrument.py.
"""

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

import msgspec

from engine.domain.error import ConfigError

DECIMALS_MAX = 12
_STEPS = tuple(Decimal(1).scaleb(-decimals) for decimals in range(DECIMALS_MAX + 1))
NAME_PATTERN = re.compile(r"[A-Z0-9]{2,12}_[A-Z0-9]{2,6}")


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradeable instrument.

    pip_size and prices are in quote currency, units in base currency; margin_rate is a fraction (0.02 = 50:1).
    financing_long and financing_short are yearly rates of holding, as fractions of value: negative is paid.
    The fields follow OANDA v20's Instrument (pipLocation, displayPrecision, tradeUnitsPrecision).
    """

    name: str
    price_decimals: int
    pip_size: Decimal
    units_decimals: int
    units_min: Decimal
    units_max: Decimal
    margin_rate: Decimal
    financing_long: Decimal = Decimal(0)
    financing_short: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ConfigError(f"Instrument name {self.name!r} is not of the form BASE_QUOTE, for example EUR_USD.")

    @property
    def base(self) -> str:
        """Name the currency (or metal) that is bought and sold."""
        return self.name.split("_")[0]

    @property
    def quote(self) -> str:
        """Name the currency that prices are in."""
        return self.name.split("_")[1]

    @property
    def currencies(self) -> tuple[str, str]:
        """Name what is bought and sold, and what prices are in."""
        base, priced_in = self.name.split("_")
        return base, priced_in

    @property
    def price_step(self) -> Decimal:
        """Smallest difference between two prices, in quote currency."""
        return _STEPS[self.price_decimals]

    @property
    def units_step(self) -> Decimal:
        """Smallest difference between two sizes, in units."""
        return _STEPS[self.units_decimals]

    def round_units_down(self, units: Decimal) -> Decimal:
        """Round a size toward zero, so that rounding never adds risk."""
        return units.quantize(self.units_step, rounding=ROUND_DOWN)

    def takes(self, units: Decimal) -> bool:
        """Say whether an order may be of this size: from the least to the most, in whole steps."""
        if not units.is_finite() or not self.units_min <= units <= self.units_max:
            return False
        return self.round_units_down(units) == units

    def round_price(self, price: Decimal) -> Decimal:
        """Round a price to the nearest representable one."""
        return price.quantize(self.price_step, rounding=ROUND_HALF_EVEN)

    def round_price_up(self, price: Decimal) -> Decimal:
        """Round a price to the representable one at or above it."""
        return price.quantize(self.price_step, rounding=ROUND_CEILING)

    def round_price_down(self, price: Decimal) -> Decimal:
        """Round a price to the representable one at or below it."""
        return price.quantize(self.price_step, rounding=ROUND_FLOOR)

    def pips(self, difference: Decimal) -> Decimal:
        """Express a price difference in pips."""
        return difference / self.pip_size
