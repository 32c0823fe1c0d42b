"""What holds of the exchange whatever is asked and wherever prices go, and what our own ledger makes of its log."""

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.sim.book import Order, OrderState, Trade
from engine.adapters.sim.conversion import round_home
from engine.adapters.sim.entries import (
    FinancingBooked,
    FundsMoved,
    LogEntry,
    OrderEnded,
    OrderFilled,
    OrderMade,
    OrderRefused,
    TradePart,
)
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.margin import must_close_out
from engine.adapters.sim.ticket import (
    DEPENDENT,
    CloseOut,
    Extensions,
    OnFill,
    OrderKind,
    PositionFill,
    Ticket,
    TimeInForce,
    Trigger,
)
from engine.adapters.sim.translation import transaction
from engine.domain.market import NS_PER_S, Quote
from engine.ledger import Ledger
from tests.unit.adapters.sim.venue import START_NS, bar, exchange

NAMES = ("EUR_USD", "USD_JPY", "EUR_GBP", "GBP_USD")
START = {"EUR_USD": "1.10000", "USD_JPY": "150.000", "EUR_GBP": "0.85000", "GBP_USD": "1.29000"}
PIP = {name: Decimal("0.010") if name == "USD_JPY" else Decimal("0.00010") for name in NAMES}
SURPLUS = "POSITION_CLOSEOUT_FAILED"
COMES_BACK = (OrderKind.LIMIT, OrderKind.TAKE_PROFIT)

WAITS = [kind for kind in OrderKind if kind not in DEPENDENT]
Step = dict[str, Any]


def a_step(chance: Random) -> Step:
    """Make up a step; few distinct numbers, so that prices often meet exactly."""
    pips, one = (lambda: chance.randint(-60, 60)), chance.choice
    step: Step = {"do": one("price price price bar wait order order order close cancel replace dependents".split())}
    match step["do"]:
        case "price":
            move = one([pips(), one([-300, -30, 0, 0, 30, 300])])
            step |= {"move": move, "spread": one([1, 2, 3, 20]), "tradeable": chance.random() < 0.8}
        case "bar":
            step |= {"path": [pips() for _ in range(4)], "spread": one([1, 2, 3, 20])}
        case "wait":
            return step | {"seconds": one([1, 600, 20_000])}
        case "order":
            step |= {
                "kind": one([OrderKind.MARKET, OrderKind.MARKET, *WAITS]),
                "units": one([1, -1]) * one([1, 700, 15_000, 40_000, 300_000]),
                "away": pips(),
                "bound": one([None, None, None, None, -1, 0, 3]),
                "fills": one([*[PositionFill.DEFAULT] * 6, *PositionFill]),
                "trigger": one([Trigger.DEFAULT, *Trigger]),
                "lives": one([*[TimeInForce.GTC] * 5, *TimeInForce]),
                "seconds": one([1, 5_000]),
                "target": one([None, None, (False, 5), (False, 60)]),
                "loss": one([None, None, (False, 5), (True, 20), (True, 60)]),
                "trailing": one([None, None, 5, 40]),
                "words": one([*[None] * 6, "one", "two"]),
            }
        case "dependents":
            target, loss = one([None, pips()]), one([None, pips()])
            step |= {"target": target, "loss": loss, "distance": one([True, False])}
            step |= {"trailing": one([None, 4, 5, 60]), "trigger": one([Trigger.DEFAULT, *Trigger])}
        case "close":
            step["part"] = one([1, 2, 3])
        case "replace":
            step["away"] = pips()
    key = "name" if step["do"] in ("price", "bar", "order") else "pick"
    return step | {key: one(["EUR_USD", "EUR_USD", *NAMES]) if key == "name" else chance.randint(0, 9)}


def a_script(seed: int, length: int) -> list[Step]:
    chance = Random(seed)
    return [a_step(chance) for _ in range(length)]


scripts = st.builds(a_script, seed=st.integers(0, 2**32 - 1), length=st.sampled_from([5, 20, 40, 80]))


@dataclass
class Story:
    """An exchange, our ledger of its log, and what was told so far."""

    market: Exchange
    ledger: Ledger = field(default_factory=Ledger)
    made: dict[str, OrderMade] = field(default_factory=dict)
    filled: dict[str, OrderFilled] = field(default_factory=dict)
    ended: dict[str, OrderEnded] = field(default_factory=dict)
    entry_price: dict[str, Decimal] = field(default_factory=dict)
    money: Decimal = Decimal(0)
    read: int = 0

    def live(self, step: Step) -> None:
        halted = {name for name, quote in self.market.quotes.items() if not quote.tradeable}
        trails = self.trails()
        getattr(self, "do_" + step["do"])(**{key: value for key, value in step.items() if key != "do"})
        if step["do"] == "price" and not step["tradeable"]:
            assert self.market.book.last_id == self.read, "a price of a halted market does nothing"
            assert {key: trails[key] for key in self.trails()} == self.trails()
        new = self.market.book.since(self.read)
        if step["do"] not in ("price", "bar"):
            assert not [each for each in new if isinstance(each, OrderFilled) and each.instrument in halted]
        self.check_numbers(new)
        for entry in new:
            self.take(entry)
        self.check_books()
        if step["do"] == "price" and step["tradeable"]:
            self.check_nothing_was_missed(step["name"])

    def trails(self) -> dict[str, Decimal | None]:
        pending = self.market.book.pending.values()
        return {each.order_id: each.price for each in pending if each.kind is OrderKind.TRAILING_STOP}

    def do_price(self, name: str, move: int, spread: int, tradeable: bool) -> None:
        bid = max(self.market.quotes[name].bid + move * PIP[name], Decimal(START[name]) / 2).quantize(PIP[name] / 10)
        self.market.on_quote(name, bid, bid + spread * PIP[name] / 2, tradeable=tradeable)

    def do_bar(self, name: str, path: list[int], spread: int) -> None:
        """A minute passes, in which the bid first goes to the open and last to the close, and the spread stays."""
        quote, pip = self.market.quotes[name], PIP[name]
        bids = [max(quote.bid + move * pip, Decimal(START[name]) / 2).quantize(pip / 10) for move in path]
        shape = " ".join(str(bid) for bid in (bids[0], max(bids), min(bids), bids[-1]))
        self.market.on_frame([bar(1, shape, spread=str(spread * pip / 2), name=name, start_ns=self.market.now_ns)])

    def do_wait(self, seconds: int) -> None:
        self.market.advance(self.market.now_ns + seconds * NS_PER_S)

    def do_order(self, *, name: str, kind: OrderKind, units: int, **terms: Any) -> None:
        quote, pip = self.market.quotes[name], PIP[name]
        price = quote.bid + terms["away"] * pip
        entry, side = (quote.ask if kind is OrderKind.MARKET else price), (1 if units > 0 else -1)
        bound, words = terms["bound"], terms["words"]
        at_once = terms["lives"] if terms["lives"] in (TimeInForce.FOK, TimeInForce.IOC) else TimeInForce.FOK
        self.market.create(
            Ticket(
                kind=kind,
                instrument=name,
                units=Decimal(units),
                price=None if kind is OrderKind.MARKET else price,
                price_bound=None if bound is None else entry + side * bound * pip,
                time_in_force=at_once if kind is OrderKind.MARKET else terms["lives"],
                gtd_ns=self.market.now_ns + terms["seconds"] * NS_PER_S,
                position_fill=terms["fills"],
                trigger=terms["trigger"],
                take_profit=on_fill(terms["target"], entry, side * pip, words),
                stop_loss=on_fill(terms["loss"], entry, -side * pip, None, by_distance=True),
                trailing_stop=None if terms["trailing"] is None else OnFill(distance=terms["trailing"] * pip),
                extensions=None if words is None else Extensions(id=words),
                trade_extensions=None if words is None else Extensions(id=words),
            )
        )

    def do_close(self, pick: int, part: int) -> None:
        trade = chosen(self.trades(), pick)
        if trade is not None:
            units = -trade.units if part == 1 else -(trade.units / part).quantize(Decimal(1))
            close_out = {"close_out": CloseOut.TRADE, "position_fill": PositionFill.REDUCE_ONLY}
            self.market.create(self.of_trade(OrderKind.MARKET, trade, units=units, lives=TimeInForce.FOK, **close_out))

    def do_cancel(self, pick: int) -> None:
        order = chosen(list(self.market.book.pending.values()), pick)
        if order is not None:
            self.market.cancel(order)

    def do_replace(self, pick: int, away: int) -> None:
        order = chosen(list(self.market.book.pending.values()), pick)
        if order is None:
            return
        name, terms = order.ticket.instrument, {"extensions": order.extensions}
        price = self.market.quotes[name].bid + away * PIP[name]
        if order.kind in DEPENDENT:
            distance = abs(away) * PIP[name] if order.kind is OrderKind.TRAILING_STOP else None
            asked = Ticket(
                kind=order.kind,
                instrument=name,
                price=price,
                distance=distance,
                trade_id=order.ticket.trade_id,
                **terms,
            )
        else:
            asked = Ticket(kind=order.kind, instrument=name, units=order.ticket.units, price=price, **terms)
        self.market.replace(order, asked)

    def do_dependents(
        self, *, pick: int, target: int | None, loss: int | None, distance: bool, trailing: int | None, trigger: Trigger
    ) -> None:
        trade = chosen(self.trades(), pick)
        if trade is None:
            return
        pip, bid = PIP[trade.instrument.name], self.market.quotes[trade.instrument.name].bid
        wanted: list[tuple[Order | None, Ticket | None]] = []
        if target is not None:
            asked = self.of_trade(OrderKind.TAKE_PROFIT, trade, price=bid + target * pip, trigger=trigger)
            wanted.append((trade.take_profit, asked))
        if loss is None:
            wanted.append((trade.stop_loss, None))
        else:
            at = {"distance": (abs(loss) + 1) * pip} if distance else {"price": bid + loss * pip}
            wanted.append((trade.stop_loss, self.of_trade(OrderKind.STOP_LOSS, trade, trigger=trigger, **at)))
        if trailing is not None:
            asked = self.of_trade(OrderKind.TRAILING_STOP, trade, distance=trailing * pip, trigger=trigger)
            wanted.append((trade.trailing_stop, asked))
        self.market.set_dependents(wanted)

    def of_trade(self, kind: OrderKind, trade: Trade, *, lives: TimeInForce = TimeInForce.GTC, **terms: Any) -> Ticket:
        name = trade.instrument.name
        return Ticket(kind=kind, instrument=name, trade_id=trade.trade_id, time_in_force=lives, **terms)

    def trades(self) -> list[Trade]:
        return [trade for position in self.market.book.positions.values() for trade in position.trades]

    def check_numbers(self, new: Any) -> None:
        log = self.market.book.log
        for entry in new:
            assert entry.id == self.read + 1
            self.read += 1
            first = log[entry.batch_id - 1]
            assert first.batch_id == first.id <= entry.id
            assert (first.ts_ns, first.request_id) == (entry.ts_ns, entry.request_id)
            before = log[entry.id - 2]
            assert entry.batch_id in (entry.id, before.batch_id), "a batch is not interrupted"
            assert entry.id == 1 or before.ts_ns <= entry.ts_ns <= self.market.now_ns

    def take(self, entry: LogEntry) -> None:
        self.ledger.apply(transaction(entry))
        match entry:
            case OrderMade():
                self.made[str(entry.id)] = entry
            case OrderRefused():
                assert entry.reject_reason != "INSTRUMENT_UNKNOWN"
            case OrderEnded():
                assert entry.order_id in self.made
                assert entry.order_id not in self.ended
                assert entry.order_id not in self.filled or entry.reason == SURPLUS
                self.ended[entry.order_id] = entry
            case OrderFilled():
                assert entry.order_id not in self.filled
                assert entry.order_id not in self.ended
                self.filled[entry.order_id] = entry
                self.money += entry.pl_home
                self.check_fill(entry, self.made[entry.order_id])
            case FinancingBooked():
                self.money += entry.amount_home
            case FundsMoved():
                self.money += entry.amount_home
        if isinstance(entry, OrderFilled | FinancingBooked | FundsMoved):
            assert entry.balance_home == self.money == self.ledger.balance_home

    def check_fill(self, fill: OrderFilled, made: OrderMade) -> None:
        asked, buys = made.ticket, fill.units > 0
        assert fill.price == (fill.ask if buys else fill.bid)
        assert fill.price == self.market.instruments[fill.instrument].round_price(fill.price)
        side = 1 if buys else -1
        if asked.kind in COMES_BACK and made.price is not None:
            assert side * fill.price <= side * made.price, "a limit is filled at its price or better"
        if asked.kind in (OrderKind.STOP, OrderKind.STOP_LOSS) and made.price is not None:
            assert side * fill.price >= side * made.price, "a stop is filled at its price or worse"
        if asked.price_bound is not None:
            assert side * fill.price <= side * asked.price_bound
        parts = [*fill.closed, *([fill.reduced] if fill.reduced else [])]
        opened = fill.opened.units if fill.opened else Decimal(0)
        assert fill.units == opened + sum(part.units for part in parts)
        assert fill.pl_home == sum(part.realized_pl_home for part in parts)
        assert fill.quote_pl == sum(part.quote_pl for part in parts)
        for part in parts:
            self.check_part(fill, part)
        rate = (fill.gain_factor + fill.loss_factor) / 2
        half = (fill.ask - fill.bid) / 2 * rate
        assert abs(fill.half_spread_home - half * abs(fill.units)) < Decimal("0.0001") * (len(parts) + 1)
        if asked.kind not in DEPENDENT and abs(fill.units) < abs(asked.units):
            assert asked.position_fill is PositionFill.REDUCE_ONLY
        if fill.opened is not None:
            assert asked.position_fill is not PositionFill.REDUCE_ONLY
            self.entry_price[str(fill.id)] = fill.price
            mid = (fill.bid + fill.ask) / 2
            assert abs(fill.opened.margin_home - abs(opened) * mid * Decimal("0.02") * rate) <= Decimal("0.00011")

    def check_part(self, fill: OrderFilled, part: TradePart) -> None:
        assert part.quote_pl == (fill.price - self.entry_price[part.trade_id]) * -part.units
        factor = fill.gain_factor if part.quote_pl > 0 else fill.loss_factor
        assert abs(part.realized_pl_home - round_home(part.quote_pl * factor)) == 0
        if fill.reason in ("MARKET_ORDER", "LIMIT_ORDER", "STOP_ORDER"):
            still = [trade.trade_id for trade in self.trades() if trade.instrument.name == fill.instrument]
            assert not [each for each in still if int(each) < int(part.trade_id)], "oldest first"

    def check_books(self) -> None:
        book = self.market.book
        assert book.balance_home == self.money
        open_trades = {trade.trade_id: trade.units for trade in self.trades()}
        assert all(open_trades.values())
        assert {trade.trade_id: trade.units for trade in self.ledger.open_trades} == open_trades
        for name, position in book.positions.items():
            assert len({trade.is_long for trade in position.trades}) == 1
            assert position.units == sum(trade.units for trade in position.trades) == self.ledger.units(name)
            assert position.cost == sum(trade.units * trade.price for trade in position.trades)
            numbers = [int(trade.trade_id) for trade in position.trades]
            assert numbers == sorted(numbers)
        assert set(book.positions) == set(self.ledger.held)
        self.check_pending()

    def check_pending(self) -> None:
        book = self.market.book
        assert set(book.pending) == set(self.made) - set(self.filled) - set(self.ended)
        ids = [order.client_order_id for order in book.pending.values() if order.client_order_id is not None]
        assert len(ids) == len(set(ids)), "a client id stands for one waiting order"
        attached = {order.order_id for trade in self.trades() for order in trade.dependents}
        assert attached == {order.order_id for order in book.pending.values() if order.trade is not None}
        for order in book.orders.values():
            assert (order.state is OrderState.PENDING) == (order.order_id in book.pending)
            assert (order.state is OrderState.FILLED) == (order.order_id in self.filled)
        for order in book.pending.values():
            assert (order.trade is None) == (order.kind not in DEPENDENT)
            assert order.expires_ns is None or order.expires_ns > self.market.now_ns
        words = [trade.client_trade_id for trade in self.trades() if trade.client_trade_id is not None]
        assert len(words) == len(set(words)), "a client id stands for one open trade"

    def check_nothing_was_missed(self, name: str) -> None:
        book, quote = self.market.book, self.market.quotes[name]
        for order in book.pending.values():
            if order.ticket.instrument == name and order.price is not None and order.kind in SIMPLE:
                assert not over(order, quote), f"{order} should have been filled at {quote}"
        left = [each for each in book.positions if self.market.quotes[each].tradeable]
        assert not left or not must_close_out(book, self.market.rates)


SIMPLE = tuple(kind for kind in OrderKind if kind not in (OrderKind.MARKET, OrderKind.MARKET_IF_TOUCHED))


def over(order: Order, quote: Quote) -> bool:
    """Say by a second set of rules whether the market is where an order should have fired."""
    own, other = (quote.bid, quote.ask) if order.sells else (quote.ask, quote.bid)
    watched = {
        Trigger.DEFAULT: own,
        Trigger.INVERSE: other,
        Trigger.BID: quote.bid,
        Trigger.ASK: quote.ask,
        Trigger.MID: (own + other) / 2,
    }[order.ticket.trigger]
    sign = 1 if order.sells else -1
    assert order.price is not None
    if order.kind in COMES_BACK:
        return sign * min(sign * watched, sign * own) * sign >= sign * order.price
    return sign * watched <= sign * order.price


def on_fill(
    away: tuple[bool, int] | None, entry: Decimal, step: Decimal, words: str | None, *, by_distance: bool = False
) -> OnFill | None:
    if away is None:
        return None
    extensions = None if words is None else Extensions(id=f"{words} target")
    if by_distance and away[0]:
        return OnFill(distance=abs(away[1] * step), extensions=extensions)
    return OnFill(price=entry + away[1] * step, extensions=extensions)


def chosen(among: list[Any], pick: int) -> Any:
    return among[pick % len(among)] if among else None


def lived(script: list[Step], balance: int) -> Story:
    market = exchange(*NAMES, balance=Decimal(balance), conversion_charge=Decimal("0.01"), financing={})
    for name, bid in START.items():
        market.on_quote(name, Decimal(bid), Decimal(bid) + PIP[name])
    for name, bid in START.items():
        market.on_quote(name, Decimal(bid), Decimal(bid) + PIP[name])
    story = Story(market)
    for entry in market.book.since(0):
        story.read += 1
        story.take(entry)
    for step in script:
        story.live(step)
    return story


@given(script=scripts, balance=st.sampled_from([1_000, 20_000, 1_000_000]))
def test_the_log_the_books_and_our_ledger_agree_after_every_step(script: list[Step], balance: int) -> None:
    lived(script, balance)


@given(script=scripts, balance=st.sampled_from([20_000, 1_000_000]))
def test_closing_all_leaves_nothing_behind(script: list[Step], balance: int) -> None:
    story = lived(script, balance)
    for name in NAMES:
        story.live({"do": "price", "name": name, "move": 0, "spread": 2, "tradeable": True})
    while story.trades():
        story.live({"do": "close", "pick": 0, "part": 1})
    while story.market.book.pending:
        story.live({"do": "cancel", "pick": 0})
    assert story.ledger.flat
    assert START_NS <= story.market.now_ns
    assert story.ledger.balance_home == story.market.book.balance_home


@given(script=scripts)
def test_the_same_script_gives_the_same_log(script: list[Step]) -> None:
    first, second = lived(script, 20_000), lived(script, 20_000)
    assert first.market.book.log == second.market.book.log
