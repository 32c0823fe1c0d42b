"""The small parts of the preflight: how far a clock is off, when a market rests, bars that a model can judge."""

from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import pytest

from engine.adapters.oanda.inspection import skew_ns
from engine.domain.calendar import NEW_YORK
from engine.domain.check import Check, obstacle
from engine.domain.market import NS_PER_S, Granularity
from engine.prediction.features import FEATURES, feature_vector
from engine.preflight import SKEW_NS_MAX, check_clock_skew, check_database, check_disk, is_resting, probe_window
from engine.store.backup import back_up
from tests.unit.store.tape import opened_store, record, story

TOLD = "Fri, 13 Mar 2026 12:00:00 GMT"
TOLD_NS = int(datetime(2026, 3, 13, 12, tzinfo=UTC).timestamp()) * NS_PER_S
MS = NS_PER_S // 1_000


@pytest.mark.parametrize(
    ("begun_ms", "ended_ms", "skew_ms"),
    [
        (0, 10, 0),
        (990, 999, 0),
        (-50, 10, 0),
        (-5_000, 20_000, 0),
        (1_000, 1_010, 0),
        (1_001, 1_010, 1),
        (3_500, 3_600, 2_500),
        (-10, -1, -1),
        (-3_000, -2_500, -2_500),
    ],
)
def test_a_clock_is_off_only_as_far_as_it_must_be(begun_ms: int, ended_ms: int, skew_ms: int) -> None:
    assert skew_ns(TOLD, TOLD_NS + begun_ms * MS, TOLD_NS + ended_ms * MS) == skew_ms * MS


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Fri, 99 Mar 2026 12:00:00 GMT", "Fri, 13 Mar 99999999999 12:00:00 GMT"]
)
def test_a_server_that_tells_no_time_is_not_guessed_at(date: str) -> None:
    assert skew_ns(date, TOLD_NS, TOLD_NS) is None
    assert not check_clock_skew(None).ok


@pytest.mark.parametrize(
    ("skew", "ok"), [(0, True), (SKEW_NS_MAX, True), (SKEW_NS_MAX + 1, False), (-SKEW_NS_MAX - 1, False)]
)
def test_two_seconds_are_enough(skew: int, ok: bool) -> None:
    check = check_clock_skew(skew)
    assert (check.ok, check.blocks) == (ok, True)


@pytest.mark.parametrize(
    ("moment", "rests"),
    [
        ("2025-01-10 16:54", False),
        ("2025-01-10 16:55", True),
        ("2025-01-10 23:00", True),
        ("2025-01-11 12:00", True),
        ("2025-01-12 12:00", True),
        ("2025-01-12 18:09", True),
        ("2025-01-12 18:10", False),
        ("2025-01-08 17:30", True),
        ("2025-01-08 18:10", False),
        ("2025-07-08 17:30", True),
        ("2025-07-08 10:00", False),
    ],
)
def test_a_market_rests_over_the_week_end_and_around_five_in_new_york(moment: str, rests: bool) -> None:
    local = datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)
    assert is_resting(int(local.timestamp()) * NS_PER_S) is rests


@pytest.mark.parametrize("granularity", [Granularity.S5, Granularity.M1, Granularity.H4, Granularity.D])
def test_every_feature_of_the_probe_is_a_number(granularity: Granularity) -> None:
    window = probe_window("USD_JPY", max(feature.lookback for feature in FEATURES.values()), granularity)
    assert window.full and all(map(isfinite, feature_vector(tuple(FEATURES), window)))


def test_the_first_check_that_blocks_is_the_sentence() -> None:
    def check(name: str, *, ok: bool, blocks: bool = True) -> Check:
        return Check(name=name, ok=ok, found=f"{name} is bad.", wanted="good", blocks=blocks)

    soft, green = check("soft", ok=False, blocks=False), check("green", ok=True)
    red, later = check("red", ok=False), check("later", ok=False)
    assert obstacle((soft, green)) is None
    assert obstacle((soft, green, red, later)) == "Preflight check red failed: red is bad; wanted: good."


def test_a_backup_from_the_future_is_no_backup(tmp_path: Path) -> None:
    database = tmp_path / "console.sqlite"
    store = opened_store(database)
    record(store.begin_run(), story(1).events)
    store.close()
    back_up(database, TOLD_NS + 10 * NS_PER_S)
    assert "made now" in check_database(database, TOLD_NS).found


def test_a_large_database_needs_more_room(tmp_path: Path) -> None:
    database = tmp_path / "console.sqlite"
    assert check_disk(database).wanted == "at least 500 MB"
    with database.open("wb") as file:
        file.truncate(1_000_000_000)
    assert check_disk(database).wanted == "at least 2500 MB"
