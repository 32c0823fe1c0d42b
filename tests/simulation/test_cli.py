"""The command line of the simulator: one object, a reproduction for each seed that fails, and an honest exit code."""

import json

import pytest

from tests.simulation.__main__ import main

PROMISED = "seeds steps faults crash_restarts simulated_hours violations digest seconds".split()


def test_json_is_one_object_with_the_promised_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--steps", "40", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [name for name in PROMISED if name not in told] == []
    assert (told["seeds"], told["violations"], told["failing_seeds"]) == (3, 0, [])


def test_two_processes_tell_the_same_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    digests = []
    for jobs in ("1", "2"):
        main(["--seeds", "4", "--steps", "30", "--jobs", jobs, "--json"])
        digests.append(json.loads(capsys.readouterr().out)["digest"])
    assert digests[0] == digests[1]


def test_a_failing_seed_prints_how_to_see_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--saboteur", "no_stop", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["failing_seeds"] == [0, 1]
    assert "python -m tests.simulation --start 1 --seeds 1" in told.err


def test_too_few_hits_fail_when_coverage_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--steps", "20", "--coverage"]) == 1
    assert "crash point broker.submit.before" in capsys.readouterr().err


def test_a_trace_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--start", "1", "--steps", "30", "--trace"]) == 0
    told = capsys.readouterr().out
    assert "started run 2" in told
    assert "every promise was kept" in told


def test_a_saboteur_is_hunted_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--saboteur", "no_stop"]) == 0
    assert capsys.readouterr().out.startswith("no_stop: seed 0, ")
