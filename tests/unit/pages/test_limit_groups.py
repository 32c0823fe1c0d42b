"""Each limit stands in one group of the form, and each group begins where its title belongs."""

import pytest

from engine.domain.limits import limit_fields
from pages.parts import limit_groups
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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("margin_pct_max", "Margin use, % of equity"),
        ("positions_max", "Concurrent positions"),
        ("stop_loss_pips", "Stop-loss (pips)"),
        ("spread_pips_max", "Spread for every other instrument, pips"),
        ("spread_pips_max[EUR_USD]", "Spread for EUR_USD, pips"),
        ("trading_windows[EUR_USD]", "Trading windows for EUR_USD"),
        ("trading_day", "Trading day begins"),
    ],
)
def test_a_change_is_named_with_whose_it_is_and_its_unit(name: str, said: str) -> None:
    assert limit_groups.named(name) == said
