"""I am the guard of what is open: a trade that we manage has a stop-loss at the broker within seconds, or is closed.
I may import the domain, ports, sizing and the desk.
I must not touch a trade that is not ours, nor wait for a person: a naked position does not.
My tests are in tests/unit/session/test_protection.py.
"""

import logging
from decimal import Decimal

import msgspec

from engine.domain.account import Trade
from engine.domain.event import ProtectionSent, TradeCloseSent
from engine.domain.instrument import Instrument
from engine.domain.limits import StopMode
from engine.domain.market import NS_PER_S
from engine.ports import Broker, Journal, KillSwitch
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher, pace_of
from engine.sizing import stop_distance

log = logging.getLogger("engine.session")
# The stop of an entry stands in the log right behind the fill; a page of the log may end between the two.
PATIENCE_S = 2
AGAIN_S = 3
TRIES_MAX = 2
NAKED = "it has no stop-loss and takes none"


class _Naked(msgspec.Struct):
    """Since when a trade has no stop, how often one was sent, and when to act next."""

    due_ns: int
    tries: int = 0


class Guardian:
    """Watches every open trade of ours. While halted a stop is still set, for it opens nothing; nothing is closed."""

    def __init__(self, desk: Desk, broker: Broker, journal: Journal, kill: KillSwitch, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._broker = broker
        self._journal = journal
        self._kill = kill
        self._dispatcher = dispatcher
        self._second_ns = int(NS_PER_S * pace_of(desk.config))
        self._naked: dict[str, _Naked] = {}

    def look(self) -> None:
        """Act on each trade that has been without a stop for too long; forget those that have one now."""
        desk = self._desk
        if desk.ledger.flat:
            self._naked.clear()
            return
        bare = [trade for trade in desk.ledger.open_trades if trade.stop_loss is None and desk.is_ours(trade)]
        if not bare and not self._naked:
            return
        ids = {trade.trade_id for trade in bare}
        self._naked = {key: kept for key, kept in self._naked.items() if key in ids}
        if self._dispatcher.trouble:
            return  # it may have a stop that we could not read of
        for trade in bare:
            naked = self._naked.setdefault(trade.trade_id, _Naked(due_ns=desk.now_ns + PATIENCE_S * self._second_ns))
            wait_ns = naked.due_ns - desk.now_ns
            if not 0 < wait_ns <= AGAIN_S * self._second_ns:  # a longer wait means that the clock was set back
                naked.due_ns = desk.now_ns + AGAIN_S * self._second_ns
                self._act(trade, naked)

    def _act(self, trade: Trade, naked: _Naked) -> None:
        naked.tries += 1
        if naked.tries > TRIES_MAX and not self._kill.engaged():
            self.close(trade, NAKED)
        elif stop := self._stop_of(trade):
            self._protect(trade, stop)

    def _protect(self, trade: Trade, stop: Decimal) -> None:
        log.warning("trade %s has no stop-loss; setting %s", trade.trade_id, stop, extra={"subsystem": "risk"})
        self._journal.append(ProtectionSent(ts_ns=self._desk.now_ns, trade_id=trade.trade_id, stop_loss=stop))
        self._journal.commit()
        self._broker.protect(trade.trade_id, trade.instrument, stop)
        self._look_at_the_log()

    def close(self, trade: Trade, reason: str, command_id: str | None = None, *, through_halt: bool = False) -> None:
        """Close one trade at the market, once, unless the latch is set; what came of it is in the log."""
        log.warning("closing trade %s: %s", trade.trade_id, reason, extra={"subsystem": "risk"})
        event = TradeCloseSent(ts_ns=self._desk.now_ns, trade_id=trade.trade_id, reason=reason, command_id=command_id)
        self._journal.append(event)
        self._journal.commit()
        if self._kill.engaged() and not through_halt:
            return
        self._broker.close_trade(trade.trade_id, trade.instrument)
        self._look_at_the_log()

    def _look_at_the_log(self) -> None:
        """Whatever was answered, the log knows; a request that did no good is made again, because it opens nothing."""
        self._dispatcher.sync(afresh=True)
        self._desk.mark()

    def _stop_of(self, trade: Trade) -> Decimal | None:
        """Where the stop goes: as far from the present price as an entry's would be; None without a price."""
        desk = self._desk
        quote = desk.quotes.get(trade.instrument)
        spec = desk.offered.get(trade.instrument)
        if quote is None or spec is None:
            return None
        distance = self._distance(trade.instrument, spec)
        if trade.units > 0:
            stop = spec.round_price_down(quote.bid - distance)
        else:
            stop = spec.round_price_up(quote.ask + distance)
        return stop if stop > 0 else None

    def _distance(self, instrument: str, spec: Instrument) -> Decimal:
        desk = self._desk
        window = desk.windows.get(instrument)
        if desk.limits.stop_mode is StopMode.PIPS or window is None or not window.full:
            return desk.limits.stop_loss_pips * spec.pip_size
        return stop_distance(desk.limits, spec, window)
