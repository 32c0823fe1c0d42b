"""The generated market: the same again from its seed, sane in every bar, and like the real one in what matters."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.adapters.sim.aggregation import Aggregator
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket, _bucket_starts
from engine.adapters.sim.market_hours import DAY_S, open_minutes
from engine.domain.calendar import bucket_end_ns, bucket_start_ns
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S, Bar, Granularity

ROOT = Path(__file__).resolve().parents[4]
S5, M1, H1, D = Granularity.S5, Granularity.M1, Granularity.H1, Granularity.D
MINUTE_NS, HOUR_NS = 60 * NS_PER_S, 3_600 * NS_PER_S

FINGERPRINT = """
import hashlib
from engine.adapters.sim.market import GeneratedMarket
from engine.domain.market import Granularity
market = GeneratedMarket(7, ["XAU_USD", "EUR_GBP"])
seen = [market.pop() for _ in range(300)] + [market.history("EUR_GBP", Granularity.M5, 400)]
print(hashlib.sha256(repr(seen).encode()).hexdigest())
"""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


def peek(market: GeneratedMarket) -> int:
    end_ns = market.peek_ns()
    assert end_ns is not None
    return end_ns


def pop_until(market: GeneratedMarket, end_ns: int) -> list[Bar]:
    bars: list[Bar] = []
    while peek(market) <= end_ns:
        bars += market.pop()
    return bars


def mids(bars: Sequence[Bar]) -> npt.NDArray[np.float64]:
    return np.array([float(bar.bid_close + bar.ask_close) / 2 for bar in bars])


def returns(bars: Sequence[Bar]) -> npt.NDArray[np.float64]:
    """Log returns between neighbouring bars; those over closed hours are left out."""
    opened = np.array([bar.open_ts_ns for bar in bars])
    moves: npt.NDArray[np.float64] = np.diff(np.log(mids(bars)))[np.diff(opened) == bars[0].granularity.ns]
    return moves


def autocorrelation(series: npt.NDArray[np.float64], lag: int) -> float:
    centred = series - series.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / (centred**2).mean())


def spread_in_pips(bar: Bar) -> float:
    return float((bar.ask_close - bar.bid_close) / CATALOGUE[bar.instrument].pip_size)


def new_york_minute(bar: Bar) -> int:
    """Minute of the day in winter, when New York is five hours behind."""
    return (bar.open_ts_ns // MINUTE_NS - 300) % 1_440


@pytest.fixture(scope="module")
def minutes() -> Sequence[Bar]:
    """Fourteen days of EUR_USD before the start."""
    return GeneratedMarket(7, ["EUR_USD"]).history("EUR_USD", M1, 14_000)


def fingerprint(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", FINGERPRINT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_same_seed_gives_the_same_bars_in_any_process() -> None:
    first, second = fingerprint("1"), fingerprint("2")
    assert first == second
    assert len(first.strip()) == 64


def test_another_seed_gives_other_bars() -> None:
    first, second = (GeneratedMarket(seed, ["EUR_USD"]).history("EUR_USD", M1, 200) for seed in (1, 2))
    assert abs(autocorrelation(np.concatenate([returns(first), returns(second)]), len(returns(first)))) < 0.2
    assert not {bar.bid_close for bar in first} & {bar.bid_close for bar in second}


def test_an_instrument_does_not_depend_on_its_company_nor_on_what_was_asked_before() -> None:
    alone, together = GeneratedMarket(7, ["EUR_USD"]), GeneratedMarket(7, ["XAU_USD", "GBP_JPY", "EUR_USD"])
    together.history("GBP_JPY", H1, 300)
    until = DEFAULT_START_NS + HOUR_NS
    expected = pop_until(alone, until)
    assert [bar for bar in pop_until(together, until) if bar.instrument == "EUR_USD"] == expected
    assert alone.history("EUR_USD", H1, 100) == together.history("EUR_USD", H1, 100)


def test_frames_are_in_order_and_hold_only_bars_that_end_with_them() -> None:
    names = ["EUR_USD", "XAU_USD", "AUD_NZD"]
    market, before = GeneratedMarket(7, names), DEFAULT_START_NS
    for _ in range(1_500):
        end_ns = peek(market)
        frame = market.pop()
        assert end_ns > before
        assert {bar.close_ts_ns for bar in frame} == {end_ns}
        assert [bar.instrument for bar in frame] == [name for name in names if name in {b.instrument for b in frame}]
        before = end_ns
    assert market.instruments == tuple(names)
    assert market.granularity is S5


def test_the_market_starts_open() -> None:
    assert peek(GeneratedMarket(7, list(CATALOGUE))) == DEFAULT_START_NS + S5.ns


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_bar_is_sane(name: str) -> None:
    bars = GeneratedMarket(3, [name], at("2025-01-07T23:30")).history(name, S5, 2_500)
    assert len(bars) == 2_500
    step = CATALOGUE[name].price_decimals
    for bar in bars:
        assert 0 < bar.bid_low <= min(bar.bid_open, bar.bid_close) <= max(bar.bid_open, bar.bid_close) <= bar.bid_high
        assert 0 < bar.ask_low <= min(bar.ask_open, bar.ask_close) <= max(bar.ask_open, bar.ask_close) <= bar.ask_high
        assert bar.bid_open < bar.ask_open and bar.bid_close < bar.ask_close
        assert bar.bid_high < bar.ask_high and bar.bid_low < bar.ask_low
        assert bar.tick_count >= 1
        assert (bar.bid_close.as_tuple().exponent, bar.ask_high.as_tuple().exponent) == (-step, -step)


@pytest.mark.parametrize(
    ("cross", "leg", "other", "multiply"),
    [("EUR_GBP", "EUR_USD", "GBP_USD", False), ("EUR_JPY", "EUR_USD", "USD_JPY", True)],
)
def test_crosses_agree_with_their_legs_at_every_close(cross: str, leg: str, other: str, multiply: bool) -> None:
    market, compared = GeneratedMarket(7, [cross, leg, other]), 0
    # Rounding to price steps moves each mid by a step at most.
    slack = {name: float(CATALOGUE[name].price_step) for name in (cross, leg, other)}
    for _ in range(3_000):
        mid = {bar.instrument: float(bar.bid_close + bar.ask_close) / 2 for bar in market.pop()}
        if len(mid) < 3:
            continue
        implied = mid[leg] * mid[other] if multiply else mid[leg] / mid[other]
        allowed = slack[cross] + implied * (slack[leg] / mid[leg] + slack[other] / mid[other])
        assert abs(mid[cross] - implied) <= allowed
        compared += 1
    assert compared > 2_000


@pytest.mark.parametrize(
    ("friday", "close", "reopening"),
    [
        ("2025-01-10T21:50", "2025-01-10T21:58", "2025-01-12T22:03"),
        ("2025-07-11T20:50", "2025-07-11T20:58", "2025-07-13T21:03"),
        ("2025-03-07T21:50", "2025-03-07T21:58", "2025-03-09T21:03"),
        ("2025-10-31T20:50", "2025-10-31T20:58", "2025-11-02T22:03"),
    ],
)
def test_the_weekend_is_closed(friday: str, close: str, reopening: str) -> None:
    market = GeneratedMarket(7, ["EUR_USD", "USD_JPY"], at(friday))
    last = pop_until(market, at(close) + HOUR_NS)[-1]
    assert at(close) - MINUTE_NS < last.close_ts_ns <= at(close)
    assert at(reopening) < peek(market) <= at(reopening) + MINUTE_NS


def test_each_day_has_a_break_and_metals_a_longer_one() -> None:
    market = GeneratedMarket(7, ["EUR_USD", "XAU_USD"], at("2025-01-07T21:00"))
    bars = pop_until(market, at("2025-01-07T23:30"))
    assert not [bar for bar in bars if at("2025-01-07T21:58") <= bar.open_ts_ns < at("2025-01-07T22:03")]
    reopened = {bar.instrument: bar for bar in reversed(bars) if bar.open_ts_ns > at("2025-01-07T21:58")}
    assert at("2025-01-07T22:03") <= reopened["EUR_USD"].open_ts_ns < at("2025-01-07T22:04")
    assert at("2025-01-07T23:03") <= reopened["XAU_USD"].open_ts_ns < at("2025-01-07T23:04")


def test_volatility_clusters_and_returns_do_not(minutes: Sequence[Bar]) -> None:
    moves = returns(minutes)
    size = np.abs(moves)
    assert autocorrelation(size, 1) > 0.1
    assert autocorrelation(size, 30) > 0.05
    assert all(abs(autocorrelation(moves, lag)) < 0.05 for lag in (1, 2, 3, 5, 10))


def test_storms_last_longer_than_the_hours_of_the_day_explain(minutes: Sequence[Bar]) -> None:
    hour = np.array([bar.open_ts_ns // HOUR_NS % 24 for bar in minutes[1:]])
    size = np.abs(np.diff(np.log(mids(minutes))))
    usual = np.array([size[hour == h].mean() if (hour == h).any() else 1.0 for h in range(24)])
    assert autocorrelation(size / usual[hour], 5) > 0.05


def test_tails_are_fat(minutes: Sequence[Bar]) -> None:
    moves = returns(minutes)
    assert float(((moves - moves.mean()) ** 4).mean() / moves.var() ** 2) > 5


def test_london_and_new_york_move_more_than_the_night(minutes: Sequence[Bar]) -> None:
    hour = np.array([bar.open_ts_ns // HOUR_NS % 24 for bar in minutes[1:]])
    size = np.abs(np.diff(np.log(mids(minutes))))
    day, night = size[(hour >= 8) & (hour < 16)].mean(), size[(hour >= 2) & (hour < 6)].mean()
    assert day > 1.5 * night


@pytest.mark.parametrize(("name", "low", "high"), [("EUR_USD", 0.7, 1.6), ("USD_JPY", 0.8, 1.9), ("XAU_USD", 24, 45)])
def test_spreads_are_normal_in_the_day_and_wide_at_the_rollover(name: str, low: float, high: float) -> None:
    bars = GeneratedMarket(7, [name]).history(name, M1, 12_000)
    by_day = [spread_in_pips(bar) for bar in bars if 3 * 60 <= new_york_minute(bar) < 11 * 60]
    reopened = 18 * 60 + 3 if name == "XAU_USD" else 17 * 60 + 3
    rollover = [spread_in_pips(bar) for bar in bars if reopened <= new_york_minute(bar) < reopened + 15]
    assert low < float(np.median(by_day)) < high
    assert float(np.median(rollover)) > 2 * float(np.median(by_day))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("EUR_USD", 0.045, 0.105), ("USD_JPY", 0.06, 0.135), ("XAU_USD", 0.10, 0.22), ("EUR_GBP", 0.035, 0.085)],
)
def test_volatility_of_a_year_is_that_of_the_real_instrument(name: str, low: float, high: float) -> None:
    moves = returns(GeneratedMarket(7, [name]).history(name, H1, 1_000))
    assert low < float(moves.std()) * (252 * 24) ** 0.5 < high


@pytest.mark.parametrize(
    ("name", "level"), [("EUR_USD", "1.03"), ("USD_JPY", "157.6"), ("EUR_GBP", "0.83"), ("XAU_USD", "2640")]
)
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_prices_start_near_real_levels(name: str, level: str, seed: int) -> None:
    first = GeneratedMarket(seed, [name]).pop()[0]
    assert abs(first.bid_open / Decimal(level) - 1) < Decimal("0.12")


def test_history_is_what_was_popped() -> None:
    """Over a day's end, the daily break and the middle of a minute."""
    start = at("2025-01-06T20:30")
    market = GeneratedMarket(7, ["EUR_USD", "XAU_USD"], start)
    popped = [bar for bar in pop_until(market, at("2025-01-07T01:20") + 35 * NS_PER_S) if bar.instrument == "EUR_USD"]
    assert market.history("EUR_USD", S5, len(popped)) == popped
    for granularity in (Granularity.S30, M1, Granularity.M15, H1):
        aggregator, made = Aggregator("EUR_USD", granularity), []
        for bar in popped:
            made += [aggregator.flush(bar.open_ts_ns), aggregator.add(bar)]
        # The first hour began before the start, so what was popped of it is not whole.
        whole = [bar for bar in made if bar is not None and bar.open_ts_ns >= start]
        assert len(whole) >= 4
        assert market.history("EUR_USD", granularity, len(whole)) == whole


def test_what_was_history_at_the_start_stays_history() -> None:
    market = GeneratedMarket(7, ["EUR_USD"])
    before = market.history("EUR_USD", M1, 500)
    assert before[-1].close_ts_ns == DEFAULT_START_NS
    pop_until(market, DEFAULT_START_NS + 10 * MINUTE_NS)
    assert list(market.history("EUR_USD", M1, 510))[:500] == before


def test_history_shows_nothing_that_has_not_ended() -> None:
    market = GeneratedMarket(7, ["EUR_USD"])
    pop_until(market, DEFAULT_START_NS + 90 * NS_PER_S)
    for granularity in Granularity:
        last = market.history("EUR_USD", granularity, 1)[-1]
        assert last.granularity is granularity
        assert bucket_end_ns(last.open_ts_ns, granularity.ns) <= DEFAULT_START_NS + 90 * NS_PER_S
        assert last.close_ts_ns > DEFAULT_START_NS - 3 * D.ns


def test_prices_go_on_over_midnight_and_over_the_start(minutes: Sequence[Bar]) -> None:
    typical = float(np.abs(returns(minutes)).mean())
    for one, other in zip(minutes, minutes[1:], strict=False):
        if other.open_ts_ns % (24 * HOUR_NS) == 0 and other.open_ts_ns - one.open_ts_ns == MINUTE_NS:
            step = np.log(float(other.bid_open + other.ask_open) / float(one.bid_close + one.ask_close))
            assert abs(step) < 3 * typical
    first = GeneratedMarket(7, ["EUR_USD"]).pop()[0]
    step = np.log(float(first.bid_open + first.ask_open) / float(minutes[-1].bid_close + minutes[-1].ask_close))
    assert abs(step) < 3 * typical


def test_prices_go_on_over_the_midnights_to_come(minutes: Sequence[Bar]) -> None:
    typical = float(np.abs(returns(minutes)).mean())
    market = GeneratedMarket(7, ["EUR_USD"], at("2025-01-07T23:55"))
    pop_until(market, at("2025-01-09T00:05"))
    seen = market.history("EUR_USD", M1, 1_440)
    steps = [abs(np.log(mid / before)) for before, mid in zip(mids(seen), mids(seen)[1:], strict=False)]
    midnights = [i for i, bar in enumerate(seen[1:]) if bar.open_ts_ns % (24 * HOUR_NS) == 0]
    assert len(midnights) == 1
    assert max(steps[i] for i in midnights) < 5 * typical


def test_history_is_as_deep_as_asked() -> None:
    market = GeneratedMarket(7, ["EUR_USD", "GBP_USD", "USD_JPY", "XAU_USD"])
    assert len(market.history("EUR_USD", H1, 500)) == 500
    for name in market.instruments:
        bars = market.history(name, M1, 6_000)
        assert len(bars) == 6_000
        assert all(one.open_ts_ns < other.open_ts_ns for one, other in zip(bars, bars[1:], strict=False))
    assert market.history("EUR_USD", M1, 0) == ()


def test_days_begin_at_17_new_york_and_join_their_hours() -> None:
    market = GeneratedMarket(7, ["EUR_USD"])
    days, hours = market.history("EUR_USD", D, 10), market.history("EUR_USD", H1, 300)
    assert len(days) == 10
    for day in days:
        inside = [bar for bar in hours if day.open_ts_ns <= bar.open_ts_ns < day.close_ts_ns]
        assert day.open_ts_ns % D.ns == 22 * HOUR_NS
        assert day.tick_count == sum(bar.tick_count for bar in inside)
        assert (day.bid_open, day.ask_close) == (inside[0].bid_open, inside[-1].ask_close)
        assert (day.ask_high, day.bid_low) == (max(b.ask_high for b in inside), min(b.bid_low for b in inside))


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("first", ["2025-03-05", "2025-10-29", "2024-06-10"])
def test_the_buckets_of_a_whole_day_are_those_of_its_moments(granularity: Granularity, first: str) -> None:
    """Over a week-end in which the clock changes, forward and back, and one in which it does not."""
    for day in range(at(first) // NS_PER_S // DAY_S, at(first) // NS_PER_S // DAY_S + 8):
        seconds = open_minutes(day) * 60 + 35 + day * DAY_S
        expected = [bucket_start_ns(int(second) * NS_PER_S, granularity.ns) // NS_PER_S for second in seconds]
        assert _bucket_starts(seconds, day, granularity).tolist() == expected


def test_where_history_ends_no_day_is_cut_in_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.adapters.sim.market.HISTORY_DAYS", 3)
    days = GeneratedMarket(7, ["EUR_USD"], at("2025-01-10T08:00")).history("EUR_USD", D, 100)
    monkeypatch.undo()
    whole = GeneratedMarket(7, ["EUR_USD"], at("2025-01-10T08:00")).history("EUR_USD", D, len(days))
    assert len(days) == 2
    assert days == whole


@pytest.mark.parametrize(
    ("seed", "names", "start_ns", "reason"),
    [
        (-1, ["EUR_USD"], DEFAULT_START_NS, "Seed -1 is out of range"),
        (2**64, ["EUR_USD"], DEFAULT_START_NS, "out of range"),
        (7, [], DEFAULT_START_NS, "at least one instrument"),
        (7, ["EUR_XXX"], DEFAULT_START_NS, "'EUR_XXX' is not in the sandbox; allowed are EUR_USD"),
        (7, ["EUR_USD", "EUR_USD"], DEFAULT_START_NS, "more than once"),
        (7, ["EUR_USD"], DEFAULT_START_NS + NS_PER_S, "whole minute"),
        (7, ["EUR_USD"], 0, "year 2000"),
    ],
)
def test_impossible_markets_are_refused_in_words(seed: int, names: list[str], start_ns: int, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        GeneratedMarket(seed, names, start_ns)


def test_history_of_a_stranger_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="'GBP_USD' is not in this market of EUR_USD"):
        GeneratedMarket(7, ["EUR_USD"]).history("GBP_USD", M1, 10)
