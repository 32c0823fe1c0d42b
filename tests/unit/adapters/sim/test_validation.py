"""What is refused without looking at a price, in OANDA's words; each with the nearest that is not refused."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.adapters.sim.book import Book
from engine.adapters.sim.ticket import Extensions, OnFill, OrderKind, Ticket, TimeInForce
from engine.adapters.sim.validation import reject_reason
from engine.domain.market import NS_PER_S
from tests.unit.adapters.sim.venue import START_NS, bought, exchange, instrument, ticket

EUR_USD = instrument("EUR_USD")
MARKET, LIMIT, STOP, TOUCHED = OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP, OrderKind.MARKET_IF_TOUCHED
TARGET, LOSS, TRAILING = OrderKind.TAKE_PROFIT, OrderKind.STOP_LOSS, OrderKind.TRAILING_STOP
GTC, GTD, GFD, FOK, IOC = TimeInForce
FUTURE_NS, PAST_NS = START_NS + NS_PER_S, START_NS


def judged(asked: Ticket) -> str | None:
    return reject_reason(asked, EUR_USD, Book(), START_NS)


def of_trade(kind: OrderKind, **terms: Any) -> str | None:
    market = exchange()
    return reject_reason(ticket(kind, trade_id=bought(market, 100), **terms), EUR_USD, market.book, START_NS)


def stop(price: str | None = None, distance: str | None = None, **terms: Any) -> OnFill:
    return OnFill(
        price=None if price is None else Decimal(price),
        distance=None if distance is None else Decimal(distance),
        **terms,
    )


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ("0", "UNITS_INVALID"),
        ("1", None),
        ("-1", None),
        ("1.0", None),
        ("1.5", "UNITS_PRECISION_EXCEEDED"),
        ("0.5", "UNITS_PRECISION_EXCEEDED"),
        ("10000000", None),
        ("10000001", "UNITS_LIMIT_EXCEEDED"),
        ("-10000001", "UNITS_LIMIT_EXCEEDED"),
        ("9" * 20, "UNITS_LIMIT_EXCEEDED"),
    ],
)
@pytest.mark.parametrize("kind", [MARKET, LIMIT, STOP, TOUCHED])
def test_units(kind, units, reason) -> None:
    price = {} if kind is MARKET else {"price": "1.00000"}
    assert judged(ticket(kind, units, **price)) == reason


@pytest.mark.parametrize(("units", "reason"), [("0.4", "UNITS_MINIMUM_NOT_MET"), ("0.5", None)])
def test_units_below_the_smallest_trade(units, reason) -> None:
    fine = replace(EUR_USD, units_decimals=1, units_min=Decimal("0.5"))
    assert reject_reason(ticket(MARKET, units), fine, Book(), START_NS) == reason


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (MARKET, {FOK, IOC}),
        (LIMIT, set(TimeInForce)),
        (STOP, set(TimeInForce)),
        (TOUCHED, {GTC, GTD, GFD}),
        (TARGET, {GTC, GTD, GFD}),
        (LOSS, {GTC, GTD, GFD}),
        (TRAILING, {GTC, GTD, GFD}),
    ],
)
@pytest.mark.parametrize("time_in_force", list(TimeInForce))
def test_time_in_force(kind, allowed, time_in_force) -> None:
    terms: dict[str, Any] = {"time_in_force": time_in_force, "gtd_ns": FUTURE_NS}
    terms |= {MARKET: {}, TRAILING: {"distance": "0.01000"}}.get(kind, {"price": "1.00000"})
    found = of_trade(kind, **terms) if kind.is_dependent else judged(ticket(kind, 1, **terms))
    assert found == (None if time_in_force in allowed else "TIME_IN_FORCE_INVALID")


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"time_in_force": GTD}, "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING"),
        ({"time_in_force": GTD, "gtd_ns": PAST_NS}, "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST"),
        ({"time_in_force": GTD, "gtd_ns": PAST_NS + 1}, None),
        ({"time_in_force": GTC, "gtd_ns": PAST_NS}, None),
    ],
)
def test_dates(terms, reason) -> None:
    assert judged(ticket(LIMIT, 1, price="1.00000", **terms)) == reason
    assert of_trade(LOSS, price="1.00000", **terms) == reason
    found = judged(ticket(MARKET, 1, stop_loss=stop("1.00000", **terms)))
    assert found == (reason and reason.replace("TIME_IN_FORCE", "STOP_LOSS_ON_FILL"))


@pytest.mark.parametrize("kind", [LIMIT, STOP, TOUCHED, TARGET])
@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (None, "PRICE_MISSING"),
        ("0", "PRICE_INVALID"),
        ("-1", "PRICE_INVALID"),
        ("0.00001", None),
        ("1.10000", None),
        ("1.100000", None),
        ("1.100001", "PRICE_PRECISION_EXCEEDED"),
        ("9" * 20, None),
    ],
)
def test_prices(kind, price, reason) -> None:
    terms = {} if price is None else {"price": price}
    found = of_trade(kind, **terms) if kind.is_dependent else judged(ticket(kind, 1, **terms))
    assert found == reason


@pytest.mark.parametrize("kind", [MARKET, STOP, TOUCHED])
@pytest.mark.parametrize(
    ("bound", "reason"),
    [("0", "PRICE_BOUND_INVALID"), ("1.10000", None), ("1.100001", "PRICE_BOUND_PRECISION_EXCEEDED")],
)
def test_price_bounds(kind, bound, reason) -> None:
    price = {} if kind is MARKET else {"price": "1.00000"}
    assert judged(ticket(kind, 1, price_bound=bound, **price)) == reason


@pytest.mark.parametrize(
    ("kind", "terms", "reason"),
    [
        (LOSS, {}, "STOP_LOSS_ORDER_PRICE_AND_DISTANCE_BOTH_MISSING"),
        (LOSS, {"price": "1", "distance": "1"}, "STOP_LOSS_ORDER_PRICE_AND_DISTANCE_BOTH_SPECIFIED"),
        (LOSS, {"price": "1.000001"}, "PRICE_PRECISION_EXCEEDED"),
        (LOSS, {"distance": "0.00001"}, None),
        (LOSS, {"distance": "0"}, "PRICE_DISTANCE_INVALID"),
        (LOSS, {"distance": "0.000011"}, "PRICE_DISTANCE_PRECISION_EXCEEDED"),
        (TRAILING, {}, "PRICE_DISTANCE_MISSING"),
        (TRAILING, {"distance": "0"}, "PRICE_DISTANCE_INVALID"),
        (TRAILING, {"distance": "0.010001"}, "PRICE_DISTANCE_PRECISION_EXCEEDED"),
        (TRAILING, {"distance": "0.00049"}, "PRICE_DISTANCE_MINIMUM_NOT_MET"),
        (TRAILING, {"distance": "0.00050"}, None),
        (TRAILING, {"distance": "1.00000"}, None),
        (TRAILING, {"distance": "1.00001"}, "PRICE_DISTANCE_MAXIMUM_EXCEEDED"),
        (TARGET, {"price": "1.20000", "distance": "0.000001"}, None),
    ],
)
def test_stops_and_distances(kind, terms, reason) -> None:
    assert of_trade(kind, **terms) == reason


@pytest.mark.parametrize(
    ("name", "on_fill", "reason"),
    [
        ("take_profit", stop(), "TAKE_PROFIT_ON_FILL_PRICE_MISSING"),
        ("take_profit", stop(distance="0.01"), "TAKE_PROFIT_ON_FILL_PRICE_MISSING"),
        ("take_profit", stop("0"), "TAKE_PROFIT_ON_FILL_PRICE_INVALID"),
        ("take_profit", stop("1.200001"), "TAKE_PROFIT_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        ("take_profit", stop("1.20000"), None),
        ("take_profit", stop("1.20000", "0.000001"), None),
        ("take_profit", stop("1.2", time_in_force=FOK), "TAKE_PROFIT_ON_FILL_TIME_IN_FORCE_INVALID"),
        ("stop_loss", stop(), "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_MISSING"),
        ("stop_loss", stop("1", "1"), "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_SPECIFIED"),
        ("stop_loss", stop("-1"), "STOP_LOSS_ON_FILL_PRICE_INVALID"),
        ("stop_loss", stop("1.000001"), "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        ("stop_loss", stop(distance="0"), "STOP_LOSS_ON_FILL_DISTANCE_INVALID"),
        ("stop_loss", stop(distance="0.000001"), "STOP_LOSS_ON_FILL_DISTANCE_PRECISION_EXCEEDED"),
        ("stop_loss", stop(distance="0.00001"), None),
        ("stop_loss", stop("1", time_in_force=IOC), "STOP_LOSS_ON_FILL_TIME_IN_FORCE_INVALID"),
        ("trailing_stop", stop(), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MISSING"),
        ("trailing_stop", stop(distance="0"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_INVALID"),
        ("trailing_stop", stop(distance="0.000501"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_PRECISION_EXCEEDED"),
        ("trailing_stop", stop(distance="0.00049"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET"),
        ("trailing_stop", stop(distance="0.0005"), None),
        ("trailing_stop", stop(distance="1.00001"), "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MAXIMUM_EXCEEDED"),
    ],
)
def test_orders_on_fill(name, on_fill, reason) -> None:
    assert judged(ticket(MARKET, 1, **{name: on_fill})) == reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (Extensions(id="x" * 128, tag="x" * 128, comment="x" * 128), None),
        (Extensions(id="x" * 129), "ID_INVALID"),
        (Extensions(id=""), "ID_INVALID"),
        (Extensions(tag="x" * 129), "TAG_INVALID"),
        (Extensions(comment="x" * 129), "COMMENT_INVALID"),
    ],
)
def test_words_of_the_client(words, reason) -> None:
    def prefixed(prefix: str) -> str | None:
        return reason and f"{prefix}_{reason}"

    assert judged(ticket(MARKET, 1, extensions=words)) == prefixed("CLIENT_ORDER")
    assert judged(ticket(MARKET, 1, trade_extensions=words)) == prefixed("CLIENT_TRADE")
    found = judged(ticket(MARKET, 1, take_profit=stop("1.20000", extensions=words)))
    assert found == prefixed("TAKE_PROFIT_ON_FILL_CLIENT_ORDER")


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (("a", "b"), None),
        ((None, None), None),
        (("a", None), None),
        (("a", "a"), "ORDERS_ON_FILL_DUPLICATE_CLIENT_ORDER_IDS"),
    ],
)
def test_orders_on_fill_have_ids_of_their_own(ids, reason) -> None:
    target, loss = (Extensions(id=each) for each in ids)
    asked = ticket(
        MARKET, 1, take_profit=stop("1.20000", extensions=target), stop_loss=stop("1.00000", extensions=loss)
    )
    assert judged(asked) == reason
