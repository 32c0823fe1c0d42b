"""The loop: one decision per closed bar, orders with their gates, books that equal the broker's."""

import dataclasses
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.decision import Action
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.domain.market import Bar
from tests.unit.session.rig import LIMITS, LOOKBACK, PIP, bar, make_rig

START = Decimal("1.10000")


def quiet(count: int, *, step: Decimal = Decimal(0), instrument: str = "EUR_USD") -> list:
    return [bar(i, START + i * step, instrument=instrument) for i in range(count)]


def test_every_closed_bar_after_warm_up_gets_exactly_one_decision(tmp_path: Path) -> None:
    gappy = [one for one in quiet(60) if one.open_ts_ns // (60 * 10**9) % 7]
    rig = make_rig(tmp_path, [quiet(60, instrument="EUR_USD"), [_as(one, "GBP_USD") for one in gappy]], {20: 1})
    rig.play()
    decisions = rig.rows("SELECT instrument, count(*), count(DISTINCT bar_ts_ns) FROM decisions GROUP BY instrument")
    played = [one for one in gappy if one.close_ts_ns > rig.session.desk.windows["GBP_USD"].close_ts_ns[0]]
    assert len(played) > 0
    by_name = {name: (total, distinct) for name, total, distinct in decisions}
    first_ns = rig.rows("SELECT min(bar_ts_ns) FROM decisions")[0][0]
    for name, bars in (("EUR_USD", quiet(60)), ("GBP_USD", gappy)):
        expected = sum(1 for one in bars if one.open_ts_ns >= first_ns)
        assert by_name[name] == (expected, expected)
    counts = rig.session.desk.counts()
    assert counts.bars == counts.decisions == sum(total for total, _ in by_name.values())


def test_nothing_is_decided_before_every_instrument_is_warm(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(LOOKBACK + 3)], {})
    rig.play()
    assert rig.session.desk.counts().decisions == 3
    assert rig.rows("SELECT kind FROM events ORDER BY seq LIMIT 4") == [
        ("SessionStarted",), ("FundsMoved",), ("Reconciled",), ("WarmedUp",),
    ]  # fmt: skip


def test_a_buy_signal_becomes_one_filled_order_with_its_stop(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {8: 1})
    rig.play()
    orders = rig.rows("SELECT client_order_id, units, status, stop_loss FROM orders")
    assert len(orders) == 1
    order_id, units, status, stop = orders[0]
    assert Decimal(units) > 0 and status == "FILLED" and Decimal(stop) < START
    acted = rig.rows("SELECT action, client_order_id FROM decisions WHERE client_order_id IS NOT NULL")
    assert acted == [(Action.ENTER, order_id)]
    assert rig.session.desk.ledger.units("EUR_USD") == Decimal(units)


def test_sell_is_sell(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {8: -1})
    rig.play()
    units, stop = rig.rows("SELECT units, stop_loss FROM orders")[0]
    assert Decimal(units) < 0 and Decimal(stop) > START
    assert rig.session.desk.ledger.units("EUR_USD") == Decimal(units)
    assert rig.rows("SELECT side FROM trades") == [("short",)]


def test_an_opposite_signal_reverses_with_one_order(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {8: 1, 12: -1})
    rig.play()
    assert [row[0] for row in rig.rows("SELECT action FROM decisions WHERE client_order_id IS NOT NULL")] == [
        Action.ENTER,
        Action.REVERSE,
    ]
    sides = rig.rows("SELECT side, state FROM trades ORDER BY trade_id + 0")
    assert sides == [("long", "CLOSED"), ("short", "OPEN")]
    assert len(rig.session.desk.ledger.open_trades) == 1


def test_a_second_signal_on_the_same_side_holds(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {8: 1, 12: 1})
    rig.play()
    assert rig.rows("SELECT count(*) FROM orders") == [(1,)]
    assert rig.rows("SELECT reason FROM decisions WHERE direction = 1 ORDER BY seq")[1] == ("already long",)


def test_a_denied_entry_names_each_failing_gate_and_leaves_no_order(tmp_path: Path) -> None:
    wide = [bar(i, START, spread=4 * PIP, reach=3 * PIP) for i in range(20)]
    rig = make_rig(tmp_path, [wide], {8: 1})
    rig.play()
    assert rig.rows("SELECT count(*) FROM orders") == [(0,)]
    decision = next(one for one in rig.session.desk.decisions if one.direction)
    assert decision.action is Action.DENIED
    assert [(gate.name, gate.value, gate.limit) for gate in decision.blocking] == [("spread", "4 pips", "3 pips")]
    assert len(decision.gates) > 5


def test_an_opposite_signal_that_may_not_enter_still_closes(tmp_path: Path) -> None:
    bars = [bar(i, START, spread=PIP if i < 12 else 4 * PIP, reach=3 * PIP) for i in range(20)]
    rig = make_rig(tmp_path, [bars], {8: 1, 14: -1})
    rig.play()
    assert rig.session.desk.ledger.held == ()
    closing = next(one for one in rig.session.desk.decisions if one.direction < 0)
    assert closing.action is Action.EXIT and [gate.name for gate in closing.blocking] == ["spread"]
    assert rig.rows("SELECT exit_reason FROM trades")[0][0]


def test_a_model_fault_is_a_decision_without_an_order(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {8: 1}, fault_at=frozenset({8}))
    rig.play()
    assert rig.rows("SELECT action, reason FROM decisions WHERE action = 'fault'") == [("fault", "scripted fault")]
    assert rig.rows("SELECT count(*) FROM orders") == [(0,)]


def test_drawdown_breaker_latches_and_stops_entries(tmp_path: Path) -> None:
    falling = [bar(i, START - max(0, i - 10) * 5 * PIP) for i in range(40)]
    limits = _with(drawdown_pct_max=Decimal("0.3"), stop_loss_atr=Decimal(50))
    rig = make_rig(tmp_path, [falling], {8: 1, 22: -1, 35: 1}, limits=limits)
    rig.play()
    assert rig.session.desk.trading_state is TradingState.REDUCING
    assert rig.rows("SELECT kind FROM events WHERE kind = 'BreakerTripped'") == [("BreakerTripped",)]
    late = [one for one in rig.session.desk.decisions if one.direction][1:]
    assert [one.action for one in late] == [Action.EXIT, Action.DENIED]
    assert all("trading_state" in {gate.name for gate in one.blocking} for one in late)


def test_concurrent_positions_and_exposure_are_capped(tmp_path: Path) -> None:
    names = ("EUR_USD", "GBP_USD", "AUD_USD")
    limits = _with(positions_max=2, exposure_pct_max=Decimal(3000))
    rig = make_rig(tmp_path, [quiet(20, instrument=name) for name in names], {8: 1}, limits=limits)
    rig.play()
    assert len(rig.session.desk.ledger.held) == 2
    denied = [one for one in rig.session.desk.decisions if one.action is Action.DENIED]
    assert [[gate.name for gate in one.blocking] for one in denied] == [["positions"]]


def test_session_ends_faulted_when_warm_up_times_out_and_names_what_is_missing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(20)], {})
    desk = rig.session.desk
    assert desk.state is SessionState.RUNNING
    rig.session.stop("stopped by the operator")
    rig.session.stop("again")
    assert desk.reason == "stopped by the operator"
    assert rig.rows("SELECT count(*) FROM events WHERE kind = 'SessionStopped'") == [(1,)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.integers(-15, 15), min_size=30, max_size=60),
    signals=st.dictionaries(st.integers(5, 55), st.sampled_from([-1, 1]), max_size=25),
)
def test_books_equal_the_brokers_and_add_up(tmp_path_factory, moves: list[int], signals: dict[int, int]) -> None:
    mid, bars = START, []
    for index, move in enumerate(moves):
        mid += move * PIP
        bars.append(bar(index, mid, reach=2 * PIP))
    rig = make_rig(tmp_path_factory.mktemp("rig"), [bars], signals)
    rig.play()
    ledger, account = rig.session.desk.ledger, rig.broker.account()
    assert ledger.balance_home == account.balance_home
    assert rig.session.desk.equity_home == account.equity_home
    trades = rig.rows("SELECT realized_pl_home, financing_home FROM trades")
    booked = sum((Decimal(one) + Decimal(two) for one, two in trades), Decimal(0))
    assert Decimal(100_000) + booked == ledger.balance_home
    assert rig.session.desk.counts().decisions == len(bars) - LOOKBACK
    # a reversal is two orders, of which its decision names the second
    wanted = [2 if one.action is Action.REVERSE else 1 for one in rig.session.desk.decisions if one.client_order_id]
    assert rig.rows("SELECT count(*) FROM orders")[0][0] == sum(wanted)
    rig.close()


def _as(one: Bar, instrument: str) -> Bar:
    return replace(one, instrument=instrument)


def _with(**changes: object) -> RiskLimits:
    return dataclasses.replace(LIMITS, **changes)
