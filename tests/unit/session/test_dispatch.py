"""The way out: persisted before it is sent, sent once, and believed only when the broker's log says so."""

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import ClosePosition, FlattenAll, HaltTrading
from engine.domain.error import HaltTrading as HaltTradingNow
from engine.domain.event import SessionState, TradingState
from engine.domain.order import OrderIntent, OrderStatus
from engine.node import HaltLatch
from engine.risk.conduct import LastEntry
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, NOT_SENT, FaultyRig, make_faulty
from tests.unit.session.rig import LIMITS, bar

START = Decimal("1.10000")
GRACE_OF_DAYS = 86_400.0


def quiet(count: int = 30, instrument: str = "EUR_USD") -> list:
    return [bar(index, START, instrument=instrument) for index in range(count)]


def seen_on_disk(database: Path, client_order_id: str) -> list[tuple]:
    """What a second connection, which sees committed rows only, knows of an order."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(
            "SELECT events.kind, orders.status FROM events JOIN orders USING (client_order_id) "
            "WHERE client_order_id = ? AND kind = 'OrderInitialized'",
            [client_order_id],
        ).fetchall()
    finally:
        connection.close()


def until_sent(rig: FaultyRig, count: int = 1) -> None:
    while len(rig.broker.submitted) < count:
        rig.step()


def test_the_intent_is_on_disk_before_the_broker_hears_of_it(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: -1, 16: 1})
    found = []
    rig.broker.on_submit = lambda intent: found.append(seen_on_disk(rig.database, intent.client_order_id))
    rig.play()
    assert found == [[("OrderInitialized", "INITIALIZED")]] * 5


def test_close_and_flatten_orders_are_on_disk_first_too(tmp_path: Path) -> None:
    names = ("EUR_USD", "GBP_USD")
    rig = make_faulty(tmp_path, [quiet(instrument=name) for name in names], {8: 1})
    until_sent(rig, 2)
    found = []
    rig.broker.on_submit = lambda intent: found.append(seen_on_disk(rig.database, intent.client_order_id))
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    rig.command(FlattenAll(command_id="f"))
    assert found == [[("OrderInitialized", "INITIALIZED")]] * 2
    assert rig.latch.engaged() == "flatten by the operator"
    rows = rig.rows("SELECT reason, command_id FROM orders WHERE command_id IS NOT NULL ORDER BY seq")
    assert rows == [("close_command", "c"), ("flatten", "f")]


class LatchOnCommit(HaltLatch):
    """A latch that someone sets at the very moment the intent has become durable."""

    database: Path
    broker_count = staticmethod(lambda: 0)

    def engaged(self) -> str | None:
        if self._initialized() and self.broker_count() == 0:
            self.set("halt by the operator")
        return super().engaged()

    def _initialized(self) -> bool:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            sql = "SELECT count(*) FROM events WHERE kind = 'OrderInitialized'"
            return bool(connection.execute(sql).fetchone()[0])
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()


def test_the_latch_is_asked_between_the_commit_and_the_send(tmp_path: Path) -> None:
    latch = LatchOnCommit(tmp_path / "HALT")
    latch.database = tmp_path / "made.sqlite"
    rig = make_faulty(tmp_path, [quiet()], {8: 1}, latch=latch)
    rig.play()
    assert rig.broker.submitted == []
    assert rig.rows("SELECT status, detail FROM orders") == [("DENIED", "halt by the operator")]
    assert (rig.session.desk.orders.idle, rig.session.desk.orders.sent) == (True, 0)
    assert rig.session.desk.conduct.last_entry("EUR_USD") is None
    assert (
        rig.session.desk.conduct.orders_last_minute(rig.session.desk.now_ns) == 0
        and rig.session.desk.counts().orders == 0
    )


@pytest.mark.parametrize(
    ("changed", "reason", "errors"),
    [
        ({"units": Decimal(10**8)}, "INSUFFICIENT_MARGIN", 1),
        ({"price_bound": Decimal("0.001")}, "BOUNDS_VIOLATION", 0),
    ],
)
def test_an_order_that_the_broker_ends_counts_as_an_error_unless_its_price_has_gone(
    tmp_path: Path, changed: dict[str, Decimal], reason: str, errors: int
) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    rig.broker.change = lambda intent: replace(intent, **changed)
    while not rig.broker.submitted:
        rig.step()
    desk = rig.session.desk
    assert rig.rows("SELECT status, detail FROM orders") == [("CANCELED", reason)]
    assert desk.conduct.errors(desk.now_ns) == errors


def test_an_order_that_was_not_sent_is_rejected_and_the_next_signal_may_enter(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: 1})
    rig.broker.outcomes[1] = NOT_SENT
    rig.play()
    assert rig.rows("SELECT status, detail FROM orders ORDER BY seq")[0] == ("REJECTED", "connection refused")
    assert rig.rows("SELECT status FROM orders ORDER BY seq")[1] == ("FILLED",)
    assert rig.session.desk.orders.idle
    assert len(rig.session.desk.ledger.open_trades) == 1
    kinds = rig.rows("SELECT payload FROM events WHERE kind = 'OrderUpdated'")
    assert len(kinds) == 1


@pytest.mark.parametrize("outcome", [LOST_ORDER, LOST_ANSWER])
def test_an_unresolved_order_reserves_and_no_second_order_leaves_in_its_instrument(
    tmp_path: Path, outcome: object
) -> None:
    bars = [quiet(), quiet(instrument="GBP_USD")]
    rig = make_faulty(tmp_path, bars, {8: 1, 12: -1, 16: 1}, venue_speed=GRACE_OF_DAYS)
    rig.broker.outcomes[1] = outcome  # type: ignore[assignment]
    rig.play()
    desk = rig.session.desk
    first = rig.broker.submitted[0]
    assert [one.client_order_id for one in rig.broker.submitted if one.instrument == "EUR_USD"] == [
        first.client_order_id
    ]
    assert desk.orders.reserved_units("EUR_USD") == abs(first.units)
    assert [order.status for order in desk.orders.open_orders if order.intent == first] == [OrderStatus.UNRESOLVED]
    assert ("UNRESOLVED", outcome.reason) in rig.rows("SELECT status, detail FROM orders")  # type: ignore[attr-defined]
    blocked = [one for one in desk.decisions if one.instrument == "EUR_USD" and one.direction][1:]
    assert all("unresolved" in {gate.name for gate in one.blocking} for one in blocked) and len(blocked) == 2
    assert rig.session.snapshot(1, 0).unresolved_orders[0] == first.client_order_id


def test_a_late_fill_in_the_log_settles_an_unresolved_order(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: -1, 16: -1}, venue_speed=GRACE_OF_DAYS)
    rig.broker.outcomes[1] = LOST_ANSWER
    until_sent(rig)
    for _ in range(5):
        rig.step()
    desk = rig.session.desk
    assert desk.ledger.held == () and not desk.orders.idle
    rig.broker.log_end = None
    rig.step()
    first = rig.broker.submitted[0]
    assert desk.orders.idle and desk.ledger.units("EUR_USD") == first.units
    assert rig.rows("SELECT status FROM orders") == [("FILLED",)]
    rig.play()
    assert desk.ledger.balance_home == rig.broker.inner.account().balance_home
    assert [one.units > 0 for one in rig.broker.submitted] == [True, False, False]


def test_no_client_order_id_is_ever_sent_twice(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet(60)], {index: (-1) ** (index // 3) for index in range(6, 58, 3)})
    rig.broker.outcomes = {2: NOT_SENT, 4: LOST_ANSWER, 7: NOT_SENT}
    while rig.session.next_due_ns() is not None:
        rig.step()
        rig.broker.log_end = None  # the next step reads what became of an answer that was lost
    ids = [one.client_order_id for one in rig.broker.submitted]
    assert len(ids) > 7 and len(set(ids)) == len(ids)
    stored = [row[0] for row in rig.rows("SELECT client_order_id FROM orders WHERE status <> 'DENIED'")]
    assert sorted(stored) == sorted(ids)
    assert all(one == f"1-EUR_USD-{one.split('-')[2]}-{one.split('-')[3]}" for one in ids)


def test_an_order_in_another_instrument_counts_what_is_unresolved_as_exposure(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, exposure_pct_max=Decimal(150))
    rig = make_faulty(tmp_path, [quiet(), quiet(instrument="GBP_USD")], {8: 1}, limits=limits)
    rig.broker.outcomes[1] = LOST_ORDER
    rig.play()
    assert [one.instrument for one in rig.broker.submitted] == ["EUR_USD"]
    denied = [one for one in rig.session.desk.decisions if one.instrument == "GBP_USD" and one.direction]
    assert [[gate.name for gate in one.blocking] for one in denied] == [["exposure"]]


def test_an_unresolved_instrument_counts_as_a_position(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, positions_max=1)
    rig = make_faulty(tmp_path, [quiet(), quiet(instrument="GBP_USD")], {8: 1}, limits=limits)
    rig.broker.outcomes[1] = LOST_ORDER
    rig.play()
    denied = [one for one in rig.session.desk.decisions if one.instrument == "GBP_USD" and one.direction]
    assert [[gate.name for gate in one.blocking] for one in denied] == [["positions"]]


def test_a_close_command_waits_for_the_outcome_of_another_order(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: -1})
    rig.broker.outcomes[2] = LOST_ANSWER
    until_sent(rig, 2)
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    verdict = rig.session.desk.verdicts[-1]
    assert not verdict.accepted and "not known yet" in verdict.detail
    assert len(rig.broker.submitted) == 2


def test_flatten_waits_for_an_unresolved_order_and_then_closes_what_it_became(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    rig.broker.outcomes[1] = LOST_ANSWER
    until_sent(rig)
    rig.command(FlattenAll(command_id="f"))
    assert "NOT FLAT" in rig.session.desk.verdicts[-1].detail
    assert len(rig.broker.submitted) == 1
    rig.broker.log_end = None
    rig.step()
    desk = rig.session.desk
    assert [one.units for one in rig.broker.submitted[1:]] == [-rig.broker.submitted[0].units]
    assert desk.ledger.held == () and desk.flattening is None
    assert rig.broker.inner.account().margin_used_home == 0


def test_while_the_log_cannot_be_read_the_session_opens_nothing_and_keeps_deciding(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {10: 1, 16: 1})
    while rig.session.desk.counts().bars < 4:
        rig.step()
    rig.broker.unreadable = "the broker cannot be reached"
    for _ in range(4):
        rig.step()
    desk = rig.session.desk
    assert (desk.state, desk.trading_state) == (SessionState.DEGRADED, TradingState.REDUCING)
    assert desk.state_reason == "the broker cannot be reached"
    assert rig.broker.submitted == []
    rig.broker.unreadable = ""
    rig.play()
    assert len(rig.broker.submitted) == 1
    assert desk.counts().decisions == desk.counts().bars == 30 - 5
    states = rig.rows("SELECT json_extract(payload, '$.state') FROM events WHERE kind = 'TradingStateChanged'")
    assert [row[0] for row in states] == ["REDUCING", "ACTIVE"]


def test_a_log_that_breaks_off_after_the_answer_leaves_the_order_open_until_it_is_read(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 10: -1})

    def break_line(intent: OrderIntent) -> None:
        rig.broker.unreadable = "the broker cannot be reached"

    rig.broker.on_submit = break_line
    until_sent(rig)
    rig.step()
    desk = rig.session.desk
    assert [order.status for order in desk.orders.open_orders] == [OrderStatus.SUBMITTED]
    assert desk.state is SessionState.DEGRADED
    rig.broker.unreadable, rig.broker.on_submit = "", lambda intent: None
    rig.step()
    assert desk.orders.idle and desk.ledger.held == ("EUR_USD",) and desk.state is SessionState.RUNNING


def test_a_log_that_breaks_off_opens_nothing_more_in_the_same_step(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet(), quiet(instrument="GBP_USD")], {8: 1})

    def break_line(intent: OrderIntent) -> None:
        rig.broker.unreadable = "the broker cannot be reached"

    rig.broker.on_submit = break_line
    until_sent(rig)
    for _ in range(3):
        rig.step()
    assert [one.instrument for one in rig.broker.submitted] == ["EUR_USD"]


def test_a_fill_beyond_the_order_faults_and_the_fill_is_still_recorded(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    rig.broker.change = lambda intent: replace(intent, units=2 * intent.units)
    with pytest.raises(HaltTradingNow, match="ordered"):
        rig.play()
    rig.session.fault("session", "too much filled")
    held = rig.session.snapshot(1, 0).open_trades
    assert [str(trade.units) for trade in held] == [row[0] for row in rig.rows("SELECT units FROM trades")]


def test_a_halt_denies_a_close_that_raced_with_it(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    until_sent(rig)
    rig.command(HaltTrading(command_id="h"))
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    assert not rig.session.desk.verdicts[-1].accepted
    assert len(rig.broker.submitted) == 1


def test_a_halt_that_comes_within_the_step_stops_exits_and_closes_too(tmp_path: Path) -> None:
    for name, signals in (("exit", {8: 1, 12: -1}), ("close", {8: 1})):
        (tmp_path / name).mkdir()
        rig = make_faulty(
            tmp_path / name, [quiet()], signals, limits=dataclasses.replace(LIMITS, order_interval_s_min=Decimal(600))
        )
        while rig.session.desk.counts().bars < 7:
            rig.step()
        assert rig.session.desk.ledger.held == ("EUR_USD",)
        inner = rig.market.inner

        def halt_then_poll(now_ns: int, rig: FaultyRig = rig, poll: Callable[[int], Sequence] = inner.poll) -> Sequence:
            rig.latch.set("halt by the operator")
            return poll(now_ns)

        rig.market.poll = halt_then_poll  # type: ignore[method-assign]
        rig.step(*([ClosePosition(command_id="c", instrument="EUR_USD")] if name == "close" else []))
        assert len(rig.broker.submitted) == 1
        assert rig.rows("SELECT status, detail FROM orders ORDER BY seq")[1:] == [("DENIED", "halt by the operator")]


def test_only_entries_start_the_order_interval(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    until_sent(rig)
    entered = rig.session.desk.conduct.last_entry("EUR_USD")
    assert entered == LastEntry(ts_ns=rig.clock.now_ns(), side=1, in_a_row=1)
    rig.step(ClosePosition(command_id="c", instrument="EUR_USD"))
    assert len(rig.broker.submitted) == 2
    assert rig.session.desk.conduct.last_entry("EUR_USD") == entered


def test_flatten_closes_what_is_held_even_when_another_order_was_lost(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1, 12: -1})
    rig.broker.outcomes[2] = LOST_ORDER
    until_sent(rig, 2)
    rig.command(FlattenAll(command_id="f"))
    assert "trying again" in rig.session.desk.verdicts[-1].detail
    rig.play()
    assert rig.session.desk.ledger.held == ()


def test_a_close_that_failed_says_why(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    until_sent(rig)
    rig.broker.outcomes[2] = NOT_SENT
    rig.command(ClosePosition(command_id="c", instrument="EUR_USD"))
    assert rig.session.desk.orders.idle and rig.session.desk.ledger.held == ("EUR_USD",)
    assert "connection refused" in rig.session.desk.verdicts[-1].detail


def test_a_fill_on_the_other_side_of_the_order_halts(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    rig.broker.change = lambda intent: replace(intent, units=-intent.units, stop_loss=None, price_bound=None)
    with pytest.raises(HaltTradingNow, match="filled of"):
        rig.play()
    assert len(rig.broker.submitted) == 1
