"""I am the sockets of the engine: what a clock, a market, a broker, a model and a journal must offer.
I may import the domain and snapshot.
I must not hold an implementation.
My tests are the contract tests in tests/contract, run on every implementation.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.domain.account import Account, Holdings, Trade, WorkingOrder
from engine.domain.decision import Prediction, PredictionFault
from engine.domain.event import AlertRaised, BreakerTripped, DayBegan, Event
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar, Granularity, Quote
from engine.domain.order import OrderIntent
from engine.domain.schedule import NewsEvent
from engine.domain.transaction import Transaction
from engine.domain.window import BarWindow


class Wake(Protocol):
    """Something that can end a wait early (a threading.Event)."""

    def wait(self, timeout: float | None = None) -> bool:
        """Block until woken (True) or until `timeout` seconds have passed (False)."""
        ...

    def is_set(self) -> bool:
        """Say whether a wake-up is pending."""
        ...


class Clock(Protocol):
    """Market time; it never goes back, whatever is done to the machine's clock."""

    @property
    def is_simulated(self) -> bool:
        """Say whether this time is made here; if not, it goes on while the machine sleeps."""
        ...

    def now_ns(self) -> int:
        """Return the present market time."""
        ...

    def drift_ns(self) -> int:
        """Return how far the machine's wall clock is ahead of a time that was the same; 0 where it never was."""
        ...

    def wait_until(self, deadline_ns: int, wake: Wake) -> None:
        """Return when market time has reached the deadline, or earlier when woken."""
        ...


class MarketData(Protocol):
    """Quotes and closed bars of the session's instruments."""

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        """Begin to follow these instruments; bars will be of this granularity."""
        ...

    def watch(self, instrument: str) -> None:
        """Bring quotes of one more instrument from now on, because it is held; its bars are not wanted."""
        ...

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        """Return what became known up to now, oldest first, each item once; quotes before bars of the same time."""
        ...

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        """Return up to `count` newest closed bars known now, oldest first; fewer when fewer exist."""
        ...

    def next_due_ns(self) -> int | None:
        """Return when the next item is expected, or None when the data has ended."""
        ...


class BarSource(Protocol):
    """A stream of finest-grained closed bars for a simulated venue: generated or recorded."""

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments that this source has bars of."""
        ...

    @property
    def granularity(self) -> Granularity:
        """Length of the bars of this source."""
        ...

    def peek_ns(self) -> int | None:
        """Return the end time of the next frame, or None when there is none."""
        ...

    def pop(self) -> Sequence[Bar]:
        """Return the next frame: every bar that ends at peek_ns(), at most one per instrument."""
        ...

    def history(self, instrument: str, granularity: Granularity, count: int) -> Sequence[Bar]:
        """Return up to `count` closed bars that end at or before the last popped frame (or the start)."""
        ...


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The broker answered and its transaction log now holds the outcome; ids up to last_transaction_id exist."""

    last_transaction_id: int


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """The order surely never reached the broker."""

    reason: str


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """The order may or may not have reached the broker; only its transaction log can tell."""

    reason: str


SubmitOutcome = Answered | NotSent | Unresolved


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier runs recorded of an account whose books go on: from the run that began them to the newest.

    run_id is the newest of these runs; events are theirs in order, without what only told (decisions, answers to
    commands, states). decided has the start of the newest bar that was decided on, by instrument and granularity.
    """

    run_id: int
    events: tuple[Event, ...]
    decided: Mapping[tuple[str, str], int]


class Curfew(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of an account leave behind whatever books they kept: when each breaker tripped last, the limits and
    the news that were in force last; the breakers that nobody has released, and the newest trading day with what its
    loss is measured from (None: no run has told of one).
    """

    trips: Mapping[str, int]
    limits: RiskLimits
    latched: tuple[BreakerTripped, ...] = ()
    day: DayBegan | None = None
    news: tuple[NewsEvent, ...] = ()


class DayLock(msgspec.Struct, frozen=True, kw_only=True):
    """A daily breaker has tripped on an account: until until_ns only a database that knows of it may start there.

    database is the file that has the record, as a person would type it; "" before the lock is written.
    """

    account: str
    breaker: str
    tripped_ns: int
    until_ns: int
    database: str = ""


class UnreadableLock(msgspec.Struct, frozen=True, kw_only=True):
    """There is a lock of an account, and nobody can tell what it says."""

    file: str
    reason: str


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Where the books of an account begin: this balance, after this transaction, with these trades and orders.

    account tells the account from every other; "" for a simulated one, which ends with its session.
    """

    balance_home: Decimal
    last_transaction_id: int
    trades: tuple[Trade, ...] = ()
    orders: tuple[WorkingOrder, ...] = ()
    account: str = ""


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker said before the start; None is what could not be asked because of what came before.

    refused says why the token was not accepted, unread why the account could not be read, unlisted why its instruments
    could not (offered is None then) or their prices; each empty when all was well. skew_ns is how far our clock is from
    the broker's at least, ahead positive. account tells the account from every other, as in an Opening.
    tradeable is by instrument, as of ts_ns.
    """

    refused: str = ""
    skew_ns: int | None = None
    answered: bool = False
    is_listed: bool | None = None
    unread: str = ""
    account: str = ""
    currency: str = ""
    is_hedging: bool | None = None
    is_mt4: bool | None = None
    unlisted: str = ""
    offered: frozenset[str] | None = None
    tradeable: Mapping[str, bool] = msgspec.field(default_factory=dict)
    ts_ns: int = 0


class Broker(Protocol):
    """Who holds the account; its numbered transactions are the truth about money."""

    def opening(self) -> Opening:
        """Return where the books of a session begin; a simulated account is told from its first transaction on."""
        ...

    def account(self) -> Account:
        """Return the account as the broker sees it; raises RetryLater when it cannot be read now."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the tradeable instruments by name."""
        ...

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        """Send one market order, once; what became of it is read from transactions_since."""
        ...

    def holdings(self) -> Holdings:
        """Return all that is open or waits, with the balance, as of one moment; raises RetryLater."""
        ...

    def protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> SubmitOutcome:
        """Set or move the stop-loss of an open trade, once; what became of it is read from transactions_since."""
        ...

    def close_trade(self, trade_id: str, instrument: str) -> SubmitOutcome:
        """Close one open trade at the market, once; what became of it is read from transactions_since."""
        ...

    def transactions_since(self, transaction_id: int, *, afresh: bool = False) -> Sequence[Transaction]:
        """Return every transaction after this id, in id order, none missing; raises RetryLater.

        Nothing may mean that there is no reason to ask; `afresh` asks, and then nothing means that there is none.
        """
        ...


class PredictorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a model needs and can serve.

    lookback_bars is the number of closed bars per instrument that one prediction looks at; instruments is the
    training set (empty: any instrument); instruments_max is its capacity; granularity None means any.
    """

    model_id: str
    kind: str
    title: str
    features: tuple[str, ...]
    lookback_bars: int
    instruments: tuple[str, ...]
    instruments_max: int
    granularity: Granularity | None
    sha256: str
    threshold: Decimal | None = None


class Predictor(Protocol):
    """A model: rule or trained."""

    @property
    def spec(self) -> PredictorSpec:
        """What this model needs and can serve."""
        ...

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        """Judge one instrument from its newest closed bars; a pure function of the window."""
        ...


class Journal(Protocol):
    """The append-only record of a run."""

    @property
    def run_id(self) -> int:
        """Number of this run; unique for ever in this database."""
        ...

    def append(self, event: Event) -> None:
        """Add an event; durable only after commit()."""
        ...

    def commit(self) -> None:
        """Make everything appended durable, with its projections, in one transaction; raises HaltTrading."""
        ...

    def digest(self) -> str:
        """Hash of every event appended so far; independent of the run number, equal for equal runs."""
        ...


class DayLocks(Protocol):
    """What is known outside any database of the daily breakers that have tripped: the newest lock of each account."""

    def read(self, account: str) -> DayLock | UnreadableLock | None:
        """Return the lock that was written last of an account, over or not; None when there was none."""
        ...

    def write(self, lock: DayLock) -> str:
        """Put a lock in the place of the account's last one, whole or not at all; returns why it could not, or ""."""
        ...


class Alerter(Protocol):
    """Who tells a person that is away; what becomes of an alert never matters to trading."""

    def notify(self, alert: AlertRaised) -> None:
        """Take an alert and return at once; never blocks, never raises."""
        ...


class KillSwitch(Protocol):
    """The halt latch: anyone may set it, only a person's command in the session's thread releases it."""

    def set(self, reason: str) -> None:
        """Let nothing more be sent from now on."""
        ...

    def engaged(self) -> str | None:
        """Look everywhere and return why nothing may be sent, or None; asked before every send."""
        ...

    @property
    def noted(self) -> str:
        """Why nothing may be sent as far as was seen when last looked; empty when nothing was."""
        ...

    def release(self) -> str | None:
        """Unlatch at the operator's wish; returns why it stays set (the file data/HALT), or None."""
        ...
