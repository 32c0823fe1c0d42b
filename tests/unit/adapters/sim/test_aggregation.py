"""Short bars become longer ones: nothing lost, nothing early, nothing invented."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.sim.aggregation import Aggregator, aggregate
from engine.domain.calendar import bucket_start_ns
from engine.domain.error import Bug, ConfigError
from engine.domain.market import NS_PER_S, Bar, Granularity

S5, M1, H4 = Granularity.S5, Granularity.M1, Granularity.H4
STEP = S5.ns
BASE_NS = 1_736_150_400 * NS_PER_S


def bar(slot: int, price: int = 100, reach: int = 3, *, instrument: str = "EUR_USD") -> Bar:
    """A five-second bar, `slot` bars after BASE_NS, that falls from price to price - 1 with extremes `reach` away."""
    mid = Decimal(price)
    return Bar(
        instrument=instrument,
        granularity=S5,
        open_ts_ns=BASE_NS + slot * STEP,
        bid_open=mid,
        bid_high=mid + reach,
        bid_low=mid - reach - 1,
        bid_close=mid - 1,
        ask_open=mid + 2,
        ask_high=mid + reach + 2,
        ask_low=mid - reach + 1,
        ask_close=mid + 1,
        tick_count=2,
    )


SLOTS = st.lists(st.tuples(st.integers(1, 40), st.integers(50, 150), st.integers(0, 20)), min_size=1, max_size=60)


def bars_of(rows: list[tuple[int, int, int]]) -> list[Bar]:
    slot, bars = -1, []
    for step, price, reach in rows:
        slot += step
        bars.append(bar(slot, price, reach))
    return bars


def emitted(bars: list[Bar], granularity: Granularity) -> list[Bar]:
    """What the market-data adapter does: flush up to each bar, add it, flush when the data has ended."""
    aggregator, found = Aggregator("EUR_USD", granularity), []
    for one in bars:
        found += [aggregator.flush(one.open_ts_ns), aggregator.add(one)]
    found.append(aggregator.flush(bars[-1].close_ts_ns + granularity.ns))
    return [one for one in found if one is not None]


def test_a_bar_is_complete_when_its_last_short_bar_arrives() -> None:
    aggregator = Aggregator("EUR_USD", M1)
    answers = [aggregator.add(bar(slot, 100 + slot)) for slot in range(12)]
    assert answers[:11] == [None] * 11
    done = answers[11]
    assert done is not None
    assert (done.open_ts_ns, done.granularity, done.tick_count) == (BASE_NS, M1, 24)
    bids = (done.bid_open, done.bid_high, done.bid_low, done.bid_close)
    asks = (done.ask_open, done.ask_high, done.ask_low, done.ask_close)
    assert bids == tuple(map(Decimal, (100, 114, 96, 110)))
    assert asks == tuple(map(Decimal, (102, 116, 98, 112)))
    assert aggregator.flush(BASE_NS + 10 * M1.ns) is None


def test_a_bar_without_its_tail_is_emitted_by_the_next_bucket() -> None:
    aggregator = Aggregator("EUR_USD", M1)
    assert aggregator.add(bar(3)) is None
    done = aggregator.add(bar(12))
    assert done is not None
    assert (done.open_ts_ns, done.tick_count) == (BASE_NS, 2)


def test_flush_emits_only_when_time_is_over() -> None:
    aggregator = Aggregator("EUR_USD", M1)
    aggregator.add(bar(3))
    assert aggregator.flush(BASE_NS + M1.ns - 1) is None
    assert aggregator.flush(BASE_NS + M1.ns) == aggregate([bar(3)], M1)
    assert aggregator.flush(BASE_NS + M1.ns) is None


def test_two_bars_that_end_at_once_come_out_one_after_the_other() -> None:
    aggregator = Aggregator("EUR_USD", Granularity.S10)
    assert aggregator.add(bar(0)) is None
    assert aggregator.add(bar(3)) == aggregate([bar(0)], Granularity.S10)
    assert aggregator.flush(bar(3).close_ts_ns) == aggregate([bar(3)], Granularity.S10)


def test_the_same_granularity_passes_through() -> None:
    assert Aggregator("EUR_USD", S5).add(bar(0)) == bar(0)


@given(rows=SLOTS, granularity=st.sampled_from([S5, Granularity.S10, M1, Granularity.M5, Granularity.H1, H4]))
def test_aggregator_emits_what_the_pure_function_makes_of_each_bucket(
    rows: list[tuple[int, int, int]], granularity: Granularity
) -> None:
    bars = bars_of(rows)
    buckets: dict[int, list[Bar]] = {}
    for one in bars:
        buckets.setdefault(bucket_start_ns(one.open_ts_ns, granularity.ns), []).append(one)
    assert emitted(bars, granularity) == [aggregate(bucket, granularity) for bucket in buckets.values()]


@given(rows=SLOTS, granularity=st.sampled_from([M1, Granularity.H1]))
def test_nothing_is_lost_and_nothing_is_early(rows: list[tuple[int, int, int]], granularity: Granularity) -> None:
    bars = bars_of(rows)
    whole = emitted(bars, granularity)
    assert sum(one.tick_count for one in whole) == sum(one.tick_count for one in bars)
    assert max(one.bid_high for one in whole) == max(one.bid_high for one in bars)
    assert min(one.ask_low for one in whole) == min(one.ask_low for one in bars)
    assert (whole[0].bid_open, whole[-1].ask_close) == (bars[0].bid_open, bars[-1].ask_close)
    assert [one.open_ts_ns for one in whole] == sorted({one.open_ts_ns for one in whole})


@given(rows=SLOTS)
def test_hours_made_from_minutes_are_hours_made_from_seconds(rows: list[tuple[int, int, int]]) -> None:
    bars = bars_of(rows)
    assert emitted(emitted(bars, M1), Granularity.H1) == emitted(bars, Granularity.H1)


def test_broken_input_is_refused() -> None:
    with pytest.raises(Bug, match="no bars"):
        aggregate([], M1)
    with pytest.raises(Bug, match="not next"):
        aggregate([bar(0), bar(12)], M1)
    with pytest.raises(Bug, match="not next"):
        aggregate([bar(1), bar(0)], M1)
    with pytest.raises(Bug, match="not next"):
        aggregate([bar(0), bar(1, instrument="GBP_USD")], M1)
    aggregator = Aggregator("EUR_USD", M1)
    aggregator.add(bar(5))
    with pytest.raises(Bug, match="older"):
        aggregator.add(bar(4))
    with pytest.raises(Bug, match="GBP_USD"):
        aggregator.add(bar(6, instrument="GBP_USD"))


def test_bars_that_are_too_long_are_refused_in_words() -> None:
    minute = aggregate([bar(0)], M1)
    with pytest.raises(ConfigError, match="M1 bars do not fit into S30 bars"):
        Aggregator("EUR_USD", Granularity.S30).add(minute)
