"""What every broker promises the session: the same suite for each implementation.

An implementation joins by a function that gives a broker with a quote of EUR_USD (bid below ask, the market open),
100,000 USD and no open trade.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.sim.broker import SimBroker
from engine.domain.account import Account
from engine.domain.error import Bug
from engine.domain.instrument import Instrument
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, Transaction
from engine.ports import Answered, Broker
from engine.redaction import Secret
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms

NOON_NS = 1_709_640_000 * NS_PER_S


def simulated() -> Broker:
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
def sandbox() -> Iterator[Broker]:
    yield simulated()


@contextmanager
def oanda() -> Iterator[Broker]:
    """The OANDA adapter before the venue."""
    time = HandTime()
    with running(terms(), time) as (url, _):
        access = Access(environment="practice", token=Secret(TOKEN), account_id=ACCOUNT, loopback_url=url)
        desk = OandaDesk(access, Means(monotonic_s=time, wait=time.pass_by, draw=lambda: 0.0))
        yield desk.broker
        desk.close()


@pytest.fixture(params=[sandbox, oanda], ids=["sandbox", "oanda"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with request.param() as made:
        yield made


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
    with oanda() as broker, pytest.raises(Bug):
        broker.submit(sent)  # our own mistake: it is never sent


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
    with oanda() as broker:
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
