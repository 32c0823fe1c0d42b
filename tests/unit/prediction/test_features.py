"""Features equal their textbook definitions, see exactly their look-back, and are defined when nothing moves."""

from decimal import Decimal
from math import isfinite

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.error import Bug, ConfigError
from engine.domain.market import Bar
from engine.domain.window import BarWindow
from engine.prediction.features import FEATURES, feature_vector, lookback, reference_vector
from tests.unit.prediction.made import MINUTE_NS, bar, closes, walk, window_of

ALL = tuple(FEATURES)
LONGEST = lookback(ALL)


@st.composite
def moving_bars(draw: st.DrawFn, count: int) -> list[Bar]:
    """Bars with any mix of standing still, steps, jumps and gaps in time."""
    price, end, bars = Decimal("1.10000"), 0, []
    for _ in range(count):
        opened = price
        price = max(Decimal("0.00001"), price + Decimal(draw(st.sampled_from([0, 0, 1, -1, 7, -30, 900]))) / 100_000)
        end += draw(st.sampled_from([1, 1, 1, 2_880]))
        spread = draw(st.sampled_from(["0", "0.00001", "0.00030"]))
        bars.append(bar(end, price, opened, spread))
    return bars


def frame(window: BarWindow) -> pd.DataFrame:
    columns = {name: getattr(window, name) for name in ("open", "high", "low", "close", "spread", "close_ts_ns")}
    return pd.DataFrame(columns)


def textbook(name: str, bars: pd.DataFrame) -> float:
    """Compute a feature the usual way: vectorised over all bars, last value taken."""
    close, last = bars["close"], bars.iloc[-1]
    returns = np.log(close).diff()
    volatility = np.sqrt((returns**2).rolling(20).mean())
    true_range = np.maximum.reduce(
        [bars["high"] - bars["low"], (bars["high"] - close.shift()).abs(), (bars["low"] - close.shift()).abs()]
    )
    atr = pd.Series(true_range).rolling(14).mean().iloc[-1]
    kind, _, number = name.rpartition("_")
    bars_back = int(number) if number.isdigit() else 0
    if kind == "return":
        value = np.log(close).diff(bars_back) / (volatility * np.sqrt(bars_back))
    elif name == "volatility_ratio_5_20":
        value = np.sqrt((returns**2).rolling(5).mean()) / volatility
    elif kind == "sma_distance":
        value = (close - close.rolling(bars_back).mean()) / atr
    elif kind == "rsi":
        change = close.diff()
        gain, loss = change.clip(lower=0).rolling(14).mean(), (-change).clip(lower=0).rolling(14).mean()
        value = 100 - 100 / (1 + gain / loss)
    elif kind == "stochastic":
        lowest, highest = bars["low"].rolling(14).min(), bars["high"].rolling(14).max()
        value = (close - lowest) / (highest - lowest)
    elif kind == "bollinger":
        value = (close - close.rolling(20).mean()) / close.rolling(20).std(ddof=0)
    elif name in ("hour_sin", "hour_cos"):
        moment = pd.to_datetime(last["close_ts_ns"])
        hours = moment.hour + moment.minute / 60
        return float((np.sin if name == "hour_sin" else np.cos)(2 * np.pi * hours / 24))
    else:
        parts = {"spread": last["spread"], "body": last["close"] - last["open"], "range": last["high"] - last["low"]}
        return float(parts[kind] / atr)
    return float(value.iloc[-1])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ALL)
def test_feature_equals_its_textbook_definition(name: str, seed: int) -> None:
    window = window_of(walk(700, seed))
    assert feature_vector((name,), window)[0] == pytest.approx(textbook(name, frame(window)), rel=1e-7, abs=1e-9)


def test_vector_holds_the_features_in_the_asked_order() -> None:
    window = window_of(walk(64))
    forwards = feature_vector(ALL, window)
    assert len(forwards) == 16
    assert feature_vector(tuple(reversed(ALL)), window) == forwards[::-1]
    assert forwards == [feature_vector((name,), window)[0] for name in ALL]


@given(bars=moving_bars(LONGEST + 25), name=st.sampled_from(ALL))
def test_older_bars_never_change_a_feature(bars: list[Bar], name: str) -> None:
    need = FEATURES[name].lookback
    exact = feature_vector((name,), window_of(bars[-need:]))
    assert feature_vector((name,), window_of(bars)) == exact
    assert feature_vector((name,), window_of(bars, capacity=need)) == exact
    assert feature_vector((name,), window_of(bars, capacity=need + 7)) == exact


@pytest.mark.parametrize("name", ALL)
def test_oldest_bar_of_the_lookback_matters(name: str) -> None:
    need = FEATURES[name].lookback
    bars = walk(need, seed=5)
    oldest = bars[0]
    moved = replace(
        oldest,
        bid_high=oldest.bid_high + Decimal("0.01"),
        bid_close=oldest.bid_close + Decimal("0.01"),
        open_ts_ns=oldest.open_ts_ns - 137 * MINUTE_NS,
    )
    assert feature_vector((name,), window_of([moved, *bars[1:]])) != feature_vector((name,), window_of(bars))


@pytest.mark.parametrize("name", ALL)
def test_window_shorter_than_the_lookback_is_a_bug(name: str) -> None:
    need = FEATURES[name].lookback
    with pytest.raises(Bug, match=f"need {need} bars, the window holds {need - 1}"):
        feature_vector((name,), window_of(walk(need - 1)) if need > 1 else BarWindow("EUR_USD", 5))


@pytest.mark.parametrize("price", [1.10003, 151.237, 2411.335, 0.59999])
def test_market_without_movement_gives_the_defined_values(price: float) -> None:
    bars = [replace(one, bid_high=one.bid_close, ask_high=one.ask_close, bid_low=one.bid_close, ask_low=one.ask_close)
            for one in (bar(index, Decimal(str(price))) for index in range(40))]  # fmt: skip
    found = dict(zip(ALL, feature_vector(ALL, window_of(bars)), strict=True))
    expected = dict.fromkeys(ALL, 0.0) | {"rsi_14": 50.0, "stochastic_14": 0.5, "volatility_ratio_5_20": 1.0}
    del expected["hour_sin"], expected["hour_cos"], found["hour_sin"], found["hour_cos"]
    assert found == expected


@given(bars=moving_bars(LONGEST))
def test_every_feature_is_finite_and_within_its_bounds(bars: list[Bar]) -> None:
    found = dict(zip(ALL, feature_vector(ALL, window_of(bars)), strict=True))
    assert all(map(isfinite, found.values()))
    assert 0.0 <= found.pop("rsi_14") <= 100.0
    assert 0.0 <= found.pop("stochastic_14") <= 1.0
    assert all(-10.0 <= value <= 10.0 for value in found.values())


def test_ratio_to_a_tiny_range_is_clipped_at_ten() -> None:
    window = closes(*([1.0] * 10 + [2.0] * 20))
    window.high[:] = window.low[:] = window.close
    window.high[-1] += 1e-9
    assert feature_vector(("sma_distance_30",), window) == [10.0]


def test_lookback_is_the_longest_of_the_features() -> None:
    assert lookback(("hour_sin",)) == 1
    assert lookback(("hour_sin", "rsi_14")) == 15
    assert lookback(ALL) == 30


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(("rsi_14", "rsi_15", "macd"), "Features rsi_15, macd are unknown; allowed are return_1"), ((), "No feature")],
)
def test_unknown_or_missing_names_are_refused(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        lookback(names)
    with pytest.raises(ConfigError, match=sentence):
        feature_vector(names, window_of(walk(64)))


def test_reference_vector_tells_every_feature_apart() -> None:
    values = reference_vector(ALL)
    assert len(set(values)) == len(ALL)
    assert values == [reference_vector((name,))[0] for name in ALL]
