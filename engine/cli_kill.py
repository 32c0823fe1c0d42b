"""I am `python -m engine halt`, `flatten` and `status`: what a person types in an emergency.
I may import kill, wiring, config and the domain.
I must not leave a person in the belief that trading is halted or an account flat when it is not.
My tests are in tests/unit/test_cli_kill.py, tests/unit/test_kill.py and tests/contract/test_kill.py.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from engine import arguments, kill, wiring
from engine.config import configure_logging
from engine.domain.error import ConfigError

_HALTING = ("halt", "flatten")
_TIMEOUT_S_MAX = 3_600


def refused(sentence: str, words: Sequence[str]) -> str:
    """Add to the sentence of a refusal, where somebody wanted to halt, that nothing was: nobody must believe it was."""
    if not (set(words) & set(_HALTING) or get_close_matches("".join(words[:1]).lower(), _HALTING)):
        return sentence
    dot = "" if sentence.endswith((".", "?")) else "."
    return f"{sentence}{dot} Nothing was {'halted or released' if '--release' in words else 'halted'}."


def halt(
    words: Annotated[list[str] | None, typer.Argument(help="why, in plain words")] = None,
    reason: Annotated[str, typer.Option(help="why, for whoever finds the file")] = "",
    release: Annotated[bool, typer.Option("--release", help="remove the file: orders may be sent again")] = False,
    data: Annotated[Path | None, typer.Option(help="data folder; default: the one of .env")] = None,
) -> int:
    """Make the file HALT: no engine of the data folder sends an order any more, this one or a later one."""
    why = " ".join(filter(None, [reason, *(words or ())]))  # whoever is in a hurry forgets the quotes
    if release and why:
        raise ConfigError(f"A release takes no reason, and {why!r} was given; leave out that, or --release to halt.")
    path = kill.halt_path(data)
    for line in kill.release(path) if release else kill.halt(path, why):
        typer.echo(line)
    return 0


def flatten(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before closing")] = False,
    timeout: Annotated[str, typer.Option(help="seconds after which no new round begins")] = "60",
    account: Annotated[str, typer.Option(help="account of the same token; default: the one of .env")] = "",
    data: Annotated[Path | None, typer.Option(help="data folder; default: the one of .env")] = None,
) -> int:
    """Halt, cancel every order and close every position at OANDA, and prove it; needs no console and no database."""
    halted = _halted_first(kill.halt_path(data, may_be_made=data is None))
    try:
        patience = kill.Patience(timeout_s=_timeout_s(timeout))
        settings = kill.kill_settings(data, account)
        name = kill.checked_account(settings)
        configure_logging("WARNING", secrets=wiring.secrets(settings))
        if not yes:
            _confirm_flatten(name)
    except ConfigError as error:
        typer.echo(f"NOT FLAT: {error} Nothing was closed. {halted}")
        return 1
    except typer.Abort:
        typer.echo(f"NOT FLAT: broken off before anything was closed. {halted}")
        return 130
    typer.echo(f"Flattening {name}.", err=True)
    try:
        outcome = kill.flatten(settings, lambda text: typer.echo(text, err=True), patience)
    except KeyboardInterrupt:
        typer.echo(f"NOT FLAT: broken off, {name} was not looked at again; run it again. {halted}", err=True)
        return 130
    typer.echo(outcome.text)
    return 0 if outcome.flat else 1


def status(
    broker: Annotated[bool, typer.Option("--broker", help="ask the broker as well")] = False,
    db: Annotated[Path | None, typer.Option(help="database file; default: console.sqlite in the data folder")] = None,
    data: Annotated[Path | None, typer.Option(help="data folder; default: the one of .env")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Tell whether trading is halted, who owns the database, how its last run stands, and what the broker holds."""
    settings = kill.kill_settings(data)
    configure_logging("WARNING", secrets=wiring.secrets(settings))
    told = kill.status(settings, db, broker=broker)
    if as_json:
        typer.echo(msgspec.json.encode(told).decode())
    else:
        for line in kill.lines(told):
            typer.echo(line)
    for problem in told.problems:
        typer.echo(problem, err=True)
    return 1 if told.problems else 0


def _halted_first(path: Path) -> str:
    """Halt before anything can go wrong; returns the sentence that says whether trading is halted."""
    is_new = not path.parent.exists()
    try:
        lines = kill.halt(path, "flatten")
    except kill.NotWritten as error:
        return str(error)  # closing is tried all the same
    for line in lines:
        typer.echo(line, err=True)
    if is_new:
        return (
            f"The data folder {path.parent} did not exist; the file HALT that was made in it halts no running engine."
        )
    return f"Trading is halted by the file {path}; `python -m engine halt --release` removes it."


def _timeout_s(text: str) -> int:
    seconds = arguments.whole("--timeout", text)
    if not 1 <= seconds <= _TIMEOUT_S_MAX:
        raise ConfigError(f"--timeout {seconds} is out of range; allowed are 1 to {_TIMEOUT_S_MAX} seconds.")
    return seconds


def _confirm_flatten(name: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(f"Nobody can be asked whether to flatten {name}; add --yes.")
    if typer.prompt(f"Type FLATTEN to close everything in {name}", err=True) != "FLATTEN":
        raise ConfigError("FLATTEN was not typed.")
