"""I am the run: one seed from its first step to its digest, or a range of seeds on several processes.
I may import the other parts of this folder and the store's rebuild.
I must not judge; checkers do.
My tests are in tests/simulation/test_gate.py.
"""

import hashlib
import logging
import multiprocessing
import shutil
import sqlite3
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlite_utils import Database

from engine.domain.decision import Action, Gate
from engine.domain.error import KeelError
from engine.domain.event import DecisionMade, SessionState
from engine.domain.order import OrderStatus
from engine.store.codec import decode, encode
from engine.store.rebuild import rebuild
from engine.store.schema import COLUMNS
from tests.simulation import saboteurs
from tests.simulation.checker import Checker, bar_of
from tests.simulation.faults import Faults
from tests.simulation.judging import Violation, demand
from tests.simulation.market import STEP_S
from tests.simulation.world import World

STEPS = 300
AWAKE_STEPS = 6
SETTLED_STEPS = 15
CLOCK_STEPS = 9
TRADING_STEPS = 12
# What may stand in the way of a signal when nothing is wrong: limits, and trades that are not ours.
FAIR_GATES = frozenset(
    ("size", "spread", "stop_loss", "price_bound", "risk_per_trade", "position_units", "exposure", "positions")
    + ("order_interval", "foreign_trade", "exposure_net", "margin", "currency_leg", "position_value", "edge")
    + ("trading_window", "weekend", "rollover", "news", "cool_down", "order_rate", "repeated_entries")
    + ("spread_ratio", "volatility", "price_collar")
)
# A size is cut to these, so that they stand in the way of the second half of a reversal alone.
SIZED = frozenset(("price_bound", "risk_per_trade", "position_units", "position_value"))
_RAM = Path("/dev/shm")
# What no code of ours raises on purpose: the session's boundary would end the run, here it is a broken promise.
_UNEXPECTED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    sqlite3.Error, msgspec.MsgspecError, KeelError,
)  # fmt: skip


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed came to; violation is empty when every promise was kept."""

    seed: int
    steps: int
    hits: dict[str, int]
    fired: dict[str, int]
    crashes: int
    fills: int
    decisions: int
    violation: str
    digest: str
    injected: tuple[str, ...]
    trace: tuple[str, ...]


def run_seed(
    seed: int, *, steps: int = STEPS, kept: Collection[str] | None = None, saboteur: str | None = None
) -> Outcome:
    """Live one seed through: `steps` of trouble, then the time in which everything has to come right."""
    with _folder() as folder, _silence(), saboteurs.planted(saboteur):
        faults = Faults(seed, kept)
        world = World(seed, faults, folder)
        violation = ""
        try:
            _live(world, steps)
            _check_tables(folder)
            _check_told(folder, world)
        except Violation as broken:
            violation = f"step {world.steps}: {broken}"
        except _UNEXPECTED:
            violation = f"step {world.steps}: unexpected error\n{traceback.format_exc()}"
        finally:
            world.close()
        return _outcome(seed, world, violation)


def run_seeds(
    seeds: Sequence[int], *, jobs: int = 1, steps: int = STEPS, saboteur: str | None = None
) -> Iterator[Outcome]:
    """Run every seed, `jobs` at a time; outcomes come in the order of the seeds."""
    work = [(seed, steps, saboteur) for seed in seeds]
    if jobs <= 1:
        yield from map(_one, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_one, work, chunksize=1)


def _one(work: tuple[int, int, str | None]) -> Outcome:
    seed, steps, saboteur = work
    return run_seed(seed, steps=steps, saboteur=saboteur)


@contextmanager
def _silence() -> Iterator[None]:
    """Let nobody write logs: a simulated year of warnings helps no one, and checkers read the journal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory, when the machine has one."""
    path = Path(tempfile.mkdtemp(prefix="keel-simulation-", dir=_RAM if _RAM.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _live(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()
    world.heal()
    world.tell("every fault is off")
    for _ in range(AWAKE_STEPS):
        world.step()
    if "Another Keel" in world.refused:
        return  # a person has to look at it and to begin new books
    awake = world.snapshot.session_state is SessionState.RUNNING
    demand(awake or bool(world.snapshot.reason or world.refused), "I27", "neither RUNNING nor a reason after 30 s")
    clock = sum(world.faults.hits[kind] for kind in ("clock_ahead", "clock_behind", "clock_late"))
    for _ in range(SETTLED_STEPS + (CLOCK_STEPS if clock else 0) - AWAKE_STEPS):
        world.step()
    shown = world.snapshot
    demand(shown.session_state is SessionState.RUNNING, "I27", f"still {shown.session_state}: {shown.reason}")
    demand(not shown.unresolved_orders, "I27", f"orders {shown.unresolved_orders} have not settled")
    healthy_from, healthy_from_ns = world.checker.seq, world.market.now_ns
    for _ in range(TRADING_STEPS):
        world.step()
    _check_healthy(world, healthy_from, healthy_from_ns)


def _check_healthy(world: World, from_seq: int, from_ns: int) -> None:
    """When nothing is wrong, a signal becomes a fill unless a limit forbids it; and both sides are equal."""
    check = world.checker
    length_ns = world.market.granularity.ns
    closed = {
        (name, bar.open_ts_ns)
        for name in world.config.instruments
        for bar in world.market.bars[name][-TRADING_STEPS:]
        if bar.open_ts_ns + length_ns > from_ns
    }
    demand(closed <= check.decided, "one decision per bar", f"bars {closed - check.decided} were never decided on")
    demand(world.snapshot.session_state is SessionState.RUNNING, "I27", f"{world.snapshot.reason}")
    demand(check.known == check.venue.last_id, "I13", f"{check.known} of {check.venue.last_id} are recorded")
    check.balance_identity()
    for _, kind, payload in check.events[from_seq:]:
        event = decode(kind, payload)
        if not isinstance(event, DecisionMade):
            continue
        decision = event.decision
        strange = {gate.name for gate in decision.blocking if not _is_fair(gate) or gate.name in SIZED}
        demand(not strange, "I27", f"{decision.reason} on {decision.instrument}, and nothing is wrong")
        if decision.action in (Action.ENTER, Action.REVERSE, Action.EXIT):
            _check_ended(check, decision.client_order_id or "")


def _check_ended(check: Checker, order_id: str) -> None:
    """The order of a decision was carried out; the entry of a reversal may be denied for what the close has cost."""
    status, why = check.status.get(order_id), check.denied.get(order_id, "")
    fair = bar_of(order_id) in check.reversals and all(_is_fair_text(each) for each in why.split("; "))
    ended = status in (OrderStatus.FILLED, OrderStatus.CANCELED) or (status is OrderStatus.DENIED and fair)
    demand(ended, "I27", f"{order_id} is {status} ({why}), and nothing is wrong")


def _is_fair_text(told: str) -> bool:
    name, _, value = told.partition(": ")
    return _is_fair(Gate(name=name, value=value, limit="", passed=False))


def _is_fair(gate: Gate) -> bool:
    """A loss may trip a breaker at any time; a person then has to look."""
    lost = any(f"breaker {name}" in gate.value for name in ("daily_loss", "drawdown", "loss_streak"))
    return gate.name in FAIR_GATES or (gate.name == "trading_state" and lost)


def _check_chain(conn: sqlite3.Connection) -> None:
    """Each commit ends with a hash over its events and the hash before it, so that nothing can be changed unseen."""
    before, lines = bytes(32), ""
    query = "SELECT seq, run_id, ts_ns, kind, payload, chain FROM events ORDER BY seq"
    for *event, chain in conn.execute(query):
        lines += " ".join(map(str, event)) + "\n"
        if chain is not None:
            before, lines = hashlib.sha256(before + lines.encode()).digest(), ""
            demand(
                chain == before, "the chain", f"the commit that ends with event {event[0]} is not linked to the last"
            )
    demand(not lines, "the chain", "the newest events are in no link")


def _check_tables(folder: Path) -> None:
    """Every table made again from the events is as it stands, and the events are linked."""
    source = folder / "data.sqlite"
    with closing(sqlite3.connect(source)) as conn:
        _check_chain(conn)
        before = _tables(conn)
        with closing(sqlite3.connect(folder / "again.sqlite")) as copy:
            conn.backup(copy)
            rebuild(Database(copy, execute_plugins=False))
            after = _tables(copy)
    for table, rows in before.items():
        demand(rows == after[table], "I18", f"table {table} differs from what its events make")


def _check_told(folder: Path, world: World) -> None:
    """What pages read of requests, breakers, positions and trades is what was, by the broker's book where it is his."""
    check, lots = world.checker, world.venue.book.trades
    with closing(sqlite3.connect(folder / "data.sqlite")) as conn:
        verdicts = {
            each: bool(accepted) for each, accepted in conn.execute("SELECT command_id, accepted FROM commands")
        }
        demand(verdicts == check.verdicts, "I21", f"requests are told of as {verdicts}, they were {check.verdicts}")
        latched = {each for (each,) in conn.execute("SELECT breaker FROM breakers WHERE released_ns IS NULL")}
        demand(latched == check.tripped, "I6", f"breakers are told of as tripped: {latched}, it is {check.tripped}")
        query = "SELECT instrument, units FROM positions WHERE run_id = ?"
        units = {each: Decimal(many) for each, many in conn.execute(query, (check.run_id,)) if Decimal(many)}
        true = {each: many for each in check.books.held() if (many := check.books.units(each))}
        demand(units == true, "I13", f"positions are told of as {units}, they are {true}")
        if check.known != world.venue.last_id:
            return
        for trade_id, *told in conn.execute(
            "SELECT trade_id, units_open, realized_pl_home, financing_home FROM trades"
        ):
            lot = lots[trade_id]
            owed = [abs(lot.units), lot.realized_pl_home, lot.financing_home]
            fits = [Decimal(each) for each in told] == owed
            demand(fits, "I13", f"trade {trade_id} is told of as {told}, it is {owed}")


def _tables(conn: sqlite3.Connection) -> dict[str, list[Any]]:
    rows = {table: conn.execute(f"SELECT * FROM {table}").fetchall() for table in (*COLUMNS, "runs")}
    return {table: sorted(found, key=repr) for table, found in rows.items()}


def _outcome(seed: int, world: World, violation: str) -> Outcome:
    hits = Counter(world.faults.hits)
    hits["crash"] = sum(world.points.fired.values())
    return Outcome(
        seed=seed,
        steps=world.steps,
        hits=dict(sorted((kind, count) for kind, count in hits.items() if count)),
        fired=dict(sorted(world.points.fired.items())),
        crashes=world.crashes,
        fills=sum(type(each).__name__ == "Fill" for each in world.venue.log),
        decisions=len(world.checker.decided),
        violation=violation,
        digest=_digest(world),
        injected=tuple(world.faults.injected),
        trace=tuple(world.trace),
    )


def _digest(world: World) -> str:
    """A hash of everything that was recorded and of everything that the broker did."""
    hashed = hashlib.sha256()
    for run_id, kind, payload in world.checker.events:
        hashed.update(f"{run_id} {kind} {payload}\n".encode())
    for transaction in world.venue.log:
        hashed.update(encode(transaction) + b"\n")
    return hashed.hexdigest()


def seconds_of(steps: int) -> int:
    """Simulated seconds in so many steps."""
    return steps * STEP_S
