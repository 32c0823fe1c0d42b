"""The tables say what the events say: orders, fills, trades, positions and a run's figures, exact in Decimal."""

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.error import HaltTrading
from engine.domain.event import OrderUpdated, SessionState, SessionStopped
from engine.domain.order import OrderReason, OrderStatus
from engine.domain.transaction import TradeClosed, TradeOpened
from engine.store.queries import OrderRow, TradeRow, connect_readonly, orders, trades
from tests.unit.store.tape import OPENING, Tape, closing, opened_store, record, story

Told = Callable[[Tape], sqlite3.Connection]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Journal a tape into a new file and open it for reading."""

    def tell(tape: Tape) -> sqlite3.Connection:
        path = tmp_path / "keel.sqlite"
        store = opened_store(path)
        record(store.begin_run(), tape.events)
        store.close()
        return connect_readonly(path)

    return tell


def trade(conn: sqlite3.Connection, trade_id: str) -> TradeRow:
    return next(row for row in trades(conn) if row.trade_id == trade_id)


def by_reason(conn: sqlite3.Connection) -> dict[str, OrderRow]:
    return {row.detail or row.status: row for row in orders(conn, 1)}


def figures(conn: sqlite3.Connection) -> dict[str, str | None]:
    return dict(conn.execute("SELECT name, value FROM metrics WHERE run_id = 1").fetchall())


def balance_identity(conn: sqlite3.Connection) -> tuple[Decimal, Decimal]:
    """Both sides of it: opening balance + all that the trades and transfers brought, and the last balance."""

    def total(sql: str) -> Decimal:
        return sum((Decimal(row[0]) for row in conn.execute(sql)), Decimal(0))

    booked = (
        total("SELECT opening_balance_home FROM runs")
        + total("SELECT realized_pl_home FROM trades")
        + total("SELECT financing_home FROM trades")
        - total("SELECT commission_home FROM fills")
        + total("SELECT amount_home FROM transactions WHERE kind = 'FundsTransferred'")
    )
    last = "SELECT balance_home FROM transactions WHERE balance_home IS NOT NULL ORDER BY transaction_id DESC LIMIT 1"
    row = conn.execute(last).fetchone()
    return booked, Decimal(row[0]) if row else OPENING


def test_a_trade_closed_in_two_parts_shows_its_weighted_exit(told: Told) -> None:
    row = trade(told(story(1)), "4")
    assert (row.side, row.state, row.units, row.units_open) == ("long", "CLOSED", Decimal(10000), Decimal(0))
    assert row.exit_price == (4000 * Decimal("1.39") + 6000 * Decimal("1.391")) / 10000
    assert row.realized_pl_home == Decimal("33.5001")
    assert row.financing_home == Decimal("-1.2350")
    assert row.risk_home == Decimal("500.25")
    assert (row.stop_loss, row.take_profit) == (Decimal("1.38000"), Decimal("1.40000"))
    assert row.exit_reason == "signal"
    assert row.exit_ns is not None
    assert row.exit_ns > row.entry_ns


def test_a_stopped_short_and_an_open_long(told: Told) -> None:
    conn = told(story(1))
    short, still_open = trade(conn, "9"), trade(conn, "30")
    assert (short.side, short.units, short.exit_reason) == ("short", Decimal(5000), "stop loss")
    assert short.exit_price == Decimal("1.394")
    assert (still_open.state, still_open.units_open) == ("OPEN", Decimal(700))
    assert (still_open.exit_ns, still_open.exit_price, still_open.exit_reason) == (None, None, None)


def test_a_partly_closed_trade_is_open_and_has_no_exit_yet(told: Told) -> None:
    tape = Tape(1)
    tape.open("4", "-900")
    tape.fill(Decimal(300), tape.order(Decimal(300)), reduced=closing("4", "300", "1.39", "-2.5"))
    row = trade(told(tape), "4")
    assert (row.state, row.units, row.units_open) == ("OPEN", Decimal(900), Decimal(600))
    assert (row.exit_ns, row.exit_price, row.exit_reason) == (None, None, None)
    assert row.realized_pl_home == Decimal("-2.5")


@pytest.mark.parametrize(
    ("fill_reason", "intent_reason", "words"),
    [
        ("STOP_LOSS_ORDER", None, "stop loss"),
        ("TAKE_PROFIT_ORDER", None, "take profit"),
        ("TRAILING_STOP_LOSS_ORDER", None, "trailing stop"),
        ("MARKET_ORDER_MARGIN_CLOSEOUT", None, "margin closeout"),
        ("MARKET_ORDER", OrderReason.SIGNAL, "signal"),
        ("MARKET_ORDER", OrderReason.EXIT, "exit"),
        ("MARKET_ORDER", OrderReason.FLATTEN, "flatten"),
        ("MARKET_ORDER", OrderReason.CLOSE_COMMAND, "close command"),
        ("MARKET_ORDER_TRADE_CLOSE", None, "market order trade close"),
    ],
)
def test_why_a_trade_ended(told: Told, fill_reason: str, intent_reason: OrderReason | None, words: str) -> None:
    tape = Tape(1)
    tape.open("4", "100")
    made = tape.order(Decimal(-100), intent_reason) if intent_reason else None
    tape.fill(Decimal(-100), made, closed=(closing("4", "-100", "1.39", "1"),), reason=fill_reason)
    assert trade(told(tape), "4").exit_reason == words


def test_each_order_ends_where_its_events_lead(told: Told) -> None:
    conn = told(story(1))
    rows = by_reason(conn)
    assert rows["BOUNDS_VIOLATION"].status == "CANCELED"
    assert rows["INSUFFICIENT_MARGIN"].status == "REJECTED"
    filled = [row for row in orders(conn, 1) if row.status == "FILLED"]
    assert [row.filled_units for row in filled] == [Decimal(10000), Decimal(-4000), Decimal(-11000), Decimal(700)]
    assert [row.command_id for row in filled] == [None, None, "c-2", None]
    assert all(row.broker_order_id for row in filled)


def test_an_order_filled_in_two_parts(told: Told) -> None:
    tape = Tape(1)
    made, waiting = tape.order(Decimal(-100)), tape.order(Decimal(-100))
    for order, trade_id, units in ((made, "4", -60), (waiting, "5", -60), (made, "6", -40)):
        part = TradeOpened(trade_id=trade_id, units=Decimal(units), price=Decimal("1.387"))
        tape.fill(Decimal(units), order, opened=part)
    rows = {row.client_order_id: row for row in orders(told(tape), 1)}
    assert (rows[made].status, rows[made].filled_units) == ("FILLED", Decimal(-100))
    assert (rows[waiting].status, rows[waiting].filled_units) == ("PARTIALLY_FILLED", Decimal(-60))


def test_an_update_of_an_order_carries_its_detail(told: Told) -> None:
    tape = Tape(1)
    lost = tape.order(Decimal(50))
    tape.add(OrderUpdated(ts_ns=tape.now_ns, client_order_id=lost, status=OrderStatus.UNRESOLVED, detail="timed out"))
    (row,) = orders(told(tape), 1)
    assert (row.status, row.detail) == ("UNRESOLVED", "timed out")


def test_a_late_fill_of_an_order_that_was_given_up_is_shown(told: Told) -> None:
    tape = Tape(1)
    made = tape.order(Decimal(100))
    tape.add(OrderUpdated(ts_ns=tape.now_ns, client_order_id=made, status=OrderStatus.EXPIRED, detail="not found"))
    tape.fill(Decimal(100), made, opened=TradeOpened(trade_id="4", units=Decimal(100), price=Decimal("1.387")))
    conn = told(tape)
    assert orders(conn, 1)[0].status == "FILLED"
    assert trade(conn, "4").risk_home == Decimal("500.25")


def test_positions_net_the_open_trades(told: Told) -> None:
    tape = Tape(1)
    tape.open("4", "300", "1.30000")
    tape.open("7", "100", "1.40000")
    rows = told(tape).execute("SELECT instrument, units, average_price FROM positions").fetchall()
    assert [(name, Decimal(units), Decimal(price)) for name, units, price in rows] == [
        ("EUR_USD", Decimal(400), Decimal("1.325"))
    ]


def test_a_flat_position_has_no_price(told: Told) -> None:
    tape = Tape(1)
    tape.open("4", "300")
    tape.fill(Decimal(-300), None, closed=(closing("4", "-300", "1.39", "1"),), reason="STOP_LOSS_ORDER")
    assert told(tape).execute("SELECT units, average_price FROM positions").fetchall() == [("0", None)]


def test_breakers_and_commands_are_listed_with_their_end(told: Told) -> None:
    conn = told(story(1))
    trips = conn.execute("SELECT breaker, measured, allowed, release_reason FROM breakers").fetchall()
    assert trips == [("daily_loss", "3.1 %", "3 %", "seen")]
    assert conn.execute("SELECT released_ns > tripped_ns FROM breakers").fetchone() == (1,)
    verdicts = conn.execute("SELECT command_id, accepted, detail FROM commands ORDER BY seq").fetchall()
    assert verdicts == [("c-1", 1, ""), ("c-3", 0, "one is active")]


def test_figures_of_a_run_by_hand(told: Told) -> None:
    conn = told(story(1))
    values = figures(conn)
    assert values["net_pl_home"] == str(Decimal("33.5001") - 15 - Decimal("1.2350") - Decimal("0.5"))
    assert (values["trades"], values["wins"], values["losses"]) == ("2", "1", "1")
    assert values["win_rate_pct"] == "50.000000"
    assert values["profit_factor"] == str((Decimal("32.2651") / 15).quantize(Decimal("0.000001")))
    assert values["expectancy_home"] == str(((Decimal("32.2651") - 15) / 2).quantize(Decimal("0.000001")))
    held = [row.exit_ns - row.entry_ns for row in trades(conn) if row.exit_ns is not None]
    assert Decimal(values["holding_s_average"] or 0) == Decimal(sum(held)) / len(held) / 1_000_000_000
    assert values["max_drawdown_pct"] == "0.75"


def test_a_run_without_trades_has_no_ratios(told: Told) -> None:
    tape = Tape(1)
    tape.stop()
    values = figures(told(tape))
    ratios = ("win_rate_pct", "profit_factor", "expectancy_home", "holding_s_average")
    assert [values[name] for name in ratios] == [None] * 4
    assert values["net_pl_home"] == "0"


@pytest.mark.parametrize(("state", "status"), [(SessionState.STOPPED, "STOPPED"), (SessionState.FAULTED, "FAULTED")])
def test_a_run_ends_as_its_session_ended(told: Told, state: SessionState, status: str) -> None:
    tape = story(1)
    tape.events = [event for event in tape.events if not isinstance(event, SessionStopped)]
    tape.stop(state)
    assert told(tape).execute("SELECT status FROM runs").fetchone() == (status,)


@pytest.mark.parametrize(
    ("units", "why"), [("-101", "closed -101 units"), ("1", "closed 1 units"), ("0", "closed 0 units")]
)
def test_closing_more_or_the_wrong_way_halts(tmp_path: Path, units: str, why: str) -> None:
    tape = Tape(1)
    tape.open("4", "100")
    tape.fill(Decimal(units), None, closed=(closing("4", units, "1.39", "1"),))
    with pytest.raises(HaltTrading, match=why):
        record(opened_store(tmp_path / "keel.sqlite").begin_run(), tape.events)


def test_closing_a_trade_that_was_never_opened_halts(tmp_path: Path) -> None:
    tape = Tape(1)
    tape.fill(Decimal(-5), None, closed=(closing("77", "-5", "1.39", "1"),))
    with pytest.raises(HaltTrading, match="trade 77, which is not open here"):
        record(opened_store(tmp_path / "keel.sqlite").begin_run(), tape.events)


def test_story_adds_up_to_the_last_decimal(told: Told) -> None:
    booked, balance = balance_identity(told(story(1)))
    assert booked == balance
    assert booked == story(1).balance


CENTS = st.decimals(-1_000_000, 1_000_000, places=4)
COSTS = st.decimals(0, 100, places=4)
PRICES = st.decimals("0.00001", 5_000, places=5)
SIZES = st.decimals("0.01", 1_000_000, places=2)


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    """Random books: opens, partial and full closes, reversals, financing, transfers, commissions."""
    tape = Tape(1)
    held: dict[str, Decimal] = {}
    for _ in range(draw(st.integers(0, 12))):
        action = draw(st.sampled_from(("open", "close", "reduce", "reverse", "financing", "transfer")))
        if action == "transfer":
            tape.transfer(draw(CENTS))
        elif action == "financing":
            tape.financing({trade_id: draw(CENTS) for trade_id in held})
        elif action == "open" or not held:
            _open(draw, tape, held)
        else:
            _close(draw, tape, held, action)
    if draw(st.booleans()):
        tape.stop()
    return tape


def _open(draw: st.DrawFn, tape: Tape, held: dict[str, Decimal]) -> None:
    sign = -1 if any(units < 0 for units in held.values()) else 1 if held else draw(st.sampled_from((-1, 1)))
    units = sign * draw(SIZES)
    made = tape.order(units)
    trade_id = str(tape.transaction_id + 1)
    opened = TradeOpened(trade_id=trade_id, units=units, price=draw(PRICES))
    tape.fill(units, made, opened=opened, commission_home=draw(COSTS))
    held[trade_id] = units


def _close(draw: st.DrawFn, tape: Tape, held: dict[str, Decimal], action: str) -> None:
    made = tape.order(Decimal(1), draw(st.sampled_from(OrderReason)))
    first, *others = [
        TradeClosed(
            trade_id=trade_id,
            units=-units,
            price=draw(PRICES),
            realized_pl_home=draw(CENTS),
            financing_home=draw(CENTS),
        )
        for trade_id, units in held.items()
    ]
    if action == "reduce" and abs(first.units) > Decimal("0.01"):
        part = closing(first.trade_id, str(Decimal("0.01").copy_sign(first.units)), "1.25", "0.0001")
        tape.fill(part.units, made, reduced=part)
        held[first.trade_id] += part.units
        return
    held.clear()
    opened = None
    if action == "reverse":
        trade_id = str(tape.transaction_id + 1)
        opened = TradeOpened(trade_id=trade_id, units=first.units, price=draw(PRICES))
        held[trade_id] = first.units
    tape.fill(first.units, made, closed=(first, *others), opened=opened, commission_home=draw(COSTS))


@settings(max_examples=40)
@given(tape=tapes())
def test_any_books_add_up_to_the_last_decimal(tmp_path_factory: pytest.TempPathFactory, tape: Tape) -> None:
    path = tmp_path_factory.mktemp("books") / "keel.sqlite"
    store = opened_store(path)
    record(store.begin_run(), tape.events, batch=5)
    store.close()
    conn = connect_readonly(path)
    booked, balance = balance_identity(conn)
    assert booked == balance == tape.balance
    net = figures(conn).get("net_pl_home")
    moved = sum(
        (
            Decimal(row[0])
            for row in conn.execute("SELECT amount_home FROM transactions WHERE kind = 'FundsTransferred'")
        ),
        Decimal(0),
    )
    assert net is None or OPENING + Decimal(net) + moved == balance
    conn.close()
