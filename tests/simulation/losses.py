"""I am the checker of losses: when a trading day begins and with what, from where a fall is measured, and what trips.
I may import the domain and the other parts of this folder.
I must not take an equity from the engine that was not held against the broker's book, nor a day that New York has not.
My tests are in tests/simulation/test_losses.py and test_saboteurs.py.
"""

from collections.abc import Collection
from decimal import Decimal

from engine.domain.event import BreakerTripped, DayBegan
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from tests.simulation.judging import demand
from tests.simulation.limits import day_end_ns

HALF_CENT = Decimal("0.005")
HAIR = Decimal("0.0001")
# A peak may be on the disk so late; what a step costs between two looks is less than so much of equity, in percent.
PEAK_NS = 65 * NS_PER_S
SLACK_PCT = Decimal("0.15")


class LossWatch:
    """Follows the anchors of both losses over all runs, from the equity that is held against the broker's book.

    anchors are the least that a fall is measured from: the day's beginning, and the highest equity that a process can
    have lost in its death no more. Each is measured anew once its breaker was released. newest is what was shown last
    in this run, moved by what was paid since; None while nothing was. Until then it is what the run began with.
    """

    def __init__(self) -> None:
        self.anchors: dict[str, Decimal] = {}
        self.day_end_ns = 0
        self._highest = Decimal(0)
        self._kept = Decimal(0)
        self._looks: list[tuple[int, Decimal]] = []
        self._is_over = False
        self.newest: Decimal | None = None
        self._first: Decimal | None = None

    def started(self, opening_balance_home: Decimal) -> None:
        """A run begins: after a person's stop from a new peak, else from the one that was on the disk."""
        if self._is_over:
            self._kept = Decimal(0)
        elif self._looks:
            self._keep(self._looks[-1][0] - PEAK_NS)
        self._looks.clear()
        self._is_over, self.newest, self._first = False, None, None
        self._highest = max(self._highest, opening_balance_home)
        self.anchors["drawdown"] = self._kept

    def stopped(self, *, is_fault: bool) -> None:
        """A run ends in good order, and writes its peak down; a person's stop ends the measuring."""
        self._is_over = not is_fault
        if self._looks:
            self._keep(self._looks[-1][0])

    def paid(self, amount_home: Decimal, balance_home: Decimal) -> None:
        """What was paid in or out is no profit and no loss."""
        for name, anchor in self.anchors.items():
            moved = anchor + amount_home
            self.anchors[name] = moved if moved > 0 or not anchor else balance_home
        self._looks = [(ts_ns, home + amount_home) for ts_ns, home in self._looks]
        self._kept = self._kept + amount_home if self._kept else self._kept
        self._highest += amount_home
        self.newest = None if self.newest is None else self.newest + amount_home
        self._first = None if self._first is None else self._first + amount_home

    def released(self, breaker: str, equity_home: Decimal | None) -> None:
        """A released breaker measures anew."""
        if equity_home is None:
            return
        self.anchors[breaker] = equity_home
        if breaker == "drawdown":
            self._looks.clear()
            self._kept = self._highest = equity_home

    def compared(self, equity_home: Decimal) -> None:
        """A run has read the log to its end and begins with this, until it has seen a price of all that is held."""
        if self._first is None:
            self._first = equity_home

    def day_began(self, event: DayBegan, now_home: Decimal) -> None:
        """A day begins when the last one is over, with what was owned then, as far as the run knew it."""
        demand(event.ts_ns >= self.day_end_ns, "the day", f"a day begins at {event.ts_ns}, before {self.day_end_ns}")
        known = self._first if self.newest is None else self.newest
        owned = now_home if known is None else known
        close = abs(event.equity_home - owned) < HALF_CENT
        demand(close, "the day", f"a day begins with {event.equity_home}, owned were {owned}")
        self.day_end_ns = day_end_ns(event.ts_ns)
        self.anchors["daily_loss"] = event.equity_home
        self._highest = max(self._highest, event.equity_home)

    def look(self, ts_ns: int, equity_home: Decimal) -> None:
        """An equity was shown that the broker's book bears out."""
        self.newest = equity_home
        self._keep(ts_ns - PEAK_NS)
        self._looks.append((ts_ns, equity_home))
        self._highest = max(self._highest, equity_home)
        self.anchors["drawdown"] = max(self.anchors.get("drawdown", equity_home), equity_home)

    def glimpse(self, equity_home: Decimal | None) -> None:
        """An equity stood for a part of a step, until something was booked: the engine may have seen it."""
        if equity_home is not None:
            self._highest = max(self._highest, equity_home)

    def _keep(self, until_ns: int) -> None:
        """What was shown up to this moment is on the disk."""
        self._kept = max([self._kept, *(home for ts_ns, home in self._looks if ts_ns <= until_ns)])
        self._looks = [each for each in self._looks if each[0] > until_ns]

    def over(self, equity_home: Decimal, limits: RiskLimits) -> set[tuple[str, Decimal]]:
        """Which losses are at their limit, and that limit; less a hair for the rounding of what is shown."""
        allowed = {"daily_loss": limits.daily_loss_pct_max, "drawdown": limits.drawdown_pct_max}
        falls = {each: _fall_pct(self.anchors.get(each) or equity_home, equity_home) - HAIR for each in allowed}
        return {(each, most) for each, most in allowed.items() if falls[each] >= most}

    def tripped(self, event: BreakerTripped, equity_home: Decimal, limits: RiskLimits) -> None:
        """A breaker trips for a loss that there is."""
        if event.breaker == "daily_loss":
            anchor, most = self.anchors.get("daily_loss", equity_home), limits.daily_loss_pct_max
        elif event.breaker == "drawdown":
            anchor, most = self._highest, limits.drawdown_pct_max
        else:
            return
        if equity_home <= 0:
            return  # more is lost than there was, of whatever
        fallen = _fall_pct(anchor, equity_home)
        text = f"{event.breaker} trips at {event.value}, of {anchor} to {equity_home} are {fallen:.2f} % of {most} %"
        demand(fallen + SLACK_PCT >= most, "breakers", text)

    def limits_moved(self, equity_home: Decimal, limits: RiskLimits, told: Collection[str]) -> None:
        """Limits are replaced: what had reached the old ones by now has tripped, and no command takes that away."""
        late = [each for each, _ in self.over(equity_home, limits) if each not in told]
        demand(not late, "breakers", f"limits are changed while the loss is over that of {late}, which has not tripped")


def _fall_pct(anchor: Decimal, equity: Decimal) -> Decimal:
    return (anchor - equity) / anchor * 100
