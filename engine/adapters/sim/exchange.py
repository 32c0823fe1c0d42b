"""I am the exchange: one OANDA-like netting account that lives on the prices it is given and answers requests.
I may import the domain and the other parts of this folder.
I must not read a clock, nor look at a bar before its end; my time is what I am told.
My tests are in tests/unit/adapters/sim/: test_exchange*.py and test_broker*.py; and in tests/contract.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from decimal import Decimal

import msgspec

from engine.adapters.sim.book import Batch, Book, NetPosition, Order, OrderState
from engine.adapters.sim.conversion import CONVERSION_CHARGE, HomeRates, round_home
from engine.adapters.sim.entries import FinancingBooked, FundsMoved, LogEntry, OrderMade, OrderRefused
from engine.adapters.sim.financing import FinancingRates, daily_financing, default_rates
from engine.adapters.sim.hours import TradingWeek, expiry_ns, next_rollover
from engine.adapters.sim.margin import has_margin_for, must_close_out
from engine.adapters.sim.matching import (
    Reached,
    cancel_reason,
    market_price,
    reached,
    standing_bar,
    start_price,
    touches_now,
    trailed,
    triggered,
    use_of,
    watched_price,
)
from engine.adapters.sim.settlement import end, settle
from engine.adapters.sim.ticket import (
    CloseOut,
    OrderKind,
    PositionFill,
    Ticket,
    TimeInForce,
)
from engine.adapters.sim.validation import opening_refusal, reject_reason
from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.market import Bar, Quote

HALF = Decimal("0.5")
_AT_ONCE = (TimeInForce.FOK, TimeInForce.IOC)


class Exchange:
    """Holds one account in `currency`, opened with `balance`, that trades `instruments`.

    Prices come as bars (on_frame), judged before their closing prices become the quotes that orders are filled at, or
    as single quotes (on_quote). `conversion_charge` is the fraction that converting a booked amount costs; `financing`
    replaces the default yearly rates of the instruments that it names; `is_open` says at which times orders are filled
    (by default Sunday 17:00 to Friday 17:00 New York). Every request returns the entries that it made. Raises
    ConfigError when an instrument's currencies can never be converted.
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
        self.instruments = dict(instruments)
        self.currency = currency
        self.rates = HomeRates(self.instruments.values(), currency, conversion_charge)
        self.book = Book()
        self.quotes: dict[str, Quote] = {}
        self._told: set[str] = set()
        self._financing = {name: default_rates(each) for name, each in self.instruments.items()} | dict(financing or {})
        self._is_open = is_open or TradingWeek().is_open
        self._now_ns = start_ns
        self._rollover = next_rollover(start_ns)
        amount = round_home(balance)
        self._batch().add(FundsMoved, amount_home=amount, balance_home=amount)
        self.book.balance_home = amount

    @property
    def now_ns(self) -> int:
        """The exchange's time."""
        return self._now_ns

    def on_frame(self, bars: Sequence[Bar]) -> None:
        """Live through bars of one end time, at most one per instrument: the exchange's time moves to that end.

        In this order: expiry and financing of rollovers before the end; stops, targets and waiting orders, on each
        bar's own prices unless the market was closed; trailing stops; the closing prices become the quotes; expiry and
        financing at the end; margin closeout. What happens inside a bar is converted with the rates before it. Raises
        Bug when time goes back.
        """
        if not bars:
            return
        end_ns = bars[0].close_ts_ns
        if end_ns < self._now_ns:
            raise Bug(f"a frame that ends at {end_ns} comes after {self._now_ns}")
        if self._rollover.ts_ns < end_ns or self.book.expires_ns < end_ns:
            self._pass_time(end_ns)
        self._now_ns = end_ns
        if self.book.pending and (self._is_open(end_ns - 1) or self._is_open(bars[0].open_ts_ns)):
            self._run_triggers(bars)
        self._set_quotes(bars)
        if self._rollover.ts_ns == end_ns or self.book.expires_ns == end_ns:
            self._pass_time(end_ns + 1)
        if self.book.positions and must_close_out(self.book, self.rates):
            self._close_out()

    def on_quote(self, instrument: str, bid: Decimal, ask: Decimal, *, tradeable: bool = True) -> None:
        """Let the market of one instrument stand at a price from now on, with all that follows from it.

        Until its next bar the instrument is tradeable, or not, as is said here and whatever the hour.
        """
        self._told.add(instrument)
        self.rates.mids[instrument] = (bid + ask) * HALF
        self._quote(instrument, bid, ask, tradeable)
        quote = self.quotes.get(instrument)
        if quote is None or not tradeable:
            return
        self._run_triggers([standing_bar(quote)])
        if self.book.positions and must_close_out(self.book, self.rates):
            self._close_out()

    def advance(self, now_ns: int) -> None:
        """Let time pass without a price: orders expire and rollovers are charged."""
        if now_ns > self._now_ns:
            self._pass_time(now_ns + 1)
            self._now_ns = now_ns

    def create(self, ticket: Ticket, request_id: str = "", reason: str = "CLIENT_ORDER") -> Sequence[LogEntry]:
        """Reject an order, or create it and then fill it, cancel it or let it wait (PROTOCOL section 7.3).

        A client order id that was used before is free again once its order has ended (PROTOCOL section 7.2).
        """
        batch = self._batch(request_id)
        if not self._refuse(batch, ticket, reason):
            self._start(batch, self._made(batch, ticket, reason))
        return batch.entries

    def replace(self, order: Order, ticket: Ticket, request_id: str = "") -> Sequence[LogEntry]:
        """Cancel a waiting order and create another in its place, or reject that and leave the old one."""
        batch = self._batch(request_id)
        if not self._refuse(batch, ticket, "REPLACEMENT", order):
            self._start(batch, self._replaced(batch, order, ticket))
        return batch.entries

    def cancel(self, order: Order, request_id: str = "") -> Sequence[LogEntry]:
        """Cancel a waiting order."""
        batch = self._batch(request_id)
        end(batch, self.book, order, "CLIENT_REQUEST")
        return batch.entries

    def set_dependents(
        self, wanted: Sequence[tuple[Order | None, Ticket | None]], request_id: str = ""
    ) -> Sequence[LogEntry]:
        """Cancel, create or replace the orders that wait to close a trade, in one batch; one bad ticket stops all.

        What the market has reached already is filled after all of them are made, and ends the others.
        """
        batch = self._batch(request_id)
        ids: set[str | None] = set()
        for old, ticket in wanted:
            if ticket is None:
                continue
            if self._refuse(batch, ticket, "REPLACEMENT" if old else "CLIENT_ORDER", old, ids):
                return batch.entries
            ids |= {ticket.client_order_id} - {None}
        made: list[Order] = []
        for old, ticket in wanted:
            entry = self.book.trades[ticket.trade_id or ""].price if ticket is not None else None
            if ticket is None and old is not None:
                end(batch, self.book, old, "CLIENT_REQUEST")
            elif ticket is not None and old is not None:
                made.append(self._replaced(batch, old, ticket, entry))
            elif ticket is not None:
                made.append(self._made(batch, ticket, "CLIENT_ORDER", entry=entry))
        for order in made:
            if order.state is OrderState.PENDING:
                self._start(batch, order)
        return batch.entries

    def refuse(self, ticket: Ticket, reason: str, reject_reason: str, request_id: str = "") -> Sequence[LogEntry]:
        """Reject what cannot even be made into an order: a close of a trade or position that is not there."""
        batch = self._batch(request_id)
        batch.add(OrderRefused, ticket=ticket, reason=reason, reject_reason=reject_reason)
        return batch.entries

    def record(self, request_id: str = "") -> Batch:
        """Begin a batch for an entry that moves neither orders nor money."""
        return self._batch(request_id)

    def _batch(self, request_id: str = "") -> Batch:
        return Batch(self.book, self._now_ns, request_id)

    def _refuse(
        self,
        batch: Batch,
        ticket: Ticket,
        reason: str,
        replacing: Order | None = None,
        ids: Set[str | None] = frozenset(),
    ) -> bool:
        refused = self._refusal(ticket, replacing)
        if refused is None and ticket.client_order_id in ids:
            refused = "CLIENT_ORDER_ID_ALREADY_EXISTS"
        if refused is None:
            return False
        batch.add(
            OrderRefused,
            ticket=ticket,
            reason=reason,
            reject_reason=refused,
            intended_replaces=replacing.order_id if replacing else None,
        )
        return True

    def _refusal(self, ticket: Ticket, replacing: Order | None) -> str | None:
        instrument = self.instruments.get(ticket.instrument)
        if instrument is None:
            return "TRADE_DOESNT_EXIST" if ticket.kind.is_dependent else "INSTRUMENT_UNKNOWN"
        refused = reject_reason(ticket, instrument, self.book, self._now_ns, replacing)
        if refused is None and ticket.kind is OrderKind.MARKET_IF_TOUCHED and ticket.instrument not in self.quotes:
            return "INSTRUMENT_PRICE_UNKNOWN"
        return refused

    def _start(self, batch: Batch, order: Order) -> None:
        """Fill a new order at once, cancel it, or let it wait."""
        ticket, quote = order.ticket, self._tradeable_quote(order.ticket.instrument)
        if quote is not None and (ticket.kind is OrderKind.MARKET or touches_now(order, quote)):
            price = market_price(not order.sells, quote)
            self._fill(batch, Reached(order=order, price=price, bid=quote.bid, ask=quote.ask))
        elif ticket.time_in_force in _AT_ONCE:
            end(batch, self.book, order, "MARKET_HALTED" if quote is None else "TIME_IN_FORCE_EXPIRED")

    def _replaced(self, batch: Batch, old: Order, ticket: Ticket, entry: Decimal | None = None) -> Order:
        cancel = end(batch, self.book, old, "CLIENT_REQUEST_REPLACED", replaced_by=str(batch.next_id + 1))
        return self._made(batch, ticket, "REPLACEMENT", replaces=old.order_id, cancelling_id=cancel.id, entry=entry)

    def _made(
        self,
        batch: Batch,
        ticket: Ticket,
        reason: str,
        *,
        replaces: str | None = None,
        cancelling_id: int | None = None,
        entry: Decimal | None = None,
    ) -> Order:
        """Make an order; `entry` is the price that a stop's distance counts from, instead of the market's."""
        quote = self.quotes.get(ticket.instrument)
        order = Order(
            order_id=str(batch.next_id),
            ticket=ticket,
            created_ns=batch.ts_ns,
            reason=reason,
            expires_ns=expiry_ns(ticket.time_in_force, ticket.gtd_ns, batch.ts_ns),
            trade=self.book.trades.get(ticket.trade_id or "") if ticket.kind.is_dependent else None,
            extensions=ticket.extensions,
            replaces=replaces,
        )
        order.price = start_price(order, quote, entry)
        if ticket.kind is OrderKind.MARKET_IF_TOUCHED and quote is not None and ticket.price is not None:
            order.rises = ticket.price > watched_price(order, quote)
        batch.add(
            OrderMade,
            ticket=ticket,
            reason=reason,
            price=order.price,
            replaces=replaces,
            cancelling_id=cancelling_id,
        )
        self.book.add(order)
        return order

    def _fill(self, batch: Batch, at: Reached) -> None:
        """Fill an order that the market has reached, or cancel it for what its price or the margin forbid."""
        order, ticket, book = at.order, at.order.ticket, self.book
        instrument = self.instruments[ticket.instrument]
        if order.trade is not None:
            ticket = msgspec.structs.replace(
                ticket, units=-order.trade.units, trade_id=order.trade.trade_id, close_out=CloseOut.TRADE
            )
        position = book.positions.get(instrument.name)
        netting = use_of(ticket, () if position is None else position.trades)
        refused = cancel_reason(ticket, netting, at.bid, at.ask, at.price)
        if refused is None and netting.opened_units:
            refused = opening_refusal(order, book, self._now_ns)
        if refused is None and not has_margin_for(netting, instrument, book, self.quotes, self.rates):
            refused = "INSUFFICIENT_MARGIN"
        if refused is not None:
            end(batch, book, order, refused)
        else:
            settle(batch, book, self.rates, instrument, at, netting)

    def _tradeable_quote(self, instrument: str) -> Quote | None:
        """Return what an order may be filled at: nothing without a quote, nor while the market is closed.

        Between frames the newest quote stands: on a Saturday it can still be one of Friday's open market.
        """
        quote = self.quotes.get(instrument)
        if quote is None or not quote.tradeable:
            return None
        return quote if instrument in self._told or self._is_open(self._now_ns) else None

    def _set_quotes(self, bars: Sequence[Bar]) -> None:
        """Take over closing prices: all mid prices first, because a quote's home rate may hang on another's."""
        mids = self.rates.mids
        tradeable = self._is_open(self._now_ns)
        for bar in bars:
            mids[bar.instrument] = (bar.bid_close + bar.ask_close) * HALF
        for bar in bars:
            self._told.discard(bar.instrument)
            self._quote(bar.instrument, bar.bid_close, bar.ask_close, tradeable)

    def _quote(self, name: str, bid: Decimal, ask: Decimal, tradeable: bool) -> None:
        home_rate = self.rates.find(name)
        if home_rate is not None:
            self.quotes[name] = Quote(
                instrument=name,
                bid=bid,
                ask=ask,
                ts_ns=self._now_ns,
                received_ns=self._now_ns,
                home_rate=home_rate,
                home_loss_rate=self.rates.loss_rate(name, home_rate),
                tradeable=tradeable,
            )

    def _pass_time(self, until_ns: int) -> None:
        """Live through what time brings before `until_ns`, in its order: orders expire, rollovers are charged."""
        while (expires_ns := self.book.expires_ns) < until_ns:
            if self._rollover.ts_ns < expires_ns:
                self._roll_over(expires_ns)
            self._now_ns = max(self._now_ns, expires_ns)
            for order in self.book.expired(self._now_ns):
                end(self._batch(), self.book, order, "TIME_IN_FORCE_EXPIRED")
        if self._rollover.ts_ns < until_ns:
            self._roll_over(until_ns)

    def _roll_over(self, until_ns: int) -> None:
        """Book the financing of each rollover before `until_ns` and look for the next one."""
        while self.book.positions and self._rollover.ts_ns < until_ns:
            self._now_ns = max(self._now_ns, self._rollover.ts_ns)
            self._charge()
            self._rollover = next_rollover(self._rollover.ts_ns)
        if self._rollover.ts_ns < until_ns:
            self._rollover = next_rollover(until_ns - 1)

    def _charge(self) -> None:
        book = self.book
        parts = daily_financing(book, self._rollover, self._financing, self.rates)
        total = sum((part.amount_home for part in parts), Decimal(0))
        book.balance_home += total
        for part in parts:
            trade = book.trades[part.trade_id]
            trade.financing_home += part.amount_home
            book.side(part.instrument, trade.is_long).financing_home += part.amount_home
        self._batch().add(FinancingBooked, amount_home=total, balance_home=book.balance_home, parts=parts)

    def _run_triggers(self, bars: Sequence[Bar]) -> None:
        for bar in bars:
            position = self.book.positions.get(bar.instrument)
            if position is not None:
                self._run_dependents(position, bar)
            self._run_waiting(bar)

    def _run_dependents(self, position: NetPosition, bar: Bar) -> None:
        for trade in tuple(position.trades):
            fired = triggered(trade, bar)
            if fired is not None:
                self._fill_at(fired)
            elif (stop := trade.trailing_stop) is not None:
                if stop.price is not None and stop.ticket.distance is not None:
                    stop.price = trailed(trade.is_long, stop.price, stop.ticket.distance, bar)

    def _run_waiting(self, bar: Bar) -> None:
        """Fill the orders that wait for this price; what they open may be stopped out by the same bar, not sooner."""
        for order in tuple(self.book.pending.values()):
            if order.trade is not None or order.ticket.instrument != bar.instrument:
                continue
            fired = reached(order, bar)
            if fired is None:
                continue
            self._fill_at(fired)
            opened = self.book.trades.get(order.opened_trade_id or "")
            if opened is not None and opened.units and opened.stop_loss is not None:
                stopped = reached(opened.stop_loss, bar)
                if stopped is not None:
                    self._fill_at(_at_its_price(stopped))

    def _fill_at(self, at: Reached) -> None:
        price = self.instruments[at.order.ticket.instrument].round_price(at.price)
        if price != at.price:
            shift = price - at.price
            at = msgspec.structs.replace(at, bid=at.bid + shift, ask=at.ask + shift)
        self._fill(self._batch(), msgspec.structs.replace(at, price=price))

    def _close_out(self) -> None:
        """Close every position at the market, as OANDA does when margin used reaches twice the equity."""
        for name, position in tuple(self.book.positions.items()):
            quote = self.quotes[name]
            if not quote.tradeable:
                continue
            batch = self._batch()
            ticket = Ticket(
                kind=OrderKind.MARKET,
                instrument=name,
                units=-position.units,
                time_in_force=TimeInForce.FOK,
                position_fill=PositionFill.REDUCE_ONLY,
                close_out=CloseOut.MARGIN,
            )
            order = self._made(batch, ticket, CloseOut.MARGIN.value)
            price = market_price(ticket.units > 0, quote)
            netting = use_of(ticket, position.trades)
            at = Reached(order=order, price=price, bid=quote.bid, ask=quote.ask)
            settle(batch, self.book, self.rates, position.instrument, at, netting)


def _at_its_price(stopped: Reached) -> Reached:
    """A stop that was made inside a bar did not stand at the bar's open: it is filled at its own price."""
    order, spread = stopped.order, stopped.ask - stopped.bid
    if order.price is None:
        return stopped
    bid = order.price if order.sells else order.price - spread
    return Reached(order=order, price=order.price, bid=bid, ask=bid + spread)
