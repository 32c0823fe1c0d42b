"""I am the photographer: I freeze the desk into a snapshot for pages.
I may import the domain, snapshot and the desk.
I must not change anything, nor read anything but the desk.
My tests are in tests/unit/session/test_view.py.
"""

from decimal import Decimal

from engine.domain.account import Trade
from engine.domain.calendar import bucket_end_ns, bucket_start_ns
from engine.domain.check import Check
from engine.domain.event import AlertRaised
from engine.risk.breakers import Breaker, Trip
from engine.risk.exposure import Exposure, worst
from engine.session.desk import HUNDRED, ZERO, Desk
from engine.session.surroundings import exposure
from engine.session.usage import usage
from engine.snapshot import BreakerView, ForeignTrade, LegView, PositionView, Snapshot, WarmupRow


def take_snapshot(
    desk: Desk,
    warmup: tuple[WarmupRow, ...],
    *,
    revision: int,
    published_ns: int,
    digest: str = "",
    alerts: tuple[AlertRaised, ...] = (),
    checks: tuple[Check, ...] = (),
) -> Snapshot:
    """Freeze the desk; costs grow with instruments and open trades, not with the length of the run."""
    ledger, quotes = desk.ledger, desk.quotes
    unpriced = desk.unpriced  # while there are some the session is DEGRADED and says so
    positions = tuple(_position(desk, name) for name in ledger.held if name not in unpriced)
    held = exposure(desk)
    return Snapshot(
        revision=revision,
        ts_ns=desk.now_ns,
        published_ns=published_ns,
        session_state=desk.state,
        trading_state=desk.trading_state,
        reason=desk.reason if desk.finished else desk.state_reason or desk.reason,
        clock_note=desk.clock_note,
        run_id=desk.run_id,
        continues=desk.continues,
        config=desk.config,
        limits=desk.limits,
        limits_revision=desk.limits_revision,
        no_loosening_until_ns=desk.no_loosening_until_ns,
        usage=usage(desk),
        legs=_legs(desk, held),
        exposure_net_home=worst(held.net_home),
        news=desk.hours.news,
        preview=desk.preview,
        currency=desk.currency,
        opening_balance_home=desk.opening_balance_home,
        balance_home=ledger.balance_home,
        equity_home=desk.equity_home,
        unrealized_pl_home=desk.equity_home - ledger.balance_home,
        day_pl_home=desk.day_pl_home,
        day_pl_pct=desk.day_pl_home / desk.day_start_home * HUNDRED if desk.day_start_home else ZERO,
        drawdown_pct=desk.drawdown_pct,
        max_drawdown_pct=desk.max_drawdown_pct,
        margin_used_home=ZERO if unpriced else ledger.margin_used_home(quotes, desk.offered),
        exposure_home=ZERO if unpriced else ledger.exposure_home(quotes),
        risk_home=sum((position.risk_home for position in positions), ZERO),
        next_bar_ns=_next_bar_ns(desk),
        armed_until_ns=desk.armed_until_ns,
        positions=positions,
        open_trades=ledger.open_trades,
        foreign_trades=tuple(_foreign(desk, trade) for trade in desk.foreign_trades()),
        foreign_orders=desk.foreign_orders,
        unresolved_orders=tuple(order.intent.client_order_id for order in desk.orders.open_orders),
        instruments=tuple(desk.instruments.values()),
        quotes=tuple(quotes.values()),
        breakers=_breakers(desk),
        warmup=warmup,
        bars={name: tuple(bars) for name, bars in desk.bars.items()},
        equity_curve=desk.curve.points(),
        decisions=tuple(desk.decisions),
        verdicts=tuple(desk.verdicts),
        alerts=alerts,
        checks=checks,
        counts=desk.counts(),
        realized_pl_home=ledger.realized_pl_home,
        financing_home=ledger.financing_home,
        commission_home=ledger.commission_home,
        transferred_home=ledger.transferred_home,
        digest=digest,
    )


def _legs(desk: Desk, held: Exposure) -> tuple[LegView, ...]:
    return tuple(
        LegView(
            currency=currency,
            low_home=low,
            high_home=high,
            cap_home=desk.equity_home * desk.limits.currency_cap_pct(currency) / HUNDRED,
        )
        for currency, (low, high) in sorted(held.legs_home.items())
    )


def _next_bar_ns(desk: Desk) -> int:
    """When the running bar ends: on the venue's grid, or on that of a recording whose long bars keep other hours."""
    now_ns, length_ns = desk.now_ns, desk.granularity_ns
    start_ns = bucket_start_ns(now_ns, length_ns)
    last_ns = max((bars[-1].open_ts_ns for bars in desk.bars.values() if bars), default=start_ns)
    if bucket_start_ns(last_ns, length_ns) != last_ns:
        return now_ns + length_ns - (now_ns - last_ns) % length_ns
    return bucket_end_ns(start_ns, length_ns)


def _position(desk: Desk, name: str) -> PositionView:
    quote = desk.quotes[name]
    position = desk.ledger.position(name, quote)
    trades = desk.ledger.trades_of(name)
    return PositionView(
        instrument=name,
        units=position.units,
        average_price=position.average_price,
        price_now=quote.bid if position.units > 0 else quote.ask,
        unrealized_pl_home=position.unrealized_pl_home,
        risk_home=desk.ledger.risk_home(name, quote),
        stop_loss=_common(tuple(trade.stop_loss for trade in trades)),
        take_profit=_common(tuple(trade.take_profit for trade in trades)),
        opened_ns=_oldest(trades),
        trade_ids=tuple(trade.trade_id for trade in trades),
    )


def _foreign(desk: Desk, trade: Trade) -> ForeignTrade:
    return ForeignTrade(trade=trade, claim=desk.claims.get(trade.trade_id))


def _common(prices: tuple[Decimal | None, ...]) -> Decimal | None:
    """The price that all trades share; None when they differ or one has none."""
    return prices[0] if len(set(prices)) == 1 else None


def _oldest(trades: tuple[Trade, ...]) -> int:
    return min(trade.opened_ns for trade in trades)


def _breakers(desk: Desk) -> tuple[BreakerView, ...]:
    """Every breaker that measures, then what was latched without one."""
    measuring = tuple(_breaker(desk, breaker) for breaker in desk.panel.breakers)
    names = {view.name for view in measuring}
    return (*measuring, *(_latched(trip) for trip in desk.panel.trips if trip.breaker not in names))


def _latched(trip: Trip) -> BreakerView:
    return BreakerView(
        name=trip.breaker,
        value=trip.value,
        limit=trip.limit,
        used_pct=float(HUNDRED),
        tripped_ns=trip.ts_ns,
        cause=trip.cause,
    )


def _breaker(desk: Desk, breaker: Breaker) -> BreakerView:
    reading = breaker.read(desk.account_view())
    trip = desk.panel.trip_of(breaker.name)
    return BreakerView(
        name=breaker.name,
        value=reading.value,
        limit=reading.limit,
        used_pct=float(reading.used_pct),
        tripped_ns=trip.ts_ns if trip else None,
        cause=trip.cause if trip else "",
        left=reading.left,
    )
