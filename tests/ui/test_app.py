"""The front door: what the server says of itself, what it sends along, and how it refuses to start."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.node import TradingNode
from tests.ui.console import node as node
from tests.ui.server import ROOT, Console, start_console


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    started = start_console(tmp_path_factory.mktemp("server"))
    yield started
    started.stop()
    assert "Traceback" not in started.log, started.log


def test_health_is_told_without_a_page_being_open(server: Console) -> None:
    status, body, _ = server.get("/healthz")
    assert status == 200
    assert json.loads(body) == {
        "engine_alive": True,
        "engine_threads": 1,
        "session_state": "READY",
        "snapshot_age_s": None,
    }


@pytest.mark.parametrize("path", ["/", "/session", "/healthz", "/vendor/plotly.min.js"])
def test_every_answer_forbids_framing_and_sniffing(server: Console, path: str) -> None:
    status, _, headers = server.get(path)
    sent = {name.lower(): value for name, value in headers.items()}
    assert status == 200
    assert sent["x-frame-options"] == "DENY"
    assert sent["content-security-policy"] == "frame-ancestors 'none'"
    assert sent["x-content-type-options"] == "nosniff"
    assert sent["referrer-policy"] == "no-referrer"


def test_the_shipped_options_are_the_safe_ones(server: Console) -> None:
    """A live console would refuse to start otherwise; so would this one if a name were misspelt."""
    asked = "from streamlit import config; from pages.parts.guard import loosened; print(loosened())"
    told = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "()"


def test_a_live_console_with_changed_options_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OANDA_ENVIRONMENT", "live")
    monkeypatch.setenv("KEEL_DATA_DIR", str(tmp_path / "data"))
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.enableXsrfProtection", "false"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = "The console does not serve a live account with changed options: server.enableXsrfProtection."
    assert ended.returncode != 0
    assert said in ended.stdout + ended.stderr and "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "data").exists()


def test_the_unlock_code_stands_on_the_terminal_when_there_is_an_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OANDA_TOKEN", "canary-of-the-terminal")
    console = start_console(tmp_path)
    console.stop()
    assert re.search(r"^Unlock code of this console, for trading at OANDA: [A-Z2-9]{4}-[A-Z2-9]{4}$", console.log, re.M)
    assert "canary" not in console.log


def test_plotly_comes_from_this_machine(server: Console) -> None:
    _, body, headers = server.get("/vendor/plotly.min.js")
    assert "javascript" in {name.lower(): value for name, value in headers.items()}["content-type"]
    assert b"plotly.js v" in body[:200]


def test_a_second_console_on_the_same_folder_is_refused_in_one_sentence(node: TradingNode) -> None:
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", "0"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert "is in use by process" in said
    assert "Traceback" not in said
