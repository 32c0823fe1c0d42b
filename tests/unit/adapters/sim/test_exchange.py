"""What becomes of orders on the exchange, one rule at a time: just under, at, and over each border."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.adapters.sim.book import Order, OrderState
from engine.adapters.sim.entries import OrderEnded, OrderFilled, OrderMade, OrderRefused
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.ticket import CloseOut, Extensions, OnFill, OrderKind, PositionFill, Ticket, TimeInForce
from engine.domain.market import NS_PER_S
from tests.unit.adapters.sim.venue import START_NS, bought, exchange, passed, set_at, ticket, told

MARKET, LIMIT, STOP = OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP
TARGET, LOSS, TRAILING = OrderKind.TAKE_PROFIT, OrderKind.STOP_LOSS, OrderKind.TRAILING_STOP
HOUR_NS = 3_600 * NS_PER_S


def on_fill(price: str | None = None, distance: str | None = None, **terms: object) -> OnFill:
    return OnFill(price=price and Decimal(price), distance=distance and Decimal(distance), **terms)


def waiting(market: Exchange) -> list[Order]:
    return list(market.book.pending.values())


def held(market: Exchange, name: str = "EUR_USD") -> list[int]:
    position = market.book.positions.get(name)
    return [] if position is None else [int(trade.units) for trade in position.trades]


def closing(units: int, trade_id: str) -> Ticket:
    return ticket(
        MARKET,
        units,
        trade_id=trade_id,
        close_out=CloseOut.TRADE,
        close_units=str(abs(units)),
        position_fill=PositionFill.REDUCE_ONLY,
    )


@pytest.mark.parametrize(
    ("before", "units", "after", "outcome"),
    [
        ([], 100, [100], "100 at 1.10010"),
        ([50], 100, [50, 100], "100 at 1.10010"),
        ([50], -49, [1], "-49 at 1.10000"),
        ([50], -50, [], "-50 at 1.10000"),
        ([50], -51, [-1], "-51 at 1.10000"),
        ([50, 30], -50, [30], "-50 at 1.10000"),
        ([50, 30], -51, [29], "-51 at 1.10000"),
        ([50, 30], -90, [-10], "-90 at 1.10000"),
        ([-50, -30], 49, [-1, -30], "49 at 1.10010"),
        ([-50, -30], 81, [1], "81 at 1.10010"),
    ],
)
def test_orders_net_through_zero_oldest_trade_first(before, units, after, outcome) -> None:
    market = exchange()
    for each in before:
        bought(market, each)
    entries = market.create(ticket(MARKET, units))
    assert told(entries) == f"MARKET, {outcome}"
    assert held(market) == after
    fill = entries[1]
    assert isinstance(fill, OrderFilled)
    parts = [*fill.closed, *([fill.reduced] if fill.reduced else [])]
    assert sum(part.units for part in parts) + (fill.opened.units if fill.opened else 0) == units
    assert fill.opened is None or str(fill.id) in market.book.trades


@pytest.mark.parametrize(
    ("fills", "before", "units", "after", "outcome"),
    [
        (PositionFill.REDUCE_ONLY, [50], -49, [1], "-49 at 1.10000"),
        (PositionFill.REDUCE_ONLY, [50], -50, [], "-50 at 1.10000"),
        (PositionFill.REDUCE_ONLY, [50], -51, [], "-50 at 1.10000, POSITION_CLOSEOUT_FAILED"),
        (PositionFill.REDUCE_ONLY, [-50], 51, [], "50 at 1.10010, POSITION_CLOSEOUT_FAILED"),
        (PositionFill.REDUCE_ONLY, [50], 1, [50], "POSITION_CLOSEOUT_FAILED"),
        (PositionFill.REDUCE_ONLY, [], 1, [], "POSITION_CLOSEOUT_FAILED"),
        (PositionFill.OPEN_ONLY, [], -1, [-1], "-1 at 1.10000"),
        (PositionFill.OPEN_ONLY, [50], 1, [50, 1], "1 at 1.10010"),
        (PositionFill.OPEN_ONLY, [50], -1, [50], "FIFO_VIOLATION"),
        (PositionFill.REDUCE_FIRST, [50], -51, [-1], "-51 at 1.10000"),
        (PositionFill.DEFAULT, [50], -51, [-1], "-51 at 1.10000"),
    ],
)
def test_position_fill_says_what_an_order_may_do(fills, before, units, after, outcome) -> None:
    market = exchange()
    for each in before:
        bought(market, each)
    assert told(market.create(ticket(MARKET, units, position_fill=fills))) == f"MARKET, {outcome}"
    assert held(market) == after


@pytest.mark.parametrize("side", [1, -1])
def test_a_trade_is_closed_by_its_number_whatever_is_older(side) -> None:
    market = exchange()
    bought(market, 50 * side)
    second = bought(market, 30 * side)
    market.create(closing(-10 * side, second))
    assert held(market) == [50 * side, 20 * side]
    entries = market.create(closing(-20 * side, second), reason=CloseOut.TRADE.value)
    assert held(market) == [50 * side]
    assert isinstance(entries[0], OrderMade)
    assert entries[0].reason == "TRADE_CLOSE"
    assert isinstance(entries[1], OrderFilled)
    assert entries[1].reason == "MARKET_ORDER_TRADE_CLOSE"
    assert [part.trade_id for part in entries[1].closed] == [second]


@pytest.mark.parametrize("side", [1, -1])
def test_closing_a_trade_ends_the_orders_that_waited_for_it(side) -> None:
    market = exchange()
    far = {1: ("1.20000", "1.00000"), -1: ("1.00000", "1.20000")}[side]
    trade_id = bought(
        market,
        100 * side,
        take_profit=on_fill(far[0]),
        stop_loss=on_fill(far[1]),
        trailing_stop=on_fill(distance="0.01000"),
    )
    assert [order.kind for order in waiting(market)] == [TARGET, LOSS, TRAILING]
    other = bought(market, 10 * side, stop_loss=on_fill(far[1]))
    assert told(market.create(closing(-40 * side, trade_id))).count("LINKED") == 0
    entries = market.create(closing(-60 * side, trade_id))
    ended = [entry for entry in entries if isinstance(entry, OrderEnded)]
    assert [entry.reason for entry in ended] == ["LINKED_TRADE_CLOSED"] * 3
    assert {(entry.closed_trade_id, entry.closing_id) for entry in ended} == {(trade_id, entries[1].id)}
    assert {entry.batch_id for entry in entries} == {entries[0].id}
    assert [order.trade.trade_id for order in waiting(market)] == [other]


@pytest.mark.parametrize(
    ("units", "terms", "outcome"),
    [
        (100, {"stop_loss": on_fill("1.09999")}, "100 at 1.10010, STOP_LOSS"),
        (100, {"stop_loss": on_fill("1.10000")}, "STOP_LOSS_ON_FILL_LOSS"),
        (-100, {"stop_loss": on_fill("1.10011")}, "-100 at 1.10000, STOP_LOSS"),
        (-100, {"stop_loss": on_fill("1.10010")}, "STOP_LOSS_ON_FILL_LOSS"),
        (100, {"stop_loss": on_fill(distance="0.00011")}, "100 at 1.10010, STOP_LOSS"),
        (100, {"stop_loss": on_fill(distance="0.00010")}, "STOP_LOSS_ON_FILL_LOSS"),
        (-100, {"stop_loss": on_fill(distance="0.00011")}, "-100 at 1.10000, STOP_LOSS"),
        (-100, {"stop_loss": on_fill(distance="0.00010")}, "STOP_LOSS_ON_FILL_LOSS"),
        (100, {"stop_loss": on_fill(distance="1.10009")}, "100 at 1.10010, STOP_LOSS"),
        (100, {"stop_loss": on_fill(distance="1.10010")}, "STOP_LOSS_ON_FILL_PRICE_DISTANCE_MAXIMUM_EXCEEDED"),
        (100, {"take_profit": on_fill("1.10010")}, "100 at 1.10010, TAKE_PROFIT"),
        (100, {"take_profit": on_fill("1.10009")}, "LOSING_TAKE_PROFIT"),
        (100, {"take_profit": on_fill("1.10000")}, "TAKE_PROFIT_ON_FILL_LOSS"),
        (-100, {"take_profit": on_fill("1.10010")}, "TAKE_PROFIT_ON_FILL_LOSS"),
        (100, {"price_bound": "1.10010"}, "100 at 1.10010"),
        (100, {"price_bound": "1.10009"}, "BOUNDS_VIOLATION"),
        (-100, {"price_bound": "1.10000"}, "-100 at 1.10000"),
        (-100, {"price_bound": "1.10001"}, "BOUNDS_VIOLATION"),
    ],
)
def test_what_depends_on_the_price_is_created_and_cancelled(units, terms, outcome) -> None:
    market = exchange()
    entries = market.create(ticket(MARKET, units, **terms))
    assert told(entries) == f"MARKET, {outcome}"
    assert {entry.batch_id for entry in entries} == {entries[0].id}
    assert (held(market) == []) == ("at" not in outcome)


@pytest.mark.parametrize(("units", "stop"), [(100, "1.09910"), (-100, "1.10100")])
def test_a_stop_on_fill_counts_its_distance_from_the_entry(units, stop) -> None:
    market = exchange()
    trade_id = bought(market, units, stop_loss=on_fill(distance="0.00100"))
    (order,) = waiting(market)
    assert (order.price, order.reason, order.ticket.trade_id) == (Decimal(stop), "ON_FILL", trade_id)
    assert order.trade is market.book.trades[trade_id]


def test_stops_of_an_order_that_opens_nothing_are_ignored() -> None:
    market = exchange()
    bought(market, 100)
    wrong = {"stop_loss": on_fill("1.00000"), "take_profit": on_fill("1.20000"), "trade_extensions": Extensions(id="x")}
    assert told(market.create(ticket(MARKET, -100, **wrong))) == "MARKET, -100 at 1.10000"
    assert not waiting(market)


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        (TARGET, {"price": "1.20000"}),
        (LOSS, {"price": "1.00000"}),
        (LOSS, {"distance": "0.10000"}),
        (TRAILING, {"distance": "0.01000"}),
    ],
)
def test_a_trade_has_one_order_of_each_kind(kind, terms) -> None:
    market = exchange()
    trade_id = bought(market, 100)
    first = market.create(ticket(kind, trade_id=trade_id, **terms))
    assert told(first) == kind.order_type
    assert told(market.create(ticket(kind, trade_id=trade_id, **terms))) == f"refused {kind}_ALREADY_EXISTS"
    market.cancel(market.book.orders[str(first[0].id)])
    assert told(market.create(ticket(kind, trade_id=trade_id, **terms))) == kind.order_type


@pytest.mark.parametrize("kind", [TARGET, LOSS, TRAILING])
def test_no_order_is_made_for_a_trade_that_is_not_open(kind) -> None:
    market = exchange()
    terms = {"distance": "0.01000"} if kind is TRAILING else {"price": "1.00000"}
    trade_id = bought(market, 100)
    market.create(ticket(MARKET, -100))
    assert told(market.create(ticket(kind, trade_id=trade_id, **terms))) == "refused TRADE_DOESNT_EXIST"
    assert told(market.create(ticket(kind, trade_id="999", name="", **terms))) == "refused TRADE_DOESNT_EXIST"


def test_the_client_id_of_an_open_trade_is_the_guard_against_doubles() -> None:
    market = exchange()
    words = {"trade_extensions": Extensions(id="mine")}
    trade_id = bought(market, 100, **words)
    assert market.book.trades[trade_id].client_trade_id == "mine"
    assert told(market.create(ticket(MARKET, 100, **words))) == "MARKET, CLIENT_TRADE_ID_ALREADY_EXISTS"
    market.create(ticket(LIMIT, 100, price="1.09000", **words))
    assert set_at(market, "1.08000") == "CLIENT_TRADE_ID_ALREADY_EXISTS"
    market.create(closing(-100, trade_id))
    assert told(market.create(ticket(MARKET, 100, **words))) == "MARKET, 100 at 1.08010"


def test_a_client_order_id_is_taken_only_while_its_order_waits() -> None:
    market = exchange()
    words = {"extensions": Extensions(id="mine")}
    market.create(ticket(LIMIT, 100, price="1.09000", **words))
    assert told(market.create(ticket(MARKET, 1, **words))) == "refused CLIENT_ORDER_ID_ALREADY_EXISTS"
    assert set_at(market, "1.08990") == "100 at 1.09000"
    for _ in range(2):
        assert told(market.create(ticket(MARKET, 1, **words))) == "MARKET, 1 at 1.09000"


@pytest.mark.parametrize("name", ["take_profit", "stop_loss", "trailing_stop"])
def test_an_order_on_fill_may_not_take_the_id_of_a_waiting_order(name) -> None:
    market = exchange()
    market.create(ticket(LIMIT, 100, price="1.05000", extensions=Extensions(id="mine")))
    terms = {
        "take_profit": {"price": "1.20000"},
        "stop_loss": {"price": "1.00000"},
        "trailing_stop": {"distance": "0.01"},
    }
    made = on_fill(**terms[name], extensions=Extensions(id="mine"))
    word = {"take_profit": "TAKE_PROFIT", "stop_loss": "STOP_LOSS", "trailing_stop": "TRAILING_STOP_LOSS"}[name]
    outcome = told(market.create(ticket(MARKET, 100, **{name: made})))
    assert outcome == f"MARKET, {word}_ON_FILL_CLIENT_ORDER_ID_ALREADY_EXISTS"
    assert not held(market)


def test_an_order_on_fill_may_take_over_the_id_of_its_order() -> None:
    market = exchange()
    words = Extensions(id="mine")
    market.create(ticket(LIMIT, 100, price="1.09000", extensions=words, stop_loss=on_fill("1.00000", extensions=words)))
    assert set_at(market, "1.08990") == "100 at 1.09000, STOP_LOSS"
    assert [order.client_order_id for order in waiting(market)] == ["mine"]


@pytest.mark.parametrize(
    ("name", "terms", "word"),
    [
        ("take_profit", {"price": "1.20000"}, "TAKE_PROFIT"),
        ("stop_loss", {"price": "1.00000"}, "STOP_LOSS"),
        ("trailing_stop", {"distance": "0.01000"}, "TRAILING_STOP_LOSS"),
    ],
)
def test_an_order_on_fill_whose_date_has_passed_cancels_the_fill(name, terms, word) -> None:
    market = exchange()
    ends = {"gtd_ns": START_NS + HOUR_NS, "time_in_force": TimeInForce.GTD}
    market.create(ticket(LIMIT, 100, price="1.09000", **{name: on_fill(**terms, **ends)}))
    market.create(ticket(LIMIT, 50, price="1.09000", **{name: on_fill(**terms, gtd_ns=ends["gtd_ns"])}))
    market.advance(START_NS + HOUR_NS)
    outcome = set_at(market, "1.08990")
    assert outcome == f"{word}_ON_FILL_GTD_TIMESTAMP_IN_PAST, 50 at 1.09000, {word}"


def test_a_replaced_order_gives_way_in_one_batch() -> None:
    market = exchange()
    made = market.create(ticket(LIMIT, 100, price="1.09000", extensions=Extensions(id="mine")))
    old = market.book.orders[str(made[0].id)]
    entries = market.replace(old, ticket(LIMIT, 150, price="1.08000", extensions=Extensions(id="mine")), "request")
    cancel, create = entries
    assert isinstance(cancel, OrderEnded)
    assert isinstance(create, OrderMade)
    assert (cancel.reason, cancel.replaced_by) == ("CLIENT_REQUEST_REPLACED", str(create.id))
    assert (create.reason, create.replaces, create.cancelling_id) == ("REPLACEMENT", old.order_id, cancel.id)
    assert {(entry.batch_id, entry.request_id) for entry in entries} == {(cancel.id, "request")}
    assert (old.state, old.replaced_by) == (OrderState.CANCELLED, str(create.id))
    assert set_at(market, "1.08500") == ""
    assert set_at(market, "1.07990") == "150 at 1.08000"


def test_a_replacement_that_the_market_has_reached_is_filled() -> None:
    market = exchange()
    trade_id = bought(market, 100, stop_loss=on_fill("1.00000"), take_profit=on_fill("1.20000"))
    stop = market.book.trades[trade_id].stop_loss
    entries = market.replace(stop, ticket(LOSS, trade_id=trade_id, price="1.15000"))
    assert told(entries) == "CLIENT_REQUEST_REPLACED, STOP_LOSS, -100 at 1.10000, LINKED_TRADE_CLOSED"
    assert not waiting(market)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"kind": LIMIT, "price": "1.080001"}, "PRICE_PRECISION_EXCEEDED"),
        ({"kind": STOP, "price": "1.20000"}, "REPLACING_ORDER_INVALID"),
        ({"kind": MARKET}, "REPLACING_ORDER_INVALID"),
    ],
)
def test_a_refused_replacement_leaves_the_old_order(terms, reason) -> None:
    market = exchange()
    made = market.create(ticket(LIMIT, 100, price="1.09000"))
    old = market.book.orders[str(made[0].id)]
    entries = market.replace(old, ticket(terms["kind"], 10, **{key: terms[key] for key in terms if key != "kind"}))
    assert told(entries) == f"refused {reason}"
    assert isinstance(entries[0], OrderRefused)
    assert entries[0].intended_replaces == old.order_id
    assert waiting(market) == [old]


def test_a_replacement_belongs_to_the_same_trade() -> None:
    market = exchange()
    first, second = bought(market, 100, stop_loss=on_fill("1.00000")), bought(market, 100)
    stop = market.book.trades[first].stop_loss
    other = ticket(LOSS, trade_id=second, price="1.01000")
    assert told(market.replace(stop, other)) == "refused REPLACING_TRADE_ID_INVALID"
    assert told(market.replace(stop, ticket(LOSS, trade_id=first, price="1.01000"))) == (
        "CLIENT_REQUEST_REPLACED, STOP_LOSS"
    )


def test_dependents_of_a_trade_that_one_of_them_closes_are_ended_once() -> None:
    market = exchange()
    trade_id = bought(market, 100, trailing_stop=on_fill(distance="0.01000"), take_profit=on_fill("1.20000"))
    trade = market.book.trades[trade_id]
    wanted = [
        (trade.take_profit, ticket(TARGET, trade_id=trade_id, price="1.05000")),
        (None, ticket(LOSS, trade_id=trade_id, price="1.15000")),
        (trade.trailing_stop, None),
    ]
    entries = market.set_dependents(wanted)
    assert told(entries) == (
        "CLIENT_REQUEST_REPLACED, TAKE_PROFIT, STOP_LOSS, CLIENT_REQUEST, -100 at 1.10000, LINKED_TRADE_CLOSED"
    )
    assert not waiting(market)
    assert not trade.dependents
    assert {entry.batch_id for entry in entries} == {entries[0].id}


def test_one_bad_dependent_stops_all() -> None:
    market = exchange()
    trade_id = bought(market, 100, take_profit=on_fill("1.20000"))
    trade = market.book.trades[trade_id]
    bad = [(trade.take_profit, None), (None, ticket(LOSS, trade_id=trade_id, price="1.000001"))]
    assert told(market.set_dependents(bad)) == "refused PRICE_PRECISION_EXCEEDED"
    words = {"trade_id": trade_id, "extensions": Extensions(id="mine")}
    twice = [(trade.take_profit, ticket(TARGET, price="1.3", **words)), (None, ticket(LOSS, price="1.0", **words))]
    assert told(market.set_dependents(twice)) == "refused CLIENT_ORDER_ID_ALREADY_EXISTS"
    assert [order.kind for order in waiting(market)] == [TARGET]


def test_nothing_triggers_while_halted_and_all_fires_at_the_first_price() -> None:
    market = exchange()
    bought(market, 100, stop_loss=on_fill("1.09900"), take_profit=on_fill("1.10100"))
    market.create(ticket(LIMIT, 10, price="1.09900"))
    for bid in ("1.09000", "1.20000", "1.00000"):
        assert set_at(market, bid, tradeable=False) == ""
    assert set_at(market, "1.09500", tradeable=False) == ""
    assert set_at(market, "1.09400") == "-100 at 1.09400, LINKED_TRADE_CLOSED, 10 at 1.09410"


def test_a_halted_market_takes_changes_of_orders_but_fills_nothing() -> None:
    market = exchange()
    trade_id = bought(market, 100)
    set_at(market, "1.10000", tradeable=False)
    assert told(market.create(ticket(MARKET, 100))) == "MARKET, MARKET_HALTED"
    assert told(market.create(closing(-100, trade_id))) == "MARKET, MARKET_HALTED"
    made = market.create(ticket(LIMIT, 10, price="1.20000"))
    assert told(made) == "LIMIT"
    for at_once in (TimeInForce.FOK, TimeInForce.IOC):
        assert told(market.create(ticket(LIMIT, 10, price="1.2", time_in_force=at_once))) == "LIMIT, MARKET_HALTED"
    assert told(market.create(ticket(LOSS, trade_id=trade_id, price="1.20000"))) == "STOP_LOSS"
    replacing = ticket(LIMIT, 20, price="1.20000")
    again = market.replace(market.book.orders[str(made[0].id)], replacing)
    assert told(again) == "CLIENT_REQUEST_REPLACED, LIMIT"
    assert told(market.cancel(market.book.orders[str(again[1].id)])) == "CLIENT_REQUEST"
    assert set_at(market, "1.10000") == "-100 at 1.10000"


@pytest.mark.parametrize("at_once", [TimeInForce.FOK, TimeInForce.IOC])
@pytest.mark.parametrize(
    ("kind", "price", "outcome"),
    [
        (LIMIT, "1.10009", "TIME_IN_FORCE_EXPIRED"),
        (LIMIT, "1.10010", "100 at 1.10010"),
        (STOP, "1.10011", "TIME_IN_FORCE_EXPIRED"),
        (STOP, "1.10010", "100 at 1.10010"),
    ],
)
def test_an_order_for_now_does_not_wait(kind, price, outcome, at_once) -> None:
    market = exchange()
    made = market.create(ticket(kind, 100, price=price, time_in_force=at_once))
    assert told(made) == f"{kind.order_type}, {outcome}"
    assert not waiting(market)


def test_a_dated_order_ends_at_its_date_halted_or_not() -> None:
    market = exchange()
    ends = {"time_in_force": TimeInForce.GTD, "gtd_ns": START_NS + HOUR_NS}
    market.create(ticket(LIMIT, 100, price="1.09000", **ends))
    market.create(ticket(LIMIT, 100, price="1.09000", **(ends | {"gtd_ns": START_NS + HOUR_NS // 2})))
    set_at(market, "1.10000", tradeable=False)
    assert passed(market, START_NS + HOUR_NS // 2 - 1) == ""
    assert passed(market, START_NS + HOUR_NS - 1) == "TIME_IN_FORCE_EXPIRED"
    assert market.book.log[-1].ts_ns == START_NS + HOUR_NS // 2
    assert passed(market, START_NS + HOUR_NS) == "TIME_IN_FORCE_EXPIRED"
    assert passed(market, START_NS + 2 * HOUR_NS) == ""
    assert set_at(market, "1.08000") == ""


@pytest.mark.parametrize(
    ("made", "ends"),
    [
        ("2024-03-08T12:00", "2024-03-08T22:00"),
        ("2024-03-08T22:00", "2024-03-09T22:00"),
        ("2024-03-10T12:00", "2024-03-10T21:00"),
        ("2024-03-11T12:00", "2024-03-11T21:00"),
        ("2024-11-01T20:00", "2024-11-01T21:00"),
        ("2024-11-03T12:00", "2024-11-03T22:00"),
    ],
)
def test_an_order_good_for_the_day_ends_at_17_new_york(made, ends) -> None:
    start_ns, end_ns = (
        int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S for text in (made, ends)
    )
    market = exchange(start_ns=start_ns)
    market.create(ticket(LIMIT, 100, price="1.09000", time_in_force=TimeInForce.GFD))
    assert passed(market, end_ns - 1) == ""
    assert passed(market, end_ns) == "TIME_IN_FORCE_EXPIRED"


def test_a_stop_on_fill_has_a_life_of_its_own() -> None:
    market = exchange()
    stop = on_fill("1.00000", time_in_force=TimeInForce.GTD, gtd_ns=START_NS + HOUR_NS)
    trade_id = bought(market, 100, stop_loss=stop)
    assert passed(market, START_NS + HOUR_NS) == "TIME_IN_FORCE_EXPIRED"
    assert market.book.trades[trade_id].stop_loss is None
    assert set_at(market, "0.99000") == ""


def test_expiry_and_financing_come_in_the_order_of_their_times() -> None:
    market = exchange(financing={})
    bought(market, 100)
    rollover_ns = START_NS + 10 * HOUR_NS
    for gtd_ns in (rollover_ns + HOUR_NS, rollover_ns - HOUR_NS):
        market.create(ticket(LIMIT, 100, price="1.0", time_in_force=TimeInForce.GTD, gtd_ns=gtd_ns))
    assert passed(market, rollover_ns + 2 * HOUR_NS) == "TIME_IN_FORCE_EXPIRED, FinancingBooked, TIME_IN_FORCE_EXPIRED"
    hours = [(entry.ts_ns - rollover_ns) // HOUR_NS for entry in market.book.log[-3:]]
    assert hours == [-1, 0, 1]
