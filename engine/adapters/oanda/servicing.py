"""I am the servicing of what is open: find, close, protect and cancel, and the poll for changes.
I may import the domain, ports and what lies beside me.
I must not send anything twice, nor read more into an answer than that the log should be read now.
My tests are in tests/unit/adapters/oanda/test_servicing.py.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import UNSET, UnsetType

from engine.adapters.oanda.answers import KEY_REFUSED
from engine.adapters.oanda.asking import Asker, ask_if_there
from engine.adapters.oanda.holdings import WorkingOrder, parse_order
from engine.adapters.oanda.http import OandaHttp, Outcome, path_of
from engine.adapters.oanda.outcomes import Refused, parse_made
from engine.adapters.oanda.parsing import AccountChanges, parse_changes
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.rendering import dependent_orders, position_close, trade_close
from engine.domain.error import HaltTrading
from engine.domain.instrument import Instrument
from engine.ports import Answered, NotSent, SubmitOutcome, Unresolved


class Servicing:
    """Requests about one account that are not new orders; each goes out once, the transactions tell what came of it."""

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

    def close_trade(self, trade_id: str, instrument: str, units: Decimal | None = None) -> SubmitOutcome:
        """Close a trade, or `units` (a size above 0) of it."""
        body = trade_close(self._instruments[instrument], units)
        return self._put(body, "trades", trade_id, "close")

    def close_position(self, instrument: str, held_units: Decimal, units: Decimal | None = None) -> SubmitOutcome:
        """Close the position that is held (its signed units say which side), or `units` of it."""
        body = position_close(self._instruments[instrument], held_units, units)
        return self._put(body, "positions", instrument, "close")

    def protect(
        self,
        trade_id: str,
        instrument: str,
        *,
        take_profit: Decimal | None | UnsetType = UNSET,
        stop_loss: Decimal | None | UnsetType = UNSET,
        trailing_distance: Decimal | None | UnsetType = UNSET,
    ) -> SubmitOutcome:
        """Set, move or (None) cancel what waits to close a trade; what is not given stays."""
        body = dependent_orders(
            self._instruments[instrument],
            take_profit=take_profit,
            stop_loss=stop_loss,
            trailing_distance=trailing_distance,
        )
        return self._put(body, "trades", trade_id, "orders")

    def cancel(self, order_id: str) -> SubmitOutcome:
        """Cancel a waiting order, by its number or by "@" and our id; one that is gone may have been filled."""
        return self._put(None, "orders", order_id, "cancel")

    def changes(self, transaction_id: int) -> AccountChanges:
        """Poll what changed after a transaction; raises RetryLater or HaltTrading."""
        path = path_of("accounts", self._id, "changes", sinceTransactionID=str(transaction_id))
        return self._asker.ask(path, parse_changes)

    def _put(self, body: object, *segments: str) -> SubmitOutcome:
        return outcome_of(self._http.put(path_of("accounts", self._id, *segments), body))


def outcome_of(outcome: Outcome) -> SubmitOutcome:
    """Say what an answer means for a request that changes something; raises HaltTrading for a refused key.

    A request that OANDA rejects is in its log as well. One that it did not understand, or that names what is not
    there, made no transaction: it surely had no effect.
    """
    if isinstance(outcome, NotSent | Unresolved):
        return outcome
    if outcome.status in KEY_REFUSED:
        raise HaltTrading(f"OANDA refused a request: HTTP {outcome.status}, the key or the account is wrong.")
    made = parse_made(outcome.status, outcome.body)
    if isinstance(made, ParseFault):
        return Unresolved(reason=made.reason)
    if isinstance(made, Refused):
        return NotSent(reason=made.message or f"OANDA refused it with HTTP {outcome.status}")
    return Answered(last_transaction_id=made.last_transaction_id or 0)
