"""The documents say what the code does: names, figures, links and commands in them are those of the code."""

import ast
import io
import re
import shlex
import tokenize
from collections.abc import Iterator
from dataclasses import Field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from dotenv import dotenv_values
from sqlite_utils import Database

from engine import cli, profiles
from engine.adapters.history import fields as bar_fields
from engine.adapters.history.imported import ProblemKind
from engine.adapters.sim.instruments import CATALOGUE
from engine.config import Settings, load_settings
from engine.domain.command import Command, Mode
from engine.domain.decision import Action
from engine.domain.event import KINDS, SessionState, TradingState
from engine.domain.limits import ANY, RiskLimits, Tighter, limit_fields
from engine.domain.order import OrderReason, OrderStatus
from engine.prediction.features import FEATURES
from engine.prediction.manifest import HeldOut, Libraries, ManifestEntry, Trained
from engine.prediction.registry import ModelRegistry
from engine.risk.breakers import DEFAULT_BREAKERS
from engine.risk.rules import DEFAULT_RULES
from engine.snapshot import Snapshot
from engine.store.export import trades_csv
from engine.store.rows import Tally
from engine.store.schema import migrate

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
STRANGE_WORDS = re.compile(r"\b(symbols?|tickers?|pairs?)\b", re.IGNORECASE)
STRANGE_PARTS = frozenset({"symbol", "symbols", "ticker", "tickers", "pair", "pairs"})
# Two things that belong together and are not an instrument: name and value, answer and note, a name and its reverse.
OTHER_PAIRS = frozenset(
    {
        "engine/adapters/oanda/reading.py",
        "engine/domain/limit_changes.py",
        "engine/prediction/predictor.py",
        "engine/profiles.py",
        "engine/wiring.py",
    }
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def quoted(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text_of(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The rows of each table in a text, without head and rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def first_column(text: str) -> list[str]:
    """The names in backticks of each row's first cell, in order."""
    return [name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[0])]


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Language and content of each code block."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """A document without its code blocks and without what stands in backticks."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", text)


def commands() -> Iterator[tuple[str, str]]:
    """Each document with each command line that it shows, without its comment."""
    for path in DOCS:
        lines = [line for language, text in blocks(path) if language != "python" for line in text.splitlines()]
        lines += [span for span in quoted(path.read_text(encoding="utf-8")) if re.match(r"(make|python) \S", span)]
        yield from ((name_of(path), line.split("  #")[0].strip()) for line in lines if line.strip())


def leaves(group: typer.core.TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Each command of the engine by its words, with its options."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), {option for item in command.params for option in item.opts if option.startswith("--")}


def engine_commands() -> dict[tuple[str, ...], set[str]]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    return dict(leaves(group))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))


def test_env_example_names_every_setting_with_its_default(tmp_path: Path) -> None:
    example = ROOT / ".env.example"
    assert set(dotenv_values(example)) == {item.metadata["key"] for item in fields(Settings)}
    assert load_settings({}, example) == Settings()


def test_env_example_says_above_each_setting_what_it_is() -> None:
    lines = text_of(".env.example").splitlines()
    bare = [line for above, line in zip(lines, lines[1:], strict=False) if "=" in line and not above.startswith("# ")]
    assert bare == []


def test_runbook_names_every_setting() -> None:
    assert {item.metadata["key"] for item in fields(Settings)} <= quoted(text_of("docs/runbook.md"))


def test_table_of_limits_has_every_limit_in_order() -> None:
    named = [row[0].strip("`") for row in rows(section("docs/risk.md", "Limits"))]
    assert named == [item.name for item in fields(RiskLimits)]


@pytest.mark.parametrize("item", limit_fields(), ids=lambda item: item.name)
def test_table_of_limits_gives_default_range_and_unit(item: "Field[Any]") -> None:
    row = limit_row(item)
    default = getattr(RiskLimits(), item.name)
    values = default if isinstance(default, dict) else {ANY: default}
    assert row[1] == ", ".join(str(value) if key == ANY else f"{key} {value}" for key, value in values.items())
    assert row[2:4] == [str(item.metadata.get(end, "")) for end in ("low", "high")]
    assert row[4] == item.metadata["unit"]


@pytest.mark.parametrize("item", limit_fields(), ids=lambda item: item.name)
def test_table_of_limits_says_what_is_stricter_and_when_it_counts(item: "Field[Any]") -> None:
    words = {Tighter.LOWER: "lower", Tighter.HIGHER: "higher", Tighter.NEITHER: "either counts as looser"}
    off = ", 0 is off" if item.metadata.get("zero_is_off") else ""
    row = limit_row(item)
    assert row[5:7] == [words[item.metadata["tighter"]] + off, str(item.metadata["effect"])]
    assert len(row) == 8 and row[7]


def limit_row(item: "Field[Any]") -> list[str]:
    return next(row for row in rows(section("docs/risk.md", "Limits")) if row[0] == f"`{item.name}`")


def test_formats_show_a_profile_that_can_be_imported(tmp_path: Path) -> None:
    text = section("docs/data-formats.md", "Profile of limits")
    example = next(re.finditer(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))[1]
    (tmp_path / "evening.json").write_text(example)
    assert profiles.read_file(tmp_path / "evening.json").stated[0] == "risk_per_trade_pct"


def test_risk_has_every_rule_in_the_order_in_which_they_run() -> None:
    assert [row[0].strip("`") for row in rows(section("docs/risk.md", "Rules"))] == [
        rule.name for rule in DEFAULT_RULES
    ]


def test_risk_has_every_breaker_and_trading_state() -> None:
    breakers = [row[0].strip("`") for row in rows(section("docs/risk.md", "Breakers"))]
    states = [row[0].strip("`") for row in rows(section("docs/risk.md", "Trading states"))]
    assert breakers == [breaker.name for breaker in DEFAULT_BREAKERS]
    assert states == [str(state) for state in TradingState]


def test_runbook_has_every_command_and_session_state() -> None:
    asked = first_column(section("docs/runbook.md", "What may be asked"))
    states = first_column(section("docs/runbook.md", "Start and stop"))
    assert set(asked) >= {kind.__name__ for kind in Command.__args__}
    assert [state for state in states if state.isupper()] == [str(state) for state in SessionState]


def test_runbook_has_every_command_of_the_command_line() -> None:
    named = first_column(section("docs/runbook.md", "Command line"))
    shown = [name for name in named if name.startswith("python -m engine ")]
    assert shown == [f"python -m engine {' '.join(words)}" for words in engine_commands()]


@pytest.mark.parametrize("words", [words for words, options in engine_commands().items() if options], ids=" ".join)
def test_runbook_has_every_option_of(words: tuple[str, ...]) -> None:
    table = section("docs/runbook.md", "Command line").split(f"| Option of `{' '.join(words)}` ")
    assert len(table) == 2, f"the runbook needs a table 'Option of `{' '.join(words)}`'"
    shown = first_column(table[1].split("\n\n")[0])
    assert set(shown) == engine_commands()[words]


def test_every_engine_command_that_is_shown_can_be_read() -> None:
    shown = [(name, line) for name, line in commands() if line.startswith("python -m engine")]
    assert len(shown) >= 10
    for name, line in shown:
        words = shlex.split(line.partition("-m engine")[2])
        if any(known[: len(words)] == tuple(words) for known in engine_commands()):
            continue
        path = next((known for known in engine_commands() if tuple(words[: len(known)]) == known), None)
        assert path, f"{name} shows {line!r}, which is no command"
        given = {word.split("=")[0] for word in words[len(path) :] if word.startswith("--")}
        assert given <= engine_commands()[path], f"{name} shows {line!r} with an unknown option"


def test_readme_examples_are_complete() -> None:
    """Typer itself takes each line of the README; nothing is run."""
    group = typer.main.get_command(cli.app)
    for name, line in commands():
        if name != "README.md" or not line.startswith("python -m engine"):
            continue
        command, words = group, shlex.split(line.partition("-m engine")[2])
        while isinstance(command, typer.core.TyperGroup):
            command = command.commands[words.pop(0)]
        command.make_context(line, words)


def test_every_make_target_that_is_shown_exists() -> None:
    shown = [(name, line) for name, line in commands() if line.startswith("make ")]
    assert {"run", "test"} <= {line.split()[1] for name, line in shown if name == "README.md"}
    assert [(name, line) for name, line in shown if line.split()[1] not in make_targets()] == []


def test_files_in_readme_commands_exist() -> None:
    """The files of this repository that the commands for Windows hand to pip and Streamlit."""
    line = " ".join(line for name, line in commands() if name == "README.md")
    named = re.findall(r"(?:-r|streamlit run) (\S+)", line)
    assert sorted(named) == ["app.py", "requirements.lock"]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_readme_shows_the_two_commands_first() -> None:
    first = next(text for _, text in blocks(ROOT / "README.md"))
    assert [line.split()[:2] for line in first.splitlines()] == [["make", "run"], ["make", "test"]]


def tables_and_views() -> dict[str, list[str]]:
    db = Database(memory=True)
    migrate(db)
    ours = [name for name in db.table_names() if not name.startswith(("_", "sqlite_"))]
    return {name: [column.name for column in db[name].columns] for name in ours + db.view_names()}


@pytest.mark.parametrize("table", [name for name in tables_and_views() if not name.endswith("_view")])
def test_formats_have_every_table_with_its_columns(table: str) -> None:
    text = section("docs/data-formats.md", f"`{table}`")
    if table == "trades":
        text = section("docs/data-formats.md", "Trades as CSV")
    assert [column for column in tables_and_views()[table] if column not in quoted(text)] == []


def test_formats_name_every_view() -> None:
    views = {name for name in tables_and_views() if name.endswith("_view")}
    assert views and views <= quoted(section("docs/data-formats.md", "Database"))


def test_formats_have_every_event_and_nothing_else() -> None:
    assert set(first_column(section("docs/data-formats.md", "`events`"))) == set(KINDS)


def test_formats_have_every_action_and_order_word() -> None:
    assert first_column(section("docs/data-formats.md", "`decisions`")) == [str(action) for action in Action]
    orders = quoted(section("docs/data-formats.md", "`orders`"))
    assert {*map(str, OrderStatus), *map(str, OrderReason)} <= orders


def test_formats_have_every_metric() -> None:
    assert set(Tally().metrics(Decimal(0))) <= quoted(section("docs/data-formats.md", "`metrics`"))


def test_formats_have_the_columns_of_the_csv_in_order(tmp_path: Path) -> None:
    header = trades_csv(tmp_path / "none.sqlite").decode().splitlines()[0].split(",")
    assert first_column(section("docs/data-formats.md", "Trades as CSV"))[: len(header)] == header


def test_formats_have_the_keys_of_the_json_in_order() -> None:
    result = cli._result(Snapshot(), seconds=1.0, loading=0.0)
    named = [row[0].strip("`") for row in rows(section("docs/data-formats.md", "Result of a session"))]
    assert named == list(result)


def test_formats_have_the_columns_and_problems_of_bar_files() -> None:
    named = first_column(section("docs/data-formats.md", "Bar files"))
    assert named == [*bar_fields.COLUMNS, *map(str, ProblemKind)]


def test_models_have_every_key_of_the_manifest() -> None:
    text = section("docs/models.md", "Manifest")
    assert [row[0].strip("`") for row in rows(text)] == list(ManifestEntry.__struct_fields__)
    parts = {name for part in (Trained, HeldOut, Libraries) for name in part.__struct_fields__}
    assert parts <= quoted(text)


def test_models_have_every_feature_with_its_bars() -> None:
    shown: dict[str, int] = {}
    for names, bars, *_ in rows(section("docs/models.md", "Features")):
        found = re.findall(r"`([^`]+)`", names)
        lengths = [int(length) for length in bars.split(",")]
        shown |= dict(zip(found, lengths if len(lengths) > 1 else lengths * len(found), strict=True))
    assert shown == {feature.name: feature.lookback for feature in FEATURES.values()}


def test_example_of_a_model_trains_and_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = next(text for language, text in blocks(ROOT / "docs" / "models.md") if language == "python")
    (tmp_path / "models").mkdir()
    (tmp_path / "bars.csv.gz").write_text(zigzag(600), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/models.md", "exec"), {})  # noqa: S102 - the example of our own document
    assert ModelRegistry(tmp_path / "models").load("my-model").spec.instruments == ("EUR_USD",)


def zigzag(count: int) -> str:
    """Bars whose mid wanders up and down; the file is plain text, which the reader tells from its content."""
    lines = [",".join(bar_fields.COLUMNS)]
    for minute in range(count):
        price = Decimal("1.10000") + Decimal(minute * minute * 7919 % 211) / 100_000
        bid, ask = f"{price:.5f}", f"{price + Decimal('0.00010'):.5f}"
        day, hour, rest = 6 + minute // 1440, minute // 60 % 24, minute % 60
        lines.append(",".join([f"2025-01-{day:02d}T{hour:02d}:{rest:02d}:00Z", *[bid] * 4, *[ask] * 4]))
    return "\n".join(lines)


def test_sandbox_names_every_instrument() -> None:
    text = section("docs/sandbox.md", "Generated market")
    assert re.findall(r"\b[A-Z]{3}_[A-Z]{3}\b", text.split("Instruments:")[1].split(". ")[0]) == list(CATALOGUE)


def test_table_of_rooms_is_the_tree() -> None:
    named = {name for name in first_column(section("docs/ARCHITECTURE.md", "Rooms")) if "/" in name or name == "app.py"}
    entries = [path for path in (ROOT / "engine").iterdir() if path.name not in {"__init__.py", "__pycache__"}]
    built = {f"engine/{path.name}{'/' if path.is_dir() else ''}" for path in entries} | {"app.py", "pages/"}
    assert named == built


@pytest.mark.parametrize("path", ADRS, ids=name_of)
def test_adr_is_one_page_with_three_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60


def test_adrs_are_numbered_on_and_told_of_in_architecture() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))
    assert [path.name for path in ADRS if f"(adr/{path.name})" not in text_of("docs/ARCHITECTURE.md")] == []


def test_glossary_has_the_words_of_states_and_modes() -> None:
    text = text_of("docs/glossary.md")
    assert {*map(str, TradingState), *map(str, SessionState)} <= quoted(text)
    assert [mode for mode in Mode if f"| {mode} |" not in text] == []


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_document_says_instrument(path: Path) -> None:
    text = prose(path)
    if path.name == "glossary.md":
        text = "\n".join(line.rsplit("|", 2)[0] if line.startswith("|") else line for line in text.splitlines())
    assert STRANGE_WORDS.findall(text) == []


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_engine_name_says_instrument(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    strange = {name for name in names if STRANGE_PARTS & set(name.lower().split("_"))}
    if name_of(path) in OTHER_PAIRS:
        strange = {name for name in strange if name.strip("_").lower() not in {"pair", "pairs", "object_pairs_hook"}}
    assert strange == set()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_links_and_images_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", target)]
    missing = [target for target in targets if not (path.parent / target.split("#")[0]).exists()]
    assert missing == []


def test_readme_shows_the_overview() -> None:
    picture = ROOT / "docs" / "images" / "overview.png"
    assert "](docs/images/overview.png)" in text_of("README.md")
    assert picture.is_file() and picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_every_document_in_docs_can_be_reached() -> None:
    """From the README, over relative links, whichever way round."""
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        targets = re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8"))
        waiting += [(path.parent / target).resolve() for target in targets if ":" not in target]
    assert [name_of(path) for path in DOCS if path not in reached and path.name != "CHANGELOG.md"] == []


def test_python_in_documents_is_python() -> None:
    for path in DOCS:
        for language, text in blocks(path):
            if language == "python":
                ast.parse(text, filename=name_of(path))
