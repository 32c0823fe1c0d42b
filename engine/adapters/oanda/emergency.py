"""I am the emergency exit of an account: what is open there in one answer, and the requests that end it.
I may import the domain, ports and what lies beside me.
I must not need anything but the address, the token and the account, nor read "nothing is open" into no answer.
My tests are in tests/contract/test_kill.py.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType, field

from engine.adapters.oanda.answers import Answer, judge
from engine.adapters.oanda.asking import ask
from engine.adapters.oanda.desk import Access, Means
from engine.adapters.oanda.http import OandaHttp, Outcome, path_of
from engine.adapters.oanda.limits import Limits
from engine.adapters.oanda.messages import Amount, Id, Message, Word
from engine.adapters.oanda.outcomes import Made, Refused, parse_made
from engine.adapters.oanda.reading import ParseFault, read
from engine.domain.account import WorkingOrder
from engine.domain.transaction import Fill, OrderCanceled
from engine.ports import NotSent, Unresolved


class OpenTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One open trade; units are signed."""

    trade_id: str
    instrument: str
    units: Decimal


class Side(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One side of a position; units are signed. A hedging account may hold both sides of one instrument."""

    instrument: str
    units: Decimal

    @property
    def is_long(self) -> bool:
        """Say whether the side gains when the price rises."""
        return self.units > 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is open in an account at one moment; the balance is in `currency`."""

    currency: str
    balance_home: Decimal
    last_transaction_id: int
    trades: tuple[OpenTrade, ...]
    sides: tuple[Side, ...]
    orders: tuple[WorkingOrder, ...]

    @property
    def flat(self) -> bool:
        """Say whether no trade is open, no position is held and no order waits."""
        return not (self.trades or self.sides or self.orders)


class _Trade(Message, frozen=True, kw_only=True):
    id: Id
    instrument: Word
    current_units: Amount


class _Side(Message, frozen=True, kw_only=True):
    units: Amount


class _Position(Message, frozen=True, kw_only=True):
    instrument: Word
    long: _Side
    short: _Side


class _Order(Message, frozen=True, kw_only=True):
    id: Id
    kind: Word = field(name="type")
    instrument: Word | UnsetType = UNSET
    units: Amount = ""
    trade_id: Id | UnsetType = UNSET


class _Account(Message, frozen=True, kw_only=True):
    id: str
    currency: Word
    balance: Amount
    trades: list[_Trade]
    positions: list[_Position]
    orders: list[_Order]


class _Body(Message, frozen=True, kw_only=True):
    account: _Account
    last_transaction_id: Id


class Emergency:
    """Asks and closes, each request once; needs neither instruments nor prices, and opens nothing.

    It reads far less of an answer than a session does: a word that is new to Keel must not keep anybody from closing.
    """

    def __init__(self, access: Access, means: Means) -> None:
        self.environment = access.environment
        self._id = access.account_id
        limits = Limits(means.monotonic_s, means.wait)
        self._http = OandaHttp(
            access.rest_url, access.token, limits=limits, monotonic_s=means.monotonic_s, deadlines=means.deadlines
        )

    def standing(self) -> Standing:
        """Read what is open; raises RetryLater, or HaltTrading when asking again cannot help."""
        return ask(self._http, path_of("accounts", self._id), self._parse)

    def cancel(self, order_id: str) -> str:
        """Cancel a waiting order, and say what was answered."""
        return answer_text(self._http.put(path_of("accounts", self._id, "orders", order_id, "cancel")))

    def close_side(self, side: Side) -> str:
        """Close one whole side of a position, and say what was answered. Doing it twice closes nothing twice."""
        body = {"longUnits": "NONE", "shortUnits": "NONE", "longUnits" if side.is_long else "shortUnits": "ALL"}
        return answer_text(self._http.put(path_of("accounts", self._id, "positions", side.instrument, "close"), body))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _parse(self, body: bytes) -> Standing | ParseFault:
        return read(body, _Body, self._standing, "account")

    def _standing(self, body: _Body) -> Standing:
        account = body.account
        if account.id != self._id:
            raise ValueError("it is another account")
        listed = [(each.id, each.instrument, Decimal(each.current_units)) for each in account.trades]
        trades = tuple(OpenTrade(trade_id=id_, instrument=name, units=units) for id_, name, units in listed if units)
        return Standing(
            currency=account.currency,
            balance_home=Decimal(account.balance),
            last_transaction_id=int(body.last_transaction_id),
            trades=trades,
            sides=tuple(sorted(_sides(account.positions, trades))),
            orders=tuple(_order(each) for each in account.orders),
        )


def _sides(positions: Iterable[_Position], trades: Iterable[OpenTrade]) -> Iterable[Side]:
    """Add up each side from its trades, and take what a position holds beyond them: neither list alone is believed."""
    found: dict[tuple[str, bool], Decimal] = {}
    for trade in trades:
        key = trade.instrument, trade.units > 0
        found[key] = found.get(key, Decimal(0)) + trade.units
    for position in positions:
        for units in (Decimal(position.long.units), Decimal(position.short.units)):
            if units:
                found.setdefault((position.instrument, units > 0), units)
    return (Side(instrument=name, units=units) for (name, _), units in found.items())


def _order(order: _Order) -> WorkingOrder:
    return WorkingOrder(
        order_id=order.id,
        kind=order.kind,
        instrument=None if order.instrument is UNSET else order.instrument,
        units=Decimal(order.units) if order.units else None,
        trade_id=None if order.trade_id is UNSET else order.trade_id,
        price=None,
        client_order_id=None,
    )


def answer_text(outcome: Outcome) -> str:
    """Say in a few words what came back; it is no proof of anything, the next look at the account is."""
    if isinstance(outcome, NotSent):
        return f"not sent: {outcome.reason}"
    if isinstance(outcome, Unresolved):
        return f"outcome unknown: {outcome.reason}"
    made = parse_made(outcome.status, outcome.body)
    if isinstance(made, ParseFault):
        return _unread(outcome)
    if isinstance(made, Made):
        return _became(made)
    if isinstance(made, Refused):
        return f"refused with HTTP {outcome.status}: {made.message}"
    return f"rejected: {', '.join(made.reasons)}"


def _unread(answer: Answer) -> str:
    return judge(answer).reason.rstrip(".") or f"HTTP {answer.status}: the answer cannot be read"


def _became(made: Made) -> str:
    found = tuple(made.transactions.values())
    if any(isinstance(each, Fill) for each in found):
        return "filled"
    reasons = [each.reason for each in found if isinstance(each, OrderCanceled)]
    return f"cancelled: {', '.join(reasons)}" if reasons else "accepted"
