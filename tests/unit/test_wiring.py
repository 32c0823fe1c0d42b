"""The composition root: what can start, what cannot and why, and what lies in the recordings folder."""

import gzip
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import wiring
from engine.config import Settings
from engine.domain.command import Mode, SessionConfig
from engine.domain.error import ConfigError
from engine.domain.event import SessionState
from engine.domain.limit_changes import limits_from_text
from engine.domain.limits import RiskLimits
from engine.domain.market import NS_PER_S, Granularity
from engine.node import HaltLatch

MODEL = "sma-cross:3/9"
HEADER = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")


def recorded(path: Path, count: int = 60, *, minutes: int = 1, mid: str = "1.20000") -> Path:
    """Write `count` quiet bars of `minutes` minutes each."""
    bid, ask = Decimal(mid), Decimal(mid) + Decimal("0.00010")
    prices = ",".join(map(str, (bid, bid, bid, bid, ask, ask, ask, ask)))
    stamps = (f"2024-03-05T{8 + index * minutes // 60:02}:{index * minutes % 60:02}:00Z" for index in range(count))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *(f"{stamp},{prices}" for stamp in stamps)]) + "\n")
    return path


def replay(*paths: Path, **changes: object) -> SessionConfig:
    bars = tuple(("", str(path)) for path in paths)
    config = SessionConfig(mode=Mode.REPLAY, bars=bars, model_id=MODEL, speed=None)
    return replace(config, **changes)  # type: ignore[arg-type]


def sandbox(*instruments: str, **changes: object) -> SessionConfig:
    return replace(SessionConfig(instruments=instruments, model_id=MODEL, speed=None), **changes)  # type: ignore[arg-type]


def limited(text: str) -> RiskLimits:
    return limits_from_text([text])


class RecordingWake:
    """A wake that never comes and remembers how long it was waited for."""

    def __init__(self) -> None:
        self.asked_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout)
        return False

    def is_set(self) -> bool:
        return False


def test_the_catalogue_offers_the_promised_instruments() -> None:
    promised = {"EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD", "NZD_USD", "USD_CHF", "EUR_GBP", "XAU_USD"}
    assert promised <= set(wiring.catalogue())


def test_without_a_trained_model_the_default_is_the_sma_cross_and_can_start(settings: Settings) -> None:
    config = wiring.default_config(settings)
    assert (config.mode, config.model_id, config.instruments) == (
        Mode.SANDBOX,
        "sma-cross",
        wiring.DEFAULT_INSTRUMENTS,
    )
    assert wiring.check(config, settings) is None
    assert wiring.needs_starter(settings)


def test_preparing_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    wiring.prepare(sandbox("EUR_USD"), settings)
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_has_the_account_that_was_asked_for(settings: Settings) -> None:
    prepared = wiring.prepare(sandbox("EUR_USD", capital_home=Decimal(5_000), currency="EUR"), settings)
    account = prepared.broker.account()
    assert (account.currency, account.balance_home) == ("EUR", 5_000)
    assert prepared.config.instruments == ("EUR_USD",)
    assert prepared.predictor.spec.model_id == MODEL


@pytest.mark.parametrize(
    ("instruments", "currency", "extra"),
    [
        (("EUR_USD",), "USD", set()),
        (("EUR_GBP",), "USD", {"EUR_USD", "GBP_USD"}),
        (("EUR_USD", "USD_JPY"), "JPY", {"EUR_JPY"}),
        (("EUR_GBP", "GBP_USD"), "USD", {"EUR_USD"}),
    ],
)
def test_the_venue_also_trades_what_converts_into_the_accounts_currency(
    settings: Settings, instruments: tuple[str, ...], currency: str, extra: set[str]
) -> None:
    prepared = wiring.prepare(sandbox(*instruments, currency=currency), settings)
    assert set(prepared.broker.instruments()) == {*instruments, *extra}
    assert prepared.config.instruments == instruments


def test_equal_seeds_make_equal_markets_and_others_other_ones(settings: Settings) -> None:
    histories: list[Sequence[object]] = []
    for seed in (1, 1, 2):
        prepared = wiring.prepare(sandbox("EUR_USD", seed=seed), settings)
        prepared.market_data.start(("EUR_USD",), Granularity.M1)
        histories.append(tuple(prepared.market_data.history("EUR_USD", 5)))
    assert histories[0] == histories[1] != histories[2]


def test_a_replay_takes_instrument_and_granularity_from_its_files(settings: Settings, tmp_path: Path) -> None:
    config = replay(recorded(tmp_path / "EUR_USD.csv", minutes=5), granularity=Granularity.H1)
    prepared = wiring.prepare(config, settings)
    assert (prepared.config.instruments, prepared.config.granularity) == (("EUR_USD",), Granularity.M5)
    assert [name for name, _ in prepared.config.bars] == ["EUR_USD"]
    lookback = max(prepared.predictor.spec.lookback_bars, config.limits.atr_period + 1)
    begun_ns = prepared.imported[0].bars[lookback - 1].close_ts_ns
    assert prepared.clock.now_ns() == begun_ns


def test_a_replay_may_follow_one_of_two_recordings(settings: Settings, tmp_path: Path) -> None:
    paths = (recorded(tmp_path / "EUR_GBP.csv"), recorded(tmp_path / "GBP_USD.csv"))
    prepared = wiring.prepare(replay(*paths, instruments=("EUR_GBP",)), settings)
    assert prepared.config.instruments == ("EUR_GBP",)
    assert set(prepared.broker.instruments()) == {"EUR_GBP", "GBP_USD"}


def test_a_prepared_session_runs(settings: Settings, tmp_path: Path) -> None:
    store = wiring.open_store(tmp_path / "one.sqlite")
    try:
        prepared = wiring.prepare(replay(recorded(tmp_path / "EUR_USD.csv")), settings)
        session = wiring.begin(prepared, store, HaltLatch(tmp_path / "HALT"), wiring.day_locks(settings, store.path))
        session.step()
        assert session.desk.state is SessionState.RUNNING
        session.stop("stopped by the operator")
    finally:
        store.close()


REFUSED = {
    "unknown model": (sandbox("EUR_USD", model_id="nobody"), "nobody"),
    "unknown instrument": (sandbox("EUR_XXX"), "EUR_XXX"),
    "unknown currency": (sandbox("EUR_USD", currency="XYZ"), "XYZ"),
    "limit of hours for nobody": (sandbox("EUR_USD", limits=limited("trading_windows[EUR_UDS]=always")), "EUR_UDS"),
    "limit of value for nobody": (sandbox("EUR_USD", limits=limited("position_pct_max[EUR_UDS]=1")), "EUR_UDS"),
    "limit of no currency": (sandbox("EUR_USD", limits=limited("currency_pct_max[UDS]=1")), "UDS"),
    "bars in a sandbox": (sandbox("EUR_USD", bars=(("", "x.csv"),)), "replay"),
    "replay without bars": (replay(), "at least one bar file"),
    "missing file": (replay(Path("nowhere/EUR_USD.csv")), "EUR_USD.csv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_and_prepare_refuse_alike_and_say_why(case: str, settings: Settings) -> None:
    config, named = REFUSED[case]
    problem = wiring.check(config, settings)
    assert problem is not None and named in problem
    with pytest.raises(ConfigError, match=named):
        wiring.prepare(config, settings)


def test_a_replay_of_an_instrument_without_a_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    config = replay(recorded(tmp_path / "EUR_USD.csv"), instruments=("GBP_USD",))
    assert wiring.check(config, settings) == "Instrument GBP_USD has no bar file; available are EUR_USD."


@pytest.mark.parametrize(
    "files",
    [
        pytest.param((("EUR_USD.csv", 12, 1),), id="too short"),
        pytest.param((("EUR_USD.csv", 60, 1), ("GBP_USD.csv", 60, 5)), id="two granularities"),
        pytest.param((("EUR_GBP.csv", 60, 1),), id="no conversion"),
        pytest.param((("EUR_USD.csv", 15, 1),), id="nothing left to play"),
    ],
)
def test_check_knows_every_reason_that_prepare_knows(
    files: tuple[tuple[str, int, int], ...], settings: Settings, tmp_path: Path
) -> None:
    config = replay(*(recorded(tmp_path / name, count, minutes=minutes) for name, count, minutes in files))
    with pytest.raises(ConfigError):
        wiring.prepare(config, settings)
    assert wiring.check(config, settings) is not None


@pytest.mark.parametrize(
    ("span_s", "speed", "pause_s"),
    [
        (5, 10.0, 0.5),
        (5, 1.0, 5.0),
        (60, 10.0, 6.0),
    ],
)
def test_a_session_runs_at_the_speed_that_is_shown(
    settings: Settings, span_s: int, speed: float, pause_s: float
) -> None:
    clock, wake = wiring.prepare(sandbox("EUR_USD", speed=speed), settings).clock, RecordingWake()
    clock.wait_until(clock.now_ns() + span_s * NS_PER_S, wake)
    assert wake.asked_s == [pytest.approx(pause_s)]


def test_the_recordings_folder_is_listed_with_what_is_wrong(settings: Settings) -> None:
    assert wiring.recordings(settings) == ()
    folder = settings.recordings_dir
    recorded(folder / "EUR_USD.csv", 30)
    packed = recorded(folder / "draft", 20)
    (folder / "GBP_USD.csv.gz").write_bytes(gzip.compress(packed.read_bytes()))
    (folder / "USD_JPY.csv").write_text("nothing of use\n")
    (folder / "notes.txt").write_text("not a recording")
    found = {one.name: one for one in wiring.recordings(settings)}
    assert list(found) == ["EUR_USD.csv", "GBP_USD.csv.gz", "USD_JPY.csv"]
    good, packed_one, bad = found.values()
    assert (good.instrument, good.granularity, good.bars, good.problem) == ("EUR_USD", Granularity.M1, 30, "")
    assert good.last_ns - good.first_ns == 30 * 60 * NS_PER_S
    assert (packed_one.instrument, packed_one.bars) == ("GBP_USD", 20)
    assert (bad.bars, bad.granularity) == (0, None) and "USD_JPY.csv" in bad.problem
    assert str(folder) not in bad.problem


def test_an_upload_is_kept_when_it_can_be_used(settings: Settings, tmp_path: Path) -> None:
    data = recorded(tmp_path / "made.csv", 30).read_bytes()
    kept = wiring.import_recording(settings, "EUR_USD.csv", data)
    assert (kept.name, kept.instrument, kept.bars, kept.problem) == ("EUR_USD.csv", "EUR_USD", 30, "")
    assert kept.path == settings.recordings_dir / "EUR_USD.csv" and kept.path.read_bytes() == data
    assert [path.name for path in settings.recordings_dir.iterdir()] == ["EUR_USD.csv"]


def test_an_upload_that_cannot_be_used_is_refused_and_leaves_the_old_file(settings: Settings, tmp_path: Path) -> None:
    data = recorded(tmp_path / "made.csv", 30).read_bytes()
    wiring.import_recording(settings, "EUR_USD.csv", data)
    with pytest.raises(ConfigError, match="EUR_USD.csv") as refused:
        wiring.import_recording(settings, "EUR_USD.csv", b"nothing of use\n")
    assert ".incoming" not in str(refused.value)
    assert [path.read_bytes() for path in settings.recordings_dir.iterdir()] == [data]


@pytest.mark.parametrize("name", ["../EUR_USD.csv", "EUR_USD.txt", ".hidden.csv", "a/EUR_USD.csv", ""])
def test_an_upload_under_a_strange_name_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(ConfigError, match="plain name"):
        wiring.import_recording(settings, name, b"")
    assert not settings.recordings_dir.exists()


@pytest.mark.parametrize("case", ["twice", "apart"])
def test_check_knows_files_that_cannot_be_played_together(case: str, settings: Settings, tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "EUR_USD.csv"), recorded(tmp_path / "GBP_USD.csv")
    second.write_text(second.read_text().replace("2024-03-05", "2024-03-06"))
    if case == "twice":
        config = replay(first, replace_name(second, "EUR_USD.csv"), instruments=("EUR_USD",))
    else:
        config = replay(first, second)
    with pytest.raises(ConfigError):
        wiring.prepare(config, settings)
    assert wiring.check(config, settings) is not None


def replace_name(path: Path, name: str) -> Path:
    """Move a recording into a folder of its own under another name."""
    folder = path.parent / "other"
    folder.mkdir()
    return path.rename(folder / name)
