"""The venue's week and its rollovers, over clock changes as well."""

from datetime import datetime

import pytest

from engine.adapters.sim.hours import TradingWeek, next_rollover
from engine.domain.market import NS_PER_S


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("after", "rollover", "days"),
    [
        ("2024-03-04T12:00:00+00:00", "2024-03-04T22:00:00+00:00", 1),
        ("2024-03-05T21:59:59+00:00", "2024-03-05T22:00:00+00:00", 1),
        ("2024-03-05T22:00:00+00:00", "2024-03-06T22:00:00+00:00", 3),
        ("2024-03-07T00:00:00+00:00", "2024-03-07T22:00:00+00:00", 1),
        ("2024-03-07T22:00:00+00:00", "2024-03-08T22:00:00+00:00", 1),
        ("2024-03-08T22:00:00+00:00", "2024-03-11T21:00:00+00:00", 1),
        ("2024-11-01T21:00:00+00:00", "2024-11-04T22:00:00+00:00", 1),
        ("2024-07-01T12:00:00+00:00", "2024-07-01T21:00:00+00:00", 1),
    ],
)
def test_trades_roll_over_at_five_in_new_york_on_weekdays(after, rollover, days) -> None:
    found = next_rollover(ns(after))
    assert (found.ts_ns, found.days) == (ns(rollover), days)


def test_a_week_charges_seven_days() -> None:
    ts_ns, total = ns("2024-03-03T12:00:00+00:00"), 0
    for _ in range(5):
        rollover = next_rollover(ts_ns)
        ts_ns, total = rollover.ts_ns, total + rollover.days
    assert total == 7


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2024-03-03T21:59:59+00:00", False),
        ("2024-03-03T22:00:00+00:00", True),
        ("2024-03-06T12:00:00+00:00", True),
        ("2024-03-08T21:59:59+00:00", True),
        ("2024-03-08T22:00:00+00:00", False),
        ("2024-03-09T12:00:00+00:00", False),
        ("2024-03-10T20:59:59+00:00", False),
        ("2024-03-10T21:00:00+00:00", True),
        ("2024-07-05T20:59:59+00:00", True),
        ("2024-07-05T21:00:00+00:00", False),
        ("1970-01-01T00:00:00+00:00", True),
    ],
)
def test_the_market_is_open_from_sunday_to_friday_five_in_new_york(when, is_open) -> None:
    assert TradingWeek().is_open(ns(when)) is is_open


def test_the_remembered_week_does_not_leak_into_others() -> None:
    week = TradingWeek()
    asked = [("2024-03-06", True), ("2024-03-09", False), ("2024-03-13", True), ("2024-03-02", False)]
    assert [week.is_open(ns(f"{day}T12:00:00+00:00")) for day, _ in asked] == [expected for _, expected in asked]
