"""Profiles on the session page: picking one fills the form, saving keeps it, and none of them is a way around live."""

import json
from decimal import Decimal
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import profiles
from engine.domain.command import Mode, StopSession
from engine.domain.limits import ANY, RiskLimits, limits_by_hand
from engine.node import TradingNode
from engine.profiles import Profile
from tests.ui.console import opened, order, texts, wait_for
from tests.ui.oanda import choose, give_code, pick
from tests.ui.oanda import set_up_live as set_up_live

LONDON = "Mon-Fri 07:00-20:00 Europe/London"
BY_HAND = {
    "risk_per_trade_pct": "0.2",
    "exposure_pct_max": "80",
    "position_units_max": {"*": "700"},
    "positions_max": "1",
    "daily_loss_pct_max": "0.9",
    "drawdown_pct_max": "3",
}


def picker(app: AppTest) -> Any:
    return pick(app.selectbox, "Profile of limits")


def table(app: AppTest, heading: str) -> dict[str, Any]:
    frame = next(item.value for item in app.dataframe if heading in item.value.columns)
    return dict(frame.itertuples(index=False))


def put(node: TradingNode, name: str, text: str) -> None:
    node.settings.profiles_dir.mkdir(parents=True, exist_ok=True)
    (node.settings.profiles_dir / f"{name}.json").write_text(text)


def stated(name: str, **values: object) -> str:
    return json.dumps({"keel_limits": 1, "name": name, "limits": values})


def start(app: AppTest, node: TradingNode) -> RiskLimits:
    pick(app.button, "Start session").click().run()
    config = wait_for(node, lambda snapshot: snapshot.config is not None).config
    assert config is not None
    order(node, StopSession(command_id="stop"))
    return config.limits


def test_the_form_begins_with_the_defaults(node: TradingNode) -> None:
    app = opened("session")
    assert (picker(app).value, picker(app).options) == ("default", ["default", "careful"])
    assert pick(app.number_input, "Risk per trade").value == 0.5
    assert "differ" not in texts(app)
    assert start(app, node) == RiskLimits()


def test_picking_a_profile_fills_the_whole_form_and_start_takes_it(node: TradingNode) -> None:
    app = opened("session")
    picker(app).set_value("careful").run()
    assert pick(app.number_input, "Risk per trade").value == 0.25
    assert pick(app.number_input, "Cool-down").value == 900
    assert table(app, "Position size, units") == {"every other": 20_000, "XAU_USD": 10, "XAG_USD": 500}
    assert table(app, "Currency leg, % of equity") == {"every other": 100}
    assert table(app, "Trading windows") == {"every other": LONDON}
    assert not app.error
    assert start(app, node) == profiles.BUILT_IN["careful"].limits


def test_picking_again_forgets_what_was_typed_meanwhile(node: TradingNode) -> None:
    app = opened("session")
    picker(app).set_value("careful").run()
    pick(app.number_input, "Cool-down").set_value(60).run()
    assert "1 value differs from the profile careful; perhaps looser: Cool-down." in texts(app)
    picker(app).set_value("default").run()
    assert pick(app.number_input, "Cool-down").value == 0
    picker(app).set_value("careful").run()
    assert pick(app.number_input, "Cool-down").value == 900
    assert "differ" not in texts(app)


def test_what_is_on_the_screen_is_saved_and_picked(node: TradingNode) -> None:
    app = opened("session")
    pick(app.number_input, "Session drawdown").set_value(4.5).run()
    assert "1 value differs from the profile default; none of it looser." in texts(app)
    pick(app.text_input, "Name of the new profile").set_value("evening").run()
    pick(app.button, "Save").click().run()
    assert "Profile evening is saved." in texts(app)
    assert pick(app.text_input, "Name of the new profile").value == "", "the small form is closed and empty"
    assert picker(app).value == "evening"
    assert pick(app.number_input, "Session drawdown").value == 4.5
    saved = profiles.load(node.settings.profiles_dir, "evening")
    assert (saved.limits, saved.stated) == (RiskLimits(drawdown_pct_max=Decimal("4.5")), ("drawdown_pct_max",))
    other = opened("session")
    picker(other).set_value("evening").run()
    assert pick(other.number_input, "Session drawdown").value == 4.5


def test_a_star_that_nobody_typed_is_not_saved_from_the_form(node: TradingNode) -> None:
    put(node, "keyed", stated("keyed", position_units_max={"EUR_USD": "1000"}))
    app = opened("session")
    picker(app).set_value("keyed").run()
    pick(app.text_input, "Name of the new profile").set_value("copy").run()
    pick(app.button, "Save").click().run()
    saved = profiles.load(node.settings.profiles_dir, "copy")
    assert (saved.stated, saved.by_hand) == (("position_units_max",), ())
    assert saved.limits.units_cap("EUR_USD") == 1_000 and saved.limits.units_cap("GBP_USD") == 100_000


@pytest.mark.parametrize("name", ["", "my limits", "careful", "there"])
def test_a_name_that_cannot_be_is_one_sentence_and_nothing_is_written(node: TradingNode, name: str) -> None:
    put(node, "there", stated("there", positions_max="3"))
    before = (node.settings.profiles_dir / "there.json").read_bytes()
    app = opened("session")
    pick(app.text_input, "Name of the new profile").set_value(name).run()
    pick(app.button, "Save").click().run()
    assert len(app.error) == 1
    assert len(app.get("popover")[0].error) == 1, "beside the name that it is about"
    assert picker(app).value == "default"
    assert [path.read_bytes() for path in node.settings.profiles_dir.iterdir()] == [before]


def test_a_profile_that_is_bad_is_named_and_the_form_stays(node: TradingNode) -> None:
    put(node, "bad", stated("bad", positions_max="0"))
    app = opened("session")
    pick(app.number_input, "Cool-down").set_value(60).run()
    picker(app).set_value("bad").run()
    assert "positions_max is 0; it must be from 1 to 100 (positions)." in texts(app)
    assert picker(app).value == "default"
    assert pick(app.number_input, "Cool-down").value == 60


def test_bad_hours_are_one_sentence_and_nothing_starts(node: TradingNode) -> None:
    app = opened("session")
    pick(app.text_input, "Trading day begins").set_value("noon").run()
    assert [item.value.replace("\\", "") for item in app.error] == [
        "Trading day begins is 'noon'; it must be a full hour and a time zone, like 17:00 America/New_York."
    ]
    assert pick(app.button, "Start session").disabled


def test_hours_typed_by_instrument_are_started_with(node: TradingNode) -> None:
    put(node, "hours", stated("hours", trading_windows={"*": "always", "EUR_USD": LONDON}, trading_day="00:00 UTC"))
    app = opened("session")
    picker(app).set_value("hours").run()
    limits = start(app, node)
    assert limits.trading_windows == {ANY: "always", "EUR_USD": LONDON}
    assert limits.trading_day == "00:00 UTC"


def test_live_takes_from_a_profile_only_what_its_file_states(set_up_live: TradingNode) -> None:
    node = set_up_live
    put(node, "whole", stated("whole", **BY_HAND))
    put(node, "half", stated("half", **{name: BY_HAND[name] for name in ("positions_max", "drawdown_pct_max")}))
    app = give_code(choose(opened("session"), Mode.LIVE), node.unlock_code.text)

    def wanted() -> int:
        return sum(item.value.count("has to be typed") for item in app.warning)

    assert wanted() == len(limits_by_hand())
    picker(app).set_value("careful").run()
    assert wanted() == len(limits_by_hand()), "a built-in profile sets nothing by hand"
    picker(app).set_value("half").run()
    assert wanted() == len(limits_by_hand()) - 2
    assert pick(app.number_input, "Session drawdown").value == 3
    picker(app).set_value("whole").run()
    assert wanted() == 0
    assert table(app, "Position size, units") == {"every other": 700}


def test_live_says_that_a_built_in_profile_does_not_count(set_up_live: TradingNode) -> None:
    node = set_up_live
    app = give_code(choose(opened("session"), Mode.LIVE), node.unlock_code.text)
    assert "The built-in ones, default and careful, do not count as set by hand." in texts(app)
    why = "Profile careful is built in and does not count as set by hand"
    assert why not in texts(app)
    picker(app).set_value("careful").run()
    assert f"{why}: type what bounds a loss, or pick a profile that you saved." in texts(app)
    careful = profiles.BUILT_IN["careful"]
    profiles.save(node.settings.profiles_dir, Profile(name="mine", limits=careful.limits, stated=careful.stated))
    app.run()
    picker(app).set_value("mine").run()
    assert "is built in" not in texts(app) and "has to be typed" not in texts(app)
