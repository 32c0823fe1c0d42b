"""How much of each limit is used, worked out by hand from what was traded."""

from decimal import Decimal

import pytest

from engine.domain.command import SetNews
from engine.domain.limits import limit_fields, ranged_fields
from engine.domain.schedule import NewsEvent
from engine.session.usage import usage
from engine.snapshot import LimitUse
from tests.unit.session.breach import PRICES, Make, World, at
from tests.unit.session.breach_cases import BOTH
from tests.unit.session.faulty import LOST_ORDER, NOT_SENT
from tests.unit.session.rig import PIP

ENTRY = "looked at when an entry is sized"
ZERO_IS_OFF = [item.name for item in ranged_fields() if item.metadata["zero_is_off"]]


def rows(world: World) -> dict[str, LimitUse]:
    return {row.name: row for row in usage(world.desk)}


def told(world: World, *names: str) -> list[tuple[str, str]]:
    """Value and limit of these rows."""
    found = rows(world)
    return [(found[name].value, found[name].limit) for name in names]


# 100000 EUR_USD bought at 1.10005, now 1.09995/1.10005, so that 10 of 100000 are lost. The stop is 9.9 pips below the
# purchase (five times an average of floats that is a hair less than 2 pips, rounded toward it), 8.9 below the bid.
# Value 110000 of equity 99990: 110.01 %. Name: value, limit, percent used, distance.
ONE_TRADE: dict[str, tuple[str, str, float | None, str]] = {
    "risk_per_trade_pct": ("0.09 % of equity (EUR_USD)", "0.5 % of equity", 17.8018, "0.41 % of equity"),
    "exposure_pct_max": ("110.01 % of equity", "500 % of equity", 22.0022, "389.99 % of equity"),
    "exposure_net_pct_max": ("110.01 % of equity", "500 % of equity", 22.0022, "389.99 % of equity"),
    "margin_pct_max": ("2.2 % of equity", "50 % of equity", 4.40044, "47.8 % of equity"),
    "position_units_max": ("100000 units (EUR_USD)", "100000 units", 100.0, "0 units"),
    "position_pct_max": ("110.01 % of equity (EUR_USD)", "500 % of equity", 22.0022, "389.99 % of equity"),
    "positions_max": ("1 position", "5 positions", 20.0, "4 positions"),
    "currency_pct_max": ("110.01 % of equity (EUR)", "500 % of equity", 22.0022, "389.99 % of equity"),
    "order_interval_s_min": ("no instrument waits", "off", None, ""),
    "orders_per_minute_max": ("1 order per minute", "30 orders per minute", 3.3333, "29 orders per minute"),
    "repeated_entries_max": ("1 entry (EUR_USD)", "30 entries", 3.3333, "29 entries"),
    "spread_pips_max": ("1 pips (EUR_USD)", "3 pips", 33.3333, "2 pips"),
    "spread_ratio_max": ("too few bars are known", "4 x median", None, ""),
    "volatility_ratio_max": ("too few bars are known", "5 x median", None, ""),
    "guard_bars": ("at least 6 bars known", "100 bars", None, ""),
    "price_collar_atr_max": ("0 x ATR (EUR_USD)", "5 x ATR", 0.0, "5 x ATR"),
    "quote_age_s_max": ("0 s (EUR_USD)", "10 s", 0.0, "10 s"),
    "slippage_pips_max": ("0 pips (EUR_USD, median)", "2 pips", 0.0, "2 pips"),
    "edge_pips_min": (ENTRY, "0 pips", None, ""),
    "stop_mode": (ENTRY, "atr", None, ""),
    "stop_loss_pips": (ENTRY, "15 pips", None, ""),
    "take_profit_pips": (ENTRY, "30 pips", None, ""),
    "stop_loss_atr": (ENTRY, "5 x ATR", None, ""),
    "take_profit_atr": (ENTRY, "0 x ATR", None, ""),
    "atr_period": (ENTRY, "2 bars", None, ""),
    "trading_windows": ("open", "always", None, ""),
    "weekend_cutoff_min": (
        "open, the week ends 2025-01-10T22:00:00Z", "30 min before Friday 17:00 New York", None, "",
    ),
    "rollover_blackout_min": (
        "open, rolls over 2025-01-06T22:00:00Z", "5 min around 17:00 New York", None, "",
    ),
    "news_before_min": ("open, no calendar", "15 min before to 15 min after", None, ""),
    "news_after_min": ("open, no calendar", "15 min before to 15 min after", None, ""),
    "cooldown_s": ("no instrument waits", "off", None, ""),
    "trading_day": ("the next one begins 2025-01-06T22:00:00Z", "17:00 America/New_York", None, ""),
    "daily_loss_pct_max": ("0.01 % of equity", "3 % of equity", 0.3333, "2.99 % of equity"),
    "drawdown_pct_max": ("0.01 % of equity", "10 % of equity", 0.1, "9.99 % of equity"),
    "loss_streak_max": ("0 trades", "off", None, ""),
    "model_faults_max": ("0 faults", "3 faults", 0.0, "3 faults"),
    "data_age_s_max": ("0 s", "300 s", 0.0, "300 s"),
    "broker_errors_max": ("0 errors", "10 errors", 0.0, "10 errors"),
}  # fmt: skip


def test_every_limit_has_a_row_in_the_order_in_which_they_are_declared(make: Make) -> None:
    assert [row.name for row in usage(make().desk)] == [item.name for item in limit_fields()] == list(ONE_TRADE)


@pytest.mark.parametrize("name", ONE_TRADE)
def test_one_open_trade(name: str, make: Make) -> None:
    world = make()
    world.enter()
    row = rows(world)[name]
    value, limit, used_pct, distance = ONE_TRADE[name]
    assert (row.value, row.limit, row.distance) == (value, limit, distance)
    assert row.used_pct == (None if used_pct is None else pytest.approx(used_pct, abs=0.0001))


def test_a_long_and_a_short_are_added_up_gross_net_and_by_currency(make: Make) -> None:
    """Long 110000 of EUR_USD, short 125000 of GBP_USD, equity 99980: USD is 15000 long."""
    world = make(names=BOTH)
    world.enter("EUR_USD")
    world.model.wants = {"GBP_USD": -1}
    world.frame()
    assert world.desk.equity_home == 99_980
    assert told(world, "exposure_pct_max", "exposure_net_pct_max", "margin_pct_max", "positions_max") == [
        ("235.05 % of equity", "500 % of equity"),
        ("15 % of equity", "500 % of equity"),
        ("4.7 % of equity", "50 % of equity"),
        ("2 positions", "5 positions"),
    ]
    assert told(world, "currency_pct_max", "position_pct_max") == [
        ("125.03 % of equity (GBP)", "500 % of equity"),
        ("125.03 % of equity (GBP_USD)", "500 % of equity"),
    ]


def test_the_currency_that_is_nearest_to_its_own_cap_is_shown(make: Make) -> None:
    world = make(limits={"currency_pct_max": {"*": Decimal(500), "USD": Decimal(200)}})
    world.enter()
    assert told(world, "currency_pct_max") == [("110.01 % of equity (USD)", "200 % of equity")]
    assert rows(world)["currency_pct_max"].used_pct == pytest.approx(55.0055)


def test_the_instrument_that_is_nearest_to_its_own_cap_is_shown(make: Make) -> None:
    world = make(names=BOTH, limits={"spread_pips_max": {"*": Decimal(4), "GBP_USD": Decimal("1.5")}})
    world.frame()
    assert told(world, "spread_pips_max") == [("1 pips (GBP_USD)", "1.5 pips")]


def test_an_order_of_unknown_outcome_counts_as_if_it_were_filled(make: Make) -> None:
    world = make()
    world.broker.outcomes[1] = LOST_ORDER
    world.model.wants = {"EUR_USD": 1}
    world.frame()
    assert told(world, "exposure_pct_max", "exposure_net_pct_max", "margin_pct_max", "currency_pct_max") == [
        ("110 % of equity", "500 % of equity"),
        ("110 % of equity", "500 % of equity"),
        ("2.2 % of equity", "50 % of equity"),
        ("110 % of equity (EUR)", "500 % of equity"),
    ]
    assert told(world, "positions_max", "position_units_max") == [
        ("1 position", "5 positions"),
        ("100000 units (EUR_USD)", "100000 units"),
    ]


def test_a_guard_measures_against_the_median_once_it_knows_enough_bars(make: Make) -> None:
    world = make()
    world.frames(15)
    world.source.spread = 2 * PIP
    world.frame()
    assert told(world, "spread_ratio_max", "volatility_ratio_max", "guard_bars") == [
        ("2 x median (EUR_USD)", "4 x median"),
        ("1 x median (EUR_USD)", "5 x median"),
        ("at least 21 bars known", "100 bars"),
    ]
    assert rows(world)["spread_ratio_max"].used_pct == pytest.approx(50)


def test_prices_are_measured_at_the_quote(make: Make) -> None:
    world = make(is_outside=True)
    world.market.shift, world.market.age_s = 4 * PIP, 3
    world.frame()
    assert told(world, "price_collar_atr_max", "quote_age_s_max", "data_age_s_max") == [
        ("2 x ATR (EUR_USD)", "5 x ATR"),
        ("3 s (EUR_USD)", "10 s"),
        ("3 s", "300 s"),
    ]


def test_pauses_name_who_waits_until_they_are_over(make: Make) -> None:
    world = make(names=BOTH, limits={"order_interval_s_min": Decimal(20), "cooldown_s": 40})
    pauses = "order_interval_s_min", "cooldown_s"
    assert told(world, *pauses) == [("no instrument waits", "20 s"), ("no instrument waits", "40 s")]
    world.enter("GBP_USD")
    world.close("GBP_USD")
    assert told(world, *pauses) == [("GBP_USD waits", "20 s"), ("GBP_USD waits", "40 s")]
    world.frames(4)
    assert told(world, *pauses) == [("no instrument waits", "20 s"), ("GBP_USD waits", "40 s")]
    world.frames(4)
    assert told(world, *pauses) == [("no instrument waits", "20 s"), ("no instrument waits", "40 s")]


def test_hours_say_who_is_kept_out_and_until_when(make: Make) -> None:
    world = make(names=BOTH, limits={"trading_windows": {"*": "always", "GBP_USD": "Mon-Fri 09:00-10:00 UTC"}})
    assert told(world, "trading_windows") == [
        ("no entries in GBP_USD: closed until 2025-01-06T09:00:00Z", "Mon-Fri 09:00-10:00 UTC")
    ]
    world.source.jump(at("2025-01-06T21:56:00"))
    world.frame()
    assert told(world, "rollover_blackout_min") == [
        ("no entries in EUR_USD and 1 more: rolls over 2025-01-06T22:00:00Z", "5 min around 17:00 New York")
    ]
    event = NewsEvent(ts_ns=at("2025-01-06T22:00:00"), currency="GBP", title="Speech")
    assert world.command(SetNews, news=(event,))[0]
    assert (
        told(world, "news_before_min", "news_after_min")
        == [("no entries in GBP_USD: Speech (GBP) 2025-01-06T22:00:00Z", "15 min before to 15 min after")] * 2
    )


def test_breakers_measure_what_happened(make: Make) -> None:
    world = make(limits={"loss_streak_max": 4})
    for _ in range(2):
        world.enter()
        world.close()
    world.model.is_faulty = True
    world.frame()
    world.model.is_faulty = False
    world.broker.outcomes[5] = NOT_SENT
    world.model.wants = {"EUR_USD": 1}
    world.frame()
    assert told(world, "loss_streak_max", "model_faults_max", "broker_errors_max", "daily_loss_pct_max") == [
        ("2 trades", "4 trades"),
        ("1 fault", "3 faults"),
        ("1 error", "10 errors"),
        ("0.02 % of equity", "3 % of equity"),
    ]
    assert rows(world)["loss_streak_max"].used_pct == 50
    assert told(world, "orders_per_minute_max", "repeated_entries_max") == [
        ("5 orders per minute", "30 orders per minute"),
        ("3 entries (EUR_USD)", "30 entries"),
    ]


def test_over_its_limit_nothing_is_left_of_it(make: Make) -> None:
    world = make()
    world.enter()
    world.change(position_units_max={"*": Decimal(50_000)}, positions_max=1)
    found = rows(world)
    assert (found["position_units_max"].used_pct, found["position_units_max"].distance) == (200, "0 units")
    assert (found["positions_max"].used_pct, found["positions_max"].distance) == (100, "0 positions")


@pytest.mark.parametrize("name", ZERO_IS_OFF)
def test_a_limit_that_is_off_says_so(name: str, make: Make) -> None:
    world = make()
    kind = type(getattr(world.limits, name))
    world.change(**{name: kind(0)})
    world.enter()
    row = rows(world)[name]
    assert (row.limit, row.used_pct, row.distance) == ("off", None, "")
    assert row.value


def test_no_use_is_ever_negative(make: Make) -> None:
    """Not by a gain, nor a fill better than its quote, nor a quote from the future."""
    world = make()
    world.frame()
    world.market.shift = PIP  # what was bought cost less than the quote had said
    world.enter()
    assert world.desk.conduct.slippage("EUR_USD") < 0
    world.market.age_s = -1
    for pips in (0, 40, 80, -60, 120):
        world.source.mids["EUR_USD"] = PRICES["EUR_USD"] + pips * PIP
        world.frame()
        assert [row.name for row in usage(world.desk) if row.used_pct is not None and row.used_pct < 0] == []
        assert [row.name for row in usage(world.desk) if row.distance.startswith("-")] == []


def test_before_the_first_quote_there_is_nothing_to_measure(make: Make) -> None:
    world = make()
    assert told(world, "spread_pips_max", "quote_age_s_max", "exposure_pct_max", "risk_per_trade_pct") == [
        ("no quote yet", "3 pips"),
        ("no instrument can be traded now", "10 s"),
        ("0 % of equity", "500 % of equity"),
        ("0 % of equity", "0.5 % of equity"),
    ]


def test_what_has_no_price_is_not_known_and_not_nothing(make: Make) -> None:
    world = make()
    world.model.wants["EUR_USD"] = 1
    world.frame()
    del world.desk.quotes["EUR_USD"]
    unknown = "not known: EUR_USD has no price"
    names = ("risk_per_trade_pct", "exposure_pct_max", "exposure_net_pct_max", "margin_pct_max", "currency_pct_max")
    found = rows(world)
    assert [found[name].value for name in names] == [unknown] * 5
    assert found["position_pct_max"].value == unknown
    assert (found["exposure_pct_max"].limit, found["exposure_pct_max"].used_pct) == ("500 % of equity", None)
