"""The checker of an entry's prices by hand: an entry of 1.1000 with stops in pips, and bars of two pips."""

from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec.structs import replace as altered

from engine.domain.limits import RiskLimits, StopMode
from engine.domain.market import Bar, Granularity, Quote
from engine.domain.order import OrderIntent, OrderReason
from tests.simulation.judging import Violation
from tests.simulation.prices import check_guard, check_prices

PIPS = replace(
    RiskLimits(), stop_mode=StopMode.PIPS, stop_loss_pips=Decimal(10), take_profit_pips=Decimal(20),
    slippage_pips_max=Decimal(1),
)  # fmt: skip
ATR = replace(PIPS, stop_mode=StopMode.ATR, stop_loss_atr=Decimal(3), take_profit_atr=Decimal(0))
QUOTE = Quote(
    instrument="EUR_USD", bid=Decimal("1.09990"), ask=Decimal("1.10000"), ts_ns=0, received_ns=0, home_rate=Decimal(1)
)
LOW, HIGH = Decimal("1.09985"), Decimal("1.10005")
BAR = Bar(
    instrument="EUR_USD", granularity=Granularity.S5, open_ts_ns=0, bid_open=LOW, bid_high=HIGH, bid_low=LOW,
    bid_close=LOW, ask_open=LOW, ask_high=HIGH, ask_low=LOW, ask_close=HIGH,
)  # fmt: skip
ENTRY = OrderIntent(
    client_order_id="1-EUR_USD-5-1",
    instrument="EUR_USD",
    units=Decimal(1_000),
    created_ns=0,
    reason=OrderReason.SIGNAL,
    price_bound=Decimal("1.10010"),
    stop_loss=Decimal("1.09900"),
    take_profit=Decimal("1.10200"),
)


def test_an_entry_by_the_limits_is_one() -> None:
    check_prices(ENTRY, QUOTE, PIPS, [BAR])
    check_prices(altered(ENTRY, stop_loss=Decimal("1.09940"), take_profit=None), QUOTE, ATR, [BAR])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"price_bound": Decimal("1.10011")}, "bound"),
        ({"price_bound": Decimal("1.09998")}, "bound"),
        ({"stop_loss": Decimal("1.09899")}, "stop"),
        ({"stop_loss": Decimal("1.09902")}, "stop"),
        ({"take_profit": Decimal("1.10201")}, "target"),
        ({"take_profit": Decimal("1.09800")}, "target"),
        ({"take_profit": None}, "target"),
    ],
)
def test_a_price_that_no_limit_makes_is_found(wrong: dict[str, Decimal | None], text: str) -> None:
    with pytest.raises(Violation, match=text):
        check_prices(altered(ENTRY, **wrong), QUOTE, PIPS, [BAR])


def test_a_stop_of_ten_times_the_range_is_found_and_a_quote_far_from_every_bar() -> None:
    with pytest.raises(Violation, match="stop"):
        check_prices(altered(ENTRY, stop_loss=Decimal("1.09400"), take_profit=None), QUOTE, ATR, [BAR])
    spike = altered(QUOTE, bid=QUOTE.bid * 2, ask=QUOTE.bid * 2)
    away = altered(
        ENTRY, price_bound=None, stop_loss=spike.bid - Decimal("0.001"), take_profit=spike.bid + Decimal("0.002")
    )
    with pytest.raises(Violation, match="every bar"):
        check_prices(away, spike, PIPS, [BAR])


@pytest.mark.parametrize(("stop", "holds"), [("1.09890", True), ("1.09880", False), ("1.10000", False)])
def test_a_stop_that_is_set_later_is_as_near_as_one_of_an_entry(stop: str, holds: bool) -> None:
    try:
        check_guard(Decimal(1_000), QUOTE, Decimal(stop), PIPS, [BAR])
    except Violation:
        assert not holds
    else:
        assert holds
