"""Orders leave once, and the log is read whole, in order, as often as needed and no more."""

import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from engine.adapters.oanda.broker import OandaBroker
from engine.adapters.oanda.http import OandaHttp
from engine.adapters.oanda.limits import Backoff
from engine.domain.error import HaltTrading, RetryLater
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCreated, OrderRejected, Transaction
from engine.ports import Answered, NotSent, Unresolved
from engine.redaction import Secret
from tests.fakes.faults import CutBody, Drip, Fault, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.venue import TOKEN
from tests.unit.adapters.oanda.line import QUICK_IN_ALL, generous, name_of
from tests.unit.adapters.oanda.stand import Stand, standing

LOG = "transactions/sinceid"
ORDERS = "/orders$"


@pytest.fixture(scope="module")
def house() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    """The venue with the balance that earlier tests left and nothing open, behind a line of its own."""
    for name, units in house.units().items():
        house.order(int(-units), name)
    with house.new_line():
        yield house


@pytest.fixture
def broker(stand: Stand) -> Iterator[OandaBroker]:
    with stand.desk() as desk:
        yield desk.broker


def intent(client_order_id: str, units: int = 1_000, **more: Any) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id,
        instrument="EUR_USD",
        units=Decimal(units),
        created_ns=1,
        reason=OrderReason.SIGNAL,
        **more,
    )


def later(stand: Stand) -> None:
    """Let more time pass than any patience lasts."""
    stand.time.pass_by(60)


def logged(stand: Stand, broker: OandaBroker, since: int | None = None) -> list[Transaction]:
    later(stand)
    return list(broker.transactions_since(broker.opening().last_transaction_id if since is None else since))


def asked(stand: Stand, what: str = LOG) -> int:
    return sum(what in seen.target for seen in stand.proxy.arrived)


def pages(change: Callable[[Any], Any]) -> Rewrite:
    return Rewrite(change=lambda body: json.dumps(change(json.loads(body))).encode())


def test_a_refused_connection_surely_sent_nothing(stand: Stand, broker: OandaBroker) -> None:
    with stand.proxy.refusing():
        outcome = broker.submit(intent("refused"))
    assert outcome == NotSent(reason="the connection was refused")
    assert logged(stand, broker) == [] and stand.proxy.posts_of("refused") == 0


@pytest.mark.parametrize("fault", [ResetAfter(), CutBody(), Replace(status=500, reaches_target=True)], ids=name_of)
def test_after_a_lost_answer_the_log_is_read_at_once(stand: Stand, broker: OandaBroker, fault: Fault) -> None:
    broker.is_streaming = lambda: True
    known = broker.opening().last_transaction_id
    assert logged(stand, broker) == []
    stand.proxy.inject(fault, path=ORDERS)
    name = f"lost-{name_of(fault)}"
    assert isinstance(broker.submit(intent(name)), Unresolved)
    found = broker.transactions_since(known)
    assert [each.client_order_id for each in found if isinstance(each, Fill)] == [name]
    assert stand.proxy.posts_of(name) == 1


def test_a_dripping_answer_is_given_up(stand: Stand) -> None:
    with stand.desk() as desk:
        opened = desk.opened
    http = OandaHttp(
        stand.proxy.url, Secret(TOKEN), limits=generous(), monotonic_s=time.monotonic, deadlines=QUICK_IN_ALL
    )
    broker = OandaBroker(http, opened, time.monotonic, Backoff(lambda: 0.0))
    stand.proxy.inject(Drip(step_s=0.05), path=ORDERS)
    assert broker.submit(intent("drip")) == Unresolved(reason="no whole answer within 0.4 s")
    http.close()
    assert stand.proxy.posts_of("drip") == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html></html>"),
        (201, b'{"lastTransactionID": "7"}'),
        (202, b"{}"),
        (302, b""),
        (404, b"<html></html>"),
        (404, b'{"errorMessage": "no such thing"}'),
        (429, b""),
        (500, b"{}"),
        (504, b"Timeout waiting for response."),
    ],
)
def test_an_answer_that_tells_nothing_leaves_the_order_open(
    stand: Stand, broker: OandaBroker, status: int, body: bytes
) -> None:
    stand.proxy.inject(Replace(status=status, body=body), path=ORDERS)
    outcome = broker.submit(intent("unknown"))
    assert isinstance(outcome, Unresolved) and outcome.reason


@pytest.mark.parametrize("status", [400, 401, 403, 405])
def test_a_refusal_of_the_request_itself_halts_in_one_sentence(stand: Stand, broker: OandaBroker, status: int) -> None:
    said = json.dumps({"errorMessage": f"No.\nNever. {TOKEN} " + "x" * 900}).encode()
    stand.proxy.inject(Replace(status=status, body=said), path=ORDERS)
    with pytest.raises(HaltTrading) as halted:
        broker.submit(intent("halted"))
    text = str(halted.value)
    assert f"HTTP {status}" in text and text.endswith(".") and "\n" not in text
    assert len(text) < 400 and TOKEN not in text


def test_a_reject_is_an_outcome(stand: Stand, broker: OandaBroker) -> None:
    answer = broker.submit(intent("too-big", 200_000_000))
    assert isinstance(answer, Answered)
    (rejected,) = logged(stand, broker)
    assert isinstance(rejected, OrderRejected) and rejected.reason == "UNITS_LIMIT_EXCEEDED"


def test_a_reject_for_its_decimals_is_booked_and_then_halts(stand: Stand, broker: OandaBroker) -> None:
    """RELIABILITY section 3: our rounding is wrong, and would be again."""
    change = Rewrite(change=lambda body: body.replace(b"UNITS_LIMIT_EXCEEDED", b"UNITS_PRECISION_EXCEEDED"))
    stand.proxy.inject(change, path=ORDERS)
    answer = broker.submit(intent("decimals", 200_000_000))
    assert isinstance(answer, Answered)
    (rejected,) = broker.transactions_since(broker.opening().last_transaction_id)
    assert isinstance(rejected, OrderRejected)
    with pytest.raises(HaltTrading, match="UNITS_PRECISION_EXCEEDED"):
        broker.transactions_since(rejected.transaction_id)


def test_a_quiet_log_is_not_asked_more_often_than_needed(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    logged(stand, broker)
    before = asked(stand)
    stand.time.pass_by(0.9)
    broker.transactions_since(known)
    assert asked(stand) == before
    stand.time.pass_by(0.2)
    broker.transactions_since(known)
    assert asked(stand) == before + 1
    broker.is_streaming = lambda: True
    stand.time.pass_by(9)
    broker.transactions_since(known)
    assert asked(stand) == before + 1
    stand.time.pass_by(2)
    broker.transactions_since(known)
    assert asked(stand) == before + 2


def test_a_log_that_has_to_be_afresh_is_asked_at_once(stand: Stand, broker: OandaBroker) -> None:
    broker.is_streaming = lambda: True
    known = broker.opening().last_transaction_id
    assert logged(stand, broker) == []
    stand.order(500)
    before = asked(stand)
    assert broker.transactions_since(known) == [] and asked(stand) == before
    assert [type(each) for each in broker.transactions_since(known, afresh=True)] == [OrderCreated, Fill]
    assert asked(stand) == before + 1
    assert broker.transactions_since(known + 2, afresh=True) == [] and asked(stand) == before + 2
    stand.proxy.inject(ResetBefore(), path=LOG)
    with pytest.raises(RetryLater):
        broker.transactions_since(known + 2, afresh=True)
    with pytest.raises(RetryLater):
        broker.transactions_since(known + 2, afresh=True)  # held back: what was not read is never "nothing new"


def test_a_line_of_the_stream_is_a_reason_to_ask_and_nothing_more(stand: Stand, broker: OandaBroker) -> None:
    broker.is_streaming = lambda: True
    known = broker.opening().last_transaction_id
    assert logged(stand, broker) == []
    stand.order(500)
    assert broker.transactions_since(known) == []
    beat = {"type": "HEARTBEAT", "time": "2025-01-06T08:00:00.123456789Z", "lastTransactionID": str(known + 2)}
    lines = [json.dumps(beat).encode(), json.dumps({**beat, "lastTransactionID": str(known)}).encode()]
    for line in (lines[0], lines[0], lines[1]):  # twice, and an older one after it
        assert broker.on_stream_line(line)
    assert [type(each) for each in broker.transactions_since(known)] == [OrderCreated, Fill]
    assert broker.transactions_since(known + 2) == []


@pytest.mark.parametrize("line", [b"{", b"<html>", b'{"type": "ORDER_FILL"}', b'{"id": "1", "id": "2"}'])
def test_a_line_that_cannot_be_read_says_so(broker: OandaBroker, line: bytes) -> None:
    assert broker.on_stream_line(line) is False


def test_a_failed_page_loses_nothing_of_the_pages_before(stand: Stand, broker: OandaBroker) -> None:
    """The trade that page one closes must be known again when page one is read again."""
    known = broker.opening().last_transaction_id
    broker.submit(intent("held", stop_loss=Decimal("1.00000")))
    first = logged(stand, broker)
    last = first[-1].transaction_id
    stand.order(-1_000)

    def half(page: Any) -> Any:
        return {**page, "transactions": page["transactions"][:2]}

    stand.proxy.inject(pages(half), path=LOG)
    stand.proxy.inject(ResetBefore(), path=LOG)
    later(stand)
    with pytest.raises(RetryLater):
        broker.transactions_since(last)
    later(stand)
    found = broker.transactions_since(last)
    assert [each.transaction_id for each in found] == list(range(last + 1, stand.last_id() + 1))
    assert known < last


def test_after_a_failed_page_a_stop_still_finds_its_instrument(stand: Stand, broker: OandaBroker) -> None:
    broker.submit(intent("kept", stop_loss=Decimal("1.00000")))
    first = logged(stand, broker)
    (fill,) = [each for each in first if isinstance(each, Fill)]
    assert fill.opened is not None
    last, trade_id, at = first[-1].transaction_id, fill.opened.trade_id, "2025-01-06T08:00:00.000000000Z"
    stop = {
        "type": "STOP_LOSS_ORDER", "id": str(last + 1), "time": at, "tradeID": trade_id, "price": "1.00100",
        "reason": "CLIENT_ORDER",
    }  # fmt: skip
    closed = {
        "type": "ORDER_FILL", "id": str(last + 2), "time": at, "orderID": str(last), "instrument": "EUR_USD",
        "units": "-1000", "price": "1.03000", "reason": "STOP_LOSS_ORDER", "pl": "0.0000", "financing": "0.0000",
        "commission": "0.0000", "accountBalance": "100000.0000",
        "tradesClosed": [{"tradeID": trade_id, "units": "-1000", "realizedPL": "0.0000", "financing": "0.0000"}],
    }  # fmt: skip
    page = {"transactions": [stop, closed], "lastTransactionID": str(last + 3)}
    stand.proxy.inject(pages(lambda _: page), path=LOG)
    stand.proxy.inject(ResetBefore(), path=LOG)
    stand.proxy.inject(pages(lambda _: {**page, "lastTransactionID": str(last + 2)}), path=LOG)
    later(stand)
    with pytest.raises(RetryLater):
        broker.transactions_since(last)
    later(stand)
    found = broker.transactions_since(last)
    assert isinstance(found[0], OrderCreated) and found[0].instrument == "EUR_USD"


def test_pages_are_read_to_the_end(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    for number in range(4):
        broker.submit(intent(f"page-{number}", 100 if number % 2 else -100))
    stand.proxy.inject(pages(lambda page: {**page, "transactions": page["transactions"][:3]}), path=LOG, times=5)
    found = logged(stand, broker)
    assert [each.transaction_id for each in found] == list(range(known + 1, stand.last_id() + 1))


def test_what_the_log_repeats_is_taken_once(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    broker.submit(intent("again"))
    (first, *_) = found = logged(stand, broker)
    body = stand.ask(f"/{LOG}?id={known}")
    stand.proxy.inject(pages(lambda _: body), path=LOG)
    again = logged(stand, broker, first.transaction_id)
    assert [each.transaction_id for each in again] == [each.transaction_id for each in found[1:]]


def test_a_hole_is_waited_for(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    broker.submit(intent("holed"))
    stand.proxy.inject(pages(lambda page: {**page, "transactions": page["transactions"][1:]}), path=LOG)
    with pytest.raises(RetryLater, match=str(known + 1)):
        logged(stand, broker)
    assert [each.transaction_id for each in logged(stand, broker)] == [known + 1, known + 2]


def test_a_page_that_lags_is_asked_for_again_at_once(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    broker.is_streaming = lambda: True
    stand.order(100)
    stand.proxy.inject(pages(lambda page: {**page, "transactions": []}), path=LOG)
    assert logged(stand, broker) == []
    assert [each.transaction_id for each in broker.transactions_since(known)] == [known + 1, known + 2]


def test_what_cannot_be_booked_halts_after_what_can(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    broker.submit(intent("before"))

    def strange(page: Any) -> Any:
        dividend = {
            "type": "DIVIDEND_ADJUSTMENT", "id": str(known + 3), "time": "2025-01-06T08:00:00.000000000Z",
            "dividendAdjustment": "-1.5000", "accountBalance": "99998.5000",
        }  # fmt: skip
        kept = [each for each in page["transactions"] if int(each["id"]) < known + 3]
        return {"transactions": [*kept, dividend], "lastTransactionID": str(known + 3)}

    stand.proxy.inject(pages(strange), path=LOG, times=2)
    found = broker.transactions_since(known)
    assert [type(each) for each in found] == [OrderCreated, Fill]
    with pytest.raises(HaltTrading, match="DIVIDEND_ADJUSTMENT"):
        broker.transactions_since(known + 2)


def test_an_unknown_kind_that_moves_no_money_keeps_its_number(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    odd = {"type": "SOMETHING_NEW", "id": str(known + 1), "time": "2025-01-06T08:00:00.123456789Z"}
    stand.proxy.inject(pages(lambda _: {"transactions": [odd], "lastTransactionID": str(known + 1)}), path=LOG)
    (other,) = logged(stand, broker)
    assert (other.transaction_id, other.ts_ns % 1_000_000_000) == (known + 1, 123_456_789)


def test_a_log_that_went_back_halts(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    stand.proxy.inject(pages(lambda _: {"transactions": [], "lastTransactionID": str(known - 1)}), path=LOG)
    with pytest.raises(HaltTrading, match="reset"):
        logged(stand, broker)


@pytest.mark.parametrize(
    "fault",
    [ResetBefore(), Replace(status=429), Replace(status=503), Replace(status=200, body=b"<html>"), CutBody()],
    ids=name_of,
)
def test_failed_reads_are_asked_again_ever_more_rarely(stand: Stand, broker: OandaBroker, fault: Fault) -> None:
    known = broker.opening().last_transaction_id
    stand.proxy.inject(fault, path=LOG, times=7)
    later(stand)
    waits, since, before = [], 0, asked(stand)
    while len(waits) < 7:
        with pytest.raises(RetryLater, match="OANDA cannot be read: "):
            broker.transactions_since(known)
        if asked(stand) > before:
            before = asked(stand)
            waits.append(since)
            since = 0
        stand.time.pass_by(1)
        since += 1
    assert waits == [0, 1, 2, 4, 8, 16, 30]
    later(stand)
    assert broker.transactions_since(known) == []
    stand.proxy.inject(ResetBefore(), path=LOG)
    later(stand)
    with pytest.raises(RetryLater):
        broker.transactions_since(known)
    stand.time.pass_by(1)
    assert broker.transactions_since(known) == []


def test_a_sent_order_is_looked_for_even_while_reads_wait(stand: Stand, broker: OandaBroker) -> None:
    known = broker.opening().last_transaction_id
    stand.proxy.inject(ResetBefore(), path=LOG)
    later(stand)
    with pytest.raises(RetryLater):
        broker.transactions_since(known)
    broker.submit(intent("urgent"))
    assert len(broker.transactions_since(known)) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 416])
def test_a_refused_read_halts(stand: Stand, broker: OandaBroker, status: int) -> None:
    stand.proxy.inject(Replace(status=status, body=b'{"errorMessage": "no"}'), path=LOG)
    with pytest.raises(HaltTrading, match=f"HTTP {status}"):
        logged(stand, broker)
