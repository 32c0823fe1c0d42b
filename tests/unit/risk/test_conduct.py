"""What was sent, lost and failed, counted by hand."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.account import Trade
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, TradeClosed
from engine.risk.conduct import Conduct, LastEntry
from tests.unit.made import NOW_NS, closes, fill, intent, opens

MINUTE_NS = 60 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S


def trade(trade_id: str = "1", held_ns: int = MINUTE_NS, **given: Decimal) -> Trade:
    values = {"realized_pl_home": Decimal(0), "financing_home": Decimal(0), **given}
    return Trade(
        trade_id=trade_id,
        instrument="EUR_USD",
        units=Decimal(100),
        initial_units=Decimal(100),
        price=Decimal("1.1"),
        opened_ns=NOW_NS - held_ns,
        client_order_id=None,
        stop_loss=None,
        take_profit=None,
        **values,
    )


def closing(pl: str, name: str = "EUR_USD", ts_ns: int = NOW_NS, financing: str = "0") -> Fill:
    part = replace(closes("1", "-100", "1.1", pl), financing_home=Decimal(financing))
    return replace(fill(9, "-100", "0", name=name, pl=pl, closed=(part,)), ts_ns=ts_ns)


def buy(number: int = 1, bar_ns: int = 0, **given: object) -> OrderIntent:
    return intent(100, f"1-EUR_USD-{bar_ns}-{number}", **given)


def sell(number: int = 1, bar_ns: int = 0) -> OrderIntent:
    return intent(-100, f"1-EUR_USD-{bar_ns}-{number}")


def test_nothing_is_known_of_a_session_that_did_nothing() -> None:
    conduct = Conduct()
    assert conduct.last_entry("EUR_USD") is None and conduct.last_loss_ns("EUR_USD") is None
    assert (conduct.losses_in_row, conduct.model_faults, conduct.errors(NOW_NS)) == (0, 0, 0)
    assert (conduct.orders_last_minute(NOW_NS), conduct.slippage("EUR_USD"), conduct.holding_ns) == (0, 0, DAY_NS)
    assert not conduct.stirred and not conduct.was_decided(buy())


def test_entries_to_one_side_are_counted_until_the_other_side_or_a_person() -> None:
    conduct = Conduct()
    for count in (1, 2, 3):
        conduct.ordered(buy(count), NOW_NS + count)
        assert conduct.last_entry("EUR_USD") == LastEntry(ts_ns=NOW_NS + count, side=1, in_a_row=count)
    conduct.ordered(intent(100, "1-USD_JPY-0-4", instrument="USD_JPY"), NOW_NS)
    conduct.ordered(buy(5, reason=OrderReason.EXIT), NOW_NS + 9)
    assert conduct.last_entry("EUR_USD") == LastEntry(ts_ns=NOW_NS + 3, side=1, in_a_row=3)
    conduct.ordered(sell(6), NOW_NS + 10)
    assert conduct.last_entry("EUR_USD") == LastEntry(ts_ns=NOW_NS + 10, side=-1, in_a_row=1)
    conduct.ordered(sell(7), NOW_NS + 11)
    conduct.looked_at("EUR_USD")
    assert conduct.last_entry("EUR_USD") == LastEntry(ts_ns=NOW_NS + 11, side=-1, in_a_row=0)
    conduct.ordered(sell(8), NOW_NS + 12)
    assert conduct.last_entry("EUR_USD") == LastEntry(ts_ns=NOW_NS + 12, side=-1, in_a_row=1)
    conduct.looked_at("GBP_USD")
    assert conduct.last_entry("GBP_USD") is None


@pytest.mark.parametrize(("ago_ns", "count"), [(MINUTE_NS - 1, 3), (MINUTE_NS, 2), (MINUTE_NS + 1, 2)])
def test_rate_counts_every_order_of_the_last_minute(ago_ns: int, count: int) -> None:
    conduct = Conduct()
    conduct.ordered(buy(), NOW_NS - ago_ns)
    conduct.ordered(buy(reason=OrderReason.EXIT), NOW_NS - 1)
    conduct.ordered(buy(reason=OrderReason.FLATTEN), NOW_NS)
    assert conduct.orders_last_minute(NOW_NS) == count


@pytest.mark.parametrize(("ago_s", "count"), [(299, 2), (300, 1), (301, 1)])
def test_errors_count_for_five_minutes(ago_s: int, count: int) -> None:
    conduct = Conduct()
    conduct.failed(NOW_NS - ago_s * NS_PER_S)
    conduct.failed(NOW_NS)
    assert conduct.stirred and conduct.errors(NOW_NS) == count
    conduct.forgive_errors()
    assert conduct.errors(NOW_NS) == 0


def test_losses_in_a_row_end_with_a_gain_and_not_with_a_trade_that_brought_nothing() -> None:
    conduct = Conduct()
    for pl, name, row in (("-1", "EUR_USD", 1), ("-0.01", "USD_JPY", 2), ("0", "EUR_USD", 2), ("-5", "EUR_USD", 3)):
        conduct.filled(closing(pl, name), ())
        assert conduct.losses_in_row == row and conduct.stirred
    conduct.filled(closing("0.01"), ())
    assert conduct.losses_in_row == 0
    conduct.filled(closing("-1"), ())
    conduct.forgive_losses()
    assert conduct.losses_in_row == 0


def test_loss_is_remembered_by_instrument_and_a_gain_does_not_wipe_it_out() -> None:
    conduct = Conduct()
    conduct.filled(closing("-1", ts_ns=NOW_NS), ())
    conduct.filled(closing("3", ts_ns=NOW_NS + 5), ())
    conduct.filled(closing("-1", "USD_JPY", ts_ns=NOW_NS + 7), ())
    assert (conduct.last_loss_ns("EUR_USD"), conduct.last_loss_ns("USD_JPY")) == (NOW_NS, NOW_NS + 7)


@pytest.mark.parametrize(
    ("pl", "financing", "earlier", "nights", "lost"),
    [
        ("1", "0", "0", "0", False),
        ("1", "-2", "0", "0", True),
        ("1", "0", "-2", "0", True),
        ("-1", "0", "2", "0", False),
        ("1", "0", "0", "-1.01", True),
        ("1", "0", "0", "-0.99", False),
        ("-1", "0", "0", "1.01", False),
    ],
)
def test_result_of_a_trade_has_all_its_parts_and_nights(
    pl: str, financing: str, earlier: str, nights: str, lost: bool
) -> None:
    conduct = Conduct()
    before = trade(realized_pl_home=Decimal(earlier), financing_home=Decimal(nights))
    conduct.filled(closing(pl, financing=financing), (trade("7", realized_pl_home=Decimal(-99)), before))
    assert conduct.losses_in_row == int(lost)


def test_part_of_a_trade_that_stays_open_is_no_result_yet() -> None:
    conduct = Conduct()
    reduced = TradeClosed(trade_id="1", units=Decimal(-50), price=Decimal(1), realized_pl_home=Decimal(-9))
    conduct.filled(fill(9, "-50", "0", pl="-9", reduced=reduced), (trade(),))
    assert conduct.losses_in_row == 0 and conduct.holding_ns == DAY_NS


def test_trades_are_held_for_the_median_of_the_closed_ones() -> None:
    conduct = Conduct()
    for minutes in (1, 90, 3):
        conduct.filled(closing("1"), (trade(held_ns=minutes * MINUTE_NS),))
    assert conduct.holding_ns == 3 * MINUTE_NS
    conduct.filled(closing("1"), (trade(held_ns=5 * MINUTE_NS),))
    assert conduct.holding_ns == 4 * MINUTE_NS


def test_slippage_is_the_median_of_what_entries_were_filled_worse() -> None:
    conduct = Conduct()
    assert conduct.slippage("EUR_USD") == 0
    for number, (units, expected, price) in enumerate(
        [("100", "1.1000", "1.1002"), ("-100", "1.1000", "1.0999"), ("100", "1.1000", "1.0995")]
    ):
        order_id = f"1-EUR_USD-0-{number}"
        conduct.ordered(intent(units, order_id), NOW_NS, Decimal(expected))
        filled = fill(number + 1, units, "0", price=price, client_order_id=order_id, opened=opens("5", units, price))
        conduct.filled(filled, ())
        conduct.filled(filled, ())  # the second part of an order has nothing to be compared with
    assert conduct.slippage("EUR_USD") == Decimal("0.0001")  # of 0.0002, 0.0001 and -0.0005
    assert conduct.slippage("USD_JPY") == 0


def test_order_without_a_promised_price_tells_no_slippage() -> None:
    conduct = Conduct()
    conduct.ordered(buy(), NOW_NS)
    conduct.filled(fill(1, "100", "0", price="2", client_order_id="1-EUR_USD-0-1"), ())
    conduct.ordered(buy(2, reason=OrderReason.EXIT), NOW_NS, Decimal(1))
    conduct.filled(fill(2, "100", "0", price="2", client_order_id="1-EUR_USD-0-2"), ())
    assert conduct.slippage("EUR_USD") == 0


def test_faults_are_those_of_the_worst_instrument_among_its_newest_ten_answers() -> None:
    conduct = Conduct()
    conduct.answered("EUR_USD", is_fault=False)
    assert not conduct.stirred
    for name, faults in (("EUR_USD", 2), ("USD_JPY", 3), ("GBP_USD", 1)):
        for _ in range(faults):
            conduct.answered(name, is_fault=True)
    assert conduct.stirred and conduct.model_faults == 3
    for answers, left in ((7, 3), (1, 2), (1, 2), (1, 2)):
        for _ in range(answers):
            conduct.answered("USD_JPY", is_fault=False)
        assert conduct.model_faults == left
    conduct.forgive_faults()
    assert conduct.model_faults == 0


def test_bar_and_side_of_the_newest_entry_are_known_from_its_id() -> None:
    conduct = Conduct()
    conduct.decided(buy(1, bar_ns=60))
    assert conduct.was_decided(buy(2, bar_ns=60))
    assert not conduct.was_decided(sell(2, bar_ns=60)) and not conduct.was_decided(buy(2, bar_ns=120))
    assert not conduct.was_decided(intent(100, "1-USD_JPY-60-2", instrument="USD_JPY"))


def test_clock_that_was_set_back_does_not_forget_orders() -> None:
    conduct = Conduct()
    conduct.ordered(buy(), NOW_NS)
    assert conduct.orders_last_minute(NOW_NS - 3_600 * NS_PER_S) == 1
