"""Each limit stands in one group of the form, and each group begins where its title belongs."""

from engine.domain.limits import limit_fields
from pages.parts.limit_groups import STOPS, groups


def test_every_limit_is_in_one_group_in_order() -> None:
    assert [item.name for items in groups().values() for item in items] == [item.name for item in limit_fields()]


def test_groups_are_those_of_the_form() -> None:
    assert list(groups()) == ["Size and portfolio", "Orders", "Prices", STOPS, "Hours", "Breakers"]
    assert {item.name for item in groups()[STOPS]} == {
        *("stop_mode", "stop_loss_pips", "take_profit_pips", "stop_loss_atr", "take_profit_atr", "atr_period")
    }
    assert groups()["Hours"][-1].name == "cooldown_s"
    assert groups()["Breakers"][0].name == "trading_day"
