"""The cold start: retried until every buffer is full, told in words, and ended by name when the time is up."""

from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.event import SessionState
from tests.unit.session.faulty import FaultyMarketData, FaultyRig, make_faulty
from tests.unit.session.rig import LOOKBACK, bar

START = Decimal("1.10000")
NAMES = ("EUR_USD", "GBP_USD")


def quiet(instrument: str = "EUR_USD", count: int = 30) -> list:
    return [bar(index, START, instrument=instrument) for index in range(count)]


def made(tmp_path: Path, breakage: dict[str, object], *, timeout_s: int = 60, names: tuple = NAMES) -> FaultyRig:
    def prepare(market: FaultyMarketData) -> None:
        for name, value in breakage.items():
            setattr(market, name, value)

    bars = [quiet(name) for name in names]
    return make_faulty(tmp_path, bars, {8: 1}, warmup_timeout_s=timeout_s, prepare=prepare)


def test_the_rows_say_what_is_there_what_is_needed_and_why(tmp_path: Path) -> None:
    rig = made(tmp_path, {"history_max": {"EUR_USD": 2}, "no_history": {"GBP_USD": "the server is busy"}})
    rows = {row.instrument: row for row in rig.session.snapshot(1, 0).warmup}
    assert [row.reason for row in rows.values()] == ["waiting for history"] * 2
    rig.session.step()
    rows = {row.instrument: row for row in rig.session.snapshot(2, 0).warmup}
    eur, gbp = rows["EUR_USD"], rows["GBP_USD"]
    assert (eur.have, eur.need, eur.age_s, eur.reason) == (2, LOOKBACK, 0.0, "not enough history yet")
    assert (gbp.have, gbp.need, gbp.age_s, gbp.reason) == (0, LOOKBACK, None, "the server is busy")
    assert not eur.ready and not gbp.ready


def test_short_history_that_completes_later_warms_up_and_nothing_is_sent_before(tmp_path: Path) -> None:
    rig = made(tmp_path, {"history_max": {"GBP_USD": 2}})
    for _ in range(10):
        rig.step()
    desk = rig.session.desk
    assert desk.state is SessionState.WARMING_UP and desk.counts().decisions == 0
    rig.market.history_max.clear()
    rig.step()
    assert desk.state is SessionState.RUNNING
    assert {name: len(window) for name, window in desk.windows.items()} == dict.fromkeys(NAMES, LOOKBACK)
    assert all(row.ready and not row.reason for row in rig.session.snapshot(1, 0).warmup)
    assert rig.rows("SELECT count(*) FROM events WHERE kind = 'WarmedUp'") == [(1,)]
    rig.play()
    assert {one.instrument for one in rig.broker.submitted} == set(NAMES)
    assert desk.counts().decisions == desk.counts().bars > 0


def test_history_that_fails_and_comes_back_warms_up(tmp_path: Path) -> None:
    rig = made(tmp_path, {"no_history": {"EUR_USD": "the server is busy"}})
    for _ in range(5):
        rig.step()
    rig.market.no_history.clear()
    rig.step()
    assert rig.session.desk.state is SessionState.RUNNING


def test_a_step_of_the_warm_up_is_a_second(tmp_path: Path) -> None:
    rig = made(tmp_path, {"history_max": {"EUR_USD": 2}})
    rig.session.step()
    assert rig.session.next_due_ns() == rig.clock.now_ns() + 10**9


@pytest.mark.parametrize("seconds", [3, 7])
def test_the_timeout_faults_the_run_and_names_each_missing_instrument(tmp_path: Path, seconds: int) -> None:
    breakage = {"history_max": {"EUR_USD": 2}, "no_history": {"GBP_USD": "the server is busy"}}
    rig = made(tmp_path, breakage, timeout_s=seconds, names=(*NAMES, "AUD_USD"))
    begun_ns = rig.clock.now_ns()
    while not rig.session.finished:
        rig.step()
    assert rig.clock.now_ns() == begun_ns + seconds * 10**9
    desk = rig.session.desk
    assert desk.state is SessionState.FAULTED
    assert desk.reason == (
        "Warm-up timed out: EUR_USD has 2 of 5 bars (not enough history yet); "
        "GBP_USD has 0 of 5 bars (the server is busy)."
    )
    assert rig.rows("SELECT status, reason FROM runs") == [("FAULTED", desk.reason)]
    assert rig.broker.submitted == [] and rig.rows("SELECT count(*) FROM decisions") == [(0,)]


def test_bars_that_close_meanwhile_fill_the_buffer(tmp_path: Path) -> None:
    rig = made(tmp_path, {"history_max": {"EUR_USD": 2}}, timeout_s=3_600, names=("EUR_USD",))
    while rig.session.desk.state is SessionState.WARMING_UP:
        rig.step()
    assert rig.session.desk.state is SessionState.RUNNING
    assert rig.session.desk.counts().bars == rig.session.desk.counts().decisions == 0
    window = rig.session.desk.windows["EUR_USD"]
    assert len(window) == LOOKBACK
    assert [later - earlier for earlier, later in zip(window.close_ts_ns, window.close_ts_ns[1:], strict=False)] == [
        60 * 10**9
    ] * (LOOKBACK - 1)


def test_a_buffer_that_live_bars_filled_is_shown_as_ready(tmp_path: Path) -> None:
    rig = made(tmp_path, {"history_max": {"EUR_USD": 2}}, timeout_s=3_600, names=("EUR_USD",))
    while rig.session.desk.state is SessionState.WARMING_UP:
        rig.step()
    (row,) = rig.session.snapshot(1, 0).warmup
    assert row.have == row.need and row.ready
