"""What every test of the console starts from: a real engine of its own, and the shell drawn around it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from streamlit.testing.v1 import AppTest

from engine.node import TradingNode
from tests.ui.console import PATIENCE_S
from tests.ui.console import node as node
from tests.ui.server import CHROMIUM_FLAGS

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, one per file of tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield launched
        launched.close()
