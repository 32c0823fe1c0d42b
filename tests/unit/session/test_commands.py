"""Commands: carried out once, refused with a reason, halting and flattening never refused."""

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import (
    AcknowledgeBreaker,
    ArmLive,
    ClosePosition,
    FlattenAll,
    HaltTrading,
    PauseEntries,
    ResumeTrading,
    StopSession,
    UpdateRiskLimits,
)
from engine.domain.event import SessionState, TradingState
from tests.unit.session.rig import LIMITS, PIP, Rig, bar, make_rig

START = Decimal("1.10000")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    names = ("EUR_USD", "GBP_USD")
    bars = [[bar(i, START, instrument=name) for i in range(60)] for name in names]
    return make_rig(tmp_path, bars, {8: 1, 20: -1, 30: 1, 40: -1})


def until(rig: Rig, index: int) -> None:
    while rig.session.desk.counts().bars < 2 * (index - 4):
        rig.step()


def verdict(rig: Rig) -> tuple[bool, str]:
    last = rig.session.desk.verdicts[-1]
    return last.accepted, last.detail


def test_pause_stops_entries_but_lets_signals_close(rig: Rig) -> None:
    until(rig, 10)
    rig.command(PauseEntries(command_id="p"))
    until(rig, 25)
    assert rig.session.desk.trading_state is TradingState.PAUSED
    assert rig.session.desk.ledger.held == ()
    until(rig, 35)
    assert rig.session.desk.ledger.held == ()
    rig.command(ResumeTrading(command_id="r"))
    until(rig, 45)
    assert len(rig.session.desk.ledger.held) == 2


def test_the_same_command_id_takes_effect_once(rig: Rig) -> None:
    until(rig, 10)
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    assert [v.command_id for v in rig.session.desk.verdicts] == ["c"]
    assert rig.rows("SELECT count(*) FROM orders WHERE reason = 'close_command'") == [(1,)]


def test_closing_what_is_not_held_is_refused_by_name(rig: Rig) -> None:
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    assert verdict(rig) == (False, "there is no open position in EUR_USD")


def test_flatten_closes_everything_and_stays_halted(rig: Rig) -> None:
    until(rig, 10)
    rig.latch.set("flatten by the operator")
    rig.command(FlattenAll(command_id="f"))
    assert rig.session.desk.ledger.held == () and rig.broker.account().margin_used_home == 0
    assert verdict(rig)[0] and "flat, 2 position(s) closed" in verdict(rig)[1]
    until(rig, 45)
    assert rig.session.desk.ledger.held == ()
    assert rig.session.desk.trading_state is TradingState.HALTED
    reasons = rig.rows("SELECT DISTINCT reason FROM orders WHERE created_ns > (SELECT max(ts_ns) - 1 FROM events "
                       "WHERE kind = 'CommandAccepted')")  # fmt: skip
    assert reasons in ([("flatten",)], [])


def test_flatten_without_positions_is_flat(rig: Rig) -> None:
    rig.latch.set("flatten by the operator")
    rig.command(FlattenAll(command_id="f"))
    assert verdict(rig) == (True, "halted; flat, 0 position(s) closed")
    assert rig.session.desk.flattening is None


def test_flatten_that_cannot_close_says_not_flat_and_tries_again(tmp_path: Path) -> None:
    friday_close_ns = 1_736_546_400 * 10**9 - 60 * 10**9 * 12  # twelve minutes before 2025-01-10T22:00Z
    shift = friday_close_ns - bar(0, START).open_ts_ns
    week_end = 48 * 3_600 * 10**9
    bars = [
        replace(bar(i, START), open_ts_ns=bar(i, START).open_ts_ns + shift + (week_end if i >= 12 else 0))
        for i in range(20)
    ]
    minute = (shift // (60 * 10**9)) + 8
    limits = dataclasses.replace(LIMITS, weekend_cutoff_min=0, rollover_blackout_min=0)
    rig = make_rig(tmp_path, [bars], {minute: 1}, limits=limits)
    while rig.clock.now_ns() < friday_close_ns + 12 * 60 * 10**9:
        rig.step()
    assert rig.session.desk.ledger.held == ("EUR_USD",)
    rig.latch.set("flatten by the operator")
    rig.command(FlattenAll(command_id="f"))
    assert "NOT FLAT" in verdict(rig)[1]
    while rig.session.next_due_ns() is not None:
        rig.step()
    assert rig.session.desk.ledger.held == () and rig.session.desk.flattening is None


def test_halt_denies_entries_and_exits_and_keeps_stops(rig: Rig) -> None:
    until(rig, 10)
    rig.latch.set("halt by the operator")
    rig.command(HaltTrading(command_id="h"))
    until(rig, 45)
    assert len(rig.session.desk.ledger.held) == 2
    assert all(trade.stop_loss is not None for trade in rig.session.desk.ledger.open_trades)
    assert rig.rows("SELECT count(*) FROM orders") == [(2,)]


def test_resume_is_refused_while_the_halt_file_exists(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "HALT").write_text("by hand")
    rig.command(ResumeTrading(command_id="r"))
    accepted, detail = verdict(rig)
    assert not accepted and "HALT" in detail


def test_resume_from_a_stale_page_is_refused(rig: Rig) -> None:
    seen = rig.session.snapshot(1, 0).revision
    rig.command(PauseEntries(command_id="p"))
    rig.step()
    rig.session.snapshot(2, 0)
    rig.command(ResumeTrading(command_id="r", expected_revision=seen))
    assert not verdict(rig)[0] and "out of date" in verdict(rig)[1]
    rig.command(ResumeTrading(command_id="r2", expected_revision=2))
    assert verdict(rig) == (True, "entries allowed")


def test_stop_keeps_positions_and_says_so(rig: Rig) -> None:
    until(rig, 10)
    rig.command(StopSession(command_id="s"))
    assert rig.session.finished and rig.session.desk.state is SessionState.STOPPED
    assert "2 open position(s) stay open in the books of this run" in verdict(rig)[1]
    assert rig.rows("SELECT status, reason FROM runs") == [("STOPPED", "stopped by the operator")]
    assert rig.rows("SELECT count(*) FROM trades WHERE state = 'OPEN'") == [(2,)]


def test_new_limits_are_in_force_at_once(rig: Rig) -> None:
    rig.command(UpdateRiskLimits(command_id="u", limits=dataclasses.replace(LIMITS, spread_pips_max={"*": PIP * 5000})))
    until(rig, 10)
    assert rig.session.desk.ledger.held == ()
    decision = next(one for one in rig.session.desk.decisions if one.direction)
    assert [gate.name for gate in decision.blocking] == ["spread"]


def test_the_look_back_cannot_change_while_running(rig: Rig) -> None:
    rig.command(UpdateRiskLimits(command_id="u", limits=dataclasses.replace(LIMITS, atr_period=9)))
    assert not verdict(rig)[0]
    assert rig.session.desk.limits == LIMITS


def test_a_breaker_is_released_with_a_reason_and_measures_anew(tmp_path: Path) -> None:
    falling = [bar(i, START - max(0, i - 10) * 5 * PIP) for i in range(40)]
    limits = dataclasses.replace(LIMITS, drawdown_pct_max=Decimal("0.3"), stop_loss_atr=Decimal(50))
    rig = make_rig(tmp_path, [falling], {8: 1}, limits=limits)
    while not rig.session.desk.panel.trips:
        rig.step()
    rig.command(AcknowledgeBreaker(command_id="a", breaker="drawdown", reason="  "))
    assert verdict(rig) == (False, "releasing a breaker needs a reason")
    rig.command(AcknowledgeBreaker(command_id="b", breaker="daily_loss", reason="looked"))
    assert not verdict(rig)[0]
    rig.command(AcknowledgeBreaker(command_id="c", breaker="drawdown", reason="looked"))
    assert verdict(rig)[0] and rig.session.desk.trading_state is TradingState.ACTIVE
    assert rig.rows("SELECT kind FROM events WHERE kind = 'BreakerReleased'") == [("BreakerReleased",)]


def test_only_a_live_session_is_armed(rig: Rig) -> None:
    rig.command(ArmLive(command_id="a", phrase=""))
    assert verdict(rig) == (False, "this session needs no arming; only a live one does")
    assert rig.session.desk.armed_until_ns is None
