"""The judgement of one bar: what is held, what is signalled and what may leave give exactly one action."""

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.decision import Action, Prediction, PredictionFault
from engine.domain.event import SessionState
from engine.domain.market import Bar
from engine.domain.order import OrderReason, client_order_id
from engine.session.decide import decide, exit_intent
from engine.session.desk import Desk
from tests.unit.made import intent
from tests.unit.session.rig import LIMITS, PIP, Rig, bar, make_rig

START = Decimal("1.10000")
BUY, SELL, NONE = (Prediction(direction=direction, confidence=0.75) for direction in (1, -1, 0))
LAST = 20


@pytest.fixture
def flat(tmp_path: Path) -> Rig:
    return _at_last_bar(tmp_path, {})


@pytest.fixture
def long(tmp_path: Path) -> Rig:
    return _at_last_bar(tmp_path, {8: 1})


@pytest.fixture
def short(tmp_path: Path) -> Rig:
    return _at_last_bar(tmp_path, {8: -1})


def _at_last_bar(folder: Path, signals: dict[int, int], capital: int = 100_000) -> Rig:
    bars = [bar(index, START) for index in range(LAST + 1)]
    rig = make_rig(folder, [bars], signals, capital=Decimal(capital))
    while rig.session.next_due_ns() is not None:
        rig.step()
    return rig


def newest(desk: Desk) -> Bar:
    return desk.bars["EUR_USD"][-1]


def test_the_decision_holds_what_was_looked_at(flat: Rig) -> None:
    desk = flat.session.desk
    decision, wanted = decide(desk, newest(desk), BUY)
    assert wanted is not None
    assert (decision.instrument, decision.bar_ts_ns) == ("EUR_USD", newest(desk).open_ts_ns)
    assert (decision.direction, decision.confidence) == (1, 0.75)
    assert (decision.bid, decision.ask) == (START - PIP / 2, START + PIP / 2)
    assert (decision.equity_home, decision.position_units) == (100_000, 0)
    assert (decision.units, decision.client_order_id) == (wanted.intent.units, wanted.intent.client_order_id)
    assert decision.action is Action.ENTER and all(gate.passed for gate in decision.gates)


@pytest.mark.parametrize(("prediction", "sign"), [(BUY, 1), (SELL, -1)])
def test_an_entry_is_on_the_signalled_side_with_stop_and_bound_behind_and_before_it(
    flat: Rig, prediction: Prediction, sign: int
) -> None:
    desk = flat.session.desk
    _, wanted = decide(desk, newest(desk), prediction)
    assert wanted is not None
    order = wanted.intent
    entry = START + sign * PIP / 2
    assert order.units * sign > 0 and order.reason is OrderReason.SIGNAL and not order.reduce_only
    assert order.stop_loss is not None and (entry - order.stop_loss) * sign > 0
    assert order.price_bound is not None and (order.price_bound - entry) * sign == 2 * PIP
    assert 0 < wanted.risk_home <= Decimal(500)
    assert wanted.risk_home == abs(order.units) * abs(entry - order.stop_loss)
    assert order.created_ns == desk.now_ns


def test_the_order_id_tells_run_instrument_bar_and_number(flat: Rig) -> None:
    desk = flat.session.desk
    close_ns = newest(desk).close_ts_ns
    ids = [decide(desk, newest(desk), BUY)[0].client_order_id for _ in range(2)]
    assert ids == [client_order_id(desk.run_id, "EUR_USD", close_ns, number) for number in (1, 2)]


@pytest.mark.parametrize(
    ("fixture", "prediction", "reason"),
    [
        ("flat", NONE, "no signal"),
        ("long", NONE, "no signal"),
        ("long", BUY, "already long"),
        ("short", SELL, "already short"),
    ],
)
def test_nothing_is_done_without_a_reason_to(
    fixture: str, prediction: Prediction, reason: str, request: pytest.FixtureRequest
) -> None:
    desk = request.getfixturevalue(fixture).session.desk
    decision, wanted = decide(desk, newest(desk), prediction)
    assert (decision.action, decision.reason, wanted) == (Action.HOLD, reason, None)
    assert decision.position_units == desk.ledger.units("EUR_USD")
    assert (decision.units, decision.client_order_id, decision.gates) == (0, None, ())


@pytest.mark.parametrize(
    "prediction",
    [
        PredictionFault(reason="the model broke"),
        Prediction(direction=2, confidence=0.5),
        Prediction(direction=1, confidence=1.5),
        Prediction(direction=1, confidence=-0.1),
        Prediction(direction=1, confidence=float("nan")),
    ],
)
def test_a_models_nonsense_is_a_fault_and_sends_nothing(long: Rig, prediction: Prediction | PredictionFault) -> None:
    desk = long.session.desk
    decision, wanted = decide(desk, newest(desk), prediction)
    assert (decision.action, decision.direction, decision.confidence, wanted) == (Action.FAULT, 0, 0.0, None)
    assert decision.reason


@pytest.mark.parametrize(("fixture", "prediction"), [("long", SELL), ("short", BUY)])
def test_a_reversal_closes_what_is_held_and_opens_what_is_planned(
    fixture: str, prediction: Prediction, request: pytest.FixtureRequest
) -> None:
    desk = request.getfixturevalue(fixture).session.desk
    held = desk.ledger.units("EUR_USD")
    decision, wanted = decide(desk, newest(desk), prediction)
    assert decision.action is Action.REVERSE and wanted is not None
    assert wanted.closing is not None and (wanted.closing.units, wanted.closing.reduce_only) == (-held, True)
    opened = wanted.intent.units
    assert opened == decision.units and opened * prediction.direction > 0
    judged = {gate.name: gate.value for gate in decision.gates}
    assert judged["position_units"] == f"{abs(opened)} units", "as if the position were closed"
    assert abs(opened) * abs(desk.quotes["EUR_USD"].mid - (wanted.intent.stop_loss or 0)) <= Decimal(505)


def test_without_a_quote_an_entry_is_denied_by_name(flat: Rig) -> None:
    desk = flat.session.desk
    desk.quotes.clear()
    decision, wanted = decide(desk, newest(desk), BUY)
    assert (decision.action, wanted) == (Action.DENIED, None)
    assert [(gate.name, gate.value) for gate in decision.blocking] == [("quote", "none")]
    assert (decision.bid, decision.ask) == (newest(desk).bid_close, newest(desk).ask_close)


def test_a_quote_that_is_no_number_is_denied_by_name(flat: Rig) -> None:
    desk = flat.session.desk
    desk.quotes["EUR_USD"] = replace(desk.quotes["EUR_USD"], ask=Decimal("NaN"))
    decision, wanted = decide(desk, newest(desk), BUY)
    assert (decision.action, wanted) == (Action.DENIED, None)
    assert [gate.name for gate in decision.blocking] == ["quote"]


def test_a_size_of_nothing_is_no_trade_and_says_so(tmp_path: Path) -> None:
    desk = _at_last_bar(tmp_path, {}, capital=100).session.desk
    desk.limits = dataclasses.replace(LIMITS, risk_per_trade_pct=Decimal("0.01"), stop_loss_atr=Decimal(50))
    desk.equity_home = Decimal(1)
    decision, wanted = decide(desk, newest(desk), BUY)
    assert (decision.action, decision.reason, wanted) == (Action.DENIED, "blocked by size", None)
    (gate,) = decision.gates
    assert gate.value == "0 units (stop 99.9 pips, 0.00999 per unit)" and gate.limit == "at least 1 units"


def test_a_size_of_nothing_still_closes_the_other_side(long: Rig) -> None:
    desk = long.session.desk
    desk.equity_home = Decimal("0.01")
    decision, wanted = decide(desk, newest(desk), SELL)
    assert decision.action is Action.EXIT and wanted is not None
    assert decision.reason == "entry blocked by size; position closed"
    assert (wanted.intent.units, wanted.intent.reason) == (-desk.ledger.units("EUR_USD"), OrderReason.EXIT)
    assert wanted.intent.reduce_only and wanted.risk_home == 0
    assert wanted.intent.stop_loss is wanted.intent.price_bound is None


def _halted(desk: Desk) -> None:
    desk.halt_reason = "halt by the operator"


def _old_quote(desk: Desk) -> None:
    desk.now_ns += 11 * 10**9


def _closed_market(desk: Desk) -> None:
    desk.quotes["EUR_USD"] = replace(desk.quotes["EUR_USD"], tradeable=False)


def _open_order(desk: Desk) -> None:
    desk.orders.initialize(intent(1, "another"))


@pytest.mark.parametrize("spoil", [_halted, _old_quote, _closed_market, _open_order])
def test_what_forbids_even_an_exit(long: Rig, spoil: object) -> None:
    desk = long.session.desk
    spoil(desk)  # type: ignore[operator]
    decision, wanted = decide(desk, newest(desk), SELL)
    assert (decision.action, wanted) == (Action.DENIED, None)
    assert decision.reason.startswith("blocked by ")


def _paused(desk: Desk) -> None:
    desk.paused = True


def _degraded(desk: Desk) -> None:
    desk.state = SessionState.DEGRADED


@pytest.mark.parametrize("restrict", [_paused, _degraded])
def test_what_forbids_entries_lets_exits_pass(long: Rig, restrict: object) -> None:
    desk = long.session.desk
    restrict(desk)  # type: ignore[operator]
    decision, wanted = decide(desk, newest(desk), SELL)
    assert decision.action is Action.EXIT and wanted is not None
    assert wanted.intent.units == -desk.ledger.units("EUR_USD")


def test_an_exit_names_its_instrument_time_and_reason(long: Rig) -> None:
    desk = long.session.desk
    made = exit_intent(desk, "EUR_USD", Decimal(-5), OrderReason.FLATTEN, 77)
    assert made.client_order_id.startswith(f"{desk.run_id}-EUR_USD-77-")
    assert (made.units, made.reason, made.reduce_only, made.created_ns) == (-5, OrderReason.FLATTEN, True, desk.now_ns)


@pytest.mark.parametrize(("prediction", "sign"), [(BUY, 1), (SELL, -1)])
def test_a_target_is_on_the_winning_side(flat: Rig, prediction: Prediction, sign: int) -> None:
    desk = flat.session.desk
    desk.limits = dataclasses.replace(LIMITS, take_profit_atr=Decimal(5))
    _, wanted = decide(desk, newest(desk), prediction)
    assert wanted is not None and wanted.intent.take_profit is not None
    assert (wanted.intent.take_profit - START) * sign > 0


def test_a_size_follows_equity_with_open_losses(flat: Rig) -> None:
    desk = flat.session.desk
    sizes = []
    for equity in (100_000, 50_000):
        desk.equity_home = Decimal(equity)
        wanted = decide(desk, newest(desk), BUY)[1]
        assert wanted is not None
        sizes.append(wanted.risk_home)
    assert sizes[0] <= 500 and sizes[1] <= 250
