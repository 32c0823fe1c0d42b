"""I am the judgement of one closed bar: prediction, plan, gates, and what to do.
I may import the domain, ports, sizing, risk and the desk.
I must not send anything; I return the decision and the order it wants.
My tests are in tests/unit/session/test_decide.py.
"""

from decimal import Decimal

import msgspec

from engine.domain.command import TryOrder
from engine.domain.decision import Action, Decision, Gate, Prediction, PredictionFault
from engine.domain.event import TradingState
from engine.domain.market import Bar, Quote
from engine.domain.order import OrderIntent, OrderReason, client_order_id
from engine.risk.price_rules import QuoteAgeRule, QuoteRule
from engine.risk.rule_view import RiskView
from engine.risk.rules import assess
from engine.session.desk import Desk
from engine.session.surroundings import risk_view, without_price
from engine.sizing import EntryPlan, plan_entry
from engine.snapshot import Preview

ZERO = Decimal(0)
CENT = Decimal("0.01")
DIRECTIONS = (-1, 0, 1)
NOTHING = Prediction(direction=0, confidence=0.0)
NO_QUOTE = Gate(name="quote", value="none", limit="a bid and an ask", passed=False)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a decision asks for, and what it loses at its stop in home currency.

    closing is the order of a reversal that has to have closed the position before the other one may leave.
    """

    intent: OrderIntent
    risk_home: Decimal
    confidence: float = 1.0
    closing: OrderIntent | None = None


def decide(desk: Desk, bar: Bar, prediction: Prediction | PredictionFault) -> tuple[Decision, Wanted | None]:
    """Judge one closed bar: exactly one decision and at most one entry, behind a closing order in a reversal."""
    held = desk.ledger.units(bar.instrument)
    if isinstance(prediction, PredictionFault):
        return _decision(desk, bar, NOTHING, Action.FAULT, prediction.reason), None
    if prediction.direction not in DIRECTIONS or not 0 <= prediction.confidence <= 1:
        reason = f"the model answered direction {prediction.direction} with confidence {prediction.confidence}"
        return _decision(desk, bar, NOTHING, Action.FAULT, reason), None
    if prediction.direction == 0:
        return _decision(desk, bar, prediction, Action.HOLD, "no signal"), None
    if held and (held > 0) == (prediction.direction > 0):
        return _decision(desk, bar, prediction, Action.HOLD, f"already {'long' if held > 0 else 'short'}"), None
    return _enter(desk, bar, prediction, held)


def pass_over(desk: Desk, bar: Bar) -> tuple[Decision, None]:
    """Hold on a bar that came after the next one had closed; the model is not asked, the market has moved on."""
    return _decision(desk, bar, NOTHING, Action.HOLD, "a newer bar has closed"), None


def _enter(desk: Desk, bar: Bar, prediction: Prediction, held: Decimal) -> tuple[Decision, Wanted | None]:
    quote = desk.quotes.get(bar.instrument)
    if quote is None or not (quote.bid.is_finite() and quote.ask.is_finite()):
        return _decision(desk, bar, prediction, Action.DENIED, "blocked by quote", (NO_QUOTE,)), None
    if foreign := _foreign(desk, bar.instrument):
        return _decision(desk, bar, prediction, Action.DENIED, f"blocked by {foreign.name}", (foreign,)), None
    if blocked := _unpriced(desk):
        return _refused(desk, bar, prediction, held, (blocked,))
    plan = planned(desk, bar.instrument, prediction.direction, quote)
    if plan.units == 0:
        return _refused(desk, bar, prediction, held, (_size_gate(desk, plan, quote, bar.instrument),))
    closing = exit_intent(desk, bar.instrument, -held, OrderReason.EXIT, bar.close_ts_ns) if held else None
    intent = _entry_intent(desk, bar, plan, desk.next_order_number())
    gates = assess(intent, _view_when_flat(desk, intent, plan.risk_home, prediction.confidence))
    if not all(gate.passed for gate in gates):
        return _refused(desk, bar, prediction, held, gates)
    action, reason = (Action.REVERSE, "all gates passed; closes first") if held else (Action.ENTER, "all gates passed")
    decision = _decision(desk, bar, prediction, action, reason, gates, intent)
    wanted = Wanted(intent=intent, risk_home=plan.risk_home, confidence=prediction.confidence, closing=closing)
    return decision, wanted


def preview(desk: Desk, asked: TryOrder) -> Preview:
    """Judge an entry that nobody has decided on, as it would be judged now; of the given size, or as a signal is sized.

    A position on the other side counts as closed, as it would be before the entry leaves.
    """
    name, direction = asked.instrument, asked.direction
    quote, bars = desk.quotes.get(name), desk.bars.get(name)
    blocked = _foreign(desk, name) or _unpriced(desk) or _not_ready(desk, name)
    if quote is None or not bars or blocked:
        return _previewed(desk, asked, None, (blocked or NO_QUOTE,))
    plan = planned(desk, name, direction, quote)
    if asked.units is not None:
        risk_home = asked.units * plan.loss_per_unit_home
        plan = msgspec.structs.replace(plan, units=direction * asked.units, risk_home=risk_home)
    if plan.units == 0:
        return _previewed(desk, asked, plan, (_size_gate(desk, plan, quote, name),))
    intent = _entry_intent(desk, bars[-1], plan, 0)
    held = desk.ledger.units(name)
    judge = risk_view if held and (held > 0) == (direction > 0) else _view_when_flat
    return _previewed(desk, asked, plan, assess(intent, judge(desk, intent, plan.risk_home, asked.confidence)))


def _previewed(desk: Desk, asked: TryOrder, plan: EntryPlan | None, gates: tuple[Gate, ...]) -> Preview:
    quote, direction = desk.quotes.get(asked.instrument), asked.direction
    return Preview(
        command_id=asked.command_id,
        ts_ns=desk.now_ns,
        instrument=asked.instrument,
        direction=direction,
        units=plan.units if plan else ZERO,
        entry_price=None if quote is None else quote.ask if direction > 0 else quote.bid,
        stop_loss=plan.stop_loss if plan else None,
        take_profit=plan.take_profit if plan else None,
        price_bound=plan.price_bound if plan else None,
        risk_home=plan.risk_home if plan else ZERO,
        gates=gates,
    )


def _not_ready(desk: Desk, instrument: str) -> Gate | None:
    window = desk.windows[instrument]
    if window.full:
        return None
    return Gate(name="warm_up", value=f"{len(window)} bars", limit=f"{window.capacity} bars", passed=False)


def planned(desk: Desk, instrument: str, direction: int, quote: Quote) -> EntryPlan:
    """Size an entry; what is held on the other side is closed before it leaves."""
    held = desk.ledger.units(instrument)
    is_reversal = bool(held) and (held > 0) != (direction > 0)
    return plan_entry(
        direction=direction,
        quote=quote,
        instrument=desk.instruments[instrument],
        limits=desk.limits,
        equity_home=_equity_after_closing(desk, instrument, quote) if is_reversal else desk.equity_home,
        window=desk.windows[instrument],
        currency=desk.currency,
    )


def _view_when_flat(desk: Desk, intent: OrderIntent, risk_home: Decimal, confidence: float) -> RiskView:
    """An entry leaves when nothing is held in its instrument, so that it is judged as if it were so already."""
    return msgspec.structs.replace(risk_view(desk, intent, risk_home, confidence), position_units=ZERO)


def obstacle(desk: Desk, wanted: Wanted) -> str:
    """Say why the entry of a reversal may not follow its closing order; empty when it may.

    Asked of the books as the broker's log has left them: what the close has cost counts, and what it did not close.
    An order in the instrument whose end is not known is for the gate `unresolved`, trouble for `trading_state`.
    """
    name = wanted.intent.instrument
    if name in desk.ledger.held:
        return f"the position in {name} is not closed"
    blocked = _unpriced(desk)
    gates = (
        (blocked,)
        if blocked
        else assess(wanted.intent, risk_view(desk, wanted.intent, wanted.risk_home, wanted.confidence))
    )
    return "; ".join(f"{gate.name}: {gate.value}, limit {gate.limit}" for gate in gates if not gate.passed)


def _equity_after_closing(desk: Desk, instrument: str, quote: Quote) -> Decimal:
    """Equity when the position is closed as far off the quote as an entry may be, and its result was converted.

    An entry that is sized by the equity of before would be too large by its gates once the close has cost anything.
    """
    position = desk.ledger.position(instrument, quote)
    slip = max(desk.limits.slippage_pips_max * desk.instruments[instrument].pip_size, quote.spread)
    conversion = abs(position.unrealized_pl_home) * (quote.loss_rate / quote.home_rate - 1)
    return desk.equity_home - abs(position.units) * slip * quote.loss_rate - conversion - CENT


def _foreign(desk: Desk, instrument: str) -> Gate | None:
    """The account nets: an order beside a trade that is not ours would close it."""
    foreign = desk.foreign_trades(instrument)
    if not foreign:
        return None
    value = f"trade {foreign[0].trade_id} was not opened by Keel"
    return Gate(name="foreign_trade", value=value, limit="adopted or closed", passed=False)


def _unpriced(desk: Desk) -> Gate | None:
    """What is held or under way and has no price cannot be counted, so nothing is added to it."""
    if unpriced := without_price(desk):
        return Gate(name="unpriced", value=", ".join(unpriced), limit="a price of all that is held", passed=False)
    return None


def _refused(
    desk: Desk, bar: Bar, prediction: Prediction, held: Decimal, gates: tuple[Gate, ...]
) -> tuple[Decision, Wanted | None]:
    """No entry; an opposite position is still closed, because the model no longer stands behind it."""
    reason = "blocked by " + ", ".join(gate.name for gate in gates if not gate.passed)
    if not held:
        return _decision(desk, bar, prediction, Action.DENIED, reason, gates), None
    intent = exit_intent(desk, bar.instrument, -held, OrderReason.EXIT, bar.close_ts_ns)
    if not may_exit(desk, intent):
        return _decision(desk, bar, prediction, Action.DENIED, reason, gates), None
    decision = _decision(desk, bar, prediction, Action.EXIT, f"entry {reason}; position closed", gates, intent)
    return decision, Wanted(intent=intent, risk_home=ZERO)


def may_exit(desk: Desk, intent: OrderIntent) -> bool:
    """Say whether an order that lowers exposure may leave: not when halted, on a bad quote or on top of another."""
    view = risk_view(desk, intent, ZERO)
    return (
        view.trading_state is not TradingState.HALTED
        and view.reserved_units == 0
        and QuoteRule().check(intent, view).passed
        and QuoteAgeRule().check(intent, view).passed
    )


def exit_intent(desk: Desk, instrument: str, units: Decimal, reason: OrderReason, bar_ts_ns: int) -> OrderIntent:
    """Make an order that closes `units` (signed) of a position at the market, without a bound."""
    return OrderIntent(
        client_order_id=client_order_id(desk.run_id, instrument, bar_ts_ns, desk.next_order_number()),
        instrument=instrument,
        units=units,
        created_ns=desk.now_ns,
        reason=reason,
        reduce_only=True,
    )


def _entry_intent(desk: Desk, bar: Bar, plan: EntryPlan, number: int) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id(desk.run_id, bar.instrument, bar.close_ts_ns, number),
        instrument=bar.instrument,
        units=plan.units,
        created_ns=desk.now_ns,
        reason=OrderReason.SIGNAL,
        price_bound=plan.price_bound,
        stop_loss=plan.stop_loss,
        take_profit=plan.take_profit,
    )


def _size_gate(desk: Desk, plan: EntryPlan, quote: Quote, instrument: str) -> Gate:
    spec = desk.instruments[instrument]
    per_unit = plan.stop_distance * quote.loss_rate
    value = f"0 units (stop {spec.pips(plan.stop_distance).normalize():f} pips, {per_unit.normalize():f} per unit)"
    return Gate(name="size", value=value, limit=f"at least {spec.units_min} units", passed=False)


def _decision(
    desk: Desk,
    bar: Bar,
    prediction: Prediction,
    action: Action,
    reason: str,
    gates: tuple[Gate, ...] = (),
    intent: OrderIntent | None = None,
) -> Decision:
    quote = desk.quotes.get(bar.instrument)
    return Decision(
        instrument=bar.instrument,
        bar_ts_ns=bar.open_ts_ns,
        direction=prediction.direction,
        confidence=prediction.confidence,
        bid=quote.bid if quote else bar.bid_close,
        ask=quote.ask if quote else bar.ask_close,
        equity_home=desk.equity_home,
        position_units=desk.ledger.units(bar.instrument),
        action=action,
        reason=reason,
        units=intent.units if intent else ZERO,
        client_order_id=intent.client_order_id if intent else None,
        gates=gates,
    )
