"""I am the broker's numbered transactions: the one door through which money enters the ledger.
I may import decimal.
I must not be made from an order's answer; only a broker's transaction log makes me.
My tests are in tests/unit/domain/test_transaction.py and tests/unit/test_ledger.py.
"""

from decimal import Decimal

import msgspec


class TradeOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a fill that opened a trade; units are signed, price is in quote currency."""

    trade_id: str
    units: Decimal
    price: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_distance: Decimal | None = None


class TradeClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a fill that closed (all or some of) a trade.

    units carry the sign of the closing order; the amounts are in home currency.
    """

    trade_id: str
    units: Decimal
    price: Decimal
    realized_pl_home: Decimal
    financing_home: Decimal = Decimal(0)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """An ORDER_FILL; one fill can close several trades, reduce one and open one.

    pl_home, financing_home and commission_home move the balance: balance_home is the account's balance after
    balance_before + pl_home + financing_home - commission_home. half_spread_home is information only.
    """

    transaction_id: int
    ts_ns: int
    order_id: str
    client_order_id: str | None
    instrument: str
    units: Decimal
    price: Decimal
    reason: str
    pl_home: Decimal
    financing_home: Decimal
    commission_home: Decimal
    half_spread_home: Decimal
    balance_home: Decimal
    opened: TradeOpened | None = None
    closed: tuple[TradeClosed, ...] = ()
    reduced: TradeClosed | None = None


class TradeFinancing(msgspec.Struct, frozen=True, kw_only=True):
    """What one open trade paid (negative) or earned at a rollover, in home currency."""

    trade_id: str
    instrument: str
    financing_home: Decimal


class DailyFinancing(msgspec.Struct, frozen=True, kw_only=True):
    """A DAILY_FINANCING at 17:00 New York; financing_home is the sum over trades."""

    transaction_id: int
    ts_ns: int
    financing_home: Decimal
    balance_home: Decimal
    trades: tuple[TradeFinancing, ...]


class OrderCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """An ORDER_CANCEL: the order was made and ended without (further) fill, for the broker's reason."""

    transaction_id: int
    ts_ns: int
    order_id: str
    client_order_id: str | None
    reason: str


class OrderRejected(msgspec.Struct, frozen=True, kw_only=True):
    """A *_ORDER_REJECT: no order was made."""

    transaction_id: int
    ts_ns: int
    client_order_id: str | None
    reason: str


class OrderCreated(msgspec.Struct, frozen=True, kw_only=True):
    """An order (ours, or a dependent stop or target) was made at the broker; no money moves.

    trade_id and price are set for dependent orders; kind is OANDA's transaction type, for example STOP_LOSS_ORDER.
    """

    transaction_id: int
    ts_ns: int
    order_id: str
    client_order_id: str | None
    kind: str
    instrument: str
    units: Decimal = Decimal(0)
    trade_id: str | None = None
    price: Decimal | None = None


class FundsTransferred(msgspec.Struct, frozen=True, kw_only=True):
    """Money paid in or out (also the opening balance of a simulated account), in home currency."""

    transaction_id: int
    ts_ns: int
    amount_home: Decimal
    balance_home: Decimal


class OtherTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that moves neither orders, trades nor money, for example a changed comment.

    It is here because the broker's numbers have no holes; kind is the broker's word for it.
    """

    transaction_id: int
    ts_ns: int
    kind: str


Transaction = Fill | DailyFinancing | OrderCanceled | OrderRejected | OrderCreated | FundsTransferred | OtherTransaction


def hole_text(last_id: int, next_id: int) -> str:
    """Name what is missing where the broker's log goes on with next_id after last_id, for the operator."""
    first, last = last_id + 1, next_id - 1
    missing = f"transaction {first} is" if first == last else f"transactions {first} to {last} are"
    return f"The broker's log has a hole: {missing} missing, {next_id} follows {last_id}."
