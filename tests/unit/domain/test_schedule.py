"""Opening hours as an operator writes them, over midnight and over changes of the clock."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S
from engine.domain.schedule import ALWAYS, DayStart, Windows

HOUR_NS = 3_600 * NS_PER_S
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ZONES = ("UTC", "Europe/London", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "Asia/Kathmandu")
YEAR_NS = 366 * 24 * HOUR_NS


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * NS_PER_S


YEAR = at("2026-01-01")


def is_open(text: str, ts_ns: int) -> bool:
    return Windows.parse(text).judge(ts_ns)[0]


def test_always_is_always() -> None:
    windows = Windows.parse(f" {ALWAYS} ")
    assert windows.judge(at("2026-03-01 12:00"))[0]
    assert windows.judge(at("2026-03-01 12:00"))[1] > at("2026-03-01 12:00")


def test_hours_begin_at_their_first_and_end_before_their_last_minute() -> None:
    text = "Mon-Fri 07:00-20:00 UTC"
    monday = "2026-03-02"
    assert not is_open(text, at(f"{monday} 07:00") - 1)
    assert is_open(text, at(f"{monday} 07:00"))
    assert is_open(text, at(f"{monday} 20:00") - 1)
    assert not is_open(text, at(f"{monday} 20:00"))
    assert not is_open(text, at("2026-03-01 12:00")), "a Sunday"
    assert Windows.parse(text).judge(at(f"{monday} 06:00")) == (False, at(f"{monday} 07:00"))
    assert Windows.parse(text).judge(at(f"{monday} 12:00")) == (True, at(f"{monday} 20:00"))
    assert Windows.parse(text).judge(at("2026-03-06 21:00")) == (False, at("2026-03-09 07:00")), "over the weekend"


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    text = "Fri 22:00-02:00 UTC"
    assert is_open(text, at("2026-03-06 22:00"))
    assert is_open(text, at("2026-03-07 01:59"))
    assert not is_open(text, at("2026-03-07 02:00"))
    assert not is_open(text, at("2026-03-06 01:00")), "that would be Thursday's"
    assert Windows.parse(text).judge(at("2026-03-06 23:00")) == (True, at("2026-03-07 02:00"))


def test_equal_hours_are_a_whole_day_and_24_is_the_end_of_the_day() -> None:
    for text in ("Wed 00:00-24:00 UTC", "Wed 00:00-00:00 UTC"):
        assert Windows.parse(text).judge(at("2026-03-04 00:00")) == (True, at("2026-03-05 00:00"))
        assert not is_open(text, at("2026-03-05 00:00"))
    assert Windows.parse("Wed 09:00-09:00 UTC").judge(at("2026-03-05 08:00")) == (True, at("2026-03-05 09:00"))


@pytest.mark.parametrize(
    ("days", "which"),
    [
        ("Mon-Fri", "Mon Tue Wed Thu Fri"),
        ("Mon,Wed,Fri", "Mon Wed Fri"),
        ("Fri-Mon", "Fri Sat Sun Mon"),
        ("Sun", "Sun"),
        ("Mon-Tue,Sat", "Mon Tue Sat"),
        ("Sun-Sat", "Sun Mon Tue Wed Thu Fri Sat"),
    ],
)
def test_days_are_lists_and_spans(days: str, which: str) -> None:
    monday = at("2026-03-02 12:00")
    found = [DAYS[step] for step in range(7) if is_open(f"{days} 00:00-24:00 UTC", monday + step * 24 * HOUR_NS)]
    assert set(found) == set(which.split())


def test_parts_add_up_and_the_later_end_counts() -> None:
    windows = Windows.parse("Mon 07:00-12:00 UTC; Mon 11:00-15:00 UTC;Tue 01:00-02:00 UTC")
    assert windows.judge(at("2026-03-02 08:00")) == (True, at("2026-03-02 12:00"))
    assert windows.judge(at("2026-03-02 11:30")) == (True, at("2026-03-02 15:00"))
    assert windows.judge(at("2026-03-02 15:00")) == (False, at("2026-03-03 01:00"))


def test_london_hours_stay_the_same_on_the_clock_when_clocks_change() -> None:
    text = "Mon-Fri 07:00-20:00 Europe/London"
    assert Windows.parse(text).judge(at("2026-03-27 06:00")) == (False, at("2026-03-27 07:00")), "winter: UTC"
    assert Windows.parse(text).judge(at("2026-03-30 05:00")) == (False, at("2026-03-30 06:00")), (
        "summer: an hour earlier"
    )
    assert Windows.parse(text).judge(at("2026-10-26 06:30")) == (False, at("2026-10-26 07:00")), "winter again"


def test_new_york_changes_on_another_day_than_london() -> None:
    text = "Mon-Fri 09:00-17:00 America/New_York"
    assert Windows.parse(text).judge(at("2026-03-06 13:00"))[1] == at("2026-03-06 14:00")
    assert Windows.parse(text).judge(at("2026-03-09 12:00"))[1] == at("2026-03-09 13:00")
    assert Windows.parse(text).judge(at("2026-03-30 12:00"))[1] == at("2026-03-30 13:00")
    assert Windows.parse(text).judge(at("2026-11-02 13:00"))[1] == at("2026-11-02 14:00")


def test_hours_over_the_night_of_a_change_are_an_hour_shorter_or_longer() -> None:
    text = "Sat 22:00-04:00 America/New_York"
    lengths = []
    for day in ("2026-03-07", "2026-10-31", "2026-06-06"):
        begin_ns = at(f"{day} 22:00", "America/New_York")
        assert not is_open(text, begin_ns - 1)
        opened, until_ns = Windows.parse(text).judge(begin_ns)
        assert opened and not is_open(text, until_ns)
        lengths.append((until_ns - begin_ns) // HOUR_NS)
    assert lengths == [5, 7, 6]


def test_hours_that_a_change_swallows_open_nothing() -> None:
    text = "Sun 01:30-02:15 Europe/London"  # on the last Sunday of March the clock goes from 01:00 to 02:00
    windows = Windows.parse(text)
    assert windows.judge(at("2026-03-28 23:00")) == (False, at("2026-04-05 00:30"))
    assert [minute for minute in range(180) if is_open(text, at("2026-03-29 00:00") + minute * 60 * NS_PER_S)] == []


parts = st.builds(
    lambda days, begin, end, zone: f"{days} {begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d} {zone}",
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3).map(",".join)
    | st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map("-".join),
    st.integers(0, 1_440),
    st.integers(0, 1_440),
    st.sampled_from(ZONES),
)
texts = st.lists(parts, min_size=1, max_size=3).map("; ".join)
moments = st.integers(0, YEAR_NS // NS_PER_S).map(lambda second: YEAR + second * NS_PER_S)
# the days around changes of the clock in London, New York and on Lord Howe Island
changes = st.tuples(
    st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
    st.integers(-86_400, 2 * 86_400),
).map(lambda drawn: at(drawn[0]) + drawn[1] * NS_PER_S)


@given(texts, moments | changes, st.lists(st.floats(0, 1, exclude_max=True), max_size=20))
def test_an_answer_holds_until_the_moment_it_says(text: str, ts_ns: int, shares: list[float]) -> None:
    windows = Windows.parse(text)
    answer, until_ns = windows.judge(ts_ns)
    assert until_ns > ts_ns
    length = until_ns - ts_ns
    for probe in (ts_ns, until_ns - 1, *(ts_ns + int(length * share) for share in shares)):
        assert windows.judge(probe)[0] is answer


@given(texts, moments | changes)
def test_closed_says_when_it_opens(text: str, ts_ns: int) -> None:
    windows = Windows.parse(text)
    answer, until_ns = windows.judge(ts_ns)
    if not answer:
        assert windows.judge(until_ns)[0] or until_ns - ts_ns >= 6 * 24 * HOUR_NS


def clock_says_open(text: str, ts_ns: int) -> bool:
    """Ask the wall clock of the zone instead of adding up spans; only for days on which no clock changes."""
    days, hours, zone = text.split(" ")
    local = datetime.fromtimestamp(ts_ns // NS_PER_S, ZoneInfo(zone))
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    minute, day = local.hour * 60 + local.minute, DAYS[local.weekday()]
    yesterday = DAYS[local.weekday() - 1]
    if end > begin:
        return day in days.split(",") and begin <= minute < end
    return (day in days.split(",") and minute >= begin) or (yesterday in days.split(",") and minute < end)


@given(
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=4).map(",".join),
    st.integers(0, 1_439),
    st.integers(0, 1_439),
    st.sampled_from(ZONES),
    st.integers(0, 20 * 86_400),
)
def test_windows_are_what_the_clock_on_the_wall_says(days: str, begin: int, end: int, zone: str, second: int) -> None:
    text = f"{days} {begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d} {zone}"
    ts_ns = at("2026-06-01") + second * NS_PER_S
    assert is_open(text, ts_ns) is clock_says_open(text, ts_ns)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it must be always, or like Mon-Fri 07:00-20:00 Europe/London"),
        ("Always", "it must be always"),
        ("07:00-20:00 UTC", "it must be always"),
        ("Mon 7:00-20:00 UTC", "it must be always"),
        ("Mon 07:00-20:00", "it must be always"),
        ("Mon 07:00-20:00 UTC;", "it must be always"),
        ("Mon 07:00-20:00 UTC and more", "it must be always"),
        ("always; Mon 07:00-20:00 UTC", "it must be always"),
        ("mon 07:00-20:00 UTC", "'mon' names no days of the week"),
        ("Mon-Wed-Fri 07:00-20:00 UTC", "'Mon-Wed-Fri' names no days of the week"),
        ("Mon, 07:00-20:00 UTC", "'' names no days of the week"),
        ("Mon 07:60-20:00 UTC", "07:60 is no time of day from 00:00 to 24:00."),
        ("Mon 07:00-24:01 UTC", "24:01 is no time of day from 00:00 to 24:00."),
        ("Mon 07:00-20:00 London", "'London' is no time zone"),
        ("Mon 07:00-20:00 ../UTC", "'../UTC' is no time zone"),
        ("Mon 07:00-20:00 Europe", "'Europe' is no time zone"),
    ],
)
def test_bad_windows_are_refused_in_words(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Windows.parse(text)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("text", ["", "17:00", "17:30 UTC", "24:00 UTC", "5:00 UTC", "17:00 Nowhere", "17:00 UTC x"])
def test_bad_day_starts_are_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match="it must be"):
        DayStart.parse(text)


@pytest.mark.parametrize(
    ("text", "day", "hours"),
    [
        ("17:00 America/New_York", "2026-03-07", 23),
        ("17:00 America/New_York", "2026-10-31", 25),
        ("17:00 America/New_York", "2026-06-01", 24),
        ("00:00 Europe/London", "2026-03-29", 23),
        ("00:00 Europe/London", "2026-10-25", 25),
        ("00:00 UTC", "2026-03-29", 24),
    ],
)
def test_a_day_over_a_change_of_the_clock_has_23_or_25_hours(text: str, day: str, hours: int) -> None:
    start = DayStart.parse(text)
    begin_ns = at(f"{day} {start.hour:02d}:00", start.zone)
    assert start.next_ns(begin_ns - 1) == begin_ns
    assert start.next_ns(begin_ns) == start.next_ns(begin_ns + 22 * HOUR_NS) == begin_ns + hours * HOUR_NS


@given(st.integers(0, 23), st.sampled_from(ZONES), moments | changes)
def test_days_begin_in_order_at_that_hour_of_the_clock(hour: int, zone: str, ts_ns: int) -> None:
    start = DayStart(hour=hour, zone=zone)
    found = [start.next_ns(ts_ns)]
    while len(found) < 4:
        found.append(start.next_ns(found[-1]))
    assert ts_ns < found[0] <= ts_ns + 25 * HOUR_NS
    for earlier, later in pairwise(found):
        assert 23 * HOUR_NS <= later - earlier <= 25 * HOUR_NS
        assert start.next_ns(later - 1) == later
    for each in found:
        local = datetime.fromtimestamp(each // NS_PER_S, ZoneInfo(zone))
        wanted = local.replace(hour=hour, minute=0, second=0)
        exists = wanted.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted.replace(tzinfo=None)
        assert not exists or (local.hour, local.minute, local.second) == (hour, 0, 0)
