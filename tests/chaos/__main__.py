"""`python -m tests.chaos quick|long|report`: a few minutes, as long as you like, and what it came to.

`long` can be stopped at any time and goes on where the ledger ends: every round books itself. `quick`
books into a ledger of its own. All three end with the same last line.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.chaos import ledger
from tests.chaos.figures import write_figures

QUICK_BUGS: Final = (
    "random command_id",
    "second settlement possible",
    "part refund forgets the remainder",
    "mediation boundary off by one",
)
PATIENCE_SECONDS: Final = 240  # of each: the counts are reached long before
OTHER_LINES: Final = ("bombs", "clocks", "disks", "logs", "nodes")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("what", choices=("quick", "long", "report"))
    parser.add_argument("--seed", type=int, help="of quick; the ledger's length for long")
    parser.add_argument("--hours", type=float, default=1.0, help="for long")
    parser.add_argument("--share", type=float, default=1.0, help="of quick: how much of everything")
    parser.add_argument("--write", action="store_true", help="the report, into the page, too")
    options = parser.parse_args(arguments)
    match options.what:
        case "quick":
            return quick(options.seed or int(time.time()) % 100_000, options.share)
        case "long":
            return long(options.hours)
        case _:
            if options.write:
                write_figures(ledger.read())
            return report(ledger.read())


def quick(seed: int, share: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHAOS_LEDGER"] = str(Path(folder, "ledger.jsonl"))
        _run(seed, kills=int(40 * share), faults=int(10 * share), inputs=int(50_000 * share),
             schedules=int(1_500 * share), seconds=PATIENCE_SECONDS)  # fmt: skip
        if share == 1:
            _elsewhere(seed, ("bombs", "clocks"), faults=4, seconds=40)
            _zoo(list(QUICK_BUGS))
        return _last(ledger.read())


def long(hours: float) -> int:
    until = time.monotonic() + hours * 3_600
    while time.monotonic() < until:
        entries = ledger.read()
        seed = len(entries) + 10_000
        if _run(seed, kills=150, faults=40, inputs=100_000, schedules=10_000, seconds=400):
            break
        if _elsewhere(seed, OTHER_LINES, faults=16, seconds=300):
            break
        caught = {
            name for e in entries if e["kind"] == "bugs" for name, one in e["by"].items() if one
        }
        _zoo(_not_in(caught))
    return _last(ledger.read())


def _run(seed: int, *, kills: int, faults: int, inputs: int, schedules: int, seconds: float) -> int:
    from tests.chaos.inputs import try_inputs
    from tests.chaos.kills import kill
    from tests.chaos.nemesis import haunt
    from tests.simulation.run import book

    sys.stdout.write(f"seed {seed}\n")
    found = book(seed * 100_000, schedules, seconds)
    found += try_inputs(seed, inputs)
    found += kill(seed, kills, seconds)
    return found + haunt(seed, faults, seconds)


def _elsewhere(seed: int, lines: tuple[str, ...], *, faults: int, seconds: float) -> int:
    """Faults on a line of another kind, each kind in its turn."""
    from tests.chaos.nemesis import haunt

    return haunt(seed, faults, seconds, lines[seed % len(lines)])


def _not_in(caught: set[str]) -> list[str]:
    from tests.zoo.bugs import BUGS

    return [name for name in BUGS if name not in caught]


def _zoo(names: list[str]) -> None:
    from tests.zoo.run import main as plant_and_try

    if names:
        plant_and_try([part for name in names for part in ("--only", name)])


def report(entries: list[ledger.Entry]) -> int:
    """By kind: seeds, commits, seconds, and how often each place, fault and code was tried."""
    for kind in dict.fromkeys(entry["kind"] for entry in entries):
        some = [entry for entry in entries if entry["kind"] == kind]
        seeds = sorted({entry["seed"] for entry in some})
        commits = list(dict.fromkeys(entry["commit"] for entry in some))
        seconds = sum(entry["seconds"] for entry in some)
        sys.stdout.write(f"{kind}: {len(some)} runs, {seconds:.0f} s\n")
        sys.stdout.write(f"  seeds {', '.join(map(str, seeds))}; commits {', '.join(commits)}\n")
        counted: Counter[str] = ledger.summed(some, kind)
        for name in sorted(counted):
            sys.stdout.write(f"  {counted[name]:>9} {name}\n")
    return _last(entries)


def _last(entries: list[ledger.Entry]) -> int:
    sys.stdout.write(ledger.last_line(entries) + "\n")
    return 1 if ledger.unexplained(entries) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
