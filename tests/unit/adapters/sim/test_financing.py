"""Daily financing: amounts, sides, days charged, and that each rollover is booked once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.financing import FinancingRates, default_rates
from engine.domain.market import NS_PER_S
from engine.domain.transaction import DailyFinancing
from tests.unit.adapters.sim.venue import (
    MINUTE_NS,
    START_NS,
    bar,
    fills,
    instrument,
    lived,
    order,
    priced,
    sent,
    since,
)

# 3.65 % a year is 0.01 % a day.
RATES = FinancingRates(long=Decimal("-0.0365"), short=Decimal("0.0365"))
MINUTES_TO_ROLLOVER = 600
DAY = 1_440


def held(units: int, **options) -> SimBroker:
    venue = priced(financing={"EUR_USD": RATES}, price="1.09995", **options)
    sent(venue, order(units))
    return venue


def financing(venue: SimBroker) -> list[DailyFinancing]:
    return [each for each in since(venue) if isinstance(each, DailyFinancing)]


@pytest.mark.parametrize(
    ("units", "amount"),
    [
        (10_000, "-1.1000"),
        (-10_000, "1.1000"),
        (5_000, "-0.5500"),
    ],
)
def test_a_day_costs_value_times_rate_over_365(units, amount) -> None:
    """10,000 units at mid 1.10000 are worth 11,000 USD; 0.01 % of that is 1.10."""
    venue = held(units)
    before = venue.account().balance_home
    lived(venue, bar(MINUTES_TO_ROLLOVER, "1.09995"))
    (booked,) = financing(venue)
    assert booked.financing_home == Decimal(amount)
    assert booked.balance_home == venue.account().balance_home == before + Decimal(amount)
    assert booked.ts_ns == START_NS + MINUTES_TO_ROLLOVER * MINUTE_NS
    assert [each.financing_home for each in booked.trades] == [Decimal(amount)]


@pytest.mark.parametrize(
    ("minute", "rollovers"),
    [
        (MINUTES_TO_ROLLOVER - 1, 0),
        (MINUTES_TO_ROLLOVER, 1),
        (MINUTES_TO_ROLLOVER + 1, 1),
        (MINUTES_TO_ROLLOVER + DAY - 1, 1),
        (MINUTES_TO_ROLLOVER + DAY, 2),
    ],
)
def test_a_rollover_is_booked_when_it_is_reached(minute, rollovers) -> None:
    venue = held(10_000)
    lived(venue, bar(minute, "1.09995"))
    lived(venue, bar(minute, "1.09995"))
    assert len(financing(venue)) == rollovers


def test_a_gap_over_a_week_books_five_rollovers_and_seven_days() -> None:
    """From Tuesday: Tuesday 1, Wednesday 3, Thursday 1, Friday 1, nothing at the weekend, Monday 1."""
    venue = held(10_000)
    came = lived(venue, bar(MINUTES_TO_ROLLOVER + 7 * DAY - 61, "1.09995"))
    booked = [each for each in came if isinstance(each, DailyFinancing)]
    assert [each.financing_home for each in booked] == [
        Decimal(text) for text in ("-1.1", "-3.3", "-1.1", "-1.1", "-1.1")
    ]
    days = [datetime.fromtimestamp(each.ts_ns // NS_PER_S, UTC).strftime("%a %H:%M") for each in booked]
    assert days == ["Tue 22:00", "Wed 22:00", "Thu 22:00", "Fri 22:00", "Mon 21:00"]


def test_a_trade_that_its_stop_closes_in_the_last_minute_before_is_not_charged() -> None:
    venue = priced(financing={"EUR_USD": RATES})
    sent(venue, order(10_000, stop_loss="1.09000"))
    came = lived(venue, bar(MINUTES_TO_ROLLOVER, "1.10000 1.10000 1.08000 1.08000"))
    assert len(fills(came)) == 1
    assert financing(venue) == []


def test_a_trade_that_its_stop_closes_just_after_is_charged_first_at_the_price_before() -> None:
    venue = priced(financing={"EUR_USD": RATES}, price="1.09995")
    sent(venue, order(10_000, stop_loss="1.09000"))
    came = lived(venue, bar(MINUTES_TO_ROLLOVER + 1, "1.08000"))
    assert [type(each).__name__ for each in came] == ["DailyFinancing", "Fill"]
    assert came[0].financing_home == Decimal("-1.1000")


def test_each_trade_is_rounded_and_the_total_is_their_sum() -> None:
    """One unit is worth 1.10 and pays 0.00011, booked as 0.0001; three of them pay 0.0003 and not 0.00033."""
    venue = priced(financing={"EUR_USD": RATES}, price="1.09995")
    for _ in range(3):
        sent(venue, order(1))
    lived(venue, bar(MINUTES_TO_ROLLOVER, "1.09995"))
    (booked,) = financing(venue)
    assert [each.financing_home for each in booked.trades] == [Decimal("-0.0001")] * 3
    assert booked.financing_home == Decimal("-0.0003")


def test_conversion_charges_apply_to_both_sides() -> None:
    """USD_JPY at mid 150.005: 10,000 units pay or earn 150.005 yen, which is 1.00 USD before the charge of 1 %."""
    rates = {"USD_JPY": RATES}
    for units, amount in ((10_000, "-1.0100"), (-10_000, "0.9900")):
        venue = priced("USD_JPY", price="150.000", financing=rates, conversion_charge=Decimal("0.01"))
        sent(venue, order(units, name="USD_JPY"))
        lived(venue, bar(MINUTES_TO_ROLLOVER, "150.000", name="USD_JPY"))
        assert [each.financing_home for each in financing(venue)] == [Decimal(amount)]


def test_no_trade_no_financing() -> None:
    venue = priced()
    lived(venue, bar(MINUTES_TO_ROLLOVER + 3 * DAY, "1.10000"))
    assert len(since(venue)) == 1


def test_a_trade_does_not_pay_for_days_before_it_was_opened() -> None:
    venue = priced(financing={"EUR_USD": RATES})
    lived(venue, bar(MINUTES_TO_ROLLOVER + 1, "1.09995"))
    sent(venue, order(10_000))
    assert lived(venue, bar(MINUTES_TO_ROLLOVER + 2, "1.09995")) == []
    lived(venue, bar(MINUTES_TO_ROLLOVER + DAY, "1.09995"))
    assert [each.financing_home for each in financing(venue)] == [Decimal("-3.3000")]


@pytest.mark.parametrize("name", ["EUR_USD", "USD_JPY", "XAU_USD", "AUD_NZD"])
def test_default_rates_cost_money_on_both_sides_together(name) -> None:
    rates = default_rates(instrument(name))
    assert rates.long + rates.short == Decimal("-0.02")


def test_default_rates_favour_holding_the_currency_with_more_interest() -> None:
    assert default_rates(instrument("USD_JPY")).long > 0 > default_rates(instrument("USD_JPY")).short
