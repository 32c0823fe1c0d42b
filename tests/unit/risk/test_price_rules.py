"""The rules about prices, each just under, at and over its limit."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.limits import ANY
from engine.domain.market import NS_PER_S
from engine.risk.guards import NOTHING_KNOWN, Usual
from tests.unit.made import NOW_NS, USD_JPY, quote
from tests.unit.risk.scene import USUAL, gate

MS = NS_PER_S // 1_000


@pytest.mark.parametrize(
    ("bid", "ask", "tradeable", "passed"),
    [
        ("1.10000", "1.10010", True, True),
        ("1.10000", "1.10000", True, True),
        ("1.10001", "1.10000", True, False),
        ("0.00001", "0.00002", True, True),
        ("0", "1.1", True, False),
        ("-1.1", "1.1", True, False),
        ("0", "0", True, False),
        ("NaN", "1.1", True, False),
        ("1.1", "NaN", True, False),
        ("1.1", "Infinity", True, False),
        ("1.10000", "1.10010", False, False),
    ],
)
def test_quote_must_be_positive_uncrossed_and_tradeable(bid: str, ask: str, tradeable: bool, passed: bool) -> None:
    assert gate("quote", quote=quote(bid, ask, tradeable=tradeable)).passed is passed


@pytest.mark.parametrize(
    ("age_ns", "passed"),
    [
        (0, True),
        (10 * NS_PER_S - MS, True),
        (10 * NS_PER_S, True),
        (10 * NS_PER_S + MS, False),
        (86_400 * NS_PER_S, False),
        (-2 * NS_PER_S, True),
        (-2 * NS_PER_S - MS, False),
    ],
)
def test_quote_must_be_neither_stale_nor_from_the_future(age_ns: int, passed: bool) -> None:
    assert gate("quote_age", now_ns=NOW_NS + age_ns).passed is passed


@pytest.mark.parametrize(("ask", "passed"), [("1.10019", True), ("1.10020", True), ("1.10021", False)])
def test_spread_up_to_its_cap(ask: str, passed: bool) -> None:
    found = gate("spread", quote=quote("1.10000", ask))
    assert found.passed is passed
    assert found.limit == "2 pips"


@pytest.mark.parametrize(
    ("bid", "ask", "text"),
    [
        ("1.10000", "1.10015", "1.5 pips"),
        ("1.1000", "1.1015", "15 pips"),
        ("1.10000", "1.10000", "0 pips"),
        ("1", "1", "0 pips"),
        ("1", "1.1", "1000 pips"),
        ("1.00000000000", "1.00000000001", "0.0000001 pips"),
    ],
)
def test_pips_are_written_without_zeros_and_exponents(bid: str, ask: str, text: str) -> None:
    assert gate("spread", quote=quote(bid, ask)).value == text


def test_spread_cap_is_the_instruments_own() -> None:
    caps = {ANY: Decimal(2), "USD_JPY": Decimal(5)}
    wide = quote("150.000", "150.040", "USD_JPY")
    assert gate("spread", instrument=USD_JPY, quote=wide, spread_pips_max=caps).passed
    assert not gate("spread", instrument=USD_JPY, quote=wide).passed
    assert not gate("spread", quote=quote("1.10000", "1.10040"), spread_pips_max=caps).passed


@pytest.mark.parametrize(
    ("units", "stop", "passed"),
    [
        (1_000, "1.09999", True),
        (1_000, "1.10000", False),
        (1_000, "1.10001", False),
        (1_000, "1.10500", False),
        (1_000, None, False),
        (-1_000, "1.10011", True),
        (-1_000, "1.10010", False),
        (-1_000, "1.10009", False),
        (-1_000, "1.09500", False),
        (-1_000, None, False),
    ],
)
def test_stop_stands_on_the_losing_side_beyond_the_spread(units: int, stop: str | None, passed: bool) -> None:
    found = gate("stop_loss", units, {"stop_loss": None if stop is None else Decimal(stop)})
    assert found.passed is passed


def test_stop_gate_measures_from_the_entry() -> None:
    assert gate("stop_loss", 1_000, {"stop_loss": Decimal("1.09810")}).value == "20 pips"
    assert gate("stop_loss", -1_000, {"stop_loss": Decimal("1.10200")}).value == "20 pips"


@pytest.mark.parametrize(
    ("units", "bound", "passed"),
    [
        (1_000, "1.10029", True),
        (1_000, "1.10030", True),
        (1_000, "1.10031", False),
        (1_000, None, False),
        (-1_000, "1.09981", True),
        (-1_000, "1.09980", True),
        (-1_000, "1.09979", False),
        (-1_000, None, False),
    ],
)
def test_bound_is_no_worse_than_the_slippage(units: int, bound: str | None, passed: bool) -> None:
    given = {"price_bound": None if bound is None else Decimal(bound)}
    assert gate("price_bound", units, given).passed is passed
    assert gate("price_bound", units, given, slippage_pips_max=Decimal(0)).passed


@pytest.mark.parametrize(("ask", "passed"), [("1.10039", True), ("1.10040", True), ("1.10041", False)])
def test_spread_is_not_wider_than_so_many_times_its_median(ask: str, passed: bool) -> None:
    """The median is 1 pip, the limit 4 times that; a sell has the same spread."""
    for units in (1_000, -1_000):
        found = gate("spread_ratio", units, quote=quote("1.10000", ask))
        assert (found.passed, found.limit) == (passed, "4 x median")


@pytest.mark.parametrize(("atr", "passed"), [(0.00499, True), (0.005, True), (0.00501, False), (0.0, True)])
def test_bars_are_not_longer_than_so_many_times_their_median(atr: float, passed: bool) -> None:
    found = gate("volatility", atr=atr)
    assert (found.passed, found.limit) == (passed, "5 x median")


def test_nothing_is_compared_with_a_median_of_too_few_bars() -> None:
    few = replace(NOTHING_KNOWN, bars=19)
    for rule in ("spread_ratio", "volatility"):
        found = gate(rule, usual=few, atr=9.0, quote=quote("1.1", "1.9"))
        assert (found.passed, found.value) == (True, "19 of 20 bars known")


def test_where_nothing_ever_moved_anything_is_too_much() -> None:
    still = Usual(spread=0.0, true_range=0.0, last_mid=1.1, bars=100)
    assert gate("spread_ratio", usual=still, quote=quote("1.1", "1.1")).passed
    assert not gate("spread_ratio", usual=still).passed
    assert gate("volatility", usual=still, atr=0.0).passed
    assert not gate("volatility", usual=still, atr=0.00001).passed


@pytest.mark.parametrize(
    ("mid", "passed"),
    [("1.5", True), ("1.53124", True), ("1.53125", True), ("1.53126", False), ("1.46875", True), ("1.46874", False)],
)
def test_quote_is_not_farther_from_the_last_bar_than_the_collar(mid: str, passed: bool) -> None:
    """4 times an ATR of 1/128 around 1.5."""
    found = gate(
        "price_collar",
        quote=quote(mid, mid),
        usual=replace(USUAL, last_mid=1.5),
        atr=0.0078125,
        price_collar_atr_max=Decimal(4),
    )
    assert (found.passed, found.limit) == (passed, "4 x ATR")


def test_collar_measures_the_middle_and_needs_a_bar_and_a_range() -> None:
    last = replace(USUAL, last_mid=1.5)
    assert gate("price_collar", quote=quote("1.25", "1.75"), usual=last, atr=0.001).passed
    assert not gate("price_collar", usual=NOTHING_KNOWN).passed
    assert gate("price_collar", quote=quote("1.5", "1.5"), usual=last, atr=0.0).passed
    assert not gate("price_collar", quote=quote("1.5001", "1.5001"), usual=last, atr=0.0).passed


@pytest.mark.parametrize(
    ("units", "target", "confidence", "least", "passed"),
    [
        # a stop 20 pips away, a target 40: 0.6 x 40 - 0.4 x 20 - spread 1 - slippage 0.2 - financing 0.3 = 14.5
        (1_000, "1.10410", 0.6, "14.49", True),
        (1_000, "1.10410", 0.6, "14.5", True),
        (1_000, "1.10410", 0.6, "14.51", False),
        (-1_000, "1.09600", 0.6, "14.5", True),
        (-1_000, "1.09600", 0.6, "14.51", False),
        # without a target one as far as the stop: 0.6 x 20 - 0.4 x 20 - 1.5 = 2.5
        (1_000, None, 0.6, "2.5", True),
        (1_000, None, 0.6, "2.51", False),
        (-1_000, None, 0.6, "2.49", True),
        (-1_000, None, 0.6, "2.51", False),
        # 0.35 x 40 - 0.65 x 20 - 1.5 = -0.5
        (1_000, "1.10410", 0.35, "0", False),
        (1_000, "1.10410", 0.35, "-0.5", True),
        (1_000, "1.10410", 0.35, "-0.49", False),
        # 1 x 40 - 1.5 and 0 x 40 - 20 - 1.5
        (1_000, "1.10410", 1.0, "38.5", True),
        (1_000, "1.10410", 0.0, "-21.5", True),
        (1_000, "1.10410", 0.0, "-21.49", False),
    ],
)
def test_expected_gain_after_costs_reaches_the_edge(
    units: int, target: str | None, confidence: float, least: str, passed: bool
) -> None:
    found = gate(
        "edge",
        units,
        {"take_profit": None if target is None else Decimal(target)},
        confidence=confidence,
        slippage=Decimal("0.00002"),
        financing=Decimal("0.00003"),
        edge_pips_min=Decimal(least),
    )
    assert (found.passed, found.limit) == (passed, f"at least {least} pips")


def test_edge_of_an_entry_without_a_stop_cannot_be_reckoned() -> None:
    assert not gate("edge", 1_000, {"stop_loss": None}, edge_pips_min=Decimal(-1_000)).passed
