"""I am the settings of an emergency: the data folder and the account, and nothing that could keep a person from them.
I may import dotenv, config and the domain.
I must not ask for more than closing needs: a misspelt key or an open .env is no reason to leave a position open.
My tests are in tests/unit/test_kill.py.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dotenv import dotenv_values

from engine.config import Settings, load_settings
from engine.domain.error import ConfigError

_NEEDED = ("KEEL_DATA_DIR", "OANDA_ENVIRONMENT", "OANDA_TOKEN", "OANDA_ACCOUNT_ID", "OANDA_LOOPBACK_URL")


def kill_settings(
    data: Path | None = None,
    account: str = "",
    environment: Mapping[str, str] | None = None,
    env_file: Path = Path(".env"),
) -> Settings:
    """Read the few settings that are needed; the environment wins over the file, `data` and `account` over both.

    Raises ConfigError when one of them is bad, the file cannot be read, or `data` is no folder. The folder of .env may
    be missing: that keeps nobody from closing.
    """
    if data is not None:
        _check_folder(data)
    needed = _given(_NEEDED, environment, env_file)
    if data is not None:
        needed["KEEL_DATA_DIR"] = str(data)
    if account:
        needed["OANDA_ACCOUNT_ID"] = account
    return load_settings(needed, Path(os.devnull))


def halt_path(
    data: Path | None = None,
    environment: Mapping[str, str] | None = None,
    env_file: Path = Path(".env"),
    *,
    may_be_made: bool = False,
) -> Path:
    """Say where the file HALT belongs, from the data folder alone.

    Raises ConfigError when .env cannot be read, or there is no such folder: an engine that runs has made its own, so
    that a new one could only halt nobody. Who goes on to close may make it: positions are there without an engine too.
    """
    given = {"KEEL_DATA_DIR": str(data)} if data is not None else _given(_NEEDED[:1], environment, env_file)
    path = load_settings(given, Path(os.devnull)).halt_path
    if not may_be_made:
        _check_folder(path.parent)
    return path


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"The data folder {folder} does not exist, so no engine runs on it.")


def _given(keys: Sequence[str], environment: Mapping[str, str] | None, env_file: Path) -> dict[str, str]:
    merged = {**_of_file(env_file), **(os.environ if environment is None else environment)}
    return {key: value for key in keys if (value := merged.get(key)) is not None}


def _of_file(env_file: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(env_file) if env_file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Settings file {env_file} cannot be read: {error}.") from error
