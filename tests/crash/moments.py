"""Moments at which a process is killed: each waits for its moment in a life and kills it there.

K1 to K6 are those of the fault catalogue: before the intent is committed, between commit and send, during the send,
between send and answer, after the answer, and inside a commit of the journal.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from tests.crash.lives import Life, kill
from tests.fakes.faults import Drip, Hold
from tests.fakes.faulty_proxy import FaultyProxy

ORDERS = r"/orders$"
LOG = r"/transactions/sinceid"
PLAIN = r"^(?!.*/stream)"
# What a start asks for, one after the other.
START_REQUESTS = 20


class Gate(threading.Event):
    """A gate that tells when the first one stands before it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the gate to open."""
        self.reached.set()
        return super().wait(timeout)


class Scene(Protocol):
    """What a moment needs of the world."""

    line: FaultyProxy
    rng: random.Random

    def until(self, holds: Callable[[], bool], life: Life) -> bool:
        """Wait until this holds, or in vain (False)."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def posts(self) -> int:
        """How many orders were sent so far, by all lives."""
        ...

    def log_size(self) -> tuple[int, int]:
        """What tells that the journal's write-ahead log was written to."""
        ...

    def keep(self, gate: Gate) -> None:
        """Open this gate at some moment of the next life."""
        ...


Moment = Callable[[Scene, Life], bool]


def at_random(scene: Scene, life: Life) -> bool:
    """Anywhere while it trades."""
    found = _trading(scene, life)
    scene.pause(scene.rng.uniform(0.0, 0.4))
    kill(life)
    return found


def after_a_while(scene: Scene, life: Life) -> bool:
    """Anywhere in the first seconds of trading, with more orders behind it."""
    found = _trading(scene, life)
    scene.pause(scene.rng.uniform(0.4, 2.0))
    kill(life)
    return found


def while_starting(scene: Scene, life: Life) -> bool:
    """Before or after any of the requests of a start, which is a recovery."""
    skip = scene.rng.randrange(START_REQUESTS)
    return _at_gate(scene, life, "", PLAIN, after=scene.rng.random() < 0.5, skip=skip) is not None


def while_opening(scene: Scene, life: Life) -> bool:
    """Any time from its first breath on."""
    scene.pause(scene.rng.uniform(0.0, 0.6))
    kill(life)
    return True


def while_recovering(scene: Scene, life: Life) -> bool:
    """When the log was asked for the first time, before it is booked."""
    return _at_gate(scene, life, "GET", LOG, after=scene.rng.random() < 0.8) is not None


def before_sending(scene: Scene, life: Life) -> bool:
    """K2, K3: the order has left the process and never reaches the venue."""
    return _at_gate(scene, life, "POST", ORDERS, after=False, skip=scene.rng.randrange(2)) is not None


def late_arrival(scene: Scene, life: Life) -> bool:
    """K3: the order reaches the venue while the next process starts or trades."""
    gate = _at_gate(scene, life, "POST", ORDERS, after=False, skip=scene.rng.randrange(2))
    if gate is not None:
        scene.keep(gate)
    return gate is not None


def after_sending(scene: Scene, life: Life) -> bool:
    """K4: the venue has executed the order and no byte of the answer comes."""
    return _at_gate(scene, life, "POST", ORDERS, after=True, skip=scene.rng.randrange(2)) is not None


def amid_the_answer(scene: Scene, life: Life) -> bool:
    """K4: a part of the answer was read."""
    fault = Drip(step_s=0.001, with_head=scene.rng.random() < 0.5)
    scene.line.inject(fault, method="POST", path=ORDERS)
    before = scene.posts()
    found = scene.until(lambda: scene.posts() > before, life)
    scene.pause(scene.rng.uniform(0.01, 0.3))
    kill(life)
    return found


def after_the_answer(scene: Scene, life: Life) -> bool:
    """K5: the answer was read, what it means is about to be booked."""
    before = scene.posts() + scene.rng.randrange(2)
    found = scene.until(lambda: scene.posts() > before, life)
    scene.pause(scene.rng.uniform(0.002, 0.03))
    kill(life)
    return found


def while_booking(scene: Scene, life: Life) -> bool:
    """K5: the log with the fill is under way, or was just read."""
    before = scene.posts() + scene.rng.randrange(2)
    found = scene.until(lambda: scene.posts() > before, life)
    gate = _gate(scene, "GET", LOG, after=True)
    found = found and scene.until(gate.reached.is_set, life)
    if scene.rng.random() < 0.5:
        gate.set()
        scene.pause(scene.rng.uniform(0.0, 0.01))
    kill(life)
    return found


def while_committing(scene: Scene, life: Life) -> bool:
    """K6: the journal has just begun to write."""
    found = _trading(scene, life) if scene.rng.random() < 0.7 else True
    for _ in range(scene.rng.randint(1, 6)):
        before = scene.log_size()
        found = scene.until(lambda before=before: scene.log_size() != before, life) and found  # type: ignore[misc]
    kill(life)
    return found


MOMENTS: Mapping[str, Moment] = {
    each.__name__: each
    for each in (
        at_random,
        after_a_while,
        while_starting,
        while_opening,
        while_recovering,
        before_sending,
        late_arrival,
        after_sending,
        amid_the_answer,
        after_the_answer,
        while_booking,
        while_committing,
    )
}


def _trading(scene: Scene, life: Life) -> bool:
    before = scene.posts()
    return scene.until(lambda: scene.posts() > before, life)


def _gate(scene: Scene, method: str, path: str, *, after: bool, skip: int = 0) -> Gate:
    gate = Gate()
    scene.line.inject(Hold(gate=gate, reaches_target_first=after), method=method, path=path, skip=skip)
    return gate


def _at_gate(scene: Scene, life: Life, method: str, path: str, *, after: bool, skip: int = 0) -> Gate | None:
    """Kill while a request stands at a gate; a gate that nobody reaches is opened, so that it holds nobody later."""
    gate = _gate(scene, method, path, after=after, skip=skip)
    found = scene.until(gate.reached.is_set, life)
    kill(life)
    if not found:
        gate.set()
    return gate if found else None
