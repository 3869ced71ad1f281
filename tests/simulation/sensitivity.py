"""How many schedules it takes to find each planted bug of the engine: what a simulation without findings is worth.

    python -m tests.simulation.sensitivity [--count 4000] [--only NAME]

Each bug of `tests.zoo.bugs` that lies in consumers or storage, alone, in a process of its own. Not
all can be found here: what lies before the broker or behind SQL's own words is caught by other tests.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.zoo.bugs import BUGS
from tests.zoo.plant import VARIABLE

ROOT: Final = Path(__file__).parents[2]
ENGINE: Final = ("consumers.", "storage.")
_TRY: Final = """
import sys, time
import tests.zoo.plant
from tests.simulation.run import simulate
began = time.monotonic()
counts, failures = simulate(int(sys.argv[1]), int(sys.argv[2]), stop_at=1, shrinks=False)
said = failures[0].said[0][:110].replace("|", "/") if failures else "not found"
print(f"{counts.total()} | {time.monotonic() - began:.0f} | {said}")
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.sensitivity")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--only", action="append", help="bugs, by name")
    options = parser.parse_args(arguments)
    sys.stdout.write("| Bug | Schedules | Seconds | What was said |\n|---|---|---|---|\n")
    for name, bug in BUGS.items():
        if not any(edit.module.startswith(ENGINE) for edit in bug.edits):
            continue
        if options.only is not None and name not in options.only:
            continue
        done = subprocess.run(
            [sys.executable, "-c", _TRY, str(options.seed), str(options.count)],
            cwd=ROOT,
            env={**os.environ, VARIABLE: name},
            check=False,
            capture_output=True,
            text=True,
        )
        said = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
        sys.stdout.write(f"| {name} | {said} |\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
