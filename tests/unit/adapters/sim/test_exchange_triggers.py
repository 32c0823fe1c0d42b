"""When waiting orders fire and at which price: just under, at, and over, for each price that they can watch."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.adapters.sim.book import Order
from engine.adapters.sim.entries import OrderFilled
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.ticket import OnFill, OrderKind, TimeInForce, Trigger
from engine.domain.market import NS_PER_S
from tests.unit.adapters.sim.venue import MINUTE_NS, START_NS, bar, bought, exchange, set_at, ticket, told

LIMIT, STOP, TOUCHED = OrderKind.LIMIT, OrderKind.STOP, OrderKind.MARKET_IF_TOUCHED
TARGET, LOSS, TRAILING = OrderKind.TAKE_PROFIT, OrderKind.STOP_LOSS, OrderKind.TRAILING_STOP
SATURDAY_NS = START_NS + 4 * 1_440 * MINUTE_NS

# The market stands at 1.10000 to 1.10010 and the spread stays: (the last bid that leaves the order alone, the first
# bid that fires it, the price of the fill).
SELLS_BELOW = {
    Trigger.DEFAULT: ("1.09901", "1.09900", "1.09900"),
    Trigger.BID: ("1.09901", "1.09900", "1.09900"),
    Trigger.MID: ("1.09896", "1.09895", "1.09895"),
    Trigger.ASK: ("1.09891", "1.09890", "1.09890"),
    Trigger.INVERSE: ("1.09891", "1.09890", "1.09890"),
}
BUYS_ABOVE = {
    Trigger.DEFAULT: ("1.10089", "1.10090", "1.10100"),
    Trigger.ASK: ("1.10089", "1.10090", "1.10100"),
    Trigger.MID: ("1.10094", "1.10095", "1.10105"),
    Trigger.BID: ("1.10099", "1.10100", "1.10110"),
    Trigger.INVERSE: ("1.10099", "1.10100", "1.10110"),
}
TOUCHED_ABOVE = {
    Trigger.DEFAULT: ("1.10099", "1.10100", "1.10100"),
    Trigger.BID: ("1.10099", "1.10100", "1.10100"),
    Trigger.MID: ("1.10094", "1.10095", "1.10095"),
    Trigger.ASK: ("1.10089", "1.10090", "1.10090"),
    Trigger.INVERSE: ("1.10089", "1.10090", "1.10090"),
}
TOUCHED_BELOW = {
    Trigger.DEFAULT: ("1.09891", "1.09890", "1.09900"),
    Trigger.ASK: ("1.09891", "1.09890", "1.09900"),
    Trigger.MID: ("1.09896", "1.09895", "1.09905"),
    Trigger.BID: ("1.09901", "1.09900", "1.09910"),
    Trigger.INVERSE: ("1.09901", "1.09900", "1.09910"),
}
# Whatever it watches, a limit is never filled worse than at its price.
BUYS_CHEAPER = dict.fromkeys(Trigger, ("1.09891", "1.09890", "1.09900"))
SELLS_DEARER = dict.fromkeys(Trigger, ("1.10099", "1.10100", "1.10100"))

WAITING = [
    pytest.param(kind, units, price, trigger, *prices, id=f"{kind.order_type}-{units}-{price}-{trigger}")
    for kind, units, price, table in (
        (LIMIT, 100, "1.09900", BUYS_CHEAPER),
        (LIMIT, -100, "1.10100", SELLS_DEARER),
        (STOP, 100, "1.10100", BUYS_ABOVE),
        (STOP, -100, "1.09900", SELLS_BELOW),
        (TOUCHED, 100, "1.10100", BUYS_ABOVE),
        (TOUCHED, 100, "1.09900", TOUCHED_BELOW),
        (TOUCHED, -100, "1.10100", TOUCHED_ABOVE),
        (TOUCHED, -100, "1.09900", SELLS_BELOW),
    )
    for trigger, prices in table.items()
]
CLOSING = [
    pytest.param(kind, units, price, trigger, *prices, id=f"{kind.order_type}-{units}-{trigger}")
    for kind, units, price, table in (
        (TARGET, 100, "1.10100", SELLS_DEARER),
        (TARGET, -100, "1.09900", BUYS_CHEAPER),
        (LOSS, 100, "1.09900", SELLS_BELOW),
        (LOSS, -100, "1.10100", BUYS_ABOVE),
    )
    for trigger, prices in table.items()
]


def waiting(market: Exchange) -> list[Order]:
    return list(market.book.pending.values())


@pytest.mark.parametrize(("kind", "units", "price", "trigger", "quiet", "fires", "filled"), WAITING)
def test_a_waiting_order_fires_on_the_price_it_watches(kind, units, price, trigger, quiet, fires, filled) -> None:
    market = exchange()
    assert told(market.create(ticket(kind, units, price=price, trigger=trigger))) == kind.order_type
    assert set_at(market, quiet) == ""
    assert set_at(market, fires) == f"{units} at {filled}"
    fill = market.book.log[-1]
    assert isinstance(fill, OrderFilled)
    assert fill.reason == kind.value
    assert (fill.bid, fill.ask) == (Decimal(fires), Decimal(fires) + Decimal("0.00010"))
    assert not waiting(market)


@pytest.mark.parametrize(("kind", "units", "price", "trigger", "quiet", "fires", "filled"), CLOSING)
def test_a_stop_or_target_closes_its_trade(kind, units, price, trigger, quiet, fires, filled) -> None:
    market = exchange()
    trade_id = bought(market, units)
    assert told(market.create(ticket(kind, price=price, trigger=trigger, trade_id=trade_id))) == kind.order_type
    assert set_at(market, quiet) == ""
    assert set_at(market, fires) == f"{-units} at {filled}"
    assert not market.book.positions
    fill = market.book.log[-1]
    assert isinstance(fill, OrderFilled)
    assert fill.reason == kind.value
    assert [part.trade_id for part in fill.closed] == [trade_id]


@pytest.mark.parametrize(
    ("units", "trigger", "quiet", "fires", "filled"),
    [(100, trigger, *prices) for trigger, prices in SELLS_BELOW.items()]
    + [
        (-100, Trigger.DEFAULT, "1.10099", "1.10100", "1.10110"),
        (-100, Trigger.ASK, "1.10099", "1.10100", "1.10110"),
        (-100, Trigger.MID, "1.10104", "1.10105", "1.10115"),
        (-100, Trigger.BID, "1.10109", "1.10110", "1.10120"),
        (-100, Trigger.INVERSE, "1.10109", "1.10110", "1.10120"),
    ],
)
def test_a_trailing_stop_starts_behind_the_closing_side(units, trigger, quiet, fires, filled) -> None:
    market = exchange()
    trade_id = bought(market, units)
    market.create(ticket(TRAILING, distance="0.00100", trigger=trigger, trade_id=trade_id))
    assert set_at(market, quiet) == ""
    assert set_at(market, fires) == f"{-units} at {filled}"


@pytest.mark.parametrize(
    ("units", "path", "value", "falls"),
    [
        (100, ["1.10050", "1.09990", "1.10049"], "1.09950", "1.09950"),
        (-100, ["1.09950", "1.10010", "1.09951"], "1.10060", "1.10050"),
    ],
)
def test_a_trailing_stop_follows_and_never_moves_back(units, path, value, falls) -> None:
    market = exchange()
    bought(market, units, trailing_stop=OnFill(distance=Decimal("0.00100")))
    (stop,) = waiting(market)
    assert stop.price == (Decimal("1.09900") if units > 0 else Decimal("1.10110"))
    for bid in path:
        assert set_at(market, bid) == ""
    assert stop.price == Decimal(value)
    assert set_at(market, falls) == f"{-units} at {value}"


def test_a_trailing_stop_stands_still_while_the_market_is_halted() -> None:
    market = exchange()
    bought(market, 100, trailing_stop=OnFill(distance=Decimal("0.00100")))
    (stop,) = waiting(market)
    set_at(market, "1.10500", tradeable=False)
    assert stop.price == Decimal("1.09900")
    set_at(market, "1.10500")
    assert stop.price == Decimal("1.10400")


@pytest.mark.parametrize(
    ("kind", "units", "price", "jump", "filled"),
    [
        (LIMIT, 100, "1.09900", "1.09000", "1.09010"),
        (LIMIT, -100, "1.10100", "1.11000", "1.11000"),
        (STOP, 100, "1.10100", "1.11000", "1.11010"),
        (STOP, -100, "1.09900", "1.09000", "1.09000"),
        (TOUCHED, 100, "1.10100", "1.11000", "1.11010"),
        (TOUCHED, -100, "1.10100", "1.11000", "1.11000"),
    ],
)
def test_a_gap_is_filled_at_the_market(kind, units, price, jump, filled) -> None:
    market = exchange()
    market.create(ticket(kind, units, price=price))
    assert set_at(market, jump) == f"{units} at {filled}"


@pytest.mark.parametrize(
    ("units", "price", "bound", "jump", "outcome"),
    [
        (100, "1.10100", "1.10150", "1.10139", "100 at 1.10149"),
        (100, "1.10100", "1.10150", "1.10140", "100 at 1.10150"),
        (100, "1.10100", "1.10150", "1.10141", "BOUNDS_VIOLATION"),
        (-100, "1.09900", "1.09850", "1.09851", "-100 at 1.09851"),
        (-100, "1.09900", "1.09850", "1.09850", "-100 at 1.09850"),
        (-100, "1.09900", "1.09850", "1.09849", "BOUNDS_VIOLATION"),
    ],
)
def test_a_stop_whose_bound_lies_inside_the_gap_is_cancelled(units, price, bound, jump, outcome) -> None:
    market = exchange()
    market.create(ticket(STOP, units, price=price, price_bound=bound))
    assert set_at(market, jump) == outcome
    assert not waiting(market)


@pytest.mark.parametrize(
    ("kind", "units", "price", "outcome"),
    [
        (LIMIT, 100, "1.10009", "LIMIT"),
        (LIMIT, 100, "1.10010", "LIMIT, 100 at 1.10010"),
        (LIMIT, 100, "1.20000", "LIMIT, 100 at 1.10010"),
        (LIMIT, -100, "1.10001", "LIMIT"),
        (LIMIT, -100, "1.10000", "LIMIT, -100 at 1.10000"),
        (STOP, 100, "1.10011", "STOP"),
        (STOP, 100, "1.10010", "STOP, 100 at 1.10010"),
        (STOP, -100, "1.09999", "STOP"),
        (STOP, -100, "1.10000", "STOP, -100 at 1.10000"),
        (TOUCHED, 100, "1.10009", "MARKET_IF_TOUCHED"),
        (TOUCHED, 100, "1.10010", "MARKET_IF_TOUCHED, 100 at 1.10010"),
        (TOUCHED, 100, "1.10011", "MARKET_IF_TOUCHED"),
        (TOUCHED, -100, "1.09999", "MARKET_IF_TOUCHED"),
        (TOUCHED, -100, "1.10001", "MARKET_IF_TOUCHED"),
    ],
)
def test_what_the_market_has_reached_is_filled_at_once(kind, units, price, outcome) -> None:
    assert told(exchange().create(ticket(kind, units, price=price))) == outcome


@pytest.mark.parametrize(
    ("price", "trigger"),
    [("1.10005", Trigger.BID), ("1.10007", Trigger.MID), ("1.10005", Trigger.INVERSE)],
)
def test_touched_means_from_where_the_watched_price_stood(price, trigger) -> None:
    """The price lies between bid and ask: what it watches has to rise to it, though the ask is above already."""
    market = exchange()
    assert told(market.create(ticket(TOUCHED, 100, price=price, trigger=trigger))) == "MARKET_IF_TOUCHED"
    assert set_at(market, "1.09990") == ""
    assert set_at(market, "1.10020") == "100 at 1.10030"


@pytest.mark.parametrize(("units", "stop"), [(100, "1.09910"), (-100, "1.10100")])
def test_a_stop_of_its_own_counts_its_distance_from_the_other_side(units, stop) -> None:
    """OANDA's StopLossOrderRequest: for long trades the ask is used, for short trades the bid."""
    market = exchange()
    trade_id = bought(market, units)
    market.create(ticket(LOSS, distance="0.00100", trade_id=trade_id))
    assert waiting(market)[0].price == Decimal(stop)


@pytest.mark.parametrize(("units", "stop"), [(100, "1.09910"), (-100, "1.10100")])
def test_a_stop_that_is_set_through_its_trade_counts_from_the_entry(units, stop) -> None:
    market = exchange()
    trade_id = bought(market, units)
    set_at(market, "1.10020")
    market.set_dependents([(None, ticket(LOSS, distance="0.00100", trade_id=trade_id))])
    assert waiting(market)[0].price == Decimal(stop)


def test_a_trailing_stop_has_no_price_of_its_own() -> None:
    market = exchange()
    trade_id = bought(market, 100)
    market.create(ticket(TRAILING, distance="0.00100", price="1.05000", trade_id=trade_id))
    assert waiting(market)[0].price == Decimal("1.09900")


def test_the_farther_stop_fires_when_the_nearer_one_watches_another_price() -> None:
    """A wide spread: the bid is below the far stop while the ask has not reached the near one."""
    market = exchange()
    trade_id = bought(market, 100)
    market.create(ticket(LOSS, price="1.09900", trade_id=trade_id))
    market.create(ticket(TRAILING, distance="0.00050", trigger=Trigger.ASK, trade_id=trade_id))
    assert set_at(market, "1.09900", "1.10000") == "-100 at 1.09900, LINKED_TRADE_CLOSED"


def test_bars_of_a_closed_market_trigger_nothing() -> None:
    market = exchange()
    market.create(ticket(LIMIT, 100, price="1.09900"))
    before = market.book.last_id
    market.on_frame([bar(0, "1.09000", start_ns=SATURDAY_NS)])
    assert market.book.since(before) == ()
    assert len(waiting(market)) == 1
    market.on_frame([bar(0, "1.09000", start_ns=SATURDAY_NS + 3 * 1_440 * MINUTE_NS)])
    assert told(market.book.since(before)) == "100 at 1.09010"


def test_a_price_by_hand_is_tradeable_whatever_the_hour() -> None:
    market = exchange()
    market.advance(SATURDAY_NS)
    set_at(market, "1.10000")
    assert told(market.create(ticket(OrderKind.MARKET, 100))) == "MARKET, 100 at 1.10010"
    market.on_frame([bar(1, "1.10000", start_ns=SATURDAY_NS)])
    assert told(market.create(ticket(OrderKind.MARKET, 100))) == "MARKET, MARKET_HALTED"


def test_after_its_next_bar_an_instrument_is_tradeable_by_the_hour() -> None:
    market = exchange()
    market.on_frame([bar(1, "1.10000")])
    market.advance(SATURDAY_NS)
    assert told(market.create(ticket(OrderKind.MARKET, 100))) == "MARKET, MARKET_HALTED"


def test_a_fill_inside_a_bar_has_prices_of_its_instrument() -> None:
    """The mid of an odd spread lies half a step between two prices."""
    market = exchange()
    market.create(ticket(STOP, 100, price="1.10100", trigger=Trigger.MID))
    market.on_frame([bar(1, "1.10000 1.10200 1.09990 1.10150", spread="0.00011")])
    fill = market.book.log[-1]
    assert isinstance(fill, OrderFilled)
    assert fill.ask == fill.price == Decimal("1.10106")
    assert fill.ask - fill.bid == Decimal("0.00011")


@pytest.mark.parametrize(
    ("units", "price", "trigger", "filled"),
    [(100, "1.10100", Trigger.BID, "1.10110"), (-100, "1.09900", Trigger.ASK, "1.09890")],
)
def test_a_fill_lies_inside_the_bar_when_the_spread_narrows(units, price, trigger, filled) -> None:
    market = exchange()
    market.create(ticket(STOP, units, price=price, trigger=trigger))
    open_wide = bar(1, "1.10000 1.10100 1.09890 1.10000", spread="0.00010")
    market.on_frame([replace(open_wide, bid_open=Decimal("1.09960"), ask_open=Decimal("1.10040"))])
    fill = market.book.log[-1]
    assert isinstance(fill, OrderFilled)
    assert fill.price == Decimal(filled)


def test_a_touched_order_without_any_price_is_refused() -> None:
    market = exchange("EUR_USD")
    market.quotes.clear()
    assert told(market.create(ticket(TOUCHED, 100, price="1.10100"))) == "refused INSTRUMENT_PRICE_UNKNOWN"


def test_an_order_that_ends_with_the_bar_lives_through_it() -> None:
    market = exchange()
    ends = {"time_in_force": TimeInForce.GTD, "gtd_ns": START_NS + MINUTE_NS}
    market.create(ticket(LIMIT, 100, price="1.09900", **ends))
    market.create(ticket(LIMIT, 100, price="1.09500", **ends))
    market.create(ticket(LIMIT, 100, price="1.09900", **(ends | {"gtd_ns": ends["gtd_ns"] - NS_PER_S})))
    before = market.book.last_id
    market.on_frame([bar(1, "1.10000 1.10000 1.09800 1.10000")])
    entries = market.book.since(before)
    assert told(entries) == "TIME_IN_FORCE_EXPIRED, 100 at 1.09900, TIME_IN_FORCE_EXPIRED"
    assert [(entry.ts_ns - START_NS) // NS_PER_S for entry in entries] == [59, 60, 60]
