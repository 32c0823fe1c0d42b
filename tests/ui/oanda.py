"""A console before OANDA: settings, a real venue on loopback, and what tests of such a session do on its pages."""

import json
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.command import Mode
from engine.domain.event import SessionState
from engine.domain.limits import limits_by_hand, ranged_fields
from engine.node import TradingNode
from engine.wiring import monotonic_s
from pages.parts import tables
from tests.fakes.receiver import Receiver
from tests.fakes.venue import ACCOUNT, TOKEN, running, terms
from tests.ui.console import owned, wait_for

SPEED = 60.0
PHRASE = "TRADE LIVE 7001"
TYPED: dict[str, float] = {
    "risk_per_trade_pct": 0.25,
    "exposure_pct_max": 200,
    "positions_max": 2,
    "daily_loss_pct_max": 1,
    "drawdown_pct_max": 4,
}
UNITS_TYPED = 20_000.0


@pytest.fixture
def venue() -> Iterator[str]:
    """The address of a venue whose minute takes a second."""
    with running(terms(speed=SPEED), monotonic_s) as (url, _):
        yield url


def settings_of(url: str, environment: str = "practice") -> dict[str, str]:
    """What .env would say of an account on this venue."""
    return {
        "OANDA_ENVIRONMENT": environment,
        "OANDA_TOKEN": TOKEN,
        "OANDA_ACCOUNT_ID": ACCOUNT,
        "OANDA_LOOPBACK_URL": url,
        "LIVE_TRADING": "yes" if environment == "live" else "no",
    }


NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node whose settings name a practice account that nobody has to answer for."""
    with owned(tmp_path, monkeypatch, **settings_of(NOWHERE)) as made:
        yield made


@pytest.fixture
def set_up_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node whose settings name a live account that nobody has to answer for."""
    with owned(tmp_path, monkeypatch, **settings_of(NOWHERE, "live")) as made:
        yield made


@pytest.fixture
def practice(venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node whose practice account is on the venue."""
    with owned(tmp_path, monkeypatch, **settings_of(venue)) as made:
        yield made


@pytest.fixture
def calm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node whose practice account is on a venue with the pace of the world: no bar ends while a test looks on."""
    with running(terms(), monotonic_s) as (url, _), owned(tmp_path, monkeypatch, **settings_of(url)) as made:
        yield made


@pytest.fixture
def live(venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node in environment live, whose account is on the venue."""
    with Receiver() as told:
        settings = settings_of(venue, "live") | {"KEEL_ALERT_URL": told.url}
        with owned(tmp_path, monkeypatch, **settings) as made:
            yield made


def ask(node: TradingNode, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the venue over HTTP, as another program of the account's owner would."""
    request = urllib.request.Request(
        f"{node.settings.oanda_loopback_url}/v3/accounts/{ACCOUNT}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def trade_by_hand(node: TradingNode, instrument: str, units: int, **more: object) -> str:
    """Open a trade at the venue that Keel does not know of; returns its number."""
    entry = {"type": "MARKET", "instrument": instrument, "units": str(units), **more}
    answer = ask(node, "POST", "/orders", {"order": entry})
    return str(answer["orderFillTransaction"]["tradeOpened"]["tradeID"])


def open_at_the_venue(node: TradingNode) -> set[str]:
    """Numbers of the trades that are open at the venue."""
    return {str(trade["id"]) for trade in ask(node, "GET", "/openTrades")["trades"]}


def pick(elements: Iterable[Any], label: str) -> Any:
    """Find the first element whose label begins like this."""
    found = [element for element in elements if element.label.startswith(label)]
    assert found, f"there is no {label!r} among {[element.label for element in elements]}"
    return found[0]


def labels(app: AppTest) -> list[str]:
    """The buttons of a page, those of forms too."""
    return [item.label for item in app.button]


def give_code(app: AppTest, code: str) -> AppTest:
    """Type an unlock code into the first field for it and send it."""
    pick(app.text_input, "Unlock code").set_value(code)
    return pick(app.button, "Unlock").click().run()


def choose(app: AppTest, mode: Mode) -> AppTest:
    """Choose a market on the Session page."""
    return app.segmented_control(key="session.mode").set_value(mode).run()


def press_start(app: AppTest) -> None:
    """Choose a model that trades often, and start what is on the page."""
    pick(app.selectbox, "Granularity").set_value("S5")
    pick(app.number_input, "Fast average").set_value(2)
    pick(app.number_input, "Slow average").set_value(5).run()
    button = pick(app.button, "Start")
    assert not button.disabled, [item.value for item in (*app.error, *app.warning)]
    button.click().run()


def type_limits(app: AppTest, **changes: float) -> None:
    """Type what bounds a loss; the table by instrument gets it as from an earlier visit, which AppTest cannot type."""
    labels_of = {item.name: item.metadata["label"] for item in ranged_fields()}
    assert set(TYPED) | {"position_units_max"} == set(limits_by_hand())
    for name, value in (TYPED | changes).items():
        item = pick(app.number_input, labels_of[name])
        item.set_value(int(value) if name == "positions_max" else value)


def table_typed_before(app: AppTest) -> None:
    """Let the page find a position size that was typed on an earlier visit."""
    heading = "Position size, units"
    frame = pd.DataFrame({"Instrument": [tables.EVERY_OTHER], heading: [UNITS_TYPED]})
    app.session_state["session.live.position_units_max.draft"] = frame


def wait_until_running(node: TradingNode) -> None:
    """Wait until the session trades; a refused start fails with its reason."""

    def begun(snapshot: Any) -> bool:
        refused = [item.detail for item in snapshot.verdicts if not item.accepted]
        assert not refused, refused
        return snapshot.session_state is SessionState.RUNNING

    wait_for(node, begun)
