"""A practice account in a real browser: locked, unlocked, started, flattened and stopped on a venue on loopback."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes.venue import ACCOUNT, TOKEN
from tests.ui.oanda import settings_of
from tests.ui.oanda import venue as venue
from tests.ui.server import Console, start_console, wait_for
from tests.ui.test_journey import count, sidebar

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SLOW_MS = 30_000
FIRST_TRADE_S = 90


@pytest.fixture
def console(venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    for name, value in settings_of(venue).items():
        monkeypatch.setenv(name, value)
    started = start_console(tmp_path)
    yield started
    started.stop()
    assert "Traceback" not in started.log, started.log
    assert TOKEN not in started.log


def code_of(console: Console) -> str:
    """The unlock code as it stands on the terminal."""
    found = re.search(r"Unlock code of this console, for trading at OANDA: (\S+)", console.log)
    assert found, console.log
    return found[1]


def badge(page: Page, words: str) -> None:
    """Wait until the bar at the bottom shows this state."""
    bar = page.locator(".st-key-keel-status")
    expect(bar.get_by_text(re.compile(rf"{words}$")).first).to_be_visible(timeout=SLOW_MS)


def unlock(page: Page, code: str) -> None:
    """Type a code into the field on the page and press Enter."""
    field = page.get_by_test_id("stMain").get_by_label("Unlock code", exact=True)
    expect(field).to_be_visible(timeout=SLOW_MS)
    field.fill(code)
    field.press("Enter")


def test_a_practice_session_by_hand(browser: Browser, console: Console) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-GB", timezone_id="UTC")
    page.goto(f"{console.url}/session")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("1 · Market")).to_be_visible(timeout=SLOW_MS)
    main.get_by_text("Practice", exact=True).click()
    expect(main.get_by_text("•••• 7001")).to_be_visible(timeout=SLOW_MS)

    unlock(page, "AAAA-AAAA")
    expect(main.get_by_text("This is not the code")).to_be_visible(timeout=SLOW_MS)
    unlock(page, code_of(console))
    start = main.get_by_role("button", name="Start session")
    expect(start).to_be_enabled(timeout=SLOW_MS)
    start.click()
    badge(page, "RUNNING")
    badge(page, "PRACTICE")
    wait_for("a trade", lambda: count(console, "SELECT count(*) FROM trades") > 0, FIRST_TRADE_S)

    other = browser.new_page(viewport={"width": 390, "height": 844})
    other.goto(f"{console.url}/session")
    expect(other.get_by_role("button", name="Halt: send nothing more").last).to_be_visible(timeout=SLOW_MS)
    expect(other.get_by_test_id("stMain").get_by_label("Unlock code", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(other.get_by_role("button", name="Stop session")).to_have_count(0)
    assert not other.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
    unlock(other, code_of(console))
    expect(other.get_by_role("button", name="Stop session")).to_be_visible(timeout=SLOW_MS)
    other.close()

    page.keyboard.press("Control+Shift+X")
    page.get_by_role("button", name="Flatten & halt now").click()
    badge(page, "HALTED")
    wait_for("a flat account", lambda: count(console, "SELECT count(*) FROM trades WHERE state = 'OPEN'") == 0)
    sidebar(page).get_by_role("button", name="Stop", exact=True).click()
    badge(page, "STOPPED")
    assert count(console, "SELECT count(*) FROM runs WHERE status = 'STOPPED' AND mode = 'practice'") == 1
    assert ACCOUNT not in page.content()
    page.close()
