"""I am home-currency conversion: from an instrument's quote currency to the currency of the account.
I may import the domain.
I must not book anything; I only say what an amount is worth.
My tests are in tests/unit/adapters/sim/test_conversion.py.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from engine.domain.error import Bug, ConfigError
from engine.domain.instrument import Instrument

ONE = Decimal(1)
HOME_STEP = Decimal("0.0001")
CONVERSION_CHARGE = Decimal("0.01")
# As many decimals as the venue shows of a factor, so that whoever reads a fill can work its amounts out again.
FACTOR_STEP = Decimal("1e-12")

Leg = tuple[str, bool]
"""An instrument's name, and whether its price is to be divided by instead of multiplied with."""


def round_home(amount: Decimal) -> Decimal:
    """Round an amount to the 4 decimals in which OANDA books (PROTOCOL section 2)."""
    return amount.quantize(HOME_STEP, rounding=ROUND_HALF_EVEN)


class HomeRates:
    """What one unit of each instrument's quote currency is worth at home, from the newest mid prices.

    A currency is converted by one instrument (EUR_USD or USD_JPY for USD) or, failing that, by two (EUR_GBP, then
    GBP_USD). `mids` holds the newest mid price by instrument and is kept up to date by the broker. Raises ConfigError
    when one of the instruments has a currency that can never be converted.
    """

    __slots__ = ("_charge", "_routes", "mids")

    def __init__(self, instruments: Iterable[Instrument], home: str, charge: Decimal) -> None:
        self.mids: dict[str, Decimal] = {}
        self._charge = charge
        self._routes = _routes(tuple(instruments), home)

    def find(self, instrument: str) -> Decimal | None:
        """Return the value of one unit of the quote currency at home (mid, no charge); None until it is known."""
        rate = ONE
        for name, inverted in self._routes[instrument]:
            mid = self.mids.get(name)
            if mid is None:
                return None
            rate = rate / mid if inverted else rate * mid
        return rate

    def rate(self, instrument: str) -> Decimal:
        """Return what find() does for an instrument that has been traded; raises Bug when there is no price yet."""
        rate = self.find(instrument)
        if rate is None:
            raise Bug(f"{instrument} was traded before its quote currency could be converted")
        return rate

    def loss_rate(self, instrument: str, rate: Decimal) -> Decimal | None:
        """Return what booked() makes of a loss of one unit, given the rate at mid; None when there is no charge."""
        return rate * (ONE + self._charge) if self._routes[instrument] else None

    def of_currency(self, currency: str) -> Decimal:
        """Return the value of one unit of a currency at home, at mid; raises Bug when no instrument has it."""
        for name in self._routes:
            base, quote = name.split("_")
            if quote == currency:
                return self.rate(name)
            if base == currency and name in self.mids:
                return self.mids[name] * self.rate(name)
        raise Bug(f"no instrument has the currency {currency}")

    def factors(self, instrument: str) -> tuple[Decimal, Decimal]:
        """Return what a gain and a loss of one unit of the quote currency are booked as, rounded to FACTOR_STEP."""
        if not self._routes[instrument]:
            return ONE, ONE
        rate = self.rate(instrument)
        return _factor(rate * (ONE - self._charge)), _factor(rate * (ONE + self._charge))

    def booked(self, amount: Decimal, instrument: str) -> Decimal:
        """Convert a gain or loss in the quote currency as it is booked: with the conversion charge, rounded once.

        A gain is worth the charge less than at mid, a loss the charge more (accountGain and accountLoss of PROTOCOL
        section 6, used as in 7.3); amounts that are in home currency already are not charged.
        """
        if not self._routes[instrument]:
            return round_home(amount)
        gain, loss = self.factors(instrument)
        return round_home(amount * (loss if amount < 0 else gain))


def _factor(rate: Decimal) -> Decimal:
    return rate.quantize(FACTOR_STEP, rounding=ROUND_HALF_EVEN)


def _routes(instruments: tuple[Instrument, ...], home: str) -> dict[str, tuple[Leg, ...]]:
    """Find how each instrument's quote currency gets home; its base currency must have a way as well."""
    legs = _legs(instruments)
    routes: dict[str, tuple[Leg, ...]] = {}
    for instrument in instruments:
        _way_home(instrument, instrument.base, home, legs)
        routes[instrument.name] = _way_home(instrument, instrument.quote, home, legs)
    return routes


def _legs(instruments: tuple[Instrument, ...]) -> dict[tuple[str, str], Leg]:
    """Map (from, to) to the leg between them; an instrument priced in `to` goes before one priced in `from`."""
    inverse = {(each.quote, each.base): (each.name, True) for each in instruments}
    direct = {(each.base, each.quote): (each.name, False) for each in instruments}
    return inverse | direct


def _way_home(instrument: Instrument, currency: str, home: str, legs: dict[tuple[str, str], Leg]) -> tuple[Leg, ...]:
    if currency == home:
        return ()
    if (currency, home) in legs:
        return (legs[currency, home],)
    for start, via in legs:
        if start == currency and (via, home) in legs:
            return (legs[currency, via], legs[via, home])
    raise ConfigError(
        f"{instrument.name} cannot be traded on a {home} account: no instrument given converts {currency} "
        f"to {home}, add {currency}_{home} or {home}_{currency}."
    )
