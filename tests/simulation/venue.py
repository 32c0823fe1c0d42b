"""I am the broker of a simulated world: the real simulated exchange, which lives on when the engine dies.
I may import the domain, the simulated venue and the market of this folder.
I must not help the engine: I book what reaches me and keep the log.
My tests are in tests/simulation/test_gate.py.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.adapters.sim.book import OrderState
from engine.adapters.sim.book import Trade as Lot
from engine.adapters.sim.broker import SimBroker, ticket_of
from engine.adapters.sim.closing import close_trade
from engine.adapters.sim.entries import FundsMoved, OrderEnded
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.settlement import end
from engine.adapters.sim.ticket import Extensions, OnFill, OrderKind, Ticket, TimeInForce
from engine.adapters.sim.translation import transaction
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import Transaction
from tests.simulation.market import NAMES

CURRENCY = "USD"
BALANCE = Decimal(100_000)
NOT_ALL = "INSUFFICIENT_LIQUIDITY"


class Venue:
    """The account at its broker. `log` is all that ever happened, `visible_id` what its log shows by now."""

    def __init__(self, start_ns: int) -> None:
        self.sim = SimBroker(
            instruments={name: CATALOGUE[name] for name in NAMES},
            currency=CURRENCY,
            balance=BALANCE,
            start_ns=start_ns,
            is_open=lambda ts_ns: not self._is_halted,
        )
        self.exchange = self.sim._exchange
        self.book = self.exchange.book
        self.now_ns = start_ns
        self._is_halted = False
        self._log: list[Transaction] = []
        self._on_the_way: list[tuple[int, OrderIntent]] = []
        self._lag: tuple[int, int] | None = None
        self._stubborn: dict[str, int] = {}

    @property
    def last_id(self) -> int:
        """Number of the newest transaction."""
        return self.book.last_id

    @property
    def log(self) -> Sequence[Transaction]:
        """Every transaction, in the domain's words; number n stands at place n - 1."""
        for entry in self.book.log[len(self._log) :]:
            self._log.append(transaction(entry))
        return self._log

    @property
    def visible_id(self) -> int:
        """Number of the newest transaction that the log shows now."""
        if self._lag is not None and self.now_ns < self._lag[0]:
            return self._lag[1]
        self._lag = None
        return self.last_id

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """The market as it is."""
        return self.sim.quotes

    def lag(self, until_ns: int) -> None:
        """Show nothing new in the log until then."""
        if self._lag is None:
            self._lag = (until_ns, self.last_id)

    def live(self, bars: Sequence[Bar]) -> None:
        """Live through one step; then what was on the way arrives."""
        self.sim.on_frame(bars)
        self.now_ns = bars[0].close_ts_ns
        due = [intent for due_ns, intent in self._on_the_way if due_ns <= self.now_ns]
        self._on_the_way = [each for each in self._on_the_way if each[0] > self.now_ns]
        for intent in due:
            self.take(intent)

    def take(self, intent: OrderIntent) -> None:
        """An order has arrived; its own idea of the time is not ours."""
        self.sim.submit(replace(intent, created_ns=self.now_ns))

    def take_later(self, intent: OrderIntent, after_ns: int) -> None:
        """An order is on the way and arrives so much later."""
        self._on_the_way.append((self.now_ns + after_ns, intent))

    def heal(self) -> None:
        """What is still on the way is lost; the log shows everything."""
        self._on_the_way.clear()
        self._stubborn.clear()
        self._lag = None

    def reject(self, intent: OrderIntent, reason: str) -> None:
        """Refuse an order outright."""
        self.exchange.refuse(ticket_of(intent), "CLIENT_ORDER", reason)

    def cancel(self, intent: OrderIntent, reason: str) -> None:
        """Make an order and end it at once, for the broker's reason."""
        batch = self.exchange._batch()
        order = self.exchange._made(batch, ticket_of(intent), "CLIENT_ORDER")
        end(batch, self.book, order, reason)

    def take_partly(self, intent: OrderIntent) -> None:
        """There is liquidity for a half of an order; the rest of it ends."""
        half = CATALOGUE[intent.instrument].round_units_down(intent.units / 2)
        if not half:
            self.take(intent)
            return
        batch = self.exchange._batch()
        order = self.exchange._made(batch, ticket_of(replace(intent, units=half)), "CLIENT_ORDER")
        self.exchange._start(batch, order)
        if order.state is OrderState.FILLED:
            batch.add(OrderEnded, order_id=order.order_id, client_order_id=order.client_order_id, reason=NOT_ALL)

    def refuses_stop(self, trade_id: str, how_often: Callable[[], int]) -> bool:
        """Say whether the broker takes no stop for a trade now; how often, is drawn when the first one is asked for."""
        left = self._stubborn[trade_id] if trade_id in self._stubborn else how_often()
        self._stubborn[trade_id] = max(left - 1, 0)
        return left > 0

    def takes_no_stop(self, trade_id: str) -> bool:
        """Say whether the broker would refuse to take a stop for a trade."""
        return self._stubborn.get(trade_id, 0) > 0

    def take_while_halted(self, intent: OrderIntent) -> None:
        """An order arrives in a moment in which the market is halted."""
        self._is_halted = True
        try:
            self.take(intent)
        finally:
            self._is_halted = False

    def take_after_a_move(self, intent: OrderIntent, pips: int) -> None:
        """The market moves against an order just before it arrives."""
        quote = self.quotes[intent.instrument]
        shift = CATALOGUE[intent.instrument].pip_size * (pips if intent.units > 0 else -pips)
        self.exchange.on_quote(intent.instrument, quote.bid + shift, quote.ask + shift)
        self.take(intent)

    def lots(self) -> list[Lot]:
        """Open trades, oldest first."""
        return [lot for lot in self.book.trades.values() if lot.units]

    def manual_trade(self, lots: random.Random) -> None:
        """A person trades in the broker's own application."""
        name = lots.choice(NAMES)
        quote = self.quotes.get(name)
        if quote is None:
            return
        units = Decimal(lots.choice((-1, 1)) * lots.randint(1, 20) * 500)
        distance = CATALOGUE[name].pip_size * 20
        stop = quote.bid - distance if units > 0 else quote.ask + distance
        self.exchange.create(
            Ticket(
                kind=OrderKind.MARKET,
                instrument=name,
                units=units,
                time_in_force=TimeInForce.FOK,
                stop_loss=OnFill(price=stop) if lots.random() < 0.5 else None,
            )
        )

    def another_keel(self, lots: random.Random, ours: Sequence[str]) -> None:
        """Another engine trades on this account; its ids are made like ours, and may be one of ours that was filled."""
        name = lots.choice(NAMES)
        number = f"{lots.randint(500, 999)}-{name}-{self.now_ns}-1"
        if ours and lots.random() < 0.5:
            number = lots.choice(ours)
        ticket = Ticket(
            kind=OrderKind.MARKET,
            instrument=name,
            units=Decimal(500),
            time_in_force=TimeInForce.FOK,
            extensions=Extensions(id=number),
        )
        self.exchange.create(ticket)

    def manual_close(self, lots: random.Random) -> None:
        """A person closes a trade by hand, or a part of it."""
        lot = lots.choice(self.lots())
        units = max(abs(lot.units) // 2, Decimal(1))
        close_trade(self.exchange, lot, lot.trade_id, units if lots.random() < 0.3 else "ALL")

    def cancel_stop(self, lots: random.Random) -> None:
        """A person cancels a stop-loss by hand, if there is one."""
        stops = [lot.stop_loss for lot in self.lots() if lot.stop_loss is not None]
        if stops:
            self.exchange.set_dependents([(lots.choice(stops), None)])

    def move_funds(self, lots: random.Random) -> None:
        """Money is paid in or out."""
        amount = Decimal(lots.randint(-50_000, 50_000)).scaleb(-2)
        self.book.balance_home += amount
        self.exchange.record().add(FundsMoved, amount_home=amount, balance_home=self.book.balance_home)

    def close_out(self) -> None:
        """The broker closes everything for want of margin."""
        self.exchange._close_out()
