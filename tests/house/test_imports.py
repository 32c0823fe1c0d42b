"""The plan of the house as pyproject.toml draws it: who may import whom."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# Import-linter refuses names that do not exist yet: this list says which rooms join the contract once they are built.
PURE_ROOMS = {
    "domain",
    "ports",
    "ledger",
    "sizing",
    "risk",
    "execution",
    "reconciliation",
    "session",
    "gate_costs",
    "statistics",
    "snapshot",
}


def test_no_import_breaks_the_plan() -> None:
    linted = subprocess.run([sys.executable, "-c", LINT, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in linted.stdout


def test_every_pure_room_that_exists_is_kept_from_clock_and_io() -> None:
    contract = next(contract for contract in CONTRACTS if "reads no clock" in contract["name"])
    built = {path.stem for path in (ROOT / "engine").iterdir() if path.stem in PURE_ROOMS}
    assert set(contract["source_modules"]) == {f"engine.{room}" for room in built}
