"""I am the recovery: the state of an account's books, made again from what earlier runs recorded.
I may import the domain, ports, risk and the desk.
I must not ask a broker or send anything, nor guess the outcome of an order: the broker's log tells it later.
My tests are in tests/unit/session/test_recovery.py.
"""

from collections.abc import Callable
from typing import Any

from engine.domain.error import HaltTrading
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    BrokerNoted,
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    DayBegan,
    Event,
    FinancingCharged,
    FundsMoved,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    PeakReached,
    SessionStarted,
    SessionState,
    SessionStopped,
    TradeClaimed,
    TradeFound,
)
from engine.domain.order import OrderStatus
from engine.domain.transaction import Transaction
from engine.ports import Past
from engine.risk.breakers import Trip
from engine.session.desk import ZERO, Desk

INTERRUPTED = "the process ended before the outcome was known"


def rebuild(desk: Desk, past: Past) -> tuple[str, ...]:
    """Bring ledger, orders, latches, claims and the day's beginning to where the newest of the earlier runs left them.

    Returns the ids of the orders whose outcome is not known. Raises HaltTrading when the record contradicts itself.
    """
    for event in past.events:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(desk, event)
    desk.decided.update(past.decided)
    for order in desk.orders.open_orders:
        if order.status is OrderStatus.INITIALIZED:
            _sent(desk, order.intent.client_order_id, desk.now_ns)
    desk.ledger.begin_run()
    desk.orders.begin_run()
    return tuple(order.intent.client_order_id for order in desk.orders.open_orders)


def _started(desk: Desk, event: SessionStarted) -> None:
    """A peak begins with the run, unless it goes on after a crash; the balance stands for it until one is recorded."""
    ledger = desk.ledger
    if desk.fall_anchor_home <= 0:
        desk.fall_anchor_home, desk.recorded_peak_home = event.opening_balance_home, ZERO
    if event.continues is None:
        ledger.begin(event.opening_balance_home, event.opening_transaction_id)
    elif (ledger.balance_home, ledger.last_transaction_id) != (
        event.opening_balance_home,
        event.opening_transaction_id,
    ):
        raise HaltTrading(
            f"The run after run {event.continues} began with {event.opening_balance_home} after transaction "
            f"{event.opening_transaction_id}, the record before it ends with {ledger.balance_home} after "
            f"{ledger.last_transaction_id}."
        )


def _found(desk: Desk, event: TradeFound) -> None:
    desk.ledger.find(event.trade, event.orders)


def _claimed(desk: Desk, event: TradeClaimed) -> None:
    desk.claims[event.trade_id] = event.claim


def _day(desk: Desk, event: DayBegan) -> None:
    desk.day_end_ns = desk.day.next_ns(event.ts_ns)
    desk.day_start_home = desk.loss_anchor_home = event.equity_home
    desk.fall_anchor_home = max(desk.fall_anchor_home, event.equity_home)


def _peak(desk: Desk, event: PeakReached) -> None:
    """The first one of a peak may lie below the balance: what was open then stood at a loss."""
    known_home = desk.fall_anchor_home if desk.recorded_peak_home else ZERO
    desk.fall_anchor_home = desk.recorded_peak_home = max(known_home, event.equity_home)


def _stopped(desk: Desk, event: SessionStopped) -> None:
    """Whoever stops a session begins the next one with a new peak; a crash does not, and neither does a fault."""
    if event.state is not SessionState.FAULTED:
        desk.fall_anchor_home = desk.recorded_peak_home = ZERO


def _initialized(desk: Desk, event: OrderInitialized) -> None:
    desk.orders.initialize(event.intent)


def _updated(desk: Desk, event: OrderUpdated) -> None:
    if event.status is not OrderStatus.DENIED:
        _sent(desk, event.client_order_id, event.ts_ns)
    desk.orders.move(event.client_order_id, event.status, event.ts_ns, event.detail)


def latch_again(desk: Desk, event: BreakerTripped) -> None:
    """Latch a breaker as an earlier run has left it."""
    cause = f"{event.value}, limit {event.limit}, before the restart"
    desk.panel.latch(
        Trip(
            breaker=event.breaker,
            ts_ns=event.ts_ns,
            value=event.value,
            limit=event.limit,
            cause=cause,
            instrument=event.instrument,
        )
    )


def _released(desk: Desk, event: BreakerReleased) -> None:
    desk.panel.release(event.breaker)
    if event.equity_home is not None:
        desk.equity_home = event.equity_home
        desk.reanchor(event.breaker)


def _booked(desk: Desk, event: Any) -> None:
    transaction: Transaction = getattr(event, _TRANSACTIONS[type(event)])
    _sent(desk, getattr(transaction, "client_order_id", None), event.ts_ns)
    desk.book(transaction)
    desk.orders.apply(transaction)


def _sent(desk: Desk, client_order_id: str | None, ts_ns: int) -> None:
    """What the broker, or we ourselves, said of an order means that it had left; no event of its own tells that."""
    if client_order_id is not None and desk.orders.status_of(client_order_id) is OrderStatus.INITIALIZED:
        desk.conduct.ordered(desk.orders.move(client_order_id, OrderStatus.SUBMITTED, ts_ns).intent, ts_ns)


_TRANSACTIONS: dict[type[Event], str] = {
    OrderFilled: "fill",
    BrokerOrderCreated: "order",
    BrokerOrderCanceled: "cancel",
    BrokerOrderRejected: "reject",
    FinancingCharged: "financing",
    FundsMoved: "transfer",
    BrokerNoted: "other",
}
_HANDLERS: dict[type[Event], Callable[[Desk, Any], None]] = {
    SessionStarted: _started,
    TradeFound: _found,
    TradeClaimed: _claimed,
    DayBegan: _day,
    PeakReached: _peak,
    SessionStopped: _stopped,
    OrderInitialized: _initialized,
    OrderUpdated: _updated,
    BreakerTripped: latch_again,
    BreakerReleased: _released,
    **dict.fromkeys(_TRANSACTIONS, _booked),
}
