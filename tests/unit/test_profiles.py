"""Profiles are whole or refused: names, files, sizes, links and values, and nothing half-written."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.error import ConfigError
from engine.domain.limit_changes import changes, loosened
from engine.domain.limits import ANY, RiskLimits, limit_fields, limits_by_hand
from engine.profiles import (
    BUILT_IN,
    BYTES_MAX,
    Profile,
    delete,
    load,
    names,
    read_file,
    save,
    stated_by,
    write_file,
)
from tests.unit.domain.limit_sets import limit_sets

MINE = Profile(name="mine", limits=RiskLimits(positions_max=2), stated=("positions_max",))


def document(**changes_: object) -> str:
    whole = {"keel_limits": 1, "name": "mine", "limits": {"positions_max": "2"}}
    return json.dumps({**whole, **changes_})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "profiles"


def put(folder: Path, text: str | bytes, name: str = "mine.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_built_in_profiles_are_always_there(folder: Path) -> None:
    assert names(folder) == ("default", "careful")
    assert load(folder, "default").limits == RiskLimits()
    assert load(folder, "default").stated == ()
    assert not folder.exists(), "looking makes nothing"


def test_careful_loosens_nothing_and_tightens_every_limit_with_a_direction_but_the_edge() -> None:
    careful = BUILT_IN["careful"].limits
    assert loosened(RiskLimits(), careful) == ()
    tightened = {change.name.split("[")[0] for change in changes(RiskLimits(), careful)}
    directed = {item.name for item in limit_fields() if item.metadata["tighter"] != "neither"}
    assert tightened == directed - {"edge_pips_min"} | {"trading_windows"}
    assert set(BUILT_IN["careful"].stated) == tightened


def test_built_in_profiles_set_nothing_by_hand() -> None:
    assert BUILT_IN["default"].by_hand == BUILT_IN["careful"].by_hand == ()
    assert MINE.by_hand == ("positions_max",)


def test_saved_is_loaded_and_listed_and_deleted(folder: Path) -> None:
    path = save(folder, MINE)
    assert path == folder / "mine.json"
    assert json.loads(path.read_text()) == {"keel_limits": 1, "name": "mine", "limits": {"positions_max": "2"}}
    assert load(folder, "mine") == MINE
    assert names(folder) == ("default", "careful", "mine")
    assert [each.name for each in folder.iterdir()] == ["mine.json"], "no temporary file is left"
    delete(folder, "mine")
    assert names(folder) == ("default", "careful")
    with pytest.raises(ConfigError, match="'mine' is unknown; known are default, careful."):
        load(folder, "mine")


@given(limits=limit_sets())
def test_every_set_of_limits_survives_the_file(limits: RiskLimits, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("profiles") / "any.json"
    profile = Profile(name="any", limits=limits, stated=stated_by(limits))
    write_file(path, profile)
    assert read_file(path) == profile


def test_a_byte_order_mark_is_read_over(folder: Path) -> None:
    path = put(folder, document().encode("utf-8-sig"))
    assert read_file(path) == load(folder, "mine") == MINE


def test_what_is_not_stated_is_the_default_and_not_by_hand(folder: Path) -> None:
    put(folder, document(limits={"drawdown_pct_max": "4", "position_units_max": {"*": "1000"}}))
    profile = load(folder, "mine")
    assert profile.by_hand == ("position_units_max", "drawdown_pct_max"), "in the order of the limits"
    assert profile.limits == RiskLimits(drawdown_pct_max=Decimal(4), position_units_max={"*": Decimal(1_000)})
    assert set(limits_by_hand()) - set(profile.by_hand)


def test_a_mapping_without_its_star_changes_the_defaults_and_is_not_by_hand(folder: Path) -> None:
    put(folder, document(limits={"position_units_max": {"EUR_USD": "1000", "XAU_USD": "5"}, "positions_max": "2"}))
    profile = load(folder, "mine")
    units = {ANY: Decimal(100_000), "XAU_USD": Decimal(5), "XAG_USD": Decimal(3_000), "EUR_USD": Decimal(1_000)}
    assert profile.limits == RiskLimits(positions_max=2, position_units_max=units)
    assert (profile.stated, profile.by_hand) == (("position_units_max", "positions_max"), ("positions_max",))
    save(folder, profile, replace=True)
    assert load(folder, "mine") == profile


def test_only_what_the_defaults_fill_to_the_same_goes_without_its_star() -> None:
    def partly(values: dict[str, Decimal]) -> tuple[str, ...]:
        name = "position_units_max"
        return Profile(name="x", limits=RiskLimits(position_units_max=values), stated=(name,), partly=(name,)).partly

    defaults = RiskLimits().position_units_max
    assert partly({**defaults, "EUR_USD": Decimal(1)}) == ("position_units_max",)
    assert partly({**defaults, ANY: Decimal(1)}) == partly({ANY: defaults[ANY], "EUR_USD": Decimal(1)}) == ()


def test_stated_by_names_what_differs_and_what_was_named_beside() -> None:
    limits = RiskLimits(positions_max=2, drawdown_pct_max=Decimal(4))
    assert stated_by(limits) == ("positions_max", "drawdown_pct_max")
    assert stated_by(limits, ["risk_per_trade_pct"]) == ("risk_per_trade_pct", "positions_max", "drawdown_pct_max")


@pytest.mark.parametrize("name", ["default", "careful", "Careful", "DEFAULT"])
def test_built_in_profiles_are_read_only(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="built in"):
        save(folder, Profile(name=name, limits=RiskLimits()), replace=True)
    with pytest.raises(ConfigError, match="built in"):
        delete(folder, name)
    assert not folder.exists()


def test_a_file_cannot_stand_in_for_a_built_in_profile(folder: Path) -> None:
    put(folder, document(name="careful", limits={"positions_max": "100"}), "careful.json")
    assert load(folder, "careful").limits.positions_max == 2
    assert names(folder) == ("default", "careful")


def test_saving_over_another_needs_to_be_asked_for(folder: Path) -> None:
    save(folder, MINE)
    other = Profile(name="mine", limits=RiskLimits(positions_max=3), stated=("positions_max",))
    with pytest.raises(ConfigError, match="take another name, or replace it on the command line with --replace."):
        save(folder, other)
    assert load(folder, "mine") == MINE
    save(folder, other, replace=True)
    assert load(folder, "mine") == other


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../mine", "a/b", "a\\b", "mine.json", "a b", "x" * 41, "müller", "a\n", "a\0", "/etc/passwd"],
)
def test_a_name_that_is_none_is_refused_everywhere(folder: Path, name: str) -> None:
    put(folder.parent, document(), "mine.json")
    before = everything(folder.parent)
    for act in (
        lambda: load(folder, name),
        lambda: save(folder, Profile(name=name, limits=RiskLimits())),
        lambda: delete(folder, name),
    ):
        with pytest.raises(ConfigError, match="must be 1 to 40 letters a-z or A-Z, digits, - and _"):
            act()
    assert everything(folder.parent) == before and not folder.exists()


BAD = {
    "no json": ("{", "is no JSON"),
    "nothing": ("", "is no JSON"),
    "a list": ("[]", "it is no profile; that begins with"),
    "another format": (document(keel_limits=2), "keel_limits is 2; this build reads format 1."),
    "a format in words": (document(keel_limits="1"), "keel_limits is 1; this build reads"),
    "a format that is true": (document(keel_limits=True), "keel_limits is True"),
    "no mark": ('{"name": "mine", "limits": {}}', "it is no profile"),
    "a strange key": (document(comment="x"), "'comment' is unknown; known are keel_limits, name and limits."),
    "no name": ('{"keel_limits": 1, "limits": {}}', "name must be a text."),
    "a bad name": (document(name="../x"), "Profile name '../x' must be"),
    "another name": (document(name="yours"), "holds the profile 'yours'"),
    "no limits": ('{"keel_limits": 1, "name": "mine"}', "limits must be an object"),
    "limits in a list": (document(limits=["positions_max"]), "limits must be an object"),
    "an unknown limit": (document(limits={"max_loss": "1"}), "Limit 'max_loss' is unknown; "),
    "out of range": (
        document(limits={"positions_max": "0"}),
        "positions_max is 0; it must be from 1 to 100 (positions).",
    ),
    "a number": (document(limits={"positions_max": 2}), "positions_max must be one text, like '5'."),
    "null": (document(limits={"positions_max": None}), "positions_max must be one text"),
    "not a number": (document(limits={"risk_per_trade_pct": "NaN"}), "it must be a number from 0.01 to 5"),
    "infinity": (document(limits={"risk_per_trade_pct": float("inf")}), "risk_per_trade_pct must be one text"),
    "an empty mapping": (document(limits={"spread_pips_max": {}}), "spread_pips_max needs an entry '*'"),
    "a key of no such limit": (document(limits={"positions_max": {"EUR_USD": "1"}}), "positions_max must be one text"),
    "a bad value of one key": (
        document(limits={"spread_pips_max": {"EUR_USD": "0"}}),
        "spread_pips_max[EUR_USD] is 0; it must be from 0.1",
    ),
    "a bad window": (document(limits={"trading_windows": {"*": "late"}}), "trading_windows[*] is 'late'; it must be"),
    "a key twice": ('{"keel_limits": 1, "name": "mine", "limits": {}, "limits": {}}', "'limits' is there twice."),
    "a limit twice": (
        '{"keel_limits": 1, "name": "mine", "limits": {"positions_max": "1", "positions_max": "9"}}',
        "'positions_max' is there twice.",
    ),
    "an instrument twice": (
        '{"keel_limits": 1, "name": "mine", "limits": {"spread_pips_max": {"*": "1", "*": "9"}}}',
        "'*' is there twice.",
    ),
    "a book": (document(limits={"positions_max": "9" * 300}), "is no word of a profile"),
    "two lines": (document(limits={"spread_pips_max": {"*": "1", "EUR\nUSD": "1"}}), "is no word of a profile"),
    "half a letter": ('{"keel_limits": 1, "name": "\\ud800", "limits": {}}', "is no word of a profile"),
    "too large": (document() + " " * BYTES_MAX, f"is larger than {BYTES_MAX} bytes"),
    "too deep": ("[" * 60_000, "is nested too deeply"),
    "latin": (b'{"name": "\xfc"}', "is no text in UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name_and_stays_as_it_is(folder: Path, case: str) -> None:
    text, sentence = BAD[case]
    path = put(folder, text)
    before = everything(folder)
    with pytest.raises(ConfigError) as refused:
        load(folder, "mine")
    told = str(refused.value)
    assert sentence in told and str(path) in told and "\n" not in told and len(told) < 1_500
    if case != "another name":
        with pytest.raises(ConfigError):
            read_file(path)
    assert everything(folder) == before


def test_all_that_is_bad_is_named_at_once(folder: Path) -> None:
    put(folder, document(limits={"positions_max": "0", "max_loss": "1", "drawdown_pct_max": "200"}))
    with pytest.raises(ConfigError) as refused:
        load(folder, "mine")
    assert all(word in str(refused.value) for word in ("positions_max is 0", "'max_loss'", "drawdown_pct_max is 200"))


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are made the POSIX way")
def test_links_and_pipes_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = put(tmp_path, document(), "outside.json")
    before = outside.read_bytes()
    folder.mkdir(parents=True)
    (folder / "mine.json").symlink_to(outside)
    for act in (
        lambda: load(folder, "mine"),
        lambda: save(folder, MINE, replace=True),
        lambda: delete(folder, "mine"),
        lambda: write_file(folder / "mine.json", MINE),
    ):
        with pytest.raises(ConfigError, match="is a link or no plain file"):
            act()
    assert outside.read_bytes() == before and (folder / "mine.json").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no plain file"):
        read_file(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no plain file"):
        write_file(tmp_path / "pipe", MINE)


@pytest.mark.skipif(os.name != "posix", reason="links are made the POSIX way")
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    linked = tmp_path / "profiles"
    linked.symlink_to(tmp_path / "elsewhere")
    for act in (lambda: names(linked), lambda: load(linked, "mine"), lambda: save(linked, MINE)):
        with pytest.raises(ConfigError, match="is a link"):
            act()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder, MINE)
    before = everything(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        save(folder, Profile(name="mine", limits=RiskLimits()), replace=True)
    assert everything(folder) == before


def test_files_with_other_names_are_no_profiles(folder: Path) -> None:
    for name in ("readme.txt", ".mine.json.part", "a b.json", f"{'x' * 41}.json"):
        put(folder, document(), name)
    assert names(folder) == ("default", "careful")


def test_a_folder_that_is_a_file_is_refused_in_words(folder: Path) -> None:
    put(folder.parent, "not a folder", "profiles")
    for act in (lambda: names(folder), lambda: load(folder, "mine"), lambda: save(folder, MINE)):
        with pytest.raises(ConfigError):
            act()


@given(data=st.binary(max_size=200))
def test_whatever_a_file_holds_is_read_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("profiles") / "any.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        read_file(path)
