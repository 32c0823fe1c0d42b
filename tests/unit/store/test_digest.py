"""Equal runs have equal digests, whatever their number, their speed or who asked; any other difference shows."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import SessionConfig
from engine.domain.event import CommandRefused, DecisionMade, Event, OrderInitialized, SessionStarted, SessionStopped
from tests.unit.store.tape import opened_store, record, story


def digest_of(path: Path, events: list[Event], batch: int = 3) -> str:
    store = opened_store(path)
    journal = store.begin_run()
    record(journal, events, batch)
    digest = journal.digest()
    store.close()
    return digest


def test_runs_with_another_number_in_the_same_file_have_the_same_digest(tmp_path: Path) -> None:
    store = opened_store(tmp_path / "keel.sqlite")
    digests = []
    for _ in range(12):
        journal = store.begin_run()
        record(journal, story(journal.run_id).events)
        digests.append(journal.digest())
    store.close()
    assert journal.run_id == 12
    assert len(set(digests)) == 1
    assert len(digests[0]) == 64


def test_digest_does_not_depend_on_commits_or_on_when_it_is_asked(tmp_path: Path) -> None:
    once = digest_of(tmp_path / "a.sqlite", story(1).events, batch=10_000)
    store = opened_store(tmp_path / "b.sqlite")
    journal = store.begin_run()
    for event in story(1).events:
        journal.append(event)
        journal.digest()
    assert journal.digest() == once
    store.close()


def changed(kind: type, **changes: object) -> list[Event]:
    """The story with the first event of a kind changed."""
    events = story(1).events
    index = next(number for number, event in enumerate(events) if type(event) is kind)
    events[index] = replace(events[index], **changes)
    return events


def test_a_changed_event_changes_the_digest(tmp_path: Path) -> None:
    plain = digest_of(tmp_path / "plain.sqlite", story(1).events)
    decision = next(event for event in story(1).events if isinstance(event, DecisionMade)).decision
    variants = [
        changed(DecisionMade, ts_ns=1),
        changed(DecisionMade, decision=replace(decision, equity_home=decision.equity_home + Decimal("0.0001"))),
        changed(DecisionMade, decision=replace(decision, confidence=0.6250000000000001)),
        changed(OrderInitialized, risk_home=Decimal("500.26")),
        changed(CommandRefused, reason="another"),
        changed(SessionStarted, config=SessionConfig(seed=2)),
        changed(SessionStopped, reason="other"),
        story(1).events[:-1],
        [*story(1).events[:3], story(1).events[4], story(1).events[3], *story(1).events[5:]],
    ]
    digests = [digest_of(tmp_path / f"{number}.sqlite", events) for number, events in enumerate(variants)]
    assert plain not in digests
    assert len(set(digests)) == len(variants)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(changed(OrderInitialized, command_id="someone"), id="who asked for an order"),
        pytest.param(changed(CommandRefused, command_id="someone"), id="the id of a command"),
        pytest.param(story(1, replace(story(1).events[0].config, speed=None)).events, id="speed"),
        pytest.param(
            story(1, replace(story(1).events[0].config, bars=(("EUR_USD", "/elsewhere/a.csv"),))).events, id="folder"
        ),
    ],
)
def test_circumstances_do_not_change_the_digest(tmp_path: Path, events: list[Event]) -> None:
    bars = (("EUR_USD", "here/a.csv"),) if events[0].config.bars else ()
    plain = story(1, replace(story(1).events[0].config, bars=bars)).events
    assert digest_of(tmp_path / "a.sqlite", plain) == digest_of(tmp_path / "b.sqlite", events)
