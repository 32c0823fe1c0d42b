"""The audit: once a minute the broker's own account is compared; a difference stops entries and waits for a person."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.account import Holdings
from engine.domain.command import AcknowledgeBreaker, ClaimTrade, FlattenAll
from engine.domain.error import RetryLater
from engine.domain.event import SessionState, TradingState
from engine.domain.transaction import Transaction
from engine.session.audit import EVERY_S, RECONCILIATION
from tests.unit.session.kept import House, KeptBroker
from tests.unit.session.rig import bar

START = Decimal("1.10000")
EUR, GBP = "EUR_USD", "GBP_USD"


@dataclass
class Told:
    """What the broker says of its holdings instead of the truth."""

    changes: dict[str, object] = field(default_factory=dict)
    trouble: str = ""
    asked: int = 0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    bars = [[bar(index, START, instrument=name) for index in range(90)] for name in (EUR, GBP)]
    made = House(tmp_path, bars, {8: 1, 40: -1, 60: 1}, also=(GBP,))
    yield made
    made.close()


@pytest.fixture
def told(house: House, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Put something between the session and what the broker holds."""
    told, honest = Told(), house.broker.holdings

    def holdings() -> Holdings:
        told.asked += 1
        if told.trouble:
            raise RetryLater(told.trouble)
        return replace(honest(), **told.changes)  # type: ignore[arg-type]

    monkeypatch.setattr(KeptBroker, "holdings", lambda self: holdings())
    return told


def test_books_are_compared_once_a_minute(house: House, told: Told) -> None:
    house.until_sent()
    begun, asked = house.clock.now_ns(), told.asked
    house.steps(10)
    minutes = (house.clock.now_ns() - begun) / (EVERY_S * 1e9)
    assert told.asked - asked == pytest.approx(minutes, abs=1)
    assert house.session.desk.trading_state is TradingState.ACTIVE


def test_a_difference_stops_entries_until_a_person_has_looked(house: House, told: Told) -> None:
    house.until_sent()
    told.changes = {"balance_home": Decimal(5)}
    house.steps(2)
    desk = house.session.desk
    (trip,) = desk.panel.trips
    assert trip.breaker == RECONCILIATION
    assert trip.cause.startswith("the broker's balance is 5, ours is ")
    assert (desk.trading_state, desk.state_reason) == (TradingState.REDUCING, f"breaker {RECONCILIATION}")
    told.changes = {}
    house.steps(3)
    assert desk.trading_state is TradingState.REDUCING
    assert house.command(AcknowledgeBreaker(command_id="a", breaker=RECONCILIATION, reason="it was the venue"))[0]
    house.steps(3)
    assert desk.trading_state is TradingState.ACTIVE


RELEASE = AcknowledgeBreaker(command_id="a", breaker=RECONCILIATION, reason="it was the venue")


def tripped(house: House, told: Told) -> None:
    house.until_sent()
    told.changes = {"balance_home": Decimal(5)}
    house.steps(2)
    assert [trip.breaker for trip in house.session.desk.panel.trips] == [RECONCILIATION]


def test_books_that_still_differ_are_not_released(house: House, told: Told) -> None:
    tripped(house, told)
    accepted, text = house.command(RELEASE)
    balance = house.session.desk.ledger.balance_home
    assert not accepted
    assert text == f"our books and the broker's still differ: the broker's balance is 5, ours is {balance}"
    assert house.session.desk.trading_state is TradingState.REDUCING
    assert house.rows("SELECT count(*) FROM events WHERE kind = 'BreakerReleased'") == [(0,)]


def test_books_that_cannot_be_compared_are_not_released(house: House, told: Told) -> None:
    tripped(house, told)
    told.changes, told.trouble = {}, "HTTP 503"
    assert house.command(RELEASE) == (False, "the broker cannot be compared with now: HTTP 503")
    assert house.session.desk.panel.tripped


def test_a_release_compares_and_leaves_the_next_comparison_where_it_was(house: House, told: Told) -> None:
    tripped(house, told)
    told.changes = {}
    begun, asked = house.clock.now_ns(), told.asked
    house.wait(30)
    assert house.command(RELEASE)[0]
    assert told.asked == asked + 1
    told.changes = {"balance_home": Decimal(6)}
    house.wait(EVERY_S - 31)
    assert not house.session.desk.panel.tripped
    house.wait(1.5)
    assert (house.clock.now_ns() - begun) / 1e9 < EVERY_S + 1
    assert house.session.desk.panel.tripped


def test_a_release_is_on_record_as_an_agreement_that_orders_may_follow(house: House, told: Told) -> None:
    tripped(house, told)
    count = "SELECT count(*) FROM events WHERE kind = 'Reconciled'"
    ((before,),) = house.rows(count)
    house.command(RELEASE)
    assert house.rows(count) == [(before,)]
    told.changes = {}
    assert house.command(RELEASE.__class__(command_id="b", breaker=RECONCILIATION, reason="seen"))[0]
    assert house.rows(count) == [(before + 1,)]


def test_another_breaker_is_released_without_asking_the_broker(house: House, told: Told) -> None:
    tripped(house, told)
    told.trouble = "HTTP 503"
    asked = told.asked
    assert house.command(AcknowledgeBreaker(command_id="d", breaker="drawdown", reason="x")) == (
        False,
        "breaker 'drawdown' is not tripped",
    )
    assert told.asked == asked


def test_holdings_of_another_moment_are_no_difference(house: House, told: Told) -> None:
    house.until_sent()
    last_id = house.session.desk.ledger.last_transaction_id
    told.changes = {"last_transaction_id": last_id - 1, "trades": ()}
    house.steps(2)
    desk = house.session.desk
    assert desk.panel.trips == ()
    assert desk.state is SessionState.DEGRADED
    assert desk.reason == (
        f"The broker tells of its account after transaction {last_id - 1}, its log has come to {last_id}."
    )
    told.changes = {}
    house.steps(2)
    assert desk.state is SessionState.RUNNING


def test_an_account_that_cannot_be_read_opens_nothing(house: House, told: Told) -> None:
    house.steps(5)
    told.trouble = "HTTP 503"
    house.steps(3)
    assert (house.session.desk.state, house.session.desk.reason) == (SessionState.DEGRADED, "HTTP 503")
    assert house.session.desk.trading_state is TradingState.REDUCING
    told.trouble = ""
    house.steps(2)
    assert house.session.desk.state is SessionState.RUNNING


def test_a_trade_made_by_hand_is_shown_counted_and_left_alone(house: House) -> None:
    house.steps(3)
    trade_id = house.broker.by_hand(EUR, -1_000, house.clock.now_ns())
    house.steps(6)  # the model wants to buy at bar 8
    desk = house.session.desk
    (shown,) = house.session.snapshot(1, 0).foreign_trades
    assert (shown.trade.trade_id, shown.claim) == (trade_id, None)
    assert desk.ledger.units(EUR) == -1_000
    assert desk.panel.trips == ()
    assert house.broker.submitted == []
    denied = [each for each in desk.decisions if each.gates]
    assert [(gate.name, gate.value) for each in denied for gate in each.gates] == [
        ("foreign_trade", f"trade {trade_id} was not opened by Keel")
    ]
    house.check()


def test_a_trade_made_by_hand_in_another_instrument_is_priced_and_counted(house: House) -> None:
    house.steps(3)
    house.broker.by_hand(GBP, 10_000, house.clock.now_ns())
    house.steps(3)
    desk, shown = house.session.desk, house.session.snapshot(1, 0)
    assert desk.unpriced == ()
    assert shown.exposure_home == 10_000 * desk.quotes[GBP].mid
    assert shown.equity_home == house.broker.account().equity_home
    assert [position.instrument for position in shown.positions] == [GBP]
    house.until_sent()  # and EUR_USD goes on being traded
    house.steps(1)
    assert set(desk.ledger.held) == {EUR, GBP}
    house.check()


def test_an_adopted_trade_gets_a_stop_and_is_traded(house: House) -> None:
    house.steps(3)
    trade_id = house.broker.by_hand(EUR, 1_000, house.clock.now_ns())
    house.step()
    assert house.command(ClaimTrade(command_id="c", trade_id=trade_id, choice="adopt")) == (
        True,
        f"trade {trade_id} is managed from now on; it gets a stop-loss if it has none",
    )
    house.steps(2)
    (trade,) = house.session.desk.ledger.open_trades
    assert trade.stop_loss is not None and trade.stop_loss < START
    assert house.session.desk.foreign_trades() == ()
    house.check()
    while not house.broker.submitted:
        house.step()  # the model turns against it at bar 40
    assert house.broker.submitted[0].units < 0
    house.steps(1)
    house.check()


def test_an_ignored_trade_stays_as_it_is_over_a_restart(house: House) -> None:
    house.steps(3)
    trade_id = house.broker.by_hand(EUR, 1_000, house.clock.now_ns())
    house.step()
    accepted, text = house.command(ClaimTrade(command_id="c", trade_id=trade_id, choice="ignore"))
    assert (accepted, text) == (True, f"trade {trade_id} is left alone; nothing is traded in EUR_USD while it is open")
    house.session.commit()
    house.restart()
    house.steps(40)
    (shown,) = house.session.snapshot(1, 0).foreign_trades
    assert (shown.trade.trade_id, shown.claim) == (trade_id, "ignore")
    assert shown.trade.stop_loss is None
    assert house.broker.submitted == []
    house.check()


def test_a_foreign_trade_can_be_closed_by_itself(house: House) -> None:
    house.steps(3)
    first = house.broker.by_hand(EUR, 1_000, house.clock.now_ns())
    second = house.broker.by_hand(EUR, 2_000, house.clock.now_ns())
    house.step()
    assert house.command(ClaimTrade(command_id="c", trade_id=second, choice="close")) == (
        True,
        f"trade {second} is closed",
    )
    assert [trade.trade_id for trade in house.session.desk.ledger.open_trades] == [first]
    house.check()


@pytest.mark.parametrize(
    ("trade", "choice", "said"),
    [
        ("99", "adopt", "trade 99 is not an open trade that Keel did not open"),
        (None, "keep", "'keep' is no choice; it must be adopt, ignore or close"),
    ],
)
def test_what_cannot_be_claimed_is_refused(house: House, trade: str | None, choice: str, said: str) -> None:
    house.steps(3)
    trade_id = house.broker.by_hand(EUR, 1_000, house.clock.now_ns())
    house.step()
    assert house.command(ClaimTrade(command_id="c", trade_id=trade or trade_id, choice=choice)) == (False, said)


def test_flatten_closes_what_is_foreign_too(house: House) -> None:
    house.steps(3)
    house.broker.by_hand(EUR, 1_000, house.clock.now_ns())
    house.broker.by_hand(GBP, -500, house.clock.now_ns())
    house.steps(2)
    assert house.command(FlattenAll(command_id="f"))[0]
    assert house.session.desk.ledger.held == ()
    assert house.broker.inner.holdings().trades == ()
    house.check()


def shown_orders(house: House) -> list[tuple[str, str | None, Decimal | None, Decimal | None]]:
    shown = house.session.snapshot(1, 0).foreign_orders
    return [(each.order_id, each.instrument, each.units, each.price) for each in shown]


def test_a_waiting_order_made_by_hand_is_known_within_a_minute(house: House) -> None:
    house.until_sent()  # whose stop waits at the broker too, and is Keel's
    number = house.broker.order_by_hand(GBP, 1_000, Decimal("1.05"))
    house.wait(EVERY_S + 1)
    assert shown_orders(house) == [(number, GBP, 1_000, Decimal("1.05"))]
    assert house.session.desk.trading_state is TradingState.ACTIVE
    house.check()


def test_a_waiting_order_is_known_at_the_start(house: House) -> None:
    house.until_sent()
    number = house.broker.order_by_hand(GBP, -1_000, Decimal("1.15"))
    house.restart()
    assert [each[0] for each in shown_orders(house)] == [number]
    house.restart(new_books=True)
    assert [each[0] for each in shown_orders(house)] == [number]


def test_an_order_that_is_gone_is_shown_no_longer_than_the_log_takes(house: House) -> None:
    house.steps(2)
    number = house.broker.order_by_hand(GBP, 1_000, Decimal("1.05"))
    house.wait(EVERY_S + 1)
    assert shown_orders(house)
    house.broker.cancel_by_hand(number)
    house.wait(1)
    assert shown_orders(house) == []


def test_a_hole_in_the_log_is_named_for_as_long_as_it_is_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.steps(3)
    last_id = house.session.desk.ledger.last_transaction_id
    honest = KeptBroker.transactions_since

    def holed(self: KeptBroker, transaction_id: int, *, afresh: bool = False) -> list[Transaction]:
        found = honest(self, transaction_id, afresh=afresh)
        return [each for each in found if each.transaction_id != last_id + 2]

    monkeypatch.setattr(KeptBroker, "transactions_since", holed)
    house.broker.by_hand(EUR, 1_000, house.clock.now_ns(), Decimal("1.05"))
    house.steps(3)
    shown = house.session.snapshot(1, 0)
    assert shown.session_state is SessionState.DEGRADED
    assert shown.reason == (
        f"The broker's log has a hole: transaction {last_id + 2} is missing, {last_id + 3} follows {last_id + 1}. "
        "It is asked for again."
    )
    monkeypatch.undo()
    house.steps(2)
    assert house.session.desk.state is SessionState.RUNNING
    house.check()
