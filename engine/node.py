"""I am the node: the one thread "trading-session", its command queue, its halt latch and its published snapshot.
I may import wiring, config and everything below.
I must not decide anything, nor exist twice in a process or on one database.
My tests are in tests/unit/test_node.py and tests/ui/test_one_engine.py.
"""

import gc
import json
import logging
import os
import queue
import secrets
import sys
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec.structs import replace

from engine import wiring
from engine.config import Settings, configure_logging, load_settings
from engine.domain.check import Check, ChecksFailed
from engine.domain.command import Arming, Command, Mode, SessionConfig, StopSession
from engine.domain.error import ConfigError, HaltTrading, KeelError
from engine.domain.event import SessionState
from engine.domain.market import NS_PER_S
from engine.ports import Clock
from engine.session import TradingSession
from engine.snapshot import Snapshot, Verdict
from engine.store.backup import back_up_daily
from engine.unlock import UnlockCode

log = logging.getLogger("engine.node")
THREAD_NAME = "trading-session"
QUEUE_MAX = 64
PUBLISH_S = 0.25
VERDICTS_SHOWN = 60
IDS_KEPT = 1_000
IDLE_S = 1.0
LAST_ALERTS_S = 2.0
DAY_NS = 86_400 * NS_PER_S
_HALTING = ("HaltTrading", "FlattenAll")
_RESUMING = ("ResumeTrading", "StartSession")
_Queued = tuple[Command, wiring.Prepared | None]

# An edited source file makes Streamlit import our modules again; this anchor, and the thread registry, outlive that.
_ANCHOR = sys.modules.setdefault("_keel_anchor", types.ModuleType("_keel_anchor"))
_ATTACH_LOCK: threading.Lock = _ANCHOR.__dict__.setdefault("attach_lock", threading.Lock())


class HaltLatch:
    """The kill switch: a flag that any thread may set, and the file data/HALT behind it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reason = ""
        self._by_file = False
        self._times_set = 0
        self._times_seen = 0
        self._lock = threading.Lock()

    def set(self, reason: str) -> None:
        """Stop every further send."""
        with self._lock:
            self._times_set += 1
            self._reason, self._by_file = reason, False

    def ask_release(self) -> None:
        """Note that a person asks to resume now: a halt that comes after this is not released by it."""
        self._times_seen = self._times_set

    def engaged(self) -> str | None:
        """Return why nothing may be sent, or None."""
        if not self._reason or self._by_file:
            self._look(os.path.exists(self._path))
        return self._reason or None

    def _look(self, is_there: bool) -> None:
        """Latch on the file; once it is gone the latch stays, but its words must not claim that the file is there."""
        with self._lock:
            if self._reason and not self._by_file:  # somebody has set it meanwhile
                return
            found = f"the file {self._path.name} was found in the data folder"
            if is_there:
                self._times_set += not self._by_file
                self._reason, self._by_file = found, True
            elif self._by_file:
                self._reason = f"{found} (since removed); resume to trade"

    @property
    def noted(self) -> str:
        """What was found when last looked; the file is looked for before every send and every publication."""
        return self._reason

    def release(self) -> str | None:
        """Clear the flag, unless it was set again since the release was asked for; the file is removed by hand."""
        with self._lock:
            if self._times_seen == self._times_set:
                self._reason, self._by_file = "", False
        return self.engaged()


class DatabaseLock:
    """Cross-process ownership of one database; the owner's pid stands beside the lock."""

    def __init__(self, database: Path) -> None:
        self._lock = FileLock(f"{database}.lock", timeout=0, thread_local=False)
        self._owner = Path(f"{database}.owner")

    def acquire(self) -> None:
        """Take ownership; raises ConfigError that names the owner's pid, or why the folder cannot be written."""
        folder = self._owner.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._owner.write_text(json.dumps({"pid": os.getpid()}))
        except Timeout as error:
            raise ConfigError(
                f"The data folder {folder} is in use by process {self._owner_pid()}; stop it first."
            ) from error
        except OSError as error:
            self._lock.release()
            raise ConfigError(f"The data folder {folder} cannot be written: {error.strerror or error}.") from error

    def release(self) -> None:
        """Give ownership up."""
        if self._lock.is_locked:
            self._owner.unlink(missing_ok=True)
            self._lock.release()

    def _owner_pid(self) -> str:
        try:
            return str(json.loads(self._owner.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return "unknown"


class TradingNode:
    """Owns the session thread; pages and commands reach the engine through me only."""

    def __init__(self, settings: Settings, database: Path | None = None) -> None:
        self.settings = settings
        self.database_path = database or settings.database_path
        self.latch = HaltLatch(settings.halt_path)
        self.changed_options: tuple[str, ...] | None = None
        self._messenger = wiring.messenger(settings)
        self.unlock_code = UnlockCode(secrets.choice, wiring.monotonic_s)
        self._commands: queue.Queue[_Queued] = queue.Queue(QUEUE_MAX)
        self._wake = threading.Event()
        self._closing = False
        self._snapshot = Snapshot()
        self._session: TradingSession | None = None
        self._store: wiring.JournalStore | None = None
        self._clock: Clock
        self._speed: float | None = None
        self._published_s = 0.0
        self._day = 0
        self._let_go: Callable[[], None] = _nothing
        self._idle_verdicts: deque[Verdict] = deque(maxlen=VERDICTS_SHOWN)
        self._resting = threading.Event()
        self._resting.set()
        self._gate = threading.RLock()
        self._submitted = 0
        self._follow_ups: dict[str, Callable[[], None]] = {}
        self._known_ids: OrderedDict[str, None] = OrderedDict()
        self._lock = DatabaseLock(self.database_path)
        self._lock.acquire()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.node = self  # type: ignore[attr-defined]  # the registry that survives module reloads
        _ANCHOR.__dict__["thread"] = self._thread  # a thread that died is in no registry, but pages must say so
        self._thread.start()

    @classmethod
    def attach(cls, settings: Settings | None = None) -> "TradingNode":
        """Find this process's node, or make it; raises ConfigError when it cannot own the data folder."""
        with _ATTACH_LOCK:
            found = cls.find()
            if found is not None:
                return found
            settings = settings or load_settings()
            configure_logging(settings.log_level, secrets=wiring.secrets(settings))
            return cls(settings)

    @classmethod
    def find(cls) -> "TradingNode | None":
        """Find this process's node by its thread's name, whichever copy of this module made it; dead ones too."""
        for thread in (*threading.enumerate(), *filter(None, [_ANCHOR.__dict__.get("thread")])):
            if thread.name == THREAD_NAME and hasattr(thread, "node"):
                node: TradingNode = thread.node
                return node
        return None

    @property
    def snapshot(self) -> Snapshot:
        """The newest published picture; one reference, read without a lock."""
        return self._snapshot

    @property
    def delivery(self) -> wiring.Delivery | None:
        """How telling the operator goes; None when there is no address to tell."""
        return self._messenger.state if self._messenger else None

    @property
    def alive(self) -> bool:
        """Say whether the session thread runs."""
        return self._thread.is_alive()

    def submit(
        self,
        command: Command,
        prepared: wiring.Prepared | None = None,
        *,
        once_accepted: Callable[[], None] | None = None,
    ) -> str | None:
        """Queue a command and return at once: None, or why it was not taken. Halting commands latch at once.

        `once_accepted` is done by the session thread when the command was accepted and is on the disk, before anybody
        can see the verdict; a refused command leaves it undone. So it depends on no page that may be gone by then.
        """
        if type(command).__name__ in _HALTING:
            self.halt(f"{'flatten' if type(command).__name__ == 'FlattenAll' else 'halt'} by the operator")
        elif type(command).__name__ in _RESUMING and command.command_id not in self._known_ids:
            self.latch.ask_release()
        if not self.alive:
            return "The engine is not running; restart the console."
        with self._gate:
            if once_accepted is not None and command.command_id not in self._known_ids:
                self._follow_ups[command.command_id] = once_accepted
            try:
                self._commands.put_nowait((command, prepared))
            except queue.Full:
                self._follow_ups.pop(command.command_id, None)
                return f"The engine has {QUEUE_MAX} commands waiting; try again in a moment."
            self._submitted += 1
            self._resting.clear()
        self._wake.set()
        return None

    def halt(self, reason: str = "halt by the operator") -> None:
        """Set the latch: after this returns at most the request already on the wire is sent."""
        self.latch.set(reason)
        self._wake.set()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Block until no command waits and no session is active (True), or until the time is up (False)."""
        return self._resting.wait(timeout_s)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the session and the thread and give the data folder up; False when the thread did not end in time."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)
        if self._messenger is not None:
            self._messenger.close(LAST_ALERTS_S)
        if self._thread.is_alive():
            return False
        self._lock.release()
        if _ANCHOR.__dict__.get("thread") is self._thread:
            del _ANCHOR.__dict__["thread"]
        return True

    def _run(self) -> None:
        try:
            while not self._closing:
                commands = self._drain()
                if self._session is not None:
                    self._turn(self._session, _dropping_starts(commands))
                else:
                    self._idle(commands)
            if self._session is not None:
                last = _dropping_starts(self._drain())
                self._turn(self._session, [*last, StopSession(command_id="shutdown")])
        except Exception as error:  # thread boundary: the console must be able to say that the engine is dead
            log.exception("the session thread died", extra={"subsystem": "node"})
            self._snapshot = replace(self._snapshot, session_state=SessionState.FAULTED, reason=f"engine: {error}")
        finally:
            self._resting.set()
            self._let_go()
            if self._store is not None:
                self._store.close()

    def _idle(self, commands: Sequence[_Queued]) -> None:
        """Answer commands while no session is active, then rest until the next one.

        What was queued behind a start belongs to the session that it made.
        """
        for number, (command, prepared) in enumerate(commands, 1):
            if type(command).__name__ != "StartSession":
                self._answer(command, False, "no session is active")
                continue
            error = self._attempt(partial(self._start, command, prepared))
            if isinstance(error, Exception):
                self._let_go()
                self._answer(command, False, _text(error), error.checks if isinstance(error, ChecksFailed) else ())
            elif self._session is not None:
                self._turn(self._session, _dropping_starts(commands[number:]))
                return
        with self._gate:
            before = self._submitted
            if self._commands.empty() and self._submitted == before:
                self._resting.set()
        if not self._closing:
            self._wake.wait(IDLE_S)

    def _start(self, command: Command, prepared: wiring.Prepared | None) -> None:
        if prepared is not None:
            self._let_go = prepared.close
        if os.path.exists(self.settings.halt_path):
            raise ConfigError(f"The file {self.settings.halt_path} exists; remove it to allow trading.")
        self.latch.release()
        ready = prepared or self._prepared(command)
        self._let_go = ready.close
        gc.collect()
        gc.freeze()  # the model's libraries and the bars stay out of later collections, which hold everybody up
        if self._store is not None and not self._store.intact:
            self._store.close()
            self._store = None
        self._store = self._store or wiring.open_store(self.database_path)
        self._back_up(ready.config)
        new_books: bool = command.new_books  # type: ignore[union-attr]
        locks = wiring.day_locks(self.settings, self.database_path)
        self._session = wiring.begin(
            ready, self._store, self.latch, locks, new_books=new_books, alerter=self._messenger
        )
        self._session.continue_from(self._snapshot.revision)
        self._clock = ready.clock
        self._speed = ready.config.speed
        self._published_s = -PUBLISH_S  # the first picture of the session comes with the verdict
        self._idle_verdicts.append(_verdict(command, True, f"run {self._session.desk.run_id} started"))

    def _prepared(self, command: Command) -> wiring.Prepared:
        config: SessionConfig = command.config  # type: ignore[union-attr]
        arming: Arming | None = command.arming  # type: ignore[union-attr]
        return wiring.prepare(config, self.settings, arming, self.database_path, self.changed_options)

    def _turn(self, session: TradingSession, commands: Sequence[Command]) -> None:
        due_ns = self._attempt(partial(self._advance, session, commands))
        if isinstance(due_ns, Exception):
            self._fault(session, due_ns)
            due_ns = None
        self._publish(session, commands, due_ns)
        if session.finished:
            self._session = None
            self._let_go()
            self._back_up(session.desk.config)
        elif due_ns is not None and not self._closing:
            if wiring.wall_ns() // DAY_NS != self._day:  # a session may run for weeks
                self._back_up(session.desk.config)
            self._clock.wait_until(due_ns, self._wake)

    def _advance(self, session: TradingSession, commands: Sequence[Command]) -> int | None:
        """Take a step and tell when the next is due, None when the session has ended.

        At full speed step follows step until a picture is due, a command waits or one was carried out.
        """
        while True:
            session.step(commands)
            if session.finished:
                return None
            due_ns = session.next_due_ns()
            if due_ns is None:
                session.stop(session.end_reason)
                return None
            if commands or self._speed is not None or self._wake.is_set():
                return due_ns
            if wiring.monotonic_s() - self._published_s >= PUBLISH_S:
                return due_ns
            self._clock.wait_until(due_ns, self._wake)

    def _back_up(self, config: SessionConfig) -> None:
        """Make today's backup if it is missing, between two steps; a replay can be run again, and does not wait."""
        self._day = wiring.wall_ns() // DAY_NS
        if config.mode is Mode.REPLAY or self._closing:
            return
        try:
            back_up_daily(self.database_path, wiring.wall_ns())
        except (ConfigError, OSError) as error:
            log.warning("no backup was made: %s", error, extra={"subsystem": "node"})

    def _attempt(self, work: Callable[[], int | None]) -> int | None | Exception:
        """Session boundary: an error ends the run (or refuses its start), never the console."""
        try:
            return work()
        except Exception as error:
            if not isinstance(error, KeelError):
                log.exception("unexpected error", extra={"subsystem": "node"})
            return error

    def _fault(self, session: TradingSession, error: Exception) -> None:
        text = _text(error)
        try:
            session.fault("session", text)
        except HaltTrading as broken:
            session.abandon(f"{text} (and the journal cannot be written: {broken})")

    def _publish(self, session: TradingSession, commands: Sequence[Command], due_ns: int | None) -> None:
        now_s = wiring.monotonic_s()
        calm = due_ns is not None and not commands and now_s - self._published_s < PUBLISH_S
        if calm and not self._long_wait(due_ns):
            return
        self.latch.engaged()
        is_kept = True
        try:
            session.commit()
        except HaltTrading as error:
            is_kept = False
            session.abandon(f"{fault} (and {error})" if (fault := session.fault_reason) else str(error))
        self._published_s = now_s
        fresh = session.snapshot(self._snapshot.revision + 1, wiring.wall_ns())
        verdicts = (*self._idle_verdicts, *fresh.verdicts)[-VERDICTS_SHOWN:]
        self._follow_up(verdicts if is_kept else ())
        self._snapshot = replace(fresh, verdicts=verdicts)

    def _follow_up(self, verdicts: Sequence[Verdict]) -> None:
        """Do what waits for these verdicts; what fails is logged, for the command was carried out all the same."""
        if not self._follow_ups:
            return
        for verdict in verdicts:
            work = self._follow_ups.pop(verdict.command_id, None)
            if work is not None and verdict.accepted:
                self._attempt(work)

    def _long_wait(self, due_ns: int | None) -> bool:
        """Say whether the next step is so far off that pages should not wait for it."""
        if self._speed is None or due_ns is None:
            return False
        return (due_ns - self._clock.now_ns()) / NS_PER_S / self._speed > PUBLISH_S / 4

    def _drain(self) -> list[_Queued]:
        taken: list[_Queued] = []
        if not self._wake.is_set():
            return taken
        self._wake.clear()
        for _ in range(QUEUE_MAX):
            try:
                queued = self._commands.get_nowait()
            except queue.Empty:
                break
            if self._is_new(queued[0].command_id):
                taken.append(queued)
            else:
                _dropping_starts([queued])
        return taken

    def _is_new(self, command_id: str) -> bool:
        """Say whether this id was never seen: the second half of a double click is not another request."""
        if command_id in self._known_ids:
            return False
        self._known_ids[command_id] = None
        if len(self._known_ids) > IDS_KEPT:
            self._known_ids.popitem(last=False)
        return True

    def _answer(self, command: Command, accepted: bool, detail: str, checks: tuple[Check, ...] = ()) -> None:
        verdict = replace(_verdict(command, accepted, detail), checks=checks)
        self._follow_ups.pop(command.command_id, None)
        self._idle_verdicts.append(verdict)
        shown = self._snapshot
        verdicts = (*shown.verdicts, verdict)[-VERDICTS_SHOWN:]
        self._snapshot = replace(shown, revision=shown.revision + 1, verdicts=verdicts)


def _nothing() -> None:
    """Let go of what no session holds."""


def _dropping_starts(commands: Sequence[_Queued]) -> list[Command]:
    """Close what was prepared for a session that cannot start, because another one is active."""
    for _, prepared in commands:
        if prepared is not None:
            prepared.close()
    return [command for command, _ in commands]


def _verdict(command: Command, accepted: bool, detail: str) -> Verdict:
    return Verdict(
        command_id=command.command_id,
        command=type(command).__name__,
        accepted=accepted,
        detail=detail,
        ts_ns=wiring.wall_ns(),
    )


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, KeelError) else f"{type(error).__name__}: {error}"
