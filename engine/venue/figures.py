"""I am the figures that depend on prices: the account's worth, positions, open P/L, and the prices themselves.
I may import the domain, the simulated venue, rendering and text.
I must not change anything.
My tests are in tests/unit/venue: test_prices_by_hand.py; and in tests/contract/test_venue.py.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from engine.adapters.sim.book import Order, SideTotals, Trade
from engine.adapters.sim.conversion import CONVERSION_CHARGE, ONE
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.hours import DAYS_CHARGED
from engine.adapters.sim.margin import closeout_figures, margin_home
from engine.adapters.sim.ticket import OrderKind
from engine.domain.instrument import Instrument
from engine.domain.market import Quote
from engine.venue.rendering import LIQUIDITY, Renderer
from engine.venue.text import MONEY, Dates, factor, money, plain, price, share

Row = dict[str, Any]
_DAYS_OF_WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
ZERO = Decimal(0)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(MONEY, rounding=ROUND_HALF_EVEN)


class Figures:
    """Reads one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._book = exchange.book

    def unrealized(self, trade: Trade) -> Decimal:
        """Open P/L of a trade in home currency: longs valued at the bid, shorts at the ask, converted at mid.

        It is rounded here, per trade, so that positions and account are the exact sums of what is shown.
        """
        name = trade.instrument.name
        quote = self._exchange.quotes[name]
        closing = quote.bid if trade.is_long else quote.ask
        return _cents((closing - trade.price) * trade.units * self._exchange.rates.rate(name))

    def margin(self, trade: Trade) -> Decimal:
        """Margin that a trade holds, in home currency."""
        return _cents(margin_home(trade.instrument, trade.units, self._exchange.rates))

    def trade(self, renderer: Renderer, trade: Trade, *, summary: bool = False) -> Row:
        """Write a trade at present prices."""
        if not trade.units:
            return renderer.trade(trade, ZERO, ZERO, summary=summary)
        return renderer.trade(trade, self.unrealized(trade), self.margin(trade), summary=summary)

    @property
    def open_trades(self) -> list[Trade]:
        """Open trades, newest first."""
        found = [trade for position in self._book.positions.values() for trade in position.trades]
        return sorted(found, key=lambda trade: -int(trade.trade_id))

    @property
    def pending(self) -> list[Order]:
        """Orders that wait, newest first."""
        return list(reversed(self._book.pending.values()))

    def state(self) -> Row:
        """The part of the account that moves with prices."""
        trades = self.open_trades
        open_pl = sum((self.unrealized(trade) for trade in trades), ZERO)
        margin = sum((self.margin(trade) for trade in trades), ZERO)
        mid_equity = _cents(closeout_figures(self._book, self._exchange.rates)[1])
        nav, value = self._book.balance_home + open_pl, self._position_value()
        percent = margin / mid_equity if mid_equity > 0 else Decimal(bool(margin)) * 2
        return {
            "unrealizedPL": money(open_pl),
            "NAV": money(nav),
            "marginUsed": money(margin),
            "marginAvailable": money(max(ZERO, nav - margin)),
            "positionValue": money(value),
            "marginCloseoutUnrealizedPL": money(mid_equity - self._book.balance_home),
            "marginCloseoutNAV": money(mid_equity),
            "marginCloseoutMarginUsed": money(margin),
            "marginCloseoutPercent": share(percent / 2),
            "marginCloseoutPositionValue": money(value),
            "withdrawalLimit": money(max(ZERO, nav - margin)),
            "marginCallMarginUsed": money(margin),
            "marginCallPercent": share(percent),
        }

    def _position_value(self) -> Decimal:
        rates = self._exchange.rates
        return sum(
            (abs(each.units) * rates.mids[name] * rates.rate(name) for name, each in self._book.positions.items()),
            ZERO,
        )

    def account(self, account_id: str, alias: str, created_ns: int, dates: Dates) -> Row:
        """Write the account's summary."""
        totals = self._book.totals.values()
        pl = sum((side.pl_home for side in totals), ZERO)
        return {
            "id": account_id,
            "alias": alias,
            "currency": self._exchange.currency,
            "balance": money(self._book.balance_home),
            "createdByUserID": int(account_id.split("-")[2]),
            "createdTime": dates(created_ns),
            "guaranteedStopLossOrderMode": "DISABLED",
            "pl": money(pl),
            "resettablePL": money(pl),
            "resettablePLTime": "0",
            "financing": money(sum((side.financing_home for side in totals), ZERO)),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
            "marginRate": plain(min(each.margin_rate for each in self._exchange.instruments.values())),
            "openTradeCount": len(self.open_trades),
            "openPositionCount": len(self._book.positions),
            "pendingOrderCount": len(self._book.pending),
            "hedgingEnabled": False,
            "lastTransactionID": str(self._book.last_id),
        } | self.state()

    @property
    def traded(self) -> list[str]:
        """Instruments that were ever traded."""
        return list(dict.fromkeys(trade.instrument.name for trade in self._book.trades.values()))

    def position(self, name: str) -> Row:
        """Write the position of an instrument that was traded, flat or not."""
        instrument = self._exchange.instruments[name]
        held = self._book.positions.get(name)
        trades = held.trades if held else []
        sides = {
            "long": self._side(instrument, [trade for trade in trades if trade.is_long], True),
            "short": self._side(instrument, [trade for trade in trades if not trade.is_long], False),
        }
        totals = [self._book.totals.get((name, is_long), SideTotals()) for is_long in (True, False)]
        pl = sum((each.pl_home for each in totals), ZERO)
        margin = sum((self.margin(trade) for trade in trades), ZERO)
        row: Row = {
            "instrument": name,
            "pl": money(pl),
            "unrealizedPL": money(sum((self.unrealized(trade) for trade in trades), ZERO)),
            "resettablePL": money(pl),
            "financing": money(sum((each.financing_home for each in totals), ZERO)),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
        }
        if trades:
            row["marginUsed"] = money(margin)
        return row | sides

    def _side(self, instrument: Instrument, trades: Sequence[Trade], is_long: bool) -> Row:
        totals = self._book.totals.get((instrument.name, is_long), SideTotals())
        row: Row = {
            "units": "0",
            "pl": money(totals.pl_home),
            "unrealizedPL": money(sum((self.unrealized(trade) for trade in trades), ZERO)),
            "resettablePL": money(totals.pl_home),
            "financing": money(totals.financing_home),
            "guaranteedExecutionFees": "0.0000",
        }
        if trades:
            units = sum((trade.units for trade in trades), ZERO)
            cost = sum((trade.units * trade.price for trade in trades), ZERO)
            row |= {
                "units": plain(units),
                "averagePrice": price(instrument, cost / units),
                "tradeIDs": [trade.trade_id for trade in trades],
            }
        return row

    def changing(self) -> Row:
        """Write the price-dependent state of orders, trades and positions, for who polls changes."""
        trails = [order for order in self.pending if order.kind is OrderKind.TRAILING_STOP and order.price is not None]
        return self.state() | {
            "orders": [{"id": each.order_id, "trailingStopValue": self._trailing_value(each)} for each in trails],
            "trades": [
                {
                    "id": trade.trade_id,
                    "unrealizedPL": money(self.unrealized(trade)),
                    "marginUsed": money(self.margin(trade)),
                }
                for trade in self.open_trades
            ],
            "positions": [self._changing_position(name) for name in self._book.positions],
        }

    def _trailing_value(self, order: Order) -> str:
        return price(self._exchange.instruments[order.ticket.instrument], order.price or ZERO)

    def _changing_position(self, name: str) -> Row:
        trades = self._book.positions[name].trades
        by_side = {
            is_long: sum((self.unrealized(trade) for trade in trades if trade.is_long == is_long), ZERO)
            for is_long in (True, False)
        }
        return {
            "instrument": name,
            "netUnrealizedPL": money(by_side[True] + by_side[False]),
            "longUnrealizedPL": money(by_side[True]),
            "shortUnrealizedPL": money(by_side[False]),
            "marginUsed": money(sum((self.margin(trade) for trade in trades), ZERO)),
        }

    def price(self, quote: Quote, dates: Dates) -> Row:
        """Write a quote as PRICE."""
        instrument = self._exchange.instruments[quote.instrument]
        bid, ask = price(instrument, quote.bid), price(instrument, quote.ask)
        gain, loss = self._exchange.rates.factors(quote.instrument)
        liquidity = int(LIQUIDITY)
        return {
            "type": "PRICE",
            "instrument": quote.instrument,
            "time": dates(quote.ts_ns),
            "tradeable": quote.tradeable,
            "status": "tradeable" if quote.tradeable else "non-tradeable",
            "bids": [{"price": bid, "liquidity": liquidity}],
            "asks": [{"price": ask, "liquidity": liquidity}],
            "closeoutBid": bid,
            "closeoutAsk": ask,
            "quoteHomeConversionFactors": {"positiveUnits": factor(gain), "negativeUnits": factor(loss)},
        }

    def home_conversions(self, names: Sequence[str]) -> list[Row]:
        """Write what one unit of each currency of these instruments is worth at home."""
        currencies = dict.fromkeys(part for name in names for part in name.split("_"))
        return [self._home_conversion(currency) for currency in currencies]

    def _home_conversion(self, currency: str) -> Row:
        mid = self._exchange.rates.of_currency(currency)
        charge = ZERO if currency == self._exchange.currency else CONVERSION_CHARGE
        return {
            "currency": currency,
            "accountGain": factor(mid * (ONE - charge)),
            "accountLoss": factor(mid * (ONE + charge)),
            "positionValue": factor(mid),
        }

    def instrument(self, instrument: Instrument) -> Row:
        """Write an instrument's terms."""
        pip = instrument.pip_size.normalize().as_tuple().exponent
        is_metal = instrument.base in ("XAU", "XAG", "XPT", "XPD")
        return {
            "name": instrument.name,
            "type": "METAL" if is_metal else "CURRENCY",
            "displayName": instrument.name.replace("_", "/"),
            "pipLocation": int(pip),
            "displayPrecision": instrument.price_decimals,
            "tradeUnitsPrecision": instrument.units_decimals,
            "minimumTradeSize": plain(instrument.units_min),
            "maximumTrailingStopDistance": price(instrument, instrument.pip_size * 10_000),
            "minimumTrailingStopDistance": price(instrument, instrument.pip_size * 5),
            "maximumPositionSize": "0",
            "maximumOrderUnits": plain(instrument.units_max),
            "marginRate": plain(instrument.margin_rate),
            "guaranteedStopLossOrderMode": "DISABLED",
            "financing": {
                "longRate": plain(instrument.financing_long),
                "shortRate": plain(instrument.financing_short),
                "financingDaysOfWeek": [
                    {"dayOfWeek": name, "daysCharged": DAYS_CHARGED.get(number, 0)}
                    for number, name in enumerate(_DAYS_OF_WEEK, 1)
                ],
            },
            "tags": [],
        }
