"""Transactions that contradict themselves are refused before anything of them is booked."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.domain.error import HaltTrading
from engine.domain.transaction import DailyFinancing, TradeFinancing
from engine.ledger import Ledger
from tests.unit.made import EUR_USD, NOW_NS, closes, fill, opens, paid_in, quote


def books() -> Ledger:
    """1000 EUR_USD bought at 1.10000 in an account of 100."""
    ledger = Ledger()
    ledger.apply(paid_in(1, "100"))
    ledger.apply(fill(2, "1000", "100", opened=opens("2", "1000", stop_loss=Decimal("1.09000"))))
    return ledger


def state(ledger: Ledger) -> tuple[object, ...]:
    return (
        ledger.balance_home, ledger.realized_pl_home, ledger.financing_home, ledger.commission_home,
        ledger.last_transaction_id, ledger.open_trades,
    )  # fmt: skip


def financing(amount: str, *parts: tuple[str, str]) -> DailyFinancing:
    trades = tuple(
        TradeFinancing(trade_id=one, instrument="EUR_USD", financing_home=Decimal(paid)) for one, paid in parts
    )
    return DailyFinancing(
        transaction_id=3,
        ts_ns=NOW_NS,
        financing_home=Decimal(amount),
        balance_home=100 + Decimal(amount),
        trades=trades,
    )


def test_financing_moves_the_balance_and_is_noted_on_each_trade() -> None:
    ledger = books()
    ledger.apply(financing("-0.5", ("2", "-0.5")))
    ledger.apply(replace(financing("-0.2", ("2", "-0.2")), transaction_id=4, balance_home=Decimal("99.3")))
    assert (ledger.balance_home, ledger.financing_home) == (Decimal("99.3"), Decimal("-0.7"))
    assert [trade.financing_home for trade in ledger.open_trades] == [Decimal("-0.7")]


@pytest.mark.parametrize(("position", "mid", "margin"), [("1000", "1.10005", "22.001"), ("-1000", "1.10005", "22.001")])
def test_margin_is_a_share_of_the_size_on_either_side(position: str, mid: str, margin: str) -> None:
    ledger = Ledger()
    ledger.apply(paid_in(1, "100"))
    ledger.apply(fill(2, position, "100", opened=opens("2", position)))
    now = quote()
    assert now.mid == Decimal(mid)
    assert ledger.margin_used_home({"EUR_USD": now}, {"EUR_USD": EUR_USD}) == Decimal(margin)


def test_a_fill_that_closes_a_trade_twice_is_refused_unbooked() -> None:
    ledger = books()
    before = state(ledger)
    part = closes("2", "-1000", "1.10100", "1")
    with pytest.raises(HaltTrading):
        ledger.apply(fill(3, "-2000", "102", pl="2", closed=(part, part)))
    assert state(ledger) == before


@pytest.mark.parametrize("parts", [(("2", "-0.1"),), (("9", "-0.5"),), ()])
def test_financing_whose_parts_do_not_add_up_is_refused_unbooked(parts: tuple[tuple[str, str], ...]) -> None:
    ledger = books()
    before = state(ledger)
    with pytest.raises(HaltTrading):
        ledger.apply(financing("-0.5", *parts))
    assert state(ledger) == before


def test_a_fill_whose_financing_is_on_no_trade_is_refused_unbooked() -> None:
    ledger = books()
    before = state(ledger)
    with pytest.raises(HaltTrading):
        ledger.apply(
            fill(3, "-1000", "100.7", pl="1", financing="-0.3", closed=(closes("2", "-1000", "1.10100", "1"),))
        )
    assert state(ledger) == before


@pytest.mark.parametrize(("stop", "risk"), [(Decimal("1.09000"), "10.2"), (None, "1122.0")])
def test_money_at_risk_includes_what_converting_a_loss_costs(stop: Decimal | None, risk: str) -> None:
    ledger = Ledger()
    ledger.apply(paid_in(1, "100"))
    stops = {} if stop is None else {"stop_loss": stop}
    ledger.apply(fill(2, "1000", "100", opened=opens("2", "1000", **stops)))
    charged = replace(quote("1.10000", "1.10010"), home_loss_rate=Decimal("1.02"))
    assert ledger.risk_home("EUR_USD", charged) == Decimal(risk)
