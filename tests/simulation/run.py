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
from typing import Final, NamedTuple

from tests.chaos import ledger
from tests.simulation.judging import violations
from tests.simulation.plans import Plan, draw
from tests.simulation.ports import in_simulation
from tests.simulation.world import World

SHRINK_MAX: Final = 600  # runs
DICE: Final = ((0, 1), (1, 2), (2, 2), (3, 4), (4, 4), (5, 8), (6, 8))  # and how much sooner
SHOWN_MAX: Final = 3  # failures that are shown; of more only the number
COLLECT_EVERY: Final = 200


class Part(NamedTuple):
    """What of a plan a failure needs: numbers of facts and faults, and what else may differ."""

    facts: list[int]
    faults: list[int]
    dice: int
    sooner: int = 1  # so many times sooner do the faults strike


class Failure(NamedTuple):
    """A schedule that ended wrongly, and the smallest part of it that still does."""

    plan: Plan
    smallest: Part
    said: list[str]

    def __str__(self) -> str:  # type: ignore[explicit-override]
        seed, (facts, faults, dice, sooner) = self.plan.seed, self.smallest
        small = self.plan.part(facts, faults, dice, sooner)
        only = " ".join(
            f"--{name} {','.join(map(str, numbers))}"
            for name, numbers in (("facts", facts), ("faults", faults))
            if numbers
        )
        lines = [
            f"seed {seed}, commit {ledger.commit()}: {self.said[0][:500]}",
            f"  again: python -m tests.simulation --seed {seed} --count 1",
            f"  needs: {len(facts)} of {len(self.plan.facts)} facts, {len(faults)} faults:",
            f"  alone: python -m tests.simulation --seed {seed} --dice {dice} --sooner {sooner} {only}",
        ]
        lines += [f"    {fault.kind}, step {fault.at}" for fault in small.faults]
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


def shrunk(plan: Plan, said: list[str]) -> Part:
    """Without the facts and faults that the failure does not need, whatever the dice must be."""
    name = said[0].partition(":")[0]
    runs = 0

    def fails(part: Part) -> Part | None:
        nonlocal runs
        for dice, sooner in ((part.dice, part.sooner), *DICE):
            runs += 1
            if runs > SHRINK_MAX:
                return None
            tried = part._replace(dice=dice, sooner=sooner)
            if any(text.startswith(name) for text in run(plan.part(*tried))[1]):
                return tried
        return None

    part = Part(list(range(len(plan.facts))), list(range(len(plan.faults))), plan.dice)
    again = True
    while again:
        again = False
        for n in reversed(part.faults):
            if smaller := fails(part._replace(faults=[f for f in part.faults if f != n])):
                part, again = smaller, True
        for n in reversed(part.facts):
            if smaller := fails(part._replace(facts=[f for f in part.facts if f != n])):
                part, again = smaller, True
    return part


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
                failures.append(
                    Failure(plan, shrunk(plan, said) if shrinks else Part([], [], number), said)
                )
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


def again(seed: int, part: Part) -> int:
    """A part of one schedule."""
    with in_simulation():
        said = run(draw(seed).part(*part))[1]
    sys.stdout.write("\n".join(said or ["ended well"]) + "\n")
    return 1 if said else 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so long")
    parser.add_argument("--stop-at", type=int, default=SHOWN_MAX, help="after so many failures")
    parser.add_argument("--facts", type=_numbers, help="of --seed alone, only these")
    parser.add_argument("--faults", type=_numbers, help="of --seed alone, only these")
    parser.add_argument("--dice", type=int, help="of --seed alone, as shown by a failure")
    parser.add_argument("--sooner", type=int, default=1, help="with --dice")
    parser.add_argument("--book", action="store_true", help="into the ledger")
    options = parser.parse_args(arguments)
    if options.dice is not None:
        part = Part(options.facts or [], options.faults or [], options.dice, options.sooner)
        return again(options.seed, part)
    if options.book:
        return 1 if book(options.seed, options.count, options.seconds) else 0
    began = time.monotonic()
    counts, failures = simulate(
        options.seed, options.count, options.seconds, stop_at=options.stop_at
    )
    show(options.seed, counts, failures, time.monotonic() - began)
    return 1 if failures else 0
