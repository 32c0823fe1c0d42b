"""I am the line to the broker: what the engine takes for its broker, with all that a line can do to a request.
I may import the domain, ports and the other parts of this folder.
I must not keep anything that has to outlive the process: that is the venue's.
My tests are in tests/simulation/test_gate.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from engine.domain.account import Account, Holdings
from engine.domain.error import RetryLater
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent
from engine.domain.transaction import Transaction
from engine.ports import Answered, NotSent, Opening, SubmitOutcome, Unresolved
from tests.simulation.faults import CrashPoints, Faults
from tests.simulation.venue import Venue

ACCOUNT = "simulated-1"
LOST = Unresolved(reason="no answer within 5 s")
SERVER_ERROR = Unresolved(reason="status 503")
NOT_SENT = NotSent(reason="connection refused")


class Witness(Protocol):
    """Who is told of everything that goes through the line, before it goes."""

    def on_submit(self, intent: OrderIntent) -> None: ...
    def on_failed(self, intent: OrderIntent, *, is_sure: bool) -> None: ...
    def on_protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> None: ...
    def on_close_trade(self, trade_id: str, instrument: str) -> None: ...


class Line:
    """Implements ports.Broker on a venue. `trouble` says of this step that the log could not be read at last.

    `read_afresh` says that the log was read without short cuts, `lie_id` as of which transaction holdings were told
    last that differ from the log (0: none), `held_ns` when holdings were told last (0: never), `hurt` that something
    was not told, or not in time, `unseen` that holdings could not be told when the engine asked for them last, in a
    step in which no person asks for anything (`is_asked`).
    """

    def __init__(self, venue: Venue, faults: Faults, points: CrashPoints, witness: Witness) -> None:
        self._venue = venue
        self._faults = faults
        self._points = points
        self._witness = witness
        self.held_ns = 0
        self.trouble = False
        self._has_sent = False
        self.read_afresh = False
        self.lie_id = 0
        self.hurt = False
        self.unseen = self.is_asked = False

    def begin_step(self) -> None:
        """Forget what was noted of the step before."""
        self.trouble = self.read_afresh = self.hurt = self._has_sent = False
        self.lie_id = 0

    def opening(self) -> Opening:
        self._points.at("broker.opening.before")
        held = self._venue.sim.holdings()
        self._points.at("broker.opening.after")
        return Opening(
            balance_home=held.balance_home,
            last_transaction_id=held.last_transaction_id,
            trades=held.trades,
            orders=held.orders,
            account=ACCOUNT,
        )

    def account(self) -> Account:
        self._points.at("broker.account.before")
        self._fail("account_unreadable")
        account = self._venue.sim.account()
        self._points.at("broker.account.after")
        return account

    def instruments(self) -> Mapping[str, Instrument]:
        return self._venue.sim.instruments()

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        self._points.at("broker.submit.before")
        self._witness.on_submit(intent)
        outcome = self._submit(intent)
        self._has_sent = True
        if not isinstance(outcome, Answered):
            self._witness.on_failed(intent, is_sure=isinstance(outcome, NotSent))
        self._points.at("broker.submit.after")
        return outcome

    def _submit(self, intent: OrderIntent) -> SubmitOutcome:
        venue, hit = self._venue, self._faults.hit
        for kind, outcome in _NOWHERE.items():
            if hit(kind):
                return outcome
        for kind, (low_s, high_s) in _LATE.items():
            if hit(kind):
                venue.take_later(intent, self._faults.how(kind).randint(low_s, high_s) * NS_PER_S)
                return LOST
        for kind, deed in _HARD.items():
            if hit(kind):
                deed(venue, intent)
                return self._answered()
        if hit("submit_5xx"):
            if self._faults.how("submit_5xx").random() < 0.5:
                venue.take(intent)
            return SERVER_ERROR
        venue.take(intent)
        return LOST if hit("submit_lost_answer") else self._answered()

    def holdings(self) -> Holdings:
        self._points.at("broker.holdings.before")
        self.unseen = self.unseen or not self.is_asked  # else it may have been a person who wanted to know
        self._fail("holdings_unreadable")
        self.unseen = False
        held = self._venue.sim.holdings()
        self.lie_id, self.held_ns = 0, self._venue.now_ns
        if self._faults.hit("holdings_stale"):
            self.hurt = True
            held = replace(held, last_transaction_id=held.last_transaction_id + 1)
        elif self._faults.hit("holdings_differ"):
            self.lie_id = held.last_transaction_id
            held = _different(held)
        self._points.at("broker.holdings.after")
        return held

    def protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> SubmitOutcome:
        self._points.at("broker.protect.before")
        self._witness.on_protect(trade_id, instrument, stop_loss)
        if self._venue.refuses_stop(trade_id, self._refusals):
            outcome: SubmitOutcome = self._answered()
        else:
            outcome = self._serve("protect", lambda: self._venue.sim.protect(trade_id, instrument, stop_loss))
        self._points.at("broker.protect.after")
        return outcome

    def close_trade(self, trade_id: str, instrument: str) -> SubmitOutcome:
        self._points.at("broker.close_trade.before")
        self._witness.on_close_trade(trade_id, instrument)
        outcome = self._serve("close", lambda: self._venue.sim.close_trade(trade_id, instrument))
        self._points.at("broker.close_trade.after")
        return outcome

    def transactions_since(self, transaction_id: int, *, afresh: bool = False) -> Sequence[Transaction]:
        self._points.at("broker.transactions_since.before")
        self.trouble = True
        self._fail("log_unreadable")
        if self._has_sent:  # what an order has done is what one wants to know most
            self._has_sent = False
            self._fail("log_unreadable_behind")
        if afresh and self.held_ns:  # before it a run would not even begin
            self._fail("log_unreadable_afresh")
        found = self._read(transaction_id, afresh)
        self.trouble = False
        self.read_afresh |= afresh
        self._points.at("broker.transactions_since.after")
        return found

    def _read(self, transaction_id: int, afresh: bool) -> Sequence[Transaction]:
        venue, faults = self._venue, self._faults
        if faults.hit("log_lags"):
            self.hurt = True
            venue.lag(venue.now_ns + faults.how("log_lags").randint(1, 15) * NS_PER_S)
        end_id = venue.visible_id
        self.hurt |= end_id < venue.last_id
        if end_id <= transaction_id:
            if transaction_id and faults.hit("log_repeated"):
                return venue.log[max(transaction_id - faults.how("log_repeated").randint(1, 5), 0) : transaction_id]
            return ()
        if not afresh and faults.hit("log_lazy"):
            self.hurt = True
            return ()
        if end_id - transaction_id > 1 and faults.hit("log_cut_short"):
            self.hurt = True
            end_id = faults.how("log_cut_short").randint(transaction_id + 1, end_id - 1)
        first = transaction_id
        if transaction_id and faults.hit("log_repeated"):
            first = max(transaction_id - faults.how("log_repeated").randint(1, 5), 0)
        found = list(venue.log[first:end_id])
        if len(found) > 1 and faults.hit("log_hole"):
            self.hurt = True
            del found[faults.how("log_hole").randrange(len(found) - 1)]
        return found

    def _refusals(self) -> int:
        """How often the broker will not take a stop for a trade."""
        return self._faults.how("protect_refused").choice((2, 8, 100)) if self._faults.hit("protect_refused") else 0

    def _serve(self, what: str, serve: Callable[[], SubmitOutcome]) -> SubmitOutcome:
        hit = self._faults.hit
        if what == "protect" and hit("protect_not_sent"):
            self.hurt = True
            return NOT_SENT
        if hit(f"{what}_lost"):
            self.hurt = True
            return LOST
        serve()
        return LOST if hit(f"{what}_lost_answer") else self._answered()

    def _answered(self) -> Answered:
        return Answered(last_transaction_id=self._venue.last_id)

    def _fail(self, kind: str) -> None:
        if self._faults.hit(kind):
            self.hurt = True
            raise RetryLater(f"{kind.replace('_', ' ')}: status 503")


_NOWHERE: dict[str, SubmitOutcome] = {"submit_not_sent": NOT_SENT, "submit_lost_order": LOST}
_LATE = {"submit_late": (1, 45), "submit_too_late": (61, 180)}
_HARD: dict[str, Callable[[Venue, OrderIntent], None]] = {
    "submit_rejected": lambda venue, intent: venue.reject(intent, "INSUFFICIENT_FUNDS"),
    "submit_bounds": lambda venue, intent: venue.take_after_a_move(intent, 5),
    "submit_illiquid": lambda venue, intent: venue.cancel(intent, "INSUFFICIENT_LIQUIDITY"),
    "submit_halted": lambda venue, intent: venue.take_while_halted(intent),
    "submit_partly": lambda venue, intent: venue.take_partly(intent),
}


def _different(held: Holdings) -> Holdings:
    """Tell of holdings that the log does not explain: a trade more, less or of another size, a stop, or a balance."""
    how = held.last_transaction_id % 4
    if not held.trades:
        return replace(held, balance_home=held.balance_home + Decimal("0.01"))
    first, rest = held.trades[0], held.trades[1:]
    if how == 0:
        return replace(held, trades=rest)
    if how == 1:
        return replace(held, trades=(*held.trades, replace(first, trade_id=str(held.last_transaction_id + 1_000))))
    changed = {"units": first.units * 2} if how == 2 else {"stop_loss": None if first.stop_loss else first.price}
    return replace(held, trades=(replace(first, **changed), *rest))
