"""I am OANDA as a broker: one account, its numbered transactions, and orders that are sent once.
I may import the domain, ports and what lies beside me.
I must not send an order twice, nor take an answer for the truth: the transaction log decides.
My tests are in tests/unit/adapters/oanda/test_broker.py and tests/contract/test_broker.py.
"""

from collections.abc import Callable, Mapping, Sequence

from engine.adapters.oanda.asking import ask
from engine.adapters.oanda.http import OandaHttp, path_of
from engine.adapters.oanda.outcomes import Refused, parse_create
from engine.adapters.oanda.parsing import AccountSummary, parse_summary
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.rendering import market_order
from engine.adapters.oanda.transaction_log import Heartbeat, parse_transaction_line, parse_transactions
from engine.adapters.oanda.transactions import Unsupported
from engine.domain.account import Account
from engine.domain.error import HaltTrading
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent
from engine.domain.transaction import Fill, Transaction
from engine.ports import Answered, NotSent, Opening, SubmitOutcome, Unresolved

# The log is read this often even while its stream is silent and healthy: the stream is only a hint.
CHECK_S = 10.0
POLL_S = 1.0
KEY_REFUSED = (401, 403)


class OandaBroker:
    """Holds one account of OANDA's; implements ports.Broker.

    `summary` is the account as it was when its books were opened: transactions up to then are not ours to book.
    """

    def __init__(
        self,
        http: OandaHttp,
        summary: AccountSummary,
        instruments: Mapping[str, Instrument],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._http = http
        self._id = summary.account_id
        self._instruments = instruments
        self._monotonic_s = monotonic_s
        account = summary.account
        self._opening = Opening(balance_home=account.balance_home, last_transaction_id=account.last_transaction_id)
        self._hinted_id = account.last_transaction_id
        self.is_streaming: Callable[[], bool] = lambda: False
        self._read_s = float("-inf")
        self._trades: dict[str, str] = {}

    def opening(self) -> Opening:
        """Return where the books of a session begin."""
        return self._opening

    def account(self) -> Account:
        """Return the account as OANDA sees it; raises RetryLater or HaltTrading."""
        return ask(self._http, path_of("accounts", self._id, "summary"), parse_summary).account

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the tradeable instruments by name, as OANDA described them when we connected."""
        return self._instruments

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        """Send one market order, once; raises HaltTrading when OANDA refuses the key or the form of the order.

        RELIABILITY section 3: what surely never left is NotSent; 429, 5xx, an unreadable answer or none at all leave
        the order Unresolved, for the transaction log to settle.
        """
        body = market_order(intent, self._instruments[intent.instrument])
        outcome = self._http.post(path_of("accounts", self._id, "orders"), body)
        if isinstance(outcome, NotSent | Unresolved):
            return outcome
        if outcome.status in KEY_REFUSED:
            raise HaltTrading(f"OANDA refused an order: HTTP {outcome.status}, the key or the account is wrong.")
        made = parse_create(outcome.status, outcome.body)
        if isinstance(made, ParseFault):
            return Unresolved(reason=made.reason)
        if isinstance(made, Refused):
            raise HaltTrading(f"OANDA did not understand an order: {made.message or f'HTTP {outcome.status}'}")
        last_id = made.last_transaction_id or self._hinted_id
        self.hint(last_id)
        return Answered(last_transaction_id=last_id)

    def transactions_since(self, transaction_id: int) -> Sequence[Transaction]:
        """Return every transaction after this id, in id order; raises RetryLater or HaltTrading.

        Nothing is asked while the stream says that there is nothing new, or when it was asked a moment ago.
        """
        if self._hinted_id <= transaction_id and self._monotonic_s() - self._read_s < self._patience_s:
            return ()
        found: list[Transaction] = []
        last_id = transaction_id
        while True:
            path = path_of("accounts", self._id, "transactions", "sinceid", id=str(last_id))
            page = ask(self._http, path, lambda body: parse_transactions(body, self._trades))
            found += self._checked(page.transactions)
            if page.last_transaction_id < last_id:
                raise HaltTrading(
                    f"OANDA's newest transaction is {page.last_transaction_id}, ours is {last_id}: "
                    "the account was reset, or it is another one."
                )
            if not page.transactions:
                break
            last_id = page.transactions[-1].transaction_id
            if last_id >= page.last_transaction_id:
                break
        self._read_s = self._monotonic_s()
        self.hint(last_id)
        return found

    def hint(self, transaction_id: int) -> None:
        """Note that the log reaches this far; any thread may tell."""
        self._hinted_id = max(self._hinted_id, transaction_id)

    def on_stream_line(self, line: bytes) -> None:
        """Take a line of the transaction stream as a hint to read the log."""
        message = parse_transaction_line(line)
        if isinstance(message, ParseFault):
            return
        last_id = message.last_transaction_id if isinstance(message, Heartbeat) else message.transaction_id
        self.hint(last_id or 0)

    @property
    def _patience_s(self) -> float:
        return CHECK_S if self.is_streaming() else POLL_S

    def _checked(self, transactions: Sequence[Transaction | Unsupported]) -> list[Transaction]:
        """Refuse what moves money in a way that we cannot book, and remember whose trades the log speaks of."""
        known: list[Transaction] = []
        for transaction in transactions:
            if isinstance(transaction, Unsupported):
                raise HaltTrading(transaction.reason)
            if isinstance(transaction, Fill) and transaction.opened is not None:
                self._trades[transaction.opened.trade_id] = transaction.instrument
            if isinstance(transaction, Fill):
                for part in transaction.closed:
                    self._trades.pop(part.trade_id, None)
            known.append(transaction)
        return known
