"""A calendar of news is read line by line: what is sound becomes events, what is not becomes one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.command import NEWS_MAX
from engine.domain.error import ConfigError
from engine.domain.news_text import NEWS_BYTES_MAX, news_of, read_news
from engine.domain.schedule import NewsEvent

HEADER = "time,currency,title\n"
JOBS_NS = 1_767_965_400 * 1_000_000_000  # 2026-01-09T13:30:00Z


def lines(*rows: str, header: str = HEADER) -> bytes:
    return (header + "\n".join(rows) + "\n").encode()


@pytest.mark.parametrize(
    "time", ["2026-01-09T13:30:00Z", "2026-01-09T08:30:00-05:00", "2026-01-09 14:30+01:00", "2026-01-09T13:30:00.4Z"]
)
def test_a_moment_is_the_same_in_every_offset(time: str) -> None:
    assert news_of(lines(f"{time},USD,Jobs report")) == (NewsEvent(ts_ns=JOBS_NS, currency="USD", title="Jobs report"),)


def test_events_are_earliest_first_and_columns_in_any_order() -> None:
    data = lines(
        '"Rates, decided",*,high,2026-01-10T00:00:00Z',
        "Jobs,USD,low,2026-01-09T00:00:00Z",
        header="title,currency,impact,time\n",
    )
    assert [(event.currency, event.title) for event in news_of(data)] == [("USD", "Jobs"), ("*", "Rates, decided")]


def test_an_empty_calendar_is_sound() -> None:
    assert news_of(HEADER.encode()) == ()
    assert news_of(b"\xef\xbb\xbf" + HEADER.encode()) == ()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            "2026-01-09T13:30:00,USD,Jobs",
            "Line 2: time is '2026-01-09T13:30:00'; it must be a date and time with its offset, like "
            "2026-01-09T13:30:00Z.",
        ),
        (
            "soon,USD,Jobs",
            "Line 2: time is 'soon'; it must be a date and time with its offset, like 2026-01-09T13:30:00Z.",
        ),
        (
            "2026-01-09T13:30:00Z,dollar,Jobs",
            "Line 2: currency is 'dollar'; it must be three capitals like USD, or * for all of them.",
        ),
        ("2026-01-09T13:30:00Z,USD,", "Line 2: title has 0 characters; it must have 1 to 200."),
        (
            "2026-01-09T13:30:00Z,USD",
            "Line 2: it has another number of fields than the first line; the first line must name the columns "
            "time,currency,title.",
        ),
        (
            "2026-01-09T13:30:00Z,USD,Jobs,high",
            "Line 2: it has another number of fields than the first line; the first line must name the columns "
            "time,currency,title.",
        ),
    ],
)
def test_a_bad_line_is_one_sentence(row: str, sentence: str) -> None:
    read = read_news(lines(row, "2026-01-09T13:30:00Z,EUR,Sound"))
    assert read.problems == (sentence,)
    assert [event.title for event in read.events] == ["Sound"]
    with pytest.raises(ConfigError) as caught:
        news_of(lines(row))
    assert str(caught.value) == sentence


def test_what_is_no_calendar_is_refused_whole() -> None:
    assert read_news(b"").problems[0].startswith("The calendar has no column time or currency or title;")
    assert read_news(b"time,title\n").problems[0].startswith("The calendar has no column currency;")
    assert read_news(b"\xff\xfe").problems == ("The calendar is not UTF-8 text: byte 0 cannot be read.",)
    assert "is no CSV file" in read_news(lines('2026-01-09T13:30:00Z,USD,"Jobs')).problems[0]
    too_long = read_news(b"x" * (NEWS_BYTES_MAX + 1)).problems
    assert too_long == ("The calendar has more than the 1,000,000 bytes that are allowed.",)
    many = read_news(lines(*["2026-01-09T13:30:00Z,USD,Jobs"] * (NEWS_MAX + 1))).problems
    assert many == ("The calendar has 5,001 events; at most 5,000 are allowed.",)


def test_a_long_list_of_problems_is_shortened() -> None:
    with pytest.raises(ConfigError) as caught:
        news_of(lines(*["soon,USD,Jobs"] * 12))
    assert str(caught.value).endswith("2 more lines are not sound either.")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    read = read_news(data)
    assert read.events == tuple(sorted(read.events, key=lambda event: event.ts_ns))
    read_news(HEADER.encode() + data)
