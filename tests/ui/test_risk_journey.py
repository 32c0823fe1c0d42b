"""The risk page in a real browser: tighten a limit, be refused to loosen one, ask what if, use a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.domain.command import LOOSEN
from pages.risk import PARTS
from tests.ui.server import Console, start_console

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SLOW_MS = 30_000


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    started = start_console(tmp_path)
    yield started
    started.stop()
    assert "Traceback" not in started.log, started.log


def choose(page: Page, name: str) -> None:
    page.get_by_test_id("stMain").get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()


def refreshed(page: Page) -> None:
    """Wait until the page has drawn a later moment of the market."""
    bar = page.locator(".st-key-keel-status")
    expect(bar).not_to_have_text(bar.inner_text(), timeout=SLOW_MS)


def typed(page: Page, label: str, value: str) -> None:
    box = page.get_by_label(label, exact=True)
    box.fill(value)
    box.press("Enter")


def test_limits_are_tightened_kept_and_not_loosened_by_a_click(browser: Browser, console: Console) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-GB", timezone_id="UTC")
    page.goto(console.url + "/risk")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("Default limits")).to_be_visible(timeout=SLOW_MS)
    page.get_by_test_id("stSidebar").get_by_role("button", name="Start").click()
    expect(page.get_by_text("RUNNING").first).to_be_visible(timeout=SLOW_MS)

    choose(page, "Change limits")
    typed(page, "Margin use, % of equity", "30")
    expect(main.get_by_text("tightens")).to_be_visible(timeout=SLOW_MS)
    for _ in range(2):
        refreshed(page)  # what was typed must outlive it
    expect(page.get_by_label("Margin use, % of equity", exact=True)).to_have_value("30")
    main.get_by_role("button", name="Apply").click()
    expect(main.get_by_text("Margin use from 50 to 30")).to_be_visible(timeout=SLOW_MS)
    choose(page, "Limits")
    expect(main.get_by_text("of 30 %,").first).to_be_visible(timeout=SLOW_MS)

    choose(page, "Change limits")
    typed(page, "Margin use, % of equity", "60")
    main.get_by_role("button", name="Loosen ...").click()
    question = page.get_by_role("dialog")
    expect(question.get_by_text("Less strict from then on")).to_be_visible(timeout=SLOW_MS)
    question.get_by_role("button", name="Loosen limits").click()
    expect(main.get_by_text(f"type {LOOSEN} to confirm that")).to_be_visible(timeout=SLOW_MS)
    expect(main.get_by_text("of 30 %,").first).to_be_visible()
    main.get_by_role("button", name="Loosen ...").click()
    typed(page, f"Type {LOOSEN} to confirm", LOOSEN)
    question.get_by_role("button", name="Loosen limits").click()
    expect(main.get_by_text("of 60 %,").first).to_be_visible(timeout=SLOW_MS)

    choose(page, "What if")
    main.get_by_role("button", name="Would this pass?").click()
    expect(main.get_by_text("nothing was sent.")).to_be_visible(timeout=SLOW_MS)
    expect(main.get_by_text("trading state")).to_be_visible()
    page.close()
    on_a_phone(browser, console)


def on_a_phone(browser: Browser, console: Console) -> None:
    """No part of the page needs to be moved sideways, and the panic button is there."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(console.url + "/risk")
    expect(page.get_by_text("If all stops hit").last).to_be_visible(timeout=SLOW_MS)
    for name in PARTS:
        choose(page, name)
        refreshed(page)
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"), name
        expect(page.get_by_role("button", name="Flatten").last).to_be_visible()
    page.close()
