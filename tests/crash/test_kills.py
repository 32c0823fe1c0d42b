"""The real engine on the real venue, killed while it starts, trades, sends, books and commits; nothing is lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.crash.lives import CommandLine, Cradle, Nursery
from tests.crash.world import INSTRUMENTS, PACES, Outcome, lived_through, world

AROUND_AN_ORDER = (
    "at_random",
    "after_a_while",
    "after_sending",
    "while_committing",
    "amid_the_answer",
    "late_arrival",
    "after_the_answer",
    "while_booking",
    "before_sending",
)
WHILE_STARTING = ("while_starting", "while_opening", "while_recovering")
# Each is a second of imports and two of waiting for connections: of these, a few.
BY_COMMAND_LINE = (
    "while_starting",
    "after_sending",
    "while_recovering",
    "late_arrival",
    "while_opening",
    "after_the_answer",
    "while_recovering",
    "while_committing",
    "while_starting",
    "while_recovering",
)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def killed(
    seed: int, folder: Path, cradle: Cradle, names: Sequence[str], pace: tuple[str, int], instruments: int = 7
) -> Outcome:
    with world(seed, folder, cradle, INSTRUMENTS[:instruments], pace) as made:
        outcome = lived_through(made, names)
    assert outcome.violations == []
    assert outcome.kills == len(names)
    return outcome


def test_kills_around_an_order_lose_and_double_nothing(nursery: Nursery, tmp_path: Path) -> None:
    outcome = killed(1, tmp_path, nursery, AROUND_AN_ORDER * 2, PACES[1])
    assert set(outcome.hits.elements()) == set(AROUND_AN_ORDER)
    assert outcome.lost >= 1
    assert outcome.fills > outcome.kills


def test_kills_of_a_recovery_are_recovered_from(nursery: Nursery, tmp_path: Path) -> None:
    after_an_order = ("after_sending", *WHILE_STARTING * 2)
    outcome = killed(3, tmp_path, nursery, (*after_an_order * 3, "at_random"), PACES[0])
    assert set(outcome.hits.elements()) >= {*WHILE_STARTING, "after_sending"}


def test_kills_of_processes_begun_by_command_line_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = killed(4, tmp_path, CommandLine(), BY_COMMAND_LINE, PACES[2], instruments=3)
    assert set(outcome.hits.elements()) >= {"after_sending", "after_the_answer", "late_arrival"}
