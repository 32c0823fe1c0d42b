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
MARGIN = "Margin use, % of equity"


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
    expect(main.get_by_text(f"type {LOOSEN} to confirm that").first).to_be_visible(timeout=SLOW_MS)
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


def editing(browser: Browser, console: Console) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-GB", timezone_id="UTC")
    page.goto(console.url + "/risk")
    main = page.get_by_test_id("stMain")
    parts, before = main.get_by_test_id("stButtonGroup"), main.get_by_text("Default limits")
    expect(before.or_(parts)).to_be_visible(timeout=SLOW_MS)
    if before.is_visible():
        page.get_by_test_id("stSidebar").get_by_role("button", name="Start").click()
    expect(parts).to_be_visible(timeout=SLOW_MS)
    choose(page, "Change limits")
    expect(page.get_by_label(MARGIN, exact=True)).to_be_visible(timeout=SLOW_MS)
    return page


def test_what_is_taken_back_is_gone_at_once_and_what_is_typed_next_stays(browser: Browser, console: Console) -> None:
    page = editing(browser, console)
    main, box = page.get_by_test_id("stMain"), page.get_by_label(MARGIN, exact=True)
    typed(page, MARGIN, "30")
    main.get_by_role("button", name="Take everything back").click()
    expect(box.first).to_have_value("50", timeout=5_000)
    expect(box).to_have_count(1)  # the old input is taken away a moment later
    typed(page, MARGIN, "35")
    expect(main.get_by_text("tightens")).to_be_visible(timeout=SLOW_MS)
    refreshed(page)
    expect(box).to_have_value("35")
    page.close()


def test_what_would_change_stays_beside_the_input_that_is_typed_into(browser: Browser, console: Console) -> None:
    page = editing(browser, console)
    main = page.get_by_test_id("stMain")
    for name in ("Stops", "Hours", "Breakers"):
        main.get_by_text(name, exact=True).last.click()
    typed(page, "Daily loss, % of equity", "2")
    expect(page.get_by_label("Daily loss, % of equity", exact=True)).to_be_in_viewport()
    expect(main.get_by_text("tightens")).to_be_in_viewport(timeout=SLOW_MS)
    expect(main.get_by_role("cell", name="Daily loss, % of equity")).to_be_visible()
    page.close()


def test_an_open_question_follows_what_another_browser_changed(browser: Browser, console: Console) -> None:
    first, second = editing(browser, console), editing(browser, console)
    typed(first, MARGIN, "70")
    first.get_by_role("button", name="Loosen ...").click()
    question = first.get_by_role("dialog")
    expect(question.get_by_role("cell", name="50", exact=True)).to_be_visible(timeout=SLOW_MS)
    words = question.get_by_label(f"Type {LOOSEN} to confirm")
    words.press_sequentially(LOOSEN[:6])
    refreshed(first)  # the question is drawn again each second
    refreshed(first)
    expect(words).to_have_value(LOOSEN[:6])

    typed(second, MARGIN, "20")
    second.get_by_role("button", name="Apply").click()
    expect(question.get_by_text("The page was out of date")).to_be_visible(timeout=SLOW_MS)
    expect(question.get_by_role("cell", name="20", exact=True)).to_be_visible()
    expect(words).to_have_count(1, timeout=SLOW_MS)  # the field of the question before may stand for a moment
    expect(words).to_have_value("")
    typed(first, f"Type {LOOSEN} to confirm", LOOSEN)
    question.get_by_role("button", name="Loosen limits").click()
    expect(first.get_by_text("Margin use from 20 to 70").first).to_be_visible(timeout=SLOW_MS)
    first.close()
    second.close()


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
