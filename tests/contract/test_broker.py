"""What every broker promises the session: the same suite for each implementation.

An implementation joins by a function that gives a Scene: a broker with a quote of EUR_USD (bid below ask, the market
open), 100,000 USD and no open trade, and the exchange behind it for what others do to the account.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import msgspec
import pytest

from engine.adapters.oanda.broker import OandaBroker
from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.closing import close_trade
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.ticket import OrderKind, Ticket
from engine.domain.account import Account, Holdings, Trade, WorkingOrder
from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, Transaction
from engine.ledger import Ledger
from engine.ports import Answered, Broker, NotSent, Unresolved
from engine.redaction import Secret
from tests.fakes.faults import CutBody, Fault, Replace, ResetAfter, ResetBefore
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms
from tests.unit.adapters.oanda.line import name_of
from tests.unit.adapters.oanda.stand import standing

NOON_NS = 1_709_640_000 * NS_PER_S
HOUR_S = 3_600
BID, SPREAD, PIP = Decimal("1.10000"), Decimal("0.00010"), Decimal("0.0001")


class Scene(msgspec.Struct, frozen=True):
    """A broker, the exchange behind it, what sets its price of EUR_USD by hand (bid, ask), and what an hour takes."""

    broker: Broker
    exchange: Exchange
    set_price: Callable[[Decimal, Decimal], None]
    pass_an_hour: Callable[[], object]

    def stand_at(self, bid: Decimal) -> None:
        """Move the market there, with all that follows."""
        self.set_price(bid, bid + SPREAD)


def simulated() -> SimBroker:
    eur_usd = Instrument(
        name="EUR_USD",
        price_decimals=5,
        pip_size=Decimal("0.0001"),
        units_decimals=0,
        units_min=Decimal(1),
        units_max=Decimal(100_000_000),
        margin_rate=Decimal("0.02"),
    )
    start_ns = NOON_NS - Granularity.M1.ns
    venue = SimBroker(instruments={"EUR_USD": eur_usd}, currency="USD", balance=Decimal(100_000), start_ns=start_ns)
    bid = {f"bid_{part}": Decimal("1.10000") for part in ("open", "high", "low", "close")}
    ask = {f"ask_{part}": Decimal("1.10010") for part in ("open", "high", "low", "close")}
    venue.on_frame([Bar(instrument="EUR_USD", granularity=Granularity.M1, open_ts_ns=start_ns, **bid, **ask)])
    return venue


@contextmanager
def sandbox() -> Iterator[Scene]:
    broker = simulated()
    exchange = broker._exchange
    yield Scene(
        broker,
        exchange,
        lambda bid, ask: exchange.on_quote("EUR_USD", bid, ask),
        lambda: exchange.advance(exchange.now_ns + HOUR_S * NS_PER_S),
    )


@contextmanager
def oanda() -> Iterator[Scene]:
    """The OANDA adapter before the venue."""
    time = HandTime()
    with running(terms(), time) as (url, venue):
        access = Access(environment="practice", token=Secret(TOKEN), account_id=ACCOUNT, loopback_url=url)
        desk = OandaDesk(access, Means(monotonic_s=time, wait=time.pass_by, draw=lambda: 0.0))
        market = venue.market

        def pass_an_hour() -> None:
            time.pass_by(HOUR_S)
            desk.broker.account()  # the venue lives on when it is asked

        yield Scene(
            desk.broker, market.exchange, lambda bid, ask: market.set_price("EUR_USD", bid, ask, None), pass_an_hour
        )
        desk.close()


@pytest.fixture(params=[sandbox, oanda], ids=["sandbox", "oanda"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with request.param() as made:
        yield made


@pytest.fixture
def broker(scene: Scene) -> Broker:
    return scene.broker


def intent(units: int, client_order_id: str = "1-EUR_USD-0-1", **terms: Decimal | bool) -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id,
        instrument=str(terms.pop("instrument", "EUR_USD")),
        units=Decimal(units),
        created_ns=NOON_NS,
        reason=OrderReason.SIGNAL,
        **terms,
    )


def submitted(broker: Broker, sent: OrderIntent) -> list[Transaction]:
    """Submit, and read the outcome where alone it is found: after the last known id in the transaction log."""
    known = broker.account().last_transaction_id
    answer = broker.submit(sent)
    assert isinstance(answer, Answered)
    new = list(broker.transactions_since(known))
    assert [each.transaction_id for each in new] == list(range(known + 1, answer.last_transaction_id + 1))
    return new


def filled(broker: Broker, sent: OrderIntent) -> Fill:
    (fill,) = [each for each in submitted(broker, sent) if isinstance(each, Fill)]
    return fill


def test_a_fresh_account_has_its_balance_and_nothing_at_risk(broker: Broker) -> None:
    account = broker.account()
    assert isinstance(account, Account)
    assert (account.currency, account.balance_home, account.equity_home) == ("USD", 100_000, 100_000)
    assert account.margin_used_home == 0


def test_the_log_is_numbered_without_holes(broker: Broker) -> None:
    for number in range(3):
        submitted(broker, intent(100, f"n{number}"))
    ids = [each.transaction_id for each in broker.transactions_since(0)]
    assert ids == list(range(1, broker.account().last_transaction_id + 1))
    assert list(broker.transactions_since(ids[-1])) == []


def test_the_log_can_be_asked_afresh(broker: Broker) -> None:
    known = broker.account().last_transaction_id
    assert list(broker.transactions_since(known, afresh=True)) == []
    new = submitted(broker, intent(100))
    assert list(broker.transactions_since(known, afresh=True)) == new
    assert list(broker.transactions_since(new[-1].transaction_id, afresh=True)) == []


def test_instruments_are_listed_by_name(broker: Broker) -> None:
    assert broker.instruments()["EUR_USD"].price_decimals == 5


def test_a_fill_names_the_order_it_answers(broker: Broker) -> None:
    created, fill = submitted(broker, intent(-1_000, "mine"))
    assert isinstance(created, OrderCreated) and isinstance(fill, Fill)
    assert (created.client_order_id, fill.client_order_id) == ("mine", "mine")
    assert fill.order_id == created.order_id
    assert fill.units == created.units == -1_000
    assert fill.opened is not None and fill.opened.trade_id == str(fill.transaction_id)


def test_buys_pay_more_than_sells_get(broker: Broker) -> None:
    bought, sold = filled(broker, intent(1_000)), filled(broker, intent(-1_000))
    assert bought.price > sold.price
    assert sold.pl_home == (sold.price - bought.price) * 1_000
    assert [each.trade_id for each in sold.closed] == [str(bought.transaction_id)]


def test_stop_and_target_on_fill_become_orders_of_the_trade(broker: Broker) -> None:
    came = submitted(broker, intent(1_000, stop_loss=Decimal("1.00000"), take_profit=Decimal("1.20000")))
    trade_id = str(came[1].transaction_id)
    dependents = {each.kind: each for each in came[2:] if isinstance(each, OrderCreated)}
    assert {kind: (each.trade_id, each.price) for kind, each in dependents.items()} == {
        "TAKE_PROFIT_ORDER": (trade_id, Decimal("1.20000")),
        "STOP_LOSS_ORDER": (trade_id, Decimal("1.00000")),
    }


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (intent(1_000, price_bound=Decimal("1.00000")), "BOUNDS_VIOLATION"),
        (intent(-1_000, price_bound=Decimal("1.20000")), "BOUNDS_VIOLATION"),
        (intent(1_000, stop_loss=Decimal("1.20000")), "STOP_LOSS_ON_FILL_LOSS"),
        (intent(1_000, take_profit=Decimal("1.00000")), "TAKE_PROFIT_ON_FILL_LOSS"),
        (intent(90_000_000), "INSUFFICIENT_MARGIN"),
    ],
)
def test_what_depends_on_the_price_is_created_and_canceled(broker: Broker, sent: OrderIntent, reason: str) -> None:
    created, canceled = submitted(broker, sent)
    assert isinstance(created, OrderCreated) and isinstance(canceled, OrderCanceled)
    assert (canceled.order_id, canceled.client_order_id) == (created.order_id, sent.client_order_id)
    assert canceled.reason == reason
    assert broker.account().margin_used_home == 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (intent(1_000, stop_loss=Decimal("1.0000001")), "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        (intent(1_000, "x" * 129), "CLIENT_ORDER_ID_INVALID"),
    ],
)
def test_what_is_wrong_at_any_price_is_rejected(sent: OrderIntent, reason: str) -> None:
    (rejected,) = submitted(simulated(), sent)
    assert isinstance(rejected, OrderRejected)
    assert (rejected.client_order_id, rejected.reason) == (sent.client_order_id, reason)
    with oanda() as scene, pytest.raises(Bug):
        scene.broker.submit(sent)  # our own mistake: it is never sent


def test_what_the_broker_rejects_is_in_its_log(broker: Broker) -> None:
    (rejected,) = submitted(broker, intent(200_000_000))
    assert isinstance(rejected, OrderRejected)
    assert (rejected.client_order_id, rejected.reason) == ("1-EUR_USD-0-1", "UNITS_LIMIT_EXCEEDED")


def test_a_client_order_id_protects_nothing_once_it_was_filled() -> None:
    """Measured at OANDA (PROTOCOL section 7.2): whoever sends an id twice owns twice."""
    broker = simulated()
    assert filled(broker, intent(1_000, "twin")).units == filled(broker, intent(1_000, "twin")).units == 1_000


def test_the_trade_carries_the_id_so_that_a_late_double_opens_nothing_at_oanda() -> None:
    """The one guard that OANDA has (PROTOCOL section 9, point 6): the id of an open trade."""
    with oanda() as scene:
        broker = scene.broker
        assert filled(broker, intent(1_000, "twin")).units == 1_000
        created, canceled = submitted(broker, intent(1_000, "twin"))
        assert isinstance(created, OrderCreated) and isinstance(canceled, OrderCanceled)
        assert canceled.reason == "CLIENT_TRADE_ID_ALREADY_EXISTS"


def test_a_reduce_only_order_closes_and_never_opens(broker: Broker) -> None:
    filled(broker, intent(1_000))
    fill = filled(broker, intent(-1_500, "close", reduce_only=True))
    assert (fill.units, fill.opened) == (-1_000, None)
    assert broker.account().margin_used_home == 0


def test_balance_is_the_sum_of_what_was_booked(broker: Broker) -> None:
    for number, units in enumerate((3_000, -1_000, -5_000, 3_000)):
        filled(broker, intent(units, f"n{number}"))
    log = broker.transactions_since(0)
    moved = sum(each.pl_home + each.financing_home - each.commission_home for each in log if isinstance(each, Fill))
    assert broker.account().balance_home == broker.account().equity_home == 100_000 + moved
    assert moved < 0


def bought(broker: Broker, units: int = 1_000, client_order_id: str = "one", **terms: Decimal) -> str:
    """Open a trade (negative units sell) and return its id."""
    fill = filled(broker, intent(units, client_order_id, **terms))
    assert fill.opened is not None
    return fill.opened.trade_id


def news(broker: Broker, act: Callable[[], object]) -> list[Transaction]:
    """Act, and return what the log has of it."""
    known = broker.holdings().last_transaction_id
    act()
    return list(broker.transactions_since(known, afresh=True))


def held(broker: Broker, trade_id: str) -> Trade:
    (found,) = [each for each in broker.holdings().trades if each.trade_id == trade_id]
    return found


def test_the_books_begin_where_the_account_is_told_to(scene: Scene) -> None:
    opening = scene.broker.opening()
    assert (opening.trades, opening.orders) == ((), ())
    assert bool(opening.account) == isinstance(scene.broker, OandaBroker)


def test_a_fresh_account_holds_nothing(broker: Broker) -> None:
    held = broker.holdings()
    assert held == Holdings(
        balance_home=Decimal(100_000), last_transaction_id=held.last_transaction_id, trades=(), orders=()
    )
    assert held.last_transaction_id == broker.account().last_transaction_id


def test_what_is_held_is_told_with_its_stop_and_target(broker: Broker) -> None:
    trade_id = bought(broker, stop_loss=Decimal("1.00000"), take_profit=Decimal("1.20000"))
    found = held(broker, trade_id)
    assert (found.instrument, found.units, found.client_order_id) == ("EUR_USD", 1_000, "one")
    assert (found.stop_loss, found.take_profit) == (Decimal("1.00000"), Decimal("1.20000"))
    waiting = [(each.kind, each.trade_id, each.instrument, each.units, each.price) for each in broker.holdings().orders]
    assert waiting == [
        ("TAKE_PROFIT", trade_id, None, None, Decimal("1.20000")),
        ("STOP_LOSS", trade_id, None, None, Decimal("1.00000")),
    ]


@pytest.mark.parametrize(("units", "first", "second"), [(1_000, "1.00000", "1.05000"), (-1_000, "1.30000", "1.20000")])
def test_a_stop_is_set_and_moved_and_the_target_stays(
    scene: Scene, broker: Broker, units: int, first: str, second: str
) -> None:
    scene.stand_at(BID)
    target = Decimal("1.25000") if units > 0 else Decimal("0.90000")
    trade_id = bought(broker, units, take_profit=target)
    (made,) = news(broker, lambda: broker.protect(trade_id, "EUR_USD", Decimal(first)))
    assert isinstance(made, OrderCreated)
    assert (made.kind, made.trade_id, made.price) == ("STOP_LOSS_ORDER", trade_id, Decimal(first))
    assert held(broker, trade_id).stop_loss == Decimal(first)
    ended, moved = news(broker, lambda: broker.protect(trade_id, "EUR_USD", Decimal(second)))
    assert isinstance(ended, OrderCanceled) and isinstance(moved, OrderCreated)
    assert (ended.order_id, ended.reason) == (made.order_id, "CLIENT_REQUEST_REPLACED")
    found = held(broker, trade_id)
    assert (found.units, found.stop_loss, found.take_profit) == (units, Decimal(second), target)


def test_a_stop_that_was_set_closes_its_trade_when_the_market_comes(scene: Scene, broker: Broker) -> None:
    scene.stand_at(BID)
    first, second = bought(broker, client_order_id="a"), bought(broker, client_order_id="b")
    broker.protect(second, "EUR_USD", BID - 50 * PIP)
    (fill,) = news(broker, lambda: scene.stand_at(BID - 60 * PIP))
    assert isinstance(fill, Fill) and fill.reason == "STOP_LOSS_ORDER"
    assert [part.trade_id for part in fill.closed] == [second]
    assert [each.trade_id for each in broker.holdings().trades] == [first]


@pytest.mark.parametrize("units", [1_000, -1_000])
def test_a_stop_on_the_wrong_side_of_the_market_closes_its_trade_at_once(
    scene: Scene, broker: Broker, units: int
) -> None:
    """OANDA's answer to such a request has a place for this fill (v20.json, stopLossOrderFillTransaction)."""
    scene.stand_at(BID)
    trade_id = bought(broker, units)
    wrong = BID + 20 * PIP if units > 0 else BID - 20 * PIP
    answers = []
    made, fill = news(broker, lambda: answers.append(broker.protect(trade_id, "EUR_USD", wrong)))
    assert answers == [Answered(last_transaction_id=fill.transaction_id)]
    assert isinstance(made, OrderCreated) and isinstance(fill, Fill)
    assert (fill.order_id, fill.reason) == (made.order_id, "STOP_LOSS_ORDER")
    assert fill.price == (BID if units > 0 else BID + SPREAD)
    assert [part.trade_id for part in fill.closed] == [trade_id] and broker.holdings().trades == ()


def test_a_stop_for_a_trade_that_is_gone_changes_nothing(broker: Broker) -> None:
    trade_id = bought(broker)
    broker.close_trade(trade_id, "EUR_USD")
    before = broker.holdings()
    for gone in (trade_id, "999"):
        assert isinstance(broker.protect(gone, "EUR_USD", Decimal("1.00000")), NotSent)
    assert broker.holdings() == before


def test_a_close_takes_the_trade_that_is_named_and_no_older_one(broker: Broker) -> None:
    old, middle, new = (bought(broker, units, str(units)) for units in (100, 200, 300))
    stopped = broker.protect(middle, "EUR_USD", Decimal("1.00000"))
    assert isinstance(stopped, Answered)
    answers = []
    made, fill, ended = news(broker, lambda: answers.append(broker.close_trade(middle, "EUR_USD")))
    assert answers == [Answered(last_transaction_id=ended.transaction_id)]
    assert isinstance(made, OrderCreated) and isinstance(fill, Fill) and isinstance(ended, OrderCanceled)
    assert (made.kind, fill.reason, ended.reason) == ("MARKET_ORDER", "MARKET_ORDER_TRADE_CLOSE", "LINKED_TRADE_CLOSED")
    assert [(part.trade_id, part.units) for part in fill.closed] == [(middle, -200)]
    assert [each.trade_id for each in broker.holdings().trades] == [old, new]


def test_a_second_close_is_rejected_in_the_log_and_closes_nothing(broker: Broker) -> None:
    trade_id, other = bought(broker, client_order_id="a"), bought(broker, client_order_id="b")
    broker.close_trade(trade_id, "EUR_USD")
    before = broker.holdings()
    for gone in (trade_id, "999"):
        (rejected,) = news(broker, lambda gone=gone: broker.close_trade(gone, "EUR_USD"))
        assert isinstance(rejected, OrderRejected)
        assert (rejected.reason, rejected.client_order_id) == ("TRADE_DOESNT_EXIST", None)
    after = broker.holdings()
    assert msgspec.structs.replace(after, last_transaction_id=before.last_transaction_id) == before
    assert [each.trade_id for each in after.trades] == [other]


def test_a_close_while_the_market_is_halted_is_canceled(scene: Scene, broker: Broker) -> None:
    trade_id = bought(broker)
    quote = scene.exchange.quotes["EUR_USD"]
    scene.exchange.on_quote("EUR_USD", quote.bid, quote.ask, tradeable=False)
    made, ended = news(broker, lambda: broker.close_trade(trade_id, "EUR_USD"))
    assert isinstance(made, OrderCreated) and isinstance(ended, OrderCanceled)
    assert ended.reason == "MARKET_HALTED" and held(broker, trade_id).units == 1_000


class Life:
    """An account that lives by the lot: our orders and those of others, prices that move, stops that are hit."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.lot = random.Random(seed)
        self.bid = BID
        self.sent = 0
        opening = scene.broker.opening()
        self.ledger = Ledger()
        self.ledger.begin(opening.balance_home, opening.last_transaction_id)
        self.waiting: dict[str, WorkingOrder] = {}
        self.seen: set[str] = set()

    def go_on(self) -> None:
        """Let one thing happen."""
        trades = self.scene.broker.holdings().trades
        deeds: list[Callable[[], object]] = [self.trade, self.trade, self.move, self.wait_for]
        if trades:
            trade = self.lot.choice(trades)
            deeds += [lambda: self.protect(trade), lambda: self.depend(trade), lambda: self.cut(trade)]
            deeds += [lambda: self.scene.broker.close_trade(trade.trade_id, trade.instrument)]
        if self.scene.exchange.book.pending:
            deeds += [self.cancel]
        self.lot.choice(deeds)()

    def near(self, pips: int) -> Decimal:
        """Some price, up to so many pips from the bid."""
        return self.bid + self.lot.randint(-pips, pips) * PIP

    def move(self) -> None:
        self.bid = self.near(40)
        self.scene.stand_at(self.bid)

    def trade(self) -> None:
        self.sent += 1
        units = self.lot.choice((-700, -300, 300, 500, 900))
        away = self.lot.randint(5, 60) * PIP * (1 if units > 0 else -1)
        stop = {"stop_loss": self.bid - away} if self.lot.random() < 0.6 else {}
        target = {"take_profit": self.bid + away * 2} if self.lot.random() < 0.4 else {}
        reduce_only = self.lot.random() < 0.2
        self.scene.broker.submit(intent(units, f"n{self.sent}", reduce_only=reduce_only, **stop, **target))

    def protect(self, trade: Trade) -> None:
        self.scene.broker.protect(trade.trade_id, trade.instrument, self.near(60))

    def depend(self, trade: Trade) -> None:
        """Others set, move or cancel what waits to close a trade."""
        lot = self.scene.exchange.book.trades[trade.trade_id]
        kind = self.lot.choice((OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT, OrderKind.TRAILING_STOP))
        level = {"distance": 10 * PIP} if kind is OrderKind.TRAILING_STOP else {"price": self.near(80)}
        ticket = Ticket(kind=kind, instrument=trade.instrument, trade_id=trade.trade_id, **level)
        is_canceled = lot.attached(kind) is not None and self.lot.random() < 0.5
        self.scene.exchange.set_dependents([(lot.attached(kind), None if is_canceled else ticket)])

    def cut(self, trade: Trade) -> None:
        """Others close a part of a trade."""
        lot = self.scene.exchange.book.trades[trade.trade_id]
        close_trade(self.scene.exchange, lot, trade.trade_id, Decimal(self.lot.randint(1, 400)))

    def wait_for(self) -> None:
        """Others let an order wait."""
        units, price = Decimal(self.lot.choice((-200, 200))), self.near(40)
        self.scene.exchange.create(Ticket(kind=OrderKind.LIMIT, instrument="EUR_USD", units=units, price=price))

    def cancel(self) -> None:
        self.scene.exchange.cancel(self.lot.choice(list(self.scene.exchange.book.pending.values())))

    def check(self) -> None:
        """What the broker tells at once is what its log adds up to."""
        for transaction in self.scene.broker.transactions_since(self.ledger.last_transaction_id, afresh=True):
            self.ledger.apply(transaction)
            self.note(transaction)
        trades = sorted(self.ledger.open_trades, key=lambda trade: int(trade.trade_id))
        assert self.scene.broker.holdings() == Holdings(
            balance_home=self.ledger.balance_home,
            last_transaction_id=self.ledger.last_transaction_id,
            trades=tuple(trades),
            orders=tuple(self.waiting.values()),
        )

    def note(self, transaction: Transaction) -> None:
        """Keep the waiting orders as the log tells of them."""
        if isinstance(transaction, OrderCreated):
            hangs = transaction.trade_id is not None
            self.waiting[transaction.order_id] = WorkingOrder(
                order_id=transaction.order_id,
                kind=transaction.kind.removesuffix("_ORDER"),
                instrument=None if hangs else transaction.instrument,
                units=None if hangs else transaction.units,
                trade_id=transaction.trade_id,
                price=None if transaction.kind == "TRAILING_STOP_LOSS_ORDER" else transaction.price,
                client_order_id=transaction.client_order_id,
            )
        elif isinstance(transaction, Fill | OrderCanceled):
            self.waiting.pop(transaction.order_id, None)
            self.seen.add(transaction.reason)
        else:
            self.seen.add(type(transaction).__name__)


EVERYTHING = {
    "MARKET_ORDER", "MARKET_ORDER_TRADE_CLOSE", "STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER", "TRAILING_STOP_LOSS_ORDER",
    "LIMIT_ORDER", "CLIENT_REQUEST", "CLIENT_REQUEST_REPLACED", "LINKED_TRADE_CLOSED",
    "OrderRejected", "DailyFinancing",
}  # fmt: skip


@pytest.mark.parametrize("seed", [5, 9])
def test_holdings_are_what_the_log_adds_up_to(scene: Scene, seed: int) -> None:
    scene.stand_at(BID)
    life = Life(scene, seed)
    for _ in range(24):
        scene.pass_an_hour()
        life.check()
        for _ in range(12):
            life.go_on()
            life.check()
    assert life.seen >= EVERYTHING


@pytest.mark.parametrize("what", ["protect", "close"])
@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (ResetAfter(), True),
        (CutBody(), True),
        (Replace(status=500, reaches_target=True), True),
        (Replace(status=504, body=b"Timeout waiting for response.", reaches_target=True), True),
        (Replace(status=200, body=b"<html>", reaches_target=True), True),
        (ResetBefore(), False),
        (Replace(status=429), False),
    ],
    ids=name_of,
)
def test_over_a_bad_line_a_trade_is_served_once_and_a_lost_answer_is_unresolved(
    fault: Fault, arrives: bool, what: str
) -> None:
    with standing() as stand:
        stand.order(1_000)
        stand.proxy.inject(fault, method="PUT")
        with stand.desk() as desk:
            broker, (trade,) = desk.broker, desk.broker.opening().trades
            if what == "protect":
                outcome = broker.protect(trade.trade_id, trade.instrument, Decimal("0.90000"))
            else:
                outcome = broker.close_trade(trade.trade_id, trade.instrument)
            assert isinstance(outcome, Unresolved)
            done = bool(broker.transactions_since(broker.opening().last_transaction_id, afresh=True))
        assert done == arrives
        assert sum(seen.method == "PUT" for seen in stand.proxy.arrived) == 1
        assert sum(seen.method == "PUT" for seen in stand.proxy.reached) == arrives
