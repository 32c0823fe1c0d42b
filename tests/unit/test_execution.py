"""The book of our own orders learns what became of them from the broker's log alone."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import Bug, HaltTrading
from engine.domain.order import TERMINAL, OrderStatus
from engine.domain.transaction import OrderCanceled, OrderCreated, OrderRejected, Transaction
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


def created(client_order_id: str) -> OrderCreated:
    return OrderCreated(
        transaction_id=4,
        ts_ns=NOW_NS,
        order_id="4",
        client_order_id=client_order_id,
        kind="MARKET_ORDER",
        instrument="EUR_USD",
        units=Decimal(1_000),
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
    book.apply(created(ID))
    assert not book.idle


def test_only_an_unresolved_order_that_the_log_does_not_name_is_untraced() -> None:
    book = sent()
    assert book.untraced == ()
    book.move(ID, OrderStatus.UNRESOLVED, NOW_NS)
    assert book.untraced == (ID,)
    book.apply(created(ID))
    assert book.untraced == ()
    assert [(order.status, order.broker_order_id) for order in book.open_orders] == [(OrderStatus.UNRESOLVED, "4")]


def given_up(units: int = 1_000) -> OrderBook:
    book = sent(units)
    book.move(ID, OrderStatus.UNRESOLVED, NOW_NS)
    book.move(ID, OrderStatus.EXPIRED, NOW_NS, "not in the log")
    return book


def test_expired_order_is_not_open_and_reserves_nothing() -> None:
    book = given_up()
    assert (book.idle, book.open_orders, book.reserved_units("EUR_USD"), book.sent) == (True, (), 0, 1)
    assert book.gave_up(ID) and not book.gave_up("another") and not book.gave_up(None)
    with pytest.raises(Bug):
        book.initialize(intent(1_000, ID))


@pytest.mark.parametrize(("told", "status"), [
    (fill(5, "1000", "0", client_order_id=ID), OrderStatus.FILLED),
    (canceled(ID), OrderStatus.CANCELED),
    (OrderRejected(transaction_id=5, ts_ns=NOW_NS, client_order_id=ID, reason="X"), OrderStatus.REJECTED),
])  # fmt: skip
def test_what_the_log_tells_of_an_expired_order_is_its_end(told: Transaction, status: OrderStatus) -> None:
    book = given_up()
    book.apply(created(ID))
    assert book.idle and book.gave_up(ID)
    book.apply(told)
    assert book.idle and not book.gave_up(ID)
    assert book.last is not None and book.last.status is status


def test_expired_order_that_is_filled_in_part_reserves_the_rest_again() -> None:
    book = given_up()
    book.apply(fill(5, "400", "0", client_order_id=ID))
    assert [order.status for order in book.open_orders] == [OrderStatus.PARTIALLY_FILLED]
    assert book.reserved_units("EUR_USD") == 600 and not book.gave_up(ID)
    book.apply(fill(6, "600", "0", client_order_id=ID))
    assert book.idle and book.reserved_units("EUR_USD") == 0


def test_late_fill_beyond_the_order_halts() -> None:
    book = given_up()
    with pytest.raises(HaltTrading, match="1001 units filled of 1000 ordered"):
        book.apply(fill(5, "1001", "0", client_order_id=ID))


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


S = OrderStatus
ON_THE_WAY = {S.SUBMITTED, S.ACCEPTED, S.UNRESOLVED, S.PARTIALLY_FILLED}
REJECTABLE = {S.SUBMITTED, S.UNRESOLVED, S.EXPIRED}
MOVES = {
    S.SUBMITTED: {S.INITIALIZED},
    S.DENIED: {S.INITIALIZED},
    S.ACCEPTED: {S.SUBMITTED, S.UNRESOLVED},
    S.UNRESOLVED: {S.INITIALIZED, S.SUBMITTED},
    S.EXPIRED: {S.INITIALIZED, S.ACCEPTED, S.UNRESOLVED, S.PARTIALLY_FILLED},
}
TOLD = {
    "created": created,
    "canceled": canceled,
    "rejected": lambda order_id: OrderRejected(transaction_id=5, ts_ns=NOW_NS, client_order_id=order_id, reason="X"),
    "300": lambda order_id: fill(5, "300", "0", client_order_id=order_id),
    "1000": lambda order_id: fill(5, "1000", "0", client_order_id=order_id),
}


def expected(before: OrderStatus, filled: int, step: OrderStatus | str) -> tuple[OrderStatus, int] | None:
    """Where one order of 1000 units goes from here; None: an error, and it stays."""
    if isinstance(step, OrderStatus):
        return (step, filled) if before in MOVES[step] else None
    if step == "created" or (before in TERMINAL and before is not S.EXPIRED):
        return before, filled
    if step == "rejected":
        return (S.REJECTED, filled) if before in REJECTABLE else None
    if before not in ON_THE_WAY | {S.EXPIRED}:
        return None
    if step == "canceled":
        return S.CANCELED, filled
    now = filled + int(step)
    return None if now > 1_000 else (S.FILLED if now == 1_000 else S.PARTIALLY_FILLED, now)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([*MOVES, *TOLD])), max_size=14))
def test_book_follows_every_walk_of_two_orders_and_reserves_what_is_still_open(walk: list) -> None:
    book = OrderBook()
    known = dict.fromkeys("ab", (S.INITIALIZED, 0))
    for order_id in known:
        book.initialize(intent(1_000, order_id))
    for order_id, step in walk:
        now, over = expected(*known[order_id], step), known[order_id][0] in TERMINAL
        try:
            if not isinstance(step, OrderStatus):
                book.apply(TOLD[step](order_id))
            elif not over:  # one that has left the book cannot be moved by us
                book.move(order_id, step, NOW_NS)
        except (Bug, HaltTrading):
            assert now is None
        else:
            assert now is not None or over
            known[order_id] = now or known[order_id]
        still = {one: at for one, at in known.items() if at[0] not in TERMINAL}
        open_now = {one.intent.client_order_id: (one.status, one.filled_units) for one in book.open_orders}
        assert open_now == still
        assert book.reserved_units("EUR_USD") == sum(1_000 - filled for _, filled in still.values())
        assert [book.gave_up(one) for one in known] == [at[0] is S.EXPIRED for at in known.values()]
