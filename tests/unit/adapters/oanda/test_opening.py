"""An account that cannot be traded is refused in one sentence that says what to check, and nothing stays behind."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import wiring
from engine.adapters.oanda.desk import Means, OandaDesk
from engine.adapters.oanda.opening import account_key, venue_time_ns
from engine.adapters.sim.market import DEFAULT_START_NS
from engine.config import load_settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.transaction import OrderCreated
from engine.redaction import Secret, account_tail
from tests.fakes.faults import CutBody, CutChunk, Fault, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime
from tests.unit.adapters.oanda.line import PATIENCE_S, PATIENT, name_of, shows_canary
from tests.unit.adapters.oanda.stand import Stand, standing

OTHER = "101-001-1234567-002"
WRONG_TOKEN = "canary-of-another-environment"
DETAILS = f"{ACCOUNT}$"


@pytest.fixture(scope="module")
def house() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    with house.new_line():
        yield house


def refusal(stand: Stand, **changes: Any) -> str:
    """Open, be refused, and return the sentence after checking what holds for each of them."""
    before = set(threading.enumerate())
    means = Means(monotonic_s=HandTime(), wait=lambda _: None, draw=lambda: 0.0, deadlines=PATIENT)
    with pytest.raises(ConfigError) as refused:
        OandaDesk(stand.access(**changes), means)
    mine = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("oanda")]
    assert mine == []
    text = str(refused.value)
    assert text.endswith(".") and ". " not in text and "\n" not in text
    assert "check" in text or "choose" in text
    assert not any(secret in text for secret in (TOKEN, WRONG_TOKEN, ACCOUNT, OTHER)) and not shows_canary(text)
    return text


def rewritten(change: Callable[[Any], Any]) -> Rewrite:
    return Rewrite(change=lambda body: json.dumps(change(json.loads(body))).encode())


def test_a_good_account_is_opened(stand: Stand) -> None:
    with stand.desk() as desk:
        assert desk.opened.summary.account_id == ACCOUNT
        assert desk.opened.summary.account.balance_home == stand.balance()
        assert "EUR_USD" in desk.opened.instruments


def test_a_wrong_token_or_environment_is_refused(stand: Stand) -> None:
    """A token belongs to one environment: the other one answers 401, and no other host is tried."""
    text = refusal(stand, token=Secret(WRONG_TOKEN))
    assert "HTTP 401" in text and "practice" in text
    for name in ("OANDA_TOKEN", "OANDA_ACCOUNT_ID", "OANDA_ENVIRONMENT"):
        assert name in text
    assert len(stand.proxy.arrived) == 1


def test_an_account_of_somebody_else_is_refused(stand: Stand) -> None:
    text = refusal(stand, account_id=OTHER)
    assert account_tail(OTHER) in text and "does not belong to this token" in text and "OANDA_ACCOUNT_ID" in text
    assert len(stand.proxy.arrived) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_is_listed_but_closed_to_us_is_refused(stand: Stand, status: int) -> None:
    said = json.dumps({"errorMessage": f"The provided request was forbidden. {TOKEN}"}).encode()
    stand.proxy.inject(Replace(status=status, body=said), path=DETAILS)
    text = refusal(stand)
    assert f"HTTP {status}" in text and "OANDA_ACCOUNT_ID" in text


def hedging(page: Any) -> Any:
    page["account"]["hedgingEnabled"] = True
    return page


def test_a_hedging_account_is_refused(stand: Stand) -> None:
    stand.proxy.inject(rewritten(hedging), path=DETAILS)
    text = refusal(stand)
    assert "hedging" in text and account_tail(ACCOUNT) in text and "OANDA_ACCOUNT_ID" in text


def test_what_is_open_and_what_waits_is_told(stand: Stand) -> None:
    limit = {"order": {"type": "LIMIT", "instrument": "EUR_USD", "units": "7", "price": "0.90000"}}
    stand.order(100)
    stand.send("POST", "/orders", limit)
    with stand.desk() as desk:
        opening = desk.broker.opening()
    assert (opening.balance_home, opening.last_transaction_id) == (stand.balance(), stand.last_id())
    (trade,) = opening.trades
    (order,) = opening.orders
    assert (trade.instrument, trade.units, trade.trade_id) == ("EUR_USD", 100, str(stand.last_id() - 1))
    assert (order.kind, order.units, order.price) == ("LIMIT", 7, Decimal("0.9"))
    stand.order(-100)
    stand.send("PUT", f"/orders/{order.order_id}/cancel", None)


def test_what_was_open_before_is_known_when_its_stop_changes(stand: Stand) -> None:
    stand.order(100, "USD_JPY")
    with stand.desk() as desk:
        opening = desk.broker.opening()
        (trade,) = opening.trades
        stand.send("PUT", f"/trades/{trade.trade_id}/orders", {"stopLoss": {"price": "100.000"}})
        (stop,) = desk.broker.transactions_since(opening.last_transaction_id, afresh=True)
    assert isinstance(stop, OrderCreated) and (stop.instrument, stop.trade_id) == ("USD_JPY", trade.trade_id)
    stand.order(-100, "USD_JPY")


def test_the_key_of_an_account_stays_and_tells_nobody_its_id(stand: Stand) -> None:
    keys = []
    for _ in range(2):
        with stand.desk() as desk:
            keys.append(desk.broker.opening().account)
    assert keys[0] == keys[1] and re.fullmatch("[0-9a-f]{16}", keys[0])


def test_another_account_has_another_key() -> None:
    """Also one that has the same id: a practice account that was reset, a venue that was started anew."""
    mine = account_key("practice", ACCOUNT, 1)
    others = account_key("live", ACCOUNT, 1), account_key("practice", OTHER, 1), account_key("practice", ACCOUNT, 2)
    assert len({mine, *others}) == 4


def test_a_venue_that_is_started_anew_is_another_account(stand: Stand) -> None:
    with standing() as again, stand.desk() as first, again.desk() as second:
        assert first.broker.opening().account != second.broker.opening().account


@pytest.mark.parametrize("sends_orders", [True, False])
def test_who_only_looks_may_look_at_a_hedging_account(stand: Stand, sends_orders: bool) -> None:
    stand.proxy.inject(rewritten(hedging), path=DETAILS)
    means = Means(monotonic_s=HandTime(), wait=lambda _: None, draw=lambda: 0.0, deadlines=PATIENT)
    if sends_orders:
        with pytest.raises(ConfigError):
            OandaDesk(stand.access(), means)
    else:
        OandaDesk(stand.access(), means, sends_orders=False).close()


def test_a_server_that_is_down_is_told(stand: Stand) -> None:
    with stand.proxy.refusing():
        text = refusal(stand)
    assert "cannot be reached: the connection was refused" in text
    assert "check the internet connection" in text and "OANDA_LOOPBACK_URL" in text


HTML = f"<html>Bearer {TOKEN}</html>".encode()
PLACES = ["accounts$", DETAILS, "instruments"]
FAULTS: list[Fault] = [
    ResetBefore(),
    ResetAfter(),
    ResetAfter(reset=False),
    CutBody(),
    CutChunk(),
    Replace(status=200, body=HTML, content_type="text/html"),
    Replace(status=200, body=b"{}"),
    Replace(status=404, body=HTML),
    Replace(status=429),
    Replace(status=503, body=HTML),
    Replace(status=504, body=b"Timeout waiting for response."),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_whatever_cannot_be_read_refuses_the_start(stand: Stand, fault: Fault, place: str) -> None:
    stand.proxy.inject(fault, path=place)
    text = refusal(stand)
    assert text.startswith("OANDA (practice) ") and "check the internet connection" in text


def test_an_unexpected_home_currency_is_refused_and_nothing_stays_behind(stand: Stand, tmp_path: Path) -> None:
    def in_euro(page: Any) -> Any:
        page["account"]["currency"] = "EUR"
        return page

    stand.proxy.inject(rewritten(in_euro), path=DETAILS)
    environment = {
        "OANDA_TOKEN": TOKEN,
        "OANDA_ACCOUNT_ID": ACCOUNT,
        "OANDA_LOOPBACK_URL": stand.proxy.url,
        "KEEL_DATA_DIR": str(tmp_path),
        "KEEL_MODELS_DIR": str(tmp_path),
    }
    settings = load_settings(environment, tmp_path / "none.env")
    config = SessionConfig(mode=Mode.PRACTICE, instruments=("EUR_USD",), model_id="sma-cross:2/3")
    before = set(threading.enumerate())
    with pytest.raises(ConfigError) as refused:
        wiring.prepare(config, settings)
    text = str(refused.value)
    assert "EUR" in text and "USD" in text and "choose" in text and ". " not in text and TOKEN not in text
    mine = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("oanda")]
    assert mine == []


def test_a_refused_start_hangs_up(stand: Stand) -> None:
    """The connections of a start that failed must not stay open for the life of the console."""
    hung_up = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}")
            if connection.recv(1) == b"":
                hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        means = Means(monotonic_s=HandTime(), wait=lambda _: None, draw=lambda: 0.0, deadlines=PATIENT)
        with pytest.raises(ConfigError) as refused:
            OandaDesk(stand.access(loopback_url=f"http://127.0.0.1:{listener.getsockname()[1]}"), means)
        assert hung_up.wait(PATIENCE_S), refused.value


def test_the_time_of_a_venue_is_told(stand: Stand) -> None:
    stand.time.seconds = 5.0
    with stand.desk() as desk:
        assert venue_time_ns(desk._orders, ACCOUNT, "EUR_USD") == DEFAULT_START_NS + 5_000_000_000
        stand.proxy.inject(rewritten(lambda page: {"prices": page["prices"]}), path="pricing")
        with pytest.raises(ConfigError, match="time"):
            venue_time_ns(desk._orders, ACCOUNT, "EUR_USD")


@pytest.mark.parametrize("pace", [1.0, 7.0, 60.0, 0.5])
def test_the_pace_of_a_venue_is_measured_on_its_quickest_answers(stand: Stand, pace: float) -> None:
    """Its market time is in the test's hand; some answers are slow, which must not blur the pace."""
    ours = HandTime()
    delays = iter([0.3, 0.0, 0.2, 0.1] * 2)

    def look() -> float:
        return ours.seconds

    def pass_by(seconds: float) -> None:
        ours.seconds += seconds
        stand.time.pass_by(seconds * pace)

    with stand.desk() as desk:
        desk._means = Means(monotonic_s=look, wait=pass_by, draw=lambda: 0.0)
        honest = desk._orders.get

        def slow(path: str) -> object:
            answer = honest(path)
            pass_by(next(delays))
            return answer

        desk._orders.get = slow  # type: ignore[assignment, method-assign]
        told_ns, rate = desk.venue_time("EUR_USD")
        assert rate == pytest.approx(pace)
        assert told_ns == pytest.approx(stand.now_ns(), abs=1e6)
