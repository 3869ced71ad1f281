"""Seeded faults on running lines: programs, servers, network, clocks, disks, rows, inputs; heal, judge.

    python -m tests.chaos.nemesis --seed 1 --faults 100 --seconds 600 --line plain

A fault is counted by kind once it was really done; one after the other, or two to five at once.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import psycopg

from tests.chaos import ledger
from tests.chaos.checker import Judge
from tests.chaos.faults import (
    bombs,
    clocks,
    disks,
    halts,
    network,
    nodes,
    programs,
    records,
    rows,
    servers,
)
from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.kills import Feed, judged
from tests.chaos.line import Line
from tests.chaos.recorded import Recorder
from tests.chaos.servers import Servers

STEPS: Final = 8  # of faults, between two verdicts
TOGETHER: Final = "two to five at once"
_ONE_OF: Final = (servers.FAULTS, network.FAULTS)  # of these one at a time: they share a server
FAULTS: Final[dict[str, Fault]] = {
    **programs.FAULTS,
    **servers.FAULTS,
    **rows.FAULTS,
    **records.FAULTS,
    **network.FAULTS,
}
_RARE: Final = {
    "Kafka killed",
    "Kafka stopped and started",
    "relay frozen past its lease, replaced, woken",
    "Kafka half open",
    "PostgreSQL half open",
}
MAYBE: Final = 0.5  # how often a rare one is among the next ones


class Kind(NamedTuple):
    """A kind of line: its servers, what can be done to it, and why it cannot be had, if so."""

    servers: Callable[[], Servers]
    faults: dict[str, Fault]
    why_not: Callable[[], str | None] = lambda: None
    steps: int = STEPS  # faults between two verdicts


LINES: Final = {
    "plain": Kind(Servers, FAULTS),
    "nodes": Kind(lambda: Servers(nodes.NODES), nodes.FAULTS, steps=2),
    "bombs": Kind(Servers, bombs.FAULTS),
    "clocks": Kind(lambda: Servers(has_clock=True), clocks.FAULTS, clocks.why_not),
    "disks": Kind(lambda: Servers(disk_mb=disks.DISK_MB), disks.FAULTS, disks.why_not),
}
LOGS: Final = "logs"  # falsified, so that nothing can be judged by them afterwards


def strike(nemesis: Nemesis, faults: dict[str, Fault], name: str, done: Counter[str]) -> None:
    """Do this one while records flow."""
    try:
        nemesis.feed.burst(4)
        began = time.monotonic()
        is_done = faults[name](nemesis)
        if is_done:
            done[name] += 1
        said = "" if is_done else "NOT really done: "
        sys.stdout.write(f"  {time.monotonic() - began:5.1f} s {said}{name}\n")
        sys.stdout.flush()
    finally:
        nemesis.heal()


def strike_together(nemesis: Nemesis, done: Counter[str]) -> None:
    """Two to five of the plain ones, begun at different moments; then quiet for a while."""
    rng = nemesis.rng
    some = rng.sample(list(FAULTS), 12)
    for group in _ONE_OF:
        for name in [name for name in some if name in group][1:]:
            some.remove(name)
    some = some[: rng.randint(2, 5)]

    def one(name: str) -> str | None:
        time.sleep(rng.uniform(0, 2))
        try:
            return name if FAULTS[name](nemesis) else None
        except psycopg.OperationalError:  # another fault has taken the database from this one
            return None

    try:
        with ThreadPoolExecutor(len(some)) as pool:
            really = [name for name in pool.map(one, some) if name is not None]
    finally:
        nemesis.heal()
    done.update(really)
    if len(really) > 1:
        done[TOGETHER] += 1
    time.sleep(rng.uniform(0, 2))
    nemesis.feed.burst(4)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.nemesis")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--line", choices=(*LINES, LOGS), default="plain")
    parser.add_argument("--only", action="append", help="kinds of faults, by name")
    options = parser.parse_args(arguments)
    found = haunt(options.seed, options.faults, options.seconds, options.line, options.only)
    return 1 if found else 0


def haunt(
    seed: int, wanted: int, seconds: float, line: str = "plain", only: list[str] | None = None
) -> int:
    """Faults until `wanted` or out of time; books after each verdict. Returns the violations."""
    if line == LOGS:
        return _falsify(seed, wanted, seconds)
    if missing := LINES[line].why_not():
        sys.stdout.write(f"not possible here, {', '.join(LINES[line].faults)}: {missing}\n")
        return 0
    if line == "disks" and os.environ.get(_IN_NAMESPACE) is None:
        return _in_namespace(seed, wanted, seconds)
    return _haunt(seed, wanted, seconds, line, only)


_IN_NAMESPACE: Final = "CHAOS_IN_NAMESPACE"


def _in_namespace(seed: int, wanted: int, seconds: float) -> int:
    """Once more by ourselves, where mounts are ours alone and end with us."""
    options = ("--seed", seed, "--faults", wanted, "--seconds", seconds, "--line", "disks")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.chaos.nemesis"]
    done = subprocess.run(
        [*command, *map(str, options)],
        check=False, cwd=ledger.ROOT, env={**os.environ, _IN_NAMESPACE: "1"},
    )  # fmt: skip
    return done.returncode


def _haunt(seed: int, wanted: int, seconds: float, line_name: str, only: list[str] | None) -> int:
    booked_at = time.monotonic()
    until = booked_at + seconds
    rng = random.Random(f"nemesis {seed}")
    bad = total = 0
    kind = LINES[line_name]
    waiting: list[str] = []
    with Line(kind.servers()) as line:
        recorder = Recorder(line.settings.kafka.bootstrap_servers, line.url, line.gateway_dir)
        judge, nemesis = Judge(), Nemesis(line, Feed(line, seed + 500_000), rng)
        nemesis.feed.burst()
        line.wait_idle(90)
        while total < wanted and time.monotonic() < until and not bad:
            done: Counter[str] = Counter()
            most = min(kind.steps, wanted - total)
            tries = 2 * most
            while done.total() < most and (tries := tries - 1) and time.monotonic() < until:
                waiting = waiting or only or _next(rng, line_name)
                waiting = rng.sample(waiting, len(waiting)) if waiting is only else waiting
                name = waiting.pop()
                if name == TOGETHER:
                    strike_together(nemesis, done)
                else:
                    strike(nemesis, kind.faults, name, done)
            bad += _verdict(line, recorder, judge, f"seed {seed}: {dict(done)}")
            total += done.total()
            now = time.monotonic()
            ledger.append("faults", seed, done, now - booked_at, bad)
            booked_at = now
    return bad


def _next(rng: random.Random, line_name: str) -> list[str]:
    names = [n for n in LINES[line_name].faults if n not in _RARE or rng.random() < MAYBE]
    if line_name == "plain":
        names += [TOGETHER] * 4
    return rng.sample(names, len(names))


def _verdict(line: Line, recorder: Recorder, judge: Judge, what: str) -> int:
    """Come to rest within a minute, and be judged; returns the number of violations."""
    bad = 0
    try:
        took = line.wait_idle(60)
        sys.stdout.write(f"{what}, at rest after {took:.1f} s\n")
    except TimeoutError as error:
        bad += 1
        sys.stdout.write(f"I11, {what}: {error}\n{line.last_words()}")
    verdict = judged(line, recorder, judge)
    for death in line.unexpected:
        sys.stdout.write(f"{death} was not ordered: {line.log_of(death.name)[-2000:]}\n")
    return bad + len(verdict.violations) + len(verdict.unknown) + len(line.unexpected)


def _falsify(seed: int, wanted: int, seconds: float) -> int:
    """Lines whose logs are falsified, topic by topic, then as a whole; a line each round."""
    began = time.monotonic()
    rng = random.Random(f"logs {seed}")
    total = bad = 0
    while total < wanted and time.monotonic() - began < seconds and not bad:
        booked_at = time.monotonic()
        done: Counter[str] = Counter()
        with Line() as line:
            feed = Feed(line, seed * 100 + total)
            feed.burst(40)
            line.wait_idle(90)
            falsifier = halts.Falsifier(line, feed)
            halts.falsify_topics(falsifier, rng, done)
            halts.restore_older(falsifier, done)
            bad += _said(falsifier.wrong)
        sys.stdout.write(f"seed {seed}: {dict(done)}, all halted, nothing skipped: {not bad}\n")
        sys.stdout.flush()
        total += done.total()
        ledger.append("faults", seed, done, time.monotonic() - booked_at, bad)
    return bad


def _said(wrong: Iterable[str]) -> int:
    number = 0
    for text in wrong:
        number += 1
        sys.stdout.write(f"  {text}\n")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
