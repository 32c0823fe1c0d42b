"""Settings are read once, from the environment over .env; a typing error is refused with the known keys."""

import io
import logging
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from engine.config import Settings, configure_logging, load_settings
from engine.domain.error import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Path("no-such-file.env")


@pytest.fixture
def engine_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("engine")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield logger
    logger.handlers[:], logger.level, logger.propagate = before


def env_file(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_means_the_defaults() -> None:
    assert load_settings({}, NOWHERE) == Settings()
    assert Settings() == Settings(data_dir=Path("data"), models_dir=Path("models"), log_level="INFO")


def test_environment_is_read() -> None:
    given = {"KEEL_DATA_DIR": "d", "KEEL_MODELS_DIR": "m", "KEEL_LOG_LEVEL": "debug", "PATH": "x"}
    assert load_settings(given, NOWHERE) == Settings(data_dir=Path("d"), models_dir=Path("m"), log_level="DEBUG")


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = env_file(tmp_path, "KEEL_DATA_DIR=from-file\nKEEL_MODELS_DIR=models-from-file\n# a comment\nOTHER=1\n")
    settings = load_settings({"KEEL_DATA_DIR": "from-environment"}, path)
    assert (settings.data_dir, settings.models_dir) == (Path("from-environment"), Path("models-from-file"))


def test_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEL_DATA_DIR", "seen")
    assert load_settings(env_file=NOWHERE).data_dir == Path("seen")


@pytest.mark.parametrize("key", ["KEEL_DATADIR", "KEEL_", "OANDA_KEY", "KEEL_DATA_DIR_", "LIVE_TRADE"])
def test_unknown_key_of_ours_is_refused_with_the_known_ones(key: str, tmp_path: Path) -> None:
    known = ", ".join(item.metadata["key"] for item in fields(Settings))
    for given, path in (({key: "x"}, NOWHERE), ({}, env_file(tmp_path, f"{key}=x\n"))):
        with pytest.raises(ConfigError) as refused:
            load_settings(given, path)
        assert str(refused.value) == f"Setting {key} is unknown; known are {known}."


def test_keys_of_others_are_none_of_our_business() -> None:
    assert load_settings({"KEELHAUL": "1", "keel_data_dir": "x", "MY_KEEL_KEY": "1"}, NOWHERE) == Settings()


def test_unknown_log_level_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"KEEL_LOG_LEVEL": "loud"}, NOWHERE)
    assert str(refused.value) == "KEEL_LOG_LEVEL is 'LOUD'; it must be one of DEBUG, INFO, WARNING, ERROR."


@pytest.mark.parametrize(("text", "consents"), [("yes", True), ("no", False), ("", False)])
def test_consent_to_live_trading_is_a_word(text: str, consents: bool) -> None:
    assert load_settings({"LIVE_TRADING": text}, NOWHERE).live_trading is consents


@pytest.mark.parametrize("text", ["true", "YES", "1", "y"])
def test_consent_is_no_other_word(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"LIVE_TRADING": text}, NOWHERE)
    assert str(refused.value) == f"LIVE_TRADING is {text!r}; it must be one of no, yes."


def test_environment_is_one_that_exists() -> None:
    assert load_settings({"OANDA_ENVIRONMENT": "live"}, NOWHERE).oanda_environment == "live"
    with pytest.raises(ConfigError, match=r"OANDA_ENVIRONMENT is 'demo'; it must be one of practice, live\."):
        load_settings({"OANDA_ENVIRONMENT": "demo"}, NOWHERE)


def test_keys_of_a_live_account_must_be_the_owners_alone(tmp_path: Path) -> None:
    path = env_file(tmp_path, "OANDA_ENVIRONMENT=live\nOANDA_TOKEN=canary\n")
    for mode in (0o644, 0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(ConfigError) as refused:
            load_settings({}, path)
        assert (
            str(refused.value)
            == f"The file {path} is open to others (mode {mode:o}); make it yours alone: chmod 600 {path}."
        )
    path.chmod(0o600)
    assert load_settings({}, path).oanda_environment == "live"


def test_keys_of_a_live_account_must_not_be_in_git(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed, so nothing can be tracked by it")
    path = env_file(tmp_path, "OANDA_ENVIRONMENT=live\n")
    path.chmod(0o600)
    subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
    assert load_settings({}, path).oanda_environment == "live"
    subprocess.run([git, "-C", str(tmp_path), "add", "-f", ".env"], check=True)
    with pytest.raises(ConfigError, match="is tracked by git"):
        load_settings({}, path)


def test_a_practice_file_may_be_open(tmp_path: Path) -> None:
    path = env_file(tmp_path, "OANDA_TOKEN=canary\n")
    path.chmod(0o644)
    assert load_settings({}, path).oanda_token.reveal() == "canary"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/services/T0/B0/canary",
        "https://ntfy.example:8443/canary",
        "http://127.0.0.1:9999/canary",
        "https://h.example/?k=canary",
    ],
)
def test_alerts_go_to_an_encrypted_address_or_to_this_machine(url: str) -> None:
    settings = load_settings({"KEEL_ALERT_URL": url}, NOWHERE)
    assert settings.alert_url.reveal() == url
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/canary",
        "http://localhost:1/canary",
        "http://127.0.0.1@evil.example/canary",
        "https://user:canary@h.example/",
        "ftp://127.0.0.1/canary",
        "https:///canary",
        "https://h.example/ca nary",
        "https://h.example\\@127.0.0.1/canary",
        "https://h.example:port/canary",
        "https://[::1/canary",
        "canary",
    ],
)
def test_alerts_go_to_no_other_address_and_the_refusal_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"KEEL_ALERT_URL": url}, NOWHERE)
    assert str(refused.value) == (
        "KEEL_ALERT_URL is no address that alerts may go to; it must be https://HOST/..., "
        "or http://127.0.0.1:PORT/... on this machine."
    )
    assert refused.value.__context__ is None


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"KEEL_A": "1", "OANDA_B": "2", "KEEL_LOG_LEVEL": "loud"}, NOWHERE)
    assert all(name in str(refused.value) for name in ("KEEL_A", "OANDA_B", "KEEL_LOG_LEVEL"))


def test_empty_folder_means_the_default() -> None:
    assert load_settings({"KEEL_DATA_DIR": "", "KEEL_MODELS_DIR": ""}, NOWHERE) == Settings()


def test_empty_log_level_means_the_default() -> None:
    assert load_settings({"KEEL_LOG_LEVEL": ""}, NOWHERE) == Settings()


def test_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"KEEL_DATA_DIR=\xff\xfe\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({}, path)


def test_files_live_in_the_data_folder() -> None:
    settings = Settings(data_dir=Path("d"))
    assert settings.database_path == Path("d/console.sqlite")
    assert settings.recordings_dir == Path("d/history")
    assert settings.halt_path == Path("d/HALT")


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().log_level = "DEBUG"  # type: ignore[misc]


def test_example_file_names_exactly_the_settings_and_their_defaults() -> None:
    path = ROOT / ".env.example"
    keys = {item.metadata["key"] for item in fields(Settings)}
    lines = path.read_text(encoding="utf-8").splitlines()
    named = {
        line.lstrip("# ").split("=")[0] for line in lines if line.lstrip("# ").startswith(("KEEL_", "OANDA_", "LIVE_"))
    }
    assert named == keys
    assert load_settings({}, path) == Settings()


def test_logging_goes_to_one_handler_however_often_it_is_configured(engine_logger: logging.Logger) -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("INFO", first)
    configure_logging("WARNING", second)
    engine_logger.getChild("part").warning("Bearer abc123")
    engine_logger.getChild("part").info("quiet")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1
    assert "abc123" not in second.getvalue()
    assert engine_logger.propagate is False
