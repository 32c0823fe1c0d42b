"""I am the checker of what is recorded: the journal's own tables against the broker's own book, after every step.
I may import the domain, the store's codec and the other parts of this folder.
I must not believe the engine: I read its file, the calls that reached the broker, and the broker's log.
My tests are in tests/simulation/test_gate.py and test_saboteurs.py.
"""

import re
import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.domain.decision import Action
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    BrokerNoted,
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    Claim,
    CommandAccepted,
    CommandRefused,
    DayBegan,
    DecisionMade,
    Event,
    FinancingCharged,
    FundsMoved,
    Interrupted,
    LimitsChanged,
    NewsSet,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    ProtectionSent,
    Reconciled,
    SessionStarted,
    SessionState,
    SessionStopped,
    TradeClaimed,
    TradeCloseSent,
    WarmedUp,
)
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Quote
from engine.domain.order import OrderIntent, OrderReason, OrderStatus, is_client_order_id
from engine.domain.schedule import NewsEvent
from engine.store.codec import decode
from tests.simulation.books import Books
from tests.simulation.conduct import LOCK, ConductWatch
from tests.simulation.gates import check_gates
from tests.simulation.judging import demand
from tests.simulation.limits import LimitsWatch
from tests.simulation.losses import LossWatch
from tests.simulation.venue import Venue

GRACE_NS = 60 * NS_PER_S
_FLOAT = re.compile(r'"(?!confidence"|speed")(\w+)":-?\d+(\.\d+|[eE])')
_TRANSACTIONS = {
    OrderFilled: "fill",
    BrokerOrderCreated: "order",
    BrokerOrderCanceled: "cancel",
    BrokerOrderRejected: "reject",
    FinancingCharged: "financing",
    FundsMoved: "transfer",
    BrokerNoted: "other",
}
# What may be said of an order by an event of our own, and not by a transaction.
_SAID = (OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.UNRESOLVED, OrderStatus.EXPIRED)


def bar_of(order_id: str) -> str:
    """The part of an order's id that the orders of one decision share."""
    return order_id.rpartition("-")[0]


class Checker:
    """Follows one database and one venue over all processes of a seed.

    known is the number of the newest broker transaction that is recorded, books the broker's log up to there.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.books = Books()
        self.known = 0
        self.run_id = 0
        self.seq = 0
        self.rules = LimitsWatch()
        self.losses = LossWatch()
        self.conduct = ConductWatch()
        self.news: tuple[NewsEvent, ...] = ()
        self.reconciled = self.interrupted = False
        self.interruptions = 0
        self.began = False
        self.halted = self.latched_by_file = False
        self.paused = False
        self.flattening = False
        self.flattened = 0
        self.tripped: set[str] = set()
        self.released: set[str] = set()
        self.claims: dict[str, Claim] = {}
        self.intents: dict[str, OrderIntent] = {}
        self.decided: set[tuple[str, int]] = set()
        self.decided_orders: set[str] = set()
        self.reversals: set[str] = set()
        self.status: dict[str, OrderStatus] = {}
        self.denied: dict[str, str] = {}
        self.sent: dict[str, OrderIntent] = {}
        self.not_sent: set[str] = set()
        self.protections: list[ProtectionSent] = []
        self.closes: list[TradeCloseSent] = []
        self.verdicts: dict[str, bool] = {}
        self._answered = False
        self.asked: dict[str, Any] = {}
        self.owed_trips: set[str] = set()
        self.owed_end = ""
        self.warm = False
        self.signal: Callable[[str, int], int] = lambda instrument, bar_ts_ns: 0
        self.newest_bar_ns: Callable[[str], int] = lambda instrument: 0
        self.has_kill_file: Callable[[], bool] = lambda: False
        self.woken_ns = self._awake_ns = 0
        self.quotes: Mapping[str, Quote] = {}
        self.true_ns: Callable[[], int] = lambda: 0
        self._initialized_ns: dict[str, int] = {}
        self.was_read_afresh: Callable[[], bool] = lambda: False
        self.was_compared: Callable[[], bool] = lambda: False
        self.events: list[tuple[int, str, str]] = []
        self._conn: sqlite3.Connection | None = None

    def open(self, path: Path) -> None:
        """Begin to read the database by a connection of our own."""
        if self._conn is None:
            self._conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def close(self) -> None:
        """Let go of the file."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def pull(self) -> None:
        """Take in every event that was committed since we last looked."""
        if self._conn is None:
            return
        query = "SELECT seq, run_id, kind, payload FROM events WHERE seq > ? ORDER BY seq"
        for seq, run_id, kind, payload in self._conn.execute(query, (self.seq,)).fetchall():
            demand(seq == self.seq + 1, "I18", f"event {seq} follows {self.seq}")
            self.seq = seq
            floated = _FLOAT.search(payload)
            demand(floated is None, "I16", f"event {seq} {kind} has a float: {floated and floated.group()}")
            self.events.append((run_id, kind, payload))
            self._take(run_id, decode(kind, payload))

    def after_step(self) -> None:
        """Look at everything that was committed in this step together."""
        self.pull()
        demand(not self.owed_trips, "late fill", f"{self.owed_trips} filled after they expired, and nothing tripped")
        self.released.clear()
        self._answered = False

    @property
    def limits(self) -> RiskLimits:
        """The limits in force."""
        return self.rules.in_force

    def latched(self, instrument: str) -> list[str]:
        """Breakers that keep an entry in this instrument from leaving; a lock is that of one instrument."""
        return sorted(each for each in self.tripped if not each.startswith(LOCK) or each == f"{LOCK}{instrument}")

    def is_ours(self, opened_by: str | None) -> bool:
        """Say whether an order of this client id was ever sent by us, as the broker's side of the line saw it."""
        return opened_by in self.sent

    def unsettled(self) -> dict[str, OrderIntent]:
        """Orders that were sent, whose end is neither in the log as far as it is recorded, nor given up; the rest."""
        given_up = (OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.DENIED)
        found: dict[str, OrderIntent] = {}
        for order_id, intent in self.sent.items():
            if order_id in self.books.ended or self.status.get(order_id) in given_up:
                continue
            filled = self.books.filled.get(order_id)
            if filled is None:
                found[order_id] = intent
            elif filled != intent.units:
                found[order_id] = replace(intent, units=intent.units - filled)
        return found

    def _take(self, run_id: int, event: Event) -> None:
        kind = type(event)
        if kind is SessionStarted:
            self._started(run_id, event)
            self.conduct.take(event, self.books)
            return
        demand(run_id == self.run_id, "I18", f"run {run_id} goes on after run {self.run_id} has begun")
        if kind in _TRANSACTIONS:
            self._transaction(event, getattr(event, _TRANSACTIONS[kind]))
            return
        self.conduct.take(event, self.books)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)

    def _started(self, run_id: int, event: Any) -> None:
        demand(run_id > self.run_id, "I18", f"run {run_id} begins after run {self.run_id}")
        if self.began:
            gone = self.rules.lacking(self.news, event.config.news, event.ts_ns)
            demand(not gone, "bad day", f"a run begins without the news {gone} in a day in which a breaker tripped")
        self.rules.started(event)
        if not self.began:
            demand(event.continues is None, "I13", "the first run continues another")
            self.known = event.opening_transaction_id
            self.books.read(self.venue.log, self.known)
            self.books.forget_results()
            self.began = True
        else:
            demand(event.continues is not None, "I13", f"run {run_id} forgets the books of run {self.run_id}")
        for order_id, intent in self.intents.items():
            if self.status[order_id] is OrderStatus.INITIALIZED and order_id not in self.sent:
                self.conduct.may_be_sent(intent)
        here = (event.opening_transaction_id, event.opening_balance_home)
        demand(here == (self.known, self.books.balance_home), "I13", f"run {run_id} begins at {here}, not {self.known}")
        self.run_id, self.news = run_id, event.config.news
        self.interrupted = False
        self.woken_ns, self._awake_ns = 0, self.true_ns()
        self.losses.started(event.opening_balance_home)
        self.reconciled = self.halted = self.paused = self.warm = self.flattening = self.latched_by_file = False

    def _transaction(self, event: Any, transaction: Any) -> None:
        number = transaction.transaction_id
        demand(number == self.known + 1, "I12", f"transaction {number} is recorded after {self.known}")
        demand(number <= self.venue.last_id, "I12", f"transaction {number} never happened")
        true = self.venue.log[number - 1]
        demand(transaction == true, "I12", f"transaction {number} is recorded as {transaction}, and was {true}")
        order_id = getattr(transaction, "client_order_id", None)
        is_made = type(event) is BrokerOrderCreated and bool(order_id) and is_client_order_id(order_id)
        if is_made and (order_id not in self.sent or order_id in self.books.made):
            self.owed_end = order_id
        self.losses.glimpse(self.books.equity_home(self.quotes))
        self.known = number
        self.books.read(self.venue.log, number)
        self.conduct.take(event, self.books)
        if type(event) is FundsMoved:
            self.losses.paid(transaction.amount_home, transaction.balance_home)
        if order_id in self.sent:
            self._settled(order_id, type(event))

    def _settled(self, order_id: str, kind: type) -> None:
        was = self.status.get(order_id)
        if kind is OrderFilled and was is OrderStatus.EXPIRED and "late_fill" not in self.tripped:
            self.owed_trips.add(order_id)
        demand(was not in (OrderStatus.DENIED,), "I4", f"{order_id} was denied, and yet the broker has it")
        if kind is OrderFilled:
            demand(was is not OrderStatus.REJECTED, "I4", f"{order_id} was given for rejected and is filled")
            self.status[order_id] = OrderStatus.FILLED
        elif kind is not BrokerOrderCreated and was is not OrderStatus.FILLED:
            self.status[order_id] = OrderStatus.CANCELED

    def _decision(self, event: DecisionMade) -> None:
        decision = event.decision
        self.rules.decided(decision)
        check_gates(decision)
        key = (decision.instrument, decision.bar_ts_ns)
        demand(key not in self.decided, "one decision per bar", f"bar {key} is decided on twice")
        self.decided.add(key)
        if decision.client_order_id:
            self.decided_orders.add(decision.client_order_id)
            if decision.action is Action.REVERSE:
                self.reversals.add(bar_of(decision.client_order_id))
        if decision.action in (Action.ENTER, Action.REVERSE, Action.EXIT):
            signal = self.signal(*key)
            demand(decision.direction == signal != 0, "the model", f"{key}: {decision.action} on a signal of {signal}")
            rises = decision.units > 0
            demand(rises == (signal > 0), "the model", f"{key}: {decision.units} units on a signal of {signal}")
            newest_ns = self.newest_bar_ns(decision.instrument)
            demand(decision.bar_ts_ns >= newest_ns, "stale bar", f"{key}: {decision.action}, and a newer bar was told")
        quote = self.quotes.get(decision.instrument)
        if quote is not None:
            seen, used = (quote.bid, quote.ask), (decision.bid, decision.ask)
            demand(seen == used, "I7", f"a decision on {key} used the quote {used}, the newest sane one was {seen}")

    def _initialized(self, event: OrderInitialized) -> None:
        intent = event.intent
        order_id = intent.client_order_id
        demand(order_id not in self.intents, "I3", f"{order_id} is initialized twice")
        run = order_id.partition("-")[0]
        demand(run == str(self.run_id), "I3", f"{order_id} is of run {self.run_id}, and may be made again in another")
        if intent.reason in (OrderReason.SIGNAL, OrderReason.EXIT):
            closes_first = intent.reason is OrderReason.EXIT and bar_of(order_id) in self.reversals
            demand(closes_first or order_id in self.decided_orders, "I3", f"{order_id} has no decision")
        self.intents[order_id] = intent
        self._initialized_ns[order_id] = self.true_ns()
        self.status[order_id] = OrderStatus.INITIALIZED

    def _updated(self, event: OrderUpdated) -> None:
        order_id, status = event.client_order_id, event.status
        demand(order_id in self.intents, "I4", f"{order_id} moves to {status} and was never initialized")
        demand(status in _SAID, "I4", f"{order_id} is said to be {status}; only the broker's log can tell")
        was = self.status[order_id]
        over = was in (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.DENIED)
        demand(not over and was is not OrderStatus.EXPIRED, "I4", f"{order_id} moves from {was} to {status}")
        if status is OrderStatus.DENIED:
            demand(order_id not in self.sent, "I4", f"{order_id} was sent and is given for denied")
            self.denied[order_id] = event.detail
        elif status is OrderStatus.REJECTED:
            demand(order_id in self.not_sent, "I4", f"{order_id} is given for rejected, the line did not say so")
        elif status is OrderStatus.EXPIRED:
            self._expired(event)
        elif order_id in self.not_sent:
            again = order_id.split("-")[0] != str(self.run_id)  # what an earlier run was told, the next one cannot know
            demand(again, "I4", f"{order_id} is given for unresolved, the line said that it was not sent")
        self.status[order_id] = status

    def _expired(self, event: OrderUpdated) -> None:
        order_id = event.client_order_id
        demand(self.was_read_afresh(), "unresolved", f"{order_id} expires and the log was not read afresh")
        # nobody looked at the log while the process was not there, or stood still
        age_ns = self.true_ns() - max(self._initialized_ns[order_id], self._awake_ns)
        demand(age_ns >= GRACE_NS, "unresolved", f"{order_id} expires after {age_ns / NS_PER_S} s")
        made = Books()
        made.read(self.venue.log, self.venue.visible_id)
        demand(order_id not in made.made, "unresolved", f"{order_id} expires although the log names it")

    def _tripped(self, event: BreakerTripped) -> None:
        self.tripped.add(event.breaker)
        self.rules.tripped(event)
        self.losses.tripped(event, self._least_owned(), self.limits)
        self.conduct.check_trip(event, self.limits, self.books)
        if event.breaker == "late_fill":
            self.owed_trips.clear()

    def _released(self, event: BreakerReleased) -> None:
        asked = [each for each in self.asked.values() if getattr(each, "breaker", None) == event.breaker]
        asked = [each for each in asked if each.reason.strip()]
        over = self.rules.day_is_over(event.breaker, event.ts_ns)
        demand(bool(asked) or over, "I6", f"breaker {event.breaker} is released and nobody asked for it")
        self.tripped.discard(event.breaker)
        self.released.add(event.breaker)
        self.losses.released(event.breaker, event.equity_home)

    def _reconciled(self, event: Reconciled) -> None:
        self.losses.compared(self.venue.sim.account().equity_home)
        told, true = (event.last_transaction_id, event.balance_home), (self.known, self.books.balance_home)
        demand(told == true, "I8", f"reconciled at {told}, the broker was at {true}")
        demand(self.was_compared(), "I8", "the run is reconciled, and the broker was not asked what it holds")
        self.reconciled = True

    def _claimed(self, event: TradeClaimed) -> None:
        asked = [each for each in self.asked.values() if getattr(each, "trade_id", None) == event.trade_id]
        demand(any(each.choice == event.claim for each in asked), "I17", f"trade {event.trade_id}: nobody claimed it")
        self.claims[event.trade_id] = event.claim

    def _interrupted(self, event: Interrupted) -> None:
        self.interrupted = True
        self.interruptions += 1
        self.reconciled = self.warm = False
        self.woken_ns = event.ts_ns
        self._awake_ns = self.true_ns()

    @property
    def compared(self) -> bool:
        """Say whether the books were compared since the process began, or went on after it had stood still."""
        return self.reconciled or (self.interrupted and "reconciliation" in self.tripped)

    def _warmed(self, event: WarmedUp) -> None:
        self.warm = True

    def _stopped(self, event: SessionStopped) -> None:
        """The run has ended, as it had to if another Keel was met; the process may die right behind this record."""
        self.owed_end = ""
        self.losses.stopped(is_fault=event.state is SessionState.FAULTED)

    def _day_began(self, event: DayBegan) -> None:
        self.losses.day_began(event, self.venue.sim.account().equity_home)

    def _least_owned(self) -> Decimal:
        """The least that may be taken for the equity now: at the newest prices, or as it was known before them."""
        before = self.losses.newest
        now = self.books.equity_home(self.quotes)
        before = self.venue.sim.account().equity_home if before is None else before
        return before if now is None else min(before, now)

    def _limited(self, event: LimitsChanged) -> None:
        now = self.books.equity_home(self.quotes)
        if now is not None and not self._answered:  # what a request before this one has cost is looked at behind both
            self.losses.limits_moved(now, self.limits, self.tripped | self.released)
        self.rules.changed(event)

    def _told_news(self, event: NewsSet) -> None:
        self.rules.news_set(self.news, event)
        self.news = event.news

    def _protecting(self, event: ProtectionSent) -> None:
        self.protections.append(event)

    def _closing(self, event: TradeCloseSent) -> None:
        self.closes.append(event)

    def _accepted(self, event: CommandAccepted) -> None:
        self._verdict(event.command_id, event.command, True)
        self.rules.accepted(event, self.asked[event.command_id])
        if event.command in ("HaltTrading", "FlattenAll"):
            self.halted = True
            self.flattening |= event.command == "FlattenAll"
        elif event.command == "ResumeTrading":
            demand(not self.has_kill_file(), "I5", f"{event.command_id} resumes, and the file HALT exists")
            self.halted = self.paused = self.flattening = self.latched_by_file = False
        elif event.command == "PauseEntries":
            self.paused = True

    def _refused(self, event: CommandRefused) -> None:
        self._verdict(event.command_id, event.command, False)
        demand(event.command not in ("HaltTrading", "FlattenAll"), "I21", f"{event.command} is refused: {event.reason}")

    def _verdict(self, command_id: str, command: str, accepted: bool) -> None:
        demand(command_id in self.asked, "I21", f"{command} {command_id} was never asked for")
        demand(command_id not in self.verdicts, "I21", f"{command} {command_id} takes effect twice")
        self.verdicts[command_id] = accepted
        self._answered = True

    def balance_identity(self) -> None:
        """The broker's balance is the sum of what its transactions moved."""
        books = self.books
        demand(books.moved_home == books.balance_home, "I14", f"{books.moved_home} is not {books.balance_home}")


_HANDLERS: dict[type, Callable[[Checker, Any], None]] = {
    DecisionMade: Checker._decision,
    OrderInitialized: Checker._initialized,
    OrderUpdated: Checker._updated,
    BreakerTripped: Checker._tripped,
    BreakerReleased: Checker._released,
    Reconciled: Checker._reconciled,
    WarmedUp: Checker._warmed,
    Interrupted: Checker._interrupted,
    DayBegan: Checker._day_began,
    SessionStopped: Checker._stopped,
    TradeClaimed: Checker._claimed,
    LimitsChanged: Checker._limited,
    NewsSet: Checker._told_news,
    ProtectionSent: Checker._protecting,
    TradeCloseSent: Checker._closing,
    CommandAccepted: Checker._accepted,
    CommandRefused: Checker._refused,
}
