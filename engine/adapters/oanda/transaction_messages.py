"""I am the shapes of v20 transactions and of the answers that carry them.
I may import messages and msgspec.
I must not convert: amounts stay the text that was sent, so that no digit is lost.
My tests are in tests/unit/adapters/oanda/test_transactions.py and test_fixtures.py.

Source: OANDA's v20.json 3.0.25 and PROTOCOL sections 7, 11 and 14.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from engine.adapters.oanda.messages import Amount, Count, Extensions, Id, Message, Moment, Name, Text, Word


class KindMessage(Message, frozen=True, kw_only=True):
    """What tells the lines of a stream apart."""

    kind: Word = field(name="type")


class Head(Message, frozen=True, kw_only=True):
    """What every transaction has."""

    id: Id
    time: Moment
    kind: Word = field(name="type")


class OpenedMessage(Message, frozen=True, kw_only=True):
    """tradeOpened of a fill; the price came after 2017."""

    trade_id: Id
    units: Amount
    price: Amount = ""


class ClosedMessage(Message, frozen=True, kw_only=True):
    """One of tradesClosed, or tradeReduced."""

    trade_id: Id
    units: Amount
    realized_pl: Amount
    financing: Amount
    price: Amount = ""


class FillMessage(Message, frozen=True, kw_only=True):
    """ORDER_FILL; price is OANDA's deprecated average, used only where a part has none of its own."""

    order_id: Id
    client_order_id: Text = ""
    instrument: Name
    units: Amount
    price: Amount = ""
    reason: Word
    pl: Amount
    financing: Amount
    commission: Amount = "0"
    guaranteed_execution_fee: Amount = "0"
    half_spread_cost: Amount = "0"
    account_balance: Amount
    trade_opened: OpenedMessage | UnsetType = UNSET
    trades_closed: list[ClosedMessage] = []
    trade_reduced: ClosedMessage | UnsetType = UNSET


class CancelMessage(Message, frozen=True, kw_only=True):
    """ORDER_CANCEL."""

    order_id: Id
    client_order_id: Text = ""
    reason: Word


class EntryMessage(Message, frozen=True, kw_only=True):
    """MARKET_ORDER and its like: orders that name instrument and units."""

    instrument: Name
    units: Amount
    price: Amount = ""
    client_extensions: Extensions | UnsetType = UNSET


class DependentOrderMessage(Message, frozen=True, kw_only=True):
    """STOP_LOSS_ORDER and its like: orders that name the trade they protect."""

    trade_id: Id
    price: Amount = ""
    client_extensions: Extensions | UnsetType = UNSET


class OnFillMessage(Message, frozen=True, kw_only=True):
    """The same orders, for what they add to a trade that was opened with them."""

    kind: Word = field(name="type")
    reason: Word = ""
    price: Amount = ""
    distance: Amount = ""


class RejectMessage(Message, frozen=True, kw_only=True):
    """Any *_REJECT; only those of orders have a client's id."""

    reject_reason: Word
    client_extensions: Extensions | UnsetType = UNSET


class TradeFinancingMessage(Message, frozen=True, kw_only=True):
    """One of openTradeFinancings."""

    trade_id: Id
    financing: Amount


class PositionFinancingMessage(Message, frozen=True, kw_only=True):
    """One of positionFinancings."""

    instrument: Name
    open_trade_financings: list[TradeFinancingMessage] = []


class FinancingMessage(Message, frozen=True, kw_only=True):
    """DAILY_FINANCING."""

    financing: Amount
    account_balance: Amount
    position_financings: list[PositionFinancingMessage] = []


class TransferMessage(Message, frozen=True, kw_only=True):
    """TRANSFER_FUNDS."""

    amount: Amount
    account_balance: Amount


class MoneyMessage(Message, frozen=True, kw_only=True):
    """Whatever tells that a transaction of a kind we do not know has moved money."""

    account_balance: Amount = ""
    amount: Amount = ""
    dividend_adjustment: Amount = ""
    financing: Amount = ""
    pl: Amount = ""
    commission: Amount = ""
    fee: Amount = ""
    guaranteed_execution_fee: Amount = ""


class TransactionsBody(Message, frozen=True, kw_only=True):
    """Body of /transactions/sinceid and /transactions/idrange."""

    transactions: list[msgspec.Raw]
    last_transaction_id: Id


class PagesBody(Message, frozen=True, kw_only=True):
    """Body of /transactions."""

    count: Count
    pages: list[Text]
    last_transaction_id: Id


class HeartbeatMessage(Message, frozen=True, kw_only=True):
    """HEARTBEAT of either stream; only that of transactions has an id."""

    time: Moment
    last_transaction_id: Id = ""


class MadeMessage(Message, frozen=True, kw_only=True):
    """What surrounds the transactions that a POST or PUT made."""

    last_transaction_id: Id
    related_transaction_ids: list[Id] = []


class RefusalMessage(Message, frozen=True, kw_only=True):
    """What surrounds the rejects of a POST or PUT; there are none when it was malformed."""

    error_message: Annotated[str, Meta(min_length=1, max_length=1000)]
    error_code: Text = ""
    last_transaction_id: Id = ""
