"""I am the person at the desk: seeded requests, sensible on the whole, sometimes twice.
I may import the domain and snapshot.
I must not know more than a page shows.
My tests are in tests/simulation/test_gate.py.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.domain.command import (
    LOOSEN,
    AcknowledgeBreaker,
    ClaimTrade,
    ClosePosition,
    Command,
    FlattenAll,
    HaltTrading,
    PauseEntries,
    ResumeTrading,
    SetNews,
    StopSession,
    UpdateRiskLimits,
)
from engine.domain.event import SessionState, TradingState
from engine.domain.limits import RiskLimits, StopMode
from engine.domain.market import NS_PER_S
from engine.domain.schedule import ALWAYS, NewsEvent
from engine.snapshot import Snapshot
from tests.simulation.faults import Faults
from tests.simulation.market import TRADED

# How often somebody wants a trade closed although everything is halted.
IMPATIENCE = 0.15
CHOICES = ("adopt", "ignore", "close", "sell")
RUNS = (SessionState.RUNNING, SessionState.DEGRADED, SessionState.WARMING_UP)
WORDS = (LOOSEN, LOOSEN, LOOSEN, "", "loosen limits")
# What a person changes while a session runs.
CHANGED = (
    "exposure_pct_max", "exposure_net_pct_max", "margin_pct_max", "position_units_max", "position_pct_max",
    "currency_pct_max", "positions_max", "slippage_pips_max", "orders_per_minute_max", "repeated_entries_max",
    "trading_windows", "rollover_blackout_min", "news_after_min", "cooldown_s", "loss_streak_max", "model_faults_max",
    "broker_errors_max", "daily_loss_pct_max",
)  # fmt: skip

# What cannot change while one runs.
FIXED = ({"guard_bars": 60}, {"atr_period": 4}, {"trading_day": "18:00 America/New_York"})

# How often somebody sets limits of size so wide that a few trades reach those of loss.
BOLD = 0.3
BOLDLY = {
    "risk_per_trade_pct": Decimal("0.5"), "exposure_pct_max": Decimal(1_500), "exposure_net_pct_max": Decimal(1_500),
    "margin_pct_max": Decimal(100), "position_units_max": {"*": Decimal(500_000)}, "positions_max": 5,
    "position_pct_max": {"*": Decimal(600)}, "currency_pct_max": {"*": Decimal(1_500)},
    "edge_pips_min": Decimal(-1_000), "daily_loss_pct_max": Decimal("0.3"), "drawdown_pct_max": Decimal("0.5"),
    "loss_streak_max": 0,
}  # fmt: skip


class Person:
    """Looks at the newest snapshot and asks for something now and then."""

    def __init__(self, seed: int, faults: Faults, start_ns: int) -> None:
        self._lots = random.Random(f"{seed}/person")
        self._start_ns = start_ns
        self._faults = faults
        self._number = 0
        self._eagerness = self._lots.choice((0.02, 0.06))
        self._patience = self._lots.choice((0.02, 0.1, 0.3))

    def commands(self, seen: Snapshot) -> Sequence[Command]:
        """What is asked for in this step."""
        lots = self._lots
        wanted: list[Command] = []
        if lots.random() < self._eagerness:
            wanted.append(self._whim(seen))
        if lots.random() < self._patience:
            wanted += self._repairs(seen)[:2]
        if seen.trading_state is TradingState.HALTED and seen.foreign_trades and lots.random() < IMPATIENCE:
            trade_id = lots.choice(seen.foreign_trades).trade.trade_id
            wanted.append(ClaimTrade(command_id=self._id(), trade_id=trade_id, choice="close"))
        if self._faults.hit("news_replaced"):
            wanted.append(
                SetNews(command_id=self._id(), news=drawn_news(self._faults.how("news_replaced"), self._start_ns))
            )
        wanted += self._in_need(seen)
        wanted = [self._mistaken(each) for each in wanted]
        if wanted and self._faults.hit("command_repeated"):
            wanted.append(wanted[0])
        if wanted and self._faults.hit("command_halts_behind"):
            wanted.append(HaltTrading(command_id=self._id()))
        return wanted

    def _in_need(self, seen: Snapshot) -> list[Command]:
        """A loss comes near its limit: who hopes wants to move the limit away just then."""
        limits = seen.limits
        if limits is None:
            return []
        is_near = -seen.day_pl_pct > limits.daily_loss_pct_max / 4 or seen.drawdown_pct > limits.drawdown_pct_max / 4
        if not is_near or not self._faults.hit("wish_in_need"):
            return []
        wider = replace(limits, daily_loss_pct_max=Decimal(20), drawdown_pct_max=Decimal(30))
        return [
            UpdateRiskLimits(command_id=self._id(), limits=wider, expected_revision=seen.revision, confirmation=LOOSEN)
        ]

    def _mistaken(self, wanted: Command) -> Command:
        """The same request from a page that is out of date, without its reason, or for what cannot be changed now."""
        hit = self._faults.hit
        if isinstance(wanted, ResumeTrading | UpdateRiskLimits) and wanted.expected_revision and hit("page_old"):
            pages = self._faults.how("page_old").randint(1, 4)
            return msgspec.structs.replace(wanted, expected_revision=max(wanted.expected_revision - pages, 0))
        if isinstance(wanted, AcknowledgeBreaker) and hit("reason_empty"):
            return msgspec.structs.replace(wanted, reason=" ")
        if isinstance(wanted, UpdateRiskLimits) and hit("wish_fixed"):
            fixed = self._faults.how("wish_fixed").choice(FIXED)
            return msgspec.structs.replace(wanted, limits=replace(wanted.limits, **fixed))
        return wanted

    def repairs(self, seen: Snapshot) -> Sequence[Command]:
        """Everything that a person does when nothing is wrong any more: release, resume, deal with foreign trades."""
        return self._repairs(seen)

    def restart(self, in_force: RiskLimits) -> RiskLimits:
        """Limits for the next session: as a rule those that were in force, at times others, looser ones too."""
        lots = self._lots
        if lots.random() < 0.7:
            return in_force
        return changed(in_force, drawn_limits(lots, self._start_ns), lots)

    def _repairs(self, seen: Snapshot) -> list[Command]:
        wanted: list[Command] = [
            AcknowledgeBreaker(command_id=self._id(), breaker=each.name, reason="looked at it")
            for each in seen.breakers
            if each.tripped_ns is not None
        ]
        if seen.trading_state in (TradingState.HALTED, TradingState.PAUSED):
            wanted.append(ResumeTrading(command_id=self._id(), expected_revision=seen.revision))
        for each in seen.foreign_trades:
            if each.claim is None:
                choice = self._lots.choice(CHOICES)
                wanted.append(ClaimTrade(command_id=self._id(), trade_id=each.trade.trade_id, choice=choice))
        if seen.clock_note and seen.session_state in RUNS:
            wanted.append(StopSession(command_id=self._id()))  # as the note says: the next one takes the right time
        self._lots.shuffle(wanted)
        return wanted

    def _whim(self, seen: Snapshot) -> Command:
        lots, number = self._lots, self._id()
        whims: list[Command] = [
            PauseEntries(command_id=number),
            HaltTrading(command_id=number),
            FlattenAll(command_id=number),
            ResumeTrading(command_id=number, expected_revision=max(seen.revision - lots.randint(0, 3), 0)),
            AcknowledgeBreaker(command_id=number, breaker="drawdown", reason=lots.choice(("", "all is well"))),
        ]
        if lots.random() < 0.1:
            return StopSession(command_id=number)
        if lots.random() < 0.4:
            name = lots.choice(("EUR_USD", "USD_JPY", "GBP_USD"))
            return ClosePosition(command_id=number, instrument=name)
        if seen.limits is not None and lots.random() < 0.4:
            limits = changed(seen.limits, drawn_limits(lots, self._start_ns), lots)
            return UpdateRiskLimits(
                command_id=number, limits=limits, expected_revision=seen.revision, confirmation=lots.choice(WORDS)
            )
        if lots.random() < 0.15:
            return SetNews(command_id=number, news=drawn_news(lots, self._start_ns))
        return lots.choice(whims)

    def _id(self) -> str:
        self._number += 1
        return f"c{self._number}"


def drawn_limits(lots: random.Random, start_ns: int) -> RiskLimits:
    """Limits that are met often, so that a breach of them shows; half of them are wide, so that there is trading."""
    chosen = dict(
        risk_per_trade_pct=Decimal(lots.choice(("0.02", "0.1", "0.5"))),
        exposure_pct_max=Decimal(lots.choice((20, 60, 150, 400))),
        exposure_net_pct_max=Decimal(lots.choice((15, 60, 400, 400))),
        margin_pct_max=Decimal(lots.choice((1, 3, 50, 50))),
        position_units_max={"*": Decimal(lots.choice((8_000, 30_000, 100_000)))},
        position_pct_max={"*": Decimal(lots.choice((10, 40, 400, 400)))},
        currency_pct_max={"*": Decimal(lots.choice((30, 100, 400))), "USD": Decimal(lots.choice((15, 60, 400)))},
        positions_max=lots.choice((1, 2, 5)),
        order_interval_s_min=Decimal(lots.choice((0, 10, 30))),
        orders_per_minute_max=lots.choice((2, 4, 30)),
        repeated_entries_max=lots.choice((2, 4, 30)),
        quote_age_s_max=Decimal(lots.choice((4, 8, 12))),
        slippage_pips_max=Decimal(lots.choice((0, 1, 2))),
        edge_pips_min=Decimal(lots.choice((-1_000, -1_000, 0))),
        stop_mode=StopMode(lots.choice(("atr", "pips"))),
        stop_loss_pips=Decimal(lots.choice((3, 6, 12))),
        take_profit_pips=Decimal(lots.choice((0, 5, 15))),
        atr_period=5,
        trading_windows={"*": ALWAYS} | drawn_windows(lots, start_ns),
        weekend_cutoff_min=lots.choice((0, 30, 45)),
        rollover_blackout_min=lots.choice((0, 3, 6)),
        news_before_min=lots.choice((0, 1, 3)),
        news_after_min=lots.choice((0, 1, 4)),
        cooldown_s=lots.choice((0, 0, 20, 90)),
        daily_loss_pct_max=Decimal(lots.choice(("0.15", "0.5", "3"))),
        drawdown_pct_max=Decimal(lots.choice(("0.3", "1", "10"))),
        loss_streak_max=lots.choice((0, 2, 4)),
        model_faults_max=lots.choice((2, 4, 10)),
        broker_errors_max=lots.choice((3, 8, 100)),
    )
    own = random.Random(repr(sorted(chosen.items())))  # lots of their own, so that all others stay as they were
    name = own.choice(TRADED)
    if own.random() < BOLD:
        chosen |= BOLDLY
    return RiskLimits(
        **chosen,
        spread_pips_max={"*": Decimal(own.choice((3, 6))), name: Decimal(own.choice(("1.4", "3", "8")))},
        volatility_ratio_max=Decimal(own.choice(("1.3", "5", "5", "5"))),
        price_collar_atr_max=Decimal(own.choice((2, 5, 5, 5))),
        data_age_s_max=Decimal(own.choice((8, 30, 300, 300))),
    )


def drawn_windows(lots: random.Random, start_ns: int) -> dict[str, str]:
    """Hours of one instrument, in one half of the seeds: they open or close while the seed lasts."""
    name, minutes = lots.choice(TRADED), sorted(lots.sample(range(-6, 31), 2))
    if lots.random() < 0.5:
        return {}
    begin, end = (datetime.fromtimestamp(start_ns / NS_PER_S, UTC) + timedelta(minutes=each) for each in minutes)
    return {name: f"Mon-Fri {begin:%H:%M}-{end:%H:%M} UTC"}


def drawn_news(lots: random.Random, start_ns: int) -> tuple[NewsEvent, ...]:
    """A few events of a quarter of an hour before to half an hour after the beginning."""
    events = []
    for number in range(lots.choice((0, 1, 3))):
        ts_ns = start_ns + lots.randint(-900, 1_800) * NS_PER_S
        currency = lots.choice(("EUR", "GBP", "JPY", "USD", "*"))
        events.append(NewsEvent(ts_ns=ts_ns, currency=currency, title=f"event {number}"))
    return tuple(events)


def changed(limits: RiskLimits, other: RiskLimits, lots: random.Random) -> RiskLimits:
    """The same limits but for a few, which are those of the other ones."""
    names = lots.sample(CHANGED, lots.choice((1, 1, 3)))
    return replace(limits, **{name: getattr(other, name) for name in names})
