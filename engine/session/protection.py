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
# Requests that do no good are made more and more seldom, and in a closed market from the first one on. In an open one
# whoever is naked does not wait long: what was lost on the way may arrive the next time.
AGAIN_S_MAX = 300
AGAIN_OPEN_S_MAX = 12
TRIES_MAX = 2
NAKED = "it has no stop-loss and takes none"


class _Situation(msgspec.Struct, frozen=True):
    """What decides whether a request may do any good: the market is open (None: no price yet), the size, the latch."""

    is_open: bool | None
    units: Decimal
    halted: bool


class _Naked(msgspec.Struct):
    """What was done about a trade without a stop: when to act next, after which wait, how often and when we acted."""

    due_ns: int
    wait_s: int
    situation: _Situation
    tries: int = 0
    acted_ns: int | None = None


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

    def begin_anew(self) -> None:
        """Take every trade without a stop for one that has just lost it: nobody looked meanwhile."""
        self._naked.clear()

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
        if self._dispatcher.trouble or desk.unreconciled:
            return  # it may have a stop that we could not read of
        for trade in bare:
            naked = self._naked_of(trade)
            wait_ns = naked.due_ns - desk.now_ns
            if not 0 < wait_ns <= naked.wait_s * self._second_ns:  # a longer wait means that the clock was set back
                self._plan(naked)
                self._act(trade, naked)

    def _naked_of(self, trade: Trade) -> _Naked:
        """What is known of a naked trade; what was in vain before may do good once its situation has changed."""
        now_ns, situation = self._desk.now_ns, self._situation_of(trade)
        naked = self._naked.get(trade.trade_id)
        if naked is None:
            due_ns = now_ns + PATIENCE_S * self._second_ns
            naked = self._naked[trade.trade_id] = _Naked(due_ns, PATIENCE_S, situation)
        elif naked.situation != situation:
            naked.situation = situation
            if situation.is_open is not False and naked.acted_ns is not None:
                naked.tries, naked.wait_s = 0, AGAIN_S
                naked.due_ns = naked.acted_ns + AGAIN_S * self._second_ns
        return naked

    def _situation_of(self, trade: Trade) -> _Situation:
        desk = self._desk
        quote = desk.quotes.get(trade.instrument)
        return _Situation(quote.tradeable if quote else None, trade.units, bool(desk.halt_reason))

    def _plan(self, naked: _Naked) -> None:
        """Say when to act again if what is done now does no good."""
        is_hopeful = naked.situation.is_open is not False and naked.tries <= TRIES_MAX
        most_s = AGAIN_S_MAX if naked.situation.is_open is False else AGAIN_OPEN_S_MAX
        naked.wait_s = AGAIN_S if is_hopeful else min(max(2 * naked.wait_s, AGAIN_S), most_s)
        naked.acted_ns = self._desk.now_ns
        naked.due_ns = self._desk.now_ns + naked.wait_s * self._second_ns

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
