"""An account that cannot be traded is refused in one sentence that says what to check, and nothing stays behind."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import wiring
from engine.adapters.oanda.desk import Means, OandaDesk
from engine.adapters.oanda.opening import tail, venue_time_ns
from engine.adapters.sim.market import DEFAULT_START_NS
from engine.config import load_settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.redaction import Secret
from tests.fakes.faults import CutBody, CutChunk, Fault, Replace, ResetAfter, ResetBefore, Rewrite
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime
from tests.unit.adapters.oanda.line import PATIENCE_S, PATIENT, name_of, shows_canary
from tests.unit.adapters.oanda.stand import Stand, standing

OTHER = "101-001-1234567-002"
WRONG_TOKEN = "canary-of-another-environment"


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
    assert "check" in text or "choose" in text or "close" in text
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
    assert tail(OTHER) in text and "does not belong to this token" in text and "OANDA_ACCOUNT_ID" in text
    assert len(stand.proxy.arrived) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_is_listed_but_closed_to_us_is_refused(stand: Stand, status: int) -> None:
    said = json.dumps({"errorMessage": f"The provided request was forbidden. {TOKEN}"}).encode()
    stand.proxy.inject(Replace(status=status, body=said), path="summary")
    text = refusal(stand)
    assert f"HTTP {status}" in text and "OANDA_ACCOUNT_ID" in text


def test_a_hedging_account_is_refused(stand: Stand) -> None:
    def hedging(page: Any) -> Any:
        page["account"]["hedgingEnabled"] = True
        return page

    stand.proxy.inject(rewritten(hedging), path="summary")
    text = refusal(stand)
    assert "hedging" in text and tail(ACCOUNT) in text and "OANDA_ACCOUNT_ID" in text


def test_an_account_with_an_open_trade_is_refused(stand: Stand) -> None:
    stand.order(100)
    try:
        text = refusal(stand)
    finally:
        stand.order(-100)
    assert "1 open trade" in text and "0 waiting" in text and "close and cancel them" in text


def test_an_account_with_a_waiting_order_is_refused(stand: Stand) -> None:
    order = {
        "id": "9", "type": "LIMIT", "state": "PENDING", "createTime": "2025-01-06T08:00:00.000000000Z",
        "instrument": "EUR_USD", "units": "1", "price": "1.0",
    }  # fmt: skip
    stand.proxy.inject(rewritten(lambda page: {**page, "orders": [order]}), path="pendingOrders")
    assert "1 waiting order" in refusal(stand)


def test_who_sends_no_orders_may_look_at_any_account(stand: Stand) -> None:
    stand.order(100)
    means = Means(monotonic_s=HandTime(), wait=lambda _: None, draw=lambda: 0.0, deadlines=PATIENT)
    desk = OandaDesk(stand.access(), means, sends_orders=False)
    desk.close()
    stand.order(-100)
    assert not any("openTrades" in seen.target for seen in stand.proxy.arrived)


def test_a_server_that_is_down_is_told(stand: Stand) -> None:
    with stand.proxy.refusing():
        text = refusal(stand)
    assert "cannot be reached: the connection was refused" in text
    assert "check the internet connection" in text and "OANDA_LOOPBACK_URL" in text


HTML = f"<html>Bearer {TOKEN}</html>".encode()
PLACES = ["accounts$", "summary", "instruments", "openTrades", "pendingOrders"]
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

    stand.proxy.inject(rewritten(in_euro), path="summary")
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
