"""I am the limit profiles: named sets of risk limits, two of them built in, the others files of the operator.
I may import the domain.
I must not apply a profile, nor take half of one; a file that is bad anywhere is refused as a whole.
My tests are in tests/unit/test_profiles.py.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine.domain.error import ConfigError
from engine.domain.limit_changes import limits_from_values, values_of
from engine.domain.limits import ANY, RiskLimits, limit_fields

FORMAT = 1
BYTES_MAX = 64 * 1024
DEFAULT = "default"
_MARK, _NAME, _LIMITS = "keel_limits", "name", "limits"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,40}")
_WORD_MAX = 200
_CAREFUL: dict[str, Any] = {
    "risk_per_trade_pct": Decimal("0.25"),
    "exposure_pct_max": Decimal(150),
    "exposure_net_pct_max": Decimal(150),
    "margin_pct_max": Decimal(10),
    "position_units_max": {ANY: Decimal(20_000), "XAU_USD": Decimal(10), "XAG_USD": Decimal(500)},
    "position_pct_max": {ANY: Decimal(100)},
    "positions_max": 2,
    "currency_pct_max": {ANY: Decimal(100)},
    "order_interval_s_min": Decimal(300),
    "orders_per_minute_max": 10,
    "repeated_entries_max": 5,
    "spread_pips_max": {ANY: Decimal(2), "XAU_USD": Decimal(50), "XAG_USD": Decimal(300)},
    "spread_ratio_max": Decimal(2),
    "volatility_ratio_max": Decimal(3),
    "price_collar_atr_max": Decimal(3),
    "quote_age_s_max": Decimal(5),
    "slippage_pips_max": Decimal(1),
    "trading_windows": {ANY: "Mon-Fri 07:00-20:00 Europe/London"},
    "weekend_cutoff_min": 180,
    "rollover_blackout_min": 15,
    "news_before_min": 30,
    "news_after_min": 30,
    "cooldown_s": 900,
    "daily_loss_pct_max": Decimal(1),
    "drawdown_pct_max": Decimal(4),
    "loss_streak_max": 4,
    "model_faults_max": 2,
    "data_age_s_max": Decimal(120),
    "broker_errors_max": 5,
}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of limits; those that it does not state are the defaults.

    Of a limit that is stated partly only keys are its own: "*" is the default, and is left out of the file.
    """

    name: str
    limits: RiskLimits
    stated: tuple[str, ...] = ()
    built_in: bool = False
    partly: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for attribute, wanted in (("stated", self.stated), ("partly", self._partly())):
            names_ = tuple(item.name for item in limit_fields() if item.name in wanted)
            msgspec.structs.force_setattr(self, attribute, names_)

    def _partly(self) -> frozenset[str]:
        """Keep of those that are stated partly what the defaults fill to the same when the file is read."""
        found, defaults = frozenset(self.partly) & frozenset(self.stated), RiskLimits()
        return frozenset(name for name in found if _fills(getattr(defaults, name), getattr(self.limits, name)))

    @property
    def whole(self) -> tuple[str, ...]:
        """Name the limits that it states as a whole, with the "*" of a limit by instrument or currency."""
        return tuple(name for name in self.stated if name not in self.partly)

    @property
    def by_hand(self) -> tuple[str, ...]:
        """Name the limits that a person has set by it: what its file states as a whole, nothing of a built-in one."""
        return () if self.built_in else self.whole


BUILT_IN = {
    DEFAULT: Profile(name=DEFAULT, limits=RiskLimits(), built_in=True),
    "careful": Profile(name="careful", limits=RiskLimits(**_CAREFUL), stated=tuple(_CAREFUL), built_in=True),
}


def names(folder: Path) -> tuple[str, ...]:
    """Name every profile: the built-in ones, then those of the folder; what is in a file shows when it is loaded."""
    _check_folder(folder)
    try:
        found = sorted(path.stem for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return (*BUILT_IN, *(name for name in found if _NAME_PATTERN.fullmatch(name) and not _is_built_in(name)))


def load(folder: Path, name: str) -> Profile:
    """Read a profile by its name; raises ConfigError when there is none, or its file is bad anywhere."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = _path(folder, name)
    if not os.path.lexists(path):
        raise ConfigError(f"Profile {name!r} is unknown; known are {', '.join(names(folder))}.")
    profile = _read(path, follow=False)
    if profile.name != name:
        raise ConfigError(f"The file {path} holds the profile {profile.name!r}; rename one of the two.")
    return profile


def save(folder: Path, profile: Profile, *, replace: bool = False) -> Path:
    """Write a profile into the folder, complete or not at all; one of its name is overwritten only when asked for.

    Raises ConfigError for a bad or a built-in name, or when it cannot be written.
    """
    path = _path(folder, profile.name)
    if _is_built_in(profile.name):
        raise ConfigError(f"Profile {profile.name!r} is built in and cannot be changed; take another name.")
    if os.path.lexists(path) and not replace:
        raise ConfigError(
            f"Profile {profile.name!r} exists already; take another name, or replace it "
            "on the command line with --replace."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    _write(path, profile)
    return path


def delete(folder: Path, name: str) -> None:
    """Remove a profile, also one whose file is bad; raises ConfigError for a built-in or an unknown one."""
    if _is_built_in(name):
        raise ConfigError(f"Profile {name!r} is built in and cannot be removed.")
    path = _path(folder, name)
    if path.is_symlink():
        raise _not_plain(path)
    try:
        path.unlink()
    except FileNotFoundError:
        raise ConfigError(f"Profile {name!r} is unknown; known are {', '.join(names(folder))}.") from None
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be removed: {error.strerror}.") from error


def read_file(path: Path) -> Profile:
    """Read a profile from any file; raises ConfigError that names everything that is bad in it."""
    return _read(path, follow=True)


def write_file(path: Path, profile: Profile) -> None:
    """Write what a profile states to any file, complete or not at all; raises ConfigError when that is not possible."""
    _write(path, profile)


def checked_name(name: str) -> str:
    """Return a name that a profile may have; raises ConfigError that says what is allowed."""
    if not _NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"Profile name {name[:_WORD_MAX]!r} must be 1 to 40 letters a-z or A-Z, digits, - and _.")
    return name


def stated_by(limits: RiskLimits, beside: Iterable[str] = ()) -> tuple[str, ...]:
    """Name the limits that a profile of these should state: those beside, and whatever is not the default."""
    defaults, wanted = RiskLimits(), frozenset(beside)
    return tuple(
        item.name
        for item in limit_fields()
        if item.name in wanted or getattr(limits, item.name) != getattr(defaults, item.name)
    )


def _fills(default: object, value: object) -> bool:
    """Say whether a limit by key is the default with other values for some keys, and at least one of its own."""
    if not isinstance(default, Mapping) or not isinstance(value, Mapping) or len(value) < 2:
        return False
    return value[ANY] == default[ANY] and default.keys() <= value.keys()


def _is_built_in(name: str) -> bool:
    """Take the name in capitals for the same: on some disks it is the same file."""
    return name.lower() in BUILT_IN


def _path(folder: Path, name: str) -> Path:
    _check_folder(folder)
    return folder / f"{checked_name(name)}.json"


def _check_folder(folder: Path) -> None:
    if folder.is_symlink():
        raise ConfigError(f"The folder {folder} is a link; profiles are kept in a folder of their own.")


def _read(path: Path, *, follow: bool) -> Profile:
    text = _text(path, follow=follow)
    try:
        document = json.loads(text, object_pairs_hook=_no_key_twice, parse_int=Decimal, parse_float=Decimal)
    except ConfigError as error:
        raise ConfigError(f"The file {path} is refused: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"The file {path} is no profile: it is nested too deeply.") from error
    except ValueError as error:
        raise ConfigError(f"The file {path} is no JSON: {error}.") from error
    try:
        return _profile(document)
    except ConfigError as error:
        raise ConfigError(f"The file {path} is refused: {error}") from error


def _text(path: Path, *, follow: bool) -> str:
    """Read a plain file of at most BYTES_MAX; what is looked at is what is read, whoever swaps it meanwhile."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    if not follow and path.is_symlink():
        raise _not_plain(path)
    try:
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _not_plain(path)
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error
    if len(data) > BYTES_MAX:
        raise ConfigError(f"The file {path} is larger than {BYTES_MAX} bytes; no profile is.")
    try:
        return data.decode("utf-8-sig")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise ConfigError(f"The file {path} is no text in UTF-8.") from error


def _no_key_twice(members: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in members:
        _check_word(key)
        if isinstance(value, str):
            _check_word(value)
        if key in made:
            raise ConfigError(f"{key!r} is there twice.")
        made[key] = value
    return made


def _check_word(text: str) -> None:
    """Keep what a sentence may have to quote short and on one line."""
    if len(text) > _WORD_MAX or not text.isprintable():
        raise ConfigError(
            f"{text[:40]!r} is no word of a profile; it must be printable, with up to {_WORD_MAX} letters."
        )


def _profile(document: object) -> Profile:
    if not isinstance(document, dict) or _MARK not in document:
        raise ConfigError(
            f'it is no profile; that begins with {{"{_MARK}": {FORMAT}, "{_NAME}": ..., "{_LIMITS}": ...}}.'
        )
    version, name, limits = (document.get(key) for key in (_MARK, _NAME, _LIMITS))
    if not isinstance(version, Decimal) or version != FORMAT:
        raise ConfigError(f"{_MARK} is {str(version)[:40]}; this build reads format {FORMAT}.")
    if strange := [key for key in document if key not in (_MARK, _NAME, _LIMITS)]:
        raise ConfigError(f"{', '.join(map(repr, strange))} is unknown; known are {_MARK}, {_NAME} and {_LIMITS}.")
    if not isinstance(name, str):
        raise ConfigError(f"{_NAME} must be a text.")
    if not isinstance(limits, dict):
        raise ConfigError(f"{_LIMITS} must be an object of limits by name.")
    given, partly = _filled(limits)
    return Profile(name=checked_name(name), limits=limits_from_values(given), stated=tuple(given), partly=partly)


def _filled(given: dict[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Put the defaults under limits by key that lack their "*", and name those."""
    made, partly = dict(given), list[str]()
    for limit, default in values_of(RiskLimits(), given).items():
        value = given[limit]
        if isinstance(default, dict) and isinstance(value, dict) and value and ANY not in value:
            made[limit] = {**default, **value}
            partly.append(limit)
    return made, tuple(partly)


def _write(path: Path, profile: Profile) -> None:
    values = values_of(profile.limits, profile.stated)
    for limit, value in values.items():
        if limit in profile.partly and isinstance(value, dict):
            del value[ANY]  # nobody typed it: in the file it would count as set by hand
    document = {_MARK: FORMAT, _NAME: profile.name, _LIMITS: values}
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise _not_plain(path)
    part = None
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be written: {error.strerror}.") from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def _not_plain(path: Path) -> ConfigError:
    return ConfigError(f"{path} is a link or no plain file; profiles are plain files.")
