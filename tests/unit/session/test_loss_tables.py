"""Daily loss and drawdown follow the tables that were worked by hand in docs/risk.md, row by row."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.calendar import NEW_YORK
from engine.domain.command import SessionConfig
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Granularity, Quote
from engine.domain.schedule import DayStart
from engine.domain.transaction import DailyFinancing, Fill, TradeClosed, TradeFinancing, TradeOpened
from engine.session.days import Days
from engine.session.desk import Desk
from engine.store.journal import open_journal

DOCS = Path(__file__).parents[3] / "docs" / "risk.md"
UNITS = Decimal(100_000)
UTC = ZoneInfo("UTC")


def table(first: str) -> list[list[str]]:
    """The rows of the table in the documents whose head begins with this column."""
    lines = DOCS.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    body = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in line.strip("|").split("|")])
    return body


LOSSES = table("When (New York)")
DAYS = table("`trading_day` | Now (UTC)")


def moment(text: str, zone: ZoneInfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * NS_PER_S


class Books:
    """A desk whose transactions are told by the words of the table."""

    def __init__(self, folder: Path) -> None:
        config = SessionConfig(instruments=("EUR_USD",), limits=RiskLimits())
        self.desk = Desk(
            config=config, run_id=1, currency="USD", instruments={"EUR_USD": CATALOGUE["EUR_USD"]}, offered=CATALOGUE,
            granularity_ns=Granularity.M1.ns, limits=config.limits, opening_balance_home=Decimal(100_000), now_ns=0,
        )  # fmt: skip
        self.desk.ledger.begin(Decimal(100_000), 0)
        self._store = open_journal(folder / "made.sqlite", wall_ns=lambda: 1)
        self._days = Days(self.desk, self._store.begin_run())
        self._number = 0
        self._entry = Decimal(0)

    def tell(self, when: str, what: str, bid: str) -> None:
        desk, price = self.desk, Decimal(bid)
        desk.now_ns = moment(when, NEW_YORK)
        desk.quotes["EUR_USD"] = Quote(
            instrument="EUR_USD", bid=price, ask=price, ts_ns=desk.now_ns, received_ns=desk.now_ns,
            home_rate=Decimal(1),
        )  # fmt: skip
        word, *rest = what.split()
        if word == "start":
            self._days.open_books(desk.ledger.balance_home)
        elif word == "buy":
            self._fill(Decimal(rest[1]), opens=True)
        elif word == "close":
            self._fill(Decimal(rest[1]), opens=False)
        elif word == "financing":
            self._financing(Decimal(rest[0]))
        self._days.mark()
        desk.panel.update(desk.account_view())

    def close(self) -> None:
        self._store.close()

    def _fill(self, price: Decimal, *, opens: bool) -> None:
        self._number += 1
        result = Decimal(0) if opens else (price - self._entry) * UNITS
        if opens:
            self._entry = price
        balance = self.desk.ledger.balance_home + result
        trade = "1" if self._number <= 2 else "2"
        self.desk.book(
            Fill(
                transaction_id=self._number, ts_ns=self.desk.now_ns, order_id=str(self._number), client_order_id=None,
                instrument="EUR_USD", units=UNITS if opens else -UNITS, price=price, reason="MARKET_ORDER",
                pl_home=result, financing_home=Decimal(0), commission_home=Decimal(0), half_spread_home=Decimal(0),
                balance_home=balance,
                opened=TradeOpened(trade_id=trade, units=UNITS, price=price) if opens else None,
                closed=() if opens else (
                    TradeClosed(trade_id=trade, units=-UNITS, price=price, realized_pl_home=result),
                ),
            )
        )  # fmt: skip

    def _financing(self, amount: Decimal) -> None:
        self._number += 1
        part = TradeFinancing(trade_id="2", instrument="EUR_USD", financing_home=amount)
        self.desk.book(
            DailyFinancing(
                transaction_id=self._number, ts_ns=self.desk.now_ns, financing_home=amount,
                balance_home=self.desk.ledger.balance_home + amount, trades=(part,),
            )
        )  # fmt: skip


def shown(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def test_losses_are_those_that_were_worked_by_hand(tmp_path: Path) -> None:
    books = Books(tmp_path)
    desk = books.desk
    try:
        for when, what, bid, balance, equity, began, loss, fall, tripped in LOSSES:
            books.tell(when, what, bid)
            view = desk.account_view()
            readings = {breaker.name: shown(breaker.read(view).measured) for breaker in desk.panel.breakers}
            found = (
                desk.ledger.balance_home, desk.equity_home, desk.day_start_home, readings["daily_loss"],
                readings["drawdown"], ", ".join(trip.breaker for trip in desk.panel.trips),
            )  # fmt: skip
            wanted = (*map(Decimal, (balance, equity, began, loss, fall)), tripped)
            assert found == wanted, f"{when} {what}"
    finally:
        books.close()


def test_the_table_has_a_day_roll_financing_open_losses_and_each_breaker() -> None:
    words = {row[1].split()[0] for row in LOSSES}
    trips = {name for row in LOSSES for name in row[8].split(", ") if name}
    assert words == {"start", "buy", "price", "close", "financing"}
    assert trips == {"daily_loss", "drawdown"}


@pytest.mark.parametrize(("begins", "now", "then"), DAYS)
def test_days_begin_by_the_clock_of_their_zone(begins: str, now: str, then: str) -> None:
    assert DayStart.parse(begins).next_ns(moment(now, UTC)) == moment(then, UTC)
