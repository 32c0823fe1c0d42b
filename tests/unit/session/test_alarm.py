"""An alert is journalled, shown and handed on once; again only after it has passed in between."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.domain.check import Check
from engine.domain.event import AlertRaised, PreflightDone
from engine.session.alarm import ALERTS_KEPT, Alarm
from tests.unit.session.rig import MONDAY_NS, bar, make_rig
from tests.unit.store.tape import opened_store

PRICE = Decimal("1.10000")


class Listener:
    """Somebody who hears every alert."""

    def __init__(self) -> None:
        self.heard: list[AlertRaised] = []

    def notify(self, alert: AlertRaised) -> None:
        self.heard.append(alert)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.store = opened_store(folder / "a.sqlite")
        self.journal = self.store.begin_run()
        self.listener = Listener()
        self.desk = SimpleNamespace(now_ns=MONDAY_NS)
        self.alarm = Alarm(self.desk, self.journal, self.listener)  # type: ignore[arg-type]  # of a desk it asks the time

    def journalled(self) -> list[str]:
        self.journal.commit()
        rows = self.store._db.execute("SELECT payload FROM events WHERE kind = 'AlertRaised' ORDER BY seq")
        return [payload for (payload,) in rows]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.store.close()


def test_a_rule_that_blocks_bar_after_bar_is_told_of_once(rig: Rig) -> None:
    for _ in range(5):
        rig.alarm.raise_("denied", "spread EUR_USD", "The spread of EUR_USD is too wide.")
    assert [alert.text for alert in rig.listener.heard] == ["The spread of EUR_USD is too wide."]
    assert len(rig.journalled()) == 1
    assert rig.alarm.newest == tuple(rig.listener.heard)
    assert rig.listener.heard[0].ts_ns == MONDAY_NS


def test_it_is_told_of_again_after_it_has_passed(rig: Rig) -> None:
    rig.alarm.clear("denied", "spread")  # nothing was raised: no harm done
    rig.alarm.raise_("denied", "spread", "one")
    rig.alarm.clear("denied", "another")
    rig.alarm.raise_("denied", "spread", "not told")
    rig.alarm.clear("denied", "spread")
    rig.alarm.raise_("denied", "spread", "two")
    assert [alert.text for alert in rig.listener.heard] == ["one", "two"]
    assert len(rig.journalled()) == 2


def test_kinds_and_keys_are_told_apart(rig: Rig) -> None:
    for kind, key in (("breaker", "a"), ("breaker", "b"), ("halted", "a"), ("breaker", "a")):
        rig.alarm.raise_(kind, key, f"{kind} {key}")
    assert [alert.text for alert in rig.listener.heard] == ["breaker a", "breaker b", "halted a"]


def test_the_newest_alerts_are_kept(rig: Rig) -> None:
    for number in range(ALERTS_KEPT + 7):
        rig.alarm.raise_("denied", str(number), str(number))
    assert [alert.text for alert in rig.alarm.newest] == [str(number) for number in range(7, ALERTS_KEPT + 7)]
    assert len(rig.listener.heard) == ALERTS_KEPT + 7


def test_the_session_shows_its_alerts_and_hands_them_on(tmp_path: Path) -> None:
    listener = Listener()
    rig = make_rig(tmp_path, [[bar(index, PRICE) for index in range(12)]], {}, alerter=listener)
    rig.session._alarm.raise_("guard", "EUR_USD", "A trade had no stop.")
    rig.step()
    assert rig.session.snapshot(1, 1).alerts == tuple(listener.heard)
    assert rig.rows("SELECT json_extract(payload, '$.text') FROM events WHERE kind = 'AlertRaised'") == [
        ("A trade had no stop.",)
    ]
    rig.close()


def test_what_was_checked_stands_right_after_the_start(tmp_path: Path) -> None:
    checks = (Check(name="token", ok=True, found="accepted", wanted="accepted"),)
    rig = make_rig(tmp_path, [[bar(index, PRICE) for index in range(12)]], {}, checks=checks)
    assert rig.rows("SELECT kind FROM events WHERE kind <> 'FundsMoved' ORDER BY seq LIMIT 2") == [
        ("SessionStarted",),
        (PreflightDone.__name__,),
    ]
    assert rig.session.snapshot(1, 1).checks == checks
    rig.close()
