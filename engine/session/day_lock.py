"""I am the lock of a trading day: what a daily breaker forbids is known outside the database too; none is a way round.
I may import the domain, ports, risk and my own room.
I must not forget what a database knows, nor let a lock that cannot be written disturb trading.
My tests are in tests/unit/session/test_day_lock.py.
"""

import logging

from engine.domain.calendar import iso_utc
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S
from engine.domain.schedule import DayStart
from engine.ports import Curfew, DayLock, DayLocks, UnreadableLock
from engine.risk.breakers import DEFAULT_BREAKERS, Trip
from engine.session.alarm import Alarm
from engine.session.desk import Desk
from engine.session.dispatch import pace_of

log = logging.getLogger("engine.session")
AGAIN_S = 60
DAILY = frozenset(breaker.name for breaker in DEFAULT_BREAKERS if breaker.daily)


class Unlocked:
    """Locks of nowhere, for sessions whose account ends with them."""

    def read(self, account: str) -> DayLock | UnreadableLock | None:
        """Know of none."""
        return None

    def write(self, lock: DayLock) -> str:
        """Let it pass."""
        return ""


UNLOCKED = Unlocked()


def known_lock(account: str, curfew: Curfew | None) -> DayLock | None:
    """Tell which lock a database knows of an account: of its daily trips the one that lasts longest, over or not."""
    if curfew is None:
        return None
    day = DayStart.parse(curfew.limits.trading_day)
    locks = [
        DayLock(account=account, breaker=breaker, tripped_ns=trip_ns, until_ns=day.next_ns(trip_ns))
        for breaker, trip_ns in curfew.trips.items()
        if breaker in DAILY
    ]
    return max(locks, key=lambda lock: lock.until_ns, default=None)


def lock_refusal(found: DayLock | UnreadableLock | None, known: DayLock | None, now_ns: int) -> str:
    """Say why nothing may start, or "": the data folder has found a lock that the database in use does not know."""
    if isinstance(found, UnreadableLock):
        return (
            f"The file {found.file} tells whether a daily breaker has tripped on this account, and cannot be read "
            f"({found.reason}); move it away and start with the database that was used last, which knows it as well "
            "and writes the file again."
        )
    if found is None or now_ns >= found.until_ns or (known is not None and known.until_ns >= found.until_ns):
        return ""
    until = iso_utc(found.until_ns)
    return (
        f"This database has no record that breaker {found.breaker} tripped on this account at "
        f"{iso_utc(found.tripped_ns)}, after which limits can only be made stricter until {until}; start with "
        f"--db {found.database}, which has it unless it was deleted or replaced since, or wait until {until}."
    )


class LockKeeper:
    """Writes the lock of the day behind the journal, and again after a minute while that cannot be done."""

    def __init__(self, desk: Desk, locks: DayLocks, alarm: Alarm) -> None:
        self._desk = desk
        self._locks = locks
        self._alarm = alarm
        self._account = ""
        self._every_ns = int(AGAIN_S * NS_PER_S * pace_of(desk.config))
        self._owed: DayLock | None = None
        self._tried_ns = 0
        self._trouble = ""

    def begin(self, account: str, curfew: Curfew | None) -> None:
        """Take up what the database and the data folder know of an account that outlives the session.

        A crash may have come between the journal and the file: what only the database knows is written. Raises
        ConfigError when it is the other way round.
        """
        self._account = account
        now_ns, known = self._desk.now_ns, known_lock(account, curfew)
        found = self._locks.read(account)
        if sentence := lock_refusal(found, known, now_ns):
            raise ConfigError(sentence)
        if known is None:
            return
        self._desk.forbid_loosening(known.until_ns)
        if now_ns < known.until_ns and not (isinstance(found, DayLock) and found.until_ns >= known.until_ns):
            self._write(known)

    def tripped(self, trip: Trip) -> None:
        """Lock the rest of the day, in memory: the file follows the journal's record of the trip."""
        desk = self._desk
        desk.forbid_loosening(desk.day.next_ns(trip.ts_ns))
        if self._account:
            until_ns = desk.no_loosening_until_ns  # of an earlier trip, if the clock was set back since
            self._owed = DayLock(account=self._account, breaker=trip.breaker, tripped_ns=trip.ts_ns, until_ns=until_ns)

    def settle(self) -> None:
        """Write what is owed: the journal is on the disk. A session that ends on its trouble does so at its end."""
        if self._owed is not None:
            self._write(self._owed)

    def look(self) -> None:
        """Try again what could not be written, and tell a person for as long as it is not."""
        owed = self._owed
        if owed is None:
            return
        since_ns = self._desk.now_ns - self._tried_ns
        if not 0 <= since_ns < self._every_ns:  # less than none: the clock was set back
            self._write(owed)
        if not self._trouble:
            self._alarm.clear("day_lock", "")
            return
        self._alarm.raise_(
            "day_lock",
            "",
            f"The lock of this trading day cannot be written ({self._trouble}): until {iso_utc(owed.until_ns)} "
            "only this database knows of it, so start with no other.",
        )

    def _write(self, lock: DayLock) -> None:
        self._tried_ns = self._desk.now_ns
        self._trouble = self._locks.write(lock)
        self._owed = lock if self._trouble else None
        if self._trouble:
            log.error("the lock of the trading day was not written: %s", self._trouble, extra={"subsystem": "risk"})
