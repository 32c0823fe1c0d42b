"""A real console: the server as `make run` starts it, on a free port and a data folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--force-color-profile=srgb",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Console:
    """A running server; log holds what it printed."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log_path: Path

    @property
    def database(self) -> Path:
        return self.folder / "console.sqlite"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def get(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Fetch a path of the server; returns status, body and headers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def stop(self, number: int = signal.SIGINT) -> int:
        """End the server as Ctrl-C does; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


def start_console(folder: Path, *options: str, root: Path = ROOT) -> Console:
    """Start a server and wait until it answers; fails with its log when it does not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log_path = folder / "server.log"
    environment = {**os.environ, "KEEL_DATA_DIR": str(folder), "KEEL_MODELS_DIR": str(folder / "models")}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), *options],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    console = Console(process, f"http://127.0.0.1:{port}", folder, log_path)
    wait_for("the server's first answer", lambda: process.poll() is not None or _answers(console), 60)
    return console


def _answers(console: Console) -> bool:
    try:
        return console.get("/_stcore/health")[0] == 200
    except OSError:
        return False


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for a condition; fail by name when it does not come true in time."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.1)):
        if condition():
            return
        pause.wait(0.1)
    pytest.fail(f"{what} did not happen within {timeout_s:g} s")
