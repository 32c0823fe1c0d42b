"""I am the status: the HALT file, the owner of the database, its last run and, if asked, the broker's own word.
I may import wiring, config, the store's queries, the domain and what lies beside me.
I must not write anything, nor leave out silently what could not be read.
My tests are in tests/unit/test_kill.py and tests/contract/test_kill.py.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from engine import wiring
from engine.config import Settings
from engine.domain.calendar import iso_utc
from engine.domain.error import KeelError
from engine.domain.event import TradingState
from engine.kill.flattening import account_name
from engine.kill.halting import read
from engine.kill.last_run import RunStatus, TradeStatus, TradingStatus, last_run
from engine.kill.owner import owner_of

_T = TypeVar("_T")


class HaltStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the HALT file exists, and what stands in it."""

    engaged: bool
    since: str = ""
    who: str = ""
    reason: str = ""


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process that is named as owner of the database; running is None where this machine cannot tell."""

    pid: int | None
    running: bool | None


class DatabaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which file was looked into; exists is None where that cannot be told."""

    path: str
    exists: bool | None


class OrderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One order that waits at the broker."""

    order_id: str
    kind: str
    instrument: str | None
    units: str | None
    trade_id: str | None


class BrokerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker answered just now."""

    account: str
    balance: str
    currency: str
    last_transaction_id: int
    open_trades: tuple[TradeStatus, ...]
    waiting_orders: tuple[OrderStatus, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was asked for; what could not be told is None and stands in problems."""

    halt: HaltStatus | None
    engine: EngineStatus
    database: DatabaseStatus
    run: RunStatus | None
    broker: BrokerStatus | None
    problems: tuple[str, ...]


def status(settings: Settings, database: Path | None = None, *, broker: bool = False) -> Status:
    """Look at everything once; a database that is asked for by name has to be there, the usual one may yet be made."""
    is_named, database = database is not None, database or settings.database_path
    problems: list[str] = []
    owner = owner_of(database)
    running = owner.running if owner else False
    exists = _tried(database.exists, problems)
    if is_named and exists is False:
        problems.append(f"The database {database} does not exist.")
    return Status(
        halt=_tried(lambda: _halt(settings.halt_path), problems),
        engine=EngineStatus(pid=owner.pid if owner else None, running=running),
        database=DatabaseStatus(path=str(database), exists=exists),
        run=_tried(lambda: last_run(database, at_rest=running is False), problems) if exists else None,
        broker=_tried(lambda: _broker(settings), problems) if broker else None,
        problems=tuple(problems),
    )


def _tried(look: Callable[[], _T], problems: list[str]) -> _T | None:
    try:
        return look()
    except KeelError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"The file {error.filename} cannot be read: {error.strerror}.")
    except sqlite3.Error as error:
        problems.append(f"The database cannot be read: {error}.")
    return None


def _halt(path: Path) -> HaltStatus:
    found = read(path)
    if found is None:
        return HaltStatus(engaged=False)
    return HaltStatus(engaged=True, since=found.time or iso_utc(found.since_ns), who=found.who, reason=found.reason)


def _broker(settings: Settings) -> BrokerStatus:
    with closing(wiring.emergency(settings)) as account:
        found = account.standing()
    return BrokerStatus(
        account=account_name(settings),
        balance=str(found.balance_home),
        currency=found.currency,
        last_transaction_id=found.last_transaction_id,
        open_trades=tuple(
            TradeStatus(trade_id=trade.trade_id, instrument=trade.instrument, units=str(trade.units))
            for trade in found.trades
        ),
        waiting_orders=tuple(
            OrderStatus(
                order_id=order.order_id,
                kind=order.kind,
                instrument=order.instrument,
                units=None if order.units is None else str(order.units),
                trade_id=order.trade_id,
            )
            for order in found.orders
        ),
    )


def lines(told: Status) -> list[str]:
    """Write a status for people, one fact a line."""
    return [
        *_halt_lines(told.halt),
        _engine_line(told.engine),
        f"database {told.database.path}{' does not exist' if told.database.exists is False else ''}",
        *_run_lines(told),
        *_broker_lines(told.broker),
    ]


def _halt_lines(halt: HaltStatus | None) -> list[str]:
    if halt is None:
        return []
    if not halt.engaged:
        return ["HALT     no"]
    who = f" by {halt.who}" if halt.who else ""
    return [f"HALT     yes, since {halt.since}{who}: {halt.reason or 'no reason was given'}"]


def _engine_line(engine: EngineStatus) -> str:
    if engine.pid is None:
        return "engine   no process owns the database"
    words = {True: "owns the database", False: "owned the database and is gone", None: "is named as owner"}
    return f"engine   process {engine.pid} {words[engine.running]}"


def _run_lines(told: Status) -> list[str]:
    run = told.run
    if run is None:
        return []  # there is none yet, or a problem says why it cannot be told
    cut_off = run.status == "RUNNING" and told.engine.running is False
    word = "RUNNING when its process ended" if cut_off else run.status
    why = f", {run.reason}" if run.reason else ""
    held = ", ".join(f"{each.instrument} {each.units}" for each in run.open_trades)
    return [
        f"run      {run.run_id}, mode {run.mode}, {word}{why}",
        *_trading_lines(run.trading_state, cut_off=cut_off),
        f"times    {run.started} to {run.ended or 'now'}",
        f"trades   {len(run.open_trades)} open in its books{f': {held}' if held else ''}",
        *(
            f"breaker  {each.breaker} since {each.tripped}: {each.measured}, limit {each.allowed}"
            for each in run.breakers
        ),
    ]


def _trading_lines(trading: TradingStatus | None, *, cut_off: bool) -> list[str]:
    if trading is None:
        return []
    recorded = ", as last recorded" if cut_off else ""
    why = f": {trading.reason.rstrip('.')}" if trading.reason else ""
    waits = not cut_off and trading.state in (TradingState.HALTED, TradingState.PAUSED)
    return [f"trading  {trading.state} since {trading.since}{recorded}{why}{'; it waits for Resume' if waits else ''}"]


def _broker_lines(broker: BrokerStatus | None) -> list[str]:
    if broker is None:
        return []
    return [
        f"broker   {broker.account}, balance {broker.balance} {broker.currency}",
        *(f"  trade {each.trade_id} {each.instrument} {each.units}" for each in broker.open_trades),
        *(
            f"  order {each.order_id} {each.kind} "
            + (f"of trade {each.trade_id}" if each.trade_id else f"{each.instrument} {each.units}")
            for each in broker.waiting_orders
        ),
        f"         {len(broker.open_trades)} open trades, {len(broker.waiting_orders)} waiting orders",
    ]
