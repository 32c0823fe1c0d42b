"""Equal runs have equal digests, whatever their number, their speed or who asked; any other difference shows."""

import hashlib
import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import SessionConfig
from engine.domain.event import CommandRefused, DecisionMade, Event, OrderInitialized, SessionStarted, SessionStopped
from engine.store.checkup import rebuild_tables
from tests.unit.store.tape import Tape, opened_store, record, story


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


def digest_of_continued(path: Path, runs_before: int) -> str:
    """Digest of a run that goes on with the books of the run before it, whatever the number of that one."""
    store = opened_store(path)
    for _ in range(runs_before):
        first = Tape(store.begin_run().run_id + 1, account="practice-1")
        record(store.begin_run(), first.events)
    journal = store.begin_run(past=store.past("practice-1"))
    record(journal, Tape(journal.run_id, account="practice-1", after=first).events)
    digest = journal.digest()
    store.close()
    return digest


def test_the_number_of_the_run_whose_books_go_on_does_not_change_the_digest(tmp_path: Path) -> None:
    early = digest_of_continued(tmp_path / "a.sqlite", 1)
    assert digest_of_continued(tmp_path / "b.sqlite", 4) == early
    first = Tape(1, account="practice-1")
    fresh = [replace(Tape(2, account="practice-1", after=first).events[0], continues=None)]
    assert digest_of(tmp_path / "c.sqlite", fresh) != early


def test_a_run_of_an_earlier_version_keeps_its_digest_and_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), story(1).events)
    store.close()
    conn = sqlite3.connect(path)
    told = json.loads(conn.execute("SELECT payload FROM events WHERE seq = 1").fetchone()[0])
    told.pop("opening_transaction_id", None)
    del told["config"]["warmup_timeout_s"]
    conn.execute("UPDATE events SET payload = ? WHERE seq = 1", [json.dumps(told, separators=(",", ":"))])
    conn.commit()
    plain = [
        kind.encode() + b"\n" + payload.encode() for kind, payload in conn.execute("SELECT kind, payload FROM events")
    ]
    assert b'"speed":null' not in plain[0] and b'"command_id":"c-2"' in b"".join(plain)
    conn.close()
    rebuild_tables(path)
    conn = sqlite3.connect(path)
    config, digest = conn.execute("SELECT config, digest FROM runs").fetchone()
    conn.close()
    told["config"]["speed"] = None
    plain[0] = b"SessionStarted\n" + json.dumps(told, separators=(",", ":")).encode()
    lines = b"\n".join(plain) + b"\n"
    for command_id in (b"c-1", b"c-3"):
        lines = lines.replace(b'"command_id":"' + command_id + b'"', b'"command_id":""')
    lines = lines.replace(b'"command_id":"c-2"', b'"command_id":null').replace(b'"1-EUR_USD', b'"-EUR_USD')
    lines = lines.replace(b"order 1-EUR_USD", b"order -EUR_USD")
    assert digest == hashlib.sha256(lines).hexdigest()
    assert "warmup_timeout_s" not in config and json.loads(config)["instruments"] == ["EUR_USD"]
