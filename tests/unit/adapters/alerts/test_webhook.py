"""The messenger before real servers: one that listens, one that hangs, one that refuses, one that is not there."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from engine.adapters.alerts.webhook import MINOR_MAX, QUEUE_MAX, TRIES, WebhookAlerter, url_forms
from engine.domain.event import AlertRaised
from engine.redaction import Secret
from tests.fakes.receiver import CANARY, Receiver

WALL_NS = 1_790_000_000_000_000_000
PATIENCE_S = 20.0


@pytest.fixture
def hole() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{CANARY}"


def refusing_port() -> str:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/{CANARY}"


def alert(text: str = "A breaker has tripped.") -> AlertRaised:
    return AlertRaised(ts_ns=WALL_NS, kind="breaker", text=text)


def messenger(url: str, pause_s: float = 0.01, timeouts_s: tuple[float, float] = (3.0, 5.0)) -> WebhookAlerter:
    return WebhookAlerter(Secret(url), lambda: WALL_NS, pause_s=pause_s, timeouts_s=timeouts_s)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "never came"
        threading.Event().wait(0.01)


def test_an_alert_arrives_as_every_receiver_can_read_it() -> None:
    with Receiver() as receiver:
        told = messenger(receiver.url)
        told.notify(alert())
        until(lambda: told.state.delivered_ns)
        assert receiver.got == [
            {
                "text": "A breaker has tripped.",
                "content": "A breaker has tripped.",
                "kind": "breaker",
                "ts": "2026-09-21T14:13:20Z",
            }
        ]
        assert (told.state.delivered_ns, told.state.error, told.state.dropped) == (WALL_NS, "", 0)
        told.close(PATIENCE_S)


def test_a_long_text_is_cut_to_what_receivers_take() -> None:
    with Receiver() as receiver:
        assert messenger(receiver.url).deliver_now("x" * 5_000) is None
        assert len(receiver.got[0]["content"]) == 1_900


def test_a_receiver_that_answers_500_is_tried_again_twice() -> None:
    with Receiver(500, 503, 204) as receiver:
        told = messenger(receiver.url)
        told.notify(alert())
        until(lambda: told.state.delivered_ns)
        assert len(receiver.got) == TRIES
        assert told.state.error == ""
        told.close(PATIENCE_S)


def test_an_alert_that_never_arrives_is_counted_and_the_next_is_tried() -> None:
    with Receiver(500, 500, 500, 200) as receiver:
        told = messenger(receiver.url)
        told.notify(alert("lost"))
        told.notify(alert("told"))
        until(lambda: told.state.delivered_ns)
        assert [each["text"] for each in receiver.got] == ["lost"] * TRIES + ["told"]
        assert told.state.dropped == 1
        told.close(PATIENCE_S)


def test_a_redirect_is_not_followed() -> None:
    with Receiver(302) as receiver:
        assert messenger(receiver.url).deliver_now("Test.") == "the receiver answered HTTP 302"
        assert len(receiver.got) == 1


def test_a_port_that_refuses_is_told_without_the_address() -> None:
    told = messenger(refusing_port())
    assert told.deliver_now("Test.") == "the connection failed"
    assert told.state.error == "the connection failed"
    assert told.state.delivered_ns is None


def test_a_hanging_receiver_holds_nobody_up(hole: str) -> None:
    told = messenger(hole, timeouts_s=(0.5, 60.0))
    begun = time.monotonic()
    for number in range(3 * QUEUE_MAX):
        told.notify(alert(str(number)))
    assert told.deliver_now("Test.", patience_s=0.1) == "no whole answer within 0.1 s"
    told.close()
    assert time.monotonic() - begun < 5.0
    assert told.state.dropped >= 2 * QUEUE_MAX - 1


def test_a_hanging_receiver_is_given_up_in_time(hole: str) -> None:
    assert messenger(hole, timeouts_s=(0.5, 0.2)).deliver_now("Test.") == "no answer within 5 s"


def test_the_oldest_alerts_are_dropped_first(hole: str) -> None:
    told = messenger(hole, timeouts_s=(0.5, 60.0))
    for number in range(QUEUE_MAX + 10):
        told.notify(alert(str(number)))
    assert told._waiting[-1].text == str(QUEUE_MAX + 9)
    assert len(told._waiting) == QUEUE_MAX
    told.close()


def test_no_more_than_one_request_leaves_in_a_pause() -> None:
    with Receiver(200, 500, 200) as receiver:
        told = messenger(receiver.url, pause_s=0.3)
        for number in range(3):
            told.notify(alert(str(number)))
        told.close(PATIENCE_S)
        assert len(receiver.at) == 4
        assert min(late - early for early, late in zip(receiver.at, receiver.at[1:], strict=False)) >= 0.25


def test_what_waits_is_delivered_at_the_end() -> None:
    with Receiver() as receiver:
        told = messenger(receiver.url)
        for number in range(5):
            told.notify(alert(str(number)))
        told.close(PATIENCE_S)
        assert [each["text"] for each in receiver.got] == ["0", "1", "2", "3", "4"]


def test_an_odd_address_breaks_nothing() -> None:
    for url in (f"https://{'a' * 80}.invalid/{CANARY}", f"https:///{CANARY}", "x"):
        assert messenger(url).deliver_now("Test.") in ("the request failed", "the connection failed")


def test_nothing_shows_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(500) as receiver:
        told = messenger(receiver.url)
        told.notify(alert())
        until(lambda: told.state.dropped)
        told.close(PATIENCE_S)
    told.deliver_now("Test.")
    logging.getLogger("urllib3.connection").warning("Failed to parse headers (url=%s)", receiver.url)
    shown = f"{told!r} {told.state!r} {caplog.text}"
    assert "an alert was not delivered: the receiver answered HTTP 500" in shown
    assert "Failed to parse headers" in shown
    assert CANARY not in shown


def test_every_form_of_the_address_is_a_secret() -> None:
    forms = {form.reveal() for form in url_forms(Secret("https://hooks.example/services/T0/abc?k=v"))}
    assert "/services/T0/abc?k=v" in forms
    assert "https%3A%2F%2Fhooks.example%2Fservices%2FT0%2Fabc%3Fk%3Dv" in forms
    assert url_forms(Secret("")) == ()


def test_what_has_tripped_goes_before_any_number_of_blocked_signals() -> None:
    with Receiver() as receiver:
        told = messenger(receiver.url, pause_s=0.2)
        for number in range(3 * MINOR_MAX):
            told.notify(AlertRaised(ts_ns=WALL_NS, kind="denied", text=f"blocked {number}"))
        told.notify(alert("A breaker has tripped."))
        until(lambda: any(got["kind"] == "breaker" for got in receiver.got))
        assert [got["kind"] for got in receiver.got].index("breaker") <= 2
        assert len(told._waiting) <= MINOR_MAX
        assert told.state.dropped >= 2 * MINOR_MAX - 2
        told.close()
