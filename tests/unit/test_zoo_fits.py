"""The planted bugs fit the code as it is: a bug that no longer fits would count as one that is caught."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.zoo.bugs import BUGS
from tests.zoo.plant import VARIABLE, edited

ROOT = Path(__file__).parents[2]
LOSS = """
import tests.zoo.plant
from escrow.rules.gateway_results import result
print("command_is_settled" in result.__code__.co_consts)
"""


def test_there_are_forty_at_least() -> None:
    assert len(BUGS) >= 40


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_fits_and_compiles_and_its_tests_exist(name: str) -> None:
    bug = BUGS[name]
    file, _, test = bug.caught_by.partition("::")
    assert f"def {test.partition('[')[0] or 'test_'}" in (ROOT / file).read_text()
    for module in {edit.module for edit in bug.edits}:
        compile(edited(bug.edits, module), module, "exec")


@pytest.mark.parametrize("name", ["", "unknown command's answer dropped"])
def test_a_bug_is_there_only_where_it_is_planted(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOSS],
        check=True,
        cwd=ROOT,
        env={VARIABLE: name},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(bool(name))
