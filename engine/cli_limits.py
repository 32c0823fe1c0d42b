"""I am `python -m engine limits …`: profiles of limits shown, saved, compared and carried between files.
I may import profiles, config and the domain.
I must not apply limits to anything; a session does, when it is started with them.
My tests are in tests/unit/test_cli_limits.py.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from engine import profiles
from engine.config import load_settings
from engine.domain.error import ConfigError
from engine.domain.limit_changes import changes, limits_from_text, limits_named, limits_touched, values_of
from engine.domain.limits import ANY, RiskLimits, counted, limit_fields

limits_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look after profiles of risk limits.")
_LOOSENS = "LOOSENS"


def session_limits(profile: str, texts: Sequence[str]) -> tuple[RiskLimits, tuple[str, ...]]:
    """Make the limits of a profile, or the defaults, with NAME=VALUE texts on top; name those that are set by hand."""
    if not profile:
        return limits_from_text(texts), limits_named(texts)
    base = profiles.load(_folder(), profile)
    return limits_from_text(texts, base.limits), tuple(dict.fromkeys((*base.by_hand, *limits_named(texts))))


@limits_app.command("show")
def show_limits(
    profile: Annotated[str, typer.Argument(help="name of a profile")] = profiles.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Show every limit of a profile with its value; a * marks what the profile states itself."""
    shown = profiles.load(_folder(), profile)
    values = values_of(shown.limits, [item.name for item in limit_fields()])
    if as_json:
        told = {"name": shown.name, "built_in": shown.built_in, "stated": list(shown.stated), "limits": values}
        typer.echo(json.dumps(told))
        return 0
    for item in limit_fields():
        mark = "*" if item.name in shown.stated else " "
        value, unit = _line(values[item.name]), str(item.metadata["unit"])
        with_unit = counted(value, unit) if "low" in item.metadata else f"{value} (allowed: {unit})"
        typer.echo(f"{mark} {item.name:<22} {with_unit}")
    return 0


@limits_app.command("list")
def list_profiles() -> int:
    """List the profiles, the built-in ones first; name what is wrong with unusable ones, then with exit code 1."""
    folder, is_sound = _folder(), True
    for name in profiles.names(folder):
        try:
            found = profiles.load(folder, name)
        except ConfigError as error:
            typer.echo(str(error), err=True)
            is_sound = False
            continue
        count = f"{len(found.stated)} {'limit' if len(found.stated) == 1 else 'limits'} stated"
        typer.echo(f"{name}: {count}{', built in' if found.built_in else ''}")
    return 0 if is_sound else 1


@limits_app.command("save")
def save_profile(
    name: Annotated[str, typer.Argument(help="letters, digits, - and _")],
    limit: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for example risk_per_trade_pct=0.25")] = None,
    base: Annotated[str, typer.Option("--from", help="profile to begin with")] = profiles.DEFAULT,
    replacing: Annotated[bool, typer.Option("--replace", help="overwrite a profile of this name")] = False,
) -> int:
    """Save limits under a name: what the other profile states, and each --limit."""
    folder, texts = _folder(), limit or ()
    begun = profiles.load(folder, base)
    limits = limits_from_text(texts, begun.limits)
    stated = (*begun.stated, *limits_touched(texts))
    whole = (*begun.whole, *limits_named(texts))
    partly = tuple(each for each in stated if each not in whole)
    made = profiles.Profile(name=name, limits=limits, stated=stated, partly=partly)
    typer.echo(f"Saved to {profiles.save(folder, made, replace=replacing)}.", err=True)
    return 0


@limits_app.command("diff")
def diff_profiles(
    before: Annotated[str, typer.Argument(help="name of a profile")],
    after: Annotated[str, typer.Argument(help="name of another one")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Name every limit that differs, and mark what the second profile loosens."""
    folder = _folder()
    told = changes(profiles.load(folder, before).limits, profiles.load(folder, after).limits)
    if as_json:
        rows = [{"name": one.name, "before": one.before, "after": one.after, "loosens": one.loosens} for one in told]
        typer.echo(json.dumps({"before": before, "after": after, "changes": rows}))
        return 0
    for change in told:
        typer.echo(f"{_LOOSENS if change.loosens else '':<7} {change.name}: {change.before} -> {change.after}")
    if not told:
        typer.echo("No difference.")
    return 0


@limits_app.command("export")
def export_profile(
    profile: Annotated[str, typer.Argument(help="name of a profile")],
    out: Annotated[Path, typer.Option(help="file to write")],
) -> int:
    """Write what a profile states to a file."""
    shown = profiles.load(_folder(), profile)
    profiles.write_file(out, shown)
    typer.echo(f"{len(shown.stated)} limits written to {out}.", err=True)
    return 0


@limits_app.command("import")
def import_profile(
    file: Annotated[Path, typer.Argument(help="file to read")],
    name: Annotated[str, typer.Option(help="name to save it under; default: the one in the file")] = "",
    replacing: Annotated[bool, typer.Option("--replace", help="overwrite a profile of this name")] = False,
) -> int:
    """Read a profile from a file and save it; a file that is bad anywhere is refused as a whole."""
    read = profiles.read_file(file)
    made = replace(read, name=name or read.name)
    typer.echo(f"Saved to {profiles.save(_folder(), made, replace=replacing)}.", err=True)
    return 0


@limits_app.command("delete")
def delete_profile(name: Annotated[str, typer.Argument(help="name of a saved profile")]) -> int:
    """Remove a saved profile; sessions that were started with it keep their limits."""
    profiles.delete(_folder(), name)
    typer.echo(f"Profile {name} is gone.", err=True)
    return 0


def _folder() -> Path:
    return load_settings().profiles_dir


def _line(value: str | dict[str, str]) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(part if key == ANY else f"{key} {part}" for key, part in value.items())
