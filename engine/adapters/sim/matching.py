"""I am the rules of matching: what an order gets, what it closes, what triggers, and what is refused and why.
I may import the domain and book.
I must not change anything or convert money; every function here answers from its arguments alone.
My tests are in tests/unit/adapters/sim/test_matching.py.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.adapters.sim.book import ZERO, Cut, DependentOrder, OpenTrade
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent

CLIENT_ID_LENGTH_MAX = 128
NOTHING_LEFT_TO_REDUCE = "POSITION_CLOSEOUT_FAILED"


class Netting(msgspec.Struct, frozen=True, kw_only=True):
    """How an order's units are used on a netting account: first to close, then to open."""

    cuts: tuple[Cut, ...]
    opened_units: Decimal

    @property
    def units(self) -> Decimal:
        """Units that are filled, signed like the order."""
        return sum((cut.units for cut in self.cuts), self.opened_units)


def reject_reason(intent: OrderIntent, instrument: Instrument) -> str | None:
    """Judge what can be judged without a price; None when the order may be created (PROTOCOL section 7.4)."""
    size = abs(intent.units)
    if size > instrument.units_max:
        return "UNITS_LIMIT_EXCEEDED"
    if instrument.round_units_down(size) != size:
        return "UNITS_PRECISION_EXCEEDED"
    if size < instrument.units_min:
        return "UNITS_MINIMUM_NOT_MET"
    if not 0 < len(intent.client_order_id) <= CLIENT_ID_LENGTH_MAX:
        return "CLIENT_ORDER_ID_INVALID"
    prices = (
        ("PRICE_BOUND", intent.price_bound),
        ("TAKE_PROFIT_ON_FILL_PRICE", intent.take_profit),
        ("STOP_LOSS_ON_FILL_PRICE", intent.stop_loss),
        ("TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE", intent.trailing_distance),
    )
    for name, price in prices:
        if price is not None and price <= 0:
            return f"{name}_INVALID"
        if price is not None and instrument.round_price(price) != price:
            return f"{name}_PRECISION_EXCEEDED"
    return None


def cancel_reason(intent: OrderIntent, netting: Netting, quote: Quote) -> str | None:
    """Judge what depends on the price; None when the order may be filled at this quote (PROTOCOL section 7.1)."""
    if not netting.units:
        return NOTHING_LEFT_TO_REDUCE
    buys = intent.units > 0
    price, bound = market_price(buys, quote), intent.price_bound
    if bound is not None and (price > bound if buys else price < bound):
        return "BOUNDS_VIOLATION"
    return _on_fill_loss(intent, quote) if netting.opened_units else None


def _on_fill_loss(intent: OrderIntent, quote: Quote) -> str | None:
    """Judge stop and target of a trade that would be opened (OANDA's texts of OrderCancelReason).

    Wrong is what would be filled at once, on the closing side, and a target on the losing side of the entry price.
    """
    buys = intent.units > 0
    entry, closing = market_price(buys, quote), market_price(not buys, quote)
    stop, target = intent.stop_loss, intent.take_profit
    if target is not None and (target <= closing if buys else target >= closing):
        return "TAKE_PROFIT_ON_FILL_LOSS"
    if target is not None and (target < entry if buys else target > entry):
        return "LOSING_TAKE_PROFIT"
    if stop is not None and (stop >= closing if buys else stop <= closing):
        return "STOP_LOSS_ON_FILL_LOSS"
    return None


def market_price(buys: bool, quote: Quote) -> Decimal:
    """Return what the market takes or gives: buys are filled at the ask, sells at the bid."""
    return quote.ask if buys else quote.bid


def net(units: Decimal, trades: Sequence[OpenTrade], *, reduce_only: bool) -> Netting:
    """Use an order's units against the open trades, oldest first; what is left over opens, unless reduce_only.

    Source: OANDA's positionFill REDUCE_FIRST on a netting account. That a reduce-only order keeps the part which
    reduces and loses the rest is our reading; PROTOCOL section 7.1 has no source for it.
    """
    left, cuts = units, []
    for trade in trades:
        if left == 0 or trade.is_long == (left > 0):
            break
        taken = -trade.units if abs(trade.units) <= abs(left) else left
        cuts.append(Cut(trade=trade, units=taken))
        left -= taken
    return Netting(cuts=tuple(cuts), opened_units=ZERO if reduce_only else left)


def triggered(trade: OpenTrade, bar: Bar) -> tuple[DependentOrder, Decimal] | None:
    """Return the stop or target that this bar fires and its fill price, or None.

    A long trade is closed by a sell and so watches the bid, a short one the ask. Nobody knows the way inside the bar:
    when it touches a stop and the target, the stop is taken. Of two stops the nearer to the market is reached first.
    """
    sells = trade.is_long
    stop = _nearest_stop(trade)
    if stop is not None:
        price = stop_fill(sells, stop.price, bar)
        if price is not None:
            return stop, price
    target = trade.take_profit
    if target is not None:
        price = limit_fill(sells, target.price, bar)
        if price is not None:
            return target, price
    return None


def stop_fill(sells: bool, stop: Decimal, bar: Bar) -> Decimal | None:
    """Return the fill price of a stop in this bar: its own, or the open when the market gapped through it."""
    if sells:
        return min(stop, bar.bid_open) if bar.bid_low <= stop else None
    return max(stop, bar.ask_open) if bar.ask_high >= stop else None


def limit_fill(sells: bool, limit: Decimal, bar: Bar) -> Decimal | None:
    """Return the fill price of a limit in this bar: its own, or the open when that is better."""
    if sells:
        return max(limit, bar.bid_open) if bar.bid_high >= limit else None
    return min(limit, bar.ask_open) if bar.ask_low <= limit else None


def trailed(sells: bool, stop: Decimal, distance: Decimal, bar: Bar) -> Decimal:
    """Return where a trailing stop stands after this bar: behind the best price of its side, never moved back.

    The bar has been tested against the stop as it stood before: a bar that first runs ahead and then falls back
    through the moved stop fires only with the next bar, at its open or worse.
    """
    if sells:
        return max(stop, bar.bid_high - distance)
    return min(stop, bar.ask_low + distance)


def _nearest_stop(trade: OpenTrade) -> DependentOrder | None:
    fixed, trailing = trade.stop_loss, trade.trailing_stop
    if fixed is None or trailing is None:
        return fixed or trailing
    trailing_is_nearer = trailing.price > fixed.price if trade.is_long else trailing.price < fixed.price
    return trailing if trailing_is_nearer else fixed
