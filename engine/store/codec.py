"""I am the translation of events to JSON and back, and the digest that tells whether two runs were equal.
I may import the domain and msgspec.
I must not know SQLite.
My tests are in tests/unit/store/test_codec.py.
"""

import hashlib
import re

import msgspec

from engine.domain.event import KINDS, CommandAccepted, CommandRefused, Event, OrderInitialized, SessionStarted

# Sorted mappings: a decoded event encodes to the very bytes it came from, whatever order its dicts were made in.
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODERS = {kind: msgspec.json.Decoder(event_type) for kind, event_type in KINDS.items()}

encode = _ENCODER.encode


def decode(kind: str, payload: str | bytes) -> Event:
    """Read an event back; raises ValueError naming what is wrong with the kind or the payload."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ValueError(f"event kind {kind!r} is unknown")
    event: Event = decoder.decode(payload)
    return event


def _without_circumstances(event: Event, payload: bytes) -> bytes:
    """Leave out what two equal runs may differ in: who asked, how fast it was played, from which folder, its number.

    Works on the JSON as it was recorded, so that an event which has gained a field since keeps its digest.
    """
    if isinstance(event, OrderInitialized) and event.command_id is None:
        return payload
    told = msgspec.json.decode(payload)
    if isinstance(event, OrderInitialized):
        told["command_id"] = None
    elif isinstance(event, CommandAccepted | CommandRefused):
        told["command_id"] = ""
    elif isinstance(event, SessionStarted):
        told["config"]["speed"] = None
        told["config"]["bars"] = [(instrument, "") for instrument, _ in event.config.bars]
        if event.continues is not None:
            told["continues"] = 0
    return msgspec.json.encode(told)


_NAMES = {event_type: kind.encode() for kind, event_type in KINDS.items()}
_WITH_CIRCUMSTANCES = frozenset((OrderInitialized, CommandAccepted, CommandRefused, SessionStarted))


class RunDigest:
    """A sha256 over kind and payload (which begins with the time) of each event of one run, whatever its number.

    Client order ids begin with "<run_id>-"; the number is taken out of them wherever they stand in a payload.
    """

    def __init__(self, run_id: int) -> None:
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._prefix = b"%d-" % run_id
        # begins with the number itself, which is several times faster to search for than a word boundary
        self._in_order_id = re.compile(rb"%d(?<!\w%d)(?=-[A-Z0-9]{2,12}_[A-Z0-9]{2,6}-\d)" % (run_id, run_id))

    def add(self, event: Event, payload: bytes) -> None:
        """Take in one event, given with its encoding."""
        kind = type(event)
        if kind in _WITH_CIRCUMSTANCES:
            payload = _without_circumstances(event, payload)
        if self._prefix in payload:
            payload = self._in_order_id.sub(b"", payload)
        self._waiting += (_NAMES[kind], payload)

    def settle(self) -> None:
        """Hash what has been taken in; one big update is cheaper than many small ones."""
        if self._waiting:
            self._hash.update(b"\n".join(self._waiting) + b"\n")
            self._waiting.clear()

    def hexdigest(self) -> str:
        """Return the digest of every event taken in so far, 64 hex digits."""
        self.settle()
        return self._hash.hexdigest()
