"""The trading day ends at 17:00 New York in summer and in winter."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.calendar import NEW_YORK, iso_utc, next_rollover_ns
from engine.domain.market import NS_PER_S

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


def test_iso_text_ends_in_z_and_shows_a_fraction_only_where_there_is_one() -> None:
    assert iso_utc(at("2024-01-10T22:00:00")) == "2024-01-10T22:00:00Z"
    assert iso_utc(at("2024-01-10T22:00:00") + 999_999_999) == "2024-01-10T22:00:00.999999999Z"
