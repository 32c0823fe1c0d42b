"""I am the rules of matching: what an order gets, what it closes, what triggers, and what is cancelled and why.
I may import the domain, ticket and book.
I must not change anything or convert money; every function here answers from its arguments alone.
My tests are in tests/unit/adapters/sim/test_matching.py, test_exchange.py and test_exchange_triggers.py.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.adapters.sim.book import ZERO, Cut, Order, Trade
from engine.adapters.sim.ticket import CloseOut, OnFill, OrderKind, PositionFill, Ticket, Trigger
from engine.domain.market import Bar, Granularity, Quote

NOTHING_LEFT_TO_REDUCE = "POSITION_CLOSEOUT_FAILED"
OPPOSITE_POSITION = "FIFO_VIOLATION"
HALF = Decimal("0.5")


class Netting(msgspec.Struct, frozen=True, kw_only=True):
    """How an order's units are used on a netting account: first to close, then to open."""

    cuts: tuple[Cut, ...]
    opened_units: Decimal

    @property
    def units(self) -> Decimal:
        """Units that are filled, signed like the order."""
        return sum((cut.units for cut in self.cuts), self.opened_units)


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the market has reached: at which price it is filled, and bid and ask at that moment."""

    order: Order
    price: Decimal
    bid: Decimal
    ask: Decimal


def cancel_reason(ticket: Ticket, netting: Netting, bid: Decimal, ask: Decimal, price: Decimal) -> str | None:
    """Judge what depends on the price; None when the order may be filled at `price` (PROTOCOL section 7.1)."""
    if not netting.units:
        return OPPOSITE_POSITION if ticket.position_fill is PositionFill.OPEN_ONLY else NOTHING_LEFT_TO_REDUCE
    buys, bound = ticket.units > 0, ticket.price_bound
    if bound is not None and (price > bound if buys else price < bound):
        return "BOUNDS_VIOLATION"
    return _on_fill_loss(ticket, bid if buys else ask, price) if netting.opened_units else None


def _on_fill_loss(ticket: Ticket, closing: Decimal, entry: Decimal) -> str | None:
    """Judge stop and target of a trade that would be opened (OANDA's texts of OrderCancelReason).

    Wrong is what would be filled at once, on the closing side, a target on the losing side of the entry price, and a
    stop so far away that no price is left for it.
    """
    buys = ticket.units > 0
    stop, target = on_fill_price(ticket.stop_loss, entry, buys), on_fill_price(ticket.take_profit, entry, buys)
    if target is not None and (target <= closing if buys else target >= closing):
        return "TAKE_PROFIT_ON_FILL_LOSS"
    if target is not None and (target < entry if buys else target > entry):
        return "LOSING_TAKE_PROFIT"
    if stop is not None and (stop >= closing if buys else stop <= closing):
        return "STOP_LOSS_ON_FILL_LOSS"
    return "STOP_LOSS_ON_FILL_PRICE_DISTANCE_MAXIMUM_EXCEEDED" if stop is not None and stop <= 0 else None


def on_fill_price(on_fill: OnFill | None, entry: Decimal, is_long: bool) -> Decimal | None:
    """Return where a stop or target of a new trade stands; a distance counts from the price of the fill."""
    if on_fill is None or on_fill.price is not None or on_fill.distance is None:
        return on_fill.price if on_fill else None
    return entry - on_fill.distance if is_long else entry + on_fill.distance


def market_price(buys: bool, quote: Quote) -> Decimal:
    """Return what the market takes or gives: buys are filled at the ask, sells at the bid."""
    return quote.ask if buys else quote.bid


def use_of(ticket: Ticket, trades: Sequence[Trade]) -> Netting:
    """Use an order's units against the open trades of its instrument, as its position fill says.

    An order that closes one trade takes from that trade, whatever is older.
    """
    if ticket.close_out is CloseOut.TRADE:
        chosen = tuple(trade for trade in trades if trade.trade_id == ticket.trade_id)
        return net(ticket.units, chosen, reduce_only=True)
    if ticket.position_fill is PositionFill.OPEN_ONLY:
        opposite = any(trade.is_long == (ticket.units < 0) for trade in trades)
        return Netting(cuts=(), opened_units=ZERO if opposite else ticket.units)
    return net(ticket.units, trades, reduce_only=ticket.position_fill is PositionFill.REDUCE_ONLY)


def net(units: Decimal, trades: Sequence[Trade], *, reduce_only: bool) -> Netting:
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


def triggered(trade: Trade, bar: Bar) -> Reached | None:
    """Return the stop or target of a trade that this bar fires, or None.

    Nobody knows the way inside the bar: when it touches a stop and the target, the stop is taken. Of two stops the
    nearer to the market is reached first, unless it watches another price.
    """
    stop = _nearest_stop(trade)
    found = reached(stop, bar) if stop is not None else None
    if found is None and trade.stop_loss is not None and trade.trailing_stop is not None:
        found = reached(trade.trailing_stop if stop is trade.stop_loss else trade.stop_loss, bar)
    if found is None and trade.take_profit is not None:
        return reached(trade.take_profit, bar)
    return found


def reached(order: Order, bar: Bar) -> Reached | None:
    """Say whether a bar fires a waiting order, and at which price it is filled.

    An order that waits for the market to come back (a limit, a target) is filled at its price or better; one that
    waits for it to run away (a stop) at its price or, over a gap, at the worse price of the open.
    """
    trigger, sells = order.price, order.sells
    if trigger is None:
        return None
    fill = limit_fill if _comes_back(order) else stop_fill
    if order.ticket.trigger in (Trigger.DEFAULT, Trigger.BID if sells else Trigger.ASK):
        price = fill(sells, trigger, bar)
    else:
        price = _watched_fill(order, trigger, bar)
    if price is None:
        return None
    spread = bar.ask_open - bar.bid_open
    bid, ask = (price, price + spread) if sells else (price - spread, price)
    return Reached(order=order, price=price, bid=bid, ask=ask)


def watched_price(order: Order, quote: Quote) -> Decimal:
    """Return the price, as the market stands, that an order watches."""
    if order.ticket.trigger is Trigger.MID:
        return (quote.bid + quote.ask) * HALF
    return quote.bid if _watches_bid(order) else quote.ask


def _watches_bid(order: Order) -> bool:
    chosen = order.ticket.trigger
    if chosen in (Trigger.BID, Trigger.ASK):
        return chosen is Trigger.BID
    return order.sells == (chosen is Trigger.DEFAULT)


def start_price(order: Order, quote: Quote | None, entry: Decimal | None = None) -> Decimal | None:
    """Return where a new order triggers: at its own price, or a distance away from another.

    A trailing stop starts behind the closing side of the market; a stop counts from the other side (OANDA's text of
    StopLossOrderRequest), or from `entry` when it was set through its trade (StopLossDetails).
    """
    ticket, sells = order.ticket, order.sells
    trails = order.kind is OrderKind.TRAILING_STOP
    if (ticket.price is not None and not trails) or ticket.distance is None or quote is None:
        return ticket.price
    if trails:
        origin = quote.bid if sells else quote.ask
    else:
        origin = entry or (quote.ask if sells else quote.bid)
    return origin - ticket.distance if sells else origin + ticket.distance


def touches_now(order: Order, quote: Quote) -> bool:
    """Say whether the market, as it stands, has reached a waiting order already."""
    bar = standing_bar(quote)
    return reached(order, bar) is not None


def standing_bar(quote: Quote) -> Bar:
    """Make a bar of one moment, so that one set of rules serves quotes and bars."""
    bid, ask = quote.bid, quote.ask
    return Bar(
        instrument=quote.instrument,
        granularity=Granularity.S5,
        open_ts_ns=quote.ts_ns - Granularity.S5.ns,
        bid_open=bid,
        bid_high=bid,
        bid_low=bid,
        bid_close=bid,
        ask_open=ask,
        ask_high=ask,
        ask_low=ask,
        ask_close=ask,
    )


def _comes_back(order: Order) -> bool:
    if order.kind is OrderKind.MARKET_IF_TOUCHED:
        return order.rises == order.sells
    return order.kind in (OrderKind.LIMIT, OrderKind.TAKE_PROFIT)


def _watched_fill(order: Order, trigger: Decimal, bar: Bar) -> Decimal | None:
    """Fire on the price that the client chose to watch, and fill on the order's own side, inside the bar."""
    sells, comes_back = order.sells, _comes_back(order)
    start, high, low = _watched(order, bar)
    touched = high >= trigger if sells == comes_back else low <= trigger
    if not touched:
        return None
    own = bar.bid_open if sells else bar.ask_open
    lowest, highest = (bar.bid_low, bar.bid_high) if sells else (bar.ask_low, bar.ask_high)
    ran_past = start >= trigger if sells == comes_back else start <= trigger
    price = own if ran_past else min(max(trigger + own - start, lowest), highest)
    if order.kind in (OrderKind.LIMIT, OrderKind.TAKE_PROFIT):
        better = price >= trigger if sells else price <= trigger
        return price if better else limit_fill(sells, trigger, bar)
    return price


def _watched(order: Order, bar: Bar) -> tuple[Decimal, Decimal, Decimal]:
    """Open, high and low of the price that an order watches."""
    if order.ticket.trigger is Trigger.MID:
        return (
            (bar.bid_open + bar.ask_open) * HALF,
            (bar.bid_high + bar.ask_high) * HALF,
            (bar.bid_low + bar.ask_low) * HALF,
        )
    if _watches_bid(order):
        return bar.bid_open, bar.bid_high, bar.bid_low
    return bar.ask_open, bar.ask_high, bar.ask_low


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


def _nearest_stop(trade: Trade) -> Order | None:
    fixed, trailing = trade.stop_loss, trade.trailing_stop
    if fixed is None or trailing is None:
        return fixed or trailing
    if fixed.price is None or trailing.price is None:
        return fixed
    trailing_is_nearer = trailing.price > fixed.price if trade.is_long else trailing.price < fixed.price
    return trailing if trailing_is_nearer else fixed
