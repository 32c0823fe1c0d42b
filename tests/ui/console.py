"""A real engine on a folder of its own, and what tests of the page bodies need to look at it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from streamlit.testing.v1 import AppTest

from engine.domain.command import Command
from engine.node import TradingNode
from engine.snapshot import Snapshot

PATIENCE_S = 30.0
SHELL = Path(__file__).resolve().parents[2] / "pages" / "shell.py"
HEADER = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingNode]:
    """A node on an empty data folder; it is stopped when the test ends."""
    with owned(tmp_path, monkeypatch) as made:
        yield made


@contextmanager
def owned(folder: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[TradingNode]:
    """Make a node with these settings on an empty data folder, and stop it in the end."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KEEL_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("KEEL_MODELS_DIR", str(folder / "models"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (folder / "models").mkdir()
    made = TradingNode.attach()
    try:
        yield made
    finally:
        assert made.stop(PATIENCE_S)


def wait_for(node: TradingNode, condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Return the first snapshot that fulfils the condition; fails after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition(node.snapshot):
        assert time.monotonic() < deadline, f"never came: last was {node.snapshot.session_state} {node.snapshot.reason}"
        time.sleep(0.02)
    return node.snapshot


def order(node: TradingNode, command: Command) -> Snapshot:
    """Send a command and wait until it is answered with a yes."""
    assert node.submit(command) is None
    shot = wait_for(node, lambda snapshot: any(item.command_id == command.command_id for item in snapshot.verdicts))
    verdict = next(item for item in shot.verdicts if item.command_id == command.command_id)
    assert verdict.accepted, verdict.detail
    return shot


def show(node: TradingNode, **changes: object) -> None:
    """Let the idle node show a state that a real one passes through too fast to look at."""
    assert not node.snapshot.active
    node._snapshot = replace(node.snapshot, revision=node.snapshot.revision + 1, **changes)


def opened(page: str) -> AppTest:
    """Run the body of one page."""
    app = AppTest.from_string(f"from pages import {page}\n{page}.render()", default_timeout=PATIENCE_S)
    app.run()
    assert not app.exception
    return app


def open_shell() -> AppTest:
    """Open another browser tab: the whole console with its frame, on the overview."""
    app = AppTest.from_file(str(SHELL), default_timeout=PATIENCE_S)
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    """Everything that stands on the page as text, one piece a line."""
    kinds = (app.markdown, app.caption, app.info, app.success, app.warning, app.error, app.subheader)
    return "\n".join(element.value.replace("\\", "") for kind in kinds for element in kind)


def write_bars(path: Path, count: int = 200) -> Path:
    """Write a recording of M1 bars that swings up and down, so that averages cross."""
    lines = [HEADER]
    for index in range(count):
        swing = index % 40
        price = Decimal("1.10000") + Decimal(swing if swing < 20 else 40 - swing) / 2_000
        bid, ask = f"{price:.5f}", f"{price + Decimal('0.0001'):.5f}"
        moment = f"2014-05-01T{index // 60:02d}:{index % 60:02d}:00Z"
        lines.append(f"{moment},{bid},{bid},{bid},{bid},{ask},{ask},{ask},{ask}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path
