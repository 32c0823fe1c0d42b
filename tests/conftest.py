"""Rules for the whole suite: same examples on every CI run, browsers in one worker, and no skipped test on CI."""

import os

import pytest
from hypothesis import settings

ON_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}
_skips = pytest.StashKey[list[str]]()

# No deadline: the machine may be shared, and a slow example is not a wrong one.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if ON_CI else "dev")


def pytest_configure(config: pytest.Config) -> None:
    skips: list[str] = []
    config.stash[_skips] = skips
    config.pluginmanager.register(_SkipRecorder(skips), "keel-skip-recorder")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the browser tests in one xdist worker: two consoles at a time would starve each other."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if ON_CI and not is_worker and session.config.stash[_skips] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skips = config.stash[_skips]
    if ON_CI and skips:
        terminalreporter.section("skipped tests fail the run on CI", red=True)
        for skip in skips:
            terminalreporter.line(skip)


class _SkipRecorder:
    """Note each skipped test or module with its reason; an expected failure is not a skip."""

    def __init__(self, skips: list[str]) -> None:
        self._skips = skips

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self._skips.append(f"{report.nodeid}: {reason}")
