"""Orders of events that cost money when they go wrong: a halt behind a resume, a loss that an exit books."""

from decimal import Decimal
from pathlib import Path

from engine.domain.command import ClosePosition, FlattenAll, HaltTrading, ResumeTrading
from engine.domain.event import TradingState
from engine.domain.limits import ANY, RiskLimits, StopMode
from tests.unit.session.rig import Rig, bar, make_rig

QUIET = [bar(index, Decimal("1.10000")) for index in range(20)]
YEN = {"instrument": "USD_JPY", "spread": Decimal("0.010"), "reach": Decimal("0.010")}


def until_held(rig: Rig) -> None:
    while not rig.session.desk.ledger.held:
        rig.step()


def test_halt_behind_a_resume_in_one_step_halts(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [QUIET], {6: 1})
    rig.step()
    rig.latch.set("halt by the operator")
    rig.step(ResumeTrading(command_id="1"), HaltTrading(command_id="2"))
    assert rig.session.desk.trading_state is TradingState.HALTED
    rig.play()
    assert rig.session.desk.orders.sent == 0


def test_flatten_behind_a_resume_in_one_step_stays_flat(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [QUIET], {6: 1, 9: -1})
    until_held(rig)
    rig.latch.set("flatten by the operator")
    rig.step(ResumeTrading(command_id="1"), FlattenAll(command_id="2"))
    rig.play()
    assert rig.session.desk.trading_state is TradingState.HALTED
    assert rig.session.desk.ledger.held == ()


def test_loss_booked_by_an_exit_trips_the_breaker_before_the_next_entry(tmp_path: Path) -> None:
    """2.997 % down before the exit, 3.027 % after it: the conversion charge is booked with the loss."""
    limits = RiskLimits(
        risk_per_trade_pct=Decimal(5),
        exposure_pct_max=Decimal(3_000),
        exposure_net_pct_max=Decimal(3_000),
        margin_pct_max=Decimal(100),
        currency_pct_max={ANY: Decimal(3_000)},
        position_pct_max={ANY: Decimal(3_000)},
        position_units_max={ANY: Decimal(10**8)},
        order_interval_s_min=Decimal(120),
        stop_mode=StopMode.PIPS,
        stop_loss_pips=Decimal(100),
        take_profit_pips=Decimal(0),
        atr_period=2,
        daily_loss_pct_max=Decimal(3),
        drawdown_pct_max=Decimal(100),
    )
    prices = ["150.000"] * 7 + ["149.405"] * 7
    bars = [bar(index, Decimal(price), **YEN) for index, price in enumerate(prices)]  # type: ignore[arg-type]
    rig = make_rig(tmp_path, [bars], {6: 1, 7: -1, 8: 1}, limits=limits)
    rig.play()
    assert [decision.action.value for decision in rig.session.desk.decisions if decision.direction] == [
        "enter",
        "exit",
        "denied",
    ]
    assert [trip.breaker for trip in rig.session.desk.panel.trips] == ["daily_loss"]


def test_position_can_be_closed_by_command_in_a_replay_of_minutes(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [QUIET], {6: 1})
    until_held(rig)
    rig.step(ClosePosition(command_id="1", instrument="EUR_USD"))
    assert rig.session.desk.ledger.held == ()


def test_bar_of_an_instrument_without_a_quote_gets_a_decision(tmp_path: Path) -> None:
    cross = [bar(index, Decimal("0.85000"), instrument="EUR_GBP") for index in range(20)]
    leg = [bar(index, Decimal("1.27000"), instrument="GBP_USD") for index in range(20) if index not in (5, 6)]
    rig = make_rig(tmp_path, [cross, leg], {6: 1})
    rig.play()
    assert rig.session.desk.decisions_made == rig.session.desk.bars_seen > 0


def test_stop_that_is_hit_at_its_price_costs_no_more_than_the_risk_per_trade(tmp_path: Path) -> None:
    limits = RiskLimits(
        risk_per_trade_pct=Decimal(1),
        exposure_pct_max=Decimal(3_000),
        exposure_net_pct_max=Decimal(3_000),
        margin_pct_max=Decimal(100),
        currency_pct_max={ANY: Decimal(3_000)},
        position_pct_max={ANY: Decimal(3_000)},
        position_units_max={ANY: Decimal(10**8)},
        stop_mode=StopMode.PIPS,
        stop_loss_pips=Decimal(20),
        take_profit_pips=Decimal(0),
        atr_period=2,
    )
    bars = [bar(index, Decimal("150.000"), **YEN) for index in range(8)]  # type: ignore[arg-type]
    bars.append(bar(8, Decimal("150.000"), instrument="USD_JPY", spread=Decimal("0.010"), reach=Decimal("0.300")))
    rig = make_rig(tmp_path, [bars], {6: 1}, limits=limits)
    rig.play()
    assert -1_000 <= rig.session.desk.ledger.realized_pl_home < 0
