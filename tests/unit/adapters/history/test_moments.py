from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.history.moments import DAY_NS, HOUR_NS, MINUTE_NS, WEEK_NS, duration_text, market_time_ns
from engine.domain.calendar import iso_utc
from engine.domain.market import NS_PER_S
from tests.unit.adapters.history.rows import ns_of

MOMENTS = st.integers(0, 3_000 * WEEK_NS)


def at(day: int, hour: int, minute: int = 0) -> int:
    """A moment in May 2014, whose 2nd is a Friday."""
    return ns_of(datetime(2014, 5, day, hour, minute, tzinfo=UTC))


def test_moment_reads_as_rfc_3339() -> None:
    assert iso_utc(at(2, 21, 5)) == "2014-05-02T21:05:00Z"
    assert iso_utc(at(2, 21, 5) + 70) == "2014-05-02T21:05:00.000000070Z"
    assert iso_utc(-HOUR_NS) == "1969-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (5 * NS_PER_S, "5 s"),
        (90 * NS_PER_S, "90 s"),
        (NS_PER_S // 2, "0.5 s"),
        (3 * MINUTE_NS, "3 min"),
        (90 * MINUTE_NS, "90 min"),
        (4 * HOUR_NS, "4 h"),
        (49 * HOUR_NS + MINUTE_NS, "49 h"),
        (50 * DAY_NS, "1,200 h"),
    ],
)
def test_duration_reads_in_its_largest_whole_unit(duration_ns: int, text: str) -> None:
    assert duration_text(duration_ns) == text


def test_weekend_is_no_market_time() -> None:
    for friday, sunday in ((at(2, 21), at(4, 21)), (at(2, 22), at(4, 22)), (at(2, 20, 45), at(4, 22, 15))):
        assert market_time_ns(friday, sunday) == 0


def test_market_time_counts_what_is_missing_on_either_side_of_a_weekend() -> None:
    assert market_time_ns(at(2, 19, 45), at(4, 22, 15)) == HOUR_NS
    assert market_time_ns(at(2, 20, 45), at(4, 23, 15)) == HOUR_NS
    assert market_time_ns(at(2, 19, 45), at(11, 22, 15)) == HOUR_NS + WEEK_NS - (49 * HOUR_NS + 30 * MINUTE_NS)
    assert market_time_ns(at(6, 3), at(7, 3)) == DAY_NS


def test_hole_that_spans_no_saturday_is_market_time_even_near_a_weekend() -> None:
    assert market_time_ns(at(2, 20, 50), at(2, 20, 55)) == 5 * MINUTE_NS
    assert market_time_ns(at(4, 21, 1), at(4, 21, 3)) == 2 * MINUTE_NS


@given(MOMENTS, MOMENTS)
def test_market_time_is_part_of_time_and_most_of_it_in_the_long_run(one: int, two: int) -> None:
    begin, end = sorted((one, two))
    open_ns = market_time_ns(begin, end)
    assert 0 <= open_ns <= end - begin
    assert abs(open_ns - (end - begin) * (168 - 49.5) / 168) < 3 * DAY_NS
