"""What holds of the simulated account whatever the market does and whatever is sent; by a second, simple ledger."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.sim.broker import SimBroker
from engine.domain.market import Bar, Granularity, Quote
from engine.domain.order import OrderIntent
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    TradeClosed,
    Transaction,
)
from tests.unit.adapters.sim.venue import MINUTE_NS, START_NS, broker, order

NAMES = ("EUR_USD", "USD_JPY", "EUR_GBP", "GBP_USD")
START_PRICE = {
    "EUR_USD": Decimal("1.10000"),
    "USD_JPY": Decimal("150.000"),
    "EUR_GBP": Decimal("0.85000"),
    "GBP_USD": Decimal("1.29000"),
}
STEP = {name: Decimal("0.010") if name == "USD_JPY" else Decimal("0.00010") for name in NAMES}
TINY = Decimal("1e-12")

moves = st.integers(-150, 150)
distances = st.none() | st.integers(1, 80)


@st.composite
def frames(draw: st.DrawFn) -> dict[str, tuple[int, ...]]:
    """Per instrument: gap, then highest, lowest and last move from the open, and spread, all in pips."""
    chosen = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    return {name: draw(st.tuples(moves, moves, moves, moves, st.integers(1, 5))) for name in sorted(chosen)}


orders = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "units": (st.integers(-400_000, 400_000) | st.integers(-40_000, 40_000)).filter(bool),
        "stop": distances,
        "target": distances,
        "trailing": distances,
        "bound": st.sampled_from([None, None, None, -1, 0, 1]),
        "reduce_only": st.sampled_from([False, False, False, True]),
    }
)
steps = st.lists(st.one_of(frames(), orders, orders), min_size=12, max_size=40)


@dataclass
class Lot:
    instrument: str
    units: Decimal
    price: Decimal
    stop: Decimal | None
    target: Decimal | None


@dataclass
class Story:
    """What the test knows by itself: newest prices, the bar in progress, orders sent, lots open, money booked."""

    venue: SimBroker
    minute: int = 0
    read: int = 0
    prices: dict[str, Decimal] = field(default_factory=lambda: dict(START_PRICE))
    bars: dict[str, Bar] = field(default_factory=dict)
    intents: dict[str, OrderIntent] = field(default_factory=dict)
    lots: dict[str, Lot] = field(default_factory=dict)
    filled: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    created: dict[str, OrderCreated] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    money: Decimal = Decimal(0)

    def live(self, shapes: dict[str, tuple[int, ...]], minutes: int) -> None:
        self.minute += minutes
        self.bars = {name: self.bar(name, shape) for name, shape in shapes.items()}
        self.venue.on_frame(list(self.bars.values()))
        self.read_on()
        self.bars = {}

    def bar(self, name: str, shape: tuple[int, ...]) -> Bar:
        gap, *inside, wide = shape
        step = STEP[name]
        first = max(self.prices[name] + gap * step, START_PRICE[name] / 2).quantize(step / 10)
        path = [first, *(first + move * step for move in inside)]
        self.prices[name] = path[-1]
        bid = {"open": first, "high": max(path), "low": min(path), "close": path[-1]}
        sides = {f"bid_{key}": price for key, price in bid.items()}
        sides |= {f"ask_{key}": price + wide * step for key, price in bid.items()}
        return Bar(
            instrument=name,
            granularity=Granularity.M1,
            open_ts_ns=START_NS + (self.minute - 1) * MINUTE_NS,
            **sides,
        )

    def send(self, wish: dict[str, object]) -> None:
        name, units = str(wish["name"]), int(str(wish["units"]))
        side = 1 if units > 0 else -1
        quote, step = self.venue.quote(name), STEP[name]
        near, far = (quote.ask, quote.bid) if side > 0 else (quote.bid, quote.ask)
        number = str(len(self.intents))

        def away(key: str, base: Decimal, sign: int) -> Decimal | None:
            return None if wish[key] is None else base + sign * int(str(wish[key])) * step

        self.intents[number] = order(
            units,
            name=name,
            client_order_id=number,
            stop_loss=away("stop", far, -side),
            take_profit=away("target", near, side),
            trailing_distance=away("trailing", Decimal(0), 1),
            price_bound=away("bound", near, side),
            reduce_only=bool(wish["reduce_only"]),
        )
        self.venue.submit(self.intents[number])
        self.read_on()

    def read_on(self) -> None:
        for transaction in self.venue.transactions_since(self.read):
            assert transaction.transaction_id == self.read + 1
            self.read += 1
            self.take(transaction)

    def take(self, transaction: Transaction) -> None:
        match transaction:
            case FundsTransferred():
                self.money += transaction.amount_home
            case DailyFinancing():
                assert transaction.financing_home == sum(each.financing_home for each in transaction.trades)
                assert {each.trade_id for each in transaction.trades} == set(self.lots)
                self.money += transaction.financing_home
            case OrderCreated():
                self.created[transaction.order_id] = transaction
            case OrderCanceled():
                self.ended.add(transaction.order_id)
            case Fill():
                self.money += transaction.pl_home + transaction.financing_home - transaction.commission_home
                self.check_price(transaction)
                self.take_fill(transaction)
        if isinstance(transaction, FundsTransferred | DailyFinancing | Fill):
            assert transaction.balance_home == self.money

    def take_fill(self, fill: Fill) -> None:
        parts = (*fill.closed, *((fill.reduced,) if fill.reduced else ()))
        opened_units = fill.opened.units if fill.opened else Decimal(0)
        assert fill.units == sum((part.units for part in parts), opened_units)
        assert fill.pl_home == sum(part.realized_pl_home for part in parts)
        for part in parts:
            self.take_part(part, fill)
        if fill.opened is not None:
            assert not [
                lot for lot in self.lots.values() if lot.instrument == fill.instrument and lot.units * fill.units < 0
            ]
            opened = fill.opened
            self.lots[opened.trade_id] = Lot(
                fill.instrument, opened.units, opened.price, opened.stop_loss, opened.take_profit
            )
        self.filled[fill.instrument] += fill.units

    def take_part(self, part: TradeClosed, fill: Fill) -> None:
        lot = self.lots[part.trade_id]
        older = [
            key
            for key, each in self.lots.items()
            if each.instrument == fill.instrument and int(key) < int(part.trade_id)
        ]
        assert fill.reason not in {"MARKET_ORDER", "MARKET_ORDER_MARGIN_CLOSEOUT"} or not older, "oldest first"
        assert part.units * lot.units < 0, "a trade is closed by the other side"
        gain = (part.price - lot.price) * -part.units
        assert part.realized_pl_home * gain >= 0, "a gain is booked as a gain and a loss as a loss"
        lot.units += part.units
        if part in fill.closed:
            assert lot.units == 0
            del self.lots[part.trade_id]
        else:
            assert lot.units * -part.units > 0

    def check_price(self, fill: Fill) -> None:
        sells = fill.units < 0
        if fill.reason.startswith("MARKET_ORDER"):
            quote = self.venue.quote(fill.instrument)
            assert fill.price == (quote.bid if sells else quote.ask)
        else:
            self.check_trigger(fill, self.bars[fill.instrument], sells)
        if fill.client_order_id is not None:
            self.check_terms(fill, self.intents[fill.client_order_id], self.venue.quote(fill.instrument))

    def check_trigger(self, fill: Fill, bar: Bar, sells: bool) -> None:
        low, high = (bar.bid_low, bar.bid_high) if sells else (bar.ask_low, bar.ask_high)
        assert low <= fill.price <= high
        (closed,) = fill.closed
        lot = self.lots[closed.trade_id]
        assert fill.opened is None and fill.reduced is None
        assert (lot.units > 0) == sells
        sign = 1 if sells else -1
        if fill.reason == "STOP_LOSS_ORDER":
            assert sign * fill.price <= sign * lot.stop, "a stop never does better than its price"
        if fill.reason == "TAKE_PROFIT_ORDER":
            assert sign * fill.price >= sign * lot.target, "a target never does worse than its price"
        assert fill.order_id not in self.ended and self.created[fill.order_id].trade_id == closed.trade_id
        self.ended.add(fill.order_id)

    def check_terms(self, fill: Fill, intent: OrderIntent, quote: Quote) -> None:
        assert fill.units * intent.units > 0, "a sell is a sell"
        assert abs(fill.units) <= abs(intent.units)
        assert fill.units == intent.units or intent.reduce_only
        buys = intent.units > 0
        if intent.price_bound is not None:
            assert fill.price <= intent.price_bound if buys else fill.price >= intent.price_bound
        if fill.opened is not None:
            assert not intent.reduce_only
            assert (fill.opened.stop_loss, fill.opened.take_profit) == (intent.stop_loss, intent.take_profit)
            sign = 1 if buys else -1
            assert intent.stop_loss is None or sign * intent.stop_loss < sign * (quote.bid if buys else quote.ask)
            assert intent.take_profit is None or sign * intent.take_profit >= sign * fill.price

    def check_account(self) -> None:
        account = self.venue.account()
        assert account.last_transaction_id == self.read
        assert account.balance_home == self.money
        open_units: dict[str, Decimal] = defaultdict(Decimal)
        unrealized = margin = Decimal(0)
        for lot in self.lots.values():
            quote, rate = self.venue.quote(lot.instrument), self.home_rate(lot.instrument)
            price = quote.bid if lot.units > 0 else quote.ask
            unrealized += (price - lot.price) * lot.units * rate
            margin += abs(lot.units) * quote.mid * Decimal("0.02") * rate
            open_units[lot.instrument] += lot.units
        assert abs(account.equity_home - account.balance_home - unrealized) < TINY
        assert abs(account.margin_used_home - margin) < TINY
        assert {name: units for name, units in self.filled.items() if units} == dict(open_units)

    def home_rate(self, name: str) -> Decimal:
        rates = {"USD": Decimal(1), "JPY": 1 / self.venue.quote("USD_JPY").mid, "GBP": self.venue.quote("GBP_USD").mid}
        return rates[name.split("_")[1]]


def told(script: list[dict], minutes: int, balance: int = 100_000) -> Story:
    """Play a script on a fresh account, checking everything after every step."""
    story = Story(broker(*NAMES, conversion_charge=Decimal("0.01"), balance=Decimal(balance)))
    story.live({name: (0, 0, 0, 0, 1) for name in NAMES}, 1)
    story.check_account()
    for step in script:
        if "units" in step:
            story.send(step)
        else:
            story.live(step, minutes)
        story.check_account()
    return story


@given(script=steps, minutes=st.sampled_from([1, 60, 1_440]), balance=st.sampled_from([1_000, 100_000]))
def test_the_account_agrees_with_a_ledger_of_its_transactions(script: list[dict], minutes: int, balance: int) -> None:
    told(script, minutes, balance)


@given(script=steps)
def test_opposite_orders_leave_the_account_flat(script: list[dict]) -> None:
    story = told(script, 1)
    for name, units in tuple(story.filled.items()):
        if units:
            story.send(
                {"name": name, "units": -units, "reduce_only": False}
                | dict.fromkeys(("stop", "target", "trailing", "bound"))
            )
    story.check_account()
    account = story.venue.account()
    assert not story.lots
    assert account.equity_home == account.balance_home
    assert account.margin_used_home == 0
    pending = {key for key, each in story.created.items() if each.trade_id is not None} - story.ended
    assert not pending, "no stop or target outlives its trade"


@given(script=steps, minutes=st.sampled_from([1, 60]))
def test_the_same_story_gives_the_same_log(script: list[dict], minutes: int) -> None:
    first, second = told(script, minutes), told(script, minutes)
    assert list(first.venue.transactions_since(0)) == list(second.venue.transactions_since(0))
