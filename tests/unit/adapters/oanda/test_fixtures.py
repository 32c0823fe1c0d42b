"""Recorded answers of the real service, file by file: each becomes the right value, or the refusal that it records."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.adapters.oanda.holdings import (
    BookLevel,
    OrderBook,
    PositionSide,
    TwoSidedPosition,
    parse_order_book,
    parse_orders,
    parse_positions,
    parse_trade,
    parse_trades,
)
from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.outcomes import (
    Canceled,
    Filled,
    Made,
    Pending,
    Refused,
    parse_create,
    parse_made,
)
from engine.adapters.oanda.parsing import (
    AccountChanges,
    AccountSummary,
    Candles,
    HomeRate,
    Ohlc,
    Price,
    Pricing,
    parse_accounts,
    parse_bars,
    parse_candles,
    parse_changes,
    parse_instruments,
    parse_pricing,
    parse_pricing_line,
    parse_summary,
)
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.transaction_log import (
    Heartbeat,
    TransactionPage,
    TransactionRanges,
    parse_transaction_line,
    parse_transaction_ranges,
    parse_transactions,
)
from engine.adapters.oanda.transactions import Unsupported
from engine.domain.account import Account, Trade, WorkingOrder
from engine.domain.instrument import Instrument
from engine.domain.market import Granularity
from engine.domain.transaction import (
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    OtherTransaction,
    TradeClosed,
    TradeOpened,
)
from engine.ledger import Ledger

FIXTURES = Path(__file__).resolve().parents[4] / "../shared/oanda/fixtures"
ZERO = Decimal("0.0000")

pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="needs the recorded answers of ../shared/oanda/fixtures beside the project"
)


def recorded(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def body(name: str) -> bytes:
    return json.dumps(recorded(name)["response"]).encode()


def lines(name: str) -> list[bytes]:
    return [json.dumps(line).encode() for line in recorded(name)["response"]]


def created(name: str) -> Any:
    exchange = recorded(name)
    return parse_create(exchange["status"], json.dumps(exchange["response"]).encode())


def made(name: str) -> Made:
    exchange = recorded(name)
    answer = parse_made(exchange["status"], json.dumps(exchange["response"]).encode())
    assert isinstance(answer, Made), answer
    return answer


def sample(name: str) -> Any:
    return next(each for each in recorded("samples_transactions_async_v20")["response"] if each["name"] == name)


def sample_page(name: str) -> TransactionPage:
    transactions = sample(name)["transactions"]
    page = parse_transactions(
        json.dumps({"transactions": transactions, "lastTransactionID": transactions[-1]["id"]}).encode()
    )
    assert isinstance(page, TransactionPage), page
    return page


def order(transaction_id: int, time: str, kind: str, **fields: Any) -> OrderCreated:
    known = {"client_order_id": None, "instrument": "EUR_USD", **fields}
    return OrderCreated(
        transaction_id=transaction_id, ts_ns=parse_moment(time), order_id=str(transaction_id), kind=kind, **known
    )


def cancel(
    transaction_id: int, time: str, order_id: str, reason: str, client_order_id: str | None = None
) -> OrderCanceled:
    return OrderCanceled(
        transaction_id=transaction_id,
        ts_ns=parse_moment(time),
        order_id=order_id,
        client_order_id=client_order_id,
        reason=reason,
    )


def fill(transaction_id: int, time: str, order_id: str, units: str, price: str, reason: str, **fields: Any) -> Fill:
    known = {
        "instrument": "EUR_USD",
        "pl_home": ZERO,
        "financing_home": ZERO,
        "commission_home": Decimal(0),
        "half_spread_home": Decimal(0),
        **fields,
    }
    return Fill(
        transaction_id=transaction_id,
        ts_ns=parse_moment(time),
        order_id=order_id,
        client_order_id=None,
        units=Decimal(units),
        price=Decimal(price),
        reason=reason,
        **known,
    )


def trade(trade_id: str, time: str, units: str, price: str, instrument: str = "EUR_USD", **fields: Any) -> Trade:
    known = {"stop_loss": None, "take_profit": None, "client_order_id": None, **fields}
    return Trade(
        trade_id=trade_id,
        instrument=instrument,
        units=Decimal(units),
        initial_units=Decimal(units),
        price=Decimal(price),
        opened_ns=parse_moment(time),
        **known,
    )


def side(units: str = "0", average: str | None = None, *trade_ids: str, unrealized: str = "0.0000") -> PositionSide:
    return PositionSide(
        units=Decimal(units),
        average_price=None if average is None else Decimal(average),
        trade_ids=trade_ids,
        unrealized_pl_home=Decimal(unrealized),
    )


def ohlc(*prices: str) -> Ohlc:
    first, high, low, last = map(Decimal, prices)
    return Ohlc(open=first, high=high, low=low, close=last)


def test_every_recording_has_its_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in FIXTURES.glob("*.json") if f'"{path.stem}"' not in source] == []


def test_account_list() -> None:
    assert parse_accounts(body("account_list")) == ("101-004-1435156-002", "101-004-1435156-001")


def test_account_summary() -> None:
    assert parse_summary(body("account_summary")) == AccountSummary(
        account_id="101-004-1435156-001",
        account=Account(
            currency="EUR",
            balance_home=Decimal("35454.4740"),
            equity_home=Decimal("35454.4740"),
            margin_used_home=Decimal("10581.5000"),
            last_transaction_id=2123,
        ),
        created_ns=parse_moment("2016-06-24T21:03:50.914647476Z"),
        hedging_enabled=False,
        margin_rate=Decimal("0.05"),
        resettable_pl_ns=0,
    )


def test_account_instruments() -> None:
    instruments = parse_instruments(body("account_instruments"))
    assert not isinstance(instruments, ParseFault)
    rules = {
        name: (each.price_decimals, str(each.pip_size), each.units_decimals, str(each.units_min), str(each.units_max))
        for name, each in instruments.items()
    }
    assert rules == {
        "EU50_EUR": (1, "1", 0, "1", "3000"),
        "EUR_USD": (5, "0.0001", 0, "1", "100000000"),
        "US30_USD": (1, "1", 0, "1", "1000"),
        "FR40_EUR": (1, "1", 0, "1", "2000"),
        "EUR_CHF": (5, "0.0001", 0, "1", "100000000"),
        "DE30_EUR": (1, "1", 0, "1", "2500"),
    }
    assert {each.margin_rate for each in instruments.values()} == {Decimal("0.05")}
    assert all(isinstance(each, Instrument) for each in instruments.values())


def test_account_changes() -> None:
    assert parse_changes(body("account_changes")) == AccountChanges(
        transactions=(
            order(
                2309,
                "2016-10-25T21:07:21.065554321Z",
                "LIMIT_ORDER",
                units=Decimal(-100),
                price=Decimal("1.20000"),
            ),
        ),
        equity_home=Decimal("33848.2663"),
        unrealized_pl_home=ZERO,
        margin_used_home=ZERO,
        last_transaction_id=2309,
    )


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        (
            "instrument_candles_h1_include_first",
            10,
            ("2017-01-02T23:00:00Z", 974, ohlc("1.04684", "1.04711", "1.04567", "1.04575")),
            ("2017-01-03T08:00:00Z", 2830, ohlc("1.04606", "1.04658", "1.04207", "1.04353")),
        ),
        (
            "instrument_candles_h1_default",
            9,
            ("2017-01-03T00:00:00Z", 481, ohlc("1.04577", "1.04712", "1.04572", "1.04662")),
            ("2017-01-03T08:00:00Z", 2830, ohlc("1.04606", "1.04658", "1.04207", "1.04353")),
        ),
    ],
)
def test_candles(name: str, count: int, first: tuple[str, int, Ohlc], last: tuple[str, int, Ohlc]) -> None:
    candles = parse_candles(body(name))
    assert isinstance(candles, Candles)
    assert (candles.instrument, candles.granularity, len(candles.candles)) == ("EUR_USD", Granularity.H1, count)
    assert all(each.complete and each.bid is None and each.ask is None for each in candles.candles)
    for candle, (time, volume, mid) in ((candles.candles[0], first), (candles.candles[-1], last)):
        assert (candle.open_ts_ns, candle.volume, candle.mid) == (parse_moment(time), volume, mid)


def test_mid_candles_make_no_bars() -> None:
    assert isinstance(parse_bars(body("instrument_candles_h1_default"), "EUR_USD", Granularity.H1), ParseFault)


def test_instrument_order_book() -> None:
    book = parse_order_book(body("instrument_order_book"))
    assert isinstance(book, OrderBook)
    assert (book.instrument, book.ts_ns) == ("EUR_USD", parse_moment("2017-06-28T10:00:00Z"))
    assert (book.price, book.bucket_width) == (Decimal("1.13609"), Decimal("0.00050"))
    assert len(book.levels) == len(recorded("instrument_order_book")["response"]["orderBook"]["buckets"])
    assert book.levels[0] == BookLevel(
        price=Decimal("1.12850"), long_pct=Decimal("0.2666"), short_pct=Decimal("0.2352")
    )


def test_pricing() -> None:
    eur_usd = Price(
        instrument="EUR_USD",
        bid=Decimal("1.12157"),
        ask=Decimal("1.12170"),
        ts_ns=parse_moment("2016-10-05T05:28:16.729643492Z"),
        tradeable=True,
        home=HomeRate(rate=Decimal("0.891555635"), loss_rate=Decimal("0.89160730")),
    )
    eur_jpy = Price(
        instrument="EUR_JPY",
        bid=Decimal("115.329"),
        ask=Decimal("115.346"),
        ts_ns=parse_moment("2016-10-05T05:28:15.621238671Z"),
        tradeable=True,
        home=HomeRate(rate=Decimal("0.00867021"), loss_rate=Decimal("0.00867085")),
    )
    assert parse_pricing(body("pricing")) == Pricing(prices=(eur_usd, eur_jpy), home={}, ts_ns=None)


def test_pricing_stream() -> None:
    prices = [parse_pricing_line(line) for line in lines("pricing_stream_tradeable")]
    expected = [
        ("EUR_USD", "1.05522", "1.05534", "2017-03-09T13:37:46.048197280Z"),
        ("EUR_JPY", "120.969", "120.991", "2017-03-09T13:37:44.958026355Z"),
        ("EUR_JPY", "120.975", "120.995", "2017-03-09T13:37:47.550550833Z"),
        ("EUR_USD", "1.05514", "1.05527", "2017-03-09T13:37:49.349544372Z"),
    ]
    assert prices == [
        Price(instrument=name, bid=Decimal(bid), ask=Decimal(ask), ts_ns=parse_moment(time), tradeable=True)
        for name, bid, ask, time in expected
    ]


def test_order_create_limit() -> None:
    time = "2016-10-24T21:48:18.593753865Z"
    limit = order(2304, time, "LIMIT_ORDER", units=Decimal(-100), price=Decimal("1.20000"))
    assert created("order_create_limit") == Pending(created=limit, last_transaction_id=2304)


def test_order_create_limit_gtd() -> None:
    time = "2018-06-10T12:06:30.259079220Z"
    limit = order(8923, time, "LIMIT_ORDER", units=Decimal(10_000), price=Decimal("1.08000"))
    assert created("order_create_limit_gtd_naive_time") == Pending(created=limit, last_transaction_id=8923)


def test_order_create_market_filled() -> None:
    assert created("order_create_market_filled_tp_sl") == Filled(
        fill=fill(
            7579,
            "2017-03-09T13:22:13.832587780Z",
            "7578",
            "10000",
            "1.05563",
            "MARKET_ORDER",
            balance_home=Decimal("102107.4442"),
            opened=TradeOpened(trade_id="7579", units=Decimal(10_000), price=Decimal("1.05563")),
        ),
        last_transaction_id=7581,
    )
    assert made("order_create_market_filled_tp_sl").related_ids == (7578, 7579, 7580, 7581)


def test_order_create_market_cancelled_is_not_filled_though_the_status_is_201() -> None:
    assert recorded("order_create_market_cancelled_sl_loss")["status"] == 201
    assert created("order_create_market_cancelled_sl_loss") == Canceled(
        canceled=cancel(7577, "2017-03-09T13:17:59.319422181Z", "7576", "STOP_LOSS_ON_FILL_LOSS"),
        last_transaction_id=7577,
    )


def test_order_create_with_a_bad_instrument_is_refused_without_a_transaction() -> None:
    assert created("order_create_bad_instrument_400") == Refused(
        status=400, message="Invalid value specified for 'order.instrument'", code="", last_transaction_id=None
    )


def test_order_cancel() -> None:
    assert made("order_cancel") == Made(
        transactions={
            "orderCancelTransaction": cancel(
                2308, "2016-10-25T20:53:03.789670387Z", "2307", "CLIENT_REQUEST", client_order_id="myID"
            )
        },
        related_ids=(2308,),
        last_transaction_id=2308,
    )


def test_order_replace() -> None:
    time = "2016-10-25T19:45:38.558056359Z"
    assert made("order_replace") == Made(
        transactions={
            "orderCancelTransaction": cancel(2306, time, "2304", "CLIENT_REQUEST_REPLACED", client_order_id="myID"),
            "orderCreateTransaction": order(
                2307,
                time,
                "LIMIT_ORDER",
                client_order_id="myID",
                units=Decimal(-500_000),
                price=Decimal("1.25000"),
            ),
        },
        related_ids=(2306, 2307),
        last_transaction_id=2307,
    )


def test_orders_pending() -> None:
    assert parse_orders(body("orders_pending")) == (
        WorkingOrder(
            order_id="2304",
            kind="LIMIT",
            instrument="EUR_USD",
            units=Decimal(-100),
            trade_id=None,
            price=Decimal("1.20000"),
            client_order_id="myID",
        ),
    )


def test_orders_pending_gtd() -> None:
    orders = parse_orders(body("orders_pending_gtd"))
    assert not isinstance(orders, ParseFault)
    (waiting,) = orders
    assert (waiting.order_id, waiting.units, waiting.price) == ("8923", Decimal(10_000), Decimal("1.08000"))


def test_orders_pending_of_trades() -> None:
    orders = parse_orders(body("orders_pending_tp_sl"))
    assert not isinstance(orders, ParseFault)
    assert [(each.order_id, each.kind, each.trade_id, str(each.price)) for each in orders] == [
        ("7581", "STOP_LOSS", "7579", "1.05000"),
        ("7580", "TAKE_PROFIT", "7579", "1.10000"),
        ("7574", "STOP_LOSS", "7572", "1.05000"),
        ("7564", "STOP_LOSS", "7562", "1.05000"),
        ("7560", "STOP_LOSS", "7558", "1.05000"),
    ]
    assert {(each.instrument, each.units) for each in orders} == {(None, None)}


def test_trades_list() -> None:
    assert parse_trades(body("trades_list")) == (
        trade("2315", "2016-10-28T14:28:05.231759081Z", "10", "10678.3", "DE30_EUR"),
        trade("2313", "2016-10-28T14:27:19.011002322Z", "100", "1.09448"),
    )


def test_trade_details() -> None:
    assert parse_trade(body("trade_details")) == trade(
        "2315", "2016-10-28T14:28:05.231759081Z", "10", "10678.3", "DE30_EUR"
    )


def test_open_trades_have_their_stops_and_financing() -> None:
    stop = Decimal("1.05000")
    assert parse_trades(body("open_trades_with_sl")) == (
        trade("7579", "2017-03-09T13:22:13.832587780Z", "10000", "1.05563", stop_loss=stop),
        trade("7572", "2017-03-09T11:45:48.928448770Z", "10000", "1.05580", stop_loss=stop),
        trade(
            "7562",
            "2017-03-07T09:18:51.563637768Z",
            "10000",
            "1.05837",
            stop_loss=stop,
            financing_home=Decimal("-0.2693"),
        ),
        trade(
            "7558",
            "2017-03-07T09:08:04.219010730Z",
            "10000",
            "1.05820",
            stop_loss=stop,
            financing_home=Decimal("-0.2706"),
        ),
        trade("4224", "2017-02-10T21:50:02.670154087Z", "10000", "1.06381", financing_home=Decimal("-4.7102")),
    )


def test_position_list() -> None:
    assert parse_positions(body("position_list")) == (
        TwoSidedPosition(instrument="EUR_GBP", long=side(), short=side()),
        TwoSidedPosition(
            instrument="DE30_EUR",
            long=side(),
            short=side("-20", "10581.5", "2121", "2123", unrealized="870.0000"),
        ),
        TwoSidedPosition(instrument="EUR_USD", long=side(), short=side()),
    )


def test_open_positions() -> None:
    held = side("50000", "1.05836", "4224", "7558", "7562", "7572", "7579", unrealized="-128.4516")
    assert parse_positions(body("open_positions_long")) == (
        TwoSidedPosition(instrument="EUR_USD", long=held, short=side()),
    )


def test_trade_close() -> None:
    closed = TradeClosed(
        trade_id="2313",
        units=Decimal(-100),
        price=Decimal("1.09289"),
        realized_pl_home=Decimal("-0.1455"),
        financing_home=ZERO,
    )
    assert created("trade_close") == Filled(
        fill=fill(
            2317,
            "2016-10-28T15:11:58.023004583Z",
            "2316",
            "-100",
            "1.09289",
            "MARKET_ORDER_TRADE_CLOSE",
            pl_home=Decimal("-0.1455"),
            balance_home=Decimal("33848.1208"),
            closed=(closed,),
        ),
        last_transaction_id=2317,
    )


def test_position_close() -> None:
    time, none = "2016-06-22T18:41:35.034041665Z", Decimal("0.00000")
    parts = (("6383", -1, "-0.00013"), ("6385", -250, "-0.03357"))
    closed = tuple(
        TradeClosed(
            trade_id=trade_id,
            units=Decimal(units),
            price=Decimal("1.13018"),
            realized_pl_home=Decimal(pl),
            financing_home=none,
        )
        for trade_id, units, pl in parts
    )
    assert made("position_close") == Made(
        transactions={
            "longOrderCreateTransaction": order(6390, time, "MARKET_ORDER", units=Decimal(-251)),
            "longOrderFillTransaction": fill(
                6391,
                time,
                "6390",
                "-251",
                "1.13018",
                "MARKET_ORDER_POSITION_CLOSEOUT",
                pl_home=Decimal("-0.03370"),
                financing_home=none,
                balance_home=Decimal("43650.69807"),
                closed=closed,
            ),
        },
        related_ids=(6390, 6391),
        last_transaction_id=6391,
    )


def test_trade_dependent_orders() -> None:
    time = "2016-10-28T21:00:19.978476830Z"
    dependent = {"instrument": "", "trade_id": "2323"}
    assert made("trade_dependent_orders") == Made(
        transactions={
            "stopLossOrderTransaction": order(2327, time, "STOP_LOSS_ORDER", price=Decimal("1.10000"), **dependent),
            "takeProfitOrderTransaction": order(2325, time, "TAKE_PROFIT_ORDER", price=Decimal("1.05000"), **dependent),
            "stopLossOrderCancelTransaction": cancel(2326, time, "2324", "CLIENT_REQUEST_REPLACED"),
        },
        related_ids=(2325, 2326, 2327),
        last_transaction_id=2327,
    )


def test_transaction_list() -> None:
    ranges = tuple((first, min(first + 99, 2124)) for first in range(1, 2125, 100))
    assert parse_transaction_ranges(body("transaction_list")) == TransactionRanges(
        count=2124, ranges=ranges, last_transaction_id=2124
    )


def test_transaction_sinceid() -> None:
    configured = ("2016-10-26T13:28:00.507651360Z", "2016-10-26T13:28:13.597103123Z")
    assert parse_transactions(body("transaction_sinceid")) == TransactionPage(
        transactions=(
            order(
                2307,
                "2016-10-25T19:45:38.558056359Z",
                "LIMIT_ORDER",
                client_order_id="myID",
                units=Decimal(-500_000),
                price=Decimal("1.25000"),
            ),
            cancel(2308, "2016-10-25T20:53:03.789670387Z", "2307", "CLIENT_REQUEST", client_order_id="myID"),
            order(
                2309,
                "2016-10-25T21:07:21.065554321Z",
                "LIMIT_ORDER",
                units=Decimal(-100),
                price=Decimal("1.20000"),
            ),
            OtherTransaction(transaction_id=2310, ts_ns=parse_moment(configured[0]), kind="CLIENT_CONFIGURE"),
            OtherTransaction(transaction_id=2311, ts_ns=parse_moment(configured[1]), kind="CLIENT_CONFIGURE"),
        ),
        last_transaction_id=2311,
    )


def test_transaction_stream() -> None:
    times = ("12.002855862", "17.059535527", "22.142256403", "27.238853774", "32.289316796")
    assert [parse_transaction_line(line) for line in lines("transaction_stream")] == [
        Heartbeat(ts_ns=parse_moment(f"2016-10-28T11:56:{time}Z"), last_transaction_id=2311) for time in times
    ]


def booked(page: TransactionPage, before: Decimal) -> Ledger:
    """Apply recorded transactions to a ledger that has this balance before them."""
    first = page.transactions[0]
    ledger = Ledger()
    ledger.last_transaction_id = first.transaction_id - 2
    ledger.apply(
        FundsTransferred(
            transaction_id=first.transaction_id - 1, ts_ns=first.ts_ns, amount_home=before, balance_home=before
        )
    )
    for transaction in page.transactions:
        assert not isinstance(transaction, Unsupported)
        ledger.apply(transaction)
    return ledger


def test_the_ledger_takes_the_recorded_trailing_stop_to_the_last_digit() -> None:
    page = sample_page("market_order_with_trailing_stop_on_fill")
    ledger = booked(page, Decimal("97770.1692"))
    assert ledger.flat
    assert ledger.balance_home == Decimal("97756.6096")
    assert (ledger.realized_pl_home, ledger.financing_home) == (Decimal("-13.5561"), Decimal("-0.0035"))
    assert page.transactions[2] == order(
        7097, "1512446222.248676455", "TRAILING_STOP_LOSS_ORDER", instrument="AUD_USD", trade_id="7096"
    )


def test_a_recorded_close_cancels_stop_and_target_and_the_next_order_gets_its_own() -> None:
    page = sample_page("close_trade_cancels_tp_sl_then_market_with_tp_sl")
    time, later = "2017-09-26T02:02:56.859197224Z", "2017-09-26T02:03:28.339330227Z"
    dependent = {"instrument": "AUD_USD", "trade_id": "78"}
    assert page.transactions[0] == order(73, time, "MARKET_ORDER", instrument="AUD_USD", units=Decimal(-100_000))
    assert isinstance(page.transactions[1], Fill)
    assert page.transactions[1].financing_home == Decimal("-0.0129")
    assert page.transactions[2:4] == (
        cancel(75, time, "71", "LINKED_TRADE_CLOSED"),
        cancel(76, time, "72", "LINKED_TRADE_CLOSED"),
    )
    assert page.transactions[6:] == (
        order(79, later, "TAKE_PROFIT_ORDER", price=Decimal("0.79823"), **dependent),
        order(80, later, "STOP_LOSS_ORDER", price=Decimal("0.79273"), **dependent),
    )
    second = TransactionPage(transactions=page.transactions[4:], last_transaction_id=80)
    (held,) = booked(second, Decimal("100073.1945")).trades_of("AUD_USD")
    assert (held.price, held.stop_loss, held.take_profit) == (
        Decimal("0.79423"),
        Decimal("0.79273"),
        Decimal("0.79823"),
    )


def test_a_recorded_halt_and_a_recorded_reject() -> None:
    (halted,) = sample_page("market_halted_cancel").transactions
    assert halted == cancel(4935, "1509794347.333636884", "4934", "MARKET_HALTED")
    (rejected,) = sample_page("position_closeout_reject").transactions
    assert rejected == OrderRejected(
        transaction_id=7158,
        ts_ns=1_512_696_194_488_775_774,
        client_order_id=None,
        reason="CLOSEOUT_POSITION_DOESNT_EXIST",
    )


def test_streams_that_tell_unix_time() -> None:
    beat, market = (
        parse_transaction_line(json.dumps(each).encode())
        for each in sample("transaction_stream_unix_time")["transactions"]
    )
    assert beat == Heartbeat(ts_ns=1_514_852_380_912_339_327, last_transaction_id=16388)
    assert market == order(16389, "1514852381.353432710", "MARKET_ORDER", instrument="AUD_USD", units=Decimal("1.0"))
    beat_of_prices, price = (
        parse_pricing_line(json.dumps(each).encode()) for each in sample("pricing_stream_unix_time")["messages"]
    )
    assert beat_of_prices == Heartbeat(ts_ns=1_514_852_538_463_703_935, last_transaction_id=None)
    assert price == Price(
        instrument="EUR_USD",
        bid=Decimal("1.20165"),
        ask=Decimal("1.2018"),
        ts_ns=1_514_852_541_189_833_163,
        tradeable=True,
    )
