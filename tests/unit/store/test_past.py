"""A run that goes on with the books of earlier ones finds what they left open, and changes their rows."""

import dataclasses
import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.account import Trade
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import Bug, ConfigError, HaltTrading
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    Claim,
    DayBegan,
    Event,
    OrderFilled,
    OrderUpdated,
    SessionStarted,
    TradeClaimed,
    TradeFound,
)
from engine.domain.market import Granularity
from engine.domain.order import OrderStatus
from engine.ports import Past
from engine.store.checkup import verify
from engine.store.past import read_curfew
from engine.store.queries import connect_readonly, orders, trades
from tests.unit.store.tape import MINUTE_NS, START_NS, Tape, closing, decided, opened_store, record, story
from tests.unit.store.test_projections import tapes
from tests.unit.store.test_rebuild import rebuilt, tables

ACCOUNT = "practice-1"
PRACTICE = SessionConfig(mode=Mode.PRACTICE, instruments=("EUR_USD", "USD_JPY"))


def written(path: Path, tape: Tape, account: str = ACCOUNT) -> None:
    """Record a tape as a run of its own process; it goes on with the past if its beginning says so."""
    store = opened_store(path)
    started = tape.events[0]
    goes_on = isinstance(started, SessionStarted) and started.continues is not None
    journal = store.begin_run(past=store.past(account) if goes_on else None)
    assert journal.run_id == tape.run_id
    record(journal, tape.events)
    store.close()


def past_of(path: Path, account: str = ACCOUNT) -> Past | None:
    store = opened_store(path)
    found = store.past(account)
    store.close()
    return found


def first_run() -> Tape:
    """A run that crashed with a trade open, an order on its way and a breaker tripped."""
    tape = Tape(1, PRACTICE, account=ACCOUNT)
    tape.open("3", "10000", price="1.38000")
    tape.order(Decimal(700))
    tape.add(BreakerTripped(ts_ns=tape.now_ns, breaker="daily_loss", value="3.1 %", limit="3 %"))
    return tape


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    conn = sqlite3.connect(path)
    rows = conn.execute(sql).fetchall()
    conn.close()
    return rows


def test_an_account_that_was_never_traded_has_no_past(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    written(path, story(1))
    assert past_of(path) is None
    assert past_of(path, "") is None


def test_a_past_is_what_happened_without_what_was_only_told(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = story(1)
    tape.events[0] = replace(tape.events[0], account=ACCOUNT)
    written(path, tape)
    past = past_of(path)
    assert past is not None and past.run_id == 1
    told = {
        "DecisionMade", "CommandAccepted", "CommandRefused", "WarmedUp", "Reconciled", "TradingStateChanged",
        "LimitsChanged", "NewsSet", "Faulted", "Interrupted", "AlertRaised", "PreflightDone",
    }  # fmt: skip
    assert list(past.events) == [event for event in tape.events if type(event).__name__ not in told]
    assert 0 < len(past.events) < len(tape.events)


def test_a_trip_of_a_clock_that_was_set_back_does_not_shorten_what_the_one_before_forbids(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = first_run()
    later_ns = tape.events[-1].ts_ns
    tape.add(BreakerReleased(ts_ns=later_ns, breaker="daily_loss", reason="looked at it"))
    tape.add(BreakerTripped(ts_ns=later_ns - MINUTE_NS, breaker="daily_loss", value="3.1 %", limit="3 %"))
    written(path, tape)
    store = opened_store(path)
    found = store.curfew(ACCOUNT)
    store.close()
    assert found is not None and found.trips == {"daily_loss": later_ns}


def test_limits_of_a_start_that_was_refused_were_never_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    written(path, first_run())
    looser = replace(PRACTICE, limits=dataclasses.replace(PRACTICE.limits, daily_loss_pct_max=Decimal(50)))
    second = Tape(2, looser, account=ACCOUNT, after=first_run())
    second.add(BreakerTripped(ts_ns=second.now_ns, breaker="late_fill", value="order 1", limit="none"))
    store = opened_store(path)
    record(store.begin_run(past=store.past(ACCOUNT)), second.events)
    store.give_up_run()
    found = store.curfew(ACCOUNT)
    store.close()
    assert found is not None and found.limits == PRACTICE.limits
    assert {trip.breaker for trip in found.latched} == {"daily_loss", "late_fill"}


def test_a_past_reaches_back_to_the_run_that_began_the_books_and_over_crashes(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    older, first = Tape(1, account=ACCOUNT), Tape(2, account=ACCOUNT)
    first.open("3", "100")
    other = Tape(3, account="another")
    second = Tape(5, account=ACCOUNT, after=first)
    for tape in (older, first, other):
        written(path, tape)
    store = opened_store(path)
    store.begin_run(past=store.past(ACCOUNT))  # a crash before anything was recorded: it never began
    store.close()
    written(path, second)
    past = past_of(path)
    assert past is not None and past.run_id == 5
    assert list(past.events) == [*first.events, *second.events]


def test_the_newest_decided_bar_is_found_over_all_runs_of_the_account(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"

    def judged(run_id: int, account: str, minutes: Iterable[int], instrument: str, every: Granularity) -> Tape:
        tape = Tape(run_id, replace(PRACTICE, granularity=every), account=account)
        for minute in minutes:
            tape.add(
                decided(START_NS + minute * MINUTE_NS, instrument=instrument, bar_ts_ns=START_NS + minute * MINUTE_NS)
            )
        return tape

    written(path, judged(1, ACCOUNT, (1, 2, 9), "EUR_USD", Granularity.M1))
    written(path, judged(2, ACCOUNT, (3, 4), "EUR_USD", Granularity.M1))
    written(path, judged(3, ACCOUNT, (5,), "USD_JPY", Granularity.M5))
    written(path, judged(4, "another", (77,), "EUR_USD", Granularity.M1))
    past = past_of(path)
    assert past is not None
    assert past.decided == {("EUR_USD", "M1"): START_NS + 9 * MINUTE_NS, ("USD_JPY", "M5"): START_NS + 5 * MINUTE_NS}


def test_a_later_run_closes_the_trade_fills_the_order_and_releases_the_breaker_of_an_earlier_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keel.sqlite"
    first = first_run()
    written(path, first)
    second = Tape(2, PRACTICE, account=ACCOUNT, after=first)
    sent = next(event for event in reversed(first.events) if isinstance(event, OrderUpdated)).client_order_id
    second.add(OrderUpdated(ts_ns=second.now_ns, client_order_id=sent, status=OrderStatus.UNRESOLVED, detail="?"))
    second.fill(Decimal(700), sent, reduced=closing("3", "-4000", "1.39000", "40"))
    second.fill(Decimal(-6000), None, closed=(closing("3", "-6000", "1.37000", "-60"),), reason="STOP_LOSS_ORDER")
    second.add(BreakerReleased(ts_ns=second.now_ns, breaker="daily_loss", reason="seen"))
    second.stop()
    written(path, second)
    conn = connect_readonly(path)
    (trade,) = trades(conn)
    assert (trade.run_id, trade.state, trade.realized_pl_home) == (1, "CLOSED", Decimal(-20))
    assert trade.exit_price == Decimal("1.378") and trade.exit_reason == "stop loss"
    filled = next(order for order in orders(conn, 1) if order.client_order_id == sent)
    assert (filled.status, filled.filled_units) == ("FILLED", Decimal(700))
    assert orders(conn, 2) == ()
    conn.close()
    assert query(path, "SELECT run_id, release_reason FROM breakers") == [(1, "seen")]
    assert query(path, "SELECT name, value FROM metrics WHERE run_id = 2 AND name IN ('trades', 'losses')") == [
        ("losses", "1"),
        ("trades", "1"),
    ]
    assert query(path, "SELECT run_id, status, account, continues FROM runs") == [
        (1, "ABORTED", ACCOUNT, None),
        (2, "STOPPED", ACCOUNT, 1),
    ]


def test_a_run_that_goes_on_writes_the_positions_it_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    first = first_run()
    written(path, first)
    second = Tape(2, PRACTICE, account=ACCOUNT, after=first)
    written(path, second)
    shown = query(path, "SELECT instrument, units, average_price, ts_ns FROM positions WHERE run_id = 2")
    assert shown == [("EUR_USD", "10000", "1.38000", second.events[0].ts_ns)]


def found(units: str, initial: str) -> Trade:
    return Trade(
        trade_id="900",
        instrument="EUR_USD",
        units=Decimal(units),
        initial_units=Decimal(initial),
        price=Decimal("1.30000"),
        opened_ns=START_NS - MINUTE_NS,
        client_order_id="by-hand",
        stop_loss=Decimal("1.29000"),
        take_profit=None,
        realized_pl_home=Decimal("12.5"),
        financing_home=Decimal("-0.25"),
    )


def test_a_trade_that_was_found_is_a_trade_without_an_order_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1, PRACTICE, account=ACCOUNT)
    tape.add(TradeFound(ts_ns=tape.now_ns, trade=found("-600", "-1000")))
    tape.add(TradeClaimed(ts_ns=tape.now_ns, trade_id="900", claim=Claim.ADOPT))
    tape.add(DayBegan(ts_ns=tape.now_ns, equity_home=tape.balance))
    written(path, tape)
    conn = connect_readonly(path)
    (trade,) = trades(conn)
    conn.close()
    assert (trade.run_id, trade.seq, trade.side, trade.state) == (1, 2, "short", "OPEN")
    assert (trade.units, trade.units_open, trade.entry_ns) == (Decimal(1000), Decimal(600), START_NS - MINUTE_NS)
    assert (trade.client_order_id, trade.risk_home, trade.stop_loss) == (None, None, Decimal("1.29000"))
    assert (trade.realized_pl_home, trade.financing_home) == (Decimal("12.5"), Decimal("-0.25"))
    assert query(path, "SELECT units, average_price FROM positions") == [("-600", "1.30000")]


def test_the_exit_of_a_found_trade_is_the_average_of_the_closes_that_we_saw(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1, PRACTICE, account=ACCOUNT)
    tape.add(TradeFound(ts_ns=tape.now_ns, trade=found("-600", "-1000")))
    written(path, tape)
    second = Tape(2, PRACTICE, account=ACCOUNT, after=tape)
    second.fill(Decimal(200), None, reduced=closing("900", "200", "1.31000", "-2"))
    second.fill(Decimal(400), None, closed=(closing("900", "400", "1.34000", "-16"),))
    written(path, second)
    conn = connect_readonly(path)
    (trade,) = trades(conn)
    conn.close()
    assert (trade.state, trade.exit_price, trade.realized_pl_home) == ("CLOSED", Decimal("1.33"), Decimal("-5.5"))


def test_a_run_that_says_other_books_than_it_was_begun_on_is_a_bug(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    first = first_run()
    written(path, first)
    second = Tape(2, PRACTICE, account=ACCOUNT, after=first)
    store = opened_store(path)
    with pytest.raises(Bug, match="Run 2 continues run 1, and was begun on run None"):
        store.begin_run().append(second.events[0])
    with pytest.raises(Bug, match="continues run None, and was begun on run 1"):
        store.begin_run(past=store.past(ACCOUNT)).append(first.events[0])
    store.close()


def test_a_fill_that_does_not_fit_changes_nothing_of_what_it_closes_before(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    tape = Tape(1)
    tape.open("3", "100")
    store = opened_store(path)
    journal = store.begin_run()
    record(journal, tape.events)
    tape.fill(Decimal(-200), None, closed=(closing("3", "-100", "1.4", "1"), closing("99", "-100", "1.4", "1")))
    with pytest.raises(HaltTrading, match="trade 99, which is not open here"):
        journal.append(tape.events[-1])
    journal.append(decided())
    journal.commit()
    store.close()
    assert query(path, "SELECT state FROM trades") == [("OPEN",)]
    assert all(check.ok for check in verify(path))


def test_an_unreadable_event_of_the_past_is_named_and_begins_no_run(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    written(path, first_run())
    store = opened_store(path)
    past = store.past(ACCOUNT)
    conn = sqlite3.connect(path)
    conn.execute("UPDATE events SET payload = '{}' WHERE seq = 4")
    conn.commit()
    conn.close()
    with pytest.raises(ConfigError, match="Event 4 of the journal cannot be read"):
        store.past(ACCOUNT)
    with pytest.raises(ConfigError, match="Event 4 of the journal cannot be read"):
        store.begin_run(past=past)
    store.close()
    assert query(path, "SELECT run_id FROM runs") == [(1,)]


def balance_after(events: list[Event], before: Decimal) -> Decimal:
    """The balance that the newest transaction with money left."""
    for event in reversed(events):
        for name in ("fill", "financing", "transfer"):
            if hasattr(event, name):
                return getattr(event, name).balance_home
    return before


Ending = tuple[int, str, int]


def told_in_runs(path: Path, tape: Tape, endings: list[Ending]) -> None:
    """Tell one story in several runs: each ends after so many events, stopped, cut off or cut off before a commit.

    What a crash kept from the disk is told again by the next run, as the broker's log would.
    """
    events = [event for event in tape.events if type(event).__name__ not in ("SessionStarted", "SessionStopped")]
    balance, begun = Decimal("100000.0000"), 0
    for count, ending, lost in [*endings, (len(events), "stopped", 0)]:
        store = opened_store(path)
        past = store.past(ACCOUNT)
        journal = store.begin_run(past=past)
        if ending != "never begun":
            part = events[begun : begun + count]
            after = Tape(past.run_id) if past else None
            started = Tape(journal.run_id, PRACTICE, account=ACCOUNT, after=after)
            started.balance = balance
            journal.append(replace(started.events[0], opening_balance_home=balance))
            record(journal, part, batch=2)
            begun, balance = begun + len(part), balance_after(part, balance)
            if ending == "stopped":
                started.balance = balance_after(part, balance)
                started.stop()
                record(journal, started.events[-1:])
            for event in events[begun : begun + lost]:
                journal.append(event)
        store.close()


ENDINGS = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(("stopped", "crashed", "never begun")), st.integers(0, 3)), max_size=5
)


def without_run(path: Path, table: str, key: str) -> list[dict[str, object]]:
    """The rows of a table without the run and the number of the event that made them."""
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    rows = [dict(row) for row in conn.execute(f"SELECT * FROM {table} ORDER BY {key}")]
    conn.close()
    return [{name: value for name, value in row.items() if name not in ("run_id", "seq")} for row in rows]


@settings(max_examples=30)
@given(tape=tapes(), endings=ENDINGS)
def test_any_story_told_in_many_runs_leaves_the_rows_of_one_run_and_can_be_rebuilt(
    tmp_path_factory: pytest.TempPathFactory, tape: Tape, endings: list[Ending]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    one, many = folder / "one.sqlite", folder / "many.sqlite"
    told_in_runs(one, tape, [])
    told_in_runs(many, tape, endings)
    for table, key in (("trades", "trade_id"), ("orders", "client_order_id"), ("fills", "transaction_id")):
        assert without_run(many, table, key) == without_run(one, table, key)
    before = tables(many)
    rebuilt(many)
    assert tables(many) == before
    assert [check for check in verify(many) if not check.ok] == []
    assert any(isinstance(event, OrderFilled) for event in tape.events) == bool(before["fills"])


def test_new_books_let_the_difference_of_the_old_ones_go_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "keel.sqlite"
    first = Tape(1, PRACTICE, account=ACCOUNT)
    for breaker in ("reconciliation", "drawdown"):
        first.add(BreakerTripped(ts_ns=first.now_ns, breaker=breaker, value="2", limit="0"))
    second = Tape(2, PRACTICE, account=ACCOUNT, after=first)
    third = Tape(3, PRACTICE, account=ACCOUNT)
    for tape, latched in (
        (first, ["reconciliation", "drawdown"]),
        (second, ["reconciliation", "drawdown"]),
        (third, ["drawdown"]),
    ):
        written(path, tape)
        conn = connect_readonly(path)
        curfew = read_curfew(conn, ACCOUNT)
        conn.close()
        assert curfew is not None and [each.breaker for each in curfew.latched] == latched
