from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.history.imported import ImportedBars
from engine.adapters.history.market_data import RecordedBars
from engine.domain.error import Bug, ConfigError
from engine.domain.market import Bar, Granularity
from engine.ports import BarSource
from tests.unit.adapters.history.rows import MONDAY, imported, ns_of

M1 = Granularity.M1


def minute(at: int) -> int:
    return ns_of(MONDAY) + at * M1.ns


def opens_of(bars: Sequence[Bar]) -> list[int]:
    return [(bar.open_ts_ns - ns_of(MONDAY)) // M1.ns for bar in bars]


def played(source: BarSource) -> list[tuple[int, list[Bar]]]:
    frames = []
    while (end_ns := source.peek_ns()) is not None:
        frames.append((end_ns, list(source.pop())))
    return frames


def test_play_begins_after_the_warm_up_and_ends_with_the_bars() -> None:
    source = RecordedBars([imported(range(10))], 4)
    assert source.instruments == ("EUR_USD",)
    assert source.granularity is M1
    assert source.start_ns == minute(4)
    assert source.bars_to_play == 6
    assert opens_of(source.history("EUR_USD", M1, 99)) == [0, 1, 2, 3]
    frames = played(source)
    assert [end_ns for end_ns, _ in frames] == [minute(at) for at in range(5, 11)]
    assert opens_of([bar for _, (bar,) in frames]) == [4, 5, 6, 7, 8, 9]
    assert source.peek_ns() is None
    assert source.bars_to_play == 6


def test_without_warm_up_every_bar_is_played() -> None:
    source = RecordedBars([imported(range(3, 6)), imported(range(9), "NZD_USD")], 0)
    assert source.start_ns == minute(0)
    assert source.bars_to_play == 12
    assert source.history("NZD_USD", M1, 5) == ()


def test_history_moves_with_the_play_and_shows_nothing_ahead_of_it() -> None:
    source = RecordedBars([imported(range(10))], 3)
    source.pop()
    source.pop()
    assert opens_of(source.history("EUR_USD", M1, 2)) == [3, 4]
    assert opens_of(source.history("EUR_USD", M1, 50)) == [0, 1, 2, 3, 4]
    assert source.history("EUR_USD", M1, 0) == source.history("EUR_USD", M1, -1) == ()


def test_frames_join_instruments_at_the_same_time() -> None:
    source = RecordedBars([imported([0, 1, 2, 4, 6]), imported([1, 2, 4, 5], "NZD_USD")], 2)
    assert source.start_ns == minute(3)
    assert [(end_ns, [bar.instrument for bar in bars]) for end_ns, bars in played(source)] == [
        (minute(5), ["EUR_USD", "NZD_USD"]),
        (minute(6), ["NZD_USD"]),
        (minute(7), ["EUR_USD"]),
    ]


def test_later_warm_up_of_one_instrument_becomes_history_of_the_other() -> None:
    source = RecordedBars([imported(range(100)), imported([50, 70, 90], "NZD_USD")], 2)
    assert source.start_ns == minute(71)
    assert len(source.history("EUR_USD", M1, 1_000)) == 71
    assert opens_of(source.history("NZD_USD", M1, 1_000)) == [50, 70]


def test_pop_beyond_the_end_is_our_own_bug() -> None:
    source = RecordedBars([imported(range(2))], 1)
    source.pop()
    with pytest.raises(Bug):
        source.pop()


def test_other_granularity_or_instrument_has_no_history() -> None:
    source = RecordedBars([imported(range(5))], 1)
    with pytest.raises(ConfigError, match="Recorded bars are M1; bars of M5"):
        source.history("EUR_USD", Granularity.M5, 1)
    with pytest.raises(ConfigError, match="no recorded bars of NZD_USD; there are EUR_USD"):
        source.history("NZD_USD", M1, 1)


@pytest.mark.parametrize(
    ("series", "warmup_bars", "said"),
    [
        ([], 1, "no recorded bars"),
        (
            [imported(range(9)), imported(range(9), "NZD_USD", Granularity.H1)],
            1,
            r"EUR_USD.csv .* M1, NZD_USD.csv .* H1",
        ),
        ([imported(range(9)), imported(range(9))], 1, "more than one recording of EUR_USD"),
        (
            [imported(range(20)), imported(range(40), "GBP_USD"), imported(range(30), "NZD_USD")],
            31,
            "EUR_USD has 20 bars, NZD_USD has 30 bars; 31 are needed before the first decision",
        ),
        ([imported([])], 0, "EUR_USD has 0 bars; 1 are needed"),
        ([imported(range(31))], 31, "EUR_USD has no bar after 2014-05-05T00:31:00Z"),
        ([imported(range(9)), imported(range(20, 29), "NZD_USD")], 5, "EUR_USD has no bar after 2014-05-05T00:25:00Z"),
    ],
)
def test_recordings_that_cannot_be_played_are_refused(series: list[ImportedBars], warmup_bars: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RecordedBars(series, warmup_bars)


MINUTES = st.sets(st.integers(0, 60), min_size=1, max_size=30).map(sorted)


@given(minutes=st.lists(MINUTES, min_size=1, max_size=3), warmup_bars=st.integers(0, 6))
def test_history_and_frames_together_are_every_bar_once_in_order(minutes: list[list[int]], warmup_bars: int) -> None:
    names = ("EUR_USD", "GBP_USD", "NZD_USD")
    series = [imported(times, name) for times, name in zip(minutes, names, strict=False)]
    try:
        source = RecordedBars(series, warmup_bars)
    except ConfigError:
        start = max(times[warmup_bars - 1] if len(times) >= max(1, warmup_bars) else 99 for times in minutes)
        assert warmup_bars
        assert any(times[-1] <= start for times in minutes)
        return
    before = {one.instrument: tuple(source.history(one.instrument, M1, 99)) for one in series}
    assert all(len(bars) >= warmup_bars for bars in before.values())
    assert all(bar.close_ts_ns <= source.start_ns for bar in chain.from_iterable(before.values()))
    frames = played(source)
    ends = [end_ns for end_ns, _ in frames]
    assert ends == sorted(set(ends))
    assert min(ends) > source.start_ns
    assert all(bar.close_ts_ns == end_ns for end_ns, bars in frames for bar in bars)
    after = [bar for _, bars in frames for bar in bars]
    assert len(after) == source.bars_to_play
    for one in series:
        assert one.bars == (*before[one.instrument], *(bar for bar in after if bar.instrument == one.instrument))
