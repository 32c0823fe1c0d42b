"""A tape of events as a session would journal them: a broker's books in miniature, exact to the last decimal."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace
from sqlite_utils import Database

from engine.domain.command import Mode, SessionConfig
from engine.domain.decision import Action, Decision, Gate
from engine.domain.event import (
    BreakerReleased,
    BreakerTripped,
    BrokerOrderCanceled,
    BrokerOrderCreated,
    BrokerOrderRejected,
    CommandAccepted,
    CommandRefused,
    DecisionMade,
    Event,
    Faulted,
    FinancingCharged,
    FundsMoved,
    OrderFilled,
    OrderInitialized,
    OrderUpdated,
    Reconciled,
    SessionStarted,
    SessionState,
    SessionStopped,
    TradingState,
    TradingStateChanged,
    WarmedUp,
)
from engine.domain.order import OrderIntent, OrderReason, OrderStatus, client_order_id
from engine.domain.transaction import (
    DailyFinancing,
    Fill,
    FundsTransferred,
    OrderCanceled,
    OrderCreated,
    OrderRejected,
    TradeClosed,
    TradeFinancing,
    TradeOpened,
)
from engine.store import schema
from engine.store.journal import JournalStore, SqliteJournal, open_journal

OPENING = Decimal("100000.0000")
START_NS = 1_400_000_000_000_000_000
MINUTE_NS = 60_000_000_000
WALL_NS = 1_790_000_000_000_000_000
ZERO = Decimal(0)


def opened_store(path: Path, busy_timeout_ms: int = 5_000) -> JournalStore:
    return open_journal(path, wall_ns=lambda: WALL_NS, busy_timeout_ms=busy_timeout_ms)


def record(journal: SqliteJournal, events: Iterable[Event], batch: int = 3) -> None:
    """Append all events, committing after every `batch` of them and at the end."""
    for number, event in enumerate(events, 1):
        journal.append(event)
        if number % batch == 0:
            journal.commit()
    journal.commit()


def of_second_version(path: Path, recorded: Path, where: str = "1") -> Path:
    """Make a file as the second version of the schema had it, with what is recorded in another one."""
    old = Database(path)
    schema.MIGRATIONS.apply(old, stop_before="0003_books_go_on")
    old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 2")
    old.attach("new", recorded)
    with old.atomic():
        for table in ("runs", *schema.COLUMNS):
            known = ", ".join(column.name for column in old[table].columns)
            old.execute(f"INSERT INTO {table} ({known}) SELECT {known} FROM new.{table} WHERE {where}")
    old.close()
    return path


def decided(ts_ns: int = START_NS, **changes: object) -> DecisionMade:
    decision = Decision(
        instrument="EUR_USD",
        bar_ts_ns=ts_ns - MINUTE_NS,
        direction=1,
        confidence=0.625,
        bid=Decimal("1.38712"),
        ask=Decimal("1.38725"),
        equity_home=OPENING,
        position_units=ZERO,
        action=Action.HOLD,
        reason="no cross",
    )
    return DecisionMade(ts_ns=ts_ns, decision=replace(decision, **changes))


class Tape:
    """Collects events; every method that moves money numbers a transaction and keeps the balance."""

    def __init__(
        self,
        run_id: int,
        config: SessionConfig | None = None,
        *,
        account: str = "",
        after: "Tape | None" = None,
    ) -> None:
        self.run_id = run_id
        self.now_ns = after.now_ns if after else START_NS
        self.balance = after.balance if after else OPENING
        self.transaction_id = after.transaction_id if after else 0
        self.orders = 0
        self.events: list[Event] = []
        config = config or SessionConfig(mode=Mode.REPLAY, instruments=("EUR_USD",))
        self.add(
            SessionStarted(
                ts_ns=self.now_ns,
                config=config,
                model_sha256="ab" * 32,
                opening_balance_home=self.balance,
                engine_version="0.1.0",
                account=account,
                opening_transaction_id=self.transaction_id,
                continues=after.run_id if after else None,
            )
        )

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.now_ns += MINUTE_NS

    def number(self) -> int:
        self.transaction_id += 1
        return self.transaction_id

    def order(self, units: Decimal, reason: OrderReason = OrderReason.SIGNAL, command_id: str | None = None) -> str:
        """Initialise, submit and create an order at the broker; returns its client order id."""
        self.orders += 1
        made = client_order_id(self.run_id, "EUR_USD", self.now_ns, self.orders)
        intent = OrderIntent(
            client_order_id=made, instrument="EUR_USD", units=units, created_ns=self.now_ns, reason=reason
        )
        risk_home = Decimal("500.25")
        self.add(OrderInitialized(ts_ns=self.now_ns, intent=intent, risk_home=risk_home, command_id=command_id))
        self.add(OrderUpdated(ts_ns=self.now_ns, client_order_id=made, status=OrderStatus.SUBMITTED, detail=""))
        number = self.number()
        created = OrderCreated(
            transaction_id=number,
            ts_ns=self.now_ns,
            order_id=str(number),
            client_order_id=made,
            kind="MARKET_ORDER",
            instrument="EUR_USD",
            units=units,
        )
        self.add(BrokerOrderCreated(ts_ns=self.now_ns, order=created))
        return made

    def fill(
        self,
        units: Decimal,
        made: str | None,
        *,
        opened: TradeOpened | None = None,
        closed: tuple[TradeClosed, ...] = (),
        reduced: TradeClosed | None = None,
        commission_home: Decimal = ZERO,
        reason: str = "MARKET_ORDER",
    ) -> int:
        parts = closed if reduced is None else (*closed, reduced)
        pl_home = sum((part.realized_pl_home for part in parts), ZERO)
        financing_home = sum((part.financing_home for part in parts), ZERO)
        self.balance += pl_home + financing_home - commission_home
        number = self.number()
        fill = Fill(
            transaction_id=number,
            ts_ns=self.now_ns,
            order_id=str(number - 1),
            client_order_id=made,
            instrument="EUR_USD",
            units=units,
            price=Decimal("1.38725"),
            reason=reason,
            pl_home=pl_home,
            financing_home=financing_home,
            commission_home=commission_home,
            half_spread_home=Decimal("0.65"),
            balance_home=self.balance,
            opened=opened,
            closed=closed,
            reduced=reduced,
        )
        self.add(OrderFilled(ts_ns=self.now_ns, fill=fill))
        return number

    def open(self, trade_id: str, units: str, price: str = "1.38725", commission: str = "0") -> None:
        part = TradeOpened(
            trade_id=trade_id,
            units=Decimal(units),
            price=Decimal(price),
            stop_loss=Decimal("1.38000"),
            take_profit=Decimal("1.40000"),
        )
        made = self.order(Decimal(units))
        self.fill(Decimal(units), made, opened=part, commission_home=Decimal(commission))

    def financing(self, amounts: dict[str, Decimal]) -> None:
        total = sum(amounts.values(), ZERO)
        self.balance += total
        parts = tuple(
            TradeFinancing(trade_id=trade_id, instrument="EUR_USD", financing_home=amount)
            for trade_id, amount in amounts.items()
        )
        paid = DailyFinancing(
            transaction_id=self.number(),
            ts_ns=self.now_ns,
            financing_home=total,
            balance_home=self.balance,
            trades=parts,
        )
        self.add(FinancingCharged(ts_ns=self.now_ns, financing=paid))

    def transfer(self, amount: Decimal) -> None:
        self.balance += amount
        moved = FundsTransferred(
            transaction_id=self.number(), ts_ns=self.now_ns, amount_home=amount, balance_home=self.balance
        )
        self.add(FundsMoved(ts_ns=self.now_ns, transfer=moved))

    def stop(self, state: SessionState = SessionState.STOPPED) -> None:
        self.add(
            SessionStopped(
                ts_ns=self.now_ns,
                reason="asked to stop",
                state=state,
                closing_balance_home=self.balance,
                equity_home=self.balance + Decimal("1.5"),
                max_drawdown_pct=Decimal("0.75"),
                bars=2,
                decisions=2,
                orders=self.orders,
                fills=3,
                trades=2,
            )
        )


def closing(trade_id: str, units: str, price: str, pl: str, financing: str = "0") -> TradeClosed:
    return TradeClosed(
        trade_id=trade_id,
        units=Decimal(units),
        price=Decimal(price),
        realized_pl_home=Decimal(pl),
        financing_home=Decimal(financing),
    )


def story(run_id: int, config: SessionConfig | None = None) -> Tape:
    """One of everything: entries, a reversal, a partial close, a stop, refusals, breakers, commands, money moved."""
    tape = Tape(run_id, config)
    tape.add(CommandAccepted(ts_ns=tape.now_ns, command_id="c-1", command="StartSession", detail=""))
    tape.add(Reconciled(ts_ns=tape.now_ns, balance_home=OPENING, last_transaction_id=0))
    tape.add(WarmedUp(ts_ns=tape.now_ns, bars={"USD_JPY": 60, "EUR_USD": 60}))
    tape.add(decided(tape.now_ns))
    tape.open("4", "10000", commission="0.5")
    tape.financing({"4": Decimal("-1.2345")})
    tape.fill(
        Decimal(-4000), tape.order(Decimal(-4000), OrderReason.EXIT), reduced=closing("4", "-4000", "1.39", "11.0001")
    )
    reversal = TradeOpened(trade_id="9", units=Decimal(-5000), price=Decimal("1.39100"))
    made = tape.order(Decimal(-11000), OrderReason.SIGNAL, command_id="c-2")
    tape.fill(Decimal(-11000), made, opened=reversal, closed=(closing("4", "-6000", "1.391", "22.5", "-0.0005"),))
    tape.add(BreakerTripped(ts_ns=tape.now_ns, breaker="daily_loss", value="3.1 %", limit="3 %"))
    tape.add(TradingStateChanged(ts_ns=tape.now_ns, state=TradingState.REDUCING, reason="daily_loss"))
    gates = (
        Gate(name="spread", value="1 pip", limit="3 pips", passed=True),
        Gate(name="risk", value="9 %", limit="5 %", passed=False),
        Gate(name="interval", value="3 s", limit="30 s", passed=False),
    )
    tape.add(decided(tape.now_ns, action=Action.DENIED, reason="risk", gates=gates))
    tape.add(BreakerReleased(ts_ns=tape.now_ns, breaker="daily_loss", reason="seen"))
    tape.fill(Decimal(5000), None, closed=(closing("9", "5000", "1.394", "-15"),), reason="STOP_LOSS_ORDER")
    tape.transfer(Decimal("250.00"))
    made = tape.order(Decimal(100))
    canceled = OrderCanceled(
        transaction_id=tape.number(),
        ts_ns=tape.now_ns,
        order_id=str(tape.transaction_id - 1),
        client_order_id=made,
        reason="BOUNDS_VIOLATION",
    )
    tape.add(BrokerOrderCanceled(ts_ns=tape.now_ns, cancel=canceled))
    made = tape.order(Decimal(200))
    rejected = OrderRejected(
        transaction_id=tape.number(), ts_ns=tape.now_ns, client_order_id=made, reason="INSUFFICIENT_MARGIN"
    )
    tape.add(BrokerOrderRejected(ts_ns=tape.now_ns, reject=rejected))
    tape.open("30", "700", "1.39200")
    tape.add(CommandRefused(ts_ns=tape.now_ns, command_id="c-3", command="StartSession", reason="one is active"))
    tape.add(Faulted(ts_ns=tape.now_ns, where="step", error=f"order {made} is unknown"))
    tape.stop()
    return tape
