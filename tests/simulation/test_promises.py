"""The checkers' own arithmetic: worked out by hand, or by other code than the engine's that has to come to the same."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.domain.command import LOOSEN, UpdateRiskLimits
from engine.domain.event import BreakerTripped, CommandAccepted, LimitsChanged
from engine.domain.limit_changes import loosened
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Quote
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.schedule import NewsEvent
from engine.risk.hours import Hours
from tests.simulation.books import Books, OpenTrade
from tests.simulation.conduct import ConductWatch
from tests.simulation.hours import shut
from tests.simulation.judging import Violation
from tests.simulation.limits import LimitsWatch, day_end_ns, looser
from tests.simulation.person import changed, drawn_limits, drawn_news
from tests.simulation.world import BEFORE_WEEKEND_NS, MORNING_NS
from tests.simulation.worst import Worst, check_sizes

WIDE = RiskLimits(rollover_blackout_min=0, weekend_cutoff_min=0)
DRAWS = range(300)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def order(name: str, units: int, number: int = 1) -> OrderIntent:
    return OrderIntent(
        client_order_id=f"1-{name}-5-{number}",
        instrument=name,
        units=Decimal(units),
        created_ns=0,
        reason=OrderReason.SIGNAL,
    )


def quote(name: str, price: str, home_rate: str = "1") -> Quote:
    value = Decimal(price)
    return Quote(instrument=name, bid=value, ask=value, ts_ns=0, received_ns=0, home_rate=Decimal(home_rate))


@pytest.mark.parametrize("draw", DRAWS)
def test_what_is_looser_is_what_the_engine_takes_for_it(draw: int) -> None:
    lots = random.Random(draw)
    before, other = drawn_limits(lots, MORNING_NS), drawn_limits(lots, MORNING_NS)
    after = changed(before, other, lots)
    assert bool(looser(before, after)) == bool(loosened(before, after))


@pytest.mark.parametrize("draw", DRAWS)
def test_hours_are_shut_when_the_engine_says_so(draw: int) -> None:
    lots = random.Random(draw)
    limits, news = drawn_limits(lots, BEFORE_WEEKEND_NS), drawn_news(lots, BEFORE_WEEKEND_NS)
    hours = Hours(limits, news)
    for _ in range(20):
        now_ns = BEFORE_WEEKEND_NS + lots.randint(-12, 4 * 720) * 60 * NS_PER_S + lots.choice((0, 1, NS_PER_S))
        seen = hours.view("EUR_USD", now_ns)
        passed = all(each.passed for each in (seen.window, seen.weekend, seen.rollover, seen.news))
        assert (shut("EUR_USD", now_ns, limits, news) == "") == passed


def test_hours_by_hand() -> None:
    news = (NewsEvent(ts_ns=at("2025-01-07T13:30:00"), currency="USD", title="CPI"),)
    limits = replace(WIDE, news_before_min=5, news_after_min=1)
    assert shut("EUR_USD", at("2025-01-07T13:24:59"), limits, news) == ""
    assert "CPI" in shut("EUR_USD", at("2025-01-07T13:25:00"), limits, news)
    assert shut("EUR_GBP", at("2025-01-07T13:25:00"), limits, news) == ""
    friday = replace(WIDE, weekend_cutoff_min=30)
    assert shut("EUR_USD", at("2025-01-10T21:29:59"), friday, ()) == ""
    assert "week ends" in shut("EUR_USD", at("2025-01-10T21:30:00"), friday, ())
    assert day_end_ns(at("2025-01-10T21:59:59")) == at("2025-01-10T22:00:00")
    assert day_end_ns(at("2025-01-10T22:00:00")) == at("2025-01-11T22:00:00")


def test_the_worst_case_by_hand() -> None:
    """Long 1000 EUR_USD, an order of unknown outcome sells 500 GBP_USD, and 2000 USD_JPY are sold now."""
    books = Books()
    books.trades["1"] = OpenTrade("1", "EUR_USD", Decimal(1_000), Decimal("1.1"), None)
    worst = Worst(books, [order("GBP_USD", -500)])
    entry = order("USD_JPY", -2_000)
    worst.add(entry)
    quotes = {
        "EUR_USD": quote("EUR_USD", "1.1"),
        "GBP_USD": quote("GBP_USD", "1.2"),
        "USD_JPY": quote("USD_JPY", "150", str(Decimal(1) / 150)),
    }
    # gross 1100 + 600 + 2000, net 1100 - 2000 - 600 at its lowest, USD -1100 - 2000 + 0 at its lowest, margin 2 %
    fits = RiskLimits(
        exposure_pct_max=Decimal(37),
        exposure_net_pct_max=Decimal(15),
        margin_pct_max=Decimal(1),
        currency_pct_max={"*": Decimal(500), "USD": Decimal(31)},
        positions_max=3,
    )
    check_sizes(worst, entry, Decimal(10_000), fits, quotes)
    for name, value in (
        ("exposure_pct_max", Decimal("36.9")),
        ("exposure_net_pct_max", Decimal("14.9")),
        ("currency_pct_max", {"*": Decimal(500), "USD": Decimal("30.9")}),
        ("position_pct_max", {"*": Decimal("19.9")}),
        ("position_units_max", {"*": Decimal(1_999)}),
        ("positions_max", 2),
    ):
        with pytest.raises(Violation):
            check_sizes(worst, entry, Decimal(10_000), replace(fits, **{name: value}), quotes)
    roomy = replace(WIDE, margin_pct_max=Decimal(1))
    check_sizes(worst, entry, Decimal(7_400), roomy, quotes)
    with pytest.raises(Violation, match="margin"):
        check_sizes(worst, entry, Decimal(6_000), roomy, quotes)


def test_the_third_order_within_a_minute_is_one_too_many() -> None:
    watch, limits = ConductWatch(), replace(WIDE, orders_per_minute_max=2)
    watch.sent(order("EUR_USD", 1), 0)
    watch.check_entry(order("EUR_USD", 1, 2), 59 * NS_PER_S, limits, Books())
    watch.sent(order("EUR_USD", 1, 2), 59 * NS_PER_S)
    with pytest.raises(Violation, match="within a minute"):
        watch.check_entry(order("EUR_USD", 1, 3), 59 * NS_PER_S, limits, Books())
    watch.check_entry(order("EUR_USD", 1, 3), 60 * NS_PER_S, limits, Books())
    with pytest.raises(Violation, match="follows 2 to one side"):
        watch.check_entry(order("EUR_USD", 1, 3), 60 * NS_PER_S, replace(limits, repeated_entries_max=2), Books())


@pytest.mark.parametrize(("typed", "trip", "holds"), [(LOOSEN, False, True), ("", False, False), (LOOSEN, True, False)])
def test_looser_limits_want_the_words_and_another_day(typed: str, trip: bool, holds: bool) -> None:
    watch, wanted = LimitsWatch(), replace(WIDE, positions_max=50)
    watch.in_force, watch._is_known = WIDE, True
    if trip:
        watch.tripped(BreakerTripped(ts_ns=MORNING_NS, breaker="loss_streak", value="", limit=""))
    try:
        watch.changed(LimitsChanged(ts_ns=MORNING_NS + 1, limits=wanted, revision=1, loosened=("positions_max",)))
        done = CommandAccepted(ts_ns=0, command_id="a", command="UpdateRiskLimits", detail="")
        watch.accepted(done, UpdateRiskLimits(command_id="a", limits=wanted, confirmation=typed))
    except Violation:
        assert not holds
    else:
        assert holds
