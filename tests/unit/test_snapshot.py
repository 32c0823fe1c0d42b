"""The snapshot: frozen, empty before a session, and clear about whether one is going on."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.event import SessionState, TradingState
from engine.snapshot import Counts, Snapshot, Verdict, WarmupRow
from tests.unit.made import candle


def test_before_any_session_everything_is_empty_and_ready() -> None:
    snapshot = Snapshot()
    assert (snapshot.session_state, snapshot.trading_state) == (SessionState.READY, TradingState.ACTIVE)
    assert (snapshot.run_id, snapshot.config, snapshot.digest, snapshot.counts) == (None, None, "", Counts())
    assert snapshot.equity_home == snapshot.balance_home == Decimal(0)


@pytest.mark.parametrize("name", Snapshot.__struct_fields__)
def test_no_field_can_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Snapshot(), name, None)


def test_collections_are_tuples_that_nobody_can_grow() -> None:
    snapshot = Snapshot()
    growing = [name for name in Snapshot.__struct_fields__ if isinstance(getattr(snapshot, name), list | set)]
    assert growing == []


def test_the_bars_cannot_be_changed_by_a_reader() -> None:
    snapshot = Snapshot(bars={"EUR_USD": (candle(0, "1.1", "1.1", "1.1"),)})
    with pytest.raises(TypeError):
        snapshot.bars["EUR_USD"] = ()


def test_two_snapshots_share_no_bars() -> None:
    assert Snapshot().bars is not Snapshot().bars


@pytest.mark.parametrize("state", list(SessionState))
def test_active_means_that_a_session_is_going_on(state: SessionState) -> None:
    going_on = {SessionState.WARMING_UP, SessionState.RUNNING, SessionState.DEGRADED, SessionState.STOPPING}
    assert replace(Snapshot(), session_state=state).active is (state in going_on)


@pytest.mark.parametrize(
    ("have", "reason", "ready"),
    [(5, "", True), (6, "", True), (4, "", False), (5, "the server is busy", False), (0, "waiting for history", False)],
)
def test_a_row_is_ready_when_nothing_is_missing(have: int, reason: str, ready: bool) -> None:
    assert WarmupRow(instrument="EUR_USD", have=have, need=5, age_s=None, reason=reason).ready is ready


def test_values_of_a_snapshot_are_frozen_too() -> None:
    verdict = Verdict(command_id="a", command="HaltTrading", accepted=True, detail="halted", ts_ns=1)
    with pytest.raises(AttributeError):
        verdict.accepted = False  # type: ignore[misc]
