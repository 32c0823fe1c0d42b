"""A world: one venue, one data folder, and one engine after the other, each killed but the last."""

import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.audit import audit, file_as_left, sent_without_intent
from tests.crash.books import VenueDesk
from tests.crash.lives import Cradle, Life, end, free_ports, kill, venue
from tests.crash.moments import MOMENTS, Gate
from tests.fakes.faulty_proxy import FaultyProxy

TOKEN = "canary-3f9d1c77a2"
ACCOUNT = "101-001-1234567-001"
# An order that was lost blocks its instrument for a minute: there are more of these than a world loses orders.
INSTRUMENTS = (
    "EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD", "NZD_USD", "USD_CHF", "USD_CAD", "EUR_GBP", "EUR_JPY", "GBP_JPY",
)  # fmt: skip
# Granularity, market seconds a second: a bar of each instrument two to four times a second. Not faster: an engine
# measures the pace within a quarter of a second, and what a busy machine adds to that would be many market seconds.
PACES = (("S5", 10), ("S5", 20), ("S10", 30), ("S30", 20))
LIMITS = (
    "order_interval_s_min=0", "quote_age_s_max=3600", "spread_pips_max=1000", "slippage_pips_max=3",
    "stop_mode=pips", "stop_loss_pips=5", "take_profit_pips=6", "risk_per_trade_pct=0.02",
    "exposure_pct_max=3000", "positions_max=100", "daily_loss_pct_max=100", "drawdown_pct_max=100",
)  # fmt: skip
_FILLED = """SELECT count(*) FROM fills WHERE run_id = (SELECT max(run_id) FROM runs)
    AND client_order_id LIKE run_id || '-%'"""
_UNRESOLVED = "SELECT count(*) FROM orders WHERE status = 'UNRESOLVED'"
_NEWEST = "SELECT max(transaction_id) FROM transactions"
PATIENCE_S = 20.0
GRACE_S = 60.0


class Violation(AssertionError):
    """A promise was broken."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of one world: stops are fills that the venue made by itself, lost orders never reached it, hits are
    kills that met their moment.
    """

    seed: int
    kills: int = 0
    restarts: int = 0
    orders: int = 0
    fills: int = 0
    stops: int = 0
    transactions: int = 0
    lost: int = 0
    seconds: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class World:
    """Lives one life after the other; made by `world`."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        cradle: Cradle,
        line: FaultyProxy,
        desk: VenueDesk,
        pace: str,
        instruments: tuple[str, ...],
    ) -> None:
        self.line = line
        self.rng = random.Random(f"moments of {seed}")
        self.outcome = Outcome(seed=seed)
        self._desk = desk
        self._instruments = instruments
        self._cradle = cradle
        self._log = folder / "engine.log"
        self._database = folder / "data" / "console.sqlite"
        self._late: dict[str, Gate] = {}
        self._life: Life | None = None
        self._environment = {
            "KEEL_DATA_DIR": str(folder / "data"),
            "KEEL_MODELS_DIR": str(folder / "models"),
            "KEEL_LOG_LEVEL": "INFO",
            "LIVE_TRADING": "no",
            "OANDA_ENVIRONMENT": "practice",
            "OANDA_TOKEN": TOKEN,
            "OANDA_ACCOUNT_ID": ACCOUNT,
            "OANDA_LOOPBACK_URL": line.url,
        }
        limits = [word for limit in LIMITS for word in ("--limit", limit)]
        what = ["session", "--mode", "practice", "--granularity", pace, "--model", "sma-cross:2/3"]
        self._arguments = [*what, "--instruments", ",".join(instruments), *limits]

    def die(self, name: str) -> None:
        """Begin an engine, kill it at this moment, and look at what it leaves."""
        life = self._begin()
        found = MOMENTS[name](self, life)
        code = life.wait()
        self.outcome.kills += 1
        self.outcome.hits[name] += found
        if code != -signal.SIGKILL:
            raise Violation(f"life {self.outcome.restarts} ended by itself with code {code}: {self._last_words()}")
        with file_as_left(self._database) as conn:
            self._demand(sent_without_intent(conn, self.sent()))
        self._demand([f"trade {each} has no stop at the venue" for each in self._desk.naked()])

    def live(self, *, settle: bool = False) -> None:
        """Begin the last engine, let it trade, stop it, and compare everything with the venue.

        Late orders arrive before it begins. With settle it lives until those that never arrived are given up.
        """
        self._let_in()
        posts = self.posts()
        life = self._begin()
        self._expect(
            life, lambda: self.posts() > posts and self._ask(_FILLED) > 0, "an order of the last life is filled"
        )
        if settle:
            self._expect(life, lambda: self._ask(_UNRESOLVED) == 0, "every order is settled", PATIENCE_S + GRACE_S)
        self._desk.freeze(self._instruments)
        self._expect(life, lambda: self._ask(_NEWEST) == self._desk.last_id(), "the ledger is where the venue is")
        end(life)
        if code := life.wait():
            raise Violation(f"the last life ended with code {code}: {self._last_words()}")
        self._compare()

    def until(self, holds: Callable[[], bool], life: Life, patience_s: float = PATIENCE_S) -> bool:
        """Wait until this holds; False when it takes too long or the process is no more."""
        until_s = time.monotonic() + patience_s
        count = 0
        while not holds():
            self.pause(0.001)
            count += 1
            if time.monotonic() > until_s or (count % 50 == 0 and life.code() is not None):
                return False
        return True

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        threading.Event().wait(seconds)

    def posts(self) -> int:
        """How many orders were sent so far, by all lives."""
        return sum(request.method == "POST" for request in self.line.arrived)

    def sent(self) -> Counter[str]:
        """How often each client id was sent."""
        return Counter(each.client_order_id for each in self.line.arrived if each.method == "POST")

    def log_size(self) -> tuple[int, int]:
        """Size and time of the write-ahead log."""
        try:
            found = Path(f"{self._database}-wal").stat()
        except OSError:
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def keep(self, gate: Gate) -> None:
        """Open this gate, at which the newest order stands, at some moment of the next life."""
        newest = [each for each in self.line.arrived if each.method == "POST"][-1]
        self._late[newest.client_order_id] = gate

    def close(self) -> None:
        """Leave no process behind."""
        if self._life is not None and not self._life.ended:
            kill(self._life)
            self._life.wait()

    def _begin(self) -> Life:
        life = self._cradle.begin(self._arguments, self._environment, self._log)
        self._life = life
        self.outcome.restarts += 1
        for gate in self._late.values():
            delay = threading.Timer(self.rng.uniform(0.0, 0.8), gate.set)
            delay.daemon = True
            delay.start()
        return life

    def _let_in(self) -> None:
        for order_id, gate in self._late.items():
            gate.set()
            while not self.line.posts_of(order_id):
                self.pause(0.001)
        self._late.clear()

    def _expect(self, life: Life, holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        if not self.until(holds, life, patience_s):
            raise Violation(f"I27: in vain it was waited that {what} (exit code {life.code()}): {self._last_words()}")

    def _compare(self) -> None:
        books, sent = self._desk.books(), self.sent()
        outcome = self.outcome
        outcome.orders, outcome.fills, outcome.transactions = sum(sent.values()), len(books.fills), books.last_id
        outcome.stops = sum("clientOrderID" not in row for row in books.fills)
        outcome.lost = len(set(sent) - set(books.orders()))
        self._demand(audit(self._database, books, sent))

    def _demand(self, broken: list[str]) -> None:
        if broken:
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            raise Violation(f"{broken[0]}{more}")

    def _ask(self, query: str) -> int:
        """Ask the file while an engine writes it."""
        try:
            with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as conn:
                return int(conn.execute(query).fetchone()[0] or 0)
        except sqlite3.OperationalError:
            return -1

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8").splitlines()
        told = [line for line in lines if " ERROR " in line or line.startswith("reason ")]
        return " | ".join((told or lines)[-3:])


@contextmanager
def world(
    seed: int,
    folder: Path,
    cradle: Cradle,
    instruments: tuple[str, ...] = INSTRUMENTS,
    pace: tuple[str, int] | None = None,
) -> Iterator[World]:
    """Open a venue and a line to it; the seed chooses market, moments and, unless it is given, the pace."""
    granularity, speed = pace or random.Random(f"pace of {seed}").choice(PACES)
    port, control_port = free_ports(2)
    arguments = ["--port", str(port), "--control-port", str(control_port), "--token", TOKEN, "--account", ACCOUNT]
    arguments += ["--seed", str(seed + 1), "--speed", str(speed)]
    with ExitStack() as held:
        held.enter_context(venue(arguments, port, folder / "venue.log"))
        line = held.enter_context(FaultyProxy("127.0.0.1", port))
        desk = VenueDesk(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control_port}", TOKEN, ACCOUNT)
        made = World(seed, folder, cradle, line, desk, granularity, instruments)
        held.callback(made.close)
        yield made


def lived_through(world: World, names: Sequence[str], *, settle: bool = False) -> Outcome:
    """Kill a process at each of these moments, then let one live; the first violation ends the world."""
    begun_s = time.monotonic()
    try:
        for name in names:
            world.die(name)
        world.live(settle=settle)
    except Violation as broken:
        world.outcome.violations.append(f"seed {world.outcome.seed}, kill {world.outcome.kills}: {broken}")
    world.outcome.seconds = time.monotonic() - begun_s
    return world.outcome


def plan(seed: int, kills: int) -> list[str]:
    """Draw moments, each about equally often."""
    names = [name for _ in range(-(-kills // len(MOMENTS))) for name in MOMENTS]
    random.Random(f"plan of {seed}").shuffle(names)
    return names[:kills]
