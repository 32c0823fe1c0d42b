"""I am what a person may ask of the engine: one frozen value per request.
I may import limits, market and error.
I must not carry secrets, paths to models, or anything that has to be executed.
My tests are in tests/unit/domain/test_command.py.

Each command carries command_id: made when a form is drawn, so that a double click is one request.
expected_revision, where present, is the snapshot revision the person was looking at.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.domain.error import ConfigError
from engine.domain.limits import RiskLimits
from engine.domain.market import Granularity
from engine.domain.schedule import NewsEvent

CAPITAL_MIN, CAPITAL_MAX = Decimal(100), Decimal(1_000_000_000)
CAPITAL_STEP = Decimal("0.0001")
DURATION_S_MAX = 3_650 * 86_400
SPEED_MIN, SPEED_MAX = 0.1, 86_400.0
NEWS_MAX = 5_000
# What a person types to make limits less strict.
LOOSEN = "LOOSEN LIMITS"


class Mode(StrEnum):
    """Where prices come from and who fills orders."""

    SANDBOX = "sandbox"
    REPLAY = "replay"
    PAPER = "paper"
    PRACTICE = "practice"
    LIVE = "live"

    @property
    def is_simulated(self) -> bool:
        """Say whether market and account live in this process."""
        return self in (Mode.SANDBOX, Mode.REPLAY)

    @property
    def sends_orders(self) -> bool:
        """Say whether orders leave this process for an account at OANDA."""
        return self in (Mode.PRACTICE, Mode.LIVE)


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a session needs to know before it starts.

    capital_home is the opening balance of the simulated account in `currency`; speed multiplies market time
    (None: as fast as it goes); duration_s is market time (None: until stopped or out of data); bars are
    (instrument or "", path) pairs of recorded bar files (replay only); news is the operator's
    calendar. Raises ConfigError for the first value that is out of range.
    """

    mode: Mode = Mode.SANDBOX
    instruments: tuple[str, ...] = ()
    granularity: Granularity = Granularity.M1
    model_id: str = "sma-cross"
    capital_home: Decimal = Decimal(100_000)
    currency: str = "USD"
    seed: int = 1
    speed: float | None = 60.0
    duration_s: int | None = None
    warmup_timeout_s: int = 60
    bars: tuple[tuple[str, str], ...] = ()
    limits: RiskLimits = msgspec.field(default_factory=RiskLimits)
    news: tuple[NewsEvent, ...] = ()

    def __post_init__(self) -> None:
        if not self.capital_home.is_finite() or not CAPITAL_MIN <= self.capital_home <= CAPITAL_MAX:
            raise ConfigError(f"Capital is {self.capital_home}; it must be from {CAPITAL_MIN} to {CAPITAL_MAX}.")
        if self.capital_home != self.capital_home.quantize(CAPITAL_STEP):
            raise ConfigError(f"Capital is {self.capital_home}; it must have at most 4 decimals.")
        if self.speed is not None and not SPEED_MIN <= self.speed <= SPEED_MAX:
            raise ConfigError(f"Speed is {self.speed:g}; it must be from {SPEED_MIN:g} to {SPEED_MAX:g}, or max.")
        if self.duration_s is not None and not 0 < self.duration_s <= DURATION_S_MAX:
            raise ConfigError(f"Duration is {self.duration_s} s; it must be from 1 to {DURATION_S_MAX} s (10 years).")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"Seed is {self.seed}; it must be from 0 to {2**63 - 1}.")
        if self.warmup_timeout_s <= 0:
            raise ConfigError(f"Warm-up timeout is {self.warmup_timeout_s} s; it must be more than 0.")
        if len(set(self.instruments)) != len(self.instruments):
            raise ConfigError(f"Instruments {', '.join(self.instruments)} name one instrument twice.")
        if len(self.news) > NEWS_MAX:
            raise ConfigError(f"The news calendar has {len(self.news)} events; at most {NEWS_MAX} are allowed.")


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did by hand to trade live: the phrase that was typed, and the names of the limits that were set."""

    phrase: str
    limits_set: tuple[str, ...]


class StartSession(msgspec.Struct, frozen=True, kw_only=True):
    """Start a session; refused while one is active. Mode live needs an arming.

    new_books forgets what earlier runs recorded of the account and begins with what the broker has now.
    """

    command_id: str
    config: SessionConfig
    arming: Arming | None = None
    new_books: bool = False


class ArmLive(msgspec.Struct, frozen=True, kw_only=True):
    """Arm the running live session again, after the time for which it was armed is over."""

    command_id: str
    phrase: str


class ClaimTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Say what to do with an open trade that Keel did not open: manage it, leave it alone, or close it."""

    command_id: str
    trade_id: str
    choice: str


class StopSession(msgspec.Struct, frozen=True, kw_only=True):
    """End the session; open positions stay at the broker with their stops."""

    command_id: str


class PauseEntries(msgspec.Struct, frozen=True, kw_only=True):
    """Open nothing new; signals may still close what is open, and stops stay in force."""

    command_id: str


class ResumeTrading(msgspec.Struct, frozen=True, kw_only=True):
    """Allow entries again after a pause or a halt; refused from a stale page."""

    command_id: str
    expected_revision: int | None = None


class HaltTrading(msgspec.Struct, frozen=True, kw_only=True):
    """Send nothing more until resumed; open positions stay with their stops."""

    command_id: str


class FlattenAll(msgspec.Struct, frozen=True, kw_only=True):
    """Halt, then close every position at the market; trading stays halted."""

    command_id: str


class ClosePosition(msgspec.Struct, frozen=True, kw_only=True):
    """Close one instrument's position at the market."""

    command_id: str
    instrument: str


class UpdateRiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the limits of the running session; refused from a stale page.

    What makes a limit less strict needs LOOSEN as confirmation, and is refused for the rest of a trading day in which a
    daily breaker has tripped.
    """

    command_id: str
    limits: RiskLimits
    expected_revision: int | None = None
    confirmation: str = ""


class SetNews(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the calendar of news of the running session."""

    command_id: str
    news: tuple[NewsEvent, ...]


class TryOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Ask whether an entry would pass now, gate by gate; nothing is sent.

    direction is +1 or -1; units are unsigned, None sizes the entry as a signal of this confidence would be.
    """

    command_id: str
    instrument: str
    direction: int
    units: Decimal | None = None
    confidence: float = 1.0


class AcknowledgeBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """Release a tripped breaker, with the operator's reason."""

    command_id: str
    breaker: str
    reason: str


Command = (
    StartSession
    | ArmLive
    | ClaimTrade
    | StopSession
    | PauseEntries
    | ResumeTrading
    | HaltTrading
    | FlattenAll
    | ClosePosition
    | UpdateRiskLimits
    | AcknowledgeBreaker
    | SetNews
    | TryOrder
)
