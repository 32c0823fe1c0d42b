"""I am the guard at the wire: every request is checked in the moment in which it leaves for the broker.
I may import the domain and the other parts of this folder.
I must not ask the engine why: what is recorded and what the broker knows must be reason enough.
My tests are in tests/simulation/test_gate.py and test_saboteurs.py.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.event import Claim
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Bar, Quote
from engine.domain.order import OrderIntent, OrderReason, OrderStatus
from tests.simulation.books import Books
from tests.simulation.checker import Checker, bar_of
from tests.simulation.hours import shut
from tests.simulation.judging import demand
from tests.simulation.prices import check_guard, check_prices
from tests.simulation.worst import CENT, Worst, check_sizes

ZERO = Decimal(0)
FUTURE_NS_MAX = 2 * NS_PER_S
_OPERATORS = (OrderReason.FLATTEN, OrderReason.CLOSE_COMMAND)


class Wire:
    """Implements Witness. `kill_file` says whether the file HALT stands there; trouble why nothing may be opened."""

    def __init__(
        self,
        checker: Checker,
        clock_ns: Callable[[], int],
        quotes: Callable[[], Mapping[str, Quote]],
        kill_file: Callable[[], bool],
        trouble: Callable[[], str],
        bars: Callable[[str], Sequence[Bar]],
    ) -> None:
        self._checker = checker
        self._clock_ns = clock_ns
        self._quotes = quotes
        self._kill_file = kill_file
        self._trouble = trouble
        self._bars_of = bars
        self._bars: dict[tuple[str, str], OrderReason] = {}
        self._true = Books()
        self._entered: dict[str, int] = {}
        self._served: set[tuple[str, int]] = set()

    def on_submit(self, intent: OrderIntent) -> None:
        """An order leaves."""
        check, order_id = self._checker, intent.client_order_id
        check.pull()
        recorded = check.intents.get(order_id)
        demand(recorded == intent, "I1", f"{order_id} is sent as {intent}, and recorded as {recorded}")
        demand(order_id not in check.sent, "I2", f"{order_id} is sent a second time")
        closing = check.interrupted and intent.reason is OrderReason.FLATTEN
        demand(check.compared or closing, "I8", f"{order_id} is sent before the run is reconciled")
        if intent.reason not in _OPERATORS:
            demand(check.warm, "I8", f"{order_id} is sent before the run has warmed up")
            self._check_decided(intent)
            self._check_quote(intent)
        if intent.reason is OrderReason.CLOSE_COMMAND:
            beside = [each for each, other in check.unsettled().items() if other.instrument == intent.instrument]
            demand(not beside, "I3", f"{order_id} is sent beside {beside}")
        demand(intent.reduce_only or intent.reason is OrderReason.SIGNAL, "I5", f"{order_id} is not reduce-only")
        held = check.books.units(intent.instrument)
        closes = not intent.reduce_only or intent.units == -held
        demand(closes, "I5", f"{order_id} closes {intent.units}, {held} are held")
        self._check_state(intent)
        if intent.reason is OrderReason.SIGNAL:
            self._check_entry(intent)
        check.sent[order_id] = intent
        check.flattened += intent.reason is OrderReason.FLATTEN
        check.conduct.sent(intent, self._clock_ns())

    def on_failed(self, intent: OrderIntent, *, is_sure: bool) -> None:
        """The line has given no answer to an order, or said for sure that it did not leave."""
        self._checker.conduct.failed(self._clock_ns())
        if is_sure:
            self._checker.not_sent.add(intent.client_order_id)

    def on_protect(self, trade_id: str, instrument: str, stop_loss: Decimal) -> None:
        """A stop-loss leaves for an open trade."""
        check = self._checker
        check.pull()
        recorded = any((each.trade_id, each.stop_loss) == (trade_id, stop_loss) for each in check.protections[-1:])
        demand(recorded, "I1", f"a stop for trade {trade_id} leaves and is not recorded")
        demand(self._may_manage(trade_id), "I17", f"trade {trade_id} is not ours, and gets a stop")
        quote, trade = self._quotes().get(instrument), check.books.trades.get(trade_id)
        if quote is not None and trade is not None:
            check_guard(trade.units, quote, stop_loss, check.limits, self._bars_of(instrument))

    def on_close_trade(self, trade_id: str, instrument: str) -> None:
        """A request to close one trade leaves."""
        check = self._checker
        check.pull()
        recorded = check.closes[-1] if check.closes else None
        demand(recorded is not None and recorded.trade_id == trade_id, "I1", f"trade {trade_id}: close not recorded")
        demand(not check.halted and not self._kill_file(), "I5", f"trade {trade_id} is closed while halted")
        check.flattened += check.flattening
        asked = check.asked.get(recorded.command_id or "") if recorded else None
        by_person = asked is not None and getattr(asked, "choice", "") == "close" and asked.trade_id == trade_id
        demand(by_person or self._may_manage(trade_id), "I17", f"trade {trade_id} is not ours, and is closed")

    def _may_manage(self, trade_id: str) -> bool:
        check = self._checker
        ours = check.is_ours(check.books.opened_by.get(trade_id))
        return ours or check.claims.get(trade_id) is Claim.ADOPT

    def _check_decided(self, intent: OrderIntent) -> None:
        """One order for one decision, an entry behind a close for a reversal, and none beside one of unknown outcome or
        a trade that is not ours.
        """
        check, name = self._checker, intent.instrument
        bar = (name, intent.client_order_id.split("-")[2])
        reverses = bar_of(intent.client_order_id) in check.reversals
        follows = reverses and (self._bars.get(bar), intent.reason) == (OrderReason.EXIT, OrderReason.SIGNAL)
        demand(bar not in self._bars or follows, "I3", f"bar {bar} has an order already")
        skips = reverses and bar not in self._bars and intent.reason is OrderReason.SIGNAL
        demand(not skips, "I3", f"{intent.client_order_id} reverses, and nothing was sent to close")
        self._bars[bar] = intent.reason
        unsettled = [each for each, other in check.unsettled().items() if other.instrument == name]
        demand(not unsettled, "I3", f"{intent.client_order_id} is sent beside {unsettled}")
        foreign = [each.trade_id for each in check.books.trades.values() if each.instrument == name]
        foreign = [each for each in foreign if not self._may_manage(each)]
        demand(not foreign, "I17", f"{intent.client_order_id} is sent beside the trades {foreign}, which are not ours")

    def _check_quote(self, intent: OrderIntent) -> None:
        quote, order_id = self._quotes().get(intent.instrument), intent.client_order_id
        if quote is None:
            demand(False, "I7", f"{order_id} is sent without a quote")
            return
        demand(quote.tradeable, "I7", f"{order_id} is sent while {intent.instrument} cannot be traded")
        age_ns = self._clock_ns() - quote.ts_ns
        fresh = -FUTURE_NS_MAX <= age_ns <= self._checker.limits.quote_age_s_max * NS_PER_S
        demand(fresh, "I7", f"{order_id} is sent on a quote of age {age_ns / NS_PER_S} s")

    def _check_state(self, intent: OrderIntent) -> None:
        check, order_id = self._checker, intent.client_order_id
        stopped = check.halted or self._kill_file()
        demand(not stopped or intent.reason is OrderReason.FLATTEN, "I5", f"{order_id} is sent while halted")
        if intent.reason is OrderReason.FLATTEN:
            return
        held = check.books.units(intent.instrument)
        lowers = intent.reduce_only and intent.units * held < 0
        why = ", ".join(check.latched(intent.instrument)) or ("paused" if check.paused else "") or self._trouble()
        demand(lowers or not why, "I5", f"{order_id} opens {intent.units} on {held} while {why}")

    def _check_entry(self, intent: OrderIntent) -> None:
        check, name, order_id = self._checker, intent.instrument, intent.client_order_id
        limits = check.limits
        quote = self._quotes()[name]
        least_ns = int(limits.order_interval_s_min * NS_PER_S)
        since_ns = intent.created_ns - self._entered.get(name, intent.created_ns - least_ns)
        demand(
            not least_ns or since_ns >= least_ns,
            "I9",
            f"{order_id} is sent {since_ns / NS_PER_S} s after the last entry",
        )
        self._entered[name] = intent.created_ns
        demand(intent.stop_loss is not None, "I11", f"{order_id} has no stop-loss")
        if intent.stop_loss is not None:
            gap = quote.bid - intent.stop_loss if intent.units > 0 else intent.stop_loss - quote.ask
            demand(gap > 0, "I11", f"{order_id} has its stop-loss {gap} from the price")
        demand(intent.price_bound is not None or not limits.slippage_pips_max, "I11", f"{order_id} has no bound")
        spread = CATALOGUE[name].pips(quote.ask - quote.bid)
        cap = limits.spread_pips_max.get(name, limits.spread_pips_max["*"])
        demand(spread <= cap, "I9", f"{order_id} is sent at a spread of {spread} pips, the limit is {cap}")
        check_prices(intent, quote, limits, self._bars_of(name))
        self._check_data_age(order_id)
        self._check_flat(intent)
        self._check_sizes(intent)
        now_ns = self._clock_ns()
        over = now_ns >= check.losses.day_end_ns
        demand(not over, "the day", f"{order_id} is sent, the trading day is over and the next one has not begun")
        closed = shut(name, now_ns, limits, check.news)
        demand(not closed, "hours", f"{order_id} is sent, and {closed}")
        check.conduct.check_entry(intent, now_ns, limits, check.books)

    def _check_data_age(self, order_id: str) -> None:
        """What is held is worth what its oldest price says, so that a price which stands still lets nothing be added.

        Nobody could listen while the machine slept: age counts from when it woke.
        """
        check, quotes = self._checker, self._quotes()
        held = [quotes[name].ts_ns for name in check.books.held() if name in quotes and quotes[name].tradeable]
        age_ns = self._clock_ns() - max(min(held, default=self._clock_ns()), check.woken_ns)
        fits = age_ns < check.limits.data_age_s_max * NS_PER_S
        demand(fits, "data age", f"{order_id} is sent, what is held was priced {age_ns / NS_PER_S} s ago")

    def _check_flat(self, intent: OrderIntent) -> None:
        """An entry opens all of its units: the broker holds nothing that we opened, whatever is recorded by now.

        But for what was filled after it had been given up: nobody could know of it yet.
        """
        check, name = self._checker, intent.instrument
        self._true.read(check.venue.log, check.venue.last_id)
        here = [each for each in self._true.trades.values() if each.instrument == name]
        ours = [each for each in here if check.is_ours(each.opened_by)]
        held = [each.trade_id for each in ours if check.status.get(each.opened_by or "") is not OrderStatus.EXPIRED]
        demand(not held, "reversal", f"{intent.client_order_id} is sent while the broker holds trades {held}")
        demand(not check.books.units(name), "reversal", f"{intent.client_order_id} is sent on top of what is recorded")

    def _check_sizes(self, intent: OrderIntent) -> None:
        """Everything that is held, may have been sent and is sent now, at its worst, is within the limits."""
        check, quotes, order_id = self._checker, self._quotes(), intent.client_order_id
        limits, quote = check.limits, self._quotes()[intent.instrument]
        worst = Worst(check.books, check.unsettled().values())
        worst.add(intent)
        unpriced = [name for name in worst.names if name not in quotes]
        demand(not unpriced, "I10", f"{order_id} is sent while {unpriced} have no price")
        equity = check.books.equity_home(quotes) or ZERO
        check_sizes(worst, intent, equity, limits, quotes)
        price = quote.ask if intent.units > 0 else quote.bid
        risk = abs(worst.held[intent.instrument]) * abs(price - (intent.stop_loss or ZERO)) * quote.loss_rate
        budget = equity * limits.risk_per_trade_pct / 100
        # a rate that moves along with the price of the stop (USD_JPY) is reckoned with the present one here
        demand(risk <= budget * Decimal("1.02") + CENT, "I10", f"{order_id}: risks {risk:.2f} of {budget:.2f}")
        many, most = abs(intent.units), _most_units(intent, equity, limits, quote)
        demand(
            many * Decimal("1.05") + 1 >= most, "sizing", f"{order_id}: {many} units, by the limits it is {most:.0f}"
        )


def _most_units(intent: OrderIntent, equity: Decimal, limits: RiskLimits, quote: Quote) -> Decimal:
    """What the risk per trade and the caps of one position allow: a size is cut to them, and to nothing else."""
    name, price = intent.instrument, quote.ask if intent.units > 0 else quote.bid
    share = limits.position_pct_max.get(name, limits.position_pct_max["*"])
    return min(
        equity * limits.risk_per_trade_pct / 100 / (abs(price - (intent.stop_loss or ZERO)) * quote.loss_rate),
        limits.position_units_max.get(name, limits.position_units_max["*"]),
        equity * share / 100 / (quote.mid * quote.home_rate),
        CATALOGUE[name].units_max,
    )
