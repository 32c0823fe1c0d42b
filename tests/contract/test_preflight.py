"""The preflight before a real venue: each check can be made red alone, and then keeps a live session from starting."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine import wiring
from engine.adapters.clock import wall_ns
from engine.adapters.sim.market import DEFAULT_START_NS
from engine.cli import main
from engine.config import Settings, load_settings
from engine.domain.check import Check, obstacle
from engine.domain.command import Arming, Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.event import BreakerReleased, BreakerTripped, DayBegan, SessionStarted
from engine.domain.limits import limits_by_hand
from engine.domain.market import NS_PER_S
from engine.domain.schedule import NewsEvent
from engine.ports import DayLock
from engine.store.backup import back_up
from engine.store.places import backups
from engine.store.queries import connect_readonly
from tests.fakes.faults import Replace, Rewrite
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.receiver import CANARY, Receiver
from tests.fakes.venue import ACCOUNT, TOKEN, running, terms
from tests.unit.prediction.made import logistic, made
from tests.unit.store.tape import opened_store, record, story

PHRASE = "TRADE LIVE 7001"
OTHER = "101-001-1234567-002"
LOCAL = ["halt", "database", "disk", "model", "news"]
EVERY = {
    "halt", "database", "disk", "model", "limits_by_hand", "practice_run", "server_options", "settings", "clock_skew",
    "token", "account", "account_type", "instruments", "alert", "news", "limits_locked", "breakers",
}  # fmt: skip


@dataclass
class House:
    """All that a live session needs, and a hand that can spoil each of it."""

    folder: Path
    proxy: FaultyProxy
    receiver: Receiver
    patch: pytest.MonkeyPatch
    config: SessionConfig = SessionConfig(mode=Mode.LIVE, instruments=("EUR_USD",), model_id="sma-cross")
    arming: Arming = Arming(phrase=PHRASE, limits_set=limits_by_hand())
    changed_options: tuple[str, ...] | None = ()
    env: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return load_settings(self.env, self.folder / "no.env")

    @property
    def database(self) -> Path:
        return self.folder / "data" / "console.sqlite"

    def look(self) -> dict[str, Check]:
        found = wiring.preflight(self.config, self.settings, None, self.arming, self.changed_options)
        return {check.name: check for check in found}

    def start(self) -> None:
        prepared = wiring.prepare(self.config, self.settings, self.arming, None, self.changed_options)
        prepared.close()

    def recorded(self) -> None:
        """Leave a database behind that holds a run."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        store = opened_store(self.database)
        record(store.begin_run(), story(1).events)
        store.close()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.chdir(tmp_path)
    with running(terms(seed=7, speed=60.0), monotonic) as (url, _), Receiver() as receiver:
        host = urlsplit(url)
        with FaultyProxy(str(host.hostname), int(host.port or 0)) as proxy:
            env = {
                "KEEL_LOG_LEVEL": "WARNING",
                "OANDA_ENVIRONMENT": "live",
                "LIVE_TRADING": "yes",
                "OANDA_TOKEN": TOKEN,
                "OANDA_ACCOUNT_ID": ACCOUNT,
                "OANDA_LOOPBACK_URL": proxy.url,
                "KEEL_ALERT_URL": receiver.url,
            }
            yield House(tmp_path, proxy, receiver, monkeypatch, env=env)


def rewritten(change: Callable[[Any], None]) -> Rewrite:
    def spoil(body: bytes) -> bytes:
        page = json.loads(body)
        change(page)
        return json.dumps(page).encode()

    return Rewrite(change=spoil)


def slow_clock(house: House) -> None:
    house.patch.setattr(wiring, "wall_ns", lambda: wall_ns() - 5 * NS_PER_S)


def fast_clock(house: House) -> None:
    house.patch.setattr(wiring, "wall_ns", lambda: wall_ns() + 5 * NS_PER_S)


def no_time(house: House) -> None:
    house.proxy.inject(
        Replace(status=200, body=json.dumps({"accounts": [{"id": ACCOUNT, "tags": []}]}).encode()),
        path="accounts$",
        times=None,
    )


def wrong_token(house: House) -> None:
    house.env["OANDA_TOKEN"] = "canary-of-another-environment"


def account_of_others(house: House) -> None:
    house.env["OANDA_ACCOUNT_ID"] = OTHER
    house.arming = replace(house.arming, phrase="TRADE LIVE 7002")


def other_currency(house: House) -> None:
    house.config = replace(house.config, currency="EUR")


def unreadable_account(house: House) -> None:
    house.proxy.inject(Replace(status=503), path=f"{ACCOUNT}$", times=None)


def hedging(house: House) -> None:
    house.proxy.inject(
        rewritten(lambda page: page["account"].update(hedgingEnabled=True)), path=f"{ACCOUNT}$", times=None
    )


def metatrader(house: House) -> None:
    change = rewritten(lambda page: page["accounts"][0].update(mt4AccountID=1234))
    house.proxy.inject(change, path="accounts$", times=None)


def not_offered(house: House) -> None:
    house.config = replace(house.config, instruments=("EUR_USD", "EUR_XXX"))


def not_tradeable(house: House) -> None:
    def still(page: Any) -> None:
        page["time"] = f"2025-01-08T14{page['time'][13:]}"  # of an open market, and it goes on
        page["prices"][0].update(tradeable=False, status="non-tradeable")

    house.proxy.inject(rewritten(still), path="pricing[?]", times=None)


def unreadable_instruments(house: House) -> None:
    house.proxy.inject(Replace(status=503), path="instruments$", times=None)


def trained(house: House) -> Path:
    """Register a model, and return its file."""
    models = house.folder / "models"
    models.mkdir()
    model = made(house.folder, logistic(), "skops")
    wiring.registry(house.settings).register(model.path, model.entry)
    house.config = replace(house.config, model_id=model.entry.id)
    return models / model.entry.file


def changed_model(house: House) -> None:
    path = trained(house)
    path.write_bytes(path.read_bytes() + b" ")


def model_of_other_library(house: House) -> None:
    trained(house)
    path = house.folder / "models" / "manifest.json"
    page = json.loads(path.read_text())
    page["models"][0]["libraries"]["sklearn"] = "0.1"
    path.write_text(json.dumps(page))


def model_that_cannot_be_loaded(house: House) -> None:
    trained(house)
    path = house.folder / "models" / "manifest.json"
    page = json.loads(path.read_text())
    page["models"][0]["golden"][0]["probabilities"] = [0.25, 0.75]
    path.write_text(json.dumps(page))


def model_of_other_bars(house: House) -> None:
    trained(house)
    house.config = replace(house.config, granularity=house.config.granularity.parse("M5"))


def model_of_other_instruments(house: House) -> None:
    trained(house)
    house.config = replace(house.config, instruments=("USD_JPY",))


def unknown_model(house: House) -> None:
    house.config = replace(house.config, model_id="nobody")


def limit_left_out(house: House) -> None:
    house.arming = replace(house.arming, limits_set=limits_by_hand()[1:])


def no_consent(house: House) -> None:
    house.env["LIVE_TRADING"] = "no"


def unsound_news(house: House) -> None:
    house.settings.news_path.parent.mkdir()
    house.settings.news_path.write_text("time,currency,title\nsoon,USD,NFP\n")


NFP = NewsEvent(ts_ns=DEFAULT_START_NS + 3_600 * NS_PER_S, currency="USD", title="NFP")


def lost_day(house: House, *, released: bool) -> None:
    """Leave a database behind in which a daily breaker has tripped on this account today."""
    prepared = wiring.prepare(house.config, house.settings, house.arming, None, house.changed_options)
    now_ns, account = prepared.clock.now_ns(), prepared.broker.opening().account
    prepared.close()
    started = SessionStarted(
        ts_ns=now_ns, config=replace(house.config, news=(NFP,)), model_sha256="", opening_balance_home=Decimal(100_000),
        engine_version="test", account=account, opening_transaction_id=1, continues=None,
    )  # fmt: skip
    tripped = BreakerTripped(ts_ns=now_ns, breaker="daily_loss", value="3.10 %", limit="3 %")
    release = BreakerReleased(ts_ns=now_ns, breaker="daily_loss", reason="looked at it")
    house.database.parent.mkdir(parents=True, exist_ok=True)
    store = opened_store(house.database)
    day = DayBegan(ts_ns=now_ns, equity_home=Decimal(100_000))
    record(store.begin_run(), [started, day, tripped, *([release] if released else [])])
    store.close()
    back_up(house.database, wall_ns())


def lost_day_and_looser_limits(house: House) -> None:
    """The calendar has been taken away since, too."""
    lost_day(house, released=True)
    house.config = replace(house.config, limits=dataclasses.replace(house.config.limits, positions_max=9))


def day_lost_in_another_database(house: House) -> None:
    """No limit is looser, but this database does not know of the day."""
    prepared = wiring.prepare(house.config, house.settings, house.arming, None, house.changed_options)
    now_ns, account = prepared.clock.now_ns(), prepared.broker.opening().account
    prepared.close()
    lock = DayLock(
        account=account, breaker="daily_loss", tripped_ns=now_ns, until_ns=now_ns + 3_600 * NS_PER_S, database=""
    )
    house.database.parent.mkdir()
    assert wiring.day_locks(house.settings, house.folder / "data" / "other.sqlite").write(lock) == ""


def other_program_s_file(house: House) -> None:
    house.database.parent.mkdir()
    house.database.write_text("not a database, but long enough to be looked at by anybody who wonders what it is")


def damaged_file(house: House) -> None:
    """With a fresh backup, which would else fail as well."""
    house.recorded()
    back_up(house.database, wall_ns())
    with closing(connect_readonly(house.database)) as conn:
        page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'transactions'").fetchone()[0]
        size = conn.execute("PRAGMA page_size").fetchone()[0]
    whole = house.database.read_bytes()
    house.database.write_bytes(whole[: (page - 1) * size] + b"\xff" * size + whole[page * size :])


def folder_is_a_file(house: House) -> None:
    (house.folder / "data").write_text("in the way")


def no_backup_possible(house: House) -> None:
    house.recorded()
    (house.database.parent / "backups").write_text("in the way")


def full_disk(house: House) -> None:
    house.patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=400_000_000))


def nobody_to_tell(house: House) -> None:
    house.env["KEEL_ALERT_URL"] = ""


def deaf_receiver(house: House) -> None:
    house.receiver.statuses = [500]


def halted(house: House) -> None:
    house.database.parent.mkdir()
    house.settings.halt_path.touch()


def loosened(house: House) -> None:
    house.changed_options = ("server.enableCORS",)


SPOILED: dict[str, tuple[Callable[[House], None], ...]] = {
    "clock_skew": (slow_clock, fast_clock, no_time),
    "token": (wrong_token,),
    "account": (account_of_others, other_currency, unreadable_account),
    "account_type": (hedging, metatrader),
    "instruments": (not_offered, not_tradeable, unreadable_instruments),
    "model": (
        changed_model, model_of_other_library, model_that_cannot_be_loaded, model_of_other_bars,
        model_of_other_instruments, unknown_model,
    ),
    "limits_by_hand": (limit_left_out,),
    "settings": (no_consent,),
    "database": (other_program_s_file, damaged_file, folder_is_a_file, no_backup_possible),
    "disk": (full_disk,),
    "alert": (nobody_to_tell, deaf_receiver),
    "halt": (halted,),
    "server_options": (loosened,),
    "news": (unsound_news,),
    "limits_locked": (lost_day_and_looser_limits, day_lost_in_another_database),
}  # fmt: skip
CASES = [(name, spoil) for name, hands in SPOILED.items() for spoil in hands]
# Older checks speak before the preflight does, in sentences of their own.
FORMER: dict[Callable[[House], None], str] = {
    wrong_token: "OANDA_TOKEN", account_of_others: "does not belong to this token",
    other_currency: "home currency", unreadable_account: "cannot be used now", hedging: "hedging account",
    not_offered: "EUR_XXX is not offered", unreadable_instruments: "cannot be used now",
    changed_model: "has changed since", model_of_other_library: "scikit-learn 0.1",
    model_that_cannot_be_loaded: "probabilities differ", model_of_other_bars: "was trained on M1",
    model_of_other_instruments: "has not seen USD_JPY", unknown_model: "'nobody' is unknown",
    unsound_news: "is not sound", limit_left_out: limits_by_hand()[0], no_consent: "LIVE_TRADING is no",
}  # fmt: skip


def in_practice(house: House) -> None:
    house.env["OANDA_ENVIRONMENT"] = "practice"
    house.config = replace(house.config, mode=Mode.PRACTICE)


def other_environment(house: House) -> None:
    house.env["OANDA_ENVIRONMENT"] = "live"


# What a practice session can begin with, however red it is; all else would keep it from beginning anyway.
WARNED = (
    slow_clock, fast_clock, no_time, metatrader, not_tradeable, no_backup_possible, full_disk, nobody_to_tell,
    deaf_receiver, loosened,
)  # fmt: skip
IN_PRACTICE = [case for case in CASES if case[0] not in ("limits_by_hand", "settings")]
IN_PRACTICE.append(("settings", other_environment))


def files(house: House) -> list[Path]:
    """Every file, without those that SQLite keeps beside a database that is being read."""
    found = (path for path in house.folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.endswith(("-shm", "-wal")))


def test_all_is_green_and_a_live_session_may_start(house: House) -> None:
    found = house.look()
    assert set(found) == EVERY
    assert {name for name, check in found.items() if not check.ok} == {"practice_run"}
    assert obstacle(tuple(found.values())) is None
    assert [told["kind"] for told in house.receiver.got] == ["test"]
    house.start()


def test_every_check_that_blocks_is_spoiled_below() -> None:
    assert set(SPOILED) == EVERY - {"practice_run", "breakers"}


@pytest.mark.parametrize(("name", "spoil"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_each_check_can_be_red_alone(name: str, spoil: Callable[[House], None], house: House) -> None:
    spoil(house)
    found = house.look()
    red = {each for each, check in found.items() if not check.ok and check.blocks}
    assert red == {name}, found
    assert found[name].found and found[name].wanted
    shown = repr(found)
    assert TOKEN not in shown and CANARY not in shown and ACCOUNT not in shown and OTHER not in shown


@pytest.mark.parametrize(("name", "spoil"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_each_red_check_alone_refuses_a_live_start(name: str, spoil: Callable[[House], None], house: House) -> None:
    spoil(house)
    before = files(house)
    with pytest.raises(ConfigError) as refused:
        house.start()
    text = str(refused.value)
    assert text.startswith(f"Preflight check {name} failed: ") or FORMER.get(spoil, "?") in text, text
    assert text.endswith(".") and "\n" not in text
    assert TOKEN not in text and CANARY not in text and ACCOUNT not in text
    assert files(house) == before


@pytest.mark.parametrize(("name", "spoil"), IN_PRACTICE, ids=lambda value: getattr(value, "__name__", value))
def test_in_practice_what_refuses_a_start_blocks_and_the_rest_warns(
    name: str, spoil: Callable[[House], None], house: House
) -> None:
    in_practice(house)
    spoil(house)
    found = house.look()
    assert {each for each, check in found.items() if not check.ok} == {name}, found
    assert found[name].blocks is (spoil not in WARNED)
    if spoil in WARNED:
        house.start()
        return
    with pytest.raises(ConfigError):
        house.start()


def test_a_broker_that_is_not_there_is_one_red_check(house: House) -> None:
    with house.proxy.refusing():
        found = house.look()
    assert {name for name, check in found.items() if not check.ok} == {"practice_run", "token"}
    assert "cannot be reached" in found["token"].found
    assert not {"clock_skew", "account", "account_type", "instruments"} & set(found)


def test_a_practice_session_is_not_refused_by_what_did_not_refuse_it_before(house: House) -> None:
    in_practice(house)
    for spoil in (fast_clock, full_disk, loosened, metatrader, nobody_to_tell):
        spoil(house)
    prepared = wiring.prepare(house.config, house.settings, None, None, house.changed_options)
    prepared.close()
    found = {check.name: check for check in prepared.checks}
    assert {name for name, check in found.items() if not check.ok} == {
        "clock_skew", "disk", "server_options", "account_type", "alert",
    }  # fmt: skip
    assert not any(check.blocks for check in found.values() if not check.ok)
    assert not {"limits_by_hand", "practice_run"} & set(found)


def test_a_closed_market_is_no_reason_to_wait(house: House) -> None:
    def closed(page: Any) -> None:
        page["time"] = "2025-01-11T14:00:00.000000000Z"
        page["prices"][0].update(tradeable=False, status="non-tradeable")

    house.proxy.inject(rewritten(closed), path="pricing[?]", times=None)
    found = house.look()["instruments"]
    assert found.ok and found.found == "market closed: EUR_USD"


def test_a_backup_that_is_due_is_made(house: House) -> None:
    house.recorded()
    old = back_up(house.database, wall_ns() - 25 * 3_600 * NS_PER_S)
    assert "made now" in house.look()["database"].found
    assert len(backups(house.database)) == 2 and backups(house.database)[0] == old
    assert house.look()["database"].found.endswith(backups(house.database)[1].name)
    assert len(backups(house.database)) == 2


def test_what_was_checked_is_kept_with_the_session(house: House) -> None:
    words = ["session", "--mode", "live", "--instruments", "EUR_USD", "--model", "flat", "--duration", "1m", "--json"]
    limits = {"risk_per_trade_pct": "0.5", "exposure_pct_max": "300", "position_units_max": "50000"}
    limits |= {"positions_max": "2", "daily_loss_pct_max": "2", "drawdown_pct_max": "5"}
    for name, value in limits.items():
        words += ["--limit", f"{name}={value}"]
    for key, value in house.env.items():
        house.patch.setenv(key, value)
    assert main([*words, "--confirm", PHRASE]) == 0
    with closing(connect_readonly(house.database)) as conn:
        (kinds,) = zip(*conn.execute("SELECT kind FROM events ORDER BY seq LIMIT 2"), strict=True)
        (payload,) = conn.execute("SELECT payload FROM events WHERE kind = 'PreflightDone'").fetchone()
    assert kinds == ("SessionStarted", "PreflightDone")
    assert {check["name"] for check in json.loads(payload)["checks"]} == EVERY - {"server_options"}
    assert CANARY not in payload and TOKEN not in payload
    assert CANARY.encode() not in house.database.read_bytes()


def doctor(house: House, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    for key, value in house.env.items():
        house.patch.setenv(key, value)
    capsys.readouterr()
    code = main(["doctor", *words])
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err and CANARY not in captured.out + captured.err
    return code, captured.out, captured.err


def by_hand() -> list[str]:
    values = {"position_units_max": "50000", "positions_max": "2"}
    return [part for name in limits_by_hand() for part in ("--limit", f"{name}={values.get(name, '1')}")]


def test_the_doctor_says_that_nothing_blocks(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = doctor(house, capsys, "--mode", "live", "--instruments", "EUR_USD", *by_hand())
    assert (code, err) == (0, ""), out
    assert "warning  practice_run" in out and "BLOCKS" not in out
    assert not house.database.exists()


def test_the_doctor_names_what_blocks(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    hedging(house)
    code, out, _ = doctor(house, capsys, "--mode", "live", "--instruments", "EUR_USD", "--json", *by_hand())
    told = json.loads(out)
    assert code == 1 and told["ok"] is False and told["mode"] == "live"
    assert [check["name"] for check in told["checks"] if not check["ok"] and check["blocks"]] == ["account_type"]
    limits = doctor(house, capsys, "--mode", "live", "--instruments", "EUR_USD")
    assert limits[0] == 1 and "BLOCKS   limits_by_hand" in limits[1]


def test_the_doctor_and_a_practice_start_say_the_same(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    in_practice(house)
    chosen = ("--mode", "practice", "--instruments", "EUR_USD", "--model", "flat")
    fast_clock(house)
    code, out, _ = doctor(house, capsys, *chosen, "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (0, True)
    assert [(each["name"], each["blocks"]) for each in told["checks"] if not each["ok"]] == [("clock_skew", False)]
    assert "warning  clock_skew" in doctor(house, capsys, *chosen)[1]
    assert main(["session", *chosen, "--duration", "1m"]) == 0
    house.settings.halt_path.touch()
    code, out, _ = doctor(house, capsys, *chosen)
    assert code == 1 and "BLOCKS   halt" in out
    assert main(["session", *chosen, "--duration", "1m"]) == 2


@pytest.mark.parametrize("words", [("--mode", "replay"), ("--mode", "life"), ("--granularity", "M7"), ("--limit", "x")])
def test_the_doctor_refuses_what_it_cannot_read(
    words: tuple[str, ...], house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = doctor(house, capsys, *words)
    assert (code, out) == (2, "") and err.endswith(".\n")


def test_the_doctor_judges_a_lost_day_as_the_start_does(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    in_practice(house)
    lost_day(house, released=False)
    chosen = ("--mode", "practice", "--instruments", "EUR_USD", "--model", "flat")
    code, out, _ = doctor(house, capsys, *chosen, "--limit", "positions_max=9", "--json")
    told = {each["name"]: each for each in json.loads(out)["checks"]}
    assert code == 1 and told["limits_locked"]["blocks"]
    why = told["limits_locked"]["found"]
    assert why.startswith(
        "positions_max, the news NFP (USD) 2025-01-06T09:00:00Z would be less strict; a daily breaker"
    )
    assert why.endswith("so limits can only be made stricter until 2025-01-06T22:00:00Z")
    assert (told["breakers"]["ok"], told["breakers"]["blocks"]) == (False, False)
    assert re.fullmatch(
        "still tripped: daily_loss since 2025-01-06T08:.*Z; the session begins REDUCING until a person releases them",
        told["breakers"]["found"],
    )
    assert main(["session", *chosen, "--duration", "1m", "--limit", "positions_max=9"]) == 2
    assert why in capsys.readouterr().err
    house.settings.news_path.write_text("time,currency,title\n2025-01-06T09:00:00Z,USD,NFP\n")
    code, out, _ = doctor(house, capsys, *chosen, "--limit", "positions_max=1")
    assert code == 0 and "ok       limits_locked   a daily breaker has tripped" in out
    assert "warning  breakers        still tripped: daily_loss" in out
    assert main(["session", *chosen, "--duration", "1m", "--limit", "positions_max=1"]) == 0
    assert "daily_loss since" in capsys.readouterr().out


def test_a_sandbox_has_local_checks_only_and_asks_nobody(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = doctor(house, capsys, "--json")
    assert (code, [check["name"] for check in json.loads(out)["checks"]]) == (0, LOCAL)
    assert house.proxy.connections == 0 and not house.receiver.got
    halted(house)
    assert doctor(house, capsys)[0] == 1
