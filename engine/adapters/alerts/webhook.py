"""I am the messenger: alerts as JSON to one address of the operator (Slack, Discord, ntfy), from a thread of my own.
I may import requests, the domain, ports and redaction.
I must not hold anybody up, raise, follow a redirect, or let the address out: it is the key to the operator's channel.
My tests are in tests/unit/adapters/alerts/test_webhook.py.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from urllib.parse import quote, urlsplit

import msgspec
import requests
from msgspec.structs import replace
from urllib3.exceptions import HTTPError

from engine.domain.calendar import iso_utc
from engine.domain.event import AlertRaised
from engine.redaction import RedactionFilter, Secret

log = logging.getLogger("engine.alerts")
# Kinds that come often, and of which nobody needs each.
MINOR = frozenset(("denied",))
MINOR_MAX = 20
QUEUE_MAX = 100
PAUSE_S = 1.0
TRIES = 3
CONNECT_S, READ_S = 3.0, 5.0
PATIENCE_S = 10.0
# Discord refuses a message of more than 2000 characters.
TEXT_MAX = 1_900
SECRET_CHARS_MIN = 8
# Both say where they failed, with the path of the request.
_TALKATIVE = ("urllib3.connection", "urllib3.connectionpool")
# LocationParseError and UnicodeError of an odd address are ValueErrors.
_BROKE = (requests.RequestException, HTTPError, OSError, ValueError)
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.SSLError, "TLS failed, or the certificate is not trusted"),
    (requests.exceptions.ConnectTimeout, f"no connection within {CONNECT_S:g} s"),
    (requests.exceptions.ReadTimeout, f"no answer within {READ_S:g} s"),
    (requests.exceptions.ConnectionError, "the connection failed"),
)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How telling goes: when it last worked, what went wrong since (empty: nothing), how many alerts were lost."""

    delivered_ns: int | None = None
    error: str = ""
    dropped: int = 0


def url_forms(url: Secret) -> tuple[Secret, ...]:
    """Return the forms in which the address could turn up in a text: whole, its parts alone, and encoded."""
    text = url.reveal()
    parts = urlsplit(text)
    whole = (text, f"{parts.path}?{parts.query}", parts.path, parts.query)
    forms = (*whole, *(quote(part, safe="") for part in whole))
    return tuple(Secret(form) for form in dict.fromkeys(forms) if len(form) >= SECRET_CHARS_MIN)


@lru_cache(maxsize=16)
def _hush(url: Secret) -> None:
    """Keep the address out of what the HTTP library itself logs; once for each address."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(RedactionFilter(url_forms(url)))


class WebhookAlerter:
    """Delivers alerts one after another, at most one request a second, blocked signals last.

    A dead receiver costs alerts and nothing else.

    The thread starts with the first alert and is a daemon: it never keeps a process alive.
    """

    def __init__(
        self,
        url: Secret,
        wall_ns: Callable[[], int],
        *,
        pause_s: float = PAUSE_S,
        timeouts_s: tuple[float, float] = (CONNECT_S, READ_S),
    ) -> None:
        self._url = url
        self._wall_ns = wall_ns
        self._pause_s = pause_s
        self._timeouts_s = timeouts_s
        self._waiting: deque[AlertRaised] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = Delivery()
        _hush(url)

    def __repr__(self) -> str:
        return "WebhookAlerter(***)"

    @property
    def state(self) -> Delivery:
        """How telling goes; one reference, read without a lock."""
        return self._state

    def notify(self, alert: AlertRaised) -> None:
        """Queue an alert; of too many that wait the oldest is dropped, blocked signals before anything else."""
        with self._changed:
            self._waiting.append(alert)
            minor = [each for each in self._waiting if each.kind in MINOR]
            if len(minor) > MINOR_MAX or len(self._waiting) > QUEUE_MAX:
                self._waiting.remove(minor[0] if minor else self._waiting[0])
                self._state = replace(self._state, dropped=self._state.dropped + 1)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="alerts", daemon=True)
                with suppress(RuntimeError):  # the machine has no thread to spare: the next alert tries again
                    thread.start()
                    self._thread = thread
            self._changed.notify()

    def deliver_now(self, text: str, patience_s: float = PATIENCE_S) -> str | None:
        """Deliver one alert past the queue; returns why that did not work, None when it did."""
        alert = AlertRaised(ts_ns=self._wall_ns(), kind="test", text=text)
        found: list[str] = []
        # a thread of its own: a receiver that drips its answer keeps every single read within its time
        sender = threading.Thread(target=lambda: found.append(self._attempt(alert)), name="alert-test", daemon=True)
        sender.start()
        sender.join(patience_s)
        error = found[0] if found else f"no whole answer within {patience_s:g} s"
        self._note(error)
        return error or None

    def close(self, patience_s: float = 0.0) -> None:
        """Take nothing more up once what waits is delivered; wait so long for that, then leave it."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience_s)

    def _run(self) -> None:
        while (alert := self._next()) is not None:
            self._deliver(alert)

    def _next(self) -> AlertRaised | None:
        with self._changed:
            while not self._waiting and not self._closing.is_set():
                self._changed.wait()
            if not self._waiting:
                return None
            # what has tripped or stopped goes before any number of blocked signals
            first = next((each for each in self._waiting if each.kind not in MINOR), self._waiting[0])
            self._waiting.remove(first)
            return first

    def _deliver(self, alert: AlertRaised) -> None:
        pause = threading.Event()  # never set: even at the end nobody is sent more than one alert a second
        for _ in range(TRIES):
            error = self._attempt(alert)
            self._note(error)
            pause.wait(self._pause_s)
            if not error:
                return
        self._count_lost(error)

    def _count_lost(self, error: str) -> None:
        with self._changed:
            self._state = replace(self._state, dropped=self._state.dropped + 1)
        log.warning("an alert was not delivered: %s", error, extra={"subsystem": "alerts"})

    def _note(self, error: str) -> None:
        with self._changed:
            if error:
                self._state = replace(self._state, error=error)
            else:
                self._state = replace(self._state, delivered_ns=self._wall_ns(), error="")

    def _attempt(self, alert: AlertRaised) -> str:
        """Send one request; returns in words of our own why it did not arrive, empty when it did."""
        text = alert.text[:TEXT_MAX]
        # Slack and ntfy read "text", Discord reads "content"
        body = {"text": text, "content": text, "kind": alert.kind, "ts": iso_utc(alert.ts_ns)}
        try:
            with requests.Session() as http:
                http.trust_env = False
                with http.post(
                    self._url.reveal(), json=body, timeout=self._timeouts_s, allow_redirects=False, stream=True
                ) as answer:
                    status = answer.status_code
        except _BROKE as error:
            return next((words for kind, words in _WORDS if isinstance(error, kind)), "the request failed")
        return "" if 200 <= status < 300 else f"the receiver answered HTTP {status}"
