"""I am the chain: a hash over each batch of events and the hash before it, so that nothing changes unseen.
I may import hashlib.
I must not change: the chain of every file that was ever written is checked with me.
My tests are in tests/unit/store/test_chain.py.
"""

from collections.abc import Iterable
from hashlib import sha256

ORIGIN = bytes(32)

Link = tuple[int, int, int, str, str]


def link(previous: bytes, events: Iterable[Link]) -> bytes:
    """Return the sha256, 32 bytes, of events behind the batch whose chain is `previous` (ORIGIN: they are the first).

    An event is given as seq, run_id, ts_ns, kind and payload; a payload is one line, so that none runs into the next.
    """
    lines = [f"{seq} {run_id} {ts_ns} {kind} {payload}\n" for seq, run_id, ts_ns, kind, payload in events]
    return sha256(previous + "".join(lines).encode()).digest()
