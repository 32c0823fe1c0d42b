"""Requests that we send: decimal text of the instrument's precision, valid by OANDA's own specification."""

import importlib.util
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from engine.adapters.oanda.rendering import (
    Body,
    dependent_orders,
    market_order,
    position_close,
    price_text,
    trade_close,
    units_text,
)
from engine.adapters.oanda.transaction_log import parse_transaction_line
from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import OrderCreated
from tests.unit import made
from tests.unit.made import EUR_USD, NOW_NS, USD_JPY, XAU_USD

CHECKER = Path(__file__).resolve().parents[4] / "../shared/oanda/conformance/v20spec.py"
ACCOUNT = "/v3/accounts/101-004-1435156-001"
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")

TINY = made.instrument("SHIB_USD", price_decimals=8, pip="0.00000001")

instruments = st.sampled_from([EUR_USD, USD_JPY, XAU_USD, TINY])


def intent(**fields: Any) -> OrderIntent:
    known: dict[str, Any] = {
        "client_order_id": "12-EUR_USD-1700000000000000000-1",
        "instrument": "EUR_USD",
        "units": Decimal(-1500),
        "created_ns": NOW_NS,
        "reason": OrderReason.SIGNAL,
        **fields,
    }
    return OrderIntent(**known)


FULL = intent(
    price_bound=Decimal("1.09"),
    take_profit=Decimal("1.05000"),
    stop_loss=Decimal("1.12345"),
    trailing_distance=Decimal("0.005"),
)


@pytest.fixture(scope="module")
def spec() -> Any:
    if not CHECKER.is_file():
        pytest.skip("needs the checker of ../shared/oanda/conformance beside the project")
    module_spec = importlib.util.spec_from_file_location("v20spec", CHECKER)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.Spec()


def sent(body: Body) -> Any:
    """What is on the wire after the HTTP floor has encoded it."""
    return json.loads(msgspec.json.encode(body))


@st.composite
def orders(draw: st.DrawFn) -> tuple[OrderIntent, Instrument]:
    instrument = draw(instruments)
    prices = st.none() | st.integers(1, 10**9).map(lambda steps: steps * instrument.price_step)
    steps = draw(st.integers(1, 10**8)) * draw(st.sampled_from([-1, 1]))
    order = intent(
        instrument=instrument.name,
        units=steps * instrument.units_step,
        price_bound=draw(prices),
        take_profit=draw(prices),
        stop_loss=draw(prices),
        trailing_distance=draw(prices),
        reduce_only=draw(st.booleans()),
    )
    return order, instrument


def test_a_market_order_says_everything_explicitly() -> None:
    assert sent(market_order(FULL, EUR_USD)) == {
        "order": {
            "type": "MARKET",
            "instrument": "EUR_USD",
            "units": "-1500",
            "timeInForce": "FOK",
            "positionFill": "DEFAULT",
            "priceBound": "1.09000",
            "takeProfitOnFill": {"price": "1.05000", "timeInForce": "GTC"},
            "stopLossOnFill": {"price": "1.12345", "timeInForce": "GTC"},
            "trailingStopLossOnFill": {"distance": "0.00500", "timeInForce": "GTC"},
            "clientExtensions": {"id": "12-EUR_USD-1700000000000000000-1"},
            "tradeClientExtensions": {"id": "12-EUR_USD-1700000000000000000-1"},
        }
    }


def test_what_an_intent_does_not_have_is_not_sent() -> None:
    order = sent(market_order(intent(reduce_only=True), EUR_USD))["order"]
    assert order["positionFill"] == "REDUCE_ONLY"
    assert not order.keys() & {"priceBound", "takeProfitOnFill", "stopLossOnFill", "trailingStopLossOnFill"}


@pytest.mark.parametrize("field", ["price_bound", "take_profit", "stop_loss", "trailing_distance"])
@pytest.mark.parametrize("value", ["1.123456", "0.0000001", "1E-6", "NaN", "Infinity", "1E+40"])
def test_a_price_the_instrument_cannot_have_is_our_own_bug(field: str, value: str) -> None:
    with pytest.raises(Bug, match=re.escape(str(Decimal(value)))):
        market_order(intent(**{field: Decimal(value)}), EUR_USD)


def test_units_with_too_many_decimals_are_our_own_bug() -> None:
    with pytest.raises(Bug, match=r"EUR_USD units 1\.5 "):
        market_order(intent(units=Decimal("1.5")), EUR_USD)


def test_an_order_in_another_instrument_is_our_own_bug() -> None:
    with pytest.raises(Bug, match="USD_JPY"):
        market_order(intent(), USD_JPY)


@pytest.mark.parametrize("size", [0, 129])
def test_an_id_that_oanda_would_refuse_is_our_own_bug(size: int) -> None:
    with pytest.raises(Bug, match="128"):
        market_order(intent(client_order_id="x" * size), EUR_USD)


@pytest.mark.parametrize(
    ("price", "instrument", "text"),
    [
        ("1.1", EUR_USD, "1.10000"),
        ("1.1000000", EUR_USD, "1.10000"),
        ("1E+2", EUR_USD, "100.00000"),
        ("1E-5", EUR_USD, "0.00001"),
        ("150", USD_JPY, "150.000"),
        ("1E-8", TINY, "0.00000001"),
    ],
)
def test_a_price_has_the_decimals_of_its_instrument(price: str, instrument: Instrument, text: str) -> None:
    assert price_text(Decimal(price), instrument) == text


@pytest.mark.parametrize(
    ("units", "instrument", "text"),
    [("1E+6", EUR_USD, "1000000"), ("-1.00", EUR_USD, "-1"), ("0.5", XAU_USD, "0.50")],
)
def test_units_have_the_decimals_of_their_instrument(units: str, instrument: Instrument, text: str) -> None:
    assert units_text(Decimal(units), instrument) == text


@given(instruments, st.decimals(allow_nan=False, allow_infinity=False))
def test_a_price_is_sent_exactly_or_not_at_all(instrument: Instrument, price: Decimal) -> None:
    try:
        text = price_text(price, instrument)
    except Bug:
        return
    assert DECIMAL.fullmatch(text)
    assert Decimal(text) == price
    assert len(text.partition(".")[2]) == instrument.price_decimals


@given(instruments, st.integers(-(10**12), 10**12))
def test_every_price_that_the_instrument_can_have_is_sent(instrument: Instrument, steps: int) -> None:
    price = steps * instrument.price_step
    assert Decimal(price_text(price, instrument)) == price


@given(orders())
def test_what_is_sent_reads_back_as_the_same_order(order: tuple[OrderIntent, Instrument]) -> None:
    wanted, instrument = order
    request = sent(market_order(wanted, instrument))["order"]
    echo = {**request, "id": "7", "time": "2026-03-09T13:22:13Z", "type": "MARKET_ORDER"}
    assert parse_transaction_line(json.dumps(echo).encode()) == OrderCreated(
        transaction_id=7,
        ts_ns=1_773_062_533_000_000_000,
        order_id="7",
        client_order_id=wanted.client_order_id,
        kind="MARKET_ORDER",
        instrument=wanted.instrument,
        units=wanted.units,
    )
    prices = {
        "priceBound": wanted.price_bound,
        "takeProfitOnFill": wanted.take_profit,
        "stopLossOnFill": wanted.stop_loss,
        "trailingStopLossOnFill": wanted.trailing_distance,
    }
    for name, price in prices.items():
        found = request.get(name)
        text = found.get("price", found.get("distance")) if isinstance(found, dict) else found
        assert (None if text is None else Decimal(text)) == price


@given(order=orders())
def test_every_market_order_is_valid_by_the_specification(spec: Any, order: tuple[OrderIntent, Instrument]) -> None:
    assert spec.check_request("POST", f"{ACCOUNT}/orders", body=sent(market_order(*order))) == []


def test_the_checker_sees_a_number_where_text_belongs(spec: Any) -> None:
    body = sent(market_order(FULL, EUR_USD))
    body["order"]["stopLossOnFill"]["price"] = 1.12345
    assert spec.check_request("POST", f"{ACCOUNT}/orders", body=body) != []


@pytest.mark.parametrize(
    ("units", "text"), [(None, "ALL"), (Decimal(100), "100"), (Decimal("1E+3"), "1000"), (Decimal("7.0"), "7")]
)
def test_a_trade_is_closed_wholly_or_by_a_size(spec: Any, units: Decimal | None, text: str) -> None:
    body = sent(trade_close(EUR_USD, units))
    assert body == {"units": text}
    assert spec.check_request("PUT", f"{ACCOUNT}/trades/7001/close", body=body) == []


@pytest.mark.parametrize("units", ["0", "-1", "0.5", "NaN", "Infinity"])
def test_a_close_of_no_size_is_our_own_bug(units: str) -> None:
    with pytest.raises(Bug, match=re.escape(units)):
        trade_close(EUR_USD, Decimal(units))


@pytest.mark.parametrize(
    ("held", "units", "expected"),
    [
        ("1500", None, {"longUnits": "ALL", "shortUnits": "NONE"}),
        ("-1500", None, {"longUnits": "NONE", "shortUnits": "ALL"}),
        ("1500", "500", {"longUnits": "500", "shortUnits": "NONE"}),
        ("-1500", "500", {"longUnits": "NONE", "shortUnits": "500"}),
    ],
)
def test_closing_a_position_names_both_sides(spec: Any, held: str, units: str | None, expected: Body) -> None:
    body = sent(position_close(EUR_USD, Decimal(held), None if units is None else Decimal(units)))
    assert body == expected
    assert spec.check_request("PUT", f"{ACCOUNT}/positions/EUR_USD/close", body=body) == []


def test_closing_a_flat_position_is_our_own_bug() -> None:
    with pytest.raises(Bug, match="flat"):
        position_close(EUR_USD, Decimal(0))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stop_loss": Decimal("1.1")}, {"stopLoss": {"price": "1.10000", "timeInForce": "GTC"}}),
        ({"take_profit": None}, {"takeProfit": None}),
        (
            {"take_profit": Decimal("1.2"), "stop_loss": None, "trailing_distance": Decimal("0.002")},
            {
                "takeProfit": {"price": "1.20000", "timeInForce": "GTC"},
                "stopLoss": None,
                "trailingStopLoss": {"distance": "0.00200", "timeInForce": "GTC"},
            },
        ),
        ({"trailing_distance": None, "stop_loss": UNSET}, {"trailingStopLoss": None}),
    ],
)
def test_dependent_orders_are_set_canceled_or_left(
    spec: Any, changes: dict[str, Decimal | UnsetType | None], expected: Body
) -> None:
    body = sent(dependent_orders(EUR_USD, **changes))
    assert body == expected
    assert spec.check_request("PUT", f"{ACCOUNT}/trades/7001/orders", body=body) == []


def test_changing_no_dependent_order_is_our_own_bug() -> None:
    with pytest.raises(Bug, match="changes none"):
        dependent_orders(EUR_USD)
