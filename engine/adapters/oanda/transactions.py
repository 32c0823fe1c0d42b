"""I am a transaction of OANDA in the domain's words; every kind becomes something, so that the ledger can count ids.
I may import the domain, messages, transaction_messages and moments.
I must not drop a transaction, least of all one that moves money in a way we do not know.
My tests are in tests/unit/adapters/oanda/test_transactions.py and test_fixtures.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

import msgspec
from msgspec import UNSET, UnsetType

from engine.adapters.oanda.messages import Extensions
from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.transaction_messages import (
    CancelMessage,
    ClosedMessage,
    DependentOrderMessage,
    EntryMessage,
    FillMessage,
    FinancingMessage,
    Head,
    MoneyMessage,
    OpenedMessage,
    RejectMessage,
    TransferMessage,
)
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
    Transaction,
)

ENTRY_ORDERS = ("MARKET_ORDER", "FIXED_PRICE_ORDER", "LIMIT_ORDER", "STOP_ORDER", "MARKET_IF_TOUCHED_ORDER")
DEPENDENT_ORDERS = (
    "TAKE_PROFIT_ORDER",
    "STOP_LOSS_ORDER",
    "TRAILING_STOP_LOSS_ORDER",
    "GUARANTEED_STOP_LOSS_ORDER",
)
ZERO = Decimal(0)
NO_TRADES: Mapping[str, str] = MappingProxyType({})


class Unsupported(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that has moved money in a way our books do not know; amounts in home currency where given."""

    transaction_id: int
    ts_ns: int
    kind: str
    amount_home: Decimal | None
    balance_home: Decimal | None

    @property
    def reason(self) -> str:
        """Tell a person what came that cannot be booked."""
        amount = "an amount it does not name" if self.amount_home is None else str(self.amount_home)
        balance = "" if self.balance_home is None else f" and left a balance of {self.balance_home}"
        return f"Broker transaction {self.transaction_id} of type {self.kind} moved {amount}{balance}."


Parsed = Transaction | Unsupported


def read_transaction(raw: msgspec.Raw, trade_instruments: Mapping[str, str]) -> Parsed:
    """Convert one transaction; raises ValueError that names it."""
    head = msgspec.json.decode(raw, type=Head)
    try:
        return _READERS.get(head.kind, _other)(head, raw, trade_instruments)
    except ValueError as error:
        raise ValueError(f"transaction {head.id} of type {head.kind}: {error}") from error


def _fill(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> Fill:
    """Convert an ORDER_FILL; the fee of a guaranteed stop reduces the balance as a commission does."""
    message = msgspec.json.decode(raw, type=FillMessage)
    opened = None if message.trade_opened is UNSET else _opened(message.trade_opened, message.price)
    closed = tuple(_closed(part, message.price) for part in message.trades_closed)
    reduced = None if message.trade_reduced is UNSET else _closed(message.trade_reduced, message.price)
    parts = [part for part in (*closed, reduced, opened) if part is not None]
    return Fill(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        order_id=message.order_id,
        client_order_id=message.client_order_id or None,
        instrument=message.instrument,
        units=Decimal(message.units),
        price=_average(parts, message.price),
        reason=message.reason,
        pl_home=Decimal(message.pl),
        financing_home=Decimal(message.financing),
        commission_home=Decimal(message.commission) + Decimal(message.guaranteed_execution_fee),
        half_spread_home=Decimal(message.half_spread_cost),
        balance_home=Decimal(message.account_balance),
        opened=opened,
        closed=closed,
        reduced=reduced,
    )


def _opened(part: OpenedMessage, fill_price: str) -> TradeOpened:
    return TradeOpened(
        trade_id=part.trade_id, units=Decimal(part.units), price=_part_price(part.trade_id, part.price, fill_price)
    )


def _closed(part: ClosedMessage, fill_price: str) -> TradeClosed:
    return TradeClosed(
        trade_id=part.trade_id,
        units=Decimal(part.units),
        price=_part_price(part.trade_id, part.price, fill_price),
        realized_pl_home=Decimal(part.realized_pl),
        financing_home=Decimal(part.financing),
    )


def _part_price(trade_id: str, price: str, fill_price: str) -> Decimal:
    if not price and not fill_price:
        raise ValueError(f"the part of trade {trade_id} has no price")
    return Decimal(price or fill_price)


def _average(parts: Sequence[TradeOpened | TradeClosed], fill_price: str) -> Decimal:
    """Average the parts' own prices by size, to as many decimals as the finest has.

    They differ only around a guaranteed stop (v20.json, fullVWAP); OANDA's own average is for a fill without parts.
    """
    prices = {part.price for part in parts}
    if len(prices) == 1:
        return prices.pop()
    if units := sum((abs(part.units) for part in parts), ZERO):
        value = sum((abs(part.units) * part.price for part in parts), ZERO)
        return (value / units).quantize(min(prices, key=lambda price: price.as_tuple().exponent))
    if not fill_price:
        raise ValueError("the fill has no price")
    return Decimal(fill_price)


def _canceled(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> OrderCanceled:
    message = msgspec.json.decode(raw, type=CancelMessage)
    return OrderCanceled(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        order_id=message.order_id,
        client_order_id=message.client_order_id or None,
        reason=message.reason,
    )


def _entry(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> OrderCreated:
    message = msgspec.json.decode(raw, type=EntryMessage)
    return OrderCreated(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        order_id=head.id,
        client_order_id=client_id(message.client_extensions),
        kind=head.kind,
        instrument=message.instrument,
        units=Decimal(message.units),
        price=Decimal(message.price) if message.price else None,
    )


def _dependent(head: Head, raw: msgspec.Raw, trade_instruments: Mapping[str, str]) -> OrderCreated:
    message = msgspec.json.decode(raw, type=DependentOrderMessage)
    return OrderCreated(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        order_id=head.id,
        client_order_id=client_id(message.client_extensions),
        kind=head.kind,
        instrument=trade_instruments.get(message.trade_id, ""),
        trade_id=message.trade_id,
        price=Decimal(message.price) if message.price else None,
    )


def _rejected(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> OrderRejected:
    message = msgspec.json.decode(raw, type=RejectMessage)
    return OrderRejected(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        client_order_id=client_id(message.client_extensions),
        reason=message.reject_reason,
    )


def client_id(extensions: Extensions | UnsetType) -> str | None:
    """Return the client's id of an order or trade, if it has one."""
    return None if extensions is UNSET else extensions.id or None


def _financing(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> DailyFinancing:
    message = msgspec.json.decode(raw, type=FinancingMessage)
    return DailyFinancing(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        financing_home=Decimal(message.financing),
        balance_home=Decimal(message.account_balance),
        trades=tuple(
            TradeFinancing(
                trade_id=part.trade_id, instrument=position.instrument, financing_home=Decimal(part.financing)
            )
            for position in message.position_financings
            for part in position.open_trade_financings
        ),
    )


def _transfer(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> FundsTransferred:
    message = msgspec.json.decode(raw, type=TransferMessage)
    return FundsTransferred(
        transaction_id=int(head.id),
        ts_ns=parse_moment(head.time),
        amount_home=Decimal(message.amount),
        balance_home=Decimal(message.account_balance),
    )


def _other(head: Head, raw: msgspec.Raw, _: Mapping[str, str]) -> OtherTransaction | Unsupported:
    """Keep the number of a kind that our books have no use for, unless it has moved money.

    It has when it tells the balance, or an amount other than 0; a reject names the amount that it did not move.
    """
    money = msgspec.json.decode(raw, type=MoneyMessage)
    transaction_id, ts_ns = int(head.id), parse_moment(head.time)
    named = _amounts(money)
    amounts = tuple(amount for amount in named if amount) or named[:1]
    if money.account_balance or (any(amounts) and not head.kind.endswith("_REJECT")):
        return Unsupported(
            transaction_id=transaction_id,
            ts_ns=ts_ns,
            kind=head.kind,
            amount_home=amounts[0] if len(amounts) == 1 else None,
            balance_home=Decimal(money.account_balance) if money.account_balance else None,
        )
    return OtherTransaction(transaction_id=transaction_id, ts_ns=ts_ns, kind=head.kind)


def _amounts(money: MoneyMessage) -> tuple[Decimal, ...]:
    texts = (
        money.amount,
        money.dividend_adjustment,
        money.financing,
        money.pl,
        money.commission,
        money.fee,
        money.guaranteed_execution_fee,
    )
    return tuple(Decimal(text) for text in texts if text)


_Reader = Callable[[Head, msgspec.Raw, Mapping[str, str]], Parsed]
_READERS: Mapping[str, _Reader] = {
    **dict.fromkeys(ENTRY_ORDERS, _entry),
    **dict.fromkeys(DEPENDENT_ORDERS, _dependent),
    **dict.fromkeys((f"{kind}_REJECT" for kind in ENTRY_ORDERS + DEPENDENT_ORDERS), _rejected),
    "ORDER_FILL": _fill,
    "ORDER_CANCEL": _canceled,
    "DAILY_FINANCING": _financing,
    "TRANSFER_FUNDS": _transfer,
}
