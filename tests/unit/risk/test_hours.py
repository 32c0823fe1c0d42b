"""When entries are allowed: the end of the week, the rollover, the news and windows; remembering changes nothing."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.limits import ANY, RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from engine.risk.hours import Answer, Hours, HoursView

MINUTE_NS = 60 * NS_PER_S
LONDON = "Mon-Fri 07:00-20:00 Europe/London"


def ny(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()) * NS_PER_S


def utc(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NS_PER_S


def ask(now_ns: int, *, news: tuple[NewsEvent, ...] = (), instrument: str = "EUR_USD", **limits: object) -> HoursView:
    calm = {"weekend_cutoff_min": 0, "rollover_blackout_min": 0, "news_before_min": 15, "news_after_min": 15}
    return Hours(RiskLimits(**{**calm, **limits}), news).view(instrument, now_ns)  # type: ignore[arg-type]


def weekend(now_ns: int, cutoff_min: int) -> Answer:
    return ask(now_ns, weekend_cutoff_min=cutoff_min).weekend


@pytest.mark.parametrize("friday", ["2026-03-06", "2026-03-13", "2026-06-05", "2026-11-06"])
def test_no_entry_this_long_before_the_week_ends(friday: str) -> None:
    end_ns = ny(f"{friday} 17:00")
    assert weekend(end_ns - 30 * MINUTE_NS - 1, 30).passed
    shut = weekend(end_ns - 30 * MINUTE_NS, 30)
    assert not shut.passed
    assert not weekend(end_ns + 24 * 60 * MINUTE_NS, 30).passed, "Saturday"
    assert not weekend(shut.until_ns - 1, 30).passed
    assert weekend(shut.until_ns, 30).passed
    opened = datetime.fromtimestamp(shut.until_ns // NS_PER_S, ZoneInfo("America/New_York"))
    assert (opened.strftime("%a %H:%M"), shut.until_ns > end_ns) == ("Sun 17:00", True)


def test_weekend_answer_holds_until_the_cut_off() -> None:
    answer = weekend(ny("2026-03-04 12:00"), 180)
    assert answer.passed and answer.until_ns == ny("2026-03-06 14:00")
    assert answer.limit == "180 min before Friday 17:00 New York"


def test_weekend_cut_off_of_nothing_asks_nothing() -> None:
    for moment in ("2026-03-06 16:59", "2026-03-07 12:00", "2026-03-08 17:00"):
        assert weekend(ny(moment), 0).passed
    assert weekend(ny("2026-03-07 12:00"), 0).limit == "off"


@pytest.mark.parametrize("day", ["2026-03-04", "2026-03-08", "2026-11-01", "2026-07-01"])
def test_no_entry_around_the_rollover(day: str) -> None:
    roll_ns = ny(f"{day} 17:00")
    expected = {-5 * MINUTE_NS - 1: True, -5 * MINUTE_NS: False, -1: False, 0: False}
    expected |= {5 * MINUTE_NS - 1: False, 5 * MINUTE_NS: True}
    for offset_ns, passed in expected.items():
        answer = ask(roll_ns + offset_ns, rollover_blackout_min=5).rollover
        assert answer.passed is passed, offset_ns
        assert answer.until_ns > roll_ns + offset_ns
    assert ask(roll_ns, rollover_blackout_min=0).rollover.passed


def event(moment: str, currency: str, title: str = "Rate decision") -> NewsEvent:
    return NewsEvent(ts_ns=utc(moment), currency=currency, title=title)


@pytest.mark.parametrize(
    ("instrument", "currency", "concerned"),
    [
        ("EUR_USD", "USD", True),
        ("EUR_USD", "EUR", True),
        ("EUR_USD", "*", True),
        ("EUR_USD", "GBP", False),
        ("USD_JPY", "JPY", True),
        ("XAU_USD", "XAU", True),
    ],
)
def test_news_concern_the_instruments_of_their_currency(instrument: str, currency: str, concerned: bool) -> None:
    news = (event("2026-03-04 13:30", currency),)
    answer = ask(utc("2026-03-04 13:30"), news=news, instrument=instrument).news
    assert answer.passed is not concerned
    if concerned:
        assert answer.value == f"Rate decision ({currency}) 2026-03-04T13:30:00Z"


def test_news_block_before_and_after_both_ends_counted() -> None:
    news, centre = (event("2026-03-04 13:30", "USD"),), utc("2026-03-04 13:30")
    limits = {"news_before_min": 10, "news_after_min": 20}
    expected = {-10 * MINUTE_NS - 1: True, -10 * MINUTE_NS: False, 20 * MINUTE_NS: False, 20 * MINUTE_NS + 1: True}
    for offset_ns, passed in expected.items():
        answer = ask(centre + offset_ns, news=news, **limits).news
        assert (answer.passed, answer.limit) == (passed, "10 min before to 20 min after")
    assert ask(centre - 3_600 * NS_PER_S, news=news, **limits).news.until_ns == centre - 10 * MINUTE_NS


def test_no_calendar_is_told_apart_from_nothing_near() -> None:
    assert ask(utc("2026-03-04 13:30")).news.value == "no calendar"
    assert ask(utc("2026-03-05 13:30"), news=(event("2026-03-04 13:30", "USD"),)).news.value == "none near"


def test_windows_are_those_of_the_instrument() -> None:
    windows = {ANY: LONDON, "USD_JPY": "always"}
    night = utc("2026-03-04 03:00")
    shut = ask(night, trading_windows=windows).window
    assert (shut.passed, shut.value, shut.limit) == (False, "closed until 2026-03-04T07:00:00Z", LONDON)
    assert ask(night, instrument="USD_JPY", trading_windows=windows).window.passed
    assert ask(utc("2026-03-04 12:00"), trading_windows=windows).window.value == "open"


def test_changed_limits_or_news_are_asked_from_now_on() -> None:
    now = utc("2026-03-04 13:30")
    hours = Hours(RiskLimits(), ())
    assert hours.view("EUR_USD", now).news.passed
    news = (event("2026-03-04 13:30", "USD"),)
    told = hours.changed(RiskLimits(), news)
    assert not told.view("EUR_USD", now).news.passed
    again = told.changed(RiskLimits(trading_windows={ANY: "Sat 00:00-24:00 UTC"}))
    assert again.news == news, "the calendar stays"
    assert not again.view("EUR_USD", now).window.passed


def said(view: HoursView) -> list[tuple[bool, str, str]]:
    answers = (view.window, view.weekend, view.rollover, view.news)
    return [(answer.passed, answer.value, answer.limit) for answer in answers]


# two weeks around a change of the clock in New York
moments = st.integers(0, 14 * 24 * 60 * 4).map(lambda quarter: utc("2026-03-02 00:00") + quarter * 15 * NS_PER_S)
limit_sets = st.builds(
    RiskLimits,
    trading_windows=st.sampled_from(
        [
            {ANY: "always"},
            {ANY: LONDON, "USD_JPY": "Mon-Fri 22:00-04:00 Asia/Tokyo"},
            {ANY: "Fri-Sun 00:00-24:00 UTC; Mon 12:00-12:30 America/New_York"},
        ]
    ),
    weekend_cutoff_min=st.sampled_from([0, 1, 30, 2_880]),
    rollover_blackout_min=st.sampled_from([0, 1, 5, 180]),
    news_before_min=st.sampled_from([0, 15, 1_440]),
    news_after_min=st.sampled_from([0, 15, 1_440]),
)
events = st.builds(
    NewsEvent, ts_ns=moments, currency=st.sampled_from(["USD", "JPY", "GBP", "*"]), title=st.sampled_from("ABC")
)


@given(
    limit_sets,
    st.lists(events, max_size=6),
    st.lists(st.tuples(st.sampled_from(["EUR_USD", "USD_JPY"]), moments), max_size=40),
)
def test_what_is_remembered_is_what_would_be_found_now(
    limits: RiskLimits, news: list[NewsEvent], asked: list[tuple[str, int]]
) -> None:
    kept = Hours(limits, news)
    for instrument, now_ns in asked:
        view = kept.view(instrument, now_ns)
        assert view.since_ns <= now_ns < view.until_ns
        assert said(view) == said(Hours(limits, news).view(instrument, now_ns))


@given(limit_sets, st.lists(events, max_size=6), moments, st.lists(st.floats(0, 1, exclude_max=True), max_size=10))
def test_every_answer_holds_until_the_moment_it_says(
    limits: RiskLimits, news: list[NewsEvent], now_ns: int, shares: list[float]
) -> None:
    first = Hours(limits, news).view("EUR_USD", now_ns)
    for kind in ("window", "weekend", "rollover", "news"):
        answer = getattr(first, kind)
        assert answer.until_ns > now_ns
        for share in (*shares, 0.0, 1.0):
            probe = min(now_ns + int((answer.until_ns - now_ns) * share), answer.until_ns - 1)
            later = getattr(Hours(limits, news).view("EUR_USD", probe), kind)
            assert (later.passed, later.value) == (answer.passed, answer.value)
