"""I am a simulated world: time, market, broker, disk and person, and in it the real session, started as ever.
I may import the engine and the other parts of this folder.
I must not sleep, read a clock, or draw a lot that does not hang on the seed.
My tests are in tests/simulation/test_gate.py.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine import wiring
from engine.adapters.day_lock import FileDayLocks
from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.command import Command, Mode, SessionConfig
from engine.domain.error import Bug, ConfigError, HaltTrading, KeelError
from engine.domain.event import SessionState
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote
from engine.session import TradingSession
from engine.snapshot import Snapshot
from tests.simulation.checker import Checker
from tests.simulation.faults import (
    POINTS_RUNNING,
    POINTS_SELDOM,
    POINTS_STARTING,
    Crash,
    CrashPoints,
    Faults,
)
from tests.simulation.feed import Feed
from tests.simulation.judging import demand, fail
from tests.simulation.line import Line
from tests.simulation.machine import Clock, Latch
from tests.simulation.market import STEP_NS, TRADED, Market
from tests.simulation.model import StubPredictor
from tests.simulation.neglect import Neglect
from tests.simulation.person import Person, drawn_limits, drawn_news
from tests.simulation.sending import Wire
from tests.simulation.snapshots import Pictures
from tests.simulation.storage import Disk, MortalStore, open_store
from tests.simulation.venue import BALANCE, Venue

# Tuesday 2025-01-07 16:50 New York: ten minutes before a rollover; a quiet morning; Friday 2025-01-10 16:05.
BEFORE_ROLLOVER_NS = 1_736_286_600 * NS_PER_S
MORNING_NS = 1_736_240_400 * NS_PER_S
BEFORE_WEEKEND_NS = 1_736_543_100 * NS_PER_S
STILL_S_MAX = 60
TOLD_MAX = 300
POINTS_IN_DOUBT = ("clock.now.before", "market.poll.after", "journal.commit.after")
_CLOCKS = {"clock_ahead": (1, 40), "clock_behind": (-1, 20)}
_AT_POSITIONS: dict[str, Callable[[Venue, random.Random], None]] = {
    "manual_close": Venue.manual_close,
    "stop_cancelled": Venue.cancel_stop,
    "margin_closeout": lambda venue, lots: venue.close_out(),
}


@dataclass(slots=True, kw_only=True)
class Process:
    """One process of the engine: what a crash takes away."""

    store: MortalStore
    latch: Latch
    pictures: Pictures
    snapshot: Snapshot
    line: Line | None = None
    feed: Feed | None = None
    session: TradingSession | None = None


class World:
    """One seed. step() is five seconds; heal() ends every fault."""

    def __init__(self, seed: int, faults: Faults, folder: Path) -> None:
        self.faults = faults
        self.points = CrashPoints()
        self.trace: list[str] = []
        self._lots = random.Random(f"{seed}/world")
        quiet_ns = self._lots.choice((MORNING_NS, MORNING_NS, BEFORE_WEEKEND_NS))
        start_ns = BEFORE_ROLLOVER_NS if faults.hit("financing") else quiet_ns
        granularity = Granularity(self._lots.choice(("S5", "S5", "S10", "S30", "M1")))
        self.market = Market(seed, granularity, start_ns)
        self.venue = Venue(start_ns)
        self.clock = Clock(start_ns, self.points)
        self.disk = Disk(faults, self.points)
        self.checker = Checker(self.venue)
        self.checker.true_ns = lambda: self.clock.true_ns
        self.checker.has_kill_file = self._has_kill_file
        self.checker.newest_bar_ns = self._newest_bar_ns
        self.checker.signal = lambda name, bar_ts_ns: self.model.signal(name, bar_ts_ns + granularity.ns)
        self.model = StubPredictor(seed, faults, self.points, self._bars)
        self.person = Person(seed, faults, start_ns)
        self.config = SessionConfig(
            mode=Mode.PRACTICE,
            instruments=TRADED[: self._lots.choice((2, 3, 3))],
            granularity=granularity,
            model_id="stub",
            capital_home=BALANCE,
            seed=seed,
            speed=1.0,
            limits=drawn_limits(self._lots, start_ns),
            news=drawn_news(self._lots, start_ns),
        )
        self.wire = Wire(self.checker, self.clock.read, self._quotes, self._has_kill_file, self._trouble, self._bars)
        self.neglect = Neglect(self.checker)
        self.process: Process | None = None
        self.crashes = 0
        self.steps = 0
        self.refused = ""
        self._is_modest = False
        self._path = folder / "data.sqlite"
        self._halt_path = folder / "HALT"
        self._kill_file_until_ns = 0
        self._clock_right_ns = 0
        self._down_until_ns = 0
        self._asleep_until_ns = 0
        self._stepped_ns = 0
        self._unnoticed = -1
        self._seldom_armed = False
        self._broken: KeelError | None = None
        for _ in range(self._lots.randint(1, 3)):
            self.venue.live(self.market.frame())
        if faults.hit("trade_before"):
            self.venue.manual_trade(faults.how("trade_before"))
        self.clock.true_ns = self.market.now_ns

    def step(self) -> None:
        """Let five seconds pass, for the market, the broker, the person and the engine."""
        self.steps += 1
        faults, events = len(self.faults.injected), len(self.checker.events)
        self.venue.live(self.market.frame())
        self.clock.true_ns = self.market.now_ns
        self.disk.begin_step()
        self._deeds()
        self._mishaps()
        self._arm()
        try:
            self._turn()
        except Crash as crash:
            self._die(str(crash))
        self.checker.pull()
        self._tell_step(faults, events)
        self.checker.after_step()
        self._look_for_neglect()

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.faults.off = True
        self.points.disarm()
        self.venue.heal()
        self.disk.steps_full = 0
        self.clock.off_ns = 0
        self._down_until_ns = self._asleep_until_ns = 0
        self._halt_path.unlink(missing_ok=True)
        if self.process is not None and self.process.feed is not None:
            self.process.feed.heal()

    @property
    def session(self) -> TradingSession | None:
        """The running session, if any."""
        return self.process.session if self.process else None

    @property
    def asleep(self) -> bool:
        """Say whether the machine sleeps: no step is taken, and the process that there is stays as it is."""
        return self.market.now_ns < self._asleep_until_ns

    @property
    def snapshot(self) -> Snapshot:
        """What the newest page shows."""
        return self.process.snapshot if self.process else Snapshot()

    def close(self) -> None:
        """Let go of every file."""
        self.checker.close()
        if self.process is not None:
            self.process.store.close()
            self.process = None

    def tell(self, text: str) -> None:
        """Add a line to the trace of this seed."""
        self.trace.append(f"{self.steps:4} {text}")

    def _tell_step(self, faults: int, events: int) -> None:
        """Add to the trace what was injected in this step, and what was recorded but for what happens in every step."""
        injected = self.faults.injected[faults:]
        if injected:
            self.tell("faults " + " ".join(injected))
        for run_id, kind, payload in self.checker.events[events:]:
            if kind != "DecisionMade":
                self.tell(f"run {run_id} {kind} {payload[:TOLD_MAX]}")

    def _turn(self) -> None:
        process = self.process
        if self.asleep:
            return
        if process is None:
            if self.market.now_ns < self._down_until_ns:
                return
            process = self._boot()
        if process is None:
            return
        if process.session is None:
            self._start(process)
        session = process.session
        if session is None or process.line is None or process.feed is None:
            return
        process.line.begin_step()
        process.feed.begin_step()
        commands = self._ask(process)
        process.line.is_asked = bool(commands)
        self.checker.quotes = process.feed.seen
        self._advance(process, session, commands)
        self._publish(process, session, commands)

    def _boot(self) -> Process | None:
        try:
            store = open_store(self._path, self.disk, self.clock.wall_ns)
        except ConfigError as error:
            self._explain(str(error))
            return None
        latch = Latch(self._halt_path)
        latch.points = self.points
        self.checker.open(self._path)
        self.process = Process(store=store, latch=latch, pictures=Pictures(self.checker), snapshot=Snapshot())
        return self.process

    def _start(self, process: Process) -> None:
        """Start a session on the wiring's own path; what refuses it has to be a fault of ours."""
        self.refused = ""
        if self._halt_path.exists():
            self.refused = "the file HALT exists"
            return
        if self.faults.hit("crash_at_start"):
            self.points.arm(self.faults.how("crash_at_start").choice(POINTS_STARTING))
        process.latch.release()
        process.line = Line(self.venue, self.faults, self.points, self.wire)
        process.feed = Feed(self.market, self.venue, self.faults, self.points, self.clock.read)
        process.feed.in_doubt = {each.instrument for each in self.checker.unsettled().values()}
        line = process.line
        self.checker.quotes, self.checker.was_read_afresh = process.feed.seen, lambda: line.read_afresh
        self.checker.was_compared = lambda: line.held_ns > 0
        self._set_clock_late()
        config = self._wanted_config()
        rules, now_ns = self.checker.rules, self.clock.read()
        is_forbidden = rules.forbids(config.limits, now_ns)
        is_forbidden |= bool(rules.lacking(self.checker.news, config.news, now_ns))
        asks_for_more = rules.asks_for_more(config.limits)
        prepared = wiring.Prepared(
            config=config,
            clock=self.clock,
            market_data=process.feed,
            broker=process.line,
            predictor=self.model,
            instruments={name: CATALOGUE[name] for name in process.line.instruments()},
        )
        process.line.begin_step()
        try:
            # new books are tried where they would be a way round what a bad day forbids
            store: Any = process.store
            locks = FileDayLocks(self._path.parent, self._path)
            process.session = wiring.begin(prepared, store, process.latch, locks, new_books=is_forbidden)
        except KeelError as error:
            self.refused = str(error)
            self._is_modest = is_forbidden or asks_for_more
            is_late = asks_for_more and "was reached while no session ran" in str(error)
            if is_late or (is_forbidden and "less strict" in str(error)):
                self.tell(f"refused: {error}")
                return
            self._explain(str(error))
            return
        self._is_modest = False
        self._stepped_ns = self.clock.read()
        process.session.continue_from(process.snapshot.revision)
        process.pictures.begin_run()
        self.tell(f"started run {process.session.desk.run_id}")

    def _wanted_config(self) -> SessionConfig:
        """What the person starts with: after a refusal, and when nothing is wrong, the limits that were in force."""
        if not self.checker.began:
            return self.config
        in_force = self.checker.limits
        is_plain = self._is_modest or self.faults.off
        limits = in_force if is_plain else self.person.restart(in_force)
        # the calendar is the file that was uploaded last, or there is none in its place
        left_out = not is_plain and self.faults.hit("news_left_out")
        return replace(self.config, limits=limits, news=() if left_out else self.checker.news)

    def _set_clock_late(self) -> None:
        """A machine that has just come up may have a wrong clock until a time server answers."""
        if self.faults.hit("clock_late"):
            how = self.faults.how("clock_late")
            sign, most_s = how.choice(tuple(_CLOCKS.values()))
            self.clock.off_ns = sign * how.randint(1, most_s) * NS_PER_S
            self._clock_right_ns = self.market.now_ns + 6 * STEP_NS
        self.clock.begin()

    def _ask(self, process: Process) -> Sequence[Command]:
        seen = process.snapshot
        commands = list(self.person.repairs(seen) if self.faults.off else self.person.commands(seen))
        self.note_asked(commands, process)
        return commands

    def note_asked(self, commands: Sequence[Command], process: Process) -> None:
        """What the node does when a command is submitted."""
        for command in commands:
            self.checker.asked[command.command_id] = command
            name = type(command).__name__
            if name in ("HaltTrading", "FlattenAll"):
                process.latch.set("halt by the operator")
            elif name == "ResumeTrading":
                process.latch.ask_release()
            self.tell(f"asked {name} {command.command_id}")

    def _advance(self, process: Process, session: TradingSession, commands: Sequence[Command]) -> None:
        """A step as the node takes it: an error ends the run, never the process."""
        gap_ns, self._stepped_ns = self.clock.read() - self._stepped_ns, self.clock.read()
        self._unnoticed = -1
        before = self.checker.interruptions  # the step itself may put it on record, with an order
        try:
            session.step(commands)
            if gap_ns > STILL_S_MAX * NS_PER_S:
                self._unnoticed = before
            if not session.finished and session.next_due_ns() is None:
                session.stop(session.end_reason)
        except KeelError as error:
            self._broken = error
            try:
                session.fault("session", str(error))
            except HaltTrading as broken:
                session.abandon(str(broken))

    def _publish(self, process: Process, session: TradingSession, commands: Sequence[Command]) -> None:
        stored = True
        process.latch.engaged()
        try:
            session.commit()
        except HaltTrading as error:
            stored = False
            self._explain(str(error), error)
            session.abandon(str(error))
        self.checker.pull()
        if self._broken is not None:
            self._explain(f"{type(self._broken).__name__}: {self._broken}", self._broken)
            self._broken = None
        process.snapshot = session.snapshot(process.snapshot.revision + 1, self.clock.true_ns)
        if stored:
            noticed = self.checker.interruptions != self._unnoticed
            demand(noticed, "sleep", "the process stood still, and went on as if nothing had been")
            self._check_answered(commands, session)
            process.pictures.check_pages(commands)
            self._check_lies(process)
            self._check_locked()
            demand(not self.checker.owed_end or session.finished, "one Keel", f"{self.checker.owed_end} is not ours")
            self.checker.owed_end = ""
            if process.feed is not None:
                process.pictures.look(process.snapshot, process.feed.seen)
        if session.finished:
            self.tell(f"ended: {process.snapshot.reason}")
            if process.snapshot.session_state is SessionState.FAULTED:
                self._explain(process.snapshot.reason)
            process.session = None

    def _check_answered(self, commands: Sequence[Command], session: TradingSession) -> None:
        if session.fault_reason:
            return
        missing = [each.command_id for each in commands if each.command_id not in self.checker.verdicts]
        demand(not missing, "I28", f"commands {missing} were not answered in their step")

    def _check_lies(self, process: Process) -> None:
        """Holdings that differ from the books stop entries, or the session, in the same step."""
        line, session = process.line, process.session
        if line is not None and session is not None and line.lie_id == self.checker.known:
            # A flatten asks for waiting orders alone; it has halted the session already.
            stopped = session.finished or self.checker.halted
            stopped = stopped or "reconciliation" in self.checker.tripped | self.checker.released
            demand(stopped, "I13", "the broker's holdings differ from the books and nothing stopped")

    def _check_locked(self) -> None:
        """While a session runs the data folder knows of a lost day too: another database would be a way round it."""
        until_ns = self.checker.rules.until_ns
        if self.clock.read() < until_ns:
            locks = [json.loads(path.read_bytes()) for path in self._path.parent.glob("day-lock-*.json")]
            known = [lock["until_ns"] for lock in locks]
            demand(known == [until_ns], "bad day", f"locked until {until_ns}, in the data folder until {known}")

    def _explain(self, text: str, error: KeelError | None = None) -> None:
        """An error that ends a run must be the doing of a fault; a broken rule of our own is nobody's."""
        self.tell(f"error: {text}")
        line = self.process.line if self.process else None
        hurt = (
            self.disk.failed
            or "Another Keel" in text
            or (line is not None and bool(line.lie_id or line.hurt or line.trouble))
        )
        warm = "Warm-up" in text and bool(self.faults.hits["history_short"] + self.faults.hits["history_unreadable"])
        if isinstance(error, Bug) or not (hurt or warm):
            fail("no error without a fault", text)

    def _die(self, where: str) -> None:
        """The process is gone: what it had not committed is rolled back, and the person starts it again."""
        self.tell(f"crash at {where}")
        self.crashes += 1
        self.checker.owed_end = ""
        self._broken = None
        self.checker.pull()
        process = self.process
        if process is not None:
            process.store.close()
        self.process = None
        self._down_until_ns = self.market.now_ns + self._lots.choice((0, 0, 0, 1, 3, 15)) * STEP_NS

    def _arm(self) -> None:
        if not self._seldom_armed and self.faults.hit("crash_rare"):
            self._seldom_armed = True
            self.points.arm(self.faults.how("crash_rare").choice(POINTS_SELDOM))
        if self.faults.hit("crash"):
            how = self.faults.how("crash")
            self.points.arm(how.choice(POINTS_RUNNING), how.randint(1, 4))
        if self.checker.unsettled() and self.faults.hit("crash_in_doubt"):
            self.points.arm(self.faults.how("crash_in_doubt").choice(POINTS_IN_DOUBT))

    def _deeds(self) -> None:
        """What happens at the broker without the engine."""
        hit, how, venue = self.faults.hit, self.faults.how, self.venue
        if hit("manual_trade"):
            venue.manual_trade(how("manual_trade"))
        if venue.book.positions:
            for kind, deed in _AT_POSITIONS.items():
                if venue.book.positions and hit(kind):
                    deed(venue, how(kind))
        if self.session is not None and hit("another_keel"):
            venue.another_keel(how("another_keel"), tuple(self.checker.books.filled))
        if hit("funds_moved"):
            venue.move_funds(how("funds_moved"))

    def _mishaps(self) -> None:
        """What happens on the machine without the engine."""
        hit, how, now_ns = self.faults.hit, self.faults.how, self.market.now_ns
        for kind, (sign, most_s) in _CLOCKS.items():
            if hit(kind):
                self.clock.off_ns = sign * how(kind).randint(1, most_s) * NS_PER_S
                self._clock_right_ns = now_ns + 6 * STEP_NS
        if now_ns >= self._clock_right_ns:
            self.clock.off_ns = 0
        for kind in ("asleep", "asleep_in_doubt"):
            if (kind == "asleep" or self.checker.unsettled()) and hit(kind):
                self._asleep_until_ns = now_ns + how(kind).randint(8, 40) * STEP_NS
        if hit("kill_file"):
            self._halt_path.touch()
            self._kill_file_until_ns = now_ns + how("kill_file").choice((2, 5, 30)) * STEP_NS
        elif self._kill_file_until_ns and now_ns >= self._kill_file_until_ns:
            self._halt_path.unlink(missing_ok=True)
            self._kill_file_until_ns = 0

    def _look_for_neglect(self) -> None:
        """Tell whether all was well in this step, for what is left undone then."""
        process = self.process
        session = process.session if process else None
        line, feed = (process.line, process.feed) if process else (None, None)
        alive = session is not None and line is not None and feed is not None
        alive = alive and not (self.asleep or self.disk.failed)
        able = alive and not (line.hurt or line.trouble or feed.blind or self.clock.is_wrong)  # type: ignore[union-attr]
        well = able and not feed.hurt  # type: ignore[union-attr]
        self.checker.latched_by_file |= self._has_kill_file()
        stopped = self.checker.halted or self.checker.latched_by_file
        uncompared_ns = self.market.now_ns - line.held_ns if line else 0
        self.neglect.look(alive=alive, able=able, well=well, stopped=stopped, uncompared_ns=uncompared_ns)

    def _quotes(self) -> dict[str, Quote]:
        return self.process.feed.seen if self.process and self.process.feed else {}

    def _bars(self, name: str) -> Sequence[Bar]:
        return self.market.bars[name]

    def _newest_bar_ns(self, name: str) -> int:
        """Where the newest bar begins on which an entry may still be made: none that ended before a sleep did."""
        told_ns = self.process.feed.newest_ns.get(name, 0) if self.process and self.process.feed else 0
        return max(told_ns, self.checker.woken_ns + 1 - self.market.granularity.ns)

    def _has_kill_file(self) -> bool:
        return self._halt_path.exists()

    def _trouble(self) -> str:
        process = self.process
        if process is None or process.line is None or process.feed is None:
            return "nothing is there"
        if process.line.trouble:
            return "the log cannot be read"
        if process.line.unseen:
            return "what the broker holds cannot be read"
        return "the market cannot be read" if process.feed.trouble else ""
