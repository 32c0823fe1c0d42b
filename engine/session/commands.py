"""I am the counter for requests: each command is checked, carried out once, and gets a verdict.
I may import the domain, ports and the desk.
I must not refuse a halt or a flatten for staleness, nor do one request twice.
My tests are in tests/unit/session/test_commands.py.
"""

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine.domain.calendar import iso_utc
from engine.domain.command import LOOSEN, Command
from engine.domain.error import ConfigError
from engine.domain.event import (
    BreakerReleased,
    Claim,
    CommandAccepted,
    CommandRefused,
    LimitsChanged,
    LiveArmed,
    NewsSet,
    SessionState,
    TradeClaimed,
)
from engine.domain.limit_changes import Change, changes, check_keys
from engine.domain.limits import Effect, RiskLimits, limit_fields
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderReason
from engine.ports import Journal, KillSwitch
from engine.risk.hours import taken_out
from engine.session.audit import RECONCILIATION, Auditor
from engine.session.decide import exit_intent, preview
from engine.session.desk import Desk
from engine.session.dispatch import Dispatcher
from engine.session.protection import Guardian
from engine.session.strictness import no_loosening
from engine.snapshot import Verdict

SEEN_MAX = 1_000
FLATTEN_RETRY_NS = 5 * NS_PER_S
ZERO = Decimal(0)
CLOSE = "close"
_NOTHING_OPEN = "stopping; no open position"


class Refusal(Exception):
    """A command cannot be carried out; the text is the reason shown to the operator."""


class CommandDesk:
    """Carries commands out; handlers are found by class name, which survives a reload of the command's module."""

    def __init__(
        self,
        desk: Desk,
        dispatcher: Dispatcher,
        guardian: Guardian,
        auditor: Auditor,
        journal: Journal,
        kill: KillSwitch,
    ) -> None:
        self._desk = desk
        self._kill = kill
        self._dispatcher = dispatcher
        self._guardian = guardian
        self._auditor = auditor
        self._journal = journal
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._flatten_due_ns = 0
        self.stop_reason = ""
        self._handlers: dict[str, Callable[[Any], str]] = {
            "StopSession": self._stop,
            "ArmLive": self._arm,
            "ClaimTrade": self._claim,
            "PauseEntries": self._pause,
            "ResumeTrading": self._resume,
            "HaltTrading": self._halt,
            "FlattenAll": self._flatten_all,
            "ClosePosition": self._close,
            "UpdateRiskLimits": self._update_limits,
            "AcknowledgeBreaker": self._acknowledge,
            "SetNews": self._set_news,
            "TryOrder": self._try,
        }

    def handle(self, command: Command) -> None:
        """Carry one command out, unless its id was seen before, and record the verdict."""
        if command.command_id in self._seen:
            return
        self._seen[command.command_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        name = type(command).__name__
        handler = self._handlers.get(name)
        try:
            if handler is None:
                raise Refusal("a session is already active; stop it first")
            self._verdict(command, True, handler(command))
        except Refusal as refusal:
            self._verdict(command, False, str(refusal))

    def flatten(self) -> None:
        """Close what is still open, again every few seconds until the books are flat."""
        desk = self._desk
        if not desk.ledger.held and desk.orders.idle:
            desk.flattening = None
            return
        if 0 < self._flatten_due_ns - desk.now_ns <= FLATTEN_RETRY_NS:  # longer: the clock was set back
            return
        self._flatten_due_ns = desk.now_ns + FLATTEN_RETRY_NS
        for instrument in desk.ledger.held:
            # an order of unknown outcome does not keep us: reduce-only orders cannot open the other side
            if instrument not in desk.offered:
                self._close_trades(instrument, "flatten", desk.flattening, through_halt=True)
                continue
            units = -desk.ledger.units(instrument)
            if not units:
                continue  # closed meanwhile: the order before this one has read the log on
            intent = exit_intent(desk, instrument, units, OrderReason.FLATTEN, desk.now_ns)
            self._dispatcher.send(intent, ZERO, desk.flattening)
        desk.mark()
        if not desk.ledger.held and desk.orders.idle:
            desk.flattening = None

    def _close_trades(
        self, instrument: str, reason: str, command_id: str | None, *, through_halt: bool = False
    ) -> None:
        """Close what is held in an instrument that takes no order any more; its trades may still be closed."""
        for trade in self._desk.ledger.trades_of(instrument):
            self._guardian.close(trade, reason, command_id, through_halt=through_halt)

    def _verdict(self, command: Command, accepted: bool, detail: str) -> None:
        desk, name = self._desk, type(command).__name__
        if accepted:
            self._journal.append(
                CommandAccepted(ts_ns=desk.now_ns, command_id=command.command_id, command=name, detail=detail)
            )
        else:
            self._journal.append(
                CommandRefused(ts_ns=desk.now_ns, command_id=command.command_id, command=name, reason=detail)
            )
        desk.verdicts.append(
            Verdict(command_id=command.command_id, command=name, accepted=accepted, detail=detail, ts_ns=desk.now_ns)
        )

    def _stop(self, command: Any) -> str:
        self._desk.state = SessionState.STOPPING
        self.stop_reason = "stopped by the operator"
        held, unknown = len(self._desk.ledger.held), len(self._desk.orders.open_orders)
        where = "at the broker, with their stops" if self._desk.config.mode.sends_orders else "in the books of this run"
        text = f"stopping; {held} open position(s) stay open {where}" if held else _NOTHING_OPEN
        return f"{text}; the outcome of {unknown} order(s) is not known" if unknown else text

    def _arm(self, command: Any) -> str:
        desk = self._desk
        if not desk.arming_phrase:
            raise Refusal("this session needs no arming; only a live one does")
        if command.phrase != desk.arming_phrase:
            raise Refusal(f"{command.phrase!r} is not the phrase that this account is armed with")
        until_ns = desk.arm()
        self._journal.append(LiveArmed(ts_ns=desk.now_ns, until_ns=until_ns))
        return f"armed until {iso_utc(until_ns)}"

    def _claim(self, command: Any) -> str:
        desk, trade_id = self._desk, command.trade_id
        trade = next((each for each in desk.foreign_trades() if each.trade_id == trade_id), None)
        if trade is None:
            raise Refusal(f"trade {trade_id} is not an open trade that Keel did not open")
        if command.choice == CLOSE:
            self._refuse_unreconciled()
            if halted := self._kill.engaged():
                raise Refusal(f"halted: {halted}; flatten closes everything even so")
            self._guardian.close(trade, "the operator's choice", command.command_id)
            is_open = any(each.trade_id == trade_id for each in desk.ledger.open_trades)
            return (
                f"trade {trade_id} is NOT closed; its close is under way or was refused"
                if is_open
                else (f"trade {trade_id} is closed")
            )
        if command.choice not in tuple(Claim):
            raise Refusal(f"{command.choice!r} is no choice; it must be {', '.join(Claim)} or {CLOSE}")
        claim = Claim(command.choice)
        desk.claims[trade_id] = claim
        self._journal.append(TradeClaimed(ts_ns=desk.now_ns, trade_id=trade_id, claim=claim))
        if claim is Claim.IGNORE:
            return f"trade {trade_id} is left alone; nothing is traded in {trade.instrument} while it is open"
        return f"trade {trade_id} is managed from now on; it gets a stop-loss if it has none"

    def _pause(self, command: Any) -> str:
        self._desk.paused = True
        if self._desk.halt_reason:
            return "entries paused; still halted, so nothing is sent either way"
        return "no new entries; open positions keep their stops and may be closed by signals"

    def _resume(self, command: Any) -> str:
        self._refuse_stale(command.expected_revision)
        stuck = self._kill.release()
        if stuck:
            raise Refusal(f"still halted: {stuck}")
        self._desk.paused, self._desk.halt_reason, self._desk.flattening = False, "", None
        panel = self._desk.panel
        if panel.tripped:
            trips = ", ".join(trip.breaker for trip in panel.trips)
            return f"entries stay off until these breakers are released: {trips}"
        if self._desk.state is SessionState.DEGRADED:
            return f"resumed; entries stay off while this lasts: {self._desk.reason}"
        if self._desk.disarmed:
            return f"resumed; entries stay off: {self._desk.state_reason}"
        locks = ", ".join(trip.breaker for trip in panel.trips)
        return f"entries allowed; these wait until they are released: {locks}" if locks else "entries allowed"

    def _latch(self, reason: str) -> None:
        """Set the latch (again): a resume that was carried out just before may have released it."""
        self._kill.set(reason)
        self._desk.halt_reason = reason

    def _halt(self, command: Any) -> str:
        self._latch("halt by the operator")
        if self._desk.flattening:
            return "halted; the flatten that was asked for goes on until no position is open"
        return "halted; nothing more is sent, open positions keep their stops"

    def _flatten_all(self, command: Any) -> str:
        self._latch("flatten by the operator")
        self._desk.flattening = command.command_id
        self._flatten_due_ns = 0
        before = len(self._desk.ledger.held)
        self.flatten()
        left = (*self._desk.ledger.held, *(o.intent.client_order_id for o in self._desk.orders.open_orders))
        if left:
            return f"halted; NOT FLAT yet: {', '.join(left)} still open, trying again"
        waiting = self._auditor.waiting()
        if waiting is None:
            return f"halted; {before} position(s) closed, but the broker could not be asked whether it is flat"
        if waiting:
            return (
                f"halted; {before} position(s) closed, but NOT FLAT: {len(waiting)} waiting order(s) that Keel did not "
                "make could open one; `python -m engine flatten` cancels them"
            )
        return f"halted; flat, {before} position(s) closed"

    def _close(self, command: Any) -> str:
        desk, name = self._desk, command.instrument
        units = desk.ledger.units(name)
        if not units:
            raise Refusal(f"there is no open position in {name}")
        self._refuse_unreconciled()
        if desk.halt_reason:
            raise Refusal(f"halted: {desk.halt_reason}; flatten closes everything even so")
        if desk.orders.reserved_units(name):
            raise Refusal(f"the outcome of another order in {name} is not known yet")
        if name in desk.offered:
            intent = exit_intent(desk, name, -units, OrderReason.CLOSE_COMMAND, desk.now_ns)
            self._dispatcher.send(intent, ZERO, command.command_id)
        else:
            self._close_trades(name, "the operator's choice", command.command_id)
        desk.mark()
        if not desk.ledger.units(name):
            return f"{name} closed"
        last = desk.orders.last if name in desk.offered else None  # else no order was made
        how = f"the order is {last.status}: {last.detail}" if last and last.detail else "its outcome is not known yet"
        return f"{name} is NOT closed; {how}"

    def _update_limits(self, command: Any) -> str:
        self._refuse_stale(command.expected_revision)
        desk = self._desk
        changed = changes(desk.limits, command.limits)
        if not changed:
            return "nothing changes"
        _refuse_fixed(changed)
        self._refuse_strange(command.limits)
        looser = tuple(each.name for each in changed if each.loosens)
        self._refuse_loosening(looser, command.confirmation)
        desk.change_limits(command.limits)
        desk.decisive_revision = desk.revision + 1
        self._journal.append(
            LimitsChanged(ts_ns=desk.now_ns, limits=command.limits, revision=desk.limits_revision, loosened=looser)
        )
        self._dispatcher.lock_repeated()
        told = ", ".join(f"{each.name} from {each.before} to {each.after}" for each in changed)
        return f"limits are in force from now on (revision {desk.limits_revision}): {told}"

    def _refuse_strange(self, limits: RiskLimits) -> None:
        """A limit by an instrument that nobody offers bounds nothing; what the session began with may stay."""
        try:
            check_keys(limits, self._desk.offered, kept=self._desk.limits)
        except ConfigError as error:
            raise Refusal(str(error).rstrip(".")) from error

    def _refuse_loosening(self, looser: tuple[str, ...], confirmation: str) -> None:
        """What makes a limit less strict wants to be typed, and waits for the next day once one was lost on purpose."""
        if not looser:
            return
        desk, names = self._desk, ", ".join(looser)
        if desk.now_ns < desk.no_loosening_until_ns:
            raise Refusal(no_loosening(names, desk.no_loosening_until_ns))
        if desk.state is SessionState.DEGRADED or desk.unreconciled:
            raise Refusal(f"{names} would be less strict, and nobody knows what was lost meanwhile: {desk.reason}")
        if confirmation != LOOSEN:
            raise Refusal(f"{names} would be less strict; type {LOOSEN} to confirm that")

    def _set_news(self, command: Any) -> str:
        desk = self._desk
        lacking = taken_out(desk.hours.news, command.news, desk.limits, desk.now_ns, desk.no_loosening_until_ns)
        if lacking and desk.now_ns < desk.no_loosening_until_ns:
            raise Refusal(no_loosening(f"the news {lacking[0]}", desk.no_loosening_until_ns))
        desk.hours = desk.hours.changed(desk.limits, command.news)
        self._journal.append(NewsSet(ts_ns=desk.now_ns, news=desk.hours.news))
        return f"the news calendar has {len(desk.hours.news)} event(s) from now on"

    def _try(self, command: Any) -> str:
        desk = self._desk
        if command.instrument not in desk.instruments:
            raise Refusal(f"{command.instrument} is not traded in this session")
        if command.direction not in (-1, 1) or not 0 <= command.confidence <= 1:
            raise Refusal("an entry is asked about with direction 1 or -1 and a confidence from 0 to 1")
        if command.units is not None and not desk.instruments[command.instrument].takes(command.units):
            raise Refusal(f"{command.units} units cannot be ordered in {command.instrument}")
        found = desk.preview = preview(desk, command)
        failed = ", ".join(gate.name for gate in found.gates if not gate.passed)
        return f"it would be blocked by {failed}" if failed else "it would pass every gate"

    def _acknowledge(self, command: Any) -> str:
        desk = self._desk
        if not command.reason.strip():
            raise Refusal("releasing a breaker needs a reason")
        if desk.panel.trip_of(command.breaker) is None:
            raise Refusal(f"breaker {command.breaker!r} is not tripped")
        if command.breaker == RECONCILIATION:
            objection = self._auditor.objection()
            desk.mark()  # the log may have been read on
            if objection:
                raise Refusal(objection)
            self._auditor.record_agreement()
        desk.panel.release(command.breaker)
        desk.reanchor(command.breaker)
        self._journal.append(
            BreakerReleased(
                ts_ns=desk.now_ns,
                breaker=command.breaker,
                reason=command.reason.strip(),
                equity_home=desk.equity_home,
            )
        )
        measures = any(breaker.name == command.breaker for breaker in desk.panel.breakers)
        return f"breaker {command.breaker} released{'; it measures anew from now on' if measures else ''}"

    def _refuse_unreconciled(self) -> None:
        """Nothing but a flatten is sent on books that were not compared since the process stood still."""
        if self._desk.unreconciled:
            raise Refusal("the books were not compared yet since the interruption; try again in a moment")

    def _refuse_stale(self, expected_revision: int | None) -> None:
        """A page that shows an older trading state must not act on it."""
        if expected_revision is not None and expected_revision < self._desk.decisive_revision:
            raise Refusal("the page was out of date: the state changed after it was drawn; look again")


def _refuse_fixed(changed: tuple[Change, ...]) -> None:
    fixed = {item.name for item in limit_fields() if item.metadata["effect"] is Effect.SESSION}
    found = [each.name for each in changed if each.name in fixed]
    if found:
        raise Refusal(f"{', '.join(found)} cannot change while a session runs; it takes effect in the next session")
