"""Instruments, quotes, bars and transactions that the tests of the money path make for themselves."""

from collections.abc import Iterable
from decimal import Decimal

from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity, Quote
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, FundsTransferred, TradeClosed, TradeOpened
from engine.domain.window import BarWindow

NOW_NS = 1_700_000_000 * NS_PER_S
ZERO = Decimal(0)


def dec(number: str | int) -> Decimal:
    """Spell a Decimal in few letters."""
    return Decimal(number)


def instrument(
    name: str = "EUR_USD",
    price_decimals: int = 5,
    pip: str = "0.0001",
    units_decimals: int = 0,
    units_min: str = "1",
    units_max: str = "100000000",
) -> Instrument:
    return Instrument(
        name=name,
        price_decimals=price_decimals,
        pip_size=Decimal(pip),
        units_decimals=units_decimals,
        units_min=Decimal(units_min),
        units_max=Decimal(units_max),
        margin_rate=Decimal("0.02"),
    )


EUR_USD = instrument()
USD_JPY = instrument("USD_JPY", price_decimals=3, pip="0.01")
XAU_USD = instrument("XAU_USD", price_decimals=3, pip="0.01", units_decimals=2, units_min="0.01", units_max="10000")


def quote(
    bid: str | Decimal = "1.10000",
    ask: str | Decimal = "1.10010",
    name: str = "EUR_USD",
    home_rate: str | Decimal = "1",
    ts_ns: int = NOW_NS,
    tradeable: bool = True,
) -> Quote:
    return Quote(
        instrument=name,
        bid=Decimal(bid),
        ask=Decimal(ask),
        ts_ns=ts_ns,
        received_ns=ts_ns,
        home_rate=Decimal(home_rate),
        tradeable=tradeable,
    )


def intent(units: str | int = 1_000, order_id: str = "1-EUR_USD-0-1", **given: object) -> OrderIntent:
    """An entry of EUR_USD with stop and bound on the safe side of quote()'s prices, unless given otherwise."""
    buys = Decimal(units) > 0
    values: dict[str, object] = {
        "client_order_id": order_id,
        "instrument": "EUR_USD",
        "units": Decimal(units),
        "created_ns": NOW_NS,
        "reason": OrderReason.SIGNAL,
        "stop_loss": Decimal("1.09810") if buys else Decimal("1.10200"),
        "price_bound": Decimal("1.10030") if buys else Decimal("1.09980"),
    }
    return OrderIntent(**{**values, **given})  # type: ignore[arg-type]


def candle(index: int, low: str, high: str, close: str, name: str = "EUR_USD", spread: str = "0") -> Bar:
    """The M1 bar that opens `index` minutes after 1970 at its close's price; ask prices lie `spread` higher."""
    wide = Decimal(spread)
    lowest, highest, closed = Decimal(low), Decimal(high), Decimal(close)
    return Bar(
        instrument=name,
        granularity=Granularity.M1,
        open_ts_ns=index * Granularity.M1.ns,
        bid_open=closed,
        bid_high=highest,
        bid_low=lowest,
        bid_close=closed,
        ask_open=closed + wide,
        ask_high=highest + wide,
        ask_low=lowest + wide,
        ask_close=closed + wide,
    )


def window(bars: Iterable[Bar] = (), capacity: int = 50) -> BarWindow:
    filled = BarWindow("EUR_USD", capacity)
    for bar in bars:
        filled.append(bar)
    return filled


def ranging(count: int, width: str = "0.0010") -> BarWindow:
    """`count` bars that close at 1.10000 and each range over `width`, so that their ATR is `width`."""
    high = str(Decimal("1.10000") + Decimal(width))
    return window([candle(i, "1.10000", high, "1.10000") for i in range(count)], capacity=max(count, 1))


def paid_in(number: int, amount: str | Decimal, balance: str | Decimal | None = None) -> FundsTransferred:
    amount = Decimal(amount)
    return FundsTransferred(
        transaction_id=number,
        ts_ns=NOW_NS,
        amount_home=amount,
        balance_home=amount if balance is None else Decimal(balance),
    )


def fill(
    number: int,
    units: str | Decimal,
    balance: str | Decimal,
    *,
    price: str | Decimal = "1.10000",
    name: str = "EUR_USD",
    pl: str | Decimal = "0",
    financing: str | Decimal = "0",
    commission: str | Decimal = "0",
    opened: TradeOpened | None = None,
    closed: tuple[TradeClosed, ...] = (),
    reduced: TradeClosed | None = None,
    order_id: str | None = None,
    client_order_id: str | None = None,
) -> Fill:
    return Fill(
        transaction_id=number,
        ts_ns=NOW_NS,
        order_id=order_id or str(number),
        client_order_id=client_order_id,
        instrument=name,
        units=Decimal(units),
        price=Decimal(price),
        reason="MARKET_ORDER",
        pl_home=Decimal(pl),
        financing_home=Decimal(financing),
        commission_home=Decimal(commission),
        half_spread_home=ZERO,
        balance_home=Decimal(balance),
        opened=opened,
        closed=closed,
        reduced=reduced,
    )


def opens(trade_id: str, units: str | Decimal, price: str | Decimal = "1.10000", **stops: Decimal) -> TradeOpened:
    return TradeOpened(trade_id=trade_id, units=Decimal(units), price=Decimal(price), **stops)


def closes(trade_id: str, units: str | Decimal, price: str | Decimal, pl: str | Decimal) -> TradeClosed:
    return TradeClosed(trade_id=trade_id, units=Decimal(units), price=Decimal(price), realized_pl_home=Decimal(pl))
