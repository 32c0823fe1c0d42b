"""I am the circuit breakers: each watches the account, trips once and stays tripped until a person releases it.
I may import the domain.
I must not change the trading state; the session asks me and does.
My tests are in tests/unit/risk/test_breakers.py.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.domain.limits import RiskLimits

HUNDRED = Decimal(100)


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker may look at; amounts in home currency, open P/L included in equity."""

    ts_ns: int
    equity_home: Decimal
    day_start_home: Decimal
    peak_home: Decimal
    limits: RiskLimits


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker measures now, in percent, and its limit."""

    value_pct: Decimal
    limit_pct: Decimal

    @property
    def over(self) -> bool:
        """Say whether the limit is reached."""
        return self.value_pct >= self.limit_pct

    @property
    def value(self) -> str:
        """What is measured, as a person reads it."""
        return f"{self.value_pct:.2f} %"

    @property
    def limit(self) -> str:
        """The limit, as a person reads it."""
        return f"{self.limit_pct} %"


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that has latched, what it measured at that moment, and that in a few words."""

    breaker: str
    ts_ns: int
    value: str
    limit: str
    cause: str


class Breaker(Protocol):
    """One watch on the account."""

    name: str

    def read(self, view: AccountView) -> Reading:
        """Measure; latching is done by the panel."""
        ...

    def anchor_home(self, view: AccountView) -> Decimal:
        """The equity that the loss is measured from; at or above it there is nothing to measure."""
        ...


class DailyLoss:
    """Loss since the trading day began (17:00 New York), in percent of the equity it began with."""

    name = "daily_loss"

    def read(self, view: AccountView) -> Reading:
        return Reading(
            value_pct=_fall_pct(view.day_start_home, view.equity_home), limit_pct=view.limits.daily_loss_pct_max
        )

    def anchor_home(self, view: AccountView) -> Decimal:
        return view.day_start_home


class SessionDrawdown:
    """Fall from the session's highest equity, in percent of it."""

    name = "drawdown"

    def read(self, view: AccountView) -> Reading:
        return Reading(value_pct=_fall_pct(view.peak_home, view.equity_home), limit_pct=view.limits.drawdown_pct_max)

    def anchor_home(self, view: AccountView) -> Decimal:
        return view.peak_home


DEFAULT_BREAKERS: tuple[Breaker, ...] = (DailyLoss(), SessionDrawdown())


class BreakerPanel:
    """Latches breakers: a tripped one stays tripped until released, whatever the account does."""

    def __init__(self, breakers: Sequence[Breaker] = DEFAULT_BREAKERS) -> None:
        self.breakers = tuple(breakers)
        self._trips: dict[str, Trip] = {}

    def update(self, view: AccountView) -> tuple[Trip, ...]:
        """Measure every untripped breaker and latch those at or over their limit; returns the new trips."""
        fresh = []
        for breaker in self.breakers:
            if breaker.name in self._trips or 0 < breaker.anchor_home(view) <= view.equity_home:
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

    @property
    def tripped(self) -> bool:
        """Say whether any breaker is latched."""
        return bool(self._trips)

    @property
    def trips(self) -> tuple[Trip, ...]:
        """Every latched breaker, in the order they tripped."""
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
    return (start - now) / start * HUNDRED if now < start else Decimal(0)
