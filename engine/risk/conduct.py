"""I am the conduct of a session so far: what rules and breakers must know of orders, results, faults and outages.
I may import the domain.
I must not judge, nor remember more than a judgement needs.
My tests are in tests/unit/risk/test_conduct.py.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from statistics import median

import msgspec

from engine.domain.account import Trade
from engine.domain.market import NS_PER_S
from engine.domain.order import OrderIntent, OrderReason
from engine.domain.transaction import Fill, TradeClosed

ZERO = Decimal(0)
RATE_NS = 60 * NS_PER_S
ERRORS_NS = 300 * NS_PER_S
ANSWERS_SEEN = 10
RESULTS_KEPT = 50
NIGHT_UNKNOWN_NS = 86_400 * NS_PER_S


class LastEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The newest entry in an instrument: when, to which side (+1 buys), and how many to that side in a row."""

    ts_ns: int
    side: int
    in_a_row: int


class Conduct:
    """Follows what was sent, what came of it, how often the model failed and how often the broker did."""

    def __init__(self) -> None:
        self.losses_in_row = 0
        self.stirred = False
        self._entries: dict[str, LastEntry] = {}
        self._bars: dict[str, tuple[int, int]] = {}
        self._sent_ns: deque[int] = deque()
        self._errors_ns: deque[int] = deque()
        self._lost_ns: dict[str, int] = {}
        self._answers: dict[str, deque[bool]] = {}
        self._expected: dict[str, Decimal] = {}
        self._slips: dict[str, deque[Decimal]] = {}
        self._slippage: dict[str, Decimal] = {}
        self._held_ns: deque[int] = deque(maxlen=RESULTS_KEPT)
        self._holding_ns = NIGHT_UNKNOWN_NS

    def ordered(self, intent: OrderIntent, ts_ns: int, expected: Decimal | None = None) -> None:
        """Note an order that leaves; expected is the price that the quote promised it, where one is known."""
        self._sent_ns.append(ts_ns)
        if intent.reason is not OrderReason.SIGNAL:
            return
        side = 1 if intent.units > 0 else -1
        before = self._entries.get(intent.instrument)
        in_a_row = before.in_a_row + 1 if before is not None and before.side == side else 1
        self._entries[intent.instrument] = LastEntry(ts_ns=ts_ns, side=side, in_a_row=in_a_row)
        if expected is not None:
            self._expected[intent.client_order_id] = expected

    def filled(self, fill: Fill, trades: Sequence[Trade]) -> None:
        """Note a fill before it is booked; trades are the open ones of its instrument."""
        for part in fill.closed:
            self._closed(fill, part, next((each for each in trades if each.trade_id == part.trade_id), None))
        expected = self._expected.pop(fill.client_order_id or "", None)
        if expected is not None:
            slips = self._slips.setdefault(fill.instrument, deque(maxlen=RESULTS_KEPT))
            slips.append(fill.price - expected if fill.units > 0 else expected - fill.price)
            self._slippage[fill.instrument] = median(slips)  # asked for by every order, and changed by a fill alone

    def _closed(self, fill: Fill, part: TradeClosed, trade: Trade | None) -> None:
        result_home = part.realized_pl_home + part.financing_home
        if trade is not None:
            # what its earlier parts brought and its nights cost is of the same trade
            result_home += trade.realized_pl_home + trade.financing_home
            self._held_ns.append(fill.ts_ns - trade.opened_ns)
            self._holding_ns = int(median(self._held_ns))
        if result_home < 0:
            self.losses_in_row += 1
            self._lost_ns[fill.instrument] = fill.ts_ns
        elif result_home > 0:
            self.losses_in_row = 0
        self.stirred = True

    def answered(self, instrument: str, *, is_fault: bool) -> None:
        """Note an answer of the model."""
        answers = self._answers.get(instrument)
        if answers is None:
            if not is_fault:
                return
            answers = self._answers[instrument] = deque(maxlen=ANSWERS_SEEN)
        answers.append(is_fault)
        self.stirred = self.stirred or is_fault

    def failed(self, ts_ns: int) -> None:
        """Note an outage that began, or an order that failed or was refused."""
        self._errors_ns.append(ts_ns)
        self.stirred = True

    def last_entry(self, instrument: str) -> LastEntry | None:
        """The newest entry in an instrument."""
        return self._entries.get(instrument)

    def last_loss_ns(self, instrument: str) -> int | None:
        """When the newest losing trade in an instrument was closed."""
        return self._lost_ns.get(instrument)

    def orders_last_minute(self, now_ns: int) -> int:
        """How many orders have left within the last minute."""
        return _within(self._sent_ns, now_ns - RATE_NS)

    def errors(self, now_ns: int, length_ns: int = ERRORS_NS) -> int:
        """How many errors there were within the last five minutes."""
        return _within(self._errors_ns, now_ns - length_ns)

    @property
    def model_faults(self) -> int:
        """Faults among the newest answers of the model, in the instrument that has most of them."""
        return max((sum(answers) for answers in self._answers.values()), default=0)

    def slippage(self, instrument: str) -> Decimal:
        """Median of what entries were filled worse than their quote, in quote currency; 0 while none was filled."""
        return self._slippage.get(instrument, ZERO)

    @property
    def holding_ns(self) -> int:
        """Median time for which closed trades were held; a day while none was closed."""
        return self._holding_ns

    def decided(self, intent: OrderIntent) -> None:
        """Note the bar and side of an entry that is about to be made."""
        self._bars[intent.instrument] = _bar_and_side(intent)

    def was_decided(self, intent: OrderIntent) -> bool:
        """Say whether an entry to this side was made at this bar already."""
        return self._bars.get(intent.instrument) == _bar_and_side(intent)

    def looked_at(self, instrument: str) -> None:
        """Begin to count repeated entries anew: a person has looked."""
        last = self._entries.get(instrument)
        if last is not None:
            self._entries[instrument] = LastEntry(ts_ns=last.ts_ns, side=last.side, in_a_row=0)

    def forgive_losses(self) -> None:
        """Begin to count losses in a row anew."""
        self.losses_in_row = 0

    def forgive_faults(self) -> None:
        """Begin to count faults of the model anew."""
        self._answers.clear()

    def forgive_errors(self) -> None:
        """Begin to count errors anew."""
        self._errors_ns.clear()


def _bar_and_side(intent: OrderIntent) -> tuple[int, int]:
    """When the bar ended that led to an order, which its id tells, and whether it buys."""
    return int(intent.client_order_id.split("-")[2]), 1 if intent.units > 0 else -1


def _within(moments: deque[int], since_ns: int) -> int:
    """Drop what is older and count the rest; a clock that was set back leaves what seems to come from the future."""
    while moments and moments[0] <= since_ns:
        moments.popleft()
    return len(moments)
