"""Schedules by the thousand, each told by its seed alone; one that ends wrongly is shrunk and shown.

    python -m tests.simulation --seed 1 --count 10000 [--seconds 280] [--book]

A failure prints the seed, the commit, the command that runs it again, and what is left of the plan
when everything that the failure does not need is taken away.
"""

import argparse
import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from tests.chaos import ledger
from tests.simulation.judging import violations
from tests.simulation.plans import Plan, draw
from tests.simulation.ports import in_simulation
from tests.simulation.world import World

SHRINK_MAX: Final = 400  # runs
SHOWN_MAX: Final = 3  # failures that are shown; of more only the number
COLLECT_EVERY: Final = 200


class Failure(NamedTuple):
    """A schedule that ended wrongly, and the smallest plan that still does."""

    plan: Plan
    smallest: Plan
    said: list[str]

    def __str__(self) -> str:  # type: ignore[explicit-override]
        seed, small = self.plan.seed, self.smallest
        lines = [
            f"seed {seed}, commit {ledger.commit()}: {self.said[0][:500]}",
            f"  again: python -m tests.simulation --seed {seed} --count 1",
            f"  needs: {len(small.facts)} of {len(self.plan.facts)} facts,",
            f"    faults {[(fault.kind, fault.at) for fault in small.faults]},",
            f"    batches of {small.records_max}",
        ]
        lines += [f"    {fact.topic} {fact.headers[2:]} {fact.value!r}" for fact in small.facts]
        return "\n".join(lines)


@contextmanager
def without_pauses() -> Iterator[None]:
    """Worlds are full of circles; they are collected between schedules, not within them."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def run(plan: Plan) -> tuple[World, list[str]]:
    """One schedule; within `in_simulation`."""
    world = World(plan)
    return world, violations(world)


def shrunk(plan: Plan, said: list[str]) -> Plan:
    """Without the facts and faults, and with the plainest settings, that the failure does not need."""
    runs = 0
    name = said[0].partition(":")[0]

    def still(smaller: Plan) -> bool:
        nonlocal runs
        runs += 1
        return runs < SHRINK_MAX and any(text.startswith(name) for text in run(smaller)[1])

    for plain in (
        replace(plan, markers=0.0),
        replace(plan, partitions=1),
        replace(plan, records_max=20),
    ):
        if still(plain):
            plan = plain
    progress = True
    while progress and runs < SHRINK_MAX:
        progress = False
        for field in ("faults", "facts"):
            for n in reversed(range(len(getattr(plan, field)))):
                parts = getattr(plan, field)
                smaller = replace(plan, **{field: parts[:n] + parts[n + 1 :]})
                if still(smaller):
                    plan, progress = smaller, True
    return plan


def simulate(
    seed: int,
    count: int,
    seconds: float = float("inf"),
    *,
    stop_at: int = SHOWN_MAX,
    shrinks: bool = True,
) -> tuple[Counter[str], list[Failure]]:
    """Schedules from `seed` on; how many by their first fault, and those that ended wrongly."""
    counts: Counter[str] = Counter()
    failures: list[Failure] = []
    until = time.monotonic() + seconds
    with without_pauses(), in_simulation():
        for number in range(seed, seed + count):
            plan = draw(number)
            world, said = run(plan)
            counts[next(iter(world.nemesis.struck), "no fault")] += 1
            if said:
                failures.append(Failure(plan, shrunk(plan, said) if shrinks else plan, said))
                if len(failures) >= stop_at:
                    break
            if number % COLLECT_EVERY == 0:
                gc.collect()
                if time.monotonic() > until:
                    break
    return counts, failures


def book(seed: int, count: int, seconds: float = float("inf")) -> int:
    """Simulate, show and book; returns the number of violations."""
    began = time.monotonic()
    counts, failures = simulate(seed, count, seconds)
    took = time.monotonic() - began
    show(seed, counts, failures, took)
    ledger.append("schedules", seed, counts, took, len(failures))
    return len(failures)


def show(seed: int, counts: Counter[str], failures: list[Failure], took: float) -> None:
    number = counts.total()
    for failure in failures[:SHOWN_MAX]:
        sys.stdout.write(f"{failure}\n")
    sys.stdout.write(
        f"seeds {seed} to {seed + number - 1}: {number} schedules in {took:.0f} s"
        f" ({took / max(number, 1) * 1000:.1f} ms each), {len(failures)} ended wrongly\n"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so long")
    parser.add_argument("--book", action="store_true", help="into the ledger")
    options = parser.parse_args(arguments)
    if options.book:
        return 1 if book(options.seed, options.count, options.seconds) else 0
    began = time.monotonic()
    counts, failures = simulate(options.seed, options.count, options.seconds)
    show(options.seed, counts, failures, time.monotonic() - began)
    return 1 if failures else 0
