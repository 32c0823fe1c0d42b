"""The session page with a real engine behind it: every state, every reason, and what Start really starts."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from engine import wiring
from engine.domain.command import HaltTrading, Mode, StartSession, StopSession
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import limit_fields
from engine.domain.market import Granularity
from engine.node import TradingNode
from engine.snapshot import WarmupRow
from tests.ui.console import opened, order, show, texts, wait_for, write_bars
from tests.unit.prediction.made import entry_for, logistic, packed

TOO_SHORT = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close\nyesterday,1,1,1,1,1,1,1,1\n"


def start_button(app: AppTest) -> Button:
    return next(button for button in app.button if button.label == "Start session")


def pick(elements: Iterable[Any], label: str) -> Any:
    return next(element for element in elements if element.label.startswith(label))


@pytest.fixture
def trained(node: TradingNode) -> str:
    """Register a real classifier of EUR_USD and GBP_USD, at most two at a time, on M1 bars."""
    estimator = logistic()
    data = packed(estimator)
    return wiring.registry(node.settings).register_bytes(data, entry_for(estimator, data)).model_id


def test_first_visit_shows_the_whole_form_and_is_ready_to_start(node: TradingNode) -> None:
    app = opened("session")
    assert [line.value for line in app.markdown if line.value.startswith("##### ")] == [
        "##### 1 · Market",
        "##### 2 · Model and instruments",
        "##### 3 · Account and pace",
        "##### 4 · Limits",
        "##### 5 · Start",
    ]
    assert "Ready: sandbox · EUR_USD, GBP_USD, USD_JPY, AUD_USD" in texts(app)
    assert not start_button(app).disabled
    assert app.dataframe[0].value["Fits"].tolist() == ["yes", "yes"]


def test_every_limit_has_an_input_with_its_range_and_note(node: TradingNode) -> None:
    app = opened("session")
    labels = [item.label for kind in (app.number_input, app.text_input, app.segmented_control) for item in kind]
    labels += [heading for table in app.dataframe for heading in table.value.columns]
    for item in limit_fields():
        assert any(str(label).startswith(item.metadata["label"]) for label in labels), item.name
        assert any(caption.value.endswith(item.metadata["note"]) for caption in app.caption), item.name


def test_start_starts_what_is_on_the_screen(node: TradingNode) -> None:
    app = opened("session")
    pick(app.number_input, "Capital").set_value(25_000.5)
    pick(app.number_input, "Risk per trade").set_value(0.25)
    pick(app.number_input, "Seed").set_value(7)
    pick(app.number_input, "Fast average").set_value(5)
    pick(app.multiselect, "Instruments").set_value(["USD_JPY", "XAU_USD"])
    pick(app.selectbox, "Granularity").set_value(Granularity.S30)
    pick(app.selectbox, "Speed").set_value("max, as fast as it goes")
    start_button(app).click().run()
    config = wait_for(node, lambda snapshot: snapshot.config is not None).config
    assert config is not None
    assert config.capital_home == Decimal("25000.5")
    assert config.limits.risk_per_trade_pct == Decimal("0.25")
    assert (config.seed, config.speed, config.granularity) == (7, None, Granularity.S30)
    assert config.instruments == ("USD_JPY", "XAU_USD")
    assert config.model_id == "sma-cross:5/30"
    order(node, StopSession(command_id="stop"))


def test_answer_to_start_stays_on_the_page(node: TradingNode) -> None:
    app = opened("session")
    start_button(app).click().run()
    wait_for(node, lambda snapshot: snapshot.active)
    app.run()
    app.run()
    assert "Start accepted: run 1 started." in texts(app)


def test_refused_start_stays_on_the_page_with_its_reason(node: TradingNode) -> None:
    app = opened("session")
    node.settings.halt_path.write_text("")
    start_button(app).click().run()
    wait_for(node, lambda snapshot: bool(snapshot.verdicts))
    app.run()
    app.run()
    assert "The session was not started" in app.error[0].value
    assert "remove it to allow trading" in app.error[0].value
    assert not start_button(app).disabled


def test_second_click_on_the_same_button_starts_nothing_more(node: TradingNode) -> None:
    first, second = opened("session"), opened("session")
    start_button(first).click().run()
    wait_for(node, lambda snapshot: snapshot.active)
    start_button(second).click().run()
    wait_for(node, lambda snapshot: len(snapshot.verdicts) > 1 or snapshot.revision > 3)
    assert node.snapshot.run_id == 1
    assert "Stop session" in [button.label for button in second.button]


def test_running_session_shows_its_configuration_and_no_start(node: TradingNode) -> None:
    config = replace(wiring.default_config(node.settings), capital_home=Decimal(12_345))
    order(node, StartSession(command_id="start", config=config))
    wait_for(node, lambda snapshot: snapshot.session_state is SessionState.RUNNING)
    app = opened("session")
    shown = dict(app.table[0].value.itertuples(index=False))
    assert shown["Capital"] == "12,345.00 USD"
    (limits,) = (item.value for item in app.dataframe if "A change counts" in item.value.columns)
    assert len(limits) == len(limit_fields())
    assert dict(zip(limits["Limit"], limits["Used now"], strict=True))["Order interval"] == "no instrument waits"
    assert not app.number_input
    labels = [button.label for button in app.button]
    assert "Stop session" in labels
    assert "Start session" not in labels
    assert "RUNNING" in texts(app)


def test_stop_ends_the_run_and_brings_the_form_back(node: TradingNode) -> None:
    order(node, StartSession(command_id="start", config=wiring.default_config(node.settings)))
    wait_for(node, lambda snapshot: snapshot.active)
    app = opened("session")
    pick(app.button, "Stop session").click().run()
    wait_for(node, lambda snapshot: not snapshot.active)
    app.run()
    assert not start_button(app).disabled
    assert "STOPPED" in texts(app)


def test_warming_session_shows_have_need_age_and_reason(node: TradingNode) -> None:
    rows = (
        WarmupRow(instrument="EUR_USD", have=31, need=31, age_s=42.0, reason=""),
        WarmupRow(instrument="USD_JPY", have=4, need=31, age_s=None, reason="waiting for history"),
    )
    config = wiring.default_config(node.settings)
    show(node, session_state=SessionState.WARMING_UP, config=config, limits=config.limits, run_id=1, warmup=rows)
    app = opened("session")
    frame = app.dataframe[0].value
    assert frame["State"].tolist() == ["ready", "waiting"]
    assert frame["Have"].tolist() == [31, 4]
    assert frame["Need"].tolist() == [31, 31]
    assert frame["Age"].tolist() == ["42 s", "no bar yet"]
    assert frame["Reason"].tolist() == ["", "waiting for history"]
    assert "WARMING UP" in texts(app)


def test_halted_session_says_so(node: TradingNode) -> None:
    order(node, StartSession(command_id="start", config=wiring.default_config(node.settings)))
    order(node, HaltTrading(command_id="halt"))
    wait_for(node, lambda snapshot: snapshot.trading_state is TradingState.HALTED)
    app = opened("session")
    assert "HALTED" in texts(app)
    assert "Stop session" in [button.label for button in app.button]


def test_faulted_session_shows_the_reason_and_the_form(node: TradingNode) -> None:
    config = wiring.default_config(node.settings)
    show(node, session_state=SessionState.FAULTED, config=config, run_id=3, reason="The disk is full.")
    app = opened("session")
    assert "FAULTED" in texts(app)
    assert "The disk is full." in texts(app)
    assert not start_button(app).disabled


@pytest.mark.parametrize(
    ("label", "value", "sentence"),
    [
        ("Risk per trade", 7.0, "Risk per trade is 7; it must be from 0.01 to 5 (% of equity)."),
        ("Concurrent positions", 0, "Concurrent positions is 0; it must be from 1 to 100 (positions)."),
        ("Capital", 5.0, "Capital is 5; it must be from 100 to 1000000000."),
        ("Seed", -1, "Seed is -1; it must be from 0 to"),
        ("Slow average", 4, "Model sma-cross:10/4 is out of range"),
    ],
)
def test_bad_value_is_one_sentence_and_start_stays_disabled(
    node: TradingNode, label: str, value: float, sentence: str
) -> None:
    app = opened("session")
    pick(app.number_input, label).set_value(value).run()
    assert [item.value.replace("\\", "") for item in app.error][0].startswith(sentence)
    assert len(app.error) == 1
    assert start_button(app).disabled


def test_each_bad_limit_has_its_own_sentence(node: TradingNode) -> None:
    app = opened("session")
    pick(app.number_input, "Risk per trade").set_value(9.0)
    pick(app.number_input, "ATR period").set_value(1).run()
    assert len(app.error) == 2
    assert start_button(app).disabled


def test_without_instruments_nothing_can_start(node: TradingNode) -> None:
    app = opened("session")
    pick(app.multiselect, "Instruments").set_value([]).run()
    assert [item.value for item in app.error] == ["Choose at least one instrument."]
    assert start_button(app).disabled


def test_incompatible_model_shows_its_reason_and_is_not_offered(node: TradingNode, trained: str) -> None:
    app = opened("session")
    models = app.dataframe[0].value.set_index("Id")
    assert models.loc[trained, "Fits"] == "no"
    assert "it has not seen USD_JPY, AUD_USD" in models.loc[trained, "Why not"]
    assert not any(trained in option for option in pick(app.selectbox, "Model").options)


def test_trained_model_limits_the_instruments_and_names_the_others(node: TradingNode, trained: str) -> None:
    app = opened("session")
    pick(app.multiselect, "Instruments").set_value(["EUR_USD"]).run()
    pick(app.selectbox, "Model").set_value(trained).run()
    assert pick(app.multiselect, "Instruments").options == ["EUR_USD", "GBP_USD"]
    assert "Not offered, because Mine was not trained on them: USD_JPY" in texts(app)
    assert not start_button(app).disabled


def test_model_that_no_longer_fits_stays_chosen_with_its_reason(node: TradingNode, trained: str) -> None:
    app = opened("session")
    pick(app.multiselect, "Instruments").set_value(["EUR_USD"]).run()
    pick(app.selectbox, "Model").set_value(trained).run()
    pick(app.selectbox, "Granularity").set_value(Granularity.M5).run()
    assert pick(app.selectbox, "Model").value == trained
    assert "was trained on M1 bars; M5 is chosen." in app.error[0].value.replace("\\", "")
    assert start_button(app).disabled


def test_broken_model_is_named_and_cannot_be_chosen(node: TradingNode, trained: str) -> None:
    (node.settings.models_dir / "mine.skops").write_bytes(b"something else")
    app = opened("session")
    pick(app.multiselect, "Instruments").set_value(["EUR_USD"]).run()
    assert "Broken registry entry: Model mine: mine.skops has changed" in texts(app)
    assert app.dataframe[0].value.set_index("Id").loc[trained, "Fits"] == "no"
    assert not any(trained in option for option in pick(app.selectbox, "Model").options)


def test_replay_without_recordings_says_what_to_do(node: TradingNode) -> None:
    app = opened("session")
    app.segmented_control(key="session.mode").set_value(Mode.REPLAY).run()
    assert "There is no recording yet: add a file above, or put one into the folder data/history." in texts(app)
    assert len(app.error) == 1
    assert start_button(app).disabled


def test_replay_of_a_recording_starts_with_its_instrument_and_granularity(node: TradingNode) -> None:
    good = write_bars(node.settings.recordings_dir / "EUR_USD.csv")
    (node.settings.recordings_dir / "GBP_USD.csv").write_text(TOO_SHORT)
    app = opened("session")
    app.segmented_control(key="session.mode").set_value(Mode.REPLAY).run()
    found = app.dataframe[0].value.set_index("File")
    assert found.loc["EUR_USD.csv", "Bars"] == 200
    assert found.loc["EUR_USD.csv", "Dropped or unusable"] == ""
    assert "GBP_USD.csv" in found.loc["GBP_USD.csv", "Dropped or unusable"]
    assert pick(app.multiselect, "Recordings").options == ["EUR_USD.csv"]
    pick(app.selectbox, "Speed").set_value("max, as fast as it goes")
    start_button(app).click().run()
    config = wait_for(node, lambda snapshot: snapshot.config is not None).config
    assert config is not None
    assert (config.mode, config.instruments, config.granularity) == (Mode.REPLAY, ("EUR_USD",), Granularity.M1)
    assert config.bars == (("EUR_USD", str(good)),)


def test_uploaded_recording_is_stored_and_chosen(node: TradingNode, tmp_path: Path) -> None:
    data = write_bars(tmp_path / "made.csv").read_bytes()
    write_bars(node.settings.recordings_dir / "EUR_USD.csv")
    app = opened("session")
    app.segmented_control(key="session.mode").set_value(Mode.REPLAY).run()
    app.file_uploader[0].upload("USD_CHF.csv", data).run()
    assert (node.settings.recordings_dir / "USD_CHF.csv").read_bytes() == data
    assert pick(app.multiselect, "Recordings").value == ["USD_CHF.csv"]
    assert "USD_CHF.csv is stored: 200 bars." in texts(app)
    assert not start_button(app).disabled


def test_unusable_upload_is_refused_in_one_sentence_and_not_stored(node: TradingNode) -> None:
    app = opened("session")
    app.segmented_control(key="session.mode").set_value(Mode.REPLAY).run()
    app.file_uploader[0].upload("USD_CHF.csv", TOO_SHORT.encode()).run()
    assert "USD_CHF.csv" in app.error[0].value.replace("\\", "")
    assert not list(node.settings.recordings_dir.glob("*"))
