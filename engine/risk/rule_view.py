"""I am what a rule may look at: one intended entry's surroundings, frozen, and the form that every rule has.
I may import the domain, and exposure, guards and hours of my own room.
I must not measure or judge.
My tests are in tests/unit/risk/test_rules.py.
"""

from decimal import Decimal
from typing import Protocol

import msgspec
import msgspec.structs

from engine.domain.decision import Gate
from engine.domain.event import TradingState
from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits
from engine.domain.market import Quote
from engine.domain.order import OrderIntent
from engine.risk.exposure import Exposure, Range
from engine.risk.guards import NOTHING_KNOWN, Usual
from engine.risk.hours import HoursView

ZERO = Decimal(0)
CENT = Decimal("0.01")


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may look at, made for one intent.

    position_units are signed, and those that will be held when the intent leaves. reserved_units count orders of this
    instrument whose outcome is not known, waiting_units those that wait at the broker and are not ours, both unsigned.
    others is what all other instruments hold and may still get, risk_home what the intent loses at its stop. atr is in
    quote currency, slippage and financing are expected costs per unit in quote currency, confidence the model's 0..1.
    locked says why this instrument waits for a person, empty when it does not. last_entry_ns and last_loss_ns are None
    when there was none; is_repeated says that this bar has led to an entry to the same side before.
    """

    now_ns: int
    limits: RiskLimits
    instrument: Instrument
    quote: Quote
    trading_state: TradingState
    state_reason: str
    equity_home: Decimal
    position_units: Decimal
    reserved_units: Decimal
    others: Exposure
    positions_others: int
    last_entry_ns: int | None
    risk_home: Decimal
    hours: HoursView
    atr: float
    usual: Usual = NOTHING_KNOWN
    confidence: float = 1.0
    slippage: Decimal = ZERO
    financing: Decimal = ZERO
    orders_last_minute: int = 0
    last_loss_ns: int | None = None
    waiting_units: Decimal = ZERO
    locked: str = ""
    is_repeated: bool = False
    mid: Decimal = ZERO
    spread: Decimal = ZERO
    unit_home: Decimal = ZERO
    unfinished_units: Decimal = ZERO
    percent_home: Decimal = ZERO

    def __post_init__(self) -> None:
        """Work out once what many rules ask for.

        That is the middle price and the spread in quote currency, the value of one unit at the middle price and a
        percent of equity in home currency, and the units that unfinished orders of anybody may still add.
        """
        mid = self.quote.mid
        msgspec.structs.force_setattr(self, "mid", mid)
        msgspec.structs.force_setattr(self, "spread", self.quote.spread)
        msgspec.structs.force_setattr(self, "unit_home", mid * self.quote.home_rate)
        msgspec.structs.force_setattr(self, "unfinished_units", self.reserved_units + self.waiting_units)
        msgspec.structs.force_setattr(self, "percent_home", self.equity_home / 100)

    def size_after(self, intent: OrderIntent) -> Decimal:
        """Units after the order at worst, unsigned: every unfinished order counts against us."""
        return abs(self.position_units + intent.units) + self.unfinished_units

    def value_after(self, intent: OrderIntent) -> Range:
        """Lowest and highest value of the instrument after the order, in home currency."""
        held = self.position_units + intent.units
        if not self.unfinished_units:
            value = held * self.unit_home
            return value, value
        return (held - self.unfinished_units) * self.unit_home, (held + self.unfinished_units) * self.unit_home


def two_decimals(amount: Decimal) -> str:
    """Write an amount or pips with two decimals; faster than a format, and rules write many."""
    return str(amount.quantize(CENT))


class Rule(Protocol):
    """One check of an intended entry."""

    name: str

    def check(self, intent: OrderIntent, view: RiskView) -> Gate:
        """Measure and judge; the gate's texts carry their units."""
        ...
