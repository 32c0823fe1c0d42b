"""I am the checker of neglect: while all is well nothing waits for long, no bare trade, no comparison, no flatten.
I may import the domain and the other parts of this folder.
I must not blame the engine for a time in which something was in its way.
My tests are in tests/simulation/test_neglect.py and test_saboteurs.py.
"""

from engine.domain.event import Claim
from engine.domain.market import NS_PER_S
from tests.simulation.checker import Checker
from tests.simulation.judging import demand
from tests.simulation.market import STEP_NS

NAKED_S_MAX = 25
COMPARED_S_MAX = 75
FLATTEN_S_MAX = 10


class Neglect:
    """Counts, step by step, for how long all was well and yet something was left undone."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._naked: dict[str, int] = {}
        self._well_ns = 0
        self._idle_ns = 0
        self._tried = 0

    def look(self, *, alive: bool, able: bool, well: bool, stopped: bool, uncompared_ns: int) -> None:
        """A step is over; alive says that a session took it, able that neither the line nor a price was in its way,
        well that nothing else was either, stopped that nothing may be closed.
        """
        check, held = self._checker, self._checker.books.trades
        bare = {each for each, trade in held.items() if not trade.stops and self._is_managed(each)}
        stuck = {each for each in bare if stopped and check.venue.takes_no_stop(each)}
        self._naked = {each: self._naked.get(each, 0) + STEP_NS if able else 0 for each in bare - stuck}
        late = [each for each, since_ns in self._naked.items() if since_ns > NAKED_S_MAX * NS_PER_S]
        demand(not late, "naked", f"trades {late} have had no stop-loss for {NAKED_S_MAX} s while all was well")
        self._well_ns = self._well_ns + STEP_NS if well else 0
        unseen_ns = min(self._well_ns, uncompared_ns)
        demand(unseen_ns <= COMPARED_S_MAX * NS_PER_S, "I13", f"not compared for {unseen_ns / NS_PER_S} s")
        self._look_at_flatten(alive=alive)

    def _look_at_flatten(self, *, alive: bool) -> None:
        """Whoever asks for a flatten gets it tried again and again, until nothing is held or under way."""
        check = self._checker
        if not check.books.trades and not check.unsettled():
            check.flattening = False
        waits = alive and check.flattening and bool(check.books.trades) and check.flattened == self._tried
        self._idle_ns, self._tried = self._idle_ns + STEP_NS if waits else 0, check.flattened
        idle = self._idle_ns > FLATTEN_S_MAX * NS_PER_S
        demand(not idle, "flatten", f"nothing was tried for {FLATTEN_S_MAX} s, {list(check.books.trades)} are held")

    def _is_managed(self, trade_id: str) -> bool:
        check = self._checker
        return check.is_ours(check.books.opened_by[trade_id]) or check.claims.get(trade_id) is Claim.ADOPT
