"""I am the person at the desk: seeded requests, sensible on the whole, sometimes twice.
I may import the domain and snapshot.
I must not know more than a page shows.
My tests are in tests/simulation/test_gate.py.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from engine.domain.command import (
    AcknowledgeBreaker,
    ClaimTrade,
    ClosePosition,
    Command,
    FlattenAll,
    HaltTrading,
    PauseEntries,
    ResumeTrading,
    StopSession,
    UpdateRiskLimits,
)
from engine.domain.event import TradingState
from engine.domain.limits import RiskLimits, StopMode
from engine.snapshot import Snapshot
from tests.simulation.faults import Faults

CHOICES = ("adopt", "ignore", "close", "sell")


class Person:
    """Looks at the newest snapshot and asks for something now and then."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self._lots = random.Random(f"{seed}/person")
        self._faults = faults
        self._number = 0
        self._eagerness = self._lots.choice((0.01, 0.04))
        self._patience = self._lots.choice((0.02, 0.1, 0.3))

    def commands(self, seen: Snapshot) -> Sequence[Command]:
        """What is asked for in this step."""
        lots = self._lots
        wanted: list[Command] = []
        if lots.random() < self._eagerness:
            wanted.append(self._whim(seen))
        if lots.random() < self._patience:
            wanted += self._repairs(seen)[:2]
        if wanted and self._faults.hit("command_repeated"):
            wanted.append(wanted[0])
        return wanted

    def repairs(self, seen: Snapshot) -> Sequence[Command]:
        """Everything that a person does when nothing is wrong any more: release, resume, deal with foreign trades."""
        return self._repairs(seen)

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
            return UpdateRiskLimits(
                command_id=number, limits=changed(seen.limits, lots), expected_revision=seen.revision
            )
        return lots.choice(whims)

    def _id(self) -> str:
        self._number += 1
        return f"c{self._number}"


def drawn_limits(lots: random.Random) -> RiskLimits:
    """Limits that are met often, so that a breach of them shows."""
    cap = Decimal(lots.choice((8_000, 30_000, 100_000)))
    return RiskLimits(
        risk_per_trade_pct=Decimal(lots.choice(("0.02", "0.1", "0.5"))),
        exposure_pct_max=Decimal(lots.choice((20, 60, 150, 400))),
        position_units_max={"*": cap},
        positions_max=lots.choice((1, 2, 5)),
        order_interval_s_min=Decimal(lots.choice((0, 10, 30))),
        quote_age_s_max=Decimal(lots.choice((4, 8, 12))),
        slippage_pips_max=Decimal(lots.choice((0, 1, 2))),
        stop_mode=StopMode(lots.choice(("atr", "pips"))),
        stop_loss_pips=Decimal(lots.choice((3, 6, 12))),
        take_profit_pips=Decimal(lots.choice((0, 5, 15))),
        atr_period=5,
        daily_loss_pct_max=Decimal(lots.choice(("0.15", "0.5", "3"))),
        drawdown_pct_max=Decimal(lots.choice(("0.3", "1", "10"))),
    )


def changed(limits: RiskLimits, lots: random.Random) -> RiskLimits:
    """The same limits but for one."""
    other = drawn_limits(lots)
    name = lots.choice(("exposure_pct_max", "position_units_max", "positions_max", "slippage_pips_max"))
    return replace(limits, **{name: getattr(other, name)})
