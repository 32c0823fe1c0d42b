"""I am the rendering of the account's log, orders and trades as OANDA writes them.
I may import the domain, the simulated venue and text.
I must not decide anything; what is not in the books is not in my answers.
My tests are in tests/unit/venue: test_lists.py and test_prices_by_hand.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.adapters.sim.book import Order, OrderState, Trade
from engine.adapters.sim.entries import (
    CancelRefused,
    Configured,
    FinancingBooked,
    FundsMoved,
    LogEntry,
    OrderEnded,
    OrderExtended,
    OrderFilled,
    OrderMade,
    OrderRefused,
    TradeExtended,
    TradeMade,
    TradePart,
)
from engine.adapters.sim.ticket import CloseOut, Extensions, OnFill, OrderKind, Ticket, TimeInForce
from engine.domain.instrument import Instrument
from engine.venue.text import Dates, factor, money, plain, price

Row = dict[str, Any]


class Renderer:
    """Writes rows for one account, dates in the form that a request asked for."""

    def __init__(self, account_id: str, instruments: Mapping[str, Instrument], dates: Dates) -> None:
        self._account_id = account_id
        self._user_id = int(account_id.split("-")[2])
        self._instruments = instruments
        self.date = dates

    def transaction(self, entry: LogEntry) -> Row:
        """Write one line of the log."""
        row = {
            "id": str(entry.id),
            "time": self.date(entry.ts_ns),
            "userID": self._user_id,
            "accountID": self._account_id,
            "batchID": str(entry.batch_id),
            "requestID": entry.request_id or "0",
        }
        return row | self._content(entry)

    def _content(self, entry: LogEntry) -> Row:
        match entry:
            case OrderMade():
                return self._made(entry)
            case OrderFilled():
                return self._filled(entry)
            case OrderRefused():
                return self._refused(entry)
            case OrderEnded():
                return _ended(entry)
            case FinancingBooked():
                return _financing(entry)
            case FundsMoved():
                return _moved(entry)
            case _:
                return _noted(entry)

    def _made(self, entry: OrderMade) -> Row:
        return _given(
            **{"type": entry.ticket.kind.value},
            **self._ticket(entry.ticket, entry.price),
            reason=entry.reason,
            orderFillTransactionID=_number(entry.fill_id),
            replacesOrderID=entry.replaces,
            cancellingTransactionID=_number(entry.cancelling_id),
        )

    def _refused(self, entry: OrderRefused) -> Row:
        ticket = entry.ticket
        return _given(
            **{"type": f"{ticket.kind.value}_REJECT"},
            **self._ticket(ticket, ticket.price),
            reason=entry.reason,
            intendedReplacesOrderID=entry.intended_replaces,
            rejectReason=entry.reject_reason,
        )

    def _ticket(self, ticket: Ticket, trigger: Decimal | None) -> Row:
        """Write what an order asks for, as its transaction and the order itself have it."""
        if ticket.kind.is_dependent:
            shown = None if ticket.kind is OrderKind.TRAILING_STOP else trigger
            return _given(
                **_trade_of(ticket),
                price=self._price(ticket, shown),
                distance=self._price(ticket, ticket.distance),
                timeInForce=ticket.time_in_force.value,
                gtdTime=self._gtd(ticket.time_in_force, ticket.gtd_ns),
                triggerCondition=ticket.trigger.value,
                clientExtensions=extensions(ticket.extensions),
            )
        waits = ticket.kind is not OrderKind.MARKET
        return _given(
            instrument=ticket.instrument or None,
            units=plain(ticket.units),
            price=self._price(ticket, ticket.price),
            priceBound=self._price(ticket, ticket.price_bound),
            timeInForce=ticket.time_in_force.value,
            gtdTime=self._gtd(ticket.time_in_force, ticket.gtd_ns),
            positionFill=ticket.position_fill.value,
            triggerCondition=ticket.trigger.value if waits else None,
            takeProfitOnFill=self._on_fill(ticket, ticket.take_profit),
            stopLossOnFill=self._on_fill(ticket, ticket.stop_loss),
            trailingStopLossOnFill=self._on_fill(ticket, ticket.trailing_stop),
            clientExtensions=extensions(ticket.extensions),
            tradeClientExtensions=extensions(ticket.trade_extensions),
            **_close_out(ticket),
        )

    def _price(self, ticket: Ticket, value: Decimal | None) -> str | None:
        """Write a price as the instrument shows it; one that was refused for its decimals keeps them."""
        instrument = self._instruments.get(ticket.instrument)
        if value is None or instrument is None:
            return None if value is None else plain(value)
        return price(instrument, value) if instrument.round_price(value) == value else f"{value:f}"

    def _gtd(self, time_in_force: TimeInForce, gtd_ns: int | None) -> str | None:
        return self.date(gtd_ns) if time_in_force is TimeInForce.GTD and gtd_ns is not None else None

    def _on_fill(self, ticket: Ticket, on_fill: OnFill | None) -> Row | None:
        if on_fill is None:
            return None
        return _given(
            price=self._price(ticket, on_fill.price),
            distance=self._price(ticket, on_fill.distance),
            timeInForce=on_fill.time_in_force.value,
            gtdTime=self._gtd(on_fill.time_in_force, on_fill.gtd_ns),
            clientExtensions=extensions(on_fill.extensions),
        )

    def _filled(self, entry: OrderFilled) -> Row:
        instrument = self._instruments[entry.instrument]
        shown = price(instrument, entry.price)
        return _given(
            type="ORDER_FILL",
            orderID=entry.order_id,
            clientOrderID=entry.client_order_id,
            instrument=entry.instrument,
            units=plain(entry.units),
            requestedUnits=plain(entry.requested_units),
            price=shown,
            fullVWAP=shown,
            fullPrice=self._full_price(instrument, entry),
            gainQuoteHomeConversionFactor=factor(entry.gain_factor),
            lossQuoteHomeConversionFactor=factor(entry.loss_factor),
            reason=entry.reason,
            pl=money(entry.pl_home),
            quotePL=plain(entry.quote_pl),
            financing="0.0000",
            commission="0.0000",
            guaranteedExecutionFee="0.0000",
            accountBalance=money(entry.balance_home),
            halfSpreadCost=money(entry.half_spread_home),
            tradeOpened=None if entry.opened is None else _opened(entry, entry.opened, shown),
            tradesClosed=[_part(part, shown) for part in entry.closed] or None,
            tradeReduced=None if entry.reduced is None else _part(entry.reduced, shown),
        )

    def _full_price(self, instrument: Instrument, entry: OrderFilled) -> Row:
        bid, ask = price(instrument, entry.bid), price(instrument, entry.ask)
        return {
            "closeoutBid": bid,
            "closeoutAsk": ask,
            "timestamp": self.date(entry.ts_ns),
            "bids": [{"price": bid, "liquidity": LIQUIDITY}],
            "asks": [{"price": ask, "liquidity": LIQUIDITY}],
        }

    def order(self, order: Order) -> Row:
        """Write an order as it stands."""
        filled = order.state is OrderState.FILLED
        cancelled = order.state is OrderState.CANCELLED
        row = self._ticket(order.ticket, order.price)
        row.pop("clientExtensions", None)
        trails = order.kind is OrderKind.TRAILING_STOP and order.price is not None
        return row | _given(
            id=order.order_id,
            createTime=self.date(order.created_ns),
            state=order.state.value,
            type=order.kind.order_type,
            clientExtensions=extensions(order.extensions),
            trailingStopValue=self._price(order.ticket, order.price) if trails else None,
            fillingTransactionID=str(order.ended_id) if filled else None,
            filledTime=self.date(order.ended_ns) if filled else None,
            tradeOpenedID=order.opened_trade_id,
            tradeReducedID=order.reduced_trade_id,
            tradeClosedIDs=list(order.closed_trade_ids) or None,
            cancellingTransactionID=str(order.ended_id) if cancelled else None,
            cancelledTime=self.date(order.ended_ns) if cancelled else None,
            replacesOrderID=order.replaces,
            replacedByOrderID=order.replaced_by,
        )

    def trade(self, trade: Trade, unrealized: Decimal, margin: Decimal, *, summary: bool = False) -> Row:
        """Write a trade with its dependent orders, or with their ids only."""
        is_open = bool(trade.units)
        closed_units = trade.initial_units - trade.units
        average = trade.closed_value / closed_units if closed_units else None
        shown = price(trade.instrument, trade.price)
        row = _given(
            id=trade.trade_id,
            instrument=trade.instrument.name,
            price=shown,
            openTime=self.date(trade.opened_ns),
            state="OPEN" if is_open else "CLOSED",
            initialUnits=plain(trade.initial_units),
            initialMarginRequired=money(trade.margin_home),
            currentUnits=plain(trade.units),
            realizedPL=money(trade.realized_pl_home),
            financing=money(trade.financing_home),
            unrealizedPL=money(unrealized) if is_open else None,
            marginUsed=money(margin) if is_open else None,
            averageClosePrice=None if average is None else price(trade.instrument, average),
            closingTransactionIDs=[str(number) for number in trade.closing_ids] or None,
            closeTime=self.date(trade.closed_ns) if not is_open else None,
            clientExtensions=extensions(trade.extensions),
        )
        for name, order in (
            ("takeProfitOrder", trade.take_profit),
            ("stopLossOrder", trade.stop_loss),
            ("trailingStopLossOrder", trade.trailing_stop),
        ):
            if order is not None:
                row[name + "ID" * summary] = order.order_id if summary else self.order(order)
        return row


LIQUIDITY = "10000000"


def extensions(words: Extensions | None) -> Row | None:
    """Write a client's words; None when there are none."""
    return None if words is None else _given(id=words.id, tag=words.tag, comment=words.comment)


def _given(**fields: Any) -> Row:
    """Leave out what is not there: OANDA omits such fields."""
    return {name: value for name, value in fields.items() if value is not None}


def _number(transaction_id: int | None) -> str | None:
    return None if transaction_id is None else str(transaction_id)


def _trade_of(ticket: Ticket) -> Row:
    """Name the trade that an order closes; one that was not found keeps the name that the client gave it."""
    named = ticket.trade_id or ""
    return {"clientTradeID": named[1:]} if named.startswith("@") else {"tradeID": named}


def _close_out(ticket: Ticket) -> Row:
    if ticket.close_out is CloseOut.TRADE:
        return {"tradeClose": _trade_of(ticket) | {"units": ticket.close_units}}
    if ticket.close_out is CloseOut.POSITION:
        side = "longPositionCloseout" if ticket.units < 0 else "shortPositionCloseout"
        return {side: {"instrument": ticket.instrument, "units": ticket.close_units}}
    if ticket.close_out is CloseOut.MARGIN:
        return {"marginCloseout": {"reason": "MARGIN_CHECK_VIOLATION"}}
    return {}


def _ended(entry: OrderEnded) -> Row:
    return _given(
        type="ORDER_CANCEL",
        orderID=entry.order_id,
        clientOrderID=entry.client_order_id,
        reason=entry.reason,
        closedTradeID=entry.closed_trade_id,
        tradeCloseTransactionID=_number(entry.closing_id),
        replacedByOrderID=entry.replaced_by,
    )


def _moved(entry: FundsMoved) -> Row:
    return {
        "type": "TRANSFER_FUNDS",
        "amount": money(entry.amount_home),
        "fundingReason": "CLIENT_FUNDING",
        "accountBalance": money(entry.balance_home),
    }


def _noted(entry: CancelRefused | OrderExtended | TradeExtended | Configured) -> Row:
    """Write what moves neither orders nor money."""
    if isinstance(entry, CancelRefused):
        return _given(
            type="ORDER_CANCEL_REJECT",
            orderID=entry.order_id,
            clientOrderID=entry.client_order_id,
            rejectReason=entry.reject_reason,
        )
    if isinstance(entry, OrderExtended):
        return _given(
            type="ORDER_CLIENT_EXTENSIONS_MODIFY",
            orderID=entry.order_id,
            clientOrderID=entry.client_order_id,
            clientExtensionsModify=extensions(entry.extensions),
            tradeClientExtensionsModify=extensions(entry.trade_extensions),
        )
    if isinstance(entry, TradeExtended):
        return _given(
            type="TRADE_CLIENT_EXTENSIONS_MODIFY",
            tradeID=entry.trade_id,
            clientTradeID=entry.client_trade_id,
            tradeClientExtensionsModify=extensions(entry.extensions),
        )
    return {"type": "CLIENT_CONFIGURE", "alias": entry.alias}


def _opened(entry: OrderFilled, made: TradeMade, shown: str) -> Row:
    return _given(
        tradeID=str(entry.id),
        units=plain(made.units),
        price=shown,
        guaranteedExecutionFee="0.0000",
        halfSpreadCost=money(made.half_spread_home),
        initialMarginRequired=money(made.margin_home),
        clientExtensions=extensions(made.extensions),
    )


def _part(part: TradePart, shown: str) -> Row:
    return {
        "tradeID": part.trade_id,
        "units": plain(part.units),
        "price": shown,
        "realizedPL": money(part.realized_pl_home),
        "financing": "0.0000",
        "guaranteedExecutionFee": "0.0000",
        "halfSpreadCost": money(part.half_spread_home),
    }


def _financing(entry: FinancingBooked) -> Row:
    by_instrument: dict[str, list[Row]] = {}
    totals: dict[str, Decimal] = {}
    for part in entry.parts:
        row = {"tradeID": part.trade_id, "financing": money(part.amount_home)}
        by_instrument.setdefault(part.instrument, []).append(row)
        totals[part.instrument] = totals.get(part.instrument, Decimal(0)) + part.amount_home
    return {
        "type": "DAILY_FINANCING",
        "financing": money(entry.amount_home),
        "accountBalance": money(entry.balance_home),
        "accountFinancingMode": "DAILY",
        "positionFinancings": [
            {"instrument": name, "financing": money(totals[name]), "openTradeFinancings": rows}
            for name, rows in by_instrument.items()
        ],
    }
