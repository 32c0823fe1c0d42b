"""A session on an account that outlives it: the broker stays, the process may end at any moment and begin anew."""

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from threading import Event

from engine.adapters.clock import PacedClock
from engine.adapters.day_lock import FileDayLocks
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.entries import FundsMoved
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market_data import SimMarketData
from engine.adapters.sim.ticket import OrderKind, Ticket
from engine.domain.command import Command, Mode, SessionConfig
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.schedule import NewsEvent
from engine.node import HaltLatch
from engine.ports import Clock, Opening
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import JournalStore, open_journal
from tests.unit.session.faulty import FaultyBroker, FaultyMarketData
from tests.unit.session.rig import LIMITS, LOOKBACK, Script, series

ACCOUNT = "0123456789abcdef"


class KeptBroker(FaultyBroker):
    """The simulated broker as one whose account is known by a key."""

    def opening(self) -> Opening:
        held = self.inner.holdings()
        return Opening(
            balance_home=held.balance_home, last_transaction_id=held.last_transaction_id, trades=held.trades,
            orders=held.orders, account=ACCOUNT,
        )  # fmt: skip

    def by_hand(self, instrument: str, units: int, now_ns: int, stop_loss: Decimal | None = None) -> str:
        """Trade as the operator does in the broker's own app; returns the newest trade's id."""
        intent = OrderIntent(
            client_order_id="by hand", instrument=instrument, units=Decimal(units), created_ns=now_ns,
            reason=OrderReason.SIGNAL, stop_loss=stop_loss,
        )  # fmt: skip
        self.inner.submit(intent)
        return max((trade.trade_id for trade in self.inner.holdings().trades), key=int)

    def order_by_hand(self, instrument: str, units: int, price: Decimal) -> str:
        """Leave a limit order waiting as the operator can in the broker's own app; returns its number."""
        before = {order.order_id for order in self.inner.holdings().orders}
        self.inner._exchange.create(
            Ticket(kind=OrderKind.LIMIT, instrument=instrument, units=Decimal(units), price=price)
        )
        (made,) = {order.order_id for order in self.inner.holdings().orders} - before
        return made

    def pay(self, amount_home: int) -> None:
        """Pay money into the account, or out of it."""
        exchange = self.inner._exchange
        exchange.book.balance_home += amount_home
        exchange.record().add(FundsMoved, amount_home=Decimal(amount_home), balance_home=exchange.book.balance_home)

    def cancel_by_hand(self, order_id: str) -> None:
        """Cancel a waiting order as the operator does in the broker's own app."""
        exchange = self.inner._exchange
        exchange.cancel(next(order for order in exchange.book.pending.values() if str(order.order_id) == order_id))


class House:
    """The world around the sessions: market, broker, database file, and the one session that is alive."""

    def __init__(
        self,
        folder: Path,
        bars: Sequence[Sequence[Bar]],
        signals: dict[int, int],
        *,
        limits: RiskLimits = LIMITS,
        also: Sequence[str] = (),
        clock: Callable[[int], Clock] = lambda start_ns: PacedClock(start_ns, None),
        model: Script | None = None,
        speed: float = 1.0,
    ) -> None:
        self.folder = folder
        self.database = folder / "made.sqlite"
        self.names = tuple(one[0].instrument for one in bars if one[0].instrument not in also)
        self.source = RecordedBars([series(one) for one in bars], LOOKBACK)
        self.instruments = {one[0].instrument: CATALOGUE[one[0].instrument] for one in bars}
        inner = SimBroker(
            instruments=self.instruments, currency="USD", balance=Decimal(100_000), start_ns=self.source.start_ns
        )
        self.broker = KeptBroker(inner)
        self.clock = clock(self.source.start_ns)
        self.latch = HaltLatch(folder / "HALT")
        self.model = model or Script(signals)
        self.speed = speed
        self.limits = limits
        self.news: tuple[NewsEvent, ...] = ()
        self.store: JournalStore
        self.session: TradingSession
        self.market: FaultyMarketData
        self.begin()

    def begin(self, *, new_books: bool = False) -> None:
        """Start a process: the same path after a clean end and after a crash."""
        self.store = open_journal(self.database, wall_ns=lambda: 1)
        past = None if new_books else self.store.past(ACCOUNT)
        self.market = FaultyMarketData(SimMarketData(source=self.source, broker=self.broker.inner))
        config = SessionConfig(
            mode=Mode.PRACTICE,
            instruments=self.names,
            model_id="script",
            speed=self.speed,
            limits=self.limits,
            news=self.news,
        )
        self.session = TradingSession(
            SessionParts(
                config=config,
                clock=self.clock,
                market_data=self.market,
                broker=self.broker,
                predictor=self.model,
                journal=self.store.begin_run(past=past),
                kill=self.latch,
                instruments=self.instruments,
                engine_version="test",
                past=past,
                former_orders=self.store.order_ids(ACCOUNT),
                curfew=self.store.curfew(ACCOUNT),
                locks=FileDayLocks(self.folder, self.database),
            )
        )
        self.session.step()

    def crash(self) -> None:
        """End the process at once: what was not committed is gone."""
        self.store.close()

    def restart(self, *, new_books: bool = False) -> None:
        self.crash()
        self.begin(new_books=new_books)

    def step(self, *commands: Command) -> None:
        """Play one frame."""
        due_ns = self.session.next_due_ns()
        assert due_ns is not None, "the made-up bars have ended"
        self.clock.wait_until(due_ns, Event())
        self.session.step(commands)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def until_sent(self, count: int = 1) -> OrderIntent:
        """Play until so many orders were sent; returns the last of them."""
        while len(self.broker.submitted) < count:
            self.step()
        return self.broker.submitted[count - 1]

    def command(self, *commands: Command) -> tuple[bool, str]:
        """Carry a command out between two frames; returns the verdict."""
        self.session.step(commands)
        last = self.session.desk.verdicts[-1]
        return last.accepted, last.detail

    def wait(self, seconds: float) -> None:
        """Let time pass without a frame, and step."""
        self.clock.wait_until(self.clock.now_ns() + int(seconds * 1e9), Event())
        self.session.step()

    def rows(self, sql: str, *values: object) -> list[tuple]:
        self.session.commit()
        connection = sqlite3.connect(self.store.path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def check(self) -> None:
        """Our books are those of the broker."""
        ledger, held = self.session.desk.ledger, self.broker.inner.holdings()
        assert ledger.balance_home == held.balance_home
        assert ledger.last_transaction_id == held.last_transaction_id
        ours = {trade.trade_id: (trade.units, trade.price, trade.stop_loss) for trade in ledger.open_trades}
        assert ours == {trade.trade_id: (trade.units, trade.price, trade.stop_loss) for trade in held.trades}

    def close(self) -> None:
        self.store.close()
