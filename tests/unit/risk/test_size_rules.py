"""The rules about size, each just under, at and over its limit, with amounts worked out by hand."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.limits import ANY
from engine.risk.exposure import Exposure
from tests.unit.made import EUR_USD, USD_JPY, quote
from tests.unit.risk.scene import gate


@pytest.mark.parametrize(
    ("risk", "passed"),
    [("99.99", True), ("100", True), ("100.01", False), ("0.01", True), ("0", False), ("-1", False)],
)
def test_risk_up_to_its_share_of_equity(risk: str, passed: bool) -> None:
    found = gate("risk_per_trade", risk_home=Decimal(risk))
    assert found.passed is passed
    assert found.limit == "100.00 (1 % of equity)"


@pytest.mark.parametrize("equity", ["0", "-10000"])
def test_nothing_may_be_risked_without_equity(equity: str) -> None:
    assert not gate("risk_per_trade", equity_home=Decimal(equity), risk_home=Decimal("0.01")).passed
    assert not gate("exposure", equity_home=Decimal(equity)).passed


@pytest.mark.parametrize(
    ("held", "units", "reserved", "passed"),
    [
        (0, 49_999, 0, True),
        (0, 50_000, 0, True),
        (0, 50_001, 0, False),
        (0, -50_000, 0, True),
        (0, -50_001, 0, False),
        (20_000, 30_000, 0, True),
        (20_000, 30_001, 0, False),
        (-20_000, 70_000, 0, True),
        (-20_000, 70_001, 0, False),
        (0, 40_000, 10_000, True),
        (0, 40_000, 10_001, False),
        (0, -40_000, 10_001, False),
        (-20_000, 20_000, 50_001, False),
    ],
)
def test_units_after_the_order_stay_within_the_cap(held: int, units: int, reserved: int, passed: bool) -> None:
    found = gate("position_units", units, position_units=Decimal(held), reserved_units=Decimal(reserved))
    assert found.passed is passed


def test_units_cap_is_the_instruments_own() -> None:
    caps = {ANY: Decimal(50_000), "EUR_USD": Decimal(999)}
    assert not gate("position_units", 1_000, position_units_max=caps).passed
    assert not gate("position_units", 1_000, position_units_max={ANY: Decimal(0)}).passed


@pytest.mark.parametrize(
    ("units", "held", "reserved", "others", "passed"),
    [
        (1_000, 0, 0, "8899.95", True),
        (1_000, 0, 0, "8899.94", True),
        (1_000, 0, 0, "8899.96", False),
        (-1_000, 0, 0, "8899.95", True),
        (-1_000, 0, 0, "8899.96", False),
        (-2_000, 1_000, 0, "8899.95", True),
        (-2_000, 1_000, 0, "8899.96", False),
        (1_000, 0, 1_000, "7799.90", True),
        (1_000, 0, 1_000, "7799.91", False),
    ],
)
def test_exposure_after_the_order_stays_within_its_share_of_equity(
    units: int, held: int, reserved: int, others: str, passed: bool
) -> None:
    found = gate(
        "exposure",
        units,
        position_units=Decimal(held),
        reserved_units=Decimal(reserved),
        others=Exposure(gross_home=Decimal(others)),
    )
    assert found.passed is passed


def test_exposure_is_in_home_currency() -> None:
    yen = quote("149.995", "150.005", "USD_JPY", home_rate="0.01")
    assert gate("exposure", 6_666, instrument=USD_JPY, quote=yen).passed
    assert not gate("exposure", 6_667, instrument=USD_JPY, quote=yen).passed


@pytest.mark.parametrize(
    ("units", "held", "reserved", "passed"),
    [
        (4_999, 0, 0, True),
        (5_000, 0, 0, True),
        (5_001, 0, 0, False),
        (-5_000, 0, 0, True),
        (-5_001, 0, 0, False),
        (3_000, 2_000, 0, True),
        (3_000, 2_001, 0, False),
        (-7_000, 2_000, 0, True),
        (-7_001, 2_000, 0, False),
        (2_000, 0, 3_000, True),
        (2_000, 0, 3_001, False),
        (-2_000, 0, 3_001, False),
    ],
)
def test_value_of_a_position_stays_within_its_share_of_equity(
    units: int, held: int, reserved: int, passed: bool
) -> None:
    """At a middle price of 1.00000, 50 % of 10,000 are 5,000 units."""
    found = gate(
        "position_value",
        units,
        quote=quote("0.99995", "1.00005"),
        position_units=Decimal(held),
        reserved_units=Decimal(reserved),
    )
    assert (found.passed, found.limit) == (passed, "5000.00 (50 % of equity)")


def test_share_of_a_position_is_the_instruments_own_and_counted_at_home() -> None:
    yen = quote("149.995", "150.005", "USD_JPY", home_rate="0.01")  # 1.50 at home
    caps = {ANY: Decimal(50), "USD_JPY": Decimal(30)}
    assert gate("position_value", 3_333, instrument=USD_JPY, quote=yen).passed
    assert not gate("position_value", 3_334, instrument=USD_JPY, quote=yen).passed
    assert gate("position_value", 2_000, instrument=USD_JPY, quote=yen, position_pct_max=caps).passed
    assert not gate("position_value", 2_001, instrument=USD_JPY, quote=yen, position_pct_max=caps).passed


@pytest.mark.parametrize(
    ("units", "held", "reserved", "others", "passed"),
    [
        # 1,000 units are worth 1,100.05, the cap is 8,000
        (1_000, 0, 0, ("0", "6899.94"), True),
        (1_000, 0, 0, ("0", "6899.95"), True),
        (1_000, 0, 0, ("0", "6899.96"), False),
        (-1_000, 0, 0, ("-6899.95", "0"), True),
        (-1_000, 0, 0, ("-6899.96", "0"), False),
        (-1_000, 0, 0, ("0", "8000"), True),
        (-1_000, 0, 0, ("0", "9100.05"), True),
        (-1_000, 0, 0, ("0", "9100.06"), False),
        (1_000, 0, 0, ("-9100.05", "-9100.05"), True),
        (1_000, 0, 0, ("-9100.06", "-9100.06"), False),
        (1_000, 1_000, 0, ("5799.90", "5799.90"), True),
        (1_000, 1_000, 0, ("5799.91", "5799.91"), False),
        # what is unfinished may be filled or not: the buy of 1,000 more reaches 2,200.10, the sell leaves 0
        (1_000, 0, 1_000, ("0", "5799.90"), True),
        (1_000, 0, 1_000, ("0", "5799.91"), False),
        (1_000, 0, 1_000, ("-8000", "0"), True),
        (1_000, 0, 1_000, ("-8000.01", "0"), False),
    ],
)
def test_longs_and_shorts_are_offset_and_unfinished_orders_are_not(
    units: int, held: int, reserved: int, others: tuple[str, str], passed: bool
) -> None:
    found = gate(
        "exposure_net",
        units,
        position_units=Decimal(held),
        reserved_units=Decimal(reserved),
        others=Exposure(net_home=(Decimal(others[0]), Decimal(others[1]))),
    )
    assert (found.passed, found.limit) == (passed, "8000.00 (80 % of equity)")


@pytest.mark.parametrize(
    ("units", "reserved", "others", "passed"),
    [
        # 2 % of 1,100.05 are 22.001, the cap is 1,000
        (1_000, 0, "977.998", True),
        (1_000, 0, "977.999", True),
        (1_000, 0, "978.000", False),
        (-1_000, 0, "977.999", True),
        (-1_000, 0, "978.000", False),
        (1_000, 1_000, "955.998", True),
        (1_000, 1_000, "955.999", False),
    ],
)
def test_margin_of_all_positions_stays_within_its_share_of_equity(
    units: int, reserved: int, others: str, passed: bool
) -> None:
    found = gate("margin", units, reserved_units=Decimal(reserved), others=Exposure(margin_home=Decimal(others)))
    assert (found.passed, found.limit) == (passed, "1000.00 (10 % of equity)")


def test_margin_is_by_the_instruments_own_rate() -> None:
    dear = replace(EUR_USD, margin_rate=Decimal("0.5"))  # 550.025
    assert gate("margin", instrument=dear, others=Exposure(margin_home=Decimal("449.975"))).passed
    assert not gate("margin", instrument=dear, others=Exposure(margin_home=Decimal("449.976"))).passed


@pytest.mark.parametrize(
    ("units", "reserved", "currency", "others", "passed"),
    [
        # the cap is 6,000 of each currency; buying 1,000 EUR_USD is +1,100.05 of EUR and -1,100.05 of USD
        (1_000, 0, "EUR", ("0", "4899.94"), True),
        (1_000, 0, "EUR", ("0", "4899.95"), True),
        (1_000, 0, "EUR", ("0", "4899.96"), False),
        (1_000, 0, "USD", ("-4899.95", "0"), True),
        (1_000, 0, "USD", ("-4899.96", "0"), False),
        (1_000, 0, "USD", ("0", "7100.05"), True),
        (1_000, 0, "USD", ("7100.06", "7100.06"), False),
        (-1_000, 0, "EUR", ("-4899.95", "0"), True),
        (-1_000, 0, "EUR", ("-4899.96", "0"), False),
        (-1_000, 0, "USD", ("0", "4899.95"), True),
        (-1_000, 0, "USD", ("0", "4899.96"), False),
        (1_000, 0, "JPY", ("0", "9999"), True),
        # an unfinished order of 1,000: EUR from 0 to 2,200.10, USD from -2,200.10 to 0
        (1_000, 1_000, "EUR", ("0", "3799.90"), True),
        (1_000, 1_000, "EUR", ("0", "3799.91"), False),
        (1_000, 1_000, "USD", ("-3799.90", "0"), True),
        (1_000, 1_000, "USD", ("-3799.91", "0"), False),
        (1_000, 1_000, "USD", ("0", "6000"), True),
        (1_000, 1_000, "USD", ("0", "6000.01"), False),
    ],
)
def test_either_currency_stays_within_its_share_of_equity(
    units: int, reserved: int, currency: str, others: tuple[str, str], passed: bool
) -> None:
    legs = {currency: (Decimal(others[0]), Decimal(others[1]))}
    found = gate("currency_leg", units, reserved_units=Decimal(reserved), others=Exposure(legs_home=legs))
    assert (found.passed, found.limit) == (passed, "6000.00 (60 % of equity)")
    assert passed or found.value.startswith(f"{currency} 6000.01")


@pytest.mark.parametrize(("units", "currency"), [(1_000, "EUR"), (1_000, "USD"), (-1_000, "EUR"), (-1_000, "USD")])
def test_share_of_a_currency_is_its_own(units: int, currency: str) -> None:
    """11 % are 1,100, and 11.0005 % are 1,100.05."""
    for share, passed in (("11", False), ("11.0005", True), ("11.001", True)):
        found = gate("currency_leg", units, currency_pct_max={ANY: Decimal(60), currency: Decimal(share)})
        assert found.passed is passed
        assert passed or found.value == f"{currency} 1100.05"


@pytest.mark.parametrize(("others", "passed"), [(0, True), (1, True), (2, True), (3, False)])
def test_positions_after_the_order_stay_within_their_number(others: int, passed: bool) -> None:
    found = gate("positions", positions_others=others)
    assert (found.passed, found.value, found.limit) == (passed, str(others + 1), "3")
