"""Seeded faults on the running line: processes, servers, network, locks, groups and inputs; heal, judge.

    python -m tests.chaos.nemesis --seed 1 --faults 100 --seconds 600

A fault is counted by kind once it was really done. One to three a step, while traffic flows.
"""

import argparse
import random
import sys
import time
from collections import Counter
from typing import Final

from tests.chaos import ledger
from tests.chaos.checker import Judge
from tests.chaos.faults import network, programs, records, rows, servers
from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.kills import Feed, judged
from tests.chaos.line import Line
from tests.chaos.recorded import Recorder

STEPS: Final = 8  # of faults, between two verdicts
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


def strike(nemesis: Nemesis, names: list[str], done: Counter[str]) -> None:
    """Do these, one after the other, while records flow."""
    for name in names:
        try:
            nemesis.feed.burst(4)
            if FAULTS[name](nemesis):
                done[name] += 1
        finally:
            nemesis.heal()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.nemesis")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", action="append", help="kinds of faults, by name")
    parser.add_argument("--kinds", help="of one module alone, such as network")
    options = parser.parse_args(arguments)
    only = options.only or (options.kinds and list(globals()[options.kinds].FAULTS))
    return 1 if haunt(options.seed, options.faults, options.seconds, only) else 0


def haunt(seed: int, wanted: int, seconds: float, only: list[str] | None = None) -> int:
    """Faults until `wanted` or out of time; books after each verdict. Returns the violations."""
    began = booked_at = time.monotonic()
    rng = random.Random(f"nemesis {seed}")
    bad = total = 0
    waiting: list[str] = []
    with Line() as line:
        recorder, judge = (
            Recorder(line.settings.kafka.bootstrap_servers, line.url, line.gateway_dir),
            Judge(),
        )
        nemesis = Nemesis(line, Feed(line, seed + 500_000), rng)
        nemesis.feed.burst()
        line.wait_idle(90)
        while total < wanted and time.monotonic() - began < seconds and not bad:
            done: Counter[str] = Counter()
            while done.total() < min(STEPS, wanted - total):
                if not waiting:
                    some = [n for n in FAULTS if n not in _RARE or rng.random() < 0.5]
                    waiting = rng.sample(only or some, len(only or some))
                strike(nemesis, [waiting.pop()], done)
            try:
                took = line.wait_idle(60)
                sys.stdout.write(f"seed {seed}: {dict(done)}, at rest after {took:.1f} s\n")
            except TimeoutError as error:
                bad += 1
                sys.stdout.write(f"I11, seed {seed}, after {dict(done)}: {error}\n")
            verdict = judged(recorder, judge)
            bad += len(verdict.violations) + len(verdict.unknown) + len(line.unexpected)
            for death in line.unexpected:
                sys.stdout.write(f"{death} was not ordered\n")
            total += done.total()
            now = time.monotonic()
            ledger.append("faults", seed, done, now - booked_at, bad)
            booked_at = now
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
