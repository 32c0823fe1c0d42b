"""I am the past of an account: what its earlier runs recorded, and what they left open.
I may import the domain, ports' shape, and projections and rebuild of my own floor.
I must not write, nor read a million decisions to learn which were the newest.
My tests are in tests/unit/store/test_past.py.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    DayBegan,
    DecisionMade,
    Event,
    FundsMoved,
    LimitsChanged,
    NewsSet,
    SessionStarted,
)
from engine.domain.limits import RiskLimits
from engine.domain.schedule import NewsEvent
from engine.ports import Curfew, Past
from engine.store.projections import Projector
from engine.store.rebuild import NOT_BEGUN, read_event

# The runs whose books a new run goes on with: from the newest that began new books to the newest of all.
_RUNS = """SELECT run_id FROM runs WHERE account = :account
    AND run_id >= (SELECT max(run_id) FROM runs WHERE account = :account AND continues IS NULL) ORDER BY run_id"""

_BOOKS = """WITH RECURSIVE books(run_id) AS (
        SELECT :run_id UNION SELECT runs.continues FROM runs JOIN books USING (run_id) WHERE continues IS NOT NULL)
    SELECT run_id FROM books"""

# One walk through the file, which costs less than the check of it when it was opened: an index would slow every commit.
_FACTS = """SELECT seq, run_id, kind, payload FROM events WHERE run_id IN (SELECT value FROM json_each(?))
    AND kind NOT IN ('DecisionMade', 'BlockedOutcome', 'CommandAccepted', 'CommandRefused', 'WarmedUp', 'Reconciled',
    'Interrupted', 'TradingStateChanged', 'LimitsChanged', 'NewsSet', 'Faulted', 'AlertRaised', 'PreflightDone')
    ORDER BY seq"""

_ORDER_IDS = "SELECT client_order_id FROM orders JOIN runs USING (run_id) WHERE account = ?"

# Of every run of the account, whether or not its books go on: new books are no way round what a bad day forbids. The
# limits of a start that was refused were never in force, though it may have recorded what it learned of the account.
_STRICT = """SELECT seq, kind, payload FROM events JOIN runs USING (run_id) WHERE account = :account
    AND NOT (kind = 'SessionStarted' AND reason IS :refused)
    AND kind IN ('SessionStarted', 'LimitsChanged', 'NewsSet', 'BreakerTripped', 'BreakerReleased', 'DayBegan',
    'FundsMoved') ORDER BY seq"""

_JUDGED = "SELECT run_id, instruments, granularity FROM runs WHERE account = ? AND instruments IS NOT NULL"

_DECISIONS = "SELECT seq, kind, payload FROM events WHERE run_id = ? AND kind = 'DecisionMade' ORDER BY seq DESC"


def read_past(conn: sqlite3.Connection, account: str) -> Past | None:
    """Collect what was recorded of an account since its books began; None when nothing was, or account is "".

    Raises ConfigError naming an event that cannot be read.
    """
    runs = [run_id for (run_id,) in conn.execute(_RUNS, {"account": account})] if account else []
    if not runs:
        return None
    events = tuple(event for _, _, event in _facts(conn, runs))
    return Past(run_id=runs[-1], events=events, decided=_decided(conn, account))


def read_order_ids(conn: sqlite3.Connection, account: str) -> frozenset[str]:
    """Collect the client ids of every order that was made for an account, in whatever books; none for account ""."""
    found = conn.execute(_ORDER_IDS, (account,)) if account else ()
    return frozenset(order_id for (order_id,) in found)


def read_curfew(conn: sqlite3.Connection, account: str) -> Curfew | None:
    """Collect when breakers tripped, what of that still holds, and which limits were in force last.

    None when nothing was recorded, or account is "". Raises ConfigError naming an event that cannot be read.
    """
    trips: dict[str, int] = {}
    latched: dict[str, BreakerTripped] = {}
    day: DayBegan | None = None
    news: tuple[NewsEvent, ...] = ()
    limits: RiskLimits | None = None
    for seq, kind, payload in conn.execute(_STRICT, {"account": account, "refused": NOT_BEGUN}) if account else ():
        event = read_event(seq, kind, payload)
        if isinstance(event, BreakerTripped):
            trips[event.breaker] = max(event.ts_ns, trips.get(event.breaker, 0))  # a clock may have been set back
            latched[event.breaker] = event
        elif isinstance(event, BreakerReleased):
            latched.pop(event.breaker, None)
            day = _measured_anew(day, event)
        elif isinstance(event, DayBegan):
            day = event
        elif isinstance(event, FundsMoved) and day is not None:
            day = replace(day, equity_home=day.equity_home + event.transfer.amount_home)
        elif isinstance(event, SessionStarted):
            limits, news = event.config.limits, event.config.news
            latched = _carried(latched, event)
        elif isinstance(event, NewsSet):
            news = event.news
        elif isinstance(event, LimitsChanged):
            limits = event.limits
    if limits is None:
        return None
    return Curfew(trips=trips, limits=limits, latched=tuple(latched.values()), day=day, news=news)


def _carried(latched: dict[str, BreakerTripped], started: SessionStarted) -> dict[str, BreakerTripped]:
    """New books release what trips over books that differ, and nothing else."""
    is_new = started.continues is None
    return {name: tripped for name, tripped in latched.items() if not (is_new and name == "reconciliation")}


def _measured_anew(day: DayBegan | None, released: BreakerReleased) -> DayBegan | None:
    """A released daily loss is measured from the equity at its release."""
    if day is None or released.breaker != "daily_loss" or released.equity_home is None:
        return day
    return replace(day, equity_home=released.equity_home)


def followed(conn: sqlite3.Connection, run_id: int) -> Projector:
    """Follow the books that a run belongs to up to its end, and return what is open then."""
    runs = [each for (each,) in conn.execute(_BOOKS, {"run_id": run_id})]
    projector = Projector(min(runs))
    for seq, each, event in _facts(conn, runs):
        if each != projector.run_id:
            projector = Projector(each, projector)
        projector.follow(seq, event)
        projector.clear()
    return projector


def _facts(conn: sqlite3.Connection, runs: list[int]) -> Iterator[tuple[int, int, Event]]:
    for seq, run_id, kind, payload in conn.execute(_FACTS, (json.dumps(runs),)):
        yield seq, run_id, read_event(seq, kind, payload)


def _decided(conn: sqlite3.Connection, account: str) -> Mapping[tuple[str, str], int]:
    newest: dict[tuple[str, str], int] = {}
    for run_id, instruments, granularity in conn.execute(_JUDGED, (account,)).fetchall():
        for instrument, bar_ts_ns in _newest_bars(conn, run_id, set(instruments.split(","))):
            key = (instrument, granularity)
            newest[key] = max(bar_ts_ns, newest.get(key, 0))
    return newest


def _newest_bars(conn: sqlite3.Connection, run_id: int, wanted: set[str]) -> Iterator[tuple[str, int]]:
    """Look back from a run's end until each instrument was seen: its bars come in order, the newest one last."""
    for seq, kind, payload in conn.execute(_DECISIONS, (run_id,)):
        event = read_event(seq, kind, payload)
        if isinstance(event, DecisionMade) and event.decision.instrument in wanted:
            wanted.remove(event.decision.instrument)
            yield event.decision.instrument, event.decision.bar_ts_ns
            if not wanted:
                return
