"""A minute of chaos in every run of the tests: kills at named places, faults, bad inputs, one verdict.

Longer: `make chaos-quick`, `make chaos`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SEED

LAST = re.compile(
    r"chaos: \d+ schedules, (\d+) kills, (\d+) faults of (\d+) kinds, (\d+) bad inputs,"
    r" \d+/\d+ planted bugs caught, 0 violations"
)


@pytest.mark.timeout(600)  # a busy machine takes longer, and tries as much
def test_a_minute_of_chaos_finds_nothing() -> None:
    seed = SEED % 1_000_000
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "quick", "--share", "0.25", "--seed", str(seed)],
        check=False,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = LAST.fullmatch(done.stdout.splitlines()[-1])
    assert found is not None, done.stdout[-6000:]
    assert all(int(number) > 0 for number in found.groups())
