"""`python -m tests.mutation`: make every small change to the rules, one at a time; a test must fail.

Can be stopped at any time and goes on from there: what was found is kept in `.mutation/` as long as neither
product nor tests change; after that, the test that failed before is only the first one to be tried.
"""

import argparse
import ast
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

from tests.mutation.functions import bring_in
from tests.mutation.mutants import Module, Mutant
from tests.mutation.packages import PACKAGES, Package
from tests.mutation.pool import each_in_a_child
from tests.mutation.report import report
from tests.mutation.results import Found
from tests.mutation.suite import Reach, Suite, be_quiet, run
from tests.zoo.plant import plant_sources

CPU_SECONDS_MAX: Final = 30  # for one mutant: finds loops without an end
SESSION_CPU_SECONDS_MAX: Final = 36_000
CANNOT_BE_COLLECTED: Final = "(the tests cannot be collected)"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("package", nargs="?", default="escrow", choices=PACKAGES)
    parser.add_argument("--only", default="", help="mutants whose key holds this text")
    parser.add_argument("--minutes", type=float, default=1_000.0, help="stop after this time")
    parser.add_argument("--at-once", type=int, default=2, help="mutants at a time")
    parser.add_argument("--fresh", action="store_true", help="try again what is known already")
    parser.add_argument("--write", action="store_true", help="the score, into the reliability page")
    options = parser.parse_args(arguments)
    os.environ["ESCROW_TEST_SEED"] = "1"  # all runs draw alike
    package = PACKAGES[options.package]
    modules = package.modules()
    found = Found(package, fresh=options.fresh)
    trial = Trial(package, modules, found, options.at_once, options.minutes)
    trial.all([m for module in modules for m in module.mutants if options.only in m.key])
    return report(package, modules, found, write=options.write)


class Trial:
    """One run over some mutants."""

    def __init__(
        self,
        package: Package,
        modules: Iterable[Module],
        found: Found,
        at_once: int,
        minutes: float,
    ) -> None:
        self.package, self.found, self.at_once = package, found, at_once
        self.modules = {module.path: module for module in modules}
        self.until = time.monotonic() + minutes * 60
        self.reach: Reach = {}, {}

    def all(self, mutants: Iterable[Mutant]) -> None:
        """Try those of which nothing is known; what comes of each is kept at once."""
        unknown = [mutant for mutant in mutants if mutant.key not in self.found.known]
        if not unknown:
            return
        for name in self.package.imported_before:
            importlib.import_module(name)
        if self.found.reach is None:
            _in_a_session(self.package.tests, self._measure)
        self.reach = self.found.reach or ({}, {})
        inside = [mutant for mutant in unknown if not mutant.at_import]
        if inside:
            _in_a_session(self.package.tests, lambda suite: self._functions(suite, inside))
            self.found.read()
        planted = [mutant for mutant in unknown if mutant.at_import]
        self._try(planted, lambda mutant: self._planted(mutant, self._near(mutant)), last=False)
        planted = [mutant for mutant in planted if mutant.key not in self.found.known]
        self._try(planted, lambda mutant: self._planted(mutant, self.package.tests))

    def _measure(self, suite: Suite) -> None:
        self.found.keep_reach(suite.reach(self.package.name))

    def _functions(self, suite: Suite, mutants: list[Mutant]) -> None:
        """The tests are collected; each child brings its mutant in and runs what reaches it."""

        def one(mutant: Mutant) -> str:
            be_quiet()
            lines = [f"{mutant.path}:{line}" for line in mutant.lines]
            tests = suite.order(self.reach, lines, self.found.hints.get(mutant.key, ""))
            bring_in(self.modules[mutant.path], mutant)
            return suite.first_failure(tests)

        self._try(mutants, one)

    def _near(self, mutant: Mutant) -> tuple[str, ...]:
        """Where a test is likely to notice: to collect these alone takes a fraction of the time."""
        hint = self.found.hints.get(mutant.key, "").partition("::")[0]
        return (hint,) if hint.endswith(".py") else self.package.near(mutant.path)

    def _planted(self, mutant: Mutant, files: tuple[str, ...]) -> str:
        """Each child collects the tests anew, with its mutant planted."""
        be_quiet()
        with mutant.applied():
            plant_sources({mutant.module: ast.unparse(self.modules[mutant.path].tree)})
        said: list[str] = []

        def one(suite: Suite) -> None:
            tests = suite.order(self.reach, None, self.found.hints.get(mutant.key, ""))
            said.append(suite.first_failure(tests))

        run(files, one)
        return said[0] if said else CANNOT_BE_COLLECTED

    def _try(
        self, mutants: list[Mutant], one: Callable[[Mutant], str], *, last: bool = True
    ) -> None:
        """What is killed is kept; what survives, if this is the last that is tried on it."""
        began = time.monotonic()
        verdicts = each_in_a_child(mutants, one, CPU_SECONDS_MAX, self.at_once)
        for done, (mutant, by) in enumerate(verdicts, 1):
            if by or last:
                self.found.add(mutant.key, by)
            if done % 100 == 0:
                sys.stdout.write(f"{done}/{len(mutants)} in {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
            if time.monotonic() > self.until:
                break


def _in_a_session(tests: tuple[str, ...], work: Callable[[Suite], None]) -> None:
    """In a process of its own, in which the tests are collected."""
    session = each_in_a_child(
        [tests], lambda some: str(run(some, work)), SESSION_CPU_SECONDS_MAX, 1
    )
    ((_, code),) = session
    assert code == "0", f"pytest says {code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
