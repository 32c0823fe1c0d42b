"""Processes: engines that are begun by command line or by fork, and the venue. Each can be killed at any moment."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


class Life(Protocol):
    """One engine process."""

    pid: int

    @property
    def ended(self) -> bool:
        """Say whether its end has been seen; its number may then belong to another process."""
        ...

    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it lives."""
        ...

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        ...


class Cradle(Protocol):
    """Begins engine processes."""

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Life:
        """Run `python -m engine` with these arguments, both outputs added to a file."""
        ...


class _Child:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def code(self) -> int | None:
        return self._process.poll()

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)


class CommandLine:
    """Begins each engine as a person does."""

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Life:
        """Start a new interpreter."""
        with log.open("ab") as out:
            return _Child(_python(["-m", "engine", *arguments], environment, out))


class _Forked:
    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._code: int | None = None

    @property
    def ended(self) -> bool:
        return self._code is not None

    def code(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask({"look": self.pid})["code"]
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = self._nursery.ask({"wait": self.pid})["code"]
        assert self._code is not None
        return self._code


class Nursery:
    """Begins each engine by a fork of a process that has imported it; see nursery.py. A context manager."""

    def __init__(self) -> None:
        # libraries that would start threads while they are imported
        quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment = {**quiet, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        self._process = _python(["-m", "tests.crash.nursery"], environment, None)

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.communicate(timeout=PATIENCE_S)

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Life:
        """Fork."""
        asked = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        pid = self.ask(asked)["pid"]
        assert pid is not None
        return _Forked(self, pid)

    def ask(self, asked: Mapping[str, object]) -> dict[str, int | None]:
        """Send one line and read the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        answer: dict[str, int | None] = json.loads(line)
        return answer


@contextmanager
def venue(arguments: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run `python -m engine venue` until the block ends; it takes connections when the block begins."""
    with log.open("ab") as out:
        process = _python(["-m", "engine", "venue", *arguments], {}, out)
    try:
        while not _listens(port):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            _nap(process)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def kill(life: Life) -> None:
    """End a process as a loss of power does, unless it has ended by itself."""
    if not life.ended:
        os.kill(life.pid, signal.SIGKILL)


def end(life: Life) -> None:
    """Ask a process to end, as a service manager does."""
    os.kill(life.pid, signal.SIGTERM)


def free_ports(count: int) -> list[int]:
    """Find ports of loopback that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _nap(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


def _python(
    arguments: Sequence[str], environment: Mapping[str, str], out: IO[bytes] | None
) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE if out is None else subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**_plain(os.environ), **environment},
        stdin=pipe,
        stdout=out or subprocess.PIPE,
        stderr=out,
    )


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out settings of Keel: those of the person who runs the tests are not ours."""
    return {key: value for key, value in environment.items() if not key.startswith(("KEEL_", "OANDA_", "LIVE_"))}
