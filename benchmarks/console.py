"""I am the console benchmark: start-up, page reruns, and how much one polling browser holds the engine up.
I may start the console and a real Chromium.
I must not run without Chromium in silence.
My tests are in the reading of the table.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from streamlit.testing.v1 import AppTest

from benchmarks.figure import Figure
from engine.config import Settings
from engine.domain.command import SessionConfig, StartSession
from engine.node import TradingNode

ROOT = Path(__file__).resolve().parents[1]
POLL_S = 25
RERUNS = 15
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
DEFAULTS = ["--runner.postScriptGC", "true"]


def measure() -> list[Figure]:
    """Start-up, page reruns (script only), and the lateness of a 1 kHz thread beside the console with one browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("The console benchmark needs Chromium (Debian package chromium).\n")
        return []
    figures = [Figure(name="start to first healthy answer", unit="s", samples=[_startup() for _ in range(3)])]
    figures += _reruns()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        ours = [_lateness(browser, "freeze", []) for _ in range(2)]
        theirs = [_lateness(browser, "unfreeze", DEFAULTS) for _ in range(2)]
        browser.close()
    mine, default = [one["p99"] for one in ours], [one["p99"] for one in theirs]
    return [
        *figures,
        Figure(name="engine held up by one polling browser, p99", unit="ms", samples=mine),
        Figure(name="the same with Streamlit's defaults, p99", unit="ms", samples=default),
        Figure(
            name="ratio of the two", unit="ratio", samples=[a / b for a, b in zip(mine, default, strict=True)],
            aim="<= 0.1",
        ),
    ]  # fmt: skip


def _reruns() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), models_dir=Path(folder))
        node = TradingNode.attach(settings)
        node.submit(StartSession(command_id="bench", config=SessionConfig(speed=600.0, model_id="sma-cross:5/20")))
        while len(node.snapshot.decisions) < 60:
            time.sleep(0.1)
        figures = [
            _rerun(name, path) for name, path in (("Overview", ""), ("Session", "session"), ("Trades", "trades"))
        ]
        node.stop()
    return figures


def _rerun(name: str, path: str) -> Figure:
    def script(page: str) -> None:
        import importlib

        importlib.import_module(f"pages.{page or 'overview'}").render()

    test = AppTest.from_function(script, args=(path,), default_timeout=60).run()
    taken = []
    for _ in range(RERUNS):
        begun = time.perf_counter()
        test.run()
        taken.append((time.perf_counter() - begun) * 1_000)
    return Figure(name=f"page rerun, {name} (script only, running session)", unit="ms", samples=taken, aim="<= 300")


def _startup() -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        server, port = _serve(folder, [sys.executable, "-m", "streamlit"], [])
        taken = time.perf_counter() - begun
        _end(server)
    return taken


def _lateness(browser: Browser, freeze: str, options: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "late.json"
        server, port = _serve(folder, [sys.executable, "-m", "benchmarks.ticker", str(report), freeze], options)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("button", name="Start").first.click(timeout=30_000)
        page.wait_for_timeout(POLL_S * 1_000)
        page.close()
        _end(server)
        figures: dict[str, float] = json.loads(report.read_text())
    return figures


def _serve(folder: str, launcher: list[str], options: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "KEEL_DATA_DIR": folder, "KEEL_MODELS_DIR": folder, "KEEL_LOG_LEVEL": "ERROR"}
    command = [*launcher, "run", "app.py", "--server.port", str(port), *options]
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read()  # noqa: S310
            return server, port
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the console did not start")


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    server.wait(20)
