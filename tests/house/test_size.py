"""The house stays small: files, functions and catch-all handlers have an upper limit."""

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
SOURCES = [ROOT / "app.py", *ENGINE, *sorted((ROOT / "pages").rglob("*.py"))]

# The boundaries of the session, of the engine thread and of the gateway: each journals what it caught.
CATCH_ALL_PLACES = {"engine/node.py", "engine/gateway/app.py"}
CATCH_ALL_NAMES = {"Exception", "BaseException"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions_of(path: Path) -> dict[str, int]:
    """Length in lines of each function, from `def` to its last line, keyed by where it is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(name, ast.Name) and name.id in CATCH_ALL_NAMES for name in caught)


def catch_alls_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    return [f"{name_of(path)}:{handler.lineno}" for handler in handlers if catches_all(handler)]


def test_no_file_is_longer_than_500_lines() -> None:
    assert {name_of(path): lines_of(path) for path in SOURCES if lines_of(path) > 500} == {}


def test_engine_file_median_is_at_most_250_lines() -> None:
    assert median(lines_of(path) for path in ENGINE) <= 250


def test_no_function_is_longer_than_70_lines() -> None:
    lengths = {place: lines for path in SOURCES for place, lines in functions_of(path).items()}
    assert {place: lines for place, lines in lengths.items() if lines > 70} == {}


def test_engine_function_median_is_at_most_10_lines() -> None:
    assert median(lines for path in ENGINE for lines in functions_of(path).values()) <= 10


def test_catch_all_handlers_are_at_most_three_and_in_the_named_places() -> None:
    found = [place for path in SOURCES for place in catch_alls_of(path)]
    assert [place for place in found if place.split(":")[0] not in CATCH_ALL_PLACES] == []
    assert len(found) <= 3, found
