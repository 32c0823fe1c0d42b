"""A reversal closes first: its entry leaves only when the books say that nothing is held, and opens what is planned."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from engine.domain.decision import Action
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import ANY, RiskLimits
from engine.domain.market import Bar
from engine.domain.order import OrderIntent, OrderReason
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, NOT_SENT, FaultyRig, make_faulty
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, PIP, bar

START = Decimal("1.10000")
EUR = "EUR_USD"
OPENED, CLOSED, ENTERED = 1, 2, 3
NOT_CLOSED = f"the position in {EUR} is not closed"
ROWS = "SELECT reason, status, detail FROM orders ORDER BY seq"
FIRST = ("signal", "FILLED", "")


def quiet(count: int = 40) -> list[Bar]:
    return [bar(index, START) for index in range(count)]


def long(folder: Path, *, limits: RiskLimits = LIMITS) -> FaultyRig:
    """A session that is long, and turns short with bar 12."""
    rig = make_faulty(folder, [quiet()], {8: 1, 12: -1}, limits=limits)
    while not rig.broker.submitted:
        rig.step()
    return rig


def until_reversed(rig: FaultyRig, count: int = 1) -> None:
    """Play until so many reversals were decided on."""
    while sum(one.action is Action.REVERSE for one in rig.session.desk.decisions) < count:
        rig.step()


def at_close(rig: FaultyRig, deed: Callable[[], None]) -> None:
    """Let something happen while the closing order is on its way."""
    rig.broker.on_submit = lambda intent: deed() if intent.reason is OrderReason.EXIT else None


def move(rig: FaultyRig, pips: int) -> None:
    """Let the market move at the broker, which we do not hear of."""
    quote = rig.broker.inner.quotes[EUR]
    rig.broker.inner._exchange.on_quote(EUR, quote.bid + pips * PIP, quote.ask + pips * PIP)


def net(rig: FaultyRig) -> Decimal:
    """What the broker holds."""
    return sum((trade.units for trade in rig.broker.inner.holdings().trades), Decimal(0))


def with_limits(**changes: object) -> RiskLimits:
    return dataclasses.replace(LIMITS, **changes)


def test_two_orders_one_decision_and_the_planned_position(tmp_path: Path) -> None:
    rig = long(tmp_path)
    held = net(rig)
    until_reversed(rig)
    decision = rig.session.desk.decisions[-1]
    opened, closed, entered = rig.broker.submitted
    assert (decision.action, decision.units, decision.client_order_id) == (
        Action.REVERSE,
        entered.units,
        entered.client_order_id,
    )
    assert (closed.units, closed.reduce_only, closed.reason) == (-held, True, OrderReason.EXIT)
    assert (closed.stop_loss, closed.price_bound) == (None, None)
    assert (entered.reduce_only, entered.reason) == (False, OrderReason.SIGNAL)
    assert entered.units == net(rig) == rig.session.desk.ledger.units(EUR) < 0
    run, name, bar_ts_ns, number = entered.client_order_id.split("-")
    assert closed.client_order_id == f"{run}-{name}-{bar_ts_ns}-{int(number) - 1}"
    rig.play()
    assert rig.rows(ROWS) == [FIRST, ("exit", "FILLED", ""), ("signal", "FILLED", "")]
    assert rig.rows("SELECT exit_reason FROM trades WHERE state = 'CLOSED'") == [("exit",)]
    assert rig.rows("SELECT count(*), count(DISTINCT bar_ts_ns) FROM decisions") == [(35, 35)]
    assert rig.session.desk.counts().denied == 0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(NOT_SENT, "REJECTED"), (LOST_ORDER, "UNRESOLVED"), (LOST_ANSWER, "UNRESOLVED")],
    ids=["rejected", "lost", "answer lost"],
)
def test_no_entry_when_nobody_says_that_the_close_was_done(tmp_path: Path, outcome: object, status: str) -> None:
    rig = long(tmp_path)
    rig.broker.outcomes[CLOSED] = outcome  # type: ignore[assignment]
    until_reversed(rig)
    assert len(rig.broker.submitted) == CLOSED
    assert rig.rows(ROWS) == [FIRST, ("exit", status, outcome.reason), ("signal", "DENIED", NOT_CLOSED)]  # type: ignore[attr-defined]
    assert (
        rig.session.desk.decisions[-1].client_order_id
        == rig.rows("SELECT client_order_id FROM orders WHERE status = 'DENIED'")[0][0]
    )
    assert rig.session.desk.counts().denied == 1
    rig.broker.log_end = None
    rig.play()
    assert len(rig.broker.submitted) == CLOSED, "the entry is not made up for"


def test_no_entry_when_the_broker_cancels_the_close(tmp_path: Path) -> None:
    rig = long(tmp_path)
    rig.broker.change = lambda intent: (
        replace(intent, price_bound=2 * START) if intent.reason is OrderReason.EXIT else intent
    )
    until_reversed(rig)
    assert net(rig) > 0 and len(rig.broker.submitted) == CLOSED
    assert [row[1] for row in rig.rows(ROWS)] == ["FILLED", "CANCELED", "DENIED"]
    assert rig.rows(ROWS)[-1][-1] == NOT_CLOSED


def test_no_entry_when_the_broker_cannot_be_read_behind_the_close(tmp_path: Path) -> None:
    rig = long(tmp_path)
    at_close(rig, lambda: setattr(rig.broker, "unreadable", "the server is busy"))
    until_reversed(rig)
    assert rig.session.desk.state is SessionState.DEGRADED
    assert rig.rows(ROWS)[-1] == ("signal", "DENIED", NOT_CLOSED)
    rig.broker.unreadable = ""
    rig.play()
    assert len(rig.broker.submitted) == CLOSED and net(rig) == 0


@pytest.mark.parametrize("left", ["nothing", "a half"])
def test_what_closes_meanwhile_is_not_opened_on_top(tmp_path: Path, left: str) -> None:
    """The stop closes the position while the closing order is on its way, or a hand does so by half."""
    house = House(tmp_path, [quiet()], {8: 1, 12: -1})
    held = house.until_sent().units
    house.wait(0.1)

    def meanwhile(intent: OrderIntent) -> None:
        if intent.reason is OrderReason.EXIT:
            if left == "nothing":
                (trade,) = house.broker.inner.holdings().trades
                house.broker.inner.close_trade(trade.trade_id, EUR)
            else:
                house.broker.by_hand(EUR, -int(held // 2), house.clock.now_ns())

    house.broker.on_submit = meanwhile
    entered = house.until_sent(ENTERED)
    decision = house.session.desk.decisions[-1]
    units = [trade.units for trade in house.broker.inner.holdings().trades]
    assert units == [entered.units] == [decision.units]
    house.wait(0.1)
    house.check()
    house.close()


def test_a_position_that_is_not_wholly_closed_is_no_reason_to_enter(tmp_path: Path) -> None:
    """The operator buys more in the broker's own app while the closing order is on its way."""
    house = House(tmp_path, [quiet()], {8: 1, 12: -1})
    house.until_sent()
    house.wait(0.1)

    def meanwhile(intent: OrderIntent) -> None:
        if intent.reason is OrderReason.EXIT:
            house.broker.by_hand(EUR, 700, house.clock.now_ns())

    house.broker.on_submit = meanwhile
    house.until_sent(CLOSED)
    assert house.session.desk.ledger.units(EUR) == 700
    assert house.rows(ROWS)[-1] == ("signal", "DENIED", NOT_CLOSED)
    assert len(house.broker.submitted) == CLOSED
    house.close()


def test_no_entry_while_the_end_of_the_close_is_not_in_the_log(tmp_path: Path) -> None:
    """A half was closed by hand, the close has filled the other; that its rest is cancelled comes in the next page."""
    house = House(tmp_path, [quiet()], {8: 1, 12: -1})
    held = house.until_sent().units
    house.wait(0.1)

    def meanwhile(intent: OrderIntent) -> None:
        if intent.reason is OrderReason.EXIT:
            house.broker.by_hand(EUR, -int(held // 2), house.clock.now_ns())
            house.broker.on_read = lambda afresh: setattr(
                house.broker, "log_end", house.broker.inner.account().last_transaction_id - 1
            )

    house.broker.on_submit = meanwhile
    house.until_sent(CLOSED)
    assert house.session.desk.ledger.held == ()
    reason, status, detail = house.rows(ROWS)[-1]
    assert (reason, status) == ("signal", "DENIED") and "unresolved: " in detail
    assert len(house.broker.submitted) == CLOSED
    house.close()


def test_a_breaker_that_the_close_trips_keeps_the_entry_back(tmp_path: Path) -> None:
    rig = long(tmp_path, limits=with_limits(stop_loss_atr=Decimal(20), drawdown_pct_max=Decimal("0.2")))
    at_close(rig, lambda: move(rig, -30))
    until_reversed(rig)
    desk = rig.session.desk
    assert [trip.breaker for trip in desk.panel.trips] == ["drawdown"] and desk.ledger.held == ()
    reason, status, detail = rig.rows(ROWS)[-1]
    assert (reason, status) == ("signal", "DENIED")
    assert detail == "trading_state: REDUCING (breaker drawdown), limit ACTIVE"
    assert len(rig.broker.submitted) == CLOSED and net(rig) == 0


def test_a_late_fill_that_is_told_of_behind_the_close_keeps_the_entry_back(tmp_path: Path) -> None:
    rig = long(tmp_path)
    at_close(rig, lambda: rig.session._dispatcher._trip("order of before"))
    until_reversed(rig)
    assert rig.rows(ROWS)[-1][1:] == ("DENIED", "trading_state: REDUCING (breaker late_fill), limit ACTIVE")
    assert len(rig.broker.submitted) == CLOSED


@pytest.mark.parametrize(("pips", "sent"), [(0, True), (-2, True), (-4, False)])
def test_an_entry_that_would_risk_too_much_after_the_close_stays_back(tmp_path: Path, pips: int, sent: bool) -> None:
    """A reversal is sized for a close that slips by as much as an entry may, 2 pips, and not for one by more."""
    wide = Decimal(3_000)
    loose = with_limits(
        position_units_max={ANY: Decimal(10_000_000)}, position_pct_max={ANY: wide}, exposure_pct_max=wide,
        exposure_net_pct_max=wide, currency_pct_max={ANY: wide},
    )  # fmt: skip
    rig = long(tmp_path, limits=loose)
    at_close(rig, lambda: move(rig, pips))
    until_reversed(rig)
    decision = rig.session.desk.decisions[-1]
    assert (len(rig.broker.submitted) == ENTERED) is sent
    if not sent:
        assert rig.rows(ROWS)[-1][1] == "DENIED" and rig.rows(ROWS)[-1][2].startswith("risk_per_trade: ")
    assert rig.session.desk.ledger.units(EUR) == net(rig) == (decision.units if sent else 0)


def test_a_halt_between_the_two_keeps_the_entry_back(tmp_path: Path) -> None:
    rig = long(tmp_path)
    at_close(rig, lambda: rig.latch.set("halt by the operator"))
    until_reversed(rig)
    assert rig.rows(ROWS)[1:] == [("exit", "FILLED", ""), ("signal", "DENIED", "halt by the operator")]
    assert len(rig.broker.submitted) == CLOSED and net(rig) == 0
    rig.step()
    assert rig.session.desk.trading_state is TradingState.HALTED


def test_a_halt_before_the_close_keeps_both_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = long(tmp_path)
    rig.session.commit()
    journal = rig.session._journal
    commit = journal.commit

    def commit_while_the_operator_halts() -> None:
        commit()
        rig.latch.set("halt by the operator")

    monkeypatch.setattr(journal, "commit", commit_while_the_operator_halts)
    until_reversed(rig)
    assert rig.rows(ROWS)[1:] == [("exit", "DENIED", "halt by the operator"), ("signal", "DENIED", NOT_CLOSED)]
    assert len(rig.broker.submitted) == OPENED


def test_a_quote_that_grew_old_while_the_close_took_its_time_is_not_entered_on(tmp_path: Path) -> None:
    rig = long(tmp_path)
    slow_ns = (int(LIMITS.quote_age_s_max) + 1) * 10**9
    at_close(rig, lambda: rig.clock.wait_until(rig.clock.now_ns() + slow_ns, Event()))
    until_reversed(rig)
    assert rig.rows(ROWS)[-1][1] == "DENIED" and rig.rows(ROWS)[-1][2].startswith("quote_age: ")
    assert len(rig.broker.submitted) == CLOSED


def test_the_close_is_no_entry_for_the_interval_between_entries(tmp_path: Path) -> None:
    rig = long(tmp_path, limits=with_limits(order_interval_s_min=Decimal(200)))

    def entered_ns() -> int:
        last = rig.session.desk.conduct.last_entry(EUR)
        assert last is not None
        return last.ts_ns

    before_ns = entered_ns()
    seen: list[int] = []
    at_close(rig, lambda: seen.append(entered_ns()))
    until_reversed(rig)
    assert seen == [before_ns] and len(rig.broker.submitted) == ENTERED
    assert entered_ns() > before_ns


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["behind the close", "behind the record of the entry"])
def test_a_crash_between_the_two_sends_nothing_more_for_that_bar(tmp_path: Path, moment: str) -> None:
    house = House(tmp_path, [quiet()], {8: 1, 12: -1})
    house.until_sent()
    house.wait(0.1)

    def kill(intent: OrderIntent) -> None:
        if moment == "behind the record of the entry" and intent.reason is OrderReason.SIGNAL:
            raise Killed
        if moment == "behind the close" and intent.reason is OrderReason.EXIT:
            house.broker.on_read = lambda afresh: (_ for _ in ()).throw(Killed())

    house.broker.on_submit = kill
    with pytest.raises(Killed):
        house.until_sent(99)
    house.broker.on_submit, house.broker.on_read = (lambda intent: None), (lambda afresh: None)
    sent = len(house.broker.submitted)
    house.restart()
    house.steps(15)
    assert len(house.broker.submitted) == sent and house.broker.inner.holdings().trades == ()
    assert house.rows("SELECT count(*) FROM decisions WHERE action = 'reverse'") == [(1,)]
    house.check()
    house.close()
