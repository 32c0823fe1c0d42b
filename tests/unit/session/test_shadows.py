"""Blocked signals are followed to an end that can be worked out by hand, once each, and change nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace as altered

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.command import HaltTrading, PauseEntries
from engine.domain.event import BlockedOutcome
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.market import Bar, Granularity
from engine.risk.breakers import Trip
from engine.session import shadows
from engine.store.codec import decode
from tests.unit.session.rig import MINUTE_NS, MONDAY_NS, PIP, Rig, bar, make_rig

OPEN = RiskLimits(
    stop_mode=StopMode.PIPS, stop_loss_pips=Decimal(10), take_profit_pips=Decimal(20), atr_period=2,
    order_interval_s_min=Decimal(0), position_units_max={ANY: Decimal(10_000)}, volatility_ratio_max=Decimal(100),
    spread_ratio_max=Decimal(100), price_collar_atr_max=Decimal(100), rollover_blackout_min=0,
    weekend_cutoff_min=0,
)  # fmt: skip
BLOCKED = replace(OPEN, spread_pips_max={ANY: Decimal("0.5")})
MID = Decimal("1.10000")
SIGNAL = 7
# a long enters at the ask 1.10005, with its stop at 1.09905 and its target at 1.10205; a short at the bid 1.09995,
# with its stop at 1.10095 and its target at 1.09795


def quiet(count: int, start: int = 0) -> list[Bar]:
    return [bar(index, MID) for index in range(start, start + count)]


def wild(index: int, opened: str, high: str, low: str, close: str, spread: Decimal = PIP) -> Bar:
    """A minute with these bid prices."""
    bid = [Decimal(text) for text in (opened, high, low, close)]
    return Bar(
        instrument="EUR_USD", granularity=Granularity.M1, open_ts_ns=MONDAY_NS + index * MINUTE_NS,
        bid_open=bid[0], bid_high=bid[1], bid_low=bid[2], bid_close=bid[3],
        ask_open=bid[0] + spread, ask_high=bid[1] + spread, ask_low=bid[2] + spread, ask_close=bid[3] + spread,
    )  # fmt: skip


def outcomes(rig: Rig) -> list[BlockedOutcome]:
    rows = rig.rows("SELECT kind, payload FROM events WHERE kind = 'BlockedOutcome' ORDER BY seq")
    return [decode(*row) for row in rows]  # type: ignore[misc]


def played(
    folder: Path, after: Sequence[Bar], signals: dict[int, int] | None = None, limits: RiskLimits = BLOCKED
) -> list[BlockedOutcome]:
    rig = make_rig(folder, [[*quiet(SIGNAL + 1), *after]], signals or {SIGNAL: 1}, limits=limits)
    rig.play()
    assert rig.rows("SELECT count(*) FROM orders") == [(0,)]
    found = outcomes(rig)
    assert rig.session.desk.counts().outcomes == len(found)
    return found


NEXT = SIGNAL + 1
LONG = {SIGNAL: 1}
SHORT = {SIGNAL: -1}


@pytest.mark.parametrize(
    ("signals", "after", "price", "result", "ended"),
    [
        (LONG, wild(NEXT, "1.09990", "1.10000", "1.09905", "1.09950"), "1.09905", "-10", "stop"),
        (LONG, wild(NEXT, "1.09990", "1.10205", "1.09990", "1.10100"), "1.10205", "20", "target"),
        (LONG, wild(NEXT, "1.09990", "1.10300", "1.09900", "1.10100"), "1.09905", "-10", "stop"),
        (LONG, wild(NEXT, "1.09800", "1.10300", "1.09700", "1.10100"), "1.09800", "-20.5", "stop"),
        (LONG, wild(NEXT, "1.10300", "1.10400", "1.10200", "1.10300"), "1.10300", "29.5", "target"),
        (SHORT, wild(NEXT, "1.09990", "1.10085", "1.09990", "1.10000"), "1.10095", "-10", "stop"),
        (SHORT, wild(NEXT, "1.09990", "1.10000", "1.09785", "1.09800"), "1.09795", "20", "target"),
        (SHORT, wild(NEXT, "1.09990", "1.10200", "1.09700", "1.09800"), "1.10095", "-10", "stop"),
        (SHORT, wild(NEXT, "1.10190", "1.10200", "1.10100", "1.10150"), "1.10200", "-20.5", "stop"),
        (SHORT, wild(NEXT, "1.09690", "1.09750", "1.09600", "1.09700"), "1.09700", "29.5", "target"),
    ],
    ids=[
        "stop", "target", "both in one bar", "gap over the stop", "gap over the target",
        "short stop", "short target", "short both", "short gap over the stop", "short gap over the target",
    ],
)  # fmt: skip
def test_it_ends_as_the_trade_would_have(
    tmp_path: Path, signals: dict[int, int], after: Bar, price: str, result: str, ended: str
) -> None:
    (found,) = played(tmp_path, [after, *quiet(3, NEXT + 1)], signals)
    side = signals[SIGNAL]
    assert found == BlockedOutcome(
        ts_ns=after.close_ts_ns,
        instrument="EUR_USD",
        bar_ts_ns=MONDAY_NS + SIGNAL * MINUTE_NS,
        direction=side,
        gates=("spread",),
        entry_price=Decimal("1.10005" if side > 0 else "1.09995"),
        exit_price=Decimal(price),
        units=Decimal(10_000 * side),
        financing_home=Decimal(0),
        result_home=Decimal(result),
        result_r=Decimal(result) / 10,
        ended=ended,  # type: ignore[arg-type]
        bars=1,
    )


def test_a_bar_that_stops_one_step_short_of_both_ends_nothing(tmp_path: Path) -> None:
    near = wild(NEXT, "1.09990", "1.10204", "1.09906", "1.10000")
    assert played(tmp_path, [near, *quiet(3, NEXT + 1)]) == []
    near = wild(NEXT, "1.09990", "1.10084", "1.09786", "1.10000")
    (tmp_path / "short").mkdir()
    assert played(tmp_path / "short", [near, *quiet(3, NEXT + 1)], SHORT) == []


def test_the_bar_of_the_signal_itself_ends_nothing(tmp_path: Path) -> None:
    bars = [*quiet(SIGNAL), wild(SIGNAL, "1.09995", "1.10400", "1.09500", "1.09995"), *quiet(4, NEXT)]
    rig = make_rig(tmp_path, [bars], LONG, limits=BLOCKED)
    rig.play()
    assert outcomes(rig) == [] and rig.session.desk.counts().followed == 1


def test_an_opposite_signal_ends_it_at_the_close_and_begins_the_other_side(tmp_path: Path) -> None:
    turned = wild(NEXT, "1.09990", "1.10050", "1.09990", "1.10045")
    back = wild(NEXT + 2, "1.09990", "1.10100", "1.09990", "1.10000")
    after = [turned, bar(NEXT + 1, MID), back, *quiet(2, NEXT + 3)]
    long, short = played(tmp_path, after, {SIGNAL: 1, NEXT: -1, NEXT + 2: 1})
    assert (long.exit_price, long.result_home, long.ended, long.bars) == (Decimal("1.10045"), 4, "signal", 1)
    assert (short.entry_price, short.exit_price, short.bars) == (Decimal("1.10045"), Decimal("1.10010"), 2)
    assert (short.units, short.result_home, short.ended) == (-10_000, Decimal("3.5"), "signal")


def test_an_opposite_signal_that_is_sent_ends_it_as_well(tmp_path: Path) -> None:
    wide = [altered(one, ask_close=one.ask_close + PIP) for one in quiet(1, SIGNAL)]
    limits = replace(OPEN, spread_pips_max={ANY: Decimal(1)})
    rig = make_rig(tmp_path, [[*quiet(SIGNAL), *wide, *quiet(4, NEXT)]], {SIGNAL: 1, NEXT: -1}, limits=limits)
    rig.play()
    (found,) = outcomes(rig)
    # the ask of the wide bar was 1.10015
    assert (found.ended, found.result_home, found.bars) == ("signal", -2, 1)
    assert rig.session.desk.counts().trades == 1


def test_no_signal_and_a_fault_end_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet(14)], LONG, limits=BLOCKED, fault_at=frozenset({NEXT, NEXT + 2}))
    rig.play()
    assert outcomes(rig) == [] and rig.session.desk.counts().followed == 1


def test_a_signal_that_is_blocked_bar_after_bar_counts_once(tmp_path: Path) -> None:
    stopped = wild(12, "1.09990", "1.10000", "1.09905", "1.09950")
    signals = dict.fromkeys(range(SIGNAL, 12), 1)
    (found,) = played(tmp_path, [*quiet(12 - NEXT, NEXT), stopped, *quiet(2, 13)], signals)
    assert (found.bar_ts_ns, found.bars) == (MONDAY_NS + SIGNAL * MINUTE_NS, 12 - SIGNAL)


def test_a_signal_that_goes_on_after_the_stop_is_followed_anew(tmp_path: Path) -> None:
    stopped = [wild(index, "1.09990", "1.10000", "1.09880", "1.09995") for index in (NEXT, NEXT + 1)]
    found = played(tmp_path, [*stopped, *quiet(2, NEXT + 2)], {SIGNAL: 1, NEXT: 1})
    assert [one.bar_ts_ns for one in found] == [MONDAY_NS + index * MINUTE_NS for index in (SIGNAL, NEXT)]


def test_instruments_are_followed_apart(tmp_path: Path) -> None:
    pound = [altered(one, instrument="GBP_USD") for one in quiet(12)]
    stopped = wild(NEXT, "1.09990", "1.10000", "1.09905", "1.09950")
    rig = make_rig(tmp_path, [[*quiet(NEXT), stopped, *quiet(3, NEXT + 1)], pound], LONG, limits=BLOCKED)
    rig.play()
    assert [one.instrument for one in outcomes(rig)] == ["EUR_USD"]
    assert rig.session.desk.counts().followed == 1


def test_it_is_given_up_after_so_many_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "BARS_MAX", 3)
    late = wild(NEXT + 3, "1.09990", "1.10000", "1.09905", "1.09950")
    assert played(tmp_path, [*quiet(3, NEXT), late]) == []
    (tmp_path / "in time").mkdir()
    just = wild(NEXT + 2, "1.09990", "1.10000", "1.09905", "1.09950")
    assert [one.bars for one in played(tmp_path / "in time", [*quiet(2, NEXT), just])] == [3]


def test_what_was_sent_casts_no_shadow(tmp_path: Path) -> None:
    stopped = wild(NEXT, "1.09990", "1.10000", "1.09905", "1.09950")
    rig = make_rig(tmp_path, [[*quiet(NEXT), stopped, *quiet(3, NEXT + 1)]], LONG, limits=OPEN)
    rig.play()
    assert outcomes(rig) == [] and rig.session.desk.counts().trades == 1


def test_a_signal_without_a_size_is_not_followed(tmp_path: Path) -> None:
    limits = replace(BLOCKED, stop_loss_pips=Decimal(5_000), risk_per_trade_pct=Decimal("0.01"))
    rig = make_rig(tmp_path, [quiet(12)], LONG, limits=limits, capital=Decimal(100))
    rig.play()
    assert rig.rows("SELECT first_block FROM decisions WHERE action = 'denied'") == [("size",)]
    assert rig.session.desk.counts().followed == 0


def test_a_stop_inside_the_spread_is_not_followed(tmp_path: Path) -> None:
    limits = replace(OPEN, stop_loss_pips=Decimal(1))
    rig = make_rig(tmp_path, [quiet(12)], LONG, limits=limits)
    rig.play()
    assert rig.rows("SELECT first_block FROM decisions WHERE action = 'denied'") == [("stop_loss",)]
    assert rig.session.desk.counts().followed == 0 and outcomes(rig) == []


def test_a_signal_in_a_closed_market_is_not_followed(tmp_path: Path) -> None:
    saturday = 5 * 24 * 60
    rig = make_rig(tmp_path, [quiet(12, saturday)], {saturday + SIGNAL: 1}, limits=BLOCKED)
    rig.play()
    assert rig.rows("SELECT first_block FROM decisions WHERE action = 'denied'") == [("quote",)]
    assert rig.session.desk.counts().followed == 0 and outcomes(rig) == []


def held_over(folder: Path, nights: int, side: int) -> BlockedOutcome:
    """Hold from Monday 08:07 over so many rollovers, hour by hour, and be stopped out."""
    hours = [altered(bar(0, MID), open_ts_ns=MONDAY_NS + hour * 60 * MINUTE_NS) for hour in range(1, 24 * nights + 2)]
    last = hours[-1].open_ts_ns + MINUTE_NS
    stop = wild(0, "1.09990", "1.10200", "1.09800", "1.09950")
    rig = make_rig(folder, [[*quiet(NEXT), *hours, altered(stop, open_ts_ns=last)]], {SIGNAL: side}, limits=BLOCKED)
    rig.play()
    (found,) = outcomes(rig)
    assert rig.session.desk.instruments["EUR_USD"] == CATALOGUE["EUR_USD"]
    return found


@pytest.mark.parametrize("nights", [1, 3])
@pytest.mark.parametrize("side", [1, -1])
def test_each_rollover_pays_or_costs_a_day_of_its_value(tmp_path: Path, nights: int, side: int) -> None:
    spec = CATALOGUE["EUR_USD"]
    rate = spec.financing_long if side > 0 else spec.financing_short
    assert rate < 0 if side > 0 else rate > 0
    found = held_over(tmp_path, nights, side)
    # 10,000 units are worth 11,000 USD
    expected = (11_000 * rate / 365 * nights).quantize(Decimal("0.0001"))
    assert expected and found.financing_home == expected
    assert found.result_home == -10 + expected and found.ended == "stop"


def test_a_gain_in_another_currency_is_booked_with_the_brokers_charge(tmp_path: Path) -> None:
    def yen(index: int, high: str) -> Bar:
        low = Decimal("149.990")
        return Bar(
            instrument="USD_JPY", granularity=Granularity.M1, open_ts_ns=MONDAY_NS + index * MINUTE_NS,
            bid_open=low, bid_high=Decimal(high), bid_low=low, bid_close=low,
            ask_open=low + Decimal("0.02"), ask_high=Decimal(high) + Decimal("0.02"), ask_low=low + Decimal("0.02"),
            ask_close=low + Decimal("0.02"),
        )  # fmt: skip

    bars = [*(yen(index, "150.000") for index in range(NEXT)), yen(NEXT, "150.300"), yen(NEXT + 1, "150.000")]
    rig = make_rig(tmp_path, [bars], LONG, limits=BLOCKED)
    rig.play()
    (found,) = outcomes(rig)
    # 10,000 units gain 20 pips = 2,000 JPY; at 150 that is 13.3333 USD, and 1 % goes to the broker
    assert (found.exit_price, found.result_home) == (Decimal("150.210"), Decimal("13.2000"))


def test_the_trading_state_is_told_by_what_stands_behind_it(tmp_path: Path) -> None:
    stopped = wild(NEXT, "1.09990", "1.10000", "1.09905", "1.09950")
    rig = make_rig(tmp_path, [[*quiet(NEXT), stopped, *quiet(3, NEXT + 1)]], LONG, limits=OPEN)
    rig.session.desk.panel.latch(Trip(breaker="daily_loss", ts_ns=MONDAY_NS, value="3 %", limit="3 %", cause="a fall"))
    rig.command(PauseEntries(command_id="p"), HaltTrading(command_id="h"))
    rig.play()
    assert [one.gates for one in outcomes(rig)] == [("halt", "breaker daily_loss", "pause")]
