"""Whatever happens, no entry leaves that could carry the account over a limit that is in force.

A machine trades four instruments that share currencies, with the real session on the real simulated broker, loses
orders and answers, fills parts, settles later what was lost, changes limits and ends the process, while a person leaves
orders waiting at the broker. At the moment at which an entry leaves, the worst that can come of it is added up by none
of the engine's sums. Limits are changed to about what the next entry would come to, so that each of them is the one
that matters at times. What the session says of an entry that is only asked about is held against the same worst case,
gate by gate: there each rule of size has to hold by itself, also where another one (`unresolved`) would have kept the
entry back.
"""

import dataclasses
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from engine.domain.account import Holdings
from engine.domain.command import LOOSEN, AcknowledgeBreaker, ClosePosition, TryOrder, UpdateRiskLimits
from engine.domain.decision import Prediction, PredictionFault
from engine.domain.event import SessionState
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.window import BarWindow
from engine.session.dispatch import GRACE_S
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, NOT_SENT
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, MINUTE_NS, PIP, Script, bar
from tests.unit.session.worst_case import CENT, FIELDS, Standing, Worst, unfinished

STARTS = {
    "EUR_USD": (Decimal("1.10000"), PIP),
    "GBP_USD": (Decimal("1.27000"), PIP),
    "USD_JPY": (Decimal("150.000"), CENT),
    "EUR_GBP": (Decimal("0.86600"), PIP),
}
NAMES = tuple(STARTS)
BARS = 60
STOP_PIPS = 100
# How fast the venue's time runs. An order that nobody has heard of stays unresolved for 20 bars, or for the whole run.
SPEEDS = (20.0, 86_400.0)
MOST_PCT = Decimal(3_000)

WIDE = dataclasses.replace(
    LIMITS,
    stop_mode=StopMode.PIPS,  # entries of about the same size, half of equity each, so that several add up to a limit
    stop_loss_pips=Decimal(STOP_PIPS),
    take_profit_pips=Decimal(0),
    risk_per_trade_pct=Decimal("0.5"),
    exposure_pct_max=MOST_PCT,
    exposure_net_pct_max=MOST_PCT,
    margin_pct_max=Decimal(100),
    positions_max=4,
    position_units_max={ANY: Decimal(10**8)},
    position_pct_max={ANY: MOST_PCT},
    currency_pct_max={ANY: MOST_PCT},
    edge_pips_min=Decimal(-1_000),
    spread_ratio_max=Decimal(100),
    volatility_ratio_max=Decimal(100),
    price_collar_atr_max=Decimal(100),
    orders_per_minute_max=1_000,
    repeated_entries_max=1_000,
    broker_errors_max=1_000,
    daily_loss_pct_max=Decimal(100),
    drawdown_pct_max=Decimal(100),
)
# Most entries are to be let through by one limit and held back by another: just too much, just enough, or one more.
TIGHTNESS = [Decimal(text) for text in ("0.6", "0.9", "0.99", "1.01", "1.2", "1.6")]
SIDES = st.sampled_from([1, -1])


class Wishes(Script):
    """A model that answers what was wished for an instrument last, until it is wished otherwise."""

    def __init__(self) -> None:
        super().__init__({})
        self.wishes: dict[str, int] = {}

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        return Prediction(direction=self.wishes.get(window.instrument, 0), confidence=1.0)


class Exposed(RuleBasedStateMachine):
    """Orders, faults and changes of limits in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.house: House | None = None
        self.limits = WIDE
        self.lost: list[OrderIntent] = []
        self.by_hand: dict[str, tuple[str, Decimal]] = {}
        self.number = 0
        self.halve = False
        self.readable: Holdings | None = None  # what is held by the log, while it cannot be read to its end
        self.unreadable_since_ns = 0

    @initialize(
        moves=st.lists(st.integers(-6, 6), min_size=BARS, max_size=BARS),
        pace=st.sampled_from([1, 3, 8]),
        speed=st.sampled_from(SPEEDS),
    )
    def begin(self, moves: list[int], pace: int, speed: float) -> None:
        bars = []
        for turn, (name, (mid, pip)) in enumerate(STARTS.items()):
            made = []
            for index in range(BARS):
                mid += moves[(index + 7 * turn) % BARS] * pace * pip
                made.append(bar(index, mid, instrument=name, spread=pip, reach=2 * pip))
            bars.append(made)
        self.model, self.grace_ns = Wishes(), int(GRACE_S * speed * 10**9)
        self.house = House(self.folder, bars, {}, limits=self.limits, model=self.model, speed=speed)
        self.house.broker.on_submit = self.leaves
        self.house.broker.change = self.as_filled
        self.house.step()  # before the first frame nothing has a price

    def teardown(self) -> None:
        if self.house is not None:
            self.house.close()
        shutil.rmtree(self.folder)

    # What may happen.

    @precondition(lambda self: self.house.session.next_due_ns() is not None)
    @rule(
        wishes=st.fixed_dictionaries({name: st.sampled_from([1, -1, 0]) for name in NAMES}),
        count=st.integers(1, 2),
        fault=st.sampled_from([None, LOST_ORDER, LOST_ORDER, LOST_ANSWER, NOT_SENT]),
        at=st.integers(1, 2),
        is_part=st.sampled_from([False, False, False, True]),
        is_wide=st.sampled_from([True, True, False]),
    )
    def trade(self, wishes: dict[str, int], count: int, fault: Any, at: int, is_part: bool, is_wide: bool) -> None:
        """Let the model want something, with a line that may break at one of the next orders."""
        if is_wide:
            self.change_limits(self.wide)
        self.model.wishes = dict(wishes)
        broker, self.halve = self.house.broker, is_part
        if fault is not None:
            broker.outcomes[len(broker.submitted) + at] = fault
        self.play(count)

    def play(self, count: int) -> None:
        for _ in range(count):
            # What was filled is in the log before the time of grace is over: this is what that time is for.
            if self.house.clock.now_ns() - self.unreadable_since_ns > self.grace_ns - 2 * MINUTE_NS:
                self.mend_the_line()
            if self.house.session.next_due_ns() is not None:
                self.house.step()

    trade_on = trade  # else most of what happens would be something else

    @rule()
    def mend_the_line(self) -> None:
        self.house.broker.log_end = self.readable = None

    @precondition(lambda self: self.lost)
    @rule(is_filled=st.sampled_from([True, True, False]))
    def settle(self, is_filled: bool) -> None:
        """Let a lost order arrive after all: it is filled, or canceled because the price has gone; or it never comes.

        One that was given up does not arrive any more: this, too, is what the time of grace is for.
        """
        intent = self.lost.pop(0)
        if self.house.session.desk.orders.status_of(intent.client_order_id) is not None:
            out_of_reach = Decimal("0.001") if intent.units > 0 else Decimal(1_000)
            self.house.broker.inner.submit(intent if is_filled else replace(intent, price_bound=out_of_reach))
            self.house.session.step()

    @precondition(lambda self: self.house.session.next_due_ns() is not None)
    @rule(
        gate=st.sampled_from(sorted(FIELDS)),
        name=st.sampled_from(NAMES),
        side=SIDES,
        tightness=st.sampled_from(TIGHTNESS),
        is_alone=st.sampled_from([True, True, False]),
        first=st.sampled_from([*NAMES, None]),
        is_by_hand=st.sampled_from([False, False, False, True]),
    )
    def try_limit(
        self, gate: str, name: str, side: int, tightness: Decimal, is_alone: bool, first: str | None, is_by_hand: bool
    ) -> None:
        """Set a limit to about what an entry would come to, mostly with all others out of the way; then want it.

        Mostly an order to the same side is lost before, or left waiting by a person, for what is held alone is counted
        by simpler sums.
        """
        self.take_back()
        if first is not None and is_by_hand:
            self.change_limits(self.wide)
            self.leave_an_order(first, side)
        elif first is not None:
            self.change_limits(self.wide)
            self.house.broker.outcomes[len(self.house.broker.submitted) + 1] = LOST_ORDER
            self.model.wishes = {first: side}
            self.play(1)
        standing = self.standing()
        # Beside what is under way, where an entry may leave; but these two limits are about one instrument alone.
        is_own = gate in ("position_units", "position_value")
        under_way = {each for each, _ in standing.rest}
        turned = NAMES[NAMES.index(name) :] + NAMES[: NAMES.index(name)]
        name = next((each for each in turned if (each in under_way) is is_own), name)
        side = -side if standing.held(name) * side > 0 else side  # to the side that is held nothing is added
        field, worst = FIELDS[gate], standing.after(name, side * self.usual_units(name))
        value: Any
        if gate == "positions":
            value = max(1, int(worst.amounts[gate] * tightness))
        elif gate == "position_units":
            value = {ANY: Decimal(10**8), name: (worst.amounts[gate] * tightness).to_integral_value()}
        elif gate == "currency_leg":
            currency = name.split("_")[self.number % 2]
            value = {ANY: MOST_PCT, currency: self.percent(worst, worst.legs[currency], tightness)}
        elif gate == "position_value":
            value = {ANY: MOST_PCT, name: self.percent(worst, worst.amounts[gate], tightness)}
        else:
            value = self.percent(worst, worst.amounts[gate], tightness)
            value = min(value, Decimal(100)) if gate == "margin" else value
        self.change_limits(dataclasses.replace(self.wide if is_alone else self.limits, **{field: value}))
        self.ask_about(name, side, self.usual_units(name))
        self.model.wishes = {name: side}
        self.play(1)

    try_another_limit = try_limit

    @rule(share=st.sampled_from([Decimal("0.1"), Decimal("0.5"), Decimal("1.2")]))
    def resize(self, share: Decimal) -> None:
        """Let entries be smaller or larger from now on."""
        self.change_limits(dataclasses.replace(self.limits, risk_per_trade_pct=share))

    @rule(name=st.sampled_from(NAMES))
    def close(self, name: str) -> None:
        self.model.wishes[name] = 0
        self.house.command(ClosePosition(command_id=self.next_id(), instrument=name))

    @rule()
    def release(self) -> None:
        for trip in self.house.session.desk.panel.trips:
            self.house.command(AcknowledgeBreaker(command_id=self.next_id(), breaker=trip.breaker, reason="looked"))

    def leave_an_order(self, name: str, side: int) -> None:
        """Let a person leave an order waiting at the broker, out of reach; Keel knows of it when it compares."""
        units, price = side * self.usual_units(name), STARTS[name][0] * (Decimal("0.5") if side > 0 else 2)
        number = self.house.broker.order_by_hand(name, int(units), price)
        self.by_hand[number] = (name, units)
        self.end_the_process()
        self.play(1)

    def take_back(self) -> None:
        """Let the person cancel what waits; until Keel compares it counts what is not there any more."""
        for number in self.by_hand:
            self.house.broker.cancel_by_hand(number)
        self.by_hand.clear()

    @rule()
    def end_the_process(self) -> None:
        """With the line mended: a session whose books are not the broker's does not begin."""
        self.mend_the_line()
        self.house.session.commit()
        self.house.limits = self.limits
        self.house.restart()

    @rule(
        name=st.sampled_from(NAMES),
        side=SIDES,
        size=st.sampled_from([None, Decimal("0.3"), Decimal(1), Decimal("1.5")]),
    )
    def ask(self, name: str, side: int, size: Decimal | None) -> None:
        self.ask_about(name, side, None if size is None else (self.usual_units(name) * size).to_integral_value())

    def ask_about(self, name: str, side: int, units: Decimal | None) -> None:
        """No gate of size lets an entry pass that could be too much."""
        asked = TryOrder(command_id=self.next_id(), instrument=name, direction=side, units=units)
        accepted, told = self.house.command(asked)
        assert accepted, told
        found = self.house.session.desk.preview
        passed = {gate.name for gate in found.gates if gate.passed}
        too_much = self.standing().after(name, found.units).too_much(self.limits) if found.units else []
        assert not passed & {*too_much}, (too_much, found)

    def next_id(self) -> str:
        self.number += 1
        return f"c{self.number}"

    def change_limits(self, wanted: RiskLimits) -> None:
        update = UpdateRiskLimits(command_id=self.next_id(), limits=wanted, confirmation=LOOSEN)
        accepted, told = self.house.command(update)
        if accepted:
            self.limits = wanted
        else:  # what cannot be read or priced makes nothing looser
            assert "nobody knows what was lost" in told and self.house.session.desk.state is SessionState.DEGRADED, told

    @property
    def wide(self) -> RiskLimits:
        return dataclasses.replace(WIDE, risk_per_trade_pct=self.limits.risk_per_trade_pct)

    def usual_units(self, name: str) -> Decimal:
        """About what an entry is sized to."""
        rate = self.house.broker.inner.quotes[name].home_rate
        budget = self.standing().equity * self.limits.risk_per_trade_pct / 100
        return (budget / (STOP_PIPS * STARTS[name][1] * rate)).to_integral_value()

    def percent(self, worst: Worst, amount: Decimal, tightness: Decimal) -> Decimal:
        return min(max(worst.share(amount) * tightness, Decimal(1)), MOST_PCT).quantize(CENT)

    # What must hold.

    def as_filled(self, intent: OrderIntent) -> OrderIntent:
        """What the broker fills of an order: all of it, or once in a while a half."""
        halve, self.halve = self.halve and abs(intent.units) > 1, False
        return replace(intent, units=(intent.units / 2).to_integral_value()) if halve else intent

    def leaves(self, intent: OrderIntent) -> None:
        broker = self.house.broker
        if intent.reason is OrderReason.SIGNAL:
            too_much = self.standing(besides=intent).after(intent.instrument, intent.units).too_much(self.limits)
            assert not too_much, (too_much, intent)
        outcome = broker.outcomes.get(len(broker.submitted))
        if outcome is LOST_ORDER:
            self.lost.append(intent)
        elif outcome is LOST_ANSWER:
            # the broker's log ends before this order from now on
            self.unreadable_since_ns = self.unreadable_since_ns if self.readable else intent.created_ns
            self.readable = broker.inner.holdings()

    def standing(self, besides: OrderIntent | None = None) -> Standing:
        """What can be known now: the broker's log as far as it can be read, and what was sent and is not in it."""
        broker, now_ns = self.house.broker, self.house.clock.now_ns()
        log = [
            one
            for one in broker.inner.transactions_since(0)
            if broker.log_end is None or one.transaction_id <= broker.log_end
        ]
        sent = [
            one
            for number, one in enumerate(broker.submitted, 1)
            if one is not besides
            and broker.outcomes.get(number) is not NOT_SENT
            and now_ns - one.created_ns < self.grace_ns
        ]
        return Standing(
            holdings=self.readable or broker.inner.holdings(),
            rest=[*unfinished(sent, log), *self.by_hand.values()],
            quotes=broker.inner.quotes,
            instruments=self.house.instruments,
        )


Exposed.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A run of the machine is slow to shrink: it would be killed before it could tell what it found.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
TestExposure = Exposed.TestCase
