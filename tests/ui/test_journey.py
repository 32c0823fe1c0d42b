"""The main journey in a real browser: start, trade, export, stop; and one engine whatever the tabs do."""

import csv
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.ui.server import ROOT, Console, start_console, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FIRST_TRADE_S = 120


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    started = start_console(tmp_path)
    yield started
    started.stop()
    assert "Traceback" not in started.log, started.log


def open_page(browser: Browser, console: Console, path: str = "/") -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-GB", timezone_id="UTC")
    page.foreign = []  # type: ignore[attr-defined]
    page.on(
        "request",
        lambda request: None if request.url.startswith((console.url, "data:", "blob:"))
        else page.foreign.append(request.url),  # type: ignore[attr-defined]
    )  # fmt: skip
    page.goto(console.url + path)
    return page


def sidebar(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_test_id("stSidebar")


def count(console: Console, sql: str) -> int:
    if not console.database.is_file():
        return 0
    connection = sqlite3.connect(console.database)
    try:
        return int(connection.execute(sql).fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def downloaded(page: Page, button: Locator) -> str:
    """Click until the file is whole: Streamlit drops a file that the browser fetches after two more reruns."""
    for _ in range(3):
        with page.expect_download() as downloading:
            button.click()
        if downloading.value.failure() is None:
            break
    return Path(downloading.value.path()).read_text()


def test_start_trade_export_stop_by_clicking(browser: Browser, console: Console) -> None:
    page = open_page(browser, console)
    sidebar(page).get_by_role("button", name="Start").click()
    expect(sidebar(page).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
    wait_for("a closed trade", lambda: count(console, "SELECT count(*) FROM trades WHERE state = 'CLOSED'") > 0,
             FIRST_TRADE_S)  # fmt: skip

    sidebar(page).get_by_role("button", name="Stop", exact=True).click()
    expect(sidebar(page).get_by_text("STOPPED").first).to_be_visible(timeout=30_000)

    sidebar(page).get_by_role("link", name="Trades").click()
    button = page.get_by_role("button", name="Export CSV")
    expect(button).to_be_visible(timeout=20_000)
    exported = list(csv.DictReader(io.StringIO(downloaded(page, button))))

    connection = sqlite3.connect(console.database)
    connection.row_factory = sqlite3.Row
    stored = {row["trade_id"]: dict(row) for row in connection.execute("SELECT * FROM trades")}
    status, opening, closing = connection.execute(
        "SELECT status, opening_balance_home, closing_balance_home FROM runs"
    ).fetchone()
    connection.close()
    assert status == "STOPPED"
    assert {row["trade_id"] for row in exported} == set(map(str, stored))
    for row in exported:
        kept = {str(key): value for key, value in stored.items()}[row["trade_id"]]
        for name in ("instrument", "side", "state", "units", "entry_price", "exit_price", "realized_pl_home"):
            assert row[name] == ("" if kept[name] is None else str(kept[name])), name
    booked = sum(Decimal(row["realized_pl_home"]) + Decimal(row["financing_home"]) for row in exported)
    assert Decimal(opening) + booked == Decimal(closing)
    assert page.foreign == []  # type: ignore[attr-defined]
    page.close()


def test_tabs_refreshes_and_an_edited_engine_file_leave_one_engine(browser: Browser, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.sqlite*", ".ruff_cache", ".mypy_cache")
    shutil.copytree(ROOT, root, ignore=ignored)
    folder = tmp_path / "data"
    folder.mkdir()
    console = start_console(folder, "--server.fileWatcherType", "poll", "--server.runOnSave", "true", root=root)
    try:
        first = open_page(browser, console)
        sidebar(first).get_by_role("button", name="Start").click()
        expect(sidebar(first).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
        second = open_page(browser, console, "/trades")
        expect(sidebar(second).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
        edited = root / "engine" / "node.py"
        edited.write_text(edited.read_text() + "\n# edited while running\n")
        first.reload()
        expect(sidebar(first).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
        second.close()
        first.close()
        before = count(console, "SELECT count(*) FROM decisions")
        wait_for("trading on without a tab", lambda: count(console, "SELECT count(*) FROM decisions") > before)
        third = open_page(browser, console)
        expect(sidebar(third).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
        third.close()
        assert count(console, "SELECT count(*) FROM runs") == 1
        assert session_threads(console) == 1
        refused = subprocess.run(
            [sys.executable, "-m", "engine", "session", "--db", str(console.database), "--duration", "1m"],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert refused.returncode == 2 and f"process {console.process.pid}" in refused.stderr
    finally:
        console.stop()
    assert "Traceback" not in console.log, console.log
    assert count(console, "SELECT count(*) FROM runs WHERE status = 'STOPPED'") == 1


def session_threads(console: Console) -> int:
    """Threads of that name as the operating system sees them."""
    tasks = Path(f"/proc/{console.process.pid}/task")
    if not tasks.is_dir():
        status, body, _ = console.get("/healthz")
        assert status == 200
        return int(json.loads(body)["engine_threads"])
    return int(json.loads(console.get("/healthz")[1])["engine_threads"])


def test_a_deep_link_on_a_fresh_server_has_the_frame(browser: Browser, console: Console) -> None:
    page = open_page(browser, console, "/session")
    expect(sidebar(page).get_by_role("button", name="Start")).to_be_visible(timeout=30_000)
    expect(sidebar(page).get_by_role("link", name="Overview")).to_be_visible()
    page.close()


def test_a_phone_needs_no_sideways_scroll_and_shows_the_panic_button(browser: Browser, console: Console) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    for path in ("/", "/session", "/trades"):
        page.goto(console.url + path)
        expect(page.get_by_role("button", name="Flatten").last).to_be_visible(timeout=30_000)
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        assert not wide, path
    page.close()


def test_ctrl_c_with_an_open_tab_stops_the_session(browser: Browser, console: Console) -> None:
    page = open_page(browser, console)
    sidebar(page).get_by_role("button", name="Start").click()
    expect(sidebar(page).get_by_text("RUNNING").first).to_be_visible(timeout=30_000)
    console.stop()
    assert count(console, "SELECT count(*) FROM runs WHERE status = 'STOPPED'") == 1
    page.close()
