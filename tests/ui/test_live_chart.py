"""The live chart and the panic button in a real browser: what no AppTest can see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.server import Console, start_console, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PLOT = "document.querySelector('.keel-plot')"
RANGE = f"JSON.stringify({PLOT}._fullLayout.xaxis.range)"


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The overview of a running sandbox session, its candles drawn."""
    console: Console = start_console(tmp_path)
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    try:
        opened.goto(console.url)
        opened.get_by_test_id("stSidebar").get_by_role("button", name="Start").click()
        expect(opened.locator(".keel-plot .main-svg").first).to_be_visible(timeout=60_000)
        yield opened
        opened.close()
        assert errors == []
    finally:
        console.stop()


def redrawn(page: Page, times: int) -> None:
    """Wait until the candles were drawn anew this many times."""
    for _ in range(times):
        known = page.evaluate(f"{PLOT}.keelDrawn")
        wait_for("a new drawing of the candles", lambda known=known: page.evaluate(f"{PLOT}.keelDrawn") != known, 60)


def test_zoom_and_plot_are_kept_while_new_bars_arrive(page: Page) -> None:
    box = page.locator(".keel-plot").first.bounding_box()
    assert box is not None
    whole = page.evaluate(RANGE)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    wait_for("the zoom", lambda: page.evaluate(RANGE) != whole)
    redrawn(page, 1)
    page.evaluate(f"{PLOT}.theSamePlot = true")
    zoomed = page.evaluate(RANGE)
    redrawn(page, 3)
    assert page.evaluate(RANGE) == zoomed
    assert page.evaluate(f"{PLOT}.theSamePlot") is True


def test_a_change_of_theme_recolours_the_chart(page: Page) -> None:
    labels = f"getComputedStyle({PLOT}.querySelector('.ytick text')).fill"
    text = "getComputedStyle(document.querySelector('.stApp')).color"
    seen = set()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        wait_for(f"{scheme} labels", lambda: page.evaluate(text) not in seen)
        wait_for(f"{scheme} labels", lambda: page.evaluate(labels) == page.evaluate(text))
        seen.add(page.evaluate(text))


@pytest.mark.parametrize("link", ["Overview", "Session", "Trades"])
def test_the_panic_shortcut_asks_once_and_halts_on_every_page(page: Page, link: str) -> None:
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_role("link", name=link).click()
    expect(sidebar.get_by_role("button", name="Pause entries")).to_be_visible(timeout=30_000)
    page.keyboard.press("Control+Shift+X")
    page.get_by_role("button", name="Flatten & halt now").click()
    expect(sidebar.get_by_text("HALTED").first).to_be_visible(timeout=30_000)
    expect(sidebar.get_by_role("button", name="Resume trading")).to_be_visible()
