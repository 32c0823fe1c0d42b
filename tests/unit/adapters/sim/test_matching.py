"""The rules of matching, one at a time: just under, at, and over each border."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.adapters.sim.book import Book, Order, Trade
from engine.adapters.sim.broker import ticket_of
from engine.adapters.sim.matching import (
    Netting,
    cancel_reason,
    limit_fill,
    market_price,
    net,
    stop_fill,
    trailed,
    triggered,
)
from engine.adapters.sim.ticket import OrderKind, Ticket
from engine.adapters.sim.validation import reject_reason
from engine.domain.instrument import Instrument
from engine.domain.market import Quote
from engine.domain.order import OrderIntent
from tests.unit.adapters.sim.venue import START_NS, bar, instrument, order

EUR_USD = instrument("EUR_USD")
QUOTE = Quote(
    instrument="EUR_USD",
    bid=Decimal("1.10000"),
    ask=Decimal("1.10010"),
    ts_ns=START_NS,
    received_ns=START_NS,
    home_rate=Decimal(1),
)


def trade(units: int, price: str = "1.10000", **stops: str) -> Trade:
    waiting = {
        name: Order(order_id=name, ticket=Ticket(kind=kind, instrument="EUR_USD"), price=Decimal(stops[name]))
        for name, kind in (
            ("take_profit", OrderKind.TAKE_PROFIT),
            ("stop_loss", OrderKind.STOP_LOSS),
            ("trailing_stop", OrderKind.TRAILING_STOP),
        )
        if name in stops
    }
    made = Trade(trade_id=str(units), instrument=EUR_USD, is_long=units > 0, units=Decimal(units), price=Decimal(price))
    for waits in waiting.values():
        made.attach(waits)
    return made


def rejected(intent: OrderIntent, traded: Instrument = EUR_USD) -> str | None:
    return reject_reason(ticket_of(intent), traded, Book(), START_NS)


def canceled(intent: OrderIntent, netting: Netting) -> str | None:
    price = market_price(intent.units > 0, QUOTE)
    return cancel_reason(ticket_of(intent), netting, QUOTE.bid, QUOTE.ask, price)


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (order(1), None),
        (order(-1), None),
        (order("0.9"), "UNITS_PRECISION_EXCEEDED"),
        (order("1.5"), "UNITS_PRECISION_EXCEEDED"),
        (order("2.000"), None),
        (order(10_000_000), None),
        (order(10_000_001), "UNITS_LIMIT_EXCEEDED"),
        (order(-10_000_001), "UNITS_LIMIT_EXCEEDED"),
        (order(1, client_order_id="x" * 128), None),
        (order(1, client_order_id="x" * 129), "CLIENT_ORDER_ID_INVALID"),
        (order(1, client_order_id=""), "CLIENT_ORDER_ID_INVALID"),
        (order(1, price_bound="1.10010"), None),
        (order(1, price_bound="1.100101"), "PRICE_BOUND_PRECISION_EXCEEDED"),
        (order(1, price_bound="0"), "PRICE_BOUND_INVALID"),
        (order(1, stop_loss="1.0990000"), None),
        (order(1, stop_loss="1.099001"), "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        (order(1, stop_loss="-1"), "STOP_LOSS_ON_FILL_PRICE_INVALID"),
        (order(1, take_profit="1.100101"), "TAKE_PROFIT_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        (order(1, take_profit="0"), "TAKE_PROFIT_ON_FILL_PRICE_INVALID"),
        (order(1, trailing_distance="0.000001"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_PRECISION_EXCEEDED"),
        (order(1, trailing_distance="0"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_INVALID"),
    ],
)
def test_what_needs_no_price_is_rejected(intent, reason) -> None:
    assert rejected(intent) == reason


def test_fractional_units_below_the_minimum_are_rejected() -> None:
    fractional = replace(EUR_USD, units_decimals=1, units_min=Decimal("0.5"))
    assert rejected(order("0.4"), fractional) == "UNITS_MINIMUM_NOT_MET"
    assert rejected(order("0.5"), fractional) is None


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (order(100, price_bound="1.10009"), "BOUNDS_VIOLATION"),
        (order(100, price_bound="1.10010"), None),
        (order(100, price_bound="1.10011"), None),
        (order(-100, price_bound="1.10001"), "BOUNDS_VIOLATION"),
        (order(-100, price_bound="1.10000"), None),
        (order(-100, price_bound="1.09999"), None),
        (order(100, stop_loss="1.10001"), "STOP_LOSS_ON_FILL_LOSS"),
        (order(100, stop_loss="1.10000"), "STOP_LOSS_ON_FILL_LOSS"),
        (order(100, stop_loss="1.09999"), None),
        (order(-100, stop_loss="1.10009"), "STOP_LOSS_ON_FILL_LOSS"),
        (order(-100, stop_loss="1.10010"), "STOP_LOSS_ON_FILL_LOSS"),
        (order(-100, stop_loss="1.10011"), None),
        (order(100, take_profit="1.10000"), "TAKE_PROFIT_ON_FILL_LOSS"),
        (order(100, take_profit="1.10001"), "LOSING_TAKE_PROFIT"),
        (order(100, take_profit="1.10009"), "LOSING_TAKE_PROFIT"),
        (order(100, take_profit="1.10010"), None),
        (order(-100, take_profit="1.10010"), "TAKE_PROFIT_ON_FILL_LOSS"),
        (order(-100, take_profit="1.10009"), "LOSING_TAKE_PROFIT"),
        (order(-100, take_profit="1.10001"), "LOSING_TAKE_PROFIT"),
        (order(-100, take_profit="1.10000"), None),
    ],
)
def test_what_needs_the_price_is_canceled(intent, reason) -> None:
    opens = Netting(cuts=(), opened_units=intent.units)
    assert canceled(intent, opens) == reason


def test_stops_do_not_matter_to_an_order_that_opens_nothing() -> None:
    closes = net(Decimal(-100), [trade(100)], reduce_only=False)
    assert canceled(order(-100, stop_loss="1.00000"), closes) is None


def test_buys_pay_the_ask_and_sells_get_the_bid() -> None:
    assert (market_price(True, QUOTE), market_price(False, QUOTE)) == (Decimal("1.10010"), Decimal("1.10000"))


@pytest.mark.parametrize(
    ("units", "held", "reduce_only", "cuts", "opened"),
    [
        (100, [], False, [], 100),
        (100, [50], False, [], 100),
        (-49, [50], False, [-49], 0),
        (-50, [50], False, [-50], 0),
        (-51, [50], False, [-50], -1),
        (-50, [50, 30], False, [-50], 0),
        (-70, [50, 30], False, [-50, -20], 0),
        (-80, [50, 30], False, [-50, -30], 0),
        (-90, [50, 30], False, [-50, -30], -10),
        (60, [-50, -30], False, [50, 10], 0),
        (90, [-50, -30], False, [50, 30], 10),
        (-90, [50, 30], True, [-50, -30], 0),
        (90, [50, 30], True, [], 0),
        (90, [], True, [], 0),
    ],
)
def test_opposite_orders_eat_trades_oldest_first(units, held, reduce_only, cuts, opened) -> None:
    trades = [trade(each) for each in held]
    netting = net(Decimal(units), trades, reduce_only=reduce_only)
    assert [int(cut.units) for cut in netting.cuts] == cuts
    assert [cut.trade for cut in netting.cuts] == trades[: len(cuts)]
    assert netting.opened_units == opened
    assert netting.units == sum(cuts) + opened


@pytest.mark.parametrize(
    ("sells", "stop", "prices", "filled"),
    [
        (True, "1.09900", "1.10000 1.10050 1.09901 1.10000", None),
        (True, "1.09900", "1.10000 1.10050 1.09900 1.10000", "1.09900"),
        (True, "1.09900", "1.10000 1.10050 1.09800 1.10000", "1.09900"),
        (True, "1.09900", "1.09900 1.10050 1.09800 1.10000", "1.09900"),
        (True, "1.09900", "1.09899 1.10050 1.09800 1.10000", "1.09899"),
        (False, "1.10100", "1.10000 1.10089 1.09900 1.10000", None),
        (False, "1.10100", "1.10000 1.10090 1.09900 1.10000", "1.10100"),
        (False, "1.10100", "1.10000 1.10200 1.09900 1.10000", "1.10100"),
        (False, "1.10100", "1.10090 1.10200 1.09900 1.10000", "1.10100"),
        (False, "1.10100", "1.10091 1.10200 1.09900 1.10000", "1.10101"),
    ],
)
def test_a_stop_fills_at_its_price_or_at_a_gapped_open(sells, stop, prices, filled) -> None:
    """Bars give the bid; the ask, which buying stops watch, is 0.00010 above it."""
    assert stop_fill(sells, Decimal(stop), bar(1, prices)) == (None if filled is None else Decimal(filled))


@pytest.mark.parametrize(
    ("sells", "limit", "prices", "filled"),
    [
        (True, "1.10100", "1.10000 1.10099 1.09900 1.10000", None),
        (True, "1.10100", "1.10000 1.10100 1.09900 1.10000", "1.10100"),
        (True, "1.10100", "1.10100 1.10200 1.09900 1.10000", "1.10100"),
        (True, "1.10100", "1.10101 1.10200 1.09900 1.10000", "1.10101"),
        (False, "1.09900", "1.10000 1.10100 1.09891 1.10000", None),
        (False, "1.09900", "1.10000 1.10100 1.09890 1.10000", "1.09900"),
        (False, "1.09900", "1.09890 1.10100 1.09800 1.10000", "1.09900"),
        (False, "1.09900", "1.09889 1.10100 1.09800 1.10000", "1.09899"),
    ],
)
def test_a_limit_fills_at_its_price_or_at_a_better_open(sells, limit, prices, filled) -> None:
    assert limit_fill(sells, Decimal(limit), bar(1, prices)) == (None if filled is None else Decimal(filled))


@pytest.mark.parametrize(
    ("units", "stops", "prices", "fired"),
    [
        (1, {"stop_loss": "1.09900", "take_profit": "1.10100"}, "1.10000 1.10099 1.09901 1.10000", None),
        (1, {"stop_loss": "1.09900", "take_profit": "1.10100"}, "1.10000 1.10100 1.09901 1.10000", "take_profit"),
        (1, {"stop_loss": "1.09900", "take_profit": "1.10100"}, "1.10000 1.10099 1.09900 1.10000", "stop_loss"),
        (1, {"stop_loss": "1.09900", "take_profit": "1.10100"}, "1.10000 1.10100 1.09900 1.10000", "stop_loss"),
        (-1, {"stop_loss": "1.10100", "take_profit": "1.09900"}, "1.10000 1.10089 1.09891 1.10000", None),
        (-1, {"stop_loss": "1.10100", "take_profit": "1.09900"}, "1.10000 1.10089 1.09890 1.10000", "take_profit"),
        (-1, {"stop_loss": "1.10100", "take_profit": "1.09900"}, "1.10000 1.10090 1.09890 1.10000", "stop_loss"),
        (1, {"stop_loss": "1.09900", "trailing_stop": "1.09950"}, "1.10000 1.10000 1.09900 1.10000", "trailing_stop"),
        (1, {"stop_loss": "1.09960", "trailing_stop": "1.09950"}, "1.10000 1.10000 1.09900 1.10000", "stop_loss"),
        (-1, {"stop_loss": "1.10100", "trailing_stop": "1.10050"}, "1.10000 1.10200 1.10000 1.10000", "trailing_stop"),
        (-1, {"stop_loss": "1.10040", "trailing_stop": "1.10050"}, "1.10000 1.10200 1.10000 1.10000", "stop_loss"),
        (1, {}, "1.10000 2.00000 0.50000 1.10000", None),
    ],
)
def test_a_bar_fires_the_stop_before_the_target(units, stops, prices, fired) -> None:
    found = triggered(trade(units, **stops), bar(1, prices))
    assert (found and found.order.order_id) == fired


@pytest.mark.parametrize(
    ("sells", "stop", "prices", "moved"),
    [
        (True, "1.09900", "1.10000 1.10000 1.09950 1.09960", "1.09900"),
        (True, "1.09900", "1.10000 1.10001 1.09950 1.09960", "1.09901"),
        (False, "1.10110", "1.10000 1.10050 1.10000 1.10020", "1.10110"),
        (False, "1.10110", "1.10000 1.10050 1.09999 1.10020", "1.10109"),
    ],
)
def test_a_trailing_stop_follows_the_best_price_and_never_moves_back(sells, stop, prices, moved) -> None:
    assert trailed(sells, Decimal(stop), Decimal("0.00100"), bar(1, prices)) == Decimal(moved)
