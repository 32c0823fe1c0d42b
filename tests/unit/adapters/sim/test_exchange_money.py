"""What fills do to money: results, margin and its closeout, in home currency and out of others."""

from decimal import Decimal

import pytest

from engine.adapters.sim.conversion import FACTOR_STEP, round_home
from engine.adapters.sim.entries import FinancingBooked, OrderFilled, OrderMade
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.ticket import OnFill, OrderKind
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S
from tests.unit.adapters.sim.venue import START_NS, bar, bought, exchange, instrument, instruments, set_at, ticket, told

MARKET, LIMIT = OrderKind.MARKET, OrderKind.LIMIT
YEN = {"bid": "150.000", "ask": "150.010"}


def filled(market: Exchange) -> OrderFilled:
    return next(entry for entry in reversed(market.book.log) if isinstance(entry, OrderFilled))


@pytest.mark.parametrize(
    ("units", "bid", "ask", "quote_pl"),
    [
        (10_000, "150.500", "150.510", "4900"),
        (10_000, "149.500", "149.510", "-5100"),
        (-10_000, "149.500", "149.510", "4900"),
        (-10_000, "150.500", "150.510", "-5100"),
        (27, "150.007", "150.017", "-0.081"),
        (27, "150.010", "150.020", "0"),
    ],
)
def test_yen_are_booked_with_the_factor_that_the_fill_names(units, bid, ask, quote_pl) -> None:
    market = exchange("USD_JPY", **YEN, conversion_charge=Decimal("0.01"))
    bought(market, units, name="USD_JPY")
    set_at(market, bid, ask, name="USD_JPY")
    market.create(ticket(MARKET, -units, name="USD_JPY"))
    fill, rate = filled(market), 2 / (Decimal(bid) + Decimal(ask))
    assert fill.quote_pl == Decimal(quote_pl)
    for factor, charged in ((fill.gain_factor, "0.99"), (fill.loss_factor, "1.01")):
        assert factor == (rate * Decimal(charged)).quantize(FACTOR_STEP), "it is used as it is shown"
    factor = fill.gain_factor if fill.quote_pl > 0 else fill.loss_factor
    assert fill.pl_home == round_home(fill.quote_pl * factor)
    assert fill.balance_home == 100_000 + fill.pl_home == market.book.balance_home
    assert (fill.pl_home > 0) == (fill.quote_pl > 0)


def test_a_gain_and_a_loss_in_one_fill_are_converted_each_for_itself() -> None:
    market = exchange("USD_JPY", **YEN, conversion_charge=Decimal("0.01"))
    bought(market, 1_000, name="USD_JPY")
    set_at(market, "152.000", "152.010", name="USD_JPY")
    bought(market, 1_000, name="USD_JPY")
    set_at(market, "151.000", "151.010", name="USD_JPY")
    market.create(ticket(MARKET, -2_000, name="USD_JPY"))
    fill = filled(market)
    gain, loss = fill.closed
    assert gain.realized_pl_home == round_home(990 * fill.gain_factor)
    assert loss.realized_pl_home == round_home(-1010 * fill.loss_factor)
    assert fill.pl_home == gain.realized_pl_home + loss.realized_pl_home
    assert fill.quote_pl == -20


def test_a_cross_is_converted_by_the_price_of_its_quote_currency() -> None:
    market = exchange("EUR_GBP", "GBP_USD", bid="0.85000", ask="0.85010")
    for name, bid in (("GBP_USD", "1.25000"), ("EUR_GBP", "0.85000")):
        set_at(market, bid, name=name)
    bought(market, 1_000, name="EUR_GBP")
    opened = filled(market)
    rate = Decimal("1.25005")
    assert opened.opened is not None
    assert opened.opened.margin_home == round_home(1_000 * Decimal("0.85005") * Decimal("0.02") * rate)
    assert opened.half_spread_home == round_home(1_000 * Decimal("0.00005") * rate)
    set_at(market, "1.30000", name="GBP_USD")
    set_at(market, "0.86010", name="EUR_GBP")
    market.create(ticket(MARKET, -1_000, name="EUR_GBP"))
    assert filled(market).pl_home == round_home(10 * Decimal("1.30005"))


@pytest.mark.parametrize(
    ("name", "prices", "margin", "half"),
    [("EUR_USD", {}, "220.0100", "0.5000"), ("USD_JPY", YEN, "200.0000", "0.3333")],
)
@pytest.mark.parametrize("side", [1, -1])
def test_a_trade_that_opens_needs_margin_at_the_prices_of_its_fill(name, prices, margin, half, side) -> None:
    market = exchange(name, **prices)
    bought(market, 10_000 * side, name=name)
    fill = filled(market)
    assert fill.opened is not None
    assert fill.opened.margin_home == Decimal(margin) == market.book.trades[str(fill.id)].margin_home
    assert fill.opened.half_spread_home == fill.half_spread_home == Decimal(half)


def test_the_margin_of_a_fill_inside_a_bar_is_that_of_its_own_prices() -> None:
    market = exchange()
    market.create(ticket(LIMIT, 10_000, price="1.09010"))
    market.on_frame([bar(1, "1.10000 1.10000 1.08000 1.08500")])
    fill = filled(market)
    assert (fill.bid, fill.ask) == (Decimal("1.09000"), Decimal("1.09010"))
    assert fill.opened is not None
    assert fill.opened.margin_home == Decimal("218.0100")


def test_the_half_spread_of_a_fill_is_the_sum_of_its_parts() -> None:
    """OANDA's text of ORDER_FILL.halfSpreadCost; each part is rounded: three times 0.00045 is 3 x 0.0004."""
    market = exchange(ask="1.10009")
    for units in (-10, -10):
        bought(market, units)
    market.create(ticket(MARKET, 30))
    fill = filled(market)
    parts = [*fill.closed, fill.opened]
    assert [part.half_spread_home for part in parts] == [Decimal("0.0004")] * 3
    assert fill.half_spread_home == Decimal("0.0012")


@pytest.mark.parametrize(
    ("before", "units", "outcome"),
    [
        ([], 45_452, "45452 at 1.10010"),
        ([], 45_453, "INSUFFICIENT_MARGIN"),
        ([], -45_452, "-45452 at 1.10000"),
        ([], -45_453, "INSUFFICIENT_MARGIN"),
        ([45_000], 500, "INSUFFICIENT_MARGIN"),
        ([45_000], -45_000, "-45000 at 1.10000"),
        ([45_000], -90_000, "-90000 at 1.10000"),
        ([45_000], -91_000, "INSUFFICIENT_MARGIN"),
    ],
)
def test_an_order_beyond_the_available_margin_is_cancelled(before, units, outcome) -> None:
    market = exchange(balance=Decimal(1_000))
    for each in before:
        bought(market, each)
    assert told(market.create(ticket(MARKET, units))) == f"MARKET, {outcome}"


def test_a_waiting_order_is_judged_by_the_margin_when_it_fires() -> None:
    market = exchange(balance=Decimal(1_000))
    market.create(ticket(LIMIT, 45_000, price="1.09900"))
    market.create(ticket(LIMIT, 45_000, price="1.09900"))
    assert set_at(market, "1.09890") == "45000 at 1.09900, INSUFFICIENT_MARGIN"


@pytest.mark.parametrize(
    ("units", "quiet", "closes"),
    [(40_000, "1.08591", "1.08590"), (-40_000, "1.11381", "1.11382")],
)
def test_margin_closeout_comes_at_twice_the_equity_at_mid(units, quiet, closes) -> None:
    """Long: 800 x mid reaches 2 x (1000 + 40000 x (mid - 1.10010)) between the mids 1.08596 and 1.08595."""
    market = exchange(balance=Decimal(1_000))
    far = {"stop_loss": OnFill(price=Decimal("1.00000" if units > 0 else "1.20000"))}
    trade_id = bought(market, units, **far)
    assert set_at(market, quiet) == ""
    before = market.book.last_id
    price = closes if units > 0 else f"{Decimal(closes) + Decimal('0.00010')}"
    assert set_at(market, closes) == f"MARKET, {-units} at {price}, LINKED_TRADE_CLOSED"
    made, fill, linked = market.book.since(before)
    assert isinstance(made, OrderMade)
    assert isinstance(fill, OrderFilled)
    assert (made.reason, fill.reason) == ("MARGIN_CLOSEOUT", "MARKET_ORDER_MARGIN_CLOSEOUT")
    assert [part.trade_id for part in fill.closed] == [trade_id]
    assert {entry.batch_id for entry in (made, fill, linked)} == {made.id}


def test_margin_closeout_leaves_a_halted_instrument_until_it_can_be_sold() -> None:
    market = exchange("EUR_USD", "GBP_USD", balance=Decimal(1_000))
    bought(market, 20_000)
    bought(market, 20_000, name="GBP_USD")
    set_at(market, "1.05000", name="GBP_USD", tradeable=False)
    assert list(market.book.positions) == ["EUR_USD", "GBP_USD"]
    assert set_at(market, "1.10000") == "MARKET, -20000 at 1.10000"
    assert set_at(market, "1.05000", name="GBP_USD") == "MARKET, -20000 at 1.05000"
    assert not market.book.positions


def test_financing_is_part_of_the_balance() -> None:
    market = exchange(financing={})
    bought(market, 10_000)
    market.advance(START_NS + 24 * 3_600 * NS_PER_S)
    booked = market.book.log[-1]
    assert isinstance(booked, FinancingBooked)
    assert booked.amount_home == sum(part.amount_home for part in booked.parts) < 0
    assert booked.balance_home == 100_000 + booked.amount_home == market.book.balance_home


def test_the_closeout_example_of_oanda() -> None:
    """PROTOCOL section 10: 1,000,000 EUR_GBP at 0.8568, mid 0.8567, 3.33333 %, 50,000 GBP; closeout near a price."""
    gbp: dict[str, Instrument] = instruments("EUR_GBP", "GBP_USD") | {"EUR_GBP": instrument("EUR_GBP", "0.0333333")}
    market = exchange(
        instruments=gbp, currency="GBP", balance=Decimal(50_000), bid="0.85660", ask="0.85680", financing={}
    )
    bought(market, 1_000_000, name="EUR_GBP")
    fill = filled(market)
    assert fill.opened is not None
    assert abs(fill.opened.margin_home - Decimal("28556.64")) < Decimal("0.05")
    assert set_at(market, "0.82080", "0.82100", name="EUR_GBP") == ""
    assert set_at(market, "0.82030", "0.82050", name="EUR_GBP") == "MARKET, -1000000 at 0.82030"
