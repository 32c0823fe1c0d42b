"""What each trading state allows is what the table in docs/risk.md says, tried at the broker's door."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.domain.command import ClosePosition, FlattenAll, HaltTrading, PauseEntries
from engine.domain.event import TradingState
from engine.domain.market import Bar
from engine.domain.order import OrderReason
from engine.risk.breakers import Trip, lock_name
from tests.unit.session.breach import World
from tests.unit.session.breach_cases import BOTH, BREAKERS
from tests.unit.session.test_loss_tables import table

HEAD = ("Entries", "Exits by signal", "Close one position", "Flatten", "Stops and targets")
TABLE = {row[0].strip("`"): dict(zip(HEAD, row[2:7], strict=True)) for row in table("State")}
ENDS = {row[0].strip("`"): row[7] for row in table("State")}
Deed = Callable[[World], object]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """EUR_USD is held, GBP_USD is not."""
    made = World(tmp_path, monkeypatch, names=BOTH)
    made.enter("EUR_USD")
    yield made
    made.end()


def lose_the_broker(world: World) -> None:
    world.broker.unreadable = "the log cannot be read"
    world.frame()


def find_the_broker(world: World) -> None:
    world.broker.unreadable = ""
    world.frame()


def lose_the_market(world: World) -> None:
    world.market.outage = "the prices cannot be read"
    world.frame()


def find_the_market(world: World) -> None:
    world.market.outage = ""
    world.frame()


def make_the_file(world: World) -> None:
    """Whoever runs the session looks for the file before each publication; a rig does not publish."""
    (world.folder / "HALT").touch()
    world.latch.engaged()
    world.look()


def remove_the_file(world: World) -> None:
    assert world.resume()[0] is False, "the file is there still"
    (world.folder / "HALT").unlink()
    world.look()
    assert world.desk.trading_state is TradingState.HALTED, "a person has to say so"
    world.resume()


def nothing(world: World) -> None:
    pass


# Each way into a state, and the way out of it that the last column of the table names.
WAYS: dict[str, tuple[str, Deed, Deed, str]] = {
    "nothing": ("ACTIVE", nothing, nothing, ""),
    "pause": ("PAUSED", lambda w: w.command(PauseEntries), World.resume, "Resume"),
    "breaker": ("REDUCING", BREAKERS["model_faults"].breach, lambda w: w.release("model_faults"), "release of each"),
    "broker": ("REDUCING", lose_the_broker, find_the_broker, "by itself when it can be read again"),
    "market": ("REDUCING", lose_the_market, find_the_market, "by itself when it can be read again"),
    "halt": ("HALTED", lambda w: w.command(HaltTrading), World.resume, "Resume"),
    "file": ("HALTED", make_the_file, remove_the_file, "the file must be gone"),
}  # fmt: skip


def sends_entry(world: World) -> bool:
    world.model.wants = {"GBP_USD": 1}
    world.frame()
    return any(order.reason is OrderReason.SIGNAL for order in world.sent[1:])


def sends_exit(world: World) -> bool:
    world.model.wants = {"EUR_USD": -1}
    world.frame()
    return any(order.reason is OrderReason.EXIT and order.units < 0 for order in world.sent[1:])


def sends_close(world: World) -> bool:
    world.command(ClosePosition, instrument="EUR_USD")
    return any(order.reason is OrderReason.CLOSE_COMMAND for order in world.sent[1:])


def sends_flatten(world: World) -> bool:
    world.command(FlattenAll)
    return any(order.reason is OrderReason.FLATTEN for order in world.sent[1:])


DEEDS: dict[str, Callable[[World], bool]] = {
    "Entries": sends_entry,
    "Exits by signal": sends_exit,
    "Close one position": sends_close,
    "Flatten": sends_flatten,
}


def test_the_table_has_every_state_and_every_state_a_way_into_it() -> None:
    assert list(TABLE) == [str(state) for state in TradingState] == list(dict.fromkeys(way[0] for way in WAYS.values()))


@pytest.mark.parametrize("action", DEEDS)
@pytest.mark.parametrize("way", [name for name in WAYS if name != "market"])
def test_state_allows_what_the_table_says(way: str, action: str, world: World) -> None:
    state, lead_in, _, _ = WAYS[way]
    lead_in(world)
    assert world.desk.trading_state is TradingState(state)
    assert len(world.sent) == 1
    seq = world.newest_seq()
    assert DEEDS[action](world) is {"yes": True, "no": False}[TABLE[state][action]]
    if TABLE[state][action] == "no":
        assert world.events("OrderInitialized", seq) == [], "nothing is decided that only the latch would hold back"
        assert world.desk.ledger.units("EUR_USD") == world.sent[0].units


@pytest.mark.parametrize("action", ["Close one position", "Flatten"])
def test_a_market_that_cannot_be_read_brings_no_signals_and_holds_no_person_up(action: str, world: World) -> None:
    lose_the_market(world)
    decisions = world.desk.decisions_made
    world.model.wants = {"GBP_USD": 1, "EUR_USD": -1}
    world.frames(3)
    assert (world.desk.trading_state, world.desk.decisions_made) == (TradingState.REDUCING, decisions)
    assert DEEDS[action](world) is True
    assert not world.desk.ledger.held


@pytest.mark.parametrize("way", WAYS)
def test_stops_wait_at_the_broker_in_every_state(way: str, world: World) -> None:
    state, lead_in, _, _ = WAYS[way]
    assert TABLE[state]["Stops and targets"] == "at the broker"
    (before,) = world.broker.inner.holdings().trades
    lead_in(world)
    (after,) = world.broker.inner.holdings().trades
    assert after.stop_loss == before.stop_loss is not None
    world.broker.inner.on_frame([fallen(world)])
    assert world.broker.inner.holdings().trades == ()
    assert len(world.sent) == 1, "no order of ours was needed"


def fallen(world: World) -> Bar:
    """A bar far below the stop."""
    world.source.mids["EUR_USD"] -= world.source.mids["EUR_USD"] / 10
    return next(one for one in world.source.pop() if one.instrument == "EUR_USD")


@pytest.mark.parametrize("way", WAYS)
def test_state_ends_as_the_table_says(way: str, world: World) -> None:
    state, lead_in, end, words = WAYS[way]
    assert words in ENDS[state]
    lead_in(world)
    end(world)
    assert world.desk.trading_state is TradingState.ACTIVE
    assert sends_entry(world)
    told = [event["state"] for event in world.events("TradingStateChanged")]
    assert told == ([] if state == "ACTIVE" else [state, "ACTIVE"])


def test_a_resume_does_not_say_that_entries_stay_off_because_one_instrument_waits(world: World) -> None:
    name = lock_name("GBP_USD")
    trip = Trip(breaker=name, ts_ns=world.desk.now_ns, value="", limit="", cause="", instrument="GBP_USD")
    world.desk.panel.latch(trip)
    assert world.resume() == (True, f"entries allowed; these wait until they are released: {name}")


def test_a_halt_and_its_end_are_in_the_log_of_a_session_that_nobody_looks_at(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("engine"), "propagate", True)
    caplog.set_level(logging.INFO, "engine")
    WAYS["file"][1](world)
    WAYS["file"][2](world)
    # by who wrote them: a handler of the console's may have turned their values into text already
    told = [
        (record.levelname, record.__dict__["subsystem"])
        for record in caplog.records
        if record.funcName == "_note_trading_state"
    ]
    assert list(dict.fromkeys(told)) == [("WARNING", "session"), ("INFO", "session")]


def test_the_strictest_reason_wins(world: World) -> None:
    seen = []
    for way in ("pause", "breaker", "halt"):
        WAYS[way][1](world)
        seen.append(str(world.desk.trading_state))
    assert seen == ["PAUSED", "REDUCING", "HALTED"]
    told = [one.kind for one in world.listener.heard]
    assert told == ["breaker", "halted"]
    assert world.resume() == (True, "entries stay off until these breakers are released: model_faults")
    assert not sends_entry(world)
    world.release("model_faults")
    assert sends_entry(world), "Resume has ended the pause too"
