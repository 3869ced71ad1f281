"""Tests that are collected once and run again and again, in children: those that reach a line, quick ones first."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import coverage
import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import ROOT

# the seconds that each test takes; the tests that reach a line, by "file:line"
Reach = tuple[dict[str, float], dict[str, list[str]]]
REWRITTEN: Final = "ignore::pytest.PytestAssertRewriteWarning"  # what is imported already is not
# no plugins but these, so that a session begins soon; nothing is collected as garbage at its end
OPTIONS: Final = ("-q", "-s", "-W", REWRITTEN, "--no-header", "--no-summary", *(
    word for name in ("pytest_timeout", "_hypothesis_pytestplugin", "no:cacheprovider",
                      "no:unraisableexception") for word in ("-p", name)
))  # fmt: skip


class Suite:
    """A pytest plugin: where the tests would run, `work` does instead."""

    def __init__(self, work: Callable[["Suite"], None]) -> None:
        self.work = work
        self.items: Sequence[pytest.Item] = ()
        self.failed = ""

    def pytest_sessionstart(self) -> None:
        # no examples of a mutant are kept, and a failure need not be made small
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutant", settings(), database=None, phases=phases)
        settings.load_profile("mutant")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise pytest.UsageError("tests cannot be collected")
        self.items = session.items
        self.work(self)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport | None:
        """Of a failure nobody will read more than that it is one: to tell it all takes long."""
        if call.excinfo is None:
            return None
        self.failed = item.nodeid
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", None, "call")

    def first_failure(self, items: Sequence[pytest.Item]) -> str:
        """The first of these tests that fails, in this order; empty if all pass."""
        for item, following in zip(items, (*items[1:], None), strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        return self.failed

    def order(self, reach: Reach, lines: Iterable[str] | None, hint: str) -> list[pytest.Item]:
        """Tests that reach one of the lines (None: all), the hinted one first, then the quick ones."""
        seconds, by_line = reach
        chosen = set(seconds) if lines is None else {t for n in lines for t in by_line.get(n, ())}
        tests = [item for item in self.items if item.nodeid in chosen]
        tests.sort(key=lambda item: (item.nodeid != hint, seconds[item.nodeid]))
        return tests

    def reach(self, package: str) -> Reach:
        """Run all once, unchanged, and see what each test reaches; all must pass."""
        seconds: dict[str, float] = {}
        by_line: dict[str, list[str]] = {}
        measured = coverage.Coverage(
            data_file=None, config_file=False, source=[str(ROOT / package)]
        )
        measured.start()
        for item, following in zip(self.items, (*self.items[1:], None), strict=True):
            measured.switch_context(item.nodeid)
            began = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = round(time.monotonic() - began, 4)
        measured.stop()
        assert not self.failed, f"fails without any change: {self.failed}"
        data = measured.get_data()
        for file in data.measured_files():
            name = Path(file).relative_to(ROOT).as_posix()
            for line, tests in data.contexts_by_lineno(file).items():
                by_line[f"{name}:{line}"] = [test for test in tests if test in seconds]
        return seconds, by_line


def run(tests: Sequence[str], work: Callable[[Suite], None]) -> int:
    """Collect these tests and let `work` have them; pytest's exit code."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return int(pytest.main([*OPTIONS, *tests], plugins=[Suite(work)]))


def be_quiet() -> None:
    """Nothing that a child's tests print is of interest."""
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
