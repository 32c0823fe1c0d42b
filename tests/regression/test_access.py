"""An earlier bot listened on every address and asked nobody who they were."""

import asyncio
import json

import pytest
import requests
from starlette.requests import Request

import app
from engine.domain.command import Mode, SessionConfig, StartSession
from engine.node import TradingNode
from engine.venue.server import CANDLES, HANDLERS, PRICE_STREAM, TRANSACTION_STREAM
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.ui.console import wait_for
from tests.ui.oanda import set_up as set_up
from tests.unit.adapters.oanda.stand import Stand

ROUTES = [*HANDLERS, *(("GET", path) for path in (*CANDLES, PRICE_STREAM, TRANSACTION_STREAM))]
STRANGERS = [None, "", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \N{SNOWMAN}"]


@pytest.mark.parametrize(("method", "template"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_api_requires_token(stand: Stand, method: str, template: str) -> None:
    """Any host of the network, and any web page, could start trading or change the risk."""
    before = stand.ask("")
    path = template.format(account=ACCOUNT, order=1, trade=1, instrument="EUR_USD", transaction=1)
    body = {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}} if method == "POST" else {}
    with requests.Session() as stranger:
        stranger.trust_env = False
        for key in STRANGERS:
            headers = {} if key is None else {"Authorization": key.encode()}
            answer = stranger.request(
                method, stand.url + path, headers=headers, json=None if method == "GET" else body, timeout=20
            )
            assert answer.status_code == 401, (key, answer.text)
            assert set(answer.json()) == {"errorMessage"} and ACCOUNT not in answer.text
    assert stand.ask("") == before


def test_api_requires_token_health_tells_nothing_of_an_account(
    set_up: TradingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions and more were told to whoever asked, and all was well whatever the engine's state."""
    monkeypatch.setitem(app.app.state, "node", set_up)
    config = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/3", speed=86_400.0)
    set_up.submit(StartSession(command_id="a", config=config))
    held = wait_for(set_up, lambda shot: bool(shot.positions))
    answer = asyncio.run(app.health(Request({"type": "http"})))
    told = json.loads(answer.body)
    assert set(told) == {"engine_alive", "engine_threads", "session_state", "snapshot_age_s"}
    assert (answer.status_code, told["engine_alive"], told["session_state"]) == (200, True, held.session_state)
    text = bytes(answer.body).decode()
    assert not any(secret in text for secret in (TOKEN, ACCOUNT[-4:], "EUR_USD"))
    assert set_up.stop(20)
    assert asyncio.run(app.health(Request({"type": "http"}))).status_code == 503
