"""A whole session at the venue over a bad line: one POST per order, the books end equal, no secret anywhere."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from engine.adapters.oanda.exchange import Deadlines
from engine.domain.command import AcknowledgeBreaker, Mode, SessionConfig
from engine.domain.error import HaltTrading
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.prediction.registry import ModelRegistry
from engine.session import TradingSession
from engine.session.dispatch import GRACE_S
from engine.session.loop import SessionParts
from engine.store import queries
from engine.store.journal import JournalStore, open_journal
from tests.contract.test_practice import HandClock, Latch
from tests.fakes.faults import (
    CutBody,
    CutChunk,
    Drip,
    Fault,
    Hold,
    Replace,
    ResetAfter,
    ResetBefore,
    Rewrite,
)
from tests.fakes.venue import TOKEN, HandTime
from tests.unit.adapters.oanda.line import PATIENT, name_of
from tests.unit.adapters.oanda.stand import Stand, standing

SEED = 7
STEP_S = 15
MINUTE_NS = 60 * NS_PER_S
GONE = f"not in the broker's log {GRACE_S} s after it was sent"
INSTRUMENTS = ("EUR_USD", "USD_JPY")
LIMITS = RiskLimits(order_interval_s_min=Decimal(0), stop_loss_atr=Decimal(3), take_profit_atr=Decimal(4))
ECHO = f"<html><body>Bad gateway. You sent: Authorization: Bearer {TOKEN}</body></html>".encode()
HTML = {"body": ECHO, "content_type": "text/html"}
NO_SUCH_ORDER = json.dumps(
    {"errorMessage": f"no order for {TOKEN}", "errorCode": "NO_SUCH_ORDER", "lastTransactionID": "1"}
).encode()
IMPATIENT = Deadlines(connect_s=20.0, read_s=1.0, total_s=20.0)


class HastyTime(HandTime):
    """Time by hand of which some passes also whenever somebody looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.per_look_s = 0.0

    def __call__(self) -> float:
        self.seconds += self.per_look_s
        return self.seconds


class Play:
    """A session on a real journal before the venue, stepped by hand."""

    def __init__(self, stand: Stand, session: TradingSession, store: JournalStore) -> None:
        self.stand = stand
        self.session = session
        self.store = store

    def step(self, count: int = 1) -> None:
        """Let a quarter of a minute pass, and step."""
        for _ in range(count):
            self.stand.time.pass_by(STEP_S)
            self.session.step()

    def minutes(self, count: int) -> None:
        """Live through this many minutes."""
        self.step(count * 60 // STEP_S)

    @property
    def sent(self) -> list[str]:
        """Client ids of the orders that have left us, in order, repeated ones repeated."""
        return [seen.client_order_id for seen in self.stand.proxy.arrived if seen.method == "POST"]

    def until_sent(self, count: int = 1) -> str:
        """Step until an order has left us; returns its id."""
        while len(self.sent) < count:
            assert self.stand.time.seconds < 3600, "the model wants no order"
            self.step()
        return self.sent[count - 1]

    def check(self) -> None:
        """No order was sent twice, and our books are those of the venue."""
        ledger = self.session.desk.ledger
        assert len(set(self.sent)) == len(self.sent)
        assert all(self.stand.proxy.posts_of(order_id) <= 1 for order_id in self.sent)
        assert ledger.balance_home == self.stand.balance()
        assert {name: ledger.units(name) for name in ledger.held} == self.stand.units()
        assert ledger.last_transaction_id == self.stand.last_id()

    def status(self, order_id: str) -> tuple[str, str]:
        """What the journal says of an order: where it stands, and why."""
        self.session.commit()
        conn = queries.connect_readonly(self.store.path)
        (found,) = [row for row in queries.orders(conn, 1) if row.client_order_id == order_id]
        conn.close()
        return found.status, found.detail

    def decided(self) -> list[tuple[str, int]]:
        """Instrument and start of each bar that was decided on, in the order of the journal."""
        self.session.commit()
        conn = queries.connect_readonly(self.store.path)
        found = conn.execute("SELECT instrument, bar_ts_ns FROM decisions ORDER BY seq").fetchall()
        conn.close()
        return [(row[0], row[1]) for row in found]


@pytest.fixture
def secrecy(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After the test: the token stands in no log record and in no byte of the journal."""
    monkeypatch.setattr(logging.getLogger("engine"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "engine")
    yield
    records = caplog.get_records("call")
    assert records, "nothing was logged, so nothing was checked"
    assert [record for record in records if TOKEN in f"{record.getMessage()} {record.__dict__}"] == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if TOKEN.encode() in path.read_bytes()] == []


@pytest.fixture
def stage(tmp_path: Path, secrecy: None) -> Iterator["Stage"]:
    with ExitStack() as opened:
        yield Stage(opened, tmp_path)


class Stage:
    """Puts plays on; everything is taken down after the test."""

    def __init__(self, opened: ExitStack, folder: Path) -> None:
        self._opened = opened
        self._folder = folder

    def play(
        self,
        deadlines: Deadlines = PATIENT,
        time: HandTime | None = None,
        instruments: tuple[str, ...] = INSTRUMENTS,
    ) -> Play:
        """Start a session before a venue."""
        stand = self._opened.enter_context(standing(time, seed=SEED))
        store = open_journal(self._folder / "keel.sqlite", wall_ns=lambda: 1)
        self._opened.callback(store.close)
        desk = self._opened.enter_context(stand.desk(deadlines))
        config = SessionConfig(
            mode=Mode.PRACTICE, instruments=instruments, limits=LIMITS, model_id="sma-cross:2/3", speed=1.0
        )
        clock = HandClock(stand.time)
        session = TradingSession(
            SessionParts(
                config=config,
                clock=clock,
                market_data=desk.market_data("USD", clock.now_ns, 1.0),
                broker=desk.broker,
                predictor=ModelRegistry(self._folder / "models").load(config.model_id),
                journal=store.begin_run(),
                kill=Latch(),
                instruments=desk.broker.instruments(),
                engine_version="test",
            )
        )
        session.step()
        return Play(stand, session, store)


def rewritten(old: bytes, new: bytes) -> Rewrite:
    """Change some words of an answer, and be sure that they were there."""

    def change(body: bytes) -> bytes:
        assert old in body
        return body.replace(old, new, 1)

    return Rewrite(change=change)


ANSWER_LOST: list[Fault] = [
    ResetAfter(),
    ResetAfter(reset=False),
    CutBody(after_bytes=40),
    CutBody(after_bytes=40, reset=False),
    CutChunk(),
    Replace(status=200, reaches_target=True, **HTML),
    Replace(status=404, reaches_target=True, **HTML),
    Replace(status=404, body=NO_SUCH_ORDER, reaches_target=True),
    Replace(status=429, body=b"", reaches_target=True),
    Replace(status=500, body=b'{"errorMessage": "sorry"}', reaches_target=True),
    Replace(status=502, reaches_target=True, **HTML),
    Replace(status=504, body=b"Timeout waiting for response.", content_type="text/plain", reaches_target=True),
    rewritten(b'"ORDER_FILL"', b'"ORDER_FULL"'),
    rewritten(b'"accountBalance":"', b'"accountBalance":"NaN'),
    rewritten(b'{"order', b'{"lastTransactionID":"9","order'),
]


def test_an_order_whose_answer_is_lost_is_settled_from_the_log(stage: Stage) -> None:
    play = stage.play(instruments=("EUR_USD",))
    for number, fault in enumerate(ANSWER_LOST, 1):
        play.stand.proxy.inject(fault, method="POST", path="/orders$")
        order_id = play.until_sent(number)
        (order,) = play.session.desk.orders.open_orders
        assert (order.intent.client_order_id, order.status) == (order_id, "UNRESOLVED"), fault
        assert TOKEN not in order.detail
        play.step()
        assert play.session.desk.orders.open_orders == (), fault
        assert play.status(order_id)[0] == "FILLED", fault
        assert play.stand.proxy.posts_of(order_id) == 1
        play.check()
    assert len(play.sent) == len(ANSWER_LOST)


ORDER_LOST: list[Fault] = [
    ResetBefore(),
    Replace(status=429, **HTML),
    Replace(status=500, body=b"{}"),
    Replace(status=503, **HTML),
    Replace(status=200, **HTML),
    Replace(status=404, body=NO_SUCH_ORDER),
]


@pytest.mark.parametrize("fault", ORDER_LOST, ids=name_of)
def test_an_order_that_may_not_have_arrived_is_never_sent_again(stage: Stage, fault: Fault) -> None:
    play = stage.play()
    play.stand.proxy.inject(fault, method="POST", path="/orders$")
    order_id = play.until_sent()
    lost = play.session.desk.orders.open_orders[0]
    assert (lost.intent.client_order_id, lost.status) == (order_id, "UNRESOLVED")
    play.step(GRACE_S // STEP_S)
    assert play.session.desk.orders.reserved_units(lost.intent.instrument) == abs(lost.intent.units)
    assert TOKEN not in play.status(order_id)[1]
    play.minutes(5)
    assert play.sent.count(order_id) == 1
    assert play.stand.proxy.posts_of(order_id) == 0
    assert play.status(order_id) == ("EXPIRED", GONE)
    play.check()


def test_the_next_signal_after_an_order_that_never_arrived_trades(stage: Stage) -> None:
    play = stage.play(instruments=("EUR_USD",))
    play.stand.proxy.inject(ResetBefore(), method="POST", path="/orders$")
    first = play.until_sent()
    second = play.until_sent(2)
    assert play.status(first) == ("EXPIRED", GONE) and play.status(second)[0] == "FILLED"
    assert play.session.desk.panel.trips == ()
    play.check()


def test_an_order_stays_unresolved_while_the_log_cannot_be_read(stage: Stage) -> None:
    play, mended = stage.play(instruments=("EUR_USD",)), threading.Event()

    def broken(body: bytes) -> bytes:
        return body if mended.is_set() else b"<html>"

    play.stand.proxy.inject(ResetBefore(), method="POST", path="/orders$")
    order_id = play.until_sent()
    play.stand.proxy.inject(Rewrite(change=broken), path="sinceid", times=None)
    play.minutes(5)
    desk = play.session.desk
    (lost,) = desk.orders.open_orders
    assert (lost.status, desk.state) == ("UNRESOLVED", SessionState.DEGRADED)
    assert desk.orders.reserved_units("EUR_USD") == abs(lost.intent.units)
    mended.set()
    while desk.state is SessionState.DEGRADED:
        play.step()
    assert play.status(order_id) == ("EXPIRED", GONE)
    assert play.stand.proxy.posts_of(order_id) == 0
    play.check()


def test_an_order_that_arrives_after_it_expired_is_adopted_and_stops_entries(stage: Stage) -> None:
    gate = threading.Event()
    play = stage.play(IMPATIENT, instruments=("EUR_USD",))
    play.stand.proxy.inject(Hold(gate=gate), method="POST", path="/orders$")
    order_id = play.until_sent()
    play.step(GRACE_S // STEP_S + 1)
    desk = play.session.desk
    assert play.status(order_id) == ("EXPIRED", GONE) and desk.orders.idle
    assert desk.trading_state is TradingState.ACTIVE and desk.ledger.flat
    before = play.stand.last_id()
    gate.set()
    play.stand.wait_for_transactions_after(before)
    play.step()
    assert play.status(order_id)[0] == "FILLED"
    assert (desk.trading_state, desk.state_reason) == (TradingState.REDUCING, "breaker late_fill")
    assert desk.ledger.held == ("EUR_USD",) and play.stand.proxy.posts_of(order_id) == 1
    play.check()
    play.minutes(20)
    actions = [one.action for one in desk.decisions if one.client_order_id]
    assert actions == ["enter", "exit"]
    assert "denied" in [one.action for one in desk.decisions]
    play.check()
    play.session.step([AcknowledgeBreaker(command_id="a", breaker="late_fill", reason="looked at the account")])
    play.until_sent(3)
    assert desk.decisions[-1].action == "enter" and desk.trading_state is TradingState.ACTIVE
    play.check()


def test_an_order_that_arrives_after_we_stopped_waiting_is_adopted(stage: Stage) -> None:
    gate = threading.Event()
    play = stage.play(IMPATIENT)
    play.stand.proxy.inject(Hold(gate=gate), method="POST", path="/orders$")
    order_id = play.until_sent()
    play.step(3)
    assert play.stand.proxy.posts_of(order_id) == 0
    assert play.session.desk.orders.open_orders[0].status == "UNRESOLVED"
    before = play.stand.last_id()
    gate.set()
    play.stand.wait_for_transactions_after(before)
    play.step()
    assert play.status(order_id)[0] == "FILLED"
    play.check()


def test_an_answer_that_drips_is_given_up_and_the_order_settled(stage: Stage) -> None:
    time = HastyTime()
    play = stage.play(Deadlines(), time)
    play.stand.proxy.inject(Drip(step_s=0.001), method="POST", path="/orders$")
    while not play.sent:
        time.pass_by(STEP_S)
        time.per_look_s = 0.1
        play.session.step()
        time.per_look_s = 0.0
    assert play.session.desk.orders.open_orders[0].detail == "no whole answer within 10 s"
    play.step()
    assert play.status(play.sent[0])[0] == "FILLED"
    play.check()


@pytest.mark.parametrize(
    ("of", "status"), [("order", 401), ("order", 403), ("log", 401), ("bars", 401), ("prices", 403)]
)
def test_a_refused_key_ends_the_session_with_one_sentence(stage: Stage, status: int, of: str) -> None:
    play = stage.play()
    place = {"order": "/orders$", "log": "sinceid", "bars": "candles", "prices": "pricing"}[of]
    play.minutes(1)
    refusal = json.dumps({"errorMessage": f"Insufficient authorization: {TOKEN}"}).encode()
    play.stand.proxy.inject(Replace(status=status, body=refusal), path=place, times=None)
    with pytest.raises(HaltTrading) as halted:
        play.until_sent(2)
    text = str(halted.value)
    assert f"HTTP {status}" in text and "the key or the account is wrong" in text
    assert text.endswith(".") and ". " not in text and TOKEN not in text
    asked = len(play.stand.proxy.arrived)
    play.session.fault("session", text)
    assert play.session.desk.state is SessionState.FAULTED
    assert len(play.stand.proxy.arrived) == asked
    assert play.stand.units() == {}


@pytest.mark.parametrize("status", [400, 405])
def test_an_order_that_is_not_understood_ends_the_session(stage: Stage, status: int) -> None:
    play = stage.play()
    body = json.dumps({"errorMessage": f"Invalid value for {TOKEN}"}).encode()
    play.stand.proxy.inject(Replace(status=status, body=body), method="POST")
    with pytest.raises(HaltTrading) as halted:
        play.until_sent(2)
    assert "did not understand an order" in str(halted.value) and TOKEN not in str(halted.value)
    assert len(play.sent) == 1


OUTAGES: list[Fault] = [
    ResetBefore(),
    ResetAfter(),
    ResetAfter(reset=False),
    CutBody(after_bytes=20),
    CutChunk(),
    Replace(status=200, **HTML),
    Replace(status=429),
    Replace(status=503, **HTML),
    rewritten(b"{", b'{"x":NaN,'),
]


@pytest.mark.parametrize("place", ["candles", "pricing", "sinceid"])
def test_what_cannot_be_read_degrades_and_passes(stage: Stage, place: str) -> None:
    play = stage.play()
    play.minutes(2)
    desk = play.session.desk
    for fault in OUTAGES:
        play.stand.proxy.inject(fault, method="GET", path=place, times=3)
        for _ in range(8):
            play.step()
            if desk.state is SessionState.DEGRADED:
                break
        assert desk.reason.startswith("OANDA cannot be read: ") and desk.reason.endswith("."), fault
        assert TOKEN not in desk.reason
        while desk.state is SessionState.DEGRADED:
            play.step()
        assert (desk.state, desk.reason) == (SessionState.RUNNING, "")
        play.step(2)
        play.check()
    play.minutes(2)
    decided = play.decided()
    assert len(set(decided)) == len(decided)
    starts = range(decided[0][1], play.stand.now_ns() - MINUTE_NS + 1, MINUTE_NS)
    assert set(decided) == {(name, start) for name in INSTRUMENTS for start in starts}


def test_a_line_that_is_down_for_minutes_degrades_and_passes_without_a_bar_lost(stage: Stage) -> None:
    play = stage.play()
    play.until_sent()
    play.step()
    sent = len(play.sent)
    with play.stand.proxy.refusing():
        play.minutes(3)
        assert play.session.desk.state is SessionState.DEGRADED
        assert play.session.desk.reason == "OANDA cannot be read: the connection was refused."
    assert len(play.sent) == sent
    play.minutes(1)
    assert play.session.desk.state is SessionState.RUNNING
    play.check()
    decided = play.decided()
    for name in INSTRUMENTS:
        late = (name, "a newer bar has closed")
        starts = [start for found, start in decided if found == name]
        assert starts == list(range(starts[0], starts[-1] + 1, MINUTE_NS))
        passed_over = [one.bar_ts_ns for one in play.session.desk.decisions if (one.instrument, one.reason) == late]
        assert len(passed_over) >= 2 and passed_over[-1] < starts[-1]
        assert starts[-1] == play.stand.now_ns() // MINUTE_NS * MINUTE_NS - MINUTE_NS


def test_a_log_that_lags_behind_an_order_settles_it_later(stage: Stage) -> None:
    """OANDA's reads may be half a second behind its writes (PROTOCOL section 7.5): absent is not "not executed"."""
    play, caught_up = stage.play(), threading.Event()

    def behind(body: bytes) -> bytes:
        page = json.loads(body)
        if caught_up.is_set() or not page["transactions"]:
            return body
        before = int(page["transactions"][0]["id"]) - 1
        return json.dumps({"transactions": [], "lastTransactionID": str(before)}).encode()

    play.stand.proxy.inject(Rewrite(change=behind), path="sinceid", times=None)
    order_id = play.until_sent()
    play.step()
    assert play.session.desk.orders.open_orders[0].intent.client_order_id == order_id
    caught_up.set()
    play.step()
    assert play.status(order_id)[0] == "FILLED"
    play.check()


def test_a_hole_in_the_log_is_asked_for_again_and_never_skipped(stage: Stage) -> None:
    play, whole = stage.play(), threading.Event()

    def holed(body: bytes) -> bytes:
        page = json.loads(body)
        if not whole.is_set() and len(page["transactions"]) > 1:
            del page["transactions"][0]
        return json.dumps(page).encode()

    play.stand.proxy.inject(Rewrite(change=holed), path="sinceid", times=None)
    order_id = play.until_sent()
    play.step()
    assert play.session.desk.state is SessionState.DEGRADED
    assert play.session.desk.ledger.flat
    whole.set()
    play.step()
    assert play.session.desk.state is SessionState.RUNNING
    assert play.status(order_id)[0] == "FILLED"
    play.check()
