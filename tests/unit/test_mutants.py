"""The mutants: each is a change of its own, can be brought in, and is noticed where a test looks."""

import ast
import json
import subprocess
import sys
from functools import cache

import pytest

from escrow import policy
from escrow.state import Escrow
from tests.mutation import report
from tests.mutation.functions import bring_in, function_of
from tests.mutation.mutants import ROOT, Module, Mutant, mutants_of
from tests.mutation.packages import PACKAGES
from tests.mutation.pool import BROKEN, TIMED_OUT, each_in_a_child


@cache
def modules(package: str) -> dict[str, Module]:
    return {module.path: module for module in PACKAGES[package].modules()}


def mutants(path: str) -> tuple[Mutant, ...]:
    return modules("escrow")[path].mutants


def becoming(text: str, was: str) -> set[str]:
    """What the one statement `was` of a module of this text becomes."""
    found = mutants_of("escrow/some.py", ast.parse(text), frozenset())
    return {mutant.becomes for mutant in found if mutant.was == was}


@pytest.mark.parametrize(
    ("statement", "others"),
    [
        ("x = a < 1", {"pass", "x = a <= 1", "x = a >= 1", "x = a < 2", "x = a < 0"}),
        ("x = a and b", {"pass", "x = a or b", "x = a", "x = b"}),
        ("x = not a", {"pass", "x = a"}),
        ("x = f(a, key=b)", {"pass", "x = f(a)"}),
        ("x = f(a_id, b_id)", {"pass", "x = f(b_id, a_id)"}),
        ("x = {1, y}", {"pass", "x = {y}", "x = {1}", "x = {2, y}", "x = {0, y}"}),
        ("x = 'code'", {"pass", "x = 'code?'"}),
        ("x -= a", {"pass", "x = a", "x += a"}),
        ("x = a if b else c",
         {"pass", "x = c if b else a", "x = a if not b else c", "x = a if True else c",
          "x = a if False else c"}),
        ("x = [y for y in z if y]",
         {"pass", "x = [y for y in () if y]", "x = [y for y in z if not y]",
          "x = [y for y in z if True]", "x = [y for y in z if False]"}),
        ("assert a is None, 'said'", {"pass", "assert a is not None, 'said'",
                                      "assert not a is None, 'said'", "assert False, 'said'"}),
        ("return a", {"return None"}),
    ],
)  # fmt: skip
def test_what_a_statement_becomes(statement: str, others: set[str]) -> None:
    assert becoming(f"def f(a):\n    {statement}\n", statement) == others


def test_a_case_is_lost_and_the_end_that_no_value_reaches_is_left_alone() -> None:
    text = "match x:\n    case A() | B():\n        y()\n    case _:\n        assert_never(x)\n"
    assert becoming(text, "match x: A() | B() / _") == {
        "match x: A() | B() if False / _",
        "match x: A() / _",
        "match x: B() / _",
    }
    assert becoming(text, "assert_never(x)") == set()


def test_annotations_docstrings_and_mere_types_are_left_alone() -> None:
    text = 'Kind = Literal["a"]\nclass A:\n    """Said."""\n    x: Literal["b"]\n'
    assert list(mutants_of("escrow/some.py", ast.parse(text), frozenset())) == []


def test_each_mutant_is_a_change_of_its_own_finds_its_function_and_leaves_no_trace() -> None:
    """One test: they are found once, and only by the worker whose test it is."""
    assert len(modules("escrow")) > 15
    for path, module in modules("escrow").items():
        for mutant in module.mutants:
            with mutant.applied():
                assert mutant.was != mutant.becomes, path
            if not mutant.at_import:
                function_of(mutant)
        assert len({mutant.key for mutant in module.mutants}) == len(module.mutants), path
        assert ast.dump(module.tree) == ast.dump(ast.parse((ROOT / path).read_text())), path


def test_a_mutant_is_brought_in_where_everybody_has_the_function_already() -> None:
    (mutant,) = (
        mutant
        for mutant in mutants("escrow/state.py")
        if mutant.becomes == "return self.captured_minor + self.charged_back_minor"
    )
    row = Escrow("o-1", captured_minor=7, charged_back_minor=2)
    original = function_of(mutant).__code__
    bring_in(modules("escrow")["escrow/state.py"], mutant)
    try:
        assert row.available_minor == 9
    finally:
        function_of(mutant).__code__ = original
    assert row.available_minor == 5


def work(job: str) -> str:
    match job:
        case "loops":
            while True:
                pass
        case "ends":
            raise SystemExit
        case _:
            return f"{job}: {policy.CURRENT.version}"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of other threads, in 3.12
def test_children_say_what_came_of_them_and_none_is_waited_for_for_ever() -> None:
    said = dict(each_in_a_child(["one", "ends", "two"], work, 60, 2))
    assert said == {"one": "one: 1", "ends": BROKEN, "two": "two: 1"}
    assert dict(each_in_a_child(["loops"], work, 1, 2)) == {"loops": TIMED_OUT}


def test_what_is_listed_as_equal_is_a_mutant_of_the_code_as_it_is() -> None:
    keys = {
        mutant.key
        for package in PACKAGES
        for module in modules(package).values()
        for mutant in module.mutants
    }
    assert report.equal_ones().keys() - keys == set()
    listed = json.loads(report.EQUAL.read_text())
    assert all(len(entry["because"]) > 20 for entry in listed)
    assert sum(len(entry["mutants"]) for entry in listed) == len(report.equal_ones())


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_imported_for_all_children_imports_nothing_of_the_package(name: str) -> None:
    """A mutant that is planted while modules are imported would come too late, and break its run."""
    script = f"""
import importlib, sys
for name in {PACKAGES[name].imported_before}:
    importlib.import_module(name)
print([name for name in sys.modules if name.partition(".")[0] == {name!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_the_page_shows_what_was_booked_and_it_is_enough() -> None:
    booked = json.loads(report.BOOKED.read_text())
    shown = report.PAGE.read_text().partition(report.BEGIN)[2].partition(report.END)[0]
    assert shown.strip() == report.section(booked).strip(), "python -m tests.mutation --write"
    whole = report.added_up(booked["escrow"]["files"].values())
    assert report.score(whole) >= report.SCORE_MIN
