"""A thousand schedules that nobody has tried before."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.conftest import SEED
from tests.simulation.plans import KINDS
from tests.simulation.run import simulate
from tests.zoo.plant import VARIABLE

ROOT = Path(__file__).parents[2]
SCHEDULES = 1_000
TRACE = """
from tests.simulation.plans import draw
from tests.simulation.ports import in_simulation
from tests.simulation.run import run
from tests.simulation.judging import told_by
with in_simulation():
    for seed in range(40):
        world, _ = run(draw(seed))
        print(seed, world.scheduler.steps, world.scheduler.now, sorted(told_by(world)))
"""
PLANTED = """
import sys
import tests.zoo.plant
from tests.simulation.run import main
sys.exit(main(sys.argv[1:] or ["--seed", "0", "--count", "40", "--stop-at", "1"]))
"""


def test_schedules_that_nobody_has_tried_before_end_well() -> None:
    """Again: python -m tests.simulation --seed SEED --count 1."""
    first = SEED * 10
    counts, failures = simulate(first, SCHEDULES, stop_at=1)
    assert failures == [], f"{failures[0]}"
    assert counts.total() == SCHEDULES
    assert len(counts) >= len(KINDS) * 3 // 4


def test_a_seed_is_one_schedule_on_every_machine() -> None:
    """Whatever the hashes of this process: two processes run it step by step alike."""
    told = [
        subprocess.run(
            [sys.executable, "-c", TRACE], check=True, cwd=ROOT, env={"PYTHONHASHSEED": hashes},
            capture_output=True, text=True,
        ).stdout
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]


def test_a_planted_bug_is_found_shrunk_and_can_be_run_again() -> None:
    """Its seed, its commit, a command, and the few facts that it takes."""
    done = subprocess.run(
        [sys.executable, "-c", PLANTED], check=False, cwd=ROOT, capture_output=True, text=True,
        env={VARIABLE: "offset outside the transaction"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = re.search(r"seed (\d+), commit \S+: (I\d+):", done.stdout)
    assert found is not None, done.stdout
    assert f"again: python -m tests.simulation --seed {found[1]} --count 1\n" in done.stdout
    needs = re.search(r"needs: (\d+) of (\d+) facts, .*\n  alone: python (.+)\n", done.stdout)
    assert needs is not None
    assert int(needs[1]) <= int(needs[2]) // 2
    again = shlex.split(needs[3])
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, *again[2:]], check=False, cwd=ROOT, capture_output=True,
        text=True, env={VARIABLE: "offset outside the transaction"},
    )  # fmt: skip
    assert done.stdout.startswith(f"{found[2]}: ")
