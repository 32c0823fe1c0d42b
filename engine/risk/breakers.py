"""I am the circuit breakers: each watches one thing, trips once and stays tripped until a person releases it.
I may import the domain.
I must not change the trading state; the session asks me and does.
My tests are in tests/unit/risk/test_breakers.py.
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Protocol

import msgspec

from engine.domain.limits import RiskLimits, counted

HUNDRED = Decimal(100)
ZERO = Decimal(0)
LOCK = "repeated_entries"


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker may look at; amounts in home currency, open P/L included in equity.

    data_age_s is the age of the oldest quote of what is held, or of the newest of all while nothing is held; None while
    the market is closed or not known.
    model_faults are those among the newest answers of the model, errors the broker's of the last five minutes.
    """

    ts_ns: int
    equity_home: Decimal
    day_start_home: Decimal
    peak_home: Decimal
    limits: RiskLimits
    losses_in_row: int = 0
    model_faults: int = 0
    errors: int = 0
    data_age_s: Decimal | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker measures now and its limit, both in `unit`; a limit of 0 means that the breaker is off."""

    measured: Decimal
    most: Decimal
    unit: str

    @property
    def over(self) -> bool:
        """Say whether the limit is reached."""
        return self.most > 0 and self.measured >= self.most

    @property
    def value(self) -> str:
        """What is measured, as a person reads it."""
        if self.unit == "%":
            return f"{self.measured:.2f} %"
        # cut and not rounded: what is below its limit must not read as if it had reached it
        tenths = self.measured.quantize(Decimal("0.1"), ROUND_DOWN)
        return counted(f"{tenths:f}".removesuffix(".0"), self.unit)

    @property
    def limit(self) -> str:
        """The limit, as a person reads it."""
        return counted(str(self.most), self.unit) if self.most > 0 else "off"

    @property
    def left(self) -> str:
        """What may still be used, as a person reads it; empty while it is off."""
        if self.most <= 0:
            return ""
        return Reading(measured=max(self.most - self.measured, ZERO), most=self.most, unit=self.unit).value

    @property
    def used_pct(self) -> Decimal:
        """How much of the limit is used, in percent; 0 while it is off."""
        return self.measured / self.most * HUNDRED if self.most > 0 else ZERO


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that has latched, what it measured at that moment, and that in a few words.

    instrument names the only one that waits for a person; empty when every entry does.
    """

    breaker: str
    ts_ns: int
    value: str
    limit: str
    cause: str
    instrument: str = ""


class Breaker(Protocol):
    """One watch; a daily one is also released when the next trading day begins."""

    name: str
    daily: bool

    def read(self, view: AccountView) -> Reading:
        """Measure; latching is done by the panel."""
        ...

    def calm(self, view: AccountView) -> bool:
        """Say whether there is nothing to measure, which is the case most of the time and quickly told."""
        ...


class DailyLoss:
    """Loss since the trading day began, in percent of the equity it began with."""

    name = "daily_loss"
    daily = True

    def read(self, view: AccountView) -> Reading:
        fallen = _fall_pct(view.day_start_home, view.equity_home)
        return Reading(measured=fallen, most=view.limits.daily_loss_pct_max, unit="%")

    def calm(self, view: AccountView) -> bool:
        return 0 < view.day_start_home <= view.equity_home


class SessionDrawdown:
    """Fall from the session's highest equity, in percent of it."""

    name = "drawdown"
    daily = False

    def read(self, view: AccountView) -> Reading:
        fallen = _fall_pct(view.peak_home, view.equity_home)
        return Reading(measured=fallen, most=view.limits.drawdown_pct_max, unit="%")

    def calm(self, view: AccountView) -> bool:
        return 0 < view.peak_home <= view.equity_home


class LossStreak:
    """Losing trades in a row, over all instruments."""

    name = "loss_streak"
    daily = True

    def read(self, view: AccountView) -> Reading:
        return Reading(measured=Decimal(view.losses_in_row), most=Decimal(view.limits.loss_streak_max), unit="trades")

    def calm(self, view: AccountView) -> bool:
        return view.losses_in_row == 0


class ModelFaults:
    """Answers of the model that were none, among its newest in one instrument."""

    name = "model_faults"
    daily = False

    def read(self, view: AccountView) -> Reading:
        return Reading(measured=Decimal(view.model_faults), most=Decimal(view.limits.model_faults_max), unit="faults")

    def calm(self, view: AccountView) -> bool:
        return view.model_faults == 0


class DataAge:
    """Age of the quotes that equity is made of, or of the newest of all while nothing is held; in an open market."""

    name = "data_age"
    daily = False

    def read(self, view: AccountView) -> Reading:
        return Reading(measured=view.data_age_s or ZERO, most=view.limits.data_age_s_max, unit="s")

    def calm(self, view: AccountView) -> bool:
        return not view.data_age_s


class BrokerErrors:
    """Outages that began, and orders that failed or were refused, within five minutes."""

    name = "broker_errors"
    daily = False

    def read(self, view: AccountView) -> Reading:
        return Reading(measured=Decimal(view.errors), most=Decimal(view.limits.broker_errors_max), unit="errors")

    def calm(self, view: AccountView) -> bool:
        return view.errors == 0


DEFAULT_BREAKERS: tuple[Breaker, ...] = (
    DailyLoss(),
    SessionDrawdown(),
    LossStreak(),
    ModelFaults(),
    DataAge(),
    BrokerErrors(),
)


def lock_name(instrument: str) -> str:
    """Name the latch of one instrument that was entered to one side too often."""
    return f"{LOCK} {instrument}"


class BreakerPanel:
    """Latches breakers: a tripped one stays tripped until released, whatever the account does."""

    def __init__(self, breakers: Sequence[Breaker] = DEFAULT_BREAKERS) -> None:
        self.breakers = tuple(breakers)
        self._trips: dict[str, Trip] = {}

    def update(self, view: AccountView) -> tuple[Trip, ...]:
        """Measure every untripped breaker and latch those at or over their limit; returns the new trips."""
        fresh = []
        for breaker in self.breakers:
            if breaker.calm(view) or breaker.name in self._trips:
                continue
            reading = breaker.read(view)
            if reading.over:
                fresh.append(_trip(breaker.name, view.ts_ns, reading))
        if fresh:
            self._trips.update((trip.breaker, trip) for trip in fresh)
        return tuple(fresh)

    def latch(self, trip: Trip) -> bool:
        """Latch what was noticed elsewhere; False when a breaker of this name is latched already."""
        if trip.breaker in self._trips:
            return False
        self._trips[trip.breaker] = trip
        return True

    def release(self, name: str) -> bool:
        """Unlatch; False when it was not tripped."""
        return self._trips.pop(name, None) is not None

    def is_daily(self, name: str) -> bool:
        """Say whether a breaker ends with the trading day, and forbids to loosen limits for the rest of it."""
        return any(breaker.name == name and breaker.daily for breaker in self.breakers)

    @property
    def daily_trips(self) -> tuple[Trip, ...]:
        """Latched breakers that end with the trading day."""
        return tuple(trip for trip in self._trips.values() if self.is_daily(trip.breaker))

    @property
    def tripped(self) -> bool:
        """Say whether anything is latched that keeps every entry from leaving."""
        return bool(self._trips) and any(not trip.instrument for trip in self._trips.values())

    @property
    def trips(self) -> tuple[Trip, ...]:
        """Everything latched, in the order in which it was."""
        return tuple(self._trips.values())

    def trip_of(self, name: str) -> Trip | None:
        """The latched trip of this breaker, if any."""
        return self._trips.get(name)


def _trip(name: str, ts_ns: int, reading: Reading) -> Trip:
    cause = f"{reading.value} reached {reading.limit}"
    return Trip(breaker=name, ts_ns=ts_ns, value=reading.value, limit=reading.limit, cause=cause)


def _fall_pct(start: Decimal, now: Decimal) -> Decimal:
    if start <= 0:
        return HUNDRED  # nothing was left to begin with: never calm
    return (start - now) / start * HUNDRED if now < start else ZERO
