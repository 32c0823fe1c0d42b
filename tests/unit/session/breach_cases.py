"""How a session is brought to the breach of each rule and breaker, what it then says, and how the breach ends.

Everything is done as it happens: by prices, orders, faults at the ports and commands. Where a rule stands behind
something that cannot go wrong by itself, the case says so and breaks that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from engine.domain.command import PauseEntries, SetNews
from engine.domain.limits import StopMode
from engine.domain.schedule import NewsEvent
from engine.session import decide
from engine.sizing import EntryPlan
from tests.unit.session.breach import World, at
from tests.unit.session.faulty import LOST_ORDER, NOT_SENT
from tests.unit.session.rig import PIP

BARS = 3
GRACE_S = 60
MILLION = {"*": Decimal(1_000_000)}
BOTH = ("EUR_USD", "GBP_USD")
Deed = Callable[[World], object]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A breach of one rule: `also` fails with it, `alerts` are the kinds of all alerts from the start on."""

    breach: Deed
    lift: Deed
    value: str
    limit: str
    limits: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ("EUR_USD",)
    entry: str = "EUR_USD"
    also: dict[str, tuple[str, str]] = field(default_factory=dict)
    alerts: tuple[str, ...] = ("denied",)
    next_bar: Callable[[World], None] = World.frame


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """A breach of one breaker: what it measured when it tripped, against which limit."""

    breach: Deed
    value: str
    limit: str
    limits: dict[str, Any] = field(default_factory=dict)
    is_outside: bool = False


def _set(thing: str, **values: Any) -> Deed:
    """Set the market, the model or the line to it."""

    def deed(world: World) -> None:
        for name, value in values.items():
            setattr(getattr(world, thing), name, value)

    return deed


def _jump(moment: str) -> Deed:
    return lambda world: world.source.jump(at(moment))


def _pass(seconds: int) -> Deed:
    return lambda world: world.pass_by(seconds)


def _release(breaker: str) -> Deed:
    return lambda world: world.release(breaker)


def _lose(times: int = 1) -> Deed:
    def deed(world: World) -> None:
        for _ in range(times):
            world.enter()
            world.close()

    return deed


def _lose_order(world: World) -> None:
    """Send one order of which nobody knows what became."""
    world.broker.outcomes[1] = LOST_ORDER
    world.model.wants = {"EUR_USD": 1}
    world.frame()
    assert [order.status for order in world.desk.orders.open_orders] == ["UNRESOLVED"]


def _quiet(**values: Any) -> Deed:
    """Let the guards see enough bars to know what is usual, then change the market."""

    def deed(world: World) -> None:
        world.frames(20)
        _set("source", **values)(world)

    return deed


def _narrow_then_wide(world: World) -> None:
    world.source.spread = PIP * 4 / 10
    _quiet(spread=2 * PIP)(world)


def _calm_down(world: World) -> None:
    world.source.reach = PIP
    world.frames(2)


def _spoil_sizing(change: Callable[[EntryPlan], EntryPlan]) -> Deed:
    def deed(world: World) -> None:
        true = decide.plan_entry
        world.patch.setattr(decide, "plan_entry", lambda **known: change(true(**known)))

    return deed


def _too_far_a_bound(plan: EntryPlan) -> EntryPlan:
    assert plan.price_bound is not None
    return msgspec.structs.replace(plan, price_bound=plan.price_bound + PIP)


def _twice_the_size(plan: EntryPlan) -> EntryPlan:
    return msgspec.structs.replace(plan, units=2 * plan.units, risk_home=2 * plan.risk_home)


def _mend(world: World) -> None:
    world.patch.undo()


_PAYROLLS = (NewsEvent(ts_ns=at("2025-01-06T08:15:00"), currency="USD", title="Payrolls"),)
_UNRESOLVED = ("denied", "denied")
_HELD: dict[str, Any] = {"names": BOTH, "entry": "GBP_USD", "breach": World.enter, "lift": World.close}

RULES: dict[str, Rule] = {
    # No alert: the operator paused, and whatever else keeps this gate shut is told of by itself.
    "trading_state": Rule(
        breach=lambda world: world.command(PauseEntries), lift=World.resume,
        value="PAUSED (entries paused by the operator)", limit="ACTIVE", alerts=(),
    ),
    "quote": Rule(
        breach=_set("market", closed=True), lift=_set("market", closed=False),
        value="1.09995/1.10005 not tradeable", limit="0 < bid <= ask, tradeable",
    ),
    "quote_age": Rule(
        breach=_set("market", age_s=11), lift=_set("market", age_s=10), value="11.000 s", limit="10 s",
    ),
    "trading_window": Rule(
        breach=lambda world: world.change(trading_windows={"*": "Mon-Fri 09:00-10:00 UTC"}),
        lift=_jump("2025-01-06T09:00:00"),
        value="closed until 2025-01-06T09:00:00Z", limit="Mon-Fri 09:00-10:00 UTC",
    ),
    "weekend": Rule(
        breach=_jump("2025-01-10T21:30:00"), lift=_jump("2025-01-12T22:05:00"),
        value="the next week begins 2025-01-12T22:00:00Z", limit="30 min before Friday 17:00 New York",
    ),
    "rollover": Rule(
        breach=_jump("2025-01-06T21:55:00"), lift=_jump("2025-01-06T22:05:00"),
        value="rolls over 2025-01-06T22:00:00Z", limit="5 min around 17:00 New York",
    ),
    "news": Rule(
        breach=lambda world: world.command(SetNews, news=_PAYROLLS), lift=_jump("2025-01-06T08:30:05"),
        value="Payrolls (USD) 2025-01-06T08:15:00Z", limit="15 min before to 15 min after",
    ),
    "spread": Rule(
        breach=_set("source", spread=4 * PIP), lift=_set("source", spread=2 * PIP), value="4 pips", limit="3 pips",
    ),
    "spread_ratio": Rule(
        breach=_narrow_then_wide, lift=_set("source", spread=PIP), value="5.00 x median", limit="4 x median",
    ),
    "volatility": Rule(
        # the average of a true range of 2 pips and one of 22 is six times the usual 2
        breach=_quiet(reach=11 * PIP), lift=_calm_down, value="6.00 x median", limit="5 x median",
    ),
    "price_collar": Rule(
        breach=_set("market", shift=11 * PIP), lift=_set("market", shift=5 * PIP),
        value="5.50 x ATR", limit="5 x ATR",
    ),
    "stop_loss": Rule(
        breach=_set("source", spread=2 * PIP), lift=_set("source", spread=PIP * 4 / 10),
        limits={"stop_mode": StopMode.PIPS, "stop_loss_pips": Decimal(1), "edge_pips_min": Decimal(-1000)},
        value="1 pips", limit="beyond the spread of 2 pips",
    ),
    # Sizing makes the bound from this limit and this quote, so that only a mistake in sizing can break this rule.
    "price_bound": Rule(
        breach=_spoil_sizing(_too_far_a_bound), lift=_mend, value="3 pips", limit="2 pips",
    ),
    "edge": Rule(
        # 0.5 x 10 pips - 0.5 x 10 pips - 1 pip of spread, and a night of financing at 3 % a year: 1.1 x 0.03 / 365
        breach=_set("model", confidence=0.5), lift=_set("model", confidence=1.0),
        value="-1.90 pips", limit="at least 0 pips",
    ),
    # Sizing never risks more than it may, so that here too the rule stands behind a mistake in sizing.
    "risk_per_trade": Rule(
        breach=_spoil_sizing(_twice_the_size), lift=_mend,
        limits={"risk_per_trade_pct": Decimal("0.1"), "position_units_max": MILLION},
        value="200.00", limit="100.00 (0.1 % of equity)",
    ),
    # Sizing cuts to this cap and nothing is added to a position, so that only an unfinished order can lead over it:
    # the rule cannot fail without `unresolved`.
    "position_units": Rule(
        breach=_lose_order, lift=_pass(GRACE_S + 1), value="200000 units", limit="100000 units",
        also={"unresolved": ("100000 units", "0 units")}, alerts=_UNRESOLVED,
    ),
    # For the same reason; 136363 units are 150 % of 100000 at 1.1, and twice as many with the one under way.
    "position_value": Rule(
        breach=_lose_order, lift=_pass(GRACE_S + 1),
        limits={"position_units_max": MILLION, "position_pct_max": {"*": Decimal(150)}},
        value="299998.60", limit="150000.00 (150 % of equity)",
        also={"unresolved": ("136363 units", "0 units")}, alerts=_UNRESOLVED,
    ),
    # 100000 EUR at 1.1 and 100000 GBP at 1.25; the first has cost 10 of equity by its spread
    "exposure": Rule(
        **_HELD, limits={"exposure_pct_max": Decimal(200)}, value="235000.00", limit="199980.00 (200 % of equity)",
    ),
    "exposure_net": Rule(
        **_HELD, limits={"exposure_net_pct_max": Decimal(200)},
        value="235000.00", limit="199980.00 (200 % of equity)",
    ),
    "margin": Rule(
        **_HELD, limits={"margin_pct_max": Decimal(4)}, value="4700.00", limit="3999.60 (4 % of equity)",
    ),
    "currency_leg": Rule(
        **_HELD, limits={"currency_pct_max": {"*": Decimal(500), "USD": Decimal(200)}},
        value="USD 235000.00", limit="199980.00 (200 % of equity)",
    ),
    "positions": Rule(**_HELD, limits={"positions_max": 1}, value="2", limit="1"),
    "order_interval": Rule(
        breach=_lose(), lift=_pass(30 - 5 * BARS), limits={"order_interval_s_min": Decimal(30)},
        value="5.0 s", limit="30 s",
    ),
    "cool_down": Rule(
        breach=_lose(), lift=_pass(60 - 5 * BARS), limits={"cooldown_s": 60}, value="5.0 s", limit="60 s",
    ),
    "order_rate": Rule(
        breach=_lose(), lift=_pass(60 - 5 * BARS), limits={"orders_per_minute_max": 2},
        value="3 per minute", limit="2 per minute",
    ),
    # Told of as the latch that it is, not again as the rule behind it.
    "repeated_entries": Rule(
        breach=_lose(2), lift=_release("repeated_entries EUR_USD"), limits={"repeated_entries_max": 2},
        value="2 entries long in a row in EUR_USD, and nobody has looked", limit="2 to one side in a row",
        alerts=("breaker",),
    ),
    # No bar comes twice: one that is not newer than the newest is not looked at. The session has to lose sight of it.
    "duplicate": Rule(
        breach=_lose(), lift=lambda world: None, next_bar=World.again,
        value="this bar was traded on", limit="one entry per bar and side",
    ),
    # 100 at risk over a stop of 9.9 pips
    "unresolved": Rule(
        breach=_lose_order, lift=_pass(GRACE_S + 1),
        limits={"risk_per_trade_pct": Decimal("0.1"), "position_units_max": MILLION},
        value="101010 units", limit="0 units",
    ),
}  # fmt: skip


def _fall(world: World) -> None:
    """Lose 301 pips of 100000 units: bought at 1.10005, the stop is filled where the market opens again, 1.06995."""
    world.enter()
    world.fall(300)
    assert not world.desk.ledger.held


def _break_model(world: World) -> None:
    world.model.is_faulty = True
    world.frames(3)
    world.model.is_faulty = False
    world.look()


def _fall_silent(world: World) -> None:
    world.frame()
    world.wait(301)


def _refuse_orders(world: World) -> None:
    world.broker.outcomes = dict.fromkeys((1, 2, 3), NOT_SENT)
    world.model.wants = {"EUR_USD": 1}
    world.frames(3)
    world.model.wants = {}
    world.look()


BREAKERS: dict[str, Breaker] = {
    "daily_loss": Breaker(breach=_fall, value="3.01 %", limit="3 %"),
    "drawdown": Breaker(
        breach=_fall, limits={"daily_loss_pct_max": Decimal(100), "drawdown_pct_max": Decimal(2)},
        value="3.01 %", limit="2 %",
    ),
    "loss_streak": Breaker(breach=_lose(2), limits={"loss_streak_max": 2}, value="2 trades", limit="2 trades"),
    "model_faults": Breaker(breach=_break_model, value="3 faults", limit="3 faults"),
    # A simulated session looks when something has changed, and without prices nothing does.
    "data_age": Breaker(breach=_fall_silent, is_outside=True, value="301 s", limit="300 s"),
    "broker_errors": Breaker(
        breach=_refuse_orders, limits={"broker_errors_max": 3}, value="3 errors", limit="3 errors"
    ),
}  # fmt: skip
