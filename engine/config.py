"""I am the settings: read once from the environment and .env, checked, frozen.
I may import dotenv, redaction and the domain.
I must not be read again while running; risk limits are data and not mine.
My tests are in tests/unit/test_config.py.
"""

import logging
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from dotenv import dotenv_values

from engine.domain.error import ConfigError
from engine.redaction import RedactionFilter, Secret

_ENVIRONMENTS = ("practice", "live")
_CONSENTS = ("no", "yes")
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d{1,5}")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_PREFIXES = ("KEEL_", "OANDA_", "LIVE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where Keel keeps its files, how much it logs, and which OANDA account it may use.

    Relative folders are relative to the working directory. The environment is what is written here: nothing ever tries
    another host. oanda_loopback_url replaces OANDA's host by a venue on this machine. alert_url is a secret: who has it
    can write into the operator's channel.
    """

    data_dir: Path = field(default=Path("data"), metadata={"key": "KEEL_DATA_DIR"})
    models_dir: Path = field(default=Path("models"), metadata={"key": "KEEL_MODELS_DIR"})
    log_level: str = field(default="INFO", metadata={"key": "KEEL_LOG_LEVEL"})
    oanda_environment: str = field(default="practice", metadata={"key": "OANDA_ENVIRONMENT"})
    live_trading: bool = field(default=False, metadata={"key": "LIVE_TRADING"})
    oanda_token: Secret = field(default=Secret(""), metadata={"key": "OANDA_TOKEN"})
    oanda_account_id: str = field(default="", metadata={"key": "OANDA_ACCOUNT_ID"})
    oanda_loopback_url: str = field(default="", metadata={"key": "OANDA_LOOPBACK_URL"})
    alert_url: Secret = field(default=Secret(""), metadata={"key": "KEEL_ALERT_URL"})

    @property
    def database_path(self) -> Path:
        """The console's database."""
        return self.data_dir / "console.sqlite"

    @property
    def recordings_dir(self) -> Path:
        """Where bar files for replay are kept."""
        return self.data_dir / "history"

    @property
    def profiles_dir(self) -> Path:
        """Where named sets of limits are kept."""
        return self.data_dir / "profiles"

    @property
    def news_path(self) -> Path:
        """The operator's calendar of news, loaded when a session starts."""
        return self.data_dir / "news.csv"

    @property
    def halt_path(self) -> Path:
        """While this file exists nothing is sent."""
        return self.data_dir / "HALT"


def load_settings(environment: Mapping[str, str] | None = None, env_file: Path = Path(".env")) -> Settings:
    """Read settings; the environment wins over the file.

    Raises ConfigError that names every unknown KEEL_/OANDA_/LIVE_ key and every bad value at once. In environment live
    the file must be readable by its owner alone and unknown to git.
    """
    given = dict(os.environ if environment is None else environment)
    merged = {**_file_values(env_file), **given}
    known = {item.metadata["key"]: item.name for item in fields(Settings)}
    ours = {key: value for key, value in merged.items() if key.startswith(_PREFIXES)}
    problems = [f"Setting {key} is unknown; known are {', '.join(known)}." for key in ours if key not in known]
    level = (ours.get("KEEL_LOG_LEVEL") or "INFO").upper()
    if level not in _LEVELS:
        problems.append(f"KEEL_LOG_LEVEL is {level!r}; it must be one of {', '.join(_LEVELS)}.")
    environment_name = ours.get("OANDA_ENVIRONMENT") or "practice"
    if environment_name not in _ENVIRONMENTS:
        problems.append(f"OANDA_ENVIRONMENT is {environment_name!r}; it must be one of {', '.join(_ENVIRONMENTS)}.")
    consent = ours.get("LIVE_TRADING") or "no"
    if consent not in _CONSENTS:
        problems.append(f"LIVE_TRADING is {consent!r}; it must be one of {', '.join(_CONSENTS)}.")
    if environment_name == "live" and (open_file := _open_to_others(env_file)):
        problems.append(open_file)
    loopback = ours.get("OANDA_LOOPBACK_URL") or ""
    if loopback and not _LOOPBACK.fullmatch(loopback):
        problems.append(f"OANDA_LOOPBACK_URL is {loopback!r}; it must be http://127.0.0.1:PORT.")
    alert_url = ours.get("KEEL_ALERT_URL") or ""
    if alert_url and not _may_be_told(alert_url):
        problems.append(
            "KEEL_ALERT_URL is no address that alerts may go to; it must be https://HOST/..., "
            "or http://127.0.0.1:PORT/... on this machine."
        )
    if problems:
        raise ConfigError(" ".join(problems))
    return Settings(
        data_dir=Path(ours.get("KEEL_DATA_DIR") or "data"),
        models_dir=Path(ours.get("KEEL_MODELS_DIR") or "models"),
        log_level=level,
        oanda_environment=environment_name,
        live_trading=consent == "yes",
        oanda_token=Secret(ours.get("OANDA_TOKEN") or ""),
        oanda_account_id=ours.get("OANDA_ACCOUNT_ID") or "",
        oanda_loopback_url=loopback,
        alert_url=Secret(alert_url),
    )


def _may_be_told(url: str) -> bool:
    """Say whether alerts may go to this address: encrypted, or to this machine; nothing that readers take apart in
    different ways, as they do with spaces, backslashes and names before the host.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = all("!" <= letter <= "~" and letter != "\\" for letter in url) and "@" not in parts.netloc
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    return plain and safe and bool(parts.hostname)


def _file_values(env_file: Path) -> dict[str, str]:
    try:
        values = dotenv_values(env_file) if env_file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Settings file {env_file} cannot be read: {error}.") from error
    return {key: value for key, value in values.items() if value is not None}


def _open_to_others(env_file: Path) -> str:
    """Say who else could read the keys in this file; empty when nobody could, as far as this machine can tell."""
    if not env_file.is_file():
        return ""
    mode = stat.S_IMODE(env_file.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        return f"The file {env_file} is open to others (mode {mode:o}); make it yours alone: chmod 600 {env_file}."
    git = shutil.which("git")
    asked = [git or "", "-C", str(env_file.resolve().parent), "ls-files", "--error-unmatch", env_file.name]
    if git and subprocess.run(asked, capture_output=True, check=False).returncode == 0:  # noqa: S603 - our own words
        return f"The file {env_file} is tracked by git, so its keys are in every copy; remove it and get new keys."
    return ""


class _KeyValueFormatter(logging.Formatter):
    """One line per record: UTC time, level, subsystem, message."""

    def format(self, record: logging.LogRecord) -> str:
        subsystem = getattr(record, "subsystem", record.name)
        line = (
            f"{self.formatTime(record, self.datefmt)} {record.levelname:<7} subsystem={subsystem} {record.getMessage()}"
        )
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def configure_logging(level: str, stream: TextIO = sys.stderr, secrets: tuple[Secret, ...] = ()) -> None:
    """Send the engine's log lines to a stream (stderr), without the secrets; safe to call again."""
    import time

    handler = logging.StreamHandler(stream)
    formatter = _KeyValueFormatter(datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(RedactionFilter(secrets))
    logger = logging.getLogger("engine")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
