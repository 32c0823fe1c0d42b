"""Books that were not the broker's in an earlier bot: lost fills, lost stops, lost restarts, lost fractions."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.decision import Action
from engine.domain.limits import ANY
from engine.store import queries
from engine.venue import launch
from pages.parts import formats, trade_tables
from tests.fakes.faults import SilenceAfter
from tests.regression.practice import LIMITS, Model, practising
from tests.unit.adapters.oanda.stand import Stand, standing


def test_restart_adopts_book(stand: Stand, tmp_path: Path) -> None:
    """After a restart the book was empty: the next signal of the same side opened a second position."""
    with practising(stand, tmp_path, Model(1)) as practice:
        practice.until(lambda: practice.units())
        held = stand.units()
        practice.session.commit()
    with practising(stand, tmp_path, Model(1)) as practice:
        assert {"EUR_USD": practice.units()} == held and practice.desk.foreign_trades() == ()
        practice.until_bars(3)
        assert [one.reason for one in practice.desk.decisions] == ["already long"] * 3
        assert stand.units() == held and len(practice.posts()) == 1
        practice.check()


def test_sl_fill_closes_trade(new_stand: Stand, tmp_path: Path) -> None:
    """A stop that the broker filled was never seen: the trade stayed open, and its side was ignored for ever."""
    with practising(new_stand, tmp_path, Model(1)) as practice:
        practice.until(lambda: practice.units())
        (trade,) = practice.desk.ledger.open_trades
        opening = practice.desk.ledger.balance_home
        below = trade.stop_loss - Decimal("0.0005")  # type: ignore[operator]
        practice.by_hand = str(below), str(below + Decimal("0.0001"))
        practice.step()
        assert practice.units() == 0
        ((state, reason, realized),) = practice.rows("SELECT state, exit_reason, realized_pl_home FROM trades")
        assert (state, reason) == ("CLOSED", "stop loss")
        assert practice.desk.ledger.balance_home - opening == Decimal(realized) < 0
        practice.check()
        practice.until(lambda: practice.units() > 0)
        assert [one.action for one in practice.desk.decisions if one.client_order_id] == [Action.ENTER] * 2
        practice.check()


def until(truth: Callable[[], object]) -> None:
    """Wait for what a stream is about to bring or to miss."""
    for _ in range(2_000):
        if truth():
            return
        Event().wait(0.005)
    raise AssertionError("it never came true")


def test_stream_gap_replayed(stand: Stand, tmp_path: Path) -> None:
    """What happened while the transaction stream was down was lost for good."""
    model = Model(1)
    with practising(stand, tmp_path, model, streams=True) as practice:
        until(practice.oanda.broker.is_streaming)
        before = stand.last_id()
        practice.until(lambda: practice.units())
        model.direction = 0
        stand.proxy.inject(SilenceAfter(lines=0), path="transactions/stream", times=None)
        stand.proxy.drop_connections()
        until(lambda: not practice.oanda.broker.is_streaming())
        for units in (300, -700):
            stand.order(units)
        stand.send("PUT", f"/trades/{practice.desk.ledger.open_trades[0].trade_id}/close", {})
        practice.step()
        practice.check()
        told = practice.rows("SELECT transaction_id FROM fills ORDER BY transaction_id")
        at_venue = stand.ask(f"/transactions/sinceid?id={before}")["transactions"]
        assert told == [(int(each["id"]),) for each in at_venue if each["type"] == "ORDER_FILL"]
        assert len(told) == 4


def test_fractional_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """int("0.1") raised: the fill of a fraction was lost, and the page of positions stayed empty."""
    gold = replace(CATALOGUE["XAU_USD"], units_decimals=1, units_min=Decimal("0.1"))
    monkeypatch.setattr(launch, "CATALOGUE", {**CATALOGUE, "XAU_USD": gold})
    limits = dataclasses.replace(LIMITS, position_units_max={ANY: Decimal("0.78")})
    model = Model(-1)
    with (
        standing(seed=7) as stand,
        practising(stand, tmp_path, model, instruments=("XAU_USD",), limits=limits) as practice,
    ):
        practice.until(lambda: practice.units("XAU_USD"))
        assert [order["units"] for order in practice.posts()] == ["-0.7"]
        (trade,) = practice.desk.ledger.open_trades
        model.direction = 0
        stand.send("PUT", f"/trades/{trade.trade_id}/close", {"units": "0.3"})
        practice.until_bars(1)
        practice.check()
        (shown,) = practice.session.snapshot(1, 0).positions
        assert shown.units == Decimal("-0.4") == stand.units()["XAU_USD"]
        assert (formats.side(shown.units), formats.units(shown.units)) == ("▼ short", "0.4")
        assert practice.rows("SELECT units FROM fills ORDER BY transaction_id") == [("-0.7",), ("0.3",)]
        conn = queries.connect_readonly(tmp_path / "practice.sqlite")
        frame = trade_tables.opened(queries.trades(conn), None, {})
        conn.close()
        assert [str(units) for units in frame["Units"]] == ["0.4"]
