"""I am daily financing: what open trades pay or earn for being held over 17:00 New York.
I may import the domain, book, conversion and hours.
I must not book; I work the amounts out, the exchange books them.
My tests are in tests/unit/adapters/sim/test_financing.py.
"""

from decimal import Decimal

import msgspec

from engine.adapters.sim.book import Book, Trade
from engine.adapters.sim.conversion import HomeRates
from engine.adapters.sim.entries import FinancingPart
from engine.adapters.sim.hours import Rollover
from engine.domain.instrument import Instrument

ZERO = Decimal(0)
DAYS_PER_YEAR = 365
MARKUP = Decimal("0.01")
INTEREST = {
    "AUD": Decimal("0.04"),
    "CAD": Decimal("0.03"),
    "CHF": Decimal("0.005"),
    "EUR": Decimal("0.025"),
    "GBP": Decimal("0.045"),
    "JPY": Decimal("0.005"),
    "NZD": Decimal("0.04"),
    "USD": Decimal("0.045"),
}


class FinancingRates(msgspec.Struct, frozen=True, kw_only=True):
    """Yearly rates of holding an instrument, as fractions of its value: negative is paid, positive is earned."""

    long: Decimal
    short: Decimal


def default_rates(instrument: Instrument) -> FinancingRates:
    """The instrument's own rates; without any, interest of what is held minus interest of what is owed, minus a markup.

    The interest rates are round figures for a sandbox and not quotes; metals and unknown currencies bear none.
    """
    if instrument.financing_long or instrument.financing_short:
        return FinancingRates(long=instrument.financing_long, short=instrument.financing_short)
    carry = INTEREST.get(instrument.base, ZERO) - INTEREST.get(instrument.quote, ZERO)
    return FinancingRates(long=carry - MARKUP, short=-carry - MARKUP)


def daily_financing(
    book: Book, rollover: Rollover, financing: dict[str, FinancingRates], rates: HomeRates
) -> tuple[FinancingPart, ...]:
    """Work out what each open trade pays or earns at one rollover; each amount is rounded, the total is their sum.

    Amount = value at mid x yearly rate / 365 x days charged (PROTOCOL section 10), converted like a gain or a loss.
    """
    return tuple(
        FinancingPart(
            trade_id=trade.trade_id,
            instrument=name,
            amount_home=_amount_home(trade, rollover.days, financing[name], rates),
        )
        for name, position in book.positions.items()
        for trade in position.trades
    )


def _amount_home(trade: Trade, days: int, financing: FinancingRates, rates: HomeRates) -> Decimal:
    value = abs(trade.units) * rates.mids[trade.instrument.name]
    rate = financing.long if trade.is_long else financing.short
    return rates.booked(value * rate * days / DAYS_PER_YEAR, trade.instrument.name)
