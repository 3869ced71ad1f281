"""Seeded faults on the running line: processes, servers, locks, groups and inputs; then heal and judge.

    python -m tests.chaos.nemesis --seed 1 --faults 100 --seconds 600

A fault is counted by kind once it was really done. One to three a step, while traffic flows.
"""

import argparse
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from tests.chaos import ledger
from tests.chaos.checker import Judge
from tests.chaos.inputs import garbage
from tests.chaos.kills import Feed, judged
from tests.chaos.line import PROGRAMS, SESSION_MS, STAGES, Line
from tests.chaos.recorded import Recorder

STEPS: Final = 8  # of faults, between two verdicts
FROZEN_SECONDS: Final = SESSION_MS / 1000 + 1.5
BUSY_STAGES: Final = ("payments", "shipments", "refund_requests", "gateway_results", "deadlines")


@dataclass
class Nemesis:
    """What the faults need: the line, chance, and who is frozen or doubled just now."""

    line: Line
    feed: Feed
    rng: random.Random
    frozen: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    held: list[psycopg.Connection] = field(default_factory=list)

    @property
    def database(self) -> str:
        return self.line.url.replace("postgresql+psycopg://", "postgresql://")

    def sql(self, statement: str) -> int:
        """Rows touched; a database that is away just now is no error of ours."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement.encode()).rowcount

    def keep_up(self) -> None:
        """Who has died comes back, as under a supervisor."""
        for death in self.line.deaths():
            if death.returncode != -signal.SIGKILL:
                self.line.unexpected.append(death)
            if death.name in PROGRAMS and death.name not in self.line.running:
                self.line.start_program(death.name)

    def heal(self) -> None:
        for connection in self.held:
            with contextlib.suppress(psycopg.Error):
                connection.rollback()
            connection.close()
        for name in self.frozen:
            if name in self.line.running:
                self.line.send(name, signal.SIGCONT)
        for name in self.doubles:
            self.line.stop(name)
        self.held, self.frozen, self.doubles = [], [], []
        self.keep_up()
        self.line.start_missing()


Fault = Callable[[Nemesis], bool]


def _kill(*names: str) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        name = nemesis.rng.choice(names)
        if name not in nemesis.line.running:
            return False
        nemesis.line.kill(name)
        time.sleep(nemesis.rng.uniform(0, 0.5))
        nemesis.line.start_missing()
        return True

    return fault


def _kill_all(nemesis: Nemesis) -> bool:
    for name in list(nemesis.line.running):
        nemesis.line.kill(name)
    nemesis.line.start_missing()
    return True


def _freeze(*names: str, seconds: float = FROZEN_SECONDS) -> Fault:
    """SIGSTOP for longer than the session; another takes over; then it wakes and goes on."""

    def fault(nemesis: Nemesis) -> bool:
        name = nemesis.rng.choice(names)
        if name not in nemesis.line.running:
            return False
        double = f"{name}-zombie"
        nemesis.feed.burst(4)
        nemesis.line.send(name, signal.SIGSTOP)
        nemesis.line.start_program(double)
        nemesis.feed.burst(4)
        time.sleep(seconds)
        nemesis.line.send(name, signal.SIGCONT)
        time.sleep(0.5)
        nemesis.line.stop(double)
        return True

    return fault


def _blink(nemesis: Nemesis) -> bool:
    """Many short freezes: a process that hardly gets any time."""
    name = nemesis.rng.choice(list(nemesis.line.running))
    for _ in range(10):
        nemesis.line.send(name, signal.SIGSTOP)
        time.sleep(0.05)
        nemesis.line.send(name, signal.SIGCONT)
        time.sleep(0.05)
    return True


def _postgres(*, kill: bool) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        server = nemesis.line.stack.postgres
        assert server is not None
        if kill:
            server.kill()
        else:
            server.stop(immediate=True)
        time.sleep(nemesis.rng.uniform(0, 2))
        server.start()
        return True

    return fault


def _kafka(*, kill: bool) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        server = nemesis.line.stack.kafka
        assert server is not None
        if kill:
            server.kill()
        else:
            server.stop()
        time.sleep(nemesis.rng.uniform(0, 2))
        server.start()
        return True

    return fault


def _terminate(nemesis: Nemesis) -> bool:
    """All backends of the programs at once, three times."""
    touched = 0
    for _ in range(3):
        touched += nemesis.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'escrow-%' AND pid <> pg_backend_pid()"
        )
        time.sleep(nemesis.rng.uniform(0.05, 0.4))
    return touched > 0


def _cancel(nemesis: Nemesis) -> bool:
    """Statements cancelled under the programs (SQLSTATE 57014), a storm of them."""
    touched = 0
    for _ in range(40):
        touched += nemesis.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'escrow-%' AND state = 'active'"
        )
        time.sleep(0.02)
    return touched > 0


def _hold(statement: str, seconds: tuple[float, float]) -> Fault:
    """Someone else's transaction that keeps locks, or an old snapshot, while work goes on."""

    def fault(nemesis: Nemesis) -> bool:
        with psycopg.connect(nemesis.database) as connection:
            connection.execute(statement.encode())
            nemesis.feed.burst(4)
            time.sleep(nemesis.rng.uniform(*seconds))
            connection.rollback()
        return True

    return fault


def _storm(nemesis: Nemesis) -> bool:
    """Members of a stage's group join and leave, in good order or not."""
    stage = nemesis.rng.choice(BUSY_STAGES)
    names = [f"{stage}-{n}" for n in range(2, 4)]
    for _ in range(2):
        for name in names:
            nemesis.line.start_program(name)
            nemesis.feed.burst(2)
            time.sleep(nemesis.rng.uniform(0.3, 1.5))
        for name in names:
            if nemesis.rng.random() < 0.5:
                nemesis.line.kill(name)
            else:
                nemesis.line.stop(name)
    return True


def _double(kind: str) -> Fault:
    """A second one of what there should be one of."""

    def fault(nemesis: Nemesis) -> bool:
        name = f"{kind}-2"
        nemesis.line.start_program(name)
        for _ in range(3):
            nemesis.feed.burst(4)
            time.sleep(nemesis.rng.uniform(0.3, 1))
        nemesis.line.stop(name)
        return True

    return fault


def _again(times: int) -> Fault:
    """Records of before, byte for byte, once more or a hundred times."""

    def fault(nemesis: Nemesis) -> bool:
        return nemesis.feed.repeat(nemesis.rng, 20 if times > 1 else 200, times) > 0

    return fault


def _garbage(nemesis: Nemesis) -> bool:
    """Spoilt records of every kind, in the middle of good ones."""
    return nemesis.feed.send(garbage(nemesis.rng, 60, nemesis.feed.t)) > 0


def _wakes(nemesis: Nemesis) -> bool:
    """A restart in good order of every program, one after the other."""
    for name in PROGRAMS:
        nemesis.line.stop(name)
    nemesis.line.start_missing()
    return True


def _hot(nemesis: Nemesis) -> bool:
    """Eight writers: two more workers of three stages, on few orders."""
    names = [f"{stage}-{n}" for stage in BUSY_STAGES[:3] for n in (2, 3)]
    for name in names:
        nemesis.line.start_program(name)
    for _ in range(4):
        nemesis.feed.burst(5)
        time.sleep(0.3)
    for name in names:
        nemesis.line.stop(name)
    return True


FAULTS: Final[dict[str, Fault]] = {
    "stage killed": _kill(*STAGES),
    "relay killed": _kill("relay"),
    "ticker killed": _kill("ticker"),
    "gateway killed": _kill("gateway"),
    "everything killed at once": _kill_all,
    "stage frozen past its session, replaced, woken": _freeze(*BUSY_STAGES),
    "relay frozen past its lease, replaced, woken": _freeze("relay", seconds=11.0),
    "ticker frozen, replaced, woken": _freeze("ticker", seconds=2.0),
    "process starved": _blink,
    "PostgreSQL restarted at once": _postgres(kill=False),
    "PostgreSQL killed": _postgres(kill=True),
    "backends terminated": _terminate,
    "statements cancelled": _cancel,
    "orders locked by another": _hold("SELECT 1 FROM escrows FOR UPDATE", (0.5, 4.0)),
    "positions locked by another": _hold("SELECT 1 FROM consumer_positions FOR UPDATE", (0.5, 4.0)),
    "outbox locked by another": _hold(
        "SELECT 1 FROM outbox_slices FOR UPDATE", (0.5, 4.0)
    ),
    "old snapshot kept": _hold("SELECT count(*) FROM facts", (2.0, 5.0)),
    "Kafka stopped and started": _kafka(kill=False),
    "Kafka killed": _kafka(kill=True),
    "group storm": _storm,
    "eight writers on few orders": _hot,
    "two relays": _double("relay"),
    "two tickers": _double("ticker"),
    "records repeated": _again(1),
    "records repeated a hundred times": _again(100),
    "garbage between good records": _garbage,
    "all restarted in good order": _wakes,
}  # fmt: skip
_RARE: Final = {
    "Kafka killed",
    "Kafka stopped and started",
    "relay frozen past its lease, replaced, woken",
}
_WEIGHTS: Final = [1 if name in _RARE else 4 for name in FAULTS]


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
    parser.add_argument("--only", help="one kind of fault, by name")
    options = parser.parse_args(arguments)
    only = [options.only] if options.only else None
    return 1 if haunt(options.seed, options.faults, options.seconds, only) else 0


def haunt(seed: int, wanted: int, seconds: float, only: list[str] | None = None) -> int:
    """Faults until `wanted` or out of time; books after each verdict. Returns the violations."""
    began = booked_at = time.monotonic()
    rng = random.Random(f"nemesis {seed}")
    bad = total = 0
    waiting: list[str] = []
    with Line() as line:
        recorder, judge = (
            Recorder(line.stack.bootstrap_servers, line.url, line.gateway_dir),
            Judge(),
        )
        nemesis = Nemesis(line, Feed(line, seed + 500_000), rng)
        nemesis.feed.burst()
        line.wait_idle(90)
        while total < wanted and time.monotonic() - began < seconds and not bad:
            done: Counter[str] = Counter()
            while done.total() < min(STEPS, wanted - total):
                if not waiting:
                    waiting = only or rng.sample(list(FAULTS), len(FAULTS))
                    waiting = [n for n in waiting if n not in _RARE or rng.random() < 0.5]
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
