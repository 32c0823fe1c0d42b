"""The book of our own orders learns what became of them from the broker's log alone."""

from decimal import Decimal

import pytest

from engine.domain.error import Bug, HaltTrading
from engine.domain.order import OrderStatus
from engine.domain.transaction import OrderCanceled, OrderCreated, OrderRejected
from engine.execution import OrderBook
from tests.unit.made import NOW_NS, fill, intent, paid_in

ID = "1-EUR_USD-0-1"


def sent(units: int = 1_000) -> OrderBook:
    book = OrderBook()
    book.initialize(intent(units, ID))
    book.move(ID, OrderStatus.SUBMITTED, NOW_NS)
    return book


def canceled(client_order_id: str | None) -> OrderCanceled:
    return OrderCanceled(
        transaction_id=5, ts_ns=NOW_NS, order_id="4", client_order_id=client_order_id, reason="BOUNDS_VIOLATION"
    )


def test_new_intent_is_open_and_not_yet_sent() -> None:
    book = OrderBook()
    book.initialize(intent(1_000, ID))
    assert [order.status for order in book.open_orders] == [OrderStatus.INITIALIZED]
    assert (book.sent, book.idle) == (0, False)


def test_sent_orders_are_counted_once_each() -> None:
    book = sent()
    book.move(ID, OrderStatus.UNRESOLVED, NOW_NS)
    assert book.sent == 1


def test_denied_intent_leaves_the_book_and_counts_as_not_sent() -> None:
    book = OrderBook()
    book.initialize(intent(1_000, ID))
    assert book.move(ID, OrderStatus.DENIED, NOW_NS, "halted").detail == "halted"
    assert (book.idle, book.sent, book.reserved_units("EUR_USD")) == (True, 0, 0)


def test_illegal_step_is_a_bug_and_keeps_the_order() -> None:
    book = sent()
    with pytest.raises(Bug):
        book.move(ID, OrderStatus.DENIED, NOW_NS)
    assert [order.status for order in book.open_orders] == [OrderStatus.SUBMITTED]


@pytest.mark.parametrize("units", [1_000, -1_000])
def test_full_fill_ends_the_order(units: int) -> None:
    book = sent(units)
    book.apply(fill(5, str(units), "0", client_order_id=ID))
    assert book.idle


@pytest.mark.parametrize("side", [1, -1])
def test_partial_fills_add_up_and_reserve_what_is_left(side: int) -> None:
    book = sent(side * 1_000)
    book.apply(fill(5, str(side * 400), "0", client_order_id=ID))
    (order,) = book.open_orders
    assert (order.status, order.filled_units) == (OrderStatus.PARTIALLY_FILLED, side * 400)
    assert book.reserved_units("EUR_USD") == 600
    book.apply(fill(6, str(side * 600), "0", client_order_id=ID))
    assert book.idle


def test_rest_of_a_partly_filled_order_is_freed_when_the_broker_cancels_it() -> None:
    book = sent()
    book.apply(fill(4, "400", "0", client_order_id=ID))
    book.apply(canceled(ID))
    assert (book.idle, book.reserved_units("EUR_USD")) == (True, 0)


def test_cancelled_and_rejected_orders_end() -> None:
    book = sent()
    book.apply(canceled(ID))
    assert book.idle
    book = sent()
    book.apply(OrderRejected(transaction_id=5, ts_ns=NOW_NS, client_order_id=ID, reason="UNITS_LIMIT_EXCEEDED"))
    assert book.idle


@pytest.mark.parametrize("client_order_id", [None, "", "1-EUR_USD-0-2"])
def test_transactions_of_others_leave_our_orders_alone(client_order_id: str | None) -> None:
    book = sent()
    book.apply(fill(5, "1000", "0", client_order_id=client_order_id))
    book.apply(canceled(client_order_id))
    book.apply(paid_in(1, "1"))
    assert [order.status for order in book.open_orders] == [OrderStatus.SUBMITTED]


def test_creation_at_the_broker_ends_nothing() -> None:
    book = sent()
    book.apply(
        OrderCreated(
            transaction_id=4,
            ts_ns=NOW_NS,
            order_id="4",
            client_order_id=ID,
            kind="MARKET_ORDER",
            instrument="EUR_USD",
            units=Decimal(1_000),
        )
    )
    assert not book.idle


def test_unresolved_order_reserves_its_units_until_the_log_settles_it() -> None:
    book = sent(-1_000)
    book.move(ID, OrderStatus.UNRESOLVED, NOW_NS, "no answer")
    assert book.reserved_units("EUR_USD") == 1_000
    assert book.reserved_units("USD_JPY") == 0
    book.apply(fill(5, "-1000", "0", client_order_id=ID))
    assert (book.idle, book.reserved_units("EUR_USD")) == (True, 0)


def test_reservations_add_up_over_orders_whatever_their_side() -> None:
    book = OrderBook()
    book.initialize(intent(1_000, "a"))
    book.initialize(intent(-300, "b"))
    assert book.reserved_units("EUR_USD") == 1_300


def test_id_that_is_open_already_is_a_bug() -> None:
    book = sent()
    with pytest.raises(Bug):
        book.initialize(intent(1, ID))


def test_fill_beyond_the_order_halts() -> None:
    book = sent()
    with pytest.raises(HaltTrading, match="1001 units filled of 1000 ordered"):
        book.apply(fill(5, "1001", "0", client_order_id=ID))
