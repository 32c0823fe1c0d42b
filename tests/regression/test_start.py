"""How an earlier bot began: on the live host, twice at once, on stale bars, and never when the market was busy."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.adapters.oanda.http import OandaHttp
from engine.config import Settings
from engine.domain.command import Arming, Mode, SessionConfig, StartSession, StopSession
from engine.domain.error import ConfigError
from engine.domain.event import SessionState
from engine.domain.limits import limits_by_hand
from engine.interlocks import arming_phrase
from engine.node import THREAD_NAME, TradingNode
from engine.redaction import Secret
from tests.fakes.venue import ACCOUNT, TOKEN
from tests.regression.practice import Model, practising
from tests.ui.console import node as node
from tests.ui.console import open_shell, wait_for
from tests.unit.adapters.oanda.stand import Stand
from tests.unit.session.faulty import FaultyBroker
from tests.unit.session.kept import House
from tests.unit.session.rig import LOOKBACK, bar

MINUTE_NS = 60 * 10**9
AT_ONCE = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="sma-cross:2/3", speed=86_400.0)
# Five seconds of this market take fifty: whoever waits for its next price waits longer than the test does.
SLOW = replace(AT_ONCE, speed=0.1)


def session_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@pytest.mark.parametrize("mode", [Mode.PRACTICE, Mode.PAPER, Mode.LIVE])
def test_practice_is_practice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """The live host was tried first whatever the settings said, so a live token traded live without a question."""
    asked: list[str] = []

    def unknown(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "the test has no internet")

    monkeypatch.setitem(OandaHttp.__init__.__kwdefaults__, "resolve", unknown)
    settings = Settings(
        data_dir=tmp_path, models_dir=tmp_path, oanda_environment="practice", live_trading=True,
        oanda_token=Secret(TOKEN), oanda_account_id=ACCOUNT,
    )  # fmt: skip
    config = SessionConfig(mode=mode, instruments=("EUR_USD",))
    armed = Arming(phrase=arming_phrase(ACCOUNT), limits_set=limits_by_hand())
    with pytest.raises(ConfigError):
        wiring.prepare(config, settings, armed)
    assert set(asked) == (set() if mode is Mode.LIVE else {"api-fxpractice.oanda.com"})


def test_two_tabs_one_engine(node: TradingNode) -> None:
    """Each browser tab made an engine of its own, with its own client, book and stream: orders were sent twice."""
    tabs = [open_shell(), open_shell()]
    assert [press(tab, "Start") for tab in tabs] == [None, None]
    wait_for(node, lambda shot: shot.session_state is SessionState.RUNNING and len(shot.verdicts) > 1)
    assert [verdict.accepted for verdict in node.snapshot.verdicts] == [True, False]
    third = open_shell()
    assert "Stop" in [item.label for item in third.sidebar.button]
    assert len(session_threads()) == 1 and TradingNode.attach() is node
    press(third, "Stop")
    assert node.wait_until_idle(20)
    tabs[0].run()
    press(tabs[0], "Start")
    wait_for(node, lambda shot: shot.session_state is SessionState.RUNNING and shot.run_id == 2)
    assert len(session_threads()) == 1
    with closing(sqlite3.connect(node.database_path)) as conn:
        assert conn.execute("SELECT status FROM runs ORDER BY run_id").fetchall() == [("STOPPED",), ("RUNNING",)]


def press(tab: AppTest, label: str) -> None:
    """Click a button of the sidebar."""
    (button,) = [item for item in tab.sidebar.button if item.label == label]
    button.click().run()
    assert not tab.exception


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[TradingNode]:
    made = TradingNode(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    yield made
    assert made.stop(20)


def test_stop_start_one_loop(own_node: TradingNode) -> None:
    """Stop forgot a thread that was still alive, asleep or in a request, and Start put a second loop beside it."""
    gate, inside = threading.Event(), threading.Event()
    prepared = wiring.prepare(AT_ONCE, own_node.settings)
    broker = FaultyBroker(prepared.broker)  # type: ignore[arg-type]
    broker.on_submit = lambda intent: (inside.set(), gate.wait(20))[0]
    own_node.submit(StartSession(command_id="a", config=AT_ONCE), replace(prepared, broker=broker))
    assert inside.wait(20), "an order is on its way and does not come back"
    try:
        assert not own_node.stop(0.05) and own_node.alive, "a stop that did not happen says so"
        with pytest.raises(ConfigError, match="in use by process"):
            TradingNode(own_node.settings)
        assert TradingNode.attach(own_node.settings) is own_node
        assert len(session_threads()) == 1
    finally:
        gate.set()
    assert own_node.stop(20) and session_threads() == []
    assert len(broker.submitted) == 1 and own_node.submit(StopSession(command_id="late")) is not None


def test_stop_start_one_loop_does_not_wait_for_a_bar(own_node: TradingNode) -> None:
    """The loop slept until its next bar whatever was asked of it meanwhile."""
    for number in (1, 2):
        own_node.submit(StartSession(command_id=f"start {number}", config=SLOW))
        wait_for(own_node, lambda shot: shot.session_state is SessionState.RUNNING)
        own_node.submit(StopSession(command_id=f"stop {number}"))
        assert own_node.wait_until_idle(20)
        assert (own_node.snapshot.session_state, own_node.snapshot.run_id) == (SessionState.STOPPED, number)
        assert len(session_threads()) == 1


def test_warmup_counts_complete(stand: Stand, tmp_path: Path) -> None:
    """It asked for as many candles as it needed and dropped the running one: in a busy market it never had enough."""
    stand.time.pass_by(37)
    with practising(stand, tmp_path, Model(lookback=400)) as practice:
        practice.session.step()
        assert practice.desk.state is SessionState.RUNNING
        window = practice.desk.windows["EUR_USD"]
        assert len(window) == 400
        assert window.close_ts_ns[-1] == stand.now_ns() - 37 * 10**9, "the newest closed one, not the running one"


def test_stale_buffer_rewarmed(tmp_path: Path) -> None:
    """Full buffers of an earlier session counted as ready: trading went on with hours of bars missing."""
    house = House(tmp_path, [[bar(index, Decimal("1.1")) for index in range(90)]], {})
    house.steps(10)
    house.crash()
    for _ in range(50):  # nobody of ours is there
        house.broker.inner.on_frame(house.source.pop())
    house.clock.wait_until(house.clock.now_ns() + 50 * MINUTE_NS, threading.Event())
    house.begin()
    window = house.session.desk.windows["EUR_USD"]
    newest_ns = house.source.history("EUR_USD", house.session.desk.config.granularity, 1)[-1].close_ts_ns
    assert window.close_ts_ns == [newest_ns - back * MINUTE_NS for back in reversed(range(LOOKBACK))]
    assert house.rows("SELECT count(*) FROM decisions WHERE run_id = 2") == [(0,)]
    house.step()
    assert house.rows("SELECT bar_ts_ns FROM decisions WHERE run_id = 2") == [(newest_ns,)]
    house.close()


def test_window_contiguous(stand: Stand, tmp_path: Path) -> None:
    """Only the newest bar was taken, one instrument after the other: what closed meanwhile left holes in the buffer."""
    names = ("EUR_USD", "USD_JPY", "GBP_USD")
    with practising(stand, tmp_path, Model(lookback=30), instruments=names) as practice:
        practice.step_s = 30.0
        practice.until_bars(3)
        with stand.proxy.refusing():
            for _ in range(14):
                practice.step()
            assert practice.desk.state is SessionState.DEGRADED
        practice.until_bars(3 * 9)
        for name in names:
            window = practice.desk.windows[name]
            assert window.close_ts_ns == [one.close_ts_ns for one in practice.data.history(name, 30)]
            assert {later - now for now, later in zip(window.close_ts_ns, window.close_ts_ns[1:], strict=False)} == {
                MINUTE_NS
            }
        bars = [(one.instrument, one.bar_ts_ns) for one in practice.desk.decisions]
        assert len(bars) == len(set(bars))
