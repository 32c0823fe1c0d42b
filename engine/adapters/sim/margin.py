"""I am what open positions are worth and how much margin they need.
I may import the domain, book, conversion and matching.
I must not close anything; the broker acts on what I say.
My tests are in tests/unit/adapters/sim/test_margin.py.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.adapters.sim.book import ZERO, Book
from engine.adapters.sim.conversion import HomeRates
from engine.adapters.sim.matching import Netting
from engine.domain.instrument import Instrument
from engine.domain.market import Quote


def margin_home(instrument: Instrument, units: Decimal, rates: HomeRates) -> Decimal:
    """Return the margin of this many units in home currency: units x mid x margin rate, converted at mid."""
    price = rates.mids[instrument.name]
    return abs(units) * price * instrument.margin_rate * rates.rate(instrument.name)


def margin_used_home(book: Book, rates: HomeRates) -> Decimal:
    """Return the margin of every open position in home currency."""
    positions = book.positions.values()
    return sum((margin_home(each.instrument, each.units, rates) for each in positions), ZERO)


def equity_home(book: Book, quotes: Mapping[str, Quote], rates: HomeRates) -> Decimal:
    """Return balance plus open P/L in home currency: longs valued at the bid, shorts at the ask, converted at mid."""
    equity = book.balance_home
    for name, position in book.positions.items():
        quote = quotes[name]
        price = quote.bid if position.units > 0 else quote.ask
        equity += (position.units * price - position.cost) * rates.rate(name)
    return equity


def closeout_figures(book: Book, rates: HomeRates) -> tuple[Decimal, Decimal]:
    """Return (margin used, equity at mid prices) in home currency: what a margin closeout is judged by."""
    margin, equity = ZERO, book.balance_home
    for name, position in book.positions.items():
        rate = rates.rate(name)
        value = position.units * rates.mids[name]
        margin += abs(value) * position.instrument.margin_rate * rate
        equity += (value - position.cost) * rate
    return margin, equity


def must_close_out(book: Book, rates: HomeRates) -> bool:
    """Say whether margin used has reached 100 % of twice the equity at mid (marginCloseoutPercent of OANDA)."""
    margin, equity = closeout_figures(book, rates)
    return margin >= 2 * equity


def has_margin_for(
    netting: Netting, instrument: Instrument, book: Book, quotes: Mapping[str, Quote], rates: HomeRates
) -> bool:
    """Say whether equity covers what stays open and what this order would open; what it closes is freed first.

    Equity is taken before the fill: the spread and the conversion charge of this fill are not in it yet.
    """
    if not netting.opened_units:
        return True
    freed = sum((margin_home(instrument, cut.units, rates) for cut in netting.cuts), ZERO)
    kept = margin_used_home(book, rates) - freed
    return margin_home(instrument, netting.opened_units, rates) <= equity_home(book, quotes, rates) - kept
