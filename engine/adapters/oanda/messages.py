"""I am the shapes of v20 bodies: which fields Keel reads, of which JSON type, and which may be left out.
I may import msgspec.
I must not convert: amounts stay the text that was sent, so that no digit is lost.
My tests are in tests/unit/adapters/oanda/test_parsing.py and test_fixtures.py.

Source: OANDA's v20.json 3.0.25 and PROTOCOL section 14. Fields without a default are those that every recording has;
fields that Keel does not read are ignored, and null is no value for any field that it does read.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from engine.domain.market import Granularity

_NAMES = {"id": "ID", "ids": "IDs", "pl": "PL"}


def _wire_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(_NAMES.get(word, word.capitalize()) for word in rest)


# 28 digits are what decimal arithmetic carries without rounding
Amount = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?\Z", max_length=28)]
Id = Annotated[str, Meta(pattern=r"^[0-9]{1,18}\Z")]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,100}\Z")]
Name = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2,12}_[A-Z0-9]{2,6}\Z")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2,6}\Z")]
Text = Annotated[str, Meta(max_length=1000)]
Moment = Annotated[str, Meta(max_length=40)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Places = Annotated[int, Meta(ge=0, le=12)]
PipLocation = Annotated[int, Meta(ge=-12, le=12)]


class Message(msgspec.Struct, frozen=True, kw_only=True, rename=_wire_name):
    """Root of every shape: attribute trade_id is tradeID on the wire."""


class Extensions(Message, frozen=True, kw_only=True):
    """clientExtensions of an order or a trade."""

    id: Text = ""


class FinancingMessage(Message, frozen=True, kw_only=True):
    """financing of an instrument: yearly rates as fractions, negative is paid."""

    long_rate: Amount
    short_rate: Amount


class InstrumentMessage(Message, frozen=True, kw_only=True):
    """One element of /instruments."""

    name: Name
    pip_location: PipLocation
    display_precision: Places
    trade_units_precision: Places
    minimum_trade_size: Amount
    maximum_order_units: Amount
    margin_rate: Amount
    financing: FinancingMessage | None = None


class InstrumentsMessage(Message, frozen=True, kw_only=True):
    """Body of /instruments."""

    instruments: list[InstrumentMessage]


class AccountEntry(Message, frozen=True, kw_only=True):
    """One element of /accounts; the number of an account at MetaTrader 4 is there when it is one."""

    id: Text
    mt4_account_id: int | str | UnsetType = field(name="mt4AccountID", default=UNSET)


class AccountsMessage(Message, frozen=True, kw_only=True):
    """Body of /accounts."""

    accounts: list[AccountEntry]


class SummaryMessage(Message, frozen=True, kw_only=True):
    """Account inside /summary."""

    id: Text
    created_time: Moment
    currency: Currency
    balance: Amount
    nav: Amount = field(name="NAV")
    margin_used: Amount
    hedging_enabled: bool
    last_transaction_id: Id
    margin_rate: Amount = ""
    resettable_pl_time: Moment = "0"


class SummaryBody(Message, frozen=True, kw_only=True):
    """Body of /summary."""

    account: SummaryMessage
    last_transaction_id: Id


class ChangesMessage(Message, frozen=True, kw_only=True):
    """What has happened, inside /changes; only the transactions are read, they tell all the rest."""

    transactions: list[msgspec.Raw]


class StateMessage(Message, frozen=True, kw_only=True):
    """Price-dependent figures, inside /changes."""

    nav: Amount = field(name="NAV")
    unrealized_pl: Amount
    margin_used: Amount


class ChangesBody(Message, frozen=True, kw_only=True):
    """Body of /changes."""

    changes: ChangesMessage
    state: StateMessage
    last_transaction_id: Id


class Bucket(Message, frozen=True, kw_only=True):
    """A price and the units on offer at it; liquidity has been seen as 10, 10.0 and "10"."""

    price: Amount
    liquidity: int | float | Amount = 0


class Factors(Message, frozen=True, kw_only=True):
    """quoteHomeConversionFactors of a price."""

    positive_units: Amount
    negative_units: Amount


class PriceMessage(Message, frozen=True, kw_only=True):
    """A price of /pricing or of the pricing stream; recordings of 2016 have a status and no tradeable flag."""

    instrument: Name
    time: Moment
    bids: list[Bucket]
    asks: list[Bucket]
    tradeable: bool | UnsetType = UNSET
    status: Text = ""
    quote_home_conversion_factors: Factors | UnsetType = UNSET


class ConversionMessage(Message, frozen=True, kw_only=True):
    """One element of homeConversions."""

    currency: Currency
    account_loss: Amount
    position_value: Amount


class PricingBody(Message, frozen=True, kw_only=True):
    """Body of /pricing; the time on top came after 2016."""

    prices: list[PriceMessage]
    home_conversions: list[ConversionMessage] = []
    time: Moment = ""


class Prices(Message, frozen=True, kw_only=True):
    """Open, high, low and close of a candle on one side."""

    open: Amount = field(name="o")
    high: Amount = field(name="h")
    low: Amount = field(name="l")
    close: Amount = field(name="c")


class CandleMessage(Message, frozen=True, kw_only=True):
    """One candle; which sides it has depends on what was asked for."""

    time: Moment
    volume: Count
    complete: bool
    mid: Prices | UnsetType = UNSET
    bid: Prices | UnsetType = UNSET
    ask: Prices | UnsetType = UNSET


class CandlesBody(Message, frozen=True, kw_only=True):
    """Body of /candles."""

    instrument: Name
    granularity: Granularity
    candles: list[CandleMessage]


class BookBucket(Message, frozen=True, kw_only=True):
    """Orders near one price, in percent of all."""

    price: Amount
    long_count_percent: Amount
    short_count_percent: Amount


class BookMessage(Message, frozen=True, kw_only=True):
    """Order book inside /orderBook."""

    instrument: Name
    time: Moment
    price: Amount
    bucket_width: Amount
    buckets: list[BookBucket]


class BookBody(Message, frozen=True, kw_only=True):
    """Body of /orderBook."""

    order_book: BookMessage


class DependentMessage(Message, frozen=True, kw_only=True):
    """A stop or target inside a trade."""

    id: Id
    price: Amount = ""


class TradeMessage(Message, frozen=True, kw_only=True):
    """One element of /trades."""

    id: Id
    instrument: Name
    price: Amount
    open_time: Moment
    state: Word
    initial_units: Amount
    current_units: Amount
    realized_pl: Amount
    financing: Amount
    client_extensions: Extensions | UnsetType = UNSET
    take_profit_order: DependentMessage | UnsetType = UNSET
    stop_loss_order: DependentMessage | UnsetType = UNSET


class TradesBody(Message, frozen=True, kw_only=True):
    """Body of /trades and /openTrades."""

    trades: list[TradeMessage]
    last_transaction_id: Id


class TradeBody(Message, frozen=True, kw_only=True):
    """Body of /trades/{id}."""

    trade: TradeMessage
    last_transaction_id: Id


class SideMessage(Message, frozen=True, kw_only=True):
    """Long or short side of a position; a flat side has neither price nor trades."""

    units: Amount
    average_price: Amount = ""
    trade_ids: list[Id] = []
    unrealized_pl: Amount = "0"


class PositionMessage(Message, frozen=True, kw_only=True):
    """One element of /positions."""

    instrument: Name
    long: SideMessage
    short: SideMessage


class PositionsBody(Message, frozen=True, kw_only=True):
    """Body of /positions and /openPositions."""

    positions: list[PositionMessage]
    last_transaction_id: Id


class OrderMessage(Message, frozen=True, kw_only=True):
    """One element of /pendingOrders."""

    id: Id
    kind: Word = field(name="type")
    state: Word
    instrument: Name | UnsetType = UNSET
    units: Amount = ""
    price: Amount = ""
    trade_id: Id | UnsetType = UNSET
    client_extensions: Extensions | UnsetType = UNSET


class OrderBody(Message, frozen=True, kw_only=True):
    """One order."""

    order: OrderMessage


class OrdersBody(Message, frozen=True, kw_only=True):
    """Body of /orders and /pendingOrders."""

    orders: list[OrderMessage]
    last_transaction_id: Id


class AccountMessage(SummaryMessage, frozen=True, kw_only=True):
    """Account with all that it holds; its trades name their stops and targets by number only."""

    trades: list[TradeMessage]
    orders: list[OrderMessage]


class AccountBody(Message, frozen=True, kw_only=True):
    """Body of /accounts/{id}."""

    account: AccountMessage
    last_transaction_id: Id
