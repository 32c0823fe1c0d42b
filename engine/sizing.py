"""I am sizing: from a signal, the risk per trade and the stop's distance to an order with its stop and target.
I may import the domain.
I must not check limits (rules do), nor round toward more risk.
My tests are in tests/unit/test_sizing.py and tests/unit/test_sizing_properties.py.
"""

from decimal import Decimal

import msgspec

from engine.domain.instrument import Instrument
from engine.domain.limits import RiskLimits, StopMode
from engine.domain.market import Quote
from engine.domain.window import BarWindow, average_true_range

ZERO = Decimal(0)


class EntryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as sized: units signed (0: too small to trade), prices in quote currency, risk in home currency.

    risk_home is what is lost from the expected fill price to the stop, loss_per_unit_home of one unit.
    """

    units: Decimal
    stop_loss: Decimal
    take_profit: Decimal | None
    price_bound: Decimal | None
    stop_distance: Decimal
    risk_home: Decimal
    loss_per_unit_home: Decimal


def stop_distance(limits: RiskLimits, instrument: Instrument, window: BarWindow) -> Decimal:
    """Distance from the entry price to the stop, in quote currency, by the session's stop mode."""
    if limits.stop_mode is StopMode.PIPS:
        return limits.stop_loss_pips * instrument.pip_size
    return limits.stop_loss_atr * _atr(limits, window)


def target_distance(limits: RiskLimits, instrument: Instrument, window: BarWindow) -> Decimal:
    """Distance from the entry price to the target, in quote currency; 0 means no target."""
    if limits.stop_mode is StopMode.PIPS:
        return limits.take_profit_pips * instrument.pip_size
    return limits.take_profit_atr * _atr(limits, window)


def _atr(limits: RiskLimits, window: BarWindow) -> Decimal:
    return Decimal(repr(average_true_range(window, limits.atr_period)))


def plan_entry(
    *,
    direction: int,
    quote: Quote,
    instrument: Instrument,
    limits: RiskLimits,
    equity_home: Decimal,
    window: BarWindow,
    currency: str = "",
) -> EntryPlan:
    """Size an entry in `direction` (+1 buys, -1 sells) so that the stop costs at most the risk per trade.

    Fixed fractional sizing: units = equity x risk % / (distance x rate of a loss), rounded down and cut to the caps of
    the position's units and value and to the broker's maximum. Stop and target are rounded toward the entry price, the
    bound toward a better price.
    """
    entry = quote.ask if direction > 0 else quote.bid
    stop = _toward_entry(instrument, entry - direction * stop_distance(limits, instrument, window), direction)
    distance = abs(entry - stop)
    budget = equity_home * limits.risk_per_trade_pct / 100
    rate = _rate_at(stop, quote, instrument, currency)
    most = min(_units_cap(instrument, limits), _value_cap(quote, equity_home, limits))
    size = _size(budget, distance * rate, instrument, most)
    return EntryPlan(
        units=direction * size,
        stop_loss=stop,
        take_profit=_target(direction, entry, target_distance(limits, instrument, window), instrument),
        price_bound=_bound(direction, entry, limits, instrument),
        stop_distance=distance,
        risk_home=size * distance * rate,
        loss_per_unit_home=distance * rate,
    )


def _rate_at(stop: Decimal, quote: Quote, instrument: Instrument, currency: str) -> Decimal:
    """What a unit of loss costs at home when the stop is hit.

    Where the base is the account's currency (USD_JPY for USD) the instrument's own price converts, so the stop moves
    the rate along; elsewhere the present rate is the best guess.
    """
    if instrument.base != currency or stop <= 0:
        return quote.loss_rate
    return quote.loss_rate * quote.mid / stop


def _units_cap(instrument: Instrument, limits: RiskLimits) -> Decimal:
    return min(limits.units_cap(instrument.name), instrument.units_max)


def _value_cap(quote: Quote, equity_home: Decimal, limits: RiskLimits) -> Decimal:
    """Units that are worth what one position may be worth at most."""
    unit_home = quote.mid * quote.home_rate
    return equity_home * limits.value_cap_pct(quote.instrument) / 100 / unit_home if unit_home > 0 else ZERO


def _size(budget_home: Decimal, loss_per_unit_home: Decimal, instrument: Instrument, most: Decimal) -> Decimal:
    if budget_home <= 0 or loss_per_unit_home <= 0:
        return ZERO
    units = instrument.round_units_down(min(budget_home / loss_per_unit_home, most))
    return units if units >= instrument.units_min else ZERO


def _toward_entry(instrument: Instrument, stop: Decimal, direction: int) -> Decimal:
    return instrument.round_price_up(stop) if direction > 0 else instrument.round_price_down(stop)


def _target(direction: int, entry: Decimal, distance: Decimal, instrument: Instrument) -> Decimal | None:
    if distance <= 0:
        return None
    price = entry + direction * distance
    target = instrument.round_price_down(price) if direction > 0 else instrument.round_price_up(price)
    return target if target > 0 else None


def _bound(direction: int, entry: Decimal, limits: RiskLimits, instrument: Instrument) -> Decimal | None:
    if limits.slippage_pips_max == 0:
        return None
    price = entry + direction * limits.slippage_pips_max * instrument.pip_size
    return instrument.round_price_down(price) if direction > 0 else instrument.round_price_up(price)
