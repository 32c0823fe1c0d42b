"""Whatever the market and the limits: no rounding adds risk, and a sell is the mirror image of a buy."""

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.instrument import Instrument
from engine.domain.limits import ANY, RiskLimits, StopMode
from engine.domain.market import Quote
from engine.domain.window import BarWindow
from engine.sizing import EntryPlan, plan_entry, stop_distance, target_distance
from tests.unit.made import EUR_USD, USD_JPY, XAU_USD, quote, ranging

SIDES = st.sampled_from([1, -1])


@dataclass(frozen=True, kw_only=True)
class Case:
    """One market, account and set of limits to size an entry in."""

    spec: Instrument
    now: Quote
    limits: RiskLimits
    equity: Decimal
    bars: BarWindow

    def plan(self, direction: int) -> EntryPlan:
        return plan_entry(
            direction=direction,
            quote=self.now,
            instrument=self.spec,
            limits=self.limits,
            equity_home=self.equity,
            window=self.bars,
        )

    def entry(self, direction: int) -> Decimal:
        return self.now.ask if direction > 0 else self.now.bid

    def mirrored(self) -> "Case":
        """The same market upside down, around the mid price."""
        pivot = self.now.bid + self.now.ask
        return dataclasses.replace(self, now=replace(self.now, bid=pivot - self.now.ask, ask=pivot - self.now.bid))


def steps(low: int, high: int, step: str) -> st.SearchStrategy[Decimal]:
    return st.integers(low, high).map(lambda count: count * Decimal(step))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    spec = draw(st.sampled_from([EUR_USD, USD_JPY, XAU_USD]))
    bid = draw(st.integers(20_000, 400_000)) * spec.price_step
    spread = draw(st.integers(0, 500)) * spec.price_step
    inverse = draw(st.sampled_from([Decimal(1), Decimal(3), Decimal(7), Decimal("151.237"), Decimal("0.913")]))
    limits = RiskLimits(
        risk_per_trade_pct=draw(steps(1, 500, "0.01")),
        position_units_max={ANY: draw(st.sampled_from([Decimal(0), Decimal("99.5"), Decimal(10**5), Decimal(10**8)]))},
        position_pct_max={ANY: draw(st.sampled_from([Decimal(1), Decimal(500), Decimal(3_000)]))},
        slippage_pips_max=draw(steps(0, 500, "0.013")),
        stop_mode=draw(st.sampled_from(list(StopMode))),
        stop_loss_pips=draw(steps(100, 9_000, "0.013")),
        take_profit_pips=draw(steps(0, 9_000, "0.013")),
        stop_loss_atr=draw(steps(20, 500, "0.011")),
        take_profit_atr=draw(steps(0, 500, "0.011")),
    )
    return Case(
        spec=spec,
        now=quote(bid, bid + spread, spec.name, home_rate=1 / inverse),
        limits=limits,
        equity=draw(steps(-1_000, 5_000_000, "0.0317")),
        bars=ranging(15, str(draw(steps(0, 300, "0.000017")))),
    )


def value(case: Case, units: Decimal) -> Decimal:
    """What so many units are worth at home, at the middle price."""
    return units * (case.now.bid + case.now.ask) / 2 * case.now.home_rate


def on_grid(spec: Instrument, price: Decimal) -> bool:
    return price == spec.round_price(price)


@given(case=cases(), direction=SIDES)
def test_risk_is_never_more_than_the_budget(case: Case, direction: int) -> None:
    sized = case.plan(direction)
    budget = Fraction(case.equity) * Fraction(case.limits.risk_per_trade_pct) / 100
    loss = abs(Fraction(sized.units) * (Fraction(case.entry(direction)) - Fraction(sized.stop_loss)))
    # A Decimal has 28 digits: the last of them may differ from the exact fraction.
    rounding = 1 + Fraction(1, 10**25)
    assert loss * Fraction(case.now.home_rate) <= max(budget, 0) * rounding
    assert abs(Fraction(sized.risk_home) - loss * Fraction(case.now.home_rate)) <= abs(budget) / 10**25


@given(case=cases(), direction=SIDES)
def test_risk_gate_agrees_with_the_sizing(case: Case, direction: int) -> None:
    sized = case.plan(direction)
    assert sized.risk_home <= max(case.equity * case.limits.risk_per_trade_pct / 100, Decimal(0))


@given(case=cases(), direction=SIDES)
def test_size_is_a_whole_number_of_steps_within_every_cap_or_nothing(case: Case, direction: int) -> None:
    units = abs(case.plan(direction).units)
    assert units % case.spec.units_step == 0
    assert units == 0 or units >= case.spec.units_min
    assert units <= min(case.limits.units_cap(case.spec.name), case.spec.units_max)
    share = Fraction(case.equity) * Fraction(case.limits.value_cap_pct(case.spec.name)) / 100
    assert units == 0 or Fraction(value(case, units)) <= share * (1 + Fraction(1, 10**25))


@given(case=cases(), direction=SIDES)
def test_size_is_the_largest_that_the_budget_and_caps_allow(case: Case, direction: int) -> None:
    sized = case.plan(direction)
    more = abs(sized.units) + max(case.spec.units_step, case.spec.units_min if sized.units == 0 else Decimal(0))
    assume(sized.stop_distance > 0)
    assert (
        more > case.limits.units_cap(case.spec.name)
        or more > case.spec.units_max
        or value(case, more) > case.equity * case.limits.value_cap_pct(case.spec.name) / 100
        or more * sized.stop_distance * case.now.home_rate > case.equity * case.limits.risk_per_trade_pct / 100
    )


@given(case=cases(), direction=SIDES)
def test_sell_is_sell(case: Case, direction: int) -> None:
    """Units carry the signal's sign, the stop stands on the losing side of the entry and the target on the other."""
    sized, entry = case.plan(direction), case.entry(direction)
    assert sized.units == 0 or (sized.units > 0) == (direction > 0)
    assert (entry - sized.stop_loss) * direction == sized.stop_distance >= 0
    assert sized.units == 0 or sized.stop_distance > 0
    if sized.take_profit is not None:
        assert (sized.take_profit - entry) * direction >= 0
    if sized.price_bound is not None:
        assert (sized.price_bound - entry) * direction >= 0


@given(case=cases(), direction=SIDES)
def test_prices_are_on_the_grid_and_on_the_safe_side(case: Case, direction: int) -> None:
    """Stop and target are no farther than asked for, and less than a step nearer; the bound is no worse."""
    sized, entry = case.plan(direction), case.entry(direction)
    step = case.spec.price_step
    wanted = stop_distance(case.limits, case.spec, case.bars)
    assert on_grid(case.spec, sized.stop_loss)
    assert 0 <= wanted - (entry - sized.stop_loss) * direction < step
    target = target_distance(case.limits, case.spec, case.bars)
    assert (sized.take_profit is None) == (target == 0)
    if sized.take_profit is not None:
        assert on_grid(case.spec, sized.take_profit)
        assert 0 <= target - (sized.take_profit - entry) * direction < step
    slippage = case.limits.slippage_pips_max * case.spec.pip_size
    assert (sized.price_bound is None) == (slippage == 0)
    if sized.price_bound is not None:
        assert on_grid(case.spec, sized.price_bound)
        assert 0 <= slippage - (sized.price_bound - entry) * direction < step


@given(case=cases(), direction=SIDES)
def test_sell_mirrors_the_buy(case: Case, direction: int) -> None:
    one, other = case.plan(direction), case.mirrored().plan(-direction)
    pivot = case.now.bid + case.now.ask
    assert other.units == -one.units
    assert (other.risk_home, other.stop_distance) == (one.risk_home, one.stop_distance)
    assert other.stop_loss == pivot - one.stop_loss
    assert other.take_profit == (None if one.take_profit is None else pivot - one.take_profit)
    assert other.price_bound == (None if one.price_bound is None else pivot - one.price_bound)


@given(case=cases(), direction=SIDES)
def test_more_risk_never_means_a_smaller_position(case: Case, direction: int) -> None:
    twice = dataclasses.replace(case.limits, risk_per_trade_pct=min(case.limits.risk_per_trade_pct * 2, Decimal(5)))
    assert abs(case.plan(direction).units) <= abs(dataclasses.replace(case, limits=twice).plan(direction).units)
