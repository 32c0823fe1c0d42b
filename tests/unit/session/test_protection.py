"""No naked position: a trade of ours whose stop is gone gets another within seconds, or is closed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.command import HaltTrading
from engine.domain.event import TradingState
from engine.session.protection import AGAIN_OPEN_S_MAX, AGAIN_S, AGAIN_S_MAX, PATIENCE_S, TRIES_MAX
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


def market_is(house: House, *, open_now: bool) -> None:
    """Let the newest quote say whether the market can be traded in."""
    house.market.closed = not open_now
    quotes = house.session.desk.quotes
    quotes[EUR] = replace(quotes[EUR], tradeable=open_now)


def seconds_of_requests(house: House, seconds: int) -> list[int]:
    """Let so much time pass, second by second; returns in which seconds something was asked of the broker."""
    found = []
    for second in range(seconds):
        before = len(house.broker.served)
        house.wait(1)
        found += [second] * (len(house.broker.served) - before)
    return found


def in_vain(house: House) -> None:
    for number in range(len(house.broker.served) + 1, 2_000):
        house.broker.services[number] = NOT_SENT


def test_requests_that_do_no_good_are_made_more_and_more_seldom(house: House) -> None:
    in_vain(house)
    strip(house)
    asked = seconds_of_requests(house, 1_500)
    waits = [later - sooner for sooner, later in zip(asked, asked[1:], strict=False)]
    assert waits[:TRIES_MAX] == [AGAIN_S] * TRIES_MAX  # two stops, then the close, as fast as ever
    assert waits[TRIES_MAX : TRIES_MAX + 5] == [3, 6, 12, 12, 12]
    assert max(waits) == AGAIN_OPEN_S_MAX == waits[-1]  # what was lost on the way may arrive the next time


def test_a_closed_market_is_asked_every_five_minutes_at_last(house: House) -> None:
    in_vain(house)
    strip(house)
    market_is(house, open_now=False)
    asked = seconds_of_requests(house, 2_000)
    waits = [later - sooner for sooner, later in zip(asked, asked[1:], strict=False)]
    assert waits[-1] == max(waits) == AGAIN_S_MAX


def test_a_closed_market_is_hardly_asked(house: House) -> None:
    in_vain(house)
    strip(house)
    market_is(house, open_now=False)
    asked = seconds_of_requests(house, 600)
    assert len(asked) <= 9
    waits = [later - sooner for sooner, later in zip(asked, asked[1:], strict=False)]
    assert waits == sorted(waits)


def test_a_trade_is_protected_at_once_when_its_market_opens(house: House) -> None:
    in_vain(house)
    strip(house)
    market_is(house, open_now=False)
    seconds_of_requests(house, 1_000)
    house.broker.services.clear()
    asked = len(house.broker.served)
    market_is(house, open_now=True)
    house.wait(0.1)
    assert [what for what, _ in house.broker.served[asked:]] == ["protect"]
    assert stop_at_the_broker(house) is not None
    house.check()


def test_a_market_that_opens_and_takes_no_stop_has_the_trade_closed_within_seconds(house: House) -> None:
    in_vain(house)
    strip(house)
    market_is(house, open_now=False)
    seconds_of_requests(house, 1_000)
    market_is(house, open_now=True)
    asked = len(house.broker.served)
    seconds_of_requests(house, 3 * AGAIN_S)
    assert [what for what, _ in house.broker.served[asked:]] == ["protect"] * TRIES_MAX + ["close"]


def test_a_market_that_flickers_is_not_asked_more_often_than_ever(house: House) -> None:
    in_vain(house)
    strip(house)
    for second in range(60):
        market_is(house, open_now=bool(second % 2))
        house.wait(1)
    assert len(house.broker.served) <= 60 / AGAIN_S


def test_a_trade_that_lost_its_stop_again_is_protected_as_fast_as_the_first_time(house: House) -> None:
    house.latch.set("halt by the operator")  # nothing is closed, so that it is the stop that is asked for
    in_vain(house)
    strip(house)
    seconds_of_requests(house, 400)
    house.broker.services.clear()
    seconds_of_requests(house, AGAIN_S_MAX)
    assert stop_at_the_broker(house) is not None
    strip(house)
    seconds_of_requests(house, PATIENCE_S + 2)
    assert stop_at_the_broker(house) is not None


def test_a_released_halt_lets_what_takes_no_stop_be_closed_within_seconds(house: House) -> None:
    house.latch.set("halt by the operator")
    in_vain(house)
    strip(house)
    asked = seconds_of_requests(house, 400)
    assert len(asked) <= 400 / AGAIN_OPEN_S_MAX + 5
    house.latch.ask_release()
    assert house.latch.release() is None
    before = len(house.broker.served)
    seconds_of_requests(house, 3 * AGAIN_S + 1)
    assert ("close", house.broker.served[-1][1]) in house.broker.served[before:]
