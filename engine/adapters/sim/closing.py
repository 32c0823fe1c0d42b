"""I am closing: the market orders that end trades and positions, as the exchange takes them.
I may import the domain and the other parts of this folder.
I must not fill anything myself, nor close another trade than the one that is named.
My tests are in tests/unit/adapters/sim/test_broker.py, tests/unit/venue and tests/contract/test_broker.py.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.adapters.sim.book import ZERO, Trade
from engine.adapters.sim.entries import LogEntry
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.ticket import CloseOut, OrderKind, PositionFill, Ticket, TimeInForce

ALL = "ALL"


def close_trade(
    exchange: Exchange, trade: Trade | None, named: str, units: str | Decimal = ALL, request_id: str = ""
) -> Sequence[LogEntry]:
    """Close a trade, or `units` (a size above 0) of it, at the market; `named` is how the client called it.

    A trade that is not open, or is smaller than that, is refused, which the log tells.
    """
    reason = CloseOut.TRADE.value
    if trade is None or not trade.units:
        ticket = closing_ticket("", ZERO, CloseOut.TRADE, units, named)
        return exchange.refuse(ticket, reason, "TRADE_DOESNT_EXIST", request_id)
    size = abs(trade.units) if isinstance(units, str) else units
    ticket = closing_ticket(
        trade.instrument.name, -size if trade.is_long else size, CloseOut.TRADE, units, trade.trade_id
    )
    if size > abs(trade.units):
        return exchange.refuse(ticket, reason, "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE", request_id)
    return exchange.create(ticket, request_id, reason)


def closing_ticket(
    instrument: str, units: Decimal, why: CloseOut, written: str | Decimal, trade_id: str | None = None
) -> Ticket:
    """Write the order that closes a trade or a position; `written` is what the client asked to be closed."""
    return Ticket(
        kind=OrderKind.MARKET,
        instrument=instrument,
        units=units,
        time_in_force=TimeInForce.FOK,
        position_fill=PositionFill.REDUCE_ONLY,
        close_out=why,
        close_units=str(written),
        trade_id=trade_id,
    )
