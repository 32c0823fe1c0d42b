"""The trading day ends at 17:00 New York in summer and in winter."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.calendar import NEW_YORK, bucket_end_ns, bucket_start_ns, iso_utc, next_rollover_ns
from engine.domain.market import NS_PER_S, Granularity

HOUR_NS = 3_600 * NS_PER_S


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("now", "rollover"),
    [
        ("2024-01-10T21:59:59", "2024-01-10T22:00:00"),
        ("2024-01-10T22:00:00", "2024-01-11T22:00:00"),
        ("2024-01-10T22:00:01", "2024-01-11T22:00:00"),
        ("2024-07-10T20:59:59", "2024-07-10T21:00:00"),
        ("2024-07-10T21:00:00", "2024-07-11T21:00:00"),
        ("2024-01-10T00:00:00", "2024-01-10T22:00:00"),
        ("2024-12-31T23:00:00", "2025-01-01T22:00:00"),
        ("2024-02-28T22:00:00", "2024-02-29T22:00:00"),
    ],
)
def test_rollover_is_17_new_york(now: str, rollover: str) -> None:
    assert next_rollover_ns(at(now)) == at(rollover)


@pytest.mark.parametrize(
    ("now", "rollover"),
    [
        ("2024-03-09T22:00:00", "2024-03-10T21:00:00"),
        ("2024-11-02T21:00:00", "2024-11-03T22:00:00"),
    ],
)
def test_day_of_a_clock_change_is_23_or_25_hours_long(now: str, rollover: str) -> None:
    assert next_rollover_ns(at(now)) == at(rollover)


def test_last_nanosecond_before_the_rollover_belongs_to_the_old_day() -> None:
    end = at("2024-01-10T22:00:00")
    assert next_rollover_ns(end - 1) == end
    assert next_rollover_ns(end) > end


@given(st.integers(0, 4_000_000_000 * NS_PER_S))
def test_rollover_is_the_first_17_new_york_strictly_later(now_ns: int) -> None:
    rollover_ns = next_rollover_ns(now_ns)
    local = datetime.fromtimestamp(rollover_ns // NS_PER_S, NEW_YORK)
    assert (local.hour, local.minute, local.second, rollover_ns % NS_PER_S) == (17, 0, 0, 0)
    assert 0 < rollover_ns - now_ns <= 25 * HOUR_NS
    assert next_rollover_ns(rollover_ns - 1) == rollover_ns


@pytest.mark.parametrize(
    ("granularity", "moment", "start", "end"),
    [
        (Granularity.M15, "2025-01-07T13:37", "2025-01-07T13:30", "2025-01-07T13:45"),
        (Granularity.H1, "2025-03-09T21:37", "2025-03-09T21:00", "2025-03-09T22:00"),
        (Granularity.H4, "2025-01-07T02:00", "2025-01-07T02:00", "2025-01-07T06:00"),
        (Granularity.H4, "2025-01-07T01:59", "2025-01-06T22:00", "2025-01-07T02:00"),
        (Granularity.H4, "2025-07-07T01:00", "2025-07-07T01:00", "2025-07-07T05:00"),
        (Granularity.H4, "2025-07-07T08:59", "2025-07-07T05:00", "2025-07-07T09:00"),
        (Granularity.H2, "2025-07-07T08:59", "2025-07-07T07:00", "2025-07-07T09:00"),
        (Granularity.H3, "2025-01-07T08:59", "2025-01-07T07:00", "2025-01-07T10:00"),
        (Granularity.H6, "2025-01-07T08:59", "2025-01-07T04:00", "2025-01-07T10:00"),
        (Granularity.H8, "2025-01-07T08:59", "2025-01-07T06:00", "2025-01-07T14:00"),
        (Granularity.H12, "2025-03-07T21:59", "2025-03-07T10:00", "2025-03-07T22:00"),
        (Granularity.H12, "2025-03-09T21:03", "2025-03-09T21:00", "2025-03-10T09:00"),
        (Granularity.H12, "2025-11-02T22:03", "2025-11-02T22:00", "2025-11-03T10:00"),
        (Granularity.D, "2025-01-07T12:00", "2025-01-06T22:00", "2025-01-07T22:00"),
        (Granularity.D, "2025-01-07T22:00", "2025-01-07T22:00", "2025-01-08T22:00"),
        (Granularity.D, "2025-07-08T20:59", "2025-07-07T21:00", "2025-07-08T21:00"),
        (Granularity.D, "2025-03-09T21:10", "2025-03-09T21:00", "2025-03-10T21:00"),
        (Granularity.D, "2025-03-09T12:00", "2025-03-08T22:00", "2025-03-09T21:00"),
        (Granularity.D, "2025-11-02T21:59", "2025-11-01T21:00", "2025-11-02T22:00"),
    ],
)
def test_long_bars_are_counted_from_17_new_york(granularity: Granularity, moment: str, start: str, end: str) -> None:
    assert bucket_start_ns(at(moment), granularity.ns) == at(start)
    assert bucket_end_ns(at(start), granularity.ns) == at(end)


# Years in which New York's rules of today hold, and the days around both changes of its clock.
MOMENTS = st.integers(at("2007-06-01"), at("2037-12-31")) | st.sampled_from(
    [at(day) for day in ("2024-03-09", "2024-11-02", "2025-03-08", "2025-11-01", "2026-10-31")]
).flatmap(lambda day_ns: st.integers(day_ns, day_ns + 72 * HOUR_NS))


@given(MOMENTS, st.sampled_from(list(Granularity)))
def test_every_moment_lies_in_exactly_one_bar_and_bars_leave_no_hole(now_ns: int, granularity: Granularity) -> None:
    start_ns = bucket_start_ns(now_ns, granularity.ns)
    end_ns = bucket_end_ns(start_ns, granularity.ns)
    assert start_ns <= now_ns < end_ns
    assert {bucket_start_ns(each, granularity.ns) for each in (start_ns, end_ns - 1)} == {start_ns}
    assert bucket_start_ns(end_ns, granularity.ns) == end_ns
    assert bucket_end_ns(bucket_start_ns(start_ns - 1, granularity.ns), granularity.ns) == start_ns


@given(MOMENTS, st.sampled_from(list(Granularity)))
def test_a_bar_of_open_hours_has_its_full_length_and_stays_within_its_day(
    now_ns: int, granularity: Granularity
) -> None:
    local = datetime.fromtimestamp(now_ns // NS_PER_S, NEW_YORK)
    start_ns = bucket_start_ns(now_ns, granularity.ns)
    end_ns = bucket_end_ns(start_ns, granularity.ns)
    assert end_ns <= next_rollover_ns(now_ns) == next_rollover_ns(start_ns)
    closed = (local.weekday() == 4 and local.hour >= 17) or local.weekday() == 5
    if not closed and not (local.weekday() == 6 and local.hour < 17):
        assert end_ns - start_ns == granularity.ns


def test_iso_text_ends_in_z_and_shows_a_fraction_only_where_there_is_one() -> None:
    assert iso_utc(at("2024-01-10T22:00:00")) == "2024-01-10T22:00:00Z"
    assert iso_utc(at("2024-01-10T22:00:00") + 999_999_999) == "2024-01-10T22:00:00.999999999Z"
