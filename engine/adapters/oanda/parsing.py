"""I am what OANDA says of account and market, in the domain's words: figures, instruments, prices, candles.
I may import the domain, messages, moments, reading and transactions.
I must not guess: a body that is not what the protocol says becomes a ParseFault as a whole.
My tests are in tests/unit/adapters/oanda/test_parsing.py and test_fixtures.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType

import msgspec
from msgspec import UNSET, UnsetType

from engine.adapters.oanda.messages import (
    AccountsMessage,
    CandleMessage,
    CandlesBody,
    ChangesBody,
    ConversionMessage,
    Factors,
    InstrumentMessage,
    InstrumentsMessage,
    PriceMessage,
    Prices,
    PricingBody,
    SummaryBody,
    SummaryMessage,
)
from engine.adapters.oanda.moments import parse_moment
from engine.adapters.oanda.reading import ParseFault, read
from engine.adapters.oanda.transaction_log import Heartbeat, heartbeat, read_transactions
from engine.adapters.oanda.transaction_messages import KindMessage
from engine.adapters.oanda.transactions import NO_TRADES, Parsed
from engine.domain.account import Account
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Granularity, Quote

ONE = Decimal(1)


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The account as /summary shows it; margin_rate is the client's own setting, if there is one.

    The last_transaction_id in it is no cursor: only transactions that were read may move one (PROTOCOL section 10).
    """

    account_id: str
    account: Account
    created_ns: int
    hedging_enabled: bool
    margin_rate: Decimal | None
    resettable_pl_ns: int


class AccountChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What /changes tells since the id that was asked for; amounts in home currency."""

    transactions: tuple[Parsed, ...]
    equity_home: Decimal
    unrealized_pl_home: Decimal
    margin_used_home: Decimal
    last_transaction_id: int


class HomeRate(msgspec.Struct, frozen=True, kw_only=True):
    """Value of one unit of a currency at home: at mid without charge, and as a loss is booked."""

    rate: Decimal
    loss_rate: Decimal


HOME_ITSELF = HomeRate(rate=ONE, loss_rate=ONE)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Best bid and ask of one moment; a side that nobody offers is None. `home` is what the price itself brings."""

    instrument: str
    bid: Decimal | None
    ask: Decimal | None
    ts_ns: int
    tradeable: bool
    home: HomeRate | None = None

    @property
    def quote_currency(self) -> str:
        """Name the currency that the price is in."""
        return self.instrument.split("_")[1]

    def quote(self, home: HomeRate, received_ns: int) -> Quote | None:
        """Make the domain's quote, or None when a side is empty; `home` converts the quote currency."""
        if self.bid is None or self.ask is None:
            return None
        return Quote(
            instrument=self.instrument,
            bid=self.bid,
            ask=self.ask,
            ts_ns=self.ts_ns,
            received_ns=received_ns,
            home_rate=home.rate,
            home_loss_rate=home.loss_rate,
            tradeable=self.tradeable,
        )


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """Prices with the home rates that came with them, by currency; ts_ns is the answer's own time."""

    prices: tuple[Price, ...]
    home: Mapping[str, HomeRate]
    ts_ns: int | None

    def rate_of(self, price: Price) -> HomeRate | None:
        """Find what converts a price's quote currency: homeConversions, else the price's own factors."""
        return self.home.get(price.quote_currency, price.home)


class Ohlc(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Open, high, low and close of one side, in quote currency."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One candle with the sides that were asked for; volume counts prices."""

    open_ts_ns: int
    volume: int
    complete: bool
    mid: Ohlc | None
    bid: Ohlc | None
    ask: Ohlc | None


class Candles(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of one instrument, oldest first, each time once; the running one may be the last."""

    instrument: str
    granularity: Granularity
    candles: tuple[Candle, ...]


def parse_accounts(body: bytes) -> tuple[str, ...] | ParseFault:
    """Read the ids of the accounts that a token may use."""
    return read(body, AccountsMessage, lambda message: tuple(each.id for each in message.accounts), "list of accounts")


def parse_platforms(body: bytes) -> Mapping[str, bool] | ParseFault:
    """Read which accounts a token may use, and whether each belongs to MetaTrader 4."""
    return read(body, AccountsMessage, _platforms, "list of accounts")


def parse_summary(body: bytes) -> AccountSummary | ParseFault:
    """Read the account's figures."""
    return read(body, SummaryBody, lambda message: account_summary(message.account), "account summary")


def parse_changes(body: bytes, trade_instruments: Mapping[str, str] = NO_TRADES) -> AccountChanges | ParseFault:
    """Read the transactions and figures of a poll for changes; for the mapping see parse_transactions."""
    return read(body, ChangesBody, lambda message: _changes(message, trade_instruments), "account changes")


def parse_instruments(body: bytes) -> Mapping[str, Instrument] | ParseFault:
    """Read the tradeable instruments by name."""
    return read(body, InstrumentsMessage, _instruments, "list of instruments")


def parse_pricing(body: bytes) -> Pricing | ParseFault:
    """Read the prices that were asked for, and home rates if those were asked for too."""
    return read(body, PricingBody, _pricing, "prices")


def parse_pricing_line(line: bytes) -> Price | Heartbeat | ParseFault:
    """Read one line of the pricing stream."""
    return read(line, msgspec.Raw, _pricing_line, "line of the pricing stream")


def parse_candles(body: bytes) -> Candles | ParseFault:
    """Read candles of any sides; a fault when their times do not ascend."""
    return read(body, CandlesBody, _candles, "candles")


def parse_bars(body: bytes, instrument: str, granularity: Granularity) -> tuple[Bar, ...] | ParseFault:
    """Read the complete candles as bars, oldest first; a fault when they are not the ones asked for, or lack a side."""
    return read(body, CandlesBody, lambda message: _bars(_candles(message), instrument, granularity), "candles")


def account_summary(account: SummaryMessage) -> AccountSummary:
    """Convert the account's figures; raises ValueError."""
    return AccountSummary(
        account_id=account.id,
        account=Account(
            currency=account.currency,
            balance_home=Decimal(account.balance),
            equity_home=Decimal(account.nav),
            margin_used_home=Decimal(account.margin_used),
            last_transaction_id=int(account.last_transaction_id),
        ),
        created_ns=parse_moment(account.created_time),
        hedging_enabled=account.hedging_enabled,
        margin_rate=_fraction(account.margin_rate, "marginRate") if account.margin_rate else None,
        resettable_pl_ns=parse_moment(account.resettable_pl_time),
    )


def _platforms(message: AccountsMessage) -> Mapping[str, bool]:
    return MappingProxyType({each.id: each.mt4_account_id is not UNSET for each in message.accounts})


def _changes(message: ChangesBody, trade_instruments: Mapping[str, str]) -> AccountChanges:
    return AccountChanges(
        transactions=read_transactions(message.changes.transactions, trade_instruments),
        equity_home=Decimal(message.state.nav),
        unrealized_pl_home=Decimal(message.state.unrealized_pl),
        margin_used_home=Decimal(message.state.margin_used),
        last_transaction_id=int(message.last_transaction_id),
    )


def _instruments(message: InstrumentsMessage) -> Mapping[str, Instrument]:
    instruments = {each.name: _instrument(each) for each in message.instruments}
    if len(instruments) != len(message.instruments):
        raise ValueError("an instrument comes twice")
    return MappingProxyType(instruments)


def _instrument(message: InstrumentMessage) -> Instrument:
    units_min, units_max = Decimal(message.minimum_trade_size), Decimal(message.maximum_order_units)
    if not 0 < units_min <= units_max:
        raise ValueError(f"{message.name}: units from {units_min} to {units_max} are no range above 0")
    return Instrument(
        name=message.name,
        price_decimals=message.display_precision,
        pip_size=Decimal(10) ** message.pip_location,
        units_decimals=message.trade_units_precision,
        units_min=units_min,
        units_max=units_max,
        margin_rate=_fraction(message.margin_rate, f"{message.name}: marginRate"),
        financing_long=Decimal(message.financing.long_rate) if message.financing else Decimal(0),
        financing_short=Decimal(message.financing.short_rate) if message.financing else Decimal(0),
    )


def _fraction(text: str, what: str) -> Decimal:
    value = Decimal(text)
    if not 0 < value <= 1:
        raise ValueError(f"{what} {value} is not above 0 and at most 1")
    return value


def _pricing(message: PricingBody) -> Pricing:
    return Pricing(
        prices=tuple(_price(each) for each in message.prices),
        home=MappingProxyType({each.currency: _home_rate(each) for each in message.home_conversions}),
        ts_ns=parse_moment(message.time) if message.time else None,
    )


def _pricing_line(raw: msgspec.Raw) -> Price | Heartbeat:
    kind = msgspec.json.decode(raw, type=KindMessage).kind
    if kind == "HEARTBEAT":
        return heartbeat(raw)
    if kind != "PRICE":
        raise ValueError(f"type {kind[:60]!r} is neither PRICE nor HEARTBEAT")
    return _price(msgspec.json.decode(raw, type=PriceMessage))


def _price(message: PriceMessage) -> Price:
    factors = message.quote_home_conversion_factors
    return Price(
        instrument=message.instrument,
        bid=Decimal(message.bids[0].price) if message.bids else None,
        ask=Decimal(message.asks[0].price) if message.asks else None,
        ts_ns=parse_moment(message.time),
        tradeable=_tradeable(message),
        home=None if factors is UNSET else _rate_of_factors(factors),
    )


def _tradeable(message: PriceMessage) -> bool:
    """Say yes only when nothing says no: the flag and its older twin must not disagree."""
    if message.tradeable is UNSET and not message.status:
        raise ValueError(f"{message.instrument} has neither 'tradeable' nor 'status'")
    if message.status not in ("", "tradeable", "non-tradeable", "non_tradeable", "invalid"):
        raise ValueError(f"{message.instrument} has the unknown status {message.status!r}")
    return message.tradeable is not False and message.status in ("", "tradeable")


def _home_rate(message: ConversionMessage) -> HomeRate:
    return _positive(HomeRate(rate=Decimal(message.position_value), loss_rate=Decimal(message.account_loss)))


def _rate_of_factors(factors: Factors) -> HomeRate:
    gain, loss = Decimal(factors.positive_units), Decimal(factors.negative_units)
    return _positive(HomeRate(rate=(gain + loss) / 2, loss_rate=loss))


def _positive(home: HomeRate) -> HomeRate:
    if home.rate <= 0 or home.loss_rate <= 0:
        raise ValueError(f"home rates {home.rate} and {home.loss_rate} are not above 0")
    return home


def _candles(message: CandlesBody) -> Candles:
    candles = tuple(_candle(each) for each in message.candles)
    for earlier, later in pairwise(candles):
        if later.open_ts_ns <= earlier.open_ts_ns:
            raise ValueError(f"the candle of {later.open_ts_ns} ns follows that of {earlier.open_ts_ns} ns")
    return Candles(instrument=message.instrument, granularity=message.granularity, candles=candles)


def _candle(message: CandleMessage) -> Candle:
    return Candle(
        open_ts_ns=parse_moment(message.time),
        volume=message.volume,
        complete=message.complete,
        mid=_ohlc(message.mid),
        bid=_ohlc(message.bid),
        ask=_ohlc(message.ask),
    )


def _ohlc(prices: Prices | UnsetType) -> Ohlc | None:
    if prices is UNSET:
        return None
    return Ohlc(
        open=Decimal(prices.open), high=Decimal(prices.high), low=Decimal(prices.low), close=Decimal(prices.close)
    )


def _bars(candles: Candles, instrument: str, granularity: Granularity) -> tuple[Bar, ...]:
    if (candles.instrument, candles.granularity) != (instrument, granularity):
        raise ValueError(f"asked for {instrument} {granularity}, got {candles.instrument} {candles.granularity}")
    return tuple(_bar(each, instrument, granularity) for each in candles.candles if each.complete)


def _bar(candle: Candle, instrument: str, granularity: Granularity) -> Bar:
    bid, ask = candle.bid, candle.ask
    if bid is None or ask is None:
        raise ValueError(f"the candle of {candle.open_ts_ns} ns has no {'bid' if bid is None else 'ask'}")
    return Bar(
        instrument=instrument,
        granularity=granularity,
        open_ts_ns=candle.open_ts_ns,
        bid_open=bid.open,
        bid_high=bid.high,
        bid_low=bid.low,
        bid_close=bid.close,
        ask_open=ask.open,
        ask_high=ask.high,
        ask_low=ask.low,
        ask_close=ask.close,
        tick_count=candle.volume,
    )
