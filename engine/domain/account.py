"""I am the account: what is owned, owed and at risk, in home currency.
I may import decimal.
I must not compute; the ledger does.
My tests are in tests/unit/test_ledger.py.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The broker's own view of the account, amounts in home currency."""

    currency: str
    balance_home: Decimal
    equity_home: Decimal
    margin_used_home: Decimal
    last_transaction_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Net units of one instrument; average_price in quote currency, unrealized_pl_home on the closing side."""

    instrument: str
    units: Decimal
    average_price: Decimal
    unrealized_pl_home: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """Equity (balance + open P/L) at a moment, in home currency."""

    ts_ns: int
    equity_home: Decimal
    balance_home: Decimal
