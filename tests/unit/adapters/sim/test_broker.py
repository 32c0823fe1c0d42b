"""The simulated broker's account, case by case, with hand-computed amounts."""

from decimal import Decimal

import pytest

from engine.adapters.sim.broker import SimBroker
from engine.domain.error import Bug, ConfigError, RetryLater
from engine.domain.transaction import (
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    TradeClosed,
    TradeOpened,
)
from engine.ports import Answered, Opening
from tests.unit.adapters.sim.venue import (
    MINUTE_NS,
    MINUTES_TO_CLOSE,
    START_NS,
    bar,
    broker,
    fills,
    lived,
    order,
    outcome,
    priced,
    sent,
    since,
)


def test_the_log_begins_with_the_opening_balance() -> None:
    venue = broker(balance=Decimal("2500.5"))
    opening = FundsTransferred(
        transaction_id=1, ts_ns=START_NS, amount_home=Decimal("2500.5"), balance_home=Decimal("2500.5")
    )
    assert since(venue) == [opening]
    account = venue.account()
    assert (account.currency, account.last_transaction_id) == ("USD", 1)
    assert account.balance_home == account.equity_home == Decimal("2500.5")
    assert account.margin_used_home == 0


def test_an_instrument_that_cannot_be_converted_is_refused() -> None:
    with pytest.raises(ConfigError, match="EUR_GBP cannot be traded on a USD account"):
        broker("EUR_GBP")


def test_a_quote_is_the_close_of_the_newest_bar() -> None:
    venue = broker("USD_JPY")
    assert "USD_JPY" not in venue.quotes
    with pytest.raises(RetryLater, match="USD_JPY has no quote yet"):
        venue.quote("USD_JPY")
    venue.on_frame([bar(1, "149.000 151.000 148.000 149.995", spread="0.010", name="USD_JPY")])
    quote = venue.quote("USD_JPY")
    assert "USD_JPY" in venue.quotes
    assert (quote.bid, quote.ask, quote.home_rate) == (Decimal("149.995"), Decimal("150.005"), 1 / Decimal(150))
    assert quote.ts_ns == quote.received_ns == START_NS + MINUTE_NS
    assert quote.tradeable


def test_a_cross_has_no_quote_before_it_can_be_converted() -> None:
    venue = broker("EUR_GBP", "GBP_USD")
    venue.on_frame([bar(1, "0.85000", name="EUR_GBP")])
    assert "EUR_GBP" not in venue.quotes
    assert outcome(sent(venue, order(100, name="EUR_GBP"))) == "MARKET_HALTED"
    venue.on_frame([bar(2, "0.85000", name="EUR_GBP"), bar(2, "1.24995", name="GBP_USD")])
    assert venue.quote("EUR_GBP").home_rate == Decimal("1.25")
    assert outcome(sent(venue, order(100, name="EUR_GBP"))) == "MARKET_ORDER"


def test_a_market_order_makes_its_create_its_fill_and_its_dependent_orders() -> None:
    venue = priced()
    came = sent(
        venue,
        order(
            10_000,
            client_order_id="mine",
            stop_loss="1.09000",
            take_profit="1.12000",
            trailing_distance="0.00500",
            price_bound="1.10020",
        ),
    )
    now_ns = START_NS + MINUTE_NS
    assert came == [
        OrderCreated(
            transaction_id=2,
            ts_ns=now_ns,
            order_id="2",
            client_order_id="mine",
            kind="MARKET_ORDER",
            instrument="EUR_USD",
            units=Decimal(10_000),
        ),
        Fill(
            transaction_id=3,
            ts_ns=now_ns,
            order_id="2",
            client_order_id="mine",
            instrument="EUR_USD",
            units=Decimal(10_000),
            price=Decimal("1.10010"),
            reason="MARKET_ORDER",
            pl_home=Decimal(0),
            financing_home=Decimal(0),
            commission_home=Decimal(0),
            half_spread_home=Decimal("0.5"),
            balance_home=Decimal(100_000),
            opened=TradeOpened(
                trade_id="3",
                units=Decimal(10_000),
                price=Decimal("1.10010"),
                stop_loss=Decimal("1.09000"),
                take_profit=Decimal("1.12000"),
                trailing_distance=Decimal("0.00500"),
            ),
        ),
        *[
            OrderCreated(
                transaction_id=number,
                ts_ns=now_ns,
                order_id=str(number),
                client_order_id=None,
                kind=kind,
                instrument="EUR_USD",
                trade_id="3",
                price=Decimal(price),
            )
            for number, kind, price in (
                (4, "TAKE_PROFIT_ORDER", "1.12000"),
                (5, "STOP_LOSS_ORDER", "1.09000"),
                (6, "TRAILING_STOP_LOSS_ORDER", "1.09500"),
            )
        ],
    ]


def test_the_trailing_stop_of_a_short_trade_starts_above_the_ask() -> None:
    came = sent(priced(), order(-1, trailing_distance="0.00500"))
    assert came[-1].price == Decimal("1.10510")


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (order(100, name="GBP_USD"), "INSTRUMENT_UNKNOWN"),
        (order("1.5"), "UNITS_PRECISION_EXCEEDED"),
        (order(1, stop_loss="1.000001"), "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
    ],
)
def test_a_reject_is_one_transaction_and_moves_nothing(intent, reason) -> None:
    venue = priced()
    now_ns = START_NS + MINUTE_NS
    assert sent(venue, intent) == [OrderRejected(transaction_id=2, ts_ns=now_ns, client_order_id="one", reason=reason)]
    assert venue.account().margin_used_home == 0


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (order(100, price_bound="1.10009"), "BOUNDS_VIOLATION"),
        (order(-100, stop_loss="1.10010"), "STOP_LOSS_ON_FILL_LOSS"),
        (order(100, take_profit="1.09000"), "TAKE_PROFIT_ON_FILL_LOSS"),
        (order(9_000_000), "INSUFFICIENT_MARGIN"),
        (order(100, reduce_only=True), "POSITION_CLOSEOUT_FAILED"),
    ],
)
def test_a_cancel_follows_its_create_and_moves_nothing(intent, reason) -> None:
    venue = priced()
    created, canceled = sent(venue, intent)
    assert isinstance(created, OrderCreated)
    assert canceled == OrderCanceled(
        transaction_id=3, ts_ns=START_NS + MINUTE_NS, order_id="2", client_order_id="one", reason=reason
    )
    assert venue.account().margin_used_home == 0


def test_the_market_is_halted_before_the_first_quote() -> None:
    assert outcome(sent(broker(), order(100))) == "MARKET_HALTED"


def test_the_market_is_halted_after_the_last_bar_of_the_week() -> None:
    venue = broker()
    venue.on_frame([bar(MINUTES_TO_CLOSE - 1, "1.10000")])
    assert venue.quote("EUR_USD").tradeable
    venue.on_frame([bar(MINUTES_TO_CLOSE, "1.10000")])
    assert not venue.quote("EUR_USD").tradeable
    assert outcome(sent(venue, order(100))) == "MARKET_HALTED"


def test_an_order_of_saturday_is_not_filled_at_a_quote_of_friday() -> None:
    saturday_ns = START_NS + (MINUTES_TO_CLOSE + 1_440) * MINUTE_NS
    assert outcome(sent(priced(), order(100))) == "MARKET_ORDER"
    assert outcome(sent(priced(), order(100, created_ns=saturday_ns))) == "MARKET_HALTED"


def test_the_venue_can_be_given_other_hours() -> None:
    venue = priced(is_open=lambda ts_ns: False)
    assert outcome(sent(venue, order(100))) == "MARKET_HALTED"


def test_one_fill_closes_reduces_and_opens_oldest_first() -> None:
    venue = broker(balance=Decimal(1_000_000))
    for minute, price in ((1, "1.10000"), (2, "1.11000"), (3, "1.12000")):
        venue.on_frame([bar(minute, price)])
        sent(venue, order(10_000))
    venue.on_frame([bar(4, "1.11500")])
    created, fill = sent(venue, order(-15_000))
    assert fill.price == Decimal("1.11500")
    assert fill.closed == (
        TradeClosed(
            trade_id="3", units=Decimal(-10_000), price=Decimal("1.11500"), realized_pl_home=Decimal("149.0000")
        ),
    )
    assert fill.reduced == TradeClosed(
        trade_id="5", units=Decimal(-5_000), price=Decimal("1.11500"), realized_pl_home=Decimal("24.5000")
    )
    assert fill.opened is None
    assert fill.pl_home == Decimal("173.5000")
    _, fill = sent(venue, order(-25_000))
    assert [(each.trade_id, each.units, each.realized_pl_home) for each in fill.closed] == [
        ("5", Decimal(-5_000), Decimal("24.5000")),
        ("7", Decimal(-10_000), Decimal("-51.0000")),
    ]
    assert fill.reduced is None
    assert fill.opened == TradeOpened(trade_id=str(fill.transaction_id), units=Decimal(-10_000), price=fill.price)
    assert venue.account().balance_home == Decimal(1_000_000) + Decimal("173.5") + Decimal("24.5") - 51


def test_orders_of_closed_trades_are_canceled_and_those_of_reduced_ones_stay() -> None:
    venue = priced()
    first = sent(venue, order(100, stop_loss="1.09000", take_profit="1.12000"))
    sent(venue, order(100, stop_loss="1.09500"))
    came = sent(venue, order(-150))
    canceled = [each for each in came if isinstance(each, OrderCanceled)]
    assert [(each.order_id, each.reason, each.client_order_id) for each in canceled] == [
        (first[2].order_id, "LINKED_TRADE_CLOSED", None),
        (first[3].order_id, "LINKED_TRADE_CLOSED", None),
    ]
    (fill,) = fills(lived(venue, bar(2, "1.09400")))
    assert (fill.units, fill.reason) == (Decimal(-50), "STOP_LOSS_ORDER")


def test_a_reduce_only_order_never_opens_and_its_surplus_ends() -> None:
    venue = priced()
    sent(venue, order(100))
    created, fill, canceled = sent(venue, order(-150, client_order_id="close", reduce_only=True))
    assert (created.units, fill.units, fill.opened) == (Decimal(-150), Decimal(-100), None)
    assert (canceled.order_id, canceled.client_order_id) == (created.order_id, "close")
    assert canceled.reason == "POSITION_CLOSEOUT_FAILED"
    assert venue.account().margin_used_home == 0


def test_an_exact_reduce_only_order_is_filled_without_a_cancel() -> None:
    venue = priced()
    sent(venue, order(-100))
    created, fill = sent(venue, order(100, reduce_only=True))
    assert fill.units == created.units == 100


def test_the_same_client_order_id_buys_again() -> None:
    """OANDA keeps client order ids unique among pending orders only: a second fill was measured."""
    venue = priced()
    assert outcome(sent(venue, order(100, client_order_id="twin"))) == "MARKET_ORDER"
    assert outcome(sent(venue, order(100, client_order_id="twin"))) == "MARKET_ORDER"
    assert sum(fill.units for fill in fills(since(venue))) == 200


@pytest.mark.parametrize(
    ("units", "prices", "reason", "price", "pl"),
    [
        (10_000, "1.10000 1.10100 1.09000 1.09500", "STOP_LOSS_ORDER", "1.09000", "-101.0000"),
        (10_000, "1.08000 1.08500 1.07000 1.08000", "STOP_LOSS_ORDER", "1.08000", "-201.0000"),
        (10_000, "1.10000 1.12000 1.09500 1.11000", "TAKE_PROFIT_ORDER", "1.12000", "199.0000"),
        (10_000, "1.13000 1.13500 1.12500 1.13000", "TAKE_PROFIT_ORDER", "1.13000", "299.0000"),
        (10_000, "1.10000 1.12000 1.09000 1.10000", "STOP_LOSS_ORDER", "1.09000", "-101.0000"),
        (-10_000, "1.10000 1.11990 1.09500 1.11000", "STOP_LOSS_ORDER", "1.12000", "-200.0000"),
        (-10_000, "1.13000 1.13500 1.12500 1.13000", "STOP_LOSS_ORDER", "1.13010", "-301.0000"),
        (-10_000, "1.10000 1.10500 1.08990 1.09500", "TAKE_PROFIT_ORDER", "1.09000", "100.0000"),
        (-10_000, "1.08000 1.08500 1.07500 1.08000", "TAKE_PROFIT_ORDER", "1.08010", "199.0000"),
    ],
)
def test_stops_and_targets_close_their_trade(units, prices, reason, price, pl) -> None:
    """A long trade from 1.10010 or a short one from 1.10000, between 1.09000 and 1.12000."""
    low, high = "1.09000", "1.12000"
    stop, target = (low, high) if units > 0 else (high, low)
    venue = priced()
    opened = sent(venue, order(units, stop_loss=stop, take_profit=target))
    fill, canceled = lived(venue, bar(2, prices))
    assert (fill.reason, fill.price, fill.units) == (reason, Decimal(price), Decimal(-units))
    assert fill.pl_home == Decimal(pl)
    assert [each.trade_id for each in fill.closed] == [fills(opened)[0].opened.trade_id]
    orders = {each.order_id: each.kind for each in opened if isinstance(each, OrderCreated)}
    assert orders[fill.order_id] == reason
    assert {orders[fill.order_id], orders[canceled.order_id]} == {"STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER"}
    assert canceled.reason == "LINKED_TRADE_CLOSED"
    assert lived(venue, bar(3, prices)) == []


def test_a_trailing_stop_moves_only_after_its_bar_was_judged() -> None:
    """The high of the second minute would lift the stop over that minute's low; it is judged against the old one."""
    venue = priced()
    sent(venue, order(1_000, trailing_distance="0.00500"))
    assert lived(venue, bar(2, "1.10000 1.11000 1.09600 1.10700")) == []
    assert lived(venue, bar(3, "1.10600 1.10700 1.10501 1.10600")) == []
    (fill,) = lived(venue, bar(4, "1.10600 1.10600 1.10500 1.10550"))
    assert (fill.price, fill.reason) == (Decimal("1.10500"), "TRAILING_STOP_LOSS_ORDER")


def test_a_trailing_stop_of_a_short_trade_follows_the_lowest_ask() -> None:
    venue = priced()
    sent(venue, order(-1_000, trailing_distance="0.00500"))
    assert lived(venue, bar(2, "1.10000 1.10000 1.09000 1.09100")) == []
    (fill,) = lived(venue, bar(3, "1.09400 1.09500 1.09300 1.09300"))
    assert (fill.price, fill.units) == (Decimal("1.09510"), Decimal(1_000))


def test_each_trade_of_a_position_has_its_own_stop() -> None:
    venue = priced()
    sent(venue, order(100, stop_loss="1.09500"))
    sent(venue, order(200, stop_loss="1.09000"))
    sent(venue, order(300, stop_loss="1.08000"))
    assert [fill.units for fill in fills(lived(venue, bar(2, "1.10000 1.10000 1.09000 1.09100")))] == [-100, -200]
    assert venue.account().margin_used_home == 300 * Decimal("1.09105") * Decimal("0.02")


def test_gains_and_losses_are_converted_with_the_charge() -> None:
    """10,000 USD_JPY bought at 150.010 and sold 1 yen higher or lower; rates of the quote of the fill, 1 % charge."""
    for bid, mid, factor in (("151.010", "151.015", "0.99"), ("149.010", "149.015", "1.01")):
        venue = priced("USD_JPY", price="150.000", conversion_charge=Decimal("0.01"))
        venue.on_frame([bar(2, "150.000", spread="0.010", name="USD_JPY")])
        sent(venue, order(10_000, name="USD_JPY"))
        venue.on_frame([bar(3, bid, spread="0.010", name="USD_JPY")])
        _, fill = sent(venue, order(-10_000, name="USD_JPY"))
        yen = 10_000 * (Decimal(bid) - Decimal("150.010"))
        assert abs(yen) == 10_000
        expected = (yen / Decimal(mid) * Decimal(factor)).quantize(Decimal("0.0001"))
        assert fill.pl_home == expected
        assert venue.account().balance_home == 100_000 + expected


def test_open_pl_is_converted_at_mid_without_the_charge() -> None:
    venue = priced("USD_JPY", price="150.000", conversion_charge=Decimal("0.01"))
    sent(venue, order(-10_000, name="USD_JPY"))
    venue.on_frame([bar(2, "149.000", spread="0.010", name="USD_JPY")])
    open_yen = 10_000 * (Decimal("150.000") - Decimal("149.010"))
    expected = open_yen / Decimal("149.005")
    assert abs(venue.account().equity_home - 100_000 - expected) < Decimal("1e-18")


def test_a_frame_leaves_other_instruments_quotes_alone() -> None:
    venue = priced("EUR_USD", "GBP_USD")
    before = venue.quote("GBP_USD")
    venue.on_frame([bar(2, "1.20000")])
    assert venue.quote("GBP_USD") is before
    assert venue.quote("EUR_USD").bid == Decimal("1.20000")


def test_time_never_goes_back() -> None:
    venue = priced()
    venue.on_frame([])
    with pytest.raises(Bug, match="comes after"):
        venue.on_frame([bar(0, "1.10000")])
    assert venue.quote("EUR_USD").ts_ns == START_NS + MINUTE_NS


def test_transactions_since_returns_only_what_is_newer() -> None:
    venue: SimBroker = priced()
    sent(venue, order(1))
    assert [each.transaction_id for each in venue.transactions_since(0)] == [1, 2, 3]
    assert [each.transaction_id for each in venue.transactions_since(2)] == [3]
    assert list(venue.transactions_since(3)) == []
    assert list(venue.transactions_since(99)) == []


def test_a_stop_that_the_instrument_cannot_have_is_rejected_and_the_old_one_stays() -> None:
    venue = priced()
    (fill,) = fills(sent(venue, order(100, stop_loss="1.00000")))
    before = venue.holdings()
    assert isinstance(venue.protect(str(fill.transaction_id), "EUR_USD", Decimal("1.000001")), Answered)
    (rejected,) = since(venue, before.last_transaction_id)
    assert isinstance(rejected, OrderRejected) and rejected.reason == "PRICE_PRECISION_EXCEEDED"
    assert (venue.holdings().trades, venue.holdings().orders) == (before.trades, before.orders)


def test_what_is_held_is_told_by_numbers_whatever_the_instrument() -> None:
    venue = priced("EUR_USD", "GBP_USD")
    names = ("EUR_USD", "GBP_USD", "EUR_USD")
    for number, name in enumerate(names):
        sent(venue, order(100, name=name, client_order_id=f"n{number}"))
    held = venue.holdings()
    assert [(each.instrument, each.client_order_id) for each in held.trades] == list(
        zip(names, ("n0", "n1", "n2"), strict=True)
    )
    assert venue.opening() == Opening(balance_home=Decimal(0), last_transaction_id=0)
