"""What every test of the console starts from: a real engine of its own, and the shell drawn around it."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from streamlit.testing.v1 import AppTest

from engine.node import TradingNode
from tests.ui.console import node as node
from tests.ui.console import open_shell
from tests.ui.server import CHROMIUM_FLAGS


@pytest.fixture
def shell(node: TradingNode) -> Callable[[], AppTest]:
    """Open another browser tab: the whole console with its frame, on the overview."""
    return open_shell


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
