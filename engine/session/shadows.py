"""I am the shadows: what a signal that gates have blocked would have come to, followed bar by bar.
I may import the domain, ports, the desk and the planning of decide.
I must not send anything, nor change what is decided, sized or counted as traded.
My tests are in tests/unit/session/test_shadows.py and test_shadows_properties.py.
"""

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from engine.domain.calendar import next_rollover_ns
from engine.domain.decision import Decision, Gate
from engine.domain.event import BlockedOutcome, Ending, SessionState
from engine.domain.market import Bar, Quote
from engine.ports import Journal
from engine.session.decide import planned
from engine.session.desk import Desk

ZERO = Decimal(0)
BARS_MAX = 1_000
HOME_STEP, R_STEP = Decimal("0.0001"), Decimal("0.000001")
DAYS_PER_YEAR = 365

# Without a price that could have been had there is nothing to follow.
UNPRICED = frozenset({"quote", "quote_age", "size", "foreign_trade", "unpriced"})


class _Shadow(msgspec.Struct, kw_only=True):
    """A virtual trade; units are signed, financing is what holding it has earned so far, in quote currency."""

    bar_ts_ns: int
    direction: int
    gates: tuple[str, ...]
    entry_price: Decimal
    units: Decimal
    stop_loss: Decimal
    take_profit: Decimal | None
    risk_home: Decimal
    rollover_ns: int
    financing: Decimal = ZERO
    bars: int = 0


class Shadows:
    """Follows at most one virtual trade per instrument: an opposite signal ends it, so that is one per side, too."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal
        self._open: dict[str, _Shadow] = {}

    def follow(self, bar: Bar) -> None:
        """Let a bar that has closed since run against what is open in its instrument, before it is judged."""
        shadow = self._open.get(bar.instrument)
        if shadow is None:
            return
        if shadow.bars == BARS_MAX:
            self._drop(bar.instrument)
            return
        shadow.bars += 1
        close_ns = bar.close_ts_ns
        while shadow.rollover_ns < close_ns:
            self._charge(shadow, bar.instrument, bar.bid_open + bar.ask_open)
        reached = _reached(shadow, bar)
        if reached is not None:
            self._end(shadow, bar.instrument, *reached)
        elif shadow.rollover_ns == close_ns:
            self._charge(shadow, bar.instrument, bar.bid_close + bar.ask_close)

    def judged(self, bar: Bar, decision: Decision, *, is_blocked: bool) -> None:
        """End what the model has turned against, and begin to follow what was blocked; the orders leave after this."""
        shadow = self._open.get(bar.instrument)
        if shadow is not None and decision.direction == -shadow.direction:
            price = bar.bid_close if shadow.units > 0 else bar.ask_close
            self._end(shadow, bar.instrument, price, Ending.SIGNAL)
            shadow = None
        if is_blocked and shadow is None:
            self._begin(decision)

    def _begin(self, decision: Decision) -> None:
        blocking = decision.blocking
        quote = self._desk.quotes.get(decision.instrument)
        if quote is None or any(gate.name in UNPRICED for gate in blocking):
            return
        direction = decision.direction
        plan = planned(self._desk, decision.instrument, direction, quote)
        entry, closing = (quote.ask, quote.bid) if direction > 0 else (quote.bid, quote.ask)
        # a broker opens nothing whose stop would be filled at once
        if plan.risk_home <= 0 or (closing - plan.stop_loss) * direction <= 0:
            return
        self._open[decision.instrument] = _Shadow(
            bar_ts_ns=decision.bar_ts_ns,
            direction=direction,
            gates=_names(self._desk, blocking),
            entry_price=entry,
            units=plan.units,
            stop_loss=plan.stop_loss,
            take_profit=plan.take_profit,
            risk_home=plan.risk_home,
            rollover_ns=next_rollover_ns(self._desk.now_ns),
        )
        self._desk.shadows_open = len(self._open)

    def _charge(self, shadow: _Shadow, instrument: str, twice_mid: Decimal) -> None:
        """Hold over one rollover. The venue charges the weekend on Wednesday, here each night pays for itself."""
        spec = self._desk.instruments[instrument]
        rate = spec.financing_long if shadow.units > 0 else spec.financing_short
        shadow.financing += abs(shadow.units) * twice_mid / 2 * rate / DAYS_PER_YEAR
        shadow.rollover_ns = next_rollover_ns(shadow.rollover_ns)

    def _end(self, shadow: _Shadow, instrument: str, price: Decimal, ended: Ending) -> None:
        quote = self._desk.quotes[instrument]
        exit_price = self._desk.instruments[instrument].round_price(price)
        financing_home = _booked(shadow.financing, quote)
        result_home = _booked((exit_price - shadow.entry_price) * shadow.units, quote) + financing_home
        self._journal.append(
            BlockedOutcome(
                ts_ns=self._desk.now_ns,
                instrument=instrument,
                bar_ts_ns=shadow.bar_ts_ns,
                direction=shadow.direction,
                gates=shadow.gates,
                entry_price=shadow.entry_price,
                exit_price=exit_price,
                units=shadow.units,
                financing_home=financing_home,
                result_home=result_home,
                result_r=(result_home / shadow.risk_home).quantize(R_STEP, rounding=ROUND_HALF_EVEN),
                ended=ended,
                bars=shadow.bars,
            )
        )
        self._desk.shadows_ended += 1
        self._drop(instrument)

    def _drop(self, instrument: str) -> None:
        del self._open[instrument]
        self._desk.shadows_open = len(self._open)


def _reached(shadow: _Shadow, bar: Bar) -> tuple[Decimal, Ending] | None:
    """Fill stop or target as the simulated exchange does: of both in one bar the stop, over a gap at the open."""
    stop, target = shadow.stop_loss, shadow.take_profit
    if shadow.units > 0:
        if bar.bid_low <= stop:
            return min(stop, bar.bid_open), Ending.STOP
        if target is not None and bar.bid_high >= target:
            return max(target, bar.bid_open), Ending.TARGET
        return None
    if bar.ask_high >= stop:
        return max(stop, bar.ask_open), Ending.STOP
    if target is not None and bar.ask_low <= target:
        return min(target, bar.ask_open), Ending.TARGET
    return None


def _booked(amount: Decimal, quote: Quote) -> Decimal:
    """Convert as a broker books it: a charge for converting makes a loss dearer and takes as much from a gain."""
    rate = quote.loss_rate if amount < 0 else 2 * quote.home_rate - quote.loss_rate
    return (amount * rate).quantize(HOME_STEP, rounding=ROUND_HALF_EVEN)


def _names(desk: Desk, blocking: tuple[Gate, ...]) -> tuple[str, ...]:
    """Name what has blocked; instead of the trading state all that stands behind it, each breaker by its own name."""
    names: list[str] = []
    for gate in blocking:
        names += _behind_the_state(desk) if gate.name == "trading_state" else (gate.name,)
    return tuple(names)


def _behind_the_state(desk: Desk) -> tuple[str, ...]:
    held = {
        "halt": bool(desk.halt_reason),
        **{f"breaker {trip.breaker}": True for trip in desk.panel.trips if not trip.instrument},
        "degraded": desk.state is SessionState.DEGRADED,
        "disarmed": desk.disarmed,
        "pause": desk.paused,
    }
    return tuple(name for name, holds in held.items() if holds) or ("trading_state",)
