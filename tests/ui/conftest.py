"""What every test of the console starts from: a real engine of its own, and the shell drawn around it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.node import TradingNode
from tests.ui.console import PATIENCE_S
from tests.ui.console import node as node

SHELL = Path(__file__).resolve().parents[2] / "pages" / "shell.py"


@pytest.fixture
def shell(node: TradingNode) -> Callable[[], AppTest]:
    """Open another browser tab: the whole console with its frame, on the overview."""

    def open_tab() -> AppTest:
        app = AppTest.from_file(str(SHELL), default_timeout=PATIENCE_S)
        app.run()
        assert not app.exception
        return app

    return open_tab
