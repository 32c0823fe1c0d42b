"""The transaction log: every id becomes something, and money is never lost on the way."""

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.transaction_log import (
    Heartbeat,
    TransactionPage,
    TransactionRanges,
    parse_transaction_line,
    parse_transaction_ranges,
    parse_transactions,
)
from engine.adapters.oanda.transactions import Parsed, Unsupported
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    OtherTransaction,
    TradeClosed,
    TradeFinancing,
    TradeOpened,
)
from engine.ledger import Ledger
from tests.unit.adapters.oanda import bodies
from tests.unit.adapters.oanda.bodies import encoded, page, without

amounts = st.decimals(min_value=-(10**6), max_value=10**6, places=4).map(str)
prices = st.decimals(min_value=Decimal("0.00001"), max_value=10**5, places=5).map(str)


def parsed(body: Any) -> Parsed | Heartbeat | ParseFault:
    return parse_transaction_line(encoded(body))


def paged(*transactions: Any, **trade_instruments: str) -> tuple[Parsed, ...]:
    found = parse_transactions(page(*transactions), trade_instruments)
    assert isinstance(found, TransactionPage), found
    return found.transactions


def fill_of(body: Any) -> Fill:
    fill = parsed(body)
    assert isinstance(fill, Fill), fill
    return fill


def test_one_fill_closes_reduces_and_opens_at_the_prices_of_its_parts() -> None:
    assert parsed(bodies.FILL) == Fill(
        transaction_id=7001,
        ts_ns=bodies.TIME_NS,
        order_id="7000",
        client_order_id="12-EUR_USD-1-1",
        instrument="EUR_USD",
        units=Decimal(-1500),
        price=Decimal("1.10012"),
        reason="MARKET_ORDER",
        pl_home=Decimal("-1.5000"),
        financing_home=Decimal("-0.0300"),
        commission_home=Decimal("0.7500"),
        half_spread_home=Decimal("0.0750"),
        balance_home=Decimal("9998.2200"),
        opened=TradeOpened(trade_id="7001", units=Decimal(-750), price=Decimal("1.10020")),
        closed=(
            TradeClosed(
                trade_id="6001",
                units=Decimal(-500),
                price=Decimal("1.10000"),
                realized_pl_home=Decimal("-1.0000"),
                financing_home=Decimal("-0.0200"),
            ),
        ),
        reduced=TradeClosed(
            trade_id="6002",
            units=Decimal(-250),
            price=Decimal("1.10010"),
            realized_pl_home=Decimal("-0.5000"),
            financing_home=Decimal("-0.0100"),
        ),
    )


def test_the_deprecated_price_serves_only_a_part_that_has_none() -> None:
    fill = fill_of(without(without(bodies.FILL, ("tradesClosed", 0, "price")), ("tradeReduced", "price")))
    assert fill.closed[0].price == Decimal("9.99999")
    assert fill.opened is not None
    assert fill.opened.price == Decimal("1.10020")


def test_a_part_without_any_price_is_a_fault() -> None:
    fault = parsed(without(without(bodies.FILL, ("tradeOpened", "price")), ("price",)))
    assert isinstance(fault, ParseFault)
    assert "7001" in fault.reason


def test_prices_that_have_no_average_in_28_digits_are_a_fault() -> None:
    body = {**bodies.FILL, "tradeOpened": {**bodies.FILL["tradeOpened"], "price": "9" * 20}}
    body["tradeReduced"] = {**bodies.FILL["tradeReduced"], "price": "0." + "1" * 20}
    assert isinstance(parsed(body), ParseFault)


def test_a_fill_of_one_price_has_that_price_to_the_digit() -> None:
    body = without(without(bodies.FILL, ("tradesClosed",)), ("tradeReduced",))
    assert str(fill_of(body).price) == "1.10020"


@given(amounts, amounts, amounts, amounts, prices, prices)
def test_a_fill_keeps_every_digit_of_its_amounts(
    pl: str, financing: str, balance: str, half_spread: str, closed_price: str, opened_price: str
) -> None:
    body = {
        **bodies.FILL,
        "pl": pl,
        "financing": financing,
        "accountBalance": balance,
        "halfSpreadCost": half_spread,
        "tradesClosed": [{**bodies.FILL["tradesClosed"][0], "price": closed_price, "realizedPL": pl}],
        "tradeOpened": {**bodies.FILL["tradeOpened"], "price": opened_price},
    }
    fill = fill_of(body)
    assert fill.opened is not None
    assert [str(fill.pl_home), str(fill.financing_home), str(fill.balance_home)] == [pl, financing, balance]
    assert [str(fill.half_spread_home), str(fill.closed[0].realized_pl_home)] == [half_spread, pl]
    assert [str(fill.closed[0].price), str(fill.opened.price)] == [closed_price, opened_price]


@given(st.lists(amounts, min_size=1, max_size=8))
def test_the_ledger_books_what_was_parsed_to_the_last_digit(moved: list[str]) -> None:
    balance, ids = Decimal(0), count(1)
    log = []
    for text in moved:
        balance += Decimal(text)
        log.append({**bodies.TRANSFER, "id": str(next(ids)), "amount": text, "accountBalance": str(balance)})
    ledger = Ledger()
    for transaction in paged(*log):
        assert isinstance(transaction, FundsTransferred)
        ledger.apply(transaction)
    assert ledger.balance_home == balance
    assert ledger.last_transaction_id == len(moved)


@pytest.mark.parametrize(
    "kind", ["MARKET_ORDER", "LIMIT_ORDER", "STOP_ORDER", "MARKET_IF_TOUCHED_ORDER", "FIXED_PRICE_ORDER"]
)
def test_an_order_is_known_by_its_transaction_and_our_id(kind: str) -> None:
    assert parsed({**bodies.CREATE, "type": kind, "price": "1.05000"}) == OrderCreated(
        transaction_id=7000,
        ts_ns=bodies.TIME_NS,
        order_id="7000",
        client_order_id="12-EUR_USD-1-1",
        kind=kind,
        instrument="EUR_USD",
        units=Decimal(-1500),
        price=Decimal("1.05000"),
    )


@pytest.mark.parametrize(
    "kind", ["STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER", "TRAILING_STOP_LOSS_ORDER", "GUARANTEED_STOP_LOSS_ORDER"]
)
def test_a_dependent_order_belongs_to_the_instrument_of_its_trade(kind: str) -> None:
    (order,) = paged({**bodies.STOP_LOSS, "type": kind}, **{"7001": "GBP_USD"})
    assert order == OrderCreated(
        transaction_id=7002,
        ts_ns=bodies.TIME_NS,
        order_id="7002",
        client_order_id="stop",
        kind=kind,
        instrument="GBP_USD",
        trade_id="7001",
        price=Decimal("1.12000"),
    )


def test_a_dependent_order_finds_the_trade_that_was_opened_on_its_page() -> None:
    _, order = paged(bodies.FILL, bodies.STOP_LOSS)
    assert isinstance(order, OrderCreated)
    assert order.instrument == "EUR_USD"


def test_a_fill_tells_the_stops_and_the_target_that_came_with_it() -> None:
    stop = {**bodies.STOP_LOSS, "reason": "ON_FILL"}
    target = {**stop, "id": "7003", "type": "TAKE_PROFIT_ORDER", "price": "1.08000"}
    trailing = {**without(stop, ("price",)), "id": "7004", "type": "TRAILING_STOP_LOSS_ORDER", "distance": "0.00500"}
    fill, *_ = paged(bodies.FILL, stop, target, trailing)
    assert isinstance(fill, Fill)
    assert fill.opened == TradeOpened(
        trade_id="7001",
        units=Decimal(-750),
        price=Decimal("1.10020"),
        stop_loss=Decimal("1.12000"),
        take_profit=Decimal("1.08000"),
        trailing_distance=Decimal("0.00500"),
    )


def test_a_fill_does_not_tell_a_stop_that_was_set_later() -> None:
    fill, _ = paged(bodies.FILL, {**bodies.STOP_LOSS, "reason": "CLIENT_ORDER"})
    assert isinstance(fill, Fill)
    assert fill.opened is not None
    assert fill.opened.stop_loss is None


def test_a_dependent_order_of_a_trade_nobody_knows_has_no_instrument() -> None:
    order = parsed(bodies.STOP_LOSS)
    assert isinstance(order, OrderCreated)
    assert order.instrument == ""


def test_a_stop_that_hangs_on_a_distance_has_no_price() -> None:
    order = parsed({**without(bodies.STOP_LOSS, ("price",)), "distance": "0.00500"})
    assert isinstance(order, OrderCreated)
    assert order.price is None


def test_a_cancel_names_its_order_and_reason() -> None:
    assert parsed(bodies.CANCEL) == OrderCanceled(
        transaction_id=7001,
        ts_ns=bodies.TIME_NS,
        order_id="7000",
        client_order_id="12-EUR_USD-1-1",
        reason="INSUFFICIENT_MARGIN",
    )


@pytest.mark.parametrize("kind", ["MARKET_ORDER_REJECT", "LIMIT_ORDER_REJECT", "STOP_LOSS_ORDER_REJECT"])
def test_a_rejected_order_says_why(kind: str) -> None:
    assert parsed({**bodies.REJECT, "type": kind}) == OrderRejected(
        transaction_id=7000, ts_ns=bodies.TIME_NS, client_order_id="12-EUR_USD-1-1", reason="UNITS_INVALID"
    )


def test_a_rejected_cancel_is_no_rejected_order() -> None:
    body = {
        "id": "7001",
        "time": bodies.TIME,
        "type": "ORDER_CANCEL_REJECT",
        "orderID": "7000",
        "clientOrderID": "12-EUR_USD-1-1",
        "rejectReason": "ORDER_DOESNT_EXIST",
    }
    assert parsed(body) == OtherTransaction(transaction_id=7001, ts_ns=bodies.TIME_NS, kind="ORDER_CANCEL_REJECT")


def test_financing_is_told_per_trade() -> None:
    assert parsed(bodies.FINANCING) == DailyFinancing(
        transaction_id=7003,
        ts_ns=bodies.TIME_NS,
        financing_home=Decimal("-0.0300"),
        balance_home=Decimal("9998.1900"),
        trades=(
            TradeFinancing(trade_id="7001", instrument="EUR_USD", financing_home=Decimal("-0.0200")),
            TradeFinancing(trade_id="6002", instrument="EUR_USD", financing_home=Decimal("-0.0100")),
        ),
    )


def test_a_transfer_moves_money() -> None:
    assert parsed(bodies.TRANSFER) == FundsTransferred(
        transaction_id=7004,
        ts_ns=bodies.TIME_NS,
        amount_home=Decimal("-100.0000"),
        balance_home=Decimal("9898.1900"),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "CREATE",
        "CLOSE",
        "REOPEN",
        "CLIENT_CONFIGURE",
        "CLIENT_CONFIGURE_REJECT",
        "ORDER_CLIENT_EXTENSIONS_MODIFY",
        "ORDER_CLIENT_EXTENSIONS_MODIFY_REJECT",
        "TRADE_CLIENT_EXTENSIONS_MODIFY",
        "TRADE_CLIENT_EXTENSIONS_MODIFY_REJECT",
        "MARGIN_CALL_ENTER",
        "MARGIN_CALL_EXTEND",
        "MARGIN_CALL_EXIT",
        "DELAYED_TRADE_CLOSURE",
        "RESET_RESETTABLE_PL",
        "A_KIND_OF_NEXT_YEAR",
    ],
)
def test_what_moves_no_money_keeps_its_number(kind: str) -> None:
    body = {"id": "7005", "time": bodies.TIME, "type": kind, "marginRate": "0.01"}
    assert parsed(body) == OtherTransaction(transaction_id=7005, ts_ns=bodies.TIME_NS, kind=kind)


def test_a_rejected_transfer_has_moved_nothing() -> None:
    body = {
        "id": "7005",
        "time": bodies.TIME,
        "type": "TRANSFER_FUNDS_REJECT",
        "amount": "500.0000",
        "rejectReason": "INSUFFICIENT_FUNDS",
    }
    assert parsed(body) == OtherTransaction(transaction_id=7005, ts_ns=bodies.TIME_NS, kind="TRANSFER_FUNDS_REJECT")


@pytest.mark.parametrize(
    ("fields", "amount", "balance"),
    [
        ({"dividendAdjustment": "-12.3400", "accountBalance": "9885.8500"}, "-12.3400", "9885.8500"),
        ({"amount": "-1.0000"}, "-1.0000", None),
        ({"fee": "0.5000"}, "0.5000", None),
        ({"accountBalance": "9885.8500"}, None, "9885.8500"),
        ({"accountBalance": "9885.8500", "commission": "0.0000"}, "0.0000", "9885.8500"),
        ({"pl": "1.0000", "financing": "-0.1000"}, None, None),
    ],
)
def test_money_that_our_books_cannot_take_is_named(fields: Any, amount: str | None, balance: str | None) -> None:
    found = parsed({"id": "7005", "time": bodies.TIME, "type": "DIVIDEND_ADJUSTMENT", **fields})
    assert found == Unsupported(
        transaction_id=7005,
        ts_ns=bodies.TIME_NS,
        kind="DIVIDEND_ADJUSTMENT",
        amount_home=None if amount is None else Decimal(amount),
        balance_home=None if balance is None else Decimal(balance),
    )
    assert isinstance(found, Unsupported)
    assert all(text in found.reason for text in ("7005", "DIVIDEND_ADJUSTMENT", amount or "", balance or ""))


def test_an_amount_of_nothing_in_a_kind_we_do_not_know_is_no_money() -> None:
    found = parsed({"id": "7005", "time": bodies.TIME, "type": "NEW_KIND", "amount": "0.0000"})
    assert isinstance(found, OtherTransaction)


@pytest.mark.parametrize("field", ["accountBalance", "amount", "dividendAdjustment", "fee"])
def test_money_of_an_unknown_kind_that_cannot_be_read_is_a_fault(field: str) -> None:
    assert isinstance(parsed({"id": "7005", "time": bodies.TIME, "type": "NEW_KIND", field: 5}), ParseFault)


def test_a_heartbeat_tells_the_newest_id() -> None:
    line = {"type": "HEARTBEAT", "time": bodies.TIME, "lastTransactionID": "2311"}
    assert parsed(line) == Heartbeat(ts_ns=bodies.TIME_NS, last_transaction_id=2311)


def test_ids_are_compared_as_numbers() -> None:
    first, second = paged({**bodies.CREATE, "id": "999"}, {**bodies.CANCEL, "id": "1000"})
    assert (first.transaction_id, second.transaction_id) == (999, 1000)


@pytest.mark.parametrize("ids", [("7001", "7000"), ("7000", "7000")])
def test_a_page_whose_ids_do_not_ascend_is_a_fault(ids: tuple[str, str]) -> None:
    fault = parse_transactions(page(*({**bodies.CREATE, "id": each} for each in ids)))
    assert isinstance(fault, ParseFault)
    assert "follows" in fault.reason


def test_one_bad_transaction_spoils_its_page_and_is_named() -> None:
    fault = parse_transactions(page(bodies.CREATE, without(bodies.FILL, ("pl",))))
    assert isinstance(fault, ParseFault)
    assert "7001" in fault.reason
    assert "ORDER_FILL" in fault.reason
    assert "`pl`" in fault.reason


def test_an_empty_page_tells_the_newest_id() -> None:
    assert parse_transactions(page()) == TransactionPage(transactions=(), last_transaction_id=9999)


def test_ranges_are_read_without_the_host_that_offers_them() -> None:
    pages = ["https://elsewhere.example/v3/accounts/1/transactions/idrange?from=1&to=100", "/x?to=207&from=101"]
    found = parse_transaction_ranges(encoded({"count": 207, "pages": pages, "lastTransactionID": "207"}))
    assert found == TransactionRanges(count=207, ranges=((1, 100), (101, 207)), last_transaction_id=207)


@pytest.mark.parametrize(
    "query", ["", "from=1", "from=1&to=x", "from=1&to=2&to=3", "from=-1&to=2", "from=1&to=" + "9" * 99]
)
def test_a_page_that_names_no_range_is_a_fault(query: str) -> None:
    body = encoded({"count": 1, "pages": [f"https://elsewhere.example/?{query}"], "lastTransactionID": "1"})
    assert isinstance(parse_transaction_ranges(body), ParseFault)


def test_the_ledger_follows_a_fill_with_its_stop() -> None:
    ledger = Ledger()
    ledger.last_transaction_id = 6999
    opening = {
        **without(without(bodies.FILL, ("tradesClosed",)), ("tradeReduced",)),
        "units": "-750",
        "pl": "0.0000",
        "financing": "0.0000",
        "accountBalance": "-0.7500",
    }
    for transaction in paged(bodies.CREATE, opening, bodies.STOP_LOSS):
        assert not isinstance(transaction, Unsupported)
        ledger.apply(transaction)
    (trade,) = ledger.trades_of("EUR_USD")
    assert (trade.units, trade.price, trade.stop_loss) == (Decimal(-750), Decimal("1.10020"), Decimal("1.12000"))
    assert ledger.balance_home == Decimal("-0.7500")
