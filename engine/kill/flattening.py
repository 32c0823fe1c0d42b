"""I am the flattening: nothing waits and nothing is held at the broker, or I say what is still there.
I may import wiring, config, the domain and what lies beside me.
I must not call an account flat that was not seen flat, nor send a request twice without looking in between.
My tests are in tests/unit/test_kill.py and tests/contract/test_kill.py.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial

import msgspec

from engine import wiring
from engine.config import Settings
from engine.domain.account import WorkingOrder
from engine.domain.error import HaltTrading, RetryLater
from engine.domain.market import NS_PER_S
from engine.kill.actions import ActionLog
from engine.kill.halting import NotWritten, make, read
from engine.redaction import account_tail

_SHOWN_MAX = 8


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Real seconds: until no new round begins, between rounds, and how old HALT must be before flat is believed.

    An engine that has seen HALT sends nothing more, but a request may have left it just before; it waits ten seconds
    for the answer of that, and so do we.
    """

    timeout_s: float = 60.0
    pause_s: float = 2.0
    settle_s: float = 10.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the account was seen flat with nothing left that could open it again, and the sentence that says so."""

    flat: bool
    text: str


def checked_account(settings: Settings) -> str:
    """Name the account that would be flattened; raises ConfigError when there is none."""
    wiring.emergency(settings).close()
    return account_name(settings)


def account_name(settings: Settings) -> str:
    """Name the account by its last four characters and its environment, and the address if it is not OANDA's."""
    place = f" at {settings.oanda_loopback_url}" if settings.oanda_loopback_url else ""
    return f"account {account_tail(settings.oanda_account_id)} ({settings.oanda_environment}{place})"


def flatten(settings: Settings, tell: Callable[[str], None], patience: Patience | None = None) -> Outcome:
    """Make HALT, then cancel and close until the broker says that nothing is left; `tell` hears of the progress.

    Raises ConfigError, before anything was done, when the settings name no account.
    """
    patience = patience or Patience()
    with closing(wiring.emergency(settings)) as account:
        name = account_name(settings)
        trouble = _halt(settings, tell)
        log = ActionLog(settings.data_dir, account_tail(settings.oanda_account_id), tell)
        log.note(f"flatten {name}", "")
        settled_s = wiring.monotonic_s() + _left_to_settle_s(settings, patience)
        outcome = _Rounds(account, log, tell, name, patience, settled_s).run()
        if outcome.flat and trouble:
            text = f"NOT FLAT: nothing is open in {name} now, but a running engine may open positions again. {trouble}"
            outcome = Outcome(flat=False, text=text)
        log.note(f"flatten {name}", outcome.text)
        return outcome


def _halt(settings: Settings, tell: Callable[[str], None]) -> str:
    """Make HALT; returns why nothing is halted. Positions are closed all the same."""
    try:
        make(settings.halt_path, "flatten")
    except NotWritten as error:
        tell(str(error))
        return "" if settings.halt_path.exists() else str(error)
    return ""


def _left_to_settle_s(settings: Settings, patience: Patience) -> float:
    with suppress(OSError):
        if found := read(settings.halt_path):
            age_s = (wiring.wall_ns() - found.since_ns) / NS_PER_S
            return min(max(patience.settle_s - age_s, 0.0), patience.settle_s)
    return patience.settle_s


class _Rounds:
    """Looks, acts, and looks again; each round sends each request once."""

    def __init__(
        self,
        account: wiring.Emergency,
        log: ActionLog,
        tell: Callable[[str], None],
        name: str,
        patience: Patience,
        settled_s: float,
    ) -> None:
        self._account = account
        self._log = log
        self._tell = tell
        self._name = name
        self._patience = patience
        self._settled_s = settled_s
        self._rounds = 0
        self._last_answer = ""
        self._last_seen: wiring.Standing | None = None

    def run(self) -> Outcome:
        """Go on until the account is flat and stays so, or the time is up, or the broker refuses to be asked."""
        deadline_s = wiring.monotonic_s() + self._patience.timeout_s
        is_fresh = True
        while True:
            try:
                found = self._account.standing()
            except HaltTrading as error:
                return self._unknown(str(error))
            except RetryLater as error:
                if wiring.monotonic_s() >= deadline_s:
                    return self._unknown(str(error))
                self._tell(f"{error} Asking again in {self._patience.pause_s:g} s.")
                wiring.pause(self._patience.pause_s)
                is_fresh = True
                continue
            self._last_seen = found
            if found.flat:
                if (left_s := self._settled_s - wiring.monotonic_s()) <= 0:
                    return self._flat(found)
                self._tell(f"Nothing is open; looking again in {left_s:.0f} s, for a last request may be under way.")
                wiring.pause(left_s)
            elif self._rounds and wiring.monotonic_s() >= deadline_s:
                return self._open(found)
            elif is_fresh:
                self._act(found)
            else:
                wiring.pause(self._patience.pause_s)
            is_fresh = found.flat or not is_fresh

    def _act(self, found: wiring.Standing) -> None:
        """Send one request for each order that could open something and each side that is held."""
        self._rounds += 1
        self._tell(f"Round {self._rounds}: {_what_is_open(found)}.")
        held = {trade.trade_id for trade in found.trades}
        for order in found.orders:
            if order.trade_id not in held:  # the stops and targets of a trade end with it
                self._do(f"cancel {_order_text(order)}", partial(self._account.cancel, order.order_id))
        for side in found.sides:
            self._do(f"close {_side_text(side)}", partial(self._account.close_side, side))

    def _do(self, action: str, send: Callable[[], str]) -> None:
        answer = self._log.carry_out(action, send)
        self._last_answer = f"{action}: {answer}"
        self._tell(f"  {self._last_answer}")

    def _flat(self, found: wiring.Standing) -> Outcome:
        text = (
            f"FLAT: {self._name} has no open trade and no waiting order; balance {found.balance_home} "
            f"{found.currency}, as of transaction {found.last_transaction_id}."
        )
        return Outcome(flat=True, text=text)

    def _open(self, found: wiring.Standing) -> Outcome:
        text = (
            f"NOT FLAT: {self._name} still has {_what_is_open(found)} after {self._rounds} round(s); "
            f"the last answer was to {self._last_answer}."
        )
        return Outcome(flat=False, text=text)

    def _unknown(self, why: str) -> Outcome:
        seen = f"when last seen it had {_what_is_open(self._last_seen)}" if self._last_seen else "it was never seen"
        return Outcome(flat=False, text=f"NOT FLAT: {self._name} could not be asked ({why.rstrip('.')}); {seen}.")


def _what_is_open(found: wiring.Standing) -> str:
    """Name what is open, the longest lists cut."""
    parts = [
        f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({_listed(names)})"
        for what, names in (
            ("open position", [_side_text(side) for side in found.sides]),
            ("waiting order", [_order_text(order) for order in found.orders]),
        )
        if names
    ]
    return " and ".join(parts) or "nothing open"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return ", ".join(names[:_SHOWN_MAX]) + more


def _side_text(side: wiring.Side) -> str:
    return f"{side.instrument} {'long' if side.is_long else 'short'} {abs(side.units)}"


def _order_text(order: WorkingOrder) -> str:
    what = f"{order.units} {order.instrument}" if order.trade_id is None else f"of trade {order.trade_id}"
    return f"order {order.order_id}, {order.kind} {what}"
