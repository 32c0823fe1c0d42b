"""Dates and decimals: what is written can be read again, and what cannot be written is not read."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.market import NS_PER_S
from engine.venue.text import read_date, read_decimal, rfc3339, unix

moments = st.integers(min_value=0, max_value=253_402_300_800 * NS_PER_S - 1)


@given(moments)
def test_rfc3339_dates_come_back_to_the_nanosecond(ts_ns: int) -> None:
    assert read_date(rfc3339(ts_ns)) == ts_ns


@given(st.integers(min_value=0, max_value=99_999_999_999 * NS_PER_S))
def test_unix_dates_come_back_to_the_nanosecond(ts_ns: int) -> None:
    assert read_date(unix(ts_ns)) == ts_ns


@given(
    st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", fullmatch=True)
)
def test_what_is_read_can_be_written(text: str) -> None:
    moment = read_date(text)
    if moment is not None:
        assert read_date(rfc3339(moment)) == moment


@pytest.mark.parametrize(
    ("text", "ts_ns"),
    [
        ("2025-01-06T08:00:00Z", 1_736_150_400 * NS_PER_S),
        ("2025-01-06T08:00:00.5Z", 1_736_150_400 * NS_PER_S + NS_PER_S // 2),
        ("2025-01-06T03:00:00", 1_736_150_400 * NS_PER_S),
        ("2025-07-06T04:00:00", 1_751_788_800 * NS_PER_S),
        ("2025-01-06T09:00:00+01:00", 1_736_150_400 * NS_PER_S),
        ("1600-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59-14:00", None),
        ("2025-02-30T00:00:00Z", None),
        ("2025-01-06", None),
        ("٢٠٢٥-01-06T08:00:00Z", None),
        ("1736150400.0000000001", None),
        ("-1", None),
        ("", None),
    ],
)
def test_dates_are_read(text: str, ts_ns: int | None) -> None:
    assert read_date(text) == ts_ns


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none() | st.decimals())
def test_a_decimal_is_read_exactly_or_not_at_all(value: object) -> None:
    found = read_decimal(value)
    if found is not None:
        assert found.is_finite()
        assert found == Decimal(str(value))
        assert len(f"{found:f}") <= 40
