"""Market time and prices by hand, without HTTP."""

from decimal import Decimal

from engine.domain.market import NS_PER_S, Granularity
from engine.venue.launch import VenueTerms, assemble
from engine.venue.market import STEP_MAX_NS, HandPrices, MarketTime, VenueMarket
from tests.unit.venue.house import ACCOUNT, TOKEN


def market(clock: list[float], speed: float = 1.0) -> VenueMarket:
    terms = VenueTerms(port=1, token=TOKEN, account=ACCOUNT, speed=speed)
    made = assemble(terms, lambda: clock[0]).market
    made.begin()
    return made


def test_time_stands_still_until_it_is_begun_and_then_runs_at_its_speed() -> None:
    clock = [5.0]
    time = MarketTime(1_000, 60.0, lambda: clock[0])
    clock[0] = 9.0
    assert time.now_ns() == 1_000
    time.begin()
    clock[0] = 10.0
    time.begin()
    assert time.now_ns() == 1_000 + 60 * NS_PER_S


def test_a_market_that_cannot_keep_up_goes_slower_and_stays_answerable() -> None:
    clock = [0.0]
    slow = market(clock, speed=100_000.0)
    begun_ns = slow.now_ns
    clock[0] = 10.0
    assert slow.advance() == begun_ns + STEP_MAX_NS
    assert slow.advance() == begun_ns + STEP_MAX_NS
    clock[0] += 0.03125
    assert slow.advance() == begun_ns + STEP_MAX_NS + 3_125 * NS_PER_S


def test_frames_are_lived_through_one_by_one_and_held_instruments_stand() -> None:
    clock = [0.0]
    here = market(clock)
    here.set_price("EUR_USD", Decimal("1.5"), Decimal("1.6"), None)
    before = here.exchange.quotes["GBP_USD"]
    clock[0] = 60.0
    here.advance()
    assert here.exchange.quotes["EUR_USD"].bid == Decimal("1.5")
    assert here.exchange.quotes["GBP_USD"].ts_ns > before.ts_ns
    here.resume("EUR_USD")
    clock[0] = 90.0
    here.advance()
    assert here.exchange.quotes["EUR_USD"].bid != Decimal("1.5")


def test_prices_of_five_seconds_by_hand_are_one_bar() -> None:
    hand, begun_ns = HandPrices(), 100 * NS_PER_S
    assert hand.span("EUR_USD") is None
    hand.take("EUR_USD", begun_ns)
    for second, bid in ((0, "1.3"), (1, "1.5"), (4, "1.1"), (5, "1.2")):
        hand.tick("EUR_USD", begun_ns + second * NS_PER_S, Decimal(bid), Decimal(bid) + 1)
    first, second_bar = hand.merged("EUR_USD", ())
    assert (first.bid_open, first.bid_high, first.bid_low, first.bid_close) == tuple(
        map(Decimal, ("1.3", "1.5", "1.1", "1.1"))
    )
    assert (first.ask_close, first.tick_count, first.granularity) == (Decimal("2.1"), 3, Granularity.S5)
    assert second_bar.bid_open == Decimal("1.2")
    hand.give_back("EUR_USD", begun_ns + 6 * NS_PER_S)
    assert hand.span("EUR_USD") == (begun_ns, begun_ns + 6 * NS_PER_S)
