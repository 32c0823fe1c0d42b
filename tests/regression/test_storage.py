"""Records that an earlier bot lost: fills without a row, and audit lines that no handler took."""

import ast
import dataclasses
import io
import logging
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest

from engine.config import Settings, configure_logging
from engine.domain.command import Mode, SessionConfig, StartSession
from engine.domain.error import HaltTrading
from engine.domain.order import OrderIntent
from engine.node import TradingNode
from engine.redaction import Secret
from tests.fakes.failing_disk import failing_connections
from tests.fakes.venue import TOKEN
from tests.regression.practice import LIMITS, Model, practising
from tests.unit.adapters.oanda.stand import Stand
from tests.unit.session.kept import House
from tests.unit.session.rig import bar

ROOT = Path(__file__).resolve().parents[2]


def test_db_error_degrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write error was swallowed: a fill without a record, and trading went on."""
    disk = failing_connections(monkeypatch)
    house = House(tmp_path, [[bar(index, Decimal("1.1")) for index in range(40)]], {8: 1, 12: -1, 16: 1})

    def break_disk(intent: OrderIntent) -> None:
        disk.left = 0

    house.broker.on_submit = break_disk
    with pytest.raises(HaltTrading, match=r"made\.sqlite"):
        house.steps(10)
        house.session.commit()
    with pytest.raises(HaltTrading):
        house.steps(10)
        house.session.commit()
    assert len(house.broker.submitted) == 1, "what cannot be recorded is not sent"
    disk.left = None
    house.broker.on_submit = lambda intent: None
    house.restart()
    house.check()
    (sent,) = house.broker.submitted
    assert house.rows("SELECT client_order_id FROM fills") == [(sent.client_order_id,)]
    assert house.rows("SELECT client_order_id, state FROM trades") == [(sent.client_order_id, "OPEN")]
    house.close()


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """The stream that the log is configured to; the logger is as it was when the test ends."""
    logger = logging.getLogger("engine")
    before = list(logger.handlers), logger.level, logger.propagate
    stream = io.StringIO()
    configure_logging("INFO", stream, secrets=(Secret(TOKEN),))
    yield stream
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def loggers() -> set[str]:
    """Every name that the engine and the console ask a logger by, but for others' that get a filter."""
    found = set()
    for path in (*(ROOT / "engine").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        filtered = [each.value for each in nodes if isinstance(each, ast.Attribute) and each.attr == "addFilter"]
        for node in nodes:
            if node in filtered:
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger":
                (name,) = node.args
                found.add(name.value if isinstance(name, ast.Constant) else "__name__")
    return found


def test_order_log_reaches_file(new_stand: Stand, tmp_path: Path, heard: io.StringIO) -> None:
    """One logger had a handler; what risk, orders, positions and database logged of an order went nowhere."""
    limits = dataclasses.replace(LIMITS, daily_loss_pct_max=Decimal("0.1"))
    with practising(new_stand, tmp_path, Model(1), limits=limits, streams=True) as practice:
        until(practice.oanda.broker.is_streaming)
        practice.until(practice.units)
        (trade,) = practice.desk.ledger.open_trades
        price = trade.price - Decimal("0.0030")
        practice.by_hand = str(price), str(price + Decimal("0.0001"))
        practice.until(lambda: practice.desk.panel.tripped)
        new_stand.proxy.drop_connections()
        until(lambda: "subsystem=oanda" in heard.getvalue())
        practice.session.stop("the test is over")
        told = [kind for (kind,) in practice.rows("SELECT kind FROM events WHERE client_order_id <> '' ORDER BY seq")]
        assert told == ["DecisionMade", "OrderInitialized", "BrokerOrderCreated", "OrderFilled"], (
            "each step of an order is on disk"
        )
    node_with_a_trouble(tmp_path / "data")
    tags = re.findall(r"^\S+Z (INFO|WARNING) +subsystem=(\w+) \S", heard.getvalue(), re.M)
    assert {("INFO", "session"), ("INFO", "orders")} <= set(tags)
    assert {("WARNING", "risk"), ("WARNING", "oanda"), ("WARNING", "node")} <= set(tags)
    assert TOKEN not in heard.getvalue()
    assert loggers() and all(name.startswith("engine") for name in loggers()), "below the one that has a handler"


def until(truth: Callable[[], object]) -> None:
    """Wait for what a stream is about to bring."""
    for _ in range(2_000):
        if truth():
            return
        Event().wait(0.005)
    raise AssertionError("it never came true")


def node_with_a_trouble(folder: Path) -> None:
    """Run a session in a node that cannot make the backup of the day."""
    folder.mkdir()
    (folder / "backups").write_text("in the way")
    node = TradingNode(Settings(data_dir=folder, models_dir=folder))
    try:
        config = SessionConfig(mode=Mode.SANDBOX, instruments=("EUR_USD",), model_id="flat", speed=None, duration_s=300)
        node.submit(StartSession(command_id="a", config=config))
        assert node.wait_until_idle(60)
    finally:
        assert node.stop(20)
