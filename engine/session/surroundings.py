"""I am the surroundings of an intended order: the desk as rules look at it, and what everything held adds up to.
I may import the domain, risk and the desk.
I must not judge or change anything.
My tests are in tests/unit/session/test_surroundings.py.
"""

from decimal import Decimal

from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent
from engine.domain.window import average_true_range
from engine.risk.exposure import Exposure, Stake, exposure_of
from engine.risk.rule_view import RiskView
from engine.session.desk import Desk

ZERO = Decimal(0)
_DAY_NS, _DAYS_PER_YEAR = 86_400 * NS_PER_S, 365


def risk_view(desk: Desk, intent: OrderIntent, risk_home: Decimal, confidence: float = 1.0) -> RiskView:
    """Collect what rules look at for one intent."""
    name, conduct, limits = intent.instrument, desk.conduct, desk.limits
    others = exposed(desk) - {name}
    last, window = conduct.last_entry(name), desk.windows[name]
    return RiskView(
        now_ns=desk.now_ns,
        limits=limits,
        instrument=desk.instruments[name],
        quote=desk.quotes[name],
        trading_state=desk.trading_state,
        state_reason=desk.state_reason,
        equity_home=desk.equity_home,
        position_units=desk.ledger.units(name),
        reserved_units=desk.orders.reserved_units(name),
        waiting_units=waiting_units(desk, name),
        others=_exposure_of(desk, others),
        positions_others=len(others),
        last_entry_ns=last.ts_ns if last else None,
        risk_home=risk_home,
        hours=desk.hours.view(name, desk.now_ns),
        atr=average_true_range(window, limits.atr_period) if len(window) > limits.atr_period else 0.0,
        usual=desk.guards[name].usual(),
        confidence=confidence,
        slippage=conduct.slippage(name),
        financing=_financing(desk, name, intent.units),
        orders_last_minute=conduct.orders_last_minute(desk.now_ns),
        last_loss_ns=conduct.last_loss_ns(name),
        locked=desk.lock_of(name),
        is_repeated=conduct.was_decided(intent),
    )


def without_price(desk: Desk) -> tuple[str, ...]:
    """Instruments that are held or have an order under way, and no price: nobody knows what all adds up to."""
    return tuple(sorted(name for name in exposed(desk) if name not in desk.quotes))


def exposure(desk: Desk) -> Exposure:
    """What everything held and under way adds up to at worst; nothing while a part of it has no price."""
    return _exposure_of(desk, exposed(desk))


def exposed(desk: Desk) -> set[str]:
    """Instruments that are held, or in which an unfinished order of ours or a waiting one of others may open something.

    A waiting order whose instrument or size the broker does not tell cannot be counted; pages name it.
    """
    names = {*desk.ledger.held, *(order.intent.instrument for order in desk.orders.open_orders)}
    return names.union(order.instrument for order in desk.foreign_orders if order.instrument and order.units)


def waiting_units(desk: Desk, name: str) -> Decimal:
    """Units, unsigned, that waiting orders of others may still add in an instrument, as of the newest comparison."""
    return sum((abs(units) for units in _waiting(desk, name)), ZERO) if desk.foreign_orders else ZERO


def _exposure_of(desk: Desk, names: set[str]) -> Exposure:
    """Add up these instruments; nothing is opened while one of them has no price, so that it need not be counted."""
    if desk.unpriced or not names:
        return Exposure()
    return exposure_of(_stake(desk, name) for name in sorted(names) if name in desk.quotes and name in desk.offered)


def _stake(desk: Desk, name: str) -> Stake:
    spec, quote, units = desk.offered[name], desk.quotes[name], desk.ledger.units(name)
    if desk.orders.idle and not desk.foreign_orders:
        return Stake(instrument=spec, quote=quote, units=units)
    rest = [o.intent.units - o.filled_units for o in desk.orders.open_orders if o.intent.instrument == name]
    rest += _waiting(desk, name)
    return Stake(
        instrument=spec,
        quote=quote,
        units=units,
        buying=sum((units for units in rest if units > 0), ZERO),
        selling=sum((units for units in rest if units < 0), ZERO),
    )


def _waiting(desk: Desk, name: str) -> list[Decimal]:
    return [order.units for order in desk.foreign_orders if order.instrument == name and order.units]


def _financing(desk: Desk, name: str, units: Decimal) -> Decimal:
    """What holding one unit over the rollovers that are to be expected costs, in quote currency; negative is earned.

    Expected are the rollovers within the median time for which this session held its trades, a day while none closed.
    """
    spec = desk.instruments[name]
    rate = spec.financing_long if units > 0 else spec.financing_short
    if not rate:
        return ZERO
    first_ns, end_ns = desk.rollover_ns, desk.now_ns + desk.conduct.holding_ns
    nights = 0 if end_ns < first_ns else 1 + (end_ns - first_ns) // _DAY_NS
    return -desk.quotes[name].mid * rate * nights / _DAYS_PER_YEAR
