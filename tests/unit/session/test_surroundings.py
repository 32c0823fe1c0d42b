"""What rules are told of the desk: others, reservations, currency legs, costs and counts, worked out by hand."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.account import Trade, WorkingOrder
from engine.domain.calendar import next_rollover_ns
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent, OrderReason, OrderStatus
from engine.risk.breakers import Trip, lock_name
from engine.risk.exposure import Exposure
from engine.session.desk import Desk
from engine.session.surroundings import exposed, exposure, risk_view, without_price
from engine.session.usage import usage
from tests.unit.made import closes, fill, intent, opens
from tests.unit.session.rig import LIMITS, Rig, bar, make_rig

START = Decimal("1.10000")
NAMES = ("EUR_USD", "GBP_USD", "AUD_USD")
HOUR_NS = 3_600 * NS_PER_S
ASKED = "1-EUR_USD-7-9"
DAY_NS = 24 * HOUR_NS


def order(units: int, order_id: str, name: str = "EUR_USD", reason: OrderReason = OrderReason.SIGNAL) -> OrderIntent:
    return intent(units, order_id, instrument=name, reason=reason)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Three instruments at 1.10000 that are bought at bar 8."""
    bars = [[bar(i, START, instrument=name) for i in range(20)] for name in NAMES]
    made = make_rig(tmp_path, bars, {8: 1})
    yield made
    made.close()


@pytest.fixture
def desk(rig: Rig) -> Desk:
    rig.step()
    return rig.session.desk


def test_nothing_is_counted_of_an_empty_desk(desk: Desk) -> None:
    view = risk_view(desk, order(1_000, "1-EUR_USD-7-1"), Decimal(7))
    assert view.others == Exposure() == exposure(desk)
    assert (view.positions_others, view.position_units, view.reserved_units, view.last_entry_ns) == (0, 0, 0, None)
    assert (view.last_loss_ns, view.orders_last_minute, view.slippage, view.locked) == (None, 0, 0, "")
    assert (view.risk_home, view.confidence, view.is_repeated, view.now_ns) == (7, 1.0, False, desk.now_ns)
    assert (view.limits, view.quote, view.equity_home) == (LIMITS, desk.quotes["EUR_USD"], 100_000)


def waits(units: int | None, name: str | None) -> WorkingOrder:
    """An order that another hand left at the broker."""
    return WorkingOrder(
        order_id="9", kind="LIMIT", instrument=name, units=None if units is None else Decimal(units), trade_id=None,
        price=START, client_order_id=None,
    )  # fmt: skip


def test_waiting_orders_of_another_hand_are_counted_as_if_they_were_filled(desk: Desk) -> None:
    desk.foreign_orders = (waits(-300, "GBP_USD"), waits(200, "EUR_USD"), waits(-50, "EUR_USD"))
    view = risk_view(desk, order(1_000, ASKED), Decimal(7))
    assert (view.reserved_units, view.waiting_units, view.positions_others) == (0, 250, 1)
    assert view.size_after(order(1_000, ASKED)) == 1_250
    assert view.value_after(order(1_000, ASKED)) == (750 * view.unit_home, 1_250 * view.unit_home)
    assert view.others.gross_home == 300 * view.unit_home
    assert view.others.net_home == (-300 * view.unit_home, 0)
    assert exposure(desk).gross_home == 550 * view.unit_home
    assert {use.name: use.value for use in usage(desk)}["positions_max"] == "2 positions"


def test_a_waiting_order_without_a_price_leaves_the_sums_unknown(desk: Desk) -> None:
    desk.foreign_orders = (waits(-300, "USD_JPY"),)
    assert without_price(desk) == ("USD_JPY",)


def test_a_waiting_order_that_the_broker_does_not_describe_cannot_be_counted(desk: Desk) -> None:
    desk.foreign_orders = (waits(None, "GBP_USD"), waits(300, None))
    assert exposed(desk) == set()
    assert exposure(desk) == Exposure()


def test_others_are_counted_at_worst_and_the_own_reservation_apart(desk: Desk) -> None:
    desk.orders.initialize(order(-300, "a", "GBP_USD"))
    desk.orders.initialize(order(200, "b"))
    view = risk_view(desk, order(1_000, ASKED), Decimal(7))
    assert (view.reserved_units, view.positions_others) == (200, 1)
    assert view.others == Exposure(
        gross_home=Decimal(330),
        net_home=(Decimal(-330), Decimal(0)),
        margin_home=300 * START * desk.instruments["GBP_USD"].margin_rate,
        legs_home={"GBP": (Decimal(-330), Decimal(0)), "USD": (Decimal(0), Decimal(330))},
    )
    assert risk_view(desk, order(1, ASKED, "GBP_USD"), Decimal(7)).others.gross_home == 220
    assert exposure(desk).gross_home == 550
    assert exposure(desk).legs_home["USD"] == (Decimal(-220), Decimal(330))


def test_what_is_held_elsewhere_is_certain_and_what_is_unfinished_there_is_not(desk: Desk) -> None:
    number = desk.ledger.last_transaction_id + 1
    desk.book(fill(number, "1000", desk.ledger.balance_home, name="GBP_USD", opened=opens("g", "1000", "1.1")))
    desk.orders.initialize(order(-1_000, "a", "GBP_USD", OrderReason.EXIT))
    desk.orders.initialize(order(500, "b", "AUD_USD"))
    desk.orders.move("b", OrderStatus.SUBMITTED, desk.now_ns)
    desk.orders.move("b", OrderStatus.UNRESOLVED, desk.now_ns)
    view = risk_view(desk, order(1, ASKED), Decimal(7))
    assert view.positions_others == 2
    assert (view.others.gross_home, view.others.net_home) == (2_200 + 550, (0, 1_100 + 550))
    assert view.others.legs_home == {
        "GBP": (Decimal(0), Decimal(1_100)), "AUD": (Decimal(0), Decimal(550)), "USD": (Decimal(-1_650), Decimal(0)),
    }  # fmt: skip


def test_a_partly_filled_order_elsewhere_counts_with_what_is_left(desk: Desk) -> None:
    desk.orders.initialize(order(-300, "a", "GBP_USD"))
    desk.orders.move("a", OrderStatus.SUBMITTED, desk.now_ns)
    desk.orders.apply(fill(9, "-100", "0", name="GBP_USD", client_order_id="a"))
    assert risk_view(desk, order(1, ASKED), Decimal(7)).others.gross_home == 200 * START


def test_nothing_is_added_up_while_something_held_has_no_price(desk: Desk) -> None:
    number = desk.ledger.last_transaction_id + 1
    desk.book(fill(number, "1000", desk.ledger.balance_home, name="GBP_USD", opened=opens("g", "1000", "1.1")))
    del desk.quotes["GBP_USD"]
    assert exposure(desk) == Exposure()


def test_the_held_instrument_leaves_its_own_size_to_the_rule(rig: Rig) -> None:
    while not rig.session.desk.ledger.units("EUR_USD"):
        rig.step()
    desk = rig.session.desk
    view = risk_view(desk, order(1, ASKED), Decimal(7))
    last = desk.conduct.last_entry("EUR_USD")
    assert view.position_units == desk.ledger.units("EUR_USD") > 0
    assert last is not None and view.last_entry_ns == last.ts_ns
    assert view.orders_last_minute == len(desk.ledger.held)
    assert view.usual.bars == len(desk.bars["EUR_USD"]) and view.usual.last_mid == 1.1


def test_orders_losses_locks_and_bars_are_those_of_the_instrument(desk: Desk) -> None:
    for number, name in enumerate(("EUR_USD", "GBP_USD", "GBP_USD")):
        desk.conduct.ordered(order(100, f"1-{name}-7-{number}", name), desk.now_ns - number * 40 * NS_PER_S)
    desk.conduct.decided(order(100, "1-GBP_USD-7-1", "GBP_USD"))
    lost = fill(9, "-1", "0", name="GBP_USD", pl="-5", closed=(closes("1", "-1", "1", "-5"),))
    desk.conduct.filled(replace(lost, ts_ns=99), ())
    desk.panel.latch(Trip(breaker=lock_name("GBP_USD"), ts_ns=1, value="", limit="", cause="too often"))
    ours, others = (risk_view(desk, order(1, f"1-{name}-7-9", name), Decimal(7)) for name in ("GBP_USD", "EUR_USD"))
    assert (ours.last_loss_ns, ours.locked, ours.is_repeated) == (99, "too often", True)
    assert (others.last_loss_ns, others.locked, others.is_repeated) == (None, "", False)
    assert ours.last_entry_ns == desk.now_ns - 80 * NS_PER_S and others.last_entry_ns == desk.now_ns


def test_slippage_is_the_median_of_the_instruments_entries(desk: Desk) -> None:
    for number, price in enumerate(("1.1003", "1.1001", "1.0990")):
        order_id = f"1-EUR_USD-7-{number}"
        desk.conduct.ordered(order(100, order_id), desk.now_ns, Decimal("1.1"))
        desk.conduct.filled(fill(number + 1, "100", "0", price=price, client_order_id=order_id), ())
    assert risk_view(desk, order(1, ASKED), Decimal(7)).slippage == Decimal("0.0001")
    assert risk_view(desk, order(1, ASKED, "GBP_USD"), Decimal(7)).slippage == 0


def held_for(desk: Desk, length_ns: int) -> None:
    """Let the session have closed one trade that was held so long."""
    trade = Trade(
        trade_id="1", instrument="EUR_USD", units=Decimal(1), initial_units=Decimal(1), price=Decimal(1),
        opened_ns=desk.now_ns - length_ns, client_order_id=None, stop_loss=None, take_profit=None,
    )  # fmt: skip
    done = fill(9, "-1", "0", closed=(closes("1", "-1", "1", "1"),))
    desk.conduct.filled(replace(done, ts_ns=desk.now_ns), (trade,))


def test_financing_is_of_the_nights_that_are_to_be_expected(desk: Desk) -> None:
    """At 1.10000 a rate of 3.65 % a year is 0.00011 a night."""
    rates = {"financing_long": Decimal("-0.0365"), "financing_short": Decimal("0.0073")}
    desk.instruments = {name: replace(spec, **rates) for name, spec in desk.instruments.items()}
    to_rollover_ns = next_rollover_ns(desk.now_ns) - desk.now_ns
    assert 13 * HOUR_NS < to_rollover_ns < 14 * HOUR_NS

    def cost(units: int) -> Decimal:
        return risk_view(desk, order(units, ASKED), Decimal(7)).financing

    assert (cost(1), cost(-1)) == (Decimal("0.00011"), Decimal("-0.000022"))  # nothing closed yet: one day
    fresh = desk.conduct
    for length_ns, nights in (
        (HOUR_NS, 0),
        (to_rollover_ns - 1, 0),
        (to_rollover_ns, 1),
        (to_rollover_ns + DAY_NS - 1, 1),
        (to_rollover_ns + DAY_NS, 2),
        (to_rollover_ns + 6 * DAY_NS, 7),
    ):
        desk.conduct = type(fresh)()
        held_for(desk, length_ns)
        assert (cost(1), cost(-1)) == (nights * Decimal("0.00011"), nights * Decimal("-0.000022"))


def test_financing_of_an_instrument_without_rates_costs_nothing(desk: Desk) -> None:
    none = {"financing_long": Decimal(0), "financing_short": Decimal(0)}
    desk.instruments = {name: replace(spec, **none) for name, spec in desk.instruments.items()}
    assert risk_view(desk, order(1, ASKED), Decimal(7)).financing == 0
