"""Stops are set and trades closed once each, whatever comes back; what came of it is read from the log at once."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from engine.adapters.oanda.broker import OandaBroker
from engine.domain.account import Trade
from engine.domain.error import Bug, HaltTrading, RetryLater
from engine.domain.transaction import Fill, OrderCreated, OrderRejected
from engine.ports import Answered, NotSent, SubmitOutcome, Unresolved
from tests.fakes.faults import CutBody, Fault, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.unit.adapters.oanda.line import name_of
from tests.unit.adapters.oanda.stand import Stand, standing

STOP = Decimal("0.90000")
GONE = json.dumps({"errorMessage": "gone", "errorCode": "NO_SUCH_TRADE", "lastTransactionID": "1"}).encode()
NO_ORDER = json.dumps({"errorMessage": f"no {TOKEN}", "errorCode": "NO_SUCH_ORDER", "lastTransactionID": "1"}).encode()
MALFORMED = json.dumps({"errorMessage": "Invalid value specified for 'stopLoss.price'"}).encode()


@pytest.fixture(scope="module")
def house() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    """The venue with one open trade, behind a line of its own."""
    for name, units in house.units().items():
        house.order(int(-units), name)
    house.order(1_000)
    with house.new_line():
        yield house


@pytest.fixture
def broker(stand: Stand) -> Iterator[OandaBroker]:
    with stand.desk() as desk:
        desk.broker.is_streaming = lambda: True
        desk.broker.transactions_since(stand.last_id(), afresh=True)
        yield desk.broker


def trade(broker: OandaBroker) -> Trade:
    (found,) = broker.opening().trades
    return found


def served(broker: OandaBroker, what: str) -> SubmitOutcome:
    held = trade(broker)
    if what == "protect":
        return broker.protect(held.trade_id, held.instrument, STOP)
    return broker.close_trade(held.trade_id, held.instrument)


def puts(stand: Stand) -> int:
    return sum(seen.method == "PUT" for seen in stand.proxy.arrived)


@pytest.mark.parametrize(("what", "kinds"), [("protect", [OrderCreated]), ("close", [OrderCreated, Fill])])
def test_what_was_answered_is_in_the_log_which_is_read_at_once(
    stand: Stand, broker: OandaBroker, what: str, kinds: list[type]
) -> None:
    known = stand.last_id()
    assert broker.transactions_since(known) == []
    assert served(broker, what) == Answered(last_transaction_id=known + len(kinds))
    assert [type(each) for each in broker.transactions_since(known)] == kinds


@pytest.mark.parametrize("what", ["protect", "close"])
@pytest.mark.parametrize(
    "fault",
    [
        ResetAfter(),
        CutBody(),
        Replace(status=404, body=NO_ORDER, reaches_target=True),
        Replace(status=429, reaches_target=True),
        Replace(status=502, body=b"<html>", reaches_target=True),
        Rewrite(change=lambda body: body.replace(b'"lastTransactionID":"', b'"lastTransactionID":"x')),
    ],
    ids=name_of,
)
def test_a_lost_answer_leaves_it_open_and_the_log_settles_it(
    stand: Stand, broker: OandaBroker, fault: Fault, what: str
) -> None:
    known = stand.last_id()
    stand.proxy.inject(fault, method="PUT")
    outcome = served(broker, what)
    assert isinstance(outcome, Unresolved) and TOKEN not in outcome.reason
    assert [each.transaction_id for each in broker.transactions_since(known)][0] == known + 1
    assert puts(stand) == 1


@pytest.mark.parametrize("what", ["protect", "close"])
def test_a_lost_request_is_not_sent_again(stand: Stand, broker: OandaBroker, what: str) -> None:
    stand.proxy.inject(ResetBefore(), method="PUT")
    assert isinstance(served(broker, what), Unresolved)
    assert puts(stand) == 1
    with stand.proxy.refusing():
        assert isinstance(served(broker, what), NotSent)
    assert broker.transactions_since(stand.last_id(), afresh=True) == []


@pytest.mark.parametrize("what", ["protect", "close"])
@pytest.mark.parametrize(("status", "said"), [(404, GONE), (400, MALFORMED)])
def test_what_had_no_effect_is_told_and_ends_nothing(
    stand: Stand, broker: OandaBroker, status: int, said: bytes, what: str
) -> None:
    stand.proxy.inject(Replace(status=status, body=said), method="PUT")
    outcome = served(broker, what)
    assert isinstance(outcome, NotSent) and f"HTTP {status}" in outcome.reason


@pytest.mark.parametrize("what", ["protect", "close"])
@pytest.mark.parametrize("status", [401, 403, 405])
def test_a_refused_key_ends_the_session(stand: Stand, broker: OandaBroker, status: int, what: str) -> None:
    stand.proxy.inject(Replace(status=status, body=b"{}"), method="PUT")
    with pytest.raises(HaltTrading, match=f"HTTP {status}"):
        served(broker, what)


def test_a_reject_for_its_decimals_is_booked_and_then_halts(stand: Stand, broker: OandaBroker) -> None:
    held, known = trade(broker), stand.last_id()
    reject = {
        "type": "STOP_LOSS_ORDER_REJECT", "id": str(known + 1), "time": "2025-01-06T08:00:00.000000000Z",
        "tradeID": held.trade_id, "rejectReason": "PRICE_PRECISION_EXCEEDED",
    }  # fmt: skip
    said = {"errorMessage": "no", "stopLossOrderRejectTransaction": reject, "lastTransactionID": str(known + 1)}
    page = {"transactions": [reject], "lastTransactionID": str(known + 1)}
    stand.proxy.inject(Replace(status=400, body=json.dumps(said).encode()), method="PUT")
    stand.proxy.inject(Replace(status=200, body=json.dumps(page).encode()), path="sinceid")
    assert served(broker, "protect") == Answered(last_transaction_id=known + 1)
    (rejected,) = broker.transactions_since(known)
    assert isinstance(rejected, OrderRejected)
    with pytest.raises(HaltTrading, match="PRICE_PRECISION_EXCEEDED"):
        broker.transactions_since(known + 1)


def test_a_price_that_the_instrument_cannot_have_is_never_sent(stand: Stand, broker: OandaBroker) -> None:
    with pytest.raises(Bug):
        broker.protect(trade(broker).trade_id, "EUR_USD", Decimal("0.900001"))
    assert isinstance(broker.protect("1", "DE30_EUR", Decimal(1)), NotSent)
    assert puts(stand) == 0


def test_holdings_are_asked_in_one_request_and_hint_at_what_the_log_has(stand: Stand, broker: OandaBroker) -> None:
    known = stand.last_id()
    stand.order(500)
    assert broker.transactions_since(known) == []
    before = len(stand.proxy.arrived)
    held = broker.holdings()
    assert [seen.target for seen in stand.proxy.arrived[before:]] == [f"/v3/accounts/{ACCOUNT}"]
    assert (held.last_transaction_id, [each.units for each in held.trades]) == (stand.last_id(), [1_000, 500])
    assert [type(each) for each in broker.transactions_since(known)] == [OrderCreated, Fill]


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (ResetBefore(), RetryLater),
        (Replace(status=503), RetryLater),
        (Replace(status=200, body=b"{}"), RetryLater),
        (Replace(status=401, body=b"{}"), HaltTrading),
    ],
    ids=name_of,
)
def test_holdings_that_cannot_be_read_are_no_empty_account(
    stand: Stand, broker: OandaBroker, fault: Fault, trouble: type[Exception]
) -> None:
    stand.proxy.inject(fault, path=f"{ACCOUNT}$")
    with pytest.raises(trouble):
        broker.holdings()
