"""Plants each bug alone, runs the tests that must catch it, and tells how long that took.

    python -m tests.zoo.run [--only NAME] [--unbooked]

Before any bug, the same tests pass without one: a test that fails anyway catches nothing. Caught
means that pytest says "tests failed" (exit code 1); anything else is no catch.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ops.local.stack import Stack
from tests.chaos import ledger
from tests.zoo.bugs import BUGS

ROOT: Final = Path(__file__).parents[2]
SECONDS_MAX: Final = 240.0


def run_tests(tests: str, bug: str | None, env: dict[str, str]) -> tuple[int, float]:
    """(pytest's exit code, seconds); a run that hangs is no catch: code 99."""
    plugin = [] if bug is None else ["-p", "tests.zoo.plant"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *plugin, tests]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env={**os.environ, **env, "ESCROW_ZOO_BUG": bug or "", "ESCROW_TEST_SEED": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return 99, SECONDS_MAX
    if done.returncode not in (0, 1):
        sys.stdout.write(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode, time.monotonic() - began


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo.run")
    parser.add_argument("--only", action="append", help="bugs, by name")
    parser.add_argument("--unbooked", action="store_true", help="leave the ledger alone")
    options = parser.parse_args(arguments)
    names = options.only or list(BUGS)
    caught: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    with ExitStack() as until_the_end:
        env: dict[str, str] = {}
        if any("/unit/" not in BUGS[name].caught_by for name in names):
            env = until_the_end.enter_context(Stack()).environment
        for tests in sorted({BUGS[name].caught_by for name in names}):
            code, took = run_tests(tests, None, env)
            sys.stdout.write(
                f"without a bug: {tests} {'passes' if code == 0 else 'FAILS'} {took:.0f} s\n"
            )
            sys.stdout.flush()
            if code:
                return 2
        for name in names:
            code, seconds[name] = run_tests(BUGS[name].caught_by, name, env)
            caught[name] = int(code == 1)
            if not options.unbooked:
                ledger.append("bugs", 1, Counter({name: caught[name]}), seconds[name], 0)
            said = "caught" if code == 1 else f"NOT CAUGHT ({code})"
            sys.stdout.write(f"{said}: {name}, by {BUGS[name].caught_by}, {seconds[name]:.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"{caught.total()}/{len(caught)} planted bugs caught\n")
    return 0 if caught.total() == len(names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
