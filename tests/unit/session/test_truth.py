"""What the operator is told must be so: next bar, stop with an open question, equity of crosses, a stale page."""

import dataclasses
from collections import deque
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.command import LOOSEN, FlattenAll, ResumeTrading, SessionConfig, StopSession, UpdateRiskLimits
from engine.domain.error import HaltTrading
from engine.domain.event import SessionState
from engine.domain.limits import RiskLimits
from engine.domain.market import Granularity
from engine.domain.transaction import OrderCreated
from engine.session.desk import Desk
from engine.session.view import take_snapshot
from tests.unit.made import NOW_NS, fill, opens, paid_in, quote
from tests.unit.session.faulty import LOST_ANSWER, make_faulty
from tests.unit.session.rig import LIMITS, bar, make_rig
from tests.unit.session.test_desk import CAPITAL, at, desk_at
from tests.unit.session.test_view import flatten_that_goes_on

START = Decimal("1.10000")


def next_bar(granularity: Granularity, now: str, newest: str = "") -> int | None:
    """When the snapshot says that the running bar ends; the newest closed one began at `newest`."""
    desk = Desk(
        config=SessionConfig(instruments=("EUR_USD",), granularity=granularity), run_id=1, currency="USD",
        instruments=dict(CATALOGUE), offered=dict(CATALOGUE), granularity_ns=granularity.ns, limits=RiskLimits(),
        opening_balance_home=Decimal(100), now_ns=at(now),
    )  # fmt: skip
    desk.ledger.apply(paid_in(1, "100"))
    desk.open_books(Decimal(100))
    if newest:
        desk.bars["EUR_USD"] = deque([replace(bar(0, START), granularity=granularity, open_ts_ns=at(newest))])
    return take_snapshot(desk, (), revision=1, published_ns=0).next_bar_ns


@pytest.mark.parametrize(
    ("granularity", "now", "then"),
    [
        (Granularity.M1, "2025-01-06T10:00:00", "2025-01-06T10:01:00"),
        (Granularity.M1, "2025-01-06T10:00:59", "2025-01-06T10:01:00"),
        (Granularity.M15, "2025-01-06T10:07:00", "2025-01-06T10:15:00"),
        (Granularity.H1, "2025-01-06T10:59:00", "2025-01-06T11:00:00"),
        (Granularity.H2, "2025-07-07T10:59:00", "2025-07-07T11:00:00"),
        (Granularity.H3, "2025-01-06T10:59:00", "2025-01-06T11:00:00"),
        (Granularity.H4, "2025-01-06T10:59:00", "2025-01-06T13:00:00"),
        (Granularity.H4, "2025-07-07T13:00:00", "2025-07-07T17:00:00"),
        (Granularity.H6, "2025-01-06T10:59:00", "2025-01-06T11:00:00"),
        (Granularity.H8, "2025-01-06T10:59:00", "2025-01-06T17:00:00"),
        (Granularity.H12, "2025-03-07T16:59:00", "2025-03-07T17:00:00"),
        (Granularity.H12, "2025-03-09T17:03:00", "2025-03-10T05:00:00"),
    ],
)
def test_the_next_bar_closes_on_the_grid(granularity: Granularity, now: str, then: str) -> None:
    assert next_bar(granularity, now) == at(then)


def test_the_next_day_closes_at_five_in_new_york() -> None:
    assert next_bar(Granularity.D, "2025-01-06T10:00") == at("2025-01-06T17:00")


@pytest.mark.parametrize(
    ("granularity", "newest", "now", "then"),
    [
        # New York is four hours behind in summer: this recording counts its bars from midnight UTC.
        (Granularity.H4, "2025-07-07T04:00", "2025-07-07T08:00", "2025-07-07T12:00"),
        (Granularity.H4, "2025-07-07T04:00", "2025-07-07T11:59", "2025-07-07T12:00"),
        (Granularity.H4, "2025-07-04T12:00", "2025-07-06T21:00", "2025-07-07T00:00"),
        (Granularity.D, "2025-07-06T20:00", "2025-07-07T20:00", "2025-07-08T20:00"),
        (Granularity.H4, "2025-07-07T05:00", "2025-07-07T09:00", "2025-07-07T13:00"),
        (Granularity.M5, "2025-07-07T09:05", "2025-07-07T09:11", "2025-07-07T09:15"),
    ],
)
def test_the_next_bar_closes_on_the_grid_of_the_recording(
    granularity: Granularity, newest: str, now: str, then: str
) -> None:
    assert next_bar(granularity, now, newest) == at(then)


def test_a_stop_mentions_orders_of_unknown_outcome(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [[bar(index, START) for index in range(20)]], {8: 1})
    rig.broker.outcomes[1] = LOST_ANSWER
    while not rig.broker.submitted:
        rig.step()
    rig.command(StopSession(command_id="s"))
    assert rig.session.desk.state is SessionState.STOPPED
    assert rig.broker.inner.account().margin_used_home > 0
    assert "the outcome of 1 order(s) is not known" in rig.session.desk.verdicts[-1].detail


def test_equity_of_a_cross_is_the_brokers_whenever_both_legs_have_quotes(tmp_path: Path) -> None:
    cross = [bar(i, Decimal("0.85000") + Decimal("0.0001") * (i % 5), instrument="EUR_GBP") for i in range(30)]
    leg = [bar(i, Decimal("1.27000") + Decimal("0.0010") * (i % 3), instrument="GBP_USD") for i in range(30)]
    rig = make_rig(tmp_path, [cross, leg], {8: 1}, limits=dataclasses.replace(LIMITS, stop_loss_atr=Decimal(20)))
    compared = 0
    while rig.session.next_due_ns() is not None:
        rig.step()
        compared += bool(rig.session.desk.ledger.held)
        difference = rig.session.desk.equity_home - rig.broker.account().equity_home
        assert abs(difference) <= Decimal("0.0001")
    assert compared > 10


def stop_order(number: int, price: str) -> OrderCreated:
    """A stop that is put on trade 2 after it was opened."""
    return OrderCreated(
        transaction_id=number, ts_ns=NOW_NS, order_id=str(number), client_order_id=None, kind="STOP_LOSS_ORDER",
        instrument="EUR_USD", trade_id="2", price=Decimal(price),
    )  # fmt: skip


def test_two_trades_in_one_instrument_show_the_oldest_and_only_what_they_share() -> None:
    desk = desk_at("2025-01-06T10:00", "1000")
    early, late = NOW_NS, NOW_NS + 60 * 10**9
    stops = {"stop_loss": Decimal("1.08"), "take_profit": Decimal("1.20")}
    desk.ledger.apply(stop_order(3, "1.05"))
    for number, opened_ns, stop in ((4, late, "1.07"), (5, late, "1.06")):
        opened = opens(str(number), "500", price="1.20", **{**stops, "stop_loss": Decimal(stop)})
        desk.ledger.apply(replace(fill(number, "500", CAPITAL, opened=opened), ts_ns=opened_ns))
    desk.quotes["EUR_USD"] = quote("1.15", "1.16")
    desk.mark()
    (position,) = take_snapshot(desk, (), revision=1, published_ns=0).positions
    assert (position.units, position.average_price, position.opened_ns) == (2_000, Decimal("1.15"), early)
    assert (position.stop_loss, position.take_profit) == (None, None)
    assert position.trade_ids == ("2", "4", "5")


def test_trades_that_share_a_stop_show_it() -> None:
    desk = desk_at("2025-01-06T10:00", "1000")
    desk.ledger.apply(stop_order(3, "1.05"))
    desk.ledger.apply(fill(4, "500", CAPITAL, opened=opens("4", "500", stop_loss=Decimal("1.05"))))
    desk.quotes["EUR_USD"] = quote("1.15", "1.16")
    desk.mark()
    (position,) = take_snapshot(desk, (), revision=1, published_ns=0).positions
    assert (position.stop_loss, position.take_profit) == (Decimal("1.05"), None)
    assert position.risk_home == Decimal("0.10") * 1_500


def test_profit_of_the_day_is_not_changed_by_releasing_a_breaker() -> None:
    desk = desk_at("2025-01-06T10:00", "1000")
    desk.quotes["EUR_USD"] = quote("1.00", "1.00", ts_ns=desk.now_ns)
    desk.mark()
    desk.reanchor("daily_loss")
    snapshot = take_snapshot(desk, (), revision=1, published_ns=0)
    assert (snapshot.day_pl_home, snapshot.day_pl_pct) == (-100, -1)
    assert [breaker.value for breaker in snapshot.breakers] == [
        "0.00 %",
        "1.00 %",
        "0 trades",
        "0 faults",
        "0 s",
        "0 errors",
    ]


def test_a_flatten_is_tried_again_every_five_seconds_and_at_once_when_asked_again(tmp_path: Path) -> None:
    rig = flatten_that_goes_on(tmp_path)
    orders = rig.session.desk.orders
    sent = orders.sent
    for seconds, more in ((0, 0), (4, 0), (1, 1), (4, 1), (1, 2)):
        rig.clock._now_ns += seconds * 10**9
        rig.command()
        assert orders.sent - sent == more
    rig.command(FlattenAll(command_id="again"))
    assert orders.sent - sent == 3
    assert rig.session.desk.ledger.held == ("EUR_USD",)


def test_a_resume_gives_an_unfinished_flatten_up(tmp_path: Path) -> None:
    rig = flatten_that_goes_on(tmp_path)
    sent = rig.session.desk.orders.sent
    rig.latch.ask_release()
    rig.command(ResumeTrading(command_id="r"))
    assert rig.session.desk.verdicts[-1].accepted
    while rig.session.next_due_ns() is not None:
        rig.step()
    assert rig.session.desk.orders.sent == sent and rig.session.desk.ledger.held == ("EUR_USD",)


def test_new_limits_are_on_record_and_outdate_every_page_drawn_before(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [[bar(index, START) for index in range(20)]], {})
    seen = rig.session.snapshot(1, 0).revision
    tighter = dataclasses.replace(LIMITS, positions_max=1)
    rig.command(UpdateRiskLimits(command_id="u", limits=tighter, expected_revision=seen))
    assert rig.session.desk.verdicts[-1].accepted
    rig.command(UpdateRiskLimits(command_id="v", limits=LIMITS, expected_revision=seen))
    assert not rig.session.desk.verdicts[-1].accepted
    assert rig.session.snapshot(2, 0).limits == tighter
    rig.command(UpdateRiskLimits(command_id="w", limits=LIMITS, expected_revision=2, confirmation=LOOSEN))
    assert rig.session.desk.verdicts[-1].accepted and rig.session.snapshot(3, 0).limits == LIMITS
    changed = rig.rows(
        "SELECT json_extract(payload, '$.limits.positions_max') FROM events WHERE kind = 'LimitsChanged' ORDER BY seq"
    )
    assert changed == [(1,), (LIMITS.positions_max,)]


def test_a_flatten_whose_outcome_cannot_be_read_never_opens_the_other_side(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [[bar(index, START) for index in range(30)]], {8: 1})
    while not rig.session.desk.ledger.held:
        rig.step()
    rig.broker.unreadable = "the broker cannot be reached"
    rig.command(FlattenAll(command_id="f"))
    for _ in range(5):
        rig.step()
    assert "NOT FLAT" in rig.session.desk.verdicts[-1].detail
    assert rig.broker.inner.account().margin_used_home == 0
    rig.broker.unreadable = ""
    rig.step()
    desk = rig.session.desk
    assert desk.ledger.held == () and desk.flattening is None and desk.orders.idle
    ids = [one.client_order_id for one in rig.broker.submitted]
    assert len(set(ids)) == len(ids) > 2 and all(one.reduce_only for one in rig.broker.submitted[1:])
    fills = rig.rows("SELECT units FROM fills ORDER BY seq")
    assert len(fills) == 2 and sum(Decimal(units) for (units,) in fills) == 0


def test_a_released_drawdown_breaker_follows_equity_up_again() -> None:
    desk = desk_at("2025-01-06T10:00", "1000")
    readings = []
    for bid in ("1.00", "1.20", "1.15"):
        desk.quotes["EUR_USD"] = quote(bid, bid)
        desk.mark()
        if bid == "1.00":
            desk.reanchor("drawdown")
        readings.append(desk.panel.breakers[1].read(desk.account_view()).measured)
    assert readings == [0, 0, 50 / (CAPITAL + 100) * 100]


def test_a_halted_session_that_was_stopped_says_that_it_was_stopped(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [[bar(index, START) for index in range(20)]], {})
    rig.latch.set("halt by the operator")
    rig.command(StopSession(command_id="s"))
    assert rig.session.snapshot(1, 0).reason == "stopped by the operator"


def test_a_transaction_that_our_books_refuse_is_still_on_record(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [[bar(index, START) for index in range(20)]], {8: 1})
    rig.session.desk.ledger.balance_home += 1
    with pytest.raises(HaltTrading, match="our books say"):
        rig.play()
    assert rig.rows("SELECT count(*) FROM fills") == [(1,)]
