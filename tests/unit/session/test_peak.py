"""The highest equity outlives the process: a crash lowers what a drawdown is measured from by one minute at most."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.command import AcknowledgeBreaker, StopSession
from engine.session.peak import EVERY_S
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, PIP, bar, make_rig

START = Decimal("1.10000")
TOP = 30


def mid(index: int) -> Decimal:
    """Quiet, up by 5 pips a minute to the top, and down again to where it began."""
    return START + 5 * PIP * max(0, min(index - 10, TOP - 10, 2 * TOP - 10 - index))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, [[bar(index, mid(index)) for index in range(90)]], {8: 1}, limits=LIMITS)
    made.until_sent()
    yield made
    made.close()


def peaks(house: House) -> list[tuple[int, Decimal]]:
    rows = house.rows(
        "SELECT ts_ns, json_extract(payload, '$.equity_home') FROM events WHERE kind = 'PeakReached' ORDER BY seq"
    )
    return [(ts_ns, Decimal(equity)) for ts_ns, equity in rows]


def to_the_top_and_down(house: House) -> Decimal:
    """Play past the highest point; returns the highest equity."""
    highest = house.session.desk.equity_home
    for _ in range(30):
        house.step()
        highest = max(highest, house.session.desk.equity_home)
    assert house.session.desk.equity_home < highest
    return highest


def test_a_crash_keeps_the_peak(house: House) -> None:
    highest = to_the_top_and_down(house)
    assert house.session.desk.fall_anchor_home == highest
    house.session.commit()
    house.restart()
    assert house.session.desk.fall_anchor_home == highest > house.session.desk.equity_home


def test_what_a_crash_takes_is_what_the_last_minute_brought(house: House) -> None:
    house.steps(12)
    told: list[tuple[int, Decimal]] = []
    while house.session.desk.now_ns < house.source.start_ns + 1_800 * 10**9:
        house.wait(1)
        told.append((house.session.desk.now_ns, house.session.desk.fall_anchor_home))
    last_ns = house.session.desk.now_ns
    house.session.commit()
    house.restart()
    known = max(peak for ts_ns, peak in told if ts_ns <= last_ns - EVERY_S * 10**9)
    assert known <= house.session.desk.fall_anchor_home


def test_the_peak_is_recorded_once_a_minute_at_most(house: House) -> None:
    house.steps(12)
    before = len(peaks(house))
    for _ in range(5 * EVERY_S):
        house.session.desk.fall_anchor_home += 1  # it rises in every second
        house.wait(1)
    found = peaks(house)
    assert len(found) - before in (5, 6)
    assert all(later - sooner >= EVERY_S * 10**9 for (sooner, _), (later, _) in zip(found, found[1:], strict=False))


def test_a_peak_between_two_records_is_recorded_when_the_session_ends(house: House) -> None:
    house.steps(12)
    desk = house.session.desk
    desk.fall_anchor_home = desk.recorded_peak_home + 1  # a moment after the last record
    house.session.fault("session", "made up")
    house.session.commit()
    assert peaks(house)[-1][1] == desk.fall_anchor_home
    house.restart()
    assert house.session.desk.fall_anchor_home == desk.fall_anchor_home


def test_a_session_that_was_stopped_is_followed_by_one_with_a_new_peak(house: House) -> None:
    highest = to_the_top_and_down(house)
    house.command(StopSession(command_id="s"))
    house.session.commit()
    house.restart()
    assert house.session.desk.equity_home <= house.session.desk.fall_anchor_home < highest


def test_a_peak_that_began_below_the_balance_is_the_same_after_a_crash(house: House) -> None:
    """A session that takes up an open loss measures from its equity; a crash must not make the balance of it."""
    to_the_top_and_down(house)
    while house.session.desk.equity_home >= house.session.desk.ledger.balance_home:
        house.step()
    house.command(StopSession(command_id="s"))
    house.session.commit()
    house.restart()
    desk = house.session.desk
    assert desk.fall_anchor_home == desk.equity_home < desk.ledger.balance_home
    for _ in range(2):
        house.session.commit()
        house.restart()
        assert house.session.desk.fall_anchor_home == desk.fall_anchor_home


def test_a_released_drawdown_is_measured_from_where_it_was_released_over_a_crash_too(tmp_path: Path) -> None:
    limits = replace(LIMITS, drawdown_pct_max=Decimal("0.1"))
    house = House(tmp_path, [[bar(index, mid(index)) for index in range(90)]], {8: 1}, limits=limits)
    house.until_sent()
    highest = to_the_top_and_down(house)
    assert house.command(AcknowledgeBreaker(command_id="a", breaker="drawdown", reason="seen"))[0]
    anchor = house.session.desk.fall_anchor_home
    assert anchor < highest
    house.session.commit()
    house.restart()
    assert house.session.desk.fall_anchor_home == anchor
    house.close()


def test_a_simulated_account_records_no_peak(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [[bar(index, mid(index)) for index in range(60)]], {8: 1})
    rig.play()
    assert rig.rows("SELECT count(*) FROM events WHERE kind = 'PeakReached'") == [(0,)]
    rig.close()
