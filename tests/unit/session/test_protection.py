"""No naked position: a trade of ours whose stop is gone gets another within seconds, or is closed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.command import HaltTrading
from engine.domain.event import TradingState
from engine.session.protection import AGAIN_S, PATIENCE_S, TRIES_MAX
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, NOT_SENT
from tests.unit.session.kept import House
from tests.unit.session.rig import bar

START = Decimal("1.10000")
EUR = "EUR_USD"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, [[bar(index, START) for index in range(90)]], {8: 1})
    made.until_sent()
    made.wait(0.1)
    yield made
    made.close()


def strip(house: House) -> str:
    """Cancel the stop of the open trade as the operator could in the broker's app."""
    (trade,) = house.broker.inner.holdings().trades
    (stop,) = [order for order in house.broker.inner.holdings().orders if order.kind == "STOP_LOSS"]
    house.broker.cancel_by_hand(stop.order_id)
    return trade.trade_id


def stop_at_the_broker(house: House) -> Decimal | None:
    (trade,) = house.broker.inner.holdings().trades
    return trade.stop_loss


def events(house: House, kind: str) -> int:
    return int(house.rows("SELECT count(*) FROM events WHERE kind = ?", kind)[0][0])


def test_an_entry_has_its_stop_and_nothing_is_sent_beside_it(house: House) -> None:
    house.wait(PATIENCE_S + 1)
    assert stop_at_the_broker(house) is not None
    assert events(house, "ProtectionSent") == 0


def test_a_stop_that_is_gone_is_set_again_within_seconds(house: House) -> None:
    strip(house)
    house.wait(0.5)
    assert stop_at_the_broker(house) is None
    house.wait(PATIENCE_S)
    stop = stop_at_the_broker(house)
    assert stop is not None and stop < START
    assert events(house, "ProtectionSent") == 1
    house.wait(AGAIN_S)
    assert events(house, "ProtectionSent") == 1
    house.check()


def test_a_stop_whose_answer_was_lost_is_not_set_twice(house: House) -> None:
    house.broker.services[1] = LOST_ANSWER
    strip(house)
    house.wait(0.5)
    house.wait(PATIENCE_S)
    house.broker.log_end = None
    house.wait(1)
    assert stop_at_the_broker(house) is not None
    house.wait(AGAIN_S)
    assert events(house, "ProtectionSent") == 1
    house.check()


def test_a_trade_that_takes_no_stop_is_closed(house: House) -> None:
    for number in range(1, TRIES_MAX + 1):
        house.broker.services[number] = NOT_SENT if number == 1 else LOST_ORDER
    strip(house)
    house.wait(0.5)
    house.broker.log_end = None
    house.wait(PATIENCE_S)
    for _ in range(TRIES_MAX):
        house.broker.log_end = None
        house.wait(AGAIN_S)
    house.broker.log_end = None
    house.wait(0.5)
    assert house.broker.inner.holdings().trades == ()
    assert house.session.desk.ledger.held == ()
    assert (events(house, "ProtectionSent"), events(house, "TradeCloseSent")) == (TRIES_MAX, 1)
    house.check()


def test_a_halted_session_still_sets_a_stop_and_closes_nothing(house: House) -> None:
    house.latch.set("halt by the operator")
    house.session.step([HaltTrading(command_id="h")])
    for number in range(1, 20):
        house.broker.services[number] = NOT_SENT
    strip(house)
    for _ in range(6):
        house.wait(AGAIN_S)
    assert len(house.broker.inner.holdings().trades) == 1
    assert house.session.desk.trading_state is TradingState.HALTED
    assert (events(house, "ProtectionSent") > TRIES_MAX, events(house, "TradeCloseSent")) == (True, 0)


def test_while_the_log_cannot_be_read_nobody_knows_whether_a_stop_is_there(house: House) -> None:
    strip(house)
    house.wait(0.5)
    house.broker.unreadable = "HTTP 503"
    for _ in range(4):
        house.wait(AGAIN_S)
    assert events(house, "ProtectionSent") == 0
    house.broker.unreadable = ""
    house.wait(1)
    assert stop_at_the_broker(house) is not None


def test_a_trade_that_lost_its_stop_while_nobody_was_there_gets_one_at_the_start(house: House) -> None:
    house.session.commit()
    house.crash()
    strip(house)
    house.begin()
    assert stop_at_the_broker(house) is None
    house.wait(PATIENCE_S)  # there is no quote yet, so nobody knows where the stop belongs
    assert stop_at_the_broker(house) is None
    house.step()
    assert stop_at_the_broker(house) is not None
    house.check()


def test_a_trade_without_any_price_is_closed_in_the_end(house: House) -> None:
    house.session.commit()
    house.crash()
    strip(house)
    house.begin()
    for _ in range(TRIES_MAX + 1):
        house.wait(AGAIN_S)
    assert house.broker.inner.holdings().trades == ()
    house.check()
