"""I am the preflight: the list of what a careful person checks before a session, each check red or green by itself.
I may import interlocks, config, the registry, the store's readers, what a bad day forbids, ports and the domain.
I must not ask a broker, start anything or refuse: others bring what was asked, and refuse by what blocks.
My tests are in tests/unit/test_preflight.py and tests/contract/test_preflight.py.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path

import msgspec

from engine.config import Settings
from engine.domain.calendar import NEW_YORK, iso_utc
from engine.domain.check import Check
from engine.domain.command import Arming, Mode, SessionConfig
from engine.domain.decision import PredictionFault
from engine.domain.error import ConfigError
from engine.domain.limits import RiskLimits, limits_by_hand
from engine.domain.market import NS_PER_S, Bar, Granularity
from engine.domain.schedule import NewsEvent
from engine.domain.window import BarWindow
from engine.interlocks import check_environment
from engine.ports import Curfew, DayLocks, Inspection, Predictor
from engine.prediction.registry import ModelRegistry, incompatibility
from engine.redaction import account_tail
from engine.session.day_lock import UNLOCKED, known_lock, lock_refusal
from engine.session.strictness import locked_until_ns, loosening, still_tripped
from engine.store.backup import back_up
from engine.store.checkup import verify_file
from engine.store.past import read_curfew
from engine.store.places import backup_ns, backups, network_file_system
from engine.store.queries import connect_readonly, has_run

SKEW_NS_MAX = 2 * NS_PER_S
BACKUP_NS_MAX = 24 * 3_600 * NS_PER_S
DISK_MB_MIN = 500
_MB = 1_000_000
TEST_ALERT = "Keel checks before a start whether this alert arrives."
# Around 17:00 New York prices rest for minutes, metals for an hour; from Friday to Sunday everything does.
_REST_FROM, _REST_TO = time(16, 55), time(18, 10)
_FRIDAY, _SATURDAY, _SUNDAY = 5, 6, 7
_STRICT = "limits and news that are no less strict than the last ones of a day in which a daily breaker tripped"
_PROBE_START_NS = 1_736_150_400 * NS_PER_S


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a session would begin with; None is what does not belong to it.

    news are what its calendar has, news_problem says why that cannot be read; locks are those of the data folder.
    changed_options are the options of the console that are not as shipped (None: there is no console); inspection is
    what the broker said (None: it could not be asked); deliver sends a test alert and says why it did not arrive
    (None: there is no address).
    """

    config: SessionConfig
    settings: Settings
    database: Path
    wall_ns: int
    news: tuple[NewsEvent, ...] = ()
    news_problem: str = ""
    locks: DayLocks = UNLOCKED
    arming: Arming | None = None
    changed_options: tuple[str, ...] | None = None
    inspection: Inspection | None = None
    deliver: Callable[[str], str | None] | None = None


def checks(given: Circumstances) -> tuple[Check, ...]:
    """Make every check that belongs to the mode, in the order in which they are shown.

    In mode live every red one blocks. Elsewhere only that does without which no session could begin anyway; the rest is
    a warning, so that what blocks is in each mode exactly what refuses a start.
    """
    config, settings, mode = given.config, given.settings, given.config.mode
    is_live = mode is Mode.LIVE
    found = [
        check_halt(settings.halt_path),
        check_database(given.database, given.wall_ns, strict=is_live),
        check_disk(given.database, blocks=is_live),
        check_model(ModelRegistry(settings.models_dir), config),
        check_news(given),
    ]
    if mode.is_simulated:
        return tuple(found)
    if is_live:
        found += [check_limits_by_hand(given.arming), check_practice_run(given.database, settings, config)]
    if given.changed_options is not None:
        found += [check_server_options(given.changed_options, blocks=is_live)]
    found += [check_settings(config, settings)]
    if given.inspection is not None:
        found += _of_broker(given.inspection, config, settings)
        found += _of_books(given, given.inspection)
    return (*found, check_alert(given.deliver, blocks=is_live))


def _of_broker(said: Inspection, config: SessionConfig, settings: Settings) -> Iterator[Check]:
    """Check what the broker said; what it could not be asked, because of what stands before, has no check."""
    is_live = config.mode is Mode.LIVE
    if said.answered:
        yield check_clock_skew(said.skew_ns, blocks=is_live)
    yield check_token(said)
    if said.is_listed is not None:
        yield check_account(said, config.currency, settings.oanda_account_id)
    if config.mode.sends_orders and said.is_hedging is not None:
        yield check_account_type(said, strict=is_live)
    if said.offered is not None or said.unlisted:
        yield check_instruments(said, config.instruments, strict=is_live)


def _of_books(given: Circumstances, said: Inspection) -> Iterator[Check]:
    """Check what earlier runs left behind; a database that cannot be read, or has no books yet, has nothing to say."""
    now_ns = said.ts_ns if given.settings.oanda_loopback_url else given.wall_ns  # a venue has a time of its own
    if not (given.config.mode.sends_orders and said.account and now_ns):
        return
    try:
        conn = connect_readonly(given.database)
    except ConfigError:
        return  # the check of the database tells it
    with closing(conn):
        try:
            curfew = read_curfew(conn, said.account)
        except sqlite3.Error:
            return  # as above; or it is of a version that kept no books yet
        except ConfigError as error:
            yield Check(name="limits_locked", ok=False, found=str(error), wanted=_STRICT)
            return
    if elsewhere := lock_refusal(given.locks.read(said.account), known_lock(said.account, curfew), now_ns):
        yield Check(name="limits_locked", ok=False, found=elsewhere, wanted=_STRICT)
    elif not given.news_problem:
        yield check_limits_locked(curfew, given.config.limits, given.news, now_ns)
    yield check_breakers(curfew, now_ns)


def check_halt(path: Path) -> Check:
    """See whether the file HALT is there."""
    found = f"{path} exists" if path.exists() else "none"
    return Check(name="halt", ok=found == "none", found=found, wanted="no HALT file")


def check_database(database: Path, wall_ns: int, *, strict: bool = True) -> Check:
    """See whether the database is whole and can be written, and that a fresh backup of it is there, or make one.

    A session can begin without a backup, and where no copy can be made to look at: that blocks only where it is strict.
    """
    wanted = "writable, whole, with a backup of the last 24 hours"
    try:
        is_empty = _is_empty(database)
        problem = _unwritable(database)
    except (ConfigError, OSError, sqlite3.Error) as error:
        is_empty, problem = False, str(error)
    if problem:
        return Check(name="database", ok=False, found=problem, wanted=wanted)
    if is_empty:
        found = "empty" if database.exists() else "none yet; its folder can be written"
        return Check(name="database", ok=True, found=found, wanted=wanted)
    try:
        whole = verify_file(database)
        found = f"{whole.detail}; backup {_backup(database, wall_ns)}" if whole.ok else whole.detail
    except (ConfigError, OSError, sqlite3.Error) as error:
        return Check(name="database", ok=False, found=str(error), wanted=wanted, blocks=strict)
    return Check(name="database", ok=whole.ok, found=found, wanted=wanted)


def _is_empty(database: Path) -> bool:
    with closing(connect_readonly(database)) as conn:
        return conn.execute("SELECT 1 FROM events LIMIT 1").fetchone() is None


def _backup(database: Path, wall_ns: int) -> str:
    """Name the newest backup, or make one when it is old."""
    made = backups(database)
    if made and 0 <= wall_ns - backup_ns(made[-1]) <= BACKUP_NS_MAX:
        return made[-1].name
    return f"{back_up(database, wall_ns).name} made now"


def _unwritable(database: Path) -> str:
    """Say what cannot be written; looks where the folder would be made when there is none yet."""
    folder = _existing(database.parent)
    if not folder.is_dir():
        return f"{folder} is no folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"the folder {folder} cannot be written: {error.strerror}"
    if database.exists() and not (database.is_file() and os.access(database, os.W_OK)):
        return f"{database} is no file that can be written"
    if file_system := network_file_system(database):
        return f"{database} is on a network file system ({file_system})"
    return ""


def _existing(folder: Path) -> Path:
    return next((path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()), Path("/"))


def check_disk(database: Path, *, blocks: bool = True) -> Check:
    """See whether there is room for what a session records, and for a backup."""
    wanted = "room for a session"
    try:
        needed_mb = DISK_MB_MIN + (2 * database.stat().st_size // _MB if database.is_file() else 0)
        free_mb = shutil.disk_usage(_existing(database.parent)).free // _MB
    except OSError as error:
        found = f"it cannot be told: {error.strerror}"
        return Check(name="disk", ok=False, found=found, wanted=wanted, blocks=blocks)
    found, wanted = f"{free_mb} MB free", f"at least {needed_mb} MB"
    return Check(name="disk", ok=free_mb >= needed_mb, found=found, wanted=wanted, blocks=blocks)


def check_model(models: ModelRegistry, config: SessionConfig) -> Check:
    """See whether the model is the one in the manifest, loads, serves what is chosen, and answers.

    Outside mode live a model that does not answer is no reason to refuse: the breaker of its faults stops it.
    """
    wanted, blocks = "in the manifest, unchanged, loadable, made for what is chosen, and able to answer", True
    try:
        spec = models.spec(config.model_id)
        problem = incompatibility(spec, config.instruments, config.granularity)
        if not problem and (problem := _unable(models.load(config.model_id), config)):
            blocks = config.mode is Mode.LIVE
    except ConfigError as error:
        problem = str(error)
    if problem:
        return Check(name="model", ok=False, found=problem, wanted=wanted, blocks=blocks)
    sha = f", SHA-256 {spec.sha256[:12]}" if spec.sha256 else ", a rule"
    return Check(name="model", ok=True, found=f"{config.model_id}{sha}", wanted=wanted)


def _unable(predictor: Predictor, config: SessionConfig) -> str:
    """Let the model judge made-up bars of each instrument; returns why it could not."""
    for name in config.instruments:
        answer = predictor.predict(probe_window(name, predictor.spec.lookback_bars, config.granularity))
        if isinstance(answer, PredictionFault):
            return answer.reason
    return ""


def probe_window(instrument: str, bars: int, granularity: Granularity) -> BarWindow:
    """Make bars that wander up and down, so that no feature of them is undefined."""
    window = BarWindow(instrument, max(bars, 1))
    for index in range(window.capacity):
        mid = Decimal(1) + Decimal(index * index * 7_919 % 211) / 10_000
        half, reach = Decimal(5 + index % 3) / 100_000, Decimal(3 + index % 5) / 10_000
        window.append(
            Bar(
                instrument=instrument,
                granularity=granularity,
                open_ts_ns=_PROBE_START_NS + index * granularity.ns,
                bid_open=mid - half,
                bid_high=mid - half + reach,
                bid_low=mid - half - reach,
                bid_close=mid - half + reach / 2,
                ask_open=mid + half,
                ask_high=mid + half + reach,
                ask_low=mid + half - reach,
                ask_close=mid + half + reach / 2,
                tick_count=10 + index % 7,
            )
        )
    return window


def check_news(given: Circumstances) -> Check:
    """See whether the calendar of news can be read; without one there is no news."""
    found = given.news_problem or (f"{len(given.news)} event(s)" if given.news else "none")
    return Check(name="news", ok=not given.news_problem, found=found, wanted="a sound calendar of news, or none")


def check_limits_locked(curfew: Curfew | None, limits: RiskLimits, news: tuple[NewsEvent, ...], now_ns: int) -> Check:
    """See whether a day in which a daily breaker has tripped forbids to begin with these limits and news."""
    until_ns = locked_until_ns(curfew) if curfew else 0
    forbidden = loosening(curfew, limits, news, now_ns) if curfew else ""
    found = "no daily breaker has tripped in this trading day"
    if until_ns > now_ns:
        until = f"limits can only be made stricter until {iso_utc(until_ns)}"
        found = f"a daily breaker has tripped, so {until}; none is less strict"
    return Check(name="limits_locked", ok=not forbidden, found=forbidden or found, wanted=_STRICT)


def check_breakers(curfew: Curfew | None, now_ns: int) -> Check:
    """See whether breakers are still tripped; a session may begin so, but opens nothing."""
    tripped = still_tripped(curfew, now_ns) if curfew else ()
    names = "; ".join(f"{each.breaker} since {iso_utc(each.ts_ns // NS_PER_S * NS_PER_S)}" for each in tripped)
    is_whole = any(not each.instrument for each in tripped)
    effect = "the session begins REDUCING" if is_whole else "the session opens nothing in these instruments"
    found = f"still tripped: {names}; {effect} until a person releases them" if tripped else "none tripped"
    return Check(name="breakers", ok=not tripped, found=found, wanted="none tripped", blocks=False)


def check_limits_by_hand(arming: Arming | None) -> Check:
    """See whether each limit that bounds a loss was set by a person."""
    given = arming.limits_set if arming else ()
    missing = [name for name in limits_by_hand() if name not in given]
    found = f"not set: {', '.join(missing)}" if missing else "all set"
    wanted = "what bounds a loss is typed, or stated by a profile that you saved; a built-in one does not count"
    return Check(name="limits_by_hand", ok=not missing, found=found, wanted=wanted)


def check_practice_run(database: Path, settings: Settings, config: SessionConfig) -> Check:
    """See whether these bytes of the model ever ran in practice; advice, and nothing that blocks."""
    wanted = "a practice run of these bytes of the model"
    try:
        spec = ModelRegistry(settings.models_dir).spec(config.model_id)
        with closing(connect_readonly(database)) as conn:
            ok = has_run(conn, Mode.PRACTICE, config.model_id, spec.sha256)
        found = "found" if ok else "none in this database"
    except (ConfigError, sqlite3.Error) as error:
        ok, found = False, str(error)
    return Check(name="practice_run", ok=ok, found=found, wanted=wanted, blocks=False)


def check_server_options(changed: tuple[str, ...], *, blocks: bool) -> Check:
    """See whether the console protects itself as it was shipped."""
    found = f"changed: {', '.join(changed)}" if changed else "as shipped"
    return Check(name="server_options", ok=not changed, found=found, wanted="as shipped", blocks=blocks)


def check_settings(config: SessionConfig, settings: Settings) -> Check:
    """See whether .env names an account of the mode's environment, and consents where it has to."""
    try:
        check_environment(config, settings)
        found, ok = f"environment {settings.oanda_environment}, account {account_tail(settings.oanda_account_id)}", True
    except ConfigError as error:
        found, ok = str(error), False
    return Check(name="settings", ok=ok, found=found, wanted=f"an account for mode {config.mode} in .env")


def check_clock_skew(skew_ns: int | None, *, blocks: bool = True) -> Check:
    """See how far our clock is from the broker's."""
    wanted = f"at most {SKEW_NS_MAX // NS_PER_S} s from the broker's clock"
    if skew_ns is None:
        found = "the broker does not tell its time"
        return Check(name="clock_skew", ok=False, found=found, wanted=wanted, blocks=blocks)
    where = "ahead" if skew_ns > 0 else "behind"
    found = f"at least {abs(skew_ns) / NS_PER_S:.1f} s {where}" if skew_ns else "no difference that can be told"
    return Check(name="clock_skew", ok=abs(skew_ns) <= SKEW_NS_MAX, found=found, wanted=wanted, blocks=blocks)


def check_token(said: Inspection) -> Check:
    """See whether the broker lets us in."""
    return Check(name="token", ok=not said.refused, found=said.refused or "accepted", wanted="accepted")


def check_account(said: Inspection, currency: str, account_id: str) -> Check:
    """See whether the account of .env is one of the token's, can be read, and is held in the session's currency."""
    tail = account_tail(account_id)
    wanted = f"account {tail} of this token, in {currency}"
    if not said.is_listed:
        found = f"account {tail} does not belong to this token"
        return Check(name="account", ok=False, found=found, wanted=wanted)
    found = said.unread or f"account {tail} in {said.currency}"
    return Check(name="account", ok=not said.unread and said.currency == currency, found=found, wanted=wanted)


def check_account_type(said: Inspection, *, strict: bool = True) -> Check:
    """See whether orders net, and go through this interface; a start finds out only the former by itself."""
    found = "hedging" if said.is_hedging else "netting"
    found = f"{found}, of MetaTrader 4" if said.is_mt4 else found
    wanted, blocks = "netting, not of MetaTrader 4", strict or bool(said.is_hedging)
    return Check(name="account_type", ok=found == "netting", found=found, wanted=wanted, blocks=blocks)


def check_instruments(said: Inspection, chosen: tuple[str, ...], *, strict: bool = True) -> Check:
    """See whether each chosen instrument is offered, and can be traded unless its market is closed.

    Prices that cannot be read, or not be traded at now, may come later: that blocks only where it is strict.
    """
    wanted = "offered, and tradeable or their market closed"
    missing = [name for name in chosen if said.offered is not None and name not in said.offered]
    resting = [name for name in chosen if name not in missing and not said.tradeable.get(name, False)]
    if missing:
        return Check(name="instruments", ok=False, found=f"not offered: {', '.join(missing)}", wanted=wanted)
    if said.unlisted:
        blocks = strict or said.offered is None
        return Check(name="instruments", ok=False, found=said.unlisted, wanted=wanted, blocks=blocks)
    if not resting:
        return Check(name="instruments", ok=True, found=f"tradeable: {', '.join(chosen)}", wanted=wanted)
    closed = is_resting(said.ts_ns)
    what = "market closed" if closed else "not tradeable, though the market is open"
    found = f"{what}: {', '.join(resting)}"
    return Check(name="instruments", ok=closed, found=found, wanted=wanted, blocks=strict)


def is_resting(ts_ns: int) -> bool:
    """Say whether a market may be closed now: over the week-end, and around 17:00 New York."""
    local = datetime.fromtimestamp(ts_ns // NS_PER_S, NEW_YORK)
    day, now = local.isoweekday(), local.time()
    if day == _SATURDAY or _REST_FROM <= now < _REST_TO:
        return True
    return (day == _FRIDAY and now >= _REST_FROM) or (day == _SUNDAY and now < _REST_TO)


def check_alert(deliver: Callable[[str], str | None] | None, *, blocks: bool) -> Check:
    """See whether an alert arrives where KEEL_ALERT_URL says."""
    wanted = "a test alert is delivered to KEEL_ALERT_URL"
    if deliver is None:
        return Check(name="alert", ok=False, found="KEEL_ALERT_URL is not set", wanted=wanted, blocks=blocks)
    problem = deliver(TEST_ALERT)
    return Check(name="alert", ok=problem is None, found=problem or "delivered", wanted=wanted, blocks=blocks)
