"""I am the composition root: from a configuration to a session with its clock, market, broker, model and journal.
I may import everything below me; I am the only room that names adapters.
I must not decide, loop or keep state.
My tests are in tests/unit/test_wiring.py.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine import __version__, news
from engine.adapters.alerts.webhook import Delivery, WebhookAlerter, url_forms
from engine.adapters.clock import GAP_NS, PacedClock, SystemClock, VenueClock, monotonic_s, pause, wall_ns
from engine.adapters.day_lock import FileDayLocks
from engine.adapters.history.csv_bars import ImportedBars, read_bars
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.history.recordings import Recording, Recordings
from engine.adapters.oanda.desk import Access, Means, OandaDesk, look
from engine.adapters.oanda.emergency import Emergency, Side, Standing
from engine.adapters.oanda.http import secret_forms
from engine.adapters.sim.broker import SimBroker
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket
from engine.adapters.sim.market_data import SimMarketData
from engine.adapters.sim.paper import QuotedMarketData
from engine.config import Settings
from engine.domain.check import Check, ChecksFailed, obstacle
from engine.domain.command import Arming, Mode, SessionConfig
from engine.domain.error import ConfigError, KeelError
from engine.domain.instrument import Instrument
from engine.domain.limit_changes import check_keys
from engine.domain.market import Bar, Granularity
from engine.interlocks import arming_phrase, check_arming, check_environment
from engine.ports import Alerter, BarSource, Broker, Clock, DayLocks, KillSwitch, MarketData, Predictor
from engine.prediction.registry import ModelRegistry, incompatibility
from engine.prediction.training import STARTER_ID, train_starter
from engine.preflight import Circumstances, checks
from engine.redaction import Secret
from engine.session import TradingSession
from engine.session.alarm import SILENT
from engine.session.beginning import SessionParts
from engine.store.journal import JournalStore, open_journal
from engine.store.queries import connect_readonly, has_run

__all__ = [
    "Delivery", "Emergency", "JournalStore", "ModelRegistry", "Prepared", "Recording", "Side",
    "Standing", "WebhookAlerter", "monotonic_s", "pause", "wall_ns",
]  # fmt: skip

DEFAULT_INSTRUMENTS = ("EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD")
STARTER_BARS = 6_000
_HOME_CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD")
STARTER_SEED = 20_250_106
_RECORDINGS = Recordings(CATALOGUE)


def _nothing() -> None:
    """Close what has nothing to be closed."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A session that can start: everything was checked and loaded, and nothing has been written yet."""

    config: SessionConfig
    clock: Clock
    market_data: MarketData
    broker: Broker
    predictor: Predictor
    instruments: Mapping[str, Instrument]
    imported: tuple[ImportedBars, ...] = ()
    arming_phrase: str = ""
    checks: tuple[Check, ...] = ()
    close: Callable[[], None] = _nothing


def catalogue() -> Mapping[str, Instrument]:
    """Instruments that the simulated venue offers."""
    return CATALOGUE


def home_currencies() -> tuple[str, ...]:
    """Currencies that an account may be held in."""
    return _HOME_CURRENCIES


def secrets(settings: Settings) -> tuple[Secret, ...]:
    """Every form in which the token, or the address of alerts, could turn up in a log line."""
    tokens = secret_forms(settings.oanda_token) if settings.oanda_token else ()
    return (*tokens, *url_forms(settings.alert_url))


def messenger(settings: Settings) -> WebhookAlerter | None:
    """Who delivers alerts to the address in .env; None without one. It starts no thread before the first alert."""
    return WebhookAlerter(settings.alert_url, wall_ns) if settings.alert_url else None


def preflight(
    config: SessionConfig,
    settings: Settings,
    database: Path | None = None,
    arming: Arming | None = None,
    changed_options: tuple[str, ...] | None = None,
    desk: OandaDesk | None = None,
) -> tuple[Check, ...]:
    """Check all that a careful person checks before such a session, in some seconds; starts and refuses nothing.

    A due backup is made, a test alert is sent, and OANDA is asked (over a desk that is open already, if there is one),
    unless the session is simulated.
    """
    config = replace(config, instruments=config.instruments or DEFAULT_INSTRUMENTS)
    sender, said, calendar = messenger(settings), None, (config.news, "")
    if desk is None:
        calendar = news.chosen_or_why(config.news, settings.news_path)
    if desk is not None:
        said = desk.inspect(config.instruments, wall_ns)
    elif not config.mode.is_simulated and settings.oanda_token and settings.oanda_account_id:
        said = look(_access(settings), _means(), config.instruments, wall_ns)
    return checks(
        Circumstances(
            config=config,
            settings=settings,
            database=database or settings.database_path,
            wall_ns=wall_ns(),
            news=calendar[0],
            news_problem=calendar[1],
            locks=day_locks(settings, database or settings.database_path),
            arming=arming,
            changed_options=changed_options,
            inspection=said,
            deliver=sender.deliver_now if sender else None,
        )
    )


def registry(settings: Settings) -> ModelRegistry:
    """Models in the models folder, and the rule baselines."""
    return ModelRegistry(settings.models_dir)


def default_config(settings: Settings) -> SessionConfig:
    """What Start does when nothing was configured: the sandbox with the starter model, or the SMA cross without it."""
    known = {spec.model_id: spec for spec in registry(settings).specs()}
    starter = known.get(STARTER_ID)
    if starter is None:
        return SessionConfig(instruments=DEFAULT_INSTRUMENTS)
    return SessionConfig(instruments=starter.instruments, model_id=STARTER_ID)


def prepare(
    config: SessionConfig,
    settings: Settings,
    arming: Arming | None = None,
    database: Path | None = None,
    changed_options: tuple[str, ...] | None = None,
    news_file: Path | None = None,
) -> Prepared:
    """Check and load everything that a session needs; raises ConfigError, writes nothing but a backup that is due.

    The calendar of news is that of the configuration, of news_file, or else of the data folder.
    """
    config = replace(config, news=news.chosen(config.news, news_file, settings.news_path))
    if not config.mode.is_simulated:
        return _prepare_at_oanda(config, settings, arming, database, changed_options)
    imported = _imported(config)
    granularity = imported[0].granularity if imported else None
    config = _with_instruments(config, tuple(item.instrument for item in imported), granularity)
    models = registry(settings)
    reason = incompatibility(models.spec(config.model_id), config.instruments, config.granularity)
    if reason:
        raise ConfigError(reason)
    predictor = models.load(config.model_id)
    lookback = max(predictor.spec.lookback_bars, config.limits.atr_period + 1)
    source, start_ns = _source(config, imported, lookback)
    broker = _broker(config, source.instruments, start_ns)
    return Prepared(
        config=config,
        clock=PacedClock(start_ns, config.speed, max(GAP_NS, 3 * source.granularity.ns)),
        market_data=SimMarketData(source=source, broker=broker),
        broker=broker,
        predictor=predictor,
        instruments=broker.instruments(),
        imported=imported,
    )


def _prepare_at_oanda(
    config: SessionConfig,
    settings: Settings,
    arming: Arming | None,
    database: Path | None,
    changed_options: tuple[str, ...] | None,
) -> Prepared:
    """Open the account that the settings name; every thread that this starts is ended by `close`.

    What the preflight finds is kept with the session; what blocks refuses it, and it knows what that is in each mode.
    """
    config = _checked_offline(config, settings)
    check_arming(config, settings, arming)
    predictor = registry(settings).load(config.model_id)
    desk = OandaDesk(_access(settings), _means(), sends_orders=config.mode.sends_orders)
    with ExitStack() as held:
        held.callback(desk.close)
        config = _checked_at_oanda(config, desk)
        found = preflight(config, settings, database, arming, changed_options, desk)
        if sentence := obstacle(found):
            raise ChecksFailed(sentence, found)
        clock, rate = _clock(settings, desk, config.instruments[0])
        data: MarketData = desk.market_data(config.currency, clock.now_ns, rate)
        broker: Broker = desk.broker
        if config.mode is Mode.PAPER:
            data, broker = _on_paper(config, desk, data, clock.now_ns())
            desk.listen(tuple(broker.instruments()))
        else:
            desk.listen(config.instruments)
        kept = held.pop_all()
    return Prepared(
        config=replace(config, speed=rate),
        clock=clock,
        market_data=data,
        broker=broker,
        predictor=predictor,
        instruments=broker.instruments(),
        arming_phrase=arming_phrase(settings.oanda_account_id) if config.mode is Mode.LIVE else "",
        checks=found,
        close=kept.close,
    )


def _checked_offline(config: SessionConfig, settings: Settings) -> SessionConfig:
    """Check all that can be checked without asking OANDA; raises ConfigError."""
    if config.bars:
        raise ConfigError(f"Bar files belong to mode replay; mode {config.mode} has OANDA's market.")
    check_environment(config, settings)
    config = replace(config, instruments=config.instruments or DEFAULT_INSTRUMENTS)
    reason = incompatibility(registry(settings).spec(config.model_id), config.instruments, config.granularity)
    if reason:
        raise ConfigError(reason)
    return config


def _on_paper(config: SessionConfig, desk: OandaDesk, data: MarketData, start_ns: int) -> tuple[MarketData, Broker]:
    """Put a simulated account behind OANDA's prices; it is open whenever OANDA says that it can be traded."""
    offered = desk.opened.instruments
    also = _conversion_instruments(config.instruments, config.currency, offered)
    broker = SimBroker(
        instruments={name: offered[name] for name in (*config.instruments, *also)},
        currency=config.currency,
        balance=config.capital_home,
        start_ns=start_ns,
        is_open=lambda ts_ns: True,
    )
    return QuotedMarketData(inner=data, broker=broker, also=also), broker


def _access(settings: Settings) -> Access:
    """Collect what .env says of the account."""
    return Access(
        environment=settings.oanda_environment,
        token=settings.oanda_token,
        account_id=settings.oanda_account_id,
        loopback_url=settings.oanda_loopback_url,
    )


def emergency(settings: Settings) -> Emergency:
    """Reach the account that .env names, to close what is open there; asks nothing yet. Raises ConfigError."""
    if not settings.oanda_token or not settings.oanda_account_id:
        missing = "OANDA_ACCOUNT_ID" if settings.oanda_token else "OANDA_TOKEN"
        raise ConfigError(
            f"{missing} is not set, so .env names no account at OANDA; a simulated account is flattened by the button "
            "Flatten & halt of its console."
        )
    return Emergency(_access(settings), _means())


def _means() -> Means:
    return Means(monotonic_s=monotonic_s, wait=pause, draw=random.random)


def _checked_at_oanda(config: SessionConfig, desk: OandaDesk) -> SessionConfig:
    """Compare what is wanted with the account; its balance is the capital of a session that trades on it."""
    account = desk.opened.summary.account
    if account.currency != config.currency:  # prices are converted into the account's currency, on paper too
        raise ConfigError(
            f"The account's home currency is {account.currency}, the session's is {config.currency}; "
            f"choose {account.currency} or another account."
        )
    unknown = [name for name in config.instruments if name not in desk.opened.instruments]
    if unknown:
        raise ConfigError(f"Instrument {unknown[0]} is not offered to this account.")
    # the defaults name metals, which not every account is offered
    check_keys(config.limits, (*CATALOGUE, *desk.opened.instruments))
    return replace(config, capital_home=account.balance_home) if config.mode.sends_orders else config


def _clock(settings: Settings, desk: OandaDesk, instrument: str) -> tuple[Clock, float]:
    """The world's time, or that of a venue on this machine, whose market has a time of its own."""
    if not settings.oanda_loopback_url:
        return SystemClock(), 1.0
    venue_ns, rate = desk.venue_time(instrument)
    return VenueClock(venue_ns, rate), rate


def check(config: SessionConfig, settings: Settings) -> str | None:
    """Say why this configuration cannot start, in one sentence, or None; loads no model and reads no file twice.

    OANDA is not asked, and whether a live session was armed is judged when it starts.
    """
    try:
        news.chosen(config.news, None, settings.news_path)
        if not config.mode.is_simulated:
            _checked_offline(config, settings)
            return None
        _check_bars_given(config)
        files = tuple(_RECORDINGS.describe(Path(path), instrument=name) for name, path in config.bars)
        for one in files:
            if one.problem:
                raise ConfigError(one.problem)
        granularity = files[0].granularity if files else None
        config = _with_instruments(config, tuple(one.instrument for one in files), granularity)
        spec = registry(settings).spec(config.model_id)
        _check_recordings(files, max(spec.lookback_bars, config.limits.atr_period + 1))
        _broker(config, tuple(one.instrument for one in files) or _sandbox_instruments(config), DEFAULT_START_NS)
    except ConfigError as error:
        return str(error)
    return incompatibility(spec, config.instruments, config.granularity)


def advice(config: SessionConfig, settings: Settings, database: Path) -> str | None:
    """Say what a careful person would do before this session, in one sentence, or None; refuses nothing."""
    if config.mode is not Mode.LIVE:
        return None
    spec = registry(settings).spec(config.model_id)
    with closing(connect_readonly(database)) as conn:
        if has_run(conn, Mode.PRACTICE, config.model_id, spec.sha256):
            return None
    return f"This database has no practice run of model {config.model_id}; try it on a practice account first."


def open_store(database: Path) -> JournalStore:
    """Open (or create) a database for writing; raises ConfigError."""
    return open_journal(database, wall_ns=wall_ns)


def day_locks(settings: Settings, database: Path) -> DayLocks:
    """Reach the locks of trading days in the data folder, for sessions that use this database."""
    return FileDayLocks(settings.data_dir, database)


def begin(
    prepared: Prepared,
    store: JournalStore,
    kill: KillSwitch,
    locks: DayLocks,
    *,
    new_books: bool = False,
    alerter: Alerter | None = None,
) -> TradingSession:
    """Start the prepared session on a new run; one that cannot begin is left ABORTED, or not at all if it is empty.

    It goes on with the books that the database has of the account, unless new_books are wanted. The alerts of a
    simulated session stay in the journal and on the page: nobody has to be called for them.
    """
    account = prepared.broker.opening().account
    past = None if new_books else store.past(account)
    parts = SessionParts(
        config=prepared.config,
        clock=prepared.clock,
        market_data=prepared.market_data,
        broker=prepared.broker,
        predictor=prepared.predictor,
        journal=store.begin_run(synced=prepared.config.mode is not Mode.REPLAY, past=past),
        kill=kill,
        instruments=prepared.instruments,
        engine_version=__version__,
        arming_phrase=prepared.arming_phrase,
        past=past,
        former_orders=store.order_ids(account),
        curfew=store.curfew(account),
        locks=locks,
        alerter=SILENT if alerter is None or prepared.config.mode.is_simulated else alerter,
        checks=prepared.checks,
    )
    try:
        return TradingSession(parts)
    except KeelError:
        store.give_up_run()
        raise


def recordings(settings: Settings) -> tuple[Recording, ...]:
    """List the bar files in the recordings folder, unusable ones with the reason."""
    return _RECORDINGS.listed(settings.recordings_dir)


def import_recording(settings: Settings, name: str, data: bytes) -> Recording:
    """Check an uploaded bar file and keep it in the recordings folder; raises ConfigError and keeps nothing."""
    return _RECORDINGS.kept(settings.recordings_dir, name, data)


def needs_starter(settings: Settings) -> bool:
    """Say whether there is no trained model, or the starter that we made ourselves can no longer be loaded."""
    models = registry(settings)
    trained = [spec.model_id for spec in models.specs() if spec.sha256]
    return not trained or (STARTER_ID in trained and models.problem(STARTER_ID) is not None)


def train_starter_model(settings: Settings, progress: Callable[[float, str], None]) -> str:
    """Train the starter model on the sandbox's own history and register it; returns its title."""
    source = GeneratedMarket(STARTER_SEED, DEFAULT_INSTRUMENTS)
    bars: dict[str, Sequence[Bar]] = {}
    for number, name in enumerate(DEFAULT_INSTRUMENTS):
        progress(0.3 * number / len(DEFAULT_INSTRUMENTS), f"history of {name}")
        bars[name] = source.history(name, Granularity.M1, STARTER_BARS)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    spec = train_starter(
        bars, settings.models_dir, lambda share, text: progress(0.3 + 0.7 * share, text), clock_ns=wall_ns
    )
    return spec.title


def _source(config: SessionConfig, imported: Sequence[ImportedBars], lookback: int) -> tuple[BarSource, int]:
    if config.mode is Mode.REPLAY:
        recorded = RecordedBars(imported, lookback)
        return recorded, recorded.start_ns
    return GeneratedMarket(config.seed, _sandbox_instruments(config)), DEFAULT_START_NS


def _sandbox_instruments(config: SessionConfig) -> tuple[str, ...]:
    return (*config.instruments, *_conversion_instruments(config.instruments, config.currency))


def _broker(config: SessionConfig, names: Sequence[str], start_ns: int) -> SimBroker:
    traded = {name: CATALOGUE[name] for name in names}
    return SimBroker(instruments=traded, currency=config.currency, balance=config.capital_home, start_ns=start_ns)


def _check_recordings(files: Sequence[Recording], lookback: int) -> None:
    """Refuse what RecordedBars would refuse, without reading the bars again."""
    lengths = {one.granularity for one in files}
    if len(lengths) > 1:
        raise ConfigError(f"The recordings differ in granularity: {', '.join(sorted(map(str, lengths)))}.")
    names = [one.instrument for one in files]
    if len(set(names)) != len(names):
        raise ConfigError(f"The recordings {', '.join(one.name for one in files)} are of one instrument.")
    latest_ns = max((one.first_ns for one in files), default=0)
    for one in files:
        if one.last_ns <= latest_ns:
            raise ConfigError(f"{one.name} ends before another recording begins; they cannot be played together.")
        if one.bars <= lookback:
            raise ConfigError(f"{one.instrument} has {one.bars} bars; more than {lookback} are needed to decide.")


def _conversion_instruments(
    instruments: Sequence[str], currency: str, offered: Mapping[str, Instrument] = CATALOGUE
) -> tuple[str, ...]:
    """Instruments beyond the chosen ones whose quotes turn P/L and size into the account's currency."""
    currencies = dict.fromkeys(part for name in instruments for part in name.split("_"))
    pairs = ((f"{one}_{currency}", f"{currency}_{one}") for one in currencies if one != currency)
    found = (next((name for name in pair if name in offered), "") for pair in pairs)
    return tuple(name for name in found if name and name not in instruments)


def _imported(config: SessionConfig) -> tuple[ImportedBars, ...]:
    _check_bars_given(config)
    return tuple(read_bars(Path(path), name or None, known=CATALOGUE) for name, path in config.bars)


def _check_bars_given(config: SessionConfig) -> None:
    if config.mode is Mode.REPLAY and not config.bars:
        raise ConfigError("Mode replay needs at least one bar file (--bars EUR_USD=FILE).")
    if config.mode is not Mode.REPLAY and config.bars:
        raise ConfigError("Bar files belong to mode replay; mode sandbox makes its own market.")


def _with_instruments(
    config: SessionConfig, recorded: tuple[str, ...], granularity: Granularity | None
) -> SessionConfig:
    """Fill in what the bar files say, and check every name."""
    if config.currency not in _HOME_CURRENCIES:
        raise ConfigError(f"Currency {config.currency!r} is unknown; allowed are {', '.join(_HOME_CURRENCIES)}.")
    offered = recorded or tuple(CATALOGUE)
    chosen = config.instruments or recorded or DEFAULT_INSTRUMENTS
    unknown = [name for name in chosen if name not in offered]
    if unknown:
        what = "has no bar file" if recorded else "is unknown"
        raise ConfigError(f"Instrument {unknown[0]} {what}; available are {', '.join(offered)}.")
    check_keys(config.limits, CATALOGUE)
    bars = tuple((name, path) for name, (_, path) in zip(recorded, config.bars, strict=True))
    return replace(config, instruments=tuple(chosen), granularity=granularity or config.granularity, bars=bars)


def read_recording(instrument: str, path: str) -> ImportedBars:
    """Read one bar file as a replay would; raises ConfigError."""
    return read_bars(Path(path), instrument or None, known=CATALOGUE)
