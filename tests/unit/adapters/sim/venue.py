"""What the tests of the simulated venue are written in: instruments, bars by minute, brokers, exchanges and orders."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.entries import LogEntry, OrderEnded, OrderFilled, OrderMade, OrderRefused
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.financing import FinancingRates
from engine.adapters.sim.ticket import OrderKind, Ticket, TimeInForce
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, Transaction

# Tuesday, 2024-03-05T12:00:00Z: 07:00 in New York, ten hours before the rollover.
START_NS = 1_709_640_000 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S
# Friday, 17:00 in New York, when the week ends.
MINUTES_TO_CLOSE = 3 * 1_440 + 600
NO_FINANCING = FinancingRates(long=Decimal(0), short=Decimal(0))


def instrument(name: str, margin_rate: str = "0.02") -> Instrument:
    decimals = 3 if name.endswith("JPY") else 5
    return Instrument(
        name=name,
        price_decimals=decimals,
        pip_size=Decimal(1).scaleb(1 - decimals),
        units_decimals=0,
        units_min=Decimal(1),
        units_max=Decimal(10_000_000),
        margin_rate=Decimal(margin_rate),
    )


def instruments(*names: str, margin_rate: str = "0.02") -> dict[str, Instrument]:
    return {name: instrument(name, margin_rate) for name in names}


def broker(*names: str, **options: Any) -> SimBroker:
    """A broker with 100,000 USD that trades the named instruments (EUR_USD) and charges no conversion."""
    settings: dict[str, Any] = {
        "instruments": instruments(*(names or ("EUR_USD",))),
        "currency": "USD",
        "balance": Decimal(100_000),
        "start_ns": START_NS,
        "conversion_charge": Decimal(0),
    }
    return SimBroker(**(settings | options))


def bar(minute: int, prices: str, *, spread: str = "0.00010", name: str = "EUR_USD", start_ns: int = START_NS) -> Bar:
    """The bar that ends `minute` minutes after the start; prices are the bid's: flat, or "open high low close"."""
    bid = [Decimal(text) for text in prices.split()]
    first, high, low, close = bid * 4 if len(bid) == 1 else bid
    wide = Decimal(spread)
    return Bar(
        instrument=name,
        granularity=Granularity.M1,
        open_ts_ns=start_ns + (minute - 1) * MINUTE_NS,
        bid_open=first,
        bid_high=high,
        bid_low=low,
        bid_close=close,
        ask_open=first + wide,
        ask_high=high + wide,
        ask_low=low + wide,
        ask_close=close + wide,
    )


def order(
    units: int | str, *, name: str = "EUR_USD", client_order_id: str = "one", created_ns: int = START_NS, **terms: Any
) -> OrderIntent:
    """A market order; prices of its terms may be given as text."""
    return OrderIntent(
        client_order_id=client_order_id,
        instrument=name,
        units=Decimal(units),
        created_ns=created_ns,
        reason=OrderReason.SIGNAL,
        **{key: Decimal(value) if isinstance(value, str) else value for key, value in terms.items()},
    )


def priced(*names: str, price: str = "1.10000", **options: Any) -> SimBroker:
    """A broker whose first minute has passed at a flat bid of `price` and an ask 0.00010 above it."""
    made = broker(*names, **options)
    made.on_frame([bar(1, price, name=name) for name in names or ("EUR_USD",)])
    return made


def since(venue: SimBroker, after_id: int = 0) -> list[Transaction]:
    return list(venue.transactions_since(after_id))


def sent(venue: SimBroker, intent: OrderIntent) -> list[Transaction]:
    """Submit, and return the transactions that came of it."""
    before = venue.account().last_transaction_id
    answer = venue.submit(intent)
    new = since(venue, before)
    assert answer.last_transaction_id == before + len(new)
    return new


def lived(venue: SimBroker, *bars: Bar) -> list[Transaction]:
    """Let the broker live through one frame, and return the transactions that came of it."""
    before = venue.account().last_transaction_id
    venue.on_frame(bars)
    return since(venue, before)


def fills(transactions: list[Transaction]) -> list[Fill]:
    return [each for each in transactions if isinstance(each, Fill)]


def outcome(transactions: list[Transaction]) -> str:
    """What became of an order, as OANDA tells it: the reason of its end, or of its fill."""
    last = [each for each in transactions if not isinstance(each, OrderCreated)][0]
    assert not isinstance(last, OrderCanceled) or isinstance(transactions[0], OrderCreated)
    return str(getattr(last, "reason", ""))


def exchange(*names: str, bid: str = "1.10000", ask: str = "1.10010", **options: Any) -> Exchange:
    """An exchange with 100,000 USD, no conversion charge and no financing, whose instruments stand at a price."""
    made = instruments(*(names or ("EUR_USD",)))
    settings: dict[str, Any] = {
        "instruments": made,
        "currency": "USD",
        "balance": Decimal(100_000),
        "start_ns": START_NS,
        "conversion_charge": Decimal(0),
        "financing": dict.fromkeys(made, NO_FINANCING),
    }
    settings |= options
    market = Exchange(**settings)
    for name in settings["instruments"]:
        market.on_quote(name, Decimal(bid), Decimal(ask))
    return market


def ticket(kind: OrderKind, units: int | str = 0, *, name: str = "EUR_USD", **terms: Any) -> Ticket:
    """A ticket that waits until cancelled, a market order that does not; numbers of its terms may be text."""
    waits = TimeInForce.FOK if kind is OrderKind.MARKET else TimeInForce.GTC
    numbers = {key: Decimal(value) for key, value in terms.items() if key in ("price", "distance", "price_bound")}
    return Ticket(kind=kind, instrument=name, units=Decimal(units), **({"time_in_force": waits} | terms | numbers))


def set_at(market: Exchange, bid: str, ask: str | None = None, *, name: str = "EUR_USD", tradeable: bool = True) -> str:
    """Set a price by hand, an ask 0.00010 above the bid if none is given, and tell what came of it."""
    before = market.book.last_id
    wide = Decimal(bid) + Decimal("0.00010") if ask is None else Decimal(ask)
    market.on_quote(name, Decimal(bid), wide, tradeable=tradeable)
    return told(market.book.since(before))


def passed(market: Exchange, now_ns: int) -> str:
    """Let time pass, and tell what came of it."""
    before = market.book.last_id
    market.advance(now_ns)
    return told(market.book.since(before))


def told(entries: Sequence[LogEntry]) -> str:
    """Tell entries in short: what was made, filled with units at a price, or ended for a reason."""
    return ", ".join(_told(entry) for entry in entries)


def _told(entry: LogEntry) -> str:
    match entry:
        case OrderMade():
            return entry.ticket.kind.order_type
        case OrderFilled():
            return f"{entry.units:f} at {entry.price}"
        case OrderEnded():
            return entry.reason
        case OrderRefused():
            return f"refused {entry.reject_reason}"
    return type(entry).__name__


def bought(market: Exchange, units: int | str, **terms: Any) -> str:
    """Open a trade at the market (negative units sell) and return its id."""
    entries = market.create(ticket(OrderKind.MARKET, units, **terms))
    fill = entries[1]
    assert isinstance(fill, OrderFilled), told(entries)
    assert fill.opened is not None
    return str(fill.id)
