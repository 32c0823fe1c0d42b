"""I am the servicing of what is held: find, close, protect, cancel, changes; and what an answer to a request means.
I may import the domain, ports and what lies beside me.
I must not send anything twice, nor read more into an answer than that the log should be read now.
My tests are in tests/unit/adapters/oanda/test_servicing.py and test_broker.py, and in tests/contract/test_broker.py.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import UNSET, UnsetType

from engine.adapters.oanda.answers import KEY_REFUSED
from engine.adapters.oanda.asking import Asker, ask_if_there
from engine.adapters.oanda.holdings import parse_order
from engine.adapters.oanda.http import OandaHttp, Outcome, path_of
from engine.adapters.oanda.outcomes import Canceled, Filled, Made, Pending, Refused, Rejected, parse_create, parse_made
from engine.adapters.oanda.parsing import AccountChanges, parse_changes
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.rendering import WHOLE, dependent_orders, position_close, trade_close
from engine.domain.account import WorkingOrder
from engine.domain.error import HaltTrading
from engine.domain.instrument import Instrument
from engine.ports import NotSent, Unresolved

BAD_REQUEST, NO_SUCH_METHOD = 400, 405
GONE = "NO_SUCH_TRADE"
_SAID_MAX = 200

Change = Filled | Canceled | Pending | Made | Rejected
Judged = NotSent | Unresolved | Change
Parse = Callable[[int, bytes], Change | Refused | ParseFault]


class Servicing:
    """Requests about what an account holds; each goes out once, the transactions tell what came of it.

    Such a request opens nothing, and so one that OANDA did not understand does not end the session: it surely had no
    effect. Nor had one about a trade that OANDA does not know, but for its lists the trade may be too young.
    """

    def __init__(self, http: OandaHttp, asker: Asker, account_id: str, instruments: Mapping[str, Instrument]) -> None:
        self._http = http
        self._asker = asker
        self._id = account_id
        self._instruments = instruments

    def find(self, client_order_id: str) -> WorkingOrder | None:
        """Find a waiting order by our id; raises RetryLater or HaltTrading.

        None proves nothing: OANDA finds waiting orders only, and a fresh one for half a second not even then
        (PROTOCOL sections 7.2 and 7.5).
        """
        return ask_if_there(self._http, path_of("accounts", self._id, "orders", f"@{client_order_id}"), parse_order)

    def close_trade(self, trade_id: str, instrument: str, units: Decimal | None = None) -> Judged:
        """Close a trade, or `units` (a size above 0) of it; raises HaltTrading.

        The whole of one needs no number, so that what is held is asked to be closed though it is not offered any more.
        """
        known = self._instruments.get(instrument)
        if known is None and units is not None:
            return _not_offered(instrument)
        body = WHOLE if known is None else trade_close(known, units)
        return self._put(body, parse_create, "trades", trade_id, "close")

    def close_position(self, instrument: str, held_units: Decimal, units: Decimal | None = None) -> Judged:
        """Close the position that is held (its signed units say which side), or `units` of it; raises HaltTrading."""
        known = self._instruments.get(instrument)
        if known is None:
            return _not_offered(instrument)
        return self._put(position_close(known, held_units, units), parse_made, "positions", instrument, "close")

    def protect(
        self,
        trade_id: str,
        instrument: str,
        *,
        take_profit: Decimal | None | UnsetType = UNSET,
        stop_loss: Decimal | None | UnsetType = UNSET,
        trailing_distance: Decimal | None | UnsetType = UNSET,
    ) -> Judged:
        """Set, move or (None) cancel what waits to close a trade; what is not given stays. Raises HaltTrading."""
        known = self._instruments.get(instrument)
        if known is None:
            return _not_offered(instrument)
        body = dependent_orders(
            known, take_profit=take_profit, stop_loss=stop_loss, trailing_distance=trailing_distance
        )
        return self._put(body, parse_made, "trades", trade_id, "orders")

    def cancel(self, order_id: str) -> Judged:
        """Cancel a waiting order, by its number or by "@" and our id; one that is gone may have been filled."""
        return self._put(None, parse_made, "orders", order_id, "cancel")

    def changes(self, transaction_id: int) -> AccountChanges:
        """Poll what changed after a transaction; raises RetryLater or HaltTrading."""
        path = path_of("accounts", self._id, "changes", sinceTransactionID=str(transaction_id))
        return self._asker.ask(path, parse_changes)

    def _put(self, body: object, parse: Parse, *segments: str) -> Judged:
        made = judged(self._http.put(path_of("accounts", self._id, *segments), body), parse, "a request")
        if not isinstance(made, Refused):
            return made
        if made.status == BAD_REQUEST or made.code == GONE:
            return NotSent(reason=said(made))
        return Unresolved(reason=said(made))


def _not_offered(instrument: str) -> NotSent:
    return NotSent(reason=f"OANDA does not offer {instrument} to this account")


def judged(outcome: Outcome, parse: Parse, what: str) -> Judged | Refused:
    """Say what the answer to something that changes the account means; raises HaltTrading for a refused key.

    RELIABILITY section 3: what surely never left is NotSent; 429, 5xx, an unreadable answer or none at all is
    Unresolved, for the transaction log to settle.
    """
    if isinstance(outcome, NotSent | Unresolved):
        return outcome
    if outcome.status in KEY_REFUSED:
        raise HaltTrading(f"OANDA refused {what}: HTTP {outcome.status}, the key or the account is wrong.")
    if outcome.status == NO_SUCH_METHOD:
        raise HaltTrading(f"OANDA did not understand {what}: HTTP 405, it takes none at this address.")
    made = parse(outcome.status, outcome.body)
    return Unresolved(reason=made.reason) if isinstance(made, ParseFault) else made


def said(refused: Refused) -> str:
    """Tell a refusal that names no transaction."""
    words = f", saying {refused.message[:_SAID_MAX]!r}" if refused.message else ""
    return f"HTTP {refused.status} without a transaction{words}"
