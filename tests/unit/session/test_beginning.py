"""A session begins only on books that agree, in its own currency, with enough look-back for model and limits."""

import dataclasses
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.adapters.sim.broker import SimBroker
from engine.domain.account import Holdings
from engine.domain.error import ConfigError, HaltTrading, RetryLater
from engine.session import TradingSession
from engine.session.loop import SessionParts
from engine.store.journal import open_journal
from tests.unit.session.faulty import FaultyBroker, make_faulty
from tests.unit.session.rig import LIMITS, LOOKBACK, Rig, bar, make_rig

START = Decimal("1.10000")


def quiet(count: int = 30) -> list:
    return [bar(index, START) for index in range(count)]


def parts(folder: Path) -> SessionParts:
    """What a fresh session would get, with a journal of its own."""
    rig = make_faulty(folder, [quiet()], {})
    rig.close()
    return dataclasses.replace(
        rig.session._parts, journal=open_journal(folder / "own.sqlite", wall_ns=lambda: 1).begin_run()
    )


class Disagreeing(FaultyBroker):
    """A broker whose holdings are not what its log adds up to."""

    def __init__(self, inner: SimBroker, **changes: object) -> None:
        super().__init__(inner)
        self._changes = changes

    def holdings(self) -> Holdings:
        return replace(self.inner.holdings(), **self._changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "trouble", "said"),
    [
        ({"balance_home": Decimal(99_999)}, HaltTrading, "balance is 99999, ours is 100000"),
        ({"last_transaction_id": 2}, RetryLater, "after transaction 2, its log has come to 1"),
        ({"last_transaction_id": 0}, RetryLater, "after transaction 0, its log has come to 1"),
    ],
)
def test_books_that_differ_from_the_brokers_begin_nothing(
    tmp_path: Path, changes: dict[str, object], trouble: type[Exception], said: str
) -> None:
    given = parts(tmp_path)
    with pytest.raises(trouble, match=said):
        TradingSession(dataclasses.replace(given, broker=Disagreeing(given.broker.inner, **changes)))  # type: ignore[attr-defined]


def test_another_currency_than_the_accounts_is_refused(tmp_path: Path) -> None:
    given = parts(tmp_path)
    with pytest.raises(ConfigError, match="USD.*EUR"):
        TradingSession(dataclasses.replace(given, config=replace(given.config, currency="EUR")))


@pytest.mark.parametrize(("names", "told"), [((), "none"), (("EUR_USD", "XAU_USD"), "XAU_USD")])
def test_instruments_that_the_venue_does_not_offer_are_named(tmp_path: Path, names: tuple[str, ...], told: str) -> None:
    given = parts(tmp_path)
    with pytest.raises(ConfigError, match=told):
        TradingSession(dataclasses.replace(given, config=replace(given.config, instruments=names)))


@pytest.mark.parametrize(("period", "need"), [(2, LOOKBACK), (LOOKBACK, LOOKBACK + 1), (12, 13)])
def test_the_look_back_serves_the_model_and_the_stop(tmp_path: Path, period: int, need: int) -> None:
    rig = make_faulty(tmp_path, [quiet()], {}, limits=dataclasses.replace(LIMITS, atr_period=period))
    assert [row.need for row in rig.session.snapshot(1, 0).warmup] == [need]


def test_the_first_record_says_what_runs(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet()], {})
    opening, model, sha, version = rig.rows(
        "SELECT json_extract(payload, '$.opening_balance_home'), json_extract(payload, '$.config.model_id'), "
        "json_extract(payload, '$.model_sha256'), json_extract(payload, '$.engine_version') "
        "FROM events ORDER BY seq LIMIT 1"
    )[0]
    assert (Decimal(opening), model, sha, version) == (100_000, "script", "", "test")


def test_the_curve_has_a_point_for_every_bar_with_equity_and_balance(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet()], {8: 1})
    expected = []
    while rig.session.next_due_ns() is not None:
        rig.step()
        desk = rig.session.desk
        expected.append((rig.clock.now_ns(), desk.equity_home, desk.ledger.balance_home))
    points = rig.session.snapshot(1, 0).equity_curve
    assert [(point.ts_ns, point.equity_home, point.balance_home) for point in points] == expected
    assert len({point.equity_home for point in points}) > 1


def stopped(rig: Rig) -> dict[str, object]:
    connection = sqlite3.connect(rig.database)
    try:
        cursor = connection.execute("SELECT * FROM runs")
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    finally:
        connection.close()


def test_the_last_record_tells_balance_and_equity_apart(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, [quiet()], {8: 1})
    rig.play()
    row, account = stopped(rig), rig.broker.account()
    assert Decimal(str(row["closing_balance_home"])) == account.balance_home
    assert Decimal(str(row["equity_home"])) == account.equity_home < account.balance_home
    assert (row["bars"], row["decisions"], row["orders"], row["fills"], row["trades"]) == (25, 25, 1, 1, 1)
    assert Decimal(str(row["max_drawdown_pct"])) == rig.session.desk.max_drawdown_pct > 0
