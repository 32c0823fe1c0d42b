"""Our books against the broker's: equal is silent, each difference has its words."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.account import Holdings, Trade
from engine.reconciliation import breaks

TRADE = Trade(
    trade_id="7",
    instrument="EUR_USD",
    units=Decimal(1000),
    initial_units=Decimal(1000),
    price=Decimal("1.1"),
    opened_ns=1,
    client_order_id="3-EUR_USD-1-1",
    stop_loss=Decimal("1.09"),
    take_profit=None,
)
OTHER = replace(TRADE, trade_id="9", instrument="USD_JPY", units=Decimal(-5))
BALANCE = Decimal("100000.0000")


def held(*trades: Trade, balance: Decimal = BALANCE) -> Holdings:
    return Holdings(balance_home=balance, last_transaction_id=12, trades=trades, orders=())


def test_equal_books_are_silent_in_whatever_order() -> None:
    assert breaks(BALANCE, (TRADE, OTHER), held(OTHER, TRADE)) == ()
    assert breaks(Decimal(100000), (), held()) == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ((TRADE,), (), "trade 7 (1000 EUR_USD) is open in our books alone"),
        ((), (TRADE,), "trade 7 (1000 EUR_USD) is open at the broker alone"),
        ((TRADE,), (replace(TRADE, units=Decimal(999)),), "trade 7 (999 EUR_USD) is of 1000 EUR_USD in our books"),
        ((TRADE,), (replace(TRADE, instrument="GBP_USD"),), "trade 7 (1000 GBP_USD) is of 1000 EUR_USD in our books"),
        (
            (TRADE,),
            (replace(TRADE, stop_loss=None),),
            "trade 7 (1000 EUR_USD) has a stop-loss in our books and none in the broker's",
        ),
        (
            (replace(TRADE, stop_loss=None),),
            (TRADE,),
            "trade 7 (1000 EUR_USD) has a stop-loss in the broker's and none in our books",
        ),
    ],
)
def test_a_trade_that_differs_is_named(ours: tuple[Trade, ...], theirs: tuple[Trade, ...], said: str) -> None:
    assert breaks(BALANCE, ours, held(*theirs)) == (said,)


def test_the_smallest_coin_is_a_difference() -> None:
    found = breaks(BALANCE, (TRADE,), held(TRADE, balance=BALANCE + Decimal("0.0001")))
    assert found == ("the broker's balance is 100000.0001, ours is 100000.0000",)


def test_every_difference_is_named() -> None:
    found = breaks(BALANCE, (TRADE,), held(OTHER, balance=Decimal(5)))
    assert len(found) == 3
