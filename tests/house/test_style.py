"""Names, room cards, the top level and the lock: what a reader may rely on everywhere."""

import ast
import io
import re
import tokenize
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from streamlit import config

ROOT = Path(__file__).resolve().parents[2]
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
PYTHON = [path for folder in ("engine", "pages", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]

ROOM_CARD = ("I am ", "I may import ", "I must not ", "My tests are ")
TOP_LEVEL = {
    "app.py",
    "pages",
    "engine",
    "models",
    "data",
    "tests",
    "requirements.txt",
    ".env.example",
    "README.md",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    ".streamlit",
    ".ci",
    "docs",
    "benchmarks",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    ".gitignore",
    ".git",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked() -> dict[str, str]:
    """Each pinned package of the lock with the text up to the next one."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", text_of("requirements.lock"), flags=re.MULTILINE)[1:]
    return {block.split("==")[0]: block for block in blocks}


def test_no_file_is_named_after_nothing() -> None:
    empty_names = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)$")
    assert [name_of(path) for path in PYTHON if empty_names.search(path.stem)] == []


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_engine_module_begins_with_its_room_card(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    card = docstring.split("\n\n")[0].splitlines()
    assert len(card) == len(ROOM_CARD), f"{name_of(path)} needs a first paragraph of four lines: {ROOM_CARD}"
    for line, start in zip(card, ROOM_CARD, strict=True):
        assert line.startswith(start), f"{name_of(path)}: {line!r} should begin with {start!r}"


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_engine_says_instrument_and_never_symbol(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    found = [token for token in tokens if token.type == tokenize.NAME and "symbol" in token.string.lower()]
    assert [f"{name_of(path)}:{token.start[0]} {token.string}" for token in found] == []


def test_top_level_holds_only_what_the_plan_allows() -> None:
    ignored = {line.strip("/") for line in text_of(".gitignore").splitlines()}
    assert sorted(path.name for path in ROOT.iterdir() if path.name not in TOP_LEVEL | ignored) == []


def test_each_pin_has_an_exact_version_and_hashes() -> None:
    pins = locked()
    assert len(pins) > 50
    unsafe = [name for name, block in pins.items() if not re.search(r"^[\w.-]+==\S+.*\\\n    --hash=sha256:", block)]
    assert unsafe == []


def test_lock_answers_requirements() -> None:
    pins = {canonicalize_name(name): block.split("==")[1].split()[0] for name, block in locked().items()}
    lines = (line.split("#")[0].strip() for line in text_of("requirements.txt").splitlines())
    for wanted in (Requirement(line) for line in lines if line):
        version = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted} is pinned to {version}; run make lock"


def test_requirements_and_lock_name_no_host_and_no_path() -> None:
    text = text_of("requirements.txt") + text_of("requirements.lock")
    assert re.findall(r"\S*(?:://|--index|--find-links)\S*", text) == []


def test_streamlit_knows_every_option_of_the_shipped_config() -> None:
    known = config.get_config_options().keys()
    shipped = {
        f"{section}.{key}" + (f".{leaf}" if leaf else "")
        for section, options in tomllib.loads(text_of(".streamlit/config.toml")).items()
        for key, value in options.items()
        for leaf in (value if isinstance(value, dict) else [""])
    }
    assert shipped - known == set()


def test_shipped_config_keeps_its_safe_defaults() -> None:
    options = tomllib.loads(text_of(".streamlit/config.toml"))
    server = options["server"]
    assert server["address"] == "127.0.0.1"
    assert set(server["allowedHosts"]) == {"localhost", "127.0.0.1"}
    assert server["enableCORS"] is server["enableXsrfProtection"] is True
    assert server["enableStaticServing"] is server["enableAgentApi"] is server["runOnSave"] is False
    assert server["xsrfCookieSameSite"] == "strict"
    assert server["fileWatcherType"] == "none"
    assert server["maxUploadSize"] <= 5
    assert options["browser"]["gatherUsageStats"] is False
    assert options["client"] == {"toolbarMode": "viewer", "showErrorLinks": False, "showErrorDetails": "none"}
    assert options["runner"]["postScriptGC"] is False
