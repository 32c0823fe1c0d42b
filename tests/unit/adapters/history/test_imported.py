import dataclasses

from engine.adapters.history.imported import ImportedBars, Problem, ProblemKind
from engine.adapters.history.moments import HOUR_NS, MINUTE_NS
from tests.unit.adapters.history.rows import imported


def with_problems(*problems: Problem, lines: int = 3) -> ImportedBars:
    dropped = sum(problem.kind.drops for problem in problems)
    return dataclasses.replace(imported(range(lines - dropped)), problems=problems, lines=lines, dropped=dropped)


def problem(line: int, kind: ProblemKind, missing_ns: int = 0) -> Problem:
    return Problem(line=line, kind=kind, text="", missing_ns=missing_ns)


def test_summary_of_a_clean_file_says_only_how_much_there_is() -> None:
    assert with_problems(lines=1_200).summary() == "1,200 lines, 1,200 bars kept, 0 dropped"


def test_summary_counts_each_kind_and_names_its_first_line() -> None:
    summary = with_problems(
        problem(4, ProblemKind.DUPLICATE),
        problem(57, ProblemKind.CROSSED),
        problem(90, ProblemKind.GAP, 49 * HOUR_NS),
        problem(91, ProblemKind.CROSSED),
        problem(95, ProblemKind.GAP, MINUTE_NS),
        lines=100,
    ).summary()
    assert summary == (
        "100 lines, 97 bars kept, 3 dropped: 2 crossed (first at line 57), 1 duplicate (first at line 4), "
        "2 gaps (longest 49 h)"
    )


def test_summary_does_not_call_dropped_what_was_kept() -> None:
    summary = with_problems(
        problem(2, ProblemKind.GAP, MINUTE_NS), problem(3, ProblemKind.PRECISION), problem(4, ProblemKind.CROSSED_RANGE)
    ).summary()
    assert summary == (
        "3 lines, 3 bars kept, 0 dropped, 1 kept with a crossed high or low (first at line 4), "
        "prices rounded (first at line 3), 1 gap (longest 1 min)"
    )
