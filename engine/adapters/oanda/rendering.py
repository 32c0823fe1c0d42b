"""I am what Keel asks of OANDA: JSON bodies whose numbers are decimal strings of the instrument's precision.
I may import the domain and msgspec.
I must not round: a price or size that the instrument cannot have is our own bug, and is never sent.
My tests are in tests/unit/adapters/oanda/test_rendering.py.

Source: PROTOCOL sections 2, 7.1 and 8, and OANDA's v20.json.
"""

from decimal import Decimal, InvalidOperation

from msgspec import UNSET, UnsetType

from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent

CLIENT_ID_CHARACTERS_MAX = 128

Body = dict[str, object]
_ALL = "ALL"
# Closes the whole of a trade, whatever it is of.
WHOLE: Body = {"units": _ALL}


def price_text(price: Decimal, instrument: Instrument) -> str:
    """Write a price or a price distance with all decimals of the instrument; raises Bug when it has more."""
    return _text(price, instrument.price_step, f"{instrument.name} price", instrument.price_decimals)


def units_text(units: Decimal, instrument: Instrument) -> str:
    """Write a size with all decimals of the instrument; raises Bug when it has more."""
    return _text(units, instrument.units_step, f"{instrument.name} units", instrument.units_decimals)


def market_order(intent: OrderIntent, instrument: Instrument) -> Body:
    """Make the body of POST /orders: a market order, all or nothing, whose id the order and its trade both carry.

    The trade carries it because OANDA refuses a second order only by the id of an open trade (PROTOCOL section 7.2).
    """
    if intent.instrument != instrument.name:
        raise Bug(f"{intent.client_order_id}: an order in {intent.instrument} was rendered as {instrument.name}")
    if not 0 < len(intent.client_order_id) <= CLIENT_ID_CHARACTERS_MAX:
        raise Bug(f"client order id {intent.client_order_id!r} has not 1 to {CLIENT_ID_CHARACTERS_MAX} characters")
    order: Body = {
        "type": "MARKET",
        "instrument": instrument.name,
        "units": units_text(intent.units, instrument),
        "timeInForce": "FOK",
        "positionFill": "REDUCE_ONLY" if intent.reduce_only else "DEFAULT",
        "clientExtensions": {"id": intent.client_order_id},
        "tradeClientExtensions": {"id": intent.client_order_id},
    }
    if intent.price_bound is not None:
        order["priceBound"] = price_text(intent.price_bound, instrument)
    if intent.take_profit is not None:
        order["takeProfitOnFill"] = _at_price(intent.take_profit, instrument)
    if intent.stop_loss is not None:
        order["stopLossOnFill"] = _at_price(intent.stop_loss, instrument)
    if intent.trailing_distance is not None:
        order["trailingStopLossOnFill"] = _at_distance(intent.trailing_distance, instrument)
    return {"order": order}


def trade_close(instrument: Instrument, units: Decimal | None = None) -> Body:
    """Make the body of PUT /trades/{id}/close; `units` are a size above 0, None closes the whole trade."""
    return {"units": _closing(units, instrument)}


def position_close(instrument: Instrument, held_units: Decimal, units: Decimal | None = None) -> Body:
    """Make the body of PUT /positions/{instrument}/close for a position of `held_units` (signed, not 0).

    Both sides are named, because OANDA refuses to close a side that is empty; `units` as in trade_close.
    """
    if held_units == 0:
        raise Bug(f"{instrument.name}: a flat position cannot be closed")
    closing = _closing(units, instrument)
    if held_units > 0:
        return {"longUnits": closing, "shortUnits": "NONE"}
    return {"longUnits": "NONE", "shortUnits": closing}


def dependent_orders(
    instrument: Instrument,
    *,
    take_profit: Decimal | UnsetType | None = UNSET,
    stop_loss: Decimal | UnsetType | None = UNSET,
    trailing_distance: Decimal | UnsetType | None = UNSET,
) -> Body:
    """Make the body of PUT /trades/{id}/orders: a value sets an order, None cancels it, UNSET leaves it."""
    body: Body = {}
    if take_profit is not UNSET:
        body["takeProfit"] = None if take_profit is None else _at_price(take_profit, instrument)
    if stop_loss is not UNSET:
        body["stopLoss"] = None if stop_loss is None else _at_price(stop_loss, instrument)
    if trailing_distance is not UNSET:
        distance = None if trailing_distance is None else _at_distance(trailing_distance, instrument)
        body["trailingStopLoss"] = distance
    if not body:
        raise Bug(f"{instrument.name}: a change of dependent orders that changes none")
    return body


def _at_price(price: Decimal, instrument: Instrument) -> Body:
    return {"price": price_text(price, instrument), "timeInForce": "GTC"}


def _at_distance(distance: Decimal, instrument: Instrument) -> Body:
    return {"distance": price_text(distance, instrument), "timeInForce": "GTC"}


def _closing(units: Decimal | None, instrument: Instrument) -> str:
    if units is None:
        return _ALL
    if not (units.is_finite() and units > 0):
        raise Bug(f"{instrument.name}: {units} units cannot be closed, only a size above 0")
    return units_text(units, instrument)


def _text(value: Decimal, step: Decimal, what: str, decimals: int) -> str:
    try:
        exact = value.quantize(step)
    except InvalidOperation as error:
        raise Bug(f"{what} {value} is no number that can be sent") from error
    if exact != value:  # true of NaN as well
        raise Bug(f"{what} {value} has more than {decimals} decimals")
    return format(exact, "f")
