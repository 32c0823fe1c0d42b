"""Paper trading: quotes of another market, fills of the simulated broker."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine.adapters.sim.paper import QuotedMarketData
from engine.domain.error import RetryLater
from engine.domain.market import Bar, Granularity, Quote
from engine.domain.transaction import Fill, OrderCanceled
from tests.unit.adapters.sim.venue import START_NS, bar, broker, fills, order, sent, since

SECOND_NS = 1_000_000_000


class Script:
    """A market that says what it was told to say."""

    def __init__(self) -> None:
        self.items: list[Quote | Bar] = []
        self.started: tuple[str, ...] = ()
        self.trouble = ""

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        self.started = tuple(instruments)

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        if self.trouble:
            raise RetryLater(self.trouble)
        items, self.items = self.items, []
        return items

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        return [bar(1, "1.10000", name=instrument)][:count]

    def next_due_ns(self) -> int | None:
        return 42


def quote(bid: str, ask: str, name: str = "EUR_USD", *, tradeable: bool = True, seconds: int = 0) -> Quote:
    return Quote(
        instrument=name,
        bid=Decimal(bid),
        ask=Decimal(ask),
        ts_ns=START_NS + seconds * SECOND_NS,
        received_ns=START_NS + seconds * SECOND_NS,
        home_rate=Decimal(1),
        tradeable=tradeable,
    )


@pytest.fixture
def script() -> Script:
    return Script()


def paper(script: Script, *names: str, also: Sequence[str] = ()):
    venue = broker(*(names or ("EUR_USD",)), *also, is_open=lambda ts_ns: True)
    data = QuotedMarketData(inner=script, broker=venue, also=also)
    data.start(names or ("EUR_USD",), Granularity.M1)
    return venue, data


def shown(script: Script, data: QuotedMarketData, *items: Quote | Bar, seconds: int = 0) -> Sequence[Quote | Bar]:
    script.items = list(items)
    return data.poll(START_NS + seconds * SECOND_NS)


def test_an_order_is_filled_at_the_quote_that_the_session_saw(script: Script) -> None:
    venue, data = paper(script)
    seen = shown(script, data, quote("1.10000", "1.10012"))
    (fill,) = fills(sent(venue, order(1_000)))
    assert (seen, fill.price) == ([quote("1.10000", "1.10012")], Decimal("1.10012"))


def test_a_quote_fires_a_stop_before_anybody_hears_of_it(script: Script) -> None:
    venue, data = paper(script)
    shown(script, data, quote("1.10000", "1.10012"))
    sent(venue, order(1_000, stop_loss="1.09900"))
    before = venue.account().last_transaction_id
    shown(script, data, quote("1.09880", "1.09892", seconds=1), seconds=1)
    (fill,) = fills(since(venue, before))
    assert (fill.reason, fill.price, fill.units) == ("STOP_LOSS_ORDER", Decimal("1.09880"), -1_000)
    assert fill.ts_ns == START_NS + SECOND_NS


def test_nothing_is_filled_while_the_market_is_halted(script: Script) -> None:
    venue, data = paper(script)
    shown(script, data, quote("1.10000", "1.10012"))
    sent(venue, order(1_000, stop_loss="1.09900"))
    shown(script, data, quote("1.09000", "1.09012", tradeable=False, seconds=1), seconds=1)
    canceled = sent(venue, order(1_000, client_order_id="two", created_ns=START_NS + SECOND_NS))[-1]
    assert isinstance(canceled, OrderCanceled) and canceled.reason == "MARKET_HALTED"
    assert [each for each in since(venue) if isinstance(each, Fill) and each.closed] == []


def test_instruments_that_only_convert_stay_with_the_broker(script: Script) -> None:
    venue, data = paper(script, "EUR_GBP", also=("GBP_USD",))
    assert script.started == ("EUR_GBP", "GBP_USD")
    cross, leg = quote("0.85000", "0.85010", "EUR_GBP"), quote("1.25000", "1.25020", "GBP_USD")
    assert shown(script, data, leg, cross, bar(1, "1.25000", name="GBP_USD")) == [cross]
    assert venue.quotes["EUR_GBP"].home_rate == Decimal("1.25010")


def test_a_quote_that_is_no_price_reaches_the_session_and_not_the_broker(script: Script) -> None:
    venue, data = paper(script)
    crossed = quote("1.20000", "1.10000")
    assert shown(script, data, crossed) == [crossed]
    assert "EUR_USD" not in venue.quotes


def test_trouble_history_and_schedule_are_those_of_the_market(script: Script) -> None:
    _, data = paper(script)
    assert (data.next_due_ns(), len(data.history("EUR_USD", 1))) == (42, 1)
    script.trouble = "no line"
    with pytest.raises(RetryLater, match="no line"):
        data.poll(START_NS)
