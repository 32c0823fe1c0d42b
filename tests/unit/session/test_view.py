"""The snapshot says what the books say, in the words of the operator's page."""

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import AcknowledgeBreaker, FlattenAll, HaltTrading, PauseEntries
from engine.domain.event import SessionState, TradingState
from engine.domain.market import NS_PER_S
from engine.risk.breakers import DEFAULT_BREAKERS, Trip
from engine.session.view import take_snapshot
from tests.unit.session.faulty import LOST_ORDER, make_faulty
from tests.unit.session.rig import LIMITS, PIP, Rig, bar, make_rig

START = Decimal("1.10000")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Long EUR_USD and short of nothing else, three minutes after the entry and 20 pips down."""
    falling = [bar(i, START - (20 * PIP if i > 8 else 0)) for i in range(40)]
    still = [bar(i, START, instrument="GBP_USD") for i in range(40)]
    limits = dataclasses.replace(LIMITS, stop_loss_atr=Decimal(50), exposure_pct_max=Decimal(3_000))
    made = make_rig(tmp_path, [falling, still], {8: 1}, limits=limits)
    while made.session.desk.counts().bars < 14:
        made.step()
    return made


def test_the_figures_are_the_books(rig: Rig) -> None:
    snapshot, desk = rig.session.snapshot(7, 99), rig.session.desk
    account = rig.broker.account()
    assert (snapshot.revision, snapshot.published_ns, snapshot.ts_ns) == (7, 99, rig.clock.now_ns())
    assert (snapshot.balance_home, snapshot.equity_home) == (account.balance_home, account.equity_home)
    assert snapshot.unrealized_pl_home == account.equity_home - account.balance_home < 0
    assert snapshot.day_pl_home == snapshot.equity_home - 100_000
    assert snapshot.day_pl_pct == snapshot.day_pl_home / 1_000
    assert snapshot.margin_used_home == account.margin_used_home > 0
    assert snapshot.drawdown_pct == snapshot.max_drawdown_pct == -snapshot.day_pl_pct
    assert snapshot.exposure_home == sum(abs(t.units) * desk.quotes[t.instrument].mid for t in snapshot.open_trades)
    assert snapshot.risk_home == sum(position.risk_home for position in snapshot.positions)
    assert (snapshot.run_id, snapshot.currency, snapshot.opening_balance_home) == (1, "USD", 100_000)
    assert snapshot.counts == desk.counts()
    assert (snapshot.counts.orders, snapshot.counts.fills, snapshot.counts.trades) == (2, 2, 2)


def test_a_position_is_shown_with_what_it_risks_and_where_it_would_close(rig: Rig) -> None:
    position = next(one for one in rig.session.snapshot(1, 0).positions if one.instrument == "EUR_USD")
    quote = rig.session.desk.quotes["EUR_USD"]
    (trade,) = rig.session.desk.ledger.trades_of("EUR_USD")
    assert (position.units, position.average_price) == (trade.units, trade.price)
    assert position.price_now == quote.bid
    assert position.unrealized_pl_home == (quote.bid - trade.price) * trade.units
    assert (position.stop_loss, position.take_profit) == (trade.stop_loss, None)
    assert position.risk_home == (quote.bid - (trade.stop_loss or 0)) * trade.units
    assert (position.opened_ns, position.trade_ids) == (trade.opened_ns, (trade.trade_id,))


def test_a_short_would_close_at_the_ask(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [[bar(i, START) for i in range(20)]], {8: -1})
    while not rig.session.desk.ledger.held:
        rig.step()
    (position,) = rig.session.snapshot(1, 0).positions
    assert position.price_now == rig.session.desk.quotes["EUR_USD"].ask


def test_the_next_bar_is_the_next_minute(rig: Rig) -> None:
    snapshot = rig.session.snapshot(1, 0)
    assert snapshot.next_bar_ns == rig.clock.now_ns() + 60 * NS_PER_S
    rig.clock._now_ns += 59 * NS_PER_S
    rig.command()
    assert rig.session.snapshot(2, 0).next_bar_ns == snapshot.next_bar_ns


def test_bars_are_the_newest_closed_ones_oldest_first(rig: Rig) -> None:
    bars = rig.session.snapshot(1, 0).bars
    assert set(bars) == {"EUR_USD", "GBP_USD"}
    times = [one.close_ts_ns for one in bars["EUR_USD"]]
    assert times == sorted(times) and times[-1] == rig.clock.now_ns()


def test_an_earlier_snapshot_is_untouched_by_what_happens_next(rig: Rig) -> None:
    before = rig.session.snapshot(1, 0)
    kept = repr(before)
    rig.step(PauseEntries(command_id="p"))
    rig.play()
    assert repr(before) == kept
    assert rig.session.snapshot(2, 0) != before


def test_the_digest_is_told_only_when_the_run_is_over(rig: Rig) -> None:
    assert rig.session.snapshot(1, 0).digest == ""
    rig.session.stop("stopped by the operator")
    snapshot = rig.session.snapshot(2, 0)
    assert len(snapshot.digest) == 64
    assert rig.rows("SELECT digest FROM runs") == [(snapshot.digest,)]
    assert (snapshot.session_state, snapshot.reason) == (SessionState.STOPPED, "stopped by the operator")


def test_a_tripped_breaker_tells_when_and_why_and_an_untripped_one_how_far(tmp_path: Path) -> None:
    falling = [bar(i, START - max(0, i - 10) * 5 * PIP) for i in range(40)]
    limits = dataclasses.replace(LIMITS, drawdown_pct_max=Decimal("0.3"), stop_loss_atr=Decimal(50))
    rig = make_rig(tmp_path, [falling], {8: 1}, limits=limits)
    while not rig.session.desk.panel.trips:
        rig.step()
    daily, drawdown, *others = rig.session.snapshot(1, 0).breakers
    assert [breaker.name for breaker in others] == ["loss_streak", "model_faults", "data_age", "broker_errors"]
    assert (daily.name, daily.tripped_ns, daily.cause) == ("daily_loss", None, "")
    assert (drawdown.name, drawdown.tripped_ns) == ("drawdown", rig.clock.now_ns())
    assert drawdown.limit == "0.3 %" and drawdown.cause == f"{drawdown.value} reached 0.3 %"
    assert daily.used_pct == pytest.approx(float(daily.value.split()[0]) / 3 * 100, rel=0.02)
    rig.command(AcknowledgeBreaker(command_id="a", breaker="drawdown", reason="looked"))
    assert [breaker.tripped_ns for breaker in rig.session.snapshot(2, 0).breakers] == [None] * 6


def test_what_was_latched_without_a_measure_is_shown_behind_the_breakers_that_have_one(rig: Rig) -> None:
    trip = Trip(breaker="late_fill", ts_ns=5, value="order a", limit="none", cause="order a was filled late")
    rig.session.desk.panel.latch(trip)
    *measured, late = rig.session.snapshot(1, 0).breakers
    assert [breaker.tripped_ns for breaker in measured] == [None] * 6
    assert (late.name, late.value, late.limit, late.used_pct) == ("late_fill", "order a", "none", 100.0)
    assert (late.tripped_ns, late.cause) == (5, "order a was filled late")
    rig.command(AcknowledgeBreaker(command_id="a", breaker="late_fill", reason="looked"))
    left = [breaker.name for breaker in rig.session.snapshot(2, 0).breakers]
    assert left == [breaker.name for breaker in DEFAULT_BREAKERS]


def test_the_trading_state_and_its_reason_follow_a_command(rig: Rig) -> None:
    rig.command(PauseEntries(command_id="p"))
    paused = rig.session.snapshot(1, 0)
    assert (paused.trading_state, paused.reason) == (TradingState.PAUSED, "entries paused by the operator")
    rig.command(HaltTrading(command_id="h"))
    halted = rig.session.snapshot(2, 0)
    assert (halted.trading_state, halted.reason) == (TradingState.HALTED, "halt by the operator")
    assert [verdict.command_id for verdict in halted.verdicts] == ["p", "h"]


def test_an_order_of_unknown_outcome_is_named(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [[bar(i, START) for i in range(20)]], {8: 1}, venue_speed=86_400.0)
    rig.broker.outcomes[1] = LOST_ORDER
    rig.play()
    snapshot = take_snapshot(rig.session.desk, (), revision=1, published_ns=0)
    assert snapshot.unresolved_orders == (rig.broker.submitted[0].client_order_id,)
    assert snapshot.positions == () and snapshot.counts.orders == 1


def flatten_that_goes_on(tmp_path: Path) -> Rig:
    """Flatten on a Friday after the close: the position stays until Sunday's open."""
    friday_close_ns = 1_736_546_400 * NS_PER_S - 12 * 60 * NS_PER_S
    shift = friday_close_ns - bar(0, START).open_ts_ns
    week_end = 48 * 3_600 * NS_PER_S
    made = [bar(i, START) for i in range(20)]
    bars = [
        replace(one, open_ts_ns=one.open_ts_ns + shift + (week_end if i >= 12 else 0)) for i, one in enumerate(made)
    ]
    limits = dataclasses.replace(LIMITS, weekend_cutoff_min=0, rollover_blackout_min=0)
    rig = make_rig(tmp_path, [bars], {shift // (60 * NS_PER_S) + 8: 1}, limits=limits)
    while rig.clock.now_ns() < friday_close_ns + 12 * 60 * NS_PER_S:
        rig.step()
    rig.latch.set("flatten by the operator")
    rig.command(FlattenAll(command_id="f"))
    return rig


def test_a_halt_behind_an_unfinished_flatten_tells_the_truth(tmp_path: Path) -> None:
    rig = flatten_that_goes_on(tmp_path)
    sent = rig.session.desk.orders.sent
    rig.command(HaltTrading(command_id="h"))
    promise = rig.session.desk.verdicts[-1].detail
    while rig.session.next_due_ns() is not None:
        rig.step()
    assert "nothing more is sent" not in promise or rig.session.desk.orders.sent == sent


def test_a_pause_while_halted_does_not_promise_exits(rig: Rig) -> None:
    rig.command(HaltTrading(command_id="h"))
    rig.command(PauseEntries(command_id="p"))
    assert "may be closed by signals" not in rig.session.desk.verdicts[-1].detail
