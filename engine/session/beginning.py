"""I am the beginning of a session: as after a crash, because it may have been one; books first, then everything else.
I may import the domain, ports and my own room.
I must not send anything: nothing leaves before our books and the broker's agree.
My tests are in tests/unit/session/test_beginning.py and test_recovery.py.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from engine.domain.account import Account
from engine.domain.calendar import iso_utc
from engine.domain.check import Check
from engine.domain.command import SessionConfig
from engine.domain.error import Bug, ConfigError, HaltTrading, RetryLater
from engine.domain.event import DayBegan, LiveArmed, PreflightDone, SessionStarted, TradeFound
from engine.domain.instrument import Instrument
from engine.domain.limit_changes import loosened
from engine.domain.schedule import DayStart
from engine.domain.window import BarWindow
from engine.ports import (
    Alerter,
    Broker,
    Clock,
    Curfew,
    DayLocks,
    Journal,
    KillSwitch,
    MarketData,
    Opening,
    Past,
    Predictor,
)
from engine.session.alarm import SILENT
from engine.session.audit import RECONCILIATION, Auditor
from engine.session.day_lock import UNLOCKED, LockKeeper
from engine.session.days import Days
from engine.session.desk import BARS_SHOWN, Desk
from engine.session.dispatch import Dispatcher
from engine.session.recovery import INTERRUPTED, latch_again, rebuild
from engine.session.strictness import locked_until_ns, loosening, still_tripped


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What the wiring hands to a session; an arming_phrase makes it a live one, which was armed as it starts.

    past is what earlier runs recorded of the account whose books this session goes on with. former_orders are the ids
    of all orders that the database has of the account: one that older books sent may still arrive. curfew is what its
    runs leave behind whatever books they kept, locks what is known of that outside the database, checks what the
    preflight found, none for a simulated session.
    """

    config: SessionConfig
    clock: Clock
    market_data: MarketData
    broker: Broker
    predictor: Predictor
    journal: Journal
    kill: KillSwitch
    instruments: Mapping[str, Instrument]
    engine_version: str
    arming_phrase: str = ""
    past: Past | None = None
    former_orders: frozenset[str] = frozenset()
    curfew: Curfew | None = None
    locks: DayLocks = UNLOCKED
    alerter: Alerter = SILENT
    checks: tuple[Check, ...] = ()


class Beginning:
    """Takes the books up, catches up with the broker's log and compares."""

    def __init__(
        self,
        parts: SessionParts,
        desk: Desk,
        dispatcher: Dispatcher,
        auditor: Auditor,
        days: Days,
        lock: LockKeeper,
    ) -> None:
        self._parts = parts
        self._desk = desk
        self._dispatcher = dispatcher
        self._auditor = auditor
        self._days = days
        self._lock = lock
        self._journal = parts.journal
        self._is_kept = False

    def begin(self, open_pl_home: Decimal) -> bool:
        """Begin the run; says whether its books outlive it. Raises KeelError when it cannot begin.

        What is open was valued by the broker a moment ago; the balance it goes on top of is that of the log, which may
        have told of money paid in or out since.
        """
        parts, desk = self._parts, self._desk
        parts.market_data.start(parts.config.instruments, parts.config.granularity)
        opening = parts.broker.opening()
        self._is_kept = self._days.is_kept = bool(opening.account)
        if self._is_kept:
            self._lock.begin(opening.account, parts.curfew)
        if parts.curfew is not None:
            self._keep(parts.curfew)
        unfinished = self._open(opening)
        self._journal.append(self._started(opening))
        if parts.checks:
            self._journal.append(PreflightDone(ts_ns=desk.now_ns, checks=parts.checks))
        if parts.curfew is not None:
            self._go_on_with_day(parts.curfew, opening.balance_home + open_pl_home)
            self._carry(parts.curfew)
        if parts.past is None:
            for trade in opening.trades:
                orders = tuple(order for order in opening.orders if order.trade_id == trade.trade_id)
                self._journal.append(TradeFound(ts_ns=desk.now_ns, trade=trade, orders=orders))
        if parts.arming_phrase:
            self._journal.append(LiveArmed(ts_ns=desk.now_ns, until_ns=desk.arm()))
        for order_id in unfinished:
            self._dispatcher.doubt(order_id, INTERRUPTED)
        self._dispatcher.sync(afresh=True)
        self._reconcile()
        self._days.open_books(desk.ledger.balance_home + open_pl_home)
        if parts.curfew is not None:
            self._refuse_late(parts.curfew)
        return self._is_kept

    def _keep(self, curfew: Curfew) -> None:
        """Starting anew is no way round what a bad day forbids; raises ConfigError when limits would be less strict."""
        desk = self._desk
        desk.no_loosening_until_ns = max(desk.no_loosening_until_ns, locked_until_ns(curfew))
        if forbidden := loosening(curfew, desk.limits, desk.hours.news, desk.now_ns):
            raise ConfigError(f"{forbidden}.")

    def _refuse_late(self, curfew: Curfew) -> None:
        """A limit of the day that was reached while nobody was there is not taken away by a start with looser ones."""
        desk, looser = self._desk, loosened(curfew.limits, self._desk.limits)
        view = replace(desk.account_view(), limits=curfew.limits)
        reached = [each.name for each in desk.panel.breakers if each.daily and each.read(view).over]
        if looser and reached:
            raise ConfigError(
                f"{', '.join(looser)} would be less strict; the limit of breaker {reached[0]} was reached while no "
                f"session ran, so limits can only be made stricter until {iso_utc(desk.day_end_ns)}."
            )

    def _go_on_with_day(self, curfew: Curfew, equity_home: Decimal) -> None:
        """A day that runs is ended by no new books and by no other `trading_day`: either would forgive its loss.

        Told again in the new run. New books know nothing of money that was paid in since: it must not pass for a gain
        that may be lost again, so that the day goes on from the present equity if that is more.
        """
        desk, day, counted = self._desk, curfew.day, DayStart.parse(curfew.limits.trading_day)
        is_new = self._parts.past is None
        if day is None or desk.now_ns >= counted.next_ns(day.ts_ns) or not (is_new or counted != desk.day):
            return
        began_home = max(day.equity_home, equity_home) if is_new else desk.loss_anchor_home
        desk.day_end_ns = desk.day.next_ns(desk.now_ns)
        desk.day_start_home = desk.loss_anchor_home = began_home
        self._journal.append(DayBegan(ts_ns=desk.now_ns, equity_home=began_home))

    def _carry(self, curfew: Curfew) -> None:
        """New books release no breaker: they are no way round what stops entries.

        Each is told again as it was, for the next run to take up. Books that differ are what new ones are for.
        """
        desk = self._desk
        # not one of an earlier day, even when books that began this one have let it go without a word
        for tripped in still_tripped(curfew, desk.now_ns) if self._parts.past is None else ():
            if tripped.breaker != RECONCILIATION:
                latch_again(desk, tripped)
                self._journal.append(tripped)

    def _open(self, opening: Opening) -> tuple[str, ...]:
        """Take the books up where the past left them, or begin new ones; returns orders of unknown outcome."""
        desk, past = self._desk, self._parts.past
        if past is not None:
            return rebuild(desk, past)
        desk.ledger.begin(opening.balance_home, opening.last_transaction_id)
        for trade in opening.trades:
            desk.ledger.find(trade, opening.orders)
        return ()

    def _started(self, opening: Opening) -> SessionStarted:
        parts, desk = self._parts, self._desk
        if self._is_kept:
            desk.opening_balance_home = desk.ledger.balance_home
        return SessionStarted(
            ts_ns=desk.now_ns,
            config=parts.config,
            model_sha256=parts.predictor.spec.sha256,
            opening_balance_home=desk.opening_balance_home,
            engine_version=parts.engine_version,
            account=opening.account,
            opening_transaction_id=desk.ledger.last_transaction_id if self._is_kept else 0,
            continues=parts.past.run_id if parts.past else None,
        )

    def _reconcile(self) -> None:
        """Nothing is sent before our books and the broker's agree; raises HaltTrading when they do not."""
        if self._dispatcher.trouble:
            raise RetryLater(self._dispatcher.trouble)
        if found := self._auditor.differences():
            raise HaltTrading(f"Our books and the broker's differ: {'; '.join(found)}.")
        self._auditor.note_agreement()


def new_desk(parts: SessionParts, account: Account) -> Desk:
    """Make the desk of a session; raises ConfigError when it cannot be traded at this venue."""
    config = parts.config
    missing = [name for name in config.instruments if name not in parts.instruments]
    if missing or not config.instruments:
        raise ConfigError(f"Instruments {', '.join(missing) or 'none'} are not offered by this venue.")
    if account.currency != config.currency:
        raise ConfigError(f"The account's currency is {account.currency}, the session's is {config.currency}.")
    lookback = max(parts.predictor.spec.lookback_bars, config.limits.atr_period + 1)
    if lookback <= 0:
        raise Bug("a session needs at least one bar of look-back")
    return Desk(
        config=config,
        run_id=parts.journal.run_id,
        continues=parts.past.run_id if parts.past else None,
        currency=account.currency,
        instruments={name: parts.instruments[name] for name in config.instruments},
        offered=parts.instruments,
        granularity_ns=config.granularity.ns,
        limits=config.limits,
        arming_phrase=parts.arming_phrase,
        former_orders=parts.former_orders,
        opening_balance_home=account.balance_home,
        now_ns=parts.clock.now_ns(),
        windows={name: BarWindow(name, lookback) for name in config.instruments},
        bars={name: deque(maxlen=max(BARS_SHOWN, lookback)) for name in config.instruments},
    )
