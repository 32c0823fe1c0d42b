"""I am paper trading: the simulated broker lives on quotes that come from elsewhere.
I may import the domain, ports and the simulated broker.
I must not make prices, nor keep one from the session that the broker has seen.
My tests are in tests/unit/adapters/sim/test_paper.py.
"""

from collections.abc import Sequence

from engine.adapters.sim.broker import SimBroker
from engine.domain.market import Bar, Granularity, Quote
from engine.ports import MarketData


class QuotedMarketData:
    """Passes another market's data on, after `broker` has lived through its quotes; implements ports.MarketData.

    `also` names instruments that are followed for the broker's sake alone: their prices convert currencies.
    """

    def __init__(self, *, inner: MarketData, broker: SimBroker, also: Sequence[str]) -> None:
        self._inner = inner
        self._broker = broker
        self._also = tuple(also)
        self._followed: frozenset[str] = frozenset()

    def start(self, instruments: Sequence[str], granularity: Granularity) -> None:
        """Begin to follow these instruments, and those that convert; raises ConfigError."""
        self._followed = frozenset(instruments)
        self._inner.start((*instruments, *(name for name in self._also if name not in self._followed)), granularity)

    def watch(self, instrument: str) -> None:
        """Bring quotes of one more instrument from now on."""
        self._followed |= {instrument}
        self._inner.watch(instrument)

    def poll(self, now_ns: int) -> Sequence[Quote | Bar]:
        """Let the broker live through every new quote, oldest first, and return what the session follows.

        A quote without a sane price of both sides is not for the broker; the session refuses it by itself.
        """
        items = self._inner.poll(now_ns)
        self._broker.advance(now_ns)
        for item in items:
            if isinstance(item, Quote) and 0 < item.bid <= item.ask:
                self._broker.on_quote(item)
        return [item for item in items if item.instrument in self._followed]

    def history(self, instrument: str, count: int) -> Sequence[Bar]:
        """Return up to `count` newest closed bars known now, oldest first."""
        return self._inner.history(instrument, count)

    def next_due_ns(self) -> int | None:
        """Return when the next item is expected."""
        return self._inner.next_due_ns()
