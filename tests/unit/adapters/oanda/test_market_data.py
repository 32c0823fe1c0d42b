"""Each closed bar comes once, whatever fails in between; quotes come from whichever source is alive."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.market_data import OandaMarketData
from engine.adapters.oanda.moments import parse_moment, rfc3339_text
from engine.adapters.sim.market import DEFAULT_START_NS
from engine.domain.error import ConfigError, HaltTrading, RetryLater
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote
from tests.fakes.faults import CutBody, CutChunk, Fault, Hold, Replace, ResetAfter, ResetBefore, Rewrite
from tests.unit.adapters.oanda.chart import Chart, bars_of, charted, minutes
from tests.unit.adapters.oanda.stand import Stand, standing

MINUTE_NS, HOUR_NS = Granularity.M1.ns, Granularity.H1.ns
FOUR = ("EUR_USD", "USD_JPY", "EUR_GBP", "GBP_USD")


@pytest.fixture(scope="module")
def house() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


@pytest.fixture
def stand(house: Stand) -> Iterator[Stand]:
    """The venue at the beginning of a minute, behind a line of its own."""
    house.begin_anew()
    with house.new_line():
        yield house


@contextmanager
def following(
    stand: Stand, names: tuple[str, ...] = FOUR, granularity: Granularity = Granularity.M1
) -> Iterator[OandaMarketData]:
    with stand.desk() as desk:
        data = desk.market_data("USD", stand.now_ns, 1.0)
        data.start(names, granularity)
        yield data


def quotes_of(items: Any) -> dict[str, Quote]:
    return {item.instrument: item for item in items if isinstance(item, Quote)}


def poll_at(stand: Stand, data: OandaMarketData, seconds: float) -> list[Quote | Bar]:
    stand.time.seconds = stand.base_s + seconds
    return list(data.poll(stand.now_ns()))


def test_bars_of_all_instruments_come_once_in_order_after_the_quotes(stand: Stand) -> None:
    came: list[tuple[str, int]] = []
    with following(stand) as data:
        for seconds in range(5, 1_205, 5):
            items = poll_at(stand, data, seconds)
            kinds = [isinstance(item, Bar) for item in items]
            assert kinds == sorted(kinds)
            ends = [item.close_ts_ns for item in items if isinstance(item, Bar)]
            assert ends == sorted(ends) and all(end <= stand.now_ns() for end in ends)
            came += bars_of(items)
    wanted = {(name, stand.start_ns + n * MINUTE_NS) for name in FOUR for n in range(-1, 20)}
    assert set(came) == wanted and len(came) == len(wanted)


def test_the_running_candle_is_never_given(stand: Stand) -> None:
    with following(stand) as data:
        assert bars_of(poll_at(stand, data, 59.9)) == []
        came = poll_at(stand, data, 60)
        assert {start for _, start in bars_of(came)} == {stand.start_ns - MINUTE_NS, stand.start_ns}
        assert all(start < stand.now_ns() - MINUTE_NS + 1 for _, start in bars_of(data.history("EUR_USD", 5)))


def test_instruments_are_asked_at_the_same_time(stand: Stand) -> None:
    gate = threading.Event()
    with following(stand) as data:
        stand.time.seconds = stand.base_s + 60
        stand.proxy.inject(Hold(gate=gate), path="candles", times=4)
        before, found = len(stand.proxy.arrived), list[Any]()
        thread = threading.Thread(target=lambda: found.extend(data.poll(stand.now_ns())))
        thread.start()
        while sum("candles" in seen.target for seen in stand.proxy.arrived[before:]) < 4:
            assert thread.is_alive()
        gate.set()
        thread.join(20)
        assert {name for name, _ in bars_of(found)} == set(FOUR)


FAULTS: list[Fault] = [
    ResetBefore(),
    ResetAfter(),
    ResetAfter(reset=False),
    CutBody(after_bytes=30),
    CutChunk(),
    Replace(status=200, body=b"<html></html>"),
    Replace(status=429),
    Replace(status=503),
    Rewrite(change=lambda body: body.replace(b'"complete":true', b'"complete":"yes"')),
    Rewrite(change=lambda body: body.replace(b"EUR_USD", b"EUR_XXX")),
    Rewrite(change=lambda body: body.replace(b'"bid":', b'"bod":')),
]


@pytest.mark.parametrize("place", ["EUR_USD/candles", "pricing"])
def test_no_bar_is_missed_or_late_when_a_poll_fails(stand: Stand, place: str) -> None:
    came: list[tuple[str, int]] = []
    with following(stand, ("EUR_USD", "USD_JPY")) as data:
        for number, fault in enumerate(FAULTS, 1):
            poll_at(stand, data, number * 60 - 1)
            stand.proxy.inject(fault, path=place)
            try:
                came += bars_of(poll_at(stand, data, number * 60))
            except RetryLater as error:
                assert str(error).startswith("OANDA cannot be read: ")
            else:
                assert place == "pricing" and number > 8, fault
            assert (data.next_due_ns() or 0) <= stand.now_ns() + NS_PER_S
            came += bars_of(poll_at(stand, data, number * 60 + 1))
    wanted = {(name, stand.start_ns + n * MINUTE_NS) for name in ("EUR_USD", "USD_JPY") for n in range(-1, len(FAULTS))}
    assert set(came) == wanted and len(came) == len(wanted)


def test_a_line_down_for_minutes_costs_no_bar(stand: Stand) -> None:
    with following(stand) as data:
        with stand.proxy.refusing():
            for seconds in range(60, 600, 30):
                with pytest.raises(RetryLater, match="refused"):
                    poll_at(stand, data, seconds)
        came = bars_of(poll_at(stand, data, 660))
    assert len(came) == len(set(came)) == 4 * 12
    assert [start for _, start in came] == sorted(start for _, start in came)


def test_a_refused_key_halts(stand: Stand) -> None:
    with following(stand) as data:
        for status in (401, 403):
            stand.proxy.inject(Replace(status=status), path="GBP_USD/candles")
            with pytest.raises(HaltTrading, match=f"HTTP {status}"):
                poll_at(stand, data, 60)


def test_what_was_begun_has_ended_when_a_poll_fails(stand: Stand) -> None:
    """Else requests would pile up during an outage, and close() would leave their threads behind."""
    names = (*FOUR, "AUD_USD", "USD_CHF", "USD_CAD", "NZD_USD", "EUR_JPY")
    with following(stand, names) as data:
        stand.proxy.inject(ResetBefore(), path="candles", times=None)
        for seconds in (60, 62, 66):
            with pytest.raises(RetryLater):
                poll_at(stand, data, seconds)
            seen = len(stand.proxy.arrived)
            assert data._askers._work_queue.qsize() == 0
            assert len(stand.proxy.arrived) == seen


def test_a_bar_that_is_closed_late_is_asked_for_again() -> None:
    start = DEFAULT_START_NS - HOUR_NS
    chart = Chart(Granularity.M1, minutes(start, -1, 0, 1, 2))
    chart.late_ns = 300_000_000
    with charted(chart, start) as data:
        came = chart.lived(data, start + 3 * MINUTE_NS + 30 * NS_PER_S)
    assert [begun for _, begun in came] == [begun for begun, _ in chart.spans]
    delays = {when - begun - MINUTE_NS for when, begun in came[1:]}
    assert all(300_000_000 <= delay < NS_PER_S for delay in delays)


def test_a_bar_closed_too_late_for_the_retries_comes_with_the_next() -> None:
    start = DEFAULT_START_NS - HOUR_NS
    chart = Chart(Granularity.M1, minutes(start, -1, 0, 1, 2))
    chart.late_ns = 20 * NS_PER_S
    with charted(chart, start) as data:
        came = chart.lived(data, start + 5 * MINUTE_NS)
    assert [begun for _, begun in came] == [begun for begun, _ in chart.spans]


def test_a_quiet_minute_has_no_bar_and_a_week_end_is_a_gap() -> None:
    friday = parse_moment("2025-01-03T21:55:00Z")
    monday = parse_moment("2025-01-05T22:00:00Z")
    chart = Chart(Granularity.M1, [*minutes(friday, -1, 0, 1, 3), *minutes(monday, 0, 1)])
    with charted(chart, friday) as data:
        came = chart.lived(data, friday + 10 * MINUTE_NS)
        assert [begun for _, begun in came] == [begun for begun, _ in chart.spans[:4]]
        chart.now_ns = monday + 150 * NS_PER_S
        later = bars_of(data.poll(chart.now_ns))
    assert [begun for _, begun in later] == [begun for begun, _ in chart.spans[4:]]


def test_only_what_is_late_is_asked_again(stand: Stand) -> None:
    """One quiet instrument must not make the others ask eight times a minute."""

    def nothing_new(body: bytes) -> bytes:
        page = json.loads(body)
        return json.dumps({**page, "candles": page["candles"][:1]}).encode()

    stand.proxy.inject(Rewrite(change=nothing_new), path="EUR_GBP/candles", times=None)
    with following(stand, ("EUR_USD", "EUR_GBP")) as data:
        stand.time.seconds = stand.base_s + 60
        while (due_ns := data.next_due_ns() or 0) < stand.start_ns + 100 * NS_PER_S:
            stand.time.seconds = max(stand.time.seconds, stand.base_s + (due_ns - stand.start_ns) / NS_PER_S)
            data.poll(stand.now_ns())
    asked = [seen.target.split("/")[3] for seen in stand.proxy.arrived if "candles" in seen.target]
    assert asked.count("EUR_USD") == 1 and asked.count("EUR_GBP") == 9


def test_a_retry_never_makes_the_next_bar_wait() -> None:
    start, step = DEFAULT_START_NS - HOUR_NS, Granularity.S5.ns
    chart = Chart(Granularity.S5, [(start + n * step, start + (n + 1) * step) for n in (-1, 0, 2, 3, 5)])
    with charted(chart, start) as data:
        came = chart.lived(data, start + 40 * NS_PER_S)
    assert [begun for _, begun in came] == [begun for begun, _ in chart.spans]
    assert [when - begun for when, begun in came[1:]] == [step] * 4


DAYS = [
    ["2024-10-31T21:00:00Z", "2024-11-03T22:00:00Z", "2024-11-04T22:00:00Z"],  # the clocks go back in a week-end
    ["2024-03-07T22:00:00Z", "2024-03-10T21:00:00Z", "2024-03-11T21:00:00Z"],  # and forward
    ["2024-07-01T21:00:00Z", "2024-07-02T21:00:00Z", "2024-07-03T20:00:00Z", "2024-07-04T21:00:00Z"],  # 23 and 25 hours
]


def test_days_end_when_the_venue_says_so() -> None:
    for days in DAYS:
        starts = [parse_moment(day) for day in days]
        ends = [min(following, start + 25 * HOUR_NS) for start, following in zip(starts, starts[1:], strict=False)]
        chart = Chart(Granularity.D, list(zip(starts, ends, strict=False)))
        with charted(chart, starts[0] + HOUR_NS // 2) as data:
            came = chart.lived(data, starts[-1] + 2 * HOUR_NS)
        assert came == [(end, start) for start, end in chart.spans]


def test_after_long_silence_all_pages_are_read(stand: Stand) -> None:
    def three(body: bytes) -> bytes:
        page = json.loads(body)
        return json.dumps({**page, "candles": page["candles"][:4]}).encode()

    with following(stand, ("EUR_USD",)) as data:
        poll_at(stand, data, 1)
        first = poll_at(stand, data, 60)
        stand.proxy.inject(Rewrite(change=three), path="candles", times=2)
        came, seconds = list(bars_of(first)), 600.0
        for _ in range(4):
            came += bars_of(poll_at(stand, data, seconds))
            seconds = ((data.next_due_ns() or 0) - stand.start_ns) / NS_PER_S
        assert [start for _, start in came] == [stand.start_ns + n * MINUTE_NS for n in range(-1, 10)]
        assert seconds <= 660


def test_history_is_of_closed_bars_oldest_first(stand: Stand) -> None:
    with following(stand) as data:
        stand.time.seconds = stand.base_s + 90
        data.poll(stand.now_ns())
        bars = data.history("USD_JPY", 300)
    starts = [bar.open_ts_ns for bar in bars]
    assert len(bars) == 300 and starts == sorted(starts) and starts[-1] == stand.start_ns


def test_an_instrument_that_is_not_offered_is_refused(stand: Stand) -> None:
    with stand.desk() as desk, pytest.raises(ConfigError, match="XXX_YYY"):
        desk.market_data("USD", stand.now_ns, 1.0).start(("EUR_USD", "XXX_YYY"), Granularity.M1)


def test_home_rates_are_those_of_the_account_currency(stand: Stand) -> None:
    with following(stand) as data:
        quotes = quotes_of(poll_at(stand, data, 1))
    pricing = stand.ask("/pricing?instruments=USD_JPY,EUR_GBP,GBP_USD&includeHomeConversions=true")
    home = {row["currency"]: row for row in pricing["homeConversions"]}
    for name, currency in (("USD_JPY", "JPY"), ("EUR_GBP", "GBP")):
        assert quotes[name].home_rate == Decimal(home[currency]["positionValue"])
        assert quotes[name].home_loss_rate == Decimal(home[currency]["accountLoss"])
    assert (quotes["EUR_USD"].home_rate, quotes["EUR_USD"].loss_rate) == (1, 1)
    assert quotes["GBP_USD"].home_rate == 1
    assert abs(1 / quotes["USD_JPY"].home_rate - quotes["USD_JPY"].mid) < Decimal("0.1")


def prices(change: Any, name: str = "EUR_USD") -> Rewrite:
    """Change what the venue says of one instrument's price."""

    def changed(body: bytes) -> bytes:
        page = json.loads(body)
        for price in page["prices"]:
            if price["instrument"] == name:
                price.update(change)
        return json.dumps(page).encode()

    return Rewrite(change=changed)


def test_an_empty_side_is_no_quote_and_no_error(stand: Stand) -> None:
    with following(stand) as data:
        for number, side in enumerate(("bids", "asks")):
            stand.proxy.inject(prices({side: []}), path="pricing")
            assert "EUR_USD" not in quotes_of(poll_at(stand, data, 10 * number + 6))
            assert "EUR_USD" in quotes_of(poll_at(stand, data, 10 * number + 7.5))


def test_nine_digits_of_a_second_are_kept(stand: Stand) -> None:
    with following(stand) as data:
        stand.proxy.inject(prices({"time": rfc3339_text(stand.start_ns + 123_456_789)}), path="pricing")
        assert quotes_of(poll_at(stand, data, 1))["EUR_USD"].ts_ns == stand.start_ns + 123_456_789


def test_a_price_that_cannot_be_read_is_no_quote(stand: Stand) -> None:
    changes: list[Any] = [{"status": "sleeping"}, {"time": "yesterday"}, {"bids": [{"price": "NaN"}]}]
    with following(stand) as data:
        for number, change in enumerate(changes):
            stand.proxy.inject(prices(change), path="pricing")
            with pytest.raises(RetryLater):
                poll_at(stand, data, 10 * number + 6)
            assert "EUR_USD" in quotes_of(poll_at(stand, data, 10 * number + 8))


def test_a_halt_is_told_once_though_the_price_stays(stand: Stand) -> None:
    at = rfc3339_text(stand.start_ns)
    halted = {"time": at, "tradeable": False, "status": "non-tradeable"}
    with following(stand) as data:
        stand.proxy.inject(prices({"time": at}), path="pricing")
        assert quotes_of(poll_at(stand, data, 1))["EUR_USD"].tradeable
        stand.proxy.inject(prices(halted), path="pricing", times=2)
        assert not quotes_of(poll_at(stand, data, 2.5))["EUR_USD"].tradeable
        assert "EUR_USD" not in quotes_of(poll_at(stand, data, 4))
        stand.proxy.inject(prices({"time": at}), path="pricing")
        assert "EUR_USD" not in quotes_of(poll_at(stand, data, 5.5))
        assert quotes_of(poll_at(stand, data, 7))["EUR_USD"].tradeable


def line(stand: Stand, seconds: float, bid: str = "1.20000", **more: Any) -> bytes:
    price = {
        "type": "PRICE", "instrument": "EUR_USD", "time": rfc3339_text(stand.start_ns + int(seconds * NS_PER_S)),
        "tradeable": True, "bids": [{"price": bid, "liquidity": 1}], "asks": [{"price": "1.30000", "liquidity": 1}],
    }  # fmt: skip
    return json.dumps(price | more).encode()


def asked_for_prices(stand: Stand) -> int:
    return sum("/pricing?" in seen.target for seen in stand.proxy.arrived)


def test_while_the_stream_lives_its_prices_are_used(stand: Stand) -> None:
    with following(stand, ("EUR_USD",)) as data:
        assert poll_at(stand, data, 1)
        data.is_streaming = lambda: True
        before = asked_for_prices(stand)
        for seconds in (2, 3, 4):
            assert data.on_stream_line(line(stand, seconds, f"1.2000{seconds}"))
            quote = quotes_of(poll_at(stand, data, seconds))["EUR_USD"]
            assert (quote.bid, quote.ts_ns) == (Decimal(f"1.2000{seconds}"), stand.start_ns + seconds * NS_PER_S)
        assert quotes_of(poll_at(stand, data, 5)) == {}
        assert asked_for_prices(stand) == before
        data.is_streaming = lambda: False
        poll_at(stand, data, 6)
        assert asked_for_prices(stand) == before + 1


def test_a_decision_is_never_taken_on_streamed_prices_alone(stand: Stand) -> None:
    with following(stand, ("EUR_USD",)) as data:
        poll_at(stand, data, 1)
        data.is_streaming = lambda: True
        before = asked_for_prices(stand)
        assert bars_of(poll_at(stand, data, 60))
        assert asked_for_prices(stand) >= before + 1
        assert not bars_of(poll_at(stand, data, 61))
        before = asked_for_prices(stand)
        assert bars_of(poll_at(stand, data, 120))
        assert asked_for_prices(stand) == before + 1


def test_lines_that_come_twice_or_in_the_wrong_order_change_nothing(stand: Stand) -> None:
    with following(stand, ("EUR_USD",)) as data:
        poll_at(stand, data, 1)
        data.is_streaming = lambda: True
        for seconds in (3, 3, 2):
            assert data.on_stream_line(line(stand, seconds, f"1.2000{seconds}"))
        assert quotes_of(poll_at(stand, data, 4))["EUR_USD"].bid == Decimal("1.20003")
        data.on_stream_line(line(stand, 2.5, "1.20009", tradeable=False))
        assert quotes_of(poll_at(stand, data, 5)) == {}


def test_a_line_that_cannot_be_read_says_so(stand: Stand) -> None:
    with following(stand, ("EUR_USD",)) as data:
        for bad in (b"{", b"<html>", line(stand, 2, status="sleeping"), line(stand, 2, bids=7), b'{"type": "NEWS"}'):
            assert data.on_stream_line(bad) is False
        assert data.on_stream_line(b'{"type": "HEARTBEAT", "time": "2025-01-06T08:00:00.000000000Z"}') is True


def test_a_price_without_a_home_rate_waits_for_one(stand: Stand) -> None:
    def without(body: bytes) -> bytes:
        page = json.loads(body)
        for price in page["prices"]:
            price.pop("quoteHomeConversionFactors", None)
            price["time"] = rfc3339_text(stand.start_ns)
        return json.dumps(page if kept else {**page, "homeConversions": []}).encode()

    kept: list[bool] = []
    stand.proxy.inject(Rewrite(change=without), path="pricing", times=None)
    with following(stand, ("USD_JPY",)) as data:
        assert quotes_of(poll_at(stand, data, 1)) == {}
        kept.append(True)
        assert set(quotes_of(poll_at(stand, data, 2.5))) == {"USD_JPY"}


def test_those_who_fail_together_have_failed_once(stand: Stand) -> None:
    with stand.desk() as desk:
        asker = Asker(desk._market, stand.time, Backoff(lambda: 0.0))
        gate = threading.Event()
        stand.proxy.inject(Hold(gate=gate), path="summary", times=3)
        reached = len(stand.proxy.arrived)
        threads = [threading.Thread(target=lambda: failed(asker)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(stand.proxy.arrived) < reached + 3:
            assert all(thread.is_alive() for thread in threads)
        stand.proxy.drop_connections()
        for thread in threads:
            thread.join(20)
        gate.set()
        stand.time.pass_by(1)
        assert asker.ask("/v3/accounts", lambda _: "read") == "read"


def failed(asker: Asker) -> None:
    with pytest.raises(RetryLater):
        asker.ask("/v3/accounts/101-001-1234567-001/summary", lambda body: body)
