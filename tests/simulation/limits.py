"""I am the checker of limits: which are in force, what makes them less strict, and when that is forbidden.
I may import the domain and the other parts of this folder.
I must not ask the engine what loosens: I have a list of my own, and the hours of New York.
My tests are in tests/simulation/test_promises.py, test_gate.py and test_saboteurs.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.domain.command import LOOSEN, UpdateRiskLimits
from engine.domain.decision import Decision
from engine.domain.event import BreakerTripped, CommandAccepted, LimitsChanged, NewsSet, SessionStarted
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from tests.simulation.judging import demand

DAILY = ("daily_loss", "loss_streak")
_NEW_YORK = ZoneInfo("America/New_York")
_HIGHER_IS_STRICTER = frozenset(
    ("order_interval_s_min", "edge_pips_min", "weekend_cutoff_min", "rollover_blackout_min", "news_before_min")
    + ("news_after_min", "cooldown_s")
)
# Of these nobody can say which way is stricter, so that any change of them is looser.
_NEITHER = frozenset(
    ("guard_bars", "stop_mode", "stop_loss_pips", "take_profit_pips", "stop_loss_atr", "take_profit_atr")
    + ("atr_period", "trading_day")
)
_FIXED = ("guard_bars", "atr_period", "trading_day")
_ZERO_IS_OFF = frozenset(("slippage_pips_max", "loss_streak_max"))


def looser(before: RiskLimits, after: RiskLimits) -> list[str]:
    """Name the limits that are less strict afterwards, or may be."""
    return [
        item.name
        for item in fields(RiskLimits)
        if any(_is_looser(item.name, *pair) for pair in _pairs(getattr(before, item.name), getattr(after, item.name)))
    ]


def _pairs(old: Any, new: Any) -> list[tuple[Any, Any]]:
    if not isinstance(old, Mapping):
        return [(old, new)]
    return [(old.get(key, old["*"]), new.get(key, new["*"])) for key in {*old, *new}]


def _is_looser(name: str, old: Any, new: Any) -> bool:
    if old == new or name == "trading_windows":
        return bool(old != new and old != "always")
    if name in _NEITHER:
        return True
    if name in _HIGHER_IS_STRICTER:
        return bool(new < old)
    if name in _ZERO_IS_OFF and 0 in (old, new):
        return bool(new == 0)
    return bool(new > old)


def day_end_ns(ts_ns: int) -> int:
    """First 17:00 New York after a moment."""
    here = datetime.fromtimestamp(ts_ns // NS_PER_S, _NEW_YORK)
    end = here.replace(hour=17, minute=0, second=0, microsecond=0)
    if end <= here:
        end = (end.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=_NEW_YORK)
    return int(end.astimezone(UTC).timestamp()) * NS_PER_S


class LimitsWatch:
    """Follows the limits in force over all runs; until until_ns they are only made stricter."""

    def __init__(self) -> None:
        self.in_force = RiskLimits()
        self.until_ns = 0
        self._is_known = False
        self._revision = 0
        self._before: RiskLimits | None = None
        self._trips: dict[str, int] = {}

    def forbids(self, limits: RiskLimits, now_ns: int) -> bool:
        """Say whether these limits may not take the place of those in force now."""
        return self._is_known and now_ns < self.until_ns and bool(looser(self.in_force, limits))

    def asks_for_more(self, limits: RiskLimits) -> bool:
        """Say whether these limits are less strict than those that were in force last."""
        return self._is_known and bool(looser(self.in_force, limits))

    def day_is_over(self, breaker: str, now_ns: int) -> bool:
        """Say whether the trading day is over in which this daily breaker tripped."""
        return breaker in DAILY and now_ns >= day_end_ns(self._trips.get(breaker, 0))

    def started(self, event: SessionStarted) -> None:
        """A run begins with limits of its own."""
        self._refuse(event.config.limits, event.ts_ns, "a run begins")
        self.in_force, self._revision, self._is_known = event.config.limits, 0, True

    def tripped(self, event: BreakerTripped) -> None:
        """A daily breaker forbids to loosen limits for the rest of its day."""
        self._trips[event.breaker] = event.ts_ns
        if event.breaker in DAILY:
            self.until_ns = max(self.until_ns, day_end_ns(event.ts_ns))

    def changed(self, event: LimitsChanged) -> None:
        """The limits of a run are replaced."""
        self._revision += 1
        demand(event.revision == self._revision, "limits", f"revision {event.revision} follows {self._revision - 1}")
        self._refuse(event.limits, event.ts_ns, "limits are changed")
        fixed = [each for each in _FIXED if getattr(event.limits, each) != getattr(self.in_force, each)]
        demand(not fixed, "limits", f"{fixed} change while a session runs")
        told, true = bool(event.loosened), bool(looser(self.in_force, event.limits))
        demand(told == true, "limits", f"loosened is said to be {event.loosened}")
        self._before, self.in_force = self.in_force, event.limits

    def news_set(self, before: Sequence[NewsEvent], event: NewsSet) -> None:
        """A calendar is replaced."""
        gone = self.lacking(before, event.news, event.ts_ns)
        demand(not gone, "bad day", f"news {gone} are taken out in a day in which a daily breaker tripped")

    def lacking(self, before: Sequence[NewsEvent], after: Sequence[NewsEvent], now_ns: int) -> list[str]:
        """Name the events that may not be taken out: some of their time to keep entries out lies in a bad day."""
        if now_ns >= self.until_ns:
            return []
        early_ns, late_ns = (
            minutes * 60 * NS_PER_S for minutes in (self.in_force.news_before_min, self.in_force.news_after_min)
        )
        kept = {(each.ts_ns, each.currency) for each in after}
        matters = [each for each in before if each.ts_ns - early_ns < self.until_ns and now_ns <= each.ts_ns + late_ns]
        return [each.title for each in matters if (each.ts_ns, each.currency) not in kept]

    def accepted(self, event: CommandAccepted, command: object) -> None:
        """Whoever loosens has typed the words, and gets what was asked for."""
        if not isinstance(command, UpdateRiskLimits):
            return
        before, self._before = self._before or self.in_force, None
        demand(command.limits == self.in_force, "limits", f"{event.command_id} is accepted, and not in force")
        loosened = looser(before, self.in_force)
        typed = not loosened or command.confirmation == LOOSEN
        demand(typed, "loosening", f"{loosened} are less strict, and {command.confirmation!r} was typed")

    def decided(self, decision: Decision) -> None:
        """The gates of a decision were measured against the limits in force."""
        for gate in decision.gates:
            wanted = _TEXTS.get(gate.name)
            if wanted is not None:
                text = wanted(self.in_force, decision.instrument)
                demand(text in gate.limit, "limits", f"gate {gate.name} has the limit {gate.limit}, in force is {text}")

    def _refuse(self, limits: RiskLimits, ts_ns: int, what: str) -> None:
        forbidden = self.forbids(limits, ts_ns)
        names = looser(self.in_force, limits) if forbidden else []
        demand(not forbidden, "bad day", f"{what}: {names} are less strict in a day in which a daily breaker tripped")


def _hours(minutes: int, text: str) -> str:
    return f"{minutes} min {text}" if minutes else "off"


_TEXTS: dict[str, Callable[[RiskLimits, str], str]] = {
    "quote_age": lambda each, name: f"{each.quote_age_s_max} s",
    "trading_window": lambda each, name: each.trading_windows.get(name, each.trading_windows["*"]),
    "weekend": lambda each, name: _hours(each.weekend_cutoff_min, "before Friday"),
    "rollover": lambda each, name: _hours(each.rollover_blackout_min, "around"),
    "news": lambda each, name: f"{each.news_before_min} min before to {each.news_after_min} min after",
    "spread": lambda each, name: f"{each.spread_pips_max.get(name, each.spread_pips_max['*'])} pips",
    "spread_ratio": lambda each, name: f"{each.spread_ratio_max} x",
    "volatility": lambda each, name: f"{each.volatility_ratio_max} x",
    "price_collar": lambda each, name: f"{each.price_collar_atr_max} x",
    "price_bound": lambda each, name: f"{each.slippage_pips_max} pips" if each.slippage_pips_max else "off",
    "edge": lambda each, name: f"{each.edge_pips_min} pips",
    "risk_per_trade": lambda each, name: f"({each.risk_per_trade_pct} %",
    "position_units": lambda each, name: f"{each.position_units_max.get(name, each.position_units_max['*'])} units",
    "position_value": lambda each, name: f"({each.position_pct_max.get(name, each.position_pct_max['*'])} %",
    "exposure": lambda each, name: f"({each.exposure_pct_max} %",
    "exposure_net": lambda each, name: f"({each.exposure_net_pct_max} %",
    "margin": lambda each, name: f"({each.margin_pct_max} %",
    "positions": lambda each, name: str(each.positions_max),
    "order_interval": lambda each, name: f"{each.order_interval_s_min} s",
    "cool_down": lambda each, name: f"{each.cooldown_s} s",
    "order_rate": lambda each, name: f"{each.orders_per_minute_max} per minute",
    "repeated_entries": lambda each, name: f"{each.repeated_entries_max} to one side",
}
