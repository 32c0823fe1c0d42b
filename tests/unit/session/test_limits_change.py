"""Limits of a running session: stricter at once, looser by the words only, not after a lost day, over restarts too."""

import dataclasses
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.command import LOOSEN, AcknowledgeBreaker, ClosePosition, SetNews, TryOrder, UpdateRiskLimits
from engine.domain.decision import Action, Decision, Prediction
from engine.domain.error import ConfigError
from engine.domain.limits import ANY, RiskLimits
from engine.domain.market import Bar
from engine.domain.schedule import NewsEvent
from engine.session.decide import decide
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, MINUTE_NS, PIP, Rig, bar, make_rig

START = Decimal("1.10000")
HOURS_NS = 60 * MINUTE_NS
# 50,000 units lose 150 of 100,000 in falling(), with the stop far away.
LOSING = {"daily_loss_pct_max": Decimal("0.1"), "stop_loss_atr": Decimal(50)}


def quiet(count: int = 40) -> list[Bar]:
    return [bar(index, START) for index in range(count)]


def falling(count: int = 60, next_day_from: int = 60) -> list[Bar]:
    """Flat until bar 10, then three pips down a minute until bar 20; from one bar on it is the day after."""
    made = [bar(index, START - min(max(0, index - 10), 10) * 3 * PIP) for index in range(count)]
    later = [replace(one, open_ts_ns=one.open_ts_ns + 24 * HOURS_NS) for one in made[next_day_from:]]
    return made[:next_day_from] + later


def limits(**changes: Any) -> RiskLimits:
    return dataclasses.replace(LIMITS, **changes)


def ask(rig: Rig, wanted: RiskLimits, confirmation: str = "", revision: int | None = None) -> tuple[bool, str]:
    number = len(rig.session.desk.verdicts)
    rig.command(
        UpdateRiskLimits(command_id=f"u{number}", limits=wanted, expected_revision=revision, confirmation=confirmation)
    )
    last = rig.session.desk.verdicts[-1]
    return last.accepted, last.detail


def on_record(rig: Rig | House) -> list[tuple]:
    return rig.rows(
        "SELECT json_extract(payload, '$.revision'), json_extract(payload, '$.loosened') FROM events "
        "WHERE kind = 'LimitsChanged' ORDER BY seq"
    )


def until_tripped(rig: Rig | House) -> None:
    while not rig.session.desk.panel.trips:
        rig.step()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = make_rig(tmp_path, [quiet()], {8: 1, 12: -1})
    yield made
    made.close()


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Rig]:
    """A session whose daily loss has just tripped; its next trading day begins with bar 40."""
    made = make_rig(tmp_path, [falling(next_day_from=40)], {8: 1}, limits=limits(**LOSING))
    until_tripped(made)
    assert [trip.breaker for trip in made.session.desk.panel.trips] == ["daily_loss"]
    yield made
    made.close()


def test_stricter_limits_judge_the_next_bar_and_are_on_record_once(rig: Rig) -> None:
    while rig.session.desk.counts().bars < 3:
        rig.step()
    tighter = limits(position_units_max={ANY: Decimal(0)})
    accepted, detail = ask(rig, tighter)
    assert accepted and "position_units_max from 100000 to 0" in detail and "revision 1" in detail
    assert (rig.session.desk.limits, rig.session.desk.limits_revision) == (tighter, 1)
    rig.play()
    signalled = [one for one in rig.session.desk.decisions if one.direction]
    assert [[gate.name for gate in one.blocking] for one in signalled] == [["size"], ["size"]]
    assert on_record(rig) == [(1, None)]


@pytest.mark.parametrize(
    ("name", "value", "gate"),
    [
        ("spread_pips_max", {ANY: Decimal("0.5")}, "spread"),
        ("edge_pips_min", Decimal(1_000), "edge"),
        ("margin_pct_max", Decimal(1), "margin"),
        ("trading_windows", {ANY: "Mon-Fri 20:00-21:00 UTC"}, "trading_window"),
        ("weekend_cutoff_min", 2_880, ""),
    ],
)
def test_each_kind_of_limit_counts_from_the_next_bar(rig: Rig, name: str, value: object, gate: str) -> None:
    assert ask(rig, limits(**{name: value}))[0]
    rig.play()
    first = next(one for one in rig.session.desk.decisions if one.direction)
    assert [each.name for each in first.blocking] == [gate] * bool(gate)


def test_looser_limits_want_the_words(rig: Rig) -> None:
    looser = limits(positions_max=9, quote_age_s_max=Decimal(5))
    for words in ("", "yes", LOOSEN.lower(), f"{LOOSEN} "):
        assert ask(rig, looser, words) == (False, f"positions_max would be less strict; type {LOOSEN} to confirm that")
        assert rig.session.desk.limits == LIMITS and on_record(rig) == []
    assert ask(rig, looser, LOOSEN)[0]
    assert rig.session.desk.limits == looser
    assert on_record(rig) == [(1, '["positions_max"]')]


def test_words_are_not_needed_to_get_stricter_and_nothing_is_recorded_where_nothing_changes(rig: Rig) -> None:
    assert ask(rig, limits(positions_max=1))[0]
    assert ask(rig, limits(positions_max=1)) == (True, "nothing changes")
    assert on_record(rig) == [(1, None)] and rig.session.desk.limits_revision == 1


@pytest.mark.parametrize(("name", "value"), [("atr_period", 3), ("guard_bars", 50), ("trading_day", "00:00 UTC")])
@pytest.mark.parametrize("words", ["", LOOSEN])
def test_what_counts_from_the_next_session_is_refused_by_name_and_nothing_is_half_done(
    rig: Rig, name: str, value: object, words: str
) -> None:
    before = (rig.session.desk.limits, rig.session.desk.hours, rig.session.desk.decisive_revision)
    accepted, detail = ask(rig, limits(**{name: value, "positions_max": 1}), words)
    assert not accepted
    assert detail == f"{name} cannot change while a session runs; it takes effect in the next session"
    assert (rig.session.desk.limits, rig.session.desk.hours, rig.session.desk.decisive_revision) == before
    assert on_record(rig) == [] and rig.session.desk.limits_revision == 0


def test_page_drawn_before_a_change_is_refused(rig: Rig) -> None:
    seen = rig.session.snapshot(1, 0).revision
    assert ask(rig, limits(positions_max=3), revision=seen)[0]
    accepted, detail = ask(rig, limits(positions_max=1), revision=seen)
    assert not accepted and "out of date" in detail
    assert rig.session.desk.limits.positions_max == 3
    assert ask(rig, limits(positions_max=1), revision=rig.session.snapshot(2, 0).revision)[0]


@pytest.mark.parametrize("by_hand", [False, True])
def test_after_a_lost_day_limits_only_get_stricter_until_the_next(lost: Rig, by_hand: bool) -> None:
    desk = lost.session.desk
    if by_hand:
        lost.command(AcknowledgeBreaker(command_id="a", breaker="daily_loss", reason="looked at it"))
        assert not desk.panel.trips
    now = desk.limits
    looser = dataclasses.replace(now, daily_loss_pct_max=Decimal(50), positions_max=1)
    accepted, detail = ask(lost, looser, LOOSEN)
    assert not accepted and detail.startswith("daily_loss_pct_max would be less strict; a daily breaker has tripped")
    assert "2025-01-06T22:00" in detail and desk.limits == now and on_record(lost) == []
    assert ask(lost, dataclasses.replace(now, positions_max=1))[0]
    while desk.now_ns < desk.no_loosening_until_ns:
        assert not ask(lost, looser, LOOSEN)[0]
        lost.step()
    assert desk.panel.trips == ()  # the daily breaker ended with its day
    assert ask(lost, dataclasses.replace(desk.limits, positions_max=5), "")[0] is False
    assert ask(lost, looser, LOOSEN)[0]


def test_looser_limits_that_come_with_the_loss_are_too_late(tmp_path: Path) -> None:
    """The breakers look before a command of the same step can take their limit away."""
    probe = make_rig(tmp_path, [falling()], {8: 1}, limits=limits(**LOSING))
    until_tripped(probe)
    tripped_ns = probe.session.desk.now_ns
    probe.close()
    folder = tmp_path / "again"
    folder.mkdir()
    rig = make_rig(folder, [falling()], {8: 1}, limits=limits(**LOSING))
    while rig.session.desk.now_ns < tripped_ns - MINUTE_NS:
        rig.step()
    looser = limits(**LOSING | {"daily_loss_pct_max": Decimal(50)})
    rig.step(UpdateRiskLimits(command_id="u", limits=looser, confirmation=LOOSEN))
    assert rig.session.desk.now_ns == tripped_ns
    assert [trip.breaker for trip in rig.session.desk.panel.trips] == ["daily_loss"]
    assert not rig.session.desk.verdicts[-1].accepted
    rig.close()


def test_looser_limits_behind_the_loss_of_another_command_are_too_late(tmp_path: Path) -> None:
    """Two commands of one step: what the first has cost is looked at before the second can take its limit away."""
    rig = make_rig(tmp_path, [quiet()], {8: 1}, limits=limits(loss_streak_max=1))
    while not rig.session.desk.ledger.held:
        rig.step()
    rig.command(
        ClosePosition(command_id="c", instrument="EUR_USD"),
        UpdateRiskLimits(command_id="u", limits=limits(loss_streak_max=0), confirmation=LOOSEN),
    )
    assert [trip.breaker for trip in rig.session.desk.panel.trips] == ["loss_streak"]
    assert [verdict.accepted for verdict in rig.session.desk.verdicts] == [True, False]
    rig.close()


def test_after_a_lost_day_no_news_of_that_day_is_taken_out(lost: Rig) -> None:
    """A calendar without them would let entries through that limits keep out."""
    desk = lost.session.desk
    hour_ns = 60 * MINUTE_NS
    past, soon, later = (
        NewsEvent(ts_ns=ts_ns, currency="USD", title="CPI")
        for ts_ns in (desk.now_ns - hour_ns, desk.now_ns + hour_ns, desk.no_loosening_until_ns + hour_ns)
    )
    lost.command(SetNews(command_id="n1", news=(past, soon, later)))
    assert desk.verdicts[-1].accepted, "more news are stricter"
    lost.command(SetNews(command_id="n2", news=(past, later)))
    assert not desk.verdicts[-1].accepted and desk.verdicts[-1].detail.startswith(
        "the news CPI (USD) 2025-01-06T09:18:00Z would be less strict; a daily breaker has tripped"
    )
    assert desk.hours.news == (past, soon, later)
    lost.command(SetNews(command_id="n3", news=(replace(soon, title="US consumer prices"),)))
    assert desk.verdicts[-1].accepted, "what is over, and what comes after the day, may be taken out"


def test_a_new_session_is_no_way_round_the_news_either(tmp_path: Path) -> None:
    house = House(tmp_path, [falling(next_day_from=40)], {8: 1}, limits=limits(**LOSING))
    until_tripped(house)
    soon = NewsEvent(ts_ns=house.session.desk.now_ns + 60 * MINUTE_NS, currency="USD", title="CPI")
    assert house.command(SetNews(command_id="n", news=(soon,)))[0]
    house.session.commit()
    with pytest.raises(ConfigError, match="the news CPI .* would be less strict; a daily breaker has tripped"):
        house.restart()
    house.news = (soon,)
    house.restart()
    assert house.session.desk.hours.news == (soon,)
    assert house.rows("SELECT run_id, status FROM runs") == [(1, "ABORTED"), (3, "RUNNING")], (
        "the refused one left none"
    )
    house.close()


def test_breaker_that_is_not_daily_forbids_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [falling()], {8: 1}, limits=limits(drawdown_pct_max=Decimal("0.1")))
    until_tripped(rig)
    assert [trip.breaker for trip in rig.session.desk.panel.trips] == ["drawdown"]
    assert ask(rig, limits(drawdown_pct_max=Decimal(90)), LOOSEN)[0]
    rig.close()


def restarted(folder: Path, act: Callable[[House], None], given: RiskLimits) -> House:
    """A house in which something was done, and whose process then ended and began anew."""
    house = House(folder, [falling(next_day_from=40)], {8: 1}, limits=given)
    act(house)
    house.session.commit()
    house.restart()
    return house


@pytest.mark.parametrize("release", [False, True])
def test_restart_does_not_forget_that_the_day_was_lost(tmp_path: Path, release: bool) -> None:
    def act(house: House) -> None:
        until_tripped(house)
        if release:
            house.command(AcknowledgeBreaker(command_id="a", breaker="daily_loss", reason="looked at it"))

    house = restarted(tmp_path, act, limits(**LOSING))
    desk = house.session.desk
    assert [trip.breaker for trip in desk.panel.trips] == ["daily_loss"] * (not release)
    wanted = dataclasses.replace(desk.limits, positions_max=9)
    accepted, detail = house.command(UpdateRiskLimits(command_id="u", limits=wanted, confirmation=LOOSEN))
    assert not accepted and detail.startswith("positions_max would be less strict; a daily breaker has tripped")
    house.close()


def test_new_session_is_no_way_around_it(tmp_path: Path) -> None:
    given = limits(**LOSING)
    house = restarted(tmp_path, until_tripped, given)
    tighter = dataclasses.replace(given, positions_max=1)
    assert house.command(UpdateRiskLimits(command_id="u", limits=tighter))[0]
    house.session.stop("stopped by the operator")
    with pytest.raises(ConfigError, match="positions_max would be less strict; a daily breaker has tripped"):
        house.restart()
    house.limits = tighter
    house.restart()
    house.session.stop("stopped by the operator")
    house.limits = limits(positions_max=9)
    house.clock._now_ns = house.session.desk.no_loosening_until_ns
    house.restart()
    assert house.session.desk.limits.positions_max == 9
    house.close()


def test_a_limit_that_was_reached_while_nobody_was_there_is_not_taken_away_by_a_start(tmp_path: Path) -> None:
    house = House(tmp_path, [falling(next_day_from=40)], {8: 1}, limits=limits(**LOSING))
    house.steps(8)
    assert house.session.desk.ledger.held and not house.session.desk.panel.trips
    house.session.commit()
    house.crash()
    for _ in range(10):
        house.broker.inner.on_frame(house.source.pop())
    house.clock._now_ns += 10 * MINUTE_NS
    house.limits = limits(**LOSING | {"daily_loss_pct_max": Decimal(50)})
    for _ in range(2):  # a refused start does not count as one
        with pytest.raises(ConfigError, match="would be less strict; the limit of breaker daily_loss was reached"):
            house.begin()
        house.crash()
    house.limits = limits(**LOSING)
    house.begin()
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["daily_loss"]
    house.close()


def test_nothing_gets_looser_while_the_log_cannot_be_read(tmp_path: Path) -> None:
    """A loss that nobody has read of yet would be forgiven by it."""
    given = limits(loss_streak_max=1)
    gap = [bar(index, START - 100 * PIP * (index > 14)) for index in range(40)]
    house = House(tmp_path, [gap], {8: 1}, limits=given)
    house.until_sent()
    house.broker.unreadable = "the broker answers nothing"
    while house.broker.inner.holdings().trades:
        house.step()
    assert not house.session.desk.panel.trips
    looser = dataclasses.replace(given, loss_streak_max=0)
    accepted, detail = house.command(UpdateRiskLimits(command_id="u", limits=looser, confirmation=LOOSEN))
    assert not accepted and detail.endswith("nobody knows what was lost meanwhile: the broker answers nothing")
    stricter = dataclasses.replace(given, positions_max=1)
    assert house.command(UpdateRiskLimits(command_id="s", limits=stricter))[0]
    house.broker.unreadable = ""
    house.step()
    assert [trip.breaker for trip in house.session.desk.panel.trips] == ["loss_streak"]
    house.close()


def test_restart_keeps_streak_cool_down_repeats_and_locks(tmp_path: Path) -> None:
    def act(house: House) -> None:
        while not house.session.desk.conduct.losses_in_row:
            house.step()

    house = restarted(tmp_path, act, limits(repeated_entries_max=1))
    desk, seen = house.session.desk, house.broker.submitted[0]
    assert desk.conduct.losses_in_row == 1
    lost_ns = desk.conduct.last_loss_ns("EUR_USD")
    fills = house.rows("SELECT json_extract(payload, '$.fill.ts_ns') FROM events WHERE kind = 'OrderFilled'")
    assert lost_ns == fills[-1][0]
    last = desk.conduct.last_entry("EUR_USD")
    assert last is not None and (last.ts_ns, last.side, last.in_a_row) == (seen.created_ns, 1, 1)
    assert [trip.breaker for trip in desk.panel.trips] == ["repeated_entries EUR_USD"]
    assert desk.lock_of("EUR_USD") and not desk.lock_of("GBP_USD") and not desk.panel.tripped
    house.command(AcknowledgeBreaker(command_id="a", breaker="repeated_entries EUR_USD", reason="looked at it"))
    house.session.commit()
    house.restart()
    last = house.session.desk.conduct.last_entry("EUR_USD")
    assert last is not None and last.in_a_row == 0 and not house.session.desk.panel.trips
    assert house.session.desk.conduct.losses_in_row == 1
    house.close()


def judged(rig: Rig, prediction: Prediction) -> Decision:
    """What the session would decide now, without the order numbers that it uses up."""
    desk = rig.session.desk
    number = desk._order_number
    decision, _ = decide(desk, desk.bars["EUR_USD"][-1], prediction)
    desk._order_number = number
    return decision


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.integers(-8, 8), min_size=12, max_size=40),
    signals=st.dictionaries(st.integers(5, 40), st.sampled_from([-1, 1]), max_size=10),
    direction=st.sampled_from([-1, 1]),
    confidence=st.sampled_from([0.0, 0.4, 0.5, 0.9, 1.0]),
    given_limits=st.builds(
        limits,
        edge_pips_min=st.sampled_from([Decimal(-1_000), Decimal(0), Decimal(8)]),
        cooldown_s=st.sampled_from([0, 600]),
        order_interval_s_min=st.sampled_from([Decimal(0), Decimal(120)]),
        repeated_entries_max=st.sampled_from([1, 30]),
        position_pct_max=st.sampled_from([{ANY: Decimal(500)}, {ANY: Decimal(1)}]),
        risk_per_trade_pct=st.sampled_from([Decimal("0.01"), Decimal(5)]),
    ),
)
def test_preview_is_the_judgement_of_that_moment_and_leaves_no_trace(
    tmp_path_factory, moves: list[int], signals: dict[int, int], direction: int, confidence: float,
    given_limits: RiskLimits,
) -> None:  # fmt: skip
    mid, bars = START, []
    for index, move in enumerate(moves):
        mid += move * PIP
        bars.append(bar(index, mid, reach=2 * PIP))
    rig = make_rig(tmp_path_factory.mktemp("rig"), [bars], signals, limits=given_limits)
    while rig.session.next_due_ns() is not None:
        rig.step()
        desk = rig.session.desk
        kinds = rig.rows("SELECT kind, count(*) FROM events GROUP BY kind")
        before = (desk._order_number, desk.orders.sent, desk.ledger.open_trades, len(desk.decisions))
        command_id = f"t{desk.now_ns}"
        rig.command(TryOrder(command_id=command_id, instrument="EUR_USD", direction=direction, confidence=confidence))
        found = desk.preview
        assert found is not None and found.command_id == command_id
        assert (desk._order_number, desk.orders.sent, desk.ledger.open_trades, len(desk.decisions)) == before
        now = dict(rig.rows("SELECT kind, count(*) FROM events GROUP BY kind"))
        assert now == dict(kinds) | {"CommandAccepted": dict(kinds).get("CommandAccepted", 0) + 1}
        decision = judged(rig, Prediction(direction=direction, confidence=confidence))
        if decision.action is Action.HOLD:
            continue  # held on this side already: a signal is not judged
        assert found.gates == decision.gates
        if decision.action in (Action.ENTER, Action.REVERSE):
            assert found.passed and found.units == decision.units
        else:
            assert not found.passed
    rig.close()


def test_preview_of_a_given_size_names_what_stands_in_its_way(rig: Rig) -> None:
    rig.step()
    for units, failed in (
        ("1000", []),
        ("100001", ["position_units"]),
        ("600000", ["position_units", "position_value"]),
    ):
        rig.command(TryOrder(command_id=units, instrument="EUR_USD", direction=1, units=Decimal(units), confidence=1.0))
        found = rig.session.desk.preview
        assert found is not None and found.units == Decimal(units)
        names = [gate.name for gate in found.gates if not gate.passed]
        assert set(failed) <= set(names) and bool(names) == bool(failed)


@pytest.mark.parametrize(
    "changed",
    [{"instrument": "USD_JPY"}, {"direction": 0}, {"direction": 2}, {"confidence": 1.1},
     *({"units": Decimal(units)} for units in ("0", "0.5", "1000.5", "-1", "1e9", "NaN", "Infinity"))],
)  # fmt: skip
def test_question_that_makes_no_sense_is_refused(rig: Rig, changed: dict[str, Any]) -> None:
    rig.command(TryOrder(**{"command_id": "t", "instrument": "EUR_USD", "direction": 1, **changed}))
    assert not rig.session.desk.verdicts[-1].accepted
    assert rig.session.desk.preview is None


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("position_units_max", "EUR_USB", Decimal(1)), ("trading_windows", "EUR_USB", "Mon 00:00-01:00 UTC"),
     ("currency_pct_max", "USB", Decimal(1))],
)  # fmt: skip
def test_a_limit_by_what_nobody_offers_is_refused_while_running_too(
    name: str, key: str, value: Any, tmp_path: Path
) -> None:
    rig = make_rig(tmp_path, [quiet()], {})
    before = rig.session.desk.limits
    accepted, told = ask(rig, limits(**{name: {**getattr(LIMITS, name), key: value}}), LOOSEN)
    assert not accepted and told.startswith(f"Limit {name}[{key}] names ")
    assert rig.session.desk.limits is before and on_record(rig) == []
    assert ask(rig, limits(**{name: {**getattr(LIMITS, name), "EUR_USD" if "EUR" in key else "EUR": value}}), LOOSEN)[0]
    rig.close()


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("currency_pct_max", "JPY", Decimal(50)), ("position_pct_max", "USD_JPY", Decimal(50)),
     ("trading_windows", "USD_JPY", "Mon 00:00-01:00 UTC")],
)  # fmt: skip
def test_a_limit_by_what_this_account_lacks_keeps_nobody_from_getting_stricter(
    name: str, key: str, value: Any, tmp_path: Path
) -> None:
    """A session may begin with it; then each later set of limits has it too."""
    given = limits(**{name: {**getattr(LIMITS, name), key: value}})
    rig = make_rig(tmp_path, [quiet()], {}, limits=given)
    assert ask(rig, dataclasses.replace(given, positions_max=1))[0]
    assert rig.session.desk.limits.positions_max == 1
    rig.close()
