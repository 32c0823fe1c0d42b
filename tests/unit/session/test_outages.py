"""Market data that cannot be read for a while, gaps, and how a run ends."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from engine.adapters.clock import PacedClock
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket
from engine.adapters.sim.market_data import SimMarketData
from engine.domain.command import HaltTrading, ResumeTrading
from engine.domain.decision import Action
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Bar, Granularity, Quote
from tests.unit.session.faulty import FaultyRig, make_faulty
from tests.unit.session.rig import LOOKBACK, bar, make_rig

START = Decimal("1.10000")


def quiet(instrument: str = "EUR_USD", count: int = 30) -> list[Bar]:
    return [bar(index, START, instrument=instrument) for index in range(count)]


def until_decided(rig: FaultyRig, count: int) -> None:
    while rig.session.desk.counts().decisions < count:
        rig.step()


def test_an_outage_of_the_market_degrades_and_ends_by_itself(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {index: 1 for index in range(8, 30)})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    for _ in range(4):
        rig.step()
    desk = rig.session.desk
    assert (desk.state, desk.reason) == (SessionState.DEGRADED, "the price stream broke off")
    assert desk.trading_state is TradingState.REDUCING
    assert rig.session.snapshot(1, 0).reason == "the price stream broke off"
    assert rig.broker.submitted == []
    rig.market.outage = ""
    rig.step()
    assert (desk.state, desk.reason, desk.trading_state) == (SessionState.RUNNING, "", TradingState.ACTIVE)
    rig.play()
    assert len(rig.broker.submitted) == 1
    decided = rig.rows("SELECT bar_ts_ns, count(*) FROM decisions GROUP BY bar_ts_ns")
    assert len(decided) == 30 - LOOKBACK and {count for _, count in decided} == {1}


def outage_over_bars(rig: FaultyRig, minutes: int) -> None:
    """Let the market be unreadable for so many minutes, then step once: their bars come together."""
    rig.market.outage = "the price stream broke off"
    until_ns = rig.clock.now_ns() + minutes * 60 * 10**9
    while rig.clock.now_ns() < until_ns:
        rig.step()
    rig.market.outage = ""
    rig.command()


def test_of_bars_that_come_together_only_the_newest_is_traded_on(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet(), quiet("GBP_USD")], {8: 1, 9: 1, 10: 1, 14: 1})
    until_decided(rig, 6)
    asked: list[int] = []
    predict = rig.session._parts.predictor.predict
    rig.session._parts.predictor.predict = lambda window: [  # type: ignore[method-assign]
        asked.append(window.close_ts_ns[-1]),
        predict(window),
    ][1]
    outage_over_bars(rig, 5)
    late = list(rig.session.desk.decisions)[6:]
    assert len(late) == 10 and len({(one.instrument, one.bar_ts_ns) for one in late}) == 10
    newest_ns = max(one.bar_ts_ns for one in late)
    stale = [one for one in late if one.bar_ts_ns < newest_ns]
    assert {(one.action, one.reason) for one in stale} == {(Action.HOLD, "a newer bar has closed")}
    assert [one.reason for one in late if one not in stale] == ["no signal", "no signal"]
    assert asked == [newest_ns + 60 * 10**9] * 2
    assert rig.broker.submitted == []
    rig.play()
    assert [order.instrument for order in rig.broker.submitted] == ["EUR_USD", "GBP_USD"]
    assert rig.session.desk.counts().decisions == rig.session.desk.counts().bars == 2 * (30 - LOOKBACK)
    windows = [window.close_ts_ns for window in rig.session.desk.windows.values()]
    assert all(list(times) == list(range(times[0], times[-1] + 1, 60 * 10**9)) for times in windows)


def test_the_newest_bar_after_an_outage_is_traded_on(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {index: 1 for index in range(8, 30)})
    until_decided(rig, 3)
    outage_over_bars(rig, 5)
    acted = [one for one in rig.session.desk.decisions if one.client_order_id]
    assert [one.bar_ts_ns for one in acted] == [quiet()[12].open_ts_ns]


def test_an_instrument_that_was_silent_is_judged_by_its_own_newest_bar(tmp_path: Path) -> None:
    """Nobody traded it in the last minutes of the outage: no newer bar of it has closed."""
    silent = [one for index, one in enumerate(quiet("GBP_USD")) if index not in (11, 12)]
    rig = make_faulty(tmp_path, [quiet(), silent], {})
    until_decided(rig, 6)
    outage_over_bars(rig, 5)
    late = {(one.instrument, one.bar_ts_ns): one.reason for one in list(rig.session.desk.decisions)[6:]}
    assert late["GBP_USD", quiet()[10].open_ts_ns] == "no signal"
    assert late["GBP_USD", quiet()[9].open_ts_ns] == "a newer bar has closed"
    assert late["EUR_USD", quiet()[10].open_ts_ns] == "a newer bar has closed"


def test_the_bar_before_a_week_end_and_the_one_after_it_are_traded_on(tmp_path: Path) -> None:
    gap_ns = 48 * 3_600 * 10**9
    bars = [replace(one, open_ts_ns=one.open_ts_ns + (gap_ns if i >= 12 else 0)) for i, one in enumerate(quiet())]
    rig = make_faulty(tmp_path, [bars], {11: 1, gap_ns // (60 * 10**9) + 12: -1})
    rig.play()
    acted = [(one.bar_ts_ns, one.action) for one in rig.session.desk.decisions if one.direction]
    assert acted == [(bars[11].open_ts_ns, Action.ENTER), (bars[12].open_ts_ns, Action.REVERSE)]


@pytest.mark.parametrize("granularity", [Granularity.S5, Granularity.M1])
def test_a_simulated_market_hands_its_bars_out_one_by_one_at_any_pace(granularity: Granularity) -> None:
    """What is taken for an outage there would make a digest depend on the machine."""
    for speed in (None, 86_400.0):
        source = GeneratedMarket(3, ("EUR_USD", "USD_JPY"))
        traded = {name: CATALOGUE[name] for name in source.instruments}
        broker = SimBroker(instruments=traded, currency="USD", balance=Decimal(1_000), start_ns=DEFAULT_START_NS)
        market, clock = SimMarketData(source=source, broker=broker), PacedClock(DEFAULT_START_NS, speed)
        market.start(source.instruments, granularity)
        woken = Event()
        seen: Counter[str] = Counter()
        for number in range(300):
            woken.set() if number % 3 == 0 else woken.clear()
            due_ns = market.next_due_ns()
            assert due_ns is not None
            clock.wait_until(due_ns, woken)
            bars = [item.instrument for item in market.poll(clock.now_ns()) if isinstance(item, Bar)]
            assert len(set(bars)) == len(bars)
            seen.update(bars)
        assert set(seen) == set(source.instruments) and min(seen.values()) > 1


def test_an_outage_does_not_end_the_run_when_the_data_have_not(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    for _ in range(50):
        rig.step()
    assert rig.session.next_due_ns() is not None and not rig.session.finished


def test_a_failed_poll_is_tried_again_after_a_pause(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    rig.step()
    due_ns = rig.session.next_due_ns()
    assert due_ns is not None and due_ns > rig.clock.now_ns()


def test_a_halt_during_an_outage_outlasts_it(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {12: 1})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    rig.step(HaltTrading(command_id="h"))
    assert rig.session.desk.trading_state is TradingState.HALTED
    rig.market.outage = ""
    rig.play()
    assert rig.session.desk.trading_state is TradingState.HALTED and rig.broker.submitted == []


def test_a_halted_session_says_why_it_is_halted_even_in_an_outage(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    rig.step(HaltTrading(command_id="h"))
    rig.step()
    snapshot = rig.session.snapshot(1, 0)
    assert snapshot.trading_state is TradingState.HALTED
    assert "halt by the operator" in snapshot.reason


def test_resume_in_an_outage_does_not_promise_entries(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 2)
    rig.market.outage = "the price stream broke off"
    rig.step()
    rig.step(ResumeTrading(command_id="r"))
    assert rig.session.desk.trading_state is TradingState.REDUCING
    assert rig.session.desk.verdicts[-1].detail != "entries allowed"


def test_instruments_with_different_gaps_get_one_decision_per_bar_each(tmp_path: Path) -> None:
    gaps = {"EUR_USD": {12, 13, 14, 20}, "GBP_USD": {14, 15, 25}}
    bars = [[one for index, one in enumerate(quiet(name)) if index not in gone] for name, gone in gaps.items()]
    rig = make_rig(tmp_path, bars, {10: 1, 16: -1})
    rig.play()
    for name, gone in gaps.items():
        decided = [row[0] for row in rig.rows("SELECT bar_ts_ns FROM decisions WHERE instrument = ?", name)]
        expected = [one.open_ts_ns for index, one in enumerate(quiet(name)) if index >= LOOKBACK and index not in gone]
        assert decided == expected
    assert rig.session.desk.counts().bars == rig.session.desk.counts().decisions


def test_two_instruments_decide_as_often_as_each_alone(tmp_path: Path) -> None:
    names = ("EUR_USD", "GBP_USD")
    moving = {
        name: [bar(index, START + Decimal("0.0002") * (index % 7), instrument=name) for index in range(40)]
        for name in names
    }
    signals = {8: 1, 15: -1, 22: 1, 30: -1}
    both = make_rig(tmp_path, [moving[name] for name in names], signals)
    both.play()
    for name in names:
        (tmp_path / name).mkdir()
        alone = make_rig(tmp_path / name, [moving[name]], signals)
        alone.play()
        query = "SELECT bar_ts_ns, direction, action, sign FROM (SELECT *, units LIKE '-%' AS sign FROM decisions) "
        assert alone.rows(query) == both.rows(query + "WHERE instrument = ?", name)


@pytest.mark.parametrize(("minutes", "decisions"), [(1, 1), (10, 10), (24, 24)])
def test_a_duration_ends_the_run_on_its_last_bar(tmp_path: Path, minutes: int, decisions: int) -> None:
    rig = make_faulty(tmp_path, [quiet()], {}, duration_s=minutes * 60)
    rig.session.step()
    while rig.session.next_due_ns() is not None:
        rig.step()
    assert rig.session.end_reason == "duration reached"
    assert rig.session.desk.counts().decisions == decisions


def test_the_end_of_the_data_is_told_as_such(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {}, duration_s=3_600)
    rig.session.step()
    while rig.session.next_due_ns() is not None:
        rig.step()
    assert rig.session.end_reason == "end of data"
    assert rig.session.desk.counts().decisions == 30 - LOOKBACK


def test_an_unexpected_fault_is_on_record_with_the_closing_figures(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet()], {8: 1})
    while not rig.session.desk.ledger.held:
        rig.step()
    rig.session.fault("session", "KeyError: 'x'")
    snapshot = rig.session.snapshot(1, 0)
    assert (snapshot.session_state, snapshot.reason) == (SessionState.FAULTED, "session: KeyError: 'x'")
    assert len(snapshot.digest) == 64
    assert rig.rows("SELECT status, reason, closing_balance_home, trades FROM runs") == [
        ("FAULTED", "session: KeyError: 'x'", str(rig.session.desk.ledger.balance_home), 1)
    ]
    assert rig.rows("SELECT count(*) FROM events WHERE kind = 'Faulted'") == [(1,)]


def test_a_bar_that_comes_twice_or_late_is_not_judged_again(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 6)
    inner, old = rig.market.inner.poll, quiet()[7]
    late = replace(old, open_ts_ns=old.open_ts_ns - 10**9)

    def repeated(now_ns: int) -> list[Quote | Bar]:
        fresh = list(inner(now_ns))
        return [old, late, *fresh, *fresh[-1:]]

    rig.market.inner.poll = repeated  # type: ignore[method-assign]
    rig.play()
    assert rig.session.desk.counts().decisions == 30 - LOOKBACK


BAD_QUOTES = {
    "crossed": {"bid": START + 1},
    "no number": {"ask": Decimal("NaN")},
    "infinite": {"ask": Decimal("Infinity")},
    "zero": {"bid": Decimal(0)},
    "older": {"bid": START - 1, "ask": START - 1, "ts_ns": 1},
}


@pytest.mark.parametrize("case", BAD_QUOTES)
def test_a_quote_that_cannot_be_is_not_used_for_anything(tmp_path: Path, case: str) -> None:
    rig = make_faulty(tmp_path, [quiet()], {8: 1})
    until_decided(rig, 6)
    inner, desk = rig.market.inner.poll, rig.session.desk
    known, equity, units = desk.quotes["EUR_USD"], desk.equity_home, desk.ledger.units("EUR_USD")
    assert units > 0

    def spoilt(now_ns: int) -> list[Quote | Bar]:
        return [replace(one, **BAD_QUOTES[case]) if isinstance(one, Quote) else one for one in inner(now_ns)]

    rig.market.inner.poll = spoilt  # type: ignore[method-assign]
    rig.step()
    assert (desk.quotes["EUR_USD"], desk.equity_home) == (known, equity)
    rig.market.inner.poll = inner  # type: ignore[method-assign]
    rig.step()
    assert desk.quotes["EUR_USD"].ts_ns == rig.clock.now_ns()


def test_a_quote_of_the_same_moment_replaces_the_one_before(tmp_path: Path) -> None:
    rig = make_faulty(tmp_path, [quiet()], {})
    until_decided(rig, 3)
    known = rig.session.desk.quotes["EUR_USD"]
    better = replace(known, bid=known.bid + Decimal("0.00001"))
    rig.market.poll = lambda now_ns: [better]  # type: ignore[method-assign]
    rig.command()
    assert rig.session.desk.quotes["EUR_USD"] == better
