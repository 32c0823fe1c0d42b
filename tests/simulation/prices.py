"""I am the checker of an entry's prices: bound, stop, target and how far the quote is from the bars that there were.
I may import the domain, the venue's list of instruments and the other parts of this folder.
I must not use the engine's own sizing or medians: the market's bars are mine, and what they can have come to at most.
My tests are in tests/simulation/test_prices.py and test_saboteurs.py.

Bars may be missing, late or twice in the engine's window, so that an average of ranges is known between two ends alone:
no bar was shorter than the shortest, and no range longer than from the highest to the lowest price of all of them.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.limits import RiskLimits, StopMode
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent
from tests.simulation.judging import demand

ZERO = Decimal(0)
# So many of the newest bars hold all that an average of five can be made of, whatever was missing between them.
BARS = 25


def check_prices(intent: OrderIntent, quote: Quote, limits: RiskLimits, bars: Sequence[Bar]) -> None:
    """Hold the prices of an entry against the limits that make them."""
    side = 1 if intent.units > 0 else -1
    entry = quote.ask if side > 0 else quote.bid
    name, order_id = intent.instrument, intent.client_order_id
    spec = CATALOGUE[name]
    ranges = _ranges(bars[-BARS:])
    if intent.price_bound is not None:
        worse = (intent.price_bound - entry) * side
        fits = -spec.price_step < worse <= limits.slippage_pips_max * spec.pip_size
        demand(fits, "I11", f"{order_id}: the bound is {worse} worse than the price")
    if intent.stop_loss is not None:
        away = (entry - intent.stop_loss) * side
        least, most = _span(limits, ranges, limits.stop_loss_pips * spec.pip_size, limits.stop_loss_atr)
        demand(least - spec.price_step <= away <= most, "I11", f"{order_id}: the stop is {away} away, not {most}")
    least, most = _span(limits, ranges, limits.take_profit_pips * spec.pip_size, limits.take_profit_atr)
    if intent.take_profit is not None:
        away = (intent.take_profit - entry) * side
        fits = max(least - spec.price_step, ZERO) < away <= most
        demand(fits, "I11", f"{order_id}: the target is {away} away, not {most}")
    demand((intent.take_profit is None) == (most == 0), "I11", f"{order_id}: the target is {intent.take_profit}")
    off = min(abs(quote.mid - (bar.bid_close + bar.ask_close) / 2) for bar in bars[-BARS:])
    far = off > limits.price_collar_atr_max * ranges[1]
    demand(not far, "I11", f"{order_id}: the quote is {off} from every bar, and they reach over {ranges[1]}")


def check_guard(units: Decimal, quote: Quote, stop_loss: Decimal, limits: RiskLimits, bars: Sequence[Bar]) -> None:
    """A stop that is set later is not farther away than an entry's would be, and not on the wrong side."""
    spec = CATALOGUE[quote.instrument]
    gap = quote.bid - stop_loss if units > 0 else stop_loss - quote.ask
    demand(gap > 0, "I11", f"the stop of {units} {quote.instrument} is {gap} from the price")
    most = max(limits.stop_loss_pips * spec.pip_size, limits.stop_loss_atr * _ranges(bars[-BARS:])[1])
    demand(gap <= most + spec.price_step, "I11", f"the stop of {units} {quote.instrument} is {gap} away, not {most}")


def _ranges(bars: Sequence[Bar]) -> tuple[Decimal, Decimal]:
    """The least and the most that an average of true ranges of middle prices can be."""
    highs = [(bar.bid_high + bar.ask_high) / 2 for bar in bars]
    lows = [(bar.bid_low + bar.ask_low) / 2 for bar in bars]
    return min(high - low for high, low in zip(highs, lows, strict=True)), max(highs) - min(lows)


def _span(
    limits: RiskLimits, ranges: tuple[Decimal, Decimal], pips: Decimal, factor: Decimal
) -> tuple[Decimal, Decimal]:
    """The least and the most that a distance can be, in quote currency."""
    if limits.stop_mode is StopMode.PIPS:
        return pips, pips
    return factor * ranges[0], factor * ranges[1]
