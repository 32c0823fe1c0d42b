"""Every rule and every breaker, through the whole session: breached once, denied, told of once, and over afterwards."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.domain.command import AcknowledgeBreaker
from engine.domain.order import OrderIntent, OrderReason
from engine.risk.breakers import DEFAULT_BREAKERS
from engine.risk.rules import DEFAULT_RULES
from engine.session.days import NEW_DAY
from tests.unit.session.breach import Make, World, at
from tests.unit.session.breach_cases import BARS, BOTH, BREAKERS, RULES
from tests.unit.session.rig import PIP

LATCH = "repeated_entries EUR_USD"
DAY_NS = at("2025-01-06T22:00:00")
MINUTE_NS = 60 * 10**9


def denied(
    world: World,
    gates: dict[str, tuple[str, str]],
    name: str = "EUR_USD",
    next_bar: Callable[[World], None] | None = None,
) -> None:
    """The next bars want an entry, and each is denied by these gates alone: one record, no order, no exit."""
    sent, seq = len(world.sent), world.newest_seq()
    world.model.wants = {name: 1}
    for _ in range(BARS):
        (next_bar or World.frame)(world)
    world.model.wants = {}
    made = [event["decision"] for event in world.events("DecisionMade", seq)]
    made = [decision for decision in made if decision["instrument"] == name]
    assert len(made) == BARS
    for decision in made:
        assert decision["action"] == "denied", decision["reason"]
        assert decision["reason"] == f"blocked by {', '.join(gates)}"
        assert [gate["name"] for gate in decision["gates"]] == [rule.name for rule in DEFAULT_RULES]
    shut = [gate for gate in made[0]["gates"] if not gate["passed"]]
    assert {gate["name"]: (gate["value"], gate["limit"]) for gate in shut} == gates
    assert len(world.sent) == sent
    assert world.events("OrderInitialized", seq) == []


def entered(world: World, name: str = "EUR_USD") -> None:
    """The next bar wants an entry and gets it."""
    sent = len(world.sent)
    world.enter(name)
    assert [(order.instrument, order.reduce_only) for order in world.sent[sent:]] == [(name, False)]


def told(world: World) -> list[str]:
    """Kinds of all alerts since the start, which the journal and the listener agree on."""
    assert [event["text"] for event in world.events("AlertRaised")] == [one.text for one in world.listener.heard]
    return [one.kind for one in world.listener.heard]


def tripped(world: World, kind: str = "BreakerTripped") -> list[str]:
    return [event["breaker"] for event in world.events(kind)]


@pytest.mark.parametrize("name", [rule.name for rule in DEFAULT_RULES])
def test_rule_denies_tells_once_and_lets_pass_again(name: str, make: Make) -> None:
    case = RULES[name]
    world = make(names=case.names, limits=case.limits)
    case.breach(world)
    denied(world, {name: (case.value, case.limit), **case.also}, case.entry, case.next_bar)
    assert told(world) == list(case.alerts)
    for alert, gate in zip(world.listener.heard, (name, *case.also), strict=False):
        assert gate in alert.text and case.entry in alert.text
    assert tripped(world) == ([LATCH] if name == "repeated_entries" else [])
    case.lift(world)
    entered(world, case.entry)
    assert told(world) == list(case.alerts)


@pytest.mark.parametrize("name", [breaker.name for breaker in DEFAULT_BREAKERS])
def test_breaker_trips_once_denies_tells_once_and_is_released_by_a_person(name: str, make: Make) -> None:
    case = BREAKERS[name]
    world = make(limits=case.limits, is_outside=case.is_outside)
    case.breach(world)
    denied(world, {"trading_state": (f"REDUCING (breaker {name})", "ACTIVE")})
    (event,) = world.events("BreakerTripped")
    assert (event["breaker"], event["value"], event["limit"]) == (name, case.value, case.limit)
    assert told(world) == ["breaker"]
    assert name in world.listener.heard[0].text and case.value in world.listener.heard[0].text
    assert world.command(AcknowledgeBreaker, breaker=name, reason=" ") == (False, "releasing a breaker needs a reason")
    denied(world, {"trading_state": (f"REDUCING (breaker {name})", "ACTIVE")})
    world.release(name)
    entered(world)
    assert [(event["breaker"], event["reason"]) for event in world.events("BreakerReleased")] == [
        (name, "looked into it")
    ]
    assert tripped(world) == [name]
    assert told(world) == ["breaker"]
    states = [event["state"] for event in world.events("TradingStateChanged")]
    assert states == ["REDUCING", "ACTIVE"]


def test_every_rule_and_breaker_has_a_case() -> None:
    assert list(RULES) == [rule.name for rule in DEFAULT_RULES]
    assert list(BREAKERS) == [breaker.name for breaker in DEFAULT_BREAKERS]


def test_an_instrument_that_waits_for_a_person_stops_no_other(make: Make) -> None:
    case = RULES["repeated_entries"]
    world = make(names=BOTH, limits=case.limits)
    case.breach(world)
    (event,) = world.events("BreakerTripped")
    assert (event["breaker"], event["instrument"], event["limit"]) == (LATCH, "EUR_USD", "2")
    assert event["value"] == "2 entries long in a row"
    entered(world, "GBP_USD")
    denied(world, {"repeated_entries": (case.value, case.limit)})
    assert told(world) == ["breaker"]
    assert world.events("TradingStateChanged") == []


def test_a_rule_that_blocks_again_is_told_of_again(make: Make) -> None:
    world = make()
    for count in (1, 2):
        world.source.spread = 4 * PIP
        denied(world, {"spread": ("4 pips", "3 pips")})
        assert told(world) == ["denied"] * count
        world.source.spread = PIP
        entered(world)
        world.close()


def test_a_gate_that_stands_alone_is_told_of_again_too(make: Make) -> None:
    """An entry of no size is asked nothing else, so that no rule says that the size is right again."""
    world = make()
    for count in (1, 2):
        world.change(position_units_max={"*": Decimal(0)})
        world.model.wants = {"EUR_USD": 1}
        world.frames(BARS)
        world.model.wants = {}
        assert [gate.name for gate in world.desk.decisions[-1].gates] == ["size"]
        assert told(world) == ["denied"] * count
        world.change(position_units_max={"*": Decimal(100_000)})
        entered(world)
        world.close()


def test_a_trade_of_another_hand_is_told_of_once_and_not_as_a_gate_again(make: Make) -> None:
    world = make()
    world.frame()
    world.broker.inner.submit(
        OrderIntent(
            client_order_id="by hand", instrument="EUR_USD", units=Decimal(1_000), created_ns=world.desk.now_ns,
            reason=OrderReason.SIGNAL,
        )
    )  # fmt: skip
    world.model.wants = {"EUR_USD": -1}
    world.frames(BARS)
    assert [gate.name for gate in world.desk.decisions[-1].blocking] == ["foreign_trade"]
    assert (told(world), world.sent) == (["foreign"], [])


def test_a_breaker_that_trips_again_is_told_of_again(make: Make) -> None:
    world = make()
    for count in (1, 2):
        BREAKERS["model_faults"].breach(world)
        denied(world, {"trading_state": ("REDUCING (breaker model_faults)", "ACTIVE")})
        assert (tripped(world), told(world)) == (["model_faults"] * count, ["breaker"] * count)
        world.release("model_faults")


def test_a_breaker_that_trips_again_as_it_is_released_is_told_of_again(make: Make) -> None:
    case = BREAKERS["data_age"]
    world = make(limits=case.limits, is_outside=case.is_outside)
    case.breach(world)
    assert told(world) == ["breaker"]
    world.release("data_age")  # the prices are as old as before
    assert (tripped(world), told(world)) == (["data_age"] * 2, ["breaker"] * 2)
    world.look()
    assert told(world) == ["breaker"] * 2


@pytest.mark.parametrize("name", [breaker.name for breaker in DEFAULT_BREAKERS if breaker.daily])
def test_a_daily_breaker_is_released_when_the_day_begins(name: str, make: Make) -> None:
    case = BREAKERS[name]
    world = make(limits=case.limits)
    case.breach(world)
    world.source.jump(DAY_NS - 10 * MINUTE_NS)
    denied(world, {"trading_state": (f"REDUCING (breaker {name})", "ACTIVE")})
    world.source.jump(DAY_NS + 5 * MINUTE_NS)
    entered(world)
    (event,) = world.events("BreakerReleased")
    assert (event["breaker"], event["reason"], event["ts_ns"]) == (name, NEW_DAY, DAY_NS + 5 * MINUTE_NS)
    assert (tripped(world), told(world)) == ([name], ["breaker"])


@pytest.mark.parametrize("name", [breaker.name for breaker in DEFAULT_BREAKERS if not breaker.daily])
def test_any_other_breaker_outlasts_the_day(name: str, make: Make) -> None:
    case = BREAKERS[name]
    world = make(limits=case.limits, is_outside=case.is_outside)
    case.breach(world)
    world.source.jump(DAY_NS + 5 * MINUTE_NS)
    denied(world, {"trading_state": (f"REDUCING (breaker {name})", "ACTIVE")})
    assert (tripped(world), told(world), world.events("BreakerReleased")) == ([name], ["breaker"], [])


def test_two_breakers_at_once_want_two_releases(make: Make) -> None:
    world = make(limits={"drawdown_pct_max": Decimal(3)})
    BREAKERS["daily_loss"].breach(world)
    denied(world, {"trading_state": ("REDUCING (breaker daily_loss, breaker drawdown)", "ACTIVE")})
    assert (tripped(world), told(world)) == (["daily_loss", "drawdown"], ["breaker", "breaker"])
    world.release("daily_loss")
    denied(world, {"trading_state": ("REDUCING (breaker drawdown)", "ACTIVE")})
    world.release("drawdown")
    entered(world)
    assert tripped(world, "BreakerReleased") == ["daily_loss", "drawdown"]
    assert (tripped(world), told(world)) == (["daily_loss", "drawdown"], ["breaker", "breaker"])
