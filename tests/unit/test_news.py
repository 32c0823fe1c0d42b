"""The calendar of news as a file: kept whole or not at all, loaded at the start, refused in one sentence."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import news, wiring
from engine.cli import main
from engine.config import Settings
from engine.domain.command import SessionConfig
from engine.domain.error import ConfigError
from engine.domain.schedule import NewsEvent

SOUND = b"time,currency,title\n2026-01-09T13:30:00Z,USD,Jobs\n"
OTHER = b"time,currency,title\n2026-01-09T13:30:00Z,EUR,Rates\n"
JOBS = NewsEvent(ts_ns=1_767_965_400_000_000_000, currency="USD", title="Jobs")
SANDBOX = SessionConfig(instruments=("EUR_USD",), model_id="sma-cross:2/5", speed=None, duration_s=60)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")


def test_a_calendar_is_replaced_whole(settings: Settings) -> None:
    path = settings.news_path
    assert news.read_if_any(path) == ()
    assert news.replace(path, SOUND) == (JOBS,)
    with pytest.raises(ConfigError, match="Line 2: time is 'soon'"):
        news.replace(path, b"time,currency,title\nsoon,USD,Jobs\n")
    assert path.read_bytes() == SOUND
    assert [item.name for item in path.parent.iterdir()] == ["news.csv"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"news\.csv cannot be written: "):
        news.replace(tmp_path / "data" / "news.csv", SOUND)


def test_a_session_starts_with_the_calendar_of_the_data_folder(settings: Settings) -> None:
    news.replace(settings.news_path, SOUND)
    assert wiring.prepare(SANDBOX, settings).config.news == (JOBS,)
    given = replace(SANDBOX, news=(replace(JOBS, currency="GBP"),))
    assert wiring.prepare(given, settings).config.news == given.news


def test_a_bad_calendar_refuses_the_start(settings: Settings) -> None:
    settings.news_path.parent.mkdir()
    settings.news_path.write_bytes(b"time,currency,title\nsoon,USD,Jobs\n")
    said = f"The news calendar {settings.news_path} is not sound. Line 2: time is 'soon'; "
    with pytest.raises(ConfigError) as caught:
        wiring.prepare(SANDBOX, settings)
    assert str(caught.value).startswith(said)
    assert (wiring.check(SANDBOX, settings) or "").startswith(said)


def test_the_command_line_names_another_calendar(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEEL_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("KEEL_MODELS_DIR", str(settings.models_dir))
    news.replace(settings.news_path, SOUND)
    other = tmp_path / "other.csv"
    other.write_bytes(OTHER)
    assert [event.currency for event in wiring.prepare(SANDBOX, settings, news_file=other).config.news] == ["EUR"]
    words = ["session", "--speed", "max", "--duration", "5m", "--instruments", "EUR_USD", "--model", "flat"]
    assert main([*words, "--news", str(tmp_path / "none.csv")]) == 2
    assert "none.csv cannot be read: No such file or directory." in capsys.readouterr().err
    assert main([*words, "--news", str(other)]) == 0
