"""Whatever happens, no entry leaves that could carry the account over a limit that is in force.

A machine trades four instruments with the real session on the real simulated broker, loses orders and answers, fills
parts, lets lost orders arrive late, changes limits and ends the process. At the moment at which an entry leaves, the
worst that can come of it is added up here, from the broker's own book and from what was sent, by none of the engine's
sums. Equity is the one that the session knows.
"""

import dataclasses
import shutil
import tempfile
from collections import defaultdict
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from engine.domain.command import LOOSEN, AcknowledgeBreaker, ClosePosition, UpdateRiskLimits
from engine.domain.decision import Prediction, PredictionFault
from engine.domain.limits import ANY, RiskLimits, of_key
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCanceled, OrderRejected
from engine.domain.window import BarWindow
from tests.unit.session.faulty import LOST_ANSWER, LOST_ORDER, NOT_SENT
from tests.unit.session.kept import House
from tests.unit.session.rig import LIMITS, PIP, Script, bar

ZERO, UNCAPPED = Decimal(0), Decimal(10**8)
CENT = Decimal("0.01")
STARTS = {
    "EUR_USD": (Decimal("1.10000"), PIP),
    "GBP_USD": (Decimal("1.27000"), PIP),
    "USD_JPY": (Decimal("150.000"), CENT),
    "EUR_GBP": (Decimal("0.86600"), PIP),
}
NAMES = tuple(STARTS)
BARS = 60
# The days of grace of an order that nobody has heard of: it stays unresolved for as long as a run lasts.
GRACE_OF_DAYS = 86_400.0
ROUNDING = 1 + Decimal(10) ** -20

WIDE = dataclasses.replace(
    LIMITS,
    risk_per_trade_pct=Decimal("0.1"),  # an entry is worth about half of equity, so that several add up to a limit
    positions_max=4,
    position_units_max={ANY: Decimal(10**8)},
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
VALUES: dict[str, list[Any]] = {
    "exposure_pct_max": [Decimal(60), Decimal(250), Decimal(900)],
    "exposure_net_pct_max": [Decimal(40), Decimal(150), Decimal(900)],
    "margin_pct_max": [Decimal(1), Decimal(4), Decimal(50)],
    "position_pct_max": [{ANY: Decimal(30), "EUR_USD": Decimal(90)}, {ANY: Decimal(120)}, {ANY: Decimal(900)}],
    "currency_pct_max": [{ANY: Decimal(900), "EUR": Decimal(40)}, {ANY: Decimal(140)}, {ANY: Decimal(900)}],
    "position_units_max": [
        {ANY: Decimal(20_000)},
        {ANY: Decimal(90_000), "GBP_USD": Decimal(5)},
        {ANY: Decimal(10**8)},
    ],
    "positions_max": [1, 2, 4],
}
CHANGES = [{name: value} for name, values in VALUES.items() for value in values]


class Wishes(Script):
    """A model that answers what was wished for an instrument last, until it is wished otherwise."""

    def __init__(self) -> None:
        super().__init__({})
        self.wishes: dict[str, int] = {}

    def predict(self, window: BarWindow) -> Prediction | PredictionFault:
        return Prediction(direction=self.wishes.get(window.instrument, 0), confidence=1.0)


def within(amount: Decimal, equity: Decimal, share: Decimal) -> bool:
    return amount <= equity * share / 100 * ROUNDING


class Exposed(RuleBasedStateMachine):
    """Orders, faults and changes of limits in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.house: House | None = None
        self.limits = WIDE
        self.lost: list[OrderIntent] = []
        self.number = 0
        self.halve = False

    @initialize(
        moves=st.lists(st.integers(-6, 6), min_size=BARS, max_size=BARS),
        tight=st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2),
    )
    def begin(self, moves: list[int], tight: list[dict[str, Any]]) -> None:
        """One or two limits are tight and the others wide, so that each of them is the one that matters at times."""
        bars = []
        for turn, (name, (mid, pip)) in enumerate(STARTS.items()):
            made = []
            for index in range(BARS):
                mid += moves[(index + 7 * turn) % BARS] * pip
                made.append(bar(index, mid, instrument=name, spread=pip, reach=2 * pip))
            bars.append(made)
        self.limits = dataclasses.replace(WIDE, **{name: values[-1] for name, values in VALUES.items()})
        for change in tight:
            self.limits = dataclasses.replace(self.limits, **change)
        self.model = Wishes()
        self.house = House(self.folder, bars, {}, limits=self.limits, model=self.model, speed=GRACE_OF_DAYS)
        self.house.broker.on_submit = self.leaves
        self.house.broker.change = self.as_filled

    def teardown(self) -> None:
        if self.house is not None:
            self.house.close()
        shutil.rmtree(self.folder)

    # What may happen.

    @precondition(lambda self: self.house.session.next_due_ns() is not None)
    @rule(
        wishes=st.fixed_dictionaries({name: st.sampled_from([1, -1, 1, 0]) for name in NAMES}),
        count=st.integers(1, 2),
        fault=st.sampled_from([None, None, None, LOST_ORDER, LOST_ANSWER, NOT_SENT]),
    )
    def trade(self, wishes: dict[str, int], count: int, fault: Any) -> None:
        """Let the model want something, with a line that may break at the next order or the one after it."""
        self.model.wishes = dict(wishes)
        broker = self.house.broker
        if fault is not None:
            broker.outcomes[len(broker.submitted) + count] = fault
        for _ in range(count):
            if self.house.session.next_due_ns() is not None:
                self.house.step()

    trade_on = trade_more = trade  # else most of what happens would be something else

    @rule()
    def fill_a_part(self) -> None:
        self.halve = True

    @rule()
    def mend_the_line(self) -> None:
        self.house.broker.log_end = None

    @precondition(lambda self: self.lost)
    @rule()
    def arrive_late(self) -> None:
        self.house.broker.inner.submit(self.lost.pop(0))

    @rule(change=st.sampled_from(CHANGES))
    def change_limits(self, change: dict[str, Any]) -> None:
        wanted = dataclasses.replace(self.limits, **change)
        accepted, _ = self.house.command(
            UpdateRiskLimits(command_id=self.next_id(), limits=wanted, confirmation=LOOSEN)
        )
        if accepted:
            self.limits = wanted

    @rule(name=st.sampled_from(NAMES))
    def close(self, name: str) -> None:
        self.model.wishes[name] = 0
        self.house.command(ClosePosition(command_id=self.next_id(), instrument=name))

    @rule()
    def release(self) -> None:
        for trip in self.house.session.desk.panel.trips:
            self.house.command(AcknowledgeBreaker(command_id=self.next_id(), breaker=trip.breaker, reason="looked"))

    @rule()
    def end_the_process(self) -> None:
        """With the line mended: a session whose books are not the broker's does not begin."""
        self.house.broker.log_end = None
        self.house.session.commit()
        self.house.limits = self.limits
        self.house.restart()

    def next_id(self) -> str:
        self.number += 1
        return f"c{self.number}"

    # What must hold.

    def as_filled(self, intent: OrderIntent) -> OrderIntent:
        """What the broker fills of an order: all of it, or once in a while a half."""
        halve, self.halve = self.halve and abs(intent.units) > 1, False
        return replace(intent, units=(intent.units / 2).to_integral_value()) if halve else intent

    def leaves(self, intent: OrderIntent) -> None:
        broker = self.house.broker
        before = [one for one in broker.submitted if one.client_order_id != intent.client_order_id]
        if broker.outcomes.get(len(broker.submitted)) is LOST_ORDER:
            self.lost.append(intent)
        if intent.reason is OrderReason.SIGNAL:
            self.judge(intent, before)

    def unfinished(self, before: list[OrderIntent]) -> dict[str, list[Decimal]]:
        """By instrument, what earlier orders may still get by the broker's whole log."""
        log = self.house.broker.inner.transactions_since(0)
        filled: dict[str, Decimal] = defaultdict(Decimal)
        over = set()
        for one in log:
            if isinstance(one, Fill) and one.client_order_id:
                filled[one.client_order_id] += one.units
            elif isinstance(one, OrderCanceled | OrderRejected) and one.client_order_id:
                over.add(one.client_order_id)
        never = {
            one.client_order_id
            for number, one in enumerate(self.house.broker.submitted, 1)
            if self.house.broker.outcomes.get(number) is NOT_SENT
        }
        rest: dict[str, list[Decimal]] = defaultdict(list)
        for one in before:
            if one.client_order_id not in over | never and one.units != filled[one.client_order_id]:
                rest[one.instrument].append(one.units - filled[one.client_order_id])
        return rest

    def judge(self, intent: OrderIntent, before: list[OrderIntent]) -> None:
        house, limits = self.house, self.limits
        desk = house.session.desk
        held: dict[str, Decimal] = defaultdict(Decimal)
        for trade in house.broker.inner.holdings().trades:
            held[trade.instrument] += trade.units
        rest = self.unfinished(before)
        # As if this entry were filled: where it is not, all is as it was before it left, which a limit that was made
        # stricter meanwhile may find too much already. An entry to the other side of that is one the limits allow.
        held[intent.instrument] += intent.units
        touched = sorted({*(name for name in held if held[name]), *rest, intent.instrument})
        price = {name: desk.quotes[name].mid * desk.quotes[name].home_rate for name in touched}
        equity = desk.equity_home
        assert len(touched) <= limits.positions_max
        # each instrument ends somewhere between all its unfinished sells and all its unfinished buys being filled
        ends = {
            name: (
                held[name] + sum((units for units in rest[name] if units < 0), ZERO),
                held[name] + sum((units for units in rest[name] if units > 0), ZERO),
            )
            for name in touched
        }
        own = max(abs(end) for end in ends[intent.instrument])
        assert own <= of_key(limits.position_units_max, intent.instrument)
        assert within(own * price[intent.instrument], equity, of_key(limits.position_pct_max, intent.instrument))
        # every corner is tried: a sum of worst sides is not taken for granted to be the worst sum
        for corner in product(*(ends[name] for name in touched)):
            values = {name: units * price[name] for name, units in zip(touched, corner, strict=True)}
            self.judge_corner(intent, values, equity, limits)

    def judge_corner(
        self, intent: OrderIntent, values: dict[str, Decimal], equity: Decimal, limits: RiskLimits
    ) -> None:
        margin = {name: abs(value) * self.house.instruments[name].margin_rate for name, value in values.items()}
        assert within(sum(map(abs, values.values()), ZERO), equity, limits.exposure_pct_max)
        assert within(abs(sum(values.values(), ZERO)), equity, limits.exposure_net_pct_max)
        assert within(sum(margin.values(), ZERO), equity, limits.margin_pct_max)
        legs: dict[str, Decimal] = defaultdict(Decimal)
        for name, value in values.items():
            base, priced_in = name.split("_")
            legs[base] += value
            legs[priced_in] -= value
        for currency in intent.instrument.split("_"):
            assert within(abs(legs[currency]), equity, of_key(limits.currency_pct_max, currency))


Exposed.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestExposure = Exposed.TestCase
