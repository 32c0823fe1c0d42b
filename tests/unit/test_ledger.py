"""The books follow the broker's log to the last decimal, and stop at the first line that does not add up."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.account import Account, EquityPoint, Position
from engine.domain.error import HaltTrading
from engine.domain.transaction import (
    DailyFinancing,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    TradeFinancing,
    Transaction,
)
from engine.ledger import Ledger
from tests.unit.made import EUR_USD, NOW_NS, USD_JPY, closes, fill, opens, paid_in, quote


def books(*transactions: Transaction) -> Ledger:
    ledger = Ledger()
    for transaction in transactions:
        ledger.apply(transaction)
    return ledger


def state(ledger: Ledger) -> tuple[Any, ...]:
    return (
        ledger.balance_home,
        ledger.last_transaction_id,
        ledger.realized_pl_home,
        ledger.financing_home,
        ledger.commission_home,
        ledger.transferred_home,
        ledger.trades_opened,
        ledger.held,
        ledger.open_trades,
        tuple(ledger.units(name) for name in ledger.held),
    )


def long_1000(stop: str | None = None, target: str | None = None) -> list[Transaction]:
    stops = {
        name: Decimal(price) for name, price in (("stop_loss", stop), ("take_profit", target)) if price is not None
    }
    return [paid_in(1, "10000"), fill(2, "1000", "10000", opened=opens("2", "1000", **stops))]


def created(number: int, kind: str, price: str, trade_id: str = "2") -> OrderCreated:
    return OrderCreated(
        transaction_id=number,
        ts_ns=NOW_NS,
        order_id=str(number),
        client_order_id=None,
        kind=kind,
        instrument="EUR_USD",
        trade_id=trade_id,
        price=Decimal(price),
    )


def canceled(number: int, order_id: str) -> OrderCanceled:
    return OrderCanceled(
        transaction_id=number, ts_ns=NOW_NS, order_id=order_id, client_order_id=None, reason="LINKED_TRADE_CLOSED"
    )


def financed(number: int, amount: str, balance: str, *parts: tuple[str, str]) -> DailyFinancing:
    return DailyFinancing(
        transaction_id=number,
        ts_ns=NOW_NS,
        financing_home=Decimal(amount),
        balance_home=Decimal(balance),
        trades=tuple(
            TradeFinancing(trade_id=trade_id, instrument="EUR_USD", financing_home=Decimal(part))
            for trade_id, part in parts
        ),
    )


def test_new_books_are_empty() -> None:
    assert state(Ledger()) == (0, 0, 0, 0, 0, 0, 0, (), (), ())


def test_opening_a_trade_moves_units_and_no_money() -> None:
    ledger = books(*long_1000("1.09", "1.12"))
    (trade,) = ledger.open_trades
    assert (ledger.balance_home, ledger.units("EUR_USD"), ledger.trades_opened) == (10_000, 1_000, 1)
    assert (trade.trade_id, trade.units, trade.initial_units, trade.price) == ("2", 1_000, 1_000, Decimal("1.1"))
    assert (trade.stop_loss, trade.take_profit, trade.opened_ns) == (Decimal("1.09"), Decimal("1.12"), NOW_NS)


def test_closing_a_trade_books_its_result_and_leaves_nothing_held() -> None:
    ledger = books(
        *long_1000(),
        fill(
            3,
            "-1000",
            "10009.5",
            pl="10",
            financing="-0.2",
            commission="0.3",
            closed=(replace(closes("2", -1000, "1.11", 10), financing_home=Decimal("-0.2")),),
        ),  # fmt: skip
    )
    assert ledger.balance_home == Decimal("10009.5")
    assert (ledger.realized_pl_home, ledger.financing_home, ledger.commission_home) == (
        Decimal(10),
        Decimal("-0.2"),
        Decimal("0.3"),
    )
    assert (ledger.held, ledger.units("EUR_USD"), ledger.open_trades) == ((), 0, ())


def test_one_fill_closes_one_trade_reduces_another_and_a_later_one_turns_round() -> None:
    ledger = books(
        *long_1000(),
        fill(3, "500", "10000", opened=opens("3", "500", "1.2"), price="1.2"),
        fill(
            4, "-1200", "10050", pl="50", closed=(closes("2", -1000, "1.15", 50),), reduced=closes("3", -200, "1.15", 0)
        ),
        fill(5, "-1000", "10035", pl="-15", closed=(closes("3", -300, "1.15", -15),), opened=opens("5", -700, "1.15")),
    )
    assert ledger.units("EUR_USD") == -700
    assert [(trade.trade_id, trade.units) for trade in ledger.trades_of("EUR_USD")] == [("5", -700)]
    assert (ledger.balance_home, ledger.realized_pl_home, ledger.trades_opened) == (10_035, 35, 3)


def test_partly_closed_trade_keeps_its_price_and_remembers_what_it_made() -> None:
    ledger = books(*long_1000(), fill(3, "-400", "10004", pl="4", reduced=closes("2", -400, "1.11", 4)))
    (trade,) = ledger.open_trades
    assert (trade.units, trade.initial_units, trade.price, trade.realized_pl_home) == (600, 1_000, Decimal("1.1"), 4)


def test_average_price_weighs_trades_by_their_units() -> None:
    ledger = books(*long_1000(), fill(3, "3000", "10000", opened=opens("3", "3000", "1.20000"), price="1.2"))
    position = ledger.position("EUR_USD", quote("1.18", "1.181"))
    assert (position.units, position.average_price) == (4_000, Decimal("1.175"))
    assert position.unrealized_pl_home == 4_000 * Decimal("0.005")


@pytest.mark.parametrize(("units", "expected"), [("1000", "-0.1"), ("-1000", "-0.3")])
def test_open_result_is_taken_on_the_closing_side(units: str, expected: str) -> None:
    ledger = books(paid_in(1, "10000"), fill(2, units, "10000", opened=opens("2", units)))
    assert ledger.unrealized_home({"EUR_USD": quote("1.0999", "1.1003")}) == Decimal(expected)


def test_open_result_is_converted_to_home_currency() -> None:
    ledger = books(paid_in(1, "10000"), fill(2, "1000", "10000", name="USD_JPY", opened=opens("2", "1000", "150")))
    quotes = {"USD_JPY": quote("151", "151.1", "USD_JPY", home_rate="0.0066")}
    assert ledger.unrealized_home(quotes) == Decimal("6.6")


def test_exposure_adds_longs_and_shorts_at_mid_and_can_leave_one_out() -> None:
    ledger = books(
        *long_1000(), fill(3, "-2000", "10000", name="USD_JPY", opened=opens("3", "-2000", "150"), price="150")
    )
    quotes = {"EUR_USD": quote("1.1", "1.2"), "USD_JPY": quote("149", "151", "USD_JPY", home_rate="0.01")}
    assert ledger.exposure_home(quotes) == 1_000 * Decimal("1.15") + 2_000 * Decimal("1.5")
    assert ledger.exposure_home(quotes, besides="EUR_USD") == 3_000
    assert ledger.margin_used_home(quotes, {"EUR_USD": EUR_USD, "USD_JPY": USD_JPY}) == (1_150 + 3_000) * Decimal(
        "0.02"
    )


@pytest.mark.parametrize(
    ("units", "stop", "risk"),
    [
        ("1000", "1.09", "10"),
        ("1000", "1.1", "0"),
        ("1000", "1.11", "0"),
        ("-1000", "1.11", "9"),
        ("-1000", "1.101", "0"),
        ("-1000", "1.09", "0"),
        ("1000", None, "1100"),
        ("-1000", None, "1101"),
    ],
)
def test_money_at_risk_is_what_is_lost_from_now_to_the_stop(units: str, stop: str | None, risk: str) -> None:
    stops = {"stop_loss": Decimal(stop)} if stop else {}
    ledger = books(paid_in(1, "10000"), fill(2, units, "10000", opened=opens("2", units, **stops)))
    assert ledger.risk_home("EUR_USD", quote("1.100", "1.101")) == Decimal(risk)


def test_instrument_that_is_not_held_has_no_units_risk_or_trades() -> None:
    ledger = books(paid_in(1, "100"))
    assert (ledger.units("EUR_USD"), ledger.trades_of("EUR_USD"), ledger.risk_home("EUR_USD", quote())) == (0, (), 0)


def test_stops_and_targets_follow_the_orders_at_the_broker() -> None:
    ledger = books(
        *long_1000(), created(3, "STOP_LOSS_ORDER", "1.08"), created(4, "TAKE_PROFIT_ORDER", "1.15"), canceled(5, "4")
    )
    (trade,) = ledger.open_trades
    assert (trade.stop_loss, trade.take_profit) == (Decimal("1.08"), None)
    ledger.apply(canceled(6, "3"))
    assert ledger.open_trades[0].stop_loss is None


def test_cancelling_an_order_that_is_no_stop_of_ours_changes_no_stop() -> None:
    ledger = books(*long_1000("1.08", "1.15"), created(3, "STOP_LOSS_ORDER", "1.08"), canceled(4, "99"))
    assert (ledger.open_trades[0].stop_loss, ledger.open_trades[0].take_profit) == (Decimal("1.08"), Decimal("1.15"))


def test_financing_moves_the_balance_and_is_noted_on_each_trade() -> None:
    ledger = books(
        *long_1000(),
        fill(3, "500", "10000", opened=opens("3", "500")),
        financed(4, "-0.75", "9999.25", ("2", "-0.5"), ("3", "-0.25")),
    )
    assert (ledger.balance_home, ledger.financing_home) == (Decimal("9999.25"), Decimal("-0.75"))
    assert [trade.financing_home for trade in ledger.open_trades] == [Decimal("-0.5"), Decimal("-0.25")]
    assert ledger.units("EUR_USD") == 1_500


def test_money_paid_in_and_out_is_kept_apart_from_results() -> None:
    ledger = books(paid_in(1, "1000"), paid_in(2, "-300", "700"))
    assert (ledger.balance_home, ledger.transferred_home, ledger.realized_pl_home) == (700, 700, 0)


def test_rejected_order_counts_as_a_line_of_the_log_and_changes_nothing_else() -> None:
    ledger = books(*long_1000())
    before = state(ledger)
    ledger.apply(OrderRejected(transaction_id=3, ts_ns=NOW_NS, client_order_id=None, reason="UNITS_LIMIT_EXCEEDED"))
    assert state(ledger) == (before[0], 3, *before[2:])


@pytest.mark.parametrize("number", [1, 2, 4, 0, -1])
@pytest.mark.parametrize(
    "make",
    [
        lambda number: fill(number, "1", "10000", opened=opens("9", "1")),
        lambda number: paid_in(number, "1", "10001"),
        lambda number: financed(number, "-1", "9999"),
        lambda number: created(number, "STOP_LOSS_ORDER", "1.05"),
        lambda number: canceled(number, "9"),
    ],
    ids=["fill", "transfer", "financing", "created", "canceled"],
)
def test_number_that_does_not_follow_halts_and_changes_nothing(make: Callable[[int], Transaction], number: int) -> None:
    ledger = books(*long_1000("1.08"))
    before = state(ledger)
    with pytest.raises(HaltTrading, match=f"{number} follows 2"):
        ledger.apply(make(number))
    assert state(ledger) == before


@pytest.mark.parametrize(
    "transaction",
    [
        fill(3, "-1000", "10010.00001", pl="10", closed=(closes("2", -1000, "1.11", 10),)),
        fill(3, "-1000", "10010", pl="10", commission="1", closed=(closes("2", -1000, "1.11", 10),)),
        fill(3, "1", "10001", opened=opens("3", "1")),
        financed(3, "-1", "10001", ("2", "-1")),
        paid_in(3, "100", "100"),
    ],
    ids=["one step off", "commission has the wrong sign", "money from nowhere", "financing's sign", "transfer"],
)
def test_balance_that_does_not_add_up_halts_and_changes_nothing(transaction: Transaction) -> None:
    ledger = books(*long_1000())
    before = state(ledger)
    with pytest.raises(HaltTrading, match="leaves a balance of .*, our books say"):
        ledger.apply(transaction)
    assert state(ledger) == before


UNKNOWN = fill(3, "-1000", "10010", pl="10", closed=(closes("8", -1000, "1.11", 10),))
TOO_MUCH = fill(3, "-1001", "10010", pl="10", closed=(closes("2", -1001, "1.11", 10),))


@pytest.mark.parametrize("transaction", [UNKNOWN, TOO_MUCH], ids=["unknown trade", "more than there is"])
def test_closing_what_is_not_there_halts(transaction: Transaction) -> None:
    with pytest.raises(HaltTrading, match="closed"):
        books(*long_1000(), transaction)


@pytest.mark.parametrize("transaction", [UNKNOWN, TOO_MUCH], ids=["unknown trade", "more than there is"])
def test_closing_what_is_not_there_changes_nothing(transaction: Transaction) -> None:
    ledger = books(*long_1000())
    before = state(ledger)
    with pytest.raises(HaltTrading):
        ledger.apply(transaction)
    assert state(ledger) == before


def test_closing_part_on_the_side_of_its_trade_halts() -> None:
    with pytest.raises(HaltTrading):
        books(*long_1000(), fill(3, "200", "10000", reduced=closes("2", "200", "1.1", 0)))


def test_parts_that_are_not_the_units_of_the_fill_halt() -> None:
    with pytest.raises(HaltTrading):
        books(paid_in(1, "10000"), fill(2, "1000", "10000", opened=opens("2", "-1000")))


def test_parts_that_are_not_the_result_of_the_fill_halt() -> None:
    with pytest.raises(HaltTrading):
        books(*long_1000(), fill(3, "-1000", "10010", pl="10", closed=(closes("2", -1000, "1.11", -10),)))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (books(*long_1000()).open_trades[0], "units"),
        (books(*long_1000()).position("EUR_USD", quote()), "units"),
        (EquityPoint(ts_ns=1, equity_home=Decimal(1), balance_home=Decimal(1)), "equity_home"),
        (fill(1, "1", "0"), "pl_home"),
        (paid_in(1, "1"), "amount_home"),
        (opens("1", "1"), "units"),
        (closes("1", "1", "1", "1"), "units"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_values_of_the_books_are_frozen(value: object, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, name, Decimal(99))


def test_account_and_position_are_compared_by_value() -> None:
    account = Account(
        currency="USD",
        balance_home=Decimal(1),
        equity_home=Decimal(1),
        margin_used_home=Decimal(0),
        last_transaction_id=1,
    )
    assert replace(account) == account != replace(account, last_transaction_id=2)
    position = Position(instrument="EUR_USD", units=Decimal(1), average_price=Decimal(1), unrealized_pl_home=Decimal(0))
    assert replace(position, units=Decimal(-1)) != position
