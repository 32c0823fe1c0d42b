"""I am the use of limits: for each of them what is measured now, what is allowed, and how much of it is used.
I may import the domain, risk and the desk.
I must not judge an order (rules do), nor leave a limit out: a test walks them.
My tests are in tests/unit/session/test_usage.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields
from decimal import Decimal

import msgspec

from engine.domain.calendar import iso_utc
from engine.domain.limits import ANY, RiskLimits, counted
from engine.domain.market import NS_PER_S
from engine.domain.window import average_true_range
from engine.risk.breakers import DEFAULT_BREAKERS, AccountView
from engine.risk.exposure import Exposure, worst
from engine.session.desk import HUNDRED, ZERO, Desk
from engine.session.surroundings import exposed, exposure, waiting_units, without_price
from engine.snapshot import LimitUse

_BREAKERS = {breaker.name: breaker for breaker in DEFAULT_BREAKERS}
_AT_ENTRY = "looked at when an entry is sized"


class _Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What every row is made from, worked out once."""

    desk: Desk
    exposure: Exposure
    account: AccountView
    unpriced: str


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: a number against its limit, or words where there is no number to compare."""

    measured: Decimal | None = None
    most: Decimal | None = None
    unit: str = ""
    of: str = ""
    words: str = ""
    limit: str = ""


def usage(desk: Desk) -> tuple[LimitUse, ...]:
    """Measure every limit, in the order in which they are declared."""
    unpriced = ", ".join(without_price(desk))
    scene = _Scene(desk=desk, exposure=exposure(desk), account=desk.account_view(), unpriced=unpriced)
    return tuple(_row(item.name, _MEASURES[item.name](scene)) for item in fields(RiskLimits))


def _row(name: str, found: _Found) -> LimitUse:
    if found.measured is None or found.most is None:
        return LimitUse(name=name, value=found.words, limit=found.limit, used_pct=None, distance="")
    most, measured = found.most, found.measured
    of = f" ({found.of})" if found.of else ""
    if most <= 0:
        return LimitUse(
            name=name, value=f"{counted(_plain(measured), found.unit)}{of}", limit="off", used_pct=None, distance=""
        )
    return LimitUse(
        name=name,
        value=f"{counted(_plain(measured), found.unit)}{of}",
        limit=counted(_plain(most), found.unit),
        used_pct=float(measured / most * HUNDRED),
        distance=counted(_plain(max(most - measured, ZERO)), found.unit),
    )


def _plain(number: Decimal) -> str:
    """At most two decimals, none that say nothing."""
    text = f"{number:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(scene: _Scene, amount_home: Decimal, most: Decimal, of: str = "") -> _Found:
    equity = scene.desk.equity_home
    share = amount_home / equity * HUNDRED if equity > 0 else HUNDRED if amount_home else ZERO
    return _Found(measured=share, most=most, unit="% of equity", of=of)


def _nearest(found: Iterable[_Found], none: _Found) -> _Found:
    """The one that is nearest to its limit."""
    return max(found, key=lambda one: (one.measured or ZERO) / one.most if one.most else ZERO, default=none)


def _priced(measure: Callable[[_Scene], _Found], most: Callable[[RiskLimits], Decimal]) -> Callable[[_Scene], _Found]:
    """A sum over all that is held and under way: while a part of it has no price it is not known, and not 0."""

    def measured(scene: _Scene) -> _Found:
        if not scene.unpriced:
            return measure(scene)
        limit = f"{_plain(most(scene.desk.limits))} % of equity"
        return _Found(words=f"not known: {scene.unpriced} has no price", limit=limit)

    return measured


def _risk(scene: _Scene) -> _Found:
    desk, most = scene.desk, scene.desk.limits.risk_per_trade_pct
    priced = [name for name in desk.ledger.held if name in desk.quotes]
    risks = [_share(scene, desk.ledger.risk_home(name, desk.quotes[name]), most, name) for name in priced]
    return _nearest(risks, _share(scene, ZERO, most))


def _gross(scene: _Scene) -> _Found:
    return _share(scene, scene.exposure.gross_home, scene.desk.limits.exposure_pct_max)


def _net(scene: _Scene) -> _Found:
    return _share(scene, worst(scene.exposure.net_home), scene.desk.limits.exposure_net_pct_max)


def _margin(scene: _Scene) -> _Found:
    return _share(scene, scene.exposure.margin_home, scene.desk.limits.margin_pct_max)


def _units(scene: _Scene) -> _Found:
    desk = scene.desk
    sizes = [
        _Found(
            measured=_at_worst(desk, name),
            most=desk.limits.units_cap(name),
            unit="units",
            of=name,
        )
        for name in desk.instruments
    ]
    return _nearest(sizes, _Found(words="no instrument"))


def _at_worst(desk: Desk, name: str) -> Decimal:
    """Units of an instrument with every unfinished order counted against us, unsigned."""
    return abs(desk.ledger.units(name)) + desk.orders.reserved_units(name) + waiting_units(desk, name)


def _value(scene: _Scene) -> _Found:
    desk = scene.desk
    values = []
    for name in desk.instruments:
        quote = desk.quotes.get(name)
        if quote is not None:
            value = _at_worst(desk, name) * quote.mid * quote.home_rate
            values.append(_share(scene, value, desk.limits.value_cap_pct(name), name))
    return _nearest(values, _share(scene, ZERO, desk.limits.value_cap_pct(ANY)))


def _positions(scene: _Scene) -> _Found:
    count, most = len(exposed(scene.desk)), scene.desk.limits.positions_max
    return _Found(measured=Decimal(count), most=Decimal(most), unit="positions")


def _legs(scene: _Scene) -> _Found:
    limits = scene.desk.limits
    legs = [
        _share(scene, worst(span), limits.currency_cap_pct(currency), currency)
        for currency, span in scene.exposure.legs_home.items()
    ]
    return _nearest(legs, _share(scene, ZERO, limits.currency_cap_pct(ANY)))


def _order_rate(scene: _Scene) -> _Found:
    desk = scene.desk
    return _Found(
        measured=Decimal(desk.conduct.orders_last_minute(desk.now_ns)),
        most=Decimal(desk.limits.orders_per_minute_max),
        unit="orders per minute",
    )


def _repeats(scene: _Scene) -> _Found:
    desk, most = scene.desk, Decimal(scene.desk.limits.repeated_entries_max)
    last = {name: desk.conduct.last_entry(name) for name in desk.instruments}
    counts = [
        _Found(measured=Decimal(one.in_a_row), most=most, unit="entries", of=name) for name, one in last.items() if one
    ]
    return _nearest(counts, _Found(measured=ZERO, most=most, unit="entries"))


def _spread(scene: _Scene) -> _Found:
    desk = scene.desk
    spreads = [
        _Found(
            measured=desk.instruments[name].pips(quote.spread), most=desk.limits.spread_cap(name), unit="pips", of=name
        )
        for name, quote in desk.quotes.items()
        if name in desk.instruments
    ]
    return _nearest(spreads, _Found(words="no quote yet", limit=f"{desk.limits.spread_cap(ANY)} pips"))


def _spread_ratio(scene: _Scene) -> _Found:
    desk = scene.desk
    now = {name: float(desk.quotes[name].spread) for name in desk.instruments if name in desk.quotes}
    usual = {name: desk.guards[name].usual().spread for name in now}
    return _against_median(desk, now, usual, desk.limits.spread_ratio_max)


def _volatility(scene: _Scene) -> _Found:
    desk = scene.desk
    usual = {name: desk.guards[name].usual().true_range for name in desk.instruments}
    return _against_median(desk, _ranges(desk), usual, desk.limits.volatility_ratio_max)


def _against_median(desk: Desk, now: dict[str, float], usual: dict[str, float | None], most: Decimal) -> _Found:
    ratios = [
        _Found(measured=_exact(value / median), most=most, unit="x median", of=name)
        for name, value in now.items()
        if (median := usual.get(name))
    ]
    return _nearest(ratios, _Found(words="too few bars are known", limit=f"{most} x median"))


def _collar(scene: _Scene) -> _Found:
    desk, most = scene.desk, scene.desk.limits.price_collar_atr_max
    away = []
    for name, atr in _ranges(desk).items():
        last, quote = desk.guards[name].usual().last_mid, desk.quotes.get(name)
        if last is not None and quote is not None and atr > 0:
            distance = abs(float(quote.mid) - last) / atr
            away.append(_Found(measured=_exact(distance), most=most, unit="x ATR", of=name))
    return _nearest(away, _Found(words="no bar has closed", limit=f"{most} x ATR"))


def _ranges(desk: Desk) -> dict[str, float]:
    period = desk.limits.atr_period
    return {name: average_true_range(window, period) for name, window in desk.windows.items() if len(window) > period}


def _exact(number: float) -> Decimal:
    return Decimal(f"{number:.4f}")


def _quote_age(scene: _Scene) -> _Found:
    desk, most = scene.desk, scene.desk.limits.quote_age_s_max
    ages = [
        _Found(measured=max(_exact(quote.age_s(desk.now_ns)), ZERO), most=most, unit="s", of=name)
        for name, quote in desk.quotes.items()
        if name in desk.instruments and quote.tradeable
    ]
    return _nearest(ages, _Found(words="no instrument can be traded now", limit=f"{most} s"))


def _slippage(scene: _Scene) -> _Found:
    desk, most = scene.desk, scene.desk.limits.slippage_pips_max
    slips = [
        _Found(measured=max(spec.pips(desk.conduct.slippage(name)), ZERO), most=most, unit="pips", of=f"{name}, median")
        for name, spec in desk.instruments.items()
    ]
    return _nearest(slips, _Found(words=_AT_ENTRY))


def _pauses(
    seconds: Callable[[RiskLimits], Decimal], since: Callable[[Desk, str], int | None]
) -> Callable[[_Scene], _Found]:
    def measure(scene: _Scene) -> _Found:
        desk = scene.desk
        least = seconds(desk.limits)
        moments = {name: since(desk, name) for name in desk.instruments}
        waiting = [
            name
            for name, ts_ns in moments.items()
            if ts_ns is not None and Decimal(desk.now_ns - ts_ns) / NS_PER_S < least
        ]
        words = f"{', '.join(waiting)} waits" if waiting else "no instrument waits"
        return _Found(words=words, limit=f"{_plain(least)} s" if least else "off")

    return measure


def _last_entry_ns(desk: Desk, name: str) -> int | None:
    last = desk.conduct.last_entry(name)
    return last.ts_ns if last else None


def _hours(kind: str) -> Callable[[_Scene], _Found]:
    def measure(scene: _Scene) -> _Found:
        desk = scene.desk
        answers = {name: getattr(desk.hours.view(name, desk.now_ns), kind) for name in desk.instruments}
        closed = [(name, answer) for name, answer in answers.items() if not answer.passed]
        if not closed:
            first = next(iter(answers.values()))
            words = "open" if len(answers) == 1 else f"open for all {len(answers)} instruments"
            return _Found(words=words if first.value == "open" else f"{words}, {first.value}", limit=first.limit)
        name, answer = closed[0]
        more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
        return _Found(words=f"no entries in {name}{more}: {answer.value}", limit=answer.limit)

    return measure


def _breaker(name: str) -> Callable[[_Scene], _Found]:
    def measure(scene: _Scene) -> _Found:
        reading = _BREAKERS[name].read(scene.account)
        unit = "% of equity" if reading.unit == "%" else reading.unit
        return _Found(measured=reading.measured, most=reading.most, unit=unit)

    return measure


def _set(name: str, unit: str) -> Callable[[_Scene], _Found]:
    """A limit that sets a size or a distance and is used in full by every entry."""

    def measure(scene: _Scene) -> _Found:
        value = getattr(scene.desk.limits, name)
        return _Found(words=_AT_ENTRY, limit=f"{value} {unit}".strip())

    return measure


def _known_bars(scene: _Scene) -> _Found:
    desk, needed = scene.desk, scene.desk.limits.guard_bars
    least = min((guard.usual().bars for guard in desk.guards.values()), default=0)
    return _Found(words=f"at least {least} bars known", limit=f"{needed} bars")


def _day(scene: _Scene) -> _Found:
    return _Found(words=f"the next one begins {iso_utc(scene.desk.day_end_ns)}", limit=scene.desk.limits.trading_day)


_MEASURES: dict[str, Callable[[_Scene], _Found]] = {
    "risk_per_trade_pct": _priced(_risk, lambda limits: limits.risk_per_trade_pct),
    "exposure_pct_max": _priced(_gross, lambda limits: limits.exposure_pct_max),
    "exposure_net_pct_max": _priced(_net, lambda limits: limits.exposure_net_pct_max),
    "margin_pct_max": _priced(_margin, lambda limits: limits.margin_pct_max),
    "position_units_max": _units,
    "position_pct_max": _priced(_value, lambda limits: limits.value_cap_pct(ANY)),
    "positions_max": _positions,
    "currency_pct_max": _priced(_legs, lambda limits: limits.currency_cap_pct(ANY)),
    "order_interval_s_min": _pauses(lambda limits: limits.order_interval_s_min, _last_entry_ns),
    "orders_per_minute_max": _order_rate,
    "repeated_entries_max": _repeats,
    "spread_pips_max": _spread,
    "spread_ratio_max": _spread_ratio,
    "volatility_ratio_max": _volatility,
    "guard_bars": _known_bars,
    "price_collar_atr_max": _collar,
    "quote_age_s_max": _quote_age,
    "slippage_pips_max": _slippage,
    "edge_pips_min": _set("edge_pips_min", "pips"),
    "stop_mode": _set("stop_mode", ""),
    "stop_loss_pips": _set("stop_loss_pips", "pips"),
    "take_profit_pips": _set("take_profit_pips", "pips"),
    "stop_loss_atr": _set("stop_loss_atr", "x ATR"),
    "take_profit_atr": _set("take_profit_atr", "x ATR"),
    "atr_period": _set("atr_period", "bars"),
    "trading_windows": _hours("window"),
    "weekend_cutoff_min": _hours("weekend"),
    "rollover_blackout_min": _hours("rollover"),
    "news_before_min": _hours("news"),
    "news_after_min": _hours("news"),
    "cooldown_s": _pauses(
        lambda limits: Decimal(limits.cooldown_s), lambda desk, name: desk.conduct.last_loss_ns(name)
    ),
    "trading_day": _day,
    "daily_loss_pct_max": _breaker("daily_loss"),
    "drawdown_pct_max": _breaker("drawdown"),
    "loss_streak_max": _breaker("loss_streak"),
    "model_faults_max": _breaker("model_faults"),
    "data_age_s_max": _breaker("data_age"),
    "broker_errors_max": _breaker("broker_errors"),
}
