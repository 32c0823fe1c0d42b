"""I am the simulated broker: the exchange as a session of this process sees it.
I may import the domain, ports and the other parts of this folder.
I must not match or book; I put orders into the exchange's words, and its log into ours.
My tests are in tests/unit/adapters/sim/test_broker.py, test_broker_properties.py and tests/contract/test_broker.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.adapters.sim.closing import close_trade
from engine.adapters.sim.conversion import CONVERSION_CHARGE
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.financing import FinancingRates
from engine.adapters.sim.margin import equity_home, margin_used_home
from engine.adapters.sim.ticket import Extensions, OnFill, OrderKind, PositionFill, Ticket, TimeInForce
from engine.adapters.sim.translation import holdings, transaction
from engine.domain.account import Account, Holdings
from engine.domain.error import RetryLater
from engine.domain.instrument import Instrument
from engine.domain.market import Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import Transaction
from engine.ports import Answered, NotSent, Opening

ZERO = Decimal(0)


class SimBroker:
    """Holds one account in `currency`, opened with `balance`, that trades `instruments`; implements ports.Broker.

    The other parameters are those of Exchange. Raises ConfigError when an instrument's currencies can never be
    converted.
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
        self._exchange = Exchange(
            instruments=instruments,
            currency=currency,
            balance=balance,
            start_ns=start_ns,
            conversion_charge=conversion_charge,
            financing=financing,
            is_open=is_open,
        )
        self._book = self._exchange.book
        self.on_frame = self._exchange.on_frame
        self.advance = self._exchange.advance

    def opening(self) -> Opening:
        """Return the beginning of the account: no money, before the first transaction."""
        return Opening(balance_home=ZERO, last_transaction_id=0)

    def account(self) -> Account:
        """Return balance, equity and margin now; only the balance is rounded, as booked."""
        exchange = self._exchange
        return Account(
            currency=exchange.currency,
            balance_home=self._book.balance_home,
            equity_home=equity_home(self._book, exchange.quotes, exchange.rates),
            margin_used_home=margin_used_home(self._book, exchange.rates),
            last_transaction_id=self._book.last_id,
        )

    def holdings(self) -> Holdings:
        """Return all that is open or waits now."""
        return holdings(self._book)

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the tradeable instruments by name."""
        return self._exchange.instruments

    def transactions_since(self, transaction_id: int, *, afresh: bool = False) -> Sequence[Transaction]:
        """Return every transaction after this id, in id order; the log is at hand, and always afresh."""
        if transaction_id >= self._book.last_id:
            return ()
        return tuple(transaction(entry) for entry in self._book.since(transaction_id))

    def on_quote(self, quote: Quote) -> None:
        """Let the market stand at a quote that was made elsewhere, with all that follows from it."""
        self._exchange.on_quote(quote.instrument, quote.bid, quote.ask, tradeable=quote.tradeable)

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """The newest quote of each instrument that has been priced and whose quote currency can be converted."""
        return self._exchange.quotes

    def quote(self, instrument: str) -> Quote:
        """Return the newest quote; raises RetryLater when there is none yet."""
        quote = self._exchange.quotes.get(instrument)
        if quote is None:
            raise RetryLater(f"{instrument} has no quote yet.")
        return quote

    def submit(self, intent: OrderIntent) -> Answered:
        """Fill a market order at the current quote, or cancel or reject it; the transactions say which."""
        exchange = self._exchange
        exchange.advance(intent.created_ns)  # between frames the order's own time is the newest known
        exchange.create(ticket_of(intent))
        return Answered(last_transaction_id=self._book.last_id)

    def protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> Answered | NotSent:
        """Set or move the stop-loss of an open trade; one that the market has reached already closes it at once."""
        trade = self._book.trades.get(trade_id)
        if trade is None or not trade.units:
            return NotSent(reason=f"trade {trade_id} is not open")
        stop = Ticket(kind=OrderKind.STOP_LOSS, instrument=instrument, price=stop_loss, trade_id=trade_id)
        self._exchange.set_dependents([(trade.stop_loss, stop)])
        return Answered(last_transaction_id=self._book.last_id)

    def close_trade(self, trade_id: str, instrument: str) -> Answered:
        """Close one open trade at the market; the transactions say whether it was."""
        close_trade(self._exchange, self._book.trades.get(trade_id), trade_id)
        return Answered(last_transaction_id=self._book.last_id)


def ticket_of(intent: OrderIntent) -> Ticket:
    """Write an intent as the market order that it is."""
    return Ticket(
        kind=OrderKind.MARKET,
        instrument=intent.instrument,
        units=intent.units,
        price_bound=intent.price_bound,
        time_in_force=TimeInForce.FOK,
        position_fill=PositionFill.REDUCE_ONLY if intent.reduce_only else PositionFill.DEFAULT,
        take_profit=None if intent.take_profit is None else OnFill(price=intent.take_profit),
        stop_loss=None if intent.stop_loss is None else OnFill(price=intent.stop_loss),
        trailing_stop=None if intent.trailing_distance is None else OnFill(distance=intent.trailing_distance),
        extensions=Extensions(id=intent.client_order_id),
    )
