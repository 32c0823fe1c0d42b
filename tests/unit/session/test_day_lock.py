"""No other database is a way round a lost day: the data folder knows of it too, whatever is started there."""

import dataclasses
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine import wiring
from engine.adapters.day_lock import FileDayLocks
from engine.config import Settings
from engine.domain.calendar import iso_utc
from engine.domain.command import AcknowledgeBreaker, StartSession
from engine.domain.error import ConfigError, HaltTrading
from engine.domain.event import SessionState
from engine.node import TradingNode
from engine.ports import Curfew, DayLock, UnreadableLock
from engine.session import TradingSession
from engine.session.day_lock import known_lock, lock_refusal
from engine.store.journal import JournalStore, open_journal
from tests.unit.session.kept import ACCOUNT, House
from tests.unit.session.rig import MINUTE_NS, make_rig
from tests.unit.session.test_limits_change import HOURS_NS, LOSING, falling, limits, until_tripped

LOOSER = limits(**LOSING | {"daily_loss_pct_max": Decimal(50)})
LOCK = DayLock(account=ACCOUNT, breaker="daily_loss", tripped_ns=10 * HOURS_NS, until_ns=22 * HOURS_NS, database="x")


def path_of(house: House) -> Path:
    return house.folder / f"day-lock-{ACCOUNT}.json"


def written(house: House) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(path_of(house).read_bytes())
    return told


def elsewhere(house: House) -> None:
    """The next process uses another database, and any limits."""
    house.crash()
    house.database = house.folder / "other.sqlite"
    house.limits = LOOSER


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, [falling(next_day_from=40)], {8: 1}, limits=limits(**LOSING))
    yield made
    made.close()


@pytest.fixture
def lost(house: House) -> House:
    until_tripped(house)
    return house


def test_a_trip_is_in_the_data_folder_as_soon_as_it_is_in_the_journal(house: House) -> None:
    house.steps(8)
    assert not path_of(house).exists()
    until_tripped(house)
    desk = house.session.desk
    (trip,) = desk.panel.trips
    assert written(house) == {
        "account": ACCOUNT,
        "breaker": "daily_loss",
        "tripped_ns": trip.ts_ns,
        "until_ns": desk.no_loosening_until_ns,
        "database": "made.sqlite",
    }


def test_a_trip_that_is_only_recorded_with_the_end_of_its_session_locks_the_day_then(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = JournalStore.write

    def full_at_the_trip(self: JournalStore, journal: Any, events: Any, projector: Any) -> None:
        if any("BreakerTripped" in event for event in events):
            raise HaltTrading("The disk is full.")
        honest(self, journal, events, projector)

    monkeypatch.setattr(JournalStore, "write", full_at_the_trip)
    with pytest.raises(HaltTrading):
        until_tripped(house)
    assert not path_of(house).exists()
    monkeypatch.undo()
    house.session.fault("session", "the disk was full")
    assert written(house)["breaker"] == "daily_loss"
    house.begin()
    elsewhere(house)
    with pytest.raises(ConfigError, match="This database has no record"):
        house.begin()


def test_a_trip_does_not_shorten_the_lock_of_one_before(house: House) -> None:
    later_ns = house.clock.now_ns() + 40 * HOURS_NS
    house.session.desk.forbid_loosening(later_ns)  # as by a trip under a clock that was ahead
    until_tripped(house)
    assert written(house)["until_ns"] == later_ns


@pytest.mark.parametrize("new_books", [False, True])
def test_another_database_does_not_start_before_the_day_is_over(lost: House, new_books: bool) -> None:
    told = written(lost)
    until, since = iso_utc(told["until_ns"]), iso_utc(told["tripped_ns"])
    elsewhere(lost)
    for _ in range(2):  # a start that is refused leaves nothing that would let the next one in
        with pytest.raises(ConfigError) as refused:
            lost.begin(new_books=new_books)
        assert str(refused.value) == (
            f"This database has no record that breaker daily_loss tripped on this account at {since}, after which "
            f"limits can only be made stricter until {until}; start with --db {lost.folder / 'made.sqlite'}, which "
            f"has it unless it was deleted or replaced since, or wait until {until}."
        )
        lost.crash()
    lost.limits = limits(**LOSING)  # nobody knows what it would be looser than
    with pytest.raises(ConfigError, match="This database has no record"):
        lost.begin(new_books=new_books)


@pytest.mark.parametrize("new_books", [False, True])
def test_the_database_that_knows_starts_as_before(lost: House, new_books: bool) -> None:
    before = path_of(lost).stat()
    lost.restart(new_books=new_books)
    assert lost.session.desk.state is SessionState.WARMING_UP or lost.session.desk.panel.trips
    assert path_of(lost).stat().st_ino == before.st_ino  # and is not written again
    lost.limits = LOOSER
    with pytest.raises(ConfigError, match="daily_loss_pct_max would be less strict"):
        lost.restart(new_books=new_books)


@pytest.mark.parametrize("copied", [False, True])
def test_a_database_that_was_deleted_or_put_back_to_before_is_another_one(house: House, copied: bool) -> None:
    house.steps(8)
    house.session.commit()
    house.crash()
    shutil.copy(house.database, house.folder / "before")
    house.begin()
    until_tripped(house)
    house.crash()
    for path in house.folder.glob("made.sqlite*"):
        path.unlink()
    if copied:
        shutil.copy(house.folder / "before", house.database)
    house.limits = LOOSER
    with pytest.raises(ConfigError, match="This database has no record"):
        house.begin()


def test_on_the_next_trading_day_any_database_starts(lost: House) -> None:
    until_ns = lost.session.desk.no_loosening_until_ns
    elsewhere(lost)
    lost.clock._now_ns = until_ns - 1
    with pytest.raises(ConfigError, match="This database has no record"):
        lost.begin()
    lost.crash()
    lost.clock._now_ns = until_ns
    lost.begin()
    assert lost.session.desk.limits == LOOSER


@pytest.mark.parametrize("knows", [False, True])
def test_a_file_that_cannot_be_read_refuses_by_name(lost: House, knows: bool) -> None:
    path_of(lost).write_bytes(b"garbage")
    if not knows:
        elsewhere(lost)
    with pytest.raises(ConfigError) as refused:
        lost.restart()
    assert f"The file {path_of(lost)} tells whether a daily breaker has tripped" in str(refused.value)
    assert "move it away and start with the database that was used last" in str(refused.value)
    # what the sentence says to do is what opens the door, and shuts it again
    path_of(lost).unlink()
    lost.database, lost.limits = lost.folder / "made.sqlite", limits(**LOSING)
    lost.restart()
    assert written(lost)["until_ns"] == lost.session.desk.no_loosening_until_ns


def alerts(house: House) -> list[str]:
    return [alert.text for alert in house.session.snapshot(1, 0).alerts if alert.kind == "day_lock"]


def test_a_folder_that_cannot_be_written_stops_nothing_and_is_told_until_it_can(house: House) -> None:
    path_of(house).mkdir()  # no file can take its place: to the session the same as a disk that is full
    until_tripped(house)
    assert len(alerts(house)) == 1 and "start with no other" in alerts(house)[0] and ACCOUNT in alerts(house)[0]
    assert house.rows("SELECT breaker FROM breakers") == [("daily_loss",)]
    assert house.session.desk.state is SessionState.RUNNING
    house.wait(30)
    assert path_of(house).is_dir() and len(alerts(house)) == 1
    path_of(house).rmdir()
    house.wait(30)
    assert written(house)["until_ns"] == house.session.desk.no_loosening_until_ns
    house.wait(90)
    assert len(alerts(house)) == 1


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_crash_between_journal_and_file_is_made_up_for_by_the_next_start(lost: House, is_refused: bool) -> None:
    told = written(lost)
    lost.crash()
    path_of(lost).unlink()  # as if the process had died right behind the commit
    if is_refused:
        lost.limits = LOOSER
        with pytest.raises(ConfigError, match="less strict; a daily breaker has tripped"):
            lost.begin()
    else:
        lost.begin()
    assert written(lost) == told
    elsewhere(lost)
    with pytest.raises(ConfigError, match="This database has no record"):
        lost.begin()


def test_a_release_does_not_unlock(lost: House) -> None:
    assert lost.command(AcknowledgeBreaker(command_id="a", breaker="daily_loss", reason="looked at it"))[0]
    elsewhere(lost)
    with pytest.raises(ConfigError, match="This database has no record"):
        lost.begin()


def test_a_breaker_that_is_not_daily_locks_no_day(tmp_path: Path) -> None:
    tight = limits(drawdown_pct_max=Decimal("0.1"), stop_loss_atr=Decimal(50))
    house = House(tmp_path, [falling()], {8: 1}, limits=tight)
    until_tripped(house)
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["drawdown"]
    assert not path_of(house).exists()
    house.close()


def test_an_account_that_ends_with_its_session_leaves_no_lock(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [falling()], {8: 1}, limits=limits(**LOSING))
    store = open_journal(tmp_path / "own.sqlite", wall_ns=lambda: 1)
    locks = FileDayLocks(tmp_path, store.path)
    rig.session = TradingSession(dataclasses.replace(rig.session._parts, journal=store.begin_run(), locks=locks))
    until_tripped(rig)
    assert rig.session.desk.no_loosening_until_ns and not list(tmp_path.glob("day-lock-*"))
    store.close()
    rig.close()


@pytest.mark.parametrize("new_books", [False, True])
@pytest.mark.parametrize("database", [None, "other.sqlite"])
def test_console_and_command_line_ask_the_data_folder(
    house: House, tmp_path: Path, database: str | None, new_books: bool
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    locked = replace(LOCK, tripped_ns=house.clock.now_ns(), until_ns=house.clock.now_ns() + HOURS_NS)
    FileDayLocks(settings.data_dir, tmp_path / "lost.sqlite").write(locked)
    prepared = wiring.Prepared(
        config=house.session.desk.config,
        clock=house.clock,
        market_data=house.market,
        broker=house.broker,
        predictor=house.model,
        instruments=house.instruments,
    )
    node = TradingNode(settings, tmp_path / database if database else None)
    try:
        start = StartSession(command_id="start", config=prepared.config, new_books=new_books)
        assert node.submit(start, prepared) is None
        assert node.wait_until_idle(10.0)
        (verdict,) = node.snapshot.verdicts
    finally:
        node.stop()
    assert not verdict.accepted
    assert f"start with --db {tmp_path / 'lost.sqlite'}, which has it" in verdict.detail


@pytest.mark.parametrize(
    ("found", "known_until_ns", "now_ns", "is_refused"),
    [
        (None, None, 0, False),
        (LOCK, None, LOCK.until_ns - 1, True),
        (LOCK, None, LOCK.until_ns, False),
        (LOCK, None, LOCK.tripped_ns - 1, True),  # a clock that is behind opens nothing
        (LOCK, LOCK.until_ns, LOCK.tripped_ns, False),
        (LOCK, LOCK.until_ns - 1, LOCK.tripped_ns, True),
        (UnreadableLock(file="f", reason="r"), LOCK.until_ns, LOCK.until_ns, True),
    ],
)
def test_who_is_refused(
    found: DayLock | UnreadableLock | None, known_until_ns: int | None, now_ns: int, is_refused: bool
) -> None:
    known = None if known_until_ns is None else replace(LOCK, until_ns=known_until_ns)
    assert bool(lock_refusal(found, known, now_ns)) == is_refused


def test_a_database_knows_the_daily_trip_that_lasts_longest() -> None:
    trips = {"daily_loss": 10 * HOURS_NS, "loss_streak": 11 * HOURS_NS + MINUTE_NS, "drawdown": 99 * HOURS_NS}
    at_noon = limits(trading_day="11:00 UTC")
    known = known_lock(ACCOUNT, Curfew(trips=trips, limits=at_noon))
    assert known == DayLock(
        account=ACCOUNT, breaker="loss_streak", tripped_ns=trips["loss_streak"], until_ns=35 * HOURS_NS
    )
    assert known_lock(ACCOUNT, Curfew(trips={"drawdown": 1}, limits=at_noon)) is None
    assert known_lock(ACCOUNT, None) is None
