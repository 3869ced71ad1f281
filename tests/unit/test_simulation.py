"""A thousand schedules that nobody has tried before."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import SEED
from tests.simulation.plans import KINDS
from tests.simulation.run import simulate

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
