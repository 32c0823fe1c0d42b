"""Find, close, protect and cancel at the real venue; what came of it is read from its log."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.desk import Access, Means, OandaDesk
from engine.adapters.oanda.holdings import parse_trades
from engine.adapters.oanda.http import path_of
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.servicing import Change, Judged, Servicing
from engine.domain.account import Trade
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, OtherTransaction, Transaction
from engine.ports import Answered, Unresolved
from engine.redaction import Secret
from tests.fakes.faults import Replace
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.venue import ACCOUNT, TOKEN, HandTime, running, terms


class Line:
    """The desk and its servicing behind a proxy, and the log as it grows."""

    def __init__(self, desk: OandaDesk, proxy: FaultyProxy) -> None:
        self.desk = desk
        self.proxy = proxy
        self.asker = Asker(desk._orders, HandTime(), Backoff(lambda: 0.0))
        self.servicing = Servicing(desk._orders, self.asker, ACCOUNT, desk.opened.instruments)
        self._known = desk.broker.opening().last_transaction_id

    def news(self) -> list[Transaction]:
        self.desk.broker.hint(10**9)
        found = list(self.desk.broker.transactions_since(self._known))
        self._known += len(found)
        return found

    def bought(self, units: int, client_order_id: str = "one", **prices: Decimal) -> Fill:
        intent = OrderIntent(
            client_order_id=client_order_id,
            instrument="EUR_USD",
            units=Decimal(units),
            created_ns=0,
            reason=OrderReason.SIGNAL,
            **prices,
        )
        assert isinstance(self.desk.broker.submit(intent), Answered)
        return next(each for each in self.news() if isinstance(each, Fill))

    def waiting(self, client_order_id: str) -> OrderCreated:
        body = {
            "order": {
                "type": "LIMIT", "instrument": "EUR_USD", "units": "100", "price": "0.90000", "timeInForce": "GTC",
                "clientExtensions": {"id": client_order_id},
            }
        }  # fmt: skip
        self.desk._orders.post(path_of("accounts", ACCOUNT, "orders"), body)
        (created,) = self.news()
        assert isinstance(created, OrderCreated)
        return created


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with running(terms(), HandTime()) as (url, _):
        yield url


@pytest.fixture
def line(served: str) -> Iterator[Line]:
    time = HandTime()
    host, port = served.removeprefix("http://").split(":")
    with FaultyProxy(host, int(port)) as proxy:
        access = Access(environment="practice", token=Secret(TOKEN), account_id=ACCOUNT, loopback_url=proxy.url)
        desk = OandaDesk(access, Means(monotonic_s=time, wait=time.pass_by, draw=lambda: 0.0))
        made = Line(desk, proxy)
        yield made
        for trade in {each.trade_id for each in made_trades(made)}:
            made.servicing.close_trade(trade, "EUR_USD")
        desk.close()


def made_trades(line: Line) -> tuple[Trade, ...]:
    return line.asker.ask(path_of("accounts", ACCOUNT, "openTrades"), parse_trades)


def answered(outcome: Judged) -> None:
    assert isinstance(outcome, Change), outcome


def test_a_trade_is_closed_in_part_and_then_whole(line: Line) -> None:
    trade_id = str(line.bought(1_000).transaction_id)
    answered(line.servicing.close_trade(trade_id, "EUR_USD", Decimal(400)))
    part = next(each for each in line.news() if isinstance(each, Fill))
    assert part.reduced is not None and (part.reduced.trade_id, part.reduced.units) == (trade_id, -400)
    answered(line.servicing.close_trade(trade_id, "EUR_USD"))
    rest = next(each for each in line.news() if isinstance(each, Fill))
    assert [(each.trade_id, each.units) for each in rest.closed] == [(trade_id, -600)]


def test_closing_more_than_there_is_is_rejected_in_the_log(line: Line) -> None:
    trade_id = str(line.bought(100).transaction_id)
    answered(line.servicing.close_trade(trade_id, "EUR_USD", Decimal(101)))
    (rejected,) = line.news()
    assert isinstance(rejected, OrderRejected) and rejected.reason == "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE"


@pytest.mark.parametrize(("held", "sign"), [(1_000, 1), (-1_000, -1)])
def test_a_position_is_closed_on_the_side_that_is_held(line: Line, held: int, sign: int) -> None:
    line.bought(held)
    answered(line.servicing.close_position("EUR_USD", Decimal(held), Decimal(300)))
    assert next(each for each in line.news() if isinstance(each, Fill)).units == -300 * sign
    answered(line.servicing.close_position("EUR_USD", Decimal(700 * sign)))
    assert next(each for each in line.news() if isinstance(each, Fill)).units == -700 * sign


def test_stops_are_set_moved_and_cancelled(line: Line) -> None:
    trade_id = str(line.bought(100).transaction_id)
    answered(line.servicing.protect(trade_id, "EUR_USD", stop_loss=Decimal("0.90000"), take_profit=Decimal("1.20000")))
    made = {each.kind: each.price for each in line.news() if isinstance(each, OrderCreated)}
    assert made == {"STOP_LOSS_ORDER": Decimal("0.90000"), "TAKE_PROFIT_ORDER": Decimal("1.20000")}
    answered(line.servicing.protect(trade_id, "EUR_USD", stop_loss=Decimal("0.91000")))
    ended, moved = line.news()
    assert isinstance(ended, OrderCanceled) and ended.reason == "CLIENT_REQUEST_REPLACED"
    assert isinstance(moved, OrderCreated) and moved.price == Decimal("0.91000")
    answered(line.servicing.protect(trade_id, "EUR_USD", take_profit=None))
    (gone,) = line.news()
    assert isinstance(gone, OrderCanceled) and gone.reason == "CLIENT_REQUEST"


def test_a_waiting_order_is_found_by_our_id_until_it_is_cancelled(line: Line) -> None:
    created = line.waiting("rest/one")
    found = line.servicing.find("rest/one")
    assert found is not None and (found.order_id, found.price) == (created.order_id, Decimal("0.90000"))
    answered(line.servicing.cancel("@rest/one"))
    assert isinstance(line.news()[0], OrderCanceled)
    assert line.servicing.find("rest/one") is None
    answered(line.servicing.cancel(created.order_id))
    (refused,) = line.news()
    assert isinstance(refused, OtherTransaction) and refused.kind == "ORDER_CANCEL_REJECT"


def test_a_filled_order_is_not_found_although_it_was_executed(line: Line) -> None:
    line.bought(100, "filled")
    assert line.servicing.find("filled") is None


def test_changes_tell_the_transactions_and_the_figures(line: Line) -> None:
    start = line.desk.broker.account().last_transaction_id
    fill = line.bought(100, "seen")
    changes = line.servicing.changes(start)
    assert [each.transaction_id for each in changes.transactions] == list(range(start + 1, fill.transaction_id + 1))
    account = line.desk.broker.account()
    assert (changes.equity_home, changes.margin_used_home) == (account.equity_home, account.margin_used_home)
    assert changes.last_transaction_id == account.last_transaction_id


@pytest.mark.parametrize("status", [429, 500, 502])
def test_an_answer_that_tells_nothing_leaves_a_close_unresolved_and_is_not_sent_again(line: Line, status: int) -> None:
    trade_id = str(line.bought(100, f"s{status}").transaction_id)
    line.proxy.inject(Replace(status=status, body=b"busy", reaches_target=True), method="PUT")
    assert isinstance(line.servicing.close_trade(trade_id, "EUR_USD"), Unresolved)
    assert [each.method for each in line.proxy.reached].count("PUT") == 1
    assert next(each for each in line.news() if isinstance(each, Fill)).closed[0].trade_id == trade_id
