"""The venue against the conformance pack: OANDA's own clients, and every answer against OANDA's specification.

The pack knows nothing of our code. It runs in a process of its own against the command in another, as anyone would
start it, and not one of its tests may be skipped.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "../shared/oanda/conformance"
TOKEN, ACCOUNT = "token", "101-001-1234567-001"

pytestmark = [
    pytest.mark.skipif(not PACK.is_dir(), reason="needs the pack of ../shared/oanda/conformance beside the project"),
    pytest.mark.xdist_group("venue"),
    pytest.mark.timeout(400),
]


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def venue(port: int, control_port: int) -> Iterator[None]:
    """Run the command; it must end cleanly and must have had nothing to complain of."""
    words = ["--port", str(port), "--token", TOKEN, "--account", ACCOUNT, "--control-port", str(control_port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "venue", *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        yield
        process.terminate()
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_the_conformance_pack_passes_whole() -> None:
    port, control_port = free_ports()
    settings = {
        "V20_BASE_URL": f"http://127.0.0.1:{port}",
        "V20_CONTROL_URL": f"http://127.0.0.1:{control_port}",
        "V20_TOKEN": TOKEN,
        "V20_ACCOUNT": ACCOUNT,
        "V20_REQUIRE_CONTROL": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V20_", "PYTEST_"))}
    with venue(port, control_port):
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"],
            cwd=PACK, env=kept | settings, capture_output=True, text=True, timeout=360,
        )  # fmt: skip
    told = run.stdout[-8_000:] + run.stderr[-2_000:]
    assert run.returncode == 0, told
    found = re.search(r"(\d+) passed", run.stdout)
    assert found is not None, told
    assert int(found[1]) >= 90, told
    assert "skipped" not in run.stdout.splitlines()[-1], told
