"""Answers to requests that change the account: the transactions in them decide, not the status alone."""

from decimal import Decimal
from typing import Any

import pytest

from engine.adapters.oanda.outcomes import (
    Canceled,
    CreateOutcome,
    Filled,
    Made,
    Pending,
    Refused,
    Rejected,
    parse_create,
    parse_made,
)
from engine.adapters.oanda.reading import ParseFault
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, OtherTransaction
from tests.unit.adapters.oanda import bodies
from tests.unit.adapters.oanda.bodies import encoded

PARTS = {
    "orderCreateTransaction": bodies.CREATE,
    "orderCancelTransaction": bodies.CANCEL,
    "orderFillTransaction": bodies.FILL,
}
MALFORMED = {
    "errorMessage": "Invalid value specified for 'order.instrument'",
    "errorCode": "oanda::rest::core::InvalidParameterException",
}
REJECTED = {
    "orderRejectTransaction": bodies.REJECT,
    "relatedTransactionIDs": ["7000"],
    "lastTransactionID": "7000",
    "errorMessage": "Order units specified are invalid",
    "errorCode": "UNITS_INVALID",
}


def created(*names: str, status: int = 201) -> CreateOutcome | ParseFault:
    parts = {name: PARTS[name] for name in names}
    return parse_create(status, encoded({**parts, "relatedTransactionIDs": [], "lastTransactionID": "7001"}))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("orderCreateTransaction",), Pending),
        (("orderCreateTransaction", "orderCancelTransaction"), Canceled),
        (("orderCreateTransaction", "orderFillTransaction"), Filled),
        (("orderCreateTransaction", "orderCancelTransaction", "orderFillTransaction"), Filled),
        (("orderFillTransaction",), Filled),
        (("orderCancelTransaction",), Canceled),
    ],
)
def test_a_fill_decides_before_a_cancel_and_a_cancel_before_a_create(names: tuple[str, ...], kind: type) -> None:
    outcome = created(*names)
    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Refused | ParseFault)
    assert outcome.last_transaction_id == 7001


def test_each_outcome_holds_its_transaction() -> None:
    filled, canceled, pending = created(*PARTS), created("orderCancelTransaction"), created("orderCreateTransaction")
    assert isinstance(filled, Filled)
    assert filled.fill.pl_home == Decimal("-1.5000")
    assert isinstance(canceled, Canceled)
    assert canceled.canceled.reason == "INSUFFICIENT_MARGIN"
    assert isinstance(pending, Pending)
    assert pending.created.client_order_id == "12-EUR_USD-1-1"


def test_success_that_names_no_transaction_of_an_order_is_a_fault() -> None:
    assert isinstance(created(), ParseFault)


def test_success_without_the_newest_id_is_a_fault() -> None:
    assert isinstance(parse_create(201, encoded({"orderFillTransaction": bodies.FILL})), ParseFault)


@pytest.mark.parametrize(
    ("name", "transaction"),
    [
        ("orderFillTransaction", bodies.CREATE),
        ("orderCancelTransaction", bodies.FILL),
        ("orderCreateTransaction", bodies.CANCEL),
    ],
)
def test_a_transaction_under_a_wrong_name_is_a_fault(name: str, transaction: Any) -> None:
    fault = parse_create(201, encoded({**PARTS, name: transaction, "lastTransactionID": "7001"}))
    assert isinstance(fault, ParseFault)
    assert name in fault.reason


@pytest.mark.parametrize("status", [400, 404])
def test_a_reject_is_in_the_log_and_says_why(status: int) -> None:
    rejected = OrderRejected(
        transaction_id=7000, ts_ns=bodies.TIME_NS, client_order_id="12-EUR_USD-1-1", reason="UNITS_INVALID"
    )
    assert parse_create(status, encoded(REJECTED)) == Rejected(
        reasons=("UNITS_INVALID",),
        message="Order units specified are invalid",
        rejects={"orderRejectTransaction": rejected},
        last_transaction_id=7000,
    )


def test_a_malformed_request_made_no_transaction() -> None:
    assert parse_create(400, encoded(MALFORMED)) == Refused(
        status=400, message=MALFORMED["errorMessage"], code=MALFORMED["errorCode"], last_transaction_id=None
    )


def test_what_does_not_exist_is_refused_with_the_newest_id() -> None:
    body = {
        "errorMessage": "The trade ID specified does not exist",
        "errorCode": "NO_SUCH_TRADE",
        "lastTransactionID": "7001",
    }
    assert parse_create(404, encoded(body)) == Refused(
        status=404, message=body["errorMessage"], code="NO_SUCH_TRADE", last_transaction_id=7001
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'{"errorMessage": null}', b'{"errorMessage": ""}', b'{"errorCode": "X"}']
)
def test_a_refusal_that_says_nothing_is_a_fault(body: bytes) -> None:
    assert isinstance(parse_create(400, body), ParseFault)


def test_a_refusal_with_a_fill_is_a_fault() -> None:
    assert isinstance(parse_create(400, encoded({**MALFORMED, "orderFillTransaction": bodies.FILL})), ParseFault)


@pytest.mark.parametrize("status", [100, 204, 302, 401, 403, 429, 500, 502, 504])
def test_another_status_tells_nothing(status: int) -> None:
    fault = created(*PARTS, status=status)
    assert isinstance(fault, ParseFault)
    assert str(status) in fault.reason


def test_a_position_may_be_refused_on_both_sides() -> None:
    closed = {**bodies.REJECT, "rejectReason": "CLOSEOUT_POSITION_DOESNT_EXIST"}
    body = {**MALFORMED, "longOrderRejectTransaction": bodies.REJECT, "shortOrderRejectTransaction": closed}
    outcome = parse_made(404, encoded(body))
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == ("UNITS_INVALID", "CLOSEOUT_POSITION_DOESNT_EXIST")


def test_a_cancel_that_came_too_late_is_rejected() -> None:
    late = {"id": "7001", "time": bodies.TIME, "type": "ORDER_CANCEL_REJECT", "rejectReason": "ORDER_DOESNT_EXIST"}
    outcome = parse_made(404, encoded({**MALFORMED, "orderCancelRejectTransaction": late}))
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == ("ORDER_DOESNT_EXIST",)
    assert isinstance(outcome.rejects["orderCancelRejectTransaction"], OtherTransaction)


def test_the_close_of_a_position_tells_all_it_made() -> None:
    body = {
        "longOrderCreateTransaction": bodies.CREATE,
        "longOrderFillTransaction": bodies.FILL,
        "shortOrderCancelTransaction": {**bodies.CANCEL, "id": "7002"},
        "relatedTransactionIDs": ["7000", "7001", "7002"],
        "lastTransactionID": "7002",
    }
    made = parse_made(200, encoded(body))
    assert isinstance(made, Made)
    assert {name: type(transaction) for name, transaction in made.transactions.items()} == {
        "longOrderCreateTransaction": OrderCreated,
        "longOrderFillTransaction": Fill,
        "shortOrderCancelTransaction": OrderCanceled,
    }
    assert (made.related_ids, made.last_transaction_id) == ((7000, 7001, 7002), 7002)


def test_dependent_orders_get_the_instrument_of_their_trade() -> None:
    body = {"stopLossOrderTransaction": bodies.STOP_LOSS, "lastTransactionID": "7002"}
    made = parse_made(200, encoded(body), {"7001": "EUR_USD"})
    assert isinstance(made, Made)
    order = made.transactions["stopLossOrderTransaction"]
    assert isinstance(order, OrderCreated)
    assert order.instrument == "EUR_USD"
