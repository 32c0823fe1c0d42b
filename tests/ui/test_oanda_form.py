"""The start form before OANDA: what it offers, asks and leaves out, and what it says of a missing setting."""

import socket
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.command import Mode
from engine.node import TradingNode
from tests.fakes.venue import ACCOUNT
from tests.ui.console import open_shell, opened, owned, texts, wait_for
from tests.ui.oanda import choose, give_code, labels, pick, press_start, settings_of
from tests.ui.oanda import set_up as set_up
from tests.ui.oanda import set_up_live as set_up_live
from tests.ui.oanda import venue as venue


def offered(app: AppTest) -> list[str]:
    return list(app.segmented_control(key="session.mode").options)


def test_environment_practice_offers_practice_and_not_live(set_up: TradingNode) -> None:
    assert offered(opened("session")) == ["Sandbox", "Replay", "Paper", "Practice"]


def test_environment_live_offers_live_and_not_practice(set_up_live: TradingNode) -> None:
    assert offered(opened("session")) == ["Sandbox", "Replay", "Paper", "Live"]


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.PRACTICE])
@pytest.mark.parametrize("missing", ["OANDA_TOKEN", "OANDA_ACCOUNT_ID"])
def test_a_missing_setting_is_one_sentence_and_nothing_can_start(
    mode: Mode, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, monkeypatch, **(settings_of("") | {missing: ""})):
        app = choose(opened("session"), mode)
        said = [item.value.replace("\\", "") for item in app.error]
        assert said == [f"{missing} is not set; put it into .env to trade at OANDA."]
        assert [item.value.replace("\\", "") for item in app.warning] == said
        assert pick(app.button, "Start session").disabled


def test_a_live_account_needs_its_own_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with owned(tmp_path, monkeypatch, **(settings_of("", "live") | {"LIVE_TRADING": "no"})):
        app = choose(opened("session"), Mode.LIVE)
        assert "LIVE_TRADING=yes" in app.error[0].value.replace("\\", "")
        assert pick(app.button, "Start live session").disabled


@pytest.mark.parametrize(
    ("url", "host"), [("", "OANDA practice"), ("http://127.0.0.1:8101", "the venue at 127.0.0.1:8101")]
)
def test_the_form_says_whose_account_it_is_without_its_whole_id(
    url: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, monkeypatch, **settings_of(url)):
        app = choose(opened("session"), Mode.PRACTICE)
        assert f"Orders go to account •••• 7001 at {host}, as .env says." in texts(app)
        assert f"Prices come from account •••• 7001 at {host}" in texts(choose(app, Mode.PAPER))
        assert ACCOUNT not in texts(app)


def test_a_practice_account_has_its_own_balance_and_time(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PRACTICE)
    asked = [item.label for item in (*app.number_input, *app.selectbox)]
    assert not [label for label in asked if label.startswith(("Capital", "Speed", "Seed"))]
    assert {"Granularity", "Home currency of the account"} <= set(asked)
    ready = app.success[0].value
    assert "the account's balance in USD" in ready
    assert not any(word in ready for word in ("speed", "100,000"))


def test_paper_has_a_capital_in_the_currency_of_the_account(set_up: TradingNode) -> None:
    app = choose(opened("session"), Mode.PAPER)
    pick(app.selectbox, "Home currency").set_value("EUR").run()
    asked = [item.label for item in (*app.number_input, *app.selectbox)]
    assert "Capital, EUR" in asked
    assert not [label for label in asked if label.startswith(("Speed", "Seed"))]
    assert "100,000.00 EUR" in texts(app)
    assert not pick(app.button, "Start session").disabled


def test_the_sandbox_of_such_a_console_asks_for_no_account(set_up: TradingNode) -> None:
    app = opened("session")
    assert "Home currency of the account" not in [item.label for item in app.selectbox]
    assert "••••" not in texts(app)
    assert not pick(app.button, "Start session").disabled


def test_what_is_on_the_screen_is_what_is_started(venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with owned(tmp_path, monkeypatch, **settings_of(venue)) as node:
        app = choose(opened("session"), Mode.PAPER)
        pick(app.number_input, "Capital").set_value(2_500.0)
        pick(app.multiselect, "Instruments").set_value(["EUR_USD"])
        press_start(app)
        config = wait_for(node, lambda snapshot: snapshot.config is not None).config
        assert config is not None
        assert (config.mode, config.capital_home, config.currency) == (Mode.PAPER, Decimal(2_500), "USD")
        assert (config.instruments, config.granularity) == (("EUR_USD",), "S5")


@pytest.mark.parametrize(
    ("changes", "currency", "sentence"),
    [
        ({"OANDA_TOKEN": "canary-wrong"}, "USD", "OANDA_TOKEN"),
        ({}, "EUR", "The account's home currency is USD, the session's is EUR"),
    ],
)
def test_what_oanda_refuses_is_told_and_can_be_tried_again(
    changes: dict[str, str], currency: str, sentence: str, venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, monkeypatch, **(settings_of(venue) | changes)) as node:
        app = choose(opened("session"), Mode.PRACTICE)
        give_code(app, node.unlock_code.text)
        pick(app.selectbox, "Home currency").set_value(currency).run()
        pick(app.button, "Start session").click().run()
        wait_for(node, lambda snapshot: bool(snapshot.verdicts))
        app.run().run()
        assert "The session was not started" in app.error[0].value
        assert sentence in app.error[0].value.replace("\\", "")
        assert "canary-wrong" not in texts(app)
        assert "Start session" in labels(app)
        assert not pick(app.button, "Start session").disabled


def test_while_oanda_is_asked_the_page_says_so_and_nothing_else_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    with closing(silent), owned(tmp_path, monkeypatch, **settings_of(f"http://127.0.0.1:{silent.getsockname()[1]}")):
        app = choose(opened("session"), Mode.PAPER)
        pick(app.button, "Start session").click().run()
        assert "Account, instruments and history are being read from OANDA: this takes some seconds." in texts(app)
        assert "Ready:" not in texts(app)
        assert pick(app.button, "Start session").disabled
        tab = open_shell()
        assert pick(tab.sidebar.button, "Start").disabled
        assert "A session is being started." in texts(tab)
        silent.close()
