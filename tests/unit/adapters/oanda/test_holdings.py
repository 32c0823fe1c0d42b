"""Lists of trades, positions and orders in the domain's words."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.adapters.oanda.holdings import (
    AccountDetails,
    PositionSide,
    TwoSidedPosition,
    parse_account,
    parse_orders,
    parse_positions,
    parse_trade,
    parse_trades,
)
from engine.adapters.oanda.parsing import parse_summary
from engine.adapters.oanda.reading import ParseFault
from engine.domain.account import Holdings, Trade, WorkingOrder
from tests.unit.adapters.oanda import bodies
from tests.unit.adapters.oanda.bodies import changed, encoded

TRADE = Trade(
    trade_id="7001",
    instrument="EUR_USD",
    units=Decimal(-700),
    initial_units=Decimal(-750),
    price=Decimal("1.10020"),
    opened_ns=bodies.TIME_NS,
    client_order_id="12-EUR_USD-1-1",
    stop_loss=Decimal("1.12000"),
    take_profit=Decimal("1.09000"),
    realized_pl_home=Decimal("0.5000"),
    financing_home=Decimal("-0.0200"),
)
ENTRY = WorkingOrder(
    order_id="6900",
    kind="LIMIT",
    instrument="EUR_USD",
    units=Decimal(100),
    trade_id=None,
    price=Decimal("1.05000"),
    client_order_id="mine",
)


def test_a_trade_has_its_stop_and_target() -> None:
    assert parse_trades(encoded(bodies.TRADES)) == (TRADE,)
    assert parse_trade(encoded({"trade": bodies.TRADES["trades"][0], "lastTransactionID": "7010"})) == TRADE


def test_an_unknown_state_of_a_trade_is_a_fault() -> None:
    fault = parse_trades(encoded(changed(bodies.TRADES, ("trades", 0, "state"), "SLEEPING")))
    assert isinstance(fault, ParseFault)
    assert "'SLEEPING'" in fault.reason


def test_a_position_has_two_sides_and_a_net_size() -> None:
    positions = parse_positions(encoded(bodies.POSITIONS))
    assert positions == (
        TwoSidedPosition(
            instrument="EUR_USD",
            long=PositionSide(units=Decimal(0), average_price=None, trade_ids=(), unrealized_pl_home=Decimal(0)),
            short=PositionSide(
                units=Decimal(-700),
                average_price=Decimal("1.10020"),
                trade_ids=("7001",),
                unrealized_pl_home=Decimal("3.5000"),
            ),
        ),
    )
    assert not isinstance(positions, ParseFault)
    assert positions[0].units == Decimal(-700)


@pytest.mark.parametrize(("side", "units"), [("long", "-1"), ("short", "1")])
def test_a_side_with_the_wrong_sign_is_a_fault(side: str, units: str) -> None:
    body = changed(bodies.POSITIONS, ("positions", 0, side, "units"), units)
    assert isinstance(parse_positions(encoded(body)), ParseFault)


def test_a_stop_hangs_on_its_trade_and_an_entry_on_its_instrument() -> None:
    assert parse_orders(encoded(bodies.ORDERS)) == (
        WorkingOrder(
            order_id="7002",
            kind="TRAILING_STOP_LOSS",
            instrument=None,
            units=None,
            trade_id="7001",
            price=None,
            client_order_id=None,
        ),
        ENTRY,
    )


def test_the_whole_account_is_told_by_numbers_and_its_stops_by_their_orders() -> None:
    details = parse_account(encoded(bodies.ACCOUNT))
    assert isinstance(details, AccountDetails)
    assert details.summary == parse_summary(encoded(bodies.SUMMARY))
    stop = WorkingOrder(
        order_id="7002",
        kind="STOP_LOSS",
        instrument=None,
        units=None,
        trade_id="7001",
        price=Decimal("1.12000"),
        client_order_id=None,
    )
    target = replace(stop, order_id="7003", kind="TAKE_PROFIT", price=Decimal("1.09000"))
    assert details.holdings == Holdings(
        balance_home=Decimal("100000.1230"), last_transaction_id=2123, trades=(TRADE,), orders=(ENTRY, stop, target)
    )


def account(**changes: Any) -> AccountDetails | ParseFault:
    return parse_account(encoded({**bodies.ACCOUNT, "account": {**bodies.ACCOUNT["account"], **changes}}))


def held(**changes: Any) -> Trade:
    details = account(**changes)
    assert isinstance(details, AccountDetails)
    (found,) = details.holdings.trades
    return found


STOP = {"id": "7002", "type": "STOP_LOSS", "state": "PENDING", "tradeID": "7001", "price": "1.12000"}
BARE = bodies.ACCOUNT["account"]["trades"][0]


@pytest.mark.parametrize(
    ("order", "stop"),
    [
        (STOP, "1.12000"),
        (STOP | {"type": "GUARANTEED_STOP_LOSS"}, "1.12000"),
        (STOP | {"type": "TRAILING_STOP_LOSS"}, None),
        (STOP | {"tradeID": "7000"}, None),
        (STOP | {"state": "TRIGGERED"}, None),
        (STOP | {"state": "CANCELLED"}, None),
    ],
)
def test_only_a_stop_that_waits_for_this_trade_is_its_stop(order: Any, stop: str | None) -> None:
    assert held(orders=[order]).stop_loss == (None if stop is None else Decimal(stop))


def test_a_whole_order_inside_a_trade_is_believed_too() -> None:
    whole = BARE | {"stopLossOrder": {"id": "7002", "price": "1.13000"}}
    assert held(trades=[whole], orders=[]).stop_loss == Decimal("1.13000")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lastTransactionID": "2122"}, "2122 and 2123"),
        ({"trades": [BARE, BARE]}, "trade 7001 comes twice"),
        ({"orders": [STOP, STOP]}, "order 7002 comes twice"),
        ({"trades": [BARE | {"currentUnits": "0"}]}, "7001 is of 0 units"),
        ({"trades": [BARE | {"state": "SLEEPING"}]}, "'SLEEPING'"),
        ({"orders": [STOP | {"state": "SLEEPING"}]}, "'SLEEPING'"),
        ({"orders": [STOP | {"price": "1e5"}]}, "price"),
    ],
)
def test_an_account_that_contradicts_itself_is_a_fault(changes: dict[str, Any], told: str) -> None:
    fault = account(**changes)
    assert isinstance(fault, ParseFault) and told in fault.reason
