"""I am the reading of requests: from a JSON body to a ticket, or to a refusal that names what is wrong.
I may import the domain, the simulated venue's words, refusal and text.
I must not judge what the exchange judges: I only refuse what cannot be read.
My tests are in tests/unit/venue: test_malformed.py; and in tests/contract/test_venue.py.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from engine.adapters.sim.book import Trade
from engine.adapters.sim.ticket import (
    Extensions,
    OnFill,
    OrderKind,
    PositionFill,
    Ticket,
    TimeInForce,
    Trigger,
)
from engine.adapters.sim.validation import CLIENT_ID_LENGTH_MAX
from engine.domain.instrument import Instrument
from engine.venue.refusal import INVALID, Refusal, invalid, missing
from engine.venue.text import read_date, read_decimal

Body = Mapping[str, Any]
_E = TypeVar("_E", bound=StrEnum)
_KINDS = {kind.order_type: kind for kind in OrderKind}
NUMBER = re.compile(r"[0-9]{1,18}")
_BOUND = (OrderKind.MARKET, OrderKind.STOP, OrderKind.MARKET_IF_TOUCHED)


def read_body(data: bytes) -> Body:
    """Read a JSON object; numbers keep their digits."""
    try:
        body = json.loads(data or b"{}", parse_float=Decimal)
        json.dumps(body, ensure_ascii=False, default=str).encode()  # half a surrogate could be read, but never sent
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The request body is not valid JSON", INVALID) from error
    if not isinstance(body, dict):
        raise invalid("body")
    return body


def read_ticket(body: Body, instruments: Mapping[str, Instrument], trades: Mapping[str, Trade]) -> Ticket:
    """Read {"order": {...}}; the trade of a dependent order is found by its id or by the client's."""
    order = body.get("order")
    if not isinstance(order, dict):
        raise missing("order")
    kind = _KINDS.get(str(order.get("type", "MARKET")))
    if kind is None:
        raise invalid("order.type")
    if kind.is_dependent:
        return _dependent(order, kind, trades)
    name = order.get("instrument")
    if not isinstance(name, str) or name not in instruments:
        raise invalid("order.instrument")
    return Ticket(
        kind=kind,
        instrument=name,
        units=_required(order, "units"),
        price=None if kind is OrderKind.MARKET else _decimal(order, "price"),
        price_bound=_decimal(order, "priceBound") if kind in _BOUND else None,
        time_in_force=_time_in_force(order, kind),
        gtd_ns=_date(order),
        position_fill=_word(order, "positionFill", PositionFill, PositionFill.DEFAULT),
        trigger=_word(order, "triggerCondition", Trigger, Trigger.DEFAULT),
        take_profit=_on_fill(order, "takeProfitOnFill"),
        stop_loss=_on_fill(order, "stopLossOnFill"),
        trailing_stop=_on_fill(order, "trailingStopLossOnFill"),
        extensions=read_extensions(order, "clientExtensions"),
        trade_extensions=read_extensions(order, "tradeClientExtensions"),
    )


def _dependent(order: Body, kind: OrderKind, trades: Mapping[str, Trade]) -> Ticket:
    trade_id, client_id = order.get("tradeID"), order.get("clientTradeID")
    if trade_id is not None:
        specifier = str(trade_id)
        if not NUMBER.fullmatch(specifier):
            raise invalid("order.tradeID")
    elif isinstance(client_id, str):
        specifier = f"@{client_id}"
    else:
        raise missing("order.tradeID") if client_id is None else invalid("order.clientTradeID")
    trade = find_trade(specifier, trades)
    return dependent_ticket(order, kind, trade.trade_id if trade else specifier, trade.instrument.name if trade else "")


def find_trade(specifier: str, trades: Mapping[str, Trade]) -> Trade | None:
    """Find a trade by number, or by "@" and the client's id: an open one, or else the last that had it."""
    if not specifier.startswith("@"):
        return trades.get(specifier)
    named = [each for each in trades.values() if each.client_trade_id == specifier[1:]]
    return next((each for each in named if each.units), named[-1] if named else None)


def dependent_ticket(terms: Body, kind: OrderKind, trade_id: str, instrument: str) -> Ticket:
    """Read the terms of an order that closes a trade."""
    return Ticket(
        kind=kind,
        instrument=instrument,
        price=None if kind is OrderKind.TRAILING_STOP else _decimal(terms, "price"),
        distance=None if kind is OrderKind.TAKE_PROFIT else _decimal(terms, "distance"),
        time_in_force=_time_in_force(terms, kind),
        gtd_ns=_date(terms),
        trigger=_word(terms, "triggerCondition", Trigger, Trigger.DEFAULT),
        extensions=read_extensions(terms, "clientExtensions"),
        trade_id=trade_id,
    )


def read_extensions(body: Body, name: str) -> Extensions | None:
    """Read a client's own words."""
    words = body.get(name)
    if words is None:
        return None
    if not isinstance(words, dict) or not all(isinstance(words.get(key, ""), str) for key in ("id", "tag", "comment")):
        raise invalid(name)
    return Extensions(id=words.get("id"), tag=words.get("tag"), comment=words.get("comment"))


def check_words(words: Extensions | None, name: str, taken: bool) -> None:
    """Refuse words that are too long, or an id that something else has now."""
    if words is None:
        return
    for part, text in (("ID", words.id), ("TAG", words.tag), ("COMMENT", words.comment)):
        if text is not None and (len(text) > CLIENT_ID_LENGTH_MAX or (part == "ID" and not text)):
            raise Refusal(400, f"The client's {part.lower()} is invalid", f"{name}_{part}_INVALID")
    if taken:
        raise Refusal(400, "The client's id is in use", f"{name}_ID_ALREADY_EXISTS")


def read_units(body: Body, name: str, *, words: tuple[str, ...] = ("ALL",)) -> str | Decimal | None:
    """Read "ALL" (or another word), or a positive number; None when it is not given."""
    value = body.get(name)
    if value is None or value in words:
        return value
    units = read_decimal(value)
    if units is None or units <= 0:
        raise invalid(name)
    return units


def _on_fill(order: Body, name: str) -> OnFill | None:
    terms = order.get(name)
    if terms is None:
        return None
    if not isinstance(terms, dict):
        raise invalid(f"order.{name}")
    return OnFill(
        price=None if name == "trailingStopLossOnFill" else _decimal(terms, "price"),
        distance=None if name == "takeProfitOnFill" else _decimal(terms, "distance"),
        time_in_force=_word(terms, "timeInForce", TimeInForce, TimeInForce.GTC),
        gtd_ns=_date(terms),
        extensions=read_extensions(terms, "clientExtensions"),
    )


def _required(body: Body, name: str) -> Decimal:
    value = _decimal(body, name)
    if value is None:
        raise missing(f"order.{name}")
    return value


def _decimal(body: Body, name: str) -> Decimal | None:
    given = body.get(name)
    if given is None:
        return None
    value = read_decimal(given)
    if value is None:
        raise invalid(f"order.{name}")
    return value


def _date(body: Body) -> int | None:
    given = body.get("gtdTime")
    if given is None:
        return None
    moment = read_date(str(given))
    if moment is None:
        raise invalid("order.gtdTime")
    return moment


def _time_in_force(body: Body, kind: OrderKind) -> TimeInForce:
    default = TimeInForce.FOK if kind is OrderKind.MARKET else TimeInForce.GTC
    return _word(body, "timeInForce", TimeInForce, default)


def _word(body: Body, name: str, words: type[_E], default: _E) -> _E:
    given = body.get(name)
    if given is None:
        return default
    try:
        return words(given)
    except ValueError as error:
        raise invalid(f"order.{name}") from error
