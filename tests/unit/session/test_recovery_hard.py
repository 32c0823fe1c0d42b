"""What the money path must survive: races between our orders, the broker's stops, a person's hands and a crash."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.adapters.sim.ticket import OrderKind, Ticket, TimeInForce
from engine.domain.command import ClosePosition, FlattenAll
from engine.domain.error import HaltTrading
from engine.domain.market import Bar
from engine.domain.order import OrderIntent
from engine.domain.transaction import Fill, OrderCanceled, OtherTransaction, Transaction
from engine.session.audit import EVERY_S
from engine.session.dispatch import GRACE_S
from engine.session.protection import AGAIN_S, PATIENCE_S, TRIES_MAX
from tests.unit.session.faulty import LOST_ORDER, NOT_SENT
from tests.unit.session.kept import House, KeptBroker
from tests.unit.session.rig import LIMITS, bar

START = Decimal("1.10000")
EUR, GBP = "EUR_USD", "GBP_USD"


def quiet(instrument: str = EUR, count: int = 90) -> list[Bar]:
    return [bar(index, START, instrument=instrument) for index in range(count)]


def falling(at: int, by: str) -> list[Bar]:
    return [bar(index, START if index < at else START - Decimal(by)) for index in range(60)]


def strip(house: House) -> None:
    (stop,) = [order for order in house.broker.inner.holdings().orders if order.kind == "STOP_LOSS"]
    house.broker.cancel_by_hand(stop.order_id)


def held(house: House) -> dict[str, Decimal]:
    return {trade.trade_id: trade.units for trade in house.broker.inner.holdings().trades}


def halved_then_closed(house: House) -> list[Transaction]:
    """Close a position that the operator has halved, which we do not know yet; returns what the log has of it."""
    house.until_sent()
    house.wait(0.1)
    ledger = house.session.desk.ledger
    last_id, units = ledger.last_transaction_id, ledger.units(EUR)
    house.broker.log_end = last_id
    house.broker.by_hand(EUR, -int(units // 2), house.clock.now_ns())
    house.command(ClosePosition(command_id="c", instrument=EUR))
    return list(house.broker.inner.transactions_since(last_id))


def next_order(house: House) -> OrderIntent:
    """Play until one more order is sent; the audit, which reads the log afresh, is due between two frames."""
    before = len(house.broker.submitted)
    while len(house.broker.submitted) == before:
        due_ns = house.session.next_due_ns()
        assert due_ns is not None
        house.session._auditor._due_ns = due_ns + EVERY_S * 10**9 // 2
        house.step()
    return house.broker.submitted[-1]


def test_a_crash_between_a_partial_fill_and_the_cancel_of_the_rest_does_not_bar_the_start(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1})
    log = halved_then_closed(house)
    house.broker.log_end = [each.transaction_id for each in log if isinstance(each, Fill)][-1]
    house.wait(1)
    house.session.commit()
    house.broker.log_end = None
    house.restart()
    assert house.session.desk.orders.open_orders == ()
    house.check()
    house.close()


def test_a_partial_fill_whose_rest_the_broker_never_mentions_does_not_reserve_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, [quiet()], {8: 1})
    honest = KeptBroker.transactions_since

    def without_cancels(self: KeptBroker, last_id: int, *, afresh: bool = False) -> list[Transaction]:
        return [
            OtherTransaction(transaction_id=each.transaction_id, ts_ns=each.ts_ns, kind="NOTE")
            if isinstance(each, OrderCanceled) and each.client_order_id
            else each
            for each in honest(self, last_id, afresh=afresh)
        ]

    monkeypatch.setattr(KeptBroker, "transactions_since", without_cancels)
    halved_then_closed(house)
    house.broker.log_end = None
    house.wait(1)
    house.wait(GRACE_S + 1)
    assert house.session.desk.orders.reserved_units(EUR) == 0
    house.close()


def test_two_keels_that_derive_the_same_order_id_notice_each_other(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1})
    sent = house.until_sent()
    house.wait(0.1)
    house.broker.inner.submit(msgspec.structs.replace(sent, created_ns=house.clock.now_ns()))  # the other's run 1
    with pytest.raises(HaltTrading, match="Another Keel"):
        house.wait(1)
    house.close()


def test_a_position_whose_stop_was_hit_meanwhile_is_not_opened_at_twice_the_size(tmp_path: Path) -> None:
    house = House(tmp_path, [falling(12, "0.0015")], {8: 1, 12: -1})
    house.until_sent()
    house.wait(0.1)
    house.broker.lazy = True  # the log is not due to be read; the stop is hit with the bar that turns the model
    house.broker.on_submit = lambda intent: setattr(house.broker, "lazy", False)
    entered = next_order(house)
    assert list(held(house).values()) == [entered.units] and not entered.reduce_only
    house.close()


def test_a_reversal_opens_what_is_planned_although_the_close_of_a_naked_trade_is_under_way(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1, 9: -1, 10: -1})
    house.until_sent()
    house.wait(0.1)
    (trade_id,) = held(house)
    house.broker.services = {number: NOT_SENT if number <= TRIES_MAX else LOST_ORDER for number in range(1, 100)}
    strip(house)
    house.wait(0.2)
    while ("close", trade_id) not in house.broker.served:
        house.wait(1)
    house.broker.on_submit = lambda intent: house.broker.inner.close_trade(trade_id, EUR)  # it arrives at last
    entered = next_order(house)
    assert list(held(house).values()) == [entered.units] and not entered.reduce_only
    house.close()


def test_a_halt_between_the_record_of_a_close_and_its_sending_holds_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, [quiet()], {8: 1})
    house.until_sent()
    house.wait(0.1)
    house.broker.services = dict.fromkeys(range(1, TRIES_MAX + 1), NOT_SENT)
    strip(house)
    house.wait(0.2)
    house.wait(PATIENCE_S)
    house.wait(AGAIN_S)
    journal = house.session._journal
    commit = journal.commit

    def commit_while_the_operator_halts() -> None:
        commit()
        house.latch.set("halt by the operator")

    monkeypatch.setattr(journal, "commit", commit_while_the_operator_halts)
    house.wait(AGAIN_S)
    assert house.latch.noted
    assert "close" not in [what for what, _ in house.broker.served]
    house.close()


def test_a_position_is_closed_by_its_signal_although_another_instrument_has_no_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, [quiet(), quiet(GBP)], {8: 1, 14: -1}, also=(GBP,))
    house.until_sent()
    house.wait(0.1)
    monkeypatch.setattr(house.market, "watch", lambda instrument: None)
    gbp = house.broker.by_hand(GBP, 1_000, house.clock.now_ns())
    house.steps(10)
    assert house.session.desk.unpriced == (GBP,)
    assert held(house) == {gbp: Decimal(1_000)}
    house.close()


def test_an_own_order_that_arrives_after_new_books_began_does_not_bar_the_start(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1})
    house.broker.outcomes[1] = LOST_ORDER
    sent = house.until_sent()
    house.session.commit()
    house.restart(new_books=True)
    house.session.commit()
    house.crash()
    house.broker.inner.submit(msgspec.structs.replace(sent, created_ns=house.clock.now_ns()))
    house.begin()
    assert [trade.units for trade in house.session.desk.foreign_trades()] == [sent.units]
    house.close()


def test_a_fall_that_a_breaker_would_have_caught_trips_it_after_the_restart(tmp_path: Path) -> None:
    limits = replace(LIMITS, drawdown_pct_max=Decimal("0.2"), daily_loss_pct_max=Decimal(50))
    house = House(tmp_path, [falling(15, "0.02")], {8: 1}, limits=limits)
    house.until_sent()
    house.wait(0.1)
    house.session.commit()
    house.crash()
    for _ in range(14):  # the stop is hit while nobody of ours is there
        house.broker.inner.on_frame(house.source.pop())
    house.begin()
    assert house.session.desk.ledger.held == ()
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["drawdown"]
    house.close()


def test_a_held_instrument_that_is_not_offered_any_more_does_not_break_the_page(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet(), quiet(GBP)], {8: 1}, also=(GBP,))
    house.until_sent()
    house.broker.by_hand(GBP, 1_000, house.clock.now_ns())
    house.session.commit()
    house.crash()
    house.instruments = {EUR: house.instruments[EUR]}
    house.begin()
    house.steps(2)
    house.session.snapshot(1, 0)
    house.close()


def test_what_a_new_run_has_sent_does_not_count_an_order_of_the_one_before(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {8: 1})

    class Killed(BaseException):
        """The process ends here."""

    def kill(intent: OrderIntent) -> None:
        raise Killed

    house.broker.on_submit = kill
    with pytest.raises(Killed):
        house.until_sent()
    house.broker.on_submit = lambda intent: None
    house.restart()
    assert house.session.desk.counts().orders == 0
    house.close()


def test_a_flatten_does_not_call_an_account_flat_in_which_an_order_waits(tmp_path: Path) -> None:
    house = House(tmp_path, [quiet()], {})
    house.steps(3)
    house.broker.inner._exchange.create(
        Ticket(
            kind=OrderKind.LIMIT, instrument=EUR, units=Decimal(100_000), price=Decimal("1.09000"),
            time_in_force=TimeInForce.GTC,
        )
    )  # fmt: skip
    house.wait(1)
    _, text = house.command(FlattenAll(command_id="f"))
    assert text == (
        "halted; 0 position(s) closed, but NOT FLAT: 1 waiting order(s) that Keel did not make could open one; "
        "`python -m engine flatten` cancels them"
    )
    house.close()
