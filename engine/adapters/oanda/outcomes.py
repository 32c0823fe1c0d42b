"""I am what OANDA answers to a request that may change the account: what was made of it, or why nothing was.
I may import the domain, transaction_messages, transactions and reading.
I must not take a status for an outcome: 201 is not "filled", the transactions in the answer decide.
My tests are in tests/unit/adapters/oanda/test_outcomes.py and test_fixtures.py.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from engine.adapters.oanda.reading import ParseFault, read
from engine.adapters.oanda.transaction_messages import MadeMessage, RefusalMessage, RejectMessage
from engine.adapters.oanda.transactions import NO_TRADES, Parsed, read_transaction
from engine.domain.transaction import Fill, OrderCanceled, OrderCreated, OrderRejected, OtherTransaction

DONE = (200, 201)
REFUSED = (400, 404)
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "FillTransaction": Fill,
    "CancelTransaction": OrderCanceled,
    "CreateTransaction": OrderCreated,
    "RejectTransaction": (OrderRejected, OtherTransaction),
}


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The order was made and filled."""

    fill: Fill
    last_transaction_id: int


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """The order was made and canceled at once; nothing was filled."""

    canceled: OrderCanceled
    last_transaction_id: int


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """The order was made and waits."""

    created: OrderCreated
    last_transaction_id: int


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions that a request made, by their names in the answer; related_ids has those that have no name too."""

    transactions: Mapping[str, Parsed]
    related_ids: tuple[int, ...]
    last_transaction_id: int


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """OANDA understood and said no, which is in its log; reasons are its own words, for example UNITS_INVALID."""

    reasons: tuple[str, ...]
    message: str
    rejects: Mapping[str, Parsed]
    last_transaction_id: int | None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The request was malformed or asked for what does not exist; no transaction was made."""

    status: int
    message: str
    code: str
    last_transaction_id: int | None


CreateOutcome = Filled | Canceled | Pending | Rejected | Refused


def parse_create(status: int, body: bytes) -> CreateOutcome | ParseFault:
    """Read the answer to an order or to the close of a trade.

    What was made is decided by the presence of a fill, else of a cancel, else of a create (PROTOCOL section 7.3).
    """
    made = parse_made(status, body)
    return _outcome(made) if isinstance(made, Made) else made


def parse_made(
    status: int, body: bytes, trade_instruments: Mapping[str, str] = NO_TRADES
) -> Made | Rejected | Refused | ParseFault:
    """Read the answer to any POST or PUT; a fault for a status other than 200, 201, 400 and 404."""
    if status in DONE:
        return read(body, dict[str, msgspec.Raw], lambda raws: _made(body, raws, trade_instruments), "answer")
    if status in REFUSED:
        return read(body, dict[str, msgspec.Raw], lambda raws: _refusal(status, body, raws), "refusal")
    return ParseFault(reason=f"HTTP status {status} tells nothing about the request")


def _outcome(made: Made) -> Filled | Canceled | Pending | ParseFault:
    transactions, last_id = made.transactions, made.last_transaction_id
    if isinstance(fill := transactions.get("orderFillTransaction"), Fill):
        return Filled(fill=fill, last_transaction_id=last_id)
    if isinstance(canceled := transactions.get("orderCancelTransaction"), OrderCanceled):
        return Canceled(canceled=canceled, last_transaction_id=last_id)
    if isinstance(created := transactions.get("orderCreateTransaction"), OrderCreated):
        return Pending(created=created, last_transaction_id=last_id)
    return ParseFault(reason="answer cannot be read: it has no fill, no cancel and no create")


def _made(body: bytes, raws: Mapping[str, msgspec.Raw], trade_instruments: Mapping[str, str]) -> Made:
    message = msgspec.json.decode(body, type=MadeMessage)
    return Made(
        transactions=_transactions(raws, trade_instruments),
        related_ids=tuple(int(each) for each in message.related_transaction_ids),
        last_transaction_id=int(message.last_transaction_id),
    )


def _refusal(status: int, body: bytes, raws: Mapping[str, msgspec.Raw]) -> Rejected | Refused:
    message = msgspec.json.decode(body, type=RefusalMessage)
    last_id = int(message.last_transaction_id) if message.last_transaction_id else None
    rejects = _transactions(raws, NO_TRADES)
    if not rejects:
        return Refused(
            status=status, message=message.error_message, code=message.error_code, last_transaction_id=last_id
        )
    reasons = tuple(msgspec.json.decode(raws[name], type=RejectMessage).reject_reason for name in rejects)
    return Rejected(reasons=reasons, message=message.error_message, rejects=rejects, last_transaction_id=last_id)


def _transactions(raws: Mapping[str, msgspec.Raw], trade_instruments: Mapping[str, str]) -> Mapping[str, Parsed]:
    """Convert what is named ...Transaction; raises ValueError when a transaction is not of the kind of its name."""
    found = {
        name: read_transaction(raw, trade_instruments) for name, raw in raws.items() if name.endswith("Transaction")
    }
    for name, transaction in found.items():
        for suffix, kind in _KINDS.items():
            if name.endswith(suffix) and not isinstance(transaction, kind):
                raise ValueError(f"{name[:60]} {transaction.transaction_id} is a {type(transaction).__name__}")
    return MappingProxyType(found)
