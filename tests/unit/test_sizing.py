"""From risk and distance to units, stop, target and bound: worked examples, by hand."""

import dataclasses
from decimal import Decimal

import pytest

from engine.domain.instrument import Instrument
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.market import Quote
from engine.domain.window import BarWindow
from engine.sizing import EntryPlan, plan_entry, stop_distance, target_distance
from tests.unit.made import EUR_USD, USD_JPY, XAU_USD, instrument, quote, ranging

WIDE = {ANY: Decimal(100_000_000)}
PIPS = RiskLimits(
    risk_per_trade_pct=Decimal(1),
    position_units_max=WIDE,
    position_pct_max={ANY: Decimal(3_000)},
    slippage_pips_max=Decimal(2),
    stop_mode=StopMode.PIPS,
    stop_loss_pips=Decimal(20),
    take_profit_pips=Decimal(30),
)
ATR = dataclasses.replace(
    PIPS, stop_mode=StopMode.ATR, stop_loss_atr=Decimal(2), take_profit_atr=Decimal(3), atr_period=14
)


def plan(
    direction: int,
    limits: RiskLimits = PIPS,
    now: Quote | None = None,
    spec: Instrument = EUR_USD,
    equity: str = "10000",
    bars: BarWindow | None = None,
) -> EntryPlan:
    return plan_entry(
        direction=direction,
        quote=now or quote(),
        instrument=spec,
        limits=limits,
        equity_home=Decimal(equity),
        window=bars or ranging(15),
    )


def test_buy_enters_at_the_ask_with_its_stop_below_and_target_above() -> None:
    assert plan(1) == EntryPlan(
        units=Decimal(50_000),
        stop_loss=Decimal("1.09810"),
        take_profit=Decimal("1.10310"),
        price_bound=Decimal("1.10030"),
        stop_distance=Decimal("0.00200"),
        risk_home=Decimal(100),
        loss_per_unit_home=Decimal("0.002"),
    )


def test_sell_enters_at_the_bid_with_its_stop_above_and_target_below() -> None:
    assert plan(-1) == EntryPlan(
        units=Decimal(-50_000),
        stop_loss=Decimal("1.10200"),
        take_profit=Decimal("1.09700"),
        price_bound=Decimal("1.09980"),
        stop_distance=Decimal("0.00200"),
        risk_home=Decimal(100),
        loss_per_unit_home=Decimal("0.002"),
    )


def test_atr_mode_measures_in_average_true_ranges() -> None:
    bars = ranging(15, "0.0010013")
    sized = plan(1, ATR, bars=bars)
    assert (sized.stop_loss, sized.take_profit) == (Decimal("1.09810"), Decimal("1.10310"))
    assert stop_distance(ATR, EUR_USD, bars) == pytest.approx(Decimal("0.0020026"))
    assert target_distance(ATR, EUR_USD, bars) == pytest.approx(Decimal("0.0030039"))


def test_wider_range_means_a_smaller_position_of_the_same_risk() -> None:
    calm, wild = plan(1, ATR, bars=ranging(15, "0.0010013")), plan(1, ATR, bars=ranging(15, "0.0040013"))
    assert (calm.units, wild.units) == (50_000, 12_500)
    assert calm.risk_home == wild.risk_home == 100


@pytest.mark.parametrize(
    ("mode", "field", "off"), [("pips", "take_profit_pips", PIPS), ("atr", "take_profit_atr", ATR)]
)
@pytest.mark.parametrize("direction", [1, -1])
def test_tp_mode(mode: str, field: str, off: RiskLimits, direction: int) -> None:
    """The target follows the stop's mode, and 0 of that mode's own field means none."""
    other = {"pips": "take_profit_atr", "atr": "take_profit_pips"}[mode]
    without = dataclasses.replace(off, **{field: Decimal(0)})
    assert plan(direction, without).take_profit is None
    assert plan(direction, dataclasses.replace(off, **{other: Decimal(0)})) == plan(direction, off)
    assert plan(direction, without).units == plan(direction, off).units


def test_stop_mode_decides_which_stop_distance_counts() -> None:
    assert plan(1, dataclasses.replace(PIPS, stop_loss_atr=Decimal(40))) == plan(1)
    assert plan(1, dataclasses.replace(ATR, stop_loss_pips=Decimal(400))) == plan(1, ATR)


@pytest.mark.parametrize(
    ("equity", "units"), [("10000", 50_000), ("10000.19", 50_000), ("10000.20", 50_001), ("9999.99", 49_999)]
)
def test_size_rounds_down(equity: str, units: int) -> None:
    assert plan(1, equity=equity).units == units
    assert plan(-1, equity=equity).units == -units


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    ("equity", "limits", "bars"),
    [
        ("0", PIPS, None),
        ("-5000", PIPS, None),
        ("0.19", PIPS, None),
        ("10000", dataclasses.replace(PIPS, position_units_max={ANY: Decimal(0)}), None),
        ("10000", ATR, ranging(15, "0")),
    ],
    ids=["no equity", "debt", "less than a unit", "cap of zero", "market that does not move"],
)
def test_zero_size_is_no_trade(direction: int, equity: str, limits: RiskLimits, bars: BarWindow | None) -> None:
    sized = plan(direction, limits, equity=equity, bars=bars)
    assert (sized.units, sized.risk_home) == (0, 0)


@pytest.mark.parametrize(("minimum", "units"), [("50000", 50_000), ("50001", 0)])
def test_less_than_the_brokers_minimum_is_no_trade(minimum: str, units: int) -> None:
    assert plan(1, spec=instrument(units_min=minimum)).units == units


@pytest.mark.parametrize(
    ("cap", "broker", "units"),
    [("50001", "100000000", 50_000), ("49999", "100000000", 49_999), ("100000000", "30000", 30_000), ("7.9", "9", 7)],
)
def test_size_is_cut_to_the_position_cap_and_to_the_brokers_maximum(cap: str, broker: str, units: int) -> None:
    limits = dataclasses.replace(PIPS, position_units_max={ANY: Decimal(1), "EUR_USD": Decimal(cap)})
    sized = plan(-1, limits, spec=instrument(units_max=broker))
    assert sized.units == -units
    assert sized.risk_home == units * Decimal("0.002")


@pytest.mark.parametrize(
    ("share", "units"), [("500", 45_452), ("550", 49_997), ("550.025", 50_000), ("551", 50_000), ("1", 90)]
)
@pytest.mark.parametrize("direction", [1, -1])
def test_size_is_cut_to_the_value_that_a_position_may_have(direction: int, share: str, units: int) -> None:
    """At a middle price of 1.10005, 500 % of 10,000 are 45,452.5 units; the risk alone asks for 50,000."""
    limits = dataclasses.replace(PIPS, position_pct_max={ANY: Decimal(1), "EUR_USD": Decimal(share)})
    sized = plan(direction, limits)
    assert sized.units == direction * units
    assert sized.risk_home == units * Decimal("0.002")


def test_value_of_a_position_is_counted_at_home() -> None:
    """A dollar in yen is worth 150.005 x 0.0066 = 0.990033 at home: 500 % of 10,000 are 50,503.3 units."""
    limits = dataclasses.replace(PIPS, position_pct_max={ANY: Decimal(500)})
    assert plan(1, limits, quote("150.000", "150.010", "USD_JPY", home_rate="0.0066"), USD_JPY).units == 50_503


def test_fractional_units() -> None:
    """Gold by the hundredth of an ounce: 100 of risk over 7.00 a unit is 14.28 units."""
    limits = dataclasses.replace(PIPS, stop_loss_pips=Decimal(700))
    sized = plan(1, limits, quote("2399.90", "2400.00", "XAU_USD"), XAU_USD)
    assert sized.units == Decimal("14.28")
    assert sized.risk_home == Decimal("99.96")
    assert (str(sized.stop_loss), str(sized.take_profit)) == ("2393.000", "2400.300")


def test_yen_is_sized_in_home_currency() -> None:
    """20 pips are 0.20 yen, at 0.0066 dollars a yen 0.00132 a unit."""
    sized = plan(1, PIPS, quote("150.000", "150.010", "USD_JPY", home_rate="0.0066"), USD_JPY)
    assert sized.units == 75_757
    assert sized.risk_home == 75_757 * Decimal("0.00132")
    assert str(sized.stop_loss) == "149.810"


def test_price_strings_by_precision() -> None:
    for spec, now, decimals in (
        (EUR_USD, quote("1.1", "1.1001"), 5),
        (USD_JPY, quote("150", "150.01", "USD_JPY", home_rate="0.0066"), 3),
    ):
        sized = plan(1, ATR, now, spec, bars=ranging(15, "0.00123"))
        for price in (sized.stop_loss, sized.take_profit, sized.price_bound):
            assert len(str(price).split(".")[1]) == decimals


def test_stop_and_target_are_rounded_toward_the_entry_and_the_bound_to_a_better_price() -> None:
    odd = dataclasses.replace(
        PIPS, stop_loss_pips=Decimal("20.07"), take_profit_pips=Decimal("30.07"), slippage_pips_max=Decimal("2.07")
    )
    buy, sell = plan(1, odd), plan(-1, odd)
    assert (buy.stop_loss, buy.take_profit, buy.price_bound) == (
        Decimal("1.09810"),
        Decimal("1.10310"),
        Decimal("1.10030"),
    )
    assert (sell.stop_loss, sell.take_profit, sell.price_bound) == (
        Decimal("1.10200"),
        Decimal("1.09700"),
        Decimal("1.09980"),
    )


def test_slippage_of_zero_switches_the_bound_off() -> None:
    assert plan(1, dataclasses.replace(PIPS, slippage_pips_max=Decimal(0))).price_bound is None


def test_sell_has_no_target_below_zero() -> None:
    limits = dataclasses.replace(PIPS, take_profit_pips=Decimal(10_000))
    target = plan(-1, limits, quote("0.85000", "0.85010", "EUR_GBP"), instrument("EUR_GBP")).take_profit
    assert target is None or target > 0


def test_plan_is_frozen() -> None:
    with pytest.raises(AttributeError):
        plan(1).units = Decimal(1)  # type: ignore[misc]
