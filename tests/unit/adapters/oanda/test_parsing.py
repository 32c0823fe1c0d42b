"""Bodies of account and market: what is read from them, and that nothing but a fault comes of anything else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.oanda.holdings import (
    parse_account,
    parse_order_book,
    parse_orders,
    parse_positions,
    parse_trade,
    parse_trades,
)
from engine.adapters.oanda.moments import TS_NS_MAX, parse_moment, rfc3339_text, unix_text
from engine.adapters.oanda.outcomes import parse_create, parse_made
from engine.adapters.oanda.parsing import (
    HOME_ITSELF,
    AccountSummary,
    Candles,
    HomeRate,
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
from engine.adapters.oanda.reading import REASON_CHARACTERS_MAX, ParseFault
from engine.adapters.oanda.transaction_log import (
    Heartbeat,
    parse_transaction_line,
    parse_transaction_ranges,
    parse_transactions,
)
from engine.domain.account import Account
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Granularity, Quote
from tests.unit.adapters.oanda import bodies
from tests.unit.adapters.oanda.bodies import Path, changed, encoded, paths_of, without

Parse = Callable[[bytes], Any]

BARS: Parse = lambda body: parse_bars(body, "EUR_USD", Granularity.H1)  # noqa: E731
CREATED: Parse = lambda body: parse_create(201, body)  # noqa: E731
ON_FILL = {**bodies.STOP_LOSS, "reason": "ON_FILL"}
CHANGES = {
    "changes": {"transactions": [bodies.CREATE, bodies.FILL]},
    "state": {"NAV": "9998.2200", "unrealizedPL": "0.1000", "marginUsed": "15.0000"},
    "lastTransactionID": "7001",
}
ANSWER = {
    "orderCreateTransaction": bodies.CREATE,
    "orderFillTransaction": bodies.FILL,
    "relatedTransactionIDs": ["7000", "7001"],
    "lastTransactionID": "7001",
}

# what a proper body of that name may lack; everything else that is read is needed
OPTIONAL = {
    "summary": {"account/marginRate", "account/resettablePLTime"},
    "accounts": set(),
    "instruments": set(),
    "pricing": {
        "time",
        "prices/tradeable",
        "prices/status",
        "prices/bids/liquidity",
        "prices/asks/liquidity",
        "prices/quoteHomeConversionFactors",
        "homeConversions",
    },
    "candles": {"candles/mid", "candles/bid", "candles/ask"},
    "fill": {
        "clientOrderID",
        "price",
        "commission",
        "guaranteedExecutionFee",
        "halfSpreadCost",
        "tradesClosed",
        "tradesClosed/price",
        "tradeReduced",
        "tradeReduced/price",
        "tradeOpened",
        "tradeOpened/price",
    },
    "create": {"clientExtensions", "clientExtensions/id"},
    "cancel": {"clientOrderID"},
    "stop loss": {"price", "clientExtensions", "clientExtensions/id"},
    "reject": {"clientExtensions", "clientExtensions/id"},
    "financing": {"positionFinancings", "positionFinancings/openTradeFinancings"},
    "transfer": set(),
    "trades": {
        "trades/clientExtensions",
        "trades/clientExtensions/id",
        "trades/takeProfitOrder",
        "trades/takeProfitOrder/price",
        "trades/stopLossOrder",
        "trades/stopLossOrder/price",
    },
    "positions": {"positions/short/averagePrice", "positions/short/tradeIDs", "positions/short/unrealizedPL"},
    "orders": {
        "orders/tradeID",
        "orders/instrument",
        "orders/units",
        "orders/price",
        "orders/clientExtensions",
        "orders/clientExtensions/id",
    },
    "account": {
        "account/marginRate",
        "account/resettablePLTime",
        "account/trades/clientExtensions",
        "account/trades/clientExtensions/id",
        "account/orders/tradeID",
        "account/orders/instrument",
        "account/orders/units",
        "account/orders/price",
        "account/orders/clientExtensions",
        "account/orders/clientExtensions/id",
    },
}

# each body holds only what its parser reads, so that every value in it matters
READ: dict[str, tuple[Parse, Any]] = {
    "summary": (parse_summary, bodies.SUMMARY),
    "accounts": (parse_accounts, {"accounts": [{"id": "101-004-1435156-001"}]}),
    "instruments": (parse_instruments, bodies.INSTRUMENTS),
    "pricing": (parse_pricing, bodies.PRICING),
    "pricing line": (parse_pricing_line, bodies.PRICE),
    "pricing heartbeat": (parse_pricing_line, {"type": "HEARTBEAT", "time": bodies.TIME}),
    "candles": (parse_candles, bodies.CANDLES),
    "bars": (BARS, bodies.CANDLES),
    "changes": (parse_changes, CHANGES),
    "fill": (parse_transaction_line, bodies.FILL),
    "create": (parse_transaction_line, bodies.CREATE),
    "cancel": (parse_transaction_line, bodies.CANCEL),
    "stop loss": (parse_transaction_line, bodies.STOP_LOSS),
    "reject": (parse_transaction_line, bodies.REJECT),
    "financing": (parse_transaction_line, bodies.FINANCING),
    "transfer": (parse_transaction_line, bodies.TRANSFER),
    "transactions": (
        parse_transactions,
        {"transactions": [bodies.CREATE, bodies.FILL, ON_FILL], "lastTransactionID": "7002"},
    ),
    "answer": (CREATED, ANSWER),
    "trades": (parse_trades, bodies.TRADES),
    "positions": (parse_positions, bodies.POSITIONS),
    "orders": (parse_orders, bodies.ORDERS),
    "account": (parse_account, bodies.ACCOUNT),
}
EVERY_PARSER: tuple[Parse, ...] = (
    *dict.fromkeys(parse for parse, _ in READ.values()),
    parse_order_book,
    parse_trade,
    parse_transaction_ranges,
    lambda body: parse_create(400, body),
    lambda body: parse_made(200, body),
    lambda body: parse_made(404, body),
)
PLACES = [
    pytest.param(parse, body, path, id=f"{name}: {'/'.join(map(str, path))}")
    for name, (parse, body) in READ.items()
    for path in paths_of(body)
]
ODD_VALUES: list[Any] = [
    None,
    True,
    12,
    -1.5,
    "",
    "NaN",
    "Infinity",
    "1e-05",
    " 1",
    "1_000",
    "١",
    "1\n",
    "-",
    [],
    {},
    [[]],
    "a" * 99,
]

moments = st.integers(min_value=0, max_value=TS_NS_MAX)


def fault_of(result: object) -> str:
    assert isinstance(result, ParseFault), result
    return result.reason


@pytest.mark.parametrize("name", READ)
def test_a_proper_body_is_no_fault(name: str) -> None:
    parse, body = READ[name]
    assert not isinstance(parse(encoded(body)), ParseFault)


@pytest.mark.parametrize(("parse", "body", "path"), PLACES)
def test_null_is_no_value_for_anything_that_is_read(parse: Parse, body: Any, path: Path) -> None:
    fault_of(parse(encoded(changed(body, path, None))))


@pytest.mark.parametrize(("parse", "body", "path"), PLACES)
def test_another_json_type_is_a_fault(parse: Parse, body: Any, path: Path) -> None:
    fault_of(parse(encoded(changed(body, path, [[1.5]]))))


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_field_may_be_missing_only_where_recordings_lack_it(name: str) -> None:
    parse, body = READ[name]
    keys = [path for path in paths_of(body) if isinstance(path[-1], str)]
    readable = [path for path in keys if not isinstance(parse(encoded(without(body, path))), ParseFault)]
    assert {"/".join(key for key in path if isinstance(key, str)) for path in readable} == OPTIONAL[name]


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_complete_candle_without_a_side_makes_no_bar(side: str) -> None:
    assert f"has no {side}" in fault_of(BARS(encoded(without(bodies.CANDLES, ("candles", 0, side)))))


@pytest.mark.parametrize("name", READ)
def test_fields_that_keel_does_not_know_are_ignored(name: str) -> None:
    parse, body = READ[name]
    assert parse(encoded({**body, "later": {"addition": [None, 1e3]}})) == parse(encoded(body))


@pytest.mark.parametrize("name", READ)
def test_a_key_that_comes_twice_is_a_fault(name: str) -> None:
    parse, body = READ[name]
    key = next(iter(body))
    text = encoded(body).decode()
    assert "comes twice" in fault_of(parse(f'{{"{key}": {json.dumps(body[key])}, {text[1:]}'.encode()))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", READ)
def test_no_number_literal_outside_json_is_let_in(name: str, literal: str) -> None:
    parse, body = READ[name]
    fault_of(parse(encoded(body)[:-1] + f', "later": {literal}}}'.encode()))


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1e-05", "1E5", "+1", "1.", ".5", "", " 1", "1 ", "1\n", "1,5", "٣"]
)
def test_an_amount_is_plain_decimal_text(text: str) -> None:
    fault_of(parse_summary(encoded(changed(bodies.SUMMARY, ("account", "balance"), text))))


def test_an_amount_is_never_a_json_number() -> None:
    assert "balance" in fault_of(parse_summary(encoded(changed(bodies.SUMMARY, ("account", "balance"), 100.5))))


def test_an_amount_has_no_more_digits_than_arithmetic_keeps() -> None:
    balance = ("account", "balance")
    assert not isinstance(parse_summary(encoded(changed(bodies.SUMMARY, balance, "1" * 28))), ParseFault)
    fault_of(parse_summary(encoded(changed(bodies.SUMMARY, balance, "1" * 29))))


@given(st.integers(0, 10**14), st.text("0123456789", min_size=1, max_size=10), st.sampled_from(["", "-"]))
def test_an_amount_keeps_every_digit(whole: int, decimals: str, sign: str) -> None:
    text = f"{sign}{whole}.{decimals}"
    summary = parse_summary(encoded(changed(bodies.SUMMARY, ("account", "balance"), text)))
    assert isinstance(summary, AccountSummary)
    assert str(summary.account.balance_home) == text


@given(st.binary())
def test_no_bytes_at_all_make_a_parser_raise(body: bytes) -> None:
    for parse in EVERY_PARSER:
        fault_of(parse(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b"null",
        b"[" * 200_000,
        b'{"account":' * 200_000,
        b"\xef\xbb\xbf{}",
        b'{"account": "\xff"}',
        '{"type": "PRICE"}'.encode("utf-16"),
        b'{"type": ' + b"1" * 10_000 + b"}",
    ],
    ids=["empty", "html", "null", "deep lists", "deep objects", "BOM", "not UTF-8", "UTF-16", "huge number"],
)
def test_what_is_no_v20_json_is_a_fault(body: bytes) -> None:
    for parse in EVERY_PARSER:
        assert len(fault_of(parse(body))) <= REASON_CHARACTERS_MAX


@given(st.data())
def test_a_bent_body_is_read_or_is_a_fault_but_never_raises(data: st.DataObject) -> None:
    parse, body = READ[data.draw(st.sampled_from(list(READ)))]
    text = bytearray(encoded(body))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    parse(bytes(text))


@given(st.data())
def test_an_odd_value_anywhere_is_read_or_is_a_fault_but_never_raises(data: st.DataObject) -> None:
    parse, body = READ[data.draw(st.sampled_from(list(READ)))]
    path = data.draw(st.sampled_from(list(paths_of(body))))
    parse(encoded(changed(body, path, data.draw(st.sampled_from(ODD_VALUES) | st.text() | st.integers()))))


@given(moments)
def test_both_time_texts_keep_every_nanosecond(ts_ns: int) -> None:
    assert parse_moment(rfc3339_text(ts_ns)) == ts_ns
    assert parse_moment(unix_text(ts_ns)) == ts_ns


@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1)), st.integers(0, 999_999_999))  # noqa: DTZ001
def test_the_calendar_is_that_of_the_standard_library(moment: datetime, fraction: int) -> None:
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    seconds = round(whole.timestamp())
    assert parse_moment(f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction:09}Z") == seconds * 10**9 + fraction
    assert rfc3339_text(seconds * 10**9 + fraction) == f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


@pytest.mark.parametrize(
    ("text", "ts_ns"),
    [
        ("2017-03-09T13:22:13.832587780Z", 1_489_065_733_832_587_780),
        ("1489065733.832587780", 1_489_065_733_832_587_780),
        ("2017-03-09T13:22:13Z", 1_489_065_733_000_000_000),
        ("2017-03-09T13:22:13.5Z", 1_489_065_733_500_000_000),
        ("1489065733.000000001", 1_489_065_733_000_000_001),
        ("0", 0),
        ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999_999_999),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, ts_ns: int) -> None:
    assert parse_moment(text) == ts_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2017-03-09T13:22:13.832587780",
        "2017-03-09T13:22:13.832587780+00:00",
        "2017-03-09T13:22:13.8325877801Z",
        "2017-03-09 13:22:13Z",
        "2017-02-29T00:00:00Z",
        "2017-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2017-03-09T24:00:00Z",
        "2017-03-09T13:60:00Z",
        "2017-03-09T13:22:60Z",
        "1969-12-31T23:59:59Z",
        "2262-04-12T00:00:00Z",
        "9999999999",
        "-1",
        "1e9",
        "NaN",
        "2017-03-09T13:22:13Z\n",
        "٢017-03-09T13:22:13Z",
    ],
)
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_moment(text)


def test_the_summary_holds_what_the_port_needs() -> None:
    assert parse_summary(encoded(bodies.SUMMARY)) == AccountSummary(
        account_id="101-004-1435156-001",
        account=Account(
            currency="EUR",
            balance_home=Decimal("100000.1230"),
            equity_home=Decimal("100010.5000"),
            margin_used_home=Decimal("211.6300"),
            last_transaction_id=2123,
        ),
        created_ns=parse_moment("2016-06-24T21:03:50.914647476Z"),
        hedging_enabled=False,
        margin_rate=Decimal("0.05"),
        resettable_pl_ns=0,
    )


def test_a_hedging_account_is_told() -> None:
    summary = parse_summary(encoded(changed(bodies.SUMMARY, ("account", "hedgingEnabled"), True)))
    assert isinstance(summary, AccountSummary)
    assert summary.hedging_enabled is True


def test_instruments_have_the_rules_of_the_server() -> None:
    assert parse_instruments(encoded(bodies.INSTRUMENTS)) == {
        "EUR_USD": Instrument(
            name="EUR_USD",
            price_decimals=5,
            pip_size=Decimal("0.0001"),
            units_decimals=0,
            units_min=Decimal(1),
            units_max=Decimal(100_000_000),
            margin_rate=Decimal("0.02"),
        ),
        "XAU_USD": Instrument(
            name="XAU_USD",
            price_decimals=3,
            pip_size=Decimal("0.01"),
            units_decimals=2,
            units_min=Decimal("0.01"),
            units_max=Decimal(10_000),
            margin_rate=Decimal("0.05"),
        ),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("displayPrecision", -1),
        ("displayPrecision", 13),
        ("displayPrecision", "5"),
        ("displayPrecision", 5.5),
        ("tradeUnitsPrecision", 13),
        ("pipLocation", 13),
        ("pipLocation", True),
        ("minimumTradeSize", "0"),
        ("maximumOrderUnits", "0.5"),
        ("marginRate", "0"),
        ("marginRate", "1.01"),
        ("name", "EURUSD"),
        ("name", "XAU_USD"),
    ],
)
def test_an_instrument_with_impossible_rules_is_a_fault(field: str, value: object) -> None:
    fault_of(parse_instruments(encoded(changed(bodies.INSTRUMENTS, ("instruments", 0, field), value))))


def test_a_price_is_its_best_bid_and_ask_with_the_rates_that_came_along() -> None:
    pricing = parse_pricing(encoded(bodies.PRICING))
    assert isinstance(pricing, Pricing)
    (price,) = pricing.prices
    home = pricing.rate_of(price)
    assert pricing.ts_ns == bodies.TIME_NS
    assert home == HomeRate(rate=Decimal("0.0082700"), loss_rate=Decimal("0.0083527"))
    assert price.quote(home, received_ns=5) == Quote(
        instrument="EUR_JPY",
        bid=Decimal("120.969"),
        ask=Decimal("120.991"),
        ts_ns=bodies.TIME_NS,
        received_ns=5,
        home_rate=Decimal("0.0082700"),
        home_loss_rate=Decimal("0.0083527"),
        tradeable=True,
    )


def test_without_home_conversions_the_price_brings_its_own_rate() -> None:
    pricing = parse_pricing(encoded(without(bodies.PRICING, ("homeConversions",))))
    assert isinstance(pricing, Pricing)
    assert pricing.rate_of(pricing.prices[0]) == HomeRate(rate=Decimal("0.00827"), loss_rate=Decimal("0.00828"))


def test_without_any_rate_there_is_none() -> None:
    body = without(without(bodies.PRICING, ("homeConversions",)), ("prices", 0, "quoteHomeConversionFactors"))
    pricing = parse_pricing(encoded(body))
    assert isinstance(pricing, Pricing)
    assert pricing.rate_of(pricing.prices[0]) is None


@pytest.mark.parametrize("field", ["accountLoss", "positionValue"])
def test_a_home_rate_of_nothing_is_a_fault(field: str) -> None:
    fault_of(parse_pricing(encoded(changed(bodies.PRICING, ("homeConversions", 0, field), "0.0"))))


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_an_empty_side_is_no_quote_and_no_fault(side: str) -> None:
    price = parse_pricing_line(encoded(changed(bodies.PRICE, (side,), [])))
    assert isinstance(price, Price)
    assert (price.bid is None) == (side == "bids")
    assert (price.ask is None) == (side == "asks")
    assert price.quote(HOME_ITSELF, received_ns=5) is None


@pytest.mark.parametrize("liquidity", [10, 1000000.0, "1000000", 0])
def test_liquidity_may_be_written_in_any_way_seen(liquidity: object) -> None:
    price = parse_pricing_line(encoded(changed(bodies.PRICE, ("bids", 0, "liquidity"), liquidity)))
    assert price == parse_pricing_line(encoded(bodies.PRICE))


@pytest.mark.parametrize(
    ("flag", "status", "expected"),
    [
        (True, "tradeable", True),
        (True, None, True),
        (None, "tradeable", True),
        (False, "tradeable", False),
        (True, "non-tradeable", False),
        (True, "invalid", False),
        (None, "non-tradeable", False),
        (False, None, False),
    ],
)
def test_a_price_is_tradeable_only_when_nothing_denies_it(
    flag: bool | None, status: str | None, expected: bool
) -> None:
    said = {name: value for name, value in (("tradeable", flag), ("status", status)) if value is not None}
    price = parse_pricing_line(encoded({**without(without(bodies.PRICE, ("tradeable",)), ("status",)), **said}))
    assert isinstance(price, Price)
    assert price.tradeable is expected


def test_a_price_that_says_nothing_of_trading_is_a_fault() -> None:
    fault_of(parse_pricing_line(encoded(without(without(bodies.PRICE, ("tradeable",)), ("status",)))))


def test_an_unknown_status_is_a_fault() -> None:
    assert "'on holiday'" in fault_of(parse_pricing_line(encoded({**bodies.PRICE, "status": "on holiday"})))


def test_the_reason_of_a_fault_is_never_long() -> None:
    fault = fault_of(parse_candles(encoded({**bodies.CANDLES, "granularity": "M" * 10_000})))
    assert len(fault) == REASON_CHARACTERS_MAX


def test_a_heartbeat_is_told_from_a_price() -> None:
    line = encoded({"type": "HEARTBEAT", "time": "1489065733.832587780"})
    assert parse_pricing_line(line) == Heartbeat(ts_ns=1_489_065_733_832_587_780, last_transaction_id=None)


def test_an_unknown_line_of_the_pricing_stream_is_a_fault() -> None:
    assert "'NEWS'" in fault_of(parse_pricing_line(encoded({"type": "NEWS", "time": bodies.TIME})))


def test_only_complete_candles_become_bars() -> None:
    assert parse_bars(encoded(bodies.CANDLES), "EUR_USD", Granularity.H1) == (
        Bar(
            instrument="EUR_USD",
            granularity=Granularity.H1,
            open_ts_ns=parse_moment("2026-03-09T12:00:00Z"),
            bid_open=Decimal("1.04684"),
            bid_high=Decimal("1.04711"),
            bid_low=Decimal("1.04567"),
            bid_close=Decimal("1.04575"),
            ask_open=Decimal("1.04694"),
            ask_high=Decimal("1.04721"),
            ask_low=Decimal("1.04577"),
            ask_close=Decimal("1.04585"),
            tick_count=974,
        ),
    )


def test_a_range_without_candles_has_no_bars() -> None:
    assert parse_bars(encoded({**bodies.CANDLES, "candles": []}), "EUR_USD", Granularity.H1) == ()


@pytest.mark.parametrize(("instrument", "granularity"), [("GBP_USD", Granularity.H1), ("EUR_USD", Granularity.M1)])
def test_bars_of_something_else_are_a_fault(instrument: str, granularity: Granularity) -> None:
    assert "asked for" in fault_of(parse_bars(encoded(bodies.CANDLES), instrument, granularity))


@pytest.mark.parametrize("time", ["2026-03-09T13:00:00Z", "2026-03-09T14:00:00Z"])
def test_candles_that_do_not_ascend_are_a_fault(time: str) -> None:
    assert "follows" in fault_of(BARS(encoded(changed(bodies.CANDLES, ("candles", 0, "time"), time))))


@pytest.mark.parametrize("granularity", ["M", "W", "M3", "h1", ""])
def test_a_granularity_that_keel_has_no_length_for_is_a_fault(granularity: str) -> None:
    fault_of(parse_candles(encoded({**bodies.CANDLES, "granularity": granularity})))


def test_candles_keep_the_running_one_and_the_side_that_was_asked_for() -> None:
    body = without(without(bodies.CANDLES, ("candles", 1, "bid")), ("candles", 1, "ask"))
    candles = parse_candles(encoded(body))
    assert isinstance(candles, Candles)
    running = candles.candles[1]
    assert (running.complete, running.volume, running.bid, running.ask) == (False, 3, None, None)
    assert running.mid is not None
    assert running.mid.close == Decimal("1.04575")
