"""Lists of trades, positions and orders in the domain's words."""

from decimal import Decimal

import pytest

from engine.adapters.oanda.holdings import (
    PositionSide,
    TwoSidedPosition,
    WorkingOrder,
    parse_orders,
    parse_positions,
    parse_trade,
    parse_trades,
)
from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.reading import ParseFault
from engine.domain.account import Trade
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
            state="PENDING",
            created_ns=bodies.TIME_NS,
            instrument=None,
            units=None,
            price=None,
            distance=Decimal("0.00500"),
            trade_id="7001",
            client_order_id=None,
            expires_ns=parse_moment("2026-03-10T00:00:00Z"),
            trigger="BID",
            position_fill="DEFAULT",
        ),
        WorkingOrder(
            order_id="6900",
            kind="LIMIT",
            state="PENDING",
            created_ns=bodies.TIME_NS,
            instrument="EUR_USD",
            units=Decimal(100),
            price=Decimal("1.05000"),
            distance=None,
            trade_id=None,
            client_order_id="mine",
            expires_ns=None,
            trigger="DEFAULT",
            position_fill="REDUCE_ONLY",
        ),
    )


@pytest.mark.parametrize(
    ("field", "old"), [("triggerCondition", "TRIGGER_DEFAULT"), ("positionFill", "POSITION_DEFAULT")]
)
def test_the_names_of_2016_mean_default(field: str, old: str) -> None:
    orders = parse_orders(encoded(changed(bodies.ORDERS, ("orders", 0, field), old)))
    assert not isinstance(orders, ParseFault)
    assert "DEFAULT" == (orders[0].trigger if field == "triggerCondition" else orders[0].position_fill)


@pytest.mark.parametrize("field", ["triggerCondition", "positionFill"])
def test_an_unknown_rule_of_an_order_is_a_fault(field: str) -> None:
    fault = parse_orders(encoded(changed(bodies.ORDERS, ("orders", 0, field), "SOMETIMES")))
    assert isinstance(fault, ParseFault)
    assert "'SOMETIMES'" in fault.reason
