"""Whatever a broker's log brings, the books hold its sums to the last decimal."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import HaltTrading
from engine.domain.transaction import DailyFinancing, Fill, FundsTransferred, TradeClosed, TradeFinancing, Transaction
from engine.ledger import HOME_STEP, Ledger
from tests.unit.made import NOW_NS, fill, opens, paid_in, quote

NAMES = ("EUR_USD", "GBP_USD")
STEP = Decimal("0.00001")


def amounts(lowest: int, highest: int) -> st.SearchStrategy[Decimal]:
    """Amounts of five decimals, in steps of a hundred-thousandth."""
    return st.integers(lowest, highest).map(lambda steps: steps * STEP)


AMOUNTS = amounts(-9_999_900_000, 9_999_900_000)
FEES = amounts(0, 9_900_000)
PRICES = amounts(50_000, 200_000)
UNITS = st.integers(1, 100_000).map(Decimal)


@dataclass
class Broker:
    """A netting account told what to do, that writes the log: an independent, slower account of the same rules."""

    balance: Decimal = Decimal(0)
    log: list[Transaction] = field(default_factory=list)
    open: dict[str, list[list[Any]]] = field(default_factory=dict)

    @property
    def next_id(self) -> int:
        return len(self.log) + 1

    def pay(self, amount: Decimal) -> None:
        self.balance += amount
        self.log.append(paid_in(self.next_id, amount, self.balance))

    def trade(self, name: str, units: Decimal, price: Decimal, fee: Decimal) -> None:
        """Close what is open on the other side, oldest first, then open the rest."""
        number, left, parts = self.next_id, units, []
        trades = self.open.setdefault(name, [])
        while left and trades and (trades[0][1] > 0) != (left > 0):
            trade_id, has, entry = trades[0]
            taken = -has if abs(has) <= abs(left) else left
            result = (price - entry) * -taken
            parts.append(TradeClosed(trade_id=trade_id, units=taken, price=price, realized_pl_home=result))
            left -= taken
            trades[0][1] += taken
            if not trades[0][1]:
                trades.pop(0)
        whole = parts[:-1] if parts and trades and trades[0][0] == parts[-1].trade_id else parts
        if left:
            trades.append([str(number), left, price])
        pl = sum((part.realized_pl_home for part in parts), Decimal(0))
        self.balance += pl - fee
        self.log.append(
            fill(
                number,
                units,
                self.balance,
                price=price,
                name=name,
                pl=pl,
                commission=fee,
                closed=tuple(whole),
                reduced=parts[-1] if len(whole) < len(parts) else None,
                opened=opens(str(number), left, price) if left else None,
            )
        )

    def finance(self, amount: Decimal) -> None:
        trades = [(name, trade[0]) for name, held in self.open.items() for trade in held]
        parts = tuple(TradeFinancing(trade_id=key, instrument=name, financing_home=amount) for name, key in trades)
        total = amount * len(parts)
        self.balance += total
        self.log.append(
            DailyFinancing(
                transaction_id=self.next_id,
                ts_ns=NOW_NS,
                financing_home=total,
                balance_home=self.balance,
                trades=parts,
            )
        )


@st.composite
def brokers(draw: st.DrawFn) -> Broker:
    broker = Broker()
    broker.pay(Decimal(100_000))
    for _ in range(draw(st.integers(0, 12))):
        what = draw(st.sampled_from(["trade", "trade", "trade", "finance", "pay"]))
        if what == "trade":
            units = draw(UNITS) * draw(st.sampled_from([1, -1]))
            broker.trade(draw(st.sampled_from(NAMES)), units, draw(PRICES), draw(FEES))
        elif what == "finance":
            broker.finance(draw(FEES) * draw(st.sampled_from([1, -1])))
        else:
            broker.pay(draw(AMOUNTS))
    return broker


def booked(log: list[Transaction]) -> Ledger:
    ledger = Ledger()
    for transaction in log:
        ledger.apply(transaction)
    return ledger


def picture(ledger: Ledger) -> tuple[Any, ...]:
    return (
        ledger.balance_home,
        ledger.last_transaction_id,
        ledger.realized_pl_home,
        ledger.financing_home,
        ledger.commission_home,
        ledger.transferred_home,
        ledger.open_trades,
        [(name, ledger.units(name)) for name in ledger.held],
    )


@given(brokers())
def test_balance_is_the_sum_of_every_booked_amount(broker: Broker) -> None:
    ledger = booked(broker.log)
    moved = [
        item.pl_home + item.financing_home - item.commission_home
        if isinstance(item, Fill)
        else item.financing_home
        if isinstance(item, DailyFinancing)
        else item.amount_home
        for item in broker.log
        if isinstance(item, Fill | DailyFinancing | FundsTransferred)
    ]
    assert ledger.balance_home == sum(moved) == broker.balance
    sums = ledger.transferred_home + ledger.realized_pl_home + ledger.financing_home - ledger.commission_home
    assert sums == ledger.balance_home


@given(brokers())
def test_units_are_the_sum_of_the_fills(broker: Broker) -> None:
    ledger = booked(broker.log)
    fills = [item for item in broker.log if isinstance(item, Fill)]
    for name in NAMES:
        total = sum((item.units for item in fills if item.instrument == name), Decimal(0))
        assert ledger.units(name) == total
        assert ledger.units(name) == sum((trade.units for trade in ledger.trades_of(name)), Decimal(0))
        assert (name in ledger.held) == (total != 0)
    assert {name: [[t.trade_id, t.units, t.price] for t in ledger.trades_of(name)] for name in ledger.held} == {
        name: trades for name, trades in broker.open.items() if trades
    }


@given(brokers())
def test_trades_carry_all_results_and_charges_that_were_booked_on_them(broker: Broker) -> None:
    ledger = booked(broker.log)
    for trade in ledger.open_trades:
        parts = [
            part
            for item in broker.log
            if isinstance(item, Fill)
            for part in (*item.closed, *((item.reduced,) if item.reduced else ()))
            if part.trade_id == trade.trade_id
        ]
        charges = [
            part.financing_home
            for item in broker.log
            if isinstance(item, DailyFinancing)
            for part in item.trades
            if part.trade_id == trade.trade_id
        ]
        assert trade.realized_pl_home == sum(part.realized_pl_home for part in parts)
        assert trade.financing_home == sum(charges)
        assert trade.units == trade.initial_units + sum(part.units for part in parts)


@given(broker=brokers(), cut=st.integers(0, 12))
def test_books_do_not_depend_on_how_the_log_is_grouped(broker: Broker, cut: int) -> None:
    at_once, in_two = booked(broker.log), booked(broker.log[:cut])
    for transaction in broker.log[cut:]:
        in_two.apply(transaction)
    assert picture(at_once) == picture(in_two)


@given(st.lists(st.tuples(UNITS, PRICES), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_of_entries_changes_neither_units_nor_average_price(
    entries: list[tuple[Decimal, Decimal]], lots: Any
) -> None:
    shuffled = list(entries)
    lots.shuffle(shuffled)
    positions = []
    for series in (entries, shuffled):
        broker = Broker()
        for units, price in series:
            broker.trade("EUR_USD", units, price, Decimal(0))
        positions.append(booked(broker.log).position("EUR_USD", quote()))
    assert positions[0] == positions[1]


@given(units=UNITS, price=PRICES, now=PRICES, rate=PRICES)
def test_mirrored_position_has_the_negated_open_result_without_a_spread(
    units: Decimal, price: Decimal, now: Decimal, rate: Decimal
) -> None:
    results = []
    for side in (1, -1):
        broker = Broker()
        broker.trade("EUR_USD", side * units, price, Decimal(0))
        results.append(booked(broker.log).unrealized_home({"EUR_USD": quote(now, now, home_rate=rate)}))
    assert results[0] == -results[1]
    assert abs(results[0] - (now - price) * units * rate) <= HOME_STEP / 2


@given(units=UNITS, price=PRICES, spread=FEES)
def test_position_that_was_just_opened_has_lost_the_spread_on_either_side(
    units: Decimal, price: Decimal, spread: Decimal
) -> None:
    now = {"EUR_USD": quote(price, price + spread)}
    for side, paid in ((1, price + spread), (-1, price)):
        broker = Broker()
        broker.trade("EUR_USD", side * units, paid, Decimal(0))
        assert abs(booked(broker.log).unrealized_home(now) + units * spread) <= HOME_STEP / 2


@given(broker=brokers(), price=PRICES)
def test_closing_at_the_quote_books_the_open_result(broker: Broker, price: Decimal) -> None:
    ledger = booked(broker.log)
    quotes = {name: quote(price, price, name) for name in NAMES}
    equity = ledger.balance_home + ledger.unrealized_home(quotes)
    for name in ledger.held:
        broker.trade(name, -ledger.units(name), price, Decimal(0))
    flat = booked(broker.log)
    assert flat.held == ()
    assert abs(flat.balance_home - equity) <= len(ledger.held) * HOME_STEP / 2


@given(broker=brokers(), missing=st.integers(0, 12))
def test_missing_line_halts_and_leaves_the_books_as_they_were(broker: Broker, missing: int) -> None:
    if missing >= len(broker.log) - 1:
        broker.log += [paid_in(broker.next_id, 0, broker.balance), paid_in(broker.next_id + 1, 0, broker.balance)]
        missing = len(broker.log) - 2
    ledger = booked(broker.log[:missing])
    before = picture(ledger)
    with pytest.raises(HaltTrading, match="missing"):
        ledger.apply(broker.log[missing + 1])
    assert picture(ledger) == before


@given(broker=brokers(), off=AMOUNTS.filter(bool), units=UNITS, price=PRICES)
def test_balance_off_by_anything_halts_and_leaves_the_books_as_they_were(
    broker: Broker, off: Decimal, units: Decimal, price: Decimal
) -> None:
    ledger = booked(broker.log)
    before = picture(ledger)
    broker.balance += off
    broker.trade("EUR_USD", units, price, Decimal(0))
    with pytest.raises(HaltTrading, match="our books say"):
        ledger.apply(broker.log[-1])
    assert picture(ledger) == before
