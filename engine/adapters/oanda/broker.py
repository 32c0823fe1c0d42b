"""I am OANDA as a broker: one account, its numbered transactions, and orders that are sent once.
I may import the domain, ports and what lies beside me.
I must not send an order twice, nor take an answer for the truth: the transaction log decides.
My tests are in tests/unit/adapters/oanda/test_broker.py and tests/contract/test_broker.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.holdings import parse_account
from engine.adapters.oanda.http import OandaHttp, path_of
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.opening import OpenedAccount
from engine.adapters.oanda.outcomes import Refused, Rejected, parse_create
from engine.adapters.oanda.parsing import parse_summary
from engine.adapters.oanda.reading import ParseFault
from engine.adapters.oanda.rendering import market_order
from engine.adapters.oanda.servicing import Change, Judged, Servicing, judged, said
from engine.adapters.oanda.transaction_log import (
    Heartbeat,
    TransactionPage,
    parse_transaction_line,
    parse_transactions,
)
from engine.adapters.oanda.transactions import Unsupported
from engine.domain.account import Account, Holdings
from engine.domain.error import HaltTrading, KeelError, RetryLater
from engine.domain.instrument import Instrument
from engine.domain.order import OrderIntent
from engine.domain.transaction import Fill, Transaction, hole_text
from engine.ports import Answered, NotSent, Opening, SubmitOutcome, Unresolved

# The log is read this often even while its stream is silent and healthy: the stream is only a hint.
CHECK_S = 10.0
POLL_S = 1.0
NOT_FOUND = 404


class OandaBroker:
    """Holds one account of OANDA's, as it was opened; implements ports.Broker."""

    def __init__(
        self, http: OandaHttp, opened: OpenedAccount, monotonic_s: Callable[[], float], backoff: Backoff
    ) -> None:
        self._http = http
        self._asker = Asker(http, monotonic_s, backoff)
        self._id = opened.summary.account_id
        self._instruments = opened.instruments
        self._servicing = Servicing(http, self._asker, self._id, opened.instruments)
        self._monotonic_s = monotonic_s
        self._opening = opened.opening
        self._hinted_id = self._opening.last_transaction_id
        self.is_streaming: Callable[[], bool] = lambda: False
        self._read_s = float("-inf")
        self._trades = {trade.trade_id: trade.instrument for trade in self._opening.trades}
        self._mistake = ""

    def opening(self) -> Opening:
        """Return how the account was when it was opened: where its books begin, unless they began before."""
        return self._opening

    def account(self) -> Account:
        """Return the account as OANDA sees it; raises RetryLater or HaltTrading."""
        return self._asker.ask(path_of("accounts", self._id, "summary"), parse_summary).account

    def holdings(self) -> Holdings:
        """Return all that is open or waits, told by OANDA in one answer; raises RetryLater or HaltTrading."""
        found = self._asker.ask(path_of("accounts", self._id), parse_account).holdings
        self.hint(found.last_transaction_id)
        return found

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the tradeable instruments by name, as OANDA described them when we connected."""
        return self._instruments

    def submit(self, intent: OrderIntent) -> SubmitOutcome:
        """Send one market order, once; raises HaltTrading when OANDA refuses the key or the form of the order."""
        body = market_order(intent, self._instruments[intent.instrument])
        return self._settled(lambda: self._order(body))

    def protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> SubmitOutcome:
        """Set or move the stop-loss of an open trade, once; raises HaltTrading when OANDA refuses the key."""
        return self._settled(lambda: self._servicing.protect(trade_id, instrument, stop_loss=stop_loss))

    def close_trade(self, trade_id: str, instrument: str) -> SubmitOutcome:
        """Close one open trade at the market, once; raises HaltTrading when OANDA refuses the key."""
        return self._settled(lambda: self._servicing.close_trade(trade_id, instrument))

    def transactions_since(self, transaction_id: int, *, afresh: bool = False) -> Sequence[Transaction]:
        """Return every transaction after this id, in id order; raises RetryLater or HaltTrading.

        Unless it has to be `afresh`, nothing is asked while the stream says that there is nothing new, or when it was
        asked a moment ago. What comes before a transaction that cannot be booked is returned; the call after that
        raises.
        """
        is_due = self._hinted_id > transaction_id or self._monotonic_s() - self._read_s >= self._patience_s
        found = self._read_log(transaction_id) if is_due or afresh else []
        if self._mistake and not found:
            raise HaltTrading(self._mistake)
        return found

    def hint(self, transaction_id: int) -> None:
        """Note that the log reaches this far; any thread may tell."""
        self._hinted_id = max(self._hinted_id, transaction_id)

    def on_stream_line(self, line: bytes) -> bool:
        """Take a line of the transaction stream as a hint to read the log; False when it cannot be read."""
        message = parse_transaction_line(line)
        if isinstance(message, ParseFault):
            return False
        last_id = message.last_transaction_id if isinstance(message, Heartbeat) else message.transaction_id
        self.hint(last_id or 0)
        return True

    @property
    def _patience_s(self) -> float:
        return CHECK_S if self.is_streaming() else POLL_S

    def _order(self, body: object) -> Judged:
        made = judged(self._http.post(path_of("accounts", self._id, "orders"), body), parse_create, "an order")
        return _refused(made) if isinstance(made, Refused) else made

    def _settled(self, send: Callable[[], Judged]) -> SubmitOutcome:
        """Send; whatever comes back, the log is the place to look, now, unless nothing can be in it."""
        made: Judged | None = None
        try:
            made = send()
        finally:
            if not isinstance(made, NotSent):
                self._read_s = float("-inf")
                self._asker.at_once()
        return made if isinstance(made, NotSent | Unresolved) else self._answered(made)

    def _answered(self, made: Change) -> Answered:
        """Tell that the outcome is in the log; a number with too many decimals is our mistake, and halts after that."""
        if isinstance(made, Rejected) and any(reason.endswith("PRECISION_EXCEEDED") for reason in made.reasons):
            self._mistake = f"OANDA rejected what we sent for {', '.join(made.reasons)}: our rounding is wrong."
        last_id = made.last_transaction_id or self._hinted_id
        self.hint(last_id)
        return Answered(last_transaction_id=last_id)

    def _read_log(self, transaction_id: int) -> list[Transaction]:
        """Read page after page; what was learnt of trades is kept only when all that was read is handed out."""
        found: list[Transaction] = []
        last_id, trades = transaction_id, dict(self._trades)
        while True:
            page = self._page(last_id, trades)
            known, trouble = _bookable(page.transactions, last_id)
            found += known
            _follow(trades, known)
            if trouble is not None and not found:
                raise trouble
            if known:
                last_id = known[-1].transaction_id
            if trouble is not None or not known or last_id >= page.last_transaction_id:
                break
        self._trades = trades
        self._read_s = self._monotonic_s()
        self.hint(page.last_transaction_id)
        return found

    def _page(self, last_id: int, trades: Mapping[str, str]) -> TransactionPage:
        path = path_of("accounts", self._id, "transactions", "sinceid", id=str(last_id))
        page = self._asker.ask(path, lambda body: parse_transactions(body, trades))
        if page.last_transaction_id < last_id:
            raise HaltTrading(
                f"OANDA's newest transaction is {page.last_transaction_id}, ours is {last_id}: "
                "the account was reset, or it is another one."
            )
        return page


def _refused(made: Refused) -> Unresolved:
    """Judge a refusal that names no transaction: raises HaltTrading, but "not found" does not mean "not done"."""
    if made.status == NOT_FOUND:
        return Unresolved(reason=said(made))
    raise HaltTrading(f"OANDA did not understand an order: {said(made)}.")


def _bookable(
    transactions: Sequence[Transaction | Unsupported], last_id: int
) -> tuple[list[Transaction], KeelError | None]:
    """Take what follows `last_id` without a hole and can be booked; and say why it ends, if it ends early."""
    known: list[Transaction] = []
    for transaction in transactions:
        if transaction.transaction_id <= last_id:
            continue
        if transaction.transaction_id != last_id + 1:
            return known, RetryLater(f"{hole_text(last_id, transaction.transaction_id)} It is asked for again.")
        if isinstance(transaction, Unsupported):
            return known, HaltTrading(transaction.reason)
        known.append(transaction)
        last_id = transaction.transaction_id
    return known, None


def _follow(trades: dict[str, str], transactions: Sequence[Transaction]) -> None:
    """Remember of which instrument the open trades are: later transactions name the trade alone."""
    for transaction in transactions:
        if isinstance(transaction, Fill):
            if transaction.opened is not None:
                trades[transaction.opened.trade_id] = transaction.instrument
            for part in transaction.closed:
                trades.pop(part.trade_id, None)
