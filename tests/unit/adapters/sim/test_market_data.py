"""The simulated venue's market data: order of news, closing of longer bars, and that the broker lives first."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine.adapters.sim.market_data import SimMarketData
from engine.domain.error import ConfigError
from engine.domain.market import Bar, Granularity, Quote
from tests.unit.adapters.sim.venue import MINUTE_NS, START_NS, bar, broker, fills, order, since


class Tape:
    """A source of given one-minute bars; frames in time order."""

    granularity = Granularity.M1

    def __init__(self, *bars: Bar, names: tuple[str, ...] = ("EUR_USD",)) -> None:
        self.instruments = names
        ends = sorted({each.close_ts_ns for each in bars})
        self.frames = [[each for each in bars if each.close_ts_ns == end] for end in ends]
        self.past: list[Bar] = []

    def peek_ns(self) -> int | None:
        return self.frames[0][0].close_ts_ns if self.frames else None

    def pop(self) -> Sequence[Bar]:
        frame = self.frames.pop(0)
        self.past += frame
        return frame

    def history(self, instrument: str, granularity: Granularity, count: int) -> Sequence[Bar]:
        assert granularity is Granularity.M1
        return [each for each in self.past if each.instrument == instrument][-count:]


def at(minute: int) -> int:
    return START_NS + minute * MINUTE_NS


def told(news: Sequence[Quote | Bar]) -> list[tuple[str, str, int]]:
    """Kind, instrument and minute of each item."""
    return [
        ("quote", each.instrument, (each.ts_ns - START_NS) // MINUTE_NS)
        if isinstance(each, Quote)
        else (str(each.granularity), each.instrument, (each.close_ts_ns - START_NS) // MINUTE_NS)
        for each in news
    ]


def test_bars_of_the_sources_own_granularity_pass_through() -> None:
    bars = [bar(1, "1.10000"), bar(2, "1.20000")]
    data = SimMarketData(source=Tape(*bars), broker=broker())
    data.start(["EUR_USD"], Granularity.M1)
    assert data.next_due_ns() == at(1)
    assert list(data.poll(at(1) - 1)) == []
    news = data.poll(at(1))
    assert told(news) == [("quote", "EUR_USD", 1), ("M1", "EUR_USD", 1)]
    assert news[1] is bars[0]
    assert told(data.poll(at(5))) == [("quote", "EUR_USD", 2), ("M1", "EUR_USD", 2)]
    assert data.next_due_ns() is None
    assert list(data.poll(at(9))) == []


def test_quotes_come_before_bars_of_the_same_time_and_older_before_newer() -> None:
    names = ("EUR_USD", "GBP_USD")
    bars = [bar(minute, "1.10000", name=name) for minute in (1, 2) for name in names]
    data = SimMarketData(source=Tape(*bars, names=names), broker=broker(*names))
    data.start(names, Granularity.M1)
    assert told(data.poll(at(2))) == [
        (kind, name, minute) for minute in (1, 2) for kind in ("quote", "M1") for name in names
    ]


def test_longer_bars_close_when_their_time_is_over() -> None:
    bars = [bar(minute, f"1.1000{minute}") for minute in range(1, 6)]
    data = SimMarketData(source=Tape(*bars), broker=broker())
    data.start(["EUR_USD"], Granularity.M5)
    for minute in range(1, 5):
        assert told(data.poll(at(minute))) == [("quote", "EUR_USD", minute)]
    news = data.poll(at(5))
    assert told(news) == [("quote", "EUR_USD", 5), ("M5", "EUR_USD", 5)]
    longer = news[-1]
    assert isinstance(longer, Bar)
    assert (longer.bid_open, longer.bid_close) == (Decimal("1.10001"), Decimal("1.10005"))
    assert data.next_due_ns() is None


def test_a_longer_bar_without_its_last_minute_is_due_at_its_end_and_not_later() -> None:
    data = SimMarketData(source=Tape(bar(3, "1.10000"), bar(30, "1.20000")), broker=broker())
    data.start(["EUR_USD"], Granularity.M5)
    data.poll(at(3))
    assert data.next_due_ns() == at(5)
    assert list(data.poll(at(5) - 1)) == []
    assert told(data.poll(at(5))) == [("M5", "EUR_USD", 5)]
    assert data.next_due_ns() == at(30)


def test_a_late_poll_tells_the_same_story_in_the_same_order() -> None:
    bars = [bar(3, "1.10000"), bar(7, "1.10000"), bar(10, "1.20000"), bar(11, "1.20000")]

    def story(polls: Sequence[int]) -> list[tuple[str, str, int]]:
        data = SimMarketData(source=Tape(*bars), broker=broker())
        data.start(["EUR_USD"], Granularity.M5)
        return [each for minute in polls for each in told(data.poll(at(minute)))]

    expected = [
        ("quote", "EUR_USD", 3),
        ("M5", "EUR_USD", 5),
        ("quote", "EUR_USD", 7),
        ("quote", "EUR_USD", 10),
        ("M5", "EUR_USD", 10),
        ("quote", "EUR_USD", 11),
        ("M5", "EUR_USD", 15),
    ]
    assert story(range(1, 16)) == story([15]) == story([99]) == expected


def test_an_instrument_without_the_last_minute_closes_with_the_others() -> None:
    names = ("EUR_USD", "GBP_USD")
    bars = [bar(2, "1.10000", name="GBP_USD"), bar(5, "1.10000")]
    data = SimMarketData(source=Tape(*bars, names=names), broker=broker(*names))
    data.start(names, Granularity.M5)
    assert told(data.poll(at(5))) == [
        ("quote", "GBP_USD", 2),
        ("quote", "EUR_USD", 5),
        ("M5", "EUR_USD", 5),
        ("M5", "GBP_USD", 5),
    ]


def test_the_broker_lives_through_frames_in_order_before_anybody_hears() -> None:
    """The stop is touched in minute 2 and the target in minute 3: both pass in one poll, the stop comes first."""
    venue = broker()
    tape = Tape(bar(1, "1.10000"), bar(2, "1.09000"), bar(3, "1.12000"))
    data = SimMarketData(source=tape, broker=venue)
    data.start(["EUR_USD"], Granularity.M1)
    data.poll(at(1))
    venue.submit(order(100, stop_loss="1.09500", take_profit="1.11000"))
    news = data.poll(at(3))
    assert [fill.reason for fill in fills(since(venue))] == ["MARKET_ORDER", "STOP_LOSS_ORDER"]
    assert news[-2] == venue.quote("EUR_USD")


def test_what_is_not_followed_moves_the_broker_silently() -> None:
    names = ("EUR_GBP", "GBP_USD")
    venue = broker(*names)
    tape = Tape(bar(1, "1.25000", name="GBP_USD"), bar(2, "0.85000", name="EUR_GBP"), names=names)
    data = SimMarketData(source=tape, broker=venue)
    data.start(["EUR_GBP"], Granularity.M1)
    assert list(data.poll(at(1))) == []
    assert "GBP_USD" in venue.quotes
    assert told(data.poll(at(2))) == [("quote", "EUR_GBP", 2), ("M1", "EUR_GBP", 2)]


@pytest.mark.parametrize(
    ("granularity", "opened", "names_told"),
    [
        ("H4", "1.04000", ("EUR_USD",)),
        ("H8", "1.02000", ("EUR_USD", "GBP_USD")),
        ("D", "1.01000", ("EUR_USD", "GBP_USD")),
        ("H1", "1.10000", ("EUR_USD",)),
    ],
)
def test_the_first_bar_of_some_hours_knows_those_before_the_session(
    granularity: str, opened: str, names_told: tuple[str, ...]
) -> None:
    """It is 12:00 UTC: H4 began at 10:00, H8 at 06:00, the day the evening before."""
    names = ("EUR_USD", "GBP_USD")
    tape = Tape(bar(1, "1.10000"), bar(9, "1.20000"), names=names)
    tape.past = [bar(minute, price) for minute, price in ((-360, "1.01"), (-359, "1.02"), (-120, "1.03"))]
    tape.past += [bar(-119, "1.04000"), bar(-130, "1.30000", name="GBP_USD")]
    data = SimMarketData(source=tape, broker=broker(*names))
    data.start(names, Granularity(granularity))
    closed = {each.instrument: each for each in data.poll(at(900)) if isinstance(each, Bar)}
    assert tuple(closed) == names_told
    longer = closed["EUR_USD"]
    assert (longer.bid_open, longer.bid_close) == (Decimal(opened), Decimal("1.20000"))


def test_history_is_the_sources_at_the_sessions_granularity() -> None:
    bars = [bar(minute, "1.10000") for minute in range(1, 6)]
    data = SimMarketData(source=Tape(*bars), broker=broker())
    data.start(["EUR_USD"], Granularity.M1)
    assert list(data.history("EUR_USD", 10)) == []
    data.poll(at(3))
    assert list(data.history("EUR_USD", 2)) == bars[1:3]


def test_what_the_source_cannot_give_is_refused_in_one_sentence() -> None:
    data = SimMarketData(source=Tape(), broker=broker())
    with pytest.raises(ConfigError, match="There are no bars of GBP_USD; there are EUR_USD."):
        data.start(["EUR_USD", "GBP_USD"], Granularity.M1)
    with pytest.raises(ConfigError, match="Granularity S30 cannot be made of M1 bars"):
        data.start(["EUR_USD"], Granularity.S30)
    with pytest.raises(ConfigError, match="does not trade GBP_USD"):
        SimMarketData(source=Tape(names=("EUR_USD", "GBP_USD")), broker=broker())
