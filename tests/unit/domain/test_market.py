"""Quotes know their middle, spread and age; bars end where they say; granularities are OANDA's."""

from decimal import Decimal

import pytest

from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S, Granularity
from tests.unit.made import NOW_NS, candle, quote


@pytest.mark.parametrize(
    ("name", "seconds"), [("S5", 5), ("M1", 60), ("M15", 900), ("H1", 3_600), ("H12", 43_200), ("D", 86_400)]
)
def test_granularity_has_its_length(name: str, seconds: int) -> None:
    found = Granularity.parse(name)
    assert (found.seconds, found.ns) == (seconds, seconds * NS_PER_S)


@pytest.mark.parametrize("name", list(Granularity))
def test_granularity_is_found_again_by_its_length(name: Granularity) -> None:
    assert Granularity.from_seconds(name.seconds) is name


@pytest.mark.parametrize("seconds", [0, 1, 59, 61, -60])
def test_no_granularity_has_another_length(seconds: int) -> None:
    assert Granularity.from_seconds(seconds) is None


@pytest.mark.parametrize("text", ["m1", "M3", "", "W", "1M"])
def test_unknown_granularity_is_refused_with_the_allowed_ones(text: str) -> None:
    with pytest.raises(ConfigError, match=f"'{text}' is unknown.*S5.*M1.*D"):
        Granularity.parse(text)


def test_mid_and_spread_are_exact() -> None:
    now = quote("1.10001", "1.10004")
    assert (now.mid, now.spread) == (Decimal("1.100025"), Decimal("0.00003"))


@pytest.mark.parametrize(("later_ns", "age_s"), [(0, 0.0), (1_500_000_000, 1.5), (-2_000_000_000, -2.0)])
def test_age_counts_from_the_time_of_the_venue(later_ns: int, age_s: float) -> None:
    assert quote().age_s(NOW_NS + later_ns) == age_s


def test_bar_ends_one_length_after_it_opens() -> None:
    assert candle(3, "1", "1", "1").close_ts_ns == 4 * 60 * NS_PER_S


def test_quote_is_frozen() -> None:
    with pytest.raises(AttributeError):
        quote().bid = Decimal(2)  # type: ignore[misc]


def test_bar_is_frozen() -> None:
    with pytest.raises(AttributeError):
        candle(0, "1", "1", "1").bid_close = Decimal(2)  # type: ignore[misc]
