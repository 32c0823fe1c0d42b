"""I am the alarm: what a person who is away should hear of, journalled and handed on once until it has passed.
I may import the domain, ports and the desk.
I must not wait for anybody to listen, nor decide what is worth an alert: whoever raises one does.
My tests are in tests/unit/session/test_alarm.py.
"""

from collections import deque

from engine.domain.event import AlertRaised
from engine.ports import Alerter, Journal
from engine.session.desk import Desk

ALERTS_KEPT = 50


class Silent:
    """An alerter that tells nobody."""

    def notify(self, alert: AlertRaised) -> None:
        """Let it pass."""


SILENT = Silent()


class Alarm:
    """Raises each alert once: a rule that blocks an instrument bar after bar is told of again only after it passed."""

    def __init__(self, desk: Desk, journal: Journal, alerter: Alerter) -> None:
        self._desk = desk
        self._journal = journal
        self._alerter = alerter
        self._raised: set[tuple[str, str]] = set()
        self._newest: deque[AlertRaised] = deque(maxlen=ALERTS_KEPT)

    @property
    def newest(self) -> tuple[AlertRaised, ...]:
        """The newest ALERTS_KEPT alerts of the session, oldest first."""
        return tuple(self._newest)

    def raise_(self, kind: str, key: str, text: str) -> None:
        """Journal an alert and hand it on, unless this kind and key were raised and not cleared since."""
        if (kind, key) in self._raised:
            return
        self._raised.add((kind, key))
        alert = AlertRaised(ts_ns=self._desk.now_ns, kind=kind, text=text)
        self._journal.append(alert)
        self._newest.append(alert)
        self._alerter.notify(alert)

    def clear(self, kind: str, key: str) -> None:
        """Note that it has passed; when it comes again it is told of again."""
        self._raised.discard((kind, key))
