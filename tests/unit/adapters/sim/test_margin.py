"""Margin and equity; the first case is the worked example of OANDA's help pages (PROTOCOL section 10)."""

from decimal import Decimal

import pytest

from engine.adapters.sim.book import Book, Trade
from engine.adapters.sim.conversion import HomeRates
from engine.adapters.sim.margin import closeout_figures, must_close_out
from engine.domain.instrument import Instrument
from tests.unit.adapters.sim.venue import (
    bar,
    broker,
    fills,
    instrument,
    instruments,
    lived,
    order,
    outcome,
    priced,
    sent,
)

CENT = Decimal("0.01")


def book_with(traded: Instrument, units: int, price: str, balance: int) -> Book:
    book = Book()
    money = Decimal(balance)
    book.balance_home = money
    book.open(Trade(trade_id="2", instrument=traded, is_long=units > 0, units=Decimal(units), price=Decimal(price)))
    return book


def test_worked_example_of_oanda() -> None:
    eur_gbp = instrument("EUR_GBP", margin_rate="0.0333333")
    rates = HomeRates([eur_gbp], "GBP", Decimal(0))
    rates.mids["EUR_GBP"] = Decimal("0.8567")
    book = book_with(eur_gbp, 1_000_000, "0.8568", 50_000)
    margin, equity = closeout_figures(book, rates)
    assert margin.quantize(CENT) == Decimal("28556.64")
    assert equity == Decimal(49_900)
    assert (100 * margin / (2 * equity)).quantize(CENT) == Decimal("28.61")
    assert not must_close_out(book, rates)


def test_account_values_longs_at_the_bid_and_shorts_at_the_ask() -> None:
    venue = broker("EUR_GBP", instruments=instruments("EUR_GBP", margin_rate="0.05"), currency="GBP")
    venue.on_frame([bar(1, "0.85000", spread="0.00020", name="EUR_GBP")])
    sent(venue, order(10_000, name="EUR_GBP"))
    assert venue.account().equity_home == Decimal("99998.0000")
    assert venue.account().margin_used_home == Decimal("425.05")
    sent(venue, order(-30_000, name="EUR_GBP"))
    assert venue.account().balance_home == Decimal("99998.0000")
    assert venue.account().equity_home == Decimal("99994.0000")
    assert venue.account().margin_used_home == Decimal("850.10")


def test_equity_and_margin_of_what_a_reduction_leaves() -> None:
    """Bought 1,000 at 1.10010 and 1,000 at 1.20010; 1,500 sold at 1.30000; 500 of the second are left."""
    venue = priced()
    sent(venue, order(1_000))
    venue.on_frame([bar(2, "1.20000")])
    sent(venue, order(1_000))
    venue.on_frame([bar(3, "1.30000")])
    sent(venue, order(-1_500))
    account = venue.account()
    assert account.balance_home == Decimal("100249.85")
    assert account.equity_home == account.balance_home + Decimal("49.95")
    assert account.margin_used_home == Decimal("13.0005")


@pytest.mark.parametrize(
    ("bid", "closed_out"),
    [
        ("0.98991", False),
        ("0.98990", True),
        ("0.98989", True),
    ],
)
def test_closeout_when_margin_reaches_twice_the_equity_at_mid(bid, closed_out) -> None:
    """50,000 EUR bought at 1.00010 with 1,000 USD; at mid 0.99000 the margin is 990 and the equity 495."""
    venue = broker(balance=Decimal(1_000))
    venue.on_frame([bar(1, "0.99990", spread="0.00020")])
    sent(venue, order(50_000, stop_loss="0.50000"))
    came = lived(venue, bar(2, bid, spread="0.00020"))
    assert [fill.reason for fill in fills(came)] == (["MARKET_ORDER_MARGIN_CLOSEOUT"] if closed_out else [])
    if closed_out:
        assert [type(each).__name__ for each in came] == ["OrderCreated", "Fill", "OrderCanceled"]
        assert fills(came)[0].price == Decimal(bid)
        assert fills(came)[0].units == -50_000
        assert venue.account().margin_used_home == 0


def test_closeout_closes_every_position_and_every_trade() -> None:
    venue = priced("EUR_USD", "GBP_USD", balance=Decimal(2_000))
    sent(venue, order(20_000))
    sent(venue, order(20_000))
    sent(venue, order(-40_000, name="GBP_USD"))
    came = fills(lived(venue, bar(2, "1.05500"), bar(2, "1.10000", name="GBP_USD")))
    assert [(fill.instrument, fill.units, len(fill.closed)) for fill in came] == [
        ("EUR_USD", Decimal(-40_000), 2),
        ("GBP_USD", Decimal(40_000), 1),
    ]
    assert venue.account().equity_home == venue.account().balance_home


@pytest.mark.parametrize(
    ("units", "result"),
    [
        (45_452, "MARKET_ORDER"),
        (45_453, "INSUFFICIENT_MARGIN"),
        (-45_452, "MARKET_ORDER"),
        (-45_453, "INSUFFICIENT_MARGIN"),
    ],
)
def test_an_order_needs_margin_for_what_it_opens(units, result) -> None:
    """45,452 units at mid 1.10005 and 2 % need 999.9895 USD, one unit more 1,000.0115."""
    assert outcome(sent(priced(balance=Decimal(1_000)), order(units))) == result


@pytest.mark.parametrize(
    ("units", "result"),
    [
        (1_000, "INSUFFICIENT_MARGIN"),
        (-1_000, "MARKET_ORDER"),
        (-45_000, "MARKET_ORDER"),
        (-90_247, "MARKET_ORDER"),
        (-90_248, "INSUFFICIENT_MARGIN"),
    ],
)
def test_reducing_stays_possible_and_frees_margin_for_the_other_side(units, result) -> None:
    """After 45,000 bought the spread took 4.50 USD of 1,000: there is margin for 45,247 units the other way."""
    venue = priced(balance=Decimal(1_000))
    assert outcome(sent(venue, order(45_000))) == "MARKET_ORDER"
    assert outcome(sent(venue, order(units))) == result
