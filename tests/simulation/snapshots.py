"""I am the checker of what is published: each snapshot against the broker's book and the one before.
I may import the domain, snapshot and the other parts of this folder.
I must not believe the engine: a snapshot is what people act on.
My tests are in tests/simulation/test_gate.py and test_saboteurs.py.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from engine.domain.account import Holdings
from engine.domain.command import Command
from engine.domain.event import Claim, SessionState, TradingState
from engine.domain.market import Quote
from engine.snapshot import Snapshot
from tests.simulation.checker import Checker
from tests.simulation.judging import demand

HALF_CENT = Decimal("0.005")
KEPT_EVERY = 20


class Pictures:
    """Looks at each published snapshot of one process."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._revision = -1
        self._kept: tuple[Snapshot, str] | None = None
        self._run_id: int | None = None
        self._pages: dict[int, tuple[TradingState, int]] = {}
        self._over: set[tuple[str, Decimal]] = set()

    def look(self, shown: Snapshot, quotes: Mapping[str, Quote]) -> None:
        """Check a snapshot that was published after a successful commit."""
        demand(shown.revision > self._revision, "I19", f"revision {shown.revision} follows {self._revision}")
        self._revision = shown.revision
        self._pages[shown.revision] = (shown.trading_state, shown.limits_revision)
        self._look_back(shown)
        if shown.session_state is SessionState.FAULTED:
            return
        self._trades(shown)
        self._latches(shown)
        self._money(shown, quotes)
        self._losses(shown, quotes)

    def begin_run(self) -> None:
        """No page that was drawn before this run knows of it."""
        self._pages.clear()

    def check_pages(self, commands: Sequence[Command]) -> None:
        """What was accepted was asked for on a page that still holds; called before the next one is published.

        A state that one page alone has shown came up behind the requests of its step: the engine notes it in the next.
        """
        pages = list(self._pages)
        for command in commands:
            drawn = getattr(command, "expected_revision", None)
            if not self._checker.verdicts.get(command.command_id) or drawn not in pages[:-2]:
                continue
            then, behind = self._pages[drawn], self._pages[pages[pages.index(drawn) + 1]]
            before, newest = self._pages[pages[-2]], self._pages[pages[-1]]
            holds = then == newest or then != behind or before != newest
            demand(
                holds, "stale page", f"{command.command_id} was asked for on page {drawn}, since then it is {newest}"
            )

    def _look_back(self, shown: Snapshot) -> None:
        """What was published stays as it was."""
        if self._kept is not None and shown.revision % KEPT_EVERY == 0:
            picture, text = self._kept
            demand(_text(picture) == text, "I19", f"snapshot {picture.revision} has changed after its publication")
        if shown.revision % KEPT_EVERY == 0:
            self._kept = (shown, _text(shown))

    def _trades(self, shown: Snapshot) -> None:
        check = self._checker
        ours = {each.trade_id: each.units for each in shown.open_trades}
        theirs = {each.trade_id: each.units for each in check.books.trades.values()}
        demand(ours == theirs, "I13", f"open trades {ours} are shown, the broker has {theirs}")
        bare = {each.trade_id for each in shown.open_trades if each.stop_loss is None}
        naked = {each.trade_id for each in check.books.trades.values() if not each.stops}
        demand(bare == naked, "I13", f"trades {bare} are shown without a stop, at the broker it is {naked}")
        foreign = {each.trade.trade_id for each in shown.foreign_trades}
        strange = {
            each.trade_id
            for each in check.books.trades.values()
            if not check.is_ours(each.opened_by) and check.claims.get(each.trade_id) is not Claim.ADOPT
        }
        demand(foreign == strange, "I17", f"foreign trades {foreign} are shown, there are {strange}")
        if check.known == check.venue.last_id:
            _compare(shown, check.venue.sim.holdings())

    def _latches(self, shown: Snapshot) -> None:
        check = self._checker
        tripped = {each.name for each in shown.breakers if each.tripped_ns is not None}
        demand(tripped == check.tripped, "I6", f"breakers {tripped} are shown as tripped, recorded are {check.tripped}")
        demand(shown.limits == check.limits, "limits", f"the limits are shown as {shown.limits}, not {check.limits}")
        unsettled = set(check.unsettled())
        unresolved = set(shown.unresolved_orders)
        demand(unsettled <= unresolved, "unresolved", f"orders {unsettled - unresolved} are forgotten")

    def _money(self, shown: Snapshot, quotes: Mapping[str, Quote]) -> None:
        check = self._checker
        balance = check.books.balance_home
        demand(shown.balance_home == balance, "I13", f"the balance is shown as {shown.balance_home}, not {balance}")
        demand(type(shown.balance_home) is Decimal, "I16", f"the balance is a {type(shown.balance_home)}")
        equity = check.books.equity_home(quotes)
        if equity is None:
            return
        demand(type(shown.equity_home) is Decimal, "I16", f"the equity is a {type(shown.equity_home)}")
        close = abs(shown.equity_home - equity) < HALF_CENT
        demand(close, "I15", f"the equity is shown as {shown.equity_home}, balance and open P/L are {equity}")

    def _losses(self, shown: Snapshot, quotes: Mapping[str, Quote]) -> None:
        """A loss at its limit trips its breaker, in the next step at the latest.

        A released breaker measures anew; the fall of a session is measured from the highest equity that was shown.
        """
        check = self._checker
        equity = check.books.equity_home(quotes)
        if equity is None:
            return
        if shown.run_id != self._run_id:
            self._run_id, self._over = shown.run_id, set()
        check.losses.look(check.true_ns(), equity)
        over = check.losses.over(equity, check.limits)
        late = [each for each, _ in over & self._over if each not in check.tripped | check.released]
        demand(not late, "breakers", f"the loss is over the limit of {late}, and it has not tripped")
        self._over = over


def _compare(shown: Snapshot, held: Holdings) -> None:
    """Nothing is on its way: what is shown is what the broker's book holds now."""
    theirs = {each.trade_id: (each.instrument, each.units, each.stop_loss) for each in held.trades}
    ours = {each.trade_id: (each.instrument, each.units, each.stop_loss) for each in shown.open_trades}
    demand(theirs == ours, "I13", f"shown are {ours}, the broker holds {theirs}")
    demand(shown.balance_home == held.balance_home, "I13", f"{shown.balance_home} is shown, not {held.balance_home}")


def _text(picture: Snapshot) -> str:
    return repr(picture) if isinstance(picture.bars, MappingProxyType) else "bars are open to change"
