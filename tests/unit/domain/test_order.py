"""An order's life: only legal steps, an end is an end, and ids are derived from their cause."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import Bug
from engine.domain.order import TERMINAL, Order, OrderStatus, client_order_id
from tests.unit.made import NOW_NS, intent

S = OrderStatus
LEGAL = {
    (S.INITIALIZED, S.DENIED),
    (S.INITIALIZED, S.SUBMITTED),
    (S.INITIALIZED, S.UNRESOLVED),
    (S.INITIALIZED, S.EXPIRED),
    (S.SUBMITTED, S.ACCEPTED),
    (S.SUBMITTED, S.REJECTED),
    (S.SUBMITTED, S.UNRESOLVED),
    (S.SUBMITTED, S.PARTIALLY_FILLED),
    (S.SUBMITTED, S.FILLED),
    (S.SUBMITTED, S.CANCELED),
    (S.ACCEPTED, S.PARTIALLY_FILLED),
    (S.ACCEPTED, S.FILLED),
    (S.ACCEPTED, S.CANCELED),
    (S.ACCEPTED, S.EXPIRED),
    (S.PARTIALLY_FILLED, S.PARTIALLY_FILLED),
    (S.PARTIALLY_FILLED, S.FILLED),
    (S.PARTIALLY_FILLED, S.CANCELED),
    (S.PARTIALLY_FILLED, S.EXPIRED),
    (S.UNRESOLVED, S.ACCEPTED),
    (S.UNRESOLVED, S.REJECTED),
    (S.UNRESOLVED, S.PARTIALLY_FILLED),
    (S.UNRESOLVED, S.FILLED),
    (S.UNRESOLVED, S.CANCELED),
    (S.UNRESOLVED, S.EXPIRED),
    (S.EXPIRED, S.PARTIALLY_FILLED),
    (S.EXPIRED, S.FILLED),
    (S.EXPIRED, S.CANCELED),
    (S.EXPIRED, S.REJECTED),
}


def order(status: OrderStatus = S.INITIALIZED) -> Order:
    return Order(intent=intent(), status=status, status_ts_ns=NOW_NS)


@pytest.mark.parametrize(("before", "after"), list(product(S, S)), ids=str)
def test_exactly_the_legal_transitions_are_accepted(before: OrderStatus, after: OrderStatus) -> None:
    if (before, after) in LEGAL:
        assert order(before).to(after, NOW_NS + 1).status is after
    else:
        with pytest.raises(Bug, match=f"{before} -> {after} is not a legal transition"):
            order(before).to(after, NOW_NS + 1)


def test_terminal_states_are_the_five_ends() -> None:
    assert TERMINAL == {S.DENIED, S.REJECTED, S.FILLED, S.CANCELED, S.EXPIRED}


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_no_walk_leaves_the_end_that_the_broker_told_nor_takes_an_illegal_step(path: list[OrderStatus]) -> None:
    now = order()
    for wanted in path:
        before = now
        try:
            now = now.to(wanted, NOW_NS)
        except Bug:
            assert (before.status, wanted) not in LEGAL
            assert now is before
        else:
            assert (before.status, wanted) in LEGAL
            assert before.is_open or before.status is S.EXPIRED


@pytest.mark.parametrize("status", list(S))
def test_an_order_is_open_until_its_end(status: OrderStatus) -> None:
    assert order(status).is_open == (status not in TERMINAL)


def test_moving_keeps_what_is_known_and_leaves_the_old_order_alone() -> None:
    first = order().to(S.SUBMITTED, 5, "sent", broker_order_id="77")
    second = first.to(S.FILLED, 6)
    assert (second.detail, second.broker_order_id, second.status_ts_ns) == ("sent", "77", 6)
    assert (first.status, first.status_ts_ns) == (S.SUBMITTED, 5)


def test_order_of_zero_units_is_no_order() -> None:
    with pytest.raises(Bug, match="0 units"):
        intent(0)


def test_client_order_id_is_derived_from_its_cause() -> None:
    assert client_order_id(7, "EUR_USD", 60, 2) == "7-EUR_USD-60-2"


def test_client_order_ids_of_different_causes_differ() -> None:
    causes = list(product((1, 11), ("EUR_USD", "USD_JPY"), (60, 600), (1, 11)))
    assert len({client_order_id(*cause) for cause in causes}) == len(causes)


def test_intent_and_order_are_frozen() -> None:
    with pytest.raises(AttributeError):
        intent().units = Decimal(2)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        order().status = S.FILLED  # type: ignore[misc]
