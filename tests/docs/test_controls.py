"""The table of controls names what exists: tests, rules and breakers."""

import ast
import re
from functools import lru_cache

import pytest

from engine.risk.breakers import DEFAULT_BREAKERS
from engine.risk.rules import DEFAULT_RULES
from engine.session.audit import RECONCILIATION
from engine.session.dispatch import LATE_FILL
from tests.docs.test_docs import ROOT, quoted, rows, section, text_of

CONTROLS = rows(section("docs/controls.md", "Controls"))
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
NAMES = {rule.name for rule in DEFAULT_RULES} | {breaker.name for breaker in DEFAULT_BREAKERS}


@lru_cache
def functions_of(path: str) -> frozenset[str]:
    """Names of the test functions of a file, which is read and not run."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row[0].split(" (")[0])
def test_every_control_names_tests_that_exist(row: list[str]) -> None:
    _, _, _, named = row
    found = [TEST.fullmatch(name) for name in quoted(named)]
    assert found and all(found), named
    for match in found:
        assert match is not None and (ROOT / match[1]).is_file(), match
        assert match[2].startswith("test_") and match[2] in functions_of(match[1]), match[0]


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row[0].split(" (")[0])
def test_every_control_has_a_source_an_answer_and_says_how_hard_it_is(row: list[str]) -> None:
    control, answer, hardness, _ = row
    assert re.fullmatch(r"[^()]+ \([^()]+\)", control)
    assert len(answer) > 20
    assert hardness in ("hard", "soft", "-")


def test_rules_and_breakers_that_are_named_exist() -> None:
    named = {name for row in CONTROLS for name in quoted(row[1]) if re.fullmatch(r"[a-z_]+", name)}
    assert named - NAMES == {RECONCILIATION, LATE_FILL}
    assert {breaker.name for breaker in DEFAULT_BREAKERS} <= named


def test_every_known_control_has_its_row() -> None:
    assert len(CONTROLS) == len({row[0] for row in CONTROLS}) == 20
    assert sum("not built" in row[1] for row in CONTROLS) == 9, (
        "what is missing is said, and so is what was built since"
    )


def test_who_reads_of_risk_finds_it() -> None:
    assert "(controls.md)" in text_of("docs/risk.md")
