"""The desk puts the streams to use and leaves nothing behind."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from engine.adapters.oanda.desk import REST_HOSTS, STREAM_HOSTS, Access
from engine.domain.error import Bug
from engine.domain.market import Granularity
from engine.redaction import Secret
from tests.fakes.faults import RewriteLines, SilenceAfter
from tests.unit.adapters.oanda.stand import Stand, standing

NAMES = ("EUR_USD", "USD_JPY")
LOG = "transactions/sinceid"


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


def until(truth: Callable[[], bool]) -> None:
    """Wait for what a stream is about to bring."""
    waiting = threading.Event()
    for _ in range(2_000):
        if truth():
            return
        waiting.wait(0.005)
    raise AssertionError("it never came true")


def asked(stand: Stand, what: str) -> int:
    return sum(what in seen.target for seen in stand.proxy.arrived)


def test_each_environment_has_its_hosts_and_loopback_replaces_both() -> None:
    access = Access(environment="practice", token=Secret("t"), account_id="1")
    assert (access.rest_url, access.stream_url) == (REST_HOSTS["practice"], STREAM_HOSTS["practice"])
    assert all(url.startswith("https://") and "fxpractice" in url for url in (access.rest_url, access.stream_url))
    here = Access(environment="practice", token=Secret("t"), account_id="1", loopback_url="http://127.0.0.1:9")
    assert (here.rest_url, here.stream_url) == ("http://127.0.0.1:9",) * 2


def test_streams_take_the_place_of_asking(stand: Stand) -> None:
    with stand.desk() as desk:
        data = desk.market_data("USD", stand.now_ns, 1.0)
        data.start(NAMES, Granularity.M1)
        desk.listen(NAMES)
        until(lambda: data.is_streaming() and desk.broker.is_streaming())
        known = desk.broker.opening().last_transaction_id
        data.poll(stand.now_ns())
        assert desk.broker.transactions_since(known) == []
        prices, logs = asked(stand, "/pricing?"), asked(stand, LOG)
        for _ in range(3):
            stand.time.pass_by(2)
            data.poll(stand.now_ns())
            assert desk.broker.transactions_since(known) == []
        assert (asked(stand, "/pricing?"), asked(stand, LOG)) == (prices, logs)
        stand.order(100)
        until(lambda: len(desk.broker.transactions_since(known)) == 2)
        assert asked(stand, LOG) == logs + 1


def test_a_silent_stream_is_replaced_by_asking(stand: Stand) -> None:
    with stand.desk() as desk:
        data = desk.market_data("USD", stand.now_ns, 1.0)
        data.start(NAMES, Granularity.M1)
        stand.proxy.inject(SilenceAfter(lines=2), path="pricing/stream")
        stand.proxy.inject(SilenceAfter(lines=0), path="pricing/stream", times=None)
        desk.listen(NAMES)
        until(data.is_streaming)
        data.poll(stand.now_ns())
        before = asked(stand, "/pricing?")
        stand.proxy.drop_connections()
        until(lambda: not data.is_streaming())
        for number in range(1, 4):
            stand.time.pass_by(2)
            data.poll(stand.now_ns())
            assert asked(stand, "/pricing?") == before + number


def test_a_line_that_nobody_can_read_makes_us_ask(stand: Stand) -> None:
    def garbled(number: int, line: bytes) -> bytes:
        return line if json.loads(line)["type"] == "HEARTBEAT" else line.replace(b'"id"', b'"di"')

    stand.proxy.inject(RewriteLines(change=garbled), path="transactions/stream", times=None)
    with stand.desk() as desk:
        desk.market_data("USD", stand.now_ns, 1.0).start(NAMES, Granularity.M1)
        desk.listen(NAMES)
        until(desk.broker.is_streaming)
        known = desk.broker.opening().last_transaction_id
        assert desk.broker.transactions_since(known) == []
        stand.order(100)
        until(lambda: not desk.broker.is_streaming())
        stand.time.pass_by(1.5)
        assert len(desk.broker.transactions_since(known)) == 2


def test_nothing_is_left_behind(stand: Stand) -> None:
    before = set(threading.enumerate())

    def ours() -> set[threading.Thread]:
        return {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("oanda")}

    with stand.desk() as desk:
        data = desk.market_data("USD", stand.now_ns, 1.0)
        data.start(NAMES, Granularity.M1)
        desk.listen(NAMES)
        until(data.is_streaming)
        stand.time.pass_by(60)
        data.poll(stand.now_ns())
        assert {thread.name.rsplit("_", 1)[0] for thread in ours()} >= {
            "oanda-stream-pricing",
            "oanda-stream-transactions",
            "oanda-candles",
        }
    assert ours() == set()
    desk.close()


def test_there_is_nothing_to_listen_for_without_market_data(stand: Stand) -> None:
    with stand.desk() as desk, pytest.raises(Bug):
        desk.listen(NAMES)
