"""I am the simulated broker: an OANDA-like netting account that lives on the bars it is given.
I may import the domain, ports and the other parts of this folder.
I must not read a clock or look at a bar before its end; my time is the end of the newest frame.
My tests are in tests/unit/adapters/sim/test_broker.py, test_broker_properties.py and tests/contract/test_broker.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.adapters.sim.book import Book, Cut, DependentOrder, NetPosition, OpenTrade, OrderKind
from engine.adapters.sim.conversion import CONVERSION_CHARGE, HomeRates, round_home
from engine.adapters.sim.financing import FinancingRates, daily_financing, default_rates
from engine.adapters.sim.hours import TradingWeek, next_rollover
from engine.adapters.sim.margin import equity_home, has_margin_for, margin_used_home, must_close_out
from engine.adapters.sim.matching import (
    Netting,
    cancel_reason,
    market_price,
    net,
    reject_reason,
    trailed,
    triggered,
)
from engine.adapters.sim.settlement import Execution, Opening, settle
from engine.domain.account import Account
from engine.domain.error import Bug, RetryLater
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import FundsTransferred, OrderCanceled, OrderCreated, OrderRejected, Transaction
from engine.ports import Answered

HALF = Decimal("0.5")


class SimBroker:
    """Holds one account in `currency`, opened with `balance`, that trades `instruments`; implements ports.Broker.

    Every bar that on_frame() brings is judged before its closing prices become the quotes that orders are filled at.
    `conversion_charge` is the fraction that converting a booked amount costs; `financing` replaces the default yearly
    rates of the instruments that it names; `is_open` says at which times orders are filled (by default Sunday 17:00
    to Friday 17:00 New York). Raises ConfigError when an instrument's currencies can never be converted.
    """

    def __init__(
        self,
        *,
        instruments: Mapping[str, Instrument],
        currency: str,
        balance: Decimal,
        start_ns: int,
        conversion_charge: Decimal = CONVERSION_CHARGE,
        financing: Mapping[str, FinancingRates] | None = None,
        is_open: Callable[[int], bool] | None = None,
    ) -> None:
        self._instruments = dict(instruments)
        self._currency = currency
        self._rates = HomeRates(self._instruments.values(), currency, conversion_charge)
        self._financing = {name: default_rates(each) for name, each in self._instruments.items()} | dict(
            financing or {}
        )
        self._is_open = is_open or TradingWeek().is_open
        self._quotes: dict[str, Quote] = {}
        self._book = Book()
        self._now_ns = start_ns
        self._rollover = next_rollover(start_ns)
        self._transfer(round_home(balance))

    def account(self) -> Account:
        """Return balance, equity and margin now; only the balance is rounded, as booked."""
        return Account(
            currency=self._currency,
            balance_home=self._book.balance_home,
            equity_home=equity_home(self._book, self._quotes, self._rates),
            margin_used_home=margin_used_home(self._book, self._rates),
            last_transaction_id=self._book.last_id,
        )

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the tradeable instruments by name."""
        return self._instruments

    def transactions_since(self, transaction_id: int) -> Sequence[Transaction]:
        """Return every transaction after this id, in id order."""
        return self._book.since(transaction_id)

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """The newest quote of each instrument that has been priced and whose quote currency can be converted."""
        return self._quotes

    def quote(self, instrument: str) -> Quote:
        """Return the newest quote; raises RetryLater when there is none yet."""
        quote = self._quotes.get(instrument)
        if quote is None:
            raise RetryLater(f"{instrument} has no quote yet.")
        return quote

    def submit(self, intent: OrderIntent) -> Answered:
        """Fill a market order at the current quote, or cancel or reject it; the transactions say which.

        A client order id that was used before is an order like any other (PROTOCOL section 7.2): it is filled again.
        """
        self._now_ns = max(self._now_ns, intent.created_ns)  # between frames the order's own time is the newest known
        instrument = self._instruments.get(intent.instrument)
        if instrument is None:
            self._reject(intent, "INSTRUMENT_UNKNOWN")
        elif (reason := reject_reason(intent, instrument)) is not None:
            self._reject(intent, reason)
        else:
            self._place(intent, instrument)
        return Answered(last_transaction_id=self._book.last_id)

    def on_frame(self, bars: Sequence[Bar]) -> None:
        """Live through bars of one end time, at most one per instrument: the venue's time moves to that end.

        In this order: financing of rollovers before the end; stops and targets, on each bar's own prices; trailing
        stops; the closing prices become the quotes; financing of a rollover at the end; margin closeout. What happens
        inside a bar is converted with the rates before it. Raises Bug when time goes back.
        """
        if not bars:
            return
        end_ns = bars[0].close_ts_ns
        if end_ns < self._now_ns:
            raise Bug(f"a frame that ends at {end_ns} comes after {self._now_ns}")
        if self._rollover.ts_ns < end_ns:
            self._roll_over(end_ns)
        self._now_ns = end_ns
        positions = self._book.positions
        if positions:
            for bar in bars:
                position = positions.get(bar.instrument)
                if position is not None:
                    self._run_triggers(position, bar)
        self._set_quotes(bars)
        if self._rollover.ts_ns == end_ns:
            self._roll_over(end_ns + 1)
        if positions and must_close_out(self._book, self._rates):
            self._close_out()

    def _set_quotes(self, bars: Sequence[Bar]) -> None:
        """Take over closing prices: all mid prices first, because a quote's home rate may hang on another's."""
        mids, end_ns = self._rates.mids, self._now_ns
        tradeable = self._is_open(end_ns)
        for bar in bars:
            mids[bar.instrument] = (bar.bid_close + bar.ask_close) * HALF
        for bar in bars:
            name = bar.instrument
            home_rate = self._rates.find(name)
            if home_rate is not None:
                self._quotes[name] = Quote(
                    instrument=name,
                    bid=bar.bid_close,
                    ask=bar.ask_close,
                    ts_ns=end_ns,
                    received_ns=end_ns,
                    home_rate=home_rate,
                    home_loss_rate=self._rates.loss_rate(name, home_rate),
                    tradeable=tradeable,
                )

    def _roll_over(self, until_ns: int) -> None:
        """Book the financing of each rollover before `until_ns` and look for the next one."""
        while self._book.positions and self._rollover.ts_ns < until_ns:
            self._book.commit([daily_financing(self._book, self._rollover, self._financing, self._rates)])
            self._rollover = next_rollover(self._rollover.ts_ns)
        if self._rollover.ts_ns < until_ns:
            self._rollover = next_rollover(until_ns - 1)

    def _run_triggers(self, position: NetPosition, bar: Bar) -> None:
        for trade in tuple(position.trades):
            fired = triggered(trade, bar)
            if fired is not None:
                self._exit(trade, *fired, bar)
            elif (stop := trade.trailing_stop) is not None and stop.distance is not None:
                stop.price = trailed(trade.is_long, stop.price, stop.distance, bar)

    def _exit(self, trade: OpenTrade, order: DependentOrder, price: Decimal, bar: Bar) -> None:
        execution = Execution(
            order_id=order.order_id,
            reason=order.kind.value,
            ts_ns=self._now_ns,
            instrument=trade.instrument,
            price=price,
            spread=bar.ask_open - bar.bid_open,
            cuts=(Cut(trade=trade, units=-trade.units),),
        )
        settle(execution, self._book, self._rates)

    def _close_out(self) -> None:
        """Close every position at the market, as OANDA does when margin used reaches twice the equity."""
        for name, position in tuple(self._book.positions.items()):
            quote, units = self._quotes[name], -position.units
            created = self._created(name, units, client_order_id=None)
            execution = Execution(
                order_id=created.order_id,
                reason="MARKET_ORDER_MARGIN_CLOSEOUT",
                ts_ns=self._now_ns,
                instrument=position.instrument,
                price=market_price(units > 0, quote),
                spread=quote.spread,
                cuts=net(units, position.trades, reduce_only=True).cuts,
            )
            settle(execution, self._book, self._rates, [created])

    def _place(self, intent: OrderIntent, instrument: Instrument) -> None:
        """Create the order, then fill it in full or cancel it at once (PROTOCOL section 7.3)."""
        created = self._created(instrument.name, intent.units, intent.client_order_id)
        position = self._book.positions.get(instrument.name)
        trades = () if position is None else position.trades
        netting = net(intent.units, trades, reduce_only=intent.reduce_only)
        quote = self._tradeable_quote(intent)
        if quote is None:
            self._cancel(created, "MARKET_HALTED")
        elif (reason := cancel_reason(intent, netting, quote)) is not None:
            self._cancel(created, reason)
        elif not has_margin_for(netting, instrument, self._book, self._quotes, self._rates):
            self._cancel(created, "INSUFFICIENT_MARGIN")
        else:
            settle(self._execution(created, intent, netting, quote), self._book, self._rates, [created])

    def _tradeable_quote(self, intent: OrderIntent) -> Quote | None:
        """Return what the order may be filled at: nothing without a quote, nor while the market is closed.

        Between frames the venue's time stands still, so the order's own time counts as well: on a Saturday the newest
        quote can still be one of Friday's open market.
        """
        quote = self._quotes.get(intent.instrument)
        return quote if quote is not None and quote.tradeable and self._is_open(intent.created_ns) else None

    def _execution(self, created: OrderCreated, intent: OrderIntent, netting: Netting, quote: Quote) -> Execution:
        return Execution(
            order_id=created.order_id,
            client_order_id=intent.client_order_id,
            reason=OrderKind.MARKET.value,
            ts_ns=self._now_ns,
            instrument=self._instruments[intent.instrument],
            price=market_price(intent.units > 0, quote),
            spread=quote.spread,
            cuts=netting.cuts,
            opening=_opening(intent, netting.opened_units, quote) if netting.opened_units else None,
            units_lost=intent.units - netting.units,
        )

    def _cancel(self, created: OrderCreated, reason: str) -> None:
        canceled = OrderCanceled(
            transaction_id=created.transaction_id + 1,
            ts_ns=self._now_ns,
            order_id=created.order_id,
            client_order_id=created.client_order_id,
            reason=reason,
        )
        self._book.commit([created, canceled])

    def _created(self, instrument: str, units: Decimal, client_order_id: str | None) -> OrderCreated:
        transaction_id = self._book.last_id + 1
        return OrderCreated(
            transaction_id=transaction_id,
            ts_ns=self._now_ns,
            order_id=str(transaction_id),
            client_order_id=client_order_id,
            kind=OrderKind.MARKET.value,
            instrument=instrument,
            units=units,
        )

    def _reject(self, intent: OrderIntent, reason: str) -> None:
        rejected = OrderRejected(
            transaction_id=self._book.last_id + 1,
            ts_ns=self._now_ns,
            client_order_id=intent.client_order_id,
            reason=reason,
        )
        self._book.commit([rejected])

    def _transfer(self, amount_home: Decimal) -> None:
        transfer = FundsTransferred(
            transaction_id=self._book.last_id + 1,
            ts_ns=self._now_ns,
            amount_home=amount_home,
            balance_home=self._book.balance_home + amount_home,
        )
        self._book.commit([transfer])


def _opening(intent: OrderIntent, units: Decimal, quote: Quote) -> Opening:
    """Describe the trade to open; a trailing stop starts its distance behind the closing side of the quote."""
    is_long, distance = units > 0, intent.trailing_distance
    behind = None
    if distance is not None:
        behind = quote.bid - distance if is_long else quote.ask + distance
    return Opening(
        units=units,
        take_profit=intent.take_profit,
        stop_loss=intent.stop_loss,
        trailing_stop=behind,
        trailing_distance=distance,
    )
