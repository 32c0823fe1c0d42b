"""The command itself, in a process of its own: what it refuses, and how it ends."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from engine.adapters.sim.market import DEFAULT_START_NS
from engine.cli import main
from engine.venue.launch import VenueTerms, assemble
from tests.unit.venue.house import ACCOUNT, TOKEN, House

ROOT = Path(__file__).resolve().parents[3]
GOOD = {"--port": "1", "--token": TOKEN, "--account": ACCOUNT}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def command(**options: str) -> list[str]:
    given = GOOD | {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    return [sys.executable, "-m", "engine", "venue", *(word for item in given.items() for word in item)]


@contextmanager
def started(*, port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(port=str(port)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_a_signal_with_streams_open_and_says_nothing(number: signal.Signals) -> None:
    port = free_port()
    with started(port=port) as process, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        base = f"http://127.0.0.1:{port}/v3/accounts/{ACCOUNT}"
        streams = [session.get(f"{base}/transactions/stream", stream=True, timeout=5) for _ in range(3)]
        prices = session.get(f"{base}/pricing/stream?instruments=EUR_USD", stream=True, timeout=5)
        for stream in (*streams, prices):
            assert next(stream.iter_lines())
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")
        for stream in streams:
            stream.close()


def test_it_ends_also_when_a_stream_is_not_read() -> None:
    port = free_port()
    with started(port=port) as process, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        base = f"http://127.0.0.1:{port}/v3/accounts/{ACCOUNT}"
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            deaf.connect(("127.0.0.1", port))
            path = f"/v3/accounts/{ACCOUNT}/transactions/stream"
            deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert deaf.recv(10)
            words = {"id": "x", "comment": "y" * 60_000}
            for _ in range(80):
                session.post(
                    f"{base}/orders", json={"order": {"instrument": "EUR_USD", "units": "0", "clientExtensions": words}}
                )
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"port": "0"}, "--port"),
        ({"port": "65536"}, "--port"),
        ({"port": "x"}, "--port"),
        ({"port": "1.5"}, "--port"),
        ({"port": "81", "control_port": "81"}, "--control-port"),
        ({"control_port": "0"}, "--control-port"),
        ({"token": ""}, "--token"),
        ({"token": "two words"}, "--token"),
        ({"token": "é"}, "--token"),
        ({"account": "101"}, "--account"),
        ({"account": "101-001-1-001\n"}, "--account"),
        ({"account": "a-b-c-d"}, "--account"),
        ({"speed": "0"}, "--speed"),
        ({"speed": "-1"}, "--speed"),
        ({"speed": "fast"}, "--speed"),
        ({"speed": "max"}, "--speed"),
        ({"speed": "1e9"}, "--speed"),
        ({"balance": "0"}, "--balance"),
        ({"balance": "NaN"}, "--balance"),
        ({"balance": "1e30"}, "--balance"),
        ({"currency": "XXX"}, "XXX"),
        ({"currency": "usd"}, "usd"),
        ({"seed": "-1"}, "-1"),
        ({"bars": "EUR_USD=nowhere.csv"}, "nowhere.csv"),
        ({"bars": "EUR_USD="}, "--bars"),
        ({"bars": "EUR_UDS=README.md"}, "EUR_UDS"),
        ({"bars": "EUR_USD=README.md"}, "README.md"),
        ({"bars": "EUR_USD=docs"}, "docs"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence(
    options: dict[str, str], named: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(command(**{"port": str(free_port())} | options)[3:]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert named in captured.err
    assert captured.err.count("\n") == 1
    assert TOKEN not in captured.err


def test_a_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(command(port=str(port))[3:]) == 2
        assert str(port) in capsys.readouterr().err
        assert main(command(port=str(free_port()), control_port=str(port))[3:]) == 2
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def created(wall_ns: int) -> int:
    """When the account of a venue was made that started at this time of the wall clock."""
    terms = VenueTerms(port=1, token=TOKEN, account=ACCOUNT)
    return assemble(terms, lambda: 0.0, lambda: wall_ns).app._desk.created_ns


def test_two_starts_make_two_accounts_within_the_second_before_the_market_begins() -> None:
    first, second = created(1_700_000_000_123_456_789), created(1_800_000_000_123_456_790)
    assert (first, second) == (DEFAULT_START_NS - 876_543_211, DEFAULT_START_NS - 876_543_210)
    assert created(1_600_000_000_123_456_789) == first


def test_the_log_of_a_venue_begins_after_its_account_was_made(house: House) -> None:
    row = house.get("/transactions")
    assert row["from"] == house.summary()["createdTime"]
    assert row["pages"][0].endswith(f"from=1&to={min(100, house.last_id())}") and row["count"] == house.last_id()
