"""Alerts of a real session on a venue: told to the operator's address, and never in the way when nobody is there."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from engine import wiring
from engine.adapters.alerts.webhook import QUEUE_MAX
from engine.config import load_settings
from engine.domain.command import Command, Mode, SessionConfig, StartSession
from engine.domain.event import SessionState
from engine.node import TradingNode
from engine.session import TradingSession
from tests.fakes.receiver import CANARY, Receiver
from tests.fakes.venue import ACCOUNT, TOKEN, running, terms

PER_STEP = 40


class Alarming(TradingSession):
    """A session in which something happens at every step."""

    _number = 0

    def step(self, commands: Sequence[Command] = ()) -> None:
        super().step(commands)
        for _ in range(PER_STEP):
            self._number += 1
            self._alarm.raise_("denied", str(self._number), f"Alert {self._number}.")


@pytest.fixture
def venue() -> Iterator[str]:
    with running(terms(seed=7, speed=60.0), monotonic) as (url, _):
        yield url


def run(folder: Path, venue: str, alert_url: str, mode: Mode, patch: pytest.MonkeyPatch) -> TradingNode:
    """Run a session of a minute to its end, and return its node, which has stopped."""
    patch.chdir(folder)
    patch.setattr(wiring, "TradingSession", Alarming)
    given = {
        "OANDA_TOKEN": TOKEN,
        "OANDA_ACCOUNT_ID": ACCOUNT,
        "OANDA_LOOPBACK_URL": venue,
        "KEEL_ALERT_URL": alert_url,
    }
    node = TradingNode(load_settings(given, folder / "no.env"))
    config = SessionConfig(mode=mode, instruments=("EUR_USD",), model_id="flat", duration_s=300, speed=60.0)
    assert node.submit(StartSession(command_id="start", config=config)) is None
    assert node.wait_until_idle(60)
    assert node.stop(20)
    assert [verdict.detail for verdict in node.snapshot.verdicts if not verdict.accepted] == []
    assert node.snapshot.session_state is SessionState.STOPPED, node.snapshot.reason
    assert CANARY.encode() not in node.database_path.read_bytes()
    assert CANARY not in repr(node.snapshot)
    return node


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.PRACTICE])
def test_a_session_at_oanda_tells(mode: Mode, venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        node = run(tmp_path, venue, receiver.url, mode, monkeypatch)
        kinds = [told["kind"] for told in receiver.got]
    assert kinds[0] == "test" and set(kinds[1:]) == {"denied"}
    assert len(node.snapshot.alerts) == 50


def test_a_sandbox_keeps_its_alerts_to_itself(venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        node = run(tmp_path, venue, receiver.url, Mode.SANDBOX, monkeypatch)
        assert receiver.got == []
    assert len(node.snapshot.alerts) == 50
    assert node.delivery is not None and node.delivery.delivered_ns is None


@pytest.mark.parametrize("death", ["hangs", "refuses", "answers 500"])
def test_a_dead_receiver_holds_no_session_up(
    death: str, venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    with closing(socket.socket()) as listener, Receiver(500) as broken:
        listener.bind(("127.0.0.1", 0))
        if death == "hangs":
            listener.listen(50)
        silent = f"http://127.0.0.1:{listener.getsockname()[1]}/{CANARY}"
        node = run(tmp_path, venue, broken.url if death == "answers 500" else silent, Mode.PRACTICE, monkeypatch)
    # a session of five seconds, its preflight (which waits five for an answer), and two for what waits at the end
    assert time.monotonic() - begun < 30
    assert node.delivery is not None and node.delivery.error and node.delivery.delivered_ns is None
    assert node.delivery.dropped > PER_STEP * 5 - QUEUE_MAX - 10
    (alert,) = [check for check in node.snapshot.checks if check.name == "alert"]
    assert not alert.ok and not alert.blocks
