"""I am the streams: prices and transactions as lines of JSON that never end.
I may import the simulated venue, desk, rendering and text.
I must not replay: a stream begins at the moment it was opened.
My tests are in tests/unit/venue: test_streams.py; and in tests/contract/test_venue.py.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from engine.domain.market import Quote
from engine.venue.desk import Desk
from engine.venue.rendering import Renderer
from engine.venue.text import Dates

# OANDA sends at most four prices a second and instrument; what comes between is dropped.
PRICE_INTERVAL_S = 0.25


async def price_lines(
    desk: Desk, names: Sequence[str], dates: Dates, heartbeat_s: float, *, snapshot: bool
) -> AsyncIterator[bytes]:
    """Yield every price once, the present ones first if a snapshot is wanted, and a heartbeat every few seconds."""
    loop = asyncio.get_running_loop()
    sent: dict[str, Quote] = {} if snapshot else {name: desk.exchange.quotes[name] for name in names}
    free_s = dict.fromkeys(names, 0.0)
    beat_s = loop.time() + heartbeat_s
    while not desk.market.is_closed:
        now_s = loop.time()
        for name in names:
            quote = desk.exchange.quotes[name]
            if sent.get(name) is not quote and now_s >= free_s[name]:
                sent[name], free_s[name] = quote, now_s + PRICE_INTERVAL_S
                yield _line(desk.figures.price(quote, dates))
        if now_s >= beat_s:
            beat_s += heartbeat_s
            yield _line({"type": "HEARTBEAT", "time": dates(desk.market.advance())})
        held_back = [free_s[name] for name in names if sent.get(name) is not desk.exchange.quotes[name]]
        await desk.market.news(max(min([beat_s, *held_back]) - loop.time(), 0.0))


async def transaction_lines(desk: Desk, renderer: Renderer, heartbeat_s: float) -> AsyncIterator[bytes]:
    """Yield a heartbeat at once and every few seconds, and each transaction that is made from now on."""
    loop = asyncio.get_running_loop()
    seen, beat_s = desk.book.last_id, loop.time()
    while not desk.market.is_closed:
        for entry in desk.book.since(seen):
            seen = entry.id
            yield _line(renderer.transaction(entry))
        if loop.time() >= beat_s:
            beat_s += heartbeat_s
            now_ns = desk.market.advance()
            if desk.book.last_id == seen:
                time = renderer.date(now_ns)
                yield _line({"type": "HEARTBEAT", "time": time, "lastTransactionID": str(seen)})
        await desk.market.news(max(beat_s - loop.time(), 0.0))


def _line(message: Mapping[str, Any]) -> bytes:
    return orjson.dumps(message) + b"\n"
