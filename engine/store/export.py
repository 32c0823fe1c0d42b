"""I am trades and gate costs as CSV files that open in a spreadsheet and still add up to the last decimal.
I may import the domain, gate_costs, and queries and schema of my own floor.
I must not write to the database, nor leave half a file.
My tests are in tests/unit/store/test_export.py.
"""

import csv
import io
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import TextIO

from engine.domain.calendar import iso_utc
from engine.domain.error import ConfigError
from engine.gate_costs import GateCost, gate_costs
from engine.store.queries import RunRow, TradeRow, blocked_outcomes, connect_readonly, each_trade, runs
from engine.store.schema import refusal

NS_PER_S = 1_000_000_000

# A spreadsheet would run a text cell that begins with one of these (OWASP ASVS 1.2.10).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TIMES = {"entry_ns": "entry_time", "exit_ns": "exit_time"}
_COLUMNS = TradeRow.__struct_fields__
_VALUES = attrgetter(*_COLUMNS)
RUNS_MAX = 1_000_000
_GATE_COLUMNS = (*GateCost.__struct_fields__, "verdict")
_GATE_VALUES = attrgetter(*_GATE_COLUMNS)


def trades_csv(
    path: Path,
    run_id: int | None = None,
    instrument: str | None = None,
    state: str | None = None,
    side: str | None = None,
) -> bytes:
    """Return the matching trades as UTF-8 CSV, newest first; without a database only the header.

    Decimals are exact; each time stands in nanoseconds and as ISO 8601 UTC. Raises ConfigError for a bad database.
    """
    out = io.StringIO(newline="")
    _write(out, _trades(path, run_id, instrument, state, side))
    return out.getvalue().encode()


def write_trades_csv(
    database: Path,
    out: Path,
    run_id: int | None = None,
    instrument: str | None = None,
    state: str | None = None,
    side: str | None = None,
) -> int:
    """Write the matching trades to a CSV file that appears complete or not at all; return the number of trades.

    Raises ConfigError when there is no such database, or the file cannot be written.
    """
    _check_places(database, out)
    _check_run(database, run_id)
    rows = _trades(database, run_id, instrument, state, side)
    return _write_whole(out, lambda file: _write(file, rows))


def write_gate_costs_csv(database: Path, out: Path, run_id: int | None = None) -> int:
    """Write what each gate of each run saved or cost to such a CSV file; return the number of lines below the header.

    Runs stand apart, because their accounts need not have one currency. Raises ConfigError as write_trades_csv does.
    """
    _check_places(database, out)
    _check_run(database, run_id)
    rows = _gate_costs(database, run_id)
    return _write_whole(out, lambda file: _write_gate_costs(file, rows))


def _check_places(database: Path, out: Path) -> None:
    if not database.exists():
        raise ConfigError(f"Database {database} does not exist; name one that a session has written.")
    if out.is_dir() or out.resolve() == database.resolve():
        raise ConfigError(f"Export cannot be written to {out}; name a CSV file.")
    if out.is_symlink() or (out.exists() and not out.is_file()):
        raise ConfigError(f"Export cannot be written to {out}: it is not a plain file; name a CSV file.")


def _write_whole(out: Path, write: Callable[[TextIO], int]) -> int:
    """Let a file appear complete or not at all."""
    try:
        descriptor, part = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part")
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            count = write(file)
            file.flush()
            os.fsync(descriptor)
        os.chmod(part, _plain_mode(out))
        os.replace(part, out)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        Path(part).unlink(missing_ok=True)
    return count


def _plain_mode(out: Path) -> int:
    """Permissions of the file that is replaced, else those that a new file gets (mkstemp's are for us alone)."""
    if out.exists():
        return out.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _check_run(database: Path, run_id: int | None) -> None:
    if run_id is None:
        return
    conn = connect_readonly(database)
    try:
        known = [run.run_id for run in runs(conn, limit=RUNS_MAX)]
    except sqlite3.Error as error:
        raise refusal(database, error) from error
    finally:
        conn.close()
    if run_id not in known:
        raise ConfigError(f"Run {run_id} does not exist; there are {f'1 to {max(known)}' if known else 'none yet'}.")


def _unwritable(out: Path, error: OSError) -> ConfigError:
    return ConfigError(f"Export cannot be written to {out} ({error.strerror}); name a file in a writable folder.")


def _trades(
    path: Path, run_id: int | None, instrument: str | None, state: str | None, side: str | None
) -> Iterator[TradeRow]:
    conn = connect_readonly(path)
    try:
        yield from each_trade(conn, run_id, instrument, state, side)
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    finally:
        conn.close()


def _gate_costs(path: Path, run_id: int | None) -> Iterator[tuple[RunRow, GateCost]]:
    conn = connect_readonly(path)
    try:
        for run in runs(conn, limit=RUNS_MAX):
            if run_id in (None, run.run_id):
                yield from ((run, cost) for cost in gate_costs(blocked_outcomes(conn, run.run_id)))
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    finally:
        conn.close()


def _write_gate_costs(file: TextIO, rows: Iterable[tuple[RunRow, GateCost]]) -> int:
    writer = csv.writer(file)
    writer.writerow(["run_id", "currency", *_GATE_COLUMNS])
    count = 0
    for run, cost in rows:
        cells = zip(_GATE_COLUMNS, _GATE_VALUES(cost), strict=True)
        writer.writerow([run.run_id, run.currency, *(cell for name, value in cells for cell in _cells(name, value))])
        count += 1
    return count


def _write(file: TextIO, trades: Iterable[TradeRow]) -> int:
    writer = csv.writer(file)
    writer.writerow([title for name in _COLUMNS for title in ((name, _TIMES[name]) if name in _TIMES else (name,))])
    count = 0
    for trade in trades:
        cells = zip(_COLUMNS, _VALUES(trade), strict=True)
        writer.writerow([cell for name, value in cells for cell in _cells(name, value)])
        count += 1
    return count


def _cells(name: str, value: object) -> tuple[object, ...]:
    if name in _TIMES:
        return value, None if value is None else iso_utc(int(str(value)))
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return (f"'{value}",)
    return (value,)
