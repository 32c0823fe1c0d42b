"""I am the command line: `python -m engine …`, for people and scripts without a browser.
I may import node, wiring, config, cli_kill, cli_limits and the store's export, backup and checkup.
I must not trade by another path than the console does: I start the same node.
My tests are in tests/unit/test_cli.py.
"""

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from typer.exceptions import TyperException

from engine import arguments, wiring
from engine.cli_kill import flatten, halt, refused, status
from engine.cli_limits import limits_app, session_limits
from engine.config import Settings, configure_logging, load_settings
from engine.domain.calendar import iso_utc
from engine.domain.check import Check, obstacle
from engine.domain.command import Arming, Mode, SessionConfig, StartSession, StopSession
from engine.domain.error import ConfigError, KeelError
from engine.domain.event import SessionState
from engine.domain.market import Granularity
from engine.node import DatabaseLock, TradingNode
from engine.snapshot import Snapshot
from engine.store.backup import back_up
from engine.store.checkup import rebuild_tables, verify
from engine.store.export import write_gate_costs_csv, write_trades_csv
from engine.store.queries import connect_readonly

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
export_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write tables to files.")
models_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the models.")
bars_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at recorded bar files.")
app.add_typer(limits_app, name="limits")
app.add_typer(export_app, name="export")
app.add_typer(models_app, name="models")
app.add_typer(bars_app, name="bars")
store_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look after the database.")
app.add_typer(store_app, name="store")


def main(words: list[str] | None = None) -> int:
    """Run one command; bad input is one sentence on stderr and exit code 2, a failed run 1."""
    words = sys.argv[1:] if words is None else words
    try:
        result = app(words, standalone_mode=False, prog_name="python -m engine")
    except ConfigError as error:
        return _complain(refused(str(error), words), 2)
    except KeelError as error:
        return _complain(str(error), 1)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort:
        return _complain("Aborted.", 130)
    except TyperException as error:
        return _complain(refused(error.format_message(), words), 2)
    return result if isinstance(result, int) else 0


@app.command()
def session(
    mode: Annotated[str, typer.Option(help="sandbox, replay, paper, practice or live")] = "sandbox",
    model: Annotated[
        str, typer.Option(help="model id, for example sma-cross, sma-cross:5/20, flat, starter")
    ] = "sma-cross",
    instruments: Annotated[str, typer.Option(help="comma-separated, for example EUR_USD,USD_JPY")] = "",
    bars: Annotated[list[str] | None, typer.Option(help="EUR_USD=FILE or FILE, may be given more than once")] = None,
    seed: Annotated[str, typer.Option(help="seed of the generated market")] = "1",
    speed: Annotated[str, typer.Option(help="market seconds per second, or max")] = "",
    duration: Annotated[str, typer.Option(help="market time, for example 90s, 10m, 8h, 5d")] = "",
    granularity: Annotated[str, typer.Option(help="length of a bar in the sandbox, for example S30, M1, M5")] = "",
    capital: Annotated[str, typer.Option(help="opening balance")] = "100000",
    currency: Annotated[str, typer.Option(help="currency of the account")] = "USD",
    profile: Annotated[str, typer.Option(help="limits of this profile; --limit goes on top")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for example risk_per_trade_pct=0.25")] = None,
    news: Annotated[Path | None, typer.Option(help="calendar of news; default: news.csv in the data folder")] = None,
    confirm: Annotated[str, typer.Option(help="mode live: TRADE LIVE and the account's last four digits")] = "",
    new_books: Annotated[
        bool, typer.Option("--new-books", help="forget what earlier runs recorded of the account")
    ] = False,
    db: Annotated[Path | None, typer.Option(help="database file; default: console.sqlite in the data folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Run a session without the console: logs go to stderr, the result to stdout."""
    settings = load_settings()
    configure_logging(settings.log_level, secrets=wiring.secrets(settings))
    chosen = arguments.mode_named(mode)
    _check_places(chosen, granularity, db)
    limits, by_hand = session_limits(profile, limit or ())
    config = SessionConfig(
        mode=chosen,
        instruments=arguments.names(instruments),
        granularity=Granularity.parse(granularity or "M1"),
        model_id=model,
        capital_home=arguments.decimal("--capital", capital),
        currency=currency,
        seed=arguments.whole("--seed", seed),
        speed=arguments.pace(speed, chosen),
        duration_s=arguments.duration_s(duration),
        bars=tuple(arguments.bar_file(text) for text in bars or ()),
        limits=limits,
    )
    begun = time.monotonic()
    prepared = wiring.prepare(config, settings, Arming(phrase=confirm, limits_set=by_hand), db, news_file=news)
    loaded = time.monotonic()
    notes = [imported.summary() for imported in prepared.imported]
    notes += filter(None, [wiring.advice(config, settings, db or settings.database_path)])
    for note in notes:
        typer.echo(note, err=True)
    final = _run(prepared, settings, db, new_books=new_books)
    result = _result(final, seconds=time.monotonic() - loaded, loading=loaded - begun)
    _show(result, as_json)
    return 0 if final.session_state is SessionState.STOPPED else 1


@app.command()
def venue(
    port: Annotated[str, typer.Option(help="port on 127.0.0.1")],
    token: Annotated[str, typer.Option(help="the token that clients must send")],
    account: Annotated[str, typer.Option(help="account id, for example 101-001-1234567-001")],
    seed: Annotated[str, typer.Option(help="seed of the generated market")] = "1",
    bars: Annotated[list[str] | None, typer.Option(help="EUR_USD=FILE or FILE, may be given more than once")] = None,
    speed: Annotated[str, typer.Option(help="market seconds per second")] = "1",
    balance: Annotated[str, typer.Option(help="opening balance")] = "100000",
    currency: Annotated[str, typer.Option(help="currency of the account")] = "USD",
    control_port: Annotated[str, typer.Option(help="port for prices by hand; for tests only")] = "",
) -> int:
    """Serve a simulated account on loopback that OANDA v20 clients can trade on."""
    from engine.venue.launch import VenueTerms, run_venue  # a web server, which no other command needs to load

    pace = arguments.pace(speed, Mode.SANDBOX)
    if pace is None:
        raise ConfigError("--speed max is not possible for a venue; give a number of market seconds per second.")
    terms = VenueTerms(
        port=arguments.whole("--port", port),
        token=token,
        account=account,
        seed=arguments.whole("--seed", seed),
        bars=tuple(arguments.bar_file(text) for text in bars or ()),
        speed=pace,
        balance=arguments.decimal("--balance", balance),
        currency=currency,
        control_port=arguments.whole("--control-port", control_port) if control_port else None,
    )

    def ready(address: str, notes: Sequence[str]) -> None:
        for note in notes:
            typer.echo(note, err=True)
        typer.echo(f"The venue listens on {address}; account {account}.")

    run_venue(terms, ready)
    return 0


app.command()(halt)
app.command()(flatten)
app.command()(status)


@app.command()
def doctor(
    mode: Annotated[str, typer.Option(help="sandbox, paper, practice or live")] = "sandbox",
    model: Annotated[str, typer.Option(help="model id")] = "sma-cross",
    instruments: Annotated[str, typer.Option(help="comma-separated, for example EUR_USD,USD_JPY")] = "",
    granularity: Annotated[str, typer.Option(help="length of a bar, for example S30, M1, M5")] = "M1",
    currency: Annotated[str, typer.Option(help="currency of the account")] = "USD",
    profile: Annotated[str, typer.Option(help="limits of this profile; --limit goes on top")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for example risk_per_trade_pct=0.25")] = None,
    db: Annotated[Path | None, typer.Option(help="database file; default: console.sqlite in the data folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Check what has to hold before a session of a mode, and start nothing; exit code 1 when they would refuse it."""
    settings = load_settings()
    configure_logging("WARNING", secrets=wiring.secrets(settings))
    chosen = arguments.mode_named(mode)
    if chosen is Mode.REPLAY:
        raise ConfigError("A replay needs no doctor; `bars check` looks at its files. Choose another mode.")
    _check_places(chosen, granularity, db)
    limits, by_hand = session_limits(profile, limit or ())
    config = SessionConfig(
        mode=chosen,
        instruments=arguments.names(instruments),
        granularity=Granularity.parse(granularity),
        model_id=model,
        currency=currency,
        limits=limits,
    )
    checks = wiring.preflight(config, settings, db, Arming(phrase="", limits_set=by_hand))
    may_start = obstacle(checks) is None
    if as_json:
        typer.echo(msgspec.json.encode({"mode": chosen, "ok": may_start, "checks": checks}).decode())
    else:
        for check in checks:
            typer.echo(_check_line(check))
    return 0 if may_start else 1


@app.command()
def setup() -> int:
    """Make the folders, and train and register the starter model when no trained model exists."""
    settings = load_settings()
    for folder in (settings.data_dir, settings.recordings_dir, settings.models_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    if not wiring.needs_starter(settings):
        return 0
    typer.echo("No usable trained model: training the starter model on the sandbox's own history.", err=True)
    with typer.progressbar(length=1_000, label="Training", file=sys.stderr) as bar:
        done = 0

        def progress(share: float, text: str) -> None:
            nonlocal done
            if sys.stderr.isatty():
                bar.label = f"Training ({text})"
            step = int(share * 1_000) - done
            bar.update(max(step, 0))
            done += max(step, 0)

        title = wiring.train_starter_model(settings, progress)
    typer.echo(f"Registered: {title}.", err=True)
    return 0


@export_app.command("trades")
def export_trades(
    out: Annotated[Path, typer.Option(help="file to write")],
    db: Annotated[Path | None, typer.Option(help="database file")] = None,
    run: Annotated[str, typer.Option(help="number of one run; default: every run")] = "",
) -> int:
    """Write every trade, open ones too, to a CSV file."""
    database = db or load_settings().database_path
    count = write_trades_csv(database, out, run_id=arguments.whole("--run", run) if run else None)
    typer.echo(f"{count} trades written to {out}.", err=True)
    return 0


@export_app.command("gate-costs")
def export_gate_costs(
    out: Annotated[Path, typer.Option(help="file to write")],
    db: Annotated[Path | None, typer.Option(help="database file")] = None,
    run: Annotated[str, typer.Option(help="number of one run; default: every run")] = "",
) -> int:
    """Write what each gate saved or cost, by what its blocked signals would have come to, to a CSV file."""
    database = db or load_settings().database_path
    count = write_gate_costs_csv(database, out, run_id=arguments.whole("--run", run) if run else None)
    typer.echo(f"{count} gates written to {out}.", err=True)
    return 0


@models_app.command("list")
def list_models() -> int:
    """List the models with what they need, and what is wrong with unusable ones."""
    models = wiring.registry(load_settings())
    for spec in models.specs():
        served = ", ".join(spec.instruments) or "any instrument"
        bars = spec.granularity or "any granularity"
        typer.echo(f"{spec.model_id}: {spec.title}; {spec.lookback_bars} bars of {bars}, {served}")
    for problem in models.problems():
        typer.echo(problem, err=True)
    return 0


@bars_app.command("check")
def check_bars(files: Annotated[list[str], typer.Argument(help="EUR_USD=FILE or FILE")]) -> int:
    """Read recorded bar files and name every line that would be dropped."""
    for text in files:
        imported = wiring.read_recording(*arguments.bar_file(text))
        typer.echo(imported.summary())
        for problem in imported.problems:
            typer.echo(f"  line {problem.line}: {problem.text}")
    return 0


@store_app.command("verify")
def verify_store(
    db: Annotated[Path | None, typer.Option(help="database file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> int:
    """Check the database in every way, also while a session runs: the file, its chain, tables and balances."""
    database = db or load_settings().database_path
    checks = verify(database)
    is_sound = all(check.ok for check in checks)
    if as_json:
        told = {"database": str(database), "ok": is_sound, "checks": checks}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        for check in checks:
            typer.echo(f"{'ok' if check.ok else 'BROKEN':<7} {check.check:<9} {check.detail}")
    return 0 if is_sound else 1


@store_app.command("rebuild")
def rebuild_store(db: Annotated[Path | None, typer.Option(help="database file")] = None) -> int:
    """Make every table again from the events; refused while an engine owns the database."""
    database = db or load_settings().database_path
    if not database.is_file():
        raise ConfigError(f"Database {database} does not exist; name one that a session has written.")
    lock = DatabaseLock(database)
    lock.acquire()
    try:
        count = rebuild_tables(database)
    finally:
        lock.release()
    typer.echo(f"The tables of {database} were made again from {count} events.", err=True)
    return 0


@store_app.command("backup")
def backup_store(
    db: Annotated[Path | None, typer.Option(help="database file")] = None,
    out: Annotated[Path | None, typer.Option(help="file to write; default: a new one in backups")] = None,
) -> int:
    """Copy the database as a whole, also while a session runs; the newest 14 copies in the folder backups are kept."""
    made = back_up(db or load_settings().database_path, wiring.wall_ns(), out)
    typer.echo(str(made))
    return 0


def _check_line(check: Check) -> str:
    word = "ok" if check.ok else "BLOCKS" if check.blocks else "warning"
    wanted = "" if check.ok else f"; wanted: {check.wanted}"
    return f"{word:<8} {check.name:<15} {check.found.rstrip('.')}{wanted}"


def _run(prepared: wiring.Prepared, settings: Settings, db: Path | None, *, new_books: bool) -> Snapshot:
    """Run the session in a node of its own until it ends; Ctrl-C and SIGTERM stop it cleanly."""
    node = TradingNode(settings, db)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        start = StartSession(command_id="cli-start", config=prepared.config, new_books=new_books)
        node.submit(start, prepared)
        while not node.wait_until_idle(0.5):
            pass
    except KeyboardInterrupt:
        node.submit(StopSession(command_id="cli-stop"))
        node.wait_until_idle(10.0)
    finally:
        signal.signal(signal.SIGTERM, previous)
        node.stop()
    final = node.snapshot
    refused = [verdict for verdict in final.verdicts if verdict.command == "StartSession" and not verdict.accepted]
    if refused:
        raise ConfigError(refused[-1].detail)
    return final


def _interrupt(*_: object) -> None:
    """Stop as Ctrl-C does; not by way of SIGINT, which a shell lets its background jobs ignore."""
    raise KeyboardInterrupt


def _result(final: Snapshot, *, seconds: float, loading: float) -> dict[str, object]:
    """Everything a script wants to know about a run; money as decimal strings."""
    counts = final.counts
    config = final.config
    return {
        "run_id": final.run_id,
        "mode": config.mode if config else None,
        "model": config.model_id if config else None,
        "instruments": list(config.instruments) if config else [],
        "granularity": config.granularity if config else None,
        "seed": config.seed if config else None,
        "state": final.session_state,
        "reason": final.reason,
        "bars": counts.bars,
        "decisions": counts.decisions,
        "denied": counts.denied,
        "orders": counts.orders,
        "fills": counts.fills,
        "trades": counts.trades,
        "open_trades": len(final.open_trades),
        "currency": final.currency,
        "opening_balance": str(final.opening_balance_home),
        "realized_pl": str(final.realized_pl_home),
        "financing": str(final.financing_home),
        "commission": str(final.commission_home),
        "closing_balance": str(final.balance_home),
        "unrealized_pl": str(final.unrealized_pl_home),
        "equity": str(final.equity_home),
        "breakers": [
            {"breaker": breaker.name, "tripped": iso_utc(breaker.tripped_ns), "cause": breaker.cause}
            for breaker in final.breakers
            if breaker.tripped_ns is not None
        ],
        "max_drawdown_pct": f"{final.max_drawdown_pct:.4f}",
        "digest": final.digest,
        "seconds": round(seconds, 3),
        "loading_seconds": round(loading, 3),
        "bars_per_second": round(counts.bars / seconds) if seconds > 0 else 0,
    }


def _show(result: dict[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    for name, value in result.items():
        typer.echo(f"{name:<18} {_words(value)}")


def _words(value: object) -> str:
    """Write one value of a result for people."""
    if isinstance(value, list):
        apart = ", " if all(isinstance(each, str) for each in value) else "; "
        return apart.join(map(_words, value)) or "none"
    if isinstance(value, dict):
        return f"{value['breaker']} since {value['tripped']}: {value['cause']}"
    return "none" if value is None else str(value)


def _check_places(mode: Mode, granularity: str, db: Path | None) -> None:
    if mode is Mode.REPLAY and granularity:
        raise ConfigError("--granularity belongs to mode sandbox; a replay has the granularity of its bar files.")
    if db is not None and not db.parent.is_dir():
        raise ConfigError(f"--db is {db}; the folder {db.parent} does not exist.")
    if db is not None and db.exists():
        connect_readonly(db).close()


def _complain(sentence: str, code: int) -> int:
    typer.echo(sentence, err=True)
    return code
