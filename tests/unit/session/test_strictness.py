"""What a bad day forbids: a start and the checks before it are told the same, and what is over holds no more."""

import dataclasses
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import SetNews
from engine.domain.error import ConfigError
from engine.domain.event import BreakerTripped
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from engine.ports import Curfew
from engine.session.strictness import locked_until_ns, loosening, still_tripped
from tests.unit.session.kept import ACCOUNT, House
from tests.unit.session.test_limits_change import LOSING, falling, limits, until_tripped

HOUR_NS = 3_600 * NS_PER_S
NOON_NS = 1_736_164_800 * NS_PER_S  # 2025-01-06 12:00 UTC; its day ends ten hours later
END_NS = NOON_NS + 10 * HOUR_NS
LOOSER = RiskLimits(positions_max=9)


def curfew(**trips: int) -> Curfew:
    latched = (
        BreakerTripped(ts_ns=trip_ns, breaker=breaker, value="9 %", limit="3 %") for breaker, trip_ns in trips.items()
    )
    return Curfew(trips=trips, limits=RiskLimits(), latched=tuple(latched))


def test_the_sentence_of_a_refused_start_is_the_one_that_is_known_before_it(tmp_path: Path) -> None:
    house = House(tmp_path, [falling(next_day_from=40)], {8: 1}, limits=limits(**LOSING))
    until_tripped(house)
    soon = NewsEvent(ts_ns=house.session.desk.now_ns + HOUR_NS, currency="USD", title="CPI")
    assert house.command(SetNews(command_id="n", news=(soon,)))[0]
    house.session.commit()
    house.limits = limits(**LOSING | {"positions_max": 9})
    known = house.store.curfew(ACCOUNT)
    assert known is not None
    told = loosening(known, house.limits, (), house.session.desk.now_ns)
    assert told.startswith("positions_max, the news CPI (USD) 2025-")
    for new_books in (False, True):
        with pytest.raises(ConfigError) as refused:
            house.restart(new_books=new_books)
        assert str(refused.value) == f"{told}."
    house.limits, house.news = limits(**LOSING), (soon,)
    assert loosening(known, house.limits, house.news, house.session.desk.now_ns) == ""
    house.restart()
    assert house.session.desk.no_loosening_until_ns == locked_until_ns(known)
    house.close()


@pytest.mark.parametrize(
    ("trips", "now_ns", "is_locked"),
    [
        ({"daily_loss": NOON_NS}, NOON_NS, True),
        ({"daily_loss": NOON_NS}, END_NS - 1, True),
        ({"daily_loss": NOON_NS}, END_NS, False),
        ({"loss_streak": NOON_NS, "daily_loss": NOON_NS - 48 * HOUR_NS}, NOON_NS, True),
        ({"drawdown": NOON_NS}, NOON_NS, False),
        ({}, NOON_NS, False),
    ],
)
def test_nothing_gets_looser_before_the_day_of_the_newest_trip_is_over(
    trips: dict[str, int], now_ns: int, is_locked: bool
) -> None:
    found = curfew(**trips)
    assert (locked_until_ns(found) > now_ns) is is_locked
    assert bool(loosening(found, LOOSER, (), now_ns)) is is_locked
    assert loosening(found, RiskLimits(), (), now_ns) == ""
    stricter = dataclasses.replace(found.limits, positions_max=1)
    assert loosening(found, stricter, (), now_ns) == ""


def test_the_day_is_that_of_the_limits_that_were_in_force() -> None:
    found = replace(curfew(daily_loss=NOON_NS), limits=RiskLimits(trading_day="00:00 UTC"))
    assert locked_until_ns(found) == NOON_NS + 12 * HOUR_NS
    assert "trading_day would be less strict" in loosening(found, RiskLimits(), (), END_NS + 1)


def test_a_daily_breaker_is_tripped_until_its_day_is_over_and_every_other_one_until_it_is_released() -> None:
    found = curfew(daily_loss=NOON_NS, drawdown=NOON_NS)
    assert [each.breaker for each in still_tripped(found, END_NS - 1)] == ["daily_loss", "drawdown"]
    assert [each.breaker for each in still_tripped(found, END_NS)] == ["drawdown"]
