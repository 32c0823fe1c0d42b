"""I am the account: what is owned, owed and at risk, in home currency.
I may import decimal.
I must not compute; the ledger does.
My tests are in tests/unit/test_ledger.py.
"""

from decimal import Decimal

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's own view of the account, amounts in home currency."""

    currency: str
    balance_home: Decimal
    equity_home: Decimal
    margin_used_home: Decimal
    last_transaction_id: int


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One open lot; units are signed and what is left of it, prices in quote currency, amounts in home currency."""

    trade_id: str
    instrument: str
    units: Decimal
    initial_units: Decimal
    price: Decimal
    opened_ns: int
    client_order_id: str | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    realized_pl_home: Decimal = Decimal(0)
    financing_home: Decimal = Decimal(0)


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits at the broker, by its number there.

    kind is the broker's word (STOP_LOSS, LIMIT, ...); trade_id names the trade that a dependent order would close,
    instrument and units what another one would open; price is None for a kind without one.
    """

    order_id: str
    kind: str
    instrument: str | None
    units: Decimal | None
    trade_id: str | None
    price: Decimal | None
    client_order_id: str | None


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the broker holds for the account, told at one moment: after this transaction, at this balance."""

    balance_home: Decimal
    last_transaction_id: int
    trades: tuple[Trade, ...]
    orders: tuple[WorkingOrder, ...]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Net units of one instrument; average_price in quote currency, unrealized_pl_home on the closing side."""

    instrument: str
    units: Decimal
    average_price: Decimal
    unrealized_pl_home: Decimal


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Equity (balance + open P/L) at a moment, in home currency."""

    ts_ns: int
    equity_home: Decimal
    balance_home: Decimal
